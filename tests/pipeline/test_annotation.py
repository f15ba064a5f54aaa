"""What a reader annotated, on the pixels of any size; where all nuclei are known, and where not."""

import json

import numpy as np
import pytest
import tifffile

from histo.errors import AnnotationError
from histo.geometry import Region
from histo.pipeline.annotation import BETWEEN_UM, LINE_UM, RIM_UM, AnnotationGrid, read_annotation
from histo.slide import open_slide

UM = 0.5
SHAPE = (160, 200)
WHOLE = Region(0, 0, *SHAPE)


@pytest.fixture
def labels(make_nuclei):
    return make_nuclei(10, shape=SHAPE)


@pytest.fixture
def slide(tmp_path, save_rgb):
    path = save_rgb(tmp_path / "s.tif", np.full((*SHAPE, 3), 230, np.uint8), pixel_size_um=UM)
    with open_slide(path) as opened:
        yield opened


def grid_of(truth, slide, um=UM, **options):
    shape = slide.grid_shape(um)
    return AnnotationGrid(read_annotation(truth, slide, **options), um, shape)


def test_detections_become_the_labels_that_they_were(labels, slide, tmp_path, save_annotations):
    truth = save_annotations(tmp_path / "s.geojson", labels)
    found = grid_of(truth, slide).labels(WHOLE)
    assert (found > 0).mean() == pytest.approx((labels > 0).mean(), rel=0.03)
    for label in range(1, labels.max() + 1):
        there = found[labels == label]
        assert (there == np.bincount(there).argmax()).mean() > 0.9


def test_inside_a_drawn_area_all_is_known_and_outside_nothing(
    labels, slide, tmp_path, save_annotations
):
    area = ("Region*", 40, 30, 100, 170)
    known = grid_of(save_annotations(tmp_path / "a.geojson", labels, areas=[area]), slide).known(
        WHOLE
    )
    line = round(LINE_UM / UM)
    expected = np.zeros(SHAPE, bool)
    expected[40 + line : 100 - line, 30 + line : 170 - line] = True
    assert (known == expected).mean() > 0.99
    assert not known[:40].any()
    assert known[70, 100]


@pytest.mark.parametrize("name", ["Region*", "region", "Training"])
def test_areas_have_any_of_these_classes(labels, slide, tmp_path, save_annotations, name):
    truth = save_annotations(tmp_path / "a.geojson", labels, areas=[(name, 10, 10, 90, 90)])
    annotation = read_annotation(truth, slide)
    assert annotation.areas.count == 1
    assert len(annotation.cells) == 10


def test_an_annotation_of_another_class_is_no_area(labels, slide, tmp_path, save_annotations):
    truth = save_annotations(tmp_path / "a.geojson", labels, areas=[("Tumor", 10, 10, 90, 90)])
    assert read_annotation(truth, slide).areas is None


def test_what_is_to_be_ignored_is_neither_nucleus_nor_background(
    labels, slide, tmp_path, save_annotations
):
    truth = save_annotations(
        tmp_path / "a.geojson",
        labels,
        classes={3: "Ignore*"},
        areas=[("Region*", 0, 0, *SHAPE)],
    )
    grid = grid_of(truth, slide)
    ignored = labels == 3
    assert not grid.labels(WHOLE)[ignored].any()
    assert grid.known(WHOLE)[ignored].mean() < 0.2
    assert grid.known(WHOLE)[labels == 4].mean() > 0.9


def test_without_an_area_narrow_gaps_between_nuclei_are_known_and_wide_ones_are_not(
    tmp_path, save_rgb, save_annotations
):
    shape, side, step = (360, 360), 16, 36
    path = save_rgb(tmp_path / "s.tif", np.full((*shape, 3), 230, np.uint8), pixel_size_um=UM)
    labels = np.zeros(shape, np.int32)
    corners = [(y, x) for y in range(40, 320, step) for x in range(40, 320, step)]
    hole = [(y, x) for y, x in corners if 100 < y < 240 and 100 < x < 240]
    for label, (y, x) in enumerate(sorted({*corners} - {*hole}), 1):
        labels[y : y + side, x : x + side] = label
    truth = save_annotations(tmp_path / "a.geojson", labels)
    with open_slide(path) as slide:
        known = grid_of(truth, slide).known(Region(0, 0, *shape))
    assert known[labels > 0].all()
    assert (step - side) * UM < 2 * BETWEEN_UM
    assert known[48, 48:308].all()  # along a row, gaps and all
    middle = (hole[0][0] + hole[-1][0] + side) // 2
    assert (hole[-1][0] - hole[0][0] + side) * UM > 2 * BETWEEN_UM
    assert not known[middle - 8 : middle + 8, middle - 8 : middle + 8].any()
    rim = round(RIM_UM / UM)
    assert known[48, 40 - rim + 1]
    assert not known[:, : 40 - rim - 2].any()


