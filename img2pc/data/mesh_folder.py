"""Folders of upright meshes (+Y up), and packs of them, as a source of Shapes."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import trimesh
from jaxtyping import Float
from numpy import ndarray

from img2pc.data.mesh_pack import read_contents, read_packed, write_pack
from img2pc.data.shapes import Material, Shape, normalised
from img2pc.errors import BadInputError
from img2pc.files import is_file, is_folder

MESH_SUFFIXES = (".glb", ".gltf", ".obj", ".ply", ".stl", ".off")
_MATERIALS: tuple[Material, ...] = ("plastic", "wood", "metal", "fabric", "paint", "ceramic")


class MeshFile(NamedTuple):
    """A mesh file, or the mesh of that name in a pack."""

    path: Path
    category: str
    pack: Path | None = None


def list_meshes(folder: Path, split: str | None = None) -> list[MeshFile]:
    """The meshes below a folder, or in a pack of one, in a fixed order.

    A `manifest.csv` (columns path, category and, optionally, split) names categories and splits;
    without one the category is the parent folder's name and all meshes are of every split.

    Raises:
        BadInputError: no mesh is found, or a pack is damaged.
    """
    if is_file(folder):
        return _packed_meshes(folder, split)
    manifest = folder / "manifest.csv"
    if is_file(manifest):
        with manifest.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        if rows and not {"path", "category"} <= rows[0].keys():
            raise BadInputError(f"{manifest} lacks the columns path and category")
        meshes = [
            MeshFile(folder / row["path"], row["category"])
            for row in rows
            if split is None or row.get("split", split) == split
        ]
    else:
        meshes = [
            MeshFile(path, path.parent.name)
            for path in sorted(folder.rglob("*"))
            if path.suffix.lower() in MESH_SUFFIXES
        ]
    if not meshes:
        raise BadInputError(f"no meshes found in {folder}")
    return meshes


def _packed_meshes(pack: Path, split: str | None) -> list[MeshFile]:
    contents = read_contents(pack)
    if None not in (split, contents.split) and split != contents.split:
        raise BadInputError(f"no meshes found in {pack}: it holds those of {contents.split}")
    return [MeshFile(Path(name), kind, pack) for name, kind in contents.categories.items()]


def pack_meshes(
    folder: Path, pack: Path, split: str | None, skipped: Callable[[BadInputError], None]
) -> int:
    """Pack a folder's meshes into a file that does for the folder; returns how many.

    Those that cannot be read are left out, as they are when drawing from a folder.

    Raises:
        BadInputError: `folder` is no folder, none is left, or the pack cannot be written.
    """
    if not is_folder(folder):
        raise BadInputError(f"{folder} is not a folder")
    meshes = list_meshes(folder, split)

    def readable() -> Iterator[tuple[str, Shape]]:
        for mesh in meshes:
            try:
                yield mesh.path.relative_to(folder).as_posix(), _read_mesh(mesh)
            except BadInputError as error:
                skipped(error)

    return write_pack(pack, split, readable())


@lru_cache(maxsize=4096)
def load_mesh(mesh: MeshFile) -> Shape:
    """A mesh as a Shape: one material slot per geometry, the file's own colours kept.

    Raises:
        BadInputError: the file cannot be read or has no surface.
    """
    return _read_mesh(mesh)


def _read_mesh(mesh: MeshFile) -> Shape:
    if mesh.pack is not None:
        return read_packed(mesh.pack, mesh.path.as_posix(), mesh.category)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loaded = trimesh.load_scene(mesh.path, process=False)
            pieces = [piece for piece in loaded.dump() if isinstance(piece, trimesh.Trimesh)]
            colours = [_face_colours(piece) for piece in pieces]
    except Exception as error:  # trimesh raises whatever its parsers raise
        raise BadInputError(f"cannot read mesh {mesh.path}: {error}") from error
    pieces_and_colours = [
        (piece, colour) for piece, colour in zip(pieces, colours, strict=True) if len(piece.faces)
    ]
    if not pieces_and_colours:
        raise BadInputError(f"{mesh.path} has no surface")
    offsets = np.cumsum([0, *(len(piece.vertices) for piece, _ in pieces_and_colours)])
    vertices = np.concatenate([np.asarray(piece.vertices) for piece, _ in pieces_and_colours])
    faces = np.concatenate(
        [
            np.asarray(piece.faces) + offset
            for (piece, _), offset in zip(pieces_and_colours, offsets, strict=False)
        ]
    )
    # Corners of no face would count for the bounding box.
    used, index = np.unique(faces, return_inverse=True)
    vertices, faces = vertices[used], index.reshape(-1, 3)
    if not np.isfinite(vertices).all() or np.ptp(vertices, axis=0).max() <= 0:
        raise BadInputError(f"{mesh.path} has no finite extent")
    # Files split vertices at seams; joined again, curved surfaces can be shaded smoothly.
    vertices, index = np.unique(normalised(vertices).round(7), axis=0, return_inverse=True)
    slots = [np.full(len(piece.faces), i) for i, (piece, _) in enumerate(pieces_and_colours)]
    materials = tuple(_MATERIALS[i % len(_MATERIALS)] for i in range(len(slots)))
    return Shape(
        mesh.category,
        normalised(vertices),
        index.reshape(-1)[faces],
        np.concatenate(slots),
        materials,
        np.concatenate([colour for _, colour in pieces_and_colours]),
    )


def _face_colours(piece: trimesh.Trimesh) -> Float[ndarray, "face 3"]:
    visual: Any = piece.visual
    if visual.kind != "texture":
        return np.asarray(visual.face_colors)[:, :3] / 255
    # One colour for all, where the material has no texture coordinates.
    colours = np.atleast_2d(visual.to_color().vertex_colors)[:, :3] / 255
    at_vertices = np.broadcast_to(colours, (len(piece.vertices), 3))
    mean: ndarray = at_vertices[piece.faces].mean(1)
    return mean
