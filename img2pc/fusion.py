"""Fusion: Views + cameras → PointCloud. Pure geometry (Lin et al. 2018, sec. 3.1, eq. 1).

In NumPy: on arrays of this size most of its steps take a half of PyTorch's time, or much less.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor

from img2pc.cameras import OrthographicCameras, transform
from img2pc.pointclouds import PointCloud
from img2pc.views import Views, likeliest_pixels

HULL_PROBABILITY = 0.1
DEPTH_STEP_PIXELS = 4


def points_from_views(
    views: Views, cameras: OrthographicCameras
) -> Float[Tensor, "*batch view pixel 3"]:
    """Every pixel's surface point in the object frame, whatever the mask says.

    Differentiable in the coordinates.
    """
    points = rearrange(views.coordinates, "... view h w xyz -> ... view (h w) xyz")
    object_from_camera = cameras.to(points).object_from_camera
    return transform(object_from_camera.expand(*points.shape[:-2], 4, 4), points)


def fuse(views: Views, cameras: OrthographicCameras) -> PointCloud:
    """One cloud of the pixels inside the masks that the other views agree with, on the CPU.

    Normals are square to the surface through the pixels around, of the same view and surface, on
    the side of the camera that saw them, so they point outwards however thin the part. The cloud
    may be empty. Not differentiable; training renders `points_from_views`, unfiltered.
    """
    coordinates = views.coordinates.detach().cpu().numpy()
    probability = views.mask_probability.detach().cpu().contiguous().numpy()
    cameras = cameras.to(torch.from_numpy(coordinates))
    object_from_camera = cameras.object_from_camera.numpy()
    mask = likeliest_pixels(probability)
    pixel = np.flatnonzero(mask)
    seen = np.ones((len(pixel), 4), coordinates.dtype)  # rows of four are the quickest to gather
    for axis in range(3):
        seen[:, axis] = coordinates[..., axis].reshape(-1).take(pixel)
    depth = np.where(mask, coordinates[..., 2], coordinates.dtype.type(np.inf))
    edges = _edges(depth, DEPTH_STEP_PIXELS / cameras.image_size)
    points = _turned(seen, pixel // mask[0].size, object_from_camera)
    kept = np.flatnonzero(_inside_hull(probability, points, cameras) & ~_flying(edges).take(pixel))
    normals = _normals(seen, pixel, edges, kept)
    points, pixel = points.take(kept, 0), pixel.take(kept)
    view = pixel // mask[0].size
    return PointCloud(
        torch.from_numpy(points[:, :3]),
        torch.from_numpy(_turned(normals, view, object_from_camera[:, :3, :3])),
        torch.from_numpy(view),
        torch.from_numpy(probability.take(pixel)),
    )


class _Edges(NamedTuple):
    """Whether each pixel and the one `offset` further on are on the same surface, or on two.

    Neither, where one lies outside the mask or they are not side by side.
    """

    offset: int
    same: Bool[ndarray, "pixel"]
    other: Bool[ndarray, "pixel"]


def _edges(depth: Float[ndarray, "view height width"], step: float) -> list[_Edges]:
    """To the right, below, and both ways across; depth is infinite outside the mask."""
    flat, edges = depth.reshape(-1), []
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        offset = down * depth.shape[-1] + right
        count = flat.size - offset
        gap = np.empty_like(depth)
        with np.errstate(invalid="ignore"):  # infinity less infinity
            np.subtract(flat[offset:], flat[:count], gap.reshape(-1)[:count])
        np.abs(gap, out=gap)
        if right:
            gap[..., min(-right, 0)] = np.inf
        if down:
            gap[:, -1] = np.inf
        flat_gap = gap.reshape(-1)
        edges.append(_Edges(offset, flat_gap < step, (flat_gap >= step) & (flat_gap < np.inf)))
    return edges


def _flying(edges: list[_Edges]) -> Bool[ndarray, "pixel"]:
    """Pixels on depth discontinuities, between two surfaces: most neighbours lie at other depths.

    By number it hardly matters (F@2% within 0.05); to the eye it does.
    """
    votes = np.zeros(edges[0].same.size, np.int8)
    for offset, same, other in edges:
        vote = (same.view(np.int8) - other.view(np.int8))[: len(votes) - offset]
        votes[: len(votes) - offset] += vote
        votes[offset:] += vote
    return votes < 0


def _normals(
    seen: Float[ndarray, "point 4"],
    pixel: Int[ndarray, "point"],
    edges: list[_Edges],
    kept: Int[ndarray, "kept"],
) -> Float[ndarray, "kept 3"]:
    """Unit normals in the camera frame, square to the sums of differences along rows and columns.

    With all eight neighbours on the same surface that is the normal of the least-squares plane. The
    pixel itself stands in for those that are not. A lone pixel faces the camera.
    """
    place = np.zeros(edges[0].same.size, np.intp)
    place[pixel] = np.arange(len(pixel))
    ahead = (place.take(pixel + offset * same.take(pixel)) for offset, same, _ in edges)
    behind = (place.take(pixel - offset * same.take(pixel - offset)) for offset, same, _ in edges)
    across, down, falling, rising = (
        seen.take(to, 0) - seen.take(start, 0) for to, start in zip(ahead, behind, strict=True)
    )
    down += falling
    down += rising
    across += falling
    across -= rising
    # Lines of pixels leave one direction undetermined.
    across[:, 0] += 1e-4
    down[:, 1] += 1e-4
    a, b, c, _ = down.take(kept, 0).T
    d, e, f, _ = across.take(kept, 0).T
    normals = np.stack([b * f - c * e, c * d - a * f, a * e - b * d])
    normals /= np.sqrt(np.einsum("ij, ij -> j", normals, normals))
    return normals.T


def _turned(
    vectors: Float[ndarray, "point row"],
    view: Int[ndarray, "point"],
    object_from_camera: Float[ndarray, "view row row"],
) -> Float[ndarray, "point row"]:
    """Vectors from the frame of the camera of each to the object frame."""
    turned = np.empty_like(vectors)
    ends = np.searchsorted(view, np.arange(len(object_from_camera) + 1))  # they come view by view
    for matrix, first, end in zip(object_from_camera, ends, ends[1:], strict=False):
        np.matmul(vectors[first:end], matrix.T, out=turned[first:end])
    return turned


def _inside_hull(
    probability: Float[ndarray, "view height width"],
    points: Float[ndarray, "point 4"],
    cameras: OrthographicCameras,
) -> Bool[ndarray, "point"]:
    """Points that no view is sure to see past: around their pixel the mask is not unlikely.

    Chosen so that thin parts stay: on 65 benchmark pictures F@2% goes from 55.3 to 55.4 and GT→pred
    from 2.13 to 2.14; at 0.2 to 55.5 and 2.17, and chair legs begin to go; at 0.5 to 53.9 and 3.3.
    """
    wide = cameras.image_size + 2
    likely = np.zeros((len(probability), wide, wide), bool)
    likely[:, 1:-1, 1:-1] = probability >= HULL_PROBABILITY
    rows = likely[:, :-2] | likely[:, 1:-1] | likely[:, 2:]
    # Nothing is known beyond the image: a rim of certainty.
    around = np.ones_like(likely)
    around[:, 1:-1, 1:-1] = rows[..., :-2] | rows[..., 1:-1] | rows[..., 2:]
    projection = (cameras.pixels_from_camera @ cameras.camera_from_object)[:, :2].numpy()
    projection[..., 3] += 1  # the rim
    around, projection = _opposites_merged(around, projection)
    places = torch.from_numpy(projection.reshape(-1, 4)) @ torch.from_numpy(points).T
    inside = np.ones(len(points), bool)
    for known, place in zip(around, places.numpy().reshape(len(around), 2, -1), strict=True):
        column, row = place.clip(0, wide - 1).astype(np.int32)
        row *= wide
        row += column
        inside &= known.reshape(-1).take(row)
    return inside


def _opposites_merged(
    around: Bool[ndarray, "view wide wide"], projection: Float[ndarray, "view 2 4"]
) -> tuple[Bool[ndarray, "silhouette wide wide"], Float[ndarray, "silhouette 2 4"]]:
    """One silhouette of two cameras that look at each other: they have the same lines of sight."""
    mirrored = projection * [[-1], [1]]
    mirrored[:, 0, 3] += around.shape[-1]
    opposite = np.abs(projection[:, None] - mirrored).max((2, 3)) < 1e-3  # pixels
    single = np.ones(len(around), bool)
    for one, other in np.argwhere(np.triu(opposite)):
        if single[one] and single[other]:
            around[one] &= around[other, :, ::-1]
            single[other] = False
    return around[single], projection[single]
