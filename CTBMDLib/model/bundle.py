"""A model bundle: `card.json` and `weights.npz` in one folder, checked when it is loaded."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import re
import sys
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from ..dxa import DEVICES as DXA_DEVICES
from ..dxa import device_of
from ..errors import CTBMDError, shown
from ..resources import resource_folder
from ..safefile import restore_folder, write_folder
from ..weights import CARD, MAX_BYTES, SIGNATURE, WEIGHTS, card_digest, read_weights
from ..weights import read_card as read_model_card
from . import likeness
from .images import ImageStandard
from .network import (
    ARCHITECTURE,
    build_torch,
    parameter_shapes,
    predict_numpy,
    scanner_features,
)

__all__ = [
    "CARD",
    "FORMAT",
    "MAX_BYTES",
    "WEIGHTS",
    "ModelBundle",
    "default_bundle_folder",
    "read_card",
    "save_bundle",
]

FORMAT = "ctbmd-bundle-1"
POPULATIONS = ("simulated", "patients")
DEVICES = ("auto", "cpu", "cuda", "mps")
BACKENDS = (None, "numpy", "torch")
MAX_MEMBERS = 10
MAX_TEXT = 200
MAX_BMD = 100.0
"""g/cm2; a network that answers more does not compute."""
_INTERVAL = {
    "level": (0.5, 0.999),
    "floor_g_cm2": (1e-4, 1.0),
    "quantile_level": (1e-6, 1e3),
    "quantile_total": (1e-6, 1e3),
}
"""What each entry of a card's interval may be: an interval of no width is a damaged card."""
_WITHOUT_KVP = ("quantile_level", "quantile_total")
"""What its entry `without_kvp` holds, where there is one."""
_SCALE, MAX_OFFSET, _RATIO = (0.1, 10.0), 5.0, (1e-9, 1e6)

Weights = dict[str, np.ndarray]

_REQUIRED = {
    "format": str,
    "name": str,
    "version": str,
    "date": str,
    "population": str,
    "architecture": str,
    "members": int,
    "image": dict,
    "interval": dict,
    "weights_sha256": str,
}


def default_bundle_folder() -> Path:
    """Folder of the bundle that comes with CTBMD.

    With several bundles the one named in `default.txt` beside them is taken,
    else the last by name.

    Raises
    ------
    CTBMDError
        Where no bundle is installed.
    """
    base = resource_folder("Models")
    found = sorted(folder.parent for folder in base.glob(f"*/{CARD}") if _is_bundle(folder))
    choice = base / "default.txt"
    if choice.is_file():
        named = base / choice.read_text(encoding="utf-8").strip()
        if named in found:
            return named
    if found:
        return found[-1]
    raise CTBMDError(
        "No BMD model is installed beside CTBMD; name the folder of a model bundle instead.",
        "no-model-installed",
    )


def _is_bundle(card: Path) -> bool:
    # Models of other kinds, such as the level finder's, may lie beside the BMD bundles.
    try:
        return bool(json.loads(card.read_text(encoding="utf-8")).get("format") == FORMAT)
    except (ValueError, AttributeError, OSError, RecursionError):
        return False


