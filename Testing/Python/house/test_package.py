"""The extension package: every file that the module needs is listed, installed and works there."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from paths import ROOT

MODULES = "lib/Slicer-5.10/qt-scripted-modules"


def tracked(*patterns):
    out = subprocess.run(
        ["git", "ls-files", "--", *patterns], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return set(out.split("\n")) - {""}


def listed(cmake_file, variable):
    text = (ROOT / cmake_file).read_text()
    block = re.search(rf"set\({variable}\s(.*?)\)\s*$", text, re.S | re.M)
    assert block, f"{cmake_file} sets no {variable}"
    return {word.replace("${MODULE_NAME}", "CTBMD") for word in block.group(1).split()}


@pytest.mark.parametrize(
    "folder, variable, pattern",
    [
        ("CTBMDLib", "CTBMDLib_PYTHON_SCRIPTS", "*.py"),
        ("CTBMDLib", "CTBMDLib_PYTHON_RESOURCES", None),
        ("CTBMD", "MODULE_PYTHON_SCRIPTS", "*.py"),
        ("CTBMD", "MODULE_PYTHON_RESOURCES", None),
    ],
)
def test_every_tracked_file_is_listed_and_every_listed_file_is_tracked(folder, variable, pattern):
    files = {name.removeprefix(f"{folder}/") for name in tracked(folder)}
    scripts = {name for name in files if name.endswith(".py")}
    expected = scripts if pattern else files - scripts - {"CMakeLists.txt"}
    assert listed(f"{folder}/CMakeLists.txt", variable) == expected


def test_models_and_sample_data_are_installed():
    expected = tracked("Resources/Models", "Resources/SampleData")
    assert listed("CTBMDLib/CMakeLists.txt", "CTBMDLib_DATA_FILES") == expected
    assert any(name.endswith("card.json") for name in expected)


def test_metadata_lines_are_what_the_extension_index_reads():
    text = (ROOT / "CMakeLists.txt").read_text()
    assert re.search(r"^project\(CTBMD\b", text, re.M)
    for name in ("ICONURL", "SCREENSHOTURLS"):
        url = re.search(rf'^set\(EXTENSION_{name} "(\S+\.png)"\)$', text, re.M).group(1)
        inside = url.split("/main/", 1)[1]
        assert inside in tracked("Resources"), f"{inside} is not in the repository"
    description = re.search(r'^set\(EXTENSION_DESCRIPTION "(.+)"\)$', text, re.M).group(1)
    assert "not a medical device" in description
    assert '"Quantification"' in text and '"PyTorch"' in text


def test_installed_extension_works_alone(tmp_path):
    """Configure and install with CMake, then use the library from the installed tree only."""
    cmake = shutil.which(
        "cmake", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    )
    assert cmake, "cmake is missing; 'make test' installs it"

    def run(*command, cwd=tmp_path):
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    package = ROOT / "Testing" / "Python" / "slicer_package"
    prefix = tmp_path / "install"
    # Nothing is compiled, and a machine that runs the tests need not have a compiler.
    no_compiler = [
        f"-DCMAKE_{language}_COMPILER{setting}"
        for language in ("C", "CXX")
        for setting in ("=/bin/true", "_FORCED=TRUE")
    ]
    run(
        cmake,
        "-S",
        str(ROOT),
        "-B",
        "build",
        f"-DSlicer_DIR={package}",
        "-DBUILD_TESTING=ON",
        f"-DCMAKE_INSTALL_PREFIX={prefix}",
        *no_compiler,
    )
    run(cmake, "--install", "build")
    modules = prefix / MODULES
    assert (modules / "CTBMD.py").is_file() and (
        modules / "CTBMDLib" / "bmd" / "estimate.py"
    ).is_file()
    # -I keeps this checkout and its editable install out of the way.
    code = (
        f"import sys; sys.path.insert(0, {str(modules)!r})\n"
        "import CTBMDLib\n"
        f"assert CTBMDLib.__file__.startswith({str(modules)!r}), CTBMDLib.__file__\n"
        "from CTBMDLib import cli; from CTBMDLib.bmd import estimate; from CTBMDLib.reading import reading\n"
        "from CTBMDLib.model.bundle import ModelBundle, default_bundle_folder\n"
        f"assert str(default_bundle_folder()).startswith({str(modules)!r})\n"
        "bundle = ModelBundle.load(default_bundle_folder())\n"
        "print(bundle.name)\n"
    )
    assert run(sys.executable, "-I", "-c", code).strip()
