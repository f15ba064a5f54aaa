"""One folder a slide, complete or absent: written beside its place, then renamed over it."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from histo.errors import ResultError

__all__ = ["check_writable", "clear_leftovers", "replace_file", "result_folder", "take_over"]

#: What a reader has counted in a slide (`histo.review.recount`) outlives every new run of it.
READERS_WORK = "recount-*"

_FULL = {errno.ENOSPC, errno.EDQUOT}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


@contextmanager
def result_folder(folder: str | Path, *, keep: Sequence[str] = ()) -> Iterator[Path]:
    """Give an empty folder to write into; it becomes ``folder`` when the block ends well.

    The partial folder is a sibling, ``.NAME.partial-PID``, so that the final rename stays on
    one disk. Every file is flushed to the disk before the rename. When the block raises, the
    partial folder is deleted and a former ``folder`` stays as it was. Partial folders that a
    killed run left behind are deleted first. Files named `READERS_WORK` are
    always taken over.

    Parameters
    ----------
    folder : path
        The result folder of one slide. Its parents are made.
    keep : sequence of str
        Names of files or folders that are taken over from the former ``folder`` (by hard
        links where the disk allows it, so that label images are not copied). Names that it
        does not hold are passed over.

    Yields
    ------
    pathlib.Path
        The partial folder.

    Raises
    ------
    ResultError
        If the disk is full or the place cannot be written to. Other exceptions of the block
        pass through unchanged.

    Examples
    --------
    >>> import tempfile
    >>> out = Path(tempfile.mkdtemp())
    >>> with result_folder(out / "section") as partial:
    ...     _ = (partial / "note.txt").write_text("12 cells")
    >>> [path.name for path in out.iterdir()], (out / "section" / "note.txt").read_text()
    (['section'], '12 cells')
    """
    folder = Path(folder).absolute()
    partial = folder.with_name(f".{folder.name}.partial-{os.getpid()}")
    with _as_result_error(folder.parent, folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        _recover(folder)
        partial.mkdir()
    try:
        with _as_result_error(partial, folder):
            for name in keep:
                take_over(folder / name, partial / name)
        with _as_result_error(partial, folder, only_inside=True):
            yield partial
        with _as_result_error(partial, folder):
            for path in folder.glob(READERS_WORK):  # now: readers go on until the end
                take_over(path, partial / path.name)
            _flush(partial)
            _swap(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def replace_file(path: str | Path) -> Iterator[Path]:
    """Give a temporary sibling to write; it replaces ``path`` in one step when the block ends.

    Raises
    ------
    ResultError
        If the disk is full or the place cannot be written to; a former file stays untouched.
        Other exceptions of the block pass through unchanged.

    Examples
    --------
    >>> import tempfile
    >>> out = Path(tempfile.mkdtemp()) / "metrics.csv"
    >>> with replace_file(out) as temporary:
    ...     _ = temporary.write_text("slide,cells")
    >>> out.read_text()
    'slide,cells'
    """
    path = Path(path).absolute()
    # The suffix is kept last: writers choose the format by it.
    temporary = path.with_name(f".{path.stem}.partial-{os.getpid()}{path.suffix}")
    try:
        with _as_result_error(path.parent, path):
            path.parent.mkdir(parents=True, exist_ok=True)
        with _as_result_error(temporary, path, only_inside=True):
            yield temporary
        with _as_result_error(path.parent, path):
            _flush_file(temporary)
            os.replace(temporary, path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def check_writable(folder: str | Path) -> None:
    """Make ``folder`` and write one small file there, so that a long run fails at its start.

    Raises
    ------
    ResultError
        If the folder cannot be made or written to.

    Examples
    --------
    >>> import tempfile
    >>> check_writable(Path(tempfile.mkdtemp()) / "results")
    """
    folder = Path(folder).absolute()
    with _as_result_error(folder, folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as stream:
            stream.write(b"histo")
            stream.flush()


def clear_leftovers(out: str | Path, pid: int) -> None:
    """Delete what a killed process left half written in a folder of results.

    A former result that the process had set aside and not replaced is put back.

    Parameters
    ----------
    out : path
        The folder that holds the result folders.
    pid : int
        The process, which is gone.

    Raises
    ------
    ResultError
        If something cannot be deleted.

    Examples
    --------
    >>> import tempfile
    >>> out = Path(tempfile.mkdtemp())
    >>> (out / ".section.partial-99").mkdir()
    >>> clear_leftovers(out, 99)
    >>> list(out.iterdir())
    []
    """
    out = Path(out).absolute()
    with _as_result_error(out, out):
        for aside in out.glob(f".*.old-{pid}"):
            folder = out / aside.name[1:].removesuffix(f".old-{pid}")
            if folder.exists():
                shutil.rmtree(aside)
            else:
                aside.rename(folder)
        for left in (*out.glob(f".*.partial-{pid}"), *out.glob(f".*.partial-{pid}.*")):
            shutil.rmtree(left) if left.is_dir() else left.unlink()


@contextmanager
def _as_result_error(inside: Path, target: Path, *, only_inside: bool = False) -> Iterator[None]:
    """Turn a failure of the disk into one sentence; leave other failures alone."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise ResultError(
                f"{target.name}: the disk that holds {target.parent} is full; "
                "free some space and run again (nothing was replaced)."
            ) from error
        # A slide that cannot be read also raises OSError in the block: not ours to rename.
        if only_inside and not _lies_in(error, inside):
            raise
        if error.errno in _FORBIDDEN:
            raise ResultError(
                f"{target.name}: {target.parent} cannot be written to "
                f"({_reason(error)}); choose another output folder or change its permissions."
            ) from error
        raise ResultError(
            f"{target.name}: the results could not be written to {target.parent} "
            f"({_reason(error)}); check the disk and run again (nothing was replaced)."
        ) from error


