"""The cases of a batch that are finished, kept on the disk until the batch has ended."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..bmd.result import BMDResult
from ..errors import CTBMDError
from ..safefile import write_text
from .caselist import Case


class Journal:
    """Finished cases of a batch that has not ended, one JSON line each.

    Parameters
    ----------
    output : Path
        The batch's table; the journal is a hidden file beside it.
    settings : dict
        What the results depend on beside the case; a journal of other settings
        is not gone on with.
    overwrite : bool
        Whether a journal of other settings may be dropped.

    Raises
    ------
    CTBMDError
        Where a journal of other settings lies there and may not be dropped.
    """

    def __init__(self, output: Path, settings: dict[str, Any], overwrite: bool) -> None:
        self.path = output.with_name(f".{output.name}.journal")
        self._done: dict[str, dict[str, Any]] = {}
        lines = self._read()
        if lines and lines[0].get("settings") == settings:
            for entry in lines[1:]:
                if "key" in entry and "result" in entry:
                    self._done[entry["key"]] = entry["result"]
        elif lines and not overwrite:
            raise CTBMDError(
                f"'{self.path}' is left from an interrupted batch with another model; allow overwriting (--overwrite) or delete it.",
                "journal-other-model",
            )
        # Written again as a whole: a line cut off by the interruption goes.
        content: list[dict[str, Any]] = [{"settings": settings}]
        content += [{"key": key, "result": value} for key, value in self._done.items()]
        text = "".join(json.dumps(entry) + "\n" for entry in content)
        write_text(self.path, text, overwrite=True)

    def _read(self) -> list[dict[str, Any]]:
        lines = []
        try:
            text = self.path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return []
        for line in text.splitlines():
            try:
                entry = json.loads(line)
            except json.JSONDecodeError:
                continue
            if isinstance(entry, dict):
                lines.append(entry)
        return lines

    def result(self, case: Case) -> BMDResult | None:
        """What an interrupted run found of a case; None where it did not get there."""
        stored = self._done.get(_key(case))
        try:
            return None if stored is None else BMDResult.from_dict(stored)
        except CTBMDError:
            return None

    def add(self, case: Case, result: BMDResult) -> None:
        """Keep a finished case: on the disk, not in its cache, when this returns."""
        entry = {"key": _key(case), "result": result.to_dict()}
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(entry) + "\n")
            stream.flush()
            os.fsync(stream.fileno())

    def remove(self) -> None:
        """The batch has ended, and its table holds everything."""
        self.path.unlink(missing_ok=True)


def _key(case: Case) -> str:
    return json.dumps(asdict(case) | {"path": str(Path(case.path).absolute())}, sort_keys=True)
