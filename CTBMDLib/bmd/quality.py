"""Findings about a scan and the images cut from it: what a reader should know before using a value."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..dxa import Scale, maker
from ..levels import MEASURED, LevelSelection
from ..model.images import ImageStandard, LevelImages
from ..volume import CTVolume
from .contrast import ADDED_HU, check_contrast, phase_of
from .finding import Finding
from .places import check_places
from .values import check_values

__all__ = [
    "Finding",
    "check_images",
    "check_kvp",
    "check_neighbours",
    "check_range",
    "check_scale",
    "check_selection",
    "check_sex",
    "check_volume",
    "image_noise",
    "kvp_unknown",
]

KVP_RANGE = (80.0, 140.0)
"""kV that the network has learned from, and that CT of the abdomen is taken with."""
MAX_THICKNESS_MM = 5.5
"""Advised are 5 mm; the half is for headers that round."""
MAX_PIXEL_MM = 3.2
"""Advised are 3 mm."""
MAX_NOISE_HU = 30.0
METAL_HU = 2000.0
MIN_METAL_PIXELS = 3
"""A pixel or two an image may be a dense facet or an osteophyte."""
MIN_INSIDE, MIN_INSIDE_SURE = 0.97, 0.85
"""Shares of the images that the scan covers, below which that is told, and told as a warning."""
MIN_CONFIDENCE = 0.5
BODY_RANGE_HU = (0.0, 700.0)
"""Median HU around the middle of a vertebral body."""
MAX_NEIGHBOUR_G_CM2 = 0.25
"""Healthy neighbours differ by up to 0.10 g/cm2 (women's L1 and L2); that much plus one
young-adult SD (0.12) and a margin is worth a look."""


def check_volume(volume: CTVolume, quote: bool = True) -> list[Finding]:
    """What the header and the sampling say about the scan; `quote`: see `check_contrast`."""
    found: list[Finding] = []

    def add(code: str, text: str, severity: str = "warning") -> None:
        found.append(Finding(code, None, text, severity))

    facts = volume.acquisition
    found += check_contrast(facts, quote)
    found += check_values(volume)
    if facts.kvp is None:
        add("kvp-unknown", "The tube voltage is unknown.", "note")
    elif not KVP_RANGE[0] <= facts.kvp <= KVP_RANGE[1]:
        add(
            "kvp",
            f"The tube voltage of {facts.kvp:g} kV lies outside {KVP_RANGE[0]:g}-{KVP_RANGE[1]:g} kV.",
        )
    steps = volume.spacing_mm[[2 - axis for axis in volume.axis_kji_of_ras]]
    thickness = max(facts.slice_thickness_mm or 0.0, steps[2])
    if thickness > MAX_THICKNESS_MM:
        add("thick-slices", f"The slices are {thickness:.1f} mm thick; up to 5 mm is advised.")
    if max(steps[0], steps[1]) > MAX_PIXEL_MM:
        add(
            "coarse",
            f"The pixels are {max(steps[0], steps[1]):.1f} mm wide; up to 3 mm is advised.",
        )
    return found


def check_images(images: LevelImages, standard: ImageStandard) -> list[Finding]:
    """What the images of one level show."""
    found: list[Finding] = []
    level = images.level

    def add(code: str, text: str, severity: str = "warning") -> None:
        found.append(Finding(code, level, text, severity))

    if images.inside < MIN_INSIDE:
        add(
            "outside",
            f"{level}: {100 * (1 - images.inside):.0f} % of the image lies outside the scan.",
            "warning" if images.inside < MIN_INSIDE_SURE else "note",
        )
    if (images.hu > METAL_HU).sum() >= MIN_METAL_PIXELS * len(images.hu):
        add("metal", f"{level}: metal or very dense material is in the image.")
    noise = image_noise(images.hu)
    if noise is not None and noise > MAX_NOISE_HU:
        add("noise", f"{level}: the image is noisy (SD {noise:.0f} HU in soft tissue).")
    vessel = _enhanced(images.hu, standard)
    if vessel is not None:
        add(
            "contrast-suspected",
            f"{level}: {vessel:.0f} HU in front of the spine suggests contrast agent "
            f"({phase_of(vessel)}), which raises the HU of bone{ADDED_HU}.",
        )
    body = _body(images.hu, standard)
    if not BODY_RANGE_HU[0] <= body <= BODY_RANGE_HU[1]:
        add(
            "not-bone",
            f"{level}: the chosen point ({body:.0f} HU around it) does not look like a vertebral "
            "body; check the slice.",
        )
    return found


def image_noise(hu: np.ndarray) -> float | None:
    """SD of the noise in soft tissue, HU; None where an image shows too little of it.

    From the difference of neighbouring pixels in smooth soft tissue, so that
    anatomy counts little.
    """
    from scipy import ndimage

    smooth = ndimage.uniform_filter(hu, size=(0, 5, 5))
    soft = (smooth > -20) & (smooth < 90)
    # Away from bone and fat: the neighbourhood's own mean must be soft tissue too.
    soft = ndimage.binary_erosion(soft, structure=np.ones((1, 5, 5)))
    if soft.sum() < 40 * len(hu):
        return None
    residue = hu - smooth
    return float(1.4826 * np.median(np.abs(residue[soft])))


def _enhanced(hu: np.ndarray, standard: ImageStandard) -> float | None:
    """Mean HU of a homogeneous disc over 110 HU in front of the body, or None."""
    from scipy import ndimage

    rows = int((standard.anterior_mm - 24) / standard.spacing_mm)
    front = hu[:, : max(rows, 0)]
    if front.shape[1] < 7:
        return None
    mean = ndimage.uniform_filter(front, size=(0, 5, 5))
    square = ndimage.uniform_filter(front**2, size=(0, 5, 5))
    sd = np.sqrt(np.maximum(square - mean**2, 0))
    bright = (mean > 110) & (mean < 400) & (sd < 0.15 * mean)
    # The disc must be there in most planes, as a vessel is.
    planes = bright[:, 2:-2, 2:-2].any(axis=(1, 2))
    if planes.mean() < 0.6:
        return None
    return float(np.median(mean[bright]))


def _body(hu: np.ndarray, standard: ImageStandard) -> float:
    """Median HU within 8 mm of the body's centre."""
    row = standard.anterior_mm / standard.spacing_mm
    column = standard.size_px / 2
    j, i = np.indices(hu.shape[1:]) + 0.5
    near = np.hypot(j - row, i - column) * standard.spacing_mm <= 8
    return float(np.median(hu[:, near]))


def check_selection(selection: LevelSelection) -> list[Finding]:
    """What the choice of levels itself says."""
    found = []
    if selection.numbering_uncertain:
        found.append(
            Finding(
                "numbering",
                None,
                "The vertebra numbers are uncertain; check the labels before you use the values.",
            )
        )
    found += [
        Finding(
            "unsure-level",
            item.level,
            f"{item.level}: found with low confidence ({item.confidence:.2f}); check the slice.",
        )
        for item in selection
        if item.confidence is not None and item.confidence < MIN_CONFIDENCE
    ]
    found += [
        Finding("left-out", item.level, f"{item.level}: left out by hand ({item.reason}).", "note")
        for item in selection
        if item.reason is not None
    ]
    found += check_places(selection)
    found += [Finding("selection", None, note, "note") for note in selection.findings]
    return found


def check_sex(given: str | None, header: str | None) -> list[Finding]:
    """Whether the sex that a person gives contradicts the scan's own header."""
    if not given or not header or given == header:
        return []
    text = f"The sex given ({given}) is not the one in the header ({header})."
    return [Finding("sex", None, text)]


def check_kvp(given: float | None, header: float | None) -> list[Finding]:
    """Whether the tube voltage that a person gives contradicts the scan's own header; kV."""
    if given is None or header is None or abs(given - header) < 1:
        return []
    text = (
        f"The tube voltage given ({given:g} kV) is not the one in the header ({header:g} kV); "
        "the value is computed with the one given."
    )
    return [Finding("kvp-contradicts", None, text)]


def kvp_unknown(effect: dict[float, float], bmd: float | None, half: float | None) -> Finding:
    """How far the answer depends on the tube voltage that nobody states.

    Parameters
    ----------
    effect : dict of float to float
        The mean, g/cm2, for each voltage, kV; at least one.
    bmd, half : float or None
        L1-L4 as it was computed without the voltage and half the width of its
        interval, g/cm2. A voltage that takes it out of the interval is a warning.
    """
    at = ", ".join(f"{value:.3f} at {kvp:g} kV" for kvp, value in effect.items())
    given = "" if bmd is None else f" instead of {bmd:.3f}"
    text = (
        f"The tube voltage is unknown; for this scan the mean would be {at}{given} g/cm2, "
        "so state the voltage if you know it."
    )
    far = (
        bmd is not None
        and half is not None
        and any(abs(value - bmd) > half for value in effect.values())
    )
    return Finding("kvp-unknown", None, text, "warning" if far else "note")


def check_scale(scale: Scale) -> list[Finding]:
    """Whether the values went from one DXA device's g/cm2 to another's."""
    if not scale.converts:
        return []
    text = (
        f"The values were converted from the g/cm2 of a {maker(scale.source)} DXA to those of a "
        f"{maker(scale.target)} (Hui 1997); this is right in the mean only, so the L1-L4 interval allows "
        f"for an SD of {scale.sd('total'):.3f} g/cm2 more, between persons and between devices."
    )
    return [Finding("dxa-converted", None, text, "note")]


def check_neighbours(bmd: dict[str, float]) -> list[Finding]:
    """Levels whose BMD differs from every neighbour's by more than health explains.

    ISCD leaves out a vertebra that differs by more than 1.0 T from its
    neighbour; without a reference value for each level the difference itself
    is looked at.
    """
    found = []
    for index, level in enumerate(MEASURED):
        near = [
            bmd[other]
            for other in (MEASURED[max(index - 1, 0)], MEASURED[min(index + 1, 3)])
            if other != level and other in bmd
        ]
        if level not in bmd or not near:
            continue
        # An end level beside an odd one is not odd itself: it agrees with the rest.
        rest = float(np.median([x for other, x in bmd.items() if other != level]))
        if min(abs(bmd[level] - x) for x in [*near, rest]) > MAX_NEIGHBOUR_G_CM2:
            found.append(
                Finding(
                    "differs",
                    level,
                    f"{level} differs by more than {MAX_NEIGHBOUR_G_CM2:.2f} g/cm2 from its neighbours; "
                    "look for fracture, degeneration or a wrong slice.",
                )
            )
    return found


def check_range(bmd: dict[str, float], bounds: Sequence[float] | None) -> list[Finding]:
    """Values outside what the model was trained on; `bounds` are the card's, g/cm2."""
    if not bounds:
        return []
    low, high = bounds
    return [
        Finding(
            "outside-training",
            level,
            f"{level}: {value:.2f} g/cm2 lies outside the values the model was trained on "
            f"({low:.2f}-{high:.2f}).",
        )
        for level, value in bmd.items()
        if not low <= value <= high
    ]
