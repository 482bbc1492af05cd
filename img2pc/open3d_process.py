"""What Open3D does for us, in a child process: Poisson surfaces, decimation, rarer file formats.

Its native code can crash or never return on odd clouds; this way it takes only the child with it.
Nothing else imports Open3D.
"""

from __future__ import annotations

import ctypes
import faulthandler
import importlib.util
import logging
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from img2pc.errors import Img2pcError
from img2pc.files import temporary_folder, write_errors

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 300.0
_SMOOTHING_STEPS = 5
if sys.platform == "win32":
    # Elsewhere workers pass on that they ignore Ctrl-C (workers.begin_worker).
    _FLAGS = subprocess.CREATE_NEW_PROCESS_GROUP
else:
    _FLAGS = 0


class NativeCodeError(Img2pcError):
    """Open3D is not there, crashed, took too long or refused."""


def poisson_surface(
    points: Float[ndarray, "point 3"],
    normals: Float[ndarray, "point 3"],
    depth: int,
    scale: float,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> tuple[Float[ndarray, "vertex 3"], Int[ndarray, "face 3"]]:
    """The untrimmed, lightly smoothed Poisson surface of an oriented cloud, in the cloud's frame.

    Outward normals give outward faces. Closed unless the surface leaves the octree's cube, `scale`
    times the cloud's longest side. The same cloud gives the same surface, bit for bit (one thread).
    Source: Kazhdan and Hoppe, Screened Poisson surface reconstruction, 2013.

    Raises:
        NativeCodeError: Open3D crashed, took too long or refused.
        BadInputError: there is no place for temporary files.
    """
    request = {
        "points": points,
        "normals": normals,
        "depth": np.array(depth),
        "scale": np.array(scale),
    }
    answer = _call("poisson", request, timeout_seconds)
    return answer["vertices"], answer["faces"]


def decimate(
    vertices: Float[ndarray, "vertex 3"], faces: Int[ndarray, "face 3"], count: int
) -> tuple[Float[ndarray, "kept_vertex 3"], Int[ndarray, "kept_face 3"]]:
    """The surface with at most `count` faces, by quadric edge collapse (Garland, Heckbert 1997).

    Raises:
        NativeCodeError: Open3D crashed, took too long or refused.
        BadInputError: there is no place for temporary files.
    """
    request = {"vertices": vertices, "faces": faces, "count": np.array(count)}
    answer = _call("decimate", request, TIMEOUT_SECONDS)
    return answer["vertices"], answer["faces"]


def read_with_open3d(path: Path) -> dict[str, ndarray]:
    """`points`, and `normals` and `colours` (0…255) if there are any, of a PCD file.

    Raises:
        NativeCodeError: Open3D cannot read it.
        BadInputError: there is no place for temporary files.
    """
    return _call("read", {"path": np.array(str(path.resolve()))}, TIMEOUT_SECONDS)


def _call(task: str, request: dict[str, ndarray], timeout_seconds: float) -> dict[str, ndarray]:
    if importlib.util.find_spec("open3d") is None:
        raise NativeCodeError(
            "Open3D is not installed; it has releases for Python 3.10 to 3.14 "
            "(on Linux with ARM from 3.13 on)"
        )
    with temporary_folder() as folder:
        with write_errors(folder):
            _save(folder / "request.npz", request)
        # The child finds what this process finds, and nothing that lies in the current folder.
        paths = [os.path.abspath(path) for path in sys.path if path]  # noqa: PTH100
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
        command = [sys.executable, "-m", "img2pc.open3d_process", task, str(folder)]
        try:
            done = subprocess.run(
                [*command, str(timeout_seconds + 1)],
                env=environment,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=timeout_seconds,
                check=False,
                creationflags=_FLAGS,
            )
        except subprocess.TimeoutExpired as error:
            raise NativeCodeError(f"Open3D took more than {timeout_seconds:g} s") from error
        said = done.stderr.decode(errors="replace").strip()
        log.debug("%s", said)
        if done.returncode:
            last = said.splitlines()[-1] if said else "no message"
            raise NativeCodeError(f"Open3D failed (exit {done.returncode}): {last}")
        with np.load(folder / "answer.npz", allow_pickle=False) as answer:
            return dict(answer)


def _save(path: Path, arrays: dict[str, ndarray]) -> None:
    np.savez(path, **cast(dict[str, Any], arrays))


def _open3d() -> Any:
    """Open3D without what draws and what learns, whose imports take two of its three seconds."""
    for name in ("open3d.visualization", "open3d.ml"):
        sys.modules.setdefault(name, ModuleType(name))
    _load_libusb()
    import open3d

    return open3d


def _load_libusb() -> None:
    """Open3D 0.20 on Linux does not start without the library of cameras that we never ask."""
    try:
        from libusb_package import get_library_path
    except ImportError:  # only where that release is
        return
    if (library := get_library_path()) is not None:
        ctypes.CDLL(str(library))


def _poisson(request: dict[str, ndarray]) -> dict[str, ndarray]:
    open3d = _open3d()
    cloud = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(request["points"]))
    cloud.normals = open3d.utility.Vector3dVector(request["normals"])
    surface, _ = open3d.geometry.TriangleMesh.create_from_point_cloud_poisson(
        cloud, depth=int(request["depth"]), scale=float(request["scale"]), n_threads=1
    )
    surface = surface.filter_smooth_taubin(_SMOOTHING_STEPS)
    return {"vertices": np.asarray(surface.vertices), "faces": np.asarray(surface.triangles)}


def _decimate(request: dict[str, ndarray]) -> dict[str, ndarray]:
    open3d = _open3d()
    surface = open3d.geometry.TriangleMesh(
        open3d.utility.Vector3dVector(request["vertices"]),
        open3d.utility.Vector3iVector(request["faces"].astype(np.int32)),
    )
    surface = surface.simplify_quadric_decimation(int(request["count"]))
    return {"vertices": np.asarray(surface.vertices), "faces": np.asarray(surface.triangles)}


def _read(request: dict[str, ndarray]) -> dict[str, ndarray]:
    open3d = _open3d()
    cloud = open3d.io.read_point_cloud(str(request["path"]), remove_nan_points=True)
    answer = {"points": np.asarray(cloud.points)}
    if cloud.has_normals():
        answer["normals"] = np.asarray(cloud.normals)
    if cloud.has_colors():
        answer["colours"] = (np.asarray(cloud.colors) * 255).round().astype(np.uint8)
    return answer


def _main(task: str, folder: str) -> None:
    work = {"poisson": _poisson, "decimate": _decimate, "read": _read}[task]
    with np.load(Path(folder) / "request.npz", allow_pickle=False) as request:
        answer = work(dict(request))
    _save(Path(folder) / "answer.npz", answer)


if __name__ == "__main__":
    # Whoever kills the parent kills its time limit too. Native code holds Python's lock, but not
    # this one's thread.
    faulthandler.dump_traceback_later(float(sys.argv[3]), exit=True)
    _main(*sys.argv[1:3])
