"""The plugin in a real napari window."""

from pathlib import Path

import numpy as np
import pytest

pytestmark = [
    pytest.mark.gui,
    # napari and npe2 warn about their own use of pydantic and of each other.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

MANIFEST = Path(__file__).resolve().parents[2] / "plugins" / "napari_histo" / "napari.yaml"


def shown(viewer, qapp):
    for _ in range(5):
        qapp.processEvents()
    return viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int)


def test_a_slide_and_its_result_lie_over_each_other(viewer, painted, qapp):
    viewer.open(painted.slide, plugin="napari-histo")
    viewer.open(painted.folder, plugin="napari-histo")
    image, labels, positive = viewer.layers
    assert (image.rgb, image.multiscale, labels.multiscale) == (True, True, True)
    assert (len(image.data), len(labels.data)) == (2, 3)
    assert len(positive.data) == painted.cells["foxp3_positive"].sum()
    # Every point lies on the nucleus of its own number.
    for row in positive.features.iloc[::50].itertuples():
        assert labels.data[0].cell_at(row.y_um, row.x_um) == row.cell_id
    strong = painted.cells[painted.cells["foxp3_grade"] == 3].iloc[3]
    viewer.camera.center = (0, strong["y_um"], strong["x_um"])
    viewer.camera.zoom = 20
    picture = shown(viewer, qapp)
    assert image.data_level == 0
    middle = picture[picture.shape[0] // 2, picture.shape[1] // 2]
    assert np.abs(middle - (225, 0, 100)).max() < 12, "the call's colour in the cell's middle"
    # 6 µm from the centre lies pale tissue beside the nucleus of 4.5 µm radius.
    beside = picture[picture.shape[0] // 2, picture.shape[1] // 2 + 120]
    assert np.abs(beside - (238, 232, 235)).max() < 12


def test_zooming_out_shows_a_coarser_level(viewer, painted, qapp):
    viewer.open(painted.slide, plugin="napari-histo")
    (image,) = viewer.layers
    viewer.camera.zoom = 0.2
    shown(viewer, qapp)
    assert image.data_level == len(image.data) - 1


def test_cells_are_saved_as_a_table(viewer, painted, tmp_path):
    viewer.open(painted.folder, plugin="napari-histo")
    positive = viewer.layers[-1]
    (saved,) = positive.save(str(tmp_path / "cells.csv"), plugin="napari-histo")
    lines = Path(saved).read_text(encoding="utf-8-sig").splitlines()
    assert lines[0].startswith("x_um,y_um,cell_id,")
    assert len(lines) == 1 + int(painted.cells["foxp3_positive"].sum())


@pytest.mark.parametrize(
    "sample", ["foxp3", "duplex", "fluorescence", "lung", "immunohistochemistry"]
)
def test_samples_open(viewer, sample, qapp):
    viewer.open_sample("napari-histo", sample)
    assert len(viewer.layers) >= (2 if sample == "fluorescence" else 1)
    picture = shown(viewer, qapp)
    assert picture.std() > 5, "something is to be seen"


def test_with_a_widget_open_the_scale_bar_is_shown_in_micrometres(viewer, painted, qapp):
    from napari_histo.session import Session

    viewer.open(painted.slide, plugin="napari-histo")
    assert not viewer.scale_bar.visible
    Session.of(viewer)
    assert viewer.scale_bar.visible
    assert [str(unit) for unit in viewer.layers[0].units] == ["micrometer"] * 2
    viewer.scale_bar.visible = False
    viewer.layers.selection.clear()
    assert not viewer.scale_bar.visible, "who hides it is not overruled"
