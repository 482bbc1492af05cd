"""Picture file → straight-alpha pixels; pixels with alpha → crop → network input."""

from __future__ import annotations

import functools
import importlib.util
import io
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from numpy import ndarray
from PIL import (
    ExifTags,
    Image,
    ImageCms,
    JpegImagePlugin,
    PngImagePlugin,
    UnidentifiedImageError,
)
from torch import Tensor

from img2pc.errors import BadInputError
from img2pc.files import written_atomically
from img2pc.folders import GIF_MARK, MARK

# What has the pixels of a picture; arrays are RGB or straight-alpha RGBA.
# BytesIO is a BinaryIO to mypy, not to beartype.
Picture = str | Path | BinaryIO | io.BytesIO | Image.Image | UInt8[ndarray, "height width channel"]
# What is white, true or opaque where the object is.
Mask = str | Path | Image.Image | UInt8[ndarray, "height width"] | Bool[ndarray, "height width"]

# The longer side of the foreground's bounding box, as a share of the crop.
FOREGROUND_SHARE = 0.9
# Pictures are reduced to this many pixels on their longer side. The crop is a sixteenth of it, so
# nothing is lost that the network would see, and a 100-megapixel photograph needs neither gigabytes
# nor minutes.
LONGEST_SIDE = 2048
HOW_TO_SHOW_IT = "a transparent or plain background, or a mask, would show where it is"
# Transparency of this share of a picture is meant; rounded corners have less.
TRANSPARENT_SHARE = 1e-3
_TURNS = {  # of an EXIF orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# What a HEIC file's header may say (ISO/IEC 23008-12).
HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}


def read_image(picture: Picture) -> UInt8[ndarray, "height width 4"]:
    """Straight-alpha sRGB with alpha, upright (EXIF), first frame, 2048 pixels at most on a side.

    16-bit is scaled, not clipped; colours are converted from the profile that the picture brings.
    Arrays are as they are.

    Raises:
        BadInputError: the file is missing, damaged, too large to be a photo, not an image, or a
            HEIC without the extra that reads it; or the array is none of 8 bits.
    """
    if isinstance(picture, np.ndarray):
        return _with_alpha(picture)
    picture = Path(picture) if isinstance(picture, str) else picture
    name = str(picture) if isinstance(picture, Path) else "the picture"
    try:
        if isinstance(picture, Image.Image):
            _refuse_bombs(picture, name, jpeg_times=1)
            return _pixels(picture.copy())
        with picture.open("rb") if isinstance(picture, Path) else nullcontext(picture) as stream:
            return _decoded(stream if stream.seekable() else io.BytesIO(stream.read()), name)
    except FileNotFoundError as error:
        raise BadInputError(f"{name} does not exist") from error
    except IsADirectoryError as error:
        raise BadInputError(f"{name} is a folder, not an image") from error
    except Image.DecompressionBombError as error:
        raise BadInputError(f"{name} is too large: {error}") from error
    except UnidentifiedImageError as error:  # its text repeats the stream's repr
        raise BadInputError(f"{name} is not an image that can be read") from error
    except (BadInputError, MemoryError):
        raise
    except Exception as error:  # Pillow and its plugins raise what their parsers and DLLs do
        raise BadInputError(f"{name} is not an image that can be read: {error}") from error


def read_mask(mask: Mask, size: tuple[int, int]) -> UInt8[ndarray, "height width"]:
    """Mask of a picture of (height, width) pixels: the mask's alpha, else its brightness.

    One of another scale is resized.

    Raises:
        BadInputError: it is unreadable, of another shape than the picture, or holds nothing.
    """
    named = f"the mask {mask}" if isinstance(mask, str | Path) else "the mask"
    grey = _grey(mask, named)
    (height, width), (mask_height, mask_width) = size, grey.shape
    # One per cent, or the pixel that rounding may cost the smaller of the two.
    tolerance = max(0.01, 1 / max(1, min(height, width, mask_height, mask_width)))
    if abs(mask_width * height - mask_height * width) > tolerance * mask_height * width:
        raise BadInputError(
            f"{named} is {mask_width} × {mask_height}, of another shape than the picture "
            f"({width} × {height} when upright)"
        )
    if grey.max(initial=0) < 128:
        raise BadInputError(f"{named} has no white part; white is the object")
    if grey.shape == size:
        return grey
    return np.asarray(Image.fromarray(grey).resize((width, height), Image.Resampling.BILINEAR))


