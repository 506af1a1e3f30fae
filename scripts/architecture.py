"""Measure the structure of the code: rooms, floors, arrows and circles of each package, and the length of functions.

A *room* is a module or subpackage directly below a package. An *arrow* is that one room imports another. Rooms that
import nothing of the package are on *floor* 1; every other room is one floor above the highest that it imports. Rooms
on a *circle* import each other, so they share a floor. docs/architecture.md#rooms-and-floors keeps the last figures.

    python scripts/architecture.py            the tables
    python scripts/architecture.py --check    exit status 1 where there is a circle, a file over 400 lines (of Python
                                              or C), or a class name with two meanings
"""

from __future__ import annotations

import ast
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
PACKAGES = ("portal", "accounts", "drift", "sensor")
MAX_LINES = 400
NESTED = {"Meta", "Command", "Migration"}
"""Class names that Django prescribes."""


def rooms(graph: grimp.ImportGraph, package: str) -> dict[str, set[str]]:
    """Return each room of the package with the rooms that it imports; migrations are not rooms."""
    found = {child for child in graph.find_children(package) if not child.endswith(".migrations")}
    uses: dict[str, set[str]] = {room: set() for room in found}
    for importer in graph.find_descendants(package):
        for imported in graph.find_modules_directly_imported_by(importer):
            source, target = _room(importer, package), _room(imported, package)
            if source in uses and target in uses and source != target:
                uses[source].add(target)
    return uses


def _room(module: str, package: str) -> str:
    depth = package.count(".") + 2
    return ".".join(module.split(".")[:depth]) if module.startswith(f"{package}.") else ""


def circles(uses: dict[str, set[str]]) -> list[set[str]]:
    """Return the sets of rooms that import each other, directly or through one another."""
    reach = {room: _reachable(room, uses) for room in uses}
    found = {frozenset(other for other in reach[room] if room in reach[other]) for room in uses if room in reach[room]}
    return [set(circle) for circle in found]


def _reachable(room: str, uses: dict[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    waiting = list(uses[room])
    while waiting:
        other = waiting.pop()
        if other not in seen:
            seen.add(other)
            waiting += uses[other]
    return seen


def floors(uses: dict[str, set[str]]) -> int:
    """Return the number of floors."""
    reach = {room: _reachable(room, uses) for room in uses}

    def floor(room: str) -> int:
        return 1 + max((floor(other) for other in uses[room] if room not in reach[other]), default=0)

    return max(map(floor, uses), default=0)


def sources(*suffixes: str) -> Iterator[Path]:
    """Yield the tracked files of the product whose names end so, without migrations."""
    listed = subprocess.run(["git", "ls-files", *PACKAGES], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.splitlines():
        if name.endswith(suffixes) and "/migrations/" not in name:
            yield ROOT / name


def function_lengths(files: Iterable[Path]) -> list[tuple[int, str]]:
    """Return (lines, place) of each function and method, shortest first."""
    return sorted(
        ((node.end_lineno or node.lineno) - node.lineno + 1, f"{file.relative_to(ROOT)}:{node.name}")
        for file in files
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def ambiguous_classes(files: Iterable[Path]) -> dict[str, list[str]]:
    """Return the class names that more than one module defines."""
    found = defaultdict(list)
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ClassDef) and node.name not in NESTED:
                found[node.name].append(f"{file.relative_to(ROOT)}:{node.lineno}")
    return {name: places for name, places in sorted(found.items()) if len(places) > 1}


def measured_packages() -> list[str]:
    """Return the packages of the table, in its order."""
    apps = sorted(f"drift.{path.parent.name}" for path in (ROOT / "drift").glob("*/apps.py"))
    parts = sorted(f"sensor.{path.parent.name}" for path in (ROOT / "sensor").glob("*/__init__.py"))
    return ["drift", *apps, "accounts", "portal", "sensor", *parts]


def problems(plans: dict[str, dict[str, set[str]]], files: list[Path]) -> Iterator[str]:
    """Yield a line for each circle, each file that is too long, and each class name with two meanings."""
    for package, uses in plans.items():
        for circle in circles(uses):
            yield f"{package}: these import each other: {', '.join(sorted(circle))}"
    for file in (*files, *sources(".h", ".c")):
        length = len(file.read_text().splitlines())
        if length > MAX_LINES:
            yield f"{file.relative_to(ROOT)}: {length} lines, at most {MAX_LINES}"
    for name, places in ambiguous_classes(files).items():
        yield f"class {name} has two meanings: {', '.join(places)}"


def print_tables(plans: dict[str, dict[str, set[str]]], files: list[Path]) -> None:
    """Print the figures of docs/architecture.md#rooms-and-floors."""
    print("| package | rooms | floors | arrows | circles |\n|---|---:|---:|---:|---:|")
    for package, uses in plans.items():
        arrows = sum(map(len, uses.values()))
        print(f"| `{package}` | {len(uses)} | {floors(uses)} | {arrows} | {len(circles(uses))} |")
    lengths = function_lengths(files)
    median = statistics.median(length for length, _ in lengths)
    p90 = lengths[int(len(lengths) * 0.9)][0]
    longest, place = lengths[-1]
    print(f"\n{len(lengths)} functions: median {median:.0f} lines, p90 {p90}, longest {longest} ({place})")
    sizes = sorted(((len(file.read_text().splitlines()), file.relative_to(ROOT)) for file in files), reverse=True)
    print(f"{len(sizes)} files, {sum(size > 300 for size, _ in sizes)} over 300 lines, longest {sizes[0][0]}")


def main(arguments: list[str]) -> int:
    """Print the tables, or with --check what is wrong."""
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    plans = {package: rooms(graph, package) for package in measured_packages()}
    files = list(sources(".py"))
    if "--check" not in arguments:
        print_tables(plans, files)
        return 0
    found = list(problems(plans, files))
    print(*found, sep="\n", end="\n" if found else "")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
