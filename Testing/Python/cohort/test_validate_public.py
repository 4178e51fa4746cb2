"""VerSe and LUMOS as tables for a validation, on small made-up folders of the same form."""

import csv
import itertools
import json

import numpy as np
import pytest
from dicom_maker import write_series
from phantoms import CENTRES, bundle, phantom
from volume_files import nifti_bytes, write

from CTBMDLib.cli import main
from CTBMDLib.cohort.cases import load_levels
from CTBMDLib.cohort.validate_lumos import lumos_table
from CTBMDLib.cohort.validate_verse import levels_of_centroids, subject_name, verse_table
from CTBMDLib.errors import CTBMDError
from CTBMDLib.volume import CTVolume

LABELS = {"L1": 20, "L2": 21, "L3": 22}


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def stored(array, matrix, order, flips):
    """The same volume with other axes: voxel axis n is the old `order[n]`, turned where flipped."""
    ijk = np.transpose(array, (2, 1, 0))
    turn, offset = np.zeros((3, 3)), np.zeros(3)
    for new, (old, flip) in enumerate(zip(order, flips, strict=True)):
        turn[old, new] = -1 if flip else 1
        offset[old] = ijk.shape[old] - 1 if flip else 0
    out = np.transpose(ijk, order)
    out = out[tuple(slice(None, None, -1 if flip else 1) for flip in flips)]
    moved = matrix.copy()
    moved[:3, 3] = matrix[:3, :3] @ offset + matrix[:3, 3]
    moved[:3, :3] = matrix[:3, :3] @ turn
    return np.ascontiguousarray(np.transpose(out, (2, 1, 0))), moved


def centroids(volume, letters):
    """What VerSe writes of `CENTRES`: voxels counted along `letters` (towards them)."""
    where = {"R": 0, "L": 0, "A": 1, "P": 1, "S": 2, "I": 2}
    out = [{"direction": list(letters)}]
    directions = volume.ijk_to_ras[:3, :3]
    for level, ras in CENTRES.items():
        ijk = volume.ijk_from_ras(ras)
        item = {"label": LABELS[level]}
        for name, letter in zip("XYZ", letters, strict=True):
            own = int(np.abs(directions[where[letter]]).argmax())
            along = (directions[where[letter], own] > 0) == (letter in "RAS")
            size = volume.hu.shape[2 - own]
            item[name] = round(float(ijk[own] if along else size - 1 - ijk[own]), 1)
        out.append(item)
    return out


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("flips", list(itertools.product((False, True), repeat=3)))
def test_centroids_mean_the_same_place_however_the_image_is_stored(order, flips):
    plain = phantom(spacing=(4.0, 5.0, 6.0))
    hu, matrix = stored(plain.hu, plain.ijk_to_ras, order, flips)
    volume = CTVolume(hu, matrix)
    for letters in ("PIR", "ASL", "LPS", "RAS", "SRP"):
        selection = levels_of_centroids(centroids(volume, letters), volume)
        assert [item.level for item in selection] == list(CENTRES)
        for item in selection:
            assert item.ras == pytest.approx(CENTRES[item.level], abs=0.3), letters
            assert item.source == "segment" and item.included


@pytest.mark.parametrize(
    "content",
    [
        {},
        [],
        [1],
        [{"label": 20, "X": 1, "Y": 1, "Z": 1}],
        [{"direction": ["P", "I"]}],
        [{"direction": ["P", "I", "Q"]}],
        [{"direction": ["P", "I", "S"]}, {"label": 20, "X": 1, "Y": 1, "Z": 1}],
        [{"direction": ["P", "I", "R"]}],
        [{"direction": ["P", "I", "R"]}, {"label": 12, "X": 1, "Y": 1, "Z": 1}],
        [{"direction": ["P", "I", "R"]}, {"label": 20, "X": 1, "Y": 1}],
        [{"direction": ["P", "I", "R"]}, {"label": 20, "X": "nan", "Y": 1, "Z": 1}],
    ],
)
def test_centroids_that_are_none(content):
    with pytest.raises(CTBMDError):
        levels_of_centroids(content, phantom(spacing=(6.0, 6.0, 6.0)))


@pytest.mark.parametrize("text", ["sub-verse004", "verse004", "Verse004", " 4", "4.0", "004"])
def test_a_subject_however_it_is_written(text):
    assert subject_name(text) == "verse004"
    assert subject_name("sub-gl003") == "gl003"


