"""The house: no circle, nothing runs back up a floor, no long function, errors with a code."""

import ast
import re

import floors
import pytest

SOURCE = floors.Source()
CODE = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def test_the_source_is_seen():
    packages = {module.partition(".")[0] for module in SOURCE.trees}
    assert packages == set(floors.PLACES)
    assert any(item.target == "CTBMDLib.volume" for item in SOURCE.imports)


def test_there_is_no_circle():
    assert floors.circles(SOURCE) == []


def test_the_inherent_circle_is_still_one(monkeypatch):
    monkeypatch.setattr(floors, "INHERENT", frozenset())
    assert [group for group in floors.circles(SOURCE) if "pythonqt" in group[0]]


def test_nothing_runs_back_up_a_floor():
    assert floors.upward(SOURCE) == []


def test_no_private_name_is_imported_across_files():
    assert floors.private(SOURCE) == []


def test_no_function_is_too_long():
    assert floors.long_functions(SOURCE) == []


def errors_without_a_code(tree):
    """Lines where a CTBMDError is made without a literal code of small letters and hyphens."""
    lines = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = getattr(node.func, "id", getattr(node.func, "attr", None))
        if called != "CTBMDError":
            continue
        given = [word.value for word in node.keywords if word.arg == "code"] or node.args[1:2]
        if not (given and has_code(given[0])):
            lines.append(node.lineno)
    return lines


def has_code(node):
    """A literal, the code of another error passed on, or one of these or else the other."""
    if isinstance(node, ast.BoolOp):
        return all(has_code(value) for value in node.values)
    if isinstance(node, ast.Attribute):
        return node.attr == "code"
    value = getattr(node, "value", None)
    return isinstance(value, str) and bool(CODE.fullmatch(value))


def test_every_error_has_a_literal_code():
    found = [
        SOURCE.where(module, line)
        for module, tree in SOURCE.trees.items()
        for line in errors_without_a_code(tree)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("raise CTBMDError('Sentence.', 'no-such-file')", True),
        ("raise errors.CTBMDError('Sentence.', code='bundle2-damaged')", True),
        ("raise CTBMDError('Sentence.')", False),
        ("raise CTBMDError('Sentence.', 'No_Such')", False),
        ("raise CTBMDError('Sentence.', code)", False),
        ("raise CTBMDError('Sentence.', error.code)", True),
        ("raise CTBMDError('Sentence.', chosen.code or 'unusable')", True),
        ("raise CTBMDError('Sentence.', chosen.code or word)", False),
        ("raise ValueError('Sentence.')", True),
    ],
)
def test_codes_are_read_from_the_source(text, good):
    assert errors_without_a_code(ast.parse(text)) == ([] if good else [1])


def write(root, **files):
    for name, text in files.items():
        path = root / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        (path.parent / "__init__.py").touch()
        path.write_text(text)
    for package in {name.partition("__")[0] for name in files}:
        (root / package / "__init__.py").touch()
    return floors.Source(root)


def test_what_is_wrong_is_seen(tmp_path, capsys):
    source = write(
        tmp_path,
        CTBMDLib__reading__reading="from ..spine.column import walk, _step\n",
        CTBMDLib__spine__column="def walk():\n    from ..bmd import roi\n    roi._mean()\n",
        CTBMDLib__bmd__roi="import CTBMDLib.spine.column\nimport training.plan\n",
        CTBMDLib__strange="def long():\n" + "    pass\n" * floors.MAX_LINES,
        training__plan="",
    )
    assert floors.circles(source) == [["CTBMDLib.bmd.roi", "CTBMDLib.spine.column"]]
    assert floors.upward(source) == [
        "CTBMDLib/bmd/roi.py:2 imports training.plan: CTBMDLib must not know training",
        "CTBMDLib/reading/reading.py:1 imports CTBMDLib.spine.column, which is above it",
        "CTBMDLib/spine/column.py:2 imports CTBMDLib.bmd.roi, which is above it",
        "CTBMDLib/strange.py is on no floor; name it in FLOORS",
    ]
    assert floors.private(source) == [
        "CTBMDLib/reading/reading.py:1 imports CTBMDLib.spine.column._step",
        "CTBMDLib/spine/column.py:3 uses roi._mean",
    ]
    assert floors.long_functions(source) == ["CTBMDLib/strange.py:1 long() has 81 lines"]
    assert floors.main([str(tmp_path)]) == 1
    assert "circles: 1" in capsys.readouterr().out


def test_folders_on_one_floor_do_not_know_each_other(tmp_path):
    source = write(
        tmp_path,
        training__fitting__train="from ..locator import cases\n",
        training__locator__cases="from ..virtual import cohort\n",
        training__virtual__cohort="",
    )
    assert floors.upward(source) == [
        "training/fitting/train.py:1 imports training.locator.cases, which is beside it"
    ]
