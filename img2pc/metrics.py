"""How far a prediction is from the truth: clouds from points, views from what was seen.

All distances are in bounding-box diagonals.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.spatial import cKDTree
from torch import Tensor

from img2pc.views import Views

F_SCORE_THRESHOLDS = (0.01, 0.02, 0.05)


@dataclass(frozen=True)
class CloudScores:
    """Agreement of a predicted cloud with the true one.

    Attributes:
        predicted_to_true: mean distance of predicted points to the nearest true one, ×100
            (Lin et al. 2018, sec. 4.1: accuracy of the shape).
        true_to_predicted: the same the other way, ×100 (completeness).
        f_scores: harmonic mean of precision and recall within each of F_SCORE_THRESHOLDS, ×100,
            over all points.
    """

    predicted_to_true: float
    true_to_predicted: float
    f_scores: tuple[float, ...]

    @property
    def chamfer(self) -> float:
        """Chamfer distance: the sum of both mean distances, unsquared, ×100."""
        return self.predicted_to_true + self.true_to_predicted


def compare_clouds(
    predicted: Float[ndarray, "predicted 3"],
    true: Float[ndarray, "true 3"],
    sampled: int | None = None,
    seed: int = 0,
) -> CloudScores:
    """Two-way nearest-neighbour distances, unsquared, over all points or `sampled` of each cloud.

    Sampled points are drawn without replacement and look for the nearest of *all* points of the
    other cloud: with 200 the distances compare with the published ones (evaluate_dist.py of Lin et
    al. 2018). An empty prediction scores a diagonal both ways and no F-score.
    """
    if not len(predicted):
        return CloudScores(100.0, 100.0, (0.0,) * len(F_SCORE_THRESHOLDS))
    to_true, _ = cKDTree(true).query(predicted)
    to_predicted, _ = cKDTree(predicted).query(true)
    rng = np.random.default_rng(seed)
    # The true points first: one seed then picks the same ones whatever the prediction.
    completeness = _mean_of_sample(to_predicted, sampled, rng)
    accuracy = _mean_of_sample(to_true, sampled, rng)
    f_scores = []
    for threshold in F_SCORE_THRESHOLDS:
        precision, recall = (to_true < threshold).mean(), (to_predicted < threshold).mean()
        f_scores.append(float(200 * precision * recall / max(precision + recall, 1e-12)))
    return CloudScores(100 * accuracy, 100 * completeness, tuple(f_scores))


def _mean_of_sample(
    distances: Float[ndarray, "point"], sampled: int | None, rng: np.random.Generator
) -> float:
    if sampled is None:
        return float(distances.mean())
    return float(rng.permutation(distances)[:sampled].mean())


def depth_error(predicted: Views, true: Views) -> Float[Tensor, "batch"]:
    """Mean absolute depth error over the true mask of each item, object units."""
    error, seen = _depth_error_sums(predicted, true)
    return error.sum(1) / seen.sum(1).clamp(min=1)


def depth_error_by_view(predicted: Views, true: Views) -> Float[Tensor, "batch view"]:
    """Mean absolute depth error over the true mask of each view, object units."""
    error, seen = _depth_error_sums(predicted, true)
    return error / seen.clamp(min=1)


def _depth_error_sums(
    predicted: Views, true: Views
) -> tuple[Float[Tensor, "batch view"], Float[Tensor, "batch view"]]:
    seen = (true.mask_logits > 0).float()
    error = (predicted.depth - true.depth).abs() * seen
    return error.sum((2, 3)), seen.sum((2, 3))


def mask_iou(predicted: Views, true: Views) -> Float[Tensor, "batch"]:
    """Intersection over union of all views' masks together, for each item."""
    both, either = _mask_overlap(predicted, true)
    return both.sum(1) / either.sum(1).clamp(min=1)


def mask_iou_by_view(predicted: Views, true: Views) -> Float[Tensor, "batch view"]:
    """Intersection over union of each view's mask alone."""
    both, either = _mask_overlap(predicted, true)
    return both / either.clamp(min=1)


def _mask_overlap(
    predicted: Views, true: Views
) -> tuple[Float[Tensor, "batch view"], Float[Tensor, "batch view"]]:
    ours, theirs = predicted.mask, true.mask_logits > 0
    return (ours & theirs).sum((2, 3)).float(), (ours | theirs).sum((2, 3)).float()
