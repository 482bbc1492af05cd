"""Measure a generator on pictures whose shape is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy import ndarray

from img2pc.checkpoints import WeightsInfo
from img2pc.cloud_files import read_cloud
from img2pc.errors import BadInputError
from img2pc.images import crop_to_foreground, read_image, with_foreground_alpha
from img2pc.losses import depth_error, mask_iou
from img2pc.metrics import F_SCORE_THRESHOLDS, CloudScores, compare_clouds
from img2pc.reconstruction import Reconstructor
from img2pc.views import Views

BATCH_SIZE = 16


@dataclass(frozen=True)
class Case:
    """A picture and the truth: points always, views where the shape itself is at hand."""

    name: str
    category: str
    crop: UInt8[ndarray, "size size 4"]
    points: Float[ndarray, "point 3"]
    views: Views | None = None


@dataclass(frozen=True)
class CaseScores:
    """How one case went; `mask_iou` and `depth_l1` (×100) are None without true views."""

    name: str
    category: str
    cloud: CloudScores
    mask_iou: float | None
    depth_l1: float | None


def list_cases(
    folder: Path, info: WeightsInfo, split: str | None = None, limit: int | None = None
) -> tuple[int, Iterator[Case]]:
    """How many cases a folder holds, and the cases.

    A folder of shards (`img2pc data`), of NAME.png + NAME.ply pairs (the points in the object
    frame; what stands before the first "-" of NAME is the category), or of upright meshes, each
    pictured once from a fixed seed.

    Raises:
        BadInputError: the folder is missing or holds none of these.
    """
    if not folder.is_dir():
        raise BadInputError(f"{folder} is not a folder")
    pairs = sorted(path for path in folder.glob("*.png") if path.with_suffix(".ply").exists())
    if pairs:
        chosen = pairs[:limit]
        return len(chosen), (_pair_case(path, info.config.image_size) for path in chosen)
    if any(folder.glob("objects-*.safetensors")):
        return _shard_cases(folder, limit)
    return _mesh_cases(folder, info, split, limit)


def evaluate(
    reconstructor: Reconstructor,
    cases: Iterator[Case],
    report: Callable[[CaseScores], None] = lambda scores: None,
) -> list[CaseScores]:
    """Scores of each case."""
    results = []
    for batch in _batched(cases, BATCH_SIZE):
        crops = torch.from_numpy(np.stack([case.crop for case in batch]))
        views = reconstructor.views(crops)
        for item, case in enumerate(batch):
            scores = _score(reconstructor, case, views, item)
            report(scores)
            results.append(scores)
    return results


def _score(reconstructor: Reconstructor, case: Case, views: Views, item: int) -> CaseScores:
    try:
        predicted = reconstructor.fuse(views, item).arrays().points
    except BadInputError:
        predicted = np.zeros((0, 3))
    iou = depth = None
    if case.views is not None:
        ours = Views(views.coordinates[item : item + 1], views.mask_logits[item : item + 1])
        iou = float(mask_iou(ours, case.views))
        depth = 100 * float(depth_error(ours, case.views))
    return CaseScores(case.name, case.category, compare_clouds(predicted, case.points), iou, depth)


@dataclass(frozen=True)
class Summary:
    """Means over the cases of a category, in the order of SUMMARY_COLUMNS; None where unknown."""

    category: str
    count: int
    values: tuple[float | None, ...]


SUMMARY_COLUMNS = (
    "mask IoU",
    "depth L1",
    "pred→GT",
    "GT→pred",
    *(f"F@{threshold:.0%}" for threshold in F_SCORE_THRESHOLDS),
)
FURNITURE = frozenset(
    {
        "chair",
        "stool",
        "bench",
        "table",
        "desk",
        "sofa",
        "bed",
        "cabinet",
        "bookcase",
        "lamp",
    }
)


def summarise(results: list[CaseScores]) -> list[Summary]:
    """A row per category, then furniture and all together."""
    categories = sorted({result.category for result in results})
    groups = [(each, [r for r in results if r.category == each]) for each in categories]
    groups.append(("furniture", [r for r in results if r.category in FURNITURE]))
    groups.append(("all", results))
    return [_mean(name, group) for name, group in groups if group]


def _mean(category: str, results: list[CaseScores]) -> Summary:
    rows = [
        (
            result.mask_iou,
            result.depth_l1,
            result.cloud.predicted_to_true,
            result.cloud.true_to_predicted,
            *result.cloud.f_scores,
        )
        for result in results
    ]
    columns: list[float | None] = []
    for values in zip(*rows, strict=True):
        known = [value for value in values if value is not None]
        columns.append(float(np.mean(known)) if known else None)
    return Summary(category, len(results), tuple(columns))


def _pair_case(path: Path, size: int) -> Case:
    crop = crop_to_foreground(with_foreground_alpha(read_image(path)), size)
    category = path.stem.split("-")[0] if "-" in path.stem else "all"
    return Case(path.stem, category, crop, read_cloud(path.with_suffix(".ply")).points)


def _shard_cases(folder: Path, limit: int | None) -> tuple[int, Iterator[Case]]:
    from img2pc.data.dataset import ShardedDataset

    dataset = ShardedDataset(folder)
    count = len(dataset) if limit is None else min(limit, len(dataset))

    def cases() -> Iterator[Case]:
        # Spread over the data set, so that a limit still sees all of it.
        for item in np.linspace(0, len(dataset) - 1, count).astype(int):
            batch = dataset[[int(item)], False]
            yield Case(
                f"{folder.name}/{item}",
                dataset.category(int(item)),
                batch.crops[0].numpy(),
                dataset.surface(int(item)),
                batch.views(),
            )

    return count, cases()


def _mesh_cases(
    folder: Path, info: WeightsInfo, split: str | None, limit: int | None
) -> tuple[int, Iterator[Case]]:
    from img2pc.data.dataset import (
        FIRST_HELD_OUT_SEED,
        DataSettings,
        batch_of_objects,
        object_count,
        render_object,
        turned_points,
    )
    from img2pc.data.mesh_folder import list_meshes

    meshes = list_meshes(folder, split)
    settings = DataSettings(
        seed=FIRST_HELD_OUT_SEED,
        pictures_per_object=1,
        picture_size=info.config.image_size,
        view_size=info.config.view_size,
        mesh_folder=str(folder),
        mesh_split=split,
        in_order=True,
    )
    count = object_count(settings, limit)

    def cases() -> Iterator[Case]:
        for index in range(count):
            rendered = render_object(settings, index)
            turns = int(rendered.quarter_turns[0])
            yield Case(
                meshes[index].path.stem,
                rendered.category,
                rendered.pictures[0].numpy(),
                turned_points(rendered.surface.double().numpy(), turns),
                batch_of_objects([rendered]).views(),
            )

    return count, cases()


def _batched(cases: Iterator[Case], size: int) -> Iterator[list[Case]]:
    batch: list[Case] = []
    for case in cases:
        batch.append(case)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
