"""What our code adds to the start of a process: to Python and Typer, to PyTorch and a forward pass.

    python tests/benchmarks/startup.py [repeats]

`img2pc --help` is held against a bare Python start and one that only imports Typer;
`img2pc reconstruct examples/chair.png` against a process that imports PyTorch and the generator's
module, reads the same weights without any check, and runs the forward pass of the same crop. Each
is a process of its own, as a user starts it; they take turns, and the figures are medians.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from img2pc.checkpoints import default_weights
from img2pc.images import crop_to_foreground, network_input, read_image

ROOT = Path(__file__).parent.parent.parent
PICTURE = ROOT / "examples" / "chair.png"
MOST_ADDED_SECONDS = 0.5

OURS = "from img2pc.cli import main; main()"
FORWARD = """
import sys
import torch
from safetensors.torch import load_file
from img2pc.generator import SIZES, StructureGenerator
generator = StructureGenerator(SIZES["small"])
generator.load_state_dict({k: v.float() for k, v in load_file(sys.argv[1]).items()}, assign=True)
generator.eval().to(memory_format=torch.channels_last)
with torch.inference_mode():
    generator(torch.load(sys.argv[2], weights_only=True))
"""


def seconds(*arguments: object) -> float:
    begin = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", *map(str, arguments)],
        check=True,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    return time.perf_counter() - begin


def network_inputs(folder: Path) -> Path:
    """What the generator is shown of the picture, as a file."""
    import torch

    path = folder / "input.pt"
    crop = crop_to_foreground(read_image(PICTURE), 128)
    torch.save(network_input(torch.from_numpy(crop.copy())[None]), path)
    return path


def medians(commands: dict[str, tuple[object, ...]], repeats: int) -> dict[str, float]:
    for command in commands.values():  # writes byte code, fills the disk's cache
        seconds(*command)
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(repeats):
        for name, command in commands.items():
            times[name].append(seconds(*command))
    return {name: statistics.median(each) for name, each in times.items()}


def main() -> None:
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    with tempfile.TemporaryDirectory() as folder:
        shown, cloud = network_inputs(Path(folder)), Path(folder) / "chair.ply"
        taken = medians(
            {
                "python -c pass": ("pass",),
                "import typer": ("import typer",),
                "img2pc --help": (OURS, "--help"),
                "forward pass": (FORWARD, default_weights(), shown),
                "img2pc reconstruct": (OURS, "reconstruct", PICTURE, "-o", cloud),
            },
            repeats,
        )
    for name, figure in taken.items():
        print(f"{name:20}{1000 * figure:7.0f} ms")
    added = taken["img2pc reconstruct"] - taken["forward pass"]
    start = taken["python -c pass"] + taken["import typer"]
    print(
        f"--help: {taken['img2pc --help'] / start:.2f} times a bare start and one with Typer (at "
        f"most 3), {taken['img2pc --help'] / taken['import typer']:.2f} times the latter alone"
    )
    print(
        f"reconstruct: {1000 * added:.0f} ms more than the forward pass (at most "
        f"{1000 * MOST_ADDED_SECONDS:.0f} ms), "
        f"{taken['img2pc reconstruct'] / taken['forward pass']:.2f} times as long"
    )


if __name__ == "__main__":
    main()
