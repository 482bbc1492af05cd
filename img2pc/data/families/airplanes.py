"""Airliners, light planes, fighters, helicopters, rockets and drones."""

from __future__ import annotations

import numpy as np

from img2pc.data.families.maker import Maker, Variant
from img2pc.data.families.pieces import blob, copies_around, sphere
from img2pc.data.families.profiles import radius_at, revolved, smooth_profile
from img2pc.data.families.wings import fuselage, propeller, tapered_wing, upright_fin
from img2pc.data.shapes import Part
from img2pc.data.solids import Solid, bar, box, cylinder, lathe, smooth_path, superellipsoid, sweep


def airplane(rng: np.random.Generator) -> list[Part]:
    """Airliners, light aircraft, biplanes, gliders, fighters, helicopters, rockets and drones."""
    m = Maker(
        rng,
        body=("paint", "metal", "plastic", "wood", "paper"),
        wing=("paint", "metal", "plastic", "fabric", "wood"),
        engine=("metal", "paint", "plastic"),
        glass=("glass", "plastic"),
        gear=("metal", "rubber", "plastic"),
    )
    variants: tuple[Variant, ...] = (
        *(_airliner,) * 4,
        _light_plane,
        _light_plane,
        _fighter,
        _fighter,
        _helicopter,
        _helicopter,
        _rocket,
        _drone,
    )
    m.pick(variants)(m)
    return m.finished()


def _jet(m: Maker, radius: float, length: float) -> Solid:
    """A nacelle along Z about the origin, open at the front."""
    profile = [(radius * 0.4, -length / 2), (radius * 0.9, -length * 0.1), (radius, length * 0.3)]
    profile += [(radius * 0.92, length / 2), (radius * 0.8, length * 0.48)]
    profile += [(radius * 0.75, length * 0.25), (0.0, length * m.between(0.25, 0.45))]
    return lathe(profile, 16).rotated("x", 90)


def _add_gear(m: Maker, x: float, z: float, top: float, drop: float, size: float) -> None:
    """One leg with its wheel below y = top."""
    m.add("gear", bar((x, top, z), (x, top - drop, z), size * 0.25))
    m.add("gear", cylinder(size, size * 0.7, sections=14).rotated("z", 90).moved(x, top - drop, z))


def _airliner(m: Maker) -> None:
    length = m.between(4, 11)
    radius, end = m.between(0.32, 0.65), length / 2
    tall = radius * m.between(0.95, 1.2)
    upsweep, nose = m.between(0.2, 0.7) * tall, m.between(0.05, 0.13)
    body = [
        (-end, upsweep, radius * 0.1, tall * 0.12),
        (-end * 0.55, upsweep * 0.35, radius * 0.8, tall * 0.75),
        (-end * 0.2, 0, radius, tall),
        (end * (1 - 3 * nose), 0, radius, tall),
        (end * (1 - nose), -0.05 * tall, radius * 0.75, tall * 0.7),
        (end, -0.15 * tall, 0.03, 0.03),
    ]
    m.add("body", fuselage(body, 22, 18))
    span, root = length * m.between(0.38, 0.58), length * m.between(0.16, 0.26)
    chord = (root, root * m.between(0.25, 0.6))
    back, rise = span * m.between(0.1, 0.6), span * m.between(-0.02, 0.14)
    high = m.chance(0.25)
    level, z = (tall * 0.8 if high else -tall * 0.55), end * m.between(-0.05, 0.2)
    m.pair("wing", tapered_wing(span, chord, back, rise, m.between(0.08, 0.14)).moved(0, level, z))
    if m.chance(0.4):
        tip = upright_fin(span * 0.1, (chord[1] * 0.6, chord[1] * 0.3), chord[1] * 0.5, 0.1)
        m.pair("wing", tip.moved(span * 0.99, level + rise - 0.03, z - back))
    fin_height, fin_root = tall * m.between(1.6, 2.8), length * m.between(0.12, 0.18)
    fin_back = fin_height * m.between(0.4, 0.9)
    fin_z = -end + fin_root * 0.7
    m.add(
        "wing",
        upright_fin(fin_height, (fin_root, fin_root * 0.5), fin_back, 0.1).moved(0, upsweep, fin_z),
    )
    tail = tapered_wing(
        span * m.between(0.3, 0.42), (fin_root * 0.8, fin_root * 0.4), fin_back * 0.6, 0.1, 0.1
    )
    if m.chance(0.25):
        m.pair("wing", tail.moved(0, upsweep + fin_height * 0.95, fin_z - fin_back * 0.9))
    else:
        m.pair("wing", tail.moved(0, upsweep * m.between(0.6, 1.2), -end + fin_root * 0.6))
    size = radius * m.between(0.35, 0.6)
    style = m.pick(("jets", "jets", "four", "tail", "props"))
    if style == "tail":
        x = radius + size * 0.7
        m.pair("engine", _jet(m, size, size * 4).moved(x, tall * 0.4, -end * 0.5))
        m.pair("engine", box(x, 0.08, size * 2).moved(x * 0.6, tall * 0.4, -end * 0.5))
    else:
        for t in (0.33, 0.62) if style == "four" else (m.between(0.28, 0.4),):
            x, front = span * t, z - back * t + chord[0] * (1 - 0.5 * t) * 0.45
            y = level + rise * t - size * (0.9 if style != "props" else 0.1)
            m.pair("engine", _jet(m, size * (1.3 - t), size * 3).moved(x, y, front))
            m.pair(
                "engine",
                box(0.08, size * 1.2, size * 2).moved(x, y + size * 0.5, front - size * 0.5),
            )
            if style == "props":
                m.pair(
                    "gear", *(p.moved(x, y, front + size * 1.45) for p in propeller(m, size * 3))
                )
    if m.chance(0.6):
        strip = box(radius * 1.7, tall * 0.2, 0.3).moved(y=tall * 0.35, z=end * (1 - 1.25 * nose))
        m.add("glass", strip)
    if m.chance(0.5):
        drop = tall + m.between(0.1, 0.5)
        _add_gear(m, 0, end * 0.75, -0.2 * tall, drop, 0.12)
        for side in (-1, 1):
            _add_gear(
                m,
                side * radius * 1.3,
                z - 0.2,
                level + 0.05,
                drop + 0.2 * tall + level + 0.05,
                0.16,
            )


