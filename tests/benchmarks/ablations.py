"""What one change to the losses, the pictures or the shapes does, in the same number of steps.

    python tests/benchmarks/ablations.py DATA OUT --weights WEIGHTS --evaluate HELD_OUT

Every variant trains from the same weights on shards of `img2pc data`, in the Chamfer stage, with
each seed. OUT keeps weights and scores, so that what is done is not done again; a Markdown table of
all that is there is printed.

Variants: `as it is`; `edges` (mask loss five-fold within two pixels of the true outline); `overlap`
(half the soft IoU loss added); `slopes` (L1 of the depth's differences between neighbours added);
`augmented` (a fifth of the pictures with each fault of `img2pc.training.augmentation`, and three
fifths in another light); `camera` (the tokens also estimate elevation, field of view and the box);
`no meshes`; `no anything`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from jaxtyping import UInt8
from numpy import ndarray
from torch import Tensor, nn
from torch.nn import functional

from img2pc.checkpoints import load_weights
from img2pc.data.dataset import Batch, DataSettings, ShardedDataset, _draw_shape
from img2pc.data.mesh_folder import has_splits
from img2pc.data.pictures import PhotographSettings
from img2pc.evaluation import SUMMARY_COLUMNS, evaluate, generator_method, list_cases, summarise
from img2pc.files import written_atomically
from img2pc.losses import ViewLosses, view_losses
from img2pc.reconstruction import Reconstructor
from img2pc.training import loop
from img2pc.training.augmentation import augmented
from img2pc.training.loop import TrainingSettings, train
from img2pc.views import Views

EDGE_PIXELS, EDGE_FACTOR = 2, 5.0
OVERLAP_WEIGHT, SLOPE_WEIGHT, CAMERA_WEIGHT = 0.5, 10.0, 0.1
JUMP = 0.03  # between neighbours: another surface
SPOILED_SHARE = 0.35  # of the pictures of --spoiled have each of the four faults; all another light


# --- Losses ---------------------------------------------------------------------------------------


def with_edges(predicted: Views, true: Views, coordinate_weight: float) -> ViewLosses:
    losses = view_losses(predicted, true, coordinate_weight)
    seen = (true.mask_logits > 0).float()
    pooled = partial(functional.max_pool2d, kernel_size=2 * EDGE_PIXELS + 1, stride=1)
    near = pooled(seen, padding=EDGE_PIXELS) + pooled(-seen, padding=EDGE_PIXELS)
    weight = 1 + (EDGE_FACTOR - 1) * near
    error = functional.binary_cross_entropy_with_logits(
        predicted.mask_logits, seen, reduction="none"
    )
    mask = (error * weight).sum() / weight.sum()
    return ViewLosses(losses.total - error.mean() + mask, mask.detach(), losses.coordinates)


def with_overlap(predicted: Views, true: Views, coordinate_weight: float) -> ViewLosses:
    losses = view_losses(predicted, true, coordinate_weight)
    seen, probability = (true.mask_logits > 0).float(), predicted.mask_probability
    both = (seen * probability).sum((1, 2, 3))
    either = (seen + probability).sum((1, 2, 3)) - both
    total = losses.total + OVERLAP_WEIGHT * (1 - both / either).mean()
    return ViewLosses(total, losses.mask, losses.coordinates)


def with_slopes(predicted: Views, true: Views, coordinate_weight: float) -> ViewLosses:
    losses = view_losses(predicted, true, coordinate_weight)
    total = losses.total
    for axis in (-1, -2):
        size = true.depth.shape[axis] - 1
        seen = true.mask_logits > 0
        theirs, ours = true.depth.diff(dim=axis), predicted.depth.diff(dim=axis)
        smooth = seen.narrow(axis, 0, size) & seen.narrow(axis, 1, size) & (theirs.abs() < JUMP)
        error = ((ours - theirs).abs() * smooth).sum() / smooth.sum().clamp(min=1)
        total = total + SLOPE_WEIGHT * error
    return ViewLosses(total, losses.mask, losses.coordinates)


VARIANTS = (
    "as it is",
    "edges",
    "overlap",
    "slopes",
    "augmented",
    "camera",
    "no meshes",
    "no anything",
)
LOSSES = {"edges": with_edges, "overlap": with_overlap, "slopes": with_slopes}


# --- Shapes ---------------------------------------------------------------------------------------


class Chosen(ShardedDataset):
    """A data set without the objects that a variant leaves out; with labels for `camera`.

    Attributes:
        labels: of each batch, in the order of batches, one row a picture: elevation and field of
            view in units of their ranges, NaN where unknown, and the sides of the box.
    """

    def __init__(self, folder: Path, variant: str) -> None:
        super().__init__(folder)
        self.settings, each = settings_of(folder), self.pictures_per_object
        self.labels: deque[Tensor] | None = deque() if variant == "camera" else None
        self.known = self.unknown = 0  # first pictures' cameras
        # What each object was drawn from: sets may have gaps.
        self.numbers = [
            int(path.stem.removeprefix("objects-")) + row
            for path, shard in zip(sorted(folder.glob("objects-*")), self._shards, strict=True)
            for row in range(len(shard["pictures"]))
        ]
        self.chosen = [
            item
            for item in range(super().__len__())
            if not (variant == "no meshes" and self.is_mesh(self.numbers[item // each]))
            and not (variant == "no anything" and self.category(item) == "anything")
        ]

    def is_mesh(self, number: int) -> bool:
        """Drawn again; the rare object that could not be pictured at once was drawn anew."""
        rng = np.random.default_rng([self.settings.seed, number, 0])
        return bool(self.settings.mesh_folder) and bool(rng.random() < self.settings.mesh_share)

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, items_and_mirrored: tuple[Sequence[int], bool]) -> Batch:
        items, mirrored = items_and_mirrored
        items = [self.chosen[item] for item in items]
        if self.labels is not None:
            rows = [[*self.camera(item), *np.ptp(self.surface(item), axis=0)] for item in items]
            self.labels.append(torch.tensor(np.array(rows), dtype=torch.float32))
        return super().__getitem__((items, mirrored))

    def camera(self, item: int) -> tuple[float, float]:
        """Drawn again; known of an object's first picture, whose camera comes after the shape."""
        number, picture = divmod(item, self.pictures_per_object)
        shard, row, _ = self._row(item)
        rng = np.random.default_rng([self.settings.seed, self.numbers[number], 0])
        if picture == 0:
            _draw_shape(self.settings, self.numbers[number], rng)
            turns = rng.permutation(4)[: self.pictures_per_object]
            # They differ where the first shape drawn could not be pictured.
            if np.array_equal(turns, shard["quarter_turns"][row].numpy()):
                drawn_from = PhotographSettings()
                ranges = drawn_from.elevation_degrees, drawn_from.field_of_view_degrees
                elevation, field = (rng.uniform(*each) / np.ptp(each) for each in ranges)
                self.known += 1
                return elevation, field
            self.unknown += 1
            # Of shards of an older version some would pass by chance, with labels of other shapes.
            if self.unknown > 10 and self.unknown > self.known / 4:
                raise SystemExit("the cameras of DATA are unknown: another version rendered it")
        return np.nan, np.nan


