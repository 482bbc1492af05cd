"""Cameras and the frames everything else is expressed in.

Object frame: right-handed, +Y up (gravity), the photographer's azimuth at +Z (the camera that took
the picture lies in the YZ half-plane with z > 0). The object's bounding box is centred and its
diagonal 1, along the object's own axes: turned to the photographer it may be up to 1.41.
Camera frame: x right, y down, z forward; z is the depth. Cameras stand at distance 1 from the
object's centre, so depth lies in [0.5, 1.5].
Pixel frame: u right, v down, from the image's top-left corner; pixel (i, j) has its centre at
(j + 0.5, i + 0.5). The image plane covers [-0.5, 0.5]², the object never leaves it.

Transform names chain: `pixels_from_camera @ camera_from_object`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
from einops import einsum
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

CAMERA_DISTANCE = 1.0

# Source: Lin et al. 2018, sec. 3.1: eight viewpoints at the corners of a cube, in the order of the
# authors' code, in which view 7 - i looks at the object from the side opposite to view i.
FIXED_VIEWPOINTS = (
    (+1, +1, +1),
    (+1, -1, -1),
    (-1, +1, -1),
    (-1, -1, +1),
    (+1, +1, -1),
    (+1, -1, +1),
    (-1, +1, +1),
    (-1, -1, -1),
)


@dataclass(frozen=True)
class OrthographicCameras:
    """Cameras that share one square image size, in pixels."""

    camera_from_object: Float[Tensor, "*batch 4 4"]
    image_size: int

    @property
    def object_from_camera(self) -> Float[Tensor, "*batch 4 4"]:
        rotation = self.camera_from_object[..., :3, :3].mT
        inverse = torch.zeros_like(self.camera_from_object)
        inverse[..., :3, :3] = rotation
        inverse[..., :3, 3:] = -rotation @ self.camera_from_object[..., :3, 3:]
        inverse[..., 3, 3] = 1
        return inverse

    @property
    def pixels_from_camera(self) -> Float[Tensor, "4 4"]:
        """Affine map of camera-frame (x, y, z, 1) to (u, v, z, 1)."""
        half, size = self.image_size / 2, float(self.image_size)
        return self.camera_from_object.new_tensor(
            [[size, 0, 0, half], [0, size, 0, half], [0, 0, 1, 0], [0, 0, 0, 1]]
        )

    @property
    def forward(self) -> Float[Tensor, "*batch 3"]:
        """Viewing directions in the object frame, unit length."""
        return self.camera_from_object[..., 2, :3]

    def to(self, like: Tensor) -> OrthographicCameras:
        """The same cameras with the device and dtype of a tensor."""
        return replace(self, camera_from_object=self.camera_from_object.to(like))

    def project(self, points: Float[Tensor, "*batch point 3"]) -> Float[Tensor, "*batch point 3"]:
        """Object-frame points to (u, v, depth) in pixels, pixels, object units. Differentiable."""
        return transform(self.pixels_from_camera @ self.camera_from_object, points)


@dataclass(frozen=True)
class PerspectiveCamera:
    """A pinhole camera and the square window of its image plane (tangents) that is kept.

    Attributes:
        centre: where it stands, in the object frame.
        object_from_camera: rotation alone; its columns are the camera's right, down and forward.
        window_corner: the upper left one, right and down of the axis, as tangents.
        window_side: a tangent, too.
    """

    centre: Float[ndarray, "3"]
    object_from_camera: Float[ndarray, "3 3"]
    window_corner: Float[ndarray, "2"]
    window_side: float

    def project(self, points: Float[ndarray, "point 3"]) -> Float[ndarray, "point 3"]:
        """Object-frame points to (u, v, depth): u and v are 0 and 1 at the window's sides."""
        in_camera = (points - self.centre) @ self.object_from_camera
        window = in_camera[:, :2] / in_camera[:, 2:] - self.window_corner
        return np.concatenate([window / self.window_side, in_camera[:, 2:]], -1)


