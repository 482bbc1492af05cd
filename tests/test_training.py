from __future__ import annotations

import csv
import json
import math
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from img2pc.cameras import fixed_cameras
from img2pc.chamfer import chamfer_losses
from img2pc.checkpoints import load_weights
from img2pc.data.dataset import DataSettings, ShardedDataset, write_shards
from img2pc.errors import BadInputError, Img2pcError, WeightsError
from img2pc.generator import SIZES, StructureGenerator
from img2pc.images import network_input
from img2pc.losses import ViewLosses, view_losses
from img2pc.metrics import mask_iou
from img2pc.training import loop
from img2pc.training.loop import (
    Progress,
    TrainingSettings,
    _batches_of_shards,
    _novel_loss,
    _schedule,
    train,
)
from img2pc.training.muon import Muon, orthogonalised
from img2pc.views import Views

from .conftest import SHARD_SETTINGS

CONFIG = replace(SIZES["tiny"], image_size=32, encoder_channels=(16, 32, 32, 64), token_width=64)
SETTINGS = TrainingSettings(
    steps=40, batch_size=4, workers=0, accelerator="cpu", precision="32-true", seed=3
)


def log_without_times(run: Path) -> list[dict[str, str]]:
    with (run / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [{key: row[key] for key in row if key not in ("seconds", "rate")} for row in rows]


def assert_same_weights(one: Path, other: Path) -> None:
    ours, theirs = load_weights(one)[0].state_dict(), load_weights(other)[0].state_dict()
    for name in ours:
        assert torch.equal(ours[name], theirs[name]), name


@pytest.fixture(scope="module")
def uninterrupted(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "uninterrupted"
    train(run, ShardedDataset(shards), CONFIG, SETTINGS)
    return run


def test_a_few_pictures_are_learned_by_heart(shards: Path, tmp_path: Path) -> None:
    data = ShardedDataset(shards)
    config = replace(CONFIG, encoder_channels=(16, 32, 64, 64), decoder_channels=(64, 64))
    settings = replace(
        SETTINGS,
        steps=400,
        batch_size=8,
        learning_rate=5e-3,
        muon_learning_rate=0.05,
        average_decay=0.9,
    )
    reports: list[Progress] = []
    weights = train(tmp_path / "run", data, config, settings, report=reports.append)
    generator, _ = load_weights(weights)
    batch = data[list(range(8)), False]
    with torch.inference_mode():
        predicted = generator(network_input(batch.pictures()))
    assert mask_iou(predicted, batch.views()).min() > 0.8
    assert mask_iou(predicted, batch.views()).mean() > 0.9
    assert reports[-1].loss < 0.3 * reports[0].loss


def test_the_run_folder_holds_weights_checkpoint_and_log(uninterrupted: Path, shards: Path) -> None:
    assert sorted(path.name for path in uninterrupted.iterdir()) == [
        "checkpoint.pt",
        "log.csv",
        "weights.safetensors",
    ]
    _, info = load_weights(uninterrupted / "weights.safetensors")
    assert info.config == CONFIG
    assert info.samples == 160
    assert info.data == ShardedDataset(shards).hashes
    assert [row["step"] for row in log_without_times(uninterrupted)] == ["20", "40"]
    assert [row["samples"] for row in log_without_times(uninterrupted)] == ["80", "160"]


def test_weights_remember_what_those_they_started_from_had_seen(
    uninterrupted: Path, shards: Path, tmp_path: Path
) -> None:
    start = uninterrupted / "weights.safetensors"
    settings = replace(SETTINGS, steps=20, learning_rate=0.0, muon_learning_rate=0.0)
    weights = train(tmp_path / "on", ShardedDataset(shards), CONFIG, settings, start)
    _, info = load_weights(weights)
    assert info.samples == 160 + 80
    assert info.data == ShardedDataset(shards).hashes
    assert_same_weights(weights, start)


def test_a_run_goes_on_without_the_weights_that_it_started_from(
    uninterrupted: Path, shards: Path, tmp_path: Path
) -> None:
    start, data = tmp_path / "start.safetensors", ShardedDataset(shards)
    shutil.copy(uninterrupted / "weights.safetensors", start)
    train(tmp_path / "on", data, CONFIG, replace(SETTINGS, steps=1), start)
    start.unlink()
    weights = train(tmp_path / "on", data, CONFIG, replace(SETTINGS, steps=2), start)
    assert load_weights(weights)[1].samples == 160 + 8


def test_the_same_seed_gives_the_same_losses(
    uninterrupted: Path, shards: Path, tmp_path: Path
) -> None:
    train(tmp_path / "again", ShardedDataset(shards), CONFIG, SETTINGS)
    assert log_without_times(tmp_path / "again") == log_without_times(uninterrupted)
    other = replace(SETTINGS, seed=4)
    train(tmp_path / "other", ShardedDataset(shards), CONFIG, other)
    assert log_without_times(tmp_path / "other") != log_without_times(uninterrupted)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_run_goes_on_as_if_it_had_not_been_stopped(
    number: int, uninterrupted: Path, shards: Path, tmp_path: Path
) -> None:
    def stop(progress: Progress) -> None:
        assert progress.step == 20
        signal.raise_signal(number)

    # A shell has its background jobs ignore Ctrl-C, and so does training then.
    inherited, run = signal.signal(number, signal.default_int_handler), tmp_path / "run"
    try:
        weights = train(run, ShardedDataset(shards), CONFIG, SETTINGS, report=stop)
        assert signal.getsignal(number) == signal.default_int_handler
    finally:
        signal.signal(number, inherited)
    assert load_weights(weights)[1].samples == 80
    assert torch.load(run / "checkpoint.pt", weights_only=True)["step"] == 20
    train(run, ShardedDataset(shards), CONFIG, SETTINGS)
    assert log_without_times(run) == log_without_times(uninterrupted)
    assert_same_weights(weights, uninterrupted / "weights.safetensors")


def test_the_weights_are_the_running_average_of_those_of_the_steps() -> None:
    """Against a plain loop over numbers: its memory grows, to ten steps' at a decay of 0.9."""
    generator, average = StructureGenerator(CONFIG), StructureGenerator(CONFIG)
    expected = 0.0
    for step, value in enumerate(np.random.default_rng(0).random(40)):
        for parameter in generator.parameters():
            parameter.data.fill_(value)
        loop._update_average(average, generator, step, 0.9)
        memory = min(0.9, (1 + step) / (10 + step)) if step else 0
        expected = memory * expected + (1 - memory) * value
    for parameter in average.parameters():
        np.testing.assert_allclose(parameter.detach().numpy(), expected, rtol=1e-5)


def test_the_average_is_what_is_saved(uninterrupted: Path) -> None:
    saved, _ = load_weights(uninterrupted / "weights.safetensors")
    checkpoint = torch.load(uninterrupted / "checkpoint.pt", weights_only=True)
    state = saved.state_dict()
    for name, values in checkpoint["average"].items():
        torch.testing.assert_close(state[name], values, rtol=1e-3, atol=1e-4)
    assert any(
        not torch.allclose(state[name], values, rtol=1e-2, atol=1e-3)
        for name, values in checkpoint["generator"].items()
    )


def test_a_finished_run_stays_as_it_is(uninterrupted: Path, shards: Path, tmp_path: Path) -> None:
    before = log_without_times(uninterrupted)
    weights = uninterrupted / "weights.safetensors"
    shutil.copy(weights, tmp_path / "before.safetensors")
    train(uninterrupted, ShardedDataset(shards), CONFIG, SETTINGS)
    assert log_without_times(uninterrupted) == before
    assert_same_weights(weights, tmp_path / "before.safetensors")


def test_training_can_start_from_weights(uninterrupted: Path, shards: Path, tmp_path: Path) -> None:
    initial = uninterrupted / "weights.safetensors"
    still = replace(SETTINGS, steps=1, learning_rate=0.0, muon_learning_rate=1e-12)
    weights = train(tmp_path / "run", ShardedDataset(shards), CONFIG, still, initial)
    assert_same_weights(weights, initial)


def test_a_run_of_another_size_is_refused(
    uninterrupted: Path, shards: Path, tmp_path: Path
) -> None:
    data, other = ShardedDataset(shards), replace(CONFIG, token_width=32)
    with pytest.raises(BadInputError, match="another size"):
        train(uninterrupted, data, other, SETTINGS)
    with pytest.raises(WeightsError, match="another size"):
        train(tmp_path / "run", data, other, SETTINGS, uninterrupted / "weights.safetensors")


def test_a_run_of_minutes_ends_by_the_clock_and_saves_on_the_way(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(monotonic=map(float, count()).__next__)  # a second between two looks
    monkeypatch.setattr(loop, "time", clock)
    run, saved = tmp_path / "run", []
    settings = replace(SETTINGS, steps=None, minutes=1.5, checkpoint_minutes=0.1)
    train(
        *(run, ShardedDataset(shards), CONFIG, settings),
        report=lambda progress: saved.append((run / "checkpoint.pt").exists()),
    )
    assert saved
    assert all(saved)
    assert 90 <= torch.load(run / "checkpoint.pt", weights_only=True)["seconds"] < 95


def test_no_minutes_are_bad_input(shards: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="more than 0 minutes"):
        train(tmp_path / "run", ShardedDataset(shards), CONFIG, TrainingSettings(minutes=0.0))


@pytest.mark.parametrize("seed", [999_999, 1_000_000])
def test_seeds_kept_to_measure_on_are_refused(seed: int, shards: Path, tmp_path: Path) -> None:
    copy = tmp_path / "shards"
    shutil.copytree(shards, copy)
    settings = json.loads((copy / "settings.json").read_text())
    (copy / "settings.json").write_text(json.dumps(settings | {"seed": seed}))
    live = DataSettings(seed=seed, picture_size=32, view_size=32)
    for source in (ShardedDataset(shards, copy), live):
        if seed < 1_000_000:
            train(tmp_path / type(source).__name__, source, CONFIG, replace(SETTINGS, steps=1))
        else:
            with pytest.raises(BadInputError, match="kept to measure on"):
                train(tmp_path / "run", source, CONFIG, SETTINGS)


def test_data_of_another_picture_size_is_refused(shards: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="32"):
        train(tmp_path / "run", ShardedDataset(shards), SIZES["tiny"], SETTINGS)


@pytest.mark.parametrize("length", [{}, {"steps": 1, "minutes": 1.0}])
def test_the_length_is_steps_or_minutes(
    length: dict[str, float], shards: Path, tmp_path: Path
) -> None:
    with pytest.raises(BadInputError, match="either steps or minutes"):
        train(tmp_path / "run", ShardedDataset(shards), CONFIG, TrainingSettings(**length))


@pytest.mark.slow
def test_two_processes_train_together(tmp_path: Path) -> None:
    """Each takes its own batches: two of 4 pictures a step, one log, one set of weights."""
    script = tmp_path / "script.py"
    script.write_text("from img2pc.cli import main\n\nif __name__ == '__main__':\n    main()\n")
    data = tmp_path / "data"
    for command in (
        ("data", data, "--objects", "4", "--family", "mug", "--workers", "1"),
        (
            *("train", tmp_path / "run", "--data", data, "--size", "tiny", "--steps", "20"),
            *("--batch-size", "4", "--workers", "0", "--accelerator", "cpu", "--devices", "2"),
        ),
    ):
        printed = subprocess.run(
            [sys.executable, script, *map(str, command)],
            check=True,
            timeout=300,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout
    assert printed == f"{tmp_path / 'run' / 'weights.safetensors'}\n"
    assert [row["samples"] for row in log_without_times(tmp_path / "run")] == ["160"]
    assert load_weights(tmp_path / "run" / "weights.safetensors")[1].samples == 160


# --- Schedule and optimiser -----------------------------------------------------------------------


def test_convention_schedule() -> None:
    assert _schedule(0.0, 0.1) == pytest.approx(0.001 / 0.101)
    assert _schedule(0.05, 0.1) == pytest.approx(0.051 / 0.101)
    assert _schedule(0.1, 0.1) == pytest.approx(1.0)
    assert _schedule(0.55, 0.1) == pytest.approx(0.01 + 0.99 * 0.5)
    assert _schedule(1.0, 0.1) == pytest.approx(0.01)
    assert _schedule(0.325, 0.1) == pytest.approx(0.01 + 0.495 * (1 + math.sqrt(0.5)))


@pytest.mark.parametrize("shape", [(16, 16), (8, 64), (64, 8)])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e4])
def test_orthogonalised_matrices_have_singular_values_near_one(
    shape: tuple[int, int], scale: float
) -> None:
    """And the singular vectors they had: all are turned and scaled alike."""
    generator = torch.Generator().manual_seed(0)
    u, _, v = torch.linalg.svd(torch.randn(*shape, generator=generator), full_matrices=False)
    matrix = scale * u @ torch.diag(torch.linspace(0.2, 1.0, min(shape))) @ v
    result = orthogonalised(matrix)
    assert result.shape == matrix.shape
    singular = torch.linalg.svdvals(result)
    assert singular.min() > 0.6
    assert singular.max() < 1.3
    inner = u.T @ result @ v.T
    assert (inner - torch.diag(inner.diag())).abs().max() < 0.1


def test_muon_steps_do_not_depend_on_the_gradients_scale() -> None:
    steps = []
    for scale in (1.0, 1e3):
        parameter = torch.nn.Parameter(torch.zeros(4, 2, 3, 3))
        generator = torch.Generator().manual_seed(0)
        parameter.grad = scale * torch.randn(4, 2, 3, 3, generator=generator)
        Muon([parameter], lr=0.1, weight_decay=0.0).step()
        steps.append(parameter.detach().flatten(1))
    assert_close(steps[0], steps[1], atol=5e-3, rtol=0)
    assert torch.linalg.svdvals(steps[0]).min() > 0.06


def test_muon_steps_of_parts_are_those_of_matrices_apart() -> None:
    generator = torch.Generator().manual_seed(0)
    gradients = (
        torch.randn(3, 4, 4, generator=generator) * torch.tensor([1, 10, 100.0])[:, None, None]
    )
    apart = [torch.nn.Parameter(torch.zeros(4, 4)) for _ in range(3)]
    together = torch.nn.Parameter(torch.zeros(12, 4))
    together.grad = gradients.flatten(0, 1)
    for parameter, gradient in zip(apart, gradients, strict=True):
        parameter.grad = gradient.clone()
    Muon([{"params": [together], "parts": 3}]).step()
    Muon(apart).step()
    assert_close(together, torch.cat(list(apart)))


def test_muon_goes_downhill() -> None:
    target = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    parameter = torch.nn.Parameter(torch.zeros(6, 4))
    optimiser = Muon([parameter], lr=0.02, weight_decay=0.0)
    for _ in range(300):
        optimiser.zero_grad()
        (parameter - target).square().sum().backward()
        optimiser.step()
    assert (parameter - target).abs().max() < 0.1


@pytest.mark.parametrize("renderer", ["faithful", "soft"])
def test_the_joint_stage_learns_from_novel_views(
    tmp_path: Path, renderer: Literal["faithful", "soft"]
) -> None:
    novel = replace(SHARD_SETTINGS, novel_views=2, novel_size=16)
    list(write_shards(tmp_path / "data", novel, 2, workers=1))
    data = ShardedDataset(tmp_path / "data")
    batch, lost = data[list(range(4)), False], []
    for weight in (0.0, 3.0):
        settings = replace(SETTINGS, stage="joint", renderer=renderer, augmentation_share=0.0)
        settings = replace(settings, novel_weight=weight)
        generator, _ = load_weights(train(tmp_path / f"{weight}", data, CONFIG, settings))
        with torch.no_grad():
            predicted = generator(network_input(batch.pictures()))
            lost.append(_novel_loss(predicted, batch, settings))
    assert lost[1] < 0.95 * lost[0]


def test_the_joint_stage_needs_novel_views(shards: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="novel views"):
        train(tmp_path / "run", ShardedDataset(shards), CONFIG, replace(SETTINGS, stage="joint"))
    novel = replace(SHARD_SETTINGS, novel_views=2, novel_size=16)
    list(write_shards(tmp_path / "data", novel, 2, workers=1))
    mixed = ShardedDataset(shards, tmp_path / "data")
    with pytest.raises(BadInputError, match="not all of the data has novel views"):
        train(tmp_path / "run", mixed, CONFIG, replace(SETTINGS, stage="joint"))
    assert not (tmp_path / "run").exists()


def test_the_chamfer_stage_brings_points_to_the_surface(
    uninterrupted: Path, shards: Path, tmp_path: Path
) -> None:
    """More than the same steps without it, in both directions together."""
    data = ShardedDataset(shards)
    settings = replace(SETTINGS, stage="chamfer", chamfer_weight=5.0)
    batch = data[list(range(8)), False]
    totals = []
    for weights in (
        train(tmp_path / "run", data, CONFIG, settings),
        uninterrupted / "weights.safetensors",
    ):
        generator, _ = load_weights(weights)
        with torch.inference_mode():
            predicted = generator(network_input(batch.pictures()))
        draws = torch.Generator().manual_seed(0)
        totals.append(chamfer_losses(predicted, batch.views(), fixed_cameras(32), draws).total)
    assert totals[0] < 0.97 * totals[1]


def test_the_log_tells_the_loss_that_is_minimised(
    uninterrupted: Path, shards: Path, tmp_path: Path
) -> None:
    def rest(run: Path) -> float:
        row = log_without_times(run)[0]
        loss, mask, coordinates = (float(row[name]) for name in ("loss", "mask", "coordinates"))
        return loss - mask - SETTINGS.coordinate_weight * coordinates

    assert rest(uninterrupted) == pytest.approx(0, abs=1e-4)
    settings = replace(SETTINGS, steps=20, stage="chamfer")
    train(tmp_path / "run", ShardedDataset(shards), CONFIG, settings)
    assert rest(tmp_path / "run") > 0.5


# --- Long runs: compiled, on a data set that grows, brought home in parts -------------------------


def test_a_run_goes_on_from_weights_and_log_alone(
    uninterrupted: Path, shards: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for name in ("weights.safetensors", "log.csv"):
        shutil.copy(uninterrupted / name, run)
    weights = train(run, ShardedDataset(shards), CONFIG, replace(SETTINGS, steps=60))
    assert load_weights(weights)[1].samples == 240
    assert [row["step"] for row in log_without_times(run)] == ["20", "40", "60"]
    (run / "checkpoint.pt").unlink()
    # Killed since the weights were written: of what came later there is the log alone.
    with (run / "log.csv").open("a") as log:
        log.write("80,99.0,320,1,1,1,1,1\n100,120.0,40")
    weights = train(run, ShardedDataset(shards), CONFIG, replace(SETTINGS, steps=80))
    assert load_weights(weights)[1].samples == 320
    assert log_without_times(run)[-1]["step"] == "80"
    (run / "checkpoint.pt").unlink()
    with pytest.raises(BadInputError, match="another size"):
        train(run, ShardedDataset(shards), replace(CONFIG, token_width=32), SETTINGS)


def test_data_counts_as_seen_only_if_there_was_a_step(
    uninterrupted: Path, shards: Path, tmp_path: Path
) -> None:
    list(write_shards(tmp_path / "other", replace(SHARD_SETTINGS, seed=8), 2, workers=1))
    run, other = tmp_path / "run", ShardedDataset(tmp_path / "other")
    shutil.copytree(uninterrupted, run)
    assert (
        load_weights(train(run, other, CONFIG, SETTINGS))[1].data == ShardedDataset(shards).hashes
    )
    weights = train(run, other, CONFIG, replace(SETTINGS, steps=41))
    assert load_weights(weights)[1].data == (*ShardedDataset(shards).hashes, *other.hashes)


def test_faults_and_points_of_the_loss_are_drawn_apart(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One would else choose the other: both begin with a number for each picture."""
    first: list[torch.Tensor] = []

    def noting(function, place: int):
        def noted(*arguments):
            state = arguments[place].get_state()
            first.append(torch.rand(4, generator=torch.Generator().set_state(state)))
            return function(*arguments)

        return noted

    monkeypatch.setattr(loop, "augmented", noting(loop.augmented, 1))
    monkeypatch.setattr(loop, "chamfer_losses", noting(chamfer_losses, 3))
    settings = replace(SETTINGS, steps=3, stage="chamfer")
    train(tmp_path / "run", ShardedDataset(shards), CONFIG, settings)
    assert len({tuple(numbers.tolist()) for numbers in first}) == 6


@pytest.mark.parametrize("content", [{"model": {}}, {"model": Path("x")}])
def test_a_checkpoint_of_another_program_is_refused(
    content: object, shards: Path, tmp_path: Path
) -> None:
    torch.save(content, tmp_path / "checkpoint.pt")
    with pytest.raises(BadInputError, match="choose another folder"):
        train(tmp_path, ShardedDataset(shards), CONFIG, SETTINGS)


@pytest.mark.parametrize(
    "lacking", ["what had been seen", "that values have a matrix apart", "a name", "optimisers"]
)
def test_a_checkpoint_of_before_is_refused(
    lacking: str, uninterrupted: Path, shards: Path, tmp_path: Path
) -> None:
    state = torch.load(uninterrupted / "checkpoint.pt", weights_only=True)
    if lacking == "what had been seen":
        del state["samples"], state["data"]
    elif lacking == "a name":
        state["generator"]["renamed"] = state["generator"].pop("position")
    elif lacking == "optimisers":
        del state["optimisers"]
    else:
        del state["optimisers"][0]["param_groups"][1]
    torch.save(state, tmp_path / "checkpoint.pt")
    with pytest.raises(BadInputError, match="older version; delete it"):
        train(tmp_path, ShardedDataset(shards), CONFIG, SETTINGS)


def test_a_resumed_run_remembers_what_it_has_seen_before(shards: Path, tmp_path: Path) -> None:
    """Other data and a larger batch: 20 steps of 4 pictures, then 10 of 8, in steps and weights."""
    other = tmp_path / "other"
    shutil.copytree(shards, other)
    settings = json.loads((other / "settings.json").read_text())
    (other / "settings.json").write_text(json.dumps(settings | {"seed": 77}))
    run, first, second = tmp_path / "run", ShardedDataset(shards), ShardedDataset(other)
    train(run, first, CONFIG, replace(SETTINGS, steps=20))
    weights = train(run, second, CONFIG, replace(SETTINGS, steps=30, batch_size=8))
    info = load_weights(weights)[1]
    assert (info.samples, info.data) == (160, (*first.hashes, *second.hashes))
    assert [row["samples"] for row in log_without_times(run)] == ["80"]
    train(run, second, CONFIG, replace(SETTINGS, steps=40, batch_size=8))
    assert [row["samples"] for row in log_without_times(run)] == ["80", "240"]


def test_a_resumed_run_learns_at_the_rate_it_is_given(
    uninterrupted: Path, shards: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(uninterrupted, run)
    before = torch.load(run / "checkpoint.pt", weights_only=True)["generator"]
    settings = replace(
        SETTINGS, steps=50, learning_rate=0.0, muon_learning_rate=0.0, weight_decay=0.0
    )
    train(run, ShardedDataset(shards), CONFIG, settings)
    after = torch.load(run / "checkpoint.pt", weights_only=True)["generator"]
    for name, values in before.items():
        assert torch.equal(after[name], values), name


def test_weights_without_a_log_are_not_replaced(
    uninterrupted: Path, shards: Path, tmp_path: Path
) -> None:
    weights = Path(shutil.copy(uninterrupted / "weights.safetensors", tmp_path))
    with pytest.raises(BadInputError, match="--initial-weights"):
        train(tmp_path, ShardedDataset(shards), CONFIG, SETTINGS)
    assert weights.read_bytes() == (uninterrupted / weights.name).read_bytes()


def test_a_log_that_cannot_be_written_is_said(shards: Path, tmp_path: Path) -> None:
    log = tmp_path / "log.csv"

    def replace_log(progress: loop.Progress) -> None:
        log.unlink()
        log.mkdir()

    with pytest.raises(BadInputError, match=r"cannot write .*log\.csv: Is a directory"):
        train(tmp_path, ShardedDataset(shards), CONFIG, SETTINGS, report=replace_log)


def test_what_was_lost_with_a_killed_run_is_no_longer_in_its_log(
    uninterrupted: Path, shards: Path, tmp_path: Path
) -> None:
    """Its rows are written more often than its checkpoint, and the last one perhaps by half."""
    run = tmp_path / "run"
    shutil.copytree(uninterrupted, run)
    with (run / "log.csv").open("a") as log:
        log.write("60,99.0,240,9,9,9,9,9\n80,120.0,32")
    train(run, ShardedDataset(shards), CONFIG, replace(SETTINGS, steps=80))
    rows = log_without_times(run)
    assert [row["step"] for row in rows] == ["20", "40", "60", "80"]
    assert "9" not in {row["loss"] for row in rows}


def test_a_run_that_diverges_keeps_what_was_saved_last(
    uninterrupted: Path, shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    shutil.copytree(uninterrupted, run)
    before = {path.name: path.read_bytes() for path in run.glob("[cw]*")}

    def poisoned(predicted: Views, *rest: object) -> ViewLosses:
        losses = view_losses(predicted, *rest)
        return replace(losses, total=losses.total * math.nan)

    monkeypatch.setattr(loop, "view_losses", poisoned)
    with pytest.raises(Img2pcError, match="training diverged before step 60"):
        train(run, ShardedDataset(shards), CONFIG, replace(SETTINGS, steps=60))
    assert {path.name: path.read_bytes() for path in run.glob("[cw]*")} == before


def test_meshes_to_measure_on_are_not_trained_on(shards: Path, tmp_path: Path) -> None:
    folder = tmp_path / "test"
    shutil.copytree(shards, folder)
    settings = json.loads((folder / "settings.json").read_text())
    told = json.dumps({**settings, "mesh_folder": "meshes", "mesh_split": "test"})
    (folder / "settings.json").write_text(told)
    with pytest.raises(BadInputError, match="split test are kept to measure on"):
        train(tmp_path / "run", ShardedDataset(shards, folder), CONFIG, SETTINGS)


def test_data_does_not_grow_under_several_devices(shards: Path, tmp_path: Path) -> None:
    settings = replace(SETTINGS, devices=2, rescan_minutes=1.0)
    with pytest.raises(BadInputError, match="--rescan-minutes is for one device"):
        train(tmp_path / "run", ShardedDataset(shards), CONFIG, settings)


def test_bytes_that_are_no_text_in_the_log_do_no_harm(
    uninterrupted: Path, shards: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(uninterrupted, run)
    with (run / "log.csv").open("ab") as log:
        log.write(b"\xff\xfe")
    train(run, ShardedDataset(shards), CONFIG, replace(SETTINGS, steps=60))
    assert (run / "log.csv").read_text(errors="replace").splitlines()[-1].startswith("60,")


def test_gpus_that_are_not_there_are_bad_input(shards: Path, tmp_path: Path) -> None:
    there = torch.cuda.device_count()
    settings = replace(SETTINGS, accelerator="cuda", devices=there + 1)
    with pytest.raises(BadInputError, match=f"--devices {there + 1}, but there are {there} GPUs"):
        train(tmp_path / "run", ShardedDataset(shards), CONFIG, settings)


def test_new_shards_are_trained_on_as_they_appear(shards: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    first, second = sorted(shards.glob("objects-*"))
    shutil.copy(shards / "settings.json", folder)
    shutil.copy(first, folder)
    data = ShardedDataset(folder)
    settings = replace(SETTINGS, batch_size=2, rescan_minutes=0.0)
    batches = _batches_of_shards(data, settings, 0, 0, 1)
    seen = {bytes(crop) for _ in range(8) for crop in next(batches).crops.numpy()}
    assert len(seen) <= 4
    shutil.copy(second, folder)
    seen |= {bytes(crop) for _ in range(40) for crop in next(batches).crops.numpy()}
    assert len(seen) == 8


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a compiler")
@pytest.mark.slow
def test_a_compiled_run_learns_the_same(shards: Path, uninterrupted: Path, tmp_path: Path) -> None:
    train(tmp_path / "run", ShardedDataset(shards), CONFIG, replace(SETTINGS, compiled=True))
    ours, theirs = log_without_times(tmp_path / "run"), log_without_times(uninterrupted)
    assert [float(row["loss"]) for row in ours] == pytest.approx(
        [float(row["loss"]) for row in theirs], rel=0.02
    )


def test_without_a_compiler_the_run_goes_on_eagerly(
    shards: Path, uninterrupted: Path, tmp_path: Path, monkeypatch, caplog
) -> None:
    def missing(*arguments: object) -> None:
        raise RuntimeError("no C++ compiler\nand more")

    # What torch.compile itself needs takes long to import.
    monkeypatch.setattr(torch, "compile", lambda call, disable=False: call if disable else missing)
    train(tmp_path / "run", ShardedDataset(shards), CONFIG, replace(SETTINGS, compiled=True))
    assert "without torch.compile" in caplog.text
    assert log_without_times(tmp_path / "run") == log_without_times(uninterrupted)


def test_orthogonalised_matrices_of_a_stack_are_those_of_each() -> None:
    """As Muon makes them on a GPU."""
    stack = torch.randn(3, 6, 10, generator=torch.Generator().manual_seed(0))
    together = orthogonalised(stack)
    for one, expected in zip(together, map(orthogonalised, stack), strict=True):
        assert_close(one, expected, atol=0.05, rtol=0)


def test_a_damaged_checkpoint_is_said(uninterrupted: Path, shards: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(uninterrupted, run)
    checkpoint = run / "checkpoint.pt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(BadInputError, match="is damaged: delete it to go on"):
        train(run, ShardedDataset(shards), CONFIG, SETTINGS)
    checkpoint.unlink()
    (run / "log.csv").write_text("step,seconds\nx,y\n")
    with pytest.raises(BadInputError, match=r"log\.csv is damaged"):
        train(run, ShardedDataset(shards), CONFIG, SETTINGS)


def test_a_run_folder_that_cannot_be_is_said(shards: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadInputError, match="cannot write"):
        train(tmp_path / "file", ShardedDataset(shards), CONFIG, SETTINGS)


def test_an_odd_batch_of_live_objects_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        BadInputError, match="--batch-size 3 is no multiple of 2, the pictures of each"
    ):
        train(tmp_path, SHARD_SETTINGS, CONFIG, replace(SETTINGS, batch_size=3))


def test_two_processes_see_an_epoch_once() -> None:
    plans = [loop._plan(24, SETTINGS, 0, rank, 2) for rank in (0, 1)]
    seen = [item for _ in range(3) for plan in plans for item in next(plan)[0]]
    assert sorted(seen) == list(range(24))
