"""The session of a viewer: results over slides, colours, clicks and the view."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "plugins"))

from napari_histo.layers import GONE, MARKED, CallCodes, CallLevel, possible_classes

from histo.results import CallClass

pytestmark = [
    pytest.mark.gui,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

CLASSES = tuple(CallClass((name,), (9, 0, 0)) for name in ("Negative", "1+", "Excluded"))


def table(grades, flags=None):
    count = len(grades)
    flags = flags or [""] * count
    return pd.DataFrame(
        {
            "cell_id": np.arange(1, count + 1),
            "foxp3_positive": np.array(grades) > 0,
            "foxp3_grade": np.array(grades, np.int8),
            # As the review does with cells that are gone.
            "compartment": ["excluded" if flag in GONE else "tissue" for flag in flags],
            "flags": flags,
        }
    )


def squares():
    """Four nuclei of 6 x 6 pixels in a row, 4 apart; numbers 1 to 4."""
    ids = np.zeros((20, 44), np.uint32)
    for index in range(4):
        ids[7:13, 4 + 10 * index : 10 + 10 * index] = index + 1
    return ids


@pytest.fixture
def level():
    codes = CallCodes(CLASSES)
    codes.call(table([0, 1, 0, 1]))
    return CallLevel(squares(), codes, pixel_size_um=0.5)


def test_a_level_shows_calls(level):
    expected = np.array([0, 1, 2, 1, 2], np.uint8)[squares()]
    np.testing.assert_array_equal(level[:], expected)
    np.testing.assert_array_equal(level[5:9, 3:-2:2], expected[5:9, 3:-2:2])
    np.testing.assert_array_equal(level[8], expected[8])
    assert level[8, 15] == 2


def test_new_calls_need_no_new_pixels(level):
    level.codes.call(table([1, 0, 0, 0]))
    assert [int(level[9, 6 + 10 * i]) for i in range(4)] == [2, 1, 1, 1]


def test_the_array_that_napari_keeps_is_repainted(level):
    kept = np.asarray(level)
    level.codes.call(table([1, 1, 1, 1]))
    assert kept.max() == 2
    assert kept[9, 6] == 1
    level.repaint()
    assert kept[9, 6] == 2
    assert np.asarray(level) is kept


def test_deleted_and_replaced_cells_vanish(level):
    level.codes.call(table([0, 1, 0, 1], ["deleted", "", "replaced", ""]))
    assert [int(level[9, 6 + 10 * i]) for i in range(4)] == [0, 2, 0, 2]
    assert level.cell_at(4.5, 3.0) == 0
    assert level.cell_at(4.5, 8.0) == 2


def test_numbers_without_a_row_stay_unseen(level):
    level.codes.call(table([0, 1]))
    assert [int(level[9, 6 + 10 * i]) for i in range(4)] == [1, 2, 0, 0]


def test_drawn_nuclei_lie_over_the_image_at_every_level(level):
    level.codes.call(table([0, 1, 0, 1, 1], ["deleted", "", "", "", "drawn"]))
    # In µm: rows 6 to 13, columns 2 to 11 of the finest level.
    outline = np.array([[3.0, 1.0], [3.0, 6.0], [7.0, 6.0], [7.0, 1.0]])
    level.codes.draw({5: outline})
    shown = level[:]
    assert (shown[6:14, 2:12] == 2).all()
    assert (shown[:, :2] == 0).all()
    assert level.cell_at(5.0, 1.5) == 5
    coarse = CallLevel(squares()[::2, ::2], level.codes, pixel_size_um=0.5, step=2)
    np.testing.assert_array_equal(coarse[:], shown[::2, ::2])


def test_outlines_part_touching_nuclei():
    ids = np.zeros((8, 16), np.uint32)
    ids[1:7, 1:8], ids[1:7, 8:15] = 1, 2
    codes = CallCodes(CLASSES)
    codes.call(table([0, 0]))
    codes.outlined = True
    level = CallLevel(ids, codes, pixel_size_um=0.5)
    shown = level[:]
    assert (shown[1:7, 7:9] == 1).all(), "a line where they touch"
    assert (shown[2:6, 2:7] == 0).all(), "nothing inside"
    np.testing.assert_array_equal(level[3:5, 6:9], shown[3:5, 6:9], "tiles equal the whole")


def test_a_ring_lies_around_marked_cells(level):
    level.codes.marked = (3,)
    shown = level[:]
    ring = shown == MARKED
    assert ring.any()
    assert not ring[8:12, 25:29].any(), "the call is seen within"
    assert shown[9, 26] == 1
    assert set(squares()[ring]) == {0, 3}


def test_classes_are_the_same_whatever_occurs():
    few, many = table([0, 0]), table([3, 1, 0])
    assert possible_classes(few) == possible_classes(many)
    pair = few.assign(rankl_positive=False, rankl_grade=0)
    labels = [one.label for one in possible_classes(pair)]
    assert labels == ["Excluded", "Negative", "FOXP3+", "RANKL+", "FOXP3+ RANKL+"]


@pytest.fixture
def session(viewer):
    from napari_histo.session import Session

    return Session.of(viewer)


def test_one_session_a_viewer(viewer, session):
    from napari.utils._proxies import PublicOnlyProxy
    from napari_histo.session import Session

    assert Session.of(PublicOnlyProxy(viewer)) is session
    assert session.viewer is viewer


def test_a_result_opens_its_slide(session, viewer, analysed):
    slide, folder = analysed
    told = []
    session.review_changed.connect(lambda: told.append(session.review))
    session.open_result(folder)
    assert [type(layer).__name__ for layer in viewer.layers] == ["Image", "Labels", "Points"]
    assert session.reviewed_slide == slide
    assert session.slide_path == slide
    assert told == [session.review]
    assert not session.unsaved
    session.close_result()
    assert [type(layer).__name__ for layer in viewer.layers] == ["Image"]
    assert told == [told[0], None]


def test_a_slide_that_is_not_there_is_told(session, analysed):
    slide, folder = analysed
    slide.unlink()
    said = []
    session.said.connect(said.append)
    session.open_result(folder)
    assert session.reviewed_slide is None
    assert said == [
        "part of section.tif is not open, nor beside its result; open it to see the cells."
    ]


def test_a_dropped_result_is_adopted(session, viewer, analysed, qtbot):
    from napari_histo.reader import read_result

    assert session.review is None
    for data, settings, kind in read_result(analysed[1]):
        getattr(viewer, f"add_{kind}")(data, **settings)
    qtbot.waitUntil(lambda: session.review is not None)
    assert session.nuclei is viewer.layers[0]
    assert not session.nuclei.editable, "its pixels are codes"


def test_colours_follow_the_calls(session, analysed, qtbot):
    session.open_result(analysed[1])
    review, level = session.review, session.nuclei.data[0]
    points = next(one for one in session.result_layers if type(one).__name__ == "Points")
    negative = review.cells[~review.cells["foxp3_positive"].to_numpy()].iloc[0]
    row, column = (int(negative[name] / 0.5) for name in ("y_um", "x_um"))
    assert level.cell_at(negative["y_um"], negative["x_um"]) == negative["cell_id"]
    before, count = int(level[row, column]), len(points.data)
    review.set_call([negative["cell_id"]], "foxp3", 3)
    session.refresh()
    after = int(level[row, column])
    assert level.codes.classes[before - 1].label == "Negative"
    assert level.codes.classes[after - 1].label == "3+"
    qtbot.waitUntil(lambda: len(points.data) == count + 1)
    assert len(points.features) == count + 1


def test_a_click_selects_and_a_ring_follows(session, viewer, analysed):
    session.open_result(analysed[1])
    cell = session.review.cells.iloc[20]
    event = Click(viewer, (float(cell["y_um"]), float(cell["x_um"])))
    event.play(session)
    assert session.selected == cell["cell_id"]
    assert session.nuclei.data[0].codes.marked == (cell["cell_id"],)
    Click(viewer, (-50.0, -50.0)).play(session)
    assert session.selected is None
    # A drag moves the slide and selects nothing.
    event.play(session, drag=True)
    assert session.selected is None


class Click:
    """A press of the mouse as napari tells of it."""

    button = 1

    def __init__(self, viewer, position):
        self.viewer, self.position = viewer, position
        self.pos, self.type = np.array([10.0, 10.0]), "mouse_press"

    def play(self, session, *, drag=False):
        steps = [call(self.viewer, self) for call in self.viewer.mouse_drag_callbacks]
        steps = [one for one in steps if one is not None and one.gi_code.co_name == "_on_press"]
        assert len(steps) == 1
        self.type = "mouse_press"
        next(steps[0])
        if drag:
            self.type, self.pos = "mouse_move", self.pos + 30
            next(steps[0], None)
        self.type = "mouse_release"
        next(steps[0], None)
        self.pos = np.array([10.0, 10.0])


def test_the_view_flies_to_a_cell(session, viewer, analysed, qapp):
    session.open_result(analysed[1])
    session.fly_to(100.0, 150.0, field_um=60.0)
    for _ in range(3):
        qapp.processEvents()
    y0, x0, y1, x1 = session.view_um()
    assert ((y0 + y1) / 2, (x0 + x1) / 2) == pytest.approx((100, 150))
    assert min(y1 - y0, x1 - x0) == pytest.approx(60)


def test_drawn_shapes_are_in_micrometres(session, viewer):
    square = np.array([[0, 0], [0, 10], [10, 10], [10, 0]])
    viewer.add_shapes([square], shape_type="polygon", scale=(0.5, 0.5), translate=(3, 4))
    (polygon,) = session.shapes_um()
    np.testing.assert_allclose(polygon, square * 0.5 + (3, 4))
    # What the plugin draws itself is none of the reader's.
    viewer.add_shapes([square], metadata={"histo": {"drawn": "hot spots"}})
    viewer.layers.selection.clear()
    np.testing.assert_allclose(session.shapes_um()[0], polygon)


def test_what_is_not_saved_is_asked_about(session, analysed):
    session.open_result(analysed[1])
    asked = []
    session.asks_to_save = lambda: asked.append(1) or True
    session.review.set_thresholds({"foxp3": 0.3})
    assert session.unsaved
    session.close_result()
    assert asked == [1]
    session.open_result(analysed[1])
    assert session.review.thresholds["foxp3"].values[0] == 0.3
    session.close_result()
    assert asked == [1], "nothing to save, nothing to ask"
