"""Beds, bunk beds, canopy beds and cribs."""

from __future__ import annotations

import numpy as np

from img2pc.data.families.cases import case_body, draw_fronts
from img2pc.data.families.joinery import (
    Finish,
    Span,
    about,
    beam,
    chance,
    cuboid,
    cuts,
    draw_finish,
    inside,
    midpoint,
    pick,
    rod,
    shifted,
    turned,
    whole_number,
)
from img2pc.data.families.legs import Legs, draw_legs
from img2pc.data.shapes import Part
from img2pc.data.solids import (
    Solid,
    lathe,
    prism,
    rounded_rectangle,
    sheet,
    smooth_path,
    superellipsoid,
    sweep,
)


def _grille(
    rng: np.random.Generator, finish: Finish, x: float, y: Span, size: float, arch: float
) -> list[Part]:
    """Upright bars between two posts under a straight or arched rail, in the plane z = 0."""
    count = whole_number(rng, 3, 16)
    path = smooth_path([(-x, y[1], 0.0), (0.0, y[1] + arch, 0.0), (x, y[1], 0.0)], 13)
    rail = rounded_rectangle(1.2 * size, 1.2 * size, 0)
    parts = [finish.of(sweep(path, rail)), beam(finish, (-x, y[0], 0), (x, y[0], 0), size)]
    flat = chance(rng, 0.3)
    width = 0.8 * x / count
    for place in np.linspace(-x, x, count + 2)[1:-1]:
        top = float(np.interp(place, path[:, 0], path[:, 1]))
        if flat:
            parts.append(cuboid(finish, about(place, width), (y[0], top), about(0, 0.4 * size)))
        else:
            parts.append(rod(finish, (place, y[0], 0), (place, top, 0), 0.35 * size))
    return parts


def _bed_end(
    rng: np.random.Generator, kind: str, x: float, low: float, top: float, finish: Finish
) -> list[Part]:
    """A headboard or footboard in the plane z = 0, posts down to the floor."""
    size = rng.uniform(0.03, 0.08) * (0.6 if finish.material == "metal" else 1.0)
    arch = rng.uniform(0.05, 0.3) if chance(rng, 0.4) else 0.0
    if kind == "upholstered":
        thick = rng.uniform(0.06, 0.16)
        soft = Finish("headboard", "leather" if finish.material == "leather" else "fabric")
        wing = rng.uniform(0.15, 0.35) if chance(rng, 0.25) else 0.0
        parts = [
            cuboid(soft, (-x, x), (0.02, top), about(0, thick), 0.4 * thick),
            cuboid(soft, (-0.95 * x, 0.95 * x), (0, 0.05), about(0, 0.5 * thick)),
        ]
        cushions = whole_number(rng, 0, 4)
        for span in cuts(rng, (-x, x), cushions, 0) if cushions else []:
            face = (0.0, thick * 0.85)
            parts.append(cuboid(soft, span, (low, top + 0.02), face, 0.3 * thick))
        if wing:
            for s in (-x, x):
                parts.append(cuboid(soft, about(s, 0.07), (0.02, top), (-0.05, wing), 0.025))
        return parts
    if kind == "curved":
        angle = np.linspace(0, np.pi, 20)
        exponent = rng.uniform(0.4, 1.0)
        rise = top - low
        crest = np.sin(angle) ** exponent * rise + low
        arc = np.stack([x * np.cos(angle), crest], -1)
        outline = np.concatenate([arc, [[-x, 0.0], [x, 0.0]]])
        board = prism(outline * [1, -1], rng.uniform(0.03, 0.1)).rotated("x", 90)
        return [finish.of(board)]
    posts = [
        cuboid(finish, about(s * (x - size / 2), size), (0, top), about(0, size)) for s in (-1, 1)
    ]
    if finish.material == "metal" or chance(rng, 0.2):
        out = x - size / 2
        posts = [rod(finish, (s * out, 0, 0), (s * out, top, 0), 0.6 * size) for s in (-1, 1)]
    if chance(rng, 0.3):
        ball = lathe([(0.2, 0), (0.7, 0.3), (0.9, 0.8), (0.6, 1.4), (0.1, 1.6)], 10)
        tip = finish.of(ball.scaled(size, size, size).moved(y=top - 0.005))
        posts += shifted([tip], -x + size / 2) + shifted([tip], x - size / 2)
    low = min(low, 0.75 * top)
    if kind == "bars":
        return posts + _grille(rng, finish, x - size / 2, (low, top - size), size, arch)
    if kind == "slats":
        rows = whole_number(rng, 2, 5)
        for row in cuts(rng, (low, top), rows, 0.3):
            tall = (row[0] + 0.15 * (row[1] - row[0]), row[1] - 0.1 * (row[1] - row[0]))
            posts.append(cuboid(finish, (-x, x), tall, about(0, 0.5 * size)))
        return posts
    panel = cuboid(finish, (-x, x), (0.6 * low, top - 0.2 * size), about(0, 0.5 * size))
    rail = cuboid(finish, (-x, x), (top - size, top + 0.3 * size), about(0, 1.3 * size))
    fields = [
        cuboid(finish, inside(span, 0.05), (low + 0.05, top - 2 * size), about(0, 0.8 * size))
        for span in cuts(rng, (-x, x), whole_number(rng, 1, 4), 0)
        if chance(rng, 0.7) and top - low > 0.25
    ]
    return [*posts, panel, *([rail] if chance(rng, 0.6) else []), *fields]


