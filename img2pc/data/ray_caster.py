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

from img2pc.cameras import OrthographicCameras, pixel_grid
from img2pc.views import Views, views_from_depth


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


def cast_views(caster: RayCaster, cameras: OrthographicCameras) -> Views:
    """Exact depth and mask at every pixel centre; depth is 1 (the centre's) on the background."""
    size = cameras.image_size
    object_from_camera = cameras.object_from_camera.numpy()
    count = len(object_from_camera)
    grid = pixel_grid(size).reshape(-1, 2).numpy()
    on_image_plane = np.concatenate([grid, np.zeros_like(grid[:, :1])], -1)
    origins = (
        np.einsum("vij,pj->vpi", object_from_camera[:, :3, :3], on_image_plane)
        + object_from_camera[:, None, :3, 3]
    )
    directions = np.broadcast_to(object_from_camera[:, None, :3, 2], origins.shape)
    hits = caster.first_hits(
        np.ascontiguousarray(origins.reshape(-1, 3), dtype=np.float32),
        np.ascontiguousarray(directions.reshape(-1, 3), dtype=np.float32),
    )
    depth = torch.from_numpy(hits.distance.reshape(count, size, size))
    mask = depth.isfinite()
    return views_from_depth(torch.where(mask, depth, 1.0), torch.where(mask, torch.inf, -torch.inf))
