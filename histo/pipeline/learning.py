"""Fields to learn from and fields to be judged on, cut from slides that a reader annotated."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path

import numpy as np
import numpy.typing as npt

from histo.errors import AnnotationError, SlideError
from histo.geometry import Region
from histo.metrics.evaluation import CellSet
from histo.metrics.shapes import LabelShapes
from histo.nuclei.finetune import Field
from histo.pipeline.analyze import working_size
from histo.pipeline.annotation import Annotation, AnnotationGrid, read_annotation
from histo.slide import open_slide

__all__ = [
    "Lesson",
    "LessonRecord",
    "Reading",
    "Sample",
    "Samples",
    "cells_in",
    "read_samples",
]

#: Side of the part that a field teaches or is judged on, and what is read around it, px.
CORE_PX, HALO_PX = 512, 64
#: Fields that are kept in memory, of each kind; drawn at random when there are more.
MOST_LEARNT, MOST_HELD = 48, 24
#: From so many images on, whole images are held back.
SPLIT_IMAGES = 4
#: Between what is learned from and what is held back of one image: about a nucleus.
GAP_UM = 10.0
#: Fewer nuclei teach nothing that could be told from chance.
LEAST_NUCLEI = 30

Bools = npt.NDArray[np.bool_]
Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class Lesson:
    """A slide and the file that says where its nuclei are.

    Parameters
    ----------
    slide, truth : Path
    """

    slide: Path
    truth: Path


@dataclass(frozen=True, slots=True)
class Reading:
    """How lessons are read.

    Parameters
    ----------
    model_um : float
        Pixel size of the model, µm; slides are read near it, as in an analysis.
    pixel_size_um : float, optional
        Of the slides, where the files state none.
    marker : str, optional
        Whose calls say which nuclei are positive.
    positivity : bool
        Learn from these calls.
    held_back : float
        Share of the nuclei to be judged on, above 0 and at most 0.5.
    seed : int
        Chooses what is held back, and fields where there are too many.

    Raises
    ------
    ValueError
        If the share is out of range.

    Examples
    --------
    >>> Reading(0.5).held_back
    0.25
    """

    model_um: float
    pixel_size_um: float | None = None
    marker: str | None = None
    positivity: bool = True
    held_back: float = 0.25
    seed: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.held_back <= 0.5:
            raise ValueError(
                f"the share that is held back must be above 0 and at most 0.5, got "
                f"{self.held_back:g}."
            )


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A field with its pixel size.

    Parameters
    ----------
    field : Field
    pixel_size_um : float
    nuclei : int
        Those whose centre lies where the field is known.
    """

    field: Field
    pixel_size_um: float
    nuclei: int


@dataclass(frozen=True, slots=True)
class LessonRecord:
    """What was taken from one lesson.

    Parameters
    ----------
    lesson : Lesson
    kind : str
        What the truth was read from.
    pixel_size_um : float
        At which the slide was read.
    role : str
        What it was used for, in words.
    area_drawn : bool
        Whether the reader said where every nucleus is annotated.
    positivity : bool
        Whether nuclei were called positive or not.
    notes : tuple of str
    """

    lesson: Lesson
    kind: str
    pixel_size_um: float
    role: str
    area_drawn: bool
    positivity: bool
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """All fields.

    Parameters
    ----------
    learnt, held : tuple of Sample
        To learn from, and to be judged on; they share no pixel that is known.
    lessons : tuple of LessonRecord
    """

    learnt: tuple[Sample, ...]
    held: tuple[Sample, ...]
    lessons: tuple[LessonRecord, ...]

    @property
    def nuclei(self) -> tuple[int, int]:
        """Number of nuclei to learn from, and to be judged on."""
        learnt, held = (sum(s.nuclei for s in part) for part in (self.learnt, self.held))
        return learnt, held


@dataclass(frozen=True, slots=True)
class _Part:
    """What one use makes of a slide: all of it, nothing, or one side of a straight cut.

    ``low_um`` ... ``high_um`` of the coordinate along ``axis`` are used.
    """

    axis: int = 0
    low_um: float = -math.inf
    high_um: float = math.inf

    def within(self, region: Region, um: float) -> Bools:
        """Say which pixels of a region belong to it, bool (Y, X) or what broadcasts to it."""
        start, stop = ((region.y, region.stop_y), (region.x, region.stop_x))[self.axis]
        centre = (np.arange(start, stop) + 0.5) * um
        used = (centre >= self.low_um) & (centre < self.high_um)
        return used[:, None] if self.axis == 0 else used[None]


_ALL, _NOTHING = _Part(), _Part(low_um=math.inf)


@dataclass(frozen=True, slots=True, eq=False)
class _Source:
    """A lesson that has been read, but for its pixels; what of it is learned from, and held."""

    lesson: Lesson
    annotation: Annotation
    um: float
    shape: tuple[int, int]
    given_um: float | None
    learnt: _Part = _ALL
    held: _Part = _NOTHING


