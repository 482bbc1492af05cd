"""`mesh` and `check`: from a point cloud to a file that prints."""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional

import typer

from img2pc.choices import CLOUD_SUFFIXES, MESH_SUFFIXES, PREVIEW_SUFFIXES
from img2pc.cli.console import print_report, set_up_logging
from img2pc.cli.options import (
    BaseOption,
    FacesOption,
    HeightOption,
    MinThicknessOption,
    QuietOption,
    SizeOption,
    VerboseOption,
    app,
    check_apart,
    check_mesh_suffix,
    length_mm,
    length_option,
    positive_length_mm,
)
from img2pc.errors import BadInputError, NotPrintableError
from img2pc.files import check_writable, exists, is_file, temporary_folder, write_errors

if TYPE_CHECKING:
    from img2pc.cloud_files import PointArrays
    from img2pc.meshing import MeshSettings
    from img2pc.printability import PrintReport


def _bed_mm(text: str) -> tuple[float, float, float]:
    try:
        across, deep, high = (length_mm(length) for length in text.lower().split("x"))
    except (ValueError, typer.BadParameter):
        raise typer.BadParameter(
            f"{text} is not three lengths such as 220x220x250", param_hint="--bed"
        ) from None
    return across, deep, high


@app.command()
def mesh(
    cloud: Annotated[
        Path, typer.Argument(help="A point cloud: .ply .obj .xyz .pcd .pts, or - (PLY on stdin).")
    ],
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            "-o",
            "--output",
            help="Where to: .stl .obj .ply .glb .3mf. Default: an STL beside the cloud.",
        ),
    ] = None,
    stl: Annotated[bool, typer.Option("--stl", help="Beside the cloud (the default).")] = False,
    obj: Annotated[
        bool, typer.Option("--obj", help="Beside the cloud, unless that is one.")
    ] = False,
    ply: Annotated[
        bool, typer.Option("--ply", help="Beside the cloud, unless that is one.")
    ] = False,
    glb: Annotated[bool, typer.Option("--glb", help="Beside the cloud.")] = False,
    three_mf: Annotated[bool, typer.Option("--3mf", help="Beside the cloud.")] = False,
    size: SizeOption = None,
    height: HeightOption = None,
    depth: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(
            min=4,
            max=11,
            help="Depth of Poisson's octree; one more halves its cells. Default: from the spacing.",
        ),
    ] = None,
    smooth: Annotated[bool, typer.Option(help="Take noise out of the cloud first.")] = True,
    carve: Annotated[
        bool, typer.Option(help="Cut off swellings where the cloud shows empty space.")
    ] = True,
    bridge: Annotated[
        bool, typer.Option(help="Join thin parts that come in pieces by struts.")
    ] = True,
    foot: Annotated[bool, typer.Option(help="Cut the lowest part flat.")] = True,
    base: BaseOption = None,
    min_thickness: MinThicknessOption = None,
    tolerance: Annotated[
        Optional[float],  # noqa: UP045
        length_option(
            "How far simplifying may move the surface. Default: a 2000th of the longest side.",
            positive_length_mm,
        ),
    ] = None,
    faces: FacesOption = None,
    up: Annotated[Literal["y", "z"], typer.Option(help="Which axis of the cloud is up.")] = "y",
    best_effort: Annotated[
        bool,
        typer.Option(
            "--best-effort", help="Write the file even if it is not printable; still exit code 5."
        ),
    ] = False,
    preview: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            help="PNG of the solid from four sides, GIF of it turning, or HTML to turn it."
        ),
    ] = None,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
) -> None:
    """Make a closed solid of a point cloud: one body, in mm, flat on the bed.

    Lengths are millimetres unless they say cm, m or in. STL, OBJ and 3MF are
    in millimetres with +Z up, PLY and GLB in metres with +Y up.
    """
    from img2pc.cloud_files import read_cloud
    from img2pc.folders import PICTURE_FORMATS, is_our_mesh

    set_up_logging(verbose, quiet)
    chosen = {".stl": stl, ".obj": obj, ".ply": ply, ".glb": glb, ".3mf": three_mf}
    flags = [suffix for suffix, wanted in chosen.items() if wanted]
    if len(flags) + (output is not None) > 1:
        raise typer.BadParameter("give one of --output, --stl, --obj, --ply, --glb and --3mf")
    if str(cloud) == "-" and output is None:
        raise typer.BadParameter("a cloud from stdin needs an --output")
    if not cloud.name:  # "." or "/"
        raise BadInputError(f"{cloud} is not a file")
    suffix = cloud.suffix.lower()
    if suffix in MESH_SUFFIXES and suffix not in CLOUD_SUFFIXES:
        raise BadInputError(f"{cloud} is a mesh already; `img2pc check` judges it")
    if suffix[1:] in PICTURE_FORMATS:
        raise BadInputError(f"{cloud} is a picture; `img2pc reconstruct` makes a cloud of it")
    target = output or cloud.with_suffix(flags[0] if flags else ".stl")
    if str(target) == "-":
        raise typer.BadParameter("a mesh cannot go to stdout; name a file", param_hint="--output")
    check_mesh_suffix(target)
    check_apart(cloud, target, preview)
    if output is None and is_file(target) and exists(cloud) and not is_our_mesh(target):
        raise BadInputError(
            f"{target} was not made by img2pc; to replace it, name it by -o {target}"
        )
    if preview is not None:
        if preview.suffix.lower() not in PREVIEW_SUFFIXES:
            raise typer.BadParameter(
                f"{preview} does not end in {' or '.join(PREVIEW_SUFFIXES)}",
                param_hint="--preview",
            )
        check_writable(preview)
    settings = mesh_settings(
        size_mm=size,
        height_mm=height,
        depth=depth,
        smooth=smooth,
        carve=carve,
        bridge=bridge,
        foot=foot,
        min_thickness_mm=min_thickness,
        base_mm=base,
        tolerance_mm=tolerance,
        faces=faces,
        up=up,
        best_effort=best_effort,
    )
    arrays = read_cloud(cloud) if str(cloud) != "-" else _cloud_from_stdin()
    make_mesh(arrays, target, settings, preview)


