from __future__ import annotations

import io
import os
import struct
import sys
import threading
import zlib
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy import ndarray
from PIL import ExifTags, Image, ImageCms, ImageOps
from torch.testing import assert_close

from img2pc import images
from img2pc.errors import BadInputError
from img2pc.images import (
    LONGEST_SIDE,
    crop_to_foreground,
    has_real_alpha,
    network_input,
    read_image,
    read_mask,
)

RED, BLUE = (255, 0, 0), (0, 0, 255)


def rectangle(height: int, width: int, top: int, left: int, box_size: tuple[int, int]) -> ndarray:
    """A transparent picture with one opaque rectangle (height, width) of random colours."""
    rgba = np.zeros((height, width, 4), dtype=np.uint8)
    rows, columns = box_size
    colours = np.random.default_rng(0).integers(0, 255, (rows, columns, 3))
    rgba[top : top + rows, left : left + columns, :3] = colours
    rgba[top : top + rows, left : left + columns, 3] = 255
    return rgba


# --- Reading --------------------------------------------------------------------------------------


def test_pictures_are_turned_upright(tmp_path: Path) -> None:
    """Orientation 6: the camera was held upright, the sensor's left is the picture's top."""
    sensor = Image.new("RGB", (20, 10), BLUE)
    sensor.paste(RED, (0, 0, 10, 10))
    exif = Image.Exif()
    exif[0x0112] = 6
    sensor.save(tmp_path / "photo.png", exif=exif)
    upright = read_image(tmp_path / "photo.png")
    assert upright.shape == (20, 10, 4)
    assert upright[0, 0].tolist() == [255, 0, 0, 255]
    assert upright[-1, 0].tolist() == [0, 0, 255, 255]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_every_orientation_is_turned_as_pillow_turns_it(
    suffix: str, orientation: int, tmp_path: Path
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(tmp_path / "photo.png", exif=exif)
    with Image.open(tmp_path / "photo.png") as photo:
        expected = np.asarray(ImageOps.exif_transpose(photo))
    Image.fromarray(pixels).save(tmp_path / f"photo.{suffix}", exif=exif)
    assert np.array_equal(read_image(tmp_path / f"photo.{suffix}")[..., :3], expected)


def test_a_transparent_grey_of_16_bits(tmp_path: Path) -> None:
    deep = np.full((4, 5), 65535, np.uint16)
    deep[1:3, 2] = 0x80FF
    Image.fromarray(deep).save(tmp_path / "deep.png", transparency=65535)
    rgba = read_image(tmp_path / "deep.png")
    assert np.array_equal(rgba[..., 3] == 255, deep != 65535)
    assert rgba[1, 2].tolist() == [0x80, 0x80, 0x80, 255]


def test_odd_exif_is_no_reason_to_refuse_a_picture(tmp_path: Path) -> None:
    """Orientation 6, and a resolution that is text; then a header that is none."""
    entries = struct.pack("<HHIHHHHI4s", 0x0112, 3, 1, 6, 0, 0x011A, 2, 4, b"72\0\0")
    tags = b"II*\0" + struct.pack("<IH", 8, 2) + entries + struct.pack("<I", 0)
    for header, shape in ((tags, (20, 10, 4)), (b"not a TIFF file", (10, 20, 4))):
        Image.new("RGB", (20, 10)).save(tmp_path / "photo.jpg", exif=b"Exif\0\0" + header)
        assert read_image(tmp_path / "photo.jpg").shape == shape


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("1", 1, [255, 255, 255, 255]),
        ("L", 100, [100, 100, 100, 255]),
        ("LA", (100, 50), [100, 100, 100, 50]),
        ("P", 0, [0, 0, 0, 255]),
        ("RGB", (1, 2, 3), [1, 2, 3, 255]),
        ("RGBA", (1, 2, 3, 4), [1, 2, 3, 4]),
    ],
)
def test_every_mode_becomes_rgba(
    mode: str, colour: int | tuple[int, ...], expected: list[int], tmp_path: Path
) -> None:
    image = Image.new(mode, (3, 2), colour)
    if mode == "P":
        image.putpalette([0, 0, 0, 255, 255, 255])
    image.save(tmp_path / "picture.png")
    rgba = read_image(tmp_path / "picture.png")
    assert rgba.shape == (2, 3, 4)
    assert rgba.dtype == np.uint8
    assert rgba[1, 2].tolist() == expected


