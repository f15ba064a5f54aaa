"""What holds for every test: no window without a display, and few threads."""

import importlib.util
import os
import sys

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")


def _why_no_window() -> str | None:
    if importlib.util.find_spec("napari") is None:
        return "napari is not installed"
    if sys.platform == "linux" and not {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys():
        return "there is no display; run under xvfb-run"
    return None


def pytest_collection_modifyitems(items):
    reason = _why_no_window()
    if reason is None:
        return
    for item in items:
        if item.get_closest_marker("gui"):
            item.add_marker(pytest.mark.skip(reason=reason))
