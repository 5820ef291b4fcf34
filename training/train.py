"""Trains the segmenter on a stream of renders. It can be stopped at any time and resumes when started again.

The checkpoint holds the network, its running average (the one that is exported), the optimiser, how
many samples were seen, and the curve. See README.md for the commands.
"""

import argparse
import copy
import json
import os
import signal
import time

import numpy as np
import torch

import evaluate_photos
from network import MAPS, NEAR_MAPS, EyeNetwork
from stream import Photos, batches

WEIGHT_OF_MAP = torch.tensor([1.0, 2.0, 1.0, 0.5, 1.0]).view(1, 5, 1, 1)
# In close-ups the lids have the same weight as the disc.
WEIGHT_OF_NEAR_MAP = torch.tensor([2.0, 2.0, 1.0, 0.5, 1.0]).view(1, 5, 1, 1)


def loss_of(logits, presence, maps, present, weight):
    """Cross entropy and Dice loss of every map, cross entropy of presence where the label is not "unclear"."""
    weight = weight[:, :maps.shape[1]]
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(logits, maps, reduction="none")
    entropy = (entropy.mean((2, 3), keepdim=True) * weight).sum(1).mean()
    guess = torch.sigmoid(logits)
    both = (guess * maps).sum((2, 3))
    size = guess.sum((2, 3)) + maps.sum((2, 3))
    has = (maps.sum((2, 3)) > 2).float()
    dice = (1 - (2 * both + 1) / (size + 1)) * has * weight[..., 0, 0]
    dice = dice.sum() / (has * weight[..., 0, 0]).sum().clamp(min=1)
    clear = (present < 1.5).float()
    eye = torch.nn.functional.binary_cross_entropy_with_logits(presence, present.clamp(max=1), reduction="none")
    eye = (eye * clear).sum() / clear.sum().clamp(min=1)
    return 2.0 * entropy + dice + 0.5 * eye, (float(entropy), float(dice), float(eye))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--renderer", default="../target/release/irisflow-synth")
    parser.add_argument("--photos", required=True, help="file made by gather_photos.py")
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--near", action="store_true", help="the second network, for close-ups")
    parser.add_argument("--begin-as", help="checkpoint of the other network to begin with")
    parser.add_argument("--samples", type=int, default=10**9, help="stop after this many samples in all")
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--final-rate", type=float, default=None, help="fall to this rate until --samples")
    parser.add_argument("--fall-from", type=int, default=None, help="samples seen when the rate begins to fall")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--negatives", type=float, default=0.12, help="share of photos without eyes")
    parser.add_argument("--judge-every", type=int, default=8000)
    parser.add_argument("--eyes", help="folder of annotated photos, only measured, never trained on")
    parser.add_argument("--no-eyes", help="folder of photos without eyes, only measured")
    options = parser.parse_args()

    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    network = EyeNetwork(NEAR_MAPS if options.near else MAPS)
    if options.begin_as and not os.path.exists(options.checkpoint):
        network.begin_as(torch.load(options.begin_as)["average"])
    network = network.to(memory_format=torch.channels_last)
    average = copy.deepcopy(network).eval()
    optimiser = torch.optim.AdamW(network.parameters(), lr=options.rate, weight_decay=1e-3)
    seen, curve, fall_from = 0, [], options.fall_from
    if os.path.exists(options.checkpoint):
        checkpoint = torch.load(options.checkpoint)
        network.load_state_dict(checkpoint["network"])
        average.load_state_dict(checkpoint["average"])
        # A compact checkpoint has no optimiser state; it is rebuilt within some hundred steps.
        if "optimiser" in checkpoint:
            optimiser.load_state_dict(checkpoint["optimiser"])
        seen, curve = checkpoint["seen"], checkpoint["curve"]
        # Resume a decaying learning rate; drop schedules that have ended.
        if fall_from is None and checkpoint.get("falls_until", 0) > seen:
            fall_from = checkpoint["fall_from"]
        print(f"going on after {seen} samples", flush=True)

    fall_from = seen if fall_from is None else fall_from
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))

    def save():
        torch.save({"network": network.state_dict(), "average": average.state_dict(),
                    "optimiser": optimiser.state_dict(), "seen": seen, "curve": curve,
                    "fall_from": fall_from, "falls_until": options.samples if options.final_rate else 0},
                   options.checkpoint + ".new")
        os.replace(options.checkpoint + ".new", options.checkpoint)

    first = seen
    source = batches(options.renderer, Photos(options.photos), options.seed, seen, options.batch, options.negatives,
                     options.near)
    running, since, clock = [], 0, time.time()
    network.train()
    while seen < options.samples and not stop:
        rate = options.rate
        if options.final_rate:
            t = np.clip((seen - fall_from) / max(options.samples - fall_from, 1), 0, 1)
            rate = options.final_rate + (options.rate - options.final_rate) * 0.5 * (1 + np.cos(np.pi * t))
        warm = min(1.0, (seen - first + options.batch) / 3000) if first == 0 else 1.0
        for group in optimiser.param_groups:
            group["lr"] = rate * warm
        photos, maps, present = next(source)
        x = torch.from_numpy(photos).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
        logits, presence = network(x)
        loss, parts = loss_of(logits, presence, torch.from_numpy(maps), torch.from_numpy(present),
                              WEIGHT_OF_NEAR_MAP if options.near else WEIGHT_OF_MAP)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        seen += len(photos)
        since += len(photos)
        steps = seen / options.batch
        decay = min(0.998, (1 + steps) / (20 + steps))
        with torch.no_grad():
            for averaged, new in zip(average.state_dict().values(), network.state_dict().values()):
                if averaged.dtype.is_floating_point:
                    averaged.mul_(decay).add_(new, alpha=1 - decay)
        running.append(parts)
        if since >= options.judge_every:
            entropy, dice, eye = np.mean(running, axis=0)
            speed = since / (time.time() - clock)
            print(f"{time.strftime('%H:%M:%S')} {seen} samples, {speed:.1f}/s: entropy {entropy:.4f} dice {dice:.4f} presence {eye:.4f}", flush=True)
            entry = {"seen": seen, "entropy": entropy, "dice": dice, "presence": eye}
            if options.eyes and options.no_eyes:
                text, figures = evaluate_photos.summary(average, options.eyes, options.no_eyes)
                print(text, flush=True)
                entry.update(figures)
            curve.append(entry)
            save()
            running, since, clock = [], 0, time.time()
    save()
    print(f"stopped after {seen} samples", flush=True)


if __name__ == "__main__":
    main()
