"""Bottles, vases, jars, pots, pans, jugs, cans, buckets, extinguishers and hydrants."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from img2pc.data.families.maker import Maker, Variant
from img2pc.data.families.pieces import (
    aimed,
    circle_outline,
    handle_section,
    side_handle,
    sphere,
    tapered_block,
    torus,
)
from img2pc.data.families.profiles import (
    fluted,
    hollowed,
    radius_at,
    random_profile,
    random_sections,
    revolved,
    smooth_profile,
)
from img2pc.data.shapes import Part
from img2pc.data.solids import bar, box, cylinder, rounded_rectangle, smooth_path, sweep


def vessel(rng: np.random.Generator) -> list[Part]:
    """Bottles, vases, jars, pots, pans, kettles, teapots, jugs, cans, buckets and hydrants."""
    m = Maker(
        rng,
        body=("ceramic", "glass", "metal", "plastic", "paint", "wood"),
        trim=("metal", "plastic", "wood", "rubber", "ceramic"),
        lid=("metal", "plastic", "wood", "ceramic", "glass"),
    )
    variants: tuple[Variant, ...] = (
        _bottle,
        _bottle,
        _vase,
        _vase,
        _jar,
        _cooking_pot,
        _pan,
        *(_teapot,) * 4,
        _jug,
        _watering_can,
        _bucket,
        _extinguisher,
        _hydrant,
    )
    m.pick(variants)(m)
    return m.finished()


def _add_lid(m: Maker, radius: float, level: float) -> None:
    rise = radius * m.between(0.1, 0.6)
    dome = smooth_profile([(radius, 0), (radius * 0.8, rise * 0.6), (0.02, rise)], 8)
    m.add("lid", revolved(dome).moved(y=level - 0.02))
    size = radius * m.between(0.1, 0.25)
    if m.chance(0.25):
        loop = smooth_path([(-2 * size, 0, 0), (-size, size, 0), (size, size, 0), (2 * size, 0, 0)])
        m.add("trim", sweep(loop, size * 0.3).moved(y=level + rise * 0.85))
    else:
        knob = smooth_profile([(size * 0.5, 0), (size, size * 1.2), (size * 0.4, size * 2)], 8)
        m.add("trim", revolved(knob, 16).moved(y=level + rise - 0.05))


def _bottle(m: Maker) -> None:
    radius, height = m.between(0.2, 0.6), m.between(1.0, 2.2)
    neck = radius * m.between(0.2, 0.6)
    shoulder = height * m.between(0.4, 0.75)
    throat = shoulder + (height - shoulder) * m.between(0.2, 0.7)
    waist = radius * (1 if m.chance(0.6) else m.between(0.7, 1.1))
    body = smooth_profile([(radius, 0.04), (waist, shoulder * 0.5), (radius, shoulder)], 8)
    top = smooth_profile(
        [
            (radius, shoulder),
            ((radius + neck) * 0.5, (shoulder + throat) / 2 + 0.04),
            (neck, throat),
            (neck, height),
        ],
        10,
    )
    profile = np.concatenate([[(radius * 0.92, 0)], body, top[1:]])
    sections = random_sections(m)
    solid = revolved(profile, sections)
    if m.chance(0.3):
        solid = solid.scaled(z=m.between(0.4, 0.9))
    m.add("body", solid)
    style = m.pick(("none", "cap", "cork", "pump", "spray", "sport"))
    if style == "cap":
        m.add("lid", cylinder(neck * 1.15, m.between(0.06, 0.3)).moved(y=height))
    elif style == "cork":
        m.add("lid", cylinder(neck * 0.8, 0.2, neck * m.between(0.8, 1.6)).moved(y=height + 0.06))
    elif style == "pump":
        m.add("lid", cylinder(neck * 1.2, 0.12).moved(y=height))
        m.add("lid", bar((0, height, 0), (0, height + 0.35, 0), 0.03))
        m.add("lid", box(0.12, 0.08, 0.4, 0.03).moved(0, height + 0.35, 0.12))
    elif style == "spray":
        m.add(
            "lid",
            tapered_block((2 * neck, 2 * neck), (0.15, 0.45), 0.3, 0.08, 0.05).moved(
                y=height - 0.02
            ),
        )
        trigger = [(0, height + 0.2, 0.15), (0, height, 0.25), (0, height - 0.15, 0.22)]
        m.add("trim", sweep(smooth_path(trigger, 8), 0.03))
    elif style == "sport":
        m.add(
            "lid",
            revolved(
                [
                    (neck * 1.3, height - 0.05),
                    (neck, height + 0.1),
                    (neck * 0.3, height + 0.15),
                    (neck * 0.35, height + 0.3),
                ]
            ),
        )
    if m.chance(0.4):
        low, high = shoulder * m.between(0.1, 0.3), shoulder * m.between(0.6, 0.95)
        if waist == radius and sections == 24:
            wrap = revolved([(radius * 1.01, low), (radius * 1.01, high)])
            scale = float(np.ptp(solid.vertices[:, 2]) / np.ptp(solid.vertices[:, 0]))
            m.add("label", wrap.scaled(z=scale))
    if m.chance(0.12):
        ring = side_handle(m, (neck, throat), (neck, height * 0.97), radius * 0.6, 0.04)
        m.add("body", ring)


def _vase(m: Maker) -> None:
    height, radius = m.between(0.8, 2.2), m.between(0.3, 0.9)
    profile = random_profile(m, height, radius * 0.25, radius, 24)
    body = revolved(hollowed(profile, radius * m.between(0.04, 0.1)), random_sections(m))
    if m.chance(0.35):
        lobes = m.count(3, 12)
        body = fluted(body, lobes, m.between(0.03, 0.15), m.between(-120, 120) / height)
    elif m.chance(0.3):
        body = body.scaled(z=m.between(0.4, 0.9))
    m.add("body", body)
    if m.chance(0.25):
        low, high = height * m.between(0.3, 0.55), height * m.between(0.7, 0.95)
        ends = [(radius_at(profile, y), y) for y in (low, high)]
        m.pair("body", side_handle(m, ends[0], ends[1], radius * m.between(0.2, 0.7), 0.05))
    if m.chance(0.2):
        for _ in range(m.count(1, 6)):
            lean = m.between(-0.8, 0.8), m.between(-0.8, 0.8)
            tip = (lean[0], height * m.between(1.3, 2), lean[1])
            stalk = [(0, 0.01, 0), (lean[0] * 0.1, height, lean[1] * 0.1), tip]
            m.add("stem", sweep(smooth_path(stalk, 8), circle_outline(0.02, 5)))
            m.add("flower", sphere(m.between(0.08, 0.2), *tip))


def _jar(m: Maker) -> None:
    height, radius = m.between(0.6, 1.6), m.between(0.35, 0.7)
    mouth = radius * m.between(0.5, 1)
    belly = [(radius * m.between(0.6, 1), 0), (radius, height * m.between(0.3, 0.7))]
    m.add("body", revolved(smooth_profile([*belly, (mouth, height)]), random_sections(m)))
    if m.chance(0.5):
        _add_lid(m, mouth * 1.05, height)
    else:
        m.add("lid", cylinder(mouth * 1.06, m.between(0.1, 0.3)).moved(y=height))
    if m.chance(0.2):
        m.add("trim", torus(mouth * 1.05, 0.025).moved(y=height - 0.05))


def _cooking_pot(m: Maker) -> None:
    radius = m.between(0.5, 0.9)
    height = radius * m.between(0.5, 1.8)
    profile = smooth_profile([(radius * 0.9, 0), (radius, height * 0.15), (radius, height)], 10)
    m.add("body", revolved(hollowed(profile, 0.04)))
    level, span = height * m.between(0.7, 0.95), radius * m.between(0.2, 0.4)
    out = radius + m.between(0.12, 0.35)
    lift = m.between(-0.05, 0.15)
    loop = [(radius - 0.03, level, -span), (out, level + lift, -span * 0.8)]
    loop += [(out, level + lift, span * 0.8), (radius - 0.03, level, span)]
    m.pair("trim", sweep(smooth_path(loop, 14), m.between(0.025, 0.06)))
    if m.chance(0.6):
        _add_lid(m, radius * 1.02, height)


def _pan(m: Maker) -> None:
    radius = m.between(0.5, 1.0)
    height = radius * m.between(0.15, 0.8)
    profile = smooth_profile([(radius * m.between(0.65, 0.95), 0), (radius, height)], 6)
    m.add("body", revolved(hollowed(profile, 0.04), m.pick((28, 28, 28, 4, 8))))
    length, rise = m.between(0.7, 1.8), m.between(-0.1, 0.5)
    points = [(radius - 0.06, height * 0.75, 0), (radius + 0.3 * length, height + rise * 0.6, 0)]
    points.append((radius + length, height + rise, 0))
    section = rounded_rectangle(m.between(0.08, 0.2), m.between(0.05, 0.12), 0.03)
    swell = [1.0, 0.8, 0.7, 0.8, 1, 1.1, 1.15, 1.2, 1.15, 1.0]
    m.add("trim", sweep(smooth_path(points, 10), section, swell))
    if m.chance(0.25):
        _add_lid(m, radius * 1.02, height)


def _teapot(m: Maker) -> None:
    """Teapots, kettles and coffee pots."""
    radius = m.between(0.45, 0.8)
    height = radius * m.between(1.0, 2.6)
    mouth = radius * m.between(0.35, 0.8)
    belly = height * m.between(0.2, 0.6)
    profile = smooth_profile([(radius * m.between(0.6, 1), 0), (radius, belly), (mouth, height)])
    sections = random_sections(m)
    m.add("body", revolved(profile, sections))
    _add_lid(m, mouth * 1.05, height)
    start = height * m.between(0.2, 0.55)
    inner = radius_at(profile, start) * 0.85 * (0.8 if sections < 8 else 1)
    out, tip = radius + m.between(0.25, 0.8), height * m.between(0.8, 1.15)
    points = [(-inner, start, 0), (-(inner + out) / 2 - 0.1, start + 0.3 * (tip - start), 0)]
    points += [(-out + 0.08, start + 0.75 * (tip - start), 0), (-out, tip, 0)]
    path = smooth_path(points, 12)
    thick = m.between(0.08, 0.2)
    m.add("body", sweep(path, thick, np.linspace(1.4, m.between(0.35, 0.8), 12)))
    if m.chance(0.4):
        over = height + radius * m.between(0.5, 1.3)
        side = radius_at(profile, height * 0.85) * 0.95
        arch = [(-side, height * 0.85, 0), (-side * 0.9, over * 0.93, 0), (0, over, 0)]
        arch += [(-x, y, z) for x, y, z in arch[1::-1]]
        m.add("trim", sweep(smooth_path(arch, 20), handle_section(m, m.between(0.03, 0.05))))
    else:
        low, high = height * m.between(0.12, 0.4), height * m.between(0.65, 0.95)
        ends = [(radius_at(profile, y) * 0.96, y) for y in (low, high)]
        m.add("trim", side_handle(m, ends[0], ends[1], m.between(0.3, 0.6), m.between(0.04, 0.09)))


def _jug(m: Maker) -> None:
    height, radius = m.between(0.9, 1.8), m.between(0.35, 0.7)
    neck, lip = radius * m.between(0.4, 0.9), radius * m.between(0.5, 1.0)
    points = [(radius * m.between(0.5, 0.95), 0), (radius, height * m.between(0.25, 0.45))]
    points += [(neck, height * m.between(0.7, 0.8)), (lip, height)]
    profile = smooth_profile(points)
    body = revolved(hollowed(profile, 0.05))
    # The rim is drawn out into a lip on the side away from the handle.
    x, y, z = body.vertices.T
    weight = np.clip((y / height - 0.75) / 0.25, 0, 1) ** 2
    weight = weight * np.maximum(-x / (np.hypot(x, z) + 1e-6), 0) ** 4
    pulled = body.vertices + weight[:, None] * np.array([-m.between(0.1, 0.4), 0.08, 0])
    m.add("body", replace(body, vertices=pulled))
    low, high = height * m.between(0.15, 0.4), height * m.between(0.75, 0.95)
    ends = [(radius_at(profile, y), y) for y in (low, high)]
    m.add("body", side_handle(m, ends[0], ends[1], m.between(0.25, 0.6), m.between(0.04, 0.08)))
    if m.chance(0.2):
        _add_lid(m, lip, height)


def _watering_can(m: Maker) -> None:
    radius, height = m.between(0.4, 0.7), m.between(0.7, 1.3)
    profile = smooth_profile(
        [
            (radius, 0),
            (radius * m.between(0.8, 1.1), height * 0.6),
            (radius * m.between(0.6, 1.0), height),
        ],
        10,
    )
    m.add("body", revolved(hollowed(profile, 0.04), random_sections(m)))
    reach, top = radius + m.between(0.6, 1.4), height * m.between(0.9, 1.5)
    spout = [(-radius * 0.7, height * 0.2, 0), (-radius - 0.3, height * 0.35, 0), (-reach, top, 0)]
    path = smooth_path(spout, 12)
    m.add("body", sweep(path, m.between(0.06, 0.12), np.linspace(1.3, 0.6, 12)))
    if m.chance(0.6):
        rose = cylinder(0.05, 0.2, m.between(0.12, 0.3), 14)
        m.add("trim", aimed(rose, path[-1] - path[-2], path[-1]))
    style = m.pick(("over", "back", "both"))
    edge = radius_at(profile, height * 0.9)
    thin = m.between(0.025, 0.05)
    if style != "back":
        arch = [(-edge * 0.9, height, 0), (-edge * 0.3, height * 1.45, 0), (edge, height * 0.9, 0)]
        m.add("trim", sweep(smooth_path(arch, 16), thin))
    if style != "over":
        low = (radius_at(profile, height * 0.2), height * 0.2)
        m.add("trim", side_handle(m, low, (edge, height * 0.9), m.between(0.3, 0.6), thin))


def _bucket(m: Maker) -> None:
    radius = m.between(0.4, 0.8)
    height = radius * m.between(1.0, 2.2)
    profile = np.array([(radius * m.between(0.6, 0.95), 0), (radius, height)])
    sections = m.pick((28, 28, 28, 4, 6))
    m.add("body", revolved(hollowed(profile, 0.03), sections))
    if sections == 28:
        m.add("body", torus(radius, 0.03, 28).moved(y=height))
    swing = m.between(-100, 100)
    angle = np.linspace(0, np.pi, 18)
    bail = np.stack([radius * np.cos(angle), radius * 1.05 * np.sin(angle), 0 * angle], -1)
    handle = sweep(bail, m.between(0.015, 0.03)).rotated("x", swing)
    m.add("trim", handle.moved(y=height * 0.95))
    if m.chance(0.4):
        grip = cylinder(0.05, radius * 0.6, sections=12).rotated("z", 90).moved(y=radius * 1.05)
        m.add("lid", grip.rotated("x", swing).moved(y=height * 0.95))
    m.pair("trim", sphere(0.05, radius, height * 0.95))


def _extinguisher(m: Maker) -> None:
    """Fire extinguishers, gas bottles and thermos flasks."""
    radius, height = m.between(0.2, 0.5), m.between(1.0, 2.0)
    neck = radius * m.between(0.2, 0.5)
    profile = [(radius * 0.9, 0), (radius, 0.08), (radius, height * 0.8)]
    profile += [(radius * 0.85, height * 0.9), (neck, height), (neck, height + 0.15)]
    m.add("body", revolved(smooth_profile(profile, 24)))
    top = height + 0.15
    if m.chance(0.3):
        m.add("lid", cylinder(radius * 0.85, 0.3, radius * 0.75).moved(y=height + 0.1))
        m.add("trim", side_handle(m, (radius, height * 0.2), (radius, height * 0.75), 0.3, 0.05))
        return
    m.add("trim", cylinder(neck * 1.1, 0.2).moved(y=top))
    for tilt in (m.between(15, 35), m.between(-15, 5)):
        lever = box(0.6, 0.04, 0.1, 0.015).moved(x=0.3).rotated("z", tilt)
        m.add("trim", lever.moved(-0.05, top + 0.02))
    low = height * m.between(0.1, 0.5)
    hose = [(-0.02, top, 0), (-radius * 1.1, top, 0), (-radius * 1.3, height * 0.7, 0.1)]
    hose += [(-radius * 1.15, low, 0)]
    m.add("hose", sweep(smooth_path(hose, 16), m.between(0.03, 0.05)))
    m.add("hose", cylinder(0.08, 0.3, 0.04, 12).moved(-radius * 1.15, low))


def _hydrant(m: Maker) -> None:
    """Stacks of turned drums with nozzles at the sides."""
    level, radius = 0.0, m.between(0.25, 0.5)
    for _ in range(m.count(3, 7)):
        size, tall = radius * m.between(0.6, 1.2), m.between(0.05, 0.6)
        drum = revolved([(size, 0), (size * m.between(0.8, 1.1), tall)], m.pick((24, 24, 6, 8)))
        m.add("body", drum.moved(y=level - 0.01))
        level += tall
    cap = smooth_profile([(radius, 0), (radius * 0.8, radius * 0.5), (0.03, radius * 0.8)], 8)
    m.add("body", revolved(cap).moved(y=level - 0.02))
    m.add("trim", cylinder(0.08, 0.15, sections=m.pick((4, 5, 6))).moved(y=level + radius * 0.8))
    for direction in ((1, 0, 0), (-1, 0, 0), (0, 0, 1))[: m.count(0, 3)]:
        size = radius * m.between(0.3, 0.6)
        nozzle = revolved(
            [
                (size, 0),
                (size, radius * 1.2),
                (size * 1.3, radius * 1.2),
                (size * 1.3, radius * 1.4),
                (0.06, radius * 1.4),
                (0.06, radius * 1.6),
            ],
            12,
        )
        m.add("trim", aimed(nozzle, direction, (0, level * m.between(0.5, 0.85), 0)))
