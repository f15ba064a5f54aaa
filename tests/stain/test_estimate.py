"""White point and stain vectors recovered from painted slides."""

import dataclasses

import numpy as np
import pytest

from histo.stain import (
    StainMatrix,
    WhitePoint,
    estimate_stains,
    estimate_white_point,
    load_stains,
)
from histo.stain.matrix import vector_angle

WHITE = np.array([243.0, 240.0, 238.0])
OWN_HDAB = np.array([[0.58, 0.75, 0.31], [0.33, 0.56, 0.75]])
OWN_RED = np.array([0.10, 0.88, 0.42])


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def turned(vector, degrees, towards):
    """Turn a unit vector by so many degrees towards another one."""
    side = towards - (towards @ vector) * vector
    side /= np.linalg.norm(side)
    return np.cos(np.radians(degrees)) * vector + np.sin(np.radians(degrees)) * side


def painted(vectors, fractions, *, count=40_000, seed=0, noise=2.0):
    """Pixels that each hold mostly one stain, with some of the others and of noise."""
    rng = np.random.default_rng(seed)
    which = rng.choice(len(fractions), count, p=np.asarray(fractions) / np.sum(fractions))
    amounts = rng.uniform(0.0, 0.04, (count, len(vectors)))
    stained = which < len(vectors)
    amounts[stained, which[stained]] = rng.uniform(0.2, 0.9, stained.sum())
    # A fifth of the pixels is a true mixture.
    mixed = rng.random(count) < 0.2
    amounts[mixed] = rng.uniform(0.05, 0.5, (mixed.sum(), len(vectors)))
    if len(fractions) <= len(vectors):
        absent = np.asarray(fractions) == 0
        amounts[:, absent] = 0.0
    rgb = WHITE * 10.0 ** -(amounts @ unit(vectors)) + rng.normal(0, noise, (count, 3))
    return np.clip(np.round(rgb), 0, 255).astype(np.uint8).reshape(200, -1, 3)


def drift(found, vectors):
    return [vector_angle(a, b) for a, b in zip(found.vectors, unit(vectors), strict=True)]


def test_two_vectors_are_found():
    found = estimate_stains(painted(OWN_HDAB, (3, 1)), load_stains("h-dab"), WHITE)
    assert found.stains == ("hematoxylin", "dab")
    assert found.flags == ()
    assert max(drift(found, OWN_HDAB)) < 3.0
    assert min(drift(load_stains("h-dab"), OWN_HDAB)) > 3.5


@pytest.mark.parametrize("share", [0.01, 0.03])
def test_a_sparse_marker_is_found_too(share):
    # A fixed percentile of all pixels would miss it altogether.
    rgb = painted(OWN_HDAB, (1 - share, share), count=100_000)
    found = estimate_stains(rgb, load_stains("h-dab"), WHITE)
    assert max(drift(found, OWN_HDAB)) < 4.0


@pytest.mark.parametrize(("present", "absent"), [(0, 1), (1, 0)])
def test_an_absent_stain_keeps_its_reference_and_says_so(present, absent):
    fractions = np.zeros(2)
    fractions[present] = 1
    reference = load_stains("h-dab")
    found = estimate_stains(painted(OWN_HDAB, fractions), reference, WHITE)
    np.testing.assert_array_equal(found.vectors[absent], reference.vectors[absent])
    assert f"stain_vector_kept_{reference.stains[absent]}" in found.flags
    assert drift(found, OWN_HDAB)[present] < 3.0


def test_swapped_order_follows_the_reference():
    reference = load_stains("h-dab")
    swapped = StainMatrix("swapped", reference.stains[::-1], reference.vectors[::-1])
    rgb = painted(OWN_HDAB, (1, 1))
    a, b = estimate_stains(rgb, reference, WHITE), estimate_stains(rgb, swapped, WHITE)
    np.testing.assert_allclose(a.vectors, b.vectors[::-1], atol=0.02)


def test_three_vectors_are_found_and_red_is_no_longer_provisional():
    own = np.vstack([load_stains("h-dab").vectors, OWN_RED])
    found = estimate_stains(painted(own, (4, 1, 1)), load_stains("h-dab-red"), WHITE)
    assert found.provisional == ()
    assert found.flags == ()
    assert max(drift(found, own)) < 4.0
    assert drift(load_stains("h-dab-red"), own)[2] > 5.0


def test_without_red_the_red_stays_provisional():
    own = np.vstack([load_stains("h-dab").vectors, OWN_RED])
    found = estimate_stains(painted(own, (3, 1, 0)), load_stains("h-dab-red"), WHITE)
    assert found.provisional == ("red",)
    assert "stain_vector_kept_red" in found.flags