def _blanket(
    rng: np.random.Generator, x: float, y: float, z: Span, thick: float, drop: float
) -> Solid:
    """A cover over the mattress whose sides hang down in folds."""
    top, down = 9, 5
    across = np.concatenate([np.full(down, -x), np.linspace(-x, x, top), np.full(down, x)])
    hang = np.linspace(1, 0, down, endpoint=False)
    sag = np.concatenate([hang, np.zeros(top), hang[::-1]]) * drop
    rows = np.linspace(*z, 13)
    wave = rng.uniform(0.0, 0.025) * np.sin(rows * rng.uniform(8, 30) + rng.uniform(0, 6))
    lumps = rng.uniform(0, 0.012) * rng.normal(size=(13, len(across)))
    flare = np.sign(across) * (sag / drop) * (rng.uniform(0.01, 0.06) + wave[:, None])
    surface = np.stack(
        [
            across + flare,
            y - sag + np.abs(lumps) * (sag == 0),
            np.broadcast_to(rows[:, None], flare.shape),
        ],
        -1,
    )
    # A sheet thickened at a right-angled fold would pinch: round the fold first.
    surface[:, down, 0] *= 0.985
    surface[:, -down - 1, 0] *= 0.985
    return sheet(surface, thick)


def _bedding(rng: np.random.Generator, x: float, z: float, base: float, fancy: bool) -> list[Part]:
    """Mattress, pillows and covers; the head is at -z."""
    thick = rng.uniform(0.1, 0.32)
    top = base + thick
    soft = Finish("mattress", "fabric")
    parts = [cuboid(soft, (-x, x), (base - 0.01, top), (-z, z), rng.uniform(0.02, 0.08))]
    if not fancy:
        return parts
    pillows = Finish("pillows", "fabric")
    if chance(rng, 0.85):
        across = 1 if x < 0.55 else 2
        width = 2 * x / across * rng.uniform(0.7, 0.95)
        for row in range(1 if chance(rng, 0.75) else 2):
            for span in cuts(rng, (-x, x), across, 0):
                pillow = superellipsoid(
                    width, rng.uniform(0.1, 0.2), rng.uniform(0.3, 0.5), 0.8, rng.uniform(0.3, 0.6)
                )
                tilt = rng.uniform(0, 60) if row == 0 else rng.uniform(0, 30)
                place = -z + 0.22 + 0.25 * row
                pillow = pillow.rotated("x", tilt)
                lift = top - 0.02 - pillow.vertices[:, 1].min()
                parts.append(pillows.of(pillow.moved(midpoint(span), lift, place)))
    kind = pick(rng, "none", "cover", "cover", "throw", "duvet")
    start = z * rng.uniform(-0.55, 0.1)
    cover = draw_finish(rng, "blanket", "fabric")
    if kind == "cover":
        drop = rng.uniform(0.3, 1.2) * thick
        parts.append(cover.of(_blanket(rng, x + 0.012, top + 0.012, (start, z), 0.025, drop)))
    elif kind == "throw":
        band = (z * rng.uniform(0.1, 0.5), z * rng.uniform(0.6, 0.95))
        parts.append(cover.of(_blanket(rng, x + 0.012, top + 0.012, band, 0.02, 0.8 * thick)))
    elif kind == "duvet":
        span = (base + 0.4 * thick, top + rng.uniform(0.03, 0.12))
        parts.append(cuboid(cover, (-x - 0.03, x + 0.03), span, (start, z + 0.02), 0.06))
    return parts


