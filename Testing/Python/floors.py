"""The structure of the code: who imports whom, by folder, and where it goes in circles.

    python Testing/Python/floors.py [ROOT]

Prints each folder with the folders it imports, circles of files, imports that
run up a floor, private names used across files and functions that are too long;
exit 1 where there is any of these. Imports inside functions count like those at
the top of a file: they hide a circle and do not remove it.
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

PLACES = {
    "CTBMDLib": "",
    "training": "",
    "CTBMD": "CTBMD",
    "CTBMDPanel": "CTBMD",
    "EmbeddedSlicer": "Testing/EmbeddedSlicer",
}
"""Each package or module that is looked at, and the folder that has it on Python's path."""

LIBRARY = (
    (
        "",
        "errors",
        "progress",
        "safefile",
        "resources",
        "disclaimers",
        "dxa",
        "levels",
        "volume",
        "weights",
    ),
    ("reading",),
    ("spine",),
    ("model",),
    ("bmd",),
    ("report",),
    ("cohort",),
    ("cli",),
    ("__main__",),
)
TRAINING = (
    ("", "console", "processes", "pages", "card"),
    ("virtual",),
    ("locator", "fitting"),
    ("evaluation",),
    ("realct", "hospital"),
    ("plan",),
    ("reproduce",),
)
FLOORS = {"CTBMDLib": LIBRARY, "training": TRAINING}
"""Folders and files from the ground up; '' is the package's own `__init__`."""

MAY_KNOW = {
    "CTBMDLib": {"CTBMDLib"},
    "training": {"training", "CTBMDLib"},
    "CTBMD": {"CTBMD", "CTBMDPanel", "CTBMDLib"},
    "CTBMDPanel": {"CTBMDPanel", "CTBMDLib"},
    "EmbeddedSlicer": {"EmbeddedSlicer"},
}
"""Packages that each package may import."""

INHERENT = frozenset(
    f"EmbeddedSlicer.pythonqt.{name}" for name in ("classes", "methods", "slots", "values")
)
"""PythonQt wraps what a method gives back, and what is wrapped has methods: this circle is its nature."""

MAX_LINES = 80


@dataclass(frozen=True)
class Import:
    """One module taking something from another.

    Attributes
    ----------
    module, target : str
        Dotted names of who imports and of what is imported.
    name : str or None
        What is taken out of `target`; None for the module as a whole.
    line : int
    """

    module: str
    target: str
    name: str | None
    line: int


