"""Pictures of a Shape as photographs are: camera, materials, lights, shadows and a lens.

Everything is drawn from the generator that is passed in.
"""

from __future__ import annotations

import colorsys
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, UInt8
from numpy import ndarray
from PIL import Image, ImageFilter
from scipy.ndimage import uniform_filter

from img2pc.data.ray_caster import Hits, RayCaster
from img2pc.data.shapes import Material, Shape
from img2pc.data.solids import rotation
from img2pc.images import crop_to_foreground

Random = np.random.Generator


@dataclass(frozen=True)
class PhotographSettings:
    """Ranges that photographs are drawn from."""

    elevation_degrees: tuple[float, float] = (-10.0, 50.0)
    field_of_view_degrees: tuple[float, float] = (20.0, 70.0)
    roll_degrees: float = 2.0
    resolution: tuple[int, int] = (160, 272)


@dataclass(frozen=True)
class PerspectiveCamera:
    """A pinhole camera and the square window of its image plane (tangents) that is kept."""

    centre: Float[ndarray, "3"]
    object_from_camera: Float[ndarray, "3 3"]
    window_corner: Float[ndarray, "2"]
    window_side: float


@dataclass(frozen=True)
class Light:
    """A distant light: direction towards it, radiance and angular size in radians."""

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
    origins, directions = _rays(camera, resolution, rng)
    hits = caster.first_hits(origins, directions)
    mask = (hits.face >= 0).reshape(resolution, resolution)
    lights = [
        replace(light, towards=object_from_photographer @ light.towards)
        for light in _draw_lights(rng)
    ]
    radiance = _shade(shape, caster, hits, origins, directions, mask, lights, rng)
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
    distance = max(0.5 / np.sin(half_view), 0.8)
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


def _rays(
    camera: PerspectiveCamera, resolution: int, rng: Random
) -> tuple[Float32[ndarray, "ray 3"], Float32[ndarray, "ray 3"]]:
    """One ray a pixel, jittered within it by a random amount: from staircase to ragged edges."""
    jitter = rng.random() * (rng.random((2, resolution, resolution), dtype=np.float32) - 0.5)
    centres = np.arange(resolution, dtype=np.float32) + 0.5
    pixel = camera.window_side / resolution
    x = camera.window_corner[0] + pixel * (centres + jitter[0])
    y = camera.window_corner[1] + pixel * (centres[:, None] + jitter[1])
    right, down, forward = camera.object_from_camera.T.astype(np.float32)
    tangent = x.astype(np.float32)[..., None] * right + y.astype(np.float32)[..., None] * down
    directions = _unit((tangent + forward).reshape(-1, 3))
    origins = np.empty_like(directions)
    origins[:] = camera.centre
    return origins, directions


def _dot(
    a: Float32[ndarray, "ray 3"], b: Float32[ndarray, "ray 3"] | Float32[ndarray, "3"]
) -> Float32[ndarray, "ray"]:
    product: ndarray = np.einsum("ri,ri->r", a, b) if b.ndim == 2 else a @ b
    return product


def _unit(vectors: Float32[ndarray, "ray 3"]) -> Float32[ndarray, "ray 3"]:
    lengths = np.sqrt(_dot(vectors, vectors)) + np.float32(1e-9)
    unit: ndarray = vectors / lengths[:, None]
    return unit


