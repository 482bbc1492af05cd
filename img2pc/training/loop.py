"""The training loop, top to bottom: data → generator → losses → optimisers → checkpoint."""

from __future__ import annotations

import copy
import csv
import ctypes
import io
import logging
import math
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import lightning_fabric
import torch
from jaxtyping import Float

from img2pc.cameras import OrthographicCameras, fixed_cameras
from img2pc.chamfer import chamfer_losses
from img2pc.checkpoints import WeightsInfo, load_weights, save_weights
from img2pc.choices import Renderer, Stage
from img2pc.data.dataset import (
    FIRST_HELD_OUT_SEED,
    Batch,
    DataSettings,
    LiveDataset,
    ShardedDataset,
    batch_of_objects,
    check_sizes,
)
from img2pc.errors import BadInputError, Img2pcError, WeightsError
from img2pc.files import exists, write_errors, written_atomically
from img2pc.fusion import points_from_views
from img2pc.generator import GeneratorConfig, StructureGenerator
from img2pc.images import network_input
from img2pc.losses import rendered_losses, view_losses
from img2pc.metrics import mask_iou
from img2pc.pseudo_renderer import render
from img2pc.training.augmentation import augmented
from img2pc.training.muon import Muon
from img2pc.views import Views
from img2pc.workers import Stop, stopped_by_interrupt

# Of the optimisers: what a resumed run takes from its call, not from the checkpoint.
_OF_THE_CALL = ("peak", "weight_decay")
LOG_COLUMNS = ("step", "seconds", "samples", "loss", "mask", "coordinates", "iou", "rate")


@dataclass(frozen=True)
class TrainingSettings:
    """How to train. Exactly one of `steps` and `minutes` is given: the length of the schedule.

    Attributes:
        minutes: training time, over all resumed sittings; losses then depend on the machine's
            speed. With `steps` the same seed gives the same losses, on a CPU.
        batch_size: pictures a step and device.
        average_decay: of the exponential moving average of the weights, which is what is saved.
        stage: "views" compares the views at the fixed cameras (stage 1); "joint" also what the
            fused points look like from novel viewpoints, through a pseudo-renderer (stage 2);
            "chamfer" also how far they are from the true surface, and it from them.
        augmentation_share: of pictures that get each of the faults of `augmentation`; three times
            as many are in another light.
        precision: of Lightning Fabric; "auto" is bf16-mixed where the hardware has it.
        compiled: by torch.compile; where there is no compiler the run warns and does without.
        rescan_minutes: how often to look for new shards, which `img2pc data` may be writing; the
            batches then depend on when they appear.
    """

    steps: int | None = None
    minutes: float | None = None
    batch_size: int = 32
    learning_rate: float = 8e-4
    muon_learning_rate: float = 0.02
    weight_decay: float = 0.01
    warm_up_share: float = 0.03
    gradient_norm: float = 1.0
    average_decay: float = 0.999
    coordinate_weight: float = 3.0
    stage: Stage = "views"
    renderer: Renderer = "soft"
    novel_weight: float = 1.0
    chamfer_weight: float = 1.0
    completeness_weight: float = 1.0
    augmentation_share: float = 0.2
    seed: int = 0
    workers: int = 1
    checkpoint_minutes: float = 5.0
    accelerator: str = "cpu"
    devices: int = 1
    precision: str = "auto"
    compiled: bool = False
    rescan_minutes: float | None = None


@dataclass(frozen=True)
class Progress:
    """What the loop tells its caller after each logged step."""

    step: int
    share: float
    samples_per_second: float
    loss: float
    mask_iou: float


