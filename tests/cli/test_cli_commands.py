"""What each command prints, for people and for programs."""

import json

import pytest

from histo import __version__
from histo.panel import panel_names


def test_help_lists_the_commands(histo):
    outcome = histo()
    assert outcome.code == 0
    for command in ("run", "metrics", "evaluate", "animals", "info", "panels", "models", "demo"):
        assert f" {command} " in outcome.out
    assert "For Research Use Only" in outcome.out


@pytest.mark.parametrize("command", ["run", "metrics", "evaluate", "animals", "info", "demo"])
def test_the_help_of_a_command_has_examples(histo, command):
    outcome = histo(command, "--help")
    assert outcome.code == 0
    assert f"histo {command} " in outcome.out.split("Example")[1]


def test_version(histo):
    assert histo("--version").out == f"histo {__version__}\n"


def test_panels_are_listed_with_their_cut_offs(histo):
    outcome = histo("panels")
    assert all(name in outcome.out for name in panel_names())
    assert "foxp3: nucleus dab mean, by the model" in outcome.out
    assert "rankl: cytoplasm dab mean, OD" in outcome.out
    listed = json.loads(histo("panels", "--json").out)
    assert [panel["name"] for panel in listed] == list(panel_names())


def test_models_are_listed_with_their_licence(histo):
    assert "BSD-3-Clause" in histo("models").out
    (card, *_) = json.loads(histo("models", "--json").out)
    assert card["pixel_size_um"] > 0
    assert len(card["sha256"]) == 64


def test_info_tells_the_pixel_size_and_its_source(histo, tmp_path, paint_section):
    slide = paint_section(tmp_path / "a.tif", side_px=100, pixel_size_um=0.25)
    outcome = histo("info", slide)
    assert "0.25 µm (TIFF tags)" in outcome.out
    assert "0.025 x 0.025 mm" in outcome.out
    facts = json.loads(histo("info", slide, "--json").out)
    assert (facts["height_px"], facts["width_px"]) == (100, 100)
    assert facts["pixel_size_um"] == pytest.approx(0.25)
    assert facts["channels"] == ["red", "green", "blue"]


def test_info_says_when_there_is_no_pixel_size(histo, tmp_path, paint_section):
    slide = paint_section(tmp_path / "a.tif", side_px=100, pixel_size_um=None)
    assert "give it with --pixel-size" in histo("info", slide).out
    assert json.loads(histo("info", slide, "--json").out)["pixel_size_um"] is None


def test_info_of_a_broken_slide_fails_in_one_line(histo, tmp_path):
    (tmp_path / "a.tif").write_bytes(b"II*\0")
    outcome = histo("info", tmp_path / "a.tif")
    assert outcome.code == 1
    assert outcome.out == ""
    assert outcome.err.startswith("histo: error: a.tif: ")
    assert len(outcome.err.splitlines()) == 1


def test_run_then_metrics_print_a_table_and_where_to_look(histo, tmp_path, paint_section):
    slide = paint_section(tmp_path / "liver.tif")
    out = tmp_path / "out"
    first = histo("run", slide, "-o", out, "--panel", "foxp3-dab")
    assert first.code == 0
    assert "liver" in first.out
    assert str(out / "metrics.csv") in first.out
    assert str(out / "liver" / "overview.png") in first.out
    assert "[1/1] liver.tif: finished" in first.err

    words = ("metrics", out, "--threshold", "foxp3=0.3", "--json", "--quiet")
    outcome = histo(*words)
    assert (outcome.code, outcome.err) == (0, "")
    (content,) = json.loads(outcome.out)["slides"]
    assert content["status"] == "finished"
    assert {"name", "value", "denominator_name", "low", "high"} <= content["metrics"][0].keys()

    unknown = histo("metrics", out, "--threshold", "cd8=0.3")
    assert unknown.code == 2
    assert 'no slide here has the marker "cd8"' in unknown.err


@pytest.mark.slow
def test_the_demo_of_one_panel_compares_with_the_painted_truth(histo, tmp_path):
    outcome = histo("demo", "foxp3-dab", "-o", tmp_path / "demo", "--quiet")
    assert outcome.code == 0
    assert "Counted / painted" in outcome.out
    assert (tmp_path / "demo" / "metrics.csv").is_file()


def test_the_demo_knows_a_sample_of_each_panel():
    from histo.cli.demo import sample_slides

    assert set(sample_slides()) == set(panel_names())
    assert all(paths for paths in sample_slides().values())
