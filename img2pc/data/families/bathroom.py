"""Toilets, bathtubs and washbasins."""

from __future__ import annotations

import numpy as np

from img2pc.data.families.maker import Maker
from img2pc.data.families.pieces import front_panel, torus
from img2pc.data.families.profiles import revolved, smooth_profile
from img2pc.data.solids import (
    Solid,
    box,
    cylinder,
    lathe,
    level_ring,
    loft,
    prism,
    smooth_path,
    superellipse,
    sweep,
)


def toilet(m: Maker) -> None:
    width, depth, seat = m.between(0.4, 0.5), m.between(0.5, 0.65), m.between(0.4, 0.5)
    foot = width * m.between(0.4, 0.7)
    levels = [
        (foot, 0.0),
        (foot * 0.85, seat * 0.35),
        (width, seat * 0.85),
        (width, seat),
        (width * 0.7, seat),
    ]
    profile = [(w / 2, y) for w, y in [*levels, (width * 0.5, seat * 0.6), (0, seat * 0.5)]]
    m.add("basin", lathe(profile, 24).scaled(z=depth / width).moved(z=0.05))
    m.add("trim", torus(width * 0.44, 0.03).scaled(z=depth / width).moved(y=seat + 0.02, z=0.05))
    back = -depth / 2 + 0.02
    lid = prism(superellipse(width, depth), 0.03)
    if m.chance(0.5):
        m.add("trim", lid.moved(y=seat + 0.05, z=0.05))
    else:
        m.add(
            "trim",
            lid.moved(z=depth / 2)
            .rotated("x", -m.between(85, 100))
            .moved(0, seat + 0.02, back + 0.06),
        )
    tank = m.between(0.3, 0.5)
    m.add(
        "basin",
        box(width * m.between(0.9, 1.2), tank, 0.2, 0.03).moved(
            0, seat + tank / 2 - 0.02, back - 0.08
        ),
    )
    m.add("basin", box(width * 1.2, 0.04, 0.23, 0.01).moved(0, seat + tank, back - 0.08))
    m.add("basin", box(foot, seat, 0.3, 0.03).moved(0, seat / 2, back))
    m.add("metal", box(0.1, 0.02, 0.03).moved(width * 0.3, seat + tank * 0.8, back + 0.03))


def _tap(m: Maker, size: float) -> Solid:
    rise, reach = size * m.between(0.5, 1.6), size * m.between(0.5, 1.0)
    points = [
        (0, -0.02, 0),
        (0, rise * 0.8, 0),
        (0, rise, reach * 0.5),
        (0, rise * m.between(0.5, 0.85), reach),
    ]
    return sweep(smooth_path(points, 14), size * m.between(0.07, 0.14))


def _tub(m: Maker, width: float, height: float, depth: float, wall: float) -> Solid:
    """A basin on y = 0, hollow from above."""
    squareness, taper = m.between(0.25, 1.0), m.between(0.6, 0.95)
    outline = superellipse(width, depth, squareness, 32)
    inner = 1 - 2 * wall / min(width, depth)
    rings = []
    for scale, level in (
        (0.02, 0.0),
        (taper, 0.0),
        ((1 + taper) / 2, height * 0.4),
        (1.0, height),
        (inner, height),
        (inner * (1 + taper) / 2, height * 0.45),
        (inner * taper * 0.85, wall),
        (0.02, wall),
    ):
        rings.append(level_ring(outline * scale, level))
    return loft(np.stack(rings))


def bathtub(m: Maker) -> None:
    width, depth, height = m.between(1.4, 2.0), m.between(0.6, 0.9), m.between(0.45, 0.7)
    m.add("basin", _tub(m, width, height, depth, m.between(0.03, 0.08)))
    if m.chance(0.5):
        foot = sweep(smooth_path([(0, 0.12, 0), (0.06, 0.0, 0.03), (0.1, -0.14, 0.08)], 6), 0.04)
        m.pair(
            "metal",
            foot.moved(width * 0.25, 0, depth * 0.22),
            foot.scaled(z=-1).moved(width * 0.25, 0, -depth * 0.22),
        )
    m.add("metal", _tap(m, 0.2).rotated("y", 90).moved(-width / 2 + 0.03, height, 0))


def washbasin(m: Maker) -> None:
    width, depth, height = m.between(0.5, 0.9), m.between(0.4, 0.6), m.between(0.12, 0.3)
    level = m.between(0.5, 0.9)
    m.add("basin", _tub(m, width, height, depth, 0.03).moved(y=level))
    if m.chance(0.6):
        foot, thin = width * m.between(0.15, 0.25), width * m.between(0.08, 0.16)
        m.add(
            "basin",
            revolved(
                smooth_profile([(foot, 0), (thin, level * 0.5), (foot, level + 0.03)]),
                m.pick((24, 24, 4)),
            ),
        )
    else:
        m.add("body", box(width * m.between(0.8, 1.6), level + 0.01, depth).moved(y=level / 2))
        m.pair(
            "trim",
            front_panel(
                width * 0.35, level * 0.8, 0.03, width * 0.2, level * 0.45, depth / 2 + 0.02
            ),
        )
    m.add(
        "basin",
        box(width * 0.5, height * 0.8, 0.1, 0.02).moved(0, level + height * 0.55, -depth / 2),
    )
    m.add("metal", _tap(m, 0.18).moved(0, level + height * 0.9, -depth / 2))
    if m.chance(0.5):
        m.pair(
            "metal",
            cylinder(0.03, 0.12, sections=10).moved(0.12, level + height * 0.95, -depth / 2),
        )
