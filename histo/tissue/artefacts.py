"""What spoils parts of a slide and shows at a low level: pen, cover-slip edge, folds.

Every rule is about colour ratios and shape, not about darkness alone: dark brown stain and
crowded blue nuclei must never be taken for ink or for a fold.
"""

import cv2
import numpy as np
import numpy.typing as npt

from histo.tissue.glass import (
    channel_mean,
    check_rgb,
    coarsen,
    coarsen_factor,
    local_moments,
    refine,
    relative_density,
    span,
)
from histo.tissue.mask import drop_small

__all__ = ["ARTEFACT_NAMES", "find_artefacts"]

ARTEFACT_NAMES = ("none", "pen", "coverslip_edge", "fold", "blur")
"""Names of the values that `find_artefacts` returns. Blur is judged at the working
resolution, by `histo.tissue.blurred_mask`, and painted in by the pipeline."""

PEN, COVERSLIP_EDGE, FOLD, BLUR = 1, 2, 3, 4

_GRID_UM = 8.0
_PEN_RADIUS_UM, _MIN_PEN_UM2, _MARGIN_UM = 24.0, 20_000.0, 16.0
_PEN_REACH_UM, _PEN_GAP_UM = 600.0, 48.0
_EDGE_CONTRAST_OD, _EDGE_BAND_UM, _EDGE_GRID_UM = 0.05, 500.0, 32.0
_MIN_EDGE_LENGTH_UM, _STRAIGHT_UM = 2_000.0, 800.0
_FOLD_BAND_UM, _MAX_FOLD_WIDTH_UM = 200.0, 150.0
_MIN_FOLD_LENGTH_UM, _MIN_FOLD_OD, _FOLD_RATIO, _CELLS_OD = 250.0, 0.35, 1.8, 0.1

Float = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


def find_artefacts(
    rgb: npt.NDArray[np.uint8], pixel_size_um: float, tissue: npt.NDArray[np.bool_]
) -> npt.NDArray[np.uint8]:
    """Return where pen, cover-slip edges and folds lie.

    - Pen: black, green, blue and red marker, by the ratio of its absorption in red, green
      and blue, which no histological stain shares, in strokes at least 50 µm wide.
    - Cover-slip edge: neutral grey lines, narrower than 500 µm, straight over 0.8 mm and
      2 mm long (or two thirds of the picture). Pictures below 0.8 mm have none.
    - Fold: bands 1.8 times as dark as the tissue (its air left out), longer than 250 µm
      and narrower than 150 µm. Bands in which brown dominates are left alone: a fold through
      brown tissue is missed rather than a positive gland taken out.

    Parameters
    ----------
    rgb : uint8 (Y, X, 3)
        A low level, 4-16 µm/px. Finer pictures are averaged down to 8 µm/px inside.
    pixel_size_um : float
        Size of a pixel, µm.
    tissue : bool (Y, X)
        Where tissue is, as from `tissue_mask`.

    Returns
    -------
    uint8 (Y, X)
        0 none, 1 pen, 2 cover-slip edge, 3 fold; see `ARTEFACT_NAMES`.

    Raises
    ------
    ValueError
        When `rgb` is not uint8 (Y, X, 3), the mask does not match, or the pixel size is not
        positive.

    Examples
    --------
    >>> import numpy as np
    >>> from histo.tissue import tissue_mask
    >>> slide = np.full((200, 200, 3), 243, np.uint8)
    >>> slide[40:160, 40:160] = (225, 205, 228)
    >>> slide[:, 20:60] = (60, 165, 140)
    >>> found = find_artefacts(slide, 8.0, tissue_mask(slide, 8.0))
    >>> ARTEFACT_NAMES[found[100, 40]], ARTEFACT_NAMES[found[100, 120]]
    ('pen', 'none')
    """
    check_rgb(rgb, pixel_size_um)
    if tissue.shape != rgb.shape[:2]:
        raise ValueError(f"tissue is {tissue.shape}, rgb {rgb.shape}: they must match")
    if rgb.size == 0:
        return np.zeros(rgb.shape[:2], np.uint8)
    factor = coarsen_factor(pixel_size_um, _GRID_UM)
    size = pixel_size_um * factor
    density = relative_density(coarsen(rgb, factor))
    inside = coarsen(tissue, factor) >= 0.5
    found = np.zeros(density.shape[:2], np.uint8)
    pen = _find_pen(density, size)
    found[_find_folds(density, size, inside & ~pen)] = FOLD
    found[pen] = PEN
    found[_find_edges(density, size)] = COVERSLIP_EDGE
    return np.asarray(refine(found, factor, rgb.shape), np.uint8)


