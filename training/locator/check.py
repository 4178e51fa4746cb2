"""Check the level finder on real scans, changed copies of them, and virtual volumes.

python -m training.locator.check real [--data ../shared/data]
python -m training.locator.check virtual [--count 200] [--seed 5000] [--workers 2]
python -m training.locator.check transitional [--count 10] [--seed 8000] [--workers 2]
python -m training.locator.check ribs [--part set|test] [--count 25] [--workers 2]
python -m training.locator.check empty [--count 5] [--seed 100] [--workers 2]
python -m training.locator.check settings FOLDER [--count 40] [--seed 6420] [--workers 2]
python -m training.locator.check report
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np

from CTBMDLib.reading.reading import read_ct
from CTBMDLib.spine.locate import find_levels

from ..pages import RESULTS, write_page
from . import cases
from .copies import more_copies
from .empty import check_empty
from .planes import bodies_from_labels, planes_of
from .ribs_alone import PARTS, check_ribs
from .settings import check_settings
from .transitional import check_transitional
from .virtual import CERTAIN, TOLERANCE_MM, check_virtual

SHARED_DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"


def judge(selection, truth: dict, whole=None) -> dict:
    """Compare found levels with the truth.

    Parameters
    ----------
    selection : LevelSelection
    truth : dict of str to array, RAS mm
    whole : iterable of str, optional
        Levels that lie whole in view and should be found; default all of `truth`.

    Returns
    -------
    dict
        `verdict` 'right', 'uncertain' or 'wrong'; counts of levels; errors in mm.
        Wrong: a level given with certainty is not where it should be. Right:
        all of L1-L5 that are whole are found, all right, none uncertain.
        Uncertain: anything else (levels left out or labels said to be unsure).
    """
    whole = [n for n in (truth if whole is None else whole) if n.startswith("L")]
    wrong, right, unsure, errors = [], [], [], {}
    body = []
    for item in selection:
        if not item.level.startswith("L"):
            continue
        ras = np.array(item.ras)
        body.append(min(np.linalg.norm(ras - np.array(p)) for p in truth.values()))
        error = np.linalg.norm(ras - np.array(truth[item.level])) if item.level in truth else np.inf
        sure = not selection.numbering_uncertain and item.confidence >= CERTAIN
        errors[item.level] = float(error)
        if error <= TOLERANCE_MM:
            right.append(item.level)
            if not sure:
                unsure.append(item.level)
        elif sure:
            wrong.append(item.level)
        else:
            unsure.append(item.level)
    if wrong:
        verdict = "wrong"
    elif set(whole) <= set(right) and not unsure:
        verdict = "right"
    else:
        verdict = "uncertain"
    return {
        "verdict": verdict,
        "right": right,
        "wrong": wrong,
        "unsure": unsure,
        "missed": sorted(set(whole) - set(errors)),
        "errors": errors,
        "body_errors": body,
    }


def changed_copies(volume, truth):
    """(name, volume, truth, levels whole in view) of every changed copy of a real scan."""
    truth = {k: np.array(v, float) for k, v in truth.items()}
    s = {k: v[2] for k, v in truth.items()}
    low, high = volume.ras_bounds[2]
    centre = truth["L3"]
    names = list(truth)

    def between(a, b):
        return 0.5 * (s[a] + s[b])

    def inside(a, b):
        return [n for n in names if a + 20 < s[n] < b - 20]

    yield "as it is", volume, truth, names
    yield "upper half", cases.crop_s(volume, s["L3"], high), truth, inside(s["L3"], high)
    yield (
        "to L4",
        cases.crop_s(volume, between("L4", "L5") - 8, high),
        truth,
        ["L1", "L2", "L3", "L4"],
    )
    yield "lower half", cases.crop_s(volume, low, s["L3"]), truth, inside(low, s["L3"])
    yield "from L2 down", cases.crop_s(volume, low, between("L1", "L2") + 8), truth, names[1:]
    a, b = between("L4", "L5") - 8, between("L1", "L2") + 8
    yield "only L2-L4", cases.crop_s(volume, a, b), truth, ["L2", "L3", "L4"]
    yield (
        "only L1-L3",
        cases.crop_s(volume, between("L3", "L4") - 8, s["L1"] + 26),
        truth,
        ["L1", "L2", "L3"],
    )
    yield "slab 60 mm", cases.crop_s(volume, centre[2] - 30, centre[2] + 30), truth, []
    yield "slices reversed", cases.restore(volume, flip=(True, False, False)), truth, names
    yield "all flipped", cases.restore(volume, flip=(True, True, True)), truth, names
    yield "stored sagittal", cases.restore(volume, order=(2, 0, 1)), truth, names
    yield (
        "stored coronal",
        cases.restore(volume, order=(1, 0, 2), flip=(False, True, False)),
        truth,
        names,
    )
    for mm in (1, 3, 5):
        yield f"{mm} mm slices", cases.respace(volume, mm), truth, names
    yield "5 mm, 1.5 mm pixels", cases.respace(volume, 5, 1.5), truth, names
    for about, axis in enumerate("RAS"):
        for degrees in (15, -15, 20):
            turned, move = cases.turn(volume, degrees, about, centre)
            moved = {k: move[:3, :3] @ v + move[:3, 3] for k, v in truth.items()}
            yield f"turned {degrees} about {axis}", turned, moved, names
    for about, axis in enumerate("RAS"):
        _, move = cases.turn(volume, 15, about, centre)
        moved = {k: move[:3, :3] @ v + move[:3, 3] for k, v in truth.items()}
        resliced = cases.reslice(volume, move)
        yield f"resliced 15 about {axis}", resliced, moved, []
    for factor in (3, 6):
        yield f"noise x{factor}", cases.noisier(volume, factor), truth, names
    for value in (-2000, 0):
        yield f"outside {value}", cases.outside_circle(volume, value), truth, names
    yield "arms", cases.with_arms(volume), truth, names
    yield from more_copies(volume, truth)


def check_real(data: Path) -> bool:
    """Print the table over the real scans and their changed copies."""
    truths = json.loads((data / "levels.json").read_text())["levels"]
    table = defaultdict(Counter)
    worst, planes, noted = [], [], Counter()
    for name, truth in truths.items():
        path = data / name
        volume = read_ct(path / "ct.nii.gz" if (path / "ct.nii.gz").exists() else path)
        for case, changed, where, whole in changed_copies(volume, truth):
            selection = find_levels(changed)
            result = judge(selection, where, whole)
            if case == "as it is":
                planes.append(_planes_line(name, selection, truth, bodies_from_labels(path)))
            verdict = result["verdict"]
            noted.update(n for n in selection.findings if "transitional" in n)
            table[case][verdict] += 1
            table["TOTAL"][verdict] += 1
            text = " ".join(
                f"{k}:{e:.0f}" if np.isfinite(e) else f"{k}:-" for k, e in result["errors"].items()
            )
            confidence = [i.confidence for i in selection if i.level.startswith("L")]
            low = f"{min(confidence):.2f}" if confidence else "-"
            print(
                f"{name:16s} {case:22s} {verdict:9s} {selection.numbering or '-':8s} conf>={low} "
                f"missed {','.join(result['missed']) or '-':12s} {text}",
                flush=True,
            )
            if verdict == "wrong":
                worst.append((name, case))
    print("\nimage planes of L1-L5 (count, in the middle half of the body, clear of its endplates)")
    for line in planes:
        print(line)
    print(f"\n{'case':24s} right uncertain wrong")
    for case, counts in table.items():
        print(f"{case:24s} {counts['right']:5d} {counts['uncertain']:9d} {counts['wrong']:5d}")
    for note, count in noted.items():
        print(f"{count} copies with the finding: {note}")
    liver = data / "ct_slices_liver"
    if liver.exists():
        found = len(find_levels(read_ct(liver)))
        print(f"ct_slices_liver: {found} levels found")
    return not worst


def _planes_line(name, selection, centres, bodies) -> str:
    """Where the planes of a real scan lie: by its labels, or else by the centres set by eye."""
    source = "label volume"
    if not bodies:
        source = "centres by eye, axis and height as found"
        bodies = {
            item.level: {
                "ras": centres[item.level],
                "axis": item.axis,
                "height_mm": item.height_mm,
            }
            for item in selection
            if item.level in centres
        }
    counts = planes_of(selection, bodies)
    return (
        f"{name:16s} {counts['planes']:3d} {counts['middle']:3d} {counts['clear']:3d}  ({source})"
    )


def parser() -> argparse.ArgumentParser:
    """The command line: one word a check."""
    made = argparse.ArgumentParser(
        prog="python -m training.locator.check", description=__doc__.splitlines()[0]
    )
    sub = made.add_subparsers(dest="what", required=True)
    real = sub.add_parser("real")
    virtual = sub.add_parser("virtual")
    virtual.add_argument("--count", type=int, default=200)
    virtual.add_argument("--seed", type=int, default=5000, help="seed of the first volume")
    strange = sub.add_parser("transitional")
    strange.add_argument("--count", type=int, default=10, help="volumes of each kind")
    strange.add_argument("--seed", type=int, default=8000)
    ribs = sub.add_parser("ribs")
    ribs.add_argument("--part", choices=PARTS, default="set")
    ribs.add_argument("--count", type=int, default=25, help="volumes of each kind")
    empty = sub.add_parser("empty")
    empty.add_argument("--count", type=int, default=5, help="bodies of each kind")
    empty.add_argument("--seed", type=int, default=100)
    settings = sub.add_parser("settings")
    settings.add_argument("folder", type=Path, help="keeps what was seen in each volume's copies")
    settings.add_argument("--count", type=int, default=40)
    settings.add_argument("--seed", type=int, default=6420)
    for one in (real, empty):
        one.add_argument("--data", type=Path, default=SHARED_DATA)
    for one in (virtual, strange, ribs, empty, settings):
        one.add_argument("--workers", type=int, default=2)
    sub.add_parser("report", help="make results/locator.md from results/locator.json")
    return made


def main(arguments=None) -> int:
    """Run a check; 1 where it found a sure answer that is wrong."""
    options = parser().parse_args(arguments)
    if options.what == "report":
        print(write_page(RESULTS / "locator.json"))
        return 0
    if options.what == "real":
        return 0 if check_real(options.data) else 1
    if options.what == "ribs":
        right = check_ribs(options.part, options.count, options.workers)
    else:
        given = (options.count, options.seed, options.workers)
        right = _on_seeds(options, given)
    return 0 if right else 1


def _on_seeds(options, given) -> bool:
    """A check over a range of seeds; False where it found a sure answer that is wrong."""
    if options.what == "settings":
        check_settings(options.folder, *given)
    elif options.what == "empty":
        return check_empty(*given, options.data)
    elif options.what == "transitional":
        return check_transitional(*given)
    else:
        check_virtual(*given)
    return True


if __name__ == "__main__":
    sys.exit(main())
