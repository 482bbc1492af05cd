"""Dining, coffee, side, console, bar and nested tables."""

from __future__ import annotations

import numpy as np

from img2pc.data.families.cases import case_body, draw_fronts
from img2pc.data.families.joinery import (
    Finish,
    Outline,
    Span,
    about,
    chance,
    cuboid,
    draw_finish,
    edged_board,
    pick,
    rod,
    shifted,
    turned,
    whole_number,
)
from img2pc.data.families.legs import draw_legs, end_frame, legged_base
from img2pc.data.shapes import Part
from img2pc.data.solids import (
    Solid,
    cylinder,
    lathe,
    level_ring,
    prism,
    rounded_rectangle,
    smooth_path,
    superellipse,
    sweep,
)


def _pedestal(rng: np.random.Generator, radius: float, height: float, finish: Finish) -> Part:
    """A column on a foot of that radius: tulip, disc, cone, hourglass or turned."""
    neck = radius * rng.uniform(0.08, 0.35)
    head = radius * rng.uniform(0.15, 0.7)
    disc = rng.uniform(0.012, 0.05)
    kind = pick(rng, "tulip", "disc", "cone", "hourglass", "turned", "stepped")
    if kind == "disc":
        profile = [(radius, 0.0), (radius, disc), (neck, disc), (neck, height)]
    elif kind == "stepped":
        half = (radius + neck) / 2
        profile = [(radius, 0.0), (radius, disc), (half, disc), (half, 2.2 * disc)]
        profile += [(neck, 2.2 * disc), (neck, height - disc), (head, height - disc)]
        profile.append((head, height))
    elif kind == "cone":
        profile = [(radius, 0.0), (max(neck, 0.3 * head), height)]
    else:
        waist = neck if kind != "hourglass" else radius * rng.uniform(0.3, 0.7)
        points = [(radius, 0.0, 0.0), (waist * 1.5, 0.16 * height, 0.0), (waist, 0.5 * height, 0.0)]
        if kind == "turned":
            levels = np.sort(rng.uniform(0.2, 0.85, 5))
            points[1:] = [(neck * rng.uniform(0.6, 2.2), u * height, 0.0) for u in levels]
        points.append((head, height, 0.0))
        curve = smooth_path(points, 18)
        curve[:, 1] = np.maximum.accumulate(np.clip(curve[:, 1], 0, height))
        profile = [(max(float(r), 0.012), float(y)) for r, y in curve[:, :2]]
    return finish.of(lathe(profile, 24))


def _footed_column(
    rng: np.random.Generator, reach: float, height: float, finish: Finish, feet: int
) -> list[Part]:
    """A column on three to five feet, curved or straight."""
    radius = rng.uniform(0.015, 0.05) + 0.02 * reach
    joint = rng.uniform(0.08, 0.4) * height
    thickness = rng.uniform(0.5, 1.0) * radius
    straight = chance(rng, 0.35)
    if straight:
        path = np.array([(0.0, joint * 0.3, 0.0), (0.0, thickness, reach)])
    else:
        path = smooth_path(
            [
                (0.0, joint, 0.0),
                (0.0, joint * rng.uniform(0.8, 1.2), 0.35 * reach),
                (0.0, joint * 0.3, 0.7 * reach),
                (0.0, thickness, reach),
            ],
            10,
        )
    path[:, 1] = np.maximum(path[:, 1], thickness)
    leg = finish.of(sweep(path, thickness, np.linspace(1, rng.uniform(0.5, 1), len(path))))
    parts = [part for i in range(feet) for part in turned([leg], i * 360 / feet)]
    low = 0.5 * joint if not straight else 0.01
    levels = np.linspace(0, 1, 9)
    bulges = np.ones(9) if chance(rng, 0.5) else rng.uniform(0.6, 1.8, 9)
    profile = [(radius * b, low + u * (height - low)) for u, b in zip(levels, bulges, strict=True)]
    return [*parts, finish.of(lathe(profile, 14))]


