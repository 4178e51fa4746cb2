"""The report of the CT that is shown: as a page (HTML, PDF) and as DICOM (structured report, picture)."""

import tempfile
from pathlib import Path

import numpy as np
import pydicom
import qt
import slicer
import vtk
from slicer.i18n import tr as _
from vtk.util import numpy_support

from CTBMDLib.errors import CTBMDError
from CTBMDLib.levels import LevelSelection
from CTBMDLib.reading.source import source_series
from CTBMDLib.report.capture import write_capture
from CTBMDLib.report.case import ReportCase, identified
from CTBMDLib.report.page import WIDTH, report_html, write_report
from CTBMDLib.report.structured import write_structured
from CTBMDLib.safefile import check_writable, write_bytes

from . import volumes

PAGE_PX = (794, 1123)
"""A4 at 96 pixels to the inch."""
MARGIN_PX = 45
SMALLEST = 0.6
"""How small a page is drawn so that it stays one page; beyond that it goes on on a second one."""
PDF_DPI = 300
PICTURE_SCALE = 1.6
"""Pixels of a picture of the page for each of the page: 154 to the inch."""


def case(logic, state, withIdentity=False, dicom=False, earlier=None):
    """The case that is shown, as the library reports it.

    Parameters
    ----------
    logic : CTBMDLogic
    state : PanelState
    withIdentity : bool
    dicom : bool
        Whether it is to be written as DICOM, for which the headers of the CT are read.
    earlier : EarlierCT, optional
        What has changed since an earlier CT.

    Raises
    ------
    CTBMDError
        Where there is no result, or it is out of date: pictures of levels as they are now
        beside values of levels as they were would mislead.
    """
    parameters, node = state.parameterNode, state.volumeNode
    stale = state.staleReason()
    if state.result is None or parameters is None or node is None or stale:
        raise CTBMDError(
            stale or _("There are no results yet: press 'Estimate BMD' first."), "no-result"
        )
    volume = logic.volume(node)
    return ReportCase(
        result=identified(state.result, volume) if withIdentity else state.result,
        volume=volume,
        selection=LevelSelection.from_json(state.controller.selection.to_json()),
        standard=logic.bundle(parameters.modelFolder).standard,
        reference=logic.reference(parameters.referenceTable),
        with_identity=withIdentity,
        source=source(node) if withIdentity or dicom else None,
        patient_from_world=patientFromWorld(node),
        earlier=earlier,
    )


def source(node):
    """The DICOM headers of a volume node, from Slicer's DICOM database; None without them."""
    database = getattr(slicer, "dicomDatabase", None)
    uids = volumes.instanceUIDs(node)
    if not uids or database is None:
        return None
    paths = [database.fileForInstance(uid) for uid in uids]
    # All of them are its own: where one scan lies in several series, of each.
    return source_series([Path(path) for path in paths if path], None)


def patientFromWorld(node):
    """From world to the patient's coordinates, ndarray (4, 4); None where nothing moves the volume."""
    if node.GetParentTransformNode() is None:
        return None
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix) @ np.linalg.inv(volumes.ijkToWorld(node))


# -- writing ------------------------------------------------------------------------
def writeHtml(reportCase, path, overwrite=False):
    """The page as one HTML file."""
    return write_report(reportCase, path, overwrite)


def writePdf(reportCase, path, overwrite=False):
    """The page as PDF, one A4 page wherever that can be read."""
    check_writable(path, overwrite)
    return write_bytes(path, pdfBytes(report_html(reportCase)), overwrite)


def writeStructured(reportCase, path, overwrite=False):
    """The result as a DICOM structured report."""
    return write_structured(reportCase, path, overwrite)


def writeCapture(reportCase, path, overwrite=False):
    """The page as a DICOM secondary capture."""
    check_writable(path, overwrite)
    return write_capture(reportCase, pagePixels(report_html(reportCase)), path, overwrite)


