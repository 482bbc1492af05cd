"""Household things: the family, and its kitchen machines, clocks and fans.

Screens and the like are in `electronics`, boxes in `containers`, sanitary ware in `bathroom`.
"""

from __future__ import annotations

import numpy as np

from img2pc.data.families.bathroom import bathtub, toilet, washbasin
from img2pc.data.families.containers import carton, mailbox, suitcase, waste_bin
from img2pc.data.families.electronics import (
    camera,
    keyboard,
    laptop,
    printer,
    radio,
    screen,
    speaker,
    telephone,
)
from img2pc.data.families.joinery import cuts
from img2pc.data.families.maker import Maker, Variant
from img2pc.data.families.pieces import (
    blob,
    circle_outline,
    front_knob,
    front_panel,
    side_handle,
    sphere,
    tapered_block,
    torus,
)
from img2pc.data.families.profiles import (
    hollowed,
    random_profile,
    random_sections,
    revolved,
    smooth_profile,
)
from img2pc.data.families.wings import tapered_wing
from img2pc.data.shapes import Part
from img2pc.data.solids import bar, box, cylinder, smooth_path, superellipsoid, sweep


def appliance(rng: np.random.Generator) -> list[Part]:
    """Kitchen machines, screens, computers, audio, cameras, containers, bathroom and mail boxes."""
    m = Maker(
        rng,
        body=("paint", "metal", "plastic", "ceramic", "wood"),
        panel=("glass", "plastic", "metal"),
        trim=("metal", "plastic", "rubber"),
        screen=("glass", "plastic"),
        card=("paper", "paper", "wood", "plastic"),
        case=("fabric", "leather", "plastic", "metal"),
        basin=("ceramic", "ceramic", "metal", "plastic"),
        metal=("metal", "metal", "ceramic"),
    )
    variants: tuple[Variant, ...] = (
        _cabinet,
        _cabinet,
        _cabinet,
        _toaster,
        _coffee_maker,
        _blender,
        screen,
        screen,
        laptop,
        keyboard,
        printer,
        speaker,
        radio,
        camera,
        carton,
        carton,
        suitcase,
        waste_bin,
        mailbox,
        toilet,
        bathtub,
        washbasin,
        _clock,
        _fan,
        telephone,
    )
    m.pick(variants)(m)
    return m.finished()


