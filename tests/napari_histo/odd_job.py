"""The child process with tasks that behave badly, to see what the window makes of them."""

import os
import sys
import time
from pathlib import Path

from napari_histo import job

from histo.errors import HistoError

MODULE = sys.modules[__name__]


def quiet(arguments, tell, report):
    tell("counting", 0.5)
    report("cells", {"y_um": [1.0], "x_um": [2.0]})
    tell("counting", 1.0)
    return {"pid": os.getpid(), "asked": arguments}


def chatty(arguments, tell, report):
    print("rubbish from Python")  # noqa: T201
    os.write(1, b"rubbish from below\n{\n")
    return {"chatted": True}


def endless(arguments, tell, report):
    """Half written results lie there until it is stopped."""
    partial = Path(arguments["out"]) / f".section.partial-{os.getpid()}"
    try:
        partial.mkdir()
        while True:
            tell("waiting", 0.1)
            time.sleep(0.02)
    finally:
        partial.rmdir()


def stubborn(arguments, tell, report):
    (Path(arguments["out"]) / f".section.partial-{os.getpid()}").mkdir()
    tell("waiting", 0.1)
    time.sleep(600)


def refusing(arguments, tell, report):
    raise HistoError("a.tif: is empty; copy the file again.")


def faulty(arguments, tell, report):
    return {"share": 1 / 0}


def leaving(arguments, tell, report):
    os._exit(3)


if __name__ == "__main__":
    tasks = (quiet, chatty, endless, stubborn, refusing, faulty, leaving)
    sys.modules["odd_job"] = MODULE
    job.TASKS.update({task.__name__: f"odd_job:{task.__name__}" for task in tasks})
    job.main()
