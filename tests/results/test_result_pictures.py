"""Pictures show the right cells in the right places."""

import cv2
import numpy as np
import pandas as pd
import pytest

from histo.errors import ResultError
from histo.results import (
    Caption,
    GalleryCell,
    channel_colours,
    choose_cells,
    draw_field,
    draw_gallery,
    draw_overview,
    show_channels,
    write_png,
)
from histo.results.calls import GRADES, NEGATIVE
from histo.results.drawing import new_figure, round_length
from histo.results.gallery import _draw_histogram

SQUARE = np.array([[8.0, 8], [8, 16], [16, 16], [16, 8]])


def cells_at(places, grades):
    grade = np.array(grades, np.int8)
    y, x = np.array(places, float).reshape(-1, 2).T
    return pd.DataFrame(
        {
            "cell_id": np.arange(1, len(grade) + 1),
            "y_um": y,
            "x_um": x,
            "compartment": "tissue",
            "foxp3_positive": grade > 0,
            "foxp3_grade": grade,
        }
    )


def has(picture, rgb, tolerance=12):
    return np.abs(picture.astype(int) - rgb).max(axis=2) <= tolerance


def test_overview_puts_positive_cells_where_they_are():
    # 1400 x 700 px at 4 µm: shown at full size, 16 px from the left, 52 px from the top.
    slide = np.full((700, 1400, 3), 235, np.uint8)
    places = [(400.0, 800.0), (2000.0, 5200.0), (1200.0, 2400.0)]
    cells = cells_at(places, [3, 1, 0])
    picture = draw_overview(slide, cells, pixel_size_um=4.0)
    shown = picture[52 : 52 + 700, 16 : 16 + 1400]
    for (y_um, x_um), grade in zip(places[:2], (3, 1), strict=True):
        y, x = int(y_um / 4), int(x_um / 4)
        rows, columns = np.nonzero(has(shown, GRADES[grade - 1]))
        assert rows.mean() == pytest.approx(y, abs=1.5)
        assert columns.mean() == pytest.approx(x, abs=1.5)
    assert (shown[280:320, 560:640] == 235).all(), "negative cells are not drawn"


def test_overview_outlines_tissue_and_marks_artefacts():
    slide = np.full((500, 1000, 3), 235, np.uint8)
    tissue = np.zeros((50, 100), bool)
    tissue[10:40, 20:80] = True
    artefacts = np.zeros((50, 100), np.uint8)
    artefacts[20:30, 40:60] = 1
    none = cells_at([], [])
    plain = draw_overview(slide, none, pixel_size_um=4.0)
    drawn = draw_overview(slide, none, pixel_size_um=4.0, tissue=tissue, artefacts=artefacts)
    changed = (plain != drawn).any(axis=2)[52 : 52 + 700, 16 : 16 + 1400]
    zoom = 14
    edge = changed[10 * zoom - 4 : 10 * zoom + 4, 30 * zoom : 70 * zoom]
    assert edge.any(axis=0).all(), "the upper edge of the tissue is drawn whole"
    assert changed[21 * zoom : 29 * zoom, 41 * zoom : 59 * zoom].all(), "the pen mark is filled"
    assert not changed[12 * zoom : 18 * zoom, 22 * zoom : 78 * zoom].any(), "tissue is seen plain"
    assert not changed[: 9 * zoom].any()


def test_overview_writes_the_caption():
    slide = np.full((100, 200, 3), 235, np.uint8)
    cells = cells_at([(10.0, 10.0)], [1])
    caption = Caption("slide 7", (("cells", "1"),), ("pale_counterstain",))
    with_words = draw_overview(slide, cells, pixel_size_um=4.0, caption=caption)
    red = has(with_words, (176, 0, 32))
    assert red.sum() > 100, "a flag is written in red"
    without = draw_overview(slide, cells, pixel_size_um=4.0, caption=Caption("slide 7"))
    assert not has(without, (176, 0, 32)).any()


def test_overview_refuses_a_pixel_size_of_zero():
    with pytest.raises(ValueError, match="pixel_size_um"):
        draw_overview(np.zeros((9, 9, 3), np.uint8), cells_at([], []), pixel_size_um=0)


def test_overview_of_a_slide_of_one_pixel():
    picture = draw_overview(np.zeros((1, 1, 3), np.uint8), cells_at([], []), pixel_size_um=900.0)
    assert picture.dtype == np.uint8


