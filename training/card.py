"""What a bundle's card says of the model: its texts, and where its figures come from."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from CTBMDLib.disclaimers import RESEARCH_USE
from CTBMDLib.dxa import HOLOGIC
from CTBMDLib.model.network import parameter_shapes

TITLE = "Areal BMD of a lumbar vertebra from one axial CT image"
KINDS = {
    "simulated": "simulated CT against simulated DXA",
    "patients": "CT against DXA of the site's own table",
}
"""What the metrics compare, by population."""
TRAINED_ON_SIMULATED = (
    "simulated CT and simulated DXA of virtual patients of known mineral content; mineral, "
    "size and age drawn independently and wider than life"
)
SIMULATED_SCANNERS = (
    "simulated: tube voltage, filtration, kernel, slice thickness, noise, pixel size, scatter "
    "and bowtie drawn at random (institution 'mixed' of training/virtual/priors.toml); tested "
    "on institutions A, B and C"
)


def make_card(
    plan,
    report: dict,
    population: str,
    command: str | None = None,
    dxa_device: str | None = HOLOGIC.name,
) -> dict:
    """The bundle's card.

    Parameters
    ----------
    plan : plan.Plan
    report : dict
        Of `evaluation.assess.assess`, with 'patients' and 'images'.
    population : {'simulated', 'patients'}
    command : str, optional
        The call that makes the bundle again.
    dxa_device : str or None
        Of `CTBMDLib.dxa.DEVICES`: the DXA that the network was taught to answer as, in
        whose g/cm2 it answers. None where a site's table does not say.
    """
    card = {
        "name": plan.name,
        "version": plan.version,
        "date": plan.date,
        "population": population,
        "title": TITLE,
        "use": RESEARCH_USE,
        "image": plan.standard.to_dict(),
        "interval": report["interval"],
        "bmd_range_g_cm2": report.get("range"),
        "likeness": report.get("likeness"),
        "training": {
            "patients": report["patients"]["train"],
            "images": report["images"],
            "images_seen": plan.images_seen,
            "settings": {k: v for k, v in asdict(plan.settings).items() if k != "epochs"},
            "augmentation": asdict(plan.augmentation),
            "variation": asdict(plan.variation),
            "seeds": list(plan.seeds),
            "parameters_per_member": int(sum(np.prod(s) for s in parameter_shapes().values())),
        },
        "metrics": {
            name: {
                "patients": entry["patients"],
                "kind": KINDS[population],
                "L1-L4": entry["CNN"],
                "single_vertebrae": entry["CNN, single vertebrae"],
                "interval_coverage": entry["coverage"],
                **({"without_kvp": entry["without kVp"]} if "without kVp" in entry else {}),
            }
            for name, entry in report["tested"].items()
        },
    }
    if "scans" in report:
        card["training"]["scans"] = report["scans"]
    if population == "simulated":
        card["training"]["kind"] = TRAINED_ON_SIMULATED
        card["scanners"] = SIMULATED_SCANNERS
    if command is not None:
        card["reproduce"] = command
    if population == "simulated":
        card["cohorts"] = report["plan"]["parts"]
    if "anchors" in report:
        card["anchors"] = report["anchors"]
    # An unknown device is said to be so: a card without one is of before devices were named.
    return {**{k: v for k, v in card.items() if v is not None}, "dxa_device": dxa_device}
