"""The wheel carries all that a reconstruction needs."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

from img2pc import __version__

from .conftest import ROOT


def test_the_installed_wheel_reconstructs_the_examples(tmp_path: Path) -> None:
    """Built, installed into a new environment beside its dependencies, run from elsewhere."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}

    def run(*command: object, cwd: Path) -> str:
        ran = subprocess.run(
            [str(part) for part in command],
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    build = (sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path)
    run(*build, cwd=ROOT)
    (wheel,) = tmp_path.glob("img2pc-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "img2pc/weights/img2pc.safetensors" in names
    assert "img2pc/weights/README.md" in names
    assert "img2pc/py.typed" in names
    assert not [name for name in names if name.startswith(("tests", "weights", "examples"))]

    venv = tmp_path / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", venv, cwd=tmp_path)
    python = venv / ("Scripts" if os.name == "nt" else "bin") / "python"
    install = ("install", "--no-deps", "--no-index", "--quiet", wheel)
    run(sys.executable, "-m", "pip", "--python", python, *install, cwd=tmp_path)
    # The dependencies come from the environment of the tests, which may itself be a venv.
    (site_packages,) = venv.glob("**/site-packages")
    paths = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    (site_packages / "dependencies.pth").write_text("\n".join(paths))

    img2pc = python.parent / "img2pc"
    assert run(img2pc, "--version", cwd=tmp_path).strip() == __version__
    assert wheel.name.startswith(f"img2pc-{__version__}-")

    examples = sorted((ROOT / "examples").glob("*.png"))
    assert len(examples) == 6
    clouds = tmp_path / "clouds"
    out = run(img2pc, "reconstruct", *examples, "-o", clouds, cwd=tmp_path)
    assert len(out.splitlines()) == 6
    for picture in examples:
        assert (clouds / f"{picture.stem}.ply").stat().st_size > 10_000
