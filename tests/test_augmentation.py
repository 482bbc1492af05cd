from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy import ndarray
from torch import Tensor
from torch.testing import assert_close

from img2pc.training import augmentation
from img2pc.training.augmentation import augmented

SIZE = 64
RED = (200, 40, 20)


def crops(count: int) -> Tensor:
    """Red squares that were cut out, transparent black around them."""
    pixels = torch.zeros(count, SIZE, SIZE, 4, dtype=torch.uint8)
    pixels[:, 16:48, 16:48] = torch.tensor([*RED, 255], dtype=torch.uint8)
    return pixels


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Leave out all faults but one."""

    def leave(kept: str) -> None:
        for name in {"_with_shadow", "_ragged", "_bent", "_cropped", "_coarse"} - {kept}:
            monkeypatch.setattr(augmentation, name, lambda pixels, draw: pixels)
        if kept != "_in_other_light":
            monkeypatch.setattr(augmentation, "LIGHT_SHARES", 0)

    return leave


def colours_of_opaque(pixels: Tensor) -> ndarray:
    return np.unique(pixels[pixels[..., 3] > 32][:, :3].numpy(), axis=0)


def test_without_a_share_pictures_stay_as_they_are() -> None:
    pictures = crops(3)
    assert augmented(pictures, seeded(), 0.0) is pictures


def test_each_of_the_four_faults_comes_in_its_share_of_pictures() -> None:
    pictures = crops(1000)
    same = (augmented(pictures, seeded(), 0.2)[..., 3] == pictures[..., 3]).flatten(1).all(1)
    # A few shadows are hidden by the object.
    assert same.float().mean().item() == pytest.approx(0.8**4, abs=0.05)


def test_three_times_as_many_are_in_another_light(only: Callable[[str], None]) -> None:
    only("_in_other_light")
    pictures = crops(1000)
    after = augmented(pictures, seeded(), 0.2)
    assert_close(after[..., 3], pictures[..., 3], rtol=0, atol=0)
    colours = after[:, 32, 32, :3].float()
    other = (colours != torch.tensor(RED)).any(1)
    assert other.float().mean().item() == pytest.approx(0.6, abs=0.05)
    red, _, blue = colours[other].T
    assert (red > 200).float().mean() < 0.3  # most are darker
    assert red.min() < 80
    assert ((red - blue).abs() < 0.3 * red).float().mean().item() == pytest.approx(0.15, abs=0.06)
    assert ((after[..., :3] == 0) | (after[..., 3:] > 0)).all()


def test_what_is_drawn_follows_from_the_generator() -> None:
    once = augmented(crops(8), seeded(1), 0.5)
    assert_close(augmented(crops(8), seeded(1), 0.5), once, rtol=0, atol=0)
    assert not torch.equal(augmented(crops(8), seeded(2), 0.5), once)


def test_pictures_that_were_passed_in_are_left_alone() -> None:
    pictures = crops(8)
    augmented(pictures, seeded(), 1.0)
    assert_close(pictures, crops(8), rtol=0, atol=0)


@pytest.mark.parametrize("alpha", [0, 255])
def test_pictures_of_nothing_and_of_nothing_else_are_served(alpha: int) -> None:
    pictures = torch.full((16, SIZE, SIZE, 4), alpha, dtype=torch.uint8)
    assert augmented(pictures, seeded(), 1.0).shape == pictures.shape


def test_a_shadow_is_dark_wide_at_the_foot_and_behind_the_object(
    only: Callable[[str], None],
) -> None:
    only("_with_shadow")
    before = crops(200)
    after = augmented(before, seeded(), 1.0)
    assert_close(after[:, 16:48, 16:48], before[:, 16:48, 16:48], rtol=0, atol=0)
    shadow = (after[..., 3] > 32) & (before[..., 3] == 0)
    assert shadow.flatten(1).any(1).float().mean() > 0.5
    assert not shadow[:, :32].any()  # the upper half of the object
    assert not shadow[:, 56:].any()
    # The floor is white half of the times, else any grey: 191 on average.
    assert after[..., :3][shadow].float().mean() < 140


@pytest.mark.parametrize("width", [1, 2, 32])
def test_a_ragged_outline_takes_no_more_than_it_gives(
    width: int, only: Callable[[str], None]
) -> None:
    """Of thin parts either."""
    only("_ragged")
    pictures = torch.zeros(200, SIZE, SIZE, 4, dtype=torch.uint8)
    pictures[:, 8:56, 32 : 32 + width] = 255
    after = augmented(pictures, seeded(), 1.0)[..., 3].float() / 255
    lost, won = (1 - after[:, 9:55, 32 : 32 + width]).sum(), after[:, 9:55].sum() - 200 * 46 * width
    assert won > -0.1 * lost
    inside = after[:, 9:55, 32 : 32 + width].mean()
    assert inside > 0.65


def test_a_ragged_outline_is_a_pixel_away(only: Callable[[str], None]) -> None:
    only("_ragged")
    before = crops(200)
    after = augmented(before, seeded(), 1.0)
    assert_close(after[:, 17:47, 17:47], before[:, 17:47, 17:47], rtol=0, atol=0)
    assert not after[:, :15, :, 3].any()
    area = (after[..., 3] > 127).sum((1, 2)) / 1024
    assert 0.9 < area.mean() < 1.1
    assert area.min() < 0.97
    assert area.max() > 1.03


def test_a_bent_crop_has_the_object_where_it_was_nearly(only: Callable[[str], None]) -> None:
    only("_bent")
    after = augmented(crops(200), seeded(), 1.0)
    assert (after[:, 22:42, 22:42, 3] == 255).all()
    assert not after[:, :10, :, 3].any()
    assert len(torch.unique((after[..., 3] > 127).sum((1, 2)))) > 10
    # A pixel of the outline shows what is behind it, too.
    within = after[after[..., 3] == 255][:, :3]
    np.testing.assert_array_equal(np.unique(within.numpy(), axis=0), [RED])


def test_what_is_left_is_cropped_as_pictures_are() -> None:
    """With shadow, ragged or bent: see images.crop_to_foreground."""
    after = augmented(crops(200), seeded(), 0.5)
    changed = (after[..., 3] != crops(1)[..., 3]).flatten(1).any(1)
    opaque = after[changed][..., 3] > 127
    assert len(opaque) > 150
    for axis in (1, 2):
        holds = opaque.any(3 - axis)
        first = holds.int().argmax(1)
        last = SIZE - 1 - holds.flip(1).int().argmax(1)
        assert ((first + last - (SIZE - 1)).abs() <= 3).float().mean() > 0.9
    # The larger side is 0.9 of 64; those that are only coarse keep their 32.
    side = torch.maximum(opaque.any(1).sum(1), opaque.any(2).sum(1))
    assert ((side - 57.6).abs() < 2.5).float().mean() > 0.85


def test_a_coarse_picture_keeps_its_colours_up_to_the_outline(only: Callable[[str], None]) -> None:
    only("_coarse")
    after = augmented(crops(8), seeded(), 1.0)
    soft = (after[..., 3] > 16) & (after[..., 3] < 240)
    assert soft.flatten(1).any(1).all()
    assert np.abs(colours_of_opaque(after).astype(int) - RED).max() <= 1
