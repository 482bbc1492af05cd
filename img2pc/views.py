"""Views: what cameras see of an object. Generator, pseudo-renderer and ray caster all make them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
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


def views_from_depth(
    depth: Float[Tensor, "*batch view height width"],
    mask_logits: Float[Tensor, "*batch view height width"],
    shift: Float[Tensor, "*batch view height width 2"] | None = None,
) -> Views:
    """Views whose X and Y are the pixel centres, moved by `shift` (object units) where given.

    Differentiable in depth, mask_logits and shift.
    """
    grid = pixel_grid(depth.shape[-1]).to(depth).expand(*depth.shape, 2)
    xy = grid if shift is None else grid + shift
    return Views(torch.cat([xy, depth[..., None]], -1), mask_logits)
