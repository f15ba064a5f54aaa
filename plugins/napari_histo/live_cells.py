"""The cells of a run as they are found, tile by tile, as points."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["LIVE_NAME", "LiveCells"]

LIVE_NAME = "cells found so far"

#: Of more cells every second, third ... is shown: napari's points are slow, and the run goes on.
MOST_SHOWN = 3000
_SIZE_UM = 3.0


class LiveCells:
    """A layer that grows while a run goes on.

    Parameters
    ----------
    viewer : napari.Viewer
    scale : float
        Units of the viewer per µm of the run: not 1 where the user gave a pixel size that the
        slide is not shown with.
    """

    def __init__(self, viewer: Any, *, scale: float = 1.0) -> None:
        self._viewer = viewer
        self._places = np.zeros((0, 2), np.float32)
        # The layer that is worked with stays selected.
        former = set(viewer.layers.selection)
        self._layer: Any = viewer.add_points(
            self._places,
            ndim=2,
            name=LIVE_NAME,
            scale=(scale, scale),
            units=("micrometer", "micrometer"),
            size=_SIZE_UM,
            face_color="#ffffff",
            border_width=0,
            antialiasing=0,
        )
        viewer.layers.selection = former

    def add(self, y_um: list[float], x_um: list[float]) -> None:
        """Show more cells, unless the user has taken the layer away.

        Parameters
        ----------
        y_um, x_um : list of float
            Centroids in µm from the slide's top left corner.
        """
        new = np.array([y_um, x_um], np.float32).T
        self._places = np.concatenate([self._places, new])
        if self._layer in self._viewer.layers:
            self._layer.data = self._places[:: 1 + len(self._places) // MOST_SHOWN]
            # What is new is drawn like the rest, not as a selection.
            self._layer.selected_data = set()

    def remove(self) -> None:
        """Take the layer away."""
        if self._layer in self._viewer.layers:
            self._viewer.layers.remove(self._layer)
