"""What `ctbmd batch` asks and tells: its options, where its cases run, how far it is."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Protocol, TextIO

from ..disclaimers import disclaimer
from ..dxa import maker
from ..errors import Cancelled
from .pace import Pace

if TYPE_CHECKING:
    from ..bmd.reference import ReferenceTable
    from ..bmd.result import BMDResult
    from ..model.bundle import ModelBundle
    from .batch import BatchReport
    from .caselist import Case
    from .cluster import Cluster, Workers


class Screen(Protocol):
    """Where the command tells: `cli`'s screen."""

    def progress(self, fraction: float, text: str) -> None:
        """Show how far the work is, where there is a terminal."""

    def say(self, text: str = "", stream: TextIO | None = None) -> None:
        """Print a line."""


def add_options(batch: argparse.ArgumentParser) -> None:
    """The options of `ctbmd batch` that no other command has."""
    batch.add_argument(
        "--dry-run",
        action="store_true",
        help="only list what would be done and what is left out, with reasons",
    )
    batch.add_argument(
        "--append",
        action="store_true",
        help="add to an existing Parquet table of the same model; cases that it has are left out",
    )
    batch.add_argument(
        "--correct-values",
        action="store_true",
        help="correct each scan's values by its own air and fat first; every row says so",
    )
    where = batch.add_mutually_exclusive_group()
    where.add_argument(
        "--workers",
        type=_workers,
        metavar="N",
        help="processes of this computer, 1 for none beside this one; needs ctbmd[cohort] (as many as there are cores and memory for)",
    )
    where.add_argument(
        "--scheduler", metavar="tcp://HOST:PORT", help="address of your own Dask cluster"
    )
    batch.add_argument(
        "--precision",
        type=float,
        metavar="SD",
        help="your own precision of L1-L4 in g/cm2, by which changes of one person are judged",
    )
    batch.add_argument(
        "--memory-limit",
        metavar="SIZE",
        help="memory of each process, such as 4GB; one that needs more is ended and its CT tried alone",
    )


def _workers(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 512:
        raise argparse.ArgumentTypeError(f"{text} processes are not possible")
    return value


_workers.__name__ = "workers"  # argparse names the type in its message


def run(
    arguments: argparse.Namespace,
    screen: Screen,
    bundle: ModelBundle,
    reference: ReferenceTable | None,
) -> None:
    """Run the command.

    Raises
    ------
    CTBMDError, Cancelled
    """
    if arguments.dry_run:
        _tell_plan(arguments, screen)
        return
    from .batch import run_batch

    live = sys.stderr is not None and sys.stderr.isatty()
    pace = Pace(screen.progress, None if live else lambda text: screen.say(text, sys.stderr))

    def on_case(case: Case, result: BMDResult | None, failure: str | None) -> None:
        pace.case_ended()
        screen.say(_line(case, result, failure))

    try:
        report = run_batch(
            arguments.source,
            arguments.output,
            bundle,
            overwrite=arguments.overwrite,
            append=arguments.append,
            with_identity=arguments.with_identity,
            reference=reference,
            dxa=arguments.dxa,
            device=arguments.device,
            correct_values=arguments.correct_values,
            precision=arguments.precision,
            pool=_workers_of(arguments, screen),
            progress=pace.report,
            on_case=on_case,
        )
    except KeyboardInterrupt:
        raise Cancelled(
            "cancelled; the same command, without --overwrite, goes on where it stopped."
        ) from None
    _tell(report, screen)
    screen.say(disclaimer(bundle.population))


def _workers_of(arguments: argparse.Namespace, screen: Screen) -> Workers:
    """Where the cases run, as the options say."""
    from .cluster import Workers, bytes_of

    limit = bytes_of(arguments.memory_limit) if arguments.memory_limit else None
    return Workers(arguments.workers, arguments.scheduler, limit, lambda x: screen.say(_where(x)))


def _where(cluster: Cluster) -> str:
    at = f"scheduler {cluster.scheduler}" if cluster.scheduler else f"{cluster.workers} processes"
    page = cluster.dashboard
    told = f"page of what runs: {page}" if page else "for a page of what runs install bokeh"
    return f"Dask: {at}; {told}"


def _line(case: Case, result: BMDResult | None, failure: str | None) -> str:
    if result is None:
        return f"{case.title}: failed: {failure}"
    total = result.total
    if total is None:
        return f"{case.title}: {len(result.levels)} levels, no L1-L4 value"
    return f"{case.title}: L1-L4 {total.bmd_g_cm2:.3f} g/cm2 ({total.bmd_low:.3f} - {total.bmd_high:.3f})"


def _tell(report: BatchReport, screen: Screen) -> None:
    if report.resumed:
        screen.say(f"Taken over from an interrupted run: {count_of(report.resumed)}.")
    if report.there:
        screen.say(f"In the table already, and left out: {count_of(len(report.there))}.")
    screen.say(f"{count_of(len(report.results))} written to {report.output}")
    screen.say(f"DXA scale: {maker(report.results[0].dxa_scale)}")
    if report.failures:
        screen.say(f"{count_of(len(report.failures))} failed, listed in {report.failures_file}")
    if report.changes:
        persons = len({x.person for x in report.changes})
        told = "1 person has" if persons == 1 else f"{persons} persons have"
        screen.say(f"{told} several CTs; the changes are in {report.followup_file}")
    screen.say(f"Summary: {report.summary_file}")
    if report.identity_file:
        screen.say(
            f"Which case is which scan: {report.identity_file} (you alone may read it; keep it to yourself)"
        )


def _tell_plan(arguments: argparse.Namespace, screen: Screen) -> None:
    from collections import Counter

    from .plan import DO, FAIL, FINISHED, not_cases, plan

    words = {DO: "would be read", FINISHED: "left out", FAIL: "would fail"}
    count: Counter[str] = Counter()
    for item in plan(arguments.source, arguments.output):
        count[item.what] += 1
        screen.say(f"{item.case.title}: {words[item.what]}: {item.text}")
        for title, why in item.left:
            screen.say(f"  left out: {title}: {why}")
    for name, why in not_cases(arguments.source):
        screen.say(f"left out: {name}: {why}")
    screen.say(
        f"{count_of(count[DO])} would be read, {count[FINISHED]} finished already, "
        f"{count[FAIL]} would fail; nothing was written."
    )


def count_of(number: int) -> str:
    """'1 case', '2 cases'."""
    return "1 case" if number == 1 else f"{number} cases"
