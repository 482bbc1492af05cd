from __future__ import annotations

import json
import struct
import zipfile
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh

from img2pc.choices import MESH_SUFFIXES
from img2pc.data.mesh_folder import MeshFile, load_mesh
from img2pc.errors import BadInputError
from img2pc.folders import is_our_cloud, is_our_mesh
from img2pc.mesh_files import Y_UP_FROM_Z_UP, TriangleMesh, encode_mesh, read_mesh

METRE_SUFFIXES = (".ply", ".glb")


@pytest.fixture(scope="module")
def wedge() -> TriangleMesh:
    """A tetrahedron of 10 x 20 x 30 mm with a corner at (1, 2, 3), each vertex in a colour."""
    return TriangleMesh(
        np.array([[1.0, 2, 3], [11, 2, 3], [1, 22, 3], [1, 2, 33]]),
        np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]),
        np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [10, 20, 30]], dtype=np.uint8),
    )


def written(mesh: TriangleMesh, suffix: str, folder: Path) -> Path:
    path = folder / f"mesh{suffix}"
    path.write_bytes(encode_mesh(mesh, suffix))
    return path


def loaded(path: Path) -> Any:
    """What trimesh reads, as it stands in the file."""
    return trimesh.load_mesh(path, process=False)


def corners(mesh: TriangleMesh) -> list[list[float]]:
    """The triangles, independent of how vertices are numbered and which comes first."""
    rows = [mesh.vertices[np.roll(face, -face.argmin())].ravel() for face in mesh.faces]
    return sorted(np.round(rows, 4).tolist())


@pytest.mark.parametrize("suffix", MESH_SUFFIXES)
def test_round_trip(suffix: str, wedge: TriangleMesh, tmp_path: Path) -> None:
    again = read_mesh(written(wedge, suffix, tmp_path))
    assert again.vertices.shape == (4, 3)
    # The vertices come back in lexicographic order.
    order = np.lexsort(wedge.vertices.T[::-1])
    np.testing.assert_allclose(again.vertices, wedge.vertices[order], rtol=1e-6)
    renumbered = TriangleMesh(wedge.vertices[order], np.argsort(order)[wedge.faces])
    assert corners(again) == corners(renumbered)


@pytest.mark.parametrize("suffix", MESH_SUFFIXES)
def test_ours_are_known_until_another_program_writes_them(
    suffix: str, wedge: TriangleMesh, tmp_path: Path
) -> None:
    path = written(wedge, suffix, tmp_path)
    assert is_our_mesh(path)
    assert not is_our_cloud(path)
    loaded(path).export(path)
    assert not is_our_mesh(path)
    path.write_bytes(b"")
    assert not is_our_mesh(path)
    assert not is_our_mesh(tmp_path / f"missing{suffix}")


@pytest.mark.parametrize("suffix", [".3mf", ".glb"])
@pytest.mark.parametrize("name", ["camera_01", "Stühle <1>", "bell\x07", "odd\udcff", "\n"])
def test_any_name_is_written_as_far_as_it_is_text(
    suffix: str, name: str, wedge: TriangleMesh, tmp_path: Path
) -> None:
    path = tmp_path / f"mesh{suffix}"
    path.write_bytes(encode_mesh(wedge, suffix, name))
    assert len(read_mesh(path).faces) == 4
    (called,) = trimesh.load_scene(path).geometry
    assert called == ("".join(filter(str.isprintable, name)) or "mesh")


def in_another_unit(path: Path, unit: str) -> Path:
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content.replace(b'unit="millimeter"', f'unit="{unit}"'.encode()))
    return path


@pytest.mark.parametrize(("unit", "factor"), [("inch", 25.4), ("meter", 1000), ("micron", 1e-3)])
def test_a_3mf_says_its_unit(unit: str, factor: float, wedge: TriangleMesh, tmp_path: Path) -> None:
    path = in_another_unit(written(wedge, ".3mf", tmp_path), unit)
    size = np.ptp(read_mesh(path).vertices, axis=0)
    np.testing.assert_allclose(size, factor * np.array([10, 20, 30]), rtol=1e-5)


