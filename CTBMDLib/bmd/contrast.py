"""Whether contrast agent was given: what the header's agent and the series description say.

The two are witnesses of their own: the agent's tag is often filled for all
series of an examination, the description is typed or chosen for each series.
Neither shows that there is none where both are silent; the vessels in the
images are the third witness (`quality.check_images`).
"""

from __future__ import annotations

import re

from ..volume import Acquisition
from .finding import Finding

_UNKNOWN = re.compile(
    r"\W*|unknown|unk|n\W?a\W?|not (?:available|applicable|specified|known|entered|recorded)"
    r"|unspecified|undefined|unbekannt|inconnu|\?+"
)
"""Entries that tell nothing: an empty tag, punctuation alone, 'N/A'."""

_NONE = re.compile(
    r"n|f|(?:none|no|non|not?|nil|null|nein|kein\w*|zero|neg\w*|false|wo|without|ohne|sans|sin|senza"
    r"|zonder|utan|uden|plain|nati[vf]\w*|unenhanced|noncontrast|ncct|nect|minus|omitted)"
    r"(?![\w-])(?!\s*ioni[ck]).*"
    r"|non?[\s-]*(?:iv[\s-]*)?(?:contrast|con|enhanced|kontrast)\b.*"
    r"|(?:iv |i v )?(?:contrast|kontrast\w*|km|agent|cm)\W*(?:none|no|nein|without|ohne|0|negative)"
    r"|0+(?:\.0+)?\s*(?:ml|cc|g|mg|mgi)?|-+c|c-+"
)
"""What is written where no agent was given, lower case, 'w/o' as 'wo'."""

_AGENT = re.compile(
    r"omnip|omnis|iohex|ultrav|iopro|isov|iopam|niopam|visip|iodix|optir|iover|iomer|imer|iomep"
    r"|xenet|iobit|accup|oxil|iox|solutr|hexabr|telebr|gastrog|urogr|conray|scanlux|jopam"
)
"""How the names of iodinated agents begin; 'no reaction to Ultravist' names one."""

_DESCRIBED_NONE = re.compile(
    r"(?:without|wo|non?|ohne|kein\w*|sans|sin|senza|zonder|pre|minus)[\s-]*"
    r"(?:(?:i\.?\s?v\.?|intravenous|any|iodinated|oral|and|or|injection de)[\s-]*)*"
    r"(?:contrast\w*|kontrast\w*|km|con|cm|contraste|contrasto|produit de contraste|injection|inj|enhanced?|enh|c)\b"
    r"|\b(?:wo|without|noncontrast|noncon|unenhanced|nati[vf]\w*|ncct|nect|plain|precontrast)\b"
    r"|(?:contrast|kontrast)\W*(?:none|no)\b"
    r"|(?<![\w-])(?:c-|-c)(?![\w-])"
)
_DESCRIBED_GIVEN = re.compile(
    r"\bport(?:al|o)\w*(?:[\s-]*(?:ven\w*|phase))?|\bp[\s-]?v[\s-]?(?:phase|p)\b"
    r"|\bven(?:ous|oes|ös|eux|euse|osa|oso|os)?\b(?:[\s-]*phase)?"
    r"|\bart(?:erial\w*|eriell\w*|[eé]riel\w*|eriosa|[\s-]*phase)\b(?:[\s-]*phase)?|\bart\b"
    r"|\b(?:nephrogra\w*|excretory|delayed|corticomedullary|pyelogra\w*|urogra\w*|equilibrium)\b(?:[\s-]*phase)?"
    r"|\b(?:cta|angio\w*|ce|cect|ce-ct|enhanced|postcontrast|postcon|post[\s-]*(?:contrast|con|iv|injection))\b"
    r"|\b(?:with|w|mit|avec|con|i\.?v\.?)[\s-]+(?:i\.?v\.?\s*)?(?:contrast\w*|kontrast\w*|km|con|c|injection)\b"
    r"|\b(?:contrast\w*|kontrast\w*|km)\b|(?<![\w+])(?:c\+|\+\s?c)(?!\w)"
)


def stated_agent(acquisition: Acquisition) -> str | None:
    """The agent as the header names it, or None where it names none.

    'NONE', 'W/O', '0 ml' and the like are none; see `says_none`.
    """
    agent = acquisition.contrast_agent
    if agent is None or _UNKNOWN.fullmatch(_plain(agent)) or says_none(agent):
        return None
    return agent


