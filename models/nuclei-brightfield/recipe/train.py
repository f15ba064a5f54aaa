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
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

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
    entropy = (F.binary_cross_entropy_with_logits(foreground, inside, reduction="none") * weight).mean()
    chance = torch.sigmoid(foreground)
    overlap = (2 * (chance * inside).sum((1, 2)) + 50) / ((chance + inside).sum((1, 2)) + 50)
    depth_error = ((distance - depth).abs() * (1 + 2 * inside)).mean()
    called = F.binary_cross_entropy_with_logits(positive, brown, reduction="none")
    called = (called * (0.2 + inside)).mean()
    return entropy + 0.5 * (1 - overlap).mean() + 2 * depth_error + 0.7 * called


def train(options: argparse.Namespace) -> None:
    """Train until the minutes are used up, with checkpoints on the way."""
    options.work.mkdir(parents=True, exist_ok=True)
    checkpoint = options.work / "checkpoint.pt"
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    net = NucleiNet().to(memory_format=torch.channels_last)
    average = NucleiNet().to(memory_format=torch.channels_last)
    average.load_state_dict(net.state_dict())
    optimizer = torch.optim.AdamW(net.parameters(), lr=options.rate, weight_decay=1e-3)
    step, used = 0, 0.0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        net.load_state_dict(state["net"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        step, used = state["step"], state["used"]
        if options.restart_schedule:
            used = 0.0

    memory = SharedMemory(create=True, size=POOL * SIDE * SIDE * PLANES)
    filled, wanted = mp.Value("q", 0), mp.Value("q", POOL)
    worker = mp.Process(
        target=render_forever,
        args=(options.data, memory.name, filled, wanted, options.seed + step),
        daemon=True,
    )
    worker.start()
    pool = _pool(memory)
    rng = np.random.default_rng(options.seed + step)
    while filled.value < 320:
        time.sleep(1)
        if not worker.is_alive():
            raise SystemExit("The renderer stopped; see the message above.")
    budget, running, started = options.minutes * 60, None, time.time()
    log = (options.work / "log.txt").open("a")
    try:
        while used + (time.time() - started) < budget:
            progress = (used + time.time() - started) / budget
            rate = options.rate * min(1, (step + 1) / 150) * (0.5 + 0.5 * math.cos(math.pi * progress))
            for group in optimizer.param_groups:
                group["lr"] = max(rate, options.rate * 0.005)
            x, y = draw_batch(pool, filled.value, rng)
            with torch.autocast("cpu", torch.bfloat16):
                output = net(x)
            loss = loss_of(output, y)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
            optimizer.step()
            step += 1
            wanted.value += BATCH
            with torch.no_grad():
                keep = min(0.998, step / (step + 20))
                for a, b in zip(average.state_dict().values(), net.state_dict().values(), strict=True):
                    if a.dtype.is_floating_point:
                        a.lerp_(b, 1 - keep)
                    else:
                        a.copy_(b)
            running = loss.item() if running is None else 0.98 * running + 0.02 * loss.item()
            if step % 50 == 0:
                line = f"step {step} minutes {(used + time.time() - started) / 60:.1f} loss {running:.4f} rate {rate:.2e} rendered {filled.value}"
                print(line, flush=True)
                log.write(line + "\n")
                log.flush()
            if step % 200 == 0:
                _save(checkpoint, net, average, optimizer, step, used + time.time() - started)
        _save(checkpoint, net, average, optimizer, step, used + time.time() - started)
        torch.save(average.state_dict(), options.work / "weights.pt")
        print(f"Done: {options.work / 'weights.pt'}")
    finally:
        worker.terminate()
        memory.close()
        memory.unlink()


def _save(path, net, average, optimizer, step, used) -> None:  # noqa: PLR0913
    state = {
        "net": net.state_dict(),
        "average": average.state_dict(),
        "optimizer": optimizer.state_dict(),
        "step": step,
        "used": used,
    }
    torch.save(state, path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with dsb2018/ and mif_lung_foxp3/")
    parser.add_argument("--work", type=Path, default=Path("training"), help="checkpoints and log")
    parser.add_argument("--minutes", type=float, default=90.0)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--restart-schedule", action="store_true", help="go on with a new schedule")
    train(parser.parse_args())


if __name__ == "__main__":
    main()
