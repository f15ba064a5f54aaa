"""From files to figures: the region, the marker, and what does not fit together."""

import csv
import json

import cv2
import numpy as np
import pytest
import tifffile

from histo.batch import (
    ImagePair,
    Pairing,
    Scoring,
    evaluate_pairs,
    evaluation_record,
    write_evaluation,
)
from histo.errors import AnnotationError

UM = 0.5


def table(path, places, calls=None):
    lines = ["x_um,y_um" + (",class" if calls else "")]
    for index, (x, y) in enumerate(places):
        lines.append(f"{x},{y}" + (f",{calls[index]}" if calls else ""))
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def figures_of(evaluation):
    return {figure.name: figure.value for figure in evaluation.pooled}


@pytest.fixture
def several(tmp_path):
    """Return pairs of six images: the more cells, the more are missed."""
    rng = np.random.default_rng(4)
    pairs = []
    for index in range(6):
        places = np.stack(np.meshgrid(np.arange(5), np.arange(index + 4)), -1).reshape(-1, 2) * 20.0
        calls = rng.choice(["Positive", "Negative"], len(places)).tolist()
        truth = table(tmp_path / "truth" / f"s{index}.csv", places, calls)
        kept = rng.random(len(places)) < 0.8
        found = table(
            tmp_path / "found" / f"s{index}.csv",
            places[kept] + rng.normal(0, 0.5, (kept.sum(), 2)),
            [call for call, keep in zip(calls, kept, strict=True) if keep],
        )
        pairs.append(ImagePair(f"s{index}", found, truth))
    return pairs


def test_a_region_is_scored_and_nothing_else(tmp_path):
    truth = table(tmp_path / "truth.csv", [(5, 5), (15, 5)])
    found = table(tmp_path / "found.csv", [(5, 5), (15, 5), (35, 5), (36, 35)])
    mask = np.zeros((80, 80), np.uint8)
    mask[:, :40] = 255  # x below 20 µm
    cv2.imwrite(str(tmp_path / "roi.png"), mask)
    everywhere = evaluate_pairs([ImagePair("s", found, truth)])
    assert figures_of(everywhere)["detection_precision_4um"] == 0.5
    inside = evaluate_pairs(
        [ImagePair("s", found, truth, tmp_path / "roi.png")], Scoring(pixel_size_um=UM)
    )
    assert figures_of(inside)["detection_f1_4um"] == 1
    assert figures_of(inside)["cells_found"] == 2


def test_shapes_in_a_region_count_whole(tmp_path, make_nuclei):
    labels = make_nuclei(15)
    tifffile.imwrite(tmp_path / "a.tif", labels)
    mask = np.zeros(labels.shape, np.uint8)
    mask[:, :100] = 1
    tifffile.imwrite(tmp_path / "roi.tif", mask)
    pair = ImagePair("a", tmp_path / "a.tif", tmp_path / "a.tif", tmp_path / "roi.tif")
    figures = figures_of(evaluate_pairs([pair], Scoring(pixel_size_um=UM)))
    assert 0 < figures["cells_true"] < 15
    assert figures["pq"] == figures["aji"] == figures["dice"] == 1


def test_each_side_has_its_pixel_size(tmp_path, make_nuclei):
    labels = make_nuclei()
    tifffile.imwrite(tmp_path / "coarse.tif", labels)
    tifffile.imwrite(tmp_path / "fine.tif", np.kron(labels, np.ones((2, 2), np.int32)))
    pair = ImagePair("a", tmp_path / "coarse.tif", tmp_path / "fine.tif")
    figures = figures_of(evaluate_pairs([pair], Scoring(0.5, 0.25)))
    assert figures["pq"] == figures["detection_f1_3um"] == 1
    with pytest.raises(AnnotationError, match=r"a: the label images are 80\.0 x 100\.0 µm"):
        evaluate_pairs([pair], Scoring(0.5))


def test_only_positive_cells(tmp_path):
    truth = table(tmp_path / "truth.csv", [(5, 5), (95, 5)])
    found = table(tmp_path / "found.csv", [(5, 5), (50, 50), (95, 5)], ["Pos", "Neg", "Neg"])
    figures = figures_of(
        evaluate_pairs([ImagePair("s", found, truth)], Scoring(positives_only=True))
    )
    assert (figures["cells_found"], figures["cells_true"]) == (1, 2)
    assert figures["detection_precision_4um"] == 1
    assert "positive_f1_4um" not in figures
    with pytest.raises(AnnotationError, match=r"truth\.csv: calls no cell .*--positives-only"):
        evaluate_pairs([ImagePair("s", truth, found)], Scoring(positives_only=True))


