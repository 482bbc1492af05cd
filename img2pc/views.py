"""Views: what cameras see of an object. Generator, pseudo-renderer and ray caster all make them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy import ndarray
from torch import Tensor

from img2pc.cameras import pixel_grid


class Views(NamedTuple):
    """Per-pixel surface points and object mask of V cameras.

    Attributes:
        coordinates: X, Y, Z in each camera's own frame, object units; Z is the depth.
            Meaningless where the mask says background.
        mask_logits: log-odds that the pixel sees the object; ±inf for a certain mask.
    """

    coordinates: Float[Tensor, "*batch view height width 3"]
    mask_logits: Float[Tensor, "*batch view height width"]

    @property
    def depth(self) -> Float[Tensor, "*batch view height width"]:
        return self.coordinates[..., 2]

    @property
    def mask_probability(self) -> Float[Tensor, "*batch view height width"]:
        return self.mask_logits.sigmoid()

    def at(self, items: int | slice) -> Views:
        """One item of a batch, or some."""
        return Views(self.coordinates[items], self.mask_logits[items])

    @property
    def mask(self) -> Bool[Tensor, "*batch view height width"]:
        """The likeliest pixels of each view, as many as the probabilities say the object covers.

        A fixed threshold loses thin legs, whose place the generator is unsure of, and all of a
        thin lamp. Measured on 86 benchmark pictures (pred→GT, GT→pred, F@1%, F@2%): 4.05, 2.44,
        27.1, 50.9 against 4.86, 3.89, 26.8, 50.6 at a threshold of a half and 4.43, 2.22, 26.4,
        50.1 at 0.3. On 80 held-out procedural shapes it is level with a threshold of 0.4.
        """
        likeliest = likeliest_pixels(self.mask_probability.detach().cpu().numpy())
        return torch.from_numpy(likeliest).to(self.mask_logits.device)


def likeliest_pixels(
    probability: Float[ndarray, "*batch height width"],
) -> Bool[ndarray, "*batch height width"]:
    """Of each image the likeliest pixels, as many as their probabilities add up to."""
    images = probability.reshape(-1, probability.shape[-2] * probability.shape[-1])
    likeliest = np.zeros(images.shape, bool)
    for image, found, area in zip(images, likeliest, images.sum(1).round(), strict=True):
        if area > 0:
            # A twentieth of the time that PyTorch's `topk` takes.
            lowest = np.partition(image, -int(area))[-int(area)]
            np.greater_equal(image, lowest, out=found)
    return likeliest.reshape(probability.shape)


def views_from_depth(
    depth: Float[Tensor, "*batch view height width"],
    mask_logits: Float[Tensor, "*batch view height width"],
    shift: Float[Tensor, "*batch view height width 2"] | None = None,
) -> Views:
    """Views whose X and Y are the pixel centres, moved by `shift` (object units) where given.

    Differentiable in depth, mask_logits and shift.
    """
    x, y = pixel_grid(depth.shape[-1], depth.device).to(depth).unbind(-1)
    if shift is not None:
        x, y = x + shift[..., 0], y + shift[..., 1]
    # X, Y and Z of an item each in one piece: quicker to write here and to read in fusion.
    planes = torch.stack([x.expand(depth.shape), y.expand(depth.shape), depth], -4)
    return Views(planes.movedim(-4, -1), mask_logits)
