"""How processes came into their containers, again and again beside load: by every entry, and whatever they do then.

`SESSION_STARTS=1000` (`make long`) enters that often in each way; without it five times. No other sensor runs
beside it: one that does not keep up with the load would still be behind in the tests after it.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

import pytest

from sensor.capture.ebpf import open_ebpf
from sensor.container.cluster_api import ClusterApi, ClusterRuntime
from sensor.container.podman import PodmanRuntime
from tests.api_server import TOKEN, ApiServer, authority
from tests.system.podman import SLOWNESS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from sensor.container.base import Runtime
    from tests.results import Figure
    from tests.system.node import Node
    from tests.system.podman import Podman

pytestmark = pytest.mark.container

STARTS: Final = int(os.environ.get("SESSION_STARTS", "5"))
AT_ONCE: Final = 3
"""People who enter at the same time."""
PATIENCE: Final = 60.0 + STARTS / 10
WAYS: Final = {
    "directly": "{0}",
    "daemonised": "(sh -c '({0}) &' &)",
    "in-a-session-of-its-own": "/bin/busybox setsid {0}",
    "in-a-mount-namespace": "unshare -m {0}",
    "in-a-pid-namespace": "unshare -p -f {0}",
    "in-both": "unshare -m -p -f sh -c '{0}; true'",
}
"""What starts a drifted file in a container."""
PREPARE: Final = "[ -e /tmp/busybox-d ] || cp /bin/busybox /tmp/busybox-d; "
ENTRIES: Final = {
    "nsenter-all": ("-a",),
    "nsenter-mount-pid": ("-m", "-p"),
    "nsenter-five": ("-m", "-p", "-u", "-i", "-n"),
}
LOAD: Final = (
    "cp /bin/busybox /tmp/busybox-load; "
    "while :; do for each in $(seq 20); do /bin/busybox true; done; /tmp/busybox-load true load; done"
)
"""Programs of the image as fast as they start, and drift no faster than a busy sensor examines it."""
PROBE: Final = "/opt/probe.sh"


def all_ways(who: str) -> str:
    """A script that starts the file in every way; its last argument names who did so, and the way."""
    started = (way.format(f"/tmp/busybox-d true {who}:{name}") for name, way in WAYS.items())
    return PREPARE + "; ".join(started) + "; true"


class SessionTally:
    """Counts by who and way, and by the session that the event has, until it is left."""

    def __init__(self, runtimes: Sequence[Runtime]) -> None:
        self._capture = open_ebpf(runtimes=runtimes)
        self._counts: Counter[tuple[str, str | None]] = Counter()
        self._changed = threading.Condition()
        self._is_over = False
        self._thread = threading.Thread(target=self._count)
        self._thread.start()

    def _count(self) -> None:
        while not self._is_over:
            batch = self._capture.read(0.1)
            self._capture.commit()
            with self._changed:
                for event in batch:
                    known = event.process.provenance
                    last = event.process.argv[-1] if event.process.argv else ""
                    self._counts[last, known.session if known else None] += event.count
                self._changed.notify_all()

    def sessions(self, who: str) -> dict[str, dict[str | None, int]]:
        """Wait for STARTS starts in each way, and return how often each session was told, by way."""
        names = [f"{who}:{way}" for way in WAYS]

        def are_all_seen() -> bool:
            return all(sum(n for (word, _), n in self._counts.items() if word == name) >= STARTS for name in names)

        with self._changed:
            self._changed.wait_for(are_all_seen, PATIENCE * SLOWNESS)
            return {
                name.partition(":")[2]: {told: n for (word, told), n in self._counts.items() if word == name}
                for name in names
            }

    def close(self) -> None:
        self._is_over = True
        self._thread.join()
        self._capture.close()


def check(figure: Figure, tally: SessionTally, who: str, session: str) -> None:
    """Each of STARTS starts in each way has this session."""
    found = tally.sessions(who)
    right = sum(counts.get(session, 0) for counts in found.values())
    figure(f"{who}: {session}", f"{right:,} of {STARTS * len(WAYS):,}", goal="all", kept=right == STARTS * len(WAYS))
    assert found == {way: {session: STARTS} for way in WAYS}, who


@contextlib.contextmanager
def tally_of(*runtimes: Runtime) -> Iterator[SessionTally]:
    made = SessionTally(runtimes)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def image(podman: Podman, node: Node) -> str:
    reference = podman.image("sessions-often", {PROBE: f"#!/bin/sh\n{all_ways('probe')}\n"})
    node.pull(reference)
    return reference


@pytest.fixture
def load(podman: Podman, image: str) -> Iterator[None]:
    """Two containers that run their image's files, and drift, as fast as they can."""
    names = [podman.run(image, "sh", "-c", LOAD) for _ in range(2)]
    yield
    for name in names:
        podman.rm(name)


