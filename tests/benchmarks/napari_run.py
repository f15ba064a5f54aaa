"""How long the window is held up while a slide is analysed from napari.

    xvfb-run -a python tests/benchmarks/napari_run.py [SIDE_PX]

A painted sample is repeated to a slide of SIDE_PX x SIDE_PX (6000) pixels, opened in a real window
and analysed by a click on Run. A timer of 5 ms notes how long the event loop did not come round, by
the clock and in processor time of its thread: other programs lengthen the first alone.
The clock stops when the child process has answered; opening the result is timed apart.
"""

from __future__ import annotations

import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tifffile

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "plugins")]
SAMPLE = ROOT / "sample_images" / "foxp3-dab_infiltrate.tif"


def write_slide(path: Path, side_px: int) -> None:
    """Repeat the sample to a tiled TIFF that states its pixel size."""
    tile = tifffile.imread(SAMPLE)
    times = -(-side_px // tile.shape[0]), -(-side_px // tile.shape[1]), 1
    image = np.tile(tile, times)[:side_px, :side_px]
    tifffile.imwrite(
        path,
        image,
        photometric="rgb",
        tile=(512, 512),
        compression="zlib",
        resolution=(2e4, 2e4),
        resolutionunit="CENTIMETER",
    )


class Gaps:
    """The times between two rounds of the event loop."""

    def __init__(self) -> None:
        from qtpy.QtCore import Qt, QTimer

        self._gaps: list[tuple[float, float]] = []
        self._last = time.perf_counter(), time.thread_time()
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(5)
        self._timer.timeout.connect(self._note)
        self._timer.start()

    def _note(self) -> None:
        now = time.perf_counter(), time.thread_time()
        self._gaps.append((now[0] - self._last[0], now[1] - self._last[1]))
        self._last = now

    def take(self) -> np.ndarray:
        """Return the gaps so far in ms, by the clock and of own work, (N, 2); begin anew."""
        self._note()
        gaps, self._gaps = np.array(self._gaps) * 1000, []
        return gaps


def describe(gaps: np.ndarray) -> str:
    """Return the figures of a stretch of time."""
    clock, own = gaps.T
    return (
        f"longest block {clock.max():.0f} ms, 99.9 % {np.percentile(clock, 99.9):.0f} ms, "
        f"{(clock > 50).sum()} above 50 ms of {len(clock)}; "
        f"of the thread's own work: longest {own.max():.0f} ms, {(own > 50).sum()} above 50 ms"
    )


def open_window(path: Path):
    """Open a slide in a window with the widget; return the viewer and the widget."""
    import napari
    from napari_histo.analyse import AnalyseWidget
    from npe2 import PluginManager, PluginManifest

    manager = PluginManager.instance()
    if "napari-histo" not in manager:
        manifest = ROOT / "plugins" / "napari_histo" / "napari.yaml"
        manager.register(PluginManifest.from_file(manifest))
    viewer = napari.Viewer()
    viewer.open(path, plugin="napari-histo")
    widget = AnalyseWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Analyse a slide")
    return viewer, widget


def main() -> None:
    """Run it and print the figures."""
    side_px = int(sys.argv[1]) if len(sys.argv) > 1 else 6000
    warnings.simplefilter("ignore")
    from qtpy.QtCore import QEventLoop

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "section.tif"
        write_slide(path, side_px)
        viewer, widget = open_window(path)
        wait(1.0)
        idle = Gaps()
        wait(2.0)
        print(f"idle window: {describe(idle.take())}")

        spent, gaps = {}, Gaps()
        widget.session.open_result = timed("open the result", widget.session.open_result, spent)
        widget.job.start = timed("start the process", widget.job.start, spent)
        begin = time.perf_counter()
        widget.bar.run.click()
        wait(0.5)
        clicked = gaps.take()
        live = viewer.layers["cells found so far"]
        shown, ended = [], []
        live.events.data.connect(lambda: shown.append(len(live.data)))
        # The widget's own answer to the end comes after this.
        viewer.layers.events.removing.connect(lambda: ended.append(gaps.take()))
        # Not processEvents in a loop: PySide 6.12 loses a reference to None in each call.
        loop = QEventLoop()
        widget.job.ended.connect(loop.quit)
        loop.exec()
        total = time.perf_counter() - begin
        after = gaps.take()
        print(f"run of {side_px} x {side_px} px: {total:.0f} s, {widget.bar.message.text()}")
        print(f"the click on Run and the first frame after it: {describe(clicked)}")
        print(f"during the run: {describe(ended[0])}; {max(shown)} cells shown")
        print(f"after the run: {after[:, 0].max():.0f} ms; {spent}")
        viewer.close()


def timed(name: str, function: Callable[..., None], spent: dict[str, str]) -> Callable[..., None]:
    """Return a function that notes how long it took."""

    def call(*arguments: object, **options: object) -> None:
        begin = time.perf_counter()
        function(*arguments, **options)
        spent[name] = f"{(time.perf_counter() - begin) * 1000:.0f} ms"

    return call


def wait(seconds: float) -> None:
    """Let the event loop run."""
    from qtpy.QtCore import QEventLoop, QTimer

    loop = QEventLoop()
    QTimer.singleShot(round(seconds * 1000), loop.quit)
    loop.exec()


if __name__ == "__main__":
    main()
