"""Check that every document and heading that the repository cites exists.

Code cites the specification as `docs/NAME.md` or `docs/NAME.md#heading`; Markdown files link relatively. A heading's
anchor is GitHub's: lower case, punctuation dropped, blanks as hyphens, `-1`, `-2` … after a repeated one.

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