class Source:
    """The parsed files of a source tree, by dotted module name."""

    def __init__(self, root: Path = ROOT):
        self.root = Path(root)
        self.trees: dict[str, ast.Module] = {}
        self.packages: set[str] = set()
        self.paths: dict[str, Path] = {}
        for name, place in PLACES.items():
            base = self.root / place
            folder = base / name
            files = sorted(folder.rglob("*.py")) if (folder / "__init__.py").is_file() else []
            if not files and (base / f"{name}.py").is_file():
                files = [base / f"{name}.py"]
            # A flat tree of scripts has no `__init__.py` in its folder.
            files = files or sorted(folder.rglob("*.py"))
            for file in files:
                self._add(file, base)
        self.imports = [item for module in self.trees for item in self._imports_of(module)]

    def _add(self, file: Path, base: Path) -> None:
        parts = file.relative_to(base).with_suffix("").parts
        if parts[-1] == "__init__":
            parts = parts[:-1]
            self.packages.add(".".join(parts))
        module = ".".join(parts)
        self.trees[module] = ast.parse(file.read_text(encoding="utf-8"), str(file))
        self.paths[module] = file.relative_to(self.root)

    def _imports_of(self, module: str) -> Iterator[Import]:
        for node in ast.walk(self.trees[module]):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    target = self._known(alias.name)
                    if target:
                        yield Import(module, target, None, node.lineno)
            elif isinstance(node, ast.ImportFrom):
                base = self._base(module, node)
                for alias in node.names:
                    inner = f"{base}.{alias.name}"
                    if inner in self.trees:
                        yield Import(module, inner, None, node.lineno)
                    elif base in self.trees:
                        yield Import(module, base, alias.name, node.lineno)

    def _base(self, module: str, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = module.split(".")
        up = node.level - (module in self.packages)
        parts = parts[: len(parts) - up]
        return ".".join([*parts, *([node.module] if node.module else [])])

    def _known(self, name: str) -> str | None:
        while name:
            if name in self.trees:
                return name
            name = name.rpartition(".")[0]
        return None

    def functions(self) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
        """Every function with the module it is in."""
        for module, tree in self.trees.items():
            for node in ast.walk(tree):
                if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    yield module, node

    def where(self, module: str, line: int) -> str:
        """File and line, to click on."""
        return f"{self.paths[module]}:{line}"


def circles(source: Source) -> list[list[str]]:
    """Groups of files that import one another in a ring, the inherent one left out."""
    graph: dict[str, set[str]] = defaultdict(set)
    for item in source.imports:
        graph[item.module].add(item.target)
    found = [group for group in _components(graph) if len(group) > 1 or group[0] in graph[group[0]]]
    return sorted(sorted(group) for group in found if not set(group) <= INHERENT)


def _components(graph: dict[str, set[str]]) -> list[list[str]]:
    """Strongly connected components, after Tarjan."""
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    groups: list[list[str]] = []

    def visit(node: str) -> None:
        number[node] = lowest[node] = len(number)
        stack.append(node)
        for other in sorted(graph[node]):
            if other not in number:
                visit(other)
                lowest[node] = min(lowest[node], lowest[other])
            elif other in stack:
                lowest[node] = min(lowest[node], number[other])
        if lowest[node] == number[node]:
            group = []
            while not group or group[-1] != node:
                group.append(stack.pop())
            groups.append(group)

    for node in sorted(graph):
        if node not in number:
            visit(node)
    return groups


def floor(module: str) -> int | None:
    """The floor a module is on; None for a package without floors; -1 where it has no place."""
    package = module.partition(".")[0]
    if package not in FLOORS:
        return None
    room = _room(module)
    for number, rooms in enumerate(FLOORS[package]):
        if room in rooms:
            return number
    return -1


def upward(source: Source) -> list[str]:
    """Imports that run up a floor, files without a floor, and packages that know too much."""
    lines = [
        f"{source.paths[module]} is on no floor; name it in FLOORS"
        for module in source.trees
        if floor(module) == -1
    ]
    for item in source.imports:
        ours, theirs = floor(item.module), floor(item.target)
        package, other = item.module.partition(".")[0], item.target.partition(".")[0]
        place = source.where(item.module, item.line)
        if package == other and ours is not None and theirs is not None and theirs > ours >= 0:
            lines.append(f"{place} imports {item.target}, which is above it")
        if (
            package == other
            and ours
            and ours == theirs
            and _room(item.module) != _room(item.target)
        ):
            lines.append(f"{place} imports {item.target}, which is beside it")
        if other not in MAY_KNOW[package]:
            lines.append(f"{place} imports {item.target}: {package} must not know {other}")
    return sorted(set(lines))


def _room(module: str) -> str:
    return module.partition(".")[2].partition(".")[0]


def private(source: Source) -> list[str]:
    """Names with a leading underscore that one file takes from another."""
    lines = []
    for item in source.imports:
        parts = [*item.target.split(".")[1:], item.name or ""]
        if any(_is_private(part) for part in parts):
            taken = ".".join(x for x in (item.target, item.name) if x)
            lines.append(f"{source.where(item.module, item.line)} imports {taken}")
    for module, tree in source.trees.items():
        modules = _names_of_modules(source, module)
        lines += [
            f"{source.where(module, node.lineno)} uses {node.value.id}.{node.attr}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id in modules
            and _is_private(node.attr)
        ]
    return sorted(set(lines))


def _names_of_modules(source: Source, module: str) -> set[str]:
    """What the modules of this tree are called in one of its files."""
    names = set()
    for node in ast.walk(source.trees[module]):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            for alias in node.names:
                called = alias.asname or alias.name
                if any(
                    x.module == module and x.line == node.lineno and x.name is None
                    for x in source.imports
                ):
                    names.add(called)
    return names


def _is_private(name: str) -> bool:
    return name.startswith("_") and name != "_" and not name.startswith("__")


def long_functions(source: Source) -> list[str]:
    """Functions longer than `MAX_LINES`; a docstring does not count, so that none is kept short."""
    lines = []
    for module, node in source.functions():
        length = (node.end_lineno or node.lineno) - node.lineno + 1
        if ast.get_docstring(node, clean=False) is not None:
            first = node.body[0]
            length -= (first.end_lineno or first.lineno) - first.lineno + 1
        if length > MAX_LINES:
            lines.append(f"{source.where(module, node.lineno)} {node.name}() has {length} lines")
    return sorted(lines)


def by_folder(source: Source) -> dict[str, dict[str, int]]:
    """How many imports each folder makes from each other folder."""
    table: dict[str, dict[str, int]] = {_folder(source, m): {} for m in sorted(source.trees)}
    for item in source.imports:
        ours, theirs = _folder(source, item.module), _folder(source, item.target)
        if ours != theirs:
            table[ours][theirs] = table[ours].get(theirs, 0) + 1
    return table


def _folder(source: Source, module: str) -> str:
    return source.paths[module].parent.as_posix()


def main(arguments: list[str] | None = None) -> int:
    """Print the structure; 1 where something is wrong with it."""
    arguments = sys.argv[1:] if arguments is None else arguments
    source = Source(Path(arguments[0]) if arguments else ROOT)
    for folder, imported in by_folder(source).items():
        files = sum(_folder(source, module) == folder for module in source.trees)
        print(f"{folder} ({files} {'file' if files == 1 else 'files'})")
        for other, count in sorted(imported.items()):
            print(f"    {other} ({count})")
    wrong = False
    for title, lines in (
        ("circles", [f"{len(group)} files: {' '.join(group)}" for group in circles(source)]),
        ("imports up a floor", upward(source)),
        ("private names across files", private(source)),
        (f"functions above {MAX_LINES} lines", long_functions(source)),
    ):
        print(f"\n{title}: {len(lines)}")
        for line in lines:
            print(f"    {line}")
        wrong = wrong or bool(lines)
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
