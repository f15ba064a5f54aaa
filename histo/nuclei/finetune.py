"""Teach a network that has learned already what nuclei look like in one laboratory's sections.

Arrays in, weights out: where the fields come from, and how the result scores, is not known here.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from histo.errors import ModelError
from histo.nuclei.inference import activation_ranges
from histo.nuclei.network import NucleiNet
from histo.nuclei.targets import decode, encode, targets_of, turn
from histo.nuclei.training import Trainer, falling_rate

__all__ = ["Field", "Paint", "Plan", "Tuned", "fine_tune"]

#: A painted tile is used so often, turned and coloured anew, before another takes its place.
USES = 4
#: Painted tiles that are kept, and that are there before the first step.
POOL, FIRST = 96, 24
#: Seconds between checkpoints.
SAVE_EVERY = 20.0
#: Tiles of each kind on which the ranges of activations are measured.
RANGE_TILES = 12

Bytes = NDArray[np.uint8]
Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """A part of a section, with what is known of it.

    Attributes
    ----------
    rgb : uint8 (Y, X, 3)
        At the model's pixel size.
    labels : int (Y, X)
        Nuclei; 0 is background.
    positive : bool (Y, X)
        Inside DAB-positive nuclei.
    known : bool (Y, X)
        Where every nucleus is among the labels; other pixels do not teach.
    classed : bool (Y, X)
        Where it is known, too, whether a nucleus is positive.

    Raises
    ------
    ValueError
        If the parts differ in size.

    Examples
    --------
    >>> nothing = np.zeros((64, 64), bool)
    >>> rgb = np.full((64, 64, 3), 240, np.uint8)
    >>> Field(rgb, nothing.astype(np.int32), nothing, ~nothing, nothing).known.all()
    np.True_
    """

    rgb: Bytes
    labels: NDArray[np.integer]
    positive: NDArray[np.bool_]
    known: NDArray[np.bool_]
    classed: NDArray[np.bool_]

    def __post_init__(self) -> None:
        shape = self.labels.shape
        planes = (self.positive, self.known, self.classed)
        if self.rgb.shape != (*shape, 3) or any(plane.shape != shape for plane in planes):
            raise ValueError(
                f"a field's parts must have one size, got {self.rgb.shape}, {shape} and "
                f"{', '.join(str(plane.shape) for plane in planes)}."
            )


#: Paints fields with full truth; called again and again with one generator of random numbers.
Paint = Callable[[np.random.Generator], Sequence[Field]]


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how fast to learn.

    Parameters
    ----------
    minutes : float
        Of learning, over all sessions.
    steps : int, optional
        Stop after so many, if that comes first.
    rate : float
        Highest learning rate.
    batch : int
        Tiles in a step, half of them painted.
    side_px : int
        Side of a tile.
    seed : int

    Raises
    ------
    ValueError
        If a value is not above 0, or the batch is below 2.

    Examples
    --------
    >>> Plan(minutes=2).side_px
    256
    """

    minutes: float = 5.0
    steps: int | None = None
    rate: float = 5e-4
    batch: int = 8
    side_px: int = 256
    seed: int = 1

    def __post_init__(self) -> None:
        if not (self.minutes > 0 and self.rate > 0 and self.batch > 1 and self.side_px > 0):
            raise ValueError(f"a plan needs time, a rate, a side and a batch of 2, got {self}.")
        if self.steps is not None and self.steps < 1:
            raise ValueError(f"steps must be 1 or more, got {self.steps}.")


@dataclass(frozen=True, slots=True, eq=False)
class Tuned:
    """What came of it.

    Attributes
    ----------
    weights : dict of str to Tensor
        The running average of the weights.
    ranges : list of (float, float)
        What enters each convolution, for inference in 8 bits.
    steps : int
    seconds : float
        Of learning, over all sessions.
    interrupted : bool
        Whether it was stopped before its time.
    """

    weights: dict[str, Tensor]
    ranges: list[tuple[float, float]]
    steps: int
    seconds: float
    interrupted: bool


def fine_tune(
    start: NucleiNet,
    fields: Sequence[Field],
    paint: Paint,
    plan: Plan,
    *,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
) -> Tuned:
    """Go on learning from a few fields, with painted ones mixed in so that nothing is forgotten.

    Half of each batch are tiles of the fields, half are painted. The normalisations keep the
    mean and variance that they learned from thousands of images: what a few fields would make of
    them fits no other field. Ctrl-C ends it early with what was learned so far.

    Parameters
    ----------
    start : NucleiNet
        Not changed.
    fields : sequence of Field
    paint : callable
        Paints fields of at least ``plan.side_px``; each is used about `USES` times.
    plan : Plan
    checkpoint : path, optional
        Where to save now and then; when it is there already, learning goes on from it.
    progress : callable, optional
        Takes what is done in words, and the part of it that is done, 0-1.

    Returns
    -------
    Tuned

    Raises
    ------
    ValueError
        If no pixel of the fields is known.
    ModelError
        If the checkpoint does not fit, or the loss is no number any more.
    KeyboardInterrupt
        If it is interrupted before the first step.

    References
    ----------
    Rebuffi et al., iCaRL, CVPR 2017: rehearsal against forgetting. Polyak and Juditsky, SIAM J
    Control Optim 30:838 (1992): the average of the weights is better than the last ones.

    Examples
    --------
    >>> empty = np.zeros((32, 32), bool)
    >>> glass = Field(np.full((32, 32, 3), 240, np.uint8), empty.astype(int), empty, ~empty, empty)
    >>> plan = Plan(steps=2, side_px=32, batch=2)
    >>> fine_tune(NucleiNet((8, 16)), [glass], lambda rng: [glass], plan).steps
    2
    """
    run = _Run(start, fields, paint, plan, checkpoint)
    interrupted = False
    try:
        run.learn(progress or (lambda words, part: None))
    except KeyboardInterrupt:
        if not run.trainer.step:
            raise
        interrupted = True
    seconds = run.seconds
    run.save()
    weights = {name: value.clone() for name, value in run.trainer.average.state_dict().items()}
    return Tuned(weights, run.ranges(), run.trainer.step, seconds, interrupted)


class _Run:
    """A trainer with its two sources of tiles, its clock and its checkpoint."""

    def __init__(
        self,
        start: NucleiNet,
        fields: Sequence[Field],
        paint: Paint,
        plan: Plan,
        checkpoint: Path | None,
    ) -> None:
        self.plan, self._checkpoint = plan, checkpoint
        self.trainer = Trainer(start.widths, rate=plan.rate, seed=plan.seed, warm_up=20)
        self.trainer.start_from(start.state_dict())
        self.trainer.freeze_normalisation()
        self._used = 0.0
        if checkpoint is not None and checkpoint.is_file():
            self._used = _restore(self.trainer, checkpoint)
        self._started = self._saved = time.monotonic()
        # Not the same tiles again after a stop: the step is part of the seed.
        rng = np.random.default_rng([plan.seed, self.trainer.step])
        self._own = _OwnTiles(fields, plan.side_px, rng)
        self._painted = _PaintedTiles(paint, plan.side_px, rng)

    @property
    def seconds(self) -> float:
        return self._used + time.monotonic() - self._started

    @property
    def part(self) -> float:
        """The part of the plan that is done, 0-1."""
        part = self.seconds / (60 * self.plan.minutes)
        if self.plan.steps is not None:
            part = max(part, self.trainer.step / self.plan.steps)
        return min(part, 1.0)

    def learn(self, tell: Progress) -> None:
        """Take steps until the plan is done."""
        tell("painting sections to mix in", 0.0)
        self._painted.fill(FIRST)
        self._started = time.monotonic()
        while (part := self.part) < 1:
            own = self.plan.batch // 2
            tiles = self._own.draw(own) + self._painted.draw(self.plan.batch - own)
            x, y, known, classed = _as_tensors(tiles)
            rate = falling_rate(self.plan.rate, part)
            loss = self.trainer.learn(x, y, rate=rate, known=known, classed=classed)
            if not math.isfinite(loss):
                raise ModelError(
                    f"Learning went astray at step {self.trainer.step} (the loss is {loss}); look "
                    "at the outlines that it learns from, then start again with --force."
                )
            tell(f"learning, step {self.trainer.step}", self.part)
            if time.monotonic() - self._saved > SAVE_EVERY:
                self.save()

    def save(self) -> None:
        """Write the checkpoint in one step."""
        self._saved = time.monotonic()
        if self._checkpoint is None:
            return
        temporary = self._checkpoint.with_suffix(".new")
        torch.save({**self.trainer.state(), "used": self.seconds}, temporary)
        temporary.replace(self._checkpoint)

    def ranges(self) -> list[tuple[float, float]]:
        """Measure the activations over tiles of both kinds, with the weights as they are stored."""
        net = NucleiNet(self.trainer.net.widths)
        state = self.trainer.average.state_dict().items()
        net.load_state_dict(
            {n: v.half().float() if v.dtype.is_floating_point else v for n, v in state}
        )
        self._painted.fill(1)
        tiles = self._own.draw(RANGE_TILES) + self._painted.draw(RANGE_TILES)
        return activation_ranges(net.eval(), [np.ascontiguousarray(t[..., :3]) for t in tiles])


