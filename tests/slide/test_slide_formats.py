"""Real, odd and hostile files: each opens and reads, or raises SlideError."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import openslide
import pytest

from histo.geometry import Region
from histo.slide import Slide, open_slide
from histo.slide.tiff import TiffSource

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("HISTO_DATA", ROOT / "../shared/data")) / "slides"
SCRIPT = ROOT / "tests" / "benchmarks" / "slide_formats.py"

needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"no real slides at {DATA}")

#: What must read, with the pixel size in µm that the file states.
READ = {
    "aperio_svs/CMU-1-Small-Region.svs": 0.499,
    "aperio_svs/tcga-cr-7395-01a-01-ts1.svs": None,
    "hamamatsu_ndpi/test3_DAPI.ndpi": 0.2282,
    "dicom_wsi/boxes_0.dcm": 0.499,
    "qptiff/small_vectra.qptiff": 0.4965,
    "ome_tiff/cells.ome.tif": 0.25,
    "ome_tiff/cells-2c.ome.tif": 0.25,
    "ome_tiff/cells-gray16.tif": 0.25,
    "other/boxes.tiff": None,
    "other/5channel.tif": None,
    "odd_tiff_pillow/tiff_tiled_cmyk_jpeg.tif": None,
    "odd_tiff_pillow/hopper_bigtiff.tif": None,
}


def run_script(folder: Path) -> dict[str, dict[str, object]]:
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(folder), "--json"],
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "PYTHONUTF8": "1"},
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    failed = [report for report in reports if report["verdict"] == "FAILED"]
    assert done.returncode == bool(failed), done.stderr[-2000:]
    return {Path(report["file"]).relative_to(folder).as_posix(): report for report in reports}


def test_the_script_tells_apart(tmp_path, write_pyramid, texture):
    write_pyramid([texture])
    (tmp_path / "words.txt").write_text("no slide")
    reports = run_script(tmp_path)
    assert {name: report["verdict"] for name, report in reports.items()} == {
        "pyramid.tif": "reads",
        "words.txt": "refused",
    }
    assert reports["pyramid.tif"]["pixel_size"] == [0.25, "TIFF tags"]


@needs_data
def test_every_file_reads_or_is_refused():
    reports = run_script(DATA)
    failed = {n: r.get("message") for n, r in reports.items() if r["verdict"] == "FAILED"}
    assert not failed
    assert len(reports) == sum(path.is_file() for path in DATA.rglob("*"))
    assert max(float(report["seconds"]) for report in reports.values()) < 20
    for name, size in READ.items():
        report = reports[name]
        assert report["verdict"] == "reads", report
        stated = report["pixel_size"]
        assert (stated and stated[0]) == (size and pytest.approx(size, abs=1e-3)), name
    refused = [report["message"] for report in reports.values() if report["verdict"] == "refused"]
    assert all(": " in message and "\n" not in message for message in refused)


@needs_data
@pytest.mark.parametrize(
    "name",
    [
        "aperio_svs/CMU-1-Small-Region.svs",
        "hamamatsu_ndpi/test3_DAPI.ndpi",
        "dicom_wsi/boxes_0.dcm",
    ],
)
def test_equals_openslide(name):
    with open_slide(DATA / name) as slide, openslide.OpenSlide(DATA / name) as other:
        y, x = slide.shape[0] // 3, slide.shape[1] // 3
        size = min(600, slide.shape[0] - y, slide.shape[1] - x)
        read = slide.read(Region(y, x, size, size), slide.pixel_size_um)
        expected = np.asarray(other.read_region((x, y), 0, (size, size)))[..., :3]
        np.testing.assert_array_equal(read, expected)


@needs_data
def test_ndpi_reads_the_same_without_openslide():
    path = DATA / "hamamatsu_ndpi" / "test3_DAPI.ndpi"
    source = TiffSource(path)
    with (
        Slide(path, source, source.pixel_size, source.notes) as plain,
        open_slide(path) as slide,
    ):
        region = Region(1000, 1000, 300, 300)
        size = slide.pixel_size_um
        assert plain.pixel_size_um == pytest.approx(size)
        np.testing.assert_array_equal(plain.read(region, size), slide.read(region, size))


@needs_data
def test_jpeg_2000_levels_agree():
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    path = DATA / "aperio_svs" / "tcga-cr-7395-01a-01-ts1.svs"
    with open_slide(path, pixel_size_um=0.5) as slide:
        region = Region(500, 500, 400, 400)
        small = slide.read(region, 1.0).astype(float)
        full = slide.read(Region(1000, 1000, 800, 800), 0.5)
        mean = full.reshape(400, 2, 400, 2, 3).mean((1, 3))
        # The scanner filters its levels in its own way, but does not shift them.
        here = np.abs(small - mean).mean()
        assert here < 8
        for axis in (0, 1):
            for step in (-1, 1):
                assert np.abs(small - np.roll(mean, step, axis)).mean() > 1.5 * here