def often(enter: Callable[[], object]) -> None:
    """Enter STARTS times, some at once; what one raises is raised here."""
    with ThreadPoolExecutor(AT_ONCE) as people:
        for done in [people.submit(enter) for _ in range(STARTS)]:
            done.result()


@pytest.mark.usefixtures("load")
def test_in_podman_each_start_has_the_session_of_who_started_it(podman: Podman, image: str, figure: Figure) -> None:
    with tally_of(PodmanRuntime()) as tally:
        repeated = f"{PREPARE}for i in $(seq {STARTS}); do {all_ways('workload')}; done; exec sleep 1000"
        name = podman.run(image, "sh", "-c", repeated, options=["--privileged"])
        check(figure, tally, "workload", "workload")

        often(lambda: podman.shell(name, all_ways("podman-exec")))
        check(figure, tally, "podman-exec", "exec")

        pid = podman.pid(name)
        for who, options in ENTRIES.items():
            command = ["nsenter", "-t", str(pid), *options, "/bin/sh", "-c", all_ways(who)]
            often(lambda command=command: subprocess.run(command, check=True, stderr=subprocess.DEVNULL))  # type: ignore[misc]
            check(figure, tally, who, "exec")


@pytest.mark.parametrize("is_told", [False, True], ids=["alone", "specified"])
@pytest.mark.usefixtures("load")
def test_in_pods_who_enters_is_never_the_workload_and_probes_are_told_by_the_specification(
    node: Node, image: str, tmp_path: Path, figure: Figure, *, is_told: bool
) -> None:
    """As kubectl exec, the kubelet enters for a probe: by the runtime's call, with the command of the specification."""
    place = "specified" if is_told else "alone"
    server = ApiServer(authority(tmp_path, "cluster"))
    (tmp_path / "token").write_text(TOKEN)
    server.put("pods", place)
    told = server.objects[f"/api/v1/namespaces/shop/pods/{place}"]
    told["metadata"]["uid"] = place
    told["spec"] = {
        "containers": [{"name": "app", "livenessProbe": {"exec": {"command": [PROBE]}}}],
        "initContainers": [{"name": "setup"}],
        "ephemeralContainers": [{"name": "debugger-x"}],
    }
    runtime = ClusterRuntime(node.runtime, ClusterApi(server.address, tmp_path, timeout=10.0))
    try:
        with tally_of(runtime if is_told else node.runtime) as tally:
            pod = node.pod(place, "shop", {"app": "often"}, uid=place, privileged=True)
            for container, session in (("setup", "init"), ("debugger-x", "debug"), ("app", "workload")):
                who = f"{container}-{place}"
                repeated = f"{PREPARE}for i in $(seq {STARTS}); do {all_ways(who)}; done; exec sleep 1000"
                box = node.start(pod, container, image, "/bin/sh", "-c", repeated, privileged=True)
                check(figure, tally, who, session if is_told else "workload")

            often(lambda: node.output(box, all_ways(f"exec-{place}")))
            check(figure, tally, f"exec-{place}", "exec")

            for _ in range(STARTS):
                node.run(box, PROBE)
            check(figure, tally, "probe", "probe" if is_told else "exec")
    finally:
        server.close()
