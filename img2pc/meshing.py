"""From a point cloud to a solid that a slicer takes without repair.

Poisson reconstruction leaves floaters, non-manifold edges and no foot to stand on; manifold3d makes
a solid of it, which then is sized, cut flat and simplified without ever opening again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from manifold3d import Error, JoinType, Manifold, Mesh
from numpy import ndarray
from scipy.ndimage import binary_fill_holes, gaussian_filter
from scipy.spatial import cKDTree

from img2pc.bridging import bridged
from img2pc.carving import carved
from img2pc.cleaning import clean, estimated_normals, smoothed, spacing
from img2pc.cloud_files import PointArrays
from img2pc.errors import BadInputError, NotPrintableError
from img2pc.files import check_writable, written_atomically
from img2pc.mesh_files import (
    COLOUR_SUFFIXES,
    Y_UP_FROM_Z_UP,
    TriangleMesh,
    encode_mesh,
    mesh_suffix,
    read_mesh,
)
from img2pc.open3d_process import NativeCodeError, decimate, poisson_surface
from img2pc.printability import (
    LEAST_WALL_MM,
    PrintReport,
    centre_of_mass,
    degenerate_faces,
    face_area_vectors,
    inspect_mesh,
    is_between,
    sample_surface,
    wall_thickness,
)

log = logging.getLogger(__name__)

_LEAST_DEPTH, _MOST_DEPTH = 5, 9
_SCALE, _WIDE_SCALE = 1.1, 2.0  # of the octree's cube over the cloud's longest side
_ACCEPTABLE_LOSS = 0.15  # of the volume in loose pieces; above, other attempts may keep more
_CLEARLY_MORE = 0.05  # of the volume, for which a coarser attempt is taken
_MARGIN = 0.02  # of the cloud's box, each side
_HELD_SHARE = 0.005  # of the points, for which a swelling that holds them stays
_LARGE_PART = 0.1  # of the volume
_MOST_SAMPLES = 1_000_000  # of a surface
_CRUMBS = 0.01  # of the surface, that a cut may shave off
_SHARES_BEFORE_CUT = (0.97, 0.9, 0.75, 0.5)  # of a budget of faces
_FOOT_SHARES = (0.005, 0.01, 0.02, 0.03, 0.05)  # of the height, until it stands
_PLINTH_MARGIN_MM = 3.0
_PLINTH_STEPS, _PLINTH_PRECISION_MM = 30, 0.01
_TOLERANCE = 1 / 2000  # of simplifying, of the longest side
_THICKNESS_SPARE = 0.15  # of walls, for sizing and simplifying to take away again
_FINEST_SIDE = 1 / 400  # of triangles before walls are thickened, of the diagonal
_VOXELS = "a coarse voxel grid"
_Z_UP_FROM = {"y": Y_UP_FROM_Z_UP.T, "z": np.eye(3)}

Surface = tuple[Float[ndarray, "vertex 3"], Int[ndarray, "face 3"]]


@dataclass(frozen=True)
class MeshSettings:
    """How a cloud becomes a solid.

    Attributes:
        size_mm: the longest side, unless `height_mm` is given; a plinth counts.
        depth: of the Poisson octree; by default its cells are as wide as the points are apart.
        smooth: take the noise out of the cloud first, where there is any.
        carve: cut off what has swollen where the cloud shows that nothing is.
        bridge: join thin parts that come in pieces by struts across the gaps.
        foot: cut the lowest part flat, just high enough to stand.
        min_thickness_mm: thicken walls that are thinner.
        base_mm: thickness of a plinth put below; 0 for none.
        tolerance_mm: how far simplification may move the surface; by default a 2000th of the
            longest side, so that the triangles do not depend on the size, or what leaves
            `min_thickness_mm` to thickened walls.
        faces: simplify further, to at most this many.
        up: which axis of the cloud points up.
        best_effort: return a mesh that is not printable rather than none.
    """

    size_mm: float = 100.0
    height_mm: float | None = None
    depth: int | None = None
    smooth: bool = True
    carve: bool = True
    bridge: bool = True
    foot: bool = True
    min_thickness_mm: float = 0.0
    base_mm: float = 0.0
    tolerance_mm: float | None = None
    faces: int | None = None
    up: str = "y"
    best_effort: bool = False


@dataclass(frozen=True)
class Solid:
    """A mesh in millimetres, +Z up, its lowest point at z = 0.

    Attributes:
        report: what was found about it, walls excepted.
        method: which attempt gave it.
        bridged: the widths of the gaps that were bridged, as shares of the diagonal.
        dropped_share: of the volume, in pieces that were not connected to the body.
        carved_share: of the volume, in what had swollen and was cut off.
        notes: what else was not as the cloud or the settings had it.
    """

    mesh: TriangleMesh
    report: PrintReport
    method: str
    bridged: tuple[float, ...]
    dropped_share: float
    carved_share: float = 0.0
    notes: tuple[str, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """In what it differs from the cloud, for the user."""
        said = list(self.notes)
        if self.carved_share > 0.01:
            said.append(f"swellings cut off: {100 * self.carved_share:.1f} % of the volume")
        if self.bridged:
            count, widest = len(self.bridged), 100 * max(self.bridged)
            said.append(f"gaps bridged: {count}, the widest {widest:.1f} % of the diagonal")
        if self.dropped_share > 0.01:
            said.append(f"loose pieces dropped: {100 * self.dropped_share:.1f} % of the volume")
        return tuple(said)


def solid_from_cloud(cloud: PointArrays, settings: MeshSettings | None = None) -> Solid:
    """The printable solid of a cloud; tries normals of its own making, a coarser octree, then a
    voxel grid, before giving up.

    The same cloud gives the same solid, bit for bit.

    Raises:
        BadInputError: the cloud holds no surface (too few points, all in one plane), or the
            settings ask for what cannot be.
        NotPrintableError: no attempt gave a printable solid.
    """
    settings = settings or MeshSettings()
    check_settings(settings)
    # A point for each cell of the octree: the longest side is a √3rd of the diagonal or more.
    cell = None if settings.depth is None else _SCALE / 3**0.5 / 2**settings.depth
    has_normals = cloud.normals is not None
    cloud, notes = clean(cloud, cell)
    # Solids are of single precision, which a surveyor's coordinates would use up, and keep the
    # tolerance of the extent that they were made with.
    low, high = cloud.points.min(0), cloud.points.max(0)
    points = (cloud.points - (low + high) / 2) / (high - low).max()
    cloud = PointArrays(points, cloud.normals, cloud.colours)
    depth = poisson_depth(cloud.points) if settings.depth is None else settings.depth
    plain, cloud = cloud, _smoothed(cloud, settings)

    def with_normals_anew() -> PointArrays:
        anew = replace(plain, normals=estimated_normals(plain.points))
        return _smoothed(anew, settings)

    attempts = _ladder(cloud, depth, with_normals_anew if has_normals else None)
    reasons: dict[str, str] = {}
    best: Solid | None = None
    asked = ""
    for attempt in attempts:
        method = attempt.method
        asked = asked or method
        try:
            solid = _finish(attempt, settings)
        except (NativeCodeError, NotPrintableError) as error:
            reasons[method] = str(error)
            log.info("%s: %s", method, error)
            continue
        if solid.report.problems:
            reasons[method] = "; ".join(solid.report.problems)
            log.info("%s: %s", method, reasons[method])
        if best is None or _is_better(solid, best):
            best = solid
        if best.report.printable and best.dropped_share < _ACCEPTABLE_LOSS:
            break
    if best is None or not (best.report.printable or settings.best_effort):
        method, reason = list(reasons.items())[-1]
        why = "; ".join((*notes, f"{method}: {reason}"))
        raise NotPrintableError(f"no printable solid could be made of the cloud ({why})")
    if best.method == _VOXELS or (settings.depth is not None and best.method != asked):
        reason = reasons.get(asked, "it keeps more of the cloud")
        notes = (*notes, f"made by {best.method} instead of {asked}: {reason}")
    log.info("%s: %d triangles", best.method, best.report.triangles)
    return replace(best, notes=(*notes, *best.notes))


def check_settings(settings: MeshSettings) -> None:
    """
    Raises:
        BadInputError: they ask for what cannot be.
    """
    size = settings.size_mm if settings.height_mm is None else settings.height_mm
    lengths = (size, settings.base_mm, settings.min_thickness_mm, settings.tolerance_mm or 0.0)
    if not all(np.isfinite(length) and length >= 0 for length in lengths) or not size:
        raise BadInputError("lengths are numbers of millimetres, and a size is more than 0")
    if settings.base_mm >= size:
        raise BadInputError(
            f"a plate of {settings.base_mm:g} mm leaves no room for what is on it; take a thinner "
            "one, or a larger size"
        )
    if settings.depth is not None and not 4 <= settings.depth <= 11:
        raise BadInputError(f"an octree has a depth of 4 to 11, not {settings.depth}")
    if settings.faces is not None and settings.faces < 4:
        raise BadInputError("a solid has four triangles or more")
    if settings.up not in _Z_UP_FROM:
        raise BadInputError(f"up is y or z, not {settings.up}")


def _is_better(solid: Solid, finer: Solid) -> bool:
    if solid.report.printable != finer.report.printable:
        return solid.report.printable
    return solid.dropped_share < finer.dropped_share - _CLEARLY_MORE


def write_mesh(
    path: Path, solid: Solid, best_effort: bool = False, least_wall_mm: float = LEAST_WALL_MM
) -> PrintReport:
    """Write a solid and read it back; the file appears only if what was read is printable.

    Raises:
        BadInputError: the file cannot be written.
        NotPrintableError: the file as read back is not printable and `best_effort` is off.
    """
    suffix = path.suffix.lower()
    if solid.mesh.colours is not None and suffix not in COLOUR_SUFFIXES:
        log.info("%s files have no colour here; .ply, .glb and .obj do", suffix)
    with written_atomically(path) as temporary:
        temporary.write_bytes(encode_mesh(solid.mesh, suffix, path.stem))
        report = inspect_mesh(read_mesh(temporary), least_wall_mm=least_wall_mm)
        if not report.printable and not best_effort:
            raise NotPrintableError(f"{path} would not be printable: {'; '.join(report.problems)}")
    return report


def mesh_to_file(
    cloud: PointArrays, path: Path | str, settings: MeshSettings | None = None
) -> tuple[str, ...]:
    """Write the printable solid of a cloud; returns what the user should know of it.

    Raises:
        BadInputError: the cloud holds no surface, or the file cannot be written.
        NotPrintableError: no printable solid could be made.
    """
    solid, report = solid_to_file(cloud, Path(path), settings)
    return (*solid.warnings, *report.warnings)


def solid_to_file(
    cloud: PointArrays, path: Path, settings: MeshSettings | None = None
) -> tuple[Solid, PrintReport]:
    """The same; returns the solid, and what was found about the file.

    Raises:
        BadInputError: the cloud holds no surface, or the file cannot be written.
        NotPrintableError: no printable solid could be made.
    """
    mesh_suffix(path)
    check_writable(path)  # before all the work
    settings = settings or MeshSettings()
    solid = solid_from_cloud(cloud, settings)
    wall = settings.min_thickness_mm or LEAST_WALL_MM
    return solid, write_mesh(path, solid, settings.best_effort, wall)


def poisson_depth(points: Float[ndarray, "point 3"]) -> int:
    """The octree depth whose cells are about as wide as the points are apart.

    Measured on fused clouds (13 objects, 128² views): cells 2, 1, 0.5 and 0.25 times the spacing
    gave a mean distance to the true surface of 0.76 / 0.43 / 0.38 / 0.38 % of the diagonal, in
    0.3 / 1.0 / 2.2 / 3.3 s, and 1.7 / 1.7 / 6.7 / 6.9 bodies.
    """
    cells = _SCALE * float(np.ptp(points, axis=0).max()) / spacing(points)
    return int(np.clip(round(np.log2(cells)), _LEAST_DEPTH, _MOST_DEPTH))


def _smoothed(cloud: PointArrays, settings: MeshSettings) -> PointArrays:
    return smoothed(cloud) if settings.smooth else cloud


@dataclass(frozen=True)
class _Attempt:
    """A way to a surface, and how closely it can follow the points: the octree's cell, or None for
    a surface that does not swell."""

    method: str
    cloud: PointArrays
    surface: Callable[[], Surface]
    cell: float | None


def _ladder(
    cloud: PointArrays, depth: int, with_normals_anew: Callable[[], PointArrays] | None
) -> Iterator[_Attempt]:
    def poisson(says: str, cloud: PointArrays, depth: int, scale: float) -> _Attempt:
        surface = partial(_poisson_surface, cloud, depth, scale)
        return _Attempt(f"Poisson at depth {depth}{says}", cloud, surface, scale / 2**depth)

    yield poisson("", cloud, depth, _SCALE)
    if with_normals_anew is not None:
        # Where a cloud's own contradict each other, as around a generator's thin parts, the surface
        # swells beside them, out of the cube.
        yield poisson(" with normals estimated anew", with_normals_anew(), depth, _SCALE)
    # A wider cube closes surfaces that left the narrow one; its cells are coarser.
    for shallower in (depth, depth - 1):
        yield poisson(" in a wide cube", cloud, shallower, _WIDE_SCALE)
    yield _Attempt(_VOXELS, cloud, partial(voxel_surface, cloud, 2 ** min(depth, 7)), None)


def _poisson_surface(cloud: PointArrays, depth: int, scale: float) -> Surface:
    assert cloud.normals is not None
    return poisson_surface(cloud.points, cloud.normals, depth, scale)


def voxel_surface(cloud: PointArrays, cells: int) -> Surface:
    """The zero level of the distance to the nearest points' planes, on a grid with `cells` cells
    along the longest side. Always closed; a hull a few cells thick where the cloud has holes.
    """
    from skimage.measure import marching_cubes

    assert cloud.normals is not None
    low, high = cloud.points.min(0), cloud.points.max(0)
    cell = float((high - low).max()) / cells
    band, padding = 2.5 * cell, 4
    shape = np.ceil((high - low) / cell).astype(int) + 2 * padding + 1
    places = low + cell * (np.indices(shape).reshape(3, -1).T - padding)
    distance, index = cKDTree(cloud.points).query(places, k=6, distance_upper_bound=2 * band)
    near = distance[:, 0] < band
    found = index[near].clip(max=len(cloud.points) - 1)
    offset = places[near, None] - cloud.points[found]
    weight = np.where(np.isfinite(distance[near]), np.exp(-((distance[near] / cell) ** 2)), 0)
    height = np.einsum("pki,pki->pk", offset, cloud.normals[found])
    field = np.full(len(places), band)
    field[near] = ((weight * height).sum(1) / (weight.sum(1) + 1e-30)).clip(-band, band)
    field = field.reshape(shape)
    # Cells that no path through the outside reaches are inside.
    enclosed = binary_fill_holes(near.reshape(shape)) & ~near.reshape(shape)
    field[enclosed] = -band
    field = gaussian_filter(field, 1.0)
    if field.min() >= 0:  # all parts are thinner than the cells
        raise NotPrintableError("no surface")
    marched: Any = marching_cubes
    vertices, faces, _, _ = marched(field, 0.0)
    return low + cell * (vertices - padding), faces.astype(np.int64)


def _finish(attempt: _Attempt, settings: MeshSettings) -> Solid:
    """The surface as a solid of the size asked for."""
    notes: tuple[str, ...] = ()
    cloud, solid = attempt.cloud, _solid(*attempt.surface())
    low, high = cloud.points.min(0), cloud.points.max(0)
    room = (high - low) * (1 + 2 * _MARGIN)
    solid = solid ^ Manifold.cube(room, center=True).translate((low + high) / 2)
    body = _in_one_piece(solid, attempt, settings)
    solid, dropped = body.solid, body.dropped_share
    # From here on in millimetres, +Z up; `points` stays with the solid for the colours.
    points = cloud.points @ _Z_UP_FROM[settings.up].T
    turned = np.concatenate([_Z_UP_FROM[settings.up], np.zeros((3, 1))], axis=1)
    solid, points = _resized(solid.transform(turned), points, settings)
    if settings.min_thickness_mm:
        # A foot is cut from what stands on z = 0: not from what was added below.
        thickness = settings.min_thickness_mm
        if settings.base_mm:  # for which all of it is made smaller
            thickness /= _scale(_on_plinth(solid, settings.base_mm)[0], settings)
        thick = _thickened(solid, thickness)
        solid, points = _resized(thick, points, settings)
    if settings.foot:
        solid, lost = _largest_body(solid.trim_by_plane((0, 0, 1), _foot_height(solid)))
        dropped += (1 - dropped) * lost
    if settings.base_mm:
        solid, points = _with_plinth(*_resized(solid, points, settings), settings)
        if any(body.volume() < 0 for body in solid.decompose()):
            notes = ("the plate closes a hollow off, which is filled",)
    solid, lost = _largest_body(_simplified(solid, settings))
    dropped += (1 - dropped) * lost
    if settings.faces is not None and solid.num_tri() > settings.faces:
        notes = (*notes, f"it cannot be simplified to {settings.faces} triangles")
    solid, points = _resized(solid, points, settings)
    vertices, faces = _without_slivers(*_arrays(solid))
    colours = None
    if cloud.colours is not None:
        _, index = cKDTree(points).query(vertices, k=3)
        colours = cloud.colours[index].mean(1).round().astype(np.uint8)
    mesh = TriangleMesh(vertices, faces, colours)
    report = inspect_mesh(mesh, walls=False)
    log.info("loose pieces dropped: %.2f %% of the volume", 100 * dropped)
    return Solid(mesh, report, attempt.method, body.bridged, dropped, body.carved_share, notes)


def _solid(vertices: Float[ndarray, "vertex 3"], faces: Int[ndarray, "face 3"]) -> Manifold:
    if not len(faces):
        raise NotPrintableError("no surface")
    mesh = Mesh(vertices.astype(np.float32), np.ascontiguousarray(faces, dtype=np.uint32))
    solid = Manifold(mesh)
    if solid.status() != Error.NoError:
        mesh.merge()  # closes seams between vertices at equal places
        solid = Manifold(mesh)
    if solid.status() != Error.NoError:
        raise NotPrintableError(f"the surface is not closed ({solid.status().name})")
    if solid.volume() < 0:
        return _solid(vertices, faces[:, ::-1])
    if not solid.volume() > 0:
        raise NotPrintableError("the surface encloses nothing")
    return solid


def _arrays(solid: Manifold) -> Surface:
    mesh = solid.to_mesh()
    vertices = np.array(mesh.vert_properties[:, :3], dtype=np.float64)
    return vertices, np.array(mesh.tri_verts, dtype=np.int64)


def _bodies(solid: Manifold) -> tuple[list[Manifold], list[float]]:
    """The connected pieces and their volumes; hollows have none."""
    bodies = solid.decompose()
    return bodies, [max(0.0, body.volume()) for body in bodies]


def _largest_body(solid: Manifold) -> tuple[Manifold, float]:
    """The largest connected piece, and the share of the volume that is in the others."""
    bodies, volumes = _bodies(solid)
    whole = sum(volumes)
    if not whole:
        raise NotPrintableError("the surface encloses nothing")
    largest = int(np.argmax(volumes))
    dropped = 1 - volumes[largest] / whole
    return bodies[largest], dropped


@dataclass(frozen=True)
class _Body:
    """The largest piece; the rest as Solid has it."""

    solid: Manifold
    bridged: tuple[float, ...]
    dropped_share: float
    carved_share: float = 0.0

    @classmethod
    def of(cls, solid: Manifold, settings: MeshSettings) -> _Body:
        whole, gaps = bridged(solid) if settings.bridge else (solid, ())
        largest, dropped = _largest_body(whole)
        return cls(largest, gaps, dropped)


def _in_one_piece(solid: Manifold, attempt: _Attempt, settings: MeshSettings) -> _Body:
    """Without what has swollen, unless that holds parts of the cloud to the body, or a large part,
    for which a strut would be thin."""
    swollen = _Body.of(solid, settings)
    if not settings.carve or attempt.cell is None:
        return swollen
    rest = carved(solid, attempt.cloud, attempt.cell)
    if rest is solid or rest.is_empty():
        return swollen
    loose, before = (_largest_body(each)[1] * each.volume() for each in (rest, solid))
    if loose > before + _LARGE_PART * rest.volume():
        log.info("what has swollen holds a large part, and stays")
        return swollen
    share = 1 - rest.volume() / solid.volume()
    slim = replace(_Body.of(rest, settings), carved_share=share)
    points = attempt.cloud.points
    near = 2 * max(spacing(points), attempt.cell)
    lost, kept = (_are_beyond(near, points, body.solid) for body in (slim, swollen))
    held = float((lost & ~kept).mean())
    log.info(
        "swollen: %.2f %% of the volume, holding %.2f %% of the points", 100 * share, 100 * held
    )
    return swollen if held > _HELD_SHARE else slim


def _are_beyond(
    near: float, points: Float[ndarray, "point 3"], body: Manifold
) -> Bool[ndarray, "point"]:
    """Which points are farther than that from the surface."""
    # As many samples as lie a third of that apart.
    count = int(np.clip(9 * body.surface_area() / near**2, 1000, _MOST_SAMPLES))
    surface, _ = sample_surface(*_arrays(body), count)
    distance, _ = cKDTree(surface).query(points, distance_upper_bound=near)
    beyond: ndarray = np.isinf(distance)
    return beyond


def _resized(
    solid: Manifold, points: Float[ndarray, "point 3"], settings: MeshSettings
) -> tuple[Manifold, Float[ndarray, "point 3"]]:
    """Both to the size asked for, centred above the origin, the solid's lowest point at z = 0."""
    box, scale = np.array(solid.bounding_box()).reshape(2, 3), _scale(solid, settings)
    origin = np.array([*(box[:, :2].mean(0)), box[0, 2]])
    return solid.translate(-origin).scale((scale,) * 3), (points - origin) * scale


