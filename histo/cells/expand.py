"""Whole cells from nuclei: every nucleus grown by a distance, bounded by its neighbours."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

__all__ = ["expand_cells"]

# Blocks of rows small enough to stay in a core's cache while all shifts pass over them.
_BLOCK_ROWS = 64


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
    cells = labels.astype(np.int32, copy=True)
    reach = min(math.floor(distance_px), max(labels.shape, default=0))
    if reach == 0 or cells.size == 0:
        return cells
    rows_to_nucleus, columns_to_nucleus = _nearest(labels > 0, reach, distance_px)
    y, x = np.nonzero(columns_to_nucleus != _NOTHING)
    x_from = x + columns_to_nucleus[y, x]
    cells[y, x] = cells[y + rows_to_nucleus[y, x_from], x_from]
    return cells


# Marks pixels that keep their value: nuclei themselves, and background out of reach.
_NOTHING = np.int16(np.iinfo(np.int16).min)


def _nearest(
    nuclei: npt.NDArray[np.bool_], reach: int, distance_px: float
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int16]]:
    """Return where the nearest nucleus pixel lies.

    The first array is the signed row step to the nearest nucleus within each pixel's own
    column; the second the signed column step to take first, or ``_NOTHING``.
    """
    row_step = _row_steps(nuclei)
    row_distance = np.abs(row_step)
    # One number holds the squared distance (high bits) and the column step (low bits), so
    # that a plain minimum finds both; ties go to the smaller low bits, the nearer column.
    steps = sorted(range(-reach, reach + 1), key=lambda step: (abs(step), step))
    bits = (len(steps) - 1).bit_length()
    limit = math.floor(distance_px * distance_px)
    nowhere = (limit + 1) << bits
    largest = nowhere + (reach * reach << bits) + len(steps)
    dtype = np.uint16 if largest <= np.iinfo(np.uint16).max else np.uint64
    squared = np.minimum(row_distance, reach + 1).astype(np.int64 if dtype == np.uint64 else "i4")
    code = np.where(row_distance <= reach, squared * squared << bits, nowhere).astype(dtype)
    chosen = np.full(nuclei.shape, _NOTHING, np.int16)
    step_of_rank = np.array(steps, np.int16)
    for start in range(0, nuclei.shape[0], _BLOCK_ROWS):
        rows = slice(start, start + _BLOCK_ROWS)
        best = _best_column(code[rows], steps, bits)
        take = (best < dtype(nowhere)) & ~nuclei[rows]
        low = (best[take] & dtype((1 << bits) - 1)).astype(np.intp)
        chosen[rows][take] = step_of_rank[low]
    return row_step, chosen


def _best_column(code: npt.NDArray[np.uint16], steps: list[int], bits: int) -> npt.NDArray[np.uint16]:
    """Return the smallest of each pixel's codes over the columns in reach."""
    width = code.shape[1]
    best = code.copy()
    shifted = np.empty_like(code)
    for rank, step in enumerate(steps[1:], start=1):
        if abs(step) >= width:
            continue
        source = slice(max(step, 0), width + min(step, 0))
        target = slice(max(-step, 0), width + min(-step, 0))
        cost = code.dtype.type((step * step << bits) + rank)
        part = shifted[:, : width - abs(step)]
        np.add(code[:, source], cost, out=part)
        np.minimum(best[:, target], part, out=best[:, target])
    return best


def _row_steps(nuclei: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
    """Return the signed rows to the nearest nucleus pixel of the same column (far: huge)."""
    height = nuclei.shape[0]
    far = np.int32(1 << 20)
    row = np.arange(height, dtype=np.int32)[:, None]
    above = np.maximum.accumulate(np.where(nuclei, row, -far), axis=0)
    below = np.minimum.accumulate(np.where(nuclei, row, far)[::-1], axis=0)[::-1]
    above -= row
    below = below - row
    return np.where(-above <= below, above, below)
