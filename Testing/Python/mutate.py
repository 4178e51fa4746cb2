"""Mutation testing: breaks the code that decides a value in small ways and counts what the tests notice.

    python Testing/Python/mutate.py [MODULE ...]      such as bmd/roi; all of MODULES where none is named

The mutations are those of cosmic-ray. Its own runner starts Python anew for each;
here each mutant is a fork of one process that has numpy and pytest loaded, which
takes a tenth of the time. The result is written to mutation.md, survivors with
the reason that mutation_reasons.json gives for them. Needs Linux or macOS.
"""

from __future__ import annotations

import argparse
import ast
import importlib.abc
import importlib.util
import json
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
REPORT = HERE / "mutation.md"
REASONS = HERE / "mutation_reasons.json"
RESULTS = ROOT / "build" / "mutation.json"

MODULES = {
    "model/network": [
        "model/test_network_reference.py",
        "model/test_network_values.py",
        "model/test_network.py",
    ],
    "model/images": ["model/test_images_values.py", "model/test_images.py"],
    "bmd/roi": ["bmd/test_roi.py"],
    "bmd/quality": [
        "bmd/test_given_facts.py",
        "bmd/test_quality.py",
        "bmd/test_quality_limits.py",
    ],
    "bmd/estimate": ["bmd/test_estimate_values.py", "bmd/test_estimate.py"],
    "bmd/reference": [
        "bmd/test_reference.py",
        "bmd/test_reference_limits.py",
        "bmd/test_devices.py",
    ],
    "dxa": ["bmd/test_devices.py"],
    "bmd/interval": ["bmd/test_interval.py", "bmd/test_estimate.py"],
}
"""Modules of CTBMDLib and the quick tests that answer for them, the quickest first."""

SAMPLE_SEED = 10
"""What `--sample` draws with, so that a second run looks at the same mutants."""

NOT_MUTATED = {"torch_ops", "_initial", "build_torch"}
"""Held by the network's second statement, which needs torch; left out here as torch takes long to load."""

OPERATORS = (
    "AddNot",
    "NumberReplacer",
    "ReplaceTrueWithFalse",
    "ReplaceFalseWithTrue",
    "ReplaceAndWithOr",
    "ReplaceOrWithAnd",
    "ReplaceUnaryOperator_USub_UAdd",
    "ReplaceUnaryOperator_Delete_Not",
    "ReplaceBreakWithContinue",
    "ReplaceContinueWithBreak",
    "ZeroIterationForLoop",
    "ReplaceBinaryOperator_Add_Sub",
    "ReplaceBinaryOperator_Sub_Add",
    "ReplaceBinaryOperator_Mul_Div",
    "ReplaceBinaryOperator_Div_Mul",
    "ReplaceBinaryOperator_Pow_Mul",
    "ReplaceBinaryOperator_FloorDiv_Mul",
    "ReplaceBinaryOperator_BitAnd_BitOr",
    "ReplaceBinaryOperator_BitOr_BitAnd",
    "ReplaceComparisonOperator_Lt_LtE",
    "ReplaceComparisonOperator_Lt_Gt",
    "ReplaceComparisonOperator_LtE_Lt",
    "ReplaceComparisonOperator_LtE_Gt",
    "ReplaceComparisonOperator_Gt_GtE",
    "ReplaceComparisonOperator_Gt_Lt",
    "ReplaceComparisonOperator_GtE_Gt",
    "ReplaceComparisonOperator_GtE_Lt",
    "ReplaceComparisonOperator_Eq_NotEq",
    "ReplaceComparisonOperator_NotEq_Eq",
    "ReplaceComparisonOperator_Is_IsNot",
    "ReplaceComparisonOperator_IsNot_Is",
)
"""One or two replacements for each kind; the rest of cosmic-ray's break the code more coarsely."""

PATIENCE_S = 60


