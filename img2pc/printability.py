"""What a printer's slicer will say of a mesh: closed, one body, walls, overhangs, contact."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from img2pc.mesh_files import TriangleMesh

LEAST_WALL_MM = 0.8  # what a common 0.4 mm nozzle prints as a wall

_CONTACT_MM = 0.02  # how far above the bed still touches it
_OVERHANG_DEGREES = 45.0
_WALL_SAMPLES = 20_000
_WALL_LIMIT_MM = 5.0
_WALL_QUANTILE = 0.01
_SMALL_MM = 2.0  # longest side, below which the file hardly was in millimetres
_OPPOSITE = -0.7  # cosine between the normals of a wall's two sides


@dataclass(frozen=True)
class PrintReport:
    """Findings about a mesh that stands as it would be printed: millimetres, +Z up.

    Attributes:
        boundary_edges: edges with a face on one side only.
        non_manifold_edges: edges where more than two faces meet.
        flipped_edges: edges whose two faces turn the same way.
        bodies: connected closed pieces that are solid.
        voids: connected pieces that are inside out: hollows without an opening.
        degenerate_faces: triangles without area.
        contact_mm2: area that lies on the bed.
        stands: whether the centre of mass is above what lies on the bed, or between; None of what
            has no inside (open, inside out).
        fits_bed: None if no bed was given.
        wall_mm: 1 % of the surface belongs to walls thinner than this; None from 5 mm, or the
            least wall asked for, on, and of what has no inside.
        overhang_share: of the surface, steeper than 45° downwards and not on the bed.
    """

    triangles: int
    boundary_edges: int
    non_manifold_edges: int
    flipped_edges: int
    bodies: int
    voids: int
    degenerate_faces: int
    volume_mm3: float
    size_mm: tuple[float, float, float]
    lowest_mm: float
    contact_mm2: float
    stands: bool | None
    fits_bed: bool | None
    wall_mm: float | None
    overhang_share: float
    problems: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def printable(self) -> bool:
        """Whether a slicer takes the mesh as it is."""
        return not self.problems


def inspect_mesh(
    mesh: TriangleMesh,
    bed_mm: tuple[float, float, float] | None = None,
    least_wall_mm: float = LEAST_WALL_MM,
    walls: bool = True,
) -> PrintReport:
    """Measure a mesh and judge it; `walls` can be left out, as they take the longest.

    A problem is what slicers refuse or repair: not closed, more than two faces at an edge, faces
    turned inconsistently or inside out, several bodies, closed hollows, faces without area, larger
    than the bed. Thin walls, not resting on z = 0, hardly touching it, toppling and what may be of
    other units are warnings.
    """
    vertices, faces = mesh.vertices, mesh.faces
    size = np.ptp(vertices, axis=0)
    area_vectors = face_area_vectors(vertices, faces)
    area = np.linalg.norm(area_vectors, axis=-1)
    degenerate = int(_negligible(area, size).sum())
    # A face with a corner twice has no edges that others could border on.
    whole = faces[(faces != faces[:, [1, 2, 0]]).all(-1)]
    edges = np.sort(whole[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), -1)
    _, edge, count = np.unique(edges, axis=0, return_inverse=True, return_counts=True)
    edge = edge.reshape(-1, 3)
    boundary_edges, crowded, flipped = _edge_defects(whole, edge, count)
    volumes = _body_volumes(vertices, whole, edge)
    flat = np.abs(volumes) <= 1e-9 * size.max() ** 3
    volumes, flat_pieces = volumes[~flat], int(flat.sum())
    total = float(volumes.sum())
    lowest = float(vertices[:, 2].min())
    down = area_vectors[:, 2] < -np.cos(np.radians(_OVERHANG_DEGREES)) * area
    on_bed = (vertices[faces][..., 2] < lowest + _CONTACT_MM).all(-1)
    contact = abs(float(area_vectors[on_bed & down, 2].sum()))
    measurable = not boundary_edges and total > 0 and degenerate < len(faces)
    wall = thinnest_wall(mesh, max(_WALL_LIMIT_MM, least_wall_mm)) if walls and measurable else None
    below = vertices[faces[on_bed & down]].reshape(-1, 3)[:, :2]
    stands = is_between(centre_of_mass(vertices, faces)[:2], below) if measurable else None
    measured = PrintReport(
        triangles=len(faces),
        boundary_edges=boundary_edges,
        non_manifold_edges=crowded,
        flipped_edges=flipped,
        bodies=int((volumes > 0).sum()),
        voids=int((volumes < 0).sum()),
        degenerate_faces=degenerate,
        volume_mm3=total,
        size_mm=(float(size[0]), float(size[1]), float(size[2])),
        lowest_mm=lowest,
        contact_mm2=contact,
        stands=stands,
        fits_bed=None if bed_mm is None else _fits(size, bed_mm),
        wall_mm=wall,
        overhang_share=float(area[down & ~on_bed].sum() / max(float(area.sum()), 1e-30)),
        problems=(),
        warnings=(),
    )
    return replace(
        measured,
        problems=_problems(measured, flat_pieces, bed_mm),
        warnings=_warnings(measured, least_wall_mm),
    )


def _problems(
    report: PrintReport, flat_pieces: int, bed_mm: tuple[float, float, float] | None
) -> tuple[str, ...]:
    """What slicers refuse or repair."""
    whole = report.volume_mm3 > 0
    found = [
        (report.boundary_edges, f"not closed: {report.boundary_edges} edges border a hole"),
        (
            report.non_manifold_edges,
            f"not a manifold: more than two faces meet at {report.non_manifold_edges} edges",
        ),
        (report.flipped_edges, f"faces turn both ways at {report.flipped_edges} edges"),
        (not report.boundary_edges and not whole, "inside out: its volume is not positive"),
        (report.bodies > 1, f"{report.bodies} separate bodies"),
        (whole and report.voids, f"closed hollows inside: {report.voids}"),
        (whole and flat_pieces, f"pieces without volume: {flat_pieces}"),
        (report.degenerate_faces, f"faces without area: {report.degenerate_faces}"),
        (
            report.fits_bed is False,
            f"{_by(report.size_mm)} mm does not fit the bed of {_by(bed_mm or ())} mm",
        ),
    ]
    return tuple(text for is_so, text in found if is_so)


def _warnings(report: PrintReport, least_wall_mm: float) -> tuple[str, ...]:
    """What prints, perhaps not well."""
    wall, lowest, contact = report.wall_mm, report.lowest_mm, report.contact_mm2
    hardly_touches = contact < 1e-3 * report.size_mm[0] * report.size_mm[1]
    longest = max(report.size_mm)
    found = [
        (
            wall is not None and wall < least_wall_mm,
            f"walls down to {wall or 0:.2f} mm, thinner than {least_wall_mm:g} mm",
        ),
        (abs(lowest) > _CONTACT_MM, f"its lowest point is at z = {lowest:.2f} mm, not on the bed"),
        (
            hardly_touches,
            f"touches the bed with only {contact:.1f} mm²; use a plate (--base) or a brim",
        ),
        (
            report.stands is False and not hardly_touches,
            "topples: its centre of mass is not above what touches the bed",
        ),
        (
            longest < _SMALL_MM,
            f"its longest side is {longest:.2g} mm: was it made in metres or inches?",
        ),
    ]
    return tuple(text for is_so, text in found if is_so)


def degenerate_faces(
    vertices: Float[ndarray, "vertex 3"], faces: Int[ndarray, "face 3"]
) -> Bool[ndarray, "face"]:
    """Which faces have (next to) no area."""
    area = np.linalg.norm(face_area_vectors(vertices, faces), axis=-1)
    return _negligible(area, np.ptp(vertices, axis=0))


def thinnest_wall(mesh: TriangleMesh, limit_mm: float = _WALL_LIMIT_MM) -> float | None:
    """The thickness that 1 % of the surface stays under, mm; None from `limit_mm` on."""
    points, normals = sample_surface(mesh.vertices, mesh.faces, _WALL_SAMPLES)
    limit = min(limit_mm, float(np.linalg.norm(np.ptp(mesh.vertices, axis=0))))
    thickness = wall_thickness(points, normals, points, normals, limit)
    thinnest = float(np.sort(thickness)[int(_WALL_QUANTILE * len(thickness))])
    return thinnest if np.isfinite(thinnest) else None


def wall_thickness(
    points: Float[ndarray, "point 3"],
    normals: Float[ndarray, "point 3"],
    surface: Float[ndarray, "sample 3"],
    surface_normals: Float[ndarray, "sample 3"],
    limit: float,
) -> Float[ndarray, "point"]:
    """How thick the solid is below each point, as sampled; infinite from `limit` on.

    Walks from each point inwards until it comes close to a sample whose normal is opposite; the
    distance between the two, along the normal, does not depend on how dense the samples are.
    """
    tree = cKDTree(surface)
    nearest, _ = tree.query(surface[:: max(1, len(surface) // 1000)], k=2)
    spacing = 2 * float(np.mean(nearest[:, 1]))
    thickness = np.full(len(points), np.inf)
    walking = np.arange(len(points))
    for step in range(1, int(2 * limit / spacing) + 4):
        inwards = points[walking] - normals[walking] * (step * spacing / 2)
        distance, across = tree.query(inwards, distance_upper_bound=spacing)
        found = np.flatnonzero(np.isfinite(distance))
        here, there = walking[found], across[found]
        depth = ((points[here] - surface[there]) * normals[here]).sum(-1)
        opposite = (normals[here] * surface_normals[there]).sum(-1) < _OPPOSITE
        arrived = opposite & (depth > 0)
        thickness[here[arrived]] = depth[arrived]
        walking = np.delete(walking, found[arrived])
        if not len(walking):
            break
    return np.where(thickness < limit, thickness, np.inf)


def sample_surface(
    vertices: Float[ndarray, "vertex 3"], faces: Int[ndarray, "face 3"], count: int
) -> tuple[Float[ndarray, "count 3"], Float[ndarray, "count 3"]]:
    """`count` points spread over the surface in proportion to area, and their normals; no chance
    in it."""
    area_vectors = face_area_vectors(vertices, faces)
    area = np.linalg.norm(area_vectors, axis=-1)
    along = np.cumsum(area) / area.sum()
    face = np.searchsorted(along, (np.arange(count) + 0.5) / count).clip(max=len(area) - 1)
    # Points in the triangles from the plastic number's low-discrepancy sequence (Roberts 2018).
    first, second = (np.arange(count)[:, None] * [0.7548776662466927, 0.5698402909980532] % 1).T
    fold = first + second > 1
    first, second = np.where(fold, 1 - first, first), np.where(fold, 1 - second, second)
    corners = vertices[faces[face]]
    points = (
        corners[:, 0]
        + first[:, None] * (corners[:, 1] - corners[:, 0])
        + second[:, None] * (corners[:, 2] - corners[:, 0])
    )
    return points, area_vectors[face] / np.maximum(area[face], 1e-30)[:, None]


def face_area_vectors(
    vertices: Float[ndarray, "vertex 3"], faces: Int[ndarray, "face 3"]
) -> Float[ndarray, "face 3"]:
    """The outward normal of each face, as long as the face's area."""
    corners = vertices[faces]
    return np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]) / 2


