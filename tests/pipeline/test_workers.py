"""A slide's numbers do not depend on how many threads worked on it."""

import numpy as np
import pandas as pd
import pytest

from histo import threads
from histo.nuclei import load_model
from histo.panel import load_panel
from histo.pipeline import measure
from histo.pipeline.survey import survey_slide
from histo.results import open_labels, read_outlines
from histo.slide import open_slide


@pytest.fixture(scope="module")
def by_workers(save_rgb, section, tmp_path_factory):
    """The slide cut into many small tiles, measured by one worker and by several."""
    root = tmp_path_factory.mktemp("workers")
    path = save_rgb(root / "section.tif", section.image)
    panel, results = load_panel("foxp3-dab"), {}
    with open_slide(path) as slide, pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "CORE_PX", 128)
        survey = survey_slide(slide, panel)
        place = measure.Workplace(slide, panel, survey, load_model(panel.model), 0.5)
        for workers in (1, 5):
            patch.setattr(threads, "worker_count", lambda count=workers: count)
            folder = root / str(workers)
            folder.mkdir()
            results[folder] = measure.measure_slide(place, folder, progress=lambda *_: None)
    return results


def test_cells_and_areas(by_workers):
    (one, one_areas, one_survey), (several, areas, survey) = by_workers.values()
    assert len(one) > 100
    pd.testing.assert_frame_equal(one, several, check_exact=True)
    assert one_areas.to_dict() == areas.to_dict()
    np.testing.assert_array_equal(one_survey.artefacts, survey.artefacts)


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
