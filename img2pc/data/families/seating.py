"""What all seating is made of: materials, where the seat is, shells, pads and cushions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from img2pc.data.families.joinery import chance, pick
from img2pc.data.shapes import Material, Part
from img2pc.data.solids import Solid, box, level_ring, loft, prism, sheet, superellipsoid

Point = tuple[float, float, float]
Corner = tuple[float, float]
Rng = np.random.Generator
FRAMES: tuple[Material, ...] = ("wood", "wood", "wood", "metal", "metal", "plastic", "paint")
COVERS: tuple[Material, ...] = ("fabric", "fabric", "leather")


@dataclass(frozen=True)
class Look:
    """What the object is made of."""

    frame: Material
    seat: Material
    legs: Material

    def parts(
        self,
        frame: Iterable[Solid] = (),
        seat: Iterable[Solid] = (),
        legs: Iterable[Solid] = (),
        trim: Iterable[Solid] = (),
    ) -> list[Part]:
        return [
            *(Part(solid, "frame", self.frame) for solid in frame),
            *(Part(solid, "seat", self.seat) for solid in seat),
            *(Part(solid, "legs", self.legs) for solid in legs),
            *(Part(solid, "trim", "fabric") for solid in trim),
        ]


@dataclass(frozen=True)
class Seat:
    """Where the seat is: what legs reach up to and what backs and arms stand on."""

    width: float
    depth: float
    height: float
    thickness: float
    rounded: bool = False

    @property
    def under(self) -> float:
        return self.height - self.thickness


def draw_recipe(
    rng: Rng, recipes: Sequence[tuple[Callable[[Rng], list[Part]], float]]
) -> Callable[[Rng], list[Part]]:
    weights = np.array([weight for _, weight in recipes])
    return recipes[int(rng.choice(len(recipes), p=weights / weights.sum()))][0]


def draw_look(rng: Rng) -> Look:
    frame = pick(rng, *FRAMES)
    legs = frame if chance(rng, 0.7) else pick(rng, *FRAMES)
    return Look(frame, pick(rng, *COVERS), legs)


def grounded(parts: list[Part]) -> list[Part]:
    low = min(float(part.solid.vertices[:, 1].min()) for part in parts)
    return [part._replace(solid=part.solid.moved(y=-low)) for part in parts]


def both(solid: Solid) -> list[Solid]:
    return [solid, solid.mirrored()]


def ribbon(path: Float[ndarray, "sample 2"], width: float | ndarray, thickness: float) -> Solid:
    """A sheet across X whose side view is the (y, z) path."""
    across = np.linspace(-0.5, 0.5, 4)
    widths = np.broadcast_to(np.asarray(width), (len(path),))
    surface = np.empty((len(path), 4, 3))
    surface[..., 0] = widths[:, None] * across
    surface[..., 1:] = path[:, None]
    return sheet(surface, thickness)


def side_panel(outline: Sequence[Corner], thickness: float, x: float) -> Solid:
    """An upright panel across X from its (y, z) outline."""
    return prism(np.array(outline), thickness).rotated("z", 90).moved(x=x)


def filleted(
    points: Sequence[Point], radius: float, closed: bool = False
) -> Float[ndarray, "sample 3"]:
    """A polyline with its corners rounded: bent tube."""
    p = np.asarray(points, dtype=float)
    path = [] if closed else [p[:1]]
    for i in range(len(p)) if closed else range(1, len(p) - 1):
        before, corner, after = p[i - 1], p[i], p[(i + 1) % len(p)]
        ends = []
        for other in (before, after):
            length = float(np.linalg.norm(other - corner))
            ends.append(corner + (other - corner) * min(radius, 0.45 * length) / length)
        t = np.linspace(0, 1, 5)[:, None]
        path.append((1 - t) ** 2 * ends[0] + 2 * t * (1 - t) * corner + t**2 * ends[1])
    return np.concatenate(path if closed else [*path, p[-1:]])


def between(a: Point, b: Point, share: float) -> Point:
    x, y, z = (p + (q - p) * share for p, q in zip(a, b, strict=True))
    return (x, y, z)


def soft_pad(
    outline: Float[ndarray, "point 2"], height: float, edge: float, crown: float = 0.0
) -> Solid:
    """An outline raised from y = 0 to height with rounded edges and a domed top."""
    reach = float(np.abs(outline).max(0).min())
    edge = min(edge, 0.49 * height, 0.8 * reach)
    rings: list[tuple[float, float]] = []
    for degrees in (-90, -40, 0, 0, 40, 90):
        angle = np.radians(degrees)
        scale = 1 - edge * (1 - np.cos(angle)) / reach
        middle = edge if len(rings) < 3 else height - edge
        rings.append((float(scale), float(middle + edge * np.sin(angle))))
    if crown > 0:
        rings[-1] = (rings[-1][0], height - 0.15 * edge)
        rings += [(0.7 * rings[-1][0], height + 0.7 * crown), (0.35, height + crown)]
    return loft(np.stack([level_ring(outline * scale, y) for scale, y in rings]))


def puffed_cushion(rng: Rng, width: float, height: float, depth: float, puff: float) -> Solid:
    """A cushion about the origin; boxy for puff 0, a pillow for puff 1."""
    if puff < 0.5:
        radius = min(height, width, depth) * (0.12 + 0.6 * puff)
        return box(width, height * rng.uniform(0.95, 1.05), depth, radius)
    return superellipsoid(width * 1.03, height * 1.15, depth * 1.03, 0.25 + 0.4 * puff, 0.22)


def arc(radius: float, span: float, y: float, samples: int) -> Float[ndarray, "sample 3"]:
    """An arc in plan about the origin, its middle at -radius, whose ends come forward."""
    a = np.linspace(-span, span, samples)
    return np.stack([radius * np.sin(a), np.full(samples, y), -radius * np.cos(a)], -1)
