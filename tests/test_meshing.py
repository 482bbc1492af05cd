from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from manifold3d import CrossSection, Manifold
from numpy import ndarray
from scipy.spatial import cKDTree

from img2pc import meshing, open3d_process, printability
from img2pc.cameras import fixed_cameras
from img2pc.cloud_files import PointArrays
from img2pc.data import solids
from img2pc.data.ray_caster import RayCaster, cast_views
from img2pc.data.shapes import Part, Shape, assemble, normalised
from img2pc.errors import BadInputError, NotPrintableError
from img2pc.fusion import fuse
from img2pc.mesh_files import TriangleMesh
from img2pc.meshing import (
    MeshSettings,
    Solid,
    Surface,
    mesh_to_file,
    solid_from_cloud,
    voxel_surface,
    write_mesh,
)
from img2pc.open3d_process import NativeCodeError
from img2pc.pointclouds import PointCloud
from img2pc.printability import inspect_mesh, sample_surface, thinnest_wall

from .conftest import sphere

PIXELS = 48
MUG = [(0.0, 0.0), (0.4, 0.0), (0.4, 1.0), (0.3, 1.0), (0.3, 0.1), (0.0, 0.1)]
HANDLE = [(0.36, 0.8, 0.0), (0.7, 0.75, 0.0), (0.7, 0.3, 0.0), (0.36, 0.2, 0.0)]
SOLIDS = {
    "mug": [solids.lathe(MUG, 32), solids.sweep(solids.smooth_path(HANDLE), 0.07)],
    "ellipsoid": [solids.superellipsoid(1.0, 0.7, 0.5)],
    "tower": [
        solids.box(0.6, 0.1, 0.6),
        solids.cylinder(0.15, 1.0).moved(y=0.5),
        solids.box(0.4, 0.3, 0.3, 0.05).moved(0.1, 1.0),
    ],
}
SHAPES = {
    name: assemble(name, [Part(part, "body", "wood") for part in parts])
    for name, parts in SOLIDS.items()
}


def poisson_in_process(points: ndarray, normals: ndarray, depth: int, scale: float) -> Surface:
    """What the child process does, without its start."""
    request = {"points": points, "normals": normals}
    request |= {"depth": np.array(depth), "scale": np.array(scale)}
    answer = open3d_process._poisson(request)
    return answer["vertices"], answer["faces"]


def decimate_in_process(vertices: ndarray, faces: ndarray, count: int) -> Surface:
    answer = open3d_process._decimate(
        {"vertices": vertices, "faces": faces, "count": np.array(count)}
    )
    return answer["vertices"], answer["faces"]


@pytest.fixture(scope="module", autouse=True)
def sparing() -> Iterator[None]:
    """No child process, and walls measured at fewer places."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(meshing, "poisson_surface", poisson_in_process)
        patch.setattr(meshing, "decimate", decimate_in_process)
        patch.setattr(printability, "_WALL_SAMPLES", 4000)
        yield


def seen(shape: Shape, pixels: int = PIXELS) -> PointCloud:
    """The cloud of a shape's eight exact views."""
    cameras = fixed_cameras(pixels)
    return fuse(cast_views(RayCaster(shape.vertices, shape.faces), cameras), cameras)


@pytest.fixture(scope="module")
def clouds(chair: Shape) -> dict[str, PointCloud]:
    return {name: seen(shape) for name, shape in {**SHAPES, "chair": chair}.items()}


@pytest.fixture(scope="module")
def tower(clouds: dict[str, PointCloud]) -> PointArrays:
    return clouds["tower"].arrays()


def ball(count: int = 4000, radius: float = 0.4) -> PointArrays:
    """Points spread evenly over a sphere about the origin, with their true normals."""
    normals = sphere(count)[:, [0, 2, 1]]
    return PointArrays(radius * normals, normals)


def judge(mesh_file: Path) -> None:
    """The independent judgement of trimesh on what a slicer would load."""
    mesh = trimesh.load_mesh(mesh_file)
    assert mesh.is_watertight
    assert mesh.is_winding_consistent
    assert mesh.volume > 0
    assert mesh.body_count == 1


def between(solid: TriangleMesh, shape: Shape) -> float:
    """The larger of the median distances from one surface to the other; the diagonal is 1."""
    upright = solid.vertices @ np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    ours, _ = sample_surface(normalised(upright), solid.faces, 40_000)
    true, _ = sample_surface(shape.vertices, shape.faces, 40_000)
    there, back = cKDTree(true).query(ours)[0], cKDTree(ours).query(true)[0]
    return float(max(np.median(there), np.median(back)))


# --- printable whatever the cloud is like ---------------------------------------------------------


def noisy(cloud: PointCloud) -> PointArrays:
    known = cloud.arrays()
    noise = np.random.default_rng(0).normal(0, 0.005, known.points.shape)
    return replace(known, points=known.points + noise)


