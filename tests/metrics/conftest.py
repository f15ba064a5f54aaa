import numpy as np
import pandas as pd
import pytest

from histo.cells import empty_cells


@pytest.fixture
def make_cells():
    """Build a cell table; columns not given are 0 or those of an ordinary lymphocyte."""

    def make(count, *, stains=("hematoxylin", "dab"), quantity="od", **columns):
        empty = empty_cells(list(stains), quantity=quantity)
        values = {name: np.zeros(count) for name in empty.columns}
        values |= {
            "cell_id": np.arange(1, count + 1),
            "x_um": np.arange(count) * 10.0,
            "nucleus_diameter_um": np.full(count, 7.0),
            "nucleus_area_um2": np.full(count, 38.5),
            "cell_area_um2": np.full(count, 120.0),
            "nucleus_eccentricity": np.full(count, 0.4),
            "nucleus_solidity": np.full(count, 0.95),
            "compartment": np.full(count, "tissue"),
            "flags": np.full(count, ""),
        }
        values |= columns
        frame = pd.DataFrame(values)
        return frame.astype(dict(empty.dtypes)).astype(
            {name: "float32" for name in columns if name not in empty.columns}
        )

    return make
