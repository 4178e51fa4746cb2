"""A model beside the DXA of the same persons: figures, page and tables; the model is not changed.

While it runs, every finished case is a line of a journal in the output's folder, so
that the same call goes on after an interruption, as `batch` does.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

from .. import __version__
from ..bmd.estimate import estimate
from ..bmd.reference import ReferenceTable
from ..bmd.result import BMDResult
from ..disclaimers import disclaimer
from ..errors import CTBMDError
from ..model.bundle import ModelBundle
from ..progress import Progress, Report, ShouldCancel
from ..safefile import check_writable, not_written, write_text
from .batch import kvp_of, person_of
from .cases import open_case
from .include import named_levels
from .journal import Journal, case_key, run_settings
from .validate_lumos import lumos_table
from .validate_page import Page, make_page
from .validate_pairs import (
    Pair,
    in_one_unit,
    left_table,
    make_pair,
    number_persons,
    pair_table,
    scan_facts,
)
from .validate_report import Report as Figures
from .validate_report import make_report, report_dict
from .validate_table import (
    MAX_DAYS,
    LeftOut,
    Measured,
    check_table_path,
    left_out,
    read_measured,
)
from .validate_verse import verse_table

PAGE, FIGURES, PAIRS, LEFT_OUT = "report.html", "figures.json", "pairs.csv", "left_out.csv"

OnCase = Callable[[Measured, BMDResult | None, str | None], None]


@dataclass(frozen=True)
class Validation:
    """What a validation did.

    Attributes
    ----------
    folder : Path
        Holds `PAGE`, `FIGURES`, `PAIRS` and `LEFT_OUT`.
    figures : validate_report.Report
    pairs : list of Pair
    left : list of LeftOut
        With the pairs, every row of the table once.
    resumed : int
        Cases that an interrupted call had finished.
    """

    folder: Path
    figures: Figures
    pairs: list[Pair]
    left: list[LeftOut]
    resumed: int


def table_of_set(
    table: str | PathLike[str],
    folder: str | PathLike[str],
    *,
    verse: str | PathLike[str] | None = None,
    lumos: str | PathLike[str] | None = None,
    overwrite: bool = False,
    progress: Report | None = None,
    should_cancel: ShouldCancel | None = None,
) -> Path:
    """The table of a validation: as it is, or made from a public data set's own.

    Parameters
    ----------
    table : path
        The table itself, or the DXA of the data set.
    folder : path
        Of the validation; gets the table that is made.
    verse, lumos : path, optional
        Where the images of the data set lie.
    overwrite : bool
    progress : callable(fraction, text), optional
    should_cancel : callable() -> bool, optional

    Raises
    ------
    CTBMDError, Cancelled
    """
    table, folder = Path(table), Path(folder)
    if verse is None and lumos is None:
        return table
    check_table_path(table)
    _prepare(folder, overwrite)
    if verse is not None:
        return verse_table(Path(verse), table, folder, overwrite, Progress(progress, should_cancel))
    return lumos_table(Path(str(lumos)), table, folder, overwrite)


def validate(  # noqa: PLR0913  a public call; all but three are keywords
    table: str | PathLike[str],
    folder: str | PathLike[str],
    bundle: ModelBundle,
    *,
    overwrite: bool = False,
    reference: ReferenceTable | None = None,
    dxa: str | None = None,
    device: str = "auto",
    max_days: float | None = MAX_DAYS,
    progress: Report | None = None,
    should_cancel: ShouldCancel | None = None,
    on_case: OnCase | None = None,
) -> Validation:
    """Estimate every CT of a table and hold it against the DXA beside it.

    Parameters
    ----------
    table : path
        See `validate_table.read_measured`.
    folder : path
        Made where it is not there.
    bundle : ModelBundle
    overwrite : bool
        Whether the files of an earlier validation may be replaced.
    reference : ReferenceTable, optional
        Turns g/cm2 into T-scores: of the DXA where the table gives none, and of the
        estimates where the table gives T-scores only.
    dxa : {'hologic', 'lunar'}, optional
        The DXA device whose g/cm2 the estimates are in; see `estimate`.
    device : str
        See `ModelBundle.predict`.
    max_days : float or None
        Longest time between CT and DXA; None for any.
    progress : callable(fraction, text), optional
    should_cancel : callable() -> bool, optional
    on_case : callable(Measured, BMDResult or None, str or None), optional
        Told each case's result, or the sentence why it is left out.

    Raises
    ------
    CTBMDError
        Where nothing can be started, or no case at all can be compared; `LEFT_OUT`
        then says why.
    Cancelled
        Finished cases stay, and the same call goes on there; with `overwrite` it
        starts afresh.
    """
    table, folder = Path(table), Path(folder)
    rows, left = read_measured(table, max_days)
    count = len(rows) + len(left)
    _prepare(folder, overwrite)
    journal = Journal(folder / PAIRS, run_settings(bundle, reference, dxa), overwrite)
    ended = False
    try:
        work = Progress(progress, should_cancel)

        def run(row: Measured, part: Progress) -> tuple[BMDResult, dict[str, Any]]:
            return _estimate(row, bundle, reference, device, part, dxa)

        done = _run_all(rows, run, journal, work, on_case)
        pairs, ids, failed = _pairs(rows, done, bundle, reference)
        left += failed
        pairs, notes = number_persons(pairs, ids)
        unit, kept, others = in_one_unit(pairs, reference)
        left += others
        if not kept:
            write_text(folder / LEFT_OUT, left_table(left), overwrite)
            ended = True
            raise CTBMDError(
                f"None of the {count} rows of '{table}' can be compared; the reasons are in "
                f"'{folder / LEFT_OUT}'.",
                "no-results",
            )
        figures = make_report(kept, unit, bundle, reference, notes)
        page = Page(table.name, time.strftime("%Y-%m-%d"), count, max_days)
        content = {
            "made_by": f"ctbmd {__version__} validate",
            "disclaimer": disclaimer(bundle.population),
            "date": page.date,
            "table": page.table,
            "model": {
                "name": bundle.name,
                "version": bundle.version,
                "population": bundle.population,
            },
            "reference": reference.name if reference else None,
            "max_days": max_days,
            "rows": count,
            "left_out": len(left),
            **report_dict(figures),
        }
        text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        write_text(folder / FIGURES, text, overwrite)
        write_text(folder / PAIRS, pair_table(kept, unit, figures.hu_line, bundle), overwrite)
        write_text(folder / LEFT_OUT, left_table(left), overwrite)
        write_text(folder / PAGE, make_page(page, figures, kept, left, bundle), overwrite)
        ended = True
    finally:
        journal.close(ended)
    return Validation(folder, figures, kept, left, sum(item.resumed for item in done))


@dataclass(frozen=True)
class _Done:
    """How a row ended; `result` is None where it is left out for `reason`."""

    result: BMDResult | None
    facts: dict[str, Any]
    reason: str | None = None
    resumed: bool = False


def _prepare(folder: Path, overwrite: bool) -> None:
    """Make the folder and see that the files can be written, before the work."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise not_written(folder, error) from None
    for name in (PAGE, FIGURES, PAIRS, LEFT_OUT):
        check_writable(folder / name, overwrite)


