"""The kinds of input: what is damaged in each, and how it is read."""

from __future__ import annotations

import functools
import gzip
import hashlib
import io
import json
import sys
import tempfile
import zipfile
from collections.abc import Callable, Hashable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.uid import JPEG2000Lossless, RLELossless

HELPERS = Path(__file__).resolve().parents[1] / "Python" / "helpers"
if str(HELPERS) not in sys.path:
    sys.path.insert(0, str(HELPERS))

from dicom_maker import body, write_enhanced, write_series  # noqa: E402
from phantoms import CENTRES, bundle, chosen, phantom  # noqa: E402
from volume_files import nifti_bytes, nrrd_header  # noqa: E402

from CTBMDLib.bmd.estimate import estimate  # noqa: E402
from CTBMDLib.bmd.reference import ReferenceTable  # noqa: E402
from CTBMDLib.cohort.caselist import list_cases  # noqa: E402
from CTBMDLib.cohort.cases import load_levels  # noqa: E402
from CTBMDLib.cohort.identity import Register  # noqa: E402
from CTBMDLib.cohort.journal import Journal  # noqa: E402
from CTBMDLib.cohort.pairs import read_pairs  # noqa: E402
from CTBMDLib.errors import CTBMDError  # noqa: E402
from CTBMDLib.model.bundle import ModelBundle  # noqa: E402
from CTBMDLib.model.card import card_text  # noqa: E402
from CTBMDLib.reading.reading import read_ct, read_labels  # noqa: E402
from CTBMDLib.spine.segments import guess_names, levels_from_labels  # noqa: E402
from CTBMDLib.volume import CTVolume  # noqa: E402
from CTBMDLib.weights import card_digest  # noqa: E402

from .damage import NUMBERS, damaged, damaged_json, damaged_text  # noqa: E402

Files = dict[str, bytes]
Damage = Callable[[Files, np.random.Generator], Files]

HU = body(6, 20, 24)
PIXELS = b"\xe0\x7f\x10\x00"
ODD_VALUES = (
    b"", b"nan\\inf\\-1 ", b"\xff\xfe" * 8, b"999999999999999 ", b"0 ", b"-1", b"1e400 ", b"1\\2\\3 ",
    b"\0\0", b"\xff\xff", b"\x01\0", b"A" * 200, b"0\\0\\0\\0\\0\\0 ", b"LOCALIZER ", b"MR",
)  # fmt: skip


@dataclass(frozen=True)
class Target:
    """One kind of input.

    Attributes
    ----------
    name : str
    files : dict of str to bytes
        The input as it should be.
    damage : callable(files, rng) -> files
    read : callable(folder) -> hashable
        What CTBMD makes of it; the same value for the same input.
    sealed : bool
        Whether a checksum guards what is damaged, so that no other value may come.
    right : hashable
        What `read` makes of the whole input.
    """

    name: str
    files: Files
    damage: Damage
    read: Callable[[Path], Hashable]
    sealed: bool = False
    right: Hashable = None

    @staticmethod
    def write(files: Files, folder: Path) -> None:
        """Put files into a folder that is not there yet."""
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def targets() -> list[Target]:
    """All kinds of input, each with its right answer."""
    made = [*_dicom(), *_volumes(), *_texts(), *_models(), *_labels()]
    out = []
    for item in made:
        with tempfile.TemporaryDirectory() as folder:
            item.write(item.files, Path(folder) / "case")
            right = item.read(Path(folder) / "case")
        out.append(Target(item.name, item.files, item.damage, item.read, item.sealed, right))
    return out


def _written(write: Callable[[Path], Any]) -> Files:
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder))
        paths = sorted(path for path in Path(folder).rglob("*") if path.is_file())
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def _one(change: Callable[[bytes, np.random.Generator], bytes], *names: str) -> Damage:
    """Damage of one of the files, or of one of those named."""

    def damage(files: Files, rng: np.random.Generator) -> Files:
        among = names or tuple(files)
        name = among[rng.integers(len(among))]
        return files | {name: change(files[name], rng)}

    return damage


def _volume(volume: CTVolume) -> Hashable:
    """A volume as one value; it must be finite."""
    if not (np.isfinite(volume.hu).all() and np.isfinite(volume.ijk_to_ras).all()):
        raise ArithmeticError("a volume that is not finite")
    if min(volume.hu.shape) < 3:
        raise ArithmeticError("a volume too thin")
    hu = np.ascontiguousarray(volume.hu, np.float32)
    return hu.shape, hashlib.sha256(hu).hexdigest(), volume.ijk_to_ras.round(6).tobytes()


