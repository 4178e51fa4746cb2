"""Which levels do not count in the L1-L4 mean unless a person counts them again.

ISCD 2019 (Official Positions, Adult): all evaluable vertebrae of L1-L4 are used and only
those with a local structural change or artefact are left out; anatomically abnormal ones
may be left out where they are clearly abnormal or differ by more than 1.0 T-score from
their neighbours; three are used where four cannot be, two where three cannot be, and one
alone makes no diagnosis.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..levels import MEASURED
from .finding import Finding

REASONS = {
    "metal-in-vertebra": "metal",
    "cement": "cement",
    "height-loss": "lost height",
}
"""Findings that leave a level out, and in a word why."""
MAX_T_STEP = 1.0
OTHER_BMD = "differs from its neighbours"
ONE_LEVEL = "An L1-L4 value needs at least two included levels of L1-L4."


def reasons(findings: Sequence[Finding], t_scores: Mapping[str, float | None]) -> dict[str, str]:
    """Why levels of L1-L4 are left out of the mean, by level.

    Parameters
    ----------
    findings : sequence of Finding
    t_scores : mapping of str to float or None
        Of each level, where the reference table has rows for single levels. Without,
        a level is left out for its value where it has the finding 'differs', whose limit
        is wider than 1.0 T of any table.
    """
    out: dict[str, str] = {}
    for item in findings:
        if item.level in MEASURED and item.code in REASONS:
            out.setdefault(item.level, REASONS[item.code])
    known = {
        level: t
        for level in MEASURED
        if level not in out and (t := t_scores.get(level)) is not None
    }
    odd = _odd(known)
    if not known:
        odd = [x.level for x in findings if x.code == "differs" and x.level in MEASURED]
    for level in odd:
        out.setdefault(str(level), OTHER_BMD)
    return out


def _odd(t_scores: Mapping[str, float]) -> list[str]:
    """Levels more than 1.0 T from each evaluable neighbour and from the rest's median."""
    odd = []
    levels = list(t_scores)
    for index, level in enumerate(levels):
        near = [t_scores[x] for x in (*levels[max(index - 1, 0) : index], *levels[index + 1 :][:1])]
        rest = [t for other, t in t_scores.items() if other != level]
        if len(rest) < 2:
            continue
        far = [abs(t_scores[level] - t) for t in (*near, float(np.median(rest)))]
        if min(far) > MAX_T_STEP:
            odd.append(level)
    return odd


def tell(left_out: Mapping[str, str], counted: Sequence[str], kept: Sequence[str]) -> list[Finding]:
    """Findings that say which levels are left out, and which a person counts all the same.

    Parameters
    ----------
    left_out : mapping of str to str
        Levels and the reason.
    counted : sequence of str
        Levels of L1-L4 that count.
    kept : sequence of str
        Levels with a reason that a person wants counted.
    """
    found = [
        Finding(
            "left-out",
            level,
            f"{level} is left out of the L1-L4 mean ({why}); include it again if you disagree.",
            "note",
        )
        for level, why in left_out.items()
    ]
    found += [
        Finding(
            "counted-again",
            level,
            f"{level} counts in the L1-L4 mean because it was asked for, in spite of its findings.",
        )
        for level in kept
    ]
    if left_out and len(counted) < 2:
        text = (
            "Fewer than two levels are left after leaving out those that cannot be used, so there is no "
            "L1-L4 value; measure another site, or include a level again."
        )
        found.append(Finding("too-few-levels", None, text))
    return found
