"""Bright things that are no bone: contrast in the bowel, a calcified artery, a stone.

They are planted in soft tissue clear of bone; label and map targets stay, so that the
bone map learns to leave them out. Sizes and HU are own estimates, wider than life:
a ureter stone measures 2 to 10 mm and 200 to 1500 HU, calcified plaque likewise, and
positive oral contrast fills loops of 15 to 35 mm at 150 to 500 HU. Plaque also lines an
artery: an arc or a ring of 8 mm (an iliac artery) to 30 mm (a wide aorta) across.
"""

from __future__ import annotations

from CTBMDLib.model.images import ImageStandard

SMALL_MM, SMALL_HU = (2.0, 12.0), (150.0, 1500.0)
BOWEL_MM, BOWEL_HU = (15.0, 35.0), (150.0, 500.0)
WALL_MM, WALL_HU = (8.0, 30.0), (300.0, 1300.0)
WALL_THICK_MM = (1.0, 4.0)
WALL_PART = (0.15, 1.0)
"""How much of the round of an artery is calcified."""
BOWEL, WALL = 0.30, 0.35
"""Shares of contrast in the bowel and of an artery's wall among bright things."""
SECOND = 0.4
"""How often there are two."""
CLEAR_PX = 1.5
"""Pixels between the edge of a bright thing and bone: an edge takes up one."""
TRIES = 24
"""Places tried for each; where none has room the thing is left out."""
BEHIND_MM = 15.0
"""Nothing is planted further behind the body's centre: bowel, vessels and ureters lie in front."""


def plant(hu, room, share: float, standard: ImageStandard, generator):
    """The images, some of them with bright things in their soft tissue.

    Parameters
    ----------
    hu : torch.Tensor, shape (n, size, size), float32
    room : torch.Tensor of uint8, shape (n, size, size)
        Pixels to the nearest bone, see `targets.read_bone`.
    share : float
        How many of the images get any.
    standard : ImageStandard
    generator : torch.Generator

    Returns
    -------
    torch.Tensor, shape (n, size, size)
    """
    import torch

    uniform = torch.rand(2, TRIES + 1, 8, len(hu), generator=generator, device=hu.device)
    if hu.device.type != "cpu":
        return plant_drawn(hu, room, share, standard, uniform)
    # Only those that are chosen; on a GPU asking which they are would cost more.
    which = (uniform[0, -1, 7] < share).nonzero()[:, 0]
    if not len(which):
        return hu
    part = plant_drawn(hu[which], room[which], share, standard, uniform[..., which])
    return hu.index_copy(0, which, part)


def plant_drawn(hu, room, share, standard, uniform):
    """What `plant` answers for numbers between 0 and 1, shape (2, tries + 1, 8, n)."""
    chosen = uniform[0, -1, 7] < share
    for number in range(2):
        hu = _plant_one(hu, room, uniform[number], chosen, number, standard)
    return hu


def _plant_one(hu, room, draw, chosen, number, standard):
    """One thing an image where it is chosen and has room; `draw` is uniform, (tries + 1, 8, n)."""
    import torch

    n, size = len(hu), hu.shape[1]
    facts = draw[-1]
    bowel = facts[0] < BOWEL
    wall = ~bowel & (facts[0] < BOWEL + WALL)

    def kind(of_bowel, of_wall, of_small, which):
        other = torch.where(wall, _between(of_wall, which), _between(of_small, which))
        return torch.where(bowel, _between(of_bowel, which), other)

    radius = 0.5 * kind(BOWEL_MM, WALL_MM, SMALL_MM, facts[1]) / standard.spacing_mm
    value = kind(BOWEL_HU, WALL_HU, SMALL_HU, facts[2])
    # An artery is round; the same number tells how thick its wall is.
    flat = torch.where(wall, 1.0, 1 - 0.5 * facts[3])
    thick = torch.where(wall, _between(WALL_THICK_MM, facts[3]) / standard.spacing_mm, radius)
    angle = 6.2832 * facts[4]

    rows = min((standard.anterior_mm + BEHIND_MM) / standard.spacing_mm, size - 1)
    row, column = (draw[:-1, 0] * rows).long(), (draw[:-1, 1] * size).long()
    far = room[torch.arange(n, device=hu.device), row, column].float()
    fits = far >= radius + CLEAR_PX
    place = fits.float().argmax(dim=0, keepdim=True)  # the first that fits
    row, column = row.gather(0, place)[0], column.gather(0, place)[0]
    wanted = chosen & fits.any(dim=0)
    if number:
        wanted = wanted & (facts[5] < SECOND)

    along = torch.arange(size, device=hu.device, dtype=hu.dtype)
    dy = along[None, :, None] - row[:, None, None]
    dx = along[None, None, :] - column[:, None, None]
    cos, sin = torch.cos(angle)[:, None, None], torch.sin(angle)[:, None, None]
    # An ellipse no wider than the radius, with the partial volume of one pixel at its edge.
    u, v = cos * dx + sin * dy, cos * dy - sin * dx
    away = torch.hypot(u, v / flat[:, None, None])
    # What is smaller than a pixel is as much fainter.
    filled = (radius[:, None, None] + 0.5 - away).clamp(0, 1)
    lumen = (radius - thick)[:, None, None] + 0.5 - away
    bare = torch.atan2(v, u).abs() > (3.1416 * _between(WALL_PART, facts[6]))[:, None, None]
    hollow = torch.where(bare, 1.0, lumen.clamp(0, 1))
    filled = filled * torch.where(wall[:, None, None], 1 - hollow, 1.0)
    weight = filled * wanted[:, None, None]
    return hu + weight * (value[:, None, None] - hu)


def _between(limits, uniform):
    return limits[0] + (limits[1] - limits[0]) * uniform
