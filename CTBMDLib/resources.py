"""Where the files that come with CTBMD lie: installed beside the library, or in the source tree."""

from __future__ import annotations

from pathlib import Path

_LIBRARY = Path(__file__).resolve().parent


def resource_folder(name: str) -> Path:
    """Folder of resources called `name`, such as 'Models' or 'SampleData'.

    The installed place, `CTBMDLib/Resources/<name>`, comes first, then
    `Resources/<name>` of the source tree; where neither exists the latter is
    returned, so that a message can name it.
    """
    installed = _LIBRARY / "Resources" / name
    return installed if installed.is_dir() else _LIBRARY.parent / "Resources" / name
