"""Many pictures at once: the same files as one by one, whatever one of them does."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from img2pc import batch
from img2pc.batch import (
    BatchSettings,
    Outcome,
    pictures_at_once,
    run_batch,
    run_jobs,
    write_failures,
    write_results,
)
from img2pc.cloud_files import PointArrays, read_cloud
from img2pc.errors import BadInputError, Img2pcError, NotPrintableError
from img2pc.folders import Job
from img2pc.reconstruction import Reconstructor
from img2pc.views import Views
from img2pc.workers import Stop

from .in_a_process import interrupts_blocked, mesh_or_worse

SETTINGS = BatchSettings(points=200)


@pytest.fixture(scope="module")
def reconstructor(tiny_weights: Path) -> Reconstructor:
    return Reconstructor.load(tiny_weights)


@pytest.fixture(scope="module")
def pictures(chair_picture: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Nine pictures of the chair, no two alike."""
    folder = tmp_path_factory.mktemp("nine")
    for number in range(9):
        with Image.open(chair_picture) as chair:
            chair.rotate(7 * number).save(folder / f"{number}.png")
    return sorted(folder.iterdir())


@pytest.fixture
def jobs(pictures: list[Path], tmp_path: Path) -> list[Job]:
    return [Job(path, tmp_path / "clouds" / f"{path.stem}.ply") for path in pictures]


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def bad(tmp_path: Path) -> Job:
    (tmp_path / "bad.png").write_text("not a picture")
    return Job(tmp_path / "bad.png", tmp_path / "clouds" / "bad.ply")


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pictures went through the generator at once."""
    return holding(100, monkeypatch)


def holding(most: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The memory of a GPU that holds so many pictures; returns how many were tried at once."""
    sizes: list[int] = []
    views = Reconstructor.views

    def tried(self: Reconstructor, crops: Tensor) -> Views:
        sizes.append(len(crops))
        if len(crops) > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return views(self, crops)

    monkeypatch.setattr(Reconstructor, "views", tried)
    return sizes


def no_mesh(cloud: PointArrays, path: Path) -> None:
    raise AssertionError


def done(outcomes: list[Outcome]) -> list[str]:
    return sorted(outcome.picture.name for outcome in outcomes if outcome.status == "done")


def names_below(folder: Path) -> list[str]:
    """Files, hidden ones too."""
    return sorted(path.name for path in folder.rglob("*") if not path.is_dir())


NINE = [f"{number}.png" for number in range(9)]


# --- The same as one by one -----------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [None, 4, 100])
def test_clouds_are_those_of_the_pictures_one_by_one(
    reconstructor: Reconstructor, jobs: list[Job], two_threads: None, batch_size: int | None
) -> None:
    """To the rounding of float32: sums over a batch are not taken in the same order."""
    settings = BatchSettings(points=200, batch_size=batch_size)
    outcomes = list(run_batch(reconstructor, jobs, settings))
    assert done(outcomes) == NINE
    assert {outcome.points for outcome in outcomes} == {200}
    assert {outcome.foreground for outcome in outcomes} == {"alpha"}
    for job in jobs:
        alone = reconstructor(job.picture, points=200).cloud.arrays()
        together = read_cloud(job.cloud)
        np.testing.assert_allclose(together.points, alone.points, atol=1e-6)
        np.testing.assert_allclose(together.normals, alone.normals, atol=1e-4)


def test_clouds_of_batches_of_one_are_the_same_to_the_bit(
    reconstructor: Reconstructor, jobs: list[Job], two_threads: None, tmp_path: Path
) -> None:
    outcomes = list(run_batch(reconstructor, jobs[:4], BatchSettings(points=200, batch_size=1)))
    assert done(outcomes) == NINE[:4]
    for job in jobs[:4]:
        result = reconstructor(job.picture, points=200)
        write_results(result, Job(job.picture, tmp_path / "alone.ply"), no_mesh)
        assert job.cloud.read_bytes() == (tmp_path / "alone.ply").read_bytes()


def test_colours_unless_they_are_not_wanted(
    reconstructor: Reconstructor, jobs: list[Job], two_threads: None
) -> None:
    list(run_batch(reconstructor, jobs[:1], BatchSettings(points=50)))
    assert read_cloud(jobs[0].cloud).colours is not None
    list(run_batch(reconstructor, jobs[:1], BatchSettings(points=50, colour=False)))
    assert read_cloud(jobs[0].cloud).colours is None


