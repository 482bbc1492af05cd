"""Drawers, doors and the cases that hold them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from img2pc.data.families.joinery import (
    Finish,
    Span,
    about,
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
from img2pc.data.families.pieces import circle_outline
from img2pc.data.shapes import Part
from img2pc.data.solids import lathe, smooth_path, sweep


@dataclass(frozen=True)
class Fronts:
    """The style of all the doors and drawers of an object.

    Attributes:
        gap: clearance around each front.
        steps: cuts along x, for fronts that will be bowed.
    """

    panel: str
    handle: str
    body: Finish
    front: Finish
    metal: Finish
    gap: float
    thickness: float
    handle_size: float
    frame: float
    ajar: float
    steps: int = 1

    def drawer(self, x: Span, y: Span, z: float, back: float, pull: float = 0.0) -> list[Part]:
        """A drawer front on the plane z, pulled out by `pull`, with its box if it is open."""
        parts = self._panel(x, y, z, self.panel if self.panel in ("flat", "raised") else "flat")
        wide = x[1] - x[0] > 0.75
        places = [0.25, 0.75] if wide else [0.5]
        level = midpoint(y) if self.handle != "bow" else y[0] + 0.65 * (y[1] - y[0])
        for place in places:
            centre = x[0] + place * (x[1] - x[0])
            parts += self._handle(centre, level, z, 0.5 * (x[1] - x[0]), upright=False)
        if pull > 0:
            side, low = inside(x, 0.02), (y[0] + 0.01, y[0] + 0.75 * (y[1] - y[0]))
            depth = (z - 0.9 * (z - back), z)
            parts.append(cuboid(self.body, side, (low[0], low[0] + 0.01), depth))
            for s in (side[0], side[1] - 0.012):
                parts.append(cuboid(self.body, (s, s + 0.012), low, depth))
            parts = shifted(parts, z=pull)
        return parts

    def door(self, x: Span, y: Span, z: float, left: bool, angle: float = 0.0) -> list[Part]:
        """A door on the plane z, hinged on its left or right, opened by `angle` degrees."""
        parts = self._panel(x, y, z, self.panel)
        edge = min(0.045, 0.15 * (x[1] - x[0]))
        level = midpoint(y) if y[1] > 0.7 or self.handle == "bar" else y[0] + 0.75 * (y[1] - y[0])
        place = x[1] - edge if left else x[0] + edge
        parts += self._handle(place, level, z, 0.6 * (y[1] - y[0]), upright=True)
        if angle > 0:
            hinge = x[0] if left else x[1]
            parts = turned(shifted(parts, -hinge, 0, -z), -angle if left else angle)
            parts = shifted(parts, hinge, 0, z)
        return parts

    def _panel(self, x: Span, y: Span, z: float, kind: str) -> list[Part]:
        x, y = inside(x, self.gap), inside(y, self.gap)
        t = self.thickness
        frame = min(self.frame, 0.25 * (x[1] - x[0]), 0.25 * (y[1] - y[0]))
        inner_x, inner_y = inside(x, frame), inside(y, frame)
        if kind == "flat":
            return [cuboid(self.front, x, y, (z - 0.012, z + t), steps=self.steps)]
        if kind == "raised":
            plate = cuboid(self.front, x, y, (z - 0.012, z + 0.6 * t), steps=self.steps)
            field = (z, z + 1.3 * t)
            return [plate, cuboid(self.front, inner_x, inner_y, field, steps=self.steps)]
        deep = (z - 0.012, z + t)
        parts = [
            cuboid(self.front, x, (y[0], inner_y[0]), deep, steps=self.steps),
            cuboid(self.front, x, (inner_y[1], y[1]), deep, steps=self.steps),
            cuboid(self.front, (x[0], inner_x[0]), inner_y, deep),
            cuboid(self.front, (inner_x[1], x[1]), inner_y, deep),
        ]
        if kind == "louvre":
            for level in np.linspace(*inner_y, max(3, int((inner_y[1] - inner_y[0]) / 0.05)))[1:-1]:
                slat = cuboid(self.front, inner_x, about(0, 0.045), about(0, 0.006)).solid
                tilted = slat.rotated("x", 35).moved(0, level, z - 0.002)
                parts.append(self.front.of(tilted))
            return parts
        fill = Finish("pane", "glass") if kind == "glass" else self.front
        parts.append(cuboid(fill, inner_x, inner_y, (z - 0.012, z - 0.006), steps=self.steps))
        if kind == "glass" and self.frame > 0.045:
            for level in np.linspace(*inner_y, 4)[1:-1]:
                parts.append(cuboid(self.front, inner_x, about(level, 0.015), deep))
            parts.append(cuboid(self.front, about(midpoint(x), 0.015), inner_y, deep))
        return parts

    def _handle(self, x: float, y: float, z: float, room: float, upright: bool) -> list[Part]:
        z = z + self.thickness
        s = self.handle_size
        if self.handle == "none":
            return []
        if self.handle == "knob":
            knob = lathe(
                [(0.4 * s, -0.005), (0.3 * s, s), (0.8 * s, 1.3 * s), (0.6 * s, 2 * s)], 10
            )
            return [self.metal.of(knob.rotated("x", 90).moved(x, y, z))]
        half = min(5 * s, room / 2)
        along = np.array([0.0, half, 0.0]) if upright else np.array([half, 0.0, 0.0])
        centre, out = np.array([x, y, z]), np.array([0.0, 0.0, 1.8 * s])
        if self.handle == "bow":
            points = [
                centre - along,
                centre - 0.7 * along + out,
                centre + 0.7 * along + out,
                centre + along,
            ]
            return [self.metal.of(sweep(smooth_path(points, 7), circle_outline(0.3 * s, 6)))]
        if self.handle == "strip":
            size = np.abs(along) + np.array([0.3 * s, 0.3 * s, 0])
            return [
                cuboid(
                    self.metal,
                    (x - size[0], x + size[0]),
                    (y - size[1], y + size[1]),
                    (z - 0.005, z + s),
                )
            ]
        parts = [rod(self.metal, centre - along + out, centre + along + out, 0.35 * s)]
        for k in (-0.75, 0.75):
            foot = centre + k * along
            parts.append(rod(self.metal, foot - [0, 0, 0.01], foot + out, 0.3 * s))
        return parts


def draw_fronts(rng: np.random.Generator, body: Finish) -> Fronts:
    front = body
    if chance(rng, 0.3):
        front = draw_finish(rng, "front", "wood", "paint", "plastic", "metal")
    return Fronts(
        panel=pick(rng, "flat", "flat", "flat", "raised", "shaker", "shaker", "glass", "louvre"),
        handle=pick(rng, "knob", "knob", "bar", "bar", "bow", "strip", "none"),
        body=body,
        front=front,
        metal=draw_finish(rng, "handles", "metal", "metal", "wood", "ceramic"),
        gap=rng.uniform(0.001, 0.008),
        thickness=rng.uniform(0.004, 0.025),
        handle_size=rng.uniform(0.009, 0.022),
        frame=rng.uniform(0.025, 0.09),
        ajar=0.05 if chance(rng, 0.3) else 0.0,
    )


def fill_cells(
    rng: np.random.Generator, x: Span, y: Span, z: Span, fronts: Fronts, content: str
) -> list[Part]:
    """Drawers, doors or shelves in the opening of a case; z runs from its back to its face."""
    width, height = x[1] - x[0], y[1] - y[0]
    parts: list[Part] = []
    if content == "drawers":
        count = max(1, min(6, round(height / rng.uniform(0.14, 0.3))))
        for row in cuts(rng, y, count, float(rng.choice([0, 0, 0.3]))):
            pull = rng.uniform(0.2, 0.7) * (z[1] - z[0]) if chance(rng, fronts.ajar) else 0.0
            parts += fronts.drawer(x, row, z[1], z[0], pull)
        return parts
    if content == "doors":
        count = 2 if width > rng.uniform(0.45, 0.75) else 1
        left = chance(rng, 0.5)
        for i, column in enumerate(cuts(rng, x, count, 0)):
            angle = rng.uniform(15, 110) if chance(rng, 2 * fronts.ajar) else 0.0
            parts += fronts.door(column, y, z[1], left if count == 1 else i == 0, angle)
        if fronts.panel != "glass":
            return parts
    for level in np.linspace(*y, whole_number(rng, 0, max(1, int(height / 0.3))) + 2)[1:-1]:
        parts.append(cuboid(fronts.body, x, about(level, 0.018), (z[0], z[1] - 0.02)))
    return parts


def case_body(
    rng: np.random.Generator,
    x: Span,
    y: Span,
    z: Span,
    fronts: Fronts,
    columns: int,
    rows: int,
    openness: float,
    doors: float = 0.5,
) -> list[Part]:
    """A case of panels, divided into columns and rows, each cell with drawers, doors or shelves.

    Args:
        openness: probability that a cell is open.
        doors: probability that a closed cell has doors rather than drawers.
    """
    t = min(rng.uniform(0.012, 0.04), 0.12 * (y[1] - y[0]))
    body, s = fronts.body, fronts.steps
    parts = [
        cuboid(body, x, (y[0], y[0] + t), z, steps=s),
        cuboid(body, x, (y[1] - t, y[1]), z, steps=s),
        cuboid(body, (x[0], x[0] + t), y, z),
        cuboid(body, (x[1] - t, x[1]), y, z),
    ]
    if not (openness > 0.3 and chance(rng, 0.2)):
        parts.append(cuboid(body, x, y, (z[0], z[0] + 0.01)))
    uneven = 0.0 if chance(rng, 0.5) else 0.6
    overlay = t / 2 if chance(rng, 0.5) else t
    face = z[1] if overlay < t else z[1] - rng.uniform(0.0, fronts.thickness)
    spans = cuts(rng, inside(x, t / 2), columns, uneven)
    if columns == 3 and uneven and chance(rng, 0.7):
        side = rng.uniform(0.2, 0.45) * (x[1] - x[0])
        edges = (x[0] + side, x[1] - side)
        spans = [(x[0] + t / 2, edges[0]), edges, (edges[1], x[1] - t / 2)]
    levels = cuts(rng, inside(y, t / 2), rows, uneven)
    same = chance(rng, 0.6)
    choices: dict[tuple[int, int], str] = {}
    for i, column in enumerate(spans):
        if i:
            parts.append(cuboid(body, about(column[0], t), inside(y, 0.002), inside(z, 0.002)))
        for j, row in enumerate(levels):
            if j:
                parts.append(cuboid(body, column, about(row[0], t), inside(z, 0.002), steps=s))
            content = "open" if chance(rng, openness) else "doors"
            if content == "doors" and not chance(rng, doors):
                content = "drawers"
            if same:
                content = choices.setdefault((min(i, columns - 1 - i), j), content)
            cell = inside(column, overlay - t / 2), inside(row, overlay - t / 2)
            if content == "open":
                cell = inside(column, t / 2), inside(row, t / 2)
            parts += fill_cells(rng, *cell, (z[0], face), fronts, content)
    return parts
