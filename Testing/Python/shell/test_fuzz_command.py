"""`python -m Testing.fuzz`: 500 damaged inputs, and that the command would notice what it looks for."""

import os
import sys
import time

import numpy as np
import pytest

from CTBMDLib.errors import CTBMDError

pytestmark = pytest.mark.skipif(os.name == "nt" or sys.platform == "darwin", reason="needs /proc")

if os.name != "nt":
    from Testing.fuzz import __main__ as command
    from Testing.fuzz import bounds
    from Testing.fuzz.damage import damaged, damaged_json, damaged_text
    from Testing.fuzz.run import Case, cases
    from Testing.fuzz.targets import Target

COUNT = int(os.environ.get("CTBMD_FUZZ", "500"))


@pytest.mark.slow
def test_damaged_inputs_end_in_a_value_or_a_sentence(capsys):
    assert command.main([str(COUNT)]) == 0, capsys.readouterr().out
    last = capsys.readouterr().out.strip().splitlines()[-1].split("|")
    count, same, other, refused, wrong = (int(cell) for cell in last[2:7])
    assert (count, wrong) == (COUNT, 0) and same + other + refused == COUNT
    assert (
        same and other and refused
    )  # of each kind some, else the damage is too much or too little


def raises(error):
    def work():
        raise error

    return work


def loud():
    np.log(np.zeros(1))  # a warning that a user would see
    return 1


@pytest.mark.parametrize(
    ("work", "kind"),
    [
        (lambda: 1, "same value"),
        (lambda: 2, "another value"),
        (raises(CTBMDError("This cannot be read.", "x")), "one sentence"),
        (raises(CTBMDError("This\ncannot be read.", "x")), "no good sentence"),
        (raises(CTBMDError("no", "x")), "no good sentence"),
        (raises(KeyError("x")), "unexpected"),
        (raises(KeyboardInterrupt()), "unexpected"),
        (raises(SystemExit(0)), "unexpected"),
        (loud, "unexpected"),
        (lambda: np.ones(400_000_000), "unexpected"),  # 3.2 GB
        (lambda: os.kill(os.getpid(), 9), "crash"),
        (lambda: os._exit(0), "crash"),
    ],
)  # fmt: skip
def test_how_a_case_ended_is_told(work, kind):
    assert bounds.bounded(work, 1).kind == kind


def computes(seconds):
    """Work that takes so much processor time, however long that lasts."""

    def work():
        began = time.process_time()
        while time.process_time() - began < seconds:
            pass
        return 1

    return work


@pytest.mark.parametrize(
    ("work", "kind"),
    [
        (computes(0.1), bounds.SAME),
        (computes(60), bounds.LONG),
        (lambda: time.sleep(0.8) or 1, bounds.SAME),  # waiting, as on a busy machine
        (lambda: np.linalg.svd(np.ones((4000, 4000))), bounds.LONG),  # outside Python
    ],
)
def test_processor_time_is_what_is_bounded(monkeypatch, work, kind):
    monkeypatch.setattr(bounds, "SECONDS", 0.4)
    outcome = bounds.bounded(work, 1)
    assert outcome.kind == kind
    assert (outcome.seconds > 0.3) == (kind == bounds.LONG)


def test_what_neither_computes_nor_ends_is_ended(monkeypatch):
    monkeypatch.setattr(bounds, "PATIENCE", 0.3)
    began = time.monotonic()
    outcome = bounds.bounded(lambda: time.sleep(60), None)
    assert outcome.kind == bounds.HANG and outcome.kind not in bounds.FINE
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize(
    ("error", "fails"),
    [(None, "sealed"), (CTBMDError("This is refused.", "x"), ""), (OSError(), "x")],
)
def test_what_fails_is_listed_kept_and_made_again(
    monkeypatch, capsys, tmp_path, sealed, error, fails
):
    """Of 10 inputs with a number in them, those that end badly are told and can be made again."""

    def read(folder):
        content = (folder / "a").read_bytes()
        if error and content != b"right":
            raise error
        return content

    def damage(files, rng):
        return files if rng.random() < 0.5 else {"a": str(rng.integers(1000)).encode()}

    target = Target("numbers", {"a": b"right"}, damage, read, sealed, b"right")
    monkeypatch.setattr(command, "targets", lambda: [target])
    failing = bool(fails) and (sealed or fails != "sealed")
    keep = tmp_path / "keep"
    assert command.main(["10", "--seed", "3", "--keep", str(keep)]) == int(failing)
    said = capsys.readouterr().out
    told = said.count("numbers --seed 3 number ")
    assert told == len(list(keep.glob("*"))) and (1 < told < 9 if failing else told == 0)
    for folder in keep.glob("*"):
        number = int(folder.name.split("-")[-1])
        again = Case("numbers", 3, number).files(target)
        assert (folder / "a").read_bytes() == again["a"] != b"right"


def test_the_same_seed_makes_the_same_input():
    content = b'{"a": [1, 2.5, "x"], "b": {"c": null}}\nsecond: 3 4 5\nthird\n'
    for change in (damaged, damaged_text, lambda x, rng: damaged_json(x.splitlines()[0], rng)):
        made = [change(content, np.random.default_rng(n)) for n in range(40)]
        assert made == [change(content, np.random.default_rng(n)) for n in range(40)]
        assert len(set(made)) > 20 and sum(x != content for x in made) > 30


def test_cases_are_dealt_out_in_turn():
    chosen = [Target(name, {}, lambda files, rng: files, lambda folder: None) for name in "ab"]
    dealt = [(case.target, case.number) for case in cases(chosen, 5, 0)]
    assert dealt == [("a", 0), ("b", 0), ("a", 1), ("b", 1), ("a", 2)]
