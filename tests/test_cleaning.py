from __future__ import annotations

import numpy as np
import pytest
import trimesh
from numpy import ndarray

from img2pc.cleaning import clean, noise, oriented, plane_normals, smoothed, spacing
from img2pc.cloud_files import PointArrays
from img2pc.errors import BadInputError
from img2pc.printability import sample_surface

from .conftest import sphere


def grid(count: int) -> ndarray:
    """Points of a square grid in the plane z = 0, one apart."""
    x, y = np.meshgrid(np.arange(float(count)), np.arange(float(count)))
    return np.stack([x.ravel(), y.ravel(), np.zeros(count**2)], -1)


def sampled(mesh: trimesh.Trimesh, count: int) -> tuple[ndarray, ndarray]:
    return sample_surface(np.array(mesh.vertices), np.array(mesh.faces, dtype=np.int64), count)


def cleaned(cloud: PointArrays) -> PointArrays:
    return clean(cloud)[0]


def test_duplicates_and_outliers_go() -> None:
    points = sphere(1000)
    outliers = 3 * np.eye(3)
    colours = np.arange(3003 * 3).reshape(3003, 3).astype(np.uint8)
    cloud = cleaned(PointArrays(np.concatenate([points, points, outliers, points]), None, colours))
    assert np.array_equal(cloud.points, points)
    assert cloud.colours is not None
    assert np.array_equal(cloud.colours, colours[:1000])


@pytest.mark.parametrize("distance", [10, 300, 100_000, -1e17])
@pytest.mark.parametrize("misses", [1, 5000])
def test_points_far_away_cost_the_cloud_nothing(distance: float, misses: int) -> None:
    """A depth camera reports what it misses in its own place."""
    points = sphere(5000)
    far = np.full((misses, 3), float(distance))
    cloud = cleaned(PointArrays(np.concatenate([far, points])))
    assert np.array_equal(cloud.points, points)


def test_a_part_that_is_scanned_sparsely_stays() -> None:
    dense, sparse = sphere(60_000), sphere(2000)
    points = np.concatenate([dense[dense[:, 2] > 0], sparse[sparse[:, 2] < 0], 3 * np.eye(3)])
    kept = cleaned(PointArrays(points)).points
    assert (kept[:, 2] < 0).sum() > 950  # of 1000; where they meet the others, some go
    assert np.linalg.norm(kept, axis=-1).max() < 1.001


def test_outliers_go_however_many_they_are() -> None:
    """A twentieth of all points, anywhere around, which are near to no more than each other."""
    points = sphere(15_000)
    far = np.random.default_rng(0).uniform(-1.2, 1.2, (800, 3))
    far = far[np.abs(np.linalg.norm(far, axis=-1) - 1) > 0.2]
    kept = cleaned(PointArrays(np.concatenate([points, far]))).points
    assert (np.abs(np.linalg.norm(kept, axis=-1) - 1) < 1e-6).sum() == len(points)
    assert len(kept) - len(points) < len(far) / 50


def test_a_clean_cloud_stays_as_it_is() -> None:
    points = sphere(500)
    cloud = cleaned(PointArrays(points, points))
    assert np.array_equal(cloud.points, points)
    np.testing.assert_allclose(cloud.normals, points)


def test_dense_clouds_are_thinned() -> None:
    """No more points than there are cells of a 400th of the diagonal in the surface."""
    points, normals = sampled(trimesh.creation.box((1, 1, 1)), 500_000)
    cloud = cleaned(PointArrays(points, normals))
    cells = 6 * (400 / 3**0.5 + 1) ** 2
    assert 0.7 * cells < len(cloud.points) < 1.3 * cells


def test_both_sides_of_a_thin_sheet_stay() -> None:
    """A sheet 0.2 % as thick as it is wide: its sides share cells, not normals."""
    sheet, up = grid(30) / 29, np.array([0, 0, 0.001])
    points = np.concatenate([sheet - up, sheet + up])
    normals = np.repeat([[0.0, 0, -1], [0, 0, 1]], 900, axis=0)
    cloud = cleaned(PointArrays(points, normals))
    assert np.array_equal(cloud.points, points)
    assert np.array_equal(cloud.normals, normals)