def test_transparent_palette_entries_are_transparent(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1), 1)
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((0, 0), 0)
    image.save(tmp_path / "picture.png", transparency=0)
    assert read_image(tmp_path / "picture.png")[0].tolist() == [[10, 20, 30, 0], [40, 50, 60, 255]]


def test_an_opaque_palette_is_opaque(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1), 1)
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.save(tmp_path / "picture.gif")
    assert read_image(tmp_path / "picture.gif")[0, 0].tolist() == [40, 50, 60, 255]


def test_a_transparent_colour_is_transparent(tmp_path: Path) -> None:
    image = Image.new("RGB", (2, 1), (1, 2, 3))
    image.putpixel((0, 0), (9, 8, 7))
    image.save(tmp_path / "picture.png", transparency=(9, 8, 7))
    assert read_image(tmp_path / "picture.png")[0].tolist() == [[9, 8, 7, 0], [1, 2, 3, 255]]


def test_colours_under_transparent_pixels_stay_straight(tmp_path: Path) -> None:
    Image.new("RGBA", (3, 3), (200, 100, 50, 1)).save(tmp_path / "picture.png")
    assert read_image(tmp_path / "picture.png")[1, 1].tolist() == [200, 100, 50, 1]


def test_cmyk_is_read(tmp_path: Path) -> None:
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "print.jpg", quality=95)
    assert np.abs(read_image(tmp_path / "print.jpg")[4, 4] - np.array([255, 0, 0, 255])).max() < 10


