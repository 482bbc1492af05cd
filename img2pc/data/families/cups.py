"""Mugs, cups, glasses, bowls, cans and plates."""

from __future__ import annotations

import numpy as np

from img2pc.data.families.maker import Maker, Variant
from img2pc.data.families.pieces import blob, side_handle, sphere, torus
from img2pc.data.families.profiles import (
    Profile,
    fluted,
    hollowed,
    radius_at,
    random_profile,
    revolved,
    smooth_profile,
)
from img2pc.data.shapes import Part
from img2pc.data.solids import Solid, bar, box, cylinder


def mug(rng: np.random.Generator) -> list[Part]:
    """Mugs, cups on saucers, tumblers, bowls, plates, wineglasses, tankards and cans."""
    m = Maker(
        rng,
        body=("ceramic", "ceramic", "glass", "metal", "plastic", "paper", "wood"),
        handle=("ceramic", "metal", "plastic", "wood", "leather"),
        drink=("glass", "plastic", "leather"),
    )
    variants: tuple[Variant, ...] = (
        *(_handled_mug,) * 5,
        _tumbler,
        _bowl,
        _wineglass,
        _can,
        _plates,
        _takeaway_cup,
    )
    m.pick(variants)(m)
    return m.finished()


def _cup_profile(m: Maker, height: float, radius: float) -> Profile:
    style = m.pick(("straight", "taper", "belly", "tulip", "round", "random"))
    if style == "straight":
        edge = m.between(0.02, 0.3) * radius
        points = [(radius - edge, 0), (radius, edge), (radius, height * 0.6), (radius, height)]
    elif style == "taper":
        points = [(radius * m.between(0.5, 0.9), 0), (radius, height)]
    elif style == "belly":
        top = radius * m.between(0.65, 0.95)
        points = [(radius * 0.7, 0), (radius, height * m.between(0.3, 0.5)), (top, height)]
    elif style == "tulip":
        waist = radius * m.between(0.6, 0.85)
        points = [(radius * 0.75, 0), (waist, height * 0.45), (radius, height)]
    elif style == "round":
        angle = np.linspace(m.between(0.05, 0.5), np.pi / 2, 7)
        points = [(radius * np.sin(a), height * (1 - np.cos(a) / np.cos(angle[0]))) for a in angle]
    else:
        return random_profile(m, height, 0.5 * radius, radius, 14)
    return smooth_profile(points, 14)


def _add_cup(m: Maker, profile: Profile, wall: float) -> None:
    sections = m.pick((28, 28, 28, 28, 28, 28, 28, 28, 6, 8, 10, 12))
    cup = revolved(hollowed(profile, wall), sections)
    if m.chance(0.15):
        cup = fluted(cup, m.count(5, 14), m.between(0.01, 0.05), m.between(-60, 60))
    m.add("body", cup)
    if m.chance(0.25):
        level = profile[-1, 1] * m.between(0.6, 0.92)
        edge = radius_at(profile, level) - wall * 0.9
        m.add("drink", revolved([(edge, level - 0.01), (edge, level)], sections))


def _leaning(m: Maker, profile: Profile, thickness: float) -> Solid:
    """A spoon or a straw in the cup, against its rim."""
    radius, height = profile[-1]
    low = 0.15 * height
    foot = np.array([-m.between(0.1, 0.7) * radius_at(profile, low), low, 0])
    rim = np.array([0.95 * radius, height, 0])
    return bar(foot, foot + m.between(1.15, 1.6) * (rim - foot), thickness)


def _saucer(m: Maker, radius: float) -> Solid:
    rise = radius * m.between(0.08, 0.25)
    curve = smooth_profile([(radius * 0.5, 0), (radius * 0.75, rise * 0.35), (radius, rise)], 8)
    return revolved(hollowed(curve, radius * 0.05, radius * 0.04))


def _handled_mug(m: Maker) -> None:
    radius = m.between(0.3, 0.6)
    height = m.between(0.6, 1.5)
    profile = _cup_profile(m, height, radius)
    _add_cup(m, profile, radius * m.between(0.05, 0.14))
    low, high = height * m.between(0.08, 0.35), height * m.between(0.65, 0.95)
    thickness = m.between(0.03, 0.09)
    ends = [(radius_at(profile, y), y) for y in (low, high)]
    handle = side_handle(m, ends[0], ends[1], m.between(0.2, 0.6), thickness)
    slot = m.pick(("body", "body", "handle"))
    m.add(slot, handle)
    if m.chance(0.12):
        m.add(slot, handle.mirrored())
    if m.chance(0.25):
        m.add("body", _saucer(m, radius * m.between(1.4, 2.4)).moved(y=-0.03))
    if m.chance(0.1):
        m.add("handle", _leaning(m, profile, 0.02))
    if m.chance(0.1):
        lid = revolved(
            smooth_profile([(profile[-1, 0], 0), (profile[-1, 0] * 0.8, 0.08), (0.02, 0.12)], 6)
        )
        m.add("handle", lid.moved(y=height), sphere(0.06, y=height + 0.15))


