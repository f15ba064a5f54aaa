"""What training a network from the start and refining it on a user's cells have in common."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from histo.nuclei.network import WIDTHS, NucleiNet

__all__ = ["Trainer", "falling_rate", "nuclei_loss", "vary_colour"]

#: Share of the old average that is kept at each step.
AVERAGE = 0.998

#: A seam between nuclei: shallower than this, and no background within a window this wide.
SEAM_DEPTH, SEAM_PX = 0.3, 5

#: What is known of an image counts as much as a whole image, down to this share of it.
LEAST_KNOWN = 0.1


def falling_rate(highest: float, part: float) -> float:
    """Return the learning rate when a part of the time is used: half a cosine, from 1 to 1/200.

    Parameters
    ----------
    highest : float
        The rate at the start.
    part : float
        Of the time, 0-1 and beyond.

    Returns
    -------
    float

    References
    ----------
    Loshchilov and Hutter, SGDR: stochastic gradient descent with warm restarts, ICLR 2017.

    Examples
    --------
    >>> falling_rate(2.0, 0), falling_rate(2.0, 0.5), falling_rate(2.0, 1)
    (2.0, 1.0, 0.01)
    """
    return highest * max(0.5 + 0.5 * math.cos(math.pi * min(part, 1)), 0.005)


def nuclei_loss(
    output: Tensor, target: Tensor, known: Tensor | None = None, classed: Tensor | None = None
) -> Tensor:
    """Say how far the network's planes are from the truth.

    Parameters
    ----------
    output : Tensor (N, 5, H, W)
        As `NucleiNet` returns it.
    target : Tensor (N, 5, H, W)
        Inside a nucleus (0 or 1), relative depth (0-1), DAB-positive (0-1), and the way to the
        centre (y, x) in units of `histo.nuclei.network.OFFSET_PX`.
    known : Tensor (N, H, W), optional
        1 where the truth is known, 0 where nobody has looked; by default all is known. An image
        of which little is known counts as much as others, down to `LEAST_KNOWN`.
    classed : Tensor (N, H, W), optional
        1 where it is known, too, whether a nucleus is positive; by default wherever the rest is.

    Returns
    -------
    Tensor
        One number: weighted cross-entropy and Dice of the foreground, L1 and squares of depth,
        most between nuclei that touch, L1 of the offset, cross-entropy of positivity inside nuclei.

    References
    ----------
    Milletari et al., V-Net (Dice loss), 3DV 2016.

    Examples
    --------
    >>> truth = torch.zeros(1, 5, 8, 8)
    >>> sure = torch.full((1, 5, 8, 8), -20.0) * torch.tensor([1, 0, 1, 0, 0])[:, None, None]
    >>> float(nuclei_loss(sure, truth)) < 0.01
    True
    """
    foreground, depth, positive = output[:, 0], output[:, 1], output[:, 2]
    inside, true_depth, brown = target[:, 0], target[:, 1], target[:, 2]
    if known is None:
        known = torch.ones_like(inside)
    if classed is None:
        classed = torch.ones_like(inside)
    weight = known / known.mean((1, 2), keepdim=True).clamp_min(LEAST_KNOWN)
    borders = 1 + 2 * (inside - true_depth) * inside  # matter more than middles
    entropy = functional.binary_cross_entropy_with_logits(foreground, inside, reduction="none")
    chance = torch.sigmoid(foreground) * known
    overlap = (2 * (chance * inside).sum((1, 2)) + 50) / (
        (chance + inside * known).sum((1, 2)) + 50
    )
    # Between nuclei that touch: where to part them is what is hardest to learn.
    beside_glass = functional.max_pool2d(1 - inside, SEAM_PX, stride=1, padding=SEAM_PX // 2)
    seam = inside * (1 - beside_glass) * (true_depth < SEAM_DEPTH)
    wrong = depth - true_depth
    depth_error = (0.5 * wrong.abs() + 2 * wrong**2) * (1 + 2 * inside + 4 * seam)
    called = functional.binary_cross_entropy_with_logits(positive, brown, reduction="none")
    way = (output[:, 3:] - target[:, 3:]).abs().sum(1) * inside
    called = called * (0.2 + inside) * classed
    dense = entropy * borders + 2 * depth_error + 0.7 * called + way
    return (dense * weight).mean() + 0.5 * (1 - overlap).mean()


def vary_colour(x: Tensor, generator: torch.Generator) -> Tensor:
    """Vary the strength of stain and the colour of light of each image a little.

    Parameters
    ----------
    x : Tensor (N, 3, H, W)
        RGB / 255.
    generator : torch.Generator

    Returns
    -------
    Tensor (N, 3, H, W), 0-1

    Examples
    --------
    >>> vary_colour(torch.ones(2, 3, 4, 4), torch.Generator().manual_seed(0)).shape
    torch.Size([2, 3, 4, 4])
    """

    def draw(channels: int, spread: float) -> Tensor:
        size = (len(x), channels, 1, 1)
        return 1 + spread * (2 * torch.rand(size, generator=generator) - 1)

    strength, light = draw(1, 0.25) * draw(3, 0.06), draw(3, 0.05)
    return (x.clamp_min(1 / 255) ** strength * light).clamp(0, 1)


class Trainer:
    """A network, the running average of its weights, and its optimizer.

    Parameters
    ----------
    widths : tuple of int
        Of the network.
    rate : float
        Highest learning rate.
    seed : int
    warm_up : int
        Steps in which the rate rises.

    Attributes
    ----------
    net, average : NucleiNet
        The network that learns, and the average that is used afterwards.
    step : int
        Steps taken so far.

    Examples
    --------
    >>> trainer = Trainer((8, 16), rate=1e-3, seed=1)
    >>> x, y = torch.rand(1, 3, 16, 16), torch.zeros(1, 5, 16, 16)
    >>> trainer.learn(x, y, rate=1e-3) > 0
    True
    """

    def __init__(
        self,
        widths: tuple[int, ...] = WIDTHS,
        *,
        rate: float = 2e-3,
        seed: int = 1,
        warm_up: int = 150,
    ) -> None:
        torch.manual_seed(seed)
        self.rate, self.warm_up = rate, warm_up
        self.colours = torch.Generator().manual_seed(seed)
        # torch's overloads of Module.to leave out memory_format.
        self.net = NucleiNet(widths).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = NucleiNet(widths).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average.load_state_dict(self.net.state_dict())
        self.average.eval()
        self.optimizer = torch.optim.AdamW(self.net.parameters(), lr=rate, weight_decay=1e-3)
        self.step = 0

    def start_from(self, weights: Mapping[str, Tensor]) -> None:
        """Begin with given weights (float16 on disk, copied into float32)."""
        for net in (self.net, self.average):
            net.load_state_dict(weights)

    def freeze_normalisation(self) -> None:
        """Keep mean and variance of each normalisation, which a few fields would bend."""
        for module in self.net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()

    def learn(
        self,
        x: Tensor,
        y: Tensor,
        *,
        rate: float,
        known: Tensor | None = None,
        classed: Tensor | None = None,
    ) -> float:
        """Take one step over images (N, 3, H, W), RGB / 255; returns the loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate * min(1, (self.step + 1) / self.warm_up)
        x = ((vary_colour(x, self.colours) - 0.5) * 4).to(memory_format=torch.channels_last)
        loss = nuclei_loss(self.net(x), y, known, classed)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 5.0)
        self.optimizer.step()
        self.step += 1
        self._follow()
        return loss.item()

    @torch.no_grad()
    def _follow(self) -> None:
        """Move the average towards the weights."""
        keep = min(AVERAGE, self.step / (self.step + 20))
        weights = self.net.state_dict().values()
        for mean, value in zip(self.average.state_dict().values(), weights, strict=True):
            if mean.dtype.is_floating_point:
                mean.lerp_(value, 1 - keep)
            else:
                mean.copy_(value)

    def state(self) -> dict[str, object]:
        """Return all that is needed to go on later."""
        return {
            "net": self.net.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "colours": self.colours.get_state(),
            "step": self.step,
        }

    def restore(self, path: Path) -> dict[str, Any]:
        """Go on from a checkpoint; returns what else it holds."""
        state: dict[str, Any] = torch.load(path, weights_only=True)
        self.net.load_state_dict(state["net"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.colours.set_state(state["colours"])
        self.step = int(state["step"])
        return state
