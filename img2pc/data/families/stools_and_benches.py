"""Stools, poufs and ottomans, and benches of any length."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from img2pc.data.families.backs_and_arms import (
    Back,
    arm_solid,
    arms,
    back_panel,
    back_solids,
    new_back,
    seat_solids,
)
from img2pc.data.families.joinery import chance
from img2pc.data.families.pieces import torus
from img2pc.data.families.seat_bases import (
    corner_legs,
    legged,
    pedestal,
    seat_base,
    short_legs,
    slab_sides,
    sled,
    star_base,
)
from img2pc.data.families.seating import (
    Rng,
    Seat,
    arc,
    between,
    both,
    draw_look,
    draw_recipe,
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
    cylinder,
    lathe,
    prism,
    rounded_rectangle,
    smooth_path,
    superellipse,
    superellipsoid,
    sweep,
)


def stool(rng: Rng) -> list[Part]:
    """Low stools, bar stools, pedestals, ottomans, poufs, step stools and folding stools."""
    recipes: list[tuple[Callable[[Rng], list[Part]], float]] = [
        (_legged_stool, 0.5),
        (_pedestal_stool, 0.17),
        (_pouf, 0.2),
        (_folding_stool, 0.06),
        (_board_stool, 0.07),
    ]
    return grounded(draw_recipe(rng, recipes)(rng))


def bench(rng: Rng) -> list[Part]:
    """Park, garden, bedroom, trestle, slab, curved and storage benches."""
    recipes: list[tuple[Callable[[Rng], list[Part]], float]] = [
        (_park_bench, 0.28),
        (_plain_bench, 0.42),
        (_backed_bench, 0.2),
        (_curved_bench, 0.1),
    ]
    return grounded(draw_recipe(rng, recipes)(rng))


def _stool_seat(rng: Rng, low: float, high: float) -> Seat:
    width = rng.uniform(0.26, 0.46)
    rounded = chance(rng, 0.55)
    depth = width * (1.0 if rounded else rng.uniform(0.6, 1.1))
    return Seat(width, depth, rng.uniform(low, high), rng.uniform(0.015, 0.07), rounded)


def _legged_stool(rng: Rng) -> list[Part]:
    tall = chance(rng, 0.5)
    seat = _stool_seat(rng, 0.58, 0.82) if tall else _stool_seat(rng, 0.2, 0.52)
    hard, soft = seat_solids(rng, seat)
    inside = 0.7 if seat.rounded else 0.92
    count = 3 if seat.rounded and chance(rng, 0.4) else 4
    top = seat.under + 0.004
    look = draw_look(rng)
    if count == 4 and chance(rng, 0.2):
        return look.parts(hard, soft, seat_base(rng, seat, tall, 0.15))
    if not chance(rng, 0.35) or not tall:
        legs = legged(rng, inside * seat.width, inside * seat.depth, top, count)
        return look.parts(hard, soft, legs)
    # A footrest ring through straight legs.
    r = rng.uniform(0.008, 0.018)
    reach = inside * min(seat.width, seat.depth)
    ends = corner_legs(rng, reach, reach, top, count, 0.06)
    if count == 4:
        ends = [
            ((a[0], a[1], np.sign(a[2]) * abs(a[0])), (b[0], 0.0, np.sign(b[2]) * abs(b[0])))
            for a, b in (ends[0], ends[1], ends[0], ends[1])
        ]
        ends[2:] = [((a[0], a[1], -a[2]), (b[0], 0.0, -b[2])) for a, b in ends[2:]]
    share = rng.uniform(0.25, 0.45)
    at = between(ends[0][1], ends[0][0], share)
    radius = float(np.hypot(at[0], at[2]))
    legs = [bar(b, a, r) for a, b in ends] + [torus(radius, 0.7 * r).moved(y=at[1])]
    return look.parts(hard, soft, legs)


def _pedestal_stool(rng: Rng) -> list[Part]:
    tall = chance(rng, 0.6)
    seat = _stool_seat(rng, 0.58, 0.82) if tall else _stool_seat(rng, 0.38, 0.55)
    hard, soft = seat_solids(rng, seat)
    top = seat.under + 0.004
    star = chance(rng, 0.35)
    base = (
        star_base(rng, top, rng.uniform(0.2, 0.28))
        if star
        else pedestal(rng, top, rng.uniform(0.15, 0.25))
    )
    if tall and chance(rng, 0.5):
        r, y = rng.uniform(0.11, 0.2), rng.uniform(0.2, 0.35)
        base.append(torus(r, 0.009).moved(y=y))
        base += [
            bar((0, y, 0), (r * sx, y, r * sz), 0.008)
            for sx, sz in ((1, 0), (-0.5, 0.866), (-0.5, -0.866))
        ]
    if chance(rng, 0.2):
        back = new_back(rng, seat, 0.1, 0.3)
        panel = back_panel(rng, back.width, -0.03, back.height, 0.02)
        hard += back.mounted([panel], seat)
    return draw_look(rng).parts(hard, soft, base)


def _pouf(rng: Rng) -> list[Part]:
    w, h = rng.uniform(0.35, 0.9), rng.uniform(0.28, 0.5)
    d = w * rng.uniform(0.6, 1.0)
    leg = float(rng.choice([0.0, rng.uniform(0.03, 0.2)]))
    style = str(rng.choice(["pillow", "drum", "box", "waist", "bag"]))
    look = draw_look(rng)
    if style == "pillow":
        body = superellipsoid(w, h, w, rng.uniform(0.3, 0.9), rng.uniform(0.3, 1)).moved(y=h / 2)
        return look.parts(seat=[body])
    if style == "bag":
        profile = [(0.7, 0), (1.0, 0.25), (0.85, 0.55), (0.45, 0.85), (0.15, 1.0)]
        body = lathe([(r * w / 2, y * h * 1.4) for r, y in profile], 20)
        return look.parts(seat=[body.bent(-rng.uniform(0, 0.6))])
    if style == "waist":
        v = np.linspace(0, 1, 10)
        pinch = rng.uniform(-0.3, 0.45)
        radius = w / 2.4 * (1 - pinch * np.sin(np.pi * v))
        return look.parts([lathe(np.stack([radius, v * h], -1).tolist(), 22)])
    round_top = style == "drum"
    outline = superellipse(w, w if round_top else d, 1.0 if round_top else 2 / rng.uniform(4, 14))
    split = rng.uniform(0.4, 0.9)
    body = prism(outline * 0.97, (h - leg) * split + 0.01).moved(y=leg + (h - leg) * split / 2)
    lid = soft_pad(outline, (h - leg) * (1 - split) + 0.01, 0.04, rng.uniform(0, 0.05))
    legs: list[Solid] = []
    if leg > 0:
        legs = short_legs(
            rng, [(0.33 * w * a, 0.33 * d * b) for a in (-1, 1) for b in (-1, 1)], leg
        )
    soft = [body, lid.moved(y=leg + (h - leg) * split)]
    return look.parts([], soft, legs)


def _folding_stool(rng: Rng) -> list[Part]:
    w, d, h = rng.uniform(0.34, 0.6), rng.uniform(0.3, 0.42), rng.uniform(0.36, 0.5)
    r = rng.uniform(0.01, 0.02)
    section = rounded_rectangle(2 * r, 1.4 * r, 0.3 * r, 2)
    hard: list[Solid] = []
    bowed = chance(rng, 0.5)
    for z in (d / 2, -d / 2):
        if bowed:
            bow = smooth_path([(-w / 2, 0, z), (-0.1 * w, 0.4 * h, z), (w / 2, h, z)], 9)
            hard += both(sweep(bow, section))
        else:
            hard += both(bar((-w / 2, 0, z), (w / 2, h, z), section))
    for x, y in ((w / 2, h), (w / 2, 0.01)):
        hard += both(bar((x, y, -d / 2), (x, y, d / 2), 0.8 * r))
    hard.append(bar((0, h / 2, -d / 2), (0, h / 2, d / 2), 0.8 * r))
    x_line = np.linspace(-1, 1, 13)
    sag = rng.uniform(0.0, 0.07)
    path = np.stack([x_line * w / 2, h + r - sag * (1 - x_line**2), np.zeros(13)], -1)
    seat = sweep(path, rounded_rectangle(d + 0.02, rng.uniform(0.008, 0.05), 0.004, 2))
    return draw_look(rng).parts(hard, [seat])


def _board_stool(rng: Rng) -> list[Part]:
    """Stools of boards: sides with a top, perhaps with a lower step in front."""
    seat = _stool_seat(rng, 0.25, 0.5)
    w, d, t = seat.width, seat.depth, rng.uniform(0.015, 0.04)
    hard = [box(w, t, d).moved(y=seat.height - t / 2)]
    hard += slab_sides(rng, w * rng.uniform(0.75, 0.99), 0.95 * d, seat.height - t + 0.002)
    if chance(rng, 0.4):
        step = seat.height * rng.uniform(0.4, 0.6)
        reach = rng.uniform(0.15, 0.22)
        tread = box(w, t, reach + 0.04).moved(y=step, z=d / 2 + reach / 2 - 0.02)
        outline = [(0, d / 2 + reach), (step, d / 2 + reach), (step, d / 2 - 0.05)]
        outline.append((0, d / 2 - 0.05))
        hard += [tread, *both(side_panel(outline, t, w / 2 - t))]
    return draw_look(rng).parts(hard)


def _slats_along(
    path: Float[ndarray, "sample 2"], count: int, width: float, thick: float, fill: float
) -> list[Solid]:
    """Slats across X laid along a (y, z) curve."""
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    at = (np.arange(count) + 0.5) / count * length[-1]
    slat = box(width, thick, length[-1] / count * fill)
    solids = []
    for s in at:
        y, z = (float(np.interp(s, length, path[:, i])) for i in (0, 1))
        ahead, behind = min(s + 0.01, length[-1]), max(s - 0.01, 0.0)
        dy, dz = (
            float(np.interp(ahead, length, path[:, i]) - np.interp(behind, length, path[:, i]))
            for i in (0, 1)
        )
        solids.append(slat.rotated("x", float(np.degrees(np.arctan2(dy, -dz)))).moved(0, y, z))
    return solids


def _park_bench(rng: Rng) -> list[Part]:
    """Slats on end frames that follow a curved seat and back."""
    w, d, h = rng.uniform(1.0, 2.2), rng.uniform(0.38, 0.55), rng.uniform(0.38, 0.47)
    tall, rake = h + rng.uniform(0.3, 0.55), rng.uniform(0.05, 0.22)
    dip, lip = rng.uniform(0, 0.04), rng.uniform(0, 0.04)
    seat = [(h - lip, d / 2, 0), (h, 0.4 * d, 0), (h - dip, -0.1 * d, 0), (h - dip, -d / 2, 0)]
    back = [(h + 0.08, -d / 2 - 0.03, 0), (0.5 * (h + tall), -d / 2 - 0.3 * rake, 0)]
    back.append((tall, -d / 2 - rake, 0))
    seat_path, back_path = smooth_path(seat, 16)[:, :2], smooth_path(back, 12)[:, :2]
    thick, fill = rng.uniform(0.015, 0.04), rng.uniform(0.5, 0.9)
    slats = _slats_along(seat_path, int(rng.integers(2, 12)), w, thick, fill)
    slats += _slats_along(back_path, int(rng.integers(1, 10)), w, thick, fill)
    if chance(rng, 0.2):
        slats = [ribbon(np.concatenate([seat_path, back_path]), w, 0.02)]
    x = w / 2 * rng.uniform(0.7, 0.97)
    bars = rounded_rectangle(rng.uniform(0.02, 0.06), rng.uniform(0.025, 0.05), 0.008, 2)
    spine = np.concatenate([seat_path, back_path])
    frames = both(sweep(np.insert(spine, 0, x, axis=1) - [0, 0.012, 0], bars))
    splay = rng.uniform(0, 0.1)
    if chance(rng, 0.25):
        outline = [(0, 0.45 * d), (h, 0.45 * d), (h - dip, -0.48 * d), (0, -0.5 * d)]
        frames += both(side_panel(outline, 0.07, x))
    else:
        for z, sign in ((0.4 * d, 1), (-0.45 * d, -1)):
            foot = (x, 0.0, z + sign * splay)
            knee = (x, 0.5 * h, z + 0.2 * sign * splay)
            frames += both(sweep(smooth_path([(x, h - 0.01, z), knee, foot], 7), bars))
        if chance(rng, 0.4):
            frames += both(bar((x, 0.12, -0.45 * d), (x, 0.12, 0.42 * d), 0.012))
    if chance(rng, 0.6):
        arm = h + rng.uniform(0.15, 0.25)
        share = (arm - h) / (tall - h)
        line = [
            (x, arm, -d / 2 - share * rake),
            (x, arm + 0.01, 0),
            (x, arm - 0.02, 0.42 * d),
            (x, h - 0.01, 0.4 * d),
        ]
        frames += both(sweep(smooth_path(line, 14), bars))
    return draw_look(rng).parts(slats, [], frames)


def _bench_top(rng: Rng, w: float, d: float, h: float, t: float) -> tuple[list[Solid], list[Solid]]:
    style = str(rng.choice(["board", "slats", "cushion", "two boards", "cushions", "rounded"]))
    outline = rounded_rectangle(w, d, float(rng.choice([0.0, rng.uniform(0, 0.5) * d])), 5)
    board = prism(outline, t).moved(y=h - t / 2)
    if style == "slats":
        count = int(rng.integers(3, 14))
        pitch = d / count
        slat = box(w, t, pitch * rng.uniform(0.5, 0.85))
        rails = [box(0.05, t, d).moved(x * w, h - 1.2 * t, 0) for x in (-0.38, 0, 0.38)]
        return [
            slat.moved(y=h - t / 2, z=(k + 0.5) * pitch - d / 2) for k in range(count)
        ] + rails, []
    if style == "two boards":
        half = box(w, t, 0.47 * d)
        rails = [box(0.06, t, d).moved(x * w, h - 1.2 * t, 0) for x in (-0.38, 0.38)]
        return [half.moved(y=h - t / 2, z=sz * 0.255 * d) for sz in (-1, 1)] + rails, []
    if style == "cushion":
        pad = soft_pad(outline, rng.uniform(0.04, 0.14), 0.03, rng.uniform(0, 0.03))
        return [board], [pad.moved(y=h - 0.01)]
    if style == "cushions":
        count = int(rng.integers(2, 4))
        puff, thick = rng.uniform(0, 0.8), rng.uniform(0.04, 0.12)
        each = w / count
        pads = [
            puffed_cushion(rng, each * 0.98, thick, d, puff).moved(
                (k + 0.5) * each - w / 2, h + 0.4 * thick
            )
            for k in range(count)
        ]
        return [board], pads
    if style == "rounded":
        return [soft_pad(outline, t, 0.4 * t).moved(y=h - t)], []
    return [board], []


def _bench_legs(rng: Rng, w: float, d: float, top: float) -> list[Solid]:
    style = str(rng.choice(["legs", "legs", "slab", "trestle", "cross", "sled", "block", "pair"]))
    x = w / 2 * rng.uniform(0.72, 0.97)
    if style == "legs":
        return legged(rng, 2 * x, 0.92 * d, top)
    if style == "slab":
        return slab_sides(rng, 2 * x, 0.95 * d, top)
    if style == "sled":
        return sled(rng, 2 * x, d, top)
    if style == "block":
        inset = rng.uniform(0.8, 0.99)
        return [box(inset * w, top, inset * d).moved(y=top / 2)]
    if style == "pair":
        drum = cylinder(0.45 * d, top, 0.45 * d * rng.uniform(0.7, 1.2), 20).moved(x=0.7 * x)
        return both(drum.moved(y=top / 2))
    r = rng.uniform(0.02, 0.05)
    section = rounded_rectangle(2 * r, 2 * r, 0.2 * r, 1)
    solids: list[Solid] = []
    post = rng.uniform(0.2, 0.5) * d
    for side in (-x + r, x - r):
        if style == "cross":
            solids.append(bar((side, 0, -0.45 * d), (side, top, 0.42 * d), section))
            solids.append(bar((side, 0, 0.45 * d), (side, top, -0.42 * d), section))
        else:
            solids.append(box(2 * r, 0.06, 0.95 * d).moved(side, 0.03, 0))
            solids.append(box(2 * r, 0.05, 0.9 * d).moved(side, top - 0.025, 0))
            solids.append(box(1.6 * r, top, post).moved(side, top / 2, 0))
    level = top * rng.uniform(0.3, 0.6) if style == "trestle" else top / 2
    return [*solids, bar((-x + r, level, 0), (x - r, level, 0), 0.6 * r)]


def _plain_bench(rng: Rng) -> list[Part]:
    w, d, h = rng.uniform(0.8, 2.0), rng.uniform(0.28, 0.55), rng.uniform(0.36, 0.5)
    t = rng.uniform(0.02, 0.08)
    hard, soft = _bench_top(rng, w, d, h, t)
    legs = _bench_legs(rng, w, d, h - t + 0.003)
    look = draw_look(rng)
    if chance(rng, 0.15):
        legs.append(box(0.85 * w, 0.02, 0.85 * d).moved(y=rng.uniform(0.1, 0.2)))
    if chance(rng, 0.15):
        wide = rng.uniform(0.06, 0.12)
        arm = arm_solid(
            rng,
            str(rng.choice(["rolled", "flared", "boxy"])),
            wide,
            h - t,
            h + rng.uniform(0.15, 0.3),
            d,
        )
        soft += both(arm.moved(x=w / 2 - 0.3 * wide))
    return look.parts(hard, soft, legs)


def _backed_bench(rng: Rng) -> list[Part]:
    """Settles and garden benches: a chair's back stretched over a long seat."""
    w, d, h = rng.uniform(0.9, 1.9), rng.uniform(0.38, 0.56), rng.uniform(0.38, 0.5)
    t = rng.uniform(0.025, 0.06)
    seat = Seat(w, d, h, t)
    hard, soft = _bench_top(rng, w, d, h, t)
    count = int(rng.integers(1, 4))
    back = Back(0.97 * w / count, rng.uniform(0.25, 0.7), rng.uniform(2, 16), 0.05, 0.0)
    back_hard, back_soft, carries = back_solids(rng, back)
    for k in range(count):
        x = ((k + 0.5) / count - 0.5) * 0.97 * w
        hard += [solid.moved(x=x) for solid in back.mounted(back_hard, seat)]
        soft += [solid.moved(x=x) for solid in back.mounted(back_soft, seat)]
    if chance(rng, 0.6):
        whole = replace(back, width=0.97 * w)
        arm_hard, arm_soft = arms(rng, seat, whole, carries)
        hard, soft = hard + arm_hard, soft + arm_soft
    return draw_look(rng).parts(hard, soft, _bench_legs(rng, w, d, h - t + 0.003))


