"""Each way of finding the object of a picture, on pictures whose object is known."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import numpy as np
import pytest
from numpy import ndarray
from PIL import Image
from scipy import ndimage

from img2pc import foreground
from img2pc.errors import BadInputError
from img2pc.foreground import Background, find_foreground, rembg_model

from .conftest import COMMAND, OWN_U2NET_HOME

ROOT = Path(__file__).parent.parent

# --- Pictures with a known object -----------------------------------------------------------------


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


def cut(rgba: ndarray) -> ndarray:
    """The picture cut out by its border."""
    return find_foreground(rgba, "border").rgba


def cut_out_disc(radius: float = 60) -> ndarray:
    rgba = opaque(painted(90, (disc(radius), (200, 60, 40))))
    rgba[~disc(radius), 3] = 0
    return rgba


def jpeg(rgb: ndarray, quality: int) -> ndarray:
    buffer = io.BytesIO()
    Image.fromarray(rgb.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def textured(size: int, seed: int, colour: tuple[int, int, int]) -> ndarray:
    """Blotches of many sizes, as of gravel or leaves."""
    random = np.random.default_rng(seed)
    rgb = np.zeros((size, size, 3))
    for blotch in (1, 3, 9):
        noise = ndimage.gaussian_filter(random.normal(size=(size, size, 3)), (blotch, blotch, 0))
        rgb += noise / noise.std()
    return (np.array(colour) + 14 * rgb).clip(0, 255).astype(np.uint8)


@pytest.fixture
def no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nobody downloaded rembg's model; the folder where it would be."""
    monkeypatch.setenv("U2NET_HOME", str(tmp_path))
    return tmp_path


# --- A flat background ----------------------------------------------------------------------------


def test_alpha_of_the_picture_is_kept() -> None:
    rgba = cut_out_disc()
    rgba[100, 100, 3] = 77
    found = find_foreground(rgba)
    assert (found.method, found.warnings) == ("alpha", ())
    assert np.array_equal(found.rgba, rgba)


@pytest.mark.parametrize("quality", [None, 90, 75])
def test_a_coloured_disc_is_cut_out_of_grey(quality: int | None) -> None:
    rgb = painted(180, (disc(60), (200, 60, 40)))
    if quality is not None:
        buffer = io.BytesIO()
        Image.fromarray(rgb).save(buffer, "JPEG", quality=quality)
        rgb = np.asarray(Image.open(buffer))
    found = cut(opaque(rgb))
    assert iou(found[..., 3], disc(60)) > 0.97
    assert np.array_equal(found[..., :3], rgb)


def test_sensor_noise_on_the_background_is_no_foreground() -> None:
    noise = np.random.default_rng(0).normal(0, 4, (200, 200, 3))
    rgb = painted(128, (disc(60), (20, 60, 140))) + noise
    found = cut(opaque(rgb.clip(0, 255).astype(np.uint8)))
    assert iou(found[..., 3], disc(60)) > 0.97


def test_the_hole_of_a_ring_is_background() -> None:
    ring = disc(60) & ~disc(30)
    found = cut(opaque(painted(255, (ring, (50, 50, 50)))))
    assert iou(found[..., 3], ring) > 0.97


def test_a_nearly_white_part_on_white_is_kept() -> None:
    rgb = painted(255, (disc(60), (50, 50, 50)), (disc(30), (248, 248, 248)))
    found = cut(opaque(rgb))
    assert iou(found[..., 3], disc(60)) > 0.97


def test_an_object_that_touches_the_border_is_cut_out() -> None:
    mask = np.zeros((200, 200), dtype=bool)
    mask[100:, 90:110] = True
    found = cut(opaque(painted(230, (mask, (30, 90, 30)))))
    assert iou(found[..., 3], mask) > 0.9


def test_small_parts_go_at_the_border_and_stay_within() -> None:
    kept, gone = np.zeros((2, 200, 200), dtype=bool)
    kept[60:140, 60:140] = True  # 6400 pixels, of which a fifth is 1280
    kept[150:, 80:120] = True  # 2000 at the border
    kept[20:32, 160:172] = True  # 144 within
    gone[:12, :12] = True  # 144 at the border
    gone[20:22, 40:44] = True  # 8, a speck anywhere
    found = cut(opaque(painted(230, (kept | gone, (200, 60, 40)))))
    assert np.array_equal(found[..., 3] > 127, kept)


