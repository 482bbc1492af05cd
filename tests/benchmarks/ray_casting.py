"""How fast objects become training data, on one core: `python tests/benchmarks/ray_casting.py`.

The floor is what the prototype took for the same work, on the same kind of core: 3 pictures of
256 pixels and 12 depth maps of 64 pixels per object in 57 ms. Last measured, beside other work on
the second core: 49 to 56 ms, of which 45 to 51 are pictures; a third of it is spent in Embree.
Times are of the process, so that waiting for a core does not count.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch

from img2pc.cameras import cameras_towards_centre
from img2pc.data.families import FAMILIES
from img2pc.data.pictures import PhotographSettings, photograph
from img2pc.data.ray_caster import RayCaster, cast_depth
from img2pc.data.shapes import Shape, assemble

OBJECTS = 40
PROTOTYPE_MS = 57.0
PICTURES, PICTURE_SIZE = 3, 256
MAPS, MAP_SIZE = 12, 64


def milliseconds_per_object(work: Callable[[int], object]) -> float:
    begin = time.process_time()
    for index in range(OBJECTS):
        work(index)
    return 1000 * (time.process_time() - begin) / OBJECTS


def main() -> None:
    torch.set_num_threads(1)
    names = list(FAMILIES)
    shapes: list[Shape] = []
    scenes: list[RayCaster] = []
    settings = PhotographSettings(resolution=(PICTURE_SIZE, PICTURE_SIZE))
    cameras = cameras_towards_centre(
        torch.randn(MAPS, 3, generator=torch.Generator().manual_seed(0)), MAP_SIZE
    )

    def draw(index: int) -> None:
        name = names[index % len(names)]
        shapes.append(assemble(name, FAMILIES[name][0](np.random.default_rng(index))))

    def build(index: int) -> None:
        scenes.append(RayCaster(shapes[index].vertices, shapes[index].faces))

    def picture(index: int) -> None:
        for number in range(PICTURES):
            rng = np.random.default_rng([index, number])
            photograph(shapes[index], scenes[index], PICTURE_SIZE, rng, settings)

    rows = [
        ("draw the shape", milliseconds_per_object(draw), ""),
        ("build the scene", milliseconds_per_object(build), ""),
        (f"{PICTURES} pictures of {PICTURE_SIZE}²", milliseconds_per_object(picture), "pictures"),
        (
            f"{MAPS} maps of {MAP_SIZE}²",
            milliseconds_per_object(lambda index: cast_depth(scenes[index], cameras)),
            "maps",
        ),
    ]
    rates = {"pictures": PICTURES, "maps": MAPS}
    for name, duration, unit in rows:
        rate = f"{1000 * rates[unit] / duration:8.0f} {unit}/s" if unit else ""
        print(f"{name:24}{duration:8.2f} ms {rate}")
    rendering = sum(duration for _, duration, _ in rows[1:])
    print(f"{'scene, pictures, maps':24}{rendering:8.2f} ms per object")
    print(f"{'prototype':24}{PROTOTYPE_MS:8.2f} ms per object → {PROTOTYPE_MS / rendering:.2f} ×")


if __name__ == "__main__":
    main()
