"""The version that sensor and portal report: the release and the commit, such as `0.2.0+g1a2b3c4d`.

The commit comes from the file `COMMIT` beside this module, which builds of the wheel and the image write, else from the
`.git` of a checkout. Without either the version is the release alone. Reading it never fails and starts no process:
git itself would run the hooks and configuration of whoever owns the checkout, here as root.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from sensor import __version__

COMMIT_DIGITS: Final = 8
_MAX_READ: Final = 4 * 1024 * 1024
"""Bytes of one file of git's that are looked at: `packed-refs` has a line per branch and tag."""
_HASH: Final = re.compile(r"[0-9a-f]{8,64}")


def full_version(package: Path) -> str:
    """Return the release with the commit that the package at this path was built from, where that is known."""
    commit = _built_commit(package) or checked_out_commit(package.parent)
    return f"{__version__}+g{commit[:COMMIT_DIGITS]}" if commit else __version__


def _built_commit(package: Path) -> str:
    return _valid(_text(package / "COMMIT"))


def checked_out_commit(root: Path) -> str:
    """Return the commit that HEAD of the checkout at `root` names; "" outside a checkout."""
    git = root / ".git"
    if git.is_file():  # of a linked worktree or a submodule: it names the directory
        git = root / _text(git).removeprefix("gitdir:").strip()
    head = _text(git / "HEAD")
    if not head.startswith("ref:"):
        return _valid(head)
    ref = head.removeprefix("ref:").strip()
    # Branches are shared by all worktrees of a repository, HEAD is not.
    shared = git / (_text(git / "commondir") or ".")
    return _valid(_text(shared / ref)) or _packed(_text(shared / "packed-refs"), ref)


def _packed(packed_refs: str, ref: str) -> str:
    found = (line.split(" ", 1)[0] for line in packed_refs.splitlines() if line.endswith(f" {ref}"))
    return _valid(next(found, ""))


def _valid(commit: str) -> str:
    return commit if _HASH.fullmatch(commit) else ""


def _text(path: Path) -> str:
    """Return a file's content without surrounding blanks; "" where it is missing, unreadable or not text."""
    try:
        with path.open(encoding="ascii") as file:
            return file.read(_MAX_READ).strip()
    except (OSError, ValueError):
        return ""


VERSION: Final = full_version(Path(__file__).resolve().parent)
"""At most 64 characters, as the wire allows."""
