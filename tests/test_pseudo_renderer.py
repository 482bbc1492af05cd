"""The pseudo-renderer: exact round trips, a naive reference, gradients, agreement with Embree."""

from __future__ import annotations

import math
from inspect import unwrap

import numpy as np
import pytest
import torch
from jaxtyping import Float
from torch import Tensor
from torch.testing import assert_close

from img2pc.cameras import OrthographicCameras, cameras_towards_centre, fixed_cameras, transform
from img2pc.choices import Renderer
from img2pc.data.dataset import sample_surface
from img2pc.data.ray_caster import RayCaster, cast_views
from img2pc.data.shapes import Part as ShapePart
from img2pc.data.shapes import Shape, assemble
from img2pc.data.solids import box, superellipsoid
from img2pc.fusion import points_from_views
from img2pc.losses import rendered_losses
from img2pc.pseudo_renderer import render
from img2pc.views import Views

RENDERERS: tuple[Renderer, ...] = ("faithful", "soft")
both = pytest.mark.parametrize("renderer", RENDERERS)
SIZE = 8


def front_camera(size: int = SIZE) -> OrthographicCameras:
    """At +Z: u grows with X, v falls with Y, depth is 1 - Z."""
    return cameras_towards_centre(torch.tensor([[0.0, 0.0, 1.0]]).double(), size)


def at(u: float, v: float, depth: float, size: int = SIZE) -> list[float]:
    return [u / size - 0.5, 0.5 - v / size, 1 - depth]


def some_points(seed: int, count: int = 40) -> tuple[Float[Tensor, "n 3"], Float[Tensor, "n"]]:
    generator = torch.Generator().manual_seed(seed)
    points = torch.rand(count, 3, generator=generator, dtype=torch.float64) * 0.8 - 0.4
    return points, torch.randn(count, generator=generator, dtype=torch.float64) * 2


def novel_cameras(seed: int, count: int, size: int) -> OrthographicCameras:
    generator = torch.Generator().manual_seed(seed)
    directions = torch.randn(count, 3, generator=generator)
    roll = 2 * math.pi * torch.rand(count, generator=generator)
    return cameras_towards_centre(directions, size, roll)


# --- Conventions ----------------------------------------------------------------------------------


@both
def test_convention_a_point_lands_in_the_pixel_that_contains_it(renderer: Renderer) -> None:
    points = torch.tensor([at(2.5, 5.5, 0.75)], dtype=torch.float64)
    views, has_depth = render(points, torch.tensor([3.0]).double(), front_camera(), renderer)
    assert views.mask_logits.shape == (1, SIZE, SIZE)
    assert (views.mask_logits > 0).nonzero().tolist() == [[0, 5, 2]]
    assert_close(views.mask_logits[0, 5, 2].item(), 3.0)
    assert_close(views.depth[0, 5, 2].item(), 0.75)
    assert has_depth.nonzero().tolist() == [[0, 5, 2]]
    assert views.depth[0, 0, 0].item() == 1.0


@both
def test_the_nearest_of_two_points_is_seen_and_the_other_gets_no_depth_gradient(
    renderer: Renderer,
) -> None:
    points = torch.tensor(
        [at(2.5, 2.5, 0.6), at(2.5, 2.5, 0.9)], dtype=torch.float64, requires_grad=True
    )
    nudged = points + torch.tensor([[0.0, 0, 0], [0.3 / SIZE, 0, 0]])  # another fine cell
    views, _ = render(nudged, torch.tensor([4.0, 4.0]).double(), front_camera(), renderer)
    assert_close(views.depth[0, 2, 2].item(), 0.6)
    (gradient,) = torch.autograd.grad(views.depth[0, 2, 2], points)
    assert_close(gradient[0, 2].item(), -1.0)
    assert gradient[1].tolist() == [0, 0, 0]


@both
def test_what_is_beside_or_behind_the_image_plane_is_not_drawn(renderer: Renderer) -> None:
    points = torch.tensor(
        [at(-3, 4, 0.9), at(4, 20, 0.9), at(4, 4, -0.1), [math.nan, 0, 0]], dtype=torch.float64
    )
    views, has_depth = render(points, torch.full((4,), 5.0).double(), front_camera(), renderer)
    assert not (views.mask_logits > 0).any()
    assert not has_depth.any()


@both
def test_an_empty_cloud_and_a_masked_one_give_background_and_finite_gradients(
    renderer: Renderer,
) -> None:
    empty = torch.zeros(0, 3)
    views, has_depth = render(empty, torch.zeros(0), fixed_cameras(SIZE), renderer)
    assert (views.depth == 1).all()
    assert not has_depth.any()
    points = (torch.rand(30, 3) - 0.5).requires_grad_()
    logits = torch.full((30,), -torch.inf)
    views, _ = render(points, logits, fixed_cameras(SIZE), renderer)
    assert not (views.mask_logits > 0).any()
    views.depth.sum().backward()
    assert points.grad is None or points.grad.isfinite().all()


