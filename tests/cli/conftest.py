"""Run the program as a shell would, but in this process."""

from dataclasses import dataclass

import pytest

from histo.cli import main


@dataclass
class Outcome:
    code: int
    out: str
    err: str


@pytest.fixture
def histo(capsys, monkeypatch):
    """Return a function that runs the command line; anything but SystemExit is a traceback."""
    monkeypatch.delenv("HISTO_DEBUG", raising=False)

    def run(*words):
        with pytest.raises(SystemExit) as end:
            main([str(word) for word in words])
        captured = capsys.readouterr()
        return Outcome(end.value.code or 0, captured.out, captured.err)

    return run
