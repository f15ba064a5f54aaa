"""The form of how slides are analysed; one slide's facts, if there is one, are held against it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qtpy.QtCore import QSettings, Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from histo.errors import HistoError
from histo.nuclei import list_models
from histo.panel import Marker, Panel, load_panel, panel_names, parse_threshold

__all__ = ["Choice", "OutputFolder", "SettingsForm", "SlideFacts"]

#: Output folders are remembered for so many folders of slides.
_REMEMBERED = 50


@dataclass(frozen=True, slots=True)
class SlideFacts:
    """What of a slide matters to the settings.

    Parameters
    ----------
    name : str
        File name.
    kind : {"brightfield", "channels"}
    channel_names : tuple of str
    dtype : str
    pixel_size_um : float, optional
        None when the file states none.
    source : str
        Who states the pixel size.

    Examples
    --------
    >>> SlideFacts("a.tif", "brightfield", ("R", "G", "B"), "uint8", None, "").pixel_size_um
    """

    name: str
    kind: str
    channel_names: tuple[str, ...]
    dtype: str
    pixel_size_um: float | None
    source: str

    @classmethod
    def of(cls, path: Path) -> SlideFacts:
        """Read the facts from a slide's header.

        Raises
        ------
        histo.errors.SlideError
            If it cannot be opened.
        """
        from histo.slide import open_slide

        with open_slide(path) as slide:
            size = slide.pixel_size
            return cls(
                path.name,
                slide.kind,
                tuple(slide.channel_names),
                str(slide.dtype),
                None if size is None else size.mean_um,
                "" if size is None else size.source,
            )


class Choice(QComboBox):
    """A few values under words, and perhaps one of the user's own by a file dialog.

    Parameters
    ----------
    ask : callable, optional
        Opens the dialog; returns a path, or an empty text.
    """

    chosen = Signal()

    def __init__(self, ask: Callable[[], str] | None = None, words: str = "") -> None:
        super().__init__()
        self._ask, self._words = ask, words
        self._former = 0
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(16)
        self.activated.connect(self._on_activated)

    def offer(self, items: list[tuple[str, str]]) -> None:
        """Show values (words, value) anew; the first one is chosen, or the one that was."""
        former = self.value
        self.clear()
        for words, value in items:
            self.addItem(words, value)
            self.setItemData(self.count() - 1, words, Qt.ItemDataRole.ToolTipRole)
        if self._ask is not None:
            self.addItem(self._words)
        if self._ask is not None and former and Path(former).exists():
            self._insert(former)
        self.setCurrentIndex(max(0, self.findData(former) if former else 0))
        self._former = self.currentIndex()

    @property
    def value(self) -> str:
        """The value that is chosen; empty stands for the first, when that is none."""
        return str(self.currentData() or "")

    def take(self, path: str) -> None:
        """Choose a value of the user's own."""
        self._insert(path)
        self._former = self.findData(path)
        self.setCurrentIndex(self._former)
        self.chosen.emit()

    def offer_own(self, path: str) -> None:
        """Show a value of the user's own; it is chosen only where nothing else is."""
        self._insert(path)
        if not self.value:
            self._former = self.findData(path)
            self.setCurrentIndex(self._former)

    def _insert(self, path: str) -> None:
        if self.findData(path) < 0:
            self.insertItem(self.count() - 1, Path(path).name, path)
            self.setItemData(self.count() - 2, path, Qt.ItemDataRole.ToolTipRole)

    def _on_activated(self, index: int) -> None:
        if self._ask is None or index < self.count() - 1:
            self._former = index
            self.chosen.emit()
            return
        self.setCurrentIndex(self._former)
        if path := self._ask():
            self.take(path)


