from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from img2pc import workers
from img2pc.workers import (
    Stop,
    begin_worker,
    core_quota,
    interrupts_blocked,
    stopped_by_interrupt,
    usable_cores,
)

from .conftest import ROOT
from .in_a_process import interrupts_ignored

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals")


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, None),
        ({"cpu.max": "max 100000"}, None),
        ({"cpu.max": "50000 100000"}, 1),
        ({"cpu.max": "150000 100000"}, 2),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ({"cpu/cpu.cfs_quota_us": "400000", "cpu/cpu.cfs_period_us": "100000"}, 4),
        ({"cpu.max": "odd"}, None),
        ({"cpu.max": "50000 odd"}, None),
        ({"cpu.max": "50000 0"}, None),
    ],
)
def test_a_containers_quota_of_cores(
    files: Mapping[str, str], cores: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the kernel's documentation of control groups has it, versions 2 and 1."""
    monkeypatch.setattr(workers, "_CGROUP", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: range(3), raising=False)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    assert core_quota() == cores
    assert usable_cores() == min(3, cores or 3)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_asks_and_the_second_one_interrupts(number: int) -> None:
    """Never as an exception at first: a lock held at that moment would be held for ever."""
    stop, before = Stop(), signal.signal(number, signal.default_int_handler)
    try:
        with stopped_by_interrupt(stop):
            signal.raise_signal(number)
            assert stop.asked
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(number)
        assert signal.getsignal(number) is signal.default_int_handler
    finally:
        signal.signal(number, before)


def test_ctrl_c_stays_ignored_where_it_is() -> None:
    """As by a shell's background jobs."""
    stop, before = Stop(), signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with stopped_by_interrupt(stop):
            signal.raise_signal(signal.SIGINT)
        assert not stop.asked
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_workers_leave_interrupts_to_their_parent() -> None:
    with ProcessPoolExecutor(1, get_context("spawn"), begin_worker) as pool:
        assert pool.submit(interrupts_ignored).result()


def test_a_process_that_begins_in_the_block_hears_no_interrupt() -> None:
    code = "import signal; print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))"
    with interrupts_blocked():
        inside = subprocess.check_output([sys.executable, "-c", code], text=True)
    outside = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert (inside.strip(), outside.strip()) == ("True", "False")


def test_workers_end_with_their_parent_however_it_ends() -> None:
    code = (
        "import os, signal\n"
        "from concurrent.futures import ProcessPoolExecutor\n"
        "from multiprocessing import get_context\n"
        "from img2pc.workers import begin_worker\n"
        "if __name__ == '__main__':\n"
        "    pool = ProcessPoolExecutor(1, get_context('spawn'), begin_worker)\n"
        "    print(pool.submit(os.getpid).result(), flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    # It holds the pipes, which are read to their end.
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=60,
    )
    assert ran.returncode == -signal.SIGKILL, ran.stderr
    assert int(ran.stdout) > 0