def test_a_marker_for_both_sides(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("x_um,y_um,foxp3_positive,rankl_positive\n1,1,1,0\n9,9,1,1\n")
    evaluation = evaluate_pairs([ImagePair("s", path, path)], Scoring(marker="rankl"))
    assert figures_of(evaluation)["positive_cells_true"] == 1


def test_cells_beyond_a_label_image_are_refused(tmp_path, make_nuclei):
    tifffile.imwrite(tmp_path / "a.tif", make_nuclei())
    found = table(tmp_path / "found.csv", [(5, 5), (500, 5)])
    message = r"s: 50% of the other side's cells lie outside of a\.tif, which is 80\.0 x 100\.0 µm"
    for pair in ((found, tmp_path / "a.tif"), (tmp_path / "a.tif", found)):
        with pytest.raises(AnnotationError, match=message):
            evaluate_pairs([ImagePair("s", *pair)], Scoring(UM))


GRID = [(x, y) for x in range(0, 100, 20) for y in range(0, 100, 20)]


@pytest.mark.parametrize(
    ("found", "truth", "note"),
    [
        ((GRID, None), ([], None), "truth has no cell here"),
        (([(x + 10, y + 10) for x, y in GRID], None), (GRID, None), "hardly any cell"),
        (([*GRID, *[(x + 300, y) for x, y in GRID]], None), (GRID, None), "25 of 50 found cells"),
        ((GRID, ["Pos"] * 9 + ["Neg"] * 16), (GRID, ["Pos"] * 25), "positive cells only"),
        ((GRID, None), (GRID, ["Pos", *["Neg"] * 24]), "the predictions call no cell"),
        ((GRID, ["Pos", *["Neg"] * 24]), (GRID, None), "the truth calls no cell"),
        (
            (GRID, ["Pos", *["?"] * 24]),
            (GRID, ["Pos", *["Neg"] * 24]),
            "predictions: 24 of 25 cells have",
        ),
    ],
    ids=["empty", "shifted", "part", "positives", "no call", "no true call", "words"],
)
def test_what_makes_figures_doubtful_is_said(tmp_path, found, truth, note):
    pair = ImagePair("s", table(tmp_path / "f.csv", *found), table(tmp_path / "t.csv", *truth))
    (image,) = evaluate_pairs([pair]).images
    assert [words for words in image.notes if note in words], image.notes


def test_a_good_comparison_has_no_notes(several):
    assert not [image.notes for image in evaluate_pairs(several).images if image.notes]


def test_pooled_figures_have_intervals_and_images_have_none(several):
    evaluation = evaluate_pairs(several)
    assert len(evaluation.images) == 6
    for figure in evaluation.pooled:
        assert figure.images == 6
        if figure.unit != "cells" or "count" in figure.name:
            assert figure.low <= figure.value <= figure.high
    assert all(np.isnan(figure.low) for image in evaluation.images for figure in image.figures)


def test_the_files_hold_every_figure_and_no_folder(several, tmp_path):
    evaluation = evaluate_pairs(several)
    pairing = Pairing(tuple(several), ("s9.csv",), ())
    record = evaluation_record(evaluation, pairing, Scoring(marker="foxp3"))
    paths = write_evaluation(tmp_path / "out", evaluation, record)
    assert [path.name for path in paths] == [
        "evaluation.csv",
        "evaluation.json",
        "bland_altman.png",
    ]
    assert cv2.imread(str(paths[2])).shape[2] == 3
    with paths[0].open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    pooled = {row["figure"]: row for row in rows if row["scope"] == "pooled"}
    assert float(pooled["detection_f1_4um"]["value"]) == pytest.approx(
        figures_of(evaluation)["detection_f1_4um"]
    )
    assert pooled["detection_f1_4um"]["denominator_name"] == "cells found + true"
    assert {row["image"] for row in rows if row["scope"] == "image"} == {f"s{i}" for i in range(6)}
    words = paths[1].read_text(encoding="utf-8")
    content = json.loads(words)
    assert content["scoring"]["marker"] == "foxp3"
    assert content["without_partner"]["predictions"] == ["s9.csv"]
    assert len(content["images"][0]["truth"]["sha256"]) == 64
    assert str(tmp_path) not in words
    assert "NaN" not in words


def test_the_picture_shows_positive_counts_of_the_images_that_have_them(several, tmp_path):
    widths = []
    for rest in ([], several[2:]):
        for pair in rest:
            places = np.loadtxt(pair.truth, delimiter=",", skiprows=1, usecols=(0, 1))
            table(pair.truth, places.tolist())
        evaluation = evaluate_pairs(several)
        figures = {figure.name: figure for figure in evaluation.pooled}
        assert figures["positive_count_ccc"].images == (2 if rest else 6)
        record = evaluation_record(evaluation, Pairing(tuple(several)), Scoring())
        picture = write_evaluation(tmp_path / "out", evaluation, record)[2]
        widths.append(cv2.imread(str(picture)).shape[1])
    assert widths[0] == widths[1]


def test_one_image_has_no_picture_and_removes_an_old_one(several, tmp_path):
    for pairs in (several, several[:1]):
        evaluation = evaluate_pairs(pairs)
        record = evaluation_record(evaluation, Pairing(tuple(pairs)), Scoring())
        paths = write_evaluation(tmp_path / "out", evaluation, record)
    assert len(paths) == 2
    assert not (tmp_path / "out" / "bland_altman.png").exists()
