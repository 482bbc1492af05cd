from __future__ import annotations

from dataclasses import replace
from math import pi, sqrt

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from img2pc.cameras import (
    FIXED_VIEWPOINTS,
    OrthographicCameras,
    PerspectiveCamera,
    cameras_towards_centre,
    fixed_cameras,
    pixel_grid,
    transform,
    views_after_mirroring,
    views_after_quarter_turns,
)
from img2pc.cameras import random_cameras as novel_cameras
from img2pc.data.ray_caster import RayCaster, cast_views
from img2pc.data.shapes import Shape
from img2pc.data.solids import Solid, rotation
from img2pc.views import Views


def random_cameras(count: int, size: int = 32) -> OrthographicCameras:
    generator = torch.Generator().manual_seed(0)
    viewpoints = torch.randn(count, 3, generator=generator, dtype=torch.float64)
    roll = 2 * pi * torch.rand(count, generator=generator, dtype=torch.float64)
    return cameras_towards_centre(viewpoints, size, roll)


def random_points(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(*shape, 3, generator=generator, dtype=torch.float64) - 0.5


def project_one(cameras: OrthographicCameras, *point: float) -> torch.Tensor:
    """(u, v, depth) of one object-frame point in each camera."""
    points = torch.tensor(point).to(cameras.camera_from_object).expand(8, 1, 3)
    return cameras.project(points)[:, 0]


def test_novel_cameras_are_uniform_on_the_sphere_and_rolled_uniformly() -> None:
    """Each coordinate of a point that is uniform on a sphere is uniform (Archimedes)."""
    count = 20_000
    found = novel_cameras(count, 8, torch.Generator().manual_seed(0))
    towards_centre = found.camera_from_object[:, 2, :3]
    upright = cameras_towards_centre(-towards_centre, 8)
    rolled = (found.camera_from_object @ upright.object_from_camera)[:, :3, :3]
    roll = torch.atan2(rolled[:, 0, 1], rolled[:, 0, 0]) / pi
    even = torch.linspace(-1, 1, count)
    for values in (*towards_centre.T, roll):
        assert (values.sort().values - even).abs().max() < 0.03


def test_convention_fixed_viewpoints() -> None:
    assert FIXED_VIEWPOINTS == (
        (+1, +1, +1),
        (+1, -1, -1),
        (-1, +1, -1),
        (-1, -1, +1),
        (+1, +1, -1),
        (+1, -1, +1),
        (-1, +1, +1),
        (-1, -1, -1),
    )


def test_convention_cameras_stand_at_the_viewpoints_at_distance_1() -> None:
    centres = fixed_cameras(4).object_from_camera[:, :3, 3]
    assert_close(centres, torch.tensor(FIXED_VIEWPOINTS) / sqrt(3))


def test_convention_view_7_minus_i_is_opposite_to_view_i() -> None:
    forward = fixed_cameras(4).forward
    assert_close(forward, -forward.flip(0))


def test_convention_rotation_of_view_0() -> None:
    expected = torch.tensor(
        [
            [0.70710678, 0.0, -0.70710678, 0.0],  # right: +X - Z
            [0.40824829, -0.81649658, 0.40824829, 0.0],  # down
            [-0.57735027, -0.57735027, -0.57735027, 1.0],  # forward: to the centre
            [0.0, 0.0, 0.0, 1.0],
        ]
    )
    assert_close(fixed_cameras(64).camera_from_object[0], expected)


def test_convention_photographer_at_plus_z_sees_plus_x_to_the_right() -> None:
    camera = cameras_towards_centre(torch.tensor([0.0, 0.0, 1.0]), 10)
    u, v, depth = camera.project(torch.tensor([[0.1, 0.2, 0.3]]))[0].tolist()
    assert (u, v, depth) == pytest.approx((6.0, 3.0, 0.7))


def test_convention_object_up_is_up_in_every_fixed_view() -> None:
    u, v, _ = project_one(fixed_cameras(64), 0.0, 0.5, 0.0).unbind(-1)
    assert_close(u, torch.full((8,), 32.0))
    assert_close(v, torch.full((8,), 32 - 64 * 0.5 * sqrt(2 / 3)))


@pytest.mark.parametrize("size", [4, 64, 101])
def test_convention_centre_projects_to_the_middle_at_depth_1(size: int) -> None:
    assert_close(
        project_one(fixed_cameras(size), 0.0, 0.0, 0.0),
        torch.tensor([size / 2, size / 2, 1.0]).expand(8, 3),
    )


def test_convention_image_plane_covers_half_a_unit_to_each_side() -> None:
    pixels_from_camera = fixed_cameras(64).pixels_from_camera
    corners = torch.tensor([[-0.5, -0.5, 1.0], [0.5, 0.5, 1.0]])
    expected = torch.tensor([[0.0, 0.0, 1.0], [64.0, 64.0, 1.0]])
    assert_close(transform(pixels_from_camera, corners), expected)


def test_convention_pixel_grid() -> None:
    expected = [[[-0.25, -0.25], [0.25, -0.25]], [[-0.25, 0.25], [0.25, 0.25]]]
    assert pixel_grid(2).tolist() == expected
    assert pixel_grid(4)[0, :, 0].tolist() == [-0.375, -0.125, 0.125, 0.375]
    assert pixel_grid(4)[:, 0, 1].tolist() == [-0.375, -0.125, 0.125, 0.375]


def test_convention_pixel_centres_are_at_a_half() -> None:
    camera = fixed_cameras(4)
    xy = pixel_grid(4).reshape(-1, 2)
    in_camera = torch.cat([xy, torch.ones(16, 1)], -1)
    uv = transform(camera.pixels_from_camera, in_camera)[:, :2].reshape(4, 4, 2)
    row, column = 1, 2
    assert uv[row, column].tolist() == [2.5, 1.5]
    assert uv[0, 0].tolist() == [0.5, 0.5]


def test_object_from_camera_is_the_inverse() -> None:
    cameras = random_cameras(16)
    identity = torch.eye(4, dtype=torch.float64).expand(16, 4, 4)
    product = cameras.object_from_camera @ cameras.camera_from_object
    assert_close(product, identity, atol=1e-14, rtol=0)


def test_camera_frames_are_right_handed_and_orthonormal() -> None:
    rotations = random_cameras(16).camera_from_object[:, :3, :3]
    identity = torch.eye(3, dtype=torch.float64).expand(16, 3, 3)
    assert_close(rotations @ rotations.mT, identity, atol=1e-14, rtol=0)
    assert_close(torch.linalg.det(rotations), torch.ones(16, dtype=torch.float64))


def test_projections_have_gradients() -> None:
    cameras = random_cameras(2)
    points = random_points(2, 3).requires_grad_()
    assert torch.autograd.gradcheck(cameras.project, (points,))


def test_roll_turns_the_camera_clockwise() -> None:
    """So what was above the centre appears to its left."""
    viewpoint = torch.tensor([0.0, 0.0, 1.0])
    above = torch.tensor([[0.0, 0.25, 0.0]])
    camera = cameras_towards_centre(viewpoint, 100, torch.tensor(pi / 2))
    assert_close(camera.project(above), torch.tensor([[25.0, 50.0, 1.0]]))


def test_roll_by_a_full_turn_changes_nothing() -> None:
    viewpoints = torch.randn(5, 3, dtype=torch.float64)
    turned = cameras_towards_centre(viewpoints, 8, torch.full((5,), 2 * pi, dtype=torch.float64))
    upright = cameras_towards_centre(viewpoints, 8)
    assert_close(turned.camera_from_object, upright.camera_from_object)


@pytest.mark.parametrize("height", [1.0, -1.0])
@pytest.mark.parametrize("offset", [0.0, 1e-6, 1e-3])
def test_cameras_straight_above_and_below_are_finite(height: float, offset: float) -> None:
    camera = cameras_towards_centre(torch.tensor([0.0, height, offset], dtype=torch.float64), 8)
    rotation_matrix = camera.camera_from_object[:3, :3]
    identity = torch.eye(3, dtype=torch.float64)
    assert_close(rotation_matrix @ rotation_matrix.T, identity, atol=1e-9, rtol=0)


def test_to_follows_the_tensor() -> None:
    moved = fixed_cameras(4).to(torch.zeros(1, dtype=torch.float64))
    assert moved.camera_from_object.dtype == torch.float64
    assert moved.image_size == 4


def cast(shape: Shape) -> Views:
    return cast_views(RayCaster(shape.vertices, shape.faces), fixed_cameras(64))


def assert_same_views(actual: Views, expected: Views) -> None:
    """Up to the few pixels whose rays graze an edge."""
    same_mask = actual.mask_logits == expected.mask_logits
    assert same_mask.float().mean() > 0.999
    close = (actual.depth - expected.depth).abs() < 1e-4
    assert close[same_mask].float().mean() > 0.999


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5])
def test_quarter_turns_renumber_the_views(turns: int, chair: Shape) -> None:
    turned = replace(chair, vertices=chair.vertices @ rotation("y", 90 * turns).T)
    original, order = cast(chair), list(views_after_quarter_turns(turns))
    renumbered = Views(original.coordinates[order], original.mask_logits[order])
    assert_same_views(cast(turned), renumbered)


