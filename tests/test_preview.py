from __future__ import annotations

import json
import re
import shutil
import subprocess
from base64 import b64decode
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

from img2pc.data.solids import rotation
from img2pc.errors import BadInputError
from img2pc.foreground import Foreground
from img2pc.mesh_files import Y_UP_FROM_Z_UP, TriangleMesh
from img2pc.pointclouds import PointCloud
from img2pc.preview import draw_cloud, write_mesh_preview, write_preview

CLAY, SHADOW = [214, 190, 160], [53, 47, 40]
# The direction of the light for a camera at +Z: full brightness where a normal points there.
LIT = np.array([-0.6, 0.5, 1.0]) / np.linalg.norm([-0.6, 0.5, 1.0])
DARK = np.array([1.0, 0.0, 0.6]) / np.linalg.norm([1.0, 0.0, 0.6])  # across it, faces the camera


def ink(image: np.ndarray) -> np.ndarray:
    return (255.0 - image).sum(-1)


def centre_of_ink(image: np.ndarray) -> list[float]:
    """Row and column, where the upper left corner is (0, 0)."""
    darkness = ink(image)
    places = np.indices(darkness.shape) + 0.5
    return [float((place * darkness).sum() / darkness.sum()) for place in places]


@pytest.mark.parametrize(
    ("azimuth", "elevation", "point", "row", "column"),
    [
        (0.0, 0.0, (0.0, 0.0, 0.0), 50, 50),
        (0.0, 0.0, (0.25, 0.0, 0.3), 50, 71.5),  # +X to the right
        (0.0, 0.0, (0.0, 0.25, 0.3), 28.5, 50),  # +Y up
        (90.0, 0.0, (0.3, 0.0, 0.25), 50, 28.5),  # from +X, +Z is to the left
        (180.0, 0.0, (0.25, 0.0, 0.0), 50, 28.5),
        (0.0, 90.0, (0.0, 0.3, 0.25), 71.5, 50),  # from above, +Z is towards the bottom
    ],
)
def test_convention_where_a_point_is_drawn(
    azimuth: float, elevation: float, point: tuple[float, float, float], row: float, column: float
) -> None:
    """0.86 of the panel to a unit, the centre in the middle."""
    towards = rotation("y", azimuth) @ rotation("x", -elevation) @ [0, 0, 1]
    image = draw_cloud(np.array([point]), towards[None], 100, azimuth, elevation)
    assert centre_of_ink(image) == pytest.approx([row, column], abs=0.5)


@pytest.mark.parametrize(("radius", "half_pixels"), [(1, 5), (2, 21), (8, 221)])
def test_a_point_is_a_disc_and_the_rest_is_white(radius: int, half_pixels: int) -> None:
    black = np.zeros((1, 3), dtype=np.uint8)
    image = draw_cloud(np.zeros((1, 3)), LIT[None], 100, 0.0, 0.0, black, radius)
    assert ink(image).sum() / (3 * 255 / 4) == pytest.approx(half_pixels, rel=0.01)


@pytest.mark.parametrize("count", [3_000, 10_000, 100_000])
def test_discs_close_the_gaps_between_points(count: int) -> None:
    """A square of points drawn at random is nearly all covered, and hardly grows."""
    points = np.random.default_rng(0).uniform(-0.3, 0.3, (count, 3)) * [1, 1, 0]
    image = draw_cloud(points, np.tile(LIT, (count, 1)), 320, 0.0, 0.0)
    side = 0.6 * 0.86 * 320
    middle = slice(int(160 - side / 2) + 1, int(160 + side / 2))
    assert (image[middle, middle] < 255).all(-1).mean() > 0.97
    assert (image < 255).all(-1).sum() < (side + 12) ** 2


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
@pytest.mark.parametrize(("nearer", "colour"), [(LIT, CLAY), (DARK, SHADOW)])
def test_the_nearer_point_hides_the_farther(
    nearer: np.ndarray, colour: list[int], order: list[int]
) -> None:
    points = np.array([[0.0, 0.0, 0.2], [0.0, 0.0, -0.2]])[order]
    farther = DARK if nearer is LIT else LIT
    normals = np.stack([nearer, farther])[order]
    assert draw_cloud(points, normals, 100, 0.0, 0.0)[50, 50].tolist() == colour


def test_colours_are_shaded_less_than_clay() -> None:
    """They have the light of the picture in them."""
    points, colours = np.zeros((1, 3)), np.array([[100, 200, 50]], dtype=np.uint8)
    for normal, shade in ((LIT, 0.75), (DARK, 0.75 * 0.6)):
        drawn = draw_cloud(points, normal[None], 100, 0.0, 0.0, colours)[50, 50]
        assert drawn.tolist() == pytest.approx(shade * colours[0], abs=1)


