"""Anything at all: random assemblies, stacks and arrays of solids, and the odd things.

Creatures, tools, buildings and open frames each have a module of their own.
"""

from __future__ import annotations

import numpy as np

from img2pc.data.families.buildings import building
from img2pc.data.families.creatures import bird, crawler, figure, fish, quadruped
from img2pc.data.families.frames import open_frame
from img2pc.data.families.maker import Maker, Variant
from img2pc.data.families.pieces import copies_around, leaf_blade, limb, roughened, torus
from img2pc.data.families.profiles import random_profile, revolved
from img2pc.data.families.random_solids import random_slot, random_solid, touching, turned_about
from img2pc.data.families.tools import chess_piece, firearm, tool
from img2pc.data.shapes import Part
from img2pc.data.solids import bar, box, superellipsoid


def anything(rng: np.random.Generator) -> list[Part]:
    """Assemblies of random solids, creatures, figures, tools, buildings, stones, frames, chess."""
    m = Maker(rng)
    variants: tuple[Variant, ...] = (
        *(_assembly,) * 7,
        _stack,
        _stack,
        _radial,
        _radial,
        _array,
        quadruped,
        quadruped,
        quadruped,
        bird,
        fish,
        crawler,
        figure,
        figure,
        tool,
        tool,
        firearm,
        building,
        building,
        _stones,
        open_frame,
        open_frame,
        chess_piece,
    )
    m.pick(variants)(m)
    return m.finished(m.pick((0.05, 0.15, 0.3)))


def _assembly(m: Maker) -> None:
    """Two to ten solids, each attached to one before it, often in mirror symmetry."""
    symmetric = m.chance(0.6)
    core = turned_about(m, random_solid(m))
    if symmetric:
        middle = (core.vertices[:, 0].max() + core.vertices[:, 0].min()) / 2
        core = core.moved(x=-middle)
    m.add("a", core)
    solids, size, budget = [core], 1.0, 7000 - len(core.faces)
    for _ in range(m.count(1, 6 if symmetric else 9)):
        size *= m.between(0.75, 1.0)
        solid = turned_about(m, random_solid(m))
        solid = solid.scaled(*(size * m.between(0.3, 1.0),) * 3)
        solid = touching(m, m.pick(solids), solid, m.chance(0.5))
        budget -= len(solid.faces) * (2 if symmetric else 1)
        if budget < 0:
            break
        solids.append(solid)
        if symmetric:
            m.pair(random_slot(m), solid)
        else:
            m.add(random_slot(m), solid)


def _stack(m: Maker) -> None:
    """Solids one on the other."""
    level = 0.0
    for _ in range(m.count(2, 7)):
        solid = turned_about(m, random_solid(m)).scaled(*(m.between(0.4, 1.1),) * 3)
        low, high = solid.vertices.min(0), solid.vertices.max(0)
        x, z = -(low + high)[[0, 2]] / 2 + m.rng.normal(0, 0.08, 2)
        tall = float(high[1] - low[1])
        m.add(random_slot(m), solid.moved(float(x), level - float(low[1]), float(z)))
        level += tall * m.between(0.75, 0.98)
    # Hollow and curved solids may miss one another; a rod makes sure that they hang together.
    m.add("a", bar((0, 0, 0), (0, level, 0), m.between(0.03, 0.12)))


def _radial(m: Maker) -> None:
    """Spokes, petals, legs and wheels about a hub."""
    hub = revolved(random_profile(m, m.between(0.1, 1.5), 0.1, 0.6), m.pick((24, 24, 4, 6, 8)))
    m.add("a", hub)
    top = float(hub.vertices[:, 1].max())
    for _ in range(m.count(1, 3)):
        spoke = turned_about(m, random_solid(m)).scaled(*(m.between(0.3, 0.9),) * 3)
        low, high = spoke.vertices.min(0), spoke.vertices.max(0)
        level = m.between(0.1, 0.9) * top
        spoke = spoke.moved(
            0.12 - float(low[0]), level - float(low[1] + high[1]) / 2, -float(low[2] + high[2]) / 2
        )
        count = min(m.count(3, 12), 4500 // len(spoke.faces))
        m.add(random_slot(m), *copies_around(spoke, count, m.between(0, 90)))
        if m.chance(0.3):
            m.add("b", torus(0.12 + float(high[0] - low[0]), m.between(0.03, 0.1)).moved(y=level))
    if m.chance(0.3):
        m.turn("x", 90)


def _array(m: Maker) -> None:
    """Rows and grids of one solid on a base or joined by rails."""
    columns, rows, layers = m.count(2, 6), m.pick((1, 1, 2, 3, 4)), m.pick((1, 1, 1, 2, 3))
    unit = turned_about(m, random_solid(m))
    while len(unit.faces) * columns * rows * layers > 7000:
        columns, rows, layers = max(columns - 1, 2), max(rows - 1, 1), 1
        if columns == 2 and rows == 1:
            break
    low, high = unit.vertices.min(0), unit.vertices.max(0)
    unit = unit.moved(*(-(low + high) / 2))
    extent = high - low
    step = extent * m.between(0.85, 1.5)
    step[1] = extent[1] * 0.97
    grow, turn = m.pick((1.0, 1.0, m.between(0.8, 1.2))), m.pick((0.0, 0.0, m.between(-25, 25)))
    for i in range(columns):
        for j in range(rows):
            for k in range(layers):
                solid = unit.rotated("y", turn * i).scaled(y=grow**i)
                shift = np.array([i - (columns - 1) / 2, k, j - (rows - 1) / 2]) * step
                lift = extent[1] / 2 * grow**i
                m.add("a" if (i + j) % 2 else "b", solid.moved(shift[0], shift[1] + lift, shift[2]))
    span = step * [columns, 1, rows]
    if rows > 1 or m.chance(0.6):
        m.add("c", box(float(span[0]) * 1.05, 0.1 * float(extent.max()), float(span[2]) * 1.05))
    else:
        rail = box(float(span[0]), *(float(extent.min()) * 0.2 + 0.05,) * 2)
        m.add("c", rail.moved(0, float(extent[1]) / 2, -0.3 * float(extent[2])))


def _stones(m: Maker) -> None:
    """Stones, fruit, potatoes and lumps, alone or in a heap."""
    reach = 0.0
    for i in range(m.pick((1, 1, 1, 2, 3, 5))):
        size = m.between(0.5, 1.2)
        solid = superellipsoid(
            size,
            size * m.between(0.4, 1.2),
            size * m.between(0.5, 1.3),
            m.between(0.4, 1.2),
            m.between(0.4, 1.2),
        )
        solid = roughened(m, solid, m.between(0.03, 0.3), m.between(0.3, 1.4))
        solid = solid.rotated("y", m.between(0, 360))
        low = float(solid.vertices[:, 1].min())
        m.add(
            random_slot(m),
            solid.moved(reach * float(np.cos(2.2 * i)), -low, reach * float(np.sin(2.2 * i))),
        )
        reach = 0.35 * size
    if i == 0 and m.chance(0.4):
        top = m.height()
        rooted = top - min(0.3, top / 2)
        stem = [(0, rooted, 0), (0, top, 0), (0.1, top + m.between(0.1, 0.3), 0)]
        m.add("stem", limb(stem, 0.04, 0.7))
        if m.chance(0.5):
            m.add("leaf", leaf_blade(m.between(0.3, 0.6), 0.2, 20, 40).moved(0, top, 0))
