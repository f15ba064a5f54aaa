"""Loops as machine code: what they may use, and that they leave Python's lock alone."""

import importlib
import math
import threading
from pathlib import Path

import numba
import numpy as np
import pytest

import histo
from histo.compiled import compiled

SOURCE = Path(histo.__file__).parent
MODULES = sorted(
    ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts)
    for path in SOURCE.rglob("*.py")
    if "\n@compiled\n" in path.read_text(encoding="utf-8") and path.stem != "compiled"
)


def is_compiled(value):
    return isinstance(value, numba.core.dispatcher.Dispatcher)


@compiled
def turn_around(rounds):
    state = 1
    for _ in range(rounds):
        state = (state * 1103515245 + 12345) % 2147483648
    return state


@compiled
def divide(numbers, by):
    return numbers / by


def test_it_computes_what_python_computes():
    assert turn_around(1000) == turn_around.py_func(1000)


def test_division_by_zero_is_as_in_numpy():
    assert divide(1.0, 0.0) == math.inf
    assert np.isnan(divide(np.zeros(2), 0.0)).all()


def test_other_threads_run_meanwhile():
    turn_around(1)  # compiled now, so that only the loop is watched
    thread = threading.Thread(target=turn_around, args=(300_000_000,))
    thread.start()
    steps = 0
    while thread.is_alive():
        steps += 1
    assert steps > 1000


def test_code_without_a_file_is_compiled_anew_each_run():
    names = {}
    exec("def add(number):\n    return number + 1", names)
    assert compiled(names["add"])(1) == 2


def test_there_are_compiled_loops_to_check():
    assert {"histo.cells.expand", "histo.nuclei.instances", "histo.stain.density"} <= set(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_what_a_loop_calls_stands_in_its_own_file(name):
    """Numba's cache of a function does not notice that another file has changed."""
    module = importlib.import_module(name)
    for function in filter(is_compiled, vars(module).values()):
        assert function.__module__ == name
        assert function.targetoptions["nogil"]
        used = [module.__dict__.get(word) for word in function.py_func.__code__.co_names]
        assert all(called.__module__ == name for called in used if is_compiled(called))
