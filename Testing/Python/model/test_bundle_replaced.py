"""A bundle is replaced as one step: killed anywhere, the old one or the new one is there."""

import os
import shutil
from pathlib import Path

import pytest
from phantoms import bundle, card, random_weights

from CTBMDLib.errors import CTBMDError
from CTBMDLib.model.bundle import ModelBundle, save_bundle
from CTBMDLib.safefile import write_folder

CALLS = (
    *((Path, name) for name in ("rename", "replace", "mkdir", "unlink")),
    (os, "fsync"),
    (shutil, "rmtree"),
)
WEIGHTS = [random_weights(1)]


class Killed(BaseException):
    """As sudden as a signal: nothing of the library catches it."""


def save(folder, version):
    save_bundle(folder, card(version=version), WEIGHTS, overwrite=True)


def killed_at(step, monkeypatch, work):
    """Do `work` until its `step`-th call to the file system, and nothing after; whether it ended."""
    count = 0

    def dying(real):
        def call(*arguments, **how):
            nonlocal count
            count += 1
            if count > step:
                raise Killed
            return real(*arguments, **how)

        return call

    with monkeypatch.context() as patched:
        for owner, name in CALLS:
            patched.setattr(owner, name, dying(getattr(owner, name)))
        try:
            work()
        except Killed:
            return False
    return True


def test_killed_at_any_step_the_old_or_the_new_bundle_loads_and_a_rerun_completes(
    tmp_path, monkeypatch
):
    folder, seen, step = tmp_path / "own", [], 0
    ended = False
    while not ended:
        save(folder, "0.0.1")
        ended = killed_at(step, monkeypatch, lambda: save(folder, "0.0.2"))
        seen.append(ModelBundle.load(folder).version)  # whole, whichever it is
        step += 1
        assert step < 60
    assert seen[0] == "0.0.1" and seen[-1] == "0.0.2" and set(seen) == {"0.0.1", "0.0.2"}
    assert step > 6
    dead = tmp_path / f".own.{2**22 + 1}.part"  # of a process that is no more
    dead.mkdir()
    (dead / "weights.npz").write_bytes(b"1")
    save(folder, "0.0.3")
    assert ModelBundle.load(folder).version == "0.0.3"
    left = [x.name for x in tmp_path.iterdir() if x.name != "own"]
    assert left == [], "a rerun clears what the killed ones left"


def test_what_else_lies_in_the_folder_stays_and_a_folder_in_use_is_not_moved(tmp_path, monkeypatch):
    folder = tmp_path / "own"
    bundle(folder, members=1)
    (folder / "notes").mkdir()
    (folder / "notes" / "card.json").write_text("mine")
    save(folder, "0.0.4")
    assert (folder / "notes" / "card.json").read_text() == "mine"
    assert ModelBundle.load(folder).version == "0.0.4"
    inside = tmp_path / "here"
    bundle(inside, members=1)
    monkeypatch.chdir(inside)
    save(".", "0.0.5")
    assert ModelBundle.load(".").version == "0.0.5" and Path("card.json").is_file()


def test_a_folder_that_cannot_be_renamed_is_written_in_place(tmp_path, monkeypatch):
    folder = tmp_path / "mounted"
    bundle(folder, members=1)

    def busy(*_):
        raise OSError(16, "Device or resource busy")

    monkeypatch.setattr(Path, "rename", busy)
    save(folder, "0.0.6")
    assert ModelBundle.load(folder).version == "0.0.6"
    assert [x.name for x in tmp_path.iterdir()] == ["mounted"]


def test_a_link_stays_one_and_an_impossible_place_is_one_sentence(tmp_path):
    real, link = tmp_path / "real", tmp_path / "link"
    bundle(real, members=1)
    link.symlink_to(real)
    save(link, "0.0.7")
    assert link.is_symlink() and ModelBundle.load(real).version == "0.0.7"
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file" / "own", tmp_path / ("x" * 300), tmp_path / "file"):
        with pytest.raises(CTBMDError) as info:
            write_folder(place, {"a": b"1"})
        assert "\n" not in str(info.value)