def _reason(error: OSError) -> str:
    return (error.strerror or str(error) or type(error).__name__).lower()


def _lies_in(error: OSError, folder: Path) -> bool:
    names = [error.filename, error.filename2, *error.args]
    return any(isinstance(name, str | Path) and str(folder) in str(name) for name in names)


def _recover(folder: Path) -> None:
    """Clear what killed runs left; put back a result that was set aside and not replaced."""
    aside = sorted(folder.parent.glob(f".{_escaped(folder.name)}.old-*"))
    if not folder.exists() and aside:
        aside.pop().rename(folder)
    for left in [*aside, *folder.parent.glob(f".{_escaped(folder.name)}.partial-*")]:
        number = left.name.rpartition("-")[2]
        if number.isdecimal() and (int(number) == os.getpid() or not _is_running(int(number))):
            shutil.rmtree(left)


def _escaped(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "[]*?" else letter for letter in name)


def _is_running(pid: int) -> bool:
    """Whether a process of this number lives on this machine."""
    if sys.platform == "win32":
        # os.kill(pid, 0) would interrupt the process there: ask the kernel instead.
        kernel = ctypes.windll.kernel32
        handle = kernel.OpenProcess(0x1000, False, pid)  # query limited information
        if not handle:
            return False
        code = ctypes.c_ulong()
        kernel.GetExitCodeProcess(handle, ctypes.byref(code))
        kernel.CloseHandle(handle)
        return code.value == 259  # still active
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def take_over(source: Path, target: Path) -> None:
    """Put a file or folder of a former result into the new one.

    By hard links where the disk allows it, so that nothing large is copied. What is not there
    is passed over.

    Parameters
    ----------
    source, target : Path

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "a.txt").write_text("12 cells")
    >>> take_over(folder / "a.txt", folder / "kept" / "a.txt")
    >>> (folder / "kept" / "a.txt").read_text()
    '12 cells'
    """
    if source.is_dir():
        shutil.copytree(source, target, copy_function=_link_or_copy)
    elif source.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        _link_or_copy(str(source), str(target))


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _flush(folder: Path) -> None:
    """Flush every file and folder below, so that the rename never precedes the content."""
    for place, _, files in os.walk(folder):
        for name in files:
            _flush_file(Path(place) / name)
        if sys.platform != "win32":
            _flush_file(Path(place))


def _flush_file(path: Path) -> None:
    # Windows flushes only handles that may write.
    handle = os.open(path, os.O_RDWR if sys.platform == "win32" else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _swap(partial: Path, folder: Path) -> None:
    """Put ``partial`` in the place of ``folder``, which is set aside until that has worked."""
    if not folder.exists():
        partial.rename(folder)
        return
    aside = folder.with_name(f".{folder.name}.old-{os.getpid()}")
    folder.rename(aside)
    try:
        partial.rename(folder)
    except OSError:
        aside.rename(folder)
        raise
    shutil.rmtree(aside, ignore_errors=True)
