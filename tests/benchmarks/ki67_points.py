"""Score the whole path on the fields of ihc_ki67_points: ``python ki67_points.py DATA``.

DATA holds evaluate/ihc_ki67_points (images, roi, points). Each field runs as a slide through
the panel ki67-dab.toml beside this file at 0.5 µm/px; cells are matched one to one with the
reader's points within 6 µm, inside the annotated region. Prints tables in Markdown: the scores,
those of other ways to call, and whether the model's probabilities keep their word.
"""

from __future__ import annotations

import argparse
import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from histo.batch import Evaluation, ImagePair, Scoring, evaluate_pairs
from histo.metrics.agreement import match_points
from histo.metrics.evaluation import RADII_UM
from histo.pipeline import Settings, analyze_slide, recompute

PANEL = Path(__file__).with_name("ki67-dab.toml")
PIXEL_UM = 0.5

#: Ways to call a cell positive that are compared: optical densities, and the model's word.
CALLS: tuple[float | str, ...] = (0.1, 0.12, 0.15, 0.2, "learned")
BINS = np.array([0, 0.05, 0.2, 0.4, 0.6, 0.8, 0.95, 1.0])


def pairs_of(folder: Path, images: list[Path], out: Path) -> list[ImagePair]:
    """Pair each field's results with its points and its region."""
    names = [image.stem for image in images]
    truth = [(folder / "points" / f"{n}.csv", folder / "roi" / f"{n}.png") for n in names]
    return [ImagePair(n, out / n, *files) for n, files in zip(names, truth, strict=True)]


def report_calls(pairs: list[ImagePair]) -> None:
    """Call the cells in other ways, and print what changes."""
    print("\n| called by | positive found / true | positive F1 | CCC of positive counts |")
    print("|---|---|---|---|")
    for call in CALLS:
        for pair in pairs:
            recompute(pair.predictions, {"ki67": call})
        pooled = {f.name: f.value for f in evaluate_pairs(pairs, Scoring(PIXEL_UM)).pooled}
        found, f1 = counts(pooled, "positive_cells"), pooled["positive_f1_6um"]
        way = call if isinstance(call, str) else f"DAB OD {call:g}"
        print(f"| {way} | {found} | {f1:.3f} | {pooled['positive_count_ccc']:.3f} |")


def report_reliability(pairs: list[ImagePair]) -> None:
    """Print how often cells of a probability are positive to the reader."""
    chance, positive = [], []
    for pair in pairs:
        cells = pd.read_parquet(pair.predictions / "cells.parquet")
        if "nucleus_positivity" not in cells:
            return
        points = pd.read_csv(pair.truth)
        there = points[["y", "x"]].to_numpy() * PIXEL_UM
        matched = match_points(cells[["y_um", "x_um"]].to_numpy(), there, 6.0)
        chance.append(cells["nucleus_positivity"].to_numpy()[matched[:, 0]])
        positive.append((points["label"] == "positive").to_numpy()[matched[:, 1]])
    said, true = np.concatenate(chance), np.concatenate(positive)
    print("\n| probability | matched cells | mean probability | positive to the reader |")
    print("|---|---|---|---|")
    for low, high in pairwise(BINS):
        inside = (said >= low) & ((said < high) | (high == 1))
        if inside.any():
            means = f"{said[inside].mean():.3f} | {true[inside].mean():.3f}"
            print(f"| {low:g} to {high:g} | {inside.sum()} | {means} |")


def report(evaluation: Evaluation) -> None:
    """Print the scores, pooled and by field."""
    pooled = {figure.name: figure.value for figure in evaluation.pooled}
    fields = {
        image.name: {figure.name: figure.value for figure in image.figures}
        for image in evaluation.images
    }
    print("| figure | value |\n|---|---|")
    for radius in RADII_UM:
        f1 = pooled[f"detection_f1_{radius:g}um"]
        print(f"| detection F1 within {radius:g} µm, pooled | {f1:.3f} |")
    precision, recall = pooled["detection_precision_6um"], pooled["detection_recall_6um"]
    print(f"| precision, recall within 6 µm | {precision:.3f}, {recall:.3f} |")
    per_field = [field["detection_f1_6um"] for field in fields.values()]
    middle, lowest = np.median(per_field), min(per_field)
    print(f"| detection F1 within 6 µm, median of fields (lowest) | {middle:.3f} ({lowest:.3f}) |")
    print(f"| count bias, found / true | {pooled['count_ratio']:.3f} |")
    print(f"| positive-cell F1 within 6 µm, pooled | {pooled['positive_f1_6um']:.3f} |")
    print(f"| positive cells found / true | {counts(pooled, 'positive_cells')} |")
    print(f"| Lin's CCC of positive counts | {pooled['positive_count_ccc']:.3f} |")
    print("\n| field | cells found / true | F1 6 µm | positive found / true | positive F1 |")
    print("|---|---|---|---|---|")
    for name, field in fields.items():
        print(
            f"| {name} | {counts(field, 'cells')} | {field['detection_f1_6um']:.3f} "
            f"| {counts(field, 'positive_cells')} | {field['positive_f1_6um']:.3f} |"
        )


def counts(figures: dict[str, float], what: str) -> str:
    """Write found / true."""
    return f"{figures[f'{what}_found']:.0f} / {figures[f'{what}_true']:.0f}"


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder that holds evaluate/ihc_ki67_points")
    parser.add_argument("--model", default=None)
    options = parser.parse_args()
    settings = Settings(str(PANEL), pixel_size_um=PIXEL_UM, model=options.model)
    folder = options.data / "evaluate" / "ihc_ki67_points"
    images = sorted((folder / "images").glob("*.*g"))
    if not images:
        raise SystemExit(f"{folder} holds no images; name the folder that has evaluate/ in it.")
    with tempfile.TemporaryDirectory() as out:
        for image in images:
            analyze_slide(image, settings, folder=Path(out) / image.stem)
        pairs = pairs_of(folder, images, Path(out))
        report(evaluate_pairs(pairs, Scoring(PIXEL_UM)))
        report_calls(pairs)
        report_reliability(pairs)


if __name__ == "__main__":
    main()
