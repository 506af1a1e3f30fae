"""The policy as a loop over its rules in Python, no index: as one writes it first, then as fast as it goes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from bench.policy_mix import PROCESS_PROPERTIES, RESOURCE_PROPERTIES
from bench.policy_rivals import Decide, decides_only_listed, folded, image_texts
from sensor.policy.document_terms import DIGEST_PREFIX

Json = dict[str, Any]
Look = Callable[[str, str], bool]
LOOKS: dict[str, Look] = {
    "starts_with": str.startswith,
    "ends_with": str.endswith,
    "contains": str.__contains__,
    "equals": str.__eq__,
}
ONE_TEXT = tuple(name for name in RESOURCE_PROPERTIES if name not in ("pod_labels", "image_name"))


def naive_loop(rules: Sequence[Json]) -> Decide:
    """Rule by rule, condition by condition, with all() and any(); values are folded beforehand, an event once.

    Takes the event itself, not a prepared one: folding is part of deciding.
    """
    return _loop([_Ready(rule) for rule in rules if rule["enabled"]])


def unrolled_loop(rules: Sequence[Json]) -> Decide:
    """The same with plain loops instead of generators, which cost more than what they test."""
    return _loop([_Unrolled(rule) for rule in rules if rule["enabled"]])


def _loop(ready: Sequence[_Ready]) -> Decide:
    def decide(event: Json) -> str:
        texts = _texts(event)
        for rule in ready:
            if rule.decides(event, texts):
                return rule.id
        return "default"

    return decide


def _texts(event: Json) -> dict[str, Iterable[str]]:
    texts: dict[str, Iterable[str]] = {name: (event[name].casefold(),) for name in ONE_TEXT}
    for name in PROCESS_PROPERTIES:
        texts[name] = (event[name],)
    texts["image_name"] = image_texts(event)
    texts["pod_labels"] = [f"{key}={value}".casefold() for key, value in event["pod_labels"].items()]
    return texts


class _Ready:
    """A rule with its values folded and its operators as functions."""

    __slots__ = ("_allowed", "_clouds", "_conditions", "id")

    def __init__(self, rule: Json) -> None:
        self.id: str = rule["id"]
        self._clouds = {entry["provider"]: frozenset(entry.get("accounts", ())) for entry in rule["cloud_scope"]}
        self._conditions = [
            (
                condition["property"],
                [(LOOKS[value["operator"]], folded(condition, value)) for value in condition["any_of"]],
            )
            for condition in (*rule["resource_scope"], *rule["process_scope"])
        ]
        self._allowed = frozenset(rule["allow_list"]) if decides_only_listed(rule) else None

    def decides(self, event: Json, texts: dict[str, Iterable[str]]) -> bool:
        accounts = self._clouds.get(event["provider"])
        if accounts is None or (accounts and event["account"] not in accounts):
            return False
        return self._holds(texts) and (self._allowed is None or _listed(event, self._allowed))

    def _holds(self, texts: dict[str, Iterable[str]]) -> bool:
        return all(
            any(look(text, value) for look, value in values for text in texts[name])
            for name, values in self._conditions
        )


class _Unrolled(_Ready):
    __slots__ = ()

    def _holds(self, texts: dict[str, Iterable[str]]) -> bool:
        for name, values in self._conditions:  # noqa: SIM110 (what this class is there for)
            if not _any_holds(values, texts[name]):
                return False
        return True


def _looks(condition: Json) -> list[tuple[Look, str]]:
    return [(LOOKS[value["operator"]], folded(condition, value)) for value in condition["any_of"]]


def _any_holds(values: list[tuple[Look, str]], texts: Iterable[str]) -> bool:
    for look, value in values:
        for text in texts:
            if look(text, value):
                return True
    return False


def _listed(event: Json, allowed: frozenset[str]) -> bool:
    if DIGEST_PREFIX + event["process_sha256"] in allowed:
        return True
    path = event["process_path"]
    return event["drift_kind"] != "fileless" and (path in allowed or path.rpartition("/")[2] in allowed)
