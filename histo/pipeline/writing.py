"""What follows from the calls in a result folder: written by a first run, and for changed calls."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from histo.panel import Panel, Thresholds
from histo.pipeline.measure import OUTLINES
from histo.pipeline.pictures import draw_pictures
from histo.results import (
    Caption,
    SlideResult,
    read_outlines,
    write_geojson,
    write_slide_result,
)

__all__ = ["write_calls"]


def write_calls(
    folder: Path, result: SlideResult, panel: Panel, thresholds: Mapping[str, Thresholds]
) -> None:
    """Write GeoJSON, pictures and tables.

    Parameters
    ----------
    folder : Path
        Holds the labels, the outlines and the views already.
    result : SlideResult
        Its manifest names the slide and its flags.
    panel : Panel
    thresholds : mapping of str to Thresholds
        Those that the calls were made with.
    """
    name, flags = result.manifest["slide"]["name"], result.manifest["flags"]
    write_geojson(folder, result.cells, read_outlines(folder / OUTLINES), slide=name)
    draw_pictures(
        folder,
        result.cells,
        panel,
        thresholds=dict(thresholds),
        metrics=result.metrics,
        caption=Caption(f"{name} · {panel.name}", (), tuple(flags)),
    )
    write_slide_result(folder, result)
