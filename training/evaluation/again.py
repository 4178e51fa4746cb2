"""A bundle held against simulated cohorts that it neither learned from nor had its interval set on.

    python -m training.evaluation.again FOLDER ... [--model DIR] [--output PAGE.md]

A folder is what `python -m training.virtual.cohort` writes. Simulated CT against simulated DXA.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from CTBMDLib.bmd.interval import interval_for
from CTBMDLib.bmd.reference import ReferenceTable
from CTBMDLib.disclaimers import RESEARCH_USE
from CTBMDLib.dxa import HOLOGIC
from CTBMDLib.errors import CTBMDError
from CTBMDLib.model.bundle import ModelBundle, default_bundle_folder
from CTBMDLib.safefile import write_text

from ..virtual.patient import load_patient
from . import evaluate
from .assess import REFERENCE, predictor

LEARNED_FROM = ("wide", "off_middle")
"""Parts of a plan that a bundle learns from; its interval is set on those called `validation`."""


def learned(card: dict[str, Any]) -> dict[int, str]:
    """Seed of every cohort that a bundle learned from or has its interval from.

    A seed draws the same spines for every population, so that the seed alone decides.

    Parameters
    ----------
    card : dict
        Of a bundle made by `training.reproduce` of virtual people.

    Returns
    -------
    dict of int to str
        To the name of that part, the first of several.

    Raises
    ------
    CTBMDError
        Where the card does not tell, or the bundle answers in a site's own way.
    """
    if card.get("calibration"):
        raise CTBMDError(
            "This bundle was calibrated on a site's own DXA; `ctbmd validate` tests it.",
            "not-plain",
        )
    known: dict[int, str] = {}
    try:
        for name, part in card["cohorts"].items():
            if name in LEARNED_FROM or name.startswith("validation"):
                known.setdefault(int(part["seed"]), name)
    except (AttributeError, KeyError, TypeError, ValueError):
        known = {}
    if not known:
        raise CTBMDError(
            "The bundle's card does not tell which virtual people it learned from, so that no "
            "cohort is known to be fresh.",
            "not-plain",
        )
    return known


def files_of(folder: Path, card: dict[str, Any]) -> tuple[dict[str, Any], list[Path]]:
    """What a cohort's folder says of itself, and its patients' files.

    Raises
    ------
    CTBMDError
        Where it is no such folder, or of people that the bundle learned from.
    """
    try:
        about = json.loads((folder / "cohort.json").read_text(encoding="utf-8"))
        seed = about["seed"]
        if not isinstance(seed, int) or not all(
            isinstance(about[x], str) for x in ("population", "institution")
        ):
            raise ValueError
    except (OSError, ValueError, KeyError, TypeError):
        raise CTBMDError(
            f"{folder} is no cohort; `python -m training.virtual.cohort` makes one.", "no-cohort"
        ) from None
    files = sorted(folder.glob(f"patient_{seed:03d}_*.npz"))
    if len(files) < 2:
        raise CTBMDError(f"{folder} holds fewer than two patients.", "no-cohort")
    if name := learned(card).get(seed):
        raise CTBMDError(
            f"{folder} is of seed {seed}, from which the bundle learned or has its interval "
            f"('{name}'); a test needs another seed.",
            "not-fresh",
        )
    return about, files


def held(bundle: ModelBundle, files: Sequence[Path], load: Callable[[Path], Any]) -> dict[str, Any]:
    """A bundle's figures on one cohort.

    Parameters
    ----------
    bundle : ModelBundle
    files : sequence of Path
        One patient each.
    load : callable(path) -> record

    Returns
    -------
    dict
        'patients', 'low' (how many have osteoporosis by the simulated DXA); 'told' and 'untold',
        with and without the tube voltage: 'figures' and 'coverage' as `evaluate` has them;
        'by age'.
    """
    table = evaluate.read_table(files, _told_by_file(load), bundle.standard)
    low = evaluate.osteoporosis(table, ReferenceTable.load(REFERENCE))
    predict = predictor(bundle.members, bundle.standard)
    out: dict[str, Any] = {"patients": len(table), "low": int(low.sum())}
    for name, seen in (("told", table), ("untold", table.untold())):
        answer = evaluate.predict_table(predict, seen, bundle.dxa_device or HOLOGIC.name)
        interval = bundle.card["interval"]
        if name == "untold":
            interval = interval_for(interval, None)
        else:
            out["by age"] = evaluate.by_age(answer, table)
        out[name] = {
            "figures": evaluate.figures(answer.total, table.total, low),
            "coverage": evaluate.coverage(answer, table, interval),
        }
    return out


def _told_by_file(load: Callable[[Path], Any]) -> Callable[[Path], Any]:
    """`load` whose failure is one sentence with the file's name."""

    def loaded(path: Path) -> Any:
        try:
            return load(path)
        except Exception as error:  # whatever an archive that is damaged makes of it
            raise CTBMDError(
                f"{path} cannot be read as a virtual patient; make the cohort again "
                f"({type(error).__name__}).",
                "no-cohort",
            ) from None

    return loaded


