"""From an alert to a policy rule: put in the user's draft, to be looked at, changed and saved or proposed there."""

from __future__ import annotations

import uuid
from typing import Any

from accounts.models import User
from drift.alerts.models import Alert
from drift.policy.actions.drafts import change_draft
from drift.policy.domain import edits
from drift.policy.domain.edits import Document, Edit
from drift.policy.errors import UnknownRule
from drift.policy.queries.drafts import draft_state
from sensor.names.images import bare_name
from sensor.policy import LIMITS


def add_rule_to_draft(user: User, alert: Alert) -> str:
    """Add a rule to the user's draft that ignores this file in this workload, and leaves all else to the rules below.

    It goes directly above the rule that decided, where that still is: below it, it would never be asked.
    Returns the new rule's id. Raises policy errors: Conflict where the draft was changed at the same
    moment, DocumentInvalid where there are too many rules.
    """
    rule_id = str(uuid.uuid4())
    edit = _above(alert.rule_id, {**_rule(alert), "id": rule_id})
    change_draft(draft_state(user), edit)
    return rule_id


def extend_allow_list(user: User, alert: Alert) -> str:
    """Put the file on the allow list of the rule that decided, in the user's draft; returns the rule's id.

    Raises policy errors: UnknownRule where the draft has no such rule, else as `rule_from`.
    """

    def edit(document: Document) -> Document:
        rule = edits.find_rule(document, alert.rule_id)
        if rule is None:
            raise UnknownRule
        entries = list(dict.fromkeys([*rule["allow_list"], _entry(alert)]))
        return edits.change_rule(alert.rule_id, {**rule, "allow_list": entries})(document)

    change_draft(draft_state(user), edit)
    return alert.rule_id


def _entry(alert: Alert) -> str:
    """The file as an allow list names it: by its path, or by its content where it has no file."""
    if alert.binary.kind == "fileless" and alert.binary.sha256:
        return f"sha256:{alert.binary.sha256}"
    return str(alert.path)


def _rule(alert: Alert) -> dict[str, Any]:
    environment = alert.cluster.environment
    where = {"namespace": alert.namespace, "image_name": bare_name(alert.image_name)}
    return {
        "name": f"Allow {alert.binary.name} (alert {alert.pk})"[: LIMITS["name"]],
        "action": "ignore",
        "scope_description": f"From alert {alert.pk}",
        "cloud_scope": [{"provider": environment.provider, "accounts": [environment.account]}],
        "resource_scope": [
            {"property": name, "any_of": [{"operator": "equals", "value": value}]}
            for name, value in where.items()
            if value
        ],
        "allow_list": [_entry(alert)],
        "enabled": True,
        "unlisted": "next_rule",
        "process_scope": [],
        "expires_at": None,
        "note": "",
    }


def _above(deciding: str, rule: dict[str, Any]) -> Edit:
    def edit(document: Document) -> Document:
        taken = {each["name"].casefold() for each in document["rules"]}
        named = rule if rule["name"].casefold() not in taken else {**rule, "name": edits.free_name(rule["name"], taken)}
        order = [each["id"] for each in document["rules"]]
        place = order.index(deciding) if deciding in order else len(order)
        return edits.reorder([*order[:place], named["id"], *order[place:]])(edits.add_rule(named)(document))

    return edit
