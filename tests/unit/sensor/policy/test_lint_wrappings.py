"""Whatever is pasted around a value is found, and a suggestion restores the value or gives none."""

from __future__ import annotations

import pytest

from sensor.policy.lint.allow_lists import entry_flaw
from sensor.policy.lint.rules import value_flaw

VALUES = {
    "namespace": "kube-system",
    "pod_name": "cart-7d9f8b6c5-abcde",
    "container_name": "istio-proxy",
    "pod_labels": "app.kubernetes.io/name=cart",
    "image_name": "ghcr.io/team/app:1.2",
    "file_image": "registry:5000/team/app",
    "process_sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "drift_kind": "new_file",
}
FILES = {
    "process_name": "python3.11",
    "process_path": "/opt/app/run",
    "parent_process": "dpkg",
    "written_by": "/usr/bin/dpkg",
    "written_by_name": "dpkg",
    "written_by_parent": "apt-get",
}
ANYWHERE = (
    *(
        "{} ",
        " {}",
        "\t{}",
        "{}\n",
        "{}\r\n",
        "{}\u00a0",
        "\u200b{}",
        "{}\u200b",
        "\ufeff{}",
        "{}\u2060",
        "\u202a{}\u202c",
    ),
    *('"{}"', "'{}'", "“{}”", "‘{}’", "`{}`", "„{}“", "«{}»", '"{}', "{}'", '"{}",', "{},", "{};", '["{}"]', "N'{}'"),
    *('r"{}"', "f'{}'", '@"{}"', "<![CDATA[{}]]>", "<b>{}</b>", "[{}](http://x)", "~~{}~~", "| {} |", "1. {}", "- {}"),
    *(
        "• {}",
        "\\{}",
        "\x1b[1m{}\x1b[0m",
        "{} # x",
        "> {}",
        "$ {}",
        "root@host:~# {}",
        "{}…",
        "{}...",
        "{}()",
        "{}\ufffd",
    ),
    *("^{}", "^{}$", ".*{}", "{}.*", "*{}*", "{}*", "*{}", "%{}%", "!{}", "!= {}", "not {}", "== {}", "={}", "=~{}"),
    *("value: {}", "- value: {}", '"value": "{}"', "x == '{}'", "x.startsWith('{}')", "contains {}", "like '{}'"),
    *("--x={}", "-x {}", "{{{{ {} }}}}", "${{{}}}", "{{% x %}}{}", "{} && x", "{} > /dev/null", "sudo {}"),
)
"""Around any value but a cluster's name, which is free."""
NAMES_ONLY = ("[{}]", "({})", "{}%", "@{}", "#{}", "~{}", "{}!", "{}?", "{}:", "{}=", "{}@", "{}[0]", "eq({})")
"""Around what has a grammar: a file may be called so."""


def meant(name: str, string: str) -> list[str] | None:
    """Return the strings of the suggestion, an empty list where there is none, and None where nothing is found."""
    flaw = entry_flaw(string) if name == "entry" else value_flaw(name, "equals", string)
    if flaw is None or flaw.suggestion is None:
        return None if flaw is None else []
    found = flaw.suggestion
    return list(found.entries) or [value for _, value in (*found.values, *found.more)]


@pytest.mark.parametrize("wrapping", [*ANYWHERE, *NAMES_ONLY])
def test_what_is_around_a_value_with_a_grammar_is_found(wrapping: str) -> None:
    for name, value in VALUES.items():
        found = meant(name, wrapping.format(value, value))
        assert found is not None, name
        assert not found or any(value in each or each in value for each in found), (name, found)


@pytest.mark.parametrize("wrapping", ANYWHERE)
def test_what_is_around_a_file_is_found(wrapping: str) -> None:
    for name, value in {**FILES, "entry": "/opt/app/run"}.items():
        string = wrapping.format(value)
        if name == "entry" and not string.startswith("/") and "/" in string:
            continue  # check rejects it
        found = meant(name, string)
        assert found is not None, name
        assert not found or any(value in each for each in found), (name, found)


@pytest.mark.parametrize("wrapping", ["!{}", "!= {}", "not {}", "x != '{}'"])
def test_what_is_negated_has_no_suggestion(wrapping: str) -> None:
    for name, value in {**VALUES, **FILES}.items():
        assert meant(name, wrapping.format(value)) == [], name
