"""`ctbmd validate`: a table of CT and DXA gives figures, page and lists, and every row is accounted for."""

import csv
import json
import os
import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
from phantoms import CENTRES, STANDARD, card, chosen, phantom, random_weights
from volume_files import nifti_bytes, write

from CTBMDLib.cli import main
from CTBMDLib.cohort import validate as module
from CTBMDLib.cohort.caselist import Case
from CTBMDLib.cohort.validate_pairs import Pair, number_persons
from CTBMDLib.cohort.validate_scale import device_scale, is_simulated, other_scale
from CTBMDLib.cohort.validate_table import Measured, read_measured
from CTBMDLib.model.bundle import save_bundle
from CTBMDLib.model.images import cut_images

COUNT = 14


def run(capsys, *arguments, code=0):
    assert main([str(x) for x in arguments]) == code
    return capsys.readouterr()


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def figures_of(folder):
    def no_constant(name):
        raise AssertionError(f"{name} in the figures")

    return json.loads((folder / "figures.json").read_text(), parse_constant=no_constant)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Scans of rising bone density, their levels, and a bundle that sees bone."""
    folder = tmp_path_factory.mktemp("site")
    plain = phantom(spacing=(4.0, 4.0, 4.0))
    level = chosen(("L2",))["L2"]
    images = [
        cut_images(replace(plain, hu=np.where(plain.hu == 200, x, plain.hu)), level, STANDARD).hu[
            :1
        ]
        for x in (100, 450)
    ]
    for factor in (0.1, 0.3, 1.0, 3.0, 10.0, 30.0):
        weights = random_weights(0)
        weights["scale"] *= factor
        made = save_bundle(folder / "model", card(), [weights], overwrite=True)
        low, high = made.predict(np.concatenate(images), "cpu", "numpy")[0]
        if 0.2 < abs(high - low) < 1.5:
            break
    for n in range(COUNT):
        hu = np.where(plain.hu == 200, 100 + 25 * n, plain.hu).astype(np.int16)
        write(folder / f"{n}.nii", nifti_bytes(hu, plain.ijk_to_ras))
    points = [{"level": x, "ras": list(CENTRES[x])} for x in ("L1", "L2", "L3")]
    (folder / "levels.json").write_text(json.dumps({"levels": points}))
    return folder


@pytest.fixture
def check(capsys, site, tmp_path):
    """A function that validates a table given as rows, and answers the folder of its results."""

    def validate(rows, *options, code=0, name="out"):
        table = site / "table.csv"
        table.write_text("\n".join(rows) + "\n")
        output = tmp_path / name
        printed = run(
            capsys, "validate", table, "--model", site / "model", "--output", output, *options,
            code=code,
        )  # fmt: skip
        return output, printed

    return validate


def table(title="L1-L4", more="", value=lambda n: f"{0.6 + 0.05 * n:.3f}", cells=lambda n: ""):
    return [
        f"path,case,levels,sex,{title}{more}",
        *(f"{n}.nii,P{n},levels.json,{'FM'[n % 2]},{value(n)}{cells(n)}" for n in range(COUNT)),
    ]


def test_the_figures_are_those_of_the_pairs(check, site):
    before = {p.name: p.read_bytes() for p in (site / "model").iterdir()}
    # By hand both ways: which way the untrained network answers to bone is chance.
    output, printed = check(table(), "--reference", "nhanes-hologic")
    assert printed.err == "" and "14 cases compared, 0 cases left out" in printed.out
    assert "Research use only" in printed.out
    pairs, got = rows_of(output / "pairs.csv"), figures_of(output)
    assert [row["case"] for row in pairs] == [f"P{n}" for n in range(COUNT)]
    dxa = np.array([float(row["dxa_g_cm2"]) for row in pairs])
    bmd = np.array([float(row["network_g_cm2"]) for row in pairs])
    hu = np.array([float(row["trabecular_hu"]) for row in pairs])
    assert dxa == pytest.approx(0.6 + 0.05 * np.arange(COUNT))
    assert hu == pytest.approx(100 + 25 * np.arange(COUNT), abs=1)  # each from its own scan
    network = got["overall"]["methods"]["network"]
    assert network["bias"]["value"] == pytest.approx((bmd - dxa).mean(), abs=1e-3)
    assert network["rmse"]["value"] == pytest.approx(np.sqrt(((bmd - dxa) ** 2).mean()), abs=1e-3)
    assert network["r"]["value"] == pytest.approx(np.corrcoef(dxa, bmd)[0, 1], abs=1e-3)
    low = np.array([float(row["network_low"]) for row in pairs])
    high = np.array([float(row["network_high"]) for row in pairs])
    inside = np.mean((low <= dxa) & (dxa <= high))
    assert network["coverage"]["value"] == pytest.approx(inside)
    assert [row["inside_interval"] == "yes" for row in pairs] == list((low <= dxa) & (dxa <= high))
    line = got["overall"]["methods"]["trabecular HU, line fitted here"]
    assert line["r"]["value"] == pytest.approx(np.corrcoef(dxa, hu)[0, 1], abs=1e-3)
    error = np.array([float(row["hu_line"]) for row in pairs]) - dxa
    assert line["rmse"]["value"] == pytest.approx(np.sqrt((error**2).mean()), abs=1e-3)
    # T-scores of the DXA by the reference table: (value - mean) / SD of the same sex.
    t = np.array([float(row["dxa_t"]) for row in pairs])
    mean, sd = (np.where(np.arange(COUNT) % 2, a, b) for a, b in ((1.057, 1.064), (0.110, 0.106)))
    assert t == pytest.approx((dxa - mean) / sd, abs=0.006)
    assert got["overall"]["with_condition"]["T <= -2.5"] == int((t <= -2.5).sum())
    assert {p.name: p.read_bytes() for p in (site / "model").iterdir()} == before
    assert sorted(p.name for p in output.iterdir()) == [
        "figures.json", "left_out.csv", "pairs.csv", "report.html"
    ]  # fmt: skip


class _Balanced(HTMLParser):
    """Refuses a page whose tags do not close in order."""

    def check(self, text):
        self.open = []
        self.feed(text)
        assert not self.open and text.count("<html") == text.count("</body>") == 1

    def handle_starttag(self, tag, attrs):
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_stands_alone_and_tells_what_it_is(check):
    rows = table(more=",device", cells=lambda n: ",<b>Lunar</b> & co")
    rows[1] = rows[1].replace("P0", "<script>alert(1)</script>")
    output, _ = check(rows, "--reference", "nhanes-hologic")
    text = (output / "report.html").read_text(encoding="utf-8")
    assert "Research use only" in text and "The model was trained on simulated CT" in text
    assert "<script" not in text and "<b>Lunar" not in text and "&lt;script&gt;" in text
    assert not re.search(r"https?://|src=|url\(|@import|<link|<iframe|nan|None", text)
    _Balanced().check(text)
    charts = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert len(charts) >= 5
    for chart in charts:
        tree = ElementTree.fromstring(chart)
        for item in tree.iter():
            for name in ("x", "y", "cx", "cy", "x1", "x2", "y1", "y2"):
                assert name not in item.attrib or -1 <= float(item.attrib[name]) <= 470
    dots = charts[0].count("network dot")
    assert dots == COUNT and charts[1].count("hu dot") == COUNT  # HU beside the network
    assert "14 of 14 DXA are on the scale of Lunar and the estimates on that of Hologic" in text


def test_every_row_is_compared_or_left_out_with_its_reason(check, site):
    rows = table(more=",interval_days,left_out", cells=lambda n: ",30,")
    (site / "broken.nii").write_bytes(b"no image")
    points = [{"level": "L1", "ras": list(CENTRES["L1"])}]
    (site / "one.json").write_text(json.dumps({"levels": points}))
    bad = {
        ",A,,F,1.0,,": "no CT is named",
        "gone.nii,B,,F,1.0,,": "the CT does not exist",
        "broken.nii,C,,F,1.0,,": "not a NIfTI file",
        "0.nii,D,levels.json,F,1.0,,": "the same CT as line 2",
        "1.nii,E,gone.json,F,1.0,,": "the levels file does not exist",
        "a.nii,G,levels.json,F,950,,": "it looks like mg/cm2",
        "b.nii,H,levels.json,F,-2.5,,": "it looks like a T-score",
        "c.nii,I,levels.json,F,1.0,400,": "400 days apart (at most 365",
        "d.nii,J,levels.json,F,1.0,soon,": "interval_days 'soon' is no number",
        "e.nii,K,levels.json,X,1.0,,": "sex 'X' must be F or M",
        "f.nii,L,levels.json,F,,,": "no DXA value",
        "g.nii,M,levels.json,F,1.0,,screws at L2": "screws at L2",
        "h.nii,N,one.json,F,1.0,,": "at least two included levels",
        "i.nii,O,levels.json,F,1.0,30,,7": "more cells than columns",
        "j.nii,P,levels.json,F,1.0;,,": "is no number",
    }
    for letter in "abcdefghij":
        (site / f"{letter}.nii").write_bytes((site / "3.nii").read_bytes())
    output, printed = check([*rows, *bad])
    left = rows_of(output / "left_out.csv")
    assert len(rows_of(output / "pairs.csv")) + len(left) == len(rows) - 1 + len(bad)
    assert [int(row["line"]) for row in left] == list(range(COUNT + 2, COUNT + 2 + len(bad)))
    for row, said in zip(left, bad.values(), strict=True):
        assert said.lower() in row["reason"].lower(), row
        assert str(site) not in row["reason"]  # a list to hand on does not say where the CT lie
    assert f"14 cases compared, {len(bad)} cases left out" in printed.out
    text = (output / "report.html").read_text(encoding="utf-8")
    assert f"{len(rows) - 1 + len(bad)} rows in the table: {len(bad)} left out, " in text
    assert "screws at L2" in text or "Screws at L2" in text
    assert figures_of(output)["left_out"] == len(bad)
    output, _ = check([*rows, "c.nii,I,levels.json,F,1.0,400,"], "--max-days", "0", name="any")
    assert len(rows_of(output / "pairs.csv")) == COUNT + 1


def test_levels_are_compared_with_the_same_levels(check):
    rows = [
        "path,levels,L1,L2,L4,L1-L4",
        *(
            f"{n}.nii,levels.json,{0.6 + 0.05 * n:.3f},{0.7 + 0.05 * n:.3f},2.0,1.5"
            for n in range(6)
        ),
    ]
    output, _ = check(rows)
    for n, row in enumerate(rows_of(output / "pairs.csv")):
        assert row["levels"] == "L1 L2"  # L3 has no DXA, L4 no CT
        assert float(row["dxa_g_cm2"]) == pytest.approx(0.65 + 0.05 * n)
        mean = (float(row["network_L1"]) + float(row["network_L2"])) / 2
        assert float(row["network_g_cm2"]) == pytest.approx(mean, abs=0.001)
        assert row["case"] == f"line {n + 2}" and row["dxa_L4"] == ""
    single = figures_of(output)["single_vertebrae_g_cm2"]
    assert single["all"]["cases"] == 12 and single["all"]["persons"] == 6
    assert "too few" in json.dumps(single) or single["L1"]["few_persons"]


def test_t_scores_without_and_with_their_reference(check):
    rows = table("t_score", value=lambda n: f"{-4 + 0.45 * n:.2f}")
    output, printed = check(rows)
    got = figures_of(output)
    network = got["overall"]["methods"]["network"]
    assert got["unit"] == "T" and not got["network_in_that_unit"]
    assert "bias" not in network and network["r"]["value"] is not None
    assert (
        "no bias, RMSE" in printed.out and "No Bland-Altman" in (output / "report.html").read_text()
    )
    low = [-4 + 0.45 * n <= -2.5 for n in range(COUNT)]
    assert got["overall"]["with_condition"]["T <= -2.5"] == sum(low) == 4
    assert network["auc T <= -2.5"]["note"] == "too few to tell: 4 with and 10 without"
    assert network["auc T <= -1.0"]["value"] is not None
    # With a table the estimate has a T-score of its own.
    output, _ = check(rows, "--reference", "nhanes-hologic", name="table")
    got = figures_of(output)
    pairs = rows_of(output / "pairs.csv")
    error = [float(row["network_t"]) - float(row["dxa_t"]) for row in pairs]
    assert got["unit"] == "T" and got["network_in_that_unit"]
    bias = got["overall"]["methods"]["network"]["bias"]["value"]
    assert bias == pytest.approx(np.mean(error), abs=0.01)
    # With the reference of the DXA itself the T-score is g/cm2 again.
    rows = table(
        "t_score", ",t_mean,t_sd", lambda n: f"{-4 + 0.45 * n:.2f}", lambda n: ",1.10,0.12"
    )
    output, _ = check(rows, name="reference")
    pairs = rows_of(output / "pairs.csv")
    assert figures_of(output)["unit"] == "g/cm2"
    assert [float(row["dxa_g_cm2"]) for row in pairs] == pytest.approx(
        [1.10 + 0.12 * (-4 + 0.45 * n) for n in range(COUNT)], abs=0.001
    )


def test_several_ct_of_one_person_are_one_person(check):
    rows = table(more=",patient", cells=lambda n: f",anna{n // 2}")
    output, _ = check(rows)
    overall = figures_of(output)["overall"]
    assert (overall["cases"], overall["persons"]) == (COUNT, COUNT // 2)
    text = (output / "pairs.csv").read_text()
    assert "anna" not in text  # a number stands for the person
    assert [row["person"] for row in rows_of(output / "pairs.csv")][:4] == ["1", "1", "2", "2"]


@pytest.mark.parametrize(
    ("patients", "headers", "sexes", "ages", "persons", "told"),
    [
        ([None] * 4, ["x", "x", "y", None], "FFFF", (60, 61, 60, 60), [1, 1, 2, 3], False),
        (
            ["a", "a", None, None],
            ["x", "y", "x", "x"],
            "FFFF",
            (60, 60, 60, 60),
            [1, 1, 2, 2],
            False,
        ),
        ([None] * 4, ["ANON"] * 4, "FMFM", (60, 60, 60, 60), [1, 2, 3, 4], True),
        ([None] * 4, ["ANON"] * 4, "FFFF", (30, 80, 60, 60), [1, 2, 3, 4], True),
        ([None] * 12, ["ANON"] * 12, "F" * 12, (60,) * 12, list(range(1, 13)), True),
        (["a"] * 12, ["ANON"] * 12, "FM" * 6, (60,) * 12, [1] * 12, False),
    ],
)
def test_who_is_one_person(patients, headers, sexes, ages, persons, told):
    """The table first, then the header, but not an 'ANON' that whole archives share."""
    pairs = []
    for n, (patient, sex, age) in enumerate(zip(patients, sexes, ages, strict=True)):
        row = Measured(n, Case(f"{n}.nii", case=f"c{n}"), {}, 1.0, None, patient=patient)
        nothing = dict.fromkeys(Pair.__dataclass_fields__)
        pairs.append(Pair(**nothing | {"row": row, "sex": sex, "age": age}))
    numbered, notes = number_persons(pairs, headers)
    assert [pair.person for pair in numbered] == persons
    assert bool(notes) == told


def test_groups_and_what_is_too_small_to_tell(check):
    rows = table(
        more=",manufacturer,kvp",
        cells=lambda n: f",{'Siemens' if n < 11 else 'GE'},{120 if n % 3 else ''}",
    )
    output, printed = check(rows)
    by = figures_of(output)["by"]
    assert {k: x["cases"] for k, x in by["CT manufacturer"].items()} == {"GE": 3, "Siemens": 11}
    assert set(by["tube voltage"]) == {"120 kV", "unknown"} and set(by["sex"]) == {"men", "women"}
    small = by["CT manufacturer"]["GE"]["methods"]["network"]
    assert small["r"] == {"value": None, "interval_95": None, "note": "too few to tell: 3 persons"}
    assert "The tube voltage of 5 of 14 CT is unknown" in printed.out
    assert "Only 14 persons" in printed.out
    assert "too few to tell<small>3 persons</small>" in (output / "report.html").read_text()


def test_with_three_persons_the_page_still_comes(check):
    output, _ = check(table()[:4])
    text = (output / "report.html").read_text()
    assert "too few to tell<small>3 persons</small>" in text and text.count("<svg") >= 2
    assert "too few to tell anything" in text and "1.96 SD" not in text.split("<h2>How")[0]
    assert figures_of(output)["overall"]["methods"]["network"]["bias"]["value"] is None


def test_interrupted_it_goes_on_where_it_stopped(check, monkeypatch, tmp_path):
    real, seen = module.estimate, []

    def estimate(*args, case=None, **options):
        seen.append(case)
        if len(seen) == 9:
            raise KeyboardInterrupt
        return real(*args, case=case, **options)

    monkeypatch.setattr(module, "estimate", estimate)
    rows = table()
    _, printed = check(rows, code=130)
    assert "goes on where it stopped" in printed.err and not (tmp_path / "out/pairs.csv").exists()
    seen[:] = [None] * 100  # never again the ninth
    output, printed = check(rows)
    assert "Taken over from an interrupted run: 8 cases" in printed.out
    assert seen[100:] == [f"P{n}" for n in range(8, COUNT)]
    resumed = {p.name: p.read_text() for p in output.iterdir()}
    fresh, _ = check(rows, name="fresh")
    assert resumed == {p.name: p.read_text() for p in fresh.iterdir()}  # no journal either


def test_earlier_results_are_replaced_only_when_asked(check):
    output, _ = check(table())
    _, printed = check(table()[:-2], code=2)
    assert "exists already" in printed.err and printed.err.count("\n") == 1
    assert len(rows_of(output / "pairs.csv")) == COUNT
    check(table()[:-2], "--overwrite")
    assert len(rows_of(output / "pairs.csv")) == COUNT - 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "needs a column path"),
        ("path,case\n0.nii,a\n", "needs a column path and at least one of"),
        ("case,L1-L4\na,1.0\n", "needs a column path"),
        ("path,L1-L4\n", "no rows below its titles"),
        ("path,L1-L4,L1-L4\n0.nii,1,1\n", "appears twice"),
        ("path,L1-L4\ngone.nii,1.0\n", "None of the 1 rows"),
        ("PK\x03\x04\0\0", "save it as 'CSV UTF-8'"),
    ],
)  # fmt: skip
def test_tables_that_are_refused_in_one_sentence(capsys, site, tmp_path, text, said):
    path = site / "refused.csv"
    path.write_text(text)
    output = tmp_path / "out"
    _, err = run(capsys, "validate", path, "--model", site / "model", "--output", output, code=2)
    assert said in err and err.count("\n") == 1
    assert not (output / "report.html").exists() and not list(output.glob(".*"))


def test_folders_that_are_refused(capsys, site, tmp_path):
    path = site / "good.csv"
    path.write_text("path,L1-L4\n0.nii,1.0\n")
    (tmp_path / "file").write_text("")
    for output in (tmp_path / "file", tmp_path / ("x" * 300)):
        _, err = run(capsys, "validate", path, "--output", output, code=2)
        assert err.count("\n") == 1 and "could not be written" in err
    _, err = run(capsys, "validate", tmp_path / "none.csv", "--output", tmp_path / "o", code=2)
    assert "does not exist; check the path" in err and not (tmp_path / "o").exists()
    _, err = run(capsys, "validate", path, "--output", tmp_path / "o", "--max-days", "-3", code=2)
    assert err.count("\n") == 1 and "days" in err


@pytest.mark.skipif(os.name == "nt", reason="rights are others there")
def test_a_name_is_no_formula(check):
    rows = table()
    rows[1] = rows[1].replace("P0", "=1+1")
    output, _ = check(rows)
    assert rows_of(output / "pairs.csv")[0]["case"] == "'=1+1"


@pytest.mark.parametrize(
    ("device", "scale"),
    [
        ("Hologic Horizon A", "hologic"),
        ("HOLOGIC", "hologic"),
        ("QDR-4500", "hologic"),
        ("GE Lunar iDXA", "lunar"),
        ("lunar", "lunar"),
        ("Prodigy Advance", "lunar"),
        ("simulated DXA, Lunar scale", "lunar"),
        ("Norland XR-46", None),
        ("Hologic and Lunar", None),
        ("", None),
        (None, None),
    ],
)
def test_whose_scale_a_device_is(device, scale):
    assert device_scale(device) == scale
    assert other_scale(device, "hologic") == (scale if scale == "lunar" else None)


def test_what_says_that_it_is_simulated():
    assert is_simulated("CTBMD virtual scanner") and is_simulated(
        None, "simulated DXA, Lunar scale"
    )
    assert not is_simulated("SIEMENS", "SOMATOM Definition", None)


def test_a_virtual_hospital_is_called_simulated(check):
    rows = table(
        more=",manufacturer,device", cells=lambda n: ",CTBMD virtual scanner,simulated DXA"
    )
    output, printed = check(rows)
    assert figures_of(output)["simulated"] == "all" and "Simulated CT, simulated DXA" in printed.out
    text = (output / "report.html").read_text()
    for title in re.findall(r"<h[12]>(.*?)</h[12]>", text):
        told = ("Agreement", "Figures", "By group", "Single", "Bone density")
        assert "simulated" in title or not title.startswith(told), title


def test_whatever_a_table_holds_every_row_is_in_one_list(tmp_path):
    """Cells drawn from what people and programs write: no row is lost, and none is an accident."""
    rng = np.random.default_rng(8)
    numbers = ("950", "-2.5", "nan", "inf", "1e9", "-", "1.0.0", "\u0661", "n/a", "=1", "12")
    texts = ("gone.nii", ".", "..", "x" * 300, "\u2028", "<b>", '"q""', "ct0.nii")
    titles = ["path", "case", "L1", "L2", "L1-L4", "t_score", "t_mean", "t_sd", "interval_days"]
    titles += ["levels", "segmentation", "patient", "left_out", "sex", "strange"]
    number = {*titles[2:9]}
    usable = 0
    for _ in range(60):
        lines = [titles]
        for n in range(int(rng.integers(1, 12))):
            (tmp_path / f"ct{n}.nii").write_bytes(b"")
            line = [
                f"ct{n}.nii",
                f"c{n}",
                "",
                "",
                "1,05",
                *[""] * 10,
                *["7"] * (rng.random() < 0.1),
            ]
            for column in rng.choice(len(titles), rng.integers(0, 4)):
                cells = numbers if titles[column] in number else texts
                line[column] = str(rng.choice(cells))
            lines.append(line[: rng.integers(1, 17)] if rng.random() < 0.2 else line)
        table = tmp_path / "t.csv"
        with table.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, delimiter=";").writerows(lines)
        rows, left = read_measured(table)
        assert sorted(x.line for x in (*rows, *left)) == list(range(2, len(lines) + 1))
        for item in left:
            assert item.reason.strip() and str(tmp_path) not in item.reason, item
        for row in rows:
            assert row.total is not None or row.t_score is not None
            assert row.interval_days is None or row.interval_days <= 365
        usable += len(rows)
    assert usable > 60  # else nothing was tried but refusals
