"""`python -m bench.alerts`: server time of the alerts' pages with 10,000 and with 1,000,000 alerts stored.

SIZES=10000,1000000 chooses others, PAGES="search|charts" pages whose name matches that. The goal: p95 of each page at
most 60 ms, and at most 1.5 times between the sizes. Every order, filter and group is one page; tiles and severity bar
are part of the list and of the live call. Pages "cluster: …" and the like are those of users with a scope. "All that
match" has no goal: a user requests it explicitly and waits for it.
"""

from __future__ import annotations

import datetime as dt
import html
import multiprocessing
import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any

from bench.ingest_portal import portal

REPEATS, WARM_UP = 60, 3
GOAL_MS, GOAL_RATIO = 60, 1.5
SORTS = ("priority", "severity", "name", "resource", "group", "started", "updated", "status")
GROUPS = ("incident", "rule", "image", "cluster", "namespace", "binary")
ALL = "all that match"
Times = list[float]


def main() -> None:
    """Measure and print; some ten minutes on two cores, a fifth of them to store the million."""
    sizes = [int(part) for part in os.environ.get("SIZES", "10000,1000000").split(",")]
    with ExitStack() as stack:
        portals = [stack.enter_context(_stored(size)) for size in sizes]
        pages = [name for name in portals[0].recv() if re.search(os.environ.get("PAGES", ""), name)]
        for other in portals[1:]:
            other.recv()
        print(f"{'page':<36}" + "".join(f"{size:>14,}" for size in sizes) + f"{'ratio':>8}")
        missed = [_report(name, _p95(portals, name)) for name in pages].count(True)
    goal = f"goal {GOAL_MS} ms, ratio {GOAL_RATIO}"
    print(f"p95 of {REPEATS}; {goal}; {missed} of {len(pages)} pages miss it")


@contextmanager
def _stored(size: int) -> Iterator[Connection]:
    """Start a process with its own portal and database of `size` alerts; send it the name of a page to measure."""
    processes = multiprocessing.get_context("spawn")
    here, there = processes.Pipe()
    process = processes.Process(target=_answer, args=(there, size))
    process.start()
    there.close()
    try:
        yield here
    finally:
        here.close()
        process.join()


def _answer(connection: Connection, size: int) -> None:
    """Send the names of all pages, then fetch each requested page and send its time in milliseconds."""
    with portal():
        from bench.alerts_fill import fill
        from bench.alerts_scopes import scoped_pages
        from bench.ingest import make_estate

        make_estate()
        browser, user = _browser()
        fill(size, user)
        pages = {name: (browser, url) for name, url in _pages(browser).items()} | scoped_pages()
        connection.send(list(pages))
        with suppress(EOFError):
            while True:
                connection.send(_milliseconds(*pages[connection.recv()]))


def _p95(portals: Sequence[Connection], name: str) -> Times:
    """Return the p95 of each size; sizes take turns, so that other load affects all of them."""
    rounds = [[_measured(each, name) for each in portals] for _ in range(WARM_UP + REPEATS)]
    return [sorted(times)[int(REPEATS * 0.95)] for times in zip(*rounds[WARM_UP:], strict=True)]


def _measured(stored: Connection, name: str) -> float:
    stored.send(name)
    return float(stored.recv())


def _milliseconds(browser: Any, url: str) -> float:
    begun = time.perf_counter()
    answer = browser.get(url)
    taken = (time.perf_counter() - begun) * 1000
    assert answer.status_code == 200, (url, answer.status_code)
    return taken


def _report(name: str, times: Times) -> bool:
    """Print a line; return whether the page misses the goal."""
    ratio = times[-1] / times[0]
    missed = not name.startswith(ALL) and (max(times) > GOAL_MS or ratio > GOAL_RATIO)
    line = "".join(f"{each:>11.1f} ms" for each in times)
    print(f"{name:<36}{line}{ratio:>8.2f}{'  missed' if missed else ''}", flush=True)
    return missed


def _browser() -> tuple[Any, int]:
    """Return an Operator's browser, and the operator's id."""
    from django.conf import settings
    from django.test import Client

    from accounts.models import User
    from accounts.roles import Role

    settings.ALLOWED_HOSTS = ["*"]
    settings.STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    browser, user = Client(), User.objects.create_user("bench@example.com", "Bench", Role.OPERATOR, None)
    browser.force_login(user)
    return browser, user.pk


