"""What the slide's low-resolution picture and its cells say of regions."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from histo.cells import measure_column
from histo.errors import PanelError
from histo.pipeline.measure import Workplace, plane_names
from histo.region.maps import MAP_UM, RegionMaps, map_shape

__all__ = ["at_map_size", "slide_maps"]

#: Channels run from the tissue's darkest to its brightest pixels; few are beyond.
_RANGE_PERCENT = (5.0, 99.0)


def slide_maps(place: Workplace, cells: pd.DataFrame, stains: Sequence[str] = ()) -> RegionMaps:
    """Prepare the maps of a slide that a region model reads.

    Parameters
    ----------
    place : Workplace
    cells : DataFrame
        The slide's cell table.
    stains : sequence of str
        Further stains or channels that the model reads.

    Returns
    -------
    RegionMaps

    Raises
    ------
    PanelError
        If the panel has no such stain.
    """
    survey, panel = place.survey, place.panel
    names = plane_names(panel, survey)
    lacking = [name for name in stains if name not in names]
    if lacking:
        raise PanelError(
            f"{place.slide.path.name}: the region model reads {lacking[0]!r}, but the panel "
            f"{panel.name} has {', '.join(n for n in names if n != 'residual')}; take a model "
            "without it, or another panel."
        )
    planes = place.planes(survey.picture)
    if panel.kind == "brightfield":
        nuclear, drawn = "hematoxylin", {name: planes[..., names.index(name)] for name in names}
    else:
        nuclear = str(panel.nuclear_channel)
        drawn = {name: planes[..., names.index(name)] for name in stains}
        drawn = {name: _scaled(plane, survey.tissue) for name, plane in drawn.items()}
        low, high = survey.nuclear_range or (0.0, 1.0)
        plane = planes[..., names.index(nuclear)]
        drawn[nuclear] = np.clip((plane - low) / (high - low), 0, 2)
    size = survey.pixel_size_um * np.array(survey.tissue.shape)
    shape = map_shape(float(size[0]), float(size[1]))
    resized = {
        name: at_map_size(drawn[name], shape, survey.pixel_size_um) for name in (nuclear, *stains)
    }
    return RegionMaps.of(
        cells,
        resized[nuclear],
        nuclear_column=measure_column("nucleus", nuclear, panel.quantity, "mean"),
        stains={name: resized[name] for name in stains},
    )


def _scaled(
    plane: npt.NDArray[np.float32], tissue: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float32]:
    """Return a channel as 0-1 between what is dark and what is bright in the tissue."""
    inside = plane[tissue] if tissue.any() else plane.ravel()
    low, high = np.percentile(inside, _RANGE_PERCENT)
    return np.asarray(np.clip((plane - low) / max(float(high - low), 1e-6), 0, 2), np.float32)


def at_map_size(
    plane: npt.NDArray[np.float32], shape: tuple[int, int], um: float
) -> npt.NDArray[np.float32]:
    """Resample a plane of pixels of ``um`` µm to `MAP_UM`, corner on corner."""
    scale = um / MAP_UM
    matrix = np.array([[scale, 0, (scale - 1) / 2], [0, scale, (scale - 1) / 2]])
    whole = np.asarray(plane, np.float32)
    warped = cv2.warpAffine(
        # Averaged first, so that no pixel is passed over.
        cv2.blur(whole, (max(1, round(1 / scale)),) * 2) if scale < 1 else whole,
        matrix,
        (shape[1], shape[0]),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(warped, np.float32)
