"""`ctbmd batch` on several processes: the same answers, and what happens when one dies."""

import contextlib
import errno
import json
import logging
import os
import platform
import queue
import signal
import subprocess
import sys
import time
from pathlib import Path

import dying
import numpy as np
import pytest
from paths import ROOT
from phantoms import CENTRES, bundle, phantom
from volume_files import nifti_bytes, write

from CTBMDLib.cohort import batch
from CTBMDLib.cohort.batch import Job, Task, examine, run_batch
from CTBMDLib.cohort.caselist import Case, list_cases
from CTBMDLib.cohort.cluster import Cluster, Remote, bytes_of, packed, run_remote, unpacked
from CTBMDLib.cohort.journal import finished_keys
from CTBMDLib.cohort.outcome import Outcome
from CTBMDLib.cohort.pace import Pace, duration
from CTBMDLib.errors import CTBMDError
from CTBMDLib.model.bundle import ModelBundle
from CTBMDLib.progress import Progress

KilledWorker = pytest.importorskip("distributed").KilledWorker

COUNT = 4


@pytest.fixture(scope="module", autouse=True)
def numpy_computes():
    """As in the workers, whatever other tests have loaded: with torch there 'auto' takes it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delitem(sys.modules, "torch", raising=False)  # scipy trips over a None
        yield


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """Scans with their levels, a model, and one file that is no image."""
    folder = tmp_path_factory.mktemp("cluster")
    bundle(folder / "model", members=1)
    volume = phantom(spacing=(4.0, 4.0, 4.0))
    for n in range(COUNT):
        hu = (volume.hu + 20 * n * (volume.hu > 150)).astype(np.int16)
        write(folder / f"c{n}.nii.gz", nifti_bytes(hu, volume.ijk_to_ras), zipped=True)
    (folder / "bad.nii").write_bytes(b"no image")
    points = [{"level": x, "ras": list(CENTRES[x])} for x in ("L1", "L2")]
    (folder / "levels.json").write_text(json.dumps({"levels": points}))
    rows = [f"c{n}.nii.gz,C{n},levels.json" for n in range(COUNT)] + ["bad.nii,B,"]
    (folder / "cases.csv").write_text("\n".join(["path,case,levels", *rows]) + "\n")
    return folder


@pytest.fixture(scope="module")
def alone(cases):
    """What one process answers."""
    model = ModelBundle.load(cases / "model")
    return run_batch(cases / "cases.csv", cases / "alone.csv", model)


def values(report):
    return [result.to_dict() for result in report.results]


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="there is no kill -9")
def test_the_answers_are_those_of_one_process_and_a_dying_worker_costs_its_case_alone(
    cases, alone, monkeypatch
):
    from CTBMDLib.cohort import cluster

    (cases / "C1.kill").write_text("xx")  # alone as well
    (cases / "C2.kill").write_text("x")
    monkeypatch.setattr(cluster, "run_remote", dying.die)
    model = ModelBundle.load(cases / "model")
    with Cluster(2, memory_limit=bytes_of("2GB")) as pool:
        for number in pool.processes if sys.platform == "linux" else ():
            # What Dask sets for its workers makes a case four times as dear, see below.
            assert b"MALLOC_" not in Path(f"/proc/{number}/environ").read_bytes()
        report = run_batch(cases / "cases.csv", cases / "two.csv", model, pool=pool)
    wanted = values(alone)
    assert values(report) == [wanted[0], *wanted[2:]]  # to the last bit
    failed = {x.case.case: x.code for x in report.failures}
    assert failed == {"C1": "worker-died", "B": "damaged-file"}
    assert "ended twice" in next(x.reason for x in report.failures if x.case.case == "C1")
    assert not list(cases.glob(".*"))


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="a console's Ctrl-C is another thing there")
def test_ctrl_c_ends_in_seconds_and_the_same_command_completes(cases, alone, tmp_path):
    output = tmp_path / "t.csv"
    command = [sys.executable, "-m", "CTBMDLib", "batch", cases / "cases.csv"]
    command += ["--model", cases / "model", "--output", output, "--workers", "2"]
    process = subprocess.Popen(
        [str(x) for x in command],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        # A shell's job in the background ignores Ctrl-C, and so would what it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
        text=True,
    )
    while "g/cm2" not in process.stdout.readline():
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
    began = time.monotonic()
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and "goes on where it stopped" in said, said
    said = [x for x in said.splitlines() if "cases done" not in x]  # a line a minute
    assert len(said) == 1 and time.monotonic() - began < 30, said
    partial = (tmp_path / "t.partial.csv").read_text()
    whole = (cases / "alone.csv").read_text()
    assert set(partial.splitlines()) < set(whole.splitlines())
    model = ModelBundle.load(cases / "model")
    report = run_batch(cases / "cases.csv", output, model)
    assert report.resumed >= 1 and values(report) == values(alone)
    assert output.read_text() == whole and not (tmp_path / "t.partial.csv").exists()


def test_a_scheduler_that_goes_away_loses_nothing(cases, alone, tmp_path):
    import distributed

    model = ModelBundle.load(cases / "model")
    output = tmp_path / "t.csv"
    own = distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
    )
    pool = Cluster(0, own.scheduler_address)
    assert pool.threads == 1
    # A scheduler that is gone is told in a sentence, not by pages of Dask's own.
    named = [x for x in logging.root.manager.loggerDict if x.startswith("distributed")]
    assert named and not any(logging.getLogger(x).isEnabledFor(logging.ERROR) for x in named)

    def goes_away(*_):
        own.loop.add_callback(own.scheduler.close)

    with pytest.raises(CTBMDError, match="no longer answers") as caught:
        run_batch(cases / "cases.csv", output, model, pool=pool, on_case=goes_away)
    pool.close()
    with contextlib.suppress(Exception):
        own.close(timeout=1)
    assert caught.value.code == "scheduler-lost" and not output.exists()
    assert (tmp_path / "t.partial.csv").exists()
    report = run_batch(cases / "cases.csv", output, model)
    assert report.resumed >= 1 and values(report) == values(alone)


@pytest.mark.parametrize(("every_s", "sheet"), [(300.0, 20_000), (0.0, 0)])
def test_a_full_disk_is_one_sentence_and_what_is_finished_is_in_a_table(
    cases, alone, tmp_path, monkeypatch, every_s, sheet
):
    """Two workers; the disk holds the journal of three cases, or of two with their table."""
    import distributed

    model, output, room = ModelBundle.load(cases / "model"), tmp_path / "t.csv", [1 << 40]
    real = os.fsync

    def fsync(file):
        sizes = [x.stat().st_size for x in tmp_path.rglob("*") if x.is_file()]
        if sum(sizes) > room[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(file)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(batch, "PARTIAL_SECONDS", every_s)
    ended = []

    def fills(*_):
        ended.append(1)
        if len(ended) == 2:
            for path in tmp_path.glob(".t.csv.sheets/*.png"):  # as large as a real scan's
                path.write_bytes(bytes(sheet))
            room[0] = sum(x.stat().st_size for x in tmp_path.rglob("*") if x.is_file()) + 100

    own = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None
    )
    pool = Cluster(0, own.scheduler_address)
    try:
        with pytest.raises(CTBMDError, match="make room there") as caught:
            run_batch(cases / "cases.csv", output, model, pool=pool, on_case=fills)
    finally:
        pool.close()
        own.close(timeout=1)
    assert caught.value.code == "journal-not-written" and str(caught.value).count(".csv") == 1
    assert not output.exists() and not list(tmp_path.glob("*.part"))
    kept = len(finished_keys(output))
    partial = (tmp_path / "t.partial.csv").read_text().splitlines()
    assert 1 <= kept < COUNT
    # L1, L2 and their mean; what a table of before had stays where there is no room for a new one.
    assert len(partial) == 1 + 3 * kept or (not every_s and 1 < len(partial) < 1 + 3 * kept)
    assert set(partial) < set((cases / "alone.csv").read_text().splitlines())
    room[0] = 1 << 40
    report = run_batch(cases / "cases.csv", output, model)
    assert report.resumed == kept and values(report) == values(alone)
    assert output.read_text() == (cases / "alone.csv").read_text()


def test_a_case_is_sent_as_paths_and_comes_back_small(cases):
    import pickle

    model = ModelBundle.load(cases / "model")
    job = Job(model, None, "auto", False, None, b"k" * 32)
    first = list_cases(cases / "cases.csv")[0]
    task = Task(0, first, first)
    assert len(pickle.dumps((task, Remote.of(job)))) < 2000
    outcome = examine(task, job, Progress())
    sent = packed(outcome)
    assert len(pickle.dumps(sent)) < 100_000
    assert unpacked(sent) == outcome and outcome.result.images == {}
    assert outcome.sheet.startswith(b"\x89PNG")


class Lost:
    """A future of Dask's whose answer went with its worker before it was fetched."""

    def __init__(self, statuses, error=None):
        self.key, self._statuses, self._error = "k", list(statuses), error

    @property
    def status(self):
        return self._statuses.pop(0) if len(self._statuses) > 1 else self._statuses[0]

    def add_done_callback(self, tell):
        tell(self)

    def result(self, timeout):
        if self._error:
            raise self._error
        return packed(Outcome(None, "the second time", "x"))

    def release(self):
        pass


