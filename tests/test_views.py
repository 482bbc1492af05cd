from __future__ import annotations

from math import inf

import pytest
import torch
from torch.testing import assert_close

from img2pc.views import Views, views_from_depth


def one_view(logits: list[float]) -> Views:
    """A single 2×2 view."""
    return Views(torch.ones(1, 2, 2, 3), torch.tensor(logits).reshape(1, 2, 2))


def test_convention_x_and_y_are_pixel_centres_and_z_is_depth() -> None:
    views = views_from_depth(torch.full((1, 2, 2), 0.9), torch.zeros(1, 2, 2))
    assert_close(views.coordinates[0, 0, 1], torch.tensor([0.25, -0.25, 0.9]))
    assert_close(views.depth, torch.full((1, 2, 2), 0.9))


def test_a_shift_moves_x_and_y() -> None:
    shift = torch.tensor([0.01, -0.02]).expand(1, 2, 2, 2)
    views = views_from_depth(torch.ones(1, 2, 2), torch.zeros(1, 2, 2), shift)
    assert_close(views.coordinates[0, 0, 1], torch.tensor([0.26, -0.27, 1.0]))


@pytest.mark.parametrize(
    ("logits", "expected"),
    [
        ([inf, inf, -inf, -inf], [True, True, False, False]),
        ([-inf] * 4, [False] * 4),
        ([inf] * 4, [True] * 4),
        # Probabilities 0.5, 0.88, 0.12, 1: the object covers 2.5 pixels, to even 2.
        ([0.0, 2.0, -2.0, inf], [False, True, False, True]),
        # No pixel reaches a half, but together they say that one is covered.
        ([-0.5, -1.0, -1.0, -9.0], [True, False, False, False]),
    ],
)
def test_the_mask_has_the_area_that_its_probabilities_say(
    logits: list[float], expected: list[bool]
) -> None:
    assert one_view(logits).mask.flatten().tolist() == expected


def test_each_view_has_its_own_area() -> None:
    logits = torch.tensor([[9.0, -9.0, -9.0, -9.0], [9.0, 9.0, 9.0, -9.0]]).reshape(2, 2, 2)
    assert Views(torch.ones(2, 2, 2, 3), logits).mask.sum((1, 2)).tolist() == [1, 3]