def _light_plane(m: Maker) -> None:
    """Propeller planes, biplanes and gliders."""
    length, radius = m.between(4, 7), m.between(0.35, 0.6)
    end, glider, biplane = length / 2, m.chance(0.2), m.chance(0.3)
    thin = 0.5 if glider else 1.0
    body = [
        (-end, 0.15, 0.05, 0.08),
        (-end * 0.3, 0.05, radius * 0.6 * thin, radius * 0.7 * thin),
        (end * 0.3, 0, radius * max(thin, 0.8), radius),
        (end * 0.8, -0.05, radius * 0.8, radius * 0.75),
        (end, -0.05, radius * (0.05 if glider else 0.5), radius * (0.05 if glider else 0.5)),
    ]
    m.add("body", fuselage(body))
    span = length * (m.between(0.9, 1.4) if glider else m.between(0.45, 0.75))
    root = length * (0.12 if glider else m.between(0.16, 0.26))
    chord = (root, root * m.between(0.5, 1.0))
    levels = [m.pick((-0.6, 0.0, 0.95)) * radius]
    if biplane:
        levels = [-radius * 0.5, radius * m.between(1.4, 2.2)]
    z, rise = end * m.between(0.15, 0.4), span * m.between(0, 0.08)
    wing = tapered_wing(span, chord, 0.1, rise, 0.12)
    for level in levels:
        m.pair("wing", wing.moved(0, level, z))
    if biplane:
        for t in (0.12, 0.75):
            for dz in (-0.25, 0.25):
                low, high = ((span * t, level + rise * t, z + dz * root) for level in levels)
                m.pair("gear", bar(low, high, 0.03))
    fin = m.between(0.8, 1.3) * radius + 0.3
    m.add(
        "wing",
        upright_fin(fin, (root * 0.7, root * 0.4), root * 0.3, 0.1).moved(
            0, 0.1, -end + root * 0.4
        ),
    )
    tail_y = fin + 0.1 if glider and m.chance(0.5) else 0.15
    tail = tapered_wing(span * m.between(0.25, 0.4), (root * 0.7, root * 0.45), 0.1, 0, 0.1)
    m.pair(
        "wing",
        tail.moved(0, tail_y - 0.02, -end + root * 0.35 - (0.25 * root if tail_y > 0.3 else 0)),
    )
    m.add(
        "glass",
        superellipsoid(radius * 1.2, radius * 1.3, radius * 2.5).moved(
            0, radius * 0.7, end * m.between(0.05, 0.4)
        ),
    )
    if not glider:
        m.add("engine", *(p.moved(0, -0.05, end) for p in propeller(m, radius * m.between(1.3, 2))))
    size, drop = m.between(0.15, 0.3), m.between(0.3, 0.7)
    for side in (-1, 1):
        foot = (side * radius * 1.6, -radius - drop, end * 0.35)
        m.add("gear", bar((side * radius * 0.4, -radius * 0.6, end * 0.35), foot, 0.05))
        m.add("gear", cylinder(size, size * 0.6, sections=14).rotated("z", 90).moved(*foot))
    if m.chance(0.5):
        _add_gear(m, 0, end * 0.8, -radius * 0.5, drop + radius * 0.5, size * 0.7)
    else:
        _add_gear(m, 0, -end * 0.9, 0.15, 0.35, 0.08)


