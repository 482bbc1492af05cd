"""Forward pass of one picture on a machine that has nothing else to do, and on one that has.

    python tests/benchmarks/busy.py

Threads that wait for each other spin for a while before they sleep: quick if the other runs; if it
waits for its turn on a core, the time is lost. How long, GOMP_SPINCOUNT tells libgomp, which is
PyTorch's on Linux. Milliseconds, median and largest of each, in turns, by how long they spin; busy
are as many processes as cores that only count. The last row is without a second thread.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

ROUNDS = 2
WORK = """
import sys, time, torch
from img2pc.reconstruction import Reconstructor
reconstructor = Reconstructor.load()
size = reconstructor.info.config.image_size
crops = torch.full((1, size, size, 4), 255, dtype=torch.uint8)
for _ in range(13):
    begin = time.perf_counter()
    reconstructor.views(crops)
    print(1000 * (time.perf_counter() - begin))
"""
WARM_UP = 3
VARIANTS = {
    "libgomp's own": {},
    "100,000": {"GOMP_SPINCOUNT": "100000"},
    "10,000": {"GOMP_SPINCOUNT": "10000"},
    "1,000": {"GOMP_SPINCOUNT": "1000"},
    "not at all": {"OMP_WAIT_POLICY": "passive"},
    "one thread": {"OMP_NUM_THREADS": "1"},
}


@contextmanager
def busy_cores() -> Iterator[None]:
    counting = [
        # In sessions of their own, as a user's other programs are: Linux shares cores by them.
        subprocess.Popen([sys.executable, "-c", "while True: pass"], start_new_session=True)
        for _ in range(os.cpu_count() or 1)
    ]
    try:
        yield
    finally:
        for each in counting:
            each.kill()
            each.wait()


def milliseconds(variant: dict[str, str]) -> list[float]:
    ran = subprocess.run(
        [sys.executable, "-c", WORK],
        env=os.environ | variant,
        capture_output=True,
        text=True,
        check=True,
    )
    return [float(line) for line in ran.stdout.split()][WARM_UP:]


def main() -> None:
    idle: dict[str, list[float]] = {name: [] for name in VARIANTS}
    busy: dict[str, list[float]] = {name: [] for name in VARIANTS}
    for _ in range(ROUNDS):
        for name, variant in VARIANTS.items():
            idle[name] += milliseconds(variant)
        with busy_cores():
            for name, variant in VARIANTS.items():
                busy[name] += milliseconds(variant)
    print("| threads spin | idle | busy |\n|---|---|---|")
    for name in VARIANTS:
        figures = (
            f"{statistics.median(of):.0f} ({max(of):.0f})" for of in (idle[name], busy[name])
        )
        print(f"| {name} | {' | '.join(figures)} |")


if __name__ == "__main__":
    main()
