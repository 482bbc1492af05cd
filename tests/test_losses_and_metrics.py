from __future__ import annotations

from math import inf, log, nan

import numpy as np
import pytest
import torch
from numpy import ndarray
from torch.testing import assert_close

from img2pc.losses import depth_error, mask_iou, view_losses
from img2pc.metrics import F_SCORE_THRESHOLDS, compare_clouds
from img2pc.views import Views, views_from_depth


def one_view(mask_logits: list[float], depth: list[float]) -> Views:
    """A batch of one item with one 2×2 view."""
    return views_from_depth(
        torch.tensor(depth).reshape(1, 1, 2, 2), torch.tensor(mask_logits).reshape(1, 1, 2, 2)
    )


TRUE = one_view([inf, inf, -inf, -inf], [0.9, 1.1, 1.0, 1.0])


def test_a_perfect_prediction_costs_nothing() -> None:
    certain = one_view([50.0, 50.0, -50.0, -50.0], [0.9, 1.1, nan, 5.0])
    losses = view_losses(certain, TRUE)
    assert losses.coordinates == 0
    assert losses.mask < 1e-6
    assert losses.total < 1e-6
    assert mask_iou(certain, TRUE).tolist() == [1.0]


def test_an_undecided_mask_costs_ln_2() -> None:
    losses = view_losses(one_view([0.0] * 4, [0.9, 1.1, 1.0, 1.0]), TRUE)
    assert losses.mask.item() == pytest.approx(log(2))
    assert losses.total.item() == pytest.approx(log(2))


def test_coordinates_count_on_the_true_mask_only() -> None:
    """Depth is off by 0.2 and 0.1 where the truth is, by 9 where it is not."""
    predicted = one_view([50.0, 50.0, -50.0, -50.0], [1.1, 1.2, 10.0, 10.0])
    losses = view_losses(predicted, TRUE, coordinate_weight=3.0)
    assert losses.coordinates.item() == pytest.approx((0.2 + 0.1) / 2)
    assert losses.total.item() == pytest.approx(3 * 0.15)


def test_all_three_coordinates_count() -> None:
    predicted = one_view([50.0, 50.0, -50.0, -50.0], [0.9, 1.1, 1.0, 1.0])
    moved = predicted.coordinates + torch.tensor([0.01, -0.02, 0.03])
    losses = view_losses(Views(moved, predicted.mask_logits), TRUE)
    assert losses.coordinates.item() == pytest.approx(0.06)


def test_an_empty_truth_is_finite() -> None:
    nothing = one_view([-inf] * 4, [1.0] * 4)
    predicted = one_view([0.0] * 4, [2.0] * 4)
    losses = view_losses(predicted, nothing)
    assert losses.coordinates == 0
    assert losses.total.item() == pytest.approx(log(2))
    assert depth_error(predicted, nothing).tolist() == [0.0]
    assert mask_iou(one_view([-5.0] * 4, [1.0] * 4), nothing).isfinite().all()


def test_gradients_of_the_loss() -> None:
    """Of L1: the weight over the number of true pixels; of the mask: σ(0) - target, a mean."""
    predicted = Views(
        (TRUE.coordinates + 0.1).requires_grad_(), torch.zeros(1, 1, 2, 2, requires_grad=True)
    )
    view_losses(predicted, TRUE, coordinate_weight=3.0).total.backward()
    seen = torch.tensor([[1.0, 1.0], [0.0, 0.0]])
    assert predicted.coordinates.grad is not None
    assert_close(predicted.coordinates.grad[0, 0], (1.5 * seen)[..., None].expand(2, 2, 3))
    assert predicted.mask_logits.grad is not None
    assert_close(predicted.mask_logits.grad[0, 0], (0.5 - seen) / 4)


