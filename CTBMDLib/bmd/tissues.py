"""Air, fat and muscle as a scan measures them, and whether they lie where they must.

Their HU are known of everybody: air is -1000, fat about -115 to -85 and muscle 30 to 65 HU
at 120 kV. Where a scan has them
elsewhere its values are no true HU, and bone is off as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..errors import CTBMDError
from ..levels import LevelSlice
from ..volume import CTVolume
from .finding import Finding

AIR_RANGE_HU = (-1045.0, -930.0)
FAT_RANGE_HU = (-122.0, -74.0)
MUSCLE_RANGE_HU = (0.0, 85.0)
"""Wider than people's: noise blurs the peaks, and the muscles of old people hold fat. Set on the
shared scans (fat -101 to -108, muscle 21 to 52, air -979 to -997) and on virtual people. Fat varies
least: values that are 1.3 times too steep, cut off at air, show by it in 10 of 17 virtual scans (in 2
with a limit of -128), and none of those scans as they are shows by its fat (simulated, worked out from
their printed fat; what is told of fresh ones is in training/results/findings.md)."""
CONTRAST_IN_MUSCLE_HU = 30.0
FAT_HU = ((80.0, 100.0, 120.0, 140.0), (-112.0, -105.0, -100.0, -97.0))
"""Fat by tube voltage, to which values are corrected: the middle of people's at 120 kV, darker at
low voltages, where fat absorbs less than water does; the steps are an own estimate."""
AIR_HU = -1000.0
STEP_MM, PLANES = 2.0, 9
SOFT_HU = (-250.0, 250.0)
"""Where fat and muscle are looked for."""
MODE_HU = 12.0
"""SD of the smoothing under which a histogram's highest place is found."""
EVEN_SHARE = 0.5
"""Share of the tissue whose surroundings are most even: the rest is edges."""
MIN_PLACES, MIN_AIR_MM2 = 150, 8000.0
APART_HU = (70.0, 260.0)
"""How much darker fat is than muscle, whatever the scanner."""
BESIDE_MM, BEHIND_MM, BEFORE_MM = 62.0, 65.0, 8.0
"""The muscles beside the spine: psoas, quadratus lumborum, erector spinae."""
BONE_OVER_HU = 150.0
SLOPE = (0.75, 1.35)
"""Corrections beyond are no scanner's fault but another unit."""
HOW_TO_CORRECT = "(--correct-values)"
"""The shell's way to ask for it, as a finding names it; other doors have their own words."""


@dataclass(frozen=True)
class Tissues:
    """HU of what is known of everybody; None where too little of it is in view.

    Attributes
    ----------
    air, fat, muscle : float or None
    """

    air: float | None = None
    fat: float | None = None
    muscle: float | None = None


@dataclass(frozen=True)
class Correction:
    """HU = slope * value + offset, so that air and fat lie where they must."""

    slope: float
    offset: float
    tissues: Tissues

    def apply(self, volume: CTVolume) -> CTVolume:
        """The volume with its values corrected and rounded to whole HU."""
        hu = np.empty(volume.hu.shape, np.int16)
        for k, plane in enumerate(volume.hu):
            corrected = self.slope * plane.astype(np.float32) + self.offset
            hu[k] = np.clip(np.rint(corrected), -32768, 32767)
        return replace(volume, hu=hu)

    @property
    def text(self) -> str:
        """What was done, as one sentence for every output."""
        sign = "-" if self.offset < 0 else "+"
        return (
            f"The values were corrected before the estimate: {self.slope:.3f} x HU {sign} "
            f"{abs(self.offset):.0f}, so that air ({self.tissues.air:.0f}) and fat "
            f"({self.tissues.fat:.0f} HU) lie where they must."
        )


def measure_tissues(volume: CTVolume, levels: Sequence[LevelSlice]) -> Tissues:
    """Air, fat and muscle in axial planes from the highest to the lowest level.

    Parameters
    ----------
    volume : CTVolume
    levels : sequence of LevelSlice
        At least one.
    """
    s = [item.ras[2] for item in levels]
    low, high = volume.ras_bounds[2]
    planes = np.clip(np.linspace(min(s), max(s), PLANES), low, high)
    parts = [_plane(volume, levels, at) for at in np.unique(planes.round(1))]
    air, fat, muscle = (np.concatenate(x) for x in zip(*parts, strict=True))
    muscle_hu = _mode(muscle, *SOFT_HU)
    fat_hu = None
    if muscle_hu is not None:
        fat_hu = _mode(fat, muscle_hu - APART_HU[1], muscle_hu - APART_HU[0])
    return Tissues(_mode(air, -2000.0, -500.0), fat_hu, muscle_hu)


