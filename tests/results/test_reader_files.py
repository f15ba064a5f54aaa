"""Every form in which cells and regions come: written, read back, and refused in one sentence."""

import gzip
import json

import cv2
import numpy as np
import pandas as pd
import pytest
import tifffile

from histo.errors import AnnotationError, HistoError, ResultError, SlideError
from histo.metrics.evaluation import compare_cells, image_figures
from histo.results import read_cells, read_region

UM = 0.5
CLASSES = {"name": "Positive"}, {"name": "Negative"}
SQUARE = [[[10, 20], [30, 20], [30, 60], [10, 60], [10, 20]]]


def assert_same(found, truth, *, shapes=True, calls=True):
    """Both sides name the same cells: every figure is 1."""
    figures = {f.name: f for f in image_figures(compare_cells(found.cells, truth.cells))}
    assert ("pq" in figures) == shapes
    assert ("positive_f1_4um" in figures) == calls
    for figure in figures.values():
        assert figure.value == 1 or figure.unit == "cells", figure


@pytest.fixture
def nuclei(make_nuclei):
    return make_nuclei()


@pytest.fixture
def result(make_result, nuclei, tmp_path):
    positive = np.arange(12) % 3 == 0
    return make_result(tmp_path / "s1", nuclei, positive=positive)


def save_labels(path, labels, **options):
    tifffile.imwrite(path, labels, **options)
    return path


def geojson(path, *features, wrap=True):
    content = {"type": "FeatureCollection", "features": list(features)} if wrap else features[0]
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def feature(kind, coordinates, name=None, object_type="annotation", **more):
    properties = {"objectType": object_type, **({"classification": name} if name else {})}
    geometry = {"type": kind, "coordinates": coordinates}
    return {"type": "Feature", "geometry": geometry, "properties": properties, **more}


# --- round trips


def test_a_result_its_geojson_and_its_labels_are_the_same_cells(result, nuclei, tmp_path):
    own = read_cells(result)
    assert own.kind == "histo result"
    assert len(own.cells) == 12
    assert own.cells.positive.sum() == 4
    exported = read_cells(result / "cells.geojson", pixel_size_um=UM)
    assert exported.kind == "GeoJSON"
    assert_same(exported, own)
    image = save_labels(tmp_path / "labels.tif", nuclei)
    labels = read_cells(image, pixel_size_um=UM)
    assert labels.kind == "label image"
    assert_same(labels, own, calls=False)
    assert_same(labels, exported, calls=False)


def test_compressed_geojson(result, tmp_path):
    packed = tmp_path / "s1.geojson.gz"
    packed.write_bytes(gzip.compress((result / "cells.geojson").read_bytes()))
    assert_same(read_cells(packed, pixel_size_um=UM), read_cells(result))


def test_another_pixel_size_of_level_0(make_result, nuclei, tmp_path):
    own = read_cells(make_result(tmp_path / "s2", nuclei, pixel_size_um=0.2506))
    exported = read_cells(tmp_path / "s2" / "cells.geojson", pixel_size_um=0.2506)
    assert_same(exported, own, calls=False)


def test_excluded_cells_are_left_out_on_both_sides(make_result, nuclei, tmp_path):
    compartment = np.where(np.arange(12) < 3, "excluded", "tissue")
    positive = np.arange(12) % 2 == 0
    folder = make_result(tmp_path / "s1", nuclei, positive=positive, compartment=compartment)
    own, exported = read_cells(folder), read_cells(folder / "cells.geojson", pixel_size_um=UM)
    assert len(own.cells) == len(exported.cells) == 9
    assert own.notes == (
        "left out as in the metrics (in artefacts, or taken out by hand): 3 of 12 cells",
    )
    assert exported.notes == ("left out, of the class Excluded or Ignore*: 3 objects",)
    assert_same(own, exported)


