"""What lies outside of the slide belongs to no cell."""

import numpy as np
import pytest

from histo.cells import Frame, measure_cells


def test_padding_outside_of_the_slide_belongs_to_no_cell():
    """A brown cell at the slide's edge is not made pale by the white beyond it."""
    labels = np.zeros((20, 20), np.int32)
    labels[6:14, 4:10] = 1
    image = np.zeros((20, 20, 1), np.float32)
    image[:, 4:] = 0.6  # the slide begins at column 4
    frame = Frame(0, -4, 0.5, slide_shape=(100, 100))
    cells = measure_cells(labels, image, ["dab"], owned=np.array([1]), frame=frame, expansion_um=2)
    assert cells["cytoplasm_dab_od_mean"].item() == pytest.approx(0.6)
    assert cells["x_um"].item() == pytest.approx(1.5)
