import csv
import os
from pathlib import Path

import numpy as np
import pytest

from histo.cells import measure_column
from histo.errors import PanelError, ResultError
from histo.panel import (
    Thresholds,
    auto_threshold,
    classify_cells,
    load_panel,
    parse_threshold,
    resolve_thresholds,
)
from histo.panel.thresholds import LIKELY

FOXP3 = "nucleus_dab_od_mean"


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("foxp3=0.15", ("foxp3", 0.15)),
        (" FOXP3 = 0.1, 0.3, 0.5 ", ("foxp3", (0.1, 0.3, 0.5))),
        ("rankl=AUTO", ("rankl", "auto")),
        ("rankl=panel", ("rankl", "panel")),
        ("cd8=1200", ("cd8", 1200.0)),
    ],
)
def test_parse(text, meaning):
    assert parse_threshold(text) == meaning


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("foxp3", "not MARKER=THRESHOLD"),
        ("=0.1", "not MARKER=THRESHOLD"),
        ("foxp3=", "not MARKER=THRESHOLD"),
        ("foxp3=high", '"high" is not a number'),
        ("foxp3=0.1,0.2", "gives 2 numbers, expected one"),
        ("foxp3=0.1,", "is not a number"),
        ("foxp3=0.3,0.2,0.1", "must be above 0 and ascend"),
        ("foxp3=0", "must be above 0"),
        ("foxp3=-1", "must be above 0"),
        ("foxp3=nan", "must be above 0"),
        ("foxp3=inf", "must be above 0"),
    ],
)
def test_parse_says_what_is_wrong(text, message):
    with pytest.raises(ValueError, match=message):
        parse_threshold(text)


def test_panel_user_and_ratios(make_cells):
    panel, cells = load_panel("foxp3-dab"), make_cells(5)
    own = panel.marker("foxp3").thresholds
    assert resolve_thresholds(cells, panel, {"foxp3": "panel"})["foxp3"] == Thresholds(own, "panel")
    one = resolve_thresholds(cells, panel, {"foxp3": 2 * own[0]})["foxp3"]
    assert one.source == "user"
    assert one.values == pytest.approx([2 * v for v in own])
    three = resolve_thresholds(cells, panel, {"foxp3": (0.1, 0.3, 0.5)})["foxp3"]
    assert three.values == (0.1, 0.3, 0.5)


def test_learned_is_the_default_where_the_model_calls(make_cells):
    panel = load_panel("foxp3-dab")
    own = panel.marker("foxp3").thresholds
    with_word = make_cells(5, nucleus_positivity=np.linspace(0, 1, 5))
    assert resolve_thresholds(with_word, panel)["foxp3"] == Thresholds(own, "learned")
    without = resolve_thresholds(make_cells(5), panel)["foxp3"]
    assert (without.values, without.source) == (own, "panel")
    assert "makes no calls" in without.note
    asked = resolve_thresholds(make_cells(5), panel, {"foxp3": "learned"})["foxp3"]
    with pytest.raises(ResultError, match="no column nucleus_positivity"):
        classify_cells(make_cells(5), panel, {"foxp3": asked})


def test_the_model_calls_brown_nuclei_only(make_cells):
    for name, marker in (("rankl-dab", "rankl"), ("foxp3-dab+rankl-red", "rankl")):
        panel = load_panel(name)
        with pytest.raises(PanelError, match="nuclei in brown"):
            resolve_thresholds(make_cells(3), panel, {marker: "learned"})
    assert parse_threshold("foxp3=Learned") == ("foxp3", "learned")


def test_learned_calls_go_by_probability_and_grades_by_density(make_cells):
    panel = load_panel("foxp3-dab")
    cells = make_cells(
        5,
        nucleus_positivity=np.array([0.1, LIKELY, 0.9, 0.9, 0.9], np.float32),
        nucleus_dab_od_mean=np.array([0.5, 0.05, 0.05, 0.3, 0.5], np.float32),
    )
    called = classify_cells(cells, panel, resolve_thresholds(cells, panel))
    assert called["foxp3_grade"].tolist() == [0, 1, 1, 2, 3]
    assert called["foxp3_positive"].tolist() == [False, True, True, True, True]
    assert "foxp3_weak_call" in called["flags"].iloc[1]
    by_od = classify_cells(cells, panel, resolve_thresholds(cells, panel, {"foxp3": 0.2}))
    assert by_od["foxp3_positive"].tolist() == [True, False, False, True, True]


def test_wrong_requests(make_cells):
    panel, cells = load_panel("foxp3-dab"), make_cells(5)
    with pytest.raises(PanelError, match='no marker "rankl"; it has foxp3'):
        resolve_thresholds(cells, panel, {"rankl": 0.2})
    for request in ((0.1, 0.2), (0.3, 0.2, 0.1), -0.1, "otsu", float("nan")):
        with pytest.raises(ValueError, match="foxp3"):
            resolve_thresholds(cells, panel, {"foxp3": request})
    with pytest.raises(ResultError, match="no column nucleus_dab_od_mean"):
        resolve_thresholds(cells.drop(columns=FOXP3), panel, {"foxp3": "auto"})
    with pytest.raises(ValueError, match="source must be"):
        Thresholds((0.1, 0.2, 0.3), "guess")


def od(rng, negative, positive, *, mode=0.04, spread=0.02):
    return np.concatenate([rng.normal(mode, spread, negative), rng.normal(0.4, 0.1, positive)])


