"""The log: append-only, safe from crashes and from two programs at once."""

import errno
import json
import os
import subprocess
import sys

import pytest

from histo.edits import ACTIONS, EDITS, DrawnNucleus, Edit, EditLog, edits_record, in_force
from histo.errors import EditError

SQUARE = [[0.0, 0], [0, 6], [6, 6], [6, 0]]


def an_edit(number, cells=(7,), action="delete", /, *, who="ann", **new):
    return Edit(number, f"2026-01-31T12:00:{number:02}+00:00", who, action, cells, {}, new)


@pytest.fixture
def log(tmp_path):
    """A log with three edits and the undo of the last."""
    log = EditLog(tmp_path)
    log.append(an_edit(1, (7,)))
    log.append(an_edit(2, (8, 9), "call", marker="foxp3", grade=2))
    log.append(an_edit(3, (10,)))
    log.append(an_edit(4, (10,), "undo", edit=3))
    return log


def numbers(edits):
    return [edit.number for edit in edits]


def test_what_is_written_is_read_back(log, tmp_path):
    again = EditLog(tmp_path)
    assert [edit.to_line() for edit in again.lines] == [edit.to_line() for edit in log.lines]
    assert numbers(again.in_force) == numbers(log.in_force) == [1, 2]
    assert numbers(again.undone) == [3]
    assert again.next_number == 5
    assert not again.note
    content = [json.loads(line) for line in (tmp_path / EDITS).read_text().splitlines()]
    assert content[1] == {
        "number": 2,
        "time": "2026-01-31T12:00:02+00:00",
        "who": "ann",
        "action": "call",
        "cells": [8, 9],
        "old": {},
        "new": {"marker": "foxp3", "grade": 2},
    }


def test_no_log_is_no_edits(tmp_path):
    log = EditLog(tmp_path)
    assert (log.lines, log.in_force, log.undone, log.next_number) == ((), (), (), 1)
    assert not list(tmp_path.iterdir())


def test_undo_and_redo_go_back_and_forth():
    lines = [an_edit(1), an_edit(2)]
    assert numbers(in_force([*lines, an_edit(3, (), "undo", edit=2)])) == [1]
    both = [*lines, an_edit(3, (), "undo", edit=2), an_edit(4, (), "undo", edit=1)]
    assert numbers(in_force(both)) == []
    assert numbers(in_force([*both, an_edit(5, (), "redo", edit=1)])) == [1]
    all_again = [*both, an_edit(5, (), "redo", edit=1), an_edit(6, (), "redo", edit=2)]
    assert numbers(in_force(all_again)) == [1, 2]
    recorded = an_edit(5, (), "thresholds", thresholds={})
    assert numbers(in_force([*both, recorded, an_edit(6, (), "redo", edit=1)])) == [1]


@pytest.mark.parametrize(
    "last",
    [
        an_edit(3, (), "undo", edit=1),
        an_edit(3, (), "redo", edit=2),
        an_edit(3, (), "undo", edit=9),
    ],
)
def test_only_the_last_can_be_undone_or_redone(last, tmp_path):
    log = EditLog(tmp_path)
    log.append(an_edit(1))
    log.append(an_edit(2))
    with pytest.raises(ValueError, match="not the last"):
        log.append(last)
    assert len(EditLog(tmp_path).lines) == 2


def test_a_new_edit_ends_what_could_be_redone(log):
    log.append(an_edit(5, (11,)))
    assert log.undone == ()
    with pytest.raises(ValueError, match="redo of edit 3"):
        log.append(an_edit(6, (10,), "redo", edit=3))


def test_numbers_follow_each_other(log):
    with pytest.raises(ValueError, match="number 5, got 7"):
        log.append(an_edit(7))


def test_a_crash_anywhere_in_the_last_line_costs_that_line_only(log, tmp_path):
    path = tmp_path / EDITS
    whole = path.read_bytes()
    log.append(an_edit(5, (11,), who="Zoë"))
    longer = path.read_bytes()
    for end in range(len(whole) + 1, len(longer)):
        path.write_bytes(longer[:end])
        again = EditLog(tmp_path)
        assert numbers(again.in_force) == [1, 2]
        assert "line 5" in again.note
        assert "cut off" in again.note
        again.append(an_edit(5, (12,)))
        assert not again.note
        assert [edit.cells for edit in EditLog(tmp_path).in_force] == [(7,), (8, 9), (12,)]
        assert EditLog(tmp_path).note == ""


def test_a_last_line_of_zeros_is_a_crash_too(log, tmp_path):
    with (tmp_path / EDITS).open("ab") as stream:
        stream.write(b"\0" * 40 + b"\n")
    again = EditLog(tmp_path)
    assert "cut off" in again.note
    again.append(an_edit(5, (11,)))
    assert len(EditLog(tmp_path).lines) == 5


