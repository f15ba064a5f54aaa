"""Which slide belongs to which annotations, when a model is to be taught."""

import pytest

from histo.batch import find_lessons
from histo.errors import AnnotationError


@pytest.fixture
def place(tmp_path):
    """Make empty files; find_lessons looks at names only."""

    def make(*names):
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        return tmp_path

    return make


def names(found):
    return [(lesson.slide.name, lesson.truth.name) for lesson in found.lessons]


def test_two_folders_are_paired_by_name_and_what_is_left_is_told(place):
    root = place("s/a.tif", "s/b.svs", "s/c.tif", "t/a.geojson", "t/b_labels.png", "t/x.geojson")
    found = find_lessons([f"{root}/s", f"{root}/t"])
    assert names(found) == [("a.tif", "a.geojson"), ("b.svs", "b_labels.png")]
    assert found.lonely == ("c.tif", "x.geojson")


def test_a_slide_and_its_truth(place):
    root = place("a.tif", "other name.geojson")
    assert names(find_lessons([f"{root}/a.tif", f"{root}/other name.geojson"])) == [
        ("a.tif", "other name.geojson")
    ]


def test_pairs_may_have_signs_of_equality_in_their_names(place):
    root = place("dose=2.tif", "dose=2.geojson", "b.tif", "b.geojson")
    found = find_lessons(
        [f"{root}/dose=2.tif={root}/dose=2.geojson", f"{root}/b.tif={root}/b.geojson"]
    )
    assert names(found) == [("dose=2.tif", "dose=2.geojson"), ("b.tif", "b.geojson")]


def test_a_folder_of_results_is_a_folder_of_truths(tmp_path, place, make_result, make_nuclei):
    place("s/a.tif", "s/b.tif")
    make_result(tmp_path / "results" / "a", make_nuclei(3))
    found = find_lessons([f"{tmp_path}/s", f"{tmp_path}/results"])
    assert names(found) == [("a.tif", "a")]
    alone = find_lessons([f"{tmp_path}/s/b.tif", f"{tmp_path}/results/a"])
    assert names(alone) == [("b.tif", "a")]


@pytest.mark.parametrize(
    ("files", "inputs", "message"),
    [
        ([], ["{}/gone", "{}/t"], r"gone: no such file or folder"),
        (["a.tif"], ["{}/a.tif={}/a.geojson"], r"a\.geojson: no such file or folder"),
        (["s/a.tif", "t/b.geojson"], ["{}/s", "{}/t"], "has annotations of its name"),
        (
            ["a.tif", "1.geojson", "2.geojson"],
            ["{}/a.tif={}/1.geojson", "{}/a.tif={}/2.geojson"],
            "named twice",
        ),
        (["s/a.tif", "s/a.svs", "t/a.geojson"], ["{}/s", "{}/t"], "both of a; keep one"),
    ],
)
def test_what_cannot_be_paired_is_one_sentence(place, files, inputs, message):
    root = place(*files)
    with pytest.raises(AnnotationError, match=message):
        find_lessons([text.format(root, root) for text in inputs])


@pytest.mark.parametrize("count", [1, 3])
def test_inputs_of_another_form_are_refused(place, count):
    root = place("a.tif")
    with pytest.raises(ValueError, match="SLIDE=TRUTH for each slide"):
        find_lessons([f"{root}/a.tif"] * count)
