"""A region model of one's own, from strokes and areas that a person drew on analysed slides."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from histo.edits import Corrections, EditLog
from histo.errors import AnnotationError, ModelError
from histo.pipeline.compartments import shown_classes
from histo.region.compartments import class_word
from histo.results import replace_file
from histo.results.reader_classes import ClassedArea, paint_classes, read_classes

if TYPE_CHECKING:
    from histo.region.learning import RegionLesson
    from histo.region.maps import RegionMaps
    from histo.region.network import RegionNet

__all__ = ["RegionSettings", "RegionTask", "RegionTraining", "train_regions"]

Progress = Callable[[str, float], None]

#: Side of the parts of a slide that are learned from, px of the maps, and what lies around them.
_PART_PX, _AROUND_PX = 512, 48
#: Every so many of a class's annotations is held back, to be judged on.
_EVERY = 4
#: What the user finds in the new model's folder.
REPORT = "regions.json"


@dataclass(frozen=True, slots=True)
class RegionTask:
    """One slide to learn from.

    Attributes
    ----------
    slide : Path
    result : Path
        Its result folder: the cells are read from there.
    annotations : Path
        GeoJSON with classes.
    """

    slide: Path
    result: Path
    annotations: Path


@dataclass(frozen=True, slots=True)
class RegionSettings:
    """How a region model is taught.

    Parameters
    ----------
    stains : tuple of str
        Stains or channels that it may look at beside the nuclei.
    start : str, optional
        A region model of the same classes and stains to go on from.
    steps : int
    seed : int

    Examples
    --------
    >>> RegionSettings().steps
    300
    """

    stains: tuple[str, ...] = ()
    start: str | None = None
    steps: int = 300
    seed: int = 1


@dataclass(frozen=True, slots=True)
class RegionTraining:
    """What came of it.

    Attributes
    ----------
    folder : Path
    classes : tuple of str
    annotations : mapping of str to int
        How many were drawn of each class.
    area_um2 : mapping of str to float
    scores : mapping of str to float
        Dice of each class on annotations that a first model did not learn from; empty where too
        few were drawn to hold some back.
    held_back : int
        How many annotations those are.
    """

    folder: Path
    classes: tuple[str, ...]
    annotations: Mapping[str, int]
    area_um2: Mapping[str, float]
    scores: Mapping[str, float] = field(default_factory=dict)
    held_back: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class _Drawn:
    """One slide's maps, and what was drawn on it."""

    task: RegionTask
    maps: RegionMaps
    tissue: npt.NDArray[np.bool_]
    areas: list[ClassedArea]


def train_regions(
    tasks: Sequence[RegionTask],
    out: str | Path,
    settings: RegionSettings,
    *,
    progress: Progress | None = None,
) -> RegionTraining:
    """Teach a region model and write its folder.

    Parameters
    ----------
    tasks : sequence of RegionTask
    out : path
        Folder of the new model.
    settings : RegionSettings
    progress : callable, optional
        Takes the stage and the part done, 0-1.

    Returns
    -------
    RegionTraining

    Raises
    ------
    AnnotationError
        If there are fewer than two classes, or one lies nowhere on tissue.
    ModelError
        If the model to start from does not fit.
    ResultError, SlideError, PanelError
        If a slide or its result cannot be used.
    """
    from histo.region.maps import plane_list
    from histo.region.model import write_region_model

    tell = progress or (lambda stage, part: None)
    drawn = []
    for number, task in enumerate(tasks):
        tell("reading slides", number / len(tasks))
        drawn.append(_read(task, settings.stains))
    shown = _classes([one.name for each in drawn for one in each.areas])
    words = tuple(shown)
    start = _start(settings, tuple(shown.values()), len(plane_list(settings.stains)))
    known_um2 = _known_um2(drawn, words)
    scores, held = _judge(drawn, words, start, settings, tell)
    net = _learn(drawn, words, start, settings, lambda part: tell("learning from all", part))
    tell("writing", 1.0)
    classes = tuple(shown.values())
    training = RegionTraining(
        Path(out),
        classes,
        {name: _count(drawn, word) for word, name in shown.items()},
        dict(zip(classes, known_um2, strict=True)),
        {shown[word]: value for word, value in scores.items()},
        held,
    )
    about = {
        "name": Path(out).name,
        "version": "1",
        "description": f"Compartments {', '.join(classes)}, learned from a person's annotations.",
        "license": "yours",
    }
    write_region_model(out, net, classes, stains=settings.stains, about=about)
    _write_report(training, settings, tasks)
    return training


