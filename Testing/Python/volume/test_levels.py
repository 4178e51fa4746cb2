"""The level selection: every edit a person makes, and its way through files and markups."""

import json

import pytest

from CTBMDLib.errors import CTBMDError
from CTBMDLib.levels import LevelSelection, LevelSlice


@pytest.fixture
def selection():
    points = {"L4": -60.0, "L1": 45.0, "L3": -25.0, "L2": 10.0, "L5": -95.0}
    levels = tuple(
        LevelSlice(name, (1.0, 2.0, s), 0.9, "found", name != "L5", (0.0, 0.2, 0.98), 28.0)
        for name, s in points.items()
    )
    return LevelSelection(levels, series_uid="1.2.3", numbering="sacrum", findings=("a note",))


def names(selection):
    return [item.level for item in selection]


def test_levels_run_from_head_to_feet_whatever_the_order_given(selection):
    assert names(selection) == ["L1", "L2", "L3", "L4", "L5"]


def test_move_records_the_person(selection):
    selection.move("L2", (3, 4, 12.5))
    assert selection["L2"].ras == (3.0, 4.0, 12.5)
    assert selection["L2"].source == "moved" and selection["L2"].confidence is None
    assert selection["L1"].source == "found"


def test_use_slice_follows_the_axis_of_the_body(selection):
    selection.use_slice("L2", 20.0)
    r, a, s = selection["L2"].ras
    assert s == 20.0 and r == 1.0
    assert a == pytest.approx(2.0 + 10.0 * 0.2 / 0.98)


def test_shift_renames_every_level_and_keeps_positions(selection):
    before = [item.ras for item in selection]
    selection.include("L2", False)
    selection.shift(-1)
    assert names(selection) == ["T12", "L1", "L2", "L3", "L4"]
    assert [item.ras for item in selection] == before
    # The vertebra left out by hand stays out under its new name; the former L5
    # is now L4 and counts, the former L1 is T12 and does not.
    assert {i.level: i.included for i in selection} == {
        "T12": False, "L1": False, "L2": True, "L3": True, "L4": True,
    }  # fmt: skip
    assert selection.numbering == "user"


def test_shift_off_the_end_is_refused_and_changes_nothing(selection):
    before = names(selection)
    with pytest.raises(CTBMDError, match="pass S2"):
        selection.shift(+4)
    assert names(selection) == before


def test_relabel_refuses_a_taken_name(selection):
    with pytest.raises(CTBMDError, match="L2 is already chosen"):
        selection.relabel("L1", "L2")
    selection.remove("L2")
    selection.relabel("L1", "L2")
    assert names(selection) == ["L2", "L3", "L4", "L5"]


def test_add_and_remove(selection):
    with pytest.raises(CTBMDError, match="already chosen"):
        selection.add("L1", (0, 0, 0))
    selection.add("T12", (0, 0, 80))
    assert selection["T12"].source == "added" and not selection["T12"].included
    selection.remove("T12")
    assert "T12" not in selection
    with pytest.raises(CTBMDError, match="not among the chosen levels"):
        selection.remove("T12")


def test_undo_takes_every_edit_back_in_turn(selection):
    states = [(selection.levels, selection.numbering)]
    for edit in (
        lambda: selection.move("L1", (9, 9, 9)),
        lambda: selection.include("L3", False),
        lambda: selection.shift(1),
        lambda: selection.remove("L3"),
        lambda: selection.add("T11", (0, 0, 100)),
        lambda: selection.use_slice("L4", 3.0),
        lambda: selection.relabel("T11", "T10"),
    ):
        edit()
        states.append((selection.levels, selection.numbering))
    while selection.can_undo:
        assert (selection.levels, selection.numbering) == states.pop()
        assert selection.undo()
    assert len(states) == 1
    assert (selection.levels, selection.numbering) == states[0]
    assert selection.undo() is False


def test_json_keeps_everything(selection):
    selection.move("L3", (0.25, -1.5, -26.0))
    again = LevelSelection.from_json(selection.to_json())
    assert again == selection


