"""A CT scanner: densities of a slice to a noisy polychromatic image in HU."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .projector import back_project, filter_response, project
from .spectra import Beam, beam

VIEWS = 420
PITCH_MM = 1.0


@dataclass(frozen=True)
class Protocol:
    """How a patient is scanned.

    Attributes
    ----------
    kvp : float
    al_mm, cu_mm : float
        Filtration beyond the inherent one.
    kernel : {'soft', 'standard', 'sharp'}
    thickness_mm : float
    noise_hu : float
        Wanted noise in the patient's middle with the standard kernel; the tube
        current is set by size for it, as automatic exposure control does.
    pixel_mm : float
    scatter : float
        Scatter over primary behind 30 cm of water, left after correction.
    bowtie : float
        Share of a bowtie that evens 32 cm of water, 0 to 1.
    """

    kvp: float = 120.0
    al_mm: float = 0.0
    cu_mm: float = 0.0
    kernel: str = "standard"
    thickness_mm: float = 3.0
    noise_hu: float = 10.0
    pixel_mm: float = 1.0
    scatter: float = 0.01
    bowtie: float = 0.6


@lru_cache(maxsize=32)
def _beam(kvp: float, al_mm: float, cu_mm: float) -> Beam:
    return beam(kvp, al_mm, cu_mm)


@lru_cache(maxsize=32)
def _water_table(kvp: float, al_mm: float, cu_mm: float):
    """Log signal of 0 to 80 cm water: (-ln(I/I0), cm)."""
    b = _beam(kvp, al_mm, cu_mm)
    length = np.linspace(-2, 80, 1641)
    weight = b.fluence * b.signal
    signal = np.exp(-np.outer(length, b.water)) @ weight / weight.sum()
    return -np.log(signal), length


def scan(  # noqa: PLR0917 - every caller gives grid, place and protocol in this order
    water: np.ndarray,
    ha: np.ndarray,
    grid_mm: float,
    origin: tuple[float, float],
    xs: np.ndarray,
    ys: np.ndarray,
    protocol: Protocol,
    rng: np.random.Generator | None,
    views: int = VIEWS,
) -> np.ndarray:
    """Scan one slice.

    Parameters
    ----------
    water, ha : ndarray, shape (J, I)
        Basis densities, g/cm3.
    grid_mm : float
        Pixel width of the two.
    origin : (float, float)
        x and y in mm of pixel (0, 0).
    xs, ys : ndarray
        Where to reconstruct, mm.
    protocol : Protocol
    rng : numpy Generator or None
        None: without noise.
    views : int

    Returns
    -------
    ndarray, shape (ys, xs), float32
        HU.
    """
    rows, columns = water.shape
    # The axis of rotation lies in the middle of what is scanned.
    mid = (origin[0] + grid_mm * (columns - 1) / 2, origin[1] + grid_mm * (rows - 1) / 2)
    detectors = int(np.hypot(rows, columns) * grid_mm / PITCH_MM) + 8
    angles = (np.arange(views) + 0.25) * np.pi / views
    paths = project(
        np.ascontiguousarray(water, np.float32),
        np.ascontiguousarray(ha, np.float32),
        grid_mm,
        origin[0] - mid[0],
        origin[1] - mid[1],
        angles,
        detectors,
        PITCH_MM,
    )
    bowtie = _bowtie_cm(detectors, protocol.bowtie)
    signal = _detected(paths, bowtie, protocol, rng)
    log_table, length = _water_table(protocol.kvp, protocol.al_mm, protocol.cu_mm)
    corrected = np.interp(-np.log(signal), log_table, length) - bowtie
    filtered = _filtered(corrected, protocol.kernel)
    image = back_project(filtered, xs - mid[0], ys - mid[1], angles, PITCH_MM)
    return 1000 * (image - 1)


def _bowtie_cm(detectors: int, share: float) -> np.ndarray:
    """Water of a bowtie before each detector, cm, shape (detectors,).

    The calibration knows of it: it shapes spectrum and noise.
    """
    t = (np.arange(detectors) - (detectors - 1) / 2) * PITCH_MM / 10
    chord = 2 * np.sqrt(np.clip(16.0**2 - np.clip(t, -15.5, 15.5) ** 2, 0, None))
    return share * (32.0 - chord) * 0.35


def _detected(paths, bowtie, protocol: Protocol, rng) -> np.ndarray:
    """What is detected behind a patient, over the open beam.

    Parameters
    ----------
    paths : ndarray, shape (2, views, detectors)
        Line integrals of water and HA, g/cm2.
    bowtie : ndarray, shape (detectors,)
        cm of water.
    protocol : Protocol
    rng : numpy Generator or None
        None: without noise.

    Returns
    -------
    ndarray, shape (views, detectors)
    """
    b = _beam(protocol.kvp, protocol.al_mm, protocol.cu_mm)
    weight = b.fluence * b.signal
    in_water = paths[0].astype(np.float64) + bowtie
    signal = np.zeros_like(in_water)
    second = np.zeros_like(in_water)
    for n in range(b.energy.size):
        part = np.exp(-in_water * b.water[n] - paths[1] * b.ha[n])
        signal += weight[n] * part
        second += weight[n] * b.signal[n] * part
    signal /= weight.sum()
    second /= weight.sum()
    if protocol.scatter > 0:
        # Smooth, and what is left of it after the scanner's own correction: nil on average.
        mean = signal.mean(axis=1, keepdims=True)
        signal = signal + protocol.scatter * 0.05 * (np.sqrt(mean * signal.min()) - signal.min())
    if rng is None:
        return signal
    photons = _photons(signal, second, protocol)
    variance = second / photons + (6.0 / photons) ** 2 * (weight.sum() ** 2)
    noisy = signal + np.sqrt(variance) * rng.standard_normal(signal.shape)
    return np.maximum(noisy, 0.15 * signal)


def _filtered(corrected: np.ndarray, kernel: str) -> np.ndarray:
    """Views convolved with a reconstruction kernel, shape (views, detectors), float32."""
    detectors = corrected.shape[1]
    size = _padded(detectors)
    response = filter_response(size, PITCH_MM, kernel)
    filtered = np.fft.irfft(np.fft.rfft(corrected, size, axis=1) * response, size, axis=1)
    return filtered[:, :detectors].astype(np.float32)


def _padded(detectors: int) -> int:
    """Length of the Fourier transform: a power of two, twice as long as a view."""
    return 1 << int(np.ceil(np.log2(2 * detectors)))


def _photons(signal, second, protocol) -> float:
    """Photons a ray before the patient that give `noise_hu` in the middle (standard kernel)."""
    views, detectors = signal.shape
    response = filter_response(_padded(detectors), PITCH_MM, "standard")
    # Variance of the image's centre: filter energy times the variance of the log signal.
    energy = np.mean(np.concatenate([response, response[1:-1]]) ** 2)
    middle = slice(detectors // 2 - 15, detectors // 2 + 15)
    relative = np.mean(second[:, middle] / signal[:, middle] ** 2)
    per_cm = 0.2  # water attenuation, about, 1/cm
    variance = energy * relative / per_cm**2 * (np.pi / views) ** 2 * views
    # Linear interpolation of the back projection takes some of the noise away.
    return float(0.62 * variance * 1e6 / protocol.noise_hu**2)
