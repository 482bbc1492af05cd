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

from img2pc.data.ray_caster import Hits, RayCaster
from img2pc.data.shapes import Material, Shape
from img2pc.data.solids import rotation
from img2pc.images import crop_to_foreground

Random = np.random.Generator
CREASE_DEGREES = 40.0


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

    centre: Float[ndarray, 3]
    object_from_camera: Float[ndarray, "3 3"]
    window_corner: Float[ndarray, 2]
    window_side: float


@dataclass(frozen=True)
class Light:
    """A distant light: direction towards it, radiance and angular size in radians."""

    towards: Float[ndarray, 3]
    colour: Float[ndarray, 3]
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
    seen = hits.face >= 0
    colour = np.zeros((resolution * resolution, 3), dtype=np.float32)
    if seen.any():
        lights = [
            replace(light, towards=object_from_photographer @ light.towards)
            for light in _draw_lights(rng)
        ]
        colour[seen] = _shade(
            shape, caster, hits, origins, directions, seen, resolution, lights, rng
        )
    mask = seen.reshape(resolution, resolution)
    rgb = _develop(colour.reshape(resolution, resolution, 3), mask, rng)
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
    row, column = np.mgrid[:resolution, :resolution]
    jitter = rng.random() * (rng.random((resolution**2, 2)) - 0.5)
    pixel = np.stack([column, row], -1).reshape(-1, 2) + 0.5 + jitter
    tangent = camera.window_corner + pixel * (camera.window_side / resolution)
    in_camera = np.concatenate([tangent, np.ones((len(tangent), 1))], -1)
    directions = in_camera @ camera.object_from_camera.T
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    origins = np.broadcast_to(camera.centre, directions.shape)
    return origins.astype(np.float32), directions.astype(np.float32)


def corner_normals(
    vertices: Float[ndarray, "vertex 3"], faces: Int[ndarray, "face 3"]
) -> Float[ndarray, "face 3 3"]:
    """A normal for each corner of each face, smooth across edges but sharp across creases."""
    corners = vertices[faces]
    scaled = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    flat = scaled / (np.linalg.norm(scaled, axis=-1, keepdims=True) + 1e-20)
    # Weighed by the corner's angle, so that it does not matter how a flat side is cut up.
    ahead, behind = np.roll(corners, -1, 1) - corners, np.roll(corners, 1, 1) - corners
    lengths = np.linalg.norm(ahead, axis=-1) * np.linalg.norm(behind, axis=-1) + 1e-20
    angle = np.arccos(((ahead * behind).sum(-1) / lengths).clip(-1, 1))
    smooth = np.stack(
        [
            np.bincount(faces.ravel(), (flat[:, i, None] * angle).ravel(), minlength=len(vertices))
            for i in range(3)
        ],
        -1,
    )
    smooth = smooth / (np.linalg.norm(smooth, axis=-1, keepdims=True) + 1e-20)
    at_corner = smooth[faces]
    creased = (at_corner * flat[:, None]).sum(-1) < np.cos(np.radians(CREASE_DEGREES))
    normals: ndarray = np.where(creased[..., None], flat[:, None], at_corner)
    return normals


def _shade(
    shape: Shape,
    caster: RayCaster,
    hits: Hits,
    origins: Float32[ndarray, "ray 3"],
    directions: Float32[ndarray, "ray 3"],
    seen: Bool[ndarray, ray],
    resolution: int,
    lights: Sequence[Light],
    rng: Random,
) -> Float32[ndarray, "hit 3"]:
    """Linear radiance of the rays that hit: diffuse and glossy, under lights, sky and floor."""
    face, view = hits.face[seen], directions[seen]
    points = origins[seen] + view * hits.distance[seen, None]
    u, v = hits.barycentric[seen].T
    weights = np.stack([1 - u - v, u, v], -1)[..., None]
    normal = (corner_normals(shape.vertices, shape.faces)[face] * weights).sum(1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True) + 1e-9
    normal = np.where((normal * view).sum(-1, keepdims=True) > 0, -normal, normal)
    normal = normal.astype(np.float32)
    albedo, gloss, metallic = _surface(shape, face, points, rng)
    lifted = (points + 2e-3 * normal).astype(np.float32)

    sky, floor = _sky_and_floor(rng)
    open_share = _smoothed(
        ~caster.occluded(lifted, _cosine_directions(normal, rng), reach=0.6), seen, resolution
    )
    reflected = view - 2 * (view * normal).sum(-1, keepdims=True) * normal
    diffuse = _environment(normal[:, 1], sky, floor) * open_share[:, None]
    glossy = _environment(reflected[:, 1] * 1.8, sky, floor) * (0.4 + 0.6 * open_share[:, None])
    for light in lights:
        towards = light.towards + light.softness * rng.normal(size=(len(points), 3))
        towards = (towards / np.linalg.norm(towards, axis=-1, keepdims=True)).astype(np.float32)
        lit = _smoothed(~caster.occluded(lifted, towards), seen, resolution)[:, None]
        diffuse += np.maximum(normal @ light.towards, 0)[:, None] * lit * light.colour
        half = light.towards - view
        half /= np.linalg.norm(half, axis=-1, keepdims=True)
        sharpness = 4 + 200 * gloss**3
        highlight = np.maximum((normal * half).sum(-1), 0) ** sharpness * (sharpness + 8) / 25
        glossy += highlight[:, None] * lit * light.colour
    facing = np.clip(-(normal * view).sum(-1), 0, 1)
    fresnel = gloss * (0.04 + 0.5 * (1 - facing) ** 5)
    mirror = np.where(metallic[:, None] > 0, albedo * 0.8, fresnel[:, None])
    radiance: ndarray = albedo * diffuse * (1 - 0.8 * metallic[:, None]) + mirror * glossy
    return radiance.astype(np.float32)


