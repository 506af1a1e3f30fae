"""An alert's story follows from the processes around it, and what is rarely harmless comes first."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from drift.alerts.domain.incident_story import LABELS, Story, event_story, incident_name
from sensor import wire
from tests.unit.drift.alerts.conftest import event, now


def around(*names: str, writer: str = "", kind: str = "new_file", **known: str) -> wire.Event:
    """Return an event whose parent and ancestors have these names, nearest first."""
    above = [{"name": name, "pid": 100 + place} for place, name in enumerate(names)]
    written: Any = {"name": writer, "pid": 9, "at": now().isoformat()} if writer else None
    sent = event(
        kind=kind,
        process__parent=above[0] if above else None,
        process__ancestors=above[1:],
        process__written_by=written,
        process__provenance=known or None,
    )
    return msgspec.convert(sent, wire.Event, strict=False)


STORIES = {
    Story.PACKAGE_INSTALL: [
        around("dpkg", "apt", "bash"),
        around("sh", "apt-get"),
        around("node", "npm install esbuild", "sh"),
        around("containerd-shim", writer="dpkg"),
        around("bash", writer="pip"),
    ],
    Story.BUILD: [
        around("make", "bash"),
        around("go", "sh"),
        around("bash", writer="ld"),
        around("java", "gradle"),
        around("bash", writer="rustc"),
        around("sh", writer="gcc-14"),
    ],
    Story.DOWNLOAD: [
        around("bash", writer="curl"),
        around("dpkg", "apt", writer="wget"),
        around("nginx", writer="curl"),
        around("sh", writer="busybox"),
    ],
    Story.MEMORY: [around("dpkg", "apt", kind="fileless"), around("bash", writer="curl", kind="fileless")],
    Story.SERVICE: [
        around("sh", "nginx"),
        around("php-fpm"),
        around("apt", "sh", "nginx"),
        around("java"),
        around("sh", "node", "containerd-shim"),
        around("bash", "python3.12"),
        around("sh", "php-fpm8.2"),
        around("sh", "clickhouse-server"),
    ],
    Story.HAND_INSTALL: [
        around("dpkg", "apt", "bash", session="exec"),
        around("bash", writer="pip", session="exec"),
    ],
    Story.SESSION: [
        around("bash"),
        around("bash", "su", "bash", "containerd-shim"),
        around("sh", "make", session="exec"),
        around("bash", writer="dpkg", writer_origin="drift"),
        around("sh", writer="cp", session="exec"),
    ],
    Story.OTHER: [
        around(),
        around("containerd-shim"),
        around("sh"),
        around("worker"),
        around("worker", "bash"),
        around("apt-helper"),
    ],
}


@pytest.mark.parametrize("story", Story)
def test_the_processes_around_it_tell_an_alerts_story(story: Story) -> None:
    assert [event_story(each) for each in STORIES[story]] == [story] * len(STORIES[story])


def test_every_story_has_a_label_and_names_an_incident() -> None:
    assert set(LABELS) == set(Story)
    assert incident_name("package_install", "ci/runner", "214") == "Package install in ci/runner, 214 files"
    assert incident_name("", "ci/runner", "2") == "Incident in ci/runner, 2 files"
    assert incident_name("", "ci/runner", "1") == "Incident in ci/runner, 1 file"
