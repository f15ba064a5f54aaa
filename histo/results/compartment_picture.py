"""Compartments in one picture: tinted tissue, bands along the tumour's border, who is where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from histo.metrics import Metric
from histo.region.compartments import Compartments
from histo.results.annotations import class_colour
from histo.results.calls import called_markers
from histo.results.drawing import (
    DPI,
    SOFT,
    Image,
    image_axes,
    new_figure,
    notice,
    pixel_axes,
    rendered,
    scale_bar,
    text,
    unit_rgb,
)
from histo.results.overview import draw_cells

__all__ = ["draw_compartments"]

_MARGIN, _HEAD, _FOOT, _SIDE, _LINE = 16, 52, 34, 400, 21
_PLOT_PX = 150
_TINT = 0.22
#: Contours are drawn on no more than about twice this many pixels.
_CONTOUR_PX = 400
#: Lines of equal distance to the tumour's border, µm.
_LINES_UM = (-500, -300, -100, 100, 300, 500)
_BORDER = "#000000"


def draw_compartments(
    thumbnail: Image,
    compartments: Compartments,
    cells: pd.DataFrame,
    *,
    border_um: npt.NDArray[np.float32] | None,
    metrics: Sequence[Metric],
    title: str,
) -> Image:
    """Draw where the compartments are, and what lies in them.

    Parameters
    ----------
    thumbnail : uint8 (Y, X, 3)
        The whole slide.
    compartments : Compartments
    cells : DataFrame
        The cell table, with calls.
    border_um : float32 (Y', X') or None
        Signed distance to the tumour's border on the compartments' pixels.
    metrics : sequence of Metric
        Of the slide.
    title : str

    Returns
    -------
    uint8 (Y'', X'', 3)

    Examples
    --------
    >>> codes = np.ones((30, 40), np.uint8)
    >>> one = Compartments(("Tumor",), codes, np.ones((30, 40), np.float32), 4.0)
    >>> table = pd.DataFrame({"x_um": [10.0], "y_um": [20.0], "foxp3_positive": [True]})
    >>> slide = np.full((60, 80, 3), 240, np.uint8)
    >>> draw_compartments(slide, one, table, border_um=None, metrics=(), title="a").ndim
    3
    """
    values = {metric.name: metric for metric in metrics}
    markers = called_markers(cells)
    height, width = thumbnail.shape[:2]
    plots = [m for m in markers if border_um is not None and _profile(m, values)]
    rows = len(compartments.classes) * (1 + len(markers)) + 9 + len(markers)
    tall = max(height, rows * _LINE + len(plots) * (_PLOT_PX + 62))
    figure = new_figure(width + _SIDE + 3 * _MARGIN, tall + _HEAD + _FOOT)
    text(figure, _MARGIN, 14, title, fontsize=13, weight="bold")
    axes = image_axes(figure, _tinted(thumbnail, compartments), left=_MARGIN, top=_HEAD)
    um = compartments.codes.shape[1] * compartments.pixel_size_um / width
    handles: list[Line2D | Patch] = _outlines(axes, compartments)
    if border_um is not None:
        handles += _lines(axes, border_um, compartments)
    handles += draw_cells(axes, cells, um)
    scale_bar(axes, um)
    left = width + 2 * _MARGIN
    top = _write_numbers(figure, compartments, markers, values, left)
    total_x, total_y = figure.get_size_inches() * DPI
    figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=((left - 8) / total_x, 1 - top / total_y),
        frameon=False,
        fontsize=9.5,
        borderpad=0,
    )
    top += len(handles) * 22 + 40
    for marker in plots:
        _plot_profile(figure, marker, _profile(marker, values), left=left + 46, top=top)
        top += _PLOT_PX + 62
    notice(figure)
    return rendered(figure)


def _thinned(plane: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return every so many pixels of a plane: contours finer than the picture cost seconds."""
    step = max(1, max(plane.shape) // _CONTOUR_PX)
    return plane[::step, ::step]


def _places(axes: Axes, shape: tuple[int, ...]) -> tuple[npt.NDArray[np.float64], ...]:
    width, height = axes.get_xlim()[1], axes.get_ylim()[0]
    rows, columns = shape
    return (np.arange(columns) + 0.5) * width / columns, (np.arange(rows) + 0.5) * height / rows


def _tinted(thumbnail: Image, compartments: Compartments) -> Image:
    """Tint each compartment of the slide in its colour."""
    height, width = thumbnail.shape[:2]
    codes = cv2.resize(compartments.codes, (width, height), interpolation=cv2.INTER_NEAREST)
    colours = [(0, 0, 0), *(class_colour(name) for name in compartments.classes)]
    tint = np.array(colours, np.uint8)[codes]
    mixed = cv2.addWeighted(thumbnail, 1 - _TINT, tint, _TINT, 0)
    return np.where((codes > 0)[..., None], mixed, thumbnail).astype(np.uint8)


def _outlines(axes: Axes, compartments: Compartments) -> list[Line2D | Patch]:
    """Outline each compartment in its colour."""
    shown = _thinned(compartments.codes)
    x, y = _places(axes, shown.shape)
    handles: list[Line2D | Patch] = []
    for code, name in enumerate(compartments.classes, 1):
        rgb = unit_rgb(class_colour(name))
        handles.append(Patch(facecolor=(*rgb, 0.35), edgecolor=rgb, label=name))
        mask = (shown == code).astype(np.float32)
        if mask.any() and not mask.all() and min(mask.shape) > 1:
            axes.contour(x, y, mask, levels=[0.5], colors=[rgb], linewidths=0.8)
    return handles


def _lines(
    axes: Axes, border_um: npt.NDArray[np.float32], compartments: Compartments
) -> list[Line2D | Patch]:
    """Draw the tumour's border, and lines of equal distance to it."""
    if min(border_um.shape) < 2:
        return []
    distance, codes = _thinned(border_um), _thinned(compartments.codes)
    x, y = _places(axes, distance.shape)
    shown = np.ma.masked_where((codes == 0) | ~np.isfinite(distance), distance)
    if shown.count() == 0 or not shown.min() < 0 < shown.max():
        return []
    axes.contour(x, y, shown, levels=[0], colors=_BORDER, linewidths=1.4)
    levels = [level for level in _LINES_UM if shown.min() < level < shown.max()]
    if levels:
        axes.contour(
            x, y, shown, levels=levels, colors=_BORDER, linewidths=0.6, linestyles="dashed"
        )
    words = ", ".join(f"{level:+d}" for level in levels)
    return [
        Line2D([], [], color=_BORDER, linewidth=1.4, label="tumour border"),
        *(
            [Line2D([], [], color=_BORDER, linewidth=0.8, linestyle="--", label=f"{words} µm")]
            if levels
            else []
        ),
    ]


def _write_numbers(
    figure: Figure,
    compartments: Compartments,
    markers: Sequence[str],
    values: Mapping[str, Metric],
    left: float,
) -> float:
    """Write areas, and densities with their intervals; returns where the next line goes."""
    top = float(_HEAD)
    for name, word in zip(compartments.classes, compartments.words, strict=True):
        area, share = values.get(f"{word}_area_mm2"), values.get(f"{word}_area_percent")
        if area is None or share is None:
            continue
        text(figure, left, top, name, fontsize=10.5, weight="bold")
        words = f"{area.value:.3g} mm², {share.value:.1f} %"
        text(figure, left + _SIDE, top, words, fontsize=10.5, ha="right")
        top += _LINE
        for marker in markers:
            density = values.get(f"{word}_{marker}_density_per_mm2")
            if density is None:
                continue
            text(figure, left + 12, top, f"{marker.upper()}+ / mm²", fontsize=10, color=SOFT)
            words = f"{density.value:,.1f} [{density.low:,.1f} to {density.high:,.1f}]"
            text(figure, left + _SIDE, top, words, fontsize=10, ha="right")
            top += _LINE
    for marker in markers:
        depth = values.get(f"{marker}_depth_in_tumor_median_um")
        if depth is not None and depth.value == depth.value:
            side = "inside" if depth.value >= 0 else "outside"
            words = f"{abs(depth.value):,.0f} µm {side} the tumour's border"
            text(figure, left, top, f"{marker.upper()}+ median", fontsize=10, color=SOFT)
            text(figure, left + _SIDE, top, words, fontsize=10, ha="right")
            top += _LINE
    return top + 14


def _profile(marker: str, values: Mapping[str, Metric]) -> list[tuple[float, float, Metric]]:
    """Return the bands of a margin profile: from, to, and the density."""
    start, bands = f"{marker}_margin_", []
    for name, metric in values.items():
        if name.startswith(start) and name.endswith("um_density_per_mm2"):
            side, near, far = name.removeprefix(start).split("_")[:3]
            ends = float(near), float(far.removesuffix("um"))
            low, high = ends if side == "inside" else (-ends[1], -ends[0])
            if metric.denominator > 0:
                bands.append((low, high, metric))
    return bands


def _plot_profile(
    figure: Figure,
    marker: str,
    bands: Sequence[tuple[float, float, Metric]],
    *,
    left: float,
    top: float,
) -> None:
    """Plot density by distance to the tumour's border, with Poisson intervals."""
    axes = pixel_axes(figure, left, top, _SIDE - 60, _PLOT_PX)
    middle = [(low + high) / 2 for low, high, _ in bands]
    value = np.array([metric.value for _, _, metric in bands])
    away = np.array([(m.value - m.low, m.high - m.value) for _, _, m in bands]).T
    width = [0.9 * (high - low) for low, high, _ in bands]
    axes.bar(middle, value, width, color="#b0b0b0", edgecolor="none")
    axes.errorbar(middle, value, np.maximum(away, 0), fmt="none", ecolor="#333333", elinewidth=1)
    axes.axvline(0, color=_BORDER, linewidth=1.2)
    axes.set_xlim(-520, 520)
    # Bands of little area have intervals that would dwarf the others; they run out of sight.
    axes.set_ylim(0, 1.6 * float(value.max()) or 1.0)
    axes.set_title(f"{marker.upper()}+ / mm² along the border", fontsize=9.5, loc="left")
    axes.set_xlabel("outside the tumour  ·  µm  ·  inside", fontsize=8.5)
    axes.tick_params(labelsize=8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
