"""Measure a generator, and what it is compared with, on pictures whose shape is known."""

from __future__ import annotations

import logging
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy import ndarray
from PIL import Image

from img2pc.checkpoints import WeightsInfo
from img2pc.cloud_files import read_cloud
from img2pc.errors import BadInputError
from img2pc.files import by_name, check_is_folder, is_file, write_errors, written_atomically
from img2pc.folders import is_our_cloud
from img2pc.foreground import find_foreground
from img2pc.images import crop_to_foreground, read_image
from img2pc.metrics import (
    F_SCORE_THRESHOLDS,
    CloudScores,
    compare_clouds,
    depth_error,
    depth_error_by_view,
    mask_iou,
    mask_iou_by_view,
)
from img2pc.reconstruction import Reconstructor
from img2pc.views import Views

BATCH_SIZE = 16
# Of meshes. With 4,096 points F@1% of the same clouds is a third lower, F@2% 4 points: what lies
# beside the surface then lies farther from the next point. Lin et al. take 100,000.
TRUE_POINTS = 32_768


@dataclass(frozen=True)
class Case:
    """A picture and the truth: points always, views where the shape itself is at hand."""

    name: str
    category: str
    crop: UInt8[ndarray, "size size 4"]
    points: Float[ndarray, "point 3"]
    views: Views | None = None


@dataclass(frozen=True)
class Prediction:
    """What a method makes of a case: a cloud in the object frame, and Views, a batch of one, where
    it has such."""

    points: Float[ndarray, "point 3"]
    views: Views | None = None


Method = Callable[[list[Case]], list[Prediction]]
GENERATOR = "generator"


@dataclass(frozen=True)
class CaseScores:
    """How a method did on one case; distances ×100, and None what needs true views without them.

    `mask_iou` and `depth_l1` are over the pixels of all views together, `…_by_view` of each alone.
    """

    method: str
    name: str
    category: str
    cloud: CloudScores
    mask_iou: float | None = None
    depth_l1: float | None = None
    mask_iou_by_view: tuple[float, ...] | None = None
    depth_l1_by_view: tuple[float, ...] | None = None


def list_cases(
    folder: Path,
    info: WeightsInfo,
    split: str | None = None,
    limit: int | None = None,
    unusable: Callable[[str, BadInputError], None] = lambda name, error: None,
) -> tuple[int, Iterator[Case]]:
    """How many cases a folder holds, and the cases; `limit` of them are spread over all.

    A folder of shards (`img2pc data`), of NAME.png + NAME.ply pairs (the points in the object
    frame, their box's diagonal about 1; what stands before the first "-" of NAME is the category),
    or of upright meshes (or a pack of them), each pictured once from a fixed seed. `unusable` is
    told the names of cases that cannot be read, and why; they are left out.

    Raises:
        BadInputError: the folder is missing or holds none of these, there is no such split, or
            shards are of other sizes than the generator's.
    """
    if not is_file(folder):
        check_is_folder(folder)
    pairs = [
        path
        for path in sorted(folder.glob("*.png"), key=by_name)
        if path.with_suffix(".ply").exists() and not path.name.startswith(".")
    ]
    is_shards = not pairs and any(folder.glob("objects-*.safetensors"))
    if split is not None:
        from img2pc.data.mesh_folder import has_splits, no_splits

        if pairs or is_shards or not has_splits(folder):
            raise no_splits(folder)
    if is_shards:
        return _shard_cases(folder, info, limit)
    if pairs:
        size = info.config.image_size
        makers: list[tuple[str, Callable[[], Case]]] = [
            (path.stem, partial(_pair_case, path, size)) for path in pairs
        ]
    else:
        makers = _mesh_cases(folder, info, split)
    chosen = [makers[index] for index in _spread(len(makers), limit)]

    def cases() -> Iterator[Case]:
        for name, make in chosen:
            try:
                case = make()
            except BadInputError as error:
                unusable(name, error)
            else:
                yield case

    return len(chosen), cases()


def saving_pairs(cases: Iterator[Case], folder: Path) -> Iterator[Case]:
    """The same cases, each also written as a pair, for other programs; `list_cases` reads them.

    NAME.png is the crop, NAME.ply the true points in the object frame; NAME begins with the
    category, and says what else it is called.

    Raises:
        BadInputError: they cannot be written.
    """
    import trimesh

    with write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    used = Counter[str]()
    for case in cases:
        name = re.sub("[-/]", "_", case.category) + "-" + case.name.replace("/", "_")
        used[name] += 1
        if used[name] > 1:
            name = f"{name}-{used[name]}"
        with written_atomically(folder / f"{name}.png") as temporary:
            # Without our mark: they are pictures to work on.
            Image.fromarray(case.crop).save(temporary, "PNG")
        points: Any = trimesh.PointCloud(case.points)  # type: ignore[no-untyped-call]
        with written_atomically(folder / f"{name}.ply") as temporary:
            temporary.write_bytes(points.export(file_type="ply"))
        yield case