def test_every_output_that_is_wanted_is_written(
    reconstructor: Reconstructor, pictures: list[Path], tmp_path: Path
) -> None:
    job = Job(pictures[0], tmp_path / "a/0.ply", None, tmp_path / "b/0.png", tmp_path / "c/0.png")
    (outcome,) = run_batch(reconstructor, [job], SETTINGS)
    assert outcome.outputs == (job.cloud, job.preview, job.mask)
    assert len(read_cloud(job.cloud).points) == 200
    assert Image.open(job.preview).size == (6 * 320, 320)
    assert Image.open(job.mask).size == (128, 128)
    assert names_below(tmp_path) == ["0.ply", "0.png", "0.png"]


def test_no_jobs_are_no_outcomes(reconstructor: Reconstructor) -> None:
    assert list(run_batch(reconstructor, [], SETTINGS)) == []


def test_pictures_go_through_the_generator_together(
    reconstructor: Reconstructor, jobs: list[Job], sizes: list[int]
) -> None:
    list(run_batch(reconstructor, jobs, BatchSettings(points=10, batch_size=4)))
    list(run_batch(reconstructor, jobs, BatchSettings(points=10)))
    assert sizes == [4, 4, 1, 8, 1]


def test_every_thread_has_work_however_few_pictures(
    reconstructor: Reconstructor, jobs: list[Job], two_threads: None, sizes: list[int]
) -> None:
    list(run_batch(reconstructor, jobs[:4], BatchSettings(points=10, batch_size=100)))
    assert sizes == [2, 2]


def test_pictures_that_are_kept_whole_are_fewer_at_once_on_a_gpu() -> None:
    def at_once(**outputs: Path) -> int:
        jobs = [Job(Path("a.png"), Path("a.ply"), **outputs)] * 1000
        return pictures_at_once(jobs, 1, BatchSettings(), "cuda")

    assert at_once() == at_once(mesh=Path("a.stl")) == 64
    assert at_once(mask=Path("a_mask.png")) == at_once(preview=Path("a_preview.png")) == 8


# --- Memory ---------------------------------------------------------------------------------------


