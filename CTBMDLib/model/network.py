"""The CNN: one axial image of a vertebra in, its areal BMD in g/cm2 out.

An own design after the published idea (Yasaka et al., Eur Radiol 2020;30:3549).
A plain regressor learns the population it was trained on; this network is built
like the measurement instead. A small encoder-decoder draws four maps on the
image: what counts as bone, what counts for the projected width, where muscle is
and where fat is. The HU above a reference taken from the patient's own muscle
and fat is summed over the bone map and divided by the width, as DXA divides
mineral content by projected area; a bounded factor read from the image's context
converts that ratio to the vertebra's areal BMD. So the answer follows the mineral.

One definition, `forward`, runs on two sets of operations: NumPy, for a Slicer
without torch, and torch, for training and for GPUs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np

from .images import ImageStandard

Array = Any
"""An ndarray of float32; numpy's own types know no more of what becomes of one."""

ARCHITECTURE = "mineral-sum-1"
CHANNELS = (8, 16, 32, 48)
DECODER = (32, 16, 6)
GROUPS = 4
HIDDEN = 32
GAIN = 0.5
"""Bound of the factor's logarithm: HU per mineral differ by up to 35 % between 80 and 140 kVp,
the share of a vertebra's mineral that its middle slices show by some 20 %."""
MAPS = ("bone", "width", "muscle", "fat")
EPSILON = 1e-5
BATCH = 3
"""Images that NumPy works on at once."""
HU_PER_MG = ((80.0, 100.0, 120.0, 140.0), (1.82, 1.535, 1.38, 1.265))
"""HU per mg/cm3 of hydroxyapatite by tube voltage in kV; middle of the ranges that a simulation
of clinical spectra gave (1.79-1.85, 1.51-1.56, 1.27-1.42, 1.24-1.29)."""

MUSCLE_PRIOR_HU = (55.0, 30.0)
FAT_PRIOR_HU = (-100.0, 30.0)
"""Centre and width of the HU range where muscle and fat are looked for; wide, so
that a scanner's offset does not hide them."""


def parameter_shapes() -> dict[str, tuple[int, ...]]:
    """Name and shape of every weight, in a fixed order."""
    shapes: dict[str, tuple[int, ...]] = {}

    def conv(name: str, inputs: int, outputs: int, kernel: int = 3, norm: bool = True) -> None:
        shapes[f"{name}.weight"] = (outputs, inputs, kernel, kernel)
        shapes[f"{name}.bias"] = (outputs,)
        if norm:
            shapes[f"{name}.norm.weight"] = (outputs,)
            shapes[f"{name}.norm.bias"] = (outputs,)

    c1, c2, c3, c4 = CHANNELS
    d3, d2, d1 = DECODER
    conv("enc1", 2, c1)
    conv("enc2a", c1, c2)
    conv("enc2b", c2, c2)
    conv("enc3a", c2, c3)
    conv("enc3b", c3, c3)
    conv("enc4a", c3, c4)
    conv("enc4b", c4, c4)
    conv("dec3", c4 + c3, d3)
    conv("dec2", d3 + c2, d2)
    conv("narrow", d2, d1, kernel=1, norm=False)
    conv("dec1", d1 + c1, d1 + 2)
    conv("maps", d1 + 2, len(MAPS), kernel=1, norm=False)
    shapes["factor1.weight"] = (HIDDEN, c4 + 7)
    shapes["factor1.bias"] = (HIDDEN,)
    shapes["factor2.weight"] = (2, HIDDEN)
    shapes["factor2.bias"] = (2,)
    shapes["scale"] = (1,)
    return shapes


def draw_maps(ops: Any, weights: dict[str, Any], channels: Any) -> tuple[Any, Any]:
    """The encoder-decoder.

    Parameters
    ----------
    ops, weights
        See `forward`.
    channels : array or tensor, shape (n, 2, rows, columns)

    Returns
    -------
    (maps, context)
        maps, shape (n, 4, rows, columns), before their sigmoid or softmax; context,
        the coarsest features, shape (n, channels, rows / 8, columns / 8).
    """

    def block(name: str, x: Any) -> Any:
        x = ops.conv(x, weights[f"{name}.weight"], weights[f"{name}.bias"])
        x = ops.group_norm(x, weights[f"{name}.norm.weight"], weights[f"{name}.norm.bias"])
        return ops.relu(x)

    x1 = block("enc1", channels)
    x2 = block("enc2b", block("enc2a", ops.pool(x1)))
    x3 = block("enc3b", block("enc3a", ops.pool(x2)))
    x4 = block("enc4b", block("enc4a", ops.pool(x3)))
    y = block("dec3", ops.concatenate([ops.upsample(x4), x3]))
    y = block("dec2", ops.concatenate([ops.upsample(y), x2]))
    y = ops.conv(y, weights["narrow.weight"], weights["narrow.bias"])
    y = block("dec1", ops.concatenate([ops.upsample(y), x1]))
    y = ops.conv(y, weights["maps.weight"], weights["maps.bias"])
    return y, x4


