"""The codes of a structured report: DICOM's and SNOMED's where they have one, CTBMD's own elsewhere.

Neither DICOM nor SNOMED has a code for what CTBMD estimates, and LOINC's codes of bone
density (24966-4, 38267-1, 85394-5) are those of a DXA, which this is not. CTBMD's own codes
are listed here and nowhere else; the scheme is named in the file itself.
"""

from __future__ import annotations

from typing import NamedTuple

SCHEME = "99CTBMD"
SCHEME_NAME = "CTBMD private concepts"
SCHEME_VERSION = "1"
ORGANIZATION = "CTBMD developers"


class Concept(NamedTuple):
    """A code: its value, the scheme that it is of, and what it means."""

    value: str
    scheme: str
    meaning: str


VERTEBRAE = {
    "L1": Concept("66794005", "SCT", "L1 vertebra"),
    "L2": Concept("14293000", "SCT", "L2 vertebra"),
    "L3": Concept("36470004", "SCT", "L3 vertebra"),
    "L4": Concept("11994002", "SCT", "L4 vertebra"),
    "L5": Concept("49668003", "SCT", "L5 vertebra"),
}
"""CID 7603 of DICOM PS3.16."""

CT = Concept("77477000", "SCT", "Computed tomography")
MEAN = Concept("373098007", "SCT", "Mean")
POPULATION_MEAN = Concept("373098007", "SCT", "Mean Value of population")
POPULATION_SD = Concept("121414", "DCM", "Standard deviation of population")
YES = Concept("373066001", "SCT", "Yes")
NO = Concept("373067005", "SCT", "No")
COMMENT = Concept("121106", "DCM", "Comment")
Z_SCORE = Concept("121416", "DCM", "Z-Score of measurement")

ABMD = Concept("ABMD", SCHEME, "CT-estimated DXA-equivalent areal BMD")
ABMD_LOW = Concept("ABMD-LOW", SCHEME, "Lower limit of the 90 % interval of the areal BMD")
ABMD_HIGH = Concept("ABMD-HIGH", SCHEME, "Upper limit of the 90 % interval of the areal BMD")
T_SCORE = Concept("TSCORE", SCHEME, "T-score of the CT-estimated areal BMD")
TRABECULAR = Concept("TRABHU", SCHEME, "Mean attenuation of trabecular bone in the body")
IN_MEAN = Concept("INMEAN", SCHEME, "Counts in the L1-L4 mean")
DXA_SCALE = Concept("DXASCALE", SCHEME, "DXA device whose g/cm2 the value is in")
DXA_DEVICES = {
    "hologic": Concept("HOLOGIC", SCHEME, "Hologic"),
    "lunar": Concept("LUNAR", SCHEME, "GE Lunar"),
}

CHANGE = Concept("CHANGE", SCHEME, "Change of the areal BMD since the earlier CT")
CHANGE_PERCENT = Concept("CHANGE-PERCENT", SCHEME, "Change in per cent of the earlier areal BMD")
ABMD_EARLIER = Concept("ABMD-EARLIER", SCHEME, "Areal BMD of the earlier CT")
ABMD_LATER = Concept("ABMD-LATER", SCHEME, "Areal BMD of this CT, of the levels of the earlier CT")
INTERVAL = Concept("INTERVAL", SCHEME, "Time since the earlier CT")
LEAST_SIGNIFICANT_CHANGE = Concept(
    "LSC", SCHEME, "Least significant change of the areal BMD, 95 % confidence"
)
EARLIER_SERIES = Concept("EARLIER-SERIES", SCHEME, "Series of the earlier CT")
VERDICT = Concept("VERDICT", SCHEME, "Change against the least significant change")
VERDICTS = {
    "changed": Concept("CHANGED", SCHEME, "Changed"),
    "not distinguishable": Concept("NOT-DISTINGUISHABLE", SCHEME, "Not distinguishable"),
    "unknown": Concept("UNKNOWN", SCHEME, "Unknown"),
}

DAY = Concept("d", "UCUM", "day")
PERCENT = Concept("%", "UCUM", "percent")
G_CM2 = Concept("g/cm2", "UCUM", "gram per square centimeter")
HU = Concept("[hnsf'U]", "UCUM", "Hounsfield unit")
NO_UNIT = Concept("1", "UCUM", "no units")