def _cabinet(m: Maker) -> None:
    """Microwaves, ovens, fridges, washing machines, dishwashers, safes and lockers."""
    style = m.pick(("microwave", "oven", "fridge", "washer", "locker"))
    width, depth = m.between(0.8, 1.2), m.between(0.6, 1.0)
    height = {
        "microwave": m.between(0.4, 0.7),
        "oven": m.between(0.9, 1.4),
        "fridge": m.between(1.2, 2.4),
        "washer": m.between(0.9, 1.4),
        "locker": m.between(0.6, 2.4),
    }[style]
    front, edge = depth / 2, m.between(0.0, 0.08)
    m.add("body", box(width, height, depth, edge).moved(y=height / 2))
    if m.chance(0.5):
        foot = cylinder(0.04, 0.12, sections=10)
        m.pair(
            "trim",
            foot.moved(width * 0.42, -0.02, front * 0.8),
            foot.moved(width * 0.42, -0.02, -front * 0.8),
        )
    if style == "microwave":
        split = m.between(0.65, 0.8)
        door = width * split
        m.add(
            "panel",
            front_panel(
                door * 0.94, height * 0.9, 0.06, -(width - door) / 2, height / 2, front + 0.03
            ),
        )
        m.add(
            "screen",
            front_panel(
                door * 0.7, height * 0.55, 0.03, -(width - door) / 2, height / 2, front + 0.045
            ),
        )
        x = door * 0.93 - width / 2  # near the door's right edge
        out = front + 0.08
        m.add("trim", bar((x, height * 0.15, out), (x, height * 0.85, out), 0.025))
        for y in (0.2, 0.8):
            m.add("trim", box(0.03, 0.03, 0.1).moved(x, height * y, front + 0.05))
        for i in range(m.count(1, 3)):
            m.add("trim", front_knob(0.055, 0.08, door / 2, height * (0.25 + 0.25 * i), front))
        return
    strip = m.between(0.1, 0.2)
    if style in ("oven", "washer"):
        m.add(
            "panel", front_panel(width * 0.98, strip, 0.04, 0, height - strip * 0.6, front + 0.03)
        )
        for i in range(m.count(2, 5)):
            m.add(
                "trim",
                front_knob(
                    0.045, 0.09, width * (0.16 * i - 0.38), height - strip * 0.6, front + 0.03
                ),
            )
    if style == "washer":
        radius = m.between(0.25, 0.36) * width
        level = (height - strip) * m.between(0.45, 0.55)
        m.add(
            "trim",
            torus(radius, m.between(0.03, 0.07)).rotated("x", 90).moved(0, level, front + 0.01),
        )
        glass = superellipsoid(radius * 1.9, radius * 1.9, m.between(0.05, 0.25))
        m.add("screen", glass.moved(0, level, front))
        return
    if style == "oven":
        doors = [(0.05, 1 - strip * 1.3 / height)]
        for x in (-0.25, 0.25):
            for z in (-0.2, 0.2):
                m.add(
                    "trim",
                    cylinder(width * m.between(0.1, 0.18), 0.05).moved(
                        x * width, height + 0.01, z * depth
                    ),
                )
        if m.chance(0.3):
            m.add("panel", box(width, 0.3, 0.06).moved(0, height + 0.13, -front + 0.03))
    else:
        count = m.pick((1, 2, 2, 3)) if style == "fridge" else m.count(1, 4)
        doors = cuts(m.rng, (0.02, 0.98), count, 1.0)
    hinge = m.pick((-1.0, 1.0))
    for low, high in doors:
        tall, middle = (high - low) * height, (low + high) / 2 * height
        m.add(
            "body", box(width * 0.98, tall - 0.03, 0.08, edge * 0.4).moved(0, middle, front + 0.03)
        )
        out = front + 0.13
        if style == "fridge" and tall > 0.3:
            x, span = hinge * width * 0.4, min(tall * 0.35, 0.5)
            ends = [(x, middle - span, out), (x, middle + span, out)]
        else:
            ends = [
                (-width * 0.35, middle + tall * 0.38, out),
                (width * 0.35, middle + tall * 0.38, out),
            ]
        m.add("trim", bar(ends[0], ends[1], m.between(0.02, 0.035)))
        for x, y, z in ends:
            m.add("trim", bar((x, y, z - 0.1), (x, y, z), 0.02))
        if style == "oven":
            m.add(
                "screen",
                front_panel(width * 0.7, tall * 0.5, 0.02, 0, middle - tall * 0.05, front + 0.085),
            )


def _toaster(m: Maker) -> None:
    width, height, depth = m.between(0.8, 1.5), m.between(0.6, 0.9), m.between(0.45, 0.8)
    m.add(
        "body",
        tapered_block(
            (width, depth),
            (width * m.between(0.8, 1), depth * m.between(0.7, 1)),
            height,
            0,
            m.between(0.05, 0.25),
            m.between(0, 0.3),
        ),
    )
    for z in np.linspace(-0.2, 0.2, m.count(2, 3)) if m.chance(0.6) else (0.0,):
        place = {"y": height, "z": float(z) * depth}
        m.add("panel", box(width * 0.65, 0.03, depth * 0.14).moved(**place))
        if m.chance(0.4):
            m.add("bread", box(width * 0.5, m.between(0.2, 0.5), depth * 0.1, 0.03).moved(**place))
    m.add("trim", box(0.1, 0.06, 0.16, 0.02).moved(width / 2, height * m.between(0.3, 0.8), 0))
    m.add("trim", box(width * 0.95, 0.1, depth * 0.95).moved(y=-0.02))
    m.add(
        "trim",
        front_knob(0.07, 0.08, width * m.between(-0.3, 0.3), height * 0.25, depth / 2 - 0.03),
    )


