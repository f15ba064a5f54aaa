"""Burden of an animal: pooled ratios, Cavalieri's volume and its error on exact bodies."""

import math
import re
from pathlib import Path

import numpy as np
import pytest

from histo.errors import ResultError
from histo.metrics.lung import animal_lung_metrics, incidence_metric, lung_metrics
from histo.region import (
    REASONS,
    LungAreas,
    cavalieri,
    pool_areas,
    pooled_ratio,
    ratio_error,
    scattered_error,
)


def values(metrics):
    return {m.name: m.value for m in metrics}


def ellipsoid(half_axes, spacing, offset):
    """Areas of the sections of an ellipsoid across its first axis."""
    a, b, c = half_axes
    x = np.arange(-a + offset, a, spacing)
    return math.pi * b * c * (1 - (x / a) ** 2)


def test_the_error_by_hand():
    # a = 14, b = 8, c = 3: 3 * 14 - 4 * 8 + 3 = 13, and the areas sum to 6.
    for smoothness, alpha in ((0, 12), (1, 240)):
        found = cavalieri([1.0, 2.0, 3.0], 5.0, smoothness=smoothness)
        assert found.ce == pytest.approx(math.sqrt(13 / alpha) / 6)
        assert found.volume_um3 == 30.0


@pytest.mark.parametrize("half_axes", [(1000, 1000, 1000), (2200, 900, 700)])
@pytest.mark.parametrize("sections", [5, 8, 12])
def test_volume_is_unbiased_and_the_error_fits(half_axes, sections):
    rng = np.random.default_rng(sections)
    spacing = 2 * half_axes[0] / sections
    truth = 4 / 3 * math.pi * np.prod(half_axes)
    runs = [ellipsoid(half_axes, spacing, spacing * rng.random()) for _ in range(4000)]
    smooth = [cavalieri(areas, spacing, smoothness=1) for areas in runs]
    rough = [cavalieri(areas, spacing, smoothness=0) for areas in runs]
    volumes = np.array([one.volume_um3 for one in smooth])
    assert volumes.mean() == pytest.approx(truth, rel=0.002)
    real = volumes.std() / truth
    predicted = math.sqrt(np.mean([one.ce**2 for one in smooth]))
    # The area function of an ellipsoid is of class 1; the prediction is known to be approximate.
    assert real / 1.5 < predicted < 1.5 * real
    # Class 0 is the safe choice: much larger than the real error of a smooth body.
    assert math.sqrt(np.mean([one.ce**2 for one in rough])) > 3 * real


def test_class_0_fits_a_body_that_begins_abruptly():
    # Of a slab 4.3 spacings thick a section more or less is hit: exact, with variance f (1 - f).
    rng = np.random.default_rng(1)
    runs = [np.ones(4 + int(rng.random() < 0.3)) for _ in range(4000)]
    # The empty sections around it take part.
    padded = [np.concatenate([[0], areas, [0]]) for areas in runs]
    found = [cavalieri(areas, 1.0, smoothness=0) for areas in padded]
    real = np.std([one.volume_um3 for one in found]) / 4.3
    assert real == pytest.approx(math.sqrt(0.3 * 0.7) / 4.3, rel=0.05)
    predicted = math.sqrt(np.mean([one.ce**2 for one in found]))
    assert real / 1.5 < predicted < 1.5 * real


def cut_lungs(focus_um, spacing, *, foci=40, lungs=40, offsets=60):
    """Cut ellipsoid lungs with foci at random; return real and predicted errors of the foci."""
    rng = np.random.default_rng(3)
    half = np.array([5000.0, 3000.0, 4000.0])
    found = []
    for _ in range(lungs):
        places = rng.normal(size=(foci, 3))
        places *= rng.random((foci, 1)) ** (1 / 3) / np.linalg.norm(places, axis=1)[:, None]
        radii = np.exp(rng.normal(math.log(focus_um / 2), 0.3, foci))
        sums, shares, predicted = [], [], []
        for offset in rng.random(offsets) * spacing:
            x = np.arange(-half[0] + offset, half[0], spacing)
            lobes = ellipsoid(half, spacing, offset)
            away = x[:, None] - half[0] * places[:, 0]
            areas = math.pi * np.clip(radii**2 - away**2, 0, None)
            total = areas.sum(1)
            sums.append(total.sum())
            shares.append(total.sum() / lobes.sum())
            predicted.append(
                [
                    cavalieri(total, spacing, smoothness=0).ce,
                    ratio_error(total, lobes, smoothness=0),
                    scattered_error(areas[areas > 0].tolist()),
                ]
            )
        real = [np.std(some) / np.mean(some) for some in (sums, shares)]
        found.append([*real, *np.sqrt(np.nanmean(np.square(predicted), 0))])
    return np.sqrt(np.mean(np.square(found), 0))


