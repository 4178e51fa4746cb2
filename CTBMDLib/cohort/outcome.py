"""What one case of a batch gives beside its values: facts of the scan, and how much it needs a look.

All of it is small and can be sent: no images, and nobody's name, id or date.
A person is a pseudonym under a key that is made for the run and forgotten with
its journal, and a scan's day is counted from a day of the person's own, so that
only intervals between two scans of one person can be told.
"""

from __future__ import annotations

import hashlib
import hmac
import io
import re
import warnings
import zipfile
from dataclasses import asdict, dataclass, fields
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..bmd.contrast import says_none, stated_agent
from ..bmd.result import BMDResult
from ..reading import headers
from ..reading.files import files_below
from ..volume import Acquisition, CTVolume
from .caselist import Case

if TYPE_CHECKING:
    import pydicom

_DATES = ("AcquisitionDate", "SeriesDate", "StudyDate")
_NOBODY = re.compile(
    r"anon(ym(e|i[sz]ed|ous|isiert)?)?|(de|pseudo)?identified|unknown|unbekannt|inconnu|unnamed|noname"
    r"|none|null|nil|na|nan|noid|removed|redacted|deleted|hidden|patient(id)?|x+|0+"
)
"""What de-identification writes for the patient id of everybody, without punctuation."""
_MAX_TRIED = 200
"""Files of a folder that are looked at for the date of a series."""


@dataclass(frozen=True)
class Facts:
    """What is known of a scan; None where it is not.

    Attributes
    ----------
    person : str or None
        Pseudonym; the same for all scans of a person in one run.
    day : int or None
        Day of the scan, counted from a secret day of the person.
    kvp, thickness_mm : float or None
    kernel, manufacturer, scanner : str or None
    contrast : str or None
        'given' or 'none' where header or images say so.
    sex : str or None
    age : float or None
    """

    person: str | None = None
    day: int | None = None
    kvp: float | None = None
    thickness_mm: float | None = None
    kernel: str | None = None
    manufacturer: str | None = None
    scanner: str | None = None
    contrast: str | None = None
    sex: str | None = None
    age: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON knows them."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Facts:
        """Read what `to_dict` wrote; what is not known is left out."""
        names = {item.name for item in fields(cls)}
        return cls(**{name: value for name, value in data.items() if name in names})


@dataclass(frozen=True)
class Outcome:
    """What a case came to: a result, or the sentence and the code of its failure.

    Attributes
    ----------
    result : BMDResult or None
        Without its images.
    reason, code : str or None
    facts : Facts
    key : str
        See `journal.case_key`; '' where the asker knows it.
    sheet : bytes
        Contact sheet of the levels as PNG; empty where there is none.
    """

    result: BMDResult | None
    reason: str | None = None
    code: str | None = None
    facts: Facts = Facts()
    key: str = ""
    sheet: bytes = b""


def facts_of(case: Case, volume: CTVolume, result: BMDResult, key: bytes) -> Facts:
    """The facts of a scan of a run.

    Parameters
    ----------
    case : Case
        Its `path` is where the files lie.
    volume : CTVolume
    result : BMDResult
    key : bytes
        Of the run; see the module.
    """
    named = case.person or told_apart_by(volume.acquisition.patient_id)
    person = pseudonym(named, key) if named else None
    day = scan_day(case, volume) if person else None
    counted = None if day is None or person is None else day.toordinal() - _origin(person, key)
    return facts_from(
        volume.acquisition, result, person, counted, kvp_text(case.kvp) if case.kvp else None
    )


def told_apart_by(patient_id: str | None) -> str | None:
    """A patient id that can tell persons apart; None for the 'ANON' of a whole archive."""
    bare = re.sub(r"[\W_]+", "", patient_id or "").casefold()
    return patient_id if bare and not _NOBODY.fullmatch(bare) else None


