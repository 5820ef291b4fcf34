"""Exports the running average of a checkpoint as the weights file that the product embeds, and a test vector.

Usage: export.py CHECKPOINT [--near] [--renderer PATH]

Weights (`irisflow-image/weights/iris_segmenter.bin`, or `iris_near.bin`), little endian: the eight bytes `IRSEG001`, the
number of layers as u32, then per layer: kind u8 (0 convolution 3x3 stride 2, 1 depthwise 3x3, 2 pointwise,
3 linear), stride u8, inputs u16, outputs u16, the weights as f16 and the biases as f32. Batch norm is
folded in. Order of a kernel: outermost to innermost tap row, tap column, input, output; a depthwise
kernel has no input axis. Layers come in the order in which the network runs them, presence last.

The test vector (`irisflow-image/tests/segmenter/`): a rendered picture and what the exported weights
(rounded to f16, computed in f32) compute for it at some hundred positions.
"""

import argparse
import json
import struct
import subprocess
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from network import MAPS, NEAR_MAPS, OUT, SIDE, EyeNetwork

CRATE = Path(__file__).resolve().parent.parent / "crates" / "irisflow-image"


def folded(convolution, norm):
    """Convolution weights and bias with the batch norm behind it folded in."""
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return convolution.weight * scale[:, None, None, None], norm.bias - norm.running_mean * scale


def layers(network):
    """(kind, stride, inputs, outputs, weights in file order, bias, module to round) in order of execution."""

    def separable(block):
        weight, bias = folded(block.depthwise, block.depthwise_norm)
        wide = weight.shape[0]
        yield 1, block.depthwise.stride[0], wide, wide, weight[:, 0].permute(1, 2, 0), bias
        weight, bias = folded(block.pointwise, block.pointwise_norm)
        yield 2, 1, weight.shape[1], weight.shape[0], weight[:, :, 0, 0].t(), bias

    weight, bias = folded(network.stem, network.stem_norm)
    yield 0, 2, 3, weight.shape[0], weight.permute(2, 3, 1, 0), bias
    yield from separable(network.level0)
    for level in (network.down1, network.down2, network.down3, network.down4, network.down5):
        for block in level:
            yield from separable(block)
    for lift in (network.lift4, network.lift3, network.lift2, network.lift1, network.lift0):
        weight, bias = folded(lift.narrow, lift.narrow_norm)
        yield 2, 1, weight.shape[1], weight.shape[0], weight[:, :, 0, 0].t(), bias
        yield from separable(lift.block)
    head = network.head.weight
    yield 2, 1, head.shape[1], head.shape[0], head[:, :, 0, 0].t(), network.head.bias
    yield 3, 1, network.presence.weight.shape[1], 1, network.presence.weight.t(), network.presence.bias


def write_weights(network, path):
    """Writes the file; returns the folded layers as they read back (f16 weights, f32 biases)."""
    listed = [(*shape, w.detach().contiguous().numpy().astype(np.float16), b.detach().numpy().astype(np.float32))
              for *shape, w, b in layers(network)]
    with open(path, "wb") as file:
        file.write(b"IRSEG001" + struct.pack("<I", len(listed)))
        for kind, stride, wide_in, wide_out, weight, bias in listed:
            file.write(struct.pack("<BBHH", kind, stride, wide_in, wide_out) + weight.tobytes() + bias.tobytes())
    return listed


def run_folded(listed, image):
    """Forward pass with the folded layers alone: logits of the maps, and of presence."""
    layer = iter(listed)
    x = torch.from_numpy(image.astype(np.float32) / 127.5 - 1).permute(2, 0, 1)[None]

    def step(x, relu=True):
        kind, stride, wide_in, wide_out, weight, bias = next(layer)
        w, b = torch.from_numpy(weight.astype(np.float32)), torch.from_numpy(bias)
        if kind == 0:
            x = torch.nn.functional.conv2d(x, w.permute(3, 2, 0, 1), b, 2, 1)
        elif kind == 1:
            x = torch.nn.functional.conv2d(x, w.permute(2, 0, 1)[:, None], b, stride, 1, groups=wide_in)
        else:
            x = torch.nn.functional.conv2d(x, w.t()[:, :, None, None], b)
        return torch.relu(x) if relu else x

    def separable(x, adds):
        y = step(step(x))
        return x + y if adds else y

    x = separable(step(x), True)
    skips = [x]
    for blocks in (2, 2, 3, 3, 2):
        for number in range(blocks):
            x = separable(x, number > 0)
        skips.append(x)
    pooled = skips.pop().mean(dim=(2, 3), keepdim=True)
    for fine in reversed(skips):
        x = torch.nn.functional.interpolate(step(x), scale_factor=2.0, mode="nearest")
        x = separable(x + fine, True)
    maps = step(x, relu=False)
    return maps[0], step(pooled, relu=False)[0, 0, 0, 0]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("--near", action="store_true", help="the second network, for close-ups")
    parser.add_argument("--renderer", default=str(CRATE.parent.parent / "target" / "release" / "irisflow-synth"))
    options = parser.parse_args()
    maps_of, end = (NEAR_MAPS, "_near") if options.near else (MAPS, "")
    network = EyeNetwork(maps_of).eval()
    checkpoint = torch.load(options.checkpoint, map_location="cpu")
    network.load_state_dict(checkpoint["average"])

    weights = CRATE / "weights" / ("iris_near.bin" if options.near else "iris_segmenter.bin")
    weights.parent.mkdir(exist_ok=True)
    listed = write_weights(network, weights)
    folder = CRATE / "tests" / "segmenter"
    folder.mkdir(parents=True, exist_ok=True)
    record = subprocess.run([options.renderer, "stream", "--seed", "20251123", "--start", "3", "--count", "1"]
                            + ["--near"] * options.near,
                            capture_output=True, check=True).stdout
    image = np.frombuffer(record, np.uint8)[2:2 + SIDE * SIDE * 3].reshape(SIDE, SIDE, 3)
    Image.fromarray(image).save(folder / f"input{end}.png", optimize=True)
    with torch.no_grad():
        maps, presence = run_folded(listed, image)
        plain, plain_presence = network(torch.from_numpy(image.astype(np.float32) / 127.5 - 1).permute(2, 0, 1)[None])
    drift = float((torch.sigmoid(plain[0]) - torch.sigmoid(maps)).abs().max())
    print(f"{weights}: {weights.stat().st_size} bytes after {checkpoint['seen']} samples; f16 changes a probability by at most {drift:.5f}")
    chance = torch.sigmoid(maps).numpy()
    rng = np.random.default_rng(7)
    samples = []
    for index, name in enumerate(maps_of):
        for _ in range(100):
            y, x = (int(v) for v in rng.integers(0, OUT, 2))
            samples.append([index, y, x, round(float(chance[index, y, x]), 6)])
    text = {"presence": round(float(torch.sigmoid(presence)), 6), "maps": list(maps_of),
            "samples_map_row_column_value": samples}
    (folder / f"expected{end}.json").write_text(json.dumps(text) + "\n")
    print("presence", text["presence"], float(torch.sigmoid(plain_presence[0])),
          "peaks", [round(float(c.max()), 3) for c in chance])


if __name__ == "__main__":
    main()