def test_small_foci_are_scattered():
    # A fifth as wide as the distance: each is met by chance, and a smooth curve is far off.
    volume, share, m0, ratio_m0, scattered = cut_lungs(200, 1000)
    assert volume == pytest.approx(share, rel=0.05)
    assert scattered == pytest.approx(volume, rel=0.3)
    assert max(m0, ratio_m0) < 0.75 * volume


def test_large_foci_are_smooth():
    # As wide as the distance: each is cut, many twice.
    volume, share, m0, ratio_m0, scattered = cut_lungs(1000, 1000)
    assert volume < m0 < 2.5 * volume
    assert share < ratio_m0 < 2.5 * share
    assert scattered > 2 * volume


def test_the_error_of_a_share():
    parts, wholes = [0.0, 3.0, 1.0, 0.0], [2.0, 4.0, 4.0, 2.0]
    share = 4 / 12
    left = [p - share * w for p, w in zip(parts, wholes, strict=True)]
    a, b, c = (sum(left[i] * left[i + k] for i in range(4 - k)) for k in (0, 1, 2))
    expected = math.sqrt((3 * a - 4 * b + c) / 12) / 4
    assert ratio_error(parts, wholes, smoothness=0) == pytest.approx(expected)
    assert ratio_error(wholes, wholes, smoothness=0) == pytest.approx(0, abs=1e-9)
    assert math.isnan(ratio_error([0.0] * 3, [1.0] * 3, smoothness=0))
    assert math.isnan(ratio_error([1.0, 1.0], [2.0, 3.0], smoothness=0))
    with pytest.raises(ValueError, match="one part a whole"):
        ratio_error([1.0], [1.0, 2.0], smoothness=0)
    with pytest.raises(ValueError, match="smoothness"):
        ratio_error([1.0] * 3, [1.0] * 3, smoothness=2)


def test_the_error_of_scattered_foci():
    assert scattered_error([3.0, 4.0]) == pytest.approx(5 / 7)
    assert scattered_error([7.0]) == 1
    assert math.isnan(scattered_error([]))


def test_too_few_sections_have_no_error():
    assert math.isnan(cavalieri([1.0, 2.0], 5.0, smoothness=0).ce)
    nothing = cavalieri([0.0, 0.0, 0.0], 5.0, smoothness=0)
    assert nothing.volume_um3 == 0
    assert math.isnan(nothing.ce)


@pytest.mark.parametrize(
    ("areas", "spacing", "smoothness"),
    [([], 1, 0), ([-1.0], 1, 0), ([math.inf], 1, 0), ([1.0], 0, 0), ([1.0], 1, 2), ([[1.0]], 1, 0)],
)
def test_nonsense_is_refused(areas, spacing, smoothness):
    with pytest.raises(ValueError, match="must be"):
        cavalieri(areas, spacing, smoothness=smoothness)


def test_sums_come_before_the_ratio():
    small, large = LungAreas(1e6, 4e5, (5e5,)), LungAreas(9e6, 3e6)
    found = values(animal_lung_metrics([small, large]))
    assert found["lung_burden_percent"] == 5.0
    assert found["lung_burden_parenchyma_percent"] == pytest.approx(100 * 5e5 / 3.4e6)
    assert found["lung_foci_per_section"] == 0.5
    assert found["lung_foci_per_cm2"] == pytest.approx(1 / 0.1)
    assert found["lung_metastasis_present"] == 1.0
    assert math.isnan(pooled_ratio([1.0], [0.0]))