@pytest.mark.parametrize("positive", [0, 20, 300, 700])
def test_auto_finds_where_the_negative_cells_end(positive):
    values = od(np.random.default_rng(3), 1000, positive)
    threshold, note = auto_threshold(values, spreads=4, limits=(0.05, 0.4))
    assert threshold == pytest.approx(0.12, abs=0.025)
    assert "mode of negative cells" in note


def test_auto_finds_the_few_negatives_below_many_positives():
    rng = np.random.default_rng(4)
    values = np.concatenate([rng.normal(0.03, 0.015, 300), rng.normal(0.55, 0.03, 700)])
    threshold, _ = auto_threshold(values, spreads=4, limits=(0.05, 0.4))
    assert threshold == pytest.approx(0.09, abs=0.03)


def test_auto_follows_the_gain_of_a_camera():
    rng = np.random.default_rng(5)
    values = np.exp(np.concatenate([rng.normal(3, 0.3, 900), rng.normal(6, 0.4, 60)]))
    threshold, _ = auto_threshold(values, spreads=7, compress=True)
    assert np.exp(3.5) < threshold < np.exp(5.2)
    for gain in (1 / 65535, 12.5):
        scaled, _ = auto_threshold(gain * values, spreads=7, compress=True)
        assert scaled == pytest.approx(gain * threshold, rel=1e-9)


@pytest.mark.parametrize(
    ("values", "note"),
    [
        (np.linspace(0, 0.1, 99), "99 cells are too few"),
        (np.full(500, 0.3), "do not vary"),
        (np.zeros(500), "do not vary"),
        (np.random.default_rng(0).normal(0.6, 0.1, 500), "implausible"),
    ],
)
def test_auto_says_why_not_and_the_panel_steps_in(values, note, make_cells):
    panel = load_panel("foxp3-dab")
    cells = make_cells(values.size, **{FOXP3: values})
    found = resolve_thresholds(cells, panel, {"foxp3": "auto"})["foxp3"]
    assert found.values == panel.marker("foxp3").thresholds
    assert found.source == "panel"
    assert note in found.note
    assert "the panel's threshold is used" in found.note


def test_auto_is_raised_to_the_lower_limit(make_cells):
    values = np.random.default_rng(0).normal(0.0, 0.005, 500)
    cells = make_cells(500, **{FOXP3: values})
    found = resolve_thresholds(cells, load_panel("foxp3-dab"), {"foxp3": "auto"})["foxp3"]
    assert found.values[0] == 0.05
    assert "raised" in found.note


def test_excluded_cells_and_holes_take_no_part(make_cells):
    rng = np.random.default_rng(8)
    panel, values = load_panel("foxp3-dab"), od(rng, 600, 20)
    alone = resolve_thresholds(make_cells(620, **{FOXP3: values}), panel, {"foxp3": "auto"})
    pen = np.concatenate([values, rng.normal(1.5, 0.01, 2000), [np.nan] * 10])
    where = np.where(np.arange(pen.size) >= 620, "excluded", "tissue")
    cells = make_cells(pen.size, compartment=where, **{FOXP3: pen})
    cells.loc[2620:, "compartment"] = "tissue"
    assert resolve_thresholds(cells, panel, {"foxp3": "auto"}) == alone


def test_fluorescence_without_cells_has_no_threshold(make_cells):
    panel = load_panel("foxp3-rankl-if")
    cells = make_cells(3, stains=panel.channel_names, quantity="intensity")
    found = resolve_thresholds(cells, panel)
    assert not found["foxp3"].is_known
    assert "give a threshold" in found["foxp3"].note
    called = classify_cells(cells, panel, found)
    assert not called["foxp3_positive"].any()
    assert "foxp3_no_threshold" in called["flags"].iloc[0]


@pytest.fixture
def lung_cells():
    root = Path(
        os.environ.get("HISTO_DATA", Path(__file__).resolve().parents[2] / "../shared/data")
    )
    path = root / "train/mif_lung_foxp3/Set4_1_6plex_16142_55840_cells.csv"
    if not path.is_file():
        pytest.skip(f"the field of phenotyped lung cells is not at {path}")
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_auto_agrees_with_the_phenotypes_of_a_real_field(lung_cells, make_cells):
    column = measure_column("nucleus", "foxp3", "intensity", "mean")
    values = np.array([float(row["Nucleus FoxP3 (Opal 570) Mean"]) for row in lung_cells])
    truth = np.array([row["Phenotype"] == "FoxP3+" for row in lung_cells])
    panel = load_panel("foxp3-rankl-if")
    cells = make_cells(
        values.size, stains=panel.channel_names, quantity="intensity", **{column: values}
    )
    called = classify_cells(cells, panel, resolve_thresholds(cells, panel))
    call = called["foxp3_positive"].to_numpy()
    seen = np.mean(call == truth)
    chance = call.mean() * truth.mean() + (1 - call.mean()) * (1 - truth.mean())
    assert (seen - chance) / (1 - chance) > 0.9
    assert abs(int(call.sum()) - int(truth.sum())) < 0.15 * truth.sum()


def test_light_spilt_by_neighbours_is_not_positive():
    """Negative cells that hardly vary, some lit by a neighbour, and a few truly positive ones."""
    rng = np.random.default_rng(4)
    dark = rng.normal(110, 4, 230)
    spilt = rng.uniform(135, 190, 40)
    bright = rng.uniform(600, 2500, 30)
    threshold, _ = auto_threshold(np.concatenate([dark, spilt, bright]), spreads=7, compress=True)
    assert 190 < threshold < 600
