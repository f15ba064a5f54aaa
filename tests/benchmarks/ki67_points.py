"""Score the whole path on the fields of ihc_ki67_points: ``python ki67_points.py DATA``.

DATA holds evaluate/ihc_ki67_points (images, roi, points). Each field runs as a slide through
the panel ki67-dab.toml beside this file at 0.5 µm/px; cells are matched one to one with the
reader's points within 6 µm, inside the annotated region. Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from histo.metrics.agreement import f1_score, lins_ccc, match_points
from histo.pipeline import Settings, analyze_slide

PANEL = Path(__file__).with_name("ki67-dab.toml")
PIXEL_UM = 0.5
RADII_UM = (3.0, 4.0, 6.0)


@dataclass
class Field:
    """Counts of one field."""

    name: str
    matched: dict[float, int]
    found: int
    truth: int
    matched_positive: int
    found_positive: int
    truth_positive: int


def inside(roi: np.ndarray, points_um: np.ndarray) -> np.ndarray:
    """Say which points (y, x in µm) lie in the annotated region."""
    at = np.clip((points_um / PIXEL_UM).astype(int), 0, np.array(roi.shape) - 1)
    return roi[at[:, 0], at[:, 1]]


def score(folder: Path, image: Path, settings: Settings, out: Path) -> Field:
    """Run one field and compare it with its points."""
    cells = analyze_slide(image, settings, folder=out / image.stem).cells
    roi = cv2.imread(str(folder / "roi" / f"{image.stem}.png"), cv2.IMREAD_GRAYSCALE) > 127
    points = pd.read_csv(folder / "points" / f"{image.stem}.csv")
    truth = points[["y", "x"]].to_numpy() * PIXEL_UM
    keep = inside(roi, truth)
    truth, positive = truth[keep], (points["label"] == "positive").to_numpy()[keep]
    found = cells[["y_um", "x_um"]].to_numpy()
    keep = inside(roi, found) & (cells["compartment"] != "excluded").to_numpy()
    found, called = found[keep], cells["ki67_positive"].to_numpy(bool)[keep]
    return Field(
        image.stem,
        {radius: len(match_points(found, truth, radius)) for radius in RADII_UM},
        len(found),
        len(truth),
        len(match_points(found[called], truth[positive], 6.0)),
        int(called.sum()),
        int(positive.sum()),
    )


def report(fields: list[Field]) -> None:
    """Print the scores, pooled and by field."""
    found, truth = sum(f.found for f in fields), sum(f.truth for f in fields)
    print("| figure | value |\n|---|---|")
    for radius in RADII_UM:
        hits = sum(f.matched[radius] for f in fields)
        print(f"| detection F1 within {radius:g} µm, pooled | {f1_score(hits, found, truth):.3f} |")
    hits = sum(f.matched[6.0] for f in fields)
    per_field = [f1_score(f.matched[6.0], f.found, f.truth) for f in fields]
    print(f"| precision, recall within 6 µm | {hits / found:.3f}, {hits / truth:.3f} |")
    middle, lowest = np.median(per_field), min(per_field)
    print(f"| detection F1 within 6 µm, median of fields (lowest) | {middle:.3f} ({lowest:.3f}) |")
    print(f"| count bias, found / true | {found / truth:.3f} |")
    positives = [(f.matched_positive, f.found_positive, f.truth_positive) for f in fields]
    pooled = f1_score(*(sum(p) for p in zip(*positives, strict=True)))
    print(f"| positive-cell F1 within 6 µm, pooled | {pooled:.3f} |")
    counts = [p[1] for p in positives], [p[2] for p in positives]
    print(f"| positive cells found / true | {sum(counts[0])} / {sum(counts[1])} |")
    print(f"| Lin's CCC of positive counts | {lins_ccc(*counts):.3f} |")
    print("\n| field | cells found / true | F1 6 µm | positive found / true | positive F1 |")
    print("|---|---|---|---|---|")
    for f, f1 in zip(fields, per_field, strict=True):
        own = f1_score(f.matched_positive, f.found_positive, f.truth_positive)
        positive = f"{f.found_positive} / {f.truth_positive}"
        print(f"| {f.name} | {f.found} / {f.truth} | {f1:.3f} | {positive} | {own:.3f} |")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder that holds evaluate/ihc_ki67_points")
    parser.add_argument(
        "--threshold", default=None, help="DAB OD of 1+, or auto; default: the panel's"
    )
    parser.add_argument("--model", default=None)
    options = parser.parse_args()
    thresholds = {}
    if options.threshold:
        thresholds["ki67"] = "auto" if options.threshold == "auto" else float(options.threshold)
    settings = Settings(
        str(PANEL), pixel_size_um=PIXEL_UM, thresholds=thresholds, model=options.model
    )
    folder = options.data / "evaluate" / "ihc_ki67_points"
    images = sorted((folder / "images").glob("*.*g"))
    if not images:
        raise SystemExit(f"{folder} holds no images; name the folder that has evaluate/ in it.")
    with tempfile.TemporaryDirectory() as out:
        report([score(folder, image, settings, Path(out)) for image in images])


if __name__ == "__main__":
    main()
