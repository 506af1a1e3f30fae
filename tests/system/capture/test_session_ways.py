"""Unusual ways into a container: whoever enters is never told to be its workload, and what its own process starts is.

`SESSION_STARTS=20` goes each way that often; without it once.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from sensor.capture.ebpf import EbpfCapture, open_ebpf
from sensor.capture.program_ways import RECORD_OPENS
from sensor.container.podman import PodmanRuntime
from tests.system import needs
from tests.system.capture.bed import PATIENCE, Collector, ends_with
from tests.system.node import NODE_PIDS, OWN_PIDS, POD_PIDS, TARGET_PIDS
from tests.system.podman import SLOWNESS, Podman

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.system.node import Node, Pod

pytestmark = pytest.mark.container

STARTS: Final = int(os.environ.get("SESSION_STARTS", "1"))
PREPARE: Final = "cp /bin/busybox /tmp/busybox-d; "
FILE: Final = "/tmp/busybox-d"
WORKLOAD: Final[set[str | None]] = {"workload"}
EXEC: Final[set[str | None]] = {"exec"}
MAYBE: Final[set[str | None]] = {"exec", None}
"""Where joins of a mount namespace are not seen, who entered may be unknown."""
IN_CGROUP: Final = "in its cgroup"
WAYS: Final[dict[str, tuple[str, set[str | None]]]] = {
    "mnt:{a}": ("its mount namespace", MAYBE),
    "mnt:{a} fork": ("and in a child", MAYBE),
    "mnt:{a} pid:{a} fork": ("its processes too", EXEC),
    "pid:{a} fork mnt:{a}": ("the other way round", EXEC),
    "mnt:{a} uts:{a} ipc:{a} net:{a}": ("without its processes", MAYBE),
    "pidfd:{a}:mnt,pid fork": ("two at once", EXEC),
    "pidfd:{a}:mnt,pid,uts,ipc,net,cgroup fork": ("all at once", EXEC),
    "mnt:{a} orphan": ("whose parent has ended", MAYBE),
    "mnt:{a} pid:{a} fork orphan setsid orphan": ("as a daemon", MAYBE),
    "mnt:{a} sibling": ("as a child of its parent", MAYBE),
    "mnt:{a} pid:{a} sibling": ("as such, its processes too", EXEC),
    "mnt:{a} mnt:{b} mnt:{a}": ("out of another one and back", MAYBE),
    "mnt:{a} mnt:{b} mnt:{a} pid:{a} fork": ("as such, its processes too, in the end", EXEC),
    "mnt:{a} newmnt": ("a mount namespace like its own", MAYBE),
    "mnt:{a} newmnt sibling": ("as such, as a child of its parent", MAYBE),
    "mnt:{a} newpid fork": ("first of own processes", MAYBE),
    "newpid fork mnt:{a}": ("first of own processes that enters", MAYBE),
    "mnt:{a} newmnt newpid fork": ("first of own processes, with a mount namespace like its own", MAYBE),
    "newpid fork mnt:{a} newmnt": ("the same in another order", MAYBE),
    "mnt:{a} newmnt newpid sibling": ("the same as a child of its parent", MAYBE),
    "mnt:{a} pid:{a} fork newmnt newpid fork": ("the same from among its processes", MAYBE),
    "newpid newmnt fork root:{a}": ("the node's mounts copied, its root alone", MAYBE),
    "cgroup mnt:{a} pid:{a} fork": (IN_CGROUP, EXEC),
    "cgroup mnt:{a} newmnt newpid fork": (IN_CGROUP, MAYBE),
    "cgroup newpid newmnt fork root:{a}": (IN_CGROUP, MAYBE),
    "cgroup newmnt root:{a}": (IN_CGROUP, MAYBE),
    "cgroup into newpid newmnt fork root:{a}": ("made in its cgroup", MAYBE),
}
"""Steps of tools/enter.c, what they are, and what the session may be."""
ON_THE_NODE: Final = (
    "root:{a}",
    "pid:{a} fork root:{a}",
    "uts:{a} ipc:{a} net:{a} cgroup:{a} root:{a}",
    "cgroup root:{a}",
)
"""Ways that stay in the node's mount namespace: no exec of the container's."""


@pytest.fixture(scope="module")
def image(podman: Podman, node: Node) -> str:
    reference = podman.image("session-ways:1")
    node.pull(reference)
    return reference


@pytest.fixture(scope="module")
def enter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return needs.tool(tmp_path_factory.mktemp("enter") / "enter", source="enter.c")


@pytest.fixture(scope="module")
def seen(podman: Podman, node: Node) -> Iterator[Collector]:
    collector = Collector(open_ebpf(runtimes=[PodmanRuntime(), node.runtime]))
    yield collector
    collector.close()


def cgroups(pid: int) -> list[str]:
    """The directories of a process's cgroups."""
    found = []
    for line in Path(f"/proc/{pid}/cgroup").read_text().split():
        _, controllers, path = line.split(":", 2)
        found.append(
            f"/sys/fs/cgroup/{controllers.removeprefix('name=')}{path}" if controllers else f"/sys/fs/cgroup{path}"
        )
    return [each for each in found if Path(each, "cgroup.procs").exists()]