def page(bundle: ModelBundle, rows: Sequence[tuple[str, dict[str, Any], dict[str, Any]]]) -> str:
    """Markdown of folders' names, what they say of themselves, and `held`'s figures."""
    out = [
        "# A bundle on simulated cohorts that it did not learn from (generated)",
        "",
        f"{RESEARCH_USE} Model {bundle.name} {bundle.version}, L1-L4. Simulated CT against",
        "simulated DXA; nothing here says how accurate it is on patients. In brackets: 95 %",
        "bootstrap interval over people. 'voltage hidden': the network is not told the tube voltage.",
        "",
        "| cohort | people, low | r | AUC | SD of errors | bias | interval (90 %) covers "
        "| voltage hidden: r | bias | covers |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, about, found in rows:
        told, untold = found["told"], found["untold"]
        cells = [
            f"{name}: {about['population']}, {about.get('institution', '?')}, seed {about['seed']}",
            f"{found['patients']}, {found['low']}",
            _with_ends(told["figures"].get("r")),
            _with_ends(told["figures"].get("auc")),
            f"{told['figures']['sd'][0]:.3f}",
            f"{told['figures']['bias'][0]:+.3f}",
            f"{100 * told['coverage']['total']:.0f} %",
            f"{untold['figures']['r'][0]:.3f}" if "r" in untold["figures"] else "-",
            f"{untold['figures']['bias'][0]:+.3f}",
            f"{100 * untold['coverage']['total']:.0f} %",
        ]
        out.append(f"| {' | '.join(cells)} |")
    out += ["", "Mean error by age, g/cm2 (people):", ""]
    for name, _, found in rows:
        ages = [
            f"{x['from']} to {x['to'] - 1} years {x['bias']:+.3f} ({x['patients']})"
            for x in found["by age"]
        ]
        out.append(f"- {name}: {'; '.join(ages)}")
    return "\n".join(out) + "\n"


def _with_ends(value: Sequence[float] | None) -> str:
    return "-" if value is None else f"{value[0]:.3f} [{value[1]:.3f}, {value[2]:.3f}]"


def main(arguments: list[str] | None = None) -> int:
    """The command line; 2 with one sentence on stderr for input that cannot be used."""
    parser = argparse.ArgumentParser(
        prog="python -m training.evaluation.again", description=__doc__.split("\n")[0]
    )
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    parser.add_argument("--model", type=Path, help="a bundle's folder (the one that comes along)")
    parser.add_argument("--output", type=Path, help="a Markdown page; printed without")
    options = parser.parse_args(arguments)
    try:
        if options.output and not options.output.parent.is_dir():
            raise CTBMDError(f"There is no folder {options.output.parent}.", "no-folder")
        bundle = ModelBundle.load(options.model or default_bundle_folder())
        cohorts = [(folder, *files_of(folder, bundle.card)) for folder in options.folders]
        rows = [
            (folder.resolve().name, about, held(bundle, files, load_patient))
            for folder, about, files in cohorts
        ]
        text = page(bundle, rows)
        if options.output:
            print(write_text(options.output, text, overwrite=True))
        else:
            print(text, end="")
    except CTBMDError as error:  # for people who do not program
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
