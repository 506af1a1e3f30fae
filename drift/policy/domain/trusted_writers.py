"""What a rule that ignores what a writer wrote lets through all the same, in words for its panel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from posixpath import basename
from typing import Any, Final

from sensor.policy.properties import BY_NAME, WRITER_PROPERTIES

INSTALLERS: Final = {
    "dpkg": "dpkg -i evil.deb",
    "apt": "apt install ./evil.deb",
    "apt-get": "apt-get install ./evil.deb",
    "rpm": "rpm -i evil.rpm",
    "dnf": "dnf install ./evil.rpm",
    "microdnf": "microdnf install evil",
    "apk": "apk add --allow-untrusted evil.apk",
    "pip": "pip install ./evil",
    "npm": "npm install ./evil",
    "node": "npm install ./evil",
    "go": "go build evil.go",
    "cargo": "cargo build",
    "curl": "curl -o /tmp/evil",
    "wget": "wget -O /tmp/evil",
    "tar": "tar -xf evil.tar",
}
"""What makes a tool write an attacker's file."""
MAX_EXAMPLES: Final = 2


def trusts_writers(rule: Mapping[str, Any]) -> bool:
    """Return whether the rule ignores by who wrote the file."""
    looks_at = {each["property"] for each in rule["process_scope"]}
    return rule["action"] == "ignore" and bool(looks_at & set(WRITER_PROPERTIES))


def let_through(rule: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each thing that the rule lets through; none where it trusts no writer."""
    return list(_let_through(rule)) if trusts_writers(rule) else []


def _let_through(rule: Mapping[str, Any]) -> Iterator[str]:
    values = {each["property"]: [value["value"] for value in each["any_of"]] for each in rule["process_scope"]}
    writers = [*values.get("written_by", ()), *values.get("written_by_name", ())]
    # What must be above the writer is what a person would have to run: the last one, where several must be.
    started = values.get("written_by_parent", writers)
    examples = dict.fromkeys(filter(None, (INSTALLERS.get(_tool(each)) for each in started)))
    given = f", such as {' or '.join(list(examples)[:MAX_EXAMPLES])}" if examples else ""
    if writers:
        yield f"What the writer is made to write passes{given}."
    else:
        yield "Every program that fits is trusted, shells, curl and cp too: add Writer path."
    if values.get("writer_origin") != ["image"]:
        yield "A changed or replaced writer of that name passes: add Writer origin equals image."
    if values.get("session") != ["workload"]:
        yield f"What somebody runs by an exec session passes: add {BY_NAME['session'].label} equals workload."
    if values.get("written_in_session") != ["workload"]:
        label = BY_NAME["written_in_session"].label
        yield f"What somebody installs by hand, and cron or the workload runs, passes: add {label} equals workload."
    if "process_path" not in values and not rule["allow_list"]:
        yield "It passes wherever it lies, in /tmp too: add Process path."


def _tool(writer: str) -> str:
    """Return the tool that a path or name stands for: python3.12 runs pip."""
    name = basename(writer)
    return "pip" if name.startswith("python") else name