def _smoothed(
    flags: Bool[ndarray, hit], seen: Bool[ndarray, ray], resolution: int
) -> Float32[ndarray, hit]:
    """One yes-or-no sample per pixel, averaged over the 5×5 pixels around it that hit."""
    from scipy.ndimage import uniform_filter

    image = np.zeros((2, resolution * resolution), dtype=np.float32)
    image[0, seen], image[1, seen] = flags, 1
    image = uniform_filter(
        image.reshape(2, resolution, resolution), size=(0, 5, 5), mode="constant"
    ).reshape(2, -1)
    share: ndarray = image[0, seen] / np.maximum(image[1, seen], 1e-6)
    return share


def _cosine_directions(normal: Float32[ndarray, "hit 3"], rng: Random) -> Float32[ndarray, "hit 3"]:
    sphere = rng.normal(size=normal.shape).astype(np.float32)
    sphere /= np.linalg.norm(sphere, axis=-1, keepdims=True)
    directions = normal + 0.98 * sphere
    unit: ndarray = directions / np.linalg.norm(directions, axis=-1, keepdims=True)
    return unit


def _sky_and_floor(rng: Random) -> tuple[Float[ndarray, 3], Float[ndarray, 3]]:
    sky = rng.uniform(0.2, 1.0) * (1 + rng.normal(0, 0.08, 3))
    floor = rng.uniform(0.05, 0.8) * (1 + rng.normal(0, 0.08, 3))
    return sky, floor


def _environment(
    height: Float32[ndarray, hit], sky: Float[ndarray, 3], floor: Float[ndarray, 3]
) -> Float[ndarray, "hit 3"]:
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
    face: Int[ndarray, hit],
    points: Float[ndarray, "hit 3"],
    rng: Random,
) -> tuple[Float[ndarray, "hit 3"], Float[ndarray, hit], Float[ndarray, hit]]:
    """Linear albedo, gloss in [0, 1] and metalness (0 or 1) where rays hit."""
    slot = shape.face_slot[face]
    count = len(shape.materials)
    base = np.stack([_draw_colour(material, rng) for material in shape.materials])
    if rng.random() < 0.3:  # one colour throughout, as catalogues and scans often are
        base[:] = base[0]
    albedo = base[slot]
    if shape.face_colour is not None and rng.random() < 0.5:
        albedo = shape.face_colour[face] ** 2.2
    gloss = np.array([_draw_gloss(material, rng) for material in shape.materials])
    metal = np.array(
        [material == "metal" and rng.random() < 0.7 for material in shape.materials], dtype=float
    )
    for index in range(count):
        mine = slot == index
        pattern = _pattern(shape.materials[index], points[mine], rng)
        albedo[mine] = np.clip(albedo[mine] * pattern[:, None], 0.01, 1)
    return albedo, gloss[slot], metal[slot]


def _draw_colour(material: Material, rng: Random) -> Float[ndarray, 3]:
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
    material: Material, points: Float[ndarray, "hit 3"], rng: Random
) -> Float[ndarray, hit]:
    """Factor on the albedo: plain, grain, stripes, checks or blotches, by the point in space."""
    kind = rng.choice(
        ["plain", "grain", "stripes", "checks", "blotches"], p=[0.6, 0.1, 0.06, 0.06, 0.18]
    )
    if material == "wood" and rng.random() < 0.6:
        kind = "grain"
    if kind == "plain" or not len(points):
        return np.ones(len(points))
    strength = rng.uniform(0.05, 0.5)
    axis = rng.normal(size=3)
    axis /= np.linalg.norm(axis)
    wobble = sum(
        np.sin(points @ (rng.normal(size=3) * scale) + rng.uniform(0, 6.3)) for scale in (6, 15, 40)
    )
    if kind == "blotches":
        return np.asarray(1 + strength * wobble / 3)
    frequency = rng.uniform(20, 120)
    if kind == "grain":
        squeezed = points * np.where(np.arange(3) == rng.integers(3), 0.15, 1.0)
        return np.asarray(
            1 + strength * np.sin(frequency * np.linalg.norm(squeezed - axis, axis=-1) + wobble)
        )
    wave = np.sign(np.sin(points @ axis * frequency))
    if kind == "checks":
        across = np.cross(axis, [0.0, 1.0, 0.0]) + 1e-6
        wave = wave * np.sign(np.sin(points @ (across / np.linalg.norm(across)) * frequency))
    return np.asarray(1 + strength * wave)


def _develop(
    radiance: Float32[ndarray, "height width 3"], mask: Bool[ndarray, "height width"], rng: Random
) -> UInt8[ndarray, "height width 3"]:
    """Exposure, white balance, tone curve, background, blur, sensor noise and JPEG."""
    if mask.any():
        radiance = radiance * (rng.uniform(0.12, 0.5) / (radiance[mask].mean() + 1e-4))
    radiance = radiance * (1 + rng.normal(0, 0.06, 3))
    encoded = np.clip(radiance, 0, 1) ** (1 / rng.uniform(1.8, 2.6))
    backdrop = np.ones(3) if rng.random() < 0.5 else rng.random(3)
    fade = np.linspace(1, rng.uniform(0.6, 1.0), len(encoded))[:, None, None]
    encoded = np.where(mask[..., None], encoded, backdrop * fade)
    encoded = encoded + rng.normal(0, rng.uniform(0, 0.03), encoded.shape)
    image = Image.fromarray((encoded.clip(0, 1) * 255).astype(np.uint8))
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
