"""Outlines of labelled cells as polygons, for all cells at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["cell_outlines"]

Ints = npt.NDArray[np.int64]

# The sides of a pixel, walked clockwise with the cell on the right hand (y points down).
# Middle of each side, in half pixels from the pixel's top left corner: top, right, bottom, left.
_MIDDLE = np.array([[0, 1], [1, 2], [2, 1], [1, 0]])
_OUTWARD = np.array([[-1, 0], [0, 1], [1, 0], [0, -1]])
_ONWARD = np.array([[0, 1], [1, 0], [0, -1], [-1, 0]])


def cell_outlines(
    labels: npt.NDArray[np.integer], ids: npt.NDArray[np.integer]
) -> dict[int, npt.NDArray[np.float64]]:
    """Trace the outlines of cells.

    Parameters
    ----------
    labels : int (Y, X)
        Nuclei or whole cells; 0 is background.
    ids : int (N,)
        Which labels to trace.

    Returns
    -------
    dict of int to float64 (M, 2)
        For each label a closed ring (the last point repeats the first) of (y, x) in pixels of
        the array, (0, 0) its top left corner. Clockwise on the screen.

    Raises
    ------
    ValueError
        If ``labels`` is not 2-D, or a label is not there.

    Notes
    -----
    The ring joins the middles of the pixel sides on the border (marching squares at half
    height), without points on straight lines. Pixels that meet in a corner only are apart.
    So every ring is a simple polygon, rings of different labels do not overlap, and
    a ring's area is that of its pixels less half a pixel (holes filled). Of a label in several
    pieces the largest is traced.

    References
    ----------
    Lorensen, Cline (1987), Marching cubes, Comput. Graph. 21:163 (here in the plane).

    Examples
    --------
    >>> cell_outlines(np.array([[0, 5, 5]]), np.array([5]))[5].tolist()
    [[0.0, 1.5], [0.0, 2.5], [0.5, 3.0], [1.0, 2.5], [1.0, 1.5], [0.5, 1.0], [0.0, 1.5]]
    """
    labels = np.asarray(labels)
    if labels.ndim != 2:
        raise ValueError(f"labels must be 2-D, got shape {labels.shape}.")
    wanted = np.unique(np.asarray(ids, dtype=np.int64))
    if wanted.size == 0:
        return {}
    padded = np.pad(labels, 1)
    pixel, side = _border(padded, wanted)
    owner = padded.ravel()[pixel].astype(np.int64)
    missing = np.setdiff1d(wanted, owner)
    if missing.size:
        raise ValueError(f"label {missing[0]} is not in labels.")
    loop, away = _follow_loops(_successors(padded, pixel, side))
    place, start = _places(loop, away, owner)
    y, x = np.divmod(pixel, padded.shape[1])
    points = np.empty((pixel.size, 2))
    points[place] = np.stack([y - 1, x - 1], axis=1) + _MIDDLE[side] / 2
    owner_there = np.empty_like(owner)
    owner_there[place] = owner
    return _rings(points, owner_there[start], start)


def _border(padded: npt.NDArray[np.integer], wanted: Ints) -> tuple[Ints, npt.NDArray[np.intp]]:
    """Return the pixel and side of every border side of the wanted labels."""
    width = padded.shape[1]
    inner = padded[1:-1, 1:-1]
    member = np.zeros(int(max(inner.max(initial=0), wanted.max())) + 1, bool)
    if wanted[0] < 1:
        raise ValueError(f"ids must be > 0, got {wanted[0]}.")
    member[wanted] = True
    pixels, sides = [], []
    for side, (dy, dx) in enumerate(_OUTWARD):
        beyond = padded[1 + dy : padded.shape[0] - 1 + dy, 1 + dx : width - 1 + dx]
        flat = np.flatnonzero(((inner != beyond) & (inner > 0)).ravel())
        flat = flat[member[inner.ravel()[flat]]]
        y, x = np.divmod(flat, width - 2)
        pixels.append((y + 1) * width + x + 1)
        sides.append(np.full(flat.size, side, np.intp))
    return np.concatenate(pixels).astype(np.int64), np.concatenate(sides)


def _successors(
    padded: npt.NDArray[np.integer], pixel: Ints, side: npt.NDArray[np.intp]
) -> npt.NDArray[np.intp]:
    """Return for each border side the one that follows it clockwise."""
    width = padded.shape[1]
    flat = padded.ravel()
    onward = (_ONWARD @ [width, 1])[side]
    outward = (_OUTWARD @ [width, 1])[side]
    own = flat[pixel]
    straight = flat[pixel + onward] == own
    # A pixel across the corner counts only through its neighbour, so corners do not join.
    outer = straight & (flat[pixel + onward + outward] == own)
    next_pixel = pixel + np.where(straight, onward, 0) + np.where(outer, outward, 0)
    next_side = np.where(outer, side - 1, np.where(straight, side, side + 1)) % 4
    # The border lists the sides one after the other, each in the order of its pixels.
    count = np.bincount(side, minlength=4)
    first = np.cumsum(count) - count
    found = np.empty(pixel.size, np.intp)
    for kind in range(4):
        of_kind = pixel[first[kind] : first[kind] + count[kind]]
        here = np.flatnonzero(next_side == kind)
        found[here] = first[kind] + np.searchsorted(of_kind, next_pixel[here])
    return found


def _follow_loops(
    following: npt.NDArray[np.intp],
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Find the loops of a permutation: each element's loop, and its steps to the first one.

    Loops are named by their smallest element. Pointer doubling: after k rounds every element
    knows the smallest of its next 2**k, and how far it has to go to it.
    """
    itself = np.arange(following.size)
    jump = following.copy()
    loop = np.minimum(itself, jump)
    away = (loop < itself).astype(np.intp)
    span = 1
    while True:
        ahead = loop[jump]
        closer = ahead < loop
        if not closer.any() and (loop[following] == loop).all():
            return loop, away
        away = np.where(closer, away[jump] + span, away)
        loop = np.where(closer, ahead, loop)
        jump = jump[jump]
        span *= 2


