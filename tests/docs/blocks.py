"""The fenced blocks of the Markdown pages, and what their info strings promise (CONTRIBUTING.md#commands-in-docs)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
PAGES: Final = tuple(sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]))
FENCE: Final = re.compile(r"^( *)```(.*)$")
COMMANDS: Final = frozenset({"sh", "bash", "shell", "console", "zsh"})
"""Languages of commands."""
OTHERS: Final = frozenset({"text", "usage", "json", "yaml", "sql", "python", "html", "env"})
"""Languages of blocks that nobody types in."""
RUN: Final = "run"
DRY_RUN: Final = "dry-run"
TESTED_BY: Final = "tested-by="


@dataclass(frozen=True)
class Block:
    """One fenced block; `line` is that of its fence."""

    page: Path
    line: int
    language: str
    mark: str
    text: str

    @property
    def place(self) -> str:
        """Return the page and the line, as an error shows them."""
        page = self.page.relative_to(ROOT) if self.page.is_relative_to(ROOT) else self.page.name
        return f"{page}:{self.line}"

    @property
    def is_executed(self) -> bool:
        """Return whether the runner executes it."""
        return self.language == "sh" and self.mark in {RUN, DRY_RUN}


def blocks(page: Path) -> list[Block]:
    """Return every fenced block of a page, in order; the fence's indentation is removed."""
    found: list[Block] = []
    opened: tuple[int, str, str] | None = None
    lines: list[str] = []
    for number, line in enumerate(page.read_text().splitlines(), 1):
        fence = FENCE.match(line)
        if opened is None and fence:
            opened, lines = (number, fence[1], fence[2]), []
        elif opened is not None and fence and not fence[2].strip():
            language, _, mark = opened[2].strip().partition(" ")
            found.append(Block(page, opened[0], language, mark.strip(), "\n".join(lines) + "\n"))
            opened = None
        elif opened is not None:
            lines.append(line.removeprefix(opened[1]))
    assert opened is None, f"{page}:{opened and opened[0]}: the block has no end"
    return found


def problem(block: Block) -> str:
    """Return why a block is not marked as it must be; "" where it is."""
    if block.language in COMMANDS - {"sh"}:
        return f"commands are `sh`, not `{block.language}`"
    if block.language in OTHERS:
        return f"`{block.mark}` is a mark of `sh` blocks" if block.mark else ""
    if block.language != "sh":
        return f"the language {block.language or '(none)'} is not one of sh, {', '.join(sorted(OTHERS))}"
    if block.mark in {RUN, DRY_RUN}:
        return ""
    if not block.mark.startswith(TESTED_BY):
        return f"`sh` needs {RUN}, {DRY_RUN} or {TESTED_BY}FILE"
    file = ROOT / block.mark.removeprefix(TESTED_BY)
    if not file.is_file():
        return f"{block.mark.removeprefix(TESTED_BY)} does not exist"
    missing = [line for line in _commands(block.text) if line not in file.read_text()]
    return f"{file.name} does not run `{missing[0]}`" if missing else ""


def _commands(text: str) -> list[str]:
    """Return the commands of a block without comments; only simple ones can be tested elsewhere."""
    return [found for line in text.splitlines() if (found := line.partition("#")[0].strip())]
