"""Point clouds as files hold them: any unit, normals and colours where the file has them."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from numpy import ndarray

from img2pc.errors import BadInputError
from img2pc.files import check_is_file
from img2pc.open3d_process import read_with_open3d

log = logging.getLogger(__name__)

_FARTHEST = 1e18  # whose square single precision holds; scanners mark misses by more
_MOST_ODD_NORMALS = 0.05
_NAMES = ("x", "y", "z", "nx", "ny", "nz", "r", "g", "b")
_DARK = 31  # of 255; a scanner's number of a return, or of a class, is less
_SHORT = {
    **{"red": "r", "green": "g", "blue": "b"},
    **{"diffuse_red": "r", "diffuse_green": "g", "diffuse_blue": "b"},  # MeshLab's
    **{"normal_x": "nx", "normal_y": "ny", "normal_z": "nz"},  # PCL's
}


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
    check_is_file(path)
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
        "%d of %d normals have no direction; all are estimated anew",
        np.count_nonzero(~directed),
        len(directed),
    )
    return PointArrays(cloud.points, None, cloud.colours)


def _are_directions(normals: Float[ndarray, "point 3"]) -> Bool[ndarray, "point"]:
    length = np.linalg.norm(normals, axis=-1)
    return np.asarray(np.isfinite(length) & (length > 0))


def _are_most(which: Bool[ndarray, "point"]) -> bool:
    return bool(np.count_nonzero(~which) <= _MOST_ODD_NORMALS * len(which))


def _is_mesh(path: Path) -> BadInputError:
    return BadInputError(f"{path} is a mesh, not a point cloud; `img2pc check` judges it")


def _read_with_trimesh(path: Path) -> PointArrays:
    import trimesh

    logging.getLogger("trimesh").setLevel(logging.CRITICAL)  # it logs what it then raises
    loaded: Any = trimesh.load(path, process=False)
    if isinstance(loaded, trimesh.Scene):
        if not loaded.geometry:
            raise BadInputError(f"{path} holds no points")
        loaded = next(iter(loaded.geometry.values()))
    if not isinstance(loaded, trimesh.PointCloud):
        raise _is_mesh(path)
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
    rows: dict[str, list[str]] = {"v": [], "vn": []}
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        for line in file:
            kind, _, values = line.strip().replace("\t", " ").partition(" ")
            if kind == "f":
                raise _is_mesh(path)
            if kind in rows:
                rows[kind].append(values)
    table = _numbers(path, rows["v"])
    if table.shape[1] < 3:
        raise BadInputError(f"{path} is damaged: it holds points of fewer than three coordinates")
    normals = None
    if rows["vn"]:
        normals = _numbers(path, rows["vn"])
        if normals.shape != (len(table), 3):
            log.warning("%s has not as many normals as points; they are estimated anew", path)
            normals = None
    return PointArrays(
        table[:, :3], normals, _colours(table[:, 3:6]) if table.shape[1] >= 6 else None
    )


def _read_xyz(path: Path) -> PointArrays:
    """Columns of X, Y, Z and more, which the first row may name; perhaps their number before them.

    Of columns with other names or none, three beside each other that have unit length are normals,
    and the only three of whole numbers up to 255 are colours, unless all are next to black.
    """
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        comma = "." if _has_decimal_commas(file.read(4096).replace(";", " ")) else " "
        file.seek(0)
        rows = (row.replace(";", " ").replace(",", comma) for row in file)
        head = next((row for row in rows if row.strip()), "")
        is_named = re.match(r'\s*["a-z_]', head, re.IGNORECASE)
        table = _counted(path, rows if is_named else chain([head], rows), ("#", "//"))
    if table.shape[1] < 3:
        raise BadInputError(f"{path} holds no points")
    names = [_SHORT.get(name, name) for name in re.findall("[a-z_]+", head.lower())]
    if len(names) != table.shape[1] or not {*"xyz"} <= {*names}:
        names = ["x", "y", "z", *[""] * (table.shape[1] - 3)]
    points = table[:, [names.index(name) for name in "xyz"]]
    finite = np.isfinite(points).all(-1)
    points, table = points[finite], table[finite]
    normals, colours = (
        table[:, [names.index(name) for name in triple]] if {*triple} <= {*names} else None
        for triple in (("nx", "ny", "nz"), ("r", "g", "b"))
    )
    free = [name not in _NAMES for name in names]
    triples = [place for place in range(len(names) - 2) if all(free[place : place + 3])]
    if normals is None:
        place = next((each for each in triples if _are_unit(table[:, each : each + 3])), None)
        if place is not None:
            normals = table[:, place : place + 3]
            triples = [each for each in triples if abs(each - place) > 2]
    if colours is None:
        fitting = [each for each in triples if _look_coloured(table[:, each : each + 3])]
        if len(fitting) == 1:
            colours = table[:, fitting[0] : fitting[0] + 3]
        elif fitting:
            log.info("which columns of %s are colours is unclear; its first row may say", path)
    return PointArrays(points, normals, None if colours is None else _text_colours(colours))


def _has_decimal_commas(text: str) -> bool:
    """Whether 1.5 is written 1,5 in the first rows: then these hold several commas between two
    numbers each, which blanks part."""
    decimal = re.compile(r"[+-]?\d+,\d+(e[+-]?\d+)?", re.IGNORECASE)
    return any(
        sum(bool(decimal.fullmatch(number)) for number in row.split()) > 1
        for row in text.splitlines()
    )


def _are_unit(values: Float[ndarray, "point 3"]) -> bool:
    directed = _are_directions(values)
    unit = np.allclose(np.linalg.norm(values[directed], axis=-1), 1, atol=0.02)
    return unit and _are_most(directed)


def _look_coloured(values: Float[ndarray, "point 3"]) -> bool:
    whole = ((values >= 0) & (values <= 255) & (values % 1 == 0)).all()
    return bool(whole and values.max(initial=0) > _DARK)


def _text_colours(values: Float[ndarray, "point 3"]) -> UInt8[ndarray, "point 3"] | None:
    return _colours(values.astype(np.int64) if (values % 1 == 0).all() else values)


def _read_pts(path: Path) -> PointArrays:
    """Rows of X, Y, Z, perhaps an intensity, perhaps red, green and blue; perhaps their number
    before them, of each of several scans.

    Open3D would fill rows that are announced but lacking with whatever is in memory.
    """
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        table = _counted(path, file)
    if table.shape[1] not in (3, 4, 6, 7):
        raise BadInputError(f"{path} is damaged: it has {table.shape[1]} columns")
    colours = None
    if table.shape[1] > 4 and (table[:, -3:] % 1 == 0).all():
        colours = _text_colours(table[:, -3:])
    return PointArrays(table[:, :3], colours=colours)


def _counted(
    path: Path, rows: Iterable[str], comments: tuple[str, ...] = ("#",)
) -> Float[ndarray, "row column"]:
    """Rows of numbers; a number alone says how many follow."""
    counts: list[int] = []

    def points() -> Iterator[str]:
        for row in rows:
            if row.strip().isdecimal():
                counts.append(int(row))
            else:
                yield row

    table = _numbers(path, points(), comments)
    if counts and sum(counts) != len(table):
        raise BadInputError(
            f"{path} is damaged: {sum(counts)} points announced, {len(table)} there"
        )
    return table


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