# -- DICOM ----------------------------------------------------------------------
def _dicom() -> list[Target]:
    series = _written(lambda folder: write_series(folder, HU))
    wider = _written(lambda folder: write_series(folder, body(4, 64, 64)))
    enhanced = _written(lambda folder: write_enhanced(folder / "e.dcm", HU))

    def head(content: bytes, rng: np.random.Generator) -> bytes:
        return damaged(content, rng, end=content.index(PIXELS) + 12)

    def tail(content: bytes, rng: np.random.Generator) -> bytes:
        return damaged(content, rng, start=content.index(PIXELS))

    def read(folder: Path) -> Hashable:
        return _volume(read_ct(folder))

    return [
        Target("DICOM header", series, _one(head), read),
        Target("DICOM values", series, _values, read),
        Target("DICOM pixels", series, _one(tail), read),
        Target("DICOM in RLE", _packed(series, RLELossless), _one(tail), read),
        Target("DICOM in JPEG 2000", _packed(wider, JPEG2000Lossless), _one(tail), read),
        Target("enhanced DICOM", enhanced, _one(head), read),
        Target(
            "ZIP of DICOM", _zip(series), _one(damaged), lambda x: _volume(read_ct(x / "a.zip"))
        ),
    ]


def _packed(files: Files, syntax: Any) -> Files:
    """The same images, their pixels compressed."""
    out = {}
    for name, content in files.items():
        data = pydicom.dcmread(io.BytesIO(content))
        data.compress(syntax)
        file = io.BytesIO()
        data.save_as(file, enforce_file_format=True)
        out[name] = file.getvalue()
    return out


def _values(files: Files, rng: np.random.Generator) -> Files:
    """One value of one image, of some or of all replaced."""
    names = list(files)
    count = int(rng.choice([1, 1, 2, len(names)]))
    places = _places(files[names[0]])
    group = places[rng.integers(len(places))]
    odd = (*ODD_VALUES, *NUMBERS)
    raw = odd[rng.integers(len(odd))]
    raw += b" " * (len(raw) % 2)
    return files | {name: _with_value(files[name], group, raw) for name in names[:count]}


def _places(content: bytes) -> list[bytes]:
    """Tag and VR of each element with a short length (explicit VR) of a file."""
    sample = pydicom.dcmread(io.BytesIO(content))
    return [
        element.tag.group.to_bytes(2, "little")
        + element.tag.element.to_bytes(2, "little")
        + element.VR.encode()
        for element in sample
        if element.keyword != "PixelData"
    ]


def _with_value(content: bytes, tag: bytes, raw: bytes) -> bytes:
    at = content.index(tag, 132)
    length = int.from_bytes(content[at + 6 : at + 8], "little")
    return content[: at + 6] + len(raw).to_bytes(2, "little") + raw + content[at + 8 + length :]


def _zip(files: Files) -> Files:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(f"study/{name}"), content, zipfile.ZIP_DEFLATED)
    return {"a.zip": packed.getvalue()}


# -- NIfTI and NRRD ---------------------------------------------------------------
def _volumes() -> list[Target]:
    nifti = {version: nifti_bytes(HU, version=version) for version in (1, 2)}
    text = nrrd_header(HU, encoding="gzip").encode() + b"\n"
    packed = gzip.compress(HU.tobytes(), 1, mtime=0)
    raw = nrrd_header(HU, encoding="raw").encode() + b"\n" + HU.tobytes()
    apart = nrrd_header(HU, encoding="raw", data_file="ct.raw").encode() + b"\n"

    def read(name: str) -> Callable[[Path], Hashable]:
        return lambda folder: _volume(read_ct(folder / name))

    def head(content: bytes, rng: np.random.Generator) -> bytes:
        return damaged(content, rng, end=552)

    def inside(content: bytes, rng: np.random.Generator) -> bytes:
        return gzip.compress(head(gzip.decompress(content), rng), 1)

    def field(content: bytes, rng: np.random.Generator) -> bytes:
        start, data = content.split(b"\n\n", 1)
        return damaged_text(start, rng) + b"\n\n" + data

    def stream(content: bytes, rng: np.random.Generator) -> bytes:
        # The two bytes that say what it is are spared: without them it is read as what it is not.
        return damaged(content, rng, start=len(text) + 2 if content.startswith(b"NRRD") else 2)

    zipped = {"ct.nii.gz": gzip.compress(nifti[1], 1, mtime=0)}
    return [
        Target("NIfTI-1", {"ct.nii": nifti[1]}, _one(head), read("ct.nii")),
        Target("NIfTI-2", {"ct.nii": nifti[2]}, _one(head), read("ct.nii")),
        Target("NIfTI, in gzip", zipped, _one(inside), read("ct.nii.gz")),
        Target("gzip of NIfTI", zipped, _one(stream), read("ct.nii.gz"), sealed=True),
        Target("NRRD", {"ct.nrrd": raw}, _one(field), read("ct.nrrd")),
        Target("NRRD, bytes", {"ct.nrrd": raw}, _one(damaged), read("ct.nrrd")),
        Target("gzip of NRRD", {"ct.nrrd": text + packed}, _one(stream), read("ct.nrrd"), sealed=True),
        Target("NRRD in two files", {"ct.nhdr": apart, "ct.raw": HU.tobytes()}, _one(damaged_text, "ct.nhdr"),
               read("ct.nhdr")),
    ]  # fmt: skip


