"""Long work in a real child process: how it answers, stops, breaks and is cleared away."""

import json
import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

pytest.importorskip("qtpy", reason="qtpy comes with the extra [napari]")
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "plugins"))

from napari_histo import runner  # noqa: E402
from napari_histo.runner import Job, TimeLeft  # noqa: E402

from histo.errors import HistoError  # noqa: E402
from histo.results import clear_leftovers  # noqa: E402

pytestmark = pytest.mark.gui
ODD = (sys.executable, str(Path(__file__).with_name("odd_job.py")))
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="processes are killed otherwise there")


@pytest.fixture
def job(qtbot):
    made = Job(command=ODD)
    yield made
    made.close()


def ended(qtbot, job, task, arguments=None, **options):
    with qtbot.waitSignal(job.ended, timeout=60_000) as signal_:
        job.start(task, arguments or {}, **options)
    return signal_.args[0]


def started(qtbot, job, task, arguments):
    """Start a task and wait until it is at work; return its process id."""
    with qtbot.waitSignal(job.progressed, timeout=60_000):
        job.start(task, arguments)
    return job._child.pid


def lives(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_task_tells_hands_out_and_answers(qtbot, job):
    told, handed = [], []
    job.progressed.connect(lambda *news: told.append(news))
    job.reported.connect(lambda *news: handed.append(news))
    outcome = ended(qtbot, job, "quiet", {"a": [1, None, "µ"]})
    assert (outcome.status, outcome.message) == ("finished", "")
    assert outcome.value["asked"] == {"a": [1, None, "µ"]}
    assert told == [("counting", 0.5), ("counting", 1.0)]
    assert handed == [("cells", {"y_um": [1.0], "x_um": [2.0]})]
    assert not job.busy
    assert not lives(outcome.value["pid"]), "the process ends with its task"


def test_a_child_that_is_kept_answers_again(qtbot, job):
    first = ended(qtbot, job, "quiet", keep_alive=True).value["pid"]
    assert lives(first)
    assert ended(qtbot, job, "refusing", keep_alive=True).status == "failed"
    with qtbot.waitSignal(job.ended, timeout=60_000) as again:
        job.ask("quiet", {})
    assert again.args[0].value["pid"] == first
    job.close()
    assert not lives(first)


def test_what_else_is_printed_goes_to_the_log(qtbot, job):
    outcome = ended(qtbot, job, "chatty")
    assert outcome.value == {"chatted": True}
    for words in ("rubbish from Python", "rubbish from below"):
        assert words in outcome.log


def test_an_error_is_its_sentence_and_a_fault_a_sentence_with_a_log(qtbot, job):
    outcome = ended(qtbot, job, "refusing")
    assert (outcome.status, outcome.message) == ("failed", "a.tif: is empty; copy the file again.")
    fault = ended(qtbot, job, "faulty")
    assert fault.message.startswith("Stopped by a fault of histo (ZeroDivisionError")
    assert "\n" not in fault.message
    assert "in faulty" in fault.log


def test_a_child_that_leaves_or_talks_rubbish_is_a_sentence(qtbot, job):
    assert "without an answer (exit code 3)" in ended(qtbot, job, "leaving").message
    stranger = Job(command=(sys.executable, "-c", "print('hello'); print('{}'); print('[1]')"))
    outcome = ended(qtbot, stranger, "analyse")
    assert outcome.status == "failed"
    assert "without an answer" in outcome.message
    assert "hello" in outcome.log


def test_a_program_that_does_not_start_is_a_sentence(qtbot):
    job = Job(command=("/nowhere/python",))
    outcome = ended(qtbot, job, "analyse")
    assert outcome.status == "failed"
    assert outcome.message.startswith("Python could not be started")
    assert "/nowhere/python" in outcome.message
    assert not job.busy


def test_a_second_start_is_refused_here_and_in_the_same_folder(qtbot, job, tmp_path):
    started(qtbot, job, "endless", {"out": str(tmp_path)})
    with pytest.raises(HistoError, match="going on here already"):
        job.start("quiet", {})
    other = Job(command=ODD)
    with pytest.raises(HistoError, match="another run writes into this folder"):
        other.start("endless", {"out": f"{tmp_path}/"})
    assert ended(qtbot, other, "quiet", {"out": str(tmp_path / "elsewhere")}).status == "finished"
    assert job.busy


def test_cancel_asks_and_the_child_clears_up(qtbot, job, tmp_path):
    pid = started(qtbot, job, "endless", {"out": str(tmp_path)})
    with qtbot.waitSignal(job.ended, timeout=4000) as signal_:
        job.cancel()
    assert signal_.args[0].status == "cancelled"
    assert not lives(pid)
    assert list(tmp_path.iterdir()) == []


@POSIX
def test_cancel_kills_a_child_that_does_not_listen(qtbot, job, tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "_GRACE_MS", 200)
    pid = started(qtbot, job, "stubborn", {"out": str(tmp_path)})
    assert [path.name for path in tmp_path.iterdir()] == [f".section.partial-{pid}"]
    with qtbot.waitSignal(job.ended, timeout=20_000) as signal_:
        job.cancel()
    assert signal_.args[0].status == "cancelled"
    assert not lives(pid)
    assert list(tmp_path.iterdir()) == []


@POSIX
def test_a_killed_child_is_a_sentence_and_nothing_is_lost(qtbot, job, tmp_path):
    (tmp_path / "section").mkdir()
    (tmp_path / "section" / "metrics.json").write_text("former")
    pid = started(qtbot, job, "stubborn", {"out": str(tmp_path)})
    with qtbot.waitSignal(job.ended, timeout=20_000) as signal_:
        os.kill(pid, signal.SIGKILL)
    outcome = signal_.args[0]
    assert outcome.status == "failed"
    assert outcome.message.startswith("The run was ended from outside")
    assert [path.name for path in tmp_path.iterdir()] == ["section"]
    assert (tmp_path / "section" / "metrics.json").read_text() == "former"
    assert ended(qtbot, job, "quiet").status == "finished", "the next run starts as usual"


@POSIX
def test_nothing_survives_the_end_of_its_owner(qtbot, tmp_path):
    from qtpy.QtCore import QEvent
    from qtpy.QtWidgets import QApplication, QWidget

    owner = QWidget()
    job = Job(owner, command=ODD)
    pid = started(qtbot, job, "stubborn", {"out": str(tmp_path)})
    owner.deleteLater()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    assert not lives(pid)
    assert list(tmp_path.iterdir()) == []


@POSIX
def test_closing_the_viewer_ends_the_run(make_napari_viewer, qtbot, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        viewer = make_napari_viewer(show=True)
        from qtpy.QtWidgets import QWidget

        widget = QWidget()
        job = Job(widget, command=ODD)
        viewer.window.add_dock_widget(widget)
        pid = started(qtbot, job, "stubborn", {"out": str(tmp_path)})
        viewer.close()
        del widget, job
        qtbot.waitUntil(lambda: not lives(pid), timeout=10_000)
    assert list(tmp_path.iterdir()) == []


def test_a_child_whose_viewer_has_died_ends(tmp_path):
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'plugins'}"}
    child = subprocess.Popen(
        ODD, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    request = {"task": "endless", "arguments": {"out": str(tmp_path)}}
    child.stdin.write(json.dumps(request) + "\n")
    child.stdin.flush()
    assert json.loads(child.stdout.readline())["event"] == "progress"
    child.stdin.close()
    child.stdout.read()
    child.stdout.close()
    assert child.wait(timeout=10) == 0
    assert list(tmp_path.iterdir()) == []


def test_a_result_that_was_set_aside_is_put_back(tmp_path):
    (tmp_path / ".a.old-7").mkdir()
    (tmp_path / ".a.old-7" / "former").write_text("")
    (tmp_path / "b").mkdir()
    for name in (".b.old-7", ".b.partial-7", ".c.partial-77"):
        (tmp_path / name).mkdir()
    (tmp_path / ".metrics.partial-7.csv").write_text("")
    clear_leftovers(tmp_path, 7)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".c.partial-77", "a", "b"]
    assert (tmp_path / "a" / "former").exists()


def test_time_left_counts_down_between_two_pieces_of_news():
    left = TimeLeft()
    assert left.seconds(now=0.0) is None
    left.see(0.0, now=100.0)
    left.see(0.04, now=101.0)
    assert left.seconds(now=101.0) is None, "too early to say"
    left.see(0.2, now=120.0)
    assert left.seconds(now=120.0) == pytest.approx(80.0)
    assert left.seconds(now=130.0) == pytest.approx(70.0)
    assert left.seconds(now=999.0) == 0.0


def test_modules_and_widgets_load_nothing_heavy():
    script = (
        "import sys; from qtpy.QtWidgets import QApplication; app = QApplication([])\n"
        "import napari_histo.job, napari_histo.runner, napari_histo.tasks\n"
        "from napari_histo.settings_form import SettingsForm; SettingsForm()\n"
        "import napari_histo.analyse, napari_histo.batch\n"
        "print(sorted({'torch', 'numba', 'openvino', 'matplotlib'} & set(sys.modules)))"
    )
    path = f"{ROOT}{os.pathsep}{ROOT / 'plugins'}"
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert run.stdout.strip() == "[]"


def test_the_list_of_tasks_names_what_exists():
    from importlib import import_module

    from napari_histo.job import TASKS

    for place in TASKS.values():
        module, _, name = place.partition(":")
        assert callable(getattr(import_module(module), name))
