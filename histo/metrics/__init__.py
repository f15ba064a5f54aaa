"""Metrics: the numbers of a slide, each with interval, denominator and sensitivity."""

from histo.metrics.areas import OD_EDGES, Histogram, SlideAreas, intensity_edges
from histo.metrics.calls import SENSITIVITY_FACTORS
from histo.metrics.compartments import compartment_metrics
from histo.metrics.intervals import (
    bootstrap_intervals,
    mean_interval,
    poisson_interval,
    ratio_interval,
    wilson_interval,
)
from histo.metrics.metric import Metric, metrics_from_json, metrics_row, metrics_to_json
from histo.metrics.scores import (
    allred,
    count_grades,
    density_per_mm2,
    h_score,
    irs,
    positive_fraction,
)
from histo.metrics.slide import slide_metrics

__all__ = [
    "OD_EDGES",
    "SENSITIVITY_FACTORS",
    "Histogram",
    "Metric",
    "SlideAreas",
    "allred",
    "bootstrap_intervals",
    "compartment_metrics",
    "count_grades",
    "density_per_mm2",
    "h_score",
    "intensity_edges",
    "irs",
    "mean_interval",
    "metrics_from_json",
    "metrics_row",
    "metrics_to_json",
    "poisson_interval",
    "positive_fraction",
    "ratio_interval",
    "slide_metrics",
    "wilson_interval",
]
