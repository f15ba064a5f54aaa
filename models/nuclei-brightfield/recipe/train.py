"""Train nuclei-brightfield on two CPU cores: ``python train.py DATA --minutes 90``.

DATA holds dsb2018/ and mif_lung_foxp3/. One process renders tiles into a shared pool, the
other trains from it. The run can be stopped at any time: started again with the same
``--work`` folder, it goes on from the last checkpoint. Everything is seeded; the order in
which the two processes meet is not, so two runs agree in quality, not in bits.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing as mp
import time
from multiprocessing.shared_memory import SharedMemory
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from histo.nuclei.network import NucleiNet

SIDE = 256
BATCH = 8
POOL = 2400
#: Planes of a pooled tile, all uint8: red, green, blue and the three targets x 255.
PLANES = 6


def _pool(memory: SharedMemory) -> np.ndarray:
    return np.ndarray((POOL, SIDE, SIDE, PLANES), np.uint8, buffer=memory.buf)


def render_forever(
    data: Path, name: str, filled: Synchronized, wanted: Synchronized, seed: int
) -> None:
    """Fill the pool, then replace its tiles, oldest first, as fast as they are used."""
    from render import Renderer
    from sources import cut_nuclei, load_sources

    cv2.setNumThreads(1)
    memory = SharedMemory(name)
    pool = _pool(memory)
    sources = load_sources(data)
    renderer = Renderer(sources, cut_nuclei(sources), seed=seed, side_px=SIDE)
    while True:
        if filled.value >= wanted.value:
            time.sleep(0.02)
            continue
        tile = renderer.draw()
        slot = filled.value % POOL
        pool[slot, ..., :3] = tile.rgb
        pool[slot, ..., 3:] = np.round(tile.targets * 255).transpose(1, 2, 0)
        filled.value += 1


def draw_batch(pool: np.ndarray, count: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Take random tiles, turned and flipped."""
    tiles = []
    for index in rng.integers(0, min(count, POOL), BATCH):
        tile = np.rot90(pool[index], rng.integers(4))
        tiles.append(tile[:, ::-1] if rng.random() < 0.5 else tile)
    batch = torch.from_numpy(np.stack(tiles).transpose(0, 3, 1, 2).copy()).float() / 255
    x = ((batch[:, :3] - 0.5) * 4).to(memory_format=torch.channels_last)
    return x, batch[:, 3:]


