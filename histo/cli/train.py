"""``histo train``: a model of one's own from corrected cells."""

from __future__ import annotations

import json as json_format
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from histo.cli.progress import show_stages
from histo.cli.show import print_json, print_table
from histo.cli.usage import check_pixel_size, usage_problems

if TYPE_CHECKING:
    from histo.pipeline import TuneResult

__all__ = ["TrainOptions", "train_model"]

#: What the shell reports for a program that was interrupted.
_INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """The options of ``histo train`` that say how a model is taught, as they were typed.

    Parameters
    ----------
    model, minutes, pixel_size_um, marker, positivity, held_back, seed
        As `histo.pipeline.TuneSettings` has them.

    Examples
    --------
    >>> TrainOptions("nuclei-brightfield", 5, None, None, True, 0.25, 1).seed
    1
    """

    model: str
    minutes: float
    pixel_size_um: float | None
    marker: str | None
    positivity: bool
    held_back: float
    seed: int


def train_model(
    inputs: Sequence[str],
    out: Path,
    options: TrainOptions,
    *,
    force: bool,
    json: bool,
    quiet: bool,
) -> int:
    """Teach a model further with annotated slides, and print how it compares.

    Parameters
    ----------
    inputs : sequence of str
        As `histo.batch.find_lessons` takes them.
    out : Path
        Folder of the new model.
    options : TrainOptions
    force, json, quiet : bool

    Returns
    -------
    int
        0, or 130 when it was interrupted; the model is written all the same.

    Raises
    ------
    UsageError
        If the command cannot start as given.
    HistoError
        If the slides or their annotations cannot be used.
    """
    check_pixel_size(options.pixel_size_um)
    # Only now: what reads and computes takes a second to load.
    from histo.batch import find_lessons
    from histo.nuclei import read_card
    from histo.pipeline import TRAINING_JSON, TuneSettings, check_target, tune_model

    with usage_problems():
        settings = TuneSettings(**asdict(options))
        read_card(settings.model)
        found = find_lessons(inputs)
        check_target(out, force=force)
    if found.lonely:
        typer.echo(f"without a partner, and not used: {', '.join(found.lonely)}", err=True)
    with show_stages(Console(stderr=True), quiet=quiet) as progress:
        result = tune_model(found.lessons, out, settings, force=force, progress=progress)
    if json:
        text = (result.card.folder / TRAINING_JSON).read_text(encoding="utf-8")
        print_json({"folder": result.card.folder, **json_format.loads(text)})
    else:
        _print_result(result)
    return _INTERRUPTED if result.interrupted else 0


def _print_result(result: TuneResult) -> None:
    from histo.pipeline import score_rows, verdict

    learnt, held = result.samples.nuclei
    fields = len(result.samples.held)
    print_table(
        f"On {held} nuclei in {fields} field{'s' * (fields > 1)} that it did not learn from",
        ["", "before", "after"],
        score_rows(result.scores),
    )
    went_on = ", going on from where it had stopped" if result.resumed else ""
    typer.echo(f"Learned from {learnt} nuclei in {result.steps} steps{went_on}.")
    for lesson in result.samples.lessons:
        for note in lesson.notes:
            typer.echo(f"{lesson.lesson.truth.name}: {note}")
    if not all(lesson.area_drawn for lesson in result.samples.lessons):
        typer.echo(
            "Where no area (class Region*) was drawn, only gaps between nuclei narrower than 40 µm "
            "teach what is no nucleus."
        )
    better, words = verdict(result.scores)
    typer.echo(words if better else f"warning: {words}", err=not better)
    typer.echo(f"The model: {result.card.folder} (its scores: README.md, training.json)")
    typer.echo(f"Use it: histo run SLIDES -o results --panel PANEL --model {result.card.folder}")
    if result.interrupted:
        typer.echo(
            "Stopped before its time was over; the same command goes on, but for --force, which "
            "starts anew."
        )
