"""Paint the sample images, their truth tables and the README's table of true numbers.

Run from anywhere, with histo installed::

    python sample_images/paint.py

Every image follows from a recipe and a seed below.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import cv2
import numpy as np
import pandas as pd
import tifffile

from histo.phantom import (
    Appearance,
    Composition,
    Optics,
    Phantom,
    Recipe,
    is_fluorescence,
    paint_phantom,
    summarize,
)

FOLDER = Path(__file__).resolve().parent
PIXEL_SIZE_UM = 0.5
LEVELS = {1024: 3, 448: 2}
JPEG_QUALITY = 86
TABLE_START, TABLE_END = "<!-- numbers: start -->", "<!-- numbers: end -->"

# The file itself is compressed: the camera's own JPEG is left out.
_SCANNER = Optics(jpeg_quality=0)
_CAMERA = Optics(blur_um=0.3, noise=0.8)
# A contrasty scanner and a cyan haematoxylin, as many laboratories have.
_CYAN = Appearance(
    hematoxylin=(0.76, 0.60, 0.24),
    white_point=(251.0, 252.0, 252.0),
    nucleus_od=0.34,
    cytoplasm_od=0.07,
    haze_od=0.015,
    optics=Optics(blur_um=0.32, sharpen=0.7, contrast=1.05, jpeg_quality=0),
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One image: file name, what it shows, recipe, seed and side in pixels."""

    file: str
    shows: str
    recipe: Recipe
    seed: int
    side_px: int = 1024

    @property
    def truth(self) -> Path:
        """Path of the table of its cells."""
        return FOLDER / f"{self.file.partition('.')[0]}.truth.csv"


def _recipe(panel: str, look: Appearance | None = None, **tissue: Any) -> Recipe:
    optics = _CAMERA if is_fluorescence(panel) else _SCANNER
    return Recipe(panel, Composition(**tissue), look or Appearance(optics=optics))


SAMPLES = (
    Sample(
        "foxp3-dab_edge.tif",
        "edge of a section, glass, a pen stroke; Tregs (brown nuclei) in stroma and nests",
        _recipe("foxp3-dab", tumour=0.4, glass=0.2, pen=True, foxp3_lymphocyte=0.15),
        seed=4,
    ),
    Sample(
        "foxp3-dab_infiltrate.tif",
        "a dense infiltrate beside tumour; cyan haematoxylin, contrasty scanner",
        _recipe(
            "foxp3-dab", _CYAN, tumour=0.35, lymphocytes=0.55, crowding=0.7, foxp3_lymphocyte=0.12
        ),
        seed=11,
    ),
    Sample(
        "rankl-dab_nests.tif",
        "tumour nests with cytoplasmic and membranous RANKL of all grades",
        _recipe("rankl-dab", tumour=0.5, rankl_tumour=0.5, rankl_lymphocyte=0.08),
        seed=7,
    ),
    Sample(
        "foxp3-dab+rankl-red_margin.tif",
        "invasive margin; FOXP3 brown in nuclei, RANKL red in cytoplasm, often in one cell",
        _recipe("foxp3-dab+rankl-red", tumour=0.4, rankl_tumour=0.15, rankl_lymphocyte=0.06),
        seed=9,
    ),
    Sample(
        "foxp3-rankl-if_margin.ome.tif",
        "invasive margin in fluorescence: DAPI, FOXP3, RANKL, CD3",
        _recipe("foxp3-rankl-if", tumour=0.4, rankl_tumour=0.15, rankl_lymphocyte=0.06),
        seed=9,
        side_px=448,
    ),
    Sample(
        "he_margin.tif",
        "tumour, stroma and infiltrate in haematoxylin and eosin",
        _recipe("he", tumour=0.45, vessels_per_mm2=50.0),
        seed=3,
    ),
    Sample(
        "nuclei-if_margin.ome.tif",
        "nuclei of the same kind of tissue in DAPI",
        _recipe("nuclei-if", tumour=0.45),
        seed=5,
        side_px=448,
    ),
)