def _scale(solid: Manifold, settings: MeshSettings) -> float:
    """To the size asked for."""
    size = _size(solid)
    if settings.height_mm is None:
        return float(settings.size_mm / size.max())
    return float(settings.height_mm / size[2])


def _size(solid: Manifold) -> Float[ndarray, "3"]:
    return np.asarray(np.ptp(np.array(solid.bounding_box()).reshape(2, 3), axis=0))


def _foot_height(solid: Manifold) -> float:
    """How much to cut off below: as little as lets it stand, makes no hole in the bottom and leaves
    it in one piece but for crumbs, at most 5 % of the height. Where nothing lets it stand, as
    little as leaves it in one piece."""
    height: float = solid.bounding_box()[5]
    centre = centre_of_mass(*_arrays(solid))[:2]
    least = 0.0
    for share in _FOOT_SHARES:
        cut = share * height
        rest = solid.trim_by_plane((0, 0, 1), cut)
        # A thin ring has hardly any volume.
        bodies = [body for body in rest.decompose() if body.volume() > 0]
        areas = [body.surface_area() for body in bodies]
        if not bodies or max(areas) < (1 - _CRUMBS) * sum(areas):
            continue
        if bodies[int(np.argmax(areas))].genus() > solid.genus():
            continue
        contact = solid.slice(cut).to_polygons()
        if contact and is_between(centre, np.concatenate(contact)):
            return cut
        least = least or cut
    return least


