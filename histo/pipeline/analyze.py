"""One slide from file to result folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from histo.errors import ModelError, SlideError
from histo.nuclei import ModelCard, load_model
from histo.panel import Panel
from histo.pipeline.compartments import divide_slide, place_in
from histo.pipeline.corrected import set_edits_aside
from histo.pipeline.lung import save_lung
from histo.pipeline.measure import Workplace, measure_slide
from histo.pipeline.numbers import call_and_count, threshold_flags, thresholds_record
from histo.pipeline.pictures import save_views
from histo.pipeline.settings import Settings, fingerprint
from histo.pipeline.spatial import save_window, space_of
from histo.pipeline.survey import Survey, survey_slide
from histo.pipeline.writing import write_calls
from histo.results import SlideResult, make_manifest, result_folder
from histo.slide import Slide, open_slide

__all__ = ["analyze_slide", "working_size"]

#: Coarser slides are refused: a lymphocyte's nucleus would be six pixels wide.
COARSEST_UM = 1.2
#: Coarser slides are flagged.
COARSE_UM = 0.75

Progress = Callable[[str, float], None]


def analyze_slide(
    path: str | Path,
    settings: Settings,
    *,
    folder: str | Path,
    progress: Progress | None = None,
    on_cells: Callable[[pd.DataFrame], None] | None = None,
) -> SlideResult:
    """Analyse one slide and write its result folder.

    Parameters
    ----------
    path : path
        The slide, in any format that `histo.slide.open_slide` reads.
    settings : Settings
    folder : path
        The result folder; it appears complete, or not at all.
    progress : callable, optional
        Takes the stage in a word or two, and the part of it that is done, 0-1. It may raise to
        stop the work (`histo.errors.Cancelled` says that the user wants to): no folder appears,
        and a former one stays as it was.
    on_cells : callable, optional
        Takes the measured rows of the cell table, without calls, tile by tile as they come.

    Returns
    -------
    SlideResult

    Raises
    ------
    SlideError
        If the slide cannot be read, states no pixel size and none is given, or the region lies
        outside of it.
    PanelError
        If the panel is wrong, or does not fit the slide.
    StainError, ModelError, ResultError
        If stains or model cannot be used, or the results cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np, tifffile
    >>> place = Path(tempfile.mkdtemp())
    >>> blank = np.full((256, 256, 3), 244, np.uint8)
    >>> tifffile.imwrite(place / "blank.tif", blank)
    >>> settings = Settings("foxp3-dab", pixel_size_um=0.5)
    >>> result = analyze_slide(place / "blank.tif", settings, folder=place / "blank")
    >>> len(result.cells), result.manifest["flags"]
    (0, ['no_tissue'])
    """
    tell = progress or (lambda stage, fraction: None)
    panel = settings.load_panel()
    with open_slide(path, pixel_size_um=settings.pixel_size_um) as slide:
        panel.check_slide(
            slide.path.name,
            slide.kind,
            channel_names=slide.channel_names,
            dtype=str(slide.dtype),
        )
        model = load_model(settings.model or panel.model)
        _check_model(panel, model.card)
        um = working_size(slide, model.card.pixel_size_um)
        tell("looking for tissue", 0.0)
        survey = survey_slide(slide, panel, stains=settings.stains, region=settings.region)
        channels = panel.resolve_channels(slide.channel_names) if panel.kind == "channels" else ()
        if survey.stains is not None:
            panel.check_planes(survey.stains.stains)
        place = Workplace(slide, panel, survey, model, um, channels)
        with result_folder(folder) as partial:
            cells, areas, survey = measure_slide(place, partial, progress=tell, on_cells=on_cells)
            place = replace(place, survey=survey)
            window = save_window(partial, survey)
            divided = None
            if settings.regions is not None:
                tell("compartments", 0.0)
                divided = divide_slide(place, cells, window.mask, settings.regions, progress=tell)
            cells = place_in(cells, divided)
            tell("calls and metrics", 0.0)
            parts = divided.areas if divided else None
            cells, thresholds, metrics = call_and_count(
                cells, panel, settings.thresholds, areas, parts=parts
            )
            tell("who is near whom", 0.0)
            metrics += space_of(cells, panel, thresholds, window, divided)
            if panel.regions == "lung":
                tell("lung and foci", 0.0)
                metrics += save_lung(partial, place, cells)
            edits, set_aside = set_edits_aside(Path(folder), partial)
            flags = _flags(place) + threshold_flags(thresholds, cells, panel) + set_aside
            flags += divided.flags if divided else ()
            tell("writing", 0.0)
            sections = _sections(place, settings)
            sections["thresholds"] = thresholds_record(thresholds)
            if divided is not None:
                sections["compartments"] = divided.record()
            sections["flags"] = list(dict.fromkeys(flags))
            sections["edits"] = edits
            manifest = make_manifest(path, sections)
            manifest["fingerprint"] = fingerprint(settings, manifest["input"]["sha256"])
            tell("drawing pictures", 0.3)
            save_views(partial, place, cells, thresholds)
            tell("drawing pictures", 0.6)
            result = SlideResult(cells, metrics, areas, manifest)
            write_calls(partial, result, panel, thresholds, divided=divided)
    return result


def _check_model(panel: Panel, card: ModelCard) -> None:
    """Refuse a model for fluorescence on a stained section; the other way round works."""
    if panel.kind == "brightfield" and card.reads == "nuclear":
        raise ModelError(
            f"Panel {panel.name}: the model {card.name} reads nuclear fluorescence, and this is "
            "a stained section; take nuclei-brightfield, or a model made from it."
        )


def working_size(slide: Slide, model_um: float) -> float:
    """Return the pixel size at which a slide is read for a model of a pixel size, both in µm.

    Raises
    ------
    SlideError
        If the slide has no pixel size, or is too coarse.
    """
    um = slide.working_pixel_size(model_um)
    if um > COARSEST_UM:
        raise SlideError(
            f"{slide.path.name}: its finest pixels are {um:.3g} µm, too coarse to find nuclei; "
            f"scan at {COARSEST_UM} µm/px or finer (10x or more), or check --pixel-size."
        )
    return um


def _flags(place: Workplace) -> tuple[str, ...]:
    """Return what to look at before believing the numbers, most general first."""
    survey: Survey = place.survey
    flags = list(place.slide.notes)
    if survey.region is not None:
        flags.append("region_only")
    if survey.tissue_assumed:
        flags.append("tissue_assumed")
    if not survey.tissue.any():
        flags.append("no_tissue")
    elif (survey.tissue & (survey.artefacts > 0)).sum() > 0.1 * survey.tissue.sum():
        flags.append("artefacts_above_10_percent")
    if place.pixel_size_um > COARSE_UM:
        flags.append("coarse_pixels")
    if survey.white_point is not None:
        flags += survey.white_point.flags
    if survey.stain_check is not None:
        flags += survey.stain_check.flags
    return tuple(flags)


def _sections(place: Workplace, settings: Settings) -> dict[str, Any]:
    slide, survey, card = place.slide, place.survey, place.model.card
    size = slide.pixel_size
    sections: dict[str, Any] = {
        "parameters": settings.record(),
        "slide": {
            "name": slide.name,
            "kind": slide.kind,
            "shape_px": list(slide.shape),
            "channels": list(slide.channel_names),
            "pixel_size_um": slide.pixel_size_um,
            "pixel_size_y_um": slide.pixel_size_yx_um[0],
            "pixel_size_x_um": slide.pixel_size_yx_um[1],
            "pixel_size_source": "" if size is None else size.source,
        },
        "analysis": {
            "working_pixel_size_um": place.pixel_size_um,
            "survey_pixel_size_um": survey.pixel_size_um,
        },
        "model": {"name": card.name, "version": card.version, "sha256": card.sha256},
    }
    if survey.stains is not None and survey.white_point is not None:
        sections["stains"] = {
            "name": survey.stains.name,
            "vectors": dict(zip(survey.stains.stains, survey.stains.vectors.tolist(), strict=True)),
            "white_point": survey.white_point.value.tolist(),
            "white_point_source": survey.white_point.source,
        }
    if survey.dab_od_shift is not None:
        sections["stains"]["dab_od_shift"] = survey.dab_od_shift
    if survey.stain_check is not None:
        sections["stains"]["passed"] = survey.stain_check.passed
        sections["stains"]["values"] = survey.stain_check.values
    if survey.nuclear_range is not None:
        sections["analysis"]["nuclear_range"] = list(survey.nuclear_range)
    return sections
