"""Many cases into one table; a bad case is listed and does not stop the rest.

While it runs, every finished case is a line of a journal beside the output, so
that the same call goes on after an interruption. The table is written at the
end, whole.
"""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import NamedTuple

from ..bmd.estimate import estimate
from ..bmd.export import check_output, write_result
from ..bmd.reference import ReferenceTable
from ..bmd.result import BMDResult
from ..errors import CTBMDError
from ..model.bundle import ModelBundle
from ..progress import Progress, Report, ShouldCancel
from ..safefile import why, write_text
from .caselist import Case, case_table, list_cases
from .cases import open_case
from .identity import Register
from .include import named_levels
from .journal import Journal, case_key, run_settings

MAX_AGE = 130.0

OnCase = Callable[[Case, BMDResult | None, str | None], None]


class Failure(NamedTuple):
    """A case without a result: the sentence that says why, and the error's code."""

    case: Case
    reason: str
    code: str


@dataclass(frozen=True)
class BatchReport:
    """What a batch did.

    Attributes
    ----------
    output : Path
    results : list of BMDResult
    failures : list of Failure
    failures_file : Path or None
        CSV of the failures, itself a list of cases that can be run again.
    identity_file : Path or None
        CSV that says which case is which scan, readable by the user alone; None
        where the tables themselves or the user's own list do.
    resumed : int
        Results that an interrupted call had left.
    """

    output: Path
    results: list[BMDResult]
    failures: list[Failure]
    failures_file: Path | None
    identity_file: Path | None
    resumed: int


