"""The panel's exports with the mouse: the page, PDF and DICOM, the patient's identity, the database."""

import gui_helpers as gui
import numpy as np
import phantoms
import pydicom
import pytest
import report_cases

gui.start()

import slicer  # noqa: E402

from CTBMDLib.levels import LevelSelection  # noqa: E402
from CTBMDLib.reading.reading import read_ct  # noqa: E402

pytest.importorskip("highdicom", reason="highdicom is not installed (make test sets it up)")

PATIENCE_S = 300
ENDINGS = {
    "Table, comma": "a.csv",
    "Table, semicolons": "b.csv",
    "Table, tab": "a.tsv",
    "JSON": "a.json",
    "plain text": "a.txt",
    "HTML": "a.html",
    "PDF": "a.pdf",
    "structured report": "sr.dcm",
    "secondary capture": "sc.dcm",
}


class Database:
    """What the panel asks of Slicer's DICOM database."""

    def __init__(self, folder):
        self.isOpen = True
        files = sorted(folder.glob("*.dcm"))
        headers = [pydicom.dcmread(x, stop_before_pixels=True) for x in files]
        self.files = {str(x.SOPInstanceUID): str(f) for x, f in zip(headers, files, strict=True)}
        self.inserted, self.displayed, self.takes = [], 0, True

    def fileForInstance(self, uid):
        return self.files.get(uid, "")

    def insert(self, path):
        """As CTK's: where it does not take a file it logs that and raises nothing."""
        self.inserted.append(path)
        if self.takes:
            self.files[str(pydicom.dcmread(path).SOPInstanceUID)] = path

    def updateDisplayedFields(self):
        self.displayed = len(self.inserted)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return report_cases.write(tmp_path_factory.mktemp("dicom"))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle") / "untrained"
    phantoms.bundle(folder)
    return str(folder)


@pytest.fixture(scope="module")
def database(folder):
    database = Database(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slicer, "dicomDatabase", database, raising=False)
        yield database


@pytest.fixture(scope="module")
def estimated(folder, model, database):
    """The panel with the DICOM phantom, three levels and a result, once for all tests."""
    with gui.opened_panel(model) as panel:
        prepare(panel, folder, database)
        yield panel


def prepare(panel, folder, database):
    volume = read_ct(folder)
    node = slicer.util.addVolumeFromArray(volume.hu, volume.ijk_to_ras, report_cases.FOLDER)
    node.SetAttribute("DICOM.instanceUIDs", " ".join(database.files))
    panel.parameterNode.inputVolume = node
    gui.process()
    panel.controller.replace(LevelSelection.from_json(phantoms.chosen().to_json()))
    gui.choose(panel.ui.referenceCombo, gui.raw(panel.ui.referenceCombo).itemText(1))
    gui.click(panel.ui.estimateButton)
    gui.wait_until(lambda: not panel.runner.busy, PATIENCE_S, "the estimate")
    assert panel.result is not None, panel.lastError


@pytest.fixture
def panel(estimated, database):
    """The panel with both boxes off, the first format chosen and the database open."""
    database.inserted, database.isOpen = [], True
    with gui.no_slot_errors():
        yield estimated
        for box in (estimated.ui.identityCheckBox, estimated.ui.databaseCheckBox):
            gui.raw(box).setChecked(False)
        first = gui.raw(estimated.ui.exportFormatCombo).itemText(0)
        gui.choose(estimated.ui.exportFormatCombo, first)
        gui.process()


def choose(panel, words):
    combo = gui.raw(panel.ui.exportFormatCombo)
    (text,) = (combo.itemText(i) for i in range(combo.count()) if words in combo.itemText(i))
    gui.choose(panel.ui.exportFormatCombo, text)


def export(panel, path, *answers):
    with gui.answering(str(path), *answers) as shown:
        gui.click(panel.ui.exportButton)
    return shown


def test_every_format_names_nobody_until_that_is_asked_for(panel, tmp_path):
    from PySide6 import QtWidgets

    assert not gui.raw(panel.ui.identityCheckBox).isChecked()
    for named in (False, True):
        where = tmp_path / str(named)
        where.mkdir()
        if named:
            gui.click(panel.ui.identityCheckBox)
        for words, name in ENDINGS.items():
            choose(panel, words)
            export(panel, where / name)
        content = {path.name: path.read_bytes() for path in where.iterdir()}
        assert len(content) == len(ENDINGS), content.keys()
        gui.click(panel.ui.copyButton)
        content["clipboard"] = QtWidgets.QApplication.clipboard().text().encode()
        content.pop("a.pdf")  # packed: what it is drawn from is the page, and that is read
        for name, data in content.items():
            assert ("PLANTED" in report_cases.told(data)) == named, (name, named)
            assert named or report_cases.told(data) == [], name
    sr = pydicom.dcmread(tmp_path / "True" / "sr.dcm")
    assert str(sr.PatientName) == "PLANTEDname^Ada"
    assert sr.StudyInstanceUID == f"{report_cases.ROOT}.1"