def test_a_nucleus_alone_teaches_itself_and_its_rim(slide, tmp_path, save_annotations):
    labels = np.zeros(SHAPE, np.int32)
    labels[60:76, 80:96] = 1
    known = grid_of(save_annotations(tmp_path / "a.geojson", labels), slide).known(WHOLE)
    rim = round(RIM_UM / UM)
    assert known[60:76, 80 - rim + 1 : 96 + rim - 1].all()
    assert known.sum() < (16 + 2 * rim + 2) ** 2


def test_known_pixels_do_not_depend_on_the_region_that_is_asked_for(
    labels, slide, tmp_path, save_annotations
):
    for areas in ([], [("Region*", 21, 13, 140, 177)]):
        grid = grid_of(save_annotations(tmp_path / "a.geojson", labels, areas=areas), slide)
        part = Region(33, 41, 70, 90)
        whole = grid.known(WHOLE)
        assert (grid.known(part) == whole[part.slices()]).all()
        assert not grid.known(Region(-40, -40, 40, 400)).any()


def test_a_label_image_is_known_up_to_its_edge(labels, slide, tmp_path):
    tifffile.imwrite(tmp_path / "labels.tif", labels)
    grid = grid_of(tmp_path / "labels.tif", slide)
    assert grid.known(WHOLE).all()
    assert ((grid.labels(WHOLE) > 0) == (labels > 0)).all()
    coarse = grid_of(tmp_path / "labels.tif", slide, um=1.0)
    assert coarse.known(Region(0, 0, 80, 100)).all()


def test_a_label_image_of_another_size_is_refused(labels, slide, tmp_path):
    tifffile.imwrite(tmp_path / "labels.tif", labels[:-1])
    with pytest.raises(AnnotationError, match=r"is 159 x 200 px and s\.tif is 160 x 200"):
        read_annotation(tmp_path / "labels.tif", slide)


def test_cells_of_another_slide_are_refused(make_nuclei, slide, tmp_path, save_annotations):
    truth = save_annotations(tmp_path / "a.geojson", make_nuclei(30, shape=(400, 400)))
    with pytest.raises(AnnotationError, match=r"lie outside of s\.tif"):
        read_annotation(truth, slide)


def test_positions_without_outlines_are_refused(slide, tmp_path):
    (tmp_path / "points.csv").write_text("x_um,y_um\n10,20\n")
    with pytest.raises(AnnotationError, match="no outlines"):
        read_annotation(tmp_path / "points.csv", slide)


def test_classes_say_which_nuclei_are_positive_unless_that_is_not_wanted(
    labels, slide, tmp_path, save_annotations
):
    classes = {label: "Positive" if label < 4 else "Negative" for label in range(1, 11)}
    truth = save_annotations(tmp_path / "a.geojson", labels, classes=classes)
    assert read_annotation(truth, slide).cells.positive.sum() == 3
    assert read_annotation(truth, slide, positivity=False).cells.positive is None
    plain = save_annotations(tmp_path / "b.geojson", labels)
    assert read_annotation(plain, slide).cells.positive is None


@pytest.mark.parametrize(("compartment", "told"), [("nucleus", True), ("cytoplasm", False)])
def test_of_a_result_only_calls_of_brown_nuclei_are_taken(
    labels, slide, tmp_path, make_result, compartment, told
):
    positive = np.arange(10) < 4
    folder = make_result(tmp_path / "s", labels, positive=positive)
    manifest = json.loads((folder / "manifest.json").read_text())
    markers = [{"name": "foxp3", "plane": "dab", "compartment": compartment}]
    manifest["parameters"] = {"panel_content": {"markers": markers}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    annotation = read_annotation(folder, slide)
    assert annotation.kind == "histo result"
    assert len(annotation.cells) == 10
    if told:
        assert annotation.cells.positive.tolist() == positive.tolist()
    else:
        assert annotation.cells.positive is None


def test_pixels_that_are_not_square_are_followed(labels, tmp_path, save_annotations):
    tifffile.imwrite(
        tmp_path / "tall.tif",
        np.full((*SHAPE, 3), 230, np.uint8),
        photometric="rgb",
        resolution=(1e4 / 0.5, 1e4 / 0.8),  # x, y
        resolutionunit="CENTIMETER",
    )
    truth = save_annotations(tmp_path / "tall.geojson", labels)
    with open_slide(tmp_path / "tall.tif") as tall:
        found = grid_of(truth, tall, um=0.8).labels(Region(0, 0, *tall.grid_shape(0.8)))
    y, x = np.nonzero(labels)
    columns = np.floor((x + 0.5) * 0.5 / 0.8).astype(int)
    rows = np.minimum(y, found.shape[0] - 1)
    assert (found[rows, columns] > 0).mean() > 0.85