def forward(
    ops: Any,
    weights: dict[str, Any],
    hu: Any,
    scanner: Any,
    spacing_mm: float,
    hu_low: float,
    hu_high: float,
) -> tuple[Any, Any]:
    """Areal BMD of each image.

    Parameters
    ----------
    ops : module-like
        `NumpyOps` or the torch counterpart.
    weights : dict
        Arrays or tensors by the names of `parameter_shapes`.
    hu : array or tensor, shape (n, rows, columns)
        HU; rows and columns a multiple of 8.
    scanner : array or tensor, shape (n, 2)
        What `scanner_features` makes of the tube voltage.
    spacing_mm : float
        Pixel size.
    hu_low, hu_high : float
        Window the HU are clipped to.

    Returns
    -------
    (bmd, maps)
        bmd, shape (n,), g/cm2; maps, shape (n, 4, rows, columns): bone and
        width 0 to 1, muscle and fat attention summing to 1 over the image.
    """
    hu = ops.clip(hu, hu_low, hu_high)
    wide = hu / 500.0
    soft = ops.clip(hu, hu_low, 300.0) / 150.0
    y, x4 = draw_maps(ops, weights, ops.stack_channels([wide, soft]))

    bone = ops.sigmoid(y[:, 0])
    width = ops.sigmoid(y[:, 1])
    # Smoothed twice, so that noise neither hides tissue nor picks its own tail.
    smooth = ops.box(ops.box(hu))
    muscle = ops.attention(y[:, 2] - ((smooth - MUSCLE_PRIOR_HU[0]) / MUSCLE_PRIOR_HU[1]) ** 2)
    fat = ops.attention(y[:, 3] - ((smooth - FAT_PRIOR_HU[0]) / FAT_PRIOR_HU[1]) ** 2)
    muscle_hu = ops.total(muscle * smooth)
    fat_hu = ops.total(fat * smooth)

    pixel_cm = spacing_mm / 10.0
    width_cm = ops.total_over_columns(ops.max_over_rows(width)) * pixel_cm
    context = ops.concatenate_features(
        ops.mean_over_image(x4),
        [
            scanner[:, 0],
            scanner[:, 1] * 5.0,
            (muscle_hu - 40.0) / 10.0,
            (fat_hu + 90.0) / 10.0,
            (muscle_hu - fat_hu - 130.0) / 10.0,
            width_cm / 5.0 - 1.0,
            ops.total(bone) * pixel_cm**2 / 20.0 - 1.0,
        ],
    )
    hidden = ops.relu(ops.linear(context, weights["factor1.weight"], weights["factor1.bias"]))
    factors = ops.linear(hidden, weights["factor2.weight"], weights["factor2.bias"])
    # The HU of a vertebra without mineral: marrow, between muscle and fat.
    share = ops.sigmoid(factors[:, 1])
    reference = muscle_hu + share * (fat_hu - muscle_hu)
    excess = (hu - ops.column(reference)) / 1000.0
    mineral = ops.total(bone * excess) * pixel_cm**2
    gain = weights["scale"] * ops.exp(GAIN * ops.tanh(factors[:, 0]) - scanner[:, 1])
    return gain * mineral / (width_cm + 1.0), ops.stack_channels([bone, width, muscle, fat])


