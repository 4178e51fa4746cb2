"""A small CT with a planted identity, as DICOM files and as the case of a report."""

from __future__ import annotations

from pathlib import Path

import dicom_maker
import phantoms

from CTBMDLib.bmd.estimate import estimate
from CTBMDLib.bmd.reference import ReferenceTable
from CTBMDLib.levels import LevelSelection
from CTBMDLib.reading.reading import read_ct
from CTBMDLib.reading.source import source_of
from CTBMDLib.report.case import ReportCase

FOLDER = "PLANTEDfolder"
ROOT = "1.2.826.0.1.3680043.9999"
IDENTITY = {
    "PatientName": "PLANTEDname^Ada",
    "PatientBirthDate": "19510203",
    "PatientComments": "PLANTEDcomment",
    "OtherPatientIDs": "PLANTEDother",
    "StudyDate": "20240506",
    "StudyTime": "112233",
    "StudyID": "PLANTEDstudy",
    "AccessionNumber": "PLANTEDacc",
    "ReferringPhysicianName": "PLANTEDdoctor^X",
    "OperatorsName": "PLANTEDoperator^Y",
    "InstitutionName": "PLANTEDclinic",
    "StationName": "PLANTEDstation",
    "DeviceSerialNumber": "PLANTEDserial",
    "StudyDescription": "PLANTEDstudy of Ada",
    "SeriesDescription": "PLANTEDseries portal venous of Ada",
    "ProtocolName": "PLANTEDprotocol",
    "ContrastBolusAgent": "PLANTEDagent",
    "StudyInstanceUID": f"{ROOT}.1",
    "SeriesInstanceUID": f"{ROOT}.2",
    "FrameOfReferenceUID": f"{ROOT}.3",
}
PATIENT = "PLANTEDid"
TOKENS = ("PLANTED", "19510203", "20240506", "112233", ROOT)
"""What no output holds unless identity is asked for."""


def write(folder, **tags) -> Path:
    """The phantom as a DICOM series with the planted identity."""
    folder = Path(folder) / FOLDER
    volume = phantoms.phantom()
    k, j, i = volume.hu.shape
    right, front, _low = volume.ras_from_ijk([i - 1, j - 1, 0])
    heights = [volume.ras_from_ijk([0, 0, n])[2] for n in range(k)]

    def edit(index, data):
        data.SOPInstanceUID = f"{ROOT}.4.{index}"

    dicom_maker.write_series(
        folder,
        volume.hu[:, ::-1, ::-1].astype(int),
        patient=PATIENT,
        positions=[(-right, -front, s) for s in heights],
        edit=edit,
        **{"PixelSpacing": [2.0, 2.0], "SliceThickness": "3", **IDENTITY, **tags},
    )
    return folder


def case(folder, model, reference="nhanes-hologic", selection=None, **options) -> ReportCase:
    """The case of a written series, read and estimated with an untrained bundle."""
    volume = read_ct(folder)
    table = ReferenceTable.load(reference) if reference else None
    selection = selection or phantoms.chosen()
    result = estimate(volume, selection, model, reference=table, **options)
    return ReportCase(
        result=result,
        volume=volume,
        selection=LevelSelection.from_json(selection.to_json()),
        standard=model.standard,
        reference=table,
        source=source_of(folder, volume.series_uids),
    )


def told(content) -> list[str]:
    """Which of `TOKENS` some bytes hold."""
    content = content if isinstance(content, bytes) else content.encode()
    return [token for token in TOKENS if token.encode() in content]
