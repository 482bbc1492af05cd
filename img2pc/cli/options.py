"""What several commands share: the application, its options, and how they are read."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from img2pc.choices import MESH_SUFFIXES, Device
from img2pc.errors import BadInputError
from img2pc.files import is_same_file

app = typer.Typer(
    name="img2pc",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

DeviceOption = Annotated[
    Device, typer.Option(help="Where the generator runs; auto: on a GPU if CUDA works.")
]
WeightsOption = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(envvar="IMG2PC_WEIGHTS", help="A weights file instead of the bundled one."),
]
VerboseOption = Annotated[
    bool,
    typer.Option(
        "-v", "--verbose", help="More on stderr: phases, warnings, what found the object."
    ),
]
QuietOption = Annotated[bool, typer.Option("-q", "--quiet", help="Nothing but errors on stderr.")]


def length_mm(text: str) -> float:
    """A length such as 100, 120mm, 12cm or 4in, in millimetres."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(mm|cm|m|in)?\s*", str(text).lower())
    if match is None:
        raise typer.BadParameter(f"{text} is not a length such as 120, 120mm, 12cm or 4in")
    return float(match[1]) * {None: 1.0, "mm": 1.0, "cm": 10.0, "m": 1000.0, "in": 25.4}[match[2]]


def positive_length_mm(text: str) -> float:
    """The same, greater than 0."""
    length = length_mm(text)
    if length == 0:
        raise typer.BadParameter(f"{text} is not greater than 0")
    return length


def length_option(says: str, parser: Callable[[str], float] = length_mm) -> Any:
    return typer.Option(parser=parser, metavar="LENGTH", help=says)


SizeOption = Annotated[
    Optional[float],  # noqa: UP045
    length_option(
        "Of the solid: its longest side, plate included. Default: 100mm.", positive_length_mm
    ),
]
HeightOption = Annotated[
    Optional[float],  # noqa: UP045
    length_option("Of the solid, plate included; instead of --size.", positive_length_mm),
]
BaseOption = Annotated[
    Optional[float],  # noqa: UP045
    length_option("Of the solid: a plate this thick below it. Default: none."),
]
MinThicknessOption = Annotated[
    Optional[float],  # noqa: UP045
    length_option("Of the solid: thicken walls to at least this. Default: as they are."),
]
FacesOption = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option(min=4, help="Of the solid: at most this many triangles. Default: no limit."),
]


def check_mesh_suffix(path: Path) -> None:
    if path.suffix.lower() not in MESH_SUFFIXES:
        raise typer.BadParameter(
            f"{path} does not end in {', '.join(MESH_SUFFIXES)}; name a file, not a folder",
            param_hint="--output",
        )


def check_apart(*files: Path | None) -> None:
    """What is read and what is written are all different files, but for stdin and stdout."""
    named = [file for file in files if file is not None and str(file) != "-"]
    for one, other in combinations(named, 2):
        if is_same_file(one, other):
            raise typer.BadParameter(f"{other} would be read or written twice; choose another name")


def chosen_device(device: Device) -> str:
    import torch

    if device == "auto" and torch.cuda.is_available():
        try:
            torch.ones(1, device="cuda").add(1).item()
        except RuntimeError as error:  # of an old GPU, PyTorch has no programs for it
            reason = str(error).splitlines()[0]
            logging.warning("the GPU does not work, so the CPU is used: %s", reason)
            return "cpu"
        return "cuda"
    if device == "auto":
        return "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise BadInputError("no CUDA GPU is available; choose auto or cpu")
    return device
