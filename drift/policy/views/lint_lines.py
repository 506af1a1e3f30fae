"""What the lint finds, in words: for the list, the review and the import."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from drift.policy.domain.edits import Document
from sensor.policy.descriptions import OPERATOR_LABELS, PROPERTY_LABELS
from sensor.policy.lint import LintFinding, lint

MAX_SHOWN: Final = 5
"""Findings of an import that are shown one by one; the list marks the rules of all."""
_CONDITION: Final = re.compile(r"(\w+_scope)\[(\d+)\](?:\.any_of\[(\d+)\]\.value|\.property)")
_OTHER: Final = re.compile(r"allow_list\[(\d+)\]|cloud_scope\[(\d+)\]\.accounts\[(\d+)\]")


@dataclass(frozen=True)
class LintLine:
    """One finding: the rule's id and name, the value as typed, why it does not match, what was probably meant."""

    rule_id: str
    rule: str
    value: str
    message: str
    suggestion: str


def lint_lines(document: Document, rule_ids: Iterable[str] | None = None) -> list[LintLine]:
    """Return the findings of a document, or of some of its rules alone."""
    wanted = None if rule_ids is None else frozenset(rule_ids)
    rules = document["rules"]
    return [_line(rules[each.index or 0], each) for each in lint(document, wanted)]


def import_warnings(document: Document) -> list[str]:
    """Return what an import says of values that hardly match, in at most a few sentences."""
    lines = lint_lines(document)
    shown = [f"{each.rule}: {each.value}: {each.message}{_meant(each)}" for each in lines[:MAX_SHOWN]]
    if len(lines) > MAX_SHOWN:
        shown.append(f"{len(lines) - MAX_SHOWN} more values are unlikely to match: the list marks their rules.")
    return shown


def _meant(line: LintLine) -> str:
    return f" Did you mean {line.suggestion}?" if line.suggestion else ""


def _line(rule: dict[str, Any], finding: LintFinding) -> LintLine:
    meant = finding.suggestion.words if finding.suggestion else ""
    return LintLine(rule["id"], rule["name"], _typed(rule, finding.field), finding.message, meant)


def _typed(rule: dict[str, Any], place: str) -> str:
    """Return the value at a finding's place, as the panel shows it."""
    if found := _CONDITION.fullmatch(place):
        condition = rule[found[1]][int(found[2])]
        label = PROPERTY_LABELS[condition["property"]]
        if found[3] is None:
            return label
        value = condition["any_of"][int(found[3])]
        return f"{label} {OPERATOR_LABELS[value['operator']].lower()} “{value['value']}”"
    if found := _OTHER.fullmatch(place):
        if found[1] is not None:
            return f"Allow list “{rule['allow_list'][int(found[1])]}”"
        return f"Account “{rule['cloud_scope'][int(found[2])]['accounts'][int(found[3])]}”"
    return place
