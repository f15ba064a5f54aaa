"""Classes, outlines and the GeoJSON that QuPath reads."""

import gzip
import json
import uuid

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from histo.cells import Rings
from histo.errors import ResultError
from histo.results import (
    OutlineWriter,
    call_classes,
    geojson,
    outlines,
    read_outlines,
    write_geojson,
)

SQUARE = np.array([[1.0, 2], [1, 5], [4, 5], [4, 2], [1, 2]])
LARGE = np.array([[0.5, 1], [0.5, 6], [5, 6], [5, 1], [0.5, 1]])


def table(count=4, **columns):
    return pd.DataFrame(
        {
            "cell_id": np.arange(1, count + 1),
            "nucleus_area_um2": np.linspace(20, 30, count, dtype=np.float32),
            "nucleus_dab_od_mean": np.linspace(0.1, 0.7, count, dtype=np.float32),
            "cytoplasm_dab_od_std": np.full(count, 0.02, np.float32),
            "compartment": "tissue",
            **columns,
        }
    )


def graded(*grades):
    grade = np.array(grades, np.int8)
    return table(len(grades), rankl_positive=grade > 0, rankl_grade=grade)


def export(folder, cells, scale=1.0, ids=None, slide="section 1"):
    ids = cells["cell_id"] if ids is None else ids
    with OutlineWriter(folder / "outlines.parquet", scale) as writer:
        nuclei, whole = (Rings.of([ring + i for i in ids]) for ring in (SQUARE, LARGE))
        writer.add(np.array(ids, np.int64), nuclei, whole, origin=(100, 200))
    return write_geojson(folder, cells, read_outlines(folder / "outlines.parquet"), slide=slide)


def features(path):
    opened = gzip.open(path, "rt") if path.suffix == ".gz" else path.open(encoding="utf-8")
    with opened as stream:
        # NaN and Infinity, which JSON does not have, must not occur.
        content = json.load(stream, parse_constant=pytest.fail)
    assert content["type"] == "FeatureCollection"
    return content["features"]


def test_one_marker_has_the_classes_of_qupath():
    codes, classes = call_classes(graded(3, 0, 1, 2))
    assert [classes[code].label for code in codes] == ["3+", "Negative", "1+", "2+"]
    assert len({one.rgb for one in classes}) == 4


def test_without_grades_a_marker_is_positive_or_negative():
    codes, classes = call_classes(table(2, foxp3_positive=[True, False]))
    assert [classes[code].label for code in codes] == ["Positive", "Negative"]


def test_two_markers_have_combinations():
    cells = table(
        foxp3_positive=[False, True, False, True],
        foxp3_grade=np.array([0, 2, 0, 1], np.int8),
        rankl_positive=[False, False, True, True],
        rankl_grade=np.array([0, 0, 3, 1], np.int8),
    )
    codes, classes = call_classes(cells)
    names = [classes[code].names for code in codes]
    assert names == [("Negative",), ("FOXP3+",), ("RANKL+",), ("FOXP3+", "RANKL+")]
    assert len({one.rgb for one in classes}) == 4


def test_excluded_cells_have_their_own_class():
    cells = graded(3, 1)
    cells["compartment"] = ["excluded", "tissue"]
    codes, classes = call_classes(cells)
    assert [classes[code].label for code in codes] == ["Excluded", "1+"]


def test_a_panel_without_markers_gives_nuclei():
    codes, classes = call_classes(table(2))
    assert [classes[code].label for code in codes] == ["Nucleus", "Nucleus"]
    assert classes[0].names == ()


def test_no_cells_no_classes():
    codes, classes = call_classes(graded())
    assert codes.shape == (0,)
    assert classes == ()


def test_outlines_come_back_in_pixels_of_level_0(tmp_path):
    path = tmp_path / "outlines.parquet"
    with OutlineWriter(path, (2.0, 4.0)) as writer:
        writer.add(np.array([7]), Rings.of([SQUARE]), Rings.of([LARGE]), origin=(10, 20))
        writer.add(np.array([], int), Rings.of([]), Rings.of([]))
        writer.add(np.array([8]), Rings.of([SQUARE]), Rings.of([SQUARE]))
        with pytest.raises(ValueError, match="one ring a cell"):
            writer.add(np.array([9]), Rings.of([SQUARE]), Rings.of([]))
    (batch,) = read_outlines(path)
    assert batch.cell_ids.tolist() == [7, 8]
    origin, scale = np.array([10, 20]), np.array([2, 4])
    np.testing.assert_array_equal(batch.nuclei[0], (SQUARE[:-1] + origin) * scale)
    np.testing.assert_array_equal(batch.cells[0], (LARGE[:-1] + origin) * scale)
    np.testing.assert_array_equal(batch.cells[1], batch.nuclei[1])


