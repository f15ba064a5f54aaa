"""The forms of the widget Regions: what is drawn, and how the tissue is divided."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QComboBox,
    QFileDialog,
    QFormLayout,
    QGridLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QRadioButton,
    QSpinBox,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from histo.nuclei.model import region_model_names
from napari_histo.drawn_regions import CLASSES, DrawnRegions
from napari_histo.region_table import class_icon
from napari_histo.settings_form import Choice

__all__ = ["BY_DRAWN", "BY_LEARNING", "BY_MODEL", "DivideBox", "DrawBox", "FolderLine"]

#: How the tissue is divided.
BY_DRAWN, BY_LEARNING, BY_MODEL = "drawn", "learning", "model"

_TOOLS = {
    "polygon": ("Polygon", "An area: click its corners, double-click the last one."),
    "lasso": ("Lasso", "An area: drag around it."),
    "stroke": ("Stroke", "A line through tissue of this class: drag. Enough to learn from."),
}


class DrawBox(QGroupBox):
    """Class and tool to draw with, and what can be done with what is drawn.

    Parameters
    ----------
    drawn : DrawnRegions
    """

    #: A tool was chosen: polygon, lasso or stroke.
    tool_chosen = Signal(str)

    def __init__(self, drawn: DrawnRegions) -> None:
        super().__init__("1  Draw")
        self._drawn = drawn
        self.classes = QComboBox()
        self.classes.setEditable(True)
        self.classes.setToolTip("What is drawn next. Type a name of your own, such as Lymphoid.")
        for name in CLASSES:
            self.classes.addItem(class_icon(name), name)
        self.tools = {tool: QPushButton(title) for tool, (title, _) in _TOOLS.items()}
        self.relabel = QPushButton("Give class")
        self.relabel.setToolTip("Give the selected shapes the class that is chosen above.")
        self.delete, self.undo = QPushButton("Delete"), QPushButton("Undo")
        self.delete.setToolTip("Delete the selected shapes.")
        self.undo.setToolTip("Take back the last step: drawn, moved, deleted or another class.")
        self.load, self.save = QPushButton("Load…"), QPushButton("Save as…")
        self.load.setToolTip("Add annotations with classes from GeoJSON, such as QuPath's.")
        self.save.setToolTip("Save what is drawn as GeoJSON; QuPath opens it, too.")
        self.counts = QLabel()
        self.counts.setWordWrap(True)
        self._lay_out()
        self.classes.currentTextChanged.connect(self._on_class)
        for tool, button in self.tools.items():
            button.setToolTip(_TOOLS[tool][1])
            button.clicked.connect(lambda _=False, tool=tool: self.tool_chosen.emit(tool))
        self.undo.clicked.connect(drawn.undo)
        drawn.changed.connect(self.show_counts)
        self.show_counts()

    def _lay_out(self) -> None:
        head = QHBoxLayout()
        head.addWidget(QLabel("Class"))
        head.addWidget(self.classes, 1)
        grid = QGridLayout()
        rows = (
            tuple(self.tools.values()),
            (self.relabel, self.delete, self.undo),
        )
        for row, buttons in enumerate(rows):
            for column, button in enumerate(buttons):
                grid.addWidget(button, row, column)
        files = QHBoxLayout()
        files.addWidget(self.counts, 1)
        files.addWidget(self.load)
        files.addWidget(self.save)
        inner = QVBoxLayout(self)
        for part in (head, grid, files):
            inner.addLayout(part)

    @property
    def name(self) -> str:
        """The class that is chosen."""
        return str(self.classes.currentText()).strip()

    def problem(self) -> str:
        """Say why nothing can be drawn of this class; empty when it can."""
        from histo.region.compartments import class_word

        if not self.name:
            return "Give a class: choose one, or type a name."
        try:
            class_word(self.name)
        except ValueError as error:
            return str(error)
        return ""

    def show_counts(self) -> None:
        """Show how many annotations there are of each class."""
        counts = self._drawn.counts()
        words = [f"{name}: {_words(*both)}" for name, both in counts.items()]
        self.counts.setText("\n".join(words) or "Nothing is drawn.")
        for button in (self.relabel, self.delete, self.save):
            button.setEnabled(bool(counts))
        self.undo.setEnabled(self._drawn.can_undo)

    def _on_class(self) -> None:
        if not self.problem():
            self._drawn.use(self.name)


def _words(areas: int, strokes: int) -> str:
    """Return two counts in words.

    Examples
    --------
    >>> _words(1, 0), _words(0, 2), _words(3, 1)
    ('1 area', '2 strokes', '3 areas, 1 stroke')
    """
    parts = [(areas, "area"), (strokes, "stroke")]
    return ", ".join(f"{count} {what}{'s' * (count != 1)}" for count, what in parts if count)


class FolderLine(QWidget):
    """A folder to type or to choose.

    Parameters
    ----------
    title : str
        Of the dialog.
    """

    changed = Signal()

    def __init__(self, title: str) -> None:
        super().__init__()
        self._title = title
        self.path, self.browse = QLineEdit(), QToolButton()
        self.browse.setText("…")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.path)
        row.addWidget(self.browse)
        self.path.textChanged.connect(lambda _: self.changed.emit())
        self.browse.clicked.connect(self._ask)

    @property
    def value(self) -> Path | None:
        """The folder; None where none is given."""
        text = self.path.text().strip()
        return Path(text) if text else None

    def put(self, folder: Path) -> None:
        """Show a folder; its end is seen where it is long."""
        self.path.setText(str(folder))
        self.path.setToolTip(str(folder))

    def _ask(self) -> None:
        if chosen := QFileDialog.getExistingDirectory(self, self._title, self.path.text()):
            self.put(Path(chosen))


class DivideBox(QGroupBox):
    """By what the tissue is divided, and what that needs."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__("2  Divide the tissue")
        self.ways = {
            BY_DRAWN: QRadioButton("Divide by what is drawn"),
            BY_LEARNING: QRadioButton("Learn from it, and divide by what was learned"),
            BY_MODEL: QRadioButton("Use a model"),
        }
        self.ways[BY_DRAWN].setToolTip("Tissue that no area covers becomes Other.")
        self.ways[BY_LEARNING].setToolTip("A few strokes of each class are enough to begin with.")
        self.annotations = FolderLine("Folder of the annotations")
        self.annotations.setToolTip("What is drawn is written there, one file a slide.")
        self.model_folder = FolderLine("Folder of the region model")
        self.model_folder.setToolTip("Of the new model; a former one there is replaced.")
        self.looks_at = QComboBox()
        self.looks_at.setToolTip("What the model sees: how nuclei lie and look, and a stain.")
        self.steps = QSpinBox()
        self.steps.setRange(1, 20_000)
        self.steps.setValue(300)
        self.steps.setSingleStep(100)
        self.steps.setToolTip("Of learning. More take longer, and help where classes are alike.")
        self.others, self._count = QCheckBox(), 0
        self.model = Choice(self._ask_model, "from a folder…")
        self.model.offer([(name, name) for name in region_model_names()])
        self._lay_out()
        self.ways[BY_DRAWN].setChecked(True)
        self._on_way()

    def _lay_out(self) -> None:
        self._group = QButtonGroup(self)
        self.form = QFormLayout()
        self._rows = {
            "Annotations in": (self.annotations, (BY_DRAWN, BY_LEARNING)),
            "Model in": (self.model_folder, (BY_LEARNING,)),
            "It looks at": (self.looks_at, (BY_LEARNING,)),
            "Steps": (self.steps, (BY_LEARNING,)),
            "": (self.others, (BY_LEARNING,)),
            "Model": (self.model, (BY_MODEL,)),
        }
        for title, (part, _) in self._rows.items():
            self.form.addRow(title, part)
        inner = QVBoxLayout(self)
        for button in self.ways.values():
            self._group.addButton(button)
            inner.addWidget(button)
            button.toggled.connect(self._on_way)
        inner.addLayout(self.form)
        self.annotations.changed.connect(self.changed)
        self.model_folder.changed.connect(self.changed)
        self.model.chosen.connect(self.changed)

    @property
    def way(self) -> str:
        """How the tissue is divided: `BY_DRAWN`, `BY_LEARNING` or `BY_MODEL`."""
        return next(way for way, button in self.ways.items() if button.isChecked())

    def offer_stains(self, names: Sequence[str]) -> None:
        """Show what a model can look at beside the nuclei."""
        former = self.looks_at.currentText()
        self.looks_at.clear()
        self.looks_at.addItem("nuclei", "")
        for name in names:
            self.looks_at.addItem(f"nuclei and {name}", name)
        self.looks_at.setCurrentIndex(max(0, self.looks_at.findText(former)))

    @property
    def stains(self) -> list[str]:
        """What the model looks at beside the nuclei."""
        name = self.looks_at.currentData()
        return [str(name)] if name else []

    def offer_others(self, count: int) -> None:
        """Say how many other slides are annotated."""
        self.others.setText(f"Learn from {count} other annotated slide{'s' * (count != 1)}, too")
        self._count = count
        self.others.setChecked(count > 0)
        self._show_rows()

    def _on_way(self) -> None:
        if any(button.isChecked() for button in self.ways.values()):
            self._show_rows()
            self.changed.emit()

    def _show_rows(self) -> None:
        """Show what this way of dividing needs."""
        for part, ways in self._rows.values():
            shown = self.way in ways and (part is not self.others or self._count > 0)
            for one in (part, self.form.labelForField(part)):
                if one is not None:
                    one.setVisible(shown)

    def _ask_model(self) -> str:
        return QFileDialog.getExistingDirectory(self, "The folder of a region model")
