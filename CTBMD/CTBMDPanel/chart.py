"""The vertebrae and the L1-L4 value over the reference's mean and SD by age, as a plot chart node."""

import slicer
import vtk
from slicer.i18n import tr as _

from CTBMDLib.bmd.result import TOTAL

REFERENCE_COLOR, LEVEL_COLOR, TOTAL_COLOR = (0.45, 0.45, 0.45), (0.0, 0.45, 0.7), (0.84, 0.37, 0.0)
"""A grey, a blue and an orange that are told apart without red and green."""


def whyNot(result, table):
    """Why there is no chart, as a sentence with what to do, or ''.

    Parameters
    ----------
    result : BMDResult or None
    table : ReferenceTable or None
    """
    if result is None:
        return _("There are no results yet: press 'Estimate BMD' first.")
    if table is None:
        return _("The chart needs a reference table; choose one under Settings.")
    if result.reference != table.name:
        return _("The reference table has changed; press 'Estimate BMD' again.")
    if result.sex is None or result.age is None:
        return _("The chart needs sex and age; enter them under Settings and estimate again.")
    if not byAge(table, result.sex):
        return _("This reference table has no L1-L4 values by age for this sex.")
    return ""


def byAge(table, sex):
    """(age in years, mean, SD) of the L1-L4 rows for a sex, by age."""
    rows = [row for row in table.rows if row["region"] == TOTAL and row["sex"] == sex]
    return sorted(
        ((row["age"][0] + row["age"][1]) / 2, row["mean"], row["sd"]) for row in rows if row["age"]
    )


class Chart:
    """Makes the nodes of the chart and shows them in the layout's plot view; nothing of it is saved."""

    def __init__(self):
        self._node = None

    def show(self, result, table):
        """Fill the chart with a result over its reference table and show it."""
        node = self._made()
        ages = byAge(table, result.sex)
        mean = [(age, value, "") for age, value, _sd in ages]
        upper = [(age, value + sd, "") for age, value, sd in ages]
        lower = [(age, value - sd, "") for age, value, sd in ages]
        levels = [(result.age, row.bmd_g_cm2, row.level) for row in result.levels if row.included]
        total = [(result.age, result.total.bmd_g_cm2, TOTAL)] if result.total else []
        parts = (
            (_("Reference mean"), mean, REFERENCE_COLOR, "line"),
            (_("+ 1 SD"), upper, REFERENCE_COLOR, "dash"),
            (_("- 1 SD"), lower, REFERENCE_COLOR, "dash"),
            (_("Vertebrae"), levels, LEVEL_COLOR, "points"),
            (TOTAL, total, TOTAL_COLOR, "large"),
        )
        self.clear()
        for name, points, color, style in parts:
            node.AddAndObservePlotSeriesNodeID(_series(name, points, color, style).GetID())
        node.SetTitle(f"{TOTAL}, {table.title}")
        node.Modified()
        self._present(node)

    def clear(self):
        """Remove the series, with their tables."""
        node = self._there()
        if node is None:
            return
        series = [node.GetNthPlotSeriesNode(i) for i in range(node.GetNumberOfPlotSeriesNodes())]
        node.RemoveAllPlotSeriesNodeIDs()
        for item in series:
            slicer.mrmlScene.RemoveNode(item.GetTableNode())
            slicer.mrmlScene.RemoveNode(item)

    def close(self):
        """Take everything out of the scene."""
        self.clear()
        if self._there() is not None:
            slicer.mrmlScene.RemoveNode(self._node)
        self._node = None

    def _there(self):
        node = self._node
        return node if node is not None and node.GetScene() is not None else None

    def _made(self):
        if self._there() is None:
            self._node = _add("vtkMRMLPlotChartNode", _("Bone density by age"))
            self._node.SetXAxisTitle(_("Age (years)"))
            self._node.SetYAxisTitle(_("BMD (g/cm²)"))
            self._node.SetLegendVisibility(True)
        return self._node

    def _present(self, node):
        manager = slicer.app.layoutManager()
        widget = manager.plotWidget(0) if manager is not None and manager.plotViewCount else None
        if widget is not None:
            widget.mrmlPlotViewNode().SetPlotChartNodeID(node.GetID())


def _series(name, points, color, style):
    """A series node of (x, y, label), with its table."""
    node = _add("vtkMRMLPlotSeriesNode", name)
    node.SetAndObserveTableNodeID(_table(name, points).GetID())
    node.SetXColumnName("age")
    node.SetYColumnName("bmd")
    node.SetPlotType(node.PlotTypeScatter)
    node.SetColor(*color)
    node.SetLineWidth(2)
    if style in ("line", "dash"):
        node.SetLineStyle(node.LineStyleSolid if style == "line" else node.LineStyleDash)
        node.SetMarkerStyle(node.MarkerStyleNone)
    else:
        node.SetLineStyle(node.LineStyleNone)
        node.SetMarkerStyle(node.MarkerStyleCircle)
        node.SetMarkerSize(11 if style == "large" else 6)
        node.SetLabelColumnName("level")
    return node


def _table(name, points):
    table = _add("vtkMRMLTableNode", name)
    for column, kind in (("age", vtk.vtkDoubleArray), ("bmd", vtk.vtkDoubleArray)):
        array = kind()
        array.SetName(column)
        for point in points:
            array.InsertNextValue(point[0 if column == "age" else 1])
        table.AddColumn(array)
    labels = vtk.vtkStringArray()
    labels.SetName("level")
    for point in points:
        labels.InsertNextValue(point[2])
    table.AddColumn(labels)
    return table


def _add(className, name):
    """A node that is made anew whenever it is wanted, so that no scene needs to keep it."""
    node = slicer.mrmlScene.AddNewNodeByClass(className, name)
    node.SetSaveWithScene(False)
    node.HideFromEditorsOn()
    return node
