"""The cases of a batch that are finished, kept on the disk until the batch has ended."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..bmd.result import BMDResult
from ..errors import CTBMDError
from ..reading.files import files_below
from ..safefile import why, write_text
from .caselist import Case

_HEAD = 16384
"""Bytes of each file that are compared: a DICOM header, the start of a packed volume."""

_WHOLE = (".nii", ".gz", ".nrrd", ".zip")
"""Files that need no other; the rest (a slice, .nhdr, .hdr) is read with its neighbours."""


class Journal:
    """Finished cases of a batch that has not ended, one JSON line each.

    Only the user may read it. A case counts as finished while nothing has changed
    that its result depends on: its row, the settings, its levels file and its CT.

    Parameters
    ----------
    output : Path
        The batch's table; the journal is a hidden file beside it.
    settings : dict
        What the results depend on beside the case; a journal of other settings
        is not gone on with.
    overwrite : bool
        Whether to start afresh, whatever lies there.

    Raises
    ------
    CTBMDError
        Where finished cases of other settings lie there and may not be dropped, or
        the journal cannot be read or written.
    """

    def __init__(self, output: Path, settings: dict[str, Any], overwrite: bool) -> None:
        self.path = output.with_name(f".{output.name}.journal")
        self._done: dict[str, dict[str, Any]] = {}
        lines = [] if overwrite else self._read()
        entries = [line for line in lines if isinstance(line.get("key"), str) and "result" in line]
        if entries and lines[0].get("settings") != settings:
            raise CTBMDError(
                f"'{self.path}' is left from an interrupted batch with another model, reference table, DXA device or version of CTBMD; allow overwriting (--overwrite) or delete it.",
                "journal-other-model",
            )
        for entry in entries:
            self._done[entry["key"]] = entry["result"]
        # Written again as a whole: a line cut off by the interruption goes.
        content: list[dict[str, Any]] = [{"settings": settings}, *entries]
        text = "".join(json.dumps(entry) + "\n" for entry in content)
        write_text(self.path, text, overwrite=True, private=True)

    def _read(self) -> list[dict[str, Any]]:
        lines = []
        try:
            text = self.path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return []
        except OSError as error:
            raise CTBMDError(
                f"'{self.path}', left from an interrupted batch, cannot be read ({why(error)}); delete it or name another output.",
                "journal-unreadable",
            ) from None
        for line in text.splitlines():
            try:
                entry = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(entry, dict):
                lines.append(entry)
        return lines

    def result(self, key: str) -> BMDResult | None:
        """What an interrupted run found of a case; None where it did not get there."""
        stored = self._done.get(key)
        try:
            return None if stored is None else BMDResult.from_dict(stored)
        except CTBMDError:
            return None

    def add(self, key: str, result: BMDResult) -> None:
        """Keep a finished case: on the disk, not in its cache, when this returns.

        Raises
        ------
        CTBMDError
            Where it cannot be written; the cases before stay whole.
        """
        line = json.dumps({"key": key, "result": result.to_dict()}) + "\n"
        size = None
        try:
            with self.path.open("ab") as stream:
                size = stream.tell()
                stream.write(line.encode("utf-8"))
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            if size is not None:
                with suppress(OSError):
                    os.truncate(self.path, size)
            raise CTBMDError(
                f"The finished cases could not be kept in '{self.path}' ({why(error)}); make room there or name an output in another folder.",
                "journal-not-written",
            ) from None
        self._done[key] = result.to_dict()

    def close(self, ended: bool) -> None:
        """Remove the journal where the batch has ended or nothing was finished."""
        if ended or not self._done:
            with suppress(OSError):  # what stays is dropped by the next batch
                self.path.unlink(missing_ok=True)


def case_key(case: Case) -> str:
    """What a case's result depends on, as a text: its row, its levels file and its CT.

    Of the levels file the whole content counts; of the CT's files their names,
    sizes, times and first 16 KB. It is taken before the case is read, so that what
    changes meanwhile is computed anew.
    """
    row = asdict(case) | {"path": str(Path(case.path).absolute())}
    content = {"ct": _of_files(Path(case.path)), "levels": _of_file(case.levels, None)}
    return json.dumps(row | {"content": content}, sort_keys=True)


def _of_files(path: Path) -> str:
    digest = hashlib.sha256()
    if os.path.isdir(path):  # noqa: PTH112  Path's raises for a name too long
        files = files_below(path)
    elif path.name.lower().endswith(_WHOLE):
        files = [path]
    else:
        files = files_below(path.parent, recursive=False)
    for file in files:
        digest.update(os.fsencode(file))
        digest.update(_of_file(file, _HEAD).encode())
    return digest.hexdigest()


def _of_file(path: str | Path | None, length: int | None) -> str:
    """Size, time and content (its first `length` bytes) of a file; '' where there is none."""
    if not path:
        return ""
    try:
        facts = Path(path).stat()
        if not Path(path).is_file():  # a pipe would wait for ever
            return ""
        with Path(path).open("rb") as file:
            content = hashlib.sha256(file.read(length)).hexdigest()
    except (OSError, ValueError):
        return ""  # the case's own error when it is read
    stamp = "" if length is None else f" {facts.st_mtime_ns}"
    return f"{facts.st_size}{stamp} {content}"
