"""An object in the making: its random draws, and its parts so far."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar, get_args

import numpy as np

from img2pc.data.shapes import Material, Part
from img2pc.data.solids import Solid

_T = TypeVar("_T")
_ANY: tuple[Material, ...] = get_args(Material)


class Maker:
    """One object in the making: the draws of its dimensions, and its parts so far."""

    def __init__(self, rng: np.random.Generator, **choices: tuple[Material, ...]) -> None:
        self.rng = rng
        self._choices = choices
        self._materials: dict[str, Material] = {}
        self._parts: list[tuple[str, Solid]] = []
        self._one_piece = self.chance(0.12)

    def between(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def count(self, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return int(self.rng.integers(low, high + 1))

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def pick(self, options: Sequence[_T]) -> _T:
        return options[int(self.rng.integers(len(options)))]

    def add(self, slot: str, *solids: Solid) -> None:
        if self._one_piece:
            slot = "body"
        if slot not in self._materials:
            self._materials[slot] = self.pick(self._choices.get(slot, _ANY))
        self._parts.extend((slot, solid) for solid in solids)

    def pair(self, slot: str, *solids: Solid) -> None:
        """Add solids and their mirror images."""
        self.add(slot, *solids, *(solid.mirrored() for solid in solids))

    def turn(self, axis: str, degrees: float) -> None:
        """Turn everything added so far."""
        self._parts = [(slot, solid.rotated(axis, degrees)) for slot, solid in self._parts]

    def height(self) -> float:
        return max(float(solid.vertices[:, 1].max()) for _, solid in self._parts)

    def finished(self, stretch: float = 0.08) -> list[Part]:
        """The parts, slightly stretched, as often as not mirrored, and set down on y = 0.

        Mostly what is round stays so: that a circle is one tells how steeply it is seen.
        """
        x, y, z = np.exp(self.rng.normal(0, stretch, 3))
        z = x if self.chance(0.7) else z
        x = -x if self.chance(0.5) else x
        low = min(float(solid.vertices[:, 1].min()) for _, solid in self._parts)
        return [
            Part(solid.moved(y=-low).scaled(x, y, z), slot, self._materials[slot])
            for slot, solid in self._parts
        ]


Variant = Callable[[Maker], None]