def train(
    run_folder: Path,
    data: ShardedDataset | DataSettings,
    config: GeneratorConfig,
    settings: TrainingSettings,
    initial_weights: Path | None = None,
    report: Callable[[Progress], None] = lambda progress: None,
) -> Path:
    """Train and return the weights' path.

    The run folder receives `checkpoint.pt` (to resume from), `weights.safetensors` (the averaged
    weights so far) and `log.csv` (whose `loss` is all that is minimised). A run that finds a
    checkpoint goes on from it; one that finds weights and log alone (a tenth of its size) from
    those, with new optimisers. SIGINT and SIGTERM end the run after the step at hand, with both
    files written.

    Source: Lin et al. 2018, sec. 4.1.

    Raises:
        BadInputError: no length given, data of other sizes than the generator's or of seeds kept to
            measure on, a checkpoint of another generator, or GPUs that are not there.
        Img2pcError: training diverged; the run folder keeps what was saved last.
        WeightsError: the initial weights, which only the first call reads, are missing, damaged or
            of another generator.
    """
    if (settings.steps is None) == (settings.minutes is None):
        raise BadInputError("give the length of training as either steps or minutes")
    if settings.minutes is not None and settings.minutes <= 0:
        raise BadInputError("give training more than 0 minutes")
    check_sizes(data, config)
    if max(data.seeds) >= FIRST_HELD_OUT_SEED:
        raise BadInputError(f"seeds from {FIRST_HELD_OUT_SEED} on are kept to measure on")
    if isinstance(data, ShardedDataset) and "test" in data.splits:
        raise BadInputError("meshes of the split test are kept to measure on")
    if settings.stage == "joint" and not data.has_novel_views:
        raise BadInputError(
            "not all of the data has novel views, as many of each object; make it with "
            "--novel-views 5"
        )
    if settings.accelerator == "cuda" and settings.devices > torch.cuda.device_count():
        raise BadInputError(
            f"--devices {settings.devices}, but there are {torch.cuda.device_count()} GPUs"
        )
    if settings.devices > 1 and settings.rescan_minutes is not None:
        # Each would see new shards at another step, and plan other batches than the rest.
        raise BadInputError("--rescan-minutes is for one device; leave it or --devices out")
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    fabric = lightning_fabric.Fabric(
        accelerator=settings.accelerator,
        devices=settings.devices,
        precision=_precision(settings),  # type: ignore[arg-type]
    )
    fabric.launch()
    if fabric.device.type == "cpu":
        _keep_freed_memory()
    torch.backends.cudnn.benchmark = True  # all batches have one size
    fabric.seed_everything(settings.seed, verbose=False)
    with write_errors(run_folder):
        run_folder.mkdir(parents=True, exist_ok=True)
    weights_path = run_folder / "weights.safetensors"

    generator, before = _initial(config, None if goes_on(run_folder) else initial_weights)
    generator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = copy.deepcopy(generator).to(fabric.device)
    model, *optimisers = fabric.setup(generator, *_optimisers(generator, settings))
    step, seconds, before = _resume(run_folder, fabric, generator, average, optimisers, before)
    samples = before.samples
    if settings.compiled:
        _compile(generator, model, settings.batch_size, fabric)
        if isinstance(data, ShardedDataset) and settings.rescan_minutes is not None:
            data.grow()  # compiling takes a minute

    batches = _batches(data, settings, step, fabric)

    def save() -> None:
        if not all(bool(each.isfinite().all()) for each in average.parameters()):
            raise Img2pcError(
                f"training diverged before step {step}; try a lower --learning-rate ({run_folder} "
                "keeps what was saved last)"
            )
        if not fabric.is_global_zero:
            return
        # A run that was done already has seen nothing of this call's data.
        seen = data.hashes if samples > before.samples else ()
        hashes = tuple(dict.fromkeys((*before.data, *seen)))
        info = WeightsInfo(config, hashes, samples)
        state = {
            "config": repr(config),
            "samples": info.samples,
            "data": info.data,
            "step": step,
            "seconds": seconds,
            "generator": generator.state_dict(),
            "average": average.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in optimisers],
        }
        # In memory first: what PyTorch raises on a full disk says nothing of it.
        torch.save(state, content := io.BytesIO())
        with written_atomically(run_folder / "checkpoint.pt") as temporary:
            temporary.write_bytes(content.getbuffer())
        save_weights(weights_path, average, info)

    saved = logged = time.monotonic()
    logged_samples = samples
    log_path = run_folder / "log.csv" if fabric.is_global_zero else Path(os.devnull)
    if fabric.is_global_zero:
        _begin_log(log_path, step)
    stop = Stop()
    with stopped_by_interrupt(stop):
        lap = time.monotonic()
        while True:
            # Clocks and signals differ between processes; the first one's count for all.
            share, stopping = fabric.broadcast((_share_done(settings, step, seconds), stop.asked))
            if share >= 1 or stopping:
                break
            for optimiser in optimisers:
                for group in optimiser.param_groups:
                    group["lr"] = group["peak"] * _schedule(share, settings.warm_up_share)
            batch = next(batches).to(fabric.device)
            lot = settings.seed * 1_000_003 + step * fabric.world_size + fabric.global_rank
            lots = torch.Generator().manual_seed(lot)
            pictures = augmented(batch.pictures(), lots, settings.augmentation_share)
            predicted = model(network_input(pictures))
            true = batch.views()
            losses = view_losses(predicted, true, settings.coordinate_weight)
            total = losses.total
            if settings.stage == "joint":
                total = total + settings.novel_weight * _novel_loss(predicted, batch, settings)
            elif settings.stage == "chamfer":
                total = total + settings.chamfer_weight * _chamfer_loss(
                    predicted, true, settings, lot
                )
            fabric.backward(total)
            torch.nn.utils.clip_grad_norm_(generator.parameters(), settings.gradient_norm)
            for optimiser in optimisers:
                optimiser.step()
                optimiser.zero_grad()
            _update_average(average, generator, step, settings.average_decay)
            step += 1
            samples += len(pictures) * fabric.world_size
            now = time.monotonic()
            seconds, lap = seconds + now - lap, now

            if step % 20 == 0:
                rate = (samples - logged_samples) / (now - logged)
                logged, logged_samples = now, samples
                # Of some: masks of large batches take longer than their step on a GPU.
                some = slice(16)
                iou = mask_iou(predicted.at(some), true.at(some)).mean().item()
                values = [total.item(), losses.mask.item(), losses.coordinates.item(), iou]
                row = [step, round(seconds, 1), samples]
                with write_errors(log_path), log_path.open("a", newline="") as log:
                    texts = *(f"{value:.5f}" for value in values), f"{rate:.1f}"
                    csv.writer(log).writerow([*row, *texts])
                if fabric.is_global_zero:
                    report(Progress(step, share, rate, values[0], iou))
            if time.monotonic() - saved > 60 * settings.checkpoint_minutes:
                save()
                saved = time.monotonic()
        save()
    return weights_path