@pytest.mark.parametrize("unit", ["furlong", "", "nan * mm"])
def test_a_3mf_of_an_unknown_unit_is_bad_input(
    unit: str, wedge: TriangleMesh, tmp_path: Path
) -> None:
    path = in_another_unit(written(wedge, ".3mf", tmp_path), unit)
    with pytest.raises(BadInputError, match=r"mesh\.3mf"):
        read_mesh(path)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("far", ["1e39", "1e306", "inf"])
@pytest.mark.parametrize("suffix", ["obj", "ply"])
def test_coordinates_beyond_single_precision_are_bad_input(
    suffix: str, far: str, tmp_path: Path
) -> None:
    text = f"v 0 0 0\nv {far} 0 0\nv 0 1 0\nf 1 2 3\n"
    if suffix == "ply":
        properties = "".join(f"property double {axis}\n" for axis in "xyz")
        text = (
            f"ply\nformat ascii 1.0\nelement vertex 3\n{properties}element face 1\n"
            "property list uchar int vertex_indices\nend_header\n"
            f"0 0 0\n{far} 0 0\n0 1 0\n3 0 1 2\n"
        )
    (tmp_path / f"far.{suffix}").write_text(text)
    with pytest.raises(BadInputError, match="not finite"):
        read_mesh(tmp_path / f"far.{suffix}")


@pytest.mark.parametrize("suffix", [".ply", ".glb"])
def test_vertices_of_no_face_do_not_count(suffix: str, wedge: TriangleMesh, tmp_path: Path) -> None:
    loose = TriangleMesh(
        np.concatenate([[[500.0, 0, 0]], wedge.vertices, [[0, 0, -70]]]), wedge.faces + 1
    )
    again = read_mesh(written(loose, suffix, tmp_path))
    np.testing.assert_allclose(np.ptp(again.vertices, axis=0), (10, 20, 30), rtol=1e-6)
    assert len(again.vertices) == 4


@pytest.mark.parametrize("suffix", MESH_SUFFIXES)
def test_convention_units_and_axes(suffix: str, wedge: TriangleMesh, tmp_path: Path) -> None:
    """PLY and GLB: x right, z up becomes y up, y to the back becomes -z; metres."""
    bounds = loaded(written(wedge, suffix, tmp_path)).bounds
    expected = [[1, 2, 3], [11, 22, 33]]
    if suffix in METRE_SUFFIXES:
        expected = [[0.001, 0.003, -0.022], [0.011, 0.033, -0.002]]
    np.testing.assert_allclose(bounds, expected, rtol=1e-6)


@pytest.mark.parametrize("suffix", MESH_SUFFIXES)
def test_faces_keep_their_outside(suffix: str, wedge: TriangleMesh, tmp_path: Path) -> None:
    path = written(wedge, suffix, tmp_path)
    volume = 1e-6 if suffix in METRE_SUFFIXES else 1000
    assert loaded(path).volume == pytest.approx(volume, rel=1e-5)


def test_convention_3mf_unit(wedge: TriangleMesh) -> None:
    with zipfile.ZipFile(BytesIO(encode_mesh(wedge, ".3mf"))) as archive:
        assert b'unit="millimeter"' in archive.read("3D/3dmodel.model")


def test_convention_colours_of_glb_are_linear_and_no_metal(
    wedge: TriangleMesh, tmp_path: Path
) -> None:
    colours = np.array([[0, 188, 255]] * 4, dtype=np.uint8)
    path = written(replace(wedge, colours=colours), ".glb", tmp_path)
    (piece,) = trimesh.load_scene(path, process=False).geometry.values()
    visual: Any = piece.visual
    assert visual.vertex_attributes["color"].tolist() == [[0, 128, 255, 255]] * 4
    assert visual.material.metallicFactor == 0
    shape = load_mesh(MeshFile(path, "thing"))
    assert shape.face_colour is not None
    assert 255 * shape.face_colour[0] == pytest.approx([0, 188, 255], abs=0.5)


