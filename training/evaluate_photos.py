"""Evaluates a network on real photos: both passes, as the product runs them, then overlaps."""

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from network import OUT, SIDE

LETTERBOX = 128
CROP_RADII = 4.0


def letterboxed(photo, box):
    """The box (x0, y0, side; in photo pixels) resampled to SIDE x SIDE, padded with the letterbox colour."""
    x0, y0, side = box
    canvas = np.full((SIDE, SIDE, 3), LETTERBOX, np.uint8)
    left, top = max(x0, 0.0), max(y0, 0.0)
    right, bottom = min(x0 + side, photo.width), min(y0 + side, photo.height)
    scale = SIDE / side
    a, b = round((left - x0) * scale), round((top - y0) * scale)
    c, d = max(round((right - x0) * scale), a + 1), max(round((bottom - y0) * scale), b + 1)
    piece = photo.resize((c - a, d - b), Image.BILINEAR, box=(left, top, right, bottom), reducing_gap=3.0)
    canvas[b:d, a:c] = np.asarray(piece)
    return canvas


def run(network, image):
    """Probabilities of the four maps, and of the presence of an eye."""
    x = torch.from_numpy(image.astype(np.float32) / 127.5 - 1).permute(2, 0, 1)[None]
    with torch.no_grad():
        maps, presence = network(x.contiguous(memory_format=torch.channels_last))
    return torch.sigmoid(maps)[0].numpy(), float(torch.sigmoid(presence)[0])


def blobs(mask):
    """Connected regions (4 neighbours) of a small boolean map, as lists of flat indices."""
    left = mask.copy()
    found = []
    for start in np.flatnonzero(mask):
        if not left.flat[start]:
            continue
        left.flat[start] = False
        stack, region = [start], []
        while stack:
            at = stack.pop()
            region.append(at)
            y, x = divmod(at, mask.shape[1])
            for ny, nx in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                if 0 <= ny < mask.shape[0] and 0 <= nx < mask.shape[1] and left[ny, nx]:
                    left[ny, nx] = False
                    stack.append(ny * mask.shape[1] + nx)
        found.append(region)
    return found


def best_blob(iris):
    """Centre and radius (cells) of the strongest region of the iris map, its peak; or None.

    An unsure first pass still knows the place: the threshold follows the peak, and the second pass decides.
    """
    best = None
    for region in blobs(iris > np.clip(0.5 * iris.max(), 0.15, 0.5)):
        weight = float(iris.flat[region].sum())
        if len(region) >= 6 and (best is None or weight > best[0]):
            ys, xs = np.divmod(np.array(region), iris.shape[1])
            radius = max(np.sqrt(len(region) / np.pi), 0.5 * (np.ptp(xs) + 1), 0.5 * (np.ptp(ys) + 1))
            best = (weight, xs.mean() + 0.5, ys.mean() + 0.5, radius, float(iris.flat[region].max()))
    return best and best[1:]


def two_passes(network, photo):
    side = max(photo.size)
    box = ((photo.width - side) / 2, (photo.height - side) / 2, side)
    first, presence_first = run(network, letterboxed(photo, box))
    report = {"presence_first": presence_first, "first_peak": float(first[1].max()), "first": first, "first_box": box}
    blob = best_blob(first[1])
    if blob is None:
        return report
    cx, cy, radius, _ = blob
    scale = side / OUT
    cx, cy, radius = box[0] + cx * scale, box[1] + cy * scale, radius * scale
    half = CROP_RADII / 2 * radius
    box = (cx - half, cy - half, 2 * half)
    second, presence_second = run(network, letterboxed(photo, box))
    report.update(presence_second=presence_second, second=second, second_box=box)
    return report


def to_photo(values, box, photo):
    """A map of a box, resampled to the whole photo."""
    x0, y0, side = box
    out = np.zeros((photo.height, photo.width), np.float32)
    left, top = int(max(x0, 0)), int(max(y0, 0))
    right, bottom = int(min(x0 + side, photo.width)), int(min(y0 + side, photo.height))
    scale = OUT / side
    part = Image.fromarray(values).resize(
        (right - left, bottom - top), Image.BILINEAR,
        box=tuple(np.clip([(left - x0) * scale, (top - y0) * scale, (right - x0) * scale, (bottom - y0) * scale], 0, OUT)))
    out[top:bottom, left:right] = np.asarray(part)
    return out


