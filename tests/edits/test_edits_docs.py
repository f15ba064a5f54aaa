"""The documents name every action, word and metric of edits."""

import re
from pathlib import Path

import pytest

from histo.edits import ACTIONS

DOCS = Path(__file__).resolve().parents[2] / "docs"


def text(name):
    return (DOCS / name).read_text("utf-8")


@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_is_documented(action):
    row = re.search(r"^\| `action` \|.*$", text("outputs.md"), re.MULTILINE)
    assert f"`{action}`" in row[0]


@pytest.mark.parametrize(
    "word", ["deleted", "drawn", "replaced", "excluded_region", "<marker>_manual"]
)
def test_every_flag_is_documented(word):
    assert re.search(rf"^\| `{word}` \|", text("cell-table.md"), re.MULTILINE)


def test_the_metric_is_documented():
    row = re.search(r"^\| `edited_cell_count` \|.*\| cells \|", text("metrics.md"), re.MULTILINE)
    assert row
