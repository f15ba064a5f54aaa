"""Bland and Altman's picture: how far found and true counts differ, image by image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from histo.metrics.agreement import bland_altman
from histo.results.calls import NEGATIVE, POSITIVE
from histo.results.drawing import (
    INK,
    SOFT,
    Image,
    new_figure,
    notice,
    pixel_axes,
    rendered,
    text,
    unit_rgb,
)

__all__ = ["draw_bland_altman"]

_WIDTH, _HEIGHT = 420, 340
_LEFT, _GAP, _HEAD, _FOOT = 78, 190, 74, 84
#: More names than this would hide each other.
_MOST_NAMES = 20
#: Ticks of ratios near 1, where 1, 2 and 5 would leave the axis empty.
_FINE = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1, 1.05, 1.1, 1.2, 1.4, 1.7, 2)


def draw_bland_altman(
    counts: Mapping[str, npt.NDArray[np.floating]], names: Sequence[str], *, of: str = "images"
) -> Image:
    """Draw found over true counts against their mean, on log scales, with bias and limits.

    Parameters
    ----------
    counts : mapping of str to float (N, 2)
        What was counted, e.g. ``"cells"``, to the found and true count of each image; NaN for
        an image on which it was not, two images at least have it.
    names : sequence of str
        Of the images; written beside the points when there are 20 or fewer.
    of : str
        What was counted in, in words: images, fields.

    Returns
    -------
    uint8 (Y, X, 3)

    References
    ----------
    Bland, Altman, Lancet 327:307 (1986).

    Examples
    --------
    >>> counts = {"cells": np.array([[10.0, 12], [20, 19], [33, 30]])}
    >>> draw_bland_altman(counts, ["a", "b", "c"]).shape[2]
    3
    """
    width = _LEFT + len(counts) * (_WIDTH + _GAP)
    figure = new_figure(width, _HEAD + _HEIGHT + _FOOT)
    text(figure, 16, 14, "Found against true counts", fontsize=13, weight="bold")
    colours = [unit_rgb(rgb) for rgb in (NEGATIVE, POSITIVE)]
    for index, (what, values) in enumerate(counts.items()):
        left = _LEFT + index * (_WIDTH + _GAP)
        axes = pixel_axes(figure, left, _HEAD, _WIDTH, _HEIGHT)
        pairs = np.asarray(values, np.float64)
        known = np.isfinite(pairs).all(axis=1)
        axes.set_title(f"{what}, {known.sum()} {of}", fontsize=11, color=INK, loc="left")
        own = [names[row] for row in np.flatnonzero(known).tolist()]
        _draw(axes, pairs[known], own, colours[index % 2])
    notice(figure)
    return rendered(figure)


def _draw(
    axes: Axes, pairs: npt.NDArray[np.float64], names: Sequence[str], colour: tuple[float, ...]
) -> None:
    limits = bland_altman(pairs[:, 0], pairs[:, 1])
    shown = pairs + (0.5 if (pairs == 0).any() else 0.0)
    mean, ratio = np.sqrt(shown.prod(axis=1)), shown[:, 0] / shown[:, 1]
    axes.axhline(1.0, color=SOFT, linewidth=0.8)
    for value, words, style in (
        (limits.ratio, "mean", "-"),
        (limits.ratio_low, "lower limit", "--"),
        (limits.ratio_high, "upper limit", "--"),
    ):
        axes.axhline(value, color=INK, linewidth=1.2, linestyle=style)
        axes.annotate(
            f"{value:.2f} {words}",
            (1, value),
            xycoords=("axes fraction", "data"),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
        )
    axes.scatter(mean, ratio, s=28, color=[colour], edgecolor="white", linewidth=0.5, zorder=3)
    if len(names) <= _MOST_NAMES:
        _write_names(axes, names, mean, ratio)
    axes.set(xscale="log", yscale="log")
    _set_range(axes, mean, np.append(ratio, [limits.ratio_low, limits.ratio_high, 1.0]))
    axes.set_xlabel("geometric mean of found and true count", fontsize=10)
    axes.set_ylabel("found / true", fontsize=10)
    axes.tick_params(labelsize=9, colors=SOFT)
    axes.spines[["top", "right"]].set_visible(False)


def _write_names(
    axes: Axes,
    names: Sequence[str],
    x: npt.NDArray[np.float64],
    y: npt.NDArray[np.float64],
) -> None:
    """Write a name beside each point, towards the middle of the axes."""
    middle = np.sqrt(x.min() * x.max())
    for name, *place in zip(names, x, y, strict=True):
        left = place[0] > middle
        axes.annotate(
            name,
            (place[0], place[1]),
            xytext=(-4 if left else 4, 4),
            textcoords="offset points",
            ha="right" if left else "left",
            fontsize=7.5,
            color=SOFT,
        )


def _set_range(axes: Axes, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> None:
    """Leave room around the points, and write plain numbers on both axes."""
    room = 1.15
    axes.set_xlim(x.min() / room, x.max() * room)
    reach = max(1.1, float(np.exp(np.abs(np.log(y)).max())) * 1.05)
    axes.set_ylim(1 / reach, reach)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=[1, 2, 5]))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    if reach < _FINE[-1]:
        close = 1.05 if reach > 1.4 else 1.0
        near_one = [tick for tick in _FINE if 1 / reach < tick < reach]
        axes.set_yticks([t for t in near_one if t == 1 or max(t, 1 / t) > close + 0.01])
