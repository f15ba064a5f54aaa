"""Metrics of space: on the tissue that the survey outlined, kept beside the result.

The room of space loads numba, which opening a result does not need: it is imported in functions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from histo.metrics import Metric
from histo.panel import Panel, Thresholds
from histo.pipeline.files import WINDOW, reading
from histo.region.compartments import NECROSIS, TUMOR
from histo.region.shapes import without_regions

if TYPE_CHECKING:
    from histo.pipeline.compartments import Divided
    from histo.pipeline.survey import Survey
    from histo.space import DistanceMap, Window

__all__ = ["read_window", "save_window", "space_of", "tumor_border"]


def save_window(folder: Path, survey: Survey) -> Window:
    """Write the window of a slide, and return it.

    Parameters
    ----------
    folder : Path
    survey : Survey
        With what the tiles showed to be out of focus.

    Returns
    -------
    Window
    """
    from histo.pipeline.survey import with_reach
    from histo.space import Window

    mask = with_reach(survey.tissue, survey.pixel_size_um) & (survey.artefacts == 0)
    if survey.region is not None:
        mask &= survey.region.coverage >= 0.5
    with (folder / WINDOW).open("wb") as stream:
        np.savez_compressed(stream, mask=mask, pixel_size_um=np.float64(survey.pixel_size_um))
    return Window(mask, survey.pixel_size_um)


def read_window(folder: Path, regions_um: Sequence[npt.NDArray[np.float64]] = ()) -> Window:
    """Read the window of a result, without the regions that were excluded by hand.

    Parameters
    ----------
    folder : Path
    regions_um : sequence of float64 (N, 2)
        Polygons (y, x) in µm.

    Returns
    -------
    Window

    Raises
    ------
    ResultError
        If it is missing or damaged.
    """
    from histo.space import Window

    with (
        reading(folder.name, f"{WINDOW} is missing or damaged"),
        (folder / WINDOW).open("rb") as stream,
        np.load(stream) as stored,
    ):
        mask, um = stored["mask"].astype(bool), float(stored["pixel_size_um"])
    return Window(without_regions(mask, um, regions_um), um)


def space_of(
    cells: pd.DataFrame,
    panel: Panel,
    thresholds: Mapping[str, Thresholds],
    window: Window,
    divided: Divided | None = None,
) -> tuple[Metric, ...]:
    """Return the metrics of space of a slide with calls; none for a panel without markers.

    Those of the invasive margin are among them where the tissue is divided and some of it is
    tumour.
    """
    from histo.space import space_metrics

    if not panel.markers:
        return ()
    border = None if divided is None else tumor_border(divided, window)
    return tuple(space_metrics(cells, panel, window, thresholds=thresholds, border=border))


def tumor_border(divided: Divided, window: Window) -> DistanceMap | None:
    """Return the signed distance to the tumour's border; None without the class ``tumor``."""
    from histo.space import DistanceMap, Window

    if TUMOR not in divided.compartments.words:
        return None
    one = divided.compartments
    dead = one.mask(NECROSIS) if NECROSIS in one.words else np.zeros_like(window.mask)
    um, corner = window.pixel_size_um, window.origin_um
    tumor = Window(one.mask(TUMOR) & window.mask, um, corner)
    border = DistanceMap.between(tumor, Window(window.mask & ~dead, um, corner))
    # Necrosis is neither side: its edge is no invasive margin, and its area none of the bands'.
    values = border.values.copy()
    values[1:-1, 1:-1][dead] = np.nan
    return replace(border, values=values)
