"""Does it help to fit the latents to the picture's silhouette, for a second each picture?

    python tests/benchmarks/refinement.py --meshes MESHES [--objects 32]

Held-out procedural shapes and `test` meshes, from fixed seeds, against 8,192 points as in
`errors.py`. What moves are the tokens between attention and decoder, by Adam; the loss is the cross
entropy of the soft pseudo-renderer's mask, through the photographer's camera, and the alpha of the
crop, and what changes of the views is held back. The camera is the true one, which no user has, or
the one that `find_photographer` finds for the cloud as it is. A Markdown table.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from errors import (
    SCORES,
    Rows,
    Tables,
    cloud_of,
    draw_stance,
    held_out_shapes,
    mean_rows,
    mesh_shapes,
    scores,
    subject_of,
)
from jaxtyping import Float, UInt8
from numpy import ndarray
from torch import Tensor
from torch.nn import functional

from img2pc.cameras import PerspectiveCamera, fixed_cameras
from img2pc.data.pictures import PhotographSettings, _draw_camera, photograph
from img2pc.data.shapes import Shape
from img2pc.errors import BadInputError
from img2pc.fusion import points_from_views
from img2pc.generator import StructureGenerator
from img2pc.images import network_input
from img2pc.photographer import _box, _windows, find_photographer
from img2pc.pseudo_renderer import _render_soft
from img2pc.reconstruction import Reconstructor
from img2pc.views import Views

SILHOUETTE_PIXELS = 64
LIKELY_LOGIT = -3.0  # of pixels that are drawn
DEPTH_WEIGHT = 3.0  # as in training


def silhouette(views: Views, camera: PerspectiveCamera) -> Float[Tensor, "height width"]:
    """Mask logits of the cloud as the photographer sees it; differentiable in the views."""
    points = points_from_views(views, fixed_cameras(views.depth.shape[-1])).flatten(0, -2)
    logits = views.mask_logits.flatten()
    drawn = (logits.detach() > LIKELY_LOGIT).nonzero()[:, 0]
    rotation, centre, corner = (
        torch.as_tensor(values, dtype=torch.float32)
        for values in (camera.object_from_camera, camera.centre, camera.window_corner)
    )
    in_camera = (points[drawn] - centre) @ rotation
    window = (in_camera[:, :2] / in_camera[:, 2:] - corner) / camera.window_side
    pixels = torch.cat([SILHOUETTE_PIXELS * window, in_camera[:, 2:]], -1)
    return _render_soft(pixels[None], logits[drawn][None], SILHOUETTE_PIXELS)[1][0]


def refined(
    generator: StructureGenerator,
    tokens: Float[Tensor, "1 token width"],
    alpha: UInt8[ndarray, "size size"],
    camera: PerspectiveCamera,
    arguments: argparse.Namespace,
) -> Views:
    with torch.no_grad():
        before = generator.decode(tokens)
    probability = before.mask_probability
    mask = torch.from_numpy(alpha.copy())[None, None].float() / 255
    mask = functional.interpolate(mask, size=(SILHOUETTE_PIXELS,) * 2, mode="area")[0, 0]
    change = torch.zeros_like(tokens, requires_grad=True)
    optimiser = torch.optim.Adam([change], lr=arguments.rate)
    for _ in range(arguments.steps):
        views = generator.decode(tokens + change)
        seen = silhouette(views, camera)
        moved = ((views.depth - before.depth).abs() * probability).sum() / probability.sum()
        kept = functional.binary_cross_entropy_with_logits(views.mask_logits, probability)
        loss = functional.binary_cross_entropy_with_logits(seen, mask)
        optimiser.zero_grad()
        (loss + arguments.hold * (kept + DEPTH_WEIGHT * moved)).backward()
        optimiser.step()
    with torch.no_grad():
        return generator.decode(tokens + change)


def true_camera(
    shape: Shape,
    settings: PhotographSettings,
    seed: int,
    alpha: UInt8[ndarray, "size size"],
) -> PerspectiveCamera:
    """The one that `photograph` draws from the seed, its window that of the crop."""
    camera = _draw_camera(shape, np.eye(3), np.random.default_rng(seed), settings)
    whole = PerspectiveCamera(camera.centre, camera.object_from_camera, np.zeros(2), 1.0)
    tangents = whole.project(shape.vertices)[None, :, :2].swapaxes(1, 2).astype(np.float32)
    corner, side = _windows(np.zeros((1, 6)), tangents, _box(alpha))
    return PerspectiveCamera(camera.centre, camera.object_from_camera, corner[0], float(side[0]))


def measure(
    name: str, shapes: Iterable[Shape], reconstructor: Reconstructor, arguments: argparse.Namespace
) -> None:
    generator = reconstructor.generator.requires_grad_(False)
    rows: Rows = defaultdict(list)
    seconds, size = [], reconstructor.info.config.image_size
    for seed, shape in enumerate(shapes):
        subject = subject_of(shape, seed, size)
        elevation, field = draw_stance(seed)
        settings = PhotographSettings((elevation, elevation), (field, field))
        try:
            crop = photograph(
                subject.shape, subject.caster, size, np.random.default_rng(seed), settings
            )
        except BadInputError:  # too thin to be seen from there
            continue
        with torch.no_grad():
            tokens = generator.encode(network_input(torch.from_numpy(crop.copy())[None]))
            views = generator.decode(tokens)
        cloud = cloud_of(Views(*(value[0] for value in views)))
        if not len(cloud):
            continue
        rows["as it is"].append(scores(cloud, subject.points))
        cameras = {
            "true": true_camera(subject.shape, settings, seed, crop[..., 3]),
            "found": find_photographer(cloud, crop[..., 3]),
        }
        for kind, camera in cameras.items():
            begin = time.perf_counter()
            views = refined(generator, tokens, crop[..., 3], camera, arguments)
            seconds.append(time.perf_counter() - begin)
            cloud = cloud_of(Views(*(value[0] for value in views)))
            rows[f"refined, camera {kind}"].append(scores(cloud, subject.points))
    title = f"{name} ({len(rows['as it is'])}), {np.mean(seconds):.1f} s each"
    Tables().add(title, ["", *SCORES], mean_rows(rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--meshes", type=Path, required=True)
    parser.add_argument("--objects", type=int, default=32, help="of each set")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rate", type=float, default=0.01, help="of Adam")
    parser.add_argument("--hold", type=float, default=0.5, help="weight of what changes of views")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    reconstructor = Reconstructor.load(arguments.weights)
    measure("held-out", held_out_shapes(arguments.objects), reconstructor, arguments)
    meshes = mesh_shapes(arguments.meshes, arguments.objects)
    measure("`test` meshes", meshes, reconstructor, arguments)


if __name__ == "__main__":
    main()
