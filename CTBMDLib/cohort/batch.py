"""Many cases into one table; a bad case is listed and does not stop the rest.

While it runs, every finished case is a line of a journal beside the output, so
that the same call goes on after an interruption. The table is written at the
end, whole; what an interrupted batch has finished is in one of its own until then.
"""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from ..bmd.estimate import estimate
from ..bmd.reference import ReferenceTable
from ..bmd.result import BMDResult
from ..errors import Cancelled, CTBMDError
from ..model.bundle import ModelBundle
from ..progress import Progress, Report, ShouldCancel
from ..safefile import check_apart, check_writable, why, write_text
from ..volume import CTVolume
from .caselist import Case, case_table, identity_file, is_list, list_cases
from .cases import open_case
from .followup import Change, Precision, Scan, changes_of, precision_of, to_csv
from .identity import Register
from .include import named_levels
from .inuse import InUse
from .journal import Journal, case_key, finished_keys, run_settings, was_writing
from .outcome import Facts, Outcome, facts_of, need_of_a_look
from .parquet import cases_in, check_alike, check_table, write_single, write_table
from .remote import local_copy
from .sheet import contact_sheet
from .sheets import Sheets
from .summary import Estimated, make_summary, most_need

MAX_AGE = 130.0
PARTIAL_SECONDS = 300.0
"""How often the table of what is finished is written while a batch runs."""

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
    there : list of str
        Cases that the table had already, to which the others were added.
    summary_file : Path
        Page that says how many, why not, and which to look at first; see `summary`.
    changes : list of Change
        Of the persons with several CTs; see `followup`.
    followup_file : Path or None
        CSV of the changes.
    """

    output: Path
    results: list[BMDResult]
    failures: list[Failure]
    failures_file: Path | None
    identity_file: Path | None
    resumed: int
    summary_file: Path
    changes: list[Change]
    followup_file: Path | None
    there: list[str]


@dataclass(frozen=True)
class Job:
    """What all cases of a run share; see `run_batch`.

    Attributes
    ----------
    bundle : ModelBundle
    reference : ReferenceTable or None
    device : str
    with_identity : bool
    dxa : str or None
    secret : bytes
        Key of the pseudonyms, see `outcome`.
    correct_values : bool
        See `estimate`.
    """

    bundle: ModelBundle
    reference: ReferenceTable | None
    device: str
    with_identity: bool
    dxa: str | None
    secret: bytes
    correct_values: bool = False


class Task(NamedTuple):
    """A case as it lies there, as it is called, and its number from 0."""

    number: int
    lying: Case
    case: Case


class Pool(Protocol):
    """Something that runs cases elsewhere than in this process, several at a time."""

    def outcomes(
        self, tasks: Sequence[Task], job: Job, progress: Progress
    ) -> Generator[tuple[Task, Outcome], None, None]:
        """Each task with what it came to, in the order in which they end.

        Raises
        ------
        CTBMDError
            Where no more cases can be run; those that ended are told before.
        Cancelled
        """


def run_batch(  # noqa: PLR0913  a public call; all but three are keywords
    source: str | PathLike[str],
    output: str | PathLike[str],
    bundle: ModelBundle,
    *,
    overwrite: bool = False,
    append: bool = False,
    with_identity: bool = False,
    reference: ReferenceTable | None = None,
    dxa: str | None = None,
    device: str = "auto",
    correct_values: bool = False,
    precision: float | None = None,
    pool: Pool | None = None,
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
        .csv, .tsv, .json or .parquet.
    bundle : ModelBundle
    overwrite : bool
        Whether existing output may be replaced.
    append : bool
        Whether the rows are added to an existing Parquet table; cases that it has already
        are left out. The other outputs are of the cases of this run.
    with_identity : bool
        Whether the tables may tell who the cases are of: by patient id or folder,
        series UID and path. Otherwise a case is called what the list calls it, or
        'case 1', 'case 2' ...; see `identity.Register`.
    reference : ReferenceTable or None
    dxa : {'hologic', 'lunar'} or None
        The DXA device to compare with; see `estimate`.
    device : str
    correct_values : bool
        Whether the values of each scan are first corrected by its own air and fat; see `estimate`.
    precision : float or None
        The site's own precision in g/cm2, to judge changes by; see `followup`.
    pool : Pool or None
        Runs the cases, see `cluster`; None runs them one after another here.
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
        `overwrite` it starts afresh. What is finished is in a table of its own
        beside the output, see `partial_file`.
    """
    output = Path(output)
    check_apart([output], [source])  # a list of cases must not be lost by its own results
    _check_append(append, overwrite, with_identity)
    cases = list_cases(source)
    judged = precision_of(bundle.card, dxa, precision)
    check_table(output, True, append)  # its folder must be there for the lock
    held = InUse(output)
    try:
        settings = run_settings(bundle, reference, dxa) | {"identity": with_identity}
        # Named only where asked for: a journal of before there was such a thing goes on.
        settings |= {"corrected": True} if correct_values else {}
        settings |= {"append": True} if append else {}
        _check_files(output, overwrite, append)
        if append:
            check_alike(output, bundle, settings["dxa_scale"])
        journal = Journal(output, settings, overwrite)
        job = Job(bundle, reference, device, with_identity, dxa, journal.secret, correct_values)
        sheets = Sheets(output, overwrite or journal.empty)
        ended = False
        try:
            if append and cases_in(output, but=journal.run):
                _check_known(output, cases, is_list(source))
            register = None if with_identity else Register(output, cases, given=is_list(source))
            tasks, there = _tasks(cases, register, output if append else None, journal.run)
            batch = _Batch(tasks, job, journal, sheets, output, on_case)
            batch.run(pool, Progress(progress, should_cancel))
            journal.mark_writing()
            report = batch.write(register, judged, append, there)
            ended = True
        finally:
            journal.close(ended)
            if ended or journal.empty:
                sheets.close()
        return report
    finally:
        held.release()


