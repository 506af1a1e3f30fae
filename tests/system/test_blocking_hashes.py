"""Files that are stopped and unlinked as they start: each kill is reported with the hash of what was stopped."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import bench
from tests.system import needs
from tests.system.blocking_bed import UNLIMITED, Bed, block_rule
from tests.unit.sensor.fake_portal import FakePortal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.system.podman import Podman

pytestmark = pytest.mark.container

COUNT = 200
STORM = str(Path(bench.__file__).with_name("sensor_storm.c"))


@pytest.fixture(scope="module")
def bed(podman: Podman, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    with FakePortal().serving() as portal, Bed(podman, portal, tmp_path_factory.mktemp("hashes")) as made:
        made.publish(block_rule(podman))
        made.start("--kills-per-minute", UNLIMITED)
        yield made


def test_each_kill_is_reported_with_its_hash(bed: Bed, tmp_path: Path) -> None:
    programs: dict[str, str | Path] = {
        "/small": needs.tool(tmp_path / "small", "-static", "-nostdlib", "-DSMALL", source=STORM),
        "/storm": needs.tool(tmp_path / "storm", source=STORM),
    }
    name = bed.warm(bed.podman.image("blocked-storm", programs))
    bed.run(name, f"/storm unlink {COUNT} /small")
    events = bed.await_events("/tmp/storm-unlinked", COUNT)
    assert Counter((event.outcome, event.process.hash_status) for event in events) == {("blocked", "ok"): COUNT}
    assert len({event.process.sha256 for event in events}) == COUNT