def _coffee_maker(m: Maker) -> None:
    width, depth, height = m.between(0.5, 0.9), m.between(0.7, 1.0), m.between(0.9, 1.5)
    edge, back = m.between(0.02, 0.12), m.between(0.3, 0.45)
    m.add("body", box(width, height * 0.14, depth, edge).moved(y=height * 0.07))
    m.add(
        "body",
        box(width, height, depth * back, edge).moved(y=height / 2, z=-depth * (1 - back) / 2),
    )
    top = m.between(0.2, 0.35) * height
    m.add("body", box(width, top, depth, edge).moved(y=height - top / 2))
    room, radius = height * 0.86 - top, min(width * 0.38, depth * 0.28)
    z = depth * 0.5 - radius - 0.05
    jug = smooth_profile([(radius * 0.9, 0), (radius, room * 0.35), (radius * 0.6, room * 0.9)], 10)
    m.add("screen", revolved(jug).moved(0, height * 0.13, z))
    handle = side_handle(m, (radius * 0.9, room * 0.15), (radius * 0.7, room * 0.75), 0.2, 0.04)
    m.add("trim", handle.rotated("y", m.pick((0.0, -90.0))).moved(0, height * 0.13, z))
    m.add("trim", cylinder(radius * 0.4, 0.15, radius * 0.7).moved(0, height - top, z))
    if m.chance(0.5):
        m.add("panel", front_knob(0.08, 0.08, width * 0.2, height - top * 0.5, depth / 2))


def _blender(m: Maker) -> None:
    """Blenders and stand mixers."""
    radius, base = m.between(0.3, 0.45), m.between(0.35, 0.7)
    if m.chance(0.4):
        length = m.between(1.1, 1.6)
        m.add("body", box(0.7, 0.15, length, 0.06).moved(y=0.07))
        m.add(
            "body",
            tapered_block((0.5, 0.4), (0.4, 0.35), 1.0, 0, 0.12).moved(0, 0.1, -length * 0.35),
        )
        m.add("body", blob(m, 0.5, 0.5, length).moved(0, 1.15, -length * 0.05))
        bowl = smooth_profile([(0.2, 0), (0.4, 0.2), (0.45, 0.55)], 8)
        m.add("panel", revolved(hollowed(bowl, 0.03)).moved(0, 0.14, length * 0.2))
        m.add("trim", bar((0, 1.0, length * 0.2), (0, 0.4, length * 0.2), 0.06))
        return
    m.add(
        "body",
        revolved(
            smooth_profile([(radius, 0), (radius * 0.95, base * 0.6), (radius * 0.7, base)]),
            random_sections(m),
        ),
    )
    jar, top = m.between(0.7, 1.3), radius * m.between(0.8, 1.15)
    m.add(
        "panel", revolved([(radius * 0.65, base - 0.03), (top, base + jar)], m.pick((24, 24, 6, 8)))
    )
    m.add(
        "trim",
        cylinder(top * 1.05, 0.12).moved(y=base + jar),
        cylinder(top * 0.4, 0.2).moved(y=base + jar + 0.1),
    )
    m.add("trim", front_knob(0.1, 0.12, 0, base * 0.4, radius * 0.85))
    if m.chance(0.7):
        m.add(
            "trim",
            side_handle(
                m, (radius * 0.68, base + jar * 0.15), (top * 0.95, base + jar * 0.85), 0.25, 0.05
            ),
        )


