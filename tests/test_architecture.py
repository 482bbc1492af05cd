"""What may import what: a reconstruction never waits for what only training needs."""

from __future__ import annotations

import ast
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import ROOT

HEAVY = ("torch", "scipy", "trimesh", "open3d", "safetensors", "embreex", "lightning_fabric")
NOT_FOR_USERS = (
    "embreex",
    "lightning_fabric",
    "open3d",
    "trimesh",
    "img2pc.data",
    "img2pc.training",
    "img2pc.evaluation",
    "img2pc.baselines",
)


def modules_after(code: str, *arguments: str) -> set[str]:
    """Names of the modules that a fresh interpreter holds after some code."""
    ran = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)", *arguments],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    return set(ran.stdout.split())


@pytest.mark.parametrize(
    "script",
    [
        path.relative_to(ROOT)
        for folder in ("tests/benchmarks", "weights", "examples")
        for path in sorted((ROOT / folder).glob("*.py"))
    ],
    ids=str,
)
def test_what_scripts_import_of_us_is_there(script: Path) -> None:
    """README and the card tell people to run them; no other test does."""
    for node in ast.walk(ast.parse((ROOT / script).read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == "img2pc":
            module = importlib.import_module(str(node.module))
            for name in node.names:
                inside = f"{node.module}.{name.name}"
                assert hasattr(module, name.name) or importlib.util.find_spec(inside), inside


def test_imports_point_one_way() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "1 kept, 0 broken" in ran.stdout


def test_the_command_line_starts_light() -> None:
    assert modules_after("import img2pc.cli").isdisjoint(HEAVY)


@pytest.mark.parametrize(
    ("name", "ours", "heeded"),
    [
        ("GOMP_SPINCOUNT", None, "10000"),
        ("GOMP_SPINCOUNT", "7", "7"),
        ("OMP_NUM_THREADS", None, "1"),
        ("OMP_NUM_THREADS", "3", "3"),
    ],
)
def test_what_libgomp_reads_as_pytorch_is_loaded_is_set_before(
    name: str, ours: str | None, heeded: str, tmp_path: Path
) -> None:
    """Unless the user has set it: waiting threads soon hand over their core, and there are no more
    of them than a container may use."""
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop(name, None)
    if ours is not None:
        environment[name] = ours
    code = (
        "import os, pathlib, sys\n"
        "import img2pc.cli, img2pc.workers\n"
        f"img2pc.workers._CGROUP = pathlib.Path({str(tmp_path)!r})\n"
        "sys.argv = ['img2pc', '--version']\n"
        "try:\n"
        "    img2pc.cli.main()\n"
        "except SystemExit:\n"
        f"    print(os.environ['{name}'], 'torch' in sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert ran.stdout.splitlines()[-1] == f"{heeded} False"


def test_pictures_do_not_wait_for_what_meshes_need() -> None:
    loaded = modules_after("from img2pc.batch import run_batch, write_results")
    assert "torch" in loaded
    assert loaded.isdisjoint({"scipy", "skimage", "manifold3d", "cv2"})


def test_a_reconstruction_loads_nothing_of_training(
    chair_picture: Path, tiny_weights: Path
) -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from img2pc.reconstruction import Reconstructor\n"
        "from img2pc.pointclouds import write_ply\n"
        "from img2pc.preview import write_preview\n"
        "picture, weights = map(Path, sys.argv[1:])\n"
        "result = Reconstructor.load(weights)(picture)\n"
        "write_ply(picture.with_name('light.ply'), result.cloud)\n"
        "write_preview(picture.with_name('light.png'), result.cut_out.foreground, result.cloud)"
    )
    loaded = modules_after(code, str(chair_picture), str(tiny_weights))
    assert "img2pc.reconstruction" in loaded
    assert loaded.isdisjoint(NOT_FOR_USERS)
