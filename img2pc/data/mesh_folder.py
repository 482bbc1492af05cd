"""Folders of upright meshes (+Y up), and packs of them, as a source of Shapes."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import trimesh
from jaxtyping import Float
from numpy import ndarray
from trimesh.visual.color import linear_to_srgb, srgb_to_linear, to_float

from img2pc.data.mesh_pack import read_contents, read_packed, write_pack
from img2pc.data.shapes import Material, Shape, normalised
from img2pc.errors import BadInputError
from img2pc.files import by_name, check_is_folder, check_writable, is_file
from img2pc.mesh_files import joined, read_pieces

_READ_SUFFIXES = (".glb", ".gltf", ".obj", ".ply", ".stl", ".off")
# Of the meshes that each worker keeps, the first that it reads; others are read each time.
_KEPT_BYTES = 500_000_000
# Of the pieces of a mesh, whose file does not say.
MATERIALS: tuple[Material, ...] = ("plastic", "wood", "metal", "fabric", "paint", "ceramic")


class MeshFile(NamedTuple):
    """A mesh file, or the mesh of that name in a pack."""

    path: Path
    category: str
    pack: Path | None = None


_kept: dict[MeshFile, Shape] = {}


def list_meshes(folder: Path, split: str | None = None) -> list[MeshFile]:
    """The meshes below a folder, or in a pack of one, in a fixed order.

    A `manifest.csv` (columns path, category and, optionally, split) names categories and splits;
    without one the category is the parent folder's name and all meshes are of every split.

    Raises:
        BadInputError: the folder is missing, no mesh is found, or a manifest or a pack is damaged.
    """
    if is_file(folder):
        return _packed_meshes(folder, split)
    check_is_folder(folder)
    manifest = folder / "manifest.csv"
    if is_file(manifest):
        rows = _manifest_rows(manifest)
        meshes = [
            MeshFile(folder / row["path"], row["category"])
            for row in rows
            if split is None or row.get("split", split) == split
        ]
        if rows and not meshes:
            splits = ", ".join(sorted({row["split"] for row in rows}))
            raise BadInputError(f"{manifest} has no split {split}; it has {splits}")
    else:
        meshes = [
            MeshFile(path, Path(os.path.abspath(path)).parent.name)  # noqa: PTH100 (links keep their name)
            for path in sorted(folder.rglob("*"), key=by_name)
            # What starts with a dot is another program's: .Trash-1000, macOS's ._a.glb.
            if path.suffix.lower() in _READ_SUFFIXES
            and not any(part.startswith(".") for part in path.relative_to(folder).parts)
            and is_file(path)
        ]
    if not meshes:
        raise BadInputError(f"{folder} holds no meshes (GLB, glTF, OBJ, PLY, STL or OFF)")
    return meshes


def has_splits(folder: Path) -> bool:
    """Whether the meshes of a folder, or of a pack, say which split they are of.

    Raises:
        BadInputError: the manifest or the pack is damaged.
    """
    if is_file(folder):
        return read_contents(folder).split is not None
    manifest = folder / "manifest.csv"
    return is_file(manifest) and any("split" in row for row in _manifest_rows(manifest))


def no_splits(folder: Path) -> BadInputError:
    """What is wrong where one of its splits was asked for."""
    return BadInputError(
        f"{folder} has no splits (those are a column of the manifest.csv beside meshes); leave "
        "--split out"
    )


def _manifest_rows(manifest: Path) -> list[dict[str, str]]:
    try:
        # Spreadsheets begin the file with a byte order mark.
        with manifest.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file, restval=""))
    except (OSError, UnicodeError, csv.Error) as error:
        raise BadInputError(f"cannot read {manifest}: {error}") from error
    if rows and not {"path", "category"} <= rows[0].keys():
        raise BadInputError(f"{manifest} lacks the columns path and category")
    for number, row in enumerate(rows, 1):
        if not (row["path"] and row["category"]):
            raise BadInputError(f"row {number} of {manifest} lacks a path or a category")
    return rows


def _packed_meshes(pack: Path, split: str | None) -> list[MeshFile]:
    contents = read_contents(pack)
    if None not in (split, contents.split) and split != contents.split:
        raise BadInputError(f"{pack} has no split {split}; it has {contents.split}")
    return [MeshFile(Path(name), kind, pack) for name, kind in contents.categories.items()]


def pack_meshes(
    folder: Path, pack: Path, split: str | None, skipped: Callable[[BadInputError], None]
) -> int:
    """Pack a folder's meshes into a file that replaces the folder; returns how many.

    Those that cannot be read are left out, as they are when drawing from a folder.

    Raises:
        BadInputError: `folder` is no folder, none is left, the pack cannot be written, or would
            replace what is no pack.
    """
    check_is_folder(folder)
    check_writable(pack)  # before all the work
    if is_file(pack):
        read_contents(pack)  # what is no pack is not replaced
    meshes = list_meshes(folder, split)

    def readable() -> Iterator[tuple[str, Shape]]:
        for mesh in meshes:
            try:
                yield mesh_name(folder, mesh), _read_mesh(mesh)
            except BadInputError as error:
                skipped(error)

    return write_pack(pack, split if has_splits(folder) else None, readable())


def mesh_name(folder: Path, mesh: MeshFile) -> str:
    """Where the mesh is in its folder or pack: the same on every machine."""
    if mesh.pack is not None:
        return mesh.path.as_posix()
    try:
        return Path(os.path.relpath(mesh.path, folder)).as_posix()
    except ValueError:  # it is on another drive
        return mesh.path.as_posix()


def load_mesh(mesh: MeshFile) -> Shape:
    """A mesh as a Shape: one material slot per geometry, the file's own colours kept.

    Raises:
        BadInputError: the file cannot be read or has no surface.
    """
    if mesh in _kept:
        return _kept[mesh]
    shape = _read_mesh(mesh)
    if _bytes(shape) + sum(map(_bytes, _kept.values())) <= _KEPT_BYTES:
        _kept[mesh] = shape
    return shape


def _bytes(shape: Shape) -> int:
    arrays = (shape.vertices, shape.faces, shape.face_slot, shape.face_colour)
    return sum(array.nbytes for array in arrays if array is not None)


def _read_mesh(mesh: MeshFile) -> Shape:
    if mesh.pack is not None:
        return read_packed(mesh.pack, mesh.path.as_posix(), mesh.category)
    scene, pieces = read_pieces(mesh.path)
    if not pieces:
        raise BadInputError(f"{mesh.path} has no surface")
    vertices, faces = joined(pieces)
    # Vertices of no face would count for the bounding box; `joined` has none.
    if not np.isfinite(vertices).all() or np.ptp(vertices, axis=0).max() <= 0:
        raise BadInputError(f"{mesh.path} has no finite extent")
    # Files split vertices at seams; joined again, curved surfaces can be shaded smoothly.
    vertices, index = np.unique(normalised(vertices).round(7), axis=0, return_inverse=True)
    slots = [np.full(len(piece.faces), i) for i, piece in enumerate(pieces)]
    materials = tuple(MATERIALS[i % len(MATERIALS)] for i in range(len(slots)))
    return Shape(
        mesh.category,
        normalised(vertices),
        index.reshape(-1)[faces],
        np.concatenate(slots),
        materials,
        _colours(mesh.path, scene, pieces),
    )


def _colours(path: Path, scene: Any, pieces: list[Any]) -> Float[ndarray, "face 3"] | None:
    """None if no piece has colours; one that has none among others that have is grey."""
    is_gltf = path.suffix.lower() in (".glb", ".gltf")
    # Of the originals: copies forget colours of vertices beside a material.
    originals = [scene.geometry[piece.metadata["name"]] for piece in pieces]
    try:
        colours = [_face_colours(original, is_gltf) for original in originals]
    except Exception as error:  # trimesh raises whatever it likes
        raise BadInputError(f"cannot read the colours of {path}: {error}") from error
    if all(each is None for each in colours):
        return None
    return np.concatenate(
        [
            np.full((len(piece.faces), 3), 0.4) if each is None else each
            for piece, each in zip(pieces, colours, strict=True)
        ]
    )


def _face_colours(piece: trimesh.Trimesh, is_gltf: bool) -> Float[ndarray, "face 3"] | None:
    """sRGB, in [0, 1]; None where the file says nothing.

    In glTF, textures are sRGB and all else is linear; what there is of a texture, a factor and
    colours of vertices is multiplied (glTF 2.0, sec. 3.7.2.1 and 3.9.2).
    """
    visual: Any = piece.visual
    if visual.kind is None:
        return None
    if visual.kind != "texture":
        colours = to_float(visual.face_colors)[:, :3]
        return linear_to_srgb(colours) if is_gltf else colours
    material = visual.material
    factor = material.baseColorFactor if is_gltf else material.diffuse
    image = material.baseColorTexture if is_gltf else material.image
    base = np.ones((1, 3)) if factor is None else to_float(np.atleast_2d(factor))[:, :3]
    if image is not None and visual.uv is not None:
        texture = to_float(material.to_color(visual.uv))[:, :3]
        base = base * srgb_to_linear(texture) if is_gltf else texture
    if "color" in visual.vertex_attributes:
        # Floats may be beyond, and are taken for the nearest colour (glTF 2.0, sec. 3.7.2.1).
        base = base * to_float(visual.vertex_attributes["color"])[:, :3].clip(0, 1)
    at_vertices = np.broadcast_to(base, (len(piece.vertices), 3))
    mean: ndarray = at_vertices[piece.faces].mean(1)
    return linear_to_srgb(mean) if is_gltf else mean