def test_field_outlines_each_call_in_its_colour():
    field = np.full((100, 200, 3), 225, np.uint8)
    labels = np.zeros((100, 200), np.int32)
    labels[20:40, 20:40] = 1
    labels[20:40, 120:140] = 2
    labels[70:90, 20:40] = 9  # not in the table: a neighbour's
    cells = cells_at([(0, 0), (0, 0)], [0, 3])
    picture = draw_field(field, labels, cells, pixel_size_um=0.5)
    zoom = 4
    left = picture[46 : 46 + 400, 16 : 16 + 800]
    right = picture[46 : 46 + 400, 32 + 800 : 32 + 1600]
    blue, magenta = has(right, NEGATIVE, 40), has(right, GRADES[2], 40)
    for mask, x in ((blue, 20), (magenta, 120)):
        rows, columns = np.nonzero(mask)
        assert rows.min() == pytest.approx(20 * zoom, abs=4)
        assert rows.max() == pytest.approx(40 * zoom, abs=4)
        assert columns.min() == pytest.approx(x * zoom, abs=4)
        assert columns.max() == pytest.approx((x + 20) * zoom, abs=4)
    assert (right[65 * zoom : 95 * zoom, 15 * zoom : 45 * zoom] == 225).all()
    assert (left[: 55 * zoom] == 225)[4:, 4:-4].all(), "the field itself is left as it is"


def test_field_without_cells_and_with_wrong_labels():
    field = np.full((40, 40, 3), 225, np.uint8)
    empty = np.zeros((40, 40), np.int32)
    assert draw_field(field, empty, cells_at([], []), pixel_size_um=0.5).ndim == 3
    with pytest.raises(ValueError, match="labels are"):
        draw_field(field, empty[:20], cells_at([], []), pixel_size_um=0.5)


def valued(values, positive, compartment="tissue"):
    return pd.DataFrame(
        {
            "cell_id": np.arange(1, len(values) + 1),
            "od": np.array(values, float),
            "foxp3_positive": positive,
            "compartment": compartment,
        }
    )


def test_the_nearest_cells_lie_on_both_sides_of_the_threshold():
    values = np.linspace(0, 1, 101)
    cells = valued(values[::-1], values[::-1] >= 0.5)
    chosen = choose_cells(cells, "foxp3", column="od", threshold=0.5, each=10)
    near = cells.set_index("cell_id").loc[chosen["nearest"], "od"].to_numpy()
    np.testing.assert_allclose(near, np.linspace(0.45, 0.54, 10))
    positive = cells.set_index("cell_id").loc[chosen["positive"], "od"].to_numpy()
    assert len(positive) == 10
    assert (np.diff(positive) > 0).all()
    assert (positive[0], positive[-1]) == (0.5, 1.0)
    assert len(chosen["rejected"]) == 0


def test_rejected_cells_are_shown_apart_and_excluded_ones_not_at_all():
    cells = valued(
        [0.9, 0.8, 0.1, np.nan, 0.7],
        [True, False, False, False, True],
        ["tissue", "tissue", "tissue", "tissue", "excluded"],
    )
    chosen = choose_cells(cells, "foxp3", column="od", threshold=0.5)
    assert {name: ids.tolist() for name, ids in chosen.items()} == {
        "nearest": [3, 2, 1],
        "positive": [1],
        "negative": [3],
        "rejected": [2],
    }


def test_without_a_threshold_all_are_negative():
    cells = valued([0.9, 0.1], [False, False])
    chosen = choose_cells(cells, "foxp3", column="od", threshold=np.nan)
    assert chosen["negative"].tolist() == [2, 1]
    assert not any(len(chosen[name]) for name in ("nearest", "positive", "rejected"))


@pytest.mark.parametrize("missing", ["od", "foxp3_positive"])
def test_choosing_needs_its_columns(missing):
    cells = valued([0.9], [True]).drop(columns=missing)
    with pytest.raises(ValueError, match=missing):
        choose_cells(cells, "foxp3", column="od", threshold=0.5)


def gallery_cell(grade):
    return GalleryCell(grade, 0.2 * grade, grade, np.full((24, 24, 3), 200, np.uint8), SQUARE)


def test_gallery_frames_cells_by_their_call():
    values = np.array([0.1, 0.3, np.nan])
    for grade in (0, 3):
        rows = {"positive": [gallery_cell(grade)]}
        picture = draw_gallery(rows, values, thresholds=[9.0], quantity="OD")
        frame = picture[300:]
        assert has(frame, GRADES[2], 30).any() == (grade == 3)
        assert has(frame, NEGATIVE, 30).any() == (grade == 0)


def test_gallery_grows_with_its_rows():
    values = np.linspace(0, 1, 50)
    heights = [
        draw_gallery(
            {"a": [gallery_cell(1)] * count, "b": []},
            values,
            thresholds=[0.2, 0.4, 0.6],
            quantity="OD",
        ).shape[0]
        for count in (0, 1, 12, 13)
    ]
    assert heights[0] == heights[1] == heights[2] < heights[3]


@pytest.mark.parametrize("values", [[], [np.nan], [0.0, 0.0], [5000.0, -20.0]])
@pytest.mark.parametrize("thresholds", [[0.2, 0.4, 0.6], [np.nan] * 3, []])
def test_gallery_stands_odd_values(values, thresholds):
    picture = draw_gallery({}, np.array(values), thresholds=thresholds, quantity="x")
    assert picture.dtype == np.uint8