def _thickened(solid: Manifold, least_mm: float) -> Manifold:
    """Both sides of walls that are too thin moved apart, along the normals.

    The surface keeps its triangles, so it stays closed; thin parts close to each other may come to
    overlap, which slicers unite.
    """
    from trimesh.geometry import mean_vertex_normals

    vertex_normals: Any = mean_vertex_normals
    # Flat sides come as few large triangles, which could not bulge; millions of small ones would
    # not fit into memory.
    longest = max(least_mm, _FINEST_SIDE * float(np.linalg.norm(_size(solid))))
    vertices, faces = _arrays(solid.refine_to_length(longest))
    room: Float[ndarray, "vertex"] | float = np.inf
    for _ in range(3):
        area_vectors = face_area_vectors(vertices, faces)
        normals = vertex_normals(len(vertices), faces, area_vectors)
        samples = sample_surface(vertices, faces, 200_000)
        wanted = (1 + _THICKNESS_SPARE) * least_mm
        thickness = wall_thickness(vertices, normals, *samples, limit=wanted)
        growth = np.minimum(_spread(np.clip(wanted - thickness, 0, least_mm) / 2, faces), room)
        if not growth.any():
            break
        # Where faces fold over, walls seem thin for ever.
        room = np.minimum(room, 1.2 * growth) - growth
        vertices = vertices + normals * growth[:, None]
    return _solid(vertices, faces)


