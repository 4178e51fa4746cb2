"""Whether a scan's values are Hounsfield units as they were measured."""

from __future__ import annotations

import re

import numpy as np

from ..volume import Acquisition, CTVolume
from .finding import Finding

MAX_CLIP_HU, MIN_CLIP_HU = 1500.0, -900.0
"""Scanners themselves end at 3071 HU and at -1024 HU; cutting off beyond these changes no bone."""
NEAR_END_HU = 50
"""Width of the histogram beside its end that the end is held against."""
MIN_END_RATIO = 20.0
"""How many times more voxels than any HU beside it the end must hold. A histogram that
runs out by itself ends in a handful; the shared scans' ends hold one or two voxels."""
MIN_END_VOXELS = 30
MIN_FILLED_HU = 10
"""HU beside the end that must occur: drawn volumes of a few grey values are not clipped ones."""

_NOT_ATTENUATION = {
    "VMI": "a virtual monoenergetic image",
    "MONOENERGETIC": "a virtual monoenergetic image",
    "MONOENERGY": "a virtual monoenergetic image",
    "MAT_SPECIFIC": "a material image",
    "MAT_REMOVED": "an image with a material removed",
    "MAT_MODIFIED": "an image with a material changed",
    "MAT_FRACTIONAL": "a material image",
    "MAT_VALUE_BASED": "a material image",
    "EFF_ATOMIC_NUM": "an image of effective atomic numbers",
    "ELECTRON_DENSITY": "an image of electron density",
    "VNC": "a virtual unenhanced image",
    "VUE": "a virtual unenhanced image",
    "IODINE": "an iodine image",
}
"""Words of ImageType, the standard's (PS3.3 C.8.15.2.1.1) and manufacturers'."""

_DESCRIBED = (
    (
        r"\b\d{2,3}\s*kev\b|\bmono(?:e\b|[\s+-]*\d{2,3}\b|\+|[\s-]*energ\w*)|\bvmi\b|\bgsi\s*mono",
        "a virtual monoenergetic image",
    ),
    (
        r"\bv(?:nc|ue|nca)\b|\bvirtual(?:ly)?[\s-]*(?:non|un|nativ)|\bcalcium[\s-]*suppr",
        "a virtual unenhanced image",
    ),
    (
        r"\biodine\b|\bz[\s-]?eff\b|\beffective[\s-]*z\b|\belectron[\s-]*dens|\bwater\s*\(|\bhap\b",
        "a material image",
    ),
)
_TRUE_RESCALE = {"HU", "US", "H.U.", "HOUNSFIELD", "NORMALIZED", ""}
"""US is 'unspecified', which many scanners write for HU."""
_DENSITY_KERNEL = re.compile(r"sd\d{2}[a-z]?(?![a-z0-9])", re.I)
"""Siemens DirectDensity, such as 'Sd36f': values proportional to electron density."""


def check_values(volume: CTVolume) -> list[Finding]:
    """Findings on what a scan's header and histogram say of its values."""
    return check_kind(volume.acquisition) + check_clipping(volume.hu)


def check_kind(acquisition: Acquisition) -> list[Finding]:
    """Findings on images that were computed to show something else than attenuation."""
    found = []
    what = _computed(acquisition)
    if what:
        text = (
            f"This series is {what} from dual-energy CT, whose values are no HU of the tube voltage; "
            "take the ordinary series of the same scan."
        )
        found.append(Finding("dual-energy", None, text))
    unit = (acquisition.rescale_type or "").strip().upper()
    if unit not in _TRUE_RESCALE:
        text = (
            f"The header says that the values are '{unit}' and not Hounsfield units; "
            "take a series in HU."
        )
        found.append(Finding("not-hu", None, text))
    kernel = acquisition.kernel or ""
    if _DENSITY_KERNEL.match(kernel):
        text = (
            f"The kernel {kernel} changes HU on purpose (it shows electron density), so bone reads too "
            "low; take a series with an ordinary soft-tissue kernel."
        )
        found.append(Finding("kernel-changes-hu", None, text))
    return found


def _computed(acquisition: Acquisition) -> str | None:
    for word in acquisition.image_type or ():
        for part in re.split(r"[\s/]+", word.upper()):
            if part in _NOT_ATTENUATION:
                return _NOT_ATTENUATION[part]
    description = (acquisition.series_description or "").lower().replace("_", " ")
    for pattern, what in _DESCRIBED:
        if re.search(pattern, description):
            return what
    return None


def check_clipping(hu: np.ndarray) -> list[Finding]:
    """Findings on values cut off before saving, as a display window does.

    Parameters
    ----------
    hu : ndarray, shape (K, J, I)
    """
    low, high = float(hu.min()), float(hu.max())
    ends = []
    if high <= MAX_CLIP_HU and _piled(hu, high, -1):
        ends.append(f"above {high:.0f} HU")
    if low >= MIN_CLIP_HU and _piled(hu, low, 1):
        ends.append(f"below {low:.0f} HU")
    if not ends:
        return []
    text = (
        f"The values are cut off {' and '.join(ends)}, as a display window does, so the value is "
        "wrong, mostly too low; export the scan again with all its values."
    )
    return [Finding("clipped", None, text)]


def _piled(hu: np.ndarray, end: float, inwards: int) -> bool:
    """Whether voxels pile up at the histogram's end; `inwards` is -1 at the top, 1 at the bottom."""
    if not np.isfinite(end):
        return False
    limit = end + inwards * (NEAR_END_HU + 0.5)
    near = hu[hu > limit] if inwards < 0 else hu[hu < limit]
    steps = np.rint(np.abs(near.astype(np.float64) - end)).astype(int)
    counts = np.bincount(steps, minlength=NEAR_END_HU + 1)
    beside = counts[1:]
    if counts[0] < MIN_END_VOXELS or np.count_nonzero(beside) < MIN_FILLED_HU:
        return False
    return bool(counts[0] >= MIN_END_RATIO * beside.mean())