def _top_outline(rng: np.random.Generator, width: float, depth: float) -> tuple[Outline, float]:
    """An outline, and what share of its width and depth the legs may stand at."""
    kind = pick(
        rng,
        "rectangle",
        "rectangle",
        "rectangle",
        "rounded",
        "rounded",
        "oval",
        "oval",
        "squircle",
        "polygon",
        "organic",
        "boat",
        "half",
    )
    if kind == "rectangle":
        return rounded_rectangle(width, depth, 0), 1.0
    if kind == "rounded":
        radius = rng.uniform(0.05, 0.5) * min(width, depth)
        return rounded_rectangle(width, depth, radius, 5), 0.85
    if kind == "oval":
        return superellipse(width, depth, points=32), 0.68
    if kind == "squircle":
        return superellipse(width, depth, rng.uniform(0.3, 0.7), 32), 0.8
    if kind == "polygon":
        return superellipse(width, depth, 1.0, whole_number(rng, 5, 8)), 0.62
    if kind == "organic":
        outline = superellipse(width, depth, points=32)
        angle = np.arctan2(outline[:, 1], outline[:, 0])
        wave = sum(
            rng.uniform(0, 0.2) / k * np.sin(k * angle + rng.uniform(0, 6.3)) for k in (1, 2, 3)
        )
        return outline * (1 + np.asarray(wave))[:, None], 0.5
    if kind == "boat":
        x = np.linspace(1, -1, 12)
        z = 1 - rng.uniform(0.1, 0.35) * x**2
        edge = np.stack([x * width / 2, z * depth / 2], -1)
        return np.concatenate([edge, -edge]), 0.8
    angle = np.linspace(0, np.pi, 20)
    arc = np.stack([np.cos(angle) * width / 2, (np.sin(angle) - 0.5) * depth], -1)
    return arc, 0.55


def _table_size(rng: np.random.Generator) -> tuple[float, float, float]:
    kind = pick(
        rng,
        "dining",
        "dining",
        "square",
        "square",
        "coffee",
        "coffee",
        "side",
        "side",
        "console",
        "bar",
    )
    if kind == "dining":
        return rng.uniform(1.0, 2.4), rng.uniform(0.65, 1.2), rng.uniform(0.68, 0.8)
    if kind == "coffee":
        return rng.uniform(0.6, 1.5), rng.uniform(0.4, 0.9), rng.uniform(0.25, 0.5)
    if kind == "console":
        return rng.uniform(0.8, 1.6), rng.uniform(0.25, 0.45), rng.uniform(0.7, 0.9)
    width = rng.uniform(0.28, 0.6) if kind == "side" else rng.uniform(0.6, 1.4)
    if kind == "bar":
        width = rng.uniform(0.4, 0.8)
    height = rng.uniform(*{"side": (0.4, 0.75), "square": (0.5, 0.8), "bar": (0.9, 1.15)}[kind])
    return width, width * rng.uniform(0.9, 1.0), height


def _ended_base(
    rng: np.random.Generator, x: float, z: float, height: float, finish: Finish
) -> list[Part]:
    """A frame or panel at either end, joined by a beam."""
    kind = pick(rng, "panel", "sled", "cross", "a", "v", "t", "t")
    size = rng.uniform(0.02, 0.05) if finish.material == "metal" else rng.uniform(0.03, 0.1)
    x = x * rng.uniform(0.6, 1.0) - size / 2
    lean = rng.uniform(-8, 8) if chance(rng, 0.2) else 0.0
    end = end_frame(rng, kind, z, height, size, finish)
    parts = []
    for s in (-1, 1):
        ends = [p._replace(solid=_leaned(p.solid, s * lean, height)) for p in end]
        parts += shifted(ends, s * x)

    def rail(y: float, tall: float, across: Span) -> Part:
        out = x + np.tan(np.radians(lean)) * (height - y)
        return cuboid(finish, (-out, out), about(y, tall), across)

    parts.append(rail(height - size / 3, size * 0.66, about(0, size)))
    if kind == "panel" and chance(rng, 0.5):
        parts.append(rail(rng.uniform(0.15, 0.6) * height, size, (-z, z)))
    elif kind == "t" or (kind == "cross" and chance(rng, 0.5)):
        y = height * (rng.uniform(0.2, 0.75) if kind == "t" else 0.5)
        parts.append(rail(y, size, about(0, size)))
    elif kind == "sled":
        for s in (-1, 1):
            level = size / 2 if chance(rng, 0.5) else height - size / 2
            parts.append(rail(level, size, about(s * (z - size / 2), size)))
    return parts