def _check_append(append: bool, overwrite: bool, with_identity: bool) -> None:
    if append and overwrite:
        raise CTBMDError(
            "A table is either added to or written anew; ask for one of the two.", "command-line"
        )
    if append and with_identity:
        raise CTBMDError(
            "Cases that are called by their patients cannot be added to a table, since it is not "
            "known beforehand which it has; leave identity out.",
            "append-identity",
        )


def _check_known(output: Path, cases: Sequence[Case], given: bool) -> None:
    """Refuse to add cases of which nobody knows whether the table has them already.

    Raises
    ------
    CTBMDError
        Where neither the register of the names is there nor each case is named by the list.
    """
    if identity_file(output).is_file() or (given and all(case.case for case in cases)):
        return
    raise CTBMDError(
        f"'{identity_file(output).name}', which says what the cases of '{output}' are, is not beside "
        "it; put it back, name each case in the list, or take another table.",
        "append-unknown",
    )


def _check_files(output: Path, overwrite: bool, append: bool) -> None:
    """Refuse outputs that may not be replaced.

    Raises
    ------
    CTBMDError
    """
    may = overwrite or was_writing(output)
    check_table(output, may, append)
    for path in (failures_file_of(output), followup_file_of(output), summary_file_of(output)):
        check_writable(path, may or append)
    ours = may or append or bool(finished_keys(output))
    check_writable(partial_file(output), ours)


def _tasks(
    cases: Sequence[Case], register: Register | None, added_to: Path | None, run: str
) -> tuple[list[Task], list[str]]:
    """What is to be done, and the cases that the table which is added to has already.

    Raises
    ------
    CTBMDError
        Where it has all of them.
    """
    named = register.cases if register else cases
    known = cases_in(added_to, but=run) if added_to else set()
    tasks = [Task(n, *x) for n, x in enumerate(zip(cases, named, strict=True))]
    left = [task for task in tasks if task.case.case not in known]
    if not left:
        raise CTBMDError(
            f"'{added_to}' has all {len(tasks)} cases already; there is nothing to add.",
            "nothing-to-add",
        )
    return left, [task.case.title for task in tasks if task.case.case in known]


def failures_file_of(output: Path) -> Path:
    """The list of the cases of an output that failed."""
    return output.with_name(f"{output.stem}.failures.csv")


def followup_file_of(output: Path) -> Path:
    """The changes of the persons with several CTs in an output."""
    return output.with_name(f"{output.stem}.followup.csv")


def summary_file_of(output: Path) -> Path:
    """The page that sums an output up."""
    return output.with_name(f"{output.stem}.summary.html")


def partial_file(output: Path) -> Path:
    """The table of what an interrupted batch has finished; it goes when the batch has ended."""
    return output.with_name(f"{output.stem}.partial{output.suffix}")


