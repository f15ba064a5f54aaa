"""What is reported of space for one slide."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from histo.metrics import Metric
from histo.metrics.attribution import signal_amounts
from histo.metrics.calls import VALID_AREA, marker_calls
from histo.metrics.slide import marker_area_um2
from histo.panel import Attribution, Panel, SizeLimits, Thresholds
from histo.region.compartments import TUMOR
from histo.space.attribution import Share, association, share_of_cells
from histo.space.functions import Overlap, cross_k, l_function
from histo.space.hotspots import find_hotspots
from histo.space.nearest import Nearest, nearest_distances, nearest_intervals
from histo.space.nulls import random_labelling
from histo.space.profile import margin_profile
from histo.space.quadrats import Quadrats, hot_quadrats, morisita_horn
from histo.space.window import DistanceMap, Window

__all__ = ["space_metrics"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

WITHIN_UM = (10.0, 20.0, 30.0)
NEAR_UM = (20.0, 50.0)
QUADRATS_UM = (100.0, 200.0, 400.0)
HOT_QUADRAT_UM = 200.0
HOTSPOTS = 3
PERMUTATIONS = 999


@dataclass(frozen=True, slots=True, eq=False)
class _Tissue:
    """The cells of one slide's window, and which of them could be lymphocytes."""

    points: Floats
    ids: npt.NDArray[np.int64]
    edge_um: Floats
    lymphoid: Bools
    window: Window
    overlap: Overlap
    quadrats: Mapping[float, Quadrats]
    seed: int


def space_metrics(
    cells: pd.DataFrame,
    panel: Panel,
    window: Window,
    *,
    thresholds: Mapping[str, Thresholds],
    border: DistanceMap | None = None,
    seed: int = 0,
) -> list[Metric]:
    """Return every metric of space of a slide.

    Parameters
    ----------
    cells : DataFrame
        The cell table with its calls (:func:`histo.panel.classify_cells`). Cells whose
        compartment is ``excluded`` or that lie outside of the window take no part.
    panel : Panel
    window : Window
        Valid tissue, with its holes, as far out as cells are counted; 4 µm a pixel is enough.
    thresholds : mapping of marker to Thresholds
        Those that the calls were made with; a marker without one gives NaN.
    border : DistanceMap, optional
        Signed distance to the tumour's border on the window's pixels, positive inside. With it
        come how deep cells lie, densities in bands along the margin, and how far the nearest
        tumour cell is: a cell of the compartment ``tumor`` that carries no marker.
    seed : int
        Of permutations and bootstrap draws.

    Returns
    -------
    list of Metric
        Which metrics there are depends on the panel, and on whether there is a border.

    Raises
    ------
    ResultError
        If the table has no calls of a marker.
    ValueError
        If a marker of the panel has no thresholds, or border and window differ in pixels.

    Examples
    --------
    >>> from histo.cells import empty_cells
    >>> from histo.panel import classify_cells, load_panel, resolve_thresholds
    >>> panel = load_panel("foxp3-dab")
    >>> cells = empty_cells(["hematoxylin", "dab"])
    >>> cuts = resolve_thresholds(cells, panel)
    >>> called = classify_cells(cells, panel, cuts)
    >>> metrics = space_metrics(
    ...     called, panel, Window(np.ones((250, 250), bool), 4.0), thresholds=cuts
    ... )
    >>> metrics[0].name, metrics[0].value
    ('foxp3_to_edge_median_um', nan)
    """
    points = cells[["y_um", "x_um"]].to_numpy(np.float64)
    inside = window.contains(points) & (cells["compartment"] != "excluded").to_numpy(bool)
    valid = cells[inside]
    tissue = _tissue(valid, panel, window, seed)
    calls = {m.name: marker_calls(valid, panel, m, thresholds) for m in panel.markers}
    positive = {name: own.positive for name, own in calls.items()}
    unknown = {name for name, own in calls.items() if not own.are_known}
    unmarked = ~np.any([*positive.values()], axis=0) if positive else np.ones(len(valid), bool)
    of_tumor = (valid["compartment"] == TUMOR).to_numpy(bool) & unmarked
    with_tumor = {**positive, "tumor_cell": of_tumor}
    metrics: list[Metric] = []

    def add(found: list[Metric], *names: str) -> None:
        hidden = not unknown.isdisjoint(names)
        metrics.extend(Metric(m.name, math.nan, m.unit) if hidden else m for m in found)

    for name in panel.marker_names:
        add(_of_one(name, positive[name], tissue), name)
        if border is not None:
            add(_along_border(name, positive[name], tissue, border), name)
            add(_nearest(name, "tumor_cell", with_tumor, tissue), *panel.marker_names)
    for a, b in itertools.product(panel.marker_names, repeat=2):
        add(_nearest(a, b, positive, tissue), a, b)
    for a, b in itertools.combinations_with_replacement(panel.marker_names, 2):
        add(_near(a, b, positive, tissue), a, b)
        if a != b:
            add(_shared_quadrats(a, b, positive, tissue), a, b)
    for pair in panel.attribution:
        add(_attributed(pair, positive, tissue), pair.source, pair.signal)
        if panel.kind == "channels":
            area = marker_area_um2(valid, panel.marker(pair.signal))
            amount = signal_amounts(calls[pair.signal], area)
            add([_share_of_signal(pair, positive, amount, tissue)], pair.source, pair.signal)
    return metrics


