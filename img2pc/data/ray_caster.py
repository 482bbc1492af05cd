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
        TriangleMesh(
            self._scene,
            np.ascontiguousarray(vertices, dtype=np.float32),
            np.ascontiguousarray(faces, dtype=np.int32),
        )

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
    object_from_camera = cameras.object_from_camera.numpy()
    right_and_down, forward = object_from_camera[:, :3, :2], object_from_camera[:, :3, 2]
    grid = pixel_grid(size).reshape(-1, 2).numpy()
    origins = grid @ right_and_down.transpose(0, 2, 1) + object_from_camera[:, None, :3, 3]
    directions = np.broadcast_to(forward[:, None], origins.shape)
    depth = caster.distances(origins.reshape(-1, 3), directions.reshape(-1, 3))
    return torch.from_numpy(depth.reshape(-1, size, size))


def cast_views(caster: RayCaster, cameras: OrthographicCameras) -> Views:
    """Exact depth and mask at every pixel centre; depth is 1 (the centre's) on the background."""
    depth = cast_depth(caster, cameras)
    mask = depth.isfinite()
    return views_from_depth(torch.where(mask, depth, 1.0), torch.where(mask, torch.inf, -torch.inf))
