"""Seconds and memory of each step from a CT on disk to the table.

    python Testing/Python/benchmark.py [CASE] [--model DIR] [--repeats N]

Without CASE the real series `ct_acrin_f46` of the shared data is taken. Every
step runs once first, as a user meets it, then N times for the median. Before
each read the files are dropped from the system's cache where the system lets
us (Linux), so that 'from disk' is from disk. What starting costs is measured in
fresh processes, and told as a share of the work on the CT in the same run.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from CTBMDLib.errors import CTBMDError  # noqa: E402

MIB = 1024 * 1024


def drop_from_cache(path: Path) -> bool:
    """Ask the system to forget the files of a case; False where it cannot be asked."""
    if not hasattr(os, "posix_fadvise"):
        return False
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            with file.open("rb") as stream:
                os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return True


def reset_peak() -> None:
    """Start a new measurement of the process's peak memory (Linux only)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_mib() -> float:
    """Peak resident memory of this process since `reset_peak`, MiB."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / MIB if sys.platform == "darwin" else peak / 1024


STARTS = {
    "ctbmd --help": ("-m", "CTBMDLib", "--help"),
    "imports of an estimate": (
        "-c",
        "import CTBMDLib.cli, CTBMDLib.cohort.cases, CTBMDLib.spine.locate, "
        "CTBMDLib.bmd.estimate, CTBMDLib.bmd.export",
    ),
}


def start_up(repeats: int) -> dict[str, float]:
    """Median seconds of fresh processes, above those of a Python that does nothing."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}

    def median(arguments):
        times = []
        for _ in range(repeats + 1):
            start = time.perf_counter()
            command = [sys.executable, *arguments]
            subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
            times.append(time.perf_counter() - start)
        return statistics.median(times[1:] or times)

    empty = median(("-c", "pass"))
    return {"Python alone": empty} | {
        name: median(arguments) - empty for name, arguments in STARTS.items()
    }


class Steps:
    """Runs steps and keeps first and median seconds, peak memory and processor seconds."""

    def __init__(self, repeats: int):
        self.repeats = repeats
        self.rows: dict[str, tuple[float, float, float, float]] = {}

    def run(self, name, work, before=None):
        reset_peak()
        times, processor = [], []
        for _ in range(self.repeats + 1):
            if before:
                before()
            start, busy = time.perf_counter(), time.process_time()
            result = work()
            times.append(time.perf_counter() - start)
            processor.append(time.process_time() - busy)
        later = slice(1, None) if times[1:] else slice(None)
        self.rows[name] = (
            times[0],
            statistics.median(times[later]),
            peak_mib(),
            statistics.median(processor[later]),
        )
        return result


def benchmark(case: Path, model, repeats: int) -> str:
    """Run every step on a case and return the table."""
    start = time.perf_counter()
    from CTBMDLib.bmd.roi import trabecular_hu
    from CTBMDLib.levels import MEASURED
    from CTBMDLib.model.bundle import ModelBundle, default_bundle_folder
    from CTBMDLib.model.images import cut_images
    from CTBMDLib.reading.reading import read_ct
    from CTBMDLib.spine.locate import find_levels

    imported = time.perf_counter() - start
    import numpy as np

    bundle = ModelBundle.load(model or default_bundle_folder())
    base = peak_mib()
    steps = Steps(repeats)
    cold = drop_from_cache(case)
    volume = steps.run("read", lambda: read_ct(case), lambda: drop_from_cache(case))
    steps.run("read, cached", lambda: read_ct(case))
    selection = steps.run("find", lambda: find_levels(volume))
    chosen = [item for item in selection if item.level in MEASURED]
    if not chosen:
        raise CTBMDError(
            f"no lumbar level found in '{case}'; nothing to cut and infer.", "no-lumbar-level"
        )

    def cut():
        for item in chosen:
            trabecular_hu(volume, item)
        return np.concatenate([cut_images(volume, item, bundle.standard).hu for item in chosen])

    images = steps.run("cut", cut)
    plain = steps.run("infer, NumPy", lambda: bundle.predict(images, "cpu", "numpy"))
    agreement = "PyTorch is not installed"
    if importlib.util.find_spec("torch"):
        fast = steps.run("infer, PyTorch", lambda: bundle.predict(images, "cpu", "torch"))
        agreement = f"{np.abs(fast - plain).max():.1e} g/cm2"
    table = report(
        case, volume, chosen, images, bundle, steps.rows, imported, base, cold, agreement
    )
    return table + start_lines(start_up(repeats), sum(steps.rows[name][1] for name in MAIN))


MAIN = ("read", "find", "cut", "infer, NumPy")
"""The work on a CT, from disk to the values."""


def start_lines(starts: dict[str, float], work: float) -> str:
    """What starting costs, as seconds and as a share of the work on the CT."""
    lines = [f"\nstart-up, above {starts.pop('Python alone'):.3f} s of Python alone:"]
    lines += [
        f"  {name}: {seconds:.3f} s, {seconds / work:.2f} of the work on the CT"
        for name, seconds in starts.items()
    ]
    return "\n".join(lines)


def report(case, volume, chosen, images, bundle, rows, imported, base, cold, agreement) -> str:
    size = volume.hu.nbytes / MIB
    shape = " x ".join(str(n) for n in volume.hu.shape[::-1])
    total = sum(rows[name][1] for name in MAIN)
    out = [
        f"case     {case.name}: {shape} voxels {volume.hu.dtype}, {size:.0f} MiB",
        f"levels   {' '.join(item.level for item in chosen)}, {len(images)} images of {images.shape[1]} px",
        f"model    {bundle.name} {bundle.version}, members: {len(bundle.members)}",
        f"machine  {platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'unset')}",
        f"load     {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "",
        f"import   {imported:.3f} s, {base:.0f} MiB before reading",
        "",
        f"{'step':<16}{'first s':>10}{'median s':>10}{'CPU s':>10}{'share':>8}{'peak MiB':>10}",
    ]
    for name, (first, median, peak, busy) in rows.items():
        share = f"{100 * median / total:.0f} %" if name in MAIN else ""
        out.append(f"{name:<16}{first:>10.3f}{median:>10.3f}{busy:>10.3f}{share:>8}{peak:>10.0f}")
    peak = max(rows[name][2] for name in MAIN)
    out += [
        "",
        f"read + find + cut + infer (NumPy): {total:.3f} s",
        f"peak memory without PyTorch: {peak:.0f} MiB, {peak - base:.0f} MiB above the start",
    ]
    for infer in ("infer, NumPy", "infer, PyTorch"):
        if infer not in rows:
            continue
        work = rows["find"][1] + rows["cut"][1] + rows[infer][1]
        ratio, cached = work / rows["read"][1], work / rows["read, cached"][1]
        how = "from disk" if cold else "as the system gives it"
        out.append(
            f"(find + cut + {infer}) / read: {ratio:.2f} {how}, {cached:.2f} cached; goal below 1"
        )
    out.append(f"NumPy against PyTorch: {agreement}")
    return "\n".join(line for line in out if line is not None)


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = ROOT.parent / "shared" / "data" / "ct_acrin_f46"
    parser.add_argument("case", nargs="?", type=Path, default=default)
    parser.add_argument("--model", metavar="DIR")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args(argv)
    try:
        print(benchmark(arguments.case, arguments.model, arguments.repeats))
    except CTBMDError as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
