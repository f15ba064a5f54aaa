"""Area averages against a slow reference in float64."""

import numpy as np
import pytest

from histo.slide.resample import area_average, source_span, whole_factor


def reference(image: np.ndarray, factor: float, shape: tuple[int, int]) -> np.ndarray:
    """Average over [i f, (i + 1) f) along both axes, by overlap matrices in float64."""

    def overlap(count: int, length: int) -> np.ndarray:
        low = np.arange(count)[:, None] * factor
        high = np.minimum(low + factor, length)
        pixel = np.arange(length)[None]
        cover = np.clip(np.minimum(high, pixel + 1) - np.maximum(low, pixel), 0, None)
        return cover / cover.sum(axis=1, keepdims=True)

    rows, columns = overlap(shape[0], image.shape[0]), overlap(shape[1], image.shape[1])
    averaged = np.tensordot(rows, image.astype(np.float64), (1, 0))
    return np.tensordot(averaged, columns, (1, 1)).transpose(0, 2, 1)


def average(image: np.ndarray, factor: float) -> np.ndarray:
    shape = tuple(int(np.ceil(side / factor - 1e-9)) for side in image.shape[:2])
    return area_average(
        image, (0, 0), (0, 0), shape, factors=(factor, factor), lengths=image.shape[:2]
    )


@pytest.mark.parametrize("factor", [1.0, 1.01, 1.5, 2.0, np.pi, 4.0, 7.3, 16.0, 37.0, 99.5])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_equals_the_reference(factor, dtype):
    rng = np.random.default_rng(0)
    image = (rng.random((211, 160, 3)) * (255 if dtype == "uint8" else 65535)).astype(dtype)
    mean = average(image, factor)
    exact = reference(image, factor, mean.shape[:2])
    assert mean.dtype == image.dtype
    if dtype == "float32":
        np.testing.assert_allclose(mean, exact, rtol=1e-6)
    else:
        # Half a count of rounding, and a hundredth for the sums in float32.
        assert np.abs(mean - exact).max() <= 0.51


@pytest.mark.parametrize("factor", [2.0, 3.0, 5.0])
def test_whole_factors_round_half_up_exactly(factor):
    image = np.random.default_rng(1).integers(0, 256, (60, 60, 1), dtype=np.uint8)
    n = int(factor)
    total = image.astype(int).reshape(60 // n, n, 60 // n, n, 1).sum((1, 3))
    np.testing.assert_array_equal(average(image, factor), (total + n * n // 2) // (n * n))


def test_full_range_does_not_overflow():
    for dtype in (np.uint8, np.uint16):
        image = np.full((300, 300, 2), np.iinfo(dtype).max, dtype)
        for factor in (2.0, 16.0, 17.0, 257.0, 300.0, 2.7):
            assert (average(image, factor) == np.iinfo(dtype).max).all()


def test_a_not_a_number_stays_in_its_own_pixels():
    image = np.ones((40, 40, 1), np.float32)
    image[20, 20] = np.nan
    mean = average(image, 2.5)
    assert np.isnan(mean).sum() == 1
    assert np.isnan(mean[8, 8, 0])


def test_input_is_not_changed():
    image = np.random.default_rng(0).integers(0, 256, (50, 50, 3), dtype=np.uint8)
    before = image.copy()
    average(image, 2.0)
    average(image, 2.5)
    np.testing.assert_array_equal(image, before)


def test_factors_of_rounding_become_whole():
    assert whole_factor(2 + 1e-9, 100_000) == 2.0
    assert whole_factor(0.499 * 4 / 0.499, 1_000_000) == 4.0
    assert whole_factor(2.001, 100_000) == 2.001
    assert whole_factor(0.3, 10) == 0.3


def test_span_covers_the_area_and_stays_inside():
    for factor in (1.0, 1.3, 2.0, 9.7):
        length = 100
        count = int(np.ceil(length / factor))
        for index in range(count):
            first, last = source_span(index, index + 1, factor, length)
            assert 0 <= first < last <= length
            assert first <= min(index * factor, length - 1)
            assert last >= min((index + 1) * factor, length)
