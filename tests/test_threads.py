"""Work on several threads: order, look-ahead, failures, and what is left behind."""

import itertools
import threading
import time

import pytest

from histo.threads import in_order, worker_count


def threads_left():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("histo")]


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_results_come_in_the_order_of_the_items(workers):
    def late_first(item):
        time.sleep(0.02 if item % 3 == 0 else 0)
        return item * item

    assert list(in_order(late_first, range(20), workers=workers)) == [n * n for n in range(20)]
    assert not threads_left()


def test_no_items_no_results():
    assert list(in_order(abs, [])) == []


def test_workers_are_at_work_at_the_same_time():
    together = threading.Barrier(3, timeout=30)
    assert len(list(in_order(lambda _: together.wait(), range(6), workers=3))) == 6


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_items_are_taken_only_when_there_is_room(workers):
    taken = itertools.count(1)
    last_taken = 0

    def source():
        nonlocal last_taken
        for _ in range(30):
            last_taken = next(taken)
            yield last_taken

    for received, _ in enumerate(in_order(abs, source(), workers=workers), 1):
        assert last_taken <= received + workers


def test_a_failure_comes_before_results_that_are_not_there_yet():
    begun = []

    def work(item):
        begun.append(item)
        if item == 1:
            raise KeyError(item)
        time.sleep(0.2)
        return item

    results = in_order(work, itertools.count(), workers=2)
    with pytest.raises(KeyError):
        next(results)
    assert max(begun) <= 2, "work went on after the failure"
    assert not threads_left()
    with pytest.raises(StopIteration):
        next(results)


def test_results_before_a_failure_are_kept_where_they_were_handed_out():
    results = in_order(lambda item: 1 / (3 - item), range(9), workers=1)
    assert next(results) == pytest.approx(1 / 3)
    with pytest.raises(ZeroDivisionError):
        list(results)


def test_a_source_that_fails_ends_the_threads():
    def source():
        yield 1
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        list(in_order(abs, source(), workers=2))
    assert not threads_left()


def test_closing_leaves_no_thread_and_begins_nothing_more():
    begun = []
    results = in_order(begun.append, itertools.count(), workers=2)
    next(results)
    assert threads_left()
    results.close()
    assert not threads_left()
    number = len(begun)
    time.sleep(0.05)
    assert len(begun) == number


def test_one_stage_feeds_the_next():
    inner = in_order(lambda item: item + 1, range(50), workers=2)
    assert list(in_order(lambda item: item * 2, inner, workers=3)) == list(range(2, 102, 2))


def test_there_is_a_worker_at_least():
    with pytest.raises(ValueError, match="workers must be 1 or more, got 0"):
        list(in_order(abs, [1], workers=0))
    assert 1 <= worker_count() <= 8
