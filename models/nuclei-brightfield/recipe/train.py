"""Train nuclei-brightfield on two CPU cores: ``python train.py DATA --minutes 90``.

DATA holds dsb2018/ and mif_lung_foxp3/. One process renders tiles into a shared pool, the
other trains from it. The run can be stopped at any time: started again with the same
``--work`` folder, it goes on from the last checkpoint. Everything is seeded; the order in
which the two processes meet is not, so two runs agree in quality, not in bits.

``--without NAME`` leaves an ingredient of the renderer out, to see what it is worth;
``--fluorescence`` takes nuclear fluorescence alone (for nuclei-fluorescence).
"""

from __future__ import annotations

import argparse
import multiprocessing as mp
import time
from multiprocessing.shared_memory import SharedMemory
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

import cv2
import numpy as np
import torch

from histo.nuclei.targets import PLANES, decode, encode, turn
from histo.nuclei.training import Trainer, falling_rate

BATCH = 8
POOL = 2400
#: How often a tile is used, turned and coloured anew, before another takes its place.
USES = 4
#: Bytes of a pooled pixel: red, green, blue and the targets.
DEPTH = 3 + PLANES


def _pool(memory: SharedMemory, side: int) -> np.ndarray:
    return np.ndarray((POOL, side, side, DEPTH), np.uint8, buffer=memory.buf)


def render_forever(
    options: argparse.Namespace, name: str, counts: tuple[Synchronized, Synchronized], seed: int
) -> None:
    """Fill the pool, then replace its tiles, oldest first, as fast as they are used."""
    from fluorescence import FluorescenceRenderer
    from render import Renderer
    from sources import load_sources

    cv2.setNumThreads(1)
    filled, wanted = counts
    memory = SharedMemory(name)
    pool = _pool(memory, options.side)
    sources = load_sources(options.data)
    renderer: Renderer | FluorescenceRenderer
    if options.fluorescence:
        renderer = FluorescenceRenderer(sources, seed=seed, side_px=options.side)
    else:
        without = frozenset(options.without)
        renderer = Renderer(sources, seed=seed, side_px=options.side, without=without)
    while True:
        if filled.value >= wanted.value:
            time.sleep(0.02)
            continue
        tile = renderer.draw()
        slot = filled.value % POOL
        pool[slot, ..., :3] = tile.rgb
        pool[slot, ..., 3:] = encode(tile.targets)
        filled.value += 1


def draw_batch(
    pool: np.ndarray, count: int, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Take random tiles, turned and mirrored."""
    tiles = np.stack(
        [
            turn(pool[index], int(rng.integers(4)), rng.random() < 0.5)
            for index in rng.integers(0, min(count, POOL), BATCH)
        ]
    )
    x = torch.from_numpy(np.ascontiguousarray(tiles[..., :3].transpose(0, 3, 1, 2))).float() / 255
    y = torch.from_numpy(np.ascontiguousarray(decode(tiles[..., 3:]).transpose(0, 3, 1, 2)))
    return x, y


class Run:
    """A trainer with its folder: checkpoint, log, and the minutes used so far."""

    def __init__(self, options: argparse.Namespace) -> None:
        options.work.mkdir(parents=True, exist_ok=True)
        torch.set_num_threads(options.threads)
        self.options, self.used = options, 0.0
        self.trainer = Trainer(rate=options.rate, seed=options.seed)
        self._checkpoint = options.work / "checkpoint.pt"
        if self._checkpoint.exists():
            used = self.trainer.restore(self._checkpoint)["used"]
            self.used = 0.0 if options.restart_schedule else float(used)
        elif options.start is not None:
            self.trainer.start_from(torch.load(options.start, weights_only=True))
        self._started = time.time()
        self._running: float | None = None

    @property
    def seconds(self) -> float:
        """Time trained so far, over all sessions."""
        return self.used + time.time() - self._started

    @property
    def rate(self) -> float:
        """Fall with a cosine over the budget."""
        return falling_rate(self.options.rate, self.done)

    @property
    def done(self) -> float:
        """Part of the budget that is used up, 0-1."""
        if self.options.steps:
            return self.trainer.step / self.options.steps
        return self.seconds / (self.options.minutes * 60)

    def step(self, x: torch.Tensor, y: torch.Tensor, rendered: int) -> None:
        """Learn from a batch; log and save now and then."""
        loss = self.trainer.learn(x, y, rate=self.rate)
        self._running = loss if self._running is None else 0.98 * self._running + 0.02 * loss
        step = self.trainer.step
        if step % 50 == 0:
            line = f"step {step} minutes {self.seconds / 60:.1f} loss {self._running:.4f}"
            line += f" rate {self.rate:.2e} rendered {rendered}"
            print(line, flush=True)
            with (self.options.work / "log.txt").open("a") as log:
                log.write(line + "\n")
        if step % 200 == 0:
            self.save()

    def save(self) -> None:
        """Write the checkpoint in one step."""
        state = {**self.trainer.state(), "used": self.seconds}
        torch.save(state, self._checkpoint.with_suffix(".new"))
        self._checkpoint.with_suffix(".new").replace(self._checkpoint)


def train(options: argparse.Namespace) -> None:
    """Train until the minutes are used up, with checkpoints on the way."""
    run = Run(options)
    memory = SharedMemory(create=True, size=POOL * options.side**2 * DEPTH)
    filled, wanted = mp.Value("q", 0), mp.Value("q", options.first)
    seed = options.seed + run.trainer.step
    worker = mp.Process(
        target=render_forever, args=(options, memory.name, (filled, wanted), seed), daemon=True
    )
    worker.start()
    pool = _pool(memory, options.side)
    rng = np.random.default_rng(seed)
    try:
        while filled.value < options.first:
            time.sleep(1)
            if not worker.is_alive():
                raise SystemExit("The renderer stopped; see the message above.")
        run._started = time.time()
        while run.done < 1:
            run.step(*draw_batch(pool, filled.value, rng), filled.value)
            # A tile more for every few that were used, and quicker until the pool is full.
            wanted.value += BATCH // (2 if filled.value < POOL else USES)
        run.save()
        torch.save(run.trainer.average.state_dict(), options.work / "weights.pt")
        print(f"Done: {options.work / 'weights.pt'}")
    finally:
        worker.terminate()
        del pool  # a view would keep the memory from being closed
        memory.close()
        memory.unlink()


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with dsb2018/ and mif_lung_foxp3/")
    parser.add_argument("--work", type=Path, default=Path("training"), help="checkpoints and log")
    parser.add_argument("--minutes", type=float, default=90.0)
    parser.add_argument("--steps", type=int, help="a budget in steps, instead of minutes")
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument(
        "--start", type=Path, help="weights.pt to begin with, such as the model's own"
    )
    parser.add_argument("--without", action="append", default=[], help="ingredient to leave out")
    parser.add_argument("--fluorescence", action="store_true", help="nuclear fluorescence only")
    parser.add_argument("--side", type=int, default=256, help="side of the tiles, px")
    parser.add_argument("--first", type=int, default=400, help="tiles rendered before the start")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--restart-schedule", action="store_true", help="go on with a new schedule")
    train(parser.parse_args())


if __name__ == "__main__":
    main()