def _tissue(valid: pd.DataFrame, panel: Panel, window: Window, seed: int) -> _Tissue:
    points = valid[["y_um", "x_um"]].to_numpy(np.float64)
    size = next((m.size for m in panel.markers if m.size is not None), SizeLimits())
    diameter = valid["nucleus_diameter_um"].to_numpy(np.float64)
    return _Tissue(
        points=points,
        ids=valid["cell_id"].to_numpy(np.int64),
        edge_um=DistanceMap.of(window).at(points),
        lymphoid=(diameter >= size.min_diameter_um) & (diameter <= size.max_diameter_um),
        window=window,
        overlap=Overlap.of(window, NEAR_UM[-1]),
        quadrats={side: Quadrats.of(window, side) for side in {*QUADRATS_UM, HOT_QUADRAT_UM}},
        seed=seed,
    )


def _of_one(name: str, positive: Bools, tissue: _Tissue) -> list[Metric]:
    """Return where one marker's cells are in the tissue."""
    points, ids = tissue.points[positive], tissue.ids[positive]
    reach = NEAR_UM[-1]
    k = cross_k(
        points,
        points,
        [reach],
        window=tissue.window,
        same=(ids, ids),
        overlap=tissue.overlap,
    )
    spots = find_hotspots(points, tissue.window, most=HOTSPOTS) if len(points) else []
    density = [spot.density_per_mm2 for spot in spots]
    quadrats = tissue.quadrats[HOT_QUADRAT_UM]
    hot = hot_quadrats(quadrats, quadrats.count(points))
    area = float(quadrats.area_um2[quadrats.kept].sum())
    hot_area = float(quadrats.area_um2[hot.hot()].sum())
    can_be_hot = bool(np.isfinite(hot.z).any())
    edge = float(np.median(tissue.edge_um[positive])) if len(points) else math.nan
    at_top = (spots[0].count, spots[0].area_um2) if spots else (0.0, math.nan)
    return [
        Metric(f"{name}_to_edge_median_um", edge, "µm"),
        Metric(f"{name}_l_minus_r_{reach:g}um", float(l_function(k)[0]) - reach, "µm"),
        Metric(
            f"{name}_hotspot_density_per_mm2",
            density[0] if spots else 0.0,
            "cells/mm²",
            numerator=at_top[0],
            denominator=at_top[1],
            denominator_name="valid tissue in the disc of 0.25 mm² with most cells, µm²",
        ),
        Metric(
            f"{name}_hotspots_mean_density_per_mm2",
            float(np.mean(density)) if spots else 0.0,
            "cells/mm²",
        ),
        Metric(
            f"{name}_hot_area_percent",
            100 * hot_area / area if can_be_hot else math.nan,
            "%",
            numerator=hot_area if can_be_hot else math.nan,
            denominator=area,
            denominator_name=f"{VALID_AREA}, in squares of {HOT_QUADRAT_UM:g} µm",
        ),
    ]


def _along_border(name: str, positive: Bools, tissue: _Tissue, border: DistanceMap) -> list[Metric]:
    """Return how deep cells lie, and density in bands along the border, outermost first."""
    points = tissue.points[positive]
    depth = border.at(points)
    known = depth[np.isfinite(depth)]
    inside = int(np.count_nonzero(known > 0))
    bands = margin_profile(points, border, tissue.window)
    return [
        Metric(
            f"{name}_depth_in_tumor_median_um",
            float(np.median(known)) if known.size else math.nan,
            "µm",
        ),
        Metric(
            f"{name}_in_tumor_percent",
            100 * inside / known.size if known.size else math.nan,
            "%",
            numerator=inside,
            denominator=known.size,
            denominator_name=f"{name}+ cells",
        ),
    ] + [
        Metric(
            f"{name}_margin_{_band(row['from_um'], row['to_um'])}_density_per_mm2",
            row["density_per_mm2"],
            "cells/mm²",
            row["low"],
            row["high"],
            row["count"],
            row["area_um2"],
            "valid tissue area in the band, µm²",
        )
        for row in bands.astype(float).to_dict("records")
    ]


def _band(start: float, end: float) -> str:
    side = "inside" if start >= 0 else "outside"
    near, far = sorted((abs(start), abs(end)))
    return f"{side}_{near:g}_{far:g}um"