def test_16_bit_greys_are_scaled_not_clipped(tmp_path: Path) -> None:
    values = np.array([[0, 257, 25700, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "depth.png")
    assert read_image(tmp_path / "depth.png")[0, :, 0].tolist() == [0, 1, 100, 255]


def test_big_endian_16_bit_greys_are_scaled_too(tmp_path: Path) -> None:
    values = np.array([[0, 257, 25700, 65535]], dtype=">u2")
    Image.frombytes("I;16B", (4, 1), values.tobytes()).save(tmp_path / "depth.tiff")
    assert read_image(tmp_path / "depth.tiff")[0, :, 0].tolist() == [0, 1, 100, 255]


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_16_bit_colours_are_scaled_not_clipped(channels: int, tmp_path: Path) -> None:
    values = np.array([25700, 257, 65535, 51400], dtype=">u2")[:channels]
    (tmp_path / "deep.png").write_bytes(png_of_one_16_bit_pixel(values))
    expected = {2: [100, 100, 100, 1], 3: [100, 1, 255, 255], 4: [100, 1, 255, 200]}
    assert read_image(tmp_path / "deep.png")[0, 0].tolist() == expected[channels]


def png_of_one_16_bit_pixel(channels: ndarray) -> bytes:
    """Pillow reads such files and does not write them."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    colour_type = {2: 4, 3: 2, 4: 6}[len(channels)]
    header = struct.pack(">IIBBBBB", 1, 1, 16, colour_type, 0, 0, 0)
    pixel = zlib.compress(b"\0" + channels.tobytes())
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", pixel) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


@pytest.mark.parametrize(
    "values", [[0, 257, 25700, 65535], [0, 1, 100, 255], [0, 10**6, 10**8, 255 * 10**6]]
)
def test_32_bit_greys_are_scaled_not_clipped(values: list[int], tmp_path: Path) -> None:
    Image.fromarray(np.array([values], dtype=np.int32)).save(tmp_path / "depth.tiff")
    assert read_image(tmp_path / "depth.tiff")[0, :, 0].tolist() == [0, 1, 100, 255]


def test_16_bit_greys_that_were_widened_are_of_16_bits(tmp_path: Path) -> None:
    """As Pillow does with PGM: 65535 is white, though none is."""
    Image.fromarray(np.array([[0, 257, 25700]], dtype=np.int32)).save(tmp_path / "depth.tiff")
    assert read_image(tmp_path / "depth.tiff")[0, :, 0].tolist() == [0, 1, 100]


def test_float_greys_are_scaled_by_their_maximum(tmp_path: Path) -> None:
    values = np.array([[0, 60, 100, np.nan]], dtype=np.float32)
    Image.fromarray(values).save(tmp_path / "depth.tiff")
    assert read_image(tmp_path / "depth.tiff")[0, :, 0].tolist() == [0, 153, 255, 0]


@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "tiff"])
def test_the_first_frame_of_an_animation_is_read(suffix: str, tmp_path: Path) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in (RED, BLUE)]
    film = tmp_path / f"film.{suffix}"
    exact = {"lossless": True} if suffix == "webp" else {}
    frames[0].save(film, save_all=True, append_images=frames[1:], **exact)
    assert read_image(film)[0, 0].tolist() == [255, 0, 0, 255]


def swapped_profile() -> bytes:
    """An ICC profile like sRGB whose red is blue and whose blue is red."""
    red, green, blue = (0.436, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7139)

    def xyz(values: tuple[float, ...]) -> bytes:
        return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(65536 * value) for value in values))

    curve = b"curv\0\0\0\0" + struct.pack(">IHxx", 1, round(2.2 * 256))
    tags = {
        b"wtpt": xyz((0.9642, 1.0, 0.8249)),
        **{b"rXYZ": xyz(blue), b"gXYZ": xyz(green), b"bXYZ": xyz(red)},
        **{b"rTRC": curve, b"gTRC": curve, b"bTRC": curve},
    }
    position, table, content = 128 + 4 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, tag in tags.items():
        table += name + struct.pack(">II", position + len(content), len(tag))
        content += tag
    header = struct.pack(
        ">I4sI4s4s4s", position + len(content), b"", 0x02400000, b"mntr", b"RGB ", b"XYZ "
    )
    header = header.ljust(36, b"\0") + b"acsp" + bytes(28)
    illuminant = struct.pack(">3i", *(round(65536 * value) for value in (0.9642, 1.0, 0.8249)))
    return (header + illuminant).ljust(128, b"\0") + table + content


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tiff"])
def test_embedded_profiles_are_converted_to_srgb(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"photo.{suffix}"
    Image.new("RGB", (16, 16), RED).save(path, icc_profile=swapped_profile())
    assert np.abs(read_image(path)[8, 8].astype(int) - [0, 0, 255, 255]).max() <= 6


def test_alpha_and_palettes_survive_the_profile(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), (*RED, 40)).save(tmp_path / "a.png", icc_profile=swapped_profile())
    assert np.abs(read_image(tmp_path / "a.png")[0, 0].astype(int) - [0, 0, 255, 40]).max() <= 2
    palette = Image.new("P", (4, 4), 0)
    palette.putpalette([255, 0, 0])
    palette.save(tmp_path / "p.png", icc_profile=swapped_profile())
    assert np.abs(read_image(tmp_path / "p.png")[0, 0].astype(int) - [0, 0, 255, 255]).max() <= 2


def test_an_srgb_profile_changes_nothing(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.new("RGB", (4, 4), (12, 130, 250)).save(tmp_path / "photo.png", icc_profile=profile)
    assert (
        np.abs(read_image(tmp_path / "photo.png")[0, 0].astype(int) - [12, 130, 250, 255]).max()
        <= 1
    )


@pytest.mark.parametrize(
    ("mode", "profile"),
    [
        *product(["L", "RGB", "CMYK"], [b"rubbish", swapped_profile()[:140]]),
        *product(["L", "CMYK"], [swapped_profile()]),
    ],
)
def test_profiles_that_are_broken_or_of_another_colour_space_are_ignored(
    mode: str, profile: bytes, tmp_path: Path
) -> None:
    colours = {"L": 77, "RGB": (77, 77, 77), "CMYK": (178, 178, 178, 0)}
    Image.new(mode, (8, 8), colours[mode]).save(tmp_path / "photo.tiff", icc_profile=profile)
    assert read_image(tmp_path / "photo.tiff")[4, 4].tolist() == [77, 77, 77, 255]


def test_cie_lab_is_read(tmp_path: Path) -> None:
    """L* 53.2, a* 80.1, b* 67.2 is roughly sRGB's red; Pillow itself cannot show it."""
    Image.new("LAB", (4, 4), (136, 128 + 80, 128 + 67)).save(tmp_path / "lab.tiff")
    assert np.abs(read_image(tmp_path / "lab.tiff")[0, 0].astype(int) - [255, 0, 0, 255]).max() < 12


def test_heic_is_read_upright(tmp_path: Path) -> None:
    pillow_heif = pytest.importorskip("pillow_heif", reason="img2pc[heic] is not installed")
    pixels = np.zeros((48, 64, 3), dtype=np.uint8)
    pixels[:, :32] = RED
    pixels[:, 32:] = BLUE
    heic = pillow_heif.from_pillow(Image.fromarray(pixels))
    try:
        heic.save(tmp_path / "photo.heic", quality=90)
    except (RuntimeError, ValueError) as error:
        pytest.skip(f"this pillow-heif cannot write HEIC: {error}")
    rgba = read_image(tmp_path / "photo.heic")
    assert rgba.shape == (48, 64, 4)
    assert np.abs(rgba[24, 8].astype(int) - [255, 0, 0, 255]).max() < 12
    assert np.abs(rgba[24, 56].astype(int) - [0, 0, 255, 255]).max() < 12
    with (tmp_path / "photo.heic").open("rb") as stream:
        assert np.array_equal(read_image(stream), rgba)
    content = (tmp_path / "photo.heic").read_bytes()
    for length in (16, 100, len(content) // 2):
        (tmp_path / "broken.heic").write_bytes(content[:length])
        with pytest.raises(BadInputError, match=r"broken\.heic"):
            read_image(tmp_path / "broken.heic")


def test_pillow_images_are_read_as_their_files_and_stay_as_they_are(tmp_path: Path) -> None:
    """Turned, large enough to be reduced, and opened, but not yet decoded."""
    pixels = np.zeros((100, 2500, 3), dtype=np.uint8)
    pixels[:, :800] = (200, 40, 40)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    path = tmp_path / "photo.png"
    Image.fromarray(pixels).save(path, exif=exif)
    with Image.open(path) as image:
        rgba = read_image(image)
        assert image.size == (2500, 100)
    assert np.array_equal(rgba, read_image(path))
    assert rgba.shape == (2048, 82, 4)
    assert rgba[0, 0].tolist() == [200, 40, 40, 255]


def test_pillow_images_are_not_reduced_in_place() -> None:
    image = Image.new("RGB", (2500, 100))
    assert read_image(image).shape == (82, 2048, 4)
    assert image.size == (2500, 100)


def test_an_avif_of_the_brand_mif1_is_no_heic(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("img2pc.images._heic_registered", lambda: False)
    Image.new("RGB", (16, 16), RED).save(tmp_path / "a.avif")
    content = (tmp_path / "a.avif").read_bytes()
    assert content[4:12] == b"ftypavif"
    (tmp_path / "a.avif").write_bytes(content[:8] + b"mif1" + content[12:])
    assert read_image(tmp_path / "a.avif").shape == (16, 16, 4)


@pytest.mark.parametrize("brand", [b"heic", b"mif1"])
def test_heic_without_the_extra_says_what_to_install(
    brand: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images.importlib.util, "find_spec", lambda name: None)
    images._heic_registered.cache_clear()
    (tmp_path / "photo.heic").write_bytes(b"\0\0\0\x18ftyp" + brand + bytes(12))
    try:
        with pytest.raises(BadInputError, match=r'pip install "img2pc\[heic\]"'):
            read_image(tmp_path / "photo.heic")
    finally:
        images._heic_registered.cache_clear()


def test_avif_is_read(tmp_path: Path) -> None:
    Image.new("RGBA", (32, 32), (200, 30, 60, 255)).save(tmp_path / "photo.avif", quality=90)
    rgba = read_image(tmp_path / "photo.avif")
    assert np.abs(rgba[16, 16].astype(int) - [200, 30, 60, 255]).max() < 10


def test_pictures_are_read_from_streams_and_pipes(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (5, 4), RED).save(buffer, "PNG")
    assert read_image(buffer)[3, 4].tolist() == [255, 0, 0, 255]
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as sink:
        sink.write(buffer.getvalue())
    with os.fdopen(reading, "rb") as source:
        assert read_image(source)[3, 4].tolist() == [255, 0, 0, 255]
    if os.name != "nt":  # what a shell makes of <(curl …)
        os.mkfifo(tmp_path / "pipe")
        writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(buffer.getvalue(),))
        writer.start()
        assert read_image(tmp_path / "pipe")[3, 4].tolist() == [255, 0, 0, 255]
        writer.join()
    with pytest.raises(BadInputError, match="the picture is not an image"):
        read_image(io.BytesIO(b"not a picture"))


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n"])
def test_unreadable_files_are_bad_input(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(content)
    with pytest.raises(BadInputError, match=r"broken\.png"):
        read_image(tmp_path / "broken.png")


def test_missing_files_and_folders_are_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="does not exist"):
        read_image(tmp_path / "missing.png")
    with pytest.raises(BadInputError):
        read_image(tmp_path)


@pytest.mark.filterwarnings("error")  # nothing but one line on stderr
@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "tiff", "webp"])
def test_truncated_files_are_bad_input(suffix: str, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8)
    whole = tmp_path / f"whole.{suffix}"
    Image.fromarray(noise).save(whole)
    content = whole.read_bytes()
    broken = tmp_path / f"broken.{suffix}"
    for length in np.linspace(1, len(content) // 2, 25).astype(int):
        broken.write_bytes(content[:length])
        with pytest.raises(BadInputError, match="broken"):
            read_image(broken)


@pytest.mark.parametrize("side", [15, 30])
def test_pictures_too_large_for_a_photo_are_bad_input(
    side: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pillow warns beyond its limit and refuses beyond twice that; here both are refused."""
    Image.new("L", (side, side)).save(tmp_path / "bomb.png")
    read_image(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 200)
    with pytest.raises(BadInputError, match="too large"):
        read_image(tmp_path / "bomb.png")


def test_a_jpeg_may_have_four_times_the_pixels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If it is reduced while it is decoded; telephones make them of 200 megapixels."""
    monkeypatch.setattr(images, "LONGEST_SIDE", 10)
    for name, size in (("photo", (39, 20)), ("long", (43, 18)), ("bomb", (41, 20))):
        Image.new("L", size).save(tmp_path / f"{name}.jpg")
    opened = Image.open(tmp_path / "photo.jpg")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 200)
    assert read_image(tmp_path / "photo.jpg").shape == (5, 10, 4)
    with opened, pytest.raises(BadInputError, match="too large"):  # it would not be reduced
        read_image(opened)
    for name in ("long", "bomb"):
        with pytest.raises(BadInputError, match="too large"):
            read_image(tmp_path / f"{name}.jpg")


def test_postscript_is_not_run(tmp_path: Path) -> None:
    """Whatever its name, Pillow would have Ghostscript draw it."""
    Image.new("RGB", (9, 9)).save(tmp_path / "page.png", format="EPS")
    with pytest.raises(BadInputError, match=r"page\.png is a PostScript program"):
        read_image(tmp_path / "page.png")


def test_a_plugin_that_does_not_load_is_bad_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(64))
    images._heic_registered.cache_clear()
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.setattr(images.importlib.util, "find_spec", lambda name: object())
    with pytest.raises(BadInputError, match="pillow_heif"):
        read_image(tmp_path / "photo.heic")


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_large_pictures_are_reduced(suffix: str, tmp_path: Path) -> None:
    large = Image.new("RGB", (5000, 1000), BLUE)
    large.paste(RED, (0, 0, 2500, 1000))
    large.save(tmp_path / f"large.{suffix}")
    rgba = read_image(tmp_path / f"large.{suffix}")
    assert max(rgba.shape) == LONGEST_SIDE
    assert abs(rgba.shape[0] - LONGEST_SIDE / 5) <= 1
    assert rgba[9, 9, 0] > 250
    assert rgba[9, -9, 2] > 250


# --- Masks ----------------------------------------------------------------------------------------


def half_white(mode: str, size: tuple[int, int]) -> Image.Image:
    """Black at the left, white at the right, by the channel that counts."""
    left, right = {"L": (0, 255), "1": (0, 1), "RGB": ((0,) * 3, (255,) * 3)}.get(
        mode, ((90, 90, 90, 0), (90, 90, 90, 255))
    )
    mask = Image.new(mode, size, left)
    mask.paste(right, (size[0] // 2, 0, *size))
    return mask


@pytest.mark.parametrize("mode", ["L", "1", "RGB", "RGBA"])
@pytest.mark.parametrize("scale", [1, 3])
def test_masks_are_read_and_brought_to_the_pictures_size(
    mode: str, scale: int, tmp_path: Path
) -> None:
    half_white(mode, (20 * scale, 10 * scale)).save(tmp_path / "mask.png")
    mask = read_mask(tmp_path / "mask.png", (10, 20))
    assert mask.shape == (10, 20)
    assert mask[:, :9].max() == 0
    assert mask[:, 11:].min() == 255


def test_masks_may_be_pixels(tmp_path: Path) -> None:
    image = half_white("L", (20, 10))
    image.save(tmp_path / "mask.png")
    expected = read_mask(tmp_path / "mask.png", (10, 20))
    grey = np.asarray(image)
    for mask in (image, grey, grey > 127, str(tmp_path / "mask.png")):
        assert np.array_equal(read_mask(mask, (10, 20)), expected)
    with pytest.raises(BadInputError, match=r"^the mask is 20 × 10, of another shape"):
        read_mask(grey, (20, 10))
    for size in ((10, 20), (0, 0)):
        with pytest.raises(BadInputError, match=r"^the mask has no white part"):
            read_mask(np.zeros(size, dtype=bool), (10, 20))


def test_rounding_of_a_side_is_no_other_shape(tmp_path: Path) -> None:
    half_white("L", (1000, 667)).save(tmp_path / "mask.png")
    assert read_mask(tmp_path / "mask.png", (66, 100)).shape == (66, 100)


def test_masks_of_another_shape_or_of_nothing_are_bad_input(tmp_path: Path) -> None:
    half_white("L", (10, 20)).save(tmp_path / "mask.png")
    with pytest.raises(BadInputError, match=r"10 × 20.*20 × 10"):
        read_mask(tmp_path / "mask.png", (10, 20))
    with pytest.raises(BadInputError, match=r"400 × 300.*450 × 300"):
        read_mask(np.full((300, 400), 255, dtype=np.uint8), (300, 450))
    Image.new("L", (20, 10), 100).save(tmp_path / "mask.png")
    with pytest.raises(BadInputError, match="no white part"):
        read_mask(tmp_path / "mask.png", (10, 20))
    with pytest.raises(BadInputError, match="does not exist"):
        read_mask(tmp_path / "missing.png", (10, 20))


@pytest.mark.parametrize(
    ("transparent", "expected"), [(0, False), (1, False), (20, True), (9999, True), (10000, False)]
)
def test_rounded_corners_are_no_alpha(transparent: int, expected: bool) -> None:
    rgba = np.full((100, 100, 4), 255, dtype=np.uint8)
    rgba.reshape(-1, 4)[:transparent, 3] = 0
    assert has_real_alpha(rgba) is expected


# --- Crop -----------------------------------------------------------------------------------------


def extent(crop: ndarray) -> tuple[int, int, int, int]:
    """Transparent pixels above, below, left and right of the foreground."""
    found = crop[..., 3] > 127
    rows, columns = np.flatnonzero(found.any(1)), np.flatnonzero(found.any(0))
    size = len(crop) - 1
    return int(rows[0]), int(size - rows[-1]), int(columns[0]), int(size - columns[-1])


@pytest.mark.parametrize("box_size", [(90, 40), (40, 90), (9, 5), (270, 10)])
def test_the_crop_is_centred_and_nine_tenths_full(box_size: tuple[int, int]) -> None:
    crop = crop_to_foreground(rectangle(300, 200, 13, 7, box_size), 100)
    assert crop.shape == (100, 100, 4)
    above, below, left, right = extent(crop)
    assert abs(above - below) <= 1
    assert abs(left - right) <= 1
    longer, shorter = max(box_size), min(box_size)
    shown = sorted([100 - above - below, 100 - left - right])
    assert abs(shown[1] - 90) <= 1
    assert abs(shown[0] - 90 * shorter / longer) <= 1


def test_the_crop_may_leave_the_picture() -> None:
    rgba = rectangle(50, 50, 0, 0, (50, 50))
    crop = crop_to_foreground(rgba, 100)
    assert max(abs(margin - 5) for margin in extent(crop)) <= 1
    assert crop[0, :, 3].max() == 0


def test_a_single_pixel_fills_the_crop() -> None:
    rgba = rectangle(20, 20, 19, 0, (1, 1))
    crop = crop_to_foreground(rgba, 32)
    assert crop[16, 16, 3] > 200
    assert np.abs(crop[16, 16, :3].astype(int) - rgba[19, 0, :3]).max() <= 2
    assert max(extent(crop)) <= 9


def test_the_crop_does_not_depend_on_where_the_object_is() -> None:
    one = crop_to_foreground(rectangle(100, 100, 10, 20, (37, 23)), 64)
    other = crop_to_foreground(rectangle(150, 120, 83, 61, (37, 23)), 64)
    assert np.abs(one.astype(int) - other).max() <= 1


def test_the_crop_does_not_depend_on_the_resolution() -> None:
    small = rectangle(100, 100, 10, 20, (40, 30))
    large = small.repeat(3, axis=0).repeat(3, axis=1)
    one, other = crop_to_foreground(small, 32), crop_to_foreground(large, 32)
    assert np.abs(one[..., 3].astype(int) - other[..., 3]).mean() < 3


def test_colours_of_transparent_pixels_do_not_bleed_into_the_crop() -> None:
    rgba = rectangle(100, 100, 30, 30, (40, 40))
    rgba[rgba[..., 3] > 0] = (200, 0, 0, 255)
    rgba[rgba[..., 3] == 0] = (0, 255, 0, 0)
    crop = crop_to_foreground(rgba, 33)
    assert crop[crop[..., 3] > 20][:, 1].max() <= 2


def test_nothing_to_crop_to_is_bad_input() -> None:
    with pytest.raises(BadInputError, match="no object"):
        crop_to_foreground(np.zeros((10, 10, 4), dtype=np.uint8), 16)


# --- Network input --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rgba", "expected"),
    [
        ((255, 255, 255, 255), (1.0, 1.0, 1.0, 1.0)),
        ((0, 0, 0, 255), (-1.0, -1.0, -1.0, 1.0)),
        ((255, 0, 255, 51), (0.2, -0.2, 0.2, -0.6)),
        ((255, 0, 255, 0), (0.0, 0.0, 0.0, -1.0)),
    ],
)
def test_convention_network_input(
    rgba: tuple[int, int, int, int], expected: tuple[float, float, float, float]
) -> None:
    crops = torch.tensor(rgba, dtype=torch.uint8).expand(2, 3, 3, 4)
    values = network_input(crops)
    assert values.shape == (2, 4, 3, 3)
    assert_close(values[1, :, 2, 0], torch.tensor(expected))


def test_network_input_keeps_rows_and_columns() -> None:
    crops = torch.zeros(1, 4, 4, 4, dtype=torch.uint8)
    crops[0, 1, 3] = 255
    assert (network_input(crops)[0, 3] == 1).nonzero().tolist() == [[1, 3]]
