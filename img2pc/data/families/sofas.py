"""Box, curved, chesterfield and wood-framed sofas."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from img2pc.data.families.backs_and_arms import arm_solid, framed_seat
from img2pc.data.families.joinery import chance
from img2pc.data.families.seat_bases import short_legs
from img2pc.data.families.seating import (
    Corner,
    Point,
    Rng,
    arc,
    both,
    draw_look,
    draw_recipe,
    filleted,
    grounded,
    puffed_cushion,
)
from img2pc.data.shapes import Part
from img2pc.data.solids import Solid, box, cylinder, rounded_rectangle, sheet, superellipsoid, sweep


def sofa(rng: Rng) -> list[Part]:
    """Straight, corner, chaise, curved, chesterfield and wood-framed sofas."""
    recipes: list[tuple[Callable[[Rng], list[Part]], float]] = [
        (_box_sofa, 0.66),
        (_curved_sofa, 0.1),
        (_chesterfield, 0.1),
        (_wooden_sofa, 0.14),
    ]
    return grounded(draw_recipe(rng, recipes)(rng))


def _throw_pillows(rng: Rng, width: float, y: float, z: float, rake: float) -> list[Solid]:
    solids = []
    for _ in range(int(rng.choice([0, 0, 1, 2, 3]))):
        size = rng.uniform(0.35, 0.5)
        pillow = superellipsoid(size, size * rng.uniform(0.6, 1), 0.15, 0.75, 0.4)
        pillow = pillow.rotated("z", rng.uniform(-25, 25)).rotated("x", -rake - 8)
        x = rng.uniform(-0.5, 0.5) * max(width - size, 0.1)
        sunk = y - 0.02 - float(pillow.vertices[:, 1].min())
        solids.append(pillow.moved(x, sunk, z + 0.03))
    return solids


def _box_sofa(rng: Rng) -> list[Part]:
    """Straight sofas, love seats, corner sofas and sofas with a chaise."""
    each = rng.uniform(0.5, 0.85)
    count = int(rng.choice([1, 2, 2, 3, 3, 3, 4]))
    w = each * count * (rng.uniform(1.2, 1.5) if count == 1 else 1.0)
    each = w / count
    d, bt = rng.uniform(0.75, 1.05), rng.uniform(0.1, 0.24)
    top, thick = rng.uniform(0.36, 0.48), rng.uniform(0.1, 0.2)
    base_top = top - thick
    leg = min(
        float(rng.choice([0.0, rng.uniform(0.02, 0.08), rng.uniform(0.08, 0.2)])), base_top - 0.05
    )
    tall, rake = top + rng.uniform(0.2, 0.55), rng.uniform(0, 14)
    wide = rng.uniform(0.06, 0.3)
    arm_style = str(rng.choice(["boxy", "boxy", "rolled", "slanted", "flared", "thin", "none"]))
    arm_top = min(top + rng.uniform(0.03, 0.3), tall + 0.02)
    puff, edge = rng.uniform(0, 0.9 if count < 3 else 0.49), rng.uniform(0.01, 0.06)
    plan = str(rng.choice(["straight"] * 6 + ["corner", "corner", "chaise", "chaise"]))
    plan = plan if count > 1 else "straight"
    side = float(rng.choice([-1, 1]))
    reach = rng.uniform(0.45, 1.6 if plan == "corner" else 0.9)
    end = side * (w - each) / 2
    zb = -d / 2 + bt
    body_h = base_top - leg + 0.01
    soft = [box(w + 0.01, body_h, d - 0.02, edge).moved(y=leg + body_h / 2)]
    back_h = tall - leg
    # The back turns about its foot, so that its rake does not open a gap at the seat.
    panel = box(w + 0.01, back_h, bt, rng.uniform(0.1, 0.45) * bt).moved(y=back_h / 2)
    soft.append(panel.rotated("x", -0.5 * rake).moved(y=leg, z=-d / 2 + bt / 2))
    seats = count if chance(rng, 0.7) else 1
    for k in range(seats):
        x = ((k + 0.5) / seats - 0.5) * w
        cushion = puffed_cushion(rng, w / seats * 0.99, thick, d - bt + 0.02, puff)
        soft.append(cushion.moved(x, top - thick / 2, bt / 2 + 0.01))
    backs = int(rng.choice([0, count, count, seats, 1]))
    slim, rest = rng.uniform(0.1, 0.22), tall - top + rng.uniform(-0.08, 0.1)
    for k in range(backs):
        x = ((k + 0.5) / backs - 0.5) * w
        cushion = puffed_cushion(rng, w / backs * 0.98, rest, slim, puff)
        cushion = cushion.moved(y=rest / 2 - 0.02).rotated("x", -rake - 4)
        soft.append(cushion.moved(x, top, zb + slim / 2))
    trim = _throw_pillows(rng, w, top, zb + (slim if backs else 0.0) + 0.06, rake)
    corners: list[Corner] = [
        (sx * (w / 2 - 0.05), sz * (d / 2 - 0.07)) for sx in (-1, 1) for sz in (-1, 1)
    ]
    hard: list[Solid] = []
    arm: Solid | None = None
    if arm_style == "thin":
        r = rng.uniform(0.012, 0.025)
        x = w / 2 + r
        loop: list[Point] = [
            (x, arm_top, d / 2 - 0.03),
            (x, leg + 0.06, d / 2 - 0.03),
            (x, leg + 0.06, -d / 2 + 0.04),
            (x, arm_top, -d / 2 + 0.04),
        ]
        flat = rounded_rectangle(2 * r, 2.4 * r, 0.4 * r, 1)
        arm = sweep(filleted(loop, 0.04, True), flat, closed=True)
    elif arm_style != "none":
        arm = arm_solid(rng, arm_style, wide, leg, arm_top, d * 0.98).moved(x=w / 2 + 0.48 * wide)
    for sx in (-1.0, 1.0):
        if plan == "corner" and sx == side:
            length = d + reach
            wall = box(bt, back_h, length, 0.3 * bt)
            soft.append(wall.moved(sx * (w / 2 + 0.45 * bt), leg + back_h / 2, reach / 2))
        elif arm is not None:
            (hard if arm_style == "thin" else soft).append(arm if sx > 0 else arm.mirrored())
    if plan != "straight":
        soft.append(
            box(each, body_h, reach + 0.05, edge).moved(
                end, leg + body_h / 2, (d + reach) / 2 - 0.03
            )
        )
        pad = puffed_cushion(rng, each * 0.99, thick, reach + 0.01, puff)
        soft.append(pad.moved(end, top - thick / 2, (d + reach) / 2 + 0.01))
        corners += [(end + sx * (each / 2 - 0.05), d / 2 + reach - 0.1) for sx in (-1, 1)]
    legs: list[Solid] = []
    if leg > 0 and chance(rng, 0.8):
        legs = short_legs(rng, corners, leg)
    elif leg > 0:
        legs = [box(0.9 * w, leg + 0.02, 0.85 * d).moved(y=leg / 2)]
        if plan != "straight":
            legs.append(
                box(0.8 * each, leg + 0.02, reach).moved(end, leg / 2, (d + reach) / 2 - 0.1)
            )
    return draw_look(rng).parts(hard, soft, legs, trim)


def _curved_sofa(rng: Rng) -> list[Part]:
    radius, span = rng.uniform(1.0, 2.4), rng.uniform(0.4, 0.95)
    d, h, thick = rng.uniform(0.7, 0.95), rng.uniform(0.36, 0.46), rng.uniform(0.1, 0.2)
    leg = float(rng.choice([0.0, rng.uniform(0.04, 0.16)]))
    bt, tall = rng.uniform(0.1, 0.25), h + rng.uniform(0.2, 0.45)
    body = h - thick - leg
    soft = [
        sweep(arc(radius, span, leg + body / 2, 21), rounded_rectangle(d, body + 0.01, 0.03, 2)),
        sweep(
            arc(radius - bt / 2, span * 0.99, h - thick / 2, 21),
            rounded_rectangle(d - bt, thick, 0.45 * thick, 3),
        ),
        sweep(
            arc(radius + (d - bt) / 2, span, (tall + leg) / 2, 21),
            rounded_rectangle(bt, tall - leg, 0.45 * bt, 3),
        ),
    ]
    if chance(rng, 0.5):
        wide, arm = rng.uniform(0.1, 0.22), h + rng.uniform(0.05, 0.25)
        solid = box(wide, arm - leg, d, 0.4 * wide).moved(wide / 3, (arm + leg) / 2, 0)
        solid = solid.moved(z=-radius).rotated("y", -float(np.degrees(span)))
        soft += both(solid)
    legs: list[Solid] = []
    if leg > 0:
        for a in np.linspace(-0.9, 0.9, 5) * span:
            for r in (radius - 0.35 * d, radius + 0.35 * d):
                stub = cylinder(0.02, leg + 0.02, 0.03, 10).moved(y=leg / 2, z=-r)
                legs.append(stub.rotated("y", -float(np.degrees(a))))
    return draw_look(rng).parts([], soft, legs)


def _tufted(
    width: float, height: float, thick: float, columns: int, rows: int, depth: float
) -> Solid:
    """An upright panel with a quilted relief on both faces."""
    v, u = np.meshgrid(np.linspace(0, 1, 11), np.linspace(0, 1, 29), indexing="ij")
    relief = np.abs(np.sin(np.pi * columns * u)) ** 0.6 * np.abs(np.sin(np.pi * rows * v)) ** 0.6
    surface = np.stack([(u - 0.5) * width, v * height, np.zeros_like(u)], -1)
    return sheet(surface, thick + depth * relief)


def _chesterfield(rng: Rng) -> list[Part]:
    """Back and arms of one height with a roll round the top; quilted back."""
    w, d = rng.uniform(0.6, 2.1), rng.uniform(0.65, 0.85)
    leg, h, tall = rng.uniform(0.04, 0.14), rng.uniform(0.38, 0.46), rng.uniform(0.62, 0.82)
    bt, r = rng.uniform(0.09, 0.14), rng.uniform(0.07, 0.11)
    thick = rng.uniform(0.1, 0.17)
    x, rear = w / 2 + bt / 2, -d / 2 + bt / 2
    arm = tall - float(rng.choice([0, rng.uniform(0, 0.15)]))
    soft = [box(w + 0.02, h - thick - leg + 0.02, d, 0.02).moved(y=(h - thick + leg) / 2)]
    columns = max(3, round(w / rng.uniform(0.15, 0.3)))
    quilt = _tufted(w + bt, tall - leg - 0.6 * r, bt, columns, int(rng.integers(2, 5)), 0.05)
    soft.append(quilt.moved(y=leg, z=rear))
    side = (
        _tufted(d, arm - leg - 0.6 * r, bt, 4, 3, 0.04)
        if chance(rng, 0.4)
        else box(d, arm - leg - 0.6 * r, bt, 0.02).moved(y=(arm - leg - 0.6 * r) / 2)
    )
    soft += both(side.rotated("y", 90).moved(x, leg, 0))
    out = 0.3 * r
    roll: list[Point] = [(x + out, arm - r, d / 2 + 0.01), (x + out, arm - r, 0.4 * rear)]
    roll += [(x + out, tall - r, rear - out), (-x - out, tall - r, rear - out)]
    roll += [(-a, b, c) for a, b, c in reversed(roll[:2])]
    soft.append(sweep(filleted(roll, 0.12), r))
    count, puff = max(1, round(w / 0.65)) if chance(rng, 0.7) else 1, rng.uniform(0, 0.8)
    for k in range(count):
        cushion = puffed_cushion(rng, 0.99 * w / count, thick, d - bt, puff)
        soft.append(cushion.moved(((k + 0.5) / count - 0.5) * w, h - thick / 2, bt / 2 + 0.01))
    corners = [(sx * x, sz * (d / 2 - 0.06)) for sx in (-1, 1) for sz in (-1, 1)]
    trim = _throw_pillows(rng, w, h, rear + bt + 0.04, 5)
    return draw_look(rng).parts([], soft, short_legs(rng, corners, leg), trim)


def _wooden_sofa(rng: Rng) -> list[Part]:
    """Futons, settles and cane sofas: cushions in an open frame."""
    count = int(rng.integers(1, 5))
    w = rng.uniform(1.1, 1.9) if count == 1 else count * rng.uniform(0.5, 0.7)
    return framed_seat(rng, w, rng.uniform(0.62, 0.85), count)