def test_pinholes_of_a_guess_are_filled_and_holes_stay() -> None:
    found = np.zeros((100, 100), dtype=bool)
    found[20:80, 20:80] = True
    found[40:44, 40:44] = False  # 16 pixels; a 200th of 3559 is 17.8
    found[60:65, 60:65] = False  # 25
    found[5:15, 85:95] = True  # 100, less than a quarter of the rest
    expected = np.zeros_like(found)
    expected[20:80, 20:80] = True
    expected[60:65, 60:65] = False
    assert np.array_equal(foreground._main_parts(found) > 127, expected)


@pytest.mark.filterwarnings("error")  # nothing but one line on stderr
@pytest.mark.parametrize("alpha", [0, 100, 255])
def test_a_picture_of_nothing_is_refused(alpha: int) -> None:
    blank = np.full((50, 50, 4), 200, dtype=np.uint8)
    blank[..., 3] = alpha
    with pytest.raises(BadInputError, match="no object"):
        find_foreground(blank)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (3, 2)])
def test_the_smallest_blank_pictures_are_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(BadInputError, match="no object"):
        cut(np.full((*shape, 4), 255, dtype=np.uint8))


# --- Gradients and shadows ------------------------------------------------------------------------


def lit_from(side: str, size: int = 200) -> ndarray:
    """Brightness of a background, 1 in its centre."""
    y, x = np.mgrid[:size, :size] / size - 0.5
    return {"left": 1 + 0.5 * x, "above": 1 - 0.5 * y, "corners": 1.1 - 0.8 * (x * x + y * y)}[side]


@pytest.mark.parametrize("side", ["left", "above", "corners"])
@pytest.mark.parametrize("quality", [92, 75])
@pytest.mark.parametrize("noise", [0, 3])
def test_gradients_are_background(side: str, quality: int, noise: float) -> None:
    rgb = np.array([150, 160, 175]) * lit_from(side)[..., None]
    rgb = rgb + np.random.default_rng(0).normal(0, noise, rgb.shape)
    rgb[disc(60)] = (180, 70, 40)
    found = find_foreground(opaque(jpeg(rgb, quality)))
    assert (found.method, found.warnings) == ("border", ())
    assert iou(found.rgba[..., 3], disc(60)) > 0.96


@pytest.mark.parametrize("darkness", [0.3, 0.55])
@pytest.mark.parametrize("background", [(255, 255, 255), (150, 160, 175)])
def test_a_soft_shadow_is_background(darkness: float, background: tuple[int, int, int]) -> None:
    shadow = np.zeros((200, 200))
    shadow[145:165, 50:160] = darkness
    light = 1 - ndimage.gaussian_filter(shadow, 7)
    rgb = np.array(background) * light[..., None]
    rgb[disc(60)] = (180, 70, 40)
    found = find_foreground(opaque(jpeg(rgb, 90)))
    assert found.method == "border"
    assert iou(found.rgba[..., 3], disc(60)) > 0.94


@pytest.mark.parametrize("grey", [120, 170, 190])
@pytest.mark.parametrize("size", [100, 200, 600])
def test_a_grey_object_is_no_shadow(grey: int, size: int) -> None:
    """Darker than the background and of its tint, but with an edge."""
    rgb = np.full((size, size, 3), 235, dtype=np.uint8)
    rgb[disc(0.3 * size, size)] = grey
    found = cut(opaque(jpeg(rgb, 90)))
    assert iou(found[..., 3], disc(0.3 * size, size)) > 0.97


def test_a_narrow_gap_is_background_after_compression() -> None:
    bars = np.zeros((200, 200), dtype=bool)
    bars[40:160, 60:140] = True
    bars[50:150, 95:102] = False
    found = cut(opaque(jpeg(painted(255, (bars, (120, 70, 40))), 80)))
    assert found[60:140, 97:100, 3].max() < 128


@pytest.mark.parametrize("size", [(2000, 400), (1500, 1500)])
def test_alpha_has_the_size_of_the_picture(size: tuple[int, int]) -> None:
    rgb = np.full((*size, 3), 240, dtype=np.uint8)
    rgb[size[0] // 4 : -size[0] // 4, size[1] // 4 : -size[1] // 4] = (30, 90, 160)
    found = find_foreground(opaque(rgb))
    assert found.rgba.shape == (*size, 4)
    assert iou(found.rgba[..., 3], rgb[..., 0] == 30) > 0.95


def test_a_border_that_is_not_smooth_is_refused() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (60, 60, 3), dtype=np.uint8)
    steps = np.kron(noise[:4, :4], np.ones((15, 15, 1), dtype=np.uint8))
    for rgb in (noise, steps):
        with pytest.raises(BadInputError, match="no flat or smooth background"):
            find_foreground(opaque(rgb), "border")


