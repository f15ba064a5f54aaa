"""Which slides belong to which annotations, to learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from histo.batch.find import find_slides, is_result_folder
from histo.batch.pairs import pair_files
from histo.errors import AnnotationError
from histo.pipeline import Lesson
from histo.slide import slide_name

__all__ = ["Lessons", "find_lessons"]


@dataclass(frozen=True, slots=True)
class Lessons:
    """What was paired, and what had no partner.

    Parameters
    ----------
    lessons : tuple of Lesson
    lonely : tuple of str
        Names of slides and of annotations without a partner.
    """

    lessons: tuple[Lesson, ...]
    lonely: tuple[str, ...] = ()


def find_lessons(inputs: Sequence[str]) -> Lessons:
    """Pair slides with their annotations.

    Parameters
    ----------
    inputs : sequence of str
        Any number of ``SLIDE=TRUTH``; or a slide and its truth; or a folder of slides and a
        folder of truths, which are paired by the slides' names as `pair_files` does it.

    Returns
    -------
    Lessons

    Raises
    ------
    AnnotationError, SlideError
        If something is missing, one slide is named twice, or nothing has a partner.
    ValueError
        If the inputs have another form.

    Examples
    --------
    >>> import tempfile
    >>> place = Path(tempfile.mkdtemp())
    >>> for name in ("slides/a.tif", "slides/b.tif", "truth/a.geojson"):
    ...     (place / name).parent.mkdir(exist_ok=True)
    ...     (place / name).touch()
    >>> found = find_lessons([f"{place}/slides", f"{place}/truth"])
    >>> [lesson.truth.name for lesson in found.lessons], found.lonely
    (['a.geojson'], ('b.tif',))
    """
    pairs = [_split(text) for text in inputs]
    if len(inputs) == 2 and not any(pairs):
        slides, truth = (Path(text) for text in inputs)
        _check_there(slides, truth)
        if slides.is_file() or is_result_folder(truth) or truth.is_file():
            return Lessons((Lesson(slides, truth),))
        return _of_folders(slides, truth)
    lessons = [pair for pair in pairs if pair is not None]
    if not lessons or len(lessons) < len(inputs):
        raise ValueError(
            "give a folder of slides and a folder of annotations, or SLIDE=TRUTH for each slide."
        )
    for lesson in lessons:
        _check_there(lesson.slide, lesson.truth)
    if len({lesson.slide.resolve() for lesson in lessons}) < len(lessons):
        raise AnnotationError(
            "One slide is named twice; put its annotations into one file, since nuclei of one "
            "slide must not be held back and learned from at once."
        )
    return Lessons(tuple(lessons))


def _split(text: str) -> Lesson | None:
    """Split SLIDE=TRUTH; names may hold a sign of equality, too."""
    if "=" not in text or Path(text).exists():
        return None
    parts = text.split("=")
    ways = [("=".join(parts[:n]), "=".join(parts[n:])) for n in range(1, len(parts))]
    slide, truth = next((way for way in ways if Path(way[0]).exists()), ways[0])
    return Lesson(Path(slide), Path(truth))


def _check_there(*paths: Path) -> None:
    for path in paths:
        if not path.exists():
            raise AnnotationError(f"{path}: no such file or folder; check the path.")


def _of_folders(slides: Path, truth: Path) -> Lessons:
    truths = {pair.name: pair.truth for pair in pair_files(truth, truth).pairs}
    found: dict[str, Path] = {}
    for slide in find_slides(slides):
        name = slide_name(slide)
        if name in found and name in truths:
            raise AnnotationError(
                f"{slides}: {found[name].name} and {slide.name} are both of {name}; keep one."
            )
        found[name] = slide
    lessons = tuple(Lesson(found[name], truths[name]) for name in found if name in truths)
    if not lessons:
        raise AnnotationError(
            f"No slide in {slides} has annotations of its name in {truth} (slide_1.svs and "
            "slide_1.geojson, for example); name them alike."
        )
    lonely = [path.name for name, path in found.items() if name not in truths]
    lonely += [path.name for name, path in truths.items() if name not in found]
    return Lessons(lessons, tuple(lonely))
