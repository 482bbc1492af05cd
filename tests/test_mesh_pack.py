from __future__ import annotations

import lzma
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh
from safetensors.numpy import save

from img2pc.data.dataset import DataSettings, render_object
from img2pc.data.mesh_folder import has_splits, list_meshes, load_mesh, pack_meshes
from img2pc.data.mesh_pack import FORMAT, read_contents, read_packed, write_pack
from img2pc.data.shapes import Shape, corner_normals
from img2pc.errors import BadInputError


def read_all(pack: Path) -> None:
    for name, category in read_contents(pack).categories.items():
        read_packed(pack, name, category)


def not_expected(error: BadInputError) -> None:
    raise error


@pytest.fixture(scope="module")
def meshes(chair: Shape, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The asymmetric chair in two colours, a ball, and a flat square of the test split."""
    folder = tmp_path_factory.mktemp("meshes")
    seat = trimesh.Trimesh(chair.vertices, chair.faces[:48], process=False)
    rest = trimesh.Trimesh(chair.vertices, chair.faces[48:], process=False)
    seat.visual.face_colors = [200, 30, 40, 255]
    rest.visual.face_colors = [20, 130, 240, 255]
    (folder / "seats").mkdir()
    trimesh.Scene([seat, rest]).export(folder / "seats" / "chair.glb")
    trimesh.creation.icosphere(4).export(folder / "ball.ply")
    square = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    trimesh.Trimesh(square, [[0, 1, 2], [0, 2, 3]]).export(folder / "square.stl")
    rows = ("seats/chair.glb,chair,train", "ball.ply,toy,train", "square.stl,other,test")
    (folder / "manifest.csv").write_text("\n".join(("path,category,split", *rows)))
    return folder


@pytest.fixture(scope="module")
def pack(meshes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("packs") / "train.safetensors"
    assert pack_meshes(meshes, path, "train", not_expected) == 2
    return path


def test_a_packed_mesh_is_the_mesh(meshes: Path, pack: Path) -> None:
    """Corner by corner to half a step of the box, in the same order; the rest to the letter."""
    for file, packed in zip(list_meshes(meshes, "train"), list_meshes(pack, "train"), strict=True):
        shape, again = load_mesh(file), load_mesh(packed)
        assert (again.category, again.materials) == (shape.category, shape.materials)
        assert np.array_equal(again.face_slot, shape.face_slot)
        step = np.ptp(shape.vertices, axis=0) / 65535
        error = np.abs(again.vertices[again.faces] - shape.vertices[shape.faces])
        assert (error <= 0.5001 * step).all()
        assert len(again.vertices) == len(shape.vertices)
        if shape.face_colour is None:
            assert again.face_colour is None
        else:
            assert again.face_colour == pytest.approx(shape.face_colour, abs=0.5 / 255)


def test_a_flat_mesh_without_colours_can_be_packed(tmp_path: Path) -> None:
    """And corners that no face uses are left out, without moving the others."""
    corners = np.array([[0.5, 0, 0.3], [-0.5, 0, 0.3], [0, 0, 0], [0, 0, -0.4]])
    shape = Shape("kite", corners, np.array([[0, 3, 1]]), np.array([0]), ("paper",))
    assert write_pack(tmp_path / "one.safetensors", None, [("kite", shape)]) == 1
    again = read_packed(tmp_path / "one.safetensors", "kite", "kite")
    assert again.vertices == pytest.approx(corners[[0, 3, 1]], abs=1e-5)
    assert again.faces.tolist() == [[0, 1, 2]]
    assert again.face_colour is None


def test_a_packed_mesh_looks_like_the_mesh(meshes: Path, pack: Path) -> None:
    """Its views and normals, that is. A ray more that hits changes a picture's every random draw,
    so pictures themselves cannot be compared."""
    settings = DataSettings(picture_size=64, view_size=64, mesh_share=1.0)
    for index in range(2):
        one, other = (
            render_object(replace(settings, mesh_folder=str(source)), index)
            for source in (meshes, pack)
        )
        assert one.category == other.category
        assert one.quarter_turns.tolist() == other.quarter_turns.tolist()
        ours, theirs = one.depth.int(), other.depth.int()
        assert ((ours > 0) == (theirs > 0)).float().mean() > 0.999
        seen = (ours > 0) & (theirs > 0)
        assert ((ours - theirs)[seen].abs() / 65534).quantile(0.99) < 1e-3
    for file, packed in zip(list_meshes(meshes, "train"), list_meshes(pack, "train"), strict=True):
        ours, theirs = (
            corner_normals(shape.vertices, shape.faces)
            for shape in (load_mesh(file), load_mesh(packed))
        )
        turned = ours * theirs
        assert turned.sum(-1).min() > np.cos(np.radians(1))


def test_what_is_no_pack_is_not_replaced(meshes: Path, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear")
    with pytest.raises(BadInputError, match="is not a pack of meshes"):
        pack_meshes(meshes, tmp_path / "letter.txt", "train", lambda error: None)
    assert (tmp_path / "letter.txt").read_text() == "Dear"


def test_a_pack_is_of_the_split_that_it_was_made_from(
    meshes: Path, pack: Path, tmp_path: Path
) -> None:
    assert [mesh.path.as_posix() for mesh in list_meshes(pack)] == ["seats/chair.glb", "ball.ply"]
    with pytest.raises(BadInputError, match="no split test; it has train"):
        list_meshes(pack, "test")
    every = tmp_path / "every.safetensors"
    assert pack_meshes(meshes, every, None, not_expected) == 3
    assert len(list_meshes(every, "test")) == 3


def test_a_pack_that_cannot_be_written_is_said_before_the_work(
    meshes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("img2pc.data.mesh_folder._read_mesh", lambda mesh: pytest.fail("too late"))
    for target in (tmp_path / "missing" / "pack", tmp_path):
        with pytest.raises(BadInputError, match="cannot write"):
            pack_meshes(meshes, target, None, lambda error: None)


def test_what_cannot_be_read_is_left_out_and_said(tmp_path: Path) -> None:
    (tmp_path / "broken.glb").write_bytes(b"broken")
    with pytest.raises(BadInputError, match="no meshes to pack"):
        pack_meshes(tmp_path, tmp_path / "pack", "train", lambda error: None)
    assert not (tmp_path / "pack").exists()
    trimesh.creation.box().export(tmp_path / "whole.ply")
    said: list[BadInputError] = []
    assert pack_meshes(tmp_path, tmp_path / "pack", "train", said.append) == 1
    assert "broken.glb" in str(said[0])
    # Without a manifest meshes are of every split, packed or not.
    assert len(list_meshes(tmp_path / "pack", "test")) == 1
    assert not has_splits(tmp_path / "pack")
    with pytest.raises(BadInputError, match="is not a folder"):
        pack_meshes(tmp_path / "pack", tmp_path / "again", None, not_expected)


def test_damaged_packs_are_bad_input(pack: Path, tmp_path: Path) -> None:
    content = pack.read_bytes()
    for name, damaged in (
        ("empty", b""),
        ("garbage", b"garbage" * 100),
        ("cut", content[: len(content) // 2]),
    ):
        (tmp_path / name).write_bytes(damaged)
        with pytest.raises(BadInputError, match="not a pack of meshes"):
            list_meshes(tmp_path / name)
    path = tmp_path / "altered"
    for place in (-3000, -400, -20):
        altered = bytearray(content)
        altered[place] ^= 0xFF
        path.write_bytes(altered)
        with pytest.raises(BadInputError, match="damaged"):
            read_all(path)


def test_packs_that_say_something_else_are_bad_input(tmp_path: Path) -> None:
    """A list for a table, and a mesh with a header of nothing."""
    empty = np.frombuffer(lzma.compress(b""), dtype=np.uint8)
    for number, said in enumerate(("[]", '{"split": null, "categories": {"a": "b"}}')):
        path = tmp_path / str(number)
        path.write_bytes(save({"a": empty}, {FORMAT: said}))
        with pytest.raises(BadInputError, match=r"is not a pack|is damaged"):
            read_all(path)


def test_weights_are_not_a_pack(tiny_weights: Path) -> None:
    with pytest.raises(BadInputError, match="not a pack of meshes"):
        list_meshes(tiny_weights)