def test_sections_without_a_focus_are_zeros():
    found = values(lung_metrics(LungAreas(2e7, 6e6)))
    assert found["lung_burden_percent"] == found["lung_foci_per_cm2"] == 0.0
    assert found["lung_foci_count"] == 0
    assert math.isnan(found["lung_foci_median_diameter_um"])
    nothing = values(lung_metrics(LungAreas(0, 0)))
    assert math.isnan(nothing["lung_burden_percent"])
    assert nothing["lung_foci_count"] == 0


def test_counts_by_class_and_by_least_diameter():
    disc = lambda d: math.pi / 4 * d**2  # noqa: E731
    areas = LungAreas(
        1e8, 3e7, tuple(map(disc, (600, 300, 120, 80))), (disc(40), disc(35)), edge_count=1
    )
    found = values(lung_metrics(areas))
    assert [
        found[f"lung_foci_{c}_count"]
        for c in ("under_100um", "100_250um", "250_500um", "over_500um")
    ] == [1, 1, 1, 1]
    assert [found[f"lung_foci_count_from_{d}um"] for d in (30, 50, 100)] == [6, 4, 3]
    burdens = [found[f"lung_burden_percent_from_{d}um"] for d in (30, 50, 100)]
    assert burdens == sorted(burdens, reverse=True)
    assert burdens[1] == found["lung_burden_percent"]
    assert found["lung_foci_cut_count"] == 1
    assert found["lung_foci_median_diameter_um"] == pytest.approx(210)


def test_volumes_of_step_sections():
    sections = [LungAreas(a, a / 3, (f,) if f else ()) for a, f in ((1e7, 0), (2e7, 2e5), (1e7, 0))]
    found = values(animal_lung_metrics(sections, spacing_um=500.0))
    assert found["lung_volume_mm3"] == pytest.approx(4e7 * 500 / 1e9)
    assert found["metastasis_volume_mm3"] == pytest.approx(2e5 * 500 / 1e9)
    m0, m1 = (found[f"metastasis_volume_ce_m{m}_percent"] for m in (0, 1))
    assert m0 / m1 == pytest.approx(math.sqrt(20))
    assert found["metastasis_volume_fraction_percent"] == found["lung_burden_percent"] == 0.5
    assert found["metastasis_volume_fraction_ce_m0_percent"] > 0
    assert found["metastasis_volume_ce_scattered_percent"] == 100
    assert "lung_volume_mm3" not in values(animal_lung_metrics(sections))
    with pytest.raises(ValueError, match="at least one section"):
        animal_lung_metrics([])


def test_incidence_counts_animals():
    metric = incidence_metric([True, True, False, False])
    assert (metric.value, metric.numerator, metric.denominator) == (50.0, 2, 4)
    assert 0 < metric.low < 50 < metric.high < 100
    assert math.isnan(incidence_metric([]).value)


def test_every_metric_is_documented():
    page = (Path(__file__).resolve().parents[2] / "docs" / "lung.md").read_text("utf-8")
    areas = LungAreas(1e8, 3e7, (1e5,))
    metrics = animal_lung_metrics([areas] * 3, spacing_um=500.0)
    for metric in (*metrics, incidence_metric([True])):
        row = re.search(rf"^\| `{metric.name}` \|.*$", page, re.MULTILINE)
        assert row, f"docs/lung.md lacks {metric.name}"
        assert f"| {metric.unit} |" in row[0]
    for reason in REASONS:
        assert f"`{reason}`" in page


def test_areas_survive_json():
    areas = LungAreas(1e6, 4e5, (5e4, 1e4), (900.0,), 1, 3)
    assert LungAreas.from_dict(areas.to_dict()) == areas
    assert pool_areas([areas, areas]).refused_count == 6
    with pytest.raises(ResultError, match="run the slide again"):
        LungAreas.from_dict({"lobe_um2": 1})
    with pytest.raises(ValueError, match="finite"):
        LungAreas(-1, 0)
