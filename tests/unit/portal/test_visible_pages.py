"""No page shows a hidden character, whatever a sensor sent or was stored before such texts were refused."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any, Final

import pytest
from django.db import DataError, IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import ApiToken, ScopeGroup, User
from accounts.roles import Role
from drift.alerts.models import AlertDetail, HashList, PodEntry
from drift.notify.models import AlertRoute, Notice, NoticeDelivery, Webhook
from drift.siem.models import SiemDestination
from drift.web.visible_html import visible_html
from portal.visible_pages import VisiblePagesMiddleware
from sensor.names.visible_text import hidden_character
from tests.database import without_triggers
from tests.unit.drift.alerts.conftest import _fresh_memories, make_estate  # noqa: F401 - a fixture
from tests.unit.portal.planted_estate import OWN_ID, Place, number_rows_from, plant_alerts, plant_cluster
from tests.unit.portal.test_scopes_everywhere import walked

HOSTILE: Final = "ev\u202eli\u200b\u2066x"
"""A direction that is turned, a space without width, and an isolate that nothing ends."""
SHOWN: Final = "ev\\u202eli\\u200b\\u2066x"
NOT_SPOILED: Final = {"accounts_session", "accounts_user.email", "accounts_user.password", "alerts_alert.reason"}
"""Who is signed in, and one of the portal's own words without a constraint."""
NAMES: Final = {"name", "path", "argv", "cwd", "node", "user_agent", "pod_name", "image_name", "exe", "command"}
"""Keys of an event that hold names from outside."""


