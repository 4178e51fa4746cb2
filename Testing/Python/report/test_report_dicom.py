"""The DICOM structured report and the secondary capture: read back, valid, and of nobody unless asked."""

import builtins
import dataclasses
import shutil
import subprocess

import numpy as np
import phantoms
import pydicom
import pytest
import report_cases

from CTBMDLib.errors import CTBMDError
from CTBMDLib.levels import LevelSelection
from CTBMDLib.reading.reading import read_ct
from CTBMDLib.reading.source import check_source, source_of, source_series
from CTBMDLib.report import concepts
from CTBMDLib.report.capture import capture, write_capture
from CTBMDLib.report.earlier import EarlierCT
from CTBMDLib.report.evidence import METHOD, replaced_uid
from CTBMDLib.report.page import report_html
from CTBMDLib.report.structured import check_structured, structured_report, write_structured

pytest.importorskip("highdicom", reason="highdicom is not installed (make test sets it up)")


@pytest.fixture(scope="module")
def files(unnamed, named, tmp_path_factory):
    """{(kind, with identity): path} of all four."""
    where = tmp_path_factory.mktemp("written")
    page = np.random.default_rng(0).integers(0, 256, (31, 21, 3)).astype(np.uint8)
    out = {}
    for case in (unnamed, named):
        for kind in ("sr", "sc"):
            path = where / f"{kind}_{case.with_identity}.dcm"
            if kind == "sr":
                write_structured(case, path)
            else:
                write_capture(case, page, path)
            out[kind, case.with_identity] = path
    return out


def items(content, name=None):
    """All content items below, those of a concept's meaning where named."""
    for item in content.get("ContentSequence", []):
        concept = item.get("ConceptNameCodeSequence")
        if name is None or (concept and concept[0].CodeMeaning == name):
            yield item
        yield from items(item, name)


def number(group, concept):
    found = [
        x.MeasuredValueSequence[0]
        for x in group.ContentSequence
        if x.ValueType == "NUM" and x.ConceptNameCodeSequence[0].CodeValue == concept.value
    ]
    if not found:
        return None
    return float(found[0].NumericValue), found[0].MeasurementUnitsCodeSequence[0].CodeValue


def groups(document):
    return {
        next(iter(items(group, "Tracking Identifier"))).TextValue: group
        for group in items(document, "Measurement Group")
    }


# -- what it holds ----------------------------------------------------------------------
def test_the_report_is_a_tid_1500_in_a_comprehensive_3d_sr_that_highdicom_reads(files):
    from highdicom.sr import srread

    document = srread(files["sr", False])
    assert document.SOPClassUID == pydicom.uid.Comprehensive3DSRStorage
    assert document.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    assert (document.CompletionFlag, document.VerificationFlag) == ("PARTIAL", "UNVERIFIED")
    found = document.content.get_image_measurement_groups()
    assert [group.tracking_identifier for group in found] == ["L1", "L2", "L3", "L1-L4"]
    sites = [[site.value.value for site in group.finding_sites] for group in found]
    single = ["66794005", "14293000", "36470004"]
    assert sites == [[single[0]], [single[1]], [single[2]], single]
    assert all(group.get_measurements() for group in found)


def test_every_number_is_that_of_the_result(files, unnamed):
    document = pydicom.dcmread(files["sr", False])
    found = groups(document)
    rows = unnamed.result.rows
    assert list(found) == [row.level for row in rows]
    for row in rows:
        group = found[row.level]
        for concept, value in (
            (concepts.ABMD, row.bmd_g_cm2),
            (concepts.ABMD_LOW, row.bmd_low),
            (concepts.ABMD_HIGH, row.bmd_high),
        ):
            assert number(group, concept) == (pytest.approx(value, abs=0.00051), "g/cm2")
        assert number(group, concepts.TRABECULAR) == (
            pytest.approx(row.trabecular_hu, abs=0.051),
            "[hnsf'U]",
        )
    total = unnamed.result.total
    assert number(found["L1-L4"], concepts.T_SCORE)[0] == pytest.approx(total.t_score, abs=0.051)
    assert number(found["L1"], concepts.T_SCORE) is None  # the table has no row for it
    z = (total.bmd_g_cm2 - 0.952) / 0.142  # women of 61-70 in nhanes-hologic; the header says 63
    assert number(found["L1-L4"], concepts.Z_SCORE)[0] == pytest.approx(z, abs=0.051)


