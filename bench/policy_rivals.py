"""The same policy on other engines: zen-engine (decision table, first hit), and CEL.

Each returns the id of the deciding rule. What an engine lacks (casefolding, image forms) is done beforehand, outside
the clock, so that it only matches: that is in its favour.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bench.policy_mix import PROCESS_PROPERTIES, RESOURCE_PROPERTIES
from sensor.names.images import image_forms
from sensor.policy.document_terms import DIGEST_PREFIX

Json = dict[str, Any]
Decide = Callable[[Any], str]
TEXTS = tuple(name for name in (*RESOURCE_PROPERTIES, *PROCESS_PROPERTIES) if name not in ("pod_labels", "image_name"))
LISTS = ("pod_labels", "image_name")


def image_texts(event: Json) -> list[str]:
    """Return the forms of the event's image without digest, as no rule of the mix has one."""
    return [form for forms in image_forms(event["image_name"].casefold())[0] for form in forms]


def prepare(event: Json) -> Json:
    """Return the event folded, its labels as strings, its image as its forms: the input of the other engines."""
    prepared = {name: event[name].casefold() if name in RESOURCE_PROPERTIES else event[name] for name in TEXTS}
    return prepared | {
        "provider": event["provider"],
        "account": event["account"],
        "image_name": image_texts(event),
        "pod_labels": [f"{key}={value}".casefold() for key, value in event["pod_labels"].items()],
        "file_name": event["process_path"].rpartition("/")[2],
    }


def decides_only_listed(rule: Mapping[str, Any]) -> bool:
    """Whether the rule decides only about processes on its list."""
    return bool(rule["allow_list"]) and rule["unlisted"] == "next_rule"


def folded(condition: Json, value: Json) -> str:
    text = str(value["value"])
    return text.casefold() if condition["property"] in RESOURCE_PROPERTIES else text


def zen_table(rules: Sequence[Json]) -> Decide | None:
    """zen-engine: one decision table, a column per property; None where it is not installed."""
    try:
        import zen
    except ImportError:
        return None
    columns = ["cloud", *TEXTS, *LISTS, "unlisted"]
    inputs = [{"id": name, "name": name} | ({"field": name} if name in TEXTS + LISTS else {}) for name in columns]
    rows = [_zen_row(rule) for rule in rules if rule["enabled"]]
    rows.append({"_id": "default", "rule": '"default"'} | dict.fromkeys(columns, ""))
    outputs = [{"id": "rule", "name": "rule", "field": "rule"}]
    table = {"hitPolicy": "first", "inputs": inputs, "rules": rows, "outputs": outputs}
    decision = zen.ZenEngine().create_decision(json.dumps(_zen_graph(table)))
    return lambda event: str(decision.evaluate(event)["result"]["rule"])


def _zen_graph(table: Json) -> Json:
    nodes: list[Json] = [
        {"id": "in", "type": "inputNode"},
        {"id": "table", "type": "decisionTableNode", "content": table},
        {"id": "out", "type": "outputNode"},
    ]
    for node in nodes:
        node |= {"name": node["id"], "position": {"x": 0, "y": 0}}
    edges = [
        {"id": f"{source}-{target}", "type": "edge", "sourceId": source, "targetId": target}
        for source, target in (("in", "table"), ("table", "out"))
    ]
    return {"nodes": nodes, "edges": edges}


def _zen_row(rule: Json) -> Json:
    row: Json = {
        "_id": rule["id"],
        "rule": json.dumps(rule["id"]),
        "cloud": _cloud(rule, " and ", " or ", "provider", "account"),
    }
    for condition in (*rule["resource_scope"], *rule["process_scope"]):
        name = condition["property"]
        subject = "#" if name in LISTS else "$"
        parts = " or ".join(
            _zen_value(subject, value["operator"], folded(condition, value)) for value in condition["any_of"]
        )
        row[name] = f"some($, {parts})" if name in LISTS else parts
    row["unlisted"] = _zen_listed(rule["allow_list"]) if decides_only_listed(rule) else ""
    return dict.fromkeys((*TEXTS, *LISTS), "") | row


def _zen_value(subject: str, operator: str, value: str) -> str:
    if operator == "equals":
        return f"{subject} == {json.dumps(value)}"
    call = {"starts_with": "startsWith", "ends_with": "endsWith", "contains": "contains"}[operator]
    return f"{call}({subject}, {json.dumps(value)})"


def _zen_listed(entries: Sequence[str]) -> str:
    hashes, paths, names = _split(entries)
    return (
        f'process_sha256 in {json.dumps(hashes)} or (drift_kind != "fileless" and '
        f"(process_path in {json.dumps(paths)} or file_name in {json.dumps(names)}))"
    )


def _split(entries: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
    hashes = [entry.removeprefix(DIGEST_PREFIX) for entry in entries if entry.startswith(DIGEST_PREFIX)]
    paths = [entry for entry in entries if entry.startswith("/")]
    return hashes, paths, [entry for entry in entries if not entry.startswith(("/", DIGEST_PREFIX))]


def _cloud(rule: Json, both: str, either: str, provider: str, account: str) -> str:
    parts = []
    for entry in rule["cloud_scope"]:
        one = f"{provider} == {json.dumps(entry['provider'])}"
        parts.append(f"({one}{both}{account} in {json.dumps(entry['accounts'])})" if "accounts" in entry else one)
    return either.join(parts)


def cel_programs(rules: Sequence[Json]) -> Decide | None:
    """common-expression-language: a compiled program per rule, in order; None where it is not installed."""
    try:
        import cel
    except ImportError:
        return None
    programs = [(rule["id"], cel.compile(_cel_rule(rule))) for rule in rules if rule["enabled"]]

    def decide(event: Json) -> str:
        context = cel.Context({f"v_{name}": value for name, value in event.items()})
        for rule_id, program in programs:
            if program.execute(context):
                return str(rule_id)
        return "default"

    return decide


def _cel_rule(rule: Json) -> str:
    parts = [f"({_cloud(rule, ' && ', ' || ', 'v_provider', 'v_account')})"]
    for condition in (*rule["resource_scope"], *rule["process_scope"]):
        name = condition["property"]
        subject = "t" if name in LISTS else f"v_{name}"
        values = " || ".join(
            _cel_value(subject, value["operator"], folded(condition, value)) for value in condition["any_of"]
        )
        parts.append(f"v_{name}.exists(t, {values})" if name in LISTS else f"({values})")
    if decides_only_listed(rule):
        hashes, paths, names = (json.dumps(part) for part in _split(rule["allow_list"]))
        by_name = f"(v_process_path in {paths} || v_file_name in {names})"
        parts.append(f'(v_process_sha256 in {hashes} || (v_drift_kind != "fileless" && {by_name}))')
    return " && ".join(parts)


def _cel_value(subject: str, operator: str, value: str) -> str:
    if operator == "equals":
        return f"{subject} == {json.dumps(value)}"
    call = {"starts_with": "startsWith", "ends_with": "endsWith", "contains": "contains"}[operator]
    return f"{subject}.{call}({json.dumps(value)})"
