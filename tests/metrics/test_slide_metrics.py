import json
import math

import numpy as np
import pytest

from histo.errors import ResultError
from histo.metrics import (
    OD_EDGES,
    SENSITIVITY_FACTORS,
    Histogram,
    Metric,
    SlideAreas,
    intensity_edges,
    metrics_from_json,
    metrics_row,
    metrics_to_json,
    poisson_interval,
    slide_metrics,
    wilson_interval,
)
from histo.panel import Thresholds, classify_cells, load_panel, panel_names, resolve_thresholds

FOXP3, DAB_AROUND, RED_AROUND = (
    "nucleus_dab_od_mean",
    "cytoplasm_dab_od_mean",
    "cytoplasm_red_od_mean",
)
AREAS = SlideAreas(2.5e6, 2e6, 5e5)
CUTS = {"foxp3": Thresholds((0.2, 0.4, 0.6), "user"), "rankl": Thresholds((0.2, 0.4, 0.6), "user")}


def computed(cells, panel_name, *, cuts=None, areas=AREAS):
    panel = load_panel(panel_name)
    cuts = cuts or resolve_thresholds(cells, panel, {})
    metrics = slide_metrics(classify_cells(cells, panel, cuts), panel, cuts, areas)
    assert len({m.name for m in metrics}) == len(metrics)
    return {m.name: m for m in metrics}


def test_a_slide_worked_out_by_hand(make_cells):
    od = [0.1] * 70 + [0.3] * 15 + [0.5] * 10 + [0.7] * 5 + [0.9] * 30
    where = ["tissue"] * 100 + ["excluded"] * 30
    cells = make_cells(130, **{FOXP3: od, "compartment": where})
    half = Histogram.of(np.repeat([0.1, 0.9], [1500, 500]), OD_EDGES)
    areas = SlideAreas(2.5e6, 2e6, 5e5, {"dab": half})
    m = computed(cells, "foxp3-dab", cuts=CUTS, areas=areas)
    assert m["cell_count"].value == 100
    assert m["cell_density_per_mm2"].value == 50
    assert m["foxp3_count"].value == 30
    assert (m["foxp3_count"].low, m["foxp3_count"].high) == poisson_interval(30)
    density = m["foxp3_density_per_mm2"]
    assert (density.value, density.numerator, density.denominator) == (15, 30, 2e6)
    assert (density.low, density.high) == pytest.approx(np.array(poisson_interval(30)) / 2)
    assert density.denominator_name == "valid tissue area, µm²"
    percent = m["foxp3_percent"]
    assert (percent.value, percent.numerator, percent.denominator) == (30, 30, 100)
    assert (percent.low, percent.high) == pytest.approx(100 * np.array(wilson_interval(30, 100)))
    assert m["foxp3_h_score"].value == 50
    assert m["foxp3_h_score"].low < 50 < m["foxp3_h_score"].high
    assert m["foxp3_allred"].value == 4
    assert m["foxp3_irs"].value == 2
    area = m["foxp3_positive_area_percent"]
    assert (area.value, area.numerator, area.denominator) == pytest.approx((25, 5e5, 2e6))
    assert m["foxp3_rejected_count"].value == 0


def random_cells(make_cells, count=800, seed=0):
    rng = np.random.default_rng(seed)
    columns = {
        FOXP3: rng.gamma(2, 0.08, count),
        RED_AROUND: rng.gamma(2, 0.1, count),
        "contact_fraction": rng.uniform(0, 1, count),
        "nucleus_diameter_um": rng.uniform(4, 13, count),
        "compartment": np.where(rng.random(count) < 0.1, "excluded", "tissue"),
    }
    return make_cells(count, stains=("hematoxylin", "dab", "red"), **columns)


def test_sensitivity_is_what_other_thresholds_would_give(make_cells):
    cells = random_cells(make_cells)
    m = computed(cells, "foxp3-dab+rankl-red", cuts=CUTS)
    seen = {}
    for f in SENSITIVITY_FACTORS:
        for g in SENSITIVITY_FACTORS:
            cuts = {
                "foxp3": Thresholds(tuple(f * v for v in CUTS["foxp3"].values), "user"),
                "rankl": Thresholds(tuple(g * v for v in CUTS["rankl"].values), "user"),
            }
            for name, metric in computed(cells, "foxp3-dab+rankl-red", cuts=cuts).items():
                seen.setdefault(name, []).append(metric.value)
    checked = 0
    for name, metric in m.items():
        if name.startswith("cell_") or name.endswith("area_percent"):
            assert math.isnan(metric.sensitivity_low)
            continue
        assert metric.sensitivity_low == pytest.approx(min(seen[name])), name
        assert metric.sensitivity_high == pytest.approx(max(seen[name])), name
        assert metric.sensitivity_low < metric.sensitivity_high or "allred" in name or "irs" in name
        checked += 1
    assert checked >= 17


