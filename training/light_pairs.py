"""Pairs of irises with and without mirrored light: pipes from the renderer, a pool to draw from, and
augmentation on the device that trains."""

import fcntl
import queue
import subprocess
import sys
import threading

import numpy as np
import torch

from light_network import SIDE

PIXELS = SIDE * SIDE
RECORD = PIXELS * (3 * 2 * 2 + 1)
CLIPPED, COMBED, IRIS, PUPIL, COVERED, INSIDE = 1, 2, 4, 8, 16, 32
# Luminance of light that is counted as light.
NOTICEABLE = 0.01
# Indices of one renderer; no two renderers draw the same pair.
SPAN = 10**7


def records(renderer, seed, start, count):
    """Yields (pictures, bits): photo and clean, 2 x 256 x 256 x 3 uint16 of linear light, and uint8 bits."""
    command = [renderer, "light", "--seed", str(seed), "--start", str(start), "--count", str(count)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=0)
    # Room for a whole record: fewer wake-ups of the reader.
    fcntl.fcntl(process.stdout, getattr(fcntl, "F_SETPIPE_SZ", 1031), 1 << 20)
    try:
        while True:
            record = np.empty(RECORD, np.uint8)
            view, filled = memoryview(record), 0
            while filled < RECORD:
                read = process.stdout.readinto(view[filled:])
                if not read:
                    if process.wait() != 0:
                        raise RuntimeError(f"the renderer ended with {process.returncode}")
                    return
                filled += read
            pictures = record[:PIXELS * 12].view(np.uint16).reshape(2, SIDE, SIDE, 3)
            yield pictures, record[PIXELS * 12:].reshape(SIDE, SIDE)
    finally:
        process.kill()
        process.wait()


def read_pairs(renderer, seed, count):
    """All at once, as tensors: photo and clean (N x 3 x 256 x 256, linear light), bits (N x 256 x 256)."""
    pictures, bits = zip(*records(renderer, seed, 0, count))
    light = torch.from_numpy(np.stack(pictures).astype(np.float32) / 65535).permute(0, 1, 4, 2, 3)
    return light[:, 0].contiguous(), light[:, 1].contiguous(), torch.from_numpy(np.stack(bits))


class Pool:
    """The latest renders, from several renderers at once, kept where the training happens."""

    def __init__(self, renderer, seed, skip, workers, capacity, device):
        self.pictures = torch.empty(capacity, 2, SIDE, SIDE, 3, dtype=torch.int16, device=device)
        self.bits = torch.empty(capacity, SIDE, SIDE, dtype=torch.uint8, device=device)
        self.received, self.device = 0, device
        self.waiting = queue.Queue(4 * workers)
        # Readers need the interpreter often and for a moment only.
        sys.setswitchinterval(5e-4)
        for worker in range(workers):
            first = worker * SPAN + skip // workers
            threading.Thread(target=self._fill, args=(renderer, seed, first), daemon=True).start()

    def _fill(self, renderer, seed, first):
        try:
            for record in records(renderer, seed, first, SPAN):
                self.waiting.put(record)
            raise RuntimeError("the renderer ended")
        except Exception as error:
            self.waiting.put(error)

    def __len__(self):
        return min(self.received, len(self.bits))

    def receive(self, at_least):
        """Takes over what was rendered meanwhile, and waits until the pool holds `at_least`."""
        fresh = []
        while len(self) + len(fresh) < at_least or not self.waiting.empty() and len(fresh) < 64:
            record = self.waiting.get()
            if isinstance(record, Exception):
                raise record
            fresh.append(record)
        if not fresh:
            return
        slots = (torch.arange(len(fresh)) + self.received) % len(self.bits)
        slots = slots.to(self.device)
        self.pictures[slots] = self._moved(np.stack([pictures.view(np.int16) for pictures, _ in fresh]))
        self.bits[slots] = self._moved(np.stack([bits for _, bits in fresh]))
        self.received += len(fresh)

    def _moved(self, array):
        tensor = torch.from_numpy(array)
        return tensor.pin_memory().to(self.device, non_blocking=True) if self.device == "cuda" else tensor

    def draw(self, size):
        """A random batch: photo, clean (N x 3 x 256 x 256, linear light) and bits."""
        chosen = torch.randint(len(self), (size,), device=self.device)
        light = (self.pictures[chosen].int() & 0xffff).float() / 65535
        light = light.permute(0, 1, 4, 2, 3)
        return light[:, 0], light[:, 1], self.bits[chosen]