def _fighter(m: Maker) -> None:
    length = m.between(5, 8)
    end, radius = length / 2, m.between(0.35, 0.6)
    body = [
        (-end, 0, radius * 0.8, radius * 0.7),
        (-end * 0.3, 0, radius * 1.2, radius * 0.85),
        (end * 0.3, 0.05, radius, radius),
        (end * 0.7, 0, radius * 0.5, radius * 0.55),
        (end, -0.05, 0.02, 0.02),
    ]
    m.add("body", fuselage(body))
    span = length * m.between(0.25, 0.45)
    root = length * m.between(0.25, 0.5)
    back, rise = root * m.between(0.1, 0.55), span * m.between(-0.1, 0.1)
    place = -end * m.between(0.1, 0.35)
    wing = tapered_wing(span, (root, root * m.between(0.08, 0.4)), back, rise, 0.06)
    m.pair("wing", wing.moved(0, -0.05, place))
    fin = upright_fin(radius * m.between(1.5, 2.6), (root * 0.45, root * 0.2), root * 0.3, 0.08)
    if m.chance(0.5):
        m.pair("wing", fin.rotated("z", m.between(-30, 0)).moved(radius * 0.7, 0.1, -end * 0.65))
    else:
        m.add("wing", fin.moved(0, radius * 0.5, -end * 0.7))
    if m.chance(0.7):
        tail = tapered_wing(span * 0.55, (root * 0.35, root * 0.15), root * 0.2, 0, 0.08)
        m.pair("wing", tail.moved(0, 0, m.pick((-end * 0.85, end * 0.35))))
    m.add(
        "glass",
        superellipsoid(radius * 0.9, radius * 1.2, length * 0.2).moved(
            0, radius * 0.75, end * m.between(0.3, 0.5)
        ),
    )
    for x in (-radius * 0.5, radius * 0.5) if m.chance(0.5) else (0.0,):
        m.add("engine", _jet(m, radius * 0.5, 0.8).rotated("y", 180).moved(x, 0, -end - 0.2))
    if m.chance(0.6):
        m.pair(
            "body",
            box(radius * 0.7, radius * 1.1, length * 0.3, 0.08).moved(
                radius * 1.05, -0.1, 0.05 * length
            ),
        )
    if m.chance(0.5):
        for t in (0.5, 0.85):
            x, y, z = span * t, rise * t, place - back * t
            store = lathe([(0.06, -0.6), (0.08, 0.4), (0.0, 0.7)], 10).rotated("x", 90)
            m.pair("gear", store.moved(x, y - 0.18, z))
            m.pair("gear", box(0.04, 0.2, 0.5).moved(x, y - 0.1, z))
    if m.chance(0.4):
        _add_gear(m, 0, end * 0.5, -0.2, radius + 0.3, 0.13)
        for side in (-1, 1):
            _add_gear(m, side * radius * 0.9, -end * 0.3, -0.2, radius + 0.3, 0.15)


def _helicopter(m: Maker) -> None:
    radius, length = m.between(0.5, 0.8), m.between(1.6, 3.0)
    tall, boom = radius * m.between(0.9, 1.3), m.between(1.5, 3.5)
    m.add(
        "body", superellipsoid(2 * radius, 2 * tall, length, m.between(0.6, 1), m.between(0.6, 1))
    )
    m.add(
        "glass",
        superellipsoid(1.85 * radius, 1.6 * tall, length * 0.6).moved(0, 0.1 * tall, length * 0.24),
    )
    rear = -length * 0.3 - boom
    lift = m.between(0.0, 0.5) * tall
    tail = smooth_path([(0, 0.3 * tall, -length * 0.3), (0, 0.3 * tall + lift, rear)], 6)
    m.add("body", sweep(tail, radius * m.between(0.25, 0.5), np.linspace(1, 0.3, 6)))
    m.add(
        "body",
        upright_fin(radius * 1.2, (0.6, 0.35), 0.3, 0.12).moved(0, 0.25 * tall + lift, rear + 0.2),
    )
    m.pair(
        "body",
        tapered_wing(radius, (0.4, 0.3), 0.1, 0, 0.12).moved(
            0, 0.3 * tall + lift * 0.7, rear + 0.9
        ),
    )
    small = [
        p.rotated("y", 90).moved(0.12, 0.6 * tall + lift, rear) for p in propeller(m, radius * 0.8)
    ]
    shaft = bar((-0.05, 0.6 * tall + lift, rear), (0.14, 0.6 * tall + lift, rear), 0.04)
    m.add("engine", *small, shaft)
    m.add("engine", box(radius, 0.4 * tall, length * 0.5, 0.1).moved(0, tall, -0.1 * length))
    mast = tall + m.between(0.3, 0.6)
    m.add(
        "engine",
        bar((0, tall * 0.8, 0), (0, mast + 0.08, 0), 0.08),
        cylinder(0.15, 0.12).moved(y=mast),
    )
    span = m.between(1.8, 3.2)
    blade = box(span, 0.04, m.between(0.12, 0.3)).moved(span / 2)
    droop = m.between(-4, 2)
    m.add(
        "wing",
        *(
            b.moved(y=mast)
            for b in copies_around(blade.rotated("z", droop), m.count(2, 5), m.between(0, 90))
        ),
    )
    low = -tall - m.between(0.2, 0.45)
    if m.chance(0.7):
        skid = [(0, low, -length * 0.45), (0, low, length * 0.4), (0, low + 0.15, length * 0.55)]
        m.pair("gear", sweep(smooth_path(skid, 10), 0.05).moved(radius * 0.9))
        for z in (-0.2, 0.25):
            m.pair(
                "gear",
                bar((radius * 0.4, -tall * 0.7, z * length), (radius * 0.9, low, z * length), 0.04),
            )
    else:
        _add_gear(m, 0, length * 0.35, -tall * 0.5, -tall * 0.5 - low, 0.15)
        for side in (-1, 1):
            _add_gear(m, side * radius * 0.7, -length * 0.2, -tall * 0.5, -tall * 0.5 - low, 0.18)