def test_a_score_names_its_reference_with_mean_and_sd(files):
    document = pydicom.dcmread(files["sr", False])
    (score,) = items(document, concepts.T_SCORE.meaning)
    inner = {x.ConceptNameCodeSequence[0].CodeMeaning: x for x in score.ContentSequence}
    mean = inner["Mean Value of population"].MeasuredValueSequence[0].NumericValue
    sd = inner["Standard deviation of population"].MeasuredValueSequence[0].NumericValue
    assert (float(mean), float(sd)) == (1.064, 0.106)
    assert "NHANES" in inner["Population Description"].TextValue
    assert "21-30" in inner["Population Description"].TextValue
    assert "PMC12995607" in inner["Reference Authority"].TextValue


def test_the_algorithm_the_limits_of_use_and_the_own_codes_are_named(files, unnamed):
    document = pydicom.dcmread(files["sr", False])
    for group in groups(document).values():
        assert next(iter(items(group, "Algorithm Version"))).TextValue == "0.0.1"
        assert "CTBMD" in next(iter(items(group, "Algorithm Name"))).TextValue
    said = [x.TextValue for x in document.ContentSequence if x.ValueType == "TEXT"]
    assert any("Research use only, not a medical device" in text for text in said)
    assert any("Hologic" in text for text in said)
    (scheme,) = document.CodingSchemeIdentificationSequence
    assert scheme.CodingSchemeDesignator == "99CTBMD"
    used = {
        x.ConceptNameCodeSequence[0].CodingSchemeDesignator
        for x in items(document)
        if "ConceptNameCodeSequence" in x
    }
    assert used <= {"DCM", "SCT", "99CTBMD"} and "LN" not in used
    told = {x.TextValue for x in items(document, "Comment")}
    assert {x.text for x in unnamed.result.findings} <= told


def test_a_level_that_is_left_out_says_so_and_why(folder, model):
    chosen = phantoms.chosen()
    chosen.include("L2", False, "cement")
    case = report_cases.case(folder, model, selection=chosen)
    row = case.result.levels[1]
    assert not row.included
    found = groups(structured_report(case))
    counts = {
        level: next(iter(items(group, "Counts in the L1-L4 mean")))
        .ConceptCodeSequence[0]
        .CodeMeaning
        for level, group in found.items()
        if level != "L1-L4"
    }
    assert counts == {"L1": "Yes", "L2": "No", "L3": "Yes"}
    if row.left_out:
        assert any(row.left_out in x.TextValue for x in items(found["L2"], "Comment"))
    sites = [x.ConceptCodeSequence[0].CodeValue for x in items(found["L1-L4"], "Finding Site")]
    assert sites == ["66794005", "36470004"]


def test_without_a_mean_there_is_no_group_of_it_and_the_reason_is_told(folder, model):
    case = report_cases.case(folder, model, selection=phantoms.chosen(("L1",)))
    document = structured_report(case)
    assert list(groups(document)) == ["L1"]
    said = [x.TextValue for x in document.ContentSequence if x.ValueType == "TEXT"]
    assert case.result.total_reason in said


def test_the_images_that_were_read_and_the_place_are_those_of_the_ct(files, named):
    document = pydicom.dcmread(files["sr", True])
    by_uid = {str(x.SOPInstanceUID): x for x in named.source.headers}
    for level, group in groups(document).items():
        if level == "L1-L4":
            continue
        referenced = [
            by_uid[x.ReferencedSOPSequence[0].ReferencedSOPInstanceUID]
            for x in items(group)
            if x.ValueType == "IMAGE"
        ]
        heights = [float(x.ImagePositionPatient[2]) for x in referenced]
        read = named.images(level).s_mm
        assert len(heights) == len(read) and np.abs(np.subtract(heights, read)).max() <= 1.5
        (point,) = (x for x in items(group) if x.ValueType == "SCOORD3D")
        r, a, s = phantoms.CENTRES[level]
        assert list(point.GraphicData) == pytest.approx([-r, -a, s])
        assert point.ReferencedFrameOfReferenceUID == f"{report_cases.ROOT}.3"


def test_a_moved_volume_is_told_in_the_coordinates_of_its_headers(named):
    matrix = np.eye(4)
    matrix[:3, 3] = 0.0, 0.0, -9.0
    moved = dataclasses.replace(named, patient_from_world=matrix)
    points = [
        [x for x in items(groups(structured_report(case))["L1"]) if x.ValueType == "SCOORD3D"][0]
        for case in (named, moved)
    ]
    assert points[1].GraphicData[2] == pytest.approx(points[0].GraphicData[2] - 9.0)


