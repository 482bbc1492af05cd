"""Train on a machine that is lent for half an hour: render, train, measure, bring home, in calls.

    python weights/sitting.py run WORK OUT --meshes PACK --minutes 24 --call-minutes 9.3
    python weights/sitting.py run WORK OUT --meshes PACK --minutes 24 --call-minutes 9.3 --last
    python weights/sitting.py join OUT weights.safetensors
    python weights/sitting.py rehearse FOLDER

Each `run` ends by itself within --call-minutes. The next one goes on from WORK, or on a bare
machine from what an earlier one left in OUT (--parts). What follows `--` goes to `img2pc train`.
OUT receives at most seven files of at most 15 MiB.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent
COMMAND = (sys.executable, "-c", "from img2pc.cli import main; main()")
WEIGHTS, LOG, PARTS = "weights.safetensors", "log.csv", "parts.json"
PART_BYTES = 15 * 2**20
HELD_OUT_SEED = 1_000_001
BARE_SECONDS = 50  # what bare_rates takes, compilation included


@dataclass(frozen=True)
class Sitting:
    """One call.

    Attributes:
        minutes: of training, over all calls: the length of the learning rate's schedule. The last
            call cuts it to the time that is left.
        keep_free_gb: rendering ends when the disk has no more than this left.
        first_pictures: training begins when so many pictures are there.
        end_seconds: what a call needs after training; the last one also measures.
        stop_at_step: the rehearsal's clock, which does not depend on the machine's speed.
    """

    work: Path
    out: Path
    meshes: Path | None = None
    parts: Path | None = None
    minutes: float = 24.0
    call_minutes: float = 9.3
    last: bool = False
    size: str = "base"
    batch_size: int = 256
    objects: int = 400_000
    held_out: int = 160
    render_workers: int = 12
    load_workers: int = 3
    keep_free_gb: float = 8.0
    first_pictures: int = 1024
    end_seconds: tuple[float, float] = (20.0, 130.0)
    train_options: tuple[str, ...] = ("--compile",)
    accelerator: str = "auto"
    stop_at_step: int | None = None


# --- A call ---------------------------------------------------------------------------------------


def run(sitting: Sitting) -> dict[str, object]:
    """One call, from rendering to the files in OUT; returns what `sitting.json` says.

    Raises:
        SystemExit: training failed, or left no weights; `sitting.log` says why. What weights there
            are is in OUT.
    """
    begin = time.monotonic()
    deadline = begin + 60 * sitting.call_minutes
    train_until = deadline - sitting.end_seconds[sitting.last]
    training, data, held_out = (sitting.work / each for each in ("run", "data", "held-out"))
    for folder in (training, sitting.out):
        folder.mkdir(parents=True, exist_ok=True)
    if sitting.parts is not None and not (training / WEIGHTS).exists():
        # The log first: weights without one are no run that goes on.
        shutil.copy(sitting.parts / LOG, training / LOG)
        join(sitting.parts, training / WEIGHTS)
    with (sitting.out / "sitting.log").open("a") as log, ExitStack() as held_out_set:
        if sitting.last:
            measured = held_out_set.enter_context(_held_out_set(sitting, held_out, log))
        with _rendering(sitting, data, training, log) as renderer:
            _wait_for_pictures(sitting, data, renderer, train_until)
            exit_code = _train(sitting, training, data, renderer, train_until, log)
        if not (training / WEIGHTS).exists():
            raise SystemExit(f"training left no weights: see {log.name}")
        # First what must not be lost.
        split(training / WEIGHTS, sitting.out)
        shutil.copy(training / LOG, sitting.out / LOG)
        summary = _summary(sitting, training, data, begin)
        _write_summary(sitting, summary)
        if sitting.last:
            with suppress(subprocess.TimeoutExpired):
                measured.wait(max(deadline - time.monotonic() - 60, 0))
            _stop(measured)
            summary |= _held_out_means(sitting, training / WEIGHTS, held_out, deadline, log)
            _write_summary(sitting, summary)
            if deadline - time.monotonic() > BARE_SECONDS:
                summary |= bare_rates(sitting)
                _write_summary(sitting, summary)
    if exit_code:
        raise SystemExit(f"training failed ({exit_code}): see {log.name}")
    return summary


def _write_summary(sitting: Sitting, summary: dict[str, object]) -> None:
    (sitting.out / "sitting.json").write_text(json.dumps(summary, indent=1))


@contextmanager
def _tool(
    *arguments: object, log: IO[str], first: tuple[str, ...] = ()
) -> Iterator[subprocess.Popen[str]]:
    """A command of img2pc, stopped at the latest when the block ends, however that ends."""
    process = subprocess.Popen(
        [*first, *COMMAND, *map(str, arguments)],
        stdout=log,
        stderr=log,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"},
        start_new_session=True,  # so that its workers can be stopped with it
    )
    try:
        yield process
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _held_out_set(
    sitting: Sitting, folder: Path, log: IO[str]
) -> AbstractContextManager[subprocess.Popen[str]]:
    from img2pc.evaluation import TRUE_POINTS

    return _tool(
        *("data", folder, "--seed", HELD_OUT_SEED, "--objects", sitting.held_out),
        *("--pictures", 1, "--surface-points", TRUE_POINTS),
        *("--workers", min(4, sitting.render_workers)),
        log=log,
    )


def _rendering(
    sitting: Sitting, folder: Path, training: Path, log: IO[str]
) -> AbstractContextManager[subprocess.Popen[str]]:
    """Into one folder in all calls: `img2pc data` goes on where it was stopped. On a machine that
    has lost it other objects are drawn than were trained on."""
    for unfinished in folder.glob(".objects-*"):
        unfinished.unlink()
    meshes = () if sitting.meshes is None else ("--meshes", sitting.meshes)
    drawn = folder / "settings.json"
    seed = json.loads(drawn.read_text())["seed"] if drawn.exists() else 1 + _trained_steps(training)
    stages = {option.removeprefix("--stage=") for option in sitting.train_options}
    joint = ("--novel-views", 5) if "joint" in stages else ()
    return _tool(
        *("data", folder, "--objects", sitting.objects, *meshes, *joint),
        *("--seed", seed, "--workers", sitting.render_workers),
        log=log,
        first=("nice",),  # what feeds the accelerator comes first
    )


def _wait_for_pictures(
    sitting: Sitting, folder: Path, renderer: subprocess.Popen[str], until: float
) -> None:
    shard_pictures = 2 * 64
    while renderer.poll() is None and time.monotonic() < until:
        if len(list(folder.glob("objects-*"))) * shard_pictures >= sitting.first_pictures:
            return
        time.sleep(0.2)


def _train(
    sitting: Sitting,
    training: Path,
    data: Path,
    renderer: subprocess.Popen[str],
    until: float,
    log: IO[str],
) -> int:
    """The exit code."""
    minutes = sitting.minutes
    if sitting.last:
        # The learning rate has come down when time is up, whatever went before.
        # Imports, CUDA and compilation, beside the renderers; less if it is warm.
        start_up = 45.0 if (training / "checkpoint.pt").exists() else 90.0
        left = max(until - time.monotonic() - start_up, 5.0)
        minutes = min(minutes, (_trained_seconds(training) + left) / 60)
    with _tool(
        *("train", training, "--data", data, "--size", sitting.size, "--minutes", minutes),
        *("--batch-size", sitting.batch_size, "--workers", sitting.load_workers),
        *("--accelerator", sitting.accelerator, "--checkpoint-minutes", 2),
        *("--rescan-minutes", 1, *sitting.train_options),
        log=log,
    ) as process:
        while process.poll() is None and time.monotonic() < until:
            if shutil.disk_usage(sitting.work).free < 1e9 * sitting.keep_free_gb:
                _stop(renderer)
            last_step = sitting.stop_at_step
            if last_step is not None and _trained_steps(training) >= last_step:
                break
            time.sleep(0.2)
        if process.poll() is None:
            process.terminate()  # it ends after the step at hand, with all files written
            with suppress(subprocess.TimeoutExpired):
                process.wait(sitting.end_seconds[0])
    return process.wait()


def _rows(training: Path) -> list[dict[str, str]]:
    path = training / LOG
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _trained_steps(training: Path) -> int:
    rows = _rows(training)
    return int(rows[-1]["step"]) if rows else 0


def _trained_seconds(training: Path) -> float:
    rows = _rows(training)
    return float(rows[-1]["seconds"]) if rows else 0.0


# --- Figures --------------------------------------------------------------------------------------


def _summary(sitting: Sitting, training: Path, data: Path, begin: float) -> dict[str, object]:
    rows = _rows(training)
    last = rows[-1] if rows else {}
    return {
        "call_seconds": round(time.monotonic() - begin, 1),
        "shards": len(list(data.glob("objects-*"))),
        "trained_seconds": _trained_seconds(training),
        "steps": _trained_steps(training),
        "samples": int(last.get("samples", 0)),
        "loss": float(last.get("loss", "nan")),
        "iou": float(last.get("iou", "nan")),
        # The median, without the first steps of a call and what checkpoints cost.
        "pictures_per_second": statistics.median([float(row["rate"]) for row in rows] or [0.0]),
    }


def _held_out_means(
    sitting: Sitting, weights: Path, held_out: Path, deadline: float, log: IO[str]
) -> dict[str, object]:
    """The held-out set's means, or nothing, if time is up before they are known."""
    evaluation = sitting.work / "evaluation.json"
    with (
        evaluation.open("w") as file,
        _tool("evaluate", held_out, "--weights", weights, "--json", log=file) as process,
        suppress(subprocess.TimeoutExpired),
    ):
        process.wait(max(deadline - time.monotonic() - 5, 0))
    for line in evaluation.read_text().splitlines():
        if not line.startswith("{"):
            continue
        with suppress(json.JSONDecodeError):  # it was cut off
            report = json.loads(line)
            overall = report["means"][-1]
            return {"held_out": dict(zip(report["columns"], overall["values"], strict=True))}
    log.write(evaluation.read_text())
    return {}


