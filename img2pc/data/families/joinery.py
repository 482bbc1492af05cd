"""What wooden furniture is made of: cuboids, beams, rods and boards, and their materials."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple, TypeVar

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from img2pc.data.families.pieces import circle_outline
from img2pc.data.shapes import Material, Part
from img2pc.data.solids import Solid, Vector, bar, box, level_ring, loft, rounded_rectangle

_T = TypeVar("_T")
Span = tuple[float, float]
Outline = Float[ndarray, "point 2"]

# Corner 4·x + 2·y + z of a cuboid, two triangles a side: furniture is mostly cuboids, and these
# are several times cheaper than a capped loft.
_CUBE_CORNERS = np.array([[i >> 2, i >> 1 & 1, i & 1] for i in range(8)])
_CUBE_SIDES = np.array(
    [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
)
_CUBE_FACES = np.concatenate([_CUBE_SIDES[:, [0, 1, 2]], _CUBE_SIDES[:, [0, 2, 3]]])


class Finish(NamedTuple):
    """The slot and material that a part is made of."""

    slot: str
    material: Material

    def of(self, solid: Solid) -> Part:
        return Part(solid, self.slot, self.material)


def pick(rng: np.random.Generator, *options: _T) -> _T:
    return options[int(rng.integers(len(options)))]


def chance(rng: np.random.Generator, probability: float) -> bool:
    return bool(rng.random() < probability)


def whole_number(rng: np.random.Generator, low: int, high: int) -> int:
    """A whole number from low to high, both included."""
    return int(rng.integers(low, high + 1))


def draw_finish(rng: np.random.Generator, slot: str, *materials: Material) -> Finish:
    """One of the materials; its name is part of the slot, so that two draws never clash."""
    material = pick(rng, *materials)
    return Finish(f"{slot} {material}", material)


def cuts(rng: np.random.Generator, span: Span, count: int, unevenness: float) -> list[Span]:
    """The span cut into `count` neighbouring spans."""
    sizes = 1 + unevenness * rng.uniform(-0.6, 1.2, count)
    edges = span[0] + (span[1] - span[0]) * np.concatenate([[0], np.cumsum(sizes) / sizes.sum()])
    return [(float(a), float(b)) for a, b in pairwise(edges)]


def about(centre: float, size: float) -> Span:
    return centre - size / 2, centre + size / 2


def inside(span: Span, margin: float) -> Span:
    """The span less a margin at both ends, but never nothing."""
    margin = min(margin, 0.49 * (span[1] - span[0]))
    return span[0] + margin, span[1] - margin


def midpoint(span: Span) -> float:
    return (span[0] + span[1]) / 2


def cuboid(finish: Finish, x: Span, y: Span, z: Span, radius: float = 0, steps: int = 1) -> Part:
    """A cuboid, its edges rounded by `radius`, or cut along x in `steps` to be bent later."""
    if radius > 0:
        solid = box(x[1] - x[0], y[1] - y[0], z[1] - z[0], radius)
        return finish.of(solid.moved(midpoint(x), midpoint(y), midpoint(z)))
    if steps > 1:
        ring = [(y[0], z[0]), (y[1], z[0]), (y[1], z[1]), (y[0], z[1])]
        return finish.of(
            loft(np.array([[(s, *point) for point in ring] for s in np.linspace(*x, steps + 1)]))
        )
    low, high = np.array([x, y, z]).T
    return finish.of(Solid(low + _CUBE_CORNERS * (high - low), _CUBE_FACES))


def beam(finish: Finish, start: Vector, end: Vector, size: float) -> Part:
    """A beam of square section."""
    return finish.of(bar(start, end, rounded_rectangle(size, size, 0)))


def rod(finish: Finish, start: Vector, end: Vector, radius: float) -> Part:
    return finish.of(bar(start, end, circle_outline(radius, 7)))


def shifted(parts: Sequence[Part], x: float = 0, y: float = 0, z: float = 0) -> list[Part]:
    return [part._replace(solid=part.solid.moved(x, y, z)) for part in parts]


def turned(parts: Sequence[Part], degrees: float) -> list[Part]:
    """Turned about the vertical axis."""
    return [part._replace(solid=part.solid.rotated("y", degrees)) for part in parts]


def edged_board(outline: Outline, y: Span, edge: str) -> Solid:
    """A board with that outline; its edge is "square", "round", "bevel" or "under" (bevelled)."""
    half = np.abs(outline).max(0)
    thickness = y[1] - y[0]
    steps = {
        "square": [(0.0, 0.0), (0, 1)],
        "round": [(0.5, 0.0), (0.15, 0.15), (0, 0.5), (0.15, 0.85), (0.5, 1)],
        "bevel": [(0.0, 0.0), (0, 0.6), (0.4, 1)],
        "under": [(1.6, 0.0), (0, 0.7), (0, 1)],
    }[edge]
    rings = []
    for inset, level in steps:
        inner = outline * (1 - inset * thickness / half)
        rings.append(level_ring(inner, y[0] + level * thickness))
    return loft(np.stack(rings))
