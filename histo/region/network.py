"""The network that tells compartments apart: a few dilated convolutions over the maps."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["REACH_PX", "RegionNet"]

_DILATIONS = (1, 2, 4, 8)

REACH_PX = sum(_DILATIONS)
"""How far a pixel's result looks, px of the maps."""


def _step(width: int, dilation: int) -> nn.Sequential:
    convolution = nn.Conv2d(
        width,
        width,
        3,
        padding=dilation,
        dilation=dilation,
        bias=False,
        padding_mode="replicate",
    )
    return nn.Sequential(convolution, nn.BatchNorm2d(width), nn.ReLU())


class RegionNet(nn.Module):
    """Planes in, class scores out, at the same size.

    Parameters
    ----------
    planes : int
        Number of maps.
    classes : int
    width : int
        Channels inside.

    Examples
    --------
    >>> import torch
    >>> RegionNet(17, 2)(torch.zeros(1, 17, 40, 50)).shape
    torch.Size([1, 2, 40, 50])
    """

    def __init__(self, planes: int, classes: int, *, width: int = 24) -> None:
        super().__init__()
        self.enter = nn.Sequential(nn.BatchNorm2d(planes), nn.Conv2d(planes, width, 1), nn.ReLU())
        self.steps = nn.ModuleList(_step(width, dilation) for dilation in _DILATIONS)
        self.leave = nn.Conv2d(width, classes, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """Return scores (N, classes, Y, X) of maps (N, planes, Y, X)."""
        x = self.enter(maps)
        for step in self.steps:
            x = x + step(x)
        scores: Tensor = self.leave(x)
        return scores
