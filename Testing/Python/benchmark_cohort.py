"""What a cohort costs: CPU-seconds of a CT by stage, throughput with 1 and 2 workers, Dask's overhead.

    python Testing/Python/benchmark_cohort.py [--ct PATH] [--cases 12] [--stages-only]
    python Testing/Python/benchmark_cohort.py --memory [--workers 4] [--folder DIR]

Prints what was measured and what 20,000 CTs would take, worked out from the stages.
CPU-seconds are of the process and hardly depend on who else uses the machine;
throughput does, so that the load of the machine is printed beside it, and a machine
that others use is said to be one. Starting the processes is told apart from throughput:
it is paid once, whatever the number of CTs. `--memory` instead measures the memory of
workers that each hold a CT of 1,000 slices of 512 x 512 pixels.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple
from unittest import mock

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "Testing/Python/helpers")]
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as `ctbmd` does, before numpy is imported

COHORT = 20_000
QUIET = 0.3
"""Load of a machine above which others are at work."""


class Clock:
    """CPU-seconds and seconds of each stage."""

    def __init__(self):
        self.cpu, self.wall = {}, {}

    def run(self, stage, call):
        cpu, wall = time.process_time(), time.monotonic()
        out = call()
        self.cpu[stage] = time.process_time() - cpu
        self.wall[stage] = time.monotonic() - wall
        return out

    def split(self, stage, part, network):
        """Tell a part of a stage apart from the rest of it."""
        for kept, seconds in zip((self.cpu, self.wall), network, strict=True):
            kept[stage] -= seconds
            kept[part] = seconds


@contextlib.contextmanager
def timed_network():
    """CPU-seconds and seconds that the bundle's networks take meanwhile, in a list."""
    from CTBMDLib.model.bundle import ModelBundle

    spent, own = [0.0, 0.0], ModelBundle.predict

    def predict(bundle, *given, **named):
        cpu, wall = time.process_time(), time.monotonic()
        try:
            return own(bundle, *given, **named)
        finally:
            spent[0] += time.process_time() - cpu
            spent[1] += time.monotonic() - wall

    with mock.patch.object(ModelBundle, "predict", predict):
        yield spent


def stages(path, bundle):
    """A CT through the stages of one task."""
    from CTBMDLib.bmd.estimate import estimate
    from CTBMDLib.cohort.caselist import Case
    from CTBMDLib.cohort.journal import case_key
    from CTBMDLib.cohort.outcome import facts_of
    from CTBMDLib.cohort.sheet import contact_sheet
    from CTBMDLib.reading.reading import read_ct
    from CTBMDLib.spine.locate import find_levels

    clock, case = Clock(), Case(str(path))
    clock.run("what the result depends on (key)", lambda: case_key(case))
    volume = clock.run("reading", lambda: read_ct(path))
    selection = clock.run("finding the levels", lambda: find_levels(volume))
    with timed_network() as network:
        result = clock.run(
            "estimating, but for the network", lambda: estimate(volume, selection, bundle)
        )
    clock.split("estimating, but for the network", "the network", network)
    clock.run("facts of the scan", lambda: facts_of(case, volume, result, b"k"))
    clock.run("contact sheet", lambda: contact_sheet(result.images))
    return clock, volume.hu.shape


def spent_by(pids):
    """What each thread of some processes has spent: {(process, thread): (CPU-seconds, seconds queued)}.

    Queued is ready to run, while others had the cores; told by Linux alone, elsewhere {}.
    """
    spent = {}
    for pid in pids:
        for file in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            with contextlib.suppress(OSError, ValueError):
                cpu, queued = (int(x) / 1e9 for x in file.read_text().split()[:2])
                spent[pid, file.parent.name] = cpu, queued
    return spent


def working(before, after):
    """CPU-seconds of all threads, and (CPU-seconds, seconds queued) of each process's busiest one."""
    new = {x: (after[x][0] - before.get(x, (0, 0))[0], after[x][1] - before.get(x, (0, 0))[1])
           for x in after}  # fmt: skip
    busiest = [max(y for x, y in new.items() if x[0] == pid) for pid in {x[0] for x in new}]
    return sum(cpu for cpu, _ in new.values()), busiest


class Throughput(NamedTuple):
    """A batch on some workers: seconds to start them, to warm them up, and for the CTs."""

    started: float
    warmed: float
    seconds: float
    cases: int
    workers: int
    cpu: float
    busiest: list
    here: float  # CPU-seconds of this process, in which the scheduler is as well

    @property
    def a_minute(self):
        return 60 * self.cases / self.seconds

    def costs(self):
        """CPU-seconds of a CT in its worker and here, and how long a worker neither worked nor queued."""
        if not self.busiest:
            return f"CPU-seconds a CT here: {self.here / self.cases:.2f}"
        queued = sum(x[1] for x in self.busiest)
        idle = self.workers * self.seconds - sum(map(sum, self.busiest))
        return (
            f"CPU-seconds a CT: {self.cpu / self.cases:.2f} in its worker, {self.here / self.cases:.2f} here; "
            f"its worker waited {queued / self.cases:.2f} s for a core and {idle / self.cases:.2f} s for anything else"
        )


