"""The library's tests with the oldest and the newest packages that pyproject.toml allows, on each Python.

    python Testing/Python/versions.py [--python 3.12] [--only oldest] [--quick] [--record]

For every Python of 3.11 to 3.13 that is found here (pyenv, uv, the path), a virtual
environment with the lowest versions of numpy, scipy, pydicom, vtk and torch that
have a build for it, and one with the newest, each in build/versions. On Linux
PyTorch is taken only in a build without CUDA ('2.13.0+cpu'), since any other brings
gigabytes, unless `--cuda` is given. What cannot be tried is said with its reason;
exit 1 where tests failed. `--record` keeps what came of it in versions.md. `--again` runs
what failed once more, with the tests and the library as they are now.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import shutil
import subprocess
import sys
import time
import tomllib
from dataclasses import asdict, dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PYTHONS = ("3.11", "3.12", "3.13")
ENDS = ("oldest", "newest")
TESTS = ("Testing/Python/volume", "Testing/Python/reading", "Testing/Python/spine",
         "Testing/Python/model", "Testing/Python/bmd", "Testing/Python/cohort")  # fmt: skip
RECORD = ROOT / "Testing/Python/versions.md"
KEPT = ROOT / "build/versions/results.json"
MOST_NAMED = 10
"""Tests that failed that are named."""
QUICK = "not slow and not gui and not data"
WHOLE = "not gui and not data"
BESIDE = ("pytest", "python-gdcm", "pylibjpeg", "pylibjpeg-openjpeg")
"""What the tests need whatever the versions."""
WHERE_IT_FITS = (("numba",), ("scikit-learn", "matplotlib"), ("distributed", "pyarrow", "openpyxl"))
"""What some tests need and skip without; left out, and said, where it has no build beside them."""


@dataclass(frozen=True)
class Tried:
    """One Python with one end of the versions, and what came of it.

    `passed` is None where it could not be tried; `missing` says what was left out, and why.
    """

    python: str
    end: str
    outcome: str
    passed: bool | None
    versions: str = ""
    missing: str = ""
    tests: str = ""
    when: str = ""
    seconds: float = 0.0


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


def install(
    python: str, version: str, end: str, folder: Path, cuda: bool
) -> tuple[str | None, str]:
    """Make the environment; why it cannot be made (None where it can), and what it lacks."""
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([python, "-m", "venv", str(folder)], check=True)
    pip = [str(folder / "bin/python"), "-m", "pip"]
    choices, missing = {}, ""
    for name, low in requirements().items():
        found = builds(pip, name, low, without_cuda=name == "torch" and not cuda)
        if found:
            choices[name] = found if end == "oldest" else found[::-1]
        elif name == "torch":
            missing = f"no build of torch >= {low} without CUDA for Python {version} here"
        else:
            return f"no build of {name} >= {low} for Python {version}", ""
    command = [*pip, "install", "--quiet", "--only-binary", ":all:", "--disable-pip-version-check"]
    while True:
        packages = [f"{name}=={versions[0]}" for name, versions in choices.items()]
        done = subprocess.run(
            [*command, *packages, *BESIDE], capture_output=True, text=True, check=False
        )
        if not done.returncode:
            break
        if not drop_unbuilt(choices, done.stderr):
            last = [line for line in done.stderr.splitlines() if line.strip()][-1:]
            return f"pip: {last[0] if last else 'failed'}", missing
    left = [missing] if missing else []
    for group in WHERE_IT_FITS:
        done = subprocess.run(
            [*command, *packages, *group], capture_output=True, text=True, check=False
        )
        if done.returncode:
            left.append(f"no build of {' and '.join(group)} beside these")
    return None, "; ".join(left)


def builds(pip: list[str], name: str, low: str, without_cuda: bool) -> list[str]:
    """The versions at or above one that have a build for this Python, the oldest first."""
    listed = subprocess.run(
        [*pip, "index", "versions", "--only-binary", ":all:", name],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    match = re.search(r"Available versions: (.*)", listed.stdout)
    usable = [x.strip() for x in match[1].split(",")] if match else []
    usable = [x for x in usable if re.fullmatch(r"[\d.]+(\+cpu)?", x) and _key(x) >= _key(low)]
    if without_cuda and platform.system() == "Linux":
        usable = [x for x in usable if x.endswith("+cpu")]
    return sorted(usable, key=_key)


def drop_unbuilt(choices: dict[str, list[str]], told: str) -> bool:
    """Leave out the version that pip found no build of, though an index lists it; whether it did.

    A version without a build for this Python may be listed for its sources alone.
    """
    match = re.search(r"No matching distribution found for ([\w.-]+)==([\w.+]+)", told)
    if match is None or choices.get(match[1], [""])[0] != match[2] or len(choices[match[1]]) < 2:
        return False
    del choices[match[1]][0]
    return True


def _key(text: str) -> tuple[int, ...]:
    return tuple(int(x) for x in re.findall(r"\d+", text))


def run_tests(folder: Path, tests: list[str], marks: str) -> tuple[str, bool]:
    """How many passed and what failed, by pytest's last line and summary, and whether all passed."""
    command = [str(folder / "bin/python"), "-m", "pytest", "-m", marks, "--tb=short"]
    done = subprocess.run([*command, *tests], cwd=ROOT, capture_output=True, text=True, check=False)
    (folder / "pytest.txt").write_text(done.stdout + done.stderr, encoding="utf-8")
    last = [line for line in done.stdout.splitlines() if line.strip()][-1:]
    bad = [x for x in done.stdout.splitlines() if x.startswith(("FAILED", "ERROR"))]
    return "; ".join([*(last or ["no tests ran"]), *bad[:MOST_NAMED]]), done.returncode == 0