def _spread(count: int, limit: int | None) -> list[int]:
    """All of that many, or `limit` of them in even steps."""
    places = np.linspace(0, count - 1, min(count, limit or count))
    return [int(place) for place in places]


def generator_method(reconstructor: Reconstructor) -> Method:
    """The generator as evaluation asks it; no points where it sees no object."""

    def predict(cases: list[Case]) -> list[Prediction]:
        views = reconstructor.views(torch.from_numpy(np.stack([case.crop for case in cases])))
        predictions = []
        for item in range(len(cases)):
            try:
                points = reconstructor.fuse(views, item).arrays().points
            except BadInputError:
                points = np.zeros((0, 3))
            one = views.at(slice(item, item + 1))
            predictions.append(Prediction(points, one))
        return predictions

    return predict


def clouds_method(
    folder: Path, unreadable: Callable[[BadInputError], None] = lambda error: None
) -> Method:
    """What another program made, in the object frame: for the case NAME the folder's NAME.ply.

    `unreadable` is told of those that are missing, damaged or in other units; they have no points.

    Raises:
        BadInputError: the folder is missing.
    """
    check_is_folder(folder)

    def read(case: Case) -> Prediction:
        try:
            path = folder / f"{case.name}.ply"
            points = read_cloud(path).points
            _check_frame(path, points, (0.1, 10), 5)  # it may be as wrong as it likes
            return Prediction(points)
        except BadInputError as error:
            unreadable(error)
            return Prediction(np.zeros((0, 3)))

    return lambda cases: [read(case) for case in cases]


def evaluate(
    methods: Mapping[str, Method],
    cases: Iterator[Case],
    sampled: int | None = None,
    report: Callable[[CaseScores], None] = lambda scores: None,
) -> list[CaseScores]:
    """Scores of each method on each case; distances over `sampled` points if given.

    Which points are sampled depends on the case's name only, so runs agree.
    """
    results = []
    for batch in iter(lambda: list(islice(cases, BATCH_SIZE)), []):
        for name, method in methods.items():
            for case, prediction in zip(batch, method(batch), strict=True):
                scores = _score(name, case, prediction, sampled)
                report(scores)
                results.append(scores)
    return results


def _score(method: str, case: Case, prediction: Prediction, sampled: int | None) -> CaseScores:
    seed = crc32(case.name.encode(errors="surrogateescape"))
    cloud = compare_clouds(prediction.points, case.points, sampled, seed)
    ours, true = prediction.views, case.views
    if ours is None or true is None:
        return CaseScores(method, case.name, case.category, cloud)
    return CaseScores(
        method,
        case.name,
        case.category,
        cloud,
        float(mask_iou(ours, true)),
        100 * float(depth_error(ours, true)),
        tuple(mask_iou_by_view(ours, true)[0].tolist()),
        tuple((100 * depth_error_by_view(ours, true)[0]).tolist()),
    )


@dataclass(frozen=True)
class Summary:
    """Means over a method's cases of a category, `values` in the order of SUMMARY_COLUMNS.

    None where unknown.
    """

    method: str
    category: str
    count: int
    values: tuple[float | None, ...]
    mask_iou_by_view: tuple[float, ...] | None
    depth_l1_by_view: tuple[float, ...] | None


