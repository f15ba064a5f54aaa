"""What follows from the calls in a result folder: written by a first run, and for changed calls."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from histo.edits import Corrections, DrawnNucleus
from histo.panel import Panel, Thresholds
from histo.pipeline.compartments import Divided, save_divided
from histo.pipeline.files import OUTLINES, level0_um
from histo.pipeline.pictures import draw_divided, draw_pictures, key_numbers
from histo.results import (
    DRAWN_OUTLINES,
    Caption,
    OutlineWriter,
    Rings,
    SlideResult,
    read_outlines,
    write_geojson,
    write_slide_result,
)

__all__ = ["write_calls"]


def write_calls(
    folder: Path,
    result: SlideResult,
    panel: Panel,
    thresholds: Mapping[str, Thresholds],
    *,
    corrections: Corrections | None = None,
    divided: Divided | None = None,
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
    corrections : Corrections, optional
        Those that are in the result's cells: drawn nuclei get their outlines, cells that were
        deleted or replaced stay in the table only.
    divided : Divided, optional
        The compartments; adds their files and picture.
    """
    name, flags = result.manifest["slide"]["name"], result.manifest["flags"]
    cells, drawn = result.cells, {}
    if corrections:
        gone = np.concatenate([corrections.deleted, corrections.replaced])
        cells = cells[~cells["cell_id"].isin(gone).to_numpy()]
        drawn = {cell: one for cell, one in corrections.drawn.items() if cell not in set(gone)}
    if drawn:
        _write_drawn(folder / DRAWN_OUTLINES, drawn, result.manifest["slide"])
    write_geojson(folder, cells, read_outlines(folder / OUTLINES), slide=name)
    draw_pictures(
        folder,
        cells,
        panel,
        thresholds=dict(thresholds),
        caption=Caption(
            f"{name} · {panel.name}", key_numbers(result.metrics, panel, thresholds), tuple(flags)
        ),
        drawn=drawn,
    )
    if divided is not None:
        save_divided(folder, divided, result.manifest["slide"])
        draw_divided(folder, result, divided, corrections.regions_um if corrections else ())
    write_slide_result(folder, result)


def _write_drawn(path: Path, drawn: Mapping[int, DrawnNucleus], slide: Mapping[str, Any]) -> None:
    """Write the outlines of nuclei that a person drew."""
    nuclei = [one.outline_um for one in drawn.values()]
    wholes = [
        one.outline_um if one.cell_outline_um is None else one.cell_outline_um
        for one in drawn.values()
    ]
    y_um, x_um = level0_um(slide)
    with OutlineWriter(path, (1 / y_um, 1 / x_um)) as writer:
        writer.add(np.array(list(drawn), np.int64), Rings.of(nuclei), Rings.of(wholes))
