"""The procedural families, one module per kind of thing, and how often each is drawn.

A family is a function from a random generator to the parts of one object, +Y up, its front
towards +Z, standing on y = 0. Dimensions are drawn from ranges wider than a shop would offer: what
transfers to photographs is the spread of shapes, not the tidiness of any one of them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from img2pc.data.families.airplanes import airplane
from img2pc.data.families.appliances import appliance
from img2pc.data.families.assemblies import anything
from img2pc.data.families.beds import bed
from img2pc.data.families.boats import boat
from img2pc.data.families.cars import car
from img2pc.data.families.chairs import chair
from img2pc.data.families.cups import mug
from img2pc.data.families.desks import desk
from img2pc.data.families.lamps import lamp
from img2pc.data.families.plants import plant
from img2pc.data.families.sofas import sofa
from img2pc.data.families.stools_and_benches import bench, stool
from img2pc.data.families.storage import bookcase, cabinet
from img2pc.data.families.tables import table
from img2pc.data.families.vessels import vessel
from img2pc.data.shapes import Part

Family = Callable[[np.random.Generator], list[Part]]

# Weights, not probabilities. Furniture is what people ask for; "anything" keeps the network
# looking instead of recalling.
FAMILIES: dict[str, tuple[Family, float]] = {
    "chair": (chair, 20),
    "stool": (stool, 4),
    "bench": (bench, 4),
    "table": (table, 11),
    "desk": (desk, 5),
    "sofa": (sofa, 9),
    "bed": (bed, 5),
    "cabinet": (cabinet, 8),
    "bookcase": (bookcase, 5),
    "lamp": (lamp, 6),
    "mug": (mug, 6),
    "vessel": (vessel, 9),
    "car": (car, 6),
    "airplane": (airplane, 2),
    "boat": (boat, 2),
    "appliance": (appliance, 6),
    "plant": (plant, 3),
    "anything": (anything, 12),
}
