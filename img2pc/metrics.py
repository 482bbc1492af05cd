"""How far a predicted cloud is from the truth. All distances are in bounding-box diagonals."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from numpy import ndarray
from scipy.spatial import cKDTree

F_SCORE_THRESHOLDS = (0.01, 0.02, 0.05)


@dataclass(frozen=True)
class CloudScores:
    """Agreement of a predicted cloud with the true one.

    Attributes:
        predicted_to_true: mean distance of predicted points to the nearest true one, ×100
            (Lin et al. 2018, sec. 4.1: accuracy of the shape).
        true_to_predicted: the same the other way, ×100 (completeness).
        f_scores: harmonic mean of precision and recall within each of F_SCORE_THRESHOLDS, ×100.
    """

    predicted_to_true: float
    true_to_predicted: float
    f_scores: tuple[float, ...]


def compare_clouds(
    predicted: Float[ndarray, "predicted 3"], true: Float[ndarray, "true 3"]
) -> CloudScores:
    """Two-way nearest-neighbour distances over all points, unsquared.

    An empty prediction scores a diagonal both ways and no F-score.
    """
    if not len(predicted):
        return CloudScores(100.0, 100.0, (0.0,) * len(F_SCORE_THRESHOLDS))
    to_true, _ = cKDTree(true).query(predicted)
    to_predicted, _ = cKDTree(predicted).query(true)
    f_scores = []
    for threshold in F_SCORE_THRESHOLDS:
        precision, recall = (to_true < threshold).mean(), (to_predicted < threshold).mean()
        f_scores.append(float(200 * precision * recall / max(precision + recall, 1e-12)))
    return CloudScores(
        float(100 * to_true.mean()), float(100 * to_predicted.mean()), tuple(f_scores)
    )
