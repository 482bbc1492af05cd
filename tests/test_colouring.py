"""Points have the picture's colours where it shows them, and none of the background's anywhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import trimesh
from jaxtyping import Float
from numpy import ndarray
from PIL import Image
from torch import Tensor

from img2pc.cameras import fixed_cameras
from img2pc.colouring import colours_from_picture
from img2pc.data.ray_caster import RayCaster, cast_views
from img2pc.data.solids import Solid, box
from img2pc.fusion import fuse
from img2pc.pointclouds import PointCloud
from img2pc.reconstruction import Reconstructor

from .conftest import ROOT

RED, BLUE, MAGENTA = [200, 30, 20], [20, 40, 210], [255, 0, 255]


def cloud_of(*solids: Solid) -> PointCloud:
    """Clouds of solids that do not hide each other, seen from all sides."""
    cameras = fixed_cameras(64)
    clouds = [
        fuse(cast_views(RayCaster(solid.vertices, solid.faces), cameras), cameras)
        for solid in solids
    ]
    values = [
        torch.cat([getattr(cloud, name) for cloud in clouds])
        for name in ("points", "normals", "view_index", "confidence")
    ]
    return PointCloud(*values)


def picture(height: int, *rows: list[list[int]], size: int = 64) -> ndarray:
    """A crop, transparent magenta but for a wide rectangle of stripes."""
    pixels = np.full((size, size, 4), [*MAGENTA, 0], dtype=np.uint8)
    (columns,) = rows
    width = round(0.9 * size)
    left, top = (size - width) // 2, (size - height) // 2
    stripes = np.array(columns)[np.arange(width) * len(columns) // width]
    pixels[top : top + height, left : left + width, :3] = stripes
    pixels[top : top + height, left : left + width, 3] = 255
    return pixels


@pytest.fixture(scope="module")
def block() -> PointCloud:
    return cloud_of(box(0.8, 0.4, 0.4))


def test_left_red_right_blue_on_all_sides(block: PointCloud) -> None:
    colours = colours_from_picture(block, picture(34, [RED, BLUE]))
    right, left = block.points[:, 0] > 0.1, block.points[:, 0] < -0.1
    for side, colour in ((left, RED), (right, BLUE)):
        off = (colours.int() - torch.tensor(colour)).abs().amax(-1)
        assert off[side].float().mean() < 5
        assert off[side].max() < 60
        behind = side & (block.points[:, 2] < -0.19)
        assert behind.sum() > 100
        assert off[behind].max() < 60


def test_the_background_is_nowhere(block: PointCloud) -> None:
    """Neither that of the picture nor, at its rim, that of a cut-out a pixel too wide."""
    crop = picture(34, [RED])
    assert (colours_from_picture(block, crop) == torch.tensor(RED)).all()
    wide = crop.copy()
    rim = np.array(Image.fromarray(crop[..., 3]))
    rim[1:-1, 1:-1] = np.maximum.reduce(
        [crop[1 + y : 63 + y, 1 + x : 63 + x, 3] for y in (-1, 0, 1) for x in (-1, 0, 1)]
    )
    wide[..., 3] = rim
    assert (colours_from_picture(block, wide) == torch.tensor(RED)).all()


def test_what_is_behind_something_else_does_not_take_its_colour() -> None:
    """A small red plate before the middle of a blue wall."""
    wall, plate = box(0.8, 0.6, 0.05).moved(z=-0.3), box(0.16, 0.16, 0.05).moved(z=0.3)
    cloud = cloud_of(wall, plate)
    crop = picture(44, [BLUE])
    crop[24:40, 24:40, :3] = RED
    colours = colours_from_picture(cloud, crop)
    red = (colours.int() - torch.tensor(RED)).abs().amax(-1) < 40
    blue = (colours.int() - torch.tensor(BLUE)).abs().amax(-1) < 40
    on_plate = cloud.points[:, 2] > 0
    assert red[on_plate & (cloud.normals[:, 2] > 0.9)].float().mean() > 0.6
    front = ~on_plate & (cloud.normals[:, 2] > 0.9)
    assert blue[front].float().mean() > 0.9
    assert red[front].float().mean() < 0.05


def test_parts_of_a_pixel_keep_their_colour() -> None:
    """A rim is not trusted, but where all is rim there is nothing better."""
    pole = box(0.02, 0.8, 0.02)
    crop = np.zeros((64, 64, 4), dtype=np.uint8)
    crop[3:61, 31:33] = [*RED, 255]
    assert (colours_from_picture(cloud_of(pole), crop) == torch.tensor(RED)).all()


def points(count: int, extent: float) -> PointCloud:
    generator = torch.Generator().manual_seed(0)
    normals = torch.randn(count, 3, generator=generator)
    return PointCloud(
        extent * (torch.rand(count, 3, generator=generator) - 0.5),
        torch.nn.functional.normalize(normals, dim=-1),
        torch.zeros(count, dtype=torch.int64),
        torch.ones(count),
    )


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("count", [0, 1, 3, 3000])
@pytest.mark.parametrize("extent", [0.0, 1.0, 30.0])
@pytest.mark.parametrize("opaque", [0, 1, 64])
def test_there_are_always_colours(count: int, extent: float, opaque: int) -> None:
    crop = np.zeros((64, 64, 4), dtype=np.uint8)
    crop[:opaque, :opaque] = [*RED, 255]
    colours = colours_from_picture(points(count, extent), crop)
    assert colours.shape == (count, 3)
    assert colours.dtype == torch.uint8
    if opaque:
        assert (colours == torch.tensor(RED)).all()


def test_points_that_all_face_away_take_the_picture_through_the_object() -> None:
    cloud = points(500, 0.5)
    away: Float[Tensor, "point 3"] = torch.tensor([[0.0, 0.0, -1.0]]).expand(500, 3)
    colours = colours_from_picture(replace(cloud, normals=away), picture(57, [BLUE]))
    assert (colours == torch.tensor(BLUE)).all()


def test_the_tools_own_cloud_is_red_on_the_left_and_blue_on_the_right() -> None:
    """The example sofa, half red and half blue, with the bundled weights."""
    rgba = np.array(Image.open(ROOT / "examples" / "sofa.png").convert("RGBA"))
    columns = np.flatnonzero((rgba[..., 3] > 127).any(0))
    middle = (columns[0] + columns[-1] + 1) // 2
    rgba[:, :middle, :3], rgba[:, middle:, :3] = RED, BLUE
    cloud = Reconstructor.load()(rgba).cloud
    assert cloud.colours is not None
    off_centre = cloud.points[:, 0].abs() > 0.08
    is_blue = cloud.colours[:, 2] > cloud.colours[:, 0]
    agree = is_blue == (cloud.points[:, 0] > 0)
    assert agree[off_centre].float().mean() > 0.97


def test_colours_come_through_a_file_as_trimesh_reads_it(block: PointCloud, tmp_path) -> None:
    from img2pc.pointclouds import write_ply

    colours = colours_from_picture(block, picture(34, [RED, BLUE]))
    write_ply(tmp_path / "cloud.ply", replace(block, colours=colours))
    loaded = trimesh.load(tmp_path / "cloud.ply", process=False)
    assert np.asarray(loaded.colors)[:, :3].tolist() == colours.tolist()
