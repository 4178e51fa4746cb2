"""The cases of a batch that are finished, kept on the disk until the batch has ended."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
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
from .caselist import Case, whole_path
from .remote import is_remote

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

    Attributes
    ----------
    path : Path
    secret : bytes
        The key of the run's pseudonyms; it goes with the journal.
    run : str
        Names the run, and tells nothing of the key; the same when it is gone on with.

    Raises
    ------
    CTBMDError
        Where finished cases of other settings lie there and may not be dropped, or
        the journal cannot be read or written.
    """

    def __init__(self, output: Path, settings: dict[str, Any], overwrite: bool) -> None:
        self.path = journal_of(output)
        self._done: dict[str, dict[str, Any]] = {}
        self._facts: dict[str, dict[str, Any]] = {}
        lines = [] if overwrite else self._read()
        # A line that was cut off or damaged is no result.
        entries = [x for x in lines if "key" in x and x.get("sum") == _sum(x)]
        if entries and lines[0].get("settings") != settings:
            raise CTBMDError(
                f"'{self.path}' is left from an interrupted batch with another model, reference table, DXA device, version of CTBMD or option (--correct-values, --append); allow overwriting (--overwrite) or delete it.",
                "journal-other-model",
            )
        secret = next((x["secret"] for x in lines[:1] if entries and _is_secret(x)), None)
        self.secret = bytes.fromhex(secret or secrets.token_hex(32))
        self.run = hashlib.sha256(b"run " + self.secret).hexdigest()[:12]
        for entry in entries:
            self._done[entry["key"]] = entry["result"]
            self._facts[entry["key"]] = entry.get("facts") or {}
        # Written again as a whole: a line cut off by the interruption goes.
        head = {"settings": settings, "secret": self.secret.hex()}
        content: list[dict[str, Any]] = [head, *entries]
        if any(line.get("writing") is True for line in lines):
            content.append({"writing": True})
        text = "".join(json.dumps(entry) + "\n" for entry in content)
        write_text(self.path, text, overwrite=True, private=True)

    def _read(self) -> list[dict[str, Any]]:
        try:
            return _lines(self.path)
        except OSError as error:
            raise CTBMDError(
                f"'{self.path}', left from an interrupted batch, cannot be read ({why(error)}); delete it or name another output.",
                "journal-unreadable",
            ) from None

    @property
    def empty(self) -> bool:
        """Whether no case is finished."""
        return not self._done

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
                # Finished from here on, also where Ctrl-C comes before the disk has answered.
                self._done[key], self._facts[key] = stored["result"], stored["facts"]
                os.fsync(stream.fileno())
        except OSError as error:
            self._done.pop(key, None)
            if size is not None:
                with suppress(OSError):
                    os.truncate(self.path, size)
            raise CTBMDError(
                f"The finished cases could not be kept in '{self.path}' ({why(error)}); make room there or name an output in another folder.",
                "journal-not-written",
            ) from None

    def mark_writing(self) -> None:
        """Say that the outputs are being put in their places: they are this batch's own now.

        Killed meanwhile, the same command may replace those that are there already.

        Raises
        ------
        CTBMDError
        """
        try:
            with self.path.open("ab") as stream:
                stream.write(b'{"writing": true}\n')
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise CTBMDError(
                f"The end of the batch could not be kept in '{self.path}' ({why(error)}); make room there and run the same command again.",
                "journal-not-written",
            ) from None

    def close(self, ended: bool) -> None:
        """Remove the journal where the batch has ended or nothing was finished."""
        if ended or not self._done:
            with suppress(OSError):  # what stays is dropped by the next batch
                self.path.unlink(missing_ok=True)


def was_writing(output: Path) -> bool:
    """Whether a batch was stopped while it put its outputs in their places."""
    try:
        return any(line.get("writing") is True for line in _lines(journal_of(output)))
    except OSError:
        return False


def finished_keys(output: Path) -> set[str]:
    """The keys of the cases that an interrupted batch finished."""
    try:
        lines = _lines(journal_of(output))
    except OSError:
        return set()
    return {str(x["key"]) for x in lines if "key" in x and x.get("sum") == _sum(x)}


def journal_of(output: Path) -> Path:
    """The journal of an output: a hidden file beside it."""
    return output.with_name(f".{output.name}.journal")


def _lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a journal that are JSON objects; none where there is no file."""
    lines = []
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    for line in text.splitlines():
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(entry, dict):
            lines.append(entry)
    return lines


def _is_secret(line: dict[str, Any]) -> bool:
    return bool(re.fullmatch(r"[0-9a-f]{64}", str(line.get("secret"))))


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
    row = asdict(case) | {"path": whole_path(case.path)}
    files = "" if is_remote(case.path) else _of_files(Path(case.path))
    content = {"ct": files, "levels": _of_file(case.levels, None)}
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
