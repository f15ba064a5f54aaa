"""Time the whole path on dense painted tissue: ``python end_to_end.py --engine int8,torch``.

Paints one field, repeats it into a large TIFF of JPEG tiles at 0.5 µm/px and prints one table.
First what each part costs alone, one tile after the other: core-seconds for a megapixel of the
slide (what the halos cost is in it). Then, on all cores, the whole path to the cell table
(`measure_slide`: no pictures, no GeoJSON) and `analyze_slide` with everything, for each engine.
All in one process, since machines differ: the ratios count.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import cv2
import numpy as np
import tifffile

from histo.cells import Frame, expand_cells, measure_expanded, trace_outlines
from histo.metrics import OD_EDGES, Histogram
from histo.nuclei import NucleiModel, load_model, split_nuclei
from histo.panel import load_panel
from histo.phantom import Composition, Recipe, paint_phantom
from histo.pipeline import Settings, analyze_slide, measure
from histo.pipeline.survey import survey_slide
from histo.results import LabelWriter, OutlineWriter
from histo.slide import Slide, open_slide
from histo.threads import worker_count
from histo.tiles import tile_grid
from histo.tissue import blurred_mask

PANEL, PIXEL_UM, FIELD_PX = "foxp3-dab", 0.5, 1024

Cost = dict[str, float]


def paint_slide(path: Path, side: int) -> None:
    """Write a slide of dense tissue, tiled as scanners do."""
    recipe = Recipe(PANEL, Composition())
    field = paint_phantom(recipe, 5, shape=(FIELD_PX, FIELD_PX), pixel_size_um=PIXEL_UM).image
    repeats = -(-side // FIELD_PX)
    tifffile.imwrite(
        path,
        np.tile(field, (repeats, repeats, 1))[:side, :side],
        tile=(512, 512),
        compression="jpeg",
        photometric="rgb",
        resolution=(1e4 / PIXEL_UM, 1e4 / PIXEL_UM),
        resolutionunit="CENTIMETER",
    )


def make_place(slide: Slide, model: NucleiModel) -> measure.Workplace:
    """Look at the slide once."""
    panel = load_panel(PANEL)
    return measure.Workplace(slide, panel, survey_slide(slide, panel), model, PIXEL_UM)


@contextmanager
def charged(costs: Cost, part: str) -> Iterator[None]:
    """Add the core-seconds of a block to a part's."""
    start = time.process_time()
    yield
    costs[part] = costs.get(part, 0.0) + time.process_time() - start


def cost_of_parts(path: Path, models: dict[str, NucleiModel]) -> Cost:
    """Return the core-seconds of each part, tile by tile without threads."""
    with open_slide(path) as slide:
        place = make_place(slide, next(iter(models.values())))
    # Opened anew: nothing that the survey has read is at hand.
    with open_slide(path) as slide, tempfile.TemporaryDirectory() as folder:
        return _cost_of_parts(replace(place, slide=slide), models, Path(folder))


def _cost_of_parts(place: measure.Workplace, models: dict[str, NucleiModel], folder: Path) -> Cost:
    costs: Cost = {}
    first, *others = models.values()
    shape, card = place.slide.grid_shape(PIXEL_UM), first.card
    names = measure.plane_names(place.panel, place.survey)
    reach_px = place.panel.cell_expansion_um / PIXEL_UM
    # The writers are closed in their own parts: compression happens there.
    writer = LabelWriter(folder / measure.LABELS, shape, PIXEL_UM)
    outlines = OutlineWriter(folder / measure.OUTLINES, 1.0)
    last_id = 0
    for tile in tile_grid(shape, core_px=measure.CORE_PX, halo_px=measure.HALO_PX):
        crop, core = tile.crop, tile.core.slices_in(tile.crop)
        with charged(costs, "decode"):
            image = place.slide.read(crop, PIXEL_UM)
        for model in others:
            with charged(costs, f"network, {model.engine}"):
                model.predict(image)
        with charged(costs, f"network, {first.engine}"):
            planes = first.predict(image)
        with charged(costs, "split"):
            labels = split_nuclei(
                planes[..., 0],
                planes[..., 1],
                threshold=card.threshold,
                saddle=card.saddle,
                min_area_px=card.min_area_um2 / PIXEL_UM**2,
            )
        inside = labels[core]
        owned = np.unique(inside[inside > 0])
        ids = owned + last_id
        last_id += int(labels.max(initial=0))
        with charged(costs, "stain"):
            stains = place.planes(image)
        with charged(costs, "focus and histograms"):
            sharp = ~blurred_mask(image, PIXEL_UM)[core]
            for plane in range(len(place.survey.stains.stains)):
                Histogram.of(stains[core][..., plane], OD_EDGES, where=sharp)
        with charged(costs, "expansion"):
            cells = expand_cells(labels, reach_px)
        with charged(costs, "measurement"):
            frame = Frame(crop.y, crop.x, PIXEL_UM)
            measure_expanded((labels, cells), stains, names, owned=owned, frame=frame)
        with charged(costs, "outlines"):
            rings = trace_outlines(labels, owned), trace_outlines(cells, owned)
        with charged(costs, "outline writing"):
            outlines.add(ids, *rings, origin=(crop.y, crop.x))
        with charged(costs, "label writing"):
            writer.paint(crop, labels, owned, ids)
    with charged(costs, "outline writing"):
        outlines.close()
    with charged(costs, "label writing"):
        writer.close()
    return costs


