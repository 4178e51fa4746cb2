"""The cases of a batch that are finished, kept on the disk until the batch has ended."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .. import __version__
from ..bmd.reference import ReferenceTable
from ..bmd.result import BMDResult
from ..dxa import scale_for
from ..errors import CTBMDError
from ..model.bundle import ModelBundle
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
        self._facts: dict[str, dict[str, Any]] = {}
        lines = [] if overwrite else self._read()
        # A line that was cut off or damaged is no result.
        entries = [x for x in lines if "key" in x and x.get("sum") == _sum(x)]
        if entries and lines[0].get("settings") != settings:
            raise CTBMDError(
                f"'{self.path}' is left from an interrupted batch with another model, reference table, DXA device or version of CTBMD; allow overwriting (--overwrite) or delete it.",
                "journal-other-model",
            )
        for entry in entries:
            self._done[entry["key"]] = entry["result"]
            self._facts[entry["key"]] = entry.get("facts") or {}
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

    def facts(self, key: str) -> dict[str, Any]:
        """What was kept beside a result; empty where nothing was."""
        return self._facts.get(key, {})

    def add(self, key: str, result: BMDResult, facts: dict[str, Any] | None = None) -> None:
        """Keep a finished case: on the disk, not in its cache, when this returns.

        Parameters
        ----------
        key : str
            See `case_key`.
        result : BMDResult
        facts : dict, optional
            What is wanted again beside the result, as JSON can hold it.

        Raises
        ------
        CTBMDError
            Where it cannot be written; the cases before stay whole.
        """
        stored = json.loads(json.dumps({"result": result.to_dict(), "facts": facts or {}}))
        entry = {"key": key, **stored}
        line = json.dumps({**entry, "sum": _sum(entry)}) + "\n"
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
        self._done[key], self._facts[key] = stored["result"], stored["facts"]

    def close(self, ended: bool) -> None:
        """Remove the journal where the batch has ended or nothing was finished."""
        if ended or not self._done:
            with suppress(OSError):  # what stays is dropped by the next batch
                self.path.unlink(missing_ok=True)


def _sum(entry: dict[str, Any]) -> str:
    """What shows that a line is as it was written."""
    content = [entry.get(name) for name in ("key", "result", "facts")]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def case_key(case: Case) -> str:
    """A hash of what a case's result depends on: its row, its levels file and its CT.

    Of the levels file the whole content counts; of the CT's files their names,
    sizes, times and first 16 KB. It is taken before the case is read, so that what
    changes meanwhile is computed anew.
    """
    row = asdict(case) | {"path": str(Path(case.path).absolute())}
    content = {"ct": _of_files(Path(case.path)), "levels": _of_file(case.levels, None)}
    text = json.dumps(row | {"content": content}, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()


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


def run_settings(
    bundle: ModelBundle, reference: ReferenceTable | None, dxa: str | None
) -> dict[str, Any]:
    """What all results of a run depend on beside their case.

    Parameters
    ----------
    bundle : ModelBundle
    reference : ReferenceTable or None
    dxa : {'hologic', 'lunar'} or None
        The device asked for; whoever names the one that is taken anyway goes on with the
        same cases.

    Raises
    ------
    CTBMDError
        Where the reference table is of another device.
    """
    scale = scale_for(bundle.card, dxa)
    if reference:
        reference.check_device(scale.target)
    return {
        "dxa_scale": scale.target,
        "ctbmd": __version__,
        "model": bundle.card["weights_sha256"],
        "card": _hash(bundle.card),
        "reference": _hash(asdict(reference)) if reference else None,
    }


def _hash(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
