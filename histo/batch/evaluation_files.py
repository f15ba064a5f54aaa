"""What an evaluation leaves behind: a long table, JSON, and Bland and Altman's picture."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from histo.batch.evaluate import Evaluation, ImageEvaluation, Scoring
from histo.batch.pairs import Pairing
from histo.metrics.evaluation import MIN_IMAGES, RADII_UM, figures_to_json
from histo.results import (
    RESEARCH_USE,
    draw_bland_altman,
    input_record,
    replace_file,
    software_record,
    write_metrics_csv,
    write_png,
)

__all__ = ["EVALUATION_CSV", "EVALUATION_JSON", "PICTURE", "evaluation_record", "write_evaluation"]

EVALUATION_CSV, EVALUATION_JSON, PICTURE = (
    "evaluation.csv",
    "evaluation.json",
    "bland_altman.png",
)

_COUNTS = {"cells": "cells", "positive cells": "positive_cells"}


def evaluation_record(evaluation: Evaluation, pairing: Pairing, scoring: Scoring) -> dict[str, Any]:
    """Return an evaluation as JSON takes it, with what it was made from and how.

    Parameters
    ----------
    evaluation : Evaluation
    pairing : Pairing
    scoring : Scoring

    Returns
    -------
    dict
        ``pooled`` and ``images``: figures; ``scoring``; ``without_partner``; names and hashes of
        the files, but no folder, since names of folders may identify a patient.

    Examples
    --------
    >>> record = evaluation_record(Evaluation((), ()), Pairing((), ("s3.csv",)), Scoring(0.25))
    >>> record["scoring"]["pixel_size_um"], record["without_partner"]["predictions"]
    (0.25, ['s3.csv'])
    """
    images = [
        {
            "image": image.name,
            "predictions": {"kind": image.kinds[0], **_file(pair.predictions)},
            "truth": {"kind": image.kinds[1], **_file(pair.truth)},
            "region": None if pair.region is None else _file(pair.region),
            "notes": list(image.notes),
            "figures": figures_to_json(image.figures),
        }
        for image, pair in zip(evaluation.images, pairing.pairs, strict=True)
    ]
    return {
        "notice": RESEARCH_USE,
        "created_utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "software": software_record(),
        "scoring": {
            **asdict(scoring),
            "radii_um": list(RADII_UM),
            "interval": f"95 % percentile bootstrap over images, from {MIN_IMAGES} images on",
        },
        "without_partner": {
            "predictions": list(pairing.lonely_predictions),
            "truth": list(pairing.lonely_truth),
        },
        "pooled": figures_to_json(evaluation.pooled),
        "images": images,
    }


def write_evaluation(
    out: str | Path, evaluation: Evaluation, record: Mapping[str, Any]
) -> list[Path]:
    """Write ``evaluation.csv``, ``evaluation.json`` and, for several images, ``bland_altman.png``.

    Parameters
    ----------
    out : path
        A folder; it is made.
    evaluation : Evaluation
    record : mapping
        From :func:`evaluation_record`.

    Returns
    -------
    list of pathlib.Path
        What was written.

    Raises
    ------
    ResultError
        If the disk refuses.

    Examples
    --------
    >>> import tempfile
    >>> evaluation = Evaluation((), ())
    >>> record = evaluation_record(evaluation, Pairing(()), Scoring())
    >>> [path.name for path in write_evaluation(tempfile.mkdtemp(), evaluation, record)]
    ['evaluation.csv', 'evaluation.json']
    """
    out = Path(out)
    paths = [out / EVALUATION_CSV, out / EVALUATION_JSON]
    write_metrics_csv(paths[0], _rows(evaluation))
    with replace_file(paths[1]) as temporary:
        words = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False)
        temporary.write_text(words + "\n", encoding="utf-8")
    counts = _counts(evaluation.images)
    picture = out / PICTURE
    if counts:
        write_png(picture, draw_bland_altman(counts, [image.name for image in evaluation.images]))
        paths.append(picture)
    else:
        # One of an earlier evaluation would be taken for this one's.
        picture.unlink(missing_ok=True)
    return paths


def _file(path: Path) -> dict[str, Any]:
    """Describe a file; a result folder by its manifest, which holds the hash of its slide."""
    if path.is_dir():
        return {"file": path.name, "manifest": input_record(path / "manifest.json")["sha256"]}
    return input_record(path)


def _rows(evaluation: Evaluation) -> Iterator[dict[str, Any]]:
    for figure in evaluation.pooled:
        yield {"scope": "pooled", "image": "", **_renamed(asdict(figure))}
    for image in evaluation.images:
        for figure in image.figures:
            yield {"scope": "image", "image": image.name, **_renamed(asdict(figure))}


def _renamed(entry: dict[str, Any]) -> dict[str, Any]:
    return {"figure": entry["name"], **{k: v for k, v in entry.items() if k != "name"}}


def _counts(images: tuple[ImageEvaluation, ...]) -> dict[str, npt.NDArray[np.float64]]:
    """Return found and true counts of what several images have; NaN for an image without."""
    counts = {}
    values = [{figure.name: figure.value for figure in image.figures} for image in images]
    for what, prefix in _COUNTS.items():
        names = f"{prefix}_found", f"{prefix}_true"
        pairs = np.array([[one.get(name, np.nan) for name in names] for one in values], float)
        pairs = pairs.reshape(-1, 2)
        if np.isfinite(pairs).all(axis=1).sum() > 1:
            counts[what] = pairs
    return counts
