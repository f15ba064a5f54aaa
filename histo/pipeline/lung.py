"""Metastasis in a lung section: found once a slide, its areas kept for the metrics."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from histo.errors import ResultError
from histo.metrics import Metric
from histo.metrics.lung import lung_metrics
from histo.pipeline.files import LUNG_FILES
from histo.region import LUNG_CODES, LungAreas, LungSection, find_lung, foci_table
from histo.results import Annotation, draw_lung, mask_rings, write_annotations, write_png
from histo.stain import WhitePoint

if TYPE_CHECKING:
    from histo.pipeline.measure import Workplace

__all__ = ["read_lung", "save_lung"]

_AREAS, _FOCI, _REGIONS, _PICTURE = LUNG_FILES
#: Coarser pictures do not show septa.
_FINEST_UM, _COARSEST_UM = 4.0, 5.0
#: At coarser pixels nuclei come out too large and too few to tell tumour from lymphocytes by them.
_CELLS_UM = 0.75
#: Classes of annotations, as QuPath writes them, and what they are made of.
_CLASSES = {
    "Lung": LUNG_CODES[1:8],
    "Airway": ("airway",),
    "Vessel": ("vessel",),
    "Airway or vessel": ("airway or vessel",),
}


def save_lung(folder: Path, place: Workplace, cells: pd.DataFrame) -> tuple[Metric, ...]:
    """Find lobes, large airways and vessels, and foci; write what is known of them.

    Parameters
    ----------
    folder : Path
        Gets ``lung.json``, ``foci.csv``, ``regions.geojson`` and ``lung.png``.
    place : Workplace
        A brightfield slide.
    cells : DataFrame
        The cell table: nuclei tell foci from lymphoid aggregates, where the slide is fine enough
        to measure them.

    Returns
    -------
    tuple of Metric
    """
    picture, artefacts, um = _picture(place)
    white: WhitePoint | None = place.survey.white_point
    if white is None:
        raise ValueError("a lung is read in a brightfield section.")
    counted = cells[(cells["compartment"] != "excluded").to_numpy()]
    section = find_lung(
        picture,
        white.value,
        pixel_size_um=um,
        cells=counted if place.pixel_size_um <= _CELLS_UM else None,
        artefacts=artefacts,
    )
    areas = LungAreas.of(section)
    content = {"areas": areas.to_dict(), "refused": [asdict(one) for one in section.refused]}
    (folder / _AREAS).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    foci_table(section.foci).to_csv(folder / _FOCI, index=False, encoding="utf-8-sig")
    slide = place.slide
    annotations = _annotations(section)
    write_annotations(folder / _REGIONS, annotations, slide.pixel_size_yx_um, slide=slide.name)
    write_png(folder / _PICTURE, draw_lung(picture, section, title=slide.name))
    return lung_metrics(areas)


def read_lung(folder: Path) -> tuple[Metric, ...]:
    """Return the metrics of a lung section that `save_lung` stored.

    Raises
    ------
    ResultError
        If its file is missing or damaged.
    """
    try:
        content = json.loads((folder / _AREAS).read_text(encoding="utf-8"))
        return lung_metrics(LungAreas.from_dict(content["areas"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ResultError(
            f"{folder.name}: {_AREAS} is missing or damaged ({type(error).__name__}); run the "
            "slide again with --force."
        ) from error


def _picture(
    place: Workplace,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_], float]:
    """Return the slide fine enough to show septa, its artefacts, and the pixel size in µm.

    The survey of a very large slide is coarser: it is read once more then.
    """
    survey = place.survey
    um, spoilt = survey.pixel_size_um, survey.artefacts > 0
    if um <= _COARSEST_UM:
        return survey.picture, spoilt, um
    from histo.geometry import Region

    fine = place.slide.working_pixel_size(_FINEST_UM)
    shape = place.slide.grid_shape(fine)
    rows, columns = (
        np.minimum(((np.arange(n) + 0.5) * fine / um).astype(np.int64), extent - 1)
        for n, extent in zip(shape, spoilt.shape, strict=True)
    )
    picture = place.slide.read(Region(0, 0, *shape), fine)
    return np.asarray(picture, np.uint8), spoilt[np.ix_(rows, columns)], fine


def _annotations(section: LungSection) -> list[Annotation]:
    """Return lung, tubes and foci as a person would draw them in QuPath."""
    um, found = section.pixel_size_um, []
    for name, codes in _CLASSES.items():
        mask = np.isin(section.codes, [LUNG_CODES.index(code) for code in codes])
        if mask.any():
            measured = {"Area µm^2": float(mask.sum()) * um**2}
            found.append(Annotation(name, "", mask_rings(mask, um), measured))
    for focus in section.foci:
        measured = {"Area µm^2": focus.area_um2, "Equivalent diameter µm": focus.diameter_um}
        if focus.nuclei is not None:
            measured["Nuclei"] = float(focus.nuclei)
        rings = mask_rings(section.labels == focus.focus_id, um)
        found.append(Annotation("Metastasis", f"Focus {focus.focus_id}", rings, measured))
    return found
