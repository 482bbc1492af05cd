from __future__ import annotations

from math import pi

import numpy as np
import pytest
import torch
import trimesh
from numpy import ndarray

from img2pc.cameras import (
    OrthographicCameras,
    cameras_towards_centre,
    fixed_cameras,
    pixel_grid,
)
from img2pc.data.ray_caster import RayCaster, cast_depth, cast_views
from img2pc.data.solids import box

SIZE = 64


def rolled_cameras() -> OrthographicCameras:
    generator = torch.Generator().manual_seed(3)
    return cameras_towards_centre(
        torch.randn(6, 3, generator=generator), SIZE, 2 * pi * torch.rand(6, generator=generator)
    )


CAMERAS = {"fixed": fixed_cameras(SIZE), "rolled": rolled_cameras()}


@pytest.mark.parametrize("cameras", CAMERAS.values(), ids=CAMERAS)
def test_sphere(cameras: OrthographicCameras) -> None:
    mesh = trimesh.creation.icosphere(subdivisions=5, radius=0.4)
    views = cast_views(RayCaster(mesh.vertices, mesh.faces), cameras)
    off_axis = pixel_grid(SIZE).norm(dim=-1)
    inner = off_axis < 0.39
    depth = 1 - (0.16 - off_axis**2).clamp(min=0).sqrt()
    assert (views.mask_logits[:, inner] > 0).all()
    assert (views.depth - depth)[:, inner].abs().max() < 1e-3
    radius = ((views.mask_logits > 0).sum((1, 2)) / pi).sqrt()
    assert (radius - 0.4 * SIZE).abs().max() < 0.5


@pytest.mark.parametrize("cameras", CAMERAS.values(), ids=CAMERAS)
def test_box(cameras: OrthographicCameras) -> None:
    solid = box(0.6, 0.4, 0.5)
    views = cast_views(RayCaster(solid.vertices, solid.faces), cameras)
    near, far = box_entry_and_exit(cameras, np.array([0.3, 0.2, 0.25]))
    mask = views.mask_logits.numpy() > 0
    assert (mask == (near < far)).mean() > 0.999
    both = mask & (near < far - 1e-3)
    assert np.abs(views.depth.numpy() - near)[both].max() < 1e-5


def box_entry_and_exit(cameras: OrthographicCameras, half: ndarray) -> tuple[ndarray, "ndarray"]:
    """Depths at which each pixel's ray enters and leaves a box (Kay and Kajiya's slabs)."""
    right, down, forward = np.moveaxis(cameras.camera_from_object.double().numpy()[:, :3, :3], 1, 0)
    x, y = pixel_grid(SIZE).double().numpy().transpose(2, 0, 1)[:, None, ..., None]
    origin = x * right[:, None, None] + y * down[:, None, None] - forward[:, None, None]
    direction = forward[:, None, None]
    slabs = np.stack([(-half - origin) / direction, (half - origin) / direction])
    return slabs.min(0).max(-1), slabs.max(0).min(-1)


def test_the_background_has_depth_1_and_a_certain_mask() -> None:
    solid = box(0.3, 0.3, 0.3)
    views = cast_views(RayCaster(solid.vertices, solid.faces), fixed_cameras(SIZE))
    seen = views.mask_logits > 0
    assert views.mask_logits[seen].isposinf().all()
    assert views.mask_logits[~seen].isneginf().all()
    assert (views.depth[~seen] == 1).all()
    assert torch.equal(views.coordinates[3, ..., :2], pixel_grid(SIZE))


def test_depth_maps_are_infinite_where_views_see_background() -> None:
    solid = box(0.6, 0.4, 0.5)
    caster = RayCaster(solid.vertices, solid.faces)
    depth, views = cast_depth(caster, fixed_cameras(SIZE)), cast_views(caster, fixed_cameras(SIZE))
    seen = views.mask_logits > 0
    assert torch.equal(depth[seen], views.depth[seen])
    assert depth[~seen].isposinf().all()


def test_opposite_cameras_see_mirrored_silhouettes() -> None:
    solid = box(0.3, 0.5, 0.2).bent(0.4)
    views = cast_views(RayCaster(solid.vertices, solid.faces), fixed_cameras(SIZE))
    same = views.mask_logits == views.mask_logits.flip(0).flip(2)
    assert same.float().mean() > 0.999


def floor() -> RayCaster:
    """The square from -1 to 1 at y = 0, as two triangles."""
    corners = np.array([[-1.0, 0, -1], [1, 0, -1], [1, 0, 1], [-1, 0, 1]])
    return RayCaster(corners, np.array([[0, 1, 2], [0, 2, 3]]))


DOWN = np.array([[0, -1, 0]] * 2, dtype=np.float32)
ABOVE = np.array([[0.5, 2, -0.25], [5, 2, 0]], dtype=np.float32)  # the second misses


def test_first_hits() -> None:
    hits = floor().first_hits(ABOVE, DOWN)
    assert hits.face.tolist() == [0, -1]
    assert hits.distance.tolist() == [2.0, np.inf]
    # (0.5, -0.25) = 0.25 · (-1, -1) + 0.375 · (1, -1) + 0.375 · (1, 1)
    assert hits.barycentric[:, 0].tolist() == pytest.approx([0.375, 0.375])


def test_distances_are_those_of_first_hits() -> None:
    assert floor().distances(ABOVE, DOWN).tolist() == [2.0, np.inf]


@pytest.mark.parametrize(
    ("reach", "expected"), [(1.9, [False, False]), (2.1, [True, False]), (1e30, [True, False])]
)
def test_occlusion_ends_at_the_reach(reach: float, expected: list[bool]) -> None:
    assert floor().occluded(ABOVE, DOWN, reach).tolist() == expected


def test_nothing_behind_a_ray_is_hit() -> None:
    assert not floor().occluded(ABOVE, -DOWN).any()
    assert floor().first_hits(ABOVE, -DOWN).face.tolist() == [-1, -1]
