"""What a slide reports of space, on cells whose places and calls are known."""

import math
import re
from pathlib import Path

import numpy as np
import pytest

from histo.panel import classify_cells, load_panel, panel_names, resolve_thresholds
from histo.space import DistanceMap, Window, space_metrics

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture
def duplex(make_cells):
    """Return a function: cells at places, which are FOXP3+ and RANKL+, to all their metrics."""
    panel = load_panel("foxp3-dab+rankl-red")
    panel = panel.model_copy(update={
        "markers": tuple(m.model_copy(update={"threshold_source": "panel"}) for m in panel.markers)
    })  # fmt: skip

    def measure(points, foxp3, rankl, window, *, border=None, seed=0, cuts=None, **columns):
        cells = make_cells(
            len(points),
            stains=("hematoxylin", "dab", "red"),
            y_um=points[:, 0],
            x_um=points[:, 1],
            nucleus_dab_od_mean=np.where(foxp3, 0.4, 0.02),
            cytoplasm_red_od_mean=np.where(rankl, 0.4, 0.02),
            **columns,
        )
        cuts = cuts or resolve_thresholds(cells, panel)
        called = classify_cells(cells, panel, cuts)
        found = space_metrics(called, panel, window, thresholds=cuts, border=border, seed=seed)
        assert len({m.name for m in found}) == len(found)
        return {m.name: m for m in found}

    return measure


def scattered(seed=0, count=3000, side=2000):
    return np.random.default_rng(seed).uniform(0, side, (count, 2))


WHOLE = Window(np.ones((500, 500), bool), 4.0)


def test_distances_of_a_lattice(duplex):
    """FOXP3+ cells every 40 µm, a RANKL+ cell 8 µm beside each."""
    y, x = (v.ravel() * 40.0 + 20 for v in np.mgrid[:50, :50])
    points = np.concatenate([np.column_stack([y, x]), np.column_stack([y, x + 8])])
    first = np.arange(5000) < 2500
    found = duplex(points, first, ~first, WHOLE)
    assert found["foxp3_to_rankl_median_um"].value == pytest.approx(8)
    assert found["foxp3_to_rankl_within_10um_percent"].value == 100
    assert found["foxp3_to_foxp3_within_30um_percent"].value == 0
    assert found["foxp3_to_foxp3_median_um"].value == pytest.approx(40)
    # At 20 µm from the edge a cell does not see its neighbour at 40 µm.
    rim = 4 * 49 / 2500 * 100
    assert found["foxp3_to_foxp3_censored_percent"].value == pytest.approx(rim)
    assert found["rankl_to_foxp3_upper_quartile_um"].value == pytest.approx(8)
    assert found["foxp3_and_rankl_morisita_horn_200um"].value == pytest.approx(1)
    # All cells carry one of the two labels: at random, half of the pairs at 8 µm would be mixed.
    assert found["foxp3_near_rankl_20um_ratio"].value == pytest.approx(2, abs=0.1)
    assert found["foxp3_near_rankl_20um_p"].value == 0.001
    assert found["foxp3_near_foxp3_20um_ratio"].value == 0


def test_shares_and_association(duplex):
    points, rng = scattered(), np.random.default_rng(1)
    foxp3 = rng.random(3000) < 0.2
    rankl = rng.random(3000) < np.where(foxp3, 0.5, 0.1)
    found = duplex(points, foxp3, rankl, WHOLE)
    share = found["foxp3_given_rankl_blocks_percent"]
    assert share.value == pytest.approx(100 * (foxp3 & rankl).sum() / rankl.sum())
    assert share.low < share.value < share.high
    assert (share.numerator, share.denominator) == ((foxp3 & rankl).sum(), rankl.sum())
    assert found["foxp3_with_rankl_ratio"].value > 2
    assert found["foxp3_with_rankl_p"].value == 0.001
    # The cells lie at random, and so do the labels.
    assert abs(found["foxp3_l_minus_r_50um"].value) < 3
    assert found["foxp3_near_foxp3_50um_p"].value > 0.01
    assert found["foxp3_near_foxp3_50um_ratio"].value == pytest.approx(1, abs=0.15)


def test_cells_outside_and_excluded_take_no_part(duplex):
    points, has = scattered(), np.random.default_rng(2).random((2, 3000)) < 0.2
    left = Window(np.arange(500) < np.full((500, 1), 250), 4.0)
    of_left = duplex(points, *has, left)
    inside = points[:, 1] < 1000
    alone = duplex(points[inside], *has[:, inside], left)
    assert {n: m.value for n, m in of_left.items()} == pytest.approx(
        {n: m.value for n, m in alone.items()}, nan_ok=True
    )
    excluded = np.where(inside, "tissue", "excluded")
    marked = duplex(points, *has, left, compartment=excluded)
    assert marked["foxp3_to_rankl_median_um"] == of_left["foxp3_to_rankl_median_um"]