def with_outliers(cloud: PointCloud) -> PointArrays:
    known, random = cloud.arrays(), np.random.default_rng(0)
    assert known.normals is not None
    stray = random.uniform(-0.6, 0.6, (len(cloud) // 20, 3))
    towards = random.normal(size=stray.shape)
    towards /= np.linalg.norm(towards, axis=-1, keepdims=True)
    return PointArrays(
        np.concatenate([known.points, stray]), np.concatenate([known.normals, towards])
    )


def one_view_missing(cloud: PointCloud) -> PointArrays:
    known, kept = cloud.arrays(), cloud.view_index.numpy() != 2
    assert known.normals is not None
    return PointArrays(known.points[kept], known.normals[kept])


def without_normals(cloud: PointCloud) -> PointArrays:
    return replace(cloud.arrays(), normals=None)


def with_flipped_normals(cloud: PointCloud) -> PointArrays:
    return replace(cloud.arrays(), normals=-cloud.normals.double().numpy())


@pytest.mark.parametrize("spoil", [noisy, with_outliers, one_view_missing, without_normals])
@pytest.mark.parametrize("name", [*SHAPES, "chair"])
def test_fused_clouds_become_printable(
    name: str,
    spoil: Callable[[PointCloud], PointArrays],
    clouds: dict[str, PointCloud],
    tmp_path: Path,
) -> None:
    solid = solid_from_cloud(spoil(clouds[name]))
    assert solid.report.printable
    assert write_mesh(tmp_path / "solid.stl", solid).printable
    judge(tmp_path / "solid.stl")


@pytest.mark.parametrize("name", [*SHAPES, "chair"])
def test_clean_clouds_keep_their_shape(
    name: str, clouds: dict[str, PointCloud], chair: Shape, tmp_path: Path
) -> None:
    solid = solid_from_cloud(clouds[name].arrays(), MeshSettings(foot=False))
    assert write_mesh(tmp_path / "solid.stl", solid).printable
    judge(tmp_path / "solid.stl")
    assert between(solid.mesh, {**SHAPES, "chair": chair}[name]) < 0.01


def test_flipped_normals_make_no_difference(clouds: dict[str, PointCloud]) -> None:
    clean = solid_from_cloud(clouds["mug"].arrays())
    flipped = solid_from_cloud(with_flipped_normals(clouds["mug"]))
    assert flipped.report.size_mm == pytest.approx(clean.report.size_mm, abs=0.5)
    assert flipped.report.volume_mm3 == pytest.approx(clean.report.volume_mm3, rel=0.01)


@pytest.fixture(scope="module")
def made(tower: PointArrays) -> Solid:
    """By default."""
    return solid_from_cloud(tower)


@pytest.mark.parametrize("unit", [1e-9, 1e-4, 1e4, 1e9])
def test_the_unit_of_the_cloud_does_not_matter(
    unit: float, made: Solid, tower: PointArrays
) -> None:
    there = solid_from_cloud(PointArrays(unit * (tower.points + 3), tower.normals))
    assert there.report.printable
    assert there.report.size_mm == pytest.approx(made.report.size_mm, abs=0.1)
    assert there.report.volume_mm3 == pytest.approx(made.report.volume_mm3, rel=0.01)


def test_coordinates_may_be_a_surveyors() -> None:
    """Metres of a UTM zone, which single precision knows to half a metre."""
    solid = solid_from_cloud(replace(ball(), points=ball().points + np.array([5e5, 5e6, 100])))
    radius = np.linalg.norm(solid.mesh.vertices - [0, 0, 49.5], axis=-1)
    here = solid_from_cloud(ball())
    expected = np.linalg.norm(here.mesh.vertices - [0, 0, 49.5], axis=-1)
    assert (radius.min(), radius.max()) == pytest.approx((expected.min(), expected.max()), abs=0.3)


def two_balls(distance: float) -> PointArrays:
    """The smaller one is 0.16 across, the centre of the larger the origin, its radius 0.4."""
    big, small = ball(), ball(200, 0.08)
    assert big.normals is not None
    assert small.normals is not None
    return PointArrays(
        np.concatenate([big.points, small.points + np.array([distance, 0, 0])]),
        np.concatenate([big.normals, small.normals]),
    )


def test_a_smaller_ball_is_dropped_where_it_is_far_away() -> None:
    solid = solid_from_cloud(two_balls(0.65))
    assert solid.report.bodies == 1
    assert solid.report.size_mm == pytest.approx((100, 100, 99.5), abs=1.5)
    assert solid.bridged == ()
    assert solid.warnings == ()  # it is a hundredth of the volume


def test_a_smaller_ball_is_joined_where_it_is_near() -> None:
    solid = solid_from_cloud(two_balls(0.52))
    assert solid.report.printable
    assert solid.report.bodies == 1
    wide, deep, _ = solid.report.size_mm
    assert wide / deep == pytest.approx((0.4 + 0.52 + 0.08) / 0.8, abs=0.02)
    # Of the diagonal of a box of 1 by 0.8 by 0.8.
    assert solid.bridged == pytest.approx([0.04 / np.sqrt(2.28)], abs=0.004)
    assert len(solid.warnings) == 1
    assert solid.warnings[0].startswith("gaps bridged: 1, the widest 2")
    assert solid_from_cloud(two_balls(0.52), MeshSettings(bridge=False)).bridged == ()


# --- size and place -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        MeshSettings(),
        MeshSettings(size_mm=12.5, foot=False),
        MeshSettings(min_thickness_mm=3.0),
    ],
)
def test_the_longest_side_is_as_asked_for(settings: MeshSettings, tower: PointArrays) -> None:
    solid = solid_from_cloud(tower, settings)
    assert max(solid.report.size_mm) == pytest.approx(settings.size_mm, rel=1e-6)


