"""Decoders write nothing to the terminal, and what others write is not lost."""

import os
import threading

import numpy as np
import pydicom
import pytest
from dicom_maker import write_series

from CTBMDLib.errors import CTBMDError
from CTBMDLib.reading.quiet import no_stderr
from CTBMDLib.reading.reading import read_ct

KINDS = ("JPEG2000Lossless", "JPEGLSLossless", "JPEGLosslessProcess14_1")


def compressed(folder, kind):
    gdcm = pytest.importorskip("gdcm")
    hu = write_series(folder)
    for path in folder.glob("*.dcm"):
        reader, writer = gdcm.ImageReader(), gdcm.ImageWriter()
        reader.SetFileName(str(path))
        assert reader.Read()
        change = gdcm.ImageChangeTransferSyntax()
        change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, kind)))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer.SetFileName(str(path))
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        assert writer.Write()
    return hu


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(4))
def test_damaged_compressed_pixels_write_nothing(tmp_path, kind, seed, capfd):
    compressed(tmp_path, kind)
    path = tmp_path / "series_0003.dcm"
    content = bytearray(path.read_bytes())
    rng = np.random.default_rng(seed)
    for at in rng.integers(len(content) // 2, len(content) - 10, 40):
        content[at] ^= int(rng.integers(1, 255))
    path.write_bytes(content)
    capfd.readouterr()
    try:
        read_ct(tmp_path)
    except CTBMDError as error:
        assert str(error).endswith(".")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cut", [20, 200, 500])
def test_a_compressed_file_cut_off_is_damaged(tmp_path, kind, cut, capfd):
    compressed(tmp_path, kind)
    path = tmp_path / "series_0003.dcm"
    path.write_bytes(path.read_bytes()[:-cut])
    capfd.readouterr()
    with pytest.raises(CTBMDError, match=r"'series_0003\.dcm' is cut off or damaged"):
        read_ct(tmp_path)
    assert capfd.readouterr() == ("", "")


def test_a_decoder_that_writes_to_the_descriptor_itself(tmp_path, monkeypatch, capfd):
    hu = write_series(tmp_path)
    for path in tmp_path.glob("*.dcm"):
        data = pydicom.dcmread(path)
        data.compress(pydicom.uid.RLELossless)
        data.save_as(path)
    plain = pydicom.Dataset.pixel_array.fget

    def loud(self):
        os.write(2, b"[ERROR] tag tree of the decoder\n")
        return plain(self)

    monkeypatch.setattr(pydicom.Dataset, "pixel_array", property(loud))
    os.write(2, b"before\n")
    assert np.array_equal(read_ct(tmp_path).hu, hu)
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "before\nafter\n"


def test_standard_error_comes_back_after_an_error_and_from_many_threads(capfd):
    with pytest.raises(ValueError, match="inside"), no_stderr():
        os.write(2, b"hidden\n")
        raise ValueError("inside")

    def work():
        for _ in range(50):
            with no_stderr():
                os.write(2, b"hidden\n")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.write(2, b"seen\n")
    assert capfd.readouterr().err == "seen\n"


def test_no_descriptor_is_left_open(tmp_path):
    folder = "/proc/self/fd"
    if not os.path.isdir(folder):  # noqa: PTH112
        pytest.skip("no list of open files here")
    before = len(os.listdir(folder))  # noqa: PTH208
    for _ in range(20):
        with no_stderr(), no_stderr():
            pass
    assert len(os.listdir(folder)) == before  # noqa: PTH208


def test_a_program_without_standard_error(monkeypatch):
    def closed(number):
        raise OSError(9, "Bad file descriptor")

    monkeypatch.setattr(os, "dup", closed)
    monkeypatch.setattr("sys.stderr", None)
    with no_stderr():
        done = True
    assert done
