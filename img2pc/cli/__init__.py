"""The command line: parse, call one library function, print.

Results go to stdout, everything else to stderr.
"""

from __future__ import annotations

import io
import logging
import os
import re
import signal
import sys
import traceback
import warnings
from typing import Annotated

import typer

from img2pc import __version__
from img2pc.cli import learning, meshes, pictures
from img2pc.cli.options import app
from img2pc.errors import BadInputError, Img2pcError
from img2pc.workers import core_quota, usable_cores

__all__ = ["app", "learning", "main", "meshes", "pictures"]

_OF_TRAINING = ("embreex", "lightning_fabric")

# As `--help` shows them: what most people come for first.
_ORDER = ("reconstruct", "mesh", "check", "doctor", "evaluate", "data", "train", "pack")
app.registered_commands.sort(key=lambda each: _ORDER.index(getattr(each.callback, "__name__", "")))


def main() -> None:
    """Entry point: errors become one sentence on stderr and an exit code (README, Exit codes)."""
    # Closed ones (`>&-`) are None.
    sys.stdin, sys.stdout, sys.stderr = (
        stream or open(os.devnull, mode, errors="backslashreplace")  # noqa: PTH123, SIM115
        for stream, mode in ((sys.stdin, "r"), (sys.stdout, "w"), (sys.stderr, "w"))
    )
    if isinstance(sys.stdout, io.TextIOWrapper):
        # File names may be no text at all, or none that this encoding knows.
        unicode = sys.stdout.encoding.lower().replace("-", "") == "utf8"
        sys.stdout.reconfigure(errors="surrogateescape" if unicode else "backslashreplace")
    # What Pillow warns of is said in one sentence, or is nothing to whoever took the picture.
    warnings.filterwarnings("ignore", module=r"PIL\b")
    # rembg brings PyMatting, which nothing here calls and which Numba would compile on its first
    # import: 45 seconds.
    os.environ.setdefault("NUMBA_DISABLE_JIT", "1")
    # For how long libgomp's threads spin while they wait for each other: its own 300,000 is no
    # quicker, and beside other programs ten times as slow (tests/benchmarks/busy.py).
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    if core_quota() is not None:
        os.environ.setdefault("OMP_NUM_THREADS", str(usable_cores()))
    # So that what a killed command began is cleared away: temporary files, Open3D's process.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    debug = "--debug" in sys.argv
    # Of many pictures the others go on, so one's traceback is a message.
    logging.getLogger("img2pc.batch").setLevel(logging.DEBUG if debug else logging.NOTSET)
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    if any(not argument or re.fullmatch("--[a-z-]+=", argument) for argument in arguments):
        # As a path it would be the current folder.
        print("img2pc: an argument is empty; is a variable not set?", file=sys.stderr)
        sys.exit(2)
    try:
        app(args=arguments, prog_name="img2pc")
    except Exception as error:
        if debug:
            traceback.print_exc()
        if isinstance(error, Img2pcError):
            print(f"img2pc: {error}", file=sys.stderr)
            sys.exit(error.exit_code)
        missing = (getattr(error, "name", None) or "").split(".")[0]
        if isinstance(error, ModuleNotFoundError) and missing in _OF_TRAINING:
            print(
                f'img2pc: {missing} is not installed: pip install "img2pc[train]"', file=sys.stderr
            )
            sys.exit(BadInputError.exit_code)
        print(
            f"img2pc: unexpected {type(error).__name__}: {error} (--debug shows where)",
            file=sys.stderr,
        )
        sys.exit(1)


def _print_version(wanted: bool) -> bool:
    if wanted:
        print(__version__)
        raise typer.Exit
    return wanted


@app.callback()
def common(
    version: Annotated[
        bool,
        typer.Option(
            "-V", "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks; may stand anywhere.")
    ] = False,
) -> None:
    """One picture of one object → a dense 3D point cloud and a printable mesh."""
