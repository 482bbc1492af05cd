"""What needs no network: the training set's mean shape, its nearest picture, its best shape.

A generator that does not beat the mean shape has learned nothing; one that does not beat retrieval
could be a lookup; the oracle is the most that any lookup in this training set could give.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from numpy import ndarray
from torch import Tensor
from torch.nn import functional

from img2pc.cameras import fixed_cameras, views_after_quarter_turns
from img2pc.data.dataset import Batch, ShardedDataset, check_sizes, views_from_stored
from img2pc.evaluation import Case, Method, Prediction
from img2pc.fusion import fuse
from img2pc.generator import GeneratorConfig
from img2pc.metrics import compare_clouds
from img2pc.views import Views

THUMBNAIL_SIZE = 16
READ_ITEMS = 32
# The oracle's sieves: points of each cloud that are compared, and how many candidates go on. On 16
# held-out shapes and 14,080 pictures its mean Chamfer distance is 6.19, against 6.16 with sieves
# four times as wide, which take 2.1 s a case instead of 0.6.
SIEVES = ((64, 512), (256, 16))
# Distances held at once while sieving: half a megabyte, which caches hold.
CACHED_DISTANCES = 1 << 17
MIRROR = np.array([-1.0, 1.0, 1.0])


class Answer(NamedTuple):
    """A training picture as the answer to a case, perhaps mirrored left to right."""

    item: int
    mirrored: bool


@dataclass(frozen=True)
class Baselines:
    """A training set, read once: 7 kB of memory a picture, the shards stay on the disk.

    Attributes:
        thumbnails: `thumbnails` of the pictures.
        surfaces: points of each picture's object, in the object frame of the picture.
    """

    data: ShardedDataset
    mean_shape: Prediction
    thumbnails: Float[Tensor, "item value"]
    surfaces: Float[Tensor, "item point 3"]

    @classmethod
    def read(
        cls,
        folders: Sequence[Path],
        config: GeneratorConfig,
        report: Callable[[float], None] = lambda share: None,
    ) -> Baselines:
        """The baselines of folders of shards, all pictures together.

        Raises:
            BadInputError: a folder holds no shards, or of other sizes than the generator's.
        """
        data = ShardedDataset(*folders)
        check_sizes(data, config)
        sums = _ViewSums.zeros(data.view_size)
        # Filled in place: a list that grows between large buffers left 3 GB of holes in the heap.
        pictures = torch.empty(len(data), 4 * THUMBNAIL_SIZE**2)
        surfaces = torch.empty(len(data), SIEVES[-1][0], 3)
        for start in range(0, len(data), READ_ITEMS):
            items = range(start, min(start + READ_ITEMS, len(data)))
            batch = data[items, False]
            sums.add(batch)
            pictures[start : items.stop] = thumbnails(batch.crops)
            for item in items:
                surfaces[item] = _spread(data.surface(item), surfaces.shape[1])
            report(items.stop / len(data))
        return cls(data, _fused(sums.mean(len(data))), pictures, surfaces)

    def methods(self) -> dict[str, Method]:
        """The three baselines under the names that the table gives them."""
        return {
            "mean shape": lambda cases: [self.mean_shape] * len(cases),
            "retrieval": lambda cases: self._predictions(self.nearest_pictures(cases)),
            "oracle": lambda cases: self._predictions(self.nearest_shapes(cases)),
        }

    def nearest_pictures(self, cases: list[Case]) -> list[Answer]:
        """The training picture that looks most like each crop, as it is or mirrored.

        The distance is L2 of the thumbnails.
        """
        crops = torch.from_numpy(np.stack([case.crop for case in cases]))
        # Mirroring the crop instead of the training pictures gives the same distances.
        wanted = thumbnails(torch.cat([crops, crops.flip(2)]))
        exact = "donot_use_mm_for_euclid_dist"
        distances = torch.cdist(wanted, self.thumbnails, compute_mode=exact)
        # Per case: picture 0, picture 0 mirrored, picture 1, …
        both = distances.view(2, len(cases), -1).permute(1, 2, 0).flatten(1)
        return [Answer(index // 2, index % 2 == 1) for index in both.argmin(1).tolist()]

    def nearest_shapes(self, cases: list[Case]) -> list[Answer]:
        """The training picture whose object has the least Chamfer distance to each truth.

        Sieved with few points, settled with all of them among the best few and the picture that
        retrieval gives, so the oracle is never worse than retrieval.
        """
        retrieved = self.nearest_pictures(cases)
        return [
            self._nearest_of([answer, *self._sieved(case.points)], case.points)
            for case, answer in zip(cases, retrieved, strict=True)
        ]

    def _nearest_of(self, answers: list[Answer], true: Float[ndarray, "point 3"]) -> Answer:
        return min(answers, key=lambda each: compare_clouds(self._points(each), true).chamfer)

    def _sieved(self, true: Float[ndarray, "point 3"]) -> list[Answer]:
        kept = torch.arange(len(self.surfaces))
        for count, survivors in SIEVES:
            wanted = torch.stack([_spread(true, count), _spread(true * MIRROR, count)])
            distances, mirrored = chamfer_to_each(self.surfaces[kept, :count], wanted).min(1)
            best = distances.argsort()[:survivors]
            kept, mirrored = kept[best], mirrored[best]
        return [Answer(int(item), bool(flip)) for item, flip in zip(kept, mirrored, strict=True)]

    def _predictions(self, answers: list[Answer]) -> list[Prediction]:
        return [
            Prediction(self._points(answer), self.data[[answer.item], answer.mirrored].views())
            for answer in answers
        ]

    def _points(self, answer: Answer) -> Float[ndarray, "point 3"]:
        points = self.data.surface(answer.item)
        return points * MIRROR if answer.mirrored else points


def thumbnails(crops: UInt8[Tensor, "batch size size 4"]) -> Float[Tensor, "batch value"]:
    """Alpha and, weighted by it, colour in [0, 1], averaged over a grid of THUMBNAIL_SIZE²."""
    values = crops.permute(0, 3, 1, 2).float() / 255
    values[:, :3] *= values[:, 3:]
    return functional.adaptive_avg_pool2d(values, THUMBNAIL_SIZE).flatten(1)


def chamfer_to_each(
    clouds: Float[Tensor, "item point 3"], wanted: Float[Tensor, "wanted true_point 3"]
) -> Float[Tensor, "item wanted"]:
    """Chamfer distance of each cloud to each wanted one, object units; to about 1e-3 in float32."""
    count, points = wanted.shape[:2]
    # |a|² + |b|² - 2ab as one product; a few clouds at a time, or memory makes it ten times slower.
    left = torch.cat([clouds, _squares(clouds), torch.ones_like(_squares(clouds))], -1)
    right = torch.cat([-2 * wanted, torch.ones_like(_squares(wanted)), _squares(wanted)], -1)
    right = right.flatten(0, 1).T.contiguous()
    held = max(1, CACHED_DISTANCES // (clouds.shape[1] * right.shape[1]))
    parts = []
    for some in torch.split(left, held):
        squared = (some @ right).clamp(min=0).view(len(some), -1, count, points)
        there, back = squared.amin(3).sqrt().mean(1), squared.amin(1).sqrt().mean(2)
        parts.append(there + back)
    return torch.cat(parts)


def _squares(points: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 1"]:
    return points.square().sum(-1, keepdim=True)


@dataclass(frozen=True)
class _ViewSums:
    """Sums over pictures, kept apart by quarter turns so that views are renumbered only once.

    Attributes:
        depth: of stored depths (dataset.RenderedObject).
        seen: how many pictures' objects have the pixel.
    """

    depth: Int64[Tensor, "turn view height width"]
    seen: Int64[Tensor, "turn view height width"]

    @classmethod
    def zeros(cls, size: int) -> _ViewSums:
        return cls(*torch.zeros(2, 4, 8, size, size, dtype=torch.int64))

    def add(self, batch: Batch) -> None:
        depth = batch.depth.to(torch.int32)
        for turn in range(4):
            some = depth[batch.quarter_turns == turn]
            self.depth[turn] += some.sum(0)
            self.seen[turn] += (some > 0).sum(0)

    def mean(self, pictures: int) -> Views:
        """Mean mask probability, and the mean surface of the objects that have the pixel."""
        orders = [list(views_after_quarter_turns(turn)) for turn in range(4)]
        depth, seen = (
            torch.stack([sums[turn, order] for turn, order in enumerate(orders)]).sum(0)
            for sums in (self.depth, self.seen)
        )
        mean_depth = (depth / seen.clamp(min=1)).round().to(torch.int32)
        return Views(views_from_stored(mean_depth).coordinates, (seen / pictures).logit())


def _fused(views: Views) -> Prediction:
    cloud = fuse(views, fixed_cameras(views.depth.shape[-1]))
    return Prediction(cloud.arrays().points, Views(*(values[None] for values in views)))


def _spread(points: Float[ndarray, "point 3"], count: int) -> Float[Tensor, "count 3"]:
    """`count` of the points, evenly over their order, whatever that is; repeated if too few."""
    chosen = np.linspace(0, len(points) - 1, count).astype(int)
    return torch.from_numpy(points[chosen]).float()
