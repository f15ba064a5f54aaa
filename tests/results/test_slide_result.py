"""Tables that come back as they were, and errors for what is not ours."""

import csv
import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from histo.cells import empty_cells
from histo.errors import ResultError
from histo.metrics import OD_EDGES, Histogram, Metric, SlideAreas
from histo.results import (
    SlideResult,
    make_manifest,
    read_manifest,
    read_slide_result,
    sha256_file,
    write_metrics_csv,
    write_slide_result,
)


def some_cells(count=3):
    cells = empty_cells(["hematoxylin", "dab"], markers=["foxp3"])
    rows = {}
    for name, dtype in cells.dtypes.items():
        filler = "tissue" if name == "compartment" else ""
        if name == "cell_id":
            rows[name] = np.arange(1, count + 1)
        elif name in ("compartment", "flags"):
            rows[name] = pd.Series([filler] * count, dtype=dtype)
        else:
            rows[name] = np.linspace(0.1, 9, count).astype(dtype)
    rows["foxp3_positive"] = np.array([False, True, True])[:count]
    rows["foxp3_grade"] = np.array([0, 1, 3], np.int8)[:count]
    return pd.DataFrame(rows)


def some_result(**manifest):
    metrics = (
        Metric("cell_count", 3, "cells", low=0.6, high=8.8),
        Metric("foxp3_percent", math.nan, "%", denominator_name="valid cells"),
    )
    histogram = Histogram.of(np.array([0.1, 0.3, 0.3]), OD_EDGES)
    areas = SlideAreas(2e6, 1.8e6, 2e5, {"dab": histogram})
    return SlideResult(some_cells(), metrics, areas, manifest)


def test_what_was_written_is_read(tmp_path):
    result = some_result(seed=7, stains={"vectors": np.eye(3)}, thresholds=(0.2, math.nan))
    write_slide_result(tmp_path, result)
    again = read_slide_result(tmp_path)
    pd.testing.assert_frame_equal(again.cells, result.cells)
    assert again.metrics == result.metrics
    assert again.areas.to_dict() == result.areas.to_dict()
    assert again.manifest["seed"] == 7
    assert again.manifest["stains"]["vectors"][1] == [0.0, 1.0, 0.0]
    assert again.manifest["thresholds"] == [0.2, None]


def test_a_slide_without_cells(tmp_path):
    cells = empty_cells(["hematoxylin", "dab"], markers=["foxp3"])
    write_slide_result(tmp_path, SlideResult(cells, (), SlideAreas(0, 0), {}))
    again = read_slide_result(tmp_path)
    pd.testing.assert_frame_equal(again.cells, cells)


def test_the_table_says_its_version(tmp_path):
    write_slide_result(tmp_path, some_result())
    metadata = pq.read_schema(tmp_path / "cells.parquet").metadata
    assert metadata[b"histo_schema_version"] == b"1"


def test_a_table_against_the_schema_is_refused(tmp_path):
    result = some_result()
    broken = SlideResult(result.cells.drop(columns="x_um"), (), result.areas, {})
    with pytest.raises(ResultError, match="no column x_um"):
        write_slide_result(tmp_path, broken)
    assert list(tmp_path.iterdir()) == []


def damage(folder, name, change):
    path = folder / name
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (lambda f: (f / "manifest.json").unlink(), r"manifest\.json is missing"),
        (lambda f: (f / "manifest.json").write_text("{"), r"manifest\.json cannot be read"),
        (lambda f: (f / "manifest.json").write_text("[]"), "does not hold an object"),
        (lambda f: damage(f, "manifest.json", lambda c: c.pop("format")), "not of histo"),
        (
            lambda f: damage(f, "manifest.json", lambda c: c.update(schema_version=99)),
            "schema version 99, this histo reads version 1",
        ),
        (lambda f: (f / "metrics.json").unlink(), r"metrics\.json cannot be read"),
        (lambda f: damage(f, "areas.json", dict.clear), "areas cannot be read"),
        (lambda f: (f / "cells.parquet").write_bytes(b"PAR1"), r"cells\.parquet cannot be read"),
        (lambda f: (f / "cells.parquet").unlink(), r"cells\.parquet cannot be read"),
        (
            lambda f: some_cells().to_parquet(f / "cells.parquet"),
            "not of this version of histo",
        ),
    ],
)
def test_what_is_not_ours_is_one_sentence(tmp_path, spoil, found):
    write_slide_result(tmp_path, some_result())
    spoil(tmp_path)
    with pytest.raises(ResultError, match=found):
        read_slide_result(tmp_path)


