"""Processes: in order or as they come, an error ends the others, and one worker is none."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

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


def mark_and_wait(folder, number):
    (folder / f"{number}.{os.getpid()}").touch()
    time.sleep(120)


def alive(pid) -> bool:
    """Whether a process runs; one that ended and was not yet fetched does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="reads /proc")
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_a_parent_that_was_killed(tmp_path, how):
    program = (
        "import sys; from pathlib import Path; sys.path[:0] = sys.argv[1], sys.argv[3]\n"
        "from test_processes import mark_and_wait; from training.processes import results\n"
        "if __name__ == '__main__':\n"
        "    folder = Path(sys.argv[2])\n"
        "    list(results(mark_and_wait, [(folder, 1), (folder, 2)], 2))\n"
    )
    script = tmp_path / "parent.py"
    script.write_text(program)
    folder = tmp_path / "marks"
    folder.mkdir()
    here = Path(__file__)
    parent = subprocess.Popen([sys.executable, script, here.parent, folder, here.parents[3]])
    try:
        end = time.time() + 60
        while len(list(folder.iterdir())) < 2 and time.time() < end:
            time.sleep(0.05)
        workers = [int(file.suffix[1:]) for file in folder.iterdir()]
        assert len(workers) == 2 and all(alive(pid) for pid in workers)
    finally:
        parent.send_signal(how)
        parent.wait(30)
    end = time.time() + 20
    while any(alive(pid) for pid in workers) and time.time() < end:
        time.sleep(0.05)
    assert not any(alive(pid) for pid in workers)
