from __future__ import annotations

import numpy as np
import pytest
import trimesh
from manifold3d import Manifold
from numpy import ndarray

from img2pc import printability
from img2pc.mesh_files import TriangleMesh
from img2pc.printability import (
    PrintReport,
    degenerate_faces,
    inspect_mesh,
    sample_surface,
    thinnest_wall,
    wall_thickness,
)


@pytest.fixture(autouse=True)
def few_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(printability, "_WALL_SAMPLES", 2000)


def sampled(mesh: TriangleMesh, count: int) -> tuple[ndarray, ndarray]:
    return sample_surface(mesh.vertices, mesh.faces, count)


def mesh_of(*pieces: trimesh.Trimesh) -> TriangleMesh:
    joined = trimesh.util.concatenate(list(pieces))
    return TriangleMesh(np.array(joined.vertices), np.array(joined.faces, dtype=np.int64))


def block(
    size: tuple[float, float, float], at: tuple[float, float, float] = (0, 0, 0)
) -> trimesh.Trimesh:
    """A box standing at a place."""
    return trimesh.creation.box(size).apply_translation(np.add(at, (0, 0, size[2] / 2)))


def with_faces(mesh: TriangleMesh, faces: ndarray) -> TriangleMesh:
    return TriangleMesh(mesh.vertices, faces)


def letter_t() -> TriangleMesh:
    """A bar of 20 x 10 x 4 on a stem of 4 x 10 x 10, one body."""
    stem = Manifold.cube((4, 10, 10)).translate((-2, 0, 0))
    bar = Manifold.cube((20, 10, 4)).translate((-10, 0, 10))
    return mesh_of_solid(stem + bar)


def mesh_of_solid(solid: Manifold) -> TriangleMesh:
    mesh = solid.to_mesh()
    return TriangleMesh(
        np.array(mesh.vert_properties, dtype=np.float64), np.array(mesh.tri_verts, dtype=np.int64)
    )


def test_a_standing_cube_is_printable() -> None:
    report = inspect_mesh(mesh_of(block((20, 20, 20))))
    assert report == PrintReport(
        triangles=12,
        boundary_edges=0,
        non_manifold_edges=0,
        flipped_edges=0,
        bodies=1,
        voids=0,
        degenerate_faces=0,
        volume_mm3=report.volume_mm3,
        size_mm=(20.0, 20.0, 20.0),
        lowest_mm=0.0,
        contact_mm2=report.contact_mm2,
        stands=True,
        fits_bed=None,
        wall_mm=None,
        overhang_share=0.0,
        problems=(),
        warnings=(),
    )
    assert (report.volume_mm3, report.contact_mm2) == pytest.approx((8000, 400))
    assert report.printable


def test_a_t_has_overhangs_below_its_bar_only() -> None:
    report = inspect_mesh(letter_t())
    assert report.printable
    assert report.size_mm == (20, 10, 14)
    assert report.volume_mm3 == pytest.approx(1200)
    assert report.contact_mm2 == pytest.approx(40)
    assert report.overhang_share == pytest.approx(160 / 920)


def test_a_table_of_boxes_has_overhangs_below_its_top() -> None:
    top = block((20, 20, 2), (0, 0, 10))
    legs = [block((4, 4, 10), (x, y, 0)) for x in (-8, 8) for y in (-8, 8)]
    report = inspect_mesh(mesh_of(top, *legs))
    # The tops of the legs touch the table's underside; as separate bodies both count as surface.
    assert report.overhang_share == pytest.approx(400 / (960 + 4 * 192))
    assert report.contact_mm2 == pytest.approx(64)
    assert report.bodies == 5
    assert report.problems == ("5 separate bodies",)


@pytest.mark.parametrize(("widening", "share"), [(4.9, 0.0), (5.1, 0.4592)])
def test_overhangs_begin_at_45_degrees(widening: float, share: float) -> None:
    """A funnel whose sides widen over a height of 5."""
    square = np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])
    corners = [np.c_[square * half, np.full(4, z)] for half, z in ((5, 0), (5 + widening, 5))]
    report = inspect_mesh(mesh_of(trimesh.convex.convex_hull(np.concatenate(corners))))
    assert report.overhang_share == pytest.approx(share, abs=1e-4)
    assert report.contact_mm2 == pytest.approx(100)


