"""The command line: parse, call one library function, print.

Results go to stdout, everything else to stderr.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Optional

import typer

from img2pc.errors import BadInputError, Img2pcError, NotPrintableError
from img2pc.files import MESH_SUFFIXES

if TYPE_CHECKING:
    from img2pc.cloud_files import PointArrays
    from img2pc.evaluation import Summary
    from img2pc.meshing import MeshSettings
    from img2pc.printability import PrintReport
    from img2pc.training.loop import Progress

app = typer.Typer(
    name="img2pc",
    help="One picture of one object → a dense 3D point cloud and a printable mesh.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Device = Literal["auto", "cpu", "cuda"]
DeviceOption = Annotated[Device, typer.Option(help="Where the generator runs.")]
WeightsOption = Annotated[
    Optional[Path], typer.Option(help="A weights file instead of the bundled one.")  # noqa: UP045
]
VerboseOption = Annotated[bool, typer.Option("-v", "--verbose", help="Name the phases on stderr.")]


def main() -> None:
    """Entry point: errors become one sentence on stderr and an exit code (README, Exit codes)."""
    debug = "--debug" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    try:
        app(args=arguments, prog_name="img2pc")
    except Img2pcError as error:
        if debug:
            raise
        print(f"img2pc: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except Exception as error:
        if debug:
            raise
        print(
            f"img2pc: unexpected {type(error).__name__}: {error} (--debug shows where)",
            file=sys.stderr,
        )
        sys.exit(1)


def _print_version(wanted: bool) -> bool:
    if wanted:
        from importlib.metadata import version

        print(version("img2pc"))
        raise typer.Exit
    return wanted


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    """One picture of one object → a dense 3D point cloud and a printable mesh. `--debug` shows
    tracebacks."""


def _length_mm(text: str) -> float:
    """A length such as 100, 120mm, 12cm or 4in, in millimetres."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(mm|cm|m|in)?\s*", str(text))
    if match is None:
        raise typer.BadParameter(f"{text} is not a length such as 120mm, 12cm or 4in")
    return float(match[1]) * {None: 1.0, "mm": 1.0, "cm": 10.0, "m": 1000.0, "in": 25.4}[match[2]]


def _bed_mm(text: str) -> tuple[float, float, float]:
    try:
        across, deep, high = (_length_mm(length) for length in text.lower().split("x"))
    except (ValueError, typer.BadParameter):
        raise typer.BadParameter(
            f"{text} is not three lengths such as 220x220x250", param_hint="--bed"
        ) from None
    return across, deep, high


