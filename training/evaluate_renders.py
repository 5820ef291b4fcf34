"""Overlaps by framing on renders that were not trained on: evaluate_renders.py CHECKPOINT RENDERER [COUNT] [SEED]

One pass per picture. The visible iris is the iris map within the opening map, in prediction and label;
lashes in front of it are ignored in both.
"""

import sys
from collections import defaultdict

import numpy as np
import torch

import evaluate_photos
from network import EyeNetwork
from stream import IRIS, OPENING, PUPIL, SIDE, records

FRAMINGS = ("macro", "crop", "close", "region", "face")


def main(checkpoint, renderer, count=600, seed=990):
    torch.set_num_threads(1)
    network = EyeNetwork().eval()
    network.load_state_dict(torch.load(checkpoint, map_location="cpu")["average"])
    overlaps, scores = defaultdict(lambda: defaultdict(list)), {0: [], 1: []}
    source = records(renderer, int(seed), 0)
    for _ in range(int(count)):
        presence, framing, photo, labels = next(source)
        maps, score = evaluate_photos.run(network, photo)
        if presence < 2:
            scores[presence].append(score)
        if presence != 1:
            continue
        half = [((labels & bit) != 0).reshape(SIDE // 2, 2, SIDE // 2, 2).mean((1, 3)) >= 0.5 for bit in (OPENING, IRIS, PUPIL)]
        found = [maps[index] > 0.5 for index in range(3)]
        group = overlaps[FRAMINGS[framing]]
        group["disc"].append(evaluate_photos.overlap(found[1], half[1]))
        group["visible"].append(evaluate_photos.overlap(found[1] & found[0], half[1] & half[0]))
        group["opening"].append(evaluate_photos.overlap(found[0], half[0]))
        if half[2].any():
            group["pupil"].append(evaluate_photos.overlap(found[2], half[2]))
    for name in FRAMINGS:
        group = overlaps[name]
        if group:
            print(f"{name:7} {len(group['disc']):4}  " + "  ".join(
                f"{key} mean {np.mean(v):.3f} median {np.median(v):.3f} p10 {np.percentile(v, 10):.3f}" for key, v in group.items()))
    yes, no = np.array(scores[1]), np.array(scores[0])
    for threshold in (0.3, 0.5, 0.7, 0.9):
        print(f"presence > {threshold}: {(yes > threshold).mean():.3f} of {len(yes)} eyes, {(no > threshold).mean():.3f} of {len(no)} without")


if __name__ == "__main__":
    main(*sys.argv[1:])
