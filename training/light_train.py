"""Trains the network that separates light, on pairs rendered meanwhile. Stop it at any time (SIGTERM); start
it again to go on. The same command serves a GPU with many cores and two cores alone: see README.md.

The checkpoint holds the network, its running average (the one that is exported), the optimiser, how long it
was trained, and the curve. The rate falls over the minutes asked for.
"""

import argparse
import contextlib
import copy
import math
import os
import signal
import time

import torch

from light_network import SIDE, LightNetwork, network_input
from light_pairs import CLIPPED, IRIS, NOTICEABLE, PUPIL, Pool, augmented, has, luminance, read_pairs, to_linear, to_srgb

# Behind the root that losses compare light by, so that black has a finite slope.
TOE = 0.002
TOE_ROOT = TOE ** (1 / 2.2)


def seen(light):
    """About what sRGB makes of light; below black, where too much was taken off, it goes on falling."""
    return (light.clamp(min=0) + TOE) ** (1 / 2.2) - TOE_ROOT + 3 * light.clamp(max=0)


def slopes(maps):
    return maps[..., 1:, :-1] - maps[..., :-1, :-1], maps[..., :-1, 1:] - maps[..., :-1, :-1]


def loss_of(roots, logits, photo, clean, clipped, maps):
    """Of the iris that is left and its slopes, of the light, of the two maps, and of slopes in common."""
    light = to_linear(photo)
    added = (light - clean).clamp(min=0)
    known = (~clipped).float()
    combed, iris, pupil, covered, inside = maps.split(1, 1)
    where = inside * (0.15 + 0.85 * (iris + pupil).clamp(max=1))
    noticeable = (luminance(added)[:, None] > NOTICEABLE).float()
    # Irises without reflections count double: nothing may be taken off them.
    empty = 1 + (noticeable * where).flatten(1).mean(1).lt(2e-3).float().view(-1, 1, 1, 1)
    weight = where * known * empty
    guess = roots * roots
    left = seen(light - guess)
    truth = seen(clean)
    off = (left - truth).abs() * (1 + 4 * noticeable)
    colour = left - left.mean(1, keepdim=True) - truth + truth.mean(1, keepdim=True)
    iris_loss = ((off + colour.abs()) * weight).mean()
    root_loss = ((roots - (added + 1e-6).sqrt()).abs() * weight).mean()
    slope_loss = shared_loss = 0.0
    inner = weight[..., :-1, :-1]
    for mine, true, light_slope in zip(slopes(left), slopes(truth), slopes(roots)):
        slope_loss = slope_loss + (((mine - true) ** 2 + 1e-6).sqrt() * inner).mean()
        shared_loss = shared_loss + ((mine * light_slope).abs() * inner).mean()
    target = torch.cat([clipped.float(), combed], 1)
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    entropy = (entropy * where).mean()
    return iris_loss + 0.5 * slope_loss + 0.3 * root_loss + 0.3 * entropy + 0.05 * shared_loss


