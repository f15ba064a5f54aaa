"""Metrics of lung sections, of an animal's step sections, and of a group of animals."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from histo.metrics.intervals import poisson_interval, wilson_interval
from histo.metrics.metric import Metric
from histo.region import (
    SENSITIVITY_UM,
    SIZE_CLASSES,
    LungAreas,
    cavalieri,
    pool_areas,
    pooled_ratio,
    ratio_error,
    scattered_error,
    size_class,
)

__all__ = ["animal_lung_metrics", "incidence_metric", "lung_metrics"]

_LOBE = "area of the lobes with their air"
_PARENCHYMA = "area of septa and lesions, without air, large airways and vessels"
_CLASS_NAMES = ("under_100um", "100_250um", "250_500um", "over_500um")


def lung_metrics(areas: LungAreas) -> tuple[Metric, ...]:
    """Return the metrics of one section.

    Parameters
    ----------
    areas : LungAreas

    Returns
    -------
    tuple of Metric
        In docs/lung.md, one row each. Without a focus counts, densities and burdens are 0;
        without lung, ratios are NaN.

    Examples
    --------
    >>> lung_metrics(LungAreas(2e7, 5e6, (1e5,)))[0].value
    0.5
    """
    return (
        _percent("lung_burden_percent", areas.foci_um2, areas.lobe_um2, _LOBE),
        _percent(
            "lung_burden_parenchyma_percent", areas.foci_um2, areas.parenchyma_um2, _PARENCHYMA
        ),
        *_counts(areas),
        *_sensitivity(areas),
        Metric("lung_foci_cut_count", areas.edge_count, "foci"),
        Metric("lung_refused_count", areas.refused_count, "places"),
        Metric("lung_lobe_area_mm2", areas.lobe_um2 / 1e6, "mm²"),
        Metric("lung_parenchyma_area_mm2", areas.parenchyma_um2 / 1e6, "mm²"),
    )


def animal_lung_metrics(
    sections: Sequence[LungAreas], *, spacing_um: float | None = None
) -> tuple[Metric, ...]:
    """Return the metrics of an animal from its sections, in their order.

    Areas and counts are summed first and divided then. With the spacing of step sections come
    volumes by Cavalieri and their ratio; coefficients of error are given for smoothness m = 0,
    m = 1, and for foci that lie at random.

    Parameters
    ----------
    sections : sequence of LungAreas
        At least one; those without a focus stay in.
    spacing_um : float, optional
        From a section to the next.

    Returns
    -------
    tuple of Metric

    Raises
    ------
    ValueError
        If there is no section, or the spacing is not positive.

    Examples
    --------
    >>> two = [LungAreas(2e7, 5e6, (1e5,)), LungAreas(6e7, 9e6)]
    >>> {m.name: m.value for m in animal_lung_metrics(two)}["lung_burden_percent"]
    0.125
    """
    if not sections:
        raise ValueError("an animal needs at least one section.")
    pooled = pool_areas(sections)
    number = len(sections)
    mean = len(pooled.foci_um2) / number
    metrics = [
        *lung_metrics(pooled),
        Metric("lung_section_count", number, "sections"),
        Metric(
            "lung_foci_per_section",
            mean,
            "foci",
            numerator=len(pooled.foci_um2),
            denominator=number,
            denominator_name="sections",
        ),
        Metric("lung_metastasis_present", float(bool(pooled.foci_um2)), "0 or 1"),
    ]
    if spacing_um is not None:
        metrics += _volumes(sections, spacing_um)
    return tuple(metrics)


def incidence_metric(present: Sequence[bool]) -> Metric:
    """Return the share of animals with metastasis, with Wilson's interval.

    Parameters
    ----------
    present : sequence of bool
        One an animal.

    Examples
    --------
    >>> incidence_metric([True, False]).value
    50.0
    """
    hits, total = int(np.sum(np.asarray(present, bool))), len(present)
    low, high = wilson_interval(hits, total) if total else (math.nan, math.nan)
    value = 100 * hits / total if total else math.nan
    return Metric(
        "lung_metastasis_incidence_percent",
        value,
        "%",
        100 * low,
        100 * high,
        numerator=hits,
        denominator=total,
        denominator_name="animals",
    )


def _percent(name: str, parts: Sequence[float], whole: float, denominator: str) -> Metric:
    return Metric(
        name,
        100 * pooled_ratio(parts, [whole]),
        "%",
        numerator=math.fsum(parts),
        denominator=whole,
        denominator_name=denominator,
    )


def _counts(areas: LungAreas) -> list[Metric]:
    """Count foci: number, density, sizes."""
    number = len(areas.foci_um2)
    area_cm2 = areas.lobe_um2 / 1e8
    low, high = poisson_interval(number)
    diameters = np.sqrt(4 * np.asarray(areas.foci_um2) / np.pi)
    density = [n / area_cm2 if area_cm2 > 0 else math.nan for n in (number, low, high)]
    classes = [size_class(float(d)) for d in diameters]
    return [
        Metric("lung_foci_count", number, "foci", low, high),
        Metric(
            "lung_foci_per_cm2",
            density[0],
            "foci/cm²",
            density[1],
            density[2],
            numerator=number,
            denominator=area_cm2,
            denominator_name=_LOBE + " (cm²)",
        ),
        Metric("lung_foci_area_mm2", areas.lesion_um2 / 1e6, "mm²"),
        Metric(
            "lung_foci_median_diameter_um",
            float(np.median(diameters)) if number else math.nan,
            "µm",
        ),
        *(
            Metric(f"lung_foci_{label}_count", classes.count(name), "foci")
            for label, name in zip(_CLASS_NAMES, SIZE_CLASSES, strict=True)
        ),
    ]


def _sensitivity(areas: LungAreas) -> list[Metric]:
    """Give count, area and burden with other least diameters."""
    metrics = []
    for least in SENSITIVITY_UM:
        kept = areas.at_least(least)
        end = f"from_{least:.0f}um"
        metrics += [
            Metric(f"lung_foci_count_{end}", len(kept), "foci"),
            Metric(f"lung_foci_area_mm2_{end}", math.fsum(kept) / 1e6, "mm²"),
            _percent(f"lung_burden_percent_{end}", kept, areas.lobe_um2, _LOBE),
        ]
    return metrics


def _volumes(sections: Sequence[LungAreas], spacing_um: float) -> list[Metric]:
    """Estimate volumes and their ratio, with their coefficients of error."""
    metrics = []
    foci = [s.lesion_um2 for s in sections]
    lobes = [s.lobe_um2 for s in sections]
    for name, values in (("metastasis", foci), ("lung", lobes)):
        found = [cavalieri(values, spacing_um, smoothness=m) for m in (0, 1)]
        metrics.append(Metric(f"{name}_volume_mm3", found[0].volume_um3 / 1e9, "mm³"))
        metrics += [
            Metric(f"{name}_volume_ce_m{one.smoothness}_percent", 100 * one.ce, "%")
            for one in found
        ]
    every = [area for section in sections for area in section.foci_um2]
    scattered = 100 * scattered_error(every)
    metrics.insert(3, Metric("metastasis_volume_ce_scattered_percent", scattered, "%"))
    return [
        *metrics,
        Metric(
            "metastasis_volume_fraction_percent",
            100 * pooled_ratio(foci, lobes),
            "%",
            numerator=spacing_um * math.fsum(foci) / 1e9,
            denominator=spacing_um * math.fsum(lobes) / 1e9,
            denominator_name="volume of the lobes with their air (mm³)",
        ),
        Metric(
            "metastasis_volume_fraction_ce_m0_percent",
            100 * ratio_error(foci, lobes, smoothness=0),
            "%",
        ),
    ]
