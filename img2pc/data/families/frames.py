"""Things of thin bars: knots, box frames, bicycles, ladders, webs, cages and hoops."""

from __future__ import annotations

import numpy as np

from img2pc.data.families.maker import Maker
from img2pc.data.families.pieces import circle_outline, copies_around, limb, sphere, torus
from img2pc.data.families.profiles import random_profile
from img2pc.data.families.random_solids import random_slot
from img2pc.data.solids import bar, box, cylinder, rounded_rectangle, superellipsoid, sweep


def open_frame(m: Maker) -> None:
    """Frames, trusses, knots, bicycles, ladders and cages of tubes."""
    styles = (_knot, _box_frame, _bicycle, _ladder, _web, _cage, _hoops)
    m.pick(styles)(m, m.between(0.025, 0.08))


def _knot(m: Maker, thin: float) -> None:
    p, q = m.pick(((2, 1), (2, 3), (2, 5), (3, 1), (3, 2), (3, 5)))  # without a common divisor
    t = np.linspace(0, 2 * np.pi, 80, endpoint=False)
    radius = 0.8 + m.between(0.2, 0.5) * np.cos(q * t)
    path = np.stack(
        [radius * np.cos(p * t), m.between(0.2, 0.6) * np.sin(q * t), radius * np.sin(p * t)],
        -1,
    )
    m.add(
        "a", sweep(path, circle_outline(thin * 2, 8), closed=True).rotated("x", m.pick((0.0, 90.0)))
    )


def _box_frame(m: Maker, thin: float) -> None:
    size = np.array([m.between(0.5, 1.5) for _ in range(3)]) / 2
    corners = [np.array([a, b, c]) * size for a in (-1, 1) for b in (-1, 1) for c in (-1, 1)]
    for i, start in enumerate(corners):
        for end in corners[i + 1 :]:
            apart = np.count_nonzero(start != end)
            if apart == 1 or (apart == 2 and m.chance(0.2)):
                m.add("a", bar(start, end, thin))
        m.add("b", sphere(thin * 1.6, *start))


def _bicycle(m: Maker, thin: float) -> None:
    radius, base = m.between(0.3, 0.45), m.between(0.95, 1.3)
    for z in (-base / 2, base / 2):
        m.add(
            "a",
            torus(radius, thin, 28).rotated("z", 90).moved(0, radius, z),
            cylinder(thin, 0.15).rotated("z", 90).moved(0, radius, z),
        )
        spoke = bar((0, -radius, 0), (0, radius, 0), circle_outline(0.008, 4))
        m.add("b", *(spoke.rotated("x", 180 * i / 7).moved(0, radius, z) for i in range(7)))
    seat, crank = np.array([0, radius * 2.3, -base * 0.18]), np.array([0, radius * 0.9, -0.05])
    fork = np.array([0, radius * 2.3, base * 0.36])
    back = np.array([0, radius, -base / 2])
    for start, end in (
        (seat, crank),
        (seat, fork - [0, 0.05, 0]),
        (crank, fork - [0, 0.1, 0]),
        (back, crank),
        (back, seat),
        (back + np.array([0, 0, base]), fork + np.array([0, 0.12, -0.04])),
    ):
        m.add("c", bar(start, end, thin * 0.7))
    m.add(
        "d",
        superellipsoid(0.16, 0.08, 0.3).moved(*(seat + np.array([0, 0.1, 0]))),
        bar(seat, seat + np.array([0, 0.1, 0]), 0.02),
    )
    m.add(
        "d",
        limb([(-0.3, 0, -0.1), (0, 0, 0), (0.3, 0, -0.1)], 0.02, 1).moved(
            *(fork + np.array([0, 0.12, -0.04]))
        ),
    )
    m.add("b", cylinder(0.12, 0.03).rotated("z", 90).moved(*crank))
    for side in (-1, 1):
        axle, end = (crank + side * np.array([0.08, y, 0]) for y in (0, 0.17))
        pedal = box(0.12, 0.03, 0.08).moved(side * 0.06).moved(*end)
        m.add("b", bar(crank, axle, 0.02), bar(axle, end, 0.015), pedal)


def _ladder(m: Maker, thin: float) -> None:
    height, half, lean = m.between(1.5, 3), m.between(0.2, 0.5), m.between(0, 0.6)
    narrow = m.between(0.5, 1)
    stile = rounded_rectangle(thin * 1.5, thin * 3, 0)
    m.pair("a", bar((half, 0, lean), (half * narrow, height, 0), stile))
    for t in np.linspace(0.1, 0.92, m.count(3, 9)):
        x, y, z = half * (1 + (narrow - 1) * t), t * height, lean * (1 - t)
        m.add("b", bar((-x, y, z), (x, y, z), thin))
    if m.chance(0.5):
        m.pair("a", bar((half * narrow, height, 0), (half, 0, -lean - 0.3), thin))


def _web(m: Maker, thin: float) -> None:
    nodes = m.rng.normal(0, 0.5, (m.count(5, 9), 3))
    for i, node in enumerate(nodes[1:]):
        m.add("a", bar(node, nodes[int(m.rng.integers(i + 1))], thin))
    for node in nodes:
        m.add("b", sphere(m.between(0.05, 0.2), *node))


def _cage(m: Maker, thin: float) -> None:
    radius, height, count = m.between(0.4, 0.7), m.between(0.6, 1.8), m.count(6, 18)
    curve = random_profile(m, height, radius * 0.5, radius * 1.2, 9)
    rib = sweep(np.column_stack([curve, np.zeros(9)]), circle_outline(thin * 0.6, 6))
    m.add("a", *copies_around(rib, count))
    for i in (0, 4, 8):
        m.add("b", torus(float(curve[i, 0]), thin * 0.9, 24).moved(y=float(curve[i, 1])))
    if m.chance(0.5):
        m.add("c", cylinder(float(curve[0, 0]), 0.06))


def _hoops(m: Maker, thin: float) -> None:
    for i in range(m.count(2, 5)):
        # The first one stands upright, and so crosses the stand; they all cross each other.
        loop = torus(m.between(0.5, 0.55), thin, 28).rotated("x", m.between(0, 180) if i else 90)
        m.add(random_slot(m), loop.rotated("y", m.between(0, 180)))
    m.add("b", bar((0, -0.9, 0), (0, 0.55, 0), thin), cylinder(0.4, 0.1, 0.3).moved(y=-0.9))
