"""Many pictures: threads that each decode, reconstruct and write one batch after another.

On a CPU every thread computes on one core. So no core waits for another within a layer, and while
one decodes or writes, the others generate.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from img2pc.choices import Background
from img2pc.cloud_files import PointArrays
from img2pc.errors import BadInputError, Img2pcError
from img2pc.files import write_errors, written_atomically
from img2pc.folders import Job
from img2pc.images import write_png
from img2pc.pointclouds import write_ply
from img2pc.reconstruction import CutOut, Reconstruction, Reconstructor
from img2pc.views import Views
from img2pc.workers import Stop, begin_worker, interrupts_blocked, usable_cores

if TYPE_CHECKING:
    from img2pc.meshing import MeshSettings

log = logging.getLogger(__name__)

CPU_BATCH, CUDA_BATCH = 8, 64
Result = TypeVar("Result")
MeshWriter = Callable[[PointArrays, Path], tuple[str, ...]]  # warnings


@dataclass(frozen=True)
class BatchSettings:
    """How pictures are worked on.

    Attributes:
        points: keep at most this many, drawn uniformly.
        batch_size: pictures through the generator at once; by default as many as pay.
        colour: whether the points take the colours of the picture.
        mesh: how meshes are made, where jobs want them.
    """

    background: Background = "auto"
    points: int | None = None
    batch_size: int | None = None
    colour: bool = True
    mesh: MeshSettings | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of one picture.

    Attributes:
        foreground: what found the object.
        exit_code: of the error; 0 without one.
    """

    picture: Path
    status: Literal["done", "skipped", "failed"]
    outputs: tuple[Path, ...] = ()
    points: int | None = None
    foreground: str | None = None
    warnings: tuple[str, ...] = ()
    error: str | None = None
    exit_code: int = 0

    def as_json(self) -> str:
        """One line; what is unknown is left out."""
        known = {name: value for name, value in asdict(self).items() if value not in (None, ())}
        return json.dumps(known, default=str)


def run_batch(
    reconstructor: Reconstructor,
    jobs: Sequence[Job],
    settings: BatchSettings,
    stop: Stop | None = None,
) -> Generator[Outcome]:
    """Do the jobs and tell what became of each, in the order in which they end.

    One that fails is an outcome like others. Closing the iterator, as `stop`, ends the work after
    the pictures at hand; files are whole.
    """
    stop = stop or Stop()
    on_cpu = reconstructor.device.type == "cpu"
    threads = torch.get_num_threads() if on_cpu else min(8, usable_cores())
    size = pictures_at_once(jobs, threads, settings, reconstructor.device.type)
    batches = (jobs[start : start + size] for start in range(0, len(jobs), size))
    with _thread_count_restored(), _mesh_processes(settings.mesh, stop) as write_mesh:
        # Fusion is the CPU's, whatever generates.
        pool = ThreadPoolExecutor(threads, initializer=partial(torch.set_num_threads, 1))
        try:
            work = (
                lambda batch=batch: run_jobs(reconstructor, batch, settings, write_mesh, stop)
                for batch in takewhile(lambda _: not stop.asked, batches)
            )
            for outcomes in _as_completed(pool, work, 2 * threads):
                yield from outcomes
        except BaseException:  # the iterator is closed, for one
            stop.asked = True
            raise
        finally:
            pool.shutdown(cancel_futures=True)


