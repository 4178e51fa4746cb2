"""A volume node as the library's CTVolume, and what is known of the scan."""

import dataclasses
import functools
import json
import logging
from pathlib import Path

import numpy as np
import pydicom
import slicer
import vtk
from slicer.i18n import tr as _

from CTBMDLib.errors import CTBMDError
from CTBMDLib.reading import headers, hounsfield
from CTBMDLib.volume import Acquisition, CTVolume

ACQUISITION = "CTBMD.Acquisition"
"""Node attribute with the facts as JSON, for volumes that CTBMD itself loaded."""
RIGID = 0.01
"""How much longer or shorter a transform may make any direction; a registration's rounding is far less."""
MOST_HEADERS = 512
"""DICOM headers that are kept: of each CT that the panel compares, names or lists."""


def ctVolume(node):
    """The CT of a volume node, in world coordinates.

    The voxels are not copied.

    Raises
    ------
    CTBMDError
        Where the node holds no three-dimensional scalar image or is under a
        transform that bends, shears or scales it.
    """
    if node is None:
        raise CTBMDError(_("No CT volume is chosen; choose one under '1. CT volume'."), "no-volume")
    if node.GetImageData() is None or node.GetImageData().GetNumberOfPoints() == 0:
        raise CTBMDError(
            _("The volume '{name}' holds no image; choose another one.").format(
                name=node.GetName()
            ),
            "empty-volume",
        )
    array = slicer.util.arrayFromVolume(node)
    if array.ndim != 3:
        raise CTBMDError(
            _("The volume '{name}' is a colour image; choose a CT.").format(name=node.GetName()),
            "colour-volume",
        )
    if min(array.shape) < 2:
        raise CTBMDError(
            _(
                "The volume '{name}' is a single image; choose a CT series of several slices."
            ).format(name=node.GetName()),
            "single-image",
        )
    facts = acquisition(node)
    if facts.modality not in (None, "CT"):
        raise CTBMDError(
            _("The volume '{name}' is {modality}, not CT; choose a CT.").format(
                name=node.GetName(), modality=facts.modality
            ),
            "not-ct",
        )
    hounsfield.check(array)
    return CTVolume(array, ijkToWorld(node), facts, node.GetName())


def ijkToWorld(node):
    """IJK to world RAS of a volume node, ndarray (4, 4).

    Raises
    ------
    CTBMDError
        Where the node is under a transform that does not leave a body as it is: turned,
        moved or mirrored it stays, of another size or shape it has another density.
    """
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    result = slicer.util.arrayFromVTKMatrix(matrix)
    transform = node.GetParentTransformNode()
    if transform is not None:
        if not transform.IsTransformToWorldLinear():
            raise CTBMDError(
                _(
                    "The volume '{name}' is under a transform that bends it; harden or remove the transform."
                ).format(name=node.GetName()),
                "bending-transform",
            )
        transform.GetMatrixTransformToWorld(matrix)
        toWorld = slicer.util.arrayFromVTKMatrix(matrix)
        rigid = np.isfinite(toWorld).all()
        if rigid:
            stretched = np.linalg.svd(toWorld[:3, :3], compute_uv=False)
            rigid = np.abs(stretched - 1).max() < RIGID
        if not rigid:
            raise CTBMDError(
                _(
                    "The volume '{name}' is under a transform that shears or scales it; remove the "
                    "transform, or resample the volume where it corrects a tilted gantry."
                ).format(name=node.GetName()),
                "scaling-transform",
            )
        result = toWorld @ result
    return result


def idOf(node):
    """ID of a node, None for no node."""
    return None if node is None else node.GetID()


def firstVolume():
    """The first volume that the selector lists, to save a click; None where there is none."""
    return next(iter(listed()), None)


