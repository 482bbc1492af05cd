"""Dining, office, bar, wing, tub, shell, folding and lounge chairs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from img2pc.data.families.backs_and_arms import (
    Back,
    arm_solid,
    arms,
    back_panel,
    back_rail,
    back_solids,
    framed_seat,
    new_back,
    seat_outline,
    seat_solids,
    spindle,
)
from img2pc.data.families.joinery import chance
from img2pc.data.families.seat_bases import (
    corner_legs,
    pedestal,
    seat_base,
    short_legs,
    star_base,
    stretchers,
)
from img2pc.data.families.seating import (
    Look,
    Rng,
    Seat,
    between,
    both,
    draw_look,
    draw_recipe,
    filleted,
    grounded,
    puffed_cushion,
    ribbon,
    side_panel,
    soft_pad,
)
from img2pc.data.shapes import Part
from img2pc.data.solids import (
    Solid,
    bar,
    box,
    prism,
    rounded_rectangle,
    sheet,
    smooth_path,
    superellipse,
    sweep,
)


def chair(rng: Rng) -> list[Part]:
    """Dining, arm, office, bar, wing, tub, shell, folding, rocking and sculptural chairs."""
    recipes: list[tuple[Callable[[Rng], list[Part]], float]] = [
        (_plain_chair, 0.36),
        (_bar_chair, 0.06),
        (_shell_chair, 0.12),
        (_office_chair, 0.09),
        (_armchair, 0.11),
        (_tub_chair, 0.08),
        (_windsor_chair, 0.05),
        (_lounge_chair, 0.06),
        (_folding_chair, 0.04),
        (_ribbon_chair, 0.03),
    ]
    return grounded(draw_recipe(rng, recipes)(rng))


def _plain_seat(rng: Rng, low: float = 0.38, high: float = 0.52) -> Seat:
    width = rng.uniform(0.36, 0.58)
    depth = rng.uniform(0.36, 0.55)
    rounded = chance(rng, 0.22)
    if rounded:
        depth = width * rng.uniform(0.92, 1.08)
    return Seat(width, depth, rng.uniform(low, high), rng.uniform(0.015, 0.06), rounded)


def _tilted(solids: Iterable[Solid], seat: Seat, degrees: float) -> list[Solid]:
    """Turned about the middle of the seat so that its rear sinks."""
    return [
        solid.moved(y=-seat.height).rotated("x", -degrees).moved(y=seat.height) for solid in solids
    ]


def _seated(
    rng: Rng, seat: Seat, back: Back, armed: float, look: Look, base: list[Solid]
) -> list[Part]:
    hard, soft = seat_solids(rng, seat)
    back_hard, back_soft, carries = back_solids(rng, back)
    hard += back.mounted(back_hard, seat)
    soft += back.mounted(back_soft, seat)
    if chance(rng, armed):
        arm_hard, arm_soft = arms(rng, seat, back, carries)
        hard, soft = hard + arm_hard, soft + arm_soft
    tilt = float(rng.choice([0, rng.uniform(0, 3)]))
    return look.parts(_tilted(hard, seat, tilt), _tilted(soft, seat, tilt), base)


def _plain_chair(rng: Rng) -> list[Part]:
    seat = _plain_seat(rng)
    back = new_back(rng, seat, 0.25, 1.0)
    return _seated(rng, seat, back, 0.35, draw_look(rng), seat_base(rng, seat))


def _bar_chair(rng: Rng) -> list[Part]:
    seat = _plain_seat(rng, 0.58, 0.82)
    seat = replace(seat, width=0.85 * seat.width, depth=0.85 * seat.depth)
    back = new_back(rng, seat, 0.12, 0.5)
    base = seat_base(rng, seat, tall=True)
    return _seated(rng, seat, back, 0.2, draw_look(rng), base)


def _bucket(rng: Rng, width: float, depth: float, back: float, thick: float) -> Solid:
    """A one-piece seat and back: a side profile with curled-up sides; the seat is at y = 0."""
    rake = rng.uniform(0.05, 0.3)
    profile = smooth_path(
        [
            (-rng.uniform(0.0, 0.05), 0.5 * depth, 0),
            (0.0, 0.42 * depth, 0),
            (-0.02, 0.0, 0),
            (-0.005, -0.36 * depth, 0),
            (0.09, -0.5 * depth, 0),
            (0.55 * back, -0.5 * depth - 0.4 * rake * back, 0),
            (back, -0.5 * depth - rake * back, 0),
        ],
        22,
    )[:, :2]
    along = np.linspace(0, 1, 22)
    tangent = np.gradient(profile, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    inward = np.stack([-tangent[:, 1], tangent[:, 0]], -1)
    u = np.linspace(-1, 1, 15)
    middle = np.exp(-(((along - 0.52) / rng.uniform(0.12, 0.3)) ** 2))
    curl = rng.uniform(0.0, 0.05) + rng.uniform(0.0, 0.22) * middle
    half = (
        width
        / 2
        * (1 - rng.uniform(0.0, 0.35) * along**3)
        * (1 - rng.uniform(0.0, 0.5) * np.clip((along - 0.8) / 0.2, 0, 1) ** 3)
        * (1 - 0.2 * np.clip((0.12 - along) / 0.12, 0, 1) ** 2)
    )
    lift = curl[:, None] * np.abs(u) ** rng.uniform(2, 4)
    surface = np.empty((22, 15, 3))
    surface[..., 0] = half[:, None] * u
    surface[..., 1:] = profile[:, None] + inward[:, None] * lift[..., None]
    return sheet(surface, thick)


def _shell_chair(rng: Rng) -> list[Part]:
    tall = chance(rng, 0.15)
    seat = Seat(rng.uniform(0.42, 0.65), rng.uniform(0.4, 0.52), rng.uniform(0.38, 0.47), 0.05)
    if tall:
        seat = replace(seat, width=0.8 * seat.width, height=rng.uniform(0.6, 0.78))
    soft = chance(rng, 0.35)
    thick = rng.uniform(0.03, 0.07) if soft else rng.uniform(0.008, 0.02)
    shell = _bucket(rng, seat.width, seat.depth, rng.uniform(0.2, 0.75), thick)
    narrow = replace(seat, width=0.8 * seat.width, depth=0.85 * seat.depth)
    base = seat_base(rng, narrow, tall, 0.2)
    # A plate between the legs, which end at a flat level, and the curved shell.
    plate = box(0.8 * narrow.width, 0.03, 0.8 * narrow.depth, 0.01).moved(y=seat.under + 0.012)
    look = draw_look(rng)
    shells = [shell.moved(y=seat.height)]
    parts = look.parts([] if soft else shells, shells if soft else [], [*base, plate])
    if not soft and chance(rng, 0.3):
        pad = soft_pad(superellipse(0.75 * seat.width, 0.75 * seat.depth, 0.67), 0.05, 0.02, 0.01)
        parts += look.parts(seat=[pad.moved(y=seat.height - 0.02)])
    return parts


def _office_chair(rng: Rng) -> list[Part]:
    seat = Seat(rng.uniform(0.44, 0.56), rng.uniform(0.42, 0.54), rng.uniform(0.4, 0.56), 0.04)
    height = rng.uniform(0.3, 0.8)
    width = seat.width * rng.uniform(0.75, 1.02)
    back = Back(width, height, rng.uniform(2, 18), rng.uniform(0, 0.12), rng.uniform(0.1, 0.8))
    pad = soft_pad(seat_outline(rng, seat), rng.uniform(0.06, 0.12), 0.03, rng.uniform(0, 0.02))
    soft = [pad.moved(y=seat.under)]
    hard: list[Solid] = []
    gap = float(rng.choice([0.0, rng.uniform(0.04, 0.16)]))
    slim = rng.uniform(0.015, 0.11)
    panel = back_panel(rng, width, gap, height, slim, soft=slim > 0.04)
    rear: list[Solid] = [panel]
    if chance(rng, 0.3):
        rear += [
            back_rail(0.96 * width, gap + share * (height - gap), 0.07, slim + 0.03)
            for share in (0.2, 0.42, 0.64, 0.85)
        ]
    if chance(rng, 0.35):
        level = height + rng.uniform(0.06, 0.1)
        rear.append(back_rail(width * rng.uniform(0.45, 0.7), level, 0.12, 0.05))
        hard += back.mounted([spindle((0, 0.7 * height, -0.02), (0, level, -0.01), 0.014)], seat)
    soft += back.mounted(rear, seat)
    spine = [(0, seat.under + 0.01, 0), (0, seat.under, -0.4 * seat.depth)]
    spine.append((0, seat.height, -seat.depth / 2 - 0.03))
    hard.append(sweep(smooth_path(spine, 8), rounded_rectangle(0.07, 0.02, 0.005, 1)))
    hard += back.mounted(
        [
            sweep(
                np.linspace((0, -0.04, -0.02 - slim / 2), (0, 0.6 * height, -slim / 2), 6),
                rounded_rectangle(0.07, 0.025, 0.005, 1),
            )
        ],
        seat,
    )
    if chance(rng, 0.7):
        arm_hard, arm_soft = arms(rng, seat, back, False)
        hard, soft = hard + arm_hard, soft + arm_soft
    base = star_base(rng, seat.under, rng.uniform(0.26, 0.36))
    return draw_look(rng).parts(hard, soft, base)


def _armchair(rng: Rng) -> list[Part]:
    """Upholstered box: sides, back, cushion, perhaps wings."""
    w, d = rng.uniform(0.48, 0.7), rng.uniform(0.6, 0.9)
    wide, leg = rng.uniform(0.05, 0.22), rng.uniform(0.03, 0.24)
    seat_top = rng.uniform(0.38, 0.48)
    thick = rng.uniform(0.1, 0.2)
    base_top = seat_top - thick
    leg = min(leg, base_top - 0.06)
    tall, rake = seat_top + rng.uniform(0.25, 0.75), rng.uniform(2, 16)
    arm_top = seat_top + rng.uniform(0.08, 0.24)
    bt = rng.uniform(0.08, 0.18)
    puff = rng.uniform(0, 0.8)
    soft = [box(w + 0.02, base_top - leg + 0.02, d, 0.02).moved(y=(base_top + leg) / 2)]
    cushion = puffed_cushion(rng, w, thick, d - 0.7 * bt, puff)
    soft.append(cushion.moved(y=seat_top - thick / 2, z=0.4 * bt))
    back = back_panel(rng, w + rng.uniform(0, 1) * wide, leg - base_top, tall - base_top, bt, True)
    if chance(rng, 0.4):
        back = box(w + 0.02, tall - leg, bt, rng.uniform(0.1, 0.45) * bt).moved(
            y=(tall + leg) / 2 - base_top
        )
    soft.append(back.rotated("x", -rake).moved(y=base_top, z=-d / 2 + bt / 2))
    style = str(rng.choice(["boxy", "rolled", "slanted", "flared", "boxy"]))
    arm = arm_solid(rng, style, wide, leg, arm_top, d * rng.uniform(0.85, 1.0))
    soft += both(arm.moved(x=w / 2 + 0.45 * wide))
    if tall > arm_top + 0.25 and chance(rng, 0.5):
        reach = rng.uniform(0.14, 0.3)
        lean = np.tan(np.radians(rake))
        a, b = -d / 2 - lean * (tall - base_top), -d / 2 - lean * (arm_top - base_top)
        wing = [
            (arm_top - 0.05, b),
            (tall - 0.02, a),
            (tall - 0.06, a + 0.7 * reach),
            (0.5 * (tall + arm_top), b + reach),
            (arm_top - 0.05, b + 1.1 * reach),
        ]
        soft += both(side_panel(wing, min(wide, 0.09), w / 2 + 0.2 * wide))
    if chance(rng, 0.5):
        pillow = puffed_cushion(rng, w * 0.95, 0.14, 0.4, max(puff, 0.5)).rotated("x", 90 - rake)
        soft.append(pillow.moved(y=seat_top + 0.18, z=-d / 2 + bt + 0.04 - 0.2 * rake / 57))
    corners = [(sx * (w / 2 + 0.2 * wide), sz * (d / 2 - 0.06)) for sx in (-1, 1) for sz in (-1, 1)]
    legs = short_legs(rng, corners, leg)
    if chance(rng, 0.2):
        legs = [solid.scaled(y=leg / 0.15) for solid in pedestal(rng, 0.155, 0.3)]
    return draw_look(rng).parts([], soft, legs)


def _wrap_wall(
    rng: Rng, w: float, d: float, low: float, back: float, front: float, thick: float
) -> Solid:
    """A wall round the back and sides of a seat, falling from `back` to `front` height."""
    spread = rng.uniform(1.6, 2.5)
    angle = np.linspace(-spread, spread, 29)
    exponent = rng.uniform(0.55, 1.0)
    sine, cosine = np.sin(angle), np.cos(angle)
    x = w / 2 * np.sign(sine) * np.abs(sine) ** exponent
    z = -d / 2 * np.sign(cosine) * np.abs(cosine) ** exponent
    drop = np.clip(np.abs(angle) / spread, 0, 1) ** rng.uniform(1.0, 4.0)
    top = back + (front - back) * drop
    share = np.linspace(0, 1, 6)[:, None]
    flare = 1 + rng.uniform(-0.05, 0.2) * share
    levels = low + (top - low) * share
    surface = np.stack([x * flare, levels, z * flare], -1)
    soften = np.where(share > 0.99, 0.6, 1.0) * np.ones_like(levels)
    return sheet(surface, thick * soften)


def _tub_chair(rng: Rng) -> list[Part]:
    """Barrel, tub and egg chairs: a wall round a cushion."""
    w, d = rng.uniform(0.5, 0.75), rng.uniform(0.5, 0.72)
    seat_top, thick = rng.uniform(0.36, 0.47), rng.uniform(0.04, 0.13)
    leg = float(rng.choice([0.0, rng.uniform(0.04, 0.3)]))
    block = rng.uniform(0.08, 0.16)
    leg = min(leg, seat_top - block - 0.04)
    low = leg if chance(rng, 0.6) else seat_top - block
    front = seat_top + rng.uniform(-0.02, 0.2)
    back = max(front, seat_top) + rng.uniform(0.03, 0.6)
    wall = _wrap_wall(rng, w, d, low, back, front, thick)
    outline = superellipse(w - 0.3 * thick, d - 0.3 * thick, 2 / rng.uniform(2.2, 4))
    base_low = low if leg > 0 else 0.0
    body = prism(outline, seat_top - block - base_low + 0.05).moved(
        y=(seat_top - block + base_low + 0.05) / 2
    )
    cushion = soft_pad(outline * 0.97, block, 0.04, rng.uniform(0, 0.03)).moved(y=seat_top - block)
    legs: list[Solid] = []
    if base_low > 0:
        seat = Seat(0.8 * w, 0.8 * d, base_low + 0.015, 0.01, True)
        if base_low > 0.2:
            legs = seat_base(rng, seat, swivel=0.25)
        else:
            legs = short_legs(
                rng, [(0.3 * w * a, 0.3 * d * b) for a in (-1, 1) for b in (-1, 1)], base_low
            )
    hard_wall = chance(rng, 0.25)
    return draw_look(rng).parts(
        [wall] if hard_wall else [], [body, cushion] + ([] if hard_wall else [wall]), legs
    )


def _windsor_chair(rng: Rng) -> list[Part]:
    """Saddle seat, turned legs, an arm bow carried by spindles, and a taller bow or comb."""
    seat = _plain_seat(rng)
    seat = replace(seat, rounded=True, depth=0.95 * seat.width, thickness=rng.uniform(0.03, 0.05))
    pad = soft_pad(superellipse(seat.width, seat.depth, 0.77), seat.thickness, 0.012)
    hard = [pad.moved(y=seat.under)]
    level, flare = rng.uniform(0.18, 0.28), rng.uniform(1.0, 1.2)
    angle = np.linspace(-1.75, 1.75, 21)
    x, z = 0.47 * seat.width * np.sin(angle), -0.47 * seat.depth * np.cos(angle)
    y = seat.height + level
    hard.append(
        sweep(
            np.stack([x * flare, np.full(21, y), z * flare], -1),
            rounded_rectangle(0.04, 0.02, 0.006, 2),
        )
    )
    picks = np.linspace(0, 20, int(rng.choice([7, 9, 11, 13]))).astype(int)
    for i in picks:
        start = (0.9 * float(x[i]), seat.height - 0.01, 0.9 * float(z[i]))
        hard.append(spindle(start, (float(x[i]) * flare, y, float(z[i]) * flare), 0.008))
    rise, lean = rng.uniform(0.15, 0.4), rng.uniform(0.05, 0.25)
    if chance(rng, 0.7):
        rear = [i for i in picks if abs(angle[i]) < 0.9]
        fan = rng.uniform(1.0, 1.25)
        ends = []
        for i in rear:
            start = (float(x[i]) * flare, y, float(z[i]) * flare)
            ends.append((start[0] * fan, y + rise, start[2] - lean * rise))
            hard.append(spindle(start, ends[-1], 0.008))
        if len(ends) > 1:
            hard.append(sweep(smooth_path(ends, 12), rounded_rectangle(0.02, 0.06, 0.006, 2)))
    legs = corner_legs(rng, 0.62 * seat.width, 0.62 * seat.depth, seat.under + 0.01, splay=0.12)
    profile = rng.uniform(0.6, 1.3, 9)
    base = [sweep(np.linspace(a, b, 9), 0.018, profile) for a, b in legs]
    return draw_look(rng).parts(hard, [], base + stretchers(rng, legs, 0.009))


def _lounge_chair(rng: Rng) -> list[Part]:
    """Low reclined cushions in side frames of wood or tube."""
    w, d = rng.uniform(0.5, 0.68), rng.uniform(0.6, 0.78)
    return framed_seat(rng, w, d, 1)


def _folding_chair(rng: Rng) -> list[Part]:
    """Crossed legs at either side; one pair runs on into the back."""
    w, d, h = rng.uniform(0.38, 0.5), rng.uniform(0.36, 0.46), rng.uniform(0.4, 0.48)
    tall, r = h + rng.uniform(0.2, 0.5), rng.uniform(0.009, 0.018)
    x, lean = w / 2, rng.uniform(0.0, 0.15)
    section: float | Float[ndarray, "point 2"] = r
    if chance(rng, 0.5):
        section = rounded_rectangle(1.4 * r, 2.6 * r, 0.3 * r, 2)
    hinge, foot = (x, h, -d / 2 + 0.01), (x, 0.0, d / 2 + 0.05)
    post = [foot, between(foot, hinge, 0.6), hinge, (x, tall, hinge[2] - lean)]
    other = (x - 2 * r, 0.0, -d / 2 - 0.03)
    hard = both(sweep(smooth_path(post, 10), section))
    hard += both(bar((x - 2 * r, h - 0.01, d / 2 - 0.06), other, section))
    hard.append(bar((-x, 0.08, d / 2 - 0.01), (x, 0.08, d / 2 - 0.01), 0.7 * r))
    hard.append(bar((-x, 0.1, -d / 2 + 0.05), (x, 0.1, -d / 2 + 0.05), 0.7 * r))
    seat = Seat(2 * x, d, h, rng.uniform(0.015, 0.03))
    seat_hard, seat_soft = seat_solids(rng, seat)
    slope = lean / (tall - h)
    for level in np.linspace(tall - 0.04, h + 0.12, int(rng.integers(1, 4))):
        rail = back_rail(2 * x, 0, rng.uniform(0.05, 0.14), 0.014)
        hard.append(rail.moved(y=float(level), z=hinge[2] - slope * (float(level) - h)))
    return draw_look(rng).parts(hard + seat_hard, seat_soft)


def _ribbon_chair(rng: Rng) -> list[Part]:
    """One bent sheet: an S, a Z or a C seen from the side."""
    w, d, h = rng.uniform(0.36, 0.55), rng.uniform(0.4, 0.52), rng.uniform(0.38, 0.46)
    tall, rake = h + rng.uniform(0.25, 0.5), rng.uniform(0.03, 0.15)
    t = rng.uniform(0.015, 0.04)
    style = str(rng.choice(["S", "Z", "C"]))
    front, rear = d / 2, -d / 2
    line = {
        "Z": [(0, -0.02 + front), (0, rear), (h, front), (h, rear), (tall, rear - rake)],
        "C": [(0, rear + 0.05), (0, front), (h, front), (h - 0.02, rear), (tall, rear - rake)],
        "S": [
            (0, rear),
            (0.1, rear * 0.3),
            (h - 0.1, front * 0.7),
            (h, front),
            (h - 0.02, 0),
            (h + 0.03, rear),
            (tall, rear - rake),
        ],
    }[style]
    points = [(float(a), float(b), 0.0) for a, b in line]
    if style == "S":
        path = smooth_path(points, 30)[:, :2]
    else:
        path = filleted(points, rng.uniform(0.02, 0.12))[:, :2]
    along = np.linspace(0, 1, len(path))
    width = w * (1 + rng.uniform(-0.2, 0.2) * np.sin(np.pi * along) + rng.uniform(-0.2, 0) * along)
    solid = ribbon(path, width, t)
    parts = draw_look(rng).parts([solid])
    if chance(rng, 0.3):
        pad = soft_pad(superellipse(0.9 * w, 0.8 * d, 0.5), 0.06, 0.02, 0.01)
        parts += [Part(pad.moved(y=h - 0.02), "seat", "fabric")]
    return parts
