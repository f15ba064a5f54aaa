"""What is seen of a slide, unmixed into its stains: one layer a stain, that follows the view."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import QObject, QTimer

from napari_histo.session import Session

__all__ = ["StainPreview", "stain_rgb", "stain_title"]

#: So many pixels are unmixed at most, and so many at once: the window answers in between.
MOST_PX, AT_ONCE_PX = 1_500_000, 250_000
#: The view must rest so long before it is unmixed anew, and a changed window is seen so often.
_REST_MS, _LOOK_MS = 120, 400
#: So much more than what is seen is unmixed, on every side.
_MARGIN = 0.08

_TITLES = {"hematoxylin": "Haematoxylin", "dab": "DAB", "eosin": "Eosin", "red": "Red"}


def stain_title(stain: str) -> str:
    """Return a stain's name as it is written.

    Examples
    --------
    >>> stain_title("dab"), stain_title("vina")
    ('DAB', 'Vina')
    """
    return _TITLES.get(stain, stain.capitalize())


def stain_rgb(vector: Sequence[float], *, od: float = 1.0) -> tuple[float, float, float]:
    """Return the colour, 0-1, that a stain vector has at an optical density.

    Examples
    --------
    >>> [round(value, 2) for value in stain_rgb((0.0, 0.301, 1.0))]
    [1.0, 0.5, 0.1]
    """
    red, green, blue = (min(1.0, 10.0 ** -(od * float(value))) for value in vector)
    return red, green, blue


class StainPreview(QObject):
    """Layers in which each stain is seen alone, in OD, for the part of the slide that is seen.

    Parameters
    ----------
    session : Session
    parent : QObject, optional
    """

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._layers: dict[str, Any] = {}
        self._matrix: Any = None
        self._white: npt.NDArray[np.float64] = np.ones(3)
        self._image: Any = None
        self._work: list[tuple[int, int]] = []
        self._rgb: npt.NDArray[Any] = np.zeros((0, 0, 3), np.uint8)
        self._amounts: npt.NDArray[np.float32] = np.zeros((0, 0, 0), np.float32)
        self._place = (1.0, 0.0, 0.0)
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(_REST_MS)
        self._rest.timeout.connect(self._begin)
        self._view: tuple[float, ...] = ()
        # napari does not tell when the window changes its size.
        self._look = QTimer(self)
        self._look.setInterval(_LOOK_MS)
        self._look.timeout.connect(self._on_look)
        self._next = QTimer(self)
        self._next.setSingleShot(True)
        self._next.timeout.connect(self._unmix_some)

    @property
    def is_on(self) -> bool:
        """Whether the stains are shown."""
        return self._image is not None

    def show(self, name: str, stains: dict[str, list[float]], white_point: list[float]) -> None:
        """Show the stains of the slide that is open; with other vectors, show those.

        Parameters
        ----------
        name : str
            Of the set.
        stains : dict of str to (3,)
            Vector of each stain.
        white_point : (3,)
        """
        from histo.stain import StainMatrix

        image = self._slide_layer()
        if image is None:
            return
        self._matrix = StainMatrix(name, tuple(stains), np.array(list(stains.values())))
        self._white = np.array(white_point, np.float64)
        if self._image is None:
            camera = self._session.viewer.camera
            camera.events.center.connect(self._on_view)
            camera.events.zoom.connect(self._on_view)
            self._session.viewer.layers.events.removed.connect(self._on_removed)
        self._image = image
        self._look.start()
        self._begin()

    def hide(self) -> None:
        """Take the layers away."""
        if self._image is None:
            return
        viewer = self._session.viewer
        self._stop()
        layers, self._layers = self._layers, {}
        for layer in layers.values():
            if viewer is not None and layer in viewer.layers:
                viewer.layers.remove(layer)

    def _stop(self) -> None:
        self._image = None
        for timer in (self._rest, self._next, self._look):
            timer.stop()
        viewer = self._session.viewer
        if viewer is not None:
            viewer.camera.events.center.disconnect(self._on_view)
            viewer.camera.events.zoom.disconnect(self._on_view)
            viewer.layers.events.removed.disconnect(self._on_removed)

    def _slide_layer(self) -> Any:
        """Return the layer of the open slide, if it is a bright-field one."""
        path = self._session.slide_path
        for layer in self._session.viewer.layers:
            facts = layer.metadata.get("histo", {})
            if path is not None and facts.get("path") == str(path) and getattr(layer, "rgb", False):
                return layer
        return None

    def _on_view(self, event: Any = None) -> None:
        self._rest.start()

    def _on_look(self) -> None:
        viewer = self._session.viewer
        if viewer is not None and self._session.view_um() != self._view:
            self._rest.start()

    def _on_removed(self, event: Any) -> None:
        if event.value is self._image:
            self.hide()

    def _begin(self) -> None:
        """Read what is seen, at the level that the screen shows, and start to unmix it."""
        if self._image is None:
            return
        self._next.stop()
        um = float(self._image.scale[-1])
        levels = list(self._image.data) if self._image.multiscale else [self._image.data]
        self._view = self._session.view_um()
        y0, x0, y1, x1 = self._view
        y0, y1 = y0 - _MARGIN * (y1 - y0), y1 + _MARGIN * (y1 - y0)
        x0, x1 = x0 - _MARGIN * (x1 - x0), x1 + _MARGIN * (x1 - x0)
        for index, level in enumerate(levels):
            size = um * 2**index
            top, left = max(0, int(y0 / size)), max(0, int(x0 / size))
            bottom = min(level.shape[0], int(np.ceil(y1 / size)))
            right = min(level.shape[1], int(np.ceil(x1 / size)))
            if (bottom - top) * (right - left) <= MOST_PX or index == len(levels) - 1:
                break
        if bottom <= top or right <= left:
            return
        self._rgb = np.asarray(level[top:bottom, left:right])
        self._place = (size, (top + 0.5) * size, (left + 0.5) * size)
        height, width = self._rgb.shape[:2]
        self._amounts = np.zeros((height, width, len(self._matrix.stains)), np.float32)
        rows = max(1, AT_ONCE_PX // width)
        self._work = [(row, min(row + rows, height)) for row in range(0, height, rows)]
        self._unmix_some()

    def _unmix_some(self) -> None:
        """Unmix one piece; the next one when the window has answered what it has to."""
        from histo.stain import stain_concentrations

        if self._image is None:
            return
        start, stop = self._work.pop(0)
        self._amounts[start:stop] = stain_concentrations(
            self._rgb[start:stop], self._matrix, self._white
        )
        if self._work:
            self._next.start(0)
        else:
            self._show()

    def _show(self) -> None:
        size, y_um, x_um = self._place
        viewer = self._session.viewer
        for index, stain in enumerate(self._matrix.stains):
            amounts = np.ascontiguousarray(self._amounts[..., index])
            layer = self._layers.get(stain)
            if layer is None or layer not in viewer.layers:
                selected = set(viewer.layers.selection)
                layer = self._add(stain, amounts)
                # The slide stays the one that is selected.
                viewer.layers.selection = selected
            else:
                layer.data = amounts
            layer.scale, layer.translate = (size, size), (y_um, x_um)
            layer.colormap = _colormap(stain, self._matrix.vectors[index])

    def _add(self, stain: str, amounts: npt.NDArray[np.float32]) -> Any:
        layer = self._session.viewer.add_image(
            amounts,
            name=f"{stain_title(stain)} alone (OD)",
            contrast_limits=(0.0, 1.0),
            blending="opaque",
            units=self._image.units,
            metadata={"histo": {"stain": stain}},
            # The marker is looked at first: the counterstain hides below its eye.
            visible=stain == self._matrix.stains[-1],
        )
        self._layers[stain] = layer
        return layer


def _colormap(stain: str, vector: Sequence[float]) -> Any:
    """From glass to the stain's colour, as light would show it."""
    from napari.utils import Colormap

    steps = np.linspace(0, 1, 16)
    colours = [(*stain_rgb(vector, od=step), 1.0) for step in steps]
    return Colormap(colours, name=f"histo {stain}")
