"""A folder of pictures to PLY files: images/s against the bare forward pass, and peak memory.

    python tests/benchmarks/folder.py [--pictures 500] [--profile]

The folder is made of the examples at 256 pixels, each picture another in size, place, colour and
side, with alpha, and thrown away. `run_batch` decodes, crops, generates, fuses and writes; the bare
pass only generates, from crops that lie in memory, in the same process on the same cores, with the
best of several batch sizes, and of one pass over all cores and a thread of its own for each core.
The processor's time per picture is given beside: it tells what is work and what is waiting.
Memory is the most that the process held (RSS), the model and the bare passes before it included.
`--profile` says where one thread's time goes outside the forward pass, per picture.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from forward import memory_mib
from PIL import Image
from torch import Tensor

from img2pc.batch import BatchSettings, run_batch
from img2pc.colouring import colours_from_picture
from img2pc.files import written_atomically
from img2pc.folders import Targets, list_jobs
from img2pc.foreground import find_foreground
from img2pc.images import crop_to_foreground, network_input, read_image
from img2pc.pointclouds import encode_ply
from img2pc.reconstruction import Reconstructor

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
SIZE, BATCHES, PASS_SECONDS, PROFILED = 256, (1, 2, 4, 8, 16, 32), 6.0, 60


def make_pictures(folder: Path, count: int) -> None:
    """The same pictures every time."""
    examples = [Image.open(path).convert("RGBA") for path in sorted(EXAMPLES.glob("*.png"))]
    rng = np.random.default_rng(0)
    for number in range(count):
        example = examples[number % len(examples)]
        side = int(rng.integers(SIZE // 2, SIZE + 1))
        small = example.resize((side, side), Image.Resampling.BILINEAR)
        pixels = np.asarray(small).copy()
        pixels[..., :3] = (pixels[..., :3] * rng.uniform(0.6, 1.0, 3)).astype(np.uint8)
        if rng.random() < 0.5:
            pixels = pixels[:, ::-1]
        canvas = Image.new("RGBA", (SIZE, SIZE))
        place = rng.integers(0, SIZE - side + 1, 2)
        canvas.paste(Image.fromarray(pixels), (int(place[0]), int(place[1])))
        canvas.save(folder / f"{number:05}.png")


# --- The bare forward pass ------------------------------------------------------------------------


def repeated(work: Callable[[], object], until: float) -> int:
    count = 0
    while time.perf_counter() < until:
        work()
        count += 1
    return count


@torch.inference_mode()
def bare_rate(generator: torch.nn.Module, images: Tensor, workers: int) -> tuple[float, float]:
    """Images a second of `workers` threads, and the processor's milliseconds for each.

    One thread has all cores, several have one each.
    """
    cores = torch.get_num_threads()

    def passes(until: float) -> int:
        with torch.inference_mode():
            return repeated(lambda: generator(images), until)

    prepare = (lambda: torch.set_num_threads(1)) if workers > 1 else (lambda: None)
    try:
        with ThreadPoolExecutor(workers, initializer=prepare) as pool:
            list(pool.map(passes, [time.perf_counter() + 0.5] * workers))
            begin, cpu = time.perf_counter(), time.process_time()
            counts = list(pool.map(passes, [begin + PASS_SECONDS] * workers))
            seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
            count = sum(counts) * len(images)
            return count / seconds, 1000 * cpu / count
    finally:
        torch.set_num_threads(cores)


def best_bare_rate(reconstructor: Reconstructor, pictures: list[Path]) -> tuple[float, float]:
    crops = np.stack([reconstructor.cut_out(path).crop for path in pictures[: max(BATCHES)]])
    shown = network_input(torch.from_numpy(crops))
    best = (0.0, 0.0)
    cores = torch.get_num_threads()
    for workers in sorted({1, cores}):
        for batch in BATCHES:
            images = shown[torch.arange(batch) % len(shown)]
            images = images.contiguous(memory_format=torch.channels_last)
            rate = bare_rate(reconstructor.generator, images, workers)
            kind = "one thread a core" if workers > 1 else f"one pass on {cores} cores"
            print(f"  {kind}, batches of {batch:2}: {rate[0]:6.2f} images/s {rate[1]:5.0f} ms")
            best = max(best, rate)
    return best


# --- The folder -----------------------------------------------------------------------------------


def folder_rate(
    reconstructor: Reconstructor, pictures: Path, clouds: Path, colour: bool
) -> tuple[float, float]:
    """Images a second, every PLY written, and the processor's milliseconds for each."""
    jobs = list_jobs(pictures, Targets(clouds)).jobs
    begin, cpu = time.perf_counter(), time.process_time()
    outcomes = list(run_batch(reconstructor, jobs, BatchSettings(colour=colour)))
    seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
    failed = [outcome.error for outcome in outcomes if outcome.status != "done"]
    assert not failed, failed[0]
    assert all(job.is_done for job in jobs)
    return len(jobs) / seconds, 1000 * cpu / len(jobs)


