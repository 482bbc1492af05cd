"""Views: what cameras see of an object. Generator, pseudo-renderer and ray caster all make them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
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

    @property
    def mask(self) -> Bool[Tensor, "*batch view height width"]:
        """The likeliest pixels of each view, as many as the probabilities say the object covers.

        A fixed threshold loses thin legs, whose place the generator is unsure of, and all of a
        thin lamp. Measured on 86 benchmark pictures (pred→GT, GT→pred, F@1%, F@2%): 4.05, 2.44,
        27.1, 50.9 against 4.86, 3.89, 26.8, 50.6 at a threshold of a half and 4.43, 2.22, 26.4,
        50.1 at 0.3. On 80 held-out procedural shapes it is level with a threshold of 0.4.
        """
        probability = self.mask_probability.flatten(-2)
        area = probability.sum(-1, keepdim=True).round().long()
        likeliest = probability.topk(max(1, int(area.max())), -1).values
        lowest = likeliest.gather(-1, (area - 1).clamp(min=0))
        return ((probability >= lowest) & (area > 0)).view(self.mask_logits.shape)


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