def test_convention_normals_of_glb_point_outwards(wedge: TriangleMesh) -> None:
    """Without any, viewers draw it faceted."""
    content = encode_mesh(wedge, ".glb")
    length = int.from_bytes(content[12:16], "little")
    header = json.loads(content[20 : 20 + length])
    (primitive,) = header["meshes"][0]["primitives"]
    accessor = header["accessors"][primitive["attributes"]["NORMAL"]]
    begin = 28 + length + header["bufferViews"][accessor["bufferView"]].get("byteOffset", 0)
    normals = np.frombuffer(content, np.float32, 12, begin).reshape(4, 3)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=-1), 1, rtol=1e-5)
    outwards = (wedge.vertices - wedge.vertices.mean(0)) @ Y_UP_FROM_Z_UP.T
    assert ((normals * outwards).sum(-1) > 0).all()


@pytest.mark.parametrize("suffix", [".obj", ".ply"])
def test_colours_survive(suffix: str, wedge: TriangleMesh, tmp_path: Path) -> None:
    assert wedge.colours is not None
    mesh = loaded(written(wedge, suffix, tmp_path))
    assert mesh.visual.vertex_colors[:, :3].tolist() == wedge.colours.tolist()


@pytest.mark.parametrize("suffix", MESH_SUFFIXES)
@pytest.mark.parametrize("coloured", [False, True])
def test_the_same_mesh_gives_the_same_bytes(
    suffix: str, coloured: bool, wedge: TriangleMesh
) -> None:
    mesh = wedge if coloured else TriangleMesh(wedge.vertices, wedge.faces)
    assert encode_mesh(mesh, suffix) == encode_mesh(mesh, suffix)


def test_a_3mf_says_nothing_of_when_it_was_made(wedge: TriangleMesh) -> None:
    with zipfile.ZipFile(BytesIO(encode_mesh(wedge, ".3mf"))) as archive:
        assert {each.date_time for each in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_vertices_of_an_stl_file_are_welded(tmp_path: Path) -> None:
    box = trimesh.creation.box((0.1, 0.2, 0.3))
    mesh = TriangleMesh(np.array(box.vertices) + 100, np.array(box.faces, dtype=np.int64))
    path = written(mesh, ".stl", tmp_path)
    assert len(loaded(path).vertices) == 36
    again = read_mesh(path)
    assert again.vertices.shape == (8, 3)
    assert trimesh.Trimesh(again.vertices, again.faces, process=False).is_watertight


def test_pieces_of_a_file_become_one_mesh(tmp_path: Path) -> None:
    boxes = [trimesh.creation.box().apply_translation((shift, 0, 0)) for shift in (0.0, 5.0)]
    for suffix in (".glb", ".3mf"):
        trimesh.Scene(boxes).export(tmp_path / f"two{suffix}")
        mesh = read_mesh(tmp_path / f"two{suffix}")
        assert (mesh.vertices.shape, mesh.faces.shape) == ((16, 3), (24, 3))
    assert np.ptp(mesh.vertices, axis=0) == pytest.approx([6, 1, 1])


def test_the_suffix_may_be_in_capitals(wedge: TriangleMesh, tmp_path: Path) -> None:
    path = written(wedge, ".stl", tmp_path).rename(tmp_path / "MESH.STL")
    assert len(read_mesh(path).faces) == 4


@pytest.mark.parametrize("suffix", MESH_SUFFIXES)
def test_a_missing_file_is_named(suffix: str, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=rf"missing\{suffix} does not exist"):
        read_mesh(tmp_path / f"missing{suffix}")


def test_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "folder.stl").mkdir()
    with pytest.raises(BadInputError, match=r"folder\.stl is not a file"):
        read_mesh(tmp_path / "folder.stl")


def test_another_suffix_is_named(tmp_path: Path) -> None:
    (tmp_path / "mesh.step").write_text("ISO-10303-21;")
    with pytest.raises(BadInputError, match=r"mesh\.step does not end in \.stl, \.obj, \.ply"):
        read_mesh(tmp_path / "mesh.step")


