"""Quadrupeds, birds, fish, crawling things and human figures."""

from __future__ import annotations

import numpy as np

from img2pc.data.families.maker import Maker
from img2pc.data.families.pieces import (
    aimed,
    blob,
    circle_outline,
    copies_around,
    leaf_blade,
    limb,
    roughened,
    sphere,
    tapered_block,
)
from img2pc.data.families.profiles import open_shell
from img2pc.data.families.wings import fuselage, tapered_wing, upright_fin
from img2pc.data.solids import Solid, bar, box, cylinder, superellipsoid, sweep


def quadruped(m: Maker) -> None:
    """Four-legged animals from mouse to giraffe, standing."""
    length, girth = m.between(0.9, 2.0), m.between(0.25, 0.6)
    leg, thick = m.between(0.2, 1.3), girth * m.between(0.15, 0.4)
    level = leg + girth * 0.7
    sag = m.between(-0.1, 0.12)
    chest, belly, rump = (girth * m.between(0.75, 1.15) for _ in range(3))
    body = [
        (-length / 2, level + 0.05, 0.1 * girth, 0.1 * girth),
        (-length * 0.36, level, rump * 0.8, rump),
        (0, level - sag, belly * 0.85, belly),
        (length * 0.34, level, chest * 0.8, chest * 1.05),
        (length / 2, level + 0.1, girth * 0.3, girth * 0.3),
    ]
    m.add("fur", fuselage(body, 16, 14))
    for z, bend in ((length * 0.33, 0.05), (-length * 0.36, -0.15)):
        step, x = m.between(-0.25, 0.25) * leg, girth * 0.5
        for side, forward in ((1, step), (-1, -step)):
            points = [
                (side * x, level, z),
                (side * x, leg * 0.5, z + bend * leg + forward * 0.4),
                (side * x, 0.03, z + forward),
            ]
            m.add("fur", limb(points, thick * 1.3, 0.55))
            m.add(
                "hoof",
                superellipsoid(thick * 1.7, thick, thick * 2.2, 0.6, 0.8).moved(
                    side * x, thick * 0.4, z + forward + thick * 0.3
                ),
            )
    neck, tilt = m.between(0.1, 1.2), np.radians(m.between(10, 80))
    nape = np.array([0, level + girth * 0.35, length * 0.4])
    head = nape + neck * np.array([0, np.sin(tilt), np.cos(tilt)])
    m.add(
        "fur",
        limb(
            [nape - [0, 0.3 * girth, 0.1], (nape + head) / 2, head],
            girth * m.between(0.4, 0.7),
            m.between(0.55, 0.9),
        ),
    )
    skull = girth * m.between(0.6, 1.1)
    m.add("fur", superellipsoid(skull, skull * 0.95, skull * 1.15).moved(*head))
    snout = skull * m.between(0.4, 1.3)
    drop = m.between(-0.45, 0.0) * skull
    m.add(
        "fur",
        limb(
            [
                head,
                head + np.array([0, drop * 0.6, snout * 0.6]),
                head + np.array([0, drop, snout]),
            ],
            skull * 0.36,
            m.between(0.5, 0.9),
        ),
    )
    m.add("hoof", sphere(skull * 0.15, 0, float(head[1] + drop), float(head[2] + snout)))
    m.pair(
        "hoof",
        sphere(
            skull * 0.09, skull * 0.38, float(head[1]) + skull * 0.15, float(head[2]) + skull * 0.38
        ),
    )
    ear = m.pick(("point", "round", "flop", "long"))
    size = skull * m.between(0.3, 0.7)
    if ear == "round":
        solid = superellipsoid(size, size, size * 0.4)
    elif ear == "flop":
        solid = superellipsoid(size * 0.4, size * 1.5, size * 0.8).moved(
            x=size * 0.3, y=-size * 0.4
        )
    else:
        solid = (
            cylinder(size * 0.35, size * (3 if ear == "long" else 1.3), 0.02, 8)
            .scaled(z=0.5)
            .moved(y=size * 0.6)
            .rotated("z", -m.between(5, 40))
        )
    m.pair("fur", solid.moved(skull * 0.38, float(head[1]) + skull * 0.42, float(head[2])))
    if m.chance(0.25):
        out, rise = skull * m.between(0.3, 1.2), skull * m.between(0.5, 1.6)
        horn = [
            (skull * 0.25, 0, 0),
            (skull * 0.25 + out, rise * 0.4, 0),
            (skull * 0.3 + out * 0.6, rise, m.between(-0.3, 0.3)),
        ]
        m.pair(
            "hoof",
            limb(horn, skull * 0.12, 0.2).moved(0, float(head[1]) + skull * 0.35, float(head[2])),
        )
    tail, curl = m.between(0.1, 1.2), m.between(-0.8, 0.8)
    start = np.array([0, level + girth * 0.2, -length * 0.45])
    m.add(
        "fur",
        limb(
            [
                start,
                start + np.array([0, curl * tail * 0.2, -tail * 0.5]),
                start + np.array([0, curl * tail, -tail * 0.8]),
            ],
            girth * m.between(0.08, 0.3),
            m.between(0.2, 1.2),
        ),
    )


