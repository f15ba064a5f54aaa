"""The network: a small U-Net whose first step folds 2 x 2 pixels into channels.

Working at half resolution inside, and joining levels by addition instead of concatenation,
it needs 13,000 multiplications a pixel: a third of the usual U-Net of this depth, so that
two CPU cores train it in an hour or two and read millions of pixels a second with it.
"""

from __future__ import annotations

import copy

from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

__all__ = ["OFFSET_PX", "OUTPUTS", "STRIDE", "WIDTHS", "NucleiNet"]

#: What the planes of the output mean.
OUTPUTS = ("foreground", "distance", "dab_positive", "offset_y", "offset_x")

#: Channels of each level, from half resolution down.
WIDTHS = (24, 48, 96, 160, 192)

#: Height and width of the input must be multiples of this.
STRIDE = 2 ** len(WIDTHS)

#: The offset planes count in units of this many pixels.
OFFSET_PX = 16.0


def _convolution(channels_in: int, channels_out: int) -> list[nn.Module]:
    return [
        nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    ]


class NucleiNet(nn.Module):
    """U-Net with a pixel-unshuffle stem and a pixel-shuffle head.

    Parameters
    ----------
    widths : tuple of int
        Channels of each level, from half resolution down.

    Notes
    -----
    Input: float32 (N, 3, H, W), RGB / 255, centred as ``(x - 0.5) * 4``; H and W multiples
    of ``2 ** len(widths)``. Output: float32 (N, 5, H, W): the logit of "inside a nucleus",
    the distance to the nucleus' border divided by its largest value in that nucleus, the
    logit of "inside a DAB-positive nucleus", and the vector (y, x) to the centre of the
    nucleus in units of `OFFSET_PX`.

    References
    ----------
    Ronneberger et al., U-Net, MICCAI 2015. Shi et al., sub-pixel convolution, CVPR 2016.
    Chaurasia and Culurciello, LinkNet (levels joined by addition), VCIP 2017.

    Examples
    --------
    >>> import torch
    >>> net = NucleiNet((8, 16))
    >>> tuple(net(torch.zeros(1, 3, 32, 48)).shape)
    (1, 5, 32, 48)
    """

    def __init__(self, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        self.widths = tuple(widths)
        self.stem = nn.PixelUnshuffle(2)
        self.down = nn.ModuleList()
        channels = 12
        for width in widths:
            layers = _convolution(channels, width) + _convolution(width, width)
            if width == widths[-1]:  # cheap down here, and it widens the view
                layers += _convolution(width, width)
            self.down.append(nn.Sequential(*layers))
            channels = width
        self.narrow, self.up = nn.ModuleList(), nn.ModuleList()
        for width in reversed(widths[:-1]):
            self.narrow.append(nn.Conv2d(channels, width, 1, bias=False))
            self.up.append(nn.Sequential(*_convolution(width, width)))
            channels = width
        self.head = nn.Conv2d(channels, 4 * len(OUTPUTS), 1)
        self.unfold = nn.PixelShuffle(2)

    def fused(self) -> NucleiNet:
        """Return a copy for inference, each normalisation folded into its convolution.

        The same function to rounding, an eighth quicker; it cannot be trained further.
        """
        net = copy.deepcopy(self).eval()
        for blocks in (net.down, net.up):
            for number, block in enumerate(blocks):
                layers: list[nn.Module] = []
                for layer in block.children():
                    before = layers[-1] if layers else None
                    if isinstance(layer, nn.BatchNorm2d) and isinstance(before, nn.Conv2d):
                        layers[-1] = fuse_conv_bn_eval(before, layer)
                    else:
                        layers.append(layer)
                blocks[number] = nn.Sequential(*layers)
        return net

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 3, H, W) to (N, 5, H, W)."""
        skips: list[Tensor] = []
        x = self.stem(x)
        for level, block in enumerate(self.down):
            if level:
                x = nn.functional.max_pool2d(x, 2)
            x = block(x)
            skips.append(x)
        skips.pop()
        for narrow, block in zip(self.narrow, self.up, strict=True):
            x = nn.functional.interpolate(narrow(x), scale_factor=2.0, mode="nearest")
            x = block(x + skips.pop())
        result: Tensor = self.unfold(self.head(x))
        return result
