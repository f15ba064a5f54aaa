"""``histo animals``: what it prints, what it writes, and how it ends when it cannot."""

import json
import math
import re
import shutil

import numpy as np
import pandas as pd
import pytest

from histo.cli.demo import sample_slides
from histo.region import LungAreas

FOCUS = math.pi / 4 * 200**2
SECTION, END = LungAreas(2e7, 6e6, (FOCUS, FOCUS)), LungAreas(1e7, 3e6)


@pytest.fixture
def study(tmp_path, make_lung_result):
    """Write the results of six slides of two animals, and a design of them."""
    results = tmp_path / "results"
    for animal, areas in (("m1", (END, SECTION, END)), ("m2", (END, SECTION, SECTION))):
        for place, one in enumerate(areas, 1):
            make_lung_result(results / f"{animal}_s{place}", one)
    lines = ["slide;animal;section;group"]
    lines += [f"m1_s{place}.svs;m1;{place};RANKL" for place in (1, 2, 3)]
    lines += [f"m2_s{place}.svs;m2;{place};control" for place in (1, 2)]
    (tmp_path / "design.csv").write_text("\n".join(lines), encoding="utf-8-sig")
    return tmp_path


def line_of(outcome, start):
    (line,) = [one for one in outcome.out.splitlines() if one.split()[: len(start)] == start]
    return line.split()


def test_animals_are_printed_and_written(histo, study):
    outcome = histo("animals", study / "results", study / "design.csv", "--section-distance", 300)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("Metastases in the lung, by animal\n")
    # 2 foci of 0.0314 mm² in 40 mm², 300 µm apart.
    row = line_of(outcome, ["m1", "RANKL"])
    assert row[:8] == ["m1", "RANKL", "3", "2", "0.67", "5", "0.16", "12"]
    assert row[8] == "0.019"
    assert line_of(outcome, ["m2", "control"])[2:4] == ["2", "2"]
    assert line_of(outcome, ["RANKL"]) == ["RANKL", "1", "3", "0.16", "1", "/", "1"]
    assert "By group; no test is made" in outcome.out
    assert "m2: two sections: no coefficient of error." in outcome.out
    assert "Left out, since design.csv does not name them: m2_s3." in outcome.out
    assert "For Research Use Only" in outcome.out
    path = study / "results" / "animals.csv"
    assert str(path) in outcome.out
    frame = pd.read_csv(path, encoding="utf-8-sig").set_index("animal")
    assert frame.loc["m1", "lung_burden_percent"] == pytest.approx(100 * 2 * FOCUS / 4e7)
    assert frame.loc["m1", "metastasis_volume_mm3"] == pytest.approx(2 * FOCUS * 300 / 1e9)
    again = histo("animals", study / "results", study / "design.csv", "-o", study / "out", "--json")
    assert again.code == 0
    content = json.loads(again.out)
    assert content == json.loads((study / "out" / "animals.json").read_text("utf-8"))
    assert [one["estimate"] for one in content["animals"]] == ["pooled", "pooled"]
    assert [one["group"] for one in content["groups"]] == ["RANKL", "control"]


def test_a_missing_slide_is_said_and_the_others_are_pooled(histo, study):
    shutil.rmtree(study / "results" / "m1_s3")
    failure = {"slide": "m2_s1", "file": "m2_s1.svs", "error": "m2_s1.svs: is empty; copy it."}
    (study / "results" / "failures.json").write_text(json.dumps([failure]))
    outcome = histo("animals", study / "results", study / "design.csv", "--section-distance", 300)
    assert (outcome.code, outcome.err) == (1, "")
    assert "Missing: these slides are in no number" in outcome.out
    assert "has no result in results; correct its name, or run it" in outcome.out
    assert "failed: m2_s1.svs: is empty; copy it" in outcome.out
    assert line_of(outcome, ["m1", "RANKL"])[2:6] == ["2", "of", "3", "2"]
    assert "m1: 1 of 3 sections missing: m1_s3.svs; no volume: it needs all sections." in (
        outcome.out
    )
    assert "m2: 1 of 2 sections missing: m2_s1.svs; one section: an index, not a volume." in (
        outcome.out
    )
    assert histo("animals", study / "results", study / "design.csv", "--json").code == 1


def test_an_animal_without_any_result_has_no_numbers(histo, study):
    with (study / "design.csv").open("a") as stream:
        stream.write("\nlost;m3;1;control")
    outcome = histo("animals", study / "results", study / "design.csv")
    assert outcome.code == 1
    assert line_of(outcome, ["m3"])[2:] == ["0", "of", "1", "-", "-", "-", "-"]
    assert line_of(outcome, ["control"])[1] == "1"
    assert "Animals without numbers are not counted: 1 of control." in outcome.out


