"""What a few strokes teach: ``python strokes.py --work FOLDER`` (of train.py, which renders them).

Strokes of 12 µm are drawn at random within each class of a section, a model learns from them alone
(or goes on from ``--start``), and the rest of the section is scored. Prints Markdown.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from scipy import ndimage as ndi

from histo.region.learning import RegionLesson, learn_regions, new_network
from histo.region.maps import MAP_UM, PLANES
from histo.region.model import RegionModel, load_region_model

WIDTH_PX, POINTS = 3, 25


def draw_strokes(classes: np.ndarray, rng: np.random.Generator, each: int) -> np.ndarray:
    """Return the classes along strokes of some 100 µm that stay within their class; 0 elsewhere."""
    known = np.zeros_like(classes)
    for code in (1, 2):
        deep = ndi.distance_transform_edt(classes == code)
        ys, xs = np.nonzero(deep >= min(3, deep.max() / 2))
        for index in rng.integers(len(ys), size=each):
            y, x, angle = float(ys[index]), float(xs[index]), rng.uniform(0, 2 * np.pi)
            line = [(int(x), int(y))]
            for _ in range(POINTS):
                angle += rng.normal(0, 0.3)
                to = int(y + np.sin(angle)), int(x + np.cos(angle))
                inside = 0 <= to[0] < len(classes) and 0 <= to[1] < classes.shape[1]
                if inside and classes[to] == code:
                    y, x = y + np.sin(angle), x + np.cos(angle)
                    line.append((int(x), int(y)))
                else:
                    angle += np.pi * rng.uniform(0.5, 1.5)
            cv2.polylines(known, [np.array(line, np.int32)[:, None]], False, code, WIDTH_PX)
    return np.where(known == classes, known, 0)


def score(model: RegionModel, maps: np.ndarray, truth: np.ndarray) -> list[float]:
    """Return Dice of both classes where the truth is known."""
    likely = [ndi.gaussian_filter(p, 6.0 / MAP_UM) for p in model.probabilities(maps)]
    found = np.where(truth > 0, np.argmax(likely, 0) + 1, 0)
    return [
        2 * ((found == c) & (truth == c)).sum() / ((found == c).sum() + (truth == c).sum())
        for c in (1, 2)
    ]


def main() -> None:
    """Read the command line, run, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("sections"))
    parser.add_argument("--start", help="a region model to go on from")
    parser.add_argument("--each", type=int, default=6, help="strokes of each class")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--looks", type=int, nargs="+", default=[0, 2])
    options = parser.parse_args()
    print(
        "| section | look | tissue in strokes | Dice tumour | Dice stroma |\n|---|---|---|---|---|"
    )
    names = sorted({file.stem.rsplit("-", 1)[0] for file in options.work.glob("Set*.npz")})
    for number, name in enumerate(names):
        for look in options.looks:
            with np.load(options.work / f"{name}-{look}.npz") as kept:
                maps, truth = kept["maps"].astype(np.float32), kept["classes"]
            known = draw_strokes(truth, np.random.default_rng(number), options.each)
            start = new_network(len(PLANES), 2)
            if options.start:
                start = load_region_model(options.start).net
            net = learn_regions([RegionLesson(maps, known)], start, steps=options.steps)
            model = RegionModel("strokes", "", "", ("Tumor", "Stroma"), (), net)
            tumour, stroma = score(model, maps, np.where(known > 0, 0, truth))
            share = 100 * (known > 0).sum() / (truth > 0).sum()
            kind = "H&E" if look % 3 == 2 else "IHC"
            print(f"| {name} | {kind} | {share:.1f} % | {tumour:.2f} | {stroma:.2f} |", flush=True)


if __name__ == "__main__":
    main()
