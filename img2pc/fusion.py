"""Fusion: Views + cameras → PointCloud. Pure geometry (Lin et al. 2018, sec. 3.1, eq. 1)."""

from __future__ import annotations

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from img2pc.cameras import OrthographicCameras, transform
from img2pc.pointclouds import PointCloud
from img2pc.views import Views

HULL_PROBABILITY = 0.1
DEPTH_STEP_PIXELS = 4


def points_from_views(
    views: Views, cameras: OrthographicCameras
) -> Float[Tensor, "*batch view pixel 3"]:
    """Every pixel's surface point in the object frame, whatever the mask says.

    Differentiable in the coordinates.
    """
    points = rearrange(views.coordinates, "... view h w xyz -> ... view (h w) xyz")
    posed = cameras.to(points).object_from_camera
    return transform(posed.expand(*points.shape[:-2], 4, 4), points)


def fuse(views: Views, cameras: OrthographicCameras) -> PointCloud:
    """One cloud of the pixels inside the masks that the other views agree with.

    Normals are those of the plane through the pixels around, of the same view and surface, on the
    side of the camera that saw them, so they point outwards however thin the part. The cloud may
    be empty. Not differentiable; training renders `points_from_views`, unfiltered.
    """
    cameras = cameras.to(views.coordinates)
    step = DEPTH_STEP_PIXELS / cameras.image_size
    mask = views.mask
    pixel = mask.flatten().nonzero()[:, 0]
    depth = _padded(views.depth[None], mask)
    pixel = pixel[~_flying(_patches(depth, pixel)[0], step)]
    view = pixel // cameras.image_size**2
    points = _in_object_frame(views.coordinates.reshape(-1, 3)[pixel], view, cameras)
    agreed = (~_outside_hull(views, points, cameras)).nonzero()[:, 0]
    pixel, view, points = pixel[agreed], view[agreed], points[agreed]
    patch = _patches(_padded(views.coordinates.movedim(-1, 0), mask), pixel)
    normals = _turned(_normals(patch, step).T, view, cameras)
    return PointCloud(points, normals, view, views.mask_probability.flatten()[pixel])


_CENTRE = 4  # of the nine pixels of a patch, row by row


def _padded(
    values: Float[Tensor, "channel view height width"], mask: Bool[Tensor, "view height width"]
) -> Float[Tensor, "channel view height+2 width+2"]:
    """With a rim of a pixel, which is infinite, as is what lies outside the mask."""
    return functional.pad(torch.where(mask, values, torch.inf), (1, 1, 1, 1), value=torch.inf)


def _patches(
    padded: Float[Tensor, "channel view rows columns"], pixel: Int[Tensor, "point"]
) -> Float[Tensor, "channel 9 point"]:
    """Values in and around the given pixels, which are counted without the rim."""
    wide = padded.shape[-1]
    size = wide - 2
    view, row, column = pixel // size**2, pixel // size % size, pixel % size
    corner = (view * wide + row) * wide + column
    offset = torch.arange(3, device=pixel.device)
    index = ((offset[:, None] * wide + offset).flatten()[:, None] + corner).flatten()
    return padded.flatten(1).index_select(1, index).view(len(padded), 9, -1)


def _flying(depth: Float[Tensor, "9 point"], step: float) -> Bool[Tensor, "point"]:
    """Pixels on depth discontinuities, between two surfaces: most neighbours lie at other depths.

    By number it hardly matters (F@2% within 0.05); to the eye it does.
    """
    near = _same_surface(depth, step).sum(0)
    far = depth.isfinite().sum(0) - near
    return far > near - 1  # its own depth is among those near


def _same_surface(depth: Float[Tensor, "9 point"], step: float) -> Bool[Tensor, "9 point"]:
    return (depth - depth[_CENTRE]).abs() < step


def _normals(patch: Float[Tensor, "3 9 point"], step: float) -> Float[Tensor, "3 point"]:
    """Unit normals in the camera frame of the least-squares planes z = a x + b y + c.

    A lone pixel faces the camera.
    """
    same = _same_surface(patch[2], step)
    offset = torch.where(same, patch - patch[:, _CENTRE, None], 0)
    x, y, z = offset - (offset.sum(1) / same.sum(0))[:, None] * same
    # A hundredth of a squared pixel: lines of pixels leave one slope undetermined.
    ridge = 0.01 * (step / DEPTH_STEP_PIXELS) ** 2
    xx, yy, xy = (x * x).sum(0) + ridge, (y * y).sum(0) + ridge, (x * y).sum(0)
    xz, yz = (x * z).sum(0), (y * z).sum(0)
    slopes = torch.stack([xz * yy - yz * xy, yz * xx - xz * xy, xy * xy - xx * yy])
    # Not `normalize`, which takes ten times as long along the first axis.
    return slopes / slopes.square().sum(0).sqrt()


def _in_object_frame(
    points: Float[Tensor, "point 3"], view: Int[Tensor, "point"], cameras: OrthographicCameras
) -> Float[Tensor, "point 3"]:
    return _turned(points, view, cameras) + cameras.object_from_camera[:, :3, 3][view]


def _turned(
    vectors: Float[Tensor, "point 3"], view: Int[Tensor, "point"], cameras: OrthographicCameras
) -> Float[Tensor, "point 3"]:
    """Vectors from the frame of the camera of each to the object frame."""
    counts = torch.bincount(view, minlength=len(cameras.camera_from_object)).tolist()
    rotations = cameras.camera_from_object[:, :3, :3]  # transposed on the right: the inverse
    parts = torch.split(vectors, counts)  # they come view by view
    return torch.cat([part @ rotation for part, rotation in zip(parts, rotations, strict=True)])


def _outside_hull(
    views: Views, points: Float[Tensor, "point 3"], cameras: OrthographicCameras
) -> Bool[Tensor, "point"]:
    """Points that some view is sure to see past: around their pixel the mask is unlikely.

    Chosen so that thin parts stay: on 65 benchmark pictures F@2% goes from 55.3 to 55.4 and GT→pred
    from 2.13 to 2.14; at 0.2 to 55.5 and 2.17, and chair legs begin to go; at 0.5 to 53.9 and 3.3.
    """
    count, size = len(cameras.camera_from_object), cameras.image_size
    # Of the three pixels each way, and a rim of certainty: nothing is known beyond the image.
    around = _highest_around(views.mask_probability)
    around = functional.pad(around, (1, 1, 1, 1), value=1.0)
    projection = (cameras.pixels_from_camera @ cameras.camera_from_object)[:, :2].flatten(0, 1)
    place = torch.addmm(projection[:, 3], points, projection[:, :3].T)
    column, row = place.floor().clamp(-1, size).view(-1, count, 2).unbind(-1)
    first = torch.arange(count, device=points.device) * (size + 2) ** 2
    index = first + ((row + 1) * (size + 2) + column + 1).long()
    return (around.take(index) < HULL_PROBABILITY).any(1)


def _highest_around(
    values: Float[Tensor, "view height width"],
) -> Float[Tensor, "view height width"]:
    """The highest of three by three, of what there is at the rim; quicker than max pooling."""
    rows = values.clone()
    rows[:, 1:] = torch.maximum(rows[:, 1:], values[:, :-1])
    rows[:, :-1] = torch.maximum(rows[:, :-1], values[:, 1:])
    highest = rows.clone()
    highest[..., 1:] = torch.maximum(highest[..., 1:], rows[..., :-1])
    highest[..., :-1] = torch.maximum(highest[..., :-1], rows[..., 1:])
    return highest
