"""Metastasis in a lung section: found once a slide, kept so that regions can be left out later."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from histo.errors import ResultError
from histo.geometry import Region
from histo.metrics import Metric
from histo.metrics.lung import lung_metrics
from histo.pipeline.files import LUNG_FILES, level0_um, reading
from histo.region import LUNG_CODES, LungAreas, LungSection, find_lung, foci_table
from histo.region.foci import FociRules, Focus, Refused
from histo.results import (
    Annotation,
    draw_lung,
    mask_rings,
    replace_file,
    write_annotations,
    write_png,
)
from histo.stain import WhitePoint

if TYPE_CHECKING:
    from histo.pipeline.measure import Workplace

__all__ = ["correct_lung", "read_lung_areas", "save_lung"]

_AREAS, _FOCI, _REGIONS, _PICTURE, _MAPS = LUNG_FILES
#: Coarser pictures do not show septa.
_FINEST_UM, _COARSEST_UM = 4.0, 5.0
#: At coarser pixels nuclei come out too large and too few to tell tumour from lymphocytes by them.
_CELLS_UM = 0.75
_DAMAGED = "what is known of its lung is missing or damaged"
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
        Gets `LUNG_FILES`.
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
    region, slide = place.survey.region, place.slide
    # The cells of a region tell nothing of a place that it cuts.
    by_cells = place.pixel_size_um <= _CELLS_UM and region is None
    section = find_lung(
        picture,
        white.value,
        pixel_size_um=um,
        cells=counted if by_cells else None,
        artefacts=artefacts,
    )
    if region is not None:
        zoom = section.pixel_size_um / place.survey.pixel_size_um
        coverage = Region(0, 0, *section.codes.shape).sample(region.coverage, zoom)
        section = section.keeping(coverage >= 0.5)
    np.savez_compressed(folder / _MAPS, codes=section.codes, labels=section.labels)
    write_png(folder / _PICTURE, draw_lung(picture, section, title=slide.name))
    return _write(folder, section, section, slide.name, slide.pixel_size_yx_um)


def correct_lung(
    source: Path,
    folder: Path,
    regions_um: Sequence[npt.NDArray[np.float64]],
    slide: Mapping[str, Any],
) -> tuple[Metric, ...]:
    """Write areas and foci anew, without regions that were excluded by hand.

    Maps and picture stay as they were found.

    Parameters
    ----------
    source : Path
        The result, with or without such regions so far.
    folder : Path
        Gets the files.
    regions_um : sequence of float64 (N, 2)
        Vertices (y, x) in µm.
    slide : mapping
        ``slide`` of the manifest.

    Returns
    -------
    tuple of Metric

    Raises
    ------
    ResultError
        If a file is missing or damaged.
    """
    found = _read_section(source)
    if found is None:
        if len(regions_um):
            raise ResultError(
                f"{source.name}: its lung was found by a version that kept no maps, so that no "
                "region can be left out; run the slide again with --force."
            )
        return lung_metrics(read_lung_areas(source))
    left = found.without(regions_um) if len(regions_um) else found
    return _write(folder, left, found, str(slide["name"]), level0_um(slide))


def read_lung_areas(folder: Path) -> LungAreas:
    """Return the areas of a lung section, without regions that were excluded by hand.

    Raises
    ------
    ResultError
        If its file is missing or damaged.
    """
    with reading(folder.name, _DAMAGED):
        content = json.loads((folder / _AREAS).read_text(encoding="utf-8"))
        return LungAreas.from_dict(content["areas"])


def _write(
    folder: Path,
    section: LungSection,
    found: LungSection,
    name: str,
    level0: tuple[float, float],
) -> tuple[Metric, ...]:
    """Write areas, foci and annotations of a section, and what was found before corrections."""
    areas = LungAreas.of(section)
    content = {
        "areas": areas.to_dict(),
        "refused": [asdict(one) for one in section.refused],
        "found": {
            "pixel_size_um": found.pixel_size_um,
            "rules": asdict(found.rules),
            **{
                kind: [asdict(one) for one in getattr(found, kind)]
                for kind in ("foci", "small", "refused")
            },
        },
    }
    # What was taken over is a hard link: written in place, the former result would change as well.
    with replace_file(folder / _AREAS) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    with replace_file(folder / _FOCI) as temporary:
        foci_table(section.foci).to_csv(temporary, index=False, encoding="utf-8-sig")
    write_annotations(folder / _REGIONS, _annotations(section), level0, slide=name)
    return lung_metrics(areas)


def _read_section(folder: Path) -> LungSection | None:
    """Return the section as it was found, without its tubes; None where no maps were kept."""
    if not (folder / _MAPS).is_file():
        return None
    with reading(folder.name, _DAMAGED):
        found = json.loads((folder / _AREAS).read_text(encoding="utf-8"))["found"]
        with (folder / _MAPS).open("rb") as stream, np.load(stream) as stored:
            codes, labels = stored["codes"], stored["labels"]
        return LungSection(
            float(found["pixel_size_um"]),
            codes,
            labels,
            tuple(Focus(**one) for one in found["foci"]),
            tuple(Focus(**one) for one in found["small"]),
            tuple(Refused(**one) for one in found["refused"]),
            (),
            FociRules(**found["rules"]),
        )


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
    fine = place.slide.working_pixel_size(_FINEST_UM)
    whole = Region(0, 0, *place.slide.grid_shape(fine))
    picture = np.asarray(place.slide.read(whole, fine), np.uint8)
    return picture, whole.sample(spoilt, fine / um), fine


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