@pytest.mark.parametrize("line", [0, 1, 2])
def test_damage_in_the_middle_is_refused(log, tmp_path, line):
    path = tmp_path / EDITS
    lines = path.read_bytes().splitlines(keepends=True)
    lines[line] = lines[line][:20] + b"\n"
    path.write_bytes(b"".join(lines))
    before = path.read_bytes()
    with pytest.raises(EditError, match=rf"line {line + 1} of edits\.jsonl .* rename it"):
        EditLog(tmp_path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"action": "paint"}, "newer histo"),
        ({"number": 9}, "expected edit 5"),
        ({"action": "undo", "new": {"edit": 1}}, "not the last"),
        ({"action": "call", "new": {"marker": "foxp3"}}, "lacks grade"),
        ({"cells": None}, "TypeError"),
    ],
)
def test_a_whole_line_that_means_nothing_is_not_thrown_away(log, tmp_path, change, match):
    line = json.loads(an_edit(5).to_line()) | change
    with (tmp_path / EDITS).open("a") as stream:
        stream.write(json.dumps(line) + "\n")
    with pytest.raises(EditError, match=match):
        EditLog(tmp_path)


def test_a_second_program_is_refused_in_words(log, tmp_path):
    other = EditLog(tmp_path)
    other.append(an_edit(5, (20,), who="bob"))
    before = (tmp_path / EDITS).read_bytes()
    assert not log.is_current
    with pytest.raises(EditError, match="another program has edited"):
        log.append(an_edit(5, (30,)))
    assert (tmp_path / EDITS).read_bytes() == before
    assert len(log.lines) == 4
    assert other.is_current


_WRITER = """
import sys
from histo.edits import Edit, EditLog
from histo.errors import EditError
folder, who = sys.argv[1:]
made = 0
while made < 25:
    log = EditLog(folder)
    try:
        log.append(Edit(log.next_number, "", who, "delete", (made + 1,)))
        made += 1
    except EditError:
        pass
"""


def test_two_processes_lose_no_edit_of_each_other(tmp_path):
    both = [
        subprocess.Popen([sys.executable, "-c", _WRITER, str(tmp_path), who])
        for who in ("ann", "bob")
    ]
    assert [process.wait(timeout=240) for process in both] == [0, 0]
    log = EditLog(tmp_path)
    assert numbers(log.lines) == list(range(1, 51))
    for who in ("ann", "bob"):
        assert [e.cells[0] for e in log.lines if e.who == who] == list(range(1, 26))


def test_a_full_disk_makes_no_edit(log, tmp_path, monkeypatch):
    before = (tmp_path / EDITS).read_bytes()

    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(EditError, match="no space left on device"):
        log.append(an_edit(5))
    monkeypatch.undo()
    assert (tmp_path / EDITS).read_bytes() == before
    assert len(log.lines) == 4
    log.append(an_edit(5, (40,)))
    assert EditLog(tmp_path).in_force[-1].cells == (40,)


def test_a_folder_that_has_gone_is_not_made_anew(tmp_path):
    log = EditLog(tmp_path / "away")
    with pytest.raises(EditError, match="could not be stored"):
        log.append(an_edit(1))
    assert not (tmp_path / "away").exists()


def test_an_edit_is_checked_when_it_is_made():
    with pytest.raises(ValueError, match=r"one of call.*'paint'"):
        Edit(1, "", "ann", "paint")
    for action in set(ACTIONS) - {"delete"}:
        with pytest.raises(ValueError, match="lacks"):
            Edit(1, "", "ann", action)


def test_a_drawn_nucleus_survives_the_log_to_the_last_digit(tmp_path):
    row = {
        "y_um": 1 / 3,
        "x_um": 2.5,
        "nucleus_area_um2": 36.1,
        "cytoplasm_dab_od_mean": float("nan"),
    }
    nucleus = DrawnNucleus([[0.1, 0], [1 / 7, 6], [6, 6]], row | {"flags": "artefact"}, SQUARE)
    new = {"cells": [5], "nuclei": [nucleus.to_json()]}
    EditLog(tmp_path).append(an_edit(1, (5,), "add", **new))
    edit = EditLog(tmp_path).in_force[0]
    back = DrawnNucleus.from_json(edit.new["nuclei"][0])
    assert edit.made == (5,)
    assert (back.outline_um == nucleus.outline_um).all()
    assert back.cell_outline_um.tolist() == SQUARE
    assert back.row["cytoplasm_dab_od_mean"] != back.row["cytoplasm_dab_od_mean"]
    assert {n: v for n, v in back.row.items() if v == v} == {
        n: v for n, v in nucleus.row.items() if v == v
    }


@pytest.mark.parametrize(
    ("outline", "row", "match"),
    [
        (SQUARE[:2], {}, "three finite points"),
        ([[0, 0], [0, 1], [float("nan"), 1]], {}, "three finite points"),
        ([1, 2, 3], {}, r"\(N, 2\)"),
        (SQUARE, {"y_um": float("nan")}, "needs y_um"),
        (SQUARE, {"x_um": None}, "needs x_um"),
    ],
)
def test_a_nucleus_without_outline_or_place_is_refused(outline, row, match):
    place = {"y_um": 3.0, "x_um": 3.0, "nucleus_area_um2": 36.0}
    with pytest.raises(ValueError, match=match):
        DrawnNucleus(outline, place | row)


def test_the_record_says_how_many_whose_and_when(log):
    assert edits_record(log.in_force) == {
        "count": 2,
        "by_action": {"call": 1, "delete": 1},
        "readers": ["ann"],
        "last_number": 2,
        "last_utc": "2026-01-31T12:00:02+00:00",
    }
    assert edits_record(())["last_utc"] is None
