"""Solids of any kind and proportions, and how one is made to touch another."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from img2pc.data.families.maker import Maker
from img2pc.data.families.pieces import aimed, circle_outline, star_outline, torus
from img2pc.data.families.profiles import fluted, hollowed, random_profile, revolved
from img2pc.data.solids import (
    Solid,
    box,
    cylinder,
    level_ring,
    loft,
    prism,
    rounded_rectangle,
    sheet,
    smooth_path,
    superellipsoid,
    sweep,
)


def _random_path(m: Maker, size: float) -> Float[ndarray, "sample 3"]:
    steps = m.rng.normal(0, size * 0.5, (m.count(2, 5), 3))
    return smooth_path([*np.concatenate([np.zeros((1, 3)), np.cumsum(steps, 0)])], 18)


def random_solid(m: Maker) -> Solid:
    """A solid of about unit size, of any kind and proportions, bent or twisted at times."""
    kind = m.pick(
        (
            "box",
            "box",
            "lathe",
            "lathe",
            "blob",
            "prism",
            "prism",
            "torus",
            "tube",
            "sheet",
            "loft",
            "bowl",
            "helix",
            "arc",
            "cone",
        )
    )
    if kind == "box":
        solid = box(1, 1, 1, m.pick((0.0, 0.0, 0.05, 0.2)))
    elif kind == "lathe":
        solid = revolved(random_profile(m, 1, 0.05, 0.6), m.pick((20, 20, 3, 4, 5, 6, 8))).moved(
            y=-0.5
        )
    elif kind == "blob":
        solid = superellipsoid(1, 1, 1, m.between(0.2, 2.2), m.between(0.2, 2.2))
    elif kind == "prism":
        corners = m.count(3, 8)
        outline = (
            star_outline(m, corners, 0.6, m.between(0.2, 0.6))
            if m.chance(0.6)
            else circle_outline(0.6, corners)
        )
        solid = prism(outline, 1, m.pick((1.0, 1.0, m.between(0.0, 1.3))))
    elif kind == "torus":
        solid = torus(0.5, m.between(0.04, 0.22)).rotated("x", m.pick((0.0, 90.0)))
    elif kind == "tube":
        taper = np.linspace(1, m.between(0.2, 1.2), 18)
        section = m.pick((circle_outline(m.between(0.04, 0.2), 10), star_outline(m, 4, 0.15, 0.1)))
        solid = sweep(_random_path(m, 0.7), section, taper)
    elif kind == "sheet":
        u, v = np.meshgrid(np.linspace(-0.6, 0.6, 9), np.linspace(-0.6, 0.6, 9), indexing="ij")
        wave = (
            m.between(0, 0.25) * np.sin(m.between(0, 6) * u + m.between(0, 6) * v)
            + m.between(-0.6, 0.6) * u**2
            + m.between(-0.6, 0.6) * v**2
        )
        solid = sheet(np.stack([u, wave, v], -1), m.between(0.02, 0.08))
    elif kind == "loft":
        outlines = [
            circle_outline(m.between(0.15, 0.6), 24, m.between(0.3, 1.8)) * [1, m.between(0.4, 1.2)]
            for _ in range(m.count(2, 4))
        ]
        rings = []
        for t in np.linspace(0, 1, 9):
            place = t * (len(outlines) - 1) * 0.9999
            i, u = int(place), place % 1
            mixed = outlines[i] * (1 - u) + outlines[i + 1] * u
            rings.append(level_ring(mixed, t - 0.5))
        solid = loft(np.stack(rings))
    elif kind == "bowl":
        profile = random_profile(m, m.between(0.3, 1.0), 0.2, 0.6, 10)
        solid = revolved(hollowed(profile, m.between(0.03, 0.1)), m.pick((24, 24, 6, 4)))
    elif kind == "helix":
        turns, t = m.between(1.5, 4), np.linspace(0, 1, 40)
        spiral = 0.45 * np.linspace(1, m.between(0.2, 1), 40)
        coil = np.stack(
            [
                np.cos(turns * 2 * np.pi * t) * spiral,
                t - 0.5,
                np.sin(turns * 2 * np.pi * t) * spiral,
            ],
            -1,
        )
        solid = sweep(coil, circle_outline(m.between(0.04, 0.1), 7))
    elif kind == "arc":
        angle = np.linspace(0, np.radians(m.between(60, 300)), 16)
        path = np.stack([0.5 * np.cos(angle), 0.5 * np.sin(angle), 0 * angle], -1)
        solid = sweep(path, rounded_rectangle(m.between(0.05, 0.5), m.between(0.05, 0.2), 0.02))
    else:
        solid = cylinder(0.5, 1, m.between(0, 0.4), m.pick((20, 3, 4, 6)))
    if m.chance(0.25):
        solid = fluted(solid, m.count(2, 8), m.pick((0.0, m.between(0, 0.2))), m.between(-120, 120))
    stretch = np.exp(m.rng.normal(0, m.pick((0.2, 0.5, 0.8)), 3))
    solid = solid.scaled(*stretch)
    if m.chance(0.15):
        solid = solid.bent(m.between(-0.6, 0.6))
    return solid


def turned_about(m: Maker, solid: Solid) -> Solid:
    """Mostly by right angles: made things are."""
    if m.chance(0.7):
        return solid.rotated(m.pick("xyz"), m.pick((0.0, 0.0, 90.0, 180.0)))
    return solid.rotated(m.pick("xyz"), m.between(0, 360)).rotated(m.pick("xyz"), m.between(0, 360))


def touching(m: Maker, base: Solid, solid: Solid, aligned: bool) -> Solid:
    """The solid moved so that it sinks a little into a random face of `base`."""
    a, b, c = np.moveaxis(base.vertices[base.faces], 1, 0)
    normals = np.cross(b - a, c - a)
    areas = np.linalg.norm(normals, axis=1)
    faces = np.flatnonzero(areas > 1e-9)  # some meet in a point
    face = faces[int(m.rng.integers(len(faces)))]
    normal, place = normals[face] / areas[face], (a + b + c)[face] / 3
    if aligned:
        solid = aimed(solid, normal)
    reach = solid.vertices @ normal
    foot = solid.vertices[reach.argmin()]
    if m.chance(0.6):
        # Centred over the place rather than hanging on by its lowest corner.
        centre = (solid.vertices.min(0) + solid.vertices.max(0)) / 2
        lowest = centre + normal * (reach.min() - centre @ normal)
        near = np.linalg.norm(solid.vertices - lowest, axis=1)
        foot = lowest if near.min() < 0.3 * np.ptp(reach) else foot
    sunk = m.between(0.03, 0.35) * float(np.ptp(reach))
    return solid.moved(*(place - foot - normal * sunk))


def random_slot(m: Maker) -> str:
    return m.pick(("a", "a", "b", "c", "d"))
