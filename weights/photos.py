"""Draws what the weights make of each picture of a folder.

    python weights/photos.py sheet PICTURES sheet.png
    python weights/photos.py turntables PICTURES FOLDER

A sheet shows each from two sides: the card's `photos.png` is of photographs that are not part of
this project, so only clouds are drawn. Turntables show each from eight sides, shuffled and without
names, to be named by someone who has not seen the pictures; `key.csv` has the names.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy import ndarray
from PIL import Image, ImageDraw

from img2pc.cloud_files import PointArrays
from img2pc.errors import Img2pcError
from img2pc.folders import PICTURE_FORMATS
from img2pc.preview import SIDES, draw_cloud
from img2pc.reconstruction import Reconstructor

SHEET_SIZE, SHEET_COLUMNS = 160, 3
TURNTABLE_SIZE, TURNTABLE_ELEVATION = 280, 15.0


def clouds(pictures: Path, weights: Path | None) -> Iterator[tuple[str, PointArrays]]:
    reconstructor = Reconstructor.load(weights)
    for path in sorted(pictures.iterdir()):
        if path.suffix[1:].lower() in PICTURE_FORMATS:
            try:
                yield path.stem, reconstructor(path).cloud.arrays()
            except Img2pcError as error:
                print(error, file=sys.stderr)


def sides(cloud: PointArrays, size: int, places: list[tuple[float, float]]) -> list[ndarray]:
    assert cloud.normals is not None
    return [draw_cloud(cloud.points, cloud.normals, size, *at, cloud.colours) for at in places]


def draw_sheet(pictures: Path, sheet: Path, weights: Path | None) -> None:
    tiles = []
    for name, cloud in clouds(pictures, weights):
        both = np.concatenate(sides(cloud, SHEET_SIZE, [SIDES[0], SIDES[-1]]), axis=1)
        tile = Image.fromarray(both)
        ImageDraw.Draw(tile).text((4, 2), name, fill="black")
        tiles.append(np.asarray(tile))
    if not tiles:
        raise SystemExit(f"no picture of {pictures} could be used")
    blank = np.full((SHEET_SIZE, 2 * SHEET_SIZE, 3), 255, dtype=np.uint8)
    tiles += [blank] * (-len(tiles) % SHEET_COLUMNS)
    rows = [
        np.concatenate(tiles[start : start + SHEET_COLUMNS], axis=1)
        for start in range(0, len(tiles), SHEET_COLUMNS)
    ]
    Image.fromarray(np.concatenate(rows)).quantize(128).save(sheet, optimize=True)


def draw_turntables(pictures: Path, folder: Path, weights: Path | None, seed: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    found = list(clouds(pictures, weights))
    if not found:
        raise SystemExit(f"nothing in {pictures} can be drawn")
    order = np.random.default_rng(seed).permutation(len(found))
    with (folder / "key.csv").open("w", newline="") as file:
        for number, index in enumerate(order, 1):
            name, cloud = found[index]
            csv.writer(file).writerow([f"{number:02}", name])
            around = [(45.0 * turn, TURNTABLE_ELEVATION) for turn in range(8)]
            tiles = sides(cloud, TURNTABLE_SIZE, around)
            rows = [np.concatenate(tiles[start : start + 4], axis=1) for start in (0, 4)]
            Image.fromarray(np.concatenate(rows)).save(folder / f"{number:02}.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("sheet", "turntables"))
    parser.add_argument("pictures", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--seed", type=int, default=0, help="of the shuffle")
    arguments = parser.parse_args()
    if arguments.what == "sheet":
        draw_sheet(arguments.pictures, arguments.target, arguments.weights)
    else:
        draw_turntables(arguments.pictures, arguments.target, arguments.weights, arguments.seed)


if __name__ == "__main__":
    main()
