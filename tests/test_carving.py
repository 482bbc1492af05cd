"""Cutting off what has swollen beyond a cloud, on solids whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from manifold3d import Manifold
from numpy import ndarray

from img2pc.carving import _depth_maps, carved
from img2pc.cloud_files import PointArrays

RADIUS, CELL = 0.4, 0.01
BALL = Manifold.sphere(RADIUS, 96)
BALLOON = Manifold.sphere(0.25, 64).translate((0.5, 0, 0))


def on_sphere(count: int, seed: int = 0) -> ndarray:
    normals = np.random.default_rng(seed).normal(size=(count, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return normals


def cloud_of(*parts: tuple[ndarray, ndarray]) -> PointArrays:
    points, normals = (np.concatenate(each) for each in zip(*parts, strict=True))
    return PointArrays(points, normals)


def ball_cloud(count: int = 8000) -> PointArrays:
    normals = on_sphere(count)
    return cloud_of((RADIUS * normals, normals))


def excess(solid: Manifold, true: Manifold) -> float:
    return float((solid - true).volume())


def dense(solid: Manifold) -> Manifold:
    """With corners as close as Poisson's."""
    return solid.refine_to_length(0.03)


def test_a_solid_that_follows_its_cloud_is_left_alone() -> None:
    assert carved(BALL, ball_cloud(), CELL) is BALL


@pytest.mark.parametrize("side", [(1, 0, 0), (0, 1, 0), (-0.6, 0, 0.8)])
def test_a_balloon_beside_the_cloud_is_cut_off(side: tuple[float, float, float]) -> None:
    swollen = BALL + Manifold.sphere(0.25, 64).translate(0.5 * np.array(side))

    solid = carved(swollen, ball_cloud(), CELL)

    assert excess(solid, BALL) < 0.3 * excess(swollen, BALL)
    assert excess(BALL, solid) < 1e-3 * BALL.volume()
    again = carved(swollen, ball_cloud(), CELL)
    assert (again.to_mesh().vert_properties == solid.to_mesh().vert_properties).all()


def test_points_at_a_corner_of_the_grid_do_not_turn_it_inside_out() -> None:
    swollen = BALL + BALLOON
    box = np.array(swollen.bounding_box())
    beyond = box[:3] - 0.07 + 0.01 * on_sphere(200)
    cloud = ball_cloud()
    assert cloud.normals is not None
    solid = carved(swollen, cloud_of((cloud.points, cloud.normals), (beyond, on_sphere(200))), CELL)
    assert excess(BALL, solid) < 1e-3 * BALL.volume()
    assert excess(solid, BALL) < 0.3 * excess(swollen, BALL)


def test_a_balloon_between_two_parts_is_cut_off() -> None:
    normals, apart = on_sphere(8000), np.array([1.2, 0, 0])
    cloud = cloud_of((RADIUS * normals, normals), (RADIUS * normals + apart, normals))
    both = BALL + BALL.translate(apart)
    swollen = both + dense(Manifold.cylinder(1.2, 0.2, circular_segments=64).rotate((0, 90, 0)))

    assert excess(carved(swollen, cloud, CELL), both) < 0.4 * excess(swollen, both)


@pytest.mark.parametrize("shift", [0.0, 0.004])
def test_a_thin_rod_is_not_lost_where_something_else_has_swollen(shift: float) -> None:
    """Wherever it lies between the centres of voxels."""
    angle = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    ring = np.stack([np.cos(angle), 0 * angle, np.sin(angle)], -1)
    along = np.arange(RADIUS, 1.2, 0.003)
    at = np.array([shift, 0, shift])
    points = (0.004 * ring[None] + np.array([0, 1.0, 0]) * along[:, None, None] + at).reshape(-1, 3)
    normals = on_sphere(100_000)
    rod_cloud = (points, np.tile(ring, (len(along), 1)))
    cloud = cloud_of((RADIUS * normals, normals), rod_cloud)
    rod = Manifold.cylinder(1.2, 0.004, circular_segments=12).rotate((-90, 0, 0)).translate(at)
    swollen = dense(BALL + rod) + BALLOON

    solid = carved(swollen, cloud, 0.004)

    assert solid.volume() < swollen.volume() - 0.5 * excess(BALLOON, BALL)
    assert (rod - solid).volume() < 0.02 * rod.volume()


