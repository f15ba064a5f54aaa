"""A reader's words."""

import pytest

from histo.errors import AnnotationError
from histo.results.reader_calls import is_left_out, read_calls, split_class


@pytest.mark.parametrize(
    ("word", "positive"),
    [
        ("Positive", True),
        ("POS", True),
        ("+", True),
        ("1+", True),
        ("3+", True),
        ("2", True),
        ("True", True),
        ("FOXP3+", True),
        ("foxp3_positive", True),
        ("FOXP3 positive", True),
        ("negative", False),
        ("-", False),
        ("−", False),
        ("0", False),
        ("no", False),
        ("FOXP3-", False),
        ("FOXP3 neg", False),
    ],
)
def test_words(word, positive):
    calls, notes = read_calls([(word,), ("Negative",)])
    assert calls.tolist() == [positive, False]
    assert notes == ()


@pytest.mark.parametrize("word", ["Tumor", "lymphocyte", "", "B cell", "17", "position"])
def test_what_is_no_call(word):
    assert read_calls([split_class(word)] * 2) == (None, ())


def test_without_a_word_a_cell_is_not_positive_and_that_is_said():
    calls, notes = read_calls([("Tumor", "Positive"), (), ("Stroma",), ("Stroma",)])
    assert calls.tolist() == [True, False, False, False]
    assert notes == (
        "3 of 4 cells have no word for positive or negative (Stroma, no class) and count as not "
        "positive",
    )


def test_of_two_markers_one_must_be_chosen():
    classes = [("FOXP3+", "RANKL+"), ("RANKL+",), ("FOXP3-", "RANKL-"), ("Negative",)]
    with pytest.raises(AnnotationError, match=r"^a\.csv: .*foxp3, rankl.*--marker"):
        read_calls(classes, file="a.csv")
    assert read_calls(classes, "FOXP3")[0].tolist() == [True, False, False, False]
    assert read_calls(classes, "rankl")[0].tolist() == [True, True, False, False]
    calls, notes = read_calls(classes, "cd8")
    assert not calls.any()
    assert "no class names cd8; they name foxp3, rankl" in notes


def test_no_cells_at_all():
    assert read_calls([]) == (None, ())


def test_classes_that_do_not_count():
    assert is_left_out(("Ignore*",))
    assert is_left_out(("Tumor", "Immune cells*"))
    assert not is_left_out(("Ignored stroma",))
