"""Single traits of an alert that noise repeats and attacks rarely share: name, command line and place. Pure.

Investigators count what is alike and look at what is rare. A way is one of a kind as soon as any part of it differs;
a trait is one part alone, so what is everyday is known by it though its directory or its starter changed
(docs/priority.md#traits).
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from posixpath import basename
from typing import Final, NamedTuple

from drift.alerts.domain import program_names as names
from drift.alerts.domain.exec_signals import BUILDS, SESSIONS
from drift.alerts.domain.fingerprints import digest
from drift.alerts.domain.habits import form
from drift.alerts.domain.priority_signals import SIGNALS, Signal, signal
from drift.alerts.domain.starters import checked_name
from sensor import wire

KNOWN_DAYS: Final = 2
DIRECTORIES: Final = 3
NEW_WAY: Final = frozenset({"unlike", "new_lineage"})
"""The signals of what came about as nothing before it, neither in its way nor in its lineage."""
NEW_BUILD_TOOL: Final = frozenset({"drifted_writer", "new_lineage"})
"""Those of what a program wrote that was dropped there itself, and wrote nothing that a build started before."""
KNOWN_CONTENT: Final = frozenset({"seen_before", "spread_some", "spread_wide", "judged_harmless"})
"""The signals of a content that ran elsewhere or earlier, or was judged there."""
PLAIN: Final = names.name_set(
    "first_seen unlike new_lineage new_name new_command new_place new_in_build downloaded entered interactive copied "
    "temporary_place system_place root written_by_runtime runtime_child foreign_library"
)
"""What raises the one-offs of deployments and administrators, as far as it is not what attacks are known for.

But a download in a session, which is how attackers with a stolen login go on too.
"""
_DIGIT: Final = re.compile(r"\d")


class Traits(NamedTuple):
    """The traits of an event; `command` is None of a program without arguments, and of a library, which has none."""

    name: uuid.UUID
    command: uuid.UUID | None
    place: uuid.UUID


class TraitDays(NamedTuple):
    """On how many other days alerts had the same traits; `command` is None where there is none."""

    name: int
    command: int | None
    place: int


def traits(event: wire.Event) -> Traits:
    """Return the traits: the form of the file's name, that of the arguments, and the directory with who wrote it."""
    process = event.process
    writer = names.program(checked_name(process.written_by)) if process.written_by else ""
    directories = process.path.split("/")[1:-1][:DIRECTORIES]
    # Those of a library are of the program that loads it, as every day.
    # Nor is its own path one, which interpreters are given: scripts in /tmp have another each time.
    given = [each for each in process.argv[1:] if each != process.path] if event.kind != "library" else []
    arguments = [_form(each) for each in given]
    return Traits(
        digest("name", form(basename(process.path))),
        digest("command", arguments) if arguments else None,
        digest("place", [_form(each) for each in directories], writer),
    )


def trait_signals(
    days: TraitDays, where: str, others: AbstractSet[str], *, is_attack: bool, is_written: bool, is_payload: bool
) -> list[Signal]:
    """Return what the traits say, and whether all that is known of the alert is that it is new; arguments as below."""
    found = list(_trait_signals(days, where, others, is_attack=is_attack, is_written=is_written, is_payload=is_payload))
    told = others | {name for name, _ in found}
    raising = {name for name in told if SIGNALS[name].points > 0}
    is_fetched = "downloaded" in told and not told.isdisjoint(SESSIONS)
    is_plain = raising <= PLAIN and "by_hand" not in told and not is_fetched
    is_only_new = "unlike" in told and is_plain and not is_attack
    return [*found, signal("only_new")] if is_only_new else found


def _trait_signals(
    days: TraitDays, where: str, others: AbstractSet[str], *, is_attack: bool, is_written: bool, is_payload: bool
) -> Iterator[Signal]:
    """Yield what the traits say; `where` is "in this estate" or "in this workload".

    `others` are the names of the alert's signals of its own, its content and its way. What came about like a true
    positive (`is_attack`) is not made everyday by a name. `is_written`: it is known who wrote the file. `is_payload`:
    the runtime that started it had just written it.
    """
    is_named = days.name >= KNOWN_DAYS
    is_called = days.command is not None and days.command >= KNOWN_DAYS
    # Who poses as an everyday file takes its name and arguments, and comes by another way.
    poses = is_named and others >= NEW_WAY
    is_odd = _is_odd_in_build(days, others)
    lowers = not (is_attack or poses or is_odd)
    if days.name == 0:
        yield signal("new_name", where)
    elif is_named and lowers:
        yield signal("known_name", str(days.name))
    if days.command == 0:
        yield signal("new_command", where)
    elif is_called and lowers:
        yield signal("known_command", str(days.command))
    if days.place == 0:
        yield signal("new_place", where)
    if poses and is_called and is_written and not is_attack:
        yield signal("poses")
    if days.command == 0 and others >= NEW_WAY and not others.isdisjoint(KNOWN_CONTENT):
        yield signal("used_anew")
    if is_odd:
        yield signal("new_in_build")
        if is_payload and "started_by_writer" not in others:
            yield signal("install_payload")


def _is_odd_in_build(days: TraitDays, others: AbstractSet[str]) -> bool:
    """Return whether it is lowered as the everyday work of a build, but is none."""
    if others.isdisjoint(BUILDS):
        return False
    is_new = days.command == 0 and (days.name == 0 or "outside_address" in others)
    return is_new or others >= NEW_BUILD_TOOL


def _form(part: str) -> str:
    """Return "#" for what differs each time: versions, numbers and random digits."""
    return part if part.isalpha() or not _DIGIT.search(part) else "#"
