from __future__ import annotations

from math import cos, pi, radians, sin

import numpy as np
import pytest
import trimesh
from manifold3d import Manifold, Mesh
from scipy.cluster.hierarchy import DisjointSet

from img2pc.data.families import FAMILIES
from img2pc.data.families.maker import Maker
from img2pc.data.shapes import Part, Shape, assemble, corner_normals, normalised
from img2pc.data.solids import (
    Solid,
    bar,
    box,
    cylinder,
    lathe,
    loft,
    prism,
    rotation,
    rounded_rectangle,
    sheet,
    signed_volume,
    smooth_path,
    superellipsoid,
    sweep,
)

CURVE = smooth_path([(0.0, 0.0, 0.0), (0.3, 0.6, 0.0), (0.2, 1.0, 0.5)])
ANGLES = np.linspace(0, 2 * pi, 24, endpoint=False)
CIRCLE = np.stack([np.cos(ANGLES), np.zeros(24), np.sin(ANGLES)], -1)
SHELL = np.stack(np.meshgrid(np.linspace(0, 1, 5), np.linspace(0, 1, 6), indexing="ij"), -1)
SHELL = np.concatenate([SHELL, SHELL[..., :1] ** 2], -1)

SOLIDS = {
    "box": box(1.0, 2.0, 3.0),
    "rounded box": box(1.0, 2.0, 3.0, 0.2),
    "prism": prism(rounded_rectangle(2.0, 1.0, 0.3), 0.5, taper=0.6),
    "cylinder": cylinder(0.5, 2.0),
    "frustum": cylinder(0.5, 2.0, top_radius=0.2),
    "cone": cylinder(0.5, 2.0, top_radius=0.0),
    "lathe": lathe([(0.2, 0.0), (0.5, 0.3), (0.1, 1.0)]),
    "lathe with a hollow": lathe([(0.5, 0.0), (0.6, 1.0), (0.5, 1.0), (0.4, 0.1)]),
    "ellipsoid": superellipsoid(1.0, 2.0, 3.0),
    "cushion": superellipsoid(1.0, 0.3, 1.0, 0.4, 0.3),
    "bent tube": sweep(CURVE, 0.1),
    "tapered tube": sweep(CURVE, 0.1, np.linspace(1, 0.3, len(CURVE))),
    "torus": sweep(CIRCLE, 0.2, closed=True),
    "rail": sweep(CURVE, rounded_rectangle(0.1, 0.3, 0.02)),
    "bar": bar((0.0, 0.0, 0.0), (1.0, 2.0, 3.0), 0.1, taper=0.5),
    "upright bar": bar((0.0, 0.0, 0.0), (0.0, 1.0, 0.0), 0.1),
    "downward bar": bar((0.0, 1.0, 0.0), (0.0, 0.0, 0.0), 0.1),
    "sheet": sheet(SHELL, 0.05),
    "bent": box(0.2, 1.0, 0.2).bent(0.3),
    "rotated": box(1.0, 2.0, 3.0).rotated("x", 33.0),
    "mirrored": bar((0.0, 0.0, 0.0), (1.0, 2.0, 3.0), 0.1).mirrored(),
    "scaled": cylinder(0.5, 1.0).scaled(2.0, -1.0, 3.0),
}


@pytest.mark.parametrize("name", SOLIDS)
def test_solids_are_closed_and_wound_outwards(name: str) -> None:
    solid = SOLIDS[name]
    mesh = trimesh.Trimesh(solid.vertices, solid.faces, process=False)
    assert mesh.is_watertight
    assert mesh.is_winding_consistent
    assert mesh.volume > 0
    assert signed_volume(solid) == pytest.approx(mesh.volume)


@pytest.mark.parametrize(
    ("solid", "volume", "tolerance"),
    [
        (box(1.0, 2.0, 3.0), 6.0, 1e-12),
        (box(1.0, 2.0, 3.0).scaled(2.0, 1.0, -1.0), 12.0, 1e-12),
        (box(1.0, 2.0, 3.0).rotated("y", 40.0).moved(5.0), 6.0, 1e-9),
        (cylinder(0.5, 2.0), pi * 0.25 * 2, 0.02),
        (cylinder(0.5, 2.0, top_radius=0.0), pi * 0.25 * 2 / 3, 0.02),
        (superellipsoid(1.0, 2.0, 3.0), pi, 0.04),
        (bar((0.0, 0.0, 0.0), (3.0, 0.0, 4.0), rounded_rectangle(0.2, 0.3, 0.0)), 0.3, 1e-9),
        (prism(rounded_rectangle(2.0, 1.0, 0.0), 0.5), 1.0, 1e-12),
        (sweep(CIRCLE, 0.2, closed=True), 2 * pi**2 * 0.2**2, 0.09),
        (sheet(SHELL * [1, 1, 0], 0.05), 0.05, 1e-9),
    ],
)
def test_volumes(solid: Solid, volume: float, tolerance: float) -> None:
    assert signed_volume(solid) == pytest.approx(volume, rel=tolerance)


