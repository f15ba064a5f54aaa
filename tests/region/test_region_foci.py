"""What counts as a focus: merging, classes, edges, nuclei."""

import math

import numpy as np
import pandas as pd
import pytest

from histo.region import (
    SIZE_CLASSES,
    FociRules,
    count_by_class,
    foci_at_least,
    foci_table,
    focus_outlines,
    size_class,
)
from histo.region.foci import counts_as_focus, make_foci, merge_near


def squares(*boxes, shape=(120, 160)):
    mask = np.zeros(shape, bool)
    for y, x, side in boxes:
        mask[y : y + side, x : x + side] = True
    return mask


@pytest.mark.parametrize(("gap_px", "foci"), [(9, 1), (11, 2)])
def test_foci_nearer_than_twenty_micrometres_are_one(gap_px, foci):
    mask = squares((10, 10, 30), (10, 40 + gap_px, 20))
    labels = merge_near(mask, 20.0, pixel_size_um=2.0)
    assert labels.max() == foci
    assert ((labels > 0) == mask).all()
    found = make_foci(labels, pixel_size_um=2.0)
    assert sum(f.area_um2 for f in found) == 1300 * 4
    assert found[0].parts == (2 if foci == 1 else 1)


def test_the_largest_comes_first_and_measures_are_exact():
    labels = merge_near(squares((5, 5, 10), (60, 60, 40)), 20.0, pixel_size_um=2.0)
    large, small = make_foci(labels, pixel_size_um=2.0)
    assert (large.area_um2, small.area_um2) == (6400.0, 400.0)
    assert (large.y_um, large.x_um) == (160.0, 160.0)
    assert large.diameter_um == pytest.approx(math.sqrt(4 * 6400 / math.pi))
    assert large.nuclei is None
    assert math.isnan(large.nuclei_per_mm2)


def test_touching_the_edge_is_marked():
    labels = merge_near(squares((0, 30, 20), (60, 60, 20)), 20.0, pixel_size_um=2.0)
    assert sorted(f.touches_edge for f in make_foci(labels, pixel_size_um=2.0)) == [False, True]


def test_nuclei_decide_where_the_diameter_does_not():
    labels = merge_near(squares((20, 20, 20)), 20.0, pixel_size_um=2.0)
    cells = pd.DataFrame({"y_um": np.full(10, 60.0), "x_um": np.linspace(45, 75, 10)})
    outside = pd.DataFrame({"y_um": [-5.0, 1e6, 10.0], "x_um": [10.0, 10.0, 200.0]})
    focus = make_foci(labels, pixel_size_um=2.0, cells=pd.concat([cells, outside]))[0]
    assert focus.diameter_um < 50
    assert focus.nuclei == 10
    assert counts_as_focus(focus, FociRules())
    assert not counts_as_focus(focus, FociRules(min_nuclei=11))
    assert counts_as_focus(focus, FociRules(min_diameter_um=45, min_nuclei=11))


def test_classes_and_least_diameters():
    assert [size_class(d) for d in (1, 100, 249.9, 250, 500, 501)] == [
        SIZE_CLASSES[i] for i in (0, 1, 1, 2, 2, 3)
    ]
    labels = merge_near(squares((5, 5, 20), (50, 50, 60)), 20.0, pixel_size_um=2.0)
    foci = make_foci(labels, pixel_size_um=2.0)
    assert count_by_class(foci) == {"<100": 1, "100-250": 1, "250-500": 0, ">500": 0}
    assert [len(foci_at_least(foci, d)) for d in (30, 50, 200)] == [2, 1, 0]


def test_table_and_outlines():
    labels = merge_near(squares((5, 5, 20), (50, 50, 60)), 20.0, pixel_size_um=2.0)
    table = foci_table(make_foci(labels, pixel_size_um=2.0))
    assert table["focus_id"].tolist() == [1, 2]
    assert table["size_class"].tolist() == ["100-250", "<100"]
    assert table["nuclei"].isna().all()
    (ring,) = focus_outlines(labels, pixel_size_um=2.0)[1]
    assert ring.min(0).tolist() == [101.0, 101.0]
    assert ring.max(0).tolist() == [219.0, 219.0]


def test_no_foci_are_no_rows():
    assert make_foci(np.zeros((9, 9), np.int32), pixel_size_um=2.0) == ()
    assert foci_table(()).shape == (0, 10)


@pytest.mark.parametrize(
    "wrong", [{"min_diameter_um": -1}, {"merge_um": math.nan}, {"min_nuclei": 0}]
)
def test_rules_refuse_nonsense(wrong):
    with pytest.raises(ValueError, match="must be"):
        FociRules(**wrong)
