"""A cohort's trial: N virtual DICOM studies, some broken, run as a batch and checked case by case.

`python -m training.virtual.trial FOLDER COUNT SEED` makes the studies with
`hospital`, breaks one in twenty (of 40 and more one in each of the twenty
`broken.WAYS`), gives 3 % a second series and 2 % no lumbar spine (at least one of
each), runs `ctbmd batch` over them with workers, kills it once on the way, and
checks that every study is accounted for and that every value is that of the study
estimated alone, to the last digit. Then a dozen of them go through `trial_faults`. All of
it is simulated: it shows that nothing is lost, not how good a model is.
Interrupted, the same command goes on with what is not done.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pydicom

from CTBMDLib.errors import CTBMDError
from CTBMDLib.safefile import write_text

from ..console import bar
from .broken import FAIL, WAYS, break_study, files_of
from .hospital import TRUTH, make_hospital
from .trial_faults import FAULTS, Place

BROKEN, SEVERAL, NO_LUMBAR = 0.05, 0.03, 0.02
MADE = "made.json"
DONE = "done.json"
"""What the batch and each fault came to, so that an interrupted trial goes on."""
TWO_PATIENTS = "two patients in one folder"
FEW = 12
"""Studies that go through the faults."""


@dataclass
class Report:
    """What the trial found."""

    studies: int
    estimated: int = 0
    failed: dict = field(default_factory=dict)
    resumed: int = 0
    same: int = 0
    wrong: list = field(default_factory=list)
    notes: list = field(default_factory=list)
    seconds: float = 0.0
    faults: dict = field(default_factory=dict)

    def text(self) -> str:
        """The report in lines."""
        lines = [
            f"{self.studies} studies (simulated): {self.estimated} estimated, {len(self.failed)} failed",
            f"after kill -9 taken over: {self.resumed}",
            f"equal to the study estimated alone, to the last digit written: {self.same}",
            f"batch, both parts: {self.seconds:.0f} s",
            *(f"{name}: {text}" for name, text in self.faults.items()),
            *(f"  failed: {name}: {code}" for name, code in sorted(self.failed.items())),
            *(f"  note: {text}" for text in self.notes),
            *(f"WRONG: {text}" for text in self.wrong),
        ]
        return "\n".join(lines)


def make_studies(
    folder: Path, count: int, seed: int, coarse: bool, population: str = "realistic"
) -> dict[str, str]:
    """Make the studies once; answers what was done to which, by its folder's name."""
    source = folder / "studies"
    if (folder / MADE).is_file():
        return json.loads((folder / MADE).read_text(encoding="utf-8"))
    hospital = folder / "hospital"
    make_hospital(hospital, count, seed, population=population, coarse=coarse, progress=bar)
    truth = json.loads((hospital / TRUTH).read_text(encoding="utf-8"))["patients"]
    shutil.rmtree(source, ignore_errors=True)
    for case in sorted(truth)[:count]:
        shutil.copytree(hospital / case, source / case)
    rng = np.random.default_rng([seed, 77])
    order = [str(x) for x in rng.permutation(sorted(truth)[:count])]
    ways, done, place = list(WAYS), {}, 0
    first = int(rng.integers(len(ways)))
    each = len(ways) if count >= 2 * len(ways) else 0
    for number in range(max(each, _share(BROKEN, count))):
        way = ways[(first + number) % len(ways)]
        break_study(source / order[place], way, seed + number)
        done[order[place]] = way
        place += 1
    for _ in range(_share(SEVERAL, count)):
        _second_series(source / order[place])
        done[order[place]] = "second series"
        place += 1
    for _ in range(_share(NO_LUMBAR, count)):
        _without_lumbar(source / order[place], truth[order[place]]["levels"])
        done[order[place]] = "no lumbar spine"
        place += 1
    write_text(folder / MADE, json.dumps(done, indent=1) + "\n", overwrite=True)
    return done


def _share(part: float, count: int) -> int:
    return max(1, round(part * count))


