"""Every sentence that the panel shows is in the panel's words, and dialogs open where writing works."""

import ast
import re
from types import SimpleNamespace

import gui_helpers as gui
import numpy as np
import pytest
from dicom_maker import body

gui.start()

import EmbeddedSlicer  # noqa: E402
import slicer  # noqa: E402

EmbeddedSlicer.open_module(gui.ROOT / "CTBMD" / "CTBMD.py")

from CTBMDPanel import exporting, sentences, volumes  # noqa: E402

from CTBMDLib.errors import CTBMDError  # noqa: E402
from CTBMDLib.volume import CTVolume  # noqa: E402

SHELL = re.compile(r"--[a-z]|\\bctbmd [a-z]|levels file", re.I)
"""Words of the shell, which the panel has no use for."""
ELSEWHERE = (
    "cli.py",
    *(f"cohort/{name}" for name in ("calibrate", "cases", "pairs", "trial", "validate")),
)
"""Parts of the library that the panel does not call, or not with a levels file."""


def said():
    """(place, code, text) of every error and finding that the library can give the panel."""
    for path in sorted((gui.ROOT / "CTBMDLib").rglob("*.py")):
        name = path.relative_to(gui.ROOT / "CTBMDLib").as_posix()
        if name.startswith(ELSEWHERE):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            called = getattr(node, "func", None)
            called = getattr(called, "id", getattr(called, "attr", ""))
            if called in ("CTBMDError", "Finding", "add", "__init__"):
                parts = [
                    part.value if isinstance(part, ast.Constant) else "X"
                    for argument in node.args
                    for part in (
                        argument.values if isinstance(argument, ast.JoinedStr) else [argument]
                    )
                ]
                words = [str(x) for x in parts if isinstance(x, str)]
                code = next((x for x in words[::-1] if re.fullmatch(r"[a-z]+(-[a-z]+)*", x)), "")
                yield f"{name}:{node.lineno}", code, "".join(words)


def test_the_panel_says_nothing_in_the_words_of_the_shell():
    everything = list(said())
    assert len(everything) > 80
    in_shell = [x for x in everything if SHELL.search(x[2])]
    assert len(in_shell) > 5, "what is looked for is there"
    for place, code, text in in_shell:
        shown = sentences.of(CTBMDError(text, code))
        assert not SHELL.search(shown), f"{place}: {shown}"


@pytest.fixture
def panel():
    with gui.opened_panel() as opened:
        yield opened


def test_what_is_shown_is_in_the_panels_words(panel, tmp_path):
    """By way of the dialog itself."""
    path = tmp_path / "there.csv"
    path.write_text("keep")
    with gui.answering("Ok") as shown:
        try:
            from CTBMDLib.safefile import write_text

            write_text(path, "new", False)
        except CTBMDError as error:
            panel.showError(str(error))
    assert "exists already; choose another name." in shown[0].text


def test_a_damaged_scene_says_what_to_do(panel):
    with gui.answering("Ok") as shown:
        panel.parameterNode.levels = "{"
        gui.process()
    assert "kept in the scene cannot be read; find them again" in shown[0].text


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39])
@pytest.mark.parametrize("place", [(0, 0, 0), (7, 31, 39)])
def test_voxels_that_are_no_numbers_are_refused(panel, value, place):
    """One of them is enough; a file of them is refused as well."""
    hu = body().astype(np.float64)
    node = volumes.addVolumeNode(CTVolume(hu, np.diag([3.0, 3.0, 3.0, 1.0]), name="odd"))
    assert volumes.ctVolume(node).hu.dtype == np.float64
    slicer.util.arrayFromVolume(node)[place] = value
    with pytest.raises(CTBMDError, match="not numbers") as caught:
        volumes.ctVolume(node)
    assert caught.value.code == "not-finite"


@pytest.mark.parametrize(
    ("case", "begins"),
    [
        ("x" * 300, "xxx"),
        ("\u6f22" * 300, "\u6f22\u6f22"),  # three bytes a letter
        ("a" + "\u6f22" * 300, "a\u6f22"),
        ("\U00010400" * 90, "\U00010400"),
        ("a/b:c*d", "a_b_c_d_BMD"),
        ("case 1", "case_1_BMD"),
        ("...", "CT_BMD"),
        ("\ud800", "CT_BMD"),  # of a name that is not UTF-8
    ],
)
def test_a_file_system_takes_every_name_that_is_suggested(panel, tmp_path, case, begins):
    rows = (SimpleNamespace(case=case),)
    for chosen in exporting.formats():
        name = exporting.suggestedName(SimpleNamespace(rows=rows), chosen)
        assert name.startswith(begins) and name.endswith(chosen.suffix) and len(name) < 140
        (tmp_path / name).write_bytes(b"")
