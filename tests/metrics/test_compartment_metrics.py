"""Metrics by compartment add up to those of the slide."""

import numpy as np
import pytest

from histo.metrics import OD_EDGES, Histogram, SlideAreas, compartment_metrics, slide_metrics
from histo.panel import classify_cells, load_panel, resolve_thresholds


@pytest.fixture
def parts(make_cells):
    panel, rng = load_panel("rankl-dab"), np.random.default_rng(3)
    cells = make_cells(
        600,
        cytoplasm_dab_od_mean=rng.uniform(0, 0.6, 600),
        cell_dab_od_mean=rng.uniform(0, 0.6, 600),
        compartment=rng.choice(["tumor", "stroma", "excluded"], 600, p=[0.5, 0.4, 0.1]),
    )
    cuts = resolve_thresholds(cells, panel)
    called = classify_cells(cells, panel, cuts)
    histograms = [{"dab": Histogram.of(rng.uniform(0, 1, n), OD_EDGES)} for n in (5000, 9000)]
    areas = {
        "tumor": SlideAreas(2e5, 2e5, 0.0, histograms[0]),
        "stroma": SlideAreas(3e5, 3e5, 0.0, histograms[1]),
    }
    whole = SlideAreas(5e5, 5e5, 0.0, {"dab": histograms[0]["dab"] + histograms[1]["dab"]})
    return {m.name: m for m in compartment_metrics(called, panel, cuts, areas)}, {
        m.name: m for m in slide_metrics(called, panel, cuts, whole)
    }


def test_counts_and_areas_add_up(parts):
    own, whole = parts
    for name in ("cell_count", "rankl_count"):
        assert own[f"tumor_{name}"].value + own[f"stroma_{name}"].value == whole[name].value
    assert own["tumor_area_percent"].value == pytest.approx(40)
    assert own["stroma_area_mm2"].value == 0.3


def test_each_has_its_own_denominator(parts):
    own, whole = parts
    density = own["stroma_rankl_density_per_mm2"]
    assert density.value == pytest.approx(own["stroma_rankl_count"].value / 0.3)
    assert density.low < density.value < density.high
    assert density.denominator_name == "valid tissue area, µm², stroma"
    joined = sum(
        own[f"{part}_rankl_positive_area_percent"].numerator for part in ("tumor", "stroma")
    )
    both = whole["rankl_positive_area_percent"]
    shares = [own[f"{part}_rankl_positive_area_percent"].value for part in ("tumor", "stroma")]
    assert min(shares) <= both.value <= max(shares)
    assert joined > 0


def test_every_metric_of_the_slide_is_there_for_each(parts):
    own, whole = parts
    for part in ("tumor", "stroma"):
        assert {f"{part}_{name}" for name in whole} <= own.keys()
    assert len(own) == 2 * (len(whole) + 2)


def test_a_compartment_without_tissue_has_no_density(make_cells):
    panel = load_panel("foxp3-dab")
    cells = make_cells(0)
    cuts = resolve_thresholds(cells, panel)
    called = classify_cells(cells, panel, cuts)
    metrics = compartment_metrics(called, panel, cuts, {"tumor": SlideAreas(0, 0)})
    found = {m.name: m.value for m in metrics}
    assert found["tumor_cell_count"] == 0
    assert np.isnan(found["tumor_foxp3_density_per_mm2"])
    assert np.isnan(found["tumor_area_percent"])
