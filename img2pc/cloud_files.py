"""Point clouds as files hold them: any unit, normals and colours where the file has them."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from numpy import ndarray

from img2pc.errors import BadInputError
from img2pc.files import is_file
from img2pc.open3d_process import read_with_open3d

log = logging.getLogger(__name__)

_FARTHEST = 1e18  # whose square single precision holds; scanners mark misses by more
_MOST_ODD_NORMALS = 0.05


@dataclass(frozen=True)
class PointArrays:
    """Points of a surface with what is known of them, all finite; the unit is the file's.

    Attributes:
        normals: of any length but zero.
    """

    points: Float[ndarray, "point 3"]
    normals: Float[ndarray, "point 3"] | None = None
    colours: UInt8[ndarray, "point 3"] | None = None

    def at(self, places: Bool[ndarray, "point"] | Int[ndarray, "place"]) -> PointArrays:
        """Some of the points, with what is known of them."""
        return PointArrays(
            self.points[places],
            None if self.normals is None else self.normals[places],
            None if self.colours is None else self.colours[places],
        )


def read_cloud(path: Path) -> PointArrays:
    """The points of a PLY, OBJ, XYZ, PCD or PTS file; those that are not finite are left out.

    So are the few that lack a normal (not finite, or zero) where others have one; if they are more
    than a twentieth, no point keeps its normal, which is logged.

    Raises:
        BadInputError: the file is missing, unreadable, a mesh, or has no finite points.
    """
    if not is_file(path):
        raise BadInputError(f"{path} is not a file")
    try:
        if path.suffix.lower() == ".pcd":
            _check_rows(path)
            cloud = PointArrays(**read_with_open3d(path))
        elif path.suffix.lower() == ".pts":
            cloud = _read_pts(path)
        elif path.suffix.lower() == ".xyz":
            cloud = _read_xyz(path)
        elif path.suffix.lower() == ".obj":
            cloud = _read_obj(path)
        else:
            cloud = _read_with_trimesh(path)
    except BadInputError:
        raise
    except Exception as error:  # trimesh raises whatever its parsers raise
        raise BadInputError(f"cannot read points from {path}: {error}") from error
    finite = (np.abs(cloud.points) < _FARTHEST).all(-1)
    if not finite.any():
        raise BadInputError(f"{path} holds no finite points")
    cloud = cloud.at(finite)
    if cloud.normals is None:
        return cloud
    directed = _are_directions(cloud.normals)
    if _are_most(directed):
        return cloud.at(directed)
    log.warning(
        "%d of %d normals of %s are no directions; all are estimated anew",
        np.count_nonzero(~directed),
        len(directed),
        path,
    )
    return PointArrays(cloud.points, None, cloud.colours)


def _are_directions(normals: Float[ndarray, "point 3"]) -> Bool[ndarray, "point"]:
    length = np.linalg.norm(normals, axis=-1)
    return np.asarray(np.isfinite(length) & (length > 0))


def _are_most(which: Bool[ndarray, "point"]) -> bool:
    return bool(np.count_nonzero(~which) <= _MOST_ODD_NORMALS * len(which))


def _read_with_trimesh(path: Path) -> PointArrays:
    import trimesh

    logging.getLogger("trimesh").setLevel(logging.CRITICAL)  # it logs what it then raises
    loaded: Any = trimesh.load(path, process=False)
    if isinstance(loaded, trimesh.Scene):
        if not loaded.geometry:
            raise BadInputError(f"{path} holds no points")
        loaded = next(iter(loaded.geometry.values()))
    if not isinstance(loaded, trimesh.PointCloud):
        raise BadInputError(f"{path} is a mesh, not a point cloud")
    points = np.array(loaded.vertices, dtype=np.float64)
    elements = loaded.metadata.get("_ply_raw", {})
    if "vertex" not in elements:
        raise BadInputError(f"{path} holds no points")
    raw = elements["vertex"]
    header, _, body = path.read_bytes().partition(b"end_header")
    announced = sum(element["length"] for element in elements.values())
    if b"format ascii" in header and _rows(body) > announced:
        raise BadInputError(f"{path} is damaged: it holds more rows than it announces")
    if len(points) != raw["length"]:
        raise BadInputError(
            f"{path} is damaged: {raw['length']} points announced, {len(points)} there"
        )
    names = raw["properties"]
    normals = colours = None
    if {"nx", "ny", "nz"} <= set(names):
        columns = [np.reshape(raw["data"][name], -1) for name in ("nx", "ny", "nz")]
        normals = np.stack(columns, -1).astype(np.float64)
    if {"red", "green", "blue"} <= set(names):
        columns = [np.reshape(raw["data"][name], -1) for name in ("red", "green", "blue")]
        colours = _colours(np.stack(columns, -1).astype(names["red"]))  # text is read as floats
    return PointArrays(points, normals, colours)


def _colours(values: ndarray) -> UInt8[ndarray, "point 3"] | None:
    """Of 8 or 16 bits, or from 0 to 1 where they are no whole numbers; None if they are neither."""
    highest = values.max(initial=0)
    ends = (1, 255, 65535) if values.dtype.kind == "f" else (255, 65535)
    end = next((end for end in ends if highest <= end), None)
    if end is None or not np.isfinite(values).all() or values.min(initial=0) < 0:
        return None
    return np.asarray((values.astype(np.float64) * (255 / end)).round().astype(np.uint8))


def _read_obj(path: Path) -> PointArrays:
    """Rows "v x y z" and perhaps red, green and blue; normals if there are as many as points."""
    kinds: dict[str, list[list[str]]] = {"v": [], "vn": [], "f": []}
    for line in path.read_text(encoding="utf-8-sig", errors="replace").splitlines():
        kind, *values = line.split() or [""]
        if kind in kinds:
            kinds[kind].append(values)
    if kinds["f"]:
        raise BadInputError(f"{path} is a mesh, not a point cloud")
    if not kinds["v"]:
        raise BadInputError(f"{path} holds no points")
    table, normals = np.array(kinds["v"], dtype=float), np.array(kinds["vn"], dtype=float)
    if table.ndim != 2 or table.shape[1] < 3:
        raise BadInputError(f"{path} is damaged: it holds points of less than three coordinates")
    return PointArrays(
        table[:, :3],
        normals if normals.shape == (len(table), 3) else None,
        _colours(table[:, 3:6]) if table.shape[1] >= 6 else None,
    )


def _read_xyz(path: Path) -> PointArrays:
    """Columns four to six are normals where they all have unit length, and else colours where they
    are whole numbers from 0 to 255. The first row may name the columns."""
    rows = path.read_text(encoding="utf-8-sig", errors="replace").replace(",", " ").splitlines()
    named = rows and re.match(r"\s*[a-z_]", rows[0], re.IGNORECASE)
    table = _numbers(path, rows[1:] if named else rows, ("#", "//"))
    if table.shape[1] < 3:
        raise BadInputError(f"{path} holds no points")
    table = table[np.isfinite(table[:, :3]).all(-1)]
    points, rest = table[:, :3], table[:, 3:6]
    if rest.shape[1] < 3:
        return PointArrays(points)
    directed = _are_directions(rest)
    unit = np.allclose(np.linalg.norm(rest[directed], axis=-1), 1, atol=0.02)
    if unit and _are_most(directed):
        return PointArrays(points, rest)
    if ((rest >= 0) & (rest <= 255) & (rest % 1 == 0)).all():
        return PointArrays(points, colours=rest.astype(np.uint8))
    return PointArrays(points)


def _read_pts(path: Path) -> PointArrays:
    """Perhaps a count, then rows of X, Y, Z, perhaps an intensity, perhaps red, green and blue.

    Open3D would fill rows that are announced but lacking with whatever is in memory.
    """
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        first = file.readline()
        announced = int(first) if len(first.split()) == 1 else None
        table = _numbers(path, file if announced is not None else chain([first], file))
    if announced not in (None, len(table)):
        raise BadInputError(f"{path} is damaged: {announced} points announced, {len(table)} there")
    if table.shape[1] not in (3, 4, 6, 7):
        raise BadInputError(f"{path} is damaged: it has {table.shape[1]} columns")
    colours = None
    if table.shape[1] > 4 and (table[:, -3:] % 1 == 0).all():
        colours = _colours(table[:, -3:].astype(np.int64))
    return PointArrays(table[:, :3], colours=colours)


def _numbers(
    path: Path, rows: Iterable[str], comments: tuple[str, ...] = ("#",)
) -> Float[ndarray, "row column"]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of no rows
        table = np.loadtxt(rows, ndmin=2, comments=comments)
    if not table.size:
        raise BadInputError(f"{path} holds no points")
    return table


def _check_rows(path: Path) -> None:
    """Open3D fills rows that a text PCD announces but lacks with whatever is in memory."""
    header, text, body = path.read_bytes().partition(b"DATA ascii")
    announced = re.search(rb"^POINTS\s+(\d+)", header, re.MULTILINE)
    rows = _rows(body)
    if text and announced and int(announced[1]) > rows:
        raise BadInputError(
            f"{path} is damaged: {int(announced[1])} points announced, {rows} there"
        )


def _rows(body: bytes) -> int:
    """Rows of a text file below its header, blank lines not counted."""
    return sum(bool(line.strip()) for line in body.split(b"\n"))