def test_decimal_commas_where_the_computer_has_them(panel, tmp_path, monkeypatch):
    import qt
    from CTBMDPanel import exporting

    choose(panel, "Table, semicolons")
    export(panel, tmp_path / "a.csv")
    rows = [x.split(";") for x in (tmp_path / "a.csv").read_text("utf-8-sig").splitlines()]
    column = rows[0].index("bmd_g_cm2")
    values = [f"{row.bmd_g_cm2:.3f}".replace(".", ",") for row in panel.result.rows]
    assert [row[column] for row in rows[1:]] == values
    assert not exporting.decimalComma() and values[0] not in exporting.clipboardText(panel.result)
    german = qt.QLocale("de_DE")
    monkeypatch.setattr(qt.QLocale._pyside_class, "system", lambda: gui.raw(german))
    # Slicer sets Qt's own locale to that of C in every country, and so does EmbeddedSlicer.
    assert qt.QLocale().toString(1.5) == "1.5"
    assert exporting.decimalComma() and values[0] in exporting.clipboardText(panel.result)
    choose(panel, "JSON")
    export(panel, tmp_path / "b.csv")  # the ending that is typed means the computer's own
    assert (tmp_path / "b.csv").read_text("utf-8") == (tmp_path / "a.csv").read_text("utf-8")
    choose(panel, "Table, comma")
    export(panel, tmp_path / "c.csv")
    assert values[0] not in (tmp_path / "c.csv").read_text("utf-8")
    choose(panel, "Table, tab")
    export(panel, tmp_path / "c.tsv")
    assert (tmp_path / "c.tsv").read_text("utf-8-sig") == exporting.clipboardText(panel.result)
    monkeypatch.undo()  # where the computer has points, the two have them as well
    export(panel, tmp_path / "d.tsv")
    assert (tmp_path / "d.tsv").read_text("utf-8-sig") == exporting.clipboardText(panel.result)
    assert values[0] not in exporting.clipboardText(panel.result)


def test_the_pdf_is_one_page_and_the_picture_is_that_page(panel, tmp_path):
    choose(panel, "PDF")
    export(panel, tmp_path / "a.pdf")
    content = (tmp_path / "a.pdf").read_bytes()
    assert content.startswith(b"%PDF") and content.count(b"/Type /Page\n") == 1
    choose(panel, "secondary capture")
    export(panel, tmp_path / "a.dcm")
    seen = pydicom.dcmread(tmp_path / "a.dcm").pixel_array
    rows, columns = seen.shape[:2]
    assert rows / columns == pytest.approx(297 / 210, abs=0.01)
    ink = (seen.min(axis=2) < 200).mean(axis=1)
    used = np.flatnonzero(ink > 0)
    assert used[0] > 0.03 * rows and used[-1] < 0.97 * rows  # margins, and nothing cut off
    assert used[-1] > 0.8 * rows


def test_a_page_too_long_for_one_is_made_smaller_and_then_goes_on(estimated):
    from CTBMDPanel import reporting

    def pages(lines):
        page = f"<p style='font-size:12px'>{'A line.<br>' * lines}</p>"
        rows = reporting.pagePixels(page).shape[0] / reporting.pagePixels("x").shape[0]
        return reporting.pdfBytes(page).count(b"/Type /Page\n"), rows

    assert pages(10) == (1, 1)
    assert pages(90) == (1, 1)
    assert pages(300)[0] > 1 and pages(300)[1] == pages(300)[0]


def test_a_dicom_export_goes_into_the_database_only_when_asked(
    panel, database, tmp_path, monkeypatch
):
    ui = panel.ui
    assert not ui.databaseCheckBox.enabled and "DICOM format" in ui.databaseCheckBox.toolTip
    choose(panel, "structured report")
    assert ui.databaseCheckBox.enabled and "Off:" not in ui.databaseCheckBox.toolTip
    export(panel, tmp_path / "a.dcm")
    assert database.inserted == []
    gui.click(ui.databaseCheckBox)
    export(panel, tmp_path / "b.dcm")
    assert database.inserted == [str(tmp_path / "b.dcm")] and database.displayed == 1
    monkeypatch.setattr(database, "takes", False)
    shown = export(panel, tmp_path / "refused.dcm", "Ok")
    assert "is saved, but" in shown[-1].text and (tmp_path / "refused.dcm").is_file()
    database.inserted.pop()
    choose(panel, "Table, comma")
    export(panel, tmp_path / "c.csv")
    assert len(database.inserted) == 1
    choose(panel, "structured report")
    database.isOpen = False
    gui.raw(ui.identityCheckBox).setChecked(True)
    panel.state.refresh()
    assert not ui.databaseCheckBox.enabled and "not open" in ui.databaseCheckBox.toolTip
    export(panel, tmp_path / "d.dcm")
    assert (tmp_path / "d.dcm").is_file() and len(database.inserted) == 1


