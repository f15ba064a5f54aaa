"""Where a slide's compartments come from: a region model, or annotations that were drawn."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from histo.errors import AnnotationError, HistoError, ModelError
from histo.nuclei.model import is_region_model, model_folder, region_model_names

__all__ = ["ANNOTATION_SUFFIXES", "is_drawn", "regions_record"]

ANNOTATION_SUFFIXES = (".geojson", ".json", ".geojson.gz", ".json.gz")
"""Files of annotations end in one of these."""


def is_drawn(regions: str) -> bool:
    """Say whether regions are annotations (a file or a folder of files), not a model.

    Parameters
    ----------
    regions : str
        As for `histo.pipeline.Settings`.

    Raises
    ------
    HistoError
        If it is neither.

    Examples
    --------
    >>> is_drawn("no-such-thing")
    Traceback (most recent call last):
    ...
    histo.errors.AnnotationError: no-such-thing: no region model and no annotations of that ...
    """
    path = Path(regions)
    if path.is_file() and path.name.lower().endswith(ANNOTATION_SUFFIXES):
        return True
    try:
        fits = is_region_model(regions)
    except ModelError:
        if path.is_dir():
            return True
        raise AnnotationError(
            f"{regions}: no region model and no annotations of that name; give a GeoJSON file of "
            "QuPath, a folder of them named like the slides, or a model of `histo train-regions`."
        ) from None
    if not fits:
        raise ModelError(
            f"{path.name} is a model for nuclei; --regions takes one for regions "
            f"({', '.join(region_model_names()) or 'made by histo train-regions'})."
        )
    return False


def regions_record(regions: str) -> Mapping[str, Any]:
    """Return what identifies regions in a manifest: kind, name and hash.

    Parameters
    ----------
    regions : str
        A region model, or a file of annotations.

    Raises
    ------
    HistoError
        If it cannot be read.
    """
    path = Path(regions)
    if is_drawn(regions):
        digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
        return {"kind": "drawn", "name": path.name, "sha256": digest}
    folder = model_folder(regions)
    try:
        digest = hashlib.sha256((folder / "weights.pt").read_bytes()).hexdigest()
    except OSError as error:
        raise HistoError(
            f"{folder.name}: weights.pt cannot be read ({error.strerror}); train the region model "
            "again."
        ) from error
    return {"kind": "model", "name": folder.name, "sha256": digest}
