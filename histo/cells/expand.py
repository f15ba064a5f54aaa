"""Whole cells from nuclei: every nucleus grown by a distance, bounded by its neighbours."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from histo.compiled import compiled

__all__ = ["as_labels", "expand_cells"]


def expand_cells(labels: npt.NDArray[np.integer], distance_px: float) -> npt.NDArray[np.int32]:
    """Grow every nucleus by a distance; a background pixel goes to the nearest nucleus.

    The distance is the exact Euclidean one between pixel centres, found by a separable
    search: nearest nucleus along the column, then the best of the columns in reach.
    It equals :func:`skimage.segmentation.expand_labels` except where two nuclei are equally
    near (then the one in the nearer column, left before right, above before below, so that the
    result does not depend on where a tile begins).

    Parameters
    ----------
    labels : int (Y, X)
        Nuclei; 0 is background.
    distance_px : float
        How far a cell reaches beyond its nucleus, in pixels; 0 gives the nuclei themselves.

    Returns
    -------
    int32 (Y, X)
        Whole cells (nucleus and surround) with the numbers of their nuclei.

    Raises
    ------
    ValueError
        If ``labels`` is not a 2-D array of whole numbers, or the distance is negative or
        not finite.

    References
    ----------
    Felzenszwalb, Huttenlocher (2012), Distance transforms of sampled functions, Theory of
    Computing 8:415 (the separable search).

    Examples
    --------
    >>> expand_cells(np.array([[0, 0, 1, 0, 0, 0, 0, 2]]), 2)
    array([[1, 1, 1, 1, 1, 2, 2, 2]], dtype=int32)
    """
    labels = np.asarray(labels)
    if labels.ndim != 2 or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"labels must be a 2-D array of whole numbers, got {labels.dtype} {labels.shape}."
        )
    if not math.isfinite(distance_px) or distance_px < 0:
        raise ValueError(f"distance_px must be finite and >= 0, got {distance_px!r}.")
    nuclei = as_labels(labels)
    cells = nuclei.copy()
    reach = min(math.floor(distance_px), max(labels.shape, default=0))
    if reach and cells.size:
        limit = min(math.floor(distance_px * distance_px), 2 * reach * reach)
        steps = np.array(sorted(range(-reach, reach + 1), key=lambda step: (abs(step), step)))
        bits = (2 * reach).bit_length()
        far = limit + 1 << bits
        # The narrower the numbers, the more of them are compared at once.
        narrow = far + (reach * reach << bits) + 2 * reach < 2**16
        height, width = cells.shape
        rows = np.full((height + 3, width), reach + 1, np.int16 if narrow else np.int32)
        codes = np.full((2, width + 2 * reach), far, np.uint16 if narrow else np.int64)
        _expand(nuclei, steps, (bits, far), rows, codes, cells)
    return cells


def as_labels(labels: npt.NDArray[np.integer]) -> npt.NDArray[np.int32]:
    """Return labels as the compiled loops take them; the same array where that is what it is."""
    return np.ascontiguousarray(labels, np.int32)


@compiled
def _expand(
    nuclei: npt.NDArray[np.int32],
    steps: npt.NDArray[np.int64],
    coding: tuple[int, int],
    rows: npt.NDArray[np.signedinteger],
    codes: npt.NDArray[np.integer],
    cells: npt.NDArray[np.int32],
) -> None:
    """Give the background of ``cells`` to the nearest nucleus, row by row.

    One number, the code, holds the squared distance (high bits) and the rank of the column step
    (low bits), so that a plain minimum finds both; ties go to the lower rank.
    """
    height, width = nuclei.shape
    reach = steps.size // 2
    bits, far = coding
    # Below the last row no nucleus is in reach, nor above the first one.
    below, above, step = rows[:-2], rows[-2], rows[-1]
    code, best = codes[0], codes[1, :width]
    for y in range(height - 1, -1, -1):
        _go_further(nuclei[y], below[y + 1], reach, below[y])
    for y in range(height):
        _go_further(nuclei[y], above, reach, above)
        for x in range(width):
            step[x] = -above[x] if above[x] <= below[y, x] else below[y, x]
            near = abs(step[x]) <= reach
            best[x] = code[x + reach] = step[x] * step[x] << bits if near else far
        for rank in range(1, steps.size):
            _take_lower(code[reach + steps[rank] :], (steps[rank] ** 2 << bits) + rank, best)
        for x in range(width):
            if nuclei[y, x] == 0 and best[x] < far:
                column = x + steps[best[x] & (1 << bits) - 1]
                cells[y, x] = nuclei[y + step[column], column]


@compiled
def _go_further(
    nuclei: npt.NDArray[np.int32],
    before: npt.NDArray[np.signedinteger],
    reach: int,
    rows: npt.NDArray[np.signedinteger],
) -> None:
    """Fill in the rows to the last nucleus seen in each column, at most ``reach`` and one."""
    for x in range(nuclei.size):
        rows[x] = 0 if nuclei[x] else min(before[x] + 1, reach + 1)


@compiled
def _take_lower(code: npt.NDArray[np.integer], more: int, best: npt.NDArray[np.integer]) -> None:
    """Lower ``best`` to another column's code where that is lower."""
    for x in range(best.size):
        # Of the array's own type, as else the processor would compare four numbers at once
        # instead of sixteen.
        best[x] = min(best[x], best.dtype.type(code[x] + more))