def test_json_as_a_person_may_write_it():
    text = json.dumps({"levels": [{"level": "L2", "ras": [1, 2, 3]}]})
    selection = LevelSelection.from_json(text)
    assert selection.series_uid is None
    assert selection["L2"].confidence is None and selection["L2"].source == "moved"
    assert selection["L2"].included


@pytest.mark.parametrize(
    "content, words",
    [
        ("{", "damaged near line 1"),
        ("[]", "no list 'levels'"),
        ('{"levels": [{"level": "L1"}]}', "lacks 'level' or 'ras'"),
        ('{"levels": [{"level": "L9", "ras": [0, 0, 0]}]}', "not a vertebra"),
        ('{"levels": [{"level": "L1", "ras": [0, 0]}]}', "three numbers"),
        ('{"levels": [{"level": "L1", "ras": "abc"}]}', "three numbers"),
        ('{"levels": [{"level": "L1", "ras": [0, 0, NaN]}]}', "three numbers"),
        ('{"levels": [{"level": "L1", "ras": [0, 0, 0], "confidence": 3}]}', "0 to 1"),
        ('{"levels": [{"level": "L1", "ras": [0, 0, 0], "source": "x"}]}', "not a source"),
        ('{"levels": [{"level": "L1", "ras": [0, 0, 0], "axis": [1]}]}', "axis"),
        ('{"levels": [{"level": "L1", "ras": [0, 0, 0], "height_mm": 1}]}', "5 to 80"),
        ('{"levels": [], "findings": true}', "list of sentences"),
        ('{"levels": [], "notes": true}', "list of sentences"),
        ('{"levels": [], "numbering": "by luck"}', "numbering of the levels file"),
        ('{"levels": [{"level": "L1", "ras": [0, 0, 0], "included": "no"}]}', "true or false"),
        ("[" * 100_000, "nested too deeply"),
        (
            '{"levels": [{"level": "L1", "ras": [0, 0, 0]}, {"level": "L1", "ras": [0, 0, 1]}]}',
            "named twice",
        ),
    ],
)
def test_a_wrong_levels_file_is_refused_with_one_sentence(content, words):
    with pytest.raises(CTBMDError, match=words) as caught:
        LevelSelection.from_json(content)
    assert "\n" not in str(caught.value)


def test_markups_both_ways(selection):
    points = selection.to_points()
    assert selection.update_from_points(points) is False and not selection.can_undo
    moved = [(n, (r, a, s + 5) if n == "L1" else (r, a, s)) for n, (r, a, s) in points if n != "L5"]
    moved.append(("T12", (0.0, 0.0, 80.0)))
    assert selection.update_from_points(moved) is True
    assert names(selection) == ["T12", "L1", "L2", "L3", "L4"]
    assert selection["L1"].source == "moved" and selection["L2"].source == "found"
    assert selection["T12"].source == "added"
    selection.undo()
    assert selection.to_points() == points


@pytest.mark.parametrize("key", ["findings", "notes"])
def test_findings_are_read_under_their_name_and_that_of_older_files(key):
    read = LevelSelection.from_json(json.dumps({"levels": [], key: ["Possible L6."]}))
    assert read.findings == ("Possible L6.",)
    assert '"findings"' in read.to_json() and '"notes"' not in read.to_json()


def test_a_reason_goes_with_a_vertebra_that_is_left_out_and_only_then(selection):
    level = next(item.level for item in selection if item.included)
    selection.include(level, False, "cement")
    assert selection[level].reason == "cement"
    again = LevelSelection.from_json(selection.to_json())
    assert again[level].reason == "cement" and again == selection
    selection.move(level, [x + 1 for x in selection[level].ras])
    assert selection[level].reason == "cement"
    selection.include(level, True, "cement")
    assert selection[level].reason is None and "reason" not in selection.to_json()
    with pytest.raises(CTBMDError, match="no reason to leave"):
        selection.include(level, False, "age")
    assert selection[level].included
