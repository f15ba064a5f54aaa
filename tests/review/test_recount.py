"""Readers who are simulated: what they count comes out as it went in."""

import json

import numpy as np
import pandas as pd
import pytest

from histo.errors import ResultError
from histo.results import result_folder
from histo.review.count_agreement import compare_recount, explain_recount, write_recount
from histo.review.count_fields import plan_recount, suggest_side_um, valid_tissue
from histo.review.recount import Recount, find_recounts

SIDE_UM, MASK_UM = 200.0, 4.0


@pytest.fixture
def slide():
    """A slide of 6 x 6 mm: its left third without positive cells, dense on the right; a hole."""
    rng = np.random.default_rng(4)
    valid = np.ones((1500, 1500), bool)
    valid[300:600, 700:1100] = False
    # Cells lie on a jittered grid of 20 µm, so that no two are confused.
    grid = np.stack(np.meshgrid(*[np.arange(10, 6000, 20.0)] * 2, indexing="ij"), -1).reshape(-1, 2)
    places = grid + rng.uniform(-4, 4, grid.shape)
    places = places[valid[tuple((places // MASK_UM).astype(int).T)]]
    share = np.clip((places[:, 1] - 2000) / 4000, 0, 1) * 0.25
    cells = pd.DataFrame(
        {
            "cell_id": np.arange(1, len(places) + 1),
            "y_um": places[:, 0],
            "x_um": places[:, 1],
            "foxp3_positive": rng.random(len(places)) < share,
            "compartment": "tissue",
        }
    )
    return cells, valid


@pytest.fixture
def plan(slide):
    cells, valid = slide
    return plan_recount(cells, valid, MASK_UM, marker="foxp3", fields=(30, SIDE_UM), seed=5)


def counted(plan, cells, folder, *, keep=1.0, add=0.0, seed=0, **begin):
    """Have a reader count who finds a share of the positive cells, and takes others for them."""
    rng = np.random.default_rng(seed)
    recount = Recount.begin(folder, plan, reader="Ann", slide="s1", **begin)
    places = cells[["y_um", "x_um"]].to_numpy()
    positive = cells["foxp3_positive"].to_numpy()
    for index, field in enumerate(plan.fields):
        called = np.where(positive, rng.random(len(cells)) < keep, rng.random(len(cells)) < add)
        inside = field.contains(places)
        if not recount.both_classes:
            inside &= called
        recount.mark(index, places[inside], called[inside])
    return recount


def test_fields_lie_apart_in_valid_tissue_and_are_of_all_strata(slide, plan):
    cells, valid = slide
    assert len(plan.fields) == 30
    corners = np.array([[one.y_um, one.x_um] for one in plan.fields])
    apart = np.abs(corners[:, None] - corners[None]).max(axis=2) + np.eye(30) * 1e6
    assert apart.min() >= SIDE_UM - 1e-6, "no two overlap"
    for field in plan.fields:
        top, left = (round(value / MASK_UM) for value in (field.y_um, field.x_um))
        part = valid[top : top + 50, left : left + 50]
        assert part.shape == (50, 50)
        assert part.mean() >= 0.88
    assert [one.name for one in plan.strata] == ["none", "few", "many"]
    assert np.bincount([one.stratum for one in plan.fields]).tolist() == [10, 10, 10]
    places = cells.loc[cells["foxp3_positive"], ["y_um", "x_um"]].to_numpy()
    for field in plan.fields:
        stratum = plan.strata[field.stratum]
        assert stratum.low <= field.contains(places).sum() <= stratum.high
    order = [one.stratum for one in plan.fields]
    assert order != sorted(order), "shown in random order"


def test_the_seed_alone_decides(slide, plan):
    cells, valid = slide
    again = plan_recount(cells, valid, MASK_UM, marker="foxp3", fields=(30, SIDE_UM), seed=5)
    other = plan_recount(cells, valid, MASK_UM, marker="foxp3", fields=(30, SIDE_UM), seed=6)
    assert again == plan
    assert other.fields != plan.fields


def test_every_field_is_as_likely_as_others_of_its_stratum(slide):
    cells, valid = slide
    drawn = [
        plan_recount(cells, valid, MASK_UM, marker="foxp3", fields=(30, SIDE_UM), seed=seed)
        for seed in range(30)
    ]
    middle = np.array([one.centre_um for plan in drawn for one in plan.fields])
    weights = np.concatenate([plan.weights for plan in drawn])
    # Weighted by what they stand for, fields lie as the valid tissue does.
    rows, columns = np.nonzero(valid)
    expected = np.array([rows.mean(), columns.mean()]) * MASK_UM
    found = (middle * weights[:, None]).sum(axis=0) / weights.sum()
    assert np.abs(found - expected).max() < 150


def test_without_empty_fields_there_are_three_equal_parts(slide):
    cells, valid = slide
    cells["foxp3_positive"] = True
    plan = plan_recount(cells, valid, MASK_UM, marker="foxp3", fields=(9, SIDE_UM))
    assert [one.name for one in plan.strata] == ["few", "some", "many"]
    sizes = [one.fields for one in plan.strata]
    assert max(sizes) - min(sizes) <= 1


def test_a_small_slide_gives_the_fields_that_it_has(slide):
    cells, valid = slide
    plan = plan_recount(cells, valid[:110, :110], MASK_UM, marker="foxp3", fields=(30, SIDE_UM))
    assert len(plan.fields) == 4
    assert [one.name for one in plan.strata] == ["none"]
    assert plan.weights.tolist() == [1, 1, 1, 1]
    with pytest.raises(ResultError, match="Fewer than two fields of 300 µm"):
        plan_recount(cells, valid[:110, :110], MASK_UM, marker="foxp3", fields=(30, 300.0))


def test_the_side_suits_the_density(slide):
    cells, valid = slide
    area = valid.sum() * MASK_UM**2
    side = suggest_side_um(cells, "foxp3", area)
    per_field = cells["foxp3_positive"].sum() / area * side**2
    assert 10 <= per_field <= 20
    assert suggest_side_um(cells.assign(foxp3_positive=False), "foxp3", area) == 400


def test_a_perfect_reader_agrees_perfectly(slide, plan, tmp_path):
    cells, _ = slide
    agreement = compare_recount(counted(plan, cells, tmp_path, both_classes=True), cells)
    for name in (
        "icc_2_1",
        "count_ccc",
        "count_bias_ratio",
        "cell_kappa",
        "positive_agreement",
        "negative_agreement",
        "positive_precision_4um",
        "positive_recall_4um",
        "positive_f1_4um",
        "detection_f1_4um",
        "slide_count_ratio",
    ):
        assert agreement.figure(name).value == pytest.approx(1), name
    assert agreement.figure("count_bias").value == 0
    assert agreement.fields["reader"].equals(agreement.fields["software"])
    assert explain_recount(agreement)[0].startswith("Counts: excellent agreement, ICC(2,1) 1.00")


def test_a_reader_who_misses_a_fifth_shows_as_bias(slide, plan, tmp_path):
    cells, _ = slide
    agreement = compare_recount(counted(plan, cells, tmp_path, keep=0.8, seed=3), cells)
    ratio = agreement.figure("slide_count_ratio")
    assert ratio.low < 1 / 0.8 < ratio.high
    assert ratio.value == pytest.approx(1 / 0.8, rel=0.05)
    assert ratio.low > 1, "and is no chance"
    assert agreement.figure("positive_recall_4um").value == 1
    assert agreement.figure("positive_precision_4um").value == pytest.approx(0.8, abs=0.04)
    assert 0 < agreement.figure("count_bias").value
    assert agreement.figure("icc_2_1").value < 1
    words = " ".join(explain_recount(agreement))
    assert "more positive cells than the reader" in words
    assert "chance can explain" not in words


def test_totals_of_the_slide_come_out_of_the_strata(slide, tmp_path):
    cells, valid = slide
    inside = 0
    for seed in range(8):
        plan = plan_recount(cells, valid, MASK_UM, marker="foxp3", fields=(45, SIDE_UM), seed=seed)
        agreement = compare_recount(counted(plan, cells, tmp_path, keep=0.9, seed=seed), cells)
        total = agreement.figure("slide_software_positive")
        frame = sum(one.fields for one in plan.strata) * SIDE_UM**2
        true = cells["foxp3_positive"].sum() * frame / (valid.sum() * MASK_UM**2)
        inside += total.low <= true <= total.high
        # A plain mean over the fields would be far off: dense fields are drawn more often.
        plain = agreement.fields["software"].mean() * sum(one.fields for one in plan.strata)
        assert plain > total.value
    # 95 % intervals, of a frame whose density is not quite that of the tissue.
    assert inside >= 6


def test_a_reader_by_chance_has_no_kappa(slide, plan, tmp_path):
    cells, _ = slide
    recount = counted(plan, cells, tmp_path, keep=0.3, add=0.3, seed=1, both_classes=True)
    agreement = compare_recount(recount, cells)
    assert abs(agreement.figure("cell_kappa").value) < 0.03
    kappa = agreement.figure("cell_kappa")
    assert kappa.low < 0 < kappa.high
    assert agreement.figure("detection_f1_4um").value == 1


def test_the_figures_of_cells_are_those_of_a_small_example(tmp_path):
    cells = pd.DataFrame(
        {
            # Two positive and two negative cells, one on the border and one in an artefact.
            "y_um": [20.0, 20, 60, 60, 2, 80],
            "x_um": [20.0, 60, 20, 60, 50, 80],
            "foxp3_positive": [True, True, False, False, True, True],
            "compartment": ["tissue"] * 5 + ["excluded"],
        }
    )
    plan = plan_recount(cells, np.ones((50, 25), bool), 4.0, marker="foxp3", fields=(2, 100.0))
    assert {(one.y_um, one.x_um) for one in plan.fields} == {(0.0, 0.0), (100.0, 0.0)}
    recount = Recount.begin(tmp_path, plan, reader="Ann", slide="s1")
    at = 0 if plan.fields[0].y_um == 0 else 1
    # One found again 3 µm off, one negative that is clicked, one where nothing is.
    recount.mark(at, np.array([[20.0, 23], [60, 20], [90, 50]]))
    recount.mark(1 - at, np.zeros((0, 2)))
    row = compare_recount(recount, cells).fields.set_index("y_um").loc[0.0]
    assert (row["reader"], row["software"]) == (3, 3)
    assert [row[name] for name in ("both_positive", "only_reader", "only_software")] == [1, 1, 1]
    assert row["both_negative"] == 1
    assert (row["software_inner"], row["software_matched"]) == (2, 1)
    assert (row["clicks_inner"], row["clicks_matched"]) == (3, 1)


def test_a_recount_goes_on_where_it_stopped(slide, plan, tmp_path):
    recount = Recount.begin(tmp_path, plan, reader="Ann Ä.", slide="s1")
    y, x = plan.fields[0].y_um, plan.fields[0].x_um
    recount.mark(0, np.array([[y + 1, x + 2], [y + 3, x + 4]]), np.array([True, False]))
    recount.mark(1, np.zeros((0, 2)), done=False)
    (again,) = find_recounts(tmp_path)
    assert again.path.name.startswith("recount-ann-")
    assert again.plan == plan
    assert (again.next_field, again.is_complete, again.reader) == (1, False, "Ann Ä.")
    np.testing.assert_array_equal(again.clicks[0], recount.clicks[0])
    assert again.positive[0].tolist() == [True, False]
    with pytest.raises(ResultError, match="fewer than two fields are finished"):
        compare_recount(again, slide[0])


def test_clicks_outside_are_refused_and_damaged_files_named(plan, tmp_path):
    recount = Recount.begin(tmp_path, plan, reader="", slide="s1")
    with pytest.raises(ValueError, match="outside of field 1"):
        recount.mark(0, np.array([[-1.0, -1.0]]))
    recount.path.write_text("{}")
    with pytest.raises(ResultError, match=r"recount-reader-.*: cannot be read as a recount"):
        Recount.load(recount.path)
    assert find_recounts(tmp_path) == []


def test_what_is_written(slide, plan, tmp_path):
    cells, _ = slide
    agreement = compare_recount(counted(plan, cells, tmp_path, keep=0.9), cells)
    csv, figures, png = write_recount(agreement, tmp_path, about={"thresholds": {"foxp3": [0.2]}})
    table = pd.read_csv(csv)
    assert len(table) == 30
    assert table["weight"].sum() == sum(one.fields for one in plan.strata)
    content = json.loads(figures.read_text(encoding="utf-8"))
    assert content["thresholds"] == {"foxp3": [0.2]}
    names = {one["name"] for one in content["figures"]}
    assert {"icc_2_1", "cell_kappa", "count_limit_high_ratio", "slide_reader_positive"} <= names
    assert png.stat().st_size > 5000
    assert [one.path for one in find_recounts(tmp_path)] == [agreement.recount.path]


def test_the_tissue_of_a_result(tmp_path):
    tissue = np.ones((8, 6), bool)
    artefacts = np.zeros((8, 6), np.uint8)
    artefacts[:2] = 3
    with pytest.raises(ResultError, match="not a result"):
        valid_tissue(tmp_path)
    manifest = {"format": "histo slide result", "schema_version": 1}
    manifest["analysis"] = {"survey_pixel_size_um": 4.0}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ResultError, match="missing or damaged"):
        valid_tissue(tmp_path)
    np.savez_compressed(tmp_path / "views.npz", tissue=tissue, artefacts=artefacts)
    valid, um = valid_tissue(tmp_path)
    assert (valid.sum(), um) == (36, 4.0)
    left_out = np.array([[0.0, 0], [0, 12], [32, 12], [32, 0]])
    assert valid_tissue(tmp_path, without_um=[left_out])[0].sum() == 18


def test_a_new_run_does_not_throw_away_what_was_counted(plan, tmp_path):
    with result_folder(tmp_path / "s1") as partial:
        (partial / "cells.txt").write_text("old")
    recount = Recount.begin(tmp_path / "s1", plan, reader="Ann", slide="s1")
    with result_folder(tmp_path / "s1") as partial:
        (partial / "cells.txt").write_text("new")
    assert (tmp_path / "s1" / "cells.txt").read_text() == "new"
    (again,) = find_recounts(tmp_path / "s1")
    assert again.plan == recount.plan
