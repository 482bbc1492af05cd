"""What works on this machine: found out by trying, not by looking at version numbers."""

from __future__ import annotations

import functools
import importlib
import platform
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from img2pc import __version__
from img2pc.errors import Img2pcError

# What imports PyTorch is imported where it is tried: PyTorch may be what does not work.
if TYPE_CHECKING:
    from img2pc.reconstruction import Reconstructor

EXTRAS = {
    "heic": ("pillow-heif",),
    "rembg": ("rembg",),
    "train": ("embreex", "lightning-fabric"),
    "ray": ("ray",),
}


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        error: why it does not work, or None.
    """

    name: str
    value: str
    error: Img2pcError | None = None


def examine(weights: Path | None = None) -> Iterator[Finding]:
    """Everything that a reconstruction, a mesh and the extras need, one by one."""
    yield Finding("img2pc", __version__)
    yield Finding("Python", f"{platform.python_version()}, {platform.platform()}")
    pytorch = _tried("PyTorch", _pytorch)
    yield pytorch
    if pytorch.error is None:
        yield _tried("CUDA", _cuda)
        load = functools.cache(lambda: _loaded(weights))
        yield _tried("weights", lambda: _weights(weights, load()))
        yield _tried("forward pass", lambda: _forward(load()))
    yield _tried("meshing", _meshing)
    if pytorch.error is None:
        for extra, packages in EXTRAS.items():
            yield Finding(f"extra {extra}", _extra(extra, packages))


def _tried(name: str, attempt: Callable[[], str]) -> Finding:
    try:
        return Finding(name, attempt())
    except Img2pcError as error:
        return Finding(name, str(error), error)
    except Exception as error:  # of a library that does not load, for one
        text = f"{type(error).__name__}: {error}"
        return Finding(name, text, Img2pcError(f"{name} does not work here: {text}"))


def _pytorch() -> str:
    try:
        import torch
    except Exception as error:
        hint = ""
        if sys.platform == "win32":
            hint = (
                " (is Microsoft's Visual C++ Redistributable installed? "
                "https://aka.ms/vc14/vc_redist.x64.exe)"
            )
        raise Img2pcError(f"PyTorch does not load: {error}{hint}") from error
    return f"{torch.__version__}, {torch.get_num_threads()} threads"


def _cuda() -> str:
    import torch

    if not torch.cuda.is_available():
        return "none; the CPU will do"
    for i in range(torch.cuda.device_count()):
        torch.ones(1, device=f"cuda:{i}").add(1).item()
    return ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))


def _loaded(weights: Path | None) -> Reconstructor:
    from img2pc.reconstruction import Reconstructor

    return Reconstructor.load(weights)


def _weights(weights: Path | None, reconstructor: Reconstructor) -> str:
    from img2pc.checkpoints import default_weights, weights_digest

    path = weights or default_weights()
    samples = reconstructor.info.samples
    return f"{path}, digest {weights_digest(path)[:16]}, {samples} pictures seen"


def _forward(reconstructor: Reconstructor) -> str:
    import torch

    size = reconstructor.info.config.image_size
    crops = torch.full((1, size, size, 4), 255, dtype=torch.uint8)
    reconstructor.views(crops)  # the first one prepares
    begin = time.perf_counter()
    reconstructor.views(crops)
    return f"{1000 * (time.perf_counter() - begin):.0f} ms"


def _meshing() -> str:
    """Poisson reconstruction of a ball, in Open3D's process as always, and its mesh as a 3MF."""
    from img2pc.mesh_files import TriangleMesh, encode_mesh
    from img2pc.open3d_process import poisson_surface

    importlib.import_module("img2pc.meshing")  # and what makes a surface solid
    normals = np.random.default_rng(0).normal(size=(500, 3))
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    begin = time.perf_counter()
    vertices, faces = poisson_surface(normals, normals, depth=4, scale=1.1)
    encode_mesh(TriangleMesh(vertices, faces), ".3mf")
    seconds = time.perf_counter() - begin
    installed = _version("open3d-cpu") or _version("open3d")
    return f"Open3D {installed}, {len(faces)} faces in {seconds:.1f} s"


def _extra(extra: str, packages: tuple[str, ...]) -> str:
    from img2pc.foreground import (
        MODEL_MISSING,
        REMBG_MISSING,
        rembg_alpha,
        rembg_installed,
        rembg_model,
    )

    versions = {package: _version(package) for package in packages}
    if extra == "rembg" and not rembg_installed():
        return REMBG_MISSING
    if None in versions.values():
        return f'not installed: pip install "img2pc[{extra}]"'
    found = ", ".join(f"{package} {number}" for package, number in versions.items())
    try:
        if extra == "rembg":
            model = rembg_model()
            if model is None:
                return f"{found}; {MODEL_MISSING}"
            rembg_alpha(np.zeros((8, 8, 3), dtype=np.uint8), model)
        else:
            for package in packages:
                importlib.import_module(package.replace("-", "_"))
    except Exception as error:
        return f"{found}; does not work: {error}"
    return found


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
