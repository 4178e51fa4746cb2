"""Where the cases of a batch come from: folders of any depth, Excel, DICOMDIR, archives; the dry run."""

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pydicom
import pytest
from dicom_maker import body, uid, write_series
from phantoms import bundle

from CTBMDLib.cli import main
from CTBMDLib.cohort import remote
from CTBMDLib.cohort.caselist import Case, list_cases
from CTBMDLib.cohort.journal import case_key
from CTBMDLib.cohort.plan import plan
from CTBMDLib.cohort.remote import local_copy
from CTBMDLib.errors import CTBMDError
from CTBMDLib.progress import Progress
from CTBMDLib.reading.reading import list_series, read_ct


def study(folder, patient, name, hu=None, **tags):
    tags = {"StudyInstanceUID": uid(patient, name)} | tags
    write_series(folder, body(6) if hu is None else hu, patient=patient, series=name, **tags)


# -- folders -------------------------------------------------------------------
def test_cases_are_found_at_any_depth(tmp_path):
    study(tmp_path / "2019/01/03/a/ct", "A", "a")
    study(tmp_path / "2019/01/04/b", "B", "b")
    for name in ("2019/02/c/ct.nii.gz", "2019/02/c/mask.nii.gz", "2019/02/d/x/e.zip",
                 "2019/02/two/a.nii", "2019/02/two/b.nii", "2019/01/03/a/copy.zip",
                 "2020/deep/er/f.nrrd", "2020/deep/er/f.json"):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert [(x.path.removeprefix(f"{tmp_path}/"), x.case) for x in list_cases(tmp_path)] == [
        ("2019/01/03/a/ct", "2019/01/03/a/ct"),
        ("2019/01/04/b", "2019/01/04/b"),
        ("2019/01/03/a/copy.zip", "2019/01/03/a/copy.zip"),
        ("2019/02/c/ct.nii.gz", "2019/02/c"),
        ("2019/02/d/x/e.zip", "2019/02/d/x/e.zip"),
        ("2019/02/two", "2019/02/two"),
        ("2020/deep/er/f.nrrd", "2020"),
    ]


# -- Excel ---------------------------------------------------------------------
def test_an_excel_table_lists_cases(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    from datetime import datetime

    book = openpyxl.Workbook()
    for row in (
        ["Path", "Case", "Age", "kvp", "date", None],
        ["x.nii", 7, 61.0, 99.5, datetime(2024, 3, 1), None],
        [None] * 6,
        ["y.nii", "B", None, None, None, None],
    ):
        book.active.append(row)
    book.create_sheet("other").append(["nothing"])
    book.save(tmp_path / "list.xlsx")
    assert list_cases(tmp_path / "list.xlsx") == [
        Case(str(tmp_path / "x.nii"), case="7", age="61", kvp="99.5", date="2024-03-01"),
        Case(str(tmp_path / "y.nii"), case="B"),
    ]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"path\nx.nii\n"])
def test_what_is_no_excel_table_is_one_sentence(tmp_path, content):
    pytest.importorskip("openpyxl")
    (tmp_path / "list.xlsx").write_bytes(content)
    with pytest.raises(CTBMDError, match="not an Excel table"):
        list_cases(tmp_path / "list.xlsx")


# -- DICOMDIR ------------------------------------------------------------------
@pytest.fixture
def disc(tmp_path):
    """A disc of three studies: one of CT and a report, one without CT, one of two CT series."""
    from pydicom.fileset import FileSet

    loose = tmp_path / "loose"
    asked = {"StudyDate": "20200101", "StudyTime": "1200", "StudyID": "1", "AccessionNumber": "1"}
    asked |= {"PatientName": "X", "SeriesNumber": 1, "InstanceNumber": 1}
    mr = body(1)
    study(loose / "1", "A", "one", **asked)
    study(loose / "2", "A", "mr", mr, StudyInstanceUID=uid("A", "one"), Modality="MR", **asked)
    study(loose / "3", "B", "two", mr, Modality="MR", **asked)
    study(loose / "4", "B", "three", **asked)
    study(loose / "5", "B", "more", body(3), StudyInstanceUID=uid("B", "three"), **asked)
    index = FileSet()
    for file in sorted(loose.rglob("*")):
        if file.is_file():
            index.add(file)
    index.write(tmp_path / "disc")
    return tmp_path / "disc"


def test_the_studies_of_a_dicomdir_are_its_cases(disc):
    cases = list_cases(disc / "DICOMDIR")
    assert len(cases) == 2
    found = [read_ct(x.path, series_uid=x.series_uid).acquisition for x in cases]
    assert [(x.patient_id, x.series_uid) for x in found] == [
        ("A", uid("A", "one")), ("B", uid("B", "three")),
    ]  # fmt: skip


