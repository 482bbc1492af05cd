"""Where the photographer stood: the camera from which a cloud looks like the picture's silhouette.

Measured on 86 pictures (36 held-out procedural shapes, 50 `test` meshes), elevation -10 to 50°,
field of view 20 to 70°; median and 90th percentile. With the true cloud the elevation is 1.6° and
4.2° off, the field of view 5° and 17°, points of the surface 1.2 and 2.9 of the crop's 128 pixels;
with the predicted cloud 8° and 27°, 12° and 31°, of which colours hardly suffer (`colouring.py`).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8
from numpy import ndarray
from PIL import Image

from img2pc.cameras import PerspectiveCamera

# A guess at a camera: elevation and log of the field of view (radians), roll, log of the window's
# side over the one that fits the boxes, and its offset (shares of the window).
_USUAL = np.array([np.radians(20), np.log(np.radians(45)), 0, 0, 0, 0])
_SPREAD = np.array([np.radians(17), 0.35])  # of the first two in training pictures
_LOW = np.array([np.radians(-10), np.log(np.radians(22))])
_HIGH = np.array([np.radians(50), np.log(np.radians(66))])
# What a silhouette may lose (intersection over union) for a camera one spread nearer the usual.
_PRIOR = 0.006
_STEPS = (11, 4)  # of the coarse search, elevation by field of view
_COARSE, _FINE = (32, 1500), (64, 2000)  # pixels of the silhouette, points drawn
_STARTS, _TRIES, _ROUNDS = 8, 16, 4
_REACH = np.array([np.radians(5), 0.22, np.radians(2.2), 0.045, 0.018, 0.018])  # of the first
# Share of a pixel above which it belongs to the mask: points fill whole pixels too.
_TOUCHED = 0.06


def find_photographer(
    points: Float[ndarray, "point 3"], alpha: UInt8[ndarray, "size size"]
) -> PerspectiveCamera:
    """The camera at the azimuth of +Z whose window is the crop with this alpha.

    Searched on a coarse grid, then at random around the best few, the same way every time. Where
    there is nothing to fit, a camera as usual.
    """
    box = _box(alpha)
    if not len(points):
        return _camera(_USUAL, np.zeros((1, 3), dtype=np.float32), box)
    axes = [np.linspace(*ends) for ends in zip(_LOW, _HIGH, _STEPS, strict=True)]
    guesses = np.zeros((_STEPS[0] * _STEPS[1], 6))
    guesses[:, :2] = np.stack(np.meshgrid(*axes), -1).reshape(-1, 2)
    few, mask = _some(points, _COARSE[1]), _reduced(alpha, _COARSE[0])
    best = guesses[np.argsort(-_scores(guesses, few, box, mask))[:_STARTS]]
    few, mask = _some(points, _FINE[1]), _reduced(alpha, _FINE[0])
    rng = np.random.default_rng(0)
    for turn in range(_ROUNDS):
        around = np.repeat(best, _TRIES // len(best), 0)
        around += rng.standard_normal(around.shape) * _REACH / 2**turn
        guesses = np.concatenate([best, around])
        guesses[:, :2] = guesses[:, :2].clip(_LOW, _HIGH)
        order = np.argsort(-_scores(guesses, few, box, mask))
        best = guesses[order[: max(1, len(best) // 2)]]
    return _camera(best[0], few, box)


def _some(points: Float[ndarray, "point 3"], count: int) -> Float32[ndarray, "some 3"]:
    return points[:: max(1, len(points) // count)].astype(np.float32)


def _box(alpha: UInt8[ndarray, "size size"]) -> Float[ndarray, "4"]:
    """Left, top, right and bottom of what is opaque, in shares of the crop."""
    box = Image.fromarray(alpha > 127).getbbox() or (0, 0, *alpha.shape)
    return np.array(box) / len(alpha)


def _reduced(alpha: UInt8[ndarray, "size size"], size: int) -> Bool[ndarray, "small small"]:
    image = Image.fromarray((alpha > 127).astype(np.uint8) * 255)
    return np.asarray(image.resize((size, size), Image.Resampling.BOX)) > 255 * _TOUCHED


def _scores(
    guesses: Float[ndarray, "guess 6"],
    points: Float32[ndarray, "point 3"],
    box: Float[ndarray, "4"],
    mask: Bool[ndarray, "size size"],
) -> Float[ndarray, "guess"]:
    """Intersection over union of the mask and the points drawn, less for unusual cameras."""
    size, count = len(mask), len(guesses)
    tangents = _tangents(guesses, points)
    corner, side = _windows(guesses, tangents, box)
    place = (tangents - corner[..., None]) * (size / side)[:, None, None]
    column, row = place.clip(0, size - 1).astype(np.int32).swapaxes(0, 1)
    first = np.arange(count, dtype=np.int32)[:, None] * size**2
    drawn = np.zeros((count, size, size), dtype=bool)
    drawn.reshape(-1)[first + row * size + column] = True
    drawn = _without_holes(drawn)
    both = (drawn & mask).sum((1, 2))
    unusual = (((guesses - _USUAL)[:, :2] / _SPREAD) ** 2).sum(1)
    scores: ndarray = both / (drawn.sum((1, 2)) + mask.sum() - both) - _PRIOR * unusual
    return scores


def _without_holes(drawn: Bool[ndarray, "guess size size"]) -> Bool[ndarray, "guess size size"]:
    """Closed by three by three pixels."""
    closed = drawn.copy()
    for fill in (np.logical_or, np.logical_and):
        for before in (closed.swapaxes(1, 2), closed):
            after = before.copy()
            fill(after[:, 1:], before[:, :-1], out=after[:, 1:])
            fill(after[:, :-1], before[:, 1:], out=after[:, :-1])
            before[:] = after
    return np.asarray(closed | drawn)


def _tangents(
    guesses: Float[ndarray, "guess 6"], points: Float32[ndarray, "point 3"]
) -> Float32[ndarray, "guess 2 point"]:
    """Where points lie to the right of and below the image's centre, over their depth."""
    elevation, view, roll = guesses[:, :3].T.astype(np.float32)[..., None]
    x, y, z = points.T
    sin, cos = np.sin(elevation), np.cos(elevation)
    depth = np.maximum(_distance(view) - sin * y - cos * z, 0.01)
    right, down = x / depth, (sin * z - cos * y) / depth
    sin, cos = np.sin(roll), np.cos(roll)
    return np.stack([cos * right + sin * down, cos * down - sin * right], 1)


