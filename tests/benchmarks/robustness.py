"""See what is lost when samples change a little: ``python robustness.py``.

Analyses every stained sample as it is, then with nuclei 10 % smaller and larger, stains turned by
10° about the grey axis either way, JPEG at quality 50, and a blur of 1 µm. Nuclei are matched with
the painted ones within 4 µm; of nuclear markers the positive cells too. Prints a table in Markdown.
A score on painted images is no accuracy on tissue.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import tifffile

from histo.cli.demo import sample_slides
from histo.metrics.agreement import f1_score, match_points
from histo.panel import Panel, load_panel
from histo.pipeline import Settings, analyze_slide

RADIUS_UM, MIN_AREA_UM2, PIXEL_UM = 4.0, 5.0, 0.5
#: Samples are cut to this, px: enough nuclei, and quick.
SIDE_PX = 640
VECTORS = {
    "h-dab": [[0.650, 0.704, 0.286], [0.268, 0.570, 0.776]],
    "he": [[0.650, 0.704, 0.286], [0.216, 0.801, 0.558]],
}

Change = Callable[[np.ndarray, str], tuple[np.ndarray, float]]


def resized(scale: float) -> Change:
    """Return a change of size; the pixel size that the file states stays."""

    def change(rgb: np.ndarray, _: str) -> tuple[np.ndarray, float]:
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        return cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=method), scale

    return change


def turned(vector: np.ndarray, degrees: float) -> np.ndarray:
    """Turn a stain about the grey axis until it lies ``degrees`` from where it was."""
    axis = np.ones(3) / np.sqrt(3)
    for angle in np.radians(np.arange(0, 180, 0.5)) * np.sign(degrees):
        part = np.cross(axis, vector) * np.sin(angle) + axis * (axis @ vector) * (1 - np.cos(angle))
        new = np.maximum(vector * np.cos(angle) + part, 0.01)
        new /= np.linalg.norm(new)
        if np.degrees(np.arccos(np.clip(new @ vector, -1, 1))) >= abs(degrees):
            break
    return new


def restained(degrees: float) -> Change:
    """Return a change of both stains' colours."""

    def change(rgb: np.ndarray, kind: str) -> tuple[np.ndarray, float]:
        stains = np.array(VECTORS[kind])
        stains /= np.linalg.norm(stains, axis=1, keepdims=True)
        white = np.percentile(rgb, 99.5, axis=(0, 1))
        od = -np.log10(np.maximum(rgb, 1) / white)
        amounts = od @ np.linalg.pinv(stains)
        rest = od - amounts @ stains
        new = np.stack([turned(vector, degrees) for vector in stains])
        changed = white * 10 ** -(amounts @ new + rest)
        return np.clip(np.round(changed), 0, 255).astype(np.uint8), 1.0

    return change


def jpeg(rgb: np.ndarray, _: str) -> tuple[np.ndarray, float]:
    """Compress at quality 50."""
    code = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 50])[1]
    return np.ascontiguousarray(cv2.imdecode(code, 1)[..., ::-1]), 1.0


CHANGES: dict[str, Change] = {
    "as it is": lambda rgb, _: (rgb, 1.0),
    "nuclei 10 % smaller": resized(0.9),
    "nuclei 10 % larger": resized(1.1),
    "stains +10°": restained(10),
    "stains -10°": restained(-10),
    "JPEG quality 50": jpeg,
    "blur of 1 µm": lambda rgb, _: (cv2.GaussianBlur(rgb, (0, 0), 1 / PIXEL_UM), 1.0),
}


def score(path: Path, panel: Panel, change: Change, model: str | None) -> list[float]:
    """Return F1 of nuclei, and of positive cells for each nuclear marker."""
    kind = "he" if panel.name == "he" else "h-dab"
    rgb, scale = change(np.ascontiguousarray(tifffile.imread(path)[:SIDE_PX, :SIDE_PX]), kind)
    truth = pd.read_csv(path.with_name(path.name.split(".")[0] + ".truth.csv"))
    truth = truth[truth["nucleus_area_um2"] >= MIN_AREA_UM2]
    inside = (truth[["y_um", "x_um"]].to_numpy() < SIDE_PX * PIXEL_UM).all(1)
    truth = truth[inside]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "changed.tif"
        tifffile.imwrite(file, rgb, photometric="rgb")
        settings = Settings(panel.name, pixel_size_um=PIXEL_UM, model=model)
        cells = analyze_slide(file, settings, folder=Path(folder) / "out").cells
    valid = (cells["compartment"] != "excluded").to_numpy()
    found = cells[["y_um", "x_um"]].to_numpy()
    real = truth[["y_um", "x_um"]].to_numpy() * scale
    hits = len(match_points(found[valid], real, RADIUS_UM))
    scores = [f1_score(hits, int(valid.sum()), len(real))]
    for marker in panel.markers:
        if marker.compartment == "nucleus":
            called = valid & cells[f"{marker.name}_positive"].to_numpy(bool)
            true = truth[f"{marker.name}_positive"].to_numpy(bool)
            hits = len(match_points(found[called], real[true], RADIUS_UM))
            scores.append(f1_score(hits, int(called.sum()), int(true.sum())))
    return scores


def main() -> None:
    """Analyse and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=None)
    model = parser.parse_args().model
    print("| sample | of | " + " | ".join(CHANGES) + " |")
    print("|---" * (2 + len(CHANGES)) + "|")
    for name, paths in sample_slides().items():
        panel = load_panel(name)
        if panel.kind != "brightfield" or panel.regions == "lung":  # its truth holds no cells
            continue
        for path in paths:
            columns = [score(path, panel, change, model) for change in CHANGES.values()]
            for what, row in zip(("nuclei", "FOXP3+"), zip(*columns, strict=True), strict=False):
                cells = " | ".join(f"{value:.3f}" for value in row)
                print(f"| {path.name} | {what} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
