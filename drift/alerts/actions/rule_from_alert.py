"""Add to a user's policy draft what an alert suggests; the user reviews it there, and saves or proposes it."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any, Final

from django.utils import timezone

from accounts.models import User
from drift.alerts.errors import Invalid
from drift.alerts.models import Alert
from drift.policy.actions.drafts import change_draft
from drift.policy.domain import edits
from drift.policy.domain.edits import Document, Edit
from drift.policy.errors import UnknownRule
from drift.policy.queries.drafts import draft_state
from sensor.names.images import bare_name
from sensor.names.owners import stable_container_name
from sensor.policy import LIMITS

DAYS: Final = 30
"""How long a rule from an alert lasts, unless its author chooses otherwise."""


def add_rule_to_draft(user: User, alert: Alert, *, any_content: bool = False) -> str:
    """Add a rule that ignores the alert's file in its workload, and leaves all else to the rules below; return its id.

    The file is named by path and content, for DAYS days; with `any_content` one that could not be hashed by its path
    alone. Raises Invalid, and policy errors: StaleDraft where the draft was changed at the same moment, DocumentInvalid
    where there are too many rules.
    """
    rule = {**_rule(alert, any_content=any_content), "id": str(uuid.uuid4())}
    change_draft(draft_state(user), _insertion(alert.rule_id, rule))
    return str(rule["id"])


def extend_allow_list(user: User, alert: Alert, *, any_content: bool = False) -> str:
    """Add the alert's file, by its content, to the allow list of the rule that decided; return the rule's id.

    With `any_content` a file that could not be hashed by its path. Raises Invalid, and policy errors: UnknownRule where
    the draft does not have the rule, else as `add_rule_to_draft`.
    """
    entry = _allow_list_entry(alert, any_content=any_content)

    def edit(document: Document) -> Document:
        rule = edits.find_rule(document, alert.rule_id)
        if rule is None:
            raise UnknownRule
        entries = list(dict.fromkeys([*rule["allow_list"], entry]))
        return edits.change_rule(alert.rule_id, {**rule, "allow_list": entries})(document)

    change_draft(draft_state(user), edit)
    return alert.rule_id


def _allow_list_entry(alert: Alert, *, any_content: bool) -> str:
    if alert.binary.sha256:
        return f"sha256:{alert.binary.sha256}"
    # A path allows whatever anyone writes there.
    if not any_content:
        raise Invalid("The file could not be hashed, so a rule would ignore any content at its path.", "any_content")
    return str(alert.path)


def _rule(alert: Alert, *, any_content: bool) -> dict[str, Any]:
    environment, workload = alert.cluster.environment, alert.workload
    resources = {
        "cluster_name": alert.cluster.name,
        "namespace": alert.namespace,
        "container_name": stable_container_name(workload.owner_kind, workload.container_name),
        "image_name": bare_name(alert.image_name),
    }
    return {
        "name": f"Allow {alert.binary.name} (alert {alert.pk})"[: LIMITS["name"]],
        "action": "ignore",
        "scope_description": f"From alert {alert.pk}",
        "cloud_scope": [{"provider": environment.provider, "accounts": [environment.account]}],
        "resource_scope": [
            {"property": name, "any_of": [{"operator": "equals", "value": value}]}
            for name, value in resources.items()
            if value
        ],
        "allow_list": [_allow_list_entry(alert, any_content=any_content)],
        "enabled": True,
        "unlisted": "next_rule",
        "process_scope": [{"property": "process_path", "any_of": [{"operator": "equals", "value": alert.path}]}],
        "expires_at": f"{timezone.now() + dt.timedelta(days=DAYS):%Y-%m-%dT%H:%M:%SZ}",
        "note": "",
    }


def _insertion(deciding_rule: str, rule: dict[str, Any]) -> Edit:
    """Return the edit that inserts a rule directly above the one that decided: below it, it would never match."""

    def edit(document: Document) -> Document:
        taken = {each["name"].casefold() for each in document["rules"]}
        named = rule if rule["name"].casefold() not in taken else {**rule, "name": edits.free_name(rule["name"], taken)}
        order = [each["id"] for each in document["rules"]]
        position = order.index(deciding_rule) if deciding_rule in order else len(order)
        return edits.reorder([*order[:position], named["id"], *order[position:]])(edits.add_rule(named)(document))

    return edit