def to_srgb(light):
    light = light.clamp(0, 1)
    return torch.where(light <= 0.0031308, light * 12.92, 1.055 * light.clamp(min=0.0031308) ** (1 / 2.4) - 0.055)


def to_linear(srgb):
    return torch.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055).clamp(min=1e-4) ** 2.4)


def luminance(light):
    return 0.2126 * light[:, 0] + 0.7152 * light[:, 1] + 0.0722 * light[:, 2]


def has(bits, bit):
    return (bits & bit) != 0


def amplified(clean, contrast):
    """Fibres with another contrast: light relative to that around it, raised to a power."""
    around = torch.nn.functional.avg_pool2d(clean, 25, 1, 12, count_include_pad=False)
    return (around + 1e-3) * ((clean + 1e-3) / (around + 1e-3)).clamp(0.2, 3) ** contrast - 1e-3


def augmented(photo, clean, bits):
    """Lights moved to other irises, stronger, weaker and of other colours, irises with stronger fibres, other
    exposure, mirrored; 8-bit sRGB again."""
    size, device = photo.shape[0], photo.device

    def chance(share):
        return torch.rand(size, 1, 1, 1, device=device) < share

    added = (photo - clean).clamp(min=0)
    clipped = has(bits, CLIPPED)[:, None]
    combed = has(bits, COMBED)[:, None]
    # The light of the next sample on this iris; where it was clipped it stays as bright as it was.
    moved = chance(0.35)
    other, other_clipped = added.roll(1, 0), clipped.roll(1, 0)
    lit = torch.where(other_clipped, torch.maximum(clean + other, photo.roll(1, 0)), clean + other)
    photo = torch.where(moved, lit, photo)
    combed = torch.where(moved, combed.roll(1, 0), combed)
    clipped = torch.where(moved, other_clipped, clipped)
    # Real irises have more contrast than rendered ones, and sharper fibres.
    contrast = 1 + 0.8 * torch.rand(size, 1, 1, 1, device=device) * chance(0.5)
    sharper = amplified(clean, contrast).clamp(0, 1)
    photo = torch.where(clipped, photo, photo + sharper - clean)
    clean = sharper
    # Stronger, weaker, of another colour, where the whole light is known.
    strength = torch.rand(size, 1, 1, 1, device=device) * 1.6 - 0.9 + 0.2 * torch.randn(size, 3, 1, 1, device=device)
    strength = torch.exp(strength)
    whole = ~clipped.flatten(1).any(1).view(size, 1, 1, 1)
    photo = torch.where(whole & chance(0.5), clean + (photo - clean) * strength, photo)
    gain = torch.exp(torch.rand(size, 1, 1, 1, device=device) * 0.5 - 0.15 + 0.08 * torch.randn(size, 3, 1, 1, device=device))
    gain = torch.where(chance(0.6), gain, torch.ones_like(gain))
    photo, clean = photo * gain, clean * gain
    is_grey = chance(0.1)
    photo, clean = (torch.where(is_grey, luminance(light)[:, None], light) for light in (photo, clean))
    maps = torch.cat([combed.float(), *(has(bits, bit)[:, None].float() for bit in (IRIS, PUPIL, COVERED, INSIDE))], 1)
    together = torch.cat([photo, clean, maps, clipped.float()], 1)
    together = torch.where(chance(0.5), together.flip(3), together)
    together = torch.where(chance(0.12), together.flip(2), together)
    photo, clean, maps, clipped = together[:, :3], together[:, 3:6], together[:, 6:11], together[:, 11:] > 0.5
    photo = (to_srgb(photo) * 255).round() / 255
    added = to_linear(photo) - clean
    strong = luminance(added)[:, None]
    clipped = clipped | (strong > 0.5) | ((photo.amax(1, keepdim=True) > 247.5 / 255) & (strong > 0.04))
    return photo, clean.clamp(max=1), clipped, maps
