"""Progress of a batch or of one job: live bars with the time left, or plain lines in a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from histo.batch.events import BatchEvent, BatchProgress

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["PlainProgress", "PlainStages", "show_progress", "show_stages"]

Stages = Callable[[str, float], None]

_SECONDS_BETWEEN_LINES = 20.0
_COLOURS = {"finished": "green", "skipped": "cyan", "failed": "red"}


@contextmanager
def show_progress(console: Console, *, quiet: bool = False) -> Iterator[BatchProgress | None]:
    """Give the function that shows the events of a batch on ``console``.

    Parameters
    ----------
    console : rich.console.Console
        Where to write; bars when it is a terminal, lines otherwise.
    quiet : bool
        Show nothing.

    Yields
    ------
    callable or None
        Takes a :class:`histo.batch.BatchEvent`; None when quiet.

    Examples
    --------
    >>> with show_progress(Console(), quiet=True) as progress:
    ...     print(progress)
    None
    """
    if quiet:
        yield None
    elif console.is_terminal:
        with _bars(console) as bars:
            yield _Bars(bars)
    else:
        yield PlainProgress(console)


@contextmanager
def show_stages(console: Console, *, quiet: bool = False) -> Iterator[Stages | None]:
    """Give the function that shows the stages of one job on ``console``.

    Parameters
    ----------
    console : rich.console.Console
        Where to write; a bar when it is a terminal, lines otherwise.
    quiet : bool
        Show nothing.

    Yields
    ------
    callable or None
        Takes what is done in words, and the part of it that is done, 0-1; None when quiet. What
        stands behind a comma may change without another stage beginning.

    Examples
    --------
    >>> with show_stages(Console(), quiet=True) as progress:
    ...     print(progress)
    None
    """
    if quiet:
        yield None
    elif console.is_terminal:
        with _bars(console) as bars:
            yield _StageBar(bars)
    else:
        yield PlainStages(console)


def _bars(console: Console) -> Progress:
    # rich.progress costs a tenth of a second to load: only where bars are drawn.
    from rich.progress import (
        BarColumn,
        Progress,
        SpinnerColumn,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
    )


class _Bars:
    """One bar for all slides, one for the slide at hand."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._all = bars.add_task("slides", total=None)
        self._slide = bars.add_task("", total=1.0, visible=False)
        self._current: Path | None = None
        self._done = 0.0

    def __call__(self, event: BatchEvent) -> None:
        # Each stage of a slide counts from 0; the bar of all slides never goes back.
        part = 1.0 if event.is_last else event.fraction
        self._done = max(self._done, event.index - 1 + part)
        self._bars.update(
            self._all,
            total=event.total,
            completed=self._done,
            description=f"slide {event.index} of {event.total}",
        )
        if event.is_last:
            self._bars.update(self._slide, visible=False)
            self._bars.console.print(_last_line(event, colour=True), highlight=False)
            return
        if event.slide != self._current:
            self._current = event.slide
            self._bars.reset(self._slide)
        self._bars.update(
            self._slide,
            completed=event.fraction,
            description=f"{_shortened(event.slide.name)}: {event.stage}",
            visible=True,
        )


class PlainProgress:
    """Lines for a log: when a slide starts and ends, and every 20 seconds between.

    Parameters
    ----------
    console : rich.console.Console
        Where to write.

    Examples
    --------
    >>> from pathlib import Path
    >>> import sys
    >>> show = PlainProgress(Console(file=sys.stdout, width=200))
    >>> show(BatchEvent(Path("a.tif"), 1, 2, "running", stage="tissue"))
    [1/2] a.tif: tissue
    >>> show(BatchEvent(Path("a.tif"), 1, 2, "finished", message="120 cells"))
    [1/2] a.tif: finished, 120 cells
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._current: Path | None = None
        self._started = self._told = 0.0

    def __call__(self, event: BatchEvent) -> None:
        """Write a line, or nothing when the last one is recent."""
        now = time.monotonic()
        if event.is_last:
            self._line(_last_line(event, colour=False))
        elif event.slide != self._current:
            self._current, self._started, self._told = event.slide, now, now
            self._line(f"{_place(event)}: {event.stage}")
        elif now - self._told >= _SECONDS_BETWEEN_LINES:
            self._told = now
            self._line(
                f"{_place(event)}: {event.stage}, {event.fraction:.0%}"
                f"{_time_left(now - self._started, event.fraction)}"
            )

    def _line(self, text: str) -> None:
        # A log keeps whole lines: no wrapping at the width of a terminal that is not there.
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


class _StageBar:
    """One bar, which begins anew with each stage."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._task = bars.add_task("", total=1.0)
        self._stage = ""

    def __call__(self, words: str, fraction: float) -> None:
        stage = words.partition(",")[0]
        if stage != self._stage:
            self._stage = stage
            self._bars.reset(self._task)
        self._bars.update(self._task, completed=fraction, description=words)


class PlainStages:
    """Lines for a log: when a stage begins, and every 20 seconds.

    Parameters
    ----------
    console : rich.console.Console
        Where to write.

    Examples
    --------
    >>> import sys
    >>> show = PlainStages(Console(file=sys.stdout, width=200))
    >>> show("learning, step 1", 0.01)
    learning, step 1
    >>> show("learning, step 2", 0.02)
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._stage = ""
        self._started = self._told = 0.0

    def __call__(self, words: str, fraction: float) -> None:
        """Write a line, or nothing when the last one is recent."""
        now, stage = time.monotonic(), words.partition(",")[0]
        if stage != self._stage:
            self._stage, self._started, self._told, left = stage, now, now, ""
        elif now - self._told >= _SECONDS_BETWEEN_LINES:
            self._told = now
            left = f", {fraction:.0%}{_time_left(now - self._started, fraction)}"
        else:
            return
        self._console.print(f"{words}{left}", markup=False, highlight=False, soft_wrap=True)


def _place(event: BatchEvent) -> str:
    return f"[{event.index}/{event.total}] {event.slide.name}"


def _last_line(event: BatchEvent, *, colour: bool) -> str:
    place, status = _place(event), event.status
    message = f": {event.message}" if status == "failed" else f", {event.message}"
    if not event.message:
        message = ""
    # A message about a file starts with its name, which the line has already.
    message = message.removeprefix(f": {event.slide.name}")
    if not colour:
        return f"{place}: {status}{message}"
    return f"{escape(place)}: [{_COLOURS[status]}]{status}[/]{escape(message)}"


def _time_left(seconds: float, fraction: float) -> str:
    if fraction <= 0:
        return ""
    left = round(seconds * (1 - fraction) / fraction)
    minutes, seconds_left = divmod(left, 60)
    return f", about {minutes} min {seconds_left:02d} s left" if minutes else f", {left} s left"


def _shortened(name: str, width: int = 32) -> str:
    return name if len(name) <= width else f"{name[: width - 15]}...{name[-12:]}"