def test_the_height_is_as_asked_for(clouds: dict[str, PointCloud]) -> None:
    solid = solid_from_cloud(clouds["ellipsoid"].arrays(), MeshSettings(height_mm=42.0))
    assert solid.report.size_mm[2] == pytest.approx(42.0, rel=1e-6)
    assert solid.report.size_mm[0] == pytest.approx(60.0, rel=0.05)


@pytest.mark.parametrize("settings", [MeshSettings(), MeshSettings(base_mm=3.0, foot=False)])
def test_it_stands_in_the_middle_of_the_bed(settings: MeshSettings, tower: PointArrays) -> None:
    vertices = solid_from_cloud(tower, settings).mesh.vertices
    assert vertices[:, 2].min() == pytest.approx(0, abs=1e-6)
    low, high = vertices.min(0), vertices.max(0)
    assert (low + high)[:2] == pytest.approx([0, 0], abs=0.01)


def test_up_is_the_axis_asked_for() -> None:
    upright = assemble("slab", [Part(solids.box(0.4, 1.0, 0.6, 0.05), "body", "wood")])
    cloud = seen(upright).arrays()
    settings = MeshSettings(foot=False)
    y_up = solid_from_cloud(cloud, settings).report.size_mm
    z_up = solid_from_cloud(cloud, replace(settings, up="z")).report.size_mm
    assert y_up == pytest.approx((40, 60, 100), abs=2)
    assert z_up == pytest.approx((40, 100, 60), abs=2)


def test_up_keeps_left_left() -> None:
    """Along each axis of the cloud the ball has a bump of its own on the positive side."""
    body, bump = ball(), ball(600, 0.12)
    assert body.normals is not None
    assert bump.normals is not None
    points = np.concatenate([body.points, bump.points + np.array([0.42, 0, 0])])
    cloud = PointArrays(points, np.concatenate([body.normals, bump.normals]))
    for turn, up in [(np.eye(3), "y"), (np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]), "z")]:
        assert cloud.normals is not None
        turned = PointArrays(cloud.points @ turn.T, cloud.normals @ turn.T)
        vertices = solid_from_cloud(turned, MeshSettings(up=up)).mesh.vertices
        tip = vertices[vertices[:, 0].argmax()]
        assert tip[1:] == pytest.approx([0, 45], abs=6)


# --- what is made of it ---------------------------------------------------------------------------


def test_a_foot_is_flat() -> None:
    solid = solid_from_cloud(ball())
    # A cap cut off 0.5 % of the way up a ball of 100 mm is 14 mm across: 2 π r h = 157 mm².
    assert solid.report.contact_mm2 == pytest.approx(157, rel=0.4)
    round_below = solid_from_cloud(ball(), MeshSettings(foot=False))
    assert round_below.report.contact_mm2 < 20
    assert any("touches the bed" in warning for warning in round_below.report.warnings)


def test_a_plate_is_as_thick_as_asked_for() -> None:
    solid = solid_from_cloud(ball(), MeshSettings(base_mm=3.0))
    height = solid.mesh.vertices[:, 2]
    assert solid.report.printable
    beyond = np.linalg.norm(solid.mesh.vertices[:, :2], axis=-1) > 31
    rim = height[beyond & (height < 5)]
    assert sorted(set(rim.round(2))) == [0.0, 3.0]
    # The cap up to a tenth of the ball's height reaches 30.6 mm out, the plate 3 mm further; with
    # the plate all is scaled to 100 mm once more.
    assert solid.report.contact_mm2 == pytest.approx(np.pi * (33.6 * 100 / 102.4) ** 2, rel=0.02)


