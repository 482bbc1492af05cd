"""Pictures of a Shape as photographs are: camera, materials, lights, shadows and a lens.

Everything is drawn from the generator that is passed in.
"""

from __future__ import annotations

import colorsys
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, Int, UInt8
from numpy import ndarray
from PIL import Image
from scipy.special import ndtri

from img2pc.cameras import PerspectiveCamera
from img2pc.data.ray_caster import Hits, RayCaster
from img2pc.data.shapes import Material, Shape, corner_normals
from img2pc.data.solids import rotation
from img2pc.images import crop_to_foreground

Random = np.random.Generator

# Blur and jitter reach no further.
MARGIN_PIXELS = 4

_NORMAL_QUANTILES: Float32[ndarray, "256"] = ndtri((np.arange(256) + 0.5) / 256).astype(np.float32)


@dataclass(frozen=True)
class PhotographSettings:
    """Ranges that photographs are drawn from.

    Attributes:
        roll_degrees: a standard deviation, about upright.
    """

    elevation_degrees: tuple[float, float] = (-10.0, 50.0)
    field_of_view_degrees: tuple[float, float] = (20.0, 70.0)
    roll_degrees: float = 2.0
    resolution: tuple[int, int] = (160, 272)


@dataclass(frozen=True)
class Light:
    """A distant light: direction towards it, radiance and angular radius in radians."""

    towards: Float[ndarray, "3"]
    colour: Float[ndarray, "3"]
    softness: float


def photograph(
    shape: Shape,
    caster: RayCaster,
    size: int,
    rng: Random,
    settings: PhotographSettings = PhotographSettings(),
    azimuth_degrees: float = 0.0,
) -> UInt8[ndarray, "size size 4"]:
    """A straight-alpha RGBA crop around the shape, taken by the crop that users' photos go through.

    Args:
        azimuth_degrees: where the photographer stands, from +Z towards +X.

    Raises:
        BadInputError: the shape is too thin to be seen at the resolution drawn.
    """
    object_from_photographer = rotation("y", azimuth_degrees)
    camera = _draw_camera(shape, object_from_photographer, rng, settings)
    resolution = int(rng.integers(*settings.resolution, endpoint=True))
    directions = _ray_directions(shape, camera, resolution, rng)
    rays = directions.reshape(3, -1)
    centre = camera.centre.astype(np.float32)
    hits = caster.first_hits(np.broadcast_to(centre, rays.T.shape), rays.T)
    mask = (hits.face >= 0).reshape(directions.shape[1:])
    lights = [
        replace(light, towards=object_from_photographer @ light.towards)
        for light in _draw_lights(rng)
    ]
    radiance = _shade(shape, caster, hits, centre, rays, mask, lights, rng)
    rgb = _develop(radiance, mask, rng)
    alpha = _imperfect_mask(mask, rng)
    return crop_to_foreground(np.concatenate([rgb, alpha[..., None]], -1), size)


def _draw_camera(
    shape: Shape,
    object_from_photographer: Float[ndarray, "3 3"],
    rng: Random,
    settings: PhotographSettings,
) -> PerspectiveCamera:
    elevation = np.radians(rng.uniform(*settings.elevation_degrees))
    half_view = np.radians(rng.uniform(*settings.field_of_view_degrees)) / 2
    distance = 0.5 / np.sin(half_view)
    centre = distance * np.array([0.0, np.sin(elevation), np.cos(elevation)])
    centre = object_from_photographer @ centre
    forward = object_from_photographer @ rng.normal(0, 0.03, 3) - centre
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0.0, 1.0, 0.0])
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    roll = np.radians(rng.normal(0, settings.roll_degrees))
    right, down = (
        np.cos(roll) * right + np.sin(roll) * down,
        np.cos(roll) * down - np.sin(roll) * right,
    )
    object_from_camera = np.stack([right, down, forward], -1)
    in_camera = (shape.vertices - centre) @ object_from_camera
    projected = in_camera[:, :2] / in_camera[:, 2:]
    low, high = projected.min(0), projected.max(0)
    side = float((high - low).max()) * rng.uniform(1.03, 1.2)
    return PerspectiveCamera(centre, object_from_camera, (low + high - side) / 2, side)


