"""Cars, vans, buses, lorries, tractors, racers, railway wagons and tanks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from img2pc.data.families.maker import Maker, Variant
from img2pc.data.families.pieces import front_knob, hull, roughened, sphere, tapered_block, torus
from img2pc.data.families.profiles import revolved, smooth_profile
from img2pc.data.shapes import Part
from img2pc.data.solids import (
    Solid,
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


def _wheel(m: Maker, radius: float, width: float) -> tuple[Solid, Solid]:
    """Tyre and hub about the origin, turning about X, the outside towards +X."""
    edge, rim = width * m.between(0.1, 0.4), radius * m.between(0.45, 0.75)
    edge = min(edge, 0.9 * (radius - rim))
    half = width / 2
    tyre = [(rim, -half), (radius - edge, -half), (radius, edge - half), (radius, half - edge)]
    tyre += [(radius - edge, half), (rim, half), (rim * 0.95, half * 0.8)]
    bulge = half * m.between(0.75, 1.2)
    hub = [(rim * 1.02, half * 0.7), (rim * m.between(0.2, 0.9), bulge), (rim * 0.15, bulge)]
    return lathe(tyre, 20).rotated("z", -90), lathe(hub, 16).rotated("z", -90)


def _add_wheels(m: Maker, axles: Sequence[float], x: float, radius: float, width: float) -> None:
    """Pairs of wheels on axles, their outer faces at ±x."""
    tyre, hub = _wheel(m, radius, width)
    inside = x - width / 2
    for z in axles:
        m.pair("tyre", tyre.moved(inside, radius, z))
        m.pair("hub", hub.moved(inside, radius, z))
        m.add("trim", bar((-inside, radius, z), (inside, radius, z), 0.15 * radius))


def car(rng: np.random.Generator) -> list[Part]:
    """Cars of every build, pickups, vans, buses, lorries, tractors, racers, wagons and tanks."""
    m = Maker(
        rng,
        body=("paint", "paint", "metal", "plastic", "wood"),
        cargo=("paint", "metal", "fabric", "wood", "plastic"),
        glass=("glass", "glass", "plastic"),
        tyre=("rubber", "rubber", "plastic", "wood"),
        hub=("metal", "plastic", "paint"),
        trim=("metal", "plastic", "rubber"),
        light=("glass", "plastic"),
    )
    variants: tuple[Variant, ...] = (
        *(_passenger_car,) * 10,
        _van,
        _van,
        _school_bus,
        _lorry,
        _lorry,
        _tractor,
        _racer,
        _wagon,
        _tank,
    )
    m.pick(variants)(m)
    return m.finished()


def _add_face(
    m: Maker, width: float, length: float, low: float, high: float, bonnet: float = 0.0
) -> None:
    """Lights and bumpers at both ends of a body, or in front at a bonnet's."""
    size = m.between(0.08, 0.2)
    level = low + (high - low) * m.between(0.45, 0.75)
    front = length / 2 + bonnet
    for z in (front, -length / 2):
        if m.chance(0.5):
            lamp_shape = cylinder(size, 0.16, sections=14).rotated("x", 90)
        else:
            lamp_shape = box(2.2 * size, size, 0.16, 0.03)
        m.pair("light", lamp_shape.moved(width * 0.36, level, z - np.sign(z) * 0.04))
        if m.chance(0.7):
            bumper = box(width * m.between(0.85, 1.02), m.between(0.1, 0.25), 0.2, 0.05)
            m.add("trim", bumper.moved(y=low + 0.12, z=z))
    if m.chance(0.5):
        grille = box(width * m.between(0.3, 0.6), (high - low) * m.between(0.2, 0.5), 0.1)
        m.add("trim", grille.moved(y=level, z=front - 0.03))


