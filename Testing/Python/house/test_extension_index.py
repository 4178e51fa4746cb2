"""What Slicer's extension index asks of an extension, as far as a program can see it.

The rules are those of Slicer/ExtensionsIndex: its schema 1.0.2, what its script
check_description_files.py refuses, and its list for whoever proposes an extension.
"""

import ast
import functools
import json
import re
import subprocess
import sys
from urllib.parse import urlsplit

import pytest
import screenshots
from paths import ROOT

FIELDS = {
    "$schema": str,
    "category": str,
    "scm_url": str,
    "scm_revision": str,
    "scm_type": str,
    "build_dependencies": list,
    "dicom_support_rule": str,
    "build_subdirectory": str,
    "enabled": bool,
    "tier": int,
}
"""All that schema 1.0.2 knows, with its types; the first three are required."""
SCHEMA = (
    "https://raw.githubusercontent.com/Slicer/Slicer/main/Schemas/"
    "slicer-extension-catalog-entry-schema-v1.0.2.json#"
)
PREFIXES = ("Slicer", "Slicer-", "Slicer_", "SlicerExtension-", "SlicerExtension_")
LICENCES = ("LICENSE", "LICENCE", "License.txt", "license.txt", "LICENSE.txt", "COPYING")
MAX_MIB = 100
BROUGHT = {"slicer", "qt", "ctk", "vtk", "vtkmodules", "SimpleITK", "numpy", "scipy", "pydicom"}
"""What every Slicer brings besides Python's own; the rest is imported where it is needed."""
OWN = {"CTBMDLib", "CTBMDPanel"}


def tracked():
    out = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return out.split("\n")[:-1]


def cmake(name):
    """Value of a metadata variable, which must stand on one line."""
    found = re.findall(
        rf'^set\(EXTENSION_{name} "([^"\n]+)"\)$', (ROOT / "CMakeLists.txt").read_text(), re.M
    )
    assert len(found) == 1, f"EXTENSION_{name} must be set once, on one line"
    return found[0]


@pytest.fixture(scope="module")
def description():
    return json.loads((ROOT / "CTBMD.json").read_text(encoding="utf-8"))


# -- the description ------------------------------------------------------------------------
def test_the_description_follows_the_schema(description):
    assert description["$schema"] == SCHEMA
    assert set(description) <= set(FIELDS) and {"$schema", "category", "scm_url"} <= set(
        description
    )
    for name, value in description.items():
        assert type(value) is FIELDS[name], name
    assert 1 <= description["tier"] <= 5
    assert description.get("scm_type", "git") in ("git", "local")
    assert all(isinstance(x, str) for x in description.get("build_dependencies", []))
    content = (ROOT / "CTBMD.json").read_bytes()
    assert b"\r" not in content and content.endswith(b"}\n")


def test_names_and_addresses_are_as_the_index_wants_them(description):
    project = re.search(r"^project\(\s*(\w+)", (ROOT / "CMakeLists.txt").read_text(), re.M).group(1)
    assert project == "CTBMD" and not project.lower().startswith("slicer")
    url = urlsplit(description["scm_url"])
    assert url.scheme in ("git", "https") and url.netloc
    repository = url.path.rsplit("/", 1)[1].removesuffix(".git")
    assert repository.startswith(PREFIXES) and repository != "Slicer"
    assert cmake("HOMEPAGE") == description["scm_url"].removesuffix(".git")


def test_the_description_and_cmake_agree(description):
    assert description["category"] == cmake("CATEGORY") == "Quantification"
    assert description["build_dependencies"] == cmake("DEPENDS").split() == ["PyTorch"]
    for name in ("CONTRIBUTORS", "DESCRIPTION", "KEYWORDS"):
        assert len(cmake(name)) > 10
    assert cmake("RECOMMENDS") == "TotalSegmentator"


def test_pictures_are_files_of_the_repository(description):
    address = urlsplit(description["scm_url"]).path.removesuffix(".git")
    base = f"https://raw.githubusercontent.com{address}/{description['scm_revision']}/"
    files = set(tracked())
    for url in (cmake("ICONURL"), *cmake("SCREENSHOTURLS").split()):
        assert url.startswith(base) and url.endswith(".png"), url
        path = url.removeprefix(base)
        assert path in files and (ROOT / path).read_bytes().startswith(b"\x89PNG")


# -- the repository -------------------------------------------------------------------------
def test_there_is_a_licence_and_cmake_names_it():
    assert any((ROOT / name).is_file() for name in LICENCES)
    assert "Apache License" in (ROOT / "LICENSE").read_text()
    for name, file in (("LICENSE_FILE", "LICENSE"), ("README_FILE", "README.md")):
        assert cmake(name) == f"${{CMAKE_CURRENT_SOURCE_DIR}}/{file}"


