"""Random profiles, and the surfaces of revolution turned from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from img2pc.data.families.maker import Maker
from img2pc.data.solids import Solid, lathe, loft, smooth_path

Point = Sequence[float]
Profile = Float[ndarray, "sample 2"]


def smooth_profile(points: Sequence[Point], samples: int = 18) -> Profile:
    """Smooth (radius, height) profile through the given ones."""
    curve = smooth_path([(radius, height, 0.0) for radius, height in points], samples)
    return np.stack([np.maximum(curve[:, 0], 1e-3), curve[:, 1]], -1)


def random_profile(m: Maker, height: float, low: float, high: float, samples: int = 18) -> Profile:
    knots = m.count(2, 6)
    levels = np.linspace(0, height, knots)
    return smooth_profile([(m.between(low, high), level) for level in levels], samples)


def radius_at(profile: Profile, height: float) -> float:
    return float(np.interp(height, np.maximum.accumulate(profile[:, 1]), profile[:, 0]))


def hollowed(
    profile: Profile, wall: float, floor: float | None = None
) -> Float[ndarray, "point 2"]:
    """The profile of a vessel with this outside: up the outside, down the inside."""
    bottom = profile[0, 1] + (wall if floor is None else floor)
    inner = profile[::-1].copy()
    inner[:, 1] = np.maximum(inner[:, 1], bottom)
    # A foot that flares must not let the raised floor through the wall.
    inner[:, 0] = np.minimum(inner[:, 0], [radius_at(profile, height) for height in inner[:, 1]])
    inner[:, 0] = np.maximum(inner[:, 0] - wall, 0.3 * wall)
    ends = np.array([[0.0, profile[0, 1]], [0.0, bottom]])
    return np.concatenate([ends[:1], profile, inner, ends[1:]])


def revolved(profile: Profile | Sequence[Point], sections: int = 24) -> Solid:
    """A lathe; few sections make a polygon about the circle, a flat side to +X."""
    wider = _polygon_scale(sections)
    points = [(radius * wider, height) for radius, height in profile]
    return lathe(points, sections).rotated("y", 180 / sections)


def _polygon_scale(sections: int) -> float:
    """What makes a polygon's sides, not its corners, touch the circle, so that handles join."""
    return 1 / float(np.cos(np.pi / sections)) if sections < 12 else 1.0


def open_shell(profile: Profile, wall: float, sections: int = 24) -> Solid:
    """A thin surface of revolution open at both ends."""
    inner = profile[::-1] - [wall, 0]
    around = np.concatenate([profile, np.maximum(inner, [1e-3, -np.inf])])
    angle = np.linspace(0, 2 * np.pi, sections, endpoint=False) + np.pi / sections
    radius, height = around[:, :1] * _polygon_scale(sections), np.repeat(around[:, 1:], sections, 1)
    rings = np.stack([radius * np.cos(angle), height, radius * np.sin(angle)], -1)
    return loft(rings, closed=True)


def fluted(solid: Solid, lobes: int, depth: float, twist: float = 0.0) -> Solid:
    """Modulate the radius about Y by `lobes` waves, and turn by `twist` degrees per unit height."""
    x, y, z = solid.vertices.T
    angle, radius = np.arctan2(z, x), np.hypot(x, z)
    radius = radius * (1 + depth * np.cos(lobes * angle))
    angle = angle + np.radians(twist) * y
    return replace(solid, vertices=np.stack([radius * np.cos(angle), y, radius * np.sin(angle)], 1))


def random_sections(m: Maker) -> int:
    return m.pick((24, 24, 24, 24, 4, 6, 8))