def _curved_bench(rng: Rng) -> list[Part]:
    radius, span = rng.uniform(0.9, 2.5), rng.uniform(0.3, 0.9)
    d, h, t = rng.uniform(0.32, 0.55), rng.uniform(0.38, 0.5), rng.uniform(0.03, 0.12)
    hard = [sweep(arc(radius, span, h - t / 2, 17), rounded_rectangle(d, t, 0.3 * t, 2))]
    legs: list[Solid] = []
    post = box(rng.uniform(0.04, 0.2), h - t + 0.02, rng.uniform(0.5, 0.9) * d)
    for a in np.linspace(-0.85, 0.85, int(rng.integers(2, 5))) * span:
        turned = post.moved(y=(h - t) / 2, z=-radius).rotated("y", -float(np.degrees(a)))
        legs.append(turned)
    soft: list[Solid] = []
    if chance(rng, 0.5):
        back, thick = rng.uniform(0.3, 0.5), rng.uniform(0.03, 0.12)
        wall = arc(radius + d / 2 - thick / 2, span, h - t / 2 + back / 2, 17)
        soft.append(sweep(wall, rounded_rectangle(thick, back + t, 0.3 * thick, 2)))
    if chance(rng, 0.2):
        hard, soft, legs = ([part.scaled(z=-1) for part in each] for each in (hard, soft, legs))
    return draw_look(rng).parts(hard, soft, legs)