def _nearest(a: str, b: str, positive: Mapping[str, Bools], tissue: _Tissue) -> list[Metric]:
    """Return how far cells of one marker are from the nearest other cell of another."""
    of_a, of_b = positive[a], positive[b]
    points, ids = tissue.points[of_a], tissue.ids[of_a]
    away = nearest_distances(points, tissue.points[of_b], same=(ids, tissue.ids[of_b]))
    nearest = Nearest(away, tissue.edge_um[of_a])
    ends = nearest_intervals(points, nearest, radii_um=WITHIN_UM, seed=tissue.seed)
    n, name = len(points), f"{a}_to_{b}"
    metrics = [
        Metric(f"{name}_{word}_um", value, "µm", *interval)
        for word, value, interval in zip(
            ("lower_quartile", "median", "upper_quartile"),
            nearest.quantile([0.25, 0.5, 0.75]).tolist(),
            ends.quantiles.tolist(),
            strict=True,
        )
    ]
    for radius, share, interval in zip(
        WITHIN_UM, nearest.share_within(WITHIN_UM).tolist(), ends.shares.tolist(), strict=True
    ):
        low, high = 100 * np.array(interval)
        metrics.append(
            Metric(
                f"{name}_within_{radius:g}um_percent",
                100 * share,
                "%",
                low,
                high,
                share * n,
                n,
                f"{a}+ cells",
            )
        )
    lost = 100 * nearest.censored / n if n else math.nan
    metrics.append(
        Metric(
            f"{name}_censored_percent",
            lost,
            "%",
            numerator=nearest.censored,
            denominator=n,
            denominator_name=f"{a}+ cells",
        )
    )
    return metrics


def _near(a: str, b: str, positive: Mapping[str, Bools], tissue: _Tissue) -> list[Metric]:
    """Return how many times as many pairs there are as labels at random would make."""
    who = tissue.lymphoid
    test = random_labelling(
        tissue.points[who],
        positive[a][who],
        positive[b][who],
        radii_um=NEAR_UM,
        permutations=PERMUTATIONS,
        seed=tissue.seed,
    )
    metrics = []
    for index, radius in enumerate(NEAR_UM):
        name = f"{a}_near_{b}_{radius:g}um"
        made_of = test.observed[index], test.expected[index]
        metrics += [
            Metric(
                f"{name}_ratio",
                test.ratio[index],
                "ratio",
                numerator=made_of[0],
                denominator=made_of[1],
                denominator_name="pairs expected of labels at random, lymphoid-sized cells",
            ),
            Metric(f"{name}_p", test.p[index], "p"),
        ]
    return metrics


def _shared_quadrats(
    a: str, b: str, positive: Mapping[str, Bools], tissue: _Tissue
) -> list[Metric]:
    """Return how much two markers' cells share squares of tissue."""
    metrics = []
    for side in QUADRATS_UM:
        quadrats = tissue.quadrats[side]
        counts = [quadrats.count(tissue.points[positive[name]])[quadrats.kept] for name in (a, b)]
        index = morisita_horn(*counts)
        metrics.append(Metric(f"{a}_and_{b}_morisita_horn_{side:g}um", index, "0-1"))
    return metrics


def _attributed(pair: Attribution, positive: Mapping[str, Bools], tissue: _Tissue) -> list[Metric]:
    """Return the shares either way with intervals by blocks, and the association of labels."""
    a, b = pair.source, pair.signal
    who = tissue.lymphoid
    both = association(
        tissue.points[who],
        positive[a][who],
        positive[b][who],
        permutations=PERMUTATIONS,
        seed=tissue.seed,
    )
    return [
        _share(f"{a}_given_{b}_blocks_percent", a, b, positive, tissue),
        _share(f"{b}_given_{a}_blocks_percent", b, a, positive, tissue),
        Metric(
            f"{a}_with_{b}_ratio",
            both.ratio,
            "ratio",
            numerator=both.observed,
            denominator=both.expected,
            denominator_name=_reasoned("cells expected to carry both", both.unknown),
        ),
        Metric(f"{a}_with_{b}_p", both.p, "p"),
    ]


def _share(
    name: str, part: str, whole: str, positive: Mapping[str, Bools], tissue: _Tissue
) -> Metric:
    found: Share = share_of_cells(tissue.points, positive[part], positive[whole], seed=tissue.seed)
    return Metric(
        name,
        100 * found.value,
        "%",
        100 * found.low,
        100 * found.high,
        found.part,
        found.whole,
        _reasoned(f"{whole}+ cells", found.unknown),
    )


def _share_of_signal(
    pair: Attribution, positive: Mapping[str, Bools], amount: Floats, tissue: _Tissue
) -> Metric:
    """Return the source cells' share of the summed signal, with its interval by blocks."""
    a, b = pair.source, pair.signal
    found = share_of_cells(tissue.points, positive[a], positive[b], amount=amount, seed=tissue.seed)
    return Metric(
        f"{a}_share_of_{b}_signal_blocks_percent",
        100 * found.value,
        "%",
        100 * found.low,
        100 * found.high,
        found.part,
        found.whole,
        _reasoned(f"summed signal of {b}+ cells", found.unknown),
    )


def _reasoned(words: str, unknown: str) -> str:
    """Say why there is no interval or p-value, where a reader looks."""
    return f"{words}; cannot be known: {unknown}" if unknown else words
