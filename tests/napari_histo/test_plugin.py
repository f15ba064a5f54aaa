"""The plugin without a window: what it declares, what its readers and writers give."""

import gc
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from histo.errors import ResultError, SlideError
from histo.slide import open_slide

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "plugins"))

from napari_histo.pyramid import SlideLevel, slide_levels  # noqa: E402
from napari_histo.reader import get_reader, read_result, read_slide  # noqa: E402
from napari_histo.writer import write_cells  # noqa: E402

MANIFEST = ROOT / "plugins" / "napari_histo" / "napari.yaml"


@pytest.fixture(scope="module")
def manifest():
    with warnings.catch_warnings():
        # npe2 warns about its own use of pydantic.
        warnings.simplefilter("ignore")
        npe2 = pytest.importorskip("npe2", reason="npe2 comes with the extra [napari]")
        return npe2.PluginManifest.from_file(MANIFEST)


def test_the_manifest_is_valid_and_its_names_exist(manifest):
    manifest.validate_imports()
    assert manifest.name == "napari-histo"


def test_commands_point_at_modules_never_at_the_package(manifest):
    for command in manifest.contributions.commands:
        module, _, function = command.python_name.partition(":")
        assert module.startswith("napari_histo."), command.id
        assert function


def test_every_command_is_used_once(manifest):
    parts = manifest.contributions
    used = [
        entry.command
        for entry in (*parts.readers, *parts.writers, *parts.sample_data, *parts.widgets)
    ]
    assert sorted(used) == sorted(command.id for command in parts.commands)


