"""Fusion: Views + cameras → PointCloud. Pure geometry (Lin et al. 2018, sec. 3.1, eq. 1)."""

from __future__ import annotations

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from img2pc.cameras import OrthographicCameras, transform
from img2pc.pointclouds import PointCloud, estimate_normals
from img2pc.views import Views


def points_from_views(
    views: Views, cameras: OrthographicCameras
) -> Float[Tensor, "*batch view pixel 3"]:
    """Every pixel's surface point in the object frame, whatever the mask says.

    Differentiable in the coordinates.
    """
    points = rearrange(views.coordinates, "... view h w xyz -> ... view (h w) xyz")
    return transform(cameras.to(points).object_from_camera, points)


def fuse(views: Views, cameras: OrthographicCameras) -> PointCloud:
    """One cloud of all pixels inside the masks.

    Normals are estimated among the points of the same view and turned towards the camera that
    saw them, so they point outwards however thin the part. The cloud may be empty.
    """
    points = points_from_views(views, cameras)
    confidence, mask = views.mask_probability.flatten(-2), views.mask.flatten(-2)
    forward = cameras.to(points).forward
    parts = []
    for view in range(points.shape[0]):
        seen = mask[view]
        visible = points[view, seen]
        towards = -forward[view].expand_as(visible)
        index = torch.full((len(visible),), view, device=points.device)
        parts.append((visible, estimate_normals(visible, towards), index, confidence[view, seen]))
    return PointCloud(*(torch.cat(part) for part in zip(*parts, strict=True)))