def _bed_base(
    rng: np.random.Generator, x: float, z: float, top: float, finish: Finish
) -> list[Part]:
    """Side rails, a box or a platform, on legs or with drawers."""
    kind = pick(rng, "rails", "rails", "box", "platform", "drawers")
    rise = min(top - 0.01, top * rng.uniform(0.3, 0.8))
    if kind == "box":
        return [cuboid(finish, (-x, x), (0.0, top), (-z, z), rng.choice([0, 0.03]))]
    if kind == "drawers":
        body = Finish("drawers", "wood" if finish.material == "metal" else finish.material)
        fronts = draw_fronts(rng, body)
        side = case_body(
            rng, (-z, z), (0, top), (-x, x), fronts, whole_number(rng, 2, 4), 1, 0.1, 0.1
        )
        return turned(side, 90 if chance(rng, 0.5) else -90)
    legs = draw_legs(rng, rise, finish)
    inset = rng.uniform(0.0, 0.25)
    # As high as the board that they carry.
    board = rise if kind == "platform" else max(rise, top - 0.04)
    parts = legs.four(x - 0.05 - inset * 0.5, z - 0.05 - inset, board + 0.02)
    if kind == "platform":
        over = rng.uniform(0.0, 0.15)
        parts.append(cuboid(finish, (-x - over, x + over), (rise, top), (-z, z + over)))
        return parts
    size = rng.uniform(0.025, 0.06)
    for s in (-1, 1):
        parts.append(cuboid(finish, about(s * (x - size / 2), size), (rise, top + 0.03), (-z, z)))
        end = about(s * (z - size / 2), size)
        parts.append(cuboid(finish, (-x, x), (rise, top + 0.03), end))
    parts.append(cuboid(finish, (-x, x), (board, top), (-z, z)))
    return parts


def _bunk(rng: np.random.Generator, x: float, z: float, finish: Finish) -> list[Part]:
    """Two beds, or one high bed, on four posts with a ladder."""
    size, height = rng.uniform(0.04, 0.09), rng.uniform(1.4, 1.9)
    upper = height - rng.uniform(0.25, 0.4)
    levels = [upper] if chance(rng, 0.2) else [rng.uniform(0.2, 0.45), upper]
    legs = Legs("square", finish, size, 1.0, 0.0, ())
    parts = legs.four(x, z, height)
    for level in levels:
        tall = about(level, rng.uniform(0.08, 0.16))
        for s in (-1, 1):
            parts.append(cuboid(finish, about(s * x, 0.5 * size), tall, (-z, z)))
            parts.append(cuboid(finish, (-x, x), tall, about(s * z, 0.5 * size)))
        parts.append(cuboid(finish, (-x, x), about(level, 0.02), (-z, z)))
        parts += _bedding(rng, x - 0.03, z - 0.03, level, level == upper and chance(rng, 0.6))
        rail = _grille(rng, finish, x, (level + 0.02, min(level + 0.3, height)), 0.5 * size, 0)
        parts += [part for s in (-1, 1) for part in shifted(rail, z=s * z)]
    for level in (upper + 0.18, height - 0.03):
        for s in (-1, 1):
            end = z if s < 0 else 0.4 * z
            parts.append(beam(finish, (s * x, level, -z), (s * x, level, end), 0.5 * size))
        parts.append(beam(finish, (x, level - 0.04, 0.4 * z), (x, upper, 0.4 * z), 0.5 * size))
    out = x + rng.uniform(0.02, 0.35)
    rungs = np.linspace(0, 1, whole_number(rng, 4, 7))[1:]
    for place in (0.5 * z, 0.5 * z + 0.38):
        parts.append(beam(finish, (out, 0, place), (x, upper + 0.05, place), 0.04))
    for u in rungs:
        reach, y = out + (x - out) * u, u * (upper + 0.03)
        parts.append(rod(finish, (reach, y, 0.5 * z), (reach, y, 0.5 * z + 0.38), 0.016))
    return turned(parts, -90 if chance(rng, 0.6) else 0)