def test_an_implausible_colour_is_rejected():
    # Green dye where haematoxylin is asked for.
    green = np.array([[0.98, 0.144, 0.133], [0.268, 0.570, 0.776]])
    reference = load_stains("h-dab")
    found = estimate_stains(painted(green, (1, 1)), reference, WHITE)
    assert drift(found, reference.vectors)[0] <= 15.0
    assert any("hematoxylin" in flag for flag in found.flags)


def test_an_unusual_blue_is_taken_when_it_explains_the_slide():
    # Some laboratories counterstain in a cyan blue, 28 degrees from haematoxylin.
    own = np.array([[0.93, 0.36, 0.09], [0.23, 0.51, 0.83]])
    found = estimate_stains(painted(own, (4, 1)), load_stains("h-dab"), WHITE)
    assert found.flags == ("stain_vector_unusual_hematoxylin",)
    assert max(drift(found, own)) < 3.0


def test_blank_glass_and_ink_change_nothing():
    reference = load_stains("h-dab")
    for level in (240, 3):
        found = estimate_stains(np.full((50, 50, 3), level, np.uint8), reference, WHITE)
        np.testing.assert_array_equal(found.vectors, reference.vectors)
        assert found.flags == ("stain_vector_kept_hematoxylin", "stain_vector_kept_dab")


def test_estimates_that_fall_together_are_refused():
    # Two browns: the plane holds one line only.
    vectors = load_stains("h-dab-red").vectors
    near = turned(vectors[2], 14, vectors[1])
    reference = StainMatrix("close", ("dab", "red"), vectors[1:], provisional=("red",))
    found = estimate_stains(painted(np.vstack([vectors[1], near]), (1, 1)), reference, WHITE)
    assert found.condition_number <= 10.0


def test_one_stain():
    own = OWN_HDAB[1:]
    reference = StainMatrix("brown", ("dab",), load_stains("h-dab").vectors[1:])
    found = estimate_stains(painted(own, (1,)), reference, WHITE)
    assert drift(found, own)[0] < 2.0


def test_estimates_repeat_and_leave_the_input_alone():
    rgb = painted(OWN_HDAB, (3, 1))
    before = rgb.copy()
    first = estimate_stains(rgb, load_stains("h-dab"), WHITE)
    assert first == estimate_stains(rgb, load_stains("h-dab"), WHITE)
    np.testing.assert_array_equal(rgb, before)


def glass(value, shape=(100, 100), noise=1.5, seed=0):
    rng = np.random.default_rng(seed)
    picture = rng.normal(0, noise, (*shape, 3)) + np.asarray(value)
    return np.clip(np.round(picture), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("value", [(243, 241, 238), (200, 200, 200), (252, 252, 230)])
def test_the_white_point_is_the_median_of_glass(value):
    rgb = glass(value)
    rgb[:40] = (120, 90, 150)
    background = np.ones(rgb.shape[:2], bool)
    background[:40] = False
    background[:42] |= np.random.default_rng(1).random((42, 100)) < 0.02  # missed specks
    found = estimate_white_point(rgb, background)
    assert found.source == "background"
    assert found.flags == ()
    np.testing.assert_allclose(found.value, value, atol=1)


def test_without_background_white_is_assumed():
    rgb = glass((120, 90, 150))
    found = estimate_white_point(rgb, np.zeros((100, 100), bool))
    assert found.value.tolist() == [255, 255, 255]
    assert found.flags == ("white_point_assumed",)


@pytest.mark.parametrize(
    ("value", "noise"), [((60, 60, 60), 1), ((230, 180, 160), 1), ((200, 200, 200), 25)]
)
def test_background_that_cannot_be_glass_is_not_used(value, noise):
    found = estimate_white_point(glass(value, noise=noise), np.ones((100, 100), bool))
    assert found.value.tolist() == [255, 255, 255]
    assert found.flags == ("white_point_assumed", "background_not_glass")


def test_background_darker_than_the_picture_is_not_glass():
    rgb = glass((250, 250, 250))
    rgb[:30] = glass((190, 190, 190), (30, 100))
    background = np.zeros((100, 100), bool)
    background[:30] = True
    assert "background_not_glass" in estimate_white_point(rgb, background).flags


def test_white_points_are_frozen_and_masks_must_match():
    white = WhitePoint(np.array([240.0, 240, 240]), "user")
    with pytest.raises(ValueError, match="read-only"):
        white.value[0] = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        white.source = "x"
    with pytest.raises(ValueError, match="must match"):
        estimate_white_point(glass((240, 240, 240)), np.ones((10, 10), bool))