def test_of_sagittal_images_the_nearest_is_referred_to(tmp_path):
    import dicom_maker

    dicom_maker.write_series(tmp_path, orientation=dicom_maker.SAGITTAL)
    volume = read_ct(tmp_path)
    source = source_of(tmp_path, volume.series_uids)
    for header in source.headers:
        x, y, z = header.ImagePositionPatient
        point = (-float(x) + 1.0, -float(y) - 5.0, float(z) - 9.0)
        assert source.nearest(point) is header
    assert source.nearest((500.0, 0.0, 0.0)) is None


# -- the change since an earlier CT -------------------------------------------------------
def with_earlier(case, folder, tmp_path, study, source=True, **changed):
    """The case with an earlier CT of which two images are left, in a study of its number."""
    headers = []
    for number, path in enumerate(sorted(folder.iterdir())[:2]):
        data = pydicom.dcmread(path)
        data.StudyInstanceUID = f"{report_cases.ROOT}.{study}"
        data.SeriesInstanceUID = f"{report_cases.ROOT}.{study}.7"
        data.SOPInstanceUID = f"{report_cases.ROOT}.{study}.8.{number}"
        data.save_as(tmp_path / f"{study}_{number}.dcm")
        headers.append(tmp_path / f"{study}_{number}.dcm")
    told = {
        "words": "-0.034 g/cm2 (-4.1 %) in 400 days: changed.",
        "levels": ("L1", "L2"),
        "before": 0.83,
        "after": 0.796,
        "warnings": ("The kernel differs",),
        "days": 400,
        "least_significant_change": 0.0277,
        "verdict": "changed",
        "source": source_series(headers, None) if source else None,
        **changed,
    }
    return dataclasses.replace(case, earlier=EarlierCT(**told))


def test_the_change_since_an_earlier_ct_is_a_group_of_its_own(named, folder, tmp_path):
    from highdicom.sr import srread

    path = tmp_path / "sr.dcm"
    write_structured(with_earlier(named, folder, tmp_path, 50, called="CT 2019"), path)
    document = srread(path)
    last = document.content.get_image_measurement_groups()[-1]
    assert last.tracking_identifier == "Change since an earlier CT"
    assert [x.value.value for x in last.finding_sites] == ["66794005", "14293000"]
    group = groups(document)["Change since an earlier CT"]
    assert number(group, concepts.CHANGE) == (-0.034, "g/cm2")
    assert number(group, concepts.CHANGE_PERCENT) == (-4.1, "%")
    assert number(group, concepts.ABMD_EARLIER) == (0.83, "g/cm2")
    assert number(group, concepts.ABMD_LATER) == (0.796, "g/cm2")
    assert number(group, concepts.LEAST_SIGNIFICANT_CHANGE) == (0.028, "g/cm2")
    assert number(group, concepts.INTERVAL) == (400, "d")
    (verdict,) = items(group, concepts.VERDICT.meaning)
    assert verdict.ConceptCodeSequence[0].CodeMeaning == "Changed"
    (series,) = items(group, concepts.EARLIER_SERIES.meaning)
    assert f"{report_cases.ROOT}.50.7" == series.UID
    said = [x.TextValue for x in items(group, "Comment")]
    assert said[0] == "The earlier CT: CT 2019" and "warning: The kernel differs." in said
    # Its images are another study's: beside those of this CT, not among them.
    (own,) = document.CurrentRequestedProcedureEvidenceSequence
    (other,) = document.PertinentOtherEvidenceSequence
    assert (own.StudyInstanceUID, other.StudyInstanceUID) == tuple(
        f"{report_cases.ROOT}.{n}" for n in (1, 50)
    )
    (series,) = other.ReferencedSeriesSequence
    told = [x.ReferencedSOPInstanceUID for x in series.ReferencedSOPSequence]
    assert told == [f"{report_cases.ROOT}.50.8.{n}" for n in (0, 1)]
    assert document.StudyInstanceUID == own.StudyInstanceUID


def test_an_earlier_ct_of_the_same_study_is_its_own_evidence(named, folder, tmp_path):
    document = structured_report(with_earlier(named, folder, tmp_path, 1))
    (own,) = document.CurrentRequestedProcedureEvidenceSequence
    assert len(own.ReferencedSeriesSequence) == 2
    assert "PertinentOtherEvidenceSequence" not in document


