"""What the child process does for corrections by hand: a thin call of ``histo.review.drafts``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histo.errors import EditError

if TYPE_CHECKING:
    from histo.edits import DrawnNucleus
    from histo.review.drafts import Drafts
    from napari_histo.job import Report, Tell

__all__ = ["draft", "nuclei_from"]

#: The drafts of the slide at hand, and what they were opened on: they stay loaded while the child
#: lives.
_open: dict[tuple[str, str, int], Drafts] = {}


def draft(arguments: dict[str, Any], tell: Tell, report: Report) -> dict[str, Any]:
    """Outline and measure nuclei, or measure what excluding a polygon takes away.

    Parameters
    ----------
    arguments : dict
        ``slide``, ``folder``, and optionally ``model``, ``gone`` (cells of the run that were
        deleted) and ``added`` (outlines that were added). ``do`` is one of

        - ``"open"``: load everything, so that the first click need not wait;
        - ``"at"``: ``point_um`` [y, x];
        - ``"within"``: ``polygon_um`` [[y, x], ...];
        - ``"split"``: ``outline_um`` and ``points_um``;
        - ``"merge"``: ``outlines_um``;
        - ``"areas"``: ``polygon_um`` and ``without``, a list of polygons.
    tell, report : callable
        See `napari_histo.job`.

    Returns
    -------
    dict
        ``nuclei``: for each ``outline_um``, ``cell_outline_um`` and ``row`` (see `nuclei_from`);
        ``areas`` as `histo.metrics.SlideAreas.to_dict` gives them, or None; ``notes``.

    Raises
    ------
    HistoError
        If there is no nucleus, or slide and result do not fit.
    """
    tell("opening the slide", 0.0)
    drafts = _opened(arguments)
    drafts.follow(gone=arguments.get("gone", ()), added=arguments.get("added", ()))
    do, areas = arguments["do"], None
    nuclei: Sequence[DrawnNucleus] = ()
    tell("measuring", 0.5)
    if do == "at":
        nuclei = [drafts.at(*arguments["point_um"])]
    elif do == "within":
        nuclei = [drafts.within(arguments["polygon_um"])]
    elif do == "split":
        nuclei = drafts.split(arguments["outline_um"], arguments["points_um"])
    elif do == "merge":
        nuclei = [drafts.merge(arguments["outlines_um"])]
    elif do == "areas":
        without = arguments.get("without", ())
        areas = drafts.areas(arguments["polygon_um"], without=without).to_dict()
    elif do == "open":
        drafts.warm_up()
    else:
        raise EditError(f"There is no draft {do!r}; take at, within, split, merge or areas.")
    return {
        "nuclei": [_as_json(one) for one in nuclei],
        "areas": areas,
        "notes": list(drafts.notes),
    }


def nuclei_from(value: dict[str, Any]) -> list[DrawnNucleus]:
    """Return the nuclei of what `draft` gave.

    Parameters
    ----------
    value : dict
        As it came out of the child process.

    Examples
    --------
    >>> row = {"y_um": 2.0, "x_um": 2.0, "nucleus_area_um2": 9.0, "cytoplasm_dab_od_mean": None}
    >>> square = [[0.5, 0.5], [0.5, 3.5], [3.5, 3.5], [3.5, 0.5]]
    >>> one = {"outline_um": square, "cell_outline_um": square, "row": row}
    >>> nuclei_from({"nuclei": [one]})[0].row["cytoplasm_dab_od_mean"]
    nan
    """
    from histo.edits import DrawnNucleus

    return [
        DrawnNucleus(
            one["outline_um"],
            {name: math.nan if value is None else value for name, value in one["row"].items()},
            one["cell_outline_um"],
        )
        for one in value["nuclei"]
    ]


def _opened(arguments: dict[str, Any]) -> Drafts:
    """Return the drafts of a slide; those of the slide before are closed."""
    from histo.review.drafts import Drafts

    slide, folder = Path(arguments["slide"]), Path(arguments["folder"])
    views = folder / "views.npz"
    # The same file after an edit is saved, another one after the slide is run again.
    stamp = views.stat().st_mtime_ns if views.is_file() else 0
    key = (str(slide), str(folder), stamp)
    if key not in _open:
        while _open:
            _open.popitem()[1].close()
        _open[key] = Drafts.open(slide, folder, model=arguments.get("model"))
    return _open[key]


def _as_json(one: DrawnNucleus) -> dict[str, Any]:
    whole = one.outline_um if one.cell_outline_um is None else one.cell_outline_um
    # NaN is not JSON.
    row = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in one.row.items()
    }
    return {"outline_um": one.outline_um.tolist(), "cell_outline_um": whole.tolist(), "row": row}
