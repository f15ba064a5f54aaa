"""Throughput of random reads from a JPEG-tiled pyramid: python tests/benchmarks/slide_read.py.

Paints an 8192 x 8192 slide (no tissue, a noisy texture that JPEG cannot flatten), writes it as
a tiled JPEG pyramid at 0.25 µm per pixel, and times 1024 x 1024 reads at random places.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import tifffile

from histo.geometry import Region
from histo.slide import open_slide

SIDE, TILE, READ = 8192, 256, 1024


def write_pyramid(path: Path) -> None:
    """Write the synthetic slide with levels of 1, 2, 4 and 8."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(120, 255, (SIDE // 16, SIDE // 16, 3), dtype=np.uint8)
    plane = cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    plane = cv2.add(plane, rng.integers(0, 12, plane.shape, dtype=np.uint8))
    with tifffile.TiffWriter(path, bigtiff=True) as tif:
        for level in range(4):
            step = 2**level
            tif.write(
                cv2.resize(plane, None, fx=1 / step, fy=1 / step, interpolation=cv2.INTER_AREA),
                photometric="rgb",
                tile=(TILE, TILE),
                compression="jpeg",
                subfiletype=int(level > 0),
                resolution=(40000 / step, 40000 / step),
                resolutionunit="CENTIMETER",
            )


def time_reads(path: Path, pixel_size_um: float, count: int) -> float:
    """Return megapixels handed out per second; no pixel is read twice from one open slide."""
    rng = np.random.default_rng(1)
    read_px, seconds = 0, 0.0
    while read_px < count * READ * READ:
        with open_slide(path) as slide:
            height, width = slide.grid_shape(pixel_size_um)
            side = min(READ, height, width)
            top, left = rng.integers(0, [height % side + 1, width % side + 1])
            places = [
                (y, x)
                for y in range(int(top), height - side + 1, side)
                for x in range(int(left), width - side + 1, side)
            ]
            rng.shuffle(places)
            start = time.perf_counter()
            for y, x in places:
                slide.read(Region(int(y), int(x), side, side), pixel_size_um)
            seconds += time.perf_counter() - start
            read_px += len(places) * side * side
    return read_px / seconds / 1e6


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=40)
    count = parser.parse_args().count
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "synthetic.tif"
        write_pyramid(path)
        print("| pixel size (µm) | from level | factor | MPix/s |\n|---|---|---|---|")
        for size, level, factor in (
            (0.25, 0.25, 1),
            (0.5, 0.5, 1),
            (0.75, 0.5, 1.5),
            (0.26, 0.25, 1.04),
            (1.8, 1.0, 1.8),
        ):
            print(f"| {size} | {level} | {factor} | {time_reads(path, size, count):.1f} |")


if __name__ == "__main__":
    main()