def listed():
    """The volumes that the selector lists, in the order of the scene."""
    scene = slicer.mrmlScene
    nodes = [
        scene.GetNthNodeByClass(index, "vtkMRMLScalarVolumeNode")
        for index in range(scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode"))
    ]
    # By class, labels and colour images are scalar volumes as well.
    return [
        node
        for node in nodes
        if node.GetClassName() == "vtkMRMLScalarVolumeNode" and not node.GetHideFromEditors()
    ]


def identity(node):
    """What the facts about a volume node hang on, None for no node."""
    if node is None:
        return None
    attributes = (node.GetAttribute(name) for name in (ACQUISITION, "DICOM.instanceUIDs"))
    return (node.GetID(), node.GetName(), *attributes)


def voxelTime(node):
    """When the voxels of a volume node were changed last, as VTK counts time; None without any.

    Whoever changes them by way of `arrayFromVolumeModified` sends no event of their own.
    """
    image = None if node is None else node.GetImageData()
    scalars = None if image is None else image.GetPointData().GetScalars()
    return None if scalars is None else scalars.GetMTime()


def geometry(node):
    """Place and size of a volume node as a JSON-ready list, to see whether they changed."""
    if node is None or node.GetImageData() is None:
        return []
    try:
        matrix = [round(float(x), 4) for x in ijkToWorld(node).ravel()]
    except CTBMDError:
        return [node.GetParentTransformNode().GetID()]
    return [*matrix, *node.GetImageData().GetDimensions()]


def acquisition(node):
    """What is known of the scan; everything unknown is None.

    Facts come from the DICOM file the volume was loaded from, by way of
    Slicer's DICOM database. A NIfTI or NRRD file has none.
    """
    kept = node.GetAttribute(ACQUISITION)
    if kept:
        try:
            known = {field.name for field in dataclasses.fields(Acquisition)}
            # JSON has no tuples.
            told = {k: tuple(v) if isinstance(v, list) else v for k, v in json.loads(kept).items()}
            return Acquisition(**{k: v for k, v in told.items() if k in known})
        except (ValueError, TypeError, AttributeError):
            logging.warning("CTBMD: the scan facts kept with %s are not readable", node.GetName())
    header = headerOf(instanceUIDs(node))
    if header is None:
        return Acquisition()
    groups = [
        item
        for name in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
        for item in (headers.get(header, name) or [])[:1]
    ]
    return headers.acquisition(header, groups)


def instanceUIDs(node):
    """SOP Instance UIDs of the DICOM files that a node was loaded from, [] where it was not."""
    return (node.GetAttribute("DICOM.instanceUIDs") or "").split()


def headerOf(uids):
    """Header of the first of some instances, from Slicer's DICOM database; None without it.

    It is asked for at each change of the panel, so a file is read again only where it is another
    one than before. What is given belongs to all who ask: it must not be changed.
    """
    database = getattr(slicer, "dicomDatabase", None)
    path = database.fileForInstance(uids[0]) if uids and database else ""
    if not path:
        return None
    try:
        now = Path(path).stat()
    except OSError:
        now = None
    try:
        return _header(path, now and (now.st_mtime_ns, now.st_size, now.st_ino))
    except Exception:  # moved, deleted or damaged since it was imported: unknown for now
        logging.warning("CTBMD: the DICOM file '%s' cannot be read", path)
        return None


@functools.lru_cache(maxsize=MOST_HEADERS)
def _header(path, _stamp):
    """The header in a file as it is since `_stamp`; a failure is not remembered."""
    return pydicom.dcmread(path, stop_before_pixels=True)


def facts(volume):
    """One line about a CTVolume for a radiologist; 'unknown' where it is unknown."""
    a = volume.acquisition
    unknown = _("unknown")
    spacing = " x ".join(f"{x:.2f}" for x in volume.spacing_mm)
    parts = [
        f"{a.kvp:g} kVp" if a.kvp else _("kVp {x}").format(x=unknown),
        _("kernel {x}").format(x=a.kernel or unknown),
        _("slice thickness {x:g} mm").format(x=a.slice_thickness_mm)
        if a.slice_thickness_mm
        else _("slice thickness {x}").format(x=unknown),
        _("voxels {x} mm").format(x=spacing),
        _("sex {x}").format(x=a.sex or unknown),
        _("age {x:.0f}").format(x=a.age_years)
        if a.age_years is not None
        else _("age {x}").format(x=unknown),
        _("contrast {x}").format(x=a.contrast_agent or unknown),
    ]
    return ", ".join(parts) + "."


def whyUnknown(node):
    """Why facts about a CT are unknown, and what to do; '' where nothing of use is unknown."""
    known = acquisition(node)
    if known.kvp and known.sex and known.age_years is not None:
        return ""
    fill = _("Enter what you know under '3. Bone density', Settings.")
    if node.GetAttribute(ACQUISITION):
        return _("What is unknown here is not in the file that was loaded.") + " " + fill
    if not instanceUIDs(node):
        return _(
            "This CT was not loaded by the DICOM module (NIfTI, NRRD and plain volumes say nothing "
            "of the scan): load its DICOM files there, or enter what you know under '3. Bone "
            "density', Settings."
        )
    if headerOf(instanceUIDs(node)) is None:
        return _(
            "Slicer's DICOM database does not have the files of this CT any more: import them again, "
            "or enter what you know under '3. Bone density', Settings."
        )
    return _("What is unknown here is not in the DICOM header.") + " " + fill


def addVolumeNode(volume):
    """Put a CTVolume into the scene as a scalar volume; facts go with it."""
    node = slicer.util.addVolumeFromArray(
        np.ascontiguousarray(volume.hu), volume.ijk_to_ras, volume.name, "vtkMRMLScalarVolumeNode"
    )
    node.SetAttribute(ACQUISITION, json.dumps(dataclasses.asdict(volume.acquisition)))
    return node
