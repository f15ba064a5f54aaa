"""Open and read every file of a folder: python tests/benchmarks/slide_formats.py DATA_DIR.

Each file is opened, drawn as a thumbnail and read at level 0 in a subprocess of limited memory
and time, so that a crash of a decoder is a verdict and not the end. Prints a Markdown table, or
with ``--json`` one JSON object a line. The exit code is 1 when a file did anything but open or
raise SlideError.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

MEMORY_BYTES = 2 * 2**30
SECONDS = 20.0


def examine(path: Path) -> dict[str, object]:
    """Open and read one file; return its verdict."""
    from histo.errors import SlideError
    from histo.geometry import Region
    from histo.slide import open_slide

    start = time.perf_counter()
    report: dict[str, object] = {"file": str(path)}
    try:
        with open_slide(path) as slide:
            size, notes = slide.pixel_size, slide.notes
        with open_slide(path, pixel_size_um=None if size else 0.5) as slide:
            thumbnail = slide.thumbnail(512)
            region = Region(0, 0, min(512, slide.shape[0]), min(512, slide.shape[1]))
            pixels = slide.read(region, slide.pixel_size_um)
            if max(thumbnail.shape[:2]) > 512 or pixels.shape[:2] != region.shape:
                raise RuntimeError(f"wrong shapes {thumbnail.shape} {pixels.shape}")
            report |= {
                "verdict": "reads",
                "kind": slide.kind,
                "shape": list(slide.shape),
                "levels": len(slide.levels),
                "channels": list(slide.channel_names),
                "dtype": str(slide.dtype),
                "pixel_size": [size.mean_um, size.source] if size else None,
                "notes": list(notes),
            }
    except SlideError as error:
        report |= {"verdict": "refused", "message": str(error)}
    except Exception as error:  # noqa: BLE001  (any other exception is the finding)
        report |= {"verdict": "FAILED", "message": f"{type(error).__name__}: {error}"}
    return report | {"seconds": time.perf_counter() - start}


def work() -> None:
    """Examine the files named on standard input, one a line, with limited memory."""
    import histo.slide.omezarr
    import histo.slide.tiff
    import histo.slide.vendor  # noqa: F401

    logging.disable(logging.CRITICAL)
    # What decoders print must not mix with the verdicts.
    verdicts = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    if sys.platform == "linux":
        import resource

        mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (mapped + MEMORY_BYTES,) * 2)
    for line in sys.stdin:
        print(json.dumps(examine(Path(json.loads(line)))), file=verdicts, flush=True)


def start_worker() -> tuple[subprocess.Popen[str], queue.Queue[str]]:
    """Start a subprocess and a thread that collects its lines."""
    process = subprocess.Popen(
        [sys.executable, __file__, "--worker", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
    )
    lines: queue.Queue[str] = queue.Queue()

    def collect() -> None:
        for line in process.stdout or ():
            lines.put(line)
        lines.put("")

    threading.Thread(target=collect, daemon=True).start()
    return process, lines


def examine_all(paths: list[Path]) -> Iterator[dict[str, object]]:
    """Examine files in a subprocess, starting another when it dies or hangs."""
    process, lines = start_worker()
    try:
        for number, path in enumerate(paths):
            process.stdin.write(json.dumps(str(path)) + "\n")
            process.stdin.flush()
            try:
                # The first answer includes loading the libraries.
                line = lines.get(timeout=SECONDS + (60 if number == 0 else 0))
            except queue.Empty:
                line = None
            if line:
                yield json.loads(line)
                continue
            process.kill()
            code = process.wait()
            what = f"took longer than {SECONDS:.0f} s" if line is None else f"crashed ({code})"
            yield {"file": str(path), "verdict": "FAILED", "message": what, "seconds": SECONDS}
            process, lines = start_worker()
    finally:
        process.stdin.close()
        process.kill()
        process.wait()
        process.stdout.close()


def as_row(report: dict[str, object], root: Path) -> str:
    """Return a row of the table."""
    name = Path(str(report["file"])).relative_to(root).as_posix()
    if report["verdict"] != "reads":
        message = str(report["message"]).replace("|", "/")
        return f"| {name} | {report['verdict']} | {message} | | {report['seconds']:.2f} |"
    shape = " x ".join(str(side) for side in report["shape"])
    channels = "RGB" if report["kind"] == "brightfield" else f"{len(report['channels'])} ch"
    size = report["pixel_size"]
    stated = f"{size[0]:.4g} ({size[1]})" if size else "none"
    what = f"{shape}, {channels} {report['dtype']}, {report['levels']} levels"
    notes = "".join(f"; {note}" for note in report["notes"])
    return f"| {name} | reads | {what}{notes} | {stated} | {report['seconds']:.2f} |"


def main() -> int:
    """Examine a folder and print the verdicts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        work()
        return 0
    paths = sorted(path for path in given.folder.rglob("*") if path.is_file())
    counts: dict[str, int] = {}
    if not given.json:
        print("| file | verdict | found | µm/px | s |\n|---|---|---|---|---|")
    for report in examine_all(paths):
        counts[str(report["verdict"])] = counts.get(str(report["verdict"]), 0) + 1
        print(json.dumps(report) if given.json else as_row(report, given.folder), flush=True)
    if not given.json:
        print("\n" + ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items())))
    return 1 if "FAILED" in counts else 0


if __name__ == "__main__":
    sys.exit(main())
