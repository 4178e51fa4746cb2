"""The stand-in for qMRMLPlotWidget: a vtkMRMLPlotChartNode drawn by Qt.

Scatter series are drawn with lines, marks and labels; other kinds raise.
"""

from __future__ import annotations

import slicer
from PySide6 import QtCore, QtGui, QtWidgets

from .observing import observe

_MARGINS = (58, 30, 14, 44)  # left, top, right, bottom
_TICKS = 5


class qMRMLPlotWidget(QtWidgets.QWidget):
    """One plot view: its node, and the chart that the node shows."""

    def __init__(self, name, parent=None):
        super().__init__(parent)
        self.setObjectName(f"qMRMLPlotWidget{name}")
        self.setMinimumSize(60, 60)
        self._name = name
        self._node = self._seen = None
        self._unobserve = []

    def mrmlPlotViewNode(self):
        """The view's node, made anew where the scene was closed."""
        if self._node is None or self._node.GetScene() is None:
            self._close()
            self._node = slicer.mrmlScene.GetSingletonNode(self._name, "vtkMRMLPlotViewNode")
            if self._node is None:
                node = slicer.vtkMRMLPlotViewNode()
                node.SetSingletonTag(self._name)
                node.SetLayoutName(self._name)
                self._node = slicer.mrmlScene.AddNode(node)
            self._unobserve = [observe(self._node, "ModifiedEvent", self._on_modified)]
        return self._node

    def _on_modified(self, *_):
        self.update()

    def _close(self):
        for remove in self._unobserve:
            remove()
        self._unobserve = []
        self._node = self._seen = None

    def _chart(self):
        node = self.mrmlPlotViewNode()
        chart_id = node.GetPlotChartNodeID()
        chart = slicer.mrmlScene.GetNodeByID(chart_id) if chart_id else None
        if chart is not None and chart is not self._seen:
            self._seen = chart
            self._unobserve.append(observe(chart, "ModifiedEvent", self._on_modified))
        return chart

    def paintEvent(self, event):
        painter = QtGui.QPainter(self)
        painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
        painter.fillRect(self.rect(), QtCore.Qt.GlobalColor.white)
        chart = self._chart()
        if chart is not None:
            Drawing(painter, self.rect(), chart).draw()
        painter.end()


