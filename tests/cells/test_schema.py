import numpy as np
import pandas as pd
import pytest

from histo.cells import SCHEMA, empty_cells, measure_column, validate_cells
from histo.errors import ResultError


def two_cells():
    cells = empty_cells(["hematoxylin", "dab"], markers=["foxp3"])
    rows = {name: [0, 0] for name in cells.columns}
    rows |= {"cell_id": [1, 2], "compartment": ["tissue", "excluded"], "flags": ["", "pigment"]}
    return pd.DataFrame(rows).astype(dict(cells.dtypes))


def test_two_cells_are_fine_and_survive_parquet(tmp_path):
    cells = two_cells()
    validate_cells(cells)
    for table in (cells, cells.iloc[:0]):
        table.to_parquet(tmp_path / "cells.parquet")
        again = pd.read_parquet(tmp_path / "cells.parquet")
        validate_cells(again)
        pd.testing.assert_frame_equal(again, table)


def test_further_columns_are_left_alone():
    validate_cells(two_cells().assign(distance_um=1.0, reader="A"))


@pytest.mark.parametrize("name", SCHEMA)
def test_a_missing_column_is_named(name):
    with pytest.raises(ResultError, match=f"no column {name};"):
        validate_cells(two_cells().drop(columns=name))


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("x_um", np.array([1, 2]), "x_um holds int64, expected float64"),
        ("nucleus_dab_od_mean", np.array([1.0, 2.0]), "expected float32"),
        ("foxp3_positive", np.array([1, 0]), "expected bool"),
        ("foxp3_grade", np.array([1, 0]), "expected int8"),
        ("flags", np.array([1, 0]), "expected str"),
        ("cell_id", np.array([0, 1]), "starts from 1, found 0"),
        ("cell_id", np.array([5, 5]), "cell_id 5 more than once"),
        ("y_um", np.array([1.0, np.nan]), "cell 2 has no y_um"),
        ("foxp3_grade", np.array([0, 2], np.int8), "foxp3_grade of cell 2 is 2"),
        ("foxp3_grade", np.array([4, 0], np.int8), "foxp3_grade of cell 1 is 4"),
    ],
)
def test_wrong_content_is_named(name, values, message):
    with pytest.raises(ResultError, match=message):
        validate_cells(two_cells().assign(**{name: values}))


@pytest.mark.parametrize(
    "part",
    [
        ("nuclei", "dab", "od", "mean"),
        ("nucleus", "dab", "OD", "mean"),
        ("nucleus", "dab", "od", "median"),
        ("nucleus", "Fox P3", "od", "mean"),
    ],
)
def test_names_of_measures_are_checked(part):
    with pytest.raises(ValueError, match="got"):
        measure_column(*part)


def test_the_columns_stand_in_the_documents_order():
    names = list(empty_cells(["dab"], markers=["foxp3"]).columns)
    assert names[:3] == ["cell_id", "x_um", "y_um"]
    assert names[-4:] == ["compartment", "foxp3_positive", "foxp3_grade", "flags"]