def test_without_identity_an_earlier_ct_is_told_by_replaced_uids_alone(unnamed, folder, tmp_path):
    path = write_structured(with_earlier(unnamed, folder, tmp_path, 50), tmp_path / "sr.dcm")
    assert report_cases.told(path.read_bytes()) == []
    (series,) = items(pydicom.dcmread(path), concepts.EARLIER_SERIES.meaning)
    assert replaced_uid(f"{report_cases.ROOT}.50.7") == series.UID


def test_what_is_unknown_of_an_earlier_ct_is_left_out(unnamed, folder, tmp_path):
    unknown = {"days": None, "least_significant_change": None, "verdict": "unknown"}
    none = {"before": None, "after": None, "levels": ("L1",), **unknown}
    case = with_earlier(unnamed, folder, tmp_path, 50, source=False, **none)
    group = groups(structured_report(case))["Change since an earlier CT"]
    assert not [x for x in group.ContentSequence if x.ValueType == "NUM"]
    assert not list(items(group, concepts.EARLIER_SERIES.meaning))
    (why,) = [x.TextValue for x in items(group, "Comment") if "no DICOM headers" in x.TextValue]
    assert "another patient" in why


# -- whom it names ----------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["sr", "sc"])
def test_without_identity_nothing_of_patient_study_or_images_is_told(files, unnamed, kind):
    assert report_cases.told(files[kind, False].read_bytes()) == []
    data = pydicom.dcmread(files[kind, False])
    assert data.PatientIdentityRemoved == "YES" and data.DeidentificationMethod == METHOD
    assert data.PatientID == data.PatientName and str(data.PatientID).startswith("CTBMD-")
    for name in ("PatientBirthDate", "StudyDate", "StudyTime", "StudyID", "AccessionNumber"):
        assert not data[name].value
    assert (data.PatientSex, data.PatientAge) == ("F", "063Y")  # needed to read a T-score
    assert data.StudyInstanceUID == replaced_uid(f"{report_cases.ROOT}.1")
    assert unnamed.name == "case 1"


@pytest.mark.parametrize("kind", ["sr", "sc"])
def test_with_identity_it_is_filed_beside_its_ct(files, named, kind):
    data = pydicom.dcmread(files[kind, True])
    assert str(data.PatientName) == "PLANTEDname^Ada" and data.PatientID == "PLANTEDid"
    for name in ("PatientBirthDate", "StudyDate", "StudyTime", "AccessionNumber"):
        assert data[name].value == report_cases.IDENTITY[name]
    assert data.StudyInstanceUID == f"{report_cases.ROOT}.1"
    assert data.SeriesInstanceUID != f"{report_cases.ROOT}.2"
    assert "PatientIdentityRemoved" not in data
    if kind == "sr":
        (study,) = data.CurrentRequestedProcedureEvidenceSequence
        (series,) = study.ReferencedSeriesSequence
        told = [x.ReferencedSOPInstanceUID for x in series.ReferencedSOPSequence]
        assert series.SeriesInstanceUID == f"{report_cases.ROOT}.2"
    else:
        told = [x.ReferencedSOPInstanceUID for x in data.SourceImageSequence]
        assert data.BurnedInAnnotation == "YES"
    assert sorted(told) == sorted(str(x.SOPInstanceUID) for x in named.source.headers)


def another(case, folder, tmp_path, **tags):
    """The case with the first of its files for a source, some of its tags changed."""
    data = pydicom.dcmread(sorted(folder.iterdir())[0])
    for name, value in tags.items():
        if value is None:
            delattr(data, name)
        else:
            setattr(data, name, value)
    data.save_as(tmp_path / "other.dcm")
    source = source_series([tmp_path / "other.dcm"], [data.SeriesInstanceUID])
    return dataclasses.replace(case, source=source)


def test_reports_of_one_ct_lie_together_and_two_persons_apart(files, folder, unnamed, tmp_path):
    sr, sc = (pydicom.dcmread(files[kind, False]) for kind in ("sr", "sc"))
    assert sr.StudyInstanceUID == sc.StudyInstanceUID and sr.PatientID == sc.PatientID
    assert sr.SeriesInstanceUID != sc.SeriesInstanceUID
    other = another(unnamed, folder, tmp_path, StudyInstanceUID=f"{report_cases.ROOT}.77")
    data = structured_report(other)
    assert data.PatientID != sr.PatientID and data.StudyInstanceUID != sr.StudyInstanceUID


def test_a_name_that_was_given_for_the_case_is_its_patient(unnamed):
    result = unnamed.result
    rows = [dataclasses.replace(row, case="trial 7") for row in result.levels]
    data = structured_report(
        dataclasses.replace(unnamed, result=dataclasses.replace(result, levels=rows))
    )
    assert data.PatientID == "trial 7" and report_cases.told(str(data)) == []


