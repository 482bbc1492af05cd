from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy import ndarray

from img2pc.data.pictures import Light, PhotographSettings, _Shadows, photograph
from img2pc.data.ray_caster import RayCaster
from img2pc.data.shapes import Shape, corner_normals
from img2pc.data.solids import box, cylinder, lathe, rotation, superellipsoid
from img2pc.errors import BadInputError

SIZE = 96
AS_TRAINED = PhotographSettings()


def take(
    shape: Shape,
    seed: int,
    settings: PhotographSettings = AS_TRAINED,
    azimuth_degrees: float = 0.0,
) -> ndarray:
    caster = RayCaster(shape.vertices, shape.faces)
    rng = np.random.default_rng(seed)
    return photograph(shape, caster, SIZE, rng, settings, azimuth_degrees)


def silhouette_iou(one: ndarray, other: ndarray) -> float:
    a, b = one[..., 3] > 127, other[..., 3] > 127
    return float((a & b).sum() / (a | b).sum())


def test_the_same_random_state_gives_the_same_picture(chair: Shape) -> None:
    assert np.array_equal(take(chair, 1), take(chair, 1))


def test_other_random_states_give_other_pictures(chair: Shape) -> None:
    pictures = [take(chair, seed) for seed in range(4)]
    for index, picture in enumerate(pictures[:-1]):
        assert np.abs(picture.astype(int) - pictures[index + 1]).mean() > 1


@pytest.mark.parametrize("seed", range(6))
def test_the_foreground_is_centred_and_nine_tenths_of_the_crop(chair: Shape, seed: int) -> None:
    found = take(chair, seed)[..., 3] > 127
    rows, columns = np.flatnonzero(found.any(1)), np.flatnonzero(found.any(0))
    height, width = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
    assert abs(max(height, width) - 0.9 * SIZE) <= 2
    assert abs(rows[0] + rows[-1] + 1 - SIZE) <= 2
    assert abs(columns[0] + columns[-1] + 1 - SIZE) <= 2


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("azimuth", [90.0, -37.0])
def test_walking_around_is_turning_the_object(chair: Shape, seed: int, azimuth: float) -> None:
    turned = replace(chair, vertices=chair.vertices @ rotation("y", -azimuth).T)
    walked, expected = take(chair, seed, azimuth_degrees=azimuth), take(turned, seed)
    opposite = silhouette_iou(take(chair, seed, azimuth_degrees=-azimuth), expected)
    assert silhouette_iou(walked, expected) > 0.95
    assert opposite < 0.9
    # The lights come along.
    both = (walked[..., 3] > 200) & (expected[..., 3] > 200)
    difference = np.abs(walked[..., :3].astype(int) - expected[..., :3])[both]
    assert np.median(difference) < 8


