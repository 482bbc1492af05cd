from __future__ import annotations

import numpy as np
import pytest
import torch
import trimesh
from torch.testing import assert_close

from img2pc.cameras import fixed_cameras, pixel_grid
from img2pc.data.ray_caster import RayCaster, cast_views
from img2pc.data.solids import box
from img2pc.fusion import (
    _flying,
    _highest_around,
    _normals,
    _padded,
    _patches,
    fuse,
    points_from_views,
)
from img2pc.pointclouds import PointCloud
from img2pc.views import Views, views_from_depth

RADIUS = 0.4
HALF = np.array([0.3, 0.2, 0.25])


@pytest.fixture(scope="module")
def sphere_views() -> Views:
    sphere = trimesh.creation.icosphere(subdivisions=5, radius=RADIUS)
    return cast_views(RayCaster(sphere.vertices, sphere.faces), fixed_cameras(64))


@pytest.fixture(scope="module")
def sphere_cloud(sphere_views: Views) -> PointCloud:
    return fuse(sphere_views, fixed_cameras(64))


def test_fused_sphere_lies_on_the_sphere(sphere_cloud: PointCloud) -> None:
    radius = sphere_cloud.points.norm(dim=-1)
    assert (radius - RADIUS).abs().max() < 2e-4
    assert len(sphere_cloud) > 8 * 0.97 * np.pi * (RADIUS * 64) ** 2


def test_fused_sphere_covers_every_direction(sphere_cloud: PointCloud) -> None:
    directions = torch.nn.functional.normalize(torch.randn(100, 3), dim=-1)
    distance = torch.cdist(RADIUS * directions, sphere_cloud.points).min(1).values
    assert distance.max() < 2 / 64


def test_normals_point_out_of_the_sphere(sphere_cloud: PointCloud) -> None:
    outwards = torch.nn.functional.normalize(sphere_cloud.points, dim=-1)
    agreement = (sphere_cloud.normals * outwards).sum(-1)
    assert agreement.min() > 0
    assert agreement.mean() > 0.99
    assert_close(sphere_cloud.normals.norm(dim=-1), torch.ones(len(sphere_cloud)))


def test_fused_box_lies_on_the_box() -> None:
    solid = box(*(2 * HALF))
    cameras = fixed_cameras(64)
    cloud = fuse(cast_views(RayCaster(solid.vertices, solid.faces), cameras), cameras)
    beyond = cloud.points.double().abs().numpy() - HALF
    outside = np.linalg.norm(np.maximum(beyond, 0), axis=-1)
    inside = np.minimum(beyond.max(-1), 0)
    assert np.abs(outside + inside).max() < 1e-5


def test_view_index_names_the_view_that_saw_the_point(sphere_cloud: PointCloud) -> None:
    assert sphere_cloud.view_index.unique().tolist() == list(range(8))
    towards = -fixed_cameras(64).forward[sphere_cloud.view_index]
    assert (sphere_cloud.points * towards).sum(-1).min() > -1e-3


def flat_views(logits: list[float]) -> Views:
    """Eight 2×2 views of the plane through the centre, all with the same mask."""
    coordinates = torch.ones(8, 2, 2, 3)
    return Views(coordinates, torch.tensor(logits).reshape(2, 2).expand(8, 2, 2))


def test_confidence_is_the_mask_probability() -> None:
    cloud = fuse(flat_views([0.0, 2.0, -2.0, torch.inf]), fixed_cameras(2))
    expected = torch.tensor([0.880797, 1.0]).repeat(8)
    assert_close(cloud.confidence, expected)


def test_points_that_another_view_sees_past_are_dropped(sphere_views: Views) -> None:
    cameras = fixed_cameras(64)
    coordinates = sphere_views.coordinates.clone()
    coordinates[0, :, :, 2] = 0.55  # a disc in front of the sphere, as only view 0 has it
    cloud = fuse(Views(coordinates, sphere_views.mask_logits), cameras)
    of_the_disc = cloud.points[cloud.view_index == 0]
    whole = (sphere_views.mask_logits[0] > 0).sum()
    assert len(of_the_disc) < 0.5 * whole
    assert (cloud.view_index == 1).sum() > 0.97 * whole


