from __future__ import annotations

import numpy as np
import pytest
import torch
import trimesh
from torch.testing import assert_close

from img2pc.cameras import OrthographicCameras, fixed_cameras, pixel_grid, random_cameras
from img2pc.data.ray_caster import RayCaster, cast_views
from img2pc.data.solids import box
from img2pc.fusion import _edges, _flying, fuse, points_from_views
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
    known = views.depth.where(views.mask, torch.inf).numpy()
    flying = torch.from_numpy(_flying(_edges(known, 4 / 16))).view(8, 16, 16)
    assert flying[0].nonzero().unique(dim=0)[:, 1].unique().tolist() == [5]
    assert flying[0, 3:9, 5].all()
    assert not flying[0, 12].any()


def test_normals_of_a_tilted_plane_beside_another_surface() -> None:
    """z = 1 + x / 2 - y / 4, at the edge of something nearer, seen by view 0."""
    grid = pixel_grid(16)
    depth = (1 + grid[..., 0] / 2 - grid[..., 1] / 4).expand(8, 16, 16).clone()
    depth[:, :, 8:] = 0.6
    views = views_from_depth(depth, torch.full((8, 16, 16), torch.inf))
    cameras = fixed_cameras(16)
    cloud = fuse(views, cameras)
    camera_from_object = cameras.camera_from_object[0, :3, :3]
    tilted = (cloud.view_index == 0) & (cloud.points @ camera_from_object[0] < 0)
    normals = cloud.normals[tilted] @ camera_from_object.T
    expected = torch.tensor([0.5, -0.25, -1.0]) / 1.3125**0.5
    assert len(normals) > 100
    assert_close(normals, expected.expand(len(normals), 3), atol=0.005, rtol=0)


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


# --- Against a plain reference --------------------------------------------------------------------


def random_views(count: int, size: int, dtype: torch.dtype, seed: int) -> Views:
    """Tilted sheets with steps, holes and noise; opposite views disagree."""
    generator = torch.Generator().manual_seed(seed)
    shape = (count, size, size)
    slope = torch.randn(count, 1, 1, generator=generator)
    steps = 0.6 * (torch.rand(count, 1, size, generator=generator) < 0.3)
    noise = 0.5 / size * torch.randn(shape, generator=generator)
    depth = 0.9 + slope * pixel_grid(size)[..., 0] + steps + noise
    shift = (torch.rand(*shape, 2, generator=generator) - 0.5) / size
    logits = 4 * torch.randn(shape, generator=generator) + 2
    logits[:, : size // 4] -= 9
    return views_from_depth(depth.to(dtype), logits.to(dtype), shift.to(dtype))


def reference_cloud(views: Views, cameras: OrthographicCameras) -> list[tuple[float, ...]]:
    """Point, normal, confidence and view of each, pixel by pixel."""
    coordinates, probability = views.coordinates.double().numpy(), views.mask_probability.numpy()
    pixels_from_object = (cameras.pixels_from_camera @ cameras.camera_from_object).double().numpy()
    object_from_camera = cameras.object_from_camera.double().numpy()
    count, size = probability.shape[:2]
    found = []
    for view in range(count):
        area = int(probability[view].sum().round())
        mask = probability[view] >= np.sort(probability[view], axis=None)[-max(area, 1)]
        for row, column in np.argwhere(mask & (area > 0)):
            centre = coordinates[view, row, column]
            place, near, far = {}, 0, 0
            for down, right in np.ndindex(3, 3):
                r, c = row + down - 1, column + right - 1
                place[down - 1, right - 1] = centre
                if min(r, c) >= 0 and max(r, c) < size and mask[r, c]:
                    same = abs(coordinates[view, r, c, 2] - centre[2]) < 4 / size
                    near, far = near + same, far + (not same)
                    if same:
                        place[down - 1, right - 1] = coordinates[view, r, c]
            point = object_from_camera[view] @ [*centre, 1]
            if far > near - 1 or any(  # its own depth is among those near
                sees_past(probability[other], pixels_from_object[other] @ point)
                for other in range(count)
            ):
                continue
            across = sum(place[step, 1] - place[step, -1] for step in (-1, 0, 1))
            down = sum(place[1, step] - place[-1, step] for step in (-1, 0, 1))
            across[0] += 1e-4
            down[1] += 1e-4
            normal = np.cross(down, across)
            normal = object_from_camera[view, :3, :3] @ normal / np.linalg.norm(normal)
            found.append((*point[:3], *normal, probability[view, row, column], view))
    return found


def sees_past(probability: np.ndarray, pixel: np.ndarray) -> bool:
    column, row = np.floor(pixel[:2]).astype(int)
    if min(row, column) < 0 or max(row, column) >= len(probability):
        return False
    around = probability[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
    return bool(around.max() < 0.1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("rig", ["fixed", "random", "single"])
def test_fusion_is_what_the_reference_says(rig: str, seed: int, dtype: torch.dtype) -> None:
    cameras = fixed_cameras(13)
    if rig != "fixed":
        generator = torch.Generator().manual_seed(seed)
        cameras = random_cameras(3 if rig == "random" else 1, 13, generator)
    views = random_views(len(cameras.camera_from_object), 13, dtype, seed)
    cloud = fuse(views, cameras)
    expected = torch.tensor(reference_cloud(views, cameras), dtype=dtype)
    assert cloud.points.dtype == dtype
    assert 0.05 < len(cloud) / views.mask.sum() < 0.99
    values = (cloud.points, cloud.normals, cloud.confidence[:, None], cloud.view_index[:, None])
    assert_close(torch.cat([value.to(dtype) for value in values], 1), expected, atol=1e-4, rtol=0)


def test_views_may_lie_in_memory_as_they_like() -> None:
    views = random_views(8, 13, torch.float32, 0)
    planes = views.coordinates.movedim(-1, 0).contiguous().movedim(0, -1)
    one, other = (
        fuse(Views(xyz, views.mask_logits), fixed_cameras(13))
        for xyz in (planes, views.coordinates)
    )
    assert torch.equal(one.points, other.points)
    assert torch.equal(one.normals, other.normals)


@pytest.mark.parametrize("size", [1, 2])
def test_the_smallest_views(size: int) -> None:
    cloud = fuse(random_views(8, size, torch.float32, 0), fixed_cameras(size))
    assert cloud.points.isfinite().all()
    assert cloud.normals.isfinite().all()