def test_no_denser_than_the_cells_asked_for() -> None:
    points = sphere(400_000)
    coarse, fine = (len(clean(PointArrays(points, points), cell)[0].points) for cell in (1.0, 1e-3))
    assert coarse < 250_000
    assert fine > 390_000


def test_inward_normals_are_turned() -> None:
    points = sphere(500)
    cloud, notes = clean(PointArrays(points + 10, -5 * points))
    np.testing.assert_allclose(cloud.normals, points)
    assert notes == ("the cloud's normals point inwards; turned around",)


def test_normals_that_point_both_ways_are_turned_one_by_one() -> None:
    """As estimated ones do that were never oriented."""
    points = sphere(500)
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (500, 1))
    cloud, notes = clean(PointArrays(points, signs * points))
    np.testing.assert_allclose(cloud.normals, points)
    assert notes == ("the cloud's normals point both ways; turned one by one",)


def test_a_bowl_of_more_inner_than_outer_points_is_left_as_it_is() -> None:
    """By the volume that its points seem to enclose it would be inside out."""
    half = sphere(8000)
    half = half[half[:, 1] < 0]
    points = np.concatenate([half[::3], 0.8 * half])
    normals = np.concatenate([half[::3], -half])
    cloud, notes = clean(PointArrays(points, normals))
    assert ((cloud.points - cloud.points.mean(0)) * cloud.normals).sum() < 0
    assert (cloud.normals[np.linalg.norm(cloud.points, axis=-1) > 0.9, 1] < 0.1).all()
    assert notes == ()


def relief() -> tuple[ndarray, ndarray]:
    """Points of z = (sin 5x · cos 4y) / 10, and its normals up."""
    x, y = 2 * grid(100).T[:2] / 99 - 1
    slope_x, slope_y = np.cos(5 * x) * np.cos(4 * y) / 2, -np.sin(5 * x) * np.sin(4 * y) * 0.4
    normals = np.stack([-slope_x, -slope_y, np.ones_like(x)], -1)
    points = np.stack([x, y, np.sin(5 * x) * np.cos(4 * y) / 10], -1)
    return points, normals / np.linalg.norm(normals, axis=-1, keepdims=True)


def test_normals_of_a_sheet_seen_from_both_sides_agree() -> None:
    points, normals = relief()
    cosine = (cleaned(PointArrays(points)).normals * normals).sum(-1)
    assert np.abs(cosine).min() > 0.8
    assert len(np.unique(np.sign(cosine))) == 1


def test_a_sheet_changes_nothing_about_what_stands_above_it() -> None:
    """Nine balls, and a floor both of whose sides can be seen in most places."""
    floor = grid(60) / 10
    ball = sphere(600)
    places = [np.array([x, y, 1.0]) for x in (1, 3, 5) for y in (1, 3, 5)]
    points = np.concatenate([floor, *(0.4 * ball + place for place in places)])
    cloud = cleaned(PointArrays(points))
    assert cloud.normals is not None
    assert len(cloud.points) == len(points)
    ups, outwards = cloud.normals[: len(floor), 2], np.tile(ball, (9, 1))
    assert abs(np.sign(ups).mean()) > 0.9
    assert ((cloud.normals[len(floor) :] * outwards).sum(-1) > 0).mean() > 0.99


def test_inward_normals_of_a_thin_plate_are_turned() -> None:
    """Its sides are nearer to each other than the points."""
    sheet, up = grid(30) / 29, np.array([0, 0, 0.01])
    points = np.concatenate([sheet - up, sheet + up])
    normals = np.repeat([[0.0, 0, -1], [0, 0, 1]], 900, axis=0)
    cloud, notes = clean(PointArrays(points, -normals))
    assert np.array_equal(cloud.normals, normals)
    assert notes == ("the cloud's normals point inwards; turned around",)


