"""Shapes: solids with materials, upright in the object frame, from a family or from a mesh file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from img2pc.data.solids import Solid

CREASE_DEGREES = 50.0
_MOST_FACES = 256

Material = Literal[
    "wood", "metal", "plastic", "fabric", "leather", "ceramic", "glass", "paint", "rubber", "paper"
]


class Part(NamedTuple):
    """One solid of an object. Parts that share a slot are made of one piece of material."""

    solid: Solid
    slot: str
    material: Material


@dataclass(frozen=True)
class Shape:
    """A triangle soup in the object frame: +Y up, bounding box centred, its diagonal 1, until it is
    turned about +Y.

    Attributes:
        face_slot: which material slot each face belongs to.
        materials: what each slot is made of.
        face_colour: sRGB in [0, 1] of each face where the source has colours of its own.
    """

    category: str
    vertices: Float[ndarray, "vertex 3"]
    faces: Int[ndarray, "face 3"]
    face_slot: Int[ndarray, "face"]
    materials: tuple[Material, ...]
    face_colour: Float[ndarray, "face 3"] | None = None


def assemble(category: str, parts: Sequence[Part]) -> Shape:
    """The parts as one Shape, moved and scaled into the object frame."""
    slots = {part.slot: part.material for part in parts}
    names = list(slots)
    offsets = np.cumsum([0, *(len(part.solid.vertices) for part in parts)])
    faces = [part.solid.faces + offset for part, offset in zip(parts, offsets, strict=False)]
    face_slot = [
        np.full(len(part.solid.faces), names.index(part.slot), dtype=np.int64) for part in parts
    ]
    return Shape(
        category,
        normalised(np.concatenate([part.solid.vertices for part in parts])),
        np.concatenate(faces),
        np.concatenate(face_slot),
        tuple(slots.values()),
    )


def normalised(vertices: Float[ndarray, "vertex 3"]) -> Float[ndarray, "vertex 3"]:
    """Vertices with their bounding box centred and its diagonal 1."""
    low, high = vertices.min(0), vertices.max(0)
    centred: ndarray = (vertices - (low + high) / 2) / np.linalg.norm(high - low)
    return centred


def corner_normals(
    vertices: Float[ndarray, "vertex 3"],
    faces: Int[ndarray, "face 3"],
    wanted: Int[ndarray, "wanted"] | None = None,
) -> Float[ndarray, "wanted 3 3"]:
    """Unit normals at the corners of the faces wanted, or of all, smooth across edges, sharp across
    creases: the mean over those faces around a vertex whose own normals differ by less than
    CREASE_DEGREES from the face's."""
    if wanted is None:
        wanted = np.arange(len(faces))
    touched = np.zeros(len(vertices), bool)
    touched[faces[wanted]] = True
    near = touched[faces].any(1)
    wanted, faces = (np.cumsum(near) - 1)[wanted], faces[near]
    corners = vertices[faces]
    scaled = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    flat = scaled / (np.linalg.norm(scaled, axis=-1, keepdims=True) + 1e-20)
    # Weighed by the corner's angle, so that it does not matter how a flat side is cut up.
    ahead, behind = np.roll(corners, -1, 1) - corners, np.roll(corners, 1, 1) - corners
    lengths = np.linalg.norm(ahead, axis=-1) * np.linalg.norm(behind, axis=-1) + 1e-20
    angle = np.arccos(((ahead * behind).sum(-1) / lengths).clip(-1, 1)).ravel()

    # All pairs of corners at one vertex, of which each has as many as faces meet there. Where very
    # many do, at the hub of a CAD file's fan, the face's own normal does.
    vertex = faces.ravel()
    order = np.argsort(vertex, kind="stable")
    count = np.bincount(vertex, minlength=len(vertices))
    begin = np.cumsum(count) - count
    count[count > _MOST_FACES] = 0
    at = faces[wanted].ravel()
    begin, partners = begin[at], count[at]
    one = np.repeat(np.arange(len(at)), partners)
    place = np.arange(len(one)) - np.repeat(np.cumsum(partners) - partners, partners)
    other = order[begin[one] + place]
    own = np.repeat(flat[wanted], 3, 0)
    alike = (own[one] * flat[other // 3]).sum(-1) > np.cos(np.radians(CREASE_DEGREES))
    one, other = one[alike], other[alike]
    weighted = flat[other // 3] * angle[other, None]
    smooth = np.stack([np.bincount(one, each, minlength=len(at)) for each in weighted.T], -1)
    smooth[partners == 0] = own[partners == 0]
    normals = smooth / (np.linalg.norm(smooth, axis=-1, keepdims=True) + 1e-20)
    return np.asarray(normals.reshape(-1, 3, 3))
