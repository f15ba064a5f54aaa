"""What each ingredient of the renderer is worth: ``python ablate.py DATA --work FOLDER``.

Trains the network anew without one ingredient after the other, each for the same few steps, and
scores it on the annotated images (DATA holds evaluate/ and train/). Tiles are half as wide as those
of the shipped model, so that a run takes minutes on two cores; a few hundred steps are too few to
find nuclei at all. Twice with everything, with two seeds: their difference is the noise that a
figure must exceed to mean something. With ``--start`` the training goes on from given weights,
which tells small differences from noise sooner. What is done already in the folder is not done
again, so the run can be stopped at any time. Prints F1 at IoU 0.5 in Markdown.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from formulations import pictures
from render import INGREDIENTS, MIX

from histo.metrics.agreement import f1_score
from histo.metrics.overlap import label_overlap, match_shapes
from histo.nuclei import split_nuclei
from histo.nuclei.network import NucleiNet
from histo.nuclei.training import WIDTHS

THRESHOLD, SADDLE, MIN_AREA_PX = 0.6, 0.75, 40.0


def train_without(name: str | None, seed: int, options: argparse.Namespace) -> Path:
    """Train for the given steps, unless that is done; returns the weights."""
    work = options.work / f"{name or 'everything'}-{seed}"
    if not (work / "weights.pt").exists():
        command = [sys.executable, str(Path(__file__).with_name("train.py"))]
        command += [str(options.data / "train"), "--work", str(work), "--seed", str(seed)]
        command += ["--steps", str(options.steps), "--threads", str(options.threads)]
        command += ["--side", str(options.side), "--rate", str(options.rate)]
        command += ["--start", str(options.start)] if options.start else []
        command += ["--without", name] if name else []
        subprocess.run(command, check=True, stdout=sys.stderr)
    return work / "weights.pt"


def score(weights: Path, data: Path) -> dict[str, float]:
    """Return F1 at IoU 0.5 by set."""
    net = NucleiNet(WIDTHS).eval()
    net.load_state_dict(torch.load(weights, weights_only=True))
    counts: dict[str, np.ndarray] = {}
    for name, rgb, truth in pictures(data):
        height, width = rgb.shape[:2]
        padded = np.pad(rgb, ((0, -height % 32), (0, -width % 32), (0, 0)), mode="symmetric")
        with torch.inference_mode():
            x = torch.tensor(padded).permute(2, 0, 1)[None].float() / 255
            planes = net((x - 0.5) * 4)[0, :2, :height, :width].numpy()
        labels = split_nuclei(
            1 / (1 + np.exp(-planes[0])),
            planes[1],
            threshold=THRESHOLD,
            saddle=SADDLE,
            min_area_px=MIN_AREA_PX,
        )
        matched = len(match_shapes(label_overlap(labels, truth)))
        row = counts.setdefault(name, np.zeros(3, np.int64))
        row += (matched, labels.max(), len(np.unique(truth)) - 1)
    return {name: float(f1_score(*row)) for name, row in counts.items()}


def main() -> None:
    """Read the command line, run, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder that holds evaluate/ and train/")
    parser.add_argument("--work", type=Path, default=Path("ablation"))
    parser.add_argument("--only", nargs="+", default=[*INGREDIENTS, *MIX], help="ingredients")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--start", type=Path, help="weights.pt to go on from; wants its own --work")
    parser.add_argument("--side", type=int, default=128, help="side of the tiles, px")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    runs = [(None, 1), (None, 2), *((name, 1) for name in options.only)]
    for number, (name, seed) in enumerate(runs):
        figures = score(train_without(name, seed, options), options.data)
        if number == 0:
            print(f"| without | {' | '.join(figures)} |\n|---|{'---|' * len(figures)}")
        title = name or f"(nothing; seed {seed})"
        print(f"| {title} | {' | '.join(f'{f1:.3f}' for f1 in figures.values())} |", flush=True)


if __name__ == "__main__":
    main()