def test_only_cells_of_lymphoid_size_are_labelled_at_random(duplex):
    """RANKL+ tumour cells lie on the left: among lymphocytes the labels are at random."""
    points, rng = scattered(), np.random.default_rng(3)
    tumour = (points[:, 1] < 1000) & (rng.random(3000) < 0.5)
    rankl = np.where(tumour, True, rng.random(3000) < 0.15)
    size = np.where(tumour, 14.0, 7.0)
    found = duplex(points, np.zeros(3000, bool), rankl, WHOLE, nucleus_diameter_um=size)
    assert found["rankl_near_rankl_50um_p"].value > 0.01
    assert found["rankl_l_minus_r_50um"].value > 5
    mixed = duplex(points, np.zeros(3000, bool), rankl, WHOLE)
    assert mixed["rankl_near_rankl_50um_p"].value == 0.001


def test_the_margin_has_bands_of_either_side(duplex):
    tumour = Window(np.arange(500) < np.full((500, 1), 250), 4.0)
    border = DistanceMap.between(tumour, WHOLE)
    points = np.array([[1000.0, 950], [1000, 1050], [1000, 1060], [1000, 1999]])
    every = np.ones(4, bool)
    found = duplex(points, every, every, WHOLE, border=border)
    assert found["foxp3_margin_inside_0_100um_density_per_mm2"].value == pytest.approx(5)
    outside = found["foxp3_margin_outside_0_100um_density_per_mm2"]
    assert outside.value == pytest.approx(10)
    assert (outside.numerator, outside.denominator) == (2, pytest.approx(2e5))
    assert found["foxp3_margin_outside_400_500um_density_per_mm2"].value == 0
    assert sum("_margin_" in name for name in found) == 20


def test_no_cells_and_too_few(duplex):
    nothing = duplex(np.empty((0, 2)), np.empty(0, bool), np.empty(0, bool), WHOLE)
    assert nothing["foxp3_hotspot_density_per_mm2"].value == 0
    assert nothing["foxp3_hot_area_percent"].denominator == WHOLE.area_um2
    assert math.isnan(nothing["foxp3_to_rankl_median_um"].value)
    points = scattered(count=8)
    few = duplex(points, np.ones(8, bool), np.ones(8, bool), WHOLE)
    share = few["foxp3_given_rankl_blocks_percent"]
    assert (share.value, math.isnan(share.low)) == (100, True)
    assert share.denominator_name == "rankl+ cells; cannot be known: fewer than 10 cells"
    assert set(few) == set(nothing)


def test_a_marker_without_a_threshold_is_unknown(make_cells):
    panel = load_panel("foxp3-rankl-if")
    cells = make_cells(
        40, stains=panel.channel_names, quantity="intensity", y_um=np.arange(40) * 20.0
    )
    cuts = resolve_thresholds(cells, panel)
    called = classify_cells(cells, panel, cuts)
    found = space_metrics(called, panel, WHOLE, thresholds=cuts)
    assert all(math.isnan(m.value) for m in found)


def test_numbers_are_the_same_again(duplex):
    points, has = scattered(), np.random.default_rng(2).random((2, 3000)) < 0.2
    one, again, other = (duplex(points, *has, WHOLE, seed=seed) for seed in (1, 1, 2))
    assert one == again
    assert one != other


def test_turned_tissue_has_the_same_numbers(duplex):
    points, has = scattered(), np.random.default_rng(5).random((2, 3000)) < 0.2
    mask = np.ones((500, 500), bool)
    mask[100:200, 50:120] = False
    straight = duplex(points, *has, Window(mask, 4.0))
    turned = duplex(points[:, ::-1], *has, Window(mask.T, 4.0))
    for name, metric in straight.items():
        if not name.endswith("_p"):
            # Other draws, and other discs among those with as many cells.
            tolerance = 0.1 if name.endswith("_ratio") or "_hotspots_" in name else 1e-6
            assert turned[name].value == pytest.approx(metric.value, rel=tolerance), name


@pytest.mark.parametrize("name", panel_names())
def test_every_metric_is_documented(make_cells, name):
    panel = load_panel(name)
    cells = make_cells(
        0, stains=panel.channel_names or ("hematoxylin", "dab", "red"), quantity=panel.quantity
    )
    cuts = resolve_thresholds(cells, panel)
    border = DistanceMap.between(
        Window(np.eye(40, dtype=bool), 4.0), Window(WHOLE.mask[:40, :40], 4.0)
    )
    window = Window(WHOLE.mask[:40, :40], 4.0)
    page = (DOCS / "space.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `([^`]+)` \|(.*)$", page, re.MULTILINE))
    found = space_metrics(
        classify_cells(cells, panel, cuts), panel, window, thresholds=cuts, border=border
    )
    for metric in found:
        generic = metric.name
        for marker in panel.marker_names:
            generic = re.sub(f"^{marker}_", "<a>_", generic)
            generic = generic.replace(f"_{marker}_", "_<b>_")
        generic = re.sub(r"side_\d+_\d+um", "side_<near>_<far>um", generic)
        generic = re.sub(r"(?<=_)\d+um", "<r>um", generic)
        assert generic in rows, f"docs/space.md lacks {metric.name} ({generic})"
        assert f"| {metric.unit} |" in rows[generic], metric.name