def _add_cabin(
    m: Maker,
    width: float,
    base: tuple[float, float],
    top: tuple[float, float],
    y: float,
    rise: float,
) -> None:
    """A glazed cabin; `base` and `top` are its (rear, front) Z at the waist and at the roof."""
    narrow = m.between(0.72, 0.92)

    def shell(grow_x: float, grow_z: float, tall: float, lift: float, radius: float) -> Solid:
        """A part of the cabin's height, as wide and as long there as the cabin is, or more."""
        middle, shift = sum(base) / 2, (sum(top) - sum(base)) / 2
        below, above = (
            (
                grow_x * width * (1 - (1 - narrow) * level),
                grow_z * np.interp(level, [0, 1], [base[1] - base[0], top[1] - top[0]]),
            )
            for level in (lift, lift + tall)
        )
        soft = 0 if lift else 0.12
        block = tapered_block(below, above, rise * tall, shift * tall, radius, soft)
        return block.moved(y=y + lift * rise, z=middle + shift * lift)

    m.add("body", shell(1.0, 1.0, 1.0, 0.0, width * 0.06))
    if m.chance(0.85):
        m.add("glass", shell(0.84, 1.02, 0.84, 0.02, 0.05))
        m.add("glass", shell(1.015, 0.8, 0.84, 0.02, 0.03))
        post = box(width * 1.02, rise * 0.85, 0.09).moved(y=y + rise * 0.42)
        if m.chance(0.6):
            lean = tapered_block((width * 1.03, 0.1), (width * narrow * 1.03, 0.1), rise * 0.88)
            m.add("body", lean.moved(y=y, z=(top[0] + top[1]) / 2))
        elif m.chance(0.2):
            m.add("trim", post)