class ModelBundle:
    """A trained network (an ensemble of a few members) and its card.

    Use `ModelBundle.load(folder)`.

    Attributes
    ----------
    folder : Path or None
    card : dict
        The card as written; see `save_bundle` for what it holds.
    members : list of dict
        Weights of each member by the names of `network.parameter_shapes`.
    standard : ImageStandard
        Geometry of the images the network was trained on.
    """

    def __init__(
        self, card: dict[str, Any], members: list[Weights], folder: Path | None = None
    ) -> None:
        self.card = card
        self.members = members
        self.folder = folder
        self.standard = ImageStandard.from_dict(card["image"])
        self._torch: dict[str, list[Any]] = {}

    @property
    def name(self) -> str:
        """Name of the bundle."""
        return str(self.card["name"])

    @property
    def version(self) -> str:
        """Version of the bundle, with the site's addition where it is calibrated."""
        return str(self.card["version"])

    @property
    def population(self) -> str:
        """'simulated' or 'patients': what the network was trained on."""
        return str(self.card["population"])

    @property
    def signed(self) -> bool:
        """Whether the card carries its own SHA-256, which `load` has compared."""
        return SIGNATURE in self.card

    @property
    def simulated(self) -> bool:
        """Whether the network was trained on simulated CT."""
        return self.population == "simulated"

    @property
    def dxa_device(self) -> str | None:
        """The DXA device whose g/cm2 it answers in; None where its site's is not known."""
        return device_of(self.card)

    @classmethod
    def load(cls, folder: str | PathLike[str]) -> ModelBundle:
        """Read and check a bundle.

        Raises
        ------
        CTBMDError
            Where the folder is no bundle, the weights were changed, cut short
            or belong to another network.
        """
        folder = Path(folder)
        restore_folder(folder)
        card = read_card(folder)
        arrays = read_weights(folder, card["weights_sha256"], _member_shapes(card["members"]))
        members = [
            {name: arrays[f"member{m}/{name}"] for name in parameter_shapes()}
            for m in range(card["members"])
        ]
        return cls(card, members, folder)

    def predict(
        self, images_hu: Any, device: str = "auto", backend: str | None = None, *, kvp: Any = None
    ) -> np.ndarray:
        """Areal BMD of images by every member.

        Parameters
        ----------
        images_hu : array_like, shape (n, size, size)
            HU images as `images.cut_images` makes them.
        device : {'auto', 'cpu', 'cuda', 'mps'}
            'auto' takes a GPU only where torch is loaded already: importing
            torch takes longer than NumPy needs for all images of a patient.
        backend : {None, 'numpy', 'torch'}
            None chooses by `device`.
        kvp : float or None, or array_like of shape (n,)
            Tube voltage in kV; None or NaN where unknown.

        Returns
        -------
        ndarray, shape (members, n), float64
            g/cm2, a site calibration of the card included.
        """
        hu = np.asarray(images_hu, dtype=np.float32)
        size = self.standard.size_px
        if hu.ndim != 3 or hu.shape[1:] != (size, size):
            raise ValueError(f"images must have shape (n, {size}, {size}), not {hu.shape}")
        if device not in DEVICES or backend not in BACKENDS:
            raise CTBMDError(
                f"Unknown device '{device}' or backend '{backend}'; use one of {', '.join(DEVICES)}.",
                "device",
            )
        if backend == "numpy" and device in ("cuda", "mps"):
            raise CTBMDError(
                f"NumPy cannot run on '{device}'; choose the device 'cpu' or 'auto'.", "device"
            )
        if (backend or _backend(device)) == "torch":
            values = self._predict_torch(hu, kvp, device)
        else:
            with np.errstate(all="ignore"):  # what is not finite is refused below
                values = np.stack([predict_numpy(w, hu, self.standard, kvp) for w in self.members])
        values = values.astype(float)
        if not (np.abs(values) <= MAX_BMD).all():  # false for NaN as well
            raise CTBMDError(
                f"The model '{self.name}' gives no usable values; "
                "copy the bundle again or take another.",
                "model-does-not-compute",
            )
        calibration = self.card.get("calibration")
        if calibration:
            values = calibration["scale"] * values + calibration["offset_g_cm2"]
        return values

    def _predict_torch(self, hu: np.ndarray, kvp: Any, device: str) -> np.ndarray:
        _check_torch()
        import torch

        device = _torch_device(torch, device)
        if device not in self._torch:
            networks = []
            for weights in self.members:
                network = build_torch(self.standard, seed=0)
                network.set_weights(weights)
                networks.append(network.to(device).eval())
            self._torch[device] = networks
        with torch.inference_mode():
            tensor = torch.from_numpy(np.ascontiguousarray(hu)).to(device)
            scanner = torch.from_numpy(scanner_features(kvp, len(hu))).to(device)
            return np.stack(
                [network(tensor, scanner).cpu().numpy() for network in self._torch[device]]
            )


def runs_on(device: str = "auto", *, load: bool = True) -> str | None:
    """What the network runs on, to be shown: 'CPU, NumPy', 'CPU, PyTorch' or a GPU's name.

    Parameters
    ----------
    device : {'auto', 'cpu', 'cuda', 'mps'}
    load : bool
        Whether PyTorch may be loaded for the answer, which takes seconds; else None is
        answered where only PyTorch knows.

    Raises
    ------
    CTBMDError
        Where PyTorch or the device is not there.
    """
    if _backend(device) == "numpy":
        return "CPU, NumPy"
    _check_torch()
    if not load and sys.modules.get("torch") is None:
        return None
    import torch

    found = _torch_device(torch, device)
    if found == "cuda":
        return f"{torch.cuda.get_device_name()} (CUDA)"
    return "Apple GPU (MPS)" if found == "mps" else "CPU, PyTorch"


