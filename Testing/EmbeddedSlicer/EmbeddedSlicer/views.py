"""Slice views: MRML slice logic and displayable managers, drawn into a Qt widget.

VTK renders off-screen and the widget paints the picture, so that the views
look and answer the same on a real display, under Xvfb and with Qt's
`offscreen` platform. Mouse and key events go to VTK's interactor, where the
real vtkMRMLSliceViewInteractorStyle and markups widgets take them.
"""

from __future__ import annotations

import slicer
from PySide6 import QtCore, QtGui, QtWidgets
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkCommonCore import vtkCommand, vtkUnsignedCharArray
from vtkmodules.vtkInteractionStyle import vtkInteractorStyleUser
from vtkmodules.vtkRenderingCore import vtkActor2D, vtkImageMapper, vtkRenderer, vtkRenderWindow
from vtkmodules.vtkRenderingUI import vtkGenericRenderWindowInteractor

from .observing import observe
from .slice_controller import qMRMLSliceControllerWidget

# layout name: (letter, orientation, colour), as in Slicer's four-up layout
SLICE_VIEWS = {
    "Red": ("R", "Axial", (0.952941, 0.290196, 0.2)),
    "Yellow": ("Y", "Sagittal", (0.929412, 0.835294, 0.298039)),
    "Green": ("G", "Coronal", (0.431373, 0.690196, 0.294118)),
}

DISPLAYABLE_MANAGERS = (
    "vtkMRMLVolumeGlyphSliceDisplayableManager",
    "vtkMRMLModelSliceDisplayableManager",
    "vtkMRMLCrosshairDisplayableManager",
    "vtkMRMLOrientationMarkerDisplayableManager",
    "vtkMRMLRulerDisplayableManager",
    "vtkMRMLScalarBarDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager2D",
    "vtkMRMLMarkupsDisplayableManager",
)

_BUTTONS = {
    QtCore.Qt.MouseButton.LeftButton: "LeftButton",
    QtCore.Qt.MouseButton.RightButton: "RightButton",
    QtCore.Qt.MouseButton.MiddleButton: "MiddleButton",
}
_KEYS = {
    QtCore.Qt.Key.Key_Left: "Left",
    QtCore.Qt.Key.Key_Right: "Right",
    QtCore.Qt.Key.Key_Up: "Up",
    QtCore.Qt.Key.Key_Down: "Down",
    QtCore.Qt.Key.Key_Escape: "Escape",
    QtCore.Qt.Key.Key_Delete: "Delete",
    QtCore.Qt.Key.Key_Backspace: "BackSpace",
    QtCore.Qt.Key.Key_Return: "Return",
    QtCore.Qt.Key.Key_Space: "space",
}