def _run_all(
    rows: list[Measured],
    run: Callable[[Measured, Progress], tuple[BMDResult, dict[str, Any]]],
    journal: Journal,
    work: Progress,
    on_case: OnCase | None,
) -> list[_Done]:
    done = []
    for number, row in enumerate(rows):
        # A segmentation decides the levels as a levels file does, and is compared like one.
        key = case_key(replace(row.case, levels=row.case.levels or row.segmentation))
        known = journal.result(key)
        if known is not None:
            done.append(_Done(known, journal.facts(key), resumed=True))
            continue
        part = work.part(number / len(rows), (number + 1) / len(rows))
        try:
            result, facts = run(row, part)
        except CTBMDError as error:
            item = _Done(None, {}, " ".join(str(error).split()))
        else:
            journal.add(key, result, facts)
            item = _Done(result, facts)
        done.append(item)
        if on_case:
            on_case(row, item.result, item.reason)
    return done


def _estimate(
    row: Measured,
    bundle: ModelBundle,
    reference: ReferenceTable | None,
    device: str,
    progress: Progress,
    dxa: str | None,
) -> tuple[BMDResult, dict[str, Any]]:
    """Open and estimate one row's CT; answers what of the header is wanted as well."""
    progress.check()
    case = row.case
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
            levels=case.levels,
            segmentation=row.segmentation,
            series_uid=case.series_uid,
            progress=told(progress.part(0.0, 0.8)),
            should_cancel=cancelled,
        )
        result = estimate(
            volume,
            selection,
            bundle,
            case=case.case,
            sex=sex,
            age=age,
            kvp=kvp,
            include=named_levels(case.include),
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
    # What the network saw is not wanted again, and would fill the memory.
    return replace(result, images={}), scan_facts(volume)


def _pairs(
    rows: list[Measured],
    done: list[_Done],
    bundle: ModelBundle,
    reference: ReferenceTable | None,
) -> tuple[list[Pair], list[str | None], list[LeftOut]]:
    """The rows whose CT shows what the DXA measured, their PatientID, and the others."""
    pairs, ids, left = [], [], []
    for row, item in zip(rows, done, strict=True):
        if item.result is None:
            left.append(left_out(row, item.reason or ""))
            continue
        try:
            pairs.append(make_pair(row, item.result, item.facts, bundle, reference))
        except CTBMDError as error:
            left.append(left_out(row, str(error)))
        else:
            ids.append(item.facts.get("patient_id"))
    return pairs, ids, left
