"""Take a screenshot of each widget beside a slide: ``python plugins/screenshots.py OUT``.

``make screenshots`` takes those of docs/images (napari_*.jpg) anew.

Run it under ``xvfb-run -a -s "-screen 0 1600x1000x24"`` where there is no display. The sample
slide is analysed first, which takes some seconds.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "plugins")]

SLIDE = ROOT / "sample_images" / "foxp3-dab_infiltrate.tif"
SIZE = (1400, 900)
#: Strokes through the sample's nests, stroma and infiltrate: class, and y, x in µm.
STROKES = (
    ("Tumor", ((110, 215), (150, 230), (165, 270), (150, 300))),
    ("Tumor", ((300, 30), (340, 60), (370, 40))),
    ("Tumor", ((420, 320), (470, 340), (490, 320))),
    ("Stroma", ((160, 40), (130, 60), (110, 85))),
    ("Stroma", ((300, 200), (310, 260), (305, 310), (315, 380))),
    ("Stroma", ((60, 340), (85, 320), (40, 365))),
    ("Lymphoid", ((235, 30), (240, 80), (225, 120))),
    ("Lymphoid", ((200, 420), (250, 440), (300, 470))),
    ("Lymphoid", ((370, 170), (410, 200))),
)


def analysed(folder: Path) -> tuple[Path, Path]:
    """Copy the sample slide and analyse it; return the slide and its result folder."""
    from histo.pipeline import Settings, analyze_slide

    for section in SLIDE.parent.glob("foxp3-dab_*.tif"):
        shutil.copy(section, folder)
    slide = folder / SLIDE.name
    result = folder / "results" / SLIDE.stem
    analyze_slide(slide, Settings(panel="foxp3-dab"), folder=result)
    return slide, result


def wait(seconds: float) -> None:
    """Let the window work."""
    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.005)


def wait_until(done: Callable[[], bool], seconds: float = 120.0) -> None:
    """Let the window work until something is there."""
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        wait(0.2)


def save(viewer: Any, path: Path) -> None:
    """Save the whole window, small enough for a repository."""
    picture = viewer.window.screenshot(flash=False, canvas_only=False)[..., :3]
    quality = [cv2.IMWRITE_JPEG_QUALITY, 82]
    cv2.imwrite(str(path), np.ascontiguousarray(picture[..., ::-1]), quality)
    sys.stdout.write(f"{path}\n")


def widgets() -> list[tuple[str, str]]:
    """List the plugin's widgets: command without the plugin's name, and title."""
    from npe2 import PluginManager, PluginManifest

    manifest = PluginManifest.from_file(ROOT / "plugins" / "napari_histo" / "napari.yaml")
    manager = PluginManager.instance()
    if manifest.name not in manager:
        manager.register(manifest)
    return [
        (one.command.rpartition(".")[2], one.display_name)
        for one in manifest.contributions.widgets or ()
    ]


def show_something(name: str, widget: Any, sections: Path) -> None:
    """Bring a widget into the state that says most about it."""
    if name == "review":
        widget.cells.step(1)
    elif name == "results":
        widget.density.spot_box.setChecked(True)
    elif name == "stains":
        widget.bar.run.click()
        wait_until(lambda: widget.report is not None)
    elif name == "recount":
        widget.begin_button.click()
    elif name == "regions":
        divide(widget)
    elif name == "batch":
        widget.folder.setText(str(sections))
        widget.look()
        wait_until(lambda: bool(widget.slides))


def divide(widget: Any) -> None:
    """Draw strokes, let a model learn from them, and divide the section by it."""
    from napari_histo.regions_file import DrawnRegion

    widget.draw("stroke")
    strokes = [DrawnRegion(name, np.array(line, float), is_area=False) for name, line in STROKES]
    widget.drawn.add(strokes)
    widget.drawn.layer.mode = "pan_zoom"
    widget.divide_box.ways["learning"].setChecked(True)
    widget.divide_box.steps.setValue(150)
    ended: list[Any] = []
    widget.job.ended.connect(ended.append)
    widget.bar.run.click()
    wait_until(lambda: bool(ended), seconds=900)
    widget.session.nuclei.visible = False


def take(out: Path, chosen: list[str], slide: Path, result: Path) -> None:
    """Open one window a widget and save what it looks like."""
    import napari
    from napari_histo.session import Session

    for name, title in widgets():
        if chosen and name not in chosen:
            continue
        viewer = napari.Viewer(show=True)
        viewer.window.resize(*SIZE)
        viewer.open(slide, plugin="napari-histo")
        try:
            _, widget = viewer.window.add_plugin_dock_widget("napari-histo", title)
        except (ImportError, AttributeError) as error:
            sys.stderr.write(f"{name}: {error}\n")
            viewer.close()
            continue
        if name == "regions":  # the pictures of the others show a result that is not divided
            own = slide.parent / "divided" / result.name
            shutil.copytree(result, own)
            Session.of(viewer).open_result(own)
        elif name not in ("analyse", "batch"):
            Session.of(viewer).open_result(result)
        wait(1.5)
        show_something(name, widget, slide.parent)
        wait(1.5)
        save(viewer, out / f"napari_{name}.jpg")
        if name == "results":
            for page in (1, 2):
                widget.tabs.setCurrentIndex(page)
                wait(0.5)
                widget.density.map_box.setChecked(page == 2)
                wait(0.5)
                save(viewer, out / f"napari_{name}_{page}.jpg")
        viewer.close()
        wait(0.1)


def main() -> None:
    """Read the folder from the command line, and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="where the pictures are saved")
    parser.add_argument("widgets", nargs="*", help="such as review results; by default all")
    given = parser.parse_args()
    out: Path = given.out
    out.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    # A short name, since it is seen in the pictures.
    folder = Path(tempfile.gettempdir()) / "sections"
    folder.mkdir()
    try:
        take(out, given.widgets, *analysed(folder))
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
