"""Random changes of images on the fly: what differs between scanners, and the mineral itself.

Nothing here is drawn from real scans; ranges are wider than those of the virtual
scanners, so that a scanner that was not simulated is no stranger.
"""

from __future__ import annotations

from dataclasses import dataclass

SOFT_HU = 20.0
"""HU above which the mineral change acts: soft tissue and marrow without mineral."""


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
        SD of the scanner's HU offset and of its relative gain.
    mineral : float
        Highest |log| of the factor on the mineral; the label goes with it.
    truncate : float
        Share of images whose sides lie outside the scan.
    share : float
        Share of images each change is applied to.
    """

    noise_hu: float = 45.0
    blur_px: float = 0.9
    sharpen: float = 0.5
    offset_hu: float = 5.0
    gain: float = 0.015
    mineral: float = 0.25
    truncate: float = 0.15
    share: float = 0.6

    @classmethod
    def none(cls) -> Augmentation:
        """No change."""
        return cls(0, 0, 0, 0, 0, 0, 0, 0)


def augment(hu, bmd, settings: Augmentation, generator):
    """A randomly changed copy of a batch.

    Parameters
    ----------
    hu : torch.Tensor, shape (n, rows, columns), float32
    bmd : torch.Tensor, shape (n,)
    settings : Augmentation
    generator : torch.Generator

    Returns
    -------
    (hu, bmd)
    """
    import torch

    n, device = len(hu), hu.device

    def uniform(low, high):
        return low + (high - low) * torch.rand(n, 1, 1, generator=generator, device=device)

    def chosen(share):
        return (torch.rand(n, 1, 1, generator=generator, device=device) < share).float()

    if settings.truncate:
        hu = truncate(hu, settings.truncate, generator)
    if settings.mineral:
        log = uniform(-settings.mineral, settings.mineral) * chosen(settings.share)
        factor = torch.exp(log)
        hu = hu + (factor - 1) * torch.relu(hu - SOFT_HU) * bone_window(hu)
        bmd = bmd * factor[:, 0, 0]
    if settings.blur_px:
        sigma = uniform(0.05, settings.blur_px) * chosen(settings.share) + 1e-3
        hu = gaussian(hu, sigma)
    if settings.sharpen:
        amount = uniform(0, settings.sharpen) * chosen(settings.share)
        # Edges in tissue only: an overshoot of the skin against air is not real.
        hu = hu + amount * (hu - gaussian(hu, torch.full_like(amount, 1.0))).clamp(-150, 400)
    if settings.noise_hu:
        hu = hu + _noise(hu, uniform, chosen, settings, generator)
    if settings.gain or settings.offset_hu:
        normal = torch.randn(2, n, 1, 1, generator=generator, device=device)
        gain = 1 + settings.gain * normal[0]
        hu = (hu + 1000) * gain - 1000 + settings.offset_hu * normal[1]
    return hu, bmd


def mirror(hu, generator):
    """Half of the images seen from the other side; labels stay."""
    import torch

    chosen = torch.rand(len(hu), generator=generator, device=hu.device) < 0.5
    return torch.where(chosen[:, None, None], hu.flip(2), hu)


def truncate(hu, share, generator):
    """Air beyond a random column on each side, as in scans of a small field of view."""
    import torch

    n, columns = len(hu), hu.shape[2]
    place = torch.arange(columns, device=hu.device)[None]
    draw = torch.rand(3, n, 1, generator=generator, device=hu.device)
    # The vertebra itself, the middle 60 %, is always in view.
    left, right = 0.2 * columns * draw[0], columns - 1 - 0.2 * columns * draw[1]
    outside = ((place < left) | (place > right)) & (draw[2] < share)
    return torch.where(outside[:, None, :], torch.full_like(hu, -1000.0), hu)


def map_targets(hu, standard):
    """Where the bone and width maps should be 1, should be 0, or are left to the network.

    From the undisturbed simulated image: dense pixels near the spine are bone;
    soft tissue and fat away from the body are not; the body's inside, which may
    hold less mineral than muscle, and partial volume are left open.

    Returns
    -------
    (target, weight)
        Each of shape (n, 2, rows, columns).
    """
    import torch
    from torch.nn import functional

    smooth = functional.avg_pool2d(
        functional.pad(hu[:, None], (1, 1, 1, 1), mode="replicate"), 3, stride=1
    )[:, 0]
    step = standard.spacing_mm
    y = (torch.arange(hu.shape[1], device=hu.device) + 0.5) * step - standard.anterior_mm
    x = (torch.arange(hu.shape[2], device=hu.device) + 0.5) * step - hu.shape[2] * step / 2
    y, x = y[:, None], x[None, :]
    near = ((x.abs() < 52) & (y > -30) & (y < 80))[None]
    body = ((x / 26) ** 2 + (y / 20) ** 2 < 1)[None]
    rows = ((y > -22) & (y < 18) & (x.abs() < 34))[None]
    bone = (smooth > 160) & near
    soft = (smooth < 75) & ~body
    out = []
    for wanted, region in ((bone, near), (bone & rows, rows)):
        weight = (wanted | soft | ~region).float()
        out.append((wanted.float(), weight))
    target, weight = zip(*out, strict=True)
    return torch.stack(target, dim=1), torch.stack(weight, dim=1)


def _noise(hu, uniform, chosen, settings, generator):
    import torch

    noise = torch.randn(hu.shape, generator=generator, device=hu.device)
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
