"""What the command line shows: progress and messages on stderr, tables on stdout."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from img2pc.evaluation import Summary
    from img2pc.printability import PrintReport

LINE_SECONDS = 60.0  # between lines where there is no terminal to move a bar on


def set_up_logging(verbose: bool, quiet: bool = False) -> None:
    level = logging.INFO if verbose else logging.ERROR if quiet else logging.WARNING
    logging.basicConfig(level=level, format="%(message)s", handlers=[_Stderr()])


class _Stderr(logging.StreamHandler):  # type: ignore[type-arg]  # generic from 3.11 on
    """Writes to what stderr is at the time, which while a bar moves is what makes room for it."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


class ProgressBar:
    """A rich progress bar on stderr; a line a minute and a final one where that is no terminal."""

    def __init__(
        self,
        title: str,
        total: float,
        show: Literal["count", "share"] = "count",
        quiet: bool = False,
    ) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            ProgressColumn,
            Task,
            TaskProgressColumn,
            TextColumn,
            TimeRemainingColumn,
        )

        class Rate(ProgressColumn):
            def render(self, task: Task) -> str:
                # Of all so far: pictures come in batches, which rich takes for a spurt.
                rate = task.completed / task.elapsed if task.elapsed else 0
                return f"{rate:.1f}/s" if rate else ""

        amount = (TaskProgressColumn(),) if show == "share" else (MofNCompleteColumn(), Rate())
        self._absolute = show == "share"
        self._progress = Progress(
            TextColumn(title),
            BarColumn(),
            *amount,
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=Console(stderr=True),
            disable=quiet,
            # Results are for stdout, unless both are the terminal, where the bar must make way.
            redirect_stdout=sys.stdout.isatty(),
        )
        self._task = self._progress.add_task(title, total=total, note="")
        self._lines = not quiet and not self._progress.console.is_terminal
        self._line_at = time.monotonic()

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
        now = time.monotonic()
        if self._lines and now - self._line_at >= LINE_SECONDS:
            self._line_at = now
            task = self._progress.tasks[0]
            done = f"{task.completed:.0f} of {task.total:.0f}"
            if self._absolute:
                done = f"{task.percentage:.0f} %"
            print(f"{task.description}: {done}  {note}".rstrip(), file=sys.stderr)


def print_tables(summaries: list[Summary]) -> None:
    """A section per category with a row per method, then the views one by one where known."""
    from img2pc.evaluation import SUMMARY_COLUMNS

    # Headings in two lines: with a method's name the table still fits 80 columns.
    headings = [heading.replace("→", "\n→").replace(" ", "\n") for heading in SUMMARY_COLUMNS]
    rows = [
        (summary.category, summary.method, str(summary.count), *map(_two_decimals, summary.values))
        for summary in summaries
    ]
    _print_sections(("category", "method", "n", *headings), rows)
    by_view = [
        (name, summary.method, *map(_two_decimals, values))
        for summary in summaries
        if summary.category == "all"
        for name, values in (
            ("mask IoU", summary.mask_iou_by_view),
            ("depth L1", summary.depth_l1_by_view),
        )
        if values is not None
    ]
    if by_view:
        views = [f"view {view}" for view in range(len(by_view[0]) - 2)]
        # Sorted by measure, methods in their order: sorting is stable.
        rows = sorted(by_view, key=lambda row: row[0], reverse=True)
        _print_sections(("all", "method", *views), rows)


def _two_decimals(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _print_sections(headings: Sequence[str], rows: Sequence[tuple[str, ...]]) -> None:
    """A table whose rows stand together as long as their first cell is the same."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=0)
    groups = len({row[0] for row in rows})
    for column, heading in enumerate(headings):
        if column < 2:  # names may be long, or paths
            table.add_column(heading, overflow="fold")
        else:
            table.add_column(heading, justify="right", no_wrap=True)
    before = None
    for row in rows:
        if before not in (None, row[0]) and groups < len(rows):
            table.add_section()
        table.add_row("" if row[0] == before else row[0], *row[1:])
        before = row[0]
    # A file or pipe has no width that figures would have to be cut to.
    width = None if sys.stdout.isatty() else 1000
    Console(width=width, markup=False, emoji=False).print(table)


def print_report(report: PrintReport) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(show_header=False)
    has_inside = not report.boundary_edges and report.volume_mm3 > 0
    unmeasured = "5 mm or more" if has_inside else "not measured"
    wall = unmeasured if report.wall_mm is None else f"{report.wall_mm:.2f} mm"
    rows = [
        ("triangles", f"{report.triangles}"),
        ("closed", "no" if report.boundary_edges or report.non_manifold_edges else "yes"),
        ("faces outwards", "no" if report.flipped_edges or report.volume_mm3 <= 0 else "yes"),
        ("bodies, hollows", f"{report.bodies}, {report.voids}"),
        ("faces without area", f"{report.degenerate_faces}"),
        ("size", " x ".join(f"{length:.1f}" for length in report.size_mm) + " mm"),
        ("volume", f"{report.volume_mm3 / 1000:.2f} cm³"),
        ("lowest point", f"z = {report.lowest_mm:.2f} mm"),
        ("on the bed", f"{report.contact_mm2:.1f} mm²"),
        ("walls, thinnest 1 %", wall),
        ("overhang over 45°", f"{100 * report.overhang_share:.0f} % of the surface"),
    ]
    if report.fits_bed is not None:
        rows.append(("fits the bed", "yes" if report.fits_bed else "no"))
    for name, value in rows:
        table.add_row(name, value)
    for problem in report.problems:
        table.add_row("problem", problem, style="bold red")
    for warning in report.warnings:
        table.add_row("warning", warning, style="yellow")
    table.add_row("printable", "yes" if report.printable else "no", style="bold")
    Console().print(table)