def test_who_makes_the_signal(make_cells):
    # 40 FOXP3+ cells of which 30 make RANKL; 20 other cells make it too.
    foxp3 = [0.5] * 40 + [0.0] * 60
    rankl = [0.5] * 30 + [0.0] * 10 + [0.5] * 20 + [0.0] * 40
    contact = [0.9] * 5 + [0.0] * 95
    cells = make_cells(
        100,
        stains=("hematoxylin", "dab", "red"),
        **{FOXP3: foxp3, RED_AROUND: rankl, "contact_fraction": contact},
    )
    m = computed(cells, "foxp3-dab+rankl-red", cuts=CUTS)
    given = m["foxp3_given_rankl_percent"]
    assert (given.value, given.numerator, given.denominator) == (60, 30, 50)
    assert given.denominator_name == "rankl+ cells"
    assert (given.low, given.high) == pytest.approx(100 * np.array(wilson_interval(30, 50)))
    other = m["rankl_given_foxp3_percent"]
    assert (other.value, other.numerator, other.denominator) == (75, 30, 40)
    assert m["foxp3_and_rankl_count"].value == 30
    assert m["foxp3_and_rankl_density_per_mm2"].value == 15
    assert m["rankl_ambiguous_percent"].value == 10
    assert "foxp3_share_of_rankl_signal_percent" not in m, "DAB and red do not add up"


def fluorescence(make_cells, foxp3, rankl, **more):
    return make_cells(
        len(foxp3),
        stains=("dapi", "foxp3", "rankl"),
        quantity="intensity",
        nucleus_foxp3_intensity_mean=foxp3,
        cytoplasm_rankl_intensity_mean=rankl,
        **more,
    )


IF_CUTS = {
    "foxp3": Thresholds((100, 200, 400), "user"),
    "rankl": Thresholds((100, 200, 400), "user"),
}


def test_the_share_of_the_signal(make_cells):
    # Background 20. FOXP3+: 10 cells of 220 over 50 µm²; others: 20 cells of 120 over 150 µm².
    cells = fluorescence(
        make_cells,
        [500] * 10 + [0] * 90,
        [220] * 10 + [120] * 20 + [20] * 70,
        nucleus_area_um2=[50] * 100,
        cell_area_um2=[100] * 10 + [200] * 90,
    )
    share = computed(cells, "foxp3-rankl-if", cuts=IF_CUTS)["foxp3_share_of_rankl_signal_percent"]
    part, rest = 10 * 200 * 50, 20 * 100 * 150
    assert share.value == pytest.approx(100 * part / (part + rest))
    assert share.numerator == pytest.approx(part)
    assert share.denominator == pytest.approx(part + rest)
    assert "above background" in share.denominator_name
    assert 0 <= share.low < share.value < share.high <= 100
    # Every share other than all or nothing takes the other cells at a lower threshold.
    assert share.sensitivity_low <= share.value <= share.sensitivity_high


def test_the_interval_of_the_share_covers(make_cells):
    rng = np.random.default_rng(6)
    from histo.metrics import ratio_interval

    weights = rng.lognormal(0, 0.6, 100_000)
    member = rng.random(100_000) < 0.3
    truth = weights[member].sum() / weights.sum()
    inside = 0
    for _ in range(1000):
        pick = rng.integers(0, weights.size, 150)
        w, d = weights[pick], member[pick]
        share = w[d].sum() / w.sum()
        variance = 150 / 149 * (w**2 * (d - share) ** 2).sum() / w.sum() ** 2
        low, high = ratio_interval(share, variance, fallback_n=150)
        inside += low <= truth <= high
    assert 0.93 < inside / 1000 < 0.975


@pytest.mark.parametrize("name", panel_names())
def test_no_cells_are_zero_cells(make_cells, name):
    panel = load_panel(name)
    stains = panel.channel_names or ("hematoxylin", "dab", "red")
    m = computed(make_cells(0, stains=stains, quantity=panel.quantity), name)
    for metric in m.values():
        if metric.name.endswith(("_count", "_density_per_mm2")):
            assert metric.value == 0
        else:
            assert math.isnan(metric.value), metric.name
    assert m["cell_count"].high == pytest.approx(3.689, abs=0.001)


