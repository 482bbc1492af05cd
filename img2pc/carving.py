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
from scipy.ndimage import binary_fill_holes, gaussian_filter, label
from scipy.spatial import cKDTree

from img2pc.cleaning import neighbour_distance, view_directions
from img2pc.cloud_files import PointArrays
from img2pc.printability import sample_surface

log = logging.getLogger(__name__)

_DIRECTIONS = 64
_VOTES = 8  # of the directions
_MARGIN = 2.0  # spacings around each point that stay
_PIXEL = 1.5  # spacings
_MOST_PIXELS = 512  # a side
_HIDES = 0.75  # spacings of its own: how wide a point is
_MOST_AROUND = 8  # pixels to each side of a point
_FACING = 0.3  # cosine; of what is seen at a grazing angle the normal may be off
_SAMPLES = 20_000  # of the surface
_MOST_FREE = 1 / 3  # of the surface; a cloud that denies more of it says too little
_VOXELS = 300_000
_VOXEL_MARGIN = 1.25  # voxels around each point that stay: thin parts lie between their centres
_SMOOTHING = 0.7  # voxels

Free = Callable[[Float[ndarray, "place 3"], float], Bool[ndarray, "place"]]


@dataclass(frozen=True)
class _DepthMap:
    """Where there is nothing, seen from one direction: above these heights, by pixels.

    Attributes:
        across: from places to pixels.
        height: -inf in the background; inf where the back of a point is seen, and in gaps that
            points surround.
    """

    direction: Float[ndarray, "3"]
    across: Float[ndarray, "3 2"]
    low: Int[ndarray, "2"]
    height: Float[ndarray, "row column"]

    def is_above(self, places: Float[ndarray, "place 3"], margin: float) -> Bool[ndarray, "place"]:
        pixel = np.floor(places @ self.across).astype(np.int64) - self.low
        inside = ((pixel >= 0) & (pixel < self.height.shape)).all(1)
        above = np.ones(len(places), bool)
        height = self.height[tuple(pixel[inside].T)]
        above[inside] = places[inside] @ self.direction > height + margin
        return above


def carved(solid: Manifold, cloud: PointArrays, cell: float) -> Manifold:
    """The solid without what lies before the cloud's points, or beside all of them, when looked at
    from many sides; the same solid where nothing does, or more than a third of its surface.

    Poisson surfaces swell into balloons where normals contradict each other. What is close to a
    point stays, and what is seen only through the backs of points, or through gaps among them:
    a scan may be open. Of one in lines much farther apart than their points, grooves between the
    lines may go.

    Source: Curless and Levoy 1996, sec. 4 (space carving), with the cloud's own depth maps, and
    their background as empty.

    Args:
        cloud: in the solid's frame, with outward unit normals.
        cell: how closely the surface can follow the points, in its units.
    """
    points, normals = cloud.points, cloud.normals
    assert normals is not None
    spacings = neighbour_distance(points)[0]
    tree, margin = cKDTree(points), max(_MARGIN * float(np.median(spacings)), 1.5 * cell)
    maps: list[_DepthMap] = []

    def free(places: Float[ndarray, "place 3"], near: float) -> Bool[ndarray, "place"]:
        far = np.flatnonzero(tree.query(places, distance_upper_bound=near)[0] == np.inf)
        if len(far) and not maps:
            maps.extend(_depth_maps(points, normals, spacings))
        votes = np.zeros(len(places), np.int64)
        for each in maps:
            votes[far] += each.is_above(places[far], margin)
            far = far[votes[far] < _VOTES]
        enough: ndarray = votes == _VOTES
        return enough

    mesh = solid.to_mesh()
    vertices, faces = np.array(mesh.vert_properties[:, :3], float), np.array(mesh.tri_verts)
    share = float(free(sample_surface(vertices, faces, _SAMPLES)[0], margin).mean())
    if not 0 < share < _MOST_FREE:
        return solid
    space = _free_space(solid, free, margin)
    return solid if space.is_empty() else solid - space


def _depth_maps(
    points: Float[ndarray, "point 3"],
    normals: Float[ndarray, "point 3"],
    spacings: Float[ndarray, "point"],
) -> list[_DepthMap]:
    coarsest = float(np.ptp(points, axis=0).max()) / _MOST_PIXELS
    side = max(_PIXEL * float(np.median(spacings)), coarsest)
    index, offset = _covered(_HIDES * spacings / side)
    maps = []
    for direction, across in view_directions(_DIRECTIONS):
        across = across / side
        pixel = np.floor(points @ across).astype(np.int64)[index] + offset
        low = pixel.min(0)
        height, facing = points @ direction, normals @ direction > _FACING
        upwards = np.argsort(height[index], kind="stable")  # the highest of a pixel comes last
        drawn = np.full(pixel.max(0) - low + 1, -np.inf, np.float32)
        drawn[tuple((pixel - low)[upwards].T)] = np.where(facing, height, np.inf)[index[upwards]]
        there = drawn > -np.inf
        drawn[binary_fill_holes(there) & ~there] = np.inf
        maps.append(_DepthMap(direction, across, low, drawn))
    return maps


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


def _free_space(solid: Manifold, free: Free, margin: float) -> Manifold:
    """What is free in the solid's box and around it, and can be reached from outside."""
    from skimage.measure import marching_cubes

    box = np.array(solid.bounding_box()).reshape(2, 3)
    cell = max(margin / 2, float(np.prod(box[1] - box[0] + 4 * margin) / _VOXELS) ** (1 / 3))
    near = max(margin, _VOXEL_MARGIN * cell)
    low, high = box[0] - near - 2 * cell, box[1] + near + 2 * cell
    shape = np.ceil((high - low) / cell).astype(int) + 1
    places = low + cell * np.indices(shape).reshape(3, -1).T
    # Around the grid all is free, and outside, whatever the cloud has near its corners.
    around, _ = label(np.pad(free(places, near).reshape(shape), 1, constant_values=True))
    outside = (around == around[0, 0, 0])[1:-1, 1:-1, 1:-1]
    field = gaussian_filter(outside.astype(float), _SMOOTHING)
    marched: Any = marching_cubes
    vertices, faces, _, _ = marched(np.pad(field, 1), 0.5, gradient_direction="ascent")
    vertices = low + cell * (vertices - 1)
    space = Manifold(Mesh(vertices.astype(np.float32), faces.astype(np.uint32)))
    if space.status() == Error.NoError:
        return space
    log.info("free space is not closed (%s)", space.status().name)
    return Manifold()
