"""The library's tests with the oldest and the newest packages that pyproject.toml allows, on each Python.

    python Testing/Python/versions.py [--python 3.12] [--only oldest] [--tests PATH ...]

For every Python of 3.11 to 3.13 that is found here (pyenv, uv, the path), a virtual
environment with the lowest versions of numpy, scipy, pydicom, vtk and torch that
have a build for it, and one with the newest, each in build/versions. What cannot be
tried is said with its reason at the end; exit 1 where tests failed.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PYTHONS = ("3.11", "3.12", "3.13")
ENDS = ("oldest", "newest")
TESTS = ("Testing/Python/volume", "Testing/Python/reading", "Testing/Python/spine",
         "Testing/Python/model", "Testing/Python/bmd", "Testing/Python/cohort")  # fmt: skip
BESIDE = ("pytest", "python-gdcm", "pylibjpeg", "pylibjpeg-openjpeg")
"""What the tests need whatever the versions."""


@dataclass(frozen=True)
class Tried:
    """One Python with one end of the versions, and what came of it."""

    python: str
    end: str
    outcome: str
    passed: bool | None


def requirements() -> dict[str, str]:
    """The lowest version of each package that the library may use, as pyproject.toml states it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    stated = project["dependencies"] + project["optional-dependencies"]["train"]
    found = dict(re.fullmatch(r"([\w.-]+)>=([\w.]+)", x).groups() for x in stated if ">=" in x)
    missing = {"numpy", "scipy", "pydicom", "vtk", "torch"} - set(found)
    if missing:
        raise SystemExit(f"pyproject.toml states no lowest version of {', '.join(sorted(missing))}")
    return found


def interpreter(version: str) -> str | None:
    """The path of a Python that runs and is of a version; None where there is none."""
    roots = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    roots += sorted(Path.home().glob(f".local/share/uv/python/cpython-{version}.*/bin/python3"))
    on_path = shutil.which(f"python{version}")
    for path in [*map(str, reversed(roots)), *([on_path] if on_path else [])]:
        told = subprocess.run(
            [path, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if told.stdout.strip() == version:
            return path
    return None


def install(python: str, version: str, end: str, folder: Path) -> str | None:
    """Make the environment; None, or why it cannot be made."""
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([python, "-m", "venv", str(folder)], check=True)
    pip = [str(folder / "bin/python"), "-m", "pip", "install", "--quiet", "--only-binary", ":all:",
           "--disable-pip-version-check"]  # fmt: skip
    lowest = requirements()
    for name, low in lowest.items():
        # The lowest version that has a build for this Python, at or above what is stated.
        wanted = oldest_build(pip, name, low) if end == "oldest" else None
        if end == "oldest" and wanted is None:
            return f"no build of {name} >= {low} for Python {version}"
        lowest[name] = wanted or low
    packages = [
        f"{name}=={low}" if end == "oldest" else f"{name}>={low}" for name, low in lowest.items()
    ]
    done = subprocess.run([*pip, *packages, *BESIDE], capture_output=True, text=True, check=False)
    if done.returncode:
        last = [line for line in done.stderr.splitlines() if line.strip()][-1:]
        return f"pip: {last[0] if last else 'failed'}"
    return None


def oldest_build(pip: list[str], name: str, low: str) -> str | None:
    """The lowest version at or above one that has a build for this Python."""
    listed = subprocess.run(
        [*pip[:3], "index", "versions", name], capture_output=True, text=True, check=False
    )
    match = re.search(r"Available versions: (.*)", listed.stdout)
    if not match:
        return None

    def key(text):
        return tuple(int(x) for x in re.findall(r"\d+", text))

    usable = [x.strip() for x in match[1].split(",")]
    usable = [x for x in usable if re.fullmatch(r"[\d.]+", x) and key(x) >= key(low)]
    return min(usable, key=key, default=None)


def run_tests(folder: Path, tests: list[str]) -> tuple[str, bool]:
    """The last line of pytest, and whether all passed."""
    command = [
        str(folder / "bin/python"),
        "-m",
        "pytest",
        "-q",
        "-m",
        "not slow and not gui and not data",
    ]
    done = subprocess.run([*command, *tests], cwd=ROOT, capture_output=True, text=True, check=False)
    last = [line for line in done.stdout.splitlines() if line.strip()][-1:]
    bad = [x for x in done.stdout.splitlines() if x.startswith(("FAILED", "ERROR"))]
    return "; ".join([*(last or ["no tests ran"]), *bad[:10]]), done.returncode == 0


def versions_of(folder: Path) -> str:
    """What was installed of the packages in question."""
    code = (
        "from importlib.metadata import version as v\n"
        f"print(', '.join(f'{{x}} {{v(x)}}' for x in {sorted(requirements())!r}))"
    )
    told = subprocess.run(
        [str(folder / "bin/python"), "-c", code], capture_output=True, text=True, check=False
    )
    return told.stdout.strip()


def attempt(version: str, end: str, tests: list[str]) -> Tried:
    """Try one Python with one end of the versions."""
    python = interpreter(version)
    if python is None:
        return Tried(version, end, "there is no such Python here", None)
    folder = ROOT / "build/versions" / f"{version}-{end}"
    why = install(python, version, end, folder)
    if why:
        return Tried(version, end, why, None)
    outcome, passed = run_tests(folder, tests)
    return Tried(version, end, f"{outcome} ({versions_of(folder)})", passed)


def main(arguments=None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", action="append", choices=PYTHONS)
    parser.add_argument("--only", choices=ENDS)
    parser.add_argument("--tests", nargs="+", default=list(TESTS))
    parser.add_argument("--list", action="store_true", help="only say which Pythons are here")
    options = parser.parse_args(arguments)
    if options.list:
        for version in PYTHONS:
            print(f"{version}: {interpreter(version) or 'not here'}")
        return 0
    tried = []
    for version in options.python or PYTHONS:
        for end in [options.only] if options.only else ENDS:
            tried.append(attempt(version, end, options.tests))
            word = {True: "passed", False: "FAILED", None: "not tried"}[tried[-1].passed]
            print(f"Python {version}, {end}: {word}: {tried[-1].outcome}", flush=True)
    left = [f"{x.python} {x.end}" for x in tried if x.passed is None]
    print(f"could not be tried: {', '.join(left) or 'none'}")
    return 1 if any(x.passed is False for x in tried) else 0


if __name__ == "__main__":
    sys.exit(main())
