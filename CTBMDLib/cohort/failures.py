"""Why a case failed, by its code: a sentence that a page may tell of many, and of nobody.

The sentence of the error itself may name files, series and persons; these name none.
"""

from __future__ import annotations

NO_CT = "It is no CT (another modality, a scout view, a report); choose the CT."
NO_PLACE = "The header does not say rightly where the images lie in the patient; export them again."
NO_HU = "The values are no Hounsfield units; export the CT with its rescale slope and intercept."
LEVELS_FILE = "The levels file is not as 'ctbmd levels' writes it; find the levels again."
LEVELS_ENTRY = "An entry of the levels file is not possible; correct it or find the levels again."
ROW = "The row of the list is not possible; correct it in the list."
ELSEWHERE = (
    "A machine of the cluster differs from this one; install the same CTBMD and model there."
)
NO_ROOM = "It does not fit on the disk for temporary files; make room there or unpack it elsewhere."
NO_MEMORY = "It does not fit into the memory; give each process more, or take a shorter series."
ONE_FILE = "The file is of a kind that cannot be read as a CT; convert it, or give the DICOM files."

WORDS = {
    "age": ROW,
    "ambiguous-series": "Several series have the number that the list names; name one by its UID.",
    "analyze-file": "An ANALYZE file does not say left from right; convert it to NIfTI.",
    "archive-password": "The archive is locked by a password; unpack it and give the folder.",
    "broken-geometry": NO_PLACE,
    "broken-orientation": NO_PLACE,
    "broken-pixel-spacing": NO_PLACE,
    "broken-position": NO_PLACE,
    "broken-rescale": NO_HU,
    "changing-pixel-spacing": "The pixel spacing changes within the series; export each reconstruction as its own.",
    "changing-spacing": "The series changes its slice spacing; use a series with one spacing.",
    "colour-images": "The images are in colour (such as a screenshot), not CT values; choose the original CT.",
    "damaged-file": "A file is cut off or damaged; copy it again from where it came.",
    "device": "The compute device is not one of this computer; choose 'auto' or 'cpu'.",
    "disk-full": NO_ROOM,
    "duplicate-slices": "Several images lie at one position; remove copies and keep one phase.",
    "empty-folder": "The folder is empty; copy the CT again.",
    "empty-volume": "Nearly all values of the volume are alike; choose another series.",
    "include-unknown": "A level that was to be included is not among the measured ones; correct the list.",
    "kvp": ROW,
    "label-no-vertebra": "A label is larger than any vertebra; choose another segmentation.",
    "label-value-too-large": "The labels cannot be vertebrae; export the segmentation again.",
    "labels-flat": "The vertebrae are painted in a slice or two only; paint whole vertebrae or set points.",
    "labels-not-ct": "The volume holds labels and no CT; choose the CT.",
    "labels-not-whole-numbers": "The segmentation is no volume of whole numbers; export it as labels.",
    "labels-unknown": "The labels follow no scheme that is known; save the segmentation with named segments.",
    "level-axis": LEVELS_ENTRY,
    "level-confidence": LEVELS_ENTRY,
    "level-height": LEVELS_ENTRY,
    "level-included": LEVELS_ENTRY,
    "level-not-chosen": LEVELS_ENTRY,
    "level-order-end": LEVELS_ENTRY,
    "level-position": LEVELS_ENTRY,
    "level-taken": LEVELS_ENTRY,
    "level-twice": LEVELS_ENTRY,
    "levels-file": LEVELS_FILE,
    "levels-format": LEVELS_FILE,
    "levels-not-text": LEVELS_FILE,
    "levels-order": "The levels are not in order from head to feet; correct the labels or the points.",
    "levels-same-place": "Two levels are at the same place; move one of them or remove it.",
    "levels-too-large": LEVELS_FILE,
    "levels-unreadable": "The levels file cannot be read; check the path and its rights.",
    "memory": NO_MEMORY,
    "missing-rescale": NO_HU,
    "missing-slices": "Slices of the series are missing; copy the whole series.",
    "model-does-not-compute": "The model gives no usable values; copy the bundle again or take another.",
    "no-correction": "The values cannot be corrected by air and fat; leave out --correct-values or take another series.",
    "no-decoder": "The images are compressed and the decoder is not installed; install python-gdcm.",
    "no-device": "The compute device is not one of this computer; choose 'auto' or 'cpu'.",
    "no-dicom-images": "There are no DICOM images in the folder; check that the CT was copied.",
    "no-dicom-source": "The CT did not come from DICOM files; load those.",
    "no-level-chosen": "No lumbar level is chosen; find the levels again.",
    "no-lumbar-level": "No lumbar vertebra was found; choose a scan or series that shows them.",
    "no-lumbar-segment": "No segment is a lumbar vertebra; choose a segmentation with named lumbar vertebrae.",
    "no-memory": NO_MEMORY,
    "no-path": ROW,
    "no-pixel-data": "A file has a header and no image; export the images.",
    "no-position": NO_PLACE,
    "no-pytorch": "PyTorch is not installed; choose the device 'auto' or 'cpu'.",
    "no-remote-package": "A package to read from an archive is missing; install ctbmd[archive].",
    "no-series": "The file has no series to choose from; leave the series out of the list.",
    "no-such-file": "A file is not where it was said to be; check the path.",
    "no-such-series": "The series that the list names is not there; correct the list.",
    "not-an-image": "The file is no CT image; give a DICOM folder, NIfTI or NRRD.",
    "not-ct": NO_CT,
    "not-finite": "The volume holds values that are not numbers; export it again without them.",
    "not-hounsfield": NO_HU,
    "not-in-mm": "The volume is not measured in mm; export it in mm.",
    "not-labels": "The segmentation is no label volume; give one as NIfTI or NRRD.",
    "not-unpacked": "The archive cannot be unpacked into the folder for temporary files; unpack it elsewhere.",
    "number-type": ONE_FILE,
    "oblique-axes": "The axes of the volume are not at right angles (gantry tilt); resample it first.",
    "other-series": "The levels file belongs to another series; find the levels again.",
    "packed-archive": "It is an archive; unpack it and give the folder.",
    "point-outside": "A level lies outside the CT; check that both are of the same scan.",
    "reference-device": "The reference table is of another DXA device; choose another, or none.",
    "remote-address": "The address of the archive is not as it must be; write pacs://TITLE@host:port.",
    "remote-empty": "The archive gave no CT image of the study; look there whether it has any.",
    "remote-study": "No study of the archive is named; end the path with # and a study UID.",
    "remote-unreachable": "The archive did not answer as it should; run the failures again later.",
    "row-age": ROW,
    "row-kvp": ROW,
    "row-path": ROW,
    "row-sex": ROW,
    "scout": NO_CT,
    "segmentation-not-on-bone": "The segmentation does not lie on bone; choose the one of this scan.",
    "several-data-files": ONE_FILE,
    "several-volumes": "The file holds several volumes (4-D); export one of them.",
    "sex": ROW,
    "shifted-slices": "The slices are shifted sideways against one another; export the original CT.",
    "single-image": "It is a single image; a CT volume is needed.",
    "slices-aslant": "The slices lie further aslant than any gantry tilts; export the original CT.",
    "too-few-slices": "The series has too few slices; choose a whole CT.",
    "uneven-spacing": "The slices are not evenly spaced; use a series with one spacing.",
    "unexpected-error": "CTBMD met something that it does not know; please report it.",
    "unknown-encoding": ONE_FILE,
    "unknown-label-scheme": "The labels follow no scheme that is known; name the segments.",
    "unknown-level": LEVELS_ENTRY,
    "unknown-reason": LEVELS_ENTRY,
    "unknown-source": LEVELS_ENTRY,
    "unreadable-file": "A file cannot be read; check the path and the right to read it.",
    "unreadable-folder": "A folder cannot be read; ask for the right to read it or copy the series.",
    "unusable-series": "The series cannot be used; export the original CT.",
    "worker-differs": ELSEWHERE,
    "worker-died": "The process that worked on it ended twice: too little memory, or a file that crashes a decoder.",
    "worker-error": "A process of the cluster failed for a reason that CTBMD does not know; please report it.",
}  # fmt: skip


def words_of(code: str) -> str:
    """The sentence of a code; of one that is not known, that the list of failures says more."""
    return WORDS.get(code, "The list of failures and the file of identities say more.")