def examine(task: Task, job: Job, progress: Progress) -> Outcome:
    """Run one case and answer what it came to, without its images.

    Raises
    ------
    Cancelled
    """
    key = case_key(task.lying)
    seen: dict[str, Any] = {}

    def look(case: Case, volume: CTVolume, result: BMDResult) -> None:
        seen["facts"] = facts_of(case, volume, result, job.secret)

    try:
        result = run_case(
            task.case,
            job.bundle,
            job.reference,
            job.device,
            progress,
            job.with_identity,
            job.dxa,
            look,
            job.correct_values,
        )
    except CTBMDError as error:
        return Outcome(None, " ".join(str(error).split()), error.code, key=key)
    except Cancelled:
        raise
    except Exception as error:  # of thousands of cases one must not cost the others
        text = f"unexpected {type(error).__name__}: {error}; please report it."
        return Outcome(None, " ".join(text.split()), "unexpected-error", key=key)
    sheet = contact_sheet(result.images)
    facts = seen.get("facts", Facts())
    return Outcome(replace(result, images={}), facts=facts, key=key, sheet=sheet)


def in_this_process(
    tasks: Sequence[Task], job: Job, work: Progress
) -> Generator[tuple[Task, Outcome], None, None]:
    """The cases one after another in this process, for want of a `Pool`."""
    for number, task in enumerate(tasks):
        yield task, examine(task, job, work.part(number / len(tasks), (number + 1) / len(tasks)))