class qMRMLSliceView(QtWidgets.QWidget):
    """The picture of one slice view."""

    def __init__(self, application_logic, name, parent=None):
        super().__init__(parent)
        self.setFocusPolicy(QtCore.Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setAttribute(QtCore.Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setMinimumSize(60, 60)
        self._picture = QtGui.QImage()
        self._stale = True
        self._closed = False
        self._make_window()
        self._connect_scene(application_logic, name)

    def _make_window(self):
        """VTK's side: a window off the screen, an actor for the picture, events by hand."""
        self._window = vtkRenderWindow()
        self._window.SetOffScreenRendering(1)
        self._window.SetMultiSamples(0)
        self._window.SetSize(200, 200)
        self._window.SetNumberOfLayers(2)
        self._renderer = vtkRenderer()
        self._renderer.GetActiveCamera().ParallelProjectionOn()
        self._window.AddRenderer(self._renderer)
        self._overlay = vtkRenderer()
        self._overlay.SetLayer(1)
        self._overlay.GetActiveCamera().ParallelProjectionOn()
        self._window.AddRenderer(self._overlay)

        # vtkMRMLSliceLogic gives a finished RGBA picture: it is shown as it is.
        mapper = vtkImageMapper()
        mapper.SetColorWindow(255)
        mapper.SetColorLevel(127.5)
        self._actor = vtkActor2D()
        self._actor.SetMapper(mapper)
        self._actor.GetProperty().SetDisplayLocationToBackground()
        self._actor.VisibilityOff()
        self._renderer.AddViewProp(self._actor)

        self._interactor = vtkGenericRenderWindowInteractor()
        self._interactor.SetRenderWindow(self._window)
        self._interactor.SetInteractorStyle(vtkInteractorStyleUser())
        self._interactor.EnableRenderOff()
        self._timers = {}
        self._interactor.AddObserver("CreateTimerEvent", self._create_timer)
        self._interactor.AddObserver("DestroyTimerEvent", self._destroy_timer)
        self._interactor.Initialize()

    def _connect_scene(self, application_logic, name):
        """MRML's side: the slice's node, logic, displayable managers and mouse."""
        factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
        factory.SetMRMLApplicationLogic(application_logic)
        for manager in DISPLAYABLE_MANAGERS:
            if not factory.IsDisplayableManagerRegistered(manager):
                factory.RegisterDisplayableManager(manager)
        self._managers = slicer.vtkMRMLDisplayableManagerGroup()
        observe(self._managers, vtkCommand.UpdateEvent, self._schedule)
        self._managers.Initialize(factory, self._renderer)

        self._logic = slicer.vtkMRMLSliceLogic()
        self._logic.SetMRMLApplicationLogic(application_logic)
        observe(self._logic, vtkCommand.ModifiedEvent, self._on_logic)
        application_logic.GetSliceLogics().AddItem(self._logic)
        self._style = slicer.vtkMRMLSliceViewInteractorStyle()
        self._style.SetSliceLogic(self._logic)
        self._style.SetDisplayableManagers(self._managers)
        self._logic.SetMRMLScene(application_logic.GetMRMLScene())
        self._node = self._logic.AddSliceNode(name)
        observe(self._node, vtkCommand.ModifiedEvent, self._schedule)
        self._managers.SetMRMLDisplayableNode(self._node)
        self._style.SetInteractor(self._interactor)
        self._logic.ResizeSliceNode(200, 200)

    # what Slicer's qMRMLSliceView has
    def mrmlSliceNode(self):
        return self._node

    def sliceLogic(self):
        return self._logic

    # drawing
    def _on_logic(self, *_):
        connection = self._logic.GetImageDataConnection()
        self._actor.GetMapper().SetInputConnection(connection)
        self._actor.SetVisibility(bool(connection))
        self._schedule()

    def _schedule(self, *_):
        self._stale = True
        if not self._closed:
            self.update()

    def _pixels(self):
        ratio = self.devicePixelRatioF()
        return max(1, round(self.width() * ratio)), max(1, round(self.height() * ratio))

    def _draw(self):
        if self._closed:
            return
        width, height = self._pixels()
        self._stale = False
        self._window.Render()
        values = vtkUnsignedCharArray()
        self._window.GetPixelData(0, 0, width - 1, height - 1, 1, values, 0)
        pixels = vtk_to_numpy(values).reshape(height, width, 3)[::-1].copy()
        picture = QtGui.QImage(
            pixels.data, width, height, 3 * width, QtGui.QImage.Format.Format_RGB888
        )
        self._picture = picture.copy()
        self._picture.setDevicePixelRatio(self.devicePixelRatioF())

    def paintEvent(self, event):
        if self._stale:
            self._draw()
        painter = QtGui.QPainter(self)
        painter.drawImage(0, 0, self._picture)
        painter.end()

    def resizeEvent(self, event):
        super().resizeEvent(event)
        width, height = self._pixels()
        self._window.SetSize(width, height)
        self._interactor.SetSize(width, height)
        self._logic.ResizeSliceNode(width, height)
        self._interactor.InvokeEvent(vtkCommand.WindowResizeEvent)
        self._schedule()

    # events
    def _tell(self, event, position=None, key="", symbol=None):
        modifiers = event.modifiers()
        if position is not None:
            ratio = self.devicePixelRatioF()
            self._position = (round(position.x() * ratio), round(position.y() * ratio))
        x, y = getattr(self, "_position", (0, 0))
        self._interactor.SetEventInformationFlipY(
            x,
            y,
            int(bool(modifiers & QtCore.Qt.KeyboardModifier.ControlModifier)),
            int(bool(modifiers & QtCore.Qt.KeyboardModifier.ShiftModifier)),
            key or "\0",
            0,
            symbol,
        )
        self._interactor.SetAltKey(int(bool(modifiers & QtCore.Qt.KeyboardModifier.AltModifier)))

    def _button(self, event, what):
        name = _BUTTONS.get(event.button())
        if name is None:
            return
        self._tell(event, event.position())
        self._interactor.InvokeEvent(f"{name}{what}Event")
        event.accept()

    def mousePressEvent(self, event):
        self._button(event, "Press")

    def mouseReleaseEvent(self, event):
        self._button(event, "Release")

    def mouseDoubleClickEvent(self, event):
        self._button(event, "DoubleClick")

    def mouseMoveEvent(self, event):
        self._tell(event, event.position())
        self._interactor.InvokeEvent("MouseMoveEvent")

    def wheelEvent(self, event):
        self._tell(event, event.position())
        steps = event.angleDelta().y()
        if steps:
            self._interactor.InvokeEvent(
                "MouseWheelForwardEvent" if steps > 0 else "MouseWheelBackwardEvent"
            )
        event.accept()

    def enterEvent(self, event):
        self._interactor.InvokeEvent("EnterEvent")

    def leaveEvent(self, event):
        self._interactor.InvokeEvent("LeaveEvent")

    def keyPressEvent(self, event):
        text = event.text()
        key = text if text and len(text) == 1 and ord(text) < 128 else ""
        self._tell(event, None, key, _KEYS.get(event.key(), text or None))
        self._interactor.InvokeEvent("KeyPressEvent")
        if key:
            self._interactor.InvokeEvent("CharEvent")

    def keyReleaseEvent(self, event):
        self._tell(event, None, "", _KEYS.get(event.key(), event.text() or None))
        self._interactor.InvokeEvent("KeyReleaseEvent")

    # VTK asks its window system for timers: here that is Qt
    def _create_timer(self, interactor, _event):
        timer = QtCore.QTimer(self)
        number = interactor.GetTimerEventId()
        timer.setSingleShot(interactor.GetTimerEventType() == 1)
        timer.timeout.connect(lambda: self._interactor.InvokeEvent("TimerEvent"))
        self._timers[number] = timer
        timer.start(interactor.GetTimerEventDuration())

    def _destroy_timer(self, interactor, _event):
        timer = self._timers.pop(interactor.GetTimerEventPlatformId(), None)
        if timer is not None:
            timer.stop()

    def _close(self):
        """Give the OpenGL context back while Qt and VTK both still stand."""
        if self._closed:
            return
        self._closed = True
        for timer in self._timers.values():
            timer.stop()
        self._style.SetInteractor(None)
        self._managers.SetMRMLDisplayableNode(None)
        self._logic.RemoveAllObservers()
        self._window.Finalize()


class qMRMLSliceWidget(QtWidgets.QWidget):
    """Controller and view of one slice."""

    def __init__(self, application_logic, name, parent=None):
        super().__init__(parent)
        self.setObjectName(f"qMRMLSliceWidget{name}")
        letter, orientation, color = SLICE_VIEWS[name]
        self._view = qMRMLSliceView(application_logic, name, self)
        node = self._view.mrmlSliceNode()
        node.SetOrientation(orientation)
        node.SetLayoutLabel(letter)
        node.SetLayoutColor(*color)
        self._controller = qMRMLSliceControllerWidget(self._view, letter, color, self)
        column = QtWidgets.QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self._controller)
        column.addWidget(self._view, 1)

    def sliceView(self):
        return self._view

    def sliceLogic(self):
        return self._view.sliceLogic()

    def mrmlSliceNode(self):
        return self._view.mrmlSliceNode()