def profile(reconstructor: Reconstructor, pictures: list[Path], clouds: Path) -> None:
    """Milliseconds of each step of a picture, on one thread: the median over pictures."""
    cores = torch.get_num_threads()
    torch.set_num_threads(1)
    size = reconstructor.info.config.image_size
    steps: dict[str, list[float]] = {}

    def timed(name: str, work: Callable[[], object]) -> object:
        begin = time.perf_counter()
        result = work()
        steps.setdefault(name, []).append(1000 * (time.perf_counter() - begin))
        return result

    for path in pictures[:PROFILED]:
        rgba = timed("decode", lambda path=path: read_image(path))
        found = timed("cut out", lambda rgba=rgba: find_foreground(rgba))
        crop = timed("crop", lambda found=found: crop_to_foreground(found.rgba, size))
        crops = torch.from_numpy(crop.copy())[None]
        views = timed("forward pass", lambda crops=crops: reconstructor.views(crops))
        cloud = timed("fuse", lambda views=views: reconstructor.fuse(views))
        colours = timed("colour", lambda cloud=cloud, crop=crop: colours_from_picture(cloud, crop))
        cloud = replace(cloud, colours=colours)
        encoded = timed("encode PLY", lambda cloud=cloud: encode_ply(cloud))
        timed("write", lambda path=path, encoded=encoded: write(clouds / path.stem, encoded))
    for name, times in steps.items():
        print(f"  {name:14}{np.median(times):8.2f} ms")
    torch.set_num_threads(cores)


def write(path: Path, content: bytes) -> None:
    with written_atomically(path) as temporary:
        temporary.write_bytes(content)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=500)
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    reconstructor = Reconstructor.load()
    with tempfile.TemporaryDirectory(prefix="img2pc-folder-") as name:
        pictures, clouds = Path(name) / "pictures", Path(name) / "clouds"
        pictures.mkdir()
        clouds.mkdir()
        make_pictures(pictures, arguments.pictures)
        paths = sorted(pictures.iterdir())
        print(f"{len(paths)} pictures of {SIZE} pixels, {torch.get_num_threads()} threads")
        if arguments.profile:
            profile(reconstructor, paths, clouds)
            return
        bare, bare_cpu = best_bare_rate(reconstructor, paths)
        before = memory_mib()
        print(f"bare forward pass at its best: {bare:.2f} images/s, {bare_cpu:.0f} ms CPU")
        for colour, what in ((False, "without colours"), (True, "in colours")):
            rate, cpu = folder_rate(reconstructor, pictures, clouds / what, colour)
            print(
                f"folder to PLY files, {what}: {rate:.2f} images/s, {cpu:.0f} ms CPU, "
                f"{100 * rate / bare:.0f} % of the bare rate"
            )
        print(f"peak memory: {memory_mib():.0f} MiB, {before:.0f} MiB before the folder")


if __name__ == "__main__":
    main()
