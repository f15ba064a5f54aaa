"""Where a result comes from: input, software, machine, time. Nothing that names a person."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import histo
from histo.errors import SlideError

__all__ = ["RESEARCH_USE", "input_record", "make_manifest", "sha256_file", "software_record"]

_PACKAGES = (
    "numpy",
    "scipy",
    "scikit-image",
    "opencv-python-headless",
    "torch",
    "tifffile",
    "imagecodecs",
    "openslide-python",
    "openslide-bin",
    "zarr",
    "pandas",
    "pyarrow",
)
# Formats whose pixels lie in a folder beside the file that is opened, named like it.
_WITH_FOLDER = {".mrxs"}

RESEARCH_USE = "For Research Use Only. Not for use in diagnostic procedures."


def sha256_file(path: str | Path) -> str:
    """Hash a slide: one file, or all files of a folder (OME-Zarr) with their relative names.

    Parameters
    ----------
    path : path
        A file or a folder. The folder of a ``.mrxs`` file is hashed with it.

    Returns
    -------
    str
        64 hexadecimal digits.

    Raises
    ------
    SlideError
        If a file cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "empty.tif"
    >>> path.touch()
    >>> sha256_file(path)[:16]
    'e3b0c44298fc1c14'
    """
    path = Path(path)
    files = list(_files(path))
    if files == [path]:
        return _hash(path)
    total = hashlib.sha256()
    for file in files:
        name = file.relative_to(path.parent if path.is_file() else path).as_posix()
        total.update(f"{name}\0{_hash(file)}\n".encode())
    return total.hexdigest()


def input_record(path: str | Path) -> dict[str, Any]:
    """Describe an input file by its name (no folder), size and hash.

    Parameters
    ----------
    path : path
        The slide.

    Returns
    -------
    dict
        ``file`` (name), ``bytes`` (int) and ``sha256``.

    Raises
    ------
    SlideError
        If it cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "empty.tif"
    >>> path.touch()
    >>> input_record(path)["file"], input_record(path)["bytes"]
    ('empty.tif', 0)
    """
    path = Path(path)
    digest = sha256_file(path)
    size = sum(file.stat().st_size for file in _files(path))
    return {"file": path.name, "bytes": size, "sha256": digest}


def software_record() -> dict[str, Any]:
    """Name the versions that a number depends on, and the kind of machine.

    Returns
    -------
    dict
        ``histo``, ``python``, ``packages`` (name to version), ``system`` and ``machine``. The
        host's and the user's names are left out.

    Examples
    --------
    >>> sorted(software_record())
    ['histo', 'machine', 'packages', 'python', 'system']
    """
    packages = {}
    for name in _PACKAGES:
        try:
            packages[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            packages[name] = "unknown"
    return {
        "histo": histo.__version__,
        "python": platform.python_version(),
        "packages": packages,
        "system": f"{platform.system()} {platform.release()}",
        "machine": f"{platform.machine()}, {os.cpu_count()} processors",
    }


def make_manifest(path: str | Path, sections: Mapping[str, Any]) -> dict[str, Any]:
    """Build the manifest of a slide's result.

    Parameters
    ----------
    path : path
        The slide.
    sections : mapping
        What the run adds, by name: ``parameters``, ``slide``, ``stains``, ``model``,
        ``thresholds``, ``flags``... Values as JSON knows them; folders in them are dropped,
        since names of folders may identify a patient.

    Returns
    -------
    dict
        ``input``, ``software``, ``created_utc`` and ``notice`` first, then the sections.

    Raises
    ------
    SlideError
        If the slide cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "section.tif"
    >>> path.touch()
    >>> manifest = make_manifest(path, {"parameters": {"panel": "/home/ann/mouse 7/rankl.toml"}})
    >>> manifest["input"]["file"], manifest["parameters"]
    ('section.tif', {'panel': 'rankl.toml'})
    """
    return {
        "notice": RESEARCH_USE,
        "created_utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "input": input_record(path),
        "software": software_record(),
        **{name: _without_folders(value) for name, value in sections.items()},
    }


def _without_folders(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _without_folders(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without_folders(one) for one in value]
    if isinstance(value, Path):
        return value.name
    if isinstance(value, str) and "\n" not in value:
        for kind in (PurePosixPath, PureWindowsPath):
            if kind(value).is_absolute():
                return kind(value).name
    return value


def _files(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from sorted(file for file in path.rglob("*") if file.is_file())
        return
    yield path
    if path.suffix.lower() in _WITH_FOLDER and path.with_suffix("").is_dir():
        yield from _files(path.with_suffix(""))


def _hash(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise SlideError(
            f"{path.name}: cannot be read ({error.strerror or error}); check the file and its "
            "permissions."
        ) from error
