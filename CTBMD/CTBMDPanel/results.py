"""A BMDResult as a table node, as words, and as what a saved scene keeps of it."""

import json

import slicer
import vtk
from slicer.i18n import tr as _

from CTBMDLib.bmd import export
from CTBMDLib.bmd.result import MEAN, TOTAL, BMDResult
from CTBMDLib.dxa import maker
from CTBMDLib.errors import CTBMDError
from CTBMDLib.levels import SOURCES

from .leveltable import sourceWords


def columns():
    """(column, title, unit, description) in the order of the panel's table."""
    return [
        ("level", _("Vertebra"), "", _("Vertebra, or L1-L4 for the mean of the included ones")),
        ("bmd_g_cm2", _("BMD"), "g/cm2", _("Areal bone mineral density, estimated from the CT")),
        (
            "interval",
            _("90 % interval"),
            "",
            _(
                "Interval of the BMD in g/cm2, calibrated to cover 90 % of the model card's held-out patients"
            ),
        ),
        ("t_score", _("T-score"), "", _("From the chosen reference table; needs the sex")),
        (
            "trabecular_hu",
            _("Trab."),
            "HU",
            _("Mean HU of the trabecular bone inside the body"),
        ),
        ("slice_s_mm", _("Slice S"), "mm", _("Position of the middle image along the patient")),
        ("images", _("Images"), "", _("Axial images that were read")),
        ("selection", _("Chosen by"), "", _("How the slice was chosen")),
        ("included", _("In the mean"), "", _("Whether the vertebra counts in the L1-L4 mean")),
        ("levels", _("Mean of"), "", _("Vertebrae that the L1-L4 value is the mean of")),
        ("bmd_low", _("Low"), "g/cm2", _("Lower end of the 90 % interval")),
        ("bmd_high", _("High"), "g/cm2", _("Upper end of the 90 % interval")),
        ("findings", _("Findings"), "", _("What to know before using the value")),
        ("category", _("Category"), "", _("Empty for a model trained on simulated CT")),
        ("case", _("Case"), "", _("Patient identifier or volume name")),
        ("series_uid", _("Series"), "", _("DICOM Series Instance UID")),
        ("dxa_scale", _("DXA"), "", _("DXA device whose g/cm2 the values are")),
        ("model", _("Model"), "", _("Name of the model bundle")),
        ("model_version", _("Version"), "", _("Version of the model bundle")),
        ("model_population", _("Trained on"), "", _("What the model was trained on")),
    ]


_DECIMALS = {
    "bmd_g_cm2": 3,
    "bmd_low": 3,
    "bmd_high": 3,
    "t_score": 1,
    "trabecular_hu": 0,
    "slice_s_mm": 1,
}


def fillTable(node, result):
    """Write a result into a vtkMRMLTableNode, the L1-L4 row last.

    The cells are texts, because the view shows a number with as many decimals as
    it happens to have, and because an unknown value is no number.
    """
    rows = export.to_rows(result)
    with slicer.util.NodeModify(node):
        node.RemoveAllColumns()
        node.SetUseColumnTitleAsColumnHeader(True)
        node.SetUseFirstColumnAsRowHeader(True)
        node.SetLocked(True)
        for name, title, unit, description in columns():
            array = vtk.vtkStringArray()
            array.SetName(name)
            for row in rows:
                array.InsertNextValue(_text(name, row))
            node.AddColumn(array)
            node.SetColumnTitle(name, title)
            node.SetColumnDescription(name, description)
            if unit:
                node.SetColumnUnitLabel(name, unit)
        node.Modified()


def _text(name, row):
    if name == "interval":
        return f"{_text('bmd_low', row)} - {_text('bmd_high', row)}"
    value = row[name]
    if value is None:
        return _("unknown") if name == "trabecular_hu" else ""
    if name not in _DECIMALS:
        return _words(name, str(value))
    return export.fixed(value, _DECIMALS[name])


def _words(name, value):
    """A text of the table in the user's language, where it is one of a few."""
    words = {
        "level": {TOTAL: _("L1-L4 mean")},
        "selection": {MEAN: _("mean"), **{x: sourceWords(x) for x in SOURCES}},
        "included": {"yes": _("yes"), "no": _("no")},
    }
    return words.get(name, {}).get(value, value)


def summary(result):
    """The L1-L4 value in one sentence, or why there is none."""
    total = result.total
    if total is None:
        return result.total_reason or _("There is no L1-L4 value.")
    text = _(
        "<b>{level} ({how}): {bmd:.3f} g/cm²</b>, 90 % interval {low:.3f} to {high:.3f}."
    ).format(
        level=TOTAL,
        how=_("mean of {levels}").format(levels=total.levels),
        bmd=total.bmd_g_cm2,
        low=total.bmd_low,
        high=total.bmd_high,
    )
    if total.dxa_scale:
        text += " " + _("On the scale of a {device} DXA.").format(device=maker(total.dxa_scale))
    if total.t_score is not None:
        text += " " + _("T-score {t} (reference {name}).").format(
            t=export.fixed(total.t_score, 1), name=result.reference
        )
    elif result.reference is None:
        text += " " + _("No T-score: no reference table is chosen.")
    elif result.sex is None:
        text += " " + _("No T-score: the sex is unknown.")
    if total.category:
        text += " " + _("Category: {c}.").format(c=total.category)
    return text


def report(result):
    """A text report to file or to paste."""
    return export.report_text(result)


def toText(result, inputs):
    """JSON for the parameter node: the result and what it was made from."""
    return json.dumps({"inputs": inputs, "result": result.to_dict()})


def fromText(text):
    """(BMDResult, inputs), or (None, None) where there is none or it cannot be read."""
    if not text:
        return None, None
    try:
        data = json.loads(text)
        return BMDResult.from_dict(data["result"]), data["inputs"]
    except (ValueError, KeyError, TypeError, CTBMDError):
        return None, None


def staleReason(inputs, now, imageChanged):
    """Why a result no longer fits what is chosen, as a sentence, or ''.

    Parameters
    ----------
    inputs, now : dict
        `volume`, `name`, `geometry`, `levels`, `sex`, `reference`, `model`, `dxa`,
        `kvp`, `age`, `countAgain`, `correctValues`; those of the estimate and those of
        the panel.
    imageChanged : bool
        The voxels were changed after the estimate.
    """
    again = _("press 'Estimate BMD' again")
    if now["volume"] != inputs["volume"]:
        return _("Out of date: these results belong to the volume '{name}'; {again}.").format(
            name=inputs["name"], again=again
        )
    if imageChanged or now["geometry"] != inputs["geometry"]:
        return _("Out of date: the volume has changed since this estimate; {again}.").format(
            again=again
        )
    if now["levels"] != inputs["levels"]:
        return _("Out of date: the slices have changed since this estimate; {again}.").format(
            again=again
        )
    # Scenes of before have not all of them: it was the automatic device, and the header's facts.
    settings = ("sex", "reference", "model", "dxa", "kvp", "age", "countAgain", "correctValues")
    inputs = {"dxa": None, "countAgain": "", "correctValues": False, **inputs}
    if any(now[key] != inputs.get(key, now[key]) for key in settings):
        return _("Out of date: the settings have changed since this estimate; {again}.").format(
            again=again
        )
    return ""
