"""One thing that a reader should know before using a value."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

SEVERITIES = ("note", "warning")


@dataclass(frozen=True)
class Finding:
    """Something a reader should know.

    Attributes
    ----------
    code : str
        Stable short name, for programs.
    level : str or None
        Vertebra it is about; None for the whole scan.
    text : str
        One sentence for the reader.
    severity : {'note', 'warning'}
        'warning' where the value may be wrong by more than its interval says.
    """

    code: str
    level: str | None
    text: str
    severity: str = "warning"

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON knows them."""
        return asdict(self)
