"""How severe a finding is, as a symbol, a colour and words; told apart without colours as well."""

import html

import qt
from slicer.i18n import tr as _

from . import sentences

WARNING, NOTE = "\u26a0", "\u2022"
"""Signs of a warning and of a note: a triangle and a dot."""

_ON_LIGHT, _ON_DARK = "#a63d00", "#e69f00"
"""A red and an orange that people with a colour-vision deficiency tell from the text,
with a contrast of 6:1 to Slicer's light and dark panels."""
DARK = 128
"""Lightness of a background below which text is light."""


def colour(widget):
    """Colour of a warning on a widget's background, '#rrggbb'."""
    # PythonQt gives the colour as a place in the palette, which must be there as long as it.
    palette = widget.property("palette")
    return _ON_DARK if palette.color(qt.QPalette.Base).lightness() < DARK else _ON_LIGHT


def signed(finding, warningColour):
    """A finding as a line of rich text with its sign."""
    text = html.escape(sentences.inPanel(finding.text))
    if finding.severity != "warning":
        return f"{NOTE} {text}"
    return f'<span style="color:{warningColour}">{WARNING}</span> {text}'


def byLevel(findings):
    """{level or None: [finding]} without repetitions, warnings first."""
    groups = {}
    for item in sorted(findings, key=lambda item: item.severity != "warning"):
        group = groups.setdefault(item.level, [])
        if all(item.text != other.text for other in group):
            group.append(item)
    return groups


def hint(findings):
    """What a pointer over a marked level says."""
    return "\n".join(sentences.inPanel(item.text) for item in findings) or _(
        "Nothing to say about this vertebra."
    )


def warned(findings):
    """Whether one of the findings is a warning."""
    return any(item.severity == "warning" for item in findings)
