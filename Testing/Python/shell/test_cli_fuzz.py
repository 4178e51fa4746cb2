"""Levels files and case lists damaged at random (seeded): one sentence, whatever is in them."""

import json

import numpy as np
import pytest

from CTBMDLib.cohort.caselist import Case, list_cases
from CTBMDLib.cohort.cases import load_levels
from CTBMDLib.errors import CTBMDError
from CTBMDLib.levels import LevelSelection

GOOD = {
    "series_uid": "1.2.3",
    "numbering": "sacrum",
    "findings": ["a finding"],
    "levels": [
        {
            "level": level,
            "ras": [1.0, -20.0, 30.0 * n],
            "confidence": 0.9,
            "source": "found",
            "included": True,
            "axis": [0.0, 0.1, 0.99],
            "height_mm": 27.0,
        }
        for n, level in enumerate(("L4", "L3", "L2", "L1"))
    ],
}
ODD = (None, True, False, 0, -1, 1e400, float("nan"), 10**30, "", "x", "L1", "nan", [], {}, [[]],
       [1, 2], [1, 2, "3"], ["a", "b", "c"], [None] * 3, [1e400] * 3, {"a": 1}, "\x00", "\ud800")  # fmt: skip


def one_sentence(error) -> None:
    text = str(error)
    assert text.endswith(".") and "\n" not in text and 15 < len(text) < 500, text


def load_or_refuse(path) -> bool:
    try:
        selection = load_levels(path)
    except CTBMDError as error:
        one_sentence(error)
        return False
    assert isinstance(selection, LevelSelection)
    LevelSelection.from_json(selection.to_json())  # what is taken can be written and read again
    return True


def places(value, at=()):
    """Every place in a JSON value, as a path of keys."""
    yield at
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items if isinstance(value, (dict, list)) else ():
        if isinstance(inner, (dict, list)):
            yield from places(inner, (*at, key))
        else:
            yield (*at, key)


def test_every_value_of_a_levels_file_made_odd(tmp_path):
    path = tmp_path / "levels.json"
    outcomes = set()
    for place in places(GOOD):
        for odd in ODD:
            data = json.loads(json.dumps(GOOD))
            if not place:
                data = odd
            else:
                inner = data
                for key in place[:-1]:
                    inner = inner[key]
                inner[place[-1]] = odd
            path.write_text(json.dumps(data))
            outcomes.add(load_or_refuse(path))
    assert outcomes == {True, False}


@pytest.mark.parametrize("seed", range(3))
def test_levels_files_with_damaged_bytes(tmp_path, seed):
    rng = np.random.default_rng(seed)
    original = json.dumps(GOOD).encode()
    path = tmp_path / "levels.json"
    for _ in range(150):
        content = bytearray(original)
        for _ in range(rng.integers(1, 5)):
            content[rng.integers(len(content))] = rng.integers(256)
        path.write_bytes(content[: rng.integers(len(content) // 2, len(content) + 1)])
        load_or_refuse(path)


def test_deeply_nested_json(tmp_path):
    path = tmp_path / "levels.json"
    path.write_text("[" * 100_000)
    assert not load_or_refuse(path)


@pytest.mark.parametrize("seed", range(3))
def test_damaged_case_lists(tmp_path, seed):
    rng = np.random.default_rng(seed)
    original = b'path,case,sex,age,levels\na.nii,A,F,61,a.json\n"b, c.nii",B,M,,\n'
    path = tmp_path / "cases.csv"
    for _ in range(150):
        content = bytearray(original)
        for _ in range(rng.integers(1, 5)):
            content[rng.integers(len(content))] = rng.choice([0, 10, 13, 34, 44, 59, 200, 255])
        path.write_bytes(content)
        try:
            cases = list_cases(path)
        except CTBMDError as error:
            one_sentence(error)
        else:
            assert cases and all(isinstance(case, Case) for case in cases)
