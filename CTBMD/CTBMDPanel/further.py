"""Where the chosen CT shows no lumbar vertebra: the other CTs of the same person in the scene."""

from slicer.i18n import tr as _

from CTBMDLib.cohort.further import LUMBAR_WORDS
from CTBMDLib.errors import CTBMDError
from CTBMDLib.levels import LUMBAR
from CTBMDLib.progress import Progress

from . import belonging, views, volumes


def others(volumeNode):
    """The other CTs of the same patient or study, the likeliest to show the lumbar spine first.

    Only what the headers state counts: of a NIfTI file nobody knows whose it is.

    Parameters
    ----------
    volumeNode : vtkMRMLScalarVolumeNode

    Returns
    -------
    list of vtkMRMLScalarVolumeNode
    """
    mine = belonging.identifiers(volumeNode)
    found = [
        node
        for node in volumes.listed()
        if node is not volumeNode
        and _usable(node)
        and _samePerson(mine, belonging.identifiers(node))
    ]
    return sorted(found, key=_promise)


def _samePerson(mine, theirs):
    for kind in (belonging.PATIENT, belonging.STUDY):
        if kind in mine and kind in theirs:
            return mine[kind] == theirs[kind]
    return False


def _usable(node):
    image = node.GetImageData()
    modality = volumes.acquisition(node).modality
    return image is not None and min(image.GetDimensions()) > 1 and modality in (None, "CT")


def _promise(node):
    """By name first; then what reaches farther along the patient; then the more slices."""
    low, high = views.sRange(node) or (0.0, 0.0)
    named = LUMBAR_WORDS.search(node.GetName() or "")
    return not named, -round(high - low, -1), -max(node.GetImageData().GetDimensions())


def firstWithLumbar(finders):
    """A function of (progress, should_cancel) that tries one CT after another.

    Parameters
    ----------
    finders : list of (str, callable(progress, should_cancel))
        Names, and what gives a LevelSelection.

    Returns
    -------
    callable
        Gives (number, LevelSelection) of the first that shows a lumbar level, or None.
    """
    text = _("{name}: {what}")

    def work(progress, should_cancel):
        whole = Progress(progress, should_cancel)
        for number, (name, find) in enumerate(finders):
            part = whole.part(number / len(finders), (number + 1) / len(finders))

            def told(fraction, what, part=part, name=name):
                part.step(fraction, text.format(name=name, what=what))

            try:
                selection = find(told, should_cancel)
            except CTBMDError:
                continue  # one that cannot be searched is none that shows it
            if any(item.level in LUMBAR for item in selection):
                return number, selection
        return None

    return work
