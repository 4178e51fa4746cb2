"""The level selection in three places that agree: library object, scene, views.

The library's LevelSelection holds the rules of editing. Its JSON in the
parameter node is what a saved scene keeps, and the control points are what a
person sees and drags.
"""

import copy

import qt
import slicer
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from CTBMDLib.errors import CTBMDError
from CTBMDLib.levels import MEASURED, ORDER, LevelSelection

from . import points, sentences
from .signal import Signal

SAME_MM = 0.02
"""Positions closer than this are equal: the JSON keeps 0.01 mm."""
USUAL_HEIGHT_MM = 27.0
"""Height of a lumbar body whose own is not known."""


class SelectionController(VTKObservationMixin):
    """Owner of the selection.

    Signals
    -------
    changed() : the selection is another one than before.
    dragging(level, ras) : a point is being dragged; the edit follows on release.
    refused(sentence) : an edit was not possible.

    Attributes
    ----------
    selection : LevelSelection
    said : str
        What the last edit did where it is not plain to see, or ''.
    wishedName : str or None
        What a point is called that is placed without a name.
    """

    def __init__(self):
        VTKObservationMixin.__init__(self)
        self.changed = Signal()
        self.dragging = Signal()
        self.refused = Signal()
        self.selection = LevelSelection()
        self.wishedName = None
        self._refused = None
        self._parameterNode = None
        self._pointsNode = None
        self.said = ""
        self._past, self._future = [], []
        self._hidden = ()
        self._ofVolumes = {}
        self._writing = False
        self._interacting = False

    # -- life ------------------------------------------------------------------
    def setParameterNode(self, parameterNode):
        """Show the state of a parameter node; None lets go of the scene."""
        self._observePoints(None)
        self._parameterNode = parameterNode
        self.said = ""
        self._past, self._future = [], []
        self._ofVolumes = {}
        self._interacting = False
        self.selection = LevelSelection()
        if parameterNode is not None:
            self._read()
        self.changed.emit()

    def refresh(self):
        """Follow the parameter node where something else has changed it."""
        if self._parameterNode is None or self._writing:
            return
        if self._parameterNode.levelPoints is not self._pointsNode:
            self._observePoints(self._parameterNode.levelPoints)
            self._syncFromPoints()
        if self._parameterNode.levels != self._kept():
            self._read()
            self.changed.emit()
        elif self.hidden() != self._hidden:
            self._commit(self.said)

    def _kept(self):
        empty = not self.selection.levels and not self.selection.findings
        return "" if empty else self.selection.to_json()

    def _read(self):
        self.selection = self._fromText(self._parameterNode.levels)
        node = self._parameterNode.levelPoints
        self._observePoints(node)
        if node is None:
            if self.selection.levels:
                self._write()
            return
        # Points may have been dragged while this module was not there to see it.
        there = {label: ras for _index, label, ras in points.defined(node)}
        here = dict(self.selection.to_points())
        moved = there.keys() != here.keys() or any(
            max(abs(a - b) for a, b in zip(there[k], here[k], strict=True)) > SAME_MM for k in here
        )
        if moved:
            self._syncFromPoints()
        else:
            self._write()

    # -- edits -----------------------------------------------------------------
    def replace(self, selection):
        """Take another selection; undo brings the present one back."""
        if self.selection.levels:
            self._remember(self.selection)
        self.selection = selection
        self._commit()

    def switchVolume(self, old, new, kept=""):
        """Another volume is chosen: its own levels, as they were when it was left.

        Parameters
        ----------
        old, new : str or None
            Node IDs.
        kept : str
            The levels of the new one as JSON, where it was left in another session.
        """
        self._ofVolumes[old] = self.selection, self._past, self._future
        if new not in self._ofVolumes:
            self._ofVolumes[new] = self._fromText(kept), [], []
        self.selection, self._past, self._future = self._ofVolumes[new]
        self._commit()

    def ofVolume(self, volumeID, kept=""):
        """The levels of a volume that is not shown; those in `kept` where it was not shown yet."""
        return self._ofVolumes[volumeID][0] if volumeID in self._ofVolumes else self._fromText(kept)

    def keepOf(self, volumeID, selection):
        """Take levels for a volume that is not shown; undo there brings the old ones back."""
        old, past, _future = self._ofVolumes.get(volumeID, (LevelSelection(), [], []))
        past = [*past, copy.copy(old)] if old.levels and old != selection else past
        self._ofVolumes[volumeID] = selection, past, []

    def _fromText(self, text):
        try:
            return LevelSelection.from_json(text) if text else LevelSelection()
        except CTBMDError as error:
            self.refused.emit(sentences.of(error))
            return LevelSelection()

    def edit(self, name, *arguments, said=""):
        """Call an edit of LevelSelection by name; False where it is refused.

        `said` is what to tell of it where it is not plain to see.
        """
        before = copy.copy(self.selection)
        try:
            getattr(self.selection, name)(*arguments)
        except CTBMDError as error:
            self.refused.emit(sentences.of(error))
            return False
        if self.selection != before:
            self._remember(before)
            self._commit(said)
        return True

    def useSlice(self, level, s_mm):
        """Take a level at S = `s_mm`: along its body's axis inside the body, beyond along the spine.

        The axis of one body says nothing of where its neighbours are: followed
        over two vertebrae it leaves the spine.
        """
        item = self.selection[level]
        reach = 0.5 * (item.height_mm or USUAL_HEIGHT_MM)
        if abs(s_mm - item.ras[2]) <= reach:
            return self.edit("use_slice", level, s_mm)
        return self.edit("move", level, self.positionAt(s_mm, item.ras))

    def shift(self, steps):
        """Every level takes another name; what was renamed is said."""
        old = [item.level for item in self.selection]
        indices = [ORDER.index(level) + steps for level in old]
        new = [ORDER[i] if 0 <= i < len(ORDER) else "" for i in indices]
        return self.edit("shift", steps, said=renamed(old, new))

    def rename(self, level, name):
        """A level takes another name."""
        return self.edit("relabel", level, name, said=renamed([level], [name]))

    def undo(self):
        """Take the last edit back, or the last selection that was replaced."""
        self._step(self._past, self._future)

    def redo(self):
        """Make the edit again that was taken back last."""
        self._step(self._future, self._past)

    def _step(self, source, target):
        if source:
            target.append(self.selection)
            self.selection = source.pop()
            self._commit()

    def _remember(self, selection):
        self._past.append(copy.copy(selection))
        self._future = []

    @property
    def canUndo(self):
        """Whether there is something to take back."""
        return bool(self._past)

    @property
    def canRedo(self):
        """Whether there is something that was taken back."""
        return bool(self._future)

    def positionAt(self, s_mm, fallback):
        """RAS for a new level at S = `s_mm`: on the line of its neighbours.

        Parameters
        ----------
        s_mm : float
        fallback : sequence of 3 float
            RAS taken where no level is there yet.
        """
        have = sorted((item.ras for item in self.selection), key=lambda ras: ras[2])
        if not have:
            return (fallback[0], fallback[1], s_mm)
        below = [ras for ras in have if ras[2] <= s_mm]
        above = [ras for ras in have if ras[2] > s_mm]
        if not below or not above:
            near = have[0] if not below else have[-1]
            return (near[0], near[1], s_mm)
        low, high = below[-1], above[0]
        t = (s_mm - low[2]) / (high[2] - low[2])
        return (low[0] + t * (high[0] - low[0]), low[1] + t * (high[1] - low[1]), s_mm)

    def hidden(self):
        """Names of the levels that are not to be seen: neither L1-L4 nor in use, where a person wants so."""
        if self._parameterNode is None or self._parameterNode.showOthers:
            return ()
        return tuple(x.level for x in self.selection if not (x.included or x.level in MEASURED))

    def measurable(self):
        """Whether at least one included level of L1-L4 is there."""
        return any(item.included and item.level in MEASURED for item in self.selection)

    def fingerprint(self):
        """What of the selection decides the result, JSON-ready."""
        return fingerprint(self.selection)

    # -- to the scene ------------------------------------------------------------
    def _commit(self, said=""):
        self.said = said
        self._write()
        self.changed.emit()

    def _write(self):
        if self._parameterNode is None:
            return
        self._writing = True
        self._hidden = self.hidden()
        try:
            node = self._parameterNode.levelPoints
            if node is None and self.selection.levels:
                node = points.createNode()
            if node is not None:
                points.write(node, self.selection, self._hidden)
            with slicer.util.NodeModify(self._parameterNode):
                self._parameterNode.levelPoints = node
                self._parameterNode.levels = self._kept()
            self._observePoints(node)
        finally:
            self._writing = False

    # -- from the views ------------------------------------------------------------
    def _observePoints(self, node):
        if node is self._pointsNode:
            return
        self.removeObservers()
        self._pointsNode = node
        if node is None:
            return
        self.addObserver(node, node.PointStartInteractionEvent, self._onStartInteraction)
        self.addObserver(node, node.PointEndInteractionEvent, self._onEndInteraction)
        self.addObserver(node, node.PointModifiedEvent, self._onPointsChanged)
        self.addObserver(node, node.PointPositionDefinedEvent, self._onPointsChanged)
        self.addObserver(node, node.PointRemovedEvent, self._onPointsChanged)

    def _onStartInteraction(self, caller=None, event=None):
        self._interacting = True

    def _onEndInteraction(self, caller=None, event=None):
        self._interacting = False
        self._syncFromPoints()

    def _onPointsChanged(self, caller=None, event=None):
        if self._writing or self._pointsNode is None or slicer.mrmlScene.IsImporting():
            return
        if not self._interacting:
            self._syncFromPoints()
            return
        for _index, label, ras in points.defined(self._pointsNode):
            if label not in self.selection:
                continue
            old = self.selection[label].ras
            if max(abs(a - b) for a, b in zip(ras, old, strict=True)) > SAME_MM:
                self.dragging.emit(label, ras)

    def _syncFromPoints(self):
        node = self._pointsNode
        if node is None or self._parameterNode is None or self._writing:
            return
        named, nameless, refused = {}, [], None
        for index, label, ras in points.defined(node):
            if label in self.selection and label not in named:
                named[label] = ras
            else:
                nameless.append((index, ras))
        for index, ras in nameless:
            taken = set(named) | {item.level for item in self.selection}
            name = points.freeName(taken, self.wishedName)
            if name is None:
                refused = _("Every vertebra has its point already.")
                break
            named[name] = ras
            # Named where it is: this runs inside the event of the node that is adding it,
            # which goes on with the point afterwards, so that it must not be deleted here.
            self._writing = True
            try:
                node.SetNthControlPointLabel(index, name)
            finally:
                self._writing = False
        before = copy.copy(self.selection)
        try:
            changed = self.selection.update_from_points(named.items())
        except CTBMDError as error:
            changed, refused = False, sentences.of(error)
        if changed:
            self._remember(before)
        if refused:
            if not self._refused:
                qt.QTimer.singleShot(0, self._takeBack)
            self._refused = refused
        elif changed or nameless:
            self._commit()

    def _takeBack(self):
        """Remove the points that could not be taken over, and say why."""
        sentence, self._refused = self._refused, None
        if self._parameterNode is not None:
            self._commit()
            self.refused.emit(sentence)


def fingerprint(selection):
    """What of a LevelSelection decides the result, JSON-ready."""
    return [
        [
            item.level,
            [round(x, 2) for x in item.ras],
            item.included,
            *([item.reason] if item.reason else []),
        ]
        for item in selection
    ]


def renamed(old, new):
    """What was renamed, from head to feet, as a sentence."""
    pairs = [_("{old} is now {new}").format(old=a, new=b) for a, b in zip(old, new, strict=True)]
    return _("Renamed: {what}.").format(what=", ".join(pairs))