def pictures_at_once(
    jobs: Sequence[Job], workers: int, settings: BatchSettings, device: str
) -> int:
    """The size of a batch: as many as pay, fewer where that would leave workers without any, or
    where pictures are kept whole."""
    whole = any(job.mask is not None or job.preview is not None for job in jobs)
    most = settings.batch_size or (CPU_BATCH if device == "cpu" or whole else CUDA_BATCH)
    return max(1, min(most, -(-len(jobs) // workers)))


def run_jobs(
    reconstructor: Reconstructor,
    jobs: Sequence[Job],
    settings: BatchSettings,
    write_mesh: MeshWriter,
    stop: Stop | None = None,
) -> list[Outcome]:
    """Do a batch of jobs, in this thread, through the generator at once."""
    stop = stop or Stop()
    outcomes: list[Outcome] = []
    cut: list[tuple[Job, CutOut]] = []
    for job in jobs:
        if stop.asked:
            return outcomes
        with _failures_of(job, outcomes):
            cut_out = reconstructor.cut_out(job.picture, settings.background, job.given_mask)
            if job.mask is None and job.preview is None:
                cut_out = cut_out.without_picture()
            cut.append((job, cut_out))
    if not cut or stop.asked:
        return outcomes
    crops = torch.from_numpy(np.stack([cut_out.crop for _, cut_out in cut]))
    try:
        views = _views(reconstructor, crops)
    except Exception as error:
        return outcomes + [failure(job, error) for job, _ in cut]
    for item, (job, cut_out) in enumerate(cut):
        if stop.asked:
            break
        with _failures_of(job, outcomes):
            result = reconstructor.finish(cut_out, views, item, settings.points, settings.colour)
            _make_folders(job)
            outcomes.append(write_results(result, job, write_mesh))
    return outcomes


def write_results(result: Reconstruction, job: Job, write_mesh: MeshWriter) -> Outcome:
    """Write what the job wants.

    Raises:
        BadInputError: a file cannot be written.
        NotPrintableError: a mesh was wanted, and no printable one could be made.
    """
    cloud, foreground = result.cloud, result.cut_out.foreground
    warnings = foreground.warnings
    if job.cloud is not None:
        write_ply(job.cloud, cloud)
        if job.mesh is not None:
            # Should the new one fail, the older would pass for this cloud's.
            with write_errors(job.mesh):
                job.mesh.unlink(missing_ok=True)
    if job.mask is not None:
        write_png(job.mask, foreground.rgba[..., 3])
    if job.preview is not None:
        from img2pc.preview import write_preview

        write_preview(job.preview, foreground, cloud)
    if job.mesh is not None:
        warnings += write_mesh(result.whole_cloud.arrays(), job.mesh)
    return Outcome(job.picture, "done", job.outputs, len(cloud), foreground.method, warnings)


def write_failures(path: Path, outcomes: Sequence[Outcome], interrupted: bool = False) -> None:
    """One line of JSON for each failed picture; no file where none failed. Interrupted, there are
    pictures without an outcome, and their lines of an earlier run stay.

    Raises:
        BadInputError: the file cannot be written or removed, or another program's is in its place.
    """
    failed = [outcome.as_json() for outcome in outcomes if outcome.status == "failed"]
    if not _holds_failures(path):
        if failed:
            raise BadInputError(f"{path} was not made by img2pc, and stays as it is")
        return
    with write_errors(path):
        if interrupted and path.exists():
            tried = {str(outcome.picture) for outcome in outcomes}
            before = path.read_text("utf-8").splitlines()
            failed = [*(each for each in before if _picture_of(each) not in tried), *failed]
        if not failed:
            path.unlink(missing_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
    with written_atomically(path) as temporary:
        temporary.write_text("".join(f"{each}\n" for each in failed), "utf-8")


def _picture_of(failure: str) -> object:
    try:
        return json.loads(failure)["picture"]
    except (KeyError, TypeError, ValueError):  # cut off
        return None


def _holds_failures(path: Path) -> bool:
    """Whether it is ours, or not there."""
    try:
        with path.open("rb") as file:
            first = file.readline(2**16)
    except OSError:  # said later
        return True
    return not first or (first.startswith(b'{"picture": ') and b'"status": "failed"' in first)


def _make_folders(job: Job) -> None:
    for path in job.outputs:
        with write_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)


class _StoppedError(Exception):
    """A picture was not done, and will be by the same command."""


@contextmanager
def _failures_of(job: Job, outcomes: list[Outcome]) -> Iterator[None]:
    """Whatever goes wrong with one picture becomes its outcome, unless all were meant to end."""
    try:
        yield
    except _StoppedError:
        pass
    except Exception as error:
        outcomes.append(failure(job, error))


def failure(job: Job, error: Exception) -> Outcome:
    """The outcome of a job at which that went wrong."""
    if isinstance(error, Img2pcError):
        return Outcome(job.picture, "failed", error=str(error), exit_code=error.exit_code)
    log.debug("%s", job.picture, exc_info=error)
    text = f"unexpected {type(error).__name__}: {error}"
    return Outcome(job.picture, "failed", error=text, exit_code=1)


def _views(reconstructor: Reconstructor, crops: UInt8[Tensor, "batch size size 4"]) -> Views:
    """Views of all crops, in halves where the GPU's memory does not hold them at once."""
    try:
        return reconstructor.views(crops)
    except torch.OutOfMemoryError:
        if len(crops) == 1:
            raise
    halves = [_views(reconstructor, half) for half in crops.tensor_split(2)]
    return Views(*(torch.cat(parts) for parts in zip(*halves, strict=True)))


def _as_completed(
    pool: ThreadPoolExecutor, work: Iterator[Callable[[], Result]], most: int
) -> Iterator[Result]:
    """Results in the order in which they come, never more than `most` on their way."""
    pending: set[Future[Result]] = set()
    for task in work:
        pending.add(pool.submit(task))
        if len(pending) >= most:
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)
    while pending:
        done, pending = wait(pending, return_when=FIRST_COMPLETED)
        yield from (future.result() for future in done)


@contextmanager
def _thread_count_restored() -> Iterator[None]:
    """Afterwards PyTorch uses as many cores as before, whatever the threads of a pool set."""
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _mesh_processes(settings: MeshSettings | None, stop: Stop) -> Iterator[MeshWriter]:
    """A function that makes and writes a mesh in a process, one for each thread, and waits for it.

    One that is killed fails the mesh that it was at, and no other; if all were meant to end, none.
    """
    context = multiprocessing.get_context("spawn")
    pools: dict[int, ProcessPoolExecutor] = {}

    def write(cloud: PointArrays, path: Path) -> tuple[str, ...]:
        from img2pc.meshing import mesh_to_file  # which takes a while: where it is wanted

        thread = threading.get_ident()
        if thread not in pools:
            pools[thread] = ProcessPoolExecutor(1, context, begin_worker)
        try:
            with interrupts_blocked():
                made = pools[thread].submit(mesh_to_file, cloud, path, settings)
            return made.result()
        except BrokenProcessPool as error:
            pools.pop(thread).shutdown()
            if stop.is_asked_by_now():  # SIGTERM was for this process too
                raise _StoppedError from error
            raise Img2pcError(
                f"the process that made {path} was killed, perhaps for want of memory"
            ) from error

    try:
        yield write
    finally:
        for pool in pools.values():
            pool.shutdown()
