"""The child process that does long work: requests come in, events go out, as lines of JSON.

Run as ``python -m napari_histo.job`` by `napari_histo.runner.Job`. A request is
``{"task": name, "arguments": {...}}``, and ``{"cancel": true}`` stops the one at work. Events are
``progress``, ``report`` and, once a request, ``end``. When stdin is closed the process ends, so it
never outlives the viewer.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from importlib import import_module
from typing import Any, BinaryIO

from histo.errors import Cancelled, HistoError

__all__ = ["TASKS", "Report", "Tell", "main"]

#: What can be asked for: where the function ``task(arguments, tell, report) -> dict`` is.
#: Modules are imported when their task is asked for first.
TASKS: dict[str, str] = {
    "analyse": "napari_histo.tasks:analyse",
    "batch": "napari_histo.tasks:batch",
    "clear": "napari_histo.tasks:clear",
    "divide": "napari_histo.region_tasks:divide",
    "draft": "napari_histo.drafting:draft",
    "learn": "napari_histo.region_tasks:learn",
    "save": "napari_histo.saving:save",
    "slides": "napari_histo.tasks:slides",
    "stains": "napari_histo.teaching:stains",
    "train": "napari_histo.teaching:train",
}

#: Tells the stage and the part done of all, 0-1; raises `Cancelled` when the user wants to stop.
Tell = Callable[[str, float], None]
#: Hands out something on the way: its name, and a dict as JSON takes it; may raise, too.
Report = Callable[[str, dict[str, Any]], None]

#: How long the work may take to stop by itself once nobody listens any more.
_GRACE_S = 5.0


class _Child:
    """One request after the other; a thread listens for a wish to stop meanwhile."""

    def __init__(self, source: BinaryIO, sink: BinaryIO) -> None:
        self._source, self._sink = source, sink
        self._requests: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._lock = threading.Lock()

    def run(self) -> None:
        """Answer requests until stdin is closed."""
        threading.Thread(target=self._listen, daemon=True).start()
        while (request := self._requests.get()) is not None:
            self._send({"event": "end", **self._answer(request)})

    def _listen(self) -> None:
        for line in self._source:
            request = json.loads(line)
            if "cancel" in request:
                self._stop.set()
            else:
                self._stop.clear()
                self._requests.put(request)
        self._stop.set()
        self._requests.put(None)
        time.sleep(_GRACE_S)
        os._exit(1)

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            value = _find(request["task"])(request["arguments"], self._tell, self._report)
        except Cancelled:
            return {"status": "cancelled", "value": None, "message": "Stopped."}
        except HistoError as error:
            return _failed(str(error), "\n".join(getattr(error, "__notes__", ())))
        except MemoryError:
            return _failed("This needs more memory than is free; close other programs.", "")
        # Whatever it is, the user gets a sentence, and the traceback to send on.
        except Exception as error:  # noqa: BLE001
            lines = traceback.format_exception(error)
            sentence = (
                f"Stopped by a fault of histo ({lines[-1].strip()}); please save the log and "
                "report it."
            )
            return _failed(sentence, "".join(lines))
        return {"status": "finished", "value": value, "message": ""}

    def _tell(self, stage: str, part: float) -> None:
        self._check()
        self._send({"event": "progress", "stage": stage, "part": float(part)})

    def _report(self, name: str, value: dict[str, Any]) -> None:
        self._check()
        self._send({"event": "report", "name": name, "value": value})

    def _check(self) -> None:
        if self._stop.is_set():
            raise Cancelled

    def _send(self, event: dict[str, Any]) -> None:
        line = json.dumps(event, separators=(",", ":")).encode() + b"\n"
        try:
            with self._lock:
                self._sink.write(line)
                self._sink.flush()
        except OSError as error:  # nobody listens any more
            raise Cancelled from error


def _failed(message: str, log: str) -> dict[str, Any]:
    return {"status": "failed", "value": None, "message": message, "log": log}


def _find(task: str) -> Callable[[dict[str, Any], Tell, Report], dict[str, Any]]:
    module, _, name = TASKS[task].partition(":")
    function: Callable[[dict[str, Any], Tell, Report], dict[str, Any]]
    function = getattr(import_module(module), name)
    return function


def _take_stdout() -> BinaryIO:
    """Keep stdout for events: whatever else is printed, by C libraries too, goes to stderr."""
    own = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return os.fdopen(own, "wb")


def _give_way() -> None:
    """Let the viewer go first where both want the processor."""
    if sys.platform == "win32":
        import ctypes

        kernel = ctypes.windll.kernel32
        kernel.SetPriorityClass(kernel.GetCurrentProcess(), 0x4000)  # below normal
    else:
        os.nice(5)


def main() -> None:
    """Answer requests from stdin until it is closed; the process ends here."""
    # Ctrl-C in the terminal is meant for the viewer, which then closes our stdin.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _give_way()
    code = 0
    try:
        _Child(sys.stdin.buffer, _take_stdout()).run()
    except Cancelled:
        code = 1
    # Threads of libraries must not delay the end.
    os._exit(code)


if __name__ == "__main__":
    main()
