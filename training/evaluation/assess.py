"""An ensemble against its tested patients: figures, baselines, negative control, coverage."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
from sklearn.linear_model import LinearRegression

from CTBMDLib.bmd.interval import interval_for
from CTBMDLib.bmd.reference import ReferenceTable
from CTBMDLib.model.network import ARCHITECTURE, predict_numpy

from . import evaluate
from .disturbed import disturbed
from .unlike import likeness_of

REFERENCE = "nhanes-hologic"
BASELINES = (
    ("trabecular HU", ("hu",)),
    ("HU + age + sex + BMI", ("hu", "age", "female", "bmi")),
    ("slice DXA", ("slice_dxa",)),
)
"""What is regressed on which columns of `evaluate.Table`."""
SHORT = {"hu": "HU", "age": "age", "female": "sex", "bmi": "BMI", "slice_dxa": "slice DXA"}


def predictor(members, standard):
    """A function from images to the members' answers, by the NumPy path users run."""
    return lambda hu, kvp: np.stack(
        [predict_numpy(weights, hu, standard, kvp) for weights in members]
    )


def mask_bone(hu):
    """Images with everything denser than soft tissue set to soft tissue: a negative control."""
    return np.where(hu > 80, 50, hu).astype(np.float32)


def assess(
    plan,
    members,
    tables,
    tested=("internal", "external"),
    reference=REFERENCE,
    kind="simulated patients",
    train=None,
) -> dict:
    """Figures, baselines, controls and coverage of an ensemble.

    Parameters
    ----------
    plan : plan.Plan
    members : list of dict
        Weights by name.
    tables : dict of str to evaluate.Table
        'validation' fits the baselines and sets the interval; 'held' gives the response.
    tested : sequence of str
        The tables that are only tested on.
    reference : str or None
        Table of the T-scores that the AUC goes by; no AUC without one.
    kind : str
        What the patients are, for the card.
    train : fitting.dataset.Images, optional
        What the members were trained on, for the card's `likeness`; None leaves it out.
    """
    reference = reference and ReferenceTable.load(reference)
    predict = predictor(members, plan.standard)
    answers = {name: evaluate.predict_table(predict, table) for name, table in tables.items()}
    # The interval is for people, so it is set on the realistic patients, not the wide ones.
    untold = evaluate.predict_table(predict, tables["validation"].untold())
    interval = evaluate.interval_of(
        answers["validation"], tables["validation"], kind=kind, without_kvp=untold
    )
    baselines = fit_baselines(tables)
    report = {
        "plan": _plan_dict(plan),
        "interval": interval,
        "tested": {
            name: _tested(
                tables[name], answers[name], predict, baselines, interval, reference, plan.draws
            )
            for name in tested
        },
        "reference": reference and reference.name,
        "disturbed": disturbed(predict, tables[tested[0]], plan.standard),
    }
    if train is not None:
        report["likeness"] = likeness_of(train, tables, tested, plan.standard, kind)
    if "held" in tables:
        report |= _answer_to_mineral(answers["held"], tables["held"])
    return report


def fit_baselines(tables) -> dict:
    """Title to (columns, regression) of each baseline, fitted on the table 'validation'.

    A column that is not known of all patients of all tables is left out.
    """
    fitted, out = tables["validation"], {}
    for title, wanted in BASELINES:
        known = [
            x for x in wanted if all(np.isfinite(getattr(t, x)).all() for t in tables.values())
        ]
        if known:
            name = title if len(known) == len(wanted) else " + ".join(SHORT[x] for x in known)
            out[name] = (known, LinearRegression().fit(_columns(fitted, known), fitted.total))
    return out


def _tested(table, answer, predict, baselines, interval, reference, draws) -> dict:
    """The entry of a tested table in the report."""
    low = evaluate.osteoporosis(table, reference)
    known = np.isfinite(table.levels)
    entry = {
        "patients": len(table),
        "osteoporosis": None if low is None else int(low.sum()),
        "CNN": evaluate.figures(answer.total, table.total, low, draws=draws),
        "CNN, single vertebrae": evaluate.figures(
            answer.levels[known], table.levels[known], draws=draws
        ),
        "coverage": evaluate.coverage(answer, table, interval),
        "by age": evaluate.by_age(answer, table),
        "without kVp": _without_kvp(predict, table, interval, low, draws),
        "prediction": [float(x) for x in answer.total],
    }
    for title, (names, model) in baselines.items():
        guess = model.predict(_columns(table, names))
        entry[title] = evaluate.figures(guess, table.total, low, draws=draws)
    blind = evaluate.predict_table(lambda hu, kvp: predict(mask_bone(hu), kvp), table)
    entry["CNN, bone masked out"] = evaluate.figures(blind.total, table.total, low, draws=draws)
    return entry


def _without_kvp(predict, table, interval, low, draws) -> dict:
    """Figures and coverage where the network is not told the tube voltage."""
    answer = evaluate.predict_table(predict, table.untold())
    found = evaluate.figures(answer.total, table.total, low, draws=draws)
    held = evaluate.coverage(answer, table, interval_for(interval, None))
    return {"L1-L4": found, "coverage": held}


def _answer_to_mineral(answer, table) -> dict:
    """'response' and 'range' of the report, on held-out anatomies at several mineral contents."""
    slope, groups = evaluate.response(answer, table)
    off = 100 * np.log(answer.total / table.total)
    known = table.levels[np.isfinite(table.levels)]
    return {
        "response": {
            "slope": slope,
            "anatomies": groups,
            "error_percent": (float(off.mean()), float(off.std(ddof=1) / np.sqrt(len(off)))),
        },
        "range": [float(np.round(known.min(), 2)), float(np.round(known.max(), 2))],
    }


def _columns(table, names):
    return np.column_stack([getattr(table, name) for name in names])


def _plan_dict(plan):
    return json.loads(json.dumps({**asdict(plan), "architecture": ARCHITECTURE}))
