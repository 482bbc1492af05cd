"""Seats, backs and arms, and how a back is mounted on its seat."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from img2pc.data.families.joinery import chance
from img2pc.data.families.pieces import circle_outline
from img2pc.data.families.seating import (
    Point,
    Rng,
    Seat,
    both,
    draw_look,
    filleted,
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


@dataclass(frozen=True)
class Back:
    """A back: a design upright at z = 0 over -width/2..width/2, and how it is mounted."""

    width: float
    height: float
    rake: float
    bend: float
    wrap: float

    def mounted(self, solids: Iterable[Solid], seat: Seat) -> list[Solid]:
        placed = []
        for solid in solids:
            vertices = solid.vertices.copy()
            vertices[:, 2] += self.wrap * vertices[:, 0] ** 2
            leaning = replace(solid, vertices=vertices).bent(-self.bend).rotated("x", -self.rake)
            placed.append(leaning.moved(y=seat.height - 0.01, z=-seat.depth / 2 + 0.03))
        return placed

    def edge(self, seat: Seat, level: float) -> Point:
        """Where the right edge of the mounted back is, `level` above the seat."""
        lean = np.tan(np.radians(self.rake)) * level + self.bend * level**2
        depth = -seat.depth / 2 + 0.03 - lean + self.wrap * (self.width / 2) ** 2
        return (self.width / 2 - 0.01, seat.height + level, float(depth))


def seat_outline(rng: Rng, seat: Seat) -> Float[ndarray, "point 2"]:
    if seat.rounded:
        return superellipse(seat.width, seat.depth, 2 / rng.uniform(1.9, 2.6))
    outline = superellipse(seat.width, seat.depth, 2 / rng.uniform(3.5, 12), 36)
    if chance(rng, 0.5):
        outline = rounded_rectangle(seat.width, seat.depth, rng.uniform(0.0, 0.12), 4)
    narrow = rng.uniform(0.0, 0.2)
    outline[:, 0] *= 1 - narrow * (0.5 - outline[:, 1] / seat.depth)
    return outline


def seat_solids(rng: Rng, seat: Seat) -> tuple[list[Solid], list[Solid]]:
    """(hard, soft) solids of a seat that ends at seat.height (a cushion may rise above)."""
    style = str(rng.choice(["board", "rounded", "upholstered", "upholstered", "saddle", "slats"]))
    w, d, t = seat.width, seat.depth, seat.thickness
    outline = seat_outline(rng, seat)
    if style == "board":
        return [prism(outline, t).moved(y=seat.height - t / 2)], []
    if style == "rounded":
        return [soft_pad(outline, t, rng.uniform(0.2, 0.5) * t).moved(y=seat.under)], []
    if style == "upholstered":
        rise = rng.uniform(0.01, 0.06)
        hard = [prism(outline * 0.97, t).moved(y=seat.height - t / 2)]
        pad = soft_pad(outline, rise + 0.6 * t, rng.uniform(0.01, 0.05), rng.uniform(0.0, 0.03))
        return hard, [pad.moved(y=seat.height - 0.6 * t)]
    if style == "slats" and not seat.rounded:
        count = int(rng.integers(4, 9))
        pitch = d / count
        slat = box(w, 0.5 * t, pitch * rng.uniform(0.55, 0.85))
        z = (np.arange(count) + 0.5) * pitch - d / 2
        slats = [slat.moved(0, seat.height - 0.25 * t, float(at)) for at in z]
        rail = box(0.03, 0.7 * t, d).moved(0.42 * w, seat.under + 0.35 * t)
        return [*slats, *both(rail), rail.moved(x=-0.42 * w)], []
    v, u = np.meshgrid(np.linspace(-1, 1, 11), np.linspace(-1, 1, 11), indexing="ij")
    dip = rng.uniform(0.01, 0.03)
    level = dip * u**2 + dip * np.where(v < 0, v**2, -(v**3)) - dip
    if seat.rounded:
        u, v = u * np.sqrt(1 - v**2 / 2), v * np.sqrt(1 - u**2 / 2)
    thick = max(t, 0.02)
    surface = np.stack([u * w / 2, seat.height - thick / 2 + level, v * d / 2], -1)
    # The block keeps legs, which reach the flat underside, joined to the curved sheet.
    block = prism(outline * 0.8, 0.6 * thick).moved(y=seat.under + 0.3 * thick - 0.4 * dip)
    return [sheet(surface, thick), block], []


def new_back(rng: Rng, seat: Seat, low: float, high: float) -> Back:
    height = rng.uniform(low, min(high, 0.6))
    if high > 0.6 and chance(rng, 0.2):
        height = rng.uniform(0.5, high)
    width = seat.width * rng.uniform(0.7, 0.92)
    wrap = rng.uniform(0.0, 0.9)
    if seat.rounded:
        width, wrap = seat.width * rng.uniform(0.55, 0.75), 1 / seat.depth
    rake = rng.uniform(0, 22)
    return Back(width, height, rake, rng.uniform(-0.05, 0.25), wrap)


def back_panel(
    rng: Rng, width: float, low: float, high: float, thickness: float, soft: bool = False
) -> Solid:
    """A panel at z = 0 with a random outline; a soft one bulges."""
    v, u = np.meshgrid(np.linspace(0, 1, 11), np.linspace(-1, 1, 9), indexing="ij")
    taper, waist = rng.uniform(-0.25, 0.15), rng.uniform(-0.15, 0.1)
    half = width / 2 * (1 + taper * v + waist * np.sin(np.pi * v))
    corner = rng.uniform(0.0, 0.35)
    half *= 1 - corner * np.clip((v - 0.6) / 0.4, 0, 1) ** 3
    arch = float(rng.choice([0, rng.uniform(-0.1, 0.25)]))
    level = low + (high - low) * v * (1 - arch * u**2 * v)
    depth = np.full_like(u, thickness)
    if soft:
        depth = thickness * (0.35 + 0.65 * np.sqrt((1 - u**4) * (1 - (2 * v - 1) ** 6)))
    return sheet(np.stack([u * half, level, np.zeros_like(u)], -1), depth)


def back_rail(width: float, level: float, height: float, thick: float, arch: float = 0.0) -> Solid:
    """A rail across the back, subdivided so that it can follow a curved back."""
    x = np.linspace(-width / 2, width / 2, 9)
    path = np.stack([x, level + arch * (1 - (2 * x / width) ** 2), np.zeros(9)], -1)
    return sweep(path, rounded_rectangle(thick, height, 0.3 * thick, 2))


def _hoop_path(width: float, height: float, pinch: float) -> Float[ndarray, "sample 3"]:
    w = width / 2
    points = [
        (-w * pinch, -0.02, 0),
        (-w, 0.5 * height, 0),
        (-0.72 * w, 0.88 * height, 0),
        (0, height, 0),
        (0.72 * w, 0.88 * height, 0),
        (w, 0.5 * height, 0),
        (w * pinch, -0.02, 0),
    ]
    return smooth_path(points, 28)


def back_solids(rng: Rng, back: Back) -> tuple[list[Solid], list[Solid], bool]:
    """(hard, soft) solids of a back before mounting, and whether its edges carry arms."""
    style = str(
        rng.choice(
            [
                "panel",
                "panel",
                "raised",
                "ladder",
                "spindles",
                "cushion",
                "hoop",
                "cross",
                "open",
                "splat",
                "mesh",
                "cushion",
                "upright slats",
            ]
        )
    )
    w, h = back.width, back.height
    r = rng.uniform(0.008, 0.02)
    thick = rng.uniform(0.01, 0.035)
    if style == "panel":
        return [back_panel(rng, w, -0.03, h, thick)], [], True
    if style == "hoop":
        path = _hoop_path(w, h, rng.uniform(0.75, 1.0))
        hard = [sweep(path, r)]
        inner = str(rng.choice(["hoop", "spindles", "pad", "bar"]))
        if inner == "hoop":
            share = rng.uniform(0.5, 0.8)
            return [*hard, sweep(_hoop_path(w * share, h * share, 0.9), 0.7 * r)], [], False
        if inner == "pad":
            pad = superellipse(0.93 * w, 0.72 * h, 0.77)
            soft = prism(pad, 0.03).rotated("x", 90).moved(y=0.55 * h)
            return hard, [soft], False
        if inner == "bar":
            level = rng.uniform(0.35, 0.55) * h
            return [*hard, back_rail(1.9 * w / 2, level, rng.uniform(0.03, 0.1), 0.015)], [], False
        for x in np.linspace(-0.6, 0.6, int(rng.integers(3, 8))) * w / 2:
            top = float(np.interp(x, path[7:21, 0], path[7:21, 1]))
            hard.append(spindle((0.85 * float(x), -0.02, 0), (float(x), top, 0), 0.5 * r))
        return hard, [], False
    if style == "cushion":
        soft_back = back_panel(rng, w * 1.05, 0.0, h, rng.uniform(0.05, 0.13), soft=True)
        if chance(rng, 0.5):
            return [], [soft_back.moved(y=-0.03)], True
        lift = rng.uniform(0.05, 0.15)
        posts = [spindle((x, -0.03, -0.02), (x, 0.6 * h, -0.02), r) for x in (-0.4 * w, 0.4 * w)]
        return posts, [soft_back.scaled(y=(h - lift) / h).moved(y=lift)], False
    lean = rng.uniform(0.85, 1.1)
    x, square = w / 2 - r, rounded_rectangle(2 * r, 2.4 * r, 0.4 * r, 2)
    post = sweep(np.linspace((x, -0.03, 0), (x * lean, h, 0), 6), r if chance(rng, 0.4) else square)
    hard, width = both(post), 2 * x * min(lean, 1.0)
    crest, arch = rng.uniform(0.02, 0.12), float(rng.choice([0, rng.uniform(-0.03, 0.06)]))
    top_rail = back_rail(2 * x * lean + 2 * r, h - 0.3 * crest, crest, max(thick, r), arch)
    if style == "raised":
        low = rng.uniform(0.3, 0.65) * h
        panel = back_panel(rng, w * 1.06, low, h + 0.02, thick, soft=chance(rng, 0.3))
        return hard, [panel], True
    if style == "ladder":
        count = int(rng.integers(2, 7))
        each = h / count * rng.uniform(0.25, 0.7)
        levels = np.linspace(rng.uniform(0.15, 0.45) * h, h - 0.4 * each, count)
        hard += [
            back_rail(2 * x * (1 + (lean - 1) * float(y) / h), float(y), each, thick * 0.7, arch)
            for y in levels
        ]
        return hard, [], True
    hard.append(top_rail)
    low = float(rng.choice([-0.02, rng.uniform(0.05, 0.25) * h]))
    if low > 0:
        hard.append(back_rail(width, low, rng.uniform(0.02, 0.05), 1.4 * r))
    if style in ("spindles", "upright slats"):
        count = int(rng.integers(3, 10))
        flat = rounded_rectangle(width / count * rng.uniform(0.35, 0.7), 0.01, 0.003, 1)
        for at in np.linspace(-0.5, 0.5, count + 2)[1:-1] * width:
            a, b = (float(at), low - 0.01, 0.0), (float(at) * lean, h - 0.2 * crest, 0.0)
            stick = sweep(np.linspace(a, b, 5), flat)
            hard.append(spindle(a, b, 0.55 * r) if style == "spindles" else stick)
    elif style == "cross":
        sag = rng.uniform(-0.06, 0.06)
        line = [(-width / 2, low, 0), (sag, 0.5 * (low + h), 0), (width / 2, h, 0)]
        cross = sweep(smooth_path(line, 9), rounded_rectangle(0.02, 0.016, 0.004, 1))
        hard += both(cross)
    elif style == "splat":
        share = rng.uniform(0.25, 0.6)
        v = np.linspace(0, 1, 12)
        wave = share * width * (1 + 0.35 * np.sin(2 * np.pi * v * rng.uniform(0.6, 2)))
        path = np.stack([low + (h - 0.2 * crest - low) * v, np.zeros(12)], -1)
        hard.append(ribbon(path, wave, 0.012))
    elif style == "mesh":
        if low < 0:
            low = 0.06
            hard.append(back_rail(width, low, 0.02, 1.4 * r))
        grid = np.stack(
            np.meshgrid(np.linspace(-1, 1, 7) * x, np.linspace(low, h - 0.2 * crest, 6)), -1
        )
        surface = np.concatenate([grid, np.zeros((6, 7, 1))], -1)
        surface[..., 0] *= 1 + (lean - 1) * surface[..., 1] / h
        return hard, [sheet(surface, 0.008)], True
    return hard, [], True


def spindle(start: Point, end: Point, radius: float) -> Solid:
    """A round stick, subdivided so that it can follow a bent back."""
    return sweep(np.linspace(start, end, 5), circle_outline(radius, 6))


def arms(rng: Rng, seat: Seat, back: Back, on_back: bool) -> tuple[list[Solid], list[Solid]]:
    """(hard, soft) solids of both arms."""
    level = min(rng.uniform(0.16, 0.27), 0.85 * back.height)
    style = str(rng.choice(["straight", "curved", "flat"] if on_back else ["loop", "pad"]))
    rear = back.edge(seat, level)
    x = seat.width / 2 - 0.02
    out = x + rng.uniform(0.0, 0.06)
    if seat.rounded:
        x *= 0.9
    front = (
        seat.depth / 2 * rng.uniform(-0.1 if seat.rounded else 0.1, 0.3 if seat.rounded else 0.9)
    )
    y, r = seat.height + level, rng.uniform(0.01, 0.02)
    low = seat.height - 0.5 * seat.thickness
    if style in ("straight", "flat"):
        wide = r if style == "straight" else rng.uniform(0.02, 0.04)
        section = rounded_rectangle(2 * wide, 2 * r, 0.5 * r, 2)
        drop = rng.uniform(-0.01, 0.03)
        arm = [rear, (out, y + 0.005, 0.3 * rear[2]), (out, y - drop, front + 0.04)]
        solids = [sweep(smooth_path(arm, 8), section)]
        solids.append(bar((x, low, front - rng.uniform(0, 0.05)), (out, y - drop, front), r))
        return [s for solid in solids for s in both(solid)], []
    if style == "curved":
        points = [
            rear,
            (out, y, 0.4 * rear[2]),
            (out, y - 0.01, 0.6 * front),
            (out, y - 0.06, front + 0.03),
            (x, low, front - 0.02),
        ]
        return both(sweep(smooth_path(points, 16), r)), []
    if style == "loop":
        behind = -seat.depth / 2 * (0.4 if seat.rounded else 0.7)
        loop: list[Point] = [
            (x, low, front),
            (out, y, front + 0.02),
            (out, y, behind),
            (x, low, behind + 0.02),
        ]
        return both(sweep(filleted(loop, rng.uniform(0.02, 0.09)), r)), []
    post = bar((x, low, 0.0), (out, y, 0.0), rounded_rectangle(0.02, 0.06, 0.006, 1))
    pad = box(rng.uniform(0.05, 0.09), 0.03, rng.uniform(0.2, 0.3), 0.012).moved(out, y, 0.02)
    return both(post), both(pad)


def arm_solid(rng: Rng, style: str, wide: float, low: float, high: float, d: float) -> Solid:
    """An upholstered arm about x = 0, from `low` to `high`, spanning -d/2..d/2."""
    if style == "rolled":
        r = rng.uniform(0.55, 0.75) * wide
        angle = np.linspace(-0.6, np.pi + 0.6, 14)
        roll = [(high - r + r * float(np.sin(a)), r * float(np.cos(a))) for a in angle]
        outline = [(low, 0.35 * wide), *roll, (low, -0.35 * wide)]
        # The outline is (y, x), along z.
        return prism(np.array(outline), d).rotated("z", 90).rotated("y", 90)
    if style == "slanted":
        drop = rng.uniform(0.25, 0.6) * (high - low)
        t = d / 2
        outline = [(low, t), (high - drop, t), (high - 0.9 * drop, 0.8 * t), (high, -t), (low, -t)]
        return side_panel(outline, wide, 0)
    if style == "flared":
        solid = box(wide, high - low, d, 0.3 * wide)
        return solid.rotated("z", -rng.uniform(4, 14)).moved(y=(low + high) / 2)
    radius = rng.uniform(0.05, 0.45) * wide
    return box(wide, high - low, d, radius).moved(y=(low + high) / 2)


def framed_seat(rng: Rng, w: float, d: float, count: int) -> list[Part]:
    """Seat and back cushions on a rail frame between two open side frames."""
    seat_y, tilt = rng.uniform(0.26, 0.38), rng.uniform(0, 10)
    arm_y, rake = seat_y + rng.uniform(0.15, 0.32), rng.uniform(10, 32)
    back_h, thick = rng.uniform(0.35, 0.75), rng.uniform(0.06, 0.18)
    r = rng.uniform(0.014, 0.03)
    section: float | Float[ndarray, "point 2"] = r
    if chance(rng, 0.6):
        section = rounded_rectangle(rng.uniform(1.5, 3) * r, 2 * r, 0.4 * r, 2)
    x, front, rear = w / 2 + r, d / 2, -d / 2
    style = str(rng.choice(["loop", "posts", "sled", "panel"]))
    lean = rng.uniform(0.0, 0.14)
    hard: list[Solid] = []
    if style == "loop":
        loop: list[Point] = [
            (x, arm_y, front),
            (x, r, front + lean),
            (x, r, rear - lean),
            (x, arm_y - 0.03, rear),
        ]
        hard += both(sweep(filleted(loop, rng.uniform(0.02, 0.12), True), section, closed=True))
    elif style == "panel":
        outline = [(0, front), (arm_y, front), (arm_y, rear), (0, rear)]
        hard += both(side_panel(outline, rng.uniform(0.02, 0.08), x))
    elif style == "sled":
        line: list[Point] = [
            (x, arm_y, rear - 0.06),
            (x, arm_y, front),
            (x, r, front),
            (x, r, rear - 0.05),
        ]
        hard += both(sweep(filleted(line, rng.uniform(0.05, 0.12)), section))
    else:
        arm = smooth_path(
            [
                (x, arm_y - rng.uniform(0, 0.06), rear - 0.08),
                (x, arm_y, 0),
                (x, arm_y + 0.01, front + 0.05),
            ],
            8,
        )
        flat = rounded_rectangle(rng.uniform(0.03, 0.09), 0.025, 0.008, 2)
        hard += both(sweep(arm, flat))
        hard += both(bar((x, arm_y, front - 0.03), (x, 0, front - 0.03 + lean), section, 0.7))
        hard += both(bar((x, arm_y - 0.02, rear), (x, 0, rear - lean), section, 0.7))
    side = bar(
        (x, seat_y, rear - 0.02), (x, seat_y, front), rounded_rectangle(0.025, 0.05, 0.01, 2)
    )
    hard += both(side)
    soft: list[Solid] = []
    each = w / count
    puff = rng.uniform(0, 0.75 if count < 3 else 0.49)
    platform = box(2 * x, 0.025, d * 0.94)
    hard.append(platform.rotated("x", -tilt).moved(y=seat_y))
    rise = thick / 2 + 0.01
    posts = np.linspace(-x + 0.03, x - 0.03, int(rng.integers(3, 6)) + 2 * count)
    frame = [spindle((float(at), -0.05, 0), (float(at), back_h, 0), 0.009) for at in posts]
    frame.append(back_rail(2 * x, back_h, 0.05, 0.022))
    frame.append(back_rail(2 * x, 0.0, 0.05, 0.022))
    hinge = seat_y - np.sin(np.radians(tilt)) * d / 2
    hard += [solid.rotated("x", -rake).moved(y=float(hinge), z=rear + 0.03) for solid in frame]
    for k in range(count):
        at = (k + 0.5) * each - w / 2
        cushion = puffed_cushion(rng, 0.98 * each, thick, d * 0.96, puff)
        soft.append(cushion.moved(y=rise).rotated("x", -tilt).moved(at, seat_y, 0.03))
        rest = puffed_cushion(rng, 0.97 * each, back_h - 0.02, 0.85 * thick, min(puff, 0.45))
        rest = rest.moved(y=back_h / 2 + 0.8 * thick, z=0.45 * thick + 0.01).rotated("x", -rake)
        soft.append(rest.moved(at, float(hinge), rear + 0.03))
    return draw_look(rng).parts(hard, soft)
