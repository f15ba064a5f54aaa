"""What a model that was taught further says of itself: its README and training.json."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from histo.metrics.evaluation import figures_to_json
from histo.nuclei import ModelCard
from histo.nuclei.finetune import Tuned
from histo.pipeline.judging import SHOWN, Judgement, gain
from histo.pipeline.learning import Samples
from histo.results import RESEARCH_USE, software_record

__all__ = ["TRAINING_JSON", "Scores", "score_rows", "training_record", "verdict", "write_readme"]

TRAINING_JSON = "training.json"

_NEW_LINE = "\n"  # an f-string of Python 3.11 takes no backslash

#: Painted sections show whether a model has forgotten; in words, beside the figures of `SHOWN`.
MEMORY_WORDS = "painted sections: outlines"
#: A larger loss on them is called forgetting.
FORGOTTEN = 0.05

Files = Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """How the old and the new model do.

    Parameters
    ----------
    before, after : Judgement
        Of the old and the new model, on fields that were held back.
    memory_before, memory_after : float
        F1 of outlines at IoU 0.5 on painted sections.
    """

    before: Judgement
    after: Judgement
    memory_before: float
    memory_after: float


def score_rows(scores: Scores) -> list[tuple[str, str, str]]:
    """Return the rows of the table of scores: what it is, before, after.

    Examples
    --------
    >>> import numpy as np
    >>> from histo.metrics.evaluation import Figure
    >>> old, new = (
    ...     Judgement((Figure("shape_f1_iou50", value, "0-1"),), np.zeros((0, 3)))
    ...     for value in (0.7, 0.8)
    ... )
    >>> score_rows(Scores(old, new, 0.9, 0.88))[0]
    ('outlines: F1 at IoU 0.5', '0.700', '0.800')
    """
    old, new = scores.before, scores.after
    rows = [
        (words, f"{old.value(name):.3f}", f"{new.value(name):.3f}")
        for name, words in SHOWN.items()
        if any(one.name == name for one in new.figures)
    ]
    memory = f"{scores.memory_before:.3f}", f"{scores.memory_after:.3f}"
    return [*rows, (MEMORY_WORDS, *memory)]


def verdict(scores: Scores) -> tuple[bool, str]:
    """Say in words whether the new model is better, and how sure that is.

    Parameters
    ----------
    scores : Scores

    Returns
    -------
    bool
        Whether it is better by more than chance explains.
    str

    Examples
    --------
    >>> import numpy as np
    >>> counts = np.array([[3.0, 6, 6]] * 6)
    >>> old, new = Judgement((), counts), Judgement((), counts - [1, 0, 0])
    >>> verdict(Scores(old, new, 0.9, 0.9))[1]
    'Not better: outlines of nuclei that it did not learn from changed by -0.167 in F1 ...
    """
    better, words = _compared(*gain(scores.before, scores.after))
    if scores.memory_before - scores.memory_after > FORGOTTEN:
        words += (
            f" On painted sections it fell from {scores.memory_before:.3f} to "
            f"{scores.memory_after:.3f}: it forgets what it knew; try fewer --minutes, or annotate "
            "more and other fields."
        )
    return better, words


def _compared(value: float, low: float, high: float) -> tuple[bool, str]:
    range_ = f"95 % interval {low:+.3f} to {high:+.3f}"
    if math.isnan(low):
        range_ = "too few nuclei for an interval"
    if low > 0:
        return True, (
            "Better: outlines of nuclei that it did not learn from gained "
            f"{value:.3f} in F1 ({range_})."
        )
    if value > 0:
        return False, (
            "Perhaps better: outlines of nuclei that it did not learn from gained "
            f"{value:.3f} in F1, which may be chance ({range_}); annotate more to be sure."
        )
    return False, (
        "Not better: outlines of nuclei that it did not learn from changed by "
        f"{value + 0.0:+.3f} in F1 ({range_}); keep the old model, or annotate more and other "
        "fields."
    )


def training_record(
    start: ModelCard, samples: Samples, files: Files, scores: Scores, tuned: Tuned
) -> dict[str, Any]:
    """Return how a model was made, as JSON takes it; names of files, but of no folder.

    Parameters
    ----------
    start : ModelCard
        The model that it started from.
    samples : Samples
    files : sequence of (mapping, mapping)
        Name, size and hash of each slide and its truth, in the order of the lessons.
    scores : Scores
    tuned : Tuned

    Returns
    -------
    dict
    """
    lessons = [
        {
            "slide": dict(slide),
            "truth": {"kind": one.kind, **truth},
            "used": one.role,
            "area_drawn": one.area_drawn,
            "positivity": one.positivity,
            "pixel_size_um": one.pixel_size_um,
            "notes": list(one.notes),
        }
        for one, (slide, truth) in zip(samples.lessons, files, strict=True)
    ]
    learnt, held = samples.nuclei
    return {
        "notice": RESEARCH_USE,
        "created_utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "finished": not tuned.interrupted,
        "start": {"name": start.name, "version": start.version, "sha256": start.sha256},
        "lessons": lessons,
        "learnt": {"fields": len(samples.learnt), "nuclei": learnt},
        "held_back": {"fields": len(samples.held), "nuclei": held},
        "steps": tuned.steps,
        "seconds": round(tuned.seconds, 1),
        "scores": {
            "before": figures_to_json(scores.before.figures),
            "after": figures_to_json(scores.after.figures),
            "gain_f1_iou50": _numbers(gain(scores.before, scores.after)),
            "painted_before": scores.memory_before,
            "painted_after": scores.memory_after,
        },
        "verdict": verdict(scores)[1],
        "software": software_record(),
    }


def _numbers(values: Sequence[float]) -> list[float | None]:
    return [None if math.isnan(value) else value for value in values]


def write_readme(folder: Path, card: ModelCard, record: Mapping[str, Any], scores: Scores) -> None:
    """Write the model's README.md and training.json.

    Parameters
    ----------
    folder : path
    card : ModelCard
        Of the new model.
    record : mapping
        From `training_record`, with ``settings``.
    scores : Scores
    """
    (folder / TRAINING_JSON).write_text(
        json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8"
    )
    start, learnt, held = record["start"], record["learnt"], record["held_back"]
    table = [f"| {' | '.join(row)} |" for row in score_rows(scores)]
    slides = [
        f"| {one['slide']['file']} | {one['truth']['file']} | {one['used']} |"
        for one in record["lessons"]
    ]
    text = f"""# {card.name}

