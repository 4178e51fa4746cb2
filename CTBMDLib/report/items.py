"""What the parts of a structured report are made of: codes and one-line texts."""

from __future__ import annotations

from typing import Any

from .concepts import Concept


def coded(concept: Concept) -> Any:
    """A concept as highdicom has it."""
    from highdicom.sr import CodedConcept

    return CodedConcept(concept.value, concept.scheme, concept.meaning)


def line(text: str, most: int = 64) -> str:
    """A text on one line, not longer than DICOM takes or a reader needs."""
    return " ".join("".join(x if x.isprintable() else " " for x in text).split())[:most]
