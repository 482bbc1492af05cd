"""`reconstruct` and `doctor`: from pictures to point clouds."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from collections import Counter
from collections.abc import Generator
from contextlib import closing
from dataclasses import replace
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Optional
from unicodedata import category

import typer

from img2pc.choices import CLOUD_SUFFIXES, MESH_SUFFIXES, PREVIEW_SUFFIXES, Background, Device
from img2pc.cli.console import ProgressBar, set_up_logging
from img2pc.cli.meshes import make_mesh, mesh_settings
from img2pc.cli.options import (
    BaseOption,
    DeviceOption,
    FacesOption,
    HeightOption,
    MinThicknessOption,
    QuietOption,
    SizeOption,
    VerboseOption,
    WeightsOption,
    app,
    check_apart,
    check_mesh_suffix,
    chosen_device,
)
from img2pc.errors import BadInputError, BatchError
from img2pc.files import check_exists, exists, is_file, is_folder, write_errors

if TYPE_CHECKING:
    from img2pc.batch import BatchSettings, Outcome
    from img2pc.cloud_files import PointArrays
    from img2pc.folders import Job, Listing, Targets
    from img2pc.meshing import MeshSettings
    from img2pc.workers import Stop


@app.command()
def reconstruct(
    images: Annotated[
        list[Path],
        typer.Argument(metavar="PICTURE", help="Pictures, a folder of them, or - (stdin)."),
    ],
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            "-o",
            "--output",
            help="Point cloud (.ply, or - for stdout), or straight to a solid (.stl .obj .glb "
            ".3mf); for many pictures, a folder. Default: beside each picture; of one on stdin, "
            "stdout.",
        ),
    ] = None,
    mesh: Annotated[
        Optional[Literal["stl", "obj", "glb", "3mf"]],  # noqa: UP045
        typer.Option(
            help="Also write a solid beside the cloud, of all points whatever --points says."
        ),
    ] = None,
    size: SizeOption = None,
    height: HeightOption = None,
    base: BaseOption = None,
    min_thickness: MinThicknessOption = None,
    faces: FacesOption = None,
    preview: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            help="PNG of picture, mask and the cloud from four sides, GIF of the cloud turning, or "
            "HTML to turn it; for many, a folder of PNGs."
        ),
    ] = None,
    save_mask: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="PNG of what was taken for the object; for many, a folder."),
    ] = None,
    mask: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            help="A picture that is white, or opaque, where the object is; for many, a folder. "
            "Goes before --background."
        ),
    ] = None,
    background: Annotated[
        Background,
        typer.Option(
            help="How to tell the object from its background; auto takes the first of alpha, "
            "border, rembg (if installed, with its model) and grabcut that fits."
        ),
    ] = "auto",
    points: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, help="Keep at most this many, drawn uniformly. Default: all."),
    ] = None,
    colour: Annotated[
        bool, typer.Option(help="Points take the picture's colours; a guess where it shows none.")
    ] = True,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite", help="Redo what is done; replace files that img2pc did not make."
        ),
    ] = False,
    batch_size: Annotated[
        str, typer.Option(metavar="auto|N", help="How many of many pictures are generated at once.")
    ] = "auto",
    shard: Annotated[
        str, typer.Option(metavar="I/N", help="Of many pictures, only part I of N.")
    ] = "1/1",
    ray: Annotated[
        bool, typer.Option("--ray", help="Many pictures with Ray Data, on this machine.")
    ] = False,
    ray_address: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            help="Many pictures with Ray Data on a running cluster: its address, or auto."
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a line of JSON for each picture.")
    ] = False,
    device: DeviceOption = "auto",
    weights: WeightsOption = None,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
) -> None:
    """Make a point cloud (+Y up, with normals) of each picture's object.

    A folder's results mirror it: chairs/a.jpg becomes chairs/a.ply. Of many
    pictures, one whose results are all there, and newer, is skipped, so the
    same command goes on where it was interrupted.
    """
    set_up_logging(verbose, quiet)
    from img2pc.folders import Targets, check_masks, check_replaceable

    of_solids = {
        "size_mm": size,
        "height_mm": height,
        "base_mm": base,
        "min_thickness_mm": min_thickness,
        "faces": faces,
    }
    targets = Targets(output, None if mesh is None else f".{mesh}", preview, save_mask)
    images = _expanded(images)
    image = images[0]
    if len(images) == 1 and not is_folder(image):
        # Perhaps meant for a folder: then what else is said would be beside the point.
        if not image.suffix and str(image) != "-":
            check_exists(image)
        if batch_size != "auto" or shard != "1/1" or ray or ray_address:
            raise typer.BadParameter(
                "--batch-size, --shard, --ray and --ray-address are for many pictures"
            )
        if image.suffix.lower() in CLOUD_SUFFIXES:
            raise BadInputError(
                f"{image} is not a picture; if it is a cloud, `img2pc mesh` makes a solid of it"
            )
        if image.suffix.lower() in MESH_SUFFIXES:
            raise BadInputError(f"{image} is a mesh, not a picture; `img2pc check` judges it")
        job, folders = _one(image, targets, mask, as_json, overwrite)
        solid = _mesh_settings(job.mesh, **of_solids)
        from img2pc.batch import BatchSettings

        settings = BatchSettings(background, points, colour=colour, mesh=solid)
        _reconstruct_one(job, folders, settings, weights, device, as_json)
        return
    from img2pc.workers import Stop

    part = _shard(shard)
    if len(images) == 1:
        targets = replace(targets, clouds=output or image)
    listing = _many(images, targets, part, mask)
    solid = _mesh_settings(mesh, **of_solids)
    from img2pc.batch import BatchSettings

    settings = BatchSettings(background, points, _batch_size(batch_size), colour, solid)
    todo = [job for job in listing.jobs if overwrite or not job.is_done]
    if output is None and not overwrite:
        check_replaceable(listing.jobs, todo)
    if not overwrite:
        check_masks(todo)
    stop = Stop()
    if ray or ray_address:
        outcomes = _with_ray(todo, settings, weights, device, ray_address, stop)
    else:
        outcomes = _with_threads(todo, settings, weights, device, stop)
    name = "failures.jsonl" if shard == "1/1" else f"failures-{part[0]}-of-{part[1]}.jsonl"
    failures = None if targets.clouds is None else targets.clouds / name
    _reconstruct_all(listing, todo, outcomes, stop, failures, as_json, quiet)


def _expanded(images: list[Path]) -> list[Path]:
    """Windows' shells leave *.jpg to the program."""
    if os.name != "nt":
        return images
    found: list[Path] = []
    for image in images:
        # Brackets are no signs to those shells.
        names = glob(str(image).replace("[", "[[]"))  # noqa: PTH207 (Path's takes no drive)
        found += sorted(map(Path, names)) or [image]
    return found