def throughput(source, bundle, workers, folder):
    """A batch whose processes have started and have each had a CT: what a long run goes on at."""
    from CTBMDLib.cohort.batch import run_batch
    from CTBMDLib.cohort.cluster import Cluster

    began = time.monotonic()
    with Cluster(workers) as pool:
        started = time.monotonic()
        # Each process imports, reads the model and has its first CT.
        paths = sorted(source.iterdir())
        first = folder / f"first{workers}.csv"
        lines = [f"{paths[n % len(paths)]},{n}" for n in range(3 * workers)]
        first.write_text("\n".join(["path,case", *lines]))
        run_batch(first, folder / f"warm{workers}.csv", bundle, pool=pool)
        pids = pool.processes
        warmed, before, here = time.monotonic(), spent_by(pids), time.process_time()
        report = run_batch(source, folder / f"{workers}.csv", bundle, pool=pool)
        ended, here = time.monotonic(), time.process_time() - here
        cpu, busiest = working(before, spent_by(pids))
    cases = len(report.results)
    return Throughput(
        started - began, warmed - started, ended - warmed, cases, workers, cpu, busiest, here
    )


def overhead(tasks=300):
    """Seconds that Dask and sending cost a case: cases that fail at once, with and without it."""
    from CTBMDLib.cohort.batch import Job, Task, in_this_process
    from CTBMDLib.cohort.caselist import Case
    from CTBMDLib.cohort.cluster import Cluster
    from CTBMDLib.model.bundle import ModelBundle, default_bundle_folder
    from CTBMDLib.progress import Progress

    job = Job(ModelBundle.load(default_bundle_folder()), None, "auto", False, None, b"")
    cases = [Task(n, Case("no such file"), Case("no such file", case=str(n))) for n in range(tasks)]

    def seconds(outcomes):
        list(outcomes(cases[:5], job, Progress()))  # everything is imported
        began, cpu = time.monotonic(), time.process_time()
        list(outcomes(cases, job, Progress()))
        return (time.monotonic() - began) / tasks, (time.process_time() - cpu) / tasks

    plain = seconds(in_this_process)
    with Cluster(1) as pool:
        dask = seconds(pool.outcomes)
    return tuple(max(0.0, x - y) for x, y in zip(dask, plain, strict=True))


def large_ct(folder, slices=1000, size=512, pixel_mm=0.78, between_mm=0.6):
    """The sample as a CT of the whole trunk: its person, and the top slice upwards from there."""
    import numpy as np

    from CTBMDLib.reading.reading import read_ct
    from training.virtual.dicom import Header, dicom_bytes

    volume = read_ct(ct_of_the_sample(folder))
    hu, matrix = volume.hu, volume.ijk_to_ras
    step = np.diag(matrix)[:3]
    low = matrix[:3, 3]
    heights = low[2] - 5.0 + between_mm * np.arange(slices)
    middle = low[:2] + step[:2] * (np.array(hu.shape[:0:-1]) - 1) / 2
    # Rows go to the back and columns to the left, as DICOM has them.
    sideways = pixel_mm * (np.arange(size) - size / 2)
    i = np.rint((middle[0] - sideways - low[0]) / step[0]).astype(int)
    j = np.rint((middle[1] - sideways - low[1]) / step[1]).astype(int)
    outside = ((j < 0) | (j >= hu.shape[1]))[:, None] | ((i < 0) | (i >= hu.shape[2]))
    i, j = np.clip(i, 0, hu.shape[2] - 1), np.clip(j, 0, hu.shape[1] - 1)
    facts = volume.acquisition
    header = Header(
        key="large CT of the benchmark", patient_id="VIRTUAL-LARGE", patient_name="CTBMD^Large",
        sex=facts.sex or "F", age_years=facts.age_years or 60.0, kvp=facts.kvp or 120.0,
        kernel="STANDARD", thickness_mm=between_mm, between_mm=between_mm, pixel_mm=pixel_mm,
    )  # fmt: skip
    corner = (middle[0] - sideways[0], middle[1] - sideways[0])
    noise = np.random.default_rng(1).integers(-12, 13, (8, size, size), np.int16)
    for number, height in enumerate(heights[::-1], start=1):
        k = int(np.clip(np.rint((height - low[2]) / step[2]), 0, len(hu) - 1))
        plane = np.where(outside, -1000, hu[k][np.ix_(j, i)] + noise[number % 8]).astype(np.int16)
        data = dicom_bytes(plane, height, number, corner, header, slices)
        (folder / f"CT_{number:04d}.dcm").write_bytes(data)
    return folder


