"""By which container a program is judged that the process connector alone reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from sensor.capture.fanotify.namespaces import Namespace, NamespaceAt
from sensor.capture.fanotify.process_log import UnmarkedProgram
from sensor.capture.fanotify.procfs import ProcessFacts
from sensor.capture.fanotify.unmarked_programs import program_space
from sensor.container.mounts import Mount

if TYPE_CHECKING:
    from sensor.capture.fanotify.namespaces import Namespaces

MEMFD, ROOT, VOLUME, ELSEWHERE = 1, 2, 3, 4


def space(number: int, dev: int, *others: int) -> Namespace:
    mounts = [Mount(number * 10 + at, each, b"/", b"/", b"overlay", b"") for at, each in enumerate((dev, *others))]
    return Namespace(number, 100 * number, 5, root=mounts[0], mounts={mount.id: mount for mount in mounts})


OUTER, INNER = space(1, ROOT, VOLUME), space(2, ELSEWHERE)


class Spaces:
    """A node on which process 4 is in the outer container; the program's own process, 7, is gone or shows no root."""

    def learn(self, _pid: int) -> None:
        return None

    def at(self, noted: NamespaceAt) -> Namespace | None:
        return {100: OUTER, 200: INNER}.get(noted.inum)

    def above(self, pid: int) -> Namespace | None:
        return OUTER if pid == 4 else None


@pytest.mark.parametrize(
    ("inum", "parent", "dev", "found"),
    [
        (100, 4, ROOT, OUTER),
        (200, 4, ELSEWHERE, INNER),
        (200, 1, ELSEWHERE, INNER),
        (300, 4, ROOT, OUTER),
        (300, 4, VOLUME, OUTER),
        (300, 4, MEMFD, OUTER),
        (300, 4, ELSEWHERE, None),
        (300, 1, ROOT, None),
    ],
)
def test_it_is_judged_by_its_own_or_by_its_parent_s_where_that_has_the_file(
    inum: int, parent: int, dev: int, found: Namespace | None
) -> None:
    facts = ProcessFacts(7, 0, parent, 0, (dev, 1), (b"x",), argv_cut=False, cwd=b"/", root=b"/", link=b"/x")
    program = UnmarkedProgram(facts, handle=-1, time_ns=0, where=NamespaceAt(inum, 0.0))
    assert program_space(program, cast("Namespaces", Spaces()), MEMFD) is found