def _begin_log(path: Path, step: int) -> None:
    """The rows up to a step, after headings: what an earlier call wrote beyond was lost with it,
    and done again is written again."""
    rows: list[list[str]] = []
    with write_errors(path):
        if path.exists():
            with path.open(newline="", errors="replace") as log:
                rows = [row for row in csv.reader(log) if len(row) == len(LOG_COLUMNS)]
        done = [row for row in rows if row[0].isdecimal() and int(row[0]) <= step]
        with written_atomically(path) as temporary, temporary.open("w", newline="") as log:
            csv.writer(log).writerows([LOG_COLUMNS, *done])


def _novel_loss(
    predicted: Views, batch: Batch, settings: TrainingSettings
) -> Float[torch.Tensor, ""]:
    """How the fused points, unfiltered, differ from the object at its novel viewpoints."""
    true, cameras = batch.novel_views()
    # As many points a view as the novel views have pixels.
    stride = max(1, predicted.depth.shape[-1] // cameras.image_size)
    rows = slice(stride // 2, None, stride)
    thinned = Views(
        predicted.coordinates[..., rows, rows, :], predicted.mask_logits[..., rows, rows]
    )
    fixed = _fixed_cameras_on(predicted.depth.device, predicted.depth.shape[-1])
    points = points_from_views(thinned, fixed)
    rendered = render(
        points.flatten(-3, -2), thinned.mask_logits.flatten(-3), cameras, settings.renderer
    )
    return rendered_losses(rendered, true, settings.coordinate_weight).total


def _chamfer_loss(
    predicted: Views, true: Views, settings: TrainingSettings, lot: int
) -> Float[torch.Tensor, ""]:
    """How far the points are from the true surface and it from them; other points each lot."""
    # With the lot itself it would draw the numbers that chose the pictures' faults.
    generator = torch.Generator(true.depth.device).manual_seed(~lot)
    cameras = _fixed_cameras_on(true.depth.device, true.depth.shape[-1])
    weight = settings.completeness_weight
    return chamfer_losses(predicted, true, cameras, generator, weight).total


@cache
def _fixed_cameras_on(device: torch.device, image_size: int) -> OrthographicCameras:
    """The eight cameras there: copied once, since a GPU would wait for it in every step."""
    return fixed_cameras(image_size).to(torch.empty(0, device=device))


def _keep_freed_memory() -> None:
    """Have glibc keep what a step frees for the next one.

    It would give all that is large back to the system, which clears it anew each time.
    """
    # glibc's malloc.h; musl and macOS have no such function, or one that does nothing.
    trim_threshold, top_pad, mmap_max = -1, -2, -4
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(mmap_max, 0)
        mallopt(trim_threshold, -1)
        mallopt(top_pad, 2**28)


def _share_done(settings: TrainingSettings, step: int, seconds: float) -> float:
    if settings.steps is not None:
        return step / settings.steps
    assert settings.minutes is not None
    return seconds / (60 * settings.minutes)


def _schedule(share: float, warm_up: float) -> float:
    """Factor on the learning rate: linear warm-up, then half a cosine down to a hundredth."""
    if share < warm_up:
        return (share + 1e-3) / (warm_up + 1e-3)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (share - warm_up) / (1 - warm_up)))


