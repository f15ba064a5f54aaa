"""What a review leaves on disk: corrected files, the machine's kept, nobody's work lost."""

import gzip
import json
import shutil

import numpy as np
import pandas as pd
import pytest

from histo.batch import analyze_folder, recompute_folder
from histo.edits import EDITS, DrawnNucleus, EditLog
from histo.errors import EditError, ResultError
from histo.metrics import SlideAreas
from histo.pipeline import Settings, corrected, recompute
from histo.results import GEOJSON_NAMES, read_cells, read_manifest, read_slide_result
from histo.review import Review

TABLES = ("cells.parquet", "metrics.json", "areas.json", "cells.geojson")
PICTURES = ("overview.png", "field.png", "gallery_foxp3.png")


def contents(folder, names):
    return {name: (folder / name).read_bytes() for name in names}


def geojson(folder):
    """Return the features of a result by cell number."""
    for name in GEOJSON_NAMES:
        path = folder / name
        if path.exists():
            data = path.read_bytes()
            text = gzip.decompress(data) if name.endswith(".gz") else data
            features = json.loads(text)["features"]
            return {one["properties"]["measurements"]["Cell ID"]: one for one in features}
    raise AssertionError("no GeoJSON")


def draw_at(review, y_um, x_um, radius_um=4.0):
    """Make a round nucleus with the measures of the first cell, and brown."""
    first = review.cells.iloc[0]
    row = first.drop(["cell_id", "compartment", "flags", "foxp3_positive", "foxp3_grade"]).to_dict()
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    ring = radius_um * np.stack([np.sin(angle), np.cos(angle)], axis=1) + [y_um, x_um]
    place = {"y_um": y_um, "x_um": x_um, "nucleus_dab_od_mean": 0.9, "nucleus_positivity": 0.99}
    return DrawnNucleus(ring, row | place)


def edited(folder, *, reader="ann"):
    """Correct four things in a result: delete, call, add, exclude."""
    review = Review.open(folder, reader=reader)
    counted = review.cells[review.cells["compartment"] == "tissue"]
    ids = counted["cell_id"].tolist()
    review.delete(ids[:2])
    review.set_call(ids[2:3], "foxp3", 3)
    review.add([draw_at(review, 80, 80)])
    y, x = counted[["y_um", "x_um"]].to_numpy()[5]
    ring = [[y - 6, x - 6], [y - 6, x + 6], [y + 6, x + 6], [y + 6, x - 6]]
    areas = review.areas
    none = {
        name: type(one)(one.edges, np.zeros_like(one.counts))
        for name, one in areas.histograms.items()
    }
    review.exclude(ring, SlideAreas(144, 144, 0, none))
    return review, ids


def test_saving_writes_what_is_seen_and_keeps_what_was_found(section):
    _, folder = section
    before = contents(folder, TABLES + PICTURES)
    found = read_slide_result(folder)
    review, ids = edited(folder)
    assert not review.is_saved
    assert contents(folder, TABLES) == {name: before[name] for name in TABLES}
    review.save()
    assert review.is_saved
    stored = read_slide_result(folder)
    pd.testing.assert_frame_equal(stored.cells, review.cells)
    # Those of space are made on saving.
    assert stored.metrics[: len(review.metrics)] == review.metrics
    assert stored.areas.valid_um2 == found.areas.valid_um2 - 144
    assert stored.manifest == json.loads(json.dumps(review.manifest))
    kept = read_slide_result(folder / "found")
    pd.testing.assert_frame_equal(kept.cells, found.cells)
    assert kept.metrics == found.metrics
    record = stored.manifest["edits"]
    assert record["count"] == 4
    assert record["by_action"] == {"add": 1, "call": 1, "delete": 1, "exclude": 1}
    assert record["readers"] == ["ann"]
    assert record["last_utc"] == review.edits[-1].time
    after = contents(folder, PICTURES)
    assert all(after[name] != before[name] for name in ("overview.png", "field.png"))
    features = geojson(folder)
    new = review.edits[2].made[0]
    assert set(features) == {*found.cells["cell_id"], new} - set(ids[:2])
    assert features[ids[2]]["properties"]["classification"]["name"] == "3+"
    ring = np.array(features[new]["nucleusGeometry"]["coordinates"][0])
    # Pixels of 0.5 µm, x first; tenths of a pixel.
    np.testing.assert_allclose(ring[:-1, ::-1] * 0.5, review.outline(new), atol=0.03)
    inside = stored.cells[stored.cells["flags"].str.contains("excluded_region")]
    assert ids[5] in inside["cell_id"].tolist()
    assert features[ids[5]]["properties"]["classification"]["name"] == "Excluded"


