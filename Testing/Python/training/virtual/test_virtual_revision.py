"""The revision of the simulator: what it is a digest of, and what leaves it alone."""

import ast
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("numba")

from training.virtual import patient, revision
from training.virtual.traits import changed_priors

PACKAGE = "training.virtual"


@pytest.fixture
def moved(tmp_path, monkeypatch):
    """A function that digests copies in another folder, each source changed by `edit`."""

    def digest(edit=lambda name, text: text):
        copies = []
        for number, module in enumerate(reversed(revision.MODULES)):
            source = Path(module.__file__)
            copy = tmp_path / f"floor{number}" / source.name
            copy.parent.mkdir(exist_ok=True)
            copy.write_text(edit(source.stem, source.read_text()))
            copies.append(SimpleNamespace(__file__=str(copy)))
        with monkeypatch.context() as patched:
            patched.setattr(revision, "MODULES", tuple(copies))
            return revision.revision()

    return digest


def test_moved_files_are_the_same_revision(moved):
    assert moved() == revision.revision()


def test_comments_docstrings_imports_and_empty_lines_are_no_change(moved):
    def edit(name, text):
        text = text.replace("from .", "from training.elsewhere.", 3).replace('"""', '"""Other. ', 1)
        text = text.replace("\n\n\n", "\n\n\n\n# another comment\n\n")
        return "import os  # for nothing\n" * (not text.startswith('"""')) + text

    assert moved(edit) == revision.revision()


@pytest.mark.parametrize(
    ("module", "before", "after"),
    [
        ("dxa", "0.05 * sizes.max()", "0.06 * sizes.max()"),
        ("patient", "DENSER = 1.2", "DENSER = 1.3"),
        ("anatomy", "rng.uniform(0.06, 0.13)", "rng.uniform(0.13, 0.06)"),
    ],
)
def test_a_changed_number_is_another_revision(moved, module, before, after):
    def edit(name, text):
        assert name != module or before in text
        return text.replace(before, after) if name == module else text

    assert moved(edit) != revision.revision()


def test_a_changed_indentation_is_another_revision():
    inside = revision.statements("for x in y:\n    a()\n    b()\n")
    after = revision.statements("for x in y:\n    a()\nb()\n")
    assert inside != after
    # A string that is used is no docstring, and an f-string is one token.
    assert revision.statements('x = "a"\n') == ["x", "=", '"a"', "\n"]
    assert revision.statements('"""D."""\nx = f"{a!r:>{n}} b"\n') == [
        "x",
        "=",
        'f"{a!r:>{n}} b"',
        "\n",
    ]


def test_priors_in_force_and_tables_belong_to_it(tmp_path, monkeypatch):
    before = revision.revision()
    with changed_priors({"realistic.cortex_tie": 0.0}):
        assert revision.revision() != before
    for table in revision.materials.TABLES.iterdir():
        (tmp_path / table.name).write_bytes(table.read_bytes())
    monkeypatch.setattr(revision.materials, "TABLES", tmp_path)
    assert revision.revision() == before
    (tmp_path / "spectra.csv").write_bytes(b"1,2\n")
    assert revision.revision() != before


def imported_by(module) -> set[str]:
    """Names of the modules of this package that a module imports."""
    names = set()
    for node in ast.walk(ast.parse(Path(module.__file__).read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            names |= {node.module} if node.module else {alias.name for alias in node.names}
    return names


def test_another_device_is_another_revision(monkeypatch, tmp_path):
    before = revision.revision()
    text = revision.devices.FILE.read_text()
    assert "value = 0.925" in text
    other = tmp_path / "devices.toml"
    other.write_text(text.replace("value = 0.925", "value = 0.93"))
    changed = revision.devices.load_devices(other)
    monkeypatch.setattr(revision.devices, "load_devices", lambda: changed)
    assert revision.revision() != before


def test_all_that_a_patient_depends_on_is_digested():
    by_name = {Path(module.__file__).stem: module for module in revision.MODULES}
    seen, todo = set(), {Path(patient.__file__).stem}
    while todo:
        name = todo.pop()
        seen.add(name)
        todo |= imported_by(by_name[name]) - seen
    assert seen == set(by_name)
