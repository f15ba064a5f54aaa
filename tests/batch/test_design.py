"""The table of which slide is of which animal."""

import pytest

from histo.batch import read_design
from histo.errors import AnnotationError


@pytest.fixture
def design(tmp_path):
    def read(text, encoding="utf-8-sig"):
        (tmp_path / "design.csv").write_text(text, encoding=encoding)
        return read_design(tmp_path / "design.csv")

    return read


def test_all_columns_in_any_order(design):
    read = design(
        "Group;Section;Animal;Remark;Slide;Distance (µm)\n"
        "RANKL;10;m2;x;a;300,5\n\nRANKL;2;m2;;b;\ncontrol;1;m1;;c;200\n"
    )
    assert read.has_groups
    first, second, third = read.rows
    assert (first.line, first.slide, first.animal, first.group) == (2, "a", "m2", "RANKL")
    assert (first.section, first.distance_um) == (10, 300.5)
    assert (second.line, second.distance_um) == (4, None)
    by_animal = read.by_animal()
    assert list(by_animal) == ["m2", "m1"]
    assert [row.slide for row in by_animal["m2"]] == ["b", "a"]
    assert by_animal["m1"] == [third]


def test_slide_and_animal_are_enough(design):
    read = design("slide,animal\n s10 ,m1\ns2,m1\n001,m2\n")
    assert not read.has_groups
    # Without numbers, the order of the file.
    assert [row.slide for row in read.by_animal()["m1"]] == ["s10", "s2"]
    assert read.rows[2].slide == "001"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("slide,mouse\na,m1\n", r"has no column animal \(found slide, mouse\); the first line"),
        ("image,mouse\na,m1\n", r"has no column slide and none animal \(found"),
        ("slide,animal\n", "names no slide; give"),
        ("slide,animal\na,\n", "line 2 names no animal; fill in"),
        ("slide,animal\na,m1\n,m2\n", "line 3 names no slide; fill in"),
        ("slide,animal\na,m1\nb,m1\na,m2\n", "lines 2 and 4 are both of the slide a; keep one"),
        ("slide,animal\na,m1\nb,M1\n", "lines 2 and 3 name the animals m1 and M1, which differ"),
        ("slide,animal,group\na,1,RANKL\nb,2,Rankl\n", "the groups RANKL and Rankl, which differ"),
        ("slide,animal,group\na,1,x\nb,1,\n", r"animal 1 is in the groups x and \(none\); give"),
        ("slide,animal,section\na,1,first\n", r"line 2 has no number in the column section \('fi"),
        ("slide,animal,section\na,1,1\nb,1,\n", "line 3 has no section, though other slides of"),
        ("slide,animal,section\na,1,2\nb,1,1\nc,1,2\n", "lines 2 and 4 are both section 2 of the"),
        ("slide,animal,distance_um\na,1,0.3\n", r"line 2 has a distance of 0\.3 µm, which cannot"),
        ("slide,animal,distance_um\na,1,-5\n", "line 2 has a distance of -5 µm, which cannot be"),
        ("slide,animal,distance_um\na,1,nan\n", r"line 2 has no number in the column distance_um"),
    ],
)
def test_what_is_wrong_is_named(design, text, message):
    with pytest.raises(AnnotationError, match=rf"^design\.csv: .*{message}"):
        design(text)
