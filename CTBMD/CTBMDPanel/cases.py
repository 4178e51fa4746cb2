"""What was chosen and estimated for a CT, kept with its node while another CT is shown.

A node's attributes are saved with the scene and follow the node where its ID
changes, so that every CT of a reopened scene has its own again.
"""

import json

from . import results, volumes
from .parameters import Sex

ATTRIBUTE = "CTBMD.Case"


def keep(node, parameters):
    """Write the state of a parameter node to the CT that it is about."""
    case = {
        "levels": parameters.levels,
        "result": parameters.result,
        "imageChanged": parameters.imageChanged,
        "sex": parameters.sex.code,
        "age": parameters.age,
        "kvp": parameters.kvp,
    }
    node.SetAttribute(ATTRIBUTE, json.dumps(case))


def kept(node):
    """What `keep` wrote to a CT, or None."""
    text = None if node is None else node.GetAttribute(ATTRIBUTE)
    try:
        case = json.loads(text) if text else None
    except ValueError:
        return None
    return case if isinstance(case, dict) else None


def restore(node, case, parameters):
    """Write a CT's settings and result back to the parameter node; its levels are the controller's."""
    parameters.sex = Sex.fromCode(case.get("sex"))
    parameters.age = _whole(case.get("age"), -1, 130, -1)
    parameters.kvp = _whole(case.get("kvp"), 0, 200, 0)
    parameters.imageChanged = bool(case.get("imageChanged"))
    result, inputs = results.fromText(case.get("result"))
    if result is None:
        parameters.result = ""
    else:
        # In another scene the CT may have got another ID; the result is its own all the same.
        parameters.result = results.toText(result, {**inputs, "volume": volumes.idOf(node)})


def _whole(value, low, high, otherwise):
    return value if isinstance(value, int) and low <= value <= high else otherwise
