"""What cannot start as given ends with code 2 and one clear line on stderr."""

import re

import pytest

from histo.cli.usage import UsageError, parse_thresholds, usage_problems
from histo.errors import SlideError


def one_line(outcome):
    """Return the only line on stderr; it must be the program's own."""
    (line,) = outcome.err.splitlines()
    assert line.startswith("histo: error: ")
    assert outcome.out == ""
    return line.removeprefix("histo: error: ")


@pytest.mark.parametrize(
    ("options", "thresholds"),
    [
        ([], {}),
        (["foxp3=0.15"], {"foxp3": 0.15}),
        (["rankl=0.2,0.4,0.6", "foxp3=auto"], {"rankl": (0.2, 0.4, 0.6), "foxp3": "auto"}),
    ],
)
def test_thresholds_are_read(options, thresholds):
    assert parse_thresholds(options) == thresholds


@pytest.mark.parametrize(
    "option", ["foxp3", "foxp3=", "=0.2", "foxp3=low", "foxp3=1,2", "rankl=3,2,1", "foxp3=-1"]
)
def test_thresholds_of_another_form_are_refused(option):
    with pytest.raises(UsageError, match=r"foxp3|rankl|=0\.2"):
        parse_thresholds([option])


def test_a_threshold_given_twice_is_refused():
    with pytest.raises(UsageError, match="foxp3 twice"):
        parse_thresholds(["foxp3=0.1", "FOXP3=0.2"])


def test_errors_about_arguments_and_content_become_usage_errors():
    for error in (ValueError("bad"), SlideError("bad")):
        with pytest.raises(UsageError, match="bad"), usage_problems():
            raise error
    with pytest.raises(KeyError), usage_problems():
        raise KeyError("a fault of the program stays one")


PANEL = ("--panel", "foxp3-dab")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["runn"], "No such command 'runn'"),
        (["run"], "Missing argument"),
        (["run", "a.tif", *PANEL], "Missing option '--out'"),
        (["run", "{slide}", "-o", "{out}", "--panel", "foxp4"], 'no panel "foxp4".*foxp3-dab'),
        (["run", "{slide}", "-o", "{out}", "--panel", "{panel}"], 'unknown key "stain"'),
        (["run", "{tmp}/gone.tif", "-o", "{out}", *PANEL], r"gone\.tif: no such file"),
        (["run", "{tmp}/gone*.svs", "-o", "{out}", *PANEL], "no file matches this pattern"),
        (["run", "{tmp}/empty", "-o", "{out}", *PANEL], "empty: no image in this folder"),
        (["run", "{slide}", "-o", "{out}", *PANEL, "--threshold", "foxp3=low"], "not a number"),
        (["run", "{slide}", "-o", "{out}", *PANEL, "--threshold", "cd8=0.2"], 'no marker "cd8"'),
        (["run", "{slide}", "-o", "{out}", *PANEL, "--pixel-size", "500"], "--pixel-size 500"),
        (["run", "{slide}", "-o", "{out}", *PANEL, "--pixel-size", "nan"], "--pixel-size nan"),
        (["run", "{slide}", "-o", "{out}", *PANEL, "--pixel-size", "x"], "valid number"),
        (["run", "{slide}", "-o", "{out}", *PANEL, "--model", "best"], "no model 'best'"),
        (["run", "{slide}", "-o", "{out}", *PANEL, "--stains", "blue"], "blue"),
        (["run", "{slide}", "-o", "{slide}", *PANEL], r"cannot be|could not be"),
        (["metrics", "{tmp}/empty"], "holds no result of histo"),
        (["metrics", "{tmp}/gone"], "holds no result of histo"),
        (["info", "{tmp}/gone.tif"], "no such file"),
        (["demo", "foxp4", "-o", "{out}"], "foxp4"),
        (["demo", "-o", "{slide}"], r"cannot be|could not be"),
    ],
    ids=lambda value: "-".join(value[:1] + value[-2:]) if isinstance(value, list) else "",
)
def test_what_cannot_start_says_why(histo, tmp_path, words, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.tif").write_bytes(b"II*\0")
    (tmp_path / "own.toml").write_text(
        'name = "own"\ntitle = "Own"\nkind = "brightfield"\nstain = "h-dab"\n'
    )
    places = {"tmp": tmp_path, "slide": tmp_path / "a.tif", "out": tmp_path / "out"}
    places["panel"] = tmp_path / "own.toml"
    outcome = histo(*(word.format(**places) for word in words))
    assert outcome.code == 2
    assert re.search(message, one_line(outcome))
    assert not (tmp_path / "out" / "metrics.csv").exists()