def loss_of(output: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy and Dice of the foreground, L1 of the distance, cross-entropy of positivity."""
    foreground, distance, positive = output.float().unbind(1)
    inside, depth, brown = target.unbind(1)
    weight = 1 + 2 * (inside - depth) * inside  # borders matter more than middles
    entropy = (
        functional.binary_cross_entropy_with_logits(foreground, inside, reduction="none") * weight
    ).mean()
    chance = torch.sigmoid(foreground)
    overlap = (2 * (chance * inside).sum((1, 2)) + 50) / ((chance + inside).sum((1, 2)) + 50)
    depth_error = ((distance - depth).abs() * (1 + 2 * inside)).mean()
    called = functional.binary_cross_entropy_with_logits(positive, brown, reduction="none")
    called = (called * (0.2 + inside)).mean()
    return entropy + 0.5 * (1 - overlap).mean() + 2 * depth_error + 0.7 * called


class Training:
    """A network, the running average of its weights, its optimizer, and how far they came."""

    def __init__(self, options: argparse.Namespace) -> None:
        options.work.mkdir(parents=True, exist_ok=True)
        torch.set_num_threads(options.threads)
        torch.manual_seed(options.seed)
        self.options = options
        self.net = NucleiNet().to(memory_format=torch.channels_last)
        self.average = NucleiNet().to(memory_format=torch.channels_last)
        self.average.load_state_dict(self.net.state_dict())
        self.optimizer = torch.optim.AdamW(
            self.net.parameters(), lr=options.rate, weight_decay=1e-3
        )
        self.step, self.used = 0, 0.0
        self._checkpoint = options.work / "checkpoint.pt"
        if self._checkpoint.exists():
            self._load()
        elif options.start is not None:
            weights = torch.load(options.start, weights_only=True)
            for net in (self.net, self.average):
                net.load_state_dict(weights)  # float16 on disk, copied into float32
        self._started = time.time()

    @property
    def seconds(self) -> float:
        """Time trained so far, over all runs."""
        return self.used + time.time() - self._started

    def set_rate(self, budget: float) -> float:
        """Warm up, then fall with a cosine over the seconds of the budget."""
        part = self.seconds / budget
        rate = self.options.rate * min(1, (self.step + 1) / 150)
        rate *= 0.5 + 0.5 * math.cos(math.pi * part)
        for group in self.optimizer.param_groups:
            group["lr"] = max(rate, self.options.rate * 0.005)
        return rate

    def learn(self, x: Tensor, y: Tensor) -> float:
        """Take one step; returns the loss."""
        with torch.autocast("cpu", torch.bfloat16):
            output = self.net(x)
        loss = loss_of(output, y)
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 5.0)
        self.optimizer.step()
        self.step += 1
        self._follow()
        return loss.item()

    @torch.no_grad()
    def _follow(self) -> None:
        """Move the average towards the weights."""
        keep = min(0.998, self.step / (self.step + 20))
        weights = self.net.state_dict().values()
        for mean, value in zip(self.average.state_dict().values(), weights, strict=True):
            if mean.dtype.is_floating_point:
                mean.lerp_(value, 1 - keep)
            else:
                mean.copy_(value)

    def _load(self) -> None:
        state = torch.load(self._checkpoint, weights_only=True)
        self.net.load_state_dict(state["net"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]
        self.used = 0.0 if self.options.restart_schedule else state["used"]

    def save(self) -> None:
        """Write the checkpoint in one step."""
        state = {
            "net": self.net.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "used": self.seconds,
        }
        torch.save(state, self._checkpoint.with_suffix(".new"))
        self._checkpoint.with_suffix(".new").replace(self._checkpoint)


def train(options: argparse.Namespace) -> None:
    """Train until the minutes are used up, with checkpoints on the way."""
    training = Training(options)
    memory = SharedMemory(create=True, size=POOL * SIDE * SIDE * PLANES)
    filled, wanted = mp.Value("q", 0), mp.Value("q", POOL)
    seed = options.seed + training.step
    worker = mp.Process(
        target=render_forever,
        args=(options.data, memory.name, filled, wanted, seed),
        daemon=True,
    )
    worker.start()
    pool = _pool(memory)
    rng = np.random.default_rng(seed)
    budget, running = options.minutes * 60, None
    try:
        while filled.value < 320:
            time.sleep(1)
            if not worker.is_alive():
                raise SystemExit("The renderer stopped; see the message above.")
        with (options.work / "log.txt").open("a") as log:
            while training.seconds < budget:
                rate = training.set_rate(budget)
                loss = training.learn(*draw_batch(pool, filled.value, rng))
                wanted.value += BATCH
                running = loss if running is None else 0.98 * running + 0.02 * loss
                if training.step % 50 == 0:
                    minutes = training.seconds / 60
                    line = f"step {training.step} minutes {minutes:.1f} loss {running:.4f}"
                    line += f" rate {rate:.2e} rendered {filled.value}"
                    print(line, flush=True)
                    log.write(line + "\n")
                    log.flush()
                if training.step % 200 == 0:
                    training.save()
        training.save()
        torch.save(training.average.state_dict(), options.work / "weights.pt")
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
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument(
        "--start", type=Path, help="weights.pt to begin with, such as the model's own"
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--restart-schedule", action="store_true", help="go on with a new schedule")
    train(parser.parse_args())


if __name__ == "__main__":
    main()
