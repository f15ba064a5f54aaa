"""A slide divided into compartments: found or drawn once, kept beside the result."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from histo.errors import AnnotationError
from histo.geometry import Region
from histo.metrics import Histogram, SlideAreas
from histo.pipeline.files import COMPARTMENT_FILES, level0_um, reading
from histo.pipeline.region_source import is_drawn, regions_record
from histo.region.compartments import OTHER, Compartments, class_word
from histo.threads import in_order

if TYPE_CHECKING:
    from histo.pipeline.measure import Workplace

__all__ = [
    "DIVIDED_FLAGS",
    "Divided",
    "class_order",
    "divide_slide",
    "place_in",
    "read_divided",
    "save_divided",
    "shown_classes",
]

DIVIDED_FLAGS = ("compartments_by_model",)
"""What a person should look at before believing compartments."""

_MASKS, _ABOUT, _REGIONS = COMPARTMENT_FILES
#: In this order; other classes follow by name, and what nobody drew comes last.
_FIRST = ("tumor", "stroma", "necrosis")


@dataclass(frozen=True, slots=True, eq=False)
class Divided:
    """The compartments of a slide.

    Attributes
    ----------
    compartments : Compartments
        On the pixels of the survey, as far out as cells count.
    areas : mapping of str to SlideAreas
        By the classes' words.
    source : mapping
        Kind (``model`` or ``drawn``), name and hash of what said so.
    """

    compartments: Compartments
    areas: Mapping[str, SlideAreas]
    source: Mapping[str, Any]

    @property
    def flags(self) -> tuple[str, ...]:
        """What to look at before believing the numbers."""
        return DIVIDED_FLAGS if self.source["kind"] == "model" else ()

    def record(self) -> dict[str, Any]:
        """Return what the manifest says of it."""
        return {"classes": list(self.compartments.classes), "source": dict(self.source)}

    def areas_without(
        self, regions_um: Sequence[npt.NDArray[np.float64]]
    ) -> Mapping[str, SlideAreas]:
        """Return the areas without regions that were excluded by hand.

        How strongly the rest is stained is not known then: positive areas become NaN.
        """
        if not len(regions_um):
            return self.areas
        left = self.compartments.without(regions_um)
        return {
            word: SlideAreas(area, area)
            for word, area in zip(left.words, left.areas_um2().tolist(), strict=True)
        }


def divide_slide(
    place: Workplace,
    cells: pd.DataFrame,
    window: npt.NDArray[np.bool_],
    regions: str,
    *,
    progress: Callable[[str, float], None] | None = None,
) -> Divided:
    """Divide a slide's tissue into compartments.

    Parameters
    ----------
    place : Workplace
        With what the tiles showed to be out of focus.
    cells : DataFrame
        The slide's measured cells.
    window : bool (Y, X)
        Where cells count, on the survey's pixels.
    regions : str
        A region model, or a file of annotations.
    progress : callable, optional
        Takes the stage and the part done, 0-1.

    Returns
    -------
    Divided

    Raises
    ------
    AnnotationError, ModelError, PanelError
        If the annotations or the model cannot be used.
    """
    drawn = is_drawn(regions)
    classes, codes = _drawn(place, regions) if drawn else _modelled(place, cells, window, regions)
    survey = place.survey
    share = survey.valid * survey.share
    codes = np.where(window, codes, 0).astype(np.uint8)
    if drawn and not ((codes > 0) & (share > 0)).any():
        raise AnnotationError(
            f"{Path(regions).name}: no annotation lies on the tissue of {place.slide.path.name}; "
            "export the annotations of this slide."
        )
    left = window & (codes == 0)
    if left.any():
        words = [class_word(name) for name in classes]
        if class_word(OTHER) not in words:
            classes, words = (*classes, OTHER), [*words, class_word(OTHER)]
        codes[left] = words.index(class_word(OTHER)) + 1
    compartments = Compartments(classes, codes, share, survey.pixel_size_um)
    areas = _measured(place, compartments, progress or (lambda stage, part: None))
    return Divided(compartments, areas, regions_record(regions))


def _drawn(place: Workplace, regions: str) -> tuple[tuple[str, ...], npt.NDArray[np.uint8]]:
    """Return classes and codes as they were drawn; 0 where nothing was."""
    from histo.results.reader_classes import paint_classes, read_classes

    path, survey = Path(regions), place.survey
    areas = read_classes(path, place.slide.pixel_size_yx_um)
    try:
        shown = shown_classes([one.name for one in areas])
    except ValueError as error:
        raise AnnotationError(f"{path.name}: {error}") from error
    words = list(shown)
    codes = {one.name: words.index(class_word(one.name)) + 1 for one in areas}
    shape = survey.tissue.shape[0], survey.tissue.shape[1]
    painted = paint_classes(areas, codes, shape, survey.pixel_size_um)
    return tuple(shown.values()), painted


def shown_classes(names: Iterable[str]) -> dict[str, str]:
    """Return the classes that were drawn, in order: word to the name that was seen first.

    Raises
    ------
    ValueError
        If a class cannot be a compartment.

    Examples
    --------
    >>> shown_classes(["Stroma", "Tumour", "tumor"])
    {'tumor': 'Tumour', 'stroma': 'Stroma'}
    """
    shown: dict[str, str] = {}
    for name in names:
        shown.setdefault(class_word(name), name)
    return {word: shown[word] for word in sorted(shown, key=class_order)}


def class_order(word: str) -> tuple[int, str]:
    """Return what classes are sorted by: tumour, stroma and necrosis first, other last.

    Examples
    --------
    >>> sorted(["other", "immune_cells", "stroma", "tumor"], key=class_order)
    ['tumor', 'stroma', 'immune_cells', 'other']
    """
    last = len(_FIRST) + (word == class_word(OTHER))
    return (_FIRST.index(word) if word in _FIRST else last), word


def _modelled(
    place: Workplace, cells: pd.DataFrame, window: npt.NDArray[np.bool_], regions: str
) -> tuple[tuple[str, ...], npt.NDArray[np.uint8]]:
    """Return classes and codes as a region model finds them."""
    from scipy import ndimage as ndi

    from histo.pipeline.region_maps import at_map_size, slide_maps
    from histo.region.maps import MAP_UM
    from histo.region.model import find_compartments, load_region_model

    model, um = load_region_model(regions), place.survey.pixel_size_um
    maps = slide_maps(place, cells, model.stains)
    # A pixel more on every side: no cell of the window may fall between the two grids.
    tissue = ndi.binary_dilation(at_map_size(window.astype(np.float32), maps.shape, um) > 0.25)
    found = find_compartments(model, maps, np.asarray(tissue))
    return model.classes, Region(0, 0, *window.shape).sample(found, um / MAP_UM)


def _measured(
    place: Workplace, compartments: Compartments, progress: Callable[[str, float], None]
) -> dict[str, SlideAreas]:
    """Measure area and stain of each compartment; reads the slide's tissue once more."""
    from histo.pipeline.measure import CORE_PX, pixel_edges
    from histo.tiles import Tile, tile_grid

    um, words = place.pixel_size_um, compartments.words
    areas = {
        word: SlideAreas(area, area)
        for word, area in zip(words, compartments.areas_um2().tolist(), strict=True)
    }
    if not place.panel.markers:
        return areas
    counted = np.where(compartments.share >= 0.5, compartments.codes, 0)
    shape = place.slide.grid_shape(um)
    tiles = tile_grid(shape, core_px=CORE_PX, halo_px=0, mask=counted > 0)
    edges = pixel_edges(place)

    def measure(tile: Tile) -> dict[int, dict[str, Histogram]]:
        return _tile_stains(place, counted, edges, tile.core)

    with closing(in_order(measure, tiles)) as found:
        for number, stains in enumerate(found, 1):
            for code, histograms in stains.items():
                word = words[code - 1]
                former = areas[word].histograms
                summed = {n: former[n] + h if n in former else h for n, h in histograms.items()}
                areas[word] = replace(areas[word], histograms=summed)
            progress("compartments", number / len(tiles))
    return areas


