"""What the bone and width maps are held to, and where in an image no bone is near.

Both are read once from the undisturbed simulated images, before anything is changed:
dense pixels that hang together with the vertebra are bone. A calcified artery, a stone
or contrast in the bowel is as dense, but lies apart from it.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from CTBMDLib.model.images import ImageStandard

BONE_HU, SOFT_HU, SOLID_HU = 160.0, 75.0, 130.0
"""HU, smoothed, of bone; of what is surely none; of what a bright thing keeps away from."""
NOT, BONE, OPEN = 0, 1, 2
"""No bone, bone, and left to the network."""
SMALL_MM2 = 240.0
"""Area of the largest thing beside the body that is surely not the crest of the pelvis."""
PART = 1024
"""Images worked on at once."""


def read_bone(hu: np.ndarray, standard: ImageStandard) -> tuple[np.ndarray, np.ndarray]:
    """Where bone is in some images, and how far it is from every pixel.

    Parameters
    ----------
    hu : ndarray, shape (n, size, size)
        Simulated images as they were cut.
    standard : ImageStandard

    Returns
    -------
    (bone, room)
        Both uint8, shape (n, size, size). bone: `NOT`, `BONE` or `OPEN` a pixel; the
        body's inside, which may hold less mineral than muscle, and partial volume are
        left open. room: pixels to the nearest bone or the air, 0 where bone encloses it.
    """
    bone, room = np.empty(hu.shape, np.uint8), np.empty(hu.shape, np.uint8)
    for start in range(0, len(hu), PART):
        part = slice(start, start + PART)
        bone[part], room[part] = _read(hu[part].astype(np.float32), standard)
    return bone, room


def _read(hu, standard):
    y, x = _place(standard)
    smooth = ndimage.uniform_filter(hu, (0, 3, 3), mode="nearest")
    dense = smooth > BONE_HU
    # One image never touches the next.
    flat = np.zeros((3, 3, 3), bool)
    flat[1] = True
    label, count = ndimage.label(dense, flat)
    seed = ((x / 28) ** 2 + (y / 22) ** 2 < 1) | ((np.abs(x) < 25) & (y > 0) & (y < 60))
    spine = np.zeros(count + 1, bool)
    spine[np.unique(label[np.broadcast_to(seed, label.shape)])] = True
    spine[0] = False
    apart = dense & ~spine[label]
    large = np.bincount(label.ravel(), minlength=count + 1) * standard.spacing_mm**2 > SMALL_MM2
    # Behind the front of the arch, tips of processes and ribs are bone, or may be.
    unclear = apart & ((y > 12) | (large[label] & (np.abs(x) > 38)))
    body = (x / 26) ** 2 + (y / 20) ** 2 < 1
    code = np.full(hu.shape, OPEN, np.uint8)
    code[(smooth < SOFT_HU) & ~body] = NOT
    code[dense] = BONE
    # With its rim of partial volume.
    code[ndimage.binary_dilation(apart & ~unclear, flat)] = NOT
    code[dense & ~apart] = BONE
    code[unclear] = OPEN
    solid = (smooth > SOLID_HU) | dense
    closed = solid | body | _enclosed(solid) | (smooth < -200)
    return code, _distance(closed)


def _place(standard):
    """Rows' mm behind the body's centre, shape (size, 1), and columns' mm beside it."""
    middle = (np.arange(standard.size_px) + 0.5) * standard.spacing_mm
    return (
        (middle - standard.anterior_mm)[:, None],
        (middle - standard.size_px * standard.spacing_mm / 2)[None, :],
    )


def _enclosed(solid):
    """Where something solid lies in front, behind and on both sides."""
    sides = []
    for axis in (1, 2):
        sides.append(np.maximum.accumulate(solid, axis=axis))
        sides.append(np.flip(np.maximum.accumulate(np.flip(solid, axis), axis=axis), axis))
    return np.logical_and.reduce(sides)


def _distance(closed):
    """Pixels to the nearest closed one of the same image, rounded down; at most 255."""
    out = np.empty(closed.shape, np.uint8)
    for i, one in enumerate(closed):
        far = ndimage.distance_transform_edt(~one) if one.any() else np.full(one.shape, 255.0)
        out[i] = np.minimum(far, 255)
    return out


def map_targets(bone, outside, standard: ImageStandard):
    """Where the bone and width maps should be 1, should be 0, or are left to the network.

    Parameters
    ----------
    bone : torch.Tensor of uint8, shape (n, size, size)
        See `read_bone`.
    outside : torch.Tensor of bool, shape (n, size, size), or None
        What lies outside the scan: nothing there is bone.
    standard : ImageStandard

    Returns
    -------
    (target, weight)
        Each of shape (n, 2, size, size), float32.
    """
    import torch

    middle = (torch.arange(standard.size_px, device=bone.device) + 0.5) * standard.spacing_mm
    y = (middle - standard.anterior_mm)[:, None]
    x = (middle - standard.size_px * standard.spacing_mm / 2)[None, :]
    near = ((x.abs() < 52) & (y > -30) & (y < 80))[None]
    rows = ((y > -22) & (y < 18) & (x.abs() < 34))[None]
    out = []
    for region in (near, rows):
        inside = region if outside is None else region & ~outside
        out.append((((bone == BONE) & inside).float(), ((bone != OPEN) | ~inside).float()))
    target, weight = zip(*out, strict=True)
    return torch.stack(target, dim=1), torch.stack(weight, dim=1)