class Drawing:
    """One chart on one rectangle."""

    def __init__(self, painter, rectangle, chart):
        self.painter, self.chart = painter, chart
        left, top, right, bottom = _MARGINS
        self.area = rectangle.adjusted(left, top, -right, -bottom)
        self.series = [chart.GetNthPlotSeriesNode(i) for i in range(_count(chart))]
        self.values = [(node, *_points(node)) for node in self.series]

    def draw(self):
        if not any(len(xs) for _node, xs, _ys, _labels in self.values):
            return
        self.x_range = self._range(0)
        self.y_range = self._range(1)
        self._axes()
        for node, xs, ys, labels in self.values:
            self._series(node, xs, ys, labels)
        self._legend()

    def _range(self, axis):
        fixed = (self.chart.GetXAxisRangeAuto, self.chart.GetYAxisRangeAuto)[axis]()
        if not fixed:
            return (self.chart.GetXAxisRange, self.chart.GetYAxisRange)[axis]()
        numbers = [x for item in self.values for x in item[1 + axis]]
        low, high = min(numbers), max(numbers)
        room = 0.05 * (high - low) or 1.0
        return low - room, high + room

    def _place(self, x, y):
        (x0, x1), (y0, y1), area = self.x_range, self.y_range, self.area
        return QtCore.QPointF(
            area.left() + (x - x0) / (x1 - x0) * area.width(),
            area.bottom() - (y - y0) / (y1 - y0) * area.height(),
        )

    def _axes(self):
        painter, area = self.painter, self.area
        painter.setPen(QtGui.QColor("#404040"))
        painter.drawRect(area)
        align = QtCore.Qt.AlignmentFlag
        for step in range(_TICKS + 1):
            part = step / _TICKS
            x = self.x_range[0] + part * (self.x_range[1] - self.x_range[0])
            y = self.y_range[0] + part * (self.y_range[1] - self.y_range[0])
            at = self._place(x, y)
            box = QtCore.QRectF(at.x() - 30, area.bottom() + 3, 60, 14)
            painter.drawText(box, align.AlignHCenter, f"{x:g}")
            box = QtCore.QRectF(0, at.y() - 8, area.left() - 5, 16)
            painter.drawText(box, align.AlignRight | align.AlignVCenter, f"{y:.2f}")
        box = QtCore.QRectF(area.left(), area.bottom() + 20, area.width(), 18)
        painter.drawText(box, align.AlignHCenter, self.chart.GetXAxisTitle() or "")
        head = self.chart.GetTitle() or ""
        if self.chart.GetYAxisTitle():
            head = f"{head}   ({self.chart.GetYAxisTitle()})"
        painter.drawText(QtCore.QRectF(area.left(), 4, area.width(), 20), align.AlignHCenter, head)

    def _series(self, node, xs, ys, labels):
        if node.GetPlotType() != node.PlotTypeScatter:
            raise NotImplementedError("EmbeddedSlicer's plots draw scatter series only.")
        color = QtGui.QColor.fromRgbF(*node.GetColor())
        places = [self._place(x, y) for x, y in zip(xs, ys, strict=True)]
        styles = {
            node.LineStyleSolid: QtCore.Qt.PenStyle.SolidLine,
            node.LineStyleDash: QtCore.Qt.PenStyle.DashLine,
            node.LineStyleDot: QtCore.Qt.PenStyle.DotLine,
            node.LineStyleDashDot: QtCore.Qt.PenStyle.DashDotLine,
        }
        if node.GetLineStyle() in styles:
            pen = QtGui.QPen(color, node.GetLineWidth(), styles[node.GetLineStyle()])
            self.painter.setPen(pen)
            self.painter.drawPolyline(QtGui.QPolygonF(places))
        self.painter.setPen(color)
        self.painter.setBrush(color)
        if node.GetMarkerStyle() != node.MarkerStyleNone:
            half = node.GetMarkerSize() / 2
            for place in places:
                self.painter.drawEllipse(place, half, half)
        for place, label in zip(places, labels, strict=False):
            self.painter.drawText(place + QtCore.QPointF(6, 4), label)
        self.painter.setBrush(QtCore.Qt.BrushStyle.NoBrush)

    def _legend(self):
        if not self.chart.GetLegendVisibility():
            return
        names = [node.GetName() for node in self.series]
        wide = max(
            (self.painter.fontMetrics().horizontalAdvance(name) for name in names), default=0
        )
        box = QtCore.QRectF(
            self.area.left() + 4, self.area.top() + 4, wide + 8, 14 * len(names) + 4
        )
        self.painter.fillRect(box, QtCore.Qt.GlobalColor.white)  # lines may run behind it
        for row, (node, name) in enumerate(zip(self.series, names, strict=True)):
            self.painter.setPen(QtGui.QColor.fromRgbF(*node.GetColor()))
            place = QtCore.QPointF(self.area.left() + 8, self.area.top() + 16 + 14 * row)
            self.painter.drawText(place, name)


def _count(chart):
    return chart.GetNumberOfPlotSeriesNodes()


def _points(node):
    """X and Y values and labels of a series."""
    table = node.GetTableNode()
    table = table.GetTable() if table is not None else None
    if table is None:
        return [], [], []
    columns = [
        table.GetColumnByName(name) if name else None
        for name in (node.GetXColumnName(), node.GetYColumnName(), node.GetLabelColumnName())
    ]
    xs, ys, labels = (
        []
        if column is None
        else [column.GetVariantValue(i) for i in range(column.GetNumberOfValues())]
        for column in columns
    )
    return [x.ToDouble() for x in xs], [y.ToDouble() for y in ys], [x.ToString() for x in labels]