def bare_rates(sitting: Sitting) -> dict[str, object]:
    """What the layers alone reach, forwards and backwards, with no data, loss or optimiser; and
    what one large product of matrices does."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from img2pc.generator import SIZES, StructureGenerator

    cuda = torch.cuda.is_available() and sitting.accelerator != "cpu"
    device = torch.device("cuda" if cuda else "cpu")
    kind = torch.bfloat16 if cuda else torch.float32
    generator = StructureGenerator(SIZES[sitting.size]).to(device)
    generator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    size = generator.config.image_size
    picture = torch.rand(sitting.batch_size, 4, size, size, device=device)
    picture = picture.to(memory_format=torch.channels_last)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        generator(picture[:1])
    operations = 3 * counter.get_total_flops()  # backwards twice as many as forwards
    if "--compile" in sitting.train_options:
        generator.compile()

    def step() -> None:
        with torch.autocast(device.type, kind, enabled=cuda):
            views = generator(picture)
        (views.coordinates.mean() + views.mask_logits.mean()).backward()

    side = 8192 if cuda else 512
    matrix = torch.randn(side, side, device=device, dtype=kind)
    with torch.no_grad():
        peak = 2 * side**3 / _seconds(lambda: matrix @ matrix, cuda)
    bare = sitting.batch_size / _seconds(step, cuda)
    rows = _rows(sitting.work / "run")
    rate = statistics.median([float(row["rate"]) for row in rows] or [0.0])
    return {
        "operations_per_picture": operations,
        "bare_pictures_per_second": bare,
        "share_of_bare": rate / bare,
        "matrix_operations_per_second": peak,
        "share_of_matrix": rate * operations / peak,
    }


def _seconds(work: Callable[[], object], cuda: bool) -> float:
    """Of one, the mean of ten after three to warm up."""
    import torch

    for _ in range(3):
        work()
    if cuda:
        torch.cuda.synchronize()
    begin = time.perf_counter()
    for _ in range(10):
        work()
    if cuda:
        torch.cuda.synchronize()
    return (time.perf_counter() - begin) / 10


# --- Parts ----------------------------------------------------------------------------------------


def split(file: Path, folder: Path, size: int = PART_BYTES) -> list[Path]:
    """The file in parts of at most `size` bytes, and their checksums in `parts.json`."""
    content = file.read_bytes()
    whole, parts = _checksum(content), []
    for number, start in enumerate(range(0, len(content), size)):
        parts.append(folder / f"part-{whole[:8]}-{number}")
        parts[-1].write_bytes(content[start : start + size])
    checksums = {part.name: _checksum(part.read_bytes()) for part in parts}
    # Those of an earlier call are whole until these are.
    record = folder / f"{PARTS}.new"
    record.write_text(json.dumps({"whole": whole, "parts": checksums}, indent=1))
    record.replace(folder / PARTS)
    for old in {*folder.glob("part-*")} - {*parts}:
        old.unlink()
    return parts


def join(folder: Path, file: Path) -> None:
    """The file that `split` took apart.

    Raises:
        SystemExit: a part is missing or damaged; nothing is written.
    """
    if not (folder / PARTS).exists():
        raise SystemExit(f"{folder} holds no {PARTS}")
    record = json.loads((folder / PARTS).read_text())
    content = b""
    for name, checksum in record["parts"].items():
        part = folder / name
        if not part.exists() or _checksum(part.read_bytes()) != checksum:
            raise SystemExit(f"{part} is missing or damaged")
        content += part.read_bytes()
    if _checksum(content) != record["whole"]:
        raise SystemExit(f"the parts in {folder} do not make the whole")
    file.parent.mkdir(parents=True, exist_ok=True)
    whole = file.with_name(f"{file.name}.new")
    whole.write_bytes(content)
    whole.replace(file)


def _checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# --- Rehearsal and command line -------------------------------------------------------------------


def tiny(folder: Path) -> Sitting:
    """A first call that the CPU does in seconds, and stops in the midst of an hour's schedule."""
    return Sitting(
        work=folder / "work",
        out=folder / "out-1",
        minutes=60,
        call_minutes=4,
        size="tiny",
        batch_size=4,
        objects=3,
        held_out=2,
        render_workers=1,
        load_workers=0,
        keep_free_gb=0,
        first_pictures=1,
        end_seconds=(20.0, 30.0),
        train_options=(),
        accelerator="cpu",
        stop_at_step=20,
    )


