"""A vendor-sized slide in a real napari window: python tests/benchmarks/napari_open.py [SIDE].

Writes a tiled JPEG pyramid of 60,000 x 60,000 px (one encoded tile again and again, so that it
takes seconds), opens it with the plugin's reader, and prints the time to the first picture, per
step of panning and zooming, and the peak of memory. Run it under xvfb-run where there is no screen.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import tifffile

TILE, PIXEL_UM = 256, 0.25
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "plugins"))


def encoded_tile() -> bytes:
    """Return one JPEG tile of something like stained tissue."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(120, 255, (TILE // 16, TILE // 16, 3), dtype=np.uint8)
    tile = cv2.resize(coarse, (TILE, TILE), interpolation=cv2.INTER_CUBIC)
    tile = cv2.add(tile, rng.integers(0, 12, tile.shape, dtype=np.uint8))
    return cv2.imencode(".jpg", tile, [cv2.IMWRITE_JPEG_QUALITY, 75])[1].tobytes()


def write_slide(path: Path, side: int) -> None:
    """Write levels of 1, 4, 16, ... down to some thousand pixels, as scanners do."""
    one = encoded_tile()

    def tiles(count: int) -> Iterator[bytes]:
        for _ in range(count):
            yield one

    with tifffile.TiffWriter(path, bigtiff=True) as tif:
        step = 1
        while True:
            extent = side // step
            tif.write(
                tiles((-(-extent // TILE)) ** 2),
                shape=(extent, extent, 3),
                dtype=np.uint8,
                photometric="ycbcr",
                subsampling=(2, 2),
                tile=(TILE, TILE),
                compression="jpeg",
                subfiletype=int(step > 1),
                resolution=(1e4 / PIXEL_UM / step, 1e4 / PIXEL_UM / step),
                resolutionunit="CENTIMETER",
                metadata=None,
            )
            if extent < 4096:
                return
            step *= 4


def peak_mb() -> float:
    """Return the peak of resident memory in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1024 / (1024 if sys.platform == "darwin" else 1)


def main() -> None:
    """Write, open, pan, zoom, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("side", nargs="?", type=int, default=60_000)
    side = parser.parse_args().side
    os.environ.setdefault("NAPARI_CONFIG", "")
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "slide.tif"
        start = time.perf_counter()
        write_slide(path, side)
        wrote = time.perf_counter() - start
        print(f"wrote {side} x {side} px, {path.stat().st_size / 1e6:.0f} MB, in {wrote:.1f} s")
        look(path)


def look(path: Path) -> None:
    """Open the slide in a window and move about in it."""
    import napari

    viewer = napari.Viewer(show=True)
    viewer.add_image(np.zeros((64, 64, 3), np.uint8))  # napari's own first time
    draw(viewer)
    viewer.layers.clear()
    before, start = peak_mb(), time.perf_counter()
    # Not through npe2, so that the plugin need not be installed.
    from napari_histo.reader import get_reader

    data, settings, _ = get_reader(str(path))(str(path))[0]
    opened = time.perf_counter() - start
    layer = viewer.add_image(data, **settings)
    draw(viewer)
    print(f"reader {opened:.2f} s, first picture {time.perf_counter() - start:.2f} s")
    print(f"levels {[level.shape[:2] for level in data]}")
    extent = data[0].shape[0] * PIXEL_UM
    rng = np.random.default_rng(0)
    for title, zoom in (("whole slide", None), ("at 4 µm/px", 0.25), ("at full size", 4.0)):
        seconds = []
        if zoom:
            viewer.camera.zoom = zoom
        middle = extent * rng.uniform(0.3, 0.7, 2)
        for _ in range(12):
            middle = middle + rng.uniform(20, 60, 2) / (zoom or 1)
            start = time.perf_counter()
            viewer.camera.center = (0, *middle)
            draw(viewer)
            seconds.append(time.perf_counter() - start)
        median, worst = 1e3 * np.median(seconds), 1e3 * max(seconds)
        print(f"{title}: level {layer.data_level}, {median:.0f} ms a step, worst {worst:.0f} ms")
    print(f"peak memory {peak_mb():.0f} MB, of which the slide {peak_mb() - before:.0f} MB")
    viewer.close()


def draw(viewer: object) -> None:
    """Let the window draw, and wait until it has."""
    from qtpy.QtWidgets import QApplication

    for _ in range(3):
        QApplication.processEvents()
    viewer.screenshot(canvas_only=True, flash=False)  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
