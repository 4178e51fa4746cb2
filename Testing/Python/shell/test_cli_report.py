"""`ctbmd estimate --report --sr`: a page and a DICOM report beside the table, and what is refused before the work."""

import phantoms
import pydicom
import pytest
import report_cases

from CTBMDLib import cli

pytest.importorskip("highdicom", reason="highdicom is not installed (make test sets it up)")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """What every run is given: the CT, its levels and an untrained bundle."""
    where = tmp_path_factory.mktemp("shell")
    folder = report_cases.write(where)
    phantoms.bundle(where / "bundle")
    levels = where / "levels.json"
    levels.write_text(phantoms.chosen().to_json())
    return ["estimate", str(folder), "--levels", str(levels), "--model", str(where / "bundle")]


@pytest.mark.parametrize("named", [False, True])
def test_both_are_written_and_name_nobody_unless_asked(inputs, tmp_path, capsys, named):
    page, report = tmp_path / "a.html", tmp_path / "a.dcm"
    more = ["--with-identity"] if named else []
    assert cli.main([*inputs, "--report", str(page), "--sr", str(report), *more]) == 0
    said = capsys.readouterr().out
    assert f"Written: {page}" in said and f"Written: {report}" in said
    assert ("PLANTEDname Ada" in page.read_text()) == named
    assert bool(report_cases.told(report.read_bytes())) == named
    data = pydicom.dcmread(report)
    assert (str(data.PatientName) == "PLANTEDname^Ada") == named
    assert data.SOPClassUID == pydicom.uid.Comprehensive3DSRStorage


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["--report", "a.pdf"], "'a.pdf' must end in .html."),
        (["--sr", "a.txt"], "'a.txt' must end in .dcm."),
        (["--report", "absent/a.html"], "could not be written"),
    ],
)
def test_what_cannot_be_written_is_refused_before_the_ct_is_read(
    tmp_path, monkeypatch, capsys, given, sentence
):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["estimate", "no-such-folder", *given]) == 2
    said = capsys.readouterr()
    assert sentence in said.err and said.err.count("\n") == 1 and not said.out
    assert list(tmp_path.iterdir()) == []


def test_a_nifti_has_no_dicom_report(tmp_path, capsys):
    report = tmp_path / "a.dcm"
    assert cli.main(["estimate", "scan.nii.gz", "--sr", str(report)]) == 2
    assert "did not come from any" in capsys.readouterr().err


def test_an_existing_report_needs_overwrite(inputs, tmp_path, capsys):
    page = tmp_path / "a.html"
    page.write_text("keep")
    assert cli.main([*inputs, "--report", str(page)]) == 2
    assert "--overwrite" in capsys.readouterr().err and page.read_text() == "keep"
