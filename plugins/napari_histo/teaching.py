"""What the child process does for the widgets Stains and Correct and improve."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_histo.job import Report, Tell

__all__ = ["stains", "train"]

#: Which part of all a stage of training begins at, and how much it takes, roughly.
_STAGES = {
    "looking at the files": (0.0, 0.01),
    "reading": (0.01, 0.04),
    "scoring the new model": (0.92, 0.08),
    "scoring": (0.05, 0.05),
    "painting": (0.1, 0.0),
    "learning": (0.1, 0.82),
}


def stains(arguments: dict[str, Any], tell: Tell, report: Report) -> dict[str, Any]:
    """Find out how a slide is stained.

    Parameters
    ----------
    arguments : dict
        ``slide``, ``panel``, ``pixel_size_um`` (of a slide that states none), ``regions``:
        stain to polygons (y, x) in µm, and ``file``: vectors to judge instead of finding some.
    tell, report : callable
        See `napari_histo.job`.

    Returns
    -------
    dict
        As `histo.pipeline.staining.StainReport.to_dict` gives it.

    Raises
    ------
    HistoError
        If the slide or the regions cannot be used.
    """
    tell("looking at the slide", 0.0)
    from histo.panel import load_panel
    from histo.pipeline.staining import report_stains
    from histo.slide import open_slide
    from histo.stain import load_stains

    panel, file = load_panel(arguments["panel"]), arguments.get("file")
    with open_slide(arguments["slide"], pixel_size_um=arguments.get("pixel_size_um")) as slide:
        found = report_stains(
            slide,
            panel,
            regions=arguments.get("regions") or None,
            stains=None if file is None else load_stains(file),
        )
    return found.to_dict()


def train(arguments: dict[str, Any], tell: Tell, report: Report) -> dict[str, Any]:
    """Teach a model with corrected cells.

    Parameters
    ----------
    arguments : dict
        ``lessons``: pairs of slide and annotation; ``out``: the folder of models, ``name`` of
        the new one; ``force``; ``settings``: the arguments of `histo.pipeline.TuneSettings`.
    tell, report : callable
        See `napari_histo.job`.

    Returns
    -------
    dict
        ``folder`` of the model, ``rows`` of scores (what, before, after), whether it is
        ``better`` and the verdict in ``words``, nuclei ``learnt`` from and ``held`` back,
        ``steps``, ``resumed``, and ``notes`` of the lessons.

    Raises
    ------
    HistoError
        If the lessons or the model cannot be used.
    """
    tell("starting", 0.0)
    from histo.pipeline import Lesson, TuneSettings, score_rows, tune_model, verdict

    lessons = [Lesson(Path(slide), Path(truth)) for slide, truth in arguments["lessons"]]
    result = tune_model(
        lessons,
        Path(arguments["out"]) / arguments["name"],
        TuneSettings(**arguments["settings"]),
        force=bool(arguments.get("force")),
        progress=lambda words, part: tell(words, overall_part(words, part)),
    )
    better, words = verdict(result.scores)
    learnt, held = result.samples.nuclei
    return {
        "folder": str(result.card.folder),
        "rows": [list(row) for row in score_rows(result.scores)],
        "better": better,
        "words": words,
        "learnt": learnt,
        "held": held,
        "steps": result.steps,
        "resumed": result.resumed,
        "notes": [
            f"{one.lesson.truth.name}: {note}"
            for one in result.samples.lessons
            for note in one.notes
        ],
    }


def overall_part(stage: str, part: float) -> float:
    """Return the part done of a training from that of a stage, both 0-1.

    Examples
    --------
    >>> overall_part("learning, step 20", 0.5)
    0.51
    """
    for word, (start, share) in _STAGES.items():
        if stage.startswith(word):
            return start + share * part
    return 0.0