def test_what_a_dicomdir_lists_and_is_not_there_fails_by_name(disc):
    files = [item.path for item in pydicom.fileset.FileSet(disc / "DICOMDIR").find(PatientID="A")]
    for path in files:
        (disc / path).unlink()
    lost, kept = list_cases(disc / "DICOMDIR")
    assert lost.path in [str(disc / path) for path in files]
    assert [x.what for x in plan(disc / "DICOMDIR", disc / "t.csv")] == ["fail", "do"]
    assert read_ct(kept.path, series_uid=kept.series_uid).acquisition.patient_id == "B"


@pytest.mark.parametrize("cut", [0, 100, 700])
def test_a_damaged_dicomdir_is_one_sentence(disc, cut):
    content = (disc / "DICOMDIR").read_bytes()
    (disc / "DICOMDIR").write_bytes(content[:cut])
    with pytest.raises(CTBMDError):
        list_cases(disc / "DICOMDIR")


# -- the dry run ---------------------------------------------------------------
def test_a_dry_run_says_what_would_be_done_and_writes_nothing(tmp_path, capsys):
    bundle(tmp_path / "model", members=1)
    source = tmp_path / "in"
    study(source / "a", "A", "ct")
    study(source / "a", "A", "thin", body(4), StudyInstanceUID=uid("A", "ct"),
          SeriesDescription="Lumbar spine")  # fmt: skip
    study(source / "a", "A", "mr", body(1), StudyInstanceUID=uid("A", "ct"), Modality="MR")
    (source / "b").mkdir()
    (source / "c.nii").write_bytes(b"")
    (source / "letter.txt").write_text("x")
    before = sorted(tmp_path.rglob("*"))
    command = ["batch", source, "--model", tmp_path / "model", "--output", tmp_path / "t.csv"]
    assert main([str(x) for x in (*command, "--dry-run")]) == 0
    out = capsys.readouterr().out
    assert "a: would be read: series" in out and "(axial, 6 images)" in out
    assert "no CT" in out and "its description names the region" in out
    assert "b: would fail: '" in out and "c.nii: would be read: the volume c.nii" in out
    assert "left out: letter.txt: no DICOM image" in out
    assert out.splitlines()[-1] == (
        "2 cases would be read, 0 finished already, 1 would fail; nothing was written."
    )
    assert sorted(tmp_path.rglob("*")) == before
    entry = {"key": case_key(Case(str(source / "c.nii"))), "result": {}, "facts": {}}
    from CTBMDLib.cohort import journal

    line = json.dumps({**entry, "sum": journal._sum(entry)})  # noqa: SLF001
    (tmp_path / ".t.csv.journal").write_text(f"{{}}\n{line}\n")
    assert [x.what for x in plan(source, tmp_path / "t.csv")] == ["do", "fail", "finished"]


# -- archives ------------------------------------------------------------------
@pytest.fixture
def stored(tmp_path):
    """The files of an archive: a CT study with a report, and one without CT."""
    folder = tmp_path / "stored"
    study(folder / "1", "A", "ct")
    study(folder / "2", "A", "mr", body(1), StudyInstanceUID=uid("A", "ct"), Modality="MR")
    study(folder / "3", "B", "alone", body(1), Modality="MR")
    return [pydicom.dcmread(x) for x in sorted(folder.rglob("*")) if x.is_file()]


def matching(stored, query):
    """What an archive finds: a dataset for each study or series, with the query's keys."""
    level = query.QueryRetrieveLevel
    found = {}
    for item in stored:
        if level == "STUDY" and query.ModalitiesInStudy != item.Modality:
            continue
        if level == "SERIES" and (item.StudyInstanceUID, item.Modality) != (
            query.StudyInstanceUID, query.Modality,
        ):  # fmt: skip
            continue
        answer = pydicom.Dataset()
        answer.QueryRetrieveLevel = level
        answer.StudyInstanceUID = item.StudyInstanceUID
        if level == "SERIES":
            answer.SeriesInstanceUID = item.SeriesInstanceUID
        found[item.StudyInstanceUID, item.get("SeriesInstanceUID") if level == "SERIES" else ""] = (
            answer
        )
    return list(found.values())


