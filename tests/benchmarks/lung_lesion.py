"""Score foci of metastasis on a real mouse lung and on painted sections; prints two tables.

    python tests/benchmarks/lung_lesion.py DATA_DIR [PAINTED_SECTIONS]

The outline of the lesion in the H&E picture was drawn by us (not by a pathologist) on crops
enlarged four times with a grid every 20 px: along the outer rim of plump, crowded tumour cells,
with slits between papillae inside; loose growth along septa counts where most septa carry a
crust of tumour cells. Left out are the bronchiole in the lesion with its wall and the large air
space beside it, the bronchiole and its muscle at the upper left, single macrophages, and the
thinly settled septa around. Where the lesion frays out the outline could as well lie 5-8 px away.
"""

import sys
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from histo.phantom import LungPhantom, paint_lung, random_lung_recipe
from histo.region import LungSection, find_lung

FOLDER = "evaluate/mouse_lung_lesions"
PIXEL_SIZE_UM = 3.5
HE = "29-041-Izd2-w35-He-les3"
NAMES = {
    "H&E": HE,
    "Ki67": "29-041-Izd2-w35-Ki67-7-les3",
    "CD31": "29-041-Izd2-w35-CD31-3-les3",
    "Cc10": "29-041-Izd2-w35-Cc10-5-les3",
    "proSPC": "29-041-Izd2-w35-proSPC-4-les3",
}

# x, y in pixels of the H&E picture.
OUTLINE = [
    (186, 288),
    (172, 308),
    (171, 330),
    (178, 350),
    (188, 366),
    (192, 398),
    (205, 396),
    (225, 392),
    (245, 398),
    (256, 398),
    (270, 388),
    (290, 376),
    (305, 378),
    (320, 374),
    (330, 381),
    (340, 374),
    (352, 370),
    (368, 378),
    (355, 388),
    (348, 402),
    (350, 418),
    (380, 416),
    (386, 405),
    (376, 378),
    (392, 378),
    (400, 396),
    (412, 408),
    (418, 420),
    (404, 440),
    (400, 458),
    (394, 475),
    (383, 490),
    (384, 510),
    (400, 516),
    (425, 522),
    (433, 500),
    (446, 495),
    (462, 485),
    (462, 492),
    (475, 507),
    (490, 500),
    (505, 514),
    (520, 508),
    (530, 506),
    (515, 496),
    (512, 478),
    (502, 478),
    (505, 455),
    (507, 440),
    (507, 425),
    (500, 412),
    (522, 420),
    (532, 420),
    (534, 432),
    (530, 445),
    (520, 450),
    (512, 456),
    (520, 464),
    (535, 475),
    (542, 485),
    (552, 482),
    (548, 496),
    (565, 505),
    (585, 495),
    (578, 470),
    (565, 460),
    (572, 450),
    (571, 420),
    (582, 414),
    (598, 418),
    (606, 436),
    (612, 445),
    (618, 440),
    (617, 420),
    (630, 416),
    (643, 405),
    (638, 385),
    (628, 378),
    (622, 360),
    (612, 350),
    (606, 340),
    (596, 348),
    (592, 340),
    (594, 325),
    (582, 320),
    (566, 322),
    (568, 310),
    (585, 300),
    (583, 285),
    (570, 285),
    (560, 293),
    (556, 280),
    (550, 270),
    (546, 255),
    (545, 235),
    (530, 236),
    (518, 240),
    (508, 250),
    (495, 244),
    (484, 240),
    (500, 236),
    (513, 236),
    (512, 229),
    (496, 224),
    (492, 214),
    (500, 212),
    (512, 211),
    (517, 205),
    (512, 199),
    (500, 200),
    (490, 198),
    (480, 190),
    (480, 178),
    (490, 170),
    (498, 164),
    (500, 158),
    (508, 148),
    (495, 145),
    (478, 148),
    (482, 135),
    (475, 130),
    (460, 128),
    (455, 112),
    (445, 98),
    (440, 84),
    (430, 82),
    (410, 84),
    (408, 110),
    (394, 120),
    (388, 145),
    (378, 150),
    (376, 168),
    (385, 180),
    (372, 200),
    (372, 205),
    (352, 220),
    (330, 228),
    (295, 229),
    (262, 229),
    (244, 232),
    (242, 242),
    (225, 246),
    (212, 254),
    (206, 262),
    (204, 276),
    (212, 282),
]
BRONCHIOLE = [
    (446, 252),
    (460, 262),
    (475, 272),
    (482, 285),
    (497, 298),
    (498, 300),
    (480, 306),
    (478, 316),
    (476, 325),
    (462, 322),
    (448, 318),
    (435, 328),
    (420, 331),
    (405, 328),
    (402, 320),
    (412, 308),
    (428, 298),
    (434, 286),
    (440, 275),
    (436, 258),
]
AIR = [
    (448, 145),
    (474, 148),
    (470, 160),
    (466, 172),
    (470, 185),
    (468, 200),
    (454, 205),
    (458, 220),
    (455, 235),
    (445, 235),
    (440, 215),
    (444, 195),
    (447, 170),
]


