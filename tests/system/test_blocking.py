"""Drift that a rule blocks never runs, on real podman containers; whatever else happens, what is not drift does.

`BLOCKING_FULL=1` runs the counts of issue 6; without it some are taken at a tenth.
"""

from __future__ import annotations

import hashlib
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sensor.capture.ebpf import open_ebpf
from sensor.capture.errors import CaptureUnavailable
from tests.system import needs
from tests.system.blocking_bed import RAN, UNLIMITED, Bed, altered_busybox, block_rule, kinds
from tests.system.podman import BUSYBOX, Podman
from tests.unit.sensor.fake_portal import FakePortal

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.container

FULL = os.environ.get("BLOCKING_FULL") == "1"
NEW_FILES = 1_000 if FULL else 100
IMAGE_RUNS = 10_000 if FULL else 500
TOUCHED = 1_000 if FULL else 100
FLOOD = 300
"""New files at once."""
COLD = 50 if FULL else 5


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    try:
        open_ebpf(ring_bytes=64 * 1024).close()
    except CaptureUnavailable as error:
        pytest.skip(str(error))
    with needs.podman_in(tmp_path_factory.mktemp("podman")) as bed:
        yield bed


@pytest.fixture(scope="module")
def image(podman: Podman, tmp_path_factory: pytest.TempPathFactory) -> str:
    runner = needs.tool(tmp_path_factory.mktemp("tools") / "run")
    return podman.image(
        "blocked",
        {"/usr/bin/run": runner, "/opt/entry.sh": "#!/bin/sh\necho image script\n", "/usr/bin/busybox-tool": BUSYBOX},
    )


@pytest.fixture
def bed(podman: Podman, tmp_path: Path) -> Iterator[Bed]:
    with FakePortal().serving() as portal, Bed(podman, portal, tmp_path) as made:
        yield made


def _block(bed: Bed) -> Bed:
    """Start a sensor that blocks all drift in the test bed."""
    bed.publish(block_rule(bed.podman))
    bed.start("--kills-per-minute", UNLIMITED)
    return bed


@pytest.fixture
def blocking(bed: Bed) -> Bed:
    """A sensor of this test alone, which it may freeze, kill or give another policy."""
    return _block(bed)


