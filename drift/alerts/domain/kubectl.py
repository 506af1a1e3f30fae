"""kubectl commands that inspect and isolate the pod of an alert."""

from __future__ import annotations

import json
import shlex
from typing import Final, NamedTuple

from sensor.names.visible_text import hidden_character, visible_text

QUARANTINE: Final = "driftwatch/quarantine"


class PodFile(NamedTuple):
    """A drifted file in a pod. `container`: "" where the sensor did not learn its name."""

    namespace: str
    pod: str
    container: str
    path: str
    is_fileless: bool


def inspect_commands(file: PodFile) -> list[tuple[str, str]]:
    """Return (label, command) to see what happened."""
    namespace, pod = _quoted(file.namespace), _quoted(file.pod)
    container = f" -c {_quoted(file.container)}" if file.container else ""
    copy = f"kubectl -n {namespace} exec {pod}{container} -- cat {_quoted(file.path)} > drifted-binary"
    return [
        ("The pod and its events", f"kubectl -n {namespace} describe pod {pod}"),
        ("Its log", f"kubectl -n {namespace} logs {pod}{container} --timestamps --tail=500"),
        ("Its processes", f"kubectl -n {namespace} exec {pod}{container} -- ps -ef"),
        *([] if file.is_fileless else [("A copy of the file", copy)]),
    ]


def isolate_commands(file: PodFile) -> list[tuple[str, str]]:
    """Return (label, command) to stop what happens."""
    namespace, pod = _quoted(file.namespace), _quoted(file.pod)
    deny_all = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "driftwatch-quarantine"},
        "spec": {"podSelector": {"matchLabels": {QUARANTINE: "true"}}, "policyTypes": ["Ingress", "Egress"]},
    }
    manifest = json.dumps(deny_all, separators=(",", ":"))
    return [
        ("Label the pod", f"kubectl -n {namespace} label pod {pod} {QUARANTINE}=true --overwrite"),
        ("Block its network (needs a network plugin)", f"echo '{manifest}' | kubectl -n {namespace} apply -f -"),
        ("Delete the pod; its controller creates a new one", f"kubectl -n {namespace} delete pod {pod}"),
    ]


def _quoted(text: str) -> str:
    """Return the string as one word of a shell, with a hidden character as bash's and zsh's escape."""
    if hidden_character(text) is None:
        return shlex.quote(text)
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"$'{visible_text(escaped)}'"