def overlap(a, b):
    union = (a | b).sum()
    return float((a & b).sum() / union) if union else 0.0


def judge_eyes(network, folder):
    """Per annotated photo: overlap of the disc and of the visible iris, and presence in both passes."""
    notes = json.loads((Path(folder) / "annotations.json").read_text())["files"]
    rows = []
    for name, note in notes.items():
        path = Path(folder) / name
        photo = Image.open(path).convert("RGB")
        report = two_passes(network, photo)
        row = {"name": name, "p1": report["presence_first"], "p2": report.get("presence_second", 0.0), "disc": 0.0,
               "visible": 0.0, "disc1": 0.0, "opening": None, "report": report, "photo": photo}
        e = note["iris"]
        ys, xs = np.mgrid[0:photo.height, 0:photo.width] + 0.5
        disc = ((xs - e["cx"]) / e["rx"]) ** 2 + ((ys - e["cy"]) / e["ry"]) ** 2 <= 1
        marks = np.asarray(Image.open(path.with_suffix("").as_posix() + ".mask.png"))
        seen = (marks == 1) | (marks == 2)
        row["disc1"] = overlap(to_photo(report["first"][1], report["first_box"], photo) > 0.5, disc)
        if "second" in report:
            iris = to_photo(report["second"][1], report["second_box"], photo) > 0.5
            opening = to_photo(report["second"][0], report["second_box"], photo) > 0.5
            row["disc"], row["visible"] = overlap(iris, disc), overlap(iris & opening, seen)
            if note.get("pupil"):
                q = note["pupil"]
                hole = ((xs - q["cx"]) / q["rx"]) ** 2 + ((ys - q["cy"]) / q["ry"]) ** 2 <= 1
                row["pupil"] = overlap(to_photo(report["second"][2], report["second_box"], photo) > 0.5, hole)
        rows.append(row)
    return rows


def judge_negatives(network, folder):
    """Per photo without a usable eye: presence in both passes (the second only if a first region was found)."""
    rows = []
    for name in sorted(json.loads((Path(folder) / "labels.json").read_text())):
        photo = Image.open(Path(folder) / name).convert("RGB")
        report = two_passes(network, photo)
        rows.append({"name": name, "p1": report["presence_first"], "p2": report.get("presence_second", 0.0),
                     "peak": float(report["second"][1].max()) if "second" in report else 0.0})
    return rows


def summary(network, eyes, negatives):
    rows = judge_eyes(network, eyes)
    lines = []
    for r in rows:
        lines.append(f"  {r['name'][:26]:26} disc {r['disc']:.3f} (pass 1 {r['disc1']:.3f}) visible {r['visible']:.3f} "
                     f"pupil {r.get('pupil', 0):.2f} presence {r['p1']:.2f} {r['p2']:.2f}")
    discs = sorted(r["disc"] for r in rows)
    lines.append(f"  median disc {discs[len(discs) // 2]:.3f} visible {sorted(r['visible'] for r in rows)[len(rows) // 2]:.3f}")
    bad = judge_negatives(network, negatives)
    # A photo is accepted when the presence exceeds 0.5 in both passes.
    joint = [(min(r["p1"], r["p2"]), r["name"]) for r in bad]
    lines.append(f"  negatives of {len(bad)}: first pass > 0.5 {sum(r['p1'] > 0.5 for r in bad)}, "
                 f"second > 0.5 {sum(r['p2'] > 0.5 for r in bad)}, > 0.9 {sum(r['p2'] > 0.9 for r in bad)}, both > 0.5 {sum(j > 0.5 for j, _ in joint)}, "
                 f"both > 0.9 {sum(j > 0.9 for j, _ in joint)}: "
                 + ", ".join(f"{n[:18]} {j:.2f}" for j, n in sorted(joint, reverse=True)[:5]))
    return "\n".join(lines), {"discs": discs, "visible": [r["visible"] for r in rows],
                               "false_50": sum(j > 0.5 for j, _ in joint)}
