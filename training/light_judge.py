"""How well the light comes off: on held-out renders, and on real photos with known light added.

Renders: seed 4242, never trained on. Real photos: the annotated ones of a folder, rectified by their
annotation; the light of other held-out renders is added in linear space and clipped to eight bits, where the
photo itself shows no reflection. Figures are PSNR in sRGB within the light, soft (not clipped) and clipped
apart, as the mean over irises with at least 150 such pixels. Fill is given the true outline of the light.
"""

import argparse
import json
import math
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image

from light_network import IRIS_RADIUS, SIDE, LightNetwork, network_input
from light_pairs import CLIPPED, IRIS, NOTICEABLE, PUPIL, has, luminance, read_pairs, to_linear, to_srgb

SEED = 4242
ENOUGH = 150
RADIUS = 4


def quantised(srgb):
    return (srgb * 255).round() / 255


def bytes_of(srgb):
    """One picture, 3 x 256 x 256 in 0 to 1, as OpenCV takes it."""
    return np.ascontiguousarray((srgb.permute(1, 2, 0).numpy() * 255 + 0.5).astype(np.uint8))


def inpainted(srgb, mask, method):
    mask = np.ascontiguousarray(mask.numpy().astype(np.uint8))
    filled = cv2.inpaint(bytes_of(srgb), mask, RADIUS, method)
    return torch.from_numpy(filled.astype(np.float32) / 255).permute(2, 0, 1)


def grown(mask, by):
    return torch.nn.functional.max_pool2d(mask[None].float(), 2 * by + 1, 1, by)[0] > 0


@torch.no_grad()
def separated(network, photo):
    """The iris without the light, and the probability that a pixel is clipped."""
    roots, logits = network(network_input(photo[None]))
    return to_srgb(to_linear(photo[None]) - roots * roots)[0], torch.sigmoid(logits)[0, 0], (roots * roots)[0]


def psnr(error):
    return -10 * math.log10(max(float(error), 1e-8))


class Table:
    """Mean PSNR of each method within each part."""

    def __init__(self):
        self.figures = {}

    def add(self, part, mask, truth, methods):
        if int(mask.sum()) < ENOUGH:
            return
        for name, picture in methods.items():
            error = ((picture - truth) ** 2)[:, mask].mean()
            self.figures.setdefault(part, {}).setdefault(name, []).append(psnr(error))

    def print(self):
        for part, methods in self.figures.items():
            count = len(next(iter(methods.values())))
            row = ", ".join(f"{name} {np.mean(figures):.2f}" for name, figures in methods.items())
            print(f"{part} ({count}): {row}", flush=True)


def methods_of(network, photo, light_mask, clipped):
    """Every way to take the light off a photo."""
    left, doubt, added = separated(network, photo)
    taken = {"left in": photo, "separated": left}
    outline = grown(light_mask[None], 2)[0]
    taken["Telea"] = inpainted(photo, outline, cv2.INPAINT_TELEA)
    taken["Navier-Stokes"] = inpainted(photo, outline, cv2.INPAINT_NS)
    # What a product can do: take the light off, then fill what the network calls clipped.
    burnt = grown((doubt > 0.4)[None], 1)[0]
    taken["separated, clipped filled"] = inpainted(left, burnt, cv2.INPAINT_TELEA)
    return taken, doubt, added


def judge_renders(network, renderer, count):
    table, changes, hits = Table(), [], np.zeros(3)
    photos, cleans, bits = read_pairs(renderer, SEED, count)
    for photo, clean, bits in zip(quantised(to_srgb(photos)), cleans, bits):
        on_iris, clipped = has(bits, IRIS | PUPIL), has(bits, CLIPPED)
        added = luminance((to_linear(photo) - clean)[None])[0]
        truth = to_srgb(clean)
        light_mask = (added > 0.006) & on_iris
        if light_mask.sum() < 20:
            left, _, _ = separated(network, photo)
            changes.append(float((255 * (left - photo).abs())[:, on_iris].mean()))
            continue
        taken, doubt, _ = methods_of(network, photo, light_mask, clipped)
        soft = on_iris & (added > NOTICEABLE) & ~grown(clipped[None], 1)[0]
        table.add("soft light", soft, truth, taken)
        table.add("soft light, faint (under 0.1)", soft & (added < 0.1), truth, taken)
        table.add("within 3 pixels of clipped light", on_iris & grown(clipped[None], 3)[0] & ~clipped, truth, taken)
        table.add("clipped light", on_iris & clipped, truth, taken)
        table.add("soft light on the iris ring", soft & has(bits, IRIS), truth, taken)
        table.add("outside the light", on_iris & ~grown(light_mask[None], 3)[0], truth, taken)
        found = (doubt > 0.5) & on_iris
        hits += [int((found & clipped & on_iris).sum()), int(found.sum()), int((clipped & on_iris).sum())]
    table.print()
    print(f"irises without light ({len(changes)}): change {np.mean(changes):.3f} levels, worst {np.max(changes):.2f}")
    print(f"clipped: precision {hits[0] / hits[1]:.3f}, recall {hits[0] / hits[2]:.3f}")