def test_no_such_folder(tmp_path):
    with pytest.raises(ResultError, match=r"^none: not a result of histo"):
        read_manifest(tmp_path / "none")


def test_metrics_csv_joins_columns_and_leaves_gaps(tmp_path):
    path = tmp_path / "metrics.csv"
    rows = [
        {"slide": "µ, 1", "cell_count": 3.0, "density": math.nan},
        {"slide": "b", "h_score": 1 / 3, "cell_count": np.float64(12345678.0)},
    ]
    write_metrics_csv(path, iter(rows))
    with path.open(encoding="utf-8-sig", newline="") as stream:
        read = list(csv.DictReader(stream))
    assert list(read[0]) == ["slide", "cell_count", "density", "h_score"]
    assert read[0] == {"slide": "µ, 1", "cell_count": "3", "density": "", "h_score": ""}
    assert read[1]["cell_count"] == "12345678"
    assert float(read[1]["h_score"]) == pytest.approx(1 / 3, rel=1e-9)
    frame = pd.read_csv(path)
    assert frame.shape == (2, 4)


def test_metrics_csv_of_no_slides(tmp_path):
    write_metrics_csv(tmp_path / "metrics.csv", [])
    assert (tmp_path / "metrics.csv").read_text(encoding="utf-8-sig").strip() == ""


def test_hashes_are_those_of_the_standard(tmp_path):
    (tmp_path / "a.tif").write_bytes(b"abc")
    # NIST FIPS 180-2, appendix B.1
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_file(tmp_path / "a.tif") == expected


def test_a_folder_hashes_names_and_content(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name / "c").mkdir(parents=True)
        (tmp_path / name / "c" / "0").write_bytes(b"abc")
    assert sha256_file(tmp_path / "one") == sha256_file(tmp_path / "two")
    (tmp_path / "two" / "c" / "0").rename(tmp_path / "two" / "c" / "1")
    assert sha256_file(tmp_path / "one") != sha256_file(tmp_path / "two")


def test_the_folder_of_a_mrxs_belongs_to_it(tmp_path):
    (tmp_path / "s.mrxs").write_bytes(b"index")
    alone = sha256_file(tmp_path / "s.mrxs")
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "Data0000.dat").write_bytes(b"pixels")
    with_folder = sha256_file(tmp_path / "s.mrxs")
    (tmp_path / "s" / "Data0000.dat").write_bytes(b"others")
    assert len({alone, with_folder, sha256_file(tmp_path / "s.mrxs")}) == 3


def test_the_manifest_holds_no_folder(tmp_path):
    path = tmp_path / "Doe_Jane_1950" / "section.tif"
    path.parent.mkdir()
    path.write_bytes(b"abc")
    manifest = make_manifest(
        path,
        {
            "parameters": {
                "panel": str(tmp_path / "mine.toml"),
                "model": tmp_path / "net",
                "windows": "C:\\Users\\ann\\h-dab.toml",
                "ratio": 0.5,
                "list": [str(path), "h-dab", None, True],
            }
        },
    )
    assert manifest["input"] == {
        "file": "section.tif",
        "bytes": 3,
        "sha256": sha256_file(path),
    }
    assert manifest["parameters"] == {
        "panel": "mine.toml",
        "model": "net",
        "windows": "h-dab.toml",
        "ratio": 0.5,
        "list": ["section.tif", "h-dab", None, True],
    }
    words = json.dumps(manifest)
    assert "Doe" not in words
    assert str(Path.home()) not in words
    assert manifest["created_utc"].endswith("+00:00")
    assert manifest["notice"] == ("For Research Use Only. Not for use in diagnostic procedures.")
    assert manifest["software"]["packages"]["numpy"] == np.__version__