def bird(m: Maker) -> None:
    length, girth = m.between(0.8, 1.4), m.between(0.3, 0.55)
    leg, pitch = m.between(0.1, 1.0), m.between(0, 55)
    lift = leg + girth * 0.8
    body = superellipsoid(girth * 1.6, girth * 1.6, length).rotated("x", -pitch)
    m.add("fur", body.moved(y=lift))
    angle = np.radians(pitch)
    ahead = np.array([0, np.sin(angle), np.cos(angle)])
    chest, neck = np.array([0, lift, 0]) + ahead * length * 0.35, m.between(0.05, 0.9)
    head = chest + np.array([0, neck * 0.9 + girth * 0.4, m.between(0.05, 0.4)])
    m.add(
        "fur",
        limb(
            [chest - ahead * 0.1, (chest + head) / 2 + [0, 0, m.between(-0.15, 0.15)], head],
            girth * m.between(0.3, 0.6),
            0.6,
        ),
    )
    skull = girth * m.between(0.5, 0.9)
    m.add("fur", superellipsoid(skull, skull, skull * 1.15).moved(*head))
    beak = (
        cylinder(skull * 0.28, skull * m.between(0.5, 1.6), 0.02, 10)
        .scaled(x=m.between(0.6, 1.3))
        .moved(y=skull * 0.7)
    )
    m.add("beak", aimed(beak, (0, m.between(-0.4, 0.1), 1), head))
    spread = m.chance(0.4)
    if spread:
        wing = tapered_wing(
            length * m.between(0.8, 1.5),
            (length * 0.6, length * 0.25),
            length * m.between(0, 0.4),
            length * m.between(-0.1, 0.6),
            0.06,
        )
        m.pair("wing", wing.moved(girth * 0.3, lift + girth * 0.2, 0))
    else:
        fold = superellipsoid(girth * 0.25, girth * 1.1, length * 0.9).rotated("x", -pitch)
        m.pair("wing", fold.moved(girth * 0.75, lift, -0.1))
    tail = tapered_block(
        (girth * 0.5, 0.06), (girth * m.between(0.5, 1.6), 0.04), length * m.between(0.3, 1)
    )
    rise = m.between(-0.5, 0.6)
    behind = np.array([0, lift, 0]) - ahead * length * 0.4
    m.add("wing", tail.rotated("x", float(np.degrees(np.arctan2(-1, rise)))).moved(*behind))
    for side in (-1, 1):
        x = side * girth * 0.35
        m.add("beak", bar((x, lift - girth * 0.4, 0), (x, 0.02, 0.05), 0.035))
        for toe in (-30, 0, 30, 180):
            m.add(
                "beak",
                bar((0, 0.02, 0), (0, 0.02, 0.22), circle_outline(0.03, 6), 0.4)
                .rotated("y", toe)
                .moved(x, 0, 0.05),
            )