def test_convention_the_photographer_stands_at_plus_z() -> None:
    """A post at +X is seen to the right, at eye level the post at +Y above the block."""
    body, post = box(0.6, 0.2, 0.2), box(0.1, 0.5, 0.1).moved(0.25, 0.35)
    shape = Shape(
        "thing",
        np.concatenate([body.vertices, post.vertices]),
        np.concatenate([body.faces, post.faces + len(body.vertices)]),
        np.zeros(len(body.faces) + len(post.faces), dtype=np.int64),
        ("plastic",),
    )
    settings = PhotographSettings(elevation_degrees=(0.0, 0.0), roll_degrees=0.0)
    for seed in range(3):
        upper = take(shape, seed, settings)[: SIZE // 2, :, 3] > 127
        assert upper[:, SIZE // 2 :].sum() > 100
        assert upper[:, : SIZE // 2].sum() == 0


def test_from_above_the_top_is_seen(chair: Shape) -> None:
    """A flat plate fills the less of the crop's height the lower the camera is."""
    plate = box(0.7, 0.02, 0.7)
    shape = replace(
        chair,
        vertices=plate.vertices,
        faces=plate.faces,
        face_slot=np.zeros(len(plate.faces), dtype=np.int64),
        materials=("wood",),
    )
    heights = []
    for elevation in (0.0, 20.0, 80.0):
        settings = PhotographSettings(elevation_degrees=(elevation, elevation))
        rows = (take(shape, 2, settings)[..., 3] > 127).any(1)
        heights.append(int(rows.sum()))
    assert heights[0] < heights[1] < heights[2]


def shadows_under_a_roof(height: float) -> _Shadows:
    """On 400 pixels that all see the origin, below the edge of a roof over x > 0."""
    roof = np.array([[0.0, height, -9], [9, height, -9], [9, height, 9], [0, height, 9]])
    caster = RayCaster(roof, np.array([[0, 1, 2], [0, 2, 3]]))
    up = np.repeat(np.array([[0], [1], [0]], dtype=np.float32), 400, axis=1)
    mask = np.ones((20, 20), dtype=bool)
    return _Shadows(caster, np.zeros_like(up), up, mask, np.random.default_rng(0))


def inner(share: ndarray) -> ndarray:
    """Of the pixels with all their neighbours."""
    return share.reshape(20, 20)[2:-2, 2:-2].ravel()


@pytest.mark.parametrize(
    ("direction", "softness", "expected"),
    [
        ([-0.6, 0.8, 0.0], 0.0, 1.0),
        ([0.6, 0.8, 0.0], 0.0, 0.0),
        ([0.0, 1.0, 0.0], 0.5, 0.5),  # the edge hides half of the lamp
        ([0.0, -1.0, 0.0], 0.1, 0.0),  # below the surface
    ],
)
def test_soft_shadows(direction: list[float], softness: float, expected: float) -> None:
    lamp = Light(np.array(direction), np.ones(3), softness)
    lit = inner(shadows_under_a_roof(0.5).share_lit(lamp))
    assert lit == pytest.approx(np.full(256, expected), abs=0.15)


def test_a_roof_hides_half_of_the_sky_unless_it_is_far() -> None:
    near, far = (inner(shadows_under_a_roof(height).open_sky(0.6)) for height in (0.01, 0.7))
    assert near == pytest.approx(np.full(256, 0.5), abs=0.15)
    assert (far == 1).all()


def test_colours_differ_between_materials_and_are_not_clipped_away(chair: Shape) -> None:
    for seed in range(4):
        picture = take(chair, seed)
        colours = picture[picture[..., 3] > 200][:, :3]
        assert 5 < colours.mean() < 250
        assert np.linalg.norm(colours.std(0)) > 2


def ball() -> Shape:
    solid = superellipsoid(0.5, 0.5, 0.5)
    slots = np.zeros(len(solid.faces), dtype=np.int64)
    return Shape("ball", solid.vertices, solid.faces, slots, ("fabric",))


def brightness(picture: ndarray) -> tuple[ndarray, ndarray]:
    """Mean over the colours, and where the object is."""
    return picture[..., :3].mean(-1), picture[..., 3] > 200


def test_what_looks_up_is_brighter_than_what_looks_down() -> None:
    """The sky and the lights are above; the floor is darker."""
    settings = PhotographSettings(elevation_degrees=(0.0, 0.0))
    above = below = 0.0
    for seed in range(12):
        bright, seen = brightness(take(ball(), seed, settings))
        above += bright[: SIZE // 2][seen[: SIZE // 2]].mean()
        below += bright[SIZE // 2 :][seen[SIZE // 2 :]].mean()
    assert above > 1.2 * below


@pytest.mark.parametrize("side", [-1, 1])
def test_the_side_towards_the_light_is_the_brighter_one(
    side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    lamp = Light(np.array([0.9 * side, 0.3, 0.3]), np.full(3, 5.0), 0.1)
    monkeypatch.setattr("img2pc.data.pictures._draw_lights", lambda rng: [lamp])
    for seed in range(3):
        bright, seen = brightness(take(ball(), seed))
        right = bright[:, SIZE // 2 :][seen[:, SIZE // 2 :]].mean()
        left = bright[:, : SIZE // 2][seen[:, : SIZE // 2]].mean()
        assert side * (right - left) > 0.1 * (right + left)


def test_a_shape_too_thin_to_be_seen_is_bad_input() -> None:
    nothing = Shape(
        "line",
        np.array([[-0.5, 0.0, 0.0], [0.5, 0.0, 0.0], [0.0, 0.0, 0.0]]),
        np.array([[0, 1, 2]]),
        np.zeros(1, dtype=np.int64),
        ("metal",),
    )
    with pytest.raises(BadInputError, match="no object"):
        take(nothing, 0)


def test_corner_normals_are_flat_on_boxes_and_smooth_around_cylinders() -> None:
    flat = box(1.0, 1.0, 1.0)
    normals = corner_normals(flat.vertices, flat.faces)
    assert np.abs(normals).max(-1) == pytest.approx(np.ones((len(flat.faces), 3)))
    tube = cylinder(0.5, 1.0, sections=32)
    normals = corner_normals(tube.vertices, tube.faces)
    corners = tube.vertices[tube.faces]
    on_side = np.abs(np.ptp(corners[..., 1], axis=1)) > 0.5
    radial = corners[on_side] * [1, 0, 1] / 0.5
    assert (normals[on_side] * radial).sum(-1).min() > 0.99


def test_corner_normals_of_some_faces_are_those_of_all() -> None:
    solid = lathe([(0.5, 0.0), (0.4, 0.5), (0.5, 1.0)], sections=20)
    wanted = np.array([3, 4, 20, 41])
    some = corner_normals(solid.vertices, solid.faces, wanted)
    assert np.array_equal(some, corner_normals(solid.vertices, solid.faces)[wanted])


def test_the_sides_of_a_hexagon_stay_flat_up_its_rings() -> None:
    """Where two sides meet, neither is more than half of the angle from the mean of both."""
    prism = lathe([(0.5, 0.0), (0.5, 0.5), (0.5, 1.0)], sections=6)
    normals = corner_normals(prism.vertices, prism.faces)
    corners = prism.vertices[prism.faces]
    flat = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    flat /= np.linalg.norm(flat, axis=-1, keepdims=True)
    assert (normals * flat[:, None]).sum(-1).min() > 0.999