@pytest.mark.parametrize(("height", "thickness"), [(20.0, 5.0), (10.0, 6.0)])
def test_so_is_a_plate_that_is_much_of_the_height(height: float, thickness: float) -> None:
    solid = solid_from_cloud(ball(), MeshSettings(height_mm=height, base_mm=thickness))
    heights = solid.mesh.vertices[:, 2]
    assert heights.max() == pytest.approx(height, rel=1e-6)
    flat = np.abs(heights - thickness) < 0.02  # where it ends
    assert flat.sum() > 20


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (MeshSettings(height_mm=10.0, base_mm=10.0), "a plate of 10 mm leaves no room"),
        (MeshSettings(size_mm=20.0, base_mm=25.0), "a plate of 25 mm leaves no room"),
        (MeshSettings(size_mm=0.0), "a size is more than 0"),
        (MeshSettings(height_mm=-1.0), "a size is more than 0"),
        (MeshSettings(size_mm=float("nan")), "numbers of millimetres"),
        (MeshSettings(min_thickness_mm=-1.0), "numbers of millimetres"),
        (MeshSettings(base_mm=-2.0), "numbers of millimetres"),
        (MeshSettings(tolerance_mm=float("inf")), "numbers of millimetres"),
        (MeshSettings(depth=16), "a depth of 4 to 11, not 16"),
        (MeshSettings(faces=0), "four triangles or more"),
        (MeshSettings(up="Y"), "up is y or z, not Y"),
    ],
)
def test_what_cannot_be_is_refused_at_once(settings: MeshSettings, message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        solid_from_cloud(ball(), settings)


def test_size_and_budget_are_of_the_whole_plate_included() -> None:
    settings = MeshSettings(height_mm=50.0, base_mm=2.0, faces=900)
    report = solid_from_cloud(ball(), settings).report
    assert report.printable
    assert report.size_mm[2] == pytest.approx(50, rel=1e-6)
    assert report.triangles <= 900


def cup(wall: float) -> Manifold:
    """60 mm high, with a handle, open above, its floor and sides as thick as `wall`."""
    ring = Manifold.revolve(CrossSection.circle(2, 16).translate((14, 0)), 48).rotate((90, 0, 0))
    outer = Manifold.cylinder(60, 20, 25, 64) + ring.translate((33, 0, 30))
    return outer - Manifold.cylinder(60, 20 - wall, 25 - wall, 64).translate((0, 0, wall))


def test_what_a_plate_closes_off_is_filled_and_said() -> None:
    upturned = meshing._arrays(cup(4.0).rotate((180, 0, 0)))
    cloud = PointArrays(*sample_surface(*upturned, 20_000))
    solid = solid_from_cloud(cloud, MeshSettings(base_mm=3.0, up="z"))
    assert (solid.report.problems, solid.report.voids) == ((), 0)
    assert "the plate closes a hollow off, which is filled" in solid.warnings


@pytest.mark.parametrize("pebble", [False, True])
def test_the_foot_makes_no_hole_in_a_floor(pebble: bool) -> None:
    """Of 0.8 mm, tilted so that it stands only where 3 mm are cut off. Nor one that would free a
    pebble on the floor, which together have as many holes and bodies less as before."""
    upright = cup(0.8)
    if pebble:
        upright += Manifold.sphere(0.8, 16).translate((0, -17, 1.4))
    tilted = upright.rotate((4, 0, 0))
    tilted = tilted.translate((0, 0, -tilted.bounding_box()[2]))
    rest = tilted.trim_by_plane((0, 0, 1), meshing._foot_height(tilted))
    largest = max(rest.decompose(), key=Manifold.surface_area)
    assert largest.genus() == tilted.genus() == 1


def test_the_foot_leaves_both_ends_of_a_thin_plate() -> None:
    """Tilted by a degree, a cut that it would stand on goes through it."""
    plate = Manifold.cube((100, 40, 0.8), center=True)
    towers = [Manifold.cube((20, 20, 60)).translate((x, -10, 0)) for x in (-50, 30)]
    tilted = (plate + towers[0] + towers[1]).rotate((0, 1, 0))
    tilted = tilted.translate((0, 0, -tilted.bounding_box()[2]))
    rest = tilted.trim_by_plane((0, 0, 1), meshing._foot_height(tilted))
    assert max(body.volume() for body in rest.decompose()) > 0.99 * rest.volume()


def test_the_foot_leaves_a_rim_that_hangs_by_a_thin_floor() -> None:
    """A cut through the floor would lose it, though with hardly any of the volume."""
    pillar, dish = Manifold.cylinder(100, 8), Manifold.cylinder(6, 25)
    hollow = Manifold.cylinder(6, 24.8).translate((0, 0, 0.3))
    assert meshing._foot_height(pillar + (dish - hollow)) == 0


def test_no_foot_is_cut_from_what_was_added_below() -> None:
    plate = assemble("plate", [Part(solids.box(1.0, 0.025, 0.8), "body", "wood")])
    thick = solid_from_cloud(seen(plate).arrays(), MeshSettings(size_mm=40, min_thickness_mm=3))
    assert thick.report.size_mm[2] >= 3


def test_walls_are_thickened_for_the_size_that_a_plate_leaves() -> None:
    wall = assemble("wall", [Part(solids.box(1.0, 0.8, 0.025), "body", "wood")])
    settings = MeshSettings(size_mm=30, base_mm=2, min_thickness_mm=2)
    made = solid_from_cloud(seen(wall).arrays(), settings)
    above = made.mesh.vertices[made.mesh.vertices[:, 2] > 6]
    assert np.ptp(above[:, 1]) >= 2


@pytest.mark.parametrize("least", [1.5, 3.0])
def test_thin_walls_become_as_thick_as_asked_for(least: float) -> None:
    plate = assemble("plate", [Part(solids.box(1.0, 0.8, 0.025), "body", "wood")])
    cloud = seen(plate).arrays()
    thin = solid_from_cloud(cloud, MeshSettings(size_mm=40))
    thick = solid_from_cloud(cloud, MeshSettings(size_mm=40, min_thickness_mm=least))
    assert thinnest_wall(thin.mesh) == pytest.approx(1.0, abs=0.15)
    thickened = thinnest_wall(thick.mesh)
    assert thickened is not None
    assert thickened >= 0.9 * least


def test_simplifying_leaves_thickened_walls_what_they_were_given() -> None:
    """However large the print is."""
    large = Manifold.cube((400, 10, 10))
    assert meshing._tolerance(large, MeshSettings()) == pytest.approx(0.2)
    assert meshing._tolerance(large, MeshSettings(min_thickness_mm=0.8)) == pytest.approx(0.06)
    asked = MeshSettings(min_thickness_mm=0.8, tolerance_mm=0.0)
    assert meshing._tolerance(large, asked) == 0


def test_thick_walls_stay() -> None:
    plain = solid_from_cloud(ball()).report
    thickened = solid_from_cloud(ball(), MeshSettings(min_thickness_mm=2.0)).report
    assert thickened.volume_mm3 == pytest.approx(plain.volume_mm3, rel=1e-3)
    assert thickened.size_mm == pytest.approx(plain.size_mm, abs=0.05)


def test_a_budget_of_faces_is_met(tower: PointArrays) -> None:
    solid = solid_from_cloud(tower, MeshSettings(faces=500))
    assert max(solid.report.size_mm) == pytest.approx(100, rel=1e-6)
    assert 400 < len(solid.mesh.faces) <= 500
    assert solid.report.printable


def test_a_budget_leaves_the_foot_flat(clouds: dict[str, PointCloud]) -> None:
    """Decimation rounds it off: of the chair's three long legs hardly a point stayed down."""
    settings = MeshSettings(faces=400)
    report = solid_from_cloud(clouds["chair"].arrays(), settings).report
    whole = solid_from_cloud(clouds["chair"].arrays()).report
    assert report.printable
    assert report.triangles <= 400
    assert report.contact_mm2 > whole.contact_mm2 / 3
    assert report.lowest_mm == pytest.approx(0, abs=1e-3)


def test_a_budget_is_met_without_open3d(
    tower: PointArrays, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*arguments: object) -> None:
        raise NativeCodeError("Open3D is not installed")

    monkeypatch.setattr(meshing, "decimate", missing)
    solid = solid_from_cloud(tower, MeshSettings(faces=500))
    assert 100 < len(solid.mesh.faces) <= 500
    assert solid.report.printable
    assert max(solid.report.size_mm) == pytest.approx(100, rel=1e-6)


def test_a_budget_is_met_where_decimation_opens_the_surface(
    tower: PointArrays, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meshing, "decimate", open_surface)
    solid = solid_from_cloud(tower, MeshSettings(faces=500))
    assert solid.method.startswith("Poisson")
    assert 100 < len(solid.mesh.faces) <= 500


def test_what_was_found_about_the_normals_is_said() -> None:
    """Where a folder's meshes are made, in processes of their own, nothing is logged."""
    inwards = replace(ball(), normals=-ball().points)
    assert solid_from_cloud(inwards).warnings == (
        "the cloud's normals point inwards; turned around",
    )


def test_more_tolerance_gives_fewer_faces(tower: PointArrays) -> None:
    fine, coarse = (
        len(solid_from_cloud(tower, MeshSettings(tolerance_mm=tolerance)).mesh.faces)
        for tolerance in (0.01, 0.5)
    )
    assert coarse < fine / 2


def test_the_triangles_do_not_depend_on_the_size(made: Solid, tower: PointArrays) -> None:
    large = solid_from_cloud(tower, MeshSettings(size_mm=1000))
    assert len(large.mesh.faces) == pytest.approx(len(made.mesh.faces), rel=0.02)


def test_colours_are_those_of_the_points_nearby() -> None:
    cloud = ball()
    red, blue = np.array([[255, 0, 0], [0, 0, 255]], dtype=np.uint8)
    painted = replace(cloud, colours=np.where(cloud.points[:, :1] > 0, red, blue))
    mesh = solid_from_cloud(painted).mesh
    assert mesh.colours is not None
    right, left = mesh.vertices[:, 0] > 3, mesh.vertices[:, 0] < -3
    assert (mesh.colours[right] == red).all()
    assert (mesh.colours[left] == blue).all()
    assert solid_from_cloud(cloud).mesh.colours is None


def test_the_voxel_surface_of_a_ball() -> None:
    vertices, faces = voxel_surface(ball(), 32)
    report = inspect_mesh(TriangleMesh(vertices, faces))
    assert (report.boundary_edges, report.non_manifold_edges, report.flipped_edges) == (0, 0, 0)
    assert (report.bodies, report.voids) == (1, 0)
    assert report.volume_mm3 == pytest.approx(4 / 3 * np.pi * 0.4**3, rel=0.02)
    assert np.linalg.norm(vertices, axis=-1) == pytest.approx(0.4, rel=0.02)


def test_the_voxel_surface_of_what_is_thinner_than_its_cells() -> None:
    """Two rods of a hundredth of their length: no cell is inside."""
    random = np.random.default_rng(0)
    angle, height = random.uniform(0, 2 * np.pi, 800), random.uniform(0, 1, 800)
    out = np.stack([np.cos(angle), np.zeros(800), np.sin(angle)], -1)
    rod = 0.005 * out + np.stack([0 * height, height, 0 * height], -1)
    cloud = PointArrays(
        np.concatenate([rod, rod + np.array([0.5, 0, 0])]), np.concatenate([out, out])
    )
    with pytest.raises(NotPrintableError, match="no surface"):
        voxel_surface(cloud, 32)


# --- when it does not work ------------------------------------------------------------------------


def refusing(*arguments: object) -> Surface:
    raise NativeCodeError("Open3D failed")


def open_surface(*arguments: object) -> Surface:
    return np.eye(3), np.array([[0, 1, 2]])


@pytest.mark.parametrize(
    ("name", "poisson"),
    [
        ("mug", refusing),
        ("ellipsoid", refusing),
        ("tower", refusing),
        ("chair", refusing),
        ("chair", open_surface),
    ],
)
def test_a_voxel_grid_where_poisson_fails(
    name: str,
    poisson: Callable[..., Surface],
    clouds: dict[str, PointCloud],
    monkeypatch: pytest.MonkeyPatch,
    chair: Shape,
) -> None:
    monkeypatch.setattr(meshing, "poisson_surface", poisson)
    solid = solid_from_cloud(clouds[name].arrays(), MeshSettings(foot=False))
    assert solid.method == "a coarse voxel grid"
    assert solid.report.printable
    assert any(said.startswith("made by a coarse voxel grid") for said in solid.warnings)
    assert between(solid.mesh, {**SHAPES, "chair": chair}[name]) < 0.01


def surface_of(solid: Manifold) -> Callable[..., Surface]:
    """Poisson's answer, whatever it is asked."""
    mesh = solid.refine_to_length(0.03).to_mesh()
    surface = np.array(mesh.vert_properties[:, :3], float), np.array(mesh.tri_verts, np.int64)
    return lambda *request: surface


def with_a_balloon(radius: float) -> Callable[..., Surface]:
    """A balloon that grows out of a ball of radius 0.5, as the cloud is scaled."""
    balloon = Manifold.sphere(radius, 48).translate((0.35, 0.35, 0.35))
    return surface_of(Manifold.sphere(0.5, 96) + balloon)


def test_what_has_swollen_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meshing, "poisson_surface", with_a_balloon(0.2))
    solid = solid_from_cloud(ball(), MeshSettings(foot=False))
    assert np.linalg.norm(solid.mesh.vertices - [0, 0, 50], axis=1).max() < 60
    assert any(said.startswith("swellings cut off: ") for said in solid.warnings)