def test_pixels_between_two_surfaces_are_dropped_and_thin_lines_kept() -> None:
    depth, logits = torch.ones(8, 16, 16), torch.full((8, 16, 16), -torch.inf)
    logits[:, 2:10, 2:10] = torch.inf
    depth[:, :, :5] = 0.6
    depth[:, :, 6:] = 1.4
    depth[:, 2:10, 5] = 1.0  # what a network draws across a step
    logits[:, 12, 2:14] = torch.inf  # a bar one pixel thick
    depth[:, 12] = 1.0
    views = views_from_depth(depth, logits)
    pixel = views.mask.flatten().nonzero()[:, 0]
    flying = torch.zeros(8, 16, 16, dtype=torch.bool)
    flying.view(-1)[pixel] = _flying(
        _patches(_padded(views.depth[None], views.mask), pixel)[0], 4 / 16
    )
    assert flying[0].nonzero().unique(dim=0)[:, 1].unique().tolist() == [5]
    assert flying[0, 3:9, 5].all()
    assert not flying[0, 12].any()


def test_normals_of_a_tilted_plane_beside_another_surface() -> None:
    """z = 1 + x / 2 - y / 4, at the edge of something nearer, seen by view 0."""
    grid = pixel_grid(16)
    depth = (1 + grid[..., 0] / 2 - grid[..., 1] / 4).expand(8, 16, 16).clone()
    depth[:, :, 8:] = 0.6
    views = views_from_depth(depth, torch.full((8, 16, 16), torch.inf))
    pixel = torch.arange(16 * 16).view(16, 16)[:, :8].flatten()
    normals = _normals(
        _patches(_padded(views.coordinates.movedim(-1, 0), views.mask), pixel), 2 / 16
    )
    expected = torch.tensor([0.5, -0.25, -1.0]) / 1.3125**0.5
    assert_close(normals, expected[:, None].expand(3, len(pixel)), atol=0.005, rtol=0)


def test_lone_pixels_face_their_camera() -> None:
    logits = torch.full((8, 4, 4), -torch.inf)
    logits[:, 1, 1] = torch.inf
    cameras = fixed_cameras(4)
    cloud = fuse(views_from_depth(torch.ones(8, 4, 4), logits), cameras)
    assert len(cloud) > 0
    assert_close(cloud.normals, -cameras.forward[cloud.view_index])


def test_empty_masks_give_an_empty_cloud() -> None:
    cloud = fuse(flat_views([-torch.inf] * 4), fixed_cameras(2))
    assert len(cloud) == 0
    assert cloud.points.shape == cloud.normals.shape == (0, 3)


def test_points_from_views_unprojects_the_coordinates() -> None:
    """A pixel of view 0 that sees the plane through the centre."""
    views = Views(torch.tensor([0.1, 0.2, 1.0]).expand(8, 1, 1, 3), torch.zeros(8, 1, 1))
    cameras = fixed_cameras(1)
    right, down = cameras.camera_from_object[0, :2, :3]
    assert_close(points_from_views(views, cameras)[0, 0], 0.1 * right + 0.2 * down)


def test_points_from_views_gradient() -> None:
    generator = torch.Generator().manual_seed(0)
    coordinates = torch.rand(8, 2, 2, 3, generator=generator, dtype=torch.float64)
    mask = torch.zeros(8, 2, 2, dtype=torch.float64)

    def points(values: torch.Tensor) -> torch.Tensor:
        return points_from_views(Views(values, mask), fixed_cameras(2))

    assert torch.autograd.gradcheck(points, (coordinates.requires_grad_(),))


@pytest.mark.parametrize("size", [1, 2, 7])
def test_the_highest_around_is_max_pooling(size: int) -> None:
    values = torch.rand(3, size, size, generator=torch.Generator().manual_seed(0))
    expected = torch.nn.functional.max_pool2d(values[:, None], 3, 1, 1)[:, 0]
    assert torch.equal(_highest_around(values), expected)
