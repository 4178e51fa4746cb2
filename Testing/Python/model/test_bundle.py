"""Bundles: what is written is what is read, and nothing else is."""

from __future__ import annotations

import hashlib
import io
import json

import numpy as np
import pytest
from phantoms import STANDARD, bundle, card, random_weights

from CTBMDLib.errors import CTBMDError
from CTBMDLib.model.bundle import (
    CARD,
    MAX_BYTES,
    WEIGHTS,
    ModelBundle,
    default_bundle_folder,
    save_bundle,
)
from CTBMDLib.weights import SIGNATURE, card_digest


def refused(folder, words):
    with pytest.raises(CTBMDError, match=words) as info:
        ModelBundle.load(folder)
    assert "\n" not in str(info.value)


def rewrite_card(folder, **changes):
    data = {SIGNATURE: ""} | json.loads((folder / CARD).read_text())
    for key, value in changes.items():
        if value is None:
            data.pop(key, None)
        else:
            data[key] = value
    data.pop(SIGNATURE)  # so that the next check must catch it
    (folder / CARD).write_text(json.dumps(data))


def rewrite_weights(folder, data: bytes):
    """Foreign weights with a matching SHA-256, so that the next check must catch them."""
    (folder / WEIGHTS).write_bytes(data)
    rewrite_card(folder, weights_sha256=hashlib.sha256(data).hexdigest())


def test_round_trip(tmp_path):
    made = bundle(tmp_path / "b", members=3)
    read = ModelBundle.load(tmp_path / "b")
    assert (read.name, read.version, read.population, read.simulated) == (
        "test",
        "0.0.1",
        "simulated",
        True,
    )
    assert read.standard == STANDARD
    hu = np.random.default_rng(0).normal(50, 90, (4, 64, 64))
    values = read.predict(hu, backend="numpy")
    assert values.shape == (3, 4)
    assert np.array_equal(values, made.predict(hu, backend="numpy"))
    assert (tmp_path / "b" / WEIGHTS).stat().st_size < MAX_BYTES


def test_backends_agree_and_calibration_is_applied(tmp_path):
    pytest.importorskip("torch")
    plain = bundle(tmp_path / "a")
    hu = np.random.default_rng(0).normal(50, 90, (4, 64, 64))
    by_torch = plain.predict(hu, device="cpu", backend="torch")
    assert np.abs(by_torch - plain.predict(hu, backend="numpy")).max() < 1e-4
    site = bundle(tmp_path / "c", calibration={"scale": 1.1, "offset_g_cm2": -0.05})
    want = 1.1 * plain.predict(hu, backend="numpy") - 0.05
    assert site.predict(hu, backend="numpy") == pytest.approx(want)


def test_devices_that_are_not_there(tmp_path):
    made = bundle(tmp_path / "b", members=1)
    hu = np.zeros((1, 64, 64))
    with pytest.raises(CTBMDError, match="NumPy cannot run"):
        made.predict(hu, device="cuda", backend="numpy")
    with pytest.raises(CTBMDError, match="Unknown device"):
        made.predict(hu, device="tpu")
    with pytest.raises(ValueError, match="shape"):
        made.predict(np.zeros((1, 32, 32)))


def test_an_existing_bundle_is_not_replaced(tmp_path):
    bundle(tmp_path / "b")
    with pytest.raises(CTBMDError, match="already"):
        bundle(tmp_path / "b")
    save_bundle(tmp_path / "b", card(version="2"), [random_weights()], overwrite=True)
    assert ModelBundle.load(tmp_path / "b").version == "2"


