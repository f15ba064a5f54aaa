"""The log of a slide's edits: append-only, one line an edit, on disk before anything else."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from histo.edits.edit import Edit
from histo.errors import EditError

__all__ = ["EDITS", "EditLog", "in_force"]

EDITS = "edits.jsonl"
"""The log in a slide's result folder."""


class EditLog:
    """The edits of one slide.

    Parameters
    ----------
    folder : path
        The slide's result folder; the log in it is read when it is there.

    Attributes
    ----------
    path : Path
    note : str
        What was found wrong and passed over, in words; empty when all is well.

    Raises
    ------
    EditError
        If a line other than the last cannot be read, or the log was written by something else.
        A last line that a crash cut off was never confirmed to the reader: it is passed over,
        and removed when the next is written.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> log = EditLog(folder)
    >>> log.append(Edit(log.next_number, "2026-01-31T12:00:00Z", "ann", "delete", (7,)))
    >>> [edit.cells for edit in EditLog(folder).in_force]
    [(7,)]
    """

    def __init__(self, folder: str | Path) -> None:
        self.path = Path(folder) / EDITS
        self.note = ""
        self._lines: list[Edit] = []
        self._done: list[Edit] = []
        self._undone: list[Edit] = []
        self._good = 0  # bytes up to the end of the last whole line
        self._seen = 0  # bytes that were there when this log last looked
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            raise EditError(
                f"{self.path.parent.name}: {EDITS} cannot be read ({error.strerror or error}); "
                "check its permissions."
            ) from error
        self._read(content)

    @property
    def lines(self) -> tuple[Edit, ...]:
        """Every line, also undone edits and what undid them."""
        return tuple(self._lines)

    @property
    def in_force(self) -> tuple[Edit, ...]:
        """The edits that hold, in the order in which they were made."""
        return tuple(self._done)

    @property
    def undone(self) -> tuple[Edit, ...]:
        """The edits that can be done again; the last comes first back."""
        return tuple(self._undone)

    @property
    def next_number(self) -> int:
        """The number of the next line."""
        return self._lines[-1].number + 1 if self._lines else 1

    @property
    def is_current(self) -> bool:
        """Whether nobody has written to the log since it was read."""
        return _size(self.path) == self._seen

    def after(self, edit: Edit) -> tuple[Edit, ...]:
        """Return the edits that would hold after one more line; nothing is written.

        Raises
        ------
        ValueError
            If it undoes or redoes what is not the last edit.
        """
        return tuple(_step(edit, self._done, self._undone)[0])

    def append(self, edit: Edit) -> None:
        """Write one more line; it is on the disk when this returns.

        Parameters
        ----------
        edit : Edit
            Its number is :attr:`next_number`.

        Raises
        ------
        EditError
            If another program has written to the log meanwhile, or the disk refuses; the log
            is as before then.
        ValueError
            If the number is another, or it undoes or redoes what is not the last edit.
        """
        if edit.number != self.next_number:
            raise ValueError(f"the next line is number {self.next_number}, got {edit.number}.")
        done, undone = _step(edit, self._done, self._undone)
        line = edit.to_line().encode()
        try:
            self._write(line)
        except OSError as error:
            raise EditError(
                f"{self.path.parent.name}: the edit could not be stored in {EDITS} "
                f"({(error.strerror or str(error)).lower()}), so it was not made; check the disk "
                "and the folder's permissions."
            ) from error
        self._good = self._seen = self._good + len(line)
        self._lines.append(edit)
        self._done, self._undone = done, undone
        self.note = ""

    def _write(self, line: bytes) -> None:
        is_new = not self.path.exists()
        # Without truncating, and never making a folder that has been moved away anew.
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        with os.fdopen(handle, "r+b") as stream, _locked(stream):
            if os.fstat(stream.fileno()).st_size != self._seen:
                raise EditError(
                    f"{self.path.parent.name}: another program has edited this slide meanwhile; "
                    "open the result again, and repeat the last edit."
                )
            try:
                stream.truncate(self._good)
                stream.seek(self._good)
                stream.write(line)
                stream.flush()
                os.fsync(stream.fileno())
            except OSError:
                with suppress(OSError):
                    stream.truncate(self._good)
                self._seen = self._good
                raise
        if is_new and sys.platform != "win32":
            _flush_folder(self.path.parent)

    def _read(self, content: bytes) -> None:
        self._seen = len(content)
        whole, _, tail = content.rpartition(b"\n")
        lines = whole.split(b"\n") if whole else []
        for number, line in enumerate(lines, 1):
            try:
                known = json.loads(line)
            except ValueError as error:
                if number == len(lines) and not tail:
                    self.note = self._cut_off(number)
                    return
                raise self._unreadable(number, error) from error
            try:
                edit = Edit.from_line(line.decode()) if isinstance(known, dict) else None
                if edit is None or edit.number != self.next_number:
                    raise ValueError(f"expected edit {self.next_number}")
                self._done, self._undone = _step(edit, self._done, self._undone)
            except ValueError as error:
                raise self._unreadable(number, error) from error
            self._lines.append(edit)
            self._good += len(line) + 1
        if tail:
            self.note = self._cut_off(len(lines) + 1)

    def _cut_off(self, number: int) -> str:
        return (
            f"{self.path.parent.name}: line {number} of {EDITS}, the last, was cut off when the "
            f"program or the computer stopped; that one edit is not made, the {number - 1} before "
            "it are."
        )

    def _unreadable(self, number: int, error: Exception) -> EditError:
        return EditError(
            f"{self.path.parent.name}: line {number} of {EDITS} cannot be read ({error}); it was "
            "altered or written by a newer histo: restore it from a copy, or rename it to go on "
            "without its edits."
        )


