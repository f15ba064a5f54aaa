"""Cells beside their values, to judge whether the threshold is where the eye would put it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from histo.results.calls import GRADES, NEGATIVE, Rgb
from histo.results.drawing import (
    INK,
    SOFT,
    Image,
    channel_legend,
    new_figure,
    notice,
    pixel_axes,
    rendered,
    text,
    unit_rgb,
)

__all__ = ["GalleryCell", "choose_cells", "draw_gallery"]

_SIDE = 84
_GAP = 6
_LABEL = 17
_MARGIN = 16
_HEAD = 48
_HISTOGRAM = 190
_ROW_HEAD = 26
_FOOT = 30
_ROW_NAMES = {
    "nearest": "Nearest to the threshold, on either side",
    "positive": "Positive",
    "negative": "Negative",
    "rejected": "Above the threshold but not called (size, shape or another flag)",
}


@dataclass(frozen=True, slots=True, eq=False)
class GalleryCell:
    """One cell of the gallery.

    Parameters
    ----------
    cell_id : int
    value : float
        The measurement that its call is made on.
    grade : int
        Its call, 0-3.
    rgb : uint8 (S, S, 3)
        A square around it.
    ring : float64 (V, 2)
        Outline (y, x) of its nucleus, in pixels of ``rgb``.
    """

    cell_id: int
    value: float
    grade: int
    rgb: Image
    ring: npt.NDArray[np.float64]


def choose_cells(
    cells: pd.DataFrame, marker: str, *, column: str, threshold: float, each: int = 24
) -> dict[str, npt.NDArray[np.int64]]:
    """Choose the cells that show whether a threshold is right.

    Excluded cells and cells without a value are left out.

    Parameters
    ----------
    cells : DataFrame
        The cell table, with calls.
    marker : str
        The marker.
    column : str
        The measurement that its calls are made on.
    threshold : float
        Where positive begins, in the unit of the column; NaN when there is none.
    each : int
        How many cells a group has at most; half of the first group lie on either side of
        the threshold.

    Returns
    -------
    dict of str to int64 (N,)
        ``cell_id`` in rising order of the value: ``nearest`` the threshold; ``positive`` and
        ``negative`` cells, evenly spread over their ranks; ``rejected``, above the threshold
        but not called because of size, shape or another flag.

    Raises
    ------
    ValueError
        If the table has no such column.

    Examples
    --------
    >>> table = pd.DataFrame({"cell_id": [1, 2, 3, 4], "nucleus_dab_od_mean": [0.3, 0, 0.1, 0.2]})
    >>> table["foxp3_positive"] = [True, False, False, False]
    >>> groups = choose_cells(table, "foxp3", column="nucleus_dab_od_mean", threshold=0.15, each=2)
    >>> {name: ids.tolist() for name, ids in groups.items()}
    {'nearest': [3, 4], 'positive': [1], 'negative': [2, 3], 'rejected': [4]}
    """
    for name in (column, f"{marker}_positive"):
        if name not in cells:
            raise ValueError(f"the cell table has no column {name}.")
    values = cells[column].to_numpy(dtype=np.float64)
    valid = np.isfinite(values)
    if "compartment" in cells:
        valid &= (cells["compartment"] != "excluded").to_numpy(dtype=bool)
    ids = cells["cell_id"].to_numpy(dtype=np.int64)
    order = np.lexsort((ids, values))
    order = order[valid[order]]
    ids, values = ids[order], values[order]
    called = cells[f"{marker}_positive"].to_numpy(dtype=bool)[order]
    above = values >= threshold  # nowhere when the threshold is NaN
    first = len(values) - int(above.sum())
    half = max(1, each // 2)
    near = slice(max(0, first - half), first + half) if np.isfinite(threshold) else slice(0)
    return {
        "nearest": ids[near],
        "positive": _spread(ids[called], each),
        "negative": _spread(ids[~called & ~above], each),
        "rejected": _spread(ids[~called & above], each),
    }


def _spread(ids: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    if len(ids) <= count:
        return ids
    return ids[np.rint(np.linspace(0, len(ids) - 1, count)).astype(np.intp)]


def draw_gallery(
    rows: Mapping[str, Sequence[GalleryCell]],
    values: npt.NDArray[np.floating],
    *,
    thresholds: Sequence[float],
    quantity: str,
    title: str = "",
    channels: Mapping[str, Rgb] | None = None,
) -> Image:
    """Draw cells in rows, each with its value, under the distribution of all values.

    Parameters
    ----------
    rows : mapping of str to sequence of GalleryCell
        A row's name and its cells; the names of :func:`choose_cells` are written out.
    values : float (N,)
        The measurement of every cell of the slide; NaN is left out. The histogram's last bar
        also holds the highest 0.5 %, and its heights are drawn as square roots, so that few
        positive cells are seen beside many negative ones.
    thresholds : sequence of float
        Where 1+ (and 2+, 3+) begin, rising.
    quantity : str
        What is measured, with its unit, e.g. ``"nucleus: DAB OD, mean"``.
    title : str
        A line above.
    channels : mapping of str to (int, int, int), optional
        Fluorescence: in which colour each channel is drawn.

    Returns
    -------
    uint8 (Y, X, 3)

    Examples
    --------
    >>> square = np.array([[2.0, 2], [2, 6], [6, 6], [6, 2]])
    >>> cell = GalleryCell(1, 0.3, 1, np.full((8, 8, 3), 200, np.uint8), square)
    >>> picture = draw_gallery(
    ...     {"positive": [cell]}, np.array([0.3, 0.1]), thresholds=[0.2], quantity="DAB OD"
    ... )
    >>> picture.dtype
    dtype('uint8')
    """
    columns = 12
    lines = {name: -(-max(len(cells), 1) // columns) for name, cells in rows.items()}
    step = _SIDE + _LABEL + _GAP
    width = 2 * _MARGIN + columns * (_SIDE + _GAP) - _GAP
    body = sum(_ROW_HEAD + count * step for count in lines.values())
    figure = new_figure(width, _HEAD + _HISTOGRAM + 44 + body + _FOOT)
    text(figure, _MARGIN, 14, title, fontsize=13, weight="bold")
    channel_legend(figure, channels or {})
    axes = pixel_axes(figure, _MARGIN + 58, _HEAD, width - 2 * _MARGIN - 58, _HISTOGRAM - 8)
    _draw_histogram(axes, np.asarray(values, dtype=np.float64), thresholds, quantity)
    top = _HEAD + _HISTOGRAM + 44
    # One picture for all cells: axes for each of them would take seconds.
    board = np.full((body, width, 3), 255, np.uint8)
    at = 0
    for name, cells in rows.items():
        words = _ROW_NAMES.get(name, name)
        caption = f"{words}: {len(cells)} shown" if cells else f"{words}: none"
        text(figure, _MARGIN, top + at, caption, fontsize=11, weight="bold")
        at += _ROW_HEAD
        for index, cell in enumerate(cells):
            line, column = divmod(index, columns)
            left, y = _MARGIN + column * (_SIDE + _GAP), at + line * step
            board[y : y + _SIDE, left : left + _SIDE] = _cell_picture(cell)
            middle, below = left + _SIDE / 2, top + y + _SIDE + 3
            text(figure, middle, below, _number(cell.value), fontsize=9, ha="center")
        at += lines[name] * step
    if body:
        figure.figimage(board, 0, round(figure.bbox.height) - top - body, origin="upper", zorder=-1)
    notice(figure)
    return rendered(figure)


def _colour(grade: int) -> tuple[float, ...]:
    return unit_rgb(GRADES[min(grade, len(GRADES)) - 1] if grade > 0 else NEGATIVE)


def _number(value: float) -> str:
    """Write an OD with three decimals, an intensity with none."""
    return f"{value:.3f}" if abs(value) < 10 else f"{value:,.0f}"


def _cell_picture(cell: GalleryCell) -> Image:
    """Draw one cell at its size in the gallery: enlarged, outlined and framed by its call."""
    size = (_SIDE, _SIDE)
    picture = cv2.resize(np.ascontiguousarray(cell.rgb), size, interpolation=cv2.INTER_CUBIC)
    colour = [round(255 * part) for part in _colour(cell.grade)]
    scale = np.array(size) / cell.rgb.shape[1::-1]
    # OpenCV counts from the middle of pixels, in sixteenths here.
    ring = [np.rint((cell.ring[:, ::-1] * scale - 0.5) * 16).astype(np.int32)]
    shaded = cv2.polylines(picture.copy(), ring, True, (0, 0, 0), 3, cv2.LINE_AA, 4)
    picture = cv2.addWeighted(shaded, 0.45, picture, 0.55, 0)
    cv2.polylines(picture, ring, True, colour, 1, cv2.LINE_AA, 4)
    cv2.rectangle(picture, (0, 0), (_SIDE - 1, _SIDE - 1), colour, 3)
    return np.array(picture, np.uint8)


def _draw_histogram(
    axes: Axes,
    values: npt.NDArray[np.float64],
    thresholds: Sequence[float],
    quantity: str,
) -> None:
    values = values[np.isfinite(values)]
    low, top = (float(q) for q in np.quantile(values, (0.005, 0.995))) if len(values) else (0, 0)
    # Grades far beyond every cell would press the cells into a bar or two.
    thresholds = [
        threshold
        for grade, threshold in enumerate(thresholds)
        if np.isfinite(threshold) and (grade == 0 or threshold <= 1.5 * top)
    ]
    low, high = min(low, 0.0), max(top, 1.5 * max(thresholds, default=0.0))
    edges = _bins(low, max(high, low + 1e-9), thresholds, len(values))
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
    middles = (edges[1:] + edges[:-1]) / 2
    grades = np.searchsorted(thresholds, middles)
    colours = [_colour(int(grade)) for grade in grades]
    axes.bar(middles, counts, width=np.diff(edges), color=colours, edgecolor="white", linewidth=0.3)
    for number, threshold in enumerate(thresholds, start=1):
        axes.axvline(threshold, color=INK, linewidth=1.2, linestyle="--")
        axes.annotate(
            f"{number}+ ≥ {threshold:.4g}",
            (threshold, 1),
            xycoords=("data", "axes fraction"),
            xytext=(4, -3 - 13 * (number - 1)),
            textcoords="offset points",
            va="top",
            fontsize=9,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
        )
    axes.set_xlim(edges[0], edges[-1])
    axes.set_xlabel(f"{quantity} ({len(values)} cells)", fontsize=10)
    axes.set_ylim(0, 1.08 * max(1, counts.max()))
    axes.set_yscale("function", functions=(np.sqrt, np.square))
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set_ylabel("cells", fontsize=10)
    axes.tick_params(labelsize=9, colors=SOFT)
    axes.spines[["top", "right"]].set_visible(False)


def _bins(
    low: float, high: float, thresholds: Sequence[float], count: int
) -> npt.NDArray[np.float64]:
    """Return bin edges that fall on the first threshold, fewer for fewer cells."""
    width = (high - low) / float(np.clip(count / 8, 20, 100))
    if thresholds and width < 2 * thresholds[0]:
        width = thresholds[0] / max(1, round(thresholds[0] / width))
    first, last = np.floor(low / width), np.ceil(high / width)
    return np.arange(first, last + 1) * width