@dataclass(frozen=True)
class Mutant:
    """One change of a module.

    Attributes
    ----------
    module : str
        Such as 'bmd/roi'.
    line : int
    before, after : str
        The line as it is and as it was changed.
    source : str
        The whole module, changed.
    """

    module: str
    line: int
    before: str
    after: str
    source: str

    @property
    def key(self) -> str:
        """What names a mutant as long as its line is not changed."""
        return f"{self.module}: {self.before} -> {self.after}"


def mutants(module: str) -> Iterator[Mutant]:
    """Every mutant of a module, none within type annotations or what is left out."""
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator, operator_names

    source = (ROOT / "CTBMDLib" / f"{module}.py").read_text(encoding="utf-8")
    lines = source.split("\n")
    skipped = _skipped(ast.parse(source))
    seen = set()
    for name in operator_names():
        if name.partition("/")[2] not in OPERATORS:
            continue
        operator = get_operator(name)()
        positions = [
            place
            for node in ast_nodes(get_ast(source))
            for place in operator.mutation_positions(node)
        ]
        for occurrence, (start, _end) in enumerate(positions):
            if any(first <= start <= last for first, last in skipped):
                continue
            changed = mutate_code(source, operator, occurrence)
            if changed is None or changed in seen:
                continue
            seen.add(changed)
            after = changed.split("\n")
            line = next(
                (i for i, (x, y) in enumerate(zip(lines, after, strict=False)) if x != y), 0
            )
            yield Mutant(module, line + 1, lines[line].strip(), after[line].strip(), changed)


def _skipped(tree: ast.Module) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Where annotations and functions that are left out begin and end."""
    nodes = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            nodes += [node] if node.name in NOT_MUTATED else []
            nodes += [node.returns] if node.returns else []
        elif isinstance(node, (ast.arg, ast.AnnAssign)) and node.annotation:
            nodes.append(node.annotation)
    return [((n.lineno, n.col_offset), (n.end_lineno, n.end_col_offset)) for n in nodes]


class _Instead(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives a changed source for one module."""

    def __init__(self, name: str, source: str, path: Path):
        self.name, self.source, self.path = name, source, path

    def find_spec(self, fullname, path=None, target=None):
        if fullname != self.name:
            return None
        return importlib.util.spec_from_loader(fullname, self, origin=str(self.path))

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        module.__file__ = str(self.path)
        exec(compile(self.source, str(self.path), "exec"), module.__dict__)


def passes(module: str, source: str | None, tests: list[str], patience: float) -> bool:
    """Whether the tests pass with the module's source replaced, in a fork of this process."""
    child = os.fork()
    if child == 0:
        _run_and_exit(module, source, tests)
    ends = time.monotonic() + patience
    while time.monotonic() < ends:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def _run_and_exit(module: str, source: str | None, tests: list[str]) -> None:
    import pytest

    code = 1
    try:
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        if source is not None:
            name = f"CTBMDLib.{module.replace('/', '.')}"
            path = ROOT / "CTBMDLib" / f"{module}.py"
            sys.meta_path.insert(0, _Instead(name, source, path))
        paths = [str(HERE / test) for test in tests]
        # Without the golden scans and whatever loads torch: those take seconds.
        options = ["-x", "-q", "-p", "no:cacheprovider", "-m", "not slow and not data"]
        options += ["-k", "not torch and not second_statement"]
        code = int(pytest.main([*options, *paths]))
    finally:
        os._exit(code)


def run(module: str, sample: int | None = None) -> tuple[int, int, list[Mutant]]:
    """How many mutants a module has, how many were tried, and those that no test noticed.

    Parameters
    ----------
    module : str
        One of `MODULES`.
    sample : int, optional
        Try no more than this many, drawn with `SAMPLE_SEED`.
    """
    tests = MODULES[module]
    missing = [test for test in tests if not (HERE / test).is_file()]
    if missing:
        # A test that is not there would count as one that notices nothing.
        raise SystemExit(f"{module}: no such test: {', '.join(missing)}")
    start = time.monotonic()
    if not passes(module, None, tests, 10 * PATIENCE_S):
        raise SystemExit(f"{module}: the tests fail without a mutation")
    patience = min(PATIENCE_S, 5 + 5 * (time.monotonic() - start))
    found = list(mutants(module))
    tried = found
    if sample is not None and len(found) > sample:
        tried = random.Random(SAMPLE_SEED).sample(found, sample)
    survivors = [item for item in tried if passes(module, item.source, tests, patience)]
    return len(found), len(tried), sorted(survivors, key=lambda item: item.line)


