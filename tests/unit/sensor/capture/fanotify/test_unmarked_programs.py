"""By which container a program is judged that the process connector alone reports."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, cast

import pytest

from sensor.capture.fanotify.namespaces import Namespace, NamespaceAt
from sensor.capture.fanotify.process_log import UnmarkedProgram
from sensor.capture.fanotify.procfs import ProcessFacts, process_stat
from sensor.capture.fanotify.unmarked_programs import program_space
from sensor.container.mounts import Mount, mount_namespace

if TYPE_CHECKING:
    from sensor.capture.fanotify.namespaces import Namespaces

MEMFD, ROOT, VOLUME, ELSEWHERE = 1, 2, 3, 4
GONE = 1 << 30


def space(number: int, dev: int, *others: int) -> Namespace:
    mounts = [Mount(number * 10 + at, each, b"/", b"/", b"overlay", b"") for at, each in enumerate((dev, *others))]
    return Namespace(number, 100 * number, 5, root=mounts[0], mounts={mount.id: mount for mount in mounts})


OUTER, INNER = space(1, ROOT, VOLUME), space(2, ELSEWHERE)
SELF = os.getpid()


class Spaces:
    """A node on which process 4, and this one in a namespace that shows no root, are in the outer container."""

    def learn(self, _pid: int) -> None:
        return None

    def at(self, noted: NamespaceAt) -> Namespace | None:
        return {100: OUTER, 200: INNER}.get(noted.inum)

    def above(self, pid: int) -> Namespace | None:
        return OUTER if pid in {4, SELF} else None


def found(facts: ProcessFacts, inum: int) -> Namespace | None:
    program = UnmarkedProgram(facts, handle=-1, time_ns=0, where=NamespaceAt(inum, 0.0))
    return program_space(program, cast("Namespaces", Spaces()), MEMFD)


def facts(pid: int, start_ns: int, parent: int, dev: int) -> ProcessFacts:
    return ProcessFacts(pid, start_ns, parent, 0, (dev, 1), (b"x",), argv_cut=False, cwd=b"/", root=b"/", link=b"/x")


@pytest.mark.parametrize(
    ("inum", "parent", "dev", "expected"),
    [
        (100, 4, ROOT, OUTER),
        (200, 4, ELSEWHERE, INNER),
        (200, 1, ELSEWHERE, INNER),
        (300, 4, ROOT, OUTER),
        (300, 4, ELSEWHERE, None),
        (300, 1, ROOT, None),
    ],
)
def test_it_is_judged_by_its_own_or_by_its_parent_s_where_the_file_is_on_the_root_of_that(
    inum: int, parent: int, dev: int, expected: Namespace | None
) -> None:
    assert found(facts(GONE, 0, parent, dev), inum) is expected


@pytest.mark.parametrize("dev", [MEMFD, VOLUME])
def test_what_a_container_inside_may_have_too_is_not_judged_once_its_process_is_gone(dev: int) -> None:
    assert found(facts(GONE, 0, 4, dev), 300) is None


@pytest.mark.parametrize(("dev", "expected"), [(ROOT, OUTER), (VOLUME, OUTER), (MEMFD, OUTER), (ELSEWHERE, None)])
def test_in_a_namespace_that_shows_no_root_it_is_judged_by_the_one_around_while_it_lives(
    dev: int, expected: Namespace | None
) -> None:
    inum, (_, parent, start_ns) = mount_namespace(SELF), process_stat(SELF)
    assert inum is not None
    assert found(facts(SELF, start_ns, parent, dev), inum) is expected
    younger = facts(SELF, start_ns - 1, parent, dev)
    assert found(younger, inum) is None
    moved = facts(SELF, start_ns, parent, dev)
    assert found(moved, 300) is None
