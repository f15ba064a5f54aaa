"""Flat, separated, noise-free discs of known area and optical density, for exact tests."""

from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from histo.phantom.optics import CAMERA_OFFSET, FULL_SCALE, capture, count_photons, transmit
from histo.phantom.recipe import GRADE_LEVELS, PANEL_PLANES, Appearance, is_fluorescence
from histo.phantom.truth import Phantom, tabulate

_GRID_UM: Final = 1.0  # shapes are unions of squares of this side: exact at 1, 0.5, 0.25 ... µm
_PITCH_UM: Final = 28
_GLASS_UM: Final = 16
_CYTOPLASM_UM: Final = 4.0
_NUCLEUS_OD: Final = 0.6
_GROUND_OD: Final = 0.06

MARKER_LEVELS: Final = (0.0, 0.3, 0.5, 0.8)
"""Level of a marker painted for grades 0, 1+, 2+ and 3+."""


def _disc(
    offset_y: NDArray[np.int64], offset_x: NDArray[np.int64], radius: float
) -> NDArray[np.bool_]:
    return np.asarray(np.hypot(offset_y, offset_x) <= radius)


def _draw_discs(
    seed: int, side: tuple[int, int]
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.bool_], NDArray[np.int64]]:
    """Nuclei, cells, tissue on the 1 µm grid, and a shuffled number for each cell."""
    rng = np.random.default_rng(seed)
    nuclei, cells = np.zeros(side, np.int32), np.zeros(side, np.int32)
    tissue = np.zeros(side, bool)
    tissue[_GLASS_UM : side[0] - _GLASS_UM, _GLASS_UM : side[1] - _GLASS_UM] = True
    y, x = np.ogrid[: side[0], : side[1]]
    half, number = _PITCH_UM // 2, 0
    for top in range(_GLASS_UM, side[0] - _GLASS_UM - _PITCH_UM + 1, _PITCH_UM):
        for left in range(_GLASS_UM, side[1] - _GLASS_UM - _PITCH_UM + 1, _PITCH_UM):
            number += 1
            cy, cx = top + half + rng.integers(-2, 3), left + half + rng.integers(-2, 3)
            radius = float(rng.integers(3, 7)) + 0.5
            cells[_disc(y - cy, x - cx, radius + _CYTOPLASM_UM)] = number
            nuclei[_disc(y - cy, x - cx, radius)] = number
    return nuclei, cells, tissue, rng.permutation(number)


def _repeat(array: NDArray[Any], times: int) -> NDArray[Any]:
    return np.repeat(np.repeat(array, times, 0), times, 1)


def _paint_planes(
    panel: str,
    nuclei: NDArray[np.int32],
    cells: NDArray[np.int32],
    tissue: NDArray[np.bool_],
    grades: dict[str, NDArray[np.int64]],
) -> dict[str, NDArray[np.float32]]:
    """Flat planes by stain or channel."""
    planes = {}
    bright = not is_fluorescence(panel)
    for role, name in PANEL_PLANES[panel].items():
        if role in grades:
            level = np.asarray(MARKER_LEVELS)[grades[role]]
            where = nuclei if role == "foxp3" else np.where(nuclei > 0, 0, cells)
            plane = np.concatenate([[0.0], level])[where]
        elif role == "eosin":
            plane = np.where(tissue & (nuclei == 0), 0.2, 0.0)
        else:
            ground = _GROUND_OD if bright else 0.0
            plane = np.where(nuclei > 0, _NUCLEUS_OD, np.where(tissue, ground, 0.0))
        planes[name] = np.asarray(
            plane if bright else plane * FULL_SCALE + CAMERA_OFFSET, np.float32
        )
    return planes


