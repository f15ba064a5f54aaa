"""Stain sets: reading, writing, and whether their stains can be told apart."""

import dataclasses

import numpy as np
import pytest

from histo.errors import StainError
from histo.stain import StainMatrix, load_stains, save_stains, stain_names

VECTORS = {
    "hematoxylin": (0.650, 0.704, 0.286),
    "dab": (0.268, 0.570, 0.776),
    "fast red": (0.214, 0.851, 0.478),
    "fast blue": (0.749, 0.606, 0.267),
    "aec": (0.274, 0.680, 0.680),
}


def matrix(*names):
    return StainMatrix("test", names, [VECTORS[name] for name in names])


@pytest.mark.parametrize("name", stain_names())
def test_built_in_sets_load_with_unit_read_only_rows(name):
    stains = load_stains(name)
    assert stains.name == name
    assert stains.stains[0] == "hematoxylin"
    np.testing.assert_allclose(np.linalg.norm(stains.vectors, axis=1), 1.0)
    assert stains.vectors.dtype == np.float64
    with pytest.raises(ValueError, match="read-only"):
        stains.vectors[0, 0] = 1.0


@pytest.mark.parametrize(
    ("names", "degrees"),
    [
        (("hematoxylin", "dab"), 37),
        (("dab", "fast red"), 24),
        (("hematoxylin", "fast red"), 29),
        (("hematoxylin", "fast blue"), 8),
        (("dab", "aec"), 8),
    ],
)
def test_angles_between_published_vectors(names, degrees):
    pair = StainMatrix("pair", ("a", "b"), [[1, 0, 0], [0, 1, 0]])
    assert pair.angle("a", "b") == pytest.approx(90)
    vectors = [np.array(VECTORS[name]) for name in names]
    cosine = vectors[0] @ vectors[1] / np.prod([np.linalg.norm(v) for v in vectors])
    assert round(np.degrees(np.arccos(cosine))) == degrees


@pytest.mark.parametrize(
    ("names", "condition"),
    [(("hematoxylin", "dab"), 3.0), (("hematoxylin", "dab", "fast red"), 6.3)],
)
def test_condition_numbers(names, condition):
    assert matrix(*names).condition_number == pytest.approx(condition, abs=0.05)


@pytest.mark.parametrize(
    "names", [("hematoxylin", "aec", "dab"), ("hematoxylin", "fast blue"), ("dab", "aec")]
)
def test_stains_too_close_are_refused_in_words(names):
    with pytest.raises(StainError, match=r"cannot be told apart by colour \(condition number"):
        matrix(*names)


def test_the_residual_vector_is_orthogonal_to_both():
    stains = matrix("hematoxylin", "dab")
    np.testing.assert_allclose(stains.vectors @ stains.residual_vector, 0, atol=1e-12)
    with pytest.raises(ValueError, match="two stains"):
        _ = load_stains("h-dab-red").residual_vector


def test_caller_arrays_are_copied():
    given = np.array([[2.0, 0, 0], [0, 3.0, 0]])
    stains = StainMatrix("copy", ("a", "b"), given)
    given[:] = 9
    np.testing.assert_allclose(stains.vectors, [[1, 0, 0], [0, 1, 0]])


def test_equality_is_by_value():
    assert load_stains("h-dab") == load_stains("h-dab")
    assert hash(load_stains("h-dab")) == hash(load_stains("h-dab"))
    assert load_stains("h-dab") != load_stains("he")
    assert load_stains("h-dab") != dataclasses.replace(load_stains("h-dab"), flags=("x",))
    assert load_stains("h-dab") != "h-dab"


@pytest.mark.parametrize(
    ("stains", "vectors", "error", "message"),
    [
        (("a",), [[1, 0, 0], [0, 1, 0]], ValueError, "must be"),
        (("a", "a"), [[1, 0, 0], [0, 1, 0]], ValueError, "different"),
        ((), np.zeros((0, 3)), ValueError, "one to three"),
        (("a", "b"), [[1, 0, 0], [0, 0, 0]], StainError, "zero or not a number"),
        (("a",), [[1, np.nan, 0]], StainError, "zero or not a number"),
        (("a", "b"), [[1, 0, 0], [2, 0, 0]], StainError, "cannot be told apart"),
    ],
)
def test_bad_vectors_are_refused(stains, vectors, error, message):
    with pytest.raises(error, match=message):
        StainMatrix("bad", stains, vectors)


def test_the_red_of_the_duplex_is_provisional():
    assert load_stains("h-dab-red").provisional == ("red",)
    assert load_stains("h-dab").provisional == ()


def test_saved_sets_load_again(tmp_path):
    for name in stain_names():
        stains = load_stains(name)
        save_stains(stains, tmp_path / "own.toml")
        assert load_stains(tmp_path / "own.toml") == stains
        assert load_stains(str(tmp_path / "own.toml")) == stains


def test_saving_reports_what_cannot_be_written(tmp_path):
    with pytest.raises(StainError, match="cannot be written"):
        save_stains(load_stains("he"), tmp_path / "no" / "folder.toml")
    with pytest.raises(StainError, match="quotes"):
        save_stains(dataclasses.replace(load_stains("he"), name='a"b'), tmp_path / "x.toml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[stains.dab]\nvector = [1, 2, 3]\ncolour = 1", "unknown key colour; known are"),
        ("colour = 1\n[stains.dab]\nvector = [1, 2, 3]", "unknown key colour"),
        ("[stains.dab]\nvector = [1, 2]", r"\[stains.dab\]: vector must be three numbers"),
        ("[stains.dab]\nvector = [1, 2, true]", "three numbers"),
        ("[stains.dab]\nvector = 'brown'", "three numbers"),
        ("[stains.dab]\nsource = 'x'", "three numbers"),
        ("[stains.DAB]\nvector = [1, 2, 3]", "lower case; write dab"),
        ("[stains.dab]\nvector = [1, 2, 3]\nestimate = 'yes'", "true or false"),
        ("[stains]\ndab = 3", "must be a table"),
        ("name = 3\n[stains.dab]\nvector = [1, 2, 3]", "name must be a word"),
        ("name = 'nothing'", "one to three tables"),
        ("name = ", "not a readable TOML"),
    ],
)
def test_files_that_are_wrong_say_where(tmp_path, text, message):
    path = tmp_path / "own.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(StainError, match=message) as caught:
        load_stains(path)
    assert "own.toml" in str(caught.value)


@pytest.mark.parametrize("name", ["h-dba", "missing.toml", ".", ""])
def test_unknown_sets_name_the_known_ones(name):
    with pytest.raises(StainError, match="h-dab, h-dab-red, he"):
        load_stains(name)


def test_a_file_that_is_not_text(tmp_path):
    path = tmp_path / "picture.toml"
    path.write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(StainError, match="not a readable TOML"):
        load_stains(path)