def test_a_small_swelling_is_cut_off_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meshing, "poisson_surface", with_a_balloon(0.1))
    solid = solid_from_cloud(ball(), MeshSettings(foot=False))
    assert 0 < solid.carved_share < 0.01
    assert not any("swellings" in said for said in solid.warnings)


def test_what_has_swollen_is_left_if_you_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meshing, "poisson_surface", with_a_balloon(0.2))
    solid = solid_from_cloud(ball(), MeshSettings(foot=False, carve=False))
    assert np.linalg.norm(solid.mesh.vertices - [0, 0, 50], axis=1).max() > 70
    assert solid.carved_share == 0


def test_noise_is_taken_out_unless_you_say_otherwise() -> None:
    even = ball(20_000)
    noise = np.random.default_rng(0).normal(0, 0.01, even.points.shape)
    cloud = replace(even, points=even.points + noise)
    smooth, rough = (
        np.linalg.norm(
            solid_from_cloud(cloud, MeshSettings(foot=False, smooth=smooth)).mesh.vertices
            - [0, 0, 50],
            axis=1,
        ).std()
        for smooth in (True, False)
    )
    assert smooth < rough / 2


def test_a_swelling_that_holds_the_parts_together_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two balls, of which one would be lost: the gap is too wide for a strut."""
    one = ball()
    aside = np.array([1.2, 0, 0])
    points = np.concatenate([one.points - aside, one.points + aside])
    assert one.normals is not None
    cloud = PointArrays(points, np.concatenate([one.normals, one.normals]), None)
    bar = Manifold.cylinder(0.75, 0.08, circular_segments=48, center=True).rotate((0, 90, 0))
    both = [Manifold.sphere(0.125, 96).translate((x, 0, 0)) for x in (-0.375, 0.375)]
    monkeypatch.setattr(meshing, "poisson_surface", surface_of(both[0] + bar + both[1]))
    solid = solid_from_cloud(cloud, MeshSettings(foot=False))
    assert np.ptp(solid.mesh.vertices, axis=0) == pytest.approx([100, 25, 25], rel=0.05)


def test_a_balloon_that_holds_a_rod_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has more volume than the rod, which has more points than may be lost."""
    one = ball(20_000, 0.3)
    angle = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    ring = np.stack([0 * angle, np.cos(angle), np.sin(angle)], -1)
    along = np.arange(0.55, 0.75, 0.004)[:, None, None] * np.array([1.0, 0, 0])
    rod = (0.02 * ring + along).reshape(-1, 3)
    assert one.normals is not None
    normals = np.concatenate([one.normals, np.tile(ring, (len(along), 1))])
    bar = Manifold.cylinder(0.2, 0.02).rotate((0, 90, 0)).translate((0.55, 0, 0))
    balloon = Manifold.sphere(0.2, 64).translate((0.4, 0, 0))
    # As the cloud is moved and scaled: its longest side is 1.05.
    whole = (
        (Manifold.sphere(0.3, 96) + bar + balloon).translate((-0.225, 0, 0)).scale((1 / 1.05,) * 3)
    )
    monkeypatch.setattr(meshing, "poisson_surface", surface_of(whole))
    cloud = PointArrays(np.concatenate([one.points, rod]), normals)
    solid = solid_from_cloud(cloud, MeshSettings(foot=False))
    assert np.ptp(solid.mesh.vertices, axis=0)[1] == pytest.approx(60 / 1.05, rel=0.05)


