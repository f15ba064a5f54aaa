"""What a reader annotated on a slide, as pixels of any size: nuclei, and where all are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from histo.errors import AnnotationError
from histo.geometry import Region
from histo.metrics.evaluation import CellSet
from histo.metrics.shapes import LabelShapes, OutlineShapes, Shapes
from histo.results import CellFile, read_cells, read_manifest
from histo.results.reader_areas import read_geojson_nuclei
from histo.slide import Slide

__all__ = ["Annotation", "AnnotationGrid", "read_annotation"]

#: Without a drawn area, gaps between annotated nuclei in which no circle of this radius fits count
#: as annotated, and so does a rim around the nuclei.
BETWEEN_UM, RIM_UM = 20.0, 2.0
#: Along the line of a drawn area, a nucleus may be left out since half of it lies outside.
LINE_UM = 2.0

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Annotation:
    """The nuclei that a reader outlined on a slide.

    Attributes
    ----------
    cells : CellSet
        With shapes; calls only where they are about nuclear stain.
    areas : OutlineShapes or None
        Where every nucleus is among them. None: in narrow gaps between them.
    ignored : OutlineShapes or None
        What is neither nucleus nor background.
    is_whole : bool
        Whether the areas are the whole image, whose edge is no line that somebody drew.
    kind : str
        What it was read from.
    notes : tuple of str
        What was left out or taken for something.
    """

    cells: CellSet
    areas: OutlineShapes | None
    ignored: OutlineShapes | None
    is_whole: bool
    kind: str
    notes: tuple[str, ...]

    @property
    def shapes(self) -> Shapes:
        """The outlines of the cells."""
        if self.cells.shapes is None:
            raise ValueError("an annotation has shapes.")
        return self.cells.shapes


def read_annotation(
    truth: Path, slide: Slide, *, marker: str | None = None, positivity: bool = True
) -> Annotation:
    """Read what was annotated on a slide.

    Parameters
    ----------
    truth : path
        GeoJSON of QuPath, a label image of the size of the slide, or a result folder.
    slide : Slide
        The slide that it belongs to.
    marker : str, optional
        Whose calls say which nuclei are positive, where there are several. Of a result folder's
        markers, the one that is seen as DAB in nuclei.
    positivity : bool
        Take over which nuclei are positive, where that is said.

    Returns
    -------
    Annotation

    Raises
    ------
    AnnotationError
        If it cannot be read, has no outlines, or is of another image.
    ResultError, SlideError
        If a file is damaged, or the slide has no pixel size.
    """
    if truth.name.lower().removesuffix(".gz").endswith((".geojson", ".json")):
        annotation = _from_geojson(truth, slide, marker)
    else:
        annotation = _from_cells(truth, slide, marker)
    if not len(annotation.cells):
        raise AnnotationError(
            f"{truth.name}: holds no nucleus with an outline, from which nothing can be learned; "
            "give GeoJSON with cells, detections or drawn outlines, or a label image."
        )
    _check_place(truth, annotation.cells, slide)
    if not positivity:
        annotation = replace(annotation, cells=replace(annotation.cells, positive=None))
    return annotation


def _from_geojson(truth: Path, slide: Slide, marker: str | None) -> Annotation:
    um, sides = slide.pixel_size_um, slide.pixel_size_yx_um
    read = read_geojson_nuclei(truth, pixel_size_um=um, marker=marker)
    # From µm of square pixels into µm of the slide's own pixels, which may not be square.
    factors = np.asarray(sides) / um

    def stretched(shapes: OutlineShapes | None) -> OutlineShapes | None:
        if shapes is None:
            return None
        return replace(shapes, points=shapes.points * factors, pixel_size_um=sides)

    cells = read.nuclei
    if isinstance(cells.shapes, OutlineShapes):
        cells = CellSet(cells.centres_um * factors, cells.positive, stretched(cells.shapes))
    complete, ignored = stretched(read.complete), stretched(read.ignored)
    return Annotation(cells, complete, ignored, False, "GeoJSON", read.notes)


def _from_cells(truth: Path, slide: Slide, marker: str | None) -> Annotation:
    """Read a label image, or a result folder, whose calls count if they are of nuclear stain."""
    nuclear = True
    if truth.is_dir():
        marker, nuclear = _nuclear_marker(truth, marker)
    file = read_cells(truth, pixel_size_um=slide.pixel_size_um, marker=marker)
    if file.cells.shapes is None:
        raise AnnotationError(
            f"{truth.name}: has positions of cells but no outlines, from which nothing can be "
            "learned; give GeoJSON with cells, detections or drawn outlines, or a label image."
        )
    if file.kind == "label image":
        shapes = _fitted_labels(truth, file, slide)
        whole = _rectangle((0.0, 0.0, *shapes.extent_um), shapes.pixel_size_um)
        cells = CellSet(shapes.centres_um(), file.cells.positive, shapes)
        return Annotation(cells, whole, None, True, file.kind, file.notes)
    cells = file.cells if nuclear else replace(file.cells, positive=None)
    return Annotation(cells, None, None, False, file.kind, file.notes)


def _nuclear_marker(folder: Path, marker: str | None) -> tuple[str | None, bool]:
    """Return the marker of a result folder that shows as DAB in nuclei, and whether there is one.

    Without one, any marker will do for reading, since its calls are not used.
    """
    content: dict[str, Any] = read_manifest(folder).get("parameters", {}).get("panel_content", {})
    markers = content.get("markers") or []
    nuclear = [m["name"] for m in markers if (m["compartment"], m["plane"]) == ("nucleus", "dab")]
    if marker is not None:
        return marker, marker.casefold() in nuclear
    chosen = nuclear or [m["name"] for m in markers]
    return (chosen[0] if chosen else None), bool(nuclear)


def _fitted_labels(truth: Path, file: CellFile, slide: Slide) -> LabelShapes:
    """Lay a label image over the slide; it must have the same pixels."""
    shapes = file.cells.shapes
    if not isinstance(shapes, LabelShapes):
        raise ValueError("a label image has labels.")
    if shapes.labels.shape != slide.shape:
        height, width = shapes.labels.shape
        raise AnnotationError(
            f"{truth.name}: is {height} x {width} px and {slide.path.name} is {slide.shape[0]} x "
            f"{slide.shape[1]}; a label image must have the size of its slide."
        )
    return replace(shapes, pixel_size_um=slide.pixel_size_yx_um)


def _rectangle(box: tuple[float, float, float, float], sides: tuple[float, float]) -> OutlineShapes:
    top, left, bottom, right = box
    corners = np.array([[top, left], [top, right], [bottom, right], [bottom, left]])
    return OutlineShapes.of([[corners]], sides)


def _check_place(truth: Path, cells: CellSet, slide: Slide) -> None:
    """Refuse cells that lie outside of the slide: they belong to another one."""
    extent = np.asarray(slide.shape) * slide.pixel_size_yx_um
    outside = ((cells.centres_um < 0) | (cells.centres_um > extent)).any(axis=1).sum()
    if outside > 0.01 * len(cells):
        raise AnnotationError(
            f"{truth.name}: {outside / len(cells):.0%} of its cells lie outside of "
            f"{slide.path.name} ({slide.shape[0]} x {slide.shape[1]} px); check that both are of "
            "the same slide."
        )


class AnnotationGrid:
    """An annotation on the pixels of one size.

    Parameters
    ----------
    annotation : Annotation
    pixel_size_um : float
    shape : (int, int)
        (Y, X) of the whole slide in such pixels.

    Examples
    --------
    >>> square = np.array([[10.0, 10], [10, 18], [18, 18], [18, 10]])
    >>> shapes = OutlineShapes.of([[square]], (1.0, 1.0))
    >>> cells = CellSet(shapes.centres_um(), None, shapes)
    >>> grid = AnnotationGrid(Annotation(cells, None, None, False, "GeoJSON", ()), 1.0, (40, 40))
    >>> (grid.labels(Region(0, 0, 40, 40)) > 0).sum(), grid.known(Region(0, 0, 40, 40)).sum()
    (np.int64(64), np.int64(132))
    """

    def __init__(
        self, annotation: Annotation, pixel_size_um: float, shape: tuple[int, int]
    ) -> None:
        self._um, self._shape = pixel_size_um, shape
        self._annotation = annotation
        self.labels: Callable[[Region], npt.NDArray[np.int32]] = self._painter(annotation.shapes)
        self._areas, self._ignored = (
            None if shapes is None else self._painter(shapes)
            for shapes in (annotation.areas, annotation.ignored)
        )

    def _painter(self, shapes: Shapes) -> Callable[[Region], npt.NDArray[np.int32]]:
        return shapes.on_grid((self._um, self._um)).paint

    def known(self, region: Region) -> Bools:
        """Say for each pixel whether every nucleus there is annotated.

        Parameters
        ----------
        region : Region

        Returns
        -------
        bool (Y, X)
        """
        known = self._between(region) if self._areas is None else self._within(self._areas, region)
        if self._ignored is not None:
            known &= self._ignored(region) == 0
        inside = np.zeros_like(known)
        inside[region.clip(self._shape).slices_in(region)] = True
        return known & inside

    def _within(self, paint: Callable[[Region], npt.NDArray[np.int32]], region: Region) -> Bools:
        line = 0 if self._annotation.is_whole else round(LINE_UM / self._um)
        wide = region.expand(line + 1)
        deep = _distance(paint(wide) > 0) > line
        return deep[region.slices_in(wide)]

    def _between(self, region: Region) -> Bools:
        """Close narrow gaps between nuclei: what lies farther out was perhaps never looked at.

        A morphological closing, by distances: Serra, Image Analysis and Mathematical
        Morphology (1982).
        """
        reach, rim = BETWEEN_UM / self._um, RIM_UM / self._um
        wide = region.expand(int(2 * reach) + 2)
        near = _distance(self.labels(wide) == 0) <= reach
        return (_distance(near) > reach - rim)[region.slices_in(wide)]


def _distance(mask: Bools) -> npt.NDArray[np.float32]:
    """Return how far each pixel of a mask is from the nearest one outside of it, in px."""
    if mask.all():
        return np.full(mask.shape, np.inf, np.float32)
    return np.asarray(cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5), np.float32)