def _precision(settings: TrainingSettings) -> str:
    if settings.precision != "auto":
        return settings.precision
    if settings.accelerator == "cuda":
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "32-true"
    # Measured on Zen 4 (2 cores, batch 32): bf16 1.8 times as fast as fp32. Without the
    # instructions it is emulated, and slower.
    has_bf16 = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
    return "bf16-mixed" if has_bf16 else "32-true"


def _optimisers(
    generator: StructureGenerator, settings: TrainingSettings
) -> list[torch.optim.Optimizer]:
    """Muon for hidden matrices and filters; AdamW for the ends, biases, norms and positions.

    Measured on `small`, batch 32: after 120 steps the loss is 0.45 against 0.60 with AdamW alone
    (which needs 0.8 of the time a step).
    """
    ends = {id(generator.position), id(generator.encoder[0].weight)}
    ends |= {
        id(head.weight)
        for head in (generator.mask_head, generator.depth_head, generator.shift_head)
    }
    named = generator.named_parameters()
    attended = [p for name, p in named if name.endswith("query_key_value.weight")]
    apart = ends | set(map(id, attended))
    hidden = [p for p in generator.parameters() if p.ndim >= 2 and id(p) not in apart]
    others = [p for p in generator.parameters() if p.ndim < 2 or id(p) in ends]
    rate, muon_rate = settings.learning_rate, settings.muon_learning_rate
    # Queries, keys and values have a matrix each.
    groups = [
        {"params": hidden, "peak": muon_rate},
        {"params": attended, "peak": muon_rate, "parts": 3},
    ]
    muon = Muon(groups, weight_decay=settings.weight_decay)
    adamw = torch.optim.AdamW(
        [{"params": others, "peak": rate}], lr=rate, betas=(0.9, 0.98), weight_decay=0.0, fused=True
    )
    return [muon, adamw]


