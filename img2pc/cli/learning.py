"""`data`, `pack`, `train` and `evaluate`: what weights are made with, and measured."""

from __future__ import annotations

import json
import os
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from img2pc.choices import Device, Precision, Renderer, Size, Stage
from img2pc.cli.console import ProgressBar, print_tables
from img2pc.cli.options import DeviceOption, WeightsOption, app, chosen_device
from img2pc.errors import BadInputError, BatchError
from img2pc.files import exists

if TYPE_CHECKING:
    from img2pc.checkpoints import WeightsInfo
    from img2pc.evaluation import Method
    from img2pc.training.loop import Progress

BUNDLED = "bundled"


@app.command()
def evaluate(
    data: Annotated[
        Path, typer.Argument(help="Shards, upright meshes, or NAME.png + NAME.ply pairs.")
    ],
    weights: WeightsOption = None,
    split: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Only this split of a mesh folder with a manifest.csv. Default: all."),
    ] = None,
    limit: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, help="Only this many cases, spread over all. Default: all."),
    ] = None,
    baselines: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Option(
            help="Shards, normally the training set: also measure its mean shape, its picture "
            "nearest to each case's (retrieval) and its shape nearest to the truth (oracle). "
            "May be given several times."
        ),
    ] = None,
    clouds: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Option(
            help="A folder of what another program made, NAME.ply for the case NAME, in the frame "
            "of ours: also measure these; what is missing counts as empty. May be given several "
            "times."
        ),
    ] = None,
    save_pairs: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            help="A folder for each case's picture and true points, as pairs, for another program "
            "to work on."
        ),
    ] = None,
    sampled: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(
            min=1,
            help="Distances from this many random points each way, as Lin et al. from 200. "
            "Default: all.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print every case and the means as one JSON object.")
    ] = False,
    device: DeviceOption = "auto",
) -> None:
    """Measure on pictures whose shape is known.

    Distances are ×100 of the bounding-box diagonal. Cases that cannot be read
    are said on stderr and left out; then the exit code is 6.
    """
    from img2pc import __version__
    from img2pc.checkpoints import default_weights, weights_digest
    from img2pc.evaluation import (
        GENERATOR,
        as_record,
        clouds_method,
        generator_method,
        list_cases,
        saving_pairs,
        summarise,
    )
    from img2pc.evaluation import evaluate as run
    from img2pc.reconstruction import Reconstructor

    weights = weights or default_weights()
    digest = weights_digest(weights)
    reconstructor = Reconstructor.load(weights, chosen_device(device))
    failures: dict[str, str] = {}
    count, cases = list_cases(
        data,
        reconstructor.info,
        split,
        limit,
        lambda name, error: failures.update({name: str(error)}),
    )
    if save_pairs is not None:
        cases = saving_pairs(cases, save_pairs)
    methods = {GENERATOR: generator_method(reconstructor)}
    no_clouds: list[BadInputError] = []
    # The slash tells a folder from a method of its name.
    methods |= {f"{each}/": clouds_method(each, no_clouds.append) for each in clouds or ()}
    if baselines:
        methods |= _baseline_methods(baselines, reconstructor.info)
    with ProgressBar("evaluate", count * len(methods)) as advance:
        results = run(methods, cases, sampled, report=lambda scores: advance(1))
    for name, reason in failures.items():
        _left_out(reason if name in reason else f"{name}: {reason}")
    for error in no_clouds:
        print(f"img2pc: counts as empty: {error}", file=sys.stderr)
    if not results:
        raise BadInputError(f"none of the {count} cases of {data} can be read")
    if as_json:
        measured = {
            "img2pc": __version__,
            "weights": str(weights),
            "digest": digest,
            "data": str(data),
        }
        print(json.dumps({**measured, **as_record(results, sampled), "failures": failures}))
    else:
        print(f"{data}, by {weights} (digest {digest[:16]})")
        print_tables(summarise(results))
    if failures:
        raise BatchError(f"{len(failures)} of {count} cases of {data} cannot be read")
    if no_clouds:
        raise BatchError(f"clouds that cannot be read: {len(no_clouds)}")


def _baseline_methods(folders: list[Path], info: WeightsInfo) -> dict[str, Method]:
    from img2pc.baselines import Baselines

    with ProgressBar("baselines", 1000, show="share") as advance:
        read = Baselines.read(folders, info.config, report=lambda share: advance(1000 * share))
    return read.methods()


