"""Other thresholds on a finished slide equal a fresh run with them."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from histo.errors import PanelError, ResultError
from histo.pipeline import Settings, analyze_slide, recompute
from histo.results import read_slide_result

OTHER = {"foxp3": (0.3, 0.5, 0.7)}


def contents(folder):
    """Every file's bytes, so that any change shows."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def finished(analysed, tmp_path):
    """A copy of a finished result folder."""
    folder = tmp_path / "section"
    shutil.copytree(analysed[1], folder)
    return folder


def test_the_same_thresholds_change_nothing(finished):
    before = contents(finished)
    recompute(finished, {})
    after = contents(finished)
    assert set(after) == set(before)
    for name in ("cells.parquet", "metrics.json", "areas.json", "cells.geojson"):
        assert after[name] == before[name], name
    for name in before:
        if name.startswith("nuclei.ome.zarr") or name.endswith(".png"):
            assert after[name] == before[name], name
    old, new = (json.loads(files["manifest.json"]) for files in (before, after))
    for key in ("thresholds", "flags", "fingerprint", "input", "parameters"):
        assert new[key] == old[key], key


def test_other_thresholds_equal_a_fresh_run(finished, analysed, tmp_path):
    before = contents(finished)
    returned = recompute(finished, OTHER)
    settings = Settings("foxp3-dab", thresholds=OTHER)
    fresh = analyze_slide(analysed[0], settings, folder=tmp_path / "fresh")
    after, expected = contents(finished), contents(tmp_path / "fresh")
    for name in ("cells.parquet", "metrics.json", "areas.json", "cells.geojson"):
        assert after[name] == expected[name], name
    assert after["metrics.json"] != before["metrics.json"]
    pd.testing.assert_frame_equal(returned.cells, fresh.cells)
    assert returned.manifest["fingerprint"] == fresh.manifest["fingerprint"]
    assert returned.manifest["thresholds"] == fresh.manifest["thresholds"]
    stored = read_slide_result(finished)
    assert stored.manifest["thresholds"]["foxp3"]["values"] == list(OTHER["foxp3"])
    assert stored.manifest["thresholds"]["foxp3"]["source"] == "user"
    # A higher cut-off takes cells away, and the measures stay.
    assert 0 < stored.cells["foxp3_positive"].sum() < fresh_count(analysed)
    measured = [c for c in stored.cells.columns if c.endswith(("_mean", "_max", "_std", "_um"))]
    pd.testing.assert_frame_equal(stored.cells[measured], analysed[2].cells[measured])
    labels = [name for name in before if name.startswith("nuclei.ome.zarr")]
    assert labels
    assert all(after[name] == before[name] for name in labels)


def fresh_count(analysed):
    return int(analysed[2].cells["foxp3_positive"].sum())


def test_back_to_the_panel_is_where_it_began(finished):
    before = contents(finished)
    recompute(finished, OTHER)
    recompute(finished, {})
    after = contents(finished)
    for name in ("cells.parquet", "metrics.json", "cells.geojson"):
        assert after[name] == before[name], name


def test_automatic_thresholds_are_found_and_recorded(finished):
    result = recompute(finished, {"foxp3": "auto"})
    cut = result.manifest["thresholds"]["foxp3"]
    assert cut["source"] == "auto"
    values = np.array(cut["values"])
    assert (np.diff(values) > 0).all()
    # The painted nuclei are either below 0.1 or above 0.2.
    assert 0.05 <= values[0] <= 0.40


def test_an_unknown_marker_is_refused_and_nothing_changes(finished):
    before = contents(finished)
    with pytest.raises(PanelError, match="ki67"):
        recompute(finished, {"ki67": 0.2})
    assert contents(finished) == before
    assert [path.name for path in finished.parent.iterdir()] == [finished.name]


@pytest.mark.parametrize(
    "damage",
    ["manifest.json", "cells.parquet", "areas.json", "views.npz", "window.npz", "outlines.parquet"],
)
def test_a_folder_that_lacks_a_file_is_refused(damage, finished):
    (finished / damage).unlink()
    before = contents(finished)
    with pytest.raises(ResultError, match=damage):
        recompute(finished, OTHER)
    assert contents(finished) == before


@pytest.mark.parametrize(
    "damage", ["manifest.json", "cells.parquet", "views.npz", "window.npz", "outlines.parquet"]
)
def test_a_truncated_file_is_refused(damage, finished):
    content = (finished / damage).read_bytes()
    (finished / damage).write_bytes(content[: len(content) // 2])
    before = contents(finished)
    with pytest.raises(ResultError, match="again"):
        recompute(finished, OTHER)
    assert contents(finished) == before


def test_a_manifest_without_its_panel_is_refused(finished):
    manifest = json.loads((finished / "manifest.json").read_text())
    del manifest["parameters"]["panel_content"]
    (finished / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ResultError, match="--force"):
        recompute(finished, OTHER)
