"""The images of the selected level in the panel, and what is drawn over them and over the axial view."""

import slicer
from slicer.i18n import tr as _

from CTBMDLib.bmd.centring import centred
from CTBMDLib.bmd.structure import look_at
from CTBMDLib.errors import CTBMDError
from CTBMDLib.model.images import cut_images

from . import pictures, sentences, volumes
from .overlays import Overlays
from .words import setText

SIDE = 80
"""Width of a picture in pixels: three beside each other in the panel at its narrowest."""
SAID_MM = 2.0
"""How far from their point images lie that it is said beside them."""


class ImageActions:
    """Shows what the network reads of the selected level, while its section is open.

    Parameters
    ----------
    ui : object
        The named widgets of CTBMD.ui.
    state : PanelState
    logic : CTBMDLogic
    levelTable : LevelTable
    """

    def __init__(self, ui, state, logic, levelTable):
        self.ui, self.state, self.logic = ui, state, logic
        self.levelTable = levelTable
        self.overlays = Overlays()
        self._structures = {}
        self._shown = None
        ui.imagesSection.contentsCollapsed.connect(self.onFolded)
        state.changed.connect(self.update)
        state.volumeChanged.connect(self.forget)

    def close(self):
        """Take the overlays out of the scene."""
        self.overlays.close()

    def forget(self):
        """The voxels may be others: look again at the next update."""
        self._structures = {}
        self._shown = None
        self.overlays.showBone(None, ())

    def onFolded(self, folded=None):
        """The section is opened or folded."""
        self.update()

    def update(self):
        """Show the selected level anew where anything about it has changed."""
        parameters, level = self.state.parameterNode, self.levelTable.level
        selection = self.state.controller.selection
        if parameters is None or self.state.volumeNode is None or level not in selection:
            self._empty("")
            return
        bone, region = parameters.showBone, parameters.showTrabecular
        opened = not self.ui.imagesSection.collapsed
        now = (selection[level], selection.levels if bone else None, bone, region, opened)
        now += (parameters.modelFolder, volumes.geometry(self.state.volumeNode))
        if now == self._shown:
            return
        self._shown = now
        if not (opened or bone or region):
            self._empty("", again=now)
            return
        try:
            with slicer.util.WaitCursor():
                self._show(selection, selection[level], bone, region, opened)
        except CTBMDError as error:
            self._empty(sentences.of(error), again=now)

    def _show(self, selection, item, bone, region, opened):
        volume = self.logic.volume(self.state.volumeNode)
        outline = self._outline(volume, item) if region else None
        self.overlays.showRegion(outline, item.axis or (0.0, 0.0, 1.0))
        self.overlays.showBone(volume if bone else None, selection)
        if not opened:
            return
        standard = self.logic.bundle(self.state.parameterNode.modelFolder).standard
        where = (
            centred(volume, item, self._seen(volume, item)) if volume.contains(item.ras) else item
        )
        images = cut_images(volume, where, standard)
        text = _("{level}: front is up, the patient's right is left.").format(level=item.level)
        if region and outline is None:
            text += " " + _("The trabecular region is not in view.")
        off = sum((a - b) ** 2 for a, b in zip(where.ras, item.ras, strict=True)) ** 0.5
        if off >= SAID_MM:
            text += " " + _("Taken {mm} mm from the point, about the middle of the body.").format(
                mm=f"{off:.0f}"
            )
        setText(self.ui.imagesLabel, text)
        labels = self._labels()
        for label, hu, s_mm, centre in zip(
            labels, images.hu, images.s_mm, images.centre_ra_mm, strict=False
        ):
            corners = None
            if outline is not None:
                shifted = outline[:, :2] - where.ras[:2] + centre
                corners = pictures.in_image(shifted, centre, standard)
            label.setPixmap(pictures.pixmap(pictures.rgb(hu, bone, corners), SIDE))
            label.setToolTip(_("S {s} mm").format(s=f"{s_mm:.1f}"))

    def _seen(self, volume, item):
        """What `estimate` finds about the point; looked for once."""
        if item not in self._structures:
            self._structures[item] = look_at(volume, item)
        return self._structures[item]

    def _outline(self, volume, item):
        region = self._seen(volume, item).region
        return None if region is None else region.outline_ras

    def _labels(self):
        return self.ui.imageLabelUpper, self.ui.imageLabelMiddle, self.ui.imageLabelLower

    def _empty(self, sentence, again=None):
        """No pictures, for a reason or for none."""
        self._shown = again
        setText(self.ui.imagesLabel, sentence)
        for label in self._labels():
            label.clear()
        self.overlays.showRegion(None, None)
        self.overlays.showBone(None, ())