def addToDatabase(path):
    """Copy a DICOM file into Slicer's DICOM database.

    Raises
    ------
    CTBMDError
    """
    if not databaseIsOpen():
        raise CTBMDError(
            _(
                "'{path}' is saved, but Slicer's DICOM database is not open; open it in the DICOM "
                "module and import the file there."
            ).format(path=path),
            "no-dicom-database",
        )
    database = slicer.dicomDatabase
    database.insert(str(path))  # which says what went wrong in the log alone
    if not database.fileForInstance(str(pydicom.dcmread(path).SOPInstanceUID)):
        raise CTBMDError(
            _(
                "'{path}' is saved, but Slicer's DICOM database did not take it; import it in the DICOM "
                "module."
            ).format(path=path),
            "dicom-database",
        )
    # What the DICOM module shows of a study is in columns of its own, which are filled by this.
    database.updateDisplayedFields()


def databaseIsOpen():
    """Whether Slicer has a DICOM database to add to."""
    database = getattr(slicer, "dicomDatabase", None)
    return bool(database is not None and database.isOpen)


# -- drawing ------------------------------------------------------------------------
def pdfBytes(page):
    """An HTML page as PDF, bytes."""
    # The writer knows files only; what the user gets is written whole, from its bytes.
    with tempfile.TemporaryDirectory(prefix="ctbmd-") as folder:
        path = Path(folder) / "report.pdf"
        writer = qt.QPdfWriter(str(path))
        writer.setPageSize(qt.QPageSize(qt.QPageSize.A4))
        writer.setPageMargins(qt.QMarginsF(0, 0, 0, 0))
        writer.setResolution(PDF_DPI)
        writer.setTitle("CTBMD report")
        writer.setCreator("CTBMD")
        document, scale, pages = _laidOut(page)
        painter = qt.QPainter()
        painter.begin(writer)
        try:
            for number in range(pages):
                if number:
                    writer.newPage()
                _draw(document, painter, PDF_DPI / 96, scale, number)
        finally:
            painter.end()  # before what it paints on goes
        return path.read_bytes()


def pagePixels(page):
    """An HTML page as a picture, ndarray of uint8 (rows, columns, 3); one, however long it is."""
    document, scale, pages = _laidOut(page)
    wide, tall = (round(x * PICTURE_SCALE) for x in PAGE_PX)
    image = qt.QImage(wide, tall * pages, qt.QImage.Format_RGB32)
    image.fill(qt.QColor(255, 255, 255))
    painter = qt.QPainter()
    painter.begin(image)
    try:
        painter.setRenderHint(qt.QPainter.SmoothPixmapTransform, True)
        for number in range(pages):
            painter.save()
            painter.translate(0, number * tall)
            _draw(document, painter, PICTURE_SCALE, scale, number)
            painter.restore()
    finally:
        painter.end()
    with tempfile.TemporaryDirectory(prefix="ctbmd-") as folder:
        path = Path(folder) / "report.png"
        image.save(str(path))
        reader = vtk.vtkPNGReader()
        reader.SetFileName(str(path))
        reader.Update()
        picture = reader.GetOutput()
        columns, rows, _one = picture.GetDimensions()
        flat = numpy_support.vtk_to_numpy(picture.GetPointData().GetScalars())
    # VTK counts rows from below.
    return np.ascontiguousarray(flat.reshape(rows, columns, -1)[::-1, :, :3])


def _laidOut(page):
    """A document, how small it is drawn, and on how many pages."""
    document = qt.QTextDocument()
    document.setDocumentMargin(0)
    # Letters stand where the font wants them, not on the pixels of a screen.
    document.setUseDesignMetrics(True)
    document.setHtml(page)
    room = PAGE_PX[1] - 2 * MARGIN_PX
    for percent in range(100, int(100 * SMALLEST) - 1, -5):
        scale = percent / 100
        document.setTextWidth(WIDTH / scale)
        if document.property("size").height() * scale <= room:
            return document, scale, 1
    document.setPageSize(qt.QSizeF(WIDTH / SMALLEST, room / SMALLEST))
    return document, SMALLEST, document.pageCount()


def _draw(document, painter, resolution, scale, number):
    """One page; `resolution` is device pixels a page pixel."""
    tall = (PAGE_PX[1] - 2 * MARGIN_PX) / scale
    painter.save()
    painter.scale(resolution, resolution)
    painter.translate((PAGE_PX[0] - WIDTH) / 2, MARGIN_PX)
    painter.scale(scale, scale)
    painter.translate(0, -number * tall)
    document.drawContents(painter, qt.QRectF(0, number * tall, WIDTH / scale, tall))
    painter.restore()