# -- texts ------------------------------------------------------------------------
LEVELS = {
    "series_uid": "1.2.3", "numbering": "sacrum", "findings": ["a finding"],
    "levels": [
        {"level": level, "ras": list(place), "confidence": 0.9, "source": "found", "included": True,
         "axis": [0.0, 0.1, 0.99], "height_mm": 27.0}
        for level, place in CENTRES.items()
    ],
}  # fmt: skip


@functools.cache
def _small() -> tuple[CTVolume, ModelBundle]:
    """A coarse phantom and an untrained bundle, to estimate with."""
    volume = phantom(spacing=(4.0, 4.0, 5.0), kvp=120.0, series_uid="1.2.3")
    with tempfile.TemporaryDirectory() as folder:
        return volume, bundle(Path(folder), members=1)


def _answer(levels: Any, model: ModelBundle | None = None, **more: Any) -> Hashable:
    """The table that an estimate gives, as text."""
    from CTBMDLib.bmd.export import format_table, to_delimited, to_json

    volume, plain = _small()
    result = estimate(volume, levels, model or plain, backend="numpy", **more)
    return format_table(result) + to_json([result]) + to_delimited([result], ",")


def _texts() -> list[Target]:
    nhanes = json.loads(
        (HELPERS.parents[2] / "CTBMDLib/References/nhanes-hologic.json").read_text()
    )
    volume, model = _small()
    result = estimate(volume, chosen(), model, backend="numpy")
    listed = b'path,case,sex,age,kvp,levels,series_uid\na.nii,A,F,61,120,a.json,1.2\n"b, c.nii",B,M,,,,\n'
    pairs = (
        b"case,path,L1,L2,L3,L4,L1-L4,sex,age,dxa_device\nA,a.nii,0.9,0.95,1.0,0.98,0.957,F,61,H\n"
    )
    pairs += b"B,b.nii,,,,,1.1,M,70,H\n"

    def levels(folder: Path) -> Hashable:
        return _answer(load_levels(folder / "levels.json"))

    def reference(folder: Path) -> Hashable:
        table = ReferenceTable.load(folder / "table.json")
        return _answer(chosen(), reference=table, sex="F")

    def journal(folder: Path) -> Hashable:
        with_it = Journal(folder / "t.csv", {"x": 1}, overwrite=False)
        known = with_it.result("key")
        if known is None:  # the case is computed again
            raise CTBMDError("This journal does not know the case.", "not-known")
        return json.dumps(known.to_dict())

    with tempfile.TemporaryDirectory() as folder:
        kept = Journal(Path(folder) / "t.csv", {"x": 1}, overwrite=True)
        kept.add("key", result)
        lines = kept.path.read_bytes()

    def register(folder: Path) -> Hashable:
        known = list_cases(folder / "l.csv")
        return tuple(Register(folder / "t.csv", known, given=False).cases)

    return [
        Target("levels file", {"levels.json": json.dumps(LEVELS).encode()}, _one(damaged_json), levels),
        Target("reference table", {"table.json": json.dumps(nhanes).encode()}, _one(damaged_json), reference),
        Target("list of cases", {"l.csv": listed}, _one(damaged_text),
               lambda folder: tuple(str(x).replace(str(folder), "") for x in list_cases(folder / "l.csv"))),
        Target("table of pairs", {"p.csv": pairs, "a.nii": b"", "b.nii": b""}, _one(damaged_text, "p.csv"),
               lambda folder: str(read_pairs(folder / "p.csv")).replace(str(folder), "")),
        Target("journal", {".t.csv.journal": lines}, _one(damaged_text), journal, sealed=True),
        Target("which case is which", {"l.csv": b"path\n/a\n/b\n", "t.identity.csv": b"path,case\n/b,case 1\n/a,case 2\n"},
               _one(damaged_text, "t.identity.csv"), register),
    ]  # fmt: skip


