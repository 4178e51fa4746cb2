"""Weights with a matching SHA-256 are checked again: the networks' own shapes, and finite."""

import hashlib
import io
import json

import numpy as np
import pytest
from numpy.lib import format as npy

from CTBMDLib.errors import CTBMDError
from CTBMDLib.spine import evidence
from CTBMDLib.weights import CARD, MAX_BYTES, WEIGHTS, read_card, read_weights

SHAPES = {"a": (2, 3), "b": (4,)}


def put(folder, arrays, kind="test", **card):
    folder.mkdir(exist_ok=True)
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    data = stream.getvalue()
    (folder / WEIGHTS).write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    (folder / CARD).write_text(json.dumps({"format": kind, "weights_sha256": digest, **card}))
    return digest


def good(dtype=np.float32):
    return {"a": np.arange(6, dtype=dtype).reshape(2, 3), "b": np.ones(4, dtype)}


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_what_is_whole_is_read_as_float32(tmp_path, dtype):
    digest = put(tmp_path / "m", good(dtype))
    weights = read_weights(tmp_path / "m", digest, SHAPES)
    assert list(weights) == ["a", "b"]
    assert all(value.dtype == np.float32 for value in weights.values())
    assert np.array_equal(weights["a"], good()["a"])


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"c": np.ones(1, np.float32)}, "weights-other-network"),
        ({"a": np.ones((3, 2), np.float32)}, "weights-do-not-fit"),
        ({"b": np.ones(4)}, "weights-do-not-fit"),
        ({"b": np.ones(4, np.int32)}, "weights-do-not-fit"),
        ({"b": np.array([1, np.inf, 1, 1], np.float32)}, "weights-do-not-fit"),
        ({"b": np.array([{}, 1, 1, 1], object)}, "weights-damaged"),
    ],
)
def test_foreign_weights_with_a_matching_sum(tmp_path, change, code):
    digest = put(tmp_path / "m", good() | change)
    with pytest.raises(CTBMDError) as info:
        read_weights(tmp_path / "m", digest, SHAPES)
    assert info.value.code == code


def test_weights_that_unpack_to_gigabytes_take_no_memory(tmp_path):
    """A megabyte that unpacks to a gigabyte, and heads that promise more than there is."""
    import tracemalloc
    import zipfile

    folder = tmp_path / "m"
    folder.mkdir()
    head = io.BytesIO()
    npy.write_array_header_1_0(head, {"descr": "<f4", "fortran_order": False, "shape": (1 << 33,)})
    contents = {
        "zeros": [(b"\0" * (1 << 20), 1024)],
        "promise": [(head.getvalue(), 1), (b"\0" * 16, 1)],
    }
    for parts in contents.values():
        with zipfile.ZipFile(
            folder / WEIGHTS, "w", zipfile.ZIP_DEFLATED, compresslevel=9
        ) as archive:
            archive.writestr("b.npy", b"x")
            with archive.open("a.npy", "w") as stream:
                for part, times in parts:
                    for _ in range(times):
                        stream.write(part)
        data = (folder / WEIGHTS).read_bytes()
        assert len(data) < MAX_BYTES
        tracemalloc.start()
        with pytest.raises(CTBMDError) as info:
            read_weights(folder, hashlib.sha256(data).hexdigest(), SHAPES)
        assert info.value.code == "weights-do-not-fit"
        assert tracemalloc.get_traced_memory()[1] < 8 * MAX_BYTES
        tracemalloc.stop()


def test_other_files_than_an_archive(tmp_path):
    stream = io.BytesIO()
    np.save(stream, np.ones(3))
    for data, code in (
        (stream.getvalue(), "weights-damaged"),
        (b"PK\x03\x04 and no more", "weights-damaged"),
        (b"\0" * (MAX_BYTES + 1), "weights-size"),
    ):
        (tmp_path / WEIGHTS).write_bytes(data)
        with pytest.raises(CTBMDError) as info:
            read_weights(tmp_path, hashlib.sha256(data).hexdigest(), SHAPES)
        assert info.value.code == code


def test_cards_of_another_kind(tmp_path):
    put(tmp_path / "m", good(), kind="other")
    with pytest.raises(CTBMDError, match="not the card of a CTBMD model") as info:
        read_card(tmp_path / "m", "test")
    assert info.value.code == "card-format"
    with pytest.raises(CTBMDError, match="does not exist"):
        read_card(tmp_path / "none", "test")


@pytest.mark.parametrize("harm", ["shape", "not finite", "one too few"])
def test_the_level_finders_weights_are_checked_as_well(tmp_path, harm):
    arrays = dict(evidence.load_weights())
    name = "disc.2.weight"
    if harm == "shape":
        arrays[name] = arrays[name][:3]
    elif harm == "not finite":
        arrays[name] = np.full_like(arrays[name], np.nan)
    else:
        del arrays[name]
    put(tmp_path / "m", arrays, kind=evidence.FORMAT)
    with pytest.raises(CTBMDError, match="install CTBMD again") as info:
        evidence.load_weights(tmp_path / "m")
    assert info.value.code.startswith("weights-")