class _ThresholdRow(QWidget):
    """Where a marker begins to be positive."""

    changed = Signal()

    def __init__(self, panel: Panel, marker: Marker) -> None:
        super().__init__()
        self._marker = marker.name
        own = marker.threshold_source
        if own == "panel" and marker.thresholds is not None:
            own = f"{marker.thresholds[0]:g}"
        items = [(f"panel: {own}", "")]
        if marker.thresholds is not None and marker.threshold_source != "panel":
            items.append((f"{marker.thresholds[0]:g}, the panel's number", "panel"))
        if marker.threshold_source != "auto":
            items.append(("auto, from each slide", "auto"))
        if marker.threshold_source != "learned" and _can_learn(panel, marker):
            items.append(("learned, by the model", "learned"))
        self.choice = Choice()
        self.choice.offer([*items, ("a number", "number")])
        unit = "OD" if panel.kind == "brightfield" else "intensity"
        self.number = QLineEdit()
        self.number.setPlaceholderText(f"1+, e.g. {_example(marker)}")
        self.number.setToolTip(
            f"{unit} from which a cell is 1+; or three numbers, for 1+, 2+ and 3+, with commas."
        )
        self.number.hide()
        row = QVBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.choice)
        row.addWidget(self.number)
        self.choice.chosen.connect(self._on_chosen)
        self.number.textChanged.connect(lambda _: self.changed.emit())

    def _on_chosen(self) -> None:
        self.number.setVisible(self.choice.value == "number")
        self.changed.emit()

    def request(self) -> Any:
        """Return the request, or None for the panel's own; ValueError says what is wrong."""
        if self.choice.value != "number":
            return self.choice.value or None
        text = self.number.text().strip().replace(";", ",")
        if not text:
            raise ValueError(f"Enter the number from which {self._marker.upper()} is positive.")
        request = parse_threshold(f"{self._marker}={text}")[1]
        return list(request) if isinstance(request, tuple) else request


def _can_learn(panel: Panel, marker: Marker) -> bool:
    try:
        panel.check_learned(marker)
    except HistoError:
        return False
    return True


def _example(marker: Marker) -> str:
    return f"{marker.thresholds[0]:g}" if marker.thresholds is not None else "400"


class SettingsForm(QWidget):
    """Panel, pixel size, thresholds, stains and model."""

    #: Something was entered.
    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._facts: SlideFacts | None = None
        self._rows: dict[str, _ThresholdRow] = {}
        self._panel: Panel | None = None
        self._panel_problem = ""
        self._markers_at = 3  # the row below the pixel size
        self._layout = QFormLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self.panel = Choice(self._ask_panel, "from a file…")
        self.panel.setToolTip("What the section was stained for, and how its cells are called.")
        self.pixel_size = QDoubleSpinBox()
        self.pixel_size.setDecimals(4)
        self.pixel_size.setRange(0.0, 10.0)
        self.pixel_size.setSingleStep(0.01)
        self.pixel_size.setSuffix(" µm")
        self.pixel_size.setToolTip("Side of a pixel of the scan; 0 takes what the file states.")
        self.pixel_hint = QLabel()
        self.model = Choice(self._ask_model, "from a folder…")
        self.model.setToolTip("The network that finds nuclei.")
        self.stains = Choice(self._ask_stains, "from a file…")
        self.stains.setToolTip("The colours of the stains, by which they are told apart.")
        self._layout.addRow("Panel", self.panel)
        self._layout.addRow("Pixel size", self.pixel_size)
        self._layout.addRow("", self.pixel_hint)
        self._layout.addRow("Stains", self.stains)
        self._layout.addRow("Model", self.model)
        self.panel.offer([(load_panel(name).title, name) for name in panel_names()])
        self.panel.chosen.connect(self._on_panel)
        self.pixel_size.valueChanged.connect(lambda _: self._on_entered())
        for choice in (self.model, self.stains):
            choice.chosen.connect(self.changed)
        self._on_panel()

    def add_row(self, words: str, field: QWidget, *, first: bool = False) -> None:
        """Add a row of the widget that the form is part of, at the end or before all others."""
        self._layout.insertRow(0 if first else self._layout.rowCount(), words, field)
        self._markers_at += first

    def set_slide(self, facts: SlideFacts | None) -> None:
        """Hold the settings against a slide; None: against none, as for many slides.

        A panel that does not fit its kind is replaced by the first that does.
        """
        self._facts = facts
        if facts is not None and self._panel is not None and self._panel.kind != facts.kind:
            for name in panel_names():
                if load_panel(name).kind == facts.kind:
                    self.panel.setCurrentIndex(self.panel.findData(name))
                    break
            self._on_panel()
        self._on_entered()

    def problem(self) -> str:
        """Return in a sentence why a run cannot start with this; empty when it can."""
        if self._panel is None:
            return self._panel_problem
        try:
            self._requests()
            if self._facts is not None:
                self._panel.check_slide(
                    self._facts.name,
                    self._facts.kind,
                    channel_names=self._facts.channel_names,
                    dtype=self._facts.dtype,
                )
        except (HistoError, ValueError) as error:
            return str(error)
        if self._pixel_size_is_missing():
            return (
                f"{self._facts.name if self._facts else 'The slide'}: the file states no pixel "
                "size; enter how many µm a pixel is."
            )
        return ""

    def settings(self) -> dict[str, Any]:
        """Return the arguments of `histo.pipeline.Settings`, as JSON takes them.

        Raises
        ------
        ValueError
            If a threshold is no number; :meth:`problem` says so before.
        """
        return {
            "panel": self.panel.value,
            "pixel_size_um": self.pixel_size.value() or None,
            "thresholds": self._requests(),
            "model": self.model.value or None,
            "stains": (self.stains.value or None) if self.stains.isEnabled() else None,
        }

    def _requests(self) -> dict[str, Any]:
        requests = {marker: row.request() for marker, row in self._rows.items()}
        return {marker: request for marker, request in requests.items() if request is not None}

    def _pixel_size_is_missing(self) -> bool:
        silent = self._facts is not None and self._facts.pixel_size_um is None
        return silent and not self.pixel_size.value()

    def _on_panel(self) -> None:
        for row in self._rows.values():
            self._layout.removeRow(row)
        self._rows = {}
        try:
            self._panel, self._panel_problem = load_panel(self.panel.value), ""
        except HistoError as error:
            self._panel, self._panel_problem = None, str(error)
            self.changed.emit()
            return
        panel = self._panel
        self.model.offer(
            [
                (f"panel: {Path(panel.model).name}", ""),
                *((card.name, card.name) for card in list_models() if card.name != panel.model),
            ]
        )
        own = Path(panel.stains).name if panel.stains else "none"
        self.stains.offer([(f"panel: {own}", ""), ("estimated from each slide", "estimate")])
        self.stains.setEnabled(panel.kind == "brightfield")
        for at, marker in enumerate(panel.markers, self._markers_at):
            row = _ThresholdRow(panel, marker)
            row.changed.connect(self.changed)
            self._rows[marker.name] = row
            self._layout.insertRow(at, f"{marker.name.upper()} from", row)
        self.changed.emit()

    def _on_entered(self) -> None:
        facts, own = self._facts, self.pixel_size.value()
        stated = None if facts is None else facts.pixel_size_um
        if facts is None:
            self.pixel_size.setSpecialValueText("as each file states")
            hint = "given here, for all slides" if own else ""
        elif stated is None:
            self.pixel_size.setSpecialValueText("enter it")
            hint = "given here" if own else "The file states none."
        else:
            self.pixel_size.setSpecialValueText(f"{stated:.4g} µm")
            hint = f"from the file ({facts.source})"
            if own:
                hint = f"the file: {stated:.4g} µm ({facts.source})"
        self.pixel_hint.setText(hint)
        self.pixel_hint.setVisible(bool(hint))
        self.changed.emit()

    def _ask_panel(self) -> str:
        return QFileDialog.getOpenFileName(self, "A panel of your own", "", "Panels (*.toml)")[0]

    def _ask_stains(self) -> str:
        return QFileDialog.getOpenFileName(self, "Stain vectors", "", "Stains (*.toml)")[0]

    def _ask_model(self) -> str:
        return QFileDialog.getExistingDirectory(self, "The folder of a model")


