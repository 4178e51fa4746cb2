"""The makers of DXA whose g/cm2 CTBMD knows, and how one maker's become another's.

No two makers' g/cm2 agree: a Lunar weighs hydroxyapatite truly (100.1 (1.1) %, Mazess 1991,
J Bone Miner Res 6:799), a Hologic reads some 11 % lower (Genant 1994). What is converted
here goes over the standardized BMD (sBMD) of Hui 1997 (J Bone Miner Res 12:1463), made for
the spine from 100 women who were measured by Hologic QDR-2000, Lunar DPX-L and Norland:

    sBMD = 1.0550 (Hologic - 0.972) + 1.0436 = 0.9683 (Lunar - 1.100) + 1.0436   g/cm2

so Lunar = 1.0895 Hologic + 0.0410. These and not the older equations of Genant 1994 (same
women, J Bone Miner Res 9:1503), because Genant's two lines, Hologic = 0.906 Lunar - 0.025
and Lunar = 1.074 Hologic + 0.054, are regressions that do not undo each other, and his sBMD
is left with a bias that Hui's is without. At a Hologic value of 0.95 all of them say 1.07 to
1.08, and so do other 100 women (0.950 and 1.068, Eur J Radiol 2007; 62:423).

They are good for means and poor for a person. Two things are unknown of a converted value:

- the person: after standardization the two makers' sBMD of the same woman differ by 0.023
  g/cm2 in the mean of absolute values (Genant 1994), an SD of 0.029;
- the device: of later ones (Apex and Prodigy, 87 women) the sBMD differ by 0.042 in the mean
  of L1-L4 (Fan 2010, Osteoporos Int 21:1227), so for devices of today the equations may be
  off by as much. It is taken as one more SD, since nobody knows which devices will be compared.

Together 0.051 g/cm2 (4.9 %), as the standard errors of 4 to 7 % that Fan 2010 gives for such
equations. Of single vertebrae nothing was published that could be read: they get the line of
the spine, and the person's SD times the square root of three, as if the errors of the three
vertebrae L2-L4 had nothing in common, the widest that the SD of their mean lets them be.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

from .errors import CTBMDError

SBMD_MEAN = 1.0436
"""Mean standardized BMD of Hui's women, g/cm2."""
PERSON_SD = 0.023 * math.sqrt(math.pi / 2)
"""g/cm2 of sBMD of the mean of L2-L4; a mean absolute difference of normal errors as their SD."""
DEVICE_SD = 0.042
"""g/cm2 of sBMD."""


@dataclass(frozen=True)
class DXADevice:
    """A maker of DXA.

    Attributes
    ----------
    name : str
        As it is chosen and written into files.
    title : str
        As people call it.
    slope, mean : float
        sBMD = slope (BMD - mean) + `SBMD_MEAN`, g/cm2, of the lumbar spine.
    words : str
        Regular expression of what a table calls a device of this maker.
    """

    name: str
    title: str
    slope: float
    mean: float
    words: str


HOLOGIC = DXADevice(
    *("hologic", "Hologic", 1.0550, 0.972),
    r"\b(hologic|qdr|delphi|discovery|explorer|horizon)",
)
LUNAR = DXADevice(
    *("lunar", "Lunar", 0.9683, 1.100),
    r"\b(lunar|dpx|prodigy|i-?dxa)|\bge\b",
)
DEVICES = {device.name: device for device in (HOLOGIC, LUNAR)}
"""The devices by name; the first is meant where nobody names one."""


