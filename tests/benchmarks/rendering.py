"""Pseudo-renderers: points × views a second, forward and backward, against a floor and a loop.

    python tests/benchmarks/rendering.py [cpu cuda]

The cloud is a ball seen by the eight fixed cameras at 64², all pixels, rendered at five random
cameras of 64²; as of predicted views, some three quarters are background, which `soft` leaves out
and `faithful` does not. The floor is memory traffic: each point read once and one value added to
one pixel for each point and view (index_add), measured in the same run. The loop is a z-buffer in
plain Python over a thousandth of the points.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor

from img2pc.cameras import OrthographicCameras, fixed_cameras, random_cameras
from img2pc.choices import Renderer
from img2pc.data.ray_caster import RayCaster, cast_views
from img2pc.data.shapes import Part, assemble
from img2pc.data.solids import superellipsoid
from img2pc.fusion import points_from_views
from img2pc.pseudo_renderer import render

BATCH, VIEWS, SIZE, REPEATS = 4, 5, 64, 7
RENDERERS: tuple[Renderer, ...] = ("faithful", "soft")


def best_seconds(work: Callable[[], object], device: str) -> float:
    work()
    times = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - begin)
    return min(times)


def cloud(device: str) -> tuple[Tensor, Tensor]:
    ball = assemble("ball", [Part(superellipsoid(1.0, 1.0, 1.0), "all", "wood")])
    cameras = fixed_cameras(SIZE)
    views = cast_views(RayCaster(ball.vertices, ball.faces), cameras)
    points = points_from_views(views, cameras).flatten(0, 1).expand(BATCH, -1, -1)
    logits = views.mask_logits.clamp(-8, 8).flatten().expand(BATCH, -1)
    return points.to(device).contiguous(), logits.to(device).contiguous()


def loop(points: Tensor, cameras: OrthographicCameras) -> dict[tuple[int, int, int], float]:
    """A z-buffer, point by point."""
    nearest: dict[tuple[int, int, int], float] = {}
    for view, pixels in enumerate(cameras.project(points.expand(VIEWS, -1, -1)).tolist()):
        for u, v, z in pixels:
            pixel = (view, int(v), int(u))
            nearest[pixel] = min(z, nearest.get(pixel, z))
    return nearest


def main() -> None:
    cameras = random_cameras(VIEWS, SIZE, torch.Generator().manual_seed(0))
    for device in sys.argv[1:] or ["cpu"]:
        points, logits = cloud(device)
        drawn = points.shape[0] * points.shape[1] * VIEWS
        index = torch.randint(BATCH * VIEWS * SIZE * SIZE, (drawn,), device=device)
        values = points[..., 2].repeat_interleave(VIEWS, 1).flatten()
        image = torch.zeros(BATCH * VIEWS * SIZE * SIZE, device=device)

        def floor(
            points: Tensor = points,
            index: Tensor = index,
            values: Tensor = values,
            image: Tensor = image,
        ) -> None:
            points.sum()
            image.index_add_(0, index, values)

        print(f"{device}, {torch.get_num_threads()} threads, {drawn / 1e6:.1f} M points × views")
        report("floor", drawn, best_seconds(floor, device))
        for renderer in RENDERERS:

            def forward(
                renderer: Renderer = renderer, points: Tensor = points, logits: Tensor = logits
            ) -> None:
                with torch.no_grad():
                    render(points, logits, cameras, renderer)

            def both(
                renderer: Renderer = renderer, points: Tensor = points, logits: Tensor = logits
            ) -> None:
                moving, changing = points.clone().requires_grad_(), logits.clone().requires_grad_()
                views = render(moving, changing, cameras, renderer).views
                (views.depth.sum() + views.mask_logits.sum()).backward()

            report(f"{renderer} forward", drawn, best_seconds(forward, device))
            report(f"{renderer} both", drawn, best_seconds(both, device))
        few = points[0, ::1000].cpu()
        begin = time.perf_counter()
        loop(few, cameras)
        report("loop", len(few) * VIEWS, time.perf_counter() - begin)


def report(name: str, drawn: int, seconds: float) -> None:
    print(f"{name:18}{1000 * seconds:9.1f} ms{drawn / seconds / 1e6:9.2f} M points × views/s")


if __name__ == "__main__":
    main()
