"""Paint the sample of a lung with metastases, and the table of its foci.

Run from anywhere, with histo installed::

    python sample_images/paint_lung.py
"""

from pathlib import Path

import cv2
import numpy as np
import tifffile

from histo.phantom import LungPhantom, LungRecipe, paint_lung

FOLDER = Path(__file__).resolve().parent
FILE = "lung-he_section.tif"
TRUTH = FOLDER / "lung-he_section.truth.csv"
PIXEL_SIZE_UM = 1.0
# Whole chroma: halved, at such large pixels, it would mix the colours of septa and air.
JPEG_QUALITY, SUBSAMPLING = 84, (1, 1)
RECIPE = LungRecipe((1500, 1800), "he", foci_um=(340.0, 190.0, 120.0, 80.0))
SEED = 12


def paint() -> LungPhantom:
    """Paint the section."""
    return paint_lung(RECIPE, SEED)


def save_image(image: np.ndarray, path: Path) -> None:
    """Write a tiled pyramid with the pixel size in its metadata."""
    with tifffile.TiffWriter(path) as file:
        for level in range(3):
            factor = 2**level
            size = tuple(n // factor for n in image.shape[1::-1])
            plane = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if level else image
            per_cm = 1e4 / (PIXEL_SIZE_UM * factor)
            file.write(
                np.ascontiguousarray(plane),
                subfiletype=1 if level else 0,
                tile=(256, 256),
                photometric="rgb",
                compression="jpeg",
                compressionargs={"level": JPEG_QUALITY},
                subsampling=SUBSAMPLING,
                resolution=(per_cm, per_cm),
                resolutionunit="CENTIMETER",
                metadata=None,
                **({} if level else {"subifds": 2}),
            )


def main() -> None:
    """Paint it anew."""
    phantom = paint()
    save_image(phantom.image, FOLDER / FILE)
    phantom.foci.round(2).to_csv(TRUTH, index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
