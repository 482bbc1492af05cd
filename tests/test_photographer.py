"""The camera is found again from what it saw."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy import ndarray

from img2pc.cameras import PerspectiveCamera, fixed_cameras
from img2pc.data.ray_caster import RayCaster, cast_views
from img2pc.data.shapes import Shape
from img2pc.fusion import fuse
from img2pc.images import crop_to_foreground
from img2pc.photographer import find_photographer
from img2pc.pointclouds import PointCloud


def camera_at(elevation_degrees: float, field_of_view_degrees: float) -> PerspectiveCamera:
    """Aimed at the centre, the object well inside its window."""
    elevation, half = np.radians([elevation_degrees, field_of_view_degrees / 2])
    towards = np.array([0.0, np.sin(elevation), np.cos(elevation)])
    down = np.array([0.0, -towards[2], towards[1]])
    axes = np.stack([[1.0, 0.0, 0.0], down, -towards], -1)
    side = 2.2 * float(np.tan(half))
    return PerspectiveCamera(towards / 2 / np.sin(half), axes, np.full(2, -side / 2), side)


def picture_of(shape: Shape, camera: PerspectiveCamera, size: int = 200) -> ndarray:
    """The crop of a grey picture, by a ray through each pixel."""
    place = camera.window_corner + camera.window_side * (np.arange(size)[:, None] + 0.5) / size
    x, y = np.meshgrid(*place.T)
    tangents = np.stack([x, y, np.ones_like(x)], -1).reshape(-1, 3)
    directions = (tangents @ camera.object_from_camera.T).astype(np.float32)
    origins = np.tile(camera.centre.astype(np.float32), (len(directions), 1))
    hits = RayCaster(shape.vertices, shape.faces).first_hits(origins, directions)
    alpha = np.where(hits.face >= 0, 255, 0).astype(np.uint8).reshape(size, size, 1)
    grey = np.full((size, size, 3), 99, dtype=np.uint8)
    return crop_to_foreground(np.concatenate([grey, alpha], -1), 128)


def elevation_of(camera: PerspectiveCamera) -> float:
    return float(np.degrees(np.arcsin(camera.centre[1] / np.linalg.norm(camera.centre))))


@pytest.fixture(scope="module")
def cloud(chair: Shape) -> PointCloud:
    cameras = fixed_cameras(128)
    return fuse(cast_views(RayCaster(chair.vertices, chair.faces), cameras), cameras)


@pytest.mark.parametrize("elevation", [-8.0, 5.0, 20.0, 35.0, 48.0])
@pytest.mark.parametrize("field_of_view", [25.0, 45.0, 65.0])
def test_the_camera_is_found_within_five_degrees(
    elevation: float, field_of_view: float, chair: Shape, cloud: PointCloud
) -> None:
    camera = camera_at(elevation, field_of_view)
    crop = picture_of(chair, camera)
    found = find_photographer(cloud.points.numpy(), crop[..., 3])
    assert abs(elevation_of(found) - elevation) < 5
    # What matters for colours: points are seen where they were, within two pixels of 128.
    points = cloud.points.numpy().astype(float)
    true = camera.project(points)[:, :2]
    low, high = true.min(0), true.max(0)
    side = float((high - low).max()) / 0.9
    in_crop = (true - (low + high - side) / 2) / side
    off = 128 * np.linalg.norm(found.project(points)[:, :2] - in_crop, axis=-1)
    assert off.mean() < 2


def test_convention_the_camera_stands_above_plus_z(chair: Shape, cloud: PointCloud) -> None:
    crop = picture_of(chair, camera_at(30.0, 40.0))
    found = find_photographer(cloud.points.numpy(), crop[..., 3])
    assert found.centre[0] == 0
    assert 0 < found.centre[1] < found.centre[2]
    ahead, right, up = found.project(np.array([[0, 0, 0], [0.1, 0, 0], [0, 0.1, 0.0]]))
    assert right[0] > ahead[0] + 0.05
    assert up[1] < ahead[1] - 0.05
    assert np.linalg.det(found.object_from_camera) == pytest.approx(1)


def test_the_same_camera_every_time(chair: Shape, cloud: PointCloud) -> None:
    alpha = picture_of(chair, camera_at(10.0, 40.0))[..., 3]
    one, other = (find_photographer(cloud.points.numpy(), alpha) for _ in range(2))
    assert np.array_equal(one.centre, other.centre)
    assert np.array_equal(one.window_corner, other.window_corner)


def square(first: int, last: int) -> ndarray:
    alpha = np.zeros((32, 32), dtype=np.uint8)
    alpha[first:last, first:last] = 255
    return alpha


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("alpha", [square(0, 32), square(10, 11), square(0, 0)])
@pytest.mark.parametrize("count", [0, 1, 2, 5000])
@pytest.mark.parametrize("extent", [0.0, 1e-6, 0.5, 3.0])
def test_there_always_is_a_camera(alpha: ndarray, count: int, extent: float) -> None:
    points = extent * (torch.rand(count, 3, generator=torch.Generator().manual_seed(0)) - 0.5)
    found = find_photographer(points.numpy(), alpha)
    assert -11 < elevation_of(found) < 51
    assert np.isfinite(found.window_corner).all()
    assert found.window_side > 0


def test_with_nothing_to_fit_the_camera_is_as_usual() -> None:
    found = find_photographer(np.zeros((0, 3)), square(0, 32))
    assert elevation_of(found) == pytest.approx(20)
    assert 0.5 / np.linalg.norm(found.centre) == pytest.approx(np.sin(np.radians(45 / 2)))


def test_what_a_silhouette_does_not_tell_is_as_usual() -> None:
    """Of one point in the middle every camera draws one pixel."""
    found = find_photographer(np.zeros((1, 3)), square(0, 32))
    assert elevation_of(found) == pytest.approx(20, abs=1)
    field_of_view = 2 * np.degrees(np.arcsin(0.5 / np.linalg.norm(found.centre)))
    assert field_of_view == pytest.approx(45, rel=0.02)
