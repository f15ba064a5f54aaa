"""Find the slides among files, folders and globs: each once, in an order people expect."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from histo.errors import SlideError

__all__ = ["SLIDE_SUFFIXES", "find_slides", "is_result_folder", "natural_key"]

#: What is taken for a slide when a folder is searched. It holds formats that cannot be
#: read (such as .czi) too: a slide must be reported as failed, never be missing in silence.
SLIDE_SUFFIXES = frozenset(
    ".tif .tiff .btf .tf2 .tf8 .svs .ndpi .scn .mrxs .vms .vmu .bif .dcm .qptiff .zarr "
    ".png .jpg .jpeg .jp2 .vsi .czi .nd2 .lif .isyntax".split()
)

_DICOM_SERIES_UID = b"\x20\x00\x0e\x00"
_DICOM_HEADER_BYTES = 1 << 16


def find_slides(inputs: str | Path | Iterable[str | Path]) -> list[Path]:
    """List the slides that files, folders and globs name.

    A folder is searched with its subfolders, in natural order (``s2`` before ``s10``), files
    before subfolders. Hidden files, results of earlier runs and files that are no images are
    left out; an OME-Zarr folder, a DICOM series and a VMS file with its JPEGs count once. A
    file that is named itself is always taken, whatever its suffix.

    Parameters
    ----------
    inputs : path, or iterable of paths
        Files, folders, or patterns with ``*``, ``?``, ``[...]`` or ``**``.

    Returns
    -------
    list of Path
        Each slide once, in the order of the inputs.

    Raises
    ------
    ValueError
        If no input is given.
    SlideError
        If an input does not exist, cannot be listed, or holds no image.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name in ("s10.tif", "s2.tif", "notes.txt", ".hidden.tif"):
    ...     (folder / name).touch()
    >>> [path.name for path in find_slides(folder)]
    ['s2.tif', 's10.tif']
    """
    if isinstance(inputs, (str, os.PathLike)):
        inputs = [inputs]
    found: dict[str, Path] = {}
    given = 0
    for item in inputs:
        given += 1
        for path in _expand(item):
            # One file under two names (a link, another spelling) is one slide.
            found.setdefault(os.path.realpath(path), path)
    if not given:
        raise ValueError("Name at least one file, folder or pattern.")
    return list(found.values())


def natural_key(text: str) -> tuple[tuple[int, int, str], ...]:
    """Return a sort key in which numbers count as numbers and case does not count.

    Examples
    --------
    >>> sorted(["S10", "s2", "s1b"], key=natural_key)
    ['s1b', 's2', 'S10']
    """
    parts = re.split(r"(\d+)", text.casefold())
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts)


def is_result_folder(folder: Path) -> bool:
    """Tell whether a folder holds the results of one slide.

    Examples
    --------
    >>> is_result_folder(Path("no/such/folder"))
    False
    """
    return (folder / "manifest.json").is_file() and (
        (folder / "cells.parquet").is_file() or (folder / "metrics.json").is_file()
    )


def _expand(item: str | Path) -> list[Path]:
    path = Path(item).expanduser()
    try:
        is_folder, exists = path.is_dir(), path.exists()
    except OSError as error:
        raise SlideError(f"{path}: cannot be reached ({error.strerror}).") from error
    if is_folder and not _is_slide_folder(path):
        slides = list(_walk(path, set()))
        if not slides:
            raise SlideError(
                f"{path}: no image in this folder or below it; "
                "histo reads TIFF, SVS, NDPI, MRXS, DICOM, OME-Zarr, PNG, JPEG and others."
            )
        return slides
    if exists:
        return [path]
    if glob.has_magic(str(item)):
        return _expand_pattern(str(path))
    raise SlideError(f"{path}: no such file or folder; check the path.")


def _expand_pattern(pattern: str) -> list[Path]:
    matches = [Path(match) for match in glob.glob(pattern, recursive=True)]
    if not matches:
        raise SlideError(f"{pattern}: no file matches this pattern.")
    slides: list[Path] = []
    for path in sorted(matches, key=_path_key):
        if path.is_dir() and not _is_slide_folder(path):
            # "**" matches the folders too, and their files by themselves.
            slides += [] if "**" in pattern else _walk(path, set())
        elif path.suffix.lower() in SLIDE_SUFFIXES and not _in_skipped_folder(path, pattern):
            slides.append(path)
    if not slides:
        raise SlideError(f"{pattern}: matches {len(matches)} names, none of them an image.")
    return slides


def _path_key(path: Path) -> tuple[tuple[tuple[int, int, str], ...], ...]:
    return tuple(natural_key(part) for part in path.parts)


def _in_skipped_folder(path: Path, pattern: str) -> bool:
    # Only folders that the pattern found count; what lies above was named by the user.
    depth = next(i for i, part in enumerate(Path(pattern).parts) if glob.has_magic(part))
    found = [parent for parent in path.parents if len(parent.parts) > depth]
    return any(is_result_folder(parent) or _is_slide_folder(parent) for parent in found)


def _is_slide_folder(path: Path) -> bool:
    return path.suffix.lower() == ".zarr" or any(
        (path / name).is_file() for name in (".zattrs", ".zgroup", "zarr.json")
    )


def _walk(folder: Path, seen: set[str]) -> Iterator[Path]:
    real = os.path.realpath(folder)
    if real in seen or is_result_folder(folder):  # a link to a folder above would never end
        return
    seen.add(real)
    try:
        entries = sorted(folder.iterdir(), key=lambda entry: natural_key(entry.name))
    except OSError as error:
        raise SlideError(f"{folder}: cannot be listed ({error.strerror}).") from error
    entries = [entry for entry in entries if not entry.name.startswith(".")]
    folders = [entry for entry in entries if entry.is_dir() and not _is_slide_folder(entry)]
    images = [
        entry
        for entry in entries
        if entry not in folders
        and (entry.suffix.lower() in SLIDE_SUFFIXES or _is_slide_folder(entry))
    ]
    yield from _without_companions(images)
    for subfolder in folders:
        yield from _walk(subfolder, seen)


def _without_companions(images: list[Path]) -> list[Path]:
    """Leave out the files of one folder that belong to another file of it."""
    companions: set[str] = set()
    series: dict[bytes, Path] = {}
    for image in images:
        suffix = image.suffix.lower()
        if suffix in {".vms", ".vmu"}:
            companions |= _named_in_index(image)
        elif suffix == ".dcm":
            uid = _dicom_series(image)
            if uid is None:
                continue
            known = series.get(uid)
            if known is None:
                series[uid] = image
                continue
            # The largest file is the finest level; labels and overviews are small.
            smaller, larger = sorted((known, image), key=lambda path: path.stat().st_size)
            series[uid] = larger
            companions.add(smaller.name)
    return [image for image in images if image.name not in companions]


def _named_in_index(index: Path) -> set[str]:
    """Return the file names on the right of ``key=name`` lines of a VMS or VMU file."""
    try:
        text = index.read_text(encoding="utf-8", errors="replace")[:_DICOM_HEADER_BYTES]
    except OSError:
        return set()  # unreadable: opening it will say so
    return {line.partition("=")[2].strip() for line in text.splitlines() if "=" in line}


def _dicom_series(path: Path) -> bytes | None:
    """Return the Series Instance UID (0020,000E), or None when the header has none."""
    try:
        with path.open("rb") as file:
            header = file.read(_DICOM_HEADER_BYTES)
    except OSError:
        return None
    match = re.search(re.escape(_DICOM_SERIES_UID) + rb"(?:UI..|....)([0-9.]+)", header, re.DOTALL)
    return match.group(1) if match else None
