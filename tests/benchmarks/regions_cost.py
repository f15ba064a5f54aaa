"""What compartments and metrics of space add to a slide: ``python regions_cost.py``.

A slide of dense painted tissue (8 x 8 mm of fields beside each other) is analysed as it is, divided
by a region model and by drawn areas; then the finished slide is divided again. All in one process,
in turns, since machines differ: the ratios count. Prints one table in Markdown.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from end_to_end import PANEL, PIXEL_UM, paint_slide

from histo.pipeline import Settings, analyze, analyze_slide, renew_slide
from histo.region.learning import new_network
from histo.region.maps import PLANES
from histo.region.model import write_region_model


def draw_squares(path: Path, side: int) -> None:
    """Annotate squares of tumour in a net of stroma."""
    features = []
    for y in range(0, side, 800):
        for x in range(0, side, 800):
            ring = [[x, y], [x + 500, y], [x + 500, y + 500], [x, y + 500], [x, y]]
            features.append(
                {
                    "type": "Feature",
                    "geometry": {"type": "Polygon", "coordinates": [ring]},
                    "properties": {
                        "objectType": "annotation",
                        "classification": {"name": "Tumor"},
                    },
                }
            )
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))


def seconds(work: Callable[[], object]) -> float:
    """Return how long something takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    """Read the command line, run, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=8192, help="side of the slide, px")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        slide, model, drawn = root / "slide.tif", root / "model", root / "drawn.geojson"
        paint_slide(slide, options.side)
        draw_squares(drawn, options.side)
        about = {"name": "any", "version": "1"}
        write_region_model(model, new_network(len(PLANES), 2), ("Tumor", "Stroma"), about=about)
        whole, by_model, by_hand = (
            Settings(PANEL, regions=r) for r in (None, str(model), str(drawn))
        )
        out = root / "result"

        def run(settings: Settings) -> object:
            return analyze_slide(slide, settings, folder=out)

        def without_space() -> object:
            with patch.object(analyze, "space_of", lambda *_: ()):
                return run(whole)

        works = {
            "cells and their metrics alone": without_space,
            "with metrics of space": lambda: run(whole),
            "divided by a region model": lambda: run(by_model),
            "divided by drawn areas": lambda: run(by_hand),
            "divided again, the cells kept": lambda: renew_slide(slide, by_model, folder=out),
        }
        times: dict[str, list[float]] = {title: [] for title in works}
        for turn in range(options.rounds + 1):
            for title, work in works.items():
                took = seconds(work)
                if turn:  # the first round loads and compiles
                    times[title].append(took)
        base = np.array(times["cells and their metrics alone"])
        megapixels = options.side**2 / 1e6
        print(f"{megapixels:.0f} MPix at {PIXEL_UM} µm/px, {options.rounds} rounds.\n")
        print("| what | s, median | to the first, median of rounds |\n|---|---|---|")
        for title, took in times.items():
            ratio = statistics.median((np.array(took) / base).tolist())
            print(f"| {title} | {statistics.median(took):.1f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
