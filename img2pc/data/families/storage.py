"""Cabinets and bookcases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from img2pc.data.families.cases import case_body, draw_fronts, fill_cells
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
from img2pc.data.families.legs import draw_legs, end_frame
from img2pc.data.shapes import Part
from img2pc.data.solids import (
    Solid,
    lathe,
    level_ring,
    loft,
    prism,
    rounded_rectangle,
    superellipse,
)


class Storage(NamedTuple):
    """The ranges that a kind of cabinet is drawn from; see `case_body` for the last two."""

    width: Span
    height: Span
    depth: Span
    columns: tuple[int, int]
    rows: tuple[int, int]
    openness: float
    doors: float


_STORAGE = (
    Storage((0.6, 1.7), (0.6, 1.3), (0.38, 0.55), (1, 3), (1, 2), 0.0, 0.05),  # dresser
    Storage((0.7, 2.4), (1.6, 2.4), (0.45, 0.7), (1, 4), (1, 2), 0.05, 0.85),  # wardrobe
    Storage((1.1, 2.2), (0.4, 0.9), (0.35, 0.55), (2, 4), (1, 2), 0.2, 0.6),  # sideboard
    Storage((0.3, 0.6), (0.35, 0.75), (0.3, 0.5), (1, 1), (1, 2), 0.35, 0.3),  # nightstand
    Storage((0.9, 2.2), (0.28, 0.6), (0.35, 0.5), (2, 4), (1, 2), 0.55, 0.5),  # TV stand
    Storage((0.4, 2.4), (0.7, 0.95), (0.5, 0.65), (1, 4), (1, 2), 0.1, 0.6),  # kitchen
    Storage((0.35, 0.9), (0.5, 1.5), (0.4, 0.65), (1, 2), (1, 1), 0.0, 0.1),  # filing
    Storage((0.5, 1.4), (1.0, 2.2), (0.3, 0.5), (1, 3), (1, 3), 0.2, 0.8),  # display
    Storage((0.4, 1.5), (0.6, 1.6), (0.3, 0.55), (1, 3), (1, 4), 0.25, 0.5),
)


def _moulding(body: Finish, x: Span, y: float, z: Span, rise: float, flare: float) -> Part:
    """A cornice: a stack of outlines that grows by `flare` in `rise`, either may be negative."""
    rings = []
    for u, v in ((0.0, 0.0), (0.15, 0.3), (0.6, 0.45), (0.8, 0.9), (1.0, 0.9), (1.0, 1.0)):
        grow = u * flare
        width, depth = x[1] - x[0] + 2 * grow, z[1] - z[0] + 2 * grow
        outline = rounded_rectangle(width, depth, 0)
        rings.append(level_ring(outline, y + v * rise) + np.array([midpoint(x), 0, midpoint(z)]))
    return body.of(loft(np.stack(rings)))


def _underneath(
    rng: np.random.Generator, kind: str, x: float, z: float, low: float, body: Finish
) -> list[Part]:
    """What a cabinet stands on, up to height `low`."""
    top = low + 0.004
    if kind == "plinth":
        inset = rng.uniform(0.0, 0.06)
        return [cuboid(body, (-x + inset, x - inset), (0, top), (-z + 0.01, z - inset))]
    if kind == "moulding":
        return [_moulding(body, (-x, x), top, (-z, z), -top, rng.uniform(0.005, 0.035))]
    if kind == "sled":
        size = rng.uniform(0.012, 0.03)
        end = end_frame(rng, "sled", z * 0.95, top, size, Finish("legs", "metal"))
        rail = cuboid(Finish("legs", "metal"), (-0.9 * x, 0.9 * x), (0, size), about(0, size))
        return [*shifted(end, -0.9 * x), *shifted(end, 0.9 * x), rail]
    if kind == "bracket":
        size = rng.uniform(0.06, 0.16)
        foot = prism(rounded_rectangle(size, size * 0.7, 0), top, rng.uniform(1, 1.3))
        parts = []
        for sx in (-1, 1):
            for sz in (-1, 1):
                parts.append(body.of(foot.moved(sx * (x - size / 2), top / 2, sz * (z - size / 2))))
        return parts
    finish = body if chance(rng, 0.5) else draw_finish(rng, "legs", "metal", "wood")
    legs = draw_legs(rng, low, finish)
    inset = rng.uniform(0.03, 0.1) + (legs.splay * low if chance(rng, 0.5) else 0.0)
    a, b = max(x - inset, 0.5 * x), max(z - inset, 0.5 * z)
    parts = legs.four(a, b, top)
    if x > 0.9:
        parts += legs.at(0.0, b, top) + legs.at(0.0, -b, top)
    if chance(rng, 0.3):
        for s in (-1, 1):
            parts.append(cuboid(finish, (-a, a), (top - 0.04, top), about(s * b, 0.02)))
    return parts


def _bowed(parts: Sequence[Part], half: float, z: Span, bow: float) -> list[Part]:
    """The front pushed out in an arc."""
    bent = []
    for part in parts:
        vertices = part.solid.vertices.copy()
        share = np.clip((vertices[:, 2] - midpoint(z)) / (z[1] - midpoint(z)), 0, 1)
        vertices[:, 2] += bow * share * (1 - (vertices[:, 0] / half) ** 2)
        bent.append(part._replace(solid=Solid(vertices, part.solid.faces)))
    return bent


def cabinet(rng: np.random.Generator) -> list[Part]:
    """Dressers, wardrobes, sideboards, nightstands, TV stands, kitchen units and display cases."""
    plan = pick(rng, *_STORAGE)
    x, height = rng.uniform(*plan.width) / 2, rng.uniform(*plan.height)
    z = rng.uniform(*plan.depth) / 2
    columns, rows = whole_number(rng, *plan.columns), whole_number(rng, *plan.rows)
    body = draw_finish(rng, "body", "wood", "wood", "paint", "paint", "metal", "plastic")
    fronts = draw_fronts(rng, body)
    bow = rng.uniform(0.03, 0.12) if chance(rng, 0.1) else 0.0
    if bow:
        fronts = replace(fronts, steps=8, panel="flat", ajar=0.0)
    kind = pick(rng, "none", "plinth", "moulding", "bracket", "legs", "legs", "legs", "sled")
    low = 0.0 if kind == "none" else rng.uniform(0.03, 0.12)
    if kind in ("legs", "sled"):
        low = rng.uniform(0.06, 0.45) * min(height, 0.8)
    parts = case_body(
        rng, (-x, x), (low, height), (-z, z), fronts, columns, rows, plan.openness, plan.doors
    )
    if low:
        parts += _underneath(rng, kind, x, z, low, body)
    cover = pick(rng, "none", "slab", "slab", "moulding", "arch", "tiered", "backsplash")
    top = body if chance(rng, 0.6) else draw_finish(rng, "top", "ceramic", "wood", "glass", "paint")
    front = (-z, z + fronts.thickness)
    over = rng.uniform(0.0, 0.05)
    if bow and cover != "none":
        cover = "slab"  # the other tops have no cuts along x to bend at
    if cover in ("slab", "backsplash"):
        y = (height - 0.002, height + rng.uniform(0.012, 0.05))
        parts.append(
            cuboid(top, (-x - over, x + over), y, (-z, front[1] + over), steps=fronts.steps)
        )
        if cover == "backsplash" and chance(rng, 0.5):
            rise = rng.uniform(0.05, 0.25)
            parts.append(cuboid(top, (-x, x), (height, height + rise), (-z, -z + 0.02)))
    elif cover == "moulding":
        rise = rng.uniform(0.03, 0.14)
        parts.append(_moulding(body, (-x, x), height - 0.002, (-z, z), rise, over + 0.01))
    elif cover == "arch" and height > 1:
        arc = np.linspace(0, np.pi, 16)
        outline = np.stack([x * np.cos(arc), rng.uniform(0.15, 0.6) * x * np.sin(arc)], -1)
        crest = prism(outline, 2 * z).rotated("x", -90).moved(y=height - 0.004)
        parts.append(body.of(crest))
    elif cover == "tiered" and height < 1.1:
        # A second, shallower case on top: dressers with a hutch, kitchen dressers, cupboards.
        rise, share = rng.uniform(0.3, 1.1), rng.uniform(0.5, 1.0)
        upper = (-z, -z + 2 * z * rng.uniform(0.4, 0.95))
        inner = (-x * share, x * share)
        shape = (whole_number(rng, 1, 3), whole_number(rng, 1, 2))
        parts += case_body(rng, inner, (height - 0.002, height + rise), upper, fronts, *shape, 0.4)
    return _bowed(parts, x, (-z, z), bow) if bow else parts


def _books(
    rng: np.random.Generator, x: Span, y: Span, z: Span, colours: Sequence[Finish]
) -> list[Part]:
    """A row of books, a stack, a box or a vase in a compartment."""
    kind = pick(rng, "row", "row", "row", "stack", "box", "vase")
    width, height, depth = x[1] - x[0], y[1] - y[0], z[1] - z[0]
    floor = y[0] - 0.002
    if kind == "box":
        across = about(midpoint(x), width * rng.uniform(0.4, 0.95))
        return [
            cuboid(
                colours[0],
                across,
                (floor, floor + height * rng.uniform(0.3, 0.8)),
                (z[0] + 0.1 * depth, z[1] - 0.03 * depth),
            )
        ]
    if kind == "vase":
        size = 0.45 * min(width, depth, height)
        levels = rng.uniform(0.3, 1.0, 5) * size
        rise = height * rng.uniform(0.4, 0.9)
        profile = [(r, rise * i / 4) for i, r in enumerate(levels)]
        return [colours[1].of(lathe(profile, 12).moved(midpoint(x), floor, midpoint(z)))]
    parts: list[Part] = []
    if kind == "stack":
        level, size = floor, min(width, 0.3) * rng.uniform(0.5, 0.9)
        for _ in range(whole_number(rng, 2, 6)):
            thick = rng.uniform(0.015, 0.05)
            if level + thick > y[1]:
                break
            across = about(midpoint(x) + rng.uniform(-0.02, 0.02), size * rng.uniform(0.7, 1.0))
            parts.append(
                cuboid(colours[whole_number(rng, 0, 2)], across, (level, level + thick), z)
            )
            level += thick
        return parts
    place, end = x[0], x[0] + width * rng.uniform(0.3, 1.0)
    tall, thick = rng.uniform(0.5, 0.9) * height, rng.uniform(0.02, 0.05)
    for _ in range(14):
        size = thick * rng.uniform(0.5, 1.5)
        if place + size > end:
            break
        top = floor + min(tall * rng.uniform(0.75, 1.1), 0.97 * height)
        face = z[0] + depth * rng.uniform(0.6, 0.95)
        finish = colours[whole_number(rng, 0, 2)]
        parts.append(cuboid(finish, (place, place + size), (floor, top), (z[0], face)))
        place += size
    return parts


Cell = tuple[Span, Span]


def _split(rng: np.random.Generator, x: Span, y: Span, depth: int) -> list[Cell]:
    """A rectangle cut again and again, across its longer side mostly."""
    if depth == 0 or min(x[1] - x[0], y[1] - y[0]) < 0.22:
        return [(x, y)]
    across = (x[1] - x[0] > y[1] - y[0]) == chance(rng, 0.8)
    cells = []
    for part in cuts(rng, x if across else y, whole_number(rng, 2, 3), 0.7):
        cells += _split(rng, part if across else x, y if across else part, depth - 1)
    return cells


def _shelf_grid(
    rng: np.random.Generator, x: float, height: float, z: Span, body: Finish
) -> tuple[list[Part], list[Cell]]:
    """Boards between sides: regular, staggered, uneven or recursively divided."""
    t = rng.uniform(0.012, 0.045)
    kind = pick(rng, "regular", "regular", "cubes", "staggered", "split", "split")
    size = rng.uniform(0.25, 0.45)
    columns, rows = whole_number(rng, 1, 4), max(2, round(height / size))
    if kind == "cubes":
        columns, rows = max(1, round(2 * x / size)), max(1, round(height / size))
    low = 0.0 if chance(rng, 0.5) else rng.uniform(0.04, 0.12)
    across, up = (-x, x), (low, height)
    if kind == "split":
        cells = _split(rng, across, up, whole_number(rng, 2, 3))
    else:
        uneven = 0.5 if chance(rng, 0.3) else 0.0
        levels = cuts(rng, up, min(rows, 8), uneven)
        columns = min(columns, 6)
        spans = cuts(rng, across, columns, uneven)
        cells = []
        for row in levels:
            if kind == "staggered":
                spans = cuts(rng, across, whole_number(rng, 1, 3), 1.0)
            cells += [(span, row) for span in spans]
    parts = []
    for cx, cy in cells:
        parts.append(cuboid(body, about(cx[0], t), cy, z))
        parts.append(cuboid(body, (cx[0] - t / 2, cx[1] + t / 2), about(cy[0], t), z))
    parts.append(cuboid(body, about(x, t), up, z))
    parts.append(cuboid(body, (-x - t / 2, x + t / 2), about(height, t), z))
    if low:
        parts.append(cuboid(body, (-x, x), (0, low), (z[0] + 0.02, z[1] - 0.02)))
    else:
        parts = shifted(parts, y=t / 2)
        cells = [(cx, (cy[0] + t / 2, cy[1] + t / 2)) for cx, cy in cells]
    if chance(rng, 0.6):
        parts.append(cuboid(body, (-x, x), (low, height), (z[0], z[0] + 0.008)))
    return parts, [(inside(cx, t / 2), inside(cy, t / 2)) for cx, cy in cells]


def _posts_and_boards(
    rng: np.random.Generator, x: float, height: float, z: Span, board: Finish
) -> tuple[list[Part], list[Cell]]:
    """Boards carried by four posts, with braces or rails."""
    posts = draw_finish(rng, "frame", "metal", "metal", "wood", "paint")
    size, t = rng.uniform(0.012, 0.045), rng.uniform(0.01, 0.04)
    levels = np.linspace(rng.uniform(0.03, 0.2), height - t, whole_number(rng, 3, 6))
    if chance(rng, 0.4):
        levels[1:-1] += rng.uniform(-0.08, 0.08, len(levels) - 2)
    round_posts = chance(rng, 0.4)
    parts = []
    tops = height + (rng.uniform(0.0, 0.2) if chance(rng, 0.4) else 0.0)
    for sx in (-x, x):
        for sz in (z[0] + size / 2, z[1] - size / 2):
            if round_posts:
                parts.append(rod(posts, (sx, 0, sz), (sx, tops, sz), 0.6 * size))
            else:
                parts.append(cuboid(posts, about(sx, size), (0, tops), about(sz, size)))
    parts += [cuboid(board, (-x, x), (level, level + t), z) for level in levels]
    brace = pick(rng, "none", "back", "sides", "rails", "ladder")
    if brace == "back":
        for s in (-1, 1):
            ends = (-s * x, levels[0], z[0] + 0.01), (s * x, levels[-1], z[0] + 0.01)
            parts.append(beam(posts, *ends, 0.5 * size))
    elif brace == "sides":
        for sx in (-x, x):
            for a, b in (z, z[::-1]):
                parts.append(beam(posts, (sx, levels[0], a), (sx, levels[-1], b), 0.4 * size))
    elif brace in ("rails", "ladder"):
        rises = (0.05, 0.1) if brace == "rails" else (0.0,)
        for level in levels:
            for rise in rises:
                for sx in (-x, x):
                    y = min(level + rise, tops - 0.01)
                    parts.append(beam(posts, (sx, y, z[0]), (sx, y, z[1]), 0.5 * size))
    pairs = pairwise(levels)
    return parts, [(inside((-x, x), size), (float(a) + t, float(b))) for a, b in pairs]


def _ladder_shelf(
    rng: np.random.Generator, x: float, height: float, z: Span, board: Finish
) -> list[Part]:
    """Shelves that grow deeper towards the floor: leaning ladders and A-frames."""
    frame = board if chance(rng, 0.4) else draw_finish(rng, "frame", "metal", "wood")
    size, t = rng.uniform(0.018, 0.05), rng.uniform(0.012, 0.03)
    foot, head = z[1] + rng.uniform(0.0, 0.25), z[0] + rng.uniform(0.02, 0.12)
    back_foot = z[0] if chance(rng, 0.6) else None
    parts = []
    for sx in (-x, x):
        parts.append(beam(frame, (sx, 0, foot), (sx, height, head), size))
        if back_foot is not None:
            parts.append(beam(frame, (sx, 0, back_foot), (sx, height, z[0]), size))
    for level in np.linspace(rng.uniform(0.08, 0.3), 0.95, whole_number(rng, 3, 6)) * height:
        face = foot + (head - foot) * level / height + size / 2
        parts.append(cuboid(board, (-x, x), (level, level + t), (z[0], face)))
        if chance(rng, 0.3):
            parts.append(cuboid(board, (-x, x), (level, level + 0.06), (z[0], z[0] + 0.012)))
    return parts


def _corner_shelf(rng: np.random.Generator, x: float, height: float, board: Finish) -> list[Part]:
    """Round, quarter-round or triangular boards on posts or between two walls."""
    kind = pick(rng, "quarter", "triangle", "round", "round")
    count = whole_number(rng, 3, 6)
    t, radius = rng.uniform(0.012, 0.03), min(x, 0.45)
    if kind == "round":
        outline = superellipse(2 * radius, 2 * radius * rng.uniform(0.7, 1.0))
    elif kind == "triangle":
        outline = np.array([(radius, -radius), (-radius, radius), (-radius, -radius)])
    else:
        angle = np.linspace(0, np.pi / 2, 12)
        arc = 2 * radius * np.stack([np.cos(angle), np.sin(angle)], -1)
        outline = np.concatenate([arc, [[0.0, 0.0]]]) - radius
    levels = np.linspace(rng.uniform(0.0, 0.12), height - t, count)
    shrink = 1.0 if chance(rng, 0.5) else rng.uniform(0.5, 0.95)
    corner = np.array([-radius, -radius]) if kind != "round" else np.zeros(2)
    parts = []
    for i, level in enumerate(levels):
        share = shrink ** (i / max(count - 1, 1))
        flat = (outline - corner) * share + corner
        parts.append(board.of(prism(flat, t).moved(y=level + t / 2)))
    if kind == "round":
        frame = board if chance(rng, 0.5) else draw_finish(rng, "frame", "metal", "wood")
        posts, thick = whole_number(rng, 3, 4), rng.uniform(0.007, 0.02)
        for i in range(posts):
            a = 2 * np.pi * i / posts + np.pi / 6
            reach = np.array([np.cos(a), 0.72 * np.sin(a)]) * radius * 0.92 * shrink
            start, end = (reach[0], 0.0, reach[1]), (reach[0], height, reach[1])
            parts.append(rod(frame, start, end, thick))
        return parts
    edge = (-radius, radius)
    if chance(rng, 0.5):
        a, size = radius - 0.02, rng.uniform(0.015, 0.04)
        for px, pz in ((-a, -a), (-a + 2 * a * shrink, -a), (-a, -a + 2 * a * shrink)):
            parts.append(cuboid(board, about(px, size), (0, height), about(pz, size)))
        return turned(parts, -45 if chance(rng, 0.6) else 0)
    wall = inside((-radius - t, -radius + t), t * 0.5)
    parts.append(cuboid(board, edge, (0, height), wall))
    parts.append(cuboid(board, wall, (0, height), edge))
    return turned(parts, -45) if chance(rng, 0.6) else parts


def _zigzag_shelf(
    rng: np.random.Generator, x: float, height: float, z: Span, board: Finish
) -> list[Part]:
    """Open boards on uprights that step left and right, or on one central spine."""
    t, count = rng.uniform(0.015, 0.045), whole_number(rng, 3, 7)
    levels = np.linspace(t / 2, height - t / 2, count + 1)
    kind = pick(rng, "zigzag", "steps", "spine")
    parts = []
    for i, (low, high) in enumerate(pairwise(levels)):
        side = -1 if i % 2 else 1
        place = side * rng.uniform(0.3, 0.95) * x if kind == "zigzag" else 0.0
        if kind == "steps":
            reach = x - 2 * x * i / (count + 1)
            parts.append(cuboid(board, (-x, reach), about(low, t), z))
            for upright in np.linspace(-x + t / 2, reach - t / 2, max(2, count - i + 1)):
                parts.append(cuboid(board, about(upright, t), (low, high), z))
            parts.append(cuboid(board, (-x, reach), about(high, t), z))
            continue
        shift = 0.0 if kind == "zigzag" else rng.uniform(-0.25, 0.25) * x
        parts.append(cuboid(board, (-x + shift, x + shift), about(low, t), z))
        parts.append(cuboid(board, about(place, t * 1.5), (low, high), z))
        if kind == "zigzag" and chance(rng, 0.5):
            parts.append(cuboid(board, about(-place * 0.9, t), (low, high), z))
    if kind != "steps":
        parts.append(cuboid(board, (-x, x), about(levels[-1], t), z))
    return parts


def bookcase(rng: np.random.Generator) -> list[Part]:
    """Bookcases: grids, cubes, uneven compartments, ladders, corner shelves and metal racks."""
    x, height = rng.uniform(0.2, 0.7), rng.uniform(0.7, 2.3)
    if chance(rng, 0.2):
        x, height = rng.uniform(0.7, 1.4), rng.uniform(0.6, 2.4)
    depth = rng.uniform(0.2, 0.45)
    z = (-depth / 2, depth / 2)
    body = draw_finish(rng, "body", "wood", "wood", "wood", "paint", "paint", "metal", "glass")
    if body.material == "glass" and chance(rng, 0.6):
        body = Finish("body", "plastic")
    kind = pick(rng, "grid", "grid", "grid", "grid", "posts", "posts", "ladder", "corner", "zigzag")
    if kind == "grid":
        parts, cells = _shelf_grid(rng, x, height, z, body)
    elif kind == "posts":
        parts, cells = _posts_and_boards(rng, x, height, z, body)
    elif kind == "ladder":
        return _ladder_shelf(rng, x, height, z, body)
    elif kind == "corner":
        return _corner_shelf(rng, x, height, body)
    else:
        return _zigzag_shelf(rng, x, height, z, body)
    if kind == "grid" and chance(rng, 0.25):
        fronts = draw_fronts(rng, body)
        for cx, cy in cells[: whole_number(rng, 1, max(1, len(cells) // 3))]:
            if cx[1] - cx[0] > 0.12 and cy[1] - cy[0] > 0.12:
                content = pick(rng, "doors", "drawers")
                parts += fill_cells(rng, cx, cy, (z[0], z[1] - 0.005), fronts, content)
    if chance(rng, 0.45):
        colours = [Finish("books", "paper"), Finish("covers", "fabric"), Finish("boxes", "plastic")]
        order = rng.permutation(len(cells))
        for i in order[: whole_number(rng, 1, min(12, len(cells)))]:
            cx, cy = cells[int(i)]
            if cy[1] - cy[0] > 0.1 and cx[1] - cx[0] > 0.08:
                parts += _books(rng, cx, cy, inside(z, 0.012), colours)
    return parts
