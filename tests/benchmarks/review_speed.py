"""Time what a reader waits for: a moved threshold, an edit, opening a result.

Run ``python tests/benchmarks/review_speed.py [CELLS...]``; by default 100,000 and 1,000,000. It
prints milliseconds, the median of five, beside those of the bare calls and metrics.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd

from histo.cells import empty_cells
from histo.edits import DrawnNucleus
from histo.metrics import OD_EDGES, Histogram, SlideAreas
from histo.panel import load_panel
from histo.pipeline.numbers import call_and_count, thresholds_record
from histo.results import OutlineWriter, Rings, SlideResult, write_slide_result
from histo.review import Review

PANELS = {"foxp3-dab": ("hematoxylin", "dab"), "foxp3-dab+rankl-red": ("hematoxylin", "dab", "red")}
REPEATS = 5


def painted_cells(count: int, stains: tuple[str, ...]) -> pd.DataFrame:
    """Return a table of cells on a square grid, some of them in artefacts."""
    rng = np.random.default_rng(0)
    empty = empty_cells(list(stains))
    side = int(np.ceil(count**0.5))
    y, x = divmod(np.arange(count), side)
    columns = {
        name: rng.gamma(1.0, 0.08, count) if "_od_" in name else np.full(count, 0.5)
        for name in empty.columns
    }
    columns |= {"cell_id": np.arange(1, count + 1), "y_um": y * 12.0, "x_um": x * 12.0}
    columns |= {"nucleus_diameter_um": rng.uniform(4, 13, count)}
    columns |= {"nucleus_area_um2": rng.uniform(15, 90, count)}
    spoilt = rng.random(count) < 0.02
    columns |= {"compartment": np.where(spoilt, "excluded", "tissue")}
    columns |= {"flags": np.where(spoilt, "artefact", "")}
    return pd.DataFrame(columns).astype(dict(empty.dtypes))


def write_result(folder: Path, name: str, count: int) -> None:
    """Write a result folder without pixels."""
    panel, cells = load_panel(name), painted_cells(count, PANELS[name])
    values = np.full(1000, 0.1)
    histograms = {stain: Histogram.of(values, OD_EDGES) for stain in PANELS[name]}
    areas = SlideAreas(1e9, 9e8, 1e8, histograms)
    cells, cuts, metrics = call_and_count(cells, panel, {}, areas)
    ring = np.array([[np.sin(a), np.cos(a)] for a in np.linspace(0, 2 * np.pi, 20)[:-1]])
    centres = cells[["y_um", "x_um"]].to_numpy()
    folder.mkdir()
    with OutlineWriter(folder / "outlines.parquet", 2.0) as writer:
        for start in range(0, count, 20_000):
            at = centres[start : start + 20_000]
            points = (at[:, None] + 3 * ring).reshape(-1, 2)
            rings = Rings(points, np.arange(len(at) + 1) * len(ring))
            writer.add(cells["cell_id"].to_numpy()[start : start + 20_000], rings, rings)
    manifest = {
        "slide": {"name": "painted", "pixel_size_um": 0.5},
        "input": {"sha256": "0" * 64},
        "parameters": {"panel_content": panel.model_dump(mode="json"), "thresholds": {}},
        "thresholds": thresholds_record(cuts),
        "flags": [],
    }
    write_slide_result(folder, SlideResult(cells, metrics, areas, manifest))


def milliseconds(work: Callable[[int], object]) -> float:
    """Return the median time of some repeats."""
    times = []
    for number in range(REPEATS):
        start = time.perf_counter()
        work(number)
        times.append(1000 * (time.perf_counter() - start))
    return median(times)


def drawn(review: Review, number: int) -> DrawnNucleus:
    """Return a nucleus like the first cell, elsewhere."""
    first = review.cells.iloc[0].to_dict()
    row = {key: first[key] for key in first if not key.endswith(("_positive", "_grade", "cell_id"))}
    at = 100.0 * (number + 1)
    ring = [[at - 3, at - 3], [at - 3, at + 3], [at + 3, at + 3], [at + 3, at - 3]]
    return DrawnNucleus(ring, row | {"y_um": at, "x_um": at})


def report(name: str, count: int) -> None:
    """Print what a reader waits for in a slide of so many cells."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "slide"
        write_result(folder, name, count)
        start = time.perf_counter()
        review = Review.open(folder, reader="benchmark")
        figures = {"open": 1000 * (time.perf_counter() - start)}
        cells, areas, marker = review.cells, review.areas, review.panel.marker_names[0]
        bare = milliseconds(
            lambda n: call_and_count(cells, review.panel, {marker: 0.1 + n / 100}, areas)
        )
        figures["calls and metrics alone"] = bare
        figures["set_thresholds"] = milliseconds(
            lambda n: review.set_thresholds({marker: 0.1 + n / 100})
        )
        figures["set_call of a cell"] = milliseconds(lambda n: review.set_call([n + 1], marker, 2))
        figures["delete a cell"] = milliseconds(lambda n: review.delete([n + 10]))
        figures["add a nucleus"] = milliseconds(lambda n: review.add([drawn(review, n)]))
        ring = [[0, 0], [0, 4000], [4000, 4000], [4000, 0]]
        none = {
            stain: Histogram(one.edges, np.zeros_like(one.counts))
            for stain, one in areas.histograms.items()
        }
        figures["exclude a region"] = milliseconds(
            lambda n: review.exclude(ring, SlideAreas(1e4, 1e4, 0, none))
        )
        figures["undo"] = milliseconds(lambda n: review.undo())
        figures["set_thresholds, edited"] = milliseconds(
            lambda n: review.set_thresholds({marker: 0.1 + n / 100})
        )
        figures["outline"] = milliseconds(lambda n: review.outline(1 + n * count // REPEATS))
    print(f"{name}, {count:,} cells")
    for what, value in figures.items():
        print(f"  {what:<26}{value:8.1f} ms")


def main() -> None:
    """Print the figures of each panel and size."""
    counts = [int(text) for text in sys.argv[1:]] or [100_000, 1_000_000]
    for count in counts:
        for name in PANELS:
            report(name, count)


if __name__ == "__main__":
    main()
