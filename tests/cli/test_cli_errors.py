"""Bad slides and bad disks: one clear sentence each, no traceback, and the right exit code."""

import csv
import errno
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

ROOT = Path(__file__).resolve().parents[2]
PANEL = ("--panel", "foxp3-dab")


def reason(outcome, out):
    """Return why the only slide failed; the table, failures.json and stderr must agree."""
    assert outcome.code == 1
    assert "Traceback" not in outcome.err + outcome.out
    (failure,) = json.loads((out / "failures.json").read_text(encoding="utf-8"))
    assert failure["traceback"] == ""
    with (out / "metrics.csv").open(encoding="utf-8-sig", newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert (row["status"], row["error"]) == ("failed", failure["error"])
    assert "failed" in outcome.err
    return failure["error"]


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def test_a_missing_pixel_size_names_the_option(histo, tmp_path, out, paint_section):
    slide = paint_section(tmp_path / "a.tif", pixel_size_um=None)
    message = reason(histo("run", slide, "-o", out, *PANEL), out)
    assert "a.tif" in message or message.startswith("a:")
    assert "--pixel-size" in message
    again = histo("run", slide, "-o", out, *PANEL, "--pixel-size", "0.5")
    assert again.code == 0
    assert not (out / "failures.json").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("notes.tif", b"these are notes", "is no slide"),
        ("empty.tif", b"", "is empty"),
        ("table.png", b"\x89PNG\r\n\x1a\nnothing more", r"table\.png"),
        ("photo.jpg", b"\xff\xd8\xff\xe0 nothing more", r"photo\.jpg"),
        ("scan.svs", b"II*\0\x08\0\0\0", r"scan\.svs"),
        ("scan.czi", b"ZISRAWFILE", "is no slide"),
    ],
)
def test_what_is_no_image_is_named(histo, tmp_path, out, name, content, message):
    (tmp_path / name).write_bytes(content)
    text = reason(histo("run", tmp_path / name, "-o", out, *PANEL), out)
    assert re.search(message, text)


def test_a_truncated_tiff_says_so(histo, tmp_path, out, paint_section):
    slide = paint_section(tmp_path / "a.tif")
    slide.write_bytes(slide.read_bytes()[:30_000])
    assert "cut off" in reason(histo("run", slide, "-o", out, *PANEL), out)


def test_an_rgb_slide_under_a_panel_of_channels_says_so(histo, tmp_path, out, paint_section):
    slide = paint_section(tmp_path / "a.tif")
    message = reason(histo("run", slide, "-o", out, "--panel", "foxp3-rankl-if"), out)
    assert "a.tif" in message
    assert "channels" in message


def test_channels_under_a_brightfield_panel_say_so(histo, tmp_path, out, paint_section):
    slide = paint_section(tmp_path / "a.ome.tif", panel="foxp3-rankl-if")
    message = reason(histo("run", slide, "-o", out, *PANEL), out)
    assert "a.ome.tif" in message
    assert "bright-field" in message


def test_a_missing_channel_is_named(histo, tmp_path, out, paint_section):
    slide = paint_section(tmp_path / "a.ome.tif", panel="nuclei-if")
    message = reason(histo("run", slide, "-o", out, "--panel", "foxp3-rankl-if"), out)
    assert "foxp3" in message


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other permissions")
def test_an_unreadable_file_says_so(histo, tmp_path, out, paint_section):
    slide = paint_section(tmp_path / "a.tif")
    slide.chmod(0)
    if os.access(slide, os.R_OK):
        pytest.skip("this user (root) may read everything")
    message = reason(histo("run", slide, "-o", out, *PANEL), out)
    assert "may not be read" in message or "permission" in message


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs Linux's /proc")
def test_a_file_that_cannot_be_read_even_by_root_says_so(histo, out):
    # Reading the first bytes of one's own memory fails for every user.
    message = reason(histo("run", "/proc/self/mem", "-o", out, *PANEL), out)
    assert message.startswith("mem: ")


