"""A compressed image that states another size than its header is refused before it is decoded."""

import io
import struct

import numpy as np
import pydicom
import pytest
from dicom_maker import body, write_series
from pydicom.uid import JPEG2000Lossless, RLELossless

from CTBMDLib.errors import CTBMDError
from CTBMDLib.reading.codestream import fits
from CTBMDLib.reading.reading import read_ct

HU = body(4, 64, 64)
SIZ = b"\xff\x4f\xff\x51"


def jpeg2000(**changes):
    values = {"x": 64, "y": 48, "x0": 0, "y0": 0, "tx": 64, "ty": 48, "tx0": 0, "ty0": 0, "n": 1}
    values |= changes
    return b"item" + SIZ + struct.pack(">HHIIIIIIIIH", 41, 0, *values.values()) + b"rest"


def jpeg(rows, columns, marker=0xC3):
    more = b"\xff\xe0\x00\x04ab"
    frame = struct.pack(">BBHBHH", 0xFF, marker, 11, 16, rows, columns)
    return b"item\xff\xd8" + more + frame + b"rest"


@pytest.mark.parametrize(
    ("pixels", "good"),
    [
        (b"", True),
        (b"no marker at all", True),
        (jpeg2000(), True),
        (jpeg2000(x=70, x0=6, tx=70), True),
        (jpeg2000(tx=16, ty=16), True),
        (jpeg2000() + jpeg2000(), True),
        (jpeg2000() + jpeg2000(y=49), False),
        (jpeg2000(x=127766809, y=1283163231), False),
        (jpeg2000(x=65, x0=1, tx=1, tx0=0), False),
        (jpeg2000(x=2**31, x0=2**31 - 64, tx=2**31), False),
        (jpeg2000(tx=0), False),
        (jpeg2000(ty0=5), False),
        (jpeg2000(n=0), False),
        (jpeg2000(n=16384), False),
        (jpeg2000()[:20], False),
        (jpeg(48, 64), True),
        (jpeg(48, 64, 0xF7), True),
        (jpeg(48, 65), False),
        (jpeg(65535, 65535, 0xF7), False),
        (jpeg(48, 64)[:12], True),  # the decoder's to refuse
    ],
)
def test_the_size_that_a_codestream_states(pixels, good):
    assert fits(pixels, 48, 64) is good


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, RLELossless])
def test_a_size_of_gigabytes_never_reaches_the_decoder(tmp_path, monkeypatch, syntax):
    write_series(tmp_path, HU)
    files = sorted(tmp_path.iterdir())
    for path in files:
        data = pydicom.dcmread(path)
        try:
            data.compress(syntax)
        except NotImplementedError:
            pytest.skip("pydicom before 3.0 writes no JPEG 2000")
        data.save_as(path)
    assert np.array_equal(read_ct(tmp_path).hu, HU)
    if syntax == RLELossless:
        return
    content = files[2].read_bytes()
    at = content.index(SIZ) + 8
    files[2].write_bytes(content[:at] + struct.pack(">II", 60_000, 60_000) + content[at + 8 :])
    from CTBMDLib.reading import pixels

    real, seen = pixels._decoded, io.StringIO()
    monkeypatch.setattr(
        pixels, "_decoded", lambda data, name: seen.write(name) and real(data, name)
    )
    with pytest.raises(CTBMDError, match="'series_0002.dcm' is cut off or damaged"):
        read_ct(tmp_path)
    assert "0002" not in seen.getvalue() and "0001" in seen.getvalue()


@pytest.mark.parametrize("place", [1e6, -1e12, 1e300])
def test_a_position_that_no_scanner_has_is_refused(tmp_path, place):
    write_series(tmp_path, HU, edit=lambda k, d: setattr(d, "ImagePositionPatient", [0, place, k]))
    with pytest.raises(CTBMDError, match="positions in the header cannot be right"):
        read_ct(tmp_path)