def paint_measurement_phantom(
    panel: str,
    seed: int = 0,
    *,
    extent_um: tuple[int, int] = (256, 256),
    pixel_size_um: float = 0.5,
    appearance: Appearance | None = None,
) -> Phantom:
    """Paint discs whose areas, optical densities and grades are known without doubt.

    Every shape is a union of whole 1 µm squares, so areas in µm² are the same at every allowed
    pixel size and averaging a fine phantom gives the coarse one. Discs do not touch. Each
    marker has equal numbers of grades 0, 1+, 2+, 3+ (to within one cell), with the levels
    0, 0.3, 0.5, 0.8: FOXP3 over the nucleus, RANKL and CD3 over a ring of 4 µm around it.

    Parameters
    ----------
    panel
        Name of a panel.
    seed
        Moves the discs and shuffles their radii and grades.
    extent_um
        Height and width of the field, whole µm.
    pixel_size_um
        1 divided by a whole number, at most 1.
    appearance
        Stains and white point; its `optics` are left out. Its other levels do not matter.

    Returns
    -------
    Phantom
        Tissue is a rectangle inside a 16 µm rim of glass.

    Raises
    ------
    ValueError
        When the panel, the extent or the pixel size is not allowed.

    Examples
    --------
    >>> fine = paint_measurement_phantom("foxp3-dab", pixel_size_um=0.25)
    >>> coarse = paint_measurement_phantom("foxp3-dab", pixel_size_um=1.0)
    >>> bool((fine.cells.nucleus_area_um2 == coarse.cells.nucleus_area_um2).all())
    True
    """
    if panel not in PANEL_PLANES:
        raise ValueError(f"panel must be one of {', '.join(PANEL_PLANES)}, got {panel!r}")
    repeat = round(_GRID_UM / pixel_size_um) if pixel_size_um > 0 else 0
    if repeat < 1 or abs(repeat * pixel_size_um - _GRID_UM) > 1e-9:
        raise ValueError(f"pixel_size_um must be 1 / a whole number, got {pixel_size_um}")
    least = 2 * _GLASS_UM + _PITCH_UM
    if min(extent_um) < least or max(extent_um) * repeat > 8192:
        raise ValueError(f"extent_um must be at least {least} and at most 8192 px, got {extent_um}")
    nuclei, cells, tissue, order = _draw_discs(seed, extent_um)
    # Every four cells hold each grade once; each marker turns them by its own step, so that a
    # duplex shows every combination of two grades.
    roles = [role for role in PANEL_PLANES[panel] if role not in ("nuclear", "eosin")]
    grades = {role: (order + k * (order // 4)) % 4 for k, role in enumerate(roles)}
    mixed = _paint_planes(panel, nuclei, cells, tissue, grades)
    names = tuple(mixed)
    planes = _repeat(np.stack(list(mixed.values()), -1), repeat)
    nuclei, cells, tissue = (_repeat(array, repeat) for array in (nuclei, cells, tissue))
    table = tabulate(nuclei, cells, planes, names, pixel_size_um=pixel_size_um)
    table.insert(1, "kind", pd.Series(["disc"] * len(table), dtype=object))
    table["in_focus"] = True
    for role in roles:
        table[f"{role}_level"] = np.asarray(MARKER_LEVELS)[grades[role]]
        table[f"{role}_grade"] = grades[role].astype(np.int8)
        table[f"{role}_positive"] = grades[role] > 0
    look, rng = appearance or Appearance(), np.random.default_rng(seed)
    bright = not is_fluorescence(panel)
    vectors = np.asarray([getattr(look, name) for name in names]) if bright else np.zeros((0, 3))
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    white = np.asarray(look.white_point, np.float64) if bright else np.zeros(0)
    image = (
        capture(transmit(planes, vectors, white), None, rng, pixel_size_um=pixel_size_um)
        if bright
        else count_photons(planes, None, rng, pixel_size_um=pixel_size_um)
    )
    return Phantom(
        image,
        nuclei,
        cells,
        table,
        tissue,
        np.zeros_like(tissue),
        planes,
        names,
        vectors,
        white,
        GRADE_LEVELS,
        pixel_size_um,
        panel,
    )