class _Batch:
    """The cases of a run, as far as they are done."""

    def __init__(
        self,
        tasks: Sequence[Task],
        job: Job,
        journal: Journal,
        sheets: Sheets,
        output: Path,
        on_case: OnCase | None,
    ) -> None:
        self.tasks, self.job, self.journal, self.sheets = tasks, job, journal, sheets
        self.output, self.on_case = output, on_case
        self.keys: dict[int, str] = {}
        self.results: dict[int, BMDResult] = {}
        self.facts: dict[int, Facts] = {}
        self.failures: dict[int, Failure] = {}
        self.resumed = 0
        self._written = time.monotonic()

    def run(self, pool: Pool | None, work: Progress) -> None:
        """Run what is not done yet; what is finished stays where this is interrupted."""
        left = [task for task in self.tasks if not self._known(task)]
        start = self.resumed / len(self.tasks)
        outcomes = pool.outcomes if pool else in_this_process
        try:
            # Closed at once where this is interrupted: processes must not work on.
            with closing(outcomes(left, self.job, work.part(start, 1.0))) as found:
                for task, outcome in found:
                    self._take(task, outcome)
                    if time.monotonic() - self._written > PARTIAL_SECONDS:
                        self._keep_partial()
        except BaseException:
            self._keep_partial()
            raise

    def _known(self, task: Task) -> bool:
        """Whether an interrupted run finished a case; takes it over."""
        if self.journal.empty:
            return False
        key = case_key(task.lying)
        known = self.journal.result(key)
        if known is None:
            return False
        self.results[task.number] = _renamed(known, task.case.case) if task.case.case else known
        self.facts[task.number] = Facts.from_dict(self.journal.facts(key))
        self.keys[task.number] = key
        self.resumed += 1
        return True

    def _take(self, task: Task, outcome: Outcome) -> None:
        if outcome.result is None:
            reason, code = outcome.reason or "", outcome.code or ""
            self.failures[task.number] = Failure(task.case, reason, code)
        else:
            self.journal.add(outcome.key, outcome.result, outcome.facts.to_dict())
            self.results[task.number] = outcome.result
            self.facts[task.number] = outcome.facts
            self.keys[task.number] = outcome.key
            self.sheets.offer(outcome.key, need_of_a_look(outcome.result), outcome.sheet)
        if self.on_case:
            self.on_case(task.case, outcome.result, outcome.reason)

    def _in_order(self) -> list[BMDResult]:
        numbers = sorted(self.results)
        named = {task.number: task.case for task in self.tasks}
        cases = [named[number] for number in numbers]
        results = [self.results[number] for number in numbers]
        return told_apart(cases, results) if self.job.with_identity else results

    def _keep_partial(self) -> None:
        """Write what is finished; on a full disk in the room of the contact sheets.

        Where it fails the table of before stays: what is finished is in the journal.
        """
        try:
            self._write_partial()
        except CTBMDError:
            self.sheets.close()
            with suppress(CTBMDError):
                self._write_partial()

    def _write_partial(self) -> None:
        self._written = time.monotonic()
        if self.results:
            write_single(self._in_order(), partial_file(self.output))

    def write(
        self,
        register: Register | None,
        precision: Precision | None,
        append: bool,
        there: list[str],
    ) -> BatchReport:
        """Put the outputs in their places, the table last.

        Parameters
        ----------
        register : Register or None
        precision : Precision or None
        append : bool
            Whether the table's other rows stay.
        there : list of str
            Cases that it has already.

        Raises
        ------
        CTBMDError
        """
        failures = [self.failures[number] for number in sorted(self.failures)]
        failures_file = failures_file_of(self.output)
        if register and (failures or register.path.exists()):
            register.write({x.case.title: x.reason for x in failures})
        if failures:
            table = _failure_table(failures, self.job.with_identity)
            write_text(failures_file, table, overwrite=True, private=self.job.with_identity)
        else:
            _remove(failures_file)  # of an earlier run, which may be replaced; it would mislead
        if not self.results:
            raise CTBMDError(
                f"None of the {len(self.tasks)} cases gave a result; the reasons are in '{failures_file}'.",
                "no-results",
            )
        results = self._in_order()
        changes = self._followup(results, precision)
        self._summary(results, failures, changes)
        write_table(results, self.output, self.journal.run, append)
        _remove(partial_file(self.output))
        return BatchReport(
            self.output,
            results,
            failures,
            failures_file if failures else None,
            register.path if register and register.path.exists() else None,
            self.resumed,
            summary_file_of(self.output),
            changes,
            followup_file_of(self.output) if changes else None,
            there,
        )

    def _followup(self, results: Sequence[BMDResult], precision: Precision | None) -> list[Change]:
        facts = [self.facts[number] for number in sorted(self.results)]
        scans = [Scan(x, y) for x, y in zip(results, facts, strict=True)]
        changes = changes_of(scans, precision)
        if changes:
            path, private = followup_file_of(self.output), self.job.with_identity
            write_text(path, to_csv(changes), overwrite=True, private=private)
        else:
            _remove(followup_file_of(self.output))
        return changes

    def _summary(
        self, results: Sequence[BMDResult], failures: Sequence[Failure], changes: Sequence[Change]
    ) -> None:
        numbers = sorted(self.results)
        looked_at = set(most_need(results))
        estimated = [
            Estimated(
                result,
                self.facts[number],
                self.sheets.get(self.keys[number]) if place in looked_at else b"",
            )
            for place, (number, result) in enumerate(zip(numbers, results, strict=True))
        ]
        reasons: dict[str, list[str]] = {}
        for failure in failures:  # its own sentence may name files, its code cannot
            reasons.setdefault(failure.code, []).append(failure.case.title)
        page = make_summary(
            self.output.name, estimated, reasons, changes, self.job.bundle, self.job.reference
        )
        path = summary_file_of(self.output)
        write_text(path, page, overwrite=True, private=self.job.with_identity)


def _failure_table(failures: Sequence[Failure], with_identity: bool) -> str:
    """The list of failures; a sentence may name files, its code cannot."""
    if with_identity:
        return case_table([(x.case, x.reason) for x in failures])
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerows([("case", "reason"), *((x.case.title, x.code) for x in failures)])
    return out.getvalue()


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


def run_case(  # noqa: PLR0917  as `examine` calls it
    case: Case,
    bundle: ModelBundle,
    reference: ReferenceTable | None,
    device: str,
    progress: Progress,
    with_identity: bool = False,
    dxa: str | None = None,
    look: Callable[[Case, CTVolume, BMDResult], None] | None = None,
    correct_values: bool = False,
) -> BMDResult:
    """Open and estimate one case; `with_identity`: see `run_batch`.

    `look` is shown the case where its files lie, the scan and its result while all are there.

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
        with local_copy(case.path, progress) as path:
            volume, selection = open_case(
                path,
                levels=case.levels or None,
                series_uid=case.series_uid or None,
                progress=told(progress.part(0.0, 0.8)),
                should_cancel=cancelled,
            )
            result = estimate(
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
                correct_values=correct_values,
                progress=told(progress.part(0.8, 1.0)),
                should_cancel=cancelled,
            )
            if look:
                look(replace(case, path=path), volume, result)
            return result
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