class NumpyOps:
    """The operations of `forward` in NumPy; convolution as nine matrix products an image."""

    clip = staticmethod(np.clip)
    exp = staticmethod(np.exp)
    tanh = staticmethod(np.tanh)

    @staticmethod
    def stack_channels(parts: Sequence[Array]) -> Array:
        """Maps of shape (n, rows, columns) as channels of (n, channels, rows, columns)."""
        return np.stack(parts, axis=1)

    @staticmethod
    def concatenate(parts: Sequence[Array]) -> Array:
        """The channels of several arrays behind each other."""
        return np.concatenate(parts, axis=1)

    @staticmethod
    def conv(x: Array, weight: Array, bias: Array) -> Array:
        """Convolution with a rim of zeros, kernel 3 x 3 or 1 x 1; same rows and columns."""
        n, c, h, w = x.shape
        outputs, _, kernel, _ = weight.shape
        if kernel == 1:
            y = np.matmul(weight.reshape(outputs, c), x.reshape(n, c, h * w))
            y += bias[:, None]
            return y.reshape(n, outputs, h, w)
        # With a rim of zeros a shift of the image is a later start in memory, so
        # the nine products need no copies; what wraps into the rim is cut off.
        wide = w + 2
        padded = np.zeros((n, c, h + 3, wide), x.dtype)
        padded[:, :, 1 : h + 1, 1 : w + 1] = x
        flat = padded.reshape(n, c, -1)
        y = np.empty((n, outputs, h * wide), x.dtype)
        y[:] = bias[:, None]
        product = np.empty_like(y)
        taps = np.ascontiguousarray(weight.transpose(2, 3, 0, 1))
        for dy in range(3):
            for dx in range(3):
                start = dy * wide + dx
                np.matmul(taps[dy, dx], flat[:, :, start : start + h * wide], out=product)
                y += product
        return y.reshape(n, outputs, h, wide)[..., :w]

    @staticmethod
    def group_norm(x: Array, weight: Array, bias: Array) -> Array:
        """Mean 0 and variance 1 over each group of channels, then a weight and a bias each."""
        n, c, h, w = x.shape
        x = np.array(x, order="C")  # all that follows is done in its place
        grouped = x.reshape(n, GROUPS, -1)
        grouped -= grouped.mean(axis=2, keepdims=True)
        variance = np.einsum("ngi,ngi->ng", grouped, grouped) / grouped.shape[2]
        scale = 1 / np.sqrt(variance + np.float32(EPSILON))
        scale = np.repeat(scale, c // GROUPS, axis=1) * weight
        x *= scale[..., None, None]
        x += bias[:, None, None]
        return x

    @staticmethod
    def relu(x: Array) -> Array:
        """Values below 0 become 0."""
        return np.maximum(x, 0)

    @staticmethod
    def sigmoid(x: Array) -> Array:
        """1 / (1 + exp(-x)), without overflow."""
        return (1 / (1 + np.exp(-np.clip(x, -60, 60)))).astype(x.dtype)

    @staticmethod
    def pool(x: Array) -> Array:
        """Mean of blocks of 2 x 2 pixels."""
        return (x[..., ::2, ::2] + x[..., 1::2, ::2] + x[..., ::2, 1::2] + x[..., 1::2, 1::2]) / 4

    @staticmethod
    def upsample(x: Array) -> Array:
        """Each pixel becomes 2 x 2 of its value."""
        return x.repeat(2, axis=2).repeat(2, axis=3)

    @staticmethod
    def box(x: Array) -> Array:
        """Mean of 3 x 3 pixels, edges repeated; shape (n, rows, columns)."""
        p = np.pad(x, ((0, 0), (1, 1), (1, 1)), mode="edge")
        rows = p[:, :-2] + p[:, 1:-1] + p[:, 2:]
        return (rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]) / 9

    @staticmethod
    def attention(x: Array) -> Array:
        """Softmax over an image; shape (n, rows, columns)."""
        e = np.exp(x - x.max(axis=(1, 2), keepdims=True))
        return e / e.sum(axis=(1, 2), keepdims=True)

    @staticmethod
    def total(x: Array) -> Array:
        """Sum over an image; shape (n,)."""
        return x.sum(axis=(1, 2))

    @staticmethod
    def max_over_rows(x: Array) -> Array:
        """Largest value of each column; shape (n, columns)."""
        return x.max(axis=1)

    @staticmethod
    def total_over_columns(x: Array) -> Array:
        """Sum over columns; shape (n,)."""
        return x.sum(axis=1)

    @staticmethod
    def mean_over_image(x: Array) -> Array:
        """Mean of each channel; shape (n, channels)."""
        return x.mean(axis=(2, 3))

    @staticmethod
    def concatenate_features(x: Array, columns: Sequence[Array]) -> Array:
        """Further features, shape (n,) each, behind those of shape (n, features)."""
        return np.concatenate([x, np.stack(columns, axis=1)], axis=1)

    @staticmethod
    def linear(x: Array, weight: Array, bias: Array) -> Array:
        """The features times the weights, plus the bias."""
        return x @ weight.T + bias

    @staticmethod
    def column(x: Array) -> Array:
        """Shape (n,) to (n, 1, 1)."""
        return x[:, None, None]


