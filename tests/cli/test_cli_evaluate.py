"""``histo evaluate``: what it prints, what it writes, and how it ends when it cannot."""

import csv
import json
import re

import numpy as np
import pytest
import tifffile


@pytest.fixture
def slides(tmp_path, make_result, make_nuclei):
    """Write three results and their truth: the same nuclei, two of them with other calls."""
    for index in range(3):
        labels = make_nuclei(12 + index, seed=index)
        positive = np.arange(12 + index) % 3 == 0
        make_result(tmp_path / "results" / f"s{index}", labels, positive=positive)
        positive[:2] ^= True
        truth = make_result(tmp_path / "made" / f"s{index}", labels, positive=positive)
        (tmp_path / "truth").mkdir(exist_ok=True)
        (truth / "cells.geojson").rename(tmp_path / "truth" / f"s{index}.geojson")
    return tmp_path


def test_two_folders(histo, slides):
    (slides / "truth" / "s9.csv").touch()
    (slides / "results" / "metrics.csv").touch()
    out = slides / "out"
    outcome = histo(
        "evaluate", slides / "results", slides / "truth", "-o", out, "--pixel-size", 0.5
    )
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert any(line.startswith("Agreement, 3 images pooled") for line in lines)
    (row,) = [line for line in lines if "detection F1 within 4 µm" in line]
    assert "1.000" in row
    assert "2 x 39 / 78 cells found + true" in row
    (row,) = [line for line in lines if "outlines: PQ" in line]
    assert "1.000" in row
    (row,) = [line for line in lines if re.match(r" *s1 ", line)]
    assert "13 / 13" in row
    assert any(line == "Not scored, truth without predictions: s9.csv" for line in lines)
    assert any("Intervals need 5 images" in line for line in lines)
    assert str(out / "bland_altman.png") in outcome.out
    assert "For Research Use Only" in outcome.out
    with (out / "evaluation.csv").open(encoding="utf-8-sig", newline="") as stream:
        figures = {row["figure"]: row for row in csv.DictReader(stream) if row["scope"] == "pooled"}
    assert float(figures["pq"]["value"]) == 1
    assert 0 < float(figures["positive_f1_4um"]["value"]) < 1
    assert "count_ccc" in figures


def test_one_slide_as_json(histo, slides):
    outcome = histo(
        "evaluate",
        slides / "results" / "s0",
        slides / "truth" / "s0.geojson",
        *("-o", slides / "out", "--pixel-size", 0.5, "--json"),
    )
    assert (outcome.code, outcome.err) == (0, "")
    content = json.loads(outcome.out)
    assert content == json.loads((slides / "out" / "evaluation.json").read_text(encoding="utf-8"))
    (image,) = content["images"]
    assert (image["predictions"]["kind"], image["truth"]["kind"]) == ("histo result", "GeoJSON")
    assert not (slides / "out" / "bland_altman.png").exists()


def test_five_images_have_intervals(histo, tmp_path):
    rng = np.random.default_rng(0)
    for index in range(5):
        for side in ("found", "truth"):
            (tmp_path / side).mkdir(exist_ok=True)
            places = rng.integers(0, 200, (30 + index, 2)).astype(str)
            lines = ["x_um,y_um", *(",".join(place) for place in places)]
            (tmp_path / side / f"s{index}.csv").write_text("\n".join(lines))
    outcome = histo("evaluate", tmp_path / "found", tmp_path / "truth", "-o", tmp_path / "out")
    assert "95 % over images" in outcome.out
    (row,) = [line for line in outcome.out.splitlines() if "F1 within 6 µm" in line]
    assert re.search(r"0\.\d{3} +0\.\d{3} to 0\.\d{3}", row)


def test_only_positive_cells_are_named_in_the_title(histo, tmp_path):
    (tmp_path / "found.csv").write_text("x_um,y_um,class\n1,2,pos\n30,40,neg\n")
    (tmp_path / "truth.csv").write_text("x_um,y_um\n1,2\n")
    words = ("evaluate", tmp_path / "found.csv", tmp_path / "truth.csv", "-o", tmp_path / "out")
    assert "marks positive cells alone, use --positives-only" in histo(*words).out
    outcome = histo(*words, "--positives-only")
    assert outcome.out.startswith("Agreement of positive cells\n")
    assert "1 / 1 cells found" in outcome.out


def one_line(outcome):
    (line,) = outcome.err.splitlines()
    assert line.startswith("histo: error: ")
    assert outcome.out == ""
    return line.removeprefix("histo: error: ")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["{t}/a.csv"], 2, "Missing argument"),
        (["{t}/gone", "{t}/a.csv"], 2, "gone: no such file or folder"),
        (["{t}/a.csv", "{t}"], 2, "is a folder of files"),
        (["{t}/a.csv", "{t}/a.csv", "--region", "{t}/roi.png"], 2, r"roi\.png: no such file"),
        (["{t}/a.csv", "{t}/a.csv", "--pixel-size", "500"], 2, "--pixel-size 500 cannot be"),
        (["{t}/a.csv", "{t}/a.csv", "--truth-pixel-size", "0"], 2, "--truth-pixel-size 0 cannot"),
        (["{t}/a.csv", "{t}/a.csv"], 1, r"^a\.csv: .*--pixel-size"),
        (["{t}/um.csv", "{t}/a.tif"], 1, r"^a\.tif: states no pixel size; give it with --pixel"),
        (["{t}/um.csv", "{t}/bad.geojson", "--pixel-size", "1"], 1, r"^bad\.geojson: cannot be"),
        (["{t}/um.csv", "{t}/um.csv", "--positives-only"], 1, "calls no cell"),
        (["{t}/um.csv", "{t}/um.csv", "-o", "{t}/a.csv"], 2, r"cannot be|could not be"),
    ],
)
def test_what_cannot_be_compared_says_why(histo, tmp_path, words, code, message):
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    (tmp_path / "um.csv").write_text("x_um,y_um\n1,2\n")
    (tmp_path / "bad.geojson").write_text("{")
    tifffile.imwrite(tmp_path / "a.tif", np.eye(3, dtype=np.uint8))
    out = [] if "-o" in words else ["-o", tmp_path / "out"]
    outcome = histo("evaluate", *(word.format(t=tmp_path) for word in words), *out)
    assert outcome.code == code
    assert re.search(message, one_line(outcome))
    assert not (tmp_path / "out" / "evaluation.csv").exists()
