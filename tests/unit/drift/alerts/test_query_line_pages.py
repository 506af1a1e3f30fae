"""The query line on pages, in exports, saved views and the API, and what completes it for whom."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from drift.alerts.actions.ingest import ingest
from drift.alerts.models import Alert, SavedView
from drift.alerts.queries.query_completions import MAX_COMPLETIONS, query_completions
from tests.unit.drift.alerts.conftest import Estate, event, now, raw
from tests.unit.drift.alerts.test_scopes import limited

pytestmark = [pytest.mark.services, pytest.mark.django_db]
ClientOf = Callable[[Any], Client]
HTMX = {"HX-Request": "true"}
CURL = {"name": "curl", "pid": 9, "at": now().isoformat()}


@pytest.fixture
def alerts(estate: Estate) -> None:
    """Three alerts: one by curl in blue, one in the namespace "other" of blue, one in green."""
    ingest(
        estate.sensors[0],
        raw(
            event(process__path="/tmp/a", process__written_by=CURL),
            event(process__path="/tmp/b c", container__namespace="other", container__pod_name="secret-pod"),
        ),
    )
    ingest(estate.sensors[2], raw(event(process__path="/opt/d")))


def paths(answer: Any) -> list[str]:
    return sorted(row["path"] for row in answer.context["alerts"])


def test_the_page_shows_a_query_under_the_address_of_its_filters(
    alerts: None, reader: Any, client_of: ClientOf
) -> None:
    browser = client_of(reader)
    sent = {"query": 'cluster:blue path:/tmp/*  "/tmp"', "sort": "name", "group": ""}

    answer = browser.get("/alerts/", sent)
    assert (answer.status_code, answer["Location"]) == (
        302,
        "/alerts/?q=%2Ftmp&cluster=blue&path=%2Ftmp%2F%2A&sort=name",
    )
    answer = browser.get(answer["Location"])
    assert paths(answer) == ["/tmp/a", "/tmp/b c"]
    assert answer.context["line"] == "cluster:blue path:/tmp/* /tmp"
    part = browser.get("/alerts/", sent, headers=HTMX)
    assert part["HX-Push-Url"] == "/alerts/?q=%2Ftmp&cluster=blue&path=%2Ftmp%2F%2A&sort=name"
    assert paths(part) == ["/tmp/a", "/tmp/b c"]
    assert browser.get("/alerts/", {"query": ""})["Location"] == "/alerts/"


@pytest.mark.parametrize("letter", ["a", "漢"])
def test_a_query_as_long_as_the_line_is_shown(alerts: None, reader: Any, client_of: ClientOf, letter: str) -> None:
    line = f"path:{','.join(letter * 990 + end for end in 'xyz')},/tmp/a"

    answer = client_of(reader).get("/alerts/", {"query": line}, follow=True)

    assert (answer.status_code, paths(answer)) == (200, ["/tmp/a"])
    compact = {"rows": "compact", "query": urlencode({"query": line})}
    assert client_of(reader).post("/alerts/density/", compact, follow=True).status_code == 200


def test_keys_are_shown_as_names_that_find_the_same(
    estate: Estate, alerts: None, reader: Any, client_of: ClientOf
) -> None:
    browser, cluster = client_of(reader), estate.sensors[2].cluster
    by_key = browser.get("/alerts/", {"cluster": cluster.pk, "environment": cluster.environment_id})

    assert by_key.context["line"] == "environment:Shop cluster:green"
    by_name = browser.get("/alerts/", {"query": by_key.context["line"]}, follow=True)
    assert paths(by_key) == paths(by_name) == ["/opt/d"]
    chosen = {pill.name: pill.chosen for pill in by_name.context["pills"]}
    assert chosen["cluster"] == (str(cluster.pk),)


@pytest.mark.parametrize("headers", [{}, HTMX])
def test_a_query_that_cannot_be_read_shows_no_alerts(
    alerts: None, reader: Any, client_of: ClientOf, headers: dict[str, str]
) -> None:
    answer = client_of(reader).get("/alerts/", {"query": '<b>"'}, headers=headers)

    assert answer.status_code == 422
    assert "alerts" not in answer.context
    assert answer.context["line"] == '<b>"'
    text = answer.content.decode()
    assert "A quotation mark stands before and behind a whole text or value. (at character 4)" in text
    assert 'value="&lt;b&gt;&quot;"' in text


@pytest.mark.parametrize(
    "path",
    ["/alerts/live/", "/alerts/charts/", "/alerts/export.csv", "/alerts/export.jsonl", "/api/v1/alerts/"],
)
def test_every_other_reader_of_filters_reads_and_refuses_queries(
    alerts: None, operator: Any, client_of: ClientOf, path: str
) -> None:
    browser = client_of(operator)

    assert browser.get(path, {"query": "writer:curl"}).status_code == 200
    answer = browser.get(path, {"query": "writr:curl"})
    assert answer.status_code == 400
    assert "There is no filter “writr”. Did you mean writer? (at character 1)" in answer.content.decode()


NOT_FILTERS = [
    ("status", "nonsense", "“nonsense” is not a value of status"),
    ("severity", "hihg", "“hihg” is not a value of severity"),
    ("priority", "101+", "“101+” is not a value of priority"),
    ("newer", "2 days", "“2 days” is not a value of newer"),
    ("from", "yesterday", "“yesterday” is not a value of from"),
    ("sensor", "7", "“7” is not a value of sensor"),
    ("hash", "\u202eabc", r"“\u202eabc” is not a value of hash"),
    ("path", "a\0b", "NUL characters are not allowed."),
    ("sttus", "active", "There is no filter “sttus”. Did you mean status?"),
    ("a-b", "1", "There is no filter “a-b”."),
]


@pytest.mark.parametrize(("name", "value", "message"), NOT_FILTERS)
def test_the_page_names_what_is_not_a_filter_and_shows_no_alerts(
    alerts: None, reader: Any, client_of: ClientOf, name: str, value: str, message: str
) -> None:
    answer = client_of(reader).get("/alerts/", {name: value, "namespace": "shop"})

    assert answer.status_code == 422
    assert "alerts" not in answer.context
    assert message in html.unescape(answer.content.decode())
    assert f"{name}:" in answer.context["line"]
    assert "namespace:shop" in answer.context["line"]


@pytest.mark.parametrize("path", ["/alerts/live/", "/alerts/charts/", "/alerts/export.csv", "/alerts/export.jsonl"])
@pytest.mark.parametrize(("name", "value", "message"), NOT_FILTERS[:2] + NOT_FILTERS[-2:])
def test_every_other_reader_refuses_what_is_not_a_filter(
    alerts: None, operator: Any, client_of: ClientOf, path: str, name: str, value: str, message: str
) -> None:
    answer = client_of(operator).get(path, {name: value})

    assert answer.status_code == 400
    assert message in html.unescape(answer.content.decode())


def test_an_empty_value_is_no_value_unless_it_can_be_meant(alerts: None, reader: Any, client_of: ClientOf) -> None:
    browser = client_of(reader)

    assert paths(browser.get("/alerts/", {"status": "", "sensor": "", "namespace": "other"})) == ["/tmp/b c"]
    assert paths(browser.get("/alerts/", {"namespace": ""})) == []


def test_a_saved_view_with_filters_that_there_are_no_longer_does_not_break_the_list(
    alerts: None, reader: Any, client_of: ClientOf
) -> None:
    SavedView.objects.create(user=reader, name="Old", query="gone=1&status=active")

    answer = client_of(reader).get("/alerts/")

    assert answer.status_code == 200
    assert "gone:1 status:active" in answer.content.decode()


@pytest.mark.parametrize("line", ["path:/tmp/\u202egnp.exe", "\u200b", 'writer:"a\u2066"'])
def test_hidden_characters_in_a_query_are_refused_alike_on_the_page_and_by_the_api(
    alerts: None, reader: Any, client_of: ClientOf, api_of: ClientOf, line: str
) -> None:
    page = client_of(reader).get("/alerts/", {"query": line})
    answer = api_of(reader).get("/api/v1/alerts/", {"query": line})

    assert page.status_code == 422
    assert answer.status_code == 400
    assert "U+2" in answer.content.decode()
    assert "would not be seen: write it as an escape in quotation marks" in page.content.decode()
    escaped = client_of(reader).get("/alerts/", {"query": r'path:"/tmp/\u202egnp.exe"'}, follow=True)
    assert escaped.status_code == 200


def test_the_api_adds_a_query_to_its_parameters(alerts: None, reader: Any, api_of: ClientOf) -> None:
    api = api_of(reader)

    def found(**query: str) -> list[str]:
        return sorted(each["event"]["process"]["path"] for each in api.get("/api/v1/alerts/", query).json()["alerts"])

    assert found(query="writer:curl newer:1h") == ["/tmp/a"]
    assert found(query="/tmp namespace:shop", cluster="blue") == ["/tmp/a"]
    assert found(query="cluster:green", cluster="blue") == ["/opt/d", "/tmp/a", "/tmp/b c"]
    answer = api.get("/api/v1/alerts/", {"query": "status:nonsense"})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_query")
    assert (answer.json()["field"], answer.json()["position"]) == ("query", 7)


def test_a_view_saved_before_keeps_its_meaning_and_shows_its_query(
    alerts: None, reader: Any, client_of: ClientOf
) -> None:
    browser = client_of(reader)
    old = "?q=%2Ftmp&status=active&status=in_progress&namespace=shop&sort=name"
    browser.post("/alerts/views/", {"name": "Old", "query": old})

    page = browser.get("/alerts/")
    assert [(view.query, line) for view, line in page.context["views"]] == [
        (old[1:], "status:active,in_progress namespace:shop /tmp")
    ]
    assert paths(browser.get(f"/alerts/?{page.context['views'][0][0].query}")) == ["/tmp/a"]


def texts(user: Any, line: str) -> list[str]:
    return [each.text for each in query_completions(user, line, len(line))]


def test_names_and_values_are_completed(alerts: None, reader: Any, operator: Any) -> None:
    assert texts(reader, "") == texts(reader, "xmrig ") != []
    assert texts(reader, "no") == ["node:"]
    assert texts(reader, "status:") == ["active", "in_progress", "resolved", "dismissed", "any"]
    assert texts(reader, "status:active,pro") == ["in_progress"]
    assert texts(reader, "writer:") == ["curl", "none"]
    assert texts(reader, "path:/TMP") == ['"/tmp/b c"', "/tmp/a"]
    assert texts(reader, 'path:"/tmp/b') == ['"/tmp/b c"']
    assert texts(reader, "cluster:") == ["blue", "green"]
    assert texts(reader, "rule:shop") == ['"Alert on the shop"']
    assert texts(reader, "assignee:oper") == [operator.email]
    assert texts(reader, "container:") == ["app"]
    assert texts(reader, "nonsense:x") == texts(reader, "xmrig") == texts(reader, "binary:1") == []


def test_completions_are_few_and_take_one_query(estate: Estate, reader: Any) -> None:
    ingest(estate.sensors[0], raw(*(event(process__path=f"/tmp/{n}") for n in range(60))))

    for line in ("path:", "status:", "node:", ""):
        with CaptureQueriesContext(connection) as queries:
            assert len(texts(reader, line)) <= MAX_COMPLETIONS
        assert len(queries) <= 1


def test_nothing_outside_of_a_scope_is_completed(alerts: None, estate: Estate, operator: Any) -> None:
    user = limited(operator, cluster=estate.sensors[0].cluster, namespace="shop")

    assert {each.namespace for each in Alert.objects.visible_to(user)} == {"shop"}
    everything = [
        text for name in ("pod", "path", "namespace", "node", "hash", "image") for text in texts(user, f"{name}:")
    ]
    assert "secret-pod" not in everything
    assert '"/tmp/b c"' not in everything
    assert texts(user, "namespace:") == ["shop"]
    assert texts(user, "cluster:") == ["blue"]


def test_the_completions_are_a_part_of_the_page_for_readers_alone(
    alerts: None, reader: Any, client_of: ClientOf
) -> None:
    answer = client_of(reader).get("/alerts/completions/", {"line": "wri", "caret": "2"})

    assert 'data-text="writer:" data-start="0" data-end="3"' in answer.content.decode()
    for odd in ({}, {"line": "a\0"}, {"line": "x" * 9_000, "caret": "9" * 30}, {"line": "<b>", "caret": "-1"}):
        assert client_of(reader).get("/alerts/completions/", odd).status_code == 200
    assert Client().get("/alerts/completions/").status_code == 302