def _tumbler(m: Maker) -> None:
    radius, height = m.between(0.3, 0.5), m.between(0.6, 2)
    profile = _cup_profile(m, height, radius)
    _add_cup(m, profile, radius * m.between(0.04, 0.12))
    if m.chance(0.25):
        m.add("handle", _leaning(m, profile, 0.025))


def _bowl(m: Maker) -> None:
    radius = m.between(0.5, 1.0)
    height = radius * m.between(0.35, 1.1)
    profile = _cup_profile(m, height, radius)
    foot = radius * m.between(0.02, 0.15)
    m.add("body", revolved([(profile[0, 0] * 0.95, -foot), (profile[0, 0] * 0.9, 0.02)]))
    _add_cup(m, profile, radius * m.between(0.03, 0.1))
    if m.chance(0.15):
        for _ in range(m.count(2, 5)):
            x, z = m.between(-0.4, 0.4) * radius, m.between(-0.4, 0.4) * radius
            size = radius * m.between(0.4, 0.7)
            m.add(
                "fruit", blob(m, size, size * m.between(0.8, 1.1), size).moved(x, height * 0.7, z)
            )


def _wineglass(m: Maker) -> None:
    stem, bowl, radius = m.between(0.3, 1.0), m.between(0.3, 1.0), m.between(0.25, 0.5)
    thin, foot = m.between(0.025, 0.06), radius * m.between(0.7, 1.1)
    belly, lip = m.between(0.25, 0.7), radius * m.between(0.6, 1.3)
    points = [(thin, stem), (radius * 0.7, stem + bowl * 0.15), (radius, stem + bowl * belly)]
    cup = smooth_profile([*points, (lip, stem + bowl)], 16)
    inner = np.maximum(cup[::-1] - [0.025, -0.02], [1e-3, 0])
    inner[0, 1] = cup[-1, 1]
    base = [(foot, 0), (foot, 0.02), (thin * 2, 0.08), (thin, stem * 0.3)]
    m.add("body", revolved(np.concatenate([base, cup, inner, [[0, inner[-1, 1]]]])))


def _can(m: Maker) -> None:
    radius, height = m.between(0.25, 0.6), m.between(0.3, 1.5)
    neck = m.between(0.75, 1.0) * radius
    lip = 0.03
    profile = [(neck, 0), (radius, 0.05), (radius, height - 0.1), (neck, height)]
    m.add("body", revolved([*profile, (neck - lip, height), (neck - lip, height - lip)]))
    m.add("handle", box(0.12, 0.02, 0.25, 0.005).moved(0, height - 0.02, 0.08))
    if m.chance(0.3):
        for y in np.linspace(0.15, height - 0.2, m.count(3, 6)):
            m.add("body", torus(radius, 0.015, 20).moved(y=float(y)))


def _plates(m: Maker) -> None:
    radius, level = m.between(0.8, 1.3), 0.0
    sections, stretch = m.pick((32, 32, 32, 8, 4)), m.pick((1.0, 1.0, 1.4))
    for _ in range(m.pick((1, 1, 1, 2, 3, 5))):
        rise = radius * m.between(0.06, 0.3)
        flat = m.between(0.5, 0.8)
        curve = [(radius * flat, 0), (radius * (flat + 0.1), rise * 0.5), (radius, rise)]
        wall = radius * 0.035
        shape = revolved(hollowed(smooth_profile(curve, 8), wall, wall), sections)
        m.add("body", shape.scaled(x=stretch).moved(y=level))
        level += wall * 1.2
        radius *= m.between(0.7, 1.0)


def _takeaway_cup(m: Maker) -> None:
    radius, height = m.between(0.3, 0.5), m.between(0.8, 1.6)
    m.add("body", revolved([(radius * m.between(0.6, 0.85), 0), (radius, height)]))
    lid = [(radius * 1.08, height), (radius * 1.05, height + 0.08), (radius * 0.9, height + 0.1)]
    m.add("lid", revolved([*lid, (radius * 0.85, height + m.between(0.1, 0.2))]))
    if m.chance(0.5):
        low, high = height * m.between(0.2, 0.4), height * m.between(0.6, 0.8)
        m.add(
            "sleeve", cylinder(radius * 0.95, high - low, radius * 1.02).moved(y=(low + high) / 2)
        )
    if m.chance(0.3):
        m.add("lid", bar((0, height, 0), (0.1, height * 1.5, 0), 0.03))