def transform(
    b_from_a: Float[Tensor, "*batch 4 4"], points: Float[Tensor, "*batch point 3"]
) -> Float[Tensor, "*batch point 3"]:
    """Apply affine transforms to points in frame a. Differentiable."""
    rotated = einsum(b_from_a[..., :3, :3], points, "... i j, ... point j -> ... point i")
    return rotated + b_from_a[..., None, :3, 3]


def pixel_grid(
    image_size: int, device: torch.device | None = None
) -> Float[Tensor, "height width 2"]:
    """Camera-frame (x, y) of every pixel centre, in object units."""
    centres = (torch.arange(image_size, device=device) + 0.5) / image_size - 0.5
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    return torch.stack([x, y], -1)


def cameras_towards_centre(
    viewpoints: Float[Tensor, "*batch 3"],
    image_size: int,
    roll: Float[Tensor, "*batch"] | None = None,
) -> OrthographicCameras:
    """Cameras at distance 1 in the given object-frame directions, looking at the object's centre.

    The image's up is the object's up as far as the direction allows (towards -Z straight above
    and below). `roll` turns the camera about its viewing direction, clockwise, in radians.
    """
    forward = -torch.nn.functional.normalize(viewpoints, dim=-1)
    up = torch.zeros_like(forward)
    vertical = forward[..., 1].abs() > 0.999
    up[..., 1] = (~vertical).to(up)
    up[..., 2] = -vertical.to(up)
    down = torch.nn.functional.normalize(
        (up * forward).sum(-1, keepdim=True) * forward - up, dim=-1
    )
    right = torch.linalg.cross(down, forward)
    if roll is not None:
        cos, sin = roll.cos()[..., None], roll.sin()[..., None]
        right, down = cos * right + sin * down, cos * down - sin * right
    camera_from_object = torch.zeros(*viewpoints.shape[:-1], 4, 4).to(viewpoints)
    camera_from_object[..., :3, :3] = torch.stack([right, down, forward], -2)
    camera_from_object[..., 2, 3] = CAMERA_DISTANCE
    camera_from_object[..., 3, 3] = 1
    return OrthographicCameras(camera_from_object, image_size)


def random_cameras(count: int, image_size: int, generator: torch.Generator) -> OrthographicCameras:
    """Cameras uniform on the sphere, rolled uniformly: the novel viewpoints of stage 2.

    Source: Lin et al. 2018, sec. 4.1.
    """
    directions = torch.randn(count, 3, generator=generator)
    roll = 2 * torch.pi * torch.rand(count, generator=generator)
    return cameras_towards_centre(directions, image_size, roll)


@cache
def fixed_cameras(image_size: int) -> OrthographicCameras:
    """The eight predetermined cameras of the structure generator, upright.

    Source: Lin et al. 2018, sec. 3.1.
    """
    return cameras_towards_centre(torch.tensor(FIXED_VIEWPOINTS, dtype=torch.float32), image_size)


def views_after_quarter_turns(turns: int) -> tuple[int, ...]:
    """Which view of an object shows what view i shows once it is turned about +Y.

    The fixed viewpoints are a cube's corners, so turning the object by 90° (from +Z to +X)
    only renumbers its views.
    """
    turned: tuple[tuple[int, int, int], ...] = FIXED_VIEWPOINTS
    for _ in range(turns % 4):
        # What stood at (x, z) before a turn from +Z to +X now stands at (z, -x).
        turned = tuple((-z, y, x) for x, y, z in turned)
    return tuple(FIXED_VIEWPOINTS.index(viewpoint) for viewpoint in turned)


def views_after_mirroring() -> tuple[int, ...]:
    """Which view shows, flipped, what view i shows of the object mirrored left to right."""
    return tuple(FIXED_VIEWPOINTS.index((-x, y, z)) for x, y, z in FIXED_VIEWPOINTS)
