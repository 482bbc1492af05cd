"""Legs, end frames and legged bases of tables, desks, beds and cabinets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from img2pc.data.families.cases import draw_fronts
from img2pc.data.families.joinery import (
    Finish,
    about,
    beam,
    chance,
    cuboid,
    cuts,
    inside,
    pick,
    rod,
    shifted,
    whole_number,
)
from img2pc.data.shapes import Part
from img2pc.data.solids import Solid, bar, lathe, rounded_rectangle, smooth_path, sweep


@dataclass(frozen=True)
class Legs:
    """A style of leg, used for all the legs of an object.

    Attributes:
        splay: how far the foot stands out in x and in z for each metre of height.
        profile: (radius relative to the thickness, relative height) of turned legs.
    """

    kind: str
    finish: Finish
    thickness: float
    taper: float
    splay: float
    profile: tuple[tuple[float, float], ...]

    def at(self, x: float, z: float, height: float) -> list[Part]:
        """One leg whose top is at (x, height, z)."""
        side, front = float(np.sign(x)), float(np.sign(z))
        t = self.thickness
        out = self.splay * height
        foot, top = (side * out, 0.0, front * out), (0.0, height, 0.0)
        if self.kind == "hairpin":
            spread = 0.16 * height + 0.02
            heads = [(-side * spread, height, 0.0), (0.0, height, -front * spread)]
            rods = [rod(self.finish, foot, head, 0.13 * t + 0.003) for head in heads]
            return shifted(rods, x, 0, z)
        if self.kind == "cabriole":
            bulge = 0.09 * height
            curve = smooth_path(
                [
                    (0.0, height, 0.0),
                    (side * bulge, 0.8 * height, front * bulge),
                    (0.0, 0.3 * height, 0.0),
                    (-0.2 * side * bulge, 0.12 * height, -0.2 * front * bulge),
                    (side * 0.7 * bulge, 0.0, front * 0.7 * bulge),
                ],
                12,
            )
            scale = np.interp(np.arange(12), [0, 3, 8, 10, 11], [1.1, 1.3, 0.6, 0.6, 0.9])
            solid = sweep(curve, t / 2, scale)
            on_floor = np.maximum(solid.vertices, [-np.inf, 0.0, -np.inf])
            return [self.finish.of(Solid(on_floor, solid.faces).moved(x, 0, z))]
        if self.kind == "turned":
            solid = lathe([(r * t, level * height) for r, level in self.profile], 12)
            lean = (1 - solid.vertices[:, 1] / height)[:, None] * np.array(foot)
            return [self.finish.of(Solid(solid.vertices + lean, solid.faces).moved(x, 0, z))]
        if self.kind == "round":
            solid = bar(top, foot, t / 2, self.taper)
        elif self.kind == "flat":
            solid = bar(top, foot, rounded_rectangle(1.6 * t, 0.6 * t, 0), self.taper)
        else:
            solid = bar(top, foot, rounded_rectangle(t, t, 0.12 * t, 2), self.taper)
        return [self.finish.of(solid.moved(x, 0, z))]

    def four(self, x: float, z: float, height: float) -> list[Part]:
        """Legs at the four corners (±x, ±z)."""
        corners = [(x, z), (-x, z), (-x, -z), (x, -z)]
        return [part for corner in corners for part in self.at(*corner, height)]


def draw_legs(rng: np.random.Generator, height: float, finish: Finish) -> Legs:
    kinds = ["square", "round", "square", "round", "flat", "turned", "cabriole"]
    if finish.material == "metal":
        kinds = ["square", "round", "round", "flat", "hairpin", "hairpin"]
    kind = pick(rng, *kinds)
    slim = 0.6 if finish.material == "metal" else 1.0
    levels = np.sort(rng.uniform(0.04, 0.82, whole_number(rng, 4, 8)))
    radii = rng.uniform(0.18, 0.6, len(levels)) if chance(rng, 0.6) else 0.25 + 0.3 * levels
    beads = [(float(r), float(level)) for r, level in zip(radii, levels, strict=True)]
    return Legs(
        kind,
        finish,
        slim * rng.uniform(0.03, 0.085) * (0.6 + 0.55 * min(height, 1.0)),
        1.0 if chance(rng, 0.35) else rng.uniform(0.35, 1.0),
        0.0 if chance(rng, 0.5) else rng.uniform(0.03, 0.3),
        ((rng.uniform(0.15, 0.4), 0.0), *beads, (0.5, 0.86), (0.5, 1.0)),
    )


def _stretchers(rng: np.random.Generator, legs: Legs, x: float, z: float, top: float) -> list[Part]:
    """Bars between the legs low down, or a shelf."""
    y = rng.uniform(0.12, 0.45) * top
    x, z = x + legs.splay * (top - y), z + legs.splay * (top - y)
    size = rng.uniform(0.3, 0.8) * legs.thickness
    f = legs.finish
    kind = pick(rng, "box", "h", "cross", "shelf", "sides", "slats")
    if kind == "shelf":
        return [cuboid(f, (-x, x), about(y, size), (-z, z))]
    if kind == "cross":
        return [beam(f, (-x, y, s * z), (x, y, -s * z), size) for s in (-1, 1)]
    parts = [beam(f, (s * x, y, -z), (s * x, y, z), size) for s in (-1, 1)]
    if kind == "box":
        parts += [beam(f, (-x, y, s * z), (x, y, s * z), size) for s in (-1, 1)]
    if kind == "h":
        parts.append(beam(f, (-x, y, 0), (x, y, 0), size))
    if kind == "slats":
        parts += [beam(f, (-x, y, u * z), (x, y, u * z), size) for u in np.linspace(-0.9, 0.9, 6)]
    return parts


def end_frame(
    rng: np.random.Generator, kind: str, z: float, height: float, size: float, finish: Finish
) -> list[Part]:
    """A support in the plane x = 0 that reaches from -z to z: one end of a table or desk."""
    h = size / 2
    post = cuboid(finish, about(0, size), (0, height), about(0, 1.6 * size))
    if kind == "panel":
        return [cuboid(finish, about(0, size), (0, height), (-z, z))]
    if kind == "sled":
        rails = [cuboid(finish, about(0, size), about(y, size), (-z, z)) for y in (h, height - h)]
        posts = [
            cuboid(finish, about(0, size), (0, height), about(s * (z - h), size)) for s in (-1, 1)
        ]
        return rails + posts
    if kind == "cross":
        arms = [beam(finish, (0, h, -s * z), (0, height, s * z), size) for s in (-1, 1)]
        return [_cut_off(arm, height) for arm in arms]
    if kind == "a":
        apex = z * rng.uniform(0.05, 0.6)
        y = height * rng.uniform(0.25, 0.5)
        arms = [beam(finish, (0, 0.4 * h, s * z), (0, height, s * apex), size) for s in (-1, 1)]
        reach = z + (apex - z) * y / height
        rail = beam(finish, (0, y, -reach), (0, y, reach), size)
        return [*(_cut_off(arm, height) for arm in arms), rail]
    if kind == "v":
        arms = [beam(finish, (0, h, s * 0.2 * z), (0, height, s * z), size) for s in (-1, 1)]
        foot = cuboid(finish, about(0, size), (0, size), (-0.3 * z, 0.3 * z))
        return [*(_cut_off(arm, height) for arm in arms), foot]
    # "t": a post on a foot, under a head
    feet = cuboid(finish, about(0, 1.3 * size), (0, size), (-z, z))
    top = cuboid(finish, about(0, size), (height - size, height), (-0.8 * z, 0.8 * z))
    return [post, feet, top]


def _cut_off(part: Part, height: float) -> Part:
    """Flat at that height: the end of a slanted beam would come through the top."""
    vertices = np.minimum(part.solid.vertices, [np.inf, height, np.inf])
    return part._replace(solid=Solid(vertices, part.solid.faces))


def legged_base(
    rng: np.random.Generator, x: float, z: float, height: float, finish: Finish
) -> list[Part]:
    """Four legs, with or without an apron, stretchers and a drawer."""
    legs = draw_legs(rng, height, finish)
    if chance(rng, 0.3):
        x, z = x * rng.uniform(0.6, 0.95), z * rng.uniform(0.6, 0.95)
    half = legs.thickness / 2
    x, z = max(x - half, 0.03), max(z - half, 0.03)
    parts = legs.four(x, z, height)
    has_rails = legs.kind != "hairpin"
    if has_rails and chance(rng, 0.65):
        drop = min(rng.uniform(0.04, 0.14), 0.3 * height)
        y, board = (height - drop, height), rng.uniform(0.4, 0.9) * half
        for s in (-1, 1):
            parts.append(cuboid(finish, (-x, x), y, about(s * z, board)))
            parts.append(cuboid(finish, about(s * x, board), y, (-z, z)))
        if chance(rng, 0.25):
            fronts = draw_fronts(rng, finish)
            for cell in cuts(rng, inside((-x, x), half), whole_number(rng, 1, 3), 0):
                parts += fronts.drawer(cell, inside(y, 0.006), z + board / 2, z)
    else:
        parts.append(cuboid(finish, about(0, 2 * x), (height - 0.012, height), about(0, 2 * z)))
    if has_rails and chance(rng, 0.35):
        parts += _stretchers(rng, legs, x, z, height)
    return parts
