"""Contact sheet of renders and real photos: contact_sheet.py RENDERER FOLDER_OF_REAL_PHOTOS OUT.jpg

Real photos have a white frame. The renders are the first of a seed, without selection.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from stream import SIDE, records

CELL, COLUMNS, ROWS = 132, 9, 6
SEED = 4242


def main(renderer, folder, out):
    reals = [Image.open(path).convert("RGB") for path in sorted(Path(folder).glob("*.jpg"))]
    renders = records(renderer, SEED, 0)
    sheet = Image.new("RGB", (COLUMNS * CELL, ROWS * CELL), (20, 20, 20))
    where = np.random.default_rng(3).permutation(COLUMNS * ROWS)[:len(reals)].tolist()
    for slot in range(COLUMNS * ROWS):
        if slot in where:
            photo = ImageOps.pad(reals[where.index(slot)], (SIDE, SIDE), color=(128, 128, 128))
            cell = ImageOps.expand(photo.resize((CELL - 4, CELL - 4), Image.LANCZOS), 2, (255, 255, 255))
        else:
            presence = 0
            while presence != 1:
                presence, _, pixels, _ = next(renders)
            cell = ImageOps.expand(Image.fromarray(pixels).resize((CELL - 4, CELL - 4), Image.LANCZOS), 2, (20, 20, 20))
        sheet.paste(cell, (slot % COLUMNS * CELL, slot // COLUMNS * CELL))
    sheet.save(out, quality=85)


if __name__ == "__main__":
    main(*sys.argv[1:4])
