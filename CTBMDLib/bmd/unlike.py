"""Whether a scan's images are like those that the model was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..model.images import ImageStandard, LevelImages
from ..model.likeness import KEY, level_score, usable
from .finding import Finding


def check_likeness(
    images: Sequence[LevelImages], card: dict[str, Any], standard: ImageStandard
) -> list[Finding]:
    """A finding where a level's score exceeds the limit of the bundle's card.

    A card without a limit, as older models have, says nothing.

    Parameters
    ----------
    images : sequence of LevelImages
    card : dict
        The bundle's.
    standard : ImageStandard
    """
    entry: Any = card.get(KEY)
    if not usable(entry):
        return []
    scores = {part.level: level_score(entry, part.hu, standard) for part in images}
    strange = [level for level, (score, _) in scores.items() if score > entry["limit"]]
    if not strange:
        return []
    score, most = max(scores[level] for level in strange)
    where = "" if len(strange) == len(scores) else f" of {', '.join(strange)}"
    reason = "they show hardly any soft tissue" if most is None else f"most of all in {most}"
    text = (
        f"The images{where} are unlike those that the model was trained on (score {score:.1f}; "
        f"{100 * entry['false_alarms']:.0f} % of {_whom(entry)} exceed {entry['limit']:.1f}), {reason}; "
        "the value may be off by more than its interval says."
    )
    return [Finding("unlike-training", None, text)]


def _whom(entry: dict[str, Any]) -> str:
    """Patients that the limit was set on, in a few words."""
    measured = entry.get("measured_on")
    fits = isinstance(measured, str) and 0 < len(measured) <= 80 and measured.isprintable()
    return f"patients like its {measured}" if fits else "ordinary patients"