def _restore(trainer: Trainer, checkpoint: Path) -> float:
    """Go on from a checkpoint; returns the seconds used before."""
    try:
        return float(trainer.restore(checkpoint)["used"])
    except (RuntimeError, ValueError, KeyError, EOFError, OSError) as error:
        raise ModelError(
            f"{checkpoint}: the half-finished training cannot be read ({type(error).__name__}); "
            "start again with --force."
        ) from error


#: Where what is known, and what is inside nuclei, stand among the bytes of a pixel.
_KNOWN, _INSIDE = 3, 5
#: A pixel beyond a field: white and unknown; its offsets are 0.
_BEYOND = np.array([255, 255, 255, 0, 0, 0, 0, 0, 128, 128], np.uint8)


def _coded(field: Field, side_px: int) -> Bytes:
    """Return a field as bytes: colour, known, classed and targets; at least a tile large."""
    targets = encode(targets_of(field.labels, field.positive))
    height, width = field.labels.shape
    coded = np.empty((max(height, side_px), max(width, side_px), len(_BEYOND)), np.uint8)
    coded[...] = _BEYOND
    planes = (field.rgb, field.known[..., None], field.classed[..., None], targets)
    coded[:height, :width] = np.concatenate(planes, -1)
    return coded


class _OwnTiles:
    """Random tiles of the fields: half around known nuclei, half around any known pixel."""

    def __init__(self, fields: Sequence[Field], side_px: int, rng: np.random.Generator) -> None:
        self._side, self._rng = side_px, rng
        self._fields = [_coded(field, side_px) for field in fields if field.known.any()]
        if not self._fields:
            raise ValueError("no pixel of the fields is known.")
        known = np.array([field[..., _KNOWN].sum(dtype=float) for field in self._fields])
        nuclei = np.array([self._nuclei(field).sum(dtype=float) for field in self._fields])
        self._shares = [n / n.sum() for n in (known, nuclei) if n.any()]

    @staticmethod
    def _nuclei(field: Bytes) -> NDArray[np.bool_]:
        return np.asarray((field[..., _KNOWN] > 0) & (field[..., _INSIDE] > 0))

    def draw(self, count: int) -> list[Bytes]:
        return [self._one() for _ in range(count)]

    def _one(self) -> Bytes:
        rng, side = self._rng, self._side
        kind = int(rng.integers(len(self._shares)))
        field = self._fields[rng.choice(len(self._fields), p=self._shares[kind])]
        wanted = self._nuclei(field) if kind else field[..., _KNOWN] > 0
        places = np.flatnonzero(wanted)
        y, x = np.unravel_index(places[rng.integers(len(places))], wanted.shape)
        top, left = (
            int(np.clip(at - rng.integers(side), 0, length - side))
            for at, length in zip((y, x), wanted.shape, strict=True)
        )
        tile = field[top : top + side, left : left + side]
        return turn(tile, int(rng.integers(4)), rng.random() < 0.5)


class _PaintedTiles:
    """Painted tiles without end, each used a few times."""

    def __init__(self, paint: Paint, side_px: int, rng: np.random.Generator) -> None:
        self._paint, self._side, self._rng = paint, side_px, rng
        self._pool: deque[Bytes] = deque(maxlen=POOL)
        self._painted = self._drawn = 0

    def fill(self, count: int) -> None:
        """Paint until so many tiles have been painted."""
        while self._painted < count:
            new = [_coded(field, self._side) for field in self._paint(self._rng)]
            self._pool.extend(new)
            self._painted += len(new)

    def draw(self, count: int) -> list[Bytes]:
        self._drawn += count
        self.fill(math.ceil(self._drawn / USES))
        tiles = [self._pool[index] for index in self._rng.integers(0, len(self._pool), count)]
        side = self._side
        return [
            turn(tile[:side, :side], int(self._rng.integers(4)), self._rng.random() < 0.5)
            for tile in tiles
        ]


def _as_tensors(tiles: list[Bytes]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return colour (N, 3, S, S), targets (N, 5, S, S), known and classed (N, S, S)."""
    stack = np.stack(tiles)
    rgb, y = stack[..., :3].transpose(0, 3, 1, 2), decode(stack[..., _INSIDE:])
    return (
        torch.from_numpy(np.ascontiguousarray(rgb)).float() / 255,
        torch.from_numpy(np.ascontiguousarray(y.transpose(0, 3, 1, 2))),
        torch.from_numpy(stack[..., _KNOWN].astype(np.float32)),
        torch.from_numpy(stack[..., _KNOWN + 1].astype(np.float32)),
    )
