"""Legs, pedestals, sleds, rockers and other bases under seats."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from img2pc.data.families.joinery import chance
from img2pc.data.families.seating import (
    Corner,
    Point,
    Rng,
    Seat,
    between,
    both,
    filleted,
    side_panel,
)
from img2pc.data.solids import (
    Solid,
    bar,
    box,
    cylinder,
    lathe,
    prism,
    rounded_rectangle,
    smooth_path,
    superellipse,
    sweep,
)

LegMaker = Callable[[Point, Point], Solid]


def _leg_maker(rng: Rng, radius: float, slender: bool = False) -> LegMaker:
    """One design of leg, for all the legs of an object: (top, foot) -> solid."""
    style = str(rng.choice(["square", "round", "turned", "cabriole", "sabre", "flat", "hairpin"]))
    if slender and style in ("cabriole", "flat"):
        style = "round"
    taper = rng.uniform(0.4, 1.0)
    if style == "turned":
        profile = rng.uniform(0.5, 1.25, 11)
        profile[[0, 1]] = 1.15
        return lambda top, foot: sweep(np.linspace(top, foot, 11), radius, profile)
    if style in ("cabriole", "sabre"):
        out = rng.uniform(0.03, 0.08)
        bends = (0.8, 1.0, 0.2, -0.3, 0.5) if style == "cabriole" else (0.0, -0.1, -0.1, 0.2, 1.0)
        scale = np.interp(np.linspace(0, 1, 10), [0, 0.25, 0.85, 1], [1.3, 1.25, 0.6, 0.8])
        if style == "sabre":
            scale = np.linspace(1.1, taper, 10)

        def curved(top: Point, foot: Point) -> Solid:
            away = np.array([np.sign(foot[0]), 0, np.sign(foot[2])])
            away *= min(1.0, 0.22 * float(np.hypot(foot[0], foot[2])) / out)
            shares = (0.0, 0.2, 0.55, 0.85, 1.0)
            line = [np.array(between(top, foot, share)) for share in shares]
            line = [p + away * out * bend for p, bend in zip(line, bends, strict=True)]
            line[0] = np.array(top)
            return sweep(smooth_path(line, 10), radius, scale)

        return curved
    if style == "hairpin":
        spread = rng.uniform(0.05, 0.1)

        def hairpin(top: Point, foot: Point) -> Solid:
            x = top[0] - np.sign(top[0]) * spread
            return sweep(filleted([top, foot, (float(x), top[1], top[2])], 0.03), 0.3 * radius)

        return hairpin
    section: float | Float[ndarray, "point 2"] = radius
    if style == "square":
        section = rounded_rectangle(2 * radius, 2 * radius, 0.3 * radius, 2)
    elif style == "flat":
        section = rounded_rectangle(1.2 * radius, 3.5 * radius, 0.2 * radius, 1)
        taper = max(taper, 0.6)
    return lambda top, foot: bar(top, foot, section, taper)


def corner_legs(
    rng: Rng, width: float, depth: float, top: float, count: int = 4, splay: float | None = None
) -> list[tuple[Point, Point]]:
    """(top, foot) of each leg; the tops lie inside width x depth."""
    if splay is None:
        splay = float(rng.choice([0, 0, rng.uniform(0.02, 0.08), rng.uniform(0.05, 0.14)]))
    grow = 1 + splay * 2 * min(top, 0.6) / 0.45
    x, z = width / 2, depth / 2
    if count == 4:
        rear = rng.uniform(0.75, 1.0)
        back = 1 + (grow - 1) * rng.uniform(0.6, 1.6)
        corners = [(x, z, grow), (-x, z, grow), (-x * rear, -z, back), (x * rear, -z, back)]
    else:
        angles = np.pi / 2 + 2 * np.pi * np.arange(count) / count
        corners = [(float(x * np.cos(a)), float(z * np.sin(a)), grow) for a in angles]
    return [((a, top, b), (a * g, 0.0, b * g)) for a, b, g in corners]


def stretchers(rng: Rng, legs: Sequence[tuple[Point, Point]], radius: float) -> list[Solid]:
    style = str(rng.choice(["none", "none", "box", "H", "X", "stepped", "double"]))
    low = rng.uniform(0.2, 0.75)
    at = [between(foot, top, low) for top, foot in legs]
    after = [*at[1:], at[0]]
    if style == "none":
        return []
    if len(legs) == 4 and style == "H":
        middles = (between(at[0], at[3], 0.5), between(at[1], at[2], 0.5))
        return [bar(a, b, radius) for a, b in ((at[0], at[3]), (at[1], at[2]), middles)]
    if style == "X":
        middle = (0.0, at[0][1], 0.0)
        return [bar(a, middle, radius) for a in at]
    if style == "stepped":
        high = [between(foot, top, low * 0.7 + 0.05) for top, foot in legs]
        pairs = [
            *zip(at[::2], after[::2], strict=False),
            *zip(high[1::2], after[1::2], strict=False),
        ]
        return [bar((a[0], a[1], a[2]), (b[0], a[1], b[2]), radius) for a, b in pairs]
    rails = [bar(a, b, radius) for a, b in zip(at, after, strict=True)]
    if style == "double":
        rails += [solid.moved(y=0.08) for solid in rails[1::2]]
    return rails


def legged(rng: Rng, width: float, depth: float, top: float, count: int = 4) -> list[Solid]:
    """Legs with stretchers and perhaps an apron."""
    radius = rng.uniform(0.012, 0.03)
    legs = corner_legs(rng, width - 2 * radius, depth - 2 * radius, top, count)
    make = _leg_maker(rng, radius, slender=top > 0.55)
    solids = [make(a, b) for a, b in legs]
    solids += stretchers(rng, legs, radius * rng.uniform(0.35, 0.75))
    if count == 4 and chance(rng, 0.4):
        drop = rng.uniform(0.04, 0.1)
        apron = rounded_rectangle(0.02, drop, 0.004, 1)
        tops = [(a[0], top - drop / 2, a[2]) for a, _ in legs]
        solids += [bar(a, b, apron) for a, b in zip(tops, [*tops[1:], tops[0]], strict=True)]
    return solids


def star_base(rng: Rng, top: float, reach: float) -> list[Solid]:
    """Swivel base: arms from a hub, castors or glides, a gas lift."""
    count = int(rng.choice([4, 5, 5, 5]))
    castors = chance(rng, 0.65)
    level = 0.075 if castors else 0.025
    rise = rng.uniform(0.0, 0.06)
    arm = rounded_rectangle(rng.uniform(0.03, 0.06), 0.03, 0.01, 2)
    solids = [
        lathe(
            [
                (0.045, level - 0.01),
                (0.045, level + rise + 0.05),
                (0.028, level + rise + 0.06),
                (0.026, 0.6 * top),
                (0.016, 0.6 * top + 0.005),
                (0.016, top + 0.01),
            ],
            14,
        )
    ]
    for k in range(count):
        turn = 360.0 * k / count + 90
        parts = [bar((0.0, level + rise + 0.02, 0.0), (reach, level, 0.0), arm, 0.6)]
        if castors:
            wheel = cylinder(0.028, 0.045, sections=12).rotated("x", 90)
            parts += [
                wheel.moved(reach - 0.01, 0.028, 0),
                cylinder(0.01, 0.06, sections=8).moved(reach - 0.01, 0.055, 0),
            ]
        solids += [solid.rotated("y", turn) for solid in parts]
    plate = rng.uniform(0.16, 0.26)
    return [*solids, box(plate, 0.03, plate, 0.01).moved(y=top - 0.008)]


def pedestal(rng: Rng, top: float, reach: float) -> list[Solid]:
    style = str(rng.choice(["tulip", "disc", "cone", "cross", "drum"]))
    stem = rng.uniform(0.02, 0.05)
    flare = rng.uniform(0.3, 0.6) * reach
    if style == "tulip":
        height = np.linspace(0, 1, 12)
        radius = stem + (reach - stem) * (1 - height) ** rng.uniform(4, 9)
        radius += (flare - stem) * height ** rng.uniform(4, 8)
        ends = [(float(r), float(h * top)) for r, h in zip(radius, height, strict=True)]
        return [lathe([(reach, 0.0), *[(r, h + 0.008) for r, h in ends]], 24)]
    if style == "cone":
        return [cylinder(reach, top, flare, 24).moved(y=top / 2)]
    if style == "drum":
        waist = rng.uniform(0.6, 1.1) * reach
        return [lathe([(reach, 0), (waist, top / 2), (reach * rng.uniform(0.8, 1.1), top)], 24)]
    plate = cylinder(flare, 0.012, sections=20).moved(y=top - 0.006)
    if style == "disc":
        dome = rng.uniform(0.0, 0.05)
        return [lathe([(reach, 0), (reach, 0.012), (stem, 0.015 + dome), (stem, top)], 24), plate]
    foot = rounded_rectangle(0.05, 0.03, 0.01, 2)
    rise = rng.uniform(0.0, 0.15)
    solids = [cylinder(stem, top - rise, sections=16).moved(y=(top + rise) / 2), plate]
    for k in range(4):
        path = smooth_path(
            [(0, rise + 0.03, 0), (reach * 0.5, rise * 0.7 + 0.02, 0), (reach, 0.015, 0)], 7
        )
        solids.append(sweep(path, foot, np.linspace(1, 0.6, 7)).rotated("y", 45 + 90.0 * k))
    return solids


def sled(rng: Rng, width: float, depth: float, top: float) -> list[Solid]:
    """Closed side loops (runners) of bent tube or flat bar."""
    tube = rng.uniform(0.007, 0.014)
    section: float | Float[ndarray, "point 2"] = tube
    if chance(rng, 0.3):
        section = rounded_rectangle(2 * tube, 5 * tube, 0.004, 1)
    lean = rng.uniform(-0.05, 0.1)
    x = width / 2 - tube
    out = x + float(rng.choice([0, rng.uniform(0, 0.06)]))
    loop: list[Point] = [
        (x, top, depth / 2 - 0.04),
        (out, tube, depth / 2 + lean),
        (out, tube, -depth / 2 - 0.5 * lean),
        (x, top, -depth / 2 + 0.04),
    ]
    solids = both(sweep(filleted(loop, rng.uniform(0.01, 0.09), True), section, closed=True))
    for z in (depth / 2 - 0.08, -depth / 2 + 0.08):
        solids.append(bar((-x, top - 0.005, z), (x, top - 0.005, z), tube))
    return solids


def _cantilever(rng: Rng, width: float, depth: float, top: float) -> list[Solid]:
    tube = rng.uniform(0.01, 0.018)
    x, front, rear = width / 2 - tube, depth / 2 + rng.uniform(-0.01, 0.05), -depth / 2
    half: list[Point] = [(x, top, rear + 0.02), (x, top, front), (x, tube, front + 0.02)]
    half.append((x, tube, rear - rng.uniform(-0.08, 0.08)))
    path = half + [(-a, b, c) for a, b, c in reversed(half)]
    return [sweep(filleted(path, rng.uniform(0.04, 0.12)), tube)]


def _rocker(rng: Rng, width: float, depth: float, top: float) -> list[Solid]:
    radius = rng.uniform(0.014, 0.025)
    legs = corner_legs(rng, width - 2 * radius, depth - 2 * radius, top, splay=0.02)
    make = _leg_maker(rng, radius, slender=True)
    length, curve = rng.uniform(0.75, 1.1) * max(depth, 0.45) * 1.6, rng.uniform(0.25, 0.6)
    z = np.linspace(-0.55, 0.45, 12) * length
    solids = [make(a, (b[0], 0.03 + curve * b[2] ** 2, b[2])) for a, b in legs]
    ends = abs(legs[0][1][0]), abs(legs[3][1][0])
    tilt = (ends[0] - ends[1]) / (legs[0][1][2] - legs[3][1][2])
    x = ends[0] + tilt * (z - legs[0][1][2])
    path = np.stack([x, 0.02 + curve * z**2, z], -1)
    solids += both(sweep(path, rounded_rectangle(0.03, 0.04, 0.008, 2)))
    return solids + stretchers(rng, legs, 0.6 * radius)


def _wire_base(rng: Rng, width: float, depth: float, top: float) -> list[Solid]:
    """Thin rods from under the seat to four feet, braced crosswise."""
    rod = rng.uniform(0.005, 0.011)
    inner = rng.uniform(0.25, 0.5)
    legs: list[tuple[Point, Point]] = []
    for sx, sz in ((1, 1), (-1, 1), (-1, -1), (1, -1)):
        foot = (sx * width * 0.48, 0.0, sz * depth * 0.48)
        legs.append(((foot[0] * inner, top + 0.005, foot[2] * inner), foot))
    thick = 2 * rod if chance(rng, 0.5) else rod
    solids = [bar(a, b, thick) for a, b in legs]
    for (a, b), (c, d) in zip(legs, [*legs[1:], legs[0]], strict=True):
        solids += [bar(between(a, b, 0.02), between(c, d, 0.6), rod)]
        solids += [bar(between(c, d, 0.02), between(a, b, 0.6), rod)]
    return [*solids, box(inner * width + 0.04, 0.015, inner * depth + 0.04).moved(y=top)]


def slab_sides(rng: Rng, width: float, depth: float, top: float) -> list[Solid]:
    thick = rng.uniform(0.015, 0.05)
    waist = rng.uniform(0.6, 1.0)
    d = depth / 2
    outline = [(0, d), (top / 2, d * waist), (top, d), (top, -d), (top / 2, -d * waist), (0, -d)]
    solids = both(side_panel(outline, thick, width / 2 - thick / 2))
    height = rng.uniform(0.06, 0.5) * top
    return [*solids, box(width - thick, height, 0.02).moved(y=top - height / 2 - 0.002)]


def _skirt(rng: Rng, width: float, depth: float, top: float, rounded: bool) -> list[Solid]:
    inset = rng.uniform(0.8, 1.0)
    exponent = 1.0 if rounded else 2 / rng.uniform(4, 9)
    outline = superellipse(width * inset, depth * inset, exponent)
    return [prism(outline, top + 0.01, rng.uniform(0.85, 1.15)).moved(y=top / 2)]


def seat_base(rng: Rng, seat: Seat, tall: bool = False, swivel: float = 0.1) -> list[Solid]:
    """Any of the bases, under a seat."""
    kinds = ["legs", "star", "pedestal", "sled", "cantilever", "rocker", "wire", "slab", "skirt"]
    weights = np.array([0.5, swivel, 0.08, 0.13, 0.06, 0.09, 0.06, 0.04, 0.03])
    if tall:
        weights *= [1, 0.5, 1, 1, 0, 0, 0.3, 0.5, 0]
    kind = str(rng.choice(kinds, p=weights / weights.sum()))
    w, d, top = seat.width, seat.depth, seat.under + 0.004
    inside = 0.72 if seat.rounded else rng.uniform(0.86, 1.0)
    if kind == "legs":
        return legged(rng, w * inside, d * inside, top)
    if kind == "star":
        return star_base(rng, top, rng.uniform(0.24, 0.36))
    if kind == "pedestal":
        return pedestal(rng, top, rng.uniform(0.17, 0.28))
    if kind == "sled":
        return sled(rng, w * inside, d * inside, top)
    if kind == "cantilever":
        return _cantilever(rng, w * inside, d * inside, top)
    if kind == "rocker":
        return _rocker(rng, w * inside, d * inside, top)
    if kind == "wire":
        return _wire_base(rng, w, d, top)
    if kind == "slab":
        return slab_sides(rng, w * inside, d * inside, top)
    return _skirt(rng, w, d, top, seat.rounded)


def short_legs(rng: Rng, corners: Sequence[Corner], height: float) -> list[Solid]:
    style = str(rng.choice(["taper", "block", "bun", "rod", "splay"]))
    solids = []
    r = rng.uniform(0.015, 0.04)
    for x, z in corners:
        if style == "bun":
            bulge = [(0.8, 0.0), (1.4, 0.25), (1.6, 0.5), (1.3, 0.8), (0.9, 1.0)]
            solid = lathe([(a * r, b * (height + 0.02)) for a, b in bulge], 14)
        elif style == "block":
            solid = box(2.5 * r, height + 0.02, 2.5 * r).moved(y=height / 2)
        else:
            out = 0.25 * height if style == "splay" else 0.0
            foot = (out * float(np.sign(x)), 0.0, out * float(np.sign(z)))
            solid = bar((0, height + 0.02, 0), foot, r, 0.5 if style != "rod" else 1.0)
        solids.append(solid.moved(x=x, z=z))
    return solids