@pytest.fixture
def pacs(stored):
    """A PACS on this computer; its address."""
    net = pytest.importorskip("pynetdicom")
    from pydicom.uid import ExplicitVRLittleEndian
    from pynetdicom.sop_class import (
        CTImageStorage,
        StudyRootQueryRetrieveInformationModelFind,
        StudyRootQueryRetrieveInformationModelGet,
    )

    def find(event):
        for answer in matching(stored, event.identifier):
            yield 0xFF00, answer
        yield 0x0000, None

    def get(event):
        wanted = event.identifier.SeriesInstanceUID
        images = [x for x in stored if x.SeriesInstanceUID == wanted]
        yield len(images)
        for image in images:
            yield 0xFF00, image

    entity = net.AE("STORE")
    entity.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
    entity.add_supported_context(StudyRootQueryRetrieveInformationModelGet)
    entity.add_supported_context(
        CTImageStorage, ExplicitVRLittleEndian, scu_role=True, scp_role=True
    )
    handlers = [(net.evt.EVT_C_FIND, find), (net.evt.EVT_C_GET, get)]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    yield f"pacs://STORE@127.0.0.1:{server.server_address[1]}?me=TEST"
    server.shutdown()


def test_the_studies_of_a_pacs_are_its_cases_and_are_fetched_when_they_are_read(pacs):
    (case,) = list_cases(pacs)
    assert case.path == f"{pacs}#{uid('A', 'ct')}" and len(case_key(case)) == 64
    with local_copy(case.path, Progress()) as folder:
        (series,) = list_series(folder)
        assert (series.series_uid, series.images) == (uid("A", "ct"), 6)
        assert read_ct(folder).hu.shape[0] == 6
    with pytest.raises(CTBMDError, match="does not exist"):
        list_series(folder)
    with pytest.raises(CTBMDError, match="gave no CT image"), local_copy(f"{pacs}#1.2", Progress()):
        pass


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@pytest.mark.parametrize("address", ["pacs://host", "pacs://:1", "pacs://T@h:x"])
def test_what_is_no_address_of_a_pacs(address):
    pytest.importorskip("pynetdicom")
    with pytest.raises(CTBMDError, match="write it as pacs://"):
        list_cases(address)


def test_an_archive_that_does_not_answer_is_one_sentence(monkeypatch):
    pytest.importorskip("pynetdicom")
    pytest.importorskip("dicomweb_client")
    monkeypatch.setattr(remote, "SECONDS", 1.0)
    for address in (
        f"pacs://T@127.0.0.1:{free_port()}",
        f"dicomweb:http://127.0.0.1:{free_port()}",
    ):
        with pytest.raises(CTBMDError, match="does not answer"):
            list_cases(address)
    for wrong in ("pacs://T@h:1", "pacs://T@h:1#../x"):
        with pytest.raises(CTBMDError, match="names no study"), local_copy(wrong, Progress()):
            pass


@pytest.fixture
def web(stored):
    """A DICOMweb server on this computer; its address."""
    pytest.importorskip("dicomweb_client")
    from io import BytesIO
    from urllib.parse import parse_qs, urlsplit

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            url = urlsplit(self.path)
            query = {k: v[0] for k, v in parse_qs(url.query).items()}
            parts = url.path.strip("/").split("/")
            asked = pydicom.Dataset()
            if len(parts) == 4:  # studies/UID/series/UID
                self.images(parts[3])
                return
            if len(parts) == 1:
                asked.QueryRetrieveLevel = "STUDY"
                asked.ModalitiesInStudy = query["ModalitiesInStudy"]
            else:
                asked.QueryRetrieveLevel = "SERIES"
                asked.StudyInstanceUID, asked.Modality = parts[1], query["Modality"]
            found = [json.loads(x.to_json()) for x in matching(stored, asked)]
            self.answer("application/dicom+json", json.dumps(found).encode())

        def images(self, series):
            out = b""
            for image in stored:
                if image.SeriesInstanceUID == series:
                    part = BytesIO()
                    image.save_as(part)
                    out += b"--cut\r\nContent-Type: application/dicom\r\n\r\n"
                    out += part.getvalue() + b"\r\n"
            kind = 'multipart/related; type="application/dicom"; boundary=cut'
            self.answer(kind, out + b"--cut--\r\n")

        def answer(self, kind, content):
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"dicomweb:http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_the_studies_of_a_dicomweb_server_are_its_cases(web):
    (case,) = list_cases(web)
    assert case.path == f"{web}#{uid('A', 'ct')}"
    with local_copy(case.path, Progress()) as folder:
        (series,) = list_series(folder)
        assert (series.series_uid, series.images) == (uid("A", "ct"), 6)


def test_without_the_packages_it_is_one_sentence(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *more: None)
    for address in ("pacs://T@h:1", "dicomweb:http://h"):
        with pytest.raises(CTBMDError, match="pip install"):
            list_cases(address)