def _spread(values: Float[ndarray, "vertex"], faces: Int[ndarray, "face 3"]) -> ndarray:
    """Each value, or the mean of the neighbours' where that is larger: no spikes, no gaps."""
    ends = faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    total = np.bincount(ends[:, 0], values[ends[:, 1]], minlength=len(values))
    count = np.bincount(ends[:, 0], minlength=len(values))
    return np.asarray(np.maximum(values, total / np.maximum(count, 1)))


def _with_plinth(
    solid: Manifold, points: Float[ndarray, "point 3"], settings: MeshSettings
) -> tuple[Manifold, Float[ndarray, "point 3"]]:
    """On a plate that will be as thick as asked for: resizing makes it thinner or thicker, by as
    much as the whole."""
    thickness = settings.base_mm
    for _ in range(_PLINTH_STEPS):
        onto, lift = _on_plinth(solid, thickness)
        then = thickness * _scale(onto, settings)
        if abs(then - settings.base_mm) < _PLINTH_PRECISION_MM:
            break
        thickness *= settings.base_mm / then
    return onto, points + np.array([0, 0, lift])


def _on_plinth(solid: Manifold, thickness_mm: float) -> tuple[Manifold, float]:
    """The solid on a plate 3 mm wider than the hull of its lowest tenth; how far that lifts it."""
    sunk = 0.05 * thickness_mm
    lowest = solid.trim_by_plane((0, 0, -1), -0.1 * solid.bounding_box()[5])
    foot = lowest.project().hull().offset(_PLINTH_MARGIN_MM, JoinType.Round)
    plate = Manifold.extrude(foot, thickness_mm)
    lift = thickness_mm - sunk
    return plate + solid.translate((0, 0, lift)), lift


