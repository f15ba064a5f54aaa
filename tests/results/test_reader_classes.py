"""Annotations with classes: what a person draws, what is passed over, and what is refused."""

import gzip
import json

import numpy as np
import pytest

from histo.errors import AnnotationError
from histo.results.reader_classes import ClassedArea, paint_classes, read_classes


def feature(kind, coordinates, name=None, **properties):
    if name is not None:
        properties["classification"] = {"name": name}
    return {
        "type": "Feature",
        "geometry": {"type": kind, "coordinates": coordinates},
        "properties": {"objectType": "annotation", **properties},
    }


def square(x, y, side):
    return [[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]


def save(path, *features):
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def test_areas_and_strokes_of_every_kind(tmp_path):
    hole = [square(0, 0, 100), square(40, 40, 20)]
    path = save(
        tmp_path / "a.geojson",
        feature("Polygon", hole, "Tumor"),
        feature("MultiPolygon", [[square(200, 0, 10)], [square(300, 0, 10)]], "Stroma"),
        feature("LineString", [[0, 150], [100, 150]], "Stroma"),
        feature("Polygon", [square(0, 0, 400)], "Region*"),
        feature("Polygon", [square(0, 0, 400)], "Ignore*"),
        feature("Point", [3, 3], "Tumor"),
        {**feature("Polygon", [square(0, 0, 9)], "Tumor"), "properties": {"objectType": "cell"}},
    )
    found = read_classes(path, (0.5, 0.25))
    assert [one.name for one in found] == ["Tumor", "Stroma", "Stroma"]
    assert [len(one.rings_um) for one in found] == [2, 2, 0]
    assert found[2].lines_um[0].tolist() == [[75.0, 0.0], [75.0, 25.0]]
    packed = tmp_path / "a.geojson.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert len(read_classes(packed, (0.5, 0.25))) == 3


def test_what_is_drawn_last_lies_on_top_of_what_is_larger():
    def area(name, x, y, side):
        return ClassedArea(name, [np.array(square(x, y, side)[:4], float)[:, ::-1]], [])

    hole = np.array(square(40, 40, 20)[:4], float)
    large = ClassedArea("Tumor", [*area("Tumor", 0, 0, 80).rings_um, hole], [])
    stroke = ClassedArea("Stroma", [], [np.array([[70.0, 0.0], [70.0, 80.0]])])
    small = area("Necrosis", 4, 4, 12)
    codes = {"Tumor": 1, "Stroma": 2, "Necrosis": 3}
    painted = paint_classes([small, large, stroke], codes, (25, 25), 4.0)
    assert painted[2, 2] == 3  # smaller above larger, in whatever order
    assert painted[12, 12] == 0  # a hole
    assert painted[10, 5] == 1
    assert (painted[16:19, 3:18] == 2).all()  # 12 µm wide
    assert not painted[21:].any()
    assert np.count_nonzero(painted == 3) * 16 == 12 * 12


@pytest.mark.parametrize(
    ("features", "words"),
    [
        ([], "no annotation with a class"),
        ([feature("Point", [1, 1], "Tumor")], "no annotation with a class"),
        ([feature("Polygon", [square(0, 0, 9)])], "annotation 1 has no class"),
        ([feature("Polygon", [[[0, 0]]], "Tumor")], "object 1 cannot be read"),
    ],
)
def test_what_says_nothing_is_refused_in_words(tmp_path, features, words):
    with pytest.raises(AnnotationError, match=words):
        read_classes(save(tmp_path / "a.geojson", *features), (0.5, 0.5))


def test_a_damaged_archive_is_refused(tmp_path):
    whole = gzip.compress(json.dumps({"type": "FeatureCollection", "features": []}).encode() * 50)
    damaged = bytearray(whole)
    damaged[12:30] = bytes(18)
    (tmp_path / "s.geojson.gz").write_bytes(bytes(damaged))
    with pytest.raises(AnnotationError, match="cannot be read as GeoJSON"):
        read_classes(tmp_path / "s.geojson.gz", (0.5, 0.5))


def test_another_file_is_refused(tmp_path):
    (tmp_path / "a.geojson").write_text("x,y\n1,2")
    with pytest.raises(AnnotationError, match="cannot be read as GeoJSON"):
        read_classes(tmp_path / "a.geojson", (0.5, 0.5))