def test_the_command_makes_the_same_of_the_log_as_the_review(section):
    _, folder = section
    review, _ = edited(folder)
    twin = folder.with_name("twin")
    shutil.copytree(folder, twin)
    review.save()
    recompute(twin, {})
    names = ("metrics.json", "areas.json", "outlines_drawn.parquet", *PICTURES)
    for name in ("cells.parquet", "cells.geojson", *names):
        assert (folder / name).read_bytes() == (twin / name).read_bytes(), name
    again = contents(twin, TABLES + PICTURES)
    recompute(twin, {})
    assert contents(twin, TABLES + PICTURES) == again


def test_undoing_all_gives_the_files_of_the_run_back(section):
    _, folder = section
    before = contents(folder, TABLES + PICTURES)
    review, _ = edited(folder)
    review.save()
    while review.undo():
        pass
    review.save()
    assert contents(folder, TABLES + PICTURES) == before
    assert not (folder / "found").exists()
    assert not (folder / "outlines_drawn.parquet").exists()
    assert len(EditLog(folder).lines) == 8
    manifest = read_manifest(folder)
    assert manifest["edits"]["count"] == 0
    review.redo()
    review.save()
    assert read_manifest(folder)["edits"]["by_action"] == {"delete": 1}


def test_drawn_nuclei_are_read_like_found_ones(section):
    _, folder = section
    before = read_cells(folder)
    review, _ = edited(folder)
    review.save()
    after = read_cells(folder)
    # Three fewer at least (two deleted, some in the region), one more drawn, with its shape.
    counted = review.cells["compartment"] != "excluded"
    assert len(after.cells) == counted.sum() < len(before.cells)
    centres = after.cells.shapes.centres_um()
    assert np.isfinite(centres).all()
    np.testing.assert_allclose(centres[-1], [80, 80], atol=0.05)
    assert any("taken out by hand" in note for note in after.notes)


def test_thresholds_of_a_review_are_saved_and_logged(section):
    slide, folder = section
    fingerprint = read_manifest(folder)["fingerprint"]
    review = Review.open(folder, reader="ann")
    review.set_thresholds({"foxp3": (0.3, 0.5, 0.7)})
    review.save()
    assert review.is_saved
    again = Review.open(folder)
    assert again.thresholds["foxp3"].values == (0.3, 0.5, 0.7)
    assert again.metrics == review.metrics
    assert again.edits == ()
    line = EditLog(folder).lines[0]
    assert (line.action, line.who, line.new) == (
        "thresholds",
        "ann",
        {"thresholds": {"foxp3": [0.3, 0.5, 0.7]}},
    )
    review.save()
    assert len(EditLog(folder).lines) == 1
    # The same run passes the slide over, so that the review stays.
    assert read_manifest(folder)["fingerprint"] == fingerprint
    summary = analyze_folder(slide, folder.parent, Settings("foxp3-dab"))
    assert summary.skipped == ("section",)
    assert Review.open(folder).thresholds["foxp3"].values == (0.3, 0.5, 0.7)
    # Asked for other thresholds, the command has its way; edits stay.
    recompute(folder, {})
    assert Review.open(folder).requests == {}
    assert read_manifest(folder)["edits"].get("thresholds") is None


