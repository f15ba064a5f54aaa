"""Compare two ways to tell touching nuclei apart: ``python formulations.py MODEL DATA``.

The network learns both at once, from the same tiles in the same steps: how deep a pixel lies in
its nucleus (basins of that plane are nuclei), and the way from the pixel to its nucleus' centre
(every pixel votes for a centre, peaks of the votes are nuclei, and each pixel joins the peak next
to where it points). DATA holds evaluate/ and train/. Prints F1 at IoU 0.5 for both in Markdown.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import tifffile
import torch

from histo.metrics.agreement import f1_score
from histo.metrics.overlap import label_overlap, match_shapes
from histo.nuclei import read_card, split_nuclei, virtual_hematoxylin
from histo.nuclei.network import OFFSET_PX
from histo.nuclei.writing import load_net

MODEL_UM = 0.5
SETS = {
    "ihc_ki67_glioma": ("evaluate/ihc_ki67_glioma", "*_image.jpg", 0.3),
    "ihc_deepliif": ("evaluate/ihc_deepliif", "*_ihc.png", 0.25),
    "he_monuseg": ("evaluate/he_monuseg", "*_image.jpg", 0.25),
}
#: Spread of a vote, and reach of a peak, px: the best of those tried (1.5/3, 2/4, 2.5/5, 3/6).
SPREAD_PX, REACH_PX = 2.5, 5


def by_votes(
    foreground: np.ndarray, offset: np.ndarray, *, threshold: float, min_area_px: float
) -> np.ndarray:
    """Return int32 (Y, X) labels from the votes of ``offset`` (2, Y, X) for centres."""
    inside = foreground > threshold
    height, width = inside.shape
    y, x = np.nonzero(inside)
    to_y = np.clip(np.round(y + offset[0][inside] * OFFSET_PX).astype(int), 0, height - 1)
    to_x = np.clip(np.round(x + offset[1][inside] * OFFSET_PX).astype(int), 0, width - 1)
    votes = np.bincount(to_y * width + to_x, minlength=height * width).reshape(height, width)
    votes = cv2.GaussianBlur(votes.astype(np.float32), (0, 0), SPREAD_PX)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * REACH_PX + 1, 2 * REACH_PX + 1))
    peaks = (votes >= cv2.dilate(votes, disc)) & (votes > 8 / (2 * np.pi * SPREAD_PX**2))
    count, seeds = cv2.connectedComponents(peaks.astype(np.uint8))
    labels = np.zeros(inside.shape, np.int32)
    if count == 1:
        return labels
    _, near = cv2.distanceTransformWithLabels(
        (~peaks).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_CCOMP
    )
    seed_of = np.zeros(int(near.max()) + 1, np.int32)
    seed_of[near[peaks]] = seeds[peaks]
    labels[inside] = seed_of[near[to_y, to_x]]
    area = np.bincount(labels.ravel())
    keep = area >= min_area_px
    keep[0] = False
    number = np.zeros(len(area), np.int32)
    number[keep] = np.arange(1, keep.sum() + 1)
    return number[labels]


def pictures(data: Path) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield set, RGB at the model's pixel size, and true labels at that size."""
    for name, (folder, pattern, um) in SETS.items():
        for file in sorted((data / folder).glob(pattern)):
            stem = file.name[: file.name.rindex("_")]
            truth = tifffile.imread(file.with_name(f"{stem}_labels.tif")).astype(np.float32)
            rgb, scale = cv2.imread(str(file))[..., ::-1], um / MODEL_UM
            small = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            size = small.shape[1::-1]
            truth = cv2.resize(truth, size, interpolation=cv2.INTER_NEAREST)
            yield name, np.ascontiguousarray(small), truth.astype(np.int64)
    for file in sorted((data / "train/dsb2018/fluorescence").glob("*_image.png"))[4::5]:
        truth = tifffile.imread(str(file).replace("_image.png", "_labels.tif")).astype(np.int64)
        grey = cv2.imread(str(file)).max(-1)
        low, high = float(np.percentile(grey, 20)), float(np.percentile(grey, 99.7))
        yield "dsb2018", virtual_hematoxylin(grey, low, max(high, low + 1)), truth


def main() -> None:
    """Read the command line, run, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="name or folder")
    parser.add_argument("data", type=Path, help="folder that holds evaluate/ and train/")
    options = parser.parse_args()
    card = read_card(options.model)
    net, step = load_net(card), 2 ** len(card.widths)
    area = card.min_area_um2 / card.pixel_size_um**2
    counts: dict[str, np.ndarray] = {}
    for name, rgb, truth in pictures(options.data):
        height, width = rgb.shape[:2]
        padded = np.pad(rgb, ((0, -height % step), (0, -width % step), (0, 0)), mode="symmetric")
        with torch.inference_mode():
            x = torch.tensor(padded).permute(2, 0, 1)[None].float() / 255
            planes = net((x - 0.5) * 4)[0, :, :height, :width].numpy()
        foreground = 1 / (1 + np.exp(-planes[0]))
        basins = split_nuclei(
            foreground, planes[1], threshold=card.threshold, saddle=card.saddle, min_area_px=area
        )
        votes = by_votes(foreground, planes[3:], threshold=card.threshold, min_area_px=area)
        row = counts.setdefault(name, np.zeros((2, 3), np.int64))
        for way, labels in enumerate((basins, votes)):
            matched = len(match_shapes(label_overlap(labels, truth)))
            row[way] += (matched, labels.max(), len(np.unique(truth)) - 1)
    print("| set | depth and watershed | votes for centres |\n|---|---|---|")
    for name, (basins, votes) in counts.items():
        print(f"| {name} | {f1_score(*basins):.3f} | {f1_score(*votes):.3f} |")


if __name__ == "__main__":
    main()
