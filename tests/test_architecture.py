"""Imports run downward through the rooms; heavy packages load only where they are used."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "histo"

# The floors, lowest first; rooms of one floor do not know each other.
FLOORS = [
    {"errors", "lazy"},
    {"geometry", "compiled", "threads"},
    {"slide"},
    {"tissue", "stain"},
    {"tiles"},
    {"nuclei"},
    {"cells"},
    {"panel"},
    {"region"},
    {"metrics"},
    {"space"},
    {"results"},
    {"edits"},
    {"pipeline"},
    {"review"},
    {"batch"},
    {"cli"},
]
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
# Rooms from stain to metrics work on arrays and tables: they never see a slide.
PURE = {"tissue", "stain", "tiles", "cells", "panel", "region", "metrics", "space"}
# phantom paints through the stains and nothing else.
PHANTOM_MAY_USE = {"errors", "geometry", "stain"}
# Fine-tuning mixes painted sections into what a user corrected.
MAY_PAINT = {"pipeline"}
HEAVY = {"torch", "numba", "openvino", "napari", "qtpy", "vispy", "PySide6", "PyQt6", "PyQt5"}
HEAVY_MAY_USE = {
    "nuclei": {"torch", "openvino"},
    "region": {"torch"},
    "compiled": {"numba"},
}
MAX_LINES = 500

FILES = sorted(SOURCE.rglob("*.py"))
PLUGIN_FILES = sorted((ROOT / "plugins").rglob("*.py"))


def room_of(path):
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported(path, package=None):
    """Return (module, line) for each import of a file, relative ones made absolute."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute here"
            yield node.module, node.lineno
            for alias in node.names:
                yield f"{node.module}.{alias.name}", node.lineno


def histo_rooms(path):
    for module, line in imported(path):
        parts = module.split(".")
        if parts[0] == "histo" and len(parts) > 1 and parts[1] in {*FLOOR_OF, "phantom"}:
            yield parts[1], line


def ids(path):
    return path.relative_to(ROOT).as_posix()


def test_there_is_something_to_check():
    assert {room_of(path) for path in FILES} >= {"errors", "slide", "nuclei", "batch", "cli"}


def test_every_room_has_a_floor():
    rooms = {room_of(path) for path in FILES} - {"__init__", "__main__", "phantom"}
    assert rooms <= FLOOR_OF.keys(), "a new room needs a floor in docs/architecture.md and here"


@pytest.mark.parametrize("path", FILES, ids=ids)
def test_imports_run_downward(path):
    room = room_of(path)
    upward = []
    for other, line in histo_rooms(path):
        if room == other or room == "__init__":
            continue
        if room == "phantom":
            allowed = other in PHANTOM_MAY_USE
        else:
            allowed = room in MAY_PAINT if other == "phantom" else FLOOR_OF[other] < FLOOR_OF[room]
        if not allowed:
            upward.append(f"line {line}: {room} imports {other}")
    assert not upward


@pytest.mark.parametrize("path", [p for p in FILES if room_of(p) in PURE], ids=ids)
def test_pure_rooms_never_see_a_slide(path):
    assert "slide" not in {room for room, _ in histo_rooms(path)}


@pytest.mark.parametrize("path", FILES, ids=ids)
def test_torch_and_windows_stay_in_their_rooms(path):
    heavy = {module.split(".")[0] for module, _ in imported(path)} & HEAVY
    assert heavy <= HEAVY_MAY_USE.get(room_of(path), set())


def test_histo_never_imports_the_plugin():
    assert not [ids(p) for p in FILES if any(m.startswith("napari") for m, _ in imported(p))]


@pytest.mark.parametrize("path", FILES + PLUGIN_FILES, ids=ids)
def test_files_fit_in_a_head(path):
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MAX_LINES, f"{lines} lines; split it"


@pytest.mark.parametrize("path", FILES + PLUGIN_FILES, ids=ids)
def test_names_say_what_a_module_is_about(path):
    assert path.stem not in {"utils", "util", "helpers", "manager", "handler", "engine", "misc"}


def modules_after(code):
    """Return the top-level packages that are loaded after running code in a fresh Python."""
    code += "\nimport sys, json; print(json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        timeout=120,
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_import_histo_loads_next_to_nothing():
    loaded = modules_after("import histo")
    assert not loaded & (HEAVY | {"numpy", "pandas", "cv2", "skimage", "rich", "typer"})


def test_help_is_quick_since_it_loads_no_science():
    code = """
from histo.cli import main
for words in (["--help"], ["run", "--help"], ["--version"]):
    try:
        main(words)
    except SystemExit as end:
        assert not end.code
"""
    loaded = modules_after(code)
    assert not loaded & (HEAVY | {"numpy", "pandas", "cv2", "skimage", "scipy", "matplotlib"})


def test_listing_models_and_panels_is_quick_too():
    loaded = modules_after(
        "from histo.nuclei import list_models; list_models()\n"
        "from histo.panel import load_panel, panel_names; [load_panel(n) for n in panel_names()]\n"
    )
    assert not loaded & HEAVY
