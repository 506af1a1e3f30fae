"""What was dropped in the second and third set alerts, and has its right writer or none.

The rules and their limits are those of `tests/system/capture/test_drops.py`; scripts/vm-provenance.sh tries these drops
where writers may be the image's.
"""

from __future__ import annotations

import tarfile
from typing import TYPE_CHECKING, Final

import pytest

from drift.policy.domain.starter_rules import starter_rules
from sensor import wire
from sensor.capture.ebpf import open_ebpf
from sensor.container.podman import PodmanRuntime
from sensor.policy import Policy, compile_policy, default_document
from tests.system.capture.bed import Collector
from tests.system.debian_root import write_root
from tests.system.drops import goes_by_provenance
from tests.system.second_drops import SETS, Drop, read_drops, write_drops
from tests.system.vm.workloads import CI_JOB

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.system.podman import Podman

pytestmark = pytest.mark.container

EVERY: Final = [
    (f"/drops/{name}/{number}.sh", drop)
    for name, source in SETS.items()
    for number, drop in enumerate(read_drops(source))
]
"""Each drop with its script."""


@pytest.fixture(scope="module")
def image(podman: Podman, tmp_path_factory: pytest.TempPathFactory) -> str:
    root = tmp_path_factory.mktemp("debian") / "root"
    write_root(root)
    write_drops(root / "drops", root / "payload")
    archive = root.with_suffix(".tar")
    with tarfile.open(archive, "w") as tar:
        tar.add(root, arcname=".")
    return podman.imported("second-drops", archive)


@pytest.fixture(scope="module")
def seen(podman: Podman, image: str) -> Iterator[Collector]:
    """What runs once all drops were tried: by a container's own process, and by who entered another one."""
    capture = open_ebpf(runtimes=[PodmanRuntime()])
    capture.detect(["interpreter"])
    collector = Collector(capture)
    own = "; ".join(f"({drop.command(script)})" for script, drop in EVERY if drop.by == "workload")
    podman.run(image, "/bin/sh", "-c", f"{own}; exec sleep 1000", options=["--privileged"])
    # One of its own: two dpkg in one container wait for each other's lock.
    entered = podman.run(image, "/bin/sleep", "1000", options=["--privileged"])
    for script, drop in EVERY:
        if drop.by == "exec":
            podman.shell(entered, drop.command(script), check=False)
    yield collector
    collector.close()


@pytest.fixture(scope="module")
def policy() -> Policy:
    chosen = [each for each in starter_rules() if goes_by_provenance(each.rule)]
    rules = [{**each.rule, "enabled": True, "id": each.key} for each in chosen]
    assert any(rule["action"] == "ignore" for rule in rules)
    return compile_policy({**default_document(), "rules": rules, "default": {"action": "alert"}})


@pytest.mark.parametrize("drop", [drop for _, drop in EVERY], ids=lambda drop: drop.name)
def test_a_drop_alerts_and_has_its_writer_or_none(seen: Collector, policy: Policy, drop: Drop) -> None:
    event = seen.first(lambda each: drop.is_run(each.process.path))
    assert policy.decide({**wire.flatten(event, "aws", "1", "ci"), **CI_JOB}).action == "alert"
    known = event.process.provenance
    assert known is None or drop.may_be_written_by(known.written_by_name)
    assert known is None or known.session in (drop.by, None)