def _passenger_car(m: Maker) -> None:
    style = m.pick(("sedan", "sedan", "hatch", "suv", "sports", "pickup", "toy", "minivan"))
    length, width = m.between(3.4, 5.0), m.between(1.5, 1.95)
    wheel, clear, waist = m.between(0.28, 0.38), m.between(0.15, 0.25), m.between(0.8, 0.95)
    rise, hood = m.between(0.45, 0.6), m.between(0.85, 0.98)
    rear, rear_top, front_top, front = -0.36, -0.2, 0.06, 0.2
    tail = hood
    if style in ("hatch", "minivan"):
        length *= 0.88
        rear, rear_top = -0.49, m.between(-0.47, -0.36)
    if style == "minivan":
        rise, front, front_top = rise * 1.3, 0.38, 0.15
    if style == "suv":
        wheel, clear, waist, rise = wheel * 1.2, clear * 1.6, waist * 1.2, rise * 1.15
        rear, rear_top = -0.48, -0.44
    if style == "sports":
        waist, rise, clear, hood = waist * 0.82, rise * 0.75, clear * 0.7, hood * 0.85
        rear, rear_top, front_top, front = m.between(-0.45, -0.3), -0.12, 0.0, 0.16
    if style == "pickup":
        wheel, clear, waist, length = wheel * 1.15, clear * 1.6, waist * 1.15, length * 1.1
        rear, rear_top, front_top, front = -0.12, -0.09, 0.08, 0.2
        tail = m.between(0.6, 0.75)
    if style == "toy":
        length, wheel, rise = m.between(2.0, 3.2), m.between(0.35, 0.55), m.between(0.5, 0.9)
    jitter = m.between(-0.04, 0.04)
    base = (length * (rear + jitter * 0.3), length * (front + jitter))
    top = (length * rear_top, length * (front_top + jitter))
    end, nose = length / 2, waist * hood * m.between(0.75, 0.97)
    rear_height = waist * (tail if rear > -0.4 else 1.0)
    stations = [
        (-end, width * 0.82, clear + 0.18, rear_height * 0.9),
        (-end * 0.95, width * 0.95, clear, rear_height * 0.98),
        (base[0], width, clear, waist if style != "pickup" else rear_height),
        (base[0] + 0.02, width, clear, waist),
        (base[1], width, clear, waist),
        (end * 0.75, width * 0.98, clear, waist * (hood + 1) / 2),
        (end * 0.93, width * 0.92, clear, nose),
        (end, width * m.between(0.6, 0.85), clear + 0.12, nose * 0.85),
    ]
    m.add("body", hull(sorted(stations), m.between(0.06, 0.25)))
    open_top = style in ("sports", "toy") and m.chance(0.3)
    if open_top:
        screen = tapered_block((width * 0.85, 0.06), (width * 0.7, 0.05), rise * 0.7, -0.25)
        m.add("glass", screen.moved(y=waist - 0.02, z=base[1]))
        for x in (-width / 4, width / 4):
            m.add("trim", box(0.45, 0.5, 0.2, 0.08).moved(x, waist + 0.1, (base[0] + top[1]) / 2))
    else:
        _add_cabin(m, width * 0.97, base, top, waist - 0.03, rise)
    if style == "pickup":
        long = base[0] + end
        height = waist * 0.99 - rear_height + 0.05
        side = box(0.08, height, long).moved(width / 2 - 0.05, rear_height + height / 2 - 0.05)
        m.pair("body", side.moved(z=-end + long / 2))
        gate = box(width * 0.98, height, 0.08).moved(
            0, rear_height + height / 2 - 0.05, -end + 0.06
        )
        m.add("body", gate)
    axle = m.between(0.28, 0.34) * length
    _add_wheels(m, (-axle, axle), width / 2 + 0.03, wheel, m.between(0.18, 0.32))
    if m.chance(0.6):
        arch = np.linspace(0.1, np.pi - 0.1, 12)
        path = np.stack([0 * arch, np.sin(arch), np.cos(arch)], -1) * wheel * 1.15
        fender = sweep(path, rounded_rectangle(0.07, 0.14, 0.02))
        for z in (-axle, axle):
            m.pair("body", fender.moved(width / 2 - 0.02, wheel, z))
    _add_face(m, width, length, clear, min(nose, rear_height))
    if m.chance(0.6):
        mirror = box(0.2, 0.13, 0.1, 0.04).moved(width / 2 + 0.04, waist, base[1] * 0.75)
        m.pair("body", mirror)
    if m.chance(0.25 if style == "sports" else 0.08):
        lift = m.between(0.1, 0.3)
        m.add("body", box(width * 0.9, 0.04, 0.25).moved(0, rear_height + lift, -end * 0.92))
        m.pair(
            "body",
            box(0.06, lift + 0.1, 0.15).moved(width * 0.35, rear_height + lift / 2, -end * 0.92),
        )
    if m.chance(0.15) and not open_top:
        roof, middle = waist + rise, (top[0] + top[1]) / 2
        m.pair("trim", box(0.05, 0.08, (top[1] - top[0]) * 0.8).moved(width * 0.3, roof, middle))
        if m.chance(0.5):
            m.add(
                "cargo",
                box(width * 0.6, 0.3, abs(top[1] - top[0]) * 0.7, 0.08).moved(
                    0, roof + 0.12, middle
                ),
            )


def _windows(
    m: Maker, width: float, start: float, end: float, y: float, tall: float, count: int
) -> None:
    """A row of panes along both sides."""
    pitch = (end - start) / count
    long = pitch * m.between(0.65, 0.92)
    for i in range(count):
        pane = box(0.06, tall, long).moved(width / 2, y, start + (i + 0.5) * pitch)
        m.pair("glass", pane)


