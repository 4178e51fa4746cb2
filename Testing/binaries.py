"""No binary above 100 kB comes into the repository unless it is named here.

`python Testing/binaries.py` lists those that git tracks or is about to and exits
with 1 where there is one: the history keeps every version of a binary for ever.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MAX_BYTES = 100_000
ALLOWED = {
    "Resources/Models/ctbmd-locator/weights.npz",
    "Resources/Models/ctbmd-virtual/weights.npz",
    "Resources/SampleData/CTBMDVirtualPatient.zip",
    "Resources/Screenshots/panel.png",
    "Resources/Screenshots/slices.png",
    "training/results/contact_sheet.jpg",
}
"""A new version of one of these is committed once, when the work it belongs to is done."""


def is_binary(path: Path) -> bool:
    """Whether a file holds a NUL byte in its first 8 kB, as git judges it."""
    with path.open("rb") as stream:
        return b"\0" in stream.read(8192)


def too_large(root: Path, names: list[str]) -> list[str]:
    """Those of `names`, relative to `root`, that are binary, large and not allowed."""
    return [
        name
        for name in names
        if name not in ALLOWED
        and (root / name).is_file()
        and (root / name).stat().st_size > MAX_BYTES
        and is_binary(root / name)
    ]


def main() -> int:
    """Name what is too large; the exit code."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    found = too_large(ROOT, [name for name in listed.split("\0") if name])
    for name in found:
        print(
            f"{name} is a binary above {MAX_BYTES // 1000} kB; leave it out, or name it in Testing/binaries.py."
        )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
