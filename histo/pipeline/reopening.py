"""A finished slide made ready to be measured again: everything as the run settled it."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from histo.errors import ModelError, ResultError, SlideError
from histo.geometry import Region
from histo.metrics import Histogram, SlideAreas
from histo.nuclei import NucleiModel, load_model, read_card
from histo.panel import Panel
from histo.pipeline.drawn_region import DrawnRegion, check_polygons
from histo.pipeline.files import level0_um
from histo.pipeline.measure import LABELS, Workplace, calls_brown
from histo.pipeline.pictures import VIEWS
from histo.pipeline.survey import Survey, extent_in
from histo.results import open_labels, read_manifest
from histo.slide import Slide, open_slide
from histo.stain import StainMatrix, WhitePoint
from histo.tissue import ARTEFACT_NAMES

__all__ = ["Reopened", "reopen"]


@dataclass(frozen=True, slots=True, eq=False)
class Reopened:
    """What a run knew of its slide.

    Attributes
    ----------
    place : Workplace
        Its survey is that before focus was judged, as the tiles of the run saw it.
    survey : Survey
        With what the tiles found out of focus, as the run left it.
    labels : zarr.Array, uint32 (Y, X)
        The nuclei on the working grid, as the model found them.
    histograms : mapping of str to Histogram
        Stain of the valid tissue, as the run counted it.
    notes : tuple of str
        What is not as it was in the run.
    """

    place: Workplace
    survey: Survey
    labels: Any
    histograms: Mapping[str, Histogram]
    notes: tuple[str, ...]

    def as_surveyed(self) -> Workplace:
        """Return the place as the run left it: focus judged, and the slide's picture from afar."""
        um = self.survey.pixel_size_um
        shape = self.place.slide.grid_shape(um)
        picture = self.place.slide.read(Region(0, 0, *shape), um)
        return replace(self.place, survey=replace(self.survey, picture=picture))


def reopen(slide_path: str | Path, folder: str | Path, *, model: str | None = None) -> Reopened:
    """Open a slide again with the stains, ranges and masks of its result; nothing is estimated.

    Parameters
    ----------
    slide_path : path
    folder : path
        Its result folder.
    model : str, optional
        Folder of the model that made the result, where it is not a built-in one.

    Returns
    -------
    Reopened
        Close ``place.slide`` in the end.

    Raises
    ------
    ResultError
        If the folder is no result, or lacks what is needed.
    SlideError
        If the slide cannot be read or is another one.
    ModelError
        If the model is not to be found.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    with _reading(folder):
        panel = Panel.model_validate(manifest["parameters"]["panel_content"])
        um = float(manifest["analysis"]["working_pixel_size_um"])
        survey = _survey(folder, manifest, panel)
        pixel_size_um, shape = (
            manifest["parameters"]["pixel_size_um"],
            manifest["slide"]["shape_px"],
        )
        areas = SlideAreas.from_dict(json.loads((folder / "areas.json").read_text("utf-8")))
        labels = open_labels(folder / LABELS)[0]
    network, notes = _model(manifest, panel, model)
    slide = open_slide(slide_path, pixel_size_um=pixel_size_um)
    try:
        _check_slide(slide, shape, folder.name)
        polygons = manifest["parameters"].get("region_um")
        if polygons is not None:
            drawn = DrawnRegion.on_slide(check_polygons(polygons), slide, survey.pixel_size_um)
            survey = replace(survey, region=drawn)
        channels = panel.resolve_channels(slide.channel_names) if panel.kind == "channels" else ()
        place = Workplace(slide, panel, _before_focus(survey), network, um, channels)
        if calls_brown(place) and survey.dab_od_shift is None:
            raise ResultError(
                f"{folder.name}: manifest.json does not say by how much brown was settled "
                "(dab_od_shift), so new nuclei cannot be measured like the others; run the slide "
                "again with --force."
            )
        return Reopened(place, survey, labels, areas.histograms, notes)
    except BaseException:
        slide.close()
        raise


@contextmanager
def _reading(folder: Path) -> Iterator[None]:
    """Turn what a damaged or altered result raises into a sentence."""
    try:
        yield
    except (OSError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise ResultError(
            f"{folder.name}: lacks what is needed to measure more nuclei "
            f"({type(error).__name__}: {error}); run the slide again with --force."
        ) from error


def _survey(folder: Path, manifest: Mapping[str, Any], panel: Panel) -> Survey:
    with np.load(folder / VIEWS, allow_pickle=False) as views:
        tissue, artefacts = views["tissue"], views["artefacts"]
    um = float(manifest["analysis"]["survey_pixel_size_um"])
    extent = extent_in(manifest["slide"]["shape_px"], level0_um(manifest["slide"]), um)
    survey = Survey(um, np.zeros((0, 0, 3), np.uint8), tissue, artefacts, extent_px=extent)
    if panel.kind == "channels":
        low, high = manifest["analysis"]["nuclear_range"]
        return replace(survey, nuclear_range=(float(low), float(high)))
    stains = manifest["stains"]
    vectors = stains["vectors"]
    return replace(
        survey,
        white_point=WhitePoint(np.array(stains["white_point"]), str(stains["white_point_source"])),
        stains=StainMatrix(str(stains["name"]), tuple(vectors), np.array([*vectors.values()])),
        dab_od_shift=stains.get("dab_od_shift"),
    )


def _before_focus(survey: Survey) -> Survey:
    """Return the survey as the tiles saw it: focus shows only at full resolution."""
    blur = ARTEFACT_NAMES.index("blur")
    known = np.where(survey.artefacts == blur, 0, survey.artefacts)
    return replace(survey, artefacts=known.astype(np.uint8))


def _model(
    manifest: Mapping[str, Any], panel: Panel, given: str | None
) -> tuple[NucleiModel, tuple[str, ...]]:
    """Find the model of the run by its hash; else take the one of its name, and say so."""
    named, sha256 = str(manifest["model"]["name"]), manifest["model"]["sha256"]
    there = []
    for candidate in filter(None, (given, named, panel.model)):
        try:
            card = read_card(candidate)
        except ModelError:
            continue
        if card.sha256 == sha256:
            return load_model(candidate), ()
        there.append(candidate)
    if not there:
        raise ModelError(
            f"{manifest['slide']['name']}: was analysed with the model {named}, which is not "
            "here; give the folder of that model."
        )
    model = load_model(there[0])
    return model, (
        f"{manifest['slide']['name']} was analysed with another version of the model {named}; "
        f"new nuclei are outlined with {model.card.name} {model.card.version} of today.",
    )


def _check_slide(slide: Slide, shape: Any, result: str) -> None:
    if list(slide.shape) != list(shape):
        raise SlideError(
            f"{slide.path.name}: is {slide.shape[0]} x {slide.shape[1]} px, but the result "
            f"{result} is of a slide of {shape[0]} x {shape[1]} px; choose the slide that was "
            "analysed."
        )