def _tile_stains(
    place: Workplace,
    counted: npt.NDArray[np.uint8],
    edges: npt.NDArray[np.float64],
    core: Region,
) -> dict[int, dict[str, Histogram]]:
    """Read a tile, and count its pixels by stain for every compartment that it holds."""
    from histo.pipeline.measure import stain_histograms, survey_lookup

    codes = counted[np.ix_(*survey_lookup(core, place))]
    if not codes.any():
        return {}
    box = _box(codes > 0)
    part = Region(core.y + box[0].start, core.x + box[1].start, *codes[box].shape)
    planes = place.planes(place.slide.read(part, place.pixel_size_um))
    return {
        int(code): stain_histograms(place, planes, edges, where=codes[box] == code)
        for code in np.unique(codes[box])
        if code
    }


def _box(mask: npt.NDArray[np.bool_]) -> tuple[slice, slice]:
    """Return the rows and columns that hold something; there must be something."""
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def place_in(cells: pd.DataFrame, divided: Divided | None) -> pd.DataFrame:
    """Say of each cell that counts in which compartment its nucleus lies.

    Parameters
    ----------
    cells : DataFrame
    divided : Divided or None
        None: the slide is not divided.

    Returns
    -------
    DataFrame
        ``compartment`` holds the class's word, or ``tissue``; excluded cells stay so.
    """
    present = cells["compartment"]
    if divided is None:
        whole = present.where(present == "excluded", "tissue")
        return cells if whole.equals(present) else cells.assign(compartment=whole)
    compartments = divided.compartments
    names = np.array(["tissue", *compartments.words], object)
    found = names[compartments.at(cells[["y_um", "x_um"]].to_numpy())]
    placed = np.where((present == "excluded").to_numpy(), "excluded", found)
    return cells.assign(compartment=pd.Series(placed, index=cells.index).astype("str"))