def test_a_slide_without_tissue_has_zero_cells_and_does_not_fail(histo, tmp_path, out):
    blank = np.full((400, 400, 3), 243, np.uint8)
    tifffile.imwrite(tmp_path / "blank.tif", blank, photometric="rgb")
    outcome = histo(
        "run", tmp_path / "blank.tif", "-o", out, *PANEL, "--pixel-size", 0.5, "--json", "-q"
    )
    assert outcome.code == 0
    assert outcome.err == ""
    (slide,) = json.loads(outcome.out)["slides"]
    values = {metric["name"]: metric["value"] for metric in slide["metrics"]}
    assert values["cell_count"] == values["foxp3_count"] == 0
    assert values["foxp3_percent"] is None  # a share of nothing
    assert "no_tissue" in slide["flags"]


def test_a_folder_goes_on_after_a_failure(histo, tmp_path, out, paint_section):
    paint_section(tmp_path / "in" / "b.tif", side_px=96)
    (tmp_path / "in" / "a.tif").write_bytes(b"II*\0")
    outcome = histo("run", tmp_path / "in", "-o", out, *PANEL, "--json")
    assert outcome.code == 1
    slides = {slide["slide"]: slide["status"] for slide in json.loads(outcome.out)["slides"]}
    assert slides == {"a": "failed", "b": "finished"}


READ_ONLY = [
    pytest.param("{file}", id="a file in its place"),
    pytest.param("{file}/below", id="below a file"),
    pytest.param(
        "/proc/histo",
        id="read-only",
        marks=pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's /proc"),
    ),
]


@pytest.mark.parametrize("place", READ_ONLY)
def test_an_output_that_cannot_be_written_is_told_before_any_work(
    histo, tmp_path, paint_section, place
):
    slide = paint_section(tmp_path / "a.tif")
    (tmp_path / "file").touch()
    out = place.format(file=tmp_path / "file")
    outcome = histo("run", slide, "-o", out, *PANEL)
    assert outcome.code == 2
    (line,) = outcome.err.splitlines()
    assert line.startswith("histo: error: ")
    assert Path(out).name in line or "file" in line


@pytest.fixture
def small_disk(tmp_path):
    """Mount a disk of 400 kB; needs root on Linux."""
    if sys.platform != "linux" or os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("mounting a small disk needs root on Linux")
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(place)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("this machine does not let root mount")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True, capture_output=True)


def test_a_full_disk_is_told_and_leaves_nothing_half_written(
    histo, tmp_path, small_disk, paint_section
):
    slide = paint_section(tmp_path / "a.tif", side_px=400)
    outcome = histo("run", slide, "-o", small_disk, *PANEL)
    assert outcome.code == 1
    assert "full" in outcome.err
    assert "Traceback" not in outcome.err
    assert not (small_disk / "a").exists()
    assert not [path.name for path in small_disk.iterdir() if ".partial" in path.name]


def test_a_disk_that_fills_up_is_told_without_root_too(tmp_path, paint_section):
    """The same by a limit on the size of files, in a program of its own."""
    resource = pytest.importorskip("resource", reason="file size limits are POSIX")
    slide = paint_section(tmp_path / "a.tif", side_px=400)

    def limit():
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))

    code = "import sys; from histo.cli import main; main(sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", code, "run", str(slide), "-o", str(tmp_path / "out"), *PANEL],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        preexec_fn=limit,
        timeout=120,
    )
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert os.strerror(errno.EFBIG).lower() in done.stderr.lower()
    assert not (tmp_path / "out" / "a").exists()


def test_debugging_shows_the_traceback(monkeypatch, tmp_path):
    from histo.cli import main
    from histo.cli.usage import UsageError

    monkeypatch.setenv("HISTO_DEBUG", "1")
    with pytest.raises(UsageError, match="no such file"):
        main(["run", str(tmp_path / "gone.tif"), "-o", str(tmp_path / "out"), *PANEL])


def test_an_interruption_says_how_to_go_on(histo, tmp_path, out, monkeypatch, paint_section):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("histo.batch.run.analyze_slide", interrupt)
    outcome = histo("run", paint_section(tmp_path / "a.tif"), "-o", out, *PANEL, "--quiet")
    assert outcome.code == 130
    assert outcome.err.startswith("histo: error: interrupted; what is finished is kept")