def _backend(device: str) -> str:
    """'torch' where a GPU is asked for, or may be taken because torch is loaded already."""
    loaded = sys.modules.get("torch") is not None
    return "torch" if device in ("cuda", "mps") or (device == "auto" and loaded) else "numpy"


def _check_torch() -> None:
    if importlib.util.find_spec("torch") is None:
        raise CTBMDError(
            "PyTorch is not installed, so only the device 'cpu' or 'auto' can be used.",
            "no-pytorch",
        )


def _torch_device(torch: Any, device: str) -> str:
    cuda = torch.cuda.is_available()
    mps = hasattr(torch.backends, "mps") and torch.backends.mps.is_available()
    if device == "auto":
        return "cuda" if cuda else "mps" if mps else "cpu"
    if (device == "cuda" and not cuda) or (device == "mps" and not mps):
        raise CTBMDError(
            f"This computer has no '{device}' device; use 'cpu' or 'auto'.", "no-device"
        )
    return device


def read_card(folder: str | PathLike[str]) -> dict[str, Any]:
    """The card of a bundle, its entries checked.

    Raises
    ------
    CTBMDError
        Where there is no card or it is not one this version understands.
    """
    folder = Path(folder)
    path = folder / CARD
    card = read_model_card(folder, FORMAT)
    _check(card, path)
    return card


def _check(card: dict[str, Any], path: Path) -> None:
    """Refuse a card that `load` or `predict` would trip over, before it is used or written."""
    folder = path.parent
    for key, kind in _REQUIRED.items():
        if not isinstance(card.get(key), kind) or isinstance(card.get(key), bool):
            raise CTBMDError(
                f"The model card '{path}' lacks '{key}'; the bundle is damaged.", "card-entry"
            )
    if card["architecture"] != ARCHITECTURE:
        raise CTBMDError(
            f"The model in '{folder}' is a network of type '{shown(card['architecture'])}', which this "
            f"version does not know; it runs '{ARCHITECTURE}'.",
            "card-architecture",
        )
    if card["population"] not in POPULATIONS:
        raise CTBMDError(
            f"The model card '{path}' names the population '{shown(card['population'])}'; it must be one "
            f"of {', '.join(POPULATIONS)}.",
            "card-population",
        )
    if not 1 <= card["members"] <= MAX_MEMBERS:
        raise CTBMDError(
            f"The model card '{path}' names {shown(card['members'])} members; 1 to {MAX_MEMBERS} can be.",
            "card-members",
        )
    _check_texts(card, path)
    _check_dxa(card, path)
    _check_numbers(card, path)
    ImageStandard.from_dict(card["image"])


def _check_texts(card: dict[str, Any], path: Path) -> None:
    """Texts that go into every row: a line each, and not a page."""
    for key in ("name", "version", "date"):
        text = card[key]
        if not text.strip() or len(text) > MAX_TEXT or not text.isprintable():
            raise CTBMDError(
                f"The model card '{path}' has no usable '{key}'; the bundle is damaged.",
                "card-entry",
            )
    if not re.fullmatch(r"[0-9a-f]{64}", card["weights_sha256"]):
        raise CTBMDError(
            f"The model card '{path}' has no SHA-256 of its weights; the bundle is damaged.",
            "card-entry",
        )


def _check_dxa(card: dict[str, Any], path: Path) -> None:
    device = card.get("dxa_device")
    # null says that nobody knows, which is true of a site's DXA alone.
    of_a_site = card.get("calibration") or card["population"] == "patients"
    unsaid = "dxa_device" not in card or (device is None and of_a_site)
    if not unsaid and not (isinstance(device, str) and device in DXA_DEVICES):
        raise CTBMDError(
            f"The model card '{path}' names the DXA device '{shown(device)}'; it must be one of "
            f"{', '.join(DXA_DEVICES)}.",
            "card-dxa-device",
        )


