"""One field at full resolution with every call drawn, to be judged by eye."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.collections import LineCollection

from histo.cells import cell_outlines
from histo.results.calls import Rgb, call_classes
from histo.results.drawing import (
    Image,
    channel_legend,
    image_axes,
    legend_lines,
    new_figure,
    notice,
    rendered,
    scale_bar,
    text,
    unit_rgb,
)

__all__ = ["draw_field"]

_MARGIN = 16
_HEAD = 46
_FOOT = 64
_DARK = 80


def draw_field(
    rgb: Image,
    labels: npt.NDArray[np.integer],
    cells: pd.DataFrame,
    *,
    pixel_size_um: float,
    title: str = "",
    channels: Mapping[str, Rgb] | None = None,
) -> Image:
    """Draw a field twice: as it is, and with the outline of each nucleus in its call's colour.

    Parameters
    ----------
    rgb : uint8 (Y, X, 3)
        The field at the pixel size of the analysis.
    labels : int (Y, X)
        Its nuclei, by ``cell_id``.
    cells : DataFrame
        The cell table; nuclei that it does not hold are not drawn.
    pixel_size_um : float
        Pixel size of ``rgb``, in micrometres.
    title : str
        A line above.
    channels : mapping of str to (int, int, int), optional
        Fluorescence: in which colour each channel is drawn.

    Returns
    -------
    uint8 (Y', X', 3)
        The picture, twice as fine as the field where that keeps each side below 1200 px.

    Raises
    ------
    ValueError
        If the sizes of the field and the labels differ.

    Examples
    --------
    >>> field = np.full((40, 50, 3), 230, np.uint8)
    >>> nuclei = np.zeros((40, 50), np.int32)
    >>> nuclei[10:20, 10:20] = 3
    >>> table = pd.DataFrame({"cell_id": [3], "foxp3_positive": [True], "foxp3_grade": [1]})
    >>> draw_field(field, nuclei, table, pixel_size_um=0.5).shape[2]
    3
    """
    if labels.shape != rgb.shape[:2]:
        raise ValueError(f"labels are {labels.shape}, but the field is {rgb.shape[:2]}.")
    height, width = labels.shape
    zoom = max(1, min(4, 1200 // max(height, width)))
    figure = new_figure(2 * width * zoom + 3 * _MARGIN, height * zoom + _HEAD + _FOOT)
    text(figure, _MARGIN, 12, title, fontsize=13, weight="bold")
    channel_legend(figure, channels or {})
    plain = image_axes(figure, rgb, left=_MARGIN, top=_HEAD, zoom=zoom)
    scale_bar(plain, pixel_size_um, pixels_per_data=zoom)
    # Fluorescence is dimmed below the outlines, or bright signal would swallow them.
    is_dark = bool(rgb.mean() < _DARK)
    below = (rgb * 0.6).astype(np.uint8) if is_dark else rgb
    drawn = image_axes(figure, below, left=2 * _MARGIN + width * zoom, top=_HEAD, zoom=zoom)
    shown = cells[cells["cell_id"].isin(np.unique(labels[labels > 0]))]
    codes, classes = call_classes(shown)
    rings = cell_outlines(labels, shown["cell_id"].to_numpy())
    lines = [rings[cell_id][:, ::-1] for cell_id in shown["cell_id"].tolist()]
    paints = [_lightened(one.rgb) if is_dark else one.rgb for one in classes]
    colours = [unit_rgb(paints[code]) for code in codes.tolist()]
    # A dark line below keeps pale colours visible on pale tissue, and red ones on brown.
    drawn.add_collection(LineCollection(lines, colors="black", linewidths=2.6, alpha=0.5))
    drawn.add_collection(LineCollection(lines, colors=colours, linewidths=1.6))
    counts = np.bincount(codes, minlength=len(classes))
    entries = {
        f"{one.label} ({count})": paint
        for one, paint, count in zip(classes, paints, counts, strict=True)
    }
    if entries:
        figure.legend(
            handles=legend_lines(entries),
            loc="lower right",
            ncols=len(entries),
            frameon=False,
            fontsize=10,
            bbox_to_anchor=(1, 0.0),
        )
    notice(figure)
    return rendered(figure)


def _lightened(rgb: Rgb) -> Rgb:
    red, green, blue = ((2 * value + 255) // 3 for value in rgb)
    return red, green, blue