@pytest.fixture(scope="module")
def verse(tmp_path_factory):
    """A folder as VerSe's: training/rawdata and training/derivatives, images stored in two ways."""
    root = tmp_path_factory.mktemp("verse")
    plain = phantom(spacing=(3.0, 3.0, 3.0))
    s = plain.ijk_to_ras[2, 3] + 3.0 * np.arange(plain.hu.shape[0])[:, None, None]
    mask = np.zeros(plain.hu.shape, np.int16)
    for level, value in LABELS.items():
        mask[(plain.hu == 200) & (np.abs(s - CENTRES[level][2]) < 13)] = value
    raw, made = root / "training/rawdata", root / "training/derivatives"

    def image(name, subject, order=(0, 1, 2), flips=(False, False, False)):
        folder = raw / f"sub-{subject}"
        folder.mkdir(parents=True, exist_ok=True)
        (made / f"sub-{subject}").mkdir(parents=True, exist_ok=True)
        hu, matrix = stored(plain.hu.astype(np.int16), plain.ijk_to_ras, order, flips)
        write(folder / f"{name}_ct.nii.gz", nifti_bytes(hu, matrix), zipped=True)
        labels, _ = stored(mask, plain.ijk_to_ras, order, flips)
        return made / f"sub-{subject}", labels, matrix, CTVolume(hu, matrix)

    def masked(name, subject, **way):
        folder, labels, matrix, volume = image(name, subject, **way)
        path = folder / f"{name}_seg-vert_msk.nii.gz"
        write(path, nifti_bytes(labels, matrix), zipped=True)
        return folder, volume

    pir = {"order": (1, 2, 0), "flips": (True, True, False)}
    masked("sub-verse004", "verse004")
    folder, _, _, volume = image("sub-verse005_dir-ax", "verse005", **pir)
    text = json.dumps(centroids(volume, "PIR"))
    (folder / "sub-verse005_dir-ax_seg-vb_ctd.json").write_text(text)
    folder, volume = masked("sub-verse006_split-verse253", "verse006", **pir)
    text = json.dumps(centroids(volume, "PIR"))
    (folder / "sub-verse006_split-verse253_seg-subreg_ctd.json").write_text(text)
    masked("sub-verse006_split-verse254", "verse006")
    masked("sub-verse007", "verse007")
    folder, _, _, _ = image("sub-gl003_dir-sag", "gl003")
    (folder / "sub-gl003_dir-sag_seg-vb_ctd.json").write_text("[{]")
    again = root / "validation/rawdata/sub-verse004"
    again.mkdir(parents=True)
    (again / "sub-verse004_ct.nii.gz").write_bytes(
        (raw / "sub-verse004/sub-verse004_ct.nii.gz").read_bytes()
    )
    (root / "dxa.csv").write_text(
        "subject,t_score,sex,age,interval_days\n"
        "4,-1.2,F,70,12\nsub-verse005,-2.8,M,65,\nverse006,0.4,F,,200\ngl003,-0.1,F,,\n99,1.0,F,,\n"
    )
    return root


def test_verse_becomes_a_table_that_leaves_nothing_out(verse, tmp_path):
    path = verse_table(verse, verse / "dxa.csv", tmp_path, False)
    rows = {row["case"]: row for row in rows_of(path)[::-1]}
    assert len(rows_of(path)) == 8 and path.stat().st_mode & 0o077 == 0
    assert rows["verse004"]["segmentation"].endswith("sub-verse004_seg-vert_msk.nii.gz")
    assert rows["verse004"]["t_score"] == "-1.2" and rows["verse004"]["age"] == "70"
    both = [rows[f"verse006_split-verse{n}"] for n in (253, 254)]
    assert {row["patient"] for row in both} == {"verse006"} and all(
        row["segmentation"] for row in both
    )
    levels = load_levels(rows["verse005_dir-ax"]["levels"])
    for item in levels:
        assert item.ras == pytest.approx(CENTRES[item.level], abs=0.3)
    reasons = [row["left_out"] for row in rows_of(path) if row["left_out"]]
    assert sorted(reasons) == [
        "The file of centroids cannot be read as JSON.",
        "another file of the same name was taken, as VerSe 2020 repeats 2019",
        "no CT of this subject in the folder",
        "no DXA of this subject in the table",
    ]
    assert verse_table(verse, verse / "dxa.csv", tmp_path, False) == path  # the same stays