def _simplified(solid: Manifold, settings: MeshSettings) -> Manifold:
    """Simplified to the tolerance; further, if there is a budget of faces, until it is met."""
    solid = solid.as_original()  # forgets which cut a face came from, which simplify would keep
    tolerance = _tolerance(solid, settings)
    simple = solid.simplify(tolerance)
    if settings.faces is None or simple.num_tri() <= settings.faces:
        return simple
    try:
        simple = _decimated(simple, settings.faces, settings.foot and not settings.base_mm)
    except (NativeCodeError, NotPrintableError) as error:  # it may open what was closed
        log.info("simplified without Open3D: %s", error)
        while simple.num_tri() > settings.faces and tolerance < _size(solid).max() / 10:
            tolerance *= 1.5
            simple = solid.simplify(tolerance)
    if simple.num_tri() > settings.faces and not settings.best_effort:
        raise NotPrintableError(f"it cannot be simplified to {settings.faces} triangles")
    return simple


def _tolerance(solid: Manifold, settings: MeshSettings) -> float:
    if settings.tolerance_mm is not None:
        return settings.tolerance_mm
    tolerance = float(_TOLERANCE * _size(solid).max())
    if settings.min_thickness_mm:  # a wall has two sides
        tolerance = min(tolerance, _THICKNESS_SPARE / 2 * settings.min_thickness_mm)
    return tolerance