def run_batch(  # noqa: PLR0913  a public call; all but three are keywords
    source: str | PathLike[str],
    output: str | PathLike[str],
    bundle: ModelBundle,
    *,
    overwrite: bool = False,
    with_identity: bool = False,
    reference: ReferenceTable | None = None,
    dxa: str | None = None,
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
    with_identity : bool
        Whether the tables may tell who the cases are of: by patient id or folder,
        series UID and path. Otherwise a case is called what the list calls it, or
        'case 1', 'case 2' ...; see `identity.Register`.
    reference : ReferenceTable or None
    dxa : {'hologic', 'lunar'} or None
        The DXA device to compare with; see `estimate`.
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
        Finished cases stay in the journal, and the same call goes on there; with
        `overwrite` it starts afresh.
    """
    output = Path(output)
    cases = list_cases(source)
    failures_file = output.with_name(f"{output.stem}.failures.csv")
    check_output(output, overwrite)
    check_output(failures_file, overwrite)
    settings = run_settings(bundle, reference, dxa) | {"identity": with_identity}
    journal = Journal(output, settings, overwrite)
    register = None if with_identity else Register(output, cases, given=not os.path.isdir(source))  # noqa: PTH112  of any path
    named = register.cases if register else cases
    done = _Done([], [], [], 0)
    ended = False
    try:
        work = Progress(progress, should_cancel)

        def run(case: Case, part: Progress) -> BMDResult:
            return run_case(case, bundle, reference, device, part, with_identity, dxa)

        _run_all(zip(cases, named, strict=True), run, journal, done, work, on_case)
        if register and (done.failures or register.path.exists()):
            register.write({x.case.title: x.reason for x in done.failures})
        if done.failures:
            table = _failure_table(done.failures, with_identity)
            write_text(failures_file, table, overwrite, private=with_identity)
        elif failures_file.exists():
            _remove(failures_file)  # overwrite was allowed; a stale list would mislead
        if not done.results:
            raise CTBMDError(
                f"None of the {len(cases)} cases gave a result; the reasons are in '{failures_file}'.",
                "no-results",
            )
        if with_identity:
            done.results = told_apart(done.cases, done.results)
        write_result(done.results, output, overwrite)
        ended = True
    finally:
        journal.close(ended)
    listed = failures_file if done.failures else None
    told = register.path if register and register.path.exists() else None
    return BatchReport(output, done.results, done.failures, listed, told, done.resumed)


def _failure_table(failures: Sequence[Failure], with_identity: bool) -> str:
    """The list of failures; a sentence may name files, its code cannot."""
    if with_identity:
        return case_table([(x.case, x.reason) for x in failures])
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerows([("case", "reason"), *((x.case.title, x.code) for x in failures)])
    return out.getvalue()


@dataclass
class _Done:
    """What a batch has done so far; see `BatchReport`. `cases` are those of the results."""

    cases: list[Case]
    results: list[BMDResult]
    failures: list[Failure]
    resumed: int


def _run_all(
    cases: Iterable[tuple[Case, Case]],
    run: Callable[[Case, Progress], BMDResult],
    journal: Journal,
    done: _Done,
    work: Progress,
    on_case: OnCase | None,
) -> None:
    """Run the cases, each given as it lies there and as it is called."""
    pairs = list(cases)
    for number, (lying, case) in enumerate(pairs):
        key = case_key(lying)
        known = journal.result(key)
        if known is not None:
            done.cases.append(case)
            done.results.append(_renamed(known, case.case) if case.case else known)
            done.resumed += 1
            continue
        part = work.part(number / len(pairs), (number + 1) / len(pairs))
        result = reason = None
        try:
            result = run(case, part)
        except CTBMDError as error:
            reason = " ".join(str(error).split())
            done.failures.append(Failure(case, reason, error.code))
        else:
            journal.add(key, result)
            done.cases.append(case)
            done.results.append(result)
        if on_case:
            on_case(case, result, reason)


def told_apart(cases: Sequence[Case], results: Sequence[BMDResult]) -> list[BMDResult]:
    """The results, their `case` made unique where several have one name.

    Two studies 'ANON' from the folders 2019 and 2024 become 'ANON (2019)' and
    'ANON (2024)'; what still agrees is numbered.
    """
    names = [" ".join(result.rows[0].case.split()) for result in results]
    used = set(names)
    out = []
    for case, result, name in zip(cases, results, names, strict=True):
        unique = name
        if names.count(name) > 1:
            title = case.title if case.title != name else Path(case.path).name
            unique = first = f"{name} ({title})"
            number = 2
            while unique in used:
                unique = f"{first} {number}"
                number += 1
            used.add(unique)
            result = _renamed(result, unique)  # noqa: PLW2901
        out.append(result)
    return out


def _renamed(result: BMDResult, case: str) -> BMDResult:
    return replace(
        result,
        levels=[replace(row, case=case) for row in result.levels],
        total=replace(result.total, case=case) if result.total else None,
    )


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise CTBMDError(
            f"'{path}' is of an earlier batch and could not be removed ({why(error)}); delete it.",
            "output-not-written",
        ) from None


def run_case(
    case: Case,
    bundle: ModelBundle,
    reference: ReferenceTable | None,
    device: str,
    progress: Progress,
    with_identity: bool = False,
    dxa: str | None = None,
) -> BMDResult:
    """Open and estimate one case; `with_identity`: see `run_batch`.

    Raises
    ------
    CTBMDError
        Where the case cannot be used, a scan too large for the memory included.
    Cancelled
    """
    progress.check()
    sex, age = person_of(case)
    kvp = kvp_of(case)

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
            include=named_levels(case.include),
            with_identity=with_identity,
            reference=reference,
            dxa=dxa,
            device=device,
            progress=told(progress.part(0.8, 1.0)),
            should_cancel=cancelled,
        )
    except MemoryError:
        raise CTBMDError(
            "The scan does not fit into the memory of this computer.", "memory"
        ) from None


def person_of(case: Case) -> tuple[str | None, float | None]:
    """Sex and age of a row, checked.

    Raises
    ------
    CTBMDError
    """
    if not case.path:
        raise CTBMDError("The row names no path.", "row-path")
    sex = case.sex.strip().upper() if case.sex else None
    if sex not in (None, "F", "M"):
        raise CTBMDError(f"The sex '{case.sex}' must be F or M or left empty.", "row-sex")
    if not case.age:
        return sex, None
    try:
        age = float(case.age.replace(",", "."))
    except ValueError:
        age = math.nan
    if not 0 <= age <= MAX_AGE:
        raise CTBMDError(f"The age '{case.age}' is no age in years.", "row-age")
    return sex, age


def kvp_of(case: Case) -> float | None:
    """Tube voltage of a row in kV, as a number; its range is `estimate`'s to check.

    Raises
    ------
    CTBMDError
    """
    try:
        return float(case.kvp.replace(",", ".")) if case.kvp else None
    except ValueError:
        raise CTBMDError(
            f"The tube voltage '{case.kvp}' is not a number of kV.", "row-kvp"
        ) from None