def rectified(folder, name, notes):
    """The photo's iris as the product rectifies it, and where it is seen."""
    image = np.asarray(Image.open(folder / name).convert("RGB")).astype(np.float32)
    mask = np.asarray(Image.open(folder / name.replace(".jpg", ".mask.png")).convert("L"))
    iris = notes["iris"]
    scale_x, scale_y = iris["rx"] / IRIS_RADIUS, iris["ry"] / IRIS_RADIUS
    shrink = max(scale_x, scale_y)
    if shrink > 1.2:
        image = cv2.GaussianBlur(image, (0, 0), 0.4 * shrink)
    axis = np.arange(SIDE, dtype=np.float32) + 0.5 - SIDE / 2
    x, y = np.meshgrid(iris["cx"] + scale_x * axis - 0.5, iris["cy"] + scale_y * axis - 0.5)
    x, y = x.astype(np.float32), y.astype(np.float32)
    photo = cv2.remap(image, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_CONSTANT)
    seen = cv2.remap(mask, x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT)
    photo = torch.from_numpy(np.clip(photo, 0, 255).round() / 255).permute(2, 0, 1).float()
    return photo, torch.from_numpy((seen == 1) | (seen == 2))


# Where the photos themselves show reflections, looked up by eye: left, top, right, bottom in rectified pixels.
OWN_LIGHT = {
    "unsplash_UbJMy92p8wk_640.jpg": [(46, 50, 164, 122), (46, 50, 98, 172)],
    "unsplash_UbJMy92p8wk_banner.jpg": [(46, 50, 164, 122), (46, 50, 98, 172)],
    "pixabay_eye_2154384.jpg": [(0, 66, 96, 230)],
    "pixabay_freckles_863663.jpg": [(28, 62, 256, 128)],
    "pixabay_eye_3221498_gray.jpg": [(12, 106, 64, 168), (185, 105, 215, 135)],
}


def shines_itself(name):
    mask = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    for left, top, right, bottom in OWN_LIGHT.get(name, []):
        mask[top:bottom, left:right] = True
    return mask


def judge_photos(network, renderer, folder, count, pictures):
    notes = json.loads((folder / "annotations.json").read_text())["files"]
    photos, cleans, all_bits = read_pairs(renderer, SEED + 1, count)
    total = Table()
    for name in notes:
        clean, seen = rectified(folder, name, notes[name])
        usable = seen & ~shines_itself(name)
        # What is taken off the photo as it is, where nothing shines, is a false alarm.
        left, _, _ = separated(network, clean)
        changed = float((255 * (left - clean).abs())[:, usable].mean())
        table, strips = Table(), [clean, left]
        for photo, pair_clean, bits in zip(photos, cleans, all_bits):
            added = (photo - pair_clean).clamp(min=0) * has(bits, IRIS | PUPIL)
            if not (luminance(added[None]) > NOTICEABLE).sum() > ENOUGH:
                continue
            lit = to_linear(clean) + added
            lit = torch.where(has(bits, CLIPPED) & has(bits, IRIS | PUPIL), torch.maximum(lit, photo), lit)
            lit = quantised(to_srgb(lit))
            amount = luminance((to_linear(lit) - to_linear(clean))[None])[0]
            clipped = (lit.amax(0) >= 248 / 255) & (amount > 0.04) | (amount > 0.5)
            taken, _, _ = methods_of(network, lit, (amount > 0.006) & seen, clipped)
            soft = usable & (amount > NOTICEABLE) & ~grown(clipped[None], 1)[0]
            for to in (table, total):
                to.add("soft light", soft, clean, taken)
                to.add("clipped light", usable & clipped, clean, taken)
            if len(strips) < 2 + 4 * 6 and int(soft.sum()) > 600:
                strips += [lit, taken["separated"], taken["separated, clipped filled"], taken["Telea"]]
        print(f"{name}: changes {changed:.2f} levels where nothing shines", flush=True)
        table.print()
        if pictures:
            rows = [strips[:2] + [torch.zeros_like(clean)] * 2] + [strips[at:at + 4] for at in range(2, len(strips), 4)]
            sheet = np.concatenate([np.concatenate([bytes_of(p) for p in row], 1) for row in rows])
            Image.fromarray(sheet).save(pictures / f"photo-{name}.png")
    print("all photos")
    total.print()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("--renderer", default="../target/release/irisflow-synth")
    parser.add_argument("--renders", type=int, default=300)
    parser.add_argument("--photos", type=Path, help="folder of annotated photos")
    parser.add_argument("--lights", type=int, default=60, help="renders whose light is added to each photo")
    parser.add_argument("--pictures", type=Path, help="folder for pictures to look at")
    options = parser.parse_args()
    network = LightNetwork().eval()
    network.load_state_dict(torch.load(options.checkpoint, map_location="cpu")["average"])
    judge_renders(network, options.renderer, options.renders)
    if options.photos:
        judge_photos(network, options.renderer, options.photos, options.lights, options.pictures)


if __name__ == "__main__":
    main()