def _shard(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise typer.BadParameter(f"{text} is not a part such as 2/4", param_hint="--shard")
    return int(match[1]), int(match[2])


def _batch_size(text: str) -> int | None:
    if text == "auto":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise typer.BadParameter(f"{text} is not a number from 1", param_hint="--batch-size")
    return int(text)


def _mesh_settings(mesh: Path | str | None, **chosen: float | None) -> MeshSettings | None:
    """None for the defaults, and where no mesh is wanted: importing what makes them takes time."""
    if all(value is None for value in chosen.values()):
        return None
    if mesh is None:
        raise typer.BadParameter(
            "--size, --height, --base, --min-thickness and --faces are of solids: add --mesh stl, "
            "or for one picture -o NAME.stl"
        )
    return mesh_settings(**chosen)


# --- One picture ----------------------------------------------------------------------------------


def _one(
    image: Path, targets: Targets, mask: Path | None, as_json: bool, overwrite: bool
) -> tuple[Job, set[Path]]:
    """What becomes of one picture, and which folders may have to be made for it; its targets are
    files or folders."""
    from img2pc.folders import check_masks, check_replaceable

    job = _job(image, targets, mask)
    if not overwrite and targets.clouds in (None, job.cloud):
        check_replaceable([job], [job], named=targets.clouds)
    if not overwrite:
        check_masks([job])
    if as_json and job.cloud is None and job.mesh is None:
        raise typer.BadParameter("--json and the cloud cannot both go to stdout; name a file by -o")
    check_apart(image, job.given_mask, *job.outputs)
    for path in (image, job.given_mask):
        # Before PyTorch is imported; as JSON it is an outcome like others.
        if path is not None and not as_json and str(path) != "-":
            check_exists(path)
    # Not those of files that were named: they are there, or mistyped.
    return job, {*targets.folders} & {path.parent for path in job.outputs}


def _job(image: Path, targets: Targets, mask: Path | None) -> Job:
    from img2pc.folders import MASK_ENDING, PREVIEW_ENDING, GivenMasks, Job

    preview, save_mask = (
        None if path is None else _named_or_in_folder(path, suffixes, image.stem + ending)
        for path, suffixes, ending in (
            (targets.previews, PREVIEW_SUFFIXES, PREVIEW_ENDING),
            (targets.masks, (".png",), MASK_ENDING),
        )
    )
    if mask is not None and is_folder(mask):
        mask = GivenMasks.read(mask).of(Path(image.name), Path(image.stem))
    output, mesh_suffix = targets.clouds, targets.mesh_suffix
    if output is None:
        output = Path("-") if str(image) == "-" else image.with_suffix(".ply")
    if str(output) == "-":
        if mesh_suffix is not None:
            raise typer.BadParameter("a mesh cannot go to stdout; name a file by -o")
        return Job(image, None, None, preview, save_mask, mask)
    if is_folder(output) or not (output.suffix or exists(output)):
        if str(image) == "-":
            raise BadInputError(f"{output} is a folder; for a picture on stdin name a file in it")
        output = output / f"{image.stem}.ply"
    if output.suffix.lower() == ".ply":
        mesh = None if mesh_suffix is None else output.with_suffix(mesh_suffix)
        return Job(image, output, mesh, preview, save_mask, mask)
    check_mesh_suffix(output)
    if mesh_suffix is not None:
        raise typer.BadParameter(f"{output} is a mesh already", param_hint="--mesh")
    return Job(image, None, output, preview, save_mask, mask)


def _named_or_in_folder(path: Path, suffixes: tuple[str, ...], name: str) -> Path:
    """The path, or that of this name in it if it is a folder, which need not be there yet."""
    if is_folder(path) or not (path.suffix or exists(path)):
        return path / name
    if path.suffix.lower() not in suffixes:
        named = " nor ".join(f"NAME{suffix}" for suffix in suffixes)
        raise typer.BadParameter(f"{path} is neither {named} nor a folder")
    return path


def _reconstruct_one(
    job: Job,
    folders: set[Path],
    settings: BatchSettings,
    weights: Path | None,
    device: Device,
    as_json: bool,
) -> None:
    from img2pc.batch import failure, write_results
    from img2pc.pointclouds import encode_ply
    from img2pc.reconstruction import Reconstructor

    def tell_of_cloud() -> None:
        if job.cloud is not None:
            print(f"{job.cloud}\t{len(result.cloud)} points", flush=True)

    def write_mesh(cloud: PointArrays, path: Path) -> tuple[str, ...]:
        """It comes last, takes longest, and may fail."""
        if as_json:
            # What meshes are made with takes a third of a second to import: only for them.
            from img2pc.meshing import mesh_to_file

            return mesh_to_file(cloud, path, settings.mesh)
        tell_of_cloud()
        make_mesh(cloud, path, settings.mesh)
        return ()

    to_stdout = job.cloud is None and job.mesh is None
    if to_stdout and sys.stdout.isatty():
        raise BadInputError("a cloud is binary, and stdout is a terminal; name a file by -o")
    reconstructor = Reconstructor.load(weights, chosen_device(device))
    picture = sys.stdin.buffer if str(job.picture) == "-" else job.picture
    try:
        result = reconstructor(
            picture, settings.background, job.given_mask, settings.points, settings.colour
        )
        if to_stdout:
            _write_to_stdout(encode_ply(result.cloud))
        for folder in folders:
            with write_errors(folder):
                folder.mkdir(parents=True, exist_ok=True)
        outcome = write_results(result, job, write_mesh)
    except Exception as error:
        if as_json:
            print(failure(job, error).as_json())
        raise
    if as_json:
        print(outcome.as_json())
        return
    if job.mesh is None:
        tell_of_cloud()
    for path in (job.preview, job.mask):
        if path is not None and not to_stdout:
            print(path)


def _write_to_stdout(content: bytes) -> None:
    if getattr(sys.stdout, "name", None) == os.devnull:  # put there by cli.main
        raise BadInputError("cannot write to stdout: it is closed")
    try:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    except BrokenPipeError:  # who reads has had enough
        raise
    except OSError as error:
        raise BadInputError(f"cannot write to stdout: {error.strerror or error}") from error


# --- Many pictures --------------------------------------------------------------------------------


def _many(
    images: list[Path], targets: Targets, part: tuple[int, int], mask: Path | None
) -> Listing:
    """What becomes of a folder's pictures, or of those that are named."""
    from img2pc.folders import PICTURE_FORMATS, GivenMasks, jobs_of_pictures, list_jobs

    output = targets.clouds
    if "-" in map(str, (*images, output)):
        raise typer.BadParameter(
            "stdin and stdout are for one picture; many go from files to a folder"
        )
    if mask is not None and is_file(mask):
        raise typer.BadParameter(f"{mask} is a file; for many pictures --mask is a folder")
    if output is not None and is_file(output):
        raise BadInputError(f"{output} is a file; for many pictures -o is a folder")
    if output is not None and output.suffix.lower() in MESH_SUFFIXES and not is_folder(output):
        raise typer.BadParameter(
            f"{output} names a file; many pictures go to a folder, with solids by --mesh stl"
        )
    for drawn in targets.drawn:
        suffix = drawn.suffix.lower()
        is_name = suffix in PREVIEW_SUFFIXES or suffix[1:] in PICTURE_FORMATS
        named = is_name and not is_folder(drawn)
        if is_file(drawn) or named:
            raise typer.BadParameter(
                f"{drawn} names a file; for many pictures --preview and --save-mask are folders"
            )
    masks = None if mask is None else GivenMasks.read(mask)
    if len(images) == 1:
        return list_jobs(images[0], targets, part, masks)
    if any(map(is_folder, images)):
        raise typer.BadParameter("give pictures, or one folder; not several folders, nor both")
    return jobs_of_pictures(images, targets, part, masks)


def _with_threads(
    jobs: list[Job], settings: BatchSettings, weights: Path | None, device: Device, stop: Stop
) -> Generator[Outcome]:
    from img2pc.batch import run_batch
    from img2pc.reconstruction import Reconstructor

    return run_batch(Reconstructor.load(weights, chosen_device(device)), jobs, settings, stop)


def _with_ray(
    jobs: list[Job],
    settings: BatchSettings,
    weights: Path | None,
    device: Device,
    address: str | None,
    stop: Stop,
) -> Generator[Outcome]:
    from img2pc.checkpoints import default_weights, load_weights
    from img2pc.ray_batch import run_on_ray

    chosen = weights or default_weights()
    load_weights(chosen)  # what is wrong with them is better said before there is a cluster
    # Another machine may have the GPU that this one lacks, but has to be asked for it.
    trusted = address is not None and device == "cuda"
    on = "cuda" if trusted else chosen_device(device)
    return run_on_ray(jobs, settings, chosen, on, address, stop)


def _reconstruct_all(
    listing: Listing,
    todo: list[Job],
    outcomes: Generator[Outcome],
    stop: Stop,
    failures: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Show what becomes of each picture, then the sum; the exit code is the error raised.

    Raises:
        BadInputError: no picture is usable.
        BatchError: some failed.
    """
    from img2pc.batch import Outcome
    from img2pc.workers import stopped_by_interrupt

    pending = {job.picture for job in todo}
    every = [
        *(
            Outcome(path, "failed", error=f"cannot read the folder: {reason}", exit_code=3)
            for path, reason in listing.unreadable
        ),
        *(
            Outcome(job.picture, "skipped", job.outputs)
            for job in listing.jobs
            if job.picture not in pending
        ),
    ]
    for outcome in every:
        _show(outcome, as_json)
    bar = ProgressBar("reconstruct", len(todo), quiet=quiet)
    with bar as advance, closing(outcomes), stopped_by_interrupt(stop):
        for outcome in outcomes:
            every.append(outcome)
            _show(outcome, as_json)
            advance(1, "stopping" if stop.asked else "")
    _conclude(every, failures, stop.asked, as_json, quiet)


def _show(outcome: Outcome, as_json: bool) -> None:
    if as_json:
        print(outcome.as_json(), flush=True)
    elif outcome.status == "done":
        print(f"{outcome.outputs[0]}\t{outcome.points} points", flush=True)
    if outcome.foreground is not None:
        logging.info("%s: object found by %s", outcome.picture, outcome.foreground)
    for warning in outcome.warnings:
        logging.info("%s: %s", outcome.picture, warning)


def _conclude(
    every: list[Outcome], failures: Path | None, interrupted: bool, as_json: bool, quiet: bool
) -> None:
    """The sum on stderr, the failures in a file, and the exit code."""
    from img2pc.batch import write_failures

    count = Counter(outcome.status for outcome in every)
    failed = [outcome for outcome in every if outcome.status == "failed"]
    for outcome in failed:
        named = str(outcome.picture) in str(outcome.error)
        text = outcome.error if named else f"{outcome.picture}: {outcome.error}"
        print(_one_line(str(text)), file=sys.stderr)
    if not quiet:
        warned = sum(bool(outcome.warnings) for outcome in every)
        shown = as_json or logging.root.isEnabledFor(logging.INFO) or not warned
        print(
            f"{count['done']} done, {count['skipped']} skipped, {count['failed']} failed, "
            f"{warned} with warnings{'' if shown else ' (--overwrite -v shows them)'}",
            file=sys.stderr,
        )
    told = ""
    if failures is not None:
        try:
            write_failures(failures, every, interrupted)
            told = f", see {failures}"
        except BadInputError as error:  # the disk may be full
            told = f"; {error}"
    if interrupted:
        if not quiet:
            print("interrupted; the same command goes on", file=sys.stderr)
        raise KeyboardInterrupt
    # Else there may be clouds, without the meshes.
    if failed and all(outcome.exit_code == BadInputError.exit_code for outcome in every):
        raise BadInputError(f"none of {len(every)} pictures could be used{told}")
    if failed:
        raise BatchError(f"{len(failed)} of {len(every)} pictures failed{told}")


def _one_line(text: str) -> str:
    """The text with line ends, other controls and bytes that are no text as escapes."""
    odd = ("Cc", "Cs", "Zl", "Zp")
    return "".join(ascii(each)[1:-1] if category(each) in odd else each for each in text)


@app.command()
def doctor(
    weights: WeightsOption = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print all findings as one JSON object.")
    ] = False,
) -> None:
    """Say what works here: PyTorch, devices, weights and their digest, meshing, extras."""
    from img2pc.doctor import examine

    findings = []
    for finding in examine(weights):
        findings.append(finding)
        if not as_json:
            print(f"{finding.name:14} {finding.value}", flush=True)
    if as_json:
        print(json.dumps({finding.name: finding.value for finding in findings}))
    for finding in findings:
        if finding.error is not None:
            raise finding.error
