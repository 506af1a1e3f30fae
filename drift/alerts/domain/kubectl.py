"""Commands that inspect and isolate the container of an alert, from outside first.

A container that may be compromised is examined where its processes cannot see or change it: by the cluster, then on the
node. What runs beside or in it comes last.
"""

from __future__ import annotations

import json
import shlex
from typing import Final, NamedTuple

from sensor.names.visible_text import visible_text

QUARANTINE: Final = "driftwatch/quarantine"
TOOLS_IMAGE: Final = "busybox:1.37"
"""An image with a shell, for containers without one."""
ENGINES: Final = ("docker", "podman")
"""Runtimes whose command line works outside of Kubernetes."""


class PodFile(NamedTuple):
    """A drifted file in a pod, or in a container outside of Kubernetes (`pod` is ""). What is not known is "" or None.

    `pid` is the process's number on the node. `is_program`: that process runs the file itself, and no interpreter.
    """

    namespace: str
    pod: str
    container: str
    path: str
    is_fileless: bool
    node: str = ""
    container_id: str = ""
    runtime: str = ""
    pid: int | None = None
    is_program: bool = True


class CommandGroup(NamedTuple):
    """Commands that are run in one place, as (label, command)."""

    title: str
    commands: list[tuple[str, str]]


def inspection(file: PodFile) -> list[CommandGroup]:
    """Return the commands that show what happened, those that the container cannot notice first."""
    file = _without_options(file)
    on_node = f"On the node {visible_text(file.node)}, as root" if file.node else "On the node, as root"
    groups = [
        CommandGroup("From outside: nothing runs in the container", _outside_commands(file)),
        CommandGroup(on_node, _node_commands(file)),
        CommandGroup("Last, beside or in the container: its processes may notice", _inside_commands(file)),
    ]
    return [group for group in groups if group.commands]


def isolate_commands(file: PodFile) -> list[tuple[str, str]]:
    """Return (label, command) to stop what happens."""
    file = _without_options(file)
    freeze = _freeze_commands(file)
    if not file.pod:
        engine = _engine(file)
        return [*freeze, ("Stop the container", f"{engine} stop {_quoted(file.container_id)}")] if engine else freeze
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
        *freeze,
        (
            "Delete the pod, and what it shows; its controller creates another",
            f"kubectl -n {namespace} delete pod {pod}",
        ),
    ]


def _without_options(file: PodFile) -> PodFile:
    """Return the file without names that a command would take for options: `delete pod --all` deletes every pod."""
    pod, container_id = ("" if name.startswith("-") else name for name in (file.pod, file.container_id))
    return file._replace(pod=pod, container_id=container_id)


def _outside_commands(file: PodFile) -> list[tuple[str, str]]:
    if file.pod:
        namespace, pod = _quoted(file.namespace), _quoted(file.pod)
        return [
            ("The pod and its events", f"kubectl -n {namespace} describe pod {pod}"),
            ("Its log", f"kubectl -n {namespace} logs {pod}{_of_container(file)} --timestamps --tail=500"),
        ]
    if engine := _engine(file):
        container = _quoted(file.container_id)
        return [
            ("The container", f"{engine} inspect {container}"),
            ("Its log", f"{engine} logs --timestamps --tail 500 {container}"),
            ("Files that it changed", f"{engine} diff {container}"),
        ]
    return []


def _node_commands(file: PodFile) -> list[tuple[str, str]]:
    commands = []
    if file.pod and file.node:
        shell = f"kubectl debug node/{_quoted(file.node)} -it --profile=sysadmin --image={TOOLS_IMAGE} -- chroot /host"
        commands.append(("A shell on the node, if you have no other", shell))
    if file.container_id:
        pids = f"grep -l {_quoted(file.container_id)} /proc/[0-9]*/cgroup | cut -d/ -f3 | paste -sd,"
        commands.append(("The container's processes", f'ps -o pid,ppid,user,lstart,args -p "$({pids})"'))
    if file.pid:
        commands.append(("Its connections", f"nsenter -t {file.pid} -n ss -tunap"))
    if file.pid and file.is_program:
        commands.append(("Whether it still runs this file: compare the SHA-256", f"sha256sum /proc/{file.pid}/exe"))
        commands.append(("Keep the program, also if its file is gone", f"cp /proc/{file.pid}/exe drifted-binary"))
    return commands


def _inside_commands(file: PodFile) -> list[tuple[str, str]]:
    if not file.pod:
        return []
    namespace, pod = _quoted(file.namespace), _quoted(file.pod)
    target = f" --target={_quoted(file.container)}" if file.container else ""
    debug = f"kubectl -n {namespace} debug {pod} -it{target} --profile=general --image={TOOLS_IMAGE} -- sh"
    read = f"kubectl -n {namespace} exec {pod}{_of_container(file)} -- cat {_quoted(file.path)} > drifted-binary"
    return [
        ("A shell beside it, also for images without one; its files are in /proc/1/root", debug),
        *([] if file.is_fileless else [("A copy of the file, read by the container's own cat", read)]),
    ]


def _freeze_commands(file: PodFile) -> list[tuple[str, str]]:
    if not file.pod and (engine := _engine(file)):
        return [("Freeze the container: its memory stays", f"{engine} pause {_quoted(file.container_id)}")]
    if file.pid and file.container_id:
        # The number may be another process's by now.
        is_same = f"grep -q {_quoted(file.container_id)} /proc/{file.pid}/cgroup"
        return [("On the node: freeze the process; its memory stays", f"{is_same} && kill -STOP {file.pid}")]
    return []


def _engine(file: PodFile) -> str:
    """Return the command line of the container's engine; "" where there is none, or the container has no id."""
    return file.runtime if file.runtime in ENGINES and file.container_id else ""


def _of_container(file: PodFile) -> str:
    return f" -c {_quoted(file.container)}" if file.container else ""


def _quoted(text: str) -> str:
    """Return the string as one word of a shell, with a hidden character as bash's and zsh's escape."""
    if visible_text(text) == text:
        return shlex.quote(text)
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"$'{visible_text(escaped)}'"
