"""How far an answer moves by what is no bone, and by what of an image lies outside the scan.

The same patients are answered as they are and with one thing changed: a calcified aorta,
contrast in the bowel, a stone beside the spine; or a field of view as narrow as that of
reformats of the spine. The things are planted at their own places and in forms of their
own, not by what training plants.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from CTBMDLib.model.images import ImageStandard
from CTBMDLib.volume import AIR_HU

from ..fitting.targets import read_bone
from . import evaluate

CLEAR_MM = 3.0
"""Of what is planted no more is drawn than lies so far from bone."""
LEAST = 0.5
"""Share of a thing that must have room; it is planted nowhere otherwise."""


def across(standard: ImageStandard) -> tuple[np.ndarray, np.ndarray]:
    """Mm to the patient's left and behind the body's centre of every pixel of an image."""
    middle = (np.arange(standard.size_px) + 0.5) * standard.spacing_mm
    x = middle - standard.size_px * standard.spacing_mm / 2
    y = middle - standard.anterior_mm
    return np.broadcast_arrays(x[None, :], y[:, None])


def _soft_edge(depth_mm, standard):
    """Share of a pixel that a thing fills, from how deep inside it the pixel's middle lies."""
    return np.clip(depth_mm / standard.spacing_mm + 0.5, 0, 1)


def calcified_aorta(standard: ImageStandard) -> np.ndarray:
    """Two thirds of a wall 2.5 mm thick and 18 mm across, left in front of the body."""
    x, y = across(standard)
    dx, dy = x - 9.0, y + 31.0
    wall = 1.25 - np.abs(np.hypot(dx, dy) - 9.0)
    return _soft_edge(np.where(np.arctan2(dy, dx) < np.pi / 3, wall, -9.0), standard)


def bowel(standard: ImageStandard) -> np.ndarray:
    """Two loops of 26 by 18 mm, one on either side in front."""
    x, y = across(standard)
    out = np.zeros(x.shape)
    for side, front in ((-40.0, -30.0), (38.0, -34.0)):
        away = np.hypot((x - side) / 13.0, (y - front) / 9.0)
        out = np.maximum(out, _soft_edge(9.0 * (1 - away), standard))
    return out


def stones(standard: ImageStandard) -> np.ndarray:
    """A stone of 7 mm in front of each psoas, where the ureters run."""
    x, y = across(standard)
    out = np.zeros(x.shape)
    for side in (-36.0, 36.0):
        out = np.maximum(out, _soft_edge(3.5 - np.hypot(x - side, y + 16.0), standard))
    return out


THINGS: dict[str, tuple[Callable, float]] = {
    "a calcified aorta": (calcified_aorta, 700.0),
    "contrast in the bowel": (bowel, 350.0),
    "a stone on either side": (stones, 900.0),
}
"""What is planted: the share of each pixel that it fills, and its HU."""

VIEWS = {
    "120 mm wide": (-60.0, 60.0, -84.0, 44.0),
    "100 mm wide": (-50.0, 50.0, -84.0, 44.0),
    "90 mm wide, ending 30 mm in front": (-45.0, 45.0, -84.0, 30.0),
    "83 mm wide, ending 25 mm in front": (-41.5, 41.5, -84.0, 25.0),
    "100 mm wide, cut behind the arch": (-50.0, 50.0, -60.0, 44.0),
}
"""Sides of narrow views from the body's centre: right, left, back, front, mm."""


def planted(hu: np.ndarray, thing: str, standard: ImageStandard) -> tuple[np.ndarray, np.ndarray]:
    """Images with a thing in their soft tissue.

    Parameters
    ----------
    hu : ndarray, shape (n, size, size)
    thing : str
        Of `THINGS`.
    standard : ImageStandard

    Returns
    -------
    (images, which)
        The images, HU, and which of them the thing had room in.
    """
    form, value = THINGS[thing]
    fill = form(standard)[None]
    _, room = read_bone(hu, standard)
    free = room > CLEAR_MM / standard.spacing_mm
    which = (fill * free).sum(axis=(1, 2)) >= LEAST * fill.sum()
    # No thing that is only partly there gets a hard edge: what lies near bone is left out.
    weight = fill * free * which[:, None, None]
    return (hu + weight * np.maximum(value - hu, 0)).astype(np.float32), which


def narrowed(hu: np.ndarray, view: str, standard: ImageStandard) -> tuple[np.ndarray, float]:
    """Images as a scan of a narrow field of view shows them, and the share that lies outside it."""
    x, y = across(standard)
    low_x, high_x, back, front = VIEWS[view]
    outside = (x < low_x) | (x > high_x) | (-y < back) | (-y > front)
    return np.where(outside, AIR_HU, hu).astype(np.float32), float(outside.mean())


def disturbed(predict, table: evaluate.Table, standard: ImageStandard) -> dict:
    """How far the answers of L1-L4 move.

    Parameters
    ----------
    predict : callable
        See `evaluate.predict_table`.
    table : evaluate.Table
        Patients of any kind.
    standard : ImageStandard

    Returns
    -------
    dict of str to dict
        'planted' and 'narrow': by name the number of patients, mean and SD of the change
        (g/cm2), the share that moved by less than 0.01, and the share of the image outside.
    """
    base = evaluate.predict_table(predict, table).total

    def moved(change):
        images, counted = [], []
        for one in table.images:
            pairs = {level: change(hu) for level, hu in one.items()}
            images.append({level: pair[0] for level, pair in pairs.items()})
            counted.append(np.mean([np.mean(pair[1]) for pair in pairs.values()]))
        counted = np.array(counted)
        got = evaluate.predict_table(predict, replace(table, images=images)).total
        kept = counted > 0
        delta = (got - base)[kept]
        return delta, float(counted[kept].mean()) if kept.any() else 0.0

    out: dict[str, dict] = {"planted": {}, "narrow": {}}
    for thing in THINGS:
        delta, share = moved(lambda hu, thing=thing: planted(hu, thing, standard))
        out["planted"][thing] = {**_summary(delta), "images": share}
    for view in VIEWS:
        delta, share = moved(lambda hu, view=view: narrowed(hu, view, standard))
        out["narrow"][view] = {**_summary(delta), "outside": share}
    return out


def _summary(delta) -> dict:
    """Number, mean, SD and share of small changes."""
    if not len(delta):
        return {"patients": 0}
    return {
        "patients": len(delta),
        "mean": float(delta.mean()),
        "sd": float(delta.std(ddof=1)) if len(delta) > 1 else 0.0,
        "below_0.01": float((np.abs(delta) < 0.01).mean()),
    }


def lines(found: dict) -> list[str]:
    """The section of the report, as Markdown."""
    out = [
        "## What is no bone, and what lies outside the scan",
        "",
        "The same patients answered again with one thing changed in every image that has room for it:",
        "change of L1-L4 in g/cm2. Goals: a planted thing moves L1-L4 by less than 0.010; a narrow view",
        "by less than 0.015 in the mean, with an SD below 0.010.",
        "",
        "| changed | patients | of the images | mean change | SD | moved by less than 0.010 |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for kind, words in (("planted", "images"), ("narrow", "outside")):
        for name, x in found[kind].items():
            if not x["patients"]:
                out.append(f"| {name} | 0 | no room | - | - | - |")
                continue
            share = f"{100 * x[words]:.0f} %" + (" outside" if words == "outside" else "")
            out.append(
                f"| {name} | {x['patients']} | {share} | {x['mean']:+.4f} | {x['sd']:.4f} | "
                f"{100 * x['below_0.01']:.0f} % |"
            )
    return [*out, ""]