def fish(m: Maker) -> None:
    """Fish, sharks and whales, afloat or on a stand."""
    length, tall, thick = m.between(1.2, 2.4), m.between(0.2, 0.7), m.between(0.12, 0.5)
    end = length / 2
    body = [
        (-end, 0, 0.03, 0.08 * tall),
        (-end * 0.6, 0, thick * 0.35, tall * 0.35),
        (0, 0, thick, tall),
        (end * 0.6, 0, thick * 0.85, tall * 0.75),
        (end, -0.05, thick * 0.15, tall * 0.12),
    ]
    m.add("fur", fuselage(body))
    upright = m.chance(0.75)
    fluke = tapered_wing(
        tall * m.between(0.7, 1.5),
        (length * 0.18, length * 0.06),
        length * m.between(0.05, 0.25),
        0,
        0.12,
    )
    for side in (-90.0, 90.0) if upright else (0.0, 180.0):
        turned = fluke.rotated("z", side) if upright else fluke.scaled(x=1 if side == 0 else -1)
        m.add("wing", turned.moved(z=-end * 0.95))
    m.add(
        "wing",
        upright_fin(
            tall * m.between(0.3, 1),
            (length * m.between(0.15, 0.45), length * 0.08),
            length * 0.15,
            0.08,
        ).moved(0, tall * 0.8, m.between(-0.2, 0.2)),
    )
    side_fin = tapered_wing(
        tall * m.between(0.5, 1.2), (length * 0.14, length * 0.06), length * 0.12, -tall * 0.4, 0.1
    )
    m.pair("wing", side_fin.moved(thick * 0.7, -tall * 0.2, end * 0.35))
    m.pair("beak", sphere(0.06, thick * 0.65, tall * 0.2, end * 0.65))
    if m.chance(0.4):
        m.add(
            "stand",
            bar((0, -tall * 0.8, 0), (0, -tall * 2, 0), 0.05),
            cylinder(0.4, 0.08).moved(y=-tall * 2),
        )


def crawler(m: Maker) -> None:
    """Insects, spiders, crabs, turtles, snakes and octopuses."""
    style = m.pick(("insect", "snake", "turtle", "octopus"))
    if style == "snake":
        t = np.linspace(0, 1, 30)
        turns, tight = m.between(0.8, 2.5), m.between(0.3, 1)
        path = np.stack(
            [
                np.cos(turns * 6.28 * t) * (0.3 + tight * (1 - t)),
                0.15 + m.between(0, 0.8) * t**2,
                np.sin(turns * 6.28 * t) * (0.3 + tight * (1 - t)) + m.between(-1, 1) * t,
            ],
            -1,
        )
        m.add(
            "fur",
            sweep(path, m.between(0.08, 0.14), np.interp(t, [0, 0.4, 0.9, 1], [0.15, 1, 0.9, 0.7])),
        )
        m.add("fur", aimed(superellipsoid(0.28, 0.4, 0.2), path[-1] - path[-2], path[-1]))
        return
    level = m.between(0.15, 0.5)
    if style == "octopus":
        m.add("fur", superellipsoid(0.9, m.between(0.8, 1.6), 0.9).moved(y=0.8))
        arm = [
            (0.1, 0.4, 0),
            (0.5, 0.25, m.between(-0.3, 0.3)),
            (1, 0.08, 0),
            (m.between(1, 1.5), m.between(0.05, 0.6), m.between(-0.3, 0.3)),
        ]
        m.add("fur", *copies_around(limb(arm, 0.16, 0.2), m.count(5, 8)))
        m.pair("eye", sphere(0.1, 0.22, 0.8, 0.4))
        return
    shell = style == "turtle"
    sizes = (0.8,) if shell else tuple(m.between(0.3, 0.9) for _ in range(m.count(1, 3)))
    lengths = [size * m.between(0.9, 1.5) for size in sizes]
    middle = level + 0.1
    z, back = 0.0, sizes[0] * m.between(0.4, 0.9) / 2
    for i, (size, long) in enumerate(zip(sizes, lengths, strict=True)):
        z -= 0.42 * (lengths[i - 1] + long) if i else 0
        tall = size * m.between(0.4, 0.9) if i else 2 * back
        m.add("shell", superellipsoid(size, tall, long).moved(0, middle, z))
    head = np.array([0, level + m.between(0, 0.2), lengths[0] / 2 + 0.12])
    m.add("fur", superellipsoid(0.35, 0.3, 0.4).moved(*head))
    count, reach = (2 if shell else m.count(3, 5)), m.between(0.4, 1.0)
    for i in range(count):
        spot = (0.3 - 0.6 * i / max(count - 1, 1)) * lengths[0]
        knee = (0.2 + reach * 0.5, level + (0.0 if shell else m.between(0, 0.5)), spot * 1.5)
        m.pair(
            "fur",
            limb(
                [(0.05, middle, spot), knee, (0.2 + reach, 0.02, spot * 2.2)],
                m.between(0.1, 0.16) if shell else m.between(0.03, 0.07),
                0.5,
            ),
        )
    if not shell and m.chance(0.7):
        m.pair(
            "fur",
            limb(
                [*(head + np.array([(0.06, 0.05, 0.1), (0.15, 0.4, 0.35), (0.3, 0.3, 0.65)]))],
                0.025,
                0.5,
            ),
        )
    if not shell and m.chance(0.35):
        m.pair(
            "wing",
            leaf_blade(m.between(0.6, 1.2), 0.5, 25, 30)
            .rotated("y", m.between(10, 50))
            .moved(0.05, middle + 0.8 * back, 0),
        )