def _read(task: RegionTask, stains: tuple[str, ...]) -> _Drawn:
    """Open a slide again and prepare its maps; the cells are those of its review."""
    from histo.pipeline.corrected import read_found
    from histo.pipeline.region_maps import at_map_size, slide_maps
    from histo.pipeline.reopening import reopen
    from histo.pipeline.spatial import read_window

    found = read_found(task.result)
    corrections = Corrections.of(EditLog(task.result).in_force)
    run = reopen(task.slide, task.result)
    try:
        maps = slide_maps(run.as_surveyed(), found.cells_with(corrections), stains)
        areas = read_classes(task.annotations, run.place.slide.pixel_size_yx_um)
    finally:
        run.place.slide.close()
    window = read_window(task.result, corrections.regions_um)
    tissue = at_map_size(window.mask.astype(np.float32), maps.shape, window.pixel_size_um)
    return _Drawn(task, maps, tissue > 0.5, areas)


def _classes(names: Sequence[str]) -> dict[str, str]:
    """Return the classes that were drawn: word to the name that was seen first, in order."""
    try:
        shown = shown_classes(names)
    except ValueError as error:
        raise AnnotationError(f"{error}") from error
    if len(shown) < 2:
        raise AnnotationError(
            f"Only the class {', '.join(shown.values())} was drawn; draw some of each thing that "
            "is to be told apart, such as Tumor and Stroma."
        )
    return shown


def _start(settings: RegionSettings, classes: tuple[str, ...], planes: int) -> RegionNet:
    from histo.region.learning import new_network
    from histo.region.model import load_region_model

    if settings.start is None:
        return new_network(planes, len(classes), seed=settings.seed)
    model = load_region_model(settings.start)
    words = tuple(class_word(name) for name in model.classes)
    if words != tuple(class_word(name) for name in classes) or model.stains != settings.stains:
        raise ModelError(
            f"{model.name} tells {', '.join(model.classes)} apart"
            f"{' by ' + ', '.join(model.stains) if model.stains else ''}, and {', '.join(classes)} "
            "were drawn; leave --start out, or draw the same classes."
        )
    return model.net


def _painted(
    one: _Drawn, words: tuple[str, ...], areas: Sequence[ClassedArea]
) -> npt.NDArray[np.uint8]:
    from histo.region.maps import MAP_UM

    codes = {area.name: words.index(class_word(area.name)) + 1 for area in one.areas}
    painted = paint_classes(areas, codes, one.maps.shape, MAP_UM)
    return np.where(one.tissue, painted, 0).astype(np.uint8)


def _lessons(
    drawn: Sequence[_Drawn], words: tuple[str, ...], chosen: Sequence[Sequence[ClassedArea]]
) -> list[RegionLesson]:
    """Cut the parts of slides that hold something known."""
    from histo.geometry import Region
    from histo.region.learning import RegionLesson

    lessons = []
    for one, areas in zip(drawn, chosen, strict=True):
        known = _painted(one, words, areas)
        for y in range(0, known.shape[0], _PART_PX):
            for x in range(0, known.shape[1], _PART_PX):
                part = Region(y, x, _PART_PX, _PART_PX).clip(one.maps.shape)
                if not known[part.slices()].any():
                    continue
                wide = part.expand(_AROUND_PX).clip(one.maps.shape)
                own = np.zeros(wide.shape, np.uint8)
                own[part.slices_in(wide)] = known[part.slices()]
                lessons.append(RegionLesson(one.maps.draw(wide), own))
    return lessons


def _learn(
    drawn: Sequence[_Drawn],
    words: tuple[str, ...],
    start: RegionNet,
    settings: RegionSettings,
    tell: Callable[[float], None],
    chosen: Sequence[Sequence[ClassedArea]] | None = None,
) -> RegionNet:
    from histo.region.learning import learn_regions

    lessons = _lessons(drawn, words, chosen or [one.areas for one in drawn])
    return learn_regions(lessons, start, steps=settings.steps, seed=settings.seed, progress=tell)