# -- models -----------------------------------------------------------------------
def _models() -> list[Target]:
    made = _written(lambda folder: bundle(folder, members=1, bmd_range_g_cm2=[0.2, 1.9]))

    def read(folder: Path, signed: bool = False) -> Hashable:
        model = ModelBundle.load(folder)
        if signed and not model.signed:  # which 'model check' tells
            raise CTBMDError("The card is not signed.", "not-signed")
        return _answer(chosen(), model) + card_text(model.card)

    return [
        Target(
            "model card",
            made,
            _one(damaged_json, "card.json"),
            lambda folder: read(folder, True),
            sealed=True,
        ),
        Target("model card, not signed", _unsigned(made), _one(damaged_json, "card.json"), read),
        Target("weights", made, _one(damaged, "weights.npz"), read, sealed=True),
        Target("weights, signed anew", made, _resigned, read),
    ]


def _unsigned(files: Files) -> Files:
    """The bundle with a calibrated card that nobody has signed."""
    card = json.loads(files["card.json"])
    del card["card_sha256"]
    kept = {"version": "1", "date": "2026-01-01", "bmd_range_g_cm2": [0.2, 1.9]}
    fitted = {"scale": 1.1, "offset_g_cm2": 0.01, "interval_ratio": 1.2, "of": kept}
    return files | {"card.json": json.dumps(card | {"calibration": fitted}).encode()}


def _resigned(files: Files, rng: np.random.Generator) -> Files:
    """Damaged weights that the card is made to vouch for: a foreign bundle."""
    weights = files["weights.npz"]
    with np.load(io.BytesIO(weights)) as archive:
        arrays = {name: archive[name] for name in archive.files}
    name = list(arrays)[rng.integers(len(arrays))]
    value = arrays[name]
    match rng.integers(8):
        case 0:
            arrays[name] = np.zeros((*value.shape, 1), np.float32)
        case 1:
            arrays[name] = np.full_like(value, np.nan)
        case 2:
            arrays[name] = value * np.float32(1e30)
        case 3:
            arrays[name] = np.zeros(30_000_000, np.uint8)  # packs into nearly nothing
        case 4:
            arrays[name] = value.astype(rng.choice(["f8", "i4", "c8", "U3"]))
        case 5:
            del arrays[name]
        case 6:
            arrays[f"{name}x"] = value
    packed = io.BytesIO()
    np.savez_compressed(packed, **arrays)
    content = packed.getvalue()
    if rng.random() < 0.4:
        content = damaged(content, rng)
    card = json.loads(files["card.json"])
    card["weights_sha256"] = hashlib.sha256(content).hexdigest()
    card["card_sha256"] = card_digest(card)
    return {"card.json": json.dumps(card).encode(), "weights.npz": content}


# -- segmentations ------------------------------------------------------------------
def _labels() -> list[Target]:
    labels = np.zeros((60, 12, 12), np.int16)
    names = []
    for n, level in enumerate(("L5", "L4", "L3", "L2", "L1")):
        labels[2 + 11 * n : 10 + 11 * n, 3:9, 3:9] = n + 1
        names.append(f"Segment{n}_LabelValue:={n + 1}\nSegment{n}_Name:=vertebra {level}\n")
    matrix = np.diag([5.0, 5.0, 3.0, 1.0])
    text = nrrd_header(labels, matrix, encoding="raw") + "".join(names)

    def read(name: str) -> Callable[[Path], Hashable]:
        def levels(folder: Path) -> Hashable:
            volume, written = read_labels(folder / name)
            found = written or guess_names(volume.hu, volume.ijk_to_ras)
            if not found:
                return None
            return str(asdict(levels_from_labels(volume.hu, volume.ijk_to_ras, found)))

        return levels

    def field(content: bytes, rng: np.random.Generator) -> bytes:
        start, data = content.split(b"\n\n", 1)
        return damaged_text(start, rng) + b"\n\n" + data

    spine = np.where(labels > 0, labels + 26, 0).astype(np.int16)  # TotalSegmentator's numbers
    nifti = nifti_bytes(spine, matrix)
    return [
        Target("segmentation, NRRD", {"s.seg.nrrd": text.encode() + b"\n" + labels.tobytes()}, _one(field), read("s.seg.nrrd")),
        Target("segmentation, NIfTI", {"s.nii": nifti}, _one(damaged), read("s.nii")),
    ]  # fmt: skip