@torch.no_grad()
def _update_average(
    average: StructureGenerator, generator: StructureGenerator, step: int, decay: float
) -> None:
    """Exponential moving average whose memory grows with training, so that early weights fade.

    `torch.optim.swa_utils.AveragedModel` counts on the device, and waits for it to read the count.
    """
    decay = min(decay, (1 + step) / (10 + step)) if step else 0.0
    torch._foreach_lerp_(list(average.parameters()), list(generator.parameters()), 1 - decay)


def _compile(
    generator: StructureGenerator, model: Any, batch_size: int, fabric: lightning_fabric.Fabric
) -> None:
    """Have the generator compiled, now, forwards and backwards; warn and undo it if that fails."""
    size = generator.config.image_size
    picture = torch.zeros(batch_size, 4, size, size, device=fabric.device)
    picture = picture.to(memory_format=torch.channels_last)
    generator.compile()
    try:
        views = model(picture)
        fabric.backward(views.coordinates.mean() + views.mask_logits.mean())
    except Exception as error:  # whatever torch.compile, a C compiler and Triton raise
        generator.compile(disable=True)
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        logging.getLogger(__name__).warning("training without torch.compile: %s", reason)
    generator.zero_grad()


def _initial(
    config: GeneratorConfig, weights: Path | None
) -> tuple[StructureGenerator, WeightsInfo]:
    """The generator to start from, and what it has seen already."""
    if weights is None:
        return StructureGenerator(config), WeightsInfo(config, (), 0)
    generator, info = load_weights(weights)
    if info.config != config:
        raise WeightsError(
            f"weights {weights} belong to a generator of another size; give its --size"
        )
    return generator.train(), info


def goes_on(run_folder: Path) -> bool:
    """Whether training there goes on from what an earlier call left."""
    return any(exists(run_folder / name) for name in ("checkpoint.pt", "weights.safetensors"))


def _resume(
    run_folder: Path,
    fabric: lightning_fabric.Fabric,
    generator: StructureGenerator,
    average: StructureGenerator,
    optimisers: list[torch.optim.Optimizer],
    initial: WeightsInfo,
) -> tuple[int, float, WeightsInfo]:
    """Step, training seconds and what was seen by the folder's checkpoint, or else by its weights
    and log, loaded; zeros and `initial` if there are neither. Learning rates are this call's."""
    path = run_folder / "checkpoint.pt"
    if not path.exists():
        return _resume_from_weights(run_folder, generator, average, initial)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise BadInputError(f"cannot read {path}: {error.strerror or error}") from error
    except Exception as error:  # zip, pickle and PyTorch raise what they like
        raise BadInputError(
            f"{path} is damaged: delete it to go on from the weights beside it, or choose another "
            "folder if it is another program's"
        ) from error
    if not isinstance(state, dict) or "config" not in state:
        raise BadInputError(f"{path} was not made by img2pc; choose another folder")
    if state["config"] != repr(generator.config):
        raise BadInputError(
            f"{path} belongs to a generator of another size; give the run's own --size, or choose "
            "another folder"
        )
    try:
        generator.load_state_dict(state["generator"])
        average.load_state_dict(state["average"])
        for optimiser, saved in zip(optimisers, state["optimisers"], strict=True):
            groups = optimiser.param_groups
            wanted = [{name: group[name] for name in _OF_THE_CALL} for group in groups]
            optimiser.load_state_dict(saved)
            for group, values in zip(optimiser.param_groups, wanted, strict=True):
                group.update(values)
        seen = WeightsInfo(generator.config, tuple(state["data"]), int(state["samples"]))
        return int(state["step"]), float(state["seconds"]), seen
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise BadInputError(
            f"{path} is of an older version; delete it to go on from the weights beside it"
        ) from error