def test_a_result_out_of_date_gets_no_report_and_no_name(panel, tmp_path):
    panel.controller.edit("move", "L2", (3.0, -22.0, 20.0))
    gui.process()
    assert panel.staleReason()
    for words, name in (("HTML", "a.html"), ("PDF", "a.pdf"), ("structured", "a.dcm")):
        choose(panel, words)
        shown = export(panel, tmp_path / name, "Ok")
        assert "Out of date" in shown[-1].text
    choose(panel, "Table, comma")
    export(panel, tmp_path / "a.csv")  # the numbers are still those that are shown
    gui.click(panel.ui.identityCheckBox)
    with gui.answering("Ok") as shown:
        gui.click(panel.ui.exportButton)
    assert "Out of date" in shown[0].text
    assert [x.name for x in tmp_path.iterdir()] == ["a.csv"]
    gui.click(panel.ui.undoButton)
    assert not panel.staleReason()


def test_without_dicom_files_a_dicom_report_says_so(panel, database, tmp_path, monkeypatch):
    monkeypatch.setattr(database, "fileForInstance", lambda uid: "")
    choose(panel, "structured report")
    shown = export(panel, tmp_path / "a.dcm", "Ok")
    assert "did not come from any" in shown[-1].text
    shown = export(panel, tmp_path / "a.xyz", "Ok")
    assert "must end in" in shown[-1].text and ".html" in shown[-1].text
    assert list(tmp_path.iterdir()) == []


def test_the_ending_that_is_typed_wins_and_the_offered_name_fits(panel, tmp_path):
    choose(panel, "PDF")
    with gui.answering("") as shown:
        gui.click(panel.ui.exportButton)
    assert shown[0].kind
    export(panel, tmp_path / "a.json")
    assert (tmp_path / "a.json").read_text().startswith("{")
    export(panel, tmp_path / "b")
    assert (tmp_path / "b.pdf").read_bytes().startswith(b"%PDF")


def test_a_volume_under_a_transform_is_told_in_its_own_coordinates(panel):
    import vtk
    from CTBMDPanel import reporting

    node = panel.volumeNode
    assert reporting.patientFromWorld(node) is None
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode")
    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(2, 3, 12.0)
    transform.SetMatrixTransformToParent(matrix)
    node.SetAndObserveTransformNodeID(transform.GetID())
    back = reporting.patientFromWorld(node)
    node.SetAndObserveTransformNodeID(None)
    assert back @ [1.0, 2.0, 15.0, 1.0] == pytest.approx([1.0, 2.0, 3.0, 1.0])


def named_items(content):
    for item in content.get("ContentSequence", []):
        if "ConceptNameCodeSequence" in item:
            yield item.ConceptNameCodeSequence[0].CodeValue, item
        yield from named_items(item)


def test_the_change_since_an_earlier_ct_is_in_the_structured_report(panel, tmp_path):
    from CTBMDLib.report import concepts

    here, state = panel.volumeNode, panel.state
    array, selection = slicer.util.arrayFromVolume(here), panel.controller.selection
    earlier = slicer.util.addVolumeFromArray(array, None, "earlier")
    earlier.CopyOrientation(here)
    earlier.SetAttribute("DICOM.instanceUIDs", here.GetAttribute("DICOM.instanceUIDs"))
    kept = LevelSelection.from_json(selection.to_json())
    inputs = state.inputsOf(earlier, kept, state.settingsOf(earlier))
    state.keepResult(earlier, kept, panel.result, inputs)
    state.changed.emit()
    gui.choose(panel.ui.earlierCombo, "earlier")
    choose(panel, "structured report")
    try:
        for named in (False, True):
            gui.raw(panel.ui.identityCheckBox).setChecked(named)
            export(panel, tmp_path / f"{named}.dcm")
            content = pydicom.dcmread(tmp_path / f"{named}.dcm")
            items = dict(named_items(content))
            change = items[concepts.CHANGE.value].MeasuredValueSequence[0].NumericValue
            assert float(change) == 0.0
            series = str(items[concepts.EARLIER_SERIES.value].UID)
            assert (series == f"{report_cases.ROOT}.2") == named
    finally:
        slicer.mrmlScene.RemoveNode(earlier)
