"""Whether a convolution kernel gives a soft or a sharp image, by its name.

Bone and lung kernels raise noise and edges, so that HU of small regions are less
sure; where one scan was reconstructed both ways, the soft one is measured. The
names are the manufacturers' own: Siemens B30f, Br40d, I31f, Bl57; GE STANDARD,
BONEPLUS; Philips B, YC; Toshiba and Canon FC08, FC51.
"""

from __future__ import annotations

import re

SOFT, UNKNOWN, SHARP = 0, 1, 2

_SHARP_WORDS = re.compile(r"BONE|LUNG|EDGE|SHARP|ULTRA|HRES|HIGH ?RES|EAR\b|CORTICAL")
_SOFT_WORDS = re.compile(r"SOFT|STANDARD|STND|SMOOTH|DETAIL|CHST|BODY|ABDO|BRAIN")
_SIEMENS = re.compile(r"[A-Z]{1,2}(\d{2})[A-Z]?")
_CANON = re.compile(r"FC(\d{2})\w?")
_PHILIPS_SOFT = {"A", "B", "C", "SA", "SB", "SC", "UA", "UB", "UC", "XA", "XB", "XC", "YA"}
_PHILIPS_SHARP = {"D", "E", "F", "G", "L", "YB", "YC", "YD", "YE", "EC", "EB"}
_SIEMENS_SHARP = 50  # the number grows with sharpness
_CANON_SOFT = ((1, 29), (40, 49), (60, 79))  # body, head and smooth kernels


def sharpness(name: str | None) -> int:
    """SOFT, UNKNOWN or SHARP by a kernel's name.

    Parameters
    ----------
    name : str or None
        ConvolutionKernel; of several words the first that is known counts,
        since a strength of iterative reconstruction may follow.
    """
    text = (name or "").upper()
    if _SHARP_WORDS.search(text):
        return SHARP
    if _SOFT_WORDS.search(text):
        return SOFT
    for word in re.split(r"[\s\\,;/]+", text):
        known = _of_word(word)
        if known != UNKNOWN:
            return known
    return UNKNOWN


def _of_word(word: str) -> int:
    canon = _CANON.fullmatch(word)
    if canon:
        number = int(canon[1])
        return SOFT if any(low <= number <= high for low, high in _CANON_SOFT) else SHARP
    siemens = _SIEMENS.fullmatch(word)
    if siemens:
        return SHARP if int(siemens[1]) >= _SIEMENS_SHARP else SOFT
    if word in _PHILIPS_SOFT:
        return SOFT
    return SHARP if word in _PHILIPS_SHARP else UNKNOWN