def test_a_batch_that_memory_does_not_hold_goes_in_halves(
    reconstructor: Reconstructor, jobs: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = holding(3, monkeypatch)
    outcomes = list(run_batch(reconstructor, jobs, BatchSettings(points=200, batch_size=9)))
    assert done(outcomes) == NINE
    assert sizes == [9, 5, 3, 2, 4, 2, 2]
    for job in jobs:  # each still has its own views
        alone = reconstructor(job.picture, points=200).cloud.arrays()
        np.testing.assert_allclose(read_cloud(job.cloud).points, alone.points, atol=1e-6)


def test_memory_for_no_picture_at_all_fails_each_and_ends(
    reconstructor: Reconstructor, jobs: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    holding(0, monkeypatch)
    outcomes = list(run_batch(reconstructor, jobs, BatchSettings(batch_size=4)))
    assert [outcome.status for outcome in outcomes] == ["failed"] * 9
    assert outcomes[0].error == "unexpected OutOfMemoryError: CUDA out of memory"
    assert outcomes[0].exit_code == 1


def test_few_batches_are_on_their_way_at_once(
    reconstructor: Reconstructor,
    pictures: list[Path],
    tmp_path: Path,
    two_threads: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever reads the outcomes slowly holds the work up."""
    begun: list[str] = []

    def noted(_: Reconstructor, jobs: list[Job], *more: object) -> list[Outcome]:
        begun.append(jobs[0].picture.name)
        return [Outcome(job.picture, "done") for job in jobs]

    monkeypatch.setattr(batch, "run_jobs", noted)
    many = [Job(tmp_path / f"{number}.png", None) for number in range(50)]
    outcomes = run_batch(reconstructor, many, BatchSettings(batch_size=1))
    for taken in range(1, 20):
        next(outcomes)
        time.sleep(0.01)
        assert taken <= len(begun) <= taken + 2 * 2
    assert len(list(outcomes)) == 50 - 19
    assert sorted(begun) == sorted(job.picture.name for job in many)


def test_one_decodes_while_another_generates(
    reconstructor: Reconstructor,
    jobs: list[Job],
    two_threads: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first's views wait for the second's decoding: one after the other never ends well."""
    decoded = threading.Event()
    waited: list[bool] = []
    views, cut_out = Reconstructor.views, Reconstructor.cut_out

    def waiting(self: Reconstructor, crops: Tensor) -> Views:
        waited.append(decoded.wait(timeout=20))
        return views(self, crops)

    def noting(self: Reconstructor, picture: Path, *more: object) -> object:
        if picture.name == "1.png":
            decoded.set()
        return cut_out(self, picture, *more)

    monkeypatch.setattr(Reconstructor, "views", waiting)
    monkeypatch.setattr(Reconstructor, "cut_out", noting)
    outcomes = list(run_batch(reconstructor, jobs[:2], BatchSettings(points=10, batch_size=1)))
    assert waited == [True, True]
    assert done(outcomes) == NINE[:2]


# --- One that fails -------------------------------------------------------------------------------


def test_one_bad_picture_fails_alone(
    reconstructor: Reconstructor, jobs: list[Job], bad: Job
) -> None:
    outcomes = list(run_batch(reconstructor, [*jobs[:2], bad, *jobs[2:]], SETTINGS))
    assert done(outcomes) == NINE
    (failed,) = (outcome for outcome in outcomes if outcome.status == "failed")
    assert failed == Outcome(
        bad.picture,
        "failed",
        error=f"{bad.picture} is not an image that can be read",
        exit_code=3,
    )
    assert names_below(bad.cloud.parent) == [f"{number}.ply" for number in range(9)]


def test_a_batch_of_bad_pictures_alone(reconstructor: Reconstructor, bad: Job) -> None:
    outcomes = list(run_batch(reconstructor, [bad, bad], BatchSettings(batch_size=2)))
    assert [outcome.status for outcome in outcomes] == ["failed", "failed"]


@pytest.mark.parametrize("stage", ["cut_out", "fuse"])
def test_what_nobody_expected_of_one_picture_fails_it_alone(
    reconstructor: Reconstructor, jobs: list[Job], monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    real, calls = getattr(Reconstructor, stage), []

    def broken(self: Reconstructor, *arguments: object) -> object:
        calls.append(stage)
        if len(calls) == 4:
            raise ZeroDivisionError("out of the blue")
        return real(self, *arguments)

    monkeypatch.setattr(Reconstructor, stage, broken)
    outcomes = list(run_batch(reconstructor, jobs, SETTINGS))
    assert done(outcomes) == [name for name in NINE if name != "3.png"]
    (failed,) = (outcome for outcome in outcomes if outcome.status == "failed")
    assert failed.picture == jobs[3].picture
    assert failed.error == "unexpected ZeroDivisionError: out of the blue"
    assert failed.exit_code == 1


def test_what_nobody_expected_of_the_generator_fails_one_batch(
    reconstructor: Reconstructor, jobs: list[Job], bad: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = Reconstructor.views, []

    def broken(self: Reconstructor, crops: UInt8[Tensor, "..."]) -> Views:
        calls.append(len(crops))
        if len(calls) == 1:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return real(self, crops)

    monkeypatch.setattr(Reconstructor, "views", broken)
    outcomes = list(run_batch(reconstructor, [bad, *jobs], BatchSettings(points=9, batch_size=4)))
    assert calls == [3, 4, 2]
    assert done(outcomes) == NINE[3:]
    errors = [outcome.error for outcome in outcomes if outcome.status == "failed"]
    assert len(errors) == 4
    assert sum("can't allocate memory" in error for error in errors) == 3


def test_a_picture_in_which_nothing_is_seen_fails_alone(
    reconstructor: Reconstructor, jobs: list[Job], tmp_path: Path
) -> None:
    Image.new("RGB", (50, 50), "white").save(tmp_path / "white.png")
    white = Job(tmp_path / "white.png", tmp_path / "white.ply")
    outcomes = list(run_batch(reconstructor, [white, jobs[0]], SETTINGS))
    assert sorted((outcome.picture.name, outcome.status) for outcome in outcomes) == [
        ("0.png", "done"),
        ("white.png", "failed"),
    ]
    assert names_below(tmp_path) == ["0.ply", "white.png"]


def test_a_folder_that_cannot_be_made_fails_its_pictures(
    reconstructor: Reconstructor, jobs: list[Job], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    into_a_file = Job(jobs[0].picture, tmp_path / "file" / "deep" / "0.ply")
    outcomes = list(run_batch(reconstructor, [into_a_file, *jobs[1:]], SETTINGS))
    assert done(outcomes) == NINE[1:]
    (failed,) = (outcome for outcome in outcomes if outcome.status == "failed")
    assert failed.error == f"cannot write {into_a_file.cloud}: Not a directory"
    assert failed.exit_code == 3


def test_a_mesh_that_cannot_be_printed_fails_its_picture_and_leaves_the_cloud(
    reconstructor: Reconstructor, pictures: list[Path], tmp_path: Path
) -> None:
    def refused(cloud: PointArrays, path: Path) -> tuple[str, ...]:
        if path.stem == "1":
            raise NotPrintableError("two bodies")
        path.write_text(str(len(cloud.points)))
        return ("a leg is loose",)

    jobs = [
        Job(path, tmp_path / f"{path.stem}.ply", tmp_path / f"{path.stem}.stl")
        for path in pictures[:3]
    ]
    outcomes = run_jobs(reconstructor, jobs, SETTINGS, refused)
    assert done(outcomes) == ["0.png", "2.png"]
    (failed,) = (outcome for outcome in outcomes if outcome.status == "failed")
    assert (failed.error, failed.exit_code) == ("two bodies", 5)
    assert names_below(tmp_path) == ["0.ply", "0.stl", "1.ply", "2.ply", "2.stl"]
    assert int((tmp_path / "2.stl").read_text()) > 1000  # of all, whatever is kept of the cloud


# --- Meshes in processes of their own -------------------------------------------------------------

TWO_POINTS = PointArrays(np.zeros((2, 3)), np.ones((2, 3)))


def test_meshes_are_made_in_a_process_and_one_that_is_killed_fails_one_mesh(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("img2pc.meshing.mesh_to_file", mesh_or_worse)
    with batch._mesh_processes(None, Stop()) as write:
        write(TWO_POINTS, tmp_path / "first.stl")
        with pytest.raises(NotPrintableError, match="two bodies"):
            write(TWO_POINTS, tmp_path / "refuse.stl")
        with pytest.raises(Img2pcError, match=r"the process that made .*die.stl was killed"):
            write(TWO_POINTS, tmp_path / "die.stl")
        write(TWO_POINTS, tmp_path / "last.stl")
    assert names_below(tmp_path) == ["first.stl", "last.stl"]
    first, last = ((tmp_path / f"{name}.stl").read_text().split() for name in ("first", "last"))
    assert first[0] == "2"
    assert len({str(os.getpid()), first[1], last[1]}) == 3
    # Ctrl-C is this process's to handle.
    assert first[2:] == last[2:] == ["True", str(sys.platform != "win32")]
    assert not interrupts_blocked()


def test_a_mesh_whose_process_was_meant_to_end_is_no_failure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`timeout` and Slurm end every process; an earlier run's failures stay what they were."""
    monkeypatch.setattr("img2pc.meshing.mesh_to_file", mesh_or_worse)
    stop, outcomes = Stop(), list[Outcome]()
    with batch._mesh_processes(None, stop) as write:
        stop.asked = True
        with batch._failures_of(Job(tmp_path / "a.png", None), outcomes):
            write(TWO_POINTS, tmp_path / "die.stl")
    assert outcomes == []


def test_meshes_are_made_in_no_more_processes_than_there_are_threads(
    reconstructor: Reconstructor,
    pictures: list[Path],
    tmp_path: Path,
    two_threads: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("img2pc.meshing.mesh_to_file", mesh_or_worse)
    jobs = [
        Job(path, tmp_path / f"{path.stem}.ply", tmp_path / f"{path.stem}.stl")
        for path in pictures[:4]
    ]
    outcomes = list(run_batch(reconstructor, jobs, BatchSettings(points=10, batch_size=1)))
    assert done(outcomes) == NINE[:4]
    wrote = {(tmp_path / f"{number}.stl").read_text().split()[1] for number in range(4)}
    assert str(os.getpid()) not in wrote
    assert 1 <= len(wrote) <= 2


# --- The end --------------------------------------------------------------------------------------


def test_closing_ends_the_work_with_the_picture_at_hand(
    reconstructor: Reconstructor,
    jobs: list[Job],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun, at_hand, cut_out = [], threading.Event(), Reconstructor.cut_out
    stop = Stop()

    def slow(self: Reconstructor, picture: Path, *more: object) -> object:
        begun.append(picture.name)
        if picture.name == "1.png":
            at_hand.set()
            begin = time.monotonic()
            while not stop.asked and time.monotonic() < begin + 20:  # closing asks for it
                time.sleep(0.01)
        return cut_out(self, picture, *more)

    monkeypatch.setattr(Reconstructor, "cut_out", slow)
    outcomes = run_batch(reconstructor, jobs, BatchSettings(points=10, batch_size=1), stop)
    assert next(outcomes).status == "done"
    assert at_hand.wait(timeout=20)
    outcomes.close()
    assert begun == ["0.png", "1.png"]
    assert names_below(tmp_path) == ["0.ply"]
    assert len(read_cloud(jobs[0].cloud).points) == 10


def test_who_asks_for_the_end_is_told_of_the_pictures_at_hand(
    reconstructor: Reconstructor, jobs: list[Job], tmp_path: Path
) -> None:
    stop = Stop()
    outcomes = run_batch(reconstructor, jobs, BatchSettings(points=10, batch_size=1), stop)
    told = [next(outcomes)]
    stop.asked = True
    told += outcomes
    assert 1 <= len(told) <= 3  # two at most are on their way
    assert names_below(tmp_path) == sorted(outcome.outputs[0].name for outcome in told)


def test_the_end_of_all_is_not_for_having_been_asked(
    reconstructor: Reconstructor, jobs: list[Job]
) -> None:
    stop = Stop()
    assert len(list(run_batch(reconstructor, jobs, SETTINGS, stop))) == len(jobs)
    assert not stop.asked


@pytest.mark.parametrize("stage", ["cut_out", "views", "fuse"])
def test_within_a_batch_too_nothing_begins_after_the_end(
    reconstructor: Reconstructor, jobs: list[Job], monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    stop, calls = Stop(), []
    for name in ("cut_out", "views", "fuse"):
        real = getattr(Reconstructor, name)

        def noted(self: object, *arguments: object, name: str = name, real=real) -> object:
            calls.append(name)
            if name == stage:
                stop.asked = True
            return real(self, *arguments)

        monkeypatch.setattr(Reconstructor, name, noted)
    outcomes = run_jobs(reconstructor, jobs, SETTINGS, no_mesh, stop)
    nine = ["cut_out"] * 9
    expected = {"cut_out": ["cut_out"], "views": [*nine, "views"], "fuse": [*nine, "views", "fuse"]}
    assert calls == expected[stage]
    assert len(outcomes) == (1 if stage == "fuse" else 0)


def test_threads_are_as_many_after_as_before(
    reconstructor: Reconstructor, jobs: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    within: list[int] = []
    views = Reconstructor.views

    def noted(self: Reconstructor, crops: Tensor) -> Views:
        within.append(torch.get_num_threads())
        return views(self, crops)

    monkeypatch.setattr(Reconstructor, "views", noted)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        outcomes = run_batch(reconstructor, jobs[:3], SETTINGS)
        next(outcomes)
        outcomes.close()
        assert set(within) == {1}
        assert torch.get_num_threads() == 3
        after: list[int] = []
        later = threading.Thread(target=lambda: after.append(torch.get_num_threads()))
        later.start()
        later.join()
        assert after == [3]
    finally:
        torch.set_num_threads(before)


# --- Outcomes -------------------------------------------------------------------------------------


def test_an_outcome_is_one_line_of_json_whatever_the_name() -> None:
    name = "new\nline 👩‍🚀 " + os.fsdecode(b"\xff") + ".png"
    outcome = Outcome(Path(name), "done", (Path("a.ply"),), 5, "alpha", ("small",))
    line = outcome.as_json()
    assert line.isascii()
    assert "\n" not in line
    assert json.loads(line) == {
        "picture": name,
        "status": "done",
        "outputs": ["a.ply"],
        "points": 5,
        "foreground": "alpha",
        "warnings": ["small"],
        "exit_code": 0,
    }


def test_failures_are_lines_and_none_are_no_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "failures.jsonl"
    good = Outcome(Path("a.png"), "done")
    bad = Outcome(Path("b.png"), "failed", error="not a\npicture", exit_code=3)
    write_failures(path, [good, bad])
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {"picture": "b.png", "status": "failed", "error": "not a\npicture", "exit_code": 3}
    ]
    write_failures(path, [good])
    assert not path.exists()
    write_failures(path, [good])


def test_failures_of_pictures_not_tried_again_stay_when_interrupted(tmp_path: Path) -> None:
    path = tmp_path / "failures.jsonl"
    first, other = (Outcome(Path(name), "failed", error="no") for name in ("a.png", "b.png"))
    write_failures(path, [first, other])
    write_failures(path, [replace(first, error="still no")], interrupted=True)
    told = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(each["picture"], each["error"]) for each in told] == [
        ("b.png", "no"),
        ("a.png", "still no"),
    ]
    write_failures(path, [Outcome(Path("b.png"), "done")], interrupted=True)
    assert path.read_text().count("\n") == 1


def test_failures_that_cannot_be_written_are_an_error_of_ours(tmp_path: Path) -> None:
    bad = Outcome(Path("b.png"), "failed", error="no", exit_code=3)
    (tmp_path / "file").touch()
    with pytest.raises(BadInputError, match="cannot write"):
        write_failures(tmp_path / "file" / "failures.jsonl", [bad])
    (tmp_path / "folder").mkdir()
    for outcomes in ([bad], []):
        with pytest.raises(BadInputError, match="cannot write"):
            write_failures(tmp_path / "folder", outcomes)