def versions_of(folder: Path) -> str:
    """What was installed of the packages in question."""
    code = (
        "from importlib.metadata import version as v\n"
        "from importlib.util import find_spec\n"
        f"names = [x for x in {sorted(requirements())!r} if find_spec(x)]\n"
        "print(', '.join(f'{x} {v(x)}' for x in names))"
    )
    told = subprocess.run(
        [str(folder / "bin/python"), "-c", code], capture_output=True, text=True, check=False
    )
    return told.stdout.strip()


def attempt(version: str, end: str, tests: list[str], marks: str, cuda: bool) -> Tried:
    """Try one Python with one end of the versions."""
    python = interpreter(version)
    if python is None:
        return Tried(version, end, "there is no such Python here", None)
    folder = ROOT / "build/versions" / f"{version}-{end}"
    why, missing = install(python, version, end, folder, cuda)
    if why:
        return Tried(version, end, why, None, missing=missing)
    began = time.monotonic()
    outcome, passed = run_tests(folder, tests, marks)
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    seconds = round(time.monotonic() - began)
    return Tried(version, end, outcome, passed, versions_of(folder), missing, marks, when, seconds)


def again(before: Tried) -> Tried:
    """Run what failed of a combination once more, in its environment.

    It passes where each of these passes now (or is skipped); what came before stays in words.
    """
    folder = ROOT / "build/versions" / f"{before.python}-{before.end}"
    names = list(dict.fromkeys(re.findall(r"FAILED (.+?)(?= - |; |$)", before.outcome)))
    if not names or len(names) >= MOST_NAMED or "ERROR" in before.outcome or not folder.is_dir():
        return before
    told, passed = run_tests(folder, names, before.tests)
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    outcome = f"{before.outcome}; {len(names)} run again {when}: {told}"
    return replace(before, outcome=outcome, passed=passed)


def keep(tried: list[Tried], record: bool = False) -> list[Tried]:
    """Keep what was tried beside what was kept before of other versions; answers all."""
    before = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.is_file() else []
    known = {(x["python"], x["end"]): Tried(**x) for x in before}
    known |= {(x.python, x.end): x for x in tried}
    out = [known[key] for key in sorted(known)]
    KEPT.parent.mkdir(parents=True, exist_ok=True)
    KEPT.write_text(json.dumps([asdict(x) for x in out], indent=1) + "\n", encoding="utf-8")
    if record:
        RECORD.write_text(table_of(out), encoding="utf-8")
    return out


def table_of(tried: list[Tried]) -> str:
    """What came of all of them, as Markdown."""
    lines = [
        "# The library's tests with the oldest and the newest packages",
        "",
        "Made by `make test-versions VERSIONS_ARGS='--quick --record'`; do not edit it here.",
        "",
        "| Python | packages | versions | tests (pytest -m) | outcome | when |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for x in tried:
        word = {True: "passed", False: "FAILED", None: "not tried"}[x.passed]
        missing = f"; {x.missing}" if x.missing else ""
        lines.append(
            f"| {x.python} | {x.end} | {x.versions}{missing} | {x.tests} | {word}: {x.outcome} | {x.when} |"
        )
    return "\n".join(lines) + "\n"


def main(arguments=None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", action="append", choices=PYTHONS)
    parser.add_argument("--only", choices=ENDS)
    parser.add_argument("--tests", nargs="+", default=list(TESTS))
    parser.add_argument("--quick", action="store_true", help="without the slow tests")
    parser.add_argument("--cuda", action="store_true", help="PyTorch with CUDA where need be")
    parser.add_argument("--record", action="store_true", help=f"write {RECORD.name} anew")
    parser.add_argument("--again", action="store_true", help="only what failed, where it is there")
    parser.add_argument("--list", action="store_true", help="only say which Pythons are here")
    options = parser.parse_args(arguments)
    if options.list:
        for version in PYTHONS:
            print(f"{version}: {interpreter(version) or 'not here'}")
        return 0
    if options.again:
        tried = [x if x.passed is not False else again(x) for x in keep([])]
        print(table_of(keep(tried, options.record)))
        return 1 if any(x.passed is False for x in tried) else 0
    tried = []
    marks = QUICK if options.quick else WHOLE
    for version in options.python or PYTHONS:
        for end in [options.only] if options.only else ENDS:
            one = attempt(version, end, options.tests, marks, options.cuda)
            tried.append(one)
            word = {True: "passed", False: "FAILED", None: "not tried"}[one.passed]
            print(f"Python {version}, {end}: {word}: {one.outcome} ({one.versions})", flush=True)
            if one.missing:
                print(f"  {one.missing}", flush=True)
            keep([one], options.record)
    left = [f"{x.python} {x.end}: {x.outcome}" for x in tried if x.passed is None]
    print(f"could not be tried: {'; '.join(left) or 'none'}")
    return 1 if any(x.passed is False for x in tried) else 0


if __name__ == "__main__":
    sys.exit(main())
