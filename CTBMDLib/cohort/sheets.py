"""The contact sheets of the cases that most need a look, kept on the disk while a batch runs."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

MOST = 10
"""Cases that are shown."""


class Sheets:
    """At most `MOST` PNG files in a hidden folder beside the output, those with the most need.

    They are a help to the reader of the summary page: where one cannot be kept,
    the page does without.

    Parameters
    ----------
    output : Path
    overwrite : bool
        Whether to drop what an earlier run left.
    """

    def __init__(self, output: Path, overwrite: bool) -> None:
        self.folder = output.with_name(f".{output.name}.sheets")
        self._kept: dict[str, tuple[float, Path]] = {}
        with suppress(OSError):
            for path in sorted(self.folder.glob("*.png")):
                need, _, key = path.stem.partition("-")
                with suppress(ValueError):
                    self._kept[key] = (float(need), path)
        if overwrite:
            self.close()

    def offer(self, key: str, need: float, sheet: bytes) -> None:
        """Keep a sheet where its case is among those with the most need."""
        least = min(self._kept, key=lambda x: self._kept[x][0], default="")
        full = len(self._kept) >= MOST
        if not sheet or (full and self._kept[least][0] >= need):
            return
        path = self.folder / f"{need:.4f}-{key}.png"
        try:
            self.folder.mkdir(mode=0o700, exist_ok=True)
            path.write_bytes(sheet)
        except OSError:
            with suppress(OSError):  # half a picture is none, and takes room
                path.unlink(missing_ok=True)
            return
        self._kept[key] = (need, path)
        if full:
            self._drop(least)

    def get(self, key: str) -> bytes:
        """The sheet of a case; b'' where there is none."""
        try:
            return self._kept[key][1].read_bytes() if key in self._kept else b""
        except OSError:
            return b""

    def close(self) -> None:
        """Remove all."""
        for key in list(self._kept):
            self._drop(key)
        with suppress(OSError):
            self.folder.rmdir()

    def _drop(self, key: str) -> None:
        with suppress(OSError):
            self._kept.pop(key)[1].unlink(missing_ok=True)
