"""Where a solid has swollen beyond its cloud, it is cut back to what the cloud lets be there."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from manifold3d import Error, Manifold, Mesh
from numpy import ndarray
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from img2pc.cleaning import looks_around, neighbour_distance
from img2pc.cloud_files import PointArrays

log = logging.getLogger(__name__)

_DIRECTIONS = 64
_VOTES = 8  # of the directions
_MARGIN = 2.0  # spacings around each point that stay
_PIXEL, _DENSE_SHARE = 1.5, 0.95  # spacings of all points but the sparsest
_HIDES = 0.75  # spacings of its own: how wide a point is
_MOST_AROUND = 8  # pixels to each side of a point
_FACING = 0.3  # cosine; of what is seen at a grazing angle the normal may be off
_VOXELS = 200_000
_SMOOTHING = 0.7  # voxels


@dataclass(frozen=True)
class _Look:
    """The cloud from one direction: heights above which nothing is, by pixels.

    Attributes:
        across: from places to pixels.
        floor: -inf where there is no point, inf where the back of one is seen.
    """

    direction: Float[ndarray, "3"]
    across: Float[ndarray, "3 2"]
    low: Int[ndarray, "2"]
    floor: Float[ndarray, "row column"]

    def is_above(self, places: Float[ndarray, "place 3"], margin: float) -> Bool[ndarray, "place"]:
        pixel = np.floor(places @ self.across).astype(np.int64) - self.low
        inside = ((pixel >= 0) & (pixel < self.floor.shape)).all(1)
        above = np.ones(len(places), bool)
        floor = self.floor[tuple(pixel[inside].T)]
        above[inside] = places[inside] @ self.direction > floor + margin
        return above


def carved(solid: Manifold, cloud: PointArrays) -> Manifold:
    """The solid without what lies before the cloud's points, or beside all of them, when looked at
    from many sides; the same solid where nothing does.

    Poisson surfaces swell into balloons where normals contradict each other. What is close to a
    point stays, and what only the backs of points are seen through, such as a scan open below.

    Source: Curless and Levoy 1996, sec. 4 (space carving), with the cloud's own depth maps.
    """
    points, normals = cloud.points, cloud.normals
    assert normals is not None
    spacings = neighbour_distance(points)[0]
    step = float(np.median(spacings))
    tree, margin = cKDTree(points), _MARGIN * step
    looks: list[_Look] = []

    def free(places: Float[ndarray, "place 3"]) -> Bool[ndarray, "place"]:
        far = np.flatnonzero(tree.query(places, distance_upper_bound=margin)[0] == np.inf)
        if len(far) and not looks:
            looks.extend(_looks(points, normals, spacings))
        votes = np.zeros(len(places), np.int64)
        for look in looks:
            votes[far] += look.is_above(places[far], margin)
            far = far[votes[far] < _VOTES]
        enough: ndarray = votes == _VOTES
        return enough

    corners = np.array(solid.to_mesh().vert_properties[:, :3], dtype=np.float64)
    if not free(corners).any():
        return solid
    rest = solid - _free_space(solid, free, step)
    log.info("swollen: %.2f %% of the volume cut off", 100 * (1 - rest.volume() / solid.volume()))
    return rest


def _looks(
    points: Float[ndarray, "point 3"],
    normals: Float[ndarray, "point 3"],
    spacings: Float[ndarray, "point"],
) -> list[_Look]:
    side = _PIXEL * float(np.quantile(spacings, _DENSE_SHARE))
    index, offset = _covered(_HIDES * spacings / side)
    looks = []
    for direction, across in looks_around(_DIRECTIONS):
        across = across / side
        pixel = np.floor(points @ across).astype(np.int64)[index] + offset
        low = pixel.min(0)
        height, facing = points @ direction, normals @ direction > _FACING
        upwards = np.argsort(height[index], kind="stable")  # the highest of a pixel comes last
        floor = np.full(pixel.max(0) - low + 1, -np.inf)
        floor[tuple((pixel - low)[upwards].T)] = np.where(facing, height, np.inf)[index[upwards]]
        looks.append(_Look(direction, across, low, floor))
    return looks


def _covered(
    widths: Float[ndarray, "point"],
) -> tuple[Int[ndarray, "covered"], Int[ndarray, "covered 2"]]:
    """Which points hide which pixels around their own, so that sparse parts are not seen through.

    Args:
        widths: in pixels.
    """
    around = np.ceil((widths - 1) / 2).clip(0, _MOST_AROUND).astype(np.int64)
    indices, offsets = [], []
    for reach in np.unique(around):
        square = np.indices((2 * reach + 1,) * 2).reshape(2, -1).T - reach
        those = np.flatnonzero(around == reach)
        indices.append(those.repeat(len(square)))
        offsets.append(np.tile(square, (len(those), 1)))
    return np.concatenate(indices), np.concatenate(offsets)


def _free_space(
    solid: Manifold,
    free: Callable[[Float[ndarray, "place 3"]], Bool[ndarray, "place"]],
    step: float,
) -> Manifold:
    """What is free in the solid's box and a little around it."""
    from skimage.measure import marching_cubes

    box = np.array(solid.bounding_box()).reshape(2, 3)
    low, high = box[0] - 2 * step, box[1] + 2 * step
    cell = max(step, float(np.prod(high - low) / _VOXELS) ** (1 / 3))
    shape = np.ceil((high - low) / cell).astype(int) + 1
    places = low + cell * np.indices(shape).reshape(3, -1).T
    field = gaussian_filter(free(places).reshape(shape).astype(float), _SMOOTHING)
    field = np.pad(field, 1)  # closed at the box's sides
    if field.max() <= 0.5:
        return Manifold()
    marched: Any = marching_cubes
    vertices, faces, _, _ = marched(field, 0.5, gradient_direction="ascent")
    vertices = low + cell * (vertices - 1)
    space = Manifold(Mesh(vertices.astype(np.float32), faces.astype(np.uint32)))
    return space if space.status() == Error.NoError else Manifold()