def test_a_result_without_outlines_or_cells(make_result, nuclei, tmp_path):
    folder = make_result(tmp_path / "s1", nuclei)
    (folder / "outlines.parquet").unlink()
    file = read_cells(folder)
    assert file.cells.shapes is None
    assert "scored by positions alone" in file.notes[0]
    assert len(read_cells(make_result(tmp_path / "s2", np.zeros((9, 9), int))).cells) == 0


def test_the_marker_of_a_result_with_two(make_result, nuclei, tmp_path):
    both = {"rankl_positive": np.ones(12), "rankl_grade": np.ones(12)}
    folder = make_result(tmp_path / "s1", nuclei, positive=np.arange(12) < 5, **both)
    with pytest.raises(AnnotationError, match=r"^s1: .*several markers \(rankl, foxp3\)"):
        read_cells(folder)
    assert read_cells(folder, marker="FOXP3").cells.positive.sum() == 5
    assert read_cells(folder, marker="rankl").cells.positive.all()
    with pytest.raises(AnnotationError, match="has no calls of the marker 'cd8', but of rankl"):
        read_cells(folder, marker="cd8")


# --- label images


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.uint32, np.float32])
def test_label_images_of_all_types(tmp_path, nuclei, dtype):
    image = save_labels(tmp_path / "a.tif", nuclei.astype(dtype))
    cells = read_cells(image, pixel_size_um=UM).cells
    assert (cells.shapes.labels == nuclei).all()


def test_a_label_image_that_states_its_pixel_size(tmp_path, nuclei):
    image = save_labels(
        tmp_path / "a.tif", nuclei, resolution=(40000, 40000), resolutionunit="CENTIMETER"
    )
    assert read_cells(image).cells.shapes.pixel_size_um == pytest.approx((0.25, 0.25))
    assert len(read_cells(image, pixel_size_um=0.2501).cells) == 12
    with pytest.raises(AnnotationError, match=r"states 0\.25 µm per pixel, but 0\.5 was given"):
        read_cells(image, pixel_size_um=0.5)


def test_pixels_that_are_no_squares_are_not_resampled(tmp_path, nuclei):
    image = save_labels(
        tmp_path / "a.tif", nuclei, resolution=(20000, 40000), resolutionunit="CENTIMETER"
    )
    shapes = read_cells(image).cells.shapes
    assert (shapes.labels == nuclei).all()
    assert shapes.pixel_size_um == pytest.approx((0.25, 0.5))


def test_a_png_of_16_bits(tmp_path, nuclei):
    cv2.imwrite(str(tmp_path / "a.png"), nuclei.astype(np.uint16) * 300)
    assert len(read_cells(tmp_path / "a.png", pixel_size_um=UM).cells) == 12


def rgb(path):
    tifffile.imwrite(path, np.full((9, 9, 3), 200, np.uint8), photometric="rgb")


def two_pieces(path):
    tifffile.imwrite(path, np.array([[255, 0, 255]], np.uint8))


def fractions(path):
    tifffile.imwrite(path, np.array([[0, 0.5]], np.float32))


def jpeg(path):
    cv2.imwrite(str(path.with_suffix(".jpg")), np.zeros((9, 9), np.uint8))
    path.with_suffix(".jpg").rename(path)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (rgb, r"holds 3 channels, a picture"),
        (two_pieces, r"is a mask \(one value, 255, in several pieces\)"),
        (fractions, r"number no cells"),
        (jpeg, r"is a JPEG"),
        (lambda path: path.write_bytes(b"II*\0"), r"a\.tif"),
        (lambda path: path.touch(), r"is empty"),
        (lambda path: None, r"there is no such file"),
    ],
)
def test_what_is_no_label_image_is_one_sentence(tmp_path, spoil, message):
    spoil(tmp_path / "a.tif")
    with pytest.raises(HistoError, match=message) as error:
        read_cells(tmp_path / "a.tif", pixel_size_um=UM)
    assert str(error.value).startswith("a.tif: ")
    assert isinstance(error.value, AnnotationError | SlideError)