def _leaned(solid: Solid, degrees: float, height: float) -> Solid:
    """Sheared along x, the top staying where it is."""
    vertices = solid.vertices.copy()
    vertices[:, 0] += np.tan(np.radians(degrees)) * (height - vertices[:, 1])
    return Solid(vertices, solid.faces)


def _central_base(
    rng: np.random.Generator, x: float, z: float, height: float, finish: Finish
) -> list[Part]:
    """One or two columns, a drum, crossed panels, or a twisted bundle of rods."""
    reach = min(x, z)
    kind = pick(rng, "pedestal", "pedestal", "feet", "feet", "drum", "panels", "sheaf", "cage")
    if kind in ("pedestal", "feet"):
        if kind == "feet":
            parts = _footed_column(
                rng, reach * rng.uniform(0.6, 1.1), height, finish, whole_number(rng, 3, 5)
            )
            parts = turned(parts, rng.uniform(0, 90))
        else:
            parts = [_pedestal(rng, reach * rng.uniform(0.5, 1.0), height, finish)]
        head = rng.uniform(0.3, 0.8) * reach
        parts.append(finish.of(cylinder(head, 0.02).moved(y=height - 0.01)))
        if x > 1.7 * z:
            apart = x - reach * rng.uniform(0.6, 1.0)
            rail = cuboid(finish, (-apart, apart), about(0.5 * height, 0.05), about(0, 0.04))
            middle = [rail] if chance(rng, 0.5) else []
            return shifted(parts, -apart) + shifted(parts, apart) + middle
        return parts
    if kind == "drum":
        outline = superellipse(2 * x, 2 * z, whole_number(rng, 1, 3) / 3) * rng.uniform(0.4, 1.1)
        return [finish.of(prism(outline, height, rng.uniform(0.6, 1.3)).moved(y=height / 2))]
    if kind == "panels":
        count, size = whole_number(rng, 2, 4), rng.uniform(0.015, 0.06)
        panel = finish.of(
            prism(rounded_rectangle(1.8 * reach, size, 0), height, rng.uniform(0.4, 1.3)).moved(
                y=height / 2
            )
        )
        return [part for i in range(count) for part in turned([panel], 45 + i * 180 / count)]
    count = whole_number(rng, 3, 5) if kind == "sheaf" else whole_number(rng, 6, 20)
    foot, head = reach * rng.uniform(0.5, 1.0), reach * rng.uniform(0.4, 1.0)
    radius, twist = rng.uniform(0.008, 0.022), rng.uniform(20, 170) if kind == "sheaf" else 0.0
    parts = [finish.of(cylinder(head * 1.05, 0.015).moved(y=height - 0.0075))]
    for i in range(count):
        a, b = 2 * np.pi * i / count, 2 * np.pi * i / count + np.radians(twist)
        start = (foot * np.cos(a), radius, foot * np.sin(a))
        parts.append(rod(finish, start, (head * np.cos(b), height, head * np.sin(b)), radius))
    ring = level_ring(superellipse(2 * foot, 2 * foot), radius)
    return [
        *parts,
        finish.of(sweep(ring, rounded_rectangle(2 * radius, 2 * radius, 0), closed=True)),
    ]


