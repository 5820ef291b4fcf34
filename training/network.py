"""The segmenter's network: a depthwise-separable U-Net, 256 x 256 RGB in, 128 x 128 maps out.

Only layers that the product's inference code implements are used: a 3x3 convolution with stride 2, depthwise
3x3, pointwise 1x1, nearest x2, addition, a global mean and one linear layer. After export each
convolution has its batch norm folded in and a ReLU behind it unless it feeds an addition or an output.
"""

import torch
from torch import nn

SIDE = 256
OUT = 128
MAPS = ("opening", "iris", "pupil", "reflection")
# The second network (close-ups) also has a map of the iris that lashes and hair occlude.
NEAR_MAPS = (*MAPS, "covered")
WIDTHS = (16, 32, 64, 128, 192, 192)


class Separable(nn.Module):
    """Depthwise 3x3 and pointwise 1x1, each with batch norm and ReLU; adds its input if it can."""

    def __init__(self, wide_in, wide_out, stride=1):
        super().__init__()
        self.depthwise = nn.Conv2d(wide_in, wide_in, 3, stride, 1, groups=wide_in, bias=False)
        self.depthwise_norm = nn.BatchNorm2d(wide_in)
        self.pointwise = nn.Conv2d(wide_in, wide_out, 1, bias=False)
        self.pointwise_norm = nn.BatchNorm2d(wide_out)
        self.adds = stride == 1 and wide_in == wide_out

    def forward(self, x):
        y = torch.relu_(self.depthwise_norm(self.depthwise(x)))
        y = torch.relu_(self.pointwise_norm(self.pointwise(y)))
        return x + y if self.adds else y


class DecoderBlock(nn.Module):
    """Pointwise 1x1 on the coarse map, nearest x2, plus the finer map, then a separable block."""

    def __init__(self, wide_in, wide_out):
        super().__init__()
        self.narrow = nn.Conv2d(wide_in, wide_out, 1, bias=False)
        self.narrow_norm = nn.BatchNorm2d(wide_out)
        self.block = Separable(wide_out, wide_out)

    def forward(self, coarse, fine):
        y = torch.relu_(self.narrow_norm(self.narrow(coarse)))
        y = nn.functional.interpolate(y, scale_factor=2.0, mode="nearest")
        return self.block(y + fine)


class EyeNetwork(nn.Module):
    def __init__(self, maps=MAPS):
        super().__init__()
        w = WIDTHS
        self.stem = nn.Conv2d(3, w[0], 3, 2, 1, bias=False)
        self.stem_norm = nn.BatchNorm2d(w[0])
        self.level0 = Separable(w[0], w[0])
        self.down1 = nn.Sequential(Separable(w[0], w[1], 2), Separable(w[1], w[1]))
        self.down2 = nn.Sequential(Separable(w[1], w[2], 2), Separable(w[2], w[2]))
        self.down3 = nn.Sequential(Separable(w[2], w[3], 2), Separable(w[3], w[3]), Separable(w[3], w[3]))
        self.down4 = nn.Sequential(Separable(w[3], w[4], 2), Separable(w[4], w[4]), Separable(w[4], w[4]))
        self.down5 = nn.Sequential(Separable(w[4], w[5], 2), Separable(w[5], w[5]))
        self.lift4 = DecoderBlock(w[5], w[4])
        self.lift3 = DecoderBlock(w[4], w[3])
        self.lift2 = DecoderBlock(w[3], w[2])
        self.lift1 = DecoderBlock(w[2], w[1])
        self.lift0 = DecoderBlock(w[1], w[0])
        self.head = nn.Conv2d(w[0], len(maps), 1)
        self.presence = nn.Linear(w[5], 1)
        nn.init.constant_(self.head.bias, -1.5)

    def forward(self, x):
        """x: N x 3 x 256 x 256, bytes / 127.5 - 1. Returns logits of the maps and of presence."""
        a = self.level0(torch.relu_(self.stem_norm(self.stem(x))))
        b = self.down1(a)
        c = self.down2(b)
        d = self.down3(c)
        e = self.down4(d)
        f = self.down5(e)
        presence = self.presence(f.mean(dim=(2, 3)))[:, 0]
        y = self.lift4(f, e)
        y = self.lift3(y, d)
        y = self.lift2(y, c)
        y = self.lift1(y, b)
        y = self.lift0(y, a)
        return self.head(y), presence

    def begin_as(self, state):
        """Loads the weights of a network with fewer maps; the additional maps stay newly initialised."""
        head = {name: value for name, value in state.items() if name.startswith("head.")}
        self.load_state_dict({name: value for name, value in state.items() if name not in head}, strict=False)
        with torch.no_grad():
            for name, value in head.items():
                self.get_parameter(name)[:len(value)] = value


if __name__ == "__main__":
    print(sum(p.numel() for p in EyeNetwork().parameters()), "parameters")
