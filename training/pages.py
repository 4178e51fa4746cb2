"""Measured figures as a page: `python -m training.pages [FILE.json ...]`.

A results file holds, by section, texts, lists, commands and tables; the Markdown page
beside it is made from it and never edited. Without a name all pages of
`training/results` are made again.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from CTBMDLib.safefile import write_text

RESULTS = Path(__file__).resolve().parent / "results"
PAGES = ("locator.json", "virtual.json")


def to_markdown(page: dict, made_from: str) -> str:
    """The page as Markdown.

    Parameters
    ----------
    page : dict
        'title' and 'sections', each with 'title' and 'blocks': dicts with one of 'text',
        'list' (of str), 'command' or 'table' ('columns' and 'rows').
    made_from : str
        Name of the results file, for the line that says so.
    """
    out = [
        f"# {page['title']}",
        "",
        f"Made by `python -m training.pages` from [{made_from}]({made_from}); do not edit it here.",
        "",
    ]
    for section in page["sections"]:
        out += [f"## {section['title']}", ""]
        for block in section["blocks"]:
            out += [*_lines(block), ""]
    return "\n".join(out)


def _lines(block: dict) -> list[str]:
    ((kind, content),) = block.items()
    if kind == "text":
        return [content]
    if kind == "list":
        return [f"- {item}" for item in content]
    if kind == "command":
        return ["```sh", *content.splitlines(), "```"]
    rows = [content["columns"], ["---"] * len(content["columns"]), *content["rows"]]
    return [f"| {' | '.join(row)} |" for row in rows]


def write_page(source: Path) -> Path:
    """Make the page of a results file, beside it."""
    page = json.loads(source.read_text(encoding="utf-8"))
    return write_text(source.with_suffix(".md"), to_markdown(page, source.name), overwrite=True)


def main(arguments=None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m training.pages", description=__doc__.splitlines()[0]
    )
    parser.add_argument("files", type=Path, nargs="*", default=[RESULTS / x for x in PAGES])
    for file in parser.parse_args(arguments).files:
        print(write_page(file))
    return 0


if __name__ == "__main__":
    sys.exit(main())
