"""What several test files need: tiny weights, an asymmetric shape, its picture, a few shards."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import patch

import beartype
import numpy as np
import pytest
import torch
from numpy import ndarray
from PIL import Image

# Of whoever runs the tests: colours and narrow lines within what is compared, and other weights.
for name in ("FORCE_COLOR", "PY_COLORS", "GITHUB_ACTIONS", "TERMINAL_WIDTH", "COLUMNS"):
    os.environ.pop(name, None)
os.environ.pop("IMG2PC_WEIGHTS", None)
os.environ["CUDA_VISIBLE_DEVICES"] = ""  # clouds are compared to the bit
# Nor the model that rembg may have downloaded, which sees an object in anything.
OWN_U2NET_HOME = os.environ.get("U2NET_HOME")
os.environ["U2NET_HOME"] = str(Path(__file__).parent / "no-models")
# As the command line does. Also, what Numba compiles would run in threads of the TBB that Open3D
# brings; at the end of a process that has both (only tests have: test_meshing.sparing) it would
# wait for them for ever.
os.environ["NUMBA_DISABLE_JIT"] = "1"

# An int passes for a float (PEP 484), which beartype grants only when asked; `img2pc` is checked
# from its first import on, so this comes before.
beartype.beartype = beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))

# ruff: noqa: E402
from img2pc.checkpoints import WeightsInfo, save_weights
from img2pc.cli import main
from img2pc.data import dataset
from img2pc.data.dataset import DataSettings, write_shards
from img2pc.data.pictures import photograph
from img2pc.data.ray_caster import RayCaster
from img2pc.data.shapes import Part, Shape, assemble
from img2pc.data.solids import box
from img2pc.generator import SIZES, StructureGenerator

ROOT = Path(__file__).parent.parent
COMMAND = [sys.executable, "-c", "from img2pc.cli import main; main()"]
# The same in a process that Ctrl-C reaches: a shell's background jobs ignore it.
INTERRUPTIBLE = [
    *(sys.executable, "-c"),
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from img2pc.cli import main; main()",
]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


class Ran:
    """What a command left: exit code, standard output and standard error."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def img2pc(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Ran]:
    """Runs a command line in this process."""

    def run(*arguments: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["img2pc", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return Ran(int(ended.value.code or 0), captured.out, captured.err)

    return run


def img2pc_process(*arguments: object) -> Ran:
    """Runs a command line in a process of its own."""
    ran = subprocess.run(
        [*COMMAND, *map(str, arguments)], capture_output=True, text=True, env=ENVIRONMENT
    )
    return Ran(ran.returncode, ran.stdout, ran.stderr)


class Reached(Exception):
    """Ends a command where its work would begin."""


class Unpickled:
    """Whoever unpickles this creates a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.marker,)


def sphere(count: int) -> ndarray:
    """Points spread evenly over the unit sphere (Fibonacci's spiral)."""
    turn = np.pi * (1 + 5**0.5) * np.arange(count)
    height = 1 - (2 * np.arange(count) + 1) / count
    across = np.sqrt(1 - height**2)
    return np.stack([across * np.cos(turn), across * np.sin(turn), height], -1)


def wait_until(ready: Callable[[], bool], process: subprocess.Popen[Any]) -> None:
    """Or until the process has ended; not for ever."""
    end = time.monotonic() + 120
    while process.poll() is None and not ready():
        assert time.monotonic() < end
        time.sleep(0.05)


def assert_one_line(err: str) -> None:
    assert err.startswith("img2pc: ")
    assert err.count("\n") == 1
    assert "Traceback" not in err


@pytest.fixture(scope="session", autouse=True)
def single_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def shards_are_drawn_here() -> Iterator[None]:
    """By threads: each process would import PyTorch anew."""

    def pool(workers: int, *of_processes: object) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(workers)

    with patch.object(dataset, "ProcessPoolExecutor", pool):
        yield


@pytest.fixture(autouse=True)
def same_random_numbers() -> None:
    """Whatever ran before in this process."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def chair() -> Shape:
    """No symmetry: a back (-Z), one arm (+X), a short leg, a headrest to one side."""
    legs = [
        box(0.1, 0.5, 0.1).moved(0.35, 0.25, 0.35),
        box(0.1, 0.5, 0.1).moved(-0.35, 0.25, 0.35),
        box(0.1, 0.5, 0.1).moved(0.35, 0.25, -0.35),
        box(0.1, 0.3, 0.1).moved(-0.35, 0.35, -0.35),
    ]
    parts = [
        *(Part(leg, "legs", "metal") for leg in legs),
        Part(box(0.8, 0.1, 0.8).moved(y=0.55), "seat", "wood"),
        Part(box(0.8, 0.7, 0.1).moved(y=0.95, z=-0.35), "seat", "wood"),
        Part(box(0.1, 0.3, 0.6).moved(0.35, 0.75, 0.05), "arm", "fabric"),
        Part(box(0.3, 0.2, 0.1).moved(-0.2, 1.4, -0.35), "arm", "fabric"),
    ]
    return assemble("chair", parts)


@pytest.fixture(scope="session")
def chair_picture(chair: Shape, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photograph of the chair with alpha, 128 pixels."""
    rgba = photograph(chair, RayCaster(chair.vertices, chair.faces), 128, np.random.default_rng(3))
    path = tmp_path_factory.mktemp("pictures") / "chair.png"
    Image.fromarray(rgba).save(path)
    return path


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Untrained: the generator sees an object of no shape in particular."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    info = WeightsInfo(SIZES["tiny"], data=("none",), samples=0)
    save_weights(path, StructureGenerator(SIZES["tiny"]), info)
    return path


SHARD_SETTINGS = DataSettings(
    seed=7,
    picture_size=32,
    view_size=32,
    families=("chair", "mug"),
    surface_points=512,
)


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four objects, two pictures each, in two shards of 32-pixel pictures and views."""
    folder = tmp_path_factory.mktemp("shards")
    with patch.object(dataset, "SHARD_OBJECTS", 2):
        assert list(write_shards(folder, SHARD_SETTINGS, 4, workers=1)) == [0, 2, 4]
    return folder
