"""Score artefact marking on real pictures; prints two markdown tables.

    python tests/benchmarks/artefacts.py DATA_DIR

The first table compares pen and cover-slip marks with hand-made masks. The second counts
what is marked on pictures that hold none of these. Pixel sizes of the pictures are not
published; the values below are estimates from the size of nuclei, cores and marker tips.
"""

import sys
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from histo.tissue import ARTEFACT_NAMES, blurred_mask, find_artefacts, tissue_mask

ARTEFACTS_UM = 16.0
PENS = "look/artefacts/pen/1k_version"
MODELS = "look/artefacts/models"
SMALL = f"{MODELS}/pen_markings_he"
MASKED = [
    ("pen", f"{PENS}/pen_black.png", f"{PENS}/pen_black_mask.png"),
    ("pen", f"{PENS}/pen_green.jpg", f"{PENS}/pen_green_mask.png"),
    ("pen", f"{PENS}/pen_red.jpg", f"{PENS}/pen_red_mask.png"),
    ("pen", f"{SMALL}/pen_green.png", f"{SMALL}/pen_green_mask.png"),
    ("pen", f"{SMALL}/pen_red.png", f"{SMALL}/pen_red_mask.png"),
    (
        "coverslip_edge",
        f"{MODELS}/coverslip_edge_he/coverslip_edge.jpg",
        f"{MODELS}/coverslip_edge_he/coverslip_edge_mask.png",
    ),
    (
        "coverslip_edge",
        f"{MODELS}/coverslip_edge_ihc/coverslip_edge.png",
        f"{MODELS}/coverslip_edge_ihc/coverslip_edge_mask.png",
    ),
]
CLEAN = [
    ("tissue array, 3 stains", "look/tma_pd1_pdl1/*.jpg", 0.45),
    ("Ki67 fields", "evaluate/ihc_ki67_points/images/*", 0.5),
    ("IHC and H&E fields", "look/ihc_misc/*.[jp]*g", 0.5),
]
# Holds a real fold and red ink.
NOT_CLEAN = {"high-nuclei-score-red-pen-level1"}
LOW_UM = 8.0


def read(path: Path) -> npt.NDArray[np.uint8]:
    """Read an RGB picture."""
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        sys.exit(f"{path}: cannot be read; give the folder that holds look/ and evaluate/.")
    return np.ascontiguousarray(picture[..., ::-1], np.uint8)


def score(kind: str, picture: Path, mask: Path) -> str:
    """Return a row of the first table."""
    rgb, truth = read(picture), read(mask)[..., 0] > 127
    found = find_artefacts(rgb, ARTEFACTS_UM, tissue_mask(rgb, ARTEFACTS_UM))
    marked = found == ARTEFACT_NAMES.index(kind)
    near = cv2.dilate(truth.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    total = max(int(marked.sum()), 1)
    recall = (marked & truth).sum() / truth.sum()
    exact, close = (marked & truth).sum() / total, (marked & near).sum() / total
    name = f"{picture.parent.name}/{picture.name}"
    return f"| {name} | {kind} | {recall:.3f} | {exact:.3f} | {close:.3f} |"


def count(title: str, paths: list[Path], pixel_size_um: float) -> str:
    """Return a row of the second table."""
    tissue_px, blurred_px, fine_px = 0, 0, 0
    marked = np.zeros(len(ARTEFACT_NAMES))
    for path in paths:
        rgb = read(path)
        scale = pixel_size_um / LOW_UM
        low = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        tissue = tissue_mask(low, LOW_UM)
        found = find_artefacts(low, LOW_UM, tissue)
        marked += np.bincount(found[tissue], minlength=len(ARTEFACT_NAMES))
        tissue_px += int(tissue.sum())
        size = (rgb.shape[1], rgb.shape[0])
        fine = cv2.resize(tissue.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
        blurred_px += int((blurred_mask(rgb, pixel_size_um) & fine).sum())
        fine_px += int(fine.sum())
    shares = [marked[i] / max(tissue_px, 1) for i in (1, 2, 3)] + [blurred_px / max(fine_px, 1)]
    return f"| {title} | {len(paths)} | " + " | ".join(f"{100 * s:.3f}" for s in shares) + " |"


def main(folder: Path) -> None:
    """Print both tables."""
    print(f"Estimated pixel size {ARTEFACTS_UM:g} µm. Near: within 3 pixels of the mask.\n")
    print("| picture | artefact | recall | precision | precision, near |")
    print("|---|---|---|---|---|")
    for kind, picture, mask in MASKED:
        print(score(kind, folder / picture, folder / mask))
    print("\nTissue falsely marked, % of tissue pixels.\n")
    print("| pictures | n | pen | cover-slip edge | fold | blur |")
    print("|---|---|---|---|---|---|")
    for title, pattern, pixel_size_um in CLEAN:
        paths = [p for p in sorted(folder.glob(pattern)) if p.stem not in NOT_CLEAN]
        print(count(title, paths, pixel_size_um))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python tests/benchmarks/artefacts.py DATA_DIR")
    main(Path(sys.argv[1]))
