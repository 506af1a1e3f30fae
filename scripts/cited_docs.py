"""Check that every document, heading and test that the repository cites exists.

Code cites the specification as `docs/NAME.md` or `docs/NAME.md#heading`; Markdown files link relatively. A heading's
anchor is GitHub's: lower case, punctuation dropped, blanks as hyphens, `-1`, `-2` … after a repeated one.

Markdown files name tests in backticks: a function or a file, with or without its folder.

    python scripts/cited_docs.py      prints each citation of something that does not exist; exit status 1 if any
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CITATION = re.compile(r"(?<![\w/.-])(docs/[\w/-]+\.md)(?:#([\w-]+))?")
LINK = re.compile(r"\]\((?![a-z]+:)([^)#\s]*)(?:#([^)\s]+))?\)")
HEADING = re.compile(r"^#{1,6} +(.+?) *#*$")
FENCE = re.compile(r"^ *(```|~~~)")
TEST = re.compile(r"`(?:(?:tests/)?[\w/]*?(test_[a-z0-9_]+\.py))?(?:::)?(test_[a-z0-9_]+)?`")
"""A test file, a test function, or both with `::` between them."""
TEST_FUNCTION = re.compile(r"^ *(?:async )?def (test_\w+)\(", re.MULTILINE)
OLD = re.compile(r"\b(DESIGN(\.md)?|SENSOR\.md|WIRE(\.md)?)(?=[ :)§,.]|$)")
"""The documents that the project was first built from: they are not in the repository."""


@cache
def anchors(document: Path) -> frozenset[str]:
    """Return the anchors of a Markdown file's headings."""
    seen: Counter[str] = Counter()
    found, in_code = set(), False
    for line in document.read_text().splitlines():
        if FENCE.match(line):
            in_code = not in_code
        heading = None if in_code else HEADING.match(line)
        if heading:
            words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading[1]).lower()
            slug = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
            found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
            seen[slug] += 1
    return frozenset(found)


@cache
def tests() -> dict[str, str]:
    """Return the content of each test file by its name, of files of one name together."""
    found: dict[str, str] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        found[path.name] = found.get(path.name, "") + path.read_text()
    return found


@cache
def test_functions() -> frozenset[str]:
    """Return the names of all test functions."""
    return frozenset(name for content in tests().values() for name in TEST_FUNCTION.findall(content))


def is_missing_test(file: str, function: str) -> bool:
    """Whether the file does not exist, or has not that function; without a file, whether no file has it."""
    if not file:
        return function not in test_functions()
    if file not in tests():
        return True
    return bool(function) and function not in TEST_FUNCTION.findall(tests()[file])


def is_missing(document: Path, anchor: str | None) -> bool:
    """Whether the document, or the heading in it, does not exist."""
    if not document.exists():
        return True
    return bool(anchor) and document.suffix == ".md" and anchor not in anchors(document)


def broken(file: Path) -> Iterator[str]:
    """Yield a line for each citation in `file` of something that does not exist."""
    place = file.relative_to(ROOT)
    for number, line in enumerate(file.read_text(errors="ignore").splitlines(), 1):
        for name, anchor in CITATION.findall(line):
            if is_missing(ROOT / name, anchor or None):
                yield f"{place}:{number}: {name}{'#' if anchor else ''}{anchor} does not exist"
        if file.suffix == ".md":
            for test_file, function in TEST.findall(line):
                if (test_file or function) and is_missing_test(test_file, function):
                    yield f"{place}:{number}: the test {test_file or ''} {function or ''} does not exist"
            for name, anchor in LINK.findall(line):
                if is_missing(file.parent / name if name else file, anchor or None):
                    yield f"{place}:{number}: {name}{'#' if anchor else ''}{anchor} does not exist"
        elif OLD.search(line):
            yield f"{place}:{number}: cites a document that is not in the repository; cite docs/"


def main() -> int:
    """Check every tracked file."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    skipped = {".png", ".o", ".lock", ".svg", ".jsonl"}
    files = [ROOT / name for name in listed.splitlines() if Path(name).suffix not in skipped]
    lines = [line for file in files if file.is_file() and file != Path(__file__) for line in broken(file)]
    print(*lines, sep="\n", end="\n" if lines else "")
    return int(bool(lines))


if __name__ == "__main__":
    sys.exit(main())
