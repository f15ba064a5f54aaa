"""Time the export of many cells for QuPath.

Run ``python tests/benchmarks/geojson.py [CELLS]``; it prints seconds and megabytes.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from histo.results import OutlineWriter, read_outlines, write_geojson


def painted_cells(count: int) -> pd.DataFrame:
    """Return a cell table with the columns of a DAB panel, on a square grid."""
    rng = np.random.default_rng(0)
    table = {"cell_id": np.arange(1, count + 1)}
    side = int(np.ceil(count**0.5))
    table["y_um"], table["x_um"] = (12.0 * part + 6 for part in divmod(np.arange(count), side))
    for column in ("nucleus_area_um2", "cell_area_um2", "nucleus_diameter_um"):
        table[column] = rng.uniform(20, 60, count).astype(np.float32)
    for part in ("nucleus", "cytoplasm", "cell"):
        for stain in ("hematoxylin", "dab"):
            for statistic in ("mean", "max", "std"):
                table[f"{part}_{stain}_od_{statistic}"] = rng.random(count, np.float32)
    table["rankl_grade"] = rng.integers(0, 4, count).astype(np.int8)
    table["rankl_positive"] = table["rankl_grade"] > 0
    return pd.DataFrame(table)


Rings = dict[int, np.ndarray]


def painted_outlines(cells: pd.DataFrame) -> list[tuple[np.ndarray, Rings, Rings]]:
    """Return uneven rings of 24 and 40 vertices, in tiles of 500 cells."""
    rng = np.random.default_rng(1)
    tiles = []
    for start in range(0, len(cells), 500):
        part = cells.iloc[start : start + 500]
        centres = part[["y_um", "x_um"]].to_numpy() / 0.5
        nuclei = Rings.of([centre + _circle(7, 24, rng) for centre in centres])
        whole = Rings.of([centre + _circle(11, 40, rng) for centre in centres])
        tiles.append((part["cell_id"].to_numpy(), nuclei, whole))
    return tiles


def _circle(radius: float, vertices: int, rng: np.random.Generator) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, vertices, endpoint=False)
    uneven = radius + rng.uniform(-1, 1, vertices)
    return np.rint(2 * uneven * np.stack([np.sin(angle), np.cos(angle)])).T / 2


def main() -> None:
    """Write the files and print what it took."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    cells = painted_cells(count)
    tiles = painted_outlines(cells)
    with tempfile.TemporaryDirectory() as folder:
        outlines = Path(folder) / "outlines.parquet"
        start = time.perf_counter()
        with OutlineWriter(outlines, 2.0) as writer:
            for tile in tiles:
                writer.add(*tile)
        middle = time.perf_counter()
        path = write_geojson(folder, cells, read_outlines(outlines), slide="benchmark")
        end = time.perf_counter()
        print(f"{count} cells")
        print(f"outlines.parquet {middle - start:6.1f} s {outlines.stat().st_size / 1e6:8.1f} MB")
        print(f"{path.name:16} {end - middle:6.1f} s {path.stat().st_size / 1e6:8.1f} MB")


if __name__ == "__main__":
    main()
