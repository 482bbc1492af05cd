"""Forward pass of one picture: time, memory, and the time that its arithmetic alone would take.

    python tests/benchmarks/forward.py [tiny small base]

The floor is the multiplications that the pass needs (torch.utils.flop_counter) at the peak rate
of this machine: the fastest of some 3×3 convolutions, measured in the same run.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

from img2pc.generator import SIZES, StructureGenerator

REPEATS = 15


def best_seconds(work: Callable[[], object]) -> float:
    for _ in range(3):
        work()
    times = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return min(times)


def operations(work: Callable[[], object]) -> int:
    """Floating-point operations: two for each multiply-accumulate."""
    counter = FlopCounterMode(display=False)
    with counter:
        work()
    return counter.get_total_flops()


def peak_rate() -> float:
    """Operations a second of the fastest of some 3×3 convolutions, channels last."""
    rates = []
    for channels, size in ((64, 64), (128, 64), (256, 32), (512, 32)):
        layer = torch.nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        layer = layer.to(memory_format=torch.channels_last)
        image = torch.randn(1, channels, size, size).contiguous(memory_format=torch.channels_last)
        count = operations(lambda layer=layer, image=image: layer(image))
        rates.append(count / best_seconds(lambda layer=layer, image=image: layer(image)))
    return max(rates)


def memory_mib() -> float:
    """Most memory this process ever held."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


@torch.inference_mode()
def main() -> None:
    peak = peak_rate()
    print(f"{torch.get_num_threads()} threads, 3×3 convolution {peak / 1e9:.0f} GFLOP/s")
    print("size     params     MACs   floor  forward  share  peak memory so far")
    for name in sys.argv[1:] or SIZES:
        generator = StructureGenerator(SIZES[name]).eval().to(memory_format=torch.channels_last)
        size = SIZES[name].image_size
        image = torch.rand(1, 4, size, size).contiguous(memory_format=torch.channels_last)
        count = operations(lambda generator=generator, image=image: generator(image))
        seconds = best_seconds(lambda generator=generator, image=image: generator(image))
        parameters = sum(parameter.numel() for parameter in generator.parameters())
        floor = count / peak
        print(
            f"{name:6}{parameters / 1e6:7.2f} M{count / 2e9:7.3f} G{1000 * floor:5.1f} ms"
            f"{1000 * seconds:6.1f} ms{100 * floor / seconds:5.0f} %{memory_mib():10.0f} MiB"
        )


if __name__ == "__main__":
    main()
