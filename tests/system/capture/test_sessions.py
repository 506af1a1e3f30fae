"""How a process came into its container, whatever way it took and whatever it does then."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING, Final

import pytest

from sensor.capture.ebpf import open_ebpf
from sensor.container.podman import PodmanRuntime
from tests.system.capture.bed import PATIENCE, Collector, ends_with
from tests.system.podman import SLOWNESS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.system.podman import Podman

pytestmark = pytest.mark.container

DRIFT: Final = "cp /bin/busybox /tmp/busybox-{0}; "
WAYS: Final = {
    "directly": DRIFT + "/tmp/busybox-{0} true {0}",
    "daemonised": DRIFT + "(sh -c '(until /tmp/busybox-{0} true {0}; do :; done) &' &)",
    "in-a-session-of-its-own": DRIFT + "/bin/busybox setsid /tmp/busybox-{0} true {0}; true",
    "in-a-mount-namespace": DRIFT + "unshare -m /tmp/busybox-{0} true {0}; true",
    "in-a-pid-namespace": DRIFT + "unshare -p -f /tmp/busybox-{0} true {0}; true",
    "in-both": DRIFT + "unshare -m -p -f sh -c '/tmp/busybox-{0} true {0}; true'",
}
"""What runs a drifted file in a container; its last argument names the way."""


@pytest.fixture(scope="module")
def image(podman: Podman) -> str:
    return podman.image("sessions")


@pytest.fixture(scope="module")
def seen(podman: Podman) -> Iterator[Collector]:
    collector = Collector(open_ebpf(runtimes=[PodmanRuntime()]))
    yield collector
    collector.close()


def session(collector: Collector, word: str) -> str | None:
    """How the process with this last argument came into its container."""
    event = collector.first(ends_with(word))
    assert event.process.provenance is not None
    return event.process.provenance.session


def running(podman: Podman, image: str, script: str) -> str:
    return podman.run(image, "sh", "-c", script + "; exec sleep 1000", options=["--privileged"])


@pytest.mark.parametrize("way", WAYS)
def test_what_the_containers_own_process_starts_is_the_workload(
    podman: Podman, image: str, seen: Collector, way: str
) -> None:
    word = f"workload-{way}"
    running(podman, image, WAYS[way].format(word))
    assert session(seen, word) == "workload"


@pytest.mark.parametrize("way", WAYS)
def test_what_somebody_starts_who_entered_is_an_exec(podman: Podman, image: str, seen: Collector, way: str) -> None:
    word = f"exec-{way}"
    podman.shell(running(podman, image, "true"), WAYS[way].format(word))
    assert session(seen, word) == "exec"


@pytest.mark.parametrize("options", [("-a",), ("-m", "-p"), ("-m", "-p", "-u", "-i", "-n")], ids=" ".join)
def test_who_enters_from_the_node_is_an_exec(
    podman: Podman, image: str, seen: Collector, options: tuple[str, ...]
) -> None:
    word = f"nsenter{''.join(options)}"
    pid = podman.pid(running(podman, image, "true"))
    script = WAYS["directly"].format(word)
    subprocess.run(["nsenter", "-t", str(pid), *options, "/bin/sh", "-c", script], check=False)
    assert session(seen, word) == "exec"


def test_who_entered_stays_an_exec_in_a_namespace_of_the_workload(podman: Podman, image: str, seen: Collector) -> None:
    word = "exec-joins"
    script = DRIFT + "/bin/busybox nsenter -t 1 -m /tmp/busybox-{0} true {0}; true"
    podman.shell(running(podman, image, "true"), script.format(word))
    assert session(seen, word) == "exec"


ID: Final = "1d556a5e-28fe-46cc-ad64-6b14d5af5ed9"


def test_what_somebody_starts_bears_the_command_and_the_id_with_which_they_entered(
    podman: Podman, image: str, seen: Collector
) -> None:
    """Also where it has another id in its own environment: that is the person's to choose."""
    name = running(podman, image, "true")
    script = "export KUBERNETES_EXEC_AUDIT_ID=forged-forged; (" + WAYS["daemonised"].format("entered") + ")"
    podman.command("exec", "-e", f"KUBERNETES_EXEC_AUDIT_ID={ID}", "-e", "SECRET=hunter2", name, "sh", "-c", script)
    event = seen.first(ends_with("entered"))
    entry = event.process.entry
    assert entry is not None
    assert (entry.argv, entry.argv_truncated, entry.claimed_id) == (["sh", "-c", script], False, ID)
    assert 0 <= (event.observed_at - entry.at).total_seconds() < PATIENCE * SLOWNESS


def test_who_enters_with_a_drifted_program_has_entered_with_it(podman: Podman, image: str, seen: Collector) -> None:
    name = running(podman, image, DRIFT.format("direct") + "touch /tmp/ready")
    while podman.command("exec", name, "ls", "/tmp/ready", check=False).returncode:
        pass
    podman.command("exec", name, "/tmp/busybox-direct", "true", "direct")
    entry = seen.first(ends_with("direct")).process.entry
    assert entry is not None
    assert (entry.argv, entry.claimed_id) == (["/tmp/busybox-direct", "true", "direct"], None)


def test_two_who_enter_at_once_keep_their_own_ids(podman: Podman, image: str, seen: Collector) -> None:
    name = running(podman, image, "true")
    script = DRIFT + "sleep 0.1; /tmp/busybox-{0} true {0}; true"
    ids = {f"pair-{number}": f"{number}{ID[1:]}" for number in range(6)}
    entering = [
        podman.background("exec", "-e", f"REQUEST_UID={ids[word]}", name, "sh", "-c", script.format(word))
        for word in ids
    ]
    for each in entering:
        each.wait()
    found = {word: seen.first(ends_with(word)).process.entry for word in ids}
    assert {word: entry and entry.claimed_id for word, entry in found.items()} == ids


def test_what_the_workload_starts_has_not_entered_whatever_its_environment_says(
    podman: Podman, image: str, seen: Collector
) -> None:
    script = f"export KUBERNETES_EXEC_AUDIT_ID={ID}; " + WAYS["directly"].format("claimant")
    running(podman, image, script)
    event = seen.first(ends_with("claimant"))
    assert event.process.provenance is not None and event.process.provenance.session == "workload"
    assert event.process.entry is None


def test_older_processes_are_known_where_that_is_sure(podman: Podman, image: str) -> None:
    """Its own first process, which goes on, and who entered; not what the first process had started by then."""
    loop = DRIFT + "until [ -e /tmp/go ]; do sleep 0.1; done; /tmp/busybox-{0} true {0}"
    name = running(podman, image, f"({loop.format('old-child')}) & {loop.format('old-first')}")
    entered = podman.background("exec", name, "sh", "-c", loop.format("old-entered") + "; true")
    deadline = time.monotonic() + PATIENCE * SLOWNESS
    while podman.command("exec", name, "ls", "/tmp/busybox-old-entered", check=False).returncode:
        assert time.monotonic() < deadline
    collector = Collector(open_ebpf(runtimes=[PodmanRuntime()]))
    try:
        podman.shell(name, "touch /tmp/go")
        found = {word: session(collector, word) for word in ("old-child", "old-first", "old-entered")}
    finally:
        collector.close()
        entered.wait()
    assert found == {"old-child": None, "old-first": "workload", "old-entered": "exec"}