def _ray_directions(
    shape: Shape, camera: PerspectiveCamera, resolution: int, rng: Random
) -> Float32[ndarray, "3 height width"]:
    """One ray a pixel, jittered within it by a random amount: from staircase to ragged edges.

    Of a frame `resolution` pixels wide, only what holds the object, in its middle, is kept, and a
    few pixels around for its blurred edges.
    """
    pixel = camera.window_side / resolution
    extent = np.ptp(camera.project(shape.vertices)[:, :2], axis=0)
    size = np.ceil(resolution * extent).astype(int) + 2 * MARGIN_PIXELS
    width, height = size.tolist()
    in_window = np.ones((3, height, width), dtype=np.float32)
    rng.random(dtype=np.float32, out=in_window[:2])
    jitter = rng.random()
    in_window[:2] *= jitter
    # From the middle of the window.
    in_window[0] += np.arange(width, dtype=np.float32) - (width - 1 + jitter) / 2
    in_window[1] += np.arange(height, dtype=np.float32)[:, None] - (height - 1 + jitter) / 2
    camera_from_window = np.diag([pixel, pixel, 1.0])
    camera_from_window[:2, 2] = camera.window_corner + camera.window_side / 2
    object_from_window = (camera.object_from_camera @ camera_from_window).astype(np.float32)
    directions: ndarray = object_from_window @ in_window.reshape(3, -1)
    return directions.reshape(in_window.shape)


def _dot(
    a: Float32[ndarray, "3 hit"], b: Float32[ndarray, "3 hit"] | Float32[ndarray, "3"]
) -> Float32[ndarray, "hit"]:
    product: ndarray = np.einsum("ih,ih->h", a, b) if b.ndim == 2 else b @ a
    return product


def _unit(vectors: Float32[ndarray, "3 hit"]) -> Float32[ndarray, "3 hit"]:
    unit: ndarray = vectors / (np.sqrt(_dot(vectors, vectors)) + np.float32(1e-9))
    return unit


def _shade(
    shape: Shape,
    caster: RayCaster,
    hits: Hits,
    centre: Float32[ndarray, "3"],
    rays: Float32[ndarray, "3 ray"],
    mask: Bool[ndarray, "height width"],
    lights: Sequence[Light],
    rng: Random,
) -> Float32[ndarray, "3 hit"]:
    """Linear radiance of the rays that hit: diffuse and glossy, under lights, sky and floor."""
    # `take` gathers several times faster than indexing does.
    seen = np.flatnonzero(mask)
    face, ray = hits.face.take(seen), rays.take(seen, axis=1)
    points = centre[:, None] + ray * hits.distance.take(seen)
    view = _unit(ray)
    normal = _normals(shape, face, hits.barycentric.take(seen, axis=1), view)
    albedo, gloss, metallic = _surface(shape, face, points, rng)
    shadows = _Shadows(caster, points, normal, mask, rng)

    open_sky = shadows.open_sky(reach=0.6)
    facing = -_dot(normal, view)
    reflected = view[1] + 2 * facing * normal[1]
    # Of each source, first the sky and the floor: how much arrives, diffusely and reflected.
    diffuse = [*(_sky_and_floor(normal[1]) * open_sky)]
    glossy = [*(_sky_and_floor(reflected * 1.8) * (0.4 + 0.6 * open_sky))]
    sharpness = 4 + 200 * gloss**3
    for light in lights:
        towards = light.towards.astype(np.float32)
        lit, cosine = shadows.share_lit(light), _dot(normal, towards)
        diffuse.append(np.maximum(cosine, 0) * lit)
        # The normal's cosine with the direction halfway between the light and the camera.
        halfway = (cosine + facing) / np.sqrt(2 + 1e-6 - 2 * _dot(view, towards))
        # The logarithm and exponential of float32 are several times faster than its power.
        highlight = np.exp(sharpness * np.log(np.maximum(halfway, np.float32(1e-6))))
        glossy.append(highlight * (sharpness + 8) / 25 * lit)
    sky, floor = _draw_sky_and_floor(rng)
    colours = np.stack([sky, floor, *(light.colour for light in lights)], -1).astype(np.float32)
    fresnel = gloss * (0.04 + 0.5 * (1 - facing.clip(0, 1)) ** 5)
    mirror = np.where(metallic > 0, albedo * np.float32(0.8), fresnel)
    radiance: ndarray = albedo * (1 - 0.8 * metallic) * (colours @ np.stack(diffuse))
    radiance += mirror * (colours @ np.stack(glossy))
    return radiance