@pytest.mark.parametrize("side", [1, -1])
def test_normals_of_a_sheet_stay_on_their_side(side: int) -> None:
    points, normals = relief()
    cloud, notes = clean(PointArrays(points, side * normals))
    np.testing.assert_allclose(cloud.normals, side * normals)
    assert notes == ()


@pytest.mark.parametrize(
    ("solid", "agreement"),
    [
        (trimesh.creation.icosphere(4), 0.99),
        (trimesh.creation.box((2, 1, 3)), 0.9),
        (trimesh.creation.torus(1, 0.3), 0.98),
    ],
    ids=["sphere", "box", "torus"],
)
def test_missing_normals_are_estimated_and_point_outwards(
    solid: trimesh.Trimesh, agreement: float
) -> None:
    points, true_normals = sampled(solid, 3000)
    index = {tuple(point): row for row, point in enumerate(points.tolist())}
    cloud = cleaned(PointArrays(points))
    assert cloud.normals is not None
    assert len(cloud.points) > 2900
    expected = true_normals[[index[tuple(point)] for point in cloud.points.tolist()]]
    cosine = (cloud.normals * expected).sum(-1)
    assert cosine.min() > 0  # all of them; at the box's edges they lean by up to 60°
    assert cosine.mean() > agreement
    np.testing.assert_allclose(np.linalg.norm(cloud.normals, axis=-1), 1)


def test_given_normals_get_unit_length() -> None:
    points = sphere(500)
    lengths = np.linspace(0.1, 10, 500)[:, None]
    np.testing.assert_allclose(cleaned(PointArrays(points, lengths * points)).normals, points)


def test_orientation_depends_on_no_given_sign() -> None:
    points = sphere(500)
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (500, 1))
    np.testing.assert_array_equal(oriented(points, signs * points), points)


def test_orientation_inside_a_bowl_is_towards_the_opening() -> None:
    """Two hemispheres, the inner one of 0.8 times the radius, seen through the opening."""
    half = sphere(4000)[2000:]
    points = np.concatenate([half, 0.8 * half])
    outwards = np.concatenate([half, -half])
    turned = oriented(points, -outwards)
    assert ((turned * outwards).sum(-1) > 0).mean() > 0.98


def test_plane_normals_of_a_tilted_plane() -> None:
    normal = np.array([1.0, 2, 2]) / 3
    across = np.array([[2.0, 1, -2], [2, -2, 1]]) / 3
    normals = plane_normals(grid(8)[:, :2] @ across)
    np.testing.assert_allclose(np.abs(normals @ normal), 1)


# --- noise ----------------------------------------------------------------------------------------


def shaken(points: ndarray, deviation: float) -> ndarray:
    return points + np.random.default_rng(0).normal(0, deviation, points.shape)


@pytest.mark.parametrize("deviation", [0.0, 0.003, 0.01])
def test_the_noise_of_a_plane_is_how_far_its_points_lie_from_it(deviation: float) -> None:
    points = shaken(grid(60) / 60, deviation)
    normals = np.broadcast_to([0.0, 0, 1], points.shape)
    assert noise(points, normals) == pytest.approx(deviation, rel=0.15, abs=1e-9)


def test_too_few_points_to_smooth() -> None:
    with pytest.raises(BadInputError, match="there are 25"):
        smoothed(PointArrays(sphere(25), sphere(25)))


def test_the_other_side_of_a_thin_sheet_is_no_noise() -> None:
    front = grid(60) / 60
    points = np.concatenate([front, front - [0, 0, 0.01]])
    normals = np.repeat([[0.0, 0, 1], [0, 0, -1]], len(front), 0)
    assert noise(points, normals) == pytest.approx(0, abs=1e-9)


def test_a_cloud_without_noise_is_not_smoothed() -> None:
    exact = PointArrays(sphere(4000), sphere(4000))
    assert smoothed(exact) is exact


