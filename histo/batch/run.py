"""One slide after the other: skip what is finished, record what fails, go on."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import pandas as pd

from histo.batch.events import BatchEvent, BatchProgress
from histo.batch.find import find_slides, is_result_folder, natural_key
from histo.batch.ledger import Ledger
from histo.batch.tables import Failure, SlideRow, Tables, read_slide_row
from histo.edits import EditLog
from histo.errors import AnnotationError, HistoError, PanelError, ResultError
from histo.panel.thresholds import Request
from histo.pipeline import (
    Settings,
    analyze_slide,
    can_renew,
    fingerprint,
    recompute,
    renew_slide,
)
from histo.pipeline.region_source import ANNOTATION_SUFFIXES, is_drawn
from histo.results import check_writable, read_manifest
from histo.slide import slide_name

__all__ = [
    "BatchSummary",
    "analyze_folder",
    "merge_summaries",
    "recompute_folder",
    "result_folders",
]

#: Takes the stage of a slide in a word or two, and the part that is done, 0 to 1.
StageProgress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class BatchSummary:
    """What came of a batch.

    Parameters
    ----------
    out : Path
        The folder of results.
    rows : tuple of SlideRow
        The finished slides of this batch, in its order; those skipped too.
    failed : tuple of Failure
        The slides that failed.
    skipped : tuple of str
        Names of the result folders that were finished and unchanged.

    Examples
    --------
    >>> BatchSummary(Path("results"), (), (), ()).failed
    ()
    """

    out: Path
    rows: tuple[SlideRow, ...]
    failed: tuple[Failure, ...]
    skipped: tuple[str, ...]


def merge_summaries(summaries: Sequence[BatchSummary]) -> BatchSummary:
    """Put together what came of several batches into one folder of results.

    Parameters
    ----------
    summaries : sequence of BatchSummary
        At least one.

    Returns
    -------
    BatchSummary

    Examples
    --------
    >>> empty = BatchSummary(Path("results"), (), (), ())
    >>> merge_summaries([empty, empty]) == empty
    True
    """
    return BatchSummary(
        summaries[0].out,
        tuple(row for summary in summaries for row in summary.rows),
        tuple(failure for summary in summaries for failure in summary.failed),
        tuple(name for summary in summaries for name in summary.skipped),
    )


def analyze_folder(
    inputs: str | Path | Iterable[str | Path],
    out: str | Path,
    settings: Settings,
    *,
    force: bool = False,
    progress: BatchProgress | None = None,
    on_cells: Callable[[pd.DataFrame], None] | None = None,
) -> BatchSummary:
    """Analyse slides, each into a folder of its own, and write one table for all.

    A slide whose result is there, made from the same content with the same settings by the
    same version, is skipped. Where only thresholds or compartments differ, the cells (and a
    person's edits) are kept, and the rest is made anew. A slide that fails is recorded in
    ``failures.json`` and as an empty row, and the others go on. The tables are complete after
    each slide, so a run that is stopped loses only the slide at hand.

    Parameters
    ----------
    inputs : path, or iterable of paths
        As for :func:`find_slides`.
    out : path
        The folder of results; made when it is not there.
    settings : Settings
    force : bool
        Redo finished slides.
    progress : callable, optional
        Takes a :class:`BatchEvent` now and then; stops the batch by raising
        `histo.errors.Cancelled`.
    on_cells : callable, optional
        As for :func:`histo.pipeline.analyze_slide`, for the slide at hand.

    Returns
    -------
    BatchSummary

    Raises
    ------
    SlideError
        If an input does not exist or holds no image.
    ResultError
        If ``out`` cannot be written to. Nothing has been analysed then, unless the disk has
        become full meanwhile.

    Examples
    --------
    >>> analyze_folder("no/such/folder", "results", Settings(panel="he"))
    Traceback (most recent call last):
    ...
    histo.errors.SlideError: no...folder: no such file or folder; check the path.
    """
    slides = find_slides(inputs)
    out = Path(out)
    check_writable(out)
    ledger = Ledger(out)
    names = ledger.folders(slides)

    def work(index: int, tell: StageProgress) -> bool:
        slide, folder = slides[index], out / names[index]
        tell("reading", 0.0)
        own = _own_settings(settings, slide)
        sha256 = ledger.sha256(slide, folder.name)
        ledger.save()
        if not force and _is_finished(folder, fingerprint(own, sha256)):
            return False
        if force or not _renewed(slide, own, folder, sha256, tell):
            analyze_slide(slide, own, folder=folder, progress=tell, on_cells=on_cells)
        return True

    return _go_through(out, names, slides, work, progress)


def _renewed(
    slide: Path, settings: Settings, folder: Path, sha256: str, tell: StageProgress
) -> bool:
    """Keep the cells of a result where they are what is asked for; False where they are not."""
    if not can_renew(folder, settings, sha256):
        return False
    try:
        renew_slide(slide, settings, folder=folder, progress=tell)
    except ResultError:
        if EditLog(folder).in_force:
            raise  # only --force parts a person's edits from their cells
        return False  # damaged: analysed again
    return True


def _own_settings(settings: Settings, slide: Path) -> Settings:
    """Return the settings with the annotations of one slide, out of a folder of them."""
    regions = Path(settings.regions) if settings.regions is not None else None
    if regions is None or not regions.is_dir() or not is_drawn(str(regions)):
        return settings
    name = slide_name(slide)
    for suffix in ANNOTATION_SUFFIXES:
        if (regions / f"{name}{suffix}").is_file():
            return replace(settings, regions=str(regions / f"{name}{suffix}"))
    raise AnnotationError(
        f"{slide.name}: {regions.name} holds no {name}.geojson; annotate this slide too, or run "
        "the annotated slides alone."
    )


def recompute_folder(
    out: str | Path,
    thresholds: Mapping[str, Request],
    *,
    progress: BatchProgress | None = None,
) -> BatchSummary:
    """Recompute the calls and metrics of finished slides; no pixel is read.

    Parameters
    ----------
    out : path
        A folder of results, or the result folder of one slide.
    thresholds : mapping
        Marker to threshold; markers that are not named follow their panel.
    progress : callable, optional
        Takes a :class:`BatchEvent` for each slide.

    Returns
    -------
    BatchSummary

    Raises
    ------
    ResultError
        If there is no result, or the folder cannot be written to.
    PanelError
        If no slide has one of the markers. Slides of another panel pass it over.

    Examples
    --------
    >>> recompute_folder("no/such/folder", {"foxp3": 0.2})
    Traceback (most recent call last):
    ...
    histo.errors.ResultError: no...folder: holds no result of histo; ...
    """
    folders = result_folders(out)
    out = folders[0].parent
    check_writable(out)
    markers = {folder: _markers(folder) for folder in folders}
    known = {marker for names in markers.values() for marker in names or thresholds}
    for marker in thresholds:
        if marker not in known:
            raise PanelError(
                f'{out.name}: no slide here has the marker "{marker}"; there are '
                f"{', '.join(sorted(known)) or 'none'}."
            )

    def work(index: int, tell: StageProgress) -> bool:
        folder = folders[index]
        tell("calls and metrics", 0.0)
        own = markers[folder]
        recompute(folder, {m: cut for m, cut in thresholds.items() if own is None or m in own})
        return True

    names = [folder.name for folder in folders]
    return _go_through(out, names, folders, work, progress, step="metrics")


def _markers(folder: Path) -> set[str] | None:
    """Return the markers of a finished slide's panel; None when its manifest is damaged."""
    try:
        panel = read_manifest(folder)["parameters"]["panel_content"]
        return {marker["name"] for marker in panel["markers"]}
    except (ResultError, KeyError, TypeError):
        return None


def result_folders(out: str | Path) -> list[Path]:
    """List the finished slides of a folder of results.

    Parameters
    ----------
    out : path
        A folder of results, or the result folder of one slide.

    Returns
    -------
    list of Path
        In natural order.

    Raises
    ------
    ResultError
        If there is none.

    Examples
    --------
    >>> result_folders("no/such/folder")
    Traceback (most recent call last):
    ...
    histo.errors.ResultError: no/such/folder: holds no result of histo; ...
    """
    out = Path(out)
    absolute = out.absolute()
    if is_result_folder(absolute):
        return [absolute]
    inside = absolute.iterdir() if absolute.is_dir() else ()
    folders = [path for path in inside if path.name[0] != "." and is_result_folder(path)]
    if not folders:
        raise ResultError(
            f"{out.as_posix()}: holds no result of histo; name the output folder of `histo run`, "
            "or the folder of one slide in it."
        )
    return sorted(folders, key=lambda path: natural_key(path.name))


def _go_through(
    out: Path,
    names: Sequence[str],
    sources: Sequence[Path],
    work: Callable[[int, StageProgress], bool],
    progress: BatchProgress | None,
    *,
    step: str = "run",
) -> BatchSummary:
    """Do the work of each slide; keep the tables; catch what concerns one slide only."""
    tables = Tables(out)
    rows: list[SlideRow] = []
    failed: list[Failure] = []
    skipped: list[str] = []
    for index, (name, source) in enumerate(zip(names, sources, strict=True)):
        news = _News(progress, source, name, index + 1, len(names))
        known = tables.failures.get(name)
        if step == "metrics" and known is not None and known.step == "run":
            # What lies there is older than the failure: not what was asked for last.
            failed.append(known)
            news.end("failed", known.error)
            continue
        try:
            done = work(index, news.running)
            row = tables.finish(out / name)
        # Even a fault of the program in one slide must not cost a night's other slides: here,
        # and nowhere else, everything is caught, and recorded with its traceback.
        except Exception as error:  # noqa: BLE001
            failure = replace(_failure(name, source, error), step=step)
            failed.append(failure)
            tables.fail(failure)
            tables.write()
            news.end("failed", failure.error)
            continue
        rows.append(row)
        if not done:
            skipped.append(name)
        tables.write()
        news.end("finished" if done else "skipped", _cells_found(row))
    return BatchSummary(out, tuple(rows), tuple(failed), tuple(skipped))


@dataclass(frozen=True, slots=True)
class _News:
    """Tell the progress function, if there is one, about one slide."""

    progress: BatchProgress | None
    slide: Path
    folder: str
    index: int
    total: int

    def running(self, stage: str, fraction: float) -> None:
        if self.progress is not None:
            place = self.slide, self.index, self.total
            event = BatchEvent(*place, "running", stage, fraction, folder=self.folder)
            self.progress(event)

    def end(self, status: Literal["finished", "skipped", "failed"], message: str) -> None:
        if self.progress is not None:
            place = self.slide, self.index, self.total
            self.progress(BatchEvent(*place, status, "", 1.0, message, self.folder))


def _is_finished(folder: Path, wanted: str) -> bool:
    try:
        read_slide_row(folder)
        return (folder / "cells.parquet").is_file() and read_manifest(folder).get(
            "fingerprint"
        ) == wanted
    except ResultError:
        return False  # absent, damaged or of another version: analysed again


def _failure(name: str, source: Path, error: Exception) -> Failure:
    """Say in one sentence why a slide failed; keep the traceback of what nobody foresaw."""
    if isinstance(error, HistoError):
        return Failure(name, source.name, str(error))
    if isinstance(error, OSError):
        reason = error.strerror or str(error) or type(error).__name__
        sentence = f"{source.name}: could not be read or written ({reason}); check the disk."
        return Failure(name, source.name, sentence)
    if isinstance(error, MemoryError):
        sentence = f"{source.name}: needs more memory than is free; close other programs."
        return Failure(name, source.name, sentence)
    lines = traceback.format_exception(error)
    sentence = (
        f"{source.name}: stopped by a fault of histo ({lines[-1].strip()}); please report it "
        "with the traceback in failures.json."
    )
    return Failure(name, source.name, sentence, "".join(lines))


def _cells_found(row: SlideRow) -> str:
    counts = [metric.value for metric in row.metrics if metric.name == "cell_count"]
    return f"{counts[0]:,.0f} cells" if counts else ""