def test_points_that_face_away_are_not_drawn() -> None:
    image = draw_cloud(np.zeros((1, 3)), np.array([[0.0, 0, -1]]), 100, 0.0, 0.0)
    assert (image == 255).all()
    assert (draw_cloud(np.zeros((1, 3)), np.array([[0.0, 0, -1]]), 100, 180.0, 0.0) < 255).any()


def test_points_beyond_the_panel_are_left_out() -> None:
    image = draw_cloud(np.array([[5.0, 0, 0]]), LIT[None], 100, 0.0, 0.0)
    assert (image == 255).all()


def one_point() -> PointCloud:
    normal = torch.from_numpy(LIT)[None].float()
    return PointCloud(torch.zeros(1, 3), normal, torch.zeros(1, dtype=torch.int64), torch.ones(1))


def picture(method: str) -> Foreground:
    """The right half is the object; it is red, and what is left is blue."""
    rgba = np.zeros((32, 32, 4), dtype=np.uint8)
    rgba[:, :16] = (0, 0, 255, 0)
    rgba[:, 16:] = (255, 0, 0, 255)
    return Foreground(rgba, method, ())


@pytest.mark.parametrize(("method", "left"), [("alpha", [255, 255, 255]), ("border", [0, 0, 255])])
def test_a_preview_is_the_picture_its_mask_and_four_sides(
    method: str, left: list[int], tmp_path: Path
) -> None:
    write_preview(tmp_path / "preview.png", picture(method), one_point(), size=64)
    image = np.asarray(Image.open(tmp_path / "preview.png"))
    assert image.shape == (64, 6 * 64, 3)
    assert image[32, 5].tolist() == left
    assert image[32, 60].tolist() == [255, 0, 0]
    assert image[32, 64 + 5].tolist() == [0, 0, 0]
    assert image[32, 64 + 60].tolist() == [255, 255, 255]
    drawn = [bool(image[32, panel * 64 + 32].max() < 255) for panel in range(2, 6)]
    assert drawn == [True, False, False, True]  # the point faces +Z, a little to -X


def turning(path: Path) -> list[np.ndarray]:
    with Image.open(path) as gif:
        assert gif.info["loop"] == 0  # without end
        frames = []
        for frame in range(gif.n_frames):
            gif.seek(frame)
            frames.append(np.asarray(gif.convert("RGB")).astype(int))
        return frames


def test_a_gif_is_a_turn_that_begins_at_the_photographer(tmp_path: Path) -> None:
    """Of a ball that is red towards +Z, green towards +X and else blue, as a cloud and a mesh."""
    ball = trimesh.creation.icosphere(4)
    x, z = ball.vertices[:, 0], ball.vertices[:, 2]
    colours = np.where(
        (z > 0.8)[:, None], [255, 0, 0], np.where((x > 0.8)[:, None], [0, 255, 0], [0, 0, 255])
    ).astype(np.uint8)
    normals = torch.from_numpy(np.array(ball.vertices)).float()
    cloud = PointCloud(
        normals / 12**0.5,
        normals,
        torch.zeros(len(x), dtype=torch.int64),
        torch.ones(len(x)),
        torch.from_numpy(colours),
    )
    write_preview(tmp_path / "cloud.gif", picture("alpha"), cloud, size=64)
    upright = TriangleMesh(ball.vertices @ Y_UP_FROM_Z_UP, ball.faces, colours)
    write_mesh_preview(tmp_path / "mesh.gif", upright, size=64)
    for name in ("cloud.gif", "mesh.gif"):
        frames = turning(tmp_path / name)
        assert len(frames) == 36
        middle = [int(frame[40, 32].argmax()) for frame in frames]
        assert (middle[0], middle[9], middle[18]) == (0, 1, 2)


needs_node = pytest.mark.skipif(
    shutil.which("node") is None, reason="there is no node to run a page's program"
)
# What a browser does, but for the window.
DRAWN_BY_NODE = """
const page = require("fs").readFileSync(process.argv[1], "utf8");
const [, stored] = page.match(/<script id="cloud"[^>]*>([^]*?)<[/]script>/);
const [, program] = page.match(/<script>([^]*?)<[/]script>/);
const { decoded, draw } = new Function(program + "; return { decoded, draw };")();
const [size, azimuth, elevation] = process.argv.slice(2).map(Number);
const pixels = new Uint8ClampedArray(4 * size * size);
draw(decoded(stored), pixels, new Float32Array(size * size), size, size, azimuth, elevation, 1);
process.stdout.write(Buffer.from(pixels.buffer));
"""


