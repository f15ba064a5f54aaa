"""Fit how likely a nucleus is DAB-positive, and see whether the probability keeps its word.

``python calibrate.py MODEL DATA`` renders tiles with pigment, brown cytoplasm over blue nuclei,
crescents and neighbours' edges, runs the model over them, fits `histo.nuclei.positivity` on one
half, prints the reliability on the other, and writes the three numbers into the model's card.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import numpy as np
import yaml
from render import Renderer, Tile
from sources import load_sources

from histo.nuclei import NucleiModel, load_model, read_card
from histo.nuclei.positivity import fit_positivity
from histo.nuclei.predict import find_nuclei
from histo.nuclei.writing import write_card

#: A nucleus is truly positive from this on: a rendered mean OD of 0.05 + 0.05 * TRULY.
TRULY = 0.1
#: Bounds of the probabilities that a line of the reliability table holds.
BINS = np.array([0, 0.05, 0.2, 0.4, 0.6, 0.8, 0.95, 1.0])


def nuclei_of(tile: Tile, model: NucleiModel) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return of each nucleus found: what the network sees, its DAB OD, and whether it is positive.

    What covers no true nucleus, pigment say, is truly negative.
    """
    labels, seen = find_nuclei(tile.rgb, model)
    count = int(labels.max()) + 1
    if tile.dab is None:
        raise ValueError("only tiles that are stained brown can be calibrated on.")
    size = np.maximum(np.bincount(labels.ravel(), minlength=count), 1)

    def mean(plane: np.ndarray) -> np.ndarray:
        return (np.bincount(labels.ravel(), plane.ravel(), count) / size)[1:]

    return mean(seen), mean(tile.dab), mean(tile.targets[2]) > TRULY


def main() -> None:
    """Read the command line, fit, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="name or folder of the model")
    parser.add_argument("data", type=Path, help="folder with dsb2018/ and mif_lung_foxp3/")
    parser.add_argument("--tiles", type=int, default=400)
    options = parser.parse_args()
    model = load_model(options.model)
    sources = load_sources(options.data)
    without = frozenset({"histology", "blank"})
    renderer = Renderer(sources, seed=23, without=without)
    found = [nuclei_of(renderer.draw_ihc(), model) for _ in range(options.tiles)]
    half = options.tiles // 2
    seen, dab, truth = (np.concatenate(part) for part in zip(*found[:half], strict=True))
    fit = fit_positivity(seen, dab, truth)
    seen, dab, truth = (np.concatenate(part) for part in zip(*found[half:], strict=True))
    chance = fit(seen, dab)
    print(f"{fit}\n| probability | nuclei | mean probability | truly positive |\n|---|---|---|---|")
    for low, high in itertools.pairwise(BINS):
        inside = (chance >= low) & ((chance < high) | (high == 1))
        if inside.any():
            said, true = chance[inside].mean(), truth[inside].mean()
            print(f"| {low:g} to {high:g} | {inside.sum()} | {said:.3f} | {true:.3f} |")
    file = read_card(options.model).folder / "rdf.yaml"
    card = yaml.safe_load(file.read_text(encoding="utf-8"))
    card["config"]["histo"]["positivity"] = {
        name: round(getattr(fit, name), 4) for name in ("intercept", "network", "od")
    }
    write_card(file.parent, card)


if __name__ == "__main__":
    main()
