"""The images that the network reads as pictures, with bone and trabecular region drawn over them."""

import numpy as np
import qt
import slicer
import vtk
from vtk.util import numpy_support

from CTBMDLib.spine.bone import bone_map

WINDOW_HU = (-200.0, 500.0)
BONE_RGB, REGION_RGB = (230, 159, 0), (86, 180, 233)
"""Orange and sky blue: told apart, and from greys, with every kind of colour vision."""
BONE_SHARE, BONE_WEIGHT = 0.5, 0.45
ENLARGED = 4
"""Picture pixels an image pixel, so that an outline is thinner than a pixel of the image."""


def rgb(hu, bone=False, outline=None):
    """An image as colours.

    Parameters
    ----------
    hu : ndarray, shape (rows, columns)
        Row 0 is anterior, column 0 the patient's right.
    bone : bool
        Whether bone is coloured.
    outline : ndarray, shape (n, 2), optional
        Row and column of the corners of a closed line, in image pixels.

    Returns
    -------
    ndarray of uint8, shape (4 rows, 4 columns, 3)
    """
    low, high = WINDOW_HU
    grey = 255.0 * np.clip((np.asarray(hu, float) - low) / (high - low), 0, 1)
    colours = np.repeat(grey[:, :, None], 3, axis=2)
    if bone:
        there = bone_map(hu) > BONE_SHARE
        mixed = (1 - BONE_WEIGHT) * colours[there] + BONE_WEIGHT * np.array(BONE_RGB)
        colours[there] = mixed
    colours = colours.repeat(ENLARGED, axis=0).repeat(ENLARGED, axis=1)
    if outline is not None:
        _draw(colours, np.asarray(outline, float) * ENLARGED)
    return np.ascontiguousarray(colours.astype(np.uint8))


def _draw(colours, corners):
    """A closed line, two picture pixels wide."""
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        steps = int(np.abs(end - start).max()) + 2
        line = np.rint(np.linspace(start, end, steps)).astype(int)
        for shift in ((0, 0), (1, 0), (0, 1), (1, 1)):
            rows, columns = (line + shift).T
            inside = (rows >= 0) & (columns >= 0)
            inside &= (rows < colours.shape[0]) & (columns < colours.shape[1])
            colours[rows[inside], columns[inside]] = REGION_RGB


def in_image(points_ra, centre_ra, standard):
    """Row and column of R and A in mm in an image about `centre_ra`, shape (n, 2)."""
    r, a = np.asarray(points_ra, float).T
    half = standard.size_px * standard.spacing_mm / 2
    columns = (half - (r - centre_ra[0])) / standard.spacing_mm
    rows = (standard.anterior_mm - (a - centre_ra[1])) / standard.spacing_mm
    return np.stack([rows, columns], axis=1)


def pixmap(colours, side):
    """Colours as a QPixmap of `side` pixels."""
    rows, columns, _three = colours.shape
    image = vtk.vtkImageData()
    image.SetDimensions(columns, rows, 1)
    # VTK counts rows from below.
    flat = np.ascontiguousarray(colours[::-1]).reshape(-1, 3)
    scalars = numpy_support.numpy_to_vtk(flat, deep=True, array_type=vtk.VTK_UNSIGNED_CHAR)
    image.GetPointData().SetScalars(scalars)
    picture = qt.QImage()
    slicer.qMRMLUtils().vtkImageDataToQImage(image, picture)
    return qt.QPixmap.fromImage(picture).scaled(
        side, side, qt.Qt.KeepAspectRatio, qt.Qt.SmoothTransformation
    )