# A window that is driven by hand; what is drawn are azimuth, elevation and zoom.
TURNED_IN_NODE = """
const page = require("fs").readFileSync(process.argv[1], "utf8");
const [, program] = page.match(/<script>([^]*?)<[/]script>/);
const drawn = [], handlers = {}, frames = [];
const listen = (kind, handler) => { handlers[kind] = handler; };
Object.assign(globalThis, {
  matchMedia: () => ({ matches: false }), devicePixelRatio: 1, addEventListener: listen,
  requestAnimationFrame: (paint) => frames.push(paint),
});
Object.defineProperty(globalThis, "performance", { value: { now: () => 0 } });
const context = { createImageData: (width, height) => ({ width, height }), putImageData() {} };
const canvas = {
  clientWidth: 80, clientHeight: 60, addEventListener: listen, setPointerCapture() {},
  getContext: () => context,
};
const ours = "draw = (...given) => drawn.push(given.slice(-3)); return show;";
const show = new Function("drawn", program + ours)(drawn);
const settle = () => { for (const paint of frames.splice(0)) paint(); };
const point = (kind, pointerId, clientX, clientY, button = 0) =>
  handlers[kind]({ pointerId, clientX, clientY, button });
show(canvas, {});
settle();
settle();  // it turns
point("pointerdown", 1, 0, 0);
point("pointermove", 1, 60, -30);
settle();
settle();  // it has stopped
point("pointerdown", 2, 60, 70);
point("pointermove", 2, 60, 170);
settle();
point("pointerup", 1, 0, 0);
point("pointerup", 2, 0, 0);
point("pointerdown", 3, 0, 0, 2);
point("pointermove", 3, 50, 50);
handlers.keydown({ key: "ArrowUp", ctrlKey: true });
settle();  // nothing to draw
handlers.keydown({ key: "ArrowUp" });
settle();
handlers.wheel({ deltaY: 1e9, preventDefault() {} });
settle();
console.log(JSON.stringify(drawn));
"""


def coloured_ball() -> PointCloud:
    """Red towards +Z, green towards +X, flattened from above."""
    normals = np.asarray(trimesh.creation.icosphere(5).vertices)
    colours = np.clip(255 * normals[:, [2, 0, 1]], 40, 255).astype(np.uint8)
    return PointCloud(
        torch.from_numpy(normals * [0.4, 0.2, 0.4]).float(),
        torch.from_numpy(normals).float(),
        torch.zeros(len(normals), dtype=torch.int64),
        torch.ones(len(normals)),
        torch.from_numpy(colours),
    )


def stored_in(path: Path) -> str:
    page = path.read_text(encoding="utf-8")
    match = re.search(r'<script id="cloud" type="application/json">(.*?)</script>', page)
    assert match is not None
    return match[1]


def test_a_page_holds_the_cloud_and_needs_nothing_else(tmp_path: Path) -> None:
    cloud, path = coloured_ball(), tmp_path / "a & $c 'd'.html"
    write_preview(path, picture("alpha"), cloud)
    page = path.read_text(encoding="utf-8")
    assert "<title>a &amp; $c &#x27;d&#x27;</title>" in page
    assert re.search(r"https?:|src=|href=|import ", page) is None
    stored = json.loads(stored_in(path))
    kinds = {"points": "<i2", "normals": "i1", "colours": "u1"}
    points, normals, colours = (
        np.frombuffer(b64decode(stored[name]), kind).reshape(-1, 3) for name, kind in kinds.items()
    )
    assert points * stored["unit"] == pytest.approx(cloud.points.numpy(), abs=1e-4)
    assert normals / 127 == pytest.approx(cloud.normals.numpy(), abs=0.01)
    assert (colours == cloud.colours.numpy()).all()


@needs_node
@pytest.mark.parametrize("azimuth", [0, 60, 200])
@pytest.mark.parametrize("elevation", [0, 40])
@pytest.mark.parametrize("colour", [True, False])
def test_a_page_draws_as_pictures_are_drawn(
    azimuth: int, elevation: int, colour: bool, tmp_path: Path
) -> None:
    cloud, path = coloured_ball(), tmp_path / "page.html"
    if not colour:
        cloud = replace(cloud, colours=None)
    arrays = cloud.arrays()
    write_preview(path, picture("alpha"), cloud)
    turned = [str(np.radians(angle)) for angle in (azimuth, elevation)]
    ran = subprocess.run(
        ["node", "-e", DRAWN_BY_NODE, path, "400", *turned], capture_output=True, check=True
    )
    drawn = np.frombuffer(ran.stdout, np.uint8).reshape(200, 2, 200, 2, 4)
    assert (drawn[..., 3] == 255).all()
    assert arrays.normals is not None
    stored = json.loads(stored_in(path))
    radius = max(1, round(stored["radius"] * 0.86 * 400))
    sides = (azimuth, elevation, arrays.colours, radius)
    true = draw_cloud(arrays.points, arrays.normals, 200, *sides)
    difference = np.abs(drawn[..., :3].mean((1, 3)) - true).max(-1)
    assert np.mean(difference > 20) < 0.01
    assert np.median(difference[ink(true) > 0]) < 3


