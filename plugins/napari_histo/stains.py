"""Stain vectors: estimated from the slide or from drawn regions, judged, seen, saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QFormLayout,
    QGroupBox,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QSizePolicy,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from histo.errors import HistoError
from histo.panel import Panel, load_panel, panel_names
from napari_histo.handing import hand_to_forms
from napari_histo.polygons import polygons_um
from napari_histo.run_bar import RunBar
from napari_histo.runner import Job, Outcome
from napari_histo.scrolled import scrolled
from napari_histo.session import Session
from napari_histo.settings_form import Choice
from napari_histo.stain_preview import StainPreview, stain_rgb, stain_title

__all__ = ["StainsWidget"]

#: Edge colours of drawn regions, in the order of the stains; told apart by everybody.
_EDGES = ("#4f9dff", "#ffb000", "#ff3d7f")
_FITS, _FAILS = "color: #3fae6a; font-weight: bold", "color: #e8663d; font-weight: bold"


class StainsWidget(QWidget):
    """Estimate stain vectors, compare them with the panel's, look at the stains, save a file.

    Parameters
    ----------
    napari_viewer : napari.Viewer
    """

    #: A file of vectors was saved: its path.
    saved = Signal(str)

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self.session = Session.of(napari_viewer)
        self.job = Job(self)
        self.preview = StainPreview(self.session, self)
        self.report: dict[str, Any] | None = None
        self._panel: Panel | None = None
        self._file = ""
        self._asked: tuple[Any, ...] = ()
        self._layers: dict[str, Any] = {}
        self.slide_label = QLabel()
        self.slide_label.setWordWrap(True)
        self.panel = Choice(self._ask_panel, "a panel of your own…")
        self.panel.setToolTip("Which stains the slide has, and which vectors to compare with.")
        self.regions = QGroupBox("Where one stain is alone (optional)")
        self.regions_layout = QVBoxLayout(self.regions)
        self.bar = RunBar(self.job, title="Estimate")
        self.bar.run.setToolTip(
            "Stains with a drawn region are measured there, the others estimated from a dozen\n"
            "fields spread over the tissue."
        )
        self.outcome = QWidget()
        self.verdict, self.words, self.figures = QLabel(), QLabel(), QLabel()
        self.table = QTableWidget(0, 3)
        self.show_stains = QCheckBox("Show each stain alone, where the view is")
        self.with_panel = QCheckBox("with the panel's vectors instead")
        self.save = QPushButton("Save vectors…")
        self.use = QPushButton("Use the file in the open forms")
        self.file = QLabel()
        self._buttons: dict[str, QPushButton] = {}
        self._lay_out()
        self.panel.offer(_brightfield())
        self.panel.chosen.connect(self._on_panel)
        self.bar.asked.connect(self.estimate)
        self.job.ended.connect(self._on_ended)
        self.show_stains.toggled.connect(self._on_preview)
        self.with_panel.toggled.connect(self._on_preview)
        self.save.clicked.connect(self._on_save)
        self.use.clicked.connect(self._on_use)
        self.session.slide_changed.connect(self._on_slide)
        self._on_panel()
        self._on_slide()

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.addRow("Slide", self.slide_label)
        form.addRow("Panel", self.panel)
        hint = QLabel("Blue nuclei without brown, brown without blue: a dozen cells each do.")
        hint.setWordWrap(True)
        self.regions_layout.addWidget(hint)
        inner = QVBoxLayout(self.outcome)
        inner.setContentsMargins(0, 0, 0, 0)
        for label in (self.verdict, self.words, self.figures, self.file):
            label.setWordWrap(True)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.table.setHorizontalHeaderLabels(["Stain", "OD in red, green, blue", "Off by"])
        self.table.horizontalHeaderItem(2).setToolTip(
            "Angle between this vector and the panel's; below 5° they are the same."
        )
        self.table.verticalHeader().hide()
        self.table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        self.table.setSelectionMode(QTableWidget.SelectionMode.NoSelection)
        self.table.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.table.horizontalHeader().setStretchLastSection(True)
        self.table.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.table.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self.with_panel.setToolTip("Look at the same place with the vectors of the panel.")
        self.save.setToolTip(
            "As a TOML file: choose it under Stains in 'Analyse a slide' and 'Run a folder',\n"
            "or histo run --stains FILE."
        )
        row = QHBoxLayout()
        row.addSpacing(20)
        row.addWidget(self.with_panel)
        for part in (self.verdict, self.table, self.words, self.figures, self.show_stains):
            inner.addWidget(part)
        inner.addLayout(row)
        for part in (self.save, self.file, self.use):
            inner.addWidget(part)
        layout = QVBoxLayout()
        layout.addLayout(form)
        for part in (self.regions, self.bar, self.outcome):
            layout.addWidget(part)
        layout.addStretch(1)
        self.outcome.hide()
        scrolled(self, layout)

    # What there is to work on

    def _ask_panel(self) -> str:
        title = "A panel of your own"
        return QFileDialog.getOpenFileName(self, title, "", "Panels (*.toml)")[0]

    def _on_panel(self) -> None:
        try:
            self._panel = load_panel(self.panel.value)
        except HistoError as error:
            self._panel = None
            self.bar.set_problem(str(error))
            return
        self._forget()
        self._offer_regions()
        self._check()

    def _on_slide(self) -> None:
        path = self.session.slide_path
        self.slide_label.setText("none" if path is None else path.name)
        self.slide_label.setToolTip("" if path is None else str(path))
        self._forget()
        self._check()

    def _check(self) -> None:
        problem = ""
        if self.session.slide_path is None:
            problem = "Open a slide first."
        elif self.session.pixel_size_um is None:
            problem = (
                "The slide states no pixel size, so that tissue cannot be told from glass; open it "
                "with one (Analyse a slide)."
            )
        elif self._panel is not None and self._panel.stains is None:
            problem = "This panel is for fluorescence, which is not unmixed; choose another."
        self.bar.set_problem(problem)

    def _forget(self) -> None:
        """Put away what was found out of another slide or panel."""
        self.report = None
        self.show_stains.setChecked(False)
        self.preview.hide()
        self.outcome.hide()

    # Regions

    def _stains(self) -> tuple[str, ...]:
        """Return the stains of the panel, without loading what unmixes them."""
        import tomllib
        from importlib.resources import files

        if self._panel is None or self._panel.stains is None:
            return ()
        name = str(self._panel.stains)
        text = (
            Path(name).read_text(encoding="utf-8")
            if name.endswith(".toml")
            else (files("histo") / "stain" / "matrices" / f"{name}.toml").read_text("utf-8")
        )
        return tuple(tomllib.loads(text)["stains"])

    def _offer_regions(self) -> None:
        for button in self._buttons.values():
            self.regions_layout.removeWidget(button)
            button.deleteLater()
        self._buttons = {}
        for index, stain in enumerate(self._stains()):
            button = QPushButton()
            button.setIcon(_swatch(_EDGES[index]))
            button.setToolTip(
                f"Draw polygons in which {stain_title(stain)} is the only stain; at least about\n"
                "a dozen cells. Delete shapes that went wrong with the layer's own controls."
            )
            button.clicked.connect(lambda _=False, at=index, name=stain: self._draw(name, at))
            self.regions_layout.addWidget(button)
            self._buttons[stain] = button
        self._count_regions()

    def _draw(self, stain: str, index: int) -> None:
        viewer = self.session.viewer
        layer = self._layers.get(stain)
        if layer is None or layer not in viewer.layers:
            layer = viewer.add_shapes(
                ndim=2,
                name=f"{stain_title(stain)} is alone here",
                edge_color=_EDGES[index],
                face_color="transparent",
                edge_width=1.0,
                units=("micrometer", "micrometer"),
                metadata={"histo": {"region_of": stain}},
            )
            layer.events.data.connect(self._count_regions)
            self._layers[stain] = layer
        viewer.layers.selection.active = layer
        layer.mode = "add_polygon"

    def drawn(self) -> dict[str, list[list[list[float]]]]:
        """Return the drawn regions: stain to polygons (y, x) in µm."""
        viewer = self.session.viewer
        found = {
            stain: [one.tolist() for one in polygons_um(self._layers[stain])]
            for stain in self._buttons
            if stain in self._layers and self._layers[stain] in viewer.layers
        }
        return {stain: polygons for stain, polygons in found.items() if polygons}

    def _count_regions(self, event: Any = None) -> None:
        numbers = {stain: len(polygons) for stain, polygons in self.drawn().items()}
        for stain, button in self._buttons.items():
            number = numbers.get(stain, 0)
            said = f"{number} region{'s' * (number != 1)}" if number else "from the whole slide"
            button.setText(f"Draw {stain_title(stain)}  ({said})")

    # Estimation

    def estimate(self) -> None:
        """Find the vectors in the child process."""
        arguments = {
            "slide": str(self.session.slide_path),
            "panel": self.panel.value,
            "regions": self.drawn(),
        }
        try:
            self.job.ask("stains", arguments)
        except HistoError as error:
            self.bar.say(str(error), wrong=True)
            return
        self._asked = (self.session.slide_path, self.panel.value)
        self.bar.begin()

    def _on_ended(self, outcome: Outcome) -> None:
        if outcome.status != "finished" or outcome.value is None:
            return
        if self._asked != (self.session.slide_path, self.panel.value):
            self.bar.say("The slide or the panel has changed meanwhile; estimate again.")
            return
        self.report = outcome.value
        self.bar.say("")
        self._show()

    def _show(self) -> None:
        report = self.report
        if report is None:
            return
        head, *rest = report["words"]
        self.verdict.setText(head)
        self.verdict.setStyleSheet(_FITS if report["passed"] else _FAILS)
        self.words.setText("\n".join(f"•  {sentence}" for sentence in rest))
        self.words.setVisible(bool(rest))
        self.table.setRowCount(len(report["stains"]))
        for row, (stain, vector) in enumerate(
            zip(report["stains"], report["vectors"], strict=True)
        ):
            name = QTableWidgetItem(_swatch(_hex(vector)), stain_title(stain))
            numbers = QTableWidgetItem("   ".join(f"{value:.3f}" for value in vector))
            drift = QTableWidgetItem(f"{report['drift_deg'][stain]:.1f}°")
            for column, item in enumerate((name, numbers, drift)):
                self.table.setItem(row, column, item)
        rows = sum(self.table.rowHeight(row) for row in range(self.table.rowCount()))
        header = self.table.horizontalHeader().sizeHint().height()
        self.table.setFixedHeight(rows + header + 4)
        self.figures.setText(_figures(report))
        self.file.hide()
        self.use.hide()
        self.outcome.show()
        self._on_preview()

    # Preview and file

    def _on_preview(self, checked: bool = False) -> None:
        self.with_panel.setEnabled(self.show_stains.isChecked())
        if not self.show_stains.isChecked() or self.report is None:
            self.preview.hide()
            return
        report = self.report
        vectors = report["panel_vectors" if self.with_panel.isChecked() else "vectors"]
        stains = dict(zip(report["stains"], vectors, strict=True))
        self.preview.show(report["name"], stains, report["white_point"])

    def _on_save(self) -> None:
        slide = self.session.slide_path
        if slide is None:
            return
        proposal = str(slide.with_name(f"{slide.name.split('.')[0]}-stains.toml"))
        path = QFileDialog.getSaveFileName(
            self, "Save the vectors", proposal, "Stain vectors (*.toml)"
        )[0]
        if path:
            self.save_as(path if path.endswith(".toml") else f"{path}.toml")

    def save_as(self, path: str) -> None:
        """Write the vectors that were found."""
        from histo.stain import StainMatrix, save_stains

        report = self.report
        if report is None:
            return
        try:
            found = StainMatrix(
                Path(path).stem,
                tuple(report["stains"]),
                report["vectors"],
                provisional=tuple(report["provisional"]),
                flags=tuple(report["flags"]),
            )
            save_stains(found, path)
        except HistoError as error:
            self.bar.say(str(error), wrong=True)
            return
        self.file.setText(
            f"Saved as {Path(path).name}. Choose it under Stains in 'Analyse a slide', or\n"
            f'histo run --stains "{path}"'
        )
        self._file = path
        self.file.show()
        self.use.show()
        self.saved.emit(path)

    def _on_use(self) -> None:
        taken = hand_to_forms(self.session, "stains", self._file)
        words = f"Chosen in {', '.join(taken)}." if taken else (
            "Open 'Analyse a slide', and choose the file under Stains."
        )  # fmt: skip
        self.bar.say(words)


def _brightfield() -> list[tuple[str, str]]:
    panels = [load_panel(name) for name in panel_names()]
    return [(panel.title, panel.name) for panel in panels if panel.stains is not None]


def _figures(report: dict[str, Any]) -> str:
    """Write the figures behind the verdict, in a line each."""
    values = report["values"]
    lines = [
        f"{stain_title(one)} and {stain_title(other)} lie {angle:.0f}° apart"
        for one, other, angle in report["angles"]
    ]
    lines.append(f"condition number {values['condition_number']:.1f} (at most 10)")
    if values["residual_fraction"] is not None:
        lines.append(f"colour left unexplained {values['residual_fraction']:.1%} (at most 15 %)")
    if values["negative_fraction"] is not None:
        lines.append(f"pixels with less than none {values['negative_fraction']:.1%} (at most 5 %)")
    if values["saturated_fraction"] is not None:
        lines.append(f"pixels too dark {values['saturated_fraction']:.1%} (at most 1 %)")
    white = " ".join(f"{value:.0f}" for value in report["white_point"])
    source = "from the glass" if report["white_point_source"] == "background" else "assumed"
    lines.append(f"white point {white}, {source}")
    return "\n".join(lines)


def _hex(vector: list[float]) -> str:
    return QColor.fromRgbF(*stain_rgb(vector, od=0.8)).name()


def _swatch(colour: str) -> QIcon:
    pixmap = QPixmap(14, 14)
    pixmap.fill(QColor(colour))
    return QIcon(pixmap)
