"""The first look at a slide: areas of what lies on the slide, not of whole coarse pixels."""

from dataclasses import replace

import numpy as np
import pytest
import tifffile

from histo.cli.demo import sample_slides
from histo.panel import load_panel
from histo.pipeline.survey import Survey, survey_slide
from histo.slide import open_slide


def test_an_area_ends_where_the_slide_ends():
    tissue, none = np.ones((3, 5), bool), np.zeros((3, 5), np.uint8)
    survey = Survey(4.0, np.zeros((0, 0, 3)), tissue, none, extent_px=(2.25, 4.5))
    assert survey.areas({}).tissue_um2 == pytest.approx(2.25 * 4.5 * 16)
    corner = np.zeros((3, 5), bool)
    corner[2, 4] = True
    assert survey.areas({}, corner).tissue_um2 == pytest.approx(0.25 * 0.5 * 16)


@pytest.mark.parametrize("shape", [(300, 400), (301, 405), (307, 403)])
def test_a_small_field_has_its_own_area(shape, tmp_path):
    sample = sample_slides()["foxp3-dab"][0]
    pixels = tifffile.imread(sample)[: shape[0], : shape[1]]
    path = tmp_path / "field.tif"
    tifffile.imwrite(path, pixels, photometric="rgb")
    with open_slide(path, pixel_size_um=0.5) as slide:
        survey = survey_slide(slide, load_panel("foxp3-dab"))
    every = replace(survey, tissue=np.ones(survey.tissue.shape, bool))
    assert every.areas({}).tissue_um2 == pytest.approx(shape[0] * shape[1] / 4, rel=1e-5)
