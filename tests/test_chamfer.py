from __future__ import annotations

from itertools import product
from math import inf, log

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from img2pc.cameras import fixed_cameras, transform
from img2pc.chamfer import (
    _FAR,
    MISSED,
    SCALE,
    ChamferLosses,
    _expected_cost,
    _nearest,
    _nearest_of_all,
    _parts,
    _sample,
    chamfer_losses,
)
from img2pc.data.ray_caster import RayCaster, cast_views
from img2pc.data.solids import box
from img2pc.views import Views, views_from_depth

SIZE = 16
CAMERAS = fixed_cameras(SIZE)


def plate(depth: float, columns: slice = slice(4, 12), logit: float = 50.0) -> Views:
    """One item: the first camera sees a plate square to its view, the others nothing."""
    logits = torch.full((1, 8, SIZE, SIZE), -inf)
    logits[0, 0, 4:12, columns] = logit
    return views_from_depth(torch.full(logits.shape, depth), logits)


def losses(predicted: Views, true: Views, seed: int = 0) -> ChamferLosses:
    return chamfer_losses(predicted, true, CAMERAS, torch.Generator().manual_seed(seed))


def test_a_perfect_prediction_costs_nothing() -> None:
    found = losses(plate(1.0), plate(1.0, logit=inf))
    assert found.total.item() == pytest.approx(0.0, abs=1e-4)


@pytest.mark.parametrize("distance", [0.01, 0.02, 0.06])
def test_a_distance_counts_by_its_logarithm_both_ways(distance: float) -> None:
    found = losses(plate(1.0 + distance), plate(1.0, logit=inf))
    expected = log(1 + distance / SCALE)
    assert found.predicted_to_true.item() == pytest.approx(expected, abs=1e-4)
    assert found.true_to_predicted.item() == pytest.approx(expected, abs=1e-4)
    assert found.total.item() == pytest.approx(2 * expected, abs=2e-4)


def test_completeness_can_count_less() -> None:
    predicted, true = plate(1.01, slice(4, 8)), plate(1.0, logit=inf)
    found = chamfer_losses(predicted, true, CAMERAS, torch.Generator().manual_seed(0), 0.25)
    expected = found.predicted_to_true + 0.25 * found.true_to_predicted
    assert_close(found.total.detach(), expected)


def test_half_of_an_object_is_accurate_but_not_complete() -> None:
    """The four columns that are missing are 1 to 4 pixels away."""
    found = losses(plate(1.0, slice(4, 8)), plate(1.0, logit=inf))
    assert found.predicted_to_true.item() == pytest.approx(0.0, abs=1e-4)
    missing = sum(log(1 + column / SIZE / SCALE) for column in (1, 2, 3, 4))
    assert found.true_to_predicted.item() == pytest.approx(missing / 8, abs=1e-3)


def test_too_much_is_complete_but_not_accurate() -> None:
    found = losses(plate(1.0), plate(1.0, slice(4, 8), logit=inf))
    assert found.predicted_to_true.item() > 0.3
    assert found.true_to_predicted.item() == pytest.approx(0.0, abs=1e-4)


def test_doubtful_points_count_less() -> None:
    """The wrong half of the points exists with a probability of a quarter."""
    predicted = plate(1.0)
    predicted.mask_logits[0, 0, 4:12, 8:] = -inf
    wrong = plate(1.06, slice(8, 12), logit=-log(3))
    both = Views(
        torch.where(torch.arange(SIZE)[:, None] < 8, predicted.coordinates, wrong.coordinates),
        torch.maximum(predicted.mask_logits, wrong.mask_logits),
    )
    found = losses(both, plate(1.0, logit=inf), seed=1)
    assert found.predicted_to_true.item() == pytest.approx(
        0.25 * log(1 + 0.06 / SCALE) / 1.25, 0.05
    )


def test_a_pixel_counts_once_however_often_it_is_drawn() -> None:
    """Of a small object every pixel is drawn many times; half-certain ones leave surface missed."""
    found = losses(plate(1.0, logit=0.0), plate(1.0, logit=inf))
    rows, columns = torch.meshgrid(torch.arange(8), torch.arange(8), indexing="ij")
    places = torch.stack([rows, columns], -1).reshape(-1, 2) / SIZE
    nearest = torch.cdist(places, places).sort(1).values[:, :6]
    cost = torch.log1p(nearest / SCALE)
    expected = _expected_cost(cost, torch.full(cost.shape, 0.5)).mean()
    assert found.true_to_predicted.item() == pytest.approx(expected.item(), rel=1e-3)