def rehearse(folder: Path) -> dict[str, object]:
    """Everything once, tiny, on the CPU: pack, render, train, stop, go on, on a bare machine too,
    evaluate, split, join, load. Returns what the last call says."""
    import trimesh

    from img2pc.checkpoints import load_weights

    meshes, pack = folder / "meshes", folder / "pack.safetensors"
    meshes.mkdir(parents=True)
    trimesh.creation.icosphere(2).export(meshes / "ball.ply")
    with (
        (folder / "pack.log").open("w") as log,
        _tool("pack", meshes, pack, log=log) as packing,
    ):
        assert packing.wait() == 0
    first = replace(tiny(folder), meshes=pack, train_options=("--stage", "chamfer"))
    stopped = run(first)
    warm = run(replace(first, out=folder / "out-2", stop_at_step=_steps(stopped) + 20))
    assert _steps(warm) > _steps(stopped)
    shutil.rmtree(first.work)
    bare = replace(first, out=folder / "out-3", parts=folder / "out-2", last=True)
    summary = run(replace(bare, stop_at_step=_steps(warm) + 20))
    assert _steps(summary) > _steps(warm)
    join(folder / "out-3", folder / "weights.safetensors")
    load_weights(folder / "weights.safetensors")
    return summary


def _steps(summary: dict[str, object]) -> int:
    return int(str(summary["steps"]))


