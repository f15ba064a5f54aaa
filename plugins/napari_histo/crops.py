"""Small pictures of cells, read from the slide."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from histo.geometry import Region

if TYPE_CHECKING:
    from histo.panel import Panel

__all__ = ["Crops"]

#: Side of what is shown around a cell, and the finest pixels worth reading.
SIDE_UM, FINEST_UM = 24.0, 0.25


class Crops:
    """Reads squares of a slide as the eye sees them.

    Parameters
    ----------
    path : Path
        The slide; it stays open until :meth:`close`.
    panel : Panel
        Says which channels are mixed, nuclei first.
    pixel_size_um : float, optional
        Of level 0, where the file states none.

    Raises
    ------
    histo.errors.HistoError
        If the slide cannot be opened, or has not the panel's channels.
    """

    def __init__(self, path: Path, panel: Panel, *, pixel_size_um: float | None = None) -> None:
        from histo.slide import open_slide

        self._slide = open_slide(path, pixel_size_um=pixel_size_um)
        self.pixel_size_um = max(self._slide.pixel_size_um, FINEST_UM)
        self._channels: list[int] = []
        self._limits: list[tuple[float, float]] = []
        if panel.kind == "channels":
            self._choose_channels(panel)

    def _choose_channels(self, panel: Panel) -> None:
        numbers = panel.resolve_channels(self._slide.channel_names)
        nuclear = numbers[panel.channel_names.index(str(panel.nuclear_channel))]
        marked = [numbers[panel.channel_names.index(one.plane)] for one in panel.markers]
        self._channels = [nuclear, *(one for one in marked if one != nuclear)]
        small = self._slide.thumbnail(1024)
        for channel in self._channels:
            low, high = (float(v) for v in np.percentile(small[..., channel], (5, 99.8)))
            self._limits.append((low, max(high, low + 1e-6)))

    def read(self, y_um: float, x_um: float) -> tuple[npt.NDArray[np.uint8], tuple[float, float]]:
        """Read the square around a place.

        Parameters
        ----------
        y_um, x_um : float

        Returns
        -------
        rgb : uint8 (S, S, 3)
        corner : (float, float)
            Where its top left corner lies (y, x), µm.
        """
        from histo.results import show_channels

        um = self.pixel_size_um
        side = round(SIDE_UM / um)
        top, left = round(y_um / um - side / 2), round(x_um / um - side / 2)
        pixels = self._slide.read(Region(top, left, side, side), um)
        if self._channels:
            pixels = show_channels(pixels[..., self._channels], self._limits)
        return np.ascontiguousarray(pixels, np.uint8), (top * um, left * um)

    def close(self) -> None:
        """Close the slide."""
        self._slide.close()