def test_a_page_of_one_point(tmp_path: Path) -> None:
    write_preview(tmp_path / "point.html", picture("alpha"), one_point())
    stored = json.loads(stored_in(tmp_path / "point.html"))
    assert stored["unit"] > 0
    assert 0 < stored["radius"] <= 1 / 64


def test_a_page_of_a_mesh_is_upright_and_of_the_same_size_as_a_cloud(tmp_path: Path) -> None:
    rod = trimesh.creation.box((10, 20, 100)).apply_translation((0, 0, 50))
    write_mesh_preview(tmp_path / "rod.html", TriangleMesh(rod.vertices, rod.faces))
    stored = json.loads(stored_in(tmp_path / "rod.html"))
    points = np.frombuffer(b64decode(stored["points"]), "<i2").reshape(-1, 3) * stored["unit"]
    assert len(points) > 50_000
    diagonal = np.linalg.norm([10, 20, 100])
    assert np.ptp(points, axis=0) == pytest.approx(np.array([10, 100, 20]) / diagonal, rel=0.01)


@needs_node
def test_a_page_is_turned_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    write_preview(path, picture("alpha"), one_point())
    ran = subprocess.run(["node", "-e", TURNED_IN_NODE, path], capture_output=True, check=True)
    level = np.pi / 12
    turned = level - 0.25  # down by the finger's 30 pixels, as the camera goes
    assert json.loads(ran.stdout) == [
        [0, pytest.approx(level), 1],
        [0, pytest.approx(level), 1],
        [-0.5, pytest.approx(turned), 1],
        [-0.5, pytest.approx(turned), 2],
        [-0.5, pytest.approx(turned - 0.1), 2],
        [-0.5, pytest.approx(turned - 0.1), 0.2],
    ]


@needs_node
def test_a_page_of_a_plate_has_no_holes_from_above(tmp_path: Path) -> None:
    """Whose front, which a page shows first, is a line."""
    plate = trimesh.creation.box((100, 100, 4))
    path = tmp_path / "plate.html"
    write_mesh_preview(path, TriangleMesh(plate.vertices, plate.faces))
    ran = subprocess.run(
        ["node", "-e", DRAWN_BY_NODE, path, "800", "0", str(np.radians(60))],
        capture_output=True,
        check=True,
    )
    middle = np.frombuffer(ran.stdout, np.uint8).reshape(800, 800, 4)[350:450, 300:500, :3]
    assert (middle == 255).all(-1).mean() < 0.01


def test_a_wide_picture_is_shown_whole(tmp_path: Path) -> None:
    wide = Foreground(np.full((10, 40, 4), 255, dtype=np.uint8), "none", ())
    write_preview(tmp_path / "preview.png", wide, one_point(), size=64)
    panel = np.asarray(Image.open(tmp_path / "preview.png"))[:, :64]
    assert (panel == 255).all(-1).sum() == 64 * 16


def test_a_preview_that_cannot_be_written_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="cannot write"):
        write_preview(tmp_path / "missing" / "preview.png", picture("alpha"), one_point())


def test_a_mesh_is_shown_upright_and_from_its_front(tmp_path: Path) -> None:
    """+Z up, seen a little from the left of -Y: red above, green to the right."""
    ball = trimesh.creation.icosphere(3, 50.0)
    above, right = ball.vertices[:, 2] > 20, ball.vertices[:, 0] > 30
    colours = np.where(above[:, None], [255, 0, 0], np.where(right[:, None], [0, 255, 0], 255))
    mesh = TriangleMesh(ball.vertices, ball.faces, colours.astype(np.uint8))
    write_mesh_preview(tmp_path / "preview.png", mesh, size=96)
    front = np.asarray(Image.open(tmp_path / "preview.png"))[:, :96].astype(int)
    red = centre_of_ink(255 - (front[..., :1] - front[..., 1:]).clip(0, 255))
    green = centre_of_ink(255 - (front[..., 1:2] - front[..., ::2]).clip(0, 255))
    assert red[0] < 36
    assert abs(red[1] - 48) < 12
    assert green[1] > 55
