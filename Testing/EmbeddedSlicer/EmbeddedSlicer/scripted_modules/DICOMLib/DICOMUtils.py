"""Slicer's DICOMUtils: a temporary database, files into it, and scalar volumes out of it.

A database is a list of files here, and series of one stack of single images are
all that is loaded. Volumes get the attributes and the place in the data tree that
Slicer's DICOM module gives them.
"""

import logging
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pydicom
import slicer

__all__ = ["TemporaryDICOMDatabase", "importDicom", "loadPatientByUID"]


class Database:
    """Stands for ctkDICOMDatabase; what it calls a patient is a number of its own."""

    def __init__(self, directory):
        self.databaseDirectory = str(directory)
        self.isOpen = True
        self._files = {}
        self._displayed = set()

    def insert(
        self, filePath, storeFile=True, generateThumbnail=True, createHierarchy=True, folder=""
    ):
        """Take a file; what cannot be read is logged, and nothing is raised."""
        try:
            header = pydicom.dcmread(filePath, stop_before_pixels=True)
            uid = str(header.SOPInstanceUID)
        except Exception as error:
            logging.error("ctkDICOMDatabase: Failed to insert '%s' (%s)", filePath, error)
            return
        if storeFile:
            store = Path(self.databaseDirectory) / "dicom"
            store.mkdir(parents=True, exist_ok=True)
            filePath = shutil.copy(filePath, store / f"{len(self._files)}.dcm")
        self._files[uid] = str(filePath), header

    def updateDisplayedFields(self):
        """Fill what the DICOM module shows of each study."""
        self._displayed = set(self._files)

    def fileForInstance(self, uid):
        """Path of an instance, '' for one that is not here."""
        return self._files.get(uid, ("", None))[0]

    def patients(self):
        """The numbers of the patients, in the order in which they came."""
        return tuple(str(number) for number in range(1, len(self._patientIDs()) + 1))

    def _patientIDs(self):
        return list(dict.fromkeys(str(x.PatientID) for _path, x in self._files.values()))

    def _series(self, patient):
        found, named = {}, self._patientIDs()[int(patient) - 1]
        for path, header in self._files.values():
            if str(header.PatientID) == named and "ImagePositionPatient" in header:
                found.setdefault(str(header.SeriesInstanceUID), []).append(path)
        return found.values()


class TemporaryDICOMDatabase:
    """Inside, `slicer.dicomDatabase` is an empty database in a folder of its own."""

    def __init__(self, directory=None):
        self._directory = directory

    def __enter__(self):
        self._directory = self._directory or tempfile.mkdtemp(dir=slicer.app.temporaryPath)
        Path(self._directory).mkdir(parents=True, exist_ok=True)
        self._original = slicer.dicomDatabase
        slicer.dicomDatabase = Database(self._directory)
        return slicer.dicomDatabase

    def __exit__(self, kind, value, trace):
        slicer.dicomDatabase.isOpen = False
        slicer.dicomDatabase = self._original


def importDicom(dicomDataDir, dicomDatabase=None, copyFiles=False):
    """Put all files below a folder into a database."""
    database = dicomDatabase or slicer.dicomDatabase
    for path in sorted(x for x in Path(dicomDataDir).rglob("*") if x.is_file()):
        database.insert(str(path), copyFiles)
    database.updateDisplayedFields()
    return True


def loadPatientByUID(patientUID):
    """Load every series of a patient; returns the IDs of the volume nodes."""
    return [_load(paths).GetID() for paths in slicer.dicomDatabase._series(patientUID)]


def _load(paths):
    images = [pydicom.dcmread(path) for path in paths]
    right, down = np.array(images[0].ImageOrientationPatient, float).reshape(2, 3)
    normal = np.cross(right, down)
    images.sort(key=lambda x: float(np.dot(x.ImagePositionPatient, normal)))
    first, places = images[0], [np.array(x.ImagePositionPatient, float) for x in images]
    between_rows, between_columns = (float(x) for x in first.PixelSpacing)
    step = (places[-1] - places[0]) / max(len(places) - 1, 1)
    to_ras = np.eye(4)
    to_ras[:3] = np.stack([right * between_columns, down * between_rows, step, places[0]], axis=1)
    to_ras[:2] *= -1
    hu = np.stack(
        [x.pixel_array * float(x.RescaleSlope) + float(x.RescaleIntercept) for x in images]
    )
    name = f"{first.get('SeriesNumber', '')}: {first.get('SeriesDescription') or 'Unnamed Series'}"
    node = slicer.util.addVolumeFromArray(np.rint(hu).astype(np.int16), to_ras, name)
    _file(node, first)
    # As in Slicer, last: whoever observes the node has seen it without.
    node.SetAttribute("DICOM.instanceUIDs", " ".join(str(x.SOPInstanceUID) for x in images))
    return node


def _file(node, header):
    """Put a volume under its study and patient in the data tree."""
    names = slicer.vtkMRMLSubjectHierarchyConstants
    tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    item = tree.CreateItem(tree.GetSceneItemID(), node)
    series = str(header.SeriesInstanceUID)
    tree.SetItemUID(item, names.GetDICOMUIDName(), series)
    slicer.vtkSlicerSubjectHierarchyModuleLogic.InsertDicomSeriesInHierarchy(
        tree, str(header.PatientID), str(header.StudyInstanceUID), series
    )