def report(results: dict[str, dict]) -> str:
    """The page: how many died in each module, and who survived why."""
    reasons = json.loads(REASONS.read_text(encoding="utf-8")) if REASONS.is_file() else {}
    page = [
        "# Mutation testing",
        "",
        "Made by `make mutate`; do not edit it here. Each module is broken in many small ways",
        "(the operators of cosmic-ray), and the fast tests of that module should notice.",
        "A mutant that computes the same values for every input is equivalent: no test can",
        "notice it, and it does not count in the share.",
        "",
        "| module | mutants | tried | died | equivalent | share |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    rows = {module: _counts(module, result, reasons) for module, result in results.items()}
    rows["all"] = tuple(sum(column) for column in zip(*rows.values(), strict=True))
    for module, (count, tried, died, same) in rows.items():
        share = 100 * died / max(tried - same, 1)
        page.append(f"| {module} | {count} | {tried} | {died} | {same} | {share:.1f} % |")
    if any(count > tried for count, tried, *_ in rows.values()):
        page += [
            "",
            f"Where fewer were tried than there are, they were drawn at seed {SAMPLE_SEED}.",
        ]
    for module, result in results.items():
        if not result["survivors"]:
            continue
        page += ["", f"## Survivors of {module}", ""]
        for item in result["survivors"]:
            reason = reasons.get(_key(module, item), "no reason yet")
            page += [f"- line {item['line']}: `{item['before']}` became"]
            page += [f"  `{item['after']}`: {reason}"]
    return "\n".join(page) + "\n"


def _key(module: str, item: dict) -> str:
    """What mutation_reasons.json calls a survivor."""
    return f"{module}: {item['before']} -> {item['after']}"


def _counts(module: str, result: dict, reasons: dict[str, str]) -> tuple[int, int, int, int]:
    """Mutants of a module, those tried, those that died and those that are equivalent."""
    tried = result.get("tried", result["mutants"])
    survivors = result["survivors"]
    same = sum(reasons.get(_key(module, x), "").startswith("equivalent") for x in survivors)
    return result["mutants"], tried, tried - len(survivors), same


def main(arguments: list[str] | None = None) -> int:
    """Run and write the page; 1 where under 90 % of the mutants that are not equivalent die."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=", ".join(MODULES))
    parser.add_argument("--sample", type=int, metavar="N", help="try N mutants of a module")
    parser.add_argument("--page", action="store_true", help="only write the page anew")
    given = parser.parse_args(arguments)
    chosen = [] if given.page else given.modules or list(MODULES)
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    # Loaded once, before the forks; nothing of CTBMDLib may be.
    import numpy as np  # noqa: F401
    import pydicom  # noqa: F401
    import pytest  # noqa: F401
    import scipy.ndimage  # noqa: F401

    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    for module in chosen:
        start = time.monotonic()
        count, tried, survivors = run(module, given.sample)
        kept = [{k: v for k, v in asdict(item).items() if k != "source"} for item in survivors]
        results[module] = {"mutants": count, "tried": tried, "survivors": kept}
        seconds = time.monotonic() - start
        print(f"{module}: {tried - len(kept)} of {tried} died ({seconds:.0f} s)", flush=True)
        for item in kept:
            print(f"  line {item['line']}: {item['before']} -> {item['after']}", flush=True)
    results = {module: results[module] for module in MODULES if module in results}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    REPORT.write_text(report(results), encoding="utf-8")
    reasons = json.loads(REASONS.read_text(encoding="utf-8")) if REASONS.is_file() else {}
    counts = [_counts(module, result, reasons) for module, result in results.items()]
    return int(any(died < 0.9 * (tried - same) for _, tried, died, same in counts))


if __name__ == "__main__":
    sys.exit(main())
