from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import trimesh

from img2pc.errors import BadInputError
from img2pc.open3d_process import NativeCodeError, decimate, poisson_surface, read_with_open3d

from .conftest import ROOT


def sphere() -> np.ndarray:
    return np.array(trimesh.creation.icosphere(4).vertices)


def test_points_of_a_sphere_become_a_closed_sphere_the_same_every_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = sphere()
    vertices, faces = poisson_surface(points, points, depth=5, scale=1.1)
    surface = trimesh.Trimesh(vertices, faces, process=False)
    assert surface.is_watertight
    assert surface.volume == pytest.approx(4 / 3 * np.pi, rel=0.01)
    assert np.abs(np.linalg.norm(vertices, axis=-1) - 1).max() < 0.02

    # Nothing in the current folder comes in the way of the child.
    (tmp_path / "open3d.py").write_text("raise SystemExit('the wrong Open3D')")
    monkeypatch.chdir(tmp_path)
    again = poisson_surface(points, points, depth=5, scale=1.1)
    assert np.array_equal(vertices, again[0])
    assert np.array_equal(faces, again[1])


def test_a_decimated_sphere_has_the_faces_asked_for_and_stays_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever Python files lie in the current folder: none of them is run."""
    for name in ("open3d.py", "numpy.py", "random.py"):
        (tmp_path / name).write_text("raise SystemExit('run from the current folder')")
    monkeypatch.chdir(tmp_path)
    ball = trimesh.creation.icosphere(4)
    vertices, faces = decimate(np.array(ball.vertices), np.array(ball.faces, dtype=np.int64), 500)
    surface = trimesh.Trimesh(vertices, faces, process=False)
    assert 490 <= len(faces) <= 500
    assert surface.is_watertight
    assert surface.volume == pytest.approx(4 / 3 * np.pi, rel=0.04)


def test_a_child_that_takes_too_long_is_an_error() -> None:
    with pytest.raises(NativeCodeError, match="Open3D took more than"):
        poisson_surface(sphere(), sphere(), depth=5, scale=1.1, timeout_seconds=0.05)


@pytest.mark.skipif(os.name == "nt", reason="shell scripts")
@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("kill -s SEGV $$", r"Open3D failed \(exit -11\): no message"),
        ("exit 139", r"Open3D failed \(exit 139\): no message"),
        ("echo one >&2; echo two >&2; exit 1", r"Open3D failed \(exit 1\): two"),
    ],
)
def test_a_child_that_dies_is_an_error(
    script: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(NativeCodeError, match=message):
        poisson_surface(sphere(), sphere(), depth=5, scale=1.1)
    with pytest.raises(NativeCodeError, match=message):
        read_with_open3d(tmp_path / "cloud.pcd")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_child_whose_parent_no_longer_watches_ends_in_its_time(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "request.npz")  # it would wait for ever
    ran = subprocess.run(
        [sys.executable, "-m", "img2pc.open3d_process", "read", tmp_path, "0.1"],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=60,
    )
    assert ran.returncode == 1
    assert b"Timeout" in ran.stderr


def test_without_open3d_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(NativeCodeError, match="Open3D is not installed"):
        poisson_surface(sphere(), sphere(), depth=5, scale=1.1)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere Open3D brings all it needs")
def test_the_libusb_that_open3d_wants_is_loaded_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any library stands in for it, and a module that looks for it for Open3D."""
    import _ctypes

    library = tmp_path / "libstand-in-1.0.so"
    shutil.copy(_ctypes.__file__, library)
    (tmp_path / "libusb_package.py").write_text(
        f"from pathlib import Path\nget_library_path = lambda: Path({str(library)!r})\n"
    )
    (tmp_path / "open3d.py").write_text(
        "from pathlib import Path\n"
        "raise SystemExit(str('libstand-in' in Path('/proc/self/maps').read_text()))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(NativeCodeError, match="True"):
        poisson_surface(sphere(), sphere(), depth=5, scale=1.1)


def test_a_computer_without_temporary_files_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    with pytest.raises(BadInputError, match="cannot write temporary files"):
        poisson_surface(np.eye(3), np.eye(3), 4, 1.1)


def test_the_child_leaves_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(NativeCodeError):
        poisson_surface(sphere(), sphere(), depth=5, scale=1.1, timeout_seconds=0.05)
    assert list(tmp_path.iterdir()) == []


def test_meshing_imports_neither_open3d_nor_torch() -> None:
    code = "import sys, img2pc.meshing; print(sorted({'open3d', 'torch'} & set(sys.modules)))"
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert (ran.returncode, ran.stdout.strip()) == (0, "[]"), ran.stderr
