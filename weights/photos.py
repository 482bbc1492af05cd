"""Draws what the weights make of each picture of a folder, from two sides, on one sheet.

The card's `photos.png` is of photographs that are not part of this project: only clouds are drawn.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from img2pc.errors import Img2pcError
from img2pc.folders import PICTURE_FORMATS
from img2pc.preview import SIDES, draw_cloud
from img2pc.reconstruction import Reconstructor

SIZE, COLUMNS = 160, 3


def main(pictures: Path, sheet: Path, weights: Path | None = None) -> None:
    reconstructor = Reconstructor.load(weights)
    tiles = []
    for path in sorted(pictures.iterdir()):
        if path.suffix[1:].lower() not in PICTURE_FORMATS:
            continue
        try:
            cloud = reconstructor(path).cloud.arrays()
        except Img2pcError as error:
            print(error, file=sys.stderr)
            continue
        sides = [
            draw_cloud(cloud.points, cloud.normals, SIZE, *side, cloud.colours)
            for side in (SIDES[0], SIDES[-1])
        ]
        tile = Image.fromarray(np.concatenate(sides, axis=1))
        ImageDraw.Draw(tile).text((4, 2), path.stem, fill="black")
        tiles.append(np.asarray(tile))
    blank = np.full((SIZE, 2 * SIZE, 3), 255, dtype=np.uint8)
    tiles += [blank] * (-len(tiles) % COLUMNS)
    rows = [
        np.concatenate(tiles[start : start + COLUMNS], axis=1)
        for start in range(0, len(tiles), COLUMNS)
    ]
    Image.fromarray(np.concatenate(rows)).quantize(128).save(sheet, optimize=True)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