@app.command()
def reconstruct(
    image: Annotated[Path, typer.Argument(help="A picture with alpha or on a flat background.")],
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            "-o",
            "--output",
            help="Point cloud (.ply), or straight to a solid of 100 mm (.stl .obj .glb .3mf). "
            "Default: a cloud beside the picture.",
        ),
    ] = None,
    preview: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="PNG of the picture beside the cloud from four sides."),
    ] = None,
    points: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, help="At most this many points, drawn uniformly."),
    ] = None,
    device: DeviceOption = "auto",
    weights: WeightsOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Reconstruct the object of one picture as a point cloud with normals (+Y up)."""
    _set_up_logging(verbose)
    target = output or image.with_suffix(".ply")
    suffix = target.suffix.lower()
    if suffix != ".ply" and suffix not in MESH_SUFFIXES:
        raise typer.BadParameter(
            f"{target} does not end in {', '.join(MESH_SUFFIXES)}", param_hint="--output"
        )
    if image.is_dir():
        raise BadInputError(f"{image} is a folder; give one picture")
    import torch

    from img2pc.pointclouds import write_ply
    from img2pc.preview import write_preview
    from img2pc.reconstruction import Reconstructor

    result = Reconstructor.load(weights, _chosen(device))(image)
    cloud = result.cloud
    if points is not None:
        cloud = cloud.subsample(points, torch.Generator().manual_seed(0))
    if suffix == ".ply":
        write_ply(target, cloud)
        print(f"{target}\t{len(cloud)} points")
    else:
        _mesh(cloud.arrays(), target)
    if preview is not None:
        write_preview(preview, result.crop, result.cloud)
        print(preview)


@app.command()
def mesh(
    cloud: Annotated[Path, typer.Argument(help="A point cloud: .ply .obj .xyz .pcd .pts")],
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("-o", "--output", help=".stl .obj .ply .glb .3mf; default: beside the cloud."),
    ] = None,
    stl: Annotated[bool, typer.Option("--stl", help="Beside the cloud (the default).")] = False,
    obj: Annotated[bool, typer.Option("--obj", help="Beside the cloud.")] = False,
    ply: Annotated[bool, typer.Option("--ply", help="Beside the cloud.")] = False,
    glb: Annotated[bool, typer.Option("--glb", help="Beside the cloud.")] = False,
    three_mf: Annotated[bool, typer.Option("--3mf", help="Beside the cloud.")] = False,
    size: Annotated[
        float, typer.Option(parser=_length_mm, metavar="LENGTH", help="Longest side.")
    ] = "100mm",  # type: ignore[assignment]  # parsed
    height: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(parser=_length_mm, metavar="LENGTH", help="Height, instead of --size."),
    ] = None,
    depth: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=4, max=11, help="Of the octree; default: from the point spacing."),
    ] = None,
    foot: Annotated[bool, typer.Option(help="Cut the lowest part flat.")] = True,
    base: Annotated[
        float,
        typer.Option(parser=_length_mm, metavar="LENGTH", help="Put a plate this thick below it."),
    ] = "0mm",  # type: ignore[assignment]  # parsed
    min_thickness: Annotated[
        float,
        typer.Option(parser=_length_mm, metavar="LENGTH", help="Thicken walls thinner than this."),
    ] = "0mm",  # type: ignore[assignment]  # parsed
    tolerance: Annotated[
        float,
        typer.Option(parser=_length_mm, metavar="LENGTH", help="How far to simplify."),
    ] = "0.05mm",  # type: ignore[assignment]  # parsed
    faces: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=4, help="Simplify further, to at most this many."),
    ] = None,
    up: Annotated[Literal["y", "z"], typer.Option(help="Which axis of the cloud is up.")] = "y",
    best_effort: Annotated[
        bool, typer.Option("--best-effort", help="Write a file even if it would not print.")
    ] = False,
    preview: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="PNG of the solid from four sides."),
    ] = None,
    verbose: VerboseOption = False,
) -> None:
    """Make a closed solid of a point cloud: one body, in millimetres, flat on the bed.

    Lengths are millimetres unless they say cm, m or in. STL, OBJ and 3MF are in millimetres with +Z
    up, PLY and GLB in metres with +Y up.
    """
    from img2pc.cloud_files import read_cloud
    from img2pc.meshing import MeshSettings

    _set_up_logging(verbose)
    chosen = {".stl": stl, ".obj": obj, ".ply": ply, ".glb": glb, ".3mf": three_mf}
    flags = [suffix for suffix, wanted in chosen.items() if wanted]
    if len(flags) + (output is not None) > 1:
        raise typer.BadParameter("give one of --output, --stl, --obj, --ply, --glb and --3mf")
    target = output or cloud.with_suffix(flags[0] if flags else ".stl")
    if target.suffix.lower() not in MESH_SUFFIXES:
        raise typer.BadParameter(
            f"{target} does not end in {', '.join(MESH_SUFFIXES)}", param_hint="--output"
        )
    if target.exists() and cloud.exists() and target.samefile(cloud):
        raise typer.BadParameter(f"{target} is the cloud itself", param_hint="--output")
    if size <= 0 or tolerance <= 0 or (height is not None and height <= 0):
        raise typer.BadParameter("--size, --height and --tolerance are greater than 0")
    settings = MeshSettings(
        size_mm=size,
        height_mm=height,
        depth=depth,
        foot=foot,
        min_thickness_mm=min_thickness,
        base_mm=base,
        tolerance_mm=tolerance,
        faces=faces,
        up=up,
        best_effort=best_effort,
    )
    _mesh(read_cloud(cloud), target, settings, preview)


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="A mesh: .stl .obj .ply .glb .3mf")],
    bed: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="XxYxZ", help="Of the printer, mm: 220x220x250."),
    ] = None,
    min_wall: Annotated[
        float, typer.Option(parser=_length_mm, metavar="LENGTH", help="Warn below this.")
    ] = "0.8mm",  # type: ignore[assignment]  # parsed
    as_json: Annotated[bool, typer.Option("--json", help="The findings as one object.")] = False,
) -> None:
    """Say whether a slicer takes a mesh without repair; exit code 5 if not."""
    from img2pc.mesh_files import read_mesh
    from img2pc.printability import inspect_mesh

    bed_mm = None if bed is None else _bed_mm(bed)
    report = inspect_mesh(read_mesh(file), bed_mm, min_wall)
    if as_json:
        print(json.dumps({"printable": report.printable, **asdict(report)}))
    else:
        _print_report(report)
    if not report.printable:
        raise NotPrintableError(f"{file} would not print: {'; '.join(report.problems)}")


@app.command()
def evaluate(
    data: Annotated[
        Path, typer.Argument(help="Shards, upright meshes, or NAME.png + NAME.ply pairs.")
    ],
    weights: WeightsOption = None,
    split: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Of a mesh folder with a manifest.csv."),
    ] = None,
    limit: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, help="Measure on this many cases only."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Every case and the means.")] = False,
    device: DeviceOption = "auto",
) -> None:
    """Measure on pictures whose shape is known; distances ×100 of the bounding-box diagonal."""
    from img2pc.evaluation import evaluate as run
    from img2pc.evaluation import list_cases, summarise
    from img2pc.reconstruction import Reconstructor

    reconstructor = Reconstructor.load(weights, _chosen(device))
    count, cases = list_cases(data, reconstructor.info, split, limit)
    with _ProgressBar("evaluate", count) as advance:
        results = run(reconstructor, cases, report=lambda scores: advance(1))
    summaries = summarise(results)
    if as_json:
        print(
            json.dumps(
                {
                    "cases": [asdict(result) for result in results],
                    "means": [asdict(summary) for summary in summaries],
                }
            )
        )
    else:
        _print_table(summaries)


@app.command()
def data(
    folder: Annotated[Path, typer.Argument(help="Where the shards go; an unfinished set goes on.")],
    objects: Annotated[int, typer.Option(min=1, help="How many objects.")] = 10_000,
    pictures: Annotated[int, typer.Option(min=1, max=4, help="Pictures of each object.")] = 2,
    seed: Annotated[int, typer.Option(min=0, help="1000000 and up are kept for tests.")] = 0,
    family: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="Procedural families to draw from; repeat it. Default: all."),
    ] = None,
    meshes: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="A folder of upright meshes (+Y up) to mix in."),
    ] = None,
    split: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Of a mesh folder with a manifest.csv."),
    ] = "train",
    mesh_share: Annotated[float, typer.Option(min=0, max=1, help="Share of meshes.")] = 0.4,
    size: Annotated[int, typer.Option(min=16, help="Side of pictures and views, pixels.")] = 128,
    novel_views: Annotated[
        int, typer.Option(min=0, help="From random sides, for `train --stage joint`.")
    ] = 0,
    workers: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, help="Processes; default: one a core."),
    ] = None,
) -> None:
    """Render shapes to pictures and true views, kept in memory-mapped shards."""
    from img2pc.data.dataset import DataSettings, default_workers, write_shards
    from img2pc.data.families import FAMILIES

    if unknown := set(family or ()) - set(FAMILIES):
        raise typer.BadParameter(
            f"{', '.join(sorted(unknown))}: not among {', '.join(FAMILIES)}", param_hint="--family"
        )
    settings = DataSettings(
        seed=seed,
        pictures_per_object=pictures,
        picture_size=size,
        view_size=size,
        families=tuple(family or ()),
        mesh_folder=None if meshes is None else str(meshes.resolve()),
        mesh_split=split,
        mesh_share=mesh_share,
        novel_views=novel_views,
        novel_size=size // 2,
    )
    with _ProgressBar("objects", objects) as advance:
        done = 0
        for now in write_shards(folder, settings, objects, workers or default_workers()):
            advance(now - done)
            done = now
    print(f"{folder}\t{done} objects")


@app.command()
def train(
    run: Annotated[Path, typer.Argument(help="Run folder; a run found there goes on.")],
    data: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Option(help="A folder of shards; repeat it. Without any, objects are drawn live."),
    ] = None,
    size: Annotated[str, typer.Option(help="tiny, small or base.")] = "small",
    minutes: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(min=0, help="Training time over all sittings."),
    ] = None,
    steps: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, help="Instead of minutes: same seed, same losses."),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1)] = 32,
    learning_rate: Annotated[float, typer.Option(min=0)] = 8e-4,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    workers: Annotated[int, typer.Option(min=0, help="Processes that load or draw data.")] = 1,
    initial_weights: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Start from these weights instead of random ones."),
    ] = None,
    stage: Annotated[
        Literal["views", "joint"],
        typer.Option(help="joint: also compare what a pseudo-renderer shows from novel sides."),
    ] = "views",
    renderer: Annotated[
        Literal["faithful", "soft"], typer.Option(help="Of the joint stage.")
    ] = "soft",
    accelerator: Annotated[
        str, typer.Option(help="Of Lightning Fabric: auto, cpu, cuda.")
    ] = "auto",
    devices: Annotated[int, typer.Option(min=1, help="How many of them.")] = 1,
    precision: Annotated[str, typer.Option(help="auto, 32-true or bf16-mixed.")] = "auto",
    checkpoint_minutes: Annotated[float, typer.Option(min=0)] = 5.0,
) -> None:
    """Train the structure generator; interrupt it any time, the same command goes on."""
    from img2pc.data.dataset import DataSettings, ShardedDataset
    from img2pc.generator import SIZES
    from img2pc.training.loop import TrainingSettings
    from img2pc.training.loop import train as run_training

    if size not in SIZES:
        raise typer.BadParameter(f"not among {', '.join(SIZES)}", param_hint="--size")
    if (steps is None) == (minutes is None):
        raise typer.BadParameter("give either --minutes or --steps")
    settings = TrainingSettings(
        steps=steps,
        minutes=minutes,
        batch_size=batch_size,
        learning_rate=learning_rate,
        seed=seed,
        stage=stage,
        renderer=renderer,
        workers=workers,
        accelerator=accelerator,
        devices=devices,
        precision=precision,
        checkpoint_minutes=checkpoint_minutes,
    )
    live = DataSettings(seed=seed, novel_views=5 if stage == "joint" else 0)
    source = ShardedDataset(*data) if data else live
    with _ProgressBar("train", 1000, show="share") as advance:

        def report(progress: Progress) -> None:
            advance(
                1000 * progress.share,
                f"step {progress.step}  {progress.samples_per_second:.1f} img/s  "
                f"loss {progress.loss:.4f}  IoU {progress.mask_iou:.3f}",
            )

        weights = run_training(run, source, SIZES[size], settings, initial_weights, report)
    print(weights)


def _mesh(
    cloud: PointArrays,
    target: Path,
    settings: MeshSettings | None = None,
    preview: Path | None = None,
) -> None:
    from rich.console import Console

    from img2pc.meshing import MeshSettings, solid_from_cloud, write_mesh
    from img2pc.printability import LEAST_WALL_MM

    settings = settings or MeshSettings()
    with Console(stderr=True).status("mesh"):
        solid = solid_from_cloud(cloud, settings)
        wall = settings.min_thickness_mm or LEAST_WALL_MM
        report = write_mesh(target, solid, settings.best_effort, wall)
    for warning in report.warnings:
        logging.warning("%s", warning)
    size = " x ".join(f"{length:.1f}" for length in report.size_mm)
    print(f"{target}\t{size} mm, {report.triangles} triangles")
    if preview is not None:
        from img2pc.preview import write_mesh_preview

        write_mesh_preview(preview, solid.mesh)
        print(preview)
    if not report.printable:
        raise NotPrintableError(f"{target} would not print: {'; '.join(report.problems)}")


def _chosen(device: Device) -> str:
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise BadInputError("no CUDA device is available; use --device cpu")
    return device


def _set_up_logging(verbose: bool) -> None:
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING, format="%(message)s", stream=sys.stderr
    )


class _ProgressBar:
    """A rich progress bar on stderr; nothing but the final line where stderr is no terminal."""

    def __init__(self, title: str, total: float, show: Literal["count", "share"] = "count") -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TaskProgressColumn,
            TextColumn,
            TimeRemainingColumn,
        )

        amount = MofNCompleteColumn() if show == "count" else TaskProgressColumn()
        self._absolute = show == "share"
        self._progress = Progress(
            TextColumn(title),
            BarColumn(),
            amount,
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=Console(stderr=True),
        )
        self._task = self._progress.add_task(title, total=total, note="")

    def __enter__(self) -> Callable[..., None]:
        self._progress.start()
        return self._advance

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def _advance(self, amount: float, note: str = "") -> None:
        if self._absolute:
            self._progress.update(self._task, completed=amount, note=note)
        else:
            self._progress.update(self._task, advance=amount, note=note)


def _print_table(summaries: list[Summary]) -> None:
    from rich.console import Console
    from rich.table import Table

    from img2pc.evaluation import SUMMARY_COLUMNS

    table = Table("category", "n", *SUMMARY_COLUMNS)
    for summary in summaries:
        values = ["-" if value is None else f"{value:.2f}" for value in summary.values]
        table.add_row(summary.category, str(summary.count), *values)
    Console().print(table)


def _print_report(report: PrintReport) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(show_header=False)
    wall = "5 mm or more" if report.wall_mm is None else f"{report.wall_mm:.2f} mm"
    rows = [
        ("triangles", f"{report.triangles}"),
        ("closed", "no" if report.open_edges or report.crowded_edges else "yes"),
        ("faces outwards", "no" if report.flipped_edges or report.volume_mm3 <= 0 else "yes"),
        ("bodies, hollows", f"{report.bodies}, {report.voids}"),
        ("faces without area", f"{report.degenerate_faces}"),
        ("size", " x ".join(f"{length:.1f}" for length in report.size_mm) + " mm"),
        ("volume", f"{report.volume_mm3 / 1000:.2f} cm³"),
        ("lowest point", f"z = {report.lowest_mm:.2f} mm"),
        ("on the bed", f"{report.contact_mm2:.1f} mm²"),
        ("thinnest wall", wall),
        ("overhang over 45°", f"{100 * report.overhang_share:.0f} % of the surface"),
    ]
    for name, value in rows:
        table.add_row(name, value)
    for problem in report.problems:
        table.add_row("problem", problem, style="bold red")
    for warning in report.warnings:
        table.add_row("warning", warning, style="yellow")
    table.add_row("printable", "yes" if report.printable else "no", style="bold")
    Console().print(table)
