"""`python -m bench.ingest`: events per second through the API, durable end to end, beside raw COPY of the same rows.

Batches of 500 from 8 clients, a tenth of the events alerting over 500 fingerprints. For each of ROWS
(default 0,1000000,10000000) one day's partition holds so many events; the days take turns, so that what else
the machine does hits all of them. Then, at half that load on the fullest day, the time from sending an event to
having its alert in the list that a reviewer's browser fetches, newest first. Last, one batch of 1,000 new alerts.
"""

from __future__ import annotations

import datetime as dt
import http.client
import json
import os
import random
import re
import statistics
import sys
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from bench.ingest_mix import BATCH, CLIENTS, CLUSTERS, Sender, event, make_batches, send, send_all
from bench.ingest_portal import Portal, portal, static_files

BATCHES = 20
"""Per client and run: 80,000 events."""
ROUNDS = int(os.environ.get("ROUNDS", "5"))
LOAD_SECONDS = 30
FLOOR, GOAL = 0.2, 0.35
NEW_ALERTS = 1_000


def main() -> None:
    """Measure and print; some eight minutes on two cores."""
    sizes = [int(part) for part in os.environ.get("ROWS", "0,1000000,10000000").split(",")]
    today = dt.datetime.now(dt.UTC).date()
    days = {size: today - dt.timedelta(days=age) for age, size in enumerate(sizes)}
    with static_files(), portal() as here:
        senders = make_estate()
        prepare(here, senders, days)
        rates = measure(here, senders, days)
        latency(here, senders, days[sizes[-1]], statistics.median(rates[sizes[-1]]))
        new_alerts(here, senders[0])


def make_estate() -> list[Sender]:
    """A sensor for each client, two to a cluster."""
    from accounts import tokens
    from drift.fleet.models import Cluster, EnrolmentToken, Environment, Sensor
    from drift.policy.models import PolicyVersion

    environment = Environment.objects.create(provider="azure", account="bench", name="Bench")
    enrolment = EnrolmentToken.objects.create(name="bench", prefix="bench", digest=b"", environment=environment)
    version = PolicyVersion.objects.order_by("-number").first()
    senders = []
    for number in range(CLIENTS):
        name = f"cluster-{number % CLUSTERS}"
        cluster, _ = Cluster.objects.get_or_create(
            environment=environment, name=name, defaults={"distribution": "aks", "kubernetes_version": "v1.31.2"}
        )
        new = tokens.new_token(tokens.SENSOR)
        Sensor.objects.create(
            cluster=cluster,
            node=f"node-{number}",
            credential_prefix=new.prefix,
            credential_digest=new.digest,
            enrolment_token=enrolment,
            desired_version=version,
        )
        senders.append(Sender(new.token))
    return senders


def prepare(here: Portal, senders: list[Sender], days: dict[int, dt.date]) -> None:
    """Fill each day, and let every workload, binary, fingerprint and hour be met once."""
    from bench.ingest_stored import fill

    first = min(days.values())
    send_all(here, senders, make_batches(4, first))
    for size, day in days.items():
        begun = time.perf_counter()
        if size:
            fill(here, day, size)
            print(f"{size:>12,} events stored in {time.perf_counter() - begun:.0f} s", flush=True)
        send_all(here, senders, make_batches(4, day))


def measure(here: Portal, senders: list[Sender], days: dict[int, dt.date]) -> dict[int, list[float]]:
    """Return events per second of each round by size; print the medians beside raw COPY and the smallest size."""
    from bench.ingest_stored import empty

    sizes = list(days)
    rates: dict[int, list[float]] = {size: [] for size in sizes}
    ratios: dict[int, list[float]] = {size: [] for size in sizes}
    for turn in range(ROUNDS):
        for size in sizes[turn % len(sizes) :] + sizes[: turn % len(sizes)]:
            if not size:
                empty(here, days[size])
            rate, copied = one_run(here, senders, days[size])
            rates[size].append(rate)
            ratios[size].append(rate / copied)
            print(
                f"{size:>12,} stored: {rate:>8,.0f} events/s, raw COPY {copied:>8,.0f}/s, {rate / copied:.2f}",
                flush=True,
            )
    for size in sizes:
        beside = statistics.median(a / b for a, b in zip(rates[size], rates[sizes[0]], strict=True))
        rate, ratio = statistics.median(rates[size]), statistics.median(ratios[size])
        print(
            f"{size:>12,} stored: median {rate:>8,.0f} events/s, {ratio:.2f} of raw COPY (floor {FLOOR}, goal {GOAL}),"
            f" {beside:.2f} of the rate with {sizes[0]:,}"
        )
    return rates


