"""Start and cancel a job, and see how far it is: the lower part of every widget that runs one."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_histo.runner import Job, Outcome

__all__ = ["RunBar", "time_words"]

#: Readable on napari's dark and light themes alike.
_WRONG = "color: #e8663d"


def time_words(seconds: float | None) -> str:
    """Return the time that is left in words; empty when it is not known.

    Examples
    --------
    >>> time_words(20.0), time_words(200.0), time_words(8000.0), time_words(None)
    ('less than half a minute left', 'about 3 min left', 'about 2 h 13 min left', '')
    """
    if seconds is None:
        return ""
    if seconds < 30:
        return "less than half a minute left"
    minutes = max(1, round(seconds / 60))
    if minutes < 60:
        return f"about {minutes} min left"
    return f"about {minutes // 60} h {minutes % 60:02d} min left"


class RunBar(QWidget):
    """Buttons, progress with the time left, and what there is to say.

    Parameters
    ----------
    job : Job
    title : str
        Of the button that starts.
    """

    #: The button that starts was clicked.
    asked = Signal()

    def __init__(self, job: Job, *, title: str = "Run") -> None:
        super().__init__()
        self._job, self._stage, self._log = job, "", ""
        self._problem = ""
        self.run = QPushButton(title)
        self.cancel = QPushButton("Cancel")
        self.cancel.setToolTip("Stop; former results stay as they are.")
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.message = QLabel()
        self.message.setWordWrap(True)
        self.message.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.save_log = QPushButton("Save log…")
        self.save_log.setToolTip("What helps to find the fault; send it with your report.")
        buttons = QHBoxLayout()
        buttons.addWidget(self.run)
        buttons.addWidget(self.cancel)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(buttons)
        for widget in (self.bar, self.message, self.save_log):
            layout.addWidget(widget)
        self._clock = QTimer(self)
        self._clock.setInterval(1000)
        self._clock.timeout.connect(self._show)
        self.run.clicked.connect(self.asked)
        self.cancel.clicked.connect(self._on_cancel)
        self.save_log.clicked.connect(self._on_save)
        job.progressed.connect(self._on_progress)
        job.ended.connect(self._on_ended)
        self._set_running(False)
        self.save_log.hide()

    def set_problem(self, sentence: str) -> None:
        """Let a run start, or say why it cannot."""
        if sentence == self._problem:
            return
        self._problem = sentence
        if not self._job.busy:
            self.say(sentence, wrong=bool(sentence))
            self._set_running(False)

    def say(self, text: str, *, wrong: bool = False) -> None:
        """Show a sentence."""
        self.message.setStyleSheet(_WRONG if wrong else "")
        self.message.setText(text)

    def begin(self) -> None:
        """Show that a job has started."""
        self._stage, self._log = "starting", ""
        self.save_log.hide()
        self.bar.setValue(0)
        self._set_running(True)
        self._show()

    def _set_running(self, running: bool) -> None:
        self.run.setEnabled(not running and not self._problem)
        self.cancel.setEnabled(running)
        self.bar.setVisible(running)
        self._clock.start() if running else self._clock.stop()

    def _on_progress(self, stage: str, part: float) -> None:
        self._stage = stage
        # Never back: a bar that does is not believed.
        self.bar.setValue(max(self.bar.value(), round(1000 * part)))
        self._show()

    def _show(self) -> None:
        left = time_words(self._job.seconds_left)
        self.say(f"{self._stage[:1].upper()}{self._stage[1:]}{', ' if left else ''}{left}")

    def _on_cancel(self) -> None:
        self.cancel.setEnabled(False)
        self._stage = "stopping"
        self._show()
        self._job.cancel()

    def _on_ended(self, outcome: Outcome) -> None:
        self._set_running(False)
        self._log = outcome.log
        self.save_log.setVisible(outcome.status == "failed" and bool(outcome.log))
        words: dict[str, Any] = {
            "finished": "Finished.",
            "cancelled": "Stopped. Former results are as they were.",
        }
        failed = outcome.status == "failed"
        self.say(outcome.message if failed else words[outcome.status], wrong=failed)

    def _on_save(self) -> None:
        path = QFileDialog.getSaveFileName(self, "Save the log", "histo-log.txt", "Text (*.txt)")[0]
        if path:
            with open(path, "w", encoding="utf-8") as stream:
                stream.write(f"{self.message.text()}\n\n{self._log}\n")
