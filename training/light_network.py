"""The network that separates mirrored light from the iris: a depthwise-separable U-Net, 256 x 256 in and out.

In: the rectified iris as 8-bit sRGB (bytes / 127.5 - 1) and the distance from its centre. Out, for each
pixel: the light that a reflection added (red, green, blue; linear, 1 is white), whether nothing of the
iris is left there, and whether mirrored lashes hide the light. The layers are those of network.py; the
outputs of four pixels come as 20 channels of one cell at half the side.
"""

import torch
from torch import nn

from network import Separable

SIDE = 256
IRIS_RADIUS = SIDE / 2 * 0.94
INPUTS = 4
OUTPUTS = 5
STEM = 16
WIDTHS = (32, 48, 64, 96, 128)
# Separable blocks per level; the first of a level changes the width, and halves the map below the first level.
BLOCKS = (3, 3, 3, 3, 3)
# Separable blocks behind each addition, from coarse to fine.
LIFT_BLOCKS = (1, 1, 1, 2)


class DecoderBlock(nn.Module):
    """Pointwise 1x1 on the coarse map, nearest x2, plus the finer map, then separable blocks."""

    def __init__(self, wide_in, wide_out, blocks):
        super().__init__()
        self.narrow = nn.Conv2d(wide_in, wide_out, 1, bias=False)
        self.narrow_norm = nn.BatchNorm2d(wide_out)
        self.blocks = nn.Sequential(*(Separable(wide_out, wide_out) for _ in range(blocks)))

    def forward(self, coarse, fine):
        y = torch.relu(self.narrow_norm(self.narrow(coarse)))
        y = nn.functional.interpolate(y, scale_factor=2.0, mode="nearest")
        return self.blocks(y + fine)


class LightNetwork(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(INPUTS, STEM, 3, 2, 1, bias=False)
        self.stem_norm = nn.BatchNorm2d(STEM)
        self.levels = nn.ModuleList()
        before = STEM
        for level, (wide, blocks) in enumerate(zip(WIDTHS, BLOCKS)):
            chain = [Separable(before, wide, 1 if level == 0 else 2)]
            chain += [Separable(wide, wide) for _ in range(blocks - 1)]
            self.levels.append(nn.Sequential(*chain))
            before = wide
        self.lifts = nn.ModuleList(
            DecoderBlock(WIDTHS[level + 1], WIDTHS[level], LIFT_BLOCKS[-1 - level]) for level in reversed(range(len(WIDTHS) - 1)))
        self.head = nn.Conv2d(WIDTHS[0], 4 * OUTPUTS, 1)
        with torch.no_grad():
            # Begins with a little light everywhere, so that every output learns, and with rare lashes.
            bias = self.head.bias.view(OUTPUTS, 4)
            bias[:3], bias[3:] = 0.1, -3.0

    def forward(self, x):
        """x: N x 4 x 256 x 256. Returns roots of light (N x 3 x 256 x 256) and logits of the other two maps."""
        x = torch.relu(self.stem_norm(self.stem(x)))
        finer = []
        for level in self.levels:
            x = level(x)
            finer.append(x)
        finer.pop()
        for lift in self.lifts:
            x = lift(x, finer.pop())
        x = nn.functional.pixel_shuffle(self.head(x).float(), 2)
        roots = torch.relu(x[:, :3])
        if self.training:
            # A little slope below zero, so that no output falls silent for good.
            roots = roots + 0.01 * (x[:, :3] - x[:, :3].detach())
        return roots, x[:, 3:]


def radius_plane(device="cpu"):
    """Distance from the centre, 0 there and 1 at the limbus, minus a half."""
    axis = torch.arange(SIDE, device=device, dtype=torch.float32) + 0.5 - SIDE / 2
    return (axis[None, :] ** 2 + axis[:, None] ** 2).sqrt() / IRIS_RADIUS - 0.5


def network_input(srgb):
    """srgb: N x 3 x 256 x 256, 0 to 1, in steps of 1/255."""
    radius = radius_plane(srgb.device).expand(srgb.shape[0], 1, SIDE, SIDE)
    return torch.cat([srgb * 2 - 1, radius], 1)


if __name__ == "__main__":
    print(sum(p.numel() for p in LightNetwork().parameters()), "parameters")