def in_force(lines: Sequence[Edit]) -> tuple[Edit, ...]:
    """Return the edits that hold after undo and redo.

    Parameters
    ----------
    lines : sequence of Edit
        The log, in order.

    Returns
    -------
    tuple of Edit

    Raises
    ------
    ValueError
        If a line undoes or redoes what is not the last edit.

    Examples
    --------
    >>> first = Edit(1, "", "ann", "delete", (7,))
    >>> second = Edit(2, "", "ann", "delete", (8,))
    >>> back = Edit(3, "", "ann", "undo", (8,), new={"edit": 2})
    >>> [edit.number for edit in in_force([first, second, back])]
    [1]
    """
    done: list[Edit] = []
    undone: list[Edit] = []
    for edit in lines:
        done, undone = _step(edit, done, undone)
    return tuple(done)


def _step(edit: Edit, done: list[Edit], undone: list[Edit]) -> tuple[list[Edit], list[Edit]]:
    """Return what holds, and what can be done again, after one more line."""
    if edit.action == "thresholds":
        return done, undone
    if edit.action not in ("undo", "redo"):
        return [*done, edit], []
    source, target = (done, undone) if edit.action == "undo" else (undone, done)
    if not source or source[-1].number != edit.new["edit"]:
        raise ValueError(f"{edit.action} of edit {edit.new['edit']}, which is not the last")
    moved = [*target, source[-1]]
    return (source[:-1], moved) if edit.action == "undo" else (moved, source[:-1])


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


@contextmanager
def _locked(stream: BinaryIO) -> Iterator[None]:
    """Keep other programs out while one line is written."""
    if sys.platform == "win32":
        import msvcrt

        # A byte far beyond the end: what is locked cannot be read there.
        stream.seek(1 << 30)
        msvcrt.locking(stream.fileno(), msvcrt.LK_LOCK, 1)
        try:
            yield
        finally:
            stream.seek(1 << 30)
            msvcrt.locking(stream.fileno(), msvcrt.LK_UNLCK, 1)
    else:
        import fcntl

        # Some network folders know no locks; the size of the log tells of others there too.
        with suppress(OSError):
            fcntl.flock(stream.fileno(), fcntl.LOCK_EX)
        yield  # closing the stream unlocks it


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