def _places(
    loop: npt.NDArray[np.intp], away: npt.NDArray[np.intp], owner: Ints
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return where each element goes when loops stand one after the other, and their starts.

    Loops are in the order of their owners, each in the order of its walk.
    """
    leader = np.flatnonzero(away == 0)
    leader = leader[np.argsort(owner[leader], kind="stable")]
    length = np.bincount(loop, minlength=loop.size)
    start = np.cumsum(length[leader]) - length[leader]
    start_of = np.empty(loop.size, np.intp)
    start_of[leader] = start
    return start_of[loop] + np.where(away == 0, 0, length[loop] - away), start


def _rings(
    points: npt.NDArray[np.float64], owner: Ints, first: npt.NDArray[np.intp]
) -> dict[int, npt.NDArray[np.float64]]:
    """Keep each label's largest loop, drop points on straight lines, close the ring."""
    stop = np.append(first[1:], len(points))
    following = np.arange(1, len(points) + 1)
    following[stop - 1] = first
    ahead = points[following]
    step = ahead - points
    before = np.empty_like(step)
    before[following] = step
    # Twice the area, positive when clockwise on the screen; holes run the other way.
    cross = points[:, 1] * ahead[:, 0] - ahead[:, 1] * points[:, 0]
    area = np.add.reduceat(cross, first)
    order = np.lexsort((-area, owner))
    largest = order[np.append(True, np.diff(owner[order]) != 0)]
    bend = (step != before).any(axis=1)
    corners, at = points[bend], np.cumsum(bend) - bend
    at = np.append(at, len(corners))
    rings = {}
    for k, label in zip(largest.tolist(), owner[largest].tolist(), strict=True):
        ring = corners[at[first[k]] : at[stop[k]]]
        rings[label] = np.concatenate([ring, ring[:1]])
    return rings
