"""The same work by Ray Data: the same files, byte for byte."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from img2pc.batch import BatchSettings, Outcome, run_batch
from img2pc.errors import BadInputError
from img2pc.folders import Job
from img2pc.ray_batch import run_on_ray
from img2pc.reconstruction import Reconstructor

from .conftest import Ran, assert_one_line

# Not by importing it, which takes seconds in each process that collects tests.
pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="needs img2pc[ray]")
SETTINGS = BatchSettings(points=300, batch_size=1)


@pytest.fixture
def photos(chair_picture: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a.png", "c.png", "d.png"):
        shutil.copy(chair_picture, folder / name)
    (folder / "bad.png").write_text("bad")
    return folder


def test_outcomes_and_files_are_those_of_threads(
    photos: Path,
    tiny_weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """On a Ray of two processes; paths are relative, as in most commands."""
    import ray

    real = ray.init
    few = {"num_cpus": 2, "include_dashboard": False, "object_store_memory": 100 << 20}
    monkeypatch.setattr(ray, "init", lambda *given, **more: real(*given, **few, **more))
    monkeypatch.chdir(tmp_path)

    def jobs(clouds: str) -> list[Job]:
        return [
            Job(path, Path(clouds, f"{path.stem}.ply"), mask=Path(clouds, f"{path.stem}.png"))
            for path in sorted(Path("photos").iterdir())
        ]

    threads = list(run_batch(Reconstructor.load(tiny_weights), jobs("threads"), SETTINGS))
    weights = Path("weights.safetensors")
    shutil.copy(tiny_weights, weights)
    actors = list(run_on_ray(jobs("actors"), SETTINGS, weights))
    assert not ray.is_initialized()
    said = capfd.readouterr()
    assert "Dataset" not in said.err + said.out
    assert sorted(map(facts, actors)) == sorted(map(facts, threads))
    (failed,) = (outcome for outcome in actors if outcome.status == "failed")
    assert failed.picture == Path("photos/bad.png")
    assert failed.exit_code == 3
    assert str(failed.error).endswith("photos/bad.png is not an image that can be read")
    by_threads, by_actors = (
        {path.name: path.read_bytes() for path in Path(folder).iterdir()}
        for folder in ("threads", "actors")
    )
    assert sorted(by_threads) == ["a.ply", "a.png", "c.ply", "c.png", "d.ply", "d.png"]
    assert by_actors == by_threads
    assert {outcome.outputs[0] for outcome in actors if outcome.outputs} == {
        Path("actors", f"{name}.ply") for name in "acd"
    }


class Deadly(Job):
    """Ends the process that unpickles it."""

    def __reduce__(self) -> tuple[object, ...]:
        return os._exit, (1,)


@pytest.mark.slow
def test_a_process_that_is_killed_fails_its_pictures_and_no_other(
    photos: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    jobs = [Job(photos / "a.png", tmp_path / "a.ply"), Job(photos / "c.png", tmp_path / "c.ply")]
    jobs.insert(1, Deadly(photos / "d.png", tmp_path / "d.ply"))
    settings = replace(SETTINGS, batch_size=3)
    outcomes = {
        outcome.picture.name: outcome for outcome in run_on_ray(jobs, settings, tiny_weights)
    }
    assert {name: each.status for name, each in outcomes.items()} == {
        "a.png": "done",
        "c.png": "done",
        "d.png": "failed",
    }
    assert "killed" in str(outcomes["d.png"].error)


def facts(outcome: Outcome) -> tuple[object, ...]:
    """All but the outputs' folder and the failure's absolute path."""
    names = [path.name for path in outcome.outputs]
    return (
        *(str(outcome.picture), outcome.status, names, outcome.points or 0),
        *(str(outcome.foreground), outcome.warnings, outcome.exit_code),
    )


@pytest.mark.slow
def test_a_folder_on_ray_as_a_user_runs_it(
    img2pc: Callable[..., Ran], photos: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    arguments = ("reconstruct", photos, "-o", tmp_path / "clouds", "--weights", tiny_weights)
    ran = img2pc(*arguments, "--ray")
    assert ran.code == 6
    assert "3 done, 0 skipped, 1 failed" in ran.err
    assert sorted(path.name for path in (tmp_path / "clouds").iterdir()) == [
        *("a.ply", "c.ply", "d.ply", "failures.jsonl")
    ]


def test_nothing_left_to_do_starts_no_cluster(
    img2pc: Callable[..., Ran],
    photos: Path,
    tiny_weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import ray

    monkeypatch.setattr(ray, "init", lambda *given, **more: pytest.fail("a cluster"))
    (photos / "bad.png").unlink()
    arguments = ("reconstruct", photos, "-o", tmp_path / "clouds", "--weights", tiny_weights)
    assert img2pc(*arguments).code == 0
    ran = img2pc(*arguments, "--ray")
    assert (ran.code, ran.out) == (0, "")
    assert "0 done, 3 skipped" in ran.err


def test_a_cluster_without_the_gpu_that_is_asked_for(
    photos: Path,
    tiny_weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Ray waits for one, which may come, and says nothing."""
    import ray
    import ray.data

    for name in ("init", "shutdown"):
        monkeypatch.setattr(ray, name, lambda *given, **more: None)
    monkeypatch.setattr(ray.data, "from_items", lambda *given, **more: 1 / 0)
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 8.0})
    jobs = [Job(photos / "a.png", tmp_path / "a.ply")]
    for device in ("cpu", "cuda"):
        caplog.clear()
        with pytest.raises(ZeroDivisionError):
            next(run_on_ray(jobs, SETTINGS, tiny_weights, device, "auto"))
        assert ("has no GPU" in caplog.text) == (device == "cuda")


def test_an_address_that_does_not_answer_is_one_line(
    img2pc: Callable[..., Ran], photos: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    with socket.socket() as taken:  # and listens not
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        for given in (address, f"ray://{address}", "127.0.0.1:99999"):
            ran = img2pc(
                *("reconstruct", photos, "-o", tmp_path / "clouds", "--weights", tiny_weights),
                *("--ray-address", given),
            )
            assert (ran.code, ran.out) == (3, "")
            assert_one_line(ran.err)
            assert f"cannot reach a Ray cluster at {given}: " in ran.err
    assert not (tmp_path / "clouds").exists()


def test_without_ray_it_is_said_how_to_install_it(
    photos: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(BadInputError, match=r'pip install "img2pc\[ray\]"'):
        run_on_ray([Job(photos / "a.png", None)], SETTINGS, tiny_weights)


def test_weights_are_judged_before_there_is_a_cluster(
    img2pc: Callable[..., Ran], photos: Path, tmp_path: Path
) -> None:
    ran = img2pc("reconstruct", photos, "--ray", "--weights", tmp_path / "missing.safetensors")
    assert ran.code == 4
    assert_one_line(ran.err)
