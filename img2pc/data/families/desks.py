"""Desks, with their hutches and monitors."""

from __future__ import annotations

import numpy as np

from img2pc.data.families.cases import Fronts, case_body, draw_fronts
from img2pc.data.families.joinery import (
    Finish,
    Span,
    about,
    chance,
    cuboid,
    draw_finish,
    edged_board,
    midpoint,
    pick,
    shifted,
    turned,
    whole_number,
)
from img2pc.data.families.legs import draw_legs, end_frame, legged_base
from img2pc.data.shapes import Part
from img2pc.data.solids import rounded_rectangle


def _desk_support(
    rng: np.random.Generator, kind: str, x: Span, z: float, height: float, fronts: Fronts
) -> list[Part]:
    """What carries one side of a desk: a chest of drawers, a panel or a frame."""
    if kind == "chest":
        low = 0.0 if chance(rng, 0.5) else rng.uniform(0.03, 0.35) * height
        parts = case_body(
            rng,
            x,
            (low, height),
            (-z, z),
            fronts,
            1,
            whole_number(rng, 1, 2),
            0.1,
            rng.uniform(0, 0.4),
        )
        if low:
            legs = draw_legs(rng, low, fronts.body)
            inset = min(0.04 + legs.splay * low, 0.4 * (x[1] - x[0]))
            feet = legs.four((x[1] - x[0]) / 2 - inset, z - inset, low + 0.01)
            parts += shifted(feet, midpoint(x))
        return parts
    frame = end_frame(rng, kind, z, height, rng.uniform(0.02, 0.07), _desk_metal(fronts))
    return shifted(frame, midpoint(x))


def _desk_metal(fronts: Fronts) -> Finish:
    return Finish("legs", "metal" if fronts.metal.material == "metal" else "wood")


def _monitor(rng: np.random.Generator, y: float, z: float) -> list[Part]:
    screen, width = Finish("screen", "plastic"), rng.uniform(0.4, 0.8)
    low = y + rng.uniform(0.08, 0.2)
    panel = cuboid(screen, about(0, width), (low, low + width * 0.6), (z, z + 0.03))
    neck = cuboid(screen, about(0, 0.06), (y, low + 0.1), (z - 0.03, z + 0.01))
    foot = cuboid(screen, about(0, 0.24), (y - 0.002, y + 0.012), about(z, 0.18))
    return shifted([panel, neck, foot], rng.uniform(-0.2, 0.2))


def _hutch(
    rng: np.random.Generator, x: float, y: float, back: float, depth: float, fronts: Fronts
) -> list[Part]:
    """Shelves on the back of a desk."""
    rise = rng.uniform(0.15, 0.75)
    z = (back, back + rng.uniform(0.3, 0.5) * depth)
    if chance(rng, 0.5):
        shape = (whole_number(rng, 1, 4), whole_number(rng, 1, 2))
        return case_body(rng, (-x, x), (y - 0.002, y + rise), z, fronts, *shape, 0.6)
    t = rng.uniform(0.012, 0.03)
    levels = np.linspace(y + rise, y + 0.5 * rise, whole_number(rng, 1, 2))
    parts = [cuboid(fronts.body, (-x, x), about(level, t), z) for level in levels]
    for s in (-1, 1):
        edge = (s * x - t / 2, s * x + t / 2)
        parts.append(cuboid(fronts.body, edge, (y - 0.002, y + rise), z))
    return parts


def desk(rng: np.random.Generator) -> list[Part]:
    """Desks with drawers, panels, legs or T frames, with hutches, secretaries and corners."""
    width, depth = rng.uniform(0.8, 1.9), rng.uniform(0.42, 0.9)
    height = rng.uniform(0.95, 1.2) if chance(rng, 0.08) else rng.uniform(0.66, 0.8)
    body = draw_finish(rng, "body", "wood", "wood", "paint", "plastic", "metal")
    fronts = draw_fronts(rng, body)
    top = body if chance(rng, 0.5) else draw_finish(rng, "top", "wood", "glass", "paint", "plastic")
    t = rng.uniform(0.012, 0.055)
    under = height - t
    x, z = width / 2 * rng.uniform(0.88, 0.99), depth / 2 * rng.uniform(0.85, 0.99)
    corner = 0.0 if chance(rng, 0.6) else rng.uniform(0.01, 0.12)
    edge = pick(rng, "square", "square", "round", "bevel", "under")
    outline = rounded_rectangle(width, depth, corner)
    parts = [top.of(edged_board(outline, (under, height), edge))]
    kinds = ("chest", "chest", "chest", "panel", "panel", "sled", "a", "t", "v", "cross")
    style = pick(rng, "mixed", "mixed", "same", "same", "legs", "legs")
    if style == "legs":
        parts += legged_base(
            rng,
            x,
            z,
            under + 0.003,
            body if chance(rng, 0.5) else draw_finish(rng, "legs", "metal", "wood"),
        )
        if chance(rng, 0.35):
            drop, chest = rng.uniform(0.08, 0.5), rng.uniform(0.28, 0.45)
            side = (x - chest - 0.06, x - 0.06)
            parts += case_body(
                rng, side, (under - drop, under), (-z + 0.05, z - 0.03), fronts, 1, 1, 0.1, 0.2
            )
    else:
        left = pick(rng, *kinds)
        right = left if style == "same" else pick(rng, *kinds)
        chest = min(rng.uniform(0.26, 0.48), 0.36 * width)
        for kind, s in ((left, -1), (right, 1)):
            across = chest if kind == "chest" else 0.08
            span = (s * x, s * (x - across)) if s < 0 else (x - across, x)
            parts += _desk_support(rng, kind, span, z, under + 0.003, fronts)
        drop = rng.uniform(0.05, 0.95) * under if chance(rng, 0.6) else 0.06
        place = rng.uniform(-0.95, 0.2) * z
        panel = (-x + 0.03, x - 0.03)
        parts.append(cuboid(body, panel, (under - drop, under), about(place, 0.018)))
        if chance(rng, 0.3):
            tray = (-x + chest, x - chest)
            parts += fronts.drawer(tray, (under - rng.uniform(0.06, 0.12), under), z - 0.01, -z)
    extra = pick(rng, "none", "none", "none", "hutch", "hutch", "monitor", "secretary", "corner")
    if extra == "hutch":
        parts += _hutch(rng, x, height, -depth / 2, depth, fronts)
    elif extra == "secretary":
        rise, z_face = rng.uniform(0.25, 1.1), rng.uniform(-0.1, 0.3) * depth
        span = (height - 0.002, height + rise)
        parts += case_body(
            rng,
            (-x, x),
            span,
            (-depth / 2, z_face),
            fronts,
            whole_number(rng, 1, 3),
            whole_number(rng, 1, 3),
            0.4,
        )
    elif extra == "corner":
        reach, wing = rng.uniform(0.4, 1.0), rng.uniform(0.4, 0.6)
        outer = (width / 2 - wing, width / 2)
        z_span = (depth / 2 - 0.05, depth / 2 + reach)
        parts.append(cuboid(top, outer, (under, height), z_span))
        end = end_frame(rng, "panel", wing * 0.48, under + 0.003, 0.03, body)
        parts += shifted(turned(end, 90), midpoint(outer), 0, z_span[1] - 0.03)
        if chance(rng, 0.5):
            parts = [part._replace(solid=part.solid.mirrored()) for part in parts]
    if extra == "monitor" or (extra == "none" and chance(rng, 0.1)):
        parts += _monitor(rng, height, -0.2 * depth)
    return parts
