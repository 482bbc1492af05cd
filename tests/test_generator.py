from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional
from torch.testing import assert_close

from img2pc.cameras import pixel_grid
from img2pc.generator import SIZES, AttentionLayer, StructureGenerator
from img2pc.views import Views

TINY_32 = replace(SIZES["tiny"], image_size=32)


def random_images(count: int, size: int) -> torch.Tensor:
    return torch.rand(count, 4, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.fixture
def generator() -> StructureGenerator:
    torch.manual_seed(0)
    return StructureGenerator(TINY_32)


def predict(generator: StructureGenerator, images: torch.Tensor) -> Views:
    with torch.inference_mode():
        return generator.eval()(images)


@pytest.mark.parametrize("size", ["tiny", "small"])
def test_views_of_eight_cameras(size: str) -> None:
    views = predict(StructureGenerator(SIZES[size]), random_images(2, 128))
    assert views.coordinates.shape == (2, 8, 128, 128, 3)
    assert views.mask_logits.shape == (2, 8, 128, 128)
    assert views.coordinates.dtype == views.mask_logits.dtype == torch.float32


def test_maps_may_be_finer_than_the_picture() -> None:
    config = replace(TINY_32, head_upsampling=8)
    assert config.view_size == 64
    views = predict(StructureGenerator(config), random_images(1, 32))
    assert views.mask_logits.shape == (1, 8, 64, 64)


def test_pictures_of_a_batch_do_not_influence_each_other(generator: StructureGenerator) -> None:
    images = random_images(2, 32)
    together = predict(generator, images)
    apart = [predict(generator, image[None]) for image in images]
    for index in range(2):
        expected = torch.cat([views[index] for views in apart])
        assert_close(together[index], expected, atol=1e-5, rtol=0)


def test_the_picture_matters(generator: StructureGenerator) -> None:
    one, other = predict(generator, random_images(2, 32)).coordinates
    assert not torch.allclose(one, other, atol=1e-4)


def test_opposite_views_share_their_mask_mirrored(generator: StructureGenerator) -> None:
    mask = predict(generator, random_images(2, 32)).mask_logits
    assert torch.equal(mask, mask.flip(1).flip(3))
    assert not torch.equal(mask[:, 0], mask[:, 1])


def test_x_and_y_stay_within_half_a_pixel(generator: StructureGenerator) -> None:
    with torch.no_grad():
        generator.shift_head.weight.mul_(1e4)
    xy = predict(generator, random_images(2, 32)).coordinates[..., :2]
    shift = (xy - pixel_grid(32)).abs()
    assert shift.max() <= 0.5 / 32 + 1e-6
    assert shift.max() > 0.4 / 32


def test_opposite_views_read_their_shift_from_the_cells_of_their_depth(
    generator: StructureGenerator,
) -> None:
    with torch.no_grad():
        rows = generator.shift_head.weight.unflatten(0, (8, 2))
        rows[4:] = rows[:4].flip(0)
    shift = predict(generator, random_images(2, 32)).coordinates[..., :2] - pixel_grid(32)
    assert_close(shift[:, 4:], shift[:, :4].flip(1, 3))
    assert not torch.allclose(shift[:, 4:], shift[:, :4].flip(1))


def test_training_starts_from_a_plane_through_the_centre(generator: StructureGenerator) -> None:
    views = predict(generator, random_images(2, 32))
    assert (views.depth - 1).abs().max() < 0.3
    assert views.mask_probability.mean() < 0.5


@pytest.mark.parametrize(("size", "millions"), [("small", 14.6), ("base", 15.3)])
def test_parameter_counts(size: str, millions: float) -> None:
    """As the card has them."""
    with torch.device("meta"):
        generator = StructureGenerator(SIZES[size])
    count = sum(parameter.numel() for parameter in generator.parameters())
    assert count / 1e6 == pytest.approx(millions, abs=0.05)


def test_attention_is_pytorchs() -> None:
    layer = AttentionLayer(32, 4)
    tokens = torch.randn(2, 6, 32)
    query, key, value = (
        each.unflatten(-1, (4, 8)).transpose(1, 2)
        for each in layer.query_key_value(layer.attention_norm(tokens)).chunk(3, -1)
    )
    mixed = functional.scaled_dot_product_attention(query, key, value)
    expected = tokens + layer.project(mixed.transpose(1, 2).flatten(2))
    assert_close(layer(tokens), expected + layer.feed_forward(expected))


def test_gradients_reach_every_parameter(generator: StructureGenerator) -> None:
    views = generator(random_images(2, 32))
    (views.coordinates.square().sum() + views.mask_logits.square().sum()).backward()
    for name, parameter in generator.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name