def _normals(
    shape: Shape,
    face: Int[ndarray, "hit"],
    barycentric: Float32[ndarray, "2 hit"],
    view: Float32[ndarray, "3 hit"],
) -> Float32[ndarray, "3 hit"]:
    """Unit normals on the side seen, interpolated between the corners of the faces."""
    u, v = barycentric
    is_seen = np.zeros(len(shape.faces), bool)
    is_seen[face] = True
    normals = corner_normals(shape.vertices, shape.faces, np.flatnonzero(is_seen))
    place = (np.cumsum(is_seen) - 1).take(face)
    first, second, third = normals.astype(np.float32).transpose(1, 2, 0).take(place, axis=2)
    normal = _unit(first * (1 - u - v) + second * u + third * v)
    # By faces, whose corners' normals are on their side: at silhouettes interpolated ones look
    # away though the face does not.
    a, b, c = shape.vertices[shape.faces[is_seen]].transpose(1, 0, 2)
    flat = np.cross(b - a, c - a).T.astype(np.float32).take(place, axis=1)
    normal *= -np.sign(_dot(flat, view))
    return normal


class _Shadows:
    """How much of the sky and of the lights the visible points see: soft shadows from few rays.

    Every other pixel of each block of pixels casts one ray, each towards another part of the
    source. As any window of a block's size holds all those parts once, the mean over it is smooth.
    Source: Keller and Heidrich 2001, Interleaved Sampling.
    """

    BLOCK = 5

    def __init__(
        self,
        caster: RayCaster,
        points: Float32[ndarray, "3 hit"],
        normal: Float32[ndarray, "3 hit"],
        mask: Bool[ndarray, "height width"],
        rng: Random,
    ) -> None:
        self._caster, self._mask = caster, mask
        row, column = (np.arange(length) % self.BLOCK for length in mask.shape)
        self._seen = np.flatnonzero(mask)
        place = (self.BLOCK * row[:, None] + column).take(self._seen)
        casting = np.flatnonzero(place % 2 == 0)
        self._pixel = self._seen.take(casting)
        self._normal = normal.take(casting, axis=1)
        self._origin = points.take(casting, axis=1) + np.float32(2e-3) * self._normal
        parts = _spread_directions((self.BLOCK**2 + 1) // 2, rng)
        part = parts.take(place.take(casting) // 2, axis=1)
        # A part is an area too, or shadows would fade in steps.
        self._part = _unit(part + _noise(0.12, part.shape, rng))
        self._rays_around = self._count_around(self._pixel)

    def open_sky(self, reach: float) -> Float32[ndarray, "hit"]:
        """Share of the hemisphere, weighed by its cosine, with nothing within `reach`."""
        return self._share_open(_unit(self._normal + np.float32(0.98) * self._part), reach)

    def share_lit(self, light: Light) -> Float32[ndarray, "hit"]:
        towards = light.towards.astype(np.float32)[:, None]
        return self._share_open(towards + np.float32(light.softness) * self._part)

    def _share_open(
        self, rays: Float32[ndarray, "3 ray"], reach: float = 1e30
    ) -> Float32[ndarray, "hit"]:
        above = np.flatnonzero(_dot(rays, self._normal) > 0)
        origins, rays = self._origin.take(above, axis=1), rays.take(above, axis=1)
        free = above[~self._caster.occluded(origins.T, rays.T, reach)]
        # A pixel with no ray around is in the open.
        share: ndarray = self._count_around(self._pixel.take(free)) / self._rays_around
        return share

    def _count_around(self, pixels: Int[ndarray, "pixel"]) -> Float32[ndarray, "hit"]:
        """How many of these pixels, and a bit, lie in the block around each visible point."""
        image = np.zeros(self._mask.shape, dtype=np.uint8)
        image.ravel()[pixels] = 1
        block = (self.BLOCK, self.BLOCK)
        counts = cv2.boxFilter(image, -1, block, normalize=False, borderType=cv2.BORDER_CONSTANT)
        return counts.ravel().take(self._seen) + np.float32(1e-3)


def _spread_directions(count: int, rng: Random) -> Float32[ndarray, "3 count"]:
    """Unit vectors spread evenly all around (a Fibonacci spiral), turned and shuffled."""
    number = rng.permutation(count)
    height = 1 - (2 * number + 1) / count
    angle = np.pi * (3 - np.sqrt(5)) * number + rng.uniform(0, 2 * np.pi)
    circle = np.sqrt(1 - height**2)
    return np.stack([circle * np.cos(angle), height, circle * np.sin(angle)]).astype(np.float32)


def _draw_sky_and_floor(rng: Random) -> tuple[Float[ndarray, "3"], Float[ndarray, "3"]]:
    sky = rng.uniform(0.2, 1.0) * (1 + rng.normal(0, 0.08, 3))
    floor = rng.uniform(0.05, 0.8) * (1 + rng.normal(0, 0.08, 3))
    return sky, floor


def _sky_and_floor(height: Float32[ndarray, "hit"]) -> Float32[ndarray, "2 hit"]:
    """Shares of a sky above and a floor below; `height` is the direction's y."""
    upper = 0.5 + 0.5 * height.clip(-1, 1)
    return np.stack([upper, 1 - upper])


def _draw_lights(rng: Random) -> list[Light]:
    lights = []
    for index in range(int(rng.integers(1, 4))):
        azimuth = rng.uniform(-np.pi, np.pi) if rng.random() < 0.4 else rng.normal(0, 1.0)
        elevation = np.radians(rng.uniform(5, 85))
        direction = np.array(
            [
                np.sin(azimuth) * np.cos(elevation),
                np.sin(elevation),
                np.cos(azimuth) * np.cos(elevation),
            ]
        )
        strength = rng.uniform(0.2, 1.6) / (index + 1)
        colour = strength * (1 + rng.normal(0, 0.1, 3))
        lights.append(Light(direction, np.maximum(colour, 0), rng.uniform(0.0, 0.6)))
    return lights


def _surface(
    shape: Shape,
    face: Int[ndarray, "hit"],
    points: Float32[ndarray, "3 hit"],
    rng: Random,
) -> tuple[Float32[ndarray, "3 hit"], Float32[ndarray, "hit"], Float32[ndarray, "hit"]]:
    """Linear albedo, gloss in [0, 1] and metalness (0 or 1) where rays hit."""
    slot = shape.face_slot.take(face)
    base = np.stack([_draw_colour(material, rng) for material in shape.materials], -1)
    if rng.random() < 0.3:  # one colour throughout, as catalogues and scans often are
        base[:] = base[:, :1]
    albedo = base.astype(np.float32).take(slot, axis=1)
    if shape.face_colour is not None and rng.random() < 0.5:
        albedo = (shape.face_colour.T.astype(np.float32) ** np.float32(2.2)).take(face, axis=1)
    gloss = np.array([_draw_gloss(material, rng) for material in shape.materials])
    metal = np.array(
        [material == "metal" and rng.random() < 0.7 for material in shape.materials], dtype=float
    )
    for index, material in enumerate(shape.materials):
        mine = np.flatnonzero(slot == index)
        pattern = _pattern(material, points.take(mine, axis=1), rng)
        if pattern is not None:
            albedo[:, mine] = (albedo.take(mine, axis=1) * pattern).clip(0.01, 1)
    return albedo, gloss.astype(np.float32).take(slot), metal.astype(np.float32).take(slot)


def _draw_colour(material: Material, rng: Random) -> Float[ndarray, "3"]:
    """Linear albedo of a material: as it usually is, or painted any colour."""
    hue, saturation, value = rng.random(), rng.random() ** 2, rng.uniform(0.08, 0.95)
    if rng.random() < 0.75:
        if material == "wood":
            hue, saturation, value = rng.uniform(0.03, 0.12), rng.uniform(0.2, 0.8), value * 0.9
        elif material == "metal":
            saturation *= 0.25
        elif material == "leather":
            value *= 0.5
        elif material == "rubber":  # tyres
            saturation, value = saturation * 0.4, value * 0.3
        elif material == "glass" and rng.random() < 0.6:  # windows and screens, the dark within
            saturation, value = saturation * 0.4, value * 0.25
        elif material in ("ceramic", "paper", "glass"):
            saturation, value = saturation * 0.4, 0.5 + value / 2
    return np.array(colorsys.hsv_to_rgb(hue, saturation, value)) ** 2.2


def _draw_gloss(material: Material, rng: Random) -> float:
    dull = {"fabric": 0.15, "paper": 0.15, "rubber": 0.4}.get(material, 1.0)
    return float(rng.random() * dull)


def _pattern(
    material: Material, points: Float32[ndarray, "3 hit"], rng: Random
) -> Float32[ndarray, "hit"] | None:
    """Factor on the albedo by the point in space: grain, stripes and so on; None if plain."""
    kind = rng.choice(
        ["plain", "grain", "stripes", "checks", "blotches"], p=[0.6, 0.1, 0.06, 0.06, 0.18]
    )
    if material == "wood" and rng.random() < 0.6:
        kind = "grain"
    if kind == "plain":
        return None
    strength = np.float32(rng.uniform(0.05, 0.5))
    axis = _unit(rng.standard_normal((3, 1), np.float32))
    waves = (rng.standard_normal((3, 3)) * [[6], [15], [40]]).astype(np.float32)
    phases = rng.uniform(0, 6.3, (3, 1)).astype(np.float32)
    wobble = np.sin(waves @ points + phases).sum(0)
    if kind == "blotches":
        return np.asarray(1 + strength * wobble / 3)
    frequency = np.float32(rng.uniform(20, 120))
    if kind == "grain":
        along = np.arange(3)[:, None] == rng.integers(3)
        from_axis = points * np.where(along, 0.15, 1).astype(np.float32) - axis
        rings = frequency * np.sqrt(_dot(from_axis, from_axis))
        return np.asarray(1 + strength * np.sin(rings + wobble))
    wave = np.sign(np.sin(frequency * _dot(points, axis[:, 0])))
    if kind == "checks":
        across = _unit(np.array([axis[2] + 1e-6, [0], -axis[0]], dtype=np.float32))
        wave *= np.sign(np.sin(frequency * _dot(points, across[:, 0])))
    return np.asarray(1 + strength * wave)


def _develop(
    radiance: Float32[ndarray, "3 hit"], mask: Bool[ndarray, "height width"], rng: Random
) -> UInt8[ndarray, "height width 3"]:
    """Exposure, white balance, tone curve, background, sensor noise, blur and JPEG."""
    exposure = rng.uniform(0.12, 0.5) / (radiance.mean() + 1e-4) if radiance.size else 1.0
    gains = (exposure * (1 + rng.normal(0, 0.06, (3, 1)))).astype(np.float32)
    backdrop = np.ones(3) if rng.random() < 0.5 else rng.random(3)
    fade = np.linspace(255, 255 * rng.uniform(0.6, 1.0), len(mask))[:, None]
    picture = np.empty((*mask.shape, 3), dtype=np.float32)
    picture[:] = (fade * backdrop)[:, None]
    exposed = (radiance * gains).clip(0, 1) ** np.float32(1 / rng.uniform(1.8, 2.6))
    picture.reshape(-1, 3)[np.flatnonzero(mask)] = 255 * exposed.T
    picture += _noise(255 * rng.uniform(0, 0.03), picture.shape, rng)
    pixels: ndarray = picture.clip(0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        pixels = _blurred(pixels, rng.uniform(0.2, 1.2))
    if rng.random() < 0.4:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=int(rng.integers(30, 95)))
        pixels = np.asarray(Image.open(buffer))
    return pixels


def _noise(deviation: float, shape: tuple[int, ...], rng: Random) -> Float32[ndarray, "..."]:
    """Normally distributed, of 256 values: several times as fast as the generator's own."""
    number = np.frombuffer(rng.bytes(int(np.prod(shape))), dtype=np.uint8)
    values = np.float32(deviation) * _NORMAL_QUANTILES
    return np.asarray(values.take(number).reshape(shape))


def _blurred(pixels: UInt8[ndarray, "height width *channel"], radius: float) -> ndarray:
    """Gaussian. Unlike cv2.GaussianBlur it starts no threads, which forked workers would lack."""
    kernel = cv2.getGaussianKernel(7, radius)
    return cv2.sepFilter2D(pixels, -1, kernel, kernel)


def _imperfect_mask(
    mask: Bool[ndarray, "height width"], rng: Random
) -> UInt8[ndarray, "height width"]:
    """The cut-out as tools make it: mostly right, sometimes a pixel too wide or soft."""
    alpha = np.where(mask, np.uint8(255), np.uint8(0))
    draw = rng.random()
    if draw < 0.15:
        alpha = cv2.dilate(alpha, np.ones((3, 3), dtype=np.uint8))
    elif draw < 0.3:
        alpha = _blurred(alpha, 0.8)
    return alpha
