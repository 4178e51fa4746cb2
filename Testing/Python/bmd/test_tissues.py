"""Air, fat and muscle: measured where they are, told where they cannot be, corrected on demand."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from drawn_person import person
from drawn_spine import level
from phantoms import CENTRES, bundle, chosen, phantom
from volume_files import nifti_bytes, write

from CTBMDLib.bmd.estimate import estimate
from CTBMDLib.bmd.tissues import Tissues, check_tissues, correction_for, measure_tissues
from CTBMDLib.cli import main
from CTBMDLib.cohort.cases import open_case
from CTBMDLib.errors import CTBMDError

TRUE = {"air": -1000.0, "fat": -100.0, "muscle": 50.0}


def changed(volume, slope=1.0, offset=0.0):
    return replace(volume, hu=(slope * volume.hu + offset).astype(np.float32))


@pytest.mark.parametrize(
    "how", [{}, {"noise": 40.0}, {"padding": -2000.0}, {"padding": -1024.0}, {"table": True}]
)
def test_all_three_are_measured_and_a_true_scan_gets_no_word(how):
    tissues = measure_tissues(person(**how), [level()])
    for name, hu in TRUE.items():
        assert getattr(tissues, name) == pytest.approx(hu, abs=5)
    assert check_tissues(tissues, 120.0) == []


@pytest.mark.parametrize("kvp, darker", [(80.0, 12.0), (100.0, 5.0), (120.0, 0.0), (140.0, -3.0)])
@pytest.mark.parametrize("fat, muscle", [(-98.0, 32.0), (-101.0, 21.0), (-108.0, 52.0)])
def test_values_too_steep_show_by_fat_where_air_is_cut_off(fat, muscle, kvp, darker):
    true = Tissues(None, fat - darker, muscle)  # as the shared scans and virtual people have them
    assert check_tissues(true, kvp) == []
    steep = Tissues(-1024.0, 1.3 * true.fat, 1.3 * muscle)
    (one,) = check_tissues(steep, kvp)
    assert one.code == "tissue-hu" and one.text.startswith(f"Fat has {steep.fat:.0f} HU")


def test_what_is_not_in_view_is_unknown():
    inside = person(wide=70)
    crop = replace(inside, hu=inside.hu[:, 30:90])
    matrix = crop.ijk_to_ras.copy()
    matrix[1, 3] += 30 * 2.5
    tissues = measure_tissues(replace(crop, ijk_to_ras=matrix), [level()])
    assert tissues.air is None and tissues.muscle == pytest.approx(50, abs=5)
    masked = person(air=-1000.0, noise=0.0)  # air that was never measured
    assert measure_tissues(masked, [level()]).air is None
    assert measure_tissues(phantom(), [level()]).air is None  # gas and lung are no air either


@pytest.mark.parametrize(
    "slope, offset, words",
    [
        (1.0, 60.0, "Fat has -40"),
        (1.0, 80.0, "Air outside the body has -920"),
        (1.0, -40.0, "fat has -140"),
        (1.1, 0.0, "Air outside the body has -1100"),
        (0.9, 0.0, "Air outside the body has -900"),
    ],
)
def test_values_that_are_off_are_told_with_the_offer_and_corrected_when_asked(slope, offset, words):
    tissues = measure_tissues(changed(person(), slope, offset), [level()])
    (one,) = check_tissues(tissues, 120.0)
    assert (one.code, one.level, one.severity) == ("tissue-hu", None, "warning")
    assert words.lower() in one.text.lower() and "--correct-values" in one.text
    line = correction_for(tissues, 120.0)
    assert line.slope * slope == pytest.approx(1, abs=0.01)
    for name, hu in TRUE.items():
        assert line.slope * getattr(tissues, name) + line.offset == pytest.approx(hu, abs=5)


def test_low_voltages_and_contrast_agent_move_what_is_possible():
    assert check_tissues(Tissues(fat=-132.0), 80.0) == []
    assert [x.code for x in check_tissues(Tissues(fat=-132.0), 120.0)] == ["tissue-hu"]
    assert check_tissues(Tissues(muscle=100.0), None, enhanced=True) == []
    (one,) = check_tissues(Tissues(muscle=100.0), None)
    assert "--correct-values" not in one.text  # nothing to correct by
    assert check_tissues(Tissues(), None) == []


@pytest.mark.parametrize(
    "tissues, words",
    [
        (Tissues(None, -60.0, 90.0), "air cannot"),
        (Tissues(-900.0, None, 90.0), "fat cannot"),
        (Tissues(-600.0, -60.0, 90.0), "something else"),
        (Tissues(-50.0, -60.0, 90.0), "something else"),
    ],
)
def test_a_correction_that_cannot_be_is_refused(tissues, words):
    with pytest.raises(CTBMDError, match=words) as info:
        correction_for(tissues, 120.0)
    assert info.value.code == "no-correction"


def test_an_estimate_corrects_only_when_asked_and_says_so_in_every_row(tmp_path):
    own, true = bundle(tmp_path / "b"), person()
    off = changed(true, 1.0, 60.0)
    levels = chosen(("L2", "L3"))
    assert all(true.contains(CENTRES[x.level]) for x in levels)
    wrong = estimate(off, levels, own, backend="numpy")
    mended = estimate(off, levels, own, backend="numpy", correct_values=True)
    assert "tissue-hu" in [x.code for x in wrong.findings]
    assert wrong.total.trabecular_hu == pytest.approx(mended.total.trabecular_hu + 60, abs=5)
    codes = [x.code for x in mended.findings]
    assert codes.count("values-corrected") == 1 and "tissue-hu" not in codes
    for row in mended.rows:
        assert row.findings.count("values were corrected") == 1
    assert all("were corrected" not in row.findings for row in wrong.rows)


def test_the_shell_takes_the_option(tmp_path, capsys, monkeypatch):
    seen = {}

    def stop(*_, **how):
        seen.update(how)
        raise CTBMDError("enough", "no-correction")

    monkeypatch.setattr("CTBMDLib.cohort.cases.open_case", lambda *_, **__: (None, None))
    monkeypatch.setattr("CTBMDLib.bmd.estimate.estimate", stop)
    assert main(["estimate", str(tmp_path)]) == 2 and seen["correct_values"] is False
    assert main(["estimate", str(tmp_path), "--correct-values"]) == 2
    assert seen["correct_values"] is True and "enough" in capsys.readouterr().err


def test_a_batch_corrects_each_scan_when_asked_and_says_so_in_every_row(tmp_path, capsys):
    from CTBMDLib.cohort.batch import Job, run_batch
    from CTBMDLib.cohort.cluster import Remote
    from CTBMDLib.errors import Cancelled
    from CTBMDLib.model.bundle import ModelBundle

    bundle(tmp_path / "b")
    off = changed(person(), 1.0, 60.0)
    for name in ("c0.nii", "c1.nii"):
        write(tmp_path / name, nifti_bytes(off.hu, off.ijk_to_ras))
    points = [{"level": x, "ras": list(CENTRES[x])} for x in ("L2", "L3")]
    (tmp_path / "levels.json").write_text(json.dumps({"levels": points}))
    (tmp_path / "two.csv").write_text(
        "path,levels,kvp\nc0.nii,levels.json,120\nc1.nii,levels.json,120\n"
    )
    own, output, ended = ModelBundle.load(tmp_path / "b"), tmp_path / "t.csv", []
    with pytest.raises(Cancelled):
        run_batch(
            tmp_path / "two.csv", output, own, correct_values=True,
            on_case=lambda *x: ended.append(x), should_cancel=lambda: bool(ended),
        )  # fmt: skip
    command = ["batch", tmp_path / "two.csv", "--model", tmp_path / "b", "--output", output]
    assert main([str(x) for x in command]) == 2  # a table is not half of one, half of the other
    assert "--correct-values" in capsys.readouterr().err
    assert main([str(x) for x in (*command, "--correct-values")]) == 0
    assert "Taken over from an interrupted run: 1 case." in capsys.readouterr().out
    rows = list(csv.DictReader(output.open()))
    volume, levels = open_case(tmp_path / "c0.nii", levels=tmp_path / "levels.json")
    alone = estimate(volume, levels, own, kvp=120.0, correct_values=True).rows
    assert len(rows) == 2 * len(alone)
    for row, mine in zip(rows, [*alone, *alone], strict=True):
        assert row["findings"].count("values were corrected") == 1
        assert row["bmd_g_cm2"] == f"{mine.bmd_g_cm2:.3f}"
    job = Job(own, None, "auto", False, None, b"", correct_values=True)
    assert Remote.of(job).job().correct_values  # on another machine too
