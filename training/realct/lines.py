"""What people with CT and DXA have at a HU: the lines of `training.virtual.anchors`, fitted to published cohorts.

An answer on a real scan without DXA cannot be right or wrong by itself: people of one HU
differ by 0.1 g/cm2. Its mean over several scans can.
"""

from __future__ import annotations

import numpy as np

from CTBMDLib.bmd.roi import trabecular_hu
from CTBMDLib.model.network import HU_PER_MG

from ..virtual.anchors import load_anchors

PEOPLES = ("western", "east-asian")
USUAL_KVP = 120.0
"""kV of the published HU."""


def line_of(people: str) -> tuple[np.ndarray, np.ndarray]:
    """HU and areal BMD (Hologic, g/cm2) at the line's anchors, by rising HU."""
    points = sorted(
        (x.hu, x.value) for x in load_anchors() if x.statistic == "at_hu" and x.people == people
    )
    hu, bmd = zip(*points, strict=True)
    return np.array(hu, float), np.array(bmd, float)


def expected(hu: float, people: str) -> float:
    """Mean areal BMD of L1-L4 of people of a trabecular HU of L1 at 120 kV, g/cm2."""
    return float(np.polyval(np.polyfit(*line_of(people), 1), hu))


def band() -> float:
    """SD of areal BMD of people of one HU, g/cm2: the spread within an age that HU leaves open."""
    known = {x.id: x.value for x in load_anchors()}
    return float(known["abmd.spread"] * np.sqrt(1 - known["hu-abmd.r"] ** 2))


def hu_of_l1(volume, levels) -> float | None:
    """Trabecular HU of L1 as it would be at 120 kV; an unknown voltage counts as that."""
    hu = trabecular_hu(volume, levels["L1"])
    if hu is None:
        return None
    per_mg = np.interp([volume.acquisition.kvp or USUAL_KVP, USUAL_KVP], *HU_PER_MG)
    return float(hu * per_mg[1] / per_mg[0])


def beside_the_lines(results) -> list[str]:
    """Markdown: each answer beside the lines, and the mean difference.

    Parameters
    ----------
    results : list of dict
        'scan', 'l1_l4' (g/cm2, Hologic) and 'l1_hu' (at 120 kV, or None) of each scan.
    """
    known = [x for x in results if x["l1_hu"] is not None]
    sd = band()
    out = [
        "",
        "Beside lines of areal BMD on the trabecular HU of L1 (at 120 kV), fitted to cohorts of Western",
        f"and of East Asian people; people of one HU differ by an SD of about {sd:.2f} g/cm2, so that",
        "one scan says little. The lines themselves are good to about 0.03.",
        "",
        "| scan | L1 HU | answer | Western | difference | East Asian | difference |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    away: dict[str, list[float]] = {people: [] for people in PEOPLES}
    for x in known:
        cells = []
        for people in PEOPLES:
            line = expected(x["l1_hu"], people)
            away[people].append(x["l1_l4"] - line)
            cells += [f"{line:.3f}", f"{away[people][-1]:+.3f}"]
        out.append(f"| {x['scan']} | {x['l1_hu']:.0f} | {x['l1_l4']:.3f} | {' | '.join(cells)} |")
    if known:
        error = sd / np.sqrt(len(known))
        means = [f"{np.mean(away[people]):+.3f}" for people in PEOPLES]
        out.append(
            f"| mean of {len(known)} (standard error {error:.3f}) | | | | {means[0]} | | {means[1]} |"
        )
    return out