def steps(way: str, a: int, b: int) -> list[str]:
    """The steps of a way, with the pids of the two containers' first processes."""
    found: list[str] = []
    for step in way.format(a=a, b=b).split():
        if step == "cgroup":
            found += [f"moved:{each}" for each in cgroups(a)]
        elif step == "into":
            # Of cgroup v1 there is no such call.
            found += [f"into:{each}" for each in cgroups(a) if Path(each, "cgroup.controllers").exists()]
        else:
            found.append(step)
    return found


def sessions(collector: Collector, words: Sequence[str]) -> dict[str, Counter[str | None]]:
    """How often each session was told, by the last argument; waits until each was seen STARTS times."""
    found: dict[str, Counter[str | None]] = {}

    def are_all_seen() -> bool:
        found.update({word: Counter() for word in words})
        for event in collector.events():
            if event.process.argv and event.process.argv[-1] in found:
                provenance = event.process.provenance
                found[event.process.argv[-1]][provenance.session if provenance else None] += event.count
        return all(counts.total() >= STARTS for counts in found.values())

    collector.until_that(are_all_seen)
    return found


def check(collector: Collector, expected: Mapping[str, set[str | None]]) -> None:
    """Each of these last arguments is seen, and has none but the sessions that it may have."""
    found = sessions(collector, list(expected))
    assert not {word: dict(counts) for word, counts in found.items() if not set(counts) <= expected[word]}


def times_seen(collector: Collector, word: str) -> int:
    return sum(event.count for event in collector.events() if event.process.argv and event.process.argv[-1] == word)


def session_of_one(collector: Collector, word: str) -> str | None:
    provenance = collector.first(ends_with(word)).process.provenance
    return provenance.session if provenance else None


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + PATIENCE * SLOWNESS
    while not path.exists():
        assert time.monotonic() < deadline, path
        time.sleep(0.02)


def often(command: str) -> str:
    """A script that runs a command STARTS times."""
    return f"for i in $(seq {STARTS}); do {command}; done; "


def running(podman: Podman, image: str, script: str = "", volumes: Sequence[str] = ()) -> str:
    """A container whose first process runs this and then sleeps."""
    command = f"{PREPARE}{script}exec sleep 1000"
    return podman.run(image, "sh", "-c", command, options=["--privileged"], volumes=volumes)


def test_nobody_who_enters_from_the_node_is_the_workload(
    podman: Podman, image: str, seen: Collector, enter: Path
) -> None:
    names = [running(podman, image, often(f"{FILE} true begun-{which}")) for which in "ab"]
    check(seen, dict.fromkeys(("begun-a", "begun-b"), WORKLOAD))
    pids = [podman.pid(name) for name in names]
    for way in (*WAYS, *ON_THE_NODE):
        for _ in range(STARTS):
            subprocess.run([enter, *steps(way, *pids), "--", FILE, "true", way], check=True)
    podman.shell(names[0], often(f"{FILE} true afterwards"))
    check(seen, {"afterwards": EXEC} | {way: allowed for way, (_, allowed) in WAYS.items()})
    last = {event.process.argv[-1] for event in seen.events() if event.process.argv}
    assert not last & set(ON_THE_NODE)