def _van(m: Maker) -> None:
    """Vans, minibuses and coaches."""
    length, width, height = m.between(4, 11), m.between(1.7, 2.5), m.between(1.9, 3.2)
    clear, wheel, end = m.between(0.2, 0.4), m.between(0.3, 0.5), length / 2
    slope, brow = m.between(0.02, 0.5), m.between(0.45, 0.6)
    shoulder = height * (brow + 1) / 2 + 0.1
    nose = min(height * m.between(brow, 0.97 if slope < 0.2 else 0.6), shoulder)
    stations = [
        (-end, width * 0.94, clear + 0.05, height * 0.97),
        (-end + 0.12, width, clear, height),
        (end - slope - 0.3, width, clear, height),
        (end - slope * 0.3, width * 0.98, clear, shoulder),
        (end, width * 0.94, clear + 0.05, nose),
    ]
    m.add("body", hull(stations, m.between(0.05, 0.3)))
    level, tall = height * m.between(0.65, 0.72), height * m.between(0.2, 0.3)
    rows = max(2, int(length / m.between(0.9, 1.8)))
    start = -end + 0.3 if m.chance(0.7) else end - 2.2
    _windows(m, width, start, end - slope - 0.4, level, tall, min(rows, 10))
    screen = box(width * 0.82, tall * 1.3, 0.1)
    lean = -np.degrees(np.arctan2(slope, height * 0.45))
    m.add("glass", screen.rotated("x", float(lean)).moved(y=level, z=end - slope * 0.62 - 0.02))
    m.add("glass", box(width * 0.7, tall, 0.05).moved(y=level, z=-end + 0.01))
    axles = (-0.3 * length, 0.32 * length)
    _add_wheels(m, axles, width / 2 + 0.03, wheel, 0.28)
    _add_face(m, width, length, clear, height * 0.45)
    if m.chance(0.3):
        m.add("trim", box(width * 0.6, 0.25, length * 0.3, 0.08).moved(y=height + 0.05))
    if m.chance(0.5):
        m.pair("trim", box(0.15, 0.4, 0.1, 0.03).moved(width / 2 + 0.1, level, end - slope - 0.1))


def _school_bus(m: Maker) -> None:
    length, width, height = m.between(6, 10), m.between(2.0, 2.5), m.between(2.4, 3.1)
    nose, clear, end = m.between(0.8, 1.8), m.between(0.35, 0.5), length / 2
    body = [(-end, width, clear, height), (end - nose, width, clear, height)]
    m.add("body", hull(body, m.between(0.1, 0.5)))
    waist = height * m.between(0.45, 0.55)
    hood = [
        (end - nose - 0.1, width * 0.9, clear, waist),
        (end - 0.1, width * 0.8, clear, waist * 0.9),
        (end, width * 0.7, clear, waist * 0.8),
    ]
    m.add("body", hull(hood, 0.15))
    level, tall = height * 0.7, height * 0.22
    _windows(m, width, -end + 0.2, end - nose - 0.2, level, tall, m.count(5, 9))
    m.add("glass", box(width * 0.85, tall * 1.2, 0.06).moved(y=level, z=end - nose))
    for y in (0.35, 0.5):
        m.add("trim", box(width * 1.02, 0.06, length - nose - 0.1).moved(y=height * y, z=-nose / 2))
    _add_wheels(m, (-0.27 * length, end - nose * 0.6), width / 2 + 0.04, m.between(0.4, 0.55), 0.3)
    _add_face(m, width * 0.95, length, clear, waist)
    if m.chance(0.5):
        m.add("light", box(width * 0.6, 0.15, 0.2, 0.05).moved(y=height + 0.03, z=end - nose - 0.2))