def settings_of(folder: Path) -> DataSettings:
    settings = json.loads((folder / "settings.json").read_text())
    return DataSettings(**{**settings, "families": tuple(settings["families"])})


# --- Runs -----------------------------------------------------------------------------------------


def run(variant: str, folder: Path, out: Path, settings: TrainingSettings, start: Path) -> None:
    data, config = Chosen(folder, variant), load_weights(start)[0].config
    with ExitStack() as changes:

        def change(name: str, to: Any) -> None:
            changes.enter_context(patch.object(loop, name, to))

        if variant in LOSSES:
            change("view_losses", LOSSES[variant])
        if variant == "camera":
            estimate_cameras(change, data, config.token_width, settings.seed)
        train(out, data, config, settings, start)


def estimate_cameras(
    change: Callable[[str, Any], None], data: Chosen, width: int, seed: int
) -> None:
    """A linear layer on the mean token, whose errors join the loss; nothing of it is kept."""
    torch.manual_seed(seed)
    head = nn.Linear(width, 5)
    tokens: list[Tensor] = []
    optimisers = loop._optimisers

    def with_head(generator: Any, settings: TrainingSettings) -> list[torch.optim.Optimizer]:
        generator.token_norm.register_forward_hook(lambda *call: tokens.append(call[2].mean(1)))
        muon, adamw = optimisers(generator, settings)
        adamw.add_param_group({"params": list(head.parameters()), "peak": 1e-3, "lr": 1e-3})
        return [muon, adamw]

    def with_camera(predicted: Views, true: Views, coordinate_weight: float) -> ViewLosses:
        losses = view_losses(predicted, true, coordinate_weight)
        assert data.labels is not None
        labels = data.labels.popleft()
        known = labels.isfinite()
        error = (head(tokens.pop().float()) - labels.nan_to_num()).abs()[known].mean()
        return ViewLosses(losses.total + CAMERA_WEIGHT * error, losses.mask, error.detach())

    change("_optimisers", with_head)
    change("view_losses", with_camera)