def test_the_closed_bottom_of_a_scan_open_below_stays() -> None:
    normals = on_sphere(16_000)
    normals = normals[normals[:, 1] > -0.3]
    half = BALL.trim_by_plane((0, 1, 0), -0.3 * RADIUS)
    bulging = dense(half + half.mirror((0, 1, 0)).translate((0, -0.6 * RADIUS, 0)) ^ BALL)

    solid = carved(bulging, cloud_of((RADIUS * normals, normals)), CELL)

    assert excess(half, solid) < 0.02 * half.volume()


def test_a_tube_open_at_both_ends_is_not_hollowed() -> None:
    """Of whose wall only the outside was scanned."""
    height = 0.8
    normals = on_sphere(16_000)[:, [0, 2]]
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    along = np.random.default_rng(1).uniform(-height / 2, height / 2, len(normals))
    points = np.stack([RADIUS * normals[:, 0], along, RADIUS * normals[:, 1]], -1)
    outwards = np.stack([normals[:, 0], 0 * along, normals[:, 1]], -1)
    post = Manifold.cylinder(height, RADIUS, circular_segments=96, center=True).rotate((90, 0, 0))

    solid = carved(dense(post), cloud_of((points, outwards)), CELL)

    assert excess(post, solid) < 0.02 * post.volume()


def test_a_ball_scanned_in_slices_stays() -> None:
    """Points on a line are far nearer to each other than lines: what lies between two lines looks
    free."""
    heights = np.linspace(-0.95, 0.95, 8)
    angle = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    circle = np.stack([np.cos(angle), 0 * angle, np.sin(angle)], -1)
    normals = (np.sqrt(1 - heights**2)[:, None, None] * circle).reshape(-1, 3)
    normals[:, 1] = heights.repeat(len(angle))

    solid = carved(dense(BALL), cloud_of((RADIUS * normals, normals)), CELL)
    assert excess(BALL, solid) < 0.02 * BALL.volume()


def test_the_surface_between_sparse_points_stays() -> None:
    normals = on_sphere(20_000)
    normals = normals[(normals[:, 0] < 0) | (np.arange(20_000) % 25 == 0)]

    solid = carved(dense(BALL), cloud_of((RADIUS * normals, normals)), CELL)

    assert excess(BALL, solid) < 0.01 * BALL.volume()


def test_a_few_points_far_away_cost_no_memory() -> None:
    normals = on_sphere(8000)
    stray = np.random.default_rng(2).uniform(0, 0.1, (30, 3)) + 400
    points = np.concatenate([RADIUS * normals, stray])
    spacings = np.full(len(points), 0.01)
    maps = _depth_maps(points, np.concatenate([normals, normals[:30]]), spacings)
    assert sum(each.height.nbytes for each in maps) < 2e8


def test_a_surface_that_grew_over_a_bowl_is_opened() -> None:
    normals = on_sphere(30_000)
    outer, inner = normals[:16_000], normals[16_000:]
    points = np.concatenate([RADIUS * outer, 0.8 * RADIUS * inner])
    facing = np.concatenate([outer, -inner])
    below = points[:, 1] < 0.1
    filled = dense(BALL.trim_by_plane((0, -1, 0), -0.1))
    bowl = filled - BALL.scale((0.8,) * 3)

    opened = carved(filled, PointArrays(points[below], facing[below]), CELL)

    assert excess(opened, bowl) < 0.6 * excess(filled, bowl)
