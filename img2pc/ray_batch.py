"""The same batches on a Ray cluster, by Ray Data; all nodes see the same files."""

from __future__ import annotations

import logging
import os
import pickle
import socket
from collections.abc import Generator, Sequence
from dataclasses import replace
from functools import partial
from itertools import takewhile
from pathlib import Path

import numpy as np
import torch
from numpy import ndarray

from img2pc.batch import BatchSettings, Outcome, failure, pictures_at_once, run_jobs
from img2pc.errors import BadInputError, Img2pcError
from img2pc.folders import Job
from img2pc.meshing import mesh_to_file
from img2pc.reconstruction import Reconstructor
from img2pc.workers import Stop

log = logging.getLogger(__name__)


def run_on_ray(
    jobs: Sequence[Job],
    settings: BatchSettings,
    weights: Path,
    device: str = "cpu",
    address: str | None = None,
    stop: Stop | None = None,
) -> Generator[Outcome]:
    """Do the jobs on a cluster, or on this machine's cores, and tell what became of each.

    After `stop` none is told of any more, and the cluster's work on them ends.

    Every actor loads the weights once and computes on one core or GPU.

    Args:
        device: "cpu" or "cuda".
        address: of a running cluster, as `ray.init` takes it; by default one is started here.

    Raises:
        BadInputError: Ray is not installed, or there is no cluster at the address.
    """
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise BadInputError('Ray is not installed: pip install "img2pc[ray]"') from error
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing here calls home
    if not jobs:
        return _nothing()  # and wait for no cluster
    try:
        if address is not None:
            _knock(address)
        ray.init(address or "local", log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, ValueError, OverflowError, RuntimeError) as error:
        what = "start Ray" if address is None else f"reach a Ray cluster at {address}"
        raise BadInputError(f"cannot {what}: {error}") from error
    return _outcomes(jobs, settings, weights, device, stop or Stop())


def _nothing() -> Generator[Outcome]:
    yield from ()


def _knock(address: str) -> None:
    """Nothing, or an OSError: Ray itself would wait for minutes where nobody answers."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()


def _outcomes(
    jobs: Sequence[Job], settings: BatchSettings, weights: Path, device: str, stop: Stop
) -> Generator[Outcome]:
    import ray
    import ray.data

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    try:
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.max_errored_blocks = -1  # an actor that is killed takes no other's work along
        resource = "GPU" if device == "cuda" else "CPU"
        there = int(ray.cluster_resources().get(resource, 0))  # type: ignore[no-untyped-call]
        if resource == "GPU" and not there:  # it may grow, or Ray waits for ever
            log.warning("the Ray cluster has no GPU at the moment; waiting for one")
        actors = max(1, there)
        size = pictures_at_once(jobs, actors, settings, device)
        # An actor's current folder is another.
        by_picture = {job.picture.absolute(): job for job in jobs}
        left = list(by_picture)
        for at_once in (size, 1):  # what was lost with others is tried once more, alone
            told = set()
            items = [{"job": pickle.dumps(by_picture[each].absolute())} for each in left]
            outcomes = ray.data.from_items(
                items, override_num_blocks=-(-len(items) // at_once)
            ).map_batches(
                _Worker,
                fn_constructor_args=(settings, weights.absolute(), device),
                batch_size=at_once,
                compute=ray.data.ActorPoolStrategy(min_size=1, max_size=actors),
                num_cpus=1,
                num_gpus=1 if device == "cuda" else 0,
                max_task_retries=1,  # without it a picture that kills would be tried for ever
            )
            for row in takewhile(lambda _: not stop.asked, outcomes.iter_rows()):
                outcome: Outcome = pickle.loads(row["outcome"])
                told.add(outcome.picture)
                job = by_picture[outcome.picture]
                yield replace(
                    outcome, picture=job.picture, outputs=job.outputs if outcome.outputs else ()
                )
            left = [each for each in left if each not in told]
            if stop.asked or not left:
                return
        lost = Img2pcError("Ray lost it: its process was killed, perhaps for want of memory")
        yield from (failure(by_picture[each], lost) for each in left)
    finally:
        ray.shutdown()


class _Worker:
    """An actor of Ray Data: a reconstructor, loaded once."""

    def __init__(self, settings: BatchSettings, weights: Path, device: str) -> None:
        torch.set_num_threads(1)
        self._settings = settings
        self._reconstructor = Reconstructor.load(weights, device)

    def __call__(self, batch: dict[str, ndarray]) -> dict[str, ndarray]:
        jobs = [pickle.loads(job) for job in batch["job"]]
        write_mesh = partial(mesh_to_file, settings=self._settings.mesh)
        outcomes = run_jobs(self._reconstructor, jobs, self._settings, write_mesh)
        pickled = [pickle.dumps(outcome) for outcome in outcomes]
        return {"outcome": np.array(pickled, dtype=object)}
