"""Ray caster: exact Views of a Shape at any orthographic camera, through Embree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore import EmbreeDevice
from embreex.rtcore_scene import EmbreeScene
from jaxtyping import Bool, Float, Float32, Int
from numpy import ndarray
from torch import Tensor

from img2pc.cameras import OrthographicCameras, pixel_grid
from img2pc.views import Views, views_from_depth

_NO_HIT = 1e37  # what Embree's binding says


@dataclass(frozen=True)
class Hits:
    """First surface along each ray; `face` is -1 and `distance` infinite where there is none.

    `barycentric` weighs the face's second and third corner.
    """

    face: Int[ndarray, "ray"]
    distance: Float32[ndarray, "ray"]
    barycentric: Float32[ndarray, "2 ray"]


class RayCaster:
    """An Embree scene of one triangle mesh. Distances are in lengths of the ray's direction."""

    def __init__(self, vertices: Float[ndarray, "vertex 3"], faces: Int[ndarray, "face 3"]) -> None:
        self._device = EmbreeDevice()
        self._scene = EmbreeScene(self._device)
        self.vertices: Float32[ndarray, "vertex 3"] = np.ascontiguousarray(vertices, np.float32)
        TriangleMesh(self._scene, self.vertices, np.ascontiguousarray(faces, dtype=np.int32))

    def first_hits(
        self, origins: Float32[ndarray, "ray 3"], directions: Float32[ndarray, "ray 3"]
    ) -> Hits:
        found = self._scene.run(origins, directions, query="INTERSECT", output=1)
        face = found["primID"]
        distance = np.where(face >= 0, found["tfar"], np.float32(np.inf))
        return Hits(face, distance, np.stack([found["u"], found["v"]]))

    def distances(
        self, origins: Float32[ndarray, "ray 3"], directions: Float32[ndarray, "ray 3"]
    ) -> Float32[ndarray, "ray"]:
        """How far along each ray the first surface is, infinite where there is none."""
        distance: ndarray = self._scene.run(origins, directions, query="DISTANCE")
        distance[distance >= _NO_HIT] = np.inf
        return distance

    def occluded(
        self,
        origins: Float32[ndarray, "ray 3"],
        directions: Float32[ndarray, "ray 3"],
        reach: float = 1e30,
    ) -> Bool[ndarray, "ray"]:
        """Whether anything lies within `reach` along each ray."""
        distance = np.full(len(origins), reach, dtype=np.float32)
        blocked: ndarray = (
            self._scene.run(origins, directions, dists=distance, query="OCCLUDED") >= 0
        )
        return blocked


def cast_depth(
    caster: RayCaster, cameras: OrthographicCameras
) -> Float32[Tensor, "view height width"]:
    """Exact depth at every pixel centre, infinite on the background."""
    size = cameras.image_size
    grid = pixel_grid(size).numpy()
    object_from_cameras = cameras.object_from_camera.numpy()
    depth = np.full((len(object_from_cameras), size, size), np.inf, dtype=np.float32)
    for image, matrix in zip(depth, object_from_cameras, strict=True):
        right_and_down, forward, centre = matrix[:3, :2], matrix[:3, 2], matrix[:3, 3]
        # Rays beyond the object's bounding box in the image would hit nothing.
        pixels = size * ((caster.vertices - centre) @ right_and_down + 0.5)
        left, top = np.floor(pixels.min(0)).astype(int).clip(0, size)
        right, bottom = np.ceil(pixels.max(0)).astype(int).clip(0, size)
        box = np.s_[top:bottom, left:right]
        origins = grid[box].reshape(-1, 2) @ right_and_down.T + centre
        directions = np.broadcast_to(forward, origins.shape)
        image[box] = caster.distances(origins, directions).reshape(bottom - top, right - left)
    return torch.from_numpy(depth)


def cast_views(caster: RayCaster, cameras: OrthographicCameras) -> Views:
    """Exact depth and mask at every pixel centre; depth is 1 (the centre's) on the background."""
    depth = cast_depth(caster, cameras)
    mask = depth.isfinite()
    return views_from_depth(torch.where(mask, depth, 1.0), torch.where(mask, torch.inf, -torch.inf))