def test_the_whole_loss_against_all_distances() -> None:
    """Of so few pixels all are drawn, each as often as the others."""
    generator = torch.Generator().manual_seed(46)  # no two of the surface are in one cell
    cameras, shape = fixed_cameras(8), (1, 8, 8, 8)
    depth = 1 + 0.2 * torch.randn(shape, generator=generator)
    logits = torch.rand(shape, generator=generator) * 4 - 2
    predicted = views_from_depth(depth, logits)
    true = views_from_depth(
        1 + 0.2 * torch.randn(shape, generator=generator), torch.full(shape, inf)
    )
    points, surface = (
        transform(cameras.object_from_camera, views.coordinates[0].flatten(1, 2)).reshape(-1, 3)
        for views in (predicted, true)
    )
    assert len((surface / 0.01).floor().unique(dim=0)) == len(surface)
    distance, exists = torch.cdist(surface, points), logits.sigmoid().flatten()
    cost = torch.log1p(distance.min(0).values / SCALE)
    accuracy = (exists * cost).sum() / exists.sum()
    completeness = torch.zeros(len(surface))
    near = distance.sort(1).indices[:, :6]
    for outcome in product([False, True], repeat=6):
        there = torch.tensor(outcome)
        chance = torch.where(there, exists[near], 1 - exists[near]).prod(1)
        nearest = distance.gather(1, near).where(there, inf).min(1).values.nan_to_num(posinf=MISSED)
        completeness += chance * torch.log1p(nearest / SCALE)
    found = chamfer_losses(predicted, true, cameras, torch.Generator().manual_seed(0))
    assert_close(found.predicted_to_true, accuracy, rtol=1e-4, atol=0)
    assert_close(found.true_to_predicted, completeness.mean(), rtol=1e-4, atol=0)


def test_parts_are_as_many_wherever_the_area_is() -> None:
    """Cameras see eight points in each of the 400 cells of one plate, one in those of another."""
    rows, columns = torch.meshgrid(torch.arange(20), torch.arange(20), indexing="ij")
    centres = torch.stack([rows, columns, torch.zeros_like(rows)], -1).reshape(-1, 3) * 0.01 + 0.005
    beside = torch.tensor([0.3, 0.0, 0.0])
    surface = torch.cat([centres.repeat(8, 1), centres + beside])[None]
    parts = _parts(surface, torch.Generator().manual_seed(0))
    assert ((parts[..., 0] < 0.25).float().mean() - 0.5).abs() < 0.01


def test_expected_cost_against_all_outcomes() -> None:
    generator = torch.Generator().manual_seed(0)
    cost, exists = torch.rand(2, 7, 4, dtype=torch.float64, generator=generator)
    expected = torch.zeros(7, dtype=torch.float64)
    for outcome in product([False, True], repeat=4):
        chance = torch.where(torch.tensor(outcome), exists, 1 - exists).prod(-1)
        first = outcome.index(True) if any(outcome) else None
        expected += chance * (log(1 + MISSED / SCALE) if first is None else cost[:, first])
    assert_close(_expected_cost(cost, exists), expected)


@pytest.mark.parametrize("count", [1, 6])
def test_nearest_of_all_against_trees(count: int) -> None:
    """What a GPU does. Some points are no points, and lie far away."""
    generator = torch.Generator().manual_seed(0)
    queries, points = torch.rand(2, 3, 256, 3, generator=generator) - 0.5
    points[0, 10:] = _FAR
    items = torch.arange(3)[:, None, None]
    far, expected = (
        (points[items, found] - queries[:, :, None]).norm(dim=-1)
        for found in (_nearest_of_all(queries, points, count), _nearest(queries, points, count))
    )
    assert_close(far, expected)
    # In every group, one of its points, and two in one of them.
    spread = torch.full((1, 512, 3), _FAR)
    spread[0, 5::64] = torch.arange(8)[:, None] / 8
    spread[0, 6] = 0.01
    assert _nearest_of_all(torch.zeros(1, 1, 3), spread, 4).tolist() == [[[5, 6, 69, 133]]]


