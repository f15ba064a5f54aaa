"""Bars on a terminal, lines in a log, nothing when quiet."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from histo.batch import BatchEvent
from histo.cli.progress import PlainProgress, show_progress

A, B = Path("in/a.tif"), Path("in/b.tif")
EVENTS = [
    BatchEvent(A, 1, 2, "running", "reading", 0.0),
    BatchEvent(A, 1, 2, "running", "finding nuclei", 0.5),
    BatchEvent(A, 1, 2, "finished", message="1,200 cells"),
    BatchEvent(B, 2, 2, "running", "reading", 0.0),
    BatchEvent(B, 2, 2, "failed", message="b.tif: is empty; copy the file again."),
]


def shown(events, *, terminal, quiet=False):
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, width=100, color_system=None)
    with show_progress(console, quiet=quiet) as progress:
        for event in events:
            if progress is not None:
                progress(event)
    return stream.getvalue()


def test_a_log_gets_whole_lines():
    assert shown(EVENTS, terminal=False).splitlines() == [
        "[1/2] a.tif: reading",
        "[1/2] a.tif: finished, 1,200 cells",
        "[2/2] b.tif: reading",
        "[2/2] b.tif: failed: is empty; copy the file again.",
    ]


def test_a_long_line_of_a_log_is_not_wrapped():
    event = BatchEvent(A, 1, 1, "failed", message="a.tif: " + "very " * 60 + "broken.")
    assert len(shown([event], terminal=False).splitlines()) == 1


def test_a_terminal_gets_bars_and_a_line_for_each_slide():
    text = shown(EVENTS, terminal=True)
    assert "slide 2 of 2" in text
    assert "[1/2] a.tif: finished, 1,200 cells" in text
    assert "[2/2] b.tif: failed: is empty" in text
    assert "left" in text


def test_a_name_with_brackets_is_shown_as_it_is():
    event = BatchEvent(Path("[red]a[bold].tif"), 1, 1, "skipped", message="3 cells")
    for terminal in (False, True):
        assert "[red]a[bold].tif: skipped, 3 cells" in shown([event], terminal=terminal)


def test_quiet_shows_nothing():
    assert shown(EVENTS, terminal=False, quiet=True) == ""


def test_a_long_slide_is_heard_of_now_and_then(monkeypatch):
    clock = iter([0.0, 5.0, 25.0, 30.0, 60.0])
    monkeypatch.setattr("histo.cli.progress.time.monotonic", lambda: next(clock))
    stream = io.StringIO()
    progress = PlainProgress(Console(file=stream, width=100))
    for fraction in (0.0, 0.05, 0.25, 0.3, 0.5):
        progress(BatchEvent(A, 1, 1, "running", "finding nuclei", fraction))
    assert stream.getvalue().splitlines() == [
        "[1/1] a.tif: finding nuclei",
        "[1/1] a.tif: finding nuclei, 25%, about 1 min 15 s left",
        "[1/1] a.tif: finding nuclei, 50%, about 1 min 00 s left",
    ]


@pytest.mark.parametrize("terminal", [True, False])
def test_stages_that_start_again_do_not_confuse(terminal):
    fractions = [0.0, 1.0, 0.0, 0.6]
    events = [BatchEvent(A, 1, 1, "running", "stage", fraction) for fraction in fractions]
    assert "a.tif" in shown(events, terminal=terminal)
