"""The library's sentences in the words of the panel, which has neither options nor levels files."""

from slicer.i18n import tr as _

from CTBMDLib.bmd.tissues import HOW_TO_CORRECT


def of(error):
    """The sentence of a CTBMDError as the panel says it."""
    whole = {
        "levels-file": _("The slices kept in the scene cannot be read; find them again."),
    }
    return whole.get(error.code) or inPanel(str(error))


def inPanel(text):
    """A sentence of the library, with what to do in the panel for what to do in the shell."""
    for shell, panel in (
        ("; choose another name or allow overwriting (--overwrite)", _("; choose another name")),
        (" or option (--correct-values, --append)", _(" or other options")),
        (
            "; choose another name, add to it (--append) or allow overwriting (--overwrite)",
            _("; choose another name"),
        ),
        ("; allow overwriting (--overwrite) or delete it", _("; delete it or choose another name")),
        (
            "is given as the segmentation (--segmentation)",
            _("is chosen as the segmentation under '2. Lumbar slices'"),
        ),
        ("; correct it, or leave it out of the levels file", _("; find the slices again")),
        ("; check it, or leave it out of the levels file", _("; find the slices again")),
        ("; replace it or skip it (--if-there)", _("; replace it or skip it")),
        (HOW_TO_CORRECT, _("(box 'Correct the values' below)")),
        ("or allow it (--mixed)", _("or allow it")),
        ("find the lumbar slices or add a point for L1-L4", _("find the slices or add a level")),
    ):
        text = text.replace(shell, panel)
    return text
