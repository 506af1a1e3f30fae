"""A rule in plain words, for the policy page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sensor.names.images import names_registry
from sensor.policy.document_terms import DIGEST_PREFIX, PROVIDERS
from sensor.policy.lookup_tables import entry_kind
from sensor.policy.properties import BY_NAME, TABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

ACTION_LABELS: Final = {
    "alert": "Drift detection alert",
    "block": "Drift detection blocking",
    "ignore": "Ignore drift detection",
}
PROVIDER_LABELS: Final = {"azure": "Azure", "aws": "AWS", "gcp": "GCP"}
ACCOUNT_LABELS: Final = {
    "azure": ("Azure subscription", "Azure subscriptions"),
    "aws": ("AWS account", "AWS accounts"),
    "gcp": ("GCP project", "GCP projects"),
}
PROPERTY_LABELS: Final = {each.name: each.label for each in TABLE}
OPERATOR_LABELS: Final = {
    "starts_with": "Starts with",
    "ends_with": "Ends with",
    "equals": "Equals",
    "contains": "Contains",
    "matches": "Matches",
}
_VERBS: Final = {
    "alert": "raises an alert",
    "block": "is blocked and raises an alert",
    "dry_run": "raises an alert, which records that it would be blocked",
    "ignore": "is ignored",
}
_OTHERS: Final = {"alert": "alert on others", "block": "block others", "ignore": "alert on others"}


def describe_action(rule: Mapping[str, Any]) -> str:
    """Return the Action column: "Drift detection alert", or with an allow list "Ignore 1 process, alert on others".

    Takes a rule or the default rule. Duplicate entries count once.
    """
    listed = len(set(rule.get("allow_list", ())))
    dry_run = " (dry run)" if rule.get("dry_run") else ""
    if not listed:
        return f"{ACTION_LABELS[rule['action']]}{dry_run}"
    others = "next rule for others" if rule.get("unlisted") == "next_rule" else _OTHERS[rule["action"]]
    return f"Ignore {_count(listed, 'process', 'processes')}, {others}{dry_run}"


def cloud_scope_summary(cloud_scope: Iterable[Mapping[str, Any]]) -> str:
    """Return the Cloud scope column, as "Azure, AWS" or "1 AWS account, 1 GCP project"; the order is fixed.

    A whole provider is named as such, even if some of its accounts are listed too.
    """
    return ", ".join(_cloud_parts(cloud_scope))


def _cloud_parts(cloud_scope: Iterable[Mapping[str, Any]]) -> list[str]:
    whole: set[str] = set()
    accounts: dict[str, set[str]] = {provider: set() for provider in PROVIDERS}
    for entry in cloud_scope:
        if "accounts" in entry:
            accounts[entry["provider"]].update(entry["accounts"])
        else:
            whole.add(entry["provider"])
    parts = []
    for provider in PROVIDERS:
        if provider in whole:
            parts.append(PROVIDER_LABELS[provider])
        elif accounts[provider]:
            parts.append(_count(len(accounts[provider]), *ACCOUNT_LABELS[provider]))
    return parts


def describe_rule(rule: Mapping[str, Any]) -> str:
    """Return what a valid rule would do, in sentences for the panel."""
    sentences = [_where(rule), *_what(rule)]
    if not rule.get("enabled", True):
        sentences.insert(0, "This rule is disabled and does nothing; enabled, it would do this:")
    if "severity" in rule and rule["action"] != "ignore":
        sentences.append(f"Its alerts have severity {rule['severity'].capitalize()}.")
    if rule.get("expires_at"):
        sentences.append(f"It is disabled after {rule['expires_at']}.")
    return " ".join(sentences)


def _where(rule: Mapping[str, Any]) -> str:
    conditions = [*rule["resource_scope"], *rule.get("process_scope", ())]
    start = f"Applies to drift in containers of {_join_words(_cloud_parts(rule['cloud_scope']), 'and')}"
    if not conditions:
        return f"{start}: all of them."
    return f"{start} where {' and '.join(_condition(condition) for condition in conditions)}."


def _condition(condition: Mapping[str, Any]) -> str:
    name = condition["property"]
    values = [_value(name, value) for value in condition["any_of"]]
    label = _lower_first(PROPERTY_LABELS[name])
    subject = f"any {label.removesuffix('s')}" if BY_NAME[name].form in ("labels", "names") else f"the {label}"
    return f"{subject} {_join_words(values, 'or')}"


def _value(name: str, value: Mapping[str, Any]) -> str:
    phrase = f"{OPERATOR_LABELS[value['operator']].lower()} “{value['value']}”"
    if (
        BY_NAME[name].form == "image"
        and value["operator"] in ("equals", "starts_with")
        and not names_registry(value["value"])
    ):
        return f"{phrase} (from any registry)"
    return phrase


def _what(rule: Mapping[str, Any]) -> list[str]:
    action, entries = "dry_run" if rule.get("dry_run") else rule["action"], list(dict.fromkeys(rule["allow_list"]))
    if not entries:
        return [f"Such drift {_VERBS[action]}."]
    sentences = [f"Ignored where the process is {_join_words([_entry(entry) for entry in entries], 'or')}."]
    if rule.get("unlisted") == "next_rule":
        sentences.append("Every other process goes on to the next rule.")
    else:
        sentences.append(f"Every other process {_VERBS['alert' if action == 'ignore' else action]}.")
    if not all(entry.startswith(DIGEST_PREFIX) for entry in entries):
        sentences.append("Fileless processes are compared by their SHA-256 only.")
    return sentences


def _entry(entry: str) -> str:
    if entry.startswith(DIGEST_PREFIX):
        return f"the content {entry[:19]}…"
    kind, key = entry_kind(entry)
    if kind == "glob":
        return f"any file whose path matches {key}"
    return f"the file {key}" if kind == "path" else f"any file named {key}"


def _join_words(words: Sequence[str], word: str) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {word} {words[-1]}"


def _lower_first(label: str) -> str:
    return label[0].lower() + label[1:]


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