Finds nuclei in bright-field sections at {card.pixel_size_um:g} µm per pixel. Made by
`histo train` from {start["name"]} {start["version"]} (SHA-256 {start["sha256"][:12]}...)
with a laboratory's own cells; use it with `histo run --model FOLDER`.

{record["notice"]}

## Scores

On {_counted(held)} that it did not learn from:

| | before | after |
|---|---|---|
{_NEW_LINE.join(table)}

{record["verdict"]}

These fields are of the same slides or the same laboratory as those that it learned from: on other
slides, expect less. Painted sections show only whether it has forgotten what it knew.

## How it was made

| slide | annotations | used |
|---|---|---|
{_NEW_LINE.join(slides)}

Learned from {_counted(learnt)}; half of each batch were painted sections.
{record["steps"]} steps in {record["seconds"] / 60:.1f} minutes, seed {record["settings"]["seed"]}\
{"" if record["finished"] else "; stopped before its time"}.
`training.json` has hashes, settings, versions and all figures.

Licence of the weights: that of the model it started from ({card.licence}), as far as those of the
slides allow.
"""
    (folder / "README.md").write_text(text, encoding="utf-8")


def _counted(part: Mapping[str, int]) -> str:
    fields = part["fields"]
    return f"{part['nuclei']} nuclei in {fields} field{'' if fields == 1 else 's'}"
