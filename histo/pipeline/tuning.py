"""A model of one's own: from annotated slides to a model folder with its scores."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from histo.errors import ModelError
from histo.nuclei import ModelCard, NucleiModel, read_card
from histo.nuclei.finetune import Field, Plan, Tuned, fine_tune
from histo.nuclei.writing import derive_card, load_net, write_model
from histo.phantom import paint_examples
from histo.pipeline.judging import HEADLINE, Judgement, judge_model
from histo.pipeline.learning import Lesson, Reading, Sample, Samples, read_samples
from histo.pipeline.tuned_card import TRAINING_JSON, Scores, training_record, write_readme
from histo.results import check_writable, input_record, result_folder

__all__ = ["TuneResult", "TuneSettings", "check_target", "tune_model"]

#: Painted fields on which is looked whether the model has forgotten what it knew, and their side.
MEMORY_FIELDS, MEMORY_PX = 12, 256
#: Never the seed of what is painted to learn from.
MEMORY_SEED = 2**40

Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class TuneSettings:
    """How a model is taught.

    Parameters
    ----------
    model : str
        The model to start from: a name, or a folder.
    minutes : float
        Of learning.
    pixel_size_um : float, optional
        Of slides that state none.
    marker : str, optional
        Whose calls say which nuclei are positive, where there are several.
    positivity : bool
        Learn from these calls.
    held_back : float
        Share of the nuclei to be judged on.
    seed : int
    steps : int, optional
        Stop after so many, if that comes before the minutes are over.
    rate : float
        Highest learning rate.

    Raises
    ------
    ValueError
        If a value is out of range.

    Examples
    --------
    >>> TuneSettings().minutes
    5.0
    """

    model: str = "nuclei-brightfield"
    minutes: float = 5.0
    pixel_size_um: float | None = None
    marker: str | None = None
    positivity: bool = True
    held_back: float = 0.25
    seed: int = 1
    steps: int | None = None
    rate: float = 5e-4

    def __post_init__(self) -> None:
        if not 0 < self.minutes <= 24 * 60:
            raise ValueError(f"minutes must be above 0 and at most a day, got {self.minutes:g}.")
        if self.seed < 0:
            raise ValueError(f"seed must be 0 or more, got {self.seed}.")
        self.plan()
        self.reading(1.0)

    def plan(self) -> Plan:
        """Return how long and how fast is learned."""
        return Plan(minutes=self.minutes, steps=self.steps, rate=self.rate, seed=self.seed)

    def reading(self, model_um: float) -> Reading:
        """Return how slides are read for a model of a pixel size, µm."""
        return Reading(
            model_um,
            self.pixel_size_um,
            self.marker,
            self.positivity,
            self.held_back,
            self.seed,
        )


@dataclass(frozen=True, slots=True)
class TuneResult:
    """A model that was taught, and how it compares.

    Parameters
    ----------
    card : ModelCard
        Of the new model.
    scores : Scores
        Before and after.
    samples : Samples
        What was learned from and judged on.
    steps : int
    interrupted : bool
        Whether it was stopped before its time; the same call goes on.
    resumed : bool
        Whether it went on from where an earlier call was stopped.
    """

    card: ModelCard
    scores: Scores
    samples: Samples
    steps: int
    interrupted: bool
    resumed: bool


def check_target(out: str | Path, *, force: bool = False) -> None:
    """Refuse a place for a model that holds something else.

    Parameters
    ----------
    out : path
        The new model's folder.
    force : bool
        Allow a model that `tune_model` made before.

    Raises
    ------
    ModelError
        If it is a file, or a folder that is not empty: of a finished model unless forced, of
        anything else always.
    ResultError
        If the place cannot be written to.

    Examples
    --------
    >>> check_target(tempfile.mkdtemp())
    """
    out = Path(out).absolute()
    check_writable(out.parent)
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    training = _read_training(out)
    if training is None:
        raise ModelError(
            f"{out}: is there and was not made by histo train, so it is left alone; choose "
            "another name."
        )
    if training.get("finished") and not force:
        raise ModelError(f"{out}: is a finished model; choose another name, or add --force.")


def _read_training(folder: Path) -> dict[str, Any] | None:
    """Return the training.json of a model that was made here; None for another folder."""
    try:
        content = json.loads((folder / TRAINING_JSON).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) and "fingerprint" in content else None


def tune_model(
    lessons: Sequence[Lesson],
    out: str | Path,
    settings: TuneSettings | None = None,
    *,
    force: bool = False,
    progress: Progress | None = None,
) -> TuneResult:
    """Teach a model further with annotated slides, and write it with its scores.

    What is half done is kept beside ``out`` in ``.NAME.partial``: called again with the same
    files and settings (but for the minutes), it goes on. Ctrl-C ends learning early and
    writes the model as it is.

    Parameters
    ----------
    lessons : sequence of Lesson
    out : path
        Folder of the new model; complete or absent.
    settings : TuneSettings, optional
    force : bool
        Start anew, and replace a model that was made here before.
    progress : callable, optional
        Takes what is done in words, and the part of it that is done, 0-1.

    Returns
    -------
    TuneResult

    Raises
    ------
    ModelError
        If the model to start from cannot be used, or ``out`` holds something else.
    AnnotationError, SlideError, ResultError
        If the lessons cannot be used, or the model cannot be written.
    ValueError
        If there is no lesson.
    """
    settings, out = settings or TuneSettings(), Path(out).absolute()
    tell = progress or (lambda words, part: None)
    card = _check_start(read_card(settings.model))
    check_target(out, force=force)
    tell("looking at the files", 0.0)
    files = [(input_record(one.slide), input_record(one.truth)) for one in lessons]
    mark = _fingerprint(files, settings, card)
    samples = read_samples(lessons, settings.reading(card.pixel_size_um), progress=tell)
    work = _workplace(out, mark, force=force)
    memory = _memory(card.pixel_size_um)
    tell(f"scoring {card.name}", 0.0)
    before = _judge(card.folder, samples, memory)
    resumed = (work / _CHECKPOINT).is_file()
    tuned = fine_tune(
        load_net(card),
        [sample.field for sample in samples.learnt],
        _paint,
        settings.plan(),
        checkpoint=work / _CHECKPOINT,
        progress=tell,
    )
    tell("scoring the new model", 0.0)
    new = _NewModel(card, out.name, tuned)
    with tempfile.TemporaryDirectory(dir=work) as candidate:
        new.write(Path(candidate))
        after = _judge(Path(candidate), samples, memory)
    scores = Scores(before[0], after[0], before[1], after[1])
    with result_folder(out) as partial:
        new.write(partial)
        record = training_record(card, samples, files, scores, tuned)
        record |= {"settings": _settings_record(settings), "fingerprint": mark}
        write_readme(partial, read_card(partial), record, scores)
    if not tuned.interrupted:
        shutil.rmtree(work, ignore_errors=True)
    return TuneResult(read_card(out), scores, samples, tuned.steps, tuned.interrupted, resumed)


_CHECKPOINT = "checkpoint.pt"


def _check_start(card: ModelCard) -> ModelCard:
    if card.reads != "brightfield":
        raise ModelError(
            f"Model {card.name}: reads {card.reads}, and histo train teaches models of "
            "bright-field sections; give another --model."
        )
    return card


def _fingerprint(files: Any, settings: TuneSettings, card: ModelCard) -> str:
    """Return a hash of all that a half-finished training depends on; more minutes may be given."""
    record = {
        name: value for name, value in _settings_record(settings).items() if name != "minutes"
    }
    text = json.dumps([files, record, card.sha256], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _settings_record(settings: TuneSettings) -> dict[str, Any]:
    return {**asdict(settings), "model": Path(settings.model).name}


def _workplace(out: Path, mark: str, *, force: bool) -> Path:
    """Return the folder of what is half done; what belongs to other files is thrown away."""
    work = out.with_name(f".{out.name}.partial")
    name = work / "fingerprint.txt"
    training = _read_training(out)
    if training is not None and not force and training["fingerprint"] != mark:
        raise ModelError(
            f"{out}: holds a model that was stopped half-way and learned from other files or with "
            "other settings; choose another name, or add --force."
        )
    same = name.is_file() and name.read_text(encoding="utf-8") == mark
    if work.exists() and (force or not same):
        shutil.rmtree(work)
    work.mkdir(exist_ok=True)
    name.write_text(mark, encoding="utf-8")
    return work


def _paint(rng: np.random.Generator) -> list[Field]:
    """Paint sections to mix in; their truth is known everywhere."""
    fields = []
    for tile in paint_examples(rng, side_px=MEMORY_PX):
        known = np.ones(tile.labels.shape, bool)
        fields.append(Field(tile.rgb, tile.labels, tile.positive > 0.5, known, known))
    return fields


def _memory(um: float) -> list[Sample]:
    rng = np.random.default_rng(MEMORY_SEED)
    fields: list[Field] = []
    while len(fields) < MEMORY_FIELDS:
        fields += _paint(rng)
    return [Sample(field, um, int(field.labels.max())) for field in fields]


def _judge(folder: Path, samples: Samples, memory: list[Sample]) -> tuple[Judgement, float]:
    """Judge a model on what was held back; and return its headline on painted fields."""
    card = read_card(folder)
    model = NucleiModel(card, load_net(card))
    return judge_model(model, samples.held), judge_model(model, memory).value(HEADLINE)


@dataclass(frozen=True, slots=True)
class _NewModel:
    """What was learned, to be written under a name."""

    start: ModelCard
    name: str
    tuned: Tuned

    def write(self, folder: Path) -> None:
        start = self.start
        rdf = derive_card(
            start,
            name=self.name,
            version=f"{start.version.partition('+')[0]}+{datetime.now(UTC):%Y%m%d}",
            description=f"{start.name} {start.version}, taught further with a laboratory's cells.",
        )
        tuned = self.tuned
        write_model(folder, rdf, tuned.weights, activation_ranges=tuned.ranges)
