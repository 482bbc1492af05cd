"""Fusion: Views + cameras → PointCloud. Pure geometry (Lin et al. 2018, sec. 3.1, eq. 1)."""

from __future__ import annotations

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from img2pc.cameras import OrthographicCameras, transform
from img2pc.pointclouds import PointCloud, estimate_normals
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

    Normals are estimated among the points of the same view and turned towards the camera that
    saw them, so they point outwards however thin the part. The cloud may be empty. Not
    differentiable; training renders `points_from_views`, unfiltered.
    """
    points = points_from_views(views, cameras)
    confidence = views.mask_probability.flatten(-2)
    kept = (views.mask & ~_flying(views)).flatten(-2) & ~_outside_hull(views, points, cameras)
    forward = cameras.to(points).forward
    parts = []
    for view in range(points.shape[0]):
        seen = kept[view]
        visible = points[view, seen]
        towards = -forward[view].expand_as(visible)
        index = torch.full((len(visible),), view, device=points.device)
        parts.append((visible, estimate_normals(visible, towards), index, confidence[view, seen]))
    return PointCloud(*(torch.cat(part) for part in zip(*parts, strict=True)))


def _outside_hull(
    views: Views, points: Float[Tensor, "view pixel 3"], cameras: OrthographicCameras
) -> Bool[Tensor, "view pixel"]:
    """Points that some view is sure to see past: around their pixel the mask is unlikely.

    Chosen so that thin parts stay: on 65 benchmark pictures F@2% goes from 55.3 to 55.4 and GT→pred
    from 2.13 to 2.14; at 0.2 to 55.5 and 2.17, and chair legs begin to go; at 0.5 to 53.9 and 3.3.
    """
    count, size = len(points), cameras.image_size
    around = functional.max_pool2d(views.mask_probability[:, None], 3, 1, 1)[:, 0]
    every = points.reshape(1, -1, 3).expand(count, -1, -1)
    column, row, _ = cameras.to(points).project(every).floor().long().unbind(-1)
    inside = (column >= 0) & (column < size) & (row >= 0) & (row < size)
    view = torch.arange(count, device=points.device)[:, None]
    seen = around[view, row.clamp(0, size - 1), column.clamp(0, size - 1)]
    return ((seen < HULL_PROBABILITY) & inside).any(0).view(count, -1)


def _flying(views: Views) -> Bool[Tensor, "view height width"]:
    """Pixels on depth discontinuities, between two surfaces: most neighbours lie at other depths.

    By number it hardly matters (F@2% within 0.05); to the eye it does.
    """
    size = views.depth.shape[-1]
    depth = torch.where(views.mask, views.depth, torch.inf)
    padded = functional.pad(depth, (1, 1, 1, 1), value=torch.inf)
    near, far = torch.zeros_like(views.mask, dtype=torch.long), torch.zeros_like(views.mask).long()
    for down in range(3):
        for across in range(3):
            beside = padded[:, down : down + size, across : across + size]
            close = (beside - views.depth).abs() < DEPTH_STEP_PIXELS / size
            near += close
            far += ~close & beside.isfinite()
    return views.mask & (far > near - 1)  # its own depth is among those near
