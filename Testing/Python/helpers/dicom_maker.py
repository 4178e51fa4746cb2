"""Small synthetic DICOM series for tests: an ellipse of tissue with fat, bone and air around it."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    generate_uid,
)

AXIAL = (1, 0, 0, 0, 1, 0)
SAGITTAL = (0, 1, 0, 0, 0, -1)
CORONAL = (1, 0, 0, 0, 0, -1)


def uid(*words) -> str:
    """The same UID for the same words, so that a test never depends on chance."""
    return generate_uid(entropy_srcs=[str(word) for word in words])


def body(slices=8, rows=32, columns=40, seed=0) -> np.ndarray:
    """HU [k, j, i] of something that passes for a body, no two voxels' places alike.

    A gradient along every axis makes a flip or a swap of axes visible.
    """
    k, j, i = np.mgrid[:slices, :rows, :columns].astype(float)
    y, x = (j - (rows - 1) / 2) / rows, (i - (columns - 1) / 2) / columns
    radius = np.hypot(x, y)
    hu = np.full(radius.shape, -1000.0)
    hu[radius < 0.42] = -100
    hu[radius < 0.36] = 45
    hu[np.hypot(x, y - 0.15) < 0.10] = 180
    inside = radius < 0.42
    noise = np.random.default_rng(seed).normal(0, 5, hu.shape)
    return np.rint(hu + inside * (0.7 * i + 0.9 * j + 2.0 * k) + noise).astype(np.int16)


def lps_positions(slices, orientation=AXIAL, origin=(-20.0, -16.0, 100.0), spacing=2.5):
    """ImagePositionPatient of each slice, along row x column."""
    normal = np.cross(orientation[:3], orientation[3:])
    return [np.add(origin, n * spacing * normal) for n in range(slices)]


def header(series="series", patient="P1", modality="CT", **tags) -> Dataset:
    """The tags every slice of a series shares; `tags` overrides, None deletes."""
    data = Dataset()
    data.SOPClassUID = CTImageStorage
    data.Modality = modality
    data.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    data.PatientName = "Secret^Name"
    data.PatientID = patient
    data.PatientSex = "F"
    data.PatientAge = "063Y"
    data.StudyInstanceUID = uid(patient, "study")
    data.SeriesInstanceUID = uid(patient, series)
    data.FrameOfReferenceUID = uid(patient, "frame")
    data.SeriesDescription = str(series)
    data.SeriesNumber = 3
    data.Manufacturer = "ACME"
    data.ManufacturerModelName = "Tube 1"
    data.KVP = "120"
    data.XRayTubeCurrent = "200"
    data.ConvolutionKernel = "B30"
    data.SliceThickness = "2.5"
    data.SamplesPerPixel = 1
    data.PhotometricInterpretation = "MONOCHROME2"
    data.PixelSpacing = [1.5, 1.0]
    data.BitsAllocated = 16
    data.BitsStored = 16
    data.HighBit = 15
    data.PixelRepresentation = 1
    data.RescaleSlope = "1"
    data.RescaleIntercept = "-1024"
    for name, value in tags.items():
        if value is None:
            delattr(data, name)
        else:
            setattr(data, name, value)
    return data


def write_file(path, data: Dataset, syntax=ExplicitVRLittleEndian) -> Path:
    """Write one data set with its file meta information."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = data.SOPClassUID
    meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    meta.TransferSyntaxUID = syntax
    meta.ImplementationClassUID = uid("ctbmd tests")
    file = FileDataset(
        str(path),
        {},
        file_meta=meta,
        preamble=b"\0" * 128,
        is_implicit_VR=syntax == ImplicitVRLittleEndian,
        is_little_endian=syntax != ExplicitVRBigEndian,
    )
    file.update(data)
    if pydicom.__version__ < "3":
        file.save_as(path, write_like_original=False)
    else:
        file.save_as(path, enforce_file_format=True)
    return path


def write_series(
    folder,
    hu=None,
    *,
    series="series",
    patient="P1",
    orientation=AXIAL,
    positions=None,
    spacing=2.5,
    order=None,
    rescale=None,
    edit=None,
    syntax=ExplicitVRLittleEndian,
    names=None,
    **tags,
) -> np.ndarray:
    """Write a series, one file a slice.

    Parameters
    ----------
    folder : path
    hu : ndarray, shape (K, J, I), optional
        `body()` where not given; slice k lies at `positions[k]`.
    order : sequence of int, optional
        InstanceNumber and file name of each slice, k where not given.
    rescale : callable(k) -> (slope, intercept), optional
    edit : callable(k, Dataset), optional
        Last changes to a slice before it is written.
    **tags
        See `header`.

    Returns
    -------
    ndarray
        The HU that were written.
    """
    hu = body() if hu is None else hu
    shared = header(series, patient, **tags)
    positions = (
        lps_positions(len(hu), orientation, spacing=spacing) if positions is None else positions
    )
    for k, plane in enumerate(hu):
        data = copy.deepcopy(shared)
        number = k if order is None else order[k]
        data.SOPInstanceUID = uid(patient, series, k)
        data.InstanceNumber = number + 1
        data.ImagePositionPatient = [float(x) for x in positions[k]]
        data.ImageOrientationPatient = [float(x) for x in orientation]
        data.Rows, data.Columns = plane.shape
        if rescale:
            data.RescaleSlope, data.RescaleIntercept = (str(x) for x in rescale(k))
        slope = float(data.get("RescaleSlope", 1))
        intercept = float(data.get("RescaleIntercept", 0))
        stored = np.rint((plane.astype(float) - intercept) / slope)
        kind = "i" if data.PixelRepresentation else "u"
        data.PixelData = stored.astype(f"<{kind}{data.BitsAllocated // 8}").tobytes()
        if edit:
            edit(k, data)
        name = names(k) if names else f"{series}_{number:04d}.dcm"
        write_file(Path(folder) / name, data, syntax)
    return hu


