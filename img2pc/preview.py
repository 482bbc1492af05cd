"""Pictures of point clouds, drawn without a display: shaded discs, the nearest last."""

from __future__ import annotations

import base64
import html
import json
from importlib.resources import files
from pathlib import Path
from string import Template

import numpy as np
from jaxtyping import Float, Int, UInt8
from numpy import ndarray
from PIL import Image, ImageOps

from img2pc.cloud_files import PointArrays
from img2pc.files import written_atomically
from img2pc.foreground import Foreground
from img2pc.images import write_gif, write_png
from img2pc.mesh_files import Y_UP_FROM_Z_UP, TriangleMesh
from img2pc.pointclouds import PointCloud
from img2pc.printability import sample_surface

# A turntable: a turn takes three seconds.
_FRAMES, _FRAME_MS = 36, 80
# Where the camera stands for each panel: azimuth from +Z towards +X, and elevation, degrees.
SIDES = ((0.0, 15.0), (90.0, 15.0), (180.0, 15.0), (-45.0, 35.0))
_CLAY = np.array([214, 190, 160])
_LEAST_SHADE = (0.25, 0.6)  # of clay, and of colours, which hold the picture's light
_PAGE_POINTS, _PAGE_SIDE = 120_000, 640


def draw_cloud(
    points: Float[ndarray, "point 3"],
    normals: Float[ndarray, "point 3"],
    size: int,
    azimuth_degrees: float,
    elevation_degrees: float,
    colours: UInt8[ndarray, "point 3"] | None = None,
    radius: int | None = None,
) -> UInt8[ndarray, "size size 3"]:
    """The cloud from one side, orthographic, lit from the camera's upper left, on white.

    Points are in the object frame; what is farther than 0.58 from its centre is cut off.

    Points are discs of `radius` half pixels, by default large enough to close most gaps between
    them. In clay without colours. Colours have the picture's light in them and are lit more evenly.
    """
    azimuth, elevation = np.radians(azimuth_degrees), np.radians(elevation_degrees)
    towards = np.array(
        [
            np.sin(azimuth) * np.cos(elevation),
            np.sin(elevation),
            np.cos(azimuth) * np.cos(elevation),
        ]
    )
    right = np.array([np.cos(azimuth), 0.0, -np.sin(azimuth)])
    up = np.cross(towards, right)
    light = towards + 0.5 * up - 0.6 * right
    shade = np.abs(normals @ (light / np.linalg.norm(light)))
    facing = normals @ towards > -0.2  # the far side is not seen through gaps between points
    points, shade = points[facing], shade[facing]
    surface, least = (
        (_CLAY, _LEAST_SHADE[0]) if colours is None else (colours[facing], _LEAST_SHADE[1])
    )
    if not len(points):
        return np.full((size, size, 3), 255, dtype=np.uint8)
    # Twice as large, and reduced at the end.
    side, scale = 2 * size, 0.86 * 2 * size
    place = np.stack([-points @ up, points @ right])
    row, column = np.floor(size + scale * place).astype(int)
    near = points @ towards
    fade = 0.75 + 0.25 * (near - near.min()) / max(float(np.ptp(near)), 1e-9)
    shaded = (surface * ((least + (1 - least) * shade) * fade)[:, None]).astype(np.uint8)
    radius = _disc_radius(row, column, side) if radius is None else radius
    offsets = [
        (y, x)
        for y in range(-radius, radius + 1)
        for x in range(-radius, radius + 1)
        if y * y + x * x <= radius * (radius + 0.5)
    ]
    # Far to near, so that the nearest disc over a pixel is drawn last.
    order = np.argsort(near)
    rows, columns = (
        (each[order, None] + along).ravel()
        for each, along in zip((row, column), np.transpose(offsets), strict=True)
    )
    inside = (rows >= 0) & (rows < side) & (columns >= 0) & (columns < side)
    image = np.full((side * side, 3), 255, dtype=np.uint8)
    image[(rows * side + columns)[inside]] = np.repeat(shaded[order], len(offsets), axis=0)[inside]
    return np.asarray(Image.fromarray(image.reshape(side, side, 3)).reduce(2))


