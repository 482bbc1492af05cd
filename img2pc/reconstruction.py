"""The story in a few lines: photo → crop → Views → PointCloud, coloured by the photo."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import UInt8
from numpy import ndarray
from torch import Tensor

from img2pc.cameras import fixed_cameras
from img2pc.checkpoints import WeightsInfo, default_weights, load_weights
from img2pc.choices import Background
from img2pc.colouring import colours_from_picture
from img2pc.errors import BadInputError
from img2pc.foreground import Foreground, find_foreground
from img2pc.fusion import fuse
from img2pc.generator import StructureGenerator
from img2pc.images import (
    HOW_TO_SHOW_IT,
    Mask,
    Picture,
    crop_to_foreground,
    network_input,
    read_image,
    read_mask,
)
from img2pc.pointclouds import PointCloud
from img2pc.views import Views

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CutOut:
    """The object of a picture; `crop` is what the generator sees of it."""

    foreground: Foreground
    crop: UInt8[ndarray, "size size 4"]

    def without_picture(self) -> CutOut:
        """With the crop alone, a hundredth of the memory; masks and previews want the picture."""
        return replace(self, foreground=replace(self.foreground, rgba=self.crop))


@dataclass(frozen=True)
class Reconstruction:
    """What came of one picture.

    Attributes:
        cloud: of as many points as were asked for.
        whole_cloud: of all of them; what a mesh is made of.
    """

    cut_out: CutOut
    cloud: PointCloud
    whole_cloud: PointCloud


@dataclass(frozen=True)
class Reconstructor:
    """A trained generator on its device, ready for any number of pictures."""

    generator: StructureGenerator
    info: WeightsInfo

    @classmethod
    def load(cls, weights: str | Path | None = None, device: str = "cpu") -> Reconstructor:
        """The bundled weights, or those of a file; `device` as PyTorch names it.

        Raises:
            WeightsError: they are missing, damaged or not ours.
        """
        with _phase("load weights"):
            generator, info = load_weights(Path(weights or default_weights()))
            return cls(generator.to(device), info)

    def __call__(
        self,
        picture: Picture,
        background: Background = "auto",
        mask: Mask | None = None,
        points: int | None = None,
        colour: bool = True,
    ) -> Reconstruction:
        """Reconstruct the object of one picture.

        Args:
            background: how to tell it from the object.
            mask: white, true or opaque where the object is; instead of `background`.
            points: keep at most this many, drawn uniformly from a fixed seed.
            colour: whether the points take the colours of the picture.

        Raises:
            BadInputError: the picture is unreadable or no object is found in it.
        """
        cut_out = self.cut_out(picture, background, mask)
        for warning in cut_out.foreground.warnings:
            log.warning("%s", warning)
        with _phase("generate views"):
            views = self.views(torch.from_numpy(cut_out.crop.copy())[None])
        return self.finish(cut_out, views, points=points, colour=colour)

    def cut_out(
        self, picture: Picture, background: Background = "auto", mask: Mask | None = None
    ) -> CutOut:
        """Find the object of a picture and crop it as training does.

        Raises:
            BadInputError: the picture is unreadable or no object is found in it.
        """
        with _phase("read"):
            rgba = read_image(picture)
            chosen = None if mask is None else read_mask(mask, rgba.shape[:2])
        with _phase("cut out and crop"):
            foreground = find_foreground(rgba, background, chosen)
            crop = crop_to_foreground(foreground.rgba, self.info.config.image_size)
        log.info("%-18s %s", "foreground", foreground.method)
        return CutOut(foreground, crop)

    @property
    def device(self) -> torch.device:
        return next(self.generator.parameters()).device

    @torch.no_grad()  # of inference mode nothing could go on with gradients
    def views(self, crops: UInt8[Tensor, "batch size size 4"]) -> Views:
        """Views at the fixed cameras, in float32 on the CPU."""
        views = self.generator(network_input(crops.to(self.device)))
        return Views(views.coordinates.cpu(), views.mask_logits.cpu())

    def finish(
        self,
        cut_out: CutOut,
        views: Views,
        item: int = 0,
        points: int | None = None,
        colour: bool = True,
    ) -> Reconstruction:
        """What comes of a picture and its item of a batch of Views; `points`, `colour` as above.

        Raises:
            BadInputError: the generator sees no object, or no points are wanted.
        """
        if points is not None and points < 1:
            raise BadInputError(f"a cloud has 1 point or more, not {points}")
        with _phase("fuse"):
            whole = self.fuse(views, item)
        if colour:
            with _phase("colour"):
                colours = colours_from_picture(whole, cut_out.crop)
                whole = replace(whole, colours=colours)
        cloud = whole
        if points is not None:
            cloud = whole.subsample(points, torch.Generator().manual_seed(0))
        return Reconstruction(cut_out, cloud, whole)

    def fuse(self, views: Views, item: int = 0) -> PointCloud:
        """The cloud of one item of a batch of Views.

        Raises:
            BadInputError: the generator sees no object.
        """
        cloud = fuse(views.at(item), fixed_cameras(self.info.config.view_size))
        if not len(cloud):
            raise BadInputError(f"no object was recognised in the picture; {HOW_TO_SHOW_IT}")
        return cloud


@contextmanager
def _phase(name: str) -> Iterator[None]:
    begin = time.perf_counter()
    yield
    log.info("%-18s %6.0f ms", name, 1000 * (time.perf_counter() - begin))