def _grey(mask: Mask, named: str) -> UInt8[ndarray, "height width"]:
    if isinstance(mask, np.ndarray):
        if mask.ndim != 2 or mask.dtype not in (np.bool_, np.uint8):
            raise BadInputError(
                f"{named}, an array of {mask.dtype}, {mask.shape}, is not one of bool or uint8, "
                "height × width"
            )
        return mask if mask.dtype == np.uint8 else np.where(mask, 255, 0).astype(np.uint8)
    rgba = read_image(mask)
    return rgba[..., 3] if has_real_alpha(rgba) else np.asarray(Image.fromarray(rgba).convert("L"))


def write_png(path: Path, pixels: UInt8[ndarray, "height width *channel"]) -> None:
    """Write grey, RGB or RGBA, marked as ours; replaces the file in one step.

    Raises:
        BadInputError: the file cannot be written.
    """
    mark = PngImagePlugin.PngInfo()
    mark.add_text(*MARK)
    with written_atomically(path) as temporary:
        Image.fromarray(pixels).save(temporary, format="PNG", pnginfo=mark)


def write_gif(
    path: Path, frames: Sequence[UInt8[ndarray, "height width 3"]], milliseconds: int
) -> None:
    """Write an animation without end, each frame for that long, in colours common to all, marked as
    ours; replaces the file in one step.

    Raises:
        BadInputError: the file cannot be written.
    """
    some = np.concatenate(frames[:: max(1, len(frames) // 6)])
    palette = Image.fromarray(some).quantize(dither=Image.Dither.NONE)
    drawn = [
        Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE)
        for frame in frames
    ]
    with written_atomically(path) as temporary:
        drawn[0].save(
            temporary,
            format="GIF",
            save_all=True,
            append_images=drawn[1:],
            duration=milliseconds,
            loop=0,
            comment=GIF_MARK,
        )


def has_real_alpha(rgba: UInt8[ndarray, "height width 4"]) -> bool:
    """Whether the alpha channel tells an object from a background, beyond rounded corners."""
    opaque = int(np.count_nonzero(rgba[..., 3] > 127))
    return 0 < opaque <= (1 - TRANSPARENT_SHARE) * rgba[..., 3].size


def _decoded(stream: BinaryIO | io.BytesIO, name: str) -> UInt8[ndarray, "height width 4"]:
    stream.seek(0)
    header = stream.read(64)
    stream.seek(0)
    # Of mif1, AVIF is a kind too, which pillow-heif takes for its own and cannot read.
    brands = header[8:] if header[4:8] == b"ftyp" else b""
    is_avif = b"avif" in brands
    if brands[:4] in HEIC_BRANDS and not is_avif and not _heic_registered():
        raise BadInputError(f'{name} is a HEIC picture; to read it, pip install "img2pc[heic]"')
    # Image.open refuses JPEGs that telephones make.
    is_jpeg = header.startswith(b"\xff\xd8\xff")
    with (
        JpegImagePlugin.jpeg_factory(stream)
        if is_jpeg
        else Image.open(stream, formats=["AVIF"] if is_avif else None)
    ) as image:
        if image.format == "EPS":  # Pillow would run Ghostscript, for as long as it takes
            raise BadInputError(f"{name} is a PostScript program, not an image")
        _refuse_bombs(image, name)
        # JPEG decodes at a half, a quarter or an eighth of its size, in that much less memory.
        image.draft(image.mode, (LONGEST_SIDE, LONGEST_SIDE))
        _refuse_bombs(image, name, jpeg_times=1)  # a long one is not reduced
        return _pixels(image)


def _pixels(image: Image.Image) -> UInt8[ndarray, "height width 4"]:
    """Of an image that may be changed."""
    profile = image.info.get("icc_profile")
    upright = _colour_channels(_upright(image))
    upright.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.BOX)
    return np.asarray(_to_srgb(upright, profile))


def _with_alpha(pixels: UInt8[ndarray, "height width channel"]) -> UInt8[ndarray, "height width 4"]:
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (3, 4):
        raise BadInputError(
            f"an array of {pixels.dtype}, {pixels.shape}, is not RGB or RGBA of 8 bits"
        )
    if not pixels.size:
        raise BadInputError("the picture has no pixels")
    opaque = np.full((*pixels.shape[:2], 1), 255, dtype=np.uint8)
    return np.concatenate([pixels, opaque], -1)[..., :4]


def _upright(image: Image.Image) -> Image.Image:
    """Turned as its EXIF says, if that can be read.

    ImageOps.exif_transpose also writes the EXIF anew, and fails where any of it is odd.
    """
    image.load()  # turns a TIFF, whose EXIF then says no more of it
    orientation = 1
    with suppress(Exception):  # whatever a damaged header makes Pillow raise
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    turn = _TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)


