"""The stand-in for qMRMLUtils: VTK's pictures as Qt's."""

from __future__ import annotations

from PySide6 import QtCore, QtGui
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkCommonDataModel import vtkImageData


class qMRMLUtils(QtCore.QObject):
    """`slicer.qMRMLUtils()`: its one function that is made."""

    def vtkImageDataToQImage(self, image: vtkImageData, picture: QtGui.QImage):
        """Fill a QImage with bytes of 3 or 4 colours; False where there are none. Row 0 is the lowest."""
        scalars = image.GetPointData().GetScalars() if image is not None else None
        if scalars is None or scalars.GetNumberOfTuples() == 0:
            return False
        colours = scalars.GetNumberOfComponents()
        values = vtk_to_numpy(scalars)
        if values.dtype.itemsize != 1 or colours not in (3, 4):
            raise NotImplementedError(
                "EmbeddedSlicer turns RGB and RGBA of bytes into pictures only."
            )
        columns, rows, _one = image.GetDimensions()
        pixels = values.reshape(rows, columns, colours)[::-1].copy()
        kind = QtGui.QImage.Format
        kind = kind.Format_RGB888 if colours == 3 else kind.Format_RGBA8888
        made = QtGui.QImage(pixels.data, columns, rows, colours * columns, kind)
        picture.swap(made.copy())
        return True


CLASSES = {"qMRMLUtils": qMRMLUtils}