def _shade(
    shape: Shape,
    caster: RayCaster,
    hits: Hits,
    origins: Float32[ndarray, "ray 3"],
    directions: Float32[ndarray, "ray 3"],
    mask: Bool[ndarray, "height width"],
    lights: Sequence[Light],
    rng: Random,
) -> Float32[ndarray, "hit 3"]:
    """Linear radiance of the rays that hit: diffuse and glossy, under lights, sky and floor."""
    seen = mask.ravel()
    face, view = hits.face[seen], directions[seen]
    points = origins[seen] + view * hits.distance[seen, None]
    u, v = hits.barycentric[seen].T[..., None]
    corners = shape.corner_normals[face]
    normal = _unit(corners[:, 0] * (1 - u - v) + corners[:, 1] * u + corners[:, 2] * v)
    normal *= -np.sign(_dot(normal, view))[:, None]
    albedo, gloss, metallic = _surface(shape, face, points, rng)
    lifted = points + np.float32(2e-3) * normal
    neighbours = uniform_filter(mask.astype(np.float32), 5, mode="constant")[mask]

    def share_open(towards: Float32[ndarray, "hit 3"], reach: float = 1e30) -> ndarray:
        """Share of the 5×5 pixels around that are not in shadow, from one ray of each."""
        image = np.zeros(mask.shape, dtype=np.float32)
        image[mask] = ~caster.occluded(lifted, towards, reach)
        share: ndarray = uniform_filter(image, 5, mode="constant")[mask] / neighbours
        return share[:, None]

    sky, floor = _sky_and_floor(rng)
    around = normal + np.float32(0.98) * _unit(rng.standard_normal(normal.shape, np.float32))
    open_sky = share_open(_unit(around), reach=0.6)
    reflected = view[:, 1] - 2 * _dot(view, normal) * normal[:, 1]
    diffuse = _environment(normal[:, 1], sky, floor) * open_sky
    glossy = _environment(reflected * 1.8, sky, floor) * (0.4 + 0.6 * open_sky)
    sharpness = 4 + 200 * gloss**3
    for light in lights:
        towards, colour = light.towards.astype(np.float32), light.colour.astype(np.float32)
        scatter = np.float32(light.softness) * rng.standard_normal(normal.shape, np.float32)
        lit = share_open(_unit(towards + scatter)) * colour
        diffuse += np.maximum(_dot(normal, towards), 0)[:, None] * lit
        highlight = np.maximum(_dot(normal, _unit(towards - view)), 0) ** sharpness
        glossy += (highlight * (sharpness + 8) / 25)[:, None] * lit
    facing = np.clip(-_dot(normal, view), 0, 1)
    fresnel = gloss * (0.04 + 0.5 * (1 - facing) ** 5)
    mirror = np.where(metallic[:, None] > 0, albedo * np.float32(0.8), fresnel[:, None])
    radiance: ndarray = albedo * diffuse * (1 - 0.8 * metallic[:, None]) + mirror * glossy
    return radiance.astype(np.float32, copy=False)


def _sky_and_floor(rng: Random) -> tuple[Float32[ndarray, "3"], Float32[ndarray, "3"]]:
    sky = rng.uniform(0.2, 1.0) * (1 + rng.normal(0, 0.08, 3))
    floor = rng.uniform(0.05, 0.8) * (1 + rng.normal(0, 0.08, 3))
    return sky.astype(np.float32), floor.astype(np.float32)


def _environment(
    height: Float32[ndarray, "hit"], sky: Float32[ndarray, "3"], floor: Float32[ndarray, "3"]
) -> Float32[ndarray, "hit 3"]:
    """Light from a sky above and a floor below; `height` is the direction's y."""
    upper = (0.5 + 0.5 * np.clip(height, -1, 1))[:, None]
    mixed: ndarray = upper * sky + (1 - upper) * floor
    return mixed


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
        lights.append(Light(direction, np.maximum(colour, 0), rng.uniform(0.0, 0.35)))
    return lights


def _surface(
    shape: Shape,
    face: Int[ndarray, "hit"],
    points: Float32[ndarray, "hit 3"],
    rng: Random,
) -> tuple[Float32[ndarray, "hit 3"], Float32[ndarray, "hit"], Float32[ndarray, "hit"]]:
    """Linear albedo, gloss in [0, 1] and metalness (0 or 1) where rays hit."""
    slot = shape.face_slot[face]
    count = len(shape.materials)
    base = np.stack([_draw_colour(material, rng) for material in shape.materials])
    if rng.random() < 0.3:  # one colour throughout, as catalogues and scans often are
        base[:] = base[0]
    albedo = base.astype(np.float32)[slot]
    if shape.face_colour is not None and rng.random() < 0.5:
        albedo = shape.face_colour.astype(np.float32)[face] ** np.float32(2.2)
    gloss = np.array([_draw_gloss(material, rng) for material in shape.materials])
    metal = np.array(
        [material == "metal" and rng.random() < 0.7 for material in shape.materials], dtype=float
    )
    for index in range(count):
        mine = np.flatnonzero(slot == index)
        pattern = _pattern(shape.materials[index], points[mine], rng)
        if pattern is not None:
            albedo[mine] = np.clip(albedo[mine] * pattern[:, None], 0.01, 1)
    return albedo, gloss.astype(np.float32)[slot], metal.astype(np.float32)[slot]


