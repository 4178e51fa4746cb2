"""Many cases into one table; a bad case is listed and does not stop the rest.

While it runs, every finished case is a line of a journal beside the output, so
that the same call goes on after an interruption. The table is written at the
end, whole.
"""

from __future__ import annotations

import csv
import io
import json
import os
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path

from ..bmd.estimate import BMDResult, estimate
from ..bmd.export import SUFFIXES, write_result
from ..errors import Cancelled, CTBMDError
from ..model.bundle import ModelBundle
from ..progress import Progress
from ..reading.files import files_below, read_headers
from ..reading.series import sort_into_series
from ..reading.streams import stem
from ..safefile import write_text
from .cases import open_case

VOLUME_SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".nhdr")
_BESIDE = (".json", ".txt", ".csv", ".tsv", ".md")
CSV_COLUMNS = ("path", "case", "sex", "age", "levels", "series_uid")
FAILURE_COLUMNS = ("path", "case", "sex", "age", "levels", "series_uid", "reason")


@dataclass(frozen=True)
class Case:
    """One row of work; None where the header is to be believed.

    Attributes
    ----------
    path : str
    case, sex, age, levels, series_uid : str or None
        As they were written; they are checked when the case is run, so that a
        wrong one fails alone.
    """

    path: str
    case: str | None = None
    sex: str | None = None
    age: str | None = None
    levels: str | None = None
    series_uid: str | None = None

    @property
    def title(self) -> str:
        return self.case or Path(self.path).name


@dataclass(frozen=True)
class BatchReport:
    """What a batch did.

    Attributes
    ----------
    output : Path
    results : list of BMDResult
    failures : list of (Case, str)
    failures_file : Path or None
        CSV of the failures, itself a list of cases that can be run again.
    resumed : int
        Results that an interrupted call had left.
    """

    output: Path
    results: list
    failures: list
    failures_file: Path | None
    resumed: int


def list_cases(source) -> list[Case]:
    """The cases of a folder or of a CSV file.

    Parameters
    ----------
    source : str or Path
        A folder: each subfolder, ZIP, NIfTI and NRRD file in it is a case
        (a subfolder of NIfTI alone by its only file or the one called ct);
        DICOM files lying directly in it are a case for each patient. A CSV
        file: a column `path` (relative to the file) and, where wanted, `case`,
        `sex`, `age`, `levels` and `series_uid`.

    Raises
    ------
    CTBMDError
    """
    source = Path(source)
    if source.is_dir():
        cases = _cases_of_folder(source)
    elif source.is_file() and source.suffix.lower() in (".csv", ".tsv"):
        cases = _cases_of_table(source)
    elif source.exists():
        raise CTBMDError(f"'{source}' is neither a folder nor a CSV list of cases.")
    else:
        raise CTBMDError(f"'{source}' does not exist; check the path.")
    if not cases:
        raise CTBMDError(f"'{source}' holds no cases.")
    return cases


