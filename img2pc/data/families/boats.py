"""Rowing, sailing and motor boats, ships and submarines."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from img2pc.data.families.maker import Maker, Variant
from img2pc.data.families.pieces import aimed, circle_outline, tapered_block
from img2pc.data.families.profiles import Point
from img2pc.data.families.wings import fuselage, propeller, tapered_wing
from img2pc.data.shapes import Part
from img2pc.data.solids import (
    Solid,
    bar,
    box,
    cylinder,
    loft,
    rounded_rectangle,
    sheet,
    smooth_path,
    sweep,
)


def boat(rng: np.random.Generator) -> list[Part]:
    """Rowing boats, canoes, sailing boats, motorboats, ships, catamarans and submarines."""
    m = Maker(
        rng,
        body=("wood", "paint", "plastic", "metal", "rubber"),
        deck=("wood", "plastic", "paint"),
        sail=("fabric", "fabric", "paper", "plastic"),
        cabin=("paint", "wood", "plastic", "metal"),
        glass=("glass", "plastic"),
        trim=("metal", "wood", "plastic"),
    )
    variants: tuple[Variant, ...] = (
        _rowing_boat,
        _rowing_boat,
        _sailing_boat,
        _sailing_boat,
        _sailing_boat,
        _motorboat,
        _motorboat,
        _ship,
        _ship,
        _submarine,
    )
    m.pick(variants)(m)
    return m.finished()


def _hull_surface(
    m: Maker, length: float, beam: float, depth: float, stern: float
) -> Float[ndarray, "row column 3"]:
    """A hull from stern (-Z) to bow; `stern` is its width there as a share of the beam."""
    rows, full = 16, m.between(0.5, 1.6)
    t = np.linspace(0, 1, rows)
    widest = m.between(0.35, 0.6)
    ahead = np.clip((t - widest) / (1 - widest), 0, 1)
    behind = np.clip((widest - t) / widest, 0, 1)
    half = beam / 2 * (1 - (1 - stern) * behind**2 - (ahead ** m.between(1.6, 3)))
    half = np.maximum(half, 0.012 * beam)
    sheer = depth * (1 + m.between(0, 0.5) * ahead**2 + m.between(0, 0.25) * behind**2)
    keel = depth * (m.between(0.0, 0.7) * ahead**3 + m.between(0, 0.5) * behind**3 * (1 - stern))
    s = np.linspace(-1, 1, 11)
    across = np.sign(s) * np.abs(s) ** m.between(0.5, 1.0)
    upward = np.abs(s) ** (1 + full)
    rake = m.between(0.0, 0.15) * length * ahead[:, None] ** 2 * upward[None]
    return np.stack(
        [
            half[:, None] * across,
            keel[:, None] + (sheer - keel)[:, None] * upward,
            (t[:, None] - 0.5) * length + rake,
        ],
        -1,
    )


def _add_rim(m: Maker, surface: Float[ndarray, "row column 3"], thickness: float) -> None:
    m.pair("trim", sweep(surface[:, -1], rounded_rectangle(thickness, thickness * 1.5, 0)))


def _rowing_boat(m: Maker) -> None:
    """Rowing boats, canoes, dinghies and gondolas, open above."""
    length, beam, depth = m.between(2.5, 6), m.between(0.7, 1.6), m.between(0.35, 0.8)
    surface = _hull_surface(m, length, beam, depth, m.pick((0.01, 0.5, 0.7, 0.85)))
    m.add("body", sheet(surface, m.between(0.04, 0.08)))
    if m.chance(0.7):
        _add_rim(m, surface, m.between(0.04, 0.1))
    stern = surface[0]
    if np.ptp(stern[:, 0]) > 0.2:
        m.add("body", loft(np.stack([stern, stern + np.array([0, 0, 0.06])])))
    for f in np.linspace(0.2, 0.75, m.count(1, 4)):
        row = surface[int(f * 15)]
        level = row[:, 1].min() + (row[-1, 1] - row[:, 1].min()) * 0.7
        width = 2 * float(np.interp(level, row[5:, 1], row[5:, 0]))
        m.add("deck", box(width, 0.04, 0.25).moved(0, float(level), float(row[0, 2])))
    if m.chance(0.5):
        tip = (beam * m.between(0.8, 1.6), depth * m.between(0.1, 1.0), m.between(-1, 1))
        pivot = (beam * 0.45, depth * 1.05, 0)
        inner = tuple(p + 0.4 * (p - q) for p, q in zip(pivot, tip, strict=True))
        blade = box(0.04, 0.5, 0.15, 0.01)
        m.pair("trim", bar(inner, tip, 0.035))
        direction = np.subtract(tip, pivot)
        m.pair("trim", aimed(blade, direction, tip))
    if m.chance(0.2):
        m.add("cabin", box(0.3, 0.5, 0.25, 0.06).moved(0, depth, -length / 2 - 0.05))


def _decked_hull(m: Maker, length: float, beam: float, depth: float, stern: float) -> None:
    surface = _hull_surface(m, length, beam, depth, stern)
    m.add("body", loft(surface))
    if m.chance(0.6):
        _add_rim(m, surface, m.between(0.03, 0.08))


def _sail(
    foot: tuple[Point, Point], head: tuple[Point, Point], belly: float, thickness: float
) -> Solid:
    """A sail between the (fore, aft) points of its foot and of its head, bellied along X."""
    t, s = np.linspace(0, 1, 8)[:, None, None], np.linspace(0, 1, 6)[None, :, None]
    low = np.asarray(foot[0]) + s * np.subtract(foot[1], foot[0])
    high = np.asarray(head[0]) + s * np.subtract(head[1], head[0])
    surface = low + t * (high - low)
    surface[..., 0] += belly * (np.sin(np.pi * s) * np.sin(np.pi * (0.1 + 0.8 * t)))[..., 0]
    return sheet(surface, thickness)


def _sailing_boat(m: Maker) -> None:
    length, beam, depth = m.between(3, 7), m.between(0.9, 1.8), m.between(0.4, 1.0)
    _decked_hull(m, length, beam, depth, m.between(0.2, 0.8))
    masts = m.pick((1, 1, 1, 2, 3))
    square = m.chance(0.25)
    belly = m.between(-0.4, 0.4)
    for i in range(masts):
        z = length * (0.1 if masts == 1 else 0.3 - 0.6 * i / (masts - 1))
        top = length * m.between(0.8, 1.5) * (0.85 if masts > 1 else 1)
        m.add("trim", bar((0, depth * 0.5, z), (0, top, z), m.between(0.03, 0.06), 0.6))
        foot, aft = depth + m.between(0.2, 0.5), length * m.between(0.25, 0.5) / masts**0.5
        if square:
            levels = np.linspace(foot, top * 0.95, m.count(2, 4))
            for low, high in pairwise(levels):
                half = beam * m.between(0.7, 1.1) * (1.3 - 0.5 * high / top)
                sail = _sail(
                    ((0, low, -half), (0, low, half)),
                    ((0, high - 0.1, -half * 0.9), (0, high - 0.1, half * 0.9)),
                    0.35,
                    0.03,
                )
                m.add("sail", sail.rotated("y", -90).moved(z=z))
                m.add("trim", bar((-half, high - 0.1, z), (half, high - 0.1, z), 0.03))
            continue
        swing = m.between(-25, 25)
        head = top * m.between(0.85, 0.98)
        gaff = m.pick((0.02, 0.02, 0.05, 0.6)) * aft
        sail = _sail(
            ((0, foot, 0), (0, foot, -aft)), ((0, head, 0), (0, head, -gaff)), belly, 0.025
        )
        boom = bar((0, foot, 0), (0, foot, -aft * 1.05), 0.03)
        m.add("sail", sail.rotated("y", swing).moved(z=z))
        m.add("trim", boom.rotated("y", swing).moved(z=z))
        if i == 0 and m.chance(0.7):
            bow = length * 0.48
            jib = _sail(
                ((0, depth * 1.15, bow), (m.between(-0.3, 0.3), foot, z + 0.1)),
                ((0, head * 0.85, z + 0.06), (0, head * 0.85, z + 0.03)),
                belly,
                0.025,
            )
            m.add("sail", jib)
    if m.chance(0.5):
        cabin = tapered_block(
            (beam * 0.55, length * 0.3), (beam * 0.45, length * 0.25), depth * 0.5, 0, 0.08
        )
        m.add("cabin", cabin.moved(0, depth * 0.95, -0.05 * length))
    if m.chance(0.3):
        m.add("trim", bar((0, depth * 1.1, length * 0.42), (0, depth * 1.5, length * 0.68), 0.04))
    if m.chance(0.4):
        fin = tapered_wing(depth * m.between(0.8, 1.6), (length * 0.2, length * 0.14), 0.1, 0, 0.15)
        m.add("body", fin.rotated("z", -90).moved(y=0.1))


def _motorboat(m: Maker) -> None:
    length, beam, depth = m.between(4, 9), m.between(1.4, 2.6), m.between(0.7, 1.4)
    _decked_hull(m, length, beam, depth, m.between(0.75, 0.95))
    level, z = depth * 0.97, m.between(-0.15, 0.1) * length
    width, long = beam * m.between(0.55, 0.8), length * m.between(0.2, 0.45)
    for _ in range(m.pick((1, 1, 2, 3))):
        tall, lean = m.between(0.25, 0.7), m.between(0.7, 0.98)
        m.add(
            "cabin",
            tapered_block((width, long), (width * lean, long * lean), tall, -0.1, 0.1, 0.1).moved(
                0, level - 0.02, z
            ),
        )
        # From 0.3 to 0.8 of the height, where the cabin has leaned in already.
        below, above = (1 - (1 - lean) * share for share in (0.3, 0.8))
        for across, along in ((1.02, 0.9), (0.8, 1.02)):
            panes = tapered_block(
                (width * across * below, long * along * below),
                (width * across * above, long * along * above),
                tall * 0.5,
                -0.05,
                0.05,
            )
            m.add("glass", panes.moved(0, level - 0.02 + tall * 0.3, z - 0.03))
        level, width, long, z = (
            level + tall,
            width * m.between(0.7, 0.9),
            long * m.between(0.5, 0.8),
            z - 0.1,
        )
    if m.chance(0.5):
        m.add("trim", bar((0, level - 0.1, z), (0, level + m.between(0.5, 1.5), z - 0.1), 0.04))
    if m.chance(0.4):
        for x in (-0.25, 0.25) if m.chance(0.3) else (0.0,):
            m.add("trim", box(0.4, 0.7, 0.4, 0.1).moved(x * beam, depth, -length / 2 - 0.12))
            m.add("trim", box(0.15, depth, 0.2).moved(x * beam, depth * 0.4, -length / 2 - 0.12))
    if m.chance(0.5):
        rail = [
            (beam * 0.42, depth + 0.3, 0),
            (beam * 0.35, depth + 0.4, length * 0.3),
            (0.02, depth + 0.6, length * 0.5),
        ]
        m.pair("trim", sweep(smooth_path(rail, 10), circle_outline(0.025, 6)))
        for x, y, post in rail:
            m.pair(
                "trim", bar((x, depth * 0.9, post * 0.97), (x, y, post), circle_outline(0.025, 6))
            )


def _ship(m: Maker) -> None:
    """Freighters, ferries, liners, tugs and warships."""
    length, beam, depth = m.between(6, 12), m.between(1.2, 2.2), m.between(0.6, 1.4)
    _decked_hull(m, length, beam, depth, m.between(0.5, 0.9))
    style = m.pick(("cargo", "cargo", "liner", "tug", "war"))
    bridge = {"cargo": -0.35, "liner": 0.0, "tug": 0.1, "war": 0.05}[style] * length
    long = {"cargo": 0.12, "liner": 0.6, "tug": 0.3, "war": 0.25}[style] * length
    level, width = depth * 0.97, beam * 0.8
    for _ in range(m.count(2, 5)):
        tall = m.between(0.25, 0.5)
        m.add("cabin", box(width, tall, long, 0.03).moved(0, level + tall / 2 - 0.01, bridge))
        m.add(
            "glass",
            box(width * 1.01, tall * 0.35, long * 0.95).moved(0, level + tall * 0.6, bridge),
        )
        level, long, width = (
            level + tall - 0.02,
            long * m.between(0.75, 1),
            width * m.between(0.8, 1),
        )
    for i in range(m.count(1, 3) if style != "cargo" else 1):
        z = bridge - long * 0.3 + i * long * 0.3
        stack = cylinder(m.between(0.12, 0.3), 1.0, sections=14).rotated("x", -m.between(0, 12))
        m.add("trim", stack.moved(0, level + 0.35, z))
    m.add(
        "trim",
        bar(
            (0, level - 0.1, bridge + long * 0.3),
            (0, level + m.between(0.6, 1.4), bridge + long * 0.3),
            0.03,
        ),
    )
    if style == "cargo":
        columns, rows = m.count(2, 4), m.count(3, 6)
        pitch, across = 0.6 * length / rows, beam * 0.8 / columns
        for i in range(rows):
            for j in range(columns):
                piled = m.count(0, 3)
                if piled:
                    size = box(across * 0.94, 0.3 * piled, pitch * 0.94)
                    x = (j - (columns - 1) / 2) * across
                    m.add(
                        m.pick(("load", "crate")),
                        size.moved(
                            x, depth * 0.98 + 0.15 * piled, -0.24 * length + (i + 0.5) * pitch
                        ),
                    )
    elif style == "war":
        for z in (0.28, 0.38, -0.32):
            m.add("cabin", box(0.5, 0.3, 0.6, 0.05).moved(0, depth * 1.08 + 0.1, z * length))
            aim = 0.9 * np.sign(z)
            m.pair(
                "trim",
                bar(
                    (0.1, depth * 1.1 + 0.15, z * length),
                    (0.1, depth * 1.1 + 0.35, z * length + aim),
                    0.04,
                ),
            )


def _submarine(m: Maker) -> None:
    length, radius = m.between(3, 8), m.between(0.4, 0.9)
    end = length / 2
    body = [
        (-end, 0, 0.05, 0.05),
        (-end * 0.5, 0, radius * 0.8, radius * 0.8),
        (0, 0, radius, radius),
        (end * 0.7, 0, radius * m.between(0.8, 1), radius * 0.95),
        (end, 0, radius * 0.2, radius * 0.2),
    ]
    m.add("body", fuselage(body, 20))
    tall, long, z = (
        radius * m.between(0.6, 1.3),
        length * m.between(0.12, 0.25),
        end * m.between(0, 0.4),
    )
    tower = tapered_block((radius * 0.6, long), (radius * 0.5, long * 0.85), tall, 0, radius * 0.28)
    m.add("cabin", tower.moved(0, radius * 0.85, z))
    for dz in (0.0, 0.2)[: m.count(0, 2)]:
        scope = [
            (0, radius, z + dz),
            (0, radius + tall * 1.6, z + dz),
            (0, radius + tall * 1.8, z + dz + 0.25),
        ]
        m.add("trim", sweep(smooth_path(scope, 10), 0.05))
    fin = tapered_wing(radius * 1.3, (length * 0.12, length * 0.08), length * 0.04, 0, 0.12).moved(
        0, 0, -end * 0.78
    )
    m.add("body", *(fin.rotated("z", 90.0 * i) for i in range(4)))
    m.pair(
        "body",
        tapered_wing(radius * 1.5, (length * 0.1, length * 0.07), 0.05, 0, 0.12).moved(
            0, 0, end * 0.5
        ),
    )
    m.add("trim", *(p.rotated("y", 180).moved(z=-end) for p in propeller(m, radius * 0.8)))
    for f in np.linspace(-0.4, 0.5, m.count(0, 4)):
        m.pair(
            "glass",
            cylinder(radius * 0.2, 0.15, sections=12)
            .rotated("z", 90)
            .moved(radius * 0.95, 0, float(f) * end),
        )