def test_a_density_in_no_area_is_none(make_cells):
    m = computed(make_cells(4), "foxp3-dab", areas=SlideAreas(0, 0, 0))
    assert m["cell_count"].value == 4
    assert math.isnan(m["cell_density_per_mm2"].value)
    assert math.isnan(m["foxp3_density_per_mm2"].high)


def test_without_a_threshold_nothing_is_said(make_cells):
    cells = fluorescence(make_cells, [1, 2, 3], [1, 2, 3])
    m = computed(cells, "foxp3-rankl-if")
    assert m["cell_count"].value == 3
    for metric in m.values():
        if not metric.name.startswith("cell_"):
            assert math.isnan(metric.value), metric.name


def test_the_metrics_depend_on_the_panel_alone(make_cells):
    names = [
        tuple(computed(cells, "foxp3-rankl-if", cuts=cuts))
        for cells, cuts in (
            (fluorescence(make_cells, [], []), None),
            (fluorescence(make_cells, [1, 2], [1, 2]), None),
            (fluorescence(make_cells, [500] * 5, [500] * 5), IF_CUTS),
        )
    ]
    assert names[0] == names[1] == names[2]


def test_intensity_areas_begin_at_one_plus(make_cells):
    pixels = np.repeat(np.array([10, 150], np.uint16), [900, 100])
    areas = SlideAreas(1e6, 1e6, 0, {"foxp3": Histogram.of(pixels, intensity_edges(65535.0))})
    m = computed(fluorescence(make_cells, [1], [1]), "foxp3-rankl-if", cuts=IF_CUTS, areas=areas)
    assert m["foxp3_positive_area_percent"].value == pytest.approx(10)
    assert math.isnan(m["rankl_positive_area_percent"].value)


def test_rejected_cells_are_counted_but_not_positive(make_cells):
    cells = make_cells(4, **{FOXP3: [0.5] * 4, "nucleus_diameter_um": [7, 7, 15, 3]})
    m = computed(cells, "foxp3-dab", cuts=CUTS)
    assert m["foxp3_count"].value == 2
    assert m["foxp3_percent"].value == 50
    assert m["foxp3_rejected_count"].value == 2


def test_corrected_calls_are_taken_as_they_stand(make_cells):
    panel = load_panel("foxp3-dab")
    called = classify_cells(make_cells(4, **{FOXP3: [0.5, 0, 0, 0]}), panel, CUTS)
    called.loc[1, ["foxp3_positive", "foxp3_grade"]] = [True, 3]
    m = {x.name: x for x in slide_metrics(called, panel, CUTS, AREAS)}
    assert m["foxp3_count"].value == 2
    assert m["foxp3_h_score"].value == 125


def test_calls_that_are_missing(make_cells):
    panel = load_panel("foxp3-dab")
    with pytest.raises(ResultError, match="no column foxp3_grade: its cells were not called"):
        slide_metrics(make_cells(3), panel, CUTS, AREAS)
    called = classify_cells(make_cells(3), panel, CUTS)
    with pytest.raises(ValueError, match="no entry for foxp3"):
        slide_metrics(called, panel, {}, AREAS)


def test_row_and_json(make_cells):
    metrics = tuple(computed(random_cells(make_cells), "foxp3-dab+rankl-red").values())
    text = json.dumps(metrics_to_json(metrics), allow_nan=False)
    assert metrics_from_json(json.loads(text)) == metrics
    row = metrics_row(metrics)
    assert len(row) == 5 * len(metrics)
    assert row["foxp3_percent_sensitivity_low"] < row["foxp3_percent"] < row["foxp3_percent_high"]
    none = tuple(
        computed(
            make_cells(0, stains=("hematoxylin", "dab", "red")), "foxp3-dab+rankl-red"
        ).values()
    )
    assert list(metrics_row(none)) == list(row)
    assert metrics_from_json(metrics_to_json(none)) == none


@pytest.mark.parametrize("content", [[{"name": "x"}], [3], [{"nom": 1}], 5])
def test_json_that_is_not_ours(content):
    with pytest.raises(ResultError, match="metrics cannot be read"):
        metrics_from_json(content)


def test_metrics_compare_with_their_holes():
    assert Metric("a", math.nan, "%") == Metric("a", math.nan, "%")
    assert Metric("a", 1, "%") != Metric("a", 2, "%")
    assert Metric("a", 1, "%") != 1
