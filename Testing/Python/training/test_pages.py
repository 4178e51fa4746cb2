"""The pages of measured figures are what their results files say."""

import json

import pytest

from training.pages import PAGES, RESULTS, main, to_markdown


@pytest.mark.parametrize("name", PAGES)
def test_a_committed_page_is_made_from_its_figures(name):
    source = RESULTS / name
    page = json.loads(source.read_text(encoding="utf-8"))
    written = source.with_suffix(".md").read_text(encoding="utf-8")
    assert written == to_markdown(page, name), "make it again: python -m training.pages"
    for section in page["sections"]:
        for block in section["blocks"]:
            if "table" in block:
                columns, rows = block["table"]["columns"], block["table"]["rows"]
                assert all(len(row) == len(columns) for row in rows)


def test_a_page_has_texts_lists_commands_and_tables(tmp_path):
    blocks = [
        {"text": "One sentence."},
        {"list": ["first", "second"]},
        {"command": "python -m one\npython -m other"},
        {"table": {"columns": ["what", "how many"], "rows": [["bodies", "3 of 4"]]}},
    ]
    source = tmp_path / "page.json"
    source.write_text(json.dumps({"title": "T", "sections": [{"title": "S", "blocks": blocks}]}))
    assert main([str(source)]) == 0
    assert (tmp_path / "page.md").read_text().splitlines()[4:] == [
        "## S", "", "One sentence.", "", "- first", "- second", "",
        "```sh", "python -m one", "python -m other", "```", "",
        "| what | how many |", "| --- | --- |", "| bodies | 3 of 4 |",
    ]  # fmt: skip
