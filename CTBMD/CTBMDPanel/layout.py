"""CTBMD's own view layout while its module is open; the user's comes back on leaving.

A scene keeps the number of its layout and not what that number means: one that was saved in
CTBMD's own would show no views at all in a Slicer without this module. So while that one is
shown, whoever has chosen it, a scene is saved without a layout, and opens in the one that is
there.
"""

import qt
import slicer
import vtk

SETTING = "CTBMD/OwnLayout"
"""Setting of the application: 'false' where a person wants to keep the own layout."""
VIEWS, WITH_CHART = 1041, 1042
"""Numbers of the layouts; Slicer's own end below 100, and others choose theirs above."""

_SLICE = (
    '<item><view class="vtkMRMLSliceNode" singletontag="{tag}">'
    '<property name="orientation" action="default">{orientation}</property>'
    '<property name="viewlabel" action="default">{label}</property>'
    '<property name="viewcolor" action="default">{color}</property></view></item>'
)
_AXIAL = _SLICE.format(tag="Red", orientation="Axial", label="R", color="#F34A33")
_SAGITTAL = _SLICE.format(tag="Yellow", orientation="Sagittal", label="Y", color="#EDD54C")
_CORONAL = _SLICE.format(tag="Green", orientation="Coronal", label="G", color="#6EB04B")
_CHART = (
    '<item><view class="vtkMRMLPlotViewNode" singletontag="PlotView1">'
    '<property name="viewlabel" action="default">P</property></view></item>'
)


def description(chart):
    """A layout as Slicer's XML: axial over coronal, sagittal beside them; below it the chart."""
    right = f'<item><layout type="vertical" split="true">{_SAGITTAL}{_CHART}</layout></item>'
    return (
        '<layout type="horizontal" split="true">'
        f'<item><layout type="vertical" split="true">{_AXIAL}{_CORONAL}</layout></item>'
        f"{right if chart else _SAGITTAL}</layout>"
    )


def register():
    """Describe the layouts to Slicer: a scene may be loaded that was saved in one of them."""
    manager = slicer.app.layoutManager()
    if manager is not None:
        for number in (VIEWS, WITH_CHART):
            _describe(manager, number)
        _saving.follow(manager.layoutLogic().GetLayoutNode())


class _Saving:
    """Keeps the layout out of a saved scene while it is CTBMD's own, and no longer.

    It looks at the node that holds the layout: a menu, a script, another module or a scene that
    is loaded may change it, while the module is open or not.
    """

    def __init__(self):
        self._node = self._tag = None

    def follow(self, node):
        """Look at a layout node from now on; there is one of a kind in a scene."""
        if node is not self._node:
            if self._node is not None:
                self._node.RemoveObserver(self._tag)
            self._node = node
            self._tag = node.AddObserver(vtk.vtkCommand.ModifiedEvent, self._onModified)
        self._onModified()

    def _onModified(self, caller=None, event=None):
        save = self._node.GetViewArrangement() not in (VIEWS, WITH_CHART)
        if bool(self._node.GetSaveWithScene()) != save:  # it tells of this change as well
            self._node.SetSaveWithScene(save)


_saving = _Saving()


def _describe(manager, number):
    node = manager.layoutLogic().GetLayoutNode()
    text = description(number == WITH_CHART)
    if node.IsLayoutDescription(number):
        node.SetLayoutDescription(number, text)
    else:
        node.AddLayoutDescription(number, text)


class Layout:
    """Changes the layout of the application's views and brings the user's back.

    Attributes
    ----------
    chart : bool
        Whether the chart is among the views.
    """

    def __init__(self):
        self.chart = False
        self._open = False
        self._users = None
        self._shown = False

    @property
    def wanted(self):
        """Whether a person wants CTBMD's own layout; kept in the application's settings."""
        return str(qt.QSettings().value(SETTING) or "true").lower() != "false"

    def setWanted(self, wanted):
        """Keep whether the own layout is wanted, and show it or the user's."""
        qt.QSettings().setValue(SETTING, "true" if wanted else "false")
        self._show()

    def setChart(self, chart):
        """Show the views with or without the chart."""
        self.chart = bool(chart)
        self._show()

    def enter(self):
        """The module is shown."""
        self._open = True
        self._show()

    def importing(self):
        """A scene is about to be loaded, which may bring a layout of its own."""
        manager = slicer.app.layoutManager()
        self._shown = manager is not None and manager.layout in (VIEWS, WITH_CHART)

    def imported(self):
        """It was loaded: show CTBMD's layout again, unless the user had chosen another."""
        manager = slicer.app.layoutManager()
        if manager is not None and (self._shown or manager.layout in (VIEWS, WITH_CHART)):
            self.enter()

    def exit(self):
        """The module is left, or thrown away."""
        self._open = False
        self._show()

    def _show(self):
        manager = slicer.app.layoutManager()
        if manager is None:
            return
        _saving.follow(manager.layoutLogic().GetLayoutNode())  # another one in another scene
        mine = manager.layout in (VIEWS, WITH_CHART)
        if self._open and (self.wanted or self.chart):
            if not mine:
                self._users = manager.layout
            number = WITH_CHART if self.chart else VIEWS
            _describe(manager, number)
            manager.setLayout(number)
        elif mine:
            # Where the user has chosen another meanwhile, it stays.
            manager.setLayout(self._users or slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