def test_without_a_pixel_size_the_option_is_named(tmp_path, nuclei, result):
    image = save_labels(tmp_path / "a.tif", nuclei)
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    for path in (image, tmp_path / "a.csv", result / "cells.geojson"):
        with pytest.raises(AnnotationError, match=rf"^{path.name}: .*--pixel-size"):
            read_cells(path)


# --- tables


def test_a_table_in_um_and_in_pixels(tmp_path):
    (tmp_path / "um.csv").write_text("x_um,y_um,label\n5,10,positive\n15,20,negative\n")
    (tmp_path / "px.csv").write_text("label,x,y\nPositive,10,20\nNegative,30,40\n")
    in_um = read_cells(tmp_path / "um.csv")
    in_px = read_cells(tmp_path / "px.csv", pixel_size_um=0.5)
    assert in_um.cells.centres_um.tolist() == in_px.cells.centres_um.tolist() == [[10, 5], [20, 15]]
    assert in_um.cells.positive.tolist() == in_px.cells.positive.tolist() == [True, False]
    assert in_um.kind == "table"


@pytest.mark.parametrize(
    "text",
    [
        "x_um;y_um;class\n5,5;10,25;1+\n",
        "Image\tClass\tCentroid X µm\tCentroid Y µm\ns1.svs\tTumor: Positive\t5.5\t10.25\n",
        "\ufeffX (µm),Y (µm),Positive\n5.5,10.25,TRUE\n",
        "x_um, y_um,foxp3_positive\n5.5, 10.25,True\n",
        "cell_id,x,y,x_um,y_um,call\n7,1,1,5.5,10.25,yes\n",
    ],
    ids=["decimal comma", "QuPath", "Excel", "histo", "both"],
)
def test_tables_of_other_programs(tmp_path, text):
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    cells = read_cells(tmp_path / "a.csv").cells
    assert cells.centres_um.tolist() == [[10.25, 5.5]]
    assert cells.positive.tolist() == [True]


def test_a_cell_table_of_histo_as_csv(result, tmp_path):
    own = read_cells(result)
    pd.read_parquet(result / "cells.parquet").to_csv(tmp_path / "cells.csv", index=False)
    assert_same(read_cells(tmp_path / "cells.csv"), own, shapes=False)


def test_a_column_that_counts_cells_calls_none(tmp_path):
    (tmp_path / "a.csv").write_text("label,x_um,y_um\n1,5,5\n2,6,6\n3,7,7\n")
    file = read_cells(tmp_path / "a.csv")
    assert file.cells.positive is None
    assert "numbers the cells" in file.notes[0]


def test_a_table_of_several_markers(tmp_path):
    (tmp_path / "a.csv").write_text("x_um,y_um,foxp3_positive,cd8_positive\n1,1,True,False\n")
    with pytest.raises(AnnotationError, match=r"^a\.csv: .*foxp3_positive, cd8_positive"):
        read_cells(tmp_path / "a.csv")
    assert read_cells(tmp_path / "a.csv", marker="cd8").cells.positive.tolist() == [False]


def test_a_table_of_no_cells_and_ignored_cells(tmp_path):
    (tmp_path / "a.csv").write_text("x_um,y_um\n")
    assert len(read_cells(tmp_path / "a.csv").cells) == 0
    (tmp_path / "b.csv").write_text("x_um,y_um,class\n1,1,Ignore*\n2,2,Positive\n")
    assert read_cells(tmp_path / "b.csv").cells.centres_um.tolist() == [[2, 2]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a,b\n1,2\n", r"needs the columns x_um and y_um .*found a, b"),
        (b"x_um,y_um\n1,2\n,3\n", r"line 3 has no number in the column x_um \(''\)"),
        (b"x_um,y_um\n1,left\n", r"line 2 has no number in the column y_um \('left'\)"),
        (b"x_um,y_um\n1,2\n1,2,3\n", r"cannot be read as a table"),
        (b"\n", r"cannot be read as a table"),
        (b"x_um,y_um\n\xff\xfe,2\n", r"cannot be read as a table .*UTF-8"),
    ],
)
def test_what_is_no_table_of_points_is_one_sentence(tmp_path, content, message):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(AnnotationError, match=rf"^a\.csv: {message}"):
        read_cells(tmp_path / "a.csv")


