"""Struts across the gaps in thin parts: a chair's leg that comes in three pieces stays a leg."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Float
from manifold3d import Manifold, OpType
from numpy import ndarray
from scipy.spatial import cKDTree

# Shorter pieces are crumbs; lengths are shares of the solid's diagonal.
_LEAST_PIECE = 0.02
_MOST_PIECES = 64  # of foliage there are hundreds, and their pairs go with the square
_WIDEST_GAP = 0.2
_GAP_TO_PIECE = 0.6  # a gap may be this much of the longest side of the smaller of what it parts
_RADII = (0.004, 0.03)
_SEGMENTS = 24


def bridged(solid: Manifold) -> tuple[Manifold, tuple[float, ...]]:
    """The solid with struts between pieces that a short gap parts, and the gaps' widths as shares
    of its diagonal; only gaps on the way to the largest piece are bridged.

    The nearest come first, and what is joined counts as one, so that crumbs of a leg become a leg
    that may be farther from its seat than they are. A strut is as thick as the thinner of what it
    joins is on average. Without a gap to bridge the solid comes back as it is.
    """
    low, high = np.array(solid.bounding_box()).reshape(2, 3)
    diagonal = float(np.linalg.norm(high - low))
    bodies = [_Piece.of(body) for body in solid.decompose() if body.volume() > 0]
    pieces = [piece for piece in bodies if piece.longest >= _LEAST_PIECE * diagonal]
    pieces = sorted(pieces, key=lambda piece: -piece.volume)[:_MOST_PIECES]
    if len(pieces) < 2:
        return solid, ()
    gaps = _joining_gaps(pieces, _WIDEST_GAP * diagonal)
    if not gaps:
        return solid, ()
    least, most = (share * diagonal for share in _RADII)
    struts = [_strut(gap, pieces, least, most) for gap in gaps]
    whole = Manifold.batch_boolean([solid, *struts], OpType.Add)
    return whole, tuple(gap.width / diagonal for gap in gaps)


@dataclass(frozen=True)
class _Piece:
    body: Manifold
    volume: float
    vertices: Float[ndarray, "vertex 3"]

    @classmethod
    def of(cls, body: Manifold) -> _Piece:
        vertices = np.array(body.to_mesh().vert_properties[:, :3], dtype=np.float64)
        return cls(body, body.volume(), vertices)

    @property
    def longest(self) -> float:
        return float(np.ptp(self.vertices, axis=0).max())

    @property
    def radius(self) -> float:
        """Of a rod as long and of as much volume."""
        return float(np.sqrt(self.volume / (np.pi * self.longest)))


@dataclass(frozen=True)
class _Gap:
    """Between the nearest vertices of two pieces."""

    width: float
    pieces: tuple[int, int]
    ends: tuple[Float[ndarray, "3"], Float[ndarray, "3"]]


def _joining_gaps(pieces: list[_Piece], widest: float) -> list[_Gap]:
    """The gaps to bridge, by Kruskal's algorithm: a forest, of which the first piece's tree."""
    gaps = sorted(_gaps(pieces, widest), key=lambda gap: gap.width)
    group = list(range(len(pieces)))
    boxes = [(piece.vertices.min(0), piece.vertices.max(0)) for piece in pieces]
    chosen: list[_Gap] = []

    def bridgeable(gap: _Gap) -> bool:
        one, other = (group[piece] for piece in gap.pieces)
        longest = min(float((high - low).max()) for low, high in (boxes[one], boxes[other]))
        return one != other and gap.width <= _GAP_TO_PIECE * longest

    # What was joined is longer, so that a gap that was too wide before may do.
    while (gap := next(filter(bridgeable, gaps), None)) is not None:
        one, other = (group[piece] for piece in gap.pieces)
        boxes[one] = (
            np.minimum(boxes[one][0], boxes[other][0]),
            np.maximum(boxes[one][1], boxes[other][1]),
        )
        group = [one if each == other else each for each in group]
        chosen.append(gap)
    return [gap for gap in chosen if group[gap.pieces[0]] == group[0]]


def _gaps(pieces: list[_Piece], widest: float) -> list[_Gap]:
    trees = [cKDTree(piece.vertices) for piece in pieces]
    gaps = []
    for one, other in combinations(range(len(pieces)), 2):
        few, many = sorted((one, other), key=lambda index: len(pieces[index].vertices))
        points = pieces[few].vertices
        distance, nearest = trees[many].query(points, distance_upper_bound=widest)
        start = int(np.argmin(distance))
        if np.isfinite(distance[start]):
            ends = points[start], pieces[many].vertices[nearest[start]]
            gaps.append(_Gap(float(distance[start]), (few, many), ends))
    return gaps


def _strut(gap: _Gap, pieces: list[_Piece], least: float, most: float) -> Manifold:
    """From the middle of the thinner piece's end, rather than from its rim, straight across."""
    joined = zip((pieces[index] for index in gap.pieces), gap.ends, strict=True)
    (thin, end), (thick, _) = sorted(joined, key=lambda each: each[0].radius)
    radius = float(np.clip(thin.radius, least, most))
    start = _middle_near(thin, end, radius)
    across = thick.vertices[np.linalg.norm(thick.vertices - start, axis=-1).argmin()]
    stop = _middle_near(thick, across, radius)
    into = (stop - start) / (np.linalg.norm(stop - start) + 1e-12)
    enters, leaves = _wall(thick.body, stop, into, 2 * radius)
    # A ball wider than a plate would come out on its other side.
    flat = min(radius, 0.45 * (leaves - enters))
    ball = Manifold.sphere(1.0, _SEGMENTS)
    ends = (start, radius), (stop + (enters + leaves) / 2 * into, flat)
    return Manifold.batch_hull([ball.scale((size,) * 3).translate(at) for at, size in ends])


def _wall(
    body: Manifold, place: Float[ndarray, "3"], into: Float[ndarray, "3"], most: float
) -> tuple[float, float]:
    """Where a line in this direction enters the body near a place, and leaves it: from the place,
    at most so far."""
    enters, leaves = 0.0, most
    for hit in body.ray_cast(place - most * into, place + most * into):
        along = float(np.dot(hit.position - place, into))
        if np.dot(hit.normal, into) < 0:
            enters = along
        elif along > enters:
            leaves = along
            break
    return enters, leaves


def _middle_near(piece: _Piece, place: Float[ndarray, "3"], radius: float) -> Float[ndarray, "3"]:
    for _ in range(2):  # from a rim to the middle, and evenly around that
        near = np.linalg.norm(piece.vertices - place, axis=-1) <= 2 * radius
        place = piece.vertices[near].mean(0) if near.any() else place
    return place