def _distance(view: ndarray) -> ndarray:
    """From where a sphere around the object fills the field of view, whose logarithm is given."""
    return np.asarray(0.5 / np.sin(np.exp(view) / 2))


def _windows(
    guesses: Float[ndarray, "guess 6"],
    tangents: Float32[ndarray, "guess 2 point"],
    box: Float[ndarray, "4"],
) -> tuple[Float32[ndarray, "guess 2"], Float32[ndarray, "guess"]]:
    """Corner and side of the windows in which the points' box lies on the mask's, then moved."""
    low, high = tangents.min(-1), tangents.max(-1)
    longer = int(box[3] - box[1] > box[2] - box[0])
    share = box[2 + longer] - box[longer]
    side = np.maximum((high - low)[:, longer] / share * np.exp(guesses[:, 3]), 1e-4)
    corner = (low + high) / 2 - side[:, None] * ((box[:2] + box[2:]) / 2 + guesses[:, 4:])
    return corner.astype(np.float32), side.astype(np.float32)


def _camera(
    guess: Float[ndarray, "6"], points: Float32[ndarray, "point 3"], box: Float[ndarray, "4"]
) -> PerspectiveCamera:
    corner, side = _windows(guess[None], _tangents(guess[None], points), box)
    elevation, _, roll = guess[:3]
    towards = np.array([0, np.sin(elevation), np.cos(elevation)])
    right, down = np.array([1.0, 0, 0]), np.array([0, -towards[2], towards[1]])
    sin, cos = np.sin(roll), np.cos(roll)
    axes = np.stack([cos * right + sin * down, cos * down - sin * right, -towards], -1)
    centre = _distance(guess[1:2]) * towards
    return PerspectiveCamera(centre, axes, corner[0].astype(float), float(side[0]))
