"""A narrow field of view: what of an image lies outside the scan, as in reformats of the spine.

A scan reconstructed for the spine ends 40 to 60 mm from it. `CTBMDLib.model.images`
fills what the scan does not cover with air, pixel by pixel and without a soft edge,
and so does training, after everything else that is done to an image.
"""

from __future__ import annotations

from CTBMDLib.model.images import ImageStandard

KEPT_MM = ((-38.0, 38.0), (-58.0, 24.0))
"""What is always in view about the body's centre, mm to the right and to the front: the body,
the arch and most of the processes. Of a scan that cuts these nobody would read a DXA."""
MOST = 0.45
"""Largest part of an image outside the scan: spine reformats leave 20 to 45 %."""
CUT = 0.75
"""How often each side of a narrow view is cut."""
TILT_DEG = 2.0
"""SD of the turn of the scan's edges against the image, as in oblique reformats."""


def outside(count: int, standard: ImageStandard, share: float, generator):
    """Where images of a narrow field of view lie outside the scan.

    Parameters
    ----------
    count : int
        Images.
    standard : ImageStandard
    share : float
        How many of them have a narrow view.
    generator : torch.Generator

    Returns
    -------
    torch.Tensor of bool, shape (count, size, size)
    """
    import torch

    device = generator.device
    draw = torch.rand(9, count, generator=generator, device=device)
    tilt = torch.randn(count, generator=generator, device=device) * TILT_DEG
    width = standard.size_px * standard.spacing_mm
    full = ((-width / 2, width / 2), (standard.anterior_mm - width, standard.anterior_mm))
    # Margins between what is kept and the image's rim, in parts of the image's width.
    rims, signs = (*full[0], *full[1]), (1, -1, 1, -1)
    kept = (*KEPT_MM[0], *KEPT_MM[1])
    room = [max(s * (k - r), 0.0) / width for s, k, r in zip(signs, kept, rims, strict=True)]
    cuts = torch.stack([m * draw[i] * (draw[4 + i] < CUT) for i, m in enumerate(room)])
    a, b = cuts[0] + cuts[1], cuts[2] + cuts[3]
    cuts = cuts * _at_most(a, b)
    narrow = draw[8] < share
    sides = [r + s * width * cut for r, s, cut in zip(rims, signs, cuts, strict=True)]
    return beyond(standard, sides, tilt) & narrow[:, None, None]


def _at_most(a, b):
    """The factor on cuts of width and height that leaves `1 - MOST` of the image."""
    import torch

    # (1 - f a) (1 - f b) = 1 - MOST, solved for the smaller f in the form that bears b = 0.
    f = 2 * MOST / (a + b + torch.sqrt((a + b) ** 2 - 4 * a * b * MOST)).clamp(min=1e-6)
    return f.clamp(max=1.0)


def beyond(standard: ImageStandard, sides, tilt_deg):
    """Pixels whose middle lies beyond the sides of a rectangular view.

    Parameters
    ----------
    standard : ImageStandard
    sides : sequence of four torch.Tensor, shape (n,)
        Left and right edge (mm to the patient's right), back and front edge (mm to the
        front), from the body's centre.
    tilt_deg : torch.Tensor, shape (n,)
        How far the rectangle is turned about that centre.

    Returns
    -------
    torch.Tensor of bool, shape (n, size, size)
    """
    import torch

    size, spacing = standard.size_px, standard.spacing_mm
    middle = (torch.arange(size, device=tilt_deg.device) + 0.5) * spacing
    right = (size * spacing / 2 - middle)[None, None, :]
    front = (standard.anterior_mm - middle)[None, :, None]
    angle = torch.deg2rad(tilt_deg)[:, None, None]
    across = torch.cos(angle) * right + torch.sin(angle) * front
    along = torch.cos(angle) * front - torch.sin(angle) * right
    low_r, high_r, low_a, high_a = (side[:, None, None] for side in sides)
    return (across < low_r) | (across > high_r) | (along < low_a) | (along > high_a)
