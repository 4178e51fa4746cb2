"""`python -m Testing.fuzz`: damaged inputs by the thousand, and a table of how each ended.

    python -m Testing.fuzz [COUNT] [--seed N] [--only NAME] [--processes N] [--keep FOLDER]

Exit 1 where a case ended in anything but a value or one sentence within 10 s of
processor time and 2 GB, or where content under a checksum gave another value. `--keep` writes the
inputs of such cases into a folder; SEED and NUMBER of the list make each again.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from .bounds import FINE, OTHER, Outcome
from .run import Case, cases, run_case
from .targets import Target, targets

COUNT = 20_000
KINDS = ("same value", "another value", "one sentence")


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m Testing.fuzz", description=__doc__)
    parser.add_argument("count", nargs="?", type=int, default=COUNT)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="one kind of input")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder for the inputs that did not end well")
    options = parser.parse_args(argv)
    known = {item.name: item for item in targets()}
    if options.only and options.only not in known:
        parser.error(f"--only is one of {', '.join(known)}")
    chosen = [known[options.only]] if options.only else list(known.values())
    jobs = list(cases(chosen, options.count, options.seed))
    table: dict[str, Counter[str]] = {item.name: Counter() for item in chosen}
    slowest = dict.fromkeys(table, 0.0)
    bad: Counter[str] = Counter()
    for case, outcome in _outcomes(chosen, jobs, options.processes):
        name = case.target
        wrong = not well(known[name], outcome)
        table[name]["wrong" if wrong else outcome.kind] += 1
        slowest[name] = max(slowest[name], outcome.seconds)
        if wrong:
            bad[outcome.detail.strip().splitlines()[-1] if outcome.detail else outcome.kind] += 1
            print(
                f"{name} --seed {case.seed} number {case.number}: {outcome.kind}: {outcome.detail}"
            )
            if options.keep:
                known[name].write(case.files(known[name]), options.keep / f"{name}-{case.number}")
    print(report(table, slowest))
    for detail, count in bad.most_common():
        print(f"{count} x {detail}")
    return 1 if bad else 0


def well(target: Target, outcome: Outcome) -> bool:
    """Whether a case ended as it should."""
    return outcome.kind in FINE and not (target.sealed and outcome.kind == OTHER)


def report(table: dict[str, Counter[str]], slowest: dict[str, float]) -> str:
    """The table as text."""
    lines = [
        "| input | cases | same value | another value | one sentence | unexpected | slowest, CPU s |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    total: Counter[str] = Counter()
    for name, counts in table.items():
        total += counts
        lines.append(_line(name, counts, slowest[name]))
    lines.append(_line("all", total, max(slowest.values())))
    return "\n".join(lines)


def _line(name: str, counts: Counter[str], seconds: float) -> str:
    cells = [counts.total(), *(counts[kind] for kind in KINDS), counts["wrong"]]
    return f"| {name} | {' | '.join(map(str, cells))} | {seconds:.1f} |"


def _outcomes(
    chosen: list[Target], jobs: list[Case], processes: int
) -> Iterator[tuple[Case, Outcome]]:
    if processes < 2:
        with tempfile.TemporaryDirectory() as folder:
            for case in jobs:
                target = next(item for item in chosen if item.name == case.target)
                yield case, run_case(target, case, Path(folder))
        return
    with ProcessPoolExecutor(processes) as pool:
        yield from zip(jobs, pool.map(_run_alone, jobs, chunksize=25), strict=True)


_KNOWN: dict[str, Target] = {}


def _run_alone(case: Case) -> Outcome:
    """Run one case in a worker, which makes the inputs once."""
    if not _KNOWN:
        _KNOWN.update((item.name, item) for item in targets())
    with tempfile.TemporaryDirectory() as folder:
        return run_case(_KNOWN[case.target], case, Path(folder))


if __name__ == "__main__":
    sys.exit(main())
