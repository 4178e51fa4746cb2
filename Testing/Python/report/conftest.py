"""What the tests of page and DICOM report share: a small CT with a planted identity, and a model."""

import dataclasses

import phantoms
import pytest
import report_cases

from CTBMDLib.report.case import identified


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """The DICOM files of the CT."""
    return report_cases.write(tmp_path_factory.mktemp("dicom"))


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """An untrained bundle."""
    return phantoms.bundle(tmp_path_factory.mktemp("bundle") / "untrained")


@pytest.fixture(scope="session")
def unnamed(folder, model):
    """The case of a report that names nobody."""
    return report_cases.case(folder, model)


@pytest.fixture(scope="session")
def named(unnamed):
    """The case of a report that may tell who it is of."""
    result = identified(unnamed.result, unnamed.volume)
    return dataclasses.replace(unnamed, result=result, with_identity=True)
