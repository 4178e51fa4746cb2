"""Golden values: what CTBMD answers on known CTs, so that no number moves unseen.

    python Testing/Python/goldens.py                      which values moved, and by how much
    python Testing/Python/goldens.py --rewrite            after a new model bundle
    python Testing/Python/goldens.py --rewrite --because "REASON"

One JSON in `goldens/` for each CT holds the bone density of each level and of
L1-L4, the trabecular HU, the centres of the levels, the codes of the findings
and which model bundles gave them. They are rewritten only where a bundle has
changed or a reason is given, which is kept in the file.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))
sys.path.insert(1, str(HERE / "helpers"))

from paths import SHARED_DATA  # noqa: E402

FOLDER = HERE / "goldens"
SAMPLE = "CTBMDVirtualPatient"
SCANS = {
    SAMPLE: ROOT / "Resources" / "SampleData" / f"{SAMPLE}.zip",
    "ct_ts_example": SHARED_DATA / "ct_ts_example" / "ct.nii.gz",
    "ct_acrin_f46": SHARED_DATA / "ct_acrin_f46",
    "ct_sagittal_m42": SHARED_DATA / "ct_sagittal_m42",
    "ct_slices_liver": SHARED_DATA / "ct_slices_liver",
}
"""Name of a golden file and the CT it is of; the shared scans are not part of the repository."""

TOLERANCES = {"g_cm2": 1e-4, "hu": 0.1, "mm": 0.5}
"""How far a value may move, by what its name ends in."""


def measure(path: Path) -> dict:
    """What CTBMD answers for the CT at `path`, as it is kept in a golden file.

    NumPy computes, whether or not torch is there, so that two computers agree.
    """
    from CTBMDLib.bmd.estimate import estimate
    from CTBMDLib.cohort.cases import open_case
    from CTBMDLib.errors import CTBMDError
    from CTBMDLib.model.bundle import ModelBundle, default_bundle_folder

    bundle = ModelBundle.load(default_bundle_folder())
    facts = {"bundles": bundles(bundle), "refused": False, "levels": {}, "total": None}
    try:
        volume, selection = open_case(path)
    except CTBMDError:
        return {**facts, "refused": True, "findings": []}
    result = estimate(volume, selection, bundle, backend="numpy")
    for row in result.levels:
        facts["levels"][row.level] = {
            "centre_ras_mm": [round(float(x), 3) for x in selection[row.level].ras],
            **_values(row),
            "included": row.included,
        }
    if result.total:
        facts["total"] = _values(result.total)
    found = {f"{item.level or 'scan'}: {item.code}" for item in result.findings}
    return {**facts, "findings": sorted(found)}


def _values(row) -> dict:
    hu = row.trabecular_hu
    return {
        "bmd_g_cm2": round(float(row.bmd_g_cm2), 6),
        "low_g_cm2": round(float(row.bmd_low), 6),
        "high_g_cm2": round(float(row.bmd_high), 6),
        "trabecular_hu": None if hu is None else round(float(hu), 4),
    }


def bundles(bundle) -> dict:
    """Which models answer: the one of bone density and the finder's."""
    from CTBMDLib.resources import resource_folder

    finder = resource_folder("Models") / "ctbmd-locator"
    card = json.loads((finder / "card.json").read_text(encoding="utf-8"))
    return {
        "bmd": {
            "name": bundle.name,
            "version": bundle.version,
            "weights_sha256": bundle.card["weights_sha256"],
        },
        "finder": {
            "name": finder.name,
            "version": card.get("version"),
            "weights_sha256": card["weights_sha256"],
        },
    }


def moved(golden, now, name: str = "") -> list[str]:
    """Each value that differs by more than its tolerance, as a line to read.

    Parameters
    ----------
    golden, now : dict, list or value
        What is kept and what is measured.
    name : str
        What the values are of, such as 'levels.L1.bmd_g_cm2'.
    """
    if isinstance(golden, dict) and isinstance(now, dict):
        lines = []
        for key in [*golden, *(key for key in now if key not in golden)]:
            inner = f"{name}.{key}" if name else str(key)
            if key not in golden or key not in now:
                lines.append(f"{inner}: {'gone' if key in golden else 'new'}")
            else:
                lines += moved(golden[key], now[key], inner)
        return lines
    if name == "findings":
        gone = [f"{name}: {code!r} is gone" for code in golden if code not in now]
        return gone + [f"{name}: {code!r} is new" for code in now if code not in golden]
    tolerance = TOLERANCES.get(next((x for x in TOLERANCES if name.endswith(f"_{x}")), ""))
    if tolerance and golden is not None and now is not None:
        pairs = zip(golden, now, strict=True) if isinstance(golden, list) else [(golden, now)]
        steps = [b - a for a, b in pairs]
        # Written so that a value which is no number counts as moved.
        if all(abs(x) <= tolerance for x in steps):
            return []
        return [f"{name}: {golden} -> {now} (moved by {', '.join(f'{x:+.4g}' for x in steps)})"]
    return [] if golden == now else [f"{name}: {golden} -> {now}"]


def load(name: str) -> dict | None:
    """The golden values of a scan; None where there are none yet."""
    path = FOLDER / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def compare(name: str) -> list[str]:
    """What has moved on a scan since its golden values were written."""
    golden = load(name)
    if golden is None:
        return ["there are no golden values yet; write them with --rewrite"]
    golden.pop("because", None)
    return moved(golden, measure(SCANS[name]))


def write(name: str, now: dict, because: str | None) -> None:
    """Keep `now` as the golden values of a scan; raises PermissionError where nothing allows it."""
    golden = load(name)
    if golden and golden["bundles"] == now["bundles"] and not because:
        raise PermissionError(
            f"{name}: the model bundles are the same as before, so its values must be too. Where "
            'they are meant to move, say why: --rewrite --because "REASON".'
        )
    FOLDER.mkdir(exist_ok=True)
    text = json.dumps({"because": because, **now}, indent=1) + "\n"
    part = FOLDER / f".{name}.part"
    part.write_text(text, encoding="utf-8")
    part.replace(FOLDER / f"{name}.json")


def main(arguments: list[str] | None = None) -> int:
    """Compare or rewrite; 1 where a value moved or may not be rewritten."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("scans", nargs="*", help=f"of {', '.join(SCANS)}; all where none is named")
    parser.add_argument("--rewrite", action="store_true", help="keep the values as they are now")
    parser.add_argument("--because", metavar="REASON", help="why values are meant to move")
    options = parser.parse_args(arguments)
    failed = False
    for name in options.scans or SCANS:
        if name not in SCANS:
            parser.error(f"'{name}' is no golden scan; they are {', '.join(SCANS)}.")
        if not SCANS[name].exists():
            print(f"{name}: skipped, {SCANS[name]} is not here")
            continue
        lines = compare(name)
        if options.rewrite and lines:
            try:
                write(name, measure(SCANS[name]), options.because)
            except PermissionError as error:
                print(error)
                failed = True
                continue
            print(f"{name}: rewritten")
        elif lines:
            failed = True
            print(f"{name}: {len(lines)} moved")
        else:
            print(f"{name}: nothing moved")
        for line in lines:
            print(f"  {line}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