class OutputFolder(QWidget):
    """Where results go: beside the slides, or where the user chose for slides of that folder."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._beside: Path | None = None
        self.path = QLineEdit()
        self.path.setToolTip("Each slide gets a folder of its own in it.")
        self.browse = QToolButton()
        self.browse.setText("…")
        self.browse.setToolTip("Choose another folder for the results.")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.path)
        row.addWidget(self.browse)
        self.path.editingFinished.connect(self._remember)
        self.path.textChanged.connect(lambda _: self.changed.emit())
        self.browse.clicked.connect(self._ask)

    @property
    def value(self) -> str:
        """The folder; empty when none is known."""
        return self.path.text().strip()

    def set_slides(self, folder: Path) -> None:
        """Offer the folder that was chosen for slides of this one, or the usual one in it."""
        if folder == self._beside:
            return
        self._beside = folder
        self.path.setText(_chosen_before().get(str(folder)) or str(folder / "histo_results"))
        self.path.setCursorPosition(0)

    def _ask(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "Where results go", self.value)
        if chosen:
            self.path.setText(chosen)
            self._remember()

    def _remember(self) -> None:
        if self._beside is None or not self.value:
            return
        known = _chosen_before()
        known.pop(str(self._beside), None)
        if self.value != str(self._beside / "histo_results"):
            known[str(self._beside)] = self.value
        latest = list(known.items())[-_REMEMBERED:]
        _store().setValue("output_folders", [text for pair in latest for text in pair])


def _store() -> QSettings:
    return QSettings(QSettings.Format.IniFormat, QSettings.Scope.UserScope, "histo", "napari-histo")


def _chosen_before() -> dict[str, str]:
    flat = _store().value("output_folders") or []
    return dict(zip(flat[::2], flat[1::2], strict=False))
