from __future__ import annotations

import shutil
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from itertools import islice
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image
from safetensors.torch import save
from scipy.spatial import cKDTree
from torch.testing import assert_close
from trimesh.visual import TextureVisuals
from trimesh.visual.material import PBRMaterial

from img2pc.cameras import OrthographicCameras, fixed_cameras, random_cameras
from img2pc.data import dataset, mesh_folder
from img2pc.data.dataset import (
    Batch,
    DataSettings,
    LiveDataset,
    ShardedDataset,
    _stored,
    batch_of_objects,
    render_object,
    sample_surface,
    turned_points,
    views_from_stored,
    write_shards,
)
from img2pc.data.mesh_folder import MATERIALS, MeshFile, _read_mesh, list_meshes, load_mesh
from img2pc.data.ray_caster import RayCaster, cast_depth, cast_views
from img2pc.data.shapes import Shape
from img2pc.data.solids import Solid
from img2pc.errors import BadInputError, Img2pcError
from img2pc.fusion import fuse
from img2pc.views import Views
from img2pc.workers import Stop

from .conftest import SHARD_SETTINGS


@pytest.fixture(scope="module")
def chair_folder(chair: Shape, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One GLB of the asymmetric chair."""
    folder = tmp_path_factory.mktemp("meshes") / "chair"
    folder.mkdir()
    trimesh.Trimesh(chair.vertices, chair.faces, process=False).export(folder / "one.glb")
    return folder.parent


def settings_for(folder: Path, **changes: object) -> DataSettings:
    every_mesh_once = DataSettings(
        picture_size=32,
        view_size=32,
        mesh_folder=str(folder),
        mesh_split=None,
        in_order=True,
        surface_points=4096,
    )
    return replace(every_mesh_once, **changes)


# --- Objects and batches --------------------------------------------------------------------------


def test_objects_depend_on_seed_and_index_alone() -> None:
    one, again = render_object(SHARD_SETTINGS, 3), render_object(SHARD_SETTINGS, 3)
    assert one.category == again.category
    for name in ("pictures", "quarter_turns", "depth", "surface"):
        assert torch.equal(getattr(one, name), getattr(again, name))
    other_index = render_object(SHARD_SETTINGS, 4)
    other_seed = render_object(replace(SHARD_SETTINGS, seed=8), 3)
    assert not torch.equal(one.pictures, other_index.pictures)
    assert not torch.equal(one.pictures, other_seed.pictures)


def test_only_the_chosen_families_are_drawn() -> None:
    settings = replace(SHARD_SETTINGS, families=("mug",))
    assert {render_object(settings, index).category for index in range(3)} == {"mug"}


def test_pictures_of_one_object_are_taken_a_quarter_turn_apart() -> None:
    settings = replace(SHARD_SETTINGS, pictures_per_object=4)
    rendered = render_object(settings, 0)
    assert sorted(rendered.quarter_turns.tolist()) == [0, 1, 2, 3]
    assert rendered.pictures.shape == (4, 32, 32, 4)


def mean_distance(points: np.ndarray, surface: np.ndarray) -> float:
    return float(cKDTree(surface).query(points)[0].mean())


def test_views_and_surface_agree_at_every_quarter_turn(chair_folder: Path) -> None:
    rendered = render_object(settings_for(chair_folder, pictures_per_object=4), 0)
    views = batch_of_objects([rendered]).views()
    for item, turns in enumerate(rendered.quarter_turns.tolist()):
        one = Views(views.coordinates[item], views.mask_logits[item])
        fused = fuse(one, fixed_cameras(32)).points.double().numpy()
        surface = rendered.surface.double().numpy()
        right = mean_distance(fused, turned_points(surface, turns))
        assert right < 0.02
        for wrong in {0, 1, 2, 3} - {turns}:
            assert mean_distance(fused, turned_points(surface, wrong)) > 2 * right


def test_views_agree_with_the_picture_at_every_quarter_turn(chair_folder: Path) -> None:
    """The photographed silhouette is near that of the true cloud seen from +Z, and no other."""
    settings = settings_for(chair_folder, pictures_per_object=4, picture_size=64, view_size=64)
    rendered = render_object(settings, 0)
    views = batch_of_objects([rendered]).views()
    clouds = [
        fuse(Views(*(values[item] for values in views)), fixed_cameras(64)).points.double().numpy()
        for item in range(4)
    ]
    agreement = np.array(
        [
            [silhouette_agreement(points, picture.numpy()) for points in clouds]
            for picture in rendered.pictures
        ]
    )
    assert agreement.argmax(1).tolist() == [0, 1, 2, 3]


def silhouette_agreement(points: np.ndarray, picture: np.ndarray) -> float:
    """Best IoU of a cloud with a picture's alpha, over elevations and distances of the camera."""
    alpha = picture[..., 3].reshape(32, 2, 32, 2).mean((1, 3)) > 127
    best = 0.0
    for elevation in np.radians(range(-10, 51, 5)):
        down = np.array([0.0, -np.cos(elevation), np.sin(elevation)])
        backward = np.array([0.0, np.sin(elevation), np.cos(elevation)])
        for distance in (0.9, 1.1, 1.5, 2.5):
            depth = distance - points @ backward
            u, v = points[:, 0] / depth, points @ down / depth
            side = max(np.ptp(u), np.ptp(v)) / 0.9
            column = ((u - (u.max() + u.min()) / 2) / side + 0.5) * 32
            row = ((v - (v.max() + v.min()) / 2) / side + 0.5) * 32
            mask = np.zeros((32, 32), dtype=bool)
            mask[row.astype(int), column.astype(int)] = True
            best = max(best, float((mask & alpha).sum() / (mask | alpha).sum()))
    return best


def test_depth_survives_storage() -> None:
    depth = torch.rand(1, 8, 4, 4) + 0.5
    stored = (1 + 65534 * (depth - 0.5)).round()
    stored[0, 2] = 0
    views = views_from_stored(stored.to(torch.int32))
    assert (views.depth - depth)[:, [0, 1, 3, 4, 5, 6, 7]].abs().max() < 1 / 65534
    assert views.mask_logits[0, 2].isneginf().all()
    assert (views.depth[0, 2] == 1).all()


def test_a_mirrored_batch_is_the_batch_of_the_mirrored_object(chair: Shape) -> None:
    mirrored = Solid(chair.vertices, chair.faces).mirrored()
    cast = [
        cast_views(RayCaster(solid.vertices, np.ascontiguousarray(solid.faces)), fixed_cameras(32))
        for solid in (Solid(chair.vertices, chair.faces), mirrored)
    ]
    seen = cast[0].mask_logits > 0
    stored = torch.where(seen, 1 + 65534 * (cast[0].depth - 0.5), 0).round()
    crops = torch.randint(256, (1, 32, 32, 4), dtype=torch.uint8)
    turns = torch.zeros(1, dtype=torch.uint8)
    batch = Batch(crops, stored.to(torch.int32).to(torch.uint16)[None], turns, mirrored=True)
    assert torch.equal(batch.pictures(), crops.flip(2))
    views = batch.views()
    same_mask = views.mask_logits[0] == cast[1].mask_logits
    assert same_mask.float().mean() > 0.999
    assert (views.depth[0] - cast[1].depth)[same_mask].abs().quantile(0.999) < 1e-4


@pytest.mark.parametrize("turn", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
def test_novel_views_are_those_of_the_object_in_the_frame_of_its_picture(
    chair: Shape, turn: int, mirrored: bool
) -> None:
    novel = random_cameras(3, 32, torch.Generator().manual_seed(0))
    stored = _stored(cast_depth(RayCaster(chair.vertices, chair.faces), novel))
    crops = torch.zeros(1, 32, 32, 4, dtype=torch.uint8)
    batch = Batch(
        crops,
        torch.zeros(1, 8, 32, 32, dtype=torch.uint16),
        torch.tensor([turn], dtype=torch.uint8),
        mirrored,
        stored[None],
        novel.camera_from_object[None],
    )
    views, cameras = batch.novel_views()
    here = turned_points(chair.vertices, turn) * ([-1, 1, 1] if mirrored else [1, 1, 1])
    alone = OrthographicCameras(cameras.camera_from_object[0], 32)
    expected = cast_views(RayCaster(here, chair.faces), alone)
    same_mask = (views.mask_logits[0] > 0) == (expected.mask_logits > 0)
    assert same_mask.float().mean() > 0.998
    assert (views.depth[0] - expected.depth)[same_mask].abs().quantile(0.998) < 1e-3


def test_data_without_novel_views_says_what_to_do(shards: Path) -> None:
    batch = ShardedDataset(shards)[[0], False]
    with pytest.raises(BadInputError, match="--novel-views"):
        batch.novel_views()


def test_novel_views_are_kept_in_shards(tmp_path: Path) -> None:
    settings = replace(SHARD_SETTINGS, novel_views=3, novel_size=16)
    list(write_shards(tmp_path, settings, 1, workers=1))
    batch = ShardedDataset(tmp_path)[[0, 1], False]
    rendered = render_object(settings, 0)
    assert batch.novel_depth is not None
    assert batch.novel_depth.shape == (2, 3, 16, 16)
    assert torch.equal(batch.novel_depth[1].int(), rendered.novel_depth.int())
    live = batch_of_objects([rendered])
    for one, other in zip(batch.novel_views()[0], live.novel_views()[0], strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("others", [0, 2])
def test_sets_with_other_novel_views_make_batches_without(
    others: int, shards: Path, tmp_path: Path
) -> None:
    for name, count in (("three", 3), ("others", others)):
        settings = replace(SHARD_SETTINGS, novel_views=count, novel_size=16)
        (tmp_path / name).mkdir()
        dataset._keep_settings(tmp_path / name, settings)
        dataset._write_shard(tmp_path / name, settings, 0, 1)  # in this process
    data = ShardedDataset(tmp_path / "three", tmp_path / "others")
    for items in ([0, 1], [1, 2], [2, 3]):
        assert data[items, False].novel_depth is None


def test_surface_samples_are_uniform_by_area() -> None:
    """Two squares, of area 3 and 1."""
    wide = np.array([[0.0, 0, 0], [3, 0, 0], [3, 1, 0], [0, 1, 0]])
    small = np.array([[10.0, 0, 0], [11, 0, 0], [11, 1, 0], [10, 1, 0]])
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    shape = Shape(
        "squares",
        np.concatenate([wide, small]),
        np.concatenate([faces, faces + 4]),
        np.zeros(4, dtype=np.int64),
        ("paper",),
    )
    points = sample_surface(shape, 4000, np.random.default_rng(0))
    on_wide = points[:, 0] < 5
    assert on_wide.mean() == pytest.approx(0.75, abs=0.03)
    assert points[on_wide].mean(0) == pytest.approx([1.5, 0.5, 0], abs=0.05)
    assert np.abs(points[:, 2]).max() == 0


def test_convention_turned_points_go_from_z_to_x() -> None:
    assert turned_points(np.array([[0.0, 2.0, 1.0]]), 1) == pytest.approx(np.array([[1, 2, 0]]))


# --- Shards ---------------------------------------------------------------------------------------


def test_shards_hold_the_objects_in_order(shards: Path) -> None:
    data = ShardedDataset(shards)
    assert len(data) == 8
    objects = [render_object(SHARD_SETTINGS, index) for index in range(4)]
    assert data.categories == [each.category for each in objects]
    batch, expected = data[list(range(8)), False], batch_of_objects(objects)
    assert torch.equal(batch.crops, expected.crops)
    assert torch.equal(batch.quarter_turns, expected.quarter_turns)
    assert_close(batch.views().coordinates, expected.views().coordinates)
    assert data.category(5) == objects[2].category
    turned = turned_points(objects[2].surface.double().numpy(), int(objects[2].quarter_turns[1]))
    assert data.surface(5) == pytest.approx(turned)


def test_two_folders_follow_each_other(shards: Path) -> None:
    both = ShardedDataset(shards, shards)
    assert len(both) == 16
    assert torch.equal(both[[9], False].crops, both[[1], False].crops)
    assert len(both.hashes) == 2


@pytest.mark.parametrize("left", ["nothing", "half"])
def test_an_interrupted_data_set_goes_on(
    left: str, shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a shard that is missing or damaged."""
    monkeypatch.setattr(dataset, "SHARD_OBJECTS", 2)
    folder = tmp_path / "data"
    shutil.copytree(shards, folder)
    first, second = sorted(folder.glob("objects-*"))
    content, untouched = second.read_bytes(), first.stat().st_mtime_ns
    if left == "nothing":
        second.unlink()
    else:
        second.write_bytes(content[: len(content) // 2])
    assert list(write_shards(folder, SHARD_SETTINGS, 4, workers=1)) == [2, 4]
    assert second.read_bytes() == content
    assert first.stat().st_mtime_ns == untouched
    assert list(write_shards(folder, SHARD_SETTINGS, 4, workers=1)) == [4]
    assert sorted(path.name for path in folder.iterdir()) == [
        "objects-0000000.safetensors",
        "objects-0000002.safetensors",
        "settings.json",
    ]


def test_a_data_set_with_other_settings_is_refused(shards: Path) -> None:
    with pytest.raises(BadInputError, match="other settings"):
        next(write_shards(shards, replace(SHARD_SETTINGS, seed=9), 4, workers=1))


def test_a_data_set_can_be_extended(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last shard, incomplete by now, is made anew."""
    monkeypatch.setattr(dataset, "SHARD_OBJECTS", 2)
    shutil.copytree(shards, tmp_path / "grown")
    last = tmp_path / "grown" / "objects-0000002.safetensors"
    last.unlink()
    assert list(write_shards(tmp_path / "grown", SHARD_SETTINGS, 3, workers=1)) == [2, 3]
    assert len(ShardedDataset(tmp_path / "grown")) == 6
    assert list(write_shards(tmp_path / "grown", SHARD_SETTINGS, 4, workers=1)) == [2, 4]
    assert last.read_bytes() == (shards / last.name).read_bytes()


def test_a_data_set_that_has_grown_is_read_where_it_is_new(shards: Path, tmp_path: Path) -> None:
    """A last shard that was made anew, with more objects, too."""
    first, second = sorted(shards.glob("objects-*"))
    shutil.copy(shards / "settings.json", tmp_path)
    shutil.copy(first, tmp_path)
    data = ShardedDataset(tmp_path)
    assert len(data) == 4
    shard, crops, hashes = data._shards[0], data[[1], False].crops, data.hashes
    shutil.copy(second, tmp_path)
    data.grow()
    assert len(data) == 8
    assert data[[1], False].crops.equal(crops)
    assert data._shards[0] is shard
    assert data.hashes == ShardedDataset(tmp_path).hashes != hashes
    shutil.copy(first, tmp_path / "new")
    (tmp_path / "new").replace(tmp_path / second.name)
    data.grow()
    assert data[[4], False].crops.equal(data[[0], False].crops)


def test_a_folder_without_shards_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="holds no data set"):
        ShardedDataset(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(BadInputError, match="cannot write"):
        next(write_shards(tmp_path / "file" / "data", SHARD_SETTINGS, 1, workers=1))


def test_a_damaged_shard_is_named(shards: Path, tmp_path: Path) -> None:
    shutil.copytree(shards, tmp_path / "data")
    shard = sorted((tmp_path / "data").glob("objects-*"))[1]
    for content in (shard.read_bytes()[:5000], save({"a": torch.zeros(1)})):
        shard.write_bytes(content)
        with pytest.raises(BadInputError, match=f"the shard .*{shard.name} is damaged"):
            ShardedDataset(tmp_path / "data")


def test_a_stop_is_heard_between_shards(tmp_path: Path) -> None:
    stop = Stop()
    with patch.object(dataset, "SHARD_OBJECTS", 2):
        done = []
        for now in write_shards(tmp_path, SHARD_SETTINGS, 20, 1, stop):
            done.append(now)
            stop.asked = now > 0
        assert done == [0, 2]
        left = len(list(tmp_path.glob("objects-*")))
        assert 1 <= left < 10
        assert next(write_shards(tmp_path, SHARD_SETTINGS, 20, 1)) == 2 * left


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_live_objects_do_not_depend_on_the_workers(workers: int) -> None:
    """Lot 3 of two objects, of the second of two ranks, is of the objects 14 and 15."""
    live = LiveDataset(SHARD_SETTINGS, objects=2, first_lot=3, rank=1, ranks=2)
    loader = torch.utils.data.DataLoader(live, batch_size=None, num_workers=workers)
    drawn = [each for lot in islice(loader, 3) for each in lot]
    for index, rendered in zip((14, 15, 18, 19, 22, 23), drawn, strict=True):
        assert torch.equal(rendered.pictures, render_object(SHARD_SETTINGS, index).pictures)


# --- Mesh folders ---------------------------------------------------------------------------------


@pytest.fixture
def meshes(tmp_path: Path) -> Path:
    for name in ("table/b.glb", "table/a.stl", "lamp/c.ply"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        trimesh.creation.box((2.0, 1.0, 1.0)).export(path)
    (tmp_path / "table" / "notes.txt").write_text("not a mesh")
    return tmp_path


def test_meshes_are_stretched_and_what_is_round_mostly_stays_so(tmp_path: Path) -> None:
    upright = trimesh.transformations.rotation_matrix(-np.pi / 2, [1, 0, 0])
    drum = trimesh.creation.cylinder(0.5, 1.0, sections=32).apply_transform(upright)
    drum.export(tmp_path / "drum.stl")
    settings = replace(SHARD_SETTINGS, mesh_folder=str(tmp_path), mesh_split=None, mesh_share=1.0)
    round_ones, kept, materials = [], [], set()
    for seed in range(300):
        shape = dataset._draw_shape(settings, 0, np.random.default_rng(seed))
        x, y, z = shape.vertices[np.abs(shape.vertices[:, ::2]).max(1) > 1e-3].T
        radius = np.hypot(x, z)
        round_ones.append(np.ptp(radius) < 1e-3)
        kept.append(round_ones[-1] and np.ptp(y) == pytest.approx(2 * radius[0], abs=1e-3))
        materials.update(shape.materials)
    assert np.mean(round_ones) == pytest.approx(0.75, abs=0.08)
    assert np.mean(kept) == pytest.approx(0.25, abs=0.08)
    assert materials == set(MATERIALS)


@pytest.mark.parametrize("missing", ["folder", "split"])
def test_meshes_that_are_not_there_are_bad_input(
    missing: str, meshes: Path, tmp_path: Path
) -> None:
    """Not a data set of procedural shapes alone."""
    if missing == "split":
        (meshes / "manifest.csv").write_text("path,category,split\ntable/b.glb,table,train\n")
    settings = replace(
        SHARD_SETTINGS,
        mesh_folder=str(meshes if missing == "split" else tmp_path / "typo"),
        mesh_split="trian",
        mesh_share=0.1,
    )
    complaint = "does not exist" if missing == "folder" else "no split trian; it has train"
    with pytest.raises(BadInputError, match=complaint):
        list(write_shards(tmp_path / "data", settings, 4, workers=1))
    assert not (tmp_path / "data").exists()
    with pytest.raises(BadInputError, match=complaint):
        render_object(settings, 0)


def test_other_meshes_take_the_place_of_those_that_cannot_be_read(
    meshes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never procedural objects; each is told of once."""
    for name in ("table/b.glb", "lamp/c.ply"):
        (meshes / name).write_bytes(b"broken")
    settings = replace(
        SHARD_SETTINGS, mesh_folder=str(meshes), mesh_split=None, mesh_share=1.0, surface_points=64
    )
    told: list[str] = []
    list(write_shards(tmp_path / "data", settings, 12, workers=1, unusable=told.append))
    assert set(ShardedDataset(tmp_path / "data").categories) == {"table"}
    assert len(told) == 2
    assert any("b.glb" in reason for reason in told)
    (meshes / "table" / "a.stl").write_bytes(b"broken")
    monkeypatch.setattr(mesh_folder, "_kept", {})
    with pytest.raises(BadInputError, match=r"the last: .*(b\.glb|c\.ply|a\.stl)"):
        render_object(replace(settings, seed=1), 0)


def test_what_becomes_of_a_data_set_whose_process_was_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*arguments: object) -> list[str]:
        raise BrokenProcessPool

    monkeypatch.setattr(dataset, "_write_shard", killed)
    with pytest.raises(Img2pcError, match=r"was killed.*; the same command goes on"):
        list(write_shards(tmp_path, SHARD_SETTINGS, 1, workers=1))
    # Whoever stops it kills the processes too.
    stop = Stop()
    stop.asked = True
    assert list(write_shards(tmp_path, SHARD_SETTINGS, 1, 1, stop)) == [0]


def write_manifest(folder: Path, *rows: str) -> None:
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")


def test_meshes_without_a_manifest_are_named_after_their_folder(meshes: Path) -> None:
    (meshes / "table" / "._a.stl").touch()  # macOS's
    (meshes / ".Trash-1000").mkdir()
    (meshes / ".Trash-1000" / "a.stl").touch()
    (meshes / "folder.obj").mkdir()
    assert list_meshes(meshes, "test") == [
        MeshFile(meshes / "lamp" / "c.ply", "lamp"),
        MeshFile(meshes / "table" / "a.stl", "table"),
        MeshFile(meshes / "table" / "b.glb", "table"),
    ]


def test_meshes_of_the_folder_at_hand_are_named_after_it(
    meshes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(meshes / "table")
    assert {mesh.category for mesh in list_meshes(Path())} == {"table"}


def test_a_manifest_names_categories_and_splits(meshes: Path) -> None:
    write_manifest(meshes, "path,category,split", "table/b.glb,desk,train", "lamp/c.ply,light,test")
    assert list_meshes(meshes, "train") == [MeshFile(meshes / "table" / "b.glb", "desk")]
    assert [mesh.category for mesh in list_meshes(meshes)] == ["desk", "light"]
    with pytest.raises(BadInputError, match="no split validation; it has test, train"):
        list_meshes(meshes, "validation")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"path,category\ntable/b.glb\n", "row 1 of .*lacks a path or a category"),
        (b"path,category\ntable/b.glb,B\xe4nke\n", "cannot read"),
        (b"path,category\n", "holds no meshes"),
    ],
)
def test_a_damaged_manifest_is_bad_input(content: bytes, complaint: str, meshes: Path) -> None:
    (meshes / "manifest.csv").write_bytes(content)
    with pytest.raises(BadInputError, match=complaint):
        list_meshes(meshes)


def test_a_manifest_may_come_from_a_spreadsheet(meshes: Path) -> None:
    """Which begins it with a byte order mark."""
    (meshes / "manifest.csv").write_text("path,category\ntable/b.glb,desk\n", "utf-8-sig")
    assert list_meshes(meshes) == [MeshFile(meshes / "table" / "b.glb", "desk")]


def test_a_manifest_without_splits_is_of_every_split(meshes: Path) -> None:
    write_manifest(meshes, "path,category", "table/b.glb,desk")
    assert len(list_meshes(meshes, "train")) == 1


def test_a_manifest_without_the_columns_is_bad_input(meshes: Path) -> None:
    write_manifest(meshes, "file,kind", "table/b.glb,desk")
    with pytest.raises(BadInputError, match=r"manifest\.csv"):
        list_meshes(meshes)


def test_as_many_meshes_are_kept_as_there_is_room_for(
    meshes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 12 faces and 8 corners: 12 × 4 + 8 × 3 numbers of 8 bytes each."""
    monkeypatch.setattr(mesh_folder, "_kept", {})
    monkeypatch.setattr(mesh_folder, "_KEPT_BYTES", 2 * 576)
    found = [MeshFile(meshes / name, "thing") for name in ("table/b.glb", "table/a.stl")]
    found.append(MeshFile(meshes / "lamp/c.ply", "thing"))
    first, again = ([load_mesh(mesh) for mesh in found] for _ in range(2))
    kept = [one is other for one, other in zip(first, again, strict=True)]
    assert kept == [True, True, False]


def test_corners_of_no_face_do_not_count(tmp_path: Path) -> None:
    corners = np.array([[9.0, 9, 9], [0, 0, 0], [3, 0, 0], [0, 4, 0]])
    mesh = trimesh.Trimesh(corners, [[1, 2, 3]], process=False)
    mesh.export(tmp_path / "stray.ply")
    shape = load_mesh(MeshFile(tmp_path / "stray.ply", "thing"))
    assert len(shape.vertices) == 3
    assert np.ptp(shape.vertices, axis=0) == pytest.approx([0.6, 0.8, 0], abs=1e-6)


@pytest.mark.parametrize("name", ["table/b.glb", "table/a.stl", "lamp/c.ply"])
def test_meshes_are_brought_into_the_object_frame(name: str, meshes: Path) -> None:
    shape = load_mesh(MeshFile(meshes / name, "thing"))
    expected = np.array([2, 1, 1]) / np.sqrt(6)
    assert np.ptp(shape.vertices, axis=0) == pytest.approx(expected, abs=1e-6)
    assert len(shape.faces) == 12
    assert len(shape.vertices) == 8  # seams are joined


@pytest.mark.parametrize("suffix", ["glb", "stl", "ply"])
def test_a_mesh_without_colours_has_none(suffix: str, tmp_path: Path) -> None:
    """So that its pictures take those of its materials."""
    path = tmp_path / f"box.{suffix}"
    trimesh.creation.box().export(path)
    assert load_mesh(MeshFile(path, "thing")).face_colour is None


def test_colours_of_gltf_are_linear(tmp_path: Path) -> None:
    """Half of the light is sRGB 188; of a texture's, sRGB 128 is 128."""
    box = trimesh.creation.box()
    place = np.zeros((len(box.vertices), 2))
    image = Image.new("RGB", (2, 2), (128, 128, 128))
    for name, material in (
        ("factor", PBRMaterial(baseColorFactor=[0.5, 0.5, 0.5, 1.0])),
        ("texture", PBRMaterial(baseColorTexture=image)),
    ):
        box.visual = TextureVisuals(uv=place, material=material)
        box.export(tmp_path / f"{name}.glb")
        colour = load_mesh(MeshFile(tmp_path / f"{name}.glb", "thing")).face_colour
        assert colour is not None
        expected = 188 if name == "factor" else 128
        assert 255 * colour == pytest.approx(np.full((12, 3), expected), abs=0.6)


def test_colours_of_gltf_are_multiplied(tmp_path: Path) -> None:
    """A factor, or else a texture, by what the vertices say."""
    box = trimesh.creation.box()
    halves = np.tile(np.array([[128, 255, 255, 255]], dtype=np.uint8), (len(box.vertices), 1))
    image = Image.new("RGB", (2, 2), (255, 0, 255))
    for material in (
        PBRMaterial(baseColorFactor=[1.0, 0.0, 1.0, 1.0]),
        PBRMaterial(baseColorTexture=image),
    ):
        visual = TextureVisuals(uv=np.zeros((len(box.vertices), 2)), material=material)
        visual.vertex_attributes["color"] = halves
        box.visual = visual
        box.export(tmp_path / "box.glb")
        colour = _read_mesh(MeshFile(tmp_path / "box.glb", "thing")).face_colour
        assert 255 * colour == pytest.approx(np.tile([188.0, 0, 255], (12, 1)), abs=0.6)


def test_a_material_may_say_little(tmp_path: Path) -> None:
    """A glTF material without a colour is white; of an OBJ's, the diffuse colour counts."""
    box = trimesh.creation.box()
    box.visual = TextureVisuals(material=PBRMaterial(metallicFactor=0.0))
    box.export(tmp_path / "box.glb")
    (tmp_path / "red.mtl").write_text("newmtl red\nKd 1 0 0\n")
    corners = "v 0 0 0\nv 1 0 0\nv 0 1 0\n"
    (tmp_path / "red.obj").write_text(f"mtllib red.mtl\n{corners}usemtl red\nf 1 2 3\n")
    for name, expected in (("box.glb", [1.0, 1, 1]), ("red.obj", [1.0, 0, 0])):
        colour = load_mesh(MeshFile(tmp_path / name, "thing")).face_colour
        assert colour is not None
        assert colour[0] == pytest.approx(expected)


def test_a_face_of_corners_that_are_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "face.ply"
    header = "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\n"
    header += "property float z\nelement face 1\nproperty list uchar int vertex_indices\n"
    path.write_text(header + "end_header\n0 0 0\n1 0 0\n0 1 0\n3 0 1 9\n")
    with pytest.raises(BadInputError, match=r"face\.ply"):
        load_mesh(MeshFile(path, "thing"))


def test_colours_of_a_mesh_are_kept(tmp_path: Path) -> None:
    red = trimesh.creation.box()
    red.visual.face_colors = [255, 0, 0, 255]
    blue = trimesh.creation.box().apply_translation([2, 0, 0])
    blue.visual.face_colors = [0, 0, 255, 255]
    trimesh.Scene([red, blue]).export(tmp_path / "two.glb")
    shape = load_mesh(MeshFile(tmp_path / "two.glb", "thing"))
    assert shape.face_colour is not None
    left = shape.vertices[shape.faces].mean(1)[:, 0] < 0
    assert_close(
        torch.from_numpy(shape.face_colour[left]), torch.tensor([[1.0, 0, 0]] * 12).double()
    )
    assert len(shape.materials) == 2


@pytest.mark.parametrize("content", [b"", b"garbage", b"solid\nendsolid\n"])
@pytest.mark.parametrize("suffix", ["glb", "stl", "ply", "obj"])
def test_unreadable_meshes_are_named(content: bytes, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"broken.{suffix}"
    path.write_bytes(content)
    with pytest.raises(BadInputError, match="broken"):
        load_mesh(MeshFile(path, "thing"))


def test_meshes_in_order_are_taken_once_each(meshes: Path) -> None:
    settings = settings_for(meshes)
    assert [render_object(settings, index).category for index in range(3)] == [
        "lamp",
        "table",
        "table",
    ]
    with pytest.raises(IndexError):
        render_object(settings, 3)


def test_meshes_of_a_split_are_mixed_in(meshes: Path) -> None:
    write_manifest(meshes, "path,category,split", "lamp/c.ply,light,train", "table/b.glb,no,test")
    settings = replace(SHARD_SETTINGS, mesh_folder=str(meshes), mesh_split="train", mesh_share=0.5)
    drawn = {render_object(settings, index).category for index in range(12)}
    assert drawn == {"chair", "mug", "light"}
