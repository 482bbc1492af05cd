"""Leafy plants, cacti, trees, palms, flowers and mushrooms."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from img2pc.data.families.maker import Maker, Variant
from img2pc.data.families.pieces import (
    aimed,
    circle_outline,
    copies_around,
    leaf_blade,
    roughened,
    sphere,
    star_outline,
)
from img2pc.data.families.profiles import (
    fluted,
    hollowed,
    open_shell,
    radius_at,
    random_profile,
    revolved,
    smooth_profile,
)
from img2pc.data.shapes import Part
from img2pc.data.solids import (
    Solid,
    bar,
    cylinder,
    prism,
    rotation,
    smooth_path,
    superellipsoid,
    sweep,
)


def plant(rng: np.random.Generator) -> list[Part]:
    """Potted plants, palms, cacti, broad-leaved and bare trees, conifers, flowers, mushrooms."""
    m = Maker(
        rng,
        leaf=("plastic", "fabric", "paper", "paint"),
        wood=("wood", "wood", "leather"),
        pot=("ceramic", "ceramic", "plastic", "wood", "metal", "fabric"),
        soil=("fabric", "wood", "rubber"),
        petal=("fabric", "paper", "plastic"),
        cap=("leather", "plastic", "ceramic"),
    )
    variants: tuple[Variant, ...] = (
        _leafy_plant,
        _leafy_plant,
        _leafy_plant,
        _cactus,
        _tree,
        _tree,
        _conifer,
        _bare_tree,
        _palm,
        _flowers,
        _flowers,
        _mushrooms,
    )
    m.pick(variants)(m)
    return m.finished()


def _pot(m: Maker, radius: float) -> float:
    """Add a pot with soil; return the height of the soil."""
    height = radius * m.between(0.7, 2.2)
    style = m.pick(("flare", "flare", "bowl", "random"))
    if style == "flare":
        profile = np.array([(radius * m.between(0.55, 1), 0), (radius, height)])
    elif style == "bowl":
        profile = smooth_profile(
            [(radius * 0.5, 0), (radius, height * 0.55), (radius * 0.85, height)], 10
        )
    else:
        profile = random_profile(m, height, 0.6 * radius, 1.1 * radius, 12)
    sections = m.pick((24, 24, 24, 4, 6))
    m.add("pot", revolved(hollowed(profile, radius * 0.07), sections))
    if style == "flare" and m.chance(0.5):
        m.add(
            "pot",
            open_shell(
                np.array([(radius * 1.1, height * 0.8), (radius * 1.12, height)]),
                radius * 0.15,
                sections,
            ),
        )
    if m.chance(0.3):
        m.add("pot", cylinder(radius * 1.1, 0.08, radius * 1.2).moved(y=0.02))
    soil = height * m.between(0.85, 0.95)
    m.add(
        "soil",
        revolved(
            [
                (radius_at(profile, soil * 0.8) * 0.95, soil * 0.8),
                (radius_at(profile, soil) - radius * 0.04, soil),
            ],
            sections,
        ),
    )
    return soil


def _leafy_plant(m: Maker) -> None:
    """Rosettes, blades, bushes on stems and hanging plants in a pot."""
    level = _pot(m, m.between(0.3, 0.7))
    style = m.pick(("rosette", "blades", "stems", "stalks"))
    count = m.count(6, 30)
    width, droop = m.between(0.1, 0.5), m.between(0, 130)
    length, tip = m.between(0.8, 2.2), m.between(0.6, 1.5)
    if style == "blades":
        width, droop = m.between(0.06, 0.2), m.between(-10, 30)
    stem = m.between(0.5, 1.8)
    if style == "stems":
        paths = []
        for _ in range(m.count(1, 4)):
            lean = m.between(-0.5, 0.5), m.between(-0.5, 0.5)
            points = [
                (0, level - 0.1, 0),
                (lean[0] * 0.3, level + stem * 0.5, lean[1] * 0.5),
                (lean[0], level + stem, lean[1]),
            ]
            paths.append(smooth_path(points, 9))
            m.add("wood", sweep(paths[-1], circle_outline(m.between(0.02, 0.06), 7)))
    leaves = [
        leaf_blade(
            1.0,
            width * m.between(0.7, 1.3),
            0,
            droop * m.between(0.5, 1.3),
            m.between(-0.3, 0.6),
            tip,
        )
        for _ in range(3)
    ]
    for i in range(count):
        size = length * m.between(0.5, 1.1)
        lift = m.between(20, 85) if style == "rosette" else m.between(60, 90)
        turn, shape = i * 137.5 + m.between(-15, 15), m.pick(leaves)
        if style == "stems":
            foot = paths[i % len(paths)][m.count(3, 8)]
            solid = (
                shape.scaled(*(size * 0.45,) * 3)
                .rotated("z", m.between(-10, 50))
                .rotated("y", turn)
            )
            m.add("leaf", solid.moved(*foot))
        elif style == "stalks":
            out = size * m.between(0.2, 0.8)
            top = np.array([out, level + size * m.between(0.4, 0.9), 0])
            solid = shape.scaled(*(size * 0.5,) * 3).rotated("z", m.between(-40, 20)).moved(*top)
            stalk = sweep(
                smooth_path([(0, level - 0.05, 0), (out * 0.3, top[1] * 0.8, 0), top], 6),
                circle_outline(0.02, 5),
            )
            m.add("leaf", solid.rotated("y", turn))
            m.add("wood", stalk.rotated("y", turn))
        else:
            solid = shape.scaled(*(size,) * 3).rotated("z", lift).rotated("y", turn)
            m.add("leaf", solid.moved(y=level - 0.03))


def _cactus(m: Maker) -> None:
    level = _pot(m, m.between(0.3, 0.7)) if m.chance(0.7) else 0.0
    style = m.pick(("column", "column", "ball", "pads"))
    if style == "ball":
        for _ in range(m.count(1, 4)):
            size = m.between(0.4, 0.9)
            ball = fluted(
                superellipsoid(size, size * m.between(0.7, 1.4), size), m.pick((6, 8, 12)), 0.08
            )
            m.add(
                "leaf", ball.moved(m.between(-0.2, 0.2), level + size * 0.35, m.between(-0.2, 0.2))
            )
        return
    if style == "pads":
        spots = [(0.0, level - 0.05, 0.0, 0.0)]
        for _ in range(m.count(3, 9)):
            x, y, z, lean = m.pick(spots)
            tall = m.between(0.4, 0.8)
            tilt = float(np.clip(lean + m.between(-50, 50), -75, 75))
            pad = (
                superellipsoid(tall * m.between(0.6, 0.8), tall, tall * 0.18)
                .moved(y=tall * 0.47)
                .rotated("z", -tilt)
            )
            turn = m.between(-30, 30)
            m.add("leaf", pad.rotated("y", turn).moved(x, y, z))
            angle = np.radians(tilt)
            end = rotation("y", turn) @ [np.sin(angle), np.cos(angle), 0]
            spots.append((*(np.array([x, y, z]) + 0.85 * tall * end).tolist(), tilt))
        return
    height, radius = m.between(0.9, 2.5), m.between(0.15, 0.35)
    t = np.linspace(0, 1, 12)
    dome = np.minimum(1, np.sqrt(1 - np.clip((t - 0.85) / 0.16, 0, 1) ** 2))
    section = (
        circle_outline(radius, 24)
        * (1 + 0.12 * np.cos(8 * np.linspace(0, 2 * np.pi, 24, endpoint=False)))[:, None]
    )
    path = np.stack([0 * t, level - 0.05 + t * height, 0 * t], -1)
    m.add("leaf", sweep(path, section, dome * m.between(0.9, 1.1)))
    for _ in range(m.count(0, 4)):
        foot, out = level + height * m.between(0.25, 0.6), radius + m.between(0.25, 0.5)
        tip = foot + height * m.between(0.2, 0.45)
        arm = smooth_path(
            [(0, foot, 0), (out * 0.8, foot, 0), (out, foot + 0.15, 0), (out, tip, 0)], 14
        )
        scale = np.minimum(1, np.sqrt(np.maximum(1 - np.linspace(-5, 1, 14).clip(0) ** 2, 0.05)))
        m.add(
            "leaf",
            sweep(arm, section * 0.65, scale).rotated(
                "y", m.pick((0.0, 180.0)) + m.between(-40, 40)
            ),
        )


def _trunk(m: Maker, height: float, radius: float) -> Float[ndarray, "sample 3"]:
    lean = m.between(-0.2, 0.2) * height, m.between(-0.2, 0.2) * height
    points = [
        (0, 0, 0),
        (lean[0] * m.between(-0.5, 0.6), height * 0.5, lean[1] * 0.3),
        (lean[0], height, lean[1]),
    ]
    path = smooth_path(points, 10)
    m.add("wood", sweep(path, radius, np.linspace(1.3, m.between(0.4, 0.9), 10)))
    return path


def _tree(m: Maker) -> None:
    height, radius = m.between(0.8, 2.5), m.between(0.08, 0.25)
    top = _trunk(m, height, radius)[-1]
    crown = m.between(0.6, 1.4)
    if m.chance(0.25):
        ball = roughened(
            m,
            superellipsoid(crown * 2, crown * m.between(1.4, 3), crown * 2),
            m.between(0.02, 0.15),
            m.between(0.8, 2),
        )
        m.add("leaf", ball.moved(*(top + np.array([0, crown * 0.8, 0]))))
        return
    for _ in range(m.count(3, 8)):
        size = crown * m.between(0.7, 1.4)
        x, y, z = m.rng.normal(0, 0.45, 3) * crown
        puff = roughened(
            m, superellipsoid(size, size * m.between(0.6, 1.1), size), m.between(0.02, 0.12), 1.5
        )
        place = top + np.array([x, abs(y) + 0.3 * crown, z])
        m.add("leaf", puff.moved(*place))
        m.add(
            "wood",
            bar(
                top - [0, height * m.between(0.02, 0.3), 0],
                place,
                circle_outline(radius * 0.4, 7),
                0.5,
            ),
        )


def _conifer(m: Maker) -> None:
    height, radius = m.between(2, 5), m.between(0.6, 1.3)
    stem = height * m.between(0.08, 0.3)
    m.add("wood", cylinder(m.between(0.08, 0.2), stem * 2).moved(y=stem))
    layers, level = m.count(1, 7), stem
    tall = (height - stem) / layers
    for i in range(layers):
        size = radius * (1 - i / layers * 0.8)
        profile = smooth_profile(
            [(size, 0), (size * m.between(0.35, 0.55), tall * 0.6), (0.02, tall * 1.5)], 6
        )
        m.add(
            "leaf", fluted(revolved(profile, 30), m.count(5, 10), m.between(0, 0.12)).moved(y=level)
        )
        level += tall
    if m.chance(0.25):
        star = prism(star_outline(m, 5, 0.25, 0.1), 0.06).rotated("x", 90)
        m.add("petal", star.moved(y=level + tall * 0.5))
    if m.chance(0.3):
        m.add("pot", cylinder(radius * 0.4, stem, radius * 0.5).moved(y=stem / 2))


def _bare_tree(m: Maker) -> None:
    """Branching without leaves, or with a few."""
    forks, shrink = m.count(2, 3), m.between(0.6, 0.8)
    spread, leafy = m.between(20, 50), m.chance(0.4)
    leaf = sphere(0.25) if m.chance(0.3) else leaf_blade(0.5, 0.25, 20, 40)
    ends = [(np.zeros(3), np.array([0.0, 1, 0]), m.between(0.8, 1.4), m.between(0.06, 0.16))]
    for depth in range(4 if forks == 2 else 3):
        grown = []
        for start, direction, length, radius in ends:
            stop = start + direction * length
            m.add("wood", bar(start, stop, circle_outline(radius, 8), shrink))
            if leafy and depth >= 2:
                m.add("leaf", leaf.rotated("y", m.between(0, 360)).moved(*stop))
            for _ in range(forks):
                turned = direction + m.rng.normal(0, np.radians(spread), 3) + [0, 0.15, 0]
                turned /= np.linalg.norm(turned)
                grown.append(
                    (
                        stop - direction * radius * 0.5,
                        turned,
                        length * shrink * m.between(0.8, 1.15),
                        radius * shrink,
                    )
                )
        ends = grown


def _palm(m: Maker) -> None:
    height = m.between(1.5, 4)
    level = _pot(m, 0.5) * 0.9 if m.chance(0.3) else 0.0
    bend = m.between(-1, 1)
    path = smooth_path(
        [(0, level, 0), (bend * 0.25, level + height * 0.5, 0), (bend, level + height, 0)], 12
    )
    m.add(
        "wood",
        sweep(
            path,
            m.between(0.08, 0.16),
            np.linspace(1.3, 0.8, 12) * (1 + 0.08 * (np.arange(12) % 2)),
        ),
    )
    frond = leaf_blade(
        m.between(1.0, 1.8),
        m.between(0.25, 0.5),
        m.between(20, 60),
        m.between(60, 140),
        -m.between(0.3, 1.0),
        0.8,
    )
    top = path[-1]
    for solid in copies_around(frond, m.count(6, 12), m.between(0, 90)):
        m.add("leaf", solid.scaled(y=m.between(0.8, 1.2)).moved(*top))
    for i in range(m.count(0, 3)):
        m.add(
            "cap",
            sphere(0.14, top[0] + 0.15 * np.cos(2.1 * i), top[1] - 0.12, 0.15 * np.sin(2.1 * i)),
        )


def _blossom(m: Maker, size: float) -> list[tuple[str, Solid]]:
    """A flower opening along +Y at the origin."""
    style = m.pick(("daisy", "daisy", "tulip", "bell", "ball"))
    if style == "tulip":
        petal = leaf_blade(size * 1.6, size, 78, -15, 0.4, 0.8).moved(x=size * 0.1)
        return [("petal", solid) for solid in copies_around(petal, m.count(4, 6))]
    if style == "bell":
        profile = smooth_profile(
            [(size * 0.15, 0), (size * 0.4, size * 0.6), (size, size * 1.2)], 8
        )
        return [("petal", fluted(revolved(hollowed(profile, 0.03 * size)), m.count(5, 6), 0.1))]
    if style == "ball":
        return [
            (
                "petal",
                fluted(superellipsoid(size * 1.6, size * 1.4, size * 1.6), 6, 0.1).moved(
                    y=size * 0.5
                ),
            )
        ]
    petal = leaf_blade(
        size * 1.2, size * m.between(0.3, 0.8), m.between(0, 45), m.between(-20, 60), 0.2, 0.7
    )
    petals = [("petal", solid) for solid in copies_around(petal, m.count(5, 11))]
    return [
        *petals,
        ("cap", sphere(size * 0.35).scaled(y=0.6).moved(y=size * 0.05)),
    ]


def _flowers(m: Maker) -> None:
    """Single flowers and bunches, from the ground, in a pot or in a vase."""
    holder = m.pick(("none", "pot", "vase"))
    level = root = 0.0
    mouth = 0.1
    if holder == "pot":
        mouth = m.between(0.25, 0.5)
        level = root = _pot(m, mouth) * 0.95
    elif holder == "vase":
        height, mouth = m.between(0.8, 1.5), m.between(0.12, 0.3)
        belly = [(m.between(0.15, 0.4), 0), (m.between(0.15, 0.5), height * 0.4), (mouth, height)]
        m.add("pot", revolved(hollowed(smooth_profile(belly), 0.03)))
        level, root = height * 0.6, 0.04
    count = m.pick((1, 1, 2, 3, 4, 5))
    size = m.between(0.15, 0.4) * (1.3 if count == 1 else 0.8)
    for i in range(count):
        angle, lean = 2.4 * i, m.between(0.0, 0.5) * (count > 1)
        tall = m.between(0.8, 1.8)
        x, z = lean * np.cos(angle), lean * np.sin(angle)
        inside = min(mouth * 0.6, lean)
        points = [
            (0, root - 0.02, 0),
            (inside * np.cos(angle), level + tall * 0.4, inside * np.sin(angle)),
            (x, level + tall, z),
        ]
        path = smooth_path(points, 8)
        m.add("leaf", sweep(path, circle_outline(m.between(0.015, 0.04), 6)))
        facing = path[-1] - path[-2] + np.array([x, 0, z + 0.1]) * m.between(0, 0.5)
        for slot, solid in _blossom(m, size):
            m.add(slot, aimed(solid, facing, path[-1]))
        for _ in range(m.count(0, 3)):
            leaf = leaf_blade(
                m.between(0.3, 0.7), m.between(0.1, 0.25), m.between(20, 70), m.between(0, 80), 0.2
            )
            m.add("leaf", leaf.rotated("y", m.between(0, 360)).moved(*path[m.count(2, 5)]))


def _mushrooms(m: Maker) -> None:
    for i in range(m.pick((1, 1, 2, 3, 5))):
        height, radius = m.between(0.5, 1.5) * (1 if i == 0 else 0.6), m.between(0.3, 0.8)
        radius *= 1 if i == 0 else 0.5
        stem = radius * m.between(0.15, 0.5)
        x, z = (0.0, 0.0) if i == 0 else (m.between(-0.5, 0.5), m.between(-0.5, 0.5))
        bulb = smooth_profile(
            [
                (stem * m.between(1, 1.8), 0),
                (stem, height * 0.4),
                (stem * m.between(0.7, 1.1), height),
            ],
            10,
        )
        m.add("pot", revolved(bulb, 16).moved(x, 0, z))
        dome, brim = radius * m.between(0.3, 1.3), radius * m.between(-0.3, 0.15)
        under = [
            (stem * 0.5, height),
            (radius * 0.9, height + brim - 0.03),
            (radius, height + brim),
        ]
        over = smooth_profile(
            [
                (radius, height + brim),
                (radius * 0.8, height + dome * 0.6 + brim * 0.5),
                (0.02, height + dome),
            ],
            8,
        )
        m.add("cap", revolved([*under, *over[1:].tolist()]).moved(x, 0, z))
    if i > 0:
        m.add("soil", superellipsoid(1.6, 0.25, 1.6, 1, 0.8))
