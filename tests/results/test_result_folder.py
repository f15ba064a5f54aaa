"""A result folder is complete or absent, whatever happens on the way."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from histo.errors import ResultError, SlideError
from histo.results import check_writable, replace_file, result_folder

ROOT = Path(__file__).resolve().parents[2]


def fill(folder, words, failure=None):
    with result_folder(folder) as partial:
        (partial / "inner").mkdir()
        (partial / "inner" / "cells.txt").write_text(words)
        if failure is not None:
            raise failure
    return folder


def fill_the_disk(folder):
    with result_folder(folder) as partial:
        (partial / "cells").symlink_to("/dev/full")
        (partial / "cells").write_text("does not fit")


def copy_over(path, source):
    with replace_file(path) as temporary:
        temporary.write_text("half")
        temporary.write_text(source.read_text())


def hidden(folder):
    return sorted(path.name for path in folder.parent.iterdir() if path.name.startswith("."))


def test_the_folder_appears_only_at_the_end(tmp_path):
    folder = tmp_path / "out" / "section 1"
    with result_folder(folder) as partial:
        assert partial.parent == folder.parent
        assert partial.name == f".section 1.partial-{os.getpid()}"
        assert not folder.exists()
        (partial / "a").write_text("b")
    assert (folder / "a").read_text() == "b"
    assert hidden(folder) == []


def test_a_second_run_replaces_all_of_the_first(tmp_path):
    folder = fill(tmp_path / "s", "first")
    with result_folder(folder) as partial:
        (partial / "other").write_text("second")
    assert [path.name for path in folder.iterdir()] == ["other"]
    assert hidden(folder) == []


@pytest.mark.parametrize(
    "failure", [SlideError("s: broken"), ValueError("bad"), KeyboardInterrupt()]
)
def test_a_failure_leaves_the_old_result_and_nothing_else(tmp_path, failure):
    folder = fill(tmp_path / "s", "first")
    with pytest.raises(type(failure)):
        fill(folder, "half", failure)
    assert (folder / "inner" / "cells.txt").read_text() == "first"
    assert hidden(folder) == []


def test_names_with_pattern_signs_are_names(tmp_path):
    other = tmp_path / ".ab.partial-999999999"
    other.mkdir()
    fill(tmp_path / "[a]*", "words")
    assert other.is_dir()
    assert (tmp_path / "[a]*" / "inner" / "cells.txt").read_text() == "words"


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_what_a_killed_run_left_is_cleared_by_the_next(tmp_path):
    folder = fill(tmp_path / "s", "first")
    script = """
        import sys, time
        from histo.results.folder import result_folder
        with result_folder(sys.argv[1]) as partial:
            (partial / "half").write_text("half")
            print("ready", flush=True)
            time.sleep(60)
    """
    run = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), str(folder)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
    )
    with run:
        assert run.stdout.readline() == "ready\n"
        left = f".s.partial-{run.pid}"
        assert hidden(folder) == [left]
        fill(tmp_path / "s", "second")
        assert hidden(folder) == [left], "a living run keeps its folder"
        run.send_signal(signal.SIGKILL)
    fill(tmp_path / "s", "third")
    assert hidden(folder) == []
    assert (folder / "inner" / "cells.txt").read_text() == "third"


def test_a_result_set_aside_by_a_killed_run_comes_back(tmp_path):
    folder = fill(tmp_path / "s", "first")
    # A process number that no system gives.
    folder.rename(tmp_path / ".s.old-99999999")
    with pytest.raises(SlideError), result_folder(folder):
        raise SlideError("s: broken")
    assert (folder / "inner" / "cells.txt").read_text() == "first"
    assert hidden(folder) == []


def test_keep_takes_files_and_folders_over(tmp_path):
    folder = tmp_path / "s"
    with result_folder(folder) as partial:
        (partial / "labels").mkdir()
        (partial / "labels" / "0").write_bytes(b"labels")
        (partial / "outlines").write_bytes(b"rings")
        (partial / "calls").write_bytes(b"old")
    with result_folder(folder, keep=["labels", "outlines", "never"]) as partial:
        (partial / "calls").write_bytes(b"new")
    assert (folder / "labels" / "0").read_bytes() == b"labels"
    assert (folder / "outlines").read_bytes() == b"rings"
    assert (folder / "calls").read_bytes() == b"new"
    assert not (folder / "never").exists()


def test_what_a_reader_counted_meanwhile_is_kept(tmp_path):
    folder = tmp_path / "s"
    folder.mkdir()
    (folder / "recount-ann.json").write_text("3 fields")
    with result_folder(folder) as partial:
        (partial / "calls").write_bytes(b"new")
        copy_over(folder / "recount-ann.json", _written(tmp_path / "a", "9 fields"))
        (folder / "recount-bob.json").write_text("begun")
    assert (folder / "recount-ann.json").read_text() == "9 fields"
    assert (folder / "recount-bob.json").read_text() == "begun"


def _written(path, words):
    path.write_text(words)
    return path


def test_a_kept_folder_survives_a_failure(tmp_path):
    folder = fill(tmp_path / "s", "first")
    with pytest.raises(ValueError, match="no"), result_folder(folder, keep=["inner"]):
        raise ValueError("no")
    assert (folder / "inner" / "cells.txt").read_text() == "first"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full (Linux)")
def test_a_full_disk_is_one_sentence(tmp_path):
    folder = fill(tmp_path / "s", "first")
    with pytest.raises(ResultError, match=r"^s: the disk that holds .* is full; free some"):
        fill_the_disk(folder)
    assert (folder / "inner" / "cells.txt").read_text() == "first"
    assert hidden(folder) == []


def test_a_place_that_is_no_folder_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ResultError, match=r"^s: the results could not be written to"):
        with result_folder(tmp_path / "file" / "s"):
            pytest.fail("the block must not start")
    with pytest.raises(ResultError, match="could not be written"):
        check_writable(tmp_path / "file" / "out")


@pytest.mark.skipif(sys.platform == "win32", reason="needs permissions of POSIX")
def test_a_read_only_place_is_one_sentence(tmp_path):
    tmp_path.chmod(0o500)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)  # root may write everywhere
    try:
        with pytest.raises(ResultError, match=r"cannot be written to .*choose another output"):
            check_writable(tmp_path / "out")
    finally:
        if user == 0:
            os.seteuid(0)
        tmp_path.chmod(0o700)


def test_a_failure_to_read_elsewhere_is_not_renamed(tmp_path):
    with pytest.raises(FileNotFoundError), result_folder(tmp_path / "s"):
        (tmp_path / "slide.tif").read_bytes()
    assert not (tmp_path / "s").exists()


def test_replace_file_keeps_the_old_one_on_failure(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("old")
    with pytest.raises(FileNotFoundError):
        copy_over(path, tmp_path / "missing")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["metrics.csv"]


def test_check_writable_leaves_nothing(tmp_path):
    check_writable(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []
