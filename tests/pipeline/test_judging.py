"""Scores of a model on fields, and how sure a gain is."""

import math
from dataclasses import replace

import numpy as np
import pytest

from histo.metrics.evaluation import Figure
from histo.nuclei.finetune import Field
from histo.pipeline import judging
from histo.pipeline.judging import HEADLINE, Judgement, gain, judge_model
from histo.pipeline.learning import Sample
from histo.pipeline.tuned_card import Scores, score_rows, verdict

UM = 0.5


@pytest.fixture
def sample(make_nuclei):
    labels = make_nuclei(30, shape=(320, 320))
    everywhere = np.ones(labels.shape, bool)
    rgb = np.full((*labels.shape, 3), 230, np.uint8)
    return Sample(Field(rgb, labels, labels % 2 == 1, everywhere, everywhere), UM, 30)


@pytest.fixture
def find(monkeypatch):
    """Make every model find what a test says."""

    def finds(labels, brown=None):
        brown = np.zeros(labels.shape, np.float32) if brown is None else brown
        monkeypatch.setattr(
            judging, "find_nuclei", lambda rgb, model, pixel_size_um: (labels, brown)
        )

    return finds


def test_the_truth_itself_scores_one(sample, find):
    field = sample.field
    find(field.labels, (field.positive & (field.labels > 0)).astype(np.float32))
    judged = judge_model(None, [sample, sample])
    for name in (HEADLINE, "detection_f1_4um", "count_ratio", "positive_f1_4um"):
        assert judged.value(name) == 1, name
    assert judged.squares.sum(axis=0).tolist() == [60, 60, 60]


def test_what_is_missed_or_lies_where_nothing_is_known_is_told_apart(sample, find):
    field = sample.field
    find(np.where(field.labels > 20, 0, field.labels))
    assert judge_model(None, [sample]).value(HEADLINE) == pytest.approx(2 * 20 / (20 + 30))
    half = field.known.copy()
    half[:, 160:] = False
    partly = replace(sample, field=replace(field, known=half, classed=half))
    found = field.labels.copy()
    found[:, 170:] = 0  # nobody knows what is there: no nucleus is missed
    find(found)
    judged = judge_model(None, [partly])
    assert judged.value("detection_f1_4um") == 1
    assert judged.squares[:, 2].sum() < 30


def test_positives_are_scored_only_where_classes_are_known(sample, find):
    find(sample.field.labels)
    silent = replace(sample.field, classed=np.zeros_like(sample.field.known))
    judged = judge_model(None, [replace(sample, field=silent)])
    assert math.isnan(judged.value("positive_f1_4um"))


def plus(judged, found):
    """So many more outlines found in every square."""
    return judged.squares + np.array([found, 0, 0])


def test_a_gain_in_every_square_is_sure_and_one_in_a_single_square_is_not():
    before = Judgement((), np.array([[5.0, 10, 10]] * 12))
    everywhere = Judgement((), plus(before, 2))
    assert gain(before, everywhere) == pytest.approx((0.2, 0.2, 0.2))
    here = before.squares.copy()
    here[0, 0] += 3
    value, low, high = gain(before, Judgement((), here))
    assert value == pytest.approx(3 / 120)
    assert low <= 0 < value < high


def test_too_few_squares_give_no_interval():
    before = Judgement((), np.array([[5.0, 10, 10]] * 4 + [[0, 0, 0]] * 20))
    value, low, _ = gain(before, Judgement((), plus(before, 1)))
    assert value > 0
    assert math.isnan(low)


def test_models_judged_on_different_fields_are_not_compared():
    with pytest.raises(ValueError, match="same fields"):
        gain(Judgement((), np.zeros((3, 3))), Judgement((), np.zeros((4, 3))))


@pytest.mark.parametrize(
    ("step", "better", "words"),
    [(1, True, "Better: "), (-1, False, "Not better: "), (0, False, "Not better: ")],
)
def test_the_verdict_says_plainly_what_happened(step, better, words):
    before = Judgement((), np.array([[5.0, 10, 10]] * 12))
    scores = Scores(before, Judgement((), plus(before, step)), 0.9, 0.9)
    assert verdict(scores)[0] is better
    assert verdict(scores)[1].startswith(words)


def test_a_gain_that_may_be_chance_is_called_so():
    before = Judgement((), np.array([[5.0, 10, 10]] * 12))
    after = before.squares.copy()
    after[0, 0] += 3
    better, words = verdict(Scores(before, Judgement((), after), 0.9, 0.9))
    assert not better
    assert words.startswith("Perhaps better: ")
    assert "may be chance" in words


@pytest.mark.parametrize(("after", "told"), [(0.95, False), (0.86, False), (0.7, True)])
def test_forgetting_is_told_even_of_a_better_model(after, told):
    before = Judgement((), np.array([[5.0, 10, 10]] * 12))
    scores = Scores(before, Judgement((), before.squares + np.array([1, 0, 0])), 0.9, after)
    better, words = verdict(scores)
    assert better
    assert ("fell from 0.900 to 0.700: it forgets" in words) is told


def test_rows_are_of_figures_that_there_are():
    def judged(value):
        return Judgement((Figure(HEADLINE, value, "0-1"),), np.zeros((0, 3)))

    rows = score_rows(Scores(judged(0.5), judged(0.75), 0.9, 0.8))
    assert rows == [
        ("outlines: F1 at IoU 0.5", "0.500", "0.750"),
        ("painted sections: outlines", "0.900", "0.800"),
    ]