def _parsed(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("run", help="one call")
    one.add_argument("work", type=Path)
    one.add_argument("out", type=Path)
    one.add_argument("--meshes", type=Path)
    one.add_argument("--parts", type=Path)
    for name, kind in (
        ("minutes", float),
        ("call_minutes", float),
        ("size", str),
        ("batch_size", int),
        ("objects", int),
        ("held_out", int),
        ("render_workers", int),
        ("load_workers", int),
        ("keep_free_gb", float),
        ("first_pictures", int),
    ):
        option = f"--{name.replace('_', '-')}"
        one.add_argument(option, type=kind, default=getattr(Sitting, name))
    one.add_argument("--last", action="store_true")
    one.epilog = "What follows -- goes to `img2pc train`."
    joined = commands.add_parser("join", help="make weights of parts")
    joined.add_argument("folder", type=Path)
    joined.add_argument("file", type=Path)
    rehearsal = commands.add_parser("rehearse", help="all of it, tiny, without a GPU")
    rehearsal.add_argument("folder", type=Path)
    # Not left to argparse, which takes what follows -- only beside no option.
    end = arguments.index("--") if "--" in arguments else len(arguments)
    parsed = parser.parse_args(arguments[:end])
    parsed.train_options = (*Sitting.train_options, *arguments[end + 1 :])
    return parsed


def main() -> None:
    sys.path.insert(0, str(ROOT))
    parsed = vars(_parsed(sys.argv[1:]))
    command = parsed.pop("command")
    if command == "join":
        join(parsed["folder"], parsed["file"])
    elif command == "rehearse":
        print(json.dumps(rehearse(parsed["folder"]), indent=1))
    else:
        print(json.dumps(run(Sitting(**parsed)), indent=1))


if __name__ == "__main__":
    main()