def _resume_from_weights(
    run_folder: Path,
    generator: StructureGenerator,
    average: StructureGenerator,
    initial: WeightsInfo,
) -> tuple[int, float, WeightsInfo]:
    weights, log = run_folder / "weights.safetensors", run_folder / "log.csv"
    if not weights.exists():
        return 0, 0.0, initial
    if not log.exists():
        raise BadInputError(
            f"{weights} would be replaced: without a log.csv beside it, it is no run that could go "
            "on; choose another folder, and start from it by --initial-weights"
        )
    saved, info = load_weights(weights)
    if info.config != generator.config:
        raise BadInputError(
            f"{weights} belongs to a generator of another size; give the run's own --size, or "
            "choose another folder"
        )
    for each in (generator, average):
        each.load_state_dict(saved.state_dict())
    try:
        with log.open(newline="", errors="replace") as file:
            # Rows are written more often than weights, and the last one perhaps by half.
            rows = [row for row in csv.DictReader(file) if row["rate"] is not None]
        done = [row for row in rows if int(row["samples"]) <= info.samples]
        return (int(done[-1]["step"]), float(done[-1]["seconds"]), info) if done else (0, 0.0, info)
    except (csv.Error, KeyError, TypeError, ValueError) as error:
        raise BadInputError(f"{log} is damaged; choose another folder") from error


def _batches(
    data: ShardedDataset | DataSettings,
    settings: TrainingSettings,
    first_step: int,
    fabric: lightning_fabric.Fabric,
) -> Iterator[Batch]:
    """Batches without end, from where the checkpoint stopped."""
    rank, ranks = fabric.global_rank, fabric.world_size
    pinned = fabric.device.type == "cuda"
    if isinstance(data, ShardedDataset):
        data.pinned = pinned
        return _batches_of_shards(data, settings, first_step, rank, ranks)
    objects, rest = divmod(settings.batch_size, data.pictures_per_object)
    if rest:
        raise BadInputError(
            f"--batch-size {settings.batch_size} is no multiple of {data.pictures_per_object}, the "
            "pictures of each object that is drawn live"
        )
    live = LiveDataset(data, objects, first_step, rank, ranks)
    return iter(
        torch.utils.data.DataLoader(
            live,
            batch_size=None,
            collate_fn=batch_of_objects,
            num_workers=settings.workers,
            pin_memory=pinned,
            worker_init_fn=_leave_signals_to_the_loop,
        )
    )


def _batches_of_shards(
    data: ShardedDataset, settings: TrainingSettings, step: int, rank: int, ranks: int
) -> Iterator[Batch]:
    """Made ahead by threads: copying leaves Python's lock alone, and other processes would have to
    pass on 100 MB a batch."""
    ahead = 2 * settings.workers
    while True:
        begin = time.monotonic()
        items = _plan(len(data), settings, step, rank, ranks)
        with ThreadPoolExecutor(max(1, settings.workers)) as pool:
            pending = deque(pool.submit(data.__getitem__, next(items)) for _ in range(ahead))
            while True:
                pending.append(pool.submit(data.__getitem__, next(items)))
                yield pending.popleft().result()
                step += 1
                minutes = (time.monotonic() - begin) / 60
                if settings.rescan_minutes is not None and minutes >= settings.rescan_minutes:
                    break
        data.grow()


def _leave_signals_to_the_loop(worker: int) -> None:
    """A terminal sends Ctrl-C to every process; workers must serve the step at hand."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _plan(
    items: int, settings: TrainingSettings, first_step: int, rank: int, ranks: int
) -> Iterator[tuple[list[int], bool]]:
    """Which items make each batch: every epoch a new shuffle, every batch mirrored or not."""
    size = min(settings.batch_size, items)
    an_epoch, number = items // size, first_step * ranks + rank
    while True:
        epoch, position = divmod(number, an_epoch)
        generator = torch.Generator().manual_seed(settings.seed * 1_000_003 + epoch)
        order = torch.randperm(items, generator=generator)
        mirrored = torch.rand(an_epoch, generator=generator) < 0.5
        while position < an_epoch:
            chosen = order[position * size : (position + 1) * size]
            yield chosen.tolist(), bool(mirrored[position])
            position += ranks
            number += ranks