class Shown(HTMLParser):
    """Collects what a reader of a page sees, reads on hovering, or hears."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._inside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside.append(tag)
        self.texts += [
            value or "" for name, value in attrs if name in {"title", "aria-label", "alt", "placeholder", "hx-confirm"}
        ]

    def handle_endtag(self, tag: str) -> None:
        while self._inside and self._inside.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not {"script", "style", "textarea"} & set(self._inside[-1:]):
            self.texts.append(data)


def shown(html: str) -> str:
    parser = Shown()
    parser.feed(html)
    return "\n".join(parser.texts)


def plant_settings(owner: User, place: Place) -> None:
    """Plant what people name: tokens, lists, routes, receivers, groups, and who asked for a shell in a pod."""
    ApiToken.objects.create(
        user=owner, name="token", prefix="prefix", digest=b"", expires_at=timezone.now() + dt.timedelta(days=9)
    )
    HashList.objects.create(name="list", verdict="bad", size=0, created_by=owner)
    ScopeGroup.objects.create(name="group")
    SiemDestination.objects.create(name="siem", transport="file", record_format="ocsf", file_name="a", error="error")
    AlertRoute.objects.create(name="route", query="status:any")
    Webhook.objects.create(name="webhook", sealed_url=b"", masked_url="https://example.com", sealed=b"")
    notice = Notice.objects.create(kind="mention", user=owner, title="title", text="text")
    NoticeDelivery.objects.create(notice=notice, address=owner.email, state="dead", error="error")
    for alert in place.alerts:
        alert.detail.event["process"]["provenance"] = {"session": "exec", "written_in_session": "exec"}
        at = alert.detail.event["observed_at"]
        alert.detail.event["process"]["entry"] = {"at": at, "pid": 7, "argv": ["sh"], "claimed_id": None}
        alert.detail.save()
        PodEntry.objects.create(
            cluster=place.cluster, audit_id=f"a{alert.pk}", digest=b"", kind="exec", namespace=alert.namespace,
            pod=alert.pod_name, container="c", command=["sh"], username="user", acting_as="other", agent="kubectl",
            groups=["group"], claimed_addresses=["address"], requested_at=at, stage="ResponseStarted", source="token",
        )  # fmt: skip


def spoil_texts() -> int:
    """Put hidden characters into every text of the database that has no constraint; return in how many columns."""
    spoiled = 0
    for detail in AlertDetail.objects.all():
        detail.event = spoiled_names(detail.event)
        detail.save()
    with without_triggers() as cursor:
        cursor.execute(
            "SELECT table_name, column_name FROM information_schema.columns JOIN pg_class ON relname = table_name"
            " WHERE table_schema = 'public' AND data_type IN ('character varying', 'text') AND relkind = 'r'"
            " AND table_name ~ '^(accounts|alerts|backtest|fleet|health|notify|policy|siem)_' ORDER BY 1, 2"
        )
        for table, column in cursor.fetchall():
            if not {table, f"{table}.{column}"} & NOT_SPOILED:
                try:
                    with transaction.atomic():
                        # Not all that is empty: many pages show a text only where there is one.
                        cursor.execute(
                            f'UPDATE "{table}" SET "{column}" = "{column}" || %s WHERE "{column}" <> \'\'', [HOSTILE]
                        )
                        spoiled += cursor.rowcount > 0
                except (IntegrityError, DataError):
                    pass  # a choice, a digest, a key, or too long
    return spoiled


def spoiled_names(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: spoiled_names(each, name) for name, each in value.items()}
    if isinstance(value, list):
        return [spoiled_names(each, key) for each in value]
    return value + HOSTILE if isinstance(value, str) and key in NAMES else value


def queries(name: str, live: str) -> list[str]:
    """Return the queries with which a page is requested; `live`: that of a list that updates in place."""
    tabs = ["timeline", "tree", "why", "action"] if name == "alerts:detail" else []
    return ["", *(f"?tab={each}" for each in tabs), *([live] if name.startswith("alerts:") else [])]


def html_of(answer: Any) -> str:
    """Return the HTML of a response: the page, or the parts of one in JSON."""
    kind = answer.get("Content-Type", "")
    if kind.startswith("text/html"):
        return str(answer.content.decode())
    if kind.startswith("application/json") and not answer.streaming and b"<tr" in answer.content:
        return "\n".join(strings(answer.json()))
    return ""


def strings(value: Any) -> Iterator[str]:
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from strings(each)
    if isinstance(value, str) and "<" in value:
        yield value


@pytest.mark.services
@pytest.mark.django_db
def test_no_page_shows_a_hidden_character(queued: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drift.alerts.actions.triage.check_plain", lambda *_, **__: None)
    number_rows_from(OWN_ID)
    make_estate()
    owner = User.objects.create_user("owner@example.com", "Owner", Role.OWNER, "x")
    place = plant_cluster(HOSTILE)
    plant_alerts(place, f"{HOSTILE}-namespace", HOSTILE, [owner, owner])
    plant_settings(owner, place)
    assert spoil_texts() > 40
    client = Client(raise_request_exception=False)
    client.force_login(owner)

    found, bad, failed, shown_rows = 0, list[str](), list[str](), ",".join(str(each.pk) for each in place.alerts)
    for name, arguments in walked("GET"):
        numbers = [place.alerts[0].pk, place.alerts[1].pk, place.cluster.pk, place.environment.pk]
        given = {key: [value] if not isinstance(value, int) else numbers for key, value in arguments.items()}
        for number in range(len(numbers) if any(len(each) > 1 for each in given.values()) else 1):
            chosen = {key: each[number % len(each)] for key, each in given.items()}
            if "sensor_id" in chosen or ("pk" in chosen and not isinstance(chosen["pk"], int)):
                chosen = dict.fromkeys(chosen, place.sensor.pk)
            for query in queries(name, f"?status=any&since=0&shown={shown_rows}"):
                answer = client.get(reverse(name, kwargs=chosen) + query)
                failed += [f"{name} {chosen} {query}"] if answer.status_code == 500 else []
                html = html_of(answer)
                found += SHOWN in html
                if hidden_character(shown(html), several_lines=True):
                    bad.append(f"{name} {chosen} {query}")

    assert bad == []
    assert failed == []
    assert found > 20


@pytest.mark.parametrize("page", ["<i>–</i><td>/{}tmp</td>", "<i>✓…</i><td>ls{}</td>", "<p>é</p><td>{}</td>", "{}"])
def test_each_character_that_needs_an_escape_gets_it_whatever_else_the_page_has(page: str) -> None:
    codes = [*range(9), *range(0x7F, 0x3100), *range(0xFE00, 0x10000), *range(0xE0000, 0xE0100)]
    pages = [page.format(chr(code)) for code in codes]
    escaped = [each for each in pages if visible_html(each) != each]

    assert len(escaped) > 300
    assert [each for each in escaped if shown_page(each) != visible_html(each)] == []


@pytest.mark.parametrize("page", ["<i>…</i><b>❤️ 1️⃣ ©️</b>", "<td>café – naïve</td>", "<td>नमस्ते</td>"])
def test_a_page_with_emoji_and_letters_with_marks_stays_as_it_was(page: str) -> None:
    assert shown_page(page) == page


def shown_page(page: str) -> str:
    response = VisiblePagesMiddleware(lambda _: HttpResponse(page))(HttpRequest())
    return response.content.decode()  # type: ignore[attr-defined, no-any-return]


def test_what_a_form_sends_back_stays_as_it_was() -> None:
    page = (
        '<p title="a\u202eb">x\u202ey</p><input value="a\u202eb"><textarea>\u202e</textarea><script>"\u202e"</script>'
    )

    assert visible_html(page) == (
        '<p title="a\\u202eb">x\\u202ey</p><input value="a\u202eb"><textarea>\u202e</textarea><script>"\u202e"</script>'
    )