def test_a_sphere_overhangs_below_45_degrees_south() -> None:
    report = inspect_mesh(mesh_of(trimesh.creation.icosphere(4, radius=20)))
    assert report.volume_mm3 == pytest.approx(4 / 3 * np.pi * 20**3, rel=0.005)
    assert report.size_mm == pytest.approx((40, 40, 40))
    assert report.lowest_mm == pytest.approx(-20)
    assert report.overhang_share == pytest.approx((1 - 0.5**0.5) / 2, abs=0.005)
    assert report.wall_mm is None


def test_a_torus_overhangs_on_a_quarter_and_hardly_touches_the_bed() -> None:
    report = inspect_mesh(mesh_of(trimesh.creation.torus(20, 4, 64, 32)))
    assert report.printable
    assert report.volume_mm3 == pytest.approx(2 * np.pi**2 * 20 * 4**2, rel=0.01)
    assert report.size_mm == pytest.approx((48, 48, 8))
    assert report.overhang_share == pytest.approx(0.25, abs=0.001)
    assert report.contact_mm2 == 0
    floating, small = report.warnings
    assert floating == "its lowest point is at z = -4.00 mm, not on the bed"
    assert small.startswith("touches the bed with only")


def test_walls_of_a_plate() -> None:
    plate = mesh_of(block((20, 30, 1.2)))
    report = inspect_mesh(plate)
    assert report.wall_mm == pytest.approx(1.2)
    assert report.warnings == ()
    report = inspect_mesh(plate, least_wall_mm=1.5)
    assert report.printable
    assert report.warnings == ("walls down to 1.20 mm, thinner than 1.5 mm",)


@pytest.mark.parametrize(("least", "wall"), [(8.0, 5.5), (5.2, None), (0.8, None)])
def test_walls_are_looked_for_up_to_what_is_asked_for(least: float, wall: float | None) -> None:
    report = inspect_mesh(mesh_of(block((40, 40, 5.5))), least_wall_mm=least)
    assert report.wall_mm == (None if wall is None else pytest.approx(wall))
    assert bool(report.warnings) == (wall is not None)


