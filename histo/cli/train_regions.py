"""``histo train-regions``: a region model of one's own from strokes and areas."""

from __future__ import annotations

import json as json_format
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from histo.cli.progress import show_stages
from histo.cli.show import print_json, print_table
from histo.cli.usage import UsageError, usage_problems

if TYPE_CHECKING:
    from histo.pipeline.region_learning import RegionTask, RegionTraining

__all__ = ["TrainRegionsOptions", "train_region_model"]


@dataclass(frozen=True, slots=True)
class TrainRegionsOptions:
    """The options of ``histo train-regions``, as they were typed.

    Parameters
    ----------
    results : Path
        Folder that `histo run` wrote.
    stains : tuple of str
    start : str, optional
    steps, seed : int

    Examples
    --------
    >>> TrainRegionsOptions(Path("results")).steps
    300
    """

    results: Path
    stains: tuple[str, ...] = ()
    start: str | None = None
    steps: int = 300
    seed: int = 1


def train_region_model(
    inputs: Sequence[str],
    out: Path,
    options: TrainRegionsOptions,
    *,
    force: bool,
    json: bool,
    quiet: bool,
) -> int:
    """Teach a region model with annotated slides, and print how well it does.

    Parameters
    ----------
    inputs : sequence of str
        As `histo.batch.find_lessons` takes them.
    out : Path
        Folder of the new model.
    options : TrainRegionsOptions
    force, json, quiet : bool

    Returns
    -------
    int
        0.

    Raises
    ------
    UsageError
        If the command cannot start as given.
    HistoError
        If the slides, their results or their annotations cannot be used.
    """
    if options.steps < 1:
        raise UsageError(f"--steps must be 1 or more, got {options.steps}.")
    if out.exists() and any(out.iterdir() if out.is_dir() else (out,)) and not force:
        raise UsageError(f"{out} is there already; give another folder, or --force to replace it.")
    from histo.batch import find_lessons
    from histo.pipeline.region_learning import REPORT, RegionSettings, train_regions

    with usage_problems():
        found = find_lessons(inputs)
        tasks = [_task(lesson.slide, lesson.truth, options.results) for lesson in found.lessons]
        settings = RegionSettings(options.stains, options.start, options.steps, options.seed)
    if found.lonely:
        typer.echo(f"without a partner, and not used: {', '.join(found.lonely)}", err=True)
    with show_stages(Console(stderr=True), quiet=quiet) as progress:
        training = train_regions(tasks, out, settings, progress=progress)
    if json:
        text = (training.folder / REPORT).read_text(encoding="utf-8")
        print_json({"folder": training.folder, **json_format.loads(text)})
    else:
        _print(training)
    return 0


def _task(slide: Path, annotations: Path, results: Path) -> RegionTask:
    """Find the result of a slide."""
    from histo.batch.find import is_result_folder
    from histo.batch.names import distinct_names
    from histo.pipeline.region_learning import RegionTask

    folder = results / distinct_names([slide])[0]
    if not is_result_folder(folder):
        if not is_result_folder(results):
            raise UsageError(
                f"{results} holds no result of {slide.name}: the cells are read from there; "
                f"`histo run {slide} -o {results} --panel PANEL` makes it."
            )
        folder = results
    return RegionTask(slide, folder, annotations)


def _print(training: RegionTraining) -> None:
    rows = [
        [
            name,
            str(training.annotations[name]),
            f"{training.area_um2[name] / 1e6:.3g}",
            f"{training.scores[name]:.2f}" if name in training.scores else "-",
        ]
        for name in training.classes
    ]
    print_table("What it learned", ["class", "annotations", "mm²", "Dice"], rows)
    if training.scores:
        typer.echo(
            f"Dice: of a model that did not learn from {training.held_back} of the annotations, on "
            "those. On other slides expect less: look at compartments.png."
        )
    else:
        typer.echo("Not scored: draw at least two annotations of each class.")
    typer.echo(f"The model: {training.folder}")
    typer.echo(
        f"Use it: histo run SLIDES -o RESULTS --panel PANEL --regions {training.folder} "
        "(finished slides keep their cells)"
    )