def run_batch(
    source,
    output,
    bundle: ModelBundle,
    *,
    overwrite: bool = False,
    reference=None,
    device: str = "auto",
    progress=None,
    should_cancel=None,
    on_case=None,
) -> BatchReport:
    """Estimate every case and write one table.

    Parameters
    ----------
    source : str or Path
        See `list_cases`.
    output : str or Path
        .csv, .tsv or .json.
    bundle : ModelBundle
    overwrite : bool
        Whether existing output may be replaced.
    reference : ReferenceTable or None
    device : str
    progress : callable(float, str) or None
    should_cancel : callable() -> bool or None
    on_case : callable(Case, BMDResult or None, str or None) or None
        Told each case's result, or the sentence of its failure.

    Raises
    ------
    CTBMDError
        Where nothing can be started, or no case at all gave a result.
    Cancelled
        Finished cases stay in the journal, and the same call goes on there.
    """
    output = Path(output)
    cases = list_cases(source)
    failures_file = output.with_name(f"{output.stem}.failures.csv")
    check_output(output, overwrite)
    check_output(failures_file, overwrite)
    journal = Journal(output, _settings(bundle, reference), overwrite)
    results, failures, resumed = [], [], 0
    for number, case in enumerate(cases):
        known = journal.result(case)
        if known is not None:
            results.append(known)
            resumed += 1
            continue

        def case_progress(done, text, number=number, case=case):
            if progress:
                progress((number + done) / len(cases), f"{case.title}: {text}")

        try:
            result = _run(case, bundle, reference, device, case_progress, should_cancel)
        except CTBMDError as error:
            failures.append((case, " ".join(str(error).split())))
            if on_case:
                on_case(case, None, failures[-1][1])
            continue
        journal.add(case, result)
        results.append(result)
        if on_case:
            on_case(case, result, None)
    if failures:
        write_text(failures_file, _failure_table(failures), overwrite)
    elif failures_file.exists():
        failures_file.unlink()  # overwrite was allowed; a stale list would mislead
    if not results:
        raise CTBMDError(
            f"None of the {len(cases)} cases gave a result; the reasons are in '{failures_file}'."
        )
    write_result(results, output, overwrite)
    journal.remove()
    return BatchReport(output, results, failures, failures_file if failures else None, resumed)


