"""Which slide each result folder belongs to, and the hash of what was read."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from histo.batch.find import is_result_folder
from histo.batch.names import distinct_names
from histo.errors import HistoError
from histo.results import replace_file
from histo.results.provenance import sha256_file

__all__ = ["Ledger"]

_FILE = ".histo-inputs.json"


@dataclass(frozen=True, slots=True)
class _Entry:
    source: str  # hash of the path: names of folders may identify a patient
    stamp: str
    sha256: str


class Ledger:
    """The memory of a folder of results, kept in one small hidden file.

    It saves hashing gigabytes again: while size and time of a slide's files are as they were,
    its content is taken to be. And it keeps two slides of one name out of one result folder,
    from run to run. Losing the file loses nothing but time.

    Parameters
    ----------
    out : Path
        The folder of results; the file in it is read when it is there.

    Examples
    --------
    >>> import tempfile
    >>> Ledger(Path(tempfile.mkdtemp())).folders([Path("sections/liver.tif")])
    ['liver']
    """

    def __init__(self, out: Path) -> None:
        self._path = out / _FILE
        self._entries: dict[str, _Entry] = {}
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
            self._entries = {name: _Entry(**entry) for name, entry in content.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            self._entries = {}  # absent or damaged: all is hashed again
        self._saved = dict(self._entries)
        # What is there and not a result (the pixels of an .mrxs file, say) is never replaced.
        self._foreign = {path.name for path in _listed(out) if not is_result_folder(path)}
        for name in self._foreign:
            self._entries.pop(name, None)

    def sha256(self, slide: Path, folder: str) -> str:
        """Return the hash of a slide's content; computed when its files have changed.

        Parameters
        ----------
        slide : Path
        folder : str
            The slide's result folder.

        Returns
        -------
        str
            64 hexadecimal digits.

        Raises
        ------
        SlideError
            If it cannot be read.
        """
        source, stamp = _source(slide), _stamp(slide)
        known = self._entries.get(folder)
        if stamp and known is not None and (known.source, known.stamp) == (source, stamp):
            return known.sha256
        digest = sha256_file(slide)
        self._entries[folder] = _Entry(source, stamp, digest)
        return digest

    def folders(self, slides: Sequence[Path]) -> list[str]:
        """Name the result folder of each slide: the one it has, or a new one.

        A folder passes on to another path when the content is the same: the slides were moved.

        Parameters
        ----------
        slides : sequence of Path

        Returns
        -------
        list of str
        """
        owners = {entry.source: name for name, entry in self._entries.items()}
        names = {slide: owners.get(_source(slide), "") for slide in slides}
        kept = {name for name in names.values() if name}
        free = set(self._entries) - kept
        new = [slide for slide in slides if not names[slide]]
        for slide in new:
            moved = self._moved(slide, free)
            if moved:
                names[slide] = moved
                free.discard(moved)
        new = [slide for slide in new if not names[slide]]
        taken = {*self._entries, *self._foreign}
        for slide, name in zip(new, distinct_names(new, taken), strict=True):
            names[slide] = name
        return [names[slide] for slide in slides]

    def save(self) -> None:
        """Write the file, if there is anything new.

        Raises
        ------
        ResultError
            If it cannot be written.
        """
        if self._entries == self._saved:
            return
        with replace_file(self._path) as temporary:
            content = {name: asdict(entry) for name, entry in sorted(self._entries.items())}
            temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")
        self._saved = dict(self._entries)

    def _moved(self, slide: Path, free: set[str]) -> str:
        """Return the folder of a slide that had this name and has this content, or nothing."""
        plain = distinct_names([slide])[0].casefold()
        for name in sorted(free):
            # Only a folder of this slide's name is worth hashing the slide for.
            if name.casefold() == plain or name.casefold().endswith(f"_{plain}"):
                try:
                    same = sha256_file(slide) == self._entries[name].sha256
                except HistoError:
                    return ""  # its analysis will say what is wrong
                if same:
                    self._entries[name] = _Entry(
                        _source(slide), _stamp(slide), self._entries[name].sha256
                    )
                    return name
        return ""


def _listed(out: Path) -> list[Path]:
    return list(out.iterdir()) if out.is_dir() else []


def _source(slide: Path) -> str:
    return hashlib.sha256(os.path.realpath(slide).encode("utf-8", "surrogateescape")).hexdigest()


def _stamp(slide: Path) -> str:
    """Return a text that changes when a file of the slide does."""
    content = hashlib.sha256()
    try:
        for file in _files(slide):
            status = file.stat()
            content.update(f"{file.name}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    except OSError:
        return ""  # hashing will say what is wrong
    return content.hexdigest()


def _files(slide: Path) -> Iterator[Path]:
    if slide.is_dir():
        yield from sorted(file for file in slide.rglob("*") if file.is_file())
        return
    yield slide
    beside = slide.with_suffix("")
    if slide.suffix.lower() == ".mrxs" and beside.is_dir():
        yield from _files(beside)
