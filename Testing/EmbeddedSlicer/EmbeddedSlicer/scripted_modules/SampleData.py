"""Slicer's SampleData module: sources are registered and loaded; nothing is downloaded."""

import os
from dataclasses import dataclass, field
from urllib.parse import urlparse
from urllib.request import url2pathname

import slicer

__all__ = ["SampleDataLogic", "SampleDataSource", "downloadSample"]


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
    """Registers and loads sample data sets."""

    @staticmethod
    def registerCustomSampleDataSource(
        category="Custom",
        sampleName=None,
        uris=None,
        fileNames=None,
        nodeNames=None,
        customDownloader=None,
        thumbnailFileName=None,
        loadFileTypes=None,
        loadFiles=None,
        loadFileProperties=None,
        checksums=None,
    ):
        source = SampleDataSource(
            sampleName=sampleName,
            uris=uris,
            fileNames=fileNames,
            nodeNames=nodeNames,
            checksums=checksums,
            loadFiles=loadFiles,
            customDownloader=customDownloader,
            thumbnailFileName=thumbnailFileName,
            loadFileTypes=loadFileTypes,
            loadFileProperties=dict(loadFileProperties or {}),
        )
        sources = SampleDataLogic.sampleDataSourcesByCategory().setdefault(category, [])
        if source not in sources:
            sources.append(source)

    @staticmethod
    def sampleDataSourcesByCategory(category=None):
        if not hasattr(slicer.modules, "sampleDataSources"):
            slicer.modules.sampleDataSources = {}
        sources = slicer.modules.sampleDataSources
        return sources if category is None else sources.get(category, [])

    @staticmethod
    def isSampleDataSourceRegistered(category, sampleDataSource):
        return sampleDataSource in SampleDataLogic.sampleDataSourcesByCategory(category)

    def sourceForSampleName(self, sampleName):
        for sources in self.sampleDataSourcesByCategory().values():
            for source in sources:
                if source.sampleName == sampleName:
                    return source
        return None

    def downloadFromSource(self, source):
        """Nodes of a data set: by its own downloader, or from file:// addresses."""
        if source.customDownloader:
            return source.customDownloader(source)
        nodes = []
        for uri, name in zip(source.uris, source.nodeNames, strict=True):
            parts = urlparse(str(uri))
            if parts.scheme != "file":
                raise NotImplementedError(f"EmbeddedSlicer downloads nothing; asked for {uri}")
            path = url2pathname(parts.path)
            if not os.path.isfile(path):
                raise OSError(f"The sample data file is missing: {path}")
            nodes.append(slicer.util.loadNodeFromFile(path, None, {"name": name} if name else {}))
        return nodes

    def downloadSample(self, sampleName):
        nodes = self.downloadSamples(sampleName)
        return nodes[0] if nodes else None

    def downloadSamples(self, sampleName):
        source = self.sourceForSampleName(sampleName)
        if source is None:
            raise ValueError(f"No sample data is registered by the name '{sampleName}'")
        return self.downloadFromSource(source)


def downloadSample(sampleName):
    """Load a registered data set; returns its first node."""
    return SampleDataLogic().downloadSample(sampleName)
