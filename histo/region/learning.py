"""A region model learns from a few strokes or polygons, in a minute or so."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from histo.region.maps import PLANES
from histo.region.network import RegionNet

__all__ = ["RegionLesson", "learn_regions", "new_network"]

_SIDE_PX, _BATCH = 64, 8
_RATE = 4e-3

#: How much stain, and density and shape, vary between slides: spread of a plane's log gain.
_STAIN_GAIN, _GAIN = 0.25, 0.12


@dataclass(frozen=True, slots=True, eq=False)
class RegionLesson:
    """One slide, or a part of it, of which some is known.

    Attributes
    ----------
    maps : float32 (P, Y, X)
        From `histo.region.maps.RegionMaps`, all lessons with the same planes.
    classes : uint8 (Y, X)
        0 where nothing is known, else 1 + the class's position.
    """

    maps: npt.NDArray[np.float32]
    classes: npt.NDArray[np.uint8]


def learn_regions(
    lessons: Sequence[RegionLesson],
    start: RegionNet,
    *,
    steps: int = 400,
    seed: int = 1,
    progress: Callable[[float], None] | None = None,
) -> RegionNet:
    """Train a network on what is known; each class weighs the same.

    Parameters
    ----------
    lessons : sequence of RegionLesson
    start : RegionNet
        A new one, or one to go on from; it stays as it is.
    steps : int
    seed : int
    progress : callable, optional
        Takes the part done, 0-1.

    Returns
    -------
    RegionNet
        The average of the last steps' weights, in evaluation mode.

    Raises
    ------
    ValueError
        If a class is known nowhere.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> maps = rng.normal(0, 1, (len(PLANES), 100, 100)).astype(np.float32)
    >>> known = np.where(maps[2] > 0, 1, 2).astype(np.uint8)
    >>> net = learn_regions([RegionLesson(maps, known)], new_network(len(PLANES), 2), steps=3)
    >>> net.training
    False
    """
    classes = start.leave.out_channels
    counts = np.zeros(classes + 1)
    for lesson in lessons:
        counts += np.bincount(lesson.classes.ravel(), minlength=classes + 1)[: classes + 1]
    if (counts[1:] == 0).any():
        raise ValueError(
            f"each of the {classes} classes must be known somewhere, got {counts[1:]}."
        )
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    net, average = deepcopy(start).train(), deepcopy(start)
    optimizer = torch.optim.AdamW(net.parameters(), lr=_RATE, weight_decay=1e-2)
    weight = torch.tensor(counts[1:].sum() / (classes * counts[1:]), dtype=torch.float32)
    loss_of = torch.nn.CrossEntropyLoss(weight=weight, ignore_index=-1)
    draw = _Tiles(lessons, rng)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = _RATE * 0.5 * (1 + math.cos(math.pi * step / steps))
        x, y = draw()
        loss = loss_of(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimizer.step()
        _follow(average, net, keep=min(0.98, step / (step + 10)))
        if progress is not None:
            progress((step + 1) / steps)
    return average.eval()


def new_network(planes: int, classes: int, *, seed: int = 1) -> RegionNet:
    """Return a network that knows nothing yet, always the same one for a seed."""
    torch.manual_seed(seed)
    return RegionNet(planes, classes)


@torch.no_grad()
def _follow(average: RegionNet, net: RegionNet, *, keep: float) -> None:
    weights = net.state_dict().values()
    for mean, value in zip(average.state_dict().values(), weights, strict=True):
        if mean.dtype.is_floating_point:
            mean.lerp_(value, 1 - keep)
        else:
            mean.copy_(value)


class _Tiles:
    """Draws batches of squares around known pixels, turned, mirrored, with other gains."""

    def __init__(self, lessons: Sequence[RegionLesson], rng: np.random.Generator) -> None:
        self._rng = rng
        count = len(lessons[0].maps)
        is_stain = [index < 2 or index >= len(PLANES) for index in range(count)]
        self._spread = torch.tensor([[_STAIN_GAIN if one else _GAIN] for one in is_stain])
        pad = _SIDE_PX // 2
        self._maps = [
            np.pad(one.maps, ((0, 0), (pad, pad), (pad, pad)), mode="reflect")
            if min(one.classes.shape) > pad
            else np.pad(one.maps, ((0, 0), (pad, pad), (pad, pad)), mode="edge")
            for one in lessons
        ]
        self._known = [np.pad(one.classes, pad) for one in lessons]
        self._at = [np.argwhere(one.classes > 0) for one in lessons]
        sizes = np.array([len(at) for at in self._at], float)
        self._odds = np.sqrt(sizes) / np.sqrt(sizes).sum()

    def __call__(self) -> tuple[torch.Tensor, torch.Tensor]:
        rng, xs, ys = self._rng, [], []
        for _ in range(_BATCH):
            which = rng.choice(len(self._at), p=self._odds)
            y, x = self._at[which][rng.integers(len(self._at[which]))]
            square = (slice(y, y + _SIDE_PX), slice(x, x + _SIDE_PX))
            turn, flip = int(rng.integers(4)), rng.random() < 0.5
            maps = np.rot90(self._maps[which][(slice(None), *square)], turn, (1, 2))
            known = np.rot90(self._known[which][square], turn)
            xs.append(maps[..., ::-1] if flip else maps)
            ys.append(known[..., ::-1] if flip else known)
        x = torch.from_numpy(np.ascontiguousarray(np.stack(xs), np.float32))
        y = torch.from_numpy(np.ascontiguousarray(np.stack(ys)).astype(np.int64)) - 1
        gains = rng.normal(0, 1, (_BATCH, len(self._spread), 1)).astype(np.float32)
        return x * torch.exp(torch.from_numpy(gains) * self._spread)[..., None], y