def _boxy_base(
    rng: np.random.Generator, x: float, z: float, height: float, finish: Finish
) -> list[Part]:
    """An open frame of bars, a closed block, a case with an opening, or one side only (C-shape)."""
    kind = pick(rng, "frame", "frame", "block", "case", "c")
    size = rng.uniform(0.012, 0.05)
    if kind == "block":
        return [cuboid(finish, (-x, x), (0, height), (-z, z), rng.choice([0, 0.02, 0.06]))]
    if kind == "c":
        plate = cuboid(finish, (-x, x), (0, size), (-z, z))
        back = cuboid(finish, (-x, -x + size), (0, height), about(0, rng.uniform(0.3, 2) * z))
        return [plate, back]
    if kind == "case":
        fronts = draw_fronts(rng, finish)
        raised = rng.uniform(0.05, 0.4) * height if chance(rng, 0.6) else 0.0
        parts = case_body(
            rng, (-x, x), (raised, height), (-z, z), fronts, whole_number(rng, 1, 3), 1, 0.5
        )
        legs = draw_legs(rng, raised, finish)
        return parts + (legs.four(x - size, z - size, raised + 0.01) if raised else [])
    a, b = x - size / 2, z - size / 2
    parts = []
    for s in (-1, 1):
        for y in (size / 2, height - size / 2):
            parts.append(cuboid(finish, (-x, x), about(y, size), about(s * b, size)))
            parts.append(cuboid(finish, about(s * a, size), about(y, size), (-z, z)))
        parts += [
            cuboid(finish, about(s * a, size), (0, height), about(t * b, size)) for t in (-1, 1)
        ]
    if chance(rng, 0.4):
        y = rng.uniform(0.1, 0.6) * height
        parts.append(cuboid(finish, (-x, x), about(y, 0.02), (-z, z)))
    return parts


def _one_table(rng: np.random.Generator, width: float, depth: float, height: float) -> list[Part]:
    outline, fit = _top_outline(rng, width, depth)
    base = draw_finish(rng, "legs", "wood", "wood", "metal", "metal", "paint", "plastic")
    top = draw_finish(rng, "top", "wood", "wood", "glass", "ceramic", "paint", "plastic")
    if base.material in ("wood", "paint") and chance(rng, 0.6):
        top = Finish("top", base.material)
    thickness = rng.uniform(0.01, 0.025) if top.material == "glass" else rng.uniform(0.015, 0.07)
    edge = pick(rng, "square", "square", "round", "bevel", "under")
    under = height - thickness
    parts = [top.of(edged_board(outline, (under, height), edge))]
    inset = rng.uniform(0.8, 0.98) * fit
    x, z = width / 2 * inset, depth / 2 * inset
    builders = [legged_base] * 4 + [_ended_base] * 2 + [_central_base] * 3 + [_boxy_base]
    if fit < 0.7:
        builders += [_central_base] * 4
    return parts + pick(rng, *builders)(rng, x, z, under + 0.003, base)


def table(rng: np.random.Generator) -> list[Part]:
    """Dining, coffee, side, console and bar tables on legs, columns, frames or blocks."""
    width, depth, height = _table_size(rng)
    if not chance(rng, 0.05):
        return _one_table(rng, width, depth, height)
    # A nest: smaller copies of one open table, pulled out to the front or the side.
    finish = draw_finish(rng, "legs", "wood", "metal")
    size = rng.uniform(0.02, 0.04)
    kind = pick(rng, "panel", "sled")
    parts = []
    for i in range(whole_number(rng, 2, 3)):
        x, z = (0.5 - 0.12 * i) * width, (0.5 - 0.06 * i) * depth
        top = height - i * (size + 0.001)
        board = cuboid(Finish("top", "wood"), (-x, x), (top - size, top), (-z, z))
        end = end_frame(rng, kind, z, top - size / 2, size, finish)
        one = [board, *shifted(end, -x + size / 2), *shifted(end, x - size / 2)]
        parts += shifted(one, 0, 0, i * depth * rng.uniform(0.1, 0.35))
    return parts
