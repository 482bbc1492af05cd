"""Pixels → the same pixels with an alpha channel that is the object.

In order: a mask the user brings, the picture's own alpha, a smooth background cut away from the
border, rembg's network where it is installed and its model on disk, GrabCut as a last resort.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Bool, Float, UInt8
from numpy import ndarray
from PIL import Image

from img2pc.choices import Background
from img2pc.errors import BadInputError
from img2pc.files import is_file
from img2pc.images import HOW_TO_SHOW_IT, has_real_alpha

if TYPE_CHECKING:
    from rembg.sessions.base import BaseSession

# Below this share of the picture, an object has too few pixels to be trusted.
SMALL_SHARE = 0.02
# A part of the object that has less of its area may be a detail; looked for on fewer pixels.
PART_SHARE, PARTS_SIDE = 0.1, 256
# Opaque specks below this share of the picture are noise.
SPECK_SHARE = 2e-4

# Share of red, green and blue in brightness (ITU-R BT.601, which JPEG uses).
BRIGHTNESS = np.array([0.299, 0.587, 0.114], dtype=np.float32)
# Backgrounds are looked for on pictures reduced to this many pixels on their longer side.
BORDER_SIDE, GRABCUT_SIDE = 768, 400
# How wide a rim GrabCut is told to take for background, of the shorter side.
GRABCUT_RIM = 1 / 40
# A border is smooth when three quarters of it are this near to a quadratic surface (0 to 255): each
# pixel, with its noise, and the average of its neighbourhood, where only structure is left.
SMOOTH_BORDER, SMOOTH_NEIGHBOURHOOD = 12.0, 4.0
# Colours this near to the background are background, however smooth it is.
LEAST_DISTANCE = 12.0
# A shadow keeps at least this much of the background's light.
DARKEST_SHADOW = 0.35
# The steepest a soft shadow may be, in levels per pixel of a 512-pixel picture.
STEEPEST_SHADOW = 4.5

# IS-Net of Qin et al., "Highly Accurate Dichotomous Image Segmentation" (ECCV 2022): code and
# weights Apache-2.0, converted by rembg (MIT). rembg's own default, bria-rmbg, is non-commercial.
MODEL = "isnet-general-use"
_LOADING = threading.Lock()
DOWNLOAD_MODEL = f"python -c \"import rembg; rembg.new_session('{MODEL}')\""


Method = Literal["mask", "alpha", "border", "rembg", "grabcut", "none"]


@dataclass(frozen=True)
class Foreground:
    """Straight-alpha picture whose alpha is the object.

    Attributes:
        method: what found it.
        warnings: sentences for a person.
    """

    rgba: UInt8[ndarray, "height width 4"]
    method: Method
    warnings: tuple[str, ...]


def find_foreground(
    rgba: UInt8[ndarray, "height width 4"],
    background: Background = "auto",
    mask: UInt8[ndarray, "height width"] | None = None,
) -> Foreground:
    """The picture with its object as alpha; a mask is taken before anything else.

    Raises:
        BadInputError: there is no foreground, or the way asked for does not fit the picture.
    """
    rgb = rgba[..., :3]
    method: Method
    doubts: tuple[str, ...] = ()
    if mask is not None:
        method, alpha = "mask", mask
    elif background == "none":
        method, alpha = "none", np.full(rgba.shape[:2], 255, dtype=np.uint8)
    elif background == "auto":
        method, alpha, doubts = _first_that_fits(rgba)
    elif background == "alpha":
        method, alpha = "alpha", _own_alpha(rgba)
    elif background == "border":
        method, alpha = "border", _required_border(rgb)
    elif background == "rembg":
        method, alpha = "rembg", _required_rembg(rgb)
    elif background == "grabcut":
        method, alpha, doubts = "grabcut", grabcut_alpha(rgb), (GRABCUT_DOUBT,)
    else:
        raise ValueError(f"{background} is not a way to tell an object from its background")
    if method != "alpha":
        rgba = np.concatenate([rgb, alpha[..., None]], -1)
    return Foreground(rgba, method, (*doubts, *_doubts(alpha, method)))


# --- Which way ------------------------------------------------------------------------------------

GRABCUT_DOUBT = (
    "the object was cut out of the picture by a guess at its colours; a picture with a transparent "
    'or plain background, a mask, or rembg (pip install "img2pc[rembg]") would do better'
)
REMBG_MISSING = 'not installed: pip install "img2pc[rembg]", with Python 3.11 or newer'
MODEL_MISSING = f"rembg's model is not on this computer; to download it once, run: {DOWNLOAD_MODEL}"


def _first_that_fits(
    rgba: UInt8[ndarray, "height width 4"],
) -> tuple[Method, UInt8[ndarray, "height width"], tuple[str, ...]]:
    if has_real_alpha(rgba):
        return "alpha", rgba[..., 3], ()
    rgb = rgba[..., :3]
    alpha, doubts = border_alpha(rgb), [GRABCUT_DOUBT]
    if alpha is not None and (alpha > 127).any():
        return "border", alpha, ()
    if rembg_installed():
        try:
            return "rembg", _required_rembg(rgb), ()
        except BadInputError as error:
            doubts.append(str(error))
    if alpha is not None:  # before a plain background GrabCut would invent an object
        return "border", alpha, ()
    return "grabcut", grabcut_alpha(rgb), tuple(doubts)


def _own_alpha(rgba: UInt8[ndarray, "height width 4"]) -> UInt8[ndarray, "height width"]:
    if not has_real_alpha(rgba):
        raise BadInputError(
            "the picture has no alpha channel that shows an object; try --background auto"
        )
    return rgba[..., 3]


def _required_border(
    rgb: UInt8[ndarray, "height width 3"],
) -> UInt8[ndarray, "height width"]:
    alpha = border_alpha(rgb)
    if alpha is None:
        raise BadInputError(
            "the picture has no flat or smooth background; try --background rembg or grabcut, or "
            "give a --mask"
        )
    return alpha


def _required_rembg(
    rgb: UInt8[ndarray, "height width 3"],
) -> UInt8[ndarray, "height width"]:
    if not rembg_installed():
        raise BadInputError(f"rembg is {REMBG_MISSING}")
    model = rembg_model()
    if model is None:
        raise BadInputError(MODEL_MISSING)
    return rembg_alpha(rgb, model)


def _doubts(alpha: UInt8[ndarray, "height width"], method: Method) -> tuple[str, ...]:
    """What a person should know of an object that was found.

    Raises:
        BadInputError: nothing was found.
    """
    opaque = alpha > 127
    covered = np.count_nonzero(opaque)
    share = covered / opaque.size
    if share == 0:
        raise BadInputError(f"no object was found in the picture; {HOW_TO_SHOW_IT}")
    doubts = []
    if share < SMALL_SHARE:
        doubts.append(f"the object covers only {100 * share:.1f} % of the picture")
    # GrabCut takes a rim for background in any case.
    rim = 1 if method != "grabcut" else 1 + round(1.1 * GRABCUT_RIM * min(opaque.shape))
    if method != "none" and np.count_nonzero(opaque[rim:-rim, rim:-rim]) < covered:
        doubts.append("the object touches the picture's border; parts outside are guessed")
    if method not in ("none", "mask") and (parts := _large_parts(opaque)) > 1:
        doubts.append(
            f"{parts} parts, apart from each other, were taken for the object (--save-mask shows "
            "them); a picture of several gives one lump"
        )
    return tuple(doubts)


def _large_parts(opaque: Bool[ndarray, "height width"]) -> int:
    import cv2  # SciPy's takes a seventh of a second to import, in every command

    step = max(1, min(max(opaque.shape) // PARTS_SIDE, *opaque.shape))
    height, width = (side // step for side in opaque.shape)
    # A pixel of them all keeps a thin pole in one piece. Rows first: several times as quick.
    rows = np.asarray(opaque[: height * step].reshape(height, step, -1).any(1))
    blocks = np.asarray(rows[:, : width * step].reshape(height, width, step).any(2), np.uint8)
    _, _, parts, _ = cv2.connectedComponentsWithStats(blocks, connectivity=8)
    area = parts[1:, cv2.CC_STAT_AREA]  # the first is the background
    return int((area > PART_SHARE * area.sum()).sum())


# --- A smooth background --------------------------------------------------------------------------


def border_alpha(
    rgb: UInt8[ndarray, "height width 3"],
) -> UInt8[ndarray, "height width"] | None:
    """Alpha of what stands before a flat or softly varying background; None without such a border.

    Noise of sensors and of JPEG, vignettes, studio gradients and soft shadows are background.
    """
    small = _reduced(rgb, BORDER_SIDE).astype(np.float32)
    fitted = _smooth_background(small)
    if fitted is None:
        return None
    background, spread = fitted
    threshold = max(LEAST_DISTANCE, 2 * spread)
    outside = _outside(small, background, spread, threshold)
    alpha = _soft_edge(small, outside, background, spread, threshold)
    return _enlarged(alpha, rgb.shape[:2])


def _smooth_background(
    rgb: Float[ndarray, "height width 3"],
) -> tuple[Float[ndarray, "height width 3"], float] | None:
    """Quadratic surface through most of the border and how far the border strays from it."""
    from scipy import ndimage

    height, width = rgb.shape[:2]
    x, y = np.meshgrid(
        np.linspace(-1, 1, width, dtype=np.float32), np.linspace(-1, 1, height, dtype=np.float32)
    )
    terms = np.stack([np.ones_like(x), x, y, x * y, x * x, y * y], -1)
    rim = _rim(height, width, max(1, min(height, width) // 50))
    thinned = slice(None, None, max(1, int(rim.sum()) // 8000))
    design, values = terms[rim][thinned], rgb[rim][thinned]
    # The object may touch the border, so a quarter of it need not fit: begin with the median.
    coefficients = np.zeros((6, 3), dtype=np.float32)
    coefficients[0] = np.median(values, 0)
    for _ in range(6):
        residual = np.abs(values - design @ coefficients).max(-1)
        kept = residual <= max(1.0, float(np.quantile(residual, 0.75)))
        coefficients = np.linalg.lstsq(design[kept], values[kept], rcond=1e-4)[0]
    fitted = design @ coefficients
    neighbourhood = ndimage.uniform_filter(rgb, (9, 9, 0))[rim][thinned]
    strays = [float(np.quantile(np.abs(v - fitted).max(-1), 0.75)) for v in (values, neighbourhood)]
    if strays[0] > SMOOTH_BORDER or strays[1] > SMOOTH_NEIGHBOURHOOD:
        return None
    # The nine-tenths quantile of mere noise is 1.3 times its three-quarters quantile.
    return (terms @ coefficients).clip(0, 255).astype(np.float32), 1.3 * strays[0]


def _outside(
    rgb: Float[ndarray, "height width 3"],
    background: Float[ndarray, "height width 3"],
    spread: float,
    threshold: float,
) -> Bool[ndarray, "height width"]:
    """Background is what looks like it, or is shadowed, and is joined to the border.

    A hole of some size that mostly looks exactly like it is background too: a white cushion on
    white stays, the gap between chair legs goes.
    """
    from scipy import ndimage

    distance = np.abs(rgb - background).max(-1)
    similar = distance < threshold
    regions, count = ndimage.label(similar | _soft_shadow(rgb, background, spread))
    at_border = np.zeros(count + 1, dtype=bool)
    for edge in (regions[0], regions[-1], regions[:, 0], regions[:, -1]):
        at_border[edge] = True
    at_border[0] = False
    joined = at_border[regions]
    holes, count = ndimage.label(similar & ~joined)
    area = np.bincount(holes.ravel(), minlength=count + 1)
    # By brightness: JPEG smears colour, not brightness, all through a narrow gap.
    exact = np.abs((rgb - background) @ BRIGHTNESS) < max(4.0, 0.5 * spread)
    alike = np.bincount(holes.ravel(), exact.ravel(), count + 1)
    gaps = (area > SPECK_SHARE * holes.size) & (alike > 0.5 * area)
    gaps[0] = False
    found: ndarray = joined | gaps[holes]
    return found


def _soft_shadow(
    rgb: Float[ndarray, "height width 3"],
    background: Float[ndarray, "height width 3"],
    spread: float,
) -> Bool[ndarray, "height width"]:
    """Where the picture is the background, darker, without an edge."""
    from scipy import ndimage

    scale = max(rgb.shape[:2]) / 512
    width = 1.5 * max(scale, 1)
    smooth = ndimage.gaussian_filter(rgb, (width, width, 0))
    energy = (background**2).sum(-1) + 1
    light = (smooth * background).sum(-1) / energy
    tint = np.abs(smooth - light[..., None] * background).max(-1)
    grey = smooth.mean(-1)
    # In a tiny picture every edge is within a pixel or two of soft, so that has its bound.
    steepness = np.hypot(ndimage.sobel(grey, 0), ndimage.sobel(grey, 1)) / 8 * max(scale, 0.6)
    shadow: ndarray = (
        (light > DARKEST_SHADOW)
        & (light < 1.02)
        & (tint < 4 + spread / 2)
        & (steepness < STEEPEST_SHADOW + spread / 8)
    )
    return shadow


def _soft_edge(
    rgb: Float[ndarray, "height width 3"],
    outside: Bool[ndarray, "height width"],
    background: Float[ndarray, "height width 3"],
    spread: float,
    threshold: float,
) -> UInt8[ndarray, "height width"]:
    """Alpha of what is not outside, without specks, halos and the steps of its outline."""
    from scipy import ndimage

    foreground = ~outside
    if spread > 2:  # specks of noise
        foreground = ndimage.binary_opening(foreground)
    # Lossy compression and shadows smear colour a few pixels beyond the outline: there the rim must
    # be more like the object beside it than like what is outside beside it.
    weight = ndimage.uniform_filter(outside.astype(np.float32), 15)[..., None]
    beside = ndimage.uniform_filter(rgb * outside[..., None], (15, 15, 0))
    beside = np.where(weight > 0.02, beside / np.maximum(weight, 0.02), background)
    distance = np.abs(rgb - beside).max(-1)
    inner = ndimage.binary_erosion(foreground, iterations=4)
    foreground &= inner | (distance > 0.35 * ndimage.maximum_filter(distance, 9))
    foreground = _without_specks(foreground)
    rim = ndimage.binary_dilation(~foreground) & foreground
    soft = np.clip((distance - threshold / 2) / threshold, 0, 1)
    eight_bit: ndarray = (np.where(rim, soft, foreground) * 255).round().astype(np.uint8)
    return eight_bit


def _without_specks(foreground: Bool[ndarray, "height width"]) -> Bool[ndarray, "height width"]:
    from scipy import ndimage

    parts, count = ndimage.label(foreground, np.ones((3, 3)))
    area = np.bincount(parts.ravel(), minlength=count + 1)
    area[0] = 0
    large = area > SPECK_SHARE * parts.size
    # At the border, a small part is background that strays from the rest.
    for edge in (parts[0], parts[-1], parts[:, 0], parts[:, -1]):
        large[edge] &= area[edge] > 0.2 * area.max()
    kept: ndarray = large[parts]
    return kept


# --- A network ------------------------------------------------------------------------------------


def rembg_alpha(
    rgb: UInt8[ndarray, "height width 3"], model: Path
) -> UInt8[ndarray, "height width"]:
    """Alpha that rembg's network finds; `model` is an IS-Net in ONNX.

    Raises:
        BadInputError: rembg, what it runs on, or the model does not work here.
    """
    try:
        with _LOADING:  # of many pictures each thread would load it
            session = _session(model)
        mask = session.predict(Image.fromarray(rgb))[0]
    except Exception as error:
        raise BadInputError(f"rembg does not work here, with its model {model}: {error}") from error
    return np.asarray(mask.convert("L"))


def rembg_installed() -> bool:
    """Whether the extra is there; importing rembg itself takes a second, and exits without ONNX."""
    return all(importlib.util.find_spec(name) for name in ("rembg", "onnxruntime"))


def rembg_model() -> Path | None:
    """Where rembg keeps the model of this computer; None if it was never downloaded.

    Looks where rembg looks, its older flat folder included; nothing is ever downloaded from here.
    """
    data = os.getenv("XDG_DATA_HOME")
    flat = Path(os.getenv("U2NET_HOME") or Path(data or "~", ".u2net")).expanduser()
    home = os.getenv("U2NET_HOME") or os.getenv("REMBG_HOME")
    root = Path(home or (Path(data, "rembg") if data else "~/.rembg")).expanduser()
    candidates = (root / "models" / MODEL / f"{MODEL}.onnx", flat / f"{MODEL}.onnx")
    return next((path for path in candidates if is_file(path)), None)


@functools.cache
def _session(model: Path) -> BaseSession:
    importlib.import_module("onnxruntime")  # where this fails rembg would print, and exit
    import rembg

    # As a custom model: rembg then takes this very file, without looking for another online.

    return rembg.new_session("dis_custom", model_path=str(model))


# --- A guess --------------------------------------------------------------------------------------


def grabcut_alpha(
    rgb: UInt8[ndarray, "height width 3"],
) -> UInt8[ndarray, "height width"]:
    """Alpha by GrabCut, from the border as background and what differs from it as object.

    Source: Rother, Kolmogorov and Blake, "GrabCut", SIGGRAPH 2004.
    """
    import cv2

    small = _reduced(rgb, GRABCUT_SIDE)
    if min(small.shape[:2]) < 8:  # too few pixels for two mixtures of colours
        return np.zeros(rgb.shape[:2], dtype=np.uint8)
    labels = _first_guess(small)
    if not (labels == cv2.GC_PR_FGD).any():
        return np.zeros(rgb.shape[:2], dtype=np.uint8)
    models = np.zeros((1, 65)), np.zeros((1, 65))  # which it fills
    cv2.setRNGSeed(0)  # its clustering is random
    nowhere = (0, 0, 0, 0)  # a rectangle is not used with a mask
    cv2.grabCut(small[..., ::-1].copy(), labels, nowhere, *models, 6, cv2.GC_INIT_WITH_MASK)
    found = (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
    return _enlarged(_main_parts(found), rgb.shape[:2])


def _first_guess(rgb: UInt8[ndarray, "height width 3"]) -> UInt8[ndarray, "height width"]:
    """GrabCut's labels: the rim is background, and what is central and unlike it may be object."""
    import cv2

    height, width = rgb.shape[:2]
    y, x = np.mgrid[:height, :width]
    away = ((x + 0.5) / width - 0.5) ** 2 + ((y + 0.5) / height - 0.5) ** 2
    likely = (255 * _unlike_the_rim(rgb) * np.exp(-0.5 * away / 0.35**2)).astype(np.uint8)
    labels = np.full((height, width), cv2.GC_PR_BGD, dtype=np.uint8)
    otsu, _ = cv2.threshold(likely, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    # Less than Otsu's level, since GrabCut drops more than it adds: of 0.35 to 0.85, 0.5 and 0.6
    # cut out all three cars tried in the street; before synthetic backgrounds all did alike.
    labels[likely > 0.55 * otsu] = cv2.GC_PR_FGD
    labels[_rim(height, width, max(1, int(GRABCUT_RIM * min(height, width))))] = cv2.GC_BGD
    return labels


def _unlike_the_rim(rgb: UInt8[ndarray, "height width 3"]) -> Float[ndarray, "height width"]:
    """How far each colour is from the nearest common colour of the rim, from 0 to 1."""
    import cv2

    blurred = cv2.GaussianBlur(rgb, (0, 0), 1.5).astype(np.float32) / 255
    lab = cv2.cvtColor(blurred, cv2.COLOR_RGB2LAB)
    height, width = lab.shape[:2]
    rim = lab[_rim(height, width, max(2, min(height, width) // 25))]
    cv2.setRNGSeed(0)  # its clustering is random
    stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_COUNT, 20, 1.0)
    count = min(8, len(rim))
    nearest = np.zeros((len(rim), 1), dtype=np.int32)
    _, _, centres = cv2.kmeans(rim, count, nearest, stop, 3, cv2.KMEANS_PP_CENTERS)
    distance = np.full((height, width), np.inf, dtype=np.float32)
    for cluster, centre in enumerate(centres):
        members = rim[nearest[:, 0] == cluster]
        if len(members) >= 0.02 * len(rim):  # what the object shows of itself at the rim is less
            scaled = (lab - centre) / (members.std(0) + 3)
            distance = np.minimum(distance, np.sqrt((scaled**2).sum(-1)))
    return np.clip(distance / max(float(np.quantile(distance, 0.98)), 1e-6), 0, 1)


def _main_parts(found: Bool[ndarray, "height width"]) -> UInt8[ndarray, "height width"]:
    """Alpha of the largest part and those not much smaller, pinholes filled, outline soft."""
    import cv2

    _, parts, stats, _ = cv2.connectedComponentsWithStats(found.astype(np.uint8))
    areas = stats[:, cv2.CC_STAT_AREA].astype(np.float64)
    areas[0] = 0
    kept = (areas >= 0.25 * max(areas.max(), 1.0))[parts]
    _, gaps, stats, _ = cv2.connectedComponentsWithStats((~kept).astype(np.uint8), connectivity=4)
    pinholes = stats[:, cv2.CC_STAT_AREA] < 0.005 * kept.sum()
    kept |= pinholes[gaps]
    soft = cv2.GaussianBlur(kept.astype(np.uint8) * 255, (0, 0), 0.7)
    return np.asarray(soft, dtype=np.uint8)


# --- Helpers of several ---------------------------------------------------------------------------


def _rim(height: int, width: int, thickness: int) -> Bool[ndarray, "height width"]:
    rim = np.ones((height, width), dtype=bool)
    rim[thickness:-thickness, thickness:-thickness] = False
    return rim


def _reduced(rgb: UInt8[ndarray, "height width 3"], side: int) -> UInt8[ndarray, "rows columns 3"]:
    image = Image.fromarray(rgb)
    image.thumbnail((side, side), Image.Resampling.BOX)
    return np.asarray(image)


def _enlarged(
    alpha: UInt8[ndarray, "rows columns"], shape: tuple[int, ...]
) -> UInt8[ndarray, "height width"]:
    if alpha.shape == shape:
        return alpha
    size = (shape[1], shape[0])
    return np.asarray(Image.fromarray(alpha).resize(size, Image.Resampling.BILINEAR))