def test_verse_is_validated(verse, tmp_path, capsys):
    bundle(tmp_path / "model", members=1)
    output = tmp_path / "out"
    command = ["validate", verse / "dxa.csv", "--verse", verse, "--output", output]
    command += ["--model", tmp_path / "model", "--reference", "nhanes-hologic"]
    assert main([str(x) for x in command]) == 0
    assert "4 cases compared, 4 cases left out" in capsys.readouterr().out
    pairs = rows_of(output / "pairs.csv")
    assert [row["person"] for row in pairs] == ["1", "2", "3", "3"]
    assert [float(row["dxa_t"]) for row in pairs] == [-1.2, -2.8, 0.4, 0.4]
    assert {row["chosen"] for row in pairs} == {"segment"}
    assert {row["levels"] for row in pairs} == {"L1 L2 L3"}
    # The same body: by mask and by centroids, stored in either way, the HU are the bone's.
    assert [float(row["trabecular_hu"]) for row in pairs] == pytest.approx([200.0] * 4, abs=2)
    assert len(rows_of(output / "left_out.csv")) == 4
    assert "sub-" not in (output / "left_out.csv").read_text()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name,t_score\nverse004,1\n", "no column that names the subject"),
        ("subject,t_score\n4,1\nverse004,2\n", "two rows for verse004"),
    ],
)
def test_tables_of_dxa_that_are_refused(verse, tmp_path, text, said):
    table = tmp_path / "dxa.csv"
    table.write_text(text)
    with pytest.raises(CTBMDError, match=said):
        verse_table(verse, table, tmp_path, False)


def test_folders_that_are_no_data_set(verse, tmp_path):
    table = verse / "dxa.csv"
    (tmp_path / "empty").mkdir()
    with pytest.raises(CTBMDError, match="holds no VerSe image"):
        verse_table(tmp_path / "empty", table, tmp_path, False)
    with pytest.raises(CTBMDError, match="is no folder"):
        verse_table(tmp_path / "none", table, tmp_path, False)
    with pytest.raises(CTBMDError, match="holds no CT of LUMOS"):
        lumos_table(tmp_path / "empty", table, tmp_path, False)
    (tmp_path / "empty/lumos_ct_001_070_dcm.zip").write_bytes(b"PK")
    with pytest.raises(CTBMDError, match="unpack the archives"):
        lumos_table(tmp_path / "empty", table, tmp_path, False)


def test_lumos_becomes_a_table(tmp_path, capsys):
    """Folders lumos_ct_NNN of DICOM, and the clinical table with its own titles."""
    plain = phantom(spacing=(3.0, 3.0, 3.0))
    corner = plain.ijk_to_ras[:3, 3]
    for number in (1, 2, 3):
        hu, count = np.rint(plain.hu[:, ::-1, ::-1]).astype(np.int16), len(plain.hu)
        last = corner[:2] + 3.0 * (np.array(plain.hu.shape[:0:-1]) - 1)
        write_series(
            tmp_path / f"ct/lumos_ct_{number:03d}",
            hu,
            patient=f"LUMOS{number}",
            positions=[(-last[0], -last[1], corner[2] + 3.0 * k) for k in range(count)],
            spacing=3.0,
            PixelSpacing=[3.0, 3.0],
            SliceThickness="3",
        )
    (tmp_path / "clinical.csv").write_text(
        "patient_id,age,gender,ethnicity,BMI,Osteoporosis,bmd,bmd_L1-L2,bmd_L1-L4,T_L1-L4,t_value\n"
        "1,68,Female,Han,22,2,0.7,0.72,0.741,-3.1,-3.11\n"
        "2,30,Male,Han,25,1,0.9,0.93,0.940,-1.5,-1.45\n"
        "700,59,Female,Han,,0,1.0,1.0,1.019,-0.8,-0.79\n"
    )
    path = lumos_table(tmp_path / "ct", tmp_path / "clinical.csv", tmp_path, False)
    rows = rows_of(path)
    assert [row["case"] for row in rows] == ["lumos_ct_001", "lumos_ct_002", "lumos_ct_003"]
    assert [row["L1-L4"] for row in rows] == ["0.741", "0.940", ""]
    assert [(row["sex"], row["age"]) for row in rows[:2]] == [("F", "68"), ("M", "30")]
    assert rows[2]["left_out"] == "no row of this patient in the table"
    bundle(tmp_path / "model", members=1)
    points = [{"level": x, "ras": list(CENTRES[x])} for x in CENTRES]
    (tmp_path / "levels.json").write_text(json.dumps({"levels": points}))
    corrected = tmp_path / "corrected.csv"
    with corrected.open("w", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0], "levels"])
        writer.writeheader()
        writer.writerows([row | {"levels": "levels.json"} for row in rows])
    output = tmp_path / "out"
    command = ["validate", corrected, "--output", output, "--model", tmp_path / "model"]
    assert main([str(x) for x in command]) == 0, capsys.readouterr().err
    pairs = rows_of(output / "pairs.csv")
    assert [(row["dxa_g_cm2"], row["dxa_t"]) for row in pairs] == [
        ("0.741", "-3.10"),
        ("0.940", "-1.50"),
    ]
    assert [float(row["trabecular_hu"]) for row in pairs] == pytest.approx([200.0] * 2, abs=2)
    assert {row["manufacturer"] for row in pairs} == {"ACME"} and {row["kvp"] for row in pairs} == {
        "120"
    }