def scanner_features(kvp: Any, count: int) -> np.ndarray:
    """Tube voltage as the network reads it.

    HU per mineral depend on the tube voltage. Where it is unknown the network is
    told so and relies on the patient's muscle and fat alone.

    Parameters
    ----------
    kvp : float, None or array_like of shape (count,)
        kV; None or NaN where unknown.
    count : int

    Returns
    -------
    ndarray, shape (count, 2), float32
        Whether it is known, and the logarithm of the HU per mineral against 120 kV.
    """
    value = np.broadcast_to(np.asarray(np.nan if kvp is None else kvp, dtype=float), (count,))
    known = np.isfinite(value)
    contrast = np.interp(np.where(known, value, 120.0), *HU_PER_MG) / np.interp(120.0, *HU_PER_MG)
    return np.stack([known, np.log(contrast)], axis=1).astype(np.float32)


def predict_numpy(
    weights: dict[str, np.ndarray], hu: Any, standard: ImageStandard, kvp: Any = None
) -> np.ndarray:
    """BMD of images by NumPy alone; shape (n,), g/cm2."""
    hu = np.ascontiguousarray(hu, dtype=np.float32)
    scanner = scanner_features(kvp, len(hu))
    window = (standard.spacing_mm, standard.hu_low, standard.hu_high)
    # Small batches keep the working set in the processor's cache.
    batches = [slice(i, i + BATCH) for i in range(0, len(hu), BATCH)]
    parts = [forward(NumpyOps, weights, hu[b], scanner[b], *window)[0] for b in batches]
    return np.concatenate(parts) if parts else np.empty(0, np.float32)


def maps_numpy(
    weights: dict[str, np.ndarray], hu: Any, standard: ImageStandard, kvp: Any = None
) -> np.ndarray:
    """The four maps the network draws; shape (n, 4, rows, columns)."""
    hu = np.ascontiguousarray(hu, dtype=np.float32)
    scanner = scanner_features(kvp, len(hu))
    window = (standard.spacing_mm, standard.hu_low, standard.hu_high)
    maps: np.ndarray = forward(NumpyOps, weights, hu, scanner, *window)[1]
    return maps


