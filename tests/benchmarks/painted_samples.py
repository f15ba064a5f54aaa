"""Compare the painted samples with their truth: ``python painted_samples.py``.

Analyses every image of sample_images/ with its panel and matches cells with the painted nuclei
within 4 µm. Prints a table in Markdown. A score on painted images is no accuracy on tissue.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from histo.cli.demo import sample_slides
from histo.metrics.agreement import f1_score, match_points
from histo.panel import Marker, Panel, load_panel
from histo.pipeline import Settings, analyze_slide

RADIUS_UM = 4.0
#: Smaller slivers at the border are not in the samples' own counts either.
MIN_AREA_UM2 = 5.0


def places(table: pd.DataFrame) -> np.ndarray:
    """Return positions (y, x) in µm."""
    return table[["y_um", "x_um"]].to_numpy()


def marker_columns(
    panel: Panel, marker: Marker, cells: pd.DataFrame, truth: pd.DataFrame, pairs: np.ndarray
) -> str:
    """Compare the calls of one marker, and its intensity on truly positive cells."""
    called = cells[f"{marker.name}_positive"].to_numpy(bool)
    true = truth[f"{marker.name}_positive"].to_numpy(bool)
    hits = len(match_points(places(cells[called]), places(truth[true]), RADIUS_UM))
    score = [100 * table[f"{marker.name}_grade"].mean() for table in (cells, truth)]
    matched = true[pairs[:, 1]]
    measured = cells[panel.measurement(marker)].to_numpy()[pairs[:, 0]][matched]
    painted = truth[f"{marker.compartment}_{marker.plane}_mean"].to_numpy()[pairs[:, 1]][matched]
    return (
        f"{marker.name} | {called.sum()} / {true.sum()} | "
        f"{f1_score(hits, called.sum(), true.sum()):.3f} | {score[0]:.0f} / {score[1]:.0f} | "
        f"{np.median(measured / painted):.2f} |"
    )


def main() -> None:
    """Analyse and print."""
    print(
        "| sample | nuclei found / painted | F1 4 µm | area ratio | marker "
        "| positive found / painted | F1 | H-score found / painted | intensity ratio |\n"
        + "|---" * 9
        + "|"
    )
    for name, paths in sample_slides().items():
        panel = load_panel(name)
        if panel.regions == "lung":  # its truth holds foci, no cells: docs/lung.md
            continue
        for path in paths:
            with tempfile.TemporaryDirectory() as folder:
                cells = analyze_slide(path, Settings(name), folder=Path(folder) / "out").cells
            cells = cells[(cells["compartment"] != "excluded").to_numpy()]
            truth = pd.read_csv(path.with_name(path.name.split(".")[0] + ".truth.csv"))
            truth = truth[truth["nucleus_area_um2"] >= MIN_AREA_UM2]
            pairs = match_points(places(cells), places(truth), RADIUS_UM)
            areas = [t["nucleus_area_um2"].to_numpy() for t in (cells, truth)]
            ratio = np.median(areas[0][pairs[:, 0]] / areas[1][pairs[:, 1]])
            f1 = f1_score(len(pairs), len(cells), len(truth))
            head = f"| {path.name} | {len(cells)} / {len(truth)} | {f1:.3f} | {ratio:.2f} |"
            for marker in panel.markers:
                print(head, marker_columns(panel, marker, cells, truth, pairs))
            if not panel.markers:
                print(head, "| | | | |")


if __name__ == "__main__":
    main()