def _rocket(m: Maker) -> None:
    """Rockets and saucers."""
    if m.chance(0.25):
        radius, tall = m.between(1, 2), m.between(0.2, 0.6)
        disc = [
            (radius * 0.3, 0),
            (radius, tall * 0.5),
            (radius * 0.95, tall * 0.6),
            (radius * 0.35, tall),
        ]
        m.add("body", revolved(smooth_profile(disc, 16)))
        m.add("glass", superellipsoid(radius * 0.8, tall * 1.4, radius * 0.8).moved(y=tall))
        leg = bar((radius * 0.5, tall * 0.3, 0), (radius * 0.8, -tall, 0), 0.05)
        m.add("gear", *copies_around(leg, m.count(3, 4)))
        m.add("engine", *copies_around(sphere(0.1, radius * 0.9, tall * 0.55), m.count(5, 10)))
        return
    height, radius = m.between(3, 8), m.between(0.35, 0.8)
    nose = height * m.between(0.6, 0.85)
    waist = radius * m.between(0.7, 1.2)
    profile = [
        (radius * m.between(0.5, 1), 0),
        (waist, height * 0.3),
        (radius, nose),
        (0.02, height),
    ]
    outside = smooth_profile(profile, 24)
    m.add("body", revolved(outside))
    span, chord = radius * m.between(0.8, 2), height * m.between(0.12, 0.3)
    fin = tapered_wing(span, (chord, chord * m.between(0.3, 1)), chord * m.between(0.2, 1), 0, 0.08)
    fin = fin.rotated("x", -90).moved(radius * 0.5, chord * m.between(0.2, 0.8), 0)
    m.add("wing", *copies_around(fin, m.count(3, 5)))
    m.add("engine", cylinder(radius * 0.7, 0.5, radius * 0.3).moved(y=-0.2))
    if m.chance(0.4):
        booster = revolved(
            [(radius * 0.35, -0.1), (radius * 0.35, height * 0.4), (0.02, height * 0.5)], 16
        )
        widest = max(radius_at(outside, height * t) for t in (0, 0.1, 0.2, 0.3, 0.4))
        m.add("engine", *copies_around(booster.moved(widest + radius * 0.3), m.pick((2, 4)), 45))
    if m.chance(0.5):
        m.add("glass", sphere(radius * 0.4, 0, height * m.between(0.4, 0.6), radius * 0.75))


def _drone(m: Maker) -> None:
    size, tall, reach = m.between(0.4, 0.8), m.between(0.15, 0.4), m.between(0.8, 1.5)
    m.add("body", blob(m, size, tall, size * m.between(0.8, 1.8)))
    count = m.pick((4, 4, 6, 8))
    start = 180 / count
    m.add(
        "wing",
        *copies_around(
            bar((0, 0, 0), (reach, m.between(0, 0.2), 0), m.between(0.03, 0.08)), count, start
        ),
    )
    m.add(
        "engine", *copies_around(cylinder(0.1, 0.35, sections=10).moved(reach, 0.1), count, start)
    )
    blade = [
        p.rotated("x", -90).moved(reach, 0.28) for p in propeller(m, reach * m.between(0.3, 0.55))
    ]
    for part in blade:
        m.add("gear", *copies_around(part, count, start))
    m.pair(
        "gear",
        bar((size * 0.3, 0, 0), (size * 0.6, -0.5, 0), 0.03),
        box(0.05, 0.05, size).moved(size * 0.6, -0.5),
    )
    m.add("glass", sphere(0.15, 0, -tall * 0.5, size * 0.3))
