"""Nuclei that a reader draws get the measures that the run would have given them."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
import yaml

from histo.errors import EditError, ResultError, SlideError
from histo.geometry import Region
from histo.nuclei import read_card
from histo.phantom import Composition, Recipe, paint_phantom
from histo.pipeline import Settings, analyze_slide
from histo.pipeline import measure as measuring
from histo.results import open_labels, read_outlines, read_slide_result
from histo.review import drafts as drafting
from histo.review import removed as removing
from histo.review.drafts import Drafts
from histo.review.masks import painted

ROOT = Path(__file__).resolve().parents[2]
UM = 0.5
PANELS = ("foxp3-dab", "foxp3-dab+rankl-red", "foxp3-rankl-if")


def save_rgb(path, image):
    per_cm = 1e4 / UM
    tifffile.imwrite(
        path, image, photometric="rgb", resolution=(per_cm, per_cm), resolutionunit="CENTIMETER"
    )


@pytest.fixture(scope="module", params=PANELS)
def analysed(request, tmp_path_factory, paint_section):
    root = tmp_path_factory.mktemp("drafts")
    panel = request.param
    path = paint_section(root / "section.ome.tif", panel=panel, seed=4, side_px=320)
    analyze_slide(path, Settings(panel), folder=root / "section")
    return path, root / "section"


def cut_small(patch):
    for module in (measuring, drafting, removing):
        patch.setattr(module, "CORE_PX", 256)


@pytest.fixture(scope="module")
def spoilt_run(tmp_path_factory):
    root = tmp_path_factory.mktemp("spoilt")
    image = paint_phantom(Recipe("foxp3-dab", Composition(glass=0.2)), 21, shape=(600, 600)).image
    image = image.copy()
    image[300:, 300:] = cv2.GaussianBlur(image[300:, 300:], (0, 0), 6)
    save_rgb(root / "section.tif", image)
    with pytest.MonkeyPatch.context() as patch:
        cut_small(patch)
        analyze_slide(root / "section.tif", Settings("foxp3-dab"), folder=root / "section")
    return root / "section.tif", root / "section"


@pytest.fixture
def spoilt(spoilt_run, monkeypatch):
    """A section with glass, a quarter of it out of focus, cut into many tiles."""
    cut_small(monkeypatch)
    return spoilt_run


def rings_of(folder):
    """Outline of each nucleus in µm, by its number; level 0 has the working pixel size here."""
    return {
        int(cell_id): batch.nuclei[row] * UM
        for batch in read_outlines(folder / "outlines.parquet")
        for row, cell_id in enumerate(batch.cell_ids)
    }


def cells_of(folder):
    return read_slide_result(folder).cells.set_index("cell_id")


def assert_same_row(nucleus, row):
    measured = [name for name in row.index if not name.endswith(("_positive", "_grade", "flags"))]
    assert set(measured) <= set(nucleus.row)
    for name in measured:
        if isinstance(row[name], str):
            assert nucleus.row[name] == row[name], name
        else:
            assert nucleus.row[name] == pytest.approx(row[name], rel=2e-6, abs=2e-6, nan_ok=True), (
                name
            )


def some(cells, count=40):
    return cells.sample(min(count, len(cells)), random_state=0).index


def test_a_nucleus_drawn_as_the_model_found_it_has_the_same_row(analysed):
    path, folder = analysed
    cells, rings = cells_of(folder), rings_of(folder)
    assert len(cells) > 20
    assert ("nucleus_positivity" in cells) == ("dab" in read_slide_result(folder).areas.histograms)
    with Drafts.open(path, folder) as drafts:
        assert drafts.notes == ()
        for cell_id in some(cells):
            nucleus = drafts.within(rings[cell_id])
            assert_same_row(nucleus, cells.loc[cell_id])
            np.testing.assert_allclose(nucleus.outline_um, rings[cell_id], atol=1e-9)


def test_a_click_on_a_nucleus_of_the_run_gives_it_back(analysed):
    path, folder = analysed
    cells, rings = cells_of(folder), rings_of(folder)
    labels = open_labels(folder / "nuclei.ome.zarr")[0][:]
    with Drafts.open(path, folder) as drafts:
        for cell_id in some(cells, 15):
            y, x = np.argwhere(labels == cell_id)[0] + 0.5
            nucleus = drafts.at(y * UM, x * UM)
            assert_same_row(nucleus, cells.loc[cell_id])
            np.testing.assert_allclose(nucleus.outline_um, rings[cell_id], atol=1e-9)


def test_the_outline_of_the_cell_is_that_of_the_run(analysed):
    path, folder = analysed
    with Drafts.open(path, folder) as drafts:
        batch = next(iter(read_outlines(folder / "outlines.parquet")))
        for row in range(5):
            nucleus = drafts.within(batch.nuclei[row] * UM)
            np.testing.assert_allclose(nucleus.cell_outline_um, batch.cells[row] * UM, atol=1e-9)


def test_rows_are_the_same_in_many_tiles_and_at_the_slides_edge(spoilt):
    path, folder = spoilt
    cells, rings = cells_of(folder), rings_of(folder)
    place = cells[["y_um", "x_um"]].to_numpy() / UM
    # Neighbours over a seam are outlined anew in each tile: these may differ by a pixel.
    to_seam = np.abs(place[..., None] - [256, 512]).min(axis=(1, 2))
    at_edge = (np.minimum(place, 600 - place).min(axis=1) < 20) & (to_seam > 40)
    assert at_edge.sum() > 5
    with Drafts.open(path, folder) as drafts:
        for cell_id in [*some(cells[to_seam > 40]), *cells.index[at_edge]]:
            assert_same_row(drafts.within(rings[cell_id]), cells.loc[cell_id])


def test_a_nucleus_in_what_is_out_of_focus_is_excluded_like_those_of_the_run(spoilt):
    path, folder = spoilt
    cells, rings = cells_of(folder), rings_of(folder)
    excluded = cells.index[(cells["compartment"] == "excluded").to_numpy()]
    assert len(excluded)
    with Drafts.open(path, folder) as drafts:
        assert drafts.within(rings[excluded[0]]).row["compartment"] == "excluded"


@pytest.fixture(scope="module")
def strict(tmp_path_factory):
    """A run whose model keeps only nuclei that it is very sure of; truth and result."""
    root = tmp_path_factory.mktemp("strict")
    model = root / "strict"
    shutil.copytree(read_card("nuclei-brightfield").folder, model)
    card = yaml.safe_load((model / "rdf.yaml").read_text(encoding="utf-8"))
    card["config"]["histo"]["threshold"] = 0.995
    (model / "rdf.yaml").write_text(yaml.safe_dump(card), encoding="utf-8")
    phantom = paint_phantom(Recipe("foxp3-dab"), 4, shape=(320, 320))
    save_rgb(root / "section.tif", phantom.image)
    settings = Settings("foxp3-dab", model=str(model))
    analyze_slide(root / "section.tif", settings, folder=root / "section")
    return root / "section.tif", root / "section", model, phantom


def test_a_nucleus_that_the_threshold_passed_over_is_found_by_a_click(strict):
    path, folder, model, phantom = strict
    found = open_labels(folder / "nuclei.ome.zarr")[0][:] > 0
    truth = phantom.labels
    sizes = np.bincount(truth.ravel())
    missed = [
        label
        for label in np.unique(truth[truth > 0])
        if sizes[label] > 80 and not found[truth == label].any()
    ]
    assert len(missed) >= 5
    good = 0
    with Drafts.open(path, folder, model=str(model)) as drafts:
        assert drafts.notes == ()
        for label in missed:
            y, x = np.argwhere(truth == label).mean(axis=0) + 0.5
            try:
                nucleus = drafts.at(y * UM, x * UM)
            except EditError:
                continue
            mask = painted([nucleus.outline_um / UM], Region(0, 0, *truth.shape)) > 0
            assert not (mask & found).any(), "a nucleus of the run keeps its pixels"
            both = (mask & (truth == label)).sum() / (mask | (truth == label)).sum()
            good += both > 0.5
    assert good >= 0.7 * len(missed)


def test_where_nothing_is_a_click_is_refused_in_words(spoilt):
    path, folder = spoilt
    image = tifffile.imread(path)
    far = cv2.blur((image.min(axis=2) < 200).astype(np.float32), (41, 41)) == 0
    far[300:] = False
    y, x = np.argwhere(far)[0]
    with Drafts.open(path, folder) as drafts:
        with pytest.raises(EditError, match="no trace of a nucleus here; draw its outline"):
            drafts.at((y + 0.5) * UM, (x + 0.5) * UM)
        with pytest.raises(EditError, match="outside of the slide"):
            drafts.at(-1, 5)
        nucleus = drafts.within(np.array([[y, x], [y, x + 12], [y + 12, x + 12], [y + 12, x]]) * UM)
        assert nucleus.row["nucleus_area_um2"] == pytest.approx(144 * UM**2)
        centre = nucleus.row["y_um"], nucleus.row["x_um"]
        assert centre == pytest.approx(((y + 6) * UM, (x + 6) * UM))


@pytest.mark.parametrize(
    ("polygon", "words"),
    [
        ([[0, 0], [5, 5]], "fewer than three corners"),
        ([[0, 0], [0, np.nan], [5, 5]], "no list of points"),
        ([[0, 0], [0, 150], [150, 150], [150, 0]], "more than 120 µm wide"),
        ([[-9, -9], [-9, -5], [-5, -5], [-5, -9]], "outside of the slide"),
        ([[5.01, 5.01], [5.01, 5.1], [5.1, 5.1]], "holds no pixel"),
    ],
)
def test_outlines_that_are_no_nucleus_are_refused(spoilt, polygon, words):
    with Drafts.open(*spoilt) as drafts, pytest.raises(EditError, match=words):
        drafts.within(polygon)


def test_parts_tile_the_nucleus_and_joined_again_they_are_it(analysed):
    path, folder = analysed
    cells, rings = cells_of(folder), rings_of(folder)
    large = cells["nucleus_area_um2"].nlargest(8).index
    with Drafts.open(path, folder) as drafts:
        for cell_id in large:
            ring = rings[cell_id]
            old = drafts.within(ring)
            grid = Region(0, 0, 320, 320)
            pixels = np.argwhere(painted([ring / UM], grid) > 0) + 0.5
            spread = pixels @ np.linalg.svd(pixels - pixels.mean(0), full_matrices=False)[2][0]
            order = np.argsort(spread)
            clicks = pixels[order[[len(order) // 8, -len(order) // 8]]] * UM
            parts = drafts.split(ring, clicks)
            assert len(parts) == 2
            masks = [painted([part.outline_um / UM], grid) > 0 for part in parts]
            assert not (masks[0] & masks[1]).any()
            for mask, (y, x) in zip(masks, clicks / UM, strict=True):
                assert mask[int(y), int(x)], "each click lies in its own part"
            areas = [part.row["nucleus_area_um2"] for part in parts]
            assert sum(areas) == pytest.approx(old.row["nucleus_area_um2"])
            assert min(areas) > 0.1 * sum(areas)
            # Each is a neighbour of the other.
            assert min(part.row["contact_fraction"] for part in parts) > 0
            again = drafts.merge([part.outline_um for part in parts])
            mask = painted([again.outline_um / UM], grid) > 0
            assert mask[masks[0] | masks[1]].all()
            added = again.row["nucleus_area_um2"] / old.row["nucleus_area_um2"] - 1
            assert 0 <= added < 0.05, "only the notch where they meet is closed"


def test_clicks_that_part_nothing_are_refused(spoilt):
    path, folder = spoilt
    rings = rings_of(folder)
    ring = rings[min(rings)]
    middle = ring.mean(axis=0)
    with Drafts.open(path, folder) as drafts:
        for clicks, words in (
            ([middle], "parts nothing"),
            ([middle, middle], "on one spot"),
            ([middle, middle + 90], "beside the nucleus"),
        ):
            with pytest.raises(EditError, match=words):
                drafts.split(ring, clicks)
        with pytest.raises(EditError, match="cannot be joined"):
            drafts.merge([ring])
        with pytest.raises(EditError, match="more than 2 µm apart"):
            drafts.merge([ring, ring + 12])


def test_a_narrow_gap_between_joined_nuclei_is_closed(spoilt):
    square = np.array([[0, 0], [0, 6], [6, 6], [6, 0]]) + 40.0
    with Drafts.open(*spoilt) as drafts:
        whole = drafts.merge([square, square + np.array([0, 7])])
    # Two of 36 µm², and a gap of 1 µm over most of their height.
    assert 72 + 3 < whole.row["nucleus_area_um2"] <= 72 + 6


def test_neighbours_are_those_that_edits_left(spoilt):
    path, folder = spoilt
    cells, rings = cells_of(folder), rings_of(folder)
    labels = open_labels(folder / "nuclei.ome.zarr")[0][:]
    touching = cells["contact_fraction"].idxmax()
    y, x = (int(cells.loc[touching, name] / UM) for name in ("y_um", "x_um"))
    near = np.unique(labels[max(0, y - 40) : y + 40, max(0, x - 40) : x + 40])
    near = [int(n) for n in near if n not in (0, touching)]
    with Drafts.open(path, folder) as drafts:
        drafts.follow(gone=near)
        alone = drafts.within(rings[touching])
        assert alone.row["contact_fraction"] == 0
        assert alone.row["cell_area_um2"] > cells.loc[touching, "cell_area_um2"]
        drafts.follow(gone=near, added=[rings[one] for one in near])
        assert_same_row(drafts.within(rings[touching]), cells.loc[touching])
        drafts.follow(gone=[], added=[[[0, 0], [0, 8], [8, 8], [8, 0]]])
        first = (np.argwhere(labels[:16, :16] == 0)[0] + 0.5) * UM
        with pytest.raises(EditError, match="already that was added here"):
            drafts.at(*first)
        drafts.follow()
        assert_same_row(drafts.within(rings[touching]), cells.loc[touching])


def assert_same_areas(a, b):
    for name in ("tissue_um2", "valid_um2", "artefact_um2"):
        assert getattr(a, name) == pytest.approx(getattr(b, name), abs=1e-6), name
    assert a.histograms.keys() == b.histograms.keys()
    for name, one in a.histograms.items():
        np.testing.assert_array_equal(one.counts, b.histograms[name].counts)


def box(y0, x0, y1, x1):
    return [[y0, x0], [y0, x1], [y1, x1], [y1, x0]]


def test_excluding_the_whole_slide_takes_all_there_is(spoilt):
    path, folder = spoilt
    areas = read_slide_result(folder).areas
    assert areas.artefact_um2 > 0
    assert 0 < areas.valid_um2 < areas.tissue_um2
    with Drafts.open(path, folder) as drafts:
        assert_same_areas(drafts.areas(box(0, 0, 300, 300)), areas)
        assert_same_areas(drafts.areas(box(-50, -50, 900, 900)), areas)


def test_what_was_excluded_before_is_not_taken_twice(spoilt):
    path, folder = spoilt
    areas = read_slide_result(folder).areas
    left, right = box(0, 0, 300, 133), box(0, 101, 300, 300)
    with Drafts.open(path, folder) as drafts:
        first = drafts.areas(left)
        second = drafts.areas(right, without=[left])
        nothing = drafts.areas(left, without=[right, left])
    assert 0 < first.valid_um2 < areas.valid_um2
    assert first.valid_um2 + second.valid_um2 == pytest.approx(areas.valid_um2)
    for name, one in areas.histograms.items():
        both = first.histograms[name].counts + second.histograms[name].counts
        np.testing.assert_array_equal(both, one.counts)
    assert nothing.tissue_um2 == 0
    assert not any(one.total for one in nothing.histograms.values())


def test_a_region_that_was_analysed_alone_is_taken_whole(tmp_path, paint_section):
    path = paint_section(tmp_path / "part.tif", seed=3, side_px=320)
    square = ((31.0, 33.0), (31.0, 121.0), (119.0, 121.0), (119.0, 33.0))
    settings = Settings("foxp3-dab", pixel_size_um=0.5, region=(square,))
    result = analyze_slide(path, settings, folder=tmp_path / "part")
    with Drafts.open(path, tmp_path / "part") as drafts:
        taken = drafts.areas(box(0, 0, 160, 160))
    assert taken.valid_um2 == pytest.approx(result.areas.valid_um2)
    assert 0 < taken.valid_um2 <= 88.0**2


def test_areas_of_fluorescence_are_exact_too(tmp_path, paint_section):
    path = paint_section(tmp_path / "if.ome.tif", panel="foxp3-rankl-if", seed=4, side_px=161)
    result = analyze_slide(path, Settings("foxp3-rankl-if"), folder=tmp_path / "if")
    with Drafts.open(path, tmp_path / "if") as drafts:
        assert_same_areas(drafts.areas(box(0, 0, 80.5, 80.5)), result.areas)


@pytest.fixture
def copied(spoilt, tmp_path):
    shutil.copytree(spoilt[1], tmp_path / "section")
    return spoilt[0], tmp_path / "section"


def change(folder, changed):
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    changed(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


def test_another_slide_is_refused(copied, tmp_path, paint_section):
    other = paint_section(tmp_path / "other.tif")
    with pytest.raises(
        SlideError, match=r"160 x 160 px, but the result section is of .* 600 x 600"
    ):
        Drafts.open(other, copied[1])


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (lambda m: m["stains"].pop("dab_od_shift"), "how much brown was settled"),
        (lambda m: m.pop("stains"), "lacks what is needed to measure more nuclei"),
        (lambda m: m["parameters"].pop("panel_content"), "lacks what is needed"),
    ],
)
def test_a_result_that_lacks_something_is_refused(copied, changed, words):
    change(copied[1], changed)
    with pytest.raises(ResultError, match=words):
        Drafts.open(*copied)


def test_pixels_that_are_missing_are_told(copied):
    (copied[1] / "views.npz").unlink()
    with pytest.raises(ResultError, match="run the slide again with --force"):
        Drafts.open(*copied)


def test_another_model_is_told(copied):
    change(copied[1], lambda m: m["model"].update(sha256="0" * 64))
    with Drafts.open(*copied) as drafts:
        (note,) = drafts.notes
    assert "another version of the model nuclei-brightfield" in note


def test_the_child_process_keeps_the_slide_open(strict):
    path, folder, model, _ = strict
    cells, rings = cells_of(folder), rings_of(folder)
    first, second = cells.index[3:5]
    common = {"slide": str(path), "folder": str(folder), "model": str(model)}
    requests = [
        {"do": "open"},
        {"do": "within", "polygon_um": rings[first].tolist()},
        {"do": "within", "polygon_um": rings[second].tolist()},
        {"do": "at", "point_um": [-5, 0]},
        {"do": "areas", "polygon_um": box(0, 0, 20, 20), "without": [box(0, 0, 20, 10)]},
    ]
    with subprocess.Popen(
        [sys.executable, "-m", "napari_histo.job"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'plugins'}"},
    ) as child:
        ends = []
        for one in requests:
            request = {"task": "draft", "arguments": {**common, **one}}
            child.stdin.write(json.dumps(request).encode() + b"\n")
            child.stdin.flush()
            while (event := json.loads(child.stdout.readline()))["event"] != "end":
                assert event["event"] == "progress"
            ends.append(event)
        child.stdin.close()
    assert [end["status"] for end in ends] == [*["finished"] * 3, "failed", "finished"]
    sys.path.insert(0, str(ROOT / "plugins"))
    from napari_histo.drafting import nuclei_from

    for end, cell_id in zip(ends[1:3], (first, second), strict=True):
        (nucleus,) = nuclei_from(end["value"])
        assert_same_row(nucleus, cells.loc[cell_id])
    assert "outside of the slide" in ends[3]["message"]
    assert ends[4]["value"]["areas"]["tissue_um2"] <= 300, "10 x 20 µm in pixels of 4 µm"