def test_finished_slides_keep_their_edits(section):
    slide, folder = section
    review, _ = edited(folder)
    summary = analyze_folder(slide, folder.parent, Settings("foxp3-dab"))
    assert summary.skipped == ("section",)
    assert len(EditLog(folder).in_force) == 4
    summary = recompute_folder(folder.parent, {})
    numbers = {metric.name: metric.value for metric in summary.rows[0].metrics}
    assert numbers["edited_cell_count"] == 4
    assert numbers["cell_count"] == next(m.value for m in review.metrics if m.name == "cell_count")
    assert "edited_cell_count" in (folder.parent / "metrics.csv").read_text("utf-8-sig")


def test_a_forced_run_keeps_the_edits_beside_and_says_so(section):
    slide, folder = section
    before = contents(folder, TABLES)
    review, _ = edited(folder)
    review.save()
    log = (folder / EDITS).read_bytes()
    analyze_folder(slide, folder.parent, Settings("foxp3-dab"), force=True)
    assert contents(folder, TABLES) == before
    assert not (folder / EDITS).exists()
    aside = list(folder.glob("edits-*Z.jsonl"))
    assert [path.read_bytes() for path in aside] == [log]
    manifest = read_manifest(folder)
    assert manifest["edits"]["set_aside"] == [aside[0].name]
    assert manifest["edits"]["count"] == 0
    assert "edits_set_aside" in manifest["flags"]
    with pytest.raises(EditError, match="analysed anew"):
        review.delete([int(review.cells["cell_id"].iloc[-2])])
    # It stays when more is edited, saved, and analysed again.
    fresh, _ = edited(folder, reader="bob")
    fresh.save()
    assert "edits_set_aside" in read_manifest(folder)["flags"]
    analyze_folder(slide, folder.parent, Settings("foxp3-dab"), force=True)
    assert len(read_manifest(folder)["edits"]["set_aside"]) == 2
    analyze_folder(slide, folder.parent, Settings("foxp3-dab"), force=True)
    assert len(list(folder.glob("edits-*Z.jsonl"))) == 2
    assert "edits_set_aside" not in read_manifest(folder)["flags"]


def test_an_edit_while_the_result_is_written_is_not_passed_over(section, monkeypatch):
    _, folder = section
    review, ids = edited(folder)
    write = corrected.write_calls

    def slow(*args, **kwargs):
        write(*args, **kwargs)
        Review.open(folder, reader="bob").delete(ids[9:10])

    monkeypatch.setattr(corrected, "write_calls", slow)
    before = contents(folder, TABLES)
    with pytest.raises(EditError, match="another program edited this slide"):
        review.save()
    assert contents(folder, TABLES) == before
    monkeypatch.undo()
    assert len(EditLog(folder).in_force) == 5
    recompute(folder, {})
    assert read_manifest(folder)["edits"]["readers"] == ["ann", "bob"]


def test_what_is_missing_is_refused_and_nothing_lost(section):
    _, folder = section
    review, _ = edited(folder)
    (folder / "views.npz").unlink()
    before = contents(folder, (*TABLES, EDITS))
    with pytest.raises(ResultError, match="views"):
        review.save()
    assert contents(folder, (*TABLES, EDITS)) == before
    assert not (folder / "found").exists()


def test_split_cells_are_drawn_in_the_field(section):
    """The picture of the field shows two outlines where one was."""
    _, folder = section
    review = Review.open(folder)
    cell = int(review.cells.loc[review.cells["compartment"] == "tissue", "cell_id"].iloc[20])
    at = review.cells.set_index("cell_id").loc[cell, ["y_um", "x_um"]].to_numpy(float)
    before = (folder / "field.png").read_bytes()
    review.split(cell, [draw_at(review, at[0], at[1] - 2, 2), draw_at(review, at[0], at[1] + 2, 2)])
    review.save()
    assert (folder / "field.png").read_bytes() != before
    features = geojson(folder)
    assert cell not in features
    assert all(new in features for new in review.edits[0].made)
