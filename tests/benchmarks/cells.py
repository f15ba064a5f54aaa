"""How long one tile's cells take: ``python tests/benchmarks/cells.py``.

Paints 8,000 elliptic nuclei on 2048 x 2048 pixels and prints the best of a few runs of
each step from labels to metrics.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import cv2
import numpy as np

from histo.cells import Frame, cell_outlines, expand_cells, measure_cells
from histo.metrics import OD_EDGES, Histogram, SlideAreas, slide_metrics
from histo.panel import classify_cells, load_panel, resolve_thresholds


def painted_nuclei(side: int, count: int) -> np.ndarray:
    """Return int32 (side, side) labels of ellipses of 9-20 px on a jittered grid."""
    rng = np.random.default_rng(0)
    labels = np.zeros((side, side), np.int32)
    columns = int(np.ceil(np.sqrt(count)))
    pitch = side / columns
    for k in range(count):
        y, x = (np.array(divmod(k, columns)) + 0.5) * pitch + rng.uniform(-4, 4, 2)
        axes = rng.uniform(9, 20, 2)
        cv2.ellipse(labels, ((x, y), axes.tolist(), rng.uniform(0, 180)), k + 1, -1)
    return labels


def best_of(runs: int, step: Callable[[], object]) -> float:
    """Return the shortest time of a few runs, in seconds."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    """Print one line a step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=2048, help="pixels")
    parser.add_argument("--cells", type=int, default=8000)
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    labels = painted_nuclei(given.side, given.cells)
    ids = np.unique(labels[labels > 0])
    rng = np.random.default_rng(1)
    image = rng.normal(0.15, 0.1, (*labels.shape, 2)).astype(np.float32)
    names, frame = ["hematoxylin", "dab"], Frame(0, 0, 0.5)
    whole = expand_cells(labels, 10)
    panel = load_panel("foxp3-dab")
    areas = SlideAreas(1e6, 1e6, 0, {"dab": Histogram.of(image[..., 1], OD_EDGES)})

    def measure() -> object:
        return measure_cells(labels, image, names, owned=ids, frame=frame, expansion_um=5)

    cells = measure_cells(labels, image, names, owned=ids, frame=frame, expansion_um=5)
    cuts = resolve_thresholds(cells, panel, {"foxp3": "auto"})
    called = classify_cells(cells, panel, cuts)
    steps: dict[str, Callable[[], object]] = {
        "expand_cells, 10 px": lambda: expand_cells(labels, 10),
        "measure_cells, 2 stains": measure,
        "cell_outlines, nuclei": lambda: cell_outlines(labels, ids),
        "cell_outlines, whole cells": lambda: cell_outlines(whole, ids),
        "histogram of one stain": lambda: Histogram.of(image[..., 1], OD_EDGES),
        "resolve_thresholds, auto": lambda: resolve_thresholds(cells, panel, {"foxp3": "auto"}),
        "classify_cells": lambda: classify_cells(cells, panel, cuts),
        "slide_metrics": lambda: slide_metrics(called, panel, cuts, areas),
    }
    print(f"{given.side} x {given.side} px, {len(ids)} nuclei, one core, best of {given.runs}")
    for name, step in steps.items():
        print(f"{name:<28}{1000 * best_of(given.runs, step):9.1f} ms")


if __name__ == "__main__":
    main()