def test_mirroring_renumbers_and_flips_the_views(chair: Shape) -> None:
    solid = Solid(chair.vertices, chair.faces).mirrored()
    mirrored = replace(chair, vertices=solid.vertices, faces=np.ascontiguousarray(solid.faces))
    original, order = cast(chair), list(views_after_mirroring())
    coordinates = original.coordinates[order].flip(2)
    coordinates = coordinates * torch.tensor([-1.0, 1.0, 1.0])
    flipped = Views(coordinates, original.mask_logits[order].flip(2))
    assert_same_views(cast(mirrored), flipped)
    assert_close(cast(mirrored).coordinates[..., :2], flipped.coordinates[..., :2])


def test_the_chair_of_these_tests_has_no_symmetry(chair: Shape) -> None:
    masks = cast(chair).mask_logits > 0
    for view in range(1, 4):  # the opposite ones mirror these
        assert (masks[0] != masks[view]).float().mean() > 0.005


def test_convention_perspective_windows_run_from_0_to_1() -> None:
    """From +Z at distance 2, x right and y down; the window is a quarter wide, its corner known."""
    axes = np.array([[1.0, 0, 0], [0, -1, 0], [0, 0, -1]]).T
    camera = PerspectiveCamera(np.array([0.0, 0, 2]), axes, np.array([-0.125, -0.0625]), 0.25)
    points = np.array([[0.0, 0, 0], [0.25, 0, 0], [0, 0.25, 0], [0.25, 0.0, 1.0]])
    expected = [[0.5, 0.25, 2], [1.0, 0.25, 2], [0.5, -0.25, 2], [1.5, 0.25, 1]]
    assert camera.project(points).tolist() == expected
