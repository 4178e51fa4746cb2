"""Looking into every CT of a hospital's table once, before anything is trained.

What was seen is kept in the work folder by the content of the CT, so that a second
call reads only what is new, and the levels that were found lie there as files that
a person can correct and name in the table.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from CTBMDLib.bmd.quality import Finding, check_selection, check_volume
from CTBMDLib.cohort.cases import open_case
from CTBMDLib.cohort.pairs import Pair, check_table, finding_words
from CTBMDLib.errors import CTBMDError
from CTBMDLib.levels import MEASURED
from CTBMDLib.reading.files import files_below
from CTBMDLib.safefile import write_text


@dataclass(frozen=True)
class Case:
    """A row of the table with what its CT says.

    Attributes
    ----------
    pair : Pair
        `levels` names a file in every case, the found ones where the table gave none.
    person : str
        The same for all CT of one person: the column 'patient', else the
        institution's PatientID, else the case.
    scanner : str
        Manufacturer, model, tube voltage, kernel and thickness.
    sex : str or None
    age : float or None
        Of the table, else of the header.
    found : tuple of str
        Levels of L1-L4 in the CT.
    findings : str
        What a person ought to look at; empty for none.
    digest : str
        Changes with the CT, its levels and its DXA.
    """

    pair: Pair
    person: str
    scanner: str
    sex: str | None
    age: float | None
    found: tuple[str, ...]
    findings: str
    digest: str


def check_cases(table, work, progress=None) -> tuple[list[Case], list[str]]:
    """All usable rows of a table, and all that is wrong with it.

    Parameters
    ----------
    table : path
        See `CTBMDLib.cohort.pairs.read_pairs`.
    work : Path
        What was seen is kept in `work/cases`, found levels in `work/levels`.
    progress : callable(fraction, text), optional

    Raises
    ------
    CTBMDError
        Where the file is no such table at all.
    """
    seen, rows = {}, 1
    if progress and Path(table).is_file():
        with Path(table).open("rb") as lines:
            rows = max(sum(1 for _ in lines) - 1, 1)

    def look(case, ct, levels):
        if progress:
            progress(min(len(seen) / rows, 1.0), f"Looking into {case}")
        try:
            seen[case, ct, levels] = _seen(case, ct, levels, Path(work))
        except CTBMDError as error:
            seen[case, ct, levels] = None
            return [str(error)]
        except MemoryError:
            seen[case, ct, levels] = None
            return ["the scan does not fit into the memory of this computer"]
        return []

    pairs, faults = check_table(table, look)
    if progress:
        progress(1.0, "Looked into all CT")
    cases = [_case(pair, seen[pair.case, pair.path, pair.levels]) for pair in pairs]
    for case in cases:
        if not case.found:
            given = " ".join(case.pair.bmd) or " ".join(MEASURED)
            faults.append(f"case {case.pair.case}: no level of {given} is in the CT")
    return cases, faults + _mixed_persons(cases)


def _seen(case, ct: Path, levels, work: Path) -> dict:
    """What a CT says, from the work folder where it was looked into before."""
    name = re.sub(r"[^\w.-]", "_", case or ct.name)
    found = work / "levels" / f"{name}-{_fingerprint(ct, None)[:6]}.json"
    if levels is None and found.is_file():  # found before, and perhaps corrected since
        levels = found
    if levels is not None:
        file = work / "cases" / f"{_fingerprint(ct, levels)}.json"
        if file.is_file():
            return json.loads(file.read_text(encoding="utf-8"))
    volume, selection = open_case(ct, levels=levels)
    if levels is None:
        levels = found
        _write(levels, selection.to_json())
    key = _fingerprint(ct, levels)
    findings = check_volume(volume) + check_selection(selection)
    seen = {
        "key": key,
        "facts": asdict(volume.acquisition),
        "levels": str(Path(levels).resolve()),
        "found": [x.level for x in selection if x.included and x.level in MEASURED],
        "findings": [finding.to_dict() for finding in findings],
    }
    _write(work / "cases" / f"{key}.json", json.dumps(seen))
    return seen


def _case(pair: Pair, seen: dict) -> Case:
    facts = seen["facts"]
    findings = [Finding(**item) for item in seen["findings"]]
    if pair.sex and facts["sex"] and pair.sex != facts["sex"]:
        findings.append(Finding("sex", None, ""))
    person = facts["patient_id"] and f"{pair.institution or ''}/{facts['patient_id']}"
    parts = [facts["manufacturer"], facts["model"]]
    parts.append(facts["kvp"] and f"{facts['kvp']:g} kV")
    parts.append(facts["kernel"] and f"kernel {facts['kernel']}")
    thickness = facts["slice_thickness_mm"]
    parts.append(thickness and f"{thickness:g} mm")
    wanted = pair.bmd or dict.fromkeys(MEASURED)
    labels = json.dumps([seen["key"], pair.bmd, pair.total], sort_keys=True)
    return Case(
        replace(pair, levels=Path(seen["levels"])),
        pair.patient or person or pair.case,
        ", ".join(str(part) for part in parts if part) or "unknown",
        pair.sex or facts["sex"],
        facts["age_years"] if pair.age is None else pair.age,
        tuple(level for level in seen["found"] if level in wanted),
        finding_words(findings),
        hashlib.sha256(labels.encode()).hexdigest()[:16],
    )


def _mixed_persons(cases) -> list[str]:
    """What is wrong with CT that are called one person's but are kept apart, or cannot be."""
    faults, persons = [], {}
    for case in cases:
        persons.setdefault(case.person, []).append(case)
    for person, group in persons.items():
        names = ", ".join(case.pair.case for case in group)
        if len({case.pair.split for case in group}) > 1 and not group[0].pair.patient:
            faults.append(f"{names} have the PatientID {person.lstrip('/')} but are in two splits")
        if len({case.sex for case in group if case.sex}) > 1:
            faults.append(
                f"{names} are called one patient ({person.lstrip('/')}) but differ in sex; "
                "a column 'patient' tells who is who"
            )
    return faults


def counted(values) -> dict[str, int]:
    """How often each value appears, most frequent first."""
    return dict(Counter(value or "unknown" for value in values).most_common())


def _fingerprint(ct: Path, levels) -> str:
    """Changes when a file of the CT does; sizes and times stand for the content."""
    files = files_below(ct) if ct.is_dir() else [ct]
    stats = [(str(file.relative_to(ct.parent)), file.stat()) for file in files]
    content = [str(ct.resolve()), [(name, x.st_size, x.st_mtime_ns) for name, x in stats]]
    if levels is not None:
        content.append(Path(levels).read_text(encoding="utf-8", errors="replace"))
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    write_text(file, text, overwrite=True)