def _draw_colour(material: Material, rng: Random) -> Float[ndarray, "3"]:
    """Linear albedo of a material: as it usually is, or painted any colour."""
    hue, saturation, value = rng.random(), rng.random() ** 2, rng.uniform(0.08, 0.95)
    if rng.random() < 0.75:
        if material == "wood":
            hue, saturation, value = rng.uniform(0.03, 0.12), rng.uniform(0.2, 0.8), value * 0.9
        elif material == "metal":
            saturation *= 0.25
        elif material in ("rubber", "leather"):
            value *= 0.5
        elif material in ("ceramic", "paper", "glass"):
            saturation, value = saturation * 0.4, 0.5 + value / 2
    return np.array(colorsys.hsv_to_rgb(hue, saturation, value)) ** 2.2


def _draw_gloss(material: Material, rng: Random) -> float:
    dull = {"fabric": 0.15, "paper": 0.15, "rubber": 0.4}.get(material, 1.0)
    return float(rng.random() * dull)


def _pattern(
    material: Material, points: Float32[ndarray, "hit 3"], rng: Random
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
    axis = _unit(rng.standard_normal((1, 3), np.float32))[0]
    waves = (rng.standard_normal((3, 3)) * [[6], [15], [40]]).astype(np.float32)
    wobble = np.sin(points @ waves.T + rng.uniform(0, 6.3, 3).astype(np.float32)).sum(-1)
    if kind == "blotches":
        return np.asarray(1 + strength * wobble / 3)
    frequency = np.float32(rng.uniform(20, 120))
    if kind == "grain":
        from_axis = points * np.where(np.arange(3) == rng.integers(3), 0.15, 1).astype(np.float32)
        from_axis -= axis
        rings = frequency * np.sqrt(_dot(from_axis, from_axis))
        return np.asarray(1 + strength * np.sin(rings + wobble))
    wave = np.sign(np.sin(points @ axis * frequency))
    if kind == "checks":
        across = _unit(np.array([[axis[2] + 1e-6, 0, -axis[0]]], dtype=np.float32))[0]
        wave = wave * np.sign(np.sin(points @ across * frequency))
    return np.asarray(1 + strength * wave)


def _develop(
    radiance: Float32[ndarray, "hit 3"], mask: Bool[ndarray, "height width"], rng: Random
) -> UInt8[ndarray, "height width 3"]:
    """Exposure, white balance, tone curve, background, sensor noise, blur and JPEG."""
    exposure = rng.uniform(0.12, 0.5) / (radiance.mean() + 1e-4) if len(radiance) else 1.0
    gains = (exposure * (1 + rng.normal(0, 0.06, 3))).astype(np.float32)
    backdrop = np.ones(3) if rng.random() < 0.5 else rng.random(3)
    fade = np.linspace(1, rng.uniform(0.6, 1.0), len(mask))[:, None]
    picture = np.empty((*mask.shape, 3), dtype=np.float32)
    picture[:] = (fade * backdrop)[:, None]
    picture[mask] = np.clip(radiance * gains, 0, 1) ** np.float32(1 / rng.uniform(1.8, 2.6))
    picture += np.float32(rng.uniform(0, 0.03)) * rng.standard_normal(picture.shape, np.float32)
    image = Image.fromarray((picture.clip(0, 1) * 255).astype(np.uint8))
    if rng.random() < 0.5:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.2, 1.2)))
    if rng.random() < 0.4:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=int(rng.integers(30, 95)))
        image = Image.open(buffer)
    return np.asarray(image)


def _imperfect_mask(
    mask: Bool[ndarray, "height width"], rng: Random
) -> UInt8[ndarray, "height width"]:
    """The cut-out as tools make it: mostly right, sometimes a pixel too wide or soft."""
    image = Image.fromarray(mask.astype(np.uint8) * 255)
    draw = rng.random()
    if draw < 0.15:
        image = image.filter(ImageFilter.MaxFilter(3))
    elif draw < 0.3:
        image = image.filter(ImageFilter.GaussianBlur(0.8))
    return np.asarray(image)