def test_a_folder_that_cannot_be_made_is_told_in_a_sentence(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.raises(CTBMDError, match="could not be written"):
        save_bundle(blocked / "model", card(), [random_weights(0)])
    assert blocked.read_text() == "in the way"


def test_no_bundle(tmp_path):
    refused(tmp_path / "nothing", "does not exist")
    refused(tmp_path, "is no model bundle")


def test_truncated_and_changed_weights(tmp_path):
    bundle(tmp_path / "b")
    path = tmp_path / "b" / WEIGHTS
    data = path.read_bytes()
    path.write_bytes(data[:-100])
    refused(tmp_path / "b", "not those its card describes")
    path.write_bytes(data[:500] + bytes([data[500] ^ 1]) + data[501:])
    refused(tmp_path / "b", "not those its card describes")
    path.unlink()
    refused(tmp_path / "b", "has no weights.npz")
    path.write_bytes(b"\0" * (MAX_BYTES + 1))
    refused(tmp_path / "b", "larger than")


def test_foreign_weights_with_a_matching_sum(tmp_path):
    folder = tmp_path / "b"
    bundle(folder, members=1)
    rewrite_weights(folder, b"not a zip file at all")
    refused(folder, "cannot be read")

    def npz(arrays):
        stream = io.BytesIO()
        np.savez(stream, **arrays)
        return stream.getvalue()

    good = {f"member0/{k}": v for k, v in random_weights().items()}
    rewrite_weights(folder, npz({**good, "member0/extra": np.zeros(1, np.float32)}))
    refused(folder, "another network")
    rewrite_weights(folder, npz({**good, "member0/scale": np.zeros(2, np.float32)}))
    refused(folder, "do not fit")
    rewrite_weights(folder, npz({**good, "member0/scale": np.full(1, np.nan, np.float32)}))
    refused(folder, "do not fit")
    # A pickled object must never be opened.
    rewrite_weights(folder, npz({**good, "member0/scale": np.array([{"a": 1}], dtype=object)}))
    refused(folder, "cannot be read")


INTERVAL = card()["interval"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": "other"}, "not the card of a CTBMD model"),
        ({"name": None}, "lacks 'name'"),
        ({"members": 99}, "99 members"),
        ({"members": 2}, "another network"),
        ({"architecture": "resnet"}, "does not know"),
        ({"population": "aliens"}, "aliens"),
        ({"interval": {"level": 0.9}}, "interval"),
        ({"image": {"size_px": 64}}, "image geometry"),
        ({"interval": INTERVAL | {"quantile_total": 1e-9}}, "interval.quantile_total"),
        ({"interval": INTERVAL | {"quantile_level": "2"}}, "interval.quantile_level"),
        ({"interval": INTERVAL | {"level": True}}, "interval.level"),
        ({"interval": INTERVAL | {"without_kvp": {"quantile_level": 2.0}}}, "without_kvp"),
        ({"interval": INTERVAL | {"without_kvp": None}}, "without_kvp"),
        (
            {
                "interval": INTERVAL
                | {"without_kvp": {"quantile_level": 2.0, "quantile_total": -1.0}}
            },
            "without_kvp",
        ),
        ({"interval": INTERVAL | {"floor_g_cm2": 10**400}}, "interval.floor_g_cm2"),
        ({"image": STANDARD.to_dict() | {"size_px": 0.5}}, "impossible 'size_px'"),
        ({"image": STANDARD.to_dict() | {"size_px": 64.5}}, "impossible 'size_px'"),
        ({"image": STANDARD.to_dict() | {"size_px": 10**400}}, "impossible 'size_px'"),
        (
            {"image": STANDARD.to_dict() | {"images_per_level": 5000}},
            "impossible 'images_per_level'",
        ),
        ({"image": STANDARD.to_dict() | {"hu_low": 5000}}, "impossible 'hu_low'"),
        ({"image": STANDARD.to_dict() | {"hu_low": 900, "hu_high": 800}}, "contradicts itself"),
        ({"image": STANDARD.to_dict() | {"anterior_mm": 200}}, "contradicts itself"),
        ({"bmd_range_g_cm2": "0.3-2"}, "bmd_range_g_cm2"),
        ({"bmd_range_g_cm2": [0.3]}, "bmd_range_g_cm2"),
        ({"bmd_range_g_cm2": [2, 0.3]}, "bmd_range_g_cm2"),
        ({"bmd_range_g_cm2": [0.3, "2"]}, "bmd_range_g_cm2"),
        ({"calibration": {"scale": 1}}, "calibration"),
        ({"calibration": {"scale": -1, "offset_g_cm2": 0}}, "calibration"),
        ({"calibration": {"scale": 1, "offset_g_cm2": 50}}, "calibration"),
        ({"calibration": {"scale": 1, "offset_g_cm2": 0, "interval_ratio": 0}}, "calibration"),
        ({"calibration": {"scale": 1, "offset_g_cm2": 0, "of": 3}}, "calibration"),
        ({"calibration": {"scale": 1, "offset_g_cm2": 0, "of": {"version": 3}}}, "calibration"),
        ({"calibration": {"scale": True, "offset_g_cm2": 0}}, "calibration"),
        ({"calibration": [1, 0]}, "calibration"),
        ({"name": "a\nb"}, "no usable 'name'"),
        ({"version": "v" * 201}, "no usable 'version'"),
        ({"date": " "}, "no usable 'date'"),
        ({"weights_sha256": "A" * 64}, "no SHA-256"),
        ({"members": True}, "lacks 'members'"),
        ({"weights_sha256": "0" * 64}, "not those its card describes"),
    ],
)
def test_faulty_cards(tmp_path, changes, words):
    bundle(tmp_path / "b", members=1)
    rewrite_card(tmp_path / "b", **changes)
    refused(tmp_path / "b", words)


