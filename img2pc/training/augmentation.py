"""Pictures as users' cameras and cut-out tools spoil them, made of clean ones while training.

Which pictures have which of four faults, and which are in another light, is drawn independently;
the views that they should give stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torch.nn import functional

from img2pc.images import FOREGROUND_SHARE

# Ranges that the faults are drawn from, in units of the crop's side where they are lengths.
LIGHT_SHARES = 3  # times as many pictures are in another light as have each of the faults
LIGHT = (0.35, 1.15)  # brightness over that of training pictures, none of which is dark
LOG_GAMMA = (-0.35, 0.35)
TINT = (0.9, 1.1)  # of each channel
GREY_SHARE = 0.15  # of those in another light
SHADOW_WIDTH = (0.7, 1.15)  # of the object's
SHADOW_HEIGHT = (0.02, 0.1)
SHADOW_BEHIND = (0.0, 0.7)  # the foot, of the shadow's height
SHADOW_BRIGHTNESS = (0.0, 0.3)
SHADOW_OPACITY = (0.4, 1.0)
RAGGED_CELLS = (8, 32)  # of noise along a side
RAGGED_STRENGTH = (0.5, 1.5)  # pixels; one at most is done
BEND = (-0.12, 0.12)  # of the corners' distance from the middle
COARSE_SHARE = (0.4, 0.8)  # of the pixels along a side


def augmented(
    crops: UInt8[Tensor, "batch size size 4"], generator: torch.Generator, share: float
) -> UInt8[Tensor, "batch size size 4"]:
    """Straight-alpha crops, each fault in this share of them, drawn by a generator on the CPU, and
    another light (exposure, contrast, tint or none) in three times as many.

    The faults: a lens that bends straight lines; the shadow on the floor left in the cut-out; a
    ragged cut-out; a low resolution. What they leave is the object to the crop (`images.
    crop_to_foreground`), and is made as large and put in its middle.
    """
    lots = torch.rand(5, len(crops), generator=generator)
    crops = _in_other_light(crops, lots[0] < LIGHT_SHARES * share, generator)
    chosen = lots[1:] < share
    spoilt = chosen.any(0).nonzero()[:, 0]
    if not len(spoilt):
        return crops
    bent, shaded, ragged, coarse = chosen[:, spoilt]
    spoilt = _on(crops.device, spoilt)
    pixels = (crops[spoilt].permute(0, 3, 1, 2).float() / 255).contiguous()
    # Where pixels move they are weighted by alpha, or what is around would bleed into the object.
    pixels = _some(_weighted(pixels), bent, _bent, generator)
    colour, alpha = pixels[:, :3], pixels[:, 3:]
    # The crop may have lost what was around the object: white half of the times, else a grey.
    draw = _Draw(len(pixels), generator, pixels.device)
    backdrop = draw.between(-1.0, 1.0)
    colour = colour + torch.where(backdrop < 0, 1.0, backdrop) * (1 - alpha)
    pixels = torch.cat([colour, alpha], 1)
    pixels = _some(pixels, shaded, _with_shadow, generator)
    pixels = _weighted(_some(pixels, ragged, _ragged, generator))
    pixels = _some(pixels, bent | shaded | ragged, _cropped, generator)
    pixels = _some(pixels, coarse, _coarse, generator)
    pixels = torch.cat([pixels[:, :3] / pixels[:, 3:].clamp(min=1e-3), pixels[:, 3:]], 1)
    done = (255 * pixels.clamp(0, 1)).round().to(torch.uint8)
    return crops.index_copy(0, spoilt, done.permute(0, 2, 3, 1))


def _in_other_light(
    crops: UInt8[Tensor, "batch size size 4"],
    chosen: Bool[Tensor, "batch"],
    generator: torch.Generator,
) -> UInt8[Tensor, "batch size size 4"]:
    """The same with other colours in those that are chosen. It needs no backdrop, so that it is not
    done with the faults: outlines would get one."""
    which = _on(crops.device, chosen.nonzero()[:, 0])
    if not len(which):
        return crops
    draw = _Draw(len(which), generator, crops.device)
    pixels = crops[which]
    colour = pixels[..., :3].float() / 255
    is_grey = draw.between(0, 1) < GREY_SHARE
    colour = torch.where(is_grey, colour.mean(-1, keepdim=True), colour)
    tint = torch.cat([draw.between(*TINT) for _ in range(3)], -1)
    colour = draw.between(*LIGHT) * tint * colour ** draw.between(*LOG_GAMMA).exp()
    colour = (255 * colour.clamp(max=1)).round().to(torch.uint8)
    return crops.index_copy(0, which, torch.cat([colour, pixels[..., 3:]], -1))


def _weighted(pixels: Float[Tensor, "batch 4 size size"]) -> Float[Tensor, "batch 4 size size"]:
    return torch.cat([pixels[:, :3] * pixels[:, 3:], pixels[:, 3:]], 1)


def _some(
    pixels: Float[Tensor, "batch 4 size size"],
    chosen: Bool[Tensor, "batch"],
    fault: Callable[
        [Float[Tensor, "batch 4 size size"], _Draw], Float[Tensor, "batch 4 size size"]
    ],
    generator: torch.Generator,
) -> Float[Tensor, "batch 4 size size"]:
    """The same with the fault in those that are chosen."""
    which = _on(pixels.device, chosen.nonzero()[:, 0])
    if not len(which):
        return pixels
    draw = _Draw(len(which), generator, pixels.device)
    return pixels.index_copy(0, which, fault(pixels[which], draw))


def _on(device: torch.device, values: Tensor) -> Tensor:
    """Copied there without waiting for what is still to be done there."""
    if device.type == "cuda":
        values = values.pin_memory()
    return values.to(device, non_blocking=True)


class _Draw:
    """Random numbers, one a picture, from a generator on the CPU: no device waits for another."""

    def __init__(self, batch: int, generator: torch.Generator, device: torch.device) -> None:
        self._batch, self._generator, self._device = batch, generator, device

    def between(self, low: float, high: float) -> Float[Tensor, "batch 1 1 1"]:
        uniform = torch.rand(self._batch, 1, 1, 1, generator=self._generator)
        return _on(self._device, low + (high - low) * uniform)

    def one(self, low: float, high: float) -> float:
        """The same for all the batch."""
        return low + (high - low) * float(torch.rand((), generator=self._generator))

    def noise(self, cells: int, size: int) -> Float[Tensor, "batch 1 size size"]:
        """Smooth, of standard deviation about one."""
        noise = torch.randn(self._batch, 1, cells, cells, generator=self._generator)
        return functional.interpolate(
            _on(self._device, noise), size=(size, size), mode="bicubic", align_corners=False
        )


def _with_shadow(
    pixels: Float[Tensor, "batch 4 size size"], draw: _Draw
) -> Float[Tensor, "batch 4 size size"]:
    """An ellipse of dark floor around the object's foot, behind the object."""
    colour, alpha = pixels[:, :3], pixels[:, 3:]
    size = alpha.shape[-1]
    place = torch.arange(size, device=alpha.device).float()
    left, right, _, foot = _box(alpha)
    half_width = (right - left).clamp(min=1) / 2 * draw.between(*SHADOW_WIDTH)
    half_height = size * draw.between(*SHADOW_HEIGHT)
    across = (place - (left + right) / 2) / half_width
    # Seen from above, the foot is its nearest part: the shadow reaches behind it.
    middle = foot - half_height * draw.between(*SHADOW_BEHIND)
    down = (place[:, None] - middle) / half_height
    ellipse = (1.5 * (1 - across.square() - down.square())).clamp(0, 1)
    shadow = ellipse * draw.between(*SHADOW_OPACITY) * (1 - alpha)
    shaded = colour + shadow * (draw.between(*SHADOW_BRIGHTNESS) - colour)
    return torch.cat([shaded, torch.maximum(alpha, shadow)], 1)


