"""Nuclei to learn from: found, corrected and drawn ones; and the areas around them."""

import gzip
import json

import numpy as np
import pytest

from histo.errors import AnnotationError
from histo.results.reader_areas import LARGEST_UM2, read_geojson_nuclei

UM = 0.5


def outline(y, x, side, *, kind="annotation", name=None, hole=None, nucleus=None):
    """A square feature; ``hole`` and ``nucleus`` are the sides of squares in its middle."""

    def ring(side):
        top, left = y - side / 2, x - side / 2
        corners = [(top, left), (top, left + side), (top + side, left + side), (top + side, left)]
        return [[column, row] for row, column in [*corners, corners[0]]]

    rings = [ring(side), *([ring(hole)] if hole else [])]
    feature = {
        "geometry": {"type": "Polygon", "coordinates": rings},
        "properties": {"objectType": kind, **({"classification": {"name": name}} if name else {})},
    }
    if nucleus:
        feature["nucleusGeometry"] = {"type": "Polygon", "coordinates": [ring(nucleus)]}
    return feature


@pytest.fixture
def read(tmp_path):
    def read(*features, **options):
        (tmp_path / "a.geojson").write_text(json.dumps(list(features)))
        return read_geojson_nuclei(tmp_path / "a.geojson", pixel_size_um=UM, **options)

    return read


def places(read):
    return sorted((read.nuclei.centres_um / UM).round(6).tolist())


def test_nuclei_drawn_beside_detections_are_nuclei_too(read):
    one = read(outline(20, 20, 10, kind="detection"), outline(60, 60, 10))
    assert places(one) == [[20, 20], [60, 60]]
    assert one.notes == ("1 drawn as annotations, and taken for nuclei",)


def test_a_nucleus_drawn_over_a_found_one_takes_its_place(read):
    one = read(
        outline(20, 20, 10, kind="cell", nucleus=6),
        outline(50, 50, 10, kind="cell", nucleus=6),
        outline(22, 21, 12),
    )
    assert places(one) == [[22, 21], [50, 50]]
    assert "1 cells or detections replaced by a nucleus drawn over them" in one.notes


@pytest.mark.parametrize("kind", ["detection", "annotation"])
def test_pieces_of_tissue_are_no_nuclei(read, kind):
    side = 2 * np.sqrt(LARGEST_UM2) / UM
    one = read(outline(20, 20, 10, kind=kind), outline(50, 50, side, name="Tumor"))
    assert places(one) == [[20, 20]]
    assert one.complete is None
    assert "1 annotations above 1000 µm² left out" in one.notes


def test_a_hole_makes_an_annotation_smaller(read):
    side = 1.1 * np.sqrt(LARGEST_UM2) / UM
    assert len(read(outline(50, 50, side)).nuclei) == 0
    assert len(read(outline(50, 50, side, hole=side / 2)).nuclei) == 1


@pytest.mark.parametrize("name", ["Region*", "Region", "training", "Tumor: Training"])
def test_areas_around_drawn_nuclei(read, name):
    nuclei = [outline(20 + 15 * n, 20, 10) for n in range(5)]
    one = read(*nuclei, outline(50, 50, 100, name=name))
    assert len(one.nuclei) == 5
    assert one.complete.box_um() == (0, 0, 50, 50)
    assert one.notes == ()


@pytest.mark.parametrize("name", ["Ignore*", "Necrosis*", "Excluded"])
def test_what_is_left_out_is_ignored_and_no_nucleus(read, name):
    one = read(outline(20, 20, 10, kind="detection"), outline(60, 60, 10, name=name))
    assert places(one) == [[20, 20]]
    assert one.ignored.count == 1


def test_calls_of_found_and_drawn_nuclei(read):
    one = read(
        outline(20, 20, 10, kind="detection", name="FOXP3+"),
        outline(40, 40, 10, name="FOXP3-"),
        outline(60, 60, 10, name="FOXP3+"),
    )
    assert one.nuclei.positive.tolist() == [True, False, True]
    mixed = (outline(20, 20, 10, name="FOXP3+"), outline(40, 40, 10, name="CD8+"))
    with pytest.raises(AnnotationError, match="choose one with --marker"):
        read(*mixed)
    assert read(*mixed, marker="cd8").nuclei.positive.tolist() == [False, True]


def test_cells_count_by_their_nucleus(read):
    one = read(outline(20, 20, 20, kind="cell", nucleus=8), outline(60, 60, 20, kind="cell"))
    top, left, _, _ = one.nuclei.shapes.take(np.array([0])).box_um()
    assert (top, left) == (16 * UM, 16 * UM)
    assert "1 cells without a nucleus taken by the whole outline" in one.notes


def test_points_teach_no_outline(read):
    point = {"geometry": {"type": "Point", "coordinates": [5, 5]}, "properties": {}}
    one = read(point, outline(20, 20, 10))
    assert places(one) == [[20, 20]]
    assert one.notes == ("1 objects without an outline left out",)


def test_an_empty_file_and_a_packed_one(read, tmp_path):
    assert len(read().nuclei) == 0
    packed = tmp_path / "a.geojson.gz"
    packed.write_bytes(gzip.compress(json.dumps([outline(20, 20, 10)]).encode()))
    assert len(read_geojson_nuclei(packed, pixel_size_um=UM).nuclei) == 1