def _lorry(m: Maker) -> None:
    """Lorries with a box, tank, tipper, flatbed or mixer, with or without a bonnet."""
    length, width, wheel = m.between(5, 12), m.between(2.0, 2.6), m.between(0.42, 0.6)
    deck, tall = wheel * 2 + 0.05, m.between(1.6, 2.6)
    cab, end = m.between(1.3, 2.4), length / 2
    m.add("trim", box(width * 0.5, deck - wheel, length).moved(y=(deck + wheel) / 2))
    hood = 0.0
    if m.chance(0.35):
        hood = m.between(0.8, 1.6)
        bonnet = [
            (end - 0.1, width * 0.75, 0.5, deck + 0.7),
            (end + hood, width * 0.65, 0.5, deck + 0.5),
        ]
        m.add("body", hull(bonnet, 0.15))
        m.add("trim", box(width * 0.5, 0.8, 0.1).moved(y=deck, z=end + hood))
        axle = end + hood * 0.45
    else:
        axle = end - cab * 0.5
    shape = tapered_block(
        (width, cab), (width * 0.95, cab * m.between(0.7, 1)), tall, -0.1, 0.12, 0.1
    )
    m.add("body", shape.moved(y=deck - 0.4, z=end - cab / 2))
    m.add(
        "glass",
        box(width * 0.85, tall * 0.3, 0.12)
        .rotated("x", -6)
        .moved(0, deck + tall * 0.32, end - 0.07),
    )
    m.pair(
        "glass",
        box(0.06, tall * 0.3, cab * 0.5).moved(
            width / 2 - 0.02, deck + tall * 0.3, end - cab * 0.5
        ),
    )
    load, style = length - cab - 0.15, m.pick(("box", "box", "tank", "tipper", "flat", "mixer"))
    middle, height = -end + load / 2, m.between(1.2, 2.8)
    if style == "box":
        m.add("cargo", box(width * 1.02, height, load, 0.04).moved(0, deck + height / 2, middle))
    elif style == "tank":
        drum = superellipsoid(width, load, height, 0.3, 1).rotated("x", 90)
        m.add("cargo", drum.moved(0, deck + height * 0.48, middle))
        m.add("trim", cylinder(0.3, 0.2).moved(0, deck + height, middle))
    elif style == "tipper":
        m.add(
            "cargo",
            tapered_block((width * 0.85, load * 0.85), (width * 1.05, load), height * 0.6).moved(
                0, deck, middle
            ),
        )
        m.add(
            "load",
            roughened(m, superellipsoid(width * 0.9, height * 0.6, load * 0.85), 0.06, 1.5).moved(
                0, deck + height * 0.55, middle
            ),
        )
    elif style == "mixer":
        drum = revolved(
            smooth_profile(
                [(0.3, 0), (width * 0.5, load * 0.4), (width * 0.45, load * 0.7), (0.25, load)]
            )
        )
        m.add("cargo", drum.rotated("x", 78).moved(0, deck + height * 0.6, -end))
        m.add("trim", box(width * 0.6, height * 0.7, 0.4).moved(0, deck + height * 0.3, -end + 0.5))
        m.add(
            "trim",
            box(width * 0.6, height * 0.5, 0.4).moved(0, deck + height * 0.2, end - cab - 0.4),
        )
    else:
        m.add("cargo", box(width, 0.15, load).moved(0, deck, middle))
        for _ in range(m.count(0, 5)):
            size = m.between(0.4, 1.2)
            m.add(
                "load",
                box(m.between(0.5, width * 0.9), size, m.between(0.4, 1.2)).moved(
                    0, deck + size / 2, middle + m.between(-0.35, 0.35) * load
                ),
            )
    rear = [-end + 0.8 + i * wheel * 2.15 for i in range(m.count(1, 3))]
    _add_wheels(m, (*rear, axle), width / 2 + 0.02, wheel, 0.35)
    if m.chance(0.4):
        stack = cylinder(0.08, tall, sections=10)
        m.pair("trim", stack.moved(width * 0.46, deck + tall * 0.5, end - cab - 0.02))
    _add_face(m, width * 0.9, length, deck - 0.5, deck + 0.1, hood)


