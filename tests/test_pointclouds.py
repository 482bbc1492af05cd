from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from torch.testing import assert_close

from img2pc.errors import BadInputError
from img2pc.pointclouds import PointCloud, write_ply


def random_cloud(count: int) -> PointCloud:
    generator = torch.Generator().manual_seed(count)
    return PointCloud(
        torch.rand(count, 3, generator=generator) - 0.5,
        torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=-1),
        torch.randint(8, (count,), generator=generator),
        torch.rand(count, generator=generator),
    )


def test_convention_ply_header(tmp_path: Path) -> None:
    write_ply(tmp_path / "cloud.ply", random_cloud(5))
    header, body = (tmp_path / "cloud.ply").read_bytes().split(b"end_header\n")
    assert header.decode() == (
        "ply\n"
        "format binary_little_endian 1.0\n"
        "comment img2pc: +Y up, bounding-box diagonal about 1\n"
        "element vertex 5\n"
        "property float x\n"
        "property float y\n"
        "property float z\n"
        "property float nx\n"
        "property float ny\n"
        "property float nz\n"
        "property float confidence\n"
        "property uchar view\n"
    )
    assert len(body) == 5 * (7 * 4 + 1)


def test_convention_ply_header_with_colours(tmp_path: Path) -> None:
    colours = torch.tensor([[1, 2, 3], [4, 5, 255]], dtype=torch.uint8)
    cloud = replace(random_cloud(2), colours=colours)
    write_ply(tmp_path / "cloud.ply", cloud)
    header, body = (tmp_path / "cloud.ply").read_bytes().split(b"end_header\n")
    assert header.decode().split("element vertex 2\n")[1] == (
        "property float x\n"
        "property float y\n"
        "property float z\n"
        "property float nx\n"
        "property float ny\n"
        "property float nz\n"
        "property float confidence\n"
        "property uchar red\n"
        "property uchar green\n"
        "property uchar blue\n"
        "property uchar view\n"
    )
    size = 7 * 4 + 4
    assert len(body) == 2 * size
    last = [list(body[end - 4 : end]) for end in (size, 2 * size)]
    views = cloud.view_index.tolist()
    assert last == [[1, 2, 3, views[0]], [4, 5, 255, views[1]]]


def test_ply_round_trip_through_trimesh(tmp_path: Path) -> None:
    cloud = random_cloud(100)
    write_ply(tmp_path / "cloud.ply", cloud)
    loaded = trimesh.load(tmp_path / "cloud.ply", process=False)
    vertex = loaded.metadata["_ply_raw"]["vertex"]["data"]
    columns = {name: np.asarray(vertex[name]).reshape(-1).tolist() for name in vertex.dtype.names}
    normals = torch.tensor([columns[name] for name in ("nx", "ny", "nz")]).T
    assert_close(torch.from_numpy(np.asarray(loaded.vertices)).float(), cloud.points)
    assert_close(normals, cloud.normals)
    assert_close(torch.tensor(columns["confidence"]), cloud.confidence)
    assert columns["view"] == cloud.view_index.tolist()


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "cloud.ply"
    write_ply(path, random_cloud(3))
    before = path.read_bytes()

    def full_disk(self: Path, data: bytes) -> int:
        self.open("wb").write(data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(BadInputError, match="No space left on device"):
        write_ply(path, random_cloud(4))
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupted_write_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: Path, data: bytes) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_ply(tmp_path / "cloud.ply", random_cloud(4))
    assert list(tmp_path.iterdir()) == []


def test_writing_into_a_missing_folder_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="No such file or directory"):
        write_ply(tmp_path / "missing" / "cloud.ply", random_cloud(1))


def test_a_name_may_be_as_long_as_names_can_be(tmp_path: Path) -> None:
    path = tmp_path / ("ü" * 125 + ".ply")
    write_ply(path, random_cloud(1))
    assert list(tmp_path.iterdir()) == [path]


def test_subsample_is_deterministic_and_without_repeats() -> None:
    cloud = random_cloud(1000)
    first, second = (cloud.subsample(300, torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(first.points, second.points)
    assert len(first.points.unique(dim=0)) == 300
    other = cloud.subsample(300, torch.Generator().manual_seed(6))
    assert not torch.equal(first.points, other.points)


def test_subsample_keeps_each_points_own_values() -> None:
    colours = torch.arange(3000).reshape(1000, 3).to(torch.uint8)
    cloud = replace(random_cloud(1000), colours=colours)
    few = cloud.subsample(10, torch.Generator().manual_seed(0))
    index = [int((cloud.points == point).all(-1).nonzero()) for point in few.points]
    assert torch.equal(few.normals, cloud.normals[index])
    assert torch.equal(few.view_index, cloud.view_index[index])
    assert torch.equal(few.confidence, cloud.confidence[index])
    assert few.colours is not None
    assert torch.equal(few.colours, colours[index])


def test_subsample_of_few_points_is_the_whole_cloud() -> None:
    cloud = random_cloud(7)
    assert torch.equal(cloud.subsample(8, torch.Generator()).points, cloud.points)
