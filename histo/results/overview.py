"""The whole slide in one picture: tissue, what was left out, and the positive cells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from histo.results.calls import CallClass, Rgb, call_classes
from histo.results.drawing import (
    DPI,
    SOFT,
    Image,
    channel_patches,
    image_axes,
    new_figure,
    notice,
    rendered,
    scale_bar,
    text,
    unit_rgb,
)

__all__ = ["Caption", "draw_cells", "draw_overview"]

_MARGIN = 16
_HEAD = 52
_FOOT = 34
_SIDE = 330
_LINE = 21
_LEGEND_LINES = 11  # six classes, tissue, four artefacts
_TISSUE = "#007a5a"
# Fill, hatch: told apart without colour.
_ARTEFACTS = {
    1: ("pen", "#cc79a7", "////"),
    2: ("cover-slip edge", "#56b4e9", "\\\\\\\\"),
    3: ("fold", "#8c6d31", "xxxx"),
    4: ("out of focus", "#7f7f7f", "...."),
}


@dataclass(frozen=True, slots=True)
class Caption:
    """The words of an overview.

    Parameters
    ----------
    title : str
        The slide's name and panel.
    lines : tuple of (str, str)
        Key numbers: a name and its value with unit, e.g. ``("FOXP3+ cells", "134 / mm²")``.
    flags : tuple of str
        Doubts; drawn where they cannot be overlooked.
    channels : mapping of str to (int, int, int)
        Fluorescence: in which colour each channel is drawn.

    Examples
    --------
    >>> Caption("section 12, foxp3-dab", (("cells", "5,210"),)).flags
    ()
    """

    title: str
    lines: tuple[tuple[str, str], ...] = ()
    flags: tuple[str, ...] = field(default=())
    channels: Mapping[str, Rgb] = field(default_factory=dict)


def draw_overview(
    thumbnail: Image,
    cells: pd.DataFrame,
    *,
    pixel_size_um: float,
    tissue: npt.NDArray[np.bool_] | None = None,
    artefacts: npt.NDArray[np.uint8] | None = None,
    caption: Caption | None = None,
) -> Image:
    """Draw a slide with its tissue, its artefacts and every positive cell.

    Parameters
    ----------
    thumbnail : uint8 (Y, X, 3)
        The whole slide.
    cells : DataFrame
        The cell table, with calls.
    pixel_size_um : float
        Pixel size of the thumbnail, in micrometres.
    tissue : bool (Y', X'), optional
        Mask of the whole slide, at any size.
    artefacts : uint8 (Y', X'), optional
        0 none, 1 pen, 2 cover-slip edge, 3 fold, 4 blur.
    caption : Caption, optional
        The words beside the picture.

    Returns
    -------
    uint8 (Y'', X'', 3)

    Raises
    ------
    ValueError
        If the pixel size is not positive.

    Examples
    --------
    >>> slide = np.full((60, 80, 3), 240, np.uint8)
    >>> table = pd.DataFrame({"x_um": [100.0], "y_um": [50.0], "foxp3_positive": [True]})
    >>> draw_overview(slide, table, pixel_size_um=4.0).ndim
    3
    """
    if not pixel_size_um > 0:
        raise ValueError(f"pixel_size_um must be above 0, got {pixel_size_um}.")
    caption = caption or Caption("")
    height, width = thumbnail.shape[:2]
    zoom = min(1400 / width, 1000 / height)
    beside = len(caption.lines) + len(caption.flags) + len(caption.channels) + _LEGEND_LINES
    shown = max(height * zoom, _LINE * beside)
    figure = new_figure(width * zoom + _SIDE + 3 * _MARGIN, shown + _HEAD + _FOOT)
    text(figure, _MARGIN, 16, caption.title, fontsize=14, weight="bold")
    axes = image_axes(figure, thumbnail, left=_MARGIN, top=_HEAD, zoom=zoom)
    handles: list[Line2D | Patch] = []
    if tissue is not None and tissue.any():
        handles.append(_draw_tissue(axes, tissue))
    if artefacts is not None:
        handles += _draw_artefacts(axes, artefacts)
    handles = draw_cells(axes, cells, pixel_size_um) + handles
    handles += channel_patches(caption.channels)
    scale_bar(axes, pixel_size_um, pixels_per_data=zoom)
    _write_side(figure, caption, handles, left=width * zoom + 2 * _MARGIN)
    notice(figure)
    return rendered(figure)


def _grid(axes: Axes, mask: npt.NDArray[np.generic]) -> tuple[npt.NDArray[np.float64], ...]:
    """Return the places of a mask's pixel centres, and of a ring around, in the image's pixels."""
    width, height = axes.get_xlim()[1], axes.get_ylim()[0]
    rows, columns = mask.shape
    x = (np.arange(-1, columns + 1) + 0.5) * width / columns
    y = (np.arange(-1, rows + 1) + 0.5) * height / rows
    return np.clip(x, 0, width), np.clip(y, 0, height)


def _draw_tissue(axes: Axes, tissue: npt.NDArray[np.bool_]) -> Line2D:
    x, y = _grid(axes, tissue)
    padded = np.pad(tissue, 1).astype(np.float64)
    axes.contour(x, y, padded, levels=[0.5], colors=[_TISSUE], linewidths=1.2)
    return Line2D([], [], color=_TISSUE, linewidth=1.5, label="tissue")


def _draw_artefacts(axes: Axes, artefacts: npt.NDArray[np.uint8]) -> list[Line2D | Patch]:
    x, y = _grid(axes, artefacts)
    handles: list[Line2D | Patch] = []
    for number, (name, colour, hatch) in _ARTEFACTS.items():
        here = np.pad(artefacts == number, 1).astype(np.float64)
        if not here.any():
            continue
        filled = axes.contourf(x, y, here, levels=[0.5, 1.5], colors=[colour], alpha=0.35)
        filled.set_linewidth(0)
        hatched = axes.contourf(x, y, here, levels=[0.5, 1.5], colors="none", hatches=[hatch])
        hatched.set_edgecolor(colour)
        hatched.set_linewidth(0)
        handles.append(Patch(facecolor=(colour, 0.35), edgecolor=colour, hatch=hatch, label=name))
    return handles


def draw_cells(axes: Axes, cells: pd.DataFrame, pixel_size_um: float) -> list[Line2D | Patch]:
    """Draw the positive cells of a table with calls; return the lines of a legend."""
    codes, classes = call_classes(cells)
    x = cells["x_um"].to_numpy() / pixel_size_um
    y = cells["y_um"].to_numpy() / pixel_size_um
    drawn = [index for index, one in enumerate(classes) if _is_positive(one)]
    count = int(np.isin(codes, drawn).sum())
    # Few cells must be found by the eye; many must not hide the tissue.
    area = float(np.clip(6000 / max(count, 1), 3, 26))
    handles: list[Line2D | Patch] = []
    for index, one in enumerate(classes):
        number = int((codes == index).sum())
        label = f"{one.label}: {number:,}"
        if index not in drawn:
            handles.append(Line2D([], [], linestyle="none", label=f"{label} (not drawn)"))
            continue
        here = codes == index
        axes.scatter(
            x[here],
            y[here],
            s=area,
            color=[unit_rgb(one.rgb)],
            edgecolors="#222222",
            linewidths=0.4 if area > 6 else 0.15,
        )
        handles.append(
            Line2D(
                [],
                [],
                linestyle="none",
                marker="o",
                markersize=8,
                color=unit_rgb(one.rgb),
                markeredgecolor="#222222",
                markeredgewidth=0.5,
                label=label,
            )
        )
    return handles


def _is_positive(one: CallClass) -> bool:
    return bool(one.names) and one.names[0] not in ("Negative", "Excluded")


def _write_side(
    figure: Figure, caption: Caption, handles: list[Line2D | Patch], *, left: float
) -> None:
    top = _HEAD
    for name, value in caption.lines:
        text(figure, left, top, name, fontsize=10, color=SOFT)
        text(figure, left + _SIDE, top, value, fontsize=10.5, weight="bold", ha="right")
        top += _LINE
    for flag in caption.flags:
        text(figure, left, top + 6, f"! {flag}", fontsize=10, weight="bold", color="#b00020")
        top += _LINE
    if handles:
        total_x, total_y = figure.get_size_inches() * DPI
        figure.legend(
            handles=handles,
            loc="upper left",
            bbox_to_anchor=((left - 8) / total_x, 1 - (top + 14) / total_y),
            frameon=False,
            fontsize=10,
            borderpad=0,
        )