def write_enhanced(path, hu=None, *, order=None, rescale=None, spacing=2.5, **tags) -> np.ndarray:
    """Write an enhanced CT: all slices as frames of one file, in the given order."""
    hu = body() if hu is None else hu
    order = list(range(len(hu))) if order is None else order
    data = header("enhanced", **tags)
    for name in ("PixelSpacing", "SliceThickness", "KVP", "ConvolutionKernel", "XRayTubeCurrent"):
        delattr(data, name)
    del data.RescaleSlope, data.RescaleIntercept
    data.SOPClassUID = EnhancedCTImageStorage
    data.SOPInstanceUID = uid("enhanced")
    data.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    data.NumberOfFrames = len(hu)
    data.Rows, data.Columns = hu.shape[1:]
    data.SharedFunctionalGroupsSequence = [
        _item(
            PixelMeasuresSequence=_item(PixelSpacing=[1.5, 1.0], SliceThickness="2.5"),
            PlaneOrientationSequence=_item(ImageOrientationPatient=list(map(float, AXIAL))),
            CTXRayDetailsSequence=_item(KVP=100.0),
            CTReconstructionSequence=_item(ConvolutionKernel="Br40"),
            CTExposureSequence=_item(XRayTubeCurrentInmA=150.0),
        )
    ]
    positions = lps_positions(len(hu), spacing=spacing)
    frames, stored = [], []
    for k in order:
        slope, intercept = rescale(k) if rescale else (1, -1024)
        position = _item(ImagePositionPatient=[float(x) for x in positions[k]])
        values = _item(RescaleSlope=str(slope), RescaleIntercept=str(intercept), RescaleType="HU")
        frames.append(
            _item(PlanePositionSequence=position, PixelValueTransformationSequence=values)
        )
        stored.append(np.rint((hu[k].astype(float) - intercept) / slope).astype("<i2"))
    data.PerFrameFunctionalGroupsSequence = frames
    data.PixelData = np.stack(stored).tobytes()
    write_file(path, data)
    return hu


def write_enhanced_files(folder, hu=None, *, spacing=2.5, order=None, edit=None, **tags):
    """Write an enhanced CT with one frame a file; see `write_series`."""
    hu = body() if hu is None else hu
    shared = header("enhanced", **tags)
    for name in ("PixelSpacing", "SliceThickness", "KVP", "ConvolutionKernel", "XRayTubeCurrent"):
        delattr(shared, name)
    del shared.RescaleSlope, shared.RescaleIntercept
    shared.SOPClassUID = EnhancedCTImageStorage
    shared.NumberOfFrames = 1
    for k, position in enumerate(lps_positions(len(hu), spacing=spacing)):
        data = copy.deepcopy(shared)
        number = k if order is None else order[k]
        data.SOPInstanceUID = uid("enhanced", k)
        data.InstanceNumber = number + 1
        data.Rows, data.Columns = hu[k].shape
        data.SharedFunctionalGroupsSequence = [
            _item(
                PixelMeasuresSequence=_item(PixelSpacing=[1.5, 1.0], SliceThickness="2.5"),
                PlaneOrientationSequence=_item(ImageOrientationPatient=list(map(float, AXIAL))),
                PixelValueTransformationSequence=_item(RescaleSlope="1", RescaleIntercept="-1024"),
                CTXRayDetailsSequence=_item(KVP=100.0),
                CTReconstructionSequence=_item(ConvolutionKernel="Br40"),
                CTExposureSequence=_item(XRayTubeCurrentInmA=150.0),
            )
        ]
        place = _item(ImagePositionPatient=[float(x) for x in position])
        data.PerFrameFunctionalGroupsSequence = [_item(PlanePositionSequence=place)]
        data.PixelData = (hu[k].astype(int) + 1024).astype("<i2").tobytes()
        if edit:
            edit(k, data)
        write_file(Path(folder) / f"enhanced_{number:04d}.dcm", data)
    return hu


def _item(**tags) -> Dataset:
    data = Dataset()
    for name, value in tags.items():
        setattr(data, name, [value] if isinstance(value, Dataset) else value)
    return data