def test_a_signed_card_is_taken_as_it_was_written_or_not_at_all(tmp_path):
    folder = tmp_path / "b"
    assert bundle(folder, members=1, note={"a": [1.5, None]}).signed
    data = json.loads((folder / CARD).read_text())
    (folder / CARD).write_text(json.dumps(dict(reversed(data.items())), indent=7))
    assert ModelBundle.load(folder).signed  # spaces and order do not count
    changed = [
        data | {"note": {"a": [1.5, 0]}}, data | {"more": 1}, data | {"date": "2027-01-01"},
        data | {"calibration": {"scale": 2.0, "offset_g_cm2": 0.0}}, data | {SIGNATURE: 1},
        data | {"weights_sha256": "0" * 64}, {k: v for k, v in data.items() if k != "note"},
    ]  # fmt: skip
    for card_now in changed:
        (folder / CARD).write_text(json.dumps(card_now))
        refused(folder, "was changed after it was written")
    del data[SIGNATURE]
    (folder / CARD).write_text(json.dumps(data))
    assert not ModelBundle.load(folder).signed


def test_the_cards_that_come_with_ctbmd_are_signed():
    card_now = ModelBundle.load(default_bundle_folder()).card
    assert card_now[SIGNATURE] == card_digest(card_now)


def test_what_is_not_finite_is_no_value(tmp_path):
    made = bundle(tmp_path / "b", members=1)
    hu = np.random.default_rng(0).normal(50, 90, (1, 64, 64))
    assert made.predict(hu, backend="numpy") != 0
    for wrong in (np.nan, np.inf, 1e30, -1e30, 1e6):
        wild = ModelBundle(
            made.card, [made.members[0] | {"scale": np.full_like(made.members[0]["scale"], wrong)}]
        )
        with np.errstate(all="raise"), pytest.raises(CTBMDError, match="no usable values"):
            wild.predict(hu, backend="numpy")


def test_cards_that_are_no_json(tmp_path):
    bundle(tmp_path / "b")
    deep = b'{"a":' * 40 + b"1" + b"}" * 40
    number = b'{"a": ' + b"9" * 5000 + b"}"
    for content in (b"{", b"\xff\xfe", b"[]", b"[" * 100_000, deep, number, b'{"a": NaN}'):
        (tmp_path / "b" / CARD).write_bytes(content)
        refused(tmp_path / "b", "card.json")


def test_the_bundle_that_comes_with_ctbmd():
    made = ModelBundle.load(default_bundle_folder())
    assert made.population == "simulated"
    for key in ("training", "metrics", "reproduce", "scanners"):
        assert made.card[key], key
    size = sum(path.stat().st_size for path in made.folder.iterdir())
    assert size < MAX_BYTES