def test_without_groups_there_is_one_table(histo, study):
    (study / "design.csv").write_text("slide\tanimal\nm1_s1\tm1\nm1_s2\tm1\n")
    outcome = histo("animals", study / "results", study / "design.csv")
    assert outcome.code == 0
    assert "By group" not in outcome.out
    assert "group" not in pd.read_csv(study / "results" / "animals.csv").columns
    assert "m1: no volume: the distance between the sections is not known." in outcome.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{t}/results"], "Missing argument"),
        (["{t}/gone", "{t}/design.csv"], "gone: holds no result of histo"),
        (["{t}/results", "{t}/gone.csv"], r"gone\.csv: no such file; give the table"),
        (["{t}/results", "{t}/results"], "results: no such file; give the table"),
        (["{t}/results/m1_s1", "{t}/design.csv"], "is the result of one slide; name the folder"),
        (["{t}/results", "{t}/other.csv"], r"^other\.csv: none of its slides \(a\) has a result"),
        (["{t}/results", "{t}/bad.csv"], r"^bad\.csv: has no column animal"),
        (["{t}/results", "{t}/book.xlsx"], r"^book\.xlsx: cannot be read as a table"),
        (["{t}/results", "{t}/design.csv", "--section-distance", "0.3"], "-distance 0.3 cannot be"),
        (["{t}/results", "{t}/design.csv", "-o", "{t}/bad.csv"], "cannot be|could not be"),
    ],
)
def test_what_cannot_start_says_why(histo, study, words, message):
    (study / "other.csv").write_text("slide,animal\na,m1\n")
    (study / "bad.csv").write_text("slide,mouse\nm1_s1,m1\n")
    (study / "book.xlsx").write_bytes(b"PK\x03\x04\x14\0\xff\xfe\n")
    outcome = histo("animals", *(word.format(t=study) for word in words))
    assert (outcome.code, outcome.out) == (2, "")
    (line,) = outcome.err.splitlines()
    assert line.startswith("histo: error: ")
    assert re.search(message, line.removeprefix("histo: error: "))
    assert not list(study.rglob("animals.*"))


@pytest.mark.slow
def test_painted_sections_from_the_slide_to_the_animal(histo, tmp_path):
    """Two animals of painted slides: one section analysed, and its copy among empty ones."""
    (slide, *_) = sample_slides()["lung-he"]
    truth = pd.read_csv(slide.with_name("lung-he_section.truth.csv"))
    for name in ("m1_a.tif", "m1_b.tif", "m2.tif"):
        (tmp_path / "lungs").mkdir(exist_ok=True)
        shutil.copy(slide, tmp_path / "lungs" / name)
    (tmp_path / "lungs" / "m3.tif").touch()
    results = tmp_path / "results"
    assert histo("run", tmp_path / "lungs", "-o", results, "-p", "lung-he", "-q").code == 1
    (tmp_path / "design.csv").write_text(
        "slide,animal,section,distance_um\nm1_a.tif,m1,1,500\nm1_b.tif,m1,2,500\nm2.tif,m2,,\n"
        "m3.tif,m3,,\n"
    )
    outcome = histo("animals", results, tmp_path / "design.csv")
    assert outcome.code == 1
    assert "failed: m3.tif: is empty" in outcome.out
    frame = pd.read_csv(results / "animals.csv", encoding="utf-8-sig").set_index("animal")
    slides = pd.read_csv(results / "metrics.csv", encoding="utf-8-sig").set_index("slide")
    assert frame.loc["m1", "lung_foci_count"] == 2 * len(truth)
    areas = frame["lung_foci_area_mm2"] * 1e6
    assert areas["m1"] == pytest.approx(2 * truth["area_um2"].sum(), rel=0.02)
    for name in ("lung_burden_percent", "lung_burden_parenchyma_percent", "lung_foci_per_cm2"):
        assert frame.loc["m1", name] == pytest.approx(slides.loc["m2", name])
        assert frame.loc["m2", name] == pytest.approx(slides.loc["m2", name])
        assert np.isnan(frame.loc["m3", name])
    volume = 2 * slides.loc["m2", "lung_lobe_area_mm2"] * 0.5
    assert frame.loc["m1", "lung_volume_mm3"] == pytest.approx(volume)