# --- GeoJSON


def test_points_and_multipoints(tmp_path):
    path = geojson(
        tmp_path / "a.geojson",
        feature("Point", [10, 20], CLASSES[0]),
        feature("MultiPoint", [[30, 40], [50, 60]], CLASSES[1]),
    )
    cells = read_cells(path, pixel_size_um=0.5).cells
    assert cells.centres_um.tolist() == [[10, 5], [20, 15], [30, 25]]
    assert cells.positive.tolist() == [True, False, False]
    assert cells.shapes is None


def test_the_nucleus_of_a_cell_is_preferred(tmp_path):
    nucleus = {"type": "Polygon", "coordinates": [[[12, 22], [20, 22], [20, 30], [12, 30]]]}
    path = geojson(
        tmp_path / "a.geojson",
        feature("Polygon", SQUARE, CLASSES[0], "cell", nucleusGeometry=nucleus),
        feature("Polygon", [[[60, 60], [70, 60], [70, 70]]], None, "cell"),
    )
    file = read_cells(path, pixel_size_um=1.0)
    assert file.cells.centres_um[0].tolist() == [26, 16]
    assert file.notes[0] == "without a nucleus, taken by the whole outline: 1 cell"


@pytest.mark.parametrize(
    "make",
    [
        lambda one: [one],
        lambda one: one,
        lambda one: {"type": "FeatureCollection", "features": [one]},
        lambda one: {
            "type": "Feature",
            "geometry": None,
            "properties": {"objectType": "root", "childObjects": [one]},
        },
    ],
    ids=["list", "alone", "collection", "within"],
)
def test_the_ways_that_qupath_wraps_objects(tmp_path, make):
    one = feature("Polygon", SQUARE, "Positive")
    one["properties"].pop("objectType")
    (tmp_path / "a.geojson").write_text(json.dumps(make(one)))
    cells = read_cells(tmp_path / "a.geojson", pixel_size_um=1.0).cells
    assert cells.centres_um.tolist() == [[40, 20]]
    assert cells.positive.tolist() == [True]


def test_the_kinds_of_older_versions(tmp_path):
    old = feature("Polygon", SQUARE, CLASSES[0])
    del old["properties"]["objectType"]
    path = geojson(
        tmp_path / "a.geojson",
        {**old, "id": "PathDetectionObject"},
        feature("Polygon", [[[0, 0], [900, 0], [900, 900]]]),
    )
    file = read_cells(path, pixel_size_um=1.0)
    assert len(file.cells) == 1
    assert file.notes == ("left out beside the detections: 1 annotation",)


def test_several_parts_and_holes(tmp_path):
    parts = [[[[0, 0], [4, 0], [4, 4], [0, 4]]], [[[10, 0], [14, 0], [14, 4], [10, 4]]]]
    holed = [
        [[20, 20], [30, 20], [30, 30], [20, 30], [20, 20]],
        [[22, 22], [28, 22], [28, 28], [22, 28], [22, 22]],
    ]
    path = geojson(
        tmp_path / "a.geojson", feature("MultiPolygon", parts), feature("Polygon", holed)
    )
    cells = read_cells(path, pixel_size_um=1.0).cells
    assert cells.centres_um.tolist() == [[2, 7], [25, 25]]
    areas = compare_cells(cells, cells)["true_um2"]
    assert areas == 16 + 16 + 100 - 36


def test_areas_beside_points_are_no_cells(tmp_path):
    path = geojson(
        tmp_path / "a.geojson",
        feature("Polygon", SQUARE),
        feature("LineString", [[0, 0], [1, 1]]),
        feature("Point", [5, 5], CLASSES[0]),
    )
    file = read_cells(path, pixel_size_um=1.0)
    assert len(file.cells) == 1
    assert file.notes == ("left out beside the points: 1 annotation",)


