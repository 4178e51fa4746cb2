"""Processes: in order or as they come, an error ends the others, and one worker is none."""

import os
import time

import pytest

from training.processes import cores, results, workers_for


def double(x):
    return 2 * x


def slow_or_wrong(x):
    if x == 0:
        raise ValueError("no such job")
    time.sleep(x)
    return os.getpid()


def test_answers_come_in_order_whatever_the_workers():
    jobs = [(x,) for x in range(6)]
    assert list(results(double, jobs, 1)) == [0, 2, 4, 6, 8, 10]
    assert list(results(double, jobs, 2)) == [0, 2, 4, 6, 8, 10]
    assert sorted(results(double, jobs, 2, ordered=False)) == [0, 2, 4, 6, 8, 10]
    assert list(results(double, [], 2)) == []


def test_one_worker_or_one_job_is_done_here():
    assert list(results(slow_or_wrong, [(0.01,)], 4)) == [os.getpid()]
    assert list(results(slow_or_wrong, [(0.01,), (0.01,)], 1)) == [os.getpid()] * 2


def test_an_error_ends_the_others_at_once():
    start = time.time()
    with pytest.raises(ValueError, match="no such job"):
        list(results(slow_or_wrong, [(0,), (60,), (60,)], 2, ordered=False))
    assert time.time() - start < 30


def test_a_caller_that_stops_reading_ends_the_workers():
    start = time.time()
    answers = results(slow_or_wrong, [(0.01,), (60,), (60,)], 2)
    assert next(answers) != os.getpid()
    answers.close()
    assert time.time() - start < 30


def test_no_more_workers_than_jobs_and_at_least_one():
    assert workers_for(3, 8) == 3 and workers_for(0, None) == 1 and workers_for(100, 4) == 4
    assert workers_for(1000) == cores()
