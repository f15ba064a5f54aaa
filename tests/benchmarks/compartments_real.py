"""Compartments on real sections with nests: ``python compartments_real.py DATA``.

Four fields of breast carcinoma (evaluate/ihc_ki67_points), whose nests were outlined by eye with a
few ellipses, a pixel in twenty or so wrong at their edges. histo divides each with the model that
comes with it. Prints Dice in Markdown; ``--out`` keeps the pictures.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import cv2
import numpy as np

from histo.pipeline import Settings, analyze_slide
from histo.pipeline.compartments import read_divided

PIXEL_UM = 0.5
#: Middle and half axes, right and down, in 1/400 of the width and 1/200 of the height.
NESTS = {
    "ir_10712-09": [(60, 105, 50, 35), (234, 125, 95, 60), (309, 45, 60, 30), (110, 35, 105, 30)],
    "ir_16247-03": [
        (89, 86, 62, 38),
        (75, 31, 75, 16),
        (188, 131, 45, 55),
        (266, 148, 22, 13),
        (348, 111, 30, 40),
    ],
    "ir_22137-04": [
        (306, 85, 58, 68),
        (97, 122, 50, 28),
        (107, 172, 28, 20),
        (25, 107, 20, 18),
        (209, 154, 12, 12),
    ],
    "ir_6143-05": [
        (156, 107, 52, 25),
        (321, 110, 65, 33),
        (199, 180, 90, 22),
        (171, 19, 60, 20),
        (47, 92, 30, 15),
    ],
}


def paint_nests(name: str, shape: tuple[int, int]) -> np.ndarray:
    """Return the nests of a field, bool (Y, X)."""
    canvas = np.zeros(shape, np.uint8)
    scale = shape[1] / 400, shape[0] / 200
    for x, y, across, down in NESTS[name]:
        middle = int(x * scale[0]), int(y * scale[1])
        axes = int(across * scale[0]), int(down * scale[1])
        cv2.ellipse(canvas, middle, axes, 0, 0, 360, 1, -1)
    return canvas > 0


def main() -> None:
    """Read the command line, run, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder that holds evaluate/")
    parser.add_argument("--regions", default="compartments", help="the region model")
    parser.add_argument("--out", type=Path, help="keep the results here")
    options = parser.parse_args()
    settings = Settings("foxp3-dab", pixel_size_um=PIXEL_UM, regions=options.regions)
    print("| field | tissue in nests | Dice tumour | Dice stroma |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as temporary:
        for name in NESTS:
            file = options.data / "evaluate/ihc_ki67_points/images" / f"{name}.jpg"
            folder = (options.out or Path(temporary)) / name
            analyze_slide(file, settings, folder=folder)
            found = read_divided(folder).compartments
            valid = (found.codes > 0) & (found.share > 0)
            nests = paint_nests(name, found.codes.shape)
            figures = []
            for word, truth in (("tumor", nests & valid), ("stroma", ~nests & valid)):
                mask = found.mask(word) & valid
                figures.append(2 * (mask & truth).sum() / (mask.sum() + truth.sum()))
            share = (nests & valid).sum() / valid.sum()
            print(f"| {name} | {100 * share:.0f} % | {figures[0]:.2f} | {figures[1]:.2f} |")


if __name__ == "__main__":
    main()
