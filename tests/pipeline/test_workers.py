"""A slide's numbers do not depend on how many threads worked on it."""

import numpy as np
import pandas as pd
import pytest

from histo import threads
from histo.pipeline import Settings, analyze_slide, measure
from histo.results import open_labels, read_outlines


@pytest.fixture(scope="module")
def by_workers(analysed, tmp_path_factory):
    """The slide cut into many small tiles, analysed by one worker and by several."""
    root = tmp_path_factory.mktemp("workers")
    results = {}
    for workers in (1, 5):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(threads, "worker_count", lambda count=workers: count)
            patch.setattr(measure, "CORE_PX", 128)
            folder = root / str(workers)
            results[folder] = analyze_slide(analysed[0], Settings("foxp3-dab"), folder=folder)
    return results


def test_cells_and_areas(by_workers):
    one, several = by_workers.values()
    assert len(one.cells) > 100
    pd.testing.assert_frame_equal(one.cells, several.cells, check_exact=True)
    assert one.areas.to_dict() == several.areas.to_dict()
    assert [m.value for m in one.metrics] == pytest.approx(
        [m.value for m in several.metrics], rel=0, abs=0, nan_ok=True
    )


def test_labels_and_outlines(by_workers):
    one, several = by_workers
    for a, b in zip(
        *(open_labels(folder / measure.LABELS) for folder in (one, several)), strict=True
    ):
        np.testing.assert_array_equal(a[:], b[:])
    for a, b in zip(
        *(read_outlines(folder / measure.OUTLINES) for folder in (one, several)), strict=True
    ):
        np.testing.assert_array_equal(a.cell_ids, b.cell_ids)
        for part in ("nuclei", "cells"):
            np.testing.assert_array_equal(getattr(a, part).points, getattr(b, part).points)
