"""Sections to animals: exact on bodies of known volume; what is missing is never a zero."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from histo.batch import (
    Design,
    DesignRow,
    animals_record,
    pool_animals,
    read_design,
    summarize_groups,
    write_animals,
)
from histo.batch.tables import Failure, Tables
from histo.errors import ResultError
from histo.region import LungAreas


def rows(*entries):
    """Make a design of (slide, animal) and what else there is."""
    made = [DesignRow(line, *entry) for line, entry in enumerate(entries, 2)]
    return Design("design.csv", tuple(made))


def disc(diameter_um):
    return math.pi / 4 * diameter_um**2


def cut_sphere(radius_um, spacing_um, offset_um):
    """Return the sections through a sphere of lung with a sphere of 2/5 its radius in the middle.

    The sections reach from one end of the lung to the other; those beside the focus have none.
    """
    x = np.arange(-radius_um + offset_um, radius_um, spacing_um)
    lung = math.pi * (radius_um**2 - x**2)
    focus = math.pi * np.clip((0.4 * radius_um) ** 2 - x**2, 0, None)
    return [LungAreas(a, 0.4 * a, (f,) if f else ()) for a, f in zip(lung, focus, strict=True)]


def test_sections_through_spheres_give_their_volumes(tmp_path, make_lung_result):
    radius, spacing = 2000.0, 500.0
    offsets = (np.arange(16) + 0.5) / 16 * spacing
    entries = []
    for number, offset in enumerate(offsets):
        for place, areas in enumerate(cut_sphere(radius, spacing, offset)):
            name = f"m{number}_s{place}"
            make_lung_result(tmp_path / name, areas)
            entries.append((name, f"m{number}", place + 1, spacing))
    table = pool_animals(tmp_path, rows(*entries))
    assert not table.missing
    assert {animal.estimate for animal in table.animals} == {"volume"}

    def mean(name):
        return np.mean([animal.value(name) for animal in table.animals])

    lung, focus = (4 / 3 * math.pi * (part * radius / 1000) ** 3 for part in (1, 0.4))
    assert mean("lung_volume_mm3") == pytest.approx(lung, rel=1e-3)
    assert mean("metastasis_volume_mm3") == pytest.approx(focus, rel=1e-2)
    assert mean("metastasis_volume_fraction_percent") == pytest.approx(100 * 0.4**3, rel=1e-2)
    # Each within what its coefficient of error allows.
    for animal in table.animals:
        for name, volume in (("lung_volume", lung), ("metastasis_volume", focus)):
            error = abs(animal.value(f"{name}_mm3") / volume - 1)
            assert error < 4 * animal.value(f"{name}_ce_m1_percent") / 100
    first = table.animals[0]
    areas = cut_sphere(radius, spacing, offsets[0])
    assert first.value("lung_section_count") == len(areas) == 8
    burden = sum(one.lesion_um2 for one in areas) / sum(one.lobe_um2 for one in areas)
    assert first.value("lung_burden_percent") == pytest.approx(100 * burden, rel=1e-12)
    assert first.value("lung_burden_parenchyma_percent") == pytest.approx(250 * burden)
    # Sections without a focus stay in.
    hits = sum(bool(one.foci_um2) for one in areas)
    assert 0 < hits < len(areas)
    assert first.value("lung_foci_per_section") == hits / len(areas)
    assert first.notes == ()


def test_a_slide_is_found_by_folder_or_file(tmp_path, make_lung_result):
    one = LungAreas(1e7, 3e6)
    make_lung_result(tmp_path / "a", one, file="a.ome.tif")
    make_lung_result(tmp_path / "B", one, file="B.svs")
    make_lung_result(tmp_path / "m1_c", one, file="c.svs")
    make_lung_result(tmp_path / "d.1", one, file="d.1.svs")
    design = rows(("a.ome.tif", "m1"), ("b", "m1"), (r"lungs\m1\C.svs", "m2"), ("d.1", "m2"))
    table = pool_animals(tmp_path, design)
    found = {one.row.slide: one.result for animal in table.animals for one in animal.sections}
    assert found == {"a.ome.tif": "a", "b": "B", r"lungs\m1\C.svs": "m1_c", "d.1": "d.1"}
    # What looks like a suffix and is none is part of the name.
    table = pool_animals(tmp_path, rows(("a", "m1"), ("a.2", "m1")))
    assert [one.row.slide for one in table.missing] == ["a.2"]


def test_names_that_fit_several_are_refused(tmp_path, make_lung_result):
    one = LungAreas(1e7, 3e6)
    for name in ("m1_s", "m2_s"):
        make_lung_result(tmp_path / name, one, file="s.svs")
    with pytest.raises(ResultError, match=r"line 2: s\.svs fits the results m1_s, m2_s; write"):
        pool_animals(tmp_path, rows(("s.svs", "m1")))
    with pytest.raises(ResultError, match=r"lines 2 and 3 \(m1_s, M1_S\.svs\) both fit the result"):
        pool_animals(tmp_path, rows(("m1_s", "m1"), ("M1_S.svs", "m2")))
    with pytest.raises(ResultError, match=r"none of its slides \(x, y\) has a result in .*m1_s, m"):
        pool_animals(tmp_path, rows(("x", "m1"), ("y", "m1")))
    with pytest.raises(ResultError, match="is the result of one slide; name the folder above"):
        pool_animals(tmp_path / "m1_s", rows(("m1_s", "m1")))


@pytest.fixture
def gaps(tmp_path, make_lung_result):
    """Results of four animals, with every way in which a slide can be missing."""
    whole, clean = LungAreas(2e7, 6e6, (disc(200), disc(90))), LungAreas(3e7, 8e6)
    for name in ("m1_s1", "m2_s1", "m3_s3", "extra"):
        make_lung_result(tmp_path / name, clean)
    make_lung_result(tmp_path / "m1_s2", whole, flags=("out_of_focus",))
    make_lung_result(tmp_path / "m2_s2", whole)
    make_lung_result(tmp_path / "m3_s1", whole, panel="foxp3-dab")
    (tmp_path / "m3_s1" / "lung.json").unlink()
    make_lung_result(tmp_path / "foxp3", whole, panel="foxp3-dab")
    (tmp_path / "foxp3" / "lung.json").unlink()
    make_lung_result(tmp_path / "m3_s2", whole)
    (tmp_path / "m3_s2" / "lung.json").write_text("{}")
    tables = Tables(tmp_path)
    # An older result of a slide that failed since does not count.
    tables.fail(Failure("m2_s2", "m2_s2.tif", "m2_s2.tif: is empty; copy the file again."))
    tables.fail(Failure("m4_s1", "m4_s1.svs", "m4_s1.svs: is empty; copy the file again."))
    tables.fail(Failure("other", "other.svs", "other.svs: is empty; copy the file again."))
    tables.write()
    names = "m1_s1 m1_s2 m2_s1 m2_s2 m3_s1 m3_s2 m3_s3 m3_s4 m4_s1".split()
    entries = [(name, name[:2], int(name[-1]), 300.0, "ab"[name[1] > "2"]) for name in names]
    return tmp_path, rows(*entries)


def test_what_is_missing_is_said_and_never_zero(gaps):
    table = pool_animals(*gaps)
    why = {one.row.slide: one.why for one in table.missing}
    assert why.keys() == {"m2_s2", "m3_s1", "m3_s2", "m3_s4", "m4_s1"}
    assert why["m2_s2"] == "failed: m2_s2.tif: is empty; copy the file again"
    assert why["m3_s1"] == "is no lung (panel foxp3-dab); run it with --panel lung-he"
    assert why["m3_s2"] == "has a damaged lung.json; run it again with --force"
    assert why["m3_s4"].startswith("has no result in ")
    # A lung that no row names is left out by name; a slide that is no lung is not asked for.
    assert table.without_row == ("extra", "other")
    m1, m2, m3, m4 = table.animals
    assert (m1.estimate, m1.missing) == ("volume", ())
    assert "two sections: no coefficient of error" in m1.notes
    assert m2.notes[0] == "1 of 2 sections missing: m2_s2"
    assert "no metastasis seen, but not all sections were looked at" in m2.notes
    assert (m2.estimate, m3.estimate) == ("index", "index")
    assert m3.notes[0] == "3 of 4 sections missing: m3_s1, m3_s2, m3_s4"
    assert m3.value("lung_section_count") == 1
    assert (m4.estimate, m4.metrics) == ("none", ())
    assert math.isnan(m4.value("lung_foci_count"))


def test_groups_leave_out_animals_without_numbers(gaps):
    first, second = summarize_groups(pool_animals(*gaps))
    assert (first.group, first.animals, first.without_numbers) == ("a", 2, 0)
    assert first.sections == (1, 2)
    burden = 100 * (disc(200) + disc(90)) / 5e7
    assert first.median_burden_percent == pytest.approx(burden / 2)
    assert first.burden_range_percent == pytest.approx((0, burden))
    assert (first.incidence.numerator, first.incidence.denominator) == (1, 2)
    assert (second.group, second.animals, second.without_numbers) == ("b", 1, 1)
    assert (second.incidence.numerator, second.incidence.denominator) == (0, 1)


def test_files_hold_every_animal(gaps, tmp_path):
    results, design = gaps
    (tmp_path / "design.csv").write_text("slide,animal\n")
    table = pool_animals(results, design)
    record = animals_record(table, tmp_path / "design.csv")
    for path in write_animals(tmp_path / "out", table, record):
        assert path.is_file()
    frame = pd.read_csv(tmp_path / "out" / "animals.csv", encoding="utf-8-sig").set_index("animal")
    assert frame.index.tolist() == ["m1", "m2", "m3", "m4"]
    assert frame["group"].tolist() == ["a", "a", "b", "b"]
    assert frame["estimate"].tolist() == ["volume", "index", "index", "none"]
    assert frame["sections_missing"].tolist() == [0, 1, 3, 1]
    assert frame.loc["m2", "lung_foci_count"] == frame.loc["m2", "lung_metastasis_present"] == 0
    numbers = frame.loc["m4"].drop(["group", "estimate", "sections_missing", "note"])
    assert numbers.isna().all()
    assert frame.loc["m1", "lung_foci_100_250um_count"] == 1
    assert frame.loc["m1", "lung_foci_under_100um_count"] == 1
    assert frame.loc["m1", "lung_foci_count_from_100um"] == 1
    assert frame.loc["m1", "lung_volume_mm3"] == pytest.approx(5e7 * 300 / 1e9)
    assert frame["lung_volume_mm3"].notna().tolist() == [True, False, False, False]
    assert "index, not a volume" in frame.loc["m2", "note"]
    assert {"lung_foci_count_low", "lung_burden_percent_denominator_name"} <= set(frame)
    assert not [name for name in frame if "sensitivity" in name]
    content = json.loads((tmp_path / "out" / "animals.json").read_text("utf-8"))
    assert content == record
    assert content["design"]["file"] == "design.csv"
    (m1, *_) = content["animals"]
    assert m1["sections"][1]["flags"] == ["out_of_focus"]
    assert m1["sections"][1]["lung_foci_count"] == 2
    assert str(tmp_path) not in json.dumps(content)


SECTION = LungAreas(1e7, 3e6, (disc(150),))
END = LungAreas(4e6, 1e6)


@pytest.mark.parametrize(
    ("places", "option", "distance", "note"),
    [
        ([(1, 300.0), (2, 300.0), (3, None)], None, 300, None),
        ([(1, 300.0), (2, 300.0), (3, 300.0)], 500, 300, None),
        ([(1, None), (2, None), (3, None)], 500, 500, None),
        ([(None, None), (None, None), (None, None)], 500, 500, None),
        ([(5, 300.0), (15, 300.0), (25, 300.0)], None, 300, "sections 5, 15, 25 taken as neighb"),
        ([(1, None), (2, None), (3, None)], None, None, "the distance between the sections is not"),
        ([(1, 300.0), (2, 200.0), (3, 300.0)], None, None, "one distance .* not 200 and 300 µm"),
        ([(1, 300.0), (2, 300.0), (4, 300.0)], None, None, "sections 1, 2, 4 are not evenly"),
    ],
)
def test_volumes_need_equal_distances(tmp_path, make_lung_result, places, option, distance, note):
    for name, areas in zip("abc", (END, SECTION, END), strict=True):
        make_lung_result(tmp_path / name, areas)
    entries = [(name, "m1", *place) for name, place in zip("abc", places, strict=True)]
    (animal,) = pool_animals(tmp_path, rows(*entries), section_distance_um=option).animals
    assert animal.distance_um == distance
    assert animal.estimate == ("pooled" if distance is None else "volume")
    volume = animal.value("lung_volume_mm3")
    if distance is None:
        assert math.isnan(volume)
        assert animal.value("lung_burden_percent") == pytest.approx(100 * disc(150) / 1.8e7)
    else:
        assert volume == pytest.approx(1.8e7 * distance / 1e9)
    if note is None:
        assert animal.notes == ()
    else:
        (only,) = animal.notes
        assert pd.Series([only]).str.contains(note).all()


def test_a_missing_section_leaves_no_volume(tmp_path, make_lung_result):
    for name in "abd":
        make_lung_result(tmp_path / name, SECTION)
    entries = [(name, "m1", place, 300.0) for place, name in enumerate("abcd")]
    (animal,) = pool_animals(tmp_path, rows(*entries)).animals
    assert animal.estimate == "pooled"
    assert animal.notes[-1] == "no volume: it needs all sections"
    # The ratio is of the sections that are there.
    assert animal.value("lung_burden_percent") == pytest.approx(100 * disc(150) / 1e7)


def test_a_slab_is_pointed_out(tmp_path, make_lung_result):
    for name in "abc":
        make_lung_result(tmp_path / name, SECTION)
    (animal,) = pool_animals(
        tmp_path, rows(*((name, "m1") for name in "abc")), section_distance_um=200
    ).animals
    assert animal.notes[0].endswith("the volumes are of a slab of 0.6 mm")


def test_sections_without_lung_and_other_panels_are_said(tmp_path, make_lung_result):
    make_lung_result(tmp_path / "a", SECTION)
    make_lung_result(tmp_path / "b", LungAreas(0, 0), panel="own-ihc")
    make_lung_result(tmp_path / "c", LungAreas(0, 0))
    table = pool_animals(tmp_path, rows(("a", "m1"), ("b", "m1"), ("c", "m2")))
    one, two = table.animals
    assert one.notes[0] == "no lung found in b"
    assert one.value("lung_foci_per_section") == 0.5
    assert (two.estimate, two.metrics) == ("none", ())
    (note,) = table.notes
    assert "different panels (lung-he: 2, own-ihc: 1)" in note


def test_nothing_is_pooled_without_a_distance_that_can_be():
    with pytest.raises(ValueError, match="section_distance_um"):
        pool_animals("results", rows(("a", "m1")), section_distance_um=0)


def test_names_in_two_ways_of_unicode_are_one(tmp_path, make_lung_result):
    make_lung_result(tmp_path / "Mäuse", SECTION)
    (tmp_path / "d.csv").write_text("slide,animal\nMa\u0308use,m1\n", encoding="utf-8")
    assert not pool_animals(tmp_path, read_design(tmp_path / "d.csv")).missing