def _clock(m: Maker) -> None:
    """Wall, alarm and mantel clocks, and gauges or mirrors on a stand."""
    radius, thick = m.between(0.5, 1.0), m.between(0.1, 0.4)
    sections = m.pick((32, 32, 32, 4, 6, 8, 12))
    case = cylinder(radius, thick, sections=sections).rotated("y", 180 / sections).rotated("x", 90)
    m.add(
        "body",
        case,
        *((torus(radius, 0.06, 32).rotated("x", 90).moved(z=thick / 2),) if sections > 12 else ()),
    )
    m.add(
        "panel",
        cylinder(radius * 0.68 if sections < 8 else radius * 0.92, 0.03, sections=24)
        .rotated("x", 90)
        .moved(z=thick / 2),
    )
    z = thick / 2 + 0.03
    for length, width in ((0.45, 0.06), (0.62, 0.04)):
        hand = box(width, radius * length, 0.02).moved(y=radius * length * 0.45)
        m.add("trim", hand.rotated("z", m.between(0, 360)).moved(z=z))
    tick = box(0.04, radius * 0.1, 0.02).moved(y=radius * 0.6)
    m.add("trim", *(tick.rotated("z", 30.0 * i).moved(z=z - 0.01) for i in range(12)))
    style = m.pick(("wall", "alarm", "mantel", "stand"))
    if style == "alarm" and sections > 8:
        m.pair(
            "trim", bar((radius * 0.3, -radius * 0.4, 0), (radius * 0.7, -radius * 1.2, 0), 0.06)
        )
        m.pair(
            "trim",
            superellipsoid(0.5 * radius, 0.3 * radius, 0.4 * radius)
            .rotated("z", -30)
            .moved(radius * 0.5, radius),
        )
        m.add("trim", torus(radius * 0.2, 0.03, 14).rotated("x", 90).moved(y=radius * 1.15))
    elif style == "mantel":
        m.add(
            "case",
            tapered_block(
                (radius * 2.6, thick * 1.4), (radius * 1.2, thick), radius * 0.8, 0, 0.02
            ).moved(y=-radius * 1.1),
        )
        m.add("case", box(radius * 2.9, 0.12, thick * 1.7).moved(y=-radius * 1.12))
    elif style == "stand":
        # Up into the body, whose sides may be nearer than its corners.
        m.add("case", revolved(random_profile(m, 1.3 * radius, 0.05, 0.2)).moved(y=-radius * 1.9))
        m.add("case", cylinder(radius * 0.5, 0.08).moved(y=-radius * 1.9))


def _fan(m: Maker) -> None:
    radius, level = m.between(0.5, 0.8), m.between(0.8, 2.4)
    m.add(
        "body",
        cylinder(radius * m.between(0.5, 0.8), 0.1, radius * 0.4).moved(y=0.05),
        bar((0, 0, 0), (0, level, -0.1), m.between(0.04, 0.08)),
    )
    m.add("body", superellipsoid(0.35, 0.35, 0.5).moved(0, level, -0.15))
    blade = tapered_wing(radius * 0.88, (radius * 0.3, radius * m.between(0.4, 0.7)), 0, 0, 0.05)
    blade = blade.rotated("x", m.between(50, 75))
    count = m.count(3, 5)
    m.add(
        "panel", *(blade.rotated("z", 360 * i / count).moved(0, level, 0.08) for i in range(count))
    )
    m.add("trim", sphere(radius * 0.16, 0, level, 0.1))
    if m.chance(0.8):
        m.add("trim", torus(radius, 0.025, 28).rotated("x", 90).moved(0, level, 0.08))
        spokes = m.count(8, 20)
        # One half of the guard before the blades, from the hub; one behind, from the motor.
        for hub, bulge in ((0.1 + radius * 0.12, 0.27), (-0.2, -0.12)):
            rib = sweep(
                smooth_path([(0, 0, hub), (0, radius * 0.6, bulge), (0, radius, 0.08)], 6),
                circle_outline(0.012, 4),
            )
            ribs = (rib.rotated("z", 360 * i / spokes) for i in range(spokes))
            m.add("trim", *(each.moved(y=level) for each in ribs))
