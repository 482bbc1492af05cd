"""Triangle meshes and their files: STL, OBJ and 3MF in millimetres, +Z up; PLY and GLB in metres,
+Y up."""

from __future__ import annotations

import io
import logging
import re
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
from jaxtyping import Float, Int, UInt8
from numpy import ndarray

from img2pc.choices import MESH_SUFFIXES
from img2pc.errors import BadInputError
from img2pc.files import check_is_file
from img2pc.folders import MESH_MARK

COLOUR_SUFFIXES = (".obj", ".ply", ".glb")
Y_UP_FROM_Z_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])  # p_y_up = M @ p_z_up

_METRE_SUFFIXES = (".ply", ".glb")
_MM_PER_METRE = 1000.0


def _sign(gltf: dict[str, Any]) -> None:
    gltf["asset"]["generator"] = MESH_MARK.decode()


# A GLB without normals is drawn faceted (glTF 2.0, sec. 3.7.2.1).
_EXPORT_OPTIONS: dict[str, dict[str, Any]] = {
    ".obj": {"digits": 9, "header": MESH_MARK.decode()},
    ".glb": {"include_normals": True, "tree_postprocessor": _sign},
}


@dataclass(frozen=True)
class TriangleMesh:
    """Triangles in millimetres, +Z up; counter-clockwise seen from outside.

    Attributes:
        colours: RGB of each vertex.
    """

    vertices: Float[ndarray, "vertex 3"]
    faces: Int[ndarray, "face 3"]
    colours: UInt8[ndarray, "vertex 3"] | None = None


def encode_mesh(mesh: TriangleMesh, suffix: str, name: str = "mesh") -> bytes:
    """The bytes of a mesh file, the same for the same mesh; GLB and 3MF say its name. STL and 3MF
    drop the colours."""
    import trimesh

    vertices = mesh.vertices
    if suffix in _METRE_SUFFIXES:
        vertices = vertices @ Y_UP_FROM_Z_UP.T / _MM_PER_METRE
    colours = mesh.colours if suffix in COLOUR_SUFFIXES else None
    look = {"visual": _gltf_visual(colours)} if suffix == ".glb" else {"vertex_colors": colours}
    mesh_of_trimesh = trimesh.Trimesh(vertices, mesh.faces, process=False, **look)
    named: Any = mesh_of_trimesh
    if suffix in (".glb", ".3mf"):
        # XML takes no control characters; trimesh leaves nodes called camera out of a 3MF.
        printed = "".join(filter(str.isprintable, name)) or "mesh"
        node = printed if suffix == ".glb" else "mesh"
        named = trimesh.Scene()
        named.add_geometry(mesh_of_trimesh, node_name=node, geom_name=printed)
    exported: Any = named.export(file_type=suffix[1:], **_EXPORT_OPTIONS.get(suffix, {}))
    encoded: bytes = exported.encode() if isinstance(exported, str) else exported
    if suffix == ".stl":
        return MESH_MARK.ljust(80, b"\0") + encoded[80:]
    if suffix == ".ply":
        return re.sub(rb"(?m)^comment .*$", b"comment " + MESH_MARK, encoded, count=1)
    return _same_every_time(encoded) if suffix == ".3mf" else encoded


def _gltf_visual(colours: UInt8[ndarray, "vertex 3"] | None) -> Any:
    """Dull, in colours that are linear there; without a material it would be polished metal (glTF
    2.0, sec. 3.9.2 and 5.22)."""
    import trimesh

    looks: Any = trimesh.visual  # untyped
    material = looks.material.PBRMaterial(
        baseColorFactor=[1.0] * 4, metallicFactor=0.0, roughnessFactor=0.9
    )
    visual = looks.TextureVisuals(material=material)
    if colours is not None:
        linear = (255 * looks.color.srgb_to_linear(colours)).round()
        opaque = np.full((len(linear), 1), 255.0)
        visual.vertex_attributes["color"] = np.concatenate([linear, opaque], -1).astype(np.uint8)
    return visual


def mesh_suffix(path: Path) -> str:
    """Which kind of mesh file it is, by its name.

    Raises:
        BadInputError: it is no kind that is known.
    """
    suffix = path.suffix.lower()
    if suffix not in MESH_SUFFIXES:
        raise BadInputError(f"{path} does not end in {', '.join(MESH_SUFFIXES)}")
    return suffix


