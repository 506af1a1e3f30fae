"""What an event says of its process and container, however the names were chosen and however short it lived."""

from __future__ import annotations

import hashlib
import random
from typing import TYPE_CHECKING

import pytest

from sensor.container import node_init
from tests.system import needs
from tests.system.capture.bed import BACKENDS, PodmanBox, Watch
from tests.system.capture.lines import LD, LIVES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.system.capture.bed import Collector
    from tests.system.podman import Podman

pytestmark = [pytest.mark.container, pytest.mark.parametrize("backend", BACKENDS)]


NESTED = "set -e; mkdir -p /cgroup; mount -t cgroup2 x /cgroup; "
NESTED += "cd /cgroup$(busybox sed -n 's/^0:://p' /proc/self/cgroup); "
NESTED += "for n in $(seq 100); do mkdir -p n; cd n; done; echo 0 > cgroup.procs; cd /; umount /cgroup; "
"""Into a cgroup a hundred levels below the container's own, in the hierarchy that names it."""
OWN_ROOT = "mkdir -p /elsewhere; mount -t tmpfs x /elsewhere; cp /bin/busybox /tmp/busybox-nested; "
OWN_ROOT += "run namespace elsewhere -- /tmp/busybox-nested sleep 1"

PLAIN_CHROOT = "mkdir -p /elsewhere; cp /bin/busybox /elsewhere/b; "
PLAIN_CHROOT += "run namespace elsewhere -- /bin/busybox sh -c '/b sleep 1; true'"


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_short_lived_process_is_described_in_full(box: Watch, altered: Path, image: str, backend: str) -> None:
    box.box.put(altered, "/tmp/busybox-facts")
    event = box.only("cd /tmp; sh -c './busybox-facts sleep 1; true'", backend)
    process = event.process
    assert (event.kind, event.mode, event.identity, event.decision) == ("new_file", "exec", "complete", None)
    assert (process.name, process.path) == ("busybox-facts", "/tmp/busybox-facts")
    assert (process.argv, process.argv_truncated) == (["./busybox-facts", "sleep", "1"], False)
    assert (process.cwd, process.uid) == ("/tmp", 0)
    assert process.started_at is not None
    assert abs((event.observed_at - process.started_at).total_seconds()) < 1
    assert (process.sha256, process.hash_status, process.size) == (sha256(altered), "ok", altered.stat().st_size)
    assert process.parent is not None
    assert (process.parent.name, process.parent.path) == ("busybox", "/bin/busybox")
    assert process.ancestors[0].name == "sh"
    container = event.container
    assert (container.id, container.name, container.runtime) == (box.box.id, box.box.name, "podman")
    assert container.image_name == image
    assert (container.image_digest or "").startswith("sha256:")
    assert (container.namespace, container.pod_name) == (None, None)


def test_an_exec_in_a_pod_has_the_pod_s_names_labels_and_owner(
    watch_of: Callable[[str, bool], Watch], backend: str
) -> None:
    box = watch_of(needs.NODE.name, False)
    event = box.only(f"cp /bin/busybox /tmp/busybox-pod; /tmp/busybox-pod {LIVES}", backend)
    container = event.container
    assert (event.identity, container.id, container.name, container.runtime) == (
        "complete",
        box.box.id,
        "app",
        needs.NODE.name,
    )
    assert (container.namespace, container.pod_name, container.pod_labels["app"]) == ("shop", "lines-plain", "lines")


def test_a_container_is_named_by_its_own_cgroup_whatever_it_nests_in_it(
    watch_of: Callable[[str, bool], Watch], backend: str
) -> None:
    """By nothing else, where mount namespace and root directory are its own work."""
    box = watch_of("podman", True)
    event = box.only(NESTED + OWN_ROOT, backend)
    assert (event.kind, event.identity) == ("copy_of_image_file", "complete")
    assert (event.container.id, event.container.name) == (box.box.id, box.box.name)


def test_a_program_in_a_chroot_is_judged_where_no_mount_shows_its_root(
    watch_of: Callable[..., Watch], backend: str
) -> None:
    """A chroot into a plain directory, in a mount namespace of its own: the table of mounts is empty there."""
    box = watch_of("podman", True, ("--hostname=chroot",))
    event = box.only(PLAIN_CHROOT, backend)
    assert (event.kind, event.container.id) == ("copy_of_image_file", box.box.id)