def test_rounding_takes_volume_off_a_box_and_keeps_its_size() -> None:
    plain, rounded = box(1.0, 2.0, 3.0), box(1.0, 2.0, 3.0, 0.2)
    assert 0.9 * signed_volume(plain) < signed_volume(rounded) < signed_volume(plain)
    assert np.ptp(rounded.vertices, axis=0) == pytest.approx([1.0, 2.0, 3.0], abs=1e-3)


def test_convention_rotation_about_y_turns_z_to_x() -> None:
    assert rotation("y", 90.0) @ [0, 0, 1] == pytest.approx([1, 0, 0])
    assert rotation("x", 90.0) @ [0, 1, 0] == pytest.approx([0, 0, 1])
    assert rotation("z", 30.0) @ [1, 0, 0] == pytest.approx([cos(radians(30)), sin(radians(30)), 0])


def test_convention_mirrored_is_across_the_yz_plane() -> None:
    mirrored = box(1.0, 1.0, 1.0).moved(2.0, 3.0, 4.0).mirrored()
    assert mirrored.vertices.mean(0) == pytest.approx([-2.0, 3.0, 4.0])


def test_bars_end_where_they_should() -> None:
    vertices = bar((1.0, 0.0, 0.0), (1.0, 3.0, 0.0), 0.1).vertices
    assert (vertices[:, 1].min(), vertices[:, 1].max()) == pytest.approx((0.0, 3.0))
    assert vertices[:, [0, 2]].mean(0) == pytest.approx([1.0, 0.0])


def test_smooth_paths_go_through_their_points() -> None:
    points = np.array([[0.0, 0, 0], [0.3, 0.6, 0], [0.2, 1, 0.5], [1, 1, 1]])
    path = smooth_path(list(points), samples=301)
    distance = np.linalg.norm(path[None] - points[:, None], axis=-1).min(1)
    assert distance.max() < 1e-2
    assert path[0] == pytest.approx(points[0])


def test_loft_joins_the_ends_if_closed() -> None:
    ring = np.array([[1.0, 0, 0], [1.2, 0, 0], [1.1, 0.2, 0]])
    rings = np.stack([ring @ rotation("y", angle).T for angle in range(0, 360, 15)])
    mesh = loft(rings, closed=True)
    assert trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).euler_number == 0


def test_closed_tubes_do_not_twist_at_their_seam() -> None:
    """Along a knot, no ring is turned against the next by more than the others are."""
    t = np.linspace(0, 2 * pi, 60, endpoint=False)
    radius = 2 + np.cos(3 * t)
    knot = np.stack([radius * np.cos(2 * t), np.sin(3 * t), radius * np.sin(2 * t)], -1)
    square = np.array([(0.1, 0.1), (-0.1, 0.1), (-0.1, -0.1), (0.1, -0.1)])
    rings = sweep(knot, square, closed=True).vertices.reshape(60, 4, 3)
    corner = rings[:, 0] - rings.mean(1)
    corner /= np.linalg.norm(corner, axis=-1, keepdims=True)
    cosines = (corner * np.roll(corner, -1, axis=0)).sum(-1)
    assert cosines.min() > cos(radians(30))


def test_a_curved_sheet_stays_open_at_its_ends() -> None:
    """A channel, half a pipe of wall 0.02: its volume is the wall's, its ends are strips."""
    angle, along = np.meshgrid(np.linspace(0, pi, 25), np.linspace(0, 2, 3))
    channel = sheet(np.stack([np.cos(angle), -np.sin(angle), along], -1), 0.02)
    mesh = trimesh.Trimesh(channel.vertices, channel.faces, process=False)
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(pi * 0.02 * 2, rel=0.01)
    ends = np.abs(mesh.face_normals[:, 2]) > 0.9
    assert mesh.area_faces[ends].sum() == pytest.approx(2 * pi * 0.02, rel=0.01)


# --- Shapes ---------------------------------------------------------------------------------------


def test_assemble_brings_the_parts_into_the_object_frame() -> None:
    shape = assemble(
        "thing",
        [
            Part(box(3.0, 1.0, 1.0).moved(10.0), "body", "wood"),
            Part(box(1.0, 4.0, 1.0).moved(10.0, 1.5), "neck", "metal"),
            Part(box(1.0, 1.0, 1.0).moved(10.0), "body", "wood"),
        ],
    )
    assert shape.category == "thing"
    assert shape.materials == ("wood", "metal")
    assert shape.face_slot.tolist() == [0] * 16 + [1] * 16 + [0] * 16
    assert_in_object_frame(shape)
    assert np.ptp(shape.vertices, axis=0) == pytest.approx(np.array([3, 4, 1]) / np.sqrt(26))


