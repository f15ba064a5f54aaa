"""Corrected nuclei become annotations: what is in them is what the reader left."""

import json

import numpy as np
import pytest

from histo.errors import AnnotationError
from histo.geometry import Region
from histo.pipeline.annotation import AnnotationGrid, read_annotation
from histo.results.reader_areas import read_geojson_nuclei
from histo.review import Review
from histo.review.lessons import read_fields, write_lesson
from histo.slide import open_slide


def box(top, left, bottom, right):
    return np.array([[top, left], [top, right], [bottom, right], [bottom, left]], float)


@pytest.fixture
def review(grid):
    return Review.open(grid, reader="ann")


def read(path):
    """Read a lesson of the grid: pixels of 0.25 x 0.5 µm, whose mean is 0.375."""
    return read_geojson_nuclei(path, pixel_size_um=1.0)


def test_the_nuclei_of_a_field_with_their_calls(review, tmp_path):
    field = box(0, 0, 20, 80)  # the first two rows of eight
    done = write_lesson(review, [field], tmp_path / "grid.geojson")
    assert (done.fields, done.nuclei, done.edits) == (1, 16, 0)
    found = read(done.truth)
    centres = found.nuclei.centres_um * (0.25, 0.5)
    inside = centres[:, 0] < 20
    # One more row lies near enough to reach into the field.
    assert (inside.sum(), len(centres)) == (16, 32)
    np.testing.assert_allclose(
        centres[inside], review.cells[["y_um", "x_um"]].to_numpy()[:16], atol=1e-6
    )
    # Called from 0.12 on: the last four of the field.
    assert found.nuclei.positive[inside].tolist() == [False] * 12 + [True] * 4
    np.testing.assert_allclose(found.complete.box_um(), (0, 0, 80, 160))
    (again,) = read_fields(done.truth, (0.25, 0.5))
    np.testing.assert_allclose(again, field)


def test_what_was_deleted_is_gone_and_what_was_drawn_is_there(review, draw, tmp_path):
    review.delete([1, 2])
    review.add([draw(5, 60.5)])
    review.set_call([3], "foxp3", 2)
    done = write_lesson(review, [box(0, 0, 10, 80)], tmp_path / "grid.geojson")
    assert (done.nuclei, done.edits) == (7, 4)
    found = read(done.truth)
    centres = found.nuclei.centres_um * (0.25, 0.5)
    row = centres[np.abs(centres[:, 0] - 5) < 1]
    assert sorted(row[:, 1].round(1).tolist()) == [25, 35, 45, 55, 60.5, 65, 75]
    calls = found.nuclei.positive[np.abs(centres[:, 1] - 25) < 1]
    assert calls[0], "called by hand"


def test_a_split_nucleus_is_its_parts(review, draw, tmp_path):
    review.split(5, [draw(4, 43), draw(6, 48)])
    done = write_lesson(review, [box(0, 30, 10, 60)], tmp_path / "grid.geojson")
    assert (done.nuclei, done.edits) == (4, 3)


def test_artefacts_and_left_out_regions_are_no_background(review, tmp_path):
    done = write_lesson(review, [box(30, 0, 50, 80)], tmp_path / "grid.geojson")
    content = json.loads(done.truth.read_text())
    names = [one["properties"]["classification"]["name"] for one in content["features"]]
    assert names.count("Ignore*") == 1, "the cell in the fold"
    assert read(done.truth).ignored is not None


def test_nothing_to_learn_from_is_said(review, tmp_path):
    with pytest.raises(AnnotationError, match="grid: no field is drawn"):
        write_lesson(review, [], tmp_path / "grid.geojson")
    with pytest.raises(AnnotationError, match="no nucleus in the drawn fields"):
        write_lesson(review, [box(500, 500, 600, 600)], tmp_path / "grid.geojson")
    assert not (tmp_path / "grid.geojson").exists()
    (tmp_path / "odd.geojson").write_text("{}")
    with pytest.raises(AnnotationError, match=r"odd\.geojson: cannot be read as a lesson"):
        read_fields(tmp_path / "odd.geojson", (0.25, 0.5))


def test_training_reads_the_nuclei_that_the_run_found(section, tmp_path):
    slide_path, folder = section
    review = Review.open(folder, reader="ann")
    done = write_lesson(review, [box(20, 20, 110, 110)], tmp_path / "section.geojson")
    with open_slide(slide_path) as slide:
        annotation = read_annotation(done.truth, slide)
        grid = AnnotationGrid(annotation, 0.5, slide.grid_shape(0.5))
        region = Region(0, 0, *slide.grid_shape(0.5))
    painted, known = grid.labels(region) > 0, grid.known(region)
    from histo.results import open_labels

    found = np.asarray(open_labels(folder / "nuclei.ome.zarr")[0]) > 0
    inside = np.zeros_like(found)
    inside[44:216, 44:216] = True
    np.testing.assert_array_equal(painted[inside], found[inside])
    assert known[inside].all()
    assert not known[:36].any()
    assert annotation.cells.positive is not None
