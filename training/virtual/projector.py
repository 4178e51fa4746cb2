"""Parallel projection after Joseph and filtered back projection, compiled with numba."""

# A patient's or a volume's bytes hang on these lines, so they stay as they are.
# ruff: noqa: PLR0917
from __future__ import annotations

import numba as nb
import numpy as np


@nb.njit(cache=True, fastmath=True)
def project(first, second, pixel, x0, y0, angles, detectors, pitch):
    """Line integrals of two images along parallel rays (Joseph, IEEE TMI 1982;1:192).

    Parameters
    ----------
    first, second : ndarray, shape (J, I)
    pixel : float
        Pixel width, mm.
    x0, y0 : float
        Centre of pixel (0, 0) relative to the axis of rotation, mm.
    angles : ndarray, shape (A,)
        Direction of the detector axis, rad.
    detectors : int
    pitch : float
        Detector spacing, mm.

    Returns
    -------
    ndarray, shape (2, A, detectors), float32
        Integrals in image unit times cm.
    """
    rows, columns = first.shape
    out = np.zeros((2, angles.size, detectors), np.float32)
    for a in range(angles.size):
        c, s = np.cos(angles[a]), np.sin(angles[a])
        for d in range(detectors):
            t = (d - 0.5 * (detectors - 1)) * pitch
            sum1, sum2 = 0.0, 0.0
            if abs(c) > abs(s):
                # Rays run mostly along y: one sample a row.
                step = pixel / abs(c)
                slope = -s / c
                base = (t / c - x0) / pixel
                f = base + slope * (y0 / pixel)
                for j in range(rows):
                    if 0.0 <= f < columns - 1:
                        i = int(f)
                        g = np.float32(f - i)
                        sum1 += first[j, i] + g * (first[j, i + 1] - first[j, i])
                        sum2 += second[j, i] + g * (second[j, i + 1] - second[j, i])
                    f += slope
            else:
                step = pixel / abs(s)
                slope = -c / s
                base = (t / s - y0) / pixel
                f = base + slope * (x0 / pixel)
                for i in range(columns):
                    if 0.0 <= f < rows - 1:
                        j = int(f)
                        g = np.float32(f - j)
                        sum1 += first[j, i] + g * (first[j + 1, i] - first[j, i])
                        sum2 += second[j, i] + g * (second[j + 1, i] - second[j, i])
                    f += slope
            out[0, a, d] = sum1 * step * 0.1
            out[1, a, d] = sum2 * step * 0.1
    return out


@nb.njit(cache=True, fastmath=True)
def back_project(sinogram, xs, ys, angles, pitch):
    """Back projection of a filtered sinogram at pixel centres, shape (ys, xs), float32."""
    detectors = sinogram.shape[1]
    out = np.zeros((ys.size, xs.size), np.float32)
    centre = 0.5 * (detectors - 1)
    for a in range(angles.size):
        c, s = np.cos(angles[a]) / pitch, np.sin(angles[a]) / pitch
        row = sinogram[a]
        for j in range(ys.size):
            base = ys[j] * s + centre
            for i in range(xs.size):
                f = xs[i] * c + base
                if 0.0 <= f < detectors - 1:
                    n = int(f)
                    g = np.float32(f - n)
                    out[j, i] += row[n] + g * (row[n + 1] - row[n])
    return out * np.float32(np.pi / angles.size)


KERNELS = {"soft": (0.55, 0.0), "standard": (0.85, 0.0), "sharp": (1.25, 0.35)}
"""Frequency in 1/mm at which the window ends, and the edge enhancement of its middle."""


def filter_response(count: int, pitch: float, kernel: str) -> np.ndarray:
    """Ramp times window on the rfft grid of `count` samples, 1/cm."""
    # The ramp is taken from its spatial samples (Kak & Slaney, eq. 61), so that the
    # mean is right and water does not cup.
    n = np.fft.fftfreq(count, 1 / count)
    h = np.zeros(count)
    h[0] = 0.25
    odd = n % 2 == 1
    h[odd] = -1 / (np.pi * n[odd]) ** 2
    ramp = np.real(np.fft.rfft(h)) / (pitch * 0.1)
    frequency = np.fft.rfftfreq(count, pitch)
    end, boost = KERNELS[kernel]
    window = np.where(frequency < end, 0.5 + 0.5 * np.cos(np.pi * frequency / end), 0.0)
    x = np.clip(frequency / end, 0, 1)
    window = window * (1 + boost * 20 * x**2 * (1 - x))
    return ramp * window
