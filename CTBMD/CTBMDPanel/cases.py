"""What was chosen and estimated for a CT, kept with its node while another CT is shown.

A node's attributes are saved with the scene and follow the node where its ID
changes, so that every CT of a reopened scene has its own again.
"""

import json

from CTBMDLib.volume import Acquisition

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
        "name": parameters.caseName,
        "countAgain": parameters.countAgain,
        "correctValues": parameters.correctValues,
    }
    write(node, case)


def write(node, case):
    """Keep the state of a CT with its node; the scene keeps it."""
    node.SetAttribute(ATTRIBUTE, json.dumps(case))


def ofHeader(node):
    """The settings of a CT that nobody has set yet: its header's, unknown where that is silent."""
    facts = Acquisition() if node is None else volumes.acquisition(node)
    return {
        "sex": Sex.fromCode(facts.sex).code,
        "age": -1 if facts.age_years is None else int(facts.age_years),
        "kvp": round(facts.kvp or 0),
    }


def statedKvp(node, stated):
    """The tube voltage where a person states another than the header, kV, or None."""
    known = volumes.acquisition(node).kvp if node is not None else None
    return None if not stated or (known and round(known) == stated) else float(stated)


def statedAge(node, stated):
    """The age in years where a person states another than the header, or None."""
    known = volumes.acquisition(node).age_years if node is not None else None
    same = known is not None and int(known) == stated
    return None if stated < 0 or same else float(stated)


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
    parameters.caseName = str(case.get("name") or "")
    parameters.countAgain = str(case.get("countAgain") or "")
    parameters.correctValues = bool(case.get("correctValues"))
    parameters.imageChanged = bool(case.get("imageChanged"))
    result, inputs = results.fromText(case.get("result"))
    if result is None:
        parameters.result = ""
    else:
        # In another scene the CT may have got another ID; the result is its own all the same.
        parameters.result = results.toText(result, {**inputs, "volume": volumes.idOf(node)})


def _whole(value, low, high, otherwise):
    return value if isinstance(value, int) and low <= value <= high else otherwise