def figure(m: Maker) -> None:
    """Standing, sitting or gesturing figures: people, dolls, robots, snowmen and bears."""
    boxy = m.chance(0.3)
    leg, torso, wide = m.between(0.3, 1.1), m.between(0.5, 0.9), m.between(0.3, 0.6)
    thick = wide * m.between(0.18, 0.4)

    def lump(width: float, height: float, depth: float) -> Solid:
        return box(width, height, depth, 0.05) if boxy else blob(m, width, height, depth)

    sitting = m.chance(0.2)
    hips = thick if sitting else leg
    m.add(
        "coat",
        lump(wide * m.between(0.9, 1.3), torso * 1.15, wide * m.between(0.5, 1)).moved(
            y=hips + torso / 2
        ),
    )
    head = m.between(0.25, 0.7)
    top = hips + torso * 1.05 + head * 0.4
    m.add(
        "skin",
        lump(head, head * m.between(0.9, 1.2), head * 0.95).moved(y=top),
        bar((0, hips + torso * 0.8, 0), (0, top, 0), head * 0.2),
    )
    for side in (-1, 1):
        x = side * wide * 0.28
        if sitting:
            points = [(x, hips, 0), (x * 1.2, hips, leg * 0.5), (x * 1.5, hips, leg)]
            foot = np.array([x * 1.5, hips + thick * 0.3, leg])
        else:
            step = m.between(-0.25, 0.25) * leg
            points = [
                (x, hips + 0.1, 0),
                (x * 1.1, hips * 0.5, step * 0.6 + 0.03),
                (x * 1.2, 0.05, step),
            ]
            foot = np.array([x * 1.2, 0.06, step + 0.06])
        m.add("trousers", limb(points, thick, m.between(0.6, 0.9)))
        m.add("shoe", lump(thick * 1.6, 0.14, thick * 2.8).moved(*foot))
        shoulder = np.array([side * wide * 0.5, hips + torso * 0.9, 0])
        swing, out = np.radians(m.between(-70, 170)), m.between(0.05, 0.9)
        down = np.array([side * out, -np.cos(swing), np.sin(swing)])
        elbow = shoulder + down / np.linalg.norm(down) * torso * 0.5
        bend = down + np.array([0, m.between(0, 0.8), m.between(0, 1)])
        hand = elbow + bend / np.linalg.norm(bend) * torso * 0.45
        m.add("coat", limb([shoulder, elbow, hand], thick * 0.75, 0.7))
        m.add("skin", sphere(thick * 0.75, *hand))
        if side == 1 and m.chance(0.3):
            rod = bar((0, -0.5, 0), (0, m.between(0.4, 1.4), 0), 0.03)
            m.add("prop", rod.rotated("x", m.between(-20, 90)).moved(*hand))
    hat = m.pick(("none", "none", "brim", "cone", "ears", "hair"))
    if hat == "brim":
        m.add(
            "hat",
            cylinder(head * 0.85, 0.05).moved(y=top + head * 0.3),
            cylinder(head * 0.5, head * 0.6, head * 0.42).moved(y=top + head * 0.5),
        )
    elif hat == "cone":
        m.add("hat", cylinder(head * 0.5, head * 1.3, 0.01).moved(y=top + head * 0.9))
    elif hat == "ears":
        m.pair(
            "skin",
            superellipsoid(head * 0.4, head * 0.45, head * 0.2).moved(
                head * 0.4, top + head * 0.45
            ),
        )
    elif hat == "hair":
        m.add(
            "hat",
            roughened(m, superellipsoid(head * 1.15, head, head * 1.1), 0.06, 2).moved(
                0, top + head * 0.15, -head * 0.12
            ),
        )
    if m.chance(0.25):
        m.add(
            "coat",
            open_shell(
                np.array(
                    [(wide * m.between(0.7, 1.3), hips * 0.4), (wide * 0.5, hips + torso * 0.4)]
                ),
                0.05,
            ),
        )
