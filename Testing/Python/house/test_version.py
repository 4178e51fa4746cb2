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


def test_every_package_of_every_extra_is_pinned():
    """By its own name, whatever it is needed for: what CI and a developer install is the same."""
    text = (ROOT / "Testing/constraints.lock").read_text(encoding="utf-8")
    lines = [x for x in text.splitlines() if x and not x.startswith("#")]
    assert lines == sorted(lines, key=str.lower)

    def plain(name):
        return re.sub(r"[-_.]+", "-", name).lower()

    pinned = [plain(x.partition("==")[0]) for x in lines]
    assert len(pinned) == len(set(pinned)) and all("==" in x for x in lines)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    stated = [*project["dependencies"], *sum(project["optional-dependencies"].values(), [])]
    named = {plain(re.match(r"[\w.-]+", x)[0]) for x in stated if "[" not in x}
    assert len(named) > 20 and named <= set(pinned)