@pytest.mark.parametrize(
    ("statuses", "error", "answer"),
    [
        (["pending", "finished"], None, "the second time"),
        (["finished"], KilledWorker("k", None, 0), None),
        (["finished"], TimeoutError(), None),
    ],
)
def test_an_answer_that_went_with_its_worker_is_asked_for_again(
    monkeypatch, statuses, error, answer
):
    pool = object.__new__(Cluster)
    pool._done = queue.SimpleQueue()
    monkeypatch.setattr(Cluster, "threads", 1)
    monkeypatch.setattr(Cluster, "_submit", lambda *_: Lost(statuses, error))
    task = Task(0, Case("a"), Case("a"))
    [(told, outcome)] = pool._all([task], None, Progress())
    assert told is task and (outcome.reason if outcome else None) == answer


FAULTS = """
import resource
import numpy as np
from CTBMDLib.cohort.cluster import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for size in range(17, 22):  # 128 KB to 4 MB, 40 times each
        for _ in range(40):
            np.ones(1 << size, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(faults(), keep_freed_memory(), faults(), faults())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a setting of glibc")
@pytest.mark.parametrize(("said", "done"), [("65536", True), ("131072", False), (None, False)])
def test_a_worker_of_a_users_cluster_keeps_the_memory_it_has_freed(said, done):
    ours = {x: y for x, y in os.environ.items() if not x.startswith("MALLOC_")}
    ours |= {"PYTHONPATH": str(ROOT)} | ({"MALLOC_TRIM_THRESHOLD_": said} if said else {})
    command = [sys.executable, "-c", FAULTS]
    told = subprocess.run(command, env=ours, capture_output=True, text=True, check=True).stdout
    before, kept, _, after = told.split()
    assert kept == str(done)
    if platform.libc_ver()[0] == "glibc":
        # The arrays are 39,680 pages of 4 KB: each is cleared anew, or few are.
        assert (int(after) < 5_000) == (done or said is None)
        assert (int(before) > 30_000) == (said is not None)


@pytest.mark.parametrize("change", [{"sha256": "0"}, {"version": "0"}, {"folder": "nowhere"}])
def test_a_worker_that_differs_says_so(cases, change):
    from dataclasses import replace

    model = ModelBundle.load(cases / "model")
    remote = Remote.of(Job(model, None, "auto", False, None, b""))
    task = Task(0, Case("x"), Case("x"))
    out = run_remote(task, replace(remote, **change))
    assert out["result"] is None and out["code"] != "no-such-file"
    assert run_remote(task, remote)["code"] == "no-such-file"


def test_a_scheduler_that_does_not_answer_is_one_sentence(monkeypatch):
    monkeypatch.setattr("CTBMDLib.cohort.cluster.ANSWER_SECONDS", 1.0)
    with pytest.raises(CTBMDError, match="No Dask scheduler answers at tcp://127.0.0.1:1 "):
        Cluster(0, "tcp://127.0.0.1:1")


@pytest.mark.parametrize(
    ("text", "size"), [("4GB", 4 * 10**9), ("4 GiB", 4 << 30), ("1.5g", 15 * 10**8)]
)
def test_memory_limits(text, size):
    assert bytes_of(text) == size


@pytest.mark.parametrize("text", ["", "much", "4", "-3GB", "1MB", "1..2GB"])
def test_what_is_no_memory_limit(text):
    with pytest.raises(CTBMDError, match="no memory limit"):
        bytes_of(text)


def test_the_pace_is_told_in_words_and_once_a_minute():
    now, lines, shown = [0.0], [], []
    pace = Pace(lambda done, text: shown.append(text), lines.append, lambda: now[0])
    for n in range(1, 11):
        now[0] += 30.0
        pace.case_ended()
        pace.report(n / 20, f"case {n}")
    assert lines[-1].startswith("50 %: 10 cases done, 2.0 a minute, ")
    assert len(lines) == 5 and shown[-1].startswith("[##########..........] 10 cases done")
    assert [duration(x) for x in (40, 200, 4200, 190_000)] == [
        "40 s", "3 min", "1 h 10 min", "2 d 4 h"
    ]  # fmt: skip
