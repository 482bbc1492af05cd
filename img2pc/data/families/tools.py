"""Tools, firearms and chess pieces."""

from __future__ import annotations

import numpy as np

from img2pc.data.families.maker import Maker
from img2pc.data.families.pieces import (
    blob,
    circle_outline,
    copies_around,
    hull,
    limb,
    side_handle,
    sphere,
    torus,
)
from img2pc.data.families.profiles import hollowed, random_profile, revolved, smooth_profile
from img2pc.data.families.random_solids import random_solid, touching, turned_about
from img2pc.data.solids import (
    bar,
    box,
    cylinder,
    lathe,
    loft,
    rounded_rectangle,
    smooth_path,
    superellipsoid,
    sweep,
)


def tool(m: Maker) -> None:
    """A handle with a head: swords, hammers, axes, brushes, spoons, rackets, guitars."""
    length, grip = m.between(0.8, 2.5), m.between(0.04, 0.1)
    m.add(
        "handle",
        revolved(random_profile(m, length, grip * 0.7, grip * 1.3, 12), m.pick((12, 12, 4, 6))),
    )
    style = m.pick(("blade", "hammer", "axe", "brush", "spoon", "racket", "any", "fork", "guitar"))
    size = m.between(0.2, 0.6)
    top = length - 0.02
    if style == "blade":
        long, wide = m.between(0.5, 2.5), m.between(0.08, 0.3)
        diamond = np.array([(wide, 0), (0, 0.03), (-wide, 0), (0, -0.03)])
        path = smooth_path(
            [(0, top - 0.05, 0), (0, top + long * 0.5, 0), (m.between(-0.3, 0.3), top + long, 0)],
            10,
        )
        m.add(
            "head",
            sweep(
                path,
                diamond[:, ::-1] if m.chance(0.5) else diamond,
                [1, 1, 1, 1, 1, 0.97, 0.9, 0.8, 0.55, 0.05],
            ),
        )
        m.add(
            "guard", box(wide * m.between(2, 5), 0.08, 0.12, 0.02).moved(y=top), sphere(grip * 1.6)
        )
    elif style == "hammer":
        m.add(
            "head",
            revolved(random_profile(m, size * 2, 0.08, 0.25), m.pick((16, 4, 8)))
            .moved(y=-size)
            .rotated("z", 90)
            .moved(y=top),
        )
        if m.chance(0.4):
            m.add(
                "head",
                bar(
                    (size, top, 0),
                    (size * 1.8, top - 0.15, 0),
                    rounded_rectangle(0.12, 0.1, 0),
                    0.3,
                ),
            )
    elif style == "axe":
        blade = np.array(
            [
                (0.0, -0.15),
                (size * 1.5, -size),
                (size * 1.7, 0),
                (size * 1.5, size),
                (0.0, 0.15),
                (-0.2, 0.12),
                (-0.2, -0.12),
            ]
        )
        edge = np.column_stack([blade, np.full(7, -0.05)]) + np.array([0, top - 0.1, 0])
        m.add("head", loft(np.stack([edge, edge + np.array([0, 0, 0.1])])))
        if m.chance(0.3):
            m.add("head", loft(np.stack([edge, edge + np.array([0, 0, 0.1])])).mirrored())
    elif style == "brush":
        m.add("head", box(size * 2, 0.12, 0.25, 0.03).moved(y=top))
        for x in np.linspace(-0.85, 0.85, m.count(4, 12)):
            m.add(
                "hair",
                bar(
                    (float(x) * size, top, 0),
                    (float(x) * size * 1.2, top + m.between(0.3, 0.5), 0),
                    0.05,
                ),
            )
    elif style == "spoon":
        m.add(
            "head",
            superellipsoid(size, size * m.between(1, 1.8), size * 0.3).moved(y=top + size * 0.5),
        )
    elif style == "racket":
        tall = size * m.between(1, 1.4)
        frame = torus(size, 0.04).scaled(z=tall / size).rotated("x", 90)
        m.add("head", frame.moved(y=top + tall))
        for t in np.linspace(-0.7, 0.7, 7).tolist():
            half = float(np.sqrt(1 - t * t))
            middle = top + tall
            m.add(
                "hair",
                bar(
                    (t * size, middle - half * tall, 0),
                    (t * size, middle + half * tall, 0),
                    circle_outline(0.012, 4),
                ),
                bar(
                    (-half * size, middle + t * tall, 0),
                    (half * size, middle + t * tall, 0),
                    circle_outline(0.012, 4),
                ),
            )
    elif style == "fork":
        m.add("head", bar((-size, top, 0), (size, top, 0), 0.05))
        for x in np.linspace(-1, 1, m.count(2, 7)):
            m.add(
                "head",
                limb(
                    [
                        (float(x) * size, top, 0),
                        (float(x) * size, top + 0.3, 0.06),
                        (float(x) * size, top + m.between(0.5, 0.8), 0),
                    ],
                    0.045,
                    0.4,
                ),
            )
    elif style == "guitar":
        outline = smooth_profile(
            [
                (0.02, 0),
                (size, size * 0.5),
                (size * 0.6, size * 1.2),
                (size * 0.75, size * 1.8),
                (0.02, size * 2.2),
            ],
            16,
        )
        around = np.concatenate([outline, outline[1:-1][::-1] * [-1, 1]])
        face = np.column_stack([around, np.full(len(around), -0.1)])
        deep = m.between(0.1, 0.3)
        body = loft(np.stack([face, face + np.array([0, 0, deep])]))
        m.add("head", body.moved(y=top - 0.2))
        m.add(
            "guard",
            box(0.2, 0.3, 0.08, 0.02),
            cylinder(size * 0.25, 0.02).rotated("x", 90).moved(0, top + size, deep - 0.1),
        )
    else:
        m.add(
            "head",
            touching(
                m,
                cylinder(grip, 0.1).moved(y=top),
                random_solid(m).scaled(size, size, size),
                False,
            ),
        )
        head = random_solid(m).scaled(size, size, size)
        m.add(
            "head",
            head.moved(
                *(np.array([0, top, 0]) - (head.vertices.min(0) + head.vertices.max(0)) / 2)
            ),
        )
    pose = m.pick(("up", "up", "flat", "lean"))
    if pose != "up":
        m.turn("z", 90.0 if pose == "flat" else m.between(20, 80))


