"""A folder of slides: each on its own, nothing done twice, nothing lost."""

import csv
import json
import os
import shutil

import pytest

from histo.batch import BatchEvent, analyze_folder, recompute_folder
from histo.errors import PanelError, ResultError
from histo.pipeline import Settings
from histo.results import read_slide_result

PANEL = Settings("foxp3-dab")


def table(out):
    with (out / "metrics.csv").open(encoding="utf-8-sig", newline="") as stream:
        return {row["slide"]: row for row in csv.DictReader(stream)}


def made(out):
    """Return when each result was made."""
    return {path.parent.name: path.stat().st_mtime_ns for path in out.glob("*/manifest.json")}


@pytest.fixture(scope="module")
def finished(tmp_path_factory, paint_section):
    """Two sections and a broken one, analysed once."""
    root = tmp_path_factory.mktemp("batch")
    for seed in (1, 2):
        paint_section(root / "in" / f"s{seed}.tif", seed=seed)
    whole = (root / "in" / "s1.tif").read_bytes()
    (root / "in" / "broken.tif").write_bytes(whole[: len(whole) // 2])
    events = []
    summary = analyze_folder(root / "in", root / "out", PANEL, progress=events.append)
    return root, summary, events


@pytest.fixture
def copy(finished, tmp_path):
    root = tmp_path / "copy"
    shutil.copytree(finished[0], root, copy_function=shutil.copy2)
    # The ledger knows slides by their path: tell it of the new one.
    analyze_folder(root / "in", root / "out", PANEL)
    return root


def test_each_slide_gets_a_folder_and_all_of_them_one_table(finished):
    root, summary, _ = finished
    assert [row.facts["slide"] for row in summary.rows] == ["s1", "s2"]
    rows = table(root / "out")
    assert list(rows) == ["broken", "s1", "s2"]
    for name in ("s1", "s2"):
        result = read_slide_result(root / "out" / name)
        valid = result.cells["compartment"] != "excluded"
        assert float(rows[name]["cell_count"]) == valid.sum() > 10
        assert rows[name]["status"] == "ok"
        assert rows[name]["pixel_size_um"] == "0.5"
        assert rows[name]["pixel_size_source"] == "TIFF tags"
        assert rows[name]["foxp3_percent_denominator_name"]


def test_the_long_table_has_every_metric_with_its_denominator(finished):
    root, summary, _ = finished
    with (root / "out" / "metrics_long.csv").open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == sum(len(row.metrics) for row in summary.rows)
    (row,) = [r for r in rows if (r["slide"], r["metric"]) == ("s1", "foxp3_percent")]
    metric = next(m for m in summary.rows[0].metrics if m.name == "foxp3_percent")
    assert float(row["numerator"]) == metric.numerator
    assert row["denominator_name"] == metric.denominator_name


def test_a_slide_that_fails_is_missing_and_never_zero(finished):
    root, summary, _ = finished
    (failure,) = summary.failed
    assert failure.file == "broken.tif"
    row = table(root / "out")["broken"]
    assert row["status"] == "failed"
    assert "broken.tif" in row["error"]
    numbers = {k: v for k, v in row.items() if k not in {"slide", "file", "status", "error"}}
    assert set(numbers.values()) == {""}
    (recorded,) = json.loads((root / "out" / "failures.json").read_text(encoding="utf-8"))
    assert recorded["error"] == failure.error
    assert recorded["traceback"] == ""
    assert not (root / "out" / "broken").exists()


def test_progress_tells_each_slide_from_start_to_end(finished):
    _, _, events = finished
    assert all(isinstance(event, BatchEvent) and event.total == 3 for event in events)
    assert [event.status for event in events if event.is_last] == ["failed", "finished", "finished"]
    assert [event.index for event in events] == sorted(event.index for event in events)
    assert {event.stage for event in events if event.index == 2} >= {"reading", "finding nuclei"}
    assert all(0 <= event.fraction <= 1 for event in events)


def test_a_section_smaller_than_the_halo_is_analysed(tmp_path, paint_section):
    slide = paint_section(tmp_path / "small.tif", side_px=96)
    summary = analyze_folder(slide, tmp_path / "out", PANEL)
    assert not summary.failed
    assert float(table(tmp_path / "out")["small"]["cell_count"]) > 0


def test_a_rerun_skips_what_is_finished_and_tries_what_failed(copy):
    before = made(copy / "out")
    summary = analyze_folder(copy / "in", copy / "out", PANEL)
    assert summary.skipped == ("s1", "s2")
    assert len(summary.rows) == 2
    assert [failure.folder for failure in summary.failed] == ["broken"]
    assert made(copy / "out") == before


def test_what_changed_is_done_again(copy, paint_section):
    out = copy / "out"
    before = made(out)
    paint_section(copy / "in" / "s1.tif", seed=7)
    paint_section(copy / "in" / "broken.tif", seed=8)
    summary = analyze_folder(copy / "in", out, PANEL)
    assert summary.skipped == ("s2",)
    assert not summary.failed
    assert not (out / "failures.json").exists()
    after = made(out)
    assert after["s2"] == before["s2"]
    assert after["s1"] > before["s1"]
    assert table(out)["broken"]["status"] == "ok"


@pytest.mark.parametrize(
    "settings",
    [Settings("foxp3-dab", thresholds={"foxp3": 0.3}), Settings("foxp3-dab", pixel_size_um=0.45)],
    ids=["threshold", "pixel size"],
)
def test_other_settings_are_another_result(copy, settings):
    os.remove(copy / "in" / "broken.tif")
    before = made(copy / "out")
    summary = analyze_folder(copy / "in" / "s1.tif", copy / "out", settings)
    assert not summary.skipped
    assert made(copy / "out")["s1"] > before["s1"]
    assert made(copy / "out")["s2"] == before["s2"]
    assert list(table(copy / "out")) == ["broken", "s1", "s2"]


def test_force_redoes_what_is_finished(copy):
    before = made(copy / "out")
    summary = analyze_folder(copy / "in" / "s1.tif", copy / "out", PANEL, force=True)
    assert not summary.skipped
    assert made(copy / "out")["s1"] > before["s1"]


def test_a_result_that_was_damaged_is_done_again(copy):
    (copy / "out" / "s1" / "manifest.json").write_text("{")
    (copy / "out" / "s2" / "metrics.json").unlink()
    summary = analyze_folder([copy / "in" / "s1.tif", copy / "in" / "s2.tif"], copy / "out", PANEL)
    assert not summary.failed
    assert {row["status"] for name, row in table(copy / "out").items() if name != "broken"} == {
        "ok"
    }


def test_a_slide_that_breaks_later_has_no_numbers_any_more(copy):
    (copy / "in" / "s1.tif").write_bytes(b"II*\0")
    analyze_folder(copy / "in", copy / "out", PANEL)
    assert table(copy / "out")["s1"]["status"] == "failed"
    # Nor are they brought back by other thresholds: they are older than the failure.
    summary = recompute_folder(copy / "out", {"foxp3": 0.3})
    assert [failure.folder for failure in summary.failed] == ["s1"]
    assert table(copy / "out")["s1"]["status"] == "failed"
    recompute_folder(copy / "out", {"foxp3": 0.2})
    assert table(copy / "out")["s1"]["cell_count"] == ""


def test_an_interruption_leaves_finished_slides_and_their_table(finished, tmp_path):
    root, _, _ = finished

    def interrupt(event):
        if event.index == 2 and event.stage == "finding nuclei":
            raise KeyboardInterrupt

    slides = [root / "in" / "s1.tif", root / "in" / "s2.tif"]
    with pytest.raises(KeyboardInterrupt):
        analyze_folder(slides, tmp_path / "out", PANEL, progress=interrupt)
    assert list(table(tmp_path / "out")) == ["s1"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        ".histo-inputs.json",
        "metrics.csv",
        "metrics_long.csv",
        "s1",
    ]
    summary = analyze_folder(slides, tmp_path / "out", PANEL)
    assert summary.skipped == ("s1",)
    assert list(table(tmp_path / "out")) == ["s1", "s2"]


def test_a_fault_of_the_program_costs_one_slide_and_is_kept(finished, tmp_path):
    root, _, _ = finished

    def fail(event):
        if event.index == 1 and event.stage == "finding nuclei":
            raise ZeroDivisionError("on purpose")

    slides = [root / "in" / "s1.tif", root / "in" / "s2.tif"]
    summary = analyze_folder(slides, tmp_path / "out", PANEL, progress=fail)
    assert [row.facts["slide"] for row in summary.rows] == ["s2"]
    (failure,) = summary.failed
    assert "ZeroDivisionError: on purpose" in failure.error
    (recorded,) = json.loads((tmp_path / "out" / "failures.json").read_text(encoding="utf-8"))
    assert "in fail" in recorded["traceback"]


def test_other_thresholds_are_what_a_fresh_run_gives(copy, tmp_path):
    recomputed = recompute_folder(copy / "out", {"foxp3": 0.3})
    settings = Settings("foxp3-dab", thresholds={"foxp3": 0.3})
    slides = [copy / "in" / "s1.tif", copy / "in" / "s2.tif"]
    fresh = analyze_folder(slides, tmp_path / "fresh", settings)
    assert [row.metrics for row in recomputed.rows] == [row.metrics for row in fresh.rows]
    # And so a run with these thresholds has nothing to do.
    assert analyze_folder(slides, copy / "out", settings).skipped == ("s1", "s2")


def test_a_marker_that_no_slide_has_is_refused_before_anything_changes(copy):
    before = made(copy / "out")
    with pytest.raises(PanelError, match='no slide here has the marker "cd8"; there are foxp3'):
        recompute_folder(copy / "out", {"cd8": 0.3})
    assert made(copy / "out") == before


def test_slides_of_another_panel_pass_a_threshold_over(copy, paint_section):
    slide = paint_section(copy / "rankl.tif", panel="rankl-dab")
    analyze_folder(slide, copy / "out", Settings("rankl-dab"))
    summary = recompute_folder(copy / "out", {"foxp3": 0.3})
    assert [row.facts["slide"] for row in summary.rows] == ["rankl", "s1", "s2"]
    assert not summary.failed


def test_one_slide_alone_can_be_recomputed(copy):
    before = made(copy / "out")
    summary = recompute_folder(copy / "out" / "s1", {"foxp3": 0.3})
    assert summary.out == copy / "out"
    assert made(copy / "out")["s2"] == before["s2"]
    assert list(table(copy / "out")) == ["broken", "s1", "s2"]


def test_where_nothing_can_be_written_nothing_is_analysed(finished, tmp_path):
    (tmp_path / "file").touch()
    events = []
    with pytest.raises(ResultError, match="file"):
        analyze_folder(finished[0] / "in", tmp_path / "file", PANEL, progress=events.append)
    assert not events


def test_results_inside_the_folder_of_slides_are_not_taken_for_slides(finished, tmp_path):
    shutil.copy(finished[0] / "in" / "s1.tif", tmp_path / "s1.tif")
    for _ in range(2):
        summary = analyze_folder(tmp_path, tmp_path, PANEL)
        assert [row.facts["slide"] for row in summary.rows] == ["s1"]
    assert summary.skipped == ("s1",)
