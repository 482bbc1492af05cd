"""Houses, towers and other buildings."""

from __future__ import annotations

import numpy as np

from img2pc.data.families.maker import Maker
from img2pc.data.families.pieces import tapered_block
from img2pc.data.families.profiles import random_profile, revolved, smooth_profile
from img2pc.data.solids import box, cylinder


def building(m: Maker) -> None:
    """Houses, towers, castles, temples and toy bricks."""
    for house in range(m.count(1, 3)):
        width, depth, height = m.between(0.5, 1.5), m.between(0.5, 1.5), m.between(0.4, 2.2)
        x, z = (0.0, 0.0) if house == 0 else (m.between(-0.7, 0.7), m.between(-0.7, 0.7))
        tower = m.chance(0.3)
        sections = m.pick((6, 8, 20))
        wall = (
            revolved([(width / 2, 0), (width / 2 * m.between(0.7, 1), height)], sections)
            if tower
            else box(width, height, depth).moved(y=height / 2)
        )
        m.add("wall", wall.moved(x, 0, z))
        roof = m.pick(("gable", "hip", "flat", "dome", "battlement"))
        rise, over = m.between(0.2, 0.9), m.between(1.0, 1.3)
        if tower or roof == "dome":
            radius = min(width, depth) / 2 * over if not tower else width / 2 * over
            cap = (
                random_profile(m, rise, 0.3 * radius, radius, 10)
                if m.chance(0.3)
                else smooth_profile(
                    [(radius, 0), (radius * m.between(0.3, 0.9), rise * 0.5), (0.01, rise)], 8
                )
            )
            m.add("roof", revolved(cap, sections if tower else 24).moved(x, height - 0.01, z))
        elif roof == "gable":
            m.add(
                "roof",
                tapered_block((width * over, depth * over), (0.01, depth * over), rise).moved(
                    x, height - 0.01, z
                ),
            )
        elif roof == "hip":
            m.add(
                "roof",
                tapered_block(
                    (width * over, depth * over), (width * m.between(0, 0.6), 0.02), rise
                ).moved(x, height - 0.01, z),
            )
        elif roof == "battlement":
            for i in range(5):
                for side in (-1, 1):
                    m.add(
                        "roof",
                        box(width / 9, 0.15, 0.08).moved(
                            x + width * (i / 4.5 - 0.444),
                            height + 0.06,
                            z + side * (depth / 2 - 0.04),
                        ),
                    )
        else:
            m.add("roof", box(width * over, 0.08, depth * over).moved(x, height, z))
        columns, rows = m.count(1, 4), m.count(1, 4)
        if not tower:
            for i in range(columns):
                for j in range(rows):
                    place = (
                        x + width * ((i + 0.5) / columns - 0.5),
                        height * (j + 0.6) / (rows + 0.2),
                        z,
                    )
                    m.add(
                        "window",
                        box(width / columns * 0.5, height / rows * 0.5, depth + 0.04).moved(*place),
                    )
        if m.chance(0.3):
            tall = 0.5 + rise
            m.add("wall", box(0.12, tall, 0.12).moved(x + width * 0.25, height + tall / 2 - 0.1, z))
    if m.chance(0.25):
        long = m.between(0.8, 1.4)
        for x in np.linspace(-long / 2, long / 2, m.count(2, 6)):
            m.add("roof", cylinder(0.06, 0.6, sections=12).moved(float(x), 0.3, 1.0))
        m.add("roof", box(long + 0.2, 0.1, 0.9).moved(0, 0.6, 0.75))
    if m.chance(0.4):
        m.add("ground", box(2.4, 0.08, 2.4))