def firearm(m: Maker) -> None:
    """Pistols, rifles, drills, hair dryers: a barrel along Z with a grip below."""
    length, tall, wide = m.between(0.6, 1.6), m.between(0.12, 0.35), m.between(0.1, 0.3)
    round_body = m.chance(0.4)
    if round_body:
        m.add(
            "a",
            lathe(random_profile(m, length, tall * 0.5, tall).tolist(), 18)
            .moved(y=-length / 2)
            .rotated("x", 90),
        )
    else:
        m.add("a", box(wide, tall * 1.4, length, 0.03))
    barrel, thin = m.between(0.05, 1.6), m.between(0.03, 0.1)
    m.add("b", bar((0, tall * 0.2, length * 0.4), (0, tall * 0.2, length / 2 + barrel), thin))
    grip = box(wide * 0.8, m.between(0.35, 0.7), m.between(0.15, 0.3), 0.05).moved(y=-0.25)
    m.add(
        "c",
        grip.rotated("x", m.between(-5, 30)).moved(0, -tall * 0.4, -length * m.between(0.0, 0.35)),
    )
    guard = torus(0.12, 0.02, 16).rotated("z", 90).moved(0, -tall * 0.6 - 0.08, -length * 0.02)
    m.add("b", guard)
    if m.chance(0.5):
        stock = [
            (-length / 2 + 0.05, wide * 0.7, -tall * 0.5, tall * 0.5),
            (-length * 0.9, wide * 0.8, -tall * 1.6, tall * 0.3),
        ]
        m.add("c", hull(stock, 0.03))
    if m.chance(0.5):
        m.add(
            "b",
            cylinder(0.07, m.between(0.2, 0.6)).rotated("x", 90).moved(0, tall * 0.7 + 0.1, 0),
            box(0.05, 0.2, 0.08).moved(0, tall * 0.7, 0),
        )
    if m.chance(0.5):
        m.add(
            "a",
            box(wide * 0.6, m.between(0.2, 0.5), m.between(0.1, 0.4)).moved(
                0, -tall * 0.8, length * m.between(0.1, 0.4)
            ),
        )


def chess_piece(m: Maker) -> None:
    """Chessmen, trophies, balusters, finials and spinning tops."""
    height, radius = m.between(0.8, 2), m.between(0.25, 0.5)
    profile, level = [(radius, 0.0), (radius, 0.08)], 0.08
    while level < height:
        step = m.between(0.04, 0.4)
        size = radius * m.between(0.25, 0.95) * (1 - 0.4 * level / height)
        profile.append((size, level + (0.0 if m.chance(0.3) else step * 0.4)))
        level += step
    smooth = m.chance(0.5)
    curve = smooth_profile(profile, 30) if smooth else np.asarray(profile)
    m.add("a", revolved(curve, m.pick((24, 24, 24, 6, 8))))
    top = float(curve[-1, 1])
    style = m.pick(("ball", "crown", "any", "cup", "spike"))
    size = radius * m.between(0.4, 0.9)
    if style == "ball":
        m.add("b", blob(m, size * 2, size * 2, size * 2).moved(y=top + size * 0.8))
    elif style == "crown":
        m.add(
            "b",
            *copies_around(
                cylinder(size * 0.2, size, 0.01, 8).moved(size * 0.7, top + size * 0.3),
                m.count(4, 8),
            ),
        )
        m.add("b", cylinder(size * 0.8, size * 0.3).moved(y=top))
    elif style == "cup":
        cup = smooth_profile([(size * 0.3, 0), (size * 1.3, size), (size * 1.4, size * 2)], 10)
        m.add("b", revolved(hollowed(cup, 0.04)).moved(y=top - 0.04))
        m.pair(
            "b",
            side_handle(
                m,
                (size, top + size * 0.6),
                (size * 1.35, top + size * 1.7),
                size * 0.8,
                size * 0.12,
            ),
        )
    elif style == "spike":
        m.add("b", cylinder(size * 0.6, size * 3, 0.01, 12).moved(y=top + size * 1.4))
    else:
        solid = turned_about(m, random_solid(m)).scaled(size, size, size)
        m.add("b", solid.moved(y=top - float(solid.vertices[:, 1].min()) - 0.05))