def test_faithful_leaves_out_pixels_whose_points_collide() -> None:
    points = torch.tensor([at(2.5, 2.5, 0.6), at(2.5, 2.5, 0.9)], dtype=torch.float64)
    _, has_depth = render(points, torch.tensor([4.0, 4.0]).double(), front_camera(), "faithful")
    assert not has_depth[0, 2, 2]


def test_soft_covers_a_pixel_by_half_when_the_point_is_half_a_pixel_away() -> None:
    points = torch.tensor([at(3.0, 2.5, 0.8)], dtype=torch.float64)
    views, _ = render(points, torch.tensor([20.0]).double(), front_camera(), "soft")
    assert_close(views.mask_probability[0, 2, 2:4].tolist(), [0.5, 0.5], atol=1e-3, rtol=0)


# --- Round trips and invariances ------------------------------------------------------------------


@both
def test_rendering_one_view_s_points_at_its_own_camera_returns_the_view(
    chair: Shape, renderer: Renderer
) -> None:
    cameras = fixed_cameras(64)
    views = cast_views(RayCaster(chair.vertices, chair.faces), cameras)
    points = points_from_views(views, cameras)
    for view in range(8):
        alone = OrthographicCameras(cameras.camera_from_object[view : view + 1], 64)
        again, has_depth = render(points[view], views.mask_logits[view].flatten(), alone, renderer)
        seen = views.mask_logits[view] > 0
        assert ((again.mask_logits[0] > 0) == seen).all()
        assert (has_depth[0] == seen).all()
        assert_close(again.depth[0][seen], views.depth[view][seen], atol=1e-5, rtol=0)


@both
def test_moving_cloud_and_cameras_together_changes_nothing(renderer: Renderer) -> None:
    points, logits = some_points(0)
    cameras = novel_cameras(1, 3, SIZE).to(points)
    motion = cameras_towards_centre(torch.tensor([0.3, -0.5, 0.8]).double(), SIZE)
    moved = transform(motion.camera_from_object, points)
    camera_from_moved = cameras.camera_from_object @ motion.object_from_camera
    here = render(points, logits, cameras, renderer).views
    there = render(moved, logits, OrthographicCameras(camera_from_moved, SIZE), renderer).views
    assert_close(here.depth, there.depth)
    assert_close(here.mask_logits, there.mask_logits)


@both
def test_a_batch_gives_what_its_items_give_alone(renderer: Renderer) -> None:
    points, logits = (
        torch.stack(pair) for pair in zip(some_points(2), some_points(3), strict=True)
    )
    cameras = [novel_cameras(4 + item, 3, SIZE) for item in range(2)]
    both_items = torch.stack([each.camera_from_object for each in cameras])
    together = render(points, logits, OrthographicCameras(both_items, SIZE), renderer)
    for item in range(2):
        alone = render(points[item], logits[item], cameras[item], renderer)
        assert_close(together.views.depth[item], alone.views.depth)
        assert_close(together.views.mask_logits[item], alone.views.mask_logits)
        assert (together.has_depth[item] == alone.has_depth).all()


def test_soft_does_not_draw_what_is_hardly_there() -> None:
    points = torch.tensor([at(3.5, 2.5, 0.8)])
    for logit, drawn in ((-5.9, True), (-6.1, False)):
        views, _ = render(points, torch.tensor([logit]), front_camera(), "soft")
        assert (views.mask_logits[0, 2, 3].item() > -9) is drawn


# --- A naive reference ----------------------------------------------------------------------------


def naive(
    points: Tensor, logits: Tensor, cameras: OrthographicCameras, renderer: Renderer
) -> tuple[Tensor, Tensor]:
    """Depth and mask logits, pixel by pixel and point by point."""
    size = cameras.image_size
    depths, masks = [], []
    every = points.expand(len(cameras.camera_from_object), -1, -1)
    for pixels in cameras.to(points).project(every):
        for row in range(size):
            for column in range(size):
                one = _naive_faithful if renderer == "faithful" else _naive_soft
                depth, mask = one(pixels, logits, row, column)
                depths.append(depth)
                masks.append(mask)
    shape = (len(cameras.camera_from_object), size, size)
    return torch.stack(depths).view(shape), torch.stack(masks).view(shape)


