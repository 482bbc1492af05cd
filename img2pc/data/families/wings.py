"""Fuselages, wings, fins and propellers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from img2pc.data.families.maker import Maker
from img2pc.data.families.pieces import circle_outline
from img2pc.data.solids import Solid, lathe, loft, smooth_path


def fuselage(
    stations: Sequence[tuple[float, float, float, float]], samples: int = 18, sections: int = 16
) -> Solid:
    """A smooth body along Z through ellipses, each a (z, y, half width, half height)."""
    first = np.asarray(stations, dtype=float)
    spine = smooth_path([(z, y, 0.0) for z, y in first[:, :2]], samples)
    half = np.maximum(smooth_path([(w, h, 0.0) for w, h in first[:, 2:]], samples), 1e-3)
    circle = circle_outline(1.0, sections)
    rings = np.stack(
        [
            half[:, :1] * circle[:, 0],
            spine[:, 1:2] + half[:, 1:2] * circle[:, 1],
            np.broadcast_to(spine[:, :1], (samples, sections)),
        ],
        -1,
    )
    return loft(rings)


def tapered_wing(
    span: float, chord: tuple[float, float], sweep_back: float, rise: float, thickness: float
) -> Solid:
    """A wing from the origin along +X: (root, tip) chords, its tip moved by -Z and +Y."""
    angle = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    # Blunt nose and fine tail: the section thickens forward.
    foil = np.stack([np.sin(angle) * (0.65 + 0.35 * np.cos(angle)) / 2, np.cos(angle) / 2], -1)
    rings = []
    for t in (0.0, 0.5, 0.94, 1.0):
        size = chord[0] + (chord[1] - chord[0]) * t
        size *= 0.6 if t == 1 else 1
        y = rise * t + foil[:, 0] * thickness * size
        z = -sweep_back * t + foil[:, 1] * size
        rings.append(np.stack([np.full(12, span * t), y, z], -1))
    return loft(np.stack(rings))


def upright_fin(
    height: float, chord: tuple[float, float], sweep_back: float, thickness: float
) -> Solid:
    return tapered_wing(height, chord, sweep_back, 0, thickness).rotated("z", 90)


def propeller(m: Maker, radius: float) -> list[Solid]:
    """Blades and spinner about the origin, turning about Z."""
    blade = tapered_wing(radius, (radius * 0.16, radius * 0.1), 0, 0, 0.3).rotated(
        "x", m.between(30, 70)
    )
    count, start = m.count(2, 4), m.between(0, 120)
    blades = [blade.rotated("z", start + 360 * i / count) for i in range(count)]
    spinner = lathe([(radius * 0.14, 0), (radius * 0.1, radius * 0.15), (0.0, radius * 0.25)], 12)
    return [*blades, spinner.rotated("x", 90)]
