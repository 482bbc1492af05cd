"""Cutting off what has swollen beyond a cloud, on solids whose truth is known."""

import numpy as np
import pytest
from manifold3d import Manifold

from img2pc.carving import carved
from img2pc.cloud_files import PointArrays

RADIUS = 0.4
BALL = Manifold.sphere(RADIUS, 96)


def ball_cloud(count: int = 8000, lowest: float = -1.0, seed: int = 0) -> PointArrays:
    """Points of a sphere, with outward normals, from a share of its radius upwards."""
    rng = np.random.default_rng(seed)
    normals = rng.normal(size=(4 * count, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    normals = normals[normals[:, 1] > lowest][:count]
    return PointArrays(RADIUS * normals, normals, None)


def test_a_solid_that_follows_its_cloud_is_left_alone() -> None:
    assert carved(BALL, ball_cloud()) is BALL


@pytest.mark.parametrize("side", [(1, 0, 0), (0, 1, 0), (-0.6, 0, 0.8)])
def test_a_balloon_beside_the_cloud_is_cut_off(side: tuple[float, float, float]) -> None:
    balloon = Manifold.sphere(0.25, 64).translate(0.5 * np.array(side))

    solid = carved(BALL + balloon, ball_cloud())

    assert solid.volume() < 1.03 * BALL.volume()
    assert (BALL - solid).volume() < 1e-3 * BALL.volume()


def test_a_balloon_between_two_parts_is_cut_off() -> None:
    parts = [ball_cloud(4000), ball_cloud(4000, seed=1)]
    apart = np.array([1.2, 0, 0])
    points = np.concatenate([parts[0].points, parts[1].points + apart])
    normals = np.concatenate([each.normals for each in parts])
    both = BALL + BALL.translate(apart)
    bar = Manifold.cylinder(1.2, 0.3, circular_segments=64).rotate((0, 90, 0))
    between = bar.refine_to_length(0.05)

    swollen = both + between

    solid = carved(swollen, PointArrays(points, normals, None))

    assert (solid - both).volume() < 0.3 * (swollen - both).volume()


def test_the_closed_bottom_of_a_scan_open_below_stays() -> None:
    half = BALL.trim_by_plane((0, 1, 0), -0.3 * RADIUS)
    assert carved(half, ball_cloud(lowest=-0.3)).volume() == pytest.approx(half.volume(), rel=0.01)


def test_the_surface_between_sparse_points_stays() -> None:
    cloud = ball_cloud(20_000)
    keep = (cloud.points[:, 0] < 0) | (np.arange(20_000) % 25 == 0)

    solid = carved(BALL, PointArrays(cloud.points[keep], cloud.normals[keep], None))

    assert solid.volume() == pytest.approx(BALL.volume(), rel=0.01)


def test_a_hollow_that_can_be_looked_into_is_emptied_and_a_closed_one_is_not() -> None:
    """A bowl whose opening a surface has grown over."""
    outer, inner = ball_cloud(16_000), ball_cloud(10_000)
    points = np.concatenate([outer.points, 0.8 * inner.points])
    normals = np.concatenate([outer.normals, -inner.normals])
    below = points[:, 1] < 0.1
    bowl = (BALL - BALL.scale((0.8,) * 3)).trim_by_plane((0, -1, 0), -0.1)
    filled = BALL.trim_by_plane((0, -1, 0), -0.1).refine_to_length(0.05)

    opened = carved(filled, PointArrays(points[below], normals[below], None))
    closed = carved(BALL, outer)

    assert (opened - bowl).volume() < 0.5 * (filled - bowl).volume()
    assert closed is BALL
