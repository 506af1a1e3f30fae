"""docs/policy-semantics.md#how-it-decides, read word by word and written without a thought for speed.

It shares no code with `sensor.policy`: the two are held together by the tests.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Json = dict[str, Any]

OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "starts_with": lambda text, value: text[: len(value)] == value,
    "ends_with": lambda text, value: len(text) >= len(value) and text[len(text) - len(value) :] == value,
    "equals": lambda text, value: text == value,
    "contains": lambda text, value: any(text[i : i + len(value)] == value for i in range(len(text) + 1)),
}


def matches(text: str, pattern: str) -> bool:
    if pattern == "":
        return text == ""
    if pattern[0] == "*":
        return any(matches(text[i:], pattern[1:]) for i in range(len(text) + 1))
    return text != "" and pattern[0] in ("?", text[0]) and matches(text[1:], pattern[1:])


OPERATORS["matches"] = matches


def decide(document: Json, event: Json) -> Json:
    """Return the decision as an object, with its trace."""
    trace: list[Json] = []
    for rule in document["rules"]:
        failed = why_not(rule, event)
        trace.append({"rule": rule["id"], "failed": failed})
        if failed is None:
            return {**decision_of(rule, event), "trace": trace}
    trace.append({"rule": "default", "failed": None})
    default = document["default"]
    action = "alert" if default.get("dry_run") else default["action"]
    return {"action": action, "rule": "default", "reason": "default", "trace": trace}


def why_not(rule: Json, event: Json) -> Json | None:
    if rule.get("enabled", True) is False:
        return {"scope": "disabled", "property": None}
    if not any(cloud_entry_holds(entry, event) for entry in rule["cloud_scope"]):
        return {"scope": "cloud_scope", "property": None}
    for condition in rule["resource_scope"]:
        if not any(resource_value_holds(condition["property"], value, event) for value in condition["any_of"]):
            return {"scope": "resource_scope", "property": condition["property"]}
    for condition in rule.get("process_scope", []):
        if not any(process_value_holds(condition["property"], value, event) for value in condition["any_of"]):
            return {"scope": "process_scope", "property": condition["property"]}
    if rule["allow_list"] and not on_allow_list(rule, event) and rule.get("unlisted", "decide") == "next_rule":
        return {"scope": "unlisted", "property": None}
    return None


def decision_of(rule: Json, event: Json) -> Json:
    if rule["allow_list"] == []:
        return {"action": rule["action"], "rule": rule["id"], "reason": "scope"}
    if on_allow_list(rule, event):
        return {"action": "ignore", "rule": rule["id"], "reason": "allow_list"}
    action = {"ignore": "alert", "alert": "alert", "block": "block"}[rule["action"]]
    return {"action": action, "rule": rule["id"], "reason": "not_on_allow_list"}


def cloud_entry_holds(entry: Json, event: Json) -> bool:
    if event.get("provider") is None or event["provider"] != entry["provider"]:
        return False
    if "accounts" not in entry:
        return True
    return event.get("account") is not None and event["account"] in entry["accounts"]


def resource_value_holds(name: str, value: Json, event: Json) -> bool:
    if event.get(name) is None:
        return False
    is_image = name in ("image_name", "file_image")
    if isinstance(event[name], dict):
        texts = [key + "=" + label for key, label in event[name].items()]
    elif is_image:
        texts = image_texts(event[name], with_digest="@" in value["value"])
    else:
        texts = [event[name]]
    wanted = value["value"].casefold()
    if is_image and any(image_value_holds(value["operator"], wanted, text.casefold()) for text in texts):
        return True
    return any(OPERATORS[value["operator"]](text.casefold(), wanted) for text in texts)


def process_value_holds(name: str, value: Json, event: Json) -> bool:
    if name == "file_image":
        return resource_value_holds(name, value, event)
    if event.get(name) is None:
        return False
    texts = event[name].split("/") if name == "written_by_parent" else [event[name]]
    return any(OPERATORS[value["operator"]](text, value["value"]) for text in texts)


HUB = ("docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com")


def image_value_holds(operator: str, value: str, text: str) -> bool:
    """Whether the value, with its whole host in the usual spelling, holds from the start of the text on."""
    host, slash, rest = value.partition("/")
    usual = usual_host(host)
    if usual == host or (operator == "matches" and ("*" in host or "?" in host)):
        return False
    if slash == "":
        return (operator == "starts_with" or (operator == "contains" and usual == "docker.io")) and (
            text[: len(usual) + 1] == usual + "/"
        )
    anchored = {"contains": "starts_with", "ends_with": "equals"}.get(operator, operator)
    return OPERATORS[anchored](text, usual + "/" + rest)


def usual_host(host: str) -> str:
    bare = host[:-4] if host.endswith(":443") else host
    usual = bare if "." in bare or ":" in bare or bare == "localhost" else host
    return "docker.io" if usual in HUB else usual


def image_texts(reference: str, with_digest: bool) -> list[str]:
    reference = reference.casefold()
    digest = None
    if "@" in reference:
        reference, digest = reference.split("@", 1)
    first, _, rest = reference.partition("/")
    has_host = "/" in reference and ("." in first or ":" in first or first == "localhost")
    if not has_host:
        hosted = [reference]
    elif usual_host(first) != "docker.io":
        hosted = [usual_host(first) + "/" + rest, rest]
    elif rest.startswith("library/"):
        short = rest.removeprefix("library/")
        hosted = ["docker.io/library/" + short, "docker.io/" + short, "library/" + short, short]
    elif "/" in rest:
        hosted = ["docker.io/" + rest, rest]
    else:
        hosted = ["docker.io/library/" + rest, "docker.io/" + rest, "library/" + rest, rest]
    if reference and digest is None and ":" not in reference.split("/")[-1]:
        hosted += [each + ":latest" for each in hosted]
    forms = []
    for name in hosted:
        *directories, last = name.split("/")
        forms.append(name)
        forms.append("/".join([*directories, last.split(":")[0]]))
    if with_digest and digest is not None:
        forms += [form + "@" + digest for form in forms]
    return forms


def on_allow_list(rule: Json, event: Json) -> bool:
    return any(is_listed(entry, event) for entry in rule["allow_list"])


def is_listed(entry: str, event: Json) -> bool:
    if entry.startswith("sha256:"):
        return event.get("process_sha256") is not None and entry == "sha256:" + event["process_sha256"]
    if event.get("drift_kind") == "fileless":
        return False
    if entry.startswith("glob:/"):
        return event.get("process_path") is not None and matches(event["process_path"], entry[len("glob:") :])
    if entry.startswith("/"):
        return bool(event.get("process_path") == entry)
    if event.get("process_path") is not None:
        return bool(event["process_path"].split("/")[-1] == entry)
    return bool(event.get("process_name") == entry)
