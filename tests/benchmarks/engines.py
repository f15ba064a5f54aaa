"""Compare what can run the network: ``python engines.py [--model nuclei-brightfield]``.

Each engine reads the same painted tissue on all cores, as the pipeline does (a tile a worker);
eager torch reads tile after tile with all threads. Two rounds, the better one counts; in one
process, since machines differ: the ratios count. How far the planes are from those of torch in
float32 stands beside the speed. Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch

from histo.nuclei import read_card
from histo.nuclei.inference import CpuEngine, Planes, torch_engine
from histo.nuclei.writing import load_net
from histo.phantom import Composition, Recipe, paint_phantom
from histo.threads import in_order, worker_count

SIDE, TILES = 1152, 6


def eager(net: torch.nn.Module) -> Planes:
    """Run the network as it was trained: float32, not fused, torch's own order of memory."""
    net = net.float().eval().to(memory_format=torch.contiguous_format)

    def run(rgb: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            x = torch.tensor(rgb).permute(2, 0, 1)[None].float()
            planes = net(((x / 255 - 0.5) * 4).contiguous())[0]
            planes[0:3:2].sigmoid_()
        return planes.numpy()

    return run


def compiled(net: torch.nn.Module, example: np.ndarray) -> Planes:
    """Run torch.compile's code in bfloat16."""
    torch.set_num_threads(worker_count())
    fast = torch.compile(net.fused().to(memory_format=torch.channels_last))  # type: ignore[operator]

    def run(rgb: np.ndarray) -> np.ndarray:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            x = torch.tensor(rgb).permute(2, 0, 1)[None].float()
            planes = fast(((x / 255 - 0.5) * 4).contiguous(memory_format=torch.channels_last))
            planes = planes[0].float()
            planes[0:3:2].sigmoid_()
        return planes.numpy()

    run(example)
    return run


def speed(run: Planes, images: list[np.ndarray], workers: int) -> float:
    """Return MPix/s, the better of two rounds."""
    list(in_order(run, images[:workers], workers=workers))  # warm up
    best = 0.0
    for _ in range(2):
        start = time.perf_counter()
        for _ in in_order(run, images, workers=workers):
            pass
        best = max(best, len(images) * SIDE**2 / 1e6 / (time.perf_counter() - start))
    return best


def main() -> None:
    """Read the command line, run, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="nuclei-brightfield")
    name = parser.parse_args().model
    card = read_card(name)
    field = paint_phantom(
        Recipe("foxp3-dab", Composition()), 5, shape=(SIDE, SIDE), pixel_size_um=0.5
    ).image
    images = [np.ascontiguousarray(np.roll(field, 97 * n, axis=1)) for n in range(TILES)]
    cpu = torch.device("cpu")
    many = worker_count()
    torch.set_num_threads(many)
    engines: dict[str, tuple[Callable[[], Planes], int]] = {
        "torch eager, float32": (lambda: eager(load_net(card)), 1),
        "torch, channels last, fused": (
            lambda: torch_engine(load_net(card), cpu, torch.float32),
            1,
        ),
        "torch, the same in bfloat16": (
            lambda: torch_engine(load_net(card), cpu, torch.bfloat16),
            1,
        ),
        "torch.compile, bfloat16": (lambda: compiled(load_net(card), images[0]), 1),
        "OpenVINO, float32": (lambda: CpuEngine(load_net(card)), many),
        "OpenVINO, 8 bits": (lambda: CpuEngine(load_net(card), card.activation_ranges), many),
    }
    print("| engine | MPix/s | ratio | mean difference | pixels that change sides |")
    print("|---|---|---|---|---|")
    base, truth = 0.0, eager(load_net(card))(images[0])[:3]
    for label, (start, workers) in engines.items():
        try:
            run = start()
        except RuntimeError as error:  # a compiler that is not there
            print(f"| {label} | not here ({type(error).__name__}) | | | |")
            continue
        rate = speed(run, images, workers)
        base = base or rate
        planes = run(images[0])[:3]
        moved = ((planes[0] > 0.5) != (truth[0] > 0.5)).mean()
        difference = np.abs(planes - truth).mean()
        print(f"| {label} | {rate:.2f} | {rate / base:.1f} | {difference:.4f} | {moved:.2%} |")


if __name__ == "__main__":
    main()
