"""The report as a page: what it tells, whom it names, and that no text of a file becomes markup."""

import base64
import copy
import dataclasses
import re
import struct
import zlib
from html.parser import HTMLParser

import numpy as np
import phantoms
import pytest
import report_cases

from CTBMDLib.bmd.finding import Finding
from CTBMDLib.errors import CTBMDError
from CTBMDLib.reading.source import SourceSeries
from CTBMDLib.report.chart import chart_png
from CTBMDLib.report.drawing import Canvas, letters, png_bytes
from CTBMDLib.report.earlier import EarlierCT
from CTBMDLib.report.page import report_html, write_report
from CTBMDLib.report.pictures import SIDE_SIZE, SideView, level_png, sagittal_png

ALLOWED = {
    *(
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "table",
        "tr",
        "td",
        "th",
        "span",
        "b",
        "br",
    ),
    *("p", "img"),
}


class Page(HTMLParser):
    """The tags, the attributes and the words of a page."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.attributes, self.words = [], [], []
        self.feed(text)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.words.append(data)

    def pictures(self):
        return [
            base64.b64decode(value.partition(",")[2])
            for name, value in self.attributes
            if name == "src"
        ]


def pixels(png):
    """The colours of a PNG as `png_bytes` writes it."""
    columns, rows = struct.unpack(">II", png[16:24])
    body, at = b"", 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        kind, content = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        (check,) = struct.unpack(">I", png[at + 8 + length : at + 12 + length])
        assert check == zlib.crc32(kind + content)
        body += content if kind == b"IDAT" else b""
        at += 12 + length
    lines = np.frombuffer(zlib.decompress(body), np.uint8).reshape(rows, 1 + 3 * columns)
    return lines[:, 1:].reshape(rows, columns, 3).astype(int)


@pytest.fixture(scope="module")
def case(unnamed):
    return unnamed


@pytest.fixture(scope="module")
def page(case):
    return Page(report_html(case))


def changed(case, **fields):
    return dataclasses.replace(case, result=dataclasses.replace(case.result, **fields))


# -- what it tells ----------------------------------------------------------------------
def test_the_page_tells_each_value_with_its_interval(case, page):
    for row in case.result.rows:
        assert f"{row.bmd_g_cm2:.3f}" in page.text and row.level in page.text
        assert f"{max(row.bmd_low, 0):.3f} to {row.bmd_high:.3f}" in page.text
        assert f"{row.trabecular_hu:.0f}" in page.text
    total = case.result.total
    assert f"T-score {total.t_score:.1f}" in page.text
    assert f"Z-score {(total.bmd_g_cm2 - 0.952) / 0.142:.1f}" in page.text


def test_the_page_says_what_it_is_not_for_and_how_it_was_made(case, page):
    for words in (
        "Research use only, not a medical device. The model was trained on simulated CT.",
        "Not for diagnosis or treatment",
        "tube voltage 120 kV",
        "kernel B30",
        "slice thickness 3 mm",
        "sex female, age 63 years",
        "contrast agent stated",
        "Hologic DXA",
        "NHANES",
        "test 0.0.1, trained on simulated CT",
        str(case.date.year),
        "the patient's right is on the left",
    ):
        assert words in page.text, words


def test_findings_stand_beside_their_level_or_below(case, page):
    of_a_level = Finding("x", "L2", "L2: a finding of one level only.", "warning")
    of_all = Finding("y", None, "A finding of the whole scan.", "note")
    text = report_html(changed(case, findings=[of_all, of_a_level]))
    rows = re.findall(r"<tr>.*?</tr>", text, re.S)
    beside = [row for row in rows if "A finding of one level only." in row]
    assert len(beside) == 1 and "<b>L2</b>" in beside[0] and "Warning:" in beside[0]
    assert "1 warning below: read before using a value." in text
    below = text[text.index("Findings about the whole scan") :]
    assert "A finding of the whole scan." in below and "one level" not in below


def test_unknown_facts_are_unknown(case):
    bare = dataclasses.replace(case, reference=None)
    facts = dataclasses.replace(
        bare.volume.acquisition,
        **dict.fromkeys(("kvp", "kernel", "slice_thickness_mm", "manufacturer", "model")),
        contrast_agent=None,
    )
    volume = dataclasses.replace(bare.volume, acquisition=facts)
    bare = dataclasses.replace(bare, volume=volume)
    text = Page(report_html(changed(bare, sex=None, age=None))).text
    for words in (
        "tube voltage unknown",
        "kernel unknown",
        "slice thickness unknown",
        "scanner unknown",
        "contrast agent not stated",
        "sex unknown, age unknown",
        "No T-score, because no reference table was chosen.",
    ):
        assert words in text, words
    assert "T-score -" not in text and "Z-score" not in text


def test_the_change_since_an_earlier_ct_stands_with_its_warnings(case, page):
    assert "earlier CT" not in page.text
    words = "-0.034 g/cm2 (-4.1 %) in 365 days: changed (least significant change 0.028 g/cm2)."
    earlier = EarlierCT(words, ("L1", "L2"), 0.83, 0.796, ("The kernel differs (<B>, B&C)",))
    told = Page(report_html(dataclasses.replace(case, earlier=earlier)))
    assert "Change since an earlier CT: -0.034 g/cm² (-4.1 %) in 365 days: changed" in told.text
    assert "Mean of L1 L2: 0.830 g/cm² in the earlier CT, 0.796 g/cm² in this one." in told.text
    assert "Warning: The kernel differs (<B>, B&C)." in told.text and set(told.tags) <= ALLOWED
    assert earlier.lines()[0] == "Change since an earlier CT" and len(earlier.lines()) == 4
    called = dataclasses.replace(earlier, called="A & <b>", before=None, after=None, warnings=())
    told = Page(report_html(dataclasses.replace(case, earlier=called)))
    assert (
        "Change since an earlier CT (A & <b>):" in told.text
        and "in the earlier CT" not in told.text
    )


def test_without_a_mean_the_page_says_why(folder, model):
    alone = report_cases.case(folder, model, selection=phantoms.chosen(("L1",)))
    text = Page(report_html(alone)).text
    assert f"No L1-L4 value. {alone.result.total_reason}" in text


def test_a_level_that_is_left_out_says_why(case):
    rows = list(case.result.levels)
    rows[1] = dataclasses.replace(rows[1], included=False, left_out="cement")
    out = changed(case, levels=rows)
    text = Page(report_html(out)).text
    assert "no : cement" in text and "dashed: left out of the mean" in text
    assert not np.array_equal(pixels(sagittal_png(out)), pixels(sagittal_png(case)))
    assert not np.array_equal(pixels(chart_png(out)), pixels(chart_png(case)))


# -- whom it names ----------------------------------------------------------------------
def test_nobody_is_named_unless_asked(case, page):
    html = report_html(case)
    assert report_cases.told(re.sub(r'src="[^"]*"', "", html)) == []
    assert "case 1" in page.text and "Patient not named" in page.text


def test_a_named_report_names_the_patient_the_study_and_the_series(named):
    text = Page(report_html(named)).text
    for words in (
        *("PLANTEDname Ada", "PLANTEDid", "born 1951-02-03", "CT of 2024-05-06"),
        *("accession number PLANTEDacc", f"Series: {report_cases.ROOT}.2"),
        *("contrast agent PLANTEDagent", "Contrast agent is stated (PLANTEDagent)"),
    ):
        assert words in text, words
    assert "Patient not named" not in text


# -- no text of a file becomes markup ---------------------------------------------------
HOSTILE = "<script>alert('x')</script>&amp;<img src=\"http://e.invalid/a.png\">\"'>"


def test_every_text_of_a_file_is_escaped(named):
    words = iter(range(100))
    planted = []

    def hostile():
        planted.append(f"{HOSTILE}{next(words)};")
        return planted[-1]

    facts = dataclasses.replace(
        named.volume.acquisition,
        **{x: hostile() for x in ("kernel", "manufacturer", "model", "contrast_agent")},
    )
    table = dataclasses.replace(
        named.reference, **{x: hostile() for x in ("title", "device", "source")}
    )
    headers = copy.deepcopy(named.source.headers)
    for name in ("PatientName", "AccessionNumber", "PatientBirthDate"):
        # A value that long or of that form is no valid DICOM, but files hold such things.
        planted.append(f"<b>{name}</b>"[:16])
        headers[0][name]._value = planted[-1]
    rows = [
        dataclasses.replace(
            row, case=planted[0], series_uid=planted[1], model=planted[2], model_version=planted[3]
        )
        for row in named.result.levels
    ]
    rows[0] = dataclasses.replace(rows[0], included=False, left_out=hostile())
    findings = [Finding("a", "L2", hostile()), Finding("b", None, hostile(), "note")]
    result = dataclasses.replace(
        named.result, levels=rows, findings=findings, disclaimer=hostile(),
        total=dataclasses.replace(named.result.total, category=hostile(), levels=hostile()),
    )  # fmt: skip
    volume = dataclasses.replace(named.volume, acquisition=facts)
    text = report_html(
        dataclasses.replace(
            named, volume=volume, reference=table, result=result, source=SourceSeries(headers)
        )
    )
    page = Page(text)
    assert set(page.tags) <= ALLOWED and "script" not in page.tags
    assert all(x.startswith("data:image/png") for n, x in page.attributes if n == "src")
    assert not any(name.startswith("on") for name, _value in page.attributes)
    for shown in planted:
        assert " ".join(shown.split()) in page.text, shown


def test_the_reason_why_there_is_no_mean_is_escaped(case):
    text = report_html(changed(case, total=None, total_reason=HOSTILE))
    assert "<script" not in text and HOSTILE in Page(text).text


# -- its pictures -----------------------------------------------------------------------
def test_the_pictures_are_whole_and_show_something(case, page):
    pictures = page.pictures()
    assert len(pictures) == 2 + len(case.result.levels)
    for png in pictures:
        assert pixels(png).std() > 5
    assert pixels(pictures[0]).shape[:2] == SIDE_SIZE[::-1]


def test_the_spine_from_the_side_has_bone_between_the_marks(case):
    view = SideView(case.selection, ["L1", "L2", "L3"])
    seen = view.hu(case)
    for level in ("L1", "L2", "L3"):
        r, a, s = phantoms.CENTRES[level]
        x, y = view.place(a, s)
        assert seen[round(y), round(x)] == pytest.approx(200, abs=2)  # the column of bone
        x, _y = view.place(a + 30, s)
        assert seen[round(y), round(x)] == pytest.approx(50, abs=2)  # in front of it
    assert np.isnan(seen[0]).all() and seen.shape == SIDE_SIZE[::-1]  # above the scan


def test_a_level_s_images_have_the_front_up_and_the_right_on_the_left(case):
    images = case.images("L2")
    hu = np.full_like(images.hu, -1000.0)
    hu[:, :10, :10] = 2000.0  # front and right
    seen = pixels(level_png(dataclasses.replace(images, hu=hu)))
    assert seen[5, 5].tolist() == [255] * 3 and seen[-5, 5].tolist() == [0] * 3
    assert seen[5, 100].tolist() == [0] * 3


def test_a_result_out_of_a_scene_gets_its_images_again(case):
    stored = type(case.result).from_dict(case.result.to_dict())
    again = dataclasses.replace(case, result=stored)
    assert np.array_equal(again.images("L1").hu, case.images("L1").hu)


def test_the_chart_has_the_ages_only_where_they_are_known(case):
    with_ages = pixels(chart_png(case)).shape[1]
    assert pixels(chart_png(changed(case, age=None))).shape[1] < with_ages
    assert pixels(chart_png(dataclasses.replace(case, reference=None))).shape[1] < with_ages


def test_a_canvas_draws_where_it_is_told_and_cuts_off_the_rest():
    canvas = Canvas(40, 30)
    canvas.line([(5, 10), (35, 10)], (0, 0, 0), 1.0)
    seen = pixels(canvas.png())
    assert seen[10, 5:36].max() < 5 and seen[12:].min() == 255 and seen[10, :4].min() == 255
    canvas.line([(-50, -50), (100, 100)], (255, 0, 0), 2.0)
    canvas.disc(39, 29, 6, (0, 0, 255))
    canvas.text(35, 25, "cut off", 20, (0, 0, 0))
    assert pixels(canvas.png()).shape == (30, 40, 3)


def test_letters_are_drawn_and_as_high_as_asked():
    small, large = letters("L1-L4 g/cm²", 10), letters("L1-L4 g/cm²", 30)
    assert small.max() > 0.9 and large.shape[0] > 2 * small.shape[0]
    assert letters("a", 20).sum() != letters("b", 20).sum()
    assert letters("", 20).size and letters("a", 20).shape[0] == letters("", 20).shape[0]


def test_a_picture_is_a_png_that_vtk_reads(tmp_path):
    from vtkmodules.util.numpy_support import vtk_to_numpy
    from vtkmodules.vtkIOImage import vtkPNGReader

    drawn = np.random.default_rng(0).integers(0, 256, (7, 5, 3)).astype(np.uint8)
    (tmp_path / "a.png").write_bytes(png_bytes(drawn))
    reader = vtkPNGReader()
    reader.SetFileName(str(tmp_path / "a.png"))
    reader.Update()
    read = vtk_to_numpy(reader.GetOutput().GetPointData().GetScalars()).reshape(7, 5, 3)
    assert np.array_equal(read[::-1], drawn)


# -- the file ---------------------------------------------------------------------------
def test_the_file_is_one_that_needs_nothing_else(case, tmp_path):
    path = write_report(case, tmp_path / "a.html")
    text = path.read_text(encoding="utf-8")
    assert "http:" not in text and "https:" not in text and "<link" not in text
    with pytest.raises(CTBMDError, match="exists already"):
        write_report(case, path)
    with pytest.raises(CTBMDError, match="must end in .html"):
        write_report(case, tmp_path / "a.pdf")