@app.command()
def data(
    folder: Annotated[Path, typer.Argument(help="Where the shards go; an unfinished set goes on.")],
    objects: Annotated[int, typer.Option(min=1, help="How many objects.")] = 10_000,
    pictures: Annotated[int, typer.Option(min=1, max=4, help="Pictures of each object.")] = 2,
    seed: Annotated[
        int, typer.Option(min=0, help="Of all that is random; from 1000000 on kept to measure on.")
    ] = 0,
    family: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            help="Only this procedural family (README lists them). May be given several times. "
            "Default: all."
        ),
    ] = None,
    meshes: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="A folder of upright meshes (+Y up), or a pack of one, to mix in."),
    ] = None,
    split: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            help="Split of a mesh folder with a manifest.csv. Default: train, if it has some."
        ),
    ] = None,
    mesh_share: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(
            min=0, max=1, help="Share of objects that are meshes. Default: 0.4 with --meshes."
        ),
    ] = None,
    size: Annotated[
        int,
        typer.Option(min=16, help="Side of pictures and views, pixels; every generator takes 128."),
    ] = 128,
    novel_views: Annotated[
        int,
        typer.Option(min=0, help="Views from random sides, for `train --stage joint` (5 will do)."),
    ] = 0,
    surface_points: Annotated[
        int,
        typer.Option(
            min=1,
            help="Points on each object's surface, to measure clouds by and for baselines; "
            "training needs none.",
        ),
    ] = 4096,
    workers: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(
            min=1, help="Processes; default: one a core. Each keeps up to 0.5 GB of meshes."
        ),
    ] = None,
) -> None:
    """Render shapes to pictures and true views, kept in memory-mapped shards."""
    from img2pc.data.dataset import DataSettings, write_shards
    from img2pc.data.families import FAMILIES
    from img2pc.workers import Stop, stopped_by_interrupt, usable_cores

    if unknown := set(family or ()) - set(FAMILIES):
        raise typer.BadParameter(
            f"{', '.join(sorted(unknown))}: not among {', '.join(FAMILIES)}", param_hint="--family"
        )
    if meshes is None and mesh_share is not None:
        raise typer.BadParameter("--mesh-share is of what --meshes names")
    settings = DataSettings(
        seed=seed,
        pictures_per_object=pictures,
        picture_size=size,
        view_size=size,
        families=tuple(family or ()),
        mesh_folder=None if meshes is None else str(meshes.resolve()),
        mesh_split=_chosen_split(meshes, split),
        mesh_share=DataSettings.mesh_share if mesh_share is None else mesh_share,
        surface_points=surface_points,
        novel_views=novel_views,
        novel_size=size // 2,
    )
    stop, count = Stop(), workers or usable_cores()
    with ProgressBar("objects", objects) as advance, stopped_by_interrupt(stop):
        done = 0
        for now in write_shards(folder, settings, objects, count, stop, _left_out):
            advance(now - done, "stopping" if stop.asked else "")
            done = now
    if stop.asked and done < objects:
        print("interrupted; the same command goes on", file=sys.stderr)
        raise KeyboardInterrupt
    print(f"{folder}\t{done} objects")


@app.command()
def pack(
    meshes: Annotated[Path, typer.Argument(help="A folder of upright meshes (+Y up).")],
    target: Annotated[Path, typer.Argument(help="The file to write, such as meshes.safetensors.")],
    split: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            help="Split of a mesh folder with a manifest.csv. Default: train, if it has some."
        ),
    ] = None,
) -> None:
    """Pack a mesh folder into one small file, for use in its place on another machine."""
    from img2pc.data.mesh_folder import pack_meshes

    count = pack_meshes(meshes, target, _chosen_split(meshes, split), _left_out)
    print(f"{target}\t{count} meshes\t{target.stat().st_size / 1e6:.1f} MB")


def _chosen_split(meshes: Path | None, split: str | None) -> str:
    from img2pc.data.mesh_folder import has_splits, no_splits

    # What was meant to be left out must not be trained on.
    if split is not None and meshes is None:
        raise typer.BadParameter("--split is of what --meshes names")
    if split is not None and meshes is not None and exists(meshes) and not has_splits(meshes):
        raise no_splits(meshes)
    return split or "train"


def _left_out(reason: object) -> None:
    print(f"img2pc: left out: {reason}", file=sys.stderr)