@pytest.fixture(scope="class")
def shared(podman: Podman, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    with FakePortal().serving() as portal, Bed(podman, portal, tmp_path_factory.mktemp("shared")) as made:
        yield _block(made)


@pytest.fixture
def steady(shared: Bed) -> Bed:
    """The sensor that the tests of a class share; each test uses its own containers."""
    shared.turn_to_new_containers()
    return shared


NEW = "cat /bin/busybox > /tmp/busybox-{0}; echo {0} >> /tmp/busybox-{0}; chmod +x /tmp/busybox-{0}; "
DROPPED = f"{NEW.format('open')} /tmp/busybox-open echo {RAN}; rm /tmp/busybox-open"
ON_ANOTHER = f"cat /tmp/busybox-probe > {{0}}/busybox-x; chmod +x {{0}}/busybox-x; {{0}}/busybox-x echo {RAN}"
EACH_NEW = f"for i in $(seq {NEW_FILES}); do {NEW.format('$i')} /tmp/busybox-$i echo {RAN}; rm /tmp/busybox-$i; done"


class TestNormalOperation:
    """These tests share one sensor: none disturbs it."""

    def test_no_new_file_prints_anything_in_a_warm_container(self, steady: Bed, image: str) -> None:
        name = steady.warm(image)
        assert RAN not in steady.run(name, EACH_NEW)
        steady.await_events("/", NEW_FILES)
        assert steady.count("/", "blocked") >= NEW_FILES

    def test_no_memfd_prints_anything_in_a_warm_container(self, steady: Bed, image: str) -> None:
        name = steady.warm(image)
        assert RAN not in steady.run(name, f"for i in $(seq {NEW_FILES}); do run memfd /bin/busybox echo {RAN}; done")
        steady.await_events("/memfd:", NEW_FILES)
        assert steady.count("/memfd:", "blocked") == NEW_FILES

    def test_a_killed_exec_is_reported_in_full(self, steady: Bed, image: str) -> None:
        name = steady.warm(image)
        steady.run(name, f"{NEW.format('told')} cd /tmp; ./busybox-told echo {RAN} now")
        (event,) = steady.await_events("/tmp/busybox-told", 1)
        assert (event.kind, event.outcome, event.outcome_reason) == ("new_file", "blocked", "")
        assert (event.process.argv, event.process.cwd) == (["./busybox-told", "echo", RAN, "now"], "/tmp")
        assert event.process.hash_status == "ok"
        assert event.container.name == name
        assert event.decision is not None
        assert (event.decision.action, event.decision.policy_number) == ("block", 1)

    def test_no_image_binary_is_killed(self, steady: Bed, image: str) -> None:
        name = steady.warm(image)
        out = steady.run(name, f"for i in $(seq {IMAGE_RUNS}); do /bin/echo {RAN}; done")
        assert out.count(RAN) == IMAGE_RUNS

    def test_no_touched_image_file_is_killed(self, steady: Bed, image: str) -> None:
        name = steady.warm(image)
        script = f"for i in $(seq {TOUCHED}); do touch /bin/busybox; /bin/busybox echo {RAN}; /opt/entry.sh; done"
        out = steady.run(name, script)
        assert (out.count(RAN), out.count("image script")) == (TOUCHED, TOUCHED)

    def test_a_file_on_a_mount_made_inside_is_stopped(self, steady: Bed, image: str) -> None:
        name = steady.warm(image, options=["--privileged"])
        assert RAN not in steady.run(name, f"mkdir /mnt; mount -t tmpfs x /mnt; {ON_ANOTHER.format('/mnt')}")
        (event,) = steady.await_events("/mnt/", 1)
        assert (event.kind, event.outcome) == ("foreign_mount", "blocked")

    def test_an_image_file_that_was_replaced_is_stopped(self, steady: Bed, image: str) -> None:
        name = steady.warm(image)
        tool = "/usr/bin/busybox-tool"
        out = steady.run(name, f"{tool} echo before; cp /tmp/busybox-probe {tool}; {tool} echo {RAN}; echo done")
        assert out == "before\ndone\n"
        (event,) = steady.await_events(tool, 1)
        assert (event.kind, event.outcome) == ("replaced", "blocked")

    def test_a_new_file_by_a_name_that_the_image_has_elsewhere_is_stopped(self, steady: Bed, image: str) -> None:
        name = steady.warm(image)
        tool = "/tmp/busybox-tool"
        out = steady.run(name, f"cat /tmp/busybox-probe > {tool}; chmod +x {tool}; {tool} echo {RAN}; echo done")
        assert out == "done\n"

    def test_a_new_file_that_is_a_container_s_first_exec_is_stopped(self, steady: Bed, image: str) -> None:
        name = steady.created(image, "/tmp/busybox-first", "echo", RAN)
        steady.warm(image)
        for _ in range(COLD):
            assert RAN not in steady.started(name)
        events = steady.await_events("/tmp/busybox-first", COLD)
        assert {event.container.name for event in events} == {name}
        assert steady.count("/tmp/busybox-first", "blocked") == COLD

    def test_a_new_file_with_an_image_file_s_name_that_is_the_first_exec_is_stopped(
        self, steady: Bed, image: str
    ) -> None:
        name = steady.created(image, "/tmp/busybox-tool", "echo", RAN)
        steady.warm(image)
        for _ in range(COLD):
            assert RAN not in steady.started(name)

    def test_a_memfd_as_first_exec_is_reported_with_its_outcome(self, steady: Bed, image: str) -> None:
        steady.warm(image)
        name = steady.podman.create(image, "/usr/bin/run", "memfd", "/bin/busybox", "echo", RAN)
        outcomes = [("not_blocked", "cold") if RAN in steady.started(name) else ("blocked", "") for _ in range(COLD)]
        steady.await_events("/memfd:", COLD)
        assert steady.count("/memfd:", "not_blocked", "cold") == outcomes.count(("not_blocked", "cold"))
        assert steady.count("/memfd:", "blocked") == outcomes.count(("blocked", ""))

    def test_a_container_that_no_rule_names_is_left_alone(self, steady: Bed, podman: Podman) -> None:
        name = podman.run(podman.image("free"))
        assert steady.run(name, f"for i in $(seq 20); do {DROPPED}; done").count(RAN) == 20
        steady.await_events("/tmp/busybox-open", 20)
        assert steady.count("/tmp/busybox-open", "none") == 20


class TestOtherFilesystems:
    def test_a_file_on_a_volume_is_stopped_only_where_a_rule_names_it(self, blocking: Bed, image: str) -> None:
        name = blocking.warm(image, tmpfs=["/scratch:exec"])
        assert RAN in blocking.run(name, ON_ANOTHER.format("/scratch"))
        (event,) = blocking.await_events("/scratch/", 1)
        assert (event.kind, event.outcome, event.outcome_reason) == ("volume", "not_blocked", "kind_not_named")
        named = block_rule(blocking.podman, process_scope=kinds("volume", "foreign_mount"))
        blocking.publish(named)
        blocking.until(lambda: RAN not in blocking.run(name, ON_ANOTHER.format("/scratch")))

    def test_an_image_volume_s_own_file_never_is(self, blocking: Bed, image: str) -> None:
        podman = blocking.podman
        model = podman.image("model", {"/busybox-model": altered_busybox(podman)})
        mount = f"--mount=type=image,source={model},destination=/model,rw=true"
        other, name = blocking.warm(image, tmpfs=["/scratch:exec"]), podman.run(image, options=[mount])
        blocking.publish(block_rule(podman, process_scope=kinds("volume", "foreign_mount")))
        blocking.until(lambda: RAN not in blocking.run(other, ON_ANOTHER.format("/scratch")))
        run = f"for i in $(seq 50); do /model/busybox-model echo {RAN}; done"
        assert blocking.run(name, f"{run}; touch /model/busybox-model; {run}").count(RAN) == 100


class TestHeld:
    def test_only_files_with_an_allowed_hash_run(self, bed: Bed, image: str) -> None:
        digest = hashlib.sha256(altered_busybox(bed.podman).read_bytes()).hexdigest()
        bed.publish(block_rule(bed.podman, allow_list=[f"sha256:{digest}"]))
        bed.start("--kills-per-minute", UNLIMITED)
        name = bed.podman.run(image)
        bed.podman.cp(altered_busybox(bed.podman), name, "/tmp/busybox-allowed")
        script = "cp /tmp/busybox-allowed /tmp/busybox-other; echo >> /tmp/busybox-other; "
        script += f"for i in $(seq 20); do /tmp/busybox-allowed echo {RAN}; /tmp/busybox-other echo NO; done"
        out = bed.run(name, script)
        assert (out.count(RAN), out.count("NO")) == (20, 0)
        bed.await_events("/tmp/busybox-other", 20)
        assert bed.count("/tmp/busybox-other", "blocked") == 20

    def test_scripts_are_stopped_only_where_a_rule_names_them(self, bed: Bed, image: str) -> None:
        bed.publish(block_rule(bed.podman))
        bed.start("--kills-per-minute", UNLIMITED)
        name = bed.warm(image)
        drop = (
            f"printf '#!/bin/sh\\necho {RAN}\\n' > /tmp/drop-{{0}}.sh; chmod +x /tmp/drop-{{0}}.sh; /tmp/drop-{{0}}.sh"
        )
        assert RAN in bed.run(name, drop.format(1))
        (event,) = bed.await_events("/tmp/drop-1", 1)
        assert (event.kind, event.outcome, event.outcome_reason) == ("script", "not_blocked", "kind_not_named")
        bed.publish(block_rule(bed.podman, process_scope=kinds("script")))
        bed.until(lambda: RAN not in bed.run(name, drop.format(2)))
        assert "image script" in bed.run(name, "/opt/entry.sh")

    def test_an_image_s_script_that_its_runtime_starts_never_is(self, bed: Bed, image: str) -> None:
        """What the runtime's own process ran until then is no script of that exec."""
        bed.publish(block_rule(bed.podman))
        bed.start("--kills-per-minute", UNLIMITED)
        name, entry = bed.warm(image), "/opt/entry.sh"
        bed.publish(block_rule(bed.podman, process_scope=kinds("script")))
        drop = f"printf '#!/bin/sh\necho {RAN}\n' > /tmp/drop.sh; chmod +x /tmp/drop.sh; /tmp/drop.sh; rm /tmp/drop.sh"
        bed.until(lambda: RAN not in bed.run(name, drop))
        entered = [bed.podman.command("exec", name, entry, check=False).stdout for _ in range(COLD)]
        started = [bed.started(bed.podman.create(image, entry)) for _ in range(COLD)]
        assert (entered, started) == ([b"image script\n"] * COLD, ["image script\n"] * COLD)
        bed.run(name, drop)
        bed.await_events("/tmp/drop", 2)
        assert {event.process.path for event in bed.events("/")} <= {"/tmp/drop.sh", "/tmp/busybox-probe"}


class TestFailsOpen:
    """With a rule that blocks everything, so that each exec is held or stopped in normal operation."""

    def test_a_frozen_sensor_stops_and_holds_nothing(self, blocking: Bed, image: str) -> None:
        name = blocking.warm(image)
        blocking.signal(signal.SIGSTOP)
        blocking.until(lambda: RAN in blocking.run(name, DROPPED))
        assert "image script" in blocking.run(name, "/opt/entry.sh; busybox-tool true")
        blocking.signal(signal.SIGCONT)
        blocking.until(lambda: RAN not in blocking.run(name, DROPPED))

    def test_events_from_that_time_report_that_they_were_not_blocked(self, blocking: Bed, image: str) -> None:
        name = blocking.warm(image)
        blocking.signal(signal.SIGSTOP)
        blocking.until(lambda: RAN in blocking.run(name, DROPPED))
        blocking.signal(signal.SIGCONT)
        blocking.until(lambda: blocking.count("/tmp/busybox-open", "not_blocked", "timeout") >= 1)

    def test_after_kill_9_everything_runs(self, blocking: Bed, image: str) -> None:
        name = blocking.warm(image)
        blocking.kill()
        blocking.until(lambda: RAN in blocking.run(name, DROPPED))
        assert "image script" in blocking.run(name, "/opt/entry.sh; busybox-tool true")

    def test_after_a_clean_stop_everything_runs_at_once_though_pins_are_kept(self, bed: Bed, image: str) -> None:
        bed.publish(block_rule(bed.podman))
        bed.start("--kills-per-minute", UNLIMITED, "--keep-pins")
        name = bed.warm(image)
        bed.stop()
        assert RAN in bed.run(name, DROPPED)
        bed.start()
        bed.stop()

    def test_a_frozen_hold_server_is_killed_and_restarted(self, blocking: Bed, image: str) -> None:
        name = blocking.warm(image)
        frozen = blocking.holder()
        os.kill(frozen, signal.SIGSTOP)
        tool = "/usr/bin/busybox-tool"
        assert "image" in blocking.run(name, f"touch {tool}; {tool} echo image")
        blocking.until(lambda: not Path(f"/proc/{frozen}").exists())
        replace = f"cat /tmp/busybox-probe > {tool}; {tool} echo {RAN}"
        blocking.until(lambda: RAN not in blocking.run(name, replace))


class TestKillLimit:
    def test_past_it_neither_the_same_file_nor_a_new_one_runs(self, bed: Bed, image: str) -> None:
        bed.publish(block_rule(bed.podman))
        bed.start("--kills-per-minute", "10")
        name = bed.warm(image)
        again = f"{NEW.format('same')} for i in $(seq 40); do /tmp/busybox-same echo {RAN}; done; rm /tmp/busybox-same"
        assert RAN not in bed.run(name, f"{again}; for i in $(seq 40); do {DROPPED}; done")
        assert RAN not in bed.run(name, EACH_NEW)
        for path, number in (("/tmp/busybox-same", 40), ("/tmp/busybox-open", 40), ("/tmp/busybox-", 80 + NEW_FILES)):
            bed.await_events(path, number)
            assert bed.count(path, "blocked") >= number
        assert bed.count("/tmp/", "not_blocked", "kill_limit") == 0

    def test_past_it_nothing_runs_in_a_flood_of_new_files_with_an_image_file_s_name(self, bed: Bed, image: str) -> None:
        """More at once than can be checked in time on a busy node: below the limit some run as `timeout`."""
        bed.publish(block_rule(bed.podman))
        bed.start("--kills-per-minute", "10")
        name, tool = bed.warm(image), "/usr/bin/busybox-tool"
        change = f"cat /tmp/busybox-probe > {tool}; echo $i >> {tool}; {tool} echo {RAN}"
        assert RAN not in bed.run(name, f"for i in $(seq 40); do {change}; done")
        bed.await_events(tool, 40)
        drop = "mkdir /tmp/d$i; cat /tmp/busybox-probe > /tmp/d$i/busybox-tool; echo $i >> /tmp/d$i/busybox-tool"
        each = f"for i in $(seq {FLOOD}); do"
        bed.run(name, f"{each} {drop}; chmod +x /tmp/d$i/busybox-tool; done")
        assert RAN not in bed.run(name, f"{each} /tmp/d$i/busybox-tool echo {RAN} & done; wait")
        assert bed.run(name, "touch /opt/entry.sh; for i in $(seq 20); do /opt/entry.sh; done").count("script") == 20
        bed.await_events("/tmp/d", FLOOD)
        assert (bed.count("/tmp/d", "blocked"), bed.count(tool, "blocked")) == (FLOOD, 40)

    def test_a_rule_that_stops_much_in_many_workloads_blocks_nothing_for_now(self, bed: Bed, image: str) -> None:
        rule = block_rule(bed.podman)
        bed.publish(rule)
        bed.start("--kills-per-minute", "5", "--workloads-per-rule", "3")
        names = [bed.warm(image) for _ in range(4)]
        six = " ".join(f"{NEW.format(number)} /tmp/busybox-{number} echo {RAN};" for number in range(6))
        assert RAN not in bed.run(names[0], six)
        assert RAN not in bed.run(names[1], six)
        bed.run(names[2], six)
        bed.until(lambda: RAN in bed.run(names[3], DROPPED))
        assert RAN in bed.run(names[0], DROPPED)
        bed.until(lambda: bed.count("/tmp/busybox-open", "not_blocked", "kill_limit") >= 2)
        bed.until(lambda: bool(bed.portal.heartbeats[-1].paused_rules))
        assert [(each.rule, each.workloads) for each in bed.portal.heartbeats[-1].paused_rules] == [(rule["id"], 3)]
        bed.publish(block_rule(bed.podman, name="Test bed, changed"))
        bed.until(lambda: RAN not in bed.run(names[3], DROPPED))


class TestStopAllBlocking:
    def test_it_is_applied_and_reported_and_can_be_resumed(self, blocking: Bed, image: str) -> None:
        name = blocking.warm(image)
        blocking.publish(block_rule(blocking.podman), stopped=True)
        blocking.until(lambda: RAN in blocking.run(name, DROPPED))
        blocking.until(lambda: blocking.count("/tmp/busybox-open", "not_blocked", "stopped") >= 1)
        blocking.publish(block_rule(blocking.podman))
        blocking.until(lambda: RAN not in blocking.run(name, DROPPED))
