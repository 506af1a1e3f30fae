"""A worker runs what the portal signed, and nothing that somebody else put into Redis."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.conf import settings
from django.db import connection

from drift.queue import redis_client
from portal.celery import app
from portal.task_signatures import MAX_AGE, rejection, sign

ROOT = Path(__file__).resolve().parents[3]
KEY = "the key"
BODY = "[[5], {}, {}]"
QUEUE = "celery"


def signed(**changes: Any) -> dict[str, Any]:
    headers: dict[str, Any] = {"task": "fleet.sweep", "id": "1", "eta": None, "timelimit": [None, None], **changes}
    sign(headers, BODY, KEY)
    return headers


def test_a_signed_message_is_accepted_from_this_key_and_from_the_one_before() -> None:
    assert rejection(signed(), BODY, [KEY]) == ""
    assert rejection(signed(), BODY.encode(), ["a newer key", KEY]) == ""
    assert rejection({**signed(), "redelivered": True}, BODY, [KEY]) == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"task": "accounts.send_reset"},
        {"id": "2"},
        {"eta": "2030-01-01T00:00:00"},
        {"timelimit": [1, 1]},
        {"expires": "2030-01-01T00:00:00"},
        {"compression": "application/x-bzip2"},
        {"signed_at": 10**10},
        {"signature": "0" * 64},
        {"signature": ""},
        {"signature": None},
        {"signature": 5},
        {"signature": "ä"},
        {"signature": ["x"]},
    ],
    ids=str,
)
def test_nothing_of_a_signed_message_can_be_changed(changes: dict[str, Any]) -> None:
    assert rejection({**signed(), **changes}, BODY, [KEY])


@pytest.mark.parametrize("body", ["[[6], {}, {}]", "[[5], {}, {}] ", "", b"\xff"])
def test_nor_its_arguments(body: str | bytes) -> None:
    assert rejection(signed(), body, [KEY])


@pytest.mark.parametrize("headers", [None, {}, {"task": "fleet.sweep"}])
def test_what_is_not_signed_is_refused(headers: dict[str, Any] | None) -> None:
    assert rejection(headers, BODY, [KEY]) == "it is not signed"


def test_a_signature_of_half_a_surrogate_pair_is_wrong_and_stops_no_worker() -> None:
    headers = {"id": "1", "signature": "\ud800", "signed_at": 0}

    assert rejection(headers, BODY, ["new"]) == "its signature is wrong"


def test_a_message_of_another_key_or_of_the_day_before_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    headers = signed()
    assert rejection(headers, BODY, ["another key"])
    later = time.time() + MAX_AGE + 1
    monkeypatch.setattr(time, "time", lambda: later)
    assert rejection(headers, BODY, [KEY]) == "it was signed more than a day ago"


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Path]:
    """A worker of the tests' Valkey; its log."""
    log = tmp_path / "worker.log"
    values = connection.settings_dict
    env = {
        **os.environ,
        "SECRET_KEY": settings.SECRET_KEY,
        "DATABASE_URL": f"postgresql://{values['USER']}@/{values['NAME']}?host={quote(str(values['HOST']), safe='')}",
        "MIGRATION_DATABASE_URL": "",
        "REDIS_URL": settings.REDIS_URL,
    }
    command = [sys.executable, "-m", "celery", "-A", "portal.celery", "worker", "--concurrency", "1", "-l", "INFO"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=output, stderr=subprocess.STDOUT)
        try:
            yield log
        finally:
            process.terminate()
            process.wait(60)
            redis_client().delete(QUEUE)


def _wait_for(log: Path, text: str) -> str:
    end = time.monotonic() + 90
    while text not in (found := log.read_text()):
        assert time.monotonic() < end, found[-3_000:]
        time.sleep(0.1)
    return found


def _forged(message: dict[str, Any], **headers: Any) -> bytes:
    """Return a message as somebody writes it who has read one."""
    body = base64.b64encode(json.dumps([[], {}, {}]).encode()).decode()
    tag = {**message["properties"], "delivery_tag": str(uuid.uuid4())}
    return json.dumps(
        {**message, "body": body, "properties": tag, "headers": {**message["headers"], **headers}}
    ).encode()


@pytest.mark.serial
@pytest.mark.django_db(transaction=True)
def test_a_worker_runs_signed_tasks_and_counts_the_forged_ones_that_it_refuses(worker: Path) -> None:
    redis = redis_client()
    redis.delete(QUEUE)
    app.send_task("accounts.seal_audit_log", task_id="read-by-somebody", countdown=0)
    # Read before the worker takes it: that takes it seconds to start.
    message = json.loads(redis.lindex(QUEUE, 0))  # type: ignore[arg-type]
    unsigned = {name: value for name, value in message["headers"].items() if name != "signature"}
    old = {"task": "accounts.seal_audit_log", "id": "protocol-1", "args": [], "kwargs": {}}
    forged = [
        _forged(message, task="accounts.expire_audit_log", id="forged-name"),
        _forged(message, id="forged-id"),
        _forged({**message, "headers": unsigned}, id="unsigned"),
        # The protocol of older Celery has all in its body.
        json.dumps({**message, "headers": {}, "body": base64.b64encode(json.dumps(old).encode()).decode()}).encode(),
    ]
    redis.rpush(QUEUE, *forged)
    log = _wait_for(worker, f"refused a task message, the {len(forged)}. since the start")
    app.send_task("accounts.seal_audit_log", task_id="afterwards")
    log = _wait_for(worker, "afterwards] succeeded")

    assert "read-by-somebody] succeeded" in log
    assert not [name for name in ("forged-name", "forged-id", "unsigned]", "protocol-1") if name in log]


@pytest.mark.serial
@pytest.mark.django_db(transaction=True)
def test_a_worker_takes_no_orders_over_redis(worker: Path) -> None:
    _wait_for(worker, "ready.")
    app.control.broadcast("shutdown")
    app.send_task("accounts.seal_audit_log", task_id="after-shutdown")

    _wait_for(worker, "after-shutdown] succeeded")
