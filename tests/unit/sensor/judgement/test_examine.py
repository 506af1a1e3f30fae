"""What is counted of execs that could not be judged."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from sensor.container.identify import Identifier, Resolved
from sensor.judgement.decide import Content, ExecFacts, FileFacts, Origin
from sensor.judgement.examine import Examiner
from sensor.judgement.gather import FactGatherer
from sensor.record import Flag, decode
from sensor.wire import Container
from tests.unit.sensor.records import encoded

if TYPE_CHECKING:
    from sensor.container.identify import ContainerEvidence
    from sensor.files.handles import OpenFile
    from sensor.record import Record


class OneContainer:
    def resolve(self, _: ContainerEvidence) -> Resolved:
        return Resolved(Container(id="a1" * 32), complete=True, root_dev=40, layers=None, pid=1)


class NothingFound:
    def gather(self, _: Record, __: Resolved, ___: OpenFile | None, ____: object) -> ExecFacts:
        return ExecFacts(FileFacts(b"/app", Origin.IMAGE, Content(0, None, "ok")), is_read=True)


def test_what_the_backend_and_the_judgement_lose_for_one_reason_is_added_up() -> None:
    examiner = Examiner(cast("Identifier", None), cast("FactGatherer", None), lambda: 0)
    examiner.lose("unreadable")
    examiner.lose("file_gone")
    assert examiner.snapshot(9, unreadable=2, queue=1, connector=0).lost == {
        "unreadable": 3,
        "file_gone": 1,
        "queue": 1,
    }


@pytest.mark.parametrize(
    ("program", "argv", "lost"),
    [
        (b"/usr/bin/python3.13", b"python3\0app.py\0", {"reads_unseen": 1}),
        (b"/bin/busybox", b"sh\0-e\0", {"reads_unseen": 1}),
        (b"/bin/busybox", b"", {"reads_unseen": 1}),
        (b"/lib/ld-linux.so.2", b"ld.so\0/usr/bin/perl\0x.pl\0", {"reads_unseen": 1}),
        (b"/usr/bin/R", b"R\0--no-save\0", {}),
        (b"/usr/bin/julia", b"julia\0app.jl\0", {}),
        (b"/bin/busybox", b"find\0/\0", {}),
    ],
)
def test_reads_that_were_not_followed_count_where_they_would_have_been_judged(
    program: bytes, argv: bytes, lost: dict[str, int]
) -> None:
    examiner = Examiner(cast("Identifier", OneContainer()), cast("FactGatherer", NothingFound()), lambda: 0)
    flags = Flag.READ | Flag.LIBRARY | Flag.UNSEEN
    examiner.examine(decode(encoded(flags=flags, path=program, loaded_by=program, argv=argv)), None)
    assert examiner.snapshot(0).lost == lost