def test_smoothing_takes_noise_off_a_sphere_and_leaves_its_size() -> None:
    true = sphere(12000)
    rough = shaken(true, 0.02)
    tilted = shaken(true, 0.3)
    tilted /= np.linalg.norm(tilted, axis=-1, keepdims=True)
    colours = np.arange(36000).reshape(12000, 3).astype(np.uint8)
    result = smoothed(PointArrays(rough, tilted, colours))
    radius = np.linalg.norm(result.points, axis=-1)
    assert np.linalg.norm(rough, axis=-1).std() == pytest.approx(0.02, rel=0.05)
    assert radius.std() < 0.008
    assert radius.mean() == pytest.approx(1, abs=0.004)
    assert result.normals is not None
    outwards = result.points / radius[:, None]
    assert np.median((result.normals * outwards).sum(-1)) > 0.99
    assert result.colours is colours


def test_smoothing_keeps_the_thickness_of_a_thin_sheet() -> None:
    front = grid(60) / 60
    points = shaken(np.concatenate([front, front - [0, 0, 0.03]]), 0.008)
    normals = np.repeat([[0.0, 0, 1], [0, 0, -1]], len(front), 0)
    result = smoothed(PointArrays(points, normals))
    upper, lower = result.points[: len(front), 2], result.points[len(front) :, 2]
    assert upper.mean() - lower.mean() == pytest.approx(0.03, abs=0.001)
    assert max(upper.std(), lower.std()) < 0.003


def test_spacing_of_a_grid() -> None:
    """Nine neighbours of an inner point: four at 1, four at √2, one at 2."""
    assert spacing(grid(40)) == pytest.approx((4 + 4 * 2**0.5 + 2) / 9)
    assert spacing(0.1 * grid(40)) == pytest.approx((4 + 4 * 2**0.5 + 2) / 90)


@pytest.mark.parametrize("count", [2, 10, 49])
def test_too_few_points(count: int) -> None:
    with pytest.raises(
        BadInputError, match=f"a mesh needs at least 50 points, and there are {count}"
    ):
        cleaned(PointArrays(sphere(count)))


def test_too_few_points_but_for_duplicates() -> None:
    with pytest.raises(
        BadInputError, match="of 300 only 30 are left without duplicates and outliers"
    ):
        cleaned(PointArrays(np.tile(sphere(30), (10, 1))))


def test_no_points() -> None:
    with pytest.raises(BadInputError, match="a mesh needs at least 50 points, and there are 0"):
        cleaned(PointArrays(np.empty((0, 3))))


@pytest.mark.parametrize("count", [50, 200])
def test_identical_points(count: int) -> None:
    with pytest.raises(BadInputError, match="all points of the cloud are the same"):
        cleaned(PointArrays(np.full((count, 3), 0.3)))


def test_collinear_points() -> None:
    with pytest.raises(BadInputError, match="lie on one line"):
        cleaned(PointArrays(np.linspace(0, 1, 200)[:, None] * [1.0, 2, 3] + 5))


@pytest.mark.parametrize("with_normals", [False, True])
def test_coplanar_points(with_normals: bool) -> None:
    points = grid(20) @ np.array([[2.0, 1, -2], [2, -2, 1], [1, 2, 2]])
    normals = np.tile([1.0, 2, 2], (400, 1)) if with_normals else None
    with pytest.raises(BadInputError, match="lie in one plane"):
        cleaned(PointArrays(points, normals))


def test_what_is_far_away_takes_no_memory() -> None:
    """A blob at a million times the spacing; normals of the ball are turned as without it."""
    normals = np.random.default_rng(1).normal(size=(2000, 3))
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    points = 0.4 * normals
    far = 1e4 + np.random.default_rng(0).normal(0, 0.01, (50, 3))
    flipped = np.concatenate([-normals, np.tile([0.0, 0, 1], (50, 1))])
    turned = oriented(np.concatenate([points, far]), flipped)
    assert (np.einsum("pi,pi->p", turned[:2000], normals) > 0).mean() > 0.99