def torch_ops(channels_last: bool = False) -> Any:  # noqa: C901  a class of one-line operations
    """The operations of `forward` in torch.

    Parameters
    ----------
    channels_last : bool
        Keep a pixel's channels beside each other. On a processor convolutions learn four
        times as quickly so, but norms fifty times as slowly, which therefore turn back.
    """
    import torch
    from torch.nn import functional

    class TorchOps:
        clip = staticmethod(torch.clamp)
        exp = staticmethod(torch.exp)
        tanh = staticmethod(torch.tanh)
        relu = staticmethod(functional.relu)
        sigmoid = staticmethod(torch.sigmoid)
        linear = staticmethod(functional.linear)

        @staticmethod
        def stack_channels(parts: Any) -> Any:
            return torch.stack(parts, dim=1)

        @staticmethod
        def concatenate(parts: Any) -> Any:
            return torch.cat(parts, dim=1)

        @staticmethod
        def conv(x: Any, weight: Any, bias: Any) -> Any:
            x = x.contiguous(memory_format=torch.channels_last) if channels_last else x
            return functional.conv2d(x, weight, bias, padding=weight.shape[2] // 2)

        @staticmethod
        def group_norm(x: Any, weight: Any, bias: Any) -> Any:
            x = x.contiguous() if channels_last else x
            y = functional.group_norm(x, GROUPS, weight, bias, EPSILON)
            return y.contiguous(memory_format=torch.channels_last) if channels_last else y

        @staticmethod
        def pool(x: Any) -> Any:
            return functional.avg_pool2d(x, 2)

        @staticmethod
        def upsample(x: Any) -> Any:
            return functional.interpolate(x, scale_factor=2, mode="nearest")

        @staticmethod
        def box(x: Any) -> Any:
            padded = functional.pad(x[:, None], (1, 1, 1, 1), mode="replicate")
            return functional.avg_pool2d(padded, 3, stride=1)[:, 0]

        @staticmethod
        def attention(x: Any) -> Any:
            return torch.softmax(x.flatten(1), dim=1).reshape(x.shape)

        @staticmethod
        def total(x: Any) -> Any:
            return x.sum(dim=(1, 2))

        @staticmethod
        def max_over_rows(x: Any) -> Any:
            return x.amax(dim=1)

        @staticmethod
        def total_over_columns(x: Any) -> Any:
            return x.sum(dim=1)

        @staticmethod
        def mean_over_image(x: Any) -> Any:
            return x.mean(dim=(2, 3))

        @staticmethod
        def concatenate_features(x: Any, columns: Any) -> Any:
            return torch.cat([x, torch.stack(columns, dim=1)], dim=1)

        @staticmethod
        def column(x: Any) -> Any:
            return x[:, None, None]

    return TorchOps


@contextmanager
def full_precision() -> Iterator[None]:
    """Single precision to the last bit on a GPU, whatever the program asked torch for.

    TF32 keeps 10 bits of a factor. It is torch's default for convolutions, and moves an
    answer by up to 1e-4 g/cm2, as much as NumPy and torch may differ. What was set is set
    again at the end: other extensions share this torch.
    """
    import torch

    backends: Any = torch.backends
    if hasattr(backends.cuda.matmul, "fp32_precision"):  # torch 2.9
        # Torch refuses to tell the old setting to a program that uses the new one.
        name, places = "fp32_precision", (backends.cuda.matmul, backends.cudnn.conv)
    else:
        name, places = "allow_tf32", (backends.cuda.matmul, backends.cudnn)
    wanted = "ieee" if name == "fp32_precision" else False
    before = [getattr(place, name) for place in places]
    try:
        for place in places:
            setattr(place, name, wanted)
        yield
    finally:
        for place, value in zip(places, before, strict=True):
            setattr(place, name, value)


def _initial(name: str, shape: tuple[int, ...], generator: Any) -> Any:
    """Where training starts from: what a weight is before it has seen anything."""
    import torch

    if name.endswith("norm.weight"):
        return torch.ones(shape)
    if name == "scale":
        return torch.full(shape, 1.5)
    if len(shape) > 1:
        fan_in = int(np.prod(shape[1:]))
        value = torch.randn(shape, generator=generator) * (2 / fan_in) ** 0.5
        if name in ("maps.weight", "factor2.weight"):
            value *= 0.3
        return value
    value = torch.zeros(shape)
    if name == "maps.bias":
        # Most of an image is not bone.
        value[:2] = -2.0
    return value


def build_torch(
    standard: ImageStandard, seed: int | None = None, channels_last: bool = False
) -> Any:
    """The network as a torch module with fresh weights.

    Parameters
    ----------
    standard : ImageStandard
    seed : int, optional
        Seeds the initial weights.
    channels_last : bool
        See `torch_ops`; for training on a processor.

    Returns
    -------
    torch.nn.Module
        Called with HU of shape (n, rows, columns) and `scanner_features` of shape
        (n, 2), answers g/cm2, shape (n,).
    """
    import torch

    ops = torch_ops(channels_last)
    generator = torch.Generator().manual_seed(seed if seed is not None else torch.seed() % 2**31)

    class MineralSum(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.names = list(parameter_shapes())
            values = [
                torch.nn.Parameter(_initial(name, shape, generator))
                for name, shape in parameter_shapes().items()
            ]
            self.values = torch.nn.ParameterList(values)

        def named(self) -> Any:
            return dict(zip(self.names, self.values, strict=True))

        def forward(self, hu: Any, scanner: Any, with_maps: bool = False) -> Any:
            window = (standard.spacing_mm, standard.hu_low, standard.hu_high)
            # Training may be as quick as the machine can; an answer may not.
            with nullcontext() if torch.is_grad_enabled() else full_precision():
                bmd, maps = forward(ops, self.named(), hu, scanner, *window)
            return (bmd, maps) if with_maps else bmd

        def set_weights(self, weights: Any) -> Any:
            with torch.no_grad():
                for name, parameter in self.named().items():
                    parameter.copy_(torch.as_tensor(np.asarray(weights[name])))

        def get_weights(self) -> Any:
            return {
                name: parameter.detach().cpu().numpy().astype(np.float32).copy()
                for name, parameter in self.named().items()
            }

    return MineralSum()