def _naive_faithful(pixels: Tensor, logits: Tensor, row: int, column: int) -> tuple[Tensor, Tensor]:
    inverse: dict[tuple[int, int], Tensor] = {}
    visible: dict[tuple[int, int], Tensor] = {}
    invisible = pixels.new_zeros(())
    for (u, v, z), logit in zip(pixels, logits, strict=True):
        cell = (math.floor(v.item() * 5), math.floor(u.item() * 5))
        if (cell[0] // 5, cell[1] // 5) != (row, column):
            continue
        if logit > 0:
            inverse[cell] = inverse.get(cell, 0) + 1 / z
            visible[cell] = visible.get(cell, 0) + logit
        else:
            invisible = invisible + logit / 25
    if not inverse:
        return pixels.new_ones(()), invisible if invisible < 0 else pixels.new_tensor(-1.0)
    return 1 / torch.stack(list(inverse.values())).max(), torch.stack(list(visible.values())).max()


def _naive_soft(pixels: Tensor, logits: Tensor, row: int, column: int) -> tuple[Tensor, Tensor]:
    found = []
    for (u, v, z), logit in zip(pixels, logits, strict=True):
        weight = (1 - (u - column - 0.5).abs()) * (1 - (v - row - 0.5).abs())
        if logit <= -6:
            continue
        if (u - column - 0.5).abs() < 1 and (v - row - 0.5).abs() < 1:
            found.append((weight, logit.sigmoid(), z))
    floor = pixels.new_tensor(-10.0)
    if not found:
        return pixels.new_ones(()), floor
    covered = torch.stack([weight * probability for weight, probability, _ in found]).max()
    likely = [z for weight, probability, z in found if probability > 0.5 and weight >= 0.25]
    first = torch.stack(likely or [z for _, _, z in found]).min()
    shares = [w * p * (1 - (z - first).clamp(min=0) / 0.03).clamp(min=0) ** 2 for w, p, z in found]
    total = torch.stack(shares).sum()
    depth = sum(share * z for share, (_, _, z) in zip(shares, found, strict=True)) / total
    return (depth if total > 0.01 else pixels.new_ones(())), torch.maximum(covered.logit(), floor)


@both
def test_agrees_with_the_naive_reference_in_values_and_gradients(renderer: Renderer) -> None:
    points, logits = some_points(5)
    points.requires_grad_()
    logits.requires_grad_()
    cameras = novel_cameras(6, 2, SIZE).to(points)
    ours = render(points, logits, cameras, renderer).views
    depth, mask_logits = naive(points, logits, cameras, renderer)
    assert_close(ours.depth, depth)
    assert_close(ours.mask_logits, mask_logits)
    weights = torch.linspace(-1, 1, depth.numel(), dtype=torch.float64).view(depth.shape)

    def gradients(d: Tensor, m: Tensor) -> tuple[Tensor, ...]:
        return torch.autograd.grad((weights * (d + 0.3 * m)).sum(), (points, logits))

    for ours_gradient, naive_gradient in zip(
        gradients(ours.depth, ours.mask_logits), gradients(depth, mask_logits), strict=True
    ):
        assert_close(ours_gradient, naive_gradient)


# --- Gradients ------------------------------------------------------------------------------------


def test_soft_gradients_are_those_of_finite_differences() -> None:
    # One point a pixel, away from pixel borders and from ties.
    generator = torch.Generator().manual_seed(7)
    row, column = torch.meshgrid(torch.arange(1, 6), torch.arange(1, 6), indexing="ij")
    jitter = 0.25 + 0.1 * torch.rand(25, 2, generator=generator).double()
    uv = torch.stack([column.flatten(), row.flatten()], -1) + 0.5 + jitter
    depth = 0.8 + 0.01 * torch.rand(25, generator=generator).double()
    points = torch.stack([uv[:, 0] / SIZE - 0.5, 0.5 - uv[:, 1] / SIZE, 1 - depth], -1)
    logits = 1 + torch.rand(25, generator=generator).double()

    def images(points: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
        views = render(points, logits, front_camera(), "soft").views
        return views.depth, views.mask_logits

    assert torch.autograd.gradcheck(
        images, (points.requires_grad_(), logits.requires_grad_()), eps=1e-7, atol=1e-4
    )


def test_faithful_has_no_gradient_sideways_and_soft_has() -> None:
    for renderer, moves in (("faithful", False), ("soft", True)):
        points = torch.tensor([at(3.3, 2.6, 0.8)], dtype=torch.float64, requires_grad=True)
        views, _ = render(points, torch.tensor([2.0]).double(), front_camera(), renderer)
        (gradient,) = torch.autograd.grad(views.mask_logits[0, 2, 3] + views.depth[0, 2, 3], points)
        assert (gradient[0, :2] != 0).all().item() is moves
        assert gradient[0, 2] != 0


# --- Agreement with the ray caster ----------------------------------------------------------------


SOLIDS = {
    "sphere": superellipsoid(1.0, 1.0, 1.0),
    "box": box(1.0, 0.7, 0.5),
    "plate": box(1.0, 0.05, 0.8),
}


@both
@pytest.mark.parametrize("name", sorted(SOLIDS))
def test_true_views_fused_and_rendered_elsewhere_agree_with_the_ray_caster(
    name: str, renderer: Renderer
) -> None:
    shape = assemble(name, [ShapePart(SOLIDS[name], "all", "wood")])
    caster = RayCaster(shape.vertices, shape.faces)
    cameras, novel = fixed_cameras(128), novel_cameras(8, 4, 128)
    views = cast_views(caster, cameras)
    points = points_from_views(views, cameras).flatten(0, 1)
    true = cast_views(caster, novel)
    rendered, has_depth = render(points, views.mask_logits.clamp(-8, 8).flatten(), novel, renderer)
    ours, theirs = rendered.mask_logits > 0, true.mask_logits > 0
    # The silhouette is right to about half a pixel, the depth to a pixel of slope.
    assert (ours & theirs).sum() / (ours | theirs).sum() > 0.93
    error = (rendered.depth - true.depth).abs()[has_depth & theirs]
    assert error.median() < 0.5 / 128
    assert (error < 2 / 128).float().mean() > 0.85


def test_rendered_losses_are_zero_for_the_truth_and_ignore_depth_without_a_surface() -> None:
    points = torch.tensor([at(2.5, 2.5, 0.6), at(4.5, 4.5, 0.9)], dtype=torch.float64)
    drawn = render(points, torch.tensor([30.0, 30.0]).double(), front_camera(), "faithful")
    certain = torch.where(drawn.views.mask_logits > 0, torch.inf, -torch.inf)
    true = Views(drawn.views.coordinates, certain)
    assert rendered_losses(drawn, true).coordinates.item() == 0
    wrong = Views(true.coordinates + (certain < 0)[..., None], certain)
    assert rendered_losses(drawn, wrong).coordinates.item() == 0
    moved = Views(true.coordinates + torch.tensor([0, 0, 0.25]), certain)
    assert_close(rendered_losses(drawn, moved).coordinates.item(), 0.25)


# --- Fitting --------------------------------------------------------------------------------------


def fit(
    points: Float[Tensor, "n 3"], cameras: OrthographicCameras, renderer: Renderer
) -> Float[Tensor, "n 3"]:
    """Points moved by gradient descent until they look like a box of 1 x 0.6 x 0.6."""
    true = cast_views(RayCaster(BOX.vertices, BOX.faces), cameras)
    moving = points.clone().requires_grad_()
    logits = torch.full((len(points),), 4.0)
    optimiser = torch.optim.Adam([moving], lr=0.01)
    for _ in range(60):
        optimiser.zero_grad()
        rendered_losses(render(moving, logits, cameras, renderer), true).total.backward()
        optimiser.step()
    return moving.detach()


def chamfer(points: Float[Tensor, "n 3"]) -> float:
    surface = torch.from_numpy(sample_surface(BOX, 4000, np.random.default_rng(0))).float()
    between = torch.cdist(points, surface)
    return (between.min(0).values.mean() + between.min(1).values.mean()).item()


BOX = assemble("box", [ShapePart(box(1.0, 0.6, 0.6), "all", "wood")])
SPHERE = 0.3 * torch.nn.functional.normalize(
    torch.randn(1500, 3, generator=torch.Generator().manual_seed(10)), dim=-1
)


@both
def test_a_sphere_of_points_can_be_fitted_to_a_box_from_many_sides(renderer: Renderer) -> None:
    fitted = fit(SPHERE, novel_cameras(9, 12, 32), renderer)
    assert chamfer(SPHERE) > 0.1
    assert chamfer(fitted) < 0.6 * chamfer(SPHERE)


def test_from_one_side_faithful_moves_points_in_depth_only_and_soft_also_sideways() -> None:
    front = cameras_towards_centre(torch.tensor([[0.0, 0.0, 1.0]]), 32)
    faithful, soft = fit(SPHERE, front, "faithful"), fit(SPHERE, front, "soft")
    assert_close(faithful[:, :2], SPHERE[:, :2], atol=1e-6, rtol=0)
    assert (faithful - SPHERE)[:, 2].abs().max() > 0.05
    assert (soft - SPHERE)[:, :2].abs().max() > 0.01


def test_there_is_no_third_renderer() -> None:
    with pytest.raises(ValueError, match="Faithful is no renderer"):
        unwrap(render)(torch.zeros(1, 3), torch.zeros(1), fixed_cameras(8), "Faithful")  # type: ignore[arg-type]