def _plane(
    volume: CTVolume, levels: Sequence[LevelSlice], s: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values of air, of even soft places, and of even places where muscle lies, in one plane."""
    from scipy import ndimage

    (r0, r1), (a0, a1) = volume.ras_bounds[:2]
    r, a = (np.arange(x, y + 0.1, STEP_MM) for x, y in ((r0, r1), (a0, a1)))
    rr, aa = np.meshgrid(r, a)
    points = np.stack([rr, aa, np.full_like(rr, s)], axis=-1)
    # Three layers: noise is what makes a histogram's peaks blunt.
    hu = np.mean([volume.sample(points + [0, 0, dz]) for dz in (-2.0, 0.0, 2.0)], axis=0)
    seen = ndimage.binary_erosion(np.isfinite(hu), iterations=2)
    hu = np.nan_to_num(hu, nan=-3000.0)
    mean = ndimage.uniform_filter(hu, 3)
    spread = ndimage.maximum_filter(mean, 3) - ndimage.minimum_filter(mean, 3)
    air = _outside(hu, seen, spread)
    soft = seen & (mean > SOFT_HU[0]) & (mean < SOFT_HU[1])
    bone = ndimage.binary_dilation(mean > BONE_OVER_HU, iterations=2)
    even = soft & ~bone
    if even.any():
        even &= spread <= np.quantile(spread[even], EVEN_SHARE)
    r_mid, a_mid, _ = min(levels, key=lambda item: abs(item.ras[2] - s)).ras
    near = (np.abs(rr - r_mid) < BESIDE_MM) & (aa < a_mid + BEFORE_MM) & (aa > a_mid - BEHIND_MM)
    # In front: behind a person lies the table, whose foam is no air.
    return mean[air & (aa > a_mid)], mean[even], mean[even & near]


def _outside(hu: np.ndarray, seen: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Air around the body: what is dark up to the picture's rim, and was measured.

    Padding has no noise, and neither has air that was masked; bowel and lung do not
    reach the rim.
    """
    from scipy import ndimage

    dark = hu < -500
    padding = ~seen | (spread <= 0)
    labels, count = ndimage.label(dark & ~padding)
    rim = np.ones(hu.shape, bool)
    rim[1:-1, 1:-1] = False
    rim |= ndimage.binary_dilation(padding & dark, iterations=2)
    # Bowel gas that the field of view cuts through is smaller than what surrounds a body.
    area = np.bincount(labels.ravel(), minlength=count + 1) * STEP_MM**2
    around = [n for n in np.unique(labels[rim]) if n and area[n] >= MIN_AIR_MM2]
    return np.asarray(ndimage.binary_erosion(np.isin(labels, around), iterations=3))


def _mode(values: np.ndarray, low: float, high: float) -> float | None:
    """The most frequent value between two ends; None where there are few or it is an end."""
    from scipy import ndimage

    values = values[(values >= low) & (values <= high)]
    if len(values) < MIN_PLACES:
        return None
    counts, edges = np.histogram(values, bins=np.arange(low, high + 2.0, 2.0))
    smooth = ndimage.gaussian_filter1d(counts.astype(float), MODE_HU / 2, mode="constant")
    top = int(smooth.argmax())
    if top in (0, len(smooth) - 1):
        return None
    middle = 0.5 * (edges[top] + edges[top + 1])
    near = values[np.abs(values - middle) <= MODE_HU]
    return float(near.mean()) if len(near) >= MIN_PLACES / 3 else None


def check_tissues(tissues: Tissues, kvp: float | None, enhanced: bool = False) -> list[Finding]:
    """A finding where air, fat or muscle lie where they cannot, with the offer to correct.

    Parameters
    ----------
    tissues : Tissues
    kvp : float or None
        Fat is darker at low tube voltages.
    enhanced : bool
        Whether contrast agent is known of, which makes muscle brighter.
    """
    shift = _fat_hu(kvp) - _fat_hu(120.0)
    brighter = CONTRAST_IN_MUSCLE_HU if enhanced else 0.0
    known = (
        ("air outside the body", tissues.air, AIR_RANGE_HU, "about -1000"),
        ("fat", tissues.fat, tuple(x + shift for x in FAT_RANGE_HU), "-115 to -85"),
        (
            "muscle",
            tissues.muscle,
            (MUSCLE_RANGE_HU[0], MUSCLE_RANGE_HU[1] + brighter),
            "30 to 65",
        ),
    )
    wrong = [
        f"{name} has {hu:.0f} HU ({usual} is usual)"
        for name, hu, (low, high), usual in known
        if hu is not None and not low <= hu <= high
    ]
    if not wrong:
        return []
    text = f"{' and '.join(wrong)}, so the values are no true Hounsfield units and bone is off too"
    text = text[0].upper() + text[1:]
    if _line(tissues, kvp) is None:
        return [Finding("tissue-hu", None, f"{text}; take another series of the scan.")]
    offer = f"take another series, or let the values be corrected by air and fat {HOW_TO_CORRECT}"
    return [Finding("tissue-hu", None, f"{text}; {offer}.")]


def can_be_corrected(findings: Iterable[Finding]) -> bool:
    """Whether the findings offer to correct the values by air and fat."""
    return any(item.code == "tissue-hu" and HOW_TO_CORRECT in item.text for item in findings)


def correction_for(tissues: Tissues, kvp: float | None) -> Correction:
    """The line that takes measured air and fat to where they must lie.

    Raises
    ------
    CTBMDError
        Where one of them is not in view, or the line is no scanner's fault.
    """
    line = _line(tissues, kvp)
    if line is None:
        lacking = [name for name in ("air", "fat") if getattr(tissues, name) is None]
        why = (
            f"{' and '.join(lacking)} cannot be measured in the scan"
            if lacking
            else "air and fat lie so far off that they are something else"
        )
        raise CTBMDError(
            f"The values cannot be corrected, because {why}; estimate without the correction or take "
            "another series.",
            "no-correction",
        )
    return Correction(*line, tissues)


def _line(tissues: Tissues, kvp: float | None) -> tuple[float, float] | None:
    """Slope and offset by air and fat; None where they are unknown or no scanner's."""
    if tissues.air is None or tissues.fat is None or tissues.fat <= tissues.air:
        return None
    target = _fat_hu(kvp)
    slope = (target - AIR_HU) / (tissues.fat - tissues.air)
    return (slope, target - slope * tissues.fat) if SLOPE[0] <= slope <= SLOPE[1] else None


def _fat_hu(kvp: float | None) -> float:
    return float(np.interp(120.0 if kvp is None else kvp, *FAT_HU))
