"""kill -9 of the sender and of the receiver while records flow: none is lost, repeats have the same id."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

from drift.alerts.models import Alert, AlertActivity
from drift.siem.models import SiemDestination
from tests.results import Figure
from tests.system.stack import ROOT, eventually, free_port
from tests.unit.drift.alerts.conftest import Estate
from tests.unit.drift.siem.conftest import drift

pytestmark = [pytest.mark.services, pytest.mark.serial, pytest.mark.django_db(transaction=True)]
RECORDS = 100_000 if os.environ.get("DRIFTWATCH_LONG") else 4_000
PATIENCE = 3_000 if os.environ.get("DRIFTWATCH_LONG") else 250
KILLS = 40 if os.environ.get("DRIFTWATCH_LONG") else 6


class Program:
    """A program that is killed and started again."""

    def __init__(self, module: str, *arguments: object) -> None:
        self._command = [sys.executable, "-m", f"tests.unit.drift.siem.{module}", *map(str, arguments)]
        database: dict[str, Any] = settings.DATABASES["default"]
        options = database["OPTIONS"].get("options", "")
        url = (
            f"postgresql:///{database['NAME']}?host={database['HOST']}&user={database['USER']}&port={database['PORT']}"
        )
        self._env = {
            **os.environ,
            "DATABASE_URL": f"{url}&options={options.replace(' ', '%20').replace('=', '%3D')}",
            "MIGRATION_DATABASE_URL": "",
            "NOTIFY_ALLOW_HTTP": "true",
            "NOTIFY_ALLOW_PRIVATE": "true",
        }
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, cwd=ROOT, env=self._env)

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[list[Program]]:
    made: list[Program] = []
    yield made
    for each in made:
        each.kill()


def test_nothing_is_lost_when_sender_and_receiver_are_killed(
    estate: Estate, to: Callable[..., SiemDestination], tmp_path: Path, programs: list[Program], figure: Figure
) -> None:
    port, file = free_port(), tmp_path / "stored"
    file.touch()
    row = to(transport="tcp", host="127.0.0.1", port=port, file_name="")
    drift(estate, "xmrig")
    alert = Alert.objects.get()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO alerts_alertactivity (alert_id, at, kind, text)"
            " SELECT %s, now() + number * interval '1 microsecond', 'spread', '' FROM generate_series(2, %s) AS number",
            [alert.pk, RECORDS],
        )
    receiver, sender = Program("kill_receiver", port, file), Program("kill_sender", row.pk)
    programs += [receiver, sender]

    def stored() -> int:
        assert receiver.is_running and sender.is_running
        return file.read_bytes().count(b"\n")

    choose = random.Random(15)
    for number in range(KILLS):
        # Somewhere in the middle of a batch, wherever the machine is by then.
        some = min(stored() + choose.randrange(50, RECORDS // KILLS), RECORDS - 1)
        eventually(lambda some=some: stored() >= some, f"{some:,} records", seconds=120, pause=0.002)  # type: ignore[misc]
        victim = (receiver, sender)[number % 2]
        victim.kill()
        victim.start()

    last = AlertActivity.objects.latest("pk").pk

    def is_done() -> bool:
        row.refresh_from_db()
        return row.cursor == last

    eventually(is_done, "the cursor is at the last record", seconds=PATIENCE)
    lines = file.read_text().splitlines()
    whole = {line for line in lines if len(line) == 36}
    lost = RECORDS - len(whole)
    figure(f"records through {KILLS} kills", f"{lost} of {RECORDS:,} lost", goal="0", kept=not lost)
    assert not lost
    assert len([line for line in lines if line]) > RECORDS, "no kill met a batch"