def test_many_outlines_come_in_batches(tmp_path, monkeypatch):
    monkeypatch.setattr(outlines, "_BATCH", 10)
    path = tmp_path / "outlines.parquet"
    rings = {i: np.array([[0.0, 0], [0, i], [i, i]]) for i in range(1, 36)}
    with OutlineWriter(path, 1.0) as writer:
        for start in range(1, 36, 7):
            ids = np.arange(start, start + 7)
            part = Rings.of([rings[int(i)] for i in ids])
            writer.add(ids, part, part)
    batches = list(read_outlines(path))
    assert max(len(batch.cell_ids) for batch in batches) <= 14
    found = {i: b.cells[k] for b in batches for k, i in enumerate(b.cell_ids.tolist())}
    assert found.keys() == rings.keys()
    for number, ring in rings.items():
        np.testing.assert_array_equal(found[number], ring)


def test_no_outlines(tmp_path):
    with OutlineWriter(tmp_path / "o.parquet", 1.0):
        pass
    assert [len(batch.cell_ids) for batch in read_outlines(tmp_path / "o.parquet")] in ([], [0])


def test_unreadable_outlines(tmp_path):
    (tmp_path / "a.parquet").write_text("no")
    pq.write_table(pa.table({"x": [1]}), tmp_path / "b.parquet")
    for name, found in (("none", "cannot be read"), ("a", "cannot be read"), ("b", "found x")):
        with pytest.raises(ResultError, match=rf"^{name}\.parquet: .*{found}"):
            next(read_outlines(tmp_path / f"{name}.parquet"))
    with pytest.raises(ValueError, match="scale"):
        OutlineWriter(tmp_path / "c.parquet", 0)


def test_a_cell_is_what_qupath_expects(tmp_path):
    path = export(tmp_path, graded(0, 2), scale=2.0)
    assert path.name == "cells.geojson"
    first, second = features(path)
    assert uuid.UUID(first["id"]) != uuid.UUID(second["id"])
    assert second["geometry"] == {
        "type": "Polygon",
        "coordinates": [[[406, 205], [416, 205], [416, 214], [406, 214], [406, 205]]],
    }
    assert second["nucleusGeometry"]["coordinates"][0][:2] == [[408, 206], [414, 206]]
    properties = second["properties"]
    assert properties["objectType"] == "cell"
    assert properties["classification"] == {"name": "2+", "color": [255, 135, 0]}
    assert properties["measurements"] == {
        "Cell ID": 2,
        "Nucleus: Area µm^2": 30,
        "Nucleus: DAB OD mean": 0.7,
        "Cytoplasm: DAB OD std dev": 0.02,
        "RANKL grade": 2,
    }
    assert first["properties"]["classification"]["name"] == "Negative"


def test_two_positive_markers_are_two_names(tmp_path):
    cells = table(1, foxp3_positive=[True], rankl_positive=[True])
    (only,) = features(export(tmp_path, cells))
    assert only["properties"]["classification"]["names"] == ["FOXP3+", "RANKL+"]


def test_without_markers_there_is_no_classification(tmp_path):
    (only,) = features(export(tmp_path, table(1)))
    assert "classification" not in only["properties"]


def test_half_pixels_are_kept(tmp_path):
    (only,) = features(export(tmp_path, graded(1)))
    ring = only["geometry"]["coordinates"][0]
    assert ring[0] == [202, 101.5]
    assert ring[0] == ring[-1]


def test_missing_measurements_are_left_out(tmp_path):
    cells = graded(0, 1)
    cells.loc[1, "nucleus_dab_od_mean"] = np.float32(np.nan)
    first, second = features(export(tmp_path, cells))
    assert "Nucleus: DAB OD mean" in first["properties"]["measurements"]
    assert "Nucleus: DAB OD mean" not in second["properties"]["measurements"]
    assert second["properties"]["measurements"]["Cell ID"] == 2


def test_outlines_and_cells_that_lack_each_other_are_left_out(tmp_path):
    cells = graded(0, 1, 2)
    path = export(tmp_path, cells, ids=[2, 9])
    (only,) = features(path)
    assert only["properties"]["measurements"]["Cell ID"] == 2


def test_no_cells_is_a_valid_file(tmp_path):
    assert features(export(tmp_path, graded())) == []


def test_the_same_cells_give_the_same_bytes(tmp_path, monkeypatch):
    cells = graded(0, 1, 2, 3)
    monkeypatch.setattr(geojson, "_COMPRESS_ABOVE", 2)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    first, second = (export(tmp_path / name, cells) for name in ("a", "b"))
    assert first.name == "cells.geojson.gz"
    assert first.read_bytes() == second.read_bytes()
    monkeypatch.setattr(geojson, "_COMPRESS_ABOVE", 10)
    plain = export(tmp_path, cells)
    assert features(plain) == features(first)
    ids = {feature["id"] for feature in features(plain)}
    other = export(tmp_path, cells, slide="section 2")
    assert ids.isdisjoint({feature["id"] for feature in features(other)})


@pytest.mark.parametrize(
    ("column", "name"),
    [
        ("nucleus_hematoxylin_od_max", "Nucleus: Hematoxylin OD max"),
        ("cell_red_od_mean", "Cell: Red OD mean"),
        ("cell_pan_ck_intensity_mean", "Cell: PAN_CK mean"),
        ("nucleus_residual_od_mean", "Nucleus: Residual OD mean"),
        ("x_um", None),
        ("foxp3_positive", None),
        ("cell_id", None),
    ],
)
def test_measurement_names(column, name):
    assert geojson.measurement_name(column) == name