def read_samples(
    lessons: Sequence[Lesson], reading: Reading, *, progress: Progress | None = None
) -> Samples:
    """Read the fields of annotated slides, and hold some of them back.

    From four slides on, whole slides are held back. Of fewer, each is cut by a straight line, with
    a gap along it, so that no nucleus is on both sides.

    Parameters
    ----------
    lessons : sequence of Lesson
    reading : Reading
    progress : callable, optional
        Takes what is done in words, and the part of it that is done, 0-1.

    Returns
    -------
    Samples

    Raises
    ------
    AnnotationError
        If a truth cannot be used, or there are too few nuclei.
    SlideError, ResultError
        If a file cannot be read.
    ValueError
        If there is no lesson.
    """
    if not lessons:
        raise ValueError("there must be at least one lesson.")
    tell = progress or (lambda words, part: None)
    rng = np.random.default_rng(reading.seed)
    sources = []
    for number, lesson in enumerate(lessons):
        tell(f"reading {lesson.truth.name}", number / len(lessons))
        sources.append(_read_source(lesson, reading))
    total = sum(_count_known(source) for source in sources)
    if total < LEAST_NUCLEI:
        raise AnnotationError(
            f"The annotated areas hold {total} nuclei; at least {LEAST_NUCLEI} are needed to learn "
            "from and to be judged on, and a hundred or more are better: annotate further fields."
        )
    sources = _split(sources, reading.held_back, rng)
    learnt = _read_fields(sources, "learnt", rng, tell)
    held = _read_fields(sources, "held", rng, tell)
    samples = Samples(learnt, held, tuple(_record(source) for source in sources))
    if not all(samples.nuclei):
        raise AnnotationError(
            "The annotated nuclei cannot be parted into some to learn from and some to be judged "
            "on; annotate a larger area, or further fields."
        )
    return samples


def _read_source(lesson: Lesson, reading: Reading) -> _Source:
    with open_slide(lesson.slide, pixel_size_um=reading.pixel_size_um) as slide:
        if slide.kind != "brightfield":
            raise SlideError(
                f"{lesson.slide.name}: holds fluorescence channels; histo train learns from "
                "bright-field RGB slides."
            )
        um = working_size(slide, reading.model_um)
        annotation = read_annotation(
            lesson.truth, slide, marker=reading.marker, positivity=reading.positivity
        )
        return _Source(lesson, annotation, um, slide.grid_shape(um), reading.pixel_size_um)


def _record(source: _Source) -> LessonRecord:
    role = "learned from, and one end held back"
    if _NOTHING in (source.learnt, source.held):
        role = "held back" if source.learnt == _NOTHING else "learned from"
    return LessonRecord(
        source.lesson,
        source.annotation.kind,
        source.um,
        role,
        source.annotation.areas is not None,
        source.annotation.cells.positive is not None,
        source.annotation.notes,
    )


# -- which part is held back --------------------------------------------------------------


def _count_known(source: _Source) -> int:
    return len(_known_centres(source))


def _known_centres(source: _Source) -> npt.NDArray[np.float64]:
    """Return the centres (y, x) in µm of the nuclei that count: in the drawn areas, if any."""
    centres = source.annotation.cells.centres_um
    areas = source.annotation.areas
    return centres if areas is None else centres[areas.contains(centres)]


def _split(sources: list[_Source], share: float, rng: np.random.Generator) -> list[_Source]:
    if len(sources) < SPLIT_IMAGES:
        return [_cut(source, share, rng) for source in sources]
    counts = [_count_known(source) for source in sources]
    wanted, held = share * sum(counts), 0
    chosen: set[int] = set()
    for index in rng.permutation(len(sources)).tolist():
        fewer, more = abs(wanted - held), abs(wanted - held - counts[index])
        if counts[index] and (more < fewer or not held) and held + counts[index] < sum(counts):
            chosen.add(index)
            held += counts[index]
    return [
        replace(source, learnt=_NOTHING, held=_ALL) if index in chosen else source
        for index, source in enumerate(sources)
    ]


def _cut(source: _Source, share: float, rng: np.random.Generator) -> _Source:
    """Cut across the longer side of what is annotated; one end, at random, is held back."""
    centres = _known_centres(source)
    if len(centres) < 2:
        return source
    axis = int(np.argmax(np.ptp(centres, axis=0)))
    half = GAP_UM / 2
    if rng.random() < 0.5:
        at = float(np.quantile(centres[:, axis], share))
        learnt, held = _Part(axis, low_um=at + half), _Part(axis, high_um=at - half)
    else:
        at = float(np.quantile(centres[:, axis], 1 - share))
        learnt, held = _Part(axis, high_um=at - half), _Part(axis, low_um=at + half)
    return replace(source, learnt=learnt, held=held)


