"""How many workers, and ending in good order: Ctrl-C as a request, and processes that leave it to
the one they serve."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


class Stop:
    """Asks for an end after the work at hand. Holds no lock: a signal handler may set it."""

    asked = False

    def is_asked_by_now(self) -> bool:
        """`asked`, where a signal to all processes may have ended another before this one's main
        thread hears it."""
        for _ in range(20):
            if self.asked:
                break
            time.sleep(0.01)
        return self.asked


def usable_cores() -> int:
    """How many cores this process may keep busy."""
    affinity = getattr(os, "sched_getaffinity", lambda process: range(os.cpu_count() or 1))
    cores = len(affinity(0))
    return min(cores, core_quota() or cores)


def core_quota() -> int | None:
    """How many cores' time a container may use (`docker run --cpus`), rounded up; None without
    such a quota.

    PyTorch knows only how many cores there are, and its threads would wait for each other's turns.
    """
    for files in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):  # v2, v1
        try:
            quota, period = " ".join((_CGROUP / each).read_text() for each in files).split()
            if quota.isdecimal():  # not "max", not -1
                return max(1, math.ceil(int(quota) / int(period)))
        except (OSError, ValueError, ZeroDivisionError):
            continue
    return None


@contextmanager
def stopped_by_interrupt(stop: Stop) -> Iterator[None]:
    """Ctrl-C, or SIGTERM, asks for the end; again, it interrupts this thread as ever, though pools
    still wait for what their workers are at.

    As an exception it could come where this thread holds what the others wait for (in
    `concurrent.futures.wait`, say), and none would ever end.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def ask(number: int, frame: object) -> None:
        stop.asked = True
        restore()

    def restore() -> None:
        for number, handler in before.items():
            if handler is not None:  # was not set by Python
                signal.signal(number, handler)

    for number, handler in before.items():
        if handler not in (signal.SIG_IGN, None):  # as for a shell's background jobs
            signal.signal(number, ask)
    try:
        yield
    finally:
        restore()


@contextmanager
def interrupts_blocked() -> Iterator[None]:
    """A process that begins here does not hear Ctrl-C, not even while its Python starts."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def begin_worker() -> None:
    """What a worker process does first: finish what it is at whatever Ctrl-C says, but end with
    its parent, however that ends. Left alone it would wait for ever for more to do."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent,), daemon=True).start()


def _end_after(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)
