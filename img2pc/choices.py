"""What the command line offers and the library understands; light, so that --help is quick."""

from __future__ import annotations

from typing import Literal

Device = Literal["auto", "cpu", "cuda"]
Background = Literal["auto", "alpha", "border", "rembg", "grabcut", "none"]
Renderer = Literal["faithful", "soft"]
Stage = Literal["views", "joint", "chamfer"]
Size = Literal["tiny", "small", "base"]
Precision = Literal["auto", "32-true", "bf16-mixed"]

CLOUD_SUFFIXES = (".ply", ".obj", ".xyz", ".pcd", ".pts")
MESH_SUFFIXES = (".stl", ".obj", ".ply", ".glb", ".3mf")
PREVIEW_SUFFIXES = (".png", ".gif", ".html")