def save_divided(folder: Path, divided: Divided, slide: Mapping[str, Any]) -> None:
    """Write masks, areas, and annotations for QuPath.

    Parameters
    ----------
    folder : Path
    divided : Divided
    slide : mapping
        ``slide`` of the manifest.
    """
    from histo.results import Annotation, mask_rings, write_annotations

    one = divided.compartments
    np.savez_compressed(folder / _MASKS, codes=one.codes, share=one.share)
    content = {
        "classes": list(one.classes),
        "pixel_size_um": one.pixel_size_um,
        "source": dict(divided.source),
        "areas": {word: areas.to_dict() for word, areas in divided.areas.items()},
    }
    (folder / _ABOUT).write_text(json.dumps(content) + "\n", encoding="utf-8")
    annotations = []
    for name, area in zip(one.classes, one.areas_um2().tolist(), strict=True):
        mask = one.mask(class_word(name)) & (one.share > 0)
        if mask.any():
            rings = mask_rings(mask, one.pixel_size_um)
            annotations.append(Annotation(name, "", rings, {"Area µm^2": area}))
    write_annotations(folder / _REGIONS, annotations, level0_um(slide), slide=str(slide["name"]))


def read_divided(folder: Path) -> Divided | None:
    """Return the compartments of a result; None where the slide was not divided.

    Raises
    ------
    ResultError
        If what is there is damaged.
    """
    if not (folder / _ABOUT).is_file():
        return None
    with reading(folder.name, "its compartments are damaged"):
        about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
        with (folder / _MASKS).open("rb") as stream, np.load(stream) as stored:
            codes, share = stored["codes"], stored["share"]
        compartments = Compartments(
            tuple(about["classes"]), codes, share, float(about["pixel_size_um"])
        )
        areas = {word: SlideAreas.from_dict(one) for word, one in about["areas"].items()}
        return Divided(compartments, areas, about["source"])
