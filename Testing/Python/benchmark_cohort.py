"""What a cohort costs: CPU-seconds of a CT by stage, throughput with 1 and 2 workers, Dask's overhead.

    python Testing/Python/benchmark_cohort.py [--ct PATH] [--cases 6] [--stages-only]

Prints what was measured and what 20,000 CTs would take, worked out from the stages.
CPU-seconds are of the process and hardly depend on who else uses the machine;
throughput does, so that the load of the machine is printed beside it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "Testing/Python/helpers")]

COHORT = 20_000


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
    result = clock.run("estimating", lambda: estimate(volume, selection, bundle))
    clock.run("facts of the scan", lambda: facts_of(case, volume, result, b"k"))
    clock.run("contact sheet", lambda: contact_sheet(result.images))
    return clock, volume.hu.shape


def throughput(source, bundle, workers, folder):
    """Seconds of a batch after its processes have started, and the results."""
    from CTBMDLib.cohort.batch import run_batch
    from CTBMDLib.cohort.cluster import Cluster

    output = folder / f"{workers}.csv"
    if not workers:
        began = time.monotonic()
        return run_batch(source, output, bundle), time.monotonic() - began
    with Cluster(workers) as pool:
        began = time.monotonic()
        return run_batch(source, output, bundle, pool=pool), time.monotonic() - began


def overhead(tasks=200):
    """Seconds that Dask and sending cost a case: cases that fail at once, with 1 worker."""
    from CTBMDLib.cohort.batch import Job, Task
    from CTBMDLib.cohort.caselist import Case
    from CTBMDLib.cohort.cluster import Cluster
    from CTBMDLib.model.bundle import ModelBundle, default_bundle_folder
    from CTBMDLib.progress import Progress

    job = Job(ModelBundle.load(default_bundle_folder()), None, "auto", False, None, b"")
    cases = [Task(n, Case("no such file"), Case("no such file", case=str(n))) for n in range(tasks)]
    with Cluster(1) as pool:
        list(pool.outcomes(cases[:5], job, Progress()))  # the worker has imported everything
        began, cpu = time.monotonic(), time.process_time()
        list(pool.outcomes(cases, job, Progress()))
        return (time.monotonic() - began) / tasks, (time.process_time() - cpu) / tasks


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
    parser.add_argument("--cases", type=int, default=6, help="copies of it that are run")
    parser.add_argument("--stages-only", action="store_true", help="no workers are started")
    options = parser.parse_args(arguments)

    from CTBMDLib.model.bundle import ModelBundle, default_bundle_folder

    bundle = ModelBundle.load(default_bundle_folder())
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(
        f"cores: {cores}; load of the machine before: {os.getloadavg()[0]:.1f} (shared where above 0)"
    )
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
            for workers in (1, 2):
                report, seconds = throughput(source, bundle, workers, folder)
                rate = 60 * len(report.results) / seconds
                note = "" if plain is None else f"; efficiency {rate / (2 * plain):.2f}"
                plain = plain or rate
                print(f"{workers} worker(s): {rate:.2f} CTs a minute{note}")
            each, each_cpu = overhead()
            print(f"Dask and sending: {1000 * each:.1f} ms a case by the clock, {1000 * each_cpu:.1f} ms CPU here, "
                  f"{100 * each / (cpu + each):.2f} % of a case")  # fmt: skip
        print(f"load of the machine after: {os.getloadavg()[0]:.1f}")
        for n in (1, cores, 32):
            hours = COHORT * (cpu + each) / n / 3600
            print(
                f"{COHORT:,} such CTs, worked out: {hours:.1f} h on {n} core(s), reading as fast as here"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