def read(path: Path) -> npt.NDArray[np.uint8]:
    """Read an RGB picture."""
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        sys.exit(f"{path}: cannot be read; give the folder that holds evaluate/.")
    return np.ascontiguousarray(picture[..., ::-1], np.uint8)


def light(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """The colour of clear air: these pictures show next to no glass."""
    pixels = rgb.reshape(-1, 3)
    darkest = pixels.min(1)
    return np.asarray(np.median(pixels[darkest > np.percentile(darkest, 40)], axis=0))


def drawn(shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Our outline as a mask."""
    mask = np.zeros(shape, np.uint8)
    cv2.fillPoly(mask, [np.array(OUTLINE, np.int32)], 1)
    for hole in (BRONCHIOLE, AIR):
        cv2.fillPoly(mask, [np.array(hole, np.int32)], 0)
    return mask > 0


def dice(one: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_]) -> float:
    """Overlap of two masks."""
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))


def describe(name: str, section: LungSection) -> str:
    """A row of the first table."""
    reasons = Counter(r.reason for r in section.refused)
    sizes = ", ".join(f"{f.diameter_um:.0f}" for f in section.foci)
    lobe, parenchyma = section.lobe_um2, section.parenchyma_um2
    burden = f"{100 * section.lesion_um2 / lobe:.1f} / {100 * section.lesion_um2 / parenchyma:.1f}"
    refused = ", ".join(f"{n} {reason}" for reason, n in sorted(reasons.items()))
    return f"| {name} | {sizes} | {burden} | {refused} |"


def score_painted(phantom: LungPhantom, pixel_size_um: int) -> tuple[int, int, float, float]:
    """Foci found, places taken for foci by mistake, area found and true area of the foci, µm²."""
    height, width = (n // pixel_size_um for n in phantom.image.shape[:2])
    whole = phantom.image[: height * pixel_size_um, : width * pixel_size_um]
    small = cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA)
    section = find_lung(
        np.asarray(small, np.uint8), phantom.white_point, pixel_size_um=pixel_size_um
    )
    wanted = {f.focus_id for f in section.foci}
    hit: set[int] = set()
    found = 0
    for number in phantom.foci["focus_id"]:
        y, x = (phantom.foci_labels == number).nonzero()
        inside = (y < height * pixel_size_um) & (x < width * pixel_size_um)
        y, x = y[inside] // pixel_size_um, x[inside] // pixel_size_um
        ids = set(np.unique(section.labels[y, x]).tolist()) & wanted
        found += bool(ids)
        hit |= ids
    area = sum(f.area_um2 for f in section.foci if f.focus_id in hit)
    return found, len(wanted - hit), area, float(phantom.foci["area_um2"].sum())


def main() -> None:
    """Print both tables."""
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    folder = Path(sys.argv[1]) / FOLDER
    print("| stain | foci, µm | burden %, lobe / parenchyma | refused |\n|---|---|---|---|")
    for name, file in NAMES.items():
        rgb = read(folder / f"{file}.jpg")
        section = find_lung(rgb, light(rgb), pixel_size_um=PIXEL_SIZE_UM)
        print(describe(name, section))
        if file == HE:
            lesion = section.codes == 6
            scout = read(folder / f"{HE}_SCOUT_tumour_mask.png")[..., 0] == 255
            ours = drawn(lesion.shape)
    print(
        f"\nDice in H&E with our outline {dice(lesion, ours):.3f}, with the scout's coarse mask "
        f"{dice(lesion, scout):.3f}; of these two {dice(ours, scout):.3f}.\n"
    )
    print("| painted | µm/px | foci found | decoys taken | area error % | worst section % |")
    print("|---|---|---|---|---|---|")
    count = int(sys.argv[2]) if len(sys.argv) == 3 else 20
    for stain in ("he", "h-dab"):
        phantoms = [
            paint_lung(random_lung_recipe(s, stain=stain), s) for s in range(400, 400 + count)
        ]
        for um in (2, 3, 4):
            rows = [score_painted(phantom, um) for phantom in phantoms]
            found, false, area, truth = (sum(row[i] for row in rows) for i in range(4))
            total = sum(len(phantom.foci) for phantom in phantoms)
            worst = max((100 * (row[2] / row[3] - 1) for row in rows), key=abs)
            error = 100 * (area / truth - 1)
            print(
                f"| {stain} | {um} | {found} of {total} | {false} | {error:+.2f} | {worst:+.2f} |"
            )


if __name__ == "__main__":
    main()
