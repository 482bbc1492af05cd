"""Cartons, suitcases, bins and mail boxes."""

from __future__ import annotations

import numpy as np

from img2pc.data.families.maker import Maker
from img2pc.data.families.pieces import blob, front_panel, sphere, tapered_block, torus
from img2pc.data.families.profiles import hollowed, revolved, smooth_profile
from img2pc.data.solids import bar, box, cylinder, loft, rounded_rectangle, smooth_path, sweep


def carton(m: Maker) -> None:
    """Boxes, crates and books, closed, open with flaps, or stacked."""
    width, height, depth = m.between(0.5, 1.5), m.between(0.2, 1.4), m.between(0.4, 1.2)
    style, wall = m.pick(("open", "open", "closed", "crate", "stack", "book")), 0.03
    if style == "closed":
        m.add("card", box(width, height, depth).moved(y=height / 2))
        m.add("tape", box(width * 1.005, 0.01, 0.12).moved(y=height))
        if m.chance(0.4):
            m.add("tape", box(0.1, 0.02, depth * 1.01).moved(y=height))
            m.pair("tape", sphere(0.12, 0.12, height + 0.06).scaled(z=0.6))
        return
    if style in ("stack", "book"):
        level = 0.0
        for _ in range(m.count(1, 5)):
            thick = m.between(0.08, 0.3) if style == "book" else m.between(0.2, 0.8)
            size = (width * m.between(0.7, 1), thick, depth * m.between(0.7, 1))
            turn, slot = m.between(-25, 25), m.pick(("card", "cover", "body"))
            if style == "book":
                m.add(
                    "page",
                    box(size[0] * 0.95, thick * 0.8, size[2] * 0.95)
                    .moved(0.01, level + thick / 2)
                    .rotated("y", turn),
                )
                for y in (0.04, 0.96):
                    m.add(
                        slot,
                        box(size[0], thick * 0.1, size[2])
                        .moved(y=level + thick * y)
                        .rotated("y", turn),
                    )
                m.add(
                    slot,
                    box(0.03, thick, size[2])
                    .moved(-size[0] / 2, level + thick / 2)
                    .rotated("y", turn),
                )
            else:
                m.add(slot, box(*size).moved(y=level + thick / 2).rotated("y", turn))
            level += thick
        return
    m.add("card", box(width, wall, depth).moved(y=wall / 2))
    if style == "crate":
        rows = m.count(2, 5)
        for i in range(rows):
            y, tall = height * (i + 0.5) / rows, height / rows * m.between(0.55, 0.95)
            m.pair("card", box(wall, tall, depth).moved(width / 2, y))
            for z in (-depth / 2, depth / 2):
                m.add("card", box(width + wall, tall, wall).moved(0, y, z))
        for z in (-depth / 2, depth / 2):
            m.pair("card", box(0.08, height, 0.08).moved(width / 2 - 0.02, height / 2, z * 0.94))
        return
    m.pair("card", box(wall, height, depth).moved(width / 2, height / 2))
    for z in (-depth / 2, depth / 2):
        m.add("card", box(width + wall, height, wall).moved(0, height / 2, z))
    flap = m.between(0.25, 0.5)
    for side in (-1, 1):
        if m.chance(0.85):
            lid = box(wall * 0.7, flap * width, depth).moved(y=flap * width / 2)
            m.add(
                "card",
                lid.rotated("z", -side * m.between(-60, 130)).moved(
                    side * width / 2, height - 0.01
                ),
            )
        if m.chance(0.85):
            lid = box(width, flap * depth, wall * 0.7).moved(y=flap * depth / 2)
            m.add(
                "card",
                lid.rotated("x", side * m.between(-60, 130)).moved(
                    0, height - 0.01, side * depth / 2
                ),
            )