def one_run(here: Portal, senders: list[Sender], day: dt.date) -> tuple[float, float]:
    """(Events a second through the API, rows a second by raw COPY of the same rows.)"""
    from bench.ingest_stored import pages, raw_copy

    batches, before = make_batches(BATCHES, day), pages(here, day)
    seconds = send_all(here, senders, batches)
    return CLIENTS * BATCHES * BATCH / seconds, raw_copy(here, day, before)


def latency(here: Portal, senders: list[Sender], day: dt.date, rate: float) -> None:
    """From sending an event to having its alert in the list, at half of `rate`."""
    pause = CLIENTS * BATCH / (rate / 2)
    batches = make_batches(round(LOAD_SECONDS / pause), day)
    browser = Browser(here)
    took: dict[str, list[float]] = {"live-update call": [], "list page": []}
    with ThreadPoolExecutor(CLIENTS) as pool:
        running = [pool.submit(send, here, *pair, pause) for pair in zip(senders, batches, strict=True)]
        while _are_running(running):
            probe(here, senders[0], browser, took)
    for name, seconds in took.items():
        seconds.sort()
        median, late = statistics.median(seconds) * 1000, seconds[int(len(seconds) * 0.99)] * 1000
        count = len(seconds)
        print(f"event → in the {name} at half load: median {median:.0f} ms, p99 {late:.0f} ms of {count} (goal 1,000)")


def _are_running(sending: list[Future[None]]) -> bool:
    for each in sending:
        if each.done():
            each.result()
    return not any(each.done() for each in sending)


def reviewer() -> str:
    """The session cookie of an Operator."""
    from django.conf import settings
    from django.test import Client

    from accounts.models import User
    from accounts.roles import Role

    browser = Client()
    browser.force_login(User.objects.create_user("bench@example.com", "Bench", Role.OPERATOR, None))
    return f"{settings.SESSION_COOKIE_NAME}={browser.cookies[settings.SESSION_COOKIE_NAME].value}"


class Browser:
    """A reviewer's: fetches the list of alerts, newest first, then what is new in it."""

    def __init__(self, here: Portal) -> None:
        self._headers = {"Cookie": reviewer()}
        self._connection = http.client.HTTPConnection("127.0.0.1", here.port, timeout=60)
        self._live = ""

    def page(self) -> str:
        """The list as HTML."""
        # By priority, the first page holds 50 others, however soon the new alert is in the list.
        text = self._get("/alerts/?sort=-started")
        since = text.partition('data-since="')[2].partition('"')[0]
        shown = ",".join(re.findall(r'data-alert="(\d+)"', text))
        self._live = f"/alerts/live/?since={since}&shown={shown}"
        return text

    def news(self) -> set[int]:
        """Numbers of the alerts that came since the page was fetched: the call by which an open list is kept live."""
        return set(json.loads(self._get(self._live))["new"])

    def _get(self, path: str) -> str:
        self._connection.request("GET", path, headers=self._headers)
        answer = self._connection.getresponse()
        text = answer.read().decode()
        if answer.status != 200:
            sys.exit(f"bench: GET {path} gave {answer.status} {text[:200]!r}")
        return text


def probe(here: Portal, sender: Sender, browser: Browser, took: dict[str, list[float]]) -> None:
    """Send an event of a new fingerprint; return how long until the live call and the page show its alert."""
    path = f"/new/{uuid.uuid4()}"
    body = json.dumps({"events": [alerting(path)]}).encode()
    browser.page()
    before = browser.news()
    begun = time.perf_counter()
    send(here, sender, [body])
    _until(lambda: bool(browser.news() - before), "the live call returns it")
    took["live-update call"].append(time.perf_counter() - begun)
    _until(lambda: path in browser.page(), "the page shows it")
    took["list page"].append(time.perf_counter() - begun)


def _until(condition: Callable[[], bool], what: str, most: float = 60.0) -> None:
    deadline = time.perf_counter() + most
    while not condition():
        if time.perf_counter() > deadline:
            sys.exit(f"bench: not within {most:.0f} s: {what}")


def alerting(path: str) -> dict[str, Any]:
    """An event of now that alerts, of a file at `path`."""
    one = event(random.Random(1), dt.datetime.now(dt.UTC).date())
    one["process"] |= {"path": path}
    return one | {"decision": one["decision"] | {"action": "alert"}}


def new_alerts(here: Portal, sender: Sender) -> None:
    """One batch in which every event opens an alert, a few times."""
    took = []
    for _ in range(5):
        events = [alerting(f"/new/{uuid.uuid4()}") for _ in range(NEW_ALERTS)]
        body = json.dumps({"events": events}).encode()
        begun = time.perf_counter()
        send(here, sender, [body])
        took.append(time.perf_counter() - begun)
    median, worst = statistics.median(took) * 1000, max(took) * 1000
    print(f"a batch of {NEW_ALERTS:,} new alerts: median {median:.0f} ms, worst {worst:.0f} ms")


if __name__ == "__main__":
    main()
