"""Pictures a second of training on a CPU, with and without keeping freed memory.

    python tests/benchmarks/training.py DATA --batch-size 32

Trains `small` in the Chamfer stage on shards of `img2pc data`, each way in a process of its own, in
turns; the rate is that of the second twenty steps.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from multiprocessing import get_context
from pathlib import Path
from unittest.mock import patch

import torch

from img2pc.data.dataset import ShardedDataset
from img2pc.generator import SIZES
from img2pc.training import loop
from img2pc.training.loop import TrainingSettings, train


def rate(data: Path, batch_size: int, keep: bool) -> float:
    torch.set_num_threads(1)
    settings = TrainingSettings(
        steps=40, batch_size=batch_size, stage="chamfer", accelerator="cpu", workers=1
    )
    with tempfile.TemporaryDirectory() as folder:
        if keep:
            train(Path(folder), ShardedDataset(data), SIZES["small"], settings)
        else:
            with patch.object(loop, "_keep_freed_memory", lambda: None):
                train(Path(folder), ShardedDataset(data), SIZES["small"], settings)
        with (Path(folder) / "log.csv").open(newline="") as file:
            return float(list(csv.DictReader(file))[-1]["rate"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    rates: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(arguments.rounds):
        for keep in rates:
            with get_context("spawn").Pool(1) as pool:
                found = pool.apply(rate, (arguments.data, arguments.batch_size, keep))
            rates[keep].append(found)
            print(f"{'kept' if keep else 'given back'}: {found:.1f} pictures/s", flush=True)
    print(f"ratio {max(rates[True]) / max(rates[False]):.2f}")


if __name__ == "__main__":
    main()