@functools.cache
def _heic_registered() -> bool:
    """Whether Pillow reads HEIC now."""
    if importlib.util.find_spec("pillow_heif") is None:
        return False
    import pillow_heif

    pillow_heif.register_heif_opener()
    return True


def _refuse_bombs(image: Image.Image, name: str, jpeg_times: int = 4) -> None:
    """Raise beyond Pillow's limit of 89 megapixels; a JPEG may have four times that.

    A JPEG is reduced while it is decoded, and telephones make them of 200 megapixels.
    """
    if Image.MAX_IMAGE_PIXELS is None:
        return
    limit = Image.MAX_IMAGE_PIXELS * (jpeg_times if image.format in ("JPEG", "MPO") else 1)
    if image.width * image.height > limit:
        raise BadInputError(
            f"{name} is too large: {image.width} × {image.height} pixels; the limit is "
            f"{limit / 1e6:.0f} million"
        )


def _colour_channels(image: Image.Image) -> Image.Image:
    """The picture in 8 bits a channel, without a palette, with alpha if it is transparent."""
    image = _to_8_bit(image)
    if image.has_transparency_data:
        return image.convert("LA" if image.mode in ("L", "LA", "La") else "RGBA")
    if image.mode == "1":
        return image.convert("L")
    return image if image.mode in ("L", "RGB", "CMYK", "LAB") else image.convert("RGB")


def _to_8_bit(image: Image.Image) -> Image.Image:
    """Deep greys to 8 bits: 16-bit by its range, 32-bit and float by their maximum."""
    if image.mode.startswith("I;16"):
        deep, transparent = np.asarray(image), image.info.get("transparency")
        grey = Image.fromarray((deep >> 8).astype(np.uint8))
        if isinstance(transparent, int):
            grey.putalpha(Image.fromarray(np.where(deep == transparent, 0, 255).astype(np.uint8)))
        return grey
    if image.mode in ("I", "F"):
        values = np.nan_to_num(np.asarray(image, dtype=np.float32), posinf=0, neginf=0)
        top = max(float(values.max()), 1.0)
        if image.mode == "I" and 255 < top <= 65535:  # 16-bit greys that were widened
            top = 65535.0
        # In place: there may be 89 million.
        np.multiply(values.clip(0, top, out=values), 255 / top, out=values)
        return Image.fromarray(np.rint(values, out=values).astype(np.uint8))
    return image


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """RGBA of a picture of mode L, LA, RGB, RGBA, CMYK or LAB; a broken profile is ignored."""
    alpha = image.getchannel("A") if image.mode in ("LA", "RGBA") else None
    colour = image if alpha is None else image.convert(image.mode[:-1])
    lab = colour.mode == "LAB"
    if profile or lab:
        with suppress(ImageCms.PyCMSError, OSError, ValueError, TypeError):
            source = ImageCms.ImageCmsProfile(
                ImageCms.createProfile("LAB") if lab else io.BytesIO(profile or b"")
            )
            converted = ImageCms.profileToProfile(
                colour, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
            )
            colour = converted or colour  # None is for conversions in place
    rgba = colour.convert("RGBA")
    if alpha is not None:
        rgba.putalpha(alpha)
    return rgba


def crop_to_foreground(
    rgba: UInt8[ndarray, "height width 4"], size: int
) -> UInt8[ndarray, "size size 4"]:
    """Square crop centred on the foreground's bounding box, transparent where it leaves the image.

    The one crop of training, evaluation and use.

    Raises:
        BadInputError: no pixel is more than half opaque.
    """
    box = Image.fromarray(rgba[..., 3] > 127).getbbox()
    if box is None:
        raise BadInputError(f"no object was found in the picture; {HOW_TO_SHOW_IT}")
    left, top, right, bottom = box
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