def paint(sample: Sample) -> Phantom:
    """Paint one sample."""
    side = (sample.side_px, sample.side_px)
    return paint_phantom(sample.recipe, sample.seed, shape=side, pixel_size_um=PIXEL_SIZE_UM)


def truth_table(phantom: Phantom) -> pd.DataFrame:
    """Round the truth of each cell to what a reader of the file needs."""
    cells = phantom.cells.copy()
    for column in cells.columns:
        if cells[column].dtype.kind == "f":
            fluorescence = column.endswith("_mean") and is_fluorescence(phantom.panel)
            short = column.endswith(("_um", "_um2"))
            cells[column] = cells[column].round(1 if fluorescence else 2 if short else 3)
    return cells


def save_image(sample: Sample, phantom: Phantom, path: Path) -> None:
    """Write a tiled pyramid with the pixel size in its metadata."""
    image: Any = phantom.image
    fluorescence = is_fluorescence(phantom.panel)
    options: dict[str, Any] = {"tile": (256, 256)}
    if fluorescence:
        options |= {"photometric": "minisblack", "compression": "zlib", "predictor": True}
        options["compressionargs"] = {"level": 9}
    else:
        options |= {"photometric": "rgb", "compression": "jpeg", "subsampling": (2, 2)}
        options |= {"compressionargs": {"level": JPEG_QUALITY}}
    first: dict[str, Any] = {"metadata": None}
    if fluorescence:
        first["metadata"] = {
            "axes": "CYX",
            # Else a new one each time: the same painting gives the same bytes.
            "UUID": str(uuid5(NAMESPACE_URL, sample.file)),
            "Channel": {"Name": list(phantom.names)},
            "PhysicalSizeX": PIXEL_SIZE_UM,
            "PhysicalSizeXUnit": "µm",
            "PhysicalSizeY": PIXEL_SIZE_UM,
            "PhysicalSizeYUnit": "µm",
        }
    levels = LEVELS[sample.side_px]
    with tifffile.TiffWriter(path, ome=fluorescence) as file:
        for level in range(levels):
            factor = 2**level
            side = sample.side_px // factor
            plane = (
                image
                if level == 0
                else cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
            )
            data = plane.reshape(side, side, -1).transpose(2, 0, 1) if fluorescence else plane
            per_cm = 1e4 / (PIXEL_SIZE_UM * factor)
            more: dict[str, Any] = first | {"subifds": levels - 1} if level == 0 else {}
            file.write(
                np.ascontiguousarray(data),
                subfiletype=0 if level == 0 else 1,
                resolution=(per_cm, per_cm),
                resolutionunit="CENTIMETER",
                **(options | more),
            )


def table_row(sample: Sample, phantom: Phantom) -> str:
    """One row of the README's table."""
    true = summarize(phantom)

    def cell(marker: str) -> str:
        if f"{marker}_positive" not in true:
            return "-"
        share = 100 * true[f"{marker}_positive_fraction"]
        score = true[f"{marker}_h_score"]
        return f"{true[f'{marker}_positive']:.0f} ({share:.1f} %, H {score:.0f})"

    columns = (
        f"`{sample.file}`",
        sample.shows,
        f"{true['tissue_mm2']:.4f}",
        f"{true['cells']:.0f}",
        cell("foxp3"),
        cell("rankl"),
    )
    return "| " + " | ".join(columns) + " |"


def main() -> None:
    """Paint all samples and bring the README's table up to date."""
    header = "| file | shows | tissue mm² | nuclei | FOXP3+ | RANKL+ |\n|---|---|---|---|---|---|\n"
    rows = []
    for sample in SAMPLES:
        phantom = paint(sample)
        save_image(sample, phantom, FOLDER / sample.file)
        truth_table(phantom).to_csv(sample.truth, index=False, lineterminator="\n")
        rows.append(table_row(sample, phantom))
    readme = FOLDER / "README.md"
    before, _, rest = readme.read_text(encoding="utf-8").partition(TABLE_START)
    _, _, after = rest.partition(TABLE_END)
    table = f"{TABLE_START}\n{header}" + "\n".join(rows) + f"\n{TABLE_END}"
    readme.write_text(before + table + after, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
