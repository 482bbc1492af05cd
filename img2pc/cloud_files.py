"""Point clouds as files hold them: any unit, normals and colours where the file has them."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray

from img2pc.errors import BadInputError
from img2pc.files import is_file
from img2pc.open3d_process import read_with_open3d


@dataclass(frozen=True)
class PointArrays:
    """Points of a surface with what is known of them, all finite; the unit is the file's.

    Attributes:
        normals: of any length but zero.
    """

    points: Float[ndarray, "point 3"]
    normals: Float[ndarray, "point 3"] | None = None
    colours: UInt8[ndarray, "point 3"] | None = None


def read_cloud(path: Path) -> PointArrays:
    """The points of a PLY, OBJ, XYZ, PCD or PTS file; those that are not finite are left out.

    Normals are kept only where every point has a finite one that is not zero.

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
        else:
            cloud = _read_with_trimesh(path)
    except BadInputError:
        raise
    except Exception as error:  # trimesh raises whatever its parsers raise
        raise BadInputError(f"cannot read points from {path}: {error}") from error
    finite = np.isfinite(cloud.points).all(-1)
    if not finite.any():
        raise BadInputError(f"{path} holds no finite points")
    normals = None if cloud.normals is None else cloud.normals[finite]
    if normals is not None:
        length = np.linalg.norm(normals, axis=-1)
        normals = normals if np.isfinite(length).all() and (length > 0).all() else None
    colours = None if cloud.colours is None else cloud.colours[finite]
    return PointArrays(cloud.points[finite], normals, colours)


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
        coloured = len(points) and np.shape(loaded.colors) == (len(points), 4)
        return PointArrays(points, colours=loaded.colors[:, :3] if coloured else None)
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
        colours = np.array(loaded.colors[:, :3], dtype=np.uint8)
    return PointArrays(points, normals, colours)


def _read_xyz(path: Path) -> PointArrays:
    """Columns four to six are normals where they all have unit length, and else colours where they
    are whole numbers from 0 to 255. The first row may name the columns."""
    rows = path.read_text(errors="replace").replace(",", " ").splitlines()
    named = rows and re.match(r"\s*[a-z_]", rows[0], re.IGNORECASE)
    table = np.loadtxt(rows[1:] if named else rows, ndmin=2, comments=("#", "//"))
    if table.shape[1] < 3:
        raise BadInputError(f"{path} holds no points")
    points, rest = table[:, :3], table[:, 3:6]
    if rest.shape[1] < 3:
        return PointArrays(points)
    if np.allclose(np.linalg.norm(rest, axis=-1), 1, atol=0.02):
        return PointArrays(points, rest)
    if ((rest >= 0) & (rest <= 255) & (rest % 1 == 0)).all():
        return PointArrays(points, colours=rest.astype(np.uint8))
    return PointArrays(points)


def _read_pts(path: Path) -> PointArrays:
    """Perhaps a count, then rows of X, Y, Z, perhaps an intensity, perhaps red, green and blue.

    Open3D would fill rows that are announced but lacking with whatever is in memory.
    """
    with path.open(errors="replace") as file:
        first = file.readline()
        announced = int(first) if len(first.split()) == 1 else None
        table = np.loadtxt(file if announced is not None else chain([first], file), ndmin=2)
    if announced not in (None, len(table)):
        raise BadInputError(f"{path} is damaged: {announced} points announced, {len(table)} there")
    if table.shape[1] not in (3, 4, 6, 7):
        raise BadInputError(f"{path} is damaged: it has {table.shape[1]} columns")
    colours = table[:, -3:].astype(np.uint8) if table.shape[1] > 4 else None
    return PointArrays(table[:, :3], colours=colours)


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
