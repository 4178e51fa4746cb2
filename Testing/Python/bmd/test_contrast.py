"""Contrast agent: what the agent's tag and the series description say, each and together."""

from __future__ import annotations

import pytest
from phantoms import phantom

from CTBMDLib.bmd import quality
from CTBMDLib.bmd.contrast import check_contrast, described, phase_of, says_none, stated_agent
from CTBMDLib.volume import Acquisition

NONE = (
    "NONE", "None", "none given", "no", "No", "NO CONTRAST", "no IV contrast", "No contrast agent",
    "W/O", "w/o", "W/O IV", "WO", "without", "Without contrast", "0", "0 ml", "0.0", "N", "n", "NIL",
    "NULL", "FALSE", "non-contrast", "non contrast", "NONCONTRAST", "unenhanced", "native", "nativ",
    "ohne", "ohne KM", "kein KM", "sans injection", "sin contraste", "plain", "NEGATIVE", "C-",
    "Contrast: none", "KM: nein", "no oral, no iv", "No oral and no IV contrast", "W\\O",
)  # fmt: skip
SILENT = ("--", "-", "...", "N/A", "n.a.", "unknown", "UNK", "not available", "?", "/")
GIVEN = (
    "Iohexol", "Iohexol 350", "Omnipaque 300", "ULTRAVIST", "IV", "oral & iv", "Yes", "CONTRAST",
    "APPLIED", "Isovue-370 100ml", "no oral, Omnipaque 350", "W/O oral; IV Visipaque", "non-ionic",
    "Nonionic iodinated", "Non ionic 100 cc", "1", "100 ml", "Xenetix", "Natrium amidotrizoat",
    "Imeron 400", "Optiray", "X", "no reaction to Ultravist",
)  # fmt: skip


def codes(**facts):
    return [x.code for x in quality.check_volume(phantom(kvp=120.0, **facts))]


@pytest.mark.parametrize("agent", NONE)
def test_none_is_no_agent(agent):
    assert says_none(agent)
    assert stated_agent(Acquisition(contrast_agent=agent)) is None
    assert codes(contrast_agent=agent) == []


@pytest.mark.parametrize("agent", SILENT)
def test_what_tells_nothing_is_no_agent_and_no_denial(agent):
    assert not says_none(agent)
    assert codes(contrast_agent=agent) == []
    assert codes(contrast_agent=agent, series_description="portal") == ["contrast"]


@pytest.mark.parametrize("agent", GIVEN)
def test_agents_are_agents(agent):
    assert not says_none(agent)
    (found,) = quality.check_volume(phantom(kvp=120.0, contrast_agent=agent))
    assert found.code == "contrast" and agent in found.text and found.severity == "warning"


@pytest.mark.parametrize(
    ("description", "word"),
    [
        ("ABD PORTAL VENOUS 3.0", "portal venous"),
        ("Portalvenös 5.0 B30f", "portalvenös"),
        ("venous phase", "venous phase"),
        ("Abdomen_arteriell", "arteriell"),
        ("ARTERIAL", "arterial"),
        ("LIVER ART 2.5", "art"),
        ("CE 5mm", "ce"),
        ("CECT", "cect"),
        ("CTA aorta", "cta"),
        ("Abd/Pel w/ contrast", "w contrast"),
        ("A/P WITH IV CONTRAST", "with iv contrast"),
        ("C+ 5.0", "c+"),
        ("post contrast", "post contrast"),
        ("delayed 10 min", "delayed"),
        ("nephrographic", "nephrographic"),
        ("Abdomen mit KM", "mit km"),
        ("enhanced", "enhanced"),
    ],
)
def test_descriptions_that_tell_of_contrast(description, word):
    assert described(description) == (word, False)
    (found,) = quality.check_volume(phantom(kvp=120.0, series_description=description))
    assert found.code == "contrast" and f"'{word}'" in found.text
    both = Acquisition(series_description=description, contrast_agent="Iohexol")
    (found,) = check_contrast(both)
    assert found.code == "contrast" and "Iohexol" in found.text and word in found.text
    denied = Acquisition(series_description=description, contrast_agent="NONE")
    (found,) = check_contrast(denied)
    assert found.code == "contrast-contradicts" and word in found.text


@pytest.mark.parametrize(
    "description",
    [
        "ABD W/O", "Abd w/o contrast", "A/P WITHOUT IV CONTRAST", "non-contrast 5 mm", "NONCON",
        "nativ 5.0 B30f", "Native", "unenhanced", "ohne KM", "sans injection", "pre contrast",
        "no contrast", "NCCT", "PRE-CON", "C- 5.0", "without oral or iv contrast", "ABD WO CON",
    ],
)  # fmt: skip
def test_descriptions_that_deny_contrast(description):
    assert described(description) == (None, True)
    assert codes(series_description=description) == []
    assert codes(series_description=description, contrast_agent="W/O") == []
    stated = codes(series_description=description, contrast_agent="Iohexol")
    assert stated == ["contrast-contradicts"]


@pytest.mark.parametrize(
    "description",
    [
        None, "", "PET-CT SERIES", ",,,2.0,", "AX 5mm STD", "ABD PEL W/WO", "with and w/o contrast",
        "pre/post contrast", "Thorax Abdomen 1.0 B31f", "Bone Plus", "CT Abdomen", "AXIAL PLAN",
        "Cardiac", "Lumbar spine", "Scapula", "Ventral hernia", "Coronary arteries",
        "5.0 Br40 S3", "PORTABLE", "CECUM",
    ],
)  # fmt: skip
def test_descriptions_that_say_nothing(description):
    assert described(description) == (None, False)
    assert codes(series_description=description) == []
    assert codes(series_description=description, contrast_agent="Iohexol") == ["contrast"]


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({"contrast_agent": "Ultravist for Zwiebel"}, "contrast"),
        ({"contrast_agent": "Ultravist", "series_description": "portalzwiebel"}, "contrast"),
        ({"series_description": "portalzwiebel venous"}, "contrast"),
        ({"contrast_agent": "Zwiebel", "series_description": "native"}, "contrast-contradicts"),
        ({"contrast_agent": "none", "series_description": "portalzwiebel"}, "contrast-contradicts"),
    ],
)
def test_free_text_is_repeated_only_where_it_may_be(facts, code):
    (quoted,), (plain,) = (check_contrast(Acquisition(**facts), quote) for quote in (True, False))
    assert quoted.code == plain.code == code
    assert "zwiebel" in quoted.text.lower() and "zwiebel" not in plain.text.lower()
    assert plain.text.endswith("may be too high.") and "ontrast" in plain.text


@pytest.mark.parametrize(
    ("hu", "phase"),
    [(130, "portal"), (160, "portal"), (219, "portal"), (220, "arterial"), (330, "arterial")],
)
def test_the_phase_is_told_by_the_vessels(hu, phase):
    assert phase in phase_of(hu)


def test_how_much_contrast_adds_is_said():
    (found,) = check_contrast(Acquisition(contrast_agent="Iohexol"))
    assert "11 to 26" in found.text