def test_a_region_among_outlines_is_refused(tmp_path):
    small = [[[0, 0], [4, 0], [4, 4], [0, 4]]]
    cells = [feature("Polygon", (np.array(small) + 10 * i).tolist()) for i in range(5)]
    path = geojson(
        tmp_path / "a.geojson",
        *cells,
        feature("Polygon", [[[-9, -9], [99, -9], [99, 99], [-9, 99]]], {"name": "Margin"}),
    )
    message = r"^a\.geojson: annotation 6 \(Margin\) encloses 5 others.*--region"
    with pytest.raises(AnnotationError, match=message):
        read_cells(path, pixel_size_um=1.0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"cannot be read as GeoJSON"),
        (
            json.dumps(feature("Polygon", [[[1, 1], [2, 2]]])),
            r"object 1 cannot be read \(an outline of 2 points\)",
        ),
        (json.dumps(feature("Point", ["a", 1])), r"object 1 cannot be read"),
        (json.dumps(feature("Point", [float("nan"), 1])), r"object 1 cannot be read .*not finite"),
        (json.dumps([feature("Polygon", SQUARE), {"geometry": {"x": 1}}]), r"object 2 cannot be"),
        (
            json.dumps(
                [feature("Point", [1, 1]), feature("Polygon", SQUARE, object_type="detection")]
            ),
            r"holds 1 detections and also annotated points",
        ),
    ],
)
def test_what_is_no_geojson_of_cells_is_one_sentence(tmp_path, content, message):
    (tmp_path / "a.geojson").write_text(content)
    with pytest.raises(AnnotationError, match=rf"^a\.geojson: {message}"):
        read_cells(tmp_path / "a.geojson", pixel_size_um=1.0)


def test_damaged_compression(tmp_path):
    (tmp_path / "a.geojson.gz").write_bytes(gzip.compress(b"{}" * 999)[:-20])
    with pytest.raises(AnnotationError, match=r"^a\.geojson\.gz: cannot be read as GeoJSON"):
        read_cells(tmp_path / "a.geojson.gz", pixel_size_um=1.0)


def test_geojson_of_nothing_is_no_cells(tmp_path):
    assert len(read_cells(geojson(tmp_path / "a.geojson"), pixel_size_um=1.0).cells) == 0


def test_a_folder_that_is_no_result(tmp_path):
    with pytest.raises(ResultError, match="not a result of histo"):
        read_cells(tmp_path)


# --- regions


def test_a_region_as_mask_and_as_polygon(tmp_path):
    mask = np.zeros((100, 100), np.uint8)
    mask[20:60, 10:30] = 255
    cv2.imwrite(str(tmp_path / "roi.png"), mask)
    geojson(tmp_path / "roi.geojson", feature("Polygon", SQUARE))
    points = np.random.default_rng(0).uniform(0, 40, (500, 2))
    inside = [
        read_region(tmp_path / name, pixel_size_um=0.5).contains(points)
        for name in ("roi.png", "roi.geojson")
    ]
    assert (inside[0] == inside[1]).all()
    assert 0 < inside[0].sum() < 500


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("a.csv", lambda path: path.write_text("x,y\n"), "is no region"),
        ("a.geojson", lambda path: geojson(path, feature("Point", [1, 1])), "holds no polygon"),
        (
            "a.tif",
            lambda path: tifffile.imwrite(path, np.zeros((4, 4), np.uint8)),
            r"is empty \(all 0\)",
        ),
        ("gone.png", lambda path: None, "there is no such file"),
    ],
)
def test_what_is_no_region_is_one_sentence(tmp_path, name, make, message):
    make(tmp_path / name)
    with pytest.raises(AnnotationError, match=rf"^{name}: {message}"):
        read_region(tmp_path / name, pixel_size_um=0.5)
