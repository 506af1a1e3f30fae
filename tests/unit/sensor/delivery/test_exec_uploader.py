"""Reports of what containers executed reach the portal; one that does not take them costs nothing else."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import TYPE_CHECKING

import msgspec
import pytest

from sensor import wire
from sensor.delivery.client import PortalClient
from sensor.delivery.exec_uploader import ExecUploader
from sensor.delivery.lifecycle import Lifecycle
from sensor.delivery.spool import Spool
from tests.unit.sensor.fake_portal import CREDENTIAL, Answer, FakePortal, refused

if TYPE_CHECKING:
    from pathlib import Path

EXECS = "sensors/me/execs"
AT = dt.datetime(2026, 11, 24, 8, 15, tzinfo=dt.UTC)


class Sending:
    def __init__(self, directory: Path, portal: FakePortal) -> None:
        self.portal, self.spool, self.lifecycle = portal, Spool(directory / "execs"), Lifecycle()
        self.waits: list[float] = []
        self.lifecycle.pause = self.waits.append  # type: ignore[method-assign,assignment]
        self.wanted = True
        client = PortalClient(portal.url, CREDENTIAL)
        self.uploader = ExecUploader(client, self.spool, self.lifecycle, is_wanted=lambda: self.wanted)

    def put(self, reports: int) -> None:
        made = [
            wire.ExecReport(f"c{number}", [wire.ContainerExec(uuid.UUID(int=number), AT, 1, "/bin/sh")])
            for number in range(reports)
        ]
        assert self.spool.append([msgspec.json.encode(each) for each in made]) == reports

    def deliver(self) -> None:
        while self.spool.waiting:
            self.uploader.step()

    def arrived(self) -> list[str]:
        return [report.container_id for report in self.portal.exec_reports]


@pytest.fixture
def sending(tmp_path: Path, portal: FakePortal) -> Sending:
    return Sending(tmp_path, portal)


def test_reports_arrive_in_order_and_in_bounded_batches(sending: Sending) -> None:
    sending.put(150)
    sending.deliver()
    assert sending.arrived() == [f"c{number}" for number in range(150)]
    assert [path for path, _ in sending.portal.calls] == [EXECS] * 3


@pytest.mark.parametrize("answer", [refused(503, "unavailable"), refused(429, "busy"), refused(403, "environment_off")])
def test_after_an_error_the_same_reports_are_sent_again(sending: Sending, answer: Answer) -> None:
    sending.put(2)
    sending.portal.script[EXECS] = [answer] * 3
    sending.deliver()
    assert sending.arrived() == ["c0", "c1"]
    assert len(sending.waits) == 3
    assert sending.uploader.dropped == 0


@pytest.mark.parametrize("answer", [refused(404, "not_found"), refused(422, "invalid"), refused(413, "too_large")])
def test_a_portal_that_does_not_take_them_is_not_asked_again(sending: Sending, answer: Answer) -> None:
    sending.put(3)
    sending.portal.script[EXECS] = [answer]
    sending.deliver()
    assert sending.arrived() == []
    assert len(sending.portal.calls) == 1
    assert sending.uploader.dropped == 3


def test_what_is_not_wanted_any_more_is_dropped_unsent(sending: Sending) -> None:
    sending.put(3)
    sending.wanted = False
    sending.deliver()
    assert sending.portal.calls == []
