"""Every count of alerts on a page is a link to a list of exactly as many."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator
from html import unescape
from typing import Any

import pytest
from django.http import QueryDict
from django.test import Client

from accounts.models import User
from drift.alerts.actions import suppression_rules, triage
from drift.alerts.actions.ingest import ingest
from drift.alerts.actions.sample_alerts import make_samples
from drift.alerts.actions.suppression_rules import SuppressionDraft
from drift.alerts.forms.filters import read_filters
from drift.alerts.models import OPEN, Alert, Incident, Status, SuppressionRule
from drift.alerts.queries.alert_list import matching_alerts
from tests.unit.drift.alerts.conftest import Estate, event, now, raw
from tests.unit.drift.alerts.test_scopes import limited

pytestmark = [pytest.mark.services, pytest.mark.django_db]
LINK = re.compile(r'<a\b[^>]*href="(?:/alerts/)?\?([^"]*)"[^>]*>(.*?)</a>', re.DOTALL)
COUNT = re.compile(
    r"^(\d[\d,]*)$|^(\d+) (?:active|in progress|resolved|dismissed)$|^(\d+) (?:Open|Active|In progress) alerts$"
    r"|^\w+ \((\d+)\)$"
)


@pytest.fixture
def many(estate: Estate, admin: Any, owner: Any) -> Estate:
    """Alerts of two clusters and three namespaces, of several days and statuses, closed by rules and by two people."""
    for name in ("Ours", "Gone"):
        condition = {"property": "process_path", "any_of": [{"operator": "equals", "value": f"/{name}"}]}
        suppression_rules.save(owner, SuppressionDraft(name, [condition], covers_new_content=True))
        ingest(
            estate.sensors[0],
            raw(event(process__path=f"/{name}"), event(process__path=f"/{name}", container__name="b")),
        )
    SuppressionRule.objects.get(name="Gone").delete()
    for number in range(14):
        changes = {"container__namespace": f"space-{number % 3}", "at": now() - dt.timedelta(days=number % 4)}
        ingest(estate.sensors[number % 3], raw(event(process__path=f"/tmp/{number}", **changes)))
    for status, verdict, paths in (
        (Status.RESOLVED, "true_positive", ["/tmp/1", "/tmp/2"]),
        (Status.DISMISSED, "expected", ["/tmp/3", "/tmp/6"]),
        (Status.IN_PROGRESS, "", ["/tmp/4", "/tmp/5"]),
    ):
        seen = dict(Alert.objects.filter(path__in=paths).values_list("pk", "revision"))
        triage.change_status(admin, seen, triage.StatusChange(status, verdict))
    for path, who, resolution in (("/tmp/7", owner, "expected"), ("/tmp/8", owner, "false_positive")):
        seen = dict(Alert.objects.filter(path=path).values_list("pk", "revision"))
        triage.change_status(who, seen, triage.StatusChange(Status.DISMISSED, resolution))
    # Two people of one name, an alert that changed hands, and one that Driftwatch closed.
    User.objects.filter(pk=admin.pk).update(name=owner.name)
    taken = Alert.objects.get(path="/tmp/6")
    triage.change_status(owner, {taken.pk: taken.revision}, triage.StatusChange(Status.DISMISSED, "accepted_risk"))
    Alert.objects.filter(path="/tmp/9").update(status="dismissed", verdict="duplicate", closed_at=now())
    make_samples(owner)
    return estate


def counts(page: str) -> Iterator[tuple[str, int]]:
    """Yield the query and the number of each link whose text is a count."""
    for query, content in LINK.findall(page):
        text = " ".join(re.sub(r"<[^>]*>", " ", content).split())
        if found := COUNT.match(unescape(text)):
            yield unescape(query), int(next(filter(None, found.groups())).replace(",", ""))


PAGES = {
    "/alerts/": 4,
    "/alerts/?status=any&namespace=space-1": 4,
    "/alerts/?group=namespace": 3,
    "/alerts/?group=cluster&status=any": 2,
    "/alerts/?group=incident&namespace=space-0": 1,
    "/alerts/?view=incidents&status=any": 1,
    "/alerts/charts/": 15,
    "/alerts/charts/?split=cloud&days=7&namespace=space-2": 5,
    "/alerts/incidents/{incident}/": 1,
    "/alerts/suppression/": 1,
    "/alerts/suppression/report/": 8,
}


@pytest.mark.parametrize(("url", "least"), PAGES.items())
@pytest.mark.parametrize("is_limited", [False, True])
def test_each_count_is_the_number_of_alerts_it_links_to(
    many: Estate, operator: Any, client_of: Callable[[Any], Client], url: str, least: int, *, is_limited: bool
) -> None:
    user = limited(operator, cluster=many.sensors[0].cluster) if is_limited else operator
    incident = Incident.objects.filter(cluster=many.sensors[0].cluster).earliest("pk").pk
    page = client_of(user).get(url.format(incident=incident)).content.decode()

    found = [(query, count) for query, count in counts(page) if "group=cluster" not in query]
    assert is_limited or len(found) >= least
    for query, count in found:
        filters = read_filters(QueryDict(query))
        assert (query, matching_alerts(user, filters).count()) == (query, count)


def test_the_count_of_resources_links_to_as_many_groups(
    many: Estate, operator: Any, client_of: Callable[[Any], Client]
) -> None:
    browser = client_of(operator)
    for url in ("/alerts/", "/alerts/?group=namespace&status=any"):
        links = list(counts(browser.get(url).content.decode().replace("Affected resources</", "</")))
        grouped = [(query, count) for query, count in links if "group=cluster" in query]
        assert grouped, url
        for query, count in grouped:
            assert len(browser.get(f"/alerts/?{query}").context["grouped"].rows) == count, query


@pytest.mark.parametrize("status", ["active", "resolved"])
@pytest.mark.parametrize("is_limited", [False, True])
def test_the_link_to_all_open_alerts_of_the_resource_says_how_many_it_lists(
    many: Estate, operator: Any, client_of: Callable[[Any], Client], status: str, *, is_limited: bool
) -> None:
    user = limited(operator, cluster=many.sensors[0].cluster) if is_limited else operator
    alert = Alert.objects.filter(cluster=many.sensors[0].cluster, status=status).earliest("pk")
    page = client_of(user).get(f"/alerts/{alert.pk}/?tab=action").content.decode()

    found = re.search(r'has (\d+) more open alerts?\. <a href="/alerts/\?([^"]*)">View all (\d+) ', page)

    assert found
    listed = matching_alerts(user, read_filters(QueryDict(unescape(found[2])))).filter(status__in=OPEN)
    assert (int(found[1]), int(found[3])) == (listed.exclude(pk=alert.pk).count(), listed.count())