def read_mesh(path: Path) -> TriangleMesh:
    """A mesh file, vertices at equal places (in single precision) made one, as STL needs it.

    Raises:
        BadInputError: the file is missing, unreadable, of another kind or holds no triangles.
    """
    import trimesh

    suffix = mesh_suffix(path)
    check_is_file(path)
    scene, pieces = read_pieces(path)
    if not pieces:
        raise BadInputError(
            f"{path} holds no triangles; if it is a point cloud, `img2pc mesh` makes a solid of it"
        )
    vertices, faces = joined(pieces)
    with np.errstate(over="ignore", invalid="ignore"):
        if suffix == ".3mf":
            try:
                vertices = vertices * trimesh.units.unit_conversion(scene.units, "mm")
            except (KeyError, ValueError) as error:
                raise BadInputError(f"{path} has an unknown unit: {scene.units}") from error
        if suffix in _METRE_SUFFIXES:
            vertices = vertices @ Y_UP_FROM_Z_UP * _MM_PER_METRE
        finite = np.isfinite(vertices.astype(np.float32)).all()
    if not finite:
        raise BadInputError(f"{path} holds coordinates that are not finite")
    _, first, index = np.unique(
        vertices.astype(np.float32), axis=0, return_index=True, return_inverse=True
    )
    return TriangleMesh(vertices[first], index.reshape(-1)[faces])


def read_pieces(path: Path) -> tuple[Any, list[Any]]:
    """The trimesh.Scene of a mesh file, and copies of its meshes of triangles moved into place.

    Raises:
        BadInputError: the file is unreadable.
    """
    import trimesh

    logging.getLogger("trimesh").setLevel(logging.CRITICAL)  # it logs what it then raises
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scene: Any = trimesh.load_scene(*_source(path), process=False)
            pieces = [piece for piece in scene.dump() if isinstance(piece, trimesh.Trimesh)]
            pieces = [piece for piece in pieces if len(piece.faces)]
            for piece in pieces:
                if piece.faces.min() < 0 or piece.faces.max() >= len(piece.vertices):
                    raise ValueError("faces have corners that are not there")
            if pieces and not any(np.ptp(piece.vertices, axis=0).any() for piece in pieces):
                # What trimesh puts for what it cannot read.
                raise ValueError("all corners are in one place; if it is compressed, undo that")
            return scene, pieces
    except Exception as error:  # trimesh raises whatever its parsers raise
        hint = ""
        if "unexpected length" in str(error):
            hint = " (are some of its faces triangles and some not? Triangulate it, or save an OBJ)"
        raise BadInputError(f"cannot read a mesh from {path}: {error}{hint}") from error


def _source(path: Path) -> tuple[Path] | tuple[io.BytesIO, str]:
    """What trimesh reads: of a binary STL the triangles, with as many in its header.

    Slicers too do without the right number, or with more bytes after them.
    """
    if path.suffix.lower() != ".stl":
        return (path,)
    content = path.read_bytes()
    said, there = int.from_bytes(content[80:84], "little"), (len(content) - 84) // 50
    if len(content) < 84 or b"\0" not in content[:1000]:
        return io.BytesIO(content), "stl"  # of text
    if said > there:
        raise ValueError(f"it is cut off: of {said} triangles it has {there}")
    count = said or there
    header = content[:80] + count.to_bytes(4, "little")
    return io.BytesIO(header + content[84 : 84 + 50 * count]), "stl"


def joined(pieces: list[Any]) -> tuple[Float[ndarray, "vertex 3"], Int[ndarray, "face 3"]]:
    """Vertices and faces of several trimesh.Trimesh as of one, face after face; vertices of no face
    are left out."""
    import trimesh

    vertices, faces = trimesh.util.append_faces(
        [piece.vertices for piece in pieces], [piece.faces for piece in pieces]
    )
    used, index = np.unique(faces, return_inverse=True)
    return np.asarray(vertices, dtype=np.float64)[used], index.reshape(-1, 3)


def _same_every_time(archive: bytes) -> bytes:
    """A 3MF archive with its random UUIDs replaced by numbers and no dates in it."""
    result = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(archive)) as source,
        zipfile.ZipFile(result, "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for name in source.namelist():
            parts = re.split(rb'UUID="[0-9a-f-]{36}"', source.read(name))
            numbers = [f'UUID="{UUID(int=index)}"'.encode() for index in range(1, len(parts))]
            content = b"".join(
                piece for pair in zip(parts, [*numbers, b""], strict=True) for piece in pair
            )
            target.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
        target.comment = MESH_MARK
    return result.getvalue()
