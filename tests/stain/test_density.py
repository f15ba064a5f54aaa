"""Optical density and unmixing against painted truth."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from histo.stain import (
    StainMatrix,
    load_stains,
    optical_density,
    stain_concentrations,
    stain_names,
    stain_residual,
)
from histo.stain.density import MAX_OD_8BIT

WHITE = (243.0, 240.0, 238.0)


def paint(amounts, vectors, white=WHITE):
    """Beer-Lambert: float amounts (..., S) to float intensities (..., 3)."""
    return np.asarray(white) * 10.0 ** -(np.asarray(amounts) @ vectors)


@pytest.mark.parametrize(
    ("intensity", "white", "expected"),
    [(255, 255, 0.0), (0, 255, 2.40654), (1, 255, 2.40654), (250, 240, 0.0), (24, 240, 1.0)],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
def test_od_is_base_ten_floored_at_one_level_and_clipped_at_white(
    intensity, white, expected, dtype
):
    rgb = np.full((2, 3, 3), intensity, dtype)
    density = optical_density(rgb, (white,) * 3)
    assert density.dtype == np.float32
    assert density.shape == rgb.shape
    np.testing.assert_allclose(density, expected, atol=1e-5)


def test_eight_bit_ceiling():
    assert pytest.approx(2.4065, abs=1e-4) == MAX_OD_8BIT


@given(hnp.arrays(np.uint8, st.tuples(st.integers(0, 5), st.integers(1, 5), st.just(3))))
def test_table_of_uint8_equals_the_formula(rgb):
    table = optical_density(rgb, WHITE)
    formula = optical_density(rgb.astype(np.float64), WHITE)
    np.testing.assert_allclose(table, formula, atol=2e-6)


@pytest.mark.parametrize("name", stain_names())
@settings(max_examples=25)
@given(seed=st.integers(0, 2**31))
def test_painted_amounts_come_back(name, seed):
    stains = load_stains(name)
    amounts = np.random.default_rng(seed).uniform(0.0, 0.7, (6, 7, len(stains.stains)))
    found = stain_concentrations(paint(amounts, stains.vectors), stains, WHITE)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, amounts, atol=2e-5)


def test_eight_bits_cost_less_than_a_hundredth_of_od_at_moderate_stain():
    stains = load_stains("h-dab")
    amounts = np.random.default_rng(0).uniform(0.05, 0.6, (50, 50, 2))
    rgb = np.round(paint(amounts, stains.vectors)).astype(np.uint8)
    error = stain_concentrations(rgb, stains, WHITE) - amounts
    assert np.abs(error).mean() < 0.002
    assert np.abs(error).max() < 0.02


def test_a_wrong_vector_leaves_negatives_that_are_kept():
    stains = load_stains("h-dab")
    green = np.array([[0.98, 0.144, 0.133]])
    found = stain_concentrations(paint(np.full((2, 2, 1), 0.5), green), stains, WHITE)
    assert found.min() < -0.02


def test_residual_of_two_stains_is_the_part_along_their_cross_product():
    stains = load_stains("h-dab")
    basis = np.vstack([stains.vectors, stains.residual_vector])
    rng = np.random.default_rng(3)
    amounts = np.concatenate(
        [rng.uniform(0.3, 0.6, (5, 5, 2)), rng.uniform(-0.05, 0.1, (5, 5, 1))], axis=-1
    )
    rgb = paint(amounts, basis)
    np.testing.assert_allclose(stain_residual(rgb, stains, WHITE), amounts[..., 2], atol=1e-5)
    np.testing.assert_allclose(
        stain_concentrations(rgb, stains, WHITE), amounts[..., :2], atol=1e-5
    )


def test_residual_of_one_stain_and_of_three():
    one = StainMatrix("one", ("dab",), [[0.268, 0.570, 0.776]])
    rgb = paint(np.full((3, 3, 1), 0.4), one.vectors)
    assert stain_residual(rgb, one, WHITE).max() < 1e-5
    assert stain_residual(np.full((1, 1, 3), 60.0), one, WHITE)[0, 0] > 0.1
    assert not stain_residual(np.full((4, 4, 3), 60.0), load_stains("h-dab-red"), WHITE).any()


def test_lists_of_pixels_and_empty_pictures():
    stains = load_stains("h-dab")
    rgb = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    flat = stain_concentrations(rgb.reshape(-1, 3), stains, WHITE)
    np.testing.assert_array_equal(flat, stain_concentrations(rgb, stains, WHITE).reshape(-1, 2))
    assert stain_concentrations(rgb[:0], stains, WHITE).shape == (0, 5, 2)
    assert stain_residual(rgb[:, :0], stains, WHITE).shape == (4, 0)


def test_inputs_are_left_alone_and_views_are_read_right():
    rgb = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    before = rgb.copy()
    mirrored = stain_concentrations(rgb[::-1, ::2], load_stains("he"), WHITE)
    whole = stain_concentrations(rgb, load_stains("he"), WHITE)
    np.testing.assert_array_equal(mirrored, whole[::-1, ::2])
    np.testing.assert_array_equal(rgb, before)


@pytest.mark.parametrize("white", [(0, 240, 240), (240, 240), (240, np.nan, 240), "white"])
def test_impossible_white_points_are_refused(white):
    with pytest.raises(ValueError, match=r"white_point|could not convert"):
        optical_density(np.zeros((2, 2, 3), np.uint8), white)


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 4), (3,), (2, 2, 2, 3)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="rgb must be"):
        optical_density(np.zeros(shape, np.uint8), WHITE)


def test_unmixing_keeps_pace_with_reading():
    # Reading gives tens of megapixels a second; a tenth of what one core here reaches
    # still tells the table from a logarithm per pixel.
    rgb = np.random.default_rng(0).integers(0, 256, (1024, 1024, 3), dtype=np.uint8)
    stains = load_stains("h-dab-red")
    stain_concentrations(rgb, stains, WHITE)
    took = []
    for _ in range(3):
        start = time.perf_counter()
        stain_concentrations(rgb, stains, WHITE)
        took.append(time.perf_counter() - start)
    assert rgb.shape[0] * rgb.shape[1] / min(took) > 10e6
