"""Slicer's SampleData module: sources are registered; nothing is downloaded."""

from dataclasses import dataclass, field

import slicer

__all__ = ["SampleDataLogic", "SampleDataSource"]


def _tuple(value):
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)


@dataclass
class SampleDataSource:
    """One data set: where it is and what to make of it."""

    sampleName: str
    uris: object = None
    fileNames: object = None
    nodeNames: object = None
    checksums: object = None
    loadFiles: object = None
    customDownloader: object = None
    thumbnailFileName: str | None = None
    loadFileTypes: object = None
    loadFileProperties: dict = field(default_factory=dict)

    def __post_init__(self):
        for name in ("uris", "fileNames", "nodeNames", "checksums", "loadFiles", "loadFileTypes"):
            setattr(self, name, _tuple(getattr(self, name)))
        if len({len(self.uris), len(self.fileNames), len(self.nodeNames)}) != 1:
            raise ValueError(
                f"All fields of sample data source '{self.sampleName}' must have the same length"
            )


class SampleDataLogic:
    """Registers sample data sets."""

    @staticmethod
    def registerCustomSampleDataSource(category="Custom", **fields):
        """Register a source; `fields` are those of SampleDataSource, as in Slicer all by name."""
        source = SampleDataSource(**fields)
        sources = SampleDataLogic.sampleDataSourcesByCategory().setdefault(category, [])
        if source not in sources:
            sources.append(source)

    @staticmethod
    def sampleDataSourcesByCategory(category=None):
        if not hasattr(slicer.modules, "sampleDataSources"):
            slicer.modules.sampleDataSources = {}
        sources = slicer.modules.sampleDataSources
        return sources if category is None else sources.get(category, [])
