"""Two slides never share a result folder, whatever they are called."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histo.batch.names import distinct_names

part = st.sampled_from(["a", "A", "b", "a_b", "x.y", "metrics", "a_tif"])
slide = st.builds(
    lambda folders, stem, suffix: Path(*folders, stem + suffix),
    st.lists(part, max_size=3),
    part,
    st.sampled_from([".tif", ".svs", ".ome.tif", ".csv.tif", ""]),
)


@settings(max_examples=200, deadline=None)
@given(slides=st.lists(slide, unique=True, max_size=8), taken=st.lists(part, max_size=3))
def test_names_are_distinct_and_repeatable(slides, taken):
    names = distinct_names(slides, taken)
    folded = [name.casefold() for name in names]
    assert len(set(folded)) == len(slides)
    assert not set(folded) & {name.casefold() for name in taken}
    assert names == distinct_names(slides, taken)
    assert all(name and "/" not in name for name in names)


@pytest.mark.parametrize(
    ("slides", "names"),
    [
        (["s1.tif", "s2.tif"], ["s1", "s2"]),
        (["m1/a.tif", "m2/a.tif"], ["m1_a", "m2_a"]),
        (["d1/m/a.tif", "d2/m/a.tif"], ["d1_m_a", "d2_m_a"]),
        (["/d1/a.tif", "/d2/A.tif"], ["d1_a", "d2_A"]),
        (["m/a.tif", "m/a.svs"], ["a_tif", "a_svs"]),
        (["m/a.tif", "m/a.svs", "n/a.tif"], ["m_a_tif", "a_svs", "n_a"]),
        (["m1_a.tif", "m1/a.tif", "m2/a.tif"], ["m1_a", "a_2", "m2_a"]),
        (["metrics.csv.tif"], ["metrics.csv_2"]),
        (["animals.csv.tif"], ["animals.csv_2"]),
        (["what?.tif", "end..tif"], ["what_", "end"]),
    ],
)
def test_names_say_where_a_slide_comes_from(slides, names):
    assert distinct_names([Path(slide) for slide in slides]) == names


def test_a_name_in_use_for_another_slide_is_left_to_it():
    assert distinct_names([Path("m2/liver.tif")], taken={"liver"}) == ["m2_liver"]