def _tractor(m: Maker) -> None:
    big, small = m.between(0.6, 0.95), m.between(0.3, 0.6)
    width, length = m.between(0.6, 0.9), m.between(2, 3)
    top = big * 2 * m.between(0.75, 0.95)
    belly = min(0.5, small)
    nose = [
        (-0.2, width, belly, top),
        (length * 0.55, width * 0.9, belly, top * 0.95),
        (length * 0.6, width * 0.75, 0.6, top * 0.85),
    ]
    m.add("body", hull(nose, 0.12))
    m.add("body", box(width * 0.9, big, 1.1).moved(0, big, -0.5))
    track = width / 2 + m.between(0.35, 0.6)
    _add_wheels(m, (-0.6,), track, big, m.between(0.3, 0.55))
    _add_wheels(m, (length * 0.42,), track * 0.95, small, m.between(0.2, 0.35))
    if m.chance(0.6):
        tall = m.between(0.8, 1.2)
        _add_cabin(m, width * 1.5, (-1.1, 0.2), (-1.05, 0.1), top * 0.85, tall)
    else:
        m.add(
            "trim",
            box(0.5, 0.15, 0.5, 0.05).moved(0, big * 1.5 + 0.05, -0.7),
            box(0.5, 0.5, 0.12, 0.05).moved(0, big * 1.5 + 0.3, -0.95),
        )
        m.add(
            "trim",
            torus(0.2, 0.03).rotated("x", 60).moved(0, top + 0.3, -0.15),
            bar((0, top - 0.1, 0), (0, top + 0.3, -0.15), 0.03),
        )
    m.add("trim", cylinder(0.06, 0.8, sections=10).moved(width * 0.25, top + 0.3, length * 0.3))
    if m.chance(0.3):
        arm = smooth_path([(0, 0.5, 0), (0, 1.6, 0.8), (0, 0.4, length * 0.6 + 0.6)], 12)
        m.pair("body", sweep(arm, rounded_rectangle(0.1, 0.2, 0)).moved(width * 0.6))
        scoop = tapered_block((width * 2.4, 0.3), (width * 2.4, 0.7), 0.6, 0.15)
        m.add("body", scoop.moved(0, 0.1, length * 0.6 + 0.8))


def _racer(m: Maker) -> None:
    length, wheel = m.between(3.5, 5), m.between(0.28, 0.4)
    end, track = length / 2, m.between(0.75, 1.0)
    stations = [
        (-end, 0.3, 0.2, 0.7),
        (-end * 0.5, 0.6, 0.12, 0.85),
        (-0.3, 0.8, 0.1, 0.75),
        (end * 0.4, 0.55, 0.12, 0.6),
        (end, 0.2, 0.2, 0.35),
    ]
    m.add("body", hull(stations, 0.12))
    m.pair("body", box(0.5, 0.4, length * 0.35, 0.1).moved(0.5, 0.35, -0.3))
    _add_wheels(m, (-end * 0.7, end * 0.6), track + 0.2, wheel, m.between(0.25, 0.45))
    m.add("cargo", box(track * 2, 0.04, 0.4).moved(0, 0.2, end * 0.97))
    lift = m.between(0.8, 1.1)
    m.add("cargo", box(track * 1.4, 0.06, 0.35).moved(0, lift, -end))
    m.pair("cargo", box(0.04, lift - 0.3, 0.4).moved(track * 0.68, lift - 0.2, -end))
    m.add("cargo", box(0.1, lift - 0.3, 0.3).moved(0, lift / 2 + 0.15, -end + 0.05))
    m.add("light", sphere(0.16, 0, 0.85, -0.2), superellipsoid(0.35, 0.5, 0.9).moved(0, 0.8, -0.7))


