"""One version in one place, in step with the bundled model's."""

import re
import tomllib

from paths import ROOT

import CTBMDLib
from CTBMDLib.model.bundle import default_bundle_folder, read_card


def test_major_and_minor_are_the_bundled_models():
    ours = CTBMDLib.__version__.split(".")
    assert len(ours) == 3 and all(part.isdigit() for part in ours)
    assert ours[:2] == read_card(default_bundle_folder())["version"].split(".")[:2]


def test_the_package_takes_its_version_from_the_library():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["dynamic"] == ["version"] and "version" not in project["project"]
    attribute = project["tool"]["setuptools"]["dynamic"]["version"]["attr"]
    assert attribute == "CTBMDLib.__version__"


def test_nothing_else_states_a_version():
    project = (ROOT / "CMakeLists.txt").read_text()
    assert "VERSION" not in re.sub(r"cmake_minimum_required\(VERSION.*?\)", "", project)
    assert "version" not in (ROOT / "CTBMD.json").read_text()