def centre_of_mass(
    vertices: Float[ndarray, "vertex 3"], faces: Int[ndarray, "face 3"]
) -> Float[ndarray, "3"]:
    """Of what a closed surface encloses."""
    corners = vertices[faces]
    volume = np.einsum("fi,fi->f", corners[:, 0], np.cross(corners[:, 1], corners[:, 2]))
    centre: ndarray = (volume[:, None] * corners.sum(1)).sum(0) / (4 * volume.sum())
    return centre


def is_between(place: Float[ndarray, "2"], points: Float[ndarray, "point 2"]) -> bool:
    """Whether it is inside the points' convex hull: seen from there, they are on all sides."""
    x, y = (points - place).T
    directions = np.sort(np.arctan2(y, x))
    gaps = np.diff(directions, append=directions[:1] + 2 * np.pi)
    return bool(len(gaps) and gaps.max() < np.pi)


def _negligible(area: Float[ndarray, "face"], size: Float[ndarray, "3"]) -> Bool[ndarray, "face"]:
    return np.asarray(area <= 1e-12 * size.max() ** 2)


def _edge_defects(
    faces: Int[ndarray, "face 3"], edge: Int[ndarray, "face 3"], count: Int[ndarray, "edge"]
) -> tuple[int, int, int]:
    """Edges with one face, with more than two, and with two that run the same way along it."""
    forward = np.bincount(
        edge.reshape(-1), (faces < faces[:, [1, 2, 0]]).reshape(-1), minlength=len(count)
    )
    return (
        int((count == 1).sum()),
        int((count > 2).sum()),
        int(((count == 2) & (forward != 1)).sum()),
    )