def _crib(rng: np.random.Generator, finish: Finish) -> list[Part]:
    """A cot with barred sides."""
    x, z = rng.uniform(0.5, 0.75), rng.uniform(0.28, 0.4)
    size, low, top = rng.uniform(0.03, 0.06), rng.uniform(0.15, 0.35), rng.uniform(0.75, 1.0)
    legs = Legs(pick(rng, "square", "round"), finish, size, 1.0, 0.0, ())
    parts = legs.four(x, z, top + 0.02)
    back = top + (rng.uniform(0.05, 0.3) if chance(rng, 0.4) else 0.0)
    parts += shifted(_grille(rng, finish, x, (low, top), 0.7 * size, 0), z=z)
    parts += shifted(_grille(rng, finish, x, (low, top), 0.7 * size, back - top), z=-z)
    if chance(rng, 0.3):
        end = [cuboid(finish, about(0, 0.5 * size), (low, top), (-z, z))]
    else:
        end = turned(_grille(rng, finish, z, (low, top), 0.7 * size, 0), 90)
    parts += [part for s in (-1, 1) for part in shifted(end, s * x)]
    mattress = (low, low + rng.uniform(0.08, 0.15))
    parts.append(cuboid(Finish("mattress", "fabric"), (-x, x), mattress, (-z, z), 0.02))
    return parts


def bed(rng: np.random.Generator) -> list[Part]:
    """Beds with head and foot boards, four-posters, platforms, bunks, daybeds and cots."""
    x, z = rng.uniform(0.4, 1.0), rng.uniform(0.92, 1.08)
    finish = draw_finish(
        rng, "frame", "wood", "wood", "wood", "paint", "metal", "fabric", "leather"
    )
    hard = finish if finish.material in ("wood", "paint", "metal") else Finish("frame", "wood")
    kind = pick(rng, *["plain"] * 8, "canopy", "daybed", "bunk", "crib")
    if kind == "bunk":
        return _bunk(rng, min(x, 0.56), z, hard)
    if kind == "crib":
        return _crib(rng, hard)
    low = rng.uniform(0.12, 0.45)
    ends = ["panel", "panel", "bars", "slats", "curved", "upholstered", "upholstered"]
    if finish.material in ("fabric", "leather"):
        ends = ["upholstered"]
    style = pick(rng, *ends)
    if kind == "daybed":
        # Seen from its long side, with a back and two equal ends.
        x = rng.uniform(0.38, 0.5)
        top = low + rng.uniform(0.3, 0.6)
        parts = _bed_base(rng, x, z, low, hard) + _bedding(rng, x, z, low, False)
        board = _bed_end(rng, style, x, low, top, finish)
        parts += shifted(board, z=-z) + shifted(turned(board, 180), z=z)
        back = turned(_bed_end(rng, style, z, low, top + rng.uniform(0, 0.15), finish), 90)
        parts += shifted(back, x=-x)
        return turned(parts, -90)
    parts = _bed_base(rng, x, z, low, finish if chance(rng, 0.6) else hard)
    parts += _bedding(rng, x - 0.02, z - 0.02, low, chance(rng, 0.9))
    if chance(rng, 0.88):
        top = low + rng.uniform(0.3, 1.1)
        wide = x + (rng.uniform(0.02, 0.4) if chance(rng, 0.3) else 0.02)
        parts += shifted(_bed_end(rng, style, wide, low, top, finish), z=-z - 0.02)
    if chance(rng, 0.4):
        foot = low + rng.uniform(0.05, 0.55)
        board = turned(_bed_end(rng, style, x + 0.02, 0.7 * low, foot, finish), 180)
        parts += shifted(board, z=z + 0.02)
    if kind == "canopy":
        height = rng.uniform(1.7, 2.3)
        legs = Legs(
            pick(rng, "square", "round", "turned"),
            hard,
            rng.uniform(0.04, 0.11),
            1.0,
            0.0,
            draw_legs(rng, height, hard).profile,
        )
        parts += legs.four(x + 0.02, z + 0.02, height)
        size = 0.6 * legs.thickness
        for s in (-1, 1):
            a, b, y = s * (x + 0.02), s * (z + 0.02), height - size / 2
            parts.append(beam(hard, (a, y, -z - 0.02), (a, y, z + 0.02), size))
            parts.append(beam(hard, (-x - 0.02, y, b), (x + 0.02, y, b), size))
        if chance(rng, 0.3):
            cloth = Finish("canopy", "fabric")
            parts.append(cuboid(cloth, (-x, x), (height - 0.01, height + 0.02), (-z, z)))
    return parts