def _held_back(
    drawn: Sequence[_Drawn], words: tuple[str, ...]
) -> list[tuple[list[ClassedArea], list[ClassedArea]]] | None:
    """Split annotations into those to learn from and those to be judged on; None: too few."""
    seen = dict.fromkeys(words, 0)
    split: list[tuple[list[ClassedArea], list[ClassedArea]]] = []
    for one in drawn:
        learn: list[ClassedArea] = []
        judge: list[ClassedArea] = []
        for area in one.areas:
            word = class_word(area.name)
            seen[word] += 1
            # The second first, so that two of a class are enough.
            (judge if seen[word] % _EVERY == 2 else learn).append(area)
        split.append((learn, judge))
    return split if min(seen.values()) >= 2 else None


def _judge(
    drawn: Sequence[_Drawn],
    words: tuple[str, ...],
    start: RegionNet,
    settings: RegionSettings,
    tell: Progress,
) -> tuple[dict[str, float], int]:
    """Learn from most annotations and score on the others: what the new model is worth."""
    from histo.region.model import RegionModel, find_compartments

    split = _held_back(drawn, words)
    if split is None:
        return {}, 0
    chosen = [learn for learn, _ in split]
    net = _learn(
        drawn, words, start, settings, lambda part: tell("learning to be judged", part), chosen
    )
    model = RegionModel("trial", "", "", words, settings.stains, net)
    sums = np.zeros((len(words), 2))
    for one, (learn, judge) in zip(drawn, split, strict=True):
        if not judge:
            continue
        truth = np.where(_painted(one, words, learn) > 0, 0, _painted(one, words, judge))
        found = np.where(truth > 0, find_compartments(model, one.maps, one.tissue), 0)
        for index in range(len(words)):
            a, b = found == index + 1, truth == index + 1
            sums[index] += 2 * np.count_nonzero(a & b), np.count_nonzero(a) + np.count_nonzero(b)
    scores = {word: float(a / b) for word, (a, b) in zip(words, sums.tolist(), strict=True) if b}
    return scores, sum(len(judge) for _, judge in split)


def _known_um2(drawn: Sequence[_Drawn], words: tuple[str, ...]) -> list[float]:
    """Return the tissue that was drawn on, by class; there must be some of each."""
    from histo.region.maps import MAP_UM

    known = np.zeros(len(words) + 1, np.int64)
    for one in drawn:
        known += np.bincount(_painted(one, words, one.areas).ravel(), minlength=len(known))
    missing = [word for word, count in zip(words, known[1:], strict=True) if not count]
    if missing:
        raise AnnotationError(
            f"No annotation of the class {missing[0]} lies on tissue; export the annotations of "
            "the slide that they were drawn on."
        )
    return [float(pixels * MAP_UM**2) for pixels in known[1:].tolist()]


def _count(drawn: Sequence[_Drawn], word: str) -> int:
    return sum(class_word(area.name) == word for one in drawn for area in one.areas)


def _write_report(
    training: RegionTraining, settings: RegionSettings, tasks: Sequence[RegionTask]
) -> None:
    """Write what the model learned from and how well it did, for programs and for people."""
    content: dict[str, Any] = {
        "classes": list(training.classes),
        "slides": [task.slide.name for task in tasks],
        "annotations": dict(training.annotations),
        "area_um2": dict(training.area_um2),
        "held_back_annotations": training.held_back,
        "dice_on_held_back": dict(training.scores),
        "settings": asdict(settings),
    }
    with replace_file(training.folder / REPORT) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    lines = [f"# {training.folder.name}", "", "A region model made by `histo train-regions`.", ""]
    lines += ["| class | annotations | mm² | Dice on annotations held back |", "|---|---|---|---|"]
    for name in training.classes:
        score = training.scores.get(name)
        words = "not scored" if score is None else f"{score:.2f}"
        area = training.area_um2[name] / 1e6
        lines.append(f"| {name} | {training.annotations[name]} | {area:.3g} | {words} |")
    lines += [
        "",
        f"Slides: {', '.join(task.slide.name for task in tasks)}. The scores are those of a model "
        f"that did not learn from {training.held_back} of the annotations; this one learned from "
        "all. They lie on the same slides, so expect less on others: look at compartments.png.",
    ]
    with replace_file(training.folder / "README.md") as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