def mesh_settings(**chosen: Any) -> MeshSettings:
    """What was not chosen, and is None, as it is by default."""
    from img2pc.meshing import MeshSettings, check_settings

    known = {name: value for name, value in chosen.items() if value is not None}
    if {"size_mm", "height_mm"} <= known.keys():
        raise typer.BadParameter("give --size or --height, not both")
    settings = MeshSettings(**known)
    try:
        check_settings(settings)
    except BadInputError as error:
        raise typer.BadParameter(str(error)) from error
    return settings


def _cloud_from_stdin() -> PointArrays:
    """Its PLY by way of a file, because that is what readers read."""
    from img2pc.cloud_files import read_cloud

    with temporary_folder() as folder:
        path, content = folder / "stdin.ply", sys.stdin.buffer.read()
        with write_errors(folder):
            path.write_bytes(content)
        try:
            return read_cloud(path)
        except BadInputError as error:
            raise BadInputError(str(error).replace(str(path), "stdin")) from error


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="A mesh: .stl .obj .ply .glb .3mf")],
    bed: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            metavar="XxYxZ",
            help="Also whether it fits this printer's bed, such as 220x220x250. Default: any.",
        ),
    ] = None,
    min_wall: Annotated[float, length_option("Warn of walls thinner than this.")] = "0.8mm",  # type: ignore[assignment]  # parsed
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the findings as one JSON object.")
    ] = False,
) -> None:
    """Say whether a slicer takes a mesh without repair; exit code 5 if not.

    STL and OBJ are read as millimetres with +Z up, PLY and GLB as metres with
    +Y up, 3MF by its own unit. Lengths are millimetres unless they say cm, m
    or in.
    """
    from img2pc.mesh_files import read_mesh
    from img2pc.printability import inspect_mesh

    bed_mm = None if bed is None else _bed_mm(bed)
    report = inspect_mesh(read_mesh(file), bed_mm, min_wall)
    if as_json:
        print(json.dumps({"printable": report.printable, **asdict(report)}))
    else:
        print_report(report)
    _require_printable(file, report)


def _require_printable(path: Path, report: PrintReport) -> None:
    if not report.printable:
        raise NotPrintableError(f"{path} is not printable: {'; '.join(report.problems)}")


def make_mesh(
    cloud: PointArrays,
    target: Path,
    settings: MeshSettings | None = None,
    preview: Path | None = None,
) -> None:
    from rich.console import Console

    from img2pc.meshing import solid_to_file

    with Console(stderr=True, quiet=not logging.root.isEnabledFor(logging.WARNING)).status("mesh"):
        solid, report = solid_to_file(cloud, target, settings)
    for warning in (*solid.warnings, *report.warnings):
        logging.warning("%s", warning)
    size = " x ".join(f"{length:.1f}" for length in report.size_mm)
    print(f"{target}\t{size} mm, {report.triangles} triangles")
    if preview is not None:
        from img2pc.preview import write_mesh_preview

        write_mesh_preview(preview, solid.mesh)
        print(preview)
    _require_printable(target, report)
