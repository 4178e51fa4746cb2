"""Where the chosen CT shows no lumbar vertebra: the other CTs of the same person in the scene."""

from CTBMDLib.bmd.contrast import stated_agent
from CTBMDLib.cohort.further import LUMBAR_WORDS
from CTBMDLib.errors import CTBMDError
from CTBMDLib.reading.kernels import sharpness

from . import belonging, views, volumes

AXIAL = 0.7
"""Cosine between the slices' normal and the patient's axis, below which slices are not axial."""


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


def ofStudy(volumeNode):
    """The other CTs of the same study, the likeliest first: other scans of a person are of another day."""
    study = belonging.identifiers(volumeNode).get(belonging.STUDY)
    return [
        node
        for node in (others(volumeNode) if study else ())
        if belonging.identifiers(node).get(belonging.STUDY) == study
    ]


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
    """By name first, then as a folder's series are ranked: axial, long, soft, many slices."""
    facts = volumes.acquisition(node)
    named = LUMBAR_WORDS.search(f"{node.GetName()} {facts.series_description or ''}")
    low, high = views.sRange(node) or (0.0, 0.0)
    slices = max(node.GetImageData().GetDimensions())
    # An enhanced scan reads too dense.
    enhanced = stated_agent(facts) is not None
    return (
        not named,
        not _axial(node),
        enhanced,
        -round(high - low, -1),
        sharpness(facts.kernel),
        -slices,
    )


def _axial(node):
    """Whether the slices of a CT lie across the patient."""
    try:
        across = volumes.ijkToWorld(node)[:3, 2]
    except CTBMDError:
        return False
    return abs(across[2]) > AXIAL * sum(x * x for x in across) ** 0.5
