"""Where positive cells are dense: a map and hot-spot discs, as layers over the slide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QVBoxLayout,
    QWidget,
)

from napari_histo.session import Session

if TYPE_CHECKING:
    from histo.review import Review
    from histo.space import Hotspot, Window

__all__ = ["DensityPanel"]

_SIGMAS_UM = (50, 100)
_HOT_SPOTS, _HOT_MM2 = 3, 0.25
_QUIET_MS = 250


class DensityPanel(QWidget):
    """Density map and hot spots of the cells of one class.

    Parameters
    ----------
    session : Session
    parent : QWidget, optional
    """

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.spots: list[Hotspot] = []
        self._window: tuple[object, object, Window] | None = None
        self._quiet = QTimer(self)
        self._quiet.setSingleShot(True)
        self._quiet.timeout.connect(self._update)
        self.cells_box = QComboBox()
        self.cells_box.setToolTip("Which cells are counted.")
        self.sigma_box = QComboBox()
        for sigma in _SIGMAS_UM:
            self.sigma_box.addItem(f"{sigma} µm", sigma)
        self.sigma_box.setToolTip("How far the map is smoothed: the standard deviation.")
        self.map_box = QCheckBox("Density map over the slide")
        self.spot_box = QCheckBox(f"Hot spots ({_HOT_MM2:g} mm² each)")
        self.spot_box.setToolTip(
            "The discs around a cell that hold the most cells, none over another.\n"
            "Densities are of the valid tissue in the disc, as in metrics.csv."
        )
        self.words = QLabel()
        self.words.setWordWrap(True)
        self.words.setTextFormat(Qt.TextFormat.RichText)
        self.words.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        form = QFormLayout()
        form.addRow("Cells", self.cells_box)
        form.addRow("Smoothed", self.sigma_box)
        boxes = QHBoxLayout()
        boxes.addWidget(self.map_box)
        boxes.addWidget(self.spot_box)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addLayout(boxes)
        layout.addWidget(self.words)
        layout.addStretch(1)
        self.cells_box.activated.connect(self._update)
        self.sigma_box.activated.connect(self._update)
        self.map_box.toggled.connect(self._update)
        self.spot_box.toggled.connect(self._update)
        session.review_changed.connect(self._on_review)
        session.calls_changed.connect(self._on_calls)
        self._on_review()

    def _on_review(self) -> None:
        review = self._session.review
        self.cells_box.clear()
        for name in review.panel.marker_names if review is not None else ():
            self.cells_box.addItem(f"{name.upper()}+ cells", name)
        self.cells_box.addItem("All cells", "")
        for box in (self.map_box, self.spot_box):
            box.blockSignals(True)
            box.setChecked(False)
            box.blockSignals(False)
        self.setEnabled(review is not None)
        self._update()

    def _on_calls(self) -> None:
        if self.map_box.isChecked() or self.spot_box.isChecked():
            self._quiet.start(_QUIET_MS)

    def _places(self, review: Review) -> npt.NDArray[np.float64]:
        cells, marker = review.cells, self.cells_box.currentData()
        counted = (cells["compartment"] != "excluded").to_numpy()
        if marker:
            counted = counted & cells[f"{marker}_positive"].to_numpy(bool)
        return cells.loc[counted, ["y_um", "x_um"]].to_numpy(np.float64)

    def _update(self, _: Any = None) -> None:
        """Show layers and words as the boxes say."""
        review = self._session.review
        self.spots = []
        if review is None:
            self.words.clear()
            return
        places = self._places(review)
        self._show_map(review, places)
        self._show_spots(review, places)
        self.words.setText(self._said())

    def _tissue(self, review: Review) -> Window:
        """Return valid tissue without what was excluded by hand."""
        from histo.pipeline.spatial import read_window

        regions = review.corrections.regions_um
        known = self._window
        if known is None or known[0] != review.folder or known[1] is not regions:
            known = self._window = review.folder, regions, read_window(review.folder, regions)
        return known[2]

    # The map

    def _layer(self, kind: str) -> Any:
        folder = str(self._session.review.folder) if self._session.review is not None else ""
        for layer in self._session.viewer.layers:
            facts = layer.metadata.get("histo", {})
            if facts.get("drawn") == kind and facts.get("folder") == folder:
                return layer
        return None

    def _facts(self, review: Review, kind: str) -> dict[str, Any]:
        return {"histo": {"result": review.name, "folder": str(review.folder), "drawn": kind}}

    def _show_map(self, review: Review, places: npt.NDArray[np.float64]) -> None:
        layer = self._layer("density")
        if not self.map_box.isChecked():
            if layer is not None:
                self._session.viewer.layers.remove(layer)
            return
        from histo.space import density_map

        window = self._tissue(review)
        found = density_map(places, window, sigma_um=float(self.sigma_box.currentData()))
        density, step = np.nan_to_num(found).astype(np.float32), window.pixel_size_um
        most = max(float(density.max()), 1e-6)
        name = f"{review.name} {self.cells_box.currentText()} per mm²"
        placed = {"scale": (step, step), "translate": (step / 2, step / 2)}
        if layer is None:
            layer = self._session.viewer.add_image(
                density,
                name=name,
                colormap=_clear_to_dense(),
                blending="translucent",
                interpolation2d="linear",
                contrast_limits=(0.0, most),
                units=("micrometer", "micrometer"),
                metadata=self._facts(review, "density"),
                **placed,
            )
            if hasattr(layer, "colorbar"):
                layer.colorbar.visible = True
        else:
            layer.data, layer.name = density, name
            layer.scale, layer.translate = placed["scale"], placed["translate"]
            layer.contrast_limits_range = (0.0, most)
            layer.contrast_limits = (0.0, most)

    # The hot spots

    def _show_spots(self, review: Review, places: npt.NDArray[np.float64]) -> None:
        layer = self._layer("hot spots")
        if not self.spot_box.isChecked():
            if layer is not None:
                self._session.viewer.layers.remove(layer)
            return
        from histo.space import find_hotspots

        window = self._tissue(review)
        self.spots = find_hotspots(places, window, area_mm2=_HOT_MM2, most=_HOT_SPOTS)
        ellipses = [
            np.array([[spot.y_um, spot.x_um], [spot.radius_um, spot.radius_um]])
            for spot in self.spots
        ]
        corners = [
            centre + radii * np.array([[-1, -1], [-1, 1], [1, 1], [1, -1]])
            for centre, radii in ellipses
        ]
        if layer is not None:
            self._session.viewer.layers.remove(layer)
        self._session.viewer.add_shapes(
            corners,
            shape_type="ellipse",
            ndim=2,
            name=f"{review.name} hot spots",
            face_color="transparent",
            edge_color="#00ebff",
            edge_width=4,
            features={"count": [spot.count for spot in self.spots]},
            text={"string": "{count}", "color": "#00ebff", "size": 14, "anchor": "upper_left"},
            units=("micrometer", "micrometer"),
            metadata=self._facts(review, "hot spots"),
        )

    def _said(self) -> str:
        if not self.spot_box.isChecked():
            return ""
        if not self.spots:
            return "There are no such cells."
        counts = [spot.count for spot in self.spots]
        per_mm2 = [spot.density_per_mm2 for spot in self.spots]
        lines = [
            f"Most: <b>{counts[0]:,} cells</b> in {self.spots[0].area_um2 / 1e6:.3g} mm² of tissue "
            f"(<b>{per_mm2[0]:,.0f} /mm²</b>)"
        ]
        if len(counts) > 1:
            lines.append(
                f"Mean of {len(counts)}: <b>{np.mean(counts):,.1f} cells</b> "
                f"({np.mean(per_mm2):,.0f} /mm²)"
            )
        else:
            lines.append("No second disc has room on the slide, or holds a cell.")
        for number, spot in enumerate(self.spots, 1):
            lines.append(
                f"{number}: {spot.count:,} cells at x {spot.x_um:,.0f}, y {spot.y_um:,.0f} µm"
            )
        return "<br>".join(lines)


def _clear_to_dense() -> Any:
    """Return colours that leave the slide clear where there are no cells."""
    from napari.utils.colormaps import Colormap

    colours = [(1, 0.9, 0.2, 0), (1, 0.75, 0.1, 0.35), (1, 0.4, 0, 0.55), (0.75, 0, 0.3, 0.75)]
    return Colormap(colours, name="cells per mm²")
