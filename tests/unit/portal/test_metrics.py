"""The portal's metrics: every series of the table from the start, bounded labels, and a token."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as configured
from django.test import Client
from django.urls import reverse
from prometheus_client.parser import text_string_to_metric_families

from drift import queue
from drift.fleet.models import SensorStatus
from drift.health.domain.task_reports import ENDED, FAILED
from portal.access import TABLE as VIEWS
from portal.metrics import requests
from portal.metrics.requests import MetricsMiddleware
from portal.metrics.table import PREFIX, STATUSES, TABLE
from tests.unit.drift.health import well

pytestmark = [pytest.mark.services, pytest.mark.django_db]
TOKEN = "scrape-me-0123456789"
Samples = dict[str, float]


@pytest.fixture
def scraped(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that scrapes a portal whose counters begin with this test."""
    settings.METRICS_TOKEN = TOKEN
    monkeypatch.setattr(requests, "_counters", [])
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)

    def scrape() -> Samples:
        answer = Client(headers={"Authorization": f"Bearer {TOKEN}"}).get("/metrics")
        assert answer.status_code == 200
        return samples(answer.content.decode())

    return scrape


def samples(text: str) -> Samples:
    """Each series, with its labels in their order, and its value."""
    return {
        f"{sample.name}{dict(sorted(sample.labels.items()))}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def named(found: Samples, name: str) -> Samples:
    return {series: value for series, value in found.items() if series.startswith(f"{PREFIX}{name}{{")}


def test_without_a_token_there_is_no_page_and_no_counting(settings: Any) -> None:
    settings.METRICS_TOKEN = ""
    assert Client().get("/metrics").status_code == 404
    with pytest.raises(Exception, match=r"^$"):
        MetricsMiddleware(lambda request: None)  # type: ignore[arg-type, return-value] # never called


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x"])
def test_a_wrong_token_is_refused(settings: Any, header: str) -> None:
    settings.METRICS_TOKEN = TOKEN
    answer = Client(headers={"Authorization": header}).get("/metrics")
    assert (answer.status_code, TOKEN in answer.content.decode()) == (401, False)


def test_a_signed_in_owner_needs_the_token_too(settings: Any, owner: Any, client_of: Any) -> None:
    settings.METRICS_TOKEN = TOKEN
    assert client_of(owner).get("/metrics").status_code == 401


def test_every_metric_of_the_table_exists_before_anything_happened_and_no_other(scraped: Any) -> None:
    found = scraped()
    names = {series.partition("{")[0] for series in found}
    expected = {f"{PREFIX}{each.name}" for each in TABLE if each.kind != "histogram"}
    expected |= {
        f"{PREFIX}{each.name}_{part}"
        for each in TABLE
        if each.kind == "histogram"
        for part in ("bucket", "count", "sum")
    }
    assert {name for name in names if not name.endswith("_created")} == expected
    assert found[f"{PREFIX}scrape_errors{{}}"] == 0


def test_what_happens_adds_no_series(scraped: Any, settings: Any, owner: Any, client_of: Any) -> None:
    before = scraped()
    well.sensor(counters={"lost": {"ring": 3, "a cause of next year": 4, 'x" y': "many"}})
    client = queue.redis_client()
    client.hincrby(ENDED, "fleet.sweep", 1)
    client.hincrby(FAILED, "a task that is gone", 1)
    well.report("worker")
    browser = client_of(owner)
    middleware = MetricsMiddleware(lambda request: browser.get(request.path))
    for path in ("/healthz", "/no/such/address/", "/settings/health/"):
        request = browser.get(path).wsgi_request
        middleware(request)

    after = scraped()

    assert before.keys() == after.keys()
    assert after[f"{PREFIX}sensor_losses{{'cause': 'ring'}}"] == 3
    assert after[f"{PREFIX}sensor_losses{{'cause': 'other'}}"] > 4
    assert after[f"{PREFIX}processes{{'role': 'worker'}}"] == 1
    assert after[f"{PREFIX}sensors{{'state': 'online'}}"] == 1
    client.delete(ENDED, FAILED)


def test_requests_are_counted_by_view_and_status(scraped: Any) -> None:
    counters = requests.request_counters()
    counters.count("healthz", "/healthz", 200, 0.002)
    counters.count("", "/x", 404, 0.002)
    counters.count("alerts-api:events", "/api/v1/sensors/me/events", 200, 0.3)
    counters.count_batch(200, {"accepted": 7, "duplicates": 2})
    counters.count_batch(422, None)

    found = scraped()

    assert found[f"{PREFIX}http_requests_total{{'status': '2xx', 'view': 'healthz'}}"] == 1
    assert found[f"{PREFIX}http_requests_total{{'status': '4xx', 'view': 'none'}}"] == 1
    assert found[f"{PREFIX}http_request_seconds_count{{'kind': 'ingest'}}"] == 1
    assert found[f"{PREFIX}ingest_events_total{{'result': 'accepted'}}"] == 7
    assert found[f"{PREFIX}ingest_refused_batches_total{{'status': '4xx'}}"] == 1
    assert len(named(found, "http_requests_total")) == (len(VIEWS) + 1) * len(STATUSES)


def test_without_redis_the_rest_is_there_and_the_error_is_counted(scraped: Any, settings: Any) -> None:
    settings.REDIS_URL = "redis://:not-to-be-shown@127.0.0.1:1/0"

    found = scraped()

    assert found[f"{PREFIX}scrape_errors{{}}"] == 1
    assert found[f"{PREFIX}condition{{'code': 'redis'}}"] == 1
    assert f"{PREFIX}database_bytes{{}}" in found


def test_what_cannot_be_read_in_redis_is_counted_and_the_rest_is_there(scraped: Any) -> None:
    client = queue.redis_client()
    client.hset(FAILED, "fleet.sweep", "many")
    try:
        found = scraped()
    finally:
        client.delete(FAILED)

    assert found[f"{PREFIX}scrape_errors{{}}"] == 1
    assert f"{PREFIX}database_bytes{{}}" in found


def test_no_value_names_a_node_or_a_workload(scraped: Any) -> None:
    row = well.sensor("node-with-a-name")
    SensorStatus.objects.filter(sensor=row).update(lost_at="2026-01-01T00:00Z")
    assert not [series for series in scraped() if "node-with-a-name" in series or str(row.pk) in series]


def test_a_process_takes_the_slot_of_one_that_is_gone_and_goes_on_with_its_counts(tmp_path: Path) -> None:
    program = """
import os, sys
from portal.metrics.requests import RequestCounters
from prometheus_client import generate_latest
counters = RequestCounters(["home"], [])
counters.count("home", "/", 200, 0.1)
print(generate_latest(counters.all_processes()).decode())
print(os.listdir(os.environ["PROMETHEUS_MULTIPROC_DIR"]))
"""
    env = {"PATH": "", "PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "portal.settings"}
    env |= {"SECRET_KEY": "x", "DATABASE_URL": "postgresql://none@/none", "REDIS_URL": "redis://127.0.0.1:1/0"}
    root = Path(configured.BASE_DIR)
    for count in (1.0, 2.0, 3.0):
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=root, env=env, capture_output=True, text=True, check=True
        )
        assert f'{PREFIX}http_requests_total{{status="2xx",view="home"}} {count}' in done.stdout
        assert set(re.findall(r"_(slot\d+)\.db", done.stdout)) == {"slot0"}


def test_the_page_of_metrics_is_not_for_browsers(client: Client) -> None:
    assert reverse("metrics") == "/metrics"
    assert VIEWS["metrics"].change is None