def test_a_large_balloon_goes_though_a_part_is_loose(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose share of the volume is larger without the balloon."""
    one = ball(8000, 0.4)
    assert one.normals is not None
    points = np.concatenate([one.points, 0.5 * one.points + [0, 0, 1.2]])
    cloud = PointArrays(points, np.concatenate([one.normals, one.normals]))
    parts = Manifold.sphere(0.4, 96) + Manifold.sphere(0.2, 96).translate((0, 0, 1.2))
    balloon = Manifold.sphere(0.45, 96).translate((0.5, 0, 0))
    # As the cloud is moved and scaled: its longest side is 1.8.
    whole = (parts + balloon).translate((0, 0, -0.5)).scale((1 / 1.8,) * 3)
    monkeypatch.setattr(meshing, "poisson_surface", surface_of(whole))
    solid = solid_from_cloud(cloud, MeshSettings(foot=False))
    assert np.ptp(solid.mesh.vertices, axis=0) == pytest.approx([100, 100, 100], rel=0.1)


@pytest.mark.parametrize("has_normals", [True, False])
def test_attempts_become_coarser_before_a_voxel_grid(
    has_normals: bool, tower: PointArrays, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[tuple[int, float]] = []

    def refusing_all(points: ndarray, normals: ndarray, depth: int, scale: float) -> Surface:
        tried.append((depth, scale))
        raise NativeCodeError("swollen")

    monkeypatch.setattr(meshing, "poisson_surface", refusing_all)
    cloud = tower if has_normals else replace(tower, normals=None)
    assert solid_from_cloud(cloud, MeshSettings(depth=6)).method == "a coarse voxel grid"
    anew = [(6, 1.1)] if has_normals else []
    assert tried == [(6, 1.1), *anew, (6, 2.0), (5, 2.0)]


def test_a_coarser_octree_is_taken_where_the_finer_ones_fail(
    tower: PointArrays, monkeypatch: pytest.MonkeyPatch
) -> None:
    def only_coarse(points: ndarray, normals: ndarray, depth: int, scale: float) -> Surface:
        if depth == 6:
            raise NativeCodeError("swollen")
        return poisson_in_process(points, normals, depth, scale)

    monkeypatch.setattr(meshing, "poisson_surface", only_coarse)
    solid = solid_from_cloud(tower, MeshSettings(depth=6))
    assert solid.method == "Poisson at depth 5 in a wide cube"
    assert "made by Poisson at depth 5 in a wide cube instead of" in solid.warnings[0]
    assert solid.warnings[0].endswith("Poisson at depth 6: swollen")


@pytest.mark.parametrize("best_effort", [False, True])
def test_no_solid_at_all(
    best_effort: bool, tower: PointArrays, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meshing, "poisson_surface", refusing)
    monkeypatch.setattr(meshing, "voxel_surface", open_surface)
    with pytest.raises(NotPrintableError, match="no printable solid") as raised:
        solid_from_cloud(tower, MeshSettings(best_effort=best_effort))
    assert raised.value.exit_code == 5


def test_the_best_effort_is_the_last_solid(
    tower: PointArrays, monkeypatch: pytest.MonkeyPatch
) -> None:
    def displeased(mesh: TriangleMesh, walls: bool) -> object:
        return replace(inspect_mesh(mesh, walls=walls), problems=("it looks odd",))

    monkeypatch.setattr(meshing, "inspect_mesh", displeased)
    monkeypatch.setattr(meshing, "poisson_surface", refusing)
    with pytest.raises(NotPrintableError, match="it looks odd"):
        solid_from_cloud(tower)
    solid = solid_from_cloud(tower, MeshSettings(best_effort=True))
    assert solid.method == "a coarse voxel grid"
    assert not solid.report.printable
    assert solid.report.bodies == 1


def test_the_best_effort_may_have_more_faces_than_asked_for(
    tower: PointArrays, monkeypatch: pytest.MonkeyPatch
) -> None:
    def as_it_is(vertices: np.ndarray, faces: np.ndarray, budget: int) -> tuple[np.ndarray, ...]:
        return vertices, faces

    monkeypatch.setattr(meshing, "decimate", as_it_is)
    with pytest.raises(NotPrintableError, match="simplified to 4 triangles"):
        solid_from_cloud(tower, MeshSettings(faces=4))
    solid = solid_from_cloud(tower, MeshSettings(faces=4, best_effort=True))
    assert solid.report.printable
    assert solid.report.triangles > 4
    assert "it cannot be simplified to 4 triangles" in solid.warnings


def test_a_depth_that_was_asked_for_and_failed_is_said_with_the_reason(
    made: Solid, tower: PointArrays, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing_narrow(*arguments: float) -> Surface:
        if arguments[-1] == meshing._SCALE:
            raise NativeCodeError("too narrow")
        return poisson_in_process(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(meshing, "poisson_surface", refusing_narrow)
    said = "made by Poisson at depth 6 in a wide cube instead of Poisson at depth 6: too narrow"
    assert said in solid_from_cloud(tower, MeshSettings(depth=6)).warnings
    assert made.warnings == ()


@pytest.mark.parametrize("has_normals", [True, False])
def test_where_the_clouds_own_normals_fail_they_are_estimated_anew(
    has_normals: bool, tower: PointArrays, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, and not where they were estimated to begin with."""
    tried: list[ndarray] = []

    def refusing_the_first(*arguments: Any) -> Surface:
        tried.append(arguments[1])
        if len(tried) == 1:
            raise NativeCodeError("swollen")
        return poisson_in_process(*arguments)

    monkeypatch.setattr(meshing, "poisson_surface", refusing_the_first)
    solid = solid_from_cloud(tower if has_normals else replace(tower, normals=None))
    assert len(tried) == 2
    assert solid.method.endswith("with normals estimated anew" if has_normals else "a wide cube")
    assert np.array_equal(*tried) != has_normals
    assert solid.report.printable


def test_the_finest_solid_is_taken_of_those_that_lose_alike() -> None:
    """Of two balls each keeps one, however it is made."""
    one = ball()
    assert one.normals is not None
    two = PointArrays(
        np.concatenate([one.points, one.points + np.array([2.0, 0, 0])]),
        np.tile(one.normals, (2, 1)),
    )
    solid = solid_from_cloud(two, MeshSettings(bridge=False))
    assert solid.dropped_share == pytest.approx(0.5, abs=0.02)
    assert any(said.startswith("loose pieces dropped: ") for said in solid.warnings)
    assert solid.method.startswith("Poisson at depth")
    assert not solid.method.endswith("cube")


def test_a_file_of_no_known_kind_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"ball\.foo does not end in \.stl"):
        mesh_to_file(ball(), tmp_path / "ball.foo")


