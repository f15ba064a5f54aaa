"""A lung section in one picture: lobes, airways, vessels, and every focus with its number."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from histo.results.annotations import mask_rings
from histo.results.drawing import (
    DPI,
    SOFT,
    Image,
    image_axes,
    new_figure,
    notice,
    rendered,
    scale_bar,
    text,
)

if TYPE_CHECKING:
    from histo.region import LungSection

__all__ = ["draw_lung"]

_MARGIN, _HEAD, _FOOT, _SIDE, _LINE = 16, 52, 34, 300, 21
_LONGEST_PX = 1500
_FOCUS, _REFUSED = "#e10064", "#7f7f7f"
#: What is outlined, in which colour, and of which names of `histo.region.LUNG_CODES`.
_OUTLINED = (
    ("lung", "#007a5a", ("parenchyma", "airspace", "airway", "vessel", "airway or vessel",
                         "lesion", "refused")),
    ("airway", "#56b4e9", ("airway",)),
    ("vessel", "#e69f00", ("vessel",)),
    ("airway or vessel", "#a0a0a0", ("airway or vessel",)),
)  # fmt: skip
_LISTED = 24


def draw_lung(picture: Image, section: LungSection, *, title: str) -> Image:
    """Draw what was found in a lung section.

    Parameters
    ----------
    picture : uint8 (Y, X, 3)
        The section that was looked at.
    section : LungSection
    title : str
        The slide's name.

    Returns
    -------
    uint8 (Y', X', 3)
        Foci are outlined and numbered, places that were refused have their reason beside them.

    Examples
    --------
    >>> from histo.region import find_lung
    >>> glass = np.full((60, 80, 3), 243, np.uint8)
    >>> draw_lung(glass, find_lung(glass, (243, 243, 243), pixel_size_um=4.0), title="a").ndim
    3
    """
    from histo.region import LUNG_CODES

    extent_um = np.array(section.codes.shape) * section.pixel_size_um
    zoom = min(1.0, _LONGEST_PX / max(picture.shape[:2]))
    size = tuple(max(1, round(n * zoom)) for n in picture.shape[1::-1])
    shown = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    height, width = shown.shape[:2]
    tall = max(height, (len(section.foci[:_LISTED]) + 12) * _LINE)
    figure = new_figure(width + _SIDE + 3 * _MARGIN, tall + _HEAD + _FOOT)
    text(figure, _MARGIN, 14, title, fontsize=13, weight="bold")
    axes = image_axes(figure, np.asarray(shown, np.uint8), left=_MARGIN, top=_HEAD)
    to_px = np.array([height, width]) / extent_um

    def outline(mask: npt.NDArray[np.bool_], colour: str, thick: float) -> None:
        for polygon in mask_rings(mask, section.pixel_size_um):
            for ring in polygon:
                y, x = (np.concatenate([ring, ring[:1]]) * to_px).T
                axes.plot(x, y, color=colour, linewidth=thick)

    for _, colour, names in _OUTLINED:
        outline(np.isin(section.codes, [LUNG_CODES.index(n) for n in names]), colour, 0.7)
    counted = np.isin(section.labels, [focus.focus_id for focus in section.foci])
    outline(counted & (section.labels > 0), _FOCUS, 1.4)
    frame = {"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 1}
    for focus in section.foci:
        y, x = np.array([focus.y_um, focus.x_um]) * to_px
        axes.text(x, y, str(focus.focus_id), color=_FOCUS, fontsize=10, weight="bold", bbox=frame)
    for place in section.refused:
        if place.diameter_um >= 60 and place.reason != "thin":
            y, x = np.array([place.y_um, place.x_um]) * to_px
            axes.text(x, y, place.reason, color=_REFUSED, fontsize=7, bbox=frame)
    scale_bar(axes, extent_um[1] / width)
    _legend(figure, section, left=width + 2 * _MARGIN)
    notice(figure)
    return rendered(figure)


def _legend(figure: Figure, section: LungSection, *, left: float) -> None:
    """Write the numbers, the colours, and the foci by size."""
    lobe, lesion = section.lobe_um2, section.lesion_um2
    burden = f"{100 * lesion / lobe:.2f} % of the lobes" if lobe else "no lung"
    lines = [
        f"{len(section.foci)} foci, {lesion / 1e6:.3g} mm²",
        burden,
        f"lobes with air {lobe / 1e6:.3g} mm²",
    ]
    top = float(_HEAD)
    for line in lines:
        text(figure, left, top, line, fontsize=11)
        top += _LINE
    handles = [Line2D([], [], color=_FOCUS, label="focus, with its number")]
    handles += [Line2D([], [], color=colour, label=name) for name, colour, _ in _OUTLINED]
    total_y = figure.get_size_inches()[1] * DPI
    total_x = figure.get_size_inches()[0] * DPI
    figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(left / total_x, 1 - (top + 4) / total_y),
        frameon=False,
        fontsize=9,
        borderaxespad=0,
        handlelength=1.4,
    )
    top += 20 + len(handles) * 17
    for focus in section.foci[:_LISTED]:
        cut = ", cut by the edge" if focus.touches_edge else ""
        words = f"{focus.focus_id}: {focus.diameter_um:,.0f} µm across{cut}"
        text(figure, left, top, words, fontsize=9, color=SOFT)
        top += 17
    if len(section.foci) > _LISTED:
        text(figure, left, top, "the others stand in foci.csv", fontsize=9, color=SOFT)