def test_importing_the_plugin_loads_neither_torch_nor_qt():
    script = (
        "import sys, napari_histo, napari_histo.reader, napari_histo.writer\n"
        "import napari_histo.samples, napari_histo.pyramid\n"
        "heavy = {'torch', 'napari', 'qtpy', 'vispy', 'PySide6', 'PyQt6', 'matplotlib'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    path = f"{ROOT}{';' if sys.platform == 'win32' else ':'}{ROOT / 'plugins'}"
    run = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert run.stdout.strip() == "[]"


def test_a_level_is_a_lazy_array(painted):
    whole = tifffile.imread(painted.slide)
    with open_slide(painted.slide) as slide:
        level = SlideLevel(slide, 0.5)
        assert (level.shape, level.dtype, level.ndim) == (whole.shape, np.uint8, 3)
        assert level.size == whole.size
        for key in (
            np.s_[:],
            np.s_[10:20, 30:50],
            np.s_[100:10, :],
            np.s_[::7, 5:100:3],
            np.s_[-30:, -5],
            np.s_[3],
            np.s_[..., 1],
            np.s_[2:4, ..., 0],
            np.s_[0:5, 0:5, :2],
            np.s_[1390:5000, 1790:5000],
        ):
            np.testing.assert_array_equal(level[key], whole[key])
        np.testing.assert_array_equal(np.asarray(level), whole)
        with pytest.raises(IndexError, match="out of bounds"):
            level[1400]
        with pytest.raises(IndexError, match="forward"):
            level[::-1]


def test_only_what_is_looked_at_is_read(tmp_path, monkeypatch):
    path = tmp_path / "large.tif"
    tifffile.imwrite(path, np.zeros((4000, 4000, 3), np.uint8), photometric="rgb", tile=(256, 256))
    with open_slide(path, pixel_size_um=0.5) as slide:
        asked = []
        read = slide.read
        monkeypatch.setattr(slide, "read", lambda r, size: asked.append(r) or read(r, size))
        level = SlideLevel(slide, 0.5)
        level[100:150, 200:260]
        level[100:150, 200:260]
        assert [region.shape for region in asked] == [(50, 60)] * 2
        coarse = SlideLevel(slide, 4.0)
        asked.clear()
        for _ in range(3):
            coarse[10:20, 30:40]
        assert [region.shape for region in asked] == [(500, 500)], "small levels are kept"


def test_levels_halve_down_to_a_screen(tmp_path):
    path = tmp_path / "large.tif"
    tifffile.imwrite(path, np.zeros((500, 4100, 3), np.uint8), photometric="rgb")
    (levels,) = slide_levels(open_slide(path, pixel_size_um=0.5), 0.5)
    assert [level.shape[:2] for level in levels] == [
        (500, 4100),
        (250, 2050),
        (125, 1025),
        (63, 513),
    ]


def test_the_slide_closes_with_its_last_level(painted):
    slide = open_slide(painted.slide)
    (levels,) = slide_levels(slide, 0.5)
    last = levels[-1]
    del levels
    gc.collect()
    assert last[0].shape == (900, 3)
    del last
    gc.collect()
    with pytest.raises(ValueError, match="closed"):
        slide.thumbnail(10)


def test_a_slide_is_one_rgb_layer_in_micrometres(painted):
    ((levels, settings, kind),) = get_reader(str(painted.slide))(str(painted.slide))
    assert kind == "image"
    assert settings["rgb"] is True
    assert settings["name"] == "section 7"
    assert settings["scale"] == (0.5, 0.5)
    assert settings["translate"] == (0.25, 0.25), "the corner of the slide is the origin"
    assert settings["units"] == ("micrometer", "micrometer")
    assert [level.shape for level in levels] == [(1400, 1800, 3), (700, 900, 3)]


def test_a_fluorescence_slide_is_a_layer_a_channel(tmp_path, paint_section):
    path = paint_section(tmp_path / "if.ome.tif", panel="foxp3-rankl-if")
    layers = read_slide(path)
    with open_slide(path) as slide:
        names = slide.channel_names
        whole = slide.thumbnail(10_000)
    assert [settings["name"].split(" ")[-1] for _, settings, _ in layers] == list(names)
    for channel, (levels, settings, _) in enumerate(layers):
        np.testing.assert_array_equal(np.asarray(levels[0]), whole[..., channel])
        low, high = settings["contrast_limits"]
        assert low < high


def test_a_slide_without_a_pixel_size_is_shown_in_pixels(tmp_path):
    path = tmp_path / "bare.tif"
    tifffile.imwrite(path, np.zeros((50, 60, 3), np.uint8), photometric="rgb")
    with pytest.warns(UserWarning, match="states no pixel size, so it is shown in pixels"):
        ((_, settings, _),) = read_slide(path)
    assert settings["units"] == ("pixel", "pixel")
    assert settings["metadata"]["histo"]["pixel_size_um"] is None
    ((_, settings, _),) = read_slide(path, pixel_size_um=0.25)
    assert settings["scale"] == (0.25, 0.25)


def test_a_result_is_labels_and_points(painted):
    pytest.importorskip("napari", reason="napari comes with the extra [napari]")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # napari's own, on import
        layers = get_reader(str(painted.folder))([str(painted.folder)])
    labels, positive = layers
    assert [kind for _, _, kind in layers] == ["labels", "points"]
    levels, settings, _ = labels
    grades = np.concatenate([[0], painted.cells["foxp3_grade"]])[painted.labels]
    names = ["", "Excluded", "Negative", "1+", "2+", "3+"]
    assert settings["features"]["call"].tolist() == names
    expected = np.where(painted.labels > 0, 2 + grades, 0)
    for index, level in enumerate(levels):
        np.testing.assert_array_equal(level[:], expected[:: 2**index, :: 2**index])
    assert settings["translate"] == (0.25, 0.25)
    places, settings, _ = positive
    expected = painted.cells[painted.cells["foxp3_positive"]]
    np.testing.assert_array_equal(places, expected[["y_um", "x_um"]])
    assert settings["features"]["cell_id"].tolist() == expected["cell_id"].tolist()
    words = [f"{grade}+" for grade in expected["foxp3_grade"]]
    assert settings["features"]["call"].tolist() == words
    assert len(np.unique(settings["face_color"], axis=0)) == 3


def test_paths_that_are_not_ours(tmp_path, painted):
    (tmp_path / "folder").mkdir()
    assert get_reader(str(tmp_path / "folder")) is None
    assert get_reader(str(tmp_path / "none.tif")) is None
    assert get_reader([str(painted.slide), str(painted.slide)]) is None
    with pytest.raises(ResultError, match="not a result of histo"):
        read_result(tmp_path / "folder")


def test_a_broken_slide_is_one_sentence(tmp_path):
    path = tmp_path / "broken.tif"
    path.write_bytes(b"II*\0\x08\0\0\0")
    with pytest.raises(SlideError, match=r"^broken\.tif: "):
        get_reader(str(path))(str(path))


def test_the_writer_places_points_in_micrometres(tmp_path):
    features = pd.DataFrame({"cell_id": [4, 9], "x_um": [0.0, 0.0], "call": ["1+", "µ"]})
    attributes = {"scale": (0.5, 0.25), "translate": (10, 20), "features": features}
    (saved,) = write_cells(str(tmp_path / "c.csv"), [[2, 4], [6, 8]], attributes)
    table = pd.read_csv(saved)
    assert list(table) == ["x_um", "y_um", "cell_id", "call"]
    assert table["x_um"].tolist() == [21.0, 22.0]
    assert table["y_um"].tolist() == [11.0, 13.0]
    assert table["call"].tolist() == ["1+", "µ"]


def test_the_writer_to_nowhere(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ResultError, match="could not be written"):
        write_cells(str(tmp_path / "file" / "c.csv"), np.zeros((0, 2)), {})