def test_channels_mix():
    image = np.zeros((1, 3, 2), np.uint16)
    image[0, 1, 0] = 1000
    image[0, 2] = 70, 5000
    picture = show_channels(image, [(100, 1000), (0, 1000)])
    assert picture[0].tolist() == [[0, 0, 0], [60, 90, 255], [255, 220, 0]]
    with pytest.raises(ValueError, match="expected 1 channels"):
        show_channels(image, [(0, 1)])
    with pytest.raises(ValueError, match="must rise"):
        show_channels(image, [(0, 1), (2, 2)])


def test_of_many_markers_the_strongest_is_shown():
    colours = channel_colours(6)
    assert len(set(colours)) == 6
    image = np.zeros((1, 8, 6), np.float32)
    for channel in range(6):
        image[0, channel] = 0.3
        image[0, channel, channel] = 1
    image[0, 6] = 1, 0, 0, 0, 0, 0
    shown = show_channels(image, [(0, 1)] * 6)[0].astype(int)
    for channel in range(1, 6):
        assert np.abs(shown[channel] - colours[channel]).max() < 15, channel
    assert shown[6].tolist() == list(colours[0])
    assert shown[7].tolist() == [0, 0, 0]
    # Where all but one are faint, nothing is white.
    assert shown[:6].min(axis=1).max() < 100


def test_the_colour_of_nuclei_is_never_a_markers():
    assert channel_colours(0) == ()
    many = channel_colours(20)
    assert len(many) == 20
    assert many[0] not in many[1:]


def test_one_marker_on_nuclei_keeps_its_colour():
    image = np.array([[[0.5, 1.0]]])
    picture = show_channels(image, [(0, 1), (0, 1)], colours=[(0, 0, 200), (0, 230, 30)])
    assert picture[0, 0].tolist() == [0, 230, 130]
    with pytest.raises(ValueError, match="2 channels and colours"):
        show_channels(image, [(0, 1), (0, 1)], colours=[(0, 0, 200)])


def test_channels_are_named_beside_the_pictures():
    cells = cells_at([(0.0, 0.0)], [0])
    labels = np.zeros((60, 80), np.int32)
    names = dict(zip(("dapi", "foxp3"), channel_colours(2), strict=True))
    black = np.zeros((60, 80, 3), np.uint8)
    for with_names, without in (
        (
            draw_overview(black, cells, pixel_size_um=4, caption=Caption("a", channels=names)),
            draw_overview(black, cells, pixel_size_um=4, caption=Caption("a")),
        ),
        (
            draw_gallery({}, np.ones(9), thresholds=[2.0], quantity="x", channels=names),
            draw_gallery({}, np.ones(9), thresholds=[2.0], quantity="x"),
        ),
        (
            draw_field(black, labels, cells, pixel_size_um=0.5, channels=names),
            draw_field(black, labels, cells, pixel_size_um=0.5),
        ),
    ):
        assert not has(without, names["foxp3"]).any()
        assert has(with_names, names["foxp3"]).any()


def test_grades_far_above_all_cells_do_not_press_the_histogram():
    values = np.random.default_rng(0).normal(5, 1, 300)
    axes = new_figure(400, 200).add_axes((0.1, 0.1, 0.8, 0.8))
    _draw_histogram(axes, values, [14.0, 28.0, 56.0], "x")
    assert axes.get_xlim()[1] < 25
    assert len(axes.patches) > 15


@pytest.mark.parametrize(
    ("limit", "length"), [(0.9, 0.5), (1.0, 1.0), (4.99, 2.0), (10.0, 10.0), (7300.0, 5000.0)]
)
def test_scale_bars_are_round(limit, length):
    assert round_length(limit) == pytest.approx(length)


def test_png_keeps_the_colours(tmp_path):
    picture = np.zeros((2, 3, 3), np.uint8)
    picture[..., 0] = 250
    write_png(tmp_path / "µ picture.png", picture)
    data = np.frombuffer((tmp_path / "µ picture.png").read_bytes(), np.uint8)
    np.testing.assert_array_equal(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1], picture)


def test_png_to_nowhere(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ResultError, match="could not be written"):
        write_png(tmp_path / "file" / "a.png", np.zeros((2, 2, 3), np.uint8))


def test_fluorescence_is_dimmed_below_the_outlines():
    field = np.zeros((100, 200, 3), np.uint8)
    field[20:40, 20:40] = 200
    labels = (field[..., 0] > 0).astype(np.int32)
    picture = draw_field(field, labels, cells_at([(0, 0)], [0]), pixel_size_um=0.5)
    left, right = picture[46 + 120, 16 + 120], picture[46 + 120, 32 + 800 + 120]
    assert left.tolist() == [200] * 3
    assert right.tolist() == [120] * 3
