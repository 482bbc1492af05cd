"""Point clouds and their PLY files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
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
        colours: sRGB.
    """

    points: Float[Tensor, "point 3"]
    normals: Float[Tensor, "point 3"]
    view_index: Int[Tensor, "point"]
    confidence: Float[Tensor, "point"]
    colours: UInt8[Tensor, "point 3"] | None = None

    def __len__(self) -> int:
        return len(self.points)

    def arrays(self) -> PointArrays:
        """Points and normals in double precision, and colours, for metrics, drawing and meshing."""
        return PointArrays(
            self.points.detach().cpu().double().numpy(),
            self.normals.detach().cpu().double().numpy(),
            None if self.colours is None else self.colours.cpu().numpy(),
        )

    def subsample(self, count: int, generator: torch.Generator) -> PointCloud:
        """`count` points drawn uniformly without replacement; the whole cloud if it has fewer."""
        keep = torch.randperm(len(self), generator=generator)[:count].sort().values
        return PointCloud(
            self.points[keep],
            self.normals[keep],
            self.view_index[keep],
            self.confidence[keep],
            None if self.colours is None else self.colours[keep],
        )


def write_ply(path: Path | str, cloud: PointCloud) -> None:
    """Write `encode_ply`; replaces the file in one step.

    Raises:
        BadInputError: the file cannot be written.
    """
    with written_atomically(Path(path)) as temporary:
        temporary.write_bytes(encode_ply(cloud))


def encode_ply(cloud: PointCloud) -> bytes:
    """Binary PLY with normals, confidence, colours if there are any, and view."""
    floats = ("x", "y", "z", "nx", "ny", "nz", "confidence")
    colours = () if cloud.colours is None else ("red", "green", "blue")
    octets = (*colours, "view")
    rows = np.empty(
        len(cloud), [(name, "<f4") for name in floats] + [(name, "u1") for name in octets]
    )
    columns = [*cloud.points.T, *cloud.normals.T, cloud.confidence]
    columns += [*(() if cloud.colours is None else cloud.colours.T), cloud.view_index]
    for name, column in zip((*floats, *octets), columns, strict=True):
        rows[name] = column.detach().cpu().numpy()
    header = "\n".join(
        [
            "ply",
            "format binary_little_endian 1.0",
            "comment img2pc: +Y up, bounding-box diagonal about 1",
            f"element vertex {len(cloud)}",
            *(f"property float {name}" for name in floats),
            *(f"property uchar {name}" for name in octets),
            "end_header\n",
        ]
    )
    return b"".join([header.encode("ascii"), rows.data])
