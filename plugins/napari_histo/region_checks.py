"""What the widget Regions can be asked for, and what it says of what came of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_histo.drawn_regions import DrawnRegions
from napari_histo.region_forms import BY_DRAWN, BY_MODEL, DivideBox
from napari_histo.regions_file import HOLE

if TYPE_CHECKING:
    from histo.review import Review

__all__ = ["other_tasks", "score_words", "stains_of", "why_not"]


def why_not(review: Review | None, slide: Path | None, drawn: DrawnRegions, box: DivideBox) -> str:
    """Say what is missing before the tissue can be divided; empty when nothing is.

    Parameters
    ----------
    review : Review or None
        The open result.
    slide : Path or None
        The file of its slide.
    drawn : DrawnRegions
    box : DivideBox
    """
    if review is None:
        return "Open a result: drop its folder onto the window, or analyse the slide first."
    if review.panel.regions is not None:
        return f"The panel {review.panel.name} finds its own regions: see the layer regions."
    if slide is None:
        name = review.manifest.get("input", {}).get("file", "the slide")
        return f"{name} is not open, nor beside its result: choose the slide's file above."
    if box.way == BY_MODEL:
        return "" if box.model.value else "Choose the folder of a region model."
    return _why_not_by_drawing(drawn, box)


def _why_not_by_drawing(drawn: DrawnRegions, box: DivideBox) -> str:
    from histo.region.compartments import class_word

    counts = drawn.counts()
    counts.pop(HOLE, None)
    if box.annotations.value is None:
        return "Choose a folder for the annotations."
    if not counts:
        return "Draw some areas first, or load annotations."
    if box.way == BY_DRAWN:
        if any(areas for areas, _ in counts.values()):
            return ""
        return "Strokes alone divide little: draw areas, or let a model learn from the strokes."
    if len({class_word(name) for name in counts}) < 2 and not box.others.isChecked():
        return "Draw at least two classes, so that there is something to tell apart."
    return "" if box.model_folder.value else "Choose a folder for the model."


def score_words(value: dict[str, Any]) -> str:
    """Return what a report "learnt" of `napari_histo.region_tasks.learn` says, as rich text.

    Examples
    --------
    >>> score_words({"rows": [["Tumor", 1, 0.1, None]], "held": 0})
    'Not scored: draw at least two annotations of each class.'
    """
    scored = [f"{name} {dice:.2f}" for name, _, _, dice in value["rows"] if dice is not None]
    if not scored and value["held"]:
        return "Not scored: the annotations held back lie within others; draw some apart."
    if not scored:
        return "Not scored: draw at least two annotations of each class."
    return (
        f"<b>Dice on {value['held']} annotations held back:</b> {', '.join(scored)}. They lie on "
        "the same slides: expect less on others, and look at the layer."
    )


def other_tasks(annotations: Path, results: Path, slide: Path) -> list[tuple[Path, Path, Path]]:
    """Find the other slides that were annotated: slide, result and annotations of each.

    Parameters
    ----------
    annotations : Path
        Folder of GeoJSON files named like the slides.
    results : Path
        Folder of results.
    slide : Path
        The slide at hand; the others are looked for beside it.
    """
    from histo.errors import ResultError
    from histo.results import read_manifest

    found = []
    for path in sorted(annotations.glob("*.geojson")):
        folder = results / path.name.removesuffix(".geojson")
        if not (folder / "manifest.json").is_file():
            continue
        try:
            file = str(read_manifest(folder)["input"]["file"])
        except (ResultError, KeyError, TypeError):
            continue
        if file != slide.name and (slide.parent / file).exists():
            found.append((slide.parent / file, folder, path))
    return found


def stains_of(review: Review) -> list[str]:
    """Return what a model can look at beside the nuclei of a result."""
    panel = review.panel
    if panel.kind == "channels":
        return [name for name in panel.channel_names if name != panel.nuclear_channel]
    stains = review.manifest.get("stains") or {}
    return [name for name in stains.get("vectors", {}) if name not in ("hematoxylin", "residual")]