@dataclass(frozen=True)
class Scale:
    """From the g/cm2 that a model answers in to those that are shown.

    Attributes
    ----------
    source, target : str or None
        Names of `DEVICES`; None where nobody says, and then both are.
    """

    source: str | None
    target: str | None

    @property
    def converts(self) -> bool:
        """Whether the values of another device are shown than the model answers in."""
        return self.source != self.target

    @property
    def slope(self) -> float:
        """g/cm2 shown for each g/cm2 answered."""
        if not self.converts:
            return 1.0
        return self._of(self.source).slope / self._of(self.target).slope

    def value(self, bmd: Any) -> Any:
        """A value as the target shows it; unchanged where both are the same device.

        Parameters
        ----------
        bmd : float or ndarray
            g/cm2 of the source.
        """
        if not self.converts:
            return bmd
        return self.slope * (bmd - self._of(self.source).mean) + self._of(self.target).mean

    def half_width(self, half: Any, kind: str, level: float = 0.9) -> Any:
        """Half the width of an interval as it is on the target's scale.

        Stretched by the slope, and widened by what the conversion itself leaves
        open (in quadrature, since the two errors know nothing of each other).

        Parameters
        ----------
        half : float or ndarray
            g/cm2 of the source.
        kind : {'level', 'total'}
            Of a vertebra or of L1-L4.
        level : float
            Share of people whom the interval is to hold, 0 to 1.
        """
        if not self.converts:
            return half
        spread = NormalDist().inv_cdf((1 + level) / 2) * self.sd(kind)
        return ((self.slope * half) ** 2 + spread**2) ** 0.5

    def sd(self, kind: str) -> float:
        """SD that the conversion adds, g/cm2 of the target; 0 where nothing is converted."""
        if not self.converts:
            return 0.0
        person = PERSON_SD * (math.sqrt(3) if kind == "level" else 1.0)
        return math.hypot(person, DEVICE_SD) / self._of(self.target).slope

    @staticmethod
    def _of(name: str | None) -> DXADevice:
        return DEVICES[str(name)]


SAME = Scale(HOLOGIC.name, HOLOGIC.name)


def maker(name: str | None) -> str:
    """What people call a device; 'unknown' for None."""
    return "unknown" if name is None else DEVICES[name].title


def device_named(text: str | None) -> str | None:
    """The maker that a text means ('Hologic Horizon A', 'GE Lunar iDXA').

    Returns
    -------
    str or None
        A name of `DEVICES`; None where it means none of them, or more than one.
    """
    text = text if isinstance(text, str) else ""
    found = [name for name, device in DEVICES.items() if re.search(device.words, text, re.I)]
    return found[0] if len(found) == 1 else None


def common_device(texts: Iterable[str | None]) -> str | None:
    """The one maker that all given texts mean; None for none, for several or for one unknown."""
    found = {device_named(text) for text in texts}
    return found.pop() if len(found) == 1 else None


def device_of(card: dict[str, Any]) -> str | None:
    """The device in whose g/cm2 a model answers, by its card.

    Cards of before devices were named say nothing: then it is what the
    model was fitted to, by the names in its table, and Hologic for the others,
    which were called so.

    Returns
    -------
    str or None
        A name of `DEVICES`; None where the model was fitted to the DXA of a site
        and nobody says whose.
    """
    if "dxa_device" in card:
        return None if card["dxa_device"] is None else str(card["dxa_device"])
    calibration = card.get("calibration")
    if calibration or "dxa_devices" in card:
        names = (calibration or card).get("dxa_devices")
        return common_device(names) if isinstance(names, list) else None
    return HOLOGIC.name


def scale_for(card: dict[str, Any], wanted: str | None = None) -> Scale:
    """The scale on which a model's values are shown.

    Parameters
    ----------
    card : dict
        The model's card.
    wanted : str or None
        Device to compare with, a name of `DEVICES`. None takes a site's own device
        where the model was fitted to a site, and Hologic elsewhere.

    Raises
    ------
    CTBMDError
        For an unknown device, and where the model answers on a scale that nobody knows.
    """
    own = device_of(card)
    if wanted is None:
        of_a_site = card.get("calibration") or card.get("population") == "patients"
        return Scale(own, own if of_a_site or own is None else HOLOGIC.name)
    if wanted not in DEVICES:
        raise CTBMDError(
            f"The DXA device '{wanted}' is not known; choose one of {', '.join(DEVICES)}.",
            "dxa-device",
        )
    if own is None:
        raise CTBMDError(
            "The model was fitted to a DXA whose maker its card does not name, so its values cannot be "
            f"shown as those of a {maker(wanted)}; leave the DXA device out, or calibrate the model "
            "again and name the device.",
            "dxa-unknown",
        )
    return Scale(own, wanted)