@app.command()
def train(
    run: Annotated[Path, typer.Argument(help="Run folder; a run found there goes on.")],
    data: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Option(
            help="A folder of shards. May be given several times. Default: objects drawn live."
        ),
    ] = None,
    size: Annotated[
        Size, typer.Option(help="Size of the generator; the bundled weights are small.")
    ] = "small",
    minutes: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(min=0, help="Training time over all calls; give this or --steps."),
    ] = None,
    steps: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(
            min=1, help="Instead of --minutes: on a CPU the same seed gives the same losses."
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures per step and device.")] = 32,
    learning_rate: Annotated[
        float, typer.Option(min=0, help="Peak learning rate of AdamW.")
    ] = 8e-4,
    muon_learning_rate: Annotated[
        float, typer.Option(min=0, help="Peak learning rate of Muon (hidden matrices and filters).")
    ] = 0.02,
    seed: Annotated[
        int,
        typer.Option(
            min=0, max=2**32 - 1, help="Of the first weights, the order of data and live objects."
        ),
    ] = 0,
    workers: Annotated[
        int, typer.Option(min=0, help="Threads that load data, or processes that draw it.")
    ] = 1,
    initial_weights: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            help="Start from these weights instead of random ones; bundled: img2pc's own."
        ),
    ] = None,
    stage: Annotated[
        Stage,
        typer.Option(
            help="views: compare the eight views. joint: also what a pseudo-renderer shows from "
            "novel sides. chamfer: also how far the points are from the true surface."
        ),
    ] = "views",
    renderer: Annotated[
        Renderer, typer.Option(help="Pseudo-renderer of the joint stage; faithful is the paper's.")
    ] = "soft",
    completeness_weight: Annotated[
        float,
        typer.Option(
            min=0,
            help="Of the chamfer stage: weight of the distance from surface to points, where that "
            "from points to surface weighs 1.",
        ),
    ] = 1.0,
    augmentation_share: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="Share of pictures that get each of four faults (shadow, ragged cut-out, bent "
            "lens, low resolution); three times as many are put in another light.",
        ),
    ] = 0.2,
    accelerator: Annotated[
        Device, typer.Option(help="Where to train; auto: on a GPU if CUDA works.")
    ] = "auto",
    devices: Annotated[
        int, typer.Option(min=1, metavar="N", help="How many GPUs, or processes on a CPU.")
    ] = 1,
    precision: Annotated[
        Precision, typer.Option(help="auto: bf16-mixed where the hardware has it.")
    ] = "auto",
    checkpoint_minutes: Annotated[float, typer.Option(min=0, help="Minutes between saves.")] = 5.0,
    compiled: Annotated[
        bool,
        typer.Option("--compile/--no-compile", help="Use torch.compile; pays in long GPU runs."),
    ] = False,
    rescan_minutes: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(
            min=0,
            help="Minutes between looks for shards that `img2pc data` still writes. Default: none.",
        ),
    ] = None,
) -> None:
    """Train the structure generator; interrupt it any time, the same command goes on."""
    from img2pc.checkpoints import default_weights
    from img2pc.data.dataset import DataSettings, ShardedDataset
    from img2pc.generator import SIZES
    from img2pc.training.loop import TrainingSettings, goes_on
    from img2pc.training.loop import train as run_training

    if (steps is None) == (minutes is None):
        raise typer.BadParameter("give either --minutes or --steps")
    settings = TrainingSettings(
        steps=steps,
        minutes=minutes,
        batch_size=batch_size,
        learning_rate=learning_rate,
        muon_learning_rate=muon_learning_rate,
        seed=seed,
        stage=stage,
        renderer=renderer,
        completeness_weight=completeness_weight,
        augmentation_share=augmentation_share,
        workers=workers,
        accelerator=chosen_device(accelerator),  # Fabric's own choice may be one never tried
        devices=devices,
        precision=precision,
        checkpoint_minutes=checkpoint_minutes,
        compiled=compiled,
        rescan_minutes=rescan_minutes,
    )
    if initial_weights is not None and str(initial_weights) == BUNDLED:
        initial_weights = default_weights()
    live = DataSettings(seed=seed, novel_views=5 if stage == "joint" else 0)
    source = ShardedDataset(*data) if data else live
    # Fabric runs this command once more for each further device.
    first = os.environ.get("LOCAL_RANK", "0") == "0"
    if first and goes_on(run):
        print(f"img2pc: {run} goes on, if it has not reached its length", file=sys.stderr)
    with ProgressBar("train", 1000, show="share") if first else nullcontext(_unseen) as advance:

        def report(progress: Progress) -> None:
            advance(
                1000 * progress.share,
                f"step {progress.step}  {progress.samples_per_second:.1f} pictures/s  "
                f"loss {progress.loss:.4f}  IoU {progress.mask_iou:.3f}",
            )

        weights = run_training(run, source, SIZES[size], settings, initial_weights, report)
    if first:
        print(weights)


def _unseen(amount: float, note: str = "") -> None:
    """Progress of what has no bar."""