def _decimated(solid: Manifold, faces: int, foot: bool) -> Manifold:
    """At most `faces` faces. With a foot, which decimation rounds off, cut flat once more; the cut
    makes faces too, so for them some are spared.
    """
    for share in _SHARES_BEFORE_CUT if foot else (1.0,):
        simple = _solid(*decimate(*_arrays(solid), max(4, int(share * faces))))
        if not foot:
            break
        lowest = simple.bounding_box()[2]
        standing = simple.translate((0, 0, -lowest))
        cut = standing.trim_by_plane((0, 0, 1), _foot_height(standing))
        if 0 < cut.num_tri() <= faces:
            return cut.translate((0, 0, lowest))
    return simple


def _without_slivers(
    vertices: Float[ndarray, "vertex 3"], faces: Int[ndarray, "face 3"]
) -> Surface:
    """Corners of faces without area, which cuts leave, and corners at the same place, which a file
    without indices would join, moved sideways by hundredths of a mm."""
    rng = np.random.default_rng(0)
    for _ in range(10):
        _, place, count = np.unique(vertices, axis=0, return_inverse=True, return_counts=True)
        shared = np.flatnonzero(count[place.reshape(-1)] > 1)
        corners = np.union1d(faces[degenerate_faces(vertices, faces)].ravel(), shared)
        if not len(corners):
            break
        vertices = vertices.copy()
        vertices[corners, :2] += rng.uniform(-0.01, 0.01, (len(corners), 2))
        vertices = vertices.astype(np.float32).astype(np.float64)
    return vertices, faces