def _second_series(folder: Path) -> None:
    """Beside the series a shorter one of a sharp kernel, as archives have it."""
    (folder / "sharp").mkdir()
    for path in files_of(folder)[: len(files_of(folder)) // 2]:
        dataset = pydicom.dcmread(path)
        dataset.SeriesInstanceUID = f"{dataset.SeriesInstanceUID}.2"
        dataset.SOPInstanceUID = f"{dataset.SOPInstanceUID}.2"
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.ConvolutionKernel, dataset.SeriesNumber = "BONE", 99
        dataset.save_as(folder / "sharp" / path.name)


def _without_lumbar(folder: Path, levels: dict) -> None:
    """Leave what lies above L1: a CT of the lower chest."""
    limit = levels["L1"][2] + 22.0 if "L1" in levels else None
    for path in files_of(folder):
        height = float(pydicom.dcmread(path, stop_before_pixels=True).ImagePositionPatient[2])
        if limit is not None and height < limit:
            path.unlink()


def run_batch_killed(folder: Path, workers: int, model: str | None) -> tuple[float, str]:
    """The batch, killed with all its processes after a third of the cases, then run again."""
    output = folder / "table.json"
    for path in (*folder.glob("table.*"), *folder.glob(".table.*")):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    command = [sys.executable, "-m", "CTBMDLib", "batch", str(folder / "studies")]
    command += ["--output", str(output), "--workers", str(workers)]
    command += ["--model", model] if model else []
    began = time.monotonic()
    first = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    wanted = max(1, len(list((folder / "studies").iterdir())) // 3)
    journal = folder / ".table.json.journal"
    while first.poll() is None and _finished(journal) < wanted:
        time.sleep(0.2)
    if first.poll() is None:
        os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    if output.exists():
        raise CTBMDError(
            "The batch ended before it was killed; take more studies.", "trial-too-short"
        )
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CTBMDError(f"The second run ended with {done.stderr}", "trial-batch")
    return time.monotonic() - began, done.stdout


def _finished(journal: Path) -> int:
    try:
        return journal.read_bytes().count(b'"sum"')
    except OSError:
        return 0


def check(
    folder: Path, done: dict[str, str], model: str | None, said: str, seconds: float
) -> Report:
    """Hold the batch's outputs against the studies."""
    names = sorted(x.name for x in (folder / "studies").iterdir())
    who = {x["case"]: x for x in _rows(folder / "table.identity.csv")}
    results = json.loads((folder / "table.json").read_text(encoding="utf-8"))["results"]
    table = {x["rows"][0]["case"]: x for x in results}
    failed = {x["case"]: x["reason"] for x in _rows(folder / "table.failures.csv")}
    report = Report(len(names), len(results), seconds=seconds)
    report.resumed = (
        int(said.split("interrupted run: ")[1].split(maxsplit=1)[0]) if "run: " in said else 0
    )
    folders = {case: Path(row["path"]).name for case, row in who.items()}
    report.failed = {
        f"{folders.get(case, case)} ({done.get(folders.get(case, ''), 'whole')})": code
        for case, code in failed.items()
    }
    once = [x for x in folders.values() if done.get(x) != TWO_PATIENTS]  # which are two cases
    if set(folders.values()) != set(names) or len(once) != len(set(once)):
        report.wrong.append("the cases are not the studies, each once")
    if len(results) != len(table):
        report.wrong.append("a case is there twice")
    if set(table) & set(failed) or set(table) | set(failed) != set(who):
        report.wrong.append("a study is in both lists or in none")
    for case, code in failed.items():
        what = done.get(folders[case])
        if what in (None, "second series"):
            report.wrong.append(f"{folders[case]} is whole and failed: {code}")
        if code in ("worker-died", "worker-error", "worker-differs", "unexpected-error"):
            report.wrong.append(f"{folders[case]}: {code}")
    for case in table:
        what = done.get(folders[case])
        if what in WAYS and WAYS[what][1] == FAIL:
            report.wrong.append(f"{folders[case]} gave a value: {what}")
        elif what not in (None, "second series"):
            report.notes.append(f"{folders[case]} gave a value: {what}")
    report.same = _same(table, who, model, report, folder / "alone.json")
    return report


def _same(table: dict, who: dict, model: str | None, report: Report, kept: Path) -> int:
    """How many are equal to the study estimated alone; the others are told."""
    from CTBMDLib.bmd.estimate import estimate
    from CTBMDLib.bmd.export import to_json
    from CTBMDLib.cohort.cases import open_case
    from CTBMDLib.model.bundle import ModelBundle, default_bundle_folder

    bundle, same = ModelBundle.load(model or default_bundle_folder()), 0
    known = json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else {}
    for number, (case, stored) in enumerate(table.items()):
        bar(number / len(table), f"{case} alone")
        if case not in known:
            # Two people in one folder are two cases, each by its own series.
            volume, selection = open_case(
                who[case]["path"], series_uid=who[case]["series_uid"] or None
            )
            known[case] = json.loads(to_json([estimate(volume, selection, bundle, case=case)]))
            write_text(kept, json.dumps(known) + "\n", overwrite=True)
        if known[case] == stored:
            same += 1
        else:
            report.wrong.append(f"{case}: the batch and the estimate alone differ")
    return same


def try_faults(folder: Path, done: dict[str, str], model: str | None, report: Report) -> None:
    """Take some whole studies and a broken one through each of `trial_faults`."""
    who = {x["case"]: x["path"] for x in _rows(folder / "table.identity.csv")}
    results = json.loads((folder / "table.json").read_text(encoding="utf-8"))["results"]
    table = {Path(who[x["rows"][0]["case"]]).name: x for x in results}
    whole = [name for name in sorted(table) if name not in done][:FEW]
    bad = [name for name, way in done.items() if way in WAYS and name not in table][:1]
    wanted = {}
    for name in whole:
        rows = [row | {"case": name} for row in table[name]["rows"]]
        wanted[name] = table[name] | {"rows": rows}
    lines = [f"{folder / 'studies' / name},{name}" for name in (*bad, *whole)]
    faults = folder / "faults"
    faults.mkdir(exist_ok=True)
    write_text(faults / "list.csv", "\n".join(["path,case", *lines]) + "\n", overwrite=True)
    for name, fault in FAULTS.items():
        known = _done(folder)
        if name not in known:
            bar(0.0, name)
            place = faults / name.replace(" ", "-")
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            known[name] = fault(Place(place, faults / "list.csv", wanted, model))
            write_text(folder / DONE, json.dumps(known, indent=1) + "\n", overwrite=True)
        wrong, report.faults[name] = known[name]
        report.wrong += [f"{name}: {text}" for text in wrong]


def _done(folder: Path) -> dict:
    path = folder / DONE
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def main(arguments=None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m training.virtual.trial",
        description="Make virtual DICOM studies, some broken, run a batch over them and check it.",
    )
    parser.add_argument("folder", metavar="FOLDER", type=Path)
    parser.add_argument("count", metavar="COUNT", type=int)
    parser.add_argument("seed", metavar="SEED", type=int)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--model", metavar="DIR")
    parser.add_argument("--population", default="realistic", choices=("realistic", "wide"))
    parser.add_argument("--coarse", action="store_true", help="large voxels, for a quick try")
    options = parser.parse_args(arguments)
    options.folder = options.folder.absolute()
    try:
        options.folder.mkdir(parents=True, exist_ok=True)
        done = make_studies(
            options.folder, options.count, options.seed, options.coarse, options.population
        )
        known = _done(options.folder)
        if "batch" not in known:
            known = {"batch": run_batch_killed(options.folder, options.workers, options.model)}
            write_text(options.folder / DONE, json.dumps(known) + "\n", overwrite=True)
            (options.folder / "alone.json").unlink(missing_ok=True)
        seconds, said = known["batch"]
        report = check(options.folder, done, options.model, said, seconds)
        try_faults(options.folder, done, options.model, report)
    except CTBMDError as error:
        parser.error(str(error))
    print(report.text())
    write_text(options.folder / "trial.txt", report.text() + "\n", overwrite=True)
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