def _ragged(
    pixels: Float[Tensor, "batch 4 size size"], draw: _Draw
) -> Float[Tensor, "batch 4 size size"]:
    """The outline moved in and out by a pixel at most; what is thin is as often wider as lost."""
    alpha = pixels[:, 3:]
    noise = draw.noise(int(draw.one(*RAGGED_CELLS)), alpha.shape[-1])
    moved = draw.between(*RAGGED_STRENGTH) * noise
    outwards, inwards = moved.clamp(0, 1), (-moved).clamp(0, 1)
    wide, narrow = functional.max_pool2d(alpha, 3, 1, 1), -functional.max_pool2d(-alpha, 3, 1, 1)
    alpha = alpha + outwards * (wide - alpha) - inwards * (alpha - narrow)
    return torch.cat([pixels[:, :3], alpha], 1)


def _bent(
    pixels: Float[Tensor, "batch 4 size size"], draw: _Draw
) -> Float[Tensor, "batch 4 size size"]:
    """Barrel or pincushion distortion (Brown 1966, first radial term)."""
    grid = _grid(pixels)
    radial = 1 + draw.between(*BEND) * (grid.square().sum(-1, keepdim=True) - 1) / 2
    return functional.grid_sample(pixels, grid * radial, align_corners=False)


def _cropped(
    pixels: Float[Tensor, "batch 4 size size"], draw: _Draw
) -> Float[Tensor, "batch 4 size size"]:
    """What is more than half opaque in the middle, and as large as the crop makes objects."""
    size = pixels.shape[-1]
    left, right, top, foot = _box(pixels[:, 3:])
    side = torch.maximum(right - left, foot - top) + 1
    # Where nothing is opaque the right is left of the left.
    scale = torch.where(side > 0, side / (size * FOREGROUND_SHARE), 1)
    centre = torch.cat([left + right, top + foot], 3) + 1 - size
    grid = _grid(pixels) * scale + centre / size
    return functional.grid_sample(pixels, grid, align_corners=False)


def _grid(pixels: Float[Tensor, "batch 4 size size"]) -> Float[Tensor, "1 size size 2"]:
    """X and Y of pixels; -1 and 1 are the sides of the picture."""
    size = pixels.shape[-1]
    x = (2 * torch.arange(size, device=pixels.device) + 1) / size - 1
    return torch.stack(torch.meshgrid(x, x, indexing="xy"), -1)[None]


def _box(alpha: Float[Tensor, "batch 1 size size"]) -> tuple[Float[Tensor, "batch 1 1 1"], ...]:
    """The first and last column, and the first and last row, that are more than half opaque in
    places; of nothing the last ones of all come first."""
    size = alpha.shape[-1]
    place = torch.arange(size, device=alpha.device).float()
    seen = alpha > 0.5
    found = []
    for across, among in ((2, place), (3, place[:, None])):
        holds = seen.any(across, keepdim=True)
        found.append(torch.where(holds, among, size - 1).amin((2, 3), keepdim=True))
        found.append(torch.where(holds, among, 0).amax((2, 3), keepdim=True))
    return tuple(found)


def _coarse(
    pixels: Float[Tensor, "batch 4 size size"], draw: _Draw
) -> Float[Tensor, "batch 4 size size"]:
    size = pixels.shape[-1]
    small = functional.interpolate(
        pixels, size=max(1, int(size * draw.one(*COARSE_SHARE))), mode="area"
    )
    return functional.interpolate(small, size=size, mode="bilinear", align_corners=False)
