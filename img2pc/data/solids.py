"""The solids that objects are built of: closed triangle meshes, wound outwards, +Y up.

Nearly everything is a loft: rings of points joined one to the next and capped at both ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

Vector = Sequence[float] | Float[ndarray, "3"]


@dataclass(frozen=True)
class Solid:
    """A triangle mesh. Lengths are in whatever unit the object is designed in."""

    vertices: Float[ndarray, "vertex 3"]
    faces: Int[ndarray, "face 3"]

    def moved(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Solid:
        return replace(self, vertices=self.vertices + np.array([x, y, z]))

    def rotated(self, axis: str, degrees: float) -> Solid:
        """Right-handed rotation about the "x", "y" or "z" axis through the origin."""
        return replace(self, vertices=self.vertices @ rotation(axis, degrees).T)

    def scaled(self, x: float = 1.0, y: float = 1.0, z: float = 1.0) -> Solid:
        """Scale about the origin; a negative factor mirrors and keeps the winding outwards."""
        faces = self.faces if x * y * z > 0 else self.faces[:, ::-1]
        return Solid(self.vertices * np.array([x, y, z]), faces)

    def mirrored(self) -> Solid:
        """The same solid on the other side of the YZ plane."""
        return self.scaled(x=-1.0)

    def bent(self, amount: float) -> Solid:
        """Bend upright things in Z: a point at height y moves by amount · y²."""
        vertices = self.vertices.copy()
        vertices[:, 2] += amount * vertices[:, 1] ** 2
        return replace(self, vertices=vertices)


def rotation(axis: str, degrees: float) -> Float[ndarray, "3 3"]:
    """Right-handed rotation matrix about the "x", "y" or "z" axis."""
    i = "xyz".index(axis)
    j, k = (i + 1) % 3, (i + 2) % 3
    angle = np.radians(degrees)
    matrix = np.eye(3)
    matrix[j, j] = matrix[k, k] = np.cos(angle)
    matrix[k, j] = np.sin(angle)
    matrix[j, k] = -np.sin(angle)
    return matrix


def signed_volume(solid: Solid) -> float:
    """Volume enclosed by the faces; negative when they are wound inwards."""
    a, b, c = (solid.vertices[solid.faces[:, i]] for i in range(3))
    return float(np.einsum("fi,fi->", a, np.cross(b, c)) / 6)


def loft(rings: Float[ndarray, "ring point 3"], closed: bool = False) -> Solid:
    """Join rings of equally many points; cap both ends, or join last to first if `closed`."""
    rings = np.asarray(rings, dtype=float)
    count, points = rings.shape[:2]
    ring = np.arange(count if closed else count - 1)[:, None] * points
    after = ((np.arange(count if closed else count - 1) + 1) % count)[:, None] * points
    i, j = np.arange(points)[None], (np.arange(points)[None] + 1) % points
    sides = np.concatenate(
        [
            np.stack([ring + i, ring + j, after + j], -1).reshape(-1, 3),
            np.stack([ring + i, after + j, after + i], -1).reshape(-1, 3),
        ]
    )
    vertices = rings.reshape(-1, 3)
    faces = [sides]
    if not closed:
        first, last = count * points, count * points + 1
        vertices = np.concatenate([vertices, rings[:1].mean(1), rings[-1:].mean(1)])
        i, j, end = i[0], j[0], (count - 1) * points
        faces.append(np.stack([np.full(points, first), j, i], -1))
        faces.append(np.stack([np.full(points, last), end + i, end + j], -1))
    solid = Solid(vertices, np.concatenate(faces))
    return solid if signed_volume(solid) >= 0 else Solid(vertices, solid.faces[:, ::-1])


def rounded_rectangle(
    width: float, depth: float, radius: float, segments: int = 3
) -> Float[ndarray, "point 2"]:
    """Outline in the plane, counter-clockwise about the origin; a plain rectangle for radius 0."""
    radius = min(radius, 0.499 * width, 0.499 * depth)
    if radius <= 0:
        return np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)]) * [width / 2, depth / 2]
    angle = np.linspace(0, np.pi / 2, segments + 1)
    arc = radius * np.stack([np.cos(angle), np.sin(angle)], -1)
    corner = np.array([width / 2 - radius, depth / 2 - radius])
    quarter_turn = np.array([[0, -1], [1, 0]])
    outline = []
    for quarter, sign in enumerate([(1, 1), (-1, 1), (-1, -1), (1, -1)]):
        turn = np.linalg.matrix_power(quarter_turn, quarter)
        outline.append(arc @ turn.T + corner * sign)
    return np.concatenate(outline)


def superellipse(
    width: float, depth: float, exponent: float = 1.0, points: int = 24
) -> Float[ndarray, "point 2"]:
    """Outline, counter-clockwise from +X: an ellipse for exponent 1, nearing a rectangle towards 0,
    a polygon for few points."""
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
    circle = np.stack([np.cos(angle), np.sin(angle)], -1)
    return _power(circle, exponent) * [width / 2, depth / 2]


def box(width: float, height: float, depth: float, radius: float = 0.0) -> Solid:
    """A box about the origin, all edges rounded by `radius`."""
    radius = min(radius, 0.49 * min(width, height, depth))
    if radius <= 0:
        outline = rounded_rectangle(width, depth, 0)
        return prism(outline, height)
    rings: list[ndarray] = []
    for angle in np.radians([-90, -45, 0, 0, 45, 90]):
        inset = radius * (1 - np.cos(angle))
        outline = rounded_rectangle(width - 2 * inset, depth - 2 * inset, radius - inset + 1e-4)
        level = np.sign(angle) * (height / 2 - radius) + radius * np.sin(angle)
        if angle == 0:
            level = (height / 2 - radius) * (-1 if len(rings) == 2 else 1)
        rings.append(level_ring(outline, level))
    return loft(np.stack(rings))


def prism(outline: Float[ndarray, "point 2"], height: float, taper: float = 1.0) -> Solid:
    """Outline in (x, z) raised from -height/2 to height/2, its top scaled by `taper`.

    The outline must be star-shaped about its mean.
    """
    outline = np.asarray(outline, dtype=float)
    ends = (level_ring(outline, -height / 2), level_ring(outline * taper, height / 2))
    return loft(np.stack(ends))


def lathe(profile: Sequence[Vector | Sequence[float]], sections: int = 24) -> Solid:
    """Solid of revolution about Y of a (radius, height) polyline.

    Both ends are capped. A profile that goes up outside and down again inside makes a vessel.
    """
    radius, height = np.asarray(profile, dtype=float).T
    radius = np.maximum(radius, 1e-4)
    angle = np.linspace(0, 2 * np.pi, sections, endpoint=False)
    rings = np.stack(
        [
            radius[:, None] * np.cos(angle),
            np.broadcast_to(height[:, None], (len(radius), sections)),
            radius[:, None] * np.sin(angle),
        ],
        -1,
    )
    return loft(rings)


def cylinder(
    radius: float, height: float, top_radius: float | None = None, sections: int = 20
) -> Solid:
    """An upright cylinder or cone frustum about the origin."""
    top = radius if top_radius is None else top_radius
    return lathe([(radius, -height / 2), (top, height / 2)], sections)


def superellipsoid(
    width: float, height: float, depth: float, vertical: float = 1.0, horizontal: float = 1.0
) -> Solid:
    """Ellipsoid for exponents 1, pillow and cushion shapes below 1 (0.2 is nearly a box)."""
    latitude = np.radians([-90, -72, -54, -36, -18, 0, 18, 36, 54, 72, 90])
    longitude = np.linspace(0, 2 * np.pi, 24, endpoint=False)

    ring = np.maximum(_power(np.cos(latitude), vertical), 1e-3)[:, None]
    rings = np.stack(
        [
            width / 2 * ring * _power(np.cos(longitude), horizontal),
            np.broadcast_to(height / 2 * _power(np.sin(latitude), vertical)[:, None], (11, 24)),
            depth / 2 * ring * _power(np.sin(longitude), horizontal),
        ],
        -1,
    )
    return loft(rings)


def smooth_path(points: Sequence[Vector], samples: int = 16) -> Float[ndarray, "sample 3"]:
    """Catmull-Rom curve through the points: bent legs, curved backs, handles."""
    p = np.asarray(points, dtype=float)
    if len(p) < 3:
        return np.linspace(p[0], p[-1], samples)
    p = np.concatenate([2 * p[:1] - p[1:2], p, 2 * p[-1:] - p[-2:-1]])
    t = np.linspace(0, len(p) - 3 - 1e-9, samples)
    i = t.astype(int)
    u = (t - i)[:, None]
    a, b, c, d = p[i], p[i + 1], p[i + 2], p[i + 3]
    curve: ndarray = 0.5 * (
        2 * b + (c - a) * u + (2 * a - 5 * b + 4 * c - d) * u**2 + (3 * b - a - 3 * c + d) * u**3
    )
    return curve


def sweep(
    path: Float[ndarray, "sample 3"] | Sequence[Vector],
    section: float | Float[ndarray, "point 2"],
    scale: float | Sequence[float] | Float[ndarray, "sample"] = 1.0,
    closed: bool = False,
) -> Solid:
    """A tube along a path: legs, rails, handles, frames, rims.

    Args:
        section: radius of a round tube, or an outline in the plane across the path (its first
            axis is horizontal where the path is not vertical).
        scale: factor on the section, constant or along the path (tapered legs).
        closed: join the path's end to its beginning.
    """
    path = np.asarray(path, dtype=float)
    if isinstance(section, (int, float)):
        angle = np.linspace(0, 2 * np.pi, 10, endpoint=False)
        section = float(section) * np.stack([np.cos(angle), np.sin(angle)], -1)
    section = np.asarray(section)
    around = np.roll(path, -1, 0) - np.roll(path, 1, 0)
    tangent = around if closed else np.gradient(path, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True) + 1e-12
    # One frame carried along the path by the smallest rotation, so that the tube does not twist.
    up = np.array([0.0, 1, 0]) if abs(tangent[0, 1]) < 0.9 else np.array([0.0, 0, 1])
    side = np.cross(tangent[0], up)
    sides = []
    for direction in tangent:
        side = side - direction * (side @ direction)
        side /= np.linalg.norm(side) + 1e-12
        sides.append(side)
    across = np.stack(sides)
    if closed:
        # What it is turned by after one round, shared out over the path.
        side = side - tangent[0] * (side @ tangent[0])
        turn = np.arctan2(np.cross(side, across[0]) @ tangent[0], side @ across[0])
        angle = (turn * np.arange(len(path)) / len(path))[:, None]
        across = across * np.cos(angle) + np.cross(tangent, across) * np.sin(angle)
    normal = np.cross(across, tangent)
    size = np.broadcast_to(np.asarray(scale, dtype=float), (len(path),))[:, None, None]
    rings = path[:, None] + size * (
        section[None, :, :1] * across[:, None] + section[None, :, 1:] * normal[:, None]
    )
    return loft(rings, closed)


def bar(
    start: Vector, end: Vector, section: float | Float[ndarray, "point 2"], taper: float = 1.0
) -> Solid:
    """A straight tube or beam from start to end; `taper` scales the section at the end."""
    return sweep([start, end], section, [1.0, taper])


def sheet(
    surface: Float[ndarray, "row column 3"], thickness: float | Float[ndarray, "row column"]
) -> Solid:
    """A curved surface given as a grid of points, thickened by half to either side: shells."""
    surface = np.asarray(surface, dtype=float)
    normal = np.cross(np.gradient(surface, axis=0), np.gradient(surface, axis=1))
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True) + 1e-12
    rows, columns = surface.shape[:2]
    offset = normal * np.broadcast_to(np.asarray(thickness), (rows, columns))[..., None] / 2
    under = rows * columns
    index = np.arange(under).reshape(rows, columns)
    a, b = index[:-1, :-1].ravel(), index[1:, :-1].ravel()
    c, d = index[1:, 1:].ravel(), index[:-1, 1:].ravel()
    # A strip around: a cap would close the mouth of a surface that curves along its end.
    rim = np.concatenate([index[:-1, 0], index[-1, :-1], index[:0:-1, -1], index[0, :0:-1]])
    after = np.roll(rim, -1)
    corners = [
        (a, b, c),
        (a, c, d),
        (a + under, c + under, b + under),
        (a + under, d + under, c + under),
        (after, rim, rim + under),
        (after, rim + under, after + under),
    ]
    vertices = np.stack([surface + offset, surface - offset]).reshape(-1, 3)
    return Solid(vertices, np.concatenate([np.stack(corner, -1) for corner in corners]))


def level_ring(outline: Float[ndarray, "point 2"], height: float) -> Float[ndarray, "point 3"]:
    """The outline in (x, z), at that height."""
    return np.stack([outline[:, 0], np.full(len(outline), height), outline[:, 1]], -1)


def _power(value: ndarray, exponent: float) -> ndarray:
    """Of the size; the sign stays."""
    signed: ndarray = np.sign(value) * np.abs(value) ** exponent
    return signed