def memory_of(process):
    """Bytes in use by a process and all that it started: (the sum, the largest of them)."""
    import psutil

    sizes = []
    for one in [process, *process.children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            sizes.append(one.memory_info().rss)
    return sum(sizes), max(sizes, default=0)


def memory(workers, kept):
    """Print what a batch of large CTs takes, all its processes together; exit code 1 above 4 GB."""
    import psutil

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ct = Path(kept) if kept else folder / "ct"
        ct.mkdir(parents=True, exist_ok=True)
        if not any(ct.iterdir()):
            large_ct(ct)
        files = sorted(ct.iterdir())
        print(f"CT of {len(files)} slices, {sum(x.stat().st_size for x in files) / 1e6:.0f} MB")
        lines = [f"{ct},{n}" for n in range(workers)]
        (folder / "list.csv").write_text("\n".join(["path,case", *lines]) + "\n")
        command = [sys.executable, "-m", "CTBMDLib", "batch", folder / "list.csv"]
        command += ["--output", folder / "t.csv", "--workers", workers, "--memory-limit", "1000MB"]
        began = time.monotonic()
        started = subprocess.Popen(
            [str(x) for x in command], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        process, most, largest = psutil.Process(started.pid), 0, 0
        while started.poll() is None:
            with contextlib.suppress(psutil.Error):
                total, one = memory_of(process)
                most, largest = max(most, total), max(largest, one)
            time.sleep(0.1)
        said = started.stdout.read().decode()
    print(said.rstrip())
    print(
        f"{workers} workers, {workers} such CTs at once, {time.monotonic() - began:.0f} s: at most "
        f"{most / 1e9:.2f} GB in all processes together (the largest {largest / 1e9:.2f} GB), "
        "pages that they share counted in each"
    )
    return 1 if started.returncode or most > 4e9 else 0


def ct_of_the_sample(folder):
    """The sample that comes with CTBMD."""
    found = (
        sorted((ROOT / "Resources/SampleData").glob("*.nii*"))
        or sorted((ROOT / "Resources/SampleData").glob("*.zip"))
        or sorted((ROOT / "Resources/SampleData").glob("*.nrrd"))
    )
    return found[0]


def tell(clock, shape):
    """Print the stages; the CPU-seconds of a CT."""
    total = sum(clock.cpu.values())
    print(f"CT of {' x '.join(map(str, shape))} voxels; CPU-seconds by stage:")
    for stage, cpu in clock.cpu.items():
        print(
            f"  {stage:<34}{cpu:8.2f} s  {100 * cpu / total:5.1f} %  ({clock.wall[stage]:.1f} s by the clock)"
        )
    print(f"  {'all':<34}{total:8.2f} s")
    return total


def main(arguments=None):
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ct", type=Path, help="another CT than the sample that comes with CTBMD")
    parser.add_argument("--cases", type=int, default=12, help="copies of it that are run")
    parser.add_argument("--stages-only", action="store_true", help="no workers are started")
    parser.add_argument("--memory", action="store_true", help="only the memory of large CTs")
    parser.add_argument("--workers", type=int, default=4, help="of --memory")
    parser.add_argument("--folder", help="where --memory keeps its CT (0.5 GB) for another time")
    options = parser.parse_args(arguments)
    if options.memory:
        return memory(options.workers, options.folder)

    from CTBMDLib.model.bundle import ModelBundle, default_bundle_folder

    bundle = ModelBundle.load(default_bundle_folder())
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    busy = os.getloadavg()[0]
    print(f"cores: {cores}; load of the machine before: {busy:.1f} (shared where above 0)")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = options.ct or ct_of_the_sample(folder)
        clock, shape = stages(path, bundle)
        cpu = tell(clock, shape)
        each, each_cpu = (0.0, 0.0)
        if not options.stages_only:
            source = folder / "in"
            source.mkdir()
            for n in range(options.cases):
                if path.is_dir():
                    shutil.copytree(path, source / f"{n}")
                else:
                    shutil.copy(path, source / f"{n}{''.join(path.suffixes[-2:])}")
            plain = None
            for workers in (1, 2, *([16] if cores >= 16 else [])):
                run = throughput(source, bundle, workers, folder)
                rate = run.a_minute
                note = "" if plain is None else f"; efficiency {rate / (workers * plain):.2f}"
                plain = plain or rate
                print(
                    f"{workers} worker(s): {rate:.2f} CTs a minute{note} (once: {run.started:.1f} s to start, "
                    f"{run.warmed:.1f} s for the first {3 * workers} CTs)\n  {run.costs()}"
                )
            each, each_cpu = overhead()
            print(f"Dask and sending: {1000 * each:.1f} ms a case by the clock, {1000 * each_cpu:.1f} ms CPU here, "
                  f"{100 * each / (cpu + each):.2f} % of a case")  # fmt: skip
        print(f"load of the machine after: {os.getloadavg()[0]:.1f}")
        if busy > QUIET and not options.stages_only:
            print("Others used the machine: do not trust throughput and efficiency of this run.")
        for n in (1, cores, 32):
            hours = COHORT * (cpu + each) / n / 3600
            print(
                f"{COHORT:,} such CTs, worked out: {hours:.1f} h on {n} core(s), reading as fast as here"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
