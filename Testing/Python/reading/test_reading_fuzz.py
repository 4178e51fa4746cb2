"""Files damaged at random (seeded): what is refused is a CTBMDError of one sentence, always."""

import gzip
import warnings

import numpy as np
import pydicom
import pytest
from dicom_maker import body, write_enhanced, write_series
from volume_files import nifti_bytes, nrrd_header, write

from CTBMDLib.errors import CTBMDError
from CTBMDLib.reading.reading import read_ct
from CTBMDLib.volume import CTVolume

HU = body(6, 20, 24)


def read_or_refuse(path) -> bool:
    """Whether it was read; anything but a volume or one sentence fails the test."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # the library is quiet whatever it reads
            volume = read_ct(path)
    except CTBMDError as error:
        text = str(error)
        assert text.endswith(".") and "\n" not in text and 20 < len(text) < 600, text
        return False
    assert isinstance(volume, CTVolume) and min(volume.hu.shape) >= 3
    assert np.isfinite(volume.hu).all() and np.isfinite(volume.ijk_to_ras).all()
    return True


def damaged(content: bytes, rng, start=0, end=None) -> bytes:
    """A copy with some bytes changed, taken out, put in, or the rest cut off."""
    content = bytearray(content)
    end = min(end or len(content), len(content))
    for _ in range(rng.integers(1, 4)):
        place = int(rng.integers(start, max(end, start + 1)))
        match rng.integers(5):
            case 0:
                content[place : place + 1] = rng.integers(0, 256, 1, np.uint8).tobytes()
            case 1:
                content[place : place + 4] = bytes([rng.choice([0, 255])]) * 4
            case 2:
                del content[place : place + int(rng.integers(1, 40))]
            case 3:
                content[place:place] = rng.integers(0, 256, rng.integers(1, 40), np.uint8).tobytes()
            case 4:
                del content[place:]
    return bytes(content)


@pytest.mark.parametrize("seed", range(4))
def test_dicom_headers(tmp_path, seed):
    write_series(tmp_path, HU)
    rng = np.random.default_rng(seed)
    originals = {path: path.read_bytes() for path in tmp_path.glob("*.dcm")}
    paths = sorted(originals)
    outcomes = []
    for _ in range(40):
        path = paths[rng.integers(len(paths))]
        pixels = originals[path].index(b"\xe0\x7f\x10\x00")
        path.write_bytes(damaged(originals[path], rng, end=pixels + 12))
        outcomes.append(read_or_refuse(tmp_path))
        read_or_refuse(path)
        path.write_bytes(originals[path])
    assert False in outcomes
    assert read_or_refuse(tmp_path)


def test_dicom_values(tmp_path):
    """Every tag of one slice, then of all slices, given values it should not have."""
    write_series(tmp_path, HU)
    originals = {path: path.read_bytes() for path in sorted(tmp_path.glob("*.dcm"))}
    sample = pydicom.dcmread(next(iter(originals)))
    for element in sample:
        if element.keyword in ("PixelData", "SOPClassUID"):
            continue
        for raw in (b"", b"nan\\inf\\-1 ", b"\xff\xfe" * 8, b"999999999999999 "):
            for count in (1, len(originals)):
                for path in list(originals)[:count]:
                    path.write_bytes(_with_value(originals[path], element, raw))
                read_or_refuse(tmp_path)
                for path in list(originals)[:count]:
                    path.write_bytes(originals[path])
    assert read_or_refuse(tmp_path)


def _with_value(content: bytes, element, raw: bytes) -> bytes:
    """The file with the value of one explicit-VR element replaced by raw bytes."""
    group, number = element.tag.group, element.tag.element
    tag = group.to_bytes(2, "little") + number.to_bytes(2, "little") + element.VR.encode()
    at = content.index(tag, 132)
    length = int.from_bytes(content[at + 6 : at + 8], "little")
    return content[: at + 6] + len(raw).to_bytes(2, "little") + raw + content[at + 8 + length :]


@pytest.mark.parametrize("seed", range(2))
def test_enhanced_dicom(tmp_path, seed):
    path = tmp_path / "e.dcm"
    write_enhanced(path, HU)
    original = path.read_bytes()
    pixels = original.index(b"\xe0\x7f\x10\x00")
    rng = np.random.default_rng(seed)
    outcomes = []
    for _ in range(60):
        path.write_bytes(damaged(original, rng, end=pixels + 12))
        outcomes.append(read_or_refuse(path))
    assert False in outcomes


def test_dicom_cut_off_anywhere(tmp_path):
    write_series(tmp_path, HU)
    path = tmp_path / "series_0003.dcm"
    original = path.read_bytes()
    for length in np.linspace(0, len(original) - 1, 60).astype(int):
        path.write_bytes(original[:length])
        assert not read_or_refuse(tmp_path), length
        assert not read_or_refuse(path), length


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("version", [1, 2])
def test_nifti(tmp_path, version, zipped):
    path = tmp_path / ("ct.nii.gz" if zipped else "ct.nii")
    original = nifti_bytes(HU, version=version)
    rng = np.random.default_rng(version)
    outcomes = []
    for n in range(150):
        if zipped and n % 2:
            content = damaged(gzip.compress(original, 1), rng)
        else:
            content = damaged(original, rng, end=544)
            content = gzip.compress(content, 1) if zipped else content
        path.write_bytes(content)
        outcomes.append(read_or_refuse(path))
    assert False in outcomes


@pytest.mark.parametrize("encoding", ["raw", "gzip"])
def test_nrrd(tmp_path, encoding):
    text = nrrd_header(HU, encoding=encoding).encode() + b"\n"
    data = gzip.compress(HU.tobytes()) if encoding == "gzip" else HU.tobytes()
    rng = np.random.default_rng(5)
    outcomes = []
    for n in range(200):
        parts = (damaged(text, rng), data) if n % 3 else (text, damaged(data, rng))
        outcomes.append(read_or_refuse(write(tmp_path / "ct.nrrd", *parts)))
    assert False in outcomes


def test_noise_under_every_name(tmp_path):
    rng = np.random.default_rng(9)
    heads = (
        b"",
        bytes(128) + b"DICM",
        b"NRRD0004\n",
        b"\x1f\x8b\x08\x00",
        b"\x5c\x01\x00\x00",
        b"\x08\x00\x05\x00",
    )
    for name in ("a.dcm", "a", "a.nii", "a.nii.gz", "a.nrrd", "a.nhdr", "a.hdr", "a.img", "a.csv"):
        for head in heads:
            noise = rng.integers(0, 256, int(rng.integers(0, 2000)), np.uint8).tobytes()
            assert not read_or_refuse(write(tmp_path / name, head, noise))
    assert not read_or_refuse(tmp_path)
