"""From a CTVolume to the levels of the lumbar vertebrae: the finder, label volumes."""