def _body_volumes(
    vertices: Float[ndarray, "vertex 3"],
    faces: Int[ndarray, "face 3"],
    edge: Int[ndarray, "face 3"],
) -> Float[ndarray, "body"]:
    """Signed volume of each piece connected by edges; negative where it is inside out.

    Pieces that touch at a corner are no more connected than a slicer would print them.
    """
    face, edges = np.arange(len(faces)).repeat(3), len(faces) + edge.reshape(-1)
    nodes = max(1, int(edges.max(initial=0)) + 1)
    graph = coo_array((np.ones(len(face)), (face, edges)), shape=(nodes, nodes))
    count, label = connected_components(graph, directed=False)
    corners = vertices[faces] - vertices.mean(0)
    volume = np.einsum("fi,fi->f", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6
    volumes: ndarray = np.bincount(label[: len(faces)], volume, minlength=count)
    return volumes


def _fits(size: Float[ndarray, "3"], bed: tuple[float, float, float]) -> bool:
    """Whether it fits as it stands or turned by a quarter about the vertical."""
    across, deep, high = size - 0.01  # metres in single precision are not exact
    return bool(
        high <= bed[2]
        and ((across <= bed[0] and deep <= bed[1]) or (across <= bed[1] and deep <= bed[0]))
    )


def _by(lengths: object) -> str:
    return " x ".join(f"{round(float(length), 1):g}" for length in np.asarray(lengths))