# -- fields -------------------------------------------------------------------------------


def _read_fields(
    sources: Sequence[_Source], use: str, rng: np.random.Generator, tell: Progress
) -> tuple[Sample, ...]:
    """Read the fields of one use ("learnt" or "held"), slides taking turns until there are enough.

    The pixels of a slide are read only for the fields that are taken.
    """
    most = MOST_LEARNT if use == "learnt" else MOST_HELD
    offers = [_offers(source, use, rng) for source in sources]
    taken: list[list[Region]] = [[] for _ in sources]
    for turn in zip_longest(*offers):
        for index, core in enumerate(turn):
            if core is not None:
                taken[index].append(core)
        if sum(map(len, taken)) >= most:
            break
    samples: list[Sample] = []
    for index, (source, cores) in enumerate(zip(sources, taken, strict=True)):
        if cores:
            tell(f"reading fields of {source.lesson.slide.name}", index / len(sources))
            samples += _cut_fields(source, cores, getattr(source, use))
    return tuple(samples)


def _offers(source: _Source, use: str, rng: np.random.Generator) -> Iterator[Region]:
    """Yield the cores in which something is known, in random order."""
    part: _Part = getattr(source, use)
    if part == _NOTHING:
        return
    grid = AnnotationGrid(source.annotation, source.um, source.shape)
    cores = _cores(source)
    for index in rng.permutation(len(cores)).tolist():
        core = cores[index]
        if (grid.known(core) & part.within(core, source.um)).any():
            yield core


def _cores(source: _Source) -> list[Region]:
    """Return the cells of a fixed grid that hold a nucleus or touch a drawn area."""
    side_um = CORE_PX * source.um
    places = np.floor(source.annotation.cells.centres_um / side_um).astype(int)
    found = set(map(tuple, places.tolist()))
    areas = source.annotation.areas
    if areas is not None:
        touched = set()
        for index in range(areas.count):
            box = areas.take(np.array([index])).box_um()
            top, left, bottom, right = (math.floor(edge / side_um) for edge in box)
            rows, columns = range(top, bottom + 1), range(left, right + 1)
            touched |= {(row, column) for row in rows for column in columns}
        found = touched
    cores = (Region(row * CORE_PX, column * CORE_PX, CORE_PX, CORE_PX) for row, column in found)
    return sorted(
        (core for core in cores if not core.clip(source.shape).is_empty),
        key=lambda core: (core.y, core.x),
    )


def _cut_fields(source: _Source, cores: Sequence[Region], part: _Part) -> Iterator[Sample]:
    """Read fields: a core, which teaches where it is known, and what lies around it."""
    annotation, um = source.annotation, source.um
    grid = AnnotationGrid(annotation, um, source.shape)
    positive = annotation.cells.positive
    calls = np.zeros(len(annotation.cells) + 1, bool)
    if positive is not None:
        calls[1:] = positive
    with open_slide(source.lesson.slide, pixel_size_um=source.given_um) as slide:
        for core in cores:
            region = core.expand(HALO_PX)
            labels = grid.labels(region)
            known = np.zeros(region.shape, bool)
            known[core.slices_in(region)] = grid.known(core) & part.within(core, um)
            classed = known & (positive is not None)
            field = Field(slide.read(region, um), labels, calls[labels], known, classed)
            yield Sample(field, um, len(cells_in(labels, known, um)))


def cells_in(
    labels: npt.NDArray[np.integer],
    known: Bools,
    pixel_size_um: float,
    positive: npt.NDArray[np.floating | np.bool_] | None = None,
) -> CellSet:
    """Return the nuclei whose centre lies where a field is known.

    Parameters
    ----------
    labels : int (Y, X)
        0 is background.
    known : bool (Y, X)
    pixel_size_um : float
    positive : float or bool (Y, X), optional
        A nucleus is positive where its mean of this is above one half.

    Returns
    -------
    CellSet
        Their positions count from the field's corner.

    Examples
    --------
    >>> known = np.array([[True, True, False, False]])
    >>> cells_in(np.array([[5, 5, 0, 9]]), known, 0.5).centres_um.tolist()
    [[0.25, 0.5]]
    """
    shapes = LabelShapes.of(labels, (pixel_size_um, pixel_size_um))
    centres, calls = shapes.centres_um(), None
    if positive is not None:
        flat = shapes.labels.ravel()
        total = np.bincount(flat, positive.ravel().astype(float), shapes.count + 1)
        calls = (total / np.maximum(np.bincount(flat, minlength=shapes.count + 1), 1) > 0.5)[1:]
    rows, columns = np.floor(centres / pixel_size_um).astype(int).T
    return CellSet(centres, calls, shapes).take(np.flatnonzero(known[rows, columns]))