def says_none(agent: str | None) -> bool:
    """Whether the text of the agent's tag says that none was given.

    Parameters
    ----------
    agent : str or None
        'no oral, Omnipaque 350' names an agent: every part between commas,
        semicolons, plus signs and 'and' must say none.
    """
    if not agent:
        return False
    parts = [x.strip() for x in re.split(r"[;,+&]|\band\b|\bund\b", _plain(agent))]
    parts = [x for x in parts if x and not _UNKNOWN.fullmatch(x)]
    return bool(parts) and all(_NONE.fullmatch(x) and not _AGENT.search(x) for x in parts)


def described(description: str | None) -> tuple[str | None, bool]:
    """What a series description says of contrast.

    Parameters
    ----------
    description : str or None

    Returns
    -------
    phase : str or None
        The words that tell of contrast ('portal venous'), as written in lower case.
    none : bool
        Whether it says that there is none. Both at once ('w/wo') decides nothing.
    """
    text = _plain(description or "")
    if re.search(r"\bw(?:ith)?\s*(?:and|/|&|\+)?\s*wo\b|\bpre\s*(?:and|/|&|\+)\s*post\b", text):
        return None, False
    rest = _DESCRIBED_NONE.sub(" , ", text)
    given = _DESCRIBED_GIVEN.search(rest)
    none = rest != text
    if given and none:
        return None, False
    return (given[0].strip() if given else None), none


ADDED_HU = " (by 11 to 26 on average)"
"""Trabecular HU of L1 that contrast adds: 11 (SD 19) in routine enhanced CT (Pickhardt, Osteoporos
Int 2016;27:147), 14 and 18 in the arterial and portal phase (Eur Radiol 2015;25:283), 14 and 26
(Gruenewald, European Congress of Radiology, 288 patients)."""
ARTERIAL_HU = 220.0
"""HU of the great vessels that only the arterial phase reaches; own choice, between about 300 and 160."""


def phase_of(vessel_hu: float) -> str:
    """The contrast phase in words, as far as the HU of the great vessels tell it."""
    return "arterial phase" if vessel_hu >= ARTERIAL_HU else "portal venous or a later phase"


def check_contrast(acquisition: Acquisition, quote: bool = True) -> list[Finding]:
    """Findings about contrast agent from the agent's tag and the series description.

    Parameters
    ----------
    acquisition : Acquisition
    quote : bool
        Whether the sentences repeat what was written there. Both are free text,
        in which people have written names.
    """
    agent = stated_agent(acquisition)
    phase, none = described(acquisition.series_description)
    named = f" ({agent})" if quote else ""
    said = f"says '{phase}'" if quote else "tells of contrast"
    effect = f"contrast raises the HU of bone{ADDED_HU}, so the value may be too high"
    if agent and none:
        text = (
            f"Contrast agent is stated{named}, but the series description says that there is none; "
            f"look at the vessels: the model is made for unenhanced CT, and {effect}."
        )
        return [Finding("contrast-contradicts", None, text)]
    if agent:
        more = f", and the series description {said}" if phase else ""
        text = (
            f"Contrast agent is stated{named}{more}; the model is made for unenhanced "
            f"CT, and {effect}."
        )
        return [Finding("contrast", None, text)]
    if phase and says_none(acquisition.contrast_agent):
        text = (
            f"The series description {said}, but the header's contrast agent says that there "
            f"is none; look at the vessels: the model is made for unenhanced CT, and {effect}."
        )
        return [Finding("contrast-contradicts", None, text)]
    if phase:
        text = (
            f"The series description {said}{', which tells of contrast agent' if quote else ''}; the "
            f"model is made for unenhanced CT, and {effect}."
        )
        return [Finding("contrast", None, text)]
    return []


def _plain(text: str) -> str:
    """Lower case, underscores as spaces, every writing of 'w/o' as 'wo'."""
    text = text.lower().replace("_", " ")
    text = re.sub(r"\bw\s?[/.]\s?o\b\.?|\bw\\o\b|\bw/out\b", " wo ", text)
    text = re.sub(r"\bw/\s?", " w ", text)
    return " ".join(text.split())