def _pages(browser: Any) -> dict[str, str]:
    from drift.alerts.models import Alert

    one = Alert.objects.order_by("pk")[7]
    shown = ",".join(str(pk) for pk in Alert.objects.order_by("-pk").values_list("pk", flat=True)[:50])
    return {
        "list": "/alerts/",
        "list, all statuses": "/alerts/?status=any",
        **{f"by {sign}{name}": f"/alerts/?sort={sign}{name}" for name in SORTS for sign in ("", "-")},
        **{f"by {name}, all statuses": f"/alerts/?status=any&sort={name}" for name in SORTS},
        **{f"by {name}, fifth page": _fifth(browser, f"/alerts/?status=any&sort={name}") for name in SORTS},
        **_filters(one),
        "search, one": f"/alerts/?status=any&q={one.container_id}",
        "search, one in 7": "/alerts/?status=any&q=team/app-1:1",
        "search, one in 110": "/alerts/?status=any&q=team/app-17:1",
        "search, one in 430": "/alerts/?status=any&q=team/app-150:1",
        "search, open ones": "/alerts/?q=team/app-1:1",
        "search, all": "/alerts/?q=tool",
        "search, nothing": "/alerts/?status=any&q=nowhere-to-be-found",
        "search, two letters": "/alerts/?status=any&q=zq",
        "search, command line": "/alerts/?status=any&q=--pool%20pool-77",
        "query line": "/api/v1/alerts/?query=status:any%20writer:curl%20path:/opt/*%20newer:30d",
        "completions, names": "/alerts/completions/?line=no",
        "completions, paths": "/alerts/completions/?line=path:/opt/tool-1",
        "completions, writers": "/alerts/completions/?line=writer:",
        "incidents": "/alerts/?view=incidents",
        "incidents, all statuses": "/alerts/?view=incidents&status=any",
        "incidents, fifth page": _fifth(browser, "/alerts/?view=incidents"),
        "incidents, of a namespace": "/alerts/?view=incidents&namespace=space-1",
        "one incident": f"/alerts/incidents/{one.incident_id}/",
        "search, number": f"/alerts/?status=any&q=%23{one.pk}",
        **{f"group by {name}": f"/alerts/?group={name}" for name in GROUPS},
        **{f"group by {name}, all statuses": f"/alerts/?group={name}&status=any" for name in GROUPS},
        "group by image, of a cluster": f"/alerts/?group=image&cluster={one.cluster_id}",
        "group by binary, of a namespace": "/alerts/?group=binary&status=any&namespace=space-1",
        "group by incident, of a namespace": "/alerts/?group=incident&namespace=space-1",
        **{f"charts, {days} days": f"/alerts/charts/?days={days}" for days in (7, 30, 90)},
        "charts by cloud": "/alerts/charts/?split=cloud",
        "charts by rule": "/alerts/charts/?split=rule",
        "charts, open alerts": "/alerts/charts/?status=active&status=in_progress",
        "charts, of a namespace": "/alerts/charts/?namespace=space-1",
        f"{ALL}, binaries of a namespace": "/alerts/?group=binary&status=any&namespace=space-1&all=yes",
        f"{ALL}, images of new files": "/alerts/?group=image&status=any&kind=new_file&all=yes",
        f"{ALL}, charts of a namespace": "/alerts/charts/?namespace=space-1&all=yes",
        "live": f"/alerts/live/?since={since(browser)}&shown={shown}",
        "selection": "/alerts/selection/",
        "API, a page": "/api/v1/alerts/",
        **{f"detail, {tab}": f"/alerts/{one.pk}/?tab={tab}" for tab in ("details", "why", "timeline", "action")},
    }


def since(browser: Any) -> str:
    """Return the number from which the list asks for what is new, as a browser reads it."""
    found = re.search(r'data-since="(\d+)"', browser.get("/alerts/").content.decode())
    assert found, "the list names no number"
    return found.group(1)


def _filters(one: Any) -> dict[str, str]:
    """A page for each filter, by what is common: so it is full with few alerts as with many."""
    from drift.alerts.models import Binary, Workload

    common = Workload.objects.select_related("cluster").get(pk=1)
    wanted = {
        "environment": common.cluster.environment_id,
        "status": "dismissed",
        "severity": "high",
        "provider": "azure",
        "cluster": common.cluster_id,
        "namespace": common.namespace,
        "image": common.image_name,
        "rule": one.rule_id,
        "kind": "script",
        "outcome": "blocked",
        "assignee": "me",
        "mentions": "me",
        "incident": one.incident_id,
        "binary": Binary.objects.get(pk=1).pk,
        "sample": "no",
        "path": "/opt/tool-1*",
        "hash": Binary.objects.get(pk=1).sha256,
        "writer": "curl",
        "parent": "bash",
        "priority": "raised",
        "node": "node-7",
        "pod": one.pod_name,
        "container": one.container_id[:12],
        "verdict": "true_positive",
        "suppression": 1,
        "newer": "30d",
        "older": "30d",
        "until": f"{one.first_seen + dt.timedelta(days=45):%Y-%m-%d}",
        "from": f"{one.first_seen:%Y-%m-%d}",
        "day": f"{one.first_seen + dt.timedelta(days=1):%Y-%m-%d}",
        "hour": "3-14",
    }
    rare = {
        "status",
        "day",
        "hour",
        "pod",
        "container",
        "verdict",
        "suppression",
        "older",
        "until",
    }  # a page of open ones would not be full with few alerts
    seldom = {
        "path": "/opt/tool-1999",
        "hash": "00000000",
        "writer": "nobody",
        "node": "nowhere",
        "container": "nothing",
    }
    return (
        {f"filter {name}": f"/alerts/?{name}={value}" for name, value in wanted.items() if name not in rare}
        | {f"filter {name}, seldom": f"/alerts/?status=any&{name}={value}" for name, value in seldom.items()}
        | {
            f"filter {name}, all statuses": f"/alerts/?{'' if name == 'status' else 'status=any&'}{name}={value}"
            for name, value in wanted.items()
        }
    )


def _fifth(browser: Any, url: str) -> str:
    """The URL of the list's fifth page, or of its last where it has less."""
    link = url
    for _ in range(4):
        links = re.findall(r'href="(\?[^"]*after=[^"]*)"', browser.get(link).content.decode())
        if not links:
            break
        link = "/alerts/" + html.unescape(links[-1])
    return link


if __name__ == "__main__":
    main()
