"""Losses compare Views with Views: what the generator predicts with what the ray caster saw."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from img2pc.pseudo_renderer import RenderedViews
from img2pc.views import Views


@dataclass(frozen=True)
class ViewLosses:
    """Scalars; `total` is what training minimises."""

    total: Float[Tensor, ""]
    mask: Float[Tensor, ""]
    coordinates: Float[Tensor, ""]


def view_losses(predicted: Views, true: Views, coordinate_weight: float = 3.0) -> ViewLosses:
    """Mask cross-entropy, a mean over all pixels, and L1 of X, Y, Z, a mean over the true mask.

    Differentiable in the prediction. Source: Lin et al. 2018, sec. 3.3 and 4.1 (stage 1), with
    the true mask choosing the pixels instead of the predicted one.
    """
    seen = true.mask_logits > 0
    mask = functional.binary_cross_entropy_with_logits(predicted.mask_logits, seen.float())
    error = (predicted.coordinates - true.coordinates).where(seen[..., None], 0)
    coordinates = error.abs().sum() / seen.sum().clamp(min=1)
    return ViewLosses(mask + coordinate_weight * coordinates, mask.detach(), coordinates.detach())


def rendered_losses(rendered: RenderedViews, true: Views, depth_weight: float = 3.0) -> ViewLosses:
    """Mask cross-entropy over all pixels and L1 of the depth where both saw one surface.

    Differentiable in what was rendered. Source: Lin et al. 2018, sec. 3.3 (stage 2).
    """
    seen = true.mask_logits > 0
    logits = rendered.views.mask_logits
    mask = functional.binary_cross_entropy_with_logits(logits, seen.to(logits))
    compared = seen & rendered.has_depth
    error = (rendered.views.depth - true.depth).abs() * compared
    depth = error.sum() / compared.sum().clamp(min=1)
    return ViewLosses(mask + depth_weight * depth, mask.detach(), depth.detach())
