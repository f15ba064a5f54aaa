"""Score the nuclei model on sets with instance masks: ``python nuclei_sets.py DATA``.

DATA holds evaluate/ (ihc_ki67_glioma, ihc_deepliif, he_monuseg) and train/dsb2018. A predicted
nucleus is right when it covers a true one with IoU above 0.5; F1 is pooled over a set's images.
Of dsb2018 only each fifth fluorescence image is scored, which the recipe leaves out of training.
Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import tifffile

from histo.metrics.agreement import f1_score
from histo.metrics.overlap import label_overlap, match_shapes
from histo.nuclei import NucleiModel, load_model, segment, virtual_hematoxylin

#: What the model reads, µm/px; the sets' own pixel sizes are those of their READMEs, or judged
#: from lymphocytes (glioma).
MODEL_UM = 0.5
SETS = {
    "ihc_ki67_glioma": ("evaluate/ihc_ki67_glioma", "*_image.jpg", "_image.jpg", 0.3),
    "ihc_deepliif": ("evaluate/ihc_deepliif", "*_ihc.png", "_ihc.png", 0.25),
    "he_monuseg": ("evaluate/he_monuseg", "*_image.jpg", "_image.jpg", 0.25),
}


@dataclass
class Score:
    """Counts of a set."""

    images: int = 0
    matched: int = 0
    found: int = 0
    truth: int = 0

    def add(self, labels: np.ndarray, truth: np.ndarray) -> None:
        """Count one image."""
        self.images += 1
        self.matched += matched_instances(labels, truth)
        self.found += len(np.unique(labels[labels > 0]))
        self.truth += len(np.unique(truth[truth > 0]))


def matched_instances(labels: np.ndarray, truth: np.ndarray) -> int:
    """Count pairs with IoU above 0.5; above one half each label has one partner at most."""
    return len(match_shapes(label_overlap(labels, truth), 0.5))


def best_moved(labels: np.ndarray, truth: np.ndarray, reach_px: int) -> np.ndarray:
    """Move the truth as a whole, in steps of two pixels, to where it fits best."""
    steps = range(-reach_px, reach_px + 1, 2)
    moved = [np.roll(truth, (dy, dx), (0, 1)) for dy in steps for dx in steps]
    return moved[int(np.argmax([matched_instances(labels, one) for one in moved]))]


def brightfield(data: Path, name: str, model: NucleiModel, *, move_um: float = 0.0) -> Score:
    """Score one stained set at the model's pixel size.

    With ``move_um`` each image's truth is first moved by up to that way in either direction, to
    tell a shifted reference from wrong outlines. Such a score only explains the plain one.
    """
    folder, pattern, suffix, um = SETS[name]
    score = Score()
    for file in sorted((data / folder).glob(pattern)):
        rgb = cv2.imread(str(file))[..., ::-1]
        truth = tifffile.imread(str(file).replace(suffix, "_labels.tif")).astype(np.int64)
        scale = um / MODEL_UM
        small = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        found = enlarge(segment(np.ascontiguousarray(small), model), truth.shape)
        score.add(found, best_moved(found, truth, round(move_um / um)) if move_um else truth)
    return score


def cores(data: Path, model: NucleiModel) -> Score:
    """Score ihc_deepliif against the reference without the rim that was grown on each nucleus."""
    score = Score()
    for file in sorted((data / SETS["ihc_deepliif"][0]).glob("*_ihc.png")):
        colours = cv2.imread(str(file).replace("_ihc", "_gt_rgb"))  # blue, green (rim), red
        inside = (colours.max(-1) > 100) & (colours[..., 1] < 100)
        truth = cv2.connectedComponents(inside.astype(np.uint8), connectivity=4)[1]
        small = cv2.resize(
            cv2.imread(str(file))[..., ::-1], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA
        )
        found = enlarge(segment(np.ascontiguousarray(small), model), truth.shape)
        score.add(found, truth.astype(np.int64))
    return score


def enlarge(labels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Bring labels to the size of the truth."""
    large = cv2.resize(labels.astype(np.float32), shape[::-1], interpolation=cv2.INTER_NEAREST)
    return large.astype(np.int64)


def held_out(data: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield each fifth fluorescence image, enlarged so that nuclei are about 15 px wide."""
    files = sorted((data / "train/dsb2018/fluorescence").glob("*_image.png"))
    for file in files[4::5]:
        truth = tifffile.imread(str(file).replace("_image.png", "_labels.tif")).astype(np.int64)
        yield cv2.imread(str(file)).max(-1), truth


def fluorescence(data: Path, model: NucleiModel) -> Score:
    """Score nuclear fluorescence at the images' own pixels, drawn as haematoxylin."""
    score = Score()
    for grey, truth in held_out(data):
        low, high = float(np.percentile(grey, 20)), float(np.percentile(grey, 99.7))
        rgb = virtual_hematoxylin(grey, low, max(high, low + 1))
        score.add(segment(rgb, model).astype(np.int64), truth)
    return score


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder that holds evaluate/ and train/")
    parser.add_argument("--model", default="nuclei-brightfield")
    parser.add_argument("--fluorescence-model", default="nuclei-fluorescence")
    parser.add_argument("--engine", default="auto", help="int8, float32 or torch")
    options = parser.parse_args()
    model = load_model(options.model, engine=options.engine)
    nuclear = load_model(options.fluorescence_model, engine=options.engine)
    print("| set | images | nuclei found / true | F1 at IoU 0.5, pooled |\n|---|---|---|---|")
    scores = {name: brightfield(options.data, name, model) for name in SETS}
    scores["ihc_deepliif, without the rim"] = cores(options.data, model)
    for name in SETS:
        moved = brightfield(options.data, name, model, move_um=3.0)
        scores[f"{name}, each reference moved by up to 3 µm"] = moved
    scores["dsb2018 fluorescence, held-out fifth"] = fluorescence(options.data, nuclear)
    for name, score in scores.items():
        f1 = f1_score(score.matched, score.found, score.truth)
        print(f"| {name} | {score.images} | {score.found} / {score.truth} | {f1:.3f} |")


if __name__ == "__main__":
    main()
