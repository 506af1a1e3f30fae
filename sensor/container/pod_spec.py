"""What a pod's specification says of its containers: which run first, which somebody added, which probes enter."""

from __future__ import annotations

import dataclasses
from posixpath import basename
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sensor.wire import Session

SCRIPT_ITEMS: Final = 2
"""What a `#!` line puts before a script: the interpreter and one argument."""


class ExecAction(msgspec.Struct):
    """A command that the kubelet runs in a container."""

    command: list[str] | None = None


class Handler(msgspec.Struct):
    """A probe, or a hook: without `exec` it enters nothing."""

    exec: ExecAction | None = None


class ContainerHooks(msgspec.Struct, rename="camel"):
    """The hooks of a container."""

    post_start: Handler | None = None
    pre_stop: Handler | None = None


class SpecContainer(msgspec.Struct, rename="camel"):
    """A container of a pod's specification."""

    name: str = ""
    liveness_probe: Handler | None = None
    readiness_probe: Handler | None = None
    startup_probe: Handler | None = None
    lifecycle: ContainerHooks | None = None
    restart_policy: str | None = None

    def commands(self) -> Iterator[tuple[bytes, ...]]:
        """Yield the commands of its exec probes and hooks."""
        hooks = self.lifecycle or ContainerHooks()
        for each in (self.liveness_probe, self.readiness_probe, self.startup_probe, hooks.post_start, hooks.pre_stop):
            if each is not None and each.exec is not None and each.exec.command:
                yield tuple(item.encode("utf-8", "surrogatepass") for item in each.exec.command)


class Spec(msgspec.Struct, rename="camel"):
    """A pod's specification, as the API server has it."""

    containers: list[SpecContainer] | None = None
    init_containers: list[SpecContainer] | None = None
    ephemeral_containers: list[SpecContainer] | None = None


@dataclasses.dataclass(frozen=True)
class PodSpec:
    """Names of containers that run before the others, and that somebody added; commands of probes and hooks.

    None of it changes while a container runs: Kubernetes lets nobody change these of a pod, but adds ephemeral ones.
    """

    init: frozenset[str] = frozenset()
    debug: frozenset[str] = frozenset()
    probes: Mapping[str, frozenset[tuple[bytes, ...]]] = dataclasses.field(default_factory=dict)

    def role(self, container: str) -> Session | None:
        """Return what a container's own processes are, where that is not the workload."""
        return "debug" if container in self.debug else "init" if container in self.init else None

    def is_probe(self, container: str, argv: tuple[bytes, ...]) -> bool:
        """Return whether a process that entered a container did so with the command of one of its probes or hooks.

        Who runs that very command looks like one: nothing that allows may hold for `probe`.
        """
        commands = self.probes.get(container, frozenset())
        if argv in commands:
            return True
        # A script's argv begins with its interpreter, and has the path where it was found.
        return any(
            len(argv) - len(command) in range(1, SCRIPT_ITEMS + 1)
            and argv[len(argv) - len(command) + 1 :] == command[1:]
            and basename(argv[len(argv) - len(command)]) == basename(command[0])
            for command in commands
        )


def pod_spec(spec: Spec) -> PodSpec:
    """Return what a specification says. An init container that goes on beside the others is one of them (a sidecar)."""
    every = [*(spec.containers or []), *(spec.init_containers or []), *(spec.ephemeral_containers or [])]
    return PodSpec(
        init=frozenset(each.name for each in spec.init_containers or [] if each.restart_policy != "Always"),
        debug=frozenset(each.name for each in spec.ephemeral_containers or []),
        probes={each.name: frozenset(each.commands()) for each in every},
    )