AGAIN: Final = f"""\
{PREPARE}{FILE} true again
[ "$1" = {STARTS} ] || exec sh "$0" $(($1 + 1))
until [ -e /tmp/job ]; do sleep 0.1; done
{often(f"sh -c 'exec {FILE} true supervised'")}
sh /tmp/job
exec sleep 1000
"""
"""A first process that begins again, and then is a supervisor, and cron."""


def test_what_the_first_process_starts_is_the_workload_however_often_it_begins(
    podman: Podman, image: str, seen: Collector
) -> None:
    """Also what cron runs of a person's: that a person wrote it is another fact."""
    name = podman.run(image, "sh", "-c", f"cat > /tmp/run <<'E'\n{AGAIN}E\nexec sh /tmp/run 1")
    podman.shell(name, f"echo '{often(f'{FILE} true job')}' > /tmp/new; mv /tmp/new /tmp/job")
    restarted = running(podman, image, f"{FILE} true restarted; ")
    for number in range(STARTS):
        # Not before it has come as far as that: it is killed at once.
        seen.until_that(lambda: times_seen(seen, "restarted") > number)  # noqa: B023 - waited for within the loop
        podman.command("restart", "--time=0", restarted)
    podman.command("stop", "--time=0", restarted)
    podman.command("start", restarted)
    podman.shell(restarted, often(f"{FILE} true entered-again"))
    left = f"(/bin/busybox setsid sh -c '(sleep 0.1; {FILE} true left) &' &)"
    podman.shell(restarted, often(left))
    check(seen, dict.fromkeys(("again", "supervised", "job", "restarted"), WORKLOAD))
    check(seen, dict.fromkeys(("entered-again", "left"), EXEC))


HOOK: Final = f"{PREPARE}{FILE} sh -c 'until [ -e /tmp/go ]; do sleep 0.1; done' hook"
"""It ends only once the sensor has shown it, and so knows the container."""


def test_the_first_process_is_the_workload_though_a_hook_of_the_runtime_ran_in_its_container(
    image: str, seen: Collector, tmp_path: Path
) -> None:
    """Where joins are not seen it is unknown."""
    hook = {"path": "/bin/sh", "args": ["sh", "-c", HOOK]}
    made = {"version": "1.0.0", "hook": hook, "when": {"always": True}, "stages": ["startContainer"]}
    (tmp_path / "hook.json").write_text(json.dumps(made))
    with Podman(tmp_path, [f"--hooks-dir={tmp_path}"]) as podman:
        name = podman.create(image, "sh", "-c", f"{FILE} true after-hook; exec sleep 1000")
        starting = podman.background("start", name)
        waiting = seen.first(ends_with("hook")).process.pid
        Path(f"/proc/{waiting}/root/tmp/go").touch()
        starting.wait()
        podman.shell(name, f"{FILE} true after-hook-entered")
        found = [session_of_one(seen, word) for word in ("hook", "after-hook", "after-hook-entered")]
    assert isinstance(seen.capture, EbpfCapture)
    are_joins_seen = RECORD_OPENS in seen.capture.capabilities
    assert found == [None, "workload" if are_joins_seen else None, "exec"]


CROSSES: Final = "/bin/busybox nsenter --mount=/node/{pid}/ns/mnt " + FILE + " true "
"""Enters another container out of one that has the node's /proc as a volume."""


def test_a_process_of_the_workload_is_not_that_of_another_container(
    podman: Podman, image: str, seen: Collector
) -> None:
    """Also not at once, before the sensor knows its own container."""
    crosses = CROSSES.format(pid=podman.pid(running(podman, image)))
    for _ in range(STARTS):
        running(podman, image, f"(sleep 1; {crosses} crosses) & {crosses} crosses-at-once; ", ["/proc:/node"])
    check(seen, dict.fromkeys(("crosses", "crosses-at-once"), MAYBE))