def test_walls_of_a_tube(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its facets are nearer to each other than the circles, by the cosine of half a step."""
    monkeypatch.setattr(printability, "_WALL_SAMPLES", 20_000)
    tube = mesh_of(trimesh.creation.annulus(9, 10, 20, sections=64))
    assert thinnest_wall(tube) == pytest.approx(np.cos(np.pi / 64), rel=0.02)


def test_walls_of_a_stepped_plate_are_those_of_the_thinner_step() -> None:
    thick = Manifold.cube((20, 20, 3))
    mesh = (thick + Manifold.cube((10, 20, 1)).translate((20, 0, 0))).to_mesh()
    stepped = TriangleMesh(
        np.array(mesh.vert_properties, dtype=np.float64), np.array(mesh.tri_verts, dtype=np.int64)
    )
    assert thinnest_wall(stepped) == pytest.approx(1)


@pytest.mark.parametrize("sections", [4, 32])
def test_walls_of_a_rod(sections: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(printability, "_WALL_SAMPLES", 8000)
    rod = mesh_of(trimesh.creation.cylinder(0.25, 20, sections=sections))
    wall = thinnest_wall(rod)
    assert wall is not None
    assert 0.35 * 0.9 < wall < 0.5 * 1.1


@pytest.mark.parametrize(("limit", "thinnest"), [(2.9, np.inf), (5.0, 3.0)])
def test_wall_thickness_has_a_limit(limit: float, thinnest: float) -> None:
    samples = sampled(mesh_of(block((30, 30, 3))), 4000)
    assert wall_thickness(*samples, *samples, limit).min() == pytest.approx(thinnest)


def test_wall_thickness_is_found_at_every_point_of_a_plate() -> None:
    points, normals = sampled(mesh_of(block((30, 30, 3))), 4000)
    middle = (np.abs(points[:, :2]) < 10).all(-1)
    thickness = wall_thickness(points[middle], normals[middle], points, normals, 5.0)
    assert thickness == pytest.approx(np.full(int(middle.sum()), 3.0))


def test_a_missing_face_leaves_three_boundary_edges() -> None:
    cube = mesh_of(block((20, 20, 20)))
    report = inspect_mesh(with_faces(cube, cube.faces[1:]))
    assert (report.boundary_edges, report.non_manifold_edges, report.flipped_edges) == (3, 0, 0)
    assert report.problems == ("not closed: 3 edges border a hole",)
    assert report.wall_mm is None
    assert not report.printable


def test_a_flipped_face_is_found_at_its_three_edges() -> None:
    cube = mesh_of(block((20, 20, 20)))
    faces = np.concatenate([cube.faces[:1, ::-1], cube.faces[1:]])
    report = inspect_mesh(with_faces(cube, faces))
    assert (report.boundary_edges, report.non_manifold_edges, report.flipped_edges) == (0, 0, 3)
    assert report.problems == ("faces turn both ways at 3 edges",)


def test_inside_out_is_found() -> None:
    cube = mesh_of(block((20, 20, 20)))
    report = inspect_mesh(with_faces(cube, cube.faces[:, ::-1]))
    assert report.volume_mm3 == pytest.approx(-8000)
    assert (report.bodies, report.voids) == (0, 1)
    assert report.problems == ("inside out: its volume is not positive",)


def test_two_bodies_are_found() -> None:
    report = inspect_mesh(mesh_of(block((5, 5, 5)), block((5, 5, 5), (10, 0, 0))))
    assert (report.bodies, report.voids) == (2, 0)
    assert report.volume_mm3 == pytest.approx(250)
    assert report.problems == ("2 separate bodies",)


def test_a_void_is_found() -> None:
    hollow = block((5, 5, 5), (0, 0, 8))
    hollow.invert()
    report = inspect_mesh(mesh_of(block((20, 20, 20)), hollow))
    assert (report.bodies, report.voids) == (1, 1)
    assert report.volume_mm3 == pytest.approx(7875)
    assert report.problems == ("closed hollows inside: 1",)


def test_a_degenerate_face_is_found() -> None:
    """A vertex in the middle of an edge, joined to that edge by a face without area."""
    cube = mesh_of(block((20, 20, 20)))
    first, second, third = cube.faces[0]
    middle = (cube.vertices[first] + cube.vertices[second]) / 2
    halves = [[first, 8, third], [8, second, third], [first, second, 8]]
    faces = np.concatenate([cube.faces[1:], halves])
    vertices = np.concatenate([cube.vertices, middle[None]])
    assert degenerate_faces(vertices, faces).sum() == 1
    report = inspect_mesh(TriangleMesh(vertices, faces))
    assert report.degenerate_faces == 1
    assert report.problems == ("faces without area: 1",)
    assert report.volume_mm3 == pytest.approx(8000)


def test_three_faces_at_an_edge_are_found() -> None:
    cube = mesh_of(block((20, 20, 20)))
    first, second, _ = cube.faces[0]
    vertices = np.concatenate([cube.vertices, [[30.0, 0, 10]]])
    report = inspect_mesh(
        TriangleMesh(vertices, np.concatenate([cube.faces, [[first, second, 8]]]))
    )
    assert (report.boundary_edges, report.non_manifold_edges, report.flipped_edges) == (2, 1, 0)
    assert "not a manifold: more than two faces meet at 1 edges" in report.problems


def test_the_bed_takes_a_mesh_as_it_stands_or_turned_by_a_quarter() -> None:
    brick = mesh_of(block((30, 20, 10)))
    for bed in ((30, 20, 10), (20, 30, 10)):
        assert inspect_mesh(brick, bed_mm=bed).printable
    brick.vertices[0] -= 3e-6  # single precision
    assert inspect_mesh(brick, bed_mm=(30, 20, 10)).printable
    for bed in ((29, 20, 10), (20, 29, 10), (30, 19, 10), (30, 20, 9), (10, 20, 30)):
        problem = "30 x 20 x 10 mm does not fit the bed of {} x {} x {} mm".format(*bed)
        assert inspect_mesh(brick, bed_mm=bed).problems == (problem,)
    low = inspect_mesh(brick, bed_mm=(30, 20, 9.6))
    assert low.problems == ("30 x 20 x 10 mm does not fit the bed of 30 x 20 x 9.6 mm",)


def test_cubes_that_share_a_corner_are_two_bodies() -> None:
    touching = mesh_of(block((10, 10, 10)), block((10, 10, 10), (10, 10, 10)))
    merged = trimesh.Trimesh(touching.vertices, touching.faces)
    merged.merge_vertices()
    report = inspect_mesh(TriangleMesh(np.array(merged.vertices), np.array(merged.faces)))
    assert len(merged.vertices) == 15
    assert (report.bodies, report.problems) == (2, ("2 separate bodies",))


def test_a_hollow_that_touches_the_skin_at_a_corner_is_a_hollow() -> None:
    skin, hollow = block((20, 20, 20)), block((10, 10, 10), (5, 5, 10))
    hollow.invert()
    both = trimesh.util.concatenate([skin, hollow])
    both.merge_vertices()
    report = inspect_mesh(TriangleMesh(np.array(both.vertices), np.array(both.faces)))
    assert (report.bodies, report.voids) == (1, 1)
    assert report.problems == ("closed hollows inside: 1",)


def test_a_sheet_of_two_sides_is_no_body() -> None:
    cube = mesh_of(block((20, 20, 20)))
    corners = np.array([[30.0, 0, 0], [40, 0, 0], [30, 10, 0]])
    sheet = np.array([[8, 9, 10], [8, 10, 9]])
    report = inspect_mesh(
        TriangleMesh(np.concatenate([cube.vertices, corners]), np.concatenate([cube.faces, sheet]))
    )
    assert (report.bodies, report.problems) == (1, ("pieces without volume: 1",))


def test_a_face_with_a_corner_twice_makes_no_hole() -> None:
    cube = mesh_of(block((20, 20, 20)))
    report = inspect_mesh(with_faces(cube, np.concatenate([cube.faces, [[0, 0, 1]]])))
    assert report.problems == ("faces without area: 1",)


def test_floating_and_sunken_meshes_are_warned_of() -> None:
    for height in (-1.5, 0.5):
        report = inspect_mesh(mesh_of(block((20, 20, 20), (0, 0, height))))
        assert report.printable
        assert report.lowest_mm == height
        assert report.warnings == (f"its lowest point is at z = {height:.2f} mm, not on the bed",)
    assert inspect_mesh(mesh_of(block((20, 20, 20), (0, 0, 0.01)))).warnings == ()


def test_a_pointed_foot_is_warned_of() -> None:
    """An octahedron on a tip, cut off to 0.6 x 0.6 mm below a width of 20."""
    square = np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])
    rings = [np.c_[square * half, np.full(4, z)] for half, z in ((0.3, 0), (10, 20))]
    report = inspect_mesh(mesh_of(trimesh.convex.convex_hull(np.concatenate(rings))))
    assert report.contact_mm2 == pytest.approx(0.36)
    (warning,) = report.warnings
    assert warning == "touches the bed with only 0.4 mm²; use a plate (--base) or a brim"


@pytest.mark.parametrize(("beyond", "stands"), [(12.0, True), (13.0, False), (-13.0, False)])
def test_what_topples_is_warned_of(beyond: float, stands: bool) -> None:
    """A slab of four fifths of the mass on a foot that ends 10 mm from its middle."""
    foot = Manifold.cube((20, 20, 10)).translate((-10, -10, 0))
    slab = Manifold.cube((80, 20, 10)).translate((beyond - 40, -10, 10))
    report = inspect_mesh(mesh_of_solid(foot + slab))
    assert report.contact_mm2 == 400
    assert report.stands == stands
    toppling = "topples: its centre of mass is not above what touches the bed"
    assert report.warnings == (() if stands else (toppling,))


def test_what_stands_on_legs_stands_between_them() -> None:
    top = Manifold.cube((40, 40, 4)).translate((-20, -20, 20))
    legs = [Manifold.cube((4, 4, 20)).translate((x, y, 0)) for x in (-20, 16) for y in (-20, 16)]
    assert inspect_mesh(mesh_of_solid(top + legs[0] + legs[1] + legs[2] + legs[3])).stands
    # On two of them, on one side.
    assert inspect_mesh(mesh_of_solid(top + legs[0] + legs[1])).stands is False


def test_metres_are_asked_about() -> None:
    report = inspect_mesh(mesh_of(block((0.1, 0.2, 0.3))))
    assert "its longest side is 0.3 mm: was it made in metres or inches?" in report.warnings
    assert not [each for each in inspect_mesh(mesh_of(block((2, 2, 2)))).warnings if "inch" in each]


def test_samples_are_spread_in_proportion_to_area() -> None:
    points, normals = sampled(mesh_of(block((10, 20, 30))), 2200)
    sides = [(axis, sign) for axis in range(3) for sign in (-1, 1)]
    counts = [int((normals[:, axis] * sign > 0.999).sum()) for axis, sign in sides]
    assert counts == pytest.approx([600, 600, 300, 300, 200, 200], abs=2)
    outwards = np.abs(points - [0, 0, 15]) / [5, 10, 15]
    assert outwards.max(-1) == pytest.approx(np.ones(2200))
    upper = normals[:, 2] > 0.999
    assert points[upper].mean(0) == pytest.approx([0, 0, 30], abs=0.5)


def test_samples_are_the_same_every_time() -> None:
    cube = mesh_of(block((20, 20, 20)))
    for first, second in zip(sampled(cube, 500), sampled(cube, 500), strict=True):
        assert np.array_equal(first, second)
