"""Long work in a child process, seen from the window: start, progress, time left, cancel, end."""

from __future__ import annotations

import atexit
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar
from weakref import WeakSet

from qtpy.compat import isalive
from qtpy.QtCore import QObject, QProcess, QProcessEnvironment, QTimer, Signal
from qtpy.QtWidgets import QApplication

from histo.errors import HistoError

__all__ = ["Job", "Outcome", "TimeLeft"]

#: A child that was asked to stop, or to end, and does not is killed after this time.
_GRACE_MS = 5000
#: So much of what a child says besides events is kept for the log.
_LOG_BYTES = 64_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a request ended.

    Parameters
    ----------
    status : {"finished", "cancelled", "failed"}
    value : dict, optional
        What the task returned.
    message : str
        One sentence when it failed.
    log : str
        What helps to find a fault: traceback, and what the process printed.

    Examples
    --------
    >>> Outcome("finished", {"cells": 3}, "").value
    {'cells': 3}
    """

    status: str
    value: dict[str, Any] | None
    message: str
    log: str = ""


class TimeLeft:
    """Estimates the time that is left from the progress so far.

    Examples
    --------
    >>> left = TimeLeft()
    >>> left.see(0.0, now=0.0), left.see(0.25, now=10.0), left.see(0.5, now=20.0)
    (None, None, None)
    >>> left.seconds(now=21.0)
    19.0
    """

    #: Before this part is done too little is known: programs are loaded first.
    _EARLIEST = 0.12

    def __init__(self) -> None:
        self._first: tuple[float, float] | None = None
        self._last = (0.0, 0.0)

    def see(self, part: float, *, now: float) -> None:
        """Take note of the part that is done at a time in seconds."""
        if self._first is None:
            self._first = (part, now)
        self._last = (part, now)

    def seconds(self, *, now: float) -> float | None:
        """Return the seconds that are left; None as long as it cannot be said."""
        if self._first is None:
            return None
        (part_0, time_0), (part, seen) = self._first, self._last
        if part < self._EARLIEST or part <= part_0 or seen <= time_0:
            return None
        return max(0.0, (1 - part) * (seen - time_0) / (part - part_0) - (now - seen))


class _Process:
    """The child process and what it may leave behind; ends it even when the job is gone."""

    def __init__(self) -> None:
        self.qt: QProcess | None = None
        self.pid = 0
        self.out: str | None = None

    @property
    def lives(self) -> bool:
        here = self.qt is not None and isalive(self.qt)
        return here and self.qt.state() != QProcess.ProcessState.NotRunning

    def kill(self) -> None:
        """Kill the child, wait until it is gone, and clear what it left."""
        if self.qt is None or not self.lives:
            return
        self.qt.blockSignals(True)
        self.qt.kill()
        self.qt.waitForFinished(3000)
        if self.has_left():
            from histo.results import clear_leftovers

            clear_leftovers(str(self.out), self.pid)

    def has_left(self) -> bool:
        """Whether something half written lies in the output folder."""
        if self.out is None or not os.path.isdir(self.out):
            return False
        mark = (f".partial-{self.pid}", f".old-{self.pid}")
        return any(
            name[:1] == "." and any(m in name for m in mark) for name in os.listdir(self.out)
        )


class Job(QObject):
    """One child process that answers one request after the other; no threads.

    Parameters
    ----------
    parent : QObject, optional
        When it is deleted, the child process is ended.
    command : sequence of str, optional
        What to run instead of ``python -m napari_histo.job``.

    Notes
    -----
    The argument ``out`` of a task names the folder it writes results into. Two jobs never write
    into one, and what a killed child has left there half written is deleted.

    Examples
    --------
    >>> # job = Job(); job.ended.connect(print); job.start("analyse", {...})
    """

    #: The stage in a word or two, and the part done of all, 0-1.
    progressed = Signal(str, float)
    #: The name of what came on the way, and its dict.
    reported = Signal(str, object)
    #: An `Outcome`, once a request.
    ended = Signal(object)

    _all: ClassVar[WeakSet[Job]] = WeakSet()

    def __init__(self, parent: QObject | None = None, *, command: Sequence[str] = ()) -> None:
        super().__init__(parent)
        self._command = tuple(command) or (sys.executable, "-m", "napari_histo.job")
        self._child = _Process()
        self._busy = self._cancelling = self._keep_alive = False
        self._outcome: Outcome | None = None  # known, and told when the process has gone
        self._clearing = False
        self._buffer = self._log = b""
        self._left = TimeLeft()
        self._killer = QTimer(self)
        self._killer.setSingleShot(True)
        self._killer.timeout.connect(self._kill)
        self.destroyed.connect(self._child.kill)
        application = QApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self._child.kill)
        # A script may end without its application having run.
        atexit.register(self._child.kill)
        Job._all.add(self)

    @property
    def busy(self) -> bool:
        """Whether a request is at work."""
        return self._busy

    @property
    def seconds_left(self) -> float | None:
        """The time until the end in seconds; None as long as it cannot be said."""
        return self._left.seconds(now=time.monotonic()) if self._busy else None

    def start(self, task: str, arguments: dict[str, Any], *, keep_alive: bool = False) -> None:
        """Send a request to the child; it is started when it does not live.

        Parameters
        ----------
        task : str
            A name of `napari_histo.job.TASKS`.
        arguments : dict
            As JSON takes it.
        keep_alive : bool
            Whether the child waits for the next request afterwards, with its model loaded.

        Raises
        ------
        HistoError
            If a request is at work already, or another job writes into the same folder.
        """
        if self._busy:
            raise HistoError("A run is going on here already; wait for its end, or cancel it.")
        out = arguments.get("out")
        if out is not None and any(
            other.busy and other is not self and _same(other._child.out, out) for other in Job._all
        ):
            raise HistoError(
                f"{Path(out).name}: another run writes into this folder; wait for its end, or "
                "choose another folder."
            )
        self._busy, self._keep_alive, self._child.out = True, keep_alive, out
        self._cancelling, self._outcome, self._log = False, None, b""
        self._left = TimeLeft()
        self._request(task, arguments)

    def ask(self, task: str, arguments: dict[str, Any]) -> None:
        """Send a request to a child that stays alive for the next one; as :meth:`start`."""
        self.start(task, arguments, keep_alive=True)

    def cancel(self) -> None:
        """Ask the child to stop; it is killed when it has not after some seconds."""
        if self._busy and not self._cancelling:
            self._cancelling = True
            self._write({"cancel": True})
            self._killer.start(_GRACE_MS)

    def close(self) -> None:
        """End the child at once and clear what it left; nothing is told any more."""
        self._killer.stop()
        self._child.kill()
        self._busy = False

    def _request(self, task: str, arguments: dict[str, Any]) -> None:
        if not self._child.lives:
            self._launch()
        self._write({"task": task, "arguments": arguments})

    def _launch(self) -> None:
        process = QProcess()
        process.setProcessEnvironment(_environment())
        process.readyReadStandardOutput.connect(self._read)
        process.readyReadStandardError.connect(self._read_log)
        process.errorOccurred.connect(self._on_error)
        process.finished.connect(self._on_finished)
        self._child.qt, self._buffer = process, b""
        process.start(self._command[0], list(self._command[1:]))
        self._child.pid = self._child.pid if self._clearing else int(process.processId())

    def _write(self, request: dict[str, Any]) -> None:
        if self._child.qt is not None and self._child.lives:
            self._child.qt.write(json.dumps(request).encode() + b"\n")

    def _read(self) -> None:
        if self._child.qt is None:
            return
        self._buffer += self._child.qt.readAllStandardOutput().data()
        *lines, self._buffer = self._buffer.split(b"\n")
        for line in lines:
            self._take(line)
        self._buffer = self._buffer if len(self._buffer) < 1 << 26 else b""

    def _take(self, line: bytes) -> None:
        """Act on one event; what is none goes to the log."""
        try:
            event = json.loads(line)
            kind = event["event"]
        except (ValueError, TypeError, KeyError):
            self._log = (self._log + line + b"\n")[-_LOG_BYTES:]
            return
        if kind == "end":
            self._on_answer(event)
        elif self._cancelling or self._clearing:
            return
        elif kind == "progress":
            self._left.see(event["part"], now=time.monotonic())
            self.progressed.emit(event["stage"], event["part"])
        elif kind == "report":
            self.reported.emit(event["name"], event["value"])

    def _read_log(self) -> None:
        if self._child.qt is not None:
            said = self._child.qt.readAllStandardError().data()
            self._log = (self._log + said)[-_LOG_BYTES:]

    def _on_answer(self, event: dict[str, Any]) -> None:
        if self._outcome is None:
            log = event.get("log", "")
            self._outcome = Outcome(event["status"], event["value"], event["message"], log)
        self._killer.stop()
        if self._keep_alive and not self._clearing:
            self._end()
        elif self._child.qt is not None:
            self._child.qt.closeWriteChannel()
            self._killer.start(_GRACE_MS)

    def _on_error(self, error: QProcess.ProcessError) -> None:
        if error == QProcess.ProcessError.FailedToStart:
            reason = self._child.qt.errorString() if self._child.qt is not None else ""
            self._outcome = self._outcome or Outcome(
                "failed",
                None,
                f"Python could not be started for the run ({reason}): {self._command[0]}; check "
                "the installation.",
            )
            # Never from within `start`: who called it must have it returned.
            QTimer.singleShot(0, self._end)

    def _on_finished(self, code: int, status: QProcess.ExitStatus) -> None:
        self._read()
        self._read_log()
        self._killer.stop()
        if not self._busy:  # a child that waited for the next request
            return
        if self._outcome is None:
            self._outcome = self._lost(code, status)
        if not self._clearing and self._child.has_left():
            # By a child of its own: deleting many files takes time.
            self._clearing = True
            self._request("clear", {"out": self._child.out, "pid": self._child.pid})
        else:
            self._end()

    def _lost(self, code: int, status: QProcess.ExitStatus) -> Outcome:
        """Say what happened to a child that ended without an answer."""
        if self._cancelling:
            return Outcome("cancelled", None, "Stopped.")
        if status == QProcess.ExitStatus.CrashExit:
            sentence = (
                "The run was ended from outside, as happens when memory runs out; former results "
                "are as they were. Close other programs and run again."
            )
        else:
            sentence = (
                f"The run ended without an answer (exit code {code}); former results are as they "
                "were. Run again, and save the log if it happens again."
            )
        return Outcome("failed", None, sentence)

    def _kill(self) -> None:
        if self._child.qt is not None:
            self._child.qt.kill()

    def _end(self) -> None:
        self._read_log()
        outcome, self._outcome = self._outcome, None
        self._busy = self._clearing = False
        if outcome is not None:
            said = self._log.decode("utf-8", "replace").strip()
            self.ended.emit(replace(outcome, log="\n".join(filter(None, (outcome.log, said)))))


def _same(one: str | None, other: str) -> bool:
    return one is not None and os.path.abspath(one) == os.path.abspath(other)


def _environment() -> QProcessEnvironment:
    """Return our environment, in which the child finds the same histo, and opens no window."""
    import histo

    environment = QProcessEnvironment.systemEnvironment()
    places = [str(Path(str(file)).resolve().parents[1]) for file in (histo.__file__, __file__)]
    places = [place for place in places if not place.endswith("site-packages")]
    former = environment.value("PYTHONPATH")
    environment.insert("PYTHONPATH", os.pathsep.join([*places, *([former] if former else [])]))
    environment.insert("MPLBACKEND", "Agg")
    return environment