SUMMARY_COLUMNS = (
    "mask IoU",
    "depth L1",
    "pred→GT",
    "GT→pred",
    "Chamfer",
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
    """For each category, then furniture and all together: a row per method, in their order."""
    categories = sorted({result.category for result in results})
    together = {
        "furniture": [result for result in results if result.category in FURNITURE],
        "all": results,
    }
    groups = [
        # A category may be called as these are.
        (
            f"{each} (category)" if each in together else each,
            [r for r in results if r.category == each],
        )
        for each in categories
    ]
    groups += together.items()
    methods = list(dict.fromkeys(result.method for result in results))
    return [
        _mean(method, category, [result for result in group if result.method == method])
        for category, group in groups
        if group
        for method in methods
    ]


def as_record(results: list[CaseScores], sampled: int | None) -> dict[str, object]:
    """Every case and the means, of types that JSON has."""
    cases = [
        {**asdict(result), "cloud": {**asdict(result.cloud), "chamfer": result.cloud.chamfer}}
        for result in results
    ]
    means = [asdict(summary) for summary in summarise(results)]
    return {"sampled": sampled, "cases": cases, "columns": SUMMARY_COLUMNS, "means": means}


def _mean(method: str, category: str, results: list[CaseScores]) -> Summary:
    rows = [
        (
            result.mask_iou,
            result.depth_l1,
            result.cloud.predicted_to_true,
            result.cloud.true_to_predicted,
            result.cloud.chamfer,
            *result.cloud.f_scores,
        )
        for result in results
    ]
    columns: list[float | None] = []
    for values in zip(*rows, strict=True):
        known = [value for value in values if value is not None]
        columns.append(float(np.mean(known)) if known else None)
    return Summary(
        method,
        category,
        len(results),
        tuple(columns),
        _mean_by_view([result.mask_iou_by_view for result in results]),
        _mean_by_view([result.depth_l1_by_view for result in results]),
    )


def _mean_by_view(rows: list[tuple[float, ...] | None]) -> tuple[float, ...] | None:
    known = [row for row in rows if row is not None]
    return tuple(np.mean(known, 0).tolist()) if known else None


def _pair_case(path: Path, size: int) -> Case:
    found = find_foreground(read_image(path))
    if found.method in ("rembg", "grabcut"):
        logging.getLogger(__name__).warning(
            "%s: its object was found by %s; with alpha nothing is guessed", path, found.method
        )
    crop = crop_to_foreground(found.rgba, size)
    truth = path.with_suffix(".ply")
    if is_our_cloud(truth):
        raise BadInputError(f"{truth} is what img2pc made of the picture, not the truth")
    category = path.stem.split("-")[0] if "-" in path.stem else "other"
    points = read_cloud(truth).points
    # Of what is pictured from a corner the box is another: of the benchmark 0.85 to 1.35, 0.12 off.
    _check_frame(truth, points, (0.7, 1.5), 0.25)
    return Case(path.stem, category, crop, points)


def _check_frame(
    path: Path, points: Float[ndarray, "point 3"], diagonals: tuple[float, float], most_off: float
) -> None:
    box = np.stack([points.min(0), points.max(0)])
    diagonal, off = np.linalg.norm(box[1] - box[0]), np.linalg.norm(box.mean(0))
    if not diagonals[0] < diagonal < diagonals[1] or off > most_off:
        raise BadInputError(
            f"{path} is not in the frame of clouds: its bounding box, of diagonal {diagonal:.3g}, "
            f"is {off:.3g} off the origin, where 1 and 0 are expected"
        )


def _shard_cases(folder: Path, info: WeightsInfo, limit: int | None) -> tuple[int, Iterator[Case]]:
    from img2pc.data.dataset import ShardedDataset, check_sizes

    dataset = ShardedDataset(folder)
    check_sizes(dataset, info.config)
    chosen = _spread(len(dataset), limit)
    name = Path(os.path.abspath(folder)).name  # noqa: PTH100 (links keep their name)

    def cases() -> Iterator[Case]:
        for item in chosen:
            batch = dataset[[item], False]
            yield Case(
                f"{name}/{item}",
                dataset.category(item),
                batch.crops[0].numpy(),
                dataset.surface(item),
                batch.views(),
            )

    return len(chosen), cases()


def _mesh_cases(
    folder: Path, info: WeightsInfo, split: str | None
) -> list[tuple[str, Callable[[], Case]]]:
    from img2pc.data.dataset import (
        FIRST_HELD_OUT_SEED,
        DataSettings,
        batch_of_objects,
        render_object,
        turned_points,
    )
    from img2pc.data.mesh_folder import list_meshes, mesh_name

    names = [mesh_name(folder, mesh) for mesh in list_meshes(folder, split)]
    settings = DataSettings(
        seed=FIRST_HELD_OUT_SEED,
        pictures_per_object=1,
        picture_size=info.config.image_size,
        view_size=info.config.view_size,
        mesh_folder=str(folder),
        mesh_split=split,
        in_order=True,
        surface_points=TRUE_POINTS,
    )

    def case(index: int) -> Case:
        rendered = render_object(settings, index)
        turns = int(rendered.quarter_turns[0])
        return Case(
            names[index],
            rendered.category,
            rendered.pictures[0].numpy(),
            turned_points(rendered.surface.double().numpy(), turns),
            batch_of_objects([rendered]).views(),
        )

    return [(name, partial(case, index)) for index, name in enumerate(names)]
