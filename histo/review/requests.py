"""Thresholds that were asked for, as a manifest holds them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from histo.panel.thresholds import Request

__all__ = ["plain_request", "stored_requests"]


def stored_requests(manifest: Mapping[str, Any]) -> dict[str, Request]:
    """Return the thresholds that a result was saved with: those of its review, else of its run.

    Parameters
    ----------
    manifest : mapping

    Returns
    -------
    dict of str to request
        Markers that are not named follow the panel.

    Examples
    --------
    >>> stored_requests({"parameters": {"thresholds": {"foxp3": 0.2}}, "edits": {"count": 0}})
    {'foxp3': 0.2}
    """
    # Results that no version with edits wrote hold an empty list.
    edits = manifest.get("edits") or {}
    return dict(edits.get("thresholds", manifest["parameters"].get("thresholds", {})))


def plain_request(request: Request) -> Request:
    """Return a request as it comes back from JSON, so that equal ones compare equal.

    Parameters
    ----------
    request : str, number or sequence of numbers

    Returns
    -------
    str, float or list of float

    Examples
    --------
    >>> plain_request((0.1, 0.2, 0.4)), plain_request(np.float32(0.5)), plain_request("auto")
    ([0.1, 0.2, 0.4], 0.5, 'auto')
    """
    if isinstance(request, str):
        return request
    if np.ndim(request) == 0:
        return float(np.asarray(request))
    return [float(value) for value in np.asarray(request, np.float64)]
