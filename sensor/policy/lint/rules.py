"""Lint of whole rules: each value of each scope, accounts, allow lists, and conditions that exclude each other."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from sensor.policy.document_terms import GLOB_PREFIX, LIMITS
from sensor.policy.drift_kinds import DEFAULT_DETECT, KINDS
from sensor.policy.implication import MULTI_STRING_IMPLICATIONS, can_all_hold, make_condition
from sensor.policy.lint.accounts import account_flaw
from sensor.policy.lint.allow_lists import entry_flaw
from sensor.policy.lint.contents import kind_flaw, sha256_flaw
from sensor.policy.lint.files import name_flaw, path_flaw
from sensor.policy.lint.findings import Flaw, LintFinding, Suggestion
from sensor.policy.lint.images import image_flaw
from sensor.policy.lint.labels import label_flaw
from sensor.policy.lint.names import FORMS, free_flaw
from sensor.policy.lint.parents import parent_flaw, parents_flaw
from sensor.policy.matchers import SCOPES, folded_values
from sensor.policy.properties import BY_NAME, PROCESS_PROPERTIES

MAX_FINDINGS: Final = 1_000
"""Whoever pastes a hundred thousand values of another tool learns nothing from more, and to read each takes a while."""
MAX_STEPS: Final = 500
"""Of comparing the conditions on one property, each time that one more is read."""
LINTS: Final[dict[str, Callable[[str, str], Flaw | None]]] = {
    **{name: form.flaw for name, form in FORMS.items()},
    "pod_labels": label_flaw,
    "image_name": image_flaw,
    "file_image": image_flaw,
    "process_path": path_flaw,
    "process_name": name_flaw,
    "process_sha256": sha256_flaw,
    "parent_process": parent_flaw,
    "drift_kind": kind_flaw,
    "written_by": path_flaw,
    "written_by_name": parent_flaw,
    "written_by_parent": parents_flaw,
}


def lint(document: Mapping[str, Any], rule_ids: Collection[str] | None = None) -> list[LintFinding]:
    """Return the first MAX_FINDINGS findings of a document that `check` accepts, in its order.

    With `rule_ids` those of these rules alone.
    """
    detect = document.get("detect")
    kinds = DEFAULT_DETECT if detect is None else detect
    rules = (each for each in enumerate(document["rules"]) if rule_ids is None or each[1]["id"] in rule_ids)
    return list(islice((each for index, rule in rules for each in _findings(rule, index, kinds)), MAX_FINDINGS))


def lint_rule(rule: Mapping[str, Any], index: int = 0, *, detect: Collection[str] = KINDS) -> list[LintFinding]:
    """Return the first MAX_FINDINGS findings of one rule, at position `index` of a document.

    `detect` are the kinds that its sensors report. The rule may be one as typed: what `check` rejects, such as an
    unknown property, a value that is too long, or more values than a rule may have, is left to it.
    """
    return list(islice(_findings(rule, index, detect), MAX_FINDINGS))


def _findings(rule: Mapping[str, Any], index: int, detect: Collection[str]) -> Iterator[LintFinding]:
    name = rule.get("name") or f"rule {index + 1}"
    for field, flaw in _flaws(rule, frozenset(detect)):
        yield LintFinding(name, field, flaw.level, flaw.message, flaw.suggestion, index)


def _flaws(rule: Mapping[str, Any], detect: Collection[str]) -> Iterator[tuple[str, Flaw]]:
    accounts = (
        (f"cloud_scope[{position}].accounts[{place}]", entry["provider"], account)
        for position, entry in enumerate(rule["cloud_scope"])
        for place, account in enumerate(entry.get("accounts", ()))
    )
    for where, provider, account in islice(accounts, LIMITS["accounts"]):
        if len(account) <= LIMITS["account"] and (flaw := account_flaw(provider, account)):
            yield where, flaw
    conditions = _conditions(rule)
    for where, condition in conditions:
        yield from _condition_flaws(where, condition, detect)
    yield from _exclusive_conditions(conditions)
    for place, entry in enumerate(islice(rule["allow_list"], LIMITS["allow_list"])):
        if len(entry) <= _longest(entry) and (flaw := entry_flaw(entry)):
            yield f"allow_list[{place}]", flaw


def _conditions(rule: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the first conditions with their places, up to as many values as a rule may have."""
    found: list[tuple[str, Mapping[str, Any]]] = []
    left = LIMITS["scope_values"]
    for scope in SCOPES:
        for position, condition in enumerate(islice(rule.get(scope, ()), left)):
            values = condition["any_of"][:left]
            found.append((f"{scope}[{position}]", {**condition, "any_of": values}))
            left -= max(len(values), 1)
            if left <= 0:
                return found
    return found


def _longest(entry: str) -> int:
    """Return how many characters an entry of this kind may have."""
    return LIMITS["path" if entry.startswith(("/", f"{GLOB_PREFIX}/")) else "value"]


def _condition_flaws(where: str, condition: Mapping[str, Any], detect: Collection[str]) -> Iterator[tuple[str, Flaw]]:
    name = condition["property"]
    values = condition["any_of"]
    for place, value in enumerate(values):
        operator, string = value["operator"], value["value"]
        flaw = value_flaw(name, operator, string)
        if flaw is None and name == "drift_kind" and string not in detect:
            flaw = Flaw("warning", "Sensors do not report this kind: it is off in Detection kinds.")
        if flaw is None:
            continue
        if flaw.suggestion and flaw.suggestion.name and len(values) > 1:
            # The other values of the condition may be right where they are.
            flaw = Flaw(flaw.level, flaw.message)
        yield f"{where}.any_of[{place}].value", flaw


def value_flaw(name: str, operator: str, string: str) -> Flaw | None:
    """Return what is wrong with one value of a condition on a property."""
    compared = BY_NAME.get(name)
    if compared is None or operator not in compared.operators or not 0 < len(string) <= LIMITS["value"]:
        return None
    flaw = LINTS.get(name, free_flaw)(operator, string)
    if flaw is None or flaw.suggestion is None or _is_usable(name, flaw.suggestion, (operator, string)):
        return flaw
    return Flaw(flaw.level, flaw.message)


def _is_usable(name: str, suggestion: Suggestion, typed: tuple[str, str]) -> bool:
    """Return whether the property has the suggested operators, and what is suggested has no findings itself."""
    meant = suggestion.name or name
    values = (*suggestion.values, *suggestion.more)
    if suggestion.values == (typed,) and meant == name:
        return False
    # Every path has a slash: one click must not make a rule for all of them.
    if any(string == "/" for _, string in values):
        return False
    if not all(operator in BY_NAME[meant].operators and string for operator, string in values):
        return False
    return all(LINTS.get(meant, free_flaw)(operator, string) is None for operator, string in values)


def _exclusive_conditions(conditions: Sequence[tuple[str, Mapping[str, Any]]]) -> Iterator[tuple[str, Flaw]]:
    """Yield the second of two conditions on one property that no event satisfies together."""
    first: dict[str, list[Any]] = {}
    for where, condition in conditions:
        name = condition["property"]
        if name not in BY_NAME or name in MULTI_STRING_IMPLICATIONS:
            continue
        alike = first.setdefault(name, [])
        alike.append(make_condition(folded_values(condition)))
        if len(alike) > 1 and not can_all_hold(alike, MAX_STEPS):
            words = "No event satisfies this condition and the one above: put both values in one condition."
            kind = "process" if name in PROCESS_PROPERTIES else "container"
            yield f"{where}.property", Flaw("warning", words.replace("event", kind))
