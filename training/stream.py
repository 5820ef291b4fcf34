"""Training samples: rendered pictures from irisflow-synth, and crops of photos without eyes."""

import collections
import queue
import subprocess
import threading

import numpy as np
from PIL import Image

SIDE = 256
OPENING, IRIS, PUPIL, REFLECTION, VISIBLE, BACKGROUND, COVERED = 1, 2, 4, 8, 16, 32, 64
BITS = (OPENING, IRIS, PUPIL, REFLECTION)
NEAR_BITS = (*BITS, COVERED)
LETTERBOX = 128


class Photos:
    """Photos without eyes, as negatives and as backgrounds of rendered persons."""

    def __init__(self, path):
        with np.load(path) as archive:
            self.photos = [archive[name] for name in archive.files]

    def crop(self, rng, side=SIDE, letterbox=True):
        photo = self.photos[rng.integers(len(self.photos))]
        high, wide = photo.shape[:2]
        part = float(np.exp(rng.uniform(np.log(0.12), 0.0)))
        if letterbox and rng.random() < 0.35:
            part, cut_w, cut_h = 1.0, wide, high
        else:
            cut = max(48, int(part * min(high, wide)))
            cut_w = cut_h = cut
        x, y = rng.integers(wide - cut_w + 1), rng.integers(high - cut_h + 1)
        piece = Image.fromarray(photo[y:y + cut_h, x:x + cut_w])
        scale = side / max(piece.size)
        piece = piece.resize((max(1, round(piece.width * scale)), max(1, round(piece.height * scale))), Image.BILINEAR)
        piece = piece.rotate(int(rng.choice([0, 0, 0, 90, 180, 270])), expand=True)
        canvas = np.full((side, side, 3), LETTERBOX, np.uint8)
        left, top = (side - piece.width) // 2, (side - piece.height) // 2
        pixels = np.asarray(piece, np.float32) / 255
        gain = np.exp(rng.normal(0, 0.12, 3) + rng.normal(0, 0.3))
        pixels = np.clip(pixels * gain, 0, 1) ** np.exp(rng.normal(0, 0.2))
        if rng.random() < 0.1:
            pixels = np.repeat(pixels.mean(2, keepdims=True), 3, 2)
        if rng.random() < 0.3:
            pixels = np.clip(pixels + rng.normal(0, 0.03, pixels.shape[:2] + (1,)), 0, 1)
        canvas[top:top + piece.height, left:left + piece.width] = pixels * 255 + 0.5
        return canvas[:, ::-1] if rng.random() < 0.5 else canvas


def records(renderer, seed, start, near=False):
    """Endless (presence, framing, photo, labels); presence is 0, 1 or 2 for unclear."""
    size = 2 + SIDE * SIDE * 4
    while True:
        command = [renderer, "stream", "--seed", str(seed), "--start", str(start), "--count", "100000"] + ["--near"] * near
        process = subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=1 << 20)
        try:
            while True:
                record = process.stdout.read(size)
                if len(record) < size:
                    if process.wait() != 0:
                        raise RuntimeError(f"the renderer ended with {process.returncode}")
                    break
                start += 1
                data = np.frombuffer(record, np.uint8)
                photo = data[2:2 + SIDE * SIDE * 3].reshape(SIDE, SIDE, 3)
                yield data[0], data[1], photo, data[2 + SIDE * SIDE * 3:].reshape(SIDE, SIDE)
        finally:
            process.kill()
            process.wait()


def targets(labels, bits):
    """For each label bit a map at half resolution: the share of the four pixels with that bit."""
    maps = np.empty((len(bits), SIDE // 2, SIDE // 2), np.float32)
    for index, bit in enumerate(bits):
        on = ((labels & bit) != 0).astype(np.float32)
        maps[index] = on.reshape(SIDE // 2, 2, SIDE // 2, 2).mean((1, 3))
    return maps


def augmented(rng, sample):
    """Augmentation: mirrored or upside down, with changed brightness and colour."""
    photo, maps, presence = sample
    axes = [(-1, 1), (1, -1), (-1, -1)][rng.choice(3, p=[0.8, 0.1, 0.1])]
    photo, maps = photo[::axes[1], ::axes[0]], maps[:, ::axes[1], ::axes[0]]
    ramp = np.arange(256) / 255
    curve = np.clip(ramp ** np.exp(rng.normal(0, 0.2)) * np.exp(rng.normal(0, 0.12, (3, 1))), 0, 1)
    curve = (curve * 255 + 0.5).astype(np.uint8)
    photo = np.stack([curve[c][photo[..., c]] for c in range(3)], 2)
    return photo, maps, presence


def batches(renderer, photos, seed, start, size, negative_share, near=False, reuse_share=0.35):
    """Endless (photos N x S x S x 3 bytes, maps, presence); made by a thread ahead of its use.

    Rendering costs almost as much as training, so a share of the samples are recent renders reused with augmentation.
    """
    waiting = queue.Queue(6)
    recent = collections.deque(maxlen=400)
    bits = NEAR_BITS if near else BITS

    def fill():
        try:
            make()
        except Exception as error:
            waiting.put(error)

    def make():
        rng = np.random.default_rng([seed, start])
        source = records(renderer, seed, start, near)
        while True:
            x = np.empty((size, SIDE, SIDE, 3), np.uint8)
            y = np.zeros((size, len(bits), SIDE // 2, SIDE // 2), np.float32)
            p = np.zeros(size, np.float32)
            for slot in range(size):
                if rng.random() < negative_share:
                    x[slot] = photos.crop(rng)
                    continue
                if len(recent) == recent.maxlen and rng.random() < reuse_share:
                    x[slot], y[slot], p[slot] = augmented(rng, recent[rng.integers(len(recent))])
                    continue
                presence, framing, photo, labels = next(source)
                behind = (labels & BACKGROUND) != 0
                if framing >= 2 and presence != 0 and behind.mean() > 0.02 and rng.random() < 0.6:
                    photo = np.where(behind[..., None], photos.crop(rng, letterbox=False), photo)
                x[slot], y[slot], p[slot] = photo, targets(labels, bits), presence
                recent.append((x[slot].copy(), y[slot].copy(), presence))
            waiting.put((x, y, p))

    threading.Thread(target=fill, daemon=True).start()
    while True:
        made = waiting.get()
        if isinstance(made, Exception):
            raise made
        yield made
