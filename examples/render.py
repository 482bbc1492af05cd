"""Renders pictures such as those in this folder: procedural shapes from seeds never trained on.

The pictures themselves are of commit 2ed38fb; the families have changed since.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from img2pc.data.dataset import FIRST_HELD_OUT_SEED
from img2pc.data.families import FAMILIES
from img2pc.data.pictures import PhotographSettings, photograph
from img2pc.data.ray_caster import RayCaster
from img2pc.data.shapes import assemble

# Seeds chosen for variety of shape before any picture of them was reconstructed.
SEEDS = {"chair": 7, "sofa": 4, "table": 11, "lamp": 3, "mug": 5, "car": 4}
AZIMUTH_DEGREES = 35.0
SETTINGS = PhotographSettings(elevation_degrees=(15.0, 25.0), resolution=(512, 512))


def main() -> None:
    for family, seed in SEEDS.items():
        rng = np.random.default_rng([FIRST_HELD_OUT_SEED, seed])
        shape = assemble(family, FAMILIES[family][0](rng))
        caster = RayCaster(shape.vertices, shape.faces)
        picture = photograph(shape, caster, 256, rng, SETTINGS, AZIMUTH_DEGREES)
        Image.fromarray(picture).save(Path(__file__).parent / f"{family}.png")


if __name__ == "__main__":
    main()
