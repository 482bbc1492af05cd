"""Solids that many families are put together from: blocks, tori, handles, panels, leaves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from img2pc.data.families.maker import Maker
from img2pc.data.families.profiles import Point
from img2pc.data.solids import (
    Solid,
    Vector,
    box,
    cylinder,
    lathe,
    level_ring,
    loft,
    rounded_rectangle,
    sheet,
    smooth_path,
    superellipse,
    superellipsoid,
    sweep,
)


def roughened(m: Maker, solid: Solid, amount: float, frequency: float) -> Solid:
    """Lumps and dents: scale vertices about the origin by a smooth random field."""
    size = np.ptp(solid.vertices, axis=0).max() + 1e-9
    field = np.zeros(len(solid.vertices))
    for _ in range(5):
        wave = m.rng.normal(0, frequency, 3) / size
        field += np.sin(solid.vertices @ wave * 2 * np.pi + m.between(0, 6.3))
    return replace(solid, vertices=solid.vertices * (1 + amount * field[:, None] / 2))


def aimed(solid: Solid, direction: Point | ndarray, at: Point | ndarray = (0, 0, 0)) -> Solid:
    """The solid with its +Y turned to `direction`, then its origin moved to `at`.

    How it is turned about `direction` is left open: for what is alike all around.
    """
    up = np.asarray(direction, dtype=float)
    up = up / (np.linalg.norm(up) + 1e-12)
    aside = np.cross(up, [0.0, 0, 1] if abs(up[2]) < 0.9 else [1.0, 0, 0])
    aside /= np.linalg.norm(aside) + 1e-12
    basis = np.stack([aside, up, np.cross(aside, up)])
    return replace(solid, vertices=solid.vertices @ basis + np.asarray(at, dtype=float))


def copies_around(solid: Solid, count: int, start: float = 0.0) -> list[Solid]:
    """Copies of the solid at equal angles about Y."""
    return [solid.rotated("y", start + 360 * i / count) for i in range(count)]


def tapered_block(
    bottom: tuple[float, float],
    top: tuple[float, float],
    height: float,
    shift: float = 0.0,
    radius: float = 0.0,
    soft: float = 0.0,
) -> Solid:
    """A block on y = 0 between (width, depth) at its bottom and top.

    Args:
        shift: how far the top lies along Z from the bottom.
        soft: how much of the height its upper edges are rounded over.
    """
    levels = [(0.0, 1.0), (1.0 - soft, 1.0), (1.0 - 0.3 * soft, 0.94), (1.0, 0.8)]
    rings = []
    for level, size in levels if soft > 0 else [(0.0, 1.0), (1.0, 1.0)]:
        width = (bottom[0] + (top[0] - bottom[0]) * level) * size
        depth = (bottom[1] + (top[1] - bottom[1]) * level) * size
        outline = rounded_rectangle(width, depth, radius)
        rings.append(level_ring(outline, level * height) + np.array([0, 0, shift * level]))
    return loft(np.stack(rings))


def hull(stations: Iterable[tuple[float, float, float, float]], radius: float) -> Solid:
    """A body along Z through rounded rectangles, each a (z, width, bottom, top)."""
    rings = []
    for z, width, bottom, top in stations:
        outline = rounded_rectangle(width, max(top - bottom, 1e-3), max(radius, 1e-3))
        y = outline[:, 1] + (bottom + top) / 2
        rings.append(np.stack([outline[:, 0], y, np.full(len(outline), z)], -1))
    return loft(np.stack(rings))


def sphere(radius: float, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Solid:
    angle = np.radians([-90, -60, -30, 0, 30, 60, 90])
    profile = np.stack([np.cos(angle), np.sin(angle)], -1) * radius
    return lathe([tuple(point) for point in profile], 12).moved(x, y, z)


def blob(m: Maker, width: float, height: float, depth: float) -> Solid:
    return superellipsoid(width, height, depth, m.between(0.6, 1.1), m.between(0.6, 1.1))


def circle_outline(
    radius: float, count: int = 24, squareness: float = 1.0
) -> Float[ndarray, "point 2"]:
    return superellipse(2 * radius, 2 * radius, squareness, count)


def torus(radius: float, thickness: float, sections: int = 24) -> Solid:
    """A torus lying flat about the origin."""
    path = level_ring(circle_outline(radius, sections), 0.0)
    return sweep(path, circle_outline(thickness, 8), closed=True)


def star_outline(m: Maker, points: int, radius: float, inner: float) -> Float[ndarray, "point 2"]:
    angle = np.linspace(0, 2 * np.pi, 2 * points, endpoint=False) + m.pick((0.0, np.pi / 2))
    length = np.where(np.arange(2 * points) % 2, inner, radius)
    return np.stack([np.cos(angle), np.sin(angle)], -1) * length[:, None]


def handle_section(m: Maker, thickness: float) -> float | Float[ndarray, "point 2"]:
    """The section of a handle: round, or a flat strip."""
    if m.chance(0.5):
        return thickness
    width = thickness * m.between(1.2, 3.0)
    return rounded_rectangle(width * 2, thickness * m.between(0.8, 1.6), thickness * 0.4)


def side_handle(m: Maker, low: Point, high: Point, reach: float, thickness: float) -> Solid:
    """A handle in the XY plane from one (x, y) to another, bulging towards +X."""
    (x0, y0), (x1, y1) = low, high
    rise, out = y1 - y0, max(x0, x1) + reach
    inner = thickness * 0.8
    style = m.pick(("c", "c", "ear", "corner", "drop"))
    if style == "c":
        middle = [(out, y0 + rise * m.between(0.2, 0.3)), (out, y1 - rise * m.between(0.1, 0.3))]
    elif style == "ear":
        middle = [(max(x0, x1) + reach * 0.45, y0 + rise * 0.2), (out, y0 + rise * 0.75)]
        middle.append((max(x0, x1) + 0.7 * reach, y1 + rise * m.between(0.0, 0.15)))
    elif style == "corner":
        middle = [(out * 0.98, y0), (out, y0 + 0.04 * rise), (out, y1 - 0.04 * rise)]
        middle.append((out * 0.98, y1))
    else:
        middle = [(out, y0 + rise * 0.55), (out * 0.97, y1 - 0.1 * rise)]
    points = [(x0 - inner, y0), *middle, (x1 - inner, y1)]
    path = smooth_path([(x, y, 0.0) for x, y in points], 18)
    taper = np.linspace(1, m.between(0.8, 1.5), len(path))
    return sweep(path, handle_section(m, thickness), taper)


def front_panel(
    width: float, height: float, thickness: float, x: float, y: float, z: float
) -> Solid:
    """A thin upright slab centred in X and Y whose front face stands at z."""
    return box(width, height, thickness).moved(x, y, z - thickness / 2)


def front_knob(radius: float, length: float, x: float, y: float, z: float) -> Solid:
    """A short cylinder that sticks out of the front at z."""
    return cylinder(radius, length, sections=12).rotated("x", 90).moved(x, y, z + length * 0.4)


def leaf_blade(
    length: float, width: float, lift: float, droop: float, fold: float = 0.0, tip: float = 1.0
) -> Solid:
    """A leaf from the origin towards +X, rising at `lift` degrees and drooping to its tip."""
    t = np.linspace(0, 1, 7)
    angle = np.radians(lift - droop * t)
    x = np.concatenate([[0], np.cumsum(np.cos(angle[:-1]))]) * length / 6
    y = np.concatenate([[0], np.cumsum(np.sin(angle[:-1]))]) * length / 6
    half = width / 2 * np.maximum(np.sin(np.pi * np.clip(t, 0.04, 0.97) ** tip), 0.05)
    s = np.array([-1.0, 0, 1])
    surface = np.stack(
        [
            np.repeat(x[:, None], 3, 1),
            y[:, None] + fold * half[:, None] * np.abs(s),
            half[:, None] * s,
        ],
        -1,
    )
    return sheet(surface, max(0.02 * length, 0.01))


def limb(points: Sequence[Vector], radius: float, end: float) -> Solid:
    path = smooth_path(points, 8)
    return sweep(path, circle_outline(radius, 10), np.linspace(1, end, 8))