def _disc_radius(row: Int[ndarray, "point"], column: Int[ndarray, "point"], side: int) -> int:
    """That of discs which close most gaps between the points, in pixels."""
    return int(np.clip(round(_closing_radius(row, column, side)), 1, side // 64))


def _closing_radius(row: Int[ndarray, "point"], column: Int[ndarray, "point"], side: int) -> float:
    """Half as much again as points are apart, were they spread evenly over what they cover."""
    cell = max(1, side // 40)
    covered = len(np.unique(row // cell * side + column // cell)) * cell**2
    return 1.5 * float(np.sqrt(covered / len(row)))


def write_preview(path: Path, foreground: Foreground, cloud: PointCloud, size: int = 320) -> None:
    """The picture, what of it is the object, and the cloud from four sides, the photographer's
    azimuth first; as a GIF the cloud on a turntable, beginning with that; as HTML a page on which
    it is turned by hand.

    Raises:
        BadInputError: the file cannot be written.
    """
    arrays = cloud.arrays()
    if path.suffix.lower() == ".html":
        _write_page(path, arrays)
        return
    if path.suffix.lower() == ".gif":
        write_gif(path, _turns(arrays, size), _FRAME_MS)
        return
    picture, alpha = foreground.rgba[..., :3], np.repeat(foreground.rgba[..., 3:], 3, -1)
    if foreground.method == "alpha":  # what is transparent has no colour to show
        share = alpha / 255
        picture = (picture * share + 255 * (1 - share)).astype(np.uint8)
    panels = [_fitted(picture, size), _fitted(alpha, size)]
    panels += _sides(arrays, size)
    write_png(path, np.concatenate(panels, axis=1))


def write_mesh_preview(path: Path, mesh: TriangleMesh, size: int = 320) -> None:
    """A mesh (+Z up) from the same four sides, or turning, or as a page, as a dense cloud of its
    surface.

    Raises:
        BadInputError: the file cannot be written.
    """
    as_page = path.suffix.lower() == ".html"
    points, normals = sample_surface(
        mesh.vertices, mesh.faces, _PAGE_POINTS if as_page else 6 * size * size
    )
    colours = None
    if mesh.colours is not None:
        from scipy.spatial import cKDTree

        colours = mesh.colours[cKDTree(mesh.vertices).query(points)[1]]
    points, normals = points @ Y_UP_FROM_Z_UP.T, normals @ Y_UP_FROM_Z_UP.T
    low, high = points.min(0), points.max(0)
    points = (points - (low + high) / 2) / np.linalg.norm(high - low)
    cloud = PointArrays(points, normals, colours)
    if as_page:
        _write_page(path, cloud)
    elif path.suffix.lower() == ".gif":
        write_gif(path, _turns(cloud, size, 1), _FRAME_MS)
    else:
        write_png(path, np.concatenate(_sides(cloud, size, 1), axis=1))


def _write_page(path: Path, cloud: PointArrays) -> None:
    """A page that needs nothing but itself, drawn as `draw_cloud` draws."""
    assert cloud.normals is not None
    unit = float(np.abs(cloud.points).max()) / np.iinfo(np.int16).max or 1.0
    colours = _CLAY if cloud.colours is None else cloud.colours
    widths = []
    for axis in range(3):  # some sides of a thing may be seen edge-on
        shown = cloud.normals[:, axis] > -0.2  # those that face away are not drawn
        places = cloud.points[shown if shown.any() else slice(None)]
        row, column = np.floor(_PAGE_SIDE * np.delete(places, axis, 1).T).astype(int)
        widths.append(_closing_radius(row, column, _PAGE_SIDE) / _PAGE_SIDE)
    stored = {
        "unit": unit,
        "points": _base64((cloud.points / unit).round().astype("<i2")),
        "normals": _base64((cloud.normals * 127).round().astype("<i1")),
        "colours": _base64(colours.astype("u1")),
        "least": _LEAST_SHADE[cloud.colours is not None],
        "radius": min(max(widths), 1 / 64),
    }
    template = Template(files("img2pc").joinpath("viewer.html").read_text(encoding="utf-8"))
    page = template.substitute(title=html.escape(path.stem), cloud=json.dumps(stored))
    with written_atomically(path) as temporary:
        temporary.write_text(page, encoding="utf-8", errors="backslashreplace")


def _base64(values: ndarray) -> str:
    return base64.b64encode(values.tobytes()).decode("ascii")


def _sides(
    cloud: PointArrays, size: int, radius: int | None = None
) -> list[UInt8[ndarray, "size size 3"]]:
    return [_drawn(cloud, size, *side, radius) for side in SIDES]


def _turns(
    cloud: PointArrays, size: int, radius: int | None = None
) -> list[UInt8[ndarray, "size size 3"]]:
    azimuths = np.linspace(0, 360, _FRAMES, endpoint=False)
    return [_drawn(cloud, size, float(azimuth), SIDES[0][1], radius) for azimuth in azimuths]


def _drawn(
    cloud: PointArrays, size: int, azimuth: float, elevation: float, radius: int | None
) -> UInt8[ndarray, "size size 3"]:
    assert cloud.normals is not None
    return draw_cloud(cloud.points, cloud.normals, size, azimuth, elevation, cloud.colours, radius)


def _fitted(picture: UInt8[ndarray, "height width 3"], size: int) -> UInt8[ndarray, "size size 3"]:
    """The whole picture in the middle of a square."""
    square = ImageOps.pad(Image.fromarray(picture), (size, size), color=(128, 128, 128))
    return np.asarray(square)