@pytest.mark.parametrize("suffix", MESH_SUFFIXES)
@pytest.mark.parametrize("content", [b"", b"garbage\x00\xff", b"garbage\x00\xff" * 50])
def test_garbage_is_named(content: bytes, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"broken{suffix}"
    path.write_bytes(content)
    with pytest.raises(BadInputError, match=rf"broken\{suffix}"):
        read_mesh(path)


@pytest.mark.parametrize("suffix", [".stl", ".ply", ".glb", ".3mf"])
def test_a_truncated_file_is_named(suffix: str, wedge: TriangleMesh, tmp_path: Path) -> None:
    path = tmp_path / f"half{suffix}"
    encoded = encode_mesh(wedge, suffix)
    path.write_bytes(encoded[: len(encoded) - 30])
    with pytest.raises(BadInputError, match=rf"half\{suffix}"):
        read_mesh(path)


def test_a_mesh_without_triangles_is_named(wedge: TriangleMesh, tmp_path: Path) -> None:
    (tmp_path / "points.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\n")
    trimesh.PointCloud(wedge.vertices).export(tmp_path / "points.ply")
    (tmp_path / "points.stl").write_bytes(bytes(84))
    for suffix in (".obj", ".ply", ".stl"):
        with pytest.raises(BadInputError, match=rf"points\{suffix} holds no triangles"):
            read_mesh(tmp_path / f"points{suffix}")


@pytest.mark.parametrize("kind", ["as it is", "more bytes", "no number", "text"])
def test_an_stl_is_read_as_slicers_do(kind: str, wedge: TriangleMesh, tmp_path: Path) -> None:
    path = written(wedge, ".stl", tmp_path)
    content = path.read_bytes()
    contents = {
        "as it is": b"solid" + content[5:],
        "more bytes": content + b"of another program",
        "no number": content[:80] + bytes(4) + content[84:],
        "text": trimesh.load(path).export(file_type="stl_ascii").encode(),
    }
    path.write_bytes(contents[kind])
    assert len(read_mesh(path).faces) == len(wedge.faces)


def test_an_stl_that_is_cut_off_is_said(wedge: TriangleMesh, tmp_path: Path) -> None:
    path = written(wedge, ".stl", tmp_path)
    path.write_bytes(path.read_bytes()[:-51])
    count = len(wedge.faces)
    with pytest.raises(BadInputError, match=f"cut off: of {count} triangles it has {count - 2}"):
        read_mesh(path)


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_coordinates_that_are_not_finite_are_named(number: float, tmp_path: Path) -> None:
    triangle = struct.pack("<12fH", 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, number, 0, 0)
    (tmp_path / "nan.stl").write_bytes(bytes(80) + struct.pack("<I", 1) + triangle)
    (tmp_path / "nan.obj").write_text(f"v 0 0 0\nv 1 0 0\nv 0 {number} 0\nf 1 2 3\n")
    for suffix in (".stl", ".obj"):
        with pytest.raises(BadInputError, match=rf"nan\{suffix} holds coordinates that are not"):
            read_mesh(tmp_path / f"nan{suffix}")


def test_a_ply_of_triangles_and_quads_says_what_helps(tmp_path: Path) -> None:
    """A binary one; trimesh cannot read it."""
    header = (
        "ply\nformat binary_little_endian 1.0\nelement vertex 5\nproperty float x\n"
        "property float y\nproperty float z\nelement face 5\n"
        "property list uchar int vertex_indices\nend_header\n"
    )
    corners = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0.5, 0.5, 1]], "<f4")
    faces = [[3, 2, 1, 0], [0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4]]
    body = b"".join(bytes([len(face)]) + np.array(face, "<i4").tobytes() for face in faces)
    (tmp_path / "pyramid.ply").write_bytes(header.encode() + corners.tobytes() + body)
    with pytest.raises(BadInputError, match="Triangulate it"):
        read_mesh(tmp_path / "pyramid.ply")


def test_corners_that_are_all_in_one_place_are_no_mesh(tmp_path: Path) -> None:
    """As trimesh reads what Draco compressed."""
    path = tmp_path / "model.glb"
    trimesh.Trimesh(np.ones((4, 3)), [[0, 1, 2], [0, 2, 3]], process=False).export(path)
    with pytest.raises(BadInputError, match="all corners are in one place; if it is compressed"):
        read_mesh(path)
