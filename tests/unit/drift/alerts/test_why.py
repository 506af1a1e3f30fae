"""*Why did this alert, or not?*: an event, an alert or a path, and the rule that decides about it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from drift.alerts.models import Alert
from drift.policy.actions import drafts
from drift.policy.domain import edits
from drift.policy.queries.drafts import draft_state
from tests.unit.drift.alerts.conftest import Estate, event

pytestmark = [pytest.mark.services, pytest.mark.django_db]
Post = Callable[..., Any]
WHY = "/settings/policy/why/"
HTMX = {"HX-Request": "true"}


@pytest.fixture
def asking(reader: Any, client_of: Callable[[Any], Client]) -> Client:
    return client_of(reader)


def _ask(client: Client, **fields: str) -> str:
    answer = client.post(WHY, fields, headers=HTMX)
    assert answer.status_code == 200, answer.content[:300]
    return " ".join(answer.content.decode().split())


def _refused(client: Client, **fields: str) -> str:
    answer = client.post(WHY, fields, headers=HTMX)
    assert answer.status_code == 422
    return answer.content.decode()


@pytest.mark.parametrize("spelling", ["{}", "#{}", "alert {}", "https://portal/alerts/{}/?tab=why"])
def test_an_alert_is_named_by_its_number_or_address(estate: Estate, post: Post, asking: Client, spelling: str) -> None:
    post(estate.client(), event())
    answer = _ask(asking, event=spelling.format(Alert.objects.get().pk))
    assert "Alert on the shop" in answer
    assert "Decides" in answer


def test_an_alert_s_json_and_the_sensor_s_event_are_the_same_question(
    estate: Estate, post: Post, asking: Client, reader: Any, api_of: Any
) -> None:
    post(estate.client(), event())
    alert = Alert.objects.select_related("detail").get()
    pasted = api_of(reader).get(f"/api/v1/alerts/{alert.pk}/").json()
    answers = [_ask(asking, event=json.dumps(each)) for each in (pasted, alert.detail.event)]
    assert all("by <strong>Alert on the shop</strong>" in answer for answer in answers)


def test_a_path_with_image_and_namespace_is_completed_by_the_workload(
    estate: Estate, post: Post, asking: Client
) -> None:
    post(estate.client(), event())
    alert = Alert.objects.get()
    answer = _ask(asking, path="/opt/other", image=alert.image_name, namespace=alert.namespace)
    assert "by <strong>Alert on the shop</strong>" in answer
    assert "As the newest such workload" in answer


def test_each_rule_above_says_what_it_expected_and_what_the_event_has(estate: Estate, asking: Client) -> None:
    flat = {"provider": "azure", "account": "x", "namespace": "quiet", "process_path": "/tmp/a"}
    answer = _ask(asking, event=json.dumps(flat))
    assert "found “quiet”" in answer
    assert "by <strong>Default binary drift rule</strong>" in answer


def test_the_draft_is_explained_beside_the_latest_version(
    estate: Estate, operator: Any, client_of: Callable[[Any], Client]
) -> None:
    drafts.change_draft(draft_state(operator), edits.set_default_action("alert"))
    flat = {"provider": "azure", "account": "x", "process_path": "/tmp/a", "drift_kind": "interpreter"}
    answer = _ask(client_of(operator), event=json.dumps(flat))
    assert answer.count("by <strong>Default binary drift rule</strong>") == 2
    assert ">Ignore</span>" in answer
    assert ">Alert</span>" in answer
    assert "Sensors do not report this kind of drift" in answer


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "type the path of a file"),
        ({"namespace": "shop"}, "type the path of a file"),
        ({"event": "no json"}, "nor JSON"),
        ({"event": "[1]"}, "one JSON object"),
        ({"event": "{}"}, "no property of an event"),
        ({"event": '{"namespace": 7}'}, "must be a string"),
        ({"event": '{"process": {}}'}, "not an event of a sensor"),
        ({"event": "999999999"}, "There is no alert 999999999"),
        ({"event": "[" * 30_000}, "nested too deeply"),
        ({"event": "{" + " " * 40_000 + "}"}, "at most 32768"),
        ({"event": '{"id": 1e400}'}, "no property"),
    ],
)
def test_a_question_without_an_event_says_what_is_missing(
    estate: Estate, asking: Client, fields: dict[str, str], words: str
) -> None:
    assert words in _refused(asking, **fields)


def test_the_page_works_without_javascript(estate: Estate, asking: Client) -> None:
    assert "Why did this alert, or not?" in asking.get(WHY).content.decode()
    assert "Default binary drift rule" in asking.post(WHY, {"path": "/tmp/a", "namespace": "none"}).content.decode()


@pytest.mark.parametrize(
    "fields",
    [
        *({"path": "/a", name: "a\0b"} for name in ("path", "image", "namespace", "place")),
        *(
            {"event": json.dumps({"process_path": "/a", **changes})}
            for changes in (
                {"process_path": "/a\0b"},
                {"namespace": "\0"},
                {"image_name": "a\ud800"},
                {"provider": "\udfff", "drift_kind": "new_file"},
                {"pod_labels": {"app": "\ud800"}},
                {"pod_labels": {"\ud800": "app"}},
            )
        ),
        {"event": json.dumps(event(container__namespace="a\0b"))},
        {"event": json.dumps(event(process__path="/\ud800"))},
    ],
)
def test_text_that_nothing_stored_can_have_is_refused(estate: Estate, asking: Client, fields: dict[str, str]) -> None:
    assert "not allowed" in _refused(asking, **fields)
