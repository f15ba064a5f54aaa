"""The layer "Drawn regions": areas and strokes, each with a class, that a reader draws."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
from psygnal import Signal

from napari_histo.polygons import AREAS, outline_um
from napari_histo.regions_file import HOLE, DrawnRegion
from napari_histo.session import Session

__all__ = ["CLASSES", "LAYER", "DrawnRegions"]

LAYER = "Drawn regions"
CLASSES = ("Tumor", "Stroma", "Necrosis", "Other")

#: As wide as the brush that histo takes a stroke for.
_STROKE_UM = 12.0
_EDGE_UM, _FILL = 3.0, 0.2
_KEPT_STEPS = 50
#: What the metadata say of the layer; see `Session.shapes_um`.
_DRAWN = "regions"
#: What the layer is told to do for each tool.
_MODES = {"polygon": "add_polygon", "lasso": "add_polygon_lasso", "stroke": "add_path"}


class DrawnRegions:
    """What a reader has drawn on the slide at hand, and how to take back what was done.

    Parameters
    ----------
    session : Session

    Attributes
    ----------
    name : str
        The class that is drawn with.
    """

    changed = Signal()

    def __init__(self, session: Session) -> None:
        self._session = session
        self.name = CLASSES[0]
        self._layer: Any = None
        self._now: tuple[DrawnRegion, ...] = ()
        self._past: list[tuple[DrawnRegion, ...]] = []
        self._quiet = False
        layers = session.viewer.layers
        layers.events.removed.connect(self._on_removed)
        # Of a widget that was closed meanwhile.
        former = [one for one in layers if one.metadata.get("histo", {}).get("drawn") == _DRAWN]
        if former:
            self._hold(former[-1])
            self._now = self._read()

    @property
    def layer(self) -> Any:
        """The layer; None before something is drawn."""
        return self._layer

    @property
    def regions(self) -> tuple[DrawnRegion, ...]:
        """What is drawn, in µm."""
        return self._now

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to take back."""
        return bool(self._past)

    def counts(self) -> dict[str, tuple[int, int]]:
        """Return how many areas and strokes there are of each class that occurs."""
        found = Counter((one.name, one.is_area) for one in self._now)
        names = dict.fromkeys(one.name for one in self._now)
        return {name: (found[name, True], found[name, False]) for name in names}

    def draw(self, tool: str) -> None:
        """Let the reader draw with a tool: polygon, lasso or stroke."""
        layer = self._ready()
        self._session.viewer.layers.selection.active = layer
        layer.selected_data = set()
        layer.mode = _MODES[tool]

    def use(self, name: str) -> None:
        """Choose the class that is drawn with from now on."""
        self.name = name

    def relabel(self, name: str) -> int:
        """Give the selected shapes another class; return how many those are."""
        chosen = self._chosen()
        if chosen:
            table = self._layer.features.copy()
            table.loc[chosen, "class"] = name
            with self._silent():
                self._layer.features = table
                self._paint()
            self._note()
        return len(chosen)

    def delete(self) -> int:
        """Delete the selected shapes; return how many those were."""
        chosen = self._chosen()
        if chosen:
            self._layer.remove_selected()
            self._note()
        return len(chosen)

    def undo(self) -> None:
        """Take back the last step."""
        if self._past:
            before = self._past.pop()
            self._show(before)
            self._now = before
            self.changed.emit()

    def add(self, regions: Sequence[DrawnRegion]) -> None:
        """Add regions to what is drawn, as one step."""
        if regions:
            self._show((*self._now, *regions))
            self._note()

    def restart(self, regions: Sequence[DrawnRegion] = ()) -> None:
        """Begin anew, as for another slide: nothing can be taken back."""
        layer, self._layer = self._layer, None
        if layer is not None and layer in self._session.viewer.layers:
            self._session.viewer.layers.remove(layer)
        if regions:
            self._show(regions)
        self._now, self._past = tuple(regions), []
        self.changed.emit()

    # The layer

    def _ready(self) -> Any:
        if self._layer is None:
            import pandas as pd

            viewer = self._session.viewer
            layer = viewer.add_shapes(
                ndim=2,
                name=LAYER,
                features=pd.DataFrame({"class": pd.Series([], dtype=object)}),
                feature_defaults={"class": self.name},
                opacity=0.8,
                units=("micrometer", "micrometer"),
                metadata={"histo": {"drawn": _DRAWN}},
            )
            self._hold(layer)
        return self._layer

    def _hold(self, layer: Any) -> None:
        self._layer = layer
        layer.events.data.connect(self._on_data)

    def _on_removed(self, event: Any) -> None:
        if event.value is self._layer:
            self._layer = None
            self._note()

    def _on_data(self, event: Any) -> None:
        if self._quiet or self._layer is None:
            return
        action = str(getattr(event.action, "value", event.action))
        if action == "adding":
            self._prepare()
        elif action in ("added", "removed", "changed"):
            self._note()

    def _prepare(self) -> None:
        """Let the shape that is begun have the class and its colours."""
        layer = self._layer
        layer.selected_data = set()
        layer.feature_defaults = {"class": self.name}
        layer.current_edge_color = _rgba(self.name, 1.0)
        layer.current_face_color = _rgba(self.name, _FILL)
        is_stroke = str(layer.mode) in ("add_path", "add_polyline", "add_line")
        layer.current_edge_width = _STROKE_UM if is_stroke else _EDGE_UM

    def _note(self) -> None:
        """See what is drawn now; what was before can be had back."""
        now = self._read()
        former = self._now
        if len(now) == len(former) and all(map(DrawnRegion.same, now, former)):
            return
        self._past = [*self._past, former][-_KEPT_STEPS:]
        self._now = now
        self.changed.emit()

    def _read(self) -> tuple[DrawnRegion, ...]:
        layer = self._layer
        if layer is None:
            return ()
        if len(layer.features) > layer.nshapes:
            # napari drops a shape of too few corners without its row.
            with self._silent():
                layer.features = layer.features.iloc[: layer.nshapes]
        names = layer.features["class"].astype(str)
        shapes = zip(names, layer.data, layer.shape_type, strict=True)
        return tuple(
            DrawnRegion(name, outline_um(layer, shape, kind), is_area=kind in AREAS)
            for name, shape, kind in shapes
        )

    def _show(self, regions: Sequence[DrawnRegion]) -> None:
        """Put these regions into the layer instead of what is there."""
        import pandas as pd

        layer = self._ready()
        names = [one.name for one in regions]
        with self._silent():
            layer.selected_data = set()
            layer.remove(list(range(layer.nshapes)))
            if regions:
                layer.add(
                    [one.points_um for one in regions],
                    shape_type=["polygon" if one.is_area else "path" for one in regions],
                    edge_width=[_EDGE_UM if one.is_area else _STROKE_UM for one in regions],
                    edge_color=np.array([_rgba(name, 1.0) for name in names]),
                    face_color=np.array([_rgba(name, _FILL) for name in names]),
                )
            layer.features = pd.DataFrame({"class": pd.Series(names, dtype=object)})

    def _paint(self) -> None:
        """Give each shape the colours of its class."""
        names = self._layer.features["class"].astype(str)
        self._layer.edge_color = np.array([_rgba(name, 1.0) for name in names])
        self._layer.face_color = np.array([_rgba(name, _FILL) for name in names])

    def _chosen(self) -> list[int]:
        return [] if self._layer is None else sorted(int(i) for i in self._layer.selected_data)

    @contextmanager
    def _silent(self) -> Iterator[None]:
        former, self._quiet = self._quiet, True
        try:
            yield
        finally:
            self._quiet = former


def _rgba(name: str, alpha: float) -> npt.NDArray[np.float64]:
    """Return the colour of a class, 0-1; holes are white lines."""
    from histo.results.annotations import class_colour

    rgb = (255, 255, 255) if name == HOLE else class_colour(name)
    return np.array([*rgb, 0.0 if name == HOLE and alpha < 1 else 255 * alpha]) / 255