def test_the_file_is_judged_and_not_the_mesh(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A face is lost on the way into the file."""
    box = trimesh.creation.box((20, 20, 20))
    mesh = TriangleMesh(np.array(box.vertices), np.array(box.faces, dtype=np.int64))
    solid = Solid(mesh, inspect_mesh(mesh), "by hand", (), 0.0)
    assert solid.report.printable
    encode = meshing.encode_mesh

    def losing(mesh: TriangleMesh, suffix: str, name: str) -> bytes:
        return encode(replace(mesh, faces=mesh.faces[1:]), suffix, name)

    monkeypatch.setattr(meshing, "encode_mesh", losing)
    with pytest.raises(NotPrintableError, match="3 edges border a hole"):
        write_mesh(tmp_path / "box.stl", solid)
    assert list(tmp_path.iterdir()) == []


def test_only_what_is_printable_is_written(tmp_path: Path) -> None:
    box = trimesh.creation.box()
    mesh = TriangleMesh(np.array(box.vertices), np.array(box.faces[1:], dtype=np.int64))
    solid = Solid(mesh, inspect_mesh(mesh), "by hand", (), 0.0)
    with pytest.raises(NotPrintableError, match="3 edges border a hole"):
        write_mesh(tmp_path / "box.stl", solid)
    assert list(tmp_path.iterdir()) == []
    assert not write_mesh(tmp_path / "box.stl", solid, best_effort=True).printable
    assert len(trimesh.load_mesh(tmp_path / "box.stl").faces) == 11


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (np.zeros((1, 3)), "at least 50 points, and there are 1$"),
        (np.ones((500, 3)), "all points of the cloud are the same"),
        (np.random.default_rng(0).random((49, 3)), "at least 50 points, and there are 49$"),
        (np.linspace([0, 0, 0], [1, 2, 3], 500), "on one line"),
        (np.random.default_rng(0).random((500, 3)) @ np.diag([1.0, 1, 0]), "in one plane"),
    ],
)
def test_clouds_without_a_surface(points: ndarray, message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        solid_from_cloud(PointArrays(points))