def check_output(path, overwrite: bool) -> None:
    """Refuse an output that could not be written, before the work is done.

    Raises
    ------
    CTBMDError
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise CTBMDError(f"'{path.name}' must end in {', '.join(SUFFIXES)}.")
    if path.is_dir():
        raise CTBMDError(f"'{path}' is a folder; name a file.")
    if path.exists() and not overwrite:
        raise CTBMDError(
            f"'{path}' exists already; choose another name or allow overwriting (--overwrite)."
        )
    if not path.parent.is_dir():
        raise CTBMDError(f"The folder '{path.parent}' does not exist; make it or choose another.")


class Journal:
    """Finished cases of a batch that has not ended, one JSON line each."""

    def __init__(self, output: Path, settings: dict, overwrite: bool):
        self.path = output.with_name(f".{output.name}.journal")
        self._done: dict[str, dict] = {}
        lines = self._read()
        if lines and lines[0].get("settings") == settings:
            for entry in lines[1:]:
                if "key" in entry and "result" in entry:
                    self._done[entry["key"]] = entry["result"]
        elif lines and not overwrite:
            raise CTBMDError(
                f"'{self.path}' is left from an interrupted batch with another model; allow overwriting (--overwrite) or delete it."
            )
        # Written again as a whole: a line cut off by the interruption goes.
        content = [{"settings": settings}]
        content += [{"key": key, "result": value} for key, value in self._done.items()]
        text = "".join(json.dumps(entry) + "\n" for entry in content)
        write_text(self.path, text, overwrite=True)

    def _read(self) -> list[dict]:
        lines = []
        try:
            text = self.path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return []
        for line in text.splitlines():
            try:
                entry = json.loads(line)
            except json.JSONDecodeError:
                continue
            if isinstance(entry, dict):
                lines.append(entry)
        return lines

    def result(self, case: Case) -> BMDResult | None:
        stored = self._done.get(_key(case))
        try:
            return None if stored is None else BMDResult.from_dict(stored)
        except CTBMDError:
            return None

    def add(self, case: Case, result: BMDResult) -> None:
        entry = {"key": _key(case), "result": result.to_dict()}
        with open(self.path, "a", encoding="utf-8") as stream:
            stream.write(json.dumps(entry) + "\n")
            stream.flush()
            os.fsync(stream.fileno())

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)


def _key(case: Case) -> str:
    return json.dumps(asdict(case) | {"path": str(Path(case.path).absolute())}, sort_keys=True)


def _settings(bundle, reference) -> dict:
    return {
        "model": bundle.card["weights_sha256"],
        "calibration": bundle.card.get("calibration"),
        "reference": reference.name if reference else None,
    }


def _run(case, bundle, reference, device, progress, should_cancel) -> BMDResult:
    if should_cancel and should_cancel():
        raise Cancelled
    if not case.path:
        raise CTBMDError("The row names no path.")
    sex, age = None, None
    if case.sex:
        sex = case.sex.strip().upper()
        if sex not in ("F", "M"):
            raise CTBMDError(f"The sex '{case.sex}' must be F or M or left empty.")
    if case.age:
        try:
            age = float(case.age)
        except ValueError:
            raise CTBMDError(f"The age '{case.age}' is not a number of years.") from None
    try:
        volume, selection = open_case(
            case.path,
            levels=case.levels or None,
            series_uid=case.series_uid or None,
            progress=lambda done, text: progress(0.8 * done, text),
            should_cancel=should_cancel,
        )
        return estimate(
            volume,
            selection,
            bundle,
            case=case.case or None,
            sex=sex,
            age=age,
            reference=reference,
            device=device,
            progress=lambda done, text: progress(0.8 + 0.2 * done, text),
            should_cancel=should_cancel,
        )
    except MemoryError:
        raise CTBMDError("The scan does not fit into the memory of this computer.") from None


def _cases_of_folder(folder: Path) -> list[Case]:
    cases, loose = [], []
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            cases += _case_of_subfolder(entry)
        elif entry.name.lower().endswith((*VOLUME_SUFFIXES, ".zip")):
            cases.append(Case(str(entry)))
        else:
            loose.append(entry)
    best: dict[str | None, Case] = {}
    for series in _scan_quietly(loose):
        if series.patient_id not in best:  # series come best first
            # One file stands for its series: read_ct takes the rest from the folder.
            best[series.patient_id] = Case(
                str(series.frames[0].path), case=series.patient_id, series_uid=series.series_uid
            )
    return cases + list(best.values())


def _case_of_subfolder(folder: Path) -> list[Case]:
    files = files_below(folder)
    volumes = [file for file in files if file.name.lower().endswith(VOLUME_SUFFIXES)]
    if volumes and all(f in volumes or f.suffix.lower() in _BESIDE for f in files):
        # A folder of NIfTI: its only volume, or the one called ct beside its labels.
        named = [file for file in volumes if stem(file).lower() == "ct"]
        chosen = volumes if len(volumes) == 1 else named
        if len(chosen) == 1:
            return [Case(str(chosen[0]), case=folder.name)]
    return [Case(str(folder))] if files else []


def _scan_quietly(files) -> list:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pydicom, see reading.read_ct
        return sort_into_series(read_headers(files, Progress()).images)


def _cases_of_table(path: Path) -> list[Case]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        raise CTBMDError(f"'{path}' cannot be read as a UTF-8 text table.") from None
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    head = text.split("\n", 1)[0]
    if delimiter == "," and head.count(";") > head.count(","):
        delimiter = ";"  # what spreadsheets write where the comma is the decimal sign
    rows = csv.DictReader(io.StringIO(text), delimiter=delimiter)
    names = [(name or "").strip().lower() for name in rows.fieldnames or []]
    if "path" not in names:
        raise CTBMDError(
            f"'{path}' has no column 'path'; its columns may be {', '.join(CSV_COLUMNS)}."
        )
    rows.fieldnames = names
    cases = []
    for row in rows:
        values = {name: (row.get(name) or "").strip() or None for name in CSV_COLUMNS}
        if not any(values.values()):
            continue
        for name in ("path", "levels"):
            if values[name]:
                values[name] = str(path.parent / values[name])
        cases.append(Case(**(values | {"path": values["path"] or ""})))
    return cases


def _failure_table(failures) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, FAILURE_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for case, reason in failures:
        row = {name: value or "" for name, value in asdict(case).items()}
        for name in ("path", "levels"):  # read again from wherever the list lies
            if row[name]:
                row[name] = str(Path(row[name]).absolute())
        writer.writerow(row | {"reason": reason})
    return out.getvalue()
