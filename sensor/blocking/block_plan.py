"""What to block in one container: by the kernel program alone, and by holding its execs. Pure."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from sensor import wire
from sensor.judgement.provenance import SESSIONS, sessions_of
from sensor.policy.properties import WRITER_PROPERTIES

if TYPE_CHECKING:
    from collections.abc import Collection

    from sensor.policy import Policy
    from sensor.wire import Session

NEW: Final = 1 << 0
FILELESS: Final = 1 << 1
FOREIGN: Final = 1 << 2
VOLUME: Final = 1 << 3
SCRIPT: Final = 1 << 4
VOLUME_SCRIPT: Final = 1 << 5
MAPPED: Final = 1 << 6
"""`enum blocked_kind` of the kernel program."""
BY_NAME: Final = NEW | SCRIPT
"""What takes the names of the image's files to tell."""

KERNEL_KINDS: Final = {
    # A file of the container's own layer that a bind mount shows elsewhere is a foreign mount's.
    NEW: ("new_file", "copy_of_image_file", "foreign_mount"),
    FILELESS: ("fileless",),
    FOREIGN: ("foreign_mount",),
    # A volume that the container itself has bind-mounted elsewhere as well.
    VOLUME: ("volume", "foreign_mount"),
    SCRIPT: ("script",),
    VOLUME_SCRIPT: ("script",),
    # Its content can change at any moment: it may be any of these.
    MAPPED: ("replaced", "new_file", "copy_of_image_file", "foreign_mount"),
}
"""The kinds that user space may assign to what the kernel sees as this: all of them must be blocked unconditionally."""
HELD_KINDS: Final = ("new_file", "copy_of_image_file", "replaced", "foreign_mount", "script")
"""Kinds that a held exec of a file on the container's root filesystem may turn out to be."""


class ClusterLocation(NamedTuple):
    """Where a sensor is: the part of each flat event that comes from its credential."""

    provider: str
    account: str
    cluster_name: str


class BlockPlan(NamedTuple):
    """`kinds` are the bits above, by session; `holds`: some exec on the root filesystem may be blocked."""

    kinds: tuple[int, int, int]
    holds: bool

    @property
    def any_kinds(self) -> int:
        """Return the bits of any session."""
        return self.kinds[0] | self.kinds[1] | self.kinds[2]

    def without(self, kinds: int) -> BlockPlan:
        """Return the plan with these bits left to nobody, or to holding."""
        unknown, workload, exec_ = (own & ~kinds for own in self.kinds)
        return self._replace(kinds=(unknown, workload, exec_))


BLOCK_NOTHING: Final = BlockPlan((0, 0, 0), holds=False)


def block_plan(
    policy: Policy,
    detect: Collection[str],
    container: wire.Container,
    location: ClusterLocation,
    *,
    role: Session | None = None,
) -> BlockPlan:
    """Return the drift to block in a container: drift that the policy blocks for every process it could run.

    `role`: the session of its own processes, where that is not the workload.
    """
    workload = wire.flatten_container(container, *location)
    # Most policies look at no session, and then one plan is that of all.
    sessions = sessions_of(role) if policy.has_conditions(("session",)) else SESSIONS[:1]
    plans = [_plan_of_session(policy, detect, workload, session) for session in sessions]
    unknown, workloads, entered = [kinds for kinds, _ in plans] * (len(SESSIONS) // len(plans))
    return BlockPlan((unknown, workloads, entered), holds=any(holds for _, holds in plans))


def _plan_of_session(
    policy: Policy, detect: Collection[str], workload: dict[str, Any], session: Session | None
) -> tuple[int, bool]:
    """Return the bits to block alone, and whether to hold execs, for processes of this session."""
    # Who wrote a memfd is never known.
    writers = dict.fromkeys(WRITER_PROPERTIES)
    prospects = {
        kind: policy.predict_block(workload, kind, {"session": session, **(writers if kind == "fileless" else {})})
        if kind in detect
        else "never"
        for kind in {*HELD_KINDS, *(kind for kinds in KERNEL_KINDS.values() for kind in kinds)}
    }
    kinds = sum(bit for bit, needed in KERNEL_KINDS.items() if all(prospects[kind] == "always" for kind in needed))
    return kinds, any(prospects[kind] != "never" for kind in HELD_KINDS)


def workload_id(container: wire.Container) -> int:
    """Return the key of a workload's kill limit: a restarted pod, or one of more replicas, shares it."""
    owner = container.owner or container.pod_name
    facts = [container.namespace, owner, container.name, container.image_name]
    return int.from_bytes(hashlib.blake2b(msgspec.json.encode(facts), digest_size=8).digest(), "little")
