"""The scores that pathologists use, from how many cells have which grade.

All take counts of the cells of grade 0, 1+, 2+, 3+ in the last axis, so that one cell
population or a whole curve of cut-offs is scored alike.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["allred", "count_grades", "density_per_mm2", "h_score", "irs", "positive_fraction"]

Floats = npt.NDArray[np.float64]


def count_grades(grades: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Count the cells of each grade.

    Parameters
    ----------
    grades : int (N,)
        0 ... 3.

    Returns
    -------
    int64 (4,)

    Raises
    ------
    ValueError
        If a grade is not 0, 1, 2 or 3.

    Examples
    --------
    >>> count_grades([0, 0, 1, 3])
    array([2, 1, 0, 1])
    """
    grades = np.asarray(grades, dtype=np.int64)
    if grades.size and (grades.min() < 0 or grades.max() > 3):
        raise ValueError(f"grades must be 0 ... 3, got {grades.min()} ... {grades.max()}.")
    return np.bincount(grades, minlength=4)


def positive_fraction(counts: npt.ArrayLike) -> Floats:
    """Return the share of cells of grade 1+ or more.

    Parameters
    ----------
    counts : int (..., 4)
        Cells of grade 0, 1+, 2+, 3+.

    Returns
    -------
    float64 (...)
        NaN where there is no cell.

    Examples
    --------
    >>> float(positive_fraction([70, 15, 10, 5]))
    0.3
    """
    n, positive, _ = _split(counts)
    return _divide(positive, n)


def h_score(counts: npt.ArrayLike) -> Floats:
    """Return the H-score, ``100 (n1 + 2 n2 + 3 n3) / n``.

    Parameters
    ----------
    counts : int (..., 4)
        Cells of grade 0, 1+, 2+, 3+.

    Returns
    -------
    float64 (...)
        0 ... 300; NaN where there is no cell.

    References
    ----------
    McCarty et al. (1985), Arch. Pathol. Lab. Med. 109:716.

    Examples
    --------
    >>> float(h_score([70, 15, 10, 5]))
    50.0
    """
    n, _, graded = _split(counts)
    return _divide(100 * graded, n)


def allred(counts: npt.ArrayLike) -> Floats:
    """Return the Allred score: proportion 0-5 plus intensity 0-3.

    Proportion: 1 above 0, 2 from 1 %, 3 from 10 %, 4 from 1/3, 5 from 2/3 of cells positive.
    Intensity, from the mean grade of positive cells: 3 above 7/3, 2 above 5/3, else 1.

    Parameters
    ----------
    counts : int (..., 4)
        Cells of grade 0, 1+, 2+, 3+.

    Returns
    -------
    float64 (...)
        0 or 2 ... 8; NaN where there is no cell.

    References
    ----------
    Allred et al. (1998), Mod. Pathol. 11:155; the bounds are those of QuPath.

    Examples
    --------
    >>> float(allred([70, 15, 10, 5]))
    4.0
    """
    n, positive, graded = _split(counts)
    # Whole numbers are compared: 1/3 of 300 is 100, while 100 / 300 may round below 1/3.
    proportion = (
        (positive > 0).astype(np.float64)
        + (100 * positive >= n)
        + (10 * positive >= n)
        + (3 * positive >= n)
        + (3 * positive >= 2 * n)
    )
    score = np.where(positive > 0, proportion + _intensity(positive, graded), 0.0)
    return np.asarray(np.where(n > 0, score, np.nan))


def irs(counts: npt.ArrayLike) -> Floats:
    """Return the immunoreactive score, intensity 0-3 times percentage 0-4.

    Percentage: 0 none; 1 below 10 %; 2 from 10 to 50 %; 3 above 50 to 80 %; 4 above 80 %.
    In print the classes are 10-50 and 51-80: what lies between 50 and 51 % is taken to the
    upper class, so that a value is in exactly one. The intensity is that of
    :func:`allred`, the mean grade of positive cells rounded to a class.

    Parameters
    ----------
    counts : int (..., 4)
        Cells of grade 0, 1+, 2+, 3+.

    Returns
    -------
    float64 (...)
        0 ... 12; NaN where there is no cell.

    References
    ----------
    Remmele, Stegner (1987), Pathologe 8:138.

    Examples
    --------
    >>> float(irs([49, 17, 17, 17]))
    6.0
    """
    n, positive, graded = _split(counts)
    percentage = (
        (positive > 0).astype(np.float64)
        + (10 * positive >= n)
        + (2 * positive > n)
        + (5 * positive > 4 * n)
    )
    score = np.where(positive > 0, percentage * _intensity(positive, graded), 0.0)
    return np.asarray(np.where(n > 0, score, np.nan))


def density_per_mm2(count: npt.ArrayLike, area_um2: float) -> Floats:
    """Return cells per mm², ``10^6 N / A``.

    Parameters
    ----------
    count : float (...)
    area_um2 : float
        µm²; 0 gives NaN, for a density in no area is not 0.

    Returns
    -------
    float64 (...)

    Raises
    ------
    ValueError
        If the area is negative.

    Examples
    --------
    >>> float(density_per_mm2(50, 500_000))
    100.0
    """
    if not area_um2 >= 0:
        raise ValueError(f"area_um2 must be >= 0, got {area_um2}.")
    return _divide(1e6 * np.asarray(count, dtype=np.float64), np.float64(area_um2))


def _split(counts: npt.ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Return all cells, positive ones, and the sum of their grades."""
    table = np.asarray(counts, dtype=np.float64)
    if table.ndim < 1 or table.shape[-1] != 4 or (table < 0).any():
        raise ValueError(
            f"counts must hold cells of grade 0, 1+, 2+, 3+ in the last axis, got {table.shape}."
        )
    return table.sum(axis=-1), table[..., 1:].sum(axis=-1), table @ np.arange(4.0)


def _intensity(positive: Floats, graded: Floats) -> Floats:
    above = [3 * graded > 5 * positive, 3 * graded > 7 * positive]
    return np.asarray(1.0 + np.sum(above, axis=0, dtype=np.float64))


def _divide(a: npt.ArrayLike, b: npt.ArrayLike) -> Floats:
    """Divide; no denominator, no ratio."""
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    safe = np.where(b > 0, b, 1.0)
    return np.asarray(np.where(b > 0, a / safe, np.nan))
