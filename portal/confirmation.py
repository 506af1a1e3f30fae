"""Which changes need a confirmation of who makes them, where that depends on their content."""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpRequest

from accounts.models import User
from drift.fleet.queries.rollout_waves import rollback_target
from drift.policy.domain.edits import Document
from drift.policy.queries.drafts import draft_state
from drift.policy.queries.versions import latest_version, visible_version


def resumes_blocking(request: HttpRequest, **arguments: Any) -> bool:
    """Return whether all blocking resumes. To stop it must never wait for a password."""
    if not request.path.startswith("/api/"):
        return request.POST.get("do") != "stop"
    try:
        body = json.loads(request.body)
    except (ValueError, RecursionError):
        return False  # The view rejects it: nothing is resumed.
    return not isinstance(body, dict) or body.get("blocking_stopped") is not True


def saves_blocking_draft(request: HttpRequest, **arguments: Any) -> bool:
    """Return whether the user's draft has a rule, or default rule, that blocks, or replaces a policy that has one.

    So may a draft of another revision than was posted: it may become that one before it is saved.
    """
    user = request.user
    if not isinstance(user, User):
        return True
    draft = draft_state(user)
    is_posted = request.POST.get("revision") == str(draft.draft_revision)
    return not is_posted or _blocks(draft.document) or _blocks(latest_version().document)


def restores_blocking_version(request: HttpRequest, number: int, **arguments: Any) -> bool:
    """Return whether the version that is restored has a blocking rule, or replaces a policy that has one."""
    user = request.user
    version = visible_version(user, number) if isinstance(user, User) else None
    return version is None or _blocks(version.document) or _blocks(latest_version().document)


def rolls_back_to_blocking(request: HttpRequest, number: int, **arguments: Any) -> bool:
    """Return whether the version that a rollback saves again blocks. To roll blocking back is never delayed."""
    target = rollback_target(number)
    return target is not None and _blocks(target.document)


def _blocks(document: Document) -> bool:
    return any(rule["action"] == "block" for rule in (*document["rules"], document["default"]))
