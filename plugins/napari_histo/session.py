"""The one controller of a viewer: what is open, what is selected; widgets show it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakKeyDictionary, ref

import numpy as np
import numpy.typing as npt
from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_histo.layers import (
    SHOWN_POINTS,
    CallCodes,
    colours_of,
    drawn_ids,
    folder_layers,
    positive_points,
    recolour,
)
from napari_histo.region_layers import is_of_regions, region_layers

if TYPE_CHECKING:
    from histo.review import Review

__all__ = ["Session"]

#: How much of the slide is seen when the view flies to a cell.
CELL_FIELD_UM = 120.0
#: Points follow when nothing was changed for so long: a drag must not wait for them.
_QUIET_MS = 150


class Session:
    """State of one napari viewer.

    Parameters
    ----------
    viewer : napari.Viewer
        Use :meth:`of`, which makes one session a viewer.

    Attributes
    ----------
    review : Review or None
        The result that is open.
    selected : int or None
        The ``cell_id`` that is selected.
    """

    slide_changed = Signal()
    review_changed = Signal()
    calls_changed = Signal()
    selected_changed = Signal()
    said = Signal(str)

    _all: ClassVar[WeakKeyDictionary[Any, Session]] = WeakKeyDictionary()

    def __init__(self, viewer: Any) -> None:
        self._viewer = ref(viewer)
        self.review: Review | None = None
        self.selected: int | None = None
        #: Gets the clicks (y, x in µm) that else select a cell.
        self.takes_click: Callable[[float, float], None] | None = None
        #: Asked before a result that is not saved is closed: says whether to save it.
        self.asks_to_save: Callable[[], bool] | None = None
        self._folder: Path | None = None
        self._edits_drawn: tuple[int, ...] = ()
        self._slide_seen: Path | None = None
        self._quiet = QTimer()
        self._quiet.setSingleShot(True)
        self._quiet.timeout.connect(self.repoint)
        layers = viewer.layers
        layers.events.inserted.connect(self._on_inserted)
        layers.events.removed.connect(self._on_slide)
        layers.selection.events.changed.connect(self._on_slide)
        viewer.mouse_drag_callbacks.append(self._on_press)
        self._on_slide()
        self._adopt()

    @classmethod
    def of(cls, viewer: Any) -> Session:
        """Return the session of a viewer; it is made on first use."""
        # Plugins get a proxy, a new one for each widget.
        viewer = getattr(viewer, "__wrapped__", viewer)
        if viewer not in cls._all:
            cls._all[viewer] = cls(viewer)
        return cls._all[viewer]

    @property
    def viewer(self) -> Any:
        """The viewer; it is not kept alive by its session."""
        return self._viewer()

    def say(self, sentence: str) -> None:
        """Tell the reader something: in the status bar, and in the widgets that listen."""
        self.viewer.status = sentence
        self.said.emit(sentence)

    # The slide

    def _slide(self) -> dict[str, Any]:
        layers = [*self.viewer.layers]
        chosen = [layer for layer in layers if layer in self.viewer.layers.selection]
        for layer in (*chosen, *reversed(layers)):
            facts = layer.metadata.get("histo", {})
            if "path" in facts:
                return dict(facts)
        return {}

    @property
    def slide_path(self) -> Path | None:
        """File of the slide that is selected, else of the one opened last."""
        path = self._slide().get("path")
        return None if path is None else Path(path)

    @property
    def pixel_size_um(self) -> float | None:
        """Pixel size of level 0, in micrometres; None when the file states none."""
        return self._slide().get("pixel_size_um")

    @property
    def reviewed_slide(self) -> Path | None:
        """The open slide that the open result is of; None when it is not open."""
        if self.review is None:
            return None
        wanted = str(self.review.manifest.get("input", {}).get("file", ""))
        for layer in self.viewer.layers:
            path = layer.metadata.get("histo", {}).get("path")
            if path is not None and Path(path).name == wanted:
                return Path(path)
        return None

    def _on_slide(self, event: Any = None) -> None:
        if self.viewer is not None and self.slide_path != self._slide_seen:
            self._slide_seen = self.slide_path
            if self.pixel_size_um is not None:  # a reader of napari cannot touch the viewer
                self.viewer.scale_bar.visible = True
            self.slide_changed.emit()

    # The result

    def open_result(self, folder: str | Path) -> None:
        """Open the result of a slide, over the slide if that is open or can be found.

        Parameters
        ----------
        folder : path

        Raises
        ------
        histo.errors.HistoError
            If it is no result that can be reviewed.
        """
        from histo.review import Review

        folder = Path(folder)
        review = Review.open(folder)
        self.close_result()
        self._find_slide(review)
        self._begin(review)
        for data, settings, kind in folder_layers(folder, review.cells):
            getattr(self.viewer, f"add_{kind}")(data, **settings)
        self._opened()

    def close_result(self) -> None:
        """Close the result and take its layers away; what is not saved is asked about."""
        if self.review is None:
            return
        self._ask_to_save()
        layers = self._own_layers()
        self._end()
        for layer in layers:
            if layer in self.viewer.layers:
                self.viewer.layers.remove(layer)
        self.review_changed.emit()
        self.selected_changed.emit()

    def refresh(self) -> None:
        """Show what was changed in the review: colours and widgets now, points when it is quiet."""
        if self.review is None:
            return
        self.recolour()
        self.calls_changed.emit()
        self._quiet.start(_QUIET_MS)

    def recolour(self) -> None:
        """Show the calls of the review in the nuclei; quick, whatever their number."""
        layer, review = self.nuclei, self.review
        if layer is None or review is None:
            return
        codes = self._codes(layer)
        codes.call(review.cells)
        edits = tuple(edit.number for edit in review.edits)
        if edits != self._edits_drawn:
            self._edits_drawn = edits
            codes.draw({cell: review.outline(cell) for cell in drawn_ids(review.cells)})
        recolour(layer)

    def repoint(self) -> None:
        """Move the points to the cells that are positive now; slower than the colours."""
        layer = next((one for one in self._own_layers() if _is(one, "Points")), None)
        if layer is None or self.review is None:
            return
        places, settings = positive_points(self.review.cells)
        layer.selected_data = set()
        with layer.events.blocker_all():
            layer.data = places
            layer.features = settings["features"]
            if len(places):
                layer.face_color = settings["face_color"]
        if len(places) > SHOWN_POINTS:
            layer.visible = False
        layer.refresh()

    def save(self) -> None:
        """Write the result anew, with the thresholds and edits of the review."""
        if self.review is not None:
            self.review.save()
            self.say(f"{self.review.name} is saved.")
            self.calls_changed.emit()

    def reload(self) -> None:
        """Read the open result again, after another process wrote it.

        Cut-offs that are not saved stay as they are.
        """
        from histo.review import Review

        former = self.review
        if former is None:
            return
        review = Review.open(former.folder, reader=former.reader)
        if review.requests != former.requests:
            names = review.panel.marker_names
            review.set_thresholds({name: former.requests.get(name) for name in names})
        self.review = review
        self.refresh()

    def show_regions(self) -> None:
        """Show the regions of the open result anew, after it was divided."""
        layers, chosen = self.viewer.layers, self.viewer.layers.selection.active
        for layer in [one for one in self._own_layers() if is_of_regions(one)]:
            layers.remove(layer)
        for data, settings, kind in region_layers(self._folder) if self._folder else ():
            layer = getattr(self.viewer, f"add_{kind}")(data, **settings)
            if kind == "labels" and self.nuclei is not None:
                layers.move(layers.index(layer), layers.index(self.nuclei))
        layers.selection.active = chosen if chosen in layers else None

    @property
    def unsaved(self) -> bool:
        """Whether the tables and pictures on disk lack cut-offs or edits of the review."""
        return self.review is not None and not self.review.is_saved

    def _ask_to_save(self) -> None:
        if self.unsaved and self.asks_to_save is not None and self.asks_to_save():
            self.save()

    def _begin(self, review: Review) -> None:
        self.review, self._folder = review, Path(review.folder)
        self.selected, self._edits_drawn = None, ()

    def _end(self) -> None:
        self.review, self._folder, self.selected = None, None, None
        self.takes_click = None

    def _opened(self) -> None:
        self.recolour()
        self.review_changed.emit()
        self.selected_changed.emit()
        if self.review is not None and self.review.note:
            self.say(self.review.note)
        elif self.review is not None and self.reviewed_slide is None:
            name = self.review.manifest.get("input", {}).get("file", "the slide")
            self.say(f"{name} is not open, nor beside its result; open it to see the cells.")

    def _find_slide(self, review: Review) -> None:
        """Open the result's slide when it is not open and lies beside the result."""
        from napari_histo.reader import read_slide

        name = str(review.manifest.get("input", {}).get("file", ""))
        opened = (layer.metadata.get("histo", {}).get("path") for layer in self.viewer.layers)
        if not name or any(path is not None and Path(path).name == name for path in opened):
            return
        folder = Path(review.folder).resolve()
        for place in (folder.parent, folder.parent.parent):
            if (place / name).is_file():
                for data, settings, _ in read_slide(place / name):
                    self.viewer.add_image(data, **settings)
                return

    def _own_layers(self) -> list[Any]:
        if self._folder is None or self.viewer is None:
            return []
        return [layer for layer in self.viewer.layers if _folder_of(layer) == self._folder]

    @property
    def nuclei(self) -> Any:
        """The labels layer of the open result that shows its cells; None without one."""
        labels = (one for one in self._own_layers() if _is(one, "Labels"))
        return next((one for one in labels if not is_of_regions(one)), None)

    @property
    def result_layers(self) -> list[Any]:
        """The layers of the open result."""
        return self._own_layers()

    @staticmethod
    def _codes(layer: Any) -> CallCodes:
        codes: CallCodes = layer.data[0].codes
        return codes

    def _on_inserted(self, event: Any) -> None:
        if self.viewer is None:
            return
        if is_of_regions(event.value):
            event.value.editable = False
        if _is(event.value, "Labels") and _folder_of(event.value) is not None:
            # napari must not be changed while it tells of a change.
            event.value.editable = False
            QTimer.singleShot(0, self._adopt)
        self._on_slide()

    def _adopt(self) -> None:
        """Open the review of a result that was dropped on the viewer."""
        if self.viewer is None:
            return
        dropped = [one for one in self.viewer.layers if _is(one, "Labels") and _folder_of(one)]
        folder = _folder_of(dropped[-1]) if dropped else None
        if folder is None or folder == self._folder:
            self.recolour()
            return
        from histo.errors import HistoError
        from histo.review import Review

        try:
            review = Review.open(folder)
        except HistoError as error:
            self.say(str(error))
            return
        self.close_result()
        self._begin(review)
        self._opened()

    # Cells

    def select(self, cell_id: int | None) -> None:
        """Select a cell; a ring is drawn around it."""
        if cell_id == self.selected:
            return
        self.selected = cell_id
        self.mark(() if cell_id is None else (cell_id,))
        self.selected_changed.emit()

    def mark(self, cells: Iterable[int]) -> None:
        """Draw a ring around these cells, and around no others."""
        layer = self.nuclei
        if layer is not None:
            self._codes(layer).marked = tuple(cells)
            recolour(layer)

    def outline_only(self, outlined: bool) -> None:
        """Show nuclei by their borders, so that the stain in them is seen, or filled."""
        layer = self.nuclei
        if layer is not None:
            codes = self._codes(layer)
            codes.outlined = outlined
            layer.colormap = colours_of(codes)
            recolour(layer)

    def cell_at(self, y_um: float, x_um: float) -> int | None:
        """Return the ``cell_id`` at a place; None where no cell lies."""
        layer = self.nuclei
        return None if layer is None else (layer.data[0].cell_at(y_um, x_um) or None)

    def _on_press(self, viewer: Any, event: Any) -> Iterator[None]:
        """Tell a click from a drag; a click selects the cell below it."""
        start = np.array(event.pos, np.float64)
        yield
        while event.type == "mouse_move":
            if np.abs(np.array(event.pos, np.float64) - start).max() > 4:
                return
            yield
        active = viewer.layers.selection.active
        mode = str(getattr(active, "mode", "pan_zoom"))
        if self.review is None or event.button != 1 or mode not in ("pan_zoom", "transform"):
            return
        y_um, x_um = (float(value) for value in event.position[-2:])
        if self.takes_click is not None:
            self.takes_click(y_um, x_um)
        else:
            self.select(self.cell_at(y_um, x_um))

    # The view

    def fly_to(self, y_um: float, x_um: float, *, field_um: float | None = None) -> None:
        """Bring a place of the slide to the middle of the window.

        Parameters
        ----------
        y_um, x_um : float
        field_um : float, optional
            Shorter side of what is seen then, in micrometres; by default the zoom is kept,
            unless single cells could not be made out.
        """
        camera, shorter = _camera(self.viewer), min(_canvas_size(self.viewer))
        if field_um is None and shorter / camera.zoom > 2 * CELL_FIELD_UM:
            field_um = CELL_FIELD_UM
        if field_um is not None:
            camera.zoom = shorter / field_um
        camera.center = (0.0, float(y_um), float(x_um))

    def view_um(self) -> tuple[float, float, float, float]:
        """Return y0, x0, y1, x1 of what is seen, in micrometres."""
        camera = _camera(self.viewer)
        y, x = camera.center[-2:]
        height, width = (side / camera.zoom / 2 for side in _canvas_size(self.viewer))
        return float(y - height), float(x - width), float(y + height), float(x + width)

    def shapes_um(self) -> list[npt.NDArray[np.float64]]:
        """Return the polygons (N, 2) y, x in µm of the selected Shapes layer, else of the last."""
        # What the plugin itself draws, such as hot spots, was not drawn by the reader.
        layers = [
            one
            for one in self.viewer.layers
            if _is(one, "Shapes") and "drawn" not in one.metadata.get("histo", {})
        ]
        chosen = [one for one in layers if one in self.viewer.layers.selection] or layers[-1:]
        return [
            np.array([layer.data_to_world(corner) for corner in _border(shape, kind)])[:, -2:]
            for layer in chosen
            for shape, kind in zip(layer.data, layer.shape_type, strict=True)
        ]


def _border(shape: npt.NDArray[np.floating], kind: str) -> npt.NDArray[np.float64]:
    """Return the corners of a shape; napari keeps of an ellipse those of the box around it."""
    corners = np.asarray(shape, np.float64)
    if kind != "ellipse":
        return corners
    angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)[:, None]
    across, down = (corners[1] - corners[0]) / 2, (corners[3] - corners[0]) / 2
    return np.asarray(corners.mean(axis=0) + np.cos(angle) * across + np.sin(angle) * down)


def _is(layer: Any, kind: str) -> bool:
    return type(layer).__name__ == kind


def _folder_of(layer: Any) -> Path | None:
    folder = layer.metadata.get("histo", {}).get("folder")
    return None if folder is None else Path(folder)


def _camera(viewer: Any) -> Any:
    # Before 0.9 the camera was the viewer's own.
    return getattr(viewer, "scene", viewer).camera


def _canvas_size(viewer: Any) -> tuple[float, float]:
    """Return height and width of the canvas, in its pixels."""
    canvas = getattr(viewer, "canvas", None)
    height, width = canvas.size if canvas is not None else viewer._canvas_size
    return float(height), float(width)
