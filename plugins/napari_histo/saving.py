"""What the child process does to save a review: tables and pictures take their time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_histo.job import Report, Tell

__all__ = ["save"]


def save(arguments: dict[str, Any], tell: Tell, report: Report) -> dict[str, Any]:
    """Write a result anew with its edits and with these cut-offs, and its row of metrics.csv.

    Parameters
    ----------
    arguments : dict
        ``folder``; ``thresholds``, the request of each marker (None is what the panel says);
        ``reader``.
    tell, report : callable
        See `napari_histo.job`.

    Returns
    -------
    dict
        Empty.

    Raises
    ------
    HistoError
        If the folder is no result, cannot be written, or was edited meanwhile.
    """
    from histo.batch import refresh_tables
    from histo.review import Review

    tell("reading the result", 0.0)
    review = Review.open(arguments["folder"], reader=arguments["reader"])
    review.set_thresholds(arguments["thresholds"])
    tell("writing tables and pictures", 0.3)
    review.save()
    tell("writing the table of all slides", 0.9)
    refresh_tables(review.folder.parent)
    return {}