def test_in_containers_older_than_the_sensor_only_their_own_first_process_is_the_workload(
    podman: Podman, image: str, enter: Path
) -> None:
    """Neither who made namespaces of their own there, before the sensor began or after, nor once it is elsewhere."""
    ways = ("newpid fork mnt:{a}", "mnt:{a} newmnt newpid fork", "newpid newmnt fork root:{a}")
    wait = f"until [ -e /tmp/go ]; do sleep 0.2; done; {FILE} true "
    name = running(podman, image, f"{wait} own; ")
    pid = podman.pid(name)
    crossing = running(
        podman, image, f"{wait} stays; {often(CROSSES.format(pid=pid) + 'crosses-later')}", ["/proc:/node"]
    )
    podman.shell(crossing, "true")
    before = [
        subprocess.Popen(
            [enter, *steps(way, pid, pid), "--", "/bin/sh", "-c", f": > /tmp/in-$0; {wait} 'before {way}'", str(number)]
        )
        for number, way in enumerate(ways * STARTS)
    ]
    for number in range(len(before)):
        wait_for(Path(f"/proc/{pid}/root/tmp/in-{number}"))
    collector = Collector(open_ebpf(runtimes=[PodmanRuntime()]))
    try:
        for way in ways * STARTS:
            subprocess.run([enter, *steps(way, pid, pid), "--", FILE, "true", f"after {way}"], check=True)
        for each in (name, crossing):
            podman.shell(each, "touch /tmp/go")
        check(collector, {f"{when} {way}": MAYBE for way in ways for when in ("before", "after")})
        check(collector, {"crosses-later": MAYBE})
        assert [session_of_one(collector, word) for word in ("own", "stays")] == ["workload", "workload"]
    finally:
        collector.close()
        for entered in before:
            entered.wait()


ENTERING: Final = (
    "/bin/busybox nsenter -t {pid} -m {file} true {who}-mnt; "
    "/bin/busybox nsenter -t {pid} -m -p {file} true {who}-pid; "
    "/bin/busybox nsenter -t {pid} -m unshare -m -p -f {file} true {who}-own; "
    "/proc/{pid}/root{file} true {who}-root; "
    "chroot /proc/{pid}/root {file} true {who}-chroot"
)
"""Ways into a container from one that sees its processes."""
ENTERED: Final = ("mnt", "pid", "own", "root", "chroot")


def test_in_pods_who_sees_the_processes_of_another_container_is_not_its_workload(
    node: Node, image: str, seen: Collector, enter: Path
) -> None:
    """An ephemeral container with a target (kubectl debug), a pod with the node's processes, or that shares its own."""

    def begin(pod: Pod, name: str, script: str, pids: int = OWN_PIDS, target: str = "") -> str:
        command = f"{PREPARE}{often(f'{FILE} true {name}')}{script}exec sleep 1000"
        return node.start(pod, name, image, "sh", "-c", command, privileged=True, pids=pids, target=target)

    def entering(pid: int, who: str) -> str:
        return often(ENTERING.format(pid=pid, file=FILE, who=who))

    pod = node.pod("target", "shop", {}, uid="ways-1", privileged=True)
    target = begin(pod, "app", "")
    check(seen, {"app": WORKLOAD})
    debugger = begin(pod, "debugger", entering(1, "debugger"), TARGET_PIDS, target)
    for number in range(STARTS):
        node.run(debugger, "/bin/sh", "-c", ENTERING.format(pid=1, file=FILE, who="person"))
        node.start(
            pod, f"at-once-{number}", image, *f"/bin/busybox nsenter -t 1 -m {FILE} true at-once".split(),
            privileged=True, pids=TARGET_PIDS, target=target,
        )  # fmt: skip
    on_node = node.pod("node", "shop", {}, uid="ways-2", privileged=True, pids=NODE_PIDS)
    begin(on_node, "agent", entering(node.pid(target), "agent"), NODE_PIDS)
    shared = node.pod("shared", "shop", {}, uid="ways-3", privileged=True, pids=POD_PIDS)
    begin(shared, "one", "", POD_PIDS)
    two = begin(shared, "two", "", POD_PIDS)
    for _ in range(STARTS):
        node.shell(two, f"{FILE} true two-entered")
    for way in ("mnt:{a} newmnt newpid fork", "mnt:{a} newmnt newpid sibling"):
        for _ in range(STARTS):
            subprocess.run([enter, *steps(way, node.pid(two), 0), "--", FILE, "true", f"two {way}"], check=True)
        check(seen, {f"two {way}": MAYBE})
    check(seen, {f"{who}-{way}": MAYBE for who in ("debugger", "person", "agent") for way in ENTERED})
    check(seen, {"at-once": MAYBE, "two-entered": MAYBE})
    check(seen, {name: {"workload", None} for name in ("debugger", "agent", "one", "two")})