@pytest.mark.parametrize("name", ["Ärzte^Zoë", "Yamada^Tarou=山田^太郎=やまだ^たろう"])
def test_names_of_any_alphabet_are_kept_whole(named, folder, tmp_path, name):
    tags = {"SpecificCharacterSet": "ISO_IR 192", "PatientName": name}
    path = write_structured(another(named, folder, tmp_path, **tags), tmp_path / "a.dcm")
    assert str(pydicom.dcmread(path).PatientName) == name


@pytest.mark.parametrize(
    "tags",
    [
        {"PatientBirthDate": "1951-02-03", "StudyDate": "in May", "StudyTime": "noon"},
        {"AccessionNumber": "A" * 40, "StudyID": "S" * 40, "PatientSex": "female"},
        {"PatientName": "A" * 200, "PatientID": "P" * 200, "PatientAge": "63"},
        {"SOPInstanceUID": "1.2.03.0004", "FrameOfReferenceUID": "no UID"},
        {"StudyInstanceUID": "1.2..3", "ReferringPhysicianName": "=" * 9},
        {
            "ImagePositionPatient": None,
            "ImageOrientationPatient": None,
            "FrameOfReferenceUID": None,
        },
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_headers_that_break_the_rules_give_a_report_or_one_sentence(
    named, unnamed, folder, tmp_path, tags
):
    page = np.zeros((4, 4, 3), np.uint8)
    for number, good in enumerate((named, unnamed)):
        case = another(good, folder, tmp_path, **tags)
        for write in (write_structured, lambda case, path: write_capture(case, page, path)):
            path = tmp_path / f"{number}_{write.__name__}.dcm"
            try:
                write(case, path)
            except CTBMDError as error:
                assert error.code == "dicom-source" and not path.exists()
            else:
                assert pydicom.dcmread(path).PatientID is not None


def test_files_that_cannot_be_read_and_copies_are_passed_over(folder, tmp_path):
    first = sorted(folder.iterdir())[0]
    (tmp_path / "cut.dcm").write_bytes(first.read_bytes()[:300])
    (tmp_path / "notes.txt").write_text("no DICOM")
    shutil.copy(first, tmp_path / "copy.dcm")
    paths = [tmp_path / "absent.dcm", *sorted(tmp_path.iterdir()), first]
    assert len(source_series(paths, [f"{report_cases.ROOT}.2"]).headers) == 1
    assert source_series(paths, [f"{report_cases.ROOT}.8"]) is None


def test_a_scan_joined_from_several_series_refers_to_all_of_them(folder, model, tmp_path):
    """Every third image lies in another series: which one an image is of is what is referred to."""
    files = sorted(folder.iterdir())
    where, parts = tmp_path / "scan", [f"{report_cases.ROOT}.2{n}" for n in range(3)]
    where.mkdir()
    expected = {uid: set() for uid in parts}
    for number, path in enumerate(files):
        data = pydicom.dcmread(path)
        data.SeriesInstanceUID, data.SeriesNumber = parts[number % 3], str(1 + number % 3)
        data.KVP, data.ConvolutionKernel = "120", "B30f"
        expected[parts[number % 3]].add(str(data.SOPInstanceUID))
        data.save_as(where / path.name)
    case = report_cases.case(where, model, with_identity=True)
    assert set(case.volume.series_uids) == set(parts) and len(case.volume.hu) == len(files)
    case = dataclasses.replace(case, with_identity=True)
    document = structured_report(case)
    (study,) = document.CurrentRequestedProcedureEvidenceSequence
    told = {
        str(x.SeriesInstanceUID): {str(y.ReferencedSOPInstanceUID) for y in x.ReferencedSOPSequence}
        for x in study.ReferencedSeriesSequence
    }
    assert told == expected
    for level, group in groups(document).items():
        images = [x for x in items(group) if x.ValueType == "IMAGE"]
        assert len(images) == (0 if level == "L1-L4" else len(case.images(level).s_mm))
    picture = capture(case, np.zeros((4, 4, 3), np.uint8))
    assert len(picture.SourceImageSequence) == len(files)
    for uid in parts:
        assert uid in report_html(case)
    bare = structured_report(dataclasses.replace(case, with_identity=False))
    assert len(bare.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence) == 3
    assert not any(uid in str(bare) for uid in parts)
    # A file of another study is not the CT's, whatever is asked for.
    other = pydicom.dcmread(files[0])
    other.StudyInstanceUID, other.SOPInstanceUID = "1.2.3", "1.2.4"
    other.save_as(where / "z_other.dcm")
    again = source_series(sorted(where.iterdir()), None)
    assert len(again.headers) == len(files)


# -- whether it is valid ----------------------------------------------------------------
def test_the_capture_is_the_page_pixel_by_pixel(files):
    data = pydicom.dcmread(files["sc", False])
    page = np.random.default_rng(0).integers(0, 256, (31, 21, 3)).astype(np.uint8)
    assert np.array_equal(data.pixel_array, page)
    assert data.SOPClassUID == pydicom.uid.SecondaryCaptureImageStorage
    assert (data.Modality, data.ConversionType, data.BurnedInAnnotation) == ("OT", "WSD", "NO")
    assert "research use only" in data.DerivationDescription


def test_every_value_keeps_the_rules_of_its_kind(files):
    """Pydicom's own check, for machines without dciodvfy."""
    from pydicom import config

    before = config.settings.writing_validation_mode, config.settings.reading_validation_mode
    config.settings.reading_validation_mode = config.RAISE
    try:
        for path in files.values():
            for element in pydicom.dcmread(path).iterall():
                assert element.VR
                str(element.value)
    finally:
        config.settings.writing_validation_mode, config.settings.reading_validation_mode = before
    for path in files.values():
        data = pydicom.dcmread(path)
        assert data.file_meta.MediaStorageSOPInstanceUID == data.SOPInstanceUID
        for name in (
            *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID"),
            *("StudyDate", "StudyTime", "ReferringPhysicianName", "StudyID", "AccessionNumber"),
            *("Modality", "SeriesInstanceUID", "SeriesNumber", "Manufacturer", "InstanceNumber"),
        ):
            assert name in data, name


def test_dciodvfy_finds_no_error(files, unnamed, folder, tmp_path):
    program = shutil.which("dciodvfy")
    if program is None:
        pytest.skip("dciodvfy is not installed (package dicom3tools)")
    later = write_structured(with_earlier(unnamed, folder, tmp_path, 50), tmp_path / "later.dcm")
    for path in (*files.values(), later):
        done = subprocess.run(
            [program, "-new", str(path)], capture_output=True, text=True, check=False
        )
        lines = (done.stdout + done.stderr).split("\n")
        assert [line for line in lines if line.startswith("Error")] == []
        assert any(line in ("Comprehensive3DSR", "SCImage") for line in lines), "it was looked at"


# -- what is refused --------------------------------------------------------------------
def test_without_dicom_files_one_sentence_says_so(unnamed, tmp_path):
    bare = dataclasses.replace(unnamed, source=None)
    with pytest.raises(CTBMDError, match="did not come from any") as caught:
        write_structured(bare, tmp_path / "a.dcm")
    assert caught.value.code == "no-dicom-source" and not list(tmp_path.iterdir())
    with pytest.raises(CTBMDError, match="did not come from any"):
        capture(bare, np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(CTBMDError, match="did not come from any"):
        check_source("scan.nii.gz")
    check_source("folder")


def test_without_highdicom_one_sentence_says_so(unnamed, tmp_path, monkeypatch):
    real = builtins.__import__

    def absent(name, *args, **more):
        if name.startswith("highdicom"):
            raise ImportError(name)
        return real(name, *args, **more)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(CTBMDError, match="needs the Python package highdicom") as caught:
        write_structured(unnamed, tmp_path / "a.dcm")
    assert caught.value.code == "no-highdicom"
    page = np.zeros((4, 4, 3), np.uint8)
    assert write_capture(unnamed, page, tmp_path / "b.dcm").is_file()  # needs pydicom only


def test_an_existing_file_and_another_ending_are_refused(unnamed, files, tmp_path):
    before = files["sr", False].read_bytes()
    with pytest.raises(CTBMDError, match="exists already"):
        write_structured(unnamed, files["sr", False])
    assert files["sr", False].read_bytes() == before
    with pytest.raises(CTBMDError, match="must end in .dcm"):
        check_structured(tmp_path / "a.html")


def test_a_page_that_is_no_picture_is_refused(unnamed):
    with pytest.raises(ValueError, match="uint8"):
        capture(unnamed, np.zeros((4, 4, 3)))


def test_levels_of_another_estimate_are_refused(unnamed):
    with pytest.raises(CTBMDError, match="estimate again"):
        dataclasses.replace(unnamed, selection=LevelSelection())