def test_a_gradient_before_which_nothing_stands_is_refused() -> None:
    gradient = np.linspace(0, 255, 60).astype(np.uint8)[None, :, None] * np.ones((60, 1, 3), "u1")
    with pytest.raises(BadInputError, match="no object"):
        find_foreground(opaque(gradient))


# --- Masks, alpha, everything ---------------------------------------------------------------------


def test_a_mask_comes_before_everything() -> None:
    mask = (disc(30) * 255).astype(np.uint8)
    for background in get_args(Background):
        found = find_foreground(cut_out_disc(), background, mask)
        assert (found.method, found.warnings) == ("mask", ())
        assert np.array_equal(found.rgba[..., 3], mask)
        assert np.array_equal(found.rgba[..., :3], cut_out_disc()[..., :3])


def test_an_empty_mask_is_refused() -> None:
    with pytest.raises(BadInputError, match="no object"):
        find_foreground(cut_out_disc(), mask=np.zeros((200, 200), dtype=np.uint8))


def test_none_takes_the_whole_picture() -> None:
    found = find_foreground(cut_out_disc(), "none")
    assert (found.method, found.warnings) == ("none", ())
    assert found.rgba[..., 3].min() == 255


def test_alpha_that_was_asked_for_must_be_there() -> None:
    with pytest.raises(BadInputError, match="no alpha channel"):
        find_foreground(opaque(painted(255, (disc(60), (50, 50, 50)))), "alpha")


def test_the_border_is_looked_at_if_alpha_hides_only_corners() -> None:
    rgba = opaque(painted(255, (disc(60), (50, 50, 50))))
    rgba[:3, :3, 3] = 0
    found = find_foreground(rgba)
    assert found.method == "border"
    assert iou(found.rgba[..., 3], disc(60)) > 0.97


# --- Warnings -------------------------------------------------------------------------------------


def test_a_small_object_is_warned_of() -> None:
    (warning,) = find_foreground(cut_out_disc(12)).warnings
    assert warning == "the object covers only 1.1 % of the picture"


