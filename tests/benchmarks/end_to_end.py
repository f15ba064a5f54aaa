"""Time the whole path on dense painted tissue: ``python end_to_end.py [--side 4096]``.

Paints one field, repeats it into a large TIFF at 0.5 µm/px, analyses it, and prints megapixels
per second for the whole path and for the network alone (what everything else costs is the
difference). Two figures from one run, since machines differ: the ratio counts.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import tifffile

from histo.nuclei import load_model
from histo.phantom import Composition, Recipe, paint_phantom
from histo.pipeline import Settings, analyze_slide


def main() -> None:
    """Read the command line, run, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=4096, help="side of the slide, px")
    side = parser.parse_args().side
    field = paint_phantom(
        Recipe("foxp3-dab", Composition()), 5, shape=(1024, 1024), pixel_size_um=0.5
    ).image
    repeats = -(-side // 1024)
    slide = np.tile(field, (repeats, repeats, 1))[:side, :side]
    megapixels = side * side / 1e6
    model = load_model("nuclei-brightfield")
    model.predict(field)  # warm up
    start = time.perf_counter()
    for y in range(0, side, 1024):
        for x in range(0, side, 1024):
            model.predict(np.ascontiguousarray(slide[y : y + 1024, x : x + 1024]))
    network = time.perf_counter() - start
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "slide.tif"
        tifffile.imwrite(
            path,
            slide,
            tile=(512, 512),
            compression="jpeg",
            photometric="rgb",
            resolution=(20000, 20000),
            resolutionunit="CENTIMETER",
        )
        start = time.perf_counter()
        result = analyze_slide(path, Settings("foxp3-dab"), folder=Path(folder) / "out")
        whole = time.perf_counter() - start
    print("| part | seconds | MPix/s |\n|---|---|---|")
    print(f"| network alone | {network:.1f} | {megapixels / network:.2f} |")
    print(f"| whole path, {len(result.cells)} cells | {whole:.1f} | {megapixels / whole:.2f} |")
    print(f"\nWhole path over network alone: {whole / network:.2f}")


if __name__ == "__main__":
    main()
