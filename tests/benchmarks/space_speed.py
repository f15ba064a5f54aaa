"""How long the statistics of space take: ``python tests/benchmarks/space_speed.py``.

Scatters a million cells over holed tissue of 100 mm² at 4 µm a pixel, a fifth of them of
lymphoid size, and prints the seconds of each step and of a slide's metrics together.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import cv2
import numpy as np
import pandas as pd

from histo.cells import empty_cells
from histo.panel import classify_cells, load_panel, resolve_thresholds
from histo.space import (
    DistanceMap,
    Nearest,
    Overlap,
    Quadrats,
    Window,
    cross_k,
    density_map,
    find_hotspots,
    hot_quadrats,
    margin_profile,
    nearest_distances,
    nearest_intervals,
    random_labelling,
    share_of_cells,
    simulate_csr,
    space_metrics,
)


def holed_tissue(side_px: int) -> Window:
    """Return a round section with holes, of 4 µm a pixel."""
    rng = np.random.default_rng(0)
    plane = np.zeros((side_px, side_px), np.uint8)
    cv2.circle(plane, (side_px // 2, side_px // 2), side_px // 2 - 5, 1, -1)
    for y, x in rng.integers(0, side_px, (200, 2)).tolist():
        cv2.circle(plane, (x, y), int(rng.integers(5, 40)), 0, -1)
    return Window(plane > 0, 4.0)


def timed(name: str, step: Callable[[], object]) -> None:
    """Print how long a step takes."""
    start, cpu = time.perf_counter(), time.process_time()
    step()
    seconds, busy = time.perf_counter() - start, time.process_time() - cpu
    print(f"{name:44s} {seconds:7.2f} s, {busy:7.2f} core-seconds", flush=True)


def main() -> None:
    """Print one line a step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=1_000_000)
    parser.add_argument("--side", type=int, default=2830, help="pixels of 4 µm")
    parser.add_argument("--lymphoid", type=float, default=0.2)
    given = parser.parse_args()
    rng = np.random.default_rng(1)
    window = holed_tissue(given.side)
    points = simulate_csr(window, given.cells, rng)
    lymphoid = rng.random(given.cells) < given.lymphoid
    foxp3 = lymphoid & (rng.random(given.cells) < 0.15)
    rankl = rng.random(given.cells) < np.where(foxp3, 0.5, 0.04)
    tumour = Window(window.mask & (np.arange(given.side) < given.side // 2), 4.0)
    print(
        f"{given.cells:,} cells, {window.area_um2 / 1e6:.0f} mm², {lymphoid.sum():,} lymphoid, "
        f"{foxp3.sum():,} FOXP3+, {rankl.sum():,} RANKL+"
    )
    columns = dict.fromkeys(empty_cells(["hematoxylin", "dab", "red"]).columns, np.float32(0))
    columns |= {
        "cell_id": np.arange(given.cells),
        "y_um": points[:, 0],
        "x_um": points[:, 1],
        "nucleus_diameter_um": np.float32(np.where(lymphoid, 7, 14)),
        "nucleus_dab_od_mean": np.float32(np.where(foxp3, 0.4, 0.02)),
        "cytoplasm_red_od_mean": np.float32(np.where(rankl, 0.4, 0.02)),
        "compartment": "tissue",
        "flags": "",
    }
    cells = pd.DataFrame(columns, index=range(given.cells))
    panel = load_panel("foxp3-dab+rankl-red")
    marker = panel.marker("foxp3").model_copy(update={"threshold_source": "panel"})
    panel = panel.model_copy(update={"markers": (marker, panel.marker("rankl"))})
    cuts = resolve_thresholds(cells, panel)
    called = classify_cells(cells, panel, cuts)
    border = DistanceMap.between(tumour, window)
    edge = DistanceMap.of(window)
    ids = np.arange(given.cells)
    few = simulate_csr(window, 1000, rng)
    random_labelling(few, few[:, 0] > 5000, few[:, 1] > 5000, radii_um=[20], permutations=16)
    cross_k(few, few, [50], window=window)
    find_hotspots(few, window)
    print("compiled; each step alone:")
    timed("distances to the edge", lambda: DistanceMap.of(window).at(points))
    timed("overlap of the mask to 100 µm", lambda: Overlap.of(window, 100))
    timed(
        "nearest of all cells",
        lambda: nearest_distances(points, points, same=(ids, ids)),
    )
    away = nearest_distances(points[rankl], points[foxp3], same=(ids[rankl], ids[foxp3]))
    timed(
        "intervals of nearest, RANKL+ to FOXP3+",
        lambda: nearest_intervals(points[rankl], Nearest(away, edge.at(points[rankl]))),
    )
    timed(
        "K of all cells at 10-50 µm",
        lambda: cross_k(points, points, [10, 20, 30, 50], window=window, same=(ids, ids)),
    )
    timed(
        "labels at random, 999 times, lymphoid cells",
        lambda: random_labelling(
            points[lymphoid], foxp3[lymphoid], rankl[lymphoid], radii_um=[20, 50]
        ),
    )
    timed(
        "labels at random, 999 times, all cells",
        lambda: random_labelling(points, foxp3, rankl, radii_um=[20, 50]),
    )
    timed("margin profile", lambda: margin_profile(points, border, window))
    quadrats = Quadrats.of(window, 200)
    timed("hot squares", lambda: hot_quadrats(quadrats, quadrats.count(points)))
    timed("hot-spots of RANKL+", lambda: find_hotspots(points[rankl], window))
    timed("map of density", lambda: density_map(points, window))
    timed("share with interval", lambda: share_of_cells(points, foxp3, rankl))
    print("together:")
    timed(
        "space_metrics, two markers, with a border",
        lambda: space_metrics(called, panel, window, thresholds=cuts, border=border),
    )


if __name__ == "__main__":
    main()
