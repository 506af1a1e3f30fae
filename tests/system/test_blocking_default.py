"""A default rule that blocks, on real podman containers: it stops drift that no rule decides, and no image's program.

While it runs it blocks in every container of the machine, so nothing else may run any.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sensor.capture.ebpf import open_ebpf
from sensor.capture.errors import CaptureUnavailable
from tests.system import needs
from tests.system.blocking_bed import RAN, UNLIMITED, Bed, altered_busybox, block_rule
from tests.system.podman import BUSYBOX, Podman
from tests.unit.sensor.fake_portal import FakePortal

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.container

NEW_FILES = 50
IMAGE_RUNS = 300
TOUCHED = 20
NEW = "cat /bin/busybox > /tmp/busybox-{0}; echo {0} >> /tmp/busybox-{0}; chmod +x /tmp/busybox-{0}; "
EACH_NEW = f"for i in $(seq {NEW_FILES}); do {NEW.format('$i')} /tmp/busybox-$i echo {RAN}; rm /tmp/busybox-$i; done"


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
    return podman.image("blocked", {"/usr/bin/run": runner, "/usr/bin/busybox-tool": BUSYBOX})


@pytest.fixture(scope="module")
def bed(podman: Podman, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """A sensor under a policy whose only rule ignores the image `spared`, and whose default rule blocks."""
    with FakePortal().serving() as portal, Bed(podman, portal, tmp_path_factory.mktemp("bed")) as made:
        made.publish(_spared(podman), default="block")
        made.start("--kills-per-minute", UNLIMITED)
        yield made


def _spared(podman: Podman) -> dict[str, object]:
    image = {"operator": "starts_with", "value": f"localhost/{podman.prefix}/spared"}
    scope = [{"property": "image_name", "any_of": [image]}]
    return block_rule(podman, action="ignore", resource_scope=scope)


def test_new_files_and_memfds_print_nothing_and_are_reported_as_the_default_rule_s(bed: Bed, image: str) -> None:
    name = bed.warm(image)
    assert RAN not in bed.run(name, EACH_NEW)
    assert RAN not in bed.run(name, f"for i in $(seq {NEW_FILES}); do run memfd /bin/busybox echo {RAN}; done")
    events = bed.await_events("/tmp/busybox-", NEW_FILES) + bed.await_events("/memfd:", NEW_FILES)
    assert {(event.outcome, event.outcome_reason) for event in events} == {("blocked", "")}
    assert {event.decision and (event.decision.action, event.decision.rule) for event in events} == {
        ("block", "default")
    }


def test_no_program_of_the_image_is_stopped_touched_or_not(bed: Bed, image: str) -> None:
    name = bed.warm(image)
    assert bed.run(name, f"for i in $(seq {IMAGE_RUNS}); do /bin/echo {RAN}; done").count(RAN) == IMAGE_RUNS
    touched = f"for i in $(seq {TOUCHED}); do touch /bin/busybox; /bin/busybox echo {RAN}; done"
    assert bed.run(name, touched).count(RAN) == TOUCHED


def test_a_replaced_program_of_the_image_is_stopped(bed: Bed, image: str) -> None:
    name, tool = bed.warm(image), "/usr/bin/busybox-tool"
    out = bed.run(name, f"{tool} echo before; cp /tmp/busybox-probe {tool}; {tool} echo {RAN}; echo done")
    assert out == "before\ndone\n"


def test_a_new_file_that_is_a_container_s_first_exec_is_stopped(bed: Bed, image: str) -> None:
    bed.warm(image)
    name = bed.created(image, "/tmp/busybox-first", "echo", RAN)
    assert RAN not in bed.started(name)


def test_what_a_rule_above_ignores_runs(bed: Bed, podman: Podman, image: str) -> None:
    bed.warm(image)
    name = podman.run(podman.image("spared"))
    podman.cp(altered_busybox(podman), name, "/tmp/busybox-probe")
    assert bed.run(name, f"for i in $(seq 20); do /tmp/busybox-probe echo {RAN}; done").count(RAN) == 20


def test_a_script_runs_and_is_reported_as_a_kind_that_no_rule_names(bed: Bed, image: str) -> None:
    name = bed.warm(image)
    script = f"printf '#!/bin/sh\\necho {RAN}\\n' > /tmp/job; chmod +x /tmp/job; /tmp/job"
    assert RAN in bed.run(name, script)
    (event,) = bed.await_events("/tmp/job", 1)
    assert (event.kind, event.outcome, event.outcome_reason) == ("script", "not_blocked", "kind_not_named")


def test_it_ends_with_the_policy(bed: Bed, podman: Podman, image: str) -> None:
    name = bed.warm(image)
    bed.publish(_spared(podman), default="alert")
    bed.until(lambda: RAN in bed.run(name, f"/tmp/busybox-probe echo {RAN}"))