def suitcase(m: Maker) -> None:
    """Suitcases, briefcases, backpacks and handbags."""
    width, height, depth = m.between(0.7, 1.4), m.between(0.7, 1.7), m.between(0.25, 0.6)
    style = m.pick(("trolley", "briefcase", "bag", "backpack"))
    if style == "bag":
        slim = m.between(0.1, 0.6)
        upper = (width * m.between(0.5, 1), depth * slim)
        bag = tapered_block((width, depth), upper, height * 0.6, 0, m.between(0.02, 0.15))
        m.add("case", bag)
        rise, top, side = m.between(0.3, 0.8), height * 0.58, width * 0.25
        grip = smooth_path(
            [
                (-side, top, 0),
                (-side * 0.7, top + rise, 0),
                (side * 0.7, top + rise, 0),
                (side, top, 0),
            ],
            16,
        )
        for z in (-0.05, 0.05):
            m.add("strap", sweep(grip, rounded_rectangle(0.03, 0.06, 0.01)).moved(z=z * depth * 3))
        front = depth / 2 * (1 - 0.75 * (1 - slim))  # three quarters of the way up
        m.add("trim", box(0.12, 0.1, 0.04).moved(0, height * 0.45, front))
        return
    if style == "backpack":
        m.add("case", blob(m, width, height, depth).moved(y=height / 2))
        m.add(
            "case",
            blob(m, width * 0.75, height * 0.45, depth * 0.6).moved(0, height * 0.3, depth * 0.45),
        )
        strap = [
            (width * 0.25, height * 0.9, -depth * 0.3),
            (width * 0.3, height * 0.6, -depth * 0.9),
            (width * 0.3, height * 0.1, -depth * 0.3),
        ]
        m.pair("strap", sweep(smooth_path(strap, 14), rounded_rectangle(0.14, 0.04, 0)))
        m.add("strap", torus(0.12, 0.025, 14).rotated("x", 90).moved(0, height, -depth * 0.1))
        return
    edge = m.between(0.02, 0.2)
    m.add("case", box(width, height, depth, edge).moved(y=height / 2))
    m.add("trim", box(width * 1.01, height * 1.005, 0.03, edge * 0.1).moved(y=height / 2))
    rise = m.between(0.08, 0.2) if style == "briefcase" else m.between(0.1, 0.8)
    side = width * m.between(0.12, 0.25)
    z = 0.0 if style == "briefcase" else -depth * 0.35
    m.pair("trim", bar((side, height - 0.05, z), (side, height + rise, z), 0.025))
    m.add("trim", box(2 * side + 0.08, 0.06, 0.07, 0.02).moved(0, height + rise, z))
    if style == "trolley":
        wheel = cylinder(0.06, 0.05, sections=12).rotated("z", 90)
        inset = max(edge, 0.03)  # as the case is rounded
        for z in (inset - depth / 2, depth / 2 - inset):
            m.pair("wheel", wheel.moved(width / 2 - inset, -0.03, z))
        for x in np.linspace(-0.35, 0.35, m.pick((0, 2, 3, 4, 5, 6))):
            m.add(
                "case",
                box(0.05, height * 0.85, depth * 1.04, 0.02).moved(float(x) * width, height / 2),
            )


def waste_bin(m: Maker) -> None:
    radius, height = m.between(0.35, 0.6), m.between(0.7, 1.5)
    style = m.pick(("open", "dome", "pedal", "wheelie"))
    if style == "wheelie":
        width, depth = radius * 1.7, radius * 1.9
        rear = 0.05 - depth / 2
        m.add(
            "body", tapered_block((width * 0.75, depth * 0.75), (width, depth), height, 0.05, 0.06)
        )
        m.add(
            "lid",
            box(width * 1.06, 0.1, depth * 1.08, 0.03)
            .rotated("x", m.between(0, 12))
            .moved(0, height + 0.04, 0.05),
        )
        m.pair("wheel", cylinder(0.14, 0.1).rotated("z", 90).moved(width * 0.38, 0.1, -depth * 0.4))
        m.add(
            "trim",
            bar((-width * 0.4, height, rear), (width * 0.4, height, rear), 0.03),
        )
        return
    profile = np.array([(radius * m.between(0.7, 1), 0), (radius, height)])
    sections = m.pick((24, 24, 4, 8))
    m.add("body", revolved(hollowed(profile, 0.03), sections))
    for y in np.linspace(0.1, 0.9, m.count(0, 4)) if sections == 24 else ():
        m.add(
            "body",
            torus(float(np.interp(y, [0, 1], profile[:, 0])), 0.02).moved(y=float(y) * height),
        )
    if style == "open":
        return
    rise = radius * m.between(0.2, 0.9)
    dome = smooth_profile([(radius * 1.04, 0), (radius * 0.85, rise * 0.6), (0.02, rise)], 10)
    m.add("lid", revolved(dome).moved(y=height - 0.02))
    if style == "pedal":
        m.add("trim", box(0.2, 0.05, 0.25, 0.02).moved(0, 0.06, radius))
    elif m.chance(0.5):
        m.add(
            "trim", front_panel(radius * 0.9, rise * 0.5, 0.1, 0, height + rise * 0.3, radius * 0.9)
        )


def mailbox(m: Maker) -> None:
    width, height, depth = m.between(0.4, 0.8), m.between(0.4, 0.8), m.between(0.6, 1.2)
    post = m.between(0.8, 2.0)
    angle = np.linspace(0, np.pi, 10)
    arch = np.stack([np.cos(angle) * width / 2, np.sin(angle) * width / 2 + height / 2], -1)
    outline = np.concatenate([arch, [(-width / 2, 0), (width / 2, 0)]])
    rings = [np.column_stack([outline, np.full(len(outline), z)]) for z in (-depth / 2, depth / 2)]
    m.add("body", loft(np.stack(rings)).moved(y=post))
    door = [np.column_stack([outline * 1.03, np.full(len(outline), z)]) for z in (0.0, 0.05)]
    m.add("body", loft(np.stack(door)).moved(y=post - 0.01, z=depth / 2 - 0.02))
    m.add("trim", box(0.12, 0.06, 0.08).moved(0, post + height * 0.7, depth / 2 + 0.03))
    m.add(
        "trim",
        box(0.02, 0.3, 0.06).moved(width / 2, post + height * 0.6, 0),
        box(0.02, 0.12, 0.2).moved(width / 2, post + height * 0.6 + 0.12, 0.07),
    )
    if m.chance(0.75):
        m.add(
            "post",
            box(0.14, post + 0.05, 0.14).moved(y=post / 2),
            box(width * 0.6, 0.06, depth * 0.8).moved(y=post - 0.02),
        )
