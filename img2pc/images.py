"""Photo → network input: decode, find the foreground, crop and scale as training does."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy import ndarray
from PIL import Image, ImageOps
from torch import Tensor

from img2pc.errors import BadInputError

# The longer side of the foreground's bounding box, as a share of the crop.
FOREGROUND_SHARE = 0.9
# A border counts as flat when its colours spread less than this (standard deviation, 0 to 255).
FLAT_BORDER_SPREAD = 12.0


def read_image(path: Path) -> UInt8[ndarray, "height width 4"]:
    """Straight-alpha RGBA, upright (EXIF), first frame; 16-bit is scaled, not clipped.

    Raises:
        BadInputError: the file is missing, empty, too large to be a photo or not an image.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                upright = ImageOps.exif_transpose(image)
                return np.asarray(_to_8_bit(upright).convert("RGBA"))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BadInputError(f"{path} is too large: {error}") from error
    except FileNotFoundError as error:
        raise BadInputError(f"{path} does not exist") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise BadInputError(f"{path} is not an image that can be read: {error}") from error


def _to_8_bit(image: Image.Image) -> Image.Image:
    """Deep greys to 8 bits: 16-bit by its range, 32-bit and float by their maximum."""
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        values = np.nan_to_num(np.asarray(image, dtype=np.float64), posinf=0, neginf=0)
        # PNG decoders give 16-bit greys as 32-bit integers.
        top = 65535.0 if image.mode == "I" and values.max() > 255 else max(values.max(), 1.0)
        return Image.fromarray((values.clip(0, top) * (255 / top)).round().astype(np.uint8))
    return image


def with_foreground_alpha(
    rgba: UInt8[ndarray, "height width 4"],
) -> UInt8[ndarray, "height width 4"]:
    """The image with an alpha channel that is its foreground: its own, or cut from a flat border.

    Raises:
        BadInputError: no alpha and a border that is not flat, or nothing in front of it.
    """
    has_alpha = rgba[..., 3].min() < 250
    alpha = rgba[..., 3] if has_alpha else _alpha_from_flat_border(rgba[..., :3])
    if not (alpha > 127).any():
        raise BadInputError("there is no foreground in the picture")
    return np.concatenate([rgba[..., :3], alpha[..., None]], -1)


def _alpha_from_flat_border(
    rgb: UInt8[ndarray, "height width 3"],
) -> UInt8[ndarray, "height width"]:
    from scipy import ndimage

    width = max(1, min(rgb.shape[:2]) // 50)
    border = np.concatenate(
        [
            rgb[:width].reshape(-1, 3),
            rgb[-width:].reshape(-1, 3),
            rgb[:, :width].reshape(-1, 3),
            rgb[:, -width:].reshape(-1, 3),
        ]
    ).astype(np.float32)
    background = np.median(border, axis=0)
    distance_of_border = np.abs(border - background).max(-1)
    # The object may touch the border, so a tenth of it need not be flat.
    if np.quantile(distance_of_border, 0.9) > 3 * FLAT_BORDER_SPREAD:
        raise BadInputError(
            "the picture has no alpha channel and no flat background; cut the object out first"
        )
    spread = float(np.quantile(distance_of_border, 0.9))
    distance = np.abs(rgb.astype(np.float32) - background).max(-1)
    threshold = max(FLAT_BORDER_SPREAD, 1.5 * spread)
    # Background is what looks like the border and is joined to it, or is a hole of some size that
    # looks exactly like it: a white cushion on white stays, the gap between chair legs goes.
    similar, count = ndimage.label(distance < threshold)
    area = np.bincount(similar.ravel(), minlength=count + 1)
    with np.errstate(invalid="ignore"):  # nothing may be unlike the border
        error = ndimage.mean(distance, similar, np.arange(count + 1))
    outside = np.zeros(count + 1, dtype=bool)
    for edge in (similar[0], similar[-1], similar[:, 0], similar[:, -1]):
        outside[np.unique(edge)] = True
    hole = (area > 2e-4 * similar.size) & (error < max(4.0, 0.5 * spread))
    outside |= hole
    outside[0] = False
    foreground = ~outside[similar]
    if spread > 2:  # specks of noise
        foreground = ndimage.binary_opening(foreground)
    # Lossy compression smears colour a few pixels beyond the outline: there the rim must be more
    # like the object beside it than like the background.
    contrast = ndimage.maximum_filter(distance, 9)
    inner = ndimage.binary_erosion(foreground, iterations=4)
    foreground &= inner | (distance > 0.35 * contrast)
    soft = np.clip((distance - threshold / 2) / threshold, 0, 1)
    rim = ndimage.binary_dilation(~foreground) & foreground
    alpha = np.where(rim, soft, foreground)
    eight_bit: ndarray = (alpha * 255).round().astype(np.uint8)
    return eight_bit


def crop_to_foreground(
    rgba: UInt8[ndarray, "height width 4"], size: int
) -> UInt8[ndarray, "size size 4"]:
    """Square crop centred on the foreground's bounding box, transparent where it leaves the image.

    The one crop of training, evaluation and use.

    Raises:
        BadInputError: no pixel is more than half opaque.
    """
    opaque = rgba[..., 3] > 127
    if not opaque.any():
        raise BadInputError("there is no foreground in the picture")
    rows, columns = np.flatnonzero(opaque.any(1)), np.flatnonzero(opaque.any(0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    side = max(bottom - top, right - left) / FOREGROUND_SHARE
    x, y = (left + right - side) / 2, (top + bottom - side) / 2
    outer_x, outer_y = int(np.floor(x)), int(np.floor(y))
    outer = int(np.ceil(side)) + 1
    image = Image.fromarray(rgba).crop((outer_x, outer_y, outer_x + outer, outer_y + outer))
    inner = (x - outer_x, y - outer_y, x - outer_x + side, y - outer_y + side)
    # Pillow's bilinear filter widens with the reduction (no aliasing) and weighs RGB by alpha.
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR, box=inner))


def network_input(crops: UInt8[Tensor, "batch size size 4"]) -> Float[Tensor, "batch 4 size size"]:
    """RGBA crops as the generator takes them: alpha and, weighted by it, colour in [-1, 1]."""
    values = crops.permute(0, 3, 1, 2).float() / 127.5 - 1
    values = values.contiguous(memory_format=torch.channels_last)
    values[:, :3] *= (values[:, 3:] + 1) / 2
    return values
