"""Rules and documents for these tests."""

from __future__ import annotations

from typing import Any

from drift.policy.models import PolicyDraft
from drift.policy.queries.versions import latest_version
from sensor.policy import default_document, normalise


def rule(name: str, **changes: Any) -> dict[str, Any]:
    """A valid rule whose id is its name in lower case without spaces."""
    return {
        "id": name.lower().replace(" ", "-"),
        "name": name,
        "action": "ignore",
        "scope_description": f"Scope of {name}",
        "cloud_scope": [{"provider": "azure"}],
        "resource_scope": [],
        "allow_list": [],
        **changes,
    }


def document(*names: str, **changes: Any) -> dict[str, Any]:
    """A normalised document with one rule per name."""
    return normalise({**default_document(), "rules": [rule(name) for name in names], **changes})


def unchanged_draft(user: Any) -> PolicyDraft:
    """The user's draft as a discard leaves it: stored, without changes."""
    latest = latest_version()
    return PolicyDraft.objects.create(user=user, base=latest, document=latest.document)
