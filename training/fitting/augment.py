"""Random changes of images on the fly: what differs between scanners, and the mineral itself.

Nothing here is drawn from real scans; ranges are wider than those of the virtual
scanners, so that a scanner that was not simulated is no stranger.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from CTBMDLib.model.images import ImageStandard
from CTBMDLib.volume import AIR_HU

from .bright import plant

SOFT_HU = 20.0
"""HU above which the mineral change acts: soft tissue and marrow without mineral."""

HIDE_KVP = ((80, 0.03), (100, 0.20), (110, 0.08), (120, 0.60), (130, 0.08), (140, 0.09))
"""How often each tube voltage is kept from the network, kV and share.

Who does not know a CT's voltage meets those of practice: 748,846 abdominal CT of 95
hospitals had 119 kV in the mean, SD 7.5 (Smith-Bindman 2023, Eur Radiol 34:2394, Table 2),
which is 86 % at 120, 10 % at 100 and 5 % at 140 if there were no others. The wide
population has 120 kV in three of eight patients and five other voltages. Hidden so, 80 %
are at 120, 9 % at 100 and 4 % at 140; the rest keeps the others from being strangers. It is
told at most, so that the network learns what it is worth."""


@dataclass(frozen=True)
class Augmentation:
    """Ranges of the random changes; zero switches one off.

    Attributes
    ----------
    noise_hu : float
        Highest SD of added noise, HU; its grain is random too.
    blur_px : float
        Highest SD of added blur, pixels.
    sharpen : float
        Highest edge enhancement.
    offset_hu, gain : float
        SD of the scanner's HU offset and of the slope of its HU about water; both are drawn
        for each image that is shown, whatever its label.
    mineral : float
        Highest |log| of the factor on the mineral; the label goes with it.
    narrow : float
        Share of images of which up to 45 % lie outside a narrow field of view, see `view`.
    bright : float
        Share of images with bright things that are no bone, see `bright`.
    share : float
        Share of images each change is applied to.
    hide_kvp : tuple of (float, float)
        kV, and the share of the images of that tube voltage whose network is not told it.
    twins : int
        One of so many images is shown a second time, without its bright things and its
        narrow view, and both answers are held to be one (`Settings.agree`); 0 for none.
    """

    noise_hu: float = 45.0
    blur_px: float = 0.9
    sharpen: float = 0.5
    offset_hu: float = 10.0
    gain: float = 0.02
    mineral: float = 0.25
    narrow: float = 0.4
    bright: float = 0.5
    share: float = 0.6
    hide_kvp: tuple = HIDE_KVP
    twins: int = 3

    @classmethod
    def none(cls) -> Augmentation:
        """No change."""
        return cls(0, 0, 0, 0, 0, 0, 0, 0, 0, (), 0)

    def hidden(self, kvp) -> np.ndarray:
        """How often each image's tube voltage is hidden; that of the nearest voltage named.

        Parameters
        ----------
        kvp : array_like, shape (n,)
            kV, NaN where unknown.

        Returns
        -------
        ndarray, shape (n,), float32
        """
        kvp = np.asarray(kvp, dtype=float)
        if not self.hide_kvp:
            return np.zeros(kvp.shape, np.float32)
        named, share = np.array(self.hide_kvp, dtype=float).T
        nearest = np.abs(np.nan_to_num(kvp)[:, None] - named).argmin(axis=1)
        return share[nearest].astype(np.float32)


def augment(
    hu, bmd, settings: Augmentation, generator, *, standard=None, room=None, outside=None, twin=None
):
    """A randomly changed copy of a batch.

    Parameters
    ----------
    hu : torch.Tensor, shape (n, rows, columns), float32
    bmd : torch.Tensor, shape (n,)
    settings : Augmentation
    generator : torch.Generator
    standard : ImageStandard, optional
        The images' geometry; `ImageStandard()` if not given.
    room : torch.Tensor, optional
        Where bright things have room, see `targets.read_bone`; none are planted without it.
    outside : torch.Tensor of bool, optional
        What lies outside the scan, see `view.outside`.
    twin : torch.Tensor of int, shape (k,), optional
        Images that are wanted a second time.

    Returns
    -------
    (hu, bmd, twins)
        twins, shape (k, rows, columns): images of `twin` changed by the same draws but for
        bright things and what lies outside; None without any.
    """
    import torch

    n, device = len(hu), hu.device

    def both(drawn):
        return drawn if twin is None else torch.cat([drawn, drawn[twin]])

    def uniform(low, high):
        return both(low + (high - low) * torch.rand(n, 1, 1, generator=generator, device=device))

    def chosen(share):
        drawn = torch.rand(n, 1, 1, generator=generator, device=device)
        return both((drawn < share).float())

    if settings.mineral:
        log = uniform(-settings.mineral, settings.mineral) * chosen(settings.share)
        factor = torch.exp(log)[:n]
        hu = hu + (factor - 1) * torch.relu(hu - SOFT_HU) * bone_window(hu)
        bmd = bmd * factor[:, 0, 0]
    plain = hu[:0] if twin is None else hu[twin]
    if settings.bright and room is not None:
        hu = plant(hu, room, settings.bright, standard or ImageStandard(), generator)
    hu = torch.cat([hu, plain])
    if settings.blur_px:
        sigma = uniform(0.05, settings.blur_px) * chosen(settings.share) + 1e-3
        hu = gaussian(hu, sigma)
    if settings.sharpen:
        amount = uniform(0, settings.sharpen) * chosen(settings.share)
        # Edges in tissue only: an overshoot of the skin against air is not real.
        hu = hu + amount * (hu - gaussian(hu, torch.full_like(amount, 1.0))).clamp(-150, 400)
    if settings.noise_hu:
        drawn = both(torch.randn(hu[:n].shape, generator=generator, device=device))
        hu = hu + _noise(drawn, uniform, chosen, settings)
    if settings.gain or settings.offset_hu:
        normal = torch.randn(2, n, 1, 1, generator=generator, device=device)
        hu = hu * (1 + settings.gain * both(normal[0])) + settings.offset_hu * both(normal[1])
    hu, twins = hu[:n], None if twin is None else hu[n:]
    if outside is not None:
        # Last: a scan ends sharply, and whatever the scanner, air is what it is filled with.
        hu = torch.where(outside, AIR_HU, hu)
    return hu, bmd, twins


def mirror(generator, *stacks):
    """Half of the images seen from the other side, with all that belongs to them."""
    import torch

    chosen = torch.rand(len(stacks[0]), generator=generator, device=stacks[0].device) < 0.5
    return [torch.where(chosen[:, None, None], stack.flip(2), stack) for stack in stacks]


def _noise(noise, uniform, chosen, settings):
    noise = gaussian(noise, uniform(0.05, 1.3))
    noise = noise / noise.std(dim=(1, 2), keepdim=True)
    # Squared: quiet images are the common case, very noisy ones are there.
    return noise * settings.noise_hu * uniform(0, 1) ** 2 * chosen(0.2 + settings.share)


def bone_window(hu):
    """Where mineral is changed: above soft tissue and connected to the vertebra's surroundings.

    A smooth mask over the region where the vertebra lies, so that ribs, contrast
    and metal at the image's edge keep their HU.
    """
    import torch

    rows = torch.linspace(0, 1, hu.shape[1], device=hu.device)[:, None]
    columns = torch.linspace(-1, 1, hu.shape[2], device=hu.device)[None, :]
    # Body's centre at about a third of the image's height; the processes reach
    # 45 mm to the sides and 70 mm back.
    inside = ((columns / 0.78) ** 4 + ((rows - 0.52) / 0.42) ** 4) < 1
    return inside.float()[None]


def gaussian(x, sigma):
    """Blur each image of a batch by its own SD (pixels, shape (n, 1, 1)), reflecting at edges."""
    import torch
    from torch.nn import functional

    n, rows, columns = x.shape
    taps = torch.arange(-4, 5, device=x.device, dtype=x.dtype)
    kernel = torch.exp(-0.5 * (taps / sigma[:, 0]) ** 2)
    kernel = kernel / kernel.sum(dim=1, keepdim=True)
    padded = functional.pad(x[None], (4, 4, 4, 4), mode="reflect")
    y = functional.conv2d(padded, kernel[:, None, None, :], groups=n)
    return functional.conv2d(y, kernel[:, None, :, None], groups=n)[0]