def _find_pen(density: Float, pixel_size_um: float) -> Mask:
    """Return the strokes of each ink, grown from their surely inked cores."""
    smooth = np.asarray(cv2.GaussianBlur(density, (0, 0), 0.7), np.float32)
    even = local_moments(channel_mean(smooth), 5)[1] < 0.15 * channel_mean(smooth)
    found = np.zeros(density.shape[:2], bool)
    for core, weak, reach_um in _inks(smooth, even):
        solid = _morph(core, cv2.MORPH_OPEN, _PEN_RADIUS_UM / pixel_size_um)
        solid = drop_small(solid, _MIN_PEN_UM2 / pixel_size_um**2)
        if solid.any():
            inked = weak | solid
            if reach_um:
                inked &= _morph(solid, cv2.MORPH_DILATE, reach_um / pixel_size_um)
            # Strokes of a dry pen are broken: islands close by belong to them.
            near = _morph(inked, cv2.MORPH_CLOSE, _PEN_GAP_UM / pixel_size_um)
            found |= _connected(near, solid) & inked
    closed = _morph(found, cv2.MORPH_CLOSE, _PEN_RADIUS_UM / pixel_size_um)
    return _morph(closed, cv2.MORPH_DILATE, _MARGIN_UM / pixel_size_um)


def _inks(density: Float, even: Mask) -> list[tuple[Mask, Mask, float]]:
    """Return (core, weak, reach in µm) for black, green, blue and red ink.

    Black, blue and red grade into tissue colours, so a stroke of these grows only so far
    from where it is sure; green (reach 0) may follow its own colour without end.
    """
    red, green, blue = (np.maximum(density[..., i], 0.0) for i in range(3))
    mean, chroma = channel_mean(density), span(density)
    # Black absorbs evenly. So does haematoxylin under brown, but never so even in texture.
    grey = chroma < 0.35 * mean
    black = (grey & even & (mean > 0.6), grey & (mean > 0.25))
    # Green and turquoise pass green best; haematoxylin, methyl blue and the like pass blue.
    turquoise = (green < 0.5 * red) & (blue > 1.05 * green)
    teal = (turquoise & (red > 0.18), turquoise & (red > 0.08))
    # Blue ink passes blue far better than haematoxylin does, but less green than cyan dyes.
    pure = (green > 0.45 * red) & (green < 0.9 * red) & (blue < 0.25 * red)
    navy = (pure & even & (red > 0.7), pure & (red > 0.3))
    # Red ink absorbs more blue than eosin or a red chromogen, and far more than tissue does.
    scarlet = (red < 0.25 * green) & (blue > 0.6 * green) & (blue < 0.95 * green)
    crimson = (scarlet & (green > 0.55), scarlet & (green > 0.25))
    return [
        (*black, _PEN_REACH_UM),
        (*teal, 0.0),
        (*navy, _PEN_REACH_UM),
        (*crimson, _PEN_REACH_UM),
    ]


def _find_edges(density: Float, pixel_size_um: float) -> Mask:
    """Return long thin lines that are neutral grey relative to the glass."""
    mean = channel_mean(density)
    neutral = span(density) < 0.08 * mean + 0.004
    band = _tophat(mean, _EDGE_BAND_UM / pixel_size_um)
    line = neutral & (band > _EDGE_CONTRAST_OD)
    line = _morph(line, cv2.MORPH_CLOSE, 2 * _MARGIN_UM / pixel_size_um)
    # Long lines are as plain on a coarser grid, and found there much faster.
    factor = max(1, round(_EDGE_GRID_UM / pixel_size_um))
    coarse = _morph(coarsen(line, factor) >= 0.3, cv2.MORPH_DILATE, 1)
    length = round(_STRAIGHT_UM / (pixel_size_um * factor))
    if max(coarse.shape) < length or coarse.sum() < length:
        return np.zeros(line.shape, bool)
    long = line & refine(_straight_parts(coarse, length), factor, line.shape).astype(bool)
    long = _long_islands(long, _MIN_EDGE_LENGTH_UM / pixel_size_um)
    return _morph(long, cv2.MORPH_DILATE, _MARGIN_UM / pixel_size_um)


def _straight_parts(mask: Mask, length_px: int) -> Mask:
    """Return what holds a straight line of that length, in any of 36 directions.

    Cracks and crossings stay out, and an edge that bows is followed piece by piece.
    """
    image = mask.astype(np.uint8)
    found = np.zeros(mask.shape, bool)
    for angle in np.arange(0.0, np.pi, np.pi / 36):
        half = (length_px - 1) / 2
        x, y = round(half * np.cos(angle)), round(half * np.sin(angle))
        kernel = np.zeros((2 * abs(y) + 1, 2 * abs(x) + 1), np.uint8)
        middle = (abs(x), abs(y))
        cv2.line(kernel, (middle[0] - x, middle[1] - y), (middle[0] + x, middle[1] + y), 1)
        padded = cv2.copyMakeBorder(image, length_px, length_px, length_px, length_px, 0, value=0)
        opened = cv2.morphologyEx(padded, cv2.MORPH_OPEN, kernel)
        found |= np.asarray(opened[length_px:-length_px, length_px:-length_px] > 0)
    return found


