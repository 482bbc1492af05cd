from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy import ndarray
from PIL import Image
from torch.testing import assert_close

from img2pc.errors import BadInputError
from img2pc.images import crop_to_foreground, network_input, read_image, with_foreground_alpha

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


def test_cmyk_is_read(tmp_path: Path) -> None:
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "print.jpg", quality=95)
    assert np.abs(read_image(tmp_path / "print.jpg")[4, 4] - np.array([255, 0, 0, 255])).max() < 10


def test_16_bit_greys_are_scaled_not_clipped(tmp_path: Path) -> None:
    values = np.array([[0, 257, 25700, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "depth.png")
    assert read_image(tmp_path / "depth.png")[0, :, 0].tolist() == [0, 1, 100, 255]


@pytest.mark.parametrize("values", [[0, 257, 25700, 65535], [0, 1, 100, 255]])
def test_32_bit_greys_are_scaled_not_clipped(values: list[int], tmp_path: Path) -> None:
    Image.fromarray(np.array([values], dtype=np.int32)).save(tmp_path / "depth.tiff")
    assert read_image(tmp_path / "depth.tiff")[0, :, 0].tolist() == [0, 1, 100, 255]


def test_float_greys_are_scaled_by_their_maximum(tmp_path: Path) -> None:
    values = np.array([[0, 60, 100, np.nan]], dtype=np.float32)
    Image.fromarray(values).save(tmp_path / "depth.tiff")
    assert read_image(tmp_path / "depth.tiff")[0, :, 0].tolist() == [0, 153, 255, 0]


def test_the_first_frame_of_an_animation_is_read(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in (RED, BLUE)]
    frames[0].save(tmp_path / "film.gif", save_all=True, append_images=frames[1:])
    assert read_image(tmp_path / "film.gif")[0, 0].tolist() == [255, 0, 0, 255]


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


# --- Foreground -----------------------------------------------------------------------------------


def disc(radius: float, size: int = 200) -> ndarray:
    row, column = np.mgrid[:size, :size] + 0.5 - size / 2
    return np.hypot(row, column) < radius


def opaque(rgb: ndarray) -> ndarray:
    return np.concatenate([rgb, np.full_like(rgb[..., :1], 255)], -1)


def painted(background: int, *layers: tuple[ndarray, tuple[int, int, int]]) -> ndarray:
    rgb = np.full((200, 200, 3), background, dtype=np.uint8)
    for mask, colour in layers:
        rgb[mask] = colour
    return rgb


def iou(alpha: ndarray, mask: ndarray) -> float:
    found = alpha > 127
    return float((found & mask).sum() / (found | mask).sum())


def test_alpha_of_the_picture_is_kept() -> None:
    rgba = rectangle(30, 30, 5, 5, (10, 10))
    rgba[6, 6, 3] = 77
    assert np.array_equal(with_foreground_alpha(rgba), rgba)


@pytest.mark.parametrize("quality", [None, 90, 75])
def test_a_coloured_disc_is_cut_out_of_grey(quality: int | None) -> None:
    rgb = painted(180, (disc(60), (200, 60, 40)))
    if quality is not None:
        buffer = io.BytesIO()
        Image.fromarray(rgb).save(buffer, "JPEG", quality=quality)
        rgb = np.asarray(Image.open(buffer))
    cut = with_foreground_alpha(opaque(rgb))
    assert iou(cut[..., 3], disc(60)) > 0.97
    assert np.array_equal(cut[..., :3], rgb)


def test_sensor_noise_on_the_background_is_no_foreground() -> None:
    noise = np.random.default_rng(0).normal(0, 4, (200, 200, 3))
    rgb = painted(128, (disc(60), (20, 60, 140))) + noise
    cut = with_foreground_alpha(opaque(rgb.clip(0, 255).astype(np.uint8)))
    assert iou(cut[..., 3], disc(60)) > 0.97


def test_the_hole_of_a_ring_is_background() -> None:
    ring = disc(60) & ~disc(30)
    cut = with_foreground_alpha(opaque(painted(255, (ring, (50, 50, 50)))))
    assert iou(cut[..., 3], ring) > 0.97


def test_a_nearly_white_part_on_white_is_kept() -> None:
    rgb = painted(255, (disc(60), (50, 50, 50)), (disc(30), (248, 248, 248)))
    cut = with_foreground_alpha(opaque(rgb))
    assert iou(cut[..., 3], disc(60)) > 0.97


def test_an_object_that_touches_the_border_is_cut_out() -> None:
    mask = np.zeros((200, 200), dtype=bool)
    mask[100:, 90:110] = True
    cut = with_foreground_alpha(opaque(painted(230, (mask, (30, 90, 30)))))
    assert iou(cut[..., 3], mask) > 0.9


def test_a_border_that_is_not_flat_is_refused() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (60, 60, 3), dtype=np.uint8)
    with pytest.raises(BadInputError, match="no flat background"):
        with_foreground_alpha(opaque(noise))
    gradient = np.linspace(0, 255, 60).astype(np.uint8)[None, :, None] * np.ones((60, 1, 3), "u1")
    with pytest.raises(BadInputError, match="no flat background"):
        with_foreground_alpha(opaque(gradient))


@pytest.mark.filterwarnings("error")  # nothing but one line on stderr
@pytest.mark.parametrize("alpha", [0, 100, 255])
def test_a_picture_of_nothing_is_refused(alpha: int) -> None:
    blank = np.full((50, 50, 4), 200, dtype=np.uint8)
    blank[..., 3] = alpha
    with pytest.raises(BadInputError, match="no foreground"):
        with_foreground_alpha(blank)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (3, 2)])
def test_the_smallest_blank_pictures_are_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(BadInputError, match="no foreground"):
        with_foreground_alpha(np.full((*shape, 4), 255, dtype=np.uint8))


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
    with pytest.raises(BadInputError, match="no foreground"):
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