def whole_path(path: Path, model: NucleiModel) -> tuple[float, float, int]:
    """Return seconds, core-seconds and cells from decoding to the cell table."""
    with open_slide(path) as slide, tempfile.TemporaryDirectory() as folder:
        place = make_place(slide, model)
        start, cores = time.perf_counter(), time.process_time()
        cells = measure.measure_slide(place, Path(folder), progress=lambda stage, part: None)[0]
        return time.perf_counter() - start, time.process_time() - cores, len(cells)


def everything(path: Path, model: NucleiModel) -> tuple[float, float, int]:
    """Return seconds, core-seconds and cells of a whole analysis with all its files."""
    with tempfile.TemporaryDirectory() as folder:
        start, cores = time.perf_counter(), time.process_time()
        with patch("histo.pipeline.analyze.load_model", return_value=model):
            result = analyze_slide(path, Settings(PANEL), folder=Path(folder) / "out")
        return time.perf_counter() - start, time.process_time() - cores, len(result.cells)


def print_parts(costs: Cost, megapixels: float) -> None:
    """Print the rows of single parts, and what all but the network cost together."""
    print("| part, one tile after the other | core-seconds per MPix |\n|---|---|")
    for part, cost in sorted(costs.items(), key=lambda item: -item[1]):
        print(f"| {part} | {cost / megapixels:.4f} |")
    rest = sum(cost for part, cost in costs.items() if not part.startswith("network"))
    print(f"| all but the network | {rest / megapixels:.4f} |")


def main() -> None:
    """Read the command line, run, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=4096, help="side of the slide, px")
    parser.add_argument("--engine", default="int8,torch", help="names, with commas between")
    parser.add_argument("--model", default="nuclei-brightfield")
    parser.add_argument("--core", type=int, help="side of a tile's core, px (pipeline's own)")
    parser.add_argument("--rounds", type=int, default=2, help="the best of so many counts")
    given = parser.parse_args()
    cv2.setNumThreads(1)
    measure.CORE_PX = given.core or measure.CORE_PX
    megapixels = given.side**2 / 1e6
    models = {name: load_model(given.model, engine=name) for name in given.engine.split(",")}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "slide.tif"
        paint_slide(path, given.side)
        for model in models.values():  # compile everything once
            whole_path(path, model)
        rounds = [cost_of_parts(path, models) for _ in range(given.rounds)]
        costs = {part: min(costs[part] for costs in rounds) for part in rounds[0]}
        print(f"{given.side} x {given.side} px, tiles of {measure.CORE_PX} px, ", end="")
        print(f"{worker_count()} cores\n")
        print_parts(costs, megapixels)
        print("\n| whole path | engine | MPix/s | core-seconds per MPix | ratio | cells |")
        print("|---|---|---|---|---|---|")
        runs: dict[str, Callable[[Path, NucleiModel], tuple[float, float, int]]] = {
            "to the cell table": whole_path,
            "with everything": everything,
        }
        for title, run in runs.items():
            best: dict[str, tuple[float, float, int]] = {}
            for _ in range(given.rounds):  # in turns, so that a busy moment hits all
                for name, model in models.items():
                    best[name] = min(run(path, model), best.get(name, (np.inf, 0, 0)))
            slowest = max(seconds for seconds, _, _ in best.values())
            for name, (seconds, cores, cells) in best.items():
                rate, cost = megapixels / seconds, cores / megapixels
                ratio = slowest / seconds
                print(f"| {title} | {name} | {rate:.2f} | {cost:.3f} | {ratio:.2f} | {cells} |")


if __name__ == "__main__":
    main()