def _long_islands(mask: Mask, min_extent_px: float) -> Mask:
    """Return the islands whose bounding box reaches that far, or two thirds of the picture."""
    extent = min(min_extent_px, max(mask.shape) * 2 / 3)
    _, islands, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    size = np.hypot(stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT])
    keep = size >= extent
    keep[0] = False
    return np.asarray(keep[islands], bool)


def _find_folds(density: Float, pixel_size_um: float, tissue: Mask) -> Mask:
    """Return dark narrow bands within tissue that are not brown."""
    if not tissue.any():
        return np.zeros(tissue.shape, bool)
    mean = np.asarray(cv2.GaussianBlur(channel_mean(density), (0, 0), 0.7), np.float32)
    # Without the air of lung and fat: beside it every cell-rich part is twice as dark.
    cells = mean[tissue & (mean > _CELLS_OD)]
    if not cells.size:
        return np.zeros(tissue.shape, bool)
    typical = float(np.median(cells))
    brown = density[..., 2] > 0.85 * density[..., :2].max(axis=2)
    dark = tissue & ~brown & (mean > max(_MIN_FOLD_OD, _FOLD_RATIO * typical))
    if not dark.any():
        return np.zeros(tissue.shape, bool)
    # A disc, not a square: round nodules must leave no rim behind.
    soft = np.asarray(cv2.GaussianBlur(mean, (0, 0), _MARGIN_UM / pixel_size_um), np.float32)
    dark &= _tophat(soft, _FOLD_BAND_UM / pixel_size_um, cv2.MORPH_ELLIPSE) > 0.4 * soft
    dark = _morph(dark, cv2.MORPH_CLOSE, _MARGIN_UM / pixel_size_um)
    found = _bands(dark, pixel_size_um)
    return _morph(found, cv2.MORPH_DILATE, _MARGIN_UM / 2 / pixel_size_um)


def _bands(mask: Mask, pixel_size_um: float) -> Mask:
    """Return the islands that are as long and as narrow as a fold."""
    count, islands, stats, _ = cv2.connectedComponentsWithStats(
        mask.astype(np.uint8), connectivity=8
    )
    keep = np.zeros(count, bool)
    areas = stats[:, cv2.CC_STAT_AREA] * pixel_size_um**2
    areas[0] = 0.0
    for index in np.flatnonzero(areas >= _MIN_FOLD_LENGTH_UM * pixel_size_um):
        left, top, width_px, height_px = (int(v) for v in stats[index, :4])
        box = islands[top : top + height_px, left : left + width_px]
        length = _bent_length(np.asarray(box == index)) * pixel_size_um
        width = areas[index] / length
        long_enough = length >= max(_MIN_FOLD_LENGTH_UM, 4.0 * width)
        keep[index] = long_enough and width <= _MAX_FOLD_WIDTH_UM
    return np.asarray(keep[islands], bool)


def _bent_length(island: Mask) -> float:
    """Return the length along a band in pixels, as of a rectangle bent at will."""
    contours, _ = cv2.findContours(island.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    # Contours run through pixel centres: half a pixel inside the outline.
    half = sum(cv2.arcLength(contour, closed=True) for contour in contours) / 2 + 2
    return float(half + np.sqrt(max(half * half - 4 * float(island.sum()), 0.0))) / 2


def _tophat(values: Float, width_px: float, shape: int = cv2.MORPH_RECT) -> Float:
    """Return how far narrow bands stand above what surrounds them."""
    side = max(3, 2 * round(width_px / 2) + 1)
    kernel = cv2.getStructuringElement(shape, (side, side))
    opened = cv2.morphologyEx(values, cv2.MORPH_OPEN, kernel)
    return np.asarray(values - opened, np.float32)


def _connected(weak: Mask, seeds: Mask) -> Mask:
    count, islands = cv2.connectedComponents(weak.astype(np.uint8), connectivity=8)
    keep = np.zeros(count, bool)
    keep[np.unique(np.asarray(islands)[seeds & weak])] = True
    keep[0] = False
    return np.asarray(keep[islands], bool)


def _morph(mask: Mask, operation: int, radius_px: float) -> Mask:
    """Apply a binary morphological operation with a disc; the border continues outward."""
    radius = max(1, round(radius_px))
    if operation == cv2.MORPH_DILATE:
        # The same disc, at a cost that does not grow with it.
        if not mask.any():
            return mask
        distance = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)
        return np.asarray(distance <= radius + 0.3)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    padded = np.pad(mask.astype(np.uint8), 2 * radius, mode="edge")
    changed = cv2.morphologyEx(padded, operation, disc)
    return np.asarray(changed[2 * radius : -2 * radius, 2 * radius : -2 * radius] > 0)
