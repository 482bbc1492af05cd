"""Table, floor, arc, desk and gooseneck lamps, pendants and chandeliers."""

from __future__ import annotations

import numpy as np

from img2pc.data.families.maker import Maker, Variant
from img2pc.data.families.pieces import aimed, blob, copies_around, sphere, tapered_block, torus
from img2pc.data.families.profiles import (
    fluted,
    hollowed,
    open_shell,
    random_profile,
    revolved,
    smooth_profile,
)
from img2pc.data.shapes import Part
from img2pc.data.solids import Solid, bar, box, cylinder, smooth_path, sweep


def lamp(rng: np.random.Generator) -> list[Part]:
    """Table, floor, arc, desk and gooseneck lamps, pendants and chandeliers."""
    m = Maker(
        rng,
        base=("ceramic", "metal", "wood", "glass", "plastic", "paint"),
        shade=("fabric", "paper", "glass", "metal", "plastic"),
        metal=("metal", "paint", "wood", "plastic"),
    )
    variants: tuple[Variant, ...] = (
        _table_lamp,
        _table_lamp,
        _floor_lamp,
        _arc_lamp,
        _desk_lamp,
        _gooseneck_lamp,
        _pendant,
        _chandelier,
    )
    m.pick(variants)(m)
    return m.finished()


def _shade(m: Maker, radius: float, height: float) -> Solid:
    """A lampshade from y = 0 up to `height`, open below."""
    top = radius * m.between(0.25, 1.05)
    style = m.pick(("cone", "cone", "drum", "bell", "globe", "polygon", "pleated", "dome"))
    wall = radius * m.between(0.02, 0.05)
    if style == "globe":
        return blob(m, 2 * radius, height, 2 * radius).moved(y=height / 2)
    if style == "dome":
        angle = np.linspace(0, np.pi / 2 * 0.95, 10)
        dome = np.stack([radius * np.cos(angle), height * np.sin(angle)], -1)
        return open_shell(dome, wall)
    if style == "drum":
        top = radius * m.between(0.9, 1.0)
    waist = m.between(0.15, 0.45) if style == "bell" else 0.5
    middle = top + (radius - top) * waist
    samples = 10 if style == "bell" else 3
    profile = smooth_profile([(radius, 0), (middle, height * 0.5), (top, height)], samples)
    if style == "polygon":
        shell = open_shell(profile, wall, m.count(4, 8))
        return shell.scaled(x=m.between(0.7, 1.6)) if m.chance(0.3) else shell
    if style == "pleated":
        shell = open_shell(profile[[0, -1]], wall, 60)
        return fluted(shell, m.pick((12, 15, 20)), m.between(0.02, 0.06))
    return open_shell(profile, wall)


def _carried(shade: Solid, start: float, thickness: float) -> list[Solid]:
    """What carries a shade about the Y axis: a stem from a height, a bar across its upper rim."""
    y = shade.vertices[:, 1]
    rim = shade.vertices[y > y.max() - 1e-6]
    level, reach = y.max() - thickness, max(0.98 * np.abs(rim[:, 0]).max(), 2 * thickness)
    return [
        bar((0, start, 0), (0, level, 0), thickness),
        bar((-reach, level, 0), (reach, level, 0), 0.6 * thickness),
    ]


def _lamp_base(m: Maker, height: float) -> None:
    """The body of a table lamp up to `height`, with a foot as often as not."""
    width = height * m.between(0.12, 0.45)
    style = m.pick(("random", "random", "gourd", "balls", "cone", "box", "tripod", "column"))
    if style == "random":
        profile = random_profile(m, height, 0.15 * width, width)
        body = revolved(profile, m.pick((24, 24, 24, 4, 6, 8)))
        if m.chance(0.3):
            body = fluted(body, m.count(3, 9), m.between(0.03, 0.12), m.between(-90, 90) / height)
        m.add("base", body)
    elif style == "gourd":
        waist = m.between(0.4, 0.65) * height
        points = [(0.5 * width, 0), (width, 0.25 * height), (m.between(0.2, 0.5) * width, waist)]
        points += [(m.between(0.4, 0.8) * width, waist + 0.2 * height), (0.1 * width, height)]
        m.add("base", revolved(smooth_profile(points)))
    elif style == "balls":
        count = m.count(2, 5)
        step = height / count
        for i in range(count):
            size = step * m.between(0.55, 0.75) * (1 - 0.5 * i / count * m.pick((0, 1)))
            m.add("base", blob(m, 2 * size, step * 1.1, 2 * size).moved(y=step * (i + 0.5)))
    elif style == "cone":
        m.add(
            "base", revolved([(width, 0), (width * m.between(0.05, 0.5), height)], m.count(4, 24))
        )
    elif style == "box":
        sides = (2 * width * m.between(0.4, 1), 2 * width * m.between(0.4, 1))
        taper = m.between(0.4, 1.1)
        m.add(
            "base", tapered_block(sides, (sides[0] * taper, sides[1] * taper), height, radius=0.05)
        )
    elif style == "tripod":
        leg = bar((width * 1.2, 0, 0), (0, height, 0), height * m.between(0.02, 0.05))
        m.add("base", *copies_around(leg, m.count(3, 4), 30))
    else:
        m.add("base", cylinder(width * m.between(0.1, 0.5), height).moved(y=height / 2))
    if m.chance(0.5) or style in ("column", "balls"):
        foot = width * m.between(0.9, 1.4)
        thick = height * m.between(0.02, 0.1)
        m.add("metal", revolved([(foot, 0), (foot * m.between(0.7, 1), thick)], m.pick((24, 4, 8))))