def _check_numbers(card: dict[str, Any], path: Path) -> None:
    for key, (low, high) in _INTERVAL.items():
        if not _number_in(card["interval"].get(key), low, high):
            raise CTBMDError(
                f"The model card '{path}' lacks a possible 'interval.{key}'.", "card-interval"
            )
    wider = card["interval"].get("without_kvp", dict.fromkeys(_WITHOUT_KVP, 1.0))
    if not isinstance(wider, dict) or not (
        set(wider) == set(_WITHOUT_KVP)
        and all(_number_in(wider[key], *_INTERVAL[key]) for key in _WITHOUT_KVP)
    ):
        raise CTBMDError(
            f"The model card '{path}' has an 'interval.without_kvp' that is not possible.",
            "card-interval",
        )
    _check_range(card, path)
    if not likeness.possible(card.get(likeness.KEY, {"features": []})):
        raise CTBMDError(
            f"The model card '{path}' has a 'likeness' that is not possible; copy the bundle again.",
            "card-likeness",
        )
    calibration = card.get("calibration")
    if calibration is None:
        return
    if not isinstance(calibration, dict) or not (
        _number_in(calibration.get("scale"), *_SCALE)
        and _number_in(calibration.get("offset_g_cm2"), -MAX_OFFSET, MAX_OFFSET)
        and _number_in(calibration.get("interval_ratio", 1.0), *_RATIO)
    ):
        raise CTBMDError(
            f"The site calibration in '{path}' lacks a possible scale, offset or interval ratio.",
            "card-calibration",
        )
    before = calibration.get("of", {})
    fits = isinstance(before, dict)
    texts = [before.get(key, "1") for key in ("version", "date")] if fits else [None]
    if not all(isinstance(x, str) and x and len(x) <= MAX_TEXT and x.isprintable() for x in texts):
        raise CTBMDError(
            f"The site calibration in '{path}' does not say what it was made of.",
            "card-calibration",
        )
    _check_range(before, path)
    _check_dxa({"population": card["population"], **before}, path)


def _check_range(card: dict[str, Any], path: Path) -> None:
    ends = card.get("bmd_range_g_cm2")
    if ends is None:
        return
    fits = isinstance(ends, list) and len(ends) == 2
    if not fits or not all(_number_in(x, -1.0, 10.0) for x in ends) or not ends[0] < ends[1]:
        raise CTBMDError(
            f"The model card '{path}' has a 'bmd_range_g_cm2' that is not [lowest, highest].",
            "card-range",
        )


def _number_in(value: Any, low: float, high: float) -> bool:
    """Whether a value of a card is a number from `low` to `high`; NaN is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return low <= value <= high


def _member_shapes(members: int) -> dict[str, tuple[int, ...]]:
    """Name and shape of every array of a bundle's weights."""
    return {
        f"member{m}/{name}": shape
        for m in range(members)
        for name, shape in parameter_shapes().items()
    }


def save_bundle(
    folder: str | PathLike[str],
    card: dict[str, Any],
    members: list[Weights],
    overwrite: bool = False,
) -> ModelBundle:
    """Write a bundle in one step: a kill at any moment leaves the old one or the new one.

    Parameters
    ----------
    folder : path
    card : dict
        All of `name, version, date, population, image, interval` and whatever
        else describes the training; `format, architecture, members` and
        `weights_sha256` are filled in here.
    members : list of dict
        Weights of each member, float32.
    overwrite : bool

    Raises
    ------
    CTBMDError
        Where the folder holds a bundle already and `overwrite` is False, or the card
        is one that could not be loaded again; nothing is written then.
    """
    folder = Path(folder)
    if (folder / CARD).exists() and not overwrite:
        raise CTBMDError(
            f"'{folder}' holds a model bundle already; choose another folder.", "output-exists"
        )
    buffer = io.BytesIO()
    arrays = {
        f"member{m}/{name}": np.ascontiguousarray(weights[name], dtype=np.float32)
        for m, weights in enumerate(members)
        for name in parameter_shapes()
    }
    # numpy's own types take the names of arrays for its keyword allow_pickle.
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    data = buffer.getvalue()
    card = {
        **card,
        "format": FORMAT,
        "architecture": ARCHITECTURE,
        "members": len(members),
        "weights_sha256": hashlib.sha256(data).hexdigest(),
    }
    card[SIGNATURE] = card_digest(card)
    _check(card, folder / CARD)
    text = json.dumps(card, indent=1) + "\n"
    write_folder(folder, {WEIGHTS: data, CARD: text.encode("utf-8")})
    return ModelBundle.load(folder)
