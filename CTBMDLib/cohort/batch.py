"""Many cases into one table; a bad case is listed and does not stop the rest.

While it runs, every finished case is a line of a journal beside the output, so
that the same call goes on after an interruption. The table is written at the
end, whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from ..bmd.estimate import estimate
from ..bmd.export import check_output, write_result
from ..bmd.reference import ReferenceTable
from ..bmd.result import BMDResult
from ..errors import CTBMDError
from ..model.bundle import ModelBundle
from ..progress import Progress, Report, ShouldCancel
from ..safefile import write_text
from .caselist import Case, failure_table, list_cases
from .cases import open_case
from .journal import Journal

OnCase = Callable[[Case, BMDResult | None, str | None], None]


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
    results: list[BMDResult]
    failures: list[tuple[Case, str]]
    failures_file: Path | None
    resumed: int


def run_batch(  # noqa: PLR0913  a public call; all but three are keywords
    source: str | PathLike[str],
    output: str | PathLike[str],
    bundle: ModelBundle,
    *,
    overwrite: bool = False,
    reference: ReferenceTable | None = None,
    device: str = "auto",
    progress: Report | None = None,
    should_cancel: ShouldCancel | None = None,
    on_case: OnCase | None = None,
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
    work = Progress(progress, should_cancel)
    results: list[BMDResult] = []
    failures: list[tuple[Case, str]] = []
    resumed = 0
    for number, case in enumerate(cases):
        known = journal.result(case)
        if known is not None:
            results.append(known)
            resumed += 1
            continue
        part = work.part(number / len(cases), (number + 1) / len(cases))
        result = reason = None
        try:
            result = run_case(case, bundle, reference, device, part)
        except CTBMDError as error:
            reason = " ".join(str(error).split())
            failures.append((case, reason))
        else:
            journal.add(case, result)
            results.append(result)
        if on_case:
            on_case(case, result, reason)
    if failures:
        write_text(failures_file, failure_table(failures), overwrite)
    elif failures_file.exists():
        failures_file.unlink()  # overwrite was allowed; a stale list would mislead
    if not results:
        raise CTBMDError(
            f"None of the {len(cases)} cases gave a result; the reasons are in '{failures_file}'.",
            "no-results",
        )
    write_result(results, output, overwrite)
    journal.remove()
    return BatchReport(output, results, failures, failures_file if failures else None, resumed)


def _settings(bundle: ModelBundle, reference: ReferenceTable | None) -> dict[str, Any]:
    return {
        "model": bundle.card["weights_sha256"],
        "calibration": bundle.card.get("calibration"),
        "reference": reference.name if reference else None,
    }


def run_case(
    case: Case,
    bundle: ModelBundle,
    reference: ReferenceTable | None,
    device: str,
    progress: Progress,
) -> BMDResult:
    """Open and estimate one case.

    Raises
    ------
    CTBMDError
        Where the case cannot be used, a scan too large for the memory included.
    Cancelled
    """
    progress.check()
    sex, age = _person(case)
    kvp = _kvp(case)

    def told(part: Progress) -> Report:
        return lambda done, text: part.step(done, f"{case.title}: {text}")

    def cancelled() -> bool:
        progress.check()
        return False

    try:
        volume, selection = open_case(
            case.path,
            levels=case.levels or None,
            series_uid=case.series_uid or None,
            progress=told(progress.part(0.0, 0.8)),
            should_cancel=cancelled,
        )
        return estimate(
            volume,
            selection,
            bundle,
            case=case.case or None,
            sex=sex,
            age=age,
            kvp=kvp,
            reference=reference,
            device=device,
            progress=told(progress.part(0.8, 1.0)),
            should_cancel=cancelled,
        )
    except MemoryError:
        raise CTBMDError(
            "The scan does not fit into the memory of this computer.", "memory"
        ) from None


def _person(case: Case) -> tuple[str | None, float | None]:
    """Sex and age of a row, checked."""
    if not case.path:
        raise CTBMDError("The row names no path.", "row-path")
    sex = case.sex.strip().upper() if case.sex else None
    if sex not in (None, "F", "M"):
        raise CTBMDError(f"The sex '{case.sex}' must be F or M or left empty.", "row-sex")
    try:
        return sex, float(case.age) if case.age else None
    except ValueError:
        raise CTBMDError(f"The age '{case.age}' is not a number of years.", "row-age") from None


def _kvp(case: Case) -> float | None:
    """Tube voltage of a row in kV, as a number; its range is `estimate`'s to check."""
    try:
        return float(case.kvp) if case.kvp else None
    except ValueError:
        raise CTBMDError(
            f"The tube voltage '{case.kvp}' is not a number of kV.", "row-kvp"
        ) from None
