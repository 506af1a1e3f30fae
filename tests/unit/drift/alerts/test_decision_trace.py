"""An alert is explained when it is displayed, by the policy version that decided."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest

from drift.alerts.models import Alert
from drift.policy.models import PolicyVersion
from sensor import policy
from tests.unit.drift.alerts.conftest import RULE, Estate, document, event

pytestmark = [pytest.mark.services, pytest.mark.django_db]
Post = Callable[..., Any]


def test_a_storm_of_alerts_evaluates_no_trace(estate: Estate, post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    def explain(*_: object) -> None:
        pytest.fail("explaining a thousand alerts by a thousand rules outlasts the sensor's patience")

    monkeypatch.setattr(policy.Policy, "explain", explain)

    assert post(estate.client(), *(event(process__path=f"/tmp/{n}") for n in range(3))).status_code == 200
    assert Alert.objects.count() == 3


def test_an_alert_s_page_explains_the_decision_and_a_list_does_not(
    estate: Estate, reader: Any, api_of: Any, post: Post
) -> None:
    post(estate.client(), event())
    changed = document("ignore")
    PolicyVersion.objects.create(number=500, document=changed, digest=policy.digest(changed))

    one = api_of(reader).get(f"/api/v1/alerts/{Alert.objects.get().pk}/").json()
    listed = api_of(reader).get("/api/v1/alerts/").json()["alerts"]

    assert one["trace"][-1] == {"rule": RULE, "failed": None}
    assert one["policy"]["rule"]["action"] == "alert"
    assert ["trace" in each for each in listed] == [False]


def test_an_event_with_an_outdated_shape_is_shown_without_its_trace(
    estate: Estate, reader: Any, client_of: Any, post: Post
) -> None:
    post(estate.client(), event())
    detail = Alert.objects.get().detail
    detail.event["mode"] = "older"
    detail.save()

    assert client_of(reader).get(f"/alerts/{detail.pk}/?tab=why").status_code == 200


WROTE: dict[str, Any] = {"name": "curl", "path": "/usr/bin/curl", "pid": 7, "parent": {"name": "nginx", "pid": 5}}


@pytest.mark.parametrize(
    ("before", "words"),
    [(0.004, "4 ms"), (3.2, "3 s"), (100, "100 s"), (900, "15 min"), (86_400, "24 h"), (1e6, "11 d")],
)
def test_an_alert_shows_the_writer_of_the_file_and_how_long_before(
    estate: Estate, reader: Any, client_of: Any, api_of: Any, post: Post, before: float, words: str
) -> None:
    made = event()
    at = dt.datetime.fromisoformat(made["observed_at"]) - dt.timedelta(seconds=before)
    made["process"]["written_by"] = {**WROTE, "at": at.isoformat()}
    post(estate.client(), made)
    alert = Alert.objects.get()

    page = client_of(reader).get(f"/alerts/{alert.pk}/?tab=details").content.decode()
    written = api_of(reader).get(f"/api/v1/alerts/{alert.pk}/").json()["event"]["process"]["written_by"]

    assert f"<code>/usr/bin/curl</code></a> under <code>nginx</code>, {words} earlier, process 7" in page
    assert (written["path"], written["parent"]["name"]) == ("/usr/bin/curl", "nginx")
