"""Point clouds and their PLY files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.spatial import cKDTree
from torch import Tensor

from img2pc.cloud_files import PointArrays
from img2pc.files import written_atomically


@dataclass(frozen=True)
class PointCloud:
    """Points on an object's surface, in the object frame.

    Attributes:
        normals: outward, unit length.
        view_index: which of the fixed viewpoints saw the point.
        confidence: probability in [0, 1] that the point belongs to the object (mask probability).
    """

    points: Float[Tensor, "point 3"]
    normals: Float[Tensor, "point 3"]
    view_index: Int[Tensor, "point"]
    confidence: Float[Tensor, "point"]

    def __len__(self) -> int:
        return len(self.points)

    def arrays(self) -> PointArrays:
        """Points and normals in double precision, for metrics, drawing and meshing."""
        return PointArrays(
            self.points.detach().cpu().double().numpy(),
            self.normals.detach().cpu().double().numpy(),
        )

    def subsample(self, count: int, generator: torch.Generator) -> PointCloud:
        """`count` points drawn uniformly without replacement; the whole cloud if it has fewer."""
        keep = torch.randperm(len(self), generator=generator)[:count].sort().values
        return PointCloud(
            self.points[keep], self.normals[keep], self.view_index[keep], self.confidence[keep]
        )


def estimate_normals(
    points: Float[Tensor, "point 3"],
    towards: Float[Tensor, "point 3"],
    neighbours: int = 10,
) -> Float[Tensor, "point 3"]:
    """Unit normals of the best plane through each point's neighbours, on the side of `towards`.

    Where the neighbours do not span a plane (fewer than three points) the normal is `towards`.
    Not differentiable.
    """
    if len(points) < 3:
        return torch.nn.functional.normalize(towards, dim=-1)
    array = points.detach().cpu().double().numpy()
    _, index = cKDTree(array).query(array, k=min(neighbours, len(array)))
    patch = array[index] - array[index].mean(1, keepdims=True)
    _, axes = np.linalg.eigh(np.einsum("pki,pkj->pij", patch, patch))
    normals = torch.from_numpy(axes[:, :, 0]).to(points)
    away = (normals * towards).sum(-1, keepdim=True) < 0
    return torch.where(away, -normals, normals)


def write_ply(path: Path, cloud: PointCloud) -> None:
    """Binary PLY with normals, confidence and view; replaces the file in one step.

    Raises:
        BadInputError: the file cannot be written.
    """
    columns = [
        *((name, "<f4", "float") for name in ("x", "y", "z", "nx", "ny", "nz", "confidence")),
        ("view", "u1", "uchar"),
    ]
    table = np.empty(len(cloud), dtype=[(name, dtype) for name, dtype, _ in columns])
    values = torch.cat([cloud.points, cloud.normals, cloud.confidence[:, None]], -1)
    for (name, _, _), column in zip(columns, values.detach().cpu().float().numpy().T, strict=False):
        table[name] = column
    table["view"] = cloud.view_index.cpu().numpy()
    header = "\n".join(
        [
            "ply",
            "format binary_little_endian 1.0",
            "comment img2pc: +Y up, bounding-box diagonal 1",
            f"element vertex {len(cloud)}",
            *(f"property {kind} {name}" for name, _, kind in columns),
            "end_header\n",
        ]
    )
    with written_atomically(path) as temporary:
        temporary.write_bytes(header.encode("ascii") + table.tobytes())
