"""What vertebrae are called: label values of the common schemes, SNOMED CT codes, words."""

from __future__ import annotations

import re

from ..errors import CTBMDError
from ..levels import LUMBAR

TOTALSEGMENTATOR = (
    {26: "S1"} | {27 + i: f"L{5 - i}" for i in range(5)} | {32 + i: f"T{12 - i}" for i in range(12)}
)
"""Version 2 of TotalSegmentator (task 'total'): 27 is L5, 31 is L1."""
TOTALSEGMENTATOR_1 = {18 + i: f"L{5 - i}" for i in range(5)} | {
    23 + i: f"T{12 - i}" for i in range(12)
}
"""Its version 1: 18 is L5, 22 is L1."""
VERSE = (
    {8 + i: f"T{1 + i}" for i in range(12)} | {20 + i: f"L{1 + i}" for i in range(6)} | {28: "T13"}
)
"""VerSe: 20 is L1, 25 is L6. Its 26 is the whole sacrum, whose centre is not S1."""
SCHEMES = {
    "totalsegmentator": TOTALSEGMENTATOR,
    "totalsegmentator1": TOTALSEGMENTATOR_1,
    "verse": VERSE,
}
SUPERNUMERARY = ("L6", "T13")
SNOMED = {
    "12989004": "T11",
    "23215003": "T12",
    "66794005": "L1",
    "14293000": "L2",
    "36470004": "L3",
    "11994002": "L4",
    "49668003": "L5",
}
"""SNOMED CT codes of DICOM CID 7603, for terminology in another language than English."""
EXAMPLES = ("vertebrae_L1", "L1 vertebra")
"""Names that `vertebra_of_name` understands, to show to a user."""

_BONE_CODES = ("272673000", "85756007")  # bone, tissue
_BONE_WORDS = re.compile(r"\b(bones?|tissue|vertebra\w*)\b")
_ORDINALS = (
    *("first", "second", "third", "fourth", "fifth", "sixth"),
    *("seventh", "eighth", "ninth", "tenth", "eleventh", "twelfth"),
)
_REGIONS = {"thoracic": "T", "lumbar": "L", "sacral": "S", "cervical": "C", "dorsal": "T"}
_NOT_A_VERTEBRA = re.compile(
    r"\b(disc|disk|discs|rib|ribs|nerve|root|muscle|artery|foramen|pedicle|canal|cord|process|"
    r"lamina|endplate|implant|screw|l\d\s*-\s*[ls]\d|t\d+\s*-\s*[lt]\d+)\b"
)
_SHORT = re.compile(r"\b(?:vertebrae?|vert|body)?\s*([ctls])\s?0?(\d{1,2})\b")
_WHOLE = re.compile(
    r"(?:(?:left|the|segment|label|bone|vertebral|vertebrae?|vert|body|of|spine)\s+)*"
    r"[ctls]\s?0?\d{1,2}(?:\s+(?:vertebrae?|vertebral|body|bone))*"
)


def vertebra_names(scheme: str) -> dict[int, str]:
    """Label value to vertebra for a known numbering of labels.

    Parameters
    ----------
    scheme : {'totalsegmentator', 'totalsegmentator1', 'verse'}

    Raises
    ------
    CTBMDError
        For another scheme.
    """
    try:
        return dict(SCHEMES[scheme.lower()])
    except (KeyError, AttributeError):
        known = ", ".join(SCHEMES)
        raise CTBMDError(
            f"'{scheme}' is no known label scheme; use one of {known}.", "unknown-label-scheme"
        ) from None


def label_values(scheme: str = "totalsegmentator") -> dict[str, int]:
    """Vertebra to label value for a known numbering of labels; see `vertebra_names`."""
    return {name: value for value, name in vertebra_names(scheme).items()}


def lumbar_values(names: dict[int, str]) -> list[int]:
    """Those values of a scheme that are lumbar vertebrae, from L1 down."""
    return sorted((v for v, name in names.items() if name in LUMBAR), key=lambda v: names[v])


def vertebra_of_name(text: str) -> str | None:
    """The vertebra a segment's name or terminology means, such as 'L1'; None for anything else.

    Understands 'vertebrae_L1', 'L1 vertebra', 'First lumbar vertebra',
    'Lumbar vertebra 1', 'Vertebra L1 body' and Slicer's serialised
    terminology by its SNOMED code or its words. Where name and terminology are
    given as 'name|terminology', either may decide; the terminology does where
    they differ.
    """
    parts = [part for part in str(text).split("|") if part]
    for part in reversed(parts):
        found = _vertebra_of_entry(part) if "^" in part else _vertebra_of_phrase(part)
        if found is not None:
            return found
    return None


def _vertebra_of_entry(entry: str) -> str | None:
    """The vertebra of 'context~category~type~modifier~context~region~modifier'.

    Each but the contexts is 'scheme^code^meaning'. A region names the segment
    only where the type is bone: a lesion or a screw may lie in L1 as well.
    """
    codes = [([*field.split("^"), "", ""])[:3] for field in entry.split("~") if "^" in field]
    for place, (scheme, code, meaning) in enumerate(codes):
        if scheme.upper() == "SCT" and code in SNOMED:
            return SNOMED[code]
        found = _vertebra_of_phrase(meaning)
        if found is not None:
            return found
        # The first is the category ('Anatomical Structure'), the second the type.
        if place == 1 and code not in _BONE_CODES and not _BONE_WORDS.search(meaning.lower()):
            return None
    return None


def _vertebra_of_phrase(phrase: str) -> str | None:
    """The vertebra that plain words mean."""
    words = re.sub(r"[_.,/()]+", " ", phrase).strip().lower()
    if not words or _NOT_A_VERTEBRA.search(words):
        return None
    for region, letter in _REGIONS.items():
        if region not in words:
            continue
        for number, ordinal in enumerate(_ORDINALS, start=1):
            if re.search(rf"\b{ordinal}\b", words):
                return f"{letter}{number}"
        digit = re.search(r"\b(\d{1,2})(?:st|nd|rd|th)?\b", words)
        if digit and "vertebra" in words:
            return f"{letter}{int(digit.group(1))}"
    match = _SHORT.search(words)
    if match and _WHOLE.fullmatch(words):
        return f"{match.group(1).upper()}{int(match.group(2))}"
    return None
