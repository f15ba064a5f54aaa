"""What all pictures share: size in pixels, a scale bar, a legend, the notice."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from histo.errors import ResultError
from histo.results.calls import Rgb
from histo.results.folder import replace_file
from histo.results.provenance import RESEARCH_USE

__all__ = ["write_png"]

DPI = 100
INK = "#1a1a1a"
SOFT = "#5f5f5f"
Image = npt.NDArray[np.uint8]


def write_png(path: str | Path, picture: Image) -> None:
    """Write a picture as PNG, replacing a former file in one step.

    Parameters
    ----------
    path : path
    picture : uint8 (Y, X, 3)
        RGB.

    Raises
    ------
    ResultError
        If it cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "white.png"
    >>> write_png(path, np.full((4, 6, 3), 255, np.uint8))
    >>> cv2.imread(str(path)).shape
    (4, 6, 3)
    """
    encoded, data = cv2.imencode(".png", np.ascontiguousarray(picture[..., ::-1]))
    if not encoded:
        raise ResultError(f"{Path(path).name}: a picture of {picture.shape} cannot be encoded.")
    with replace_file(path) as temporary:
        temporary.write_bytes(data.tobytes())


def new_figure(width_px: float, height_px: float) -> Figure:
    """Return an empty white figure of this size; it belongs to no global state."""
    figure = Figure(figsize=(width_px / DPI, height_px / DPI), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def rendered(figure: Figure) -> Image:
    """Return the figure as uint8 (Y, X, 3)."""
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    return np.array(canvas.buffer_rgba())[..., :3].copy()


def pixel_axes(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Add axes at a place given in pixels from the figure's top left corner."""
    total_x, total_y = figure.get_size_inches() * DPI
    axes: Axes = figure.add_axes(
        (left / total_x, 1 - (top + height) / total_y, width / total_x, height / total_y)
    )
    return axes


def image_axes(
    figure: Figure, picture: Image, *, left: float, top: float, zoom: float = 1.0
) -> Axes:
    """Show a picture; its data coordinates are pixels, (0, 0) the top left corner."""
    height, width = picture.shape[:2]
    axes = pixel_axes(figure, left, top, width * zoom, height * zoom)
    axes.imshow(
        picture,
        extent=(0, width, height, 0),
        interpolation="nearest" if zoom == round(zoom) and zoom <= 2 else "bicubic",
    )
    axes.set(xlim=(0, width), ylim=(height, 0), xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(color="#bbbbbb", linewidth=0.8)
    return axes


def text(figure: Figure, left: float, top: float, words: str, **style: Any) -> None:
    """Write words; their top left corner is given in pixels."""
    total_x, total_y = figure.get_size_inches() * DPI
    settings: dict[str, Any] = {"fontsize": 10, "color": INK, "va": "top", "ha": "left", **style}
    figure.text(left / total_x, 1 - top / total_y, words, **settings)


def notice(figure: Figure, left: float = 16) -> None:
    """Write the sentence that every picture carries along its lower edge."""
    height = figure.get_size_inches()[1] * DPI
    text(figure, left, height - 8, RESEARCH_USE, fontsize=8.5, color=SOFT, va="bottom")


def round_length(at_most_um: float) -> float:
    """Return the largest length of 1, 2 or 5 times a power of ten that is not above the given.

    Examples
    --------
    >>> round_length(730.0), round_length(49.0)
    (500.0, 20.0)
    """
    power = 10.0 ** math.floor(math.log10(at_most_um))
    return max(step * power for step in (1, 2, 5) if step * power <= at_most_um)


def scale_bar(axes: Axes, pixel_size_um: float, *, pixels_per_data: float = 1.0) -> None:
    """Draw a scale bar into the lower left corner of an image.

    ``pixels_per_data`` is the zoom at which the image is shown.
    """
    width, height = axes.get_xlim()[1], axes.get_ylim()[0]
    length_um = round_length(0.25 * width * pixel_size_um)
    length = length_um / pixel_size_um
    unit = 1 / pixels_per_data
    name = f"{length_um / 1000:g} mm" if length_um >= 1000 else f"{length_um:g} µm"
    x, y = 18 * unit, height - 22 * unit
    inside = max(length, 62 * unit)
    box = (x - 8 * unit, y - 27 * unit), inside + 16 * unit, 37 * unit
    axes.add_patch(Rectangle(*box, facecolor="white", edgecolor="none", alpha=0.85, zorder=3))
    axes.text(x, y - 6 * unit, name, va="bottom", fontsize=10, color="black", zorder=4)
    line: dict[str, Any] = {"color": "black", "linewidth": 3, "solid_capstyle": "butt", "zorder": 4}
    axes.plot([x, x + length], [y, y], **line)


def legend_lines(entries: Mapping[str, Rgb]) -> list[Line2D]:
    """Return one coloured line a name, for a legend."""
    return [
        Line2D([], [], color=unit_rgb(rgb), linewidth=2.5, label=name)
        for name, rgb in entries.items()
    ]


def channel_patches(channels: Mapping[str, Rgb]) -> list[Patch]:
    """Return one filled square a fluorescence channel, for a legend."""
    return [
        Patch(facecolor=unit_rgb(rgb), edgecolor=SOFT, linewidth=0.6, label=name)
        for name, rgb in channels.items()
    ]


def channel_legend(figure: Figure, channels: Mapping[str, Rgb]) -> None:
    """Name the fluorescence channels of a picture in its upper right corner."""
    if channels:
        figure.legend(
            handles=channel_patches(channels),
            loc="upper right",
            ncols=len(channels),
            frameon=False,
            fontsize=10,
            handlelength=1,
            handleheight=1,
            columnspacing=1.2,
        )


def unit_rgb(rgb: Rgb) -> tuple[float, float, float]:
    """Return an 8-bit colour as matplotlib wants it."""
    red, green, blue = rgb
    return red / 255, green / 255, blue / 255