def _table_lamp(m: Maker) -> None:
    height, radius = m.between(0.5, 1.6), m.between(0.3, 0.8)
    _lamp_base(m, height)
    tall, neck = radius * m.between(0.5, 2.0), m.between(0.02, 0.3)
    shade = _shade(m, radius, tall).moved(y=height + neck)
    m.add("shade", shade)
    m.add("metal", *_carried(shade, height * 0.95, 0.02))
    if m.chance(0.3):
        m.add("metal", sphere(0.04, y=height + neck + tall))


def _floor_lamp(m: Maker) -> None:
    height, pole = m.between(2.5, 4.5), m.between(0.02, 0.07)
    if m.chance(0.4):
        foot = m.between(0.5, 1.2)
        knee = height * m.between(0.4, 0.95)
        leg = bar((foot, 0, 0), (0, knee, 0), pole * 1.2)
        m.add("base", *copies_around(leg, 3, m.between(0, 360)))
        m.add("base", sphere(pole * 3, y=knee), bar((0, knee, 0), (0, height, 0), pole))
    else:
        foot = m.between(0.3, 0.6)
        plate = [(foot, 0), (foot * m.between(0.6, 1), m.between(0.03, 0.12)), (pole, 0.15)]
        m.add("base", revolved(plate, m.pick((24, 24, 4, 6))))
        m.add("base", bar((0, 0, 0), (0, height, 0), pole))
    radius = m.between(0.3, 0.7)
    tall = radius * m.between(0.5, 1.8)
    if m.chance(0.2):
        bowl = open_shell(smooth_profile([(0.05, 0), (radius * 0.7, 0.2), (radius, 0.5)], 8), 0.03)
        m.add("shade", bowl.moved(y=height - 0.03))
    else:
        shade = _shade(m, radius, tall).moved(y=height - tall * 0.8)
        m.add("shade", shade)
        m.add("metal", *_carried(shade, height - 0.1, pole))


def _arc_lamp(m: Maker) -> None:
    height, reach, pole = m.between(2.5, 4), m.between(1, 3), m.between(0.025, 0.06)
    sag = m.between(0.1, 0.4) * height
    points = [(0, 0, 0), (-0.1 * reach, height * 0.5, 0), (0.25 * reach, height * 0.92, 0)]
    points += [(0.65 * reach, height, 0), (reach, height - sag, 0)]
    m.add("metal", sweep(smooth_path(points, 22), pole))
    foot = m.between(0.4, 0.7)
    m.add("base", revolved([(foot, 0), (foot, 0.1)], m.pick((24, 4))).moved(x=0.3 * foot))
    radius = m.between(0.3, 0.7)
    tall = radius * m.between(0.5, 1.2)
    shade = _shade(m, radius, tall).moved(y=height - sag - tall * 0.9)
    m.add("shade", shade.moved(reach))
    m.add("metal", *(each.moved(reach) for each in _carried(shade, height - sag - 0.05, pole)))
    m.add("metal", sphere(pole * 2, reach, height - sag))


def _lamp_head(m: Maker, radius: float) -> Solid:
    """A reflector that shines along +Y, its back at the origin."""
    depth = radius * m.between(0.8, 2.2)
    back = radius * m.between(0.2, 0.7)
    if m.chance(0.2):
        long = box(radius * m.between(2, 5), radius * 0.6, radius * 1.2, radius * 0.15)
        return long.moved(y=radius * 0.2)
    curve = [(back, 0.0), (back + (radius - back) * m.between(0.2, 0.8), depth * 0.5)]
    profile = smooth_profile([*curve, (radius, depth)], 8)
    return revolved(hollowed(profile, radius * 0.06, depth * 0.2), m.pick((24, 24, 8)))