def test_gradients_move_points_to_the_surface_and_doubt_those_that_are_far() -> None:
    predicted = plate(1.01, logit=0.5)
    predicted.coordinates[0, 0, 4:12, 4:6, 2] = 1.1
    coordinates = predicted.coordinates.clone().requires_grad_()
    logits = predicted.mask_logits.clone().requires_grad_()
    losses(Views(coordinates, logits), plate(1.0, logit=inf)).total.backward()
    assert coordinates.grad is not None
    assert logits.grad is not None
    assert (coordinates.grad[0, 0, 4:12, 4:12, 2] > 0).all()  # nearer to the camera
    assert (logits.grad[0, 0, 4:12, 4:6] > 0).all()
    assert (logits.grad[0, 0, 4:12, 7:12] < 0).all()
    assert not coordinates.grad[0, 1:].any()


def test_gradcheck() -> None:
    generator = torch.Generator().manual_seed(0)
    shape = (2, 8, 4, 4)
    depth = (
        1 + 0.1 * torch.randn(shape, dtype=torch.float64, generator=generator)
    ).requires_grad_()
    logits = torch.randn(shape, dtype=torch.float64, generator=generator).requires_grad_()
    true = views_from_depth(torch.ones(shape, dtype=torch.float64), torch.full(shape, inf).double())

    def total(depth: Tensor, logits: Tensor) -> Tensor:
        views = views_from_depth(depth, logits)
        return chamfer_losses(views, true, fixed_cameras(4), torch.Generator().manual_seed(0)).total

    assert torch.autograd.gradcheck(total, (depth, logits), eps=1e-7, atol=1e-4, fast_mode=True)


def test_views_of_one_solid_from_two_sides_are_near_each_other() -> None:
    """The cameras' frames are told apart: seen by view 0 alone, a box's points lie on the box."""
    solid = box(0.6, 0.4, 0.5)
    views = cast_views(RayCaster(solid.vertices, solid.faces), fixed_cameras(64))
    true = Views(*(value[None] for value in views))
    one_sided = true.mask_logits.clone()
    one_sided[:, 1:] = -inf
    found = chamfer_losses(
        Views(true.coordinates, one_sided),
        true,
        fixed_cameras(64),
        torch.Generator().manual_seed(0),
    )
    assert found.predicted_to_true < 0.2
    assert found.true_to_predicted > 0.6


def test_eligible_items_are_drawn_alike_often() -> None:
    eligible = torch.arange(100) % 5 < 3
    drawn, first = _sample(eligible.expand(4000, -1), 20, torch.Generator().manual_seed(0))
    share = torch.bincount(drawn.flatten(), minlength=100) / 4000
    assert_close(share, torch.where(eligible, 20 / 60, 0.0), atol=0.04, rtol=0)
    assert first.all()  # there are more than are drawn: none comes twice


def test_few_eligible_items_are_all_drawn_and_each_is_first_once() -> None:
    eligible = torch.zeros(3, 100, dtype=torch.bool)
    eligible[0, [7, 50, 99]] = True
    eligible[2, 80:99] = True
    drawn, first = _sample(eligible, 20, torch.Generator().manual_seed(0))
    assert drawn[0, first[0]].tolist() == [7, 50, 99]
    assert not first[1].any()  # there is nothing to draw
    assert drawn[2, first[2]].tolist() == list(range(80, 99))


def test_every_pixel_is_asked_about_in_one_lot_or_another() -> None:
    """Gradients of accuracy, where there are more pixels than points are drawn."""
    size = 64
    true = views_from_depth(torch.ones(1, 8, size, size), torch.full((1, 8, size, size), inf))
    asked = torch.zeros(8, size, size, dtype=torch.bool)
    for seed in range(40):
        depth = torch.full((1, 8, size, size), 1.05, requires_grad=True)
        predicted = views_from_depth(depth, torch.full((1, 8, size, size), 9.0))
        lots = torch.Generator().manual_seed(seed)
        chamfer_losses(predicted, true, fixed_cameras(size), lots, 0.0).total.backward()
        assert depth.grad is not None
        asked |= depth.grad[0] != 0
    assert asked.float().mean() > 0.99


def test_the_same_draw_gives_the_same_loss() -> None:
    predicted, true = plate(1.03, slice(4, 10), logit=0.3), plate(1.0, logit=inf)
    assert losses(predicted, true, seed=2).total == losses(predicted, true, seed=2).total


def test_nothing_predicted_is_finite() -> None:
    nothing = views_from_depth(torch.ones(1, 8, SIZE, SIZE), torch.full((1, 8, SIZE, SIZE), -9.0))
    found = losses(nothing, plate(1.0, logit=inf))
    assert found.total.isfinite()
    assert found.true_to_predicted.item() == pytest.approx(log(1 + MISSED / SCALE), abs=0.01)