def measured(weights: Path, folder: Path, limit: int | None, spoil: bool) -> list[float | None]:
    """Means over all categories, as SUMMARY_COLUMNS has them."""
    reconstructor = Reconstructor.load(weights)
    split = "test" if has_splits(folder) else None
    _, cases = list_cases(folder, reconstructor.info, split, limit)
    if spoil:
        lots = torch.Generator().manual_seed(0)
        cases = (replace(case, crop=_augmented(case.crop, lots)) for case in cases)
    results = evaluate({"generator": generator_method(reconstructor)}, cases)
    return list(summarise(results)[-1].values)


def _augmented(
    crop: UInt8[ndarray, "size size 4"], lots: torch.Generator
) -> UInt8[ndarray, "size size 4"]:
    done: ndarray = augmented(torch.from_numpy(crop.copy())[None], lots, SPOILED_SHARE)[0].numpy()
    return done


def table(scores: dict[str, dict[str, list[float | None]]]) -> str:
    """Rows of runs; of each set mask IoU, where it has one, and pred→GT / GT→pred / F@2%."""
    sets = list(dict.fromkeys(name for each in scores.values() for name in each))
    lines = [f"| | {' | '.join(sets)} |", "|---" * (len(sets) + 1) + "|"]
    columns = [SUMMARY_COLUMNS.index(name) for name in ("pred→GT", "GT→pred", "F@2%")]
    for run_name, each in sorted(scores.items()):
        cells = []
        for name in sets:
            row = each.get(name)
            values = [f"{row[column]:.2f}" for column in columns] if row else []
            overlap = "" if row is None or row[0] is None else f"{row[0]:.3f}: "
            cells.append(overlap + " / ".join(values))
        lines.append(f"| {run_name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--weights", type=Path, required=True, help="to start from")
    parser.add_argument("--evaluate", type=Path, action="append", default=[])
    parser.add_argument(
        "--spoiled", type=Path, action="append", default=[], help="of spoiled pictures"
    )
    parser.add_argument("--limit", type=int, help="cases of each folder")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--variants", nargs="*", choices=VARIANTS, default=VARIANTS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    sets = {str(folder): (folder, False) for folder in arguments.evaluate}
    sets |= {f"{folder}, spoiled": (folder, True) for folder in arguments.spoiled}
    started_with = {
        name: str(getattr(arguments, name)) for name in ("data", "weights", "steps", "limit")
    }
    for seed in arguments.seeds:
        for variant in arguments.variants:
            folder = arguments.out / f"{variant.replace(' ', '-')}-{seed}"
            settings = TrainingSettings(
                steps=arguments.steps,
                stage="chamfer",
                seed=seed,
                learning_rate=2e-4,
                muon_learning_rate=0.005,
                augmentation_share=0.2 if variant == "augmented" else 0.0,
            )
            weights, scores = folder / "weights.safetensors", folder / "scores.json"
            folder.mkdir(parents=True, exist_ok=True)
            told = folder / "started_with.json"
            if told.exists() and json.loads(told.read_text()) != started_with:
                sys.exit(f"{folder} was started with {told.read_text()}; choose another OUT")
            told.write_text(json.dumps(started_with))
            known = json.loads(scores.read_text()) if scores.exists() else {}
            if not known:
                run(variant, arguments.data, folder, settings, arguments.weights)
                seen = load_weights(weights)[1].samples - load_weights(arguments.weights)[1].samples
                pictures = len(Chosen(arguments.data, variant))
                if seen < min(settings.batch_size, pictures) * arguments.steps:
                    sys.exit(f"{folder} was stopped before its end; run this again to go on")
            for name, (measured_on, spoil) in sets.items():
                if name not in known:
                    known[name] = measured(weights, measured_on, arguments.limit, spoil)
            with written_atomically(scores) as temporary:
                temporary.write_text(json.dumps(known))
            print(variant, seed, known, flush=True)
    kept = sorted(arguments.out.glob("*/scores.json"))
    print(table({path.parent.name: json.loads(path.read_text()) for path in kept}))


if __name__ == "__main__":
    main()
