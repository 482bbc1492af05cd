"""The story in a few lines: photo → crop → Views → PointCloud."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import UInt8
from numpy import ndarray
from torch import Tensor

from img2pc.cameras import fixed_cameras
from img2pc.checkpoints import WeightsInfo, default_weights, load_weights
from img2pc.errors import BadInputError
from img2pc.fusion import fuse
from img2pc.generator import StructureGenerator
from img2pc.images import crop_to_foreground, network_input, read_image, with_foreground_alpha
from img2pc.pointclouds import PointCloud
from img2pc.views import Views

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reconstruction:
    """What came of one picture; `crop` is what the generator saw."""

    crop: UInt8[ndarray, "size size 4"]
    views: Views
    cloud: PointCloud


@dataclass(frozen=True)
class Reconstructor:
    """A trained generator on its device, ready for any number of pictures."""

    generator: StructureGenerator
    info: WeightsInfo

    @classmethod
    def load(cls, weights: Path | None = None, device: str = "cpu") -> Reconstructor:
        """The bundled weights, or those of a file.

        Raises:
            WeightsError: they are missing, damaged or not ours.
        """
        with _phase("load weights"):
            generator, info = load_weights(weights or default_weights())
            return cls(generator.to(device), info)

    def __call__(self, picture: Path | UInt8[ndarray, "height width 4"]) -> Reconstruction:
        """Reconstruct the object of one picture: a file, or straight-alpha RGBA.

        Raises:
            BadInputError: the picture is unreadable or no object is found in it.
        """
        with _phase("read"):
            rgba = read_image(picture) if isinstance(picture, Path) else picture
        with _phase("cut out and crop"):
            crop = crop_to_foreground(with_foreground_alpha(rgba), self.info.config.image_size)
        with _phase("generate views"):
            views = self.views(torch.from_numpy(crop.copy())[None])
        with _phase("fuse"):
            return Reconstruction(crop, views, self.fuse(views))

    @torch.inference_mode()
    def views(self, crops: UInt8[Tensor, "batch size size 4"]) -> Views:
        """Views at the fixed cameras, in float32 on the CPU."""
        device = next(self.generator.parameters()).device
        views = self.generator(network_input(crops.to(device)))
        return Views(views.coordinates.cpu(), views.mask_logits.cpu())

    def fuse(self, views: Views, item: int = 0) -> PointCloud:
        """The cloud of one item of a batch of Views.

        Raises:
            BadInputError: the generator sees no object.
        """
        one = Views(views.coordinates[item], views.mask_logits[item])
        cloud = fuse(one, fixed_cameras(self.info.config.view_size))
        if not len(cloud):
            raise BadInputError("no object was recognised in the picture")
        return cloud


def reconstruct(
    picture: Path | UInt8[ndarray, "height width 4"],
    weights: Path | None = None,
    device: str = "cpu",
) -> PointCloud:
    """Picture of one object → its point cloud, in the object frame.

    Loads the weights each time; keep a `Reconstructor` for many pictures.

    Raises:
        BadInputError: the picture is unreadable or no object is found in it.
        WeightsError: the weights are missing, damaged or not ours.
    """
    return Reconstructor.load(weights, device)(picture).cloud


@contextmanager
def _phase(name: str) -> Iterator[None]:
    begin = time.perf_counter()
    yield
    log.info("%-18s %6.0f ms", name, 1000 * (time.perf_counter() - begin))
