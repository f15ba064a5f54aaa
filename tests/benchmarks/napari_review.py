"""How fast calls, colours and numbers follow a dragged cut-off in a real window.

``xvfb-run -a -s "-screen 0 1600x1000x24" python tests/benchmarks/napari_review.py [CELLS ...]``

A painted cell table and label pyramid of 100,000 and of 1,000,000 cells (or as many as are given);
one process each, so that the peak of memory is that of its own. Prints one line a size.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "plugins")]

UM, PITCH = 0.5, 20  # pixel size; a cell has a square of so many pixels
ROUNDS = 15


def painted_result(folder: Path, count: int) -> Path:
    """Write a result folder of discs on a grid; every tenth cell is brown."""
    from histo.cells import empty_cells, trace_outlines
    from histo.geometry import Region
    from histo.metrics import OD_EDGES, Histogram, SlideAreas
    from histo.panel import load_panel
    from histo.pipeline.numbers import call_and_count, thresholds_record
    from histo.results import LabelWriter, OutlineWriter, SlideResult, write_slide_result

    panel = load_panel("foxp3-dab")
    across = int(np.ceil(np.sqrt(count)))
    rng = np.random.default_rng(1)
    cells = empty_cells(["hematoxylin", "dab"])
    columns = {
        name: np.zeros(count, dtype)
        for name, dtype in cells.dtypes.items()
        if name not in ("compartment", "flags")
    }
    number = np.arange(count)
    columns["cell_id"] = number + 1
    columns["y_um"] = (number // across + 0.5) * PITCH * UM
    columns["x_um"] = (number % across + 0.5) * PITCH * UM
    brown = rng.random(count) < 0.1
    columns["nucleus_dab_od_mean"] = np.where(
        brown, rng.normal(0.5, 0.15, count), rng.normal(0.05, 0.03, count)
    ).astype(np.float32)
    columns["cytoplasm_dab_od_mean"] = np.zeros(count, np.float32)
    columns["nucleus_area_um2"] = rng.normal(40, 8, count).astype(np.float32)
    columns["nucleus_diameter_um"] = np.full(count, 7.2, np.float32)
    table = cells.__class__(columns)
    table["compartment"] = "tissue"
    table["flags"] = ""
    table = table.astype({"compartment": "str", "flags": "str"})
    area = across**2 * (PITCH * UM) ** 2
    pixels = Histogram.of(rng.normal(0.1, 0.05, 10_000), OD_EDGES)
    areas = SlideAreas(area, area, 0.0, {"hematoxylin": pixels, "dab": pixels})
    called, cuts, metrics = call_and_count(table, panel, {"foxp3": 0.2}, areas)
    folder.mkdir(parents=True)
    side = across * PITCH
    y, x = np.mgrid[:PITCH, :PITCH] - (PITCH - 1) / 2
    disc = (y**2 + x**2 < 7**2).astype(np.int64)
    rings = None
    with (
        LabelWriter(folder / "nuclei.ome.zarr", (side, side), UM) as labels,
        OutlineWriter(folder / "outlines.parquet", 1.0) as outlines,
    ):
        for row in range(across):
            ids = np.arange(row * across, min((row + 1) * across, count)) + 1
            if not len(ids):
                break
            band = np.kron(ids[None, :], disc)
            labels.paint(Region(row * PITCH, 0, *band.shape), band, ids)
            rings = trace_outlines(band, ids)
            outlines.add(ids, rings, rings, origin=(row * PITCH, 0))
    manifest = {
        "format": "histo slide result",
        "created_utc": "2026-01-01T00:00:00+00:00",
        "input": {"file": "painted.tif", "sha256": "0" * 64},
        "slide": {
            "name": "painted",
            "kind": "brightfield",
            "shape_px": [side, side],
            "pixel_size_um": UM,
            "pixel_size_y_um": UM,
            "pixel_size_x_um": UM,
        },
        "parameters": {
            "panel": panel.name,
            "panel_content": panel.model_dump(mode="json"),
            "thresholds": {"foxp3": 0.2},
        },
        "analysis": {"working_pixel_size_um": UM},
        "thresholds": thresholds_record(cuts),
        "flags": [],
        "edits": [],
    }
    write_slide_result(folder, SlideResult(called, metrics, areas, manifest))
    return folder


def measure(count: int) -> dict[str, float]:
    """Open the result in a window with both widgets, and move the cut-off."""
    import napari
    from napari_histo.results import ResultsWidget
    from napari_histo.review import ReviewWidget
    from napari_histo.session import Session
    from qtpy.QtWidgets import QApplication

    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as place:
        folder = painted_result(Path(place) / "painted", count)
        viewer = napari.Viewer(show=True)
        viewer.window.resize(1400, 900)
        review, results = ReviewWidget(viewer), ResultsWidget(viewer)
        viewer.window.add_dock_widget(review, area="right")
        viewer.window.add_dock_widget(results, area="right", tabify=True)
        session = Session.of(viewer)
        start = time.perf_counter()
        session.open_result(folder)
        settle(QApplication, 0.5)
        figures["open s"] = time.perf_counter() - start - 0.5
        for name, field in (("whole slide", None), ("close, 500 µm", 500.0)):
            if field is None:
                viewer.reset_view()
            else:
                middle = np.sqrt(count) * PITCH * UM / 2
                session.fly_to(middle, middle, field_um=field)
            settle(QApplication, 1.0)
            parts = rounds(session, review, QApplication)
            figures |= {f"{part} ms, {name}": value for part, value in parts.items()}
        session.repoint()
        start = time.perf_counter()
        session.repoint()
        figures["points ms"] = 1000 * (time.perf_counter() - start)
        review._release()
        viewer.close()
    figures["peak GB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return figures


def rounds(session: object, review: object, application: object) -> dict[str, float]:
    """Time what one move of the mouse costs, step by step, in ms, median.

    The time of the processor is told beside that of the clock, which others share.
    """
    from napari_histo.session import Session

    assert isinstance(session, Session)
    wanted: dict[str, float] = {}
    steps = {
        "calls": lambda: session.review.set_thresholds(wanted),
        "colours": session.recolour,
        "numbers, plots": session.calls_changed.emit,
        "painting": application.processEvents,
    }
    clocks = {"CPU": time.thread_time, "wall": time.perf_counter}
    times: dict[str, list[float]] = {}
    for cut in np.linspace(0.1, 0.4, ROUNDS):
        wanted["foxp3"] = float(cut)
        for name, step in steps.items():
            before = {clock: now() for clock, now in clocks.items()}
            step()
            for clock, now in clocks.items():
                times.setdefault(f"{name} {clock}", []).append(now() - before[clock])
    return {name: 1000 * float(np.median(each)) for name, each in times.items()}


def settle(application: object, seconds: float) -> None:
    """Let the window work."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        application.processEvents()
        time.sleep(0.005)


def main() -> None:
    """Measure each size in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cells", type=int, nargs="*", default=[100_000, 1_000_000])
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.here:
        warnings.simplefilter("ignore")
        print("RESULT " + json.dumps(measure(given.cells[0])))
        return
    for count in given.cells:
        run = subprocess.run(
            [sys.executable, __file__, str(count), "--here"],
            check=False,
            capture_output=True,
            text=True,
        )
        lines = [line for line in run.stdout.splitlines() if line.startswith("RESULT ")]
        if not lines:
            sys.exit(run.stderr)
        print(f"{count:,} cells")
        for name, value in json.loads(lines[0].removeprefix("RESULT ")).items():
            print(f"  {name:<44}{value:10.2f}")


if __name__ == "__main__":
    main()