def test_files_run_by_a_script_or_loader_name_what_ran_them(box: Watch, backend: str) -> None:
    script = box.only("printf '#!/bin/sh\\nsleep 1\\n' > /tmp/via.sh; chmod +x /tmp/via.sh; /tmp/via.sh a", backend)
    assert (script.process.via, script.process.argv) == ("/bin/busybox", ["/bin/sh", "/tmp/via.sh", "a"])
    assert script.process.sha256 == hashlib.sha256(b"#!/bin/sh\nsleep 1\n").hexdigest()
    loader = box.only(f"cp /usr/bin/dynamic /tmp/via; {LD} /tmp/via 1", backend)
    assert (loader.process.via, loader.process.path) == ("/lib64/ld-linux-x86-64.so.2", "/tmp/via")


def test_a_copy_names_its_original(box: Watch, backend: str) -> None:
    event = box.only(f"cp /bin/busybox /tmp/busybox-of; /tmp/busybox-of {LIVES}", backend)
    assert event.process.copy_of == "/bin/busybox"


def test_five_hundred_execs_with_random_bytes_lose_nothing(box: Watch, backend: str) -> None:
    """They end within a millisecond: the fallback has the arguments of some, and says of the others that it has not.

    A small program: the fallback reads it for each exec, and what it reads of one container in a moment is bounded.
    """
    dice = random.Random(7)
    words = ["".join(f"\\{dice.randrange(1, 256):03o}" for _ in range(dice.randrange(1, 40))) for _ in range(500)]
    lines = (f"/tmp/run-h true \"$(printf '{word}')\"" for word in words)
    events = box.drift("\n".join(("cp /usr/bin/run /tmp/run-h", *lines)), backend)
    assert len(events) == 500
    assert len({event.event_id for event in events}) == 500
    assert {event.process.hash_status for event in events} == {"ok"}
    known = [event.process for event in events if not event.process.argv_truncated]
    assert all(process.argv[:2] == ["/tmp/run-h", "true"] for process in known)
    assert len(known) == 500 or backend == "fanotify"


def test_a_too_long_argv_is_truncated_and_marked(box: Watch, backend: str) -> None:
    script = "cp /bin/busybox /tmp/busybox-long; /tmp/busybox-long sleep 1 $(printf '%05000d' 0) 0"
    event = box.only(script, backend)
    assert event.process.argv_truncated
    assert event.process.argv[:2] == ["/tmp/busybox-long", "sleep"]


def test_the_runtime_s_own_init_is_not_drift(
    podman: Podman,
    seen_by: dict[str, Collector],
    image: str,
    runner: Path,
    altered: Path,
    backend: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(node_init, "INIT_PROGRAMS", frozenset({bytes(runner)}))
    name = podman.run(image, options=["--init", f"--init-path={runner}"])
    assert b"/run/podman-init" in podman.exec(name, "cat", "/proc/mounts").stdout
    again = "/run/podman-init /bin/true"
    assert Watch(PodmanBox(podman, name), seen_by, altered).drift(again, backend) == []


@pytest.mark.parametrize("point", ["/run/podman-init", "/dev/init", "/sbin/docker-init"])
def test_a_program_where_a_runtime_mounts_its_init_is_drift(
    podman: Podman, seen_by: dict[str, Collector], image: str, altered: Path, backend: str, point: str
) -> None:
    name = podman.run(image, volumes=[f"{altered}:{point}:ro"])
    event = Watch(PodmanBox(podman, name), seen_by, altered).only(f"(exec -a busybox {point} sleep 1)", backend)
    assert (event.kind, event.process.path) == ("volume", point)


def test_execs_of_a_short_lived_container_are_attributed(podman: Podman, box: Watch, backend: str) -> None:
    """The fallback may come too late for it; what it does see is attributed."""
    script = "#!/bin/sh\ncp /bin/busybox /tmp/busybox-x; exec /tmp/busybox-x true\n"
    image = podman.image(f"brief-{backend}:1", {"/go": script})
    name = podman.run(image, "/go", detach=False)
    events = box.run("true", podman.id(name))[backend]
    seen = {(event.kind, event.identity, event.container.image_name) for event in events}
    attributed = {("copy_of_image_file", "complete", image)}
    assert seen <= attributed if backend == "fanotify" else seen == attributed
