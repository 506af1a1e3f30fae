"""Programs that are there for a moment only: each run is told, with its hash or without, never with another's."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from tests.system import needs
from tests.system.podman import BUSYBOX

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.system.capture.bed import Watch

pytestmark = pytest.mark.container

TURNS = 200


@pytest.fixture(params=["podman", needs.NODE.name])
def watch(request: pytest.FixtureRequest, watch_of: Callable[[str, bool], Watch]) -> Watch:
    return watch_of(request.param, False)


def test_a_program_that_is_covered_up_at_once_is_reported_each_time_and_never_with_another_s_hash(
    watch: Watch, altered: Path
) -> None:
    evil = "cat /tmp/busybox-sentinel > /usr/bin/victim; (exec -a busybox /usr/bin/victim true $i)"
    events = watch.drift(f"for i in $(seq {TURNS}); do {evil}; cat /usr/bin/run > /usr/bin/victim; done", "ebpf")
    seen = [event.process for event in events if event.process.path == "/usr/bin/victim"]
    assert sorted(int(process.argv[-1]) for process in seen) == list(range(1, TURNS + 1))
    assert {process.sha256 for process in seen} <= {None, hashlib.sha256(altered.read_bytes()).hexdigest()}
    assert all((process.sha256 is None) == (process.hash_status == "gone") for process in seen)


def test_a_program_on_a_volume_that_ends_at_once_is_hashed_each_time(watch: Watch) -> None:
    turn = "cp /bin/busybox /data/busybox-short; echo $i >> /data/busybox-short; /data/busybox-short true $i"
    events = watch.drift(f"for i in $(seq {TURNS}); do {turn}; mv /data/busybox-short /data/left$i; done", "ebpf")
    seen = {int(event.process.argv[-1]): event.process for event in events}
    assert sorted(seen) == list(range(1, TURNS + 1))
    for number, process in seen.items():
        content = BUSYBOX.read_bytes() + f"{number}\n".encode()
        assert (process.hash_status, process.sha256) == ("ok", hashlib.sha256(content).hexdigest())
