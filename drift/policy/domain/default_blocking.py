"""A default rule that blocks: drift that no rule decides is stopped in every container of the estate."""

from __future__ import annotations

from typing import Final

from drift.policy.domain.edits import Document
from sensor.policy.decisions import effective_action

BLOCK_BY_DEFAULT: Final = "block by default"
"""What a person types to save a policy whose default rule begins to block."""


def blocks_by_default(document: Document) -> bool:
    """Return whether the default rule stops what it decides; a dry run does not."""
    return effective_action(document["default"]) == "block"


def begins_to_block(before: Document, after: Document) -> bool:
    """Return whether the default rule blocks after a change, and did not before it."""
    return blocks_by_default(after) and not blocks_by_default(before)


def begins_to_use_blocking(before: Document, after: Document) -> bool:
    """Return whether the default rule begins to block, or to record what it would block (`dry_run`)."""
    has_action = [document["default"]["action"] == "block" for document in (before, after)]
    return has_action == [False, True] or begins_to_block(before, after)