def test_normalised_keeps_proportions() -> None:
    vertices = normalised(np.array([[5.0, 5, 5], [8, 9, 5]]))
    assert vertices == pytest.approx(np.array([[-0.3, -0.4, 0], [0.3, 0.4, 0]]))


def assert_in_object_frame(shape: Shape) -> None:
    low, high = shape.vertices.min(0), shape.vertices.max(0)
    assert low + high == pytest.approx(np.zeros(3), abs=1e-9)
    assert np.linalg.norm(high - low) == pytest.approx(1)


def draw(family: str, seed: int) -> Shape:
    return assemble(family, FAMILIES[family][0](np.random.default_rng(seed)))


@pytest.mark.parametrize("family", FAMILIES)
def test_families_draw_sound_shapes(family: str) -> None:
    shapes = [draw(family, seed) for seed in range(14)]
    for shape in shapes:
        assert np.isfinite(shape.vertices).all()
        assert_in_object_frame(shape)
        assert np.ptp(shape.vertices, axis=0).min() > 1e-3
        assert 12 <= len(shape.faces) < 10_000
        assert shape.faces.min() >= 0
        assert shape.faces.max() < len(shape.vertices)
        assert set(shape.face_slot.tolist()) <= set(range(len(shape.materials)))
    assert len({shape.vertices.tobytes() for shape in shapes}) == len(shapes)


@pytest.mark.parametrize("family", FAMILIES)
def test_families_draw_the_same_shape_from_the_same_seed(family: str) -> None:
    first, second = draw(family, 5), draw(family, 5)
    assert np.array_equal(first.vertices, second.vertices)
    assert np.array_equal(first.faces, second.faces)
    assert first.materials == second.materials


@pytest.mark.parametrize("family", FAMILIES)
def test_parts_of_families_are_closed_and_wound_outwards(family: str) -> None:
    """Pictures shade both sides alike, but meshes and normals made from these would not."""
    for seed in range(14):
        for part in FAMILIES[family][0](np.random.default_rng(seed)):
            mesh = trimesh.Trimesh(part.solid.vertices, part.solid.faces, process=False)
            assert mesh.is_watertight, (seed, part.slot)
            assert mesh.volume > 0, (seed, part.slot)


@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "anything"])
def test_parts_of_families_hang_together(family: str) -> None:
    """Their surfaces, to 1 % of the diagonal."""
    for seed in range(14):
        solids = [part.solid for part in FAMILIES[family][0](np.random.default_rng(seed))]
        low, high = (
            np.stack([end(solid.vertices, axis=0) for solid in solids]) for end in (np.min, np.max)
        )
        gap = 0.01 * np.linalg.norm(high.max(0) - low.min(0))
        near = (low[:, None] <= high[None] + gap).all(-1)
        meshes = [
            Manifold(Mesh(solid.vertices.astype(np.float32), solid.faces.astype(np.uint32)))
            for solid in solids
        ]
        bodies = DisjointSet(range(len(solids)))
        for one, other in np.argwhere(np.triu(near & near.T, 1)):
            if bodies.connected(one, other):
                continue
            if meshes[one].min_gap(meshes[other], 2 * gap) < gap:
                bodies.merge(one, other)
        assert bodies.n_subsets == 1, seed


def test_a_family_s_round_things_mostly_stay_round() -> None:
    ratios = []
    for seed in range(300):
        maker = Maker(np.random.default_rng(seed))
        maker.add("body", cylinder(0.5, 1.0))
        (part,) = maker.finished()
        wide, _, deep = np.ptp(part.solid.vertices, axis=0)
        ratios.append(wide / deep)
    assert (np.abs(np.log(ratios)) < 1e-9).mean() == pytest.approx(0.7, abs=0.08)
    assert np.std(np.log(ratios)) > 0.03


def test_the_hub_of_a_large_fan_takes_no_pairs_of_faces() -> None:
    """Ten thousand at one corner, as CAD files have them, would be a hundred million."""
    count = 10_000
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    rim = np.stack([np.cos(angle), np.zeros(count), -np.sin(angle)], -1)
    ends = np.arange(1, count + 1)
    faces = np.stack([np.zeros(count, int), ends, np.roll(ends, -1)], -1)
    normals = corner_normals(np.concatenate([np.zeros((1, 3)), rim]), faces)
    assert normals.reshape(-1, 3) == pytest.approx(np.tile([0.0, 1, 0], (3 * count, 1)), abs=1e-6)
