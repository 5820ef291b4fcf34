"""Plots the training curve of a checkpoint: plot.py CHECKPOINT OUT.png"""

import sys

import torch
from PIL import Image, ImageDraw

WIDE, HIGH, EDGE = 900, 420, 50
COLOURS = {"dice": (200, 60, 40), "presence": (60, 90, 200), "median disc": (20, 140, 60), "median visible": (150, 110, 0)}


def main(checkpoint, out):
    curve = torch.load(checkpoint, map_location="cpu")["curve"]
    last = max(entry["seen"] for entry in curve)
    picture = Image.new("RGB", (WIDE, HIGH), "white")
    draw = ImageDraw.Draw(picture)

    def place(seen, value):
        return EDGE + (WIDE - 2 * EDGE) * seen / last, HIGH - EDGE - (HIGH - 2 * EDGE) * value

    for tenth in range(0, 11, 2):
        draw.line([place(0, tenth / 10), place(last, tenth / 10)], fill=(225, 225, 225))
        draw.text((EDGE - 26, place(0, tenth / 10)[1] - 5), f"{tenth / 10:.1f}", fill="black")
    for part in range(0, 5):
        seen = last * part / 4
        draw.text((place(seen, 0)[0] - 14, HIGH - EDGE + 6), f"{seen / 1000:.0f}k", fill="black")

    def median(values):
        return sorted(values)[len(values) // 2]

    lines = {
        "dice": [(e["seen"], min(e["dice"], 1)) for e in curve],
        "presence": [(e["seen"], min(e["presence"], 1)) for e in curve],
        "median disc": [(e["seen"], median(e["discs"])) for e in curve if "discs" in e],
        "median visible": [(e["seen"], median(e["visible"])) for e in curve if "visible" in e],
    }
    for number, (name, points) in enumerate(lines.items()):
        if len(points) > 1:
            draw.line([place(*point) for point in points], fill=COLOURS[name], width=2)
        draw.text((EDGE + 170 * number, 14), name + (" (loss)" if number < 2 else " (real photos)"), fill=COLOURS[name])
    draw.text((WIDE // 2 - 30, HIGH - 20), "samples seen", fill="black")
    picture.save(out, optimize=True)


if __name__ == "__main__":
    main(*sys.argv[1:3])