def test_a_clone_with_its_history_is_small():
    counted = subprocess.run(
        ["git", "count-objects", "-v"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    kib = {name: int(value) for name, value in re.findall(r"^([\w-]+): (\d+)$", counted, re.M)}
    files = sum((ROOT / name).stat().st_size for name in tracked() if (ROOT / name).is_file())
    assert (kib["size"] + kib["size-pack"]) / 1024 + files / 2**20 < MAX_MIB


def test_every_file_can_be_checked_out_on_windows_and_macos():
    files = tracked()
    reserved = {
        "con",
        "prn",
        "aux",
        "nul",
        *(f"{x}{n}" for x in ("com", "lpt") for n in range(1, 10)),
    }
    for name in files:
        assert not re.search(r'[<>:"|?*\\\x00-\x1f]', name), name
        assert len(name) < 150, name
        for part in name.split("/"):
            assert part.split(".")[0].lower() not in reserved and part[-1] not in ". ", name
    assert len({name.lower() for name in files}) == len(files), "names that differ by case alone"


# -- the code -------------------------------------------------------------------------------
@functools.cache
def sources():
    names = [x for x in tracked() if x.endswith(".py") and x.startswith(("CTBMD/", "CTBMDLib/"))]
    assert len(names) > 100
    return [(name, ast.parse((ROOT / name).read_text(encoding="utf-8"))) for name in names]


def imported(nodes):
    """Top names that statements import, those of `if TYPE_CHECKING` left out."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.split(".")[0]
        elif isinstance(node, ast.Try):
            yield from imported([*node.body, *node.orelse, *node.finalbody])
        elif isinstance(node, ast.If) and "TYPE_CHECKING" not in ast.unparse(node.test):
            yield from imported([*node.body, *node.orelse])


def test_only_what_slicer_brings_is_imported_at_file_scope():
    allowed = BROUGHT | OWN | set(sys.stdlib_module_names)
    for name, tree in sources():
        wrong = set(imported(tree.body)) - allowed
        assert not wrong, f"{name} imports {wrong}"
        if name.startswith("CTBMDLib/"):
            assert not set(imported(tree.body)) & {"slicer", "qt", "ctk"}, name


def test_nothing_is_done_at_file_scope():
    """Slicer reads every module at its start: what is done there slows it down, or stops it."""
    # The panel's package must make its library importable before it is imported.
    excepted = {"CTBMD/CTBMDPanel/__init__.py": ["_loadLibrary()"]}
    for name, tree in sources():
        done = [
            ast.unparse(node)
            for node in tree.body
            if isinstance(node, (ast.For, ast.While, ast.With))
            or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call))
        ]
        assert done == excepted.get(name, []), name


def test_the_panel_has_no_style_of_its_own():
    for name, tree in sources():
        if name.startswith("CTBMD/"):
            assert "setStyleSheet" not in ast.unparse(tree), name
    ui = (ROOT / "CTBMD" / "Resources" / "UI" / "CTBMD.ui").read_text(encoding="utf-8")
    assert "styleSheet" not in ui and "<class>qMRMLWidget</class>" in ui


# -- the home page --------------------------------------------------------------------------
def test_the_readme_is_a_home_page():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    head = text.split("\n## ")[0]
    summary = head.split("\n\n")[1]
    assert "extension for [3D Slicer]" in summary and "vertebrae" in summary
    assert "Research use only" in head and re.search(r"!\[.+\]\(Resources/Screenshots/", head)
    for heading in ("In 3D Slicer", "How to cite", "Licence"):
        assert f"\n## {heading}\n" in text, heading
    tutorial = text.split("\n## In 3D Slicer\n")[1].split("\n## ")[0]
    steps = re.findall(r"^(\d+)\. \*\*", tutorial, re.M)
    assert [int(x) for x in steps] == list(range(1, len(steps) + 1)) and len(steps) >= 5
    assert "sample" in tutorial and re.search(r"!\[.+\]\(Resources/Screenshots/", tutorial)
    assert "Images never leave your computer" in text and "nothing is downloaded" in text
    # All of them, and no others, are made by `make screenshots`.
    shown = re.findall(r"\]\(Resources/Screenshots/([^)]+)\)", text)
    assert sorted(set(shown)) == sorted(screenshots.PICTURES)


def test_one_module_is_offered_in_the_category_of_the_extension():
    tree = ast.parse((ROOT / "CTBMD" / "CTBMD.py").read_text(encoding="utf-8"))
    text = ast.unparse(tree)
    assert "parent.categories = [translate('qSlicerAbstractCoreModule', 'Quantification')]" in text
    flat = [x for x in tracked() if re.fullmatch(r"CTBMD/[^/]+\.py", x)]
    assert flat == ["CTBMD/CTBMD.py"], "each .py directly in the module's folder is a module"