class Judge:
    """Held-out pairs: PSNR within soft light, and mean change of irises without light."""

    def __init__(self, renderer, count, device):
        photo, self.clean, self.bits = (part.to(device) for part in read_pairs(renderer, 990_001, count))
        self.photo = (to_srgb(photo) * 255).round() / 255

    @torch.no_grad()
    def judge(self, network):
        with torch.backends.cudnn.flags(benchmark=False):
            return self._judge(network)

    def _judge(self, network):
        before = after = change = quiet = pixels = 0.0
        for photo, clean, bits in zip(self.photo.split(32), self.clean.split(32), self.bits.split(32)):
            roots, _ = network(network_input(photo))
            left = to_srgb(to_linear(photo) - roots * roots)
            truth = to_srgb(clean)
            added = luminance(to_linear(photo) - clean)
            on_iris = has(bits, IRIS | PUPIL) & ~has(bits, CLIPPED)
            soft = (on_iris & (added > NOTICEABLE))[:, None]
            before += float(((photo - truth) ** 2 * soft).sum())
            after += float(((left - truth) ** 2 * soft).sum())
            pixels += 3 * float(soft.sum())
            dark = (on_iris & (added.abs() < 0.002))[:, None]
            change += float(((left - photo).abs() * dark).sum())
            quiet += 3 * float(dark.sum())
        psnr = [-10 * math.log10(error / pixels) for error in (before, after)]
        return psnr[0], psnr[1], 255 * change / quiet


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--renderer", default="../target/release/irisflow-synth")
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--minutes", type=float, required=True, help="in all, also over several starts")
    parser.add_argument("--renderers", type=int, default=os.cpu_count(), help="processes that render meanwhile")
    parser.add_argument("--pool", type=int, help="pairs kept: 0.85 MB each")
    parser.add_argument("--batch", type=int)
    parser.add_argument("--crop", type=int, default=SIDE, help="side of a random part to train on: less takes less time; "
                        "batch norm then keeps its statistics, so only to go on with a trained network")
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--final-rate", type=float, default=2e-5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--held-out", type=int, default=192, help="pairs to measure on")
    parser.add_argument("--save-every", type=float, default=1.0, help="minutes")
    options = parser.parse_args()

    on_gpu = torch.cuda.is_available()
    device = "cuda" if on_gpu else "cpu"
    batch = options.batch or (128 if on_gpu else 12)
    capacity = options.pool or (40_000 if on_gpu else 2_000)
    torch.backends.cudnn.benchmark = on_gpu
    torch.manual_seed(options.seed)
    network = LightNetwork().to(device, memory_format=torch.channels_last)
    average = copy.deepcopy(network).eval()
    optimiser = torch.optim.AdamW(network.parameters(), lr=options.rate, weight_decay=1e-3)
    minutes, samples, rendered, curve = 0.0, 0, 0, []
    if os.path.exists(options.checkpoint):
        kept = torch.load(options.checkpoint, map_location=device)
        network.load_state_dict(kept["network"])
        average.load_state_dict(kept["average"])
        # A kept one has none: the optimiser finds its pace again in some hundred steps.
        if "optimiser" in kept:
            optimiser.load_state_dict(kept["optimiser"])
        minutes, samples, rendered, curve = (kept[name] for name in ("minutes", "samples", "rendered", "curve"))
        print(f"going on after {minutes:.1f} minutes, {samples} samples", flush=True)
    if options.crop < SIDE:
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.eval()
    before = minutes, rendered
    if minutes >= options.minutes:
        return
    judge = Judge(options.renderer, options.held_out, device)
    pool = Pool(options.renderer, options.seed, rendered, options.renderers, capacity, device)
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))

    def save():
        psnr_before, psnr, change = judge.judge(average)
        curve.append((round(minutes, 2), samples, rendered, round(psnr, 3), round(change, 3)))
        print(f"{minutes:6.2f} min  {samples:8d} samples of {rendered:7d} renders  rate {rate:.1e}  loss {smooth:.4f}  "
              f"soft light {psnr_before:.2f} -> {psnr:.2f} dB  change without light {change:.3f} levels", flush=True)
        torch.save({"network": network.state_dict(), "average": average.state_dict(),
                    "optimiser": optimiser.state_dict(), "minutes": minutes, "samples": samples,
                    "rendered": rendered, "curve": curve}, options.checkpoint + ".new")
        os.replace(options.checkpoint + ".new", options.checkpoint)

    pool.receive(8 * batch)
    begin = saved = time.monotonic()
    smooth = None
    while not stop and minutes < options.minutes:
        pool.receive(1)
        rendered = before[1] + pool.received
        progress = min(1.0, minutes / options.minutes)
        rate = options.final_rate + (options.rate - options.final_rate) * 0.5 * (1 + math.cos(math.pi * progress))
        rate *= min(1.0, (samples + batch) / (300 * batch))
        for group in optimiser.param_groups:
            group["lr"] = rate
        photo, clean, clipped, maps = augmented(*pool.draw(batch))
        top, left = (16 * int(torch.randint((SIDE - options.crop) // 16 + 1, ())) for _ in range(2))
        x, photo, clean, clipped, maps = (
            whole[..., top:top + options.crop, left:left + options.crop]
            for whole in (network_input(photo), photo, clean, clipped, maps))
        x = x.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cuda", dtype=torch.bfloat16) if on_gpu else contextlib.nullcontext():
            roots, logits = network(x)
        loss = loss_of(roots, logits, photo, clean, clipped, maps)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        samples += batch
        with torch.no_grad():
            # A short memory at first, later about 250 steps.
            keep = min(0.996, 1 - 1 / (1 + samples / batch / 10))
            for mean, new in zip(average.state_dict().values(), network.state_dict().values()):
                if mean.dtype.is_floating_point:
                    mean.lerp_(new, 1 - keep)
        if samples // batch % 20 == 0 or smooth is None:
            smooth = loss.item() if smooth is None else 0.9 * smooth + 0.1 * loss.item()
        minutes = before[0] + (time.monotonic() - begin) / 60
        if time.monotonic() - saved > 60 * options.save_every and smooth is not None:
            save()
            saved = time.monotonic()
    save()


if __name__ == "__main__":
    main()
