"""One picture of one object → a dense 3D point cloud and a printable mesh."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from img2pc.choices import Background
    from img2pc.images import Mask, Picture
    from img2pc.pointclouds import PointCloud
    from img2pc.reconstruction import Reconstructor

__all__ = ["Reconstructor", "reconstruct"]
__version__ = "0.1.0"


def reconstruct(
    picture: Picture,
    *,
    background: Background = "auto",
    mask: Mask | None = None,
    points: int | None = None,
    colour: bool = True,
    weights: str | Path | None = None,
    device: str = "cpu",
) -> PointCloud:
    """Picture of one object → its point cloud, in the object frame, in the picture's colours.

    The picture is a file, an open one, a Pillow image, or an array of RGB or straight-alpha RGBA.

    `background` says how to tell the object from it; a `mask`, which is white, true or opaque where
    the object is (a file, a Pillow image or an array), is taken instead. `device` is as PyTorch
    names it.
    Loads the weights each time; keep a `Reconstructor` for many pictures.

    Raises:
        BadInputError: the picture is unreadable or no object is found in it.
        WeightsError: the weights are missing, damaged or not ours.
    """
    # PyTorch takes seconds to import: only when it is needed.
    from img2pc.reconstruction import Reconstructor

    reconstructor = Reconstructor.load(weights, device)
    return reconstructor(picture, background, mask, points, colour).cloud


def __getattr__(name: str) -> object:
    if name == "Reconstructor":
        from img2pc.reconstruction import Reconstructor

        return Reconstructor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