def test_an_object_at_the_border_is_warned_of() -> None:
    rgba = np.roll(cut_out_disc(), 60, axis=0)
    rgba[: len(rgba) // 4, :, 3] = 0  # what came in above
    (warning,) = find_foreground(rgba).warnings
    assert warning == "the object touches the picture's border; parts outside are guessed"


# --- GrabCut --------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_grabcut_finds_an_object_before_a_texture(seed: int, no_model: Path) -> None:
    rgb = textured(240, seed, (110, 130, 90))
    ring = (disc(70, 240) & ~disc(20, 240)) | disc(8, 240)
    rgb[ring] = textured(240, seed + 10, (190, 70, 60))[ring]
    for background in ("auto", "grabcut"):
        found = find_foreground(opaque(jpeg(rgb, 90)), background)
        assert found.method == "grabcut"
        assert found.warnings[0].startswith("the object was cut out of the picture by a guess")
        assert iou(found.rgba[..., 3], disc(70, 240) & ~disc(20, 240)) > 0.9


def test_grabcut_gives_the_same_twice() -> None:
    rgb = textured(120, 0, (110, 130, 90))
    rgb[disc(30, 120)] = (190, 70, 60)
    one, other = (find_foreground(opaque(rgb), "grabcut").rgba for _ in range(2))
    assert np.array_equal(one, other)


@pytest.mark.filterwarnings("error")  # nothing but one line on stderr
@pytest.mark.parametrize("shape", [(1, 1), (5, 300), (60, 60), (9, 8)])
def test_grabcut_refuses_where_there_is_nothing(shape: tuple[int, int]) -> None:
    with pytest.raises(BadInputError, match="no object"):
        find_foreground(np.full((*shape, 4), 255, dtype=np.uint8), "grabcut")


# --- rembg ----------------------------------------------------------------------------------------


def field(number: int, value: int | bytes) -> bytes:
    """A field of a protocol buffer."""

    def varint(number: int) -> bytes:
        low, rest = number & 127, number >> 7
        return bytes([low | 128]) + varint(rest) if rest else bytes([low])

    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def brightness_network() -> bytes:
    """An ONNX network of IS-Net's shape whose mask is the mean of the three colours."""

    def tensor(name: bytes, channels: int) -> bytes:
        sides = b"".join(field(1, field(1, side)) for side in (1, channels, 1024, 1024))
        return field(1, name) + field(2, field(1, field(1, 1) + field(2, sides)))

    axes = field(1, b"axes") + field(20, 7) + field(8, 1)
    node = field(1, b"rgb") + field(2, b"mask") + field(4, b"ReduceMean") + field(5, axes)
    tensors = field(11, tensor(b"rgb", 3)) + field(12, tensor(b"mask", 1))
    graph = field(1, node) + field(2, b"brightness") + tensors
    return field(1, 8) + field(8, field(1, b"") + field(2, 13)) + field(7, graph)


@pytest.fixture
def brightness_model(no_model: Path) -> Iterator[Path]:
    pytest.importorskip("rembg", reason="img2pc[rembg] is not installed")
    model = no_model / "isnet-general-use.onnx"
    model.write_bytes(brightness_network())
    yield model
    foreground._session.cache_clear()


@pytest.mark.parametrize("background", ["auto", "rembg"])
def test_rembg_runs_the_network_on_disk(background: Background, brightness_model: Path) -> None:
    rgb = textured(200, 0, (60, 60, 60))
    rgb[disc(60)] = (250, 240, 230)
    assert rembg_model() == brightness_model
    found = find_foreground(opaque(rgb), background)
    assert (found.method, found.warnings) == ("rembg", ())
    assert iou(found.rgba[..., 3], disc(60)) > 0.97


def test_where_the_network_does_not_run_the_next_way_is_taken(
    brightness_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(model: Path) -> SimpleNamespace:
        return SimpleNamespace(predict=lambda picture: 1 / 0)

    rgb = textured(200, 0, (60, 60, 60))
    rgb[disc(60)] = (250, 240, 230)
    with monkeypatch.context() as patched:
        patched.setattr(foreground, "_session", failing)
        with pytest.raises(BadInputError, match="rembg does not work here"):
            find_foreground(opaque(rgb), "rembg")
        assert find_foreground(opaque(rgb)).method == "grabcut"


def test_the_command_compiles_nothing_to_run_it(
    brightness_model: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    """What rembg brings would otherwise be compiled for 45 seconds, and kept in the cache."""
    picture, cache = tmp_path / "disc.png", tmp_path / "cache"
    rgb = textured(200, 0, (60, 60, 60))
    rgb[disc(60)] = (250, 240, 230)
    Image.fromarray(rgb).save(picture)
    cache.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(cache)}
    del environment["NUMBA_DISABLE_JIT"]
    arguments = ["reconstruct", picture, "-o", tmp_path / "disc.ply", "--weights", tiny_weights]
    ran = subprocess.run(
        [*COMMAND, *arguments, "-v"],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert ran.returncode == 0, ran.stderr
    assert "rembg" in ran.stderr
    assert list(cache.iterdir()) == []


def test_rembg_finds_an_object_before_a_texture(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rembg", reason="img2pc[rembg] is not installed")
    monkeypatch.delenv("U2NET_HOME")
    if OWN_U2NET_HOME is not None:
        monkeypatch.setenv("U2NET_HOME", OWN_U2NET_HOME)
    if rembg_model() is None:
        pytest.skip("isnet-general-use is not on this computer")
    rgb = textured(240, 0, (110, 130, 90))
    rgb[disc(70, 240)] = (190, 70, 60)
    found = find_foreground(opaque(rgb))
    assert found.method == "rembg"
    assert iou(found.rgba[..., 3], disc(70, 240)) > 0.9


def test_the_model_is_found_where_rembg_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = pytest.importorskip("rembg.sessions.dis_general_use", reason="no img2pc[rembg]")
    for variable in ("U2NET_HOME", "REMBG_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(variable, raising=False)
    for variable in ("HOME", "USERPROFILE"):  # of Windows
        monkeypatch.setenv(variable, str(tmp_path))
    for variable in (None, "XDG_DATA_HOME", "REMBG_HOME", "U2NET_HOME"):
        if variable is not None:
            monkeypatch.setenv(variable, str(tmp_path / variable))
        assert rembg_model() is None
        for folder in (base.DisSession.legacy_home(), base.DisSession.model_dir()):
            model = Path(folder, "isnet-general-use.onnx")
            model.parent.mkdir(parents=True, exist_ok=True)
            model.touch()
            assert rembg_model() == model == Path(base.DisSession.download_models())
        for model in tmp_path.rglob("*.onnx"):
            model.unlink()


def before_a_texture() -> ndarray:
    """A disc that neither alpha nor a plain border shows."""
    rgba = opaque(textured(100, 0, (110, 130, 90)))
    rgba[disc(30, 100), :3] = (190, 70, 60)
    return rgba


def test_what_a_plain_border_does_not_show_is_left_to_rembg_not_to_a_guess(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A pale ball before as pale a background, of whose shading GrabCut would take a quarter."""
    y, x = np.mgrid[-1:1:200j, -1:1:200j]
    grey = np.where(np.hypot(x, y) < 0.6, 245 - 10 * (x + y), 246)
    pale = opaque(np.repeat(grey[..., None], 3, -1).clip(235, 255).astype(np.uint8))
    monkeypatch.setattr(foreground, "rembg_installed", lambda: False)
    with pytest.raises(BadInputError, match="no object"):
        find_foreground(pale)
    found = (disc(60) * 255).astype(np.uint8)
    monkeypatch.setattr(foreground, "_required_rembg", lambda rgb: found)
    monkeypatch.setattr(foreground, "rembg_installed", lambda: True)
    assert find_foreground(pale).method == "rembg"


def test_several_large_parts_are_said() -> None:
    two = np.full((200, 200, 3), 255, dtype=np.uint8)
    two[60:140, 20:80] = two[60:140, 120:180] = (150, 60, 40)
    (said,) = find_foreground(two_opaque := opaque(two)).warnings
    assert said.startswith("2 parts, apart from each other,")
    assert find_foreground(two_opaque, "none").warnings == ()
    two[60:140, 120:180] = 255
    two[60:70, 120:130] = (150, 60, 40)  # a detail
    assert find_foreground(opaque(two)).warnings == ()
    lamp = np.zeros((1000, 1000, 4), dtype=np.uint8)
    lamp[100:400, 300:700] = lamp[850:950, 350:650] = lamp[400:850, 500:502] = 255
    assert find_foreground(lamp).warnings == ()
    lamp[600:610] = 0
    (said,) = find_foreground(lamp).warnings
    assert said.startswith("2 parts")


def test_a_missing_model_says_what_to_run_and_nothing_is_downloaded(
    no_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(foreground, "rembg_installed", lambda: True)
    rgba = before_a_texture()
    with pytest.raises(BadInputError, match=r"new_session\('isnet-general-use'\)"):
        find_foreground(rgba, "rembg")
    found = find_foreground(rgba)
    assert found.method == "grabcut"
    assert "to download it once, run: python -c" in found.warnings[1]
    assert list(no_model.iterdir()) == []


def test_a_model_that_does_not_load_is_said(brightness_model: Path) -> None:
    """And of many pictures the others go on."""
    brightness_model.write_bytes(b"cut off")
    rgba = before_a_texture()
    with pytest.raises(BadInputError, match=r"rembg does not work here, with its model .*\.onnx: "):
        find_foreground(rgba, "rembg")
    found = find_foreground(rgba)
    assert found.method == "grabcut"
    assert "rembg does not work here" in found.warnings[1]


def test_rembg_whose_onnx_does_not_load_ends_nothing(
    no_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """rembg itself would exit."""
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(BadInputError, match=r"does not work here.*: import of onnxruntime halted"):
        foreground.rembg_alpha(textured(100, 0, (110, 130, 90)), no_model / "model.onnx")


def test_the_end_that_a_signal_wants_is_no_failure_of_rembg(
    no_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command line has SIGTERM raise SystemExit."""
    monkeypatch.setattr(foreground, "_session", lambda model: sys.exit(143))
    with pytest.raises(SystemExit):
        foreground.rembg_alpha(textured(100, 0, (110, 130, 90)), no_model / "model.onnx")


def test_rembg_that_is_not_installed_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rembg", None)
    monkeypatch.setattr(foreground.importlib.util, "find_spec", lambda name: None)
    rgba = before_a_texture()
    with pytest.raises(BadInputError, match=r'pip install "img2pc\[rembg\]"'):
        find_foreground(rgba, "rembg")
    found = find_foreground(rgba)
    assert (found.method, len(found.warnings)) == ("grabcut", 1)
