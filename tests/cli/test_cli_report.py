"""Numbers on the screen: rounded for people, exact in JSON, nothing invented."""

import json
import math
from pathlib import Path

import pytest

from histo.batch import BatchSummary, Failure, SlideRow
from histo.cli.report import print_summary, summary_content
from histo.metrics import Metric

FACTS = {"slide": "liver", "file": "liver.tif", "status": "ok", "error": "", "panel": "foxp3-dab"}
ROW = SlideRow(
    {**FACTS, "pixel_size_um": 0.5, "pixel_size_source": "TIFF tags", "flags": "blurred;pen_marks"},
    (
        Metric("cell_count", 12345, "cells", 12128, 12565),
        Metric("foxp3_count", 0, "cells", 0, 3.7),
        Metric("foxp3_density_per_mm2", 0, "cells/mm²", 0, 2.5),
        Metric("foxp3_percent", math.nan, "%"),
        Metric("foxp3_h_score", 1.25, "0-300"),
        Metric("foxp3_positive_area_percent", 0.01234, "%"),
        Metric("foxp3_given_rankl_percent", 20.7, "%", 14.9, 28.0, 30, 145, "rankl+ cells", 11, 29),
    ),
)
SUMMARY = BatchSummary(
    Path("out"), (ROW,), (Failure("lung", "lung.tif", "lung.tif: is empty."),), ("liver",)
)


def test_the_table_rounds_and_shows_what_is_missing(capsys):
    print_summary(SUMMARY, json=False)
    lines = capsys.readouterr().out.splitlines()
    (row,) = [line for line in lines if line.split()[:1] == ["liver"] and "12,345" in line]
    assert row.split() == ["liver", "12,345", "foxp3", "0", "0", "[0-2.5]", "-", "1.2", "0.012"]
    assert any("foxp3+ among rankl+ cells" in line and "30 / 145" in line for line in lines)
    assert any("blurred, pen marks" in line for line in lines)
    assert any("lung" in line and "is empty" in line for line in lines)
    assert any("1 slides finished, 1 of them skipped as unchanged, 1 failed" in x for x in lines)


def test_json_is_exact_and_has_null_for_what_is_missing(capsys):
    print_summary(SUMMARY, json=True)
    content = json.loads(capsys.readouterr().out)
    assert [slide["status"] for slide in content["slides"]] == ["skipped", "failed"]
    metrics = {metric["name"]: metric for metric in content["slides"][0]["metrics"]}
    assert metrics["foxp3_percent"]["value"] is None
    assert metrics["foxp3_positive_area_percent"]["value"] == pytest.approx(0.01234)
    assert metrics["foxp3_given_rankl_percent"]["denominator_name"] == "rankl+ cells"


def test_a_failed_slide_has_no_metrics_at_all():
    failed = summary_content(SUMMARY)["slides"][1]
    assert failed == {
        "slide": "lung",
        "file": "lung.tif",
        "status": "failed",
        "error": "lung.tif: is empty.",
    }


def test_nothing_finished_prints_no_table_of_metrics(capsys):
    print_summary(BatchSummary(Path("out"), (), SUMMARY.failed, ()), json=False)
    text = capsys.readouterr().out
    assert "per mm²" not in text
    assert "0 slides finished, 1 failed" in text


@pytest.mark.parametrize(
    ("count", "words"), [(1234, "liver (1,234 cells)"), (0, "liver (regions left out)")]
)
def test_corrections_of_a_reader_are_told(capsys, count, words):
    edited = SlideRow(ROW.facts, (*ROW.metrics, Metric("edited_cell_count", count, "cells")))
    print_summary(BatchSummary(Path("out"), (edited,), (), ()), json=False)
    assert f"With the corrections of a reader: {words}." in capsys.readouterr().out
    print_summary(SUMMARY, json=False)
    assert "corrections" not in capsys.readouterr().out