def _wagon(m: Maker) -> None:
    """Rail carriages, goods wagons and steam engines."""
    length, width, height = m.between(3, 9), m.between(1.4, 2.4), m.between(1.4, 2.5)
    wheel, end = m.between(0.3, 0.5), length / 2
    m.add("trim", box(width * 0.9, 0.2, length).moved(y=wheel * 1.6))
    count = m.count(2, 5)
    axles = [end * f for f in np.linspace(-0.75, 0.75, count)]
    _add_wheels(m, axles, width * 0.42, wheel, 0.15)
    floor = wheel * 1.6 + 0.08
    if m.chance(0.4):
        boiler = width * m.between(0.3, 0.42)
        tube = cylinder(boiler, length * 0.65).rotated("x", 90)
        m.add("body", tube.moved(0, floor + boiler, length * 0.15))
        m.add(
            "trim",
            cylinder(boiler * 1.05, 0.15).rotated("x", 90).moved(0, floor + boiler, length * 0.47),
        )
        funnel = revolved([(0.15, 0), (0.12, 0.4), (m.between(0.15, 0.35), 0.8)])
        m.add("trim", funnel.moved(0, floor + boiler * 1.9, length * 0.38))
        for z in (0.0, 0.2):
            m.add("trim", sphere(boiler * 0.4, 0, floor + 2 * boiler, z * length))
        m.add(
            "body",
            box(width, height * 0.8, length * 0.3).moved(0, floor + height * 0.4, -length * 0.33),
        )
        m.add(
            "body",
            box(width * 1.15, 0.1, length * 0.35).moved(0, floor + height * 0.8, -length * 0.33),
        )
        m.add(
            "glass",
            box(width * 1.01, height * 0.25, length * 0.15).moved(
                0, floor + height * 0.55, -length * 0.33
            ),
        )
        m.add(
            "trim",
            tapered_block((width * 0.9, 0.6), (width * 0.6, 0.1), floor, -0.2).moved(0, 0.05, end),
        )
        return
    m.add(
        "body",
        hull(
            [(-end, width, floor, floor + height), (end, width, floor, floor + height)],
            m.between(0, 0.5),
        ),
    )
    if m.chance(0.7):
        _windows(
            m, width, -end * 0.9, end * 0.9, floor + height * 0.62, height * 0.3, m.count(3, 9)
        )
    else:
        for z in np.linspace(-0.9, 0.9, m.count(4, 8)):
            m.pair(
                "trim", box(0.08, height, 0.1).moved(width / 2, floor + height / 2, float(z) * end)
            )
    m.add("trim", box(width * 0.6, 0.15, length * 0.9).moved(0, floor + height, 0))
    buffer = front_knob(0.12, 0.3, width * 0.3, floor, end)
    m.pair("trim", buffer, buffer.scaled(z=-1))


def _tank(m: Maker) -> None:
    length, width, height = m.between(3.5, 5.5), m.between(2.0, 2.8), m.between(0.6, 0.9)
    end, belt = length / 2, m.between(0.4, 0.6)
    outline = [(-end * 0.8, 0.0), (end * 0.75, 0), (end, 0.35), (end * 0.98, height * 0.8)]
    outline += [
        (end * 0.85, height),
        (-end * 0.9, height),
        (-end, height * 0.7),
        (-end * 0.98, 0.3),
    ]
    ring = np.array([[0.0, y, z] for z, y in outline])
    track = loft(np.stack([ring, ring + np.array([belt, 0, 0])]))
    m.pair("tyre", track.moved(width / 2 - belt))
    tyre, _ = _wheel(m, height * 0.42, 0.15)
    for z in np.linspace(-0.72, 0.72, m.count(4, 7)):
        m.pair("hub", tyre.moved(width / 2, height * 0.48, float(z) * end))
    m.add(
        "body",
        hull(
            [
                (-end, width - belt, 0.3, height * 1.2),
                (end * 0.6, width - belt, 0.3, height * 1.3),
                (end * 1.05, width - belt, 0.5, height * 0.7),
            ],
            0.02,
        ),
    )
    m.add("body", box(width, 0.08, length * 0.9).moved(y=height + 0.05))
    size, tall, z = m.between(1.1, 1.7), m.between(0.4, 0.7), m.between(-0.6, 0.4)
    turret = tapered_block(
        (size, size * 1.3), (size * 0.7, size * 0.8), tall, 0, size * m.between(0.05, 0.45)
    )
    yaw = m.between(-40, 40)
    gun = m.between(1.5, 3.2)
    barrel = bar(
        (0, tall * 0.5, 0.2),
        (0, tall * m.between(0.5, 1.2), size * 0.5 + gun),
        m.between(0.06, 0.12),
    )
    hatch = cylinder(size * 0.2, 0.15).moved(size * 0.15, tall + 0.03, -0.1)
    for slot, solid in (("body", turret), ("trim", barrel), ("body", hatch)):
        m.add(slot, solid.rotated("y", yaw).moved(0, height * 1.2, z))