def _desk_lamp(m: Maker) -> None:
    pole, foot = m.between(0.02, 0.06), m.between(0.25, 0.5)
    thick = m.between(0.03, 0.12)
    plate = revolved([(foot, 0), (foot * m.between(0.7, 1), thick)], m.pick((24, 24, 4)))
    m.add("base", plate)
    joint = np.array([0.0, thick, 0.0])
    lengths = [m.between(0.5, 1.2) for _ in range(m.count(2, 3))]
    lean = m.pick((-1.0, 1.0))
    for length in lengths:
        angle = np.radians(m.between(5, 65)) * lean
        end = joint + length * np.array([np.sin(angle), abs(np.cos(angle)), 0])
        doubled = m.chance(0.4)
        for z in (-1.5 * pole, 1.5 * pole) if doubled else (0.0,):
            m.add(
                "metal",
                bar(
                    joint + np.array([0, 0, z]),
                    end + np.array([0, 0, z]),
                    pole * (0.6 if doubled else 1),
                ),
            )
        for point in (joint, end):
            pin = cylinder(pole * 1.8, pole * 5, sections=12).rotated("x", 90)
            m.add("metal", pin.moved(*point))
        joint, lean = end, -lean
    head = _lamp_head(m, m.between(0.15, 0.4))
    direction = (lean * m.between(0.2, 1), -m.between(0.3, 1), m.between(0, 0.6))
    m.add("shade", aimed(head, direction, joint + np.array([0, pole * 2, 0])))


def _gooseneck_lamp(m: Maker) -> None:
    height, reach = m.between(0.7, 1.8), m.between(0.3, 0.9)
    foot = m.between(0.2, 0.45)
    m.add("base", blob(m, 2 * foot, 0.2, 2 * foot * m.between(0.6, 1)).moved(y=0.1))
    droop = height * m.between(0.5, 0.9)
    points = [(0, 0.05, 0), (0, height * 0.6, 0), (0, height, reach * 0.4), (0, droop, reach)]
    path = smooth_path(points, 20)
    m.add("metal", sweep(path, m.between(0.02, 0.06)))
    direction = path[-1] - path[-2]
    m.add("shade", aimed(_lamp_head(m, m.between(0.15, 0.35)), direction, path[-1]))


def _pendant(m: Maker) -> None:
    count = m.pick((1, 1, 1, 2, 3, 4))
    top = m.between(0.5, 2.2)
    spread = m.between(0.5, 1.0)
    for i in range(count):
        x = (i - (count - 1) / 2) * spread
        radius = m.between(0.3, 0.9) * (1 if count == 1 else 0.5 * spread)
        tall, drop = radius * m.between(0.5, 2.0), m.between(0.0, 1.0) if count > 1 else 0.0
        shade = _shade(m, radius, tall).moved(y=drop)
        m.add("shade", shade.moved(x))
        cable = _carried(shade, top + 1, m.between(0.015, 0.04))
        m.add("metal", *(each.moved(x) for each in cable))
        m.add("metal", cylinder(radius * 0.3, tall * 0.2).moved(x, drop + tall * 0.95))
    if count > 1:
        m.add("base", box(count * spread, 0.08, 0.15).moved(y=top + 1))
    else:
        m.add("base", cylinder(0.2, 0.1, 0.12).moved(y=top + 1))


def _chandelier(m: Maker) -> None:
    arms, reach = m.count(3, 9), m.between(0.6, 1.4)
    height, rise = m.between(0.6, 1.6), m.between(-0.3, 0.5)
    m.add("base", revolved(random_profile(m, height, 0.04, 0.22)))
    m.add("metal", bar((0, height * 0.95, 0), (0, height + m.between(0.3, 1.5), 0), 0.025))
    level = height * m.between(0.15, 0.5)
    dip = m.between(-0.1, 0.35)
    points = [(0, level, 0), (reach * 0.5, level - dip, 0), (reach, level + rise, 0)]
    m.add("metal", *copies_around(sweep(smooth_path(points, 14), m.between(0.015, 0.04)), arms))
    radius = m.between(0.08, 0.3)
    tall = radius * m.between(0.8, 2.5)
    shade = _shade(m, radius, tall).moved(y=level + rise + m.pick((0.1, -0.8 * tall)))
    if len(shade.faces) * arms > 4000:
        shade = sphere(radius, y=level + rise + radius)
    held = [each.moved(reach) for each in _carried(shade, level + rise - 0.05, 0.015)]
    cup = cylinder(radius * 0.7, 0.04, sections=12).moved(reach, level + rise)
    candle = cylinder(0.04, 0.3, sections=10).moved(reach, level + rise + 0.12)
    m.add("shade", *copies_around(shade.moved(reach), arms))
    for solid in (cup, candle, *held):
        m.add("metal", *copies_around(solid, arms))
    if m.chance(0.4):
        m.add("metal", torus(reach, 0.03).moved(y=level + rise))
