from __future__ import annotations

from math import inf, log, nan

import numpy as np
import pytest
import torch
from numpy import ndarray
from torch.testing import assert_close

from img2pc.losses import view_losses
from img2pc.metrics import (
    F_SCORE_THRESHOLDS,
    compare_clouds,
    depth_error,
    depth_error_by_view,
    mask_iou,
    mask_iou_by_view,
)
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


def test_views_are_measured_apart() -> None:
    """View 0: one of three pixels, depth off by 0.1 and 0.3; view 1: perfect; view 2: missed."""
    first = one_view([9.0, -9.0, 9.0, -9.0], [1.0, 1.4, 7.0, 7.0])
    missed = one_view([-9.0, -9.0, 9.0, -9.0], [0.9, 1.1, 7.0, 7.0])
    predicted = Views(*(torch.cat(three, 1) for three in zip(first, TRUE, missed, strict=True)))
    true = Views(*(value.repeat_interleave(3, 1) for value in TRUE))
    assert mask_iou_by_view(predicted, true)[0].tolist() == pytest.approx([1 / 3, 1.0, 0.0])
    assert depth_error_by_view(predicted, true)[0].tolist() == pytest.approx([0.2, 0.0, 0.0])
    assert mask_iou(predicted, true).tolist() == pytest.approx([3 / 8])
    assert depth_error(predicted, true).tolist() == pytest.approx([0.4 / 6])


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


def test_chamfer_is_the_sum_of_both_directions() -> None:
    """Predicted → true: 0.1 and 0.3, a mean of 0.2; true → predicted: 0.1."""
    predicted, true = np.array([[0.1, 0, 0], [0, 0.3, 0]]), np.zeros((1, 3))
    scores = compare_clouds(predicted, true)
    assert scores.predicted_to_true == pytest.approx(20.0)
    assert scores.true_to_predicted == pytest.approx(10.0)
    assert scores.chamfer == pytest.approx(30.0)


# 0.01, 0.02 … 0.08 from the origin.
LADDER = np.stack([np.arange(1, 9) / 100, np.zeros(8), np.zeros(8)], -1)


def test_a_sample_is_drawn_without_replacement() -> None:
    """As many points as there are, or more, are all of them: 4.5 on average."""
    for sampled in (8, 200):
        scores = compare_clouds(np.zeros((1, 3)), LADDER, sampled)
        assert scores.true_to_predicted == pytest.approx(4.5)
        assert scores.predicted_to_true == pytest.approx(1.0)


def test_each_direction_is_sampled() -> None:
    """One point of eight: a whole number; all are drawn by some seed, the same seed agrees."""
    origin = np.zeros((1, 3))
    there = [compare_clouds(LADDER, origin, 1, seed).predicted_to_true for seed in range(60)]
    back = [compare_clouds(origin, LADDER, 1, seed).true_to_predicted for seed in range(60)]
    for distances in (there, back):
        assert {round(distance, 6) for distance in distances} == {1, 2, 3, 4, 5, 6, 7, 8}
    assert there[7] == compare_clouds(LADDER, origin, 1, 7).predicted_to_true
    assert compare_clouds(LADDER, origin, 1, 3).true_to_predicted == pytest.approx(1.0)


def test_sampled_points_look_among_all_points_of_the_other_cloud() -> None:
    cloud = np.random.default_rng(0).random((500, 3))
    scores = compare_clouds(cloud, cloud[::-1], 200)
    assert scores.chamfer == 0


def test_f_scores_are_over_all_points_whatever_is_sampled() -> None:
    origin = np.zeros((1, 3))
    assert (
        compare_clouds(origin, LADDER, 1, seed=0).f_scores
        == compare_clouds(origin, LADDER, 1, seed=1).f_scores
        == compare_clouds(origin, LADDER).f_scores
    )


def test_one_seed_samples_the_same_true_points_for_every_prediction() -> None:
    alone, twice = np.zeros((1, 3)), np.zeros((2, 3))
    first, second = (compare_clouds(each, LADDER, 3, seed=5) for each in (alone, twice))
    assert first.true_to_predicted == second.true_to_predicted