def facts_from(
    header: Acquisition,
    result: BMDResult,
    person: str | None = None,
    day: int | None = None,
    kvp: float | None = None,
) -> Facts:
    """The facts of a scan, for a comparison with another one.

    Parameters
    ----------
    header : Acquisition
    result : BMDResult
    person : str or None
        The same for all scans of a person.
    day : int or None
        Counted from any one day for all scans of a person.
    kvp : float or None
        What a person stated; else the header's.
    """
    return Facts(
        person=person,
        day=day,
        kvp=header.kvp if kvp is None else kvp,
        thickness_mm=header.slice_thickness_mm,
        kernel=_short(header.kernel),
        manufacturer=_short(header.manufacturer),
        scanner=_short(header.model),
        contrast=_contrast(header, result),
        sex=result.sex,
        age=result.age,
    )


def need_of_a_look(result: BMDResult) -> float:
    """How much a person should look at a result: its warnings, ten for no L1-L4 value.

    The half width of the interval over the value parts those that are alike.
    """
    warned = sum(item.severity == "warning" for item in result.findings)
    if result.total is None:
        return 10.0 + warned
    total = result.total
    return warned + min((total.bmd_high - total.bmd_low) / 2 / max(total.bmd_g_cm2, 0.01), 0.99)


def pseudonym(named: str, key: bytes) -> str:
    """A name for a person that tells nothing without the key."""
    text = " ".join(named.split()).encode("utf-8", "backslashreplace")
    return hmac.new(key, text, hashlib.sha256).hexdigest()[:24]


def _origin(person: str, key: bytes) -> int:
    """The day from which a person's days are counted: up to 270 years away."""
    secret = hmac.new(key, f"day {person}".encode(), hashlib.sha256).digest()
    return int.from_bytes(secret[:8], "big") % 100_000


def scan_day(case: Case, volume: CTVolume) -> date | None:
    """The date of a scan: the list's, else that in the header of its study.

    It is asked for here alone and only to count days between scans.
    """
    if case.date:
        return _date(case.date)
    study = volume.acquisition.study_uid
    if not study:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _date_in(Path(case.path), study)


def _date_in(path: Path, study: str) -> date | None:
    try:
        if path.suffix.lower() == ".zip" and path.is_file():
            with zipfile.ZipFile(path) as archive:
                for name in archive.namelist()[:_MAX_TRIED]:
                    with archive.open(name) as member:
                        found = _date_of(io.BytesIO(member.read(1 << 18)), study)
                    if found:
                        return found
            return None
        files = files_below(path) if path.is_dir() else [path]
        return next((x for f in files[:_MAX_TRIED] if (x := _date_of(f, study))), None)
    except (OSError, zipfile.BadZipFile, RuntimeError):
        return None


def _date_of(file: Any, study: str) -> date | None:
    import pydicom

    try:
        if isinstance(file, Path) and not file.is_file():
            return None
        tags = ["StudyInstanceUID", *_DATES]
        header = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=tags)
        if str(header.get("StudyInstanceUID") or "") != study:
            return None
        return header_day(header)
    except Exception:  # pydicom raises whatever it meets; there is no date then
        return None


def header_day(header: pydicom.Dataset) -> date | None:
    """The day of a scan by its DICOM header; None where it is silent."""
    said = (headers.text(headers.get(header, tag)) for tag in _DATES)
    return next((day for text in said if text and (day := _date(text))), None)


def _date(text: str) -> date | None:
    """2024-03-01, 20240301 or 2024.03.01 as a date; None for anything else."""
    match = re.fullmatch(r"(\d{4})[-./]?(\d{2})[-./]?(\d{2})(?:[T ].*)?", text.strip())
    try:
        return date(*map(int, match.groups())) if match else None
    except ValueError:
        return None


def kvp_text(text: str) -> float | None:
    """A tube voltage as a list writes it, kV."""
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return None


def _contrast(header: Acquisition, result: BMDResult) -> str | None:
    seen = any(item.code in ("contrast", "contrast-suspected") for item in result.findings)
    if seen or stated_agent(header):
        return "given"
    return "none" if says_none(header.contrast_agent) else None


def _short(text: str | None) -> str | None:
    return " ".join(text.split())[:64] or None if text else None