@pytest.mark.parametrize(
    ("logits", "expected"),
    [
        ([9.0, -9.0, 9.0, -9.0], 1 / 3),  # one of three
        ([9.0, 9.0, 9.0, 9.0], 2 / 4),
        ([-9.0, -9.0, 9.0, 9.0], 0.0),
        ([9.0, -9.0, -9.0, -9.0], 1 / 2),
    ],
)
def test_mask_iou(logits: list[float], expected: float) -> None:
    assert mask_iou(one_view(logits, [1.0] * 4), TRUE).item() == pytest.approx(expected)


def test_depth_error_is_a_mean_over_the_true_mask_of_each_item() -> None:
    predicted = one_view([0.0] * 4, [1.0, 1.4, 7.0, 7.0])
    assert depth_error(predicted, TRUE).tolist() == pytest.approx([(0.1 + 0.3) / 2])


def test_items_of_a_batch_are_measured_apart() -> None:
    predicted = one_view([1.0, 1.0, -1.0, -1.0], [1.0, 1.4, 7.0, 7.0])
    both = Views(*(torch.cat(pair) for pair in zip(predicted, TRUE, strict=True)))
    true = Views(*(value.repeat_interleave(2, 0) for value in TRUE))
    assert depth_error(both, true).tolist() == pytest.approx([0.2, 0.0])
    assert mask_iou(both, true).tolist() == [1.0, 1.0]


# --- Clouds ---------------------------------------------------------------------------------------


def nearest_by_double_loop(one: ndarray, other: ndarray) -> ndarray:
    return np.array([min(float(np.sqrt(((p - q) ** 2).sum())) for q in other) for p in one])


def test_scores_agree_with_a_double_loop() -> None:
    rng = np.random.default_rng(0)
    predicted, true = rng.random((40, 3)) * 0.1, rng.random((30, 3)) * 0.1
    scores = compare_clouds(predicted, true)
    to_true = nearest_by_double_loop(predicted, true)
    to_predicted = nearest_by_double_loop(true, predicted)
    assert scores.predicted_to_true == pytest.approx(100 * to_true.mean())
    assert scores.true_to_predicted == pytest.approx(100 * to_predicted.mean())
    for threshold, score in zip(F_SCORE_THRESHOLDS, scores.f_scores, strict=True):
        precision, recall = np.mean(to_true < threshold), np.mean(to_predicted < threshold)
        assert score == pytest.approx(100 * 2 * precision * recall / (precision + recall))


def test_identical_clouds() -> None:
    cloud = np.random.default_rng(0).random((50, 3))
    scores = compare_clouds(cloud, cloud)
    assert scores.predicted_to_true == scores.true_to_predicted == 0
    assert scores.f_scores == pytest.approx((100.0, 100.0, 100.0))


def test_convention_distances_are_times_100_and_f_scores_at_1_2_and_5_per_cent() -> None:
    grid = np.stack(np.meshgrid(*[np.arange(4) * 0.1] * 3), -1).reshape(-1, 3)
    scores = compare_clouds(grid + np.array([0.015, 0, 0]), grid)
    assert F_SCORE_THRESHOLDS == (0.01, 0.02, 0.05)
    assert scores.predicted_to_true == pytest.approx(1.5)
    assert scores.true_to_predicted == pytest.approx(1.5)
    assert scores.f_scores == pytest.approx((0.0, 100.0, 100.0))


def test_the_two_directions_are_told_apart() -> None:
    """Half of the truth is missing: accurate, not complete."""
    true = np.array([[0.0, 0, 0], [0.5, 0, 0]])
    scores = compare_clouds(true[:1], true)
    assert scores.predicted_to_true == 0
    assert scores.true_to_predicted == pytest.approx(25.0)
    assert scores.f_scores == pytest.approx((200 / 3,) * 3)


def test_an_empty_prediction_scores_the_worst() -> None:
    scores = compare_clouds(np.zeros((0, 3)), np.zeros((1, 3)))
    assert (scores.predicted_to_true, scores.true_to_predicted) == (100.0, 100.0)
    assert scores.f_scores == (0.0, 0.0, 0.0)
