"""No page shows a hidden character, whatever a sensor sent or was stored before such texts were refused."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any, Final

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import User
from accounts.roles import Role
from portal.visible_pages import visible_page
from sensor.names.visible_text import hidden_character
from tests.unit.drift.alerts.conftest import _fresh_memories, make_estate  # noqa: F401 - a fixture
from tests.unit.portal.planted_estate import OWN_ID, number_rows_from, plant_alerts, plant_cluster
from tests.unit.portal.test_scopes_everywhere import walked

HOSTILE: Final = "ev\u202eli\u200b\u2066x"
"""A direction that is turned, a space without width, and an isolate that nothing ends."""
SHOWN: Final = "ev\\u202eli\\u200b\\u2066x"


class Shown(HTMLParser):
    """Collects what a reader of a page sees, reads on hovering, or hears."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._inside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside.append(tag)
        self.texts += [value or "" for name, value in attrs if name in {"title", "aria-label", "alt", "placeholder"}]

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


@pytest.mark.services
@pytest.mark.django_db
def test_no_page_shows_a_hidden_character(queued: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drift.alerts.actions.triage.check_plain", lambda *_, **__: None)
    number_rows_from(OWN_ID)
    make_estate()
    owner = User.objects.create_user("owner@example.com", "Owner", Role.OWNER, "x")
    place = plant_cluster(HOSTILE)
    plant_alerts(place, f"{HOSTILE}-namespace", HOSTILE, [owner, owner])
    client = Client(raise_request_exception=False)
    client.force_login(owner)

    found, bad = 0, []
    for name, arguments in walked("GET"):
        numbers = [place.alerts[0].pk, place.alerts[1].pk, place.cluster.pk, place.environment.pk]
        given = {key: [value] if not isinstance(value, int) else numbers for key, value in arguments.items()}
        for number in range(len(numbers) if any(len(each) > 1 for each in given.values()) else 1):
            chosen = {key: each[number % len(each)] for key, each in given.items()}
            if "sensor_id" in chosen or ("pk" in chosen and not isinstance(chosen["pk"], int)):
                chosen = dict.fromkeys(chosen, place.sensor.pk)
            for query in ("", "?status=any", "?tab=timeline", "?tab=tree", "?tab=why", "?tab=action"):
                answer = client.get(reverse(name, kwargs=chosen) + query)
                if not answer.get("Content-Type", "").startswith("text/html"):
                    continue
                html = answer.content.decode()
                found += SHOWN in html
                if hidden_character(shown(html), several_lines=True):
                    bad.append(f"{name} {chosen} {query}")

    assert bad == []
    assert found > 20


def test_what_a_form_sends_back_stays_as_it_was() -> None:
    page = (
        '<p title="a\u202eb">x\u202ey</p><input value="a\u202eb"><textarea>\u202e</textarea><script>"\u202e"</script>'
    )

    assert visible_page(page) == (
        '<p title="a\\u202eb">x\\u202ey</p><input value="a\u202eb"><textarea>\u202e</textarea><script>"\u202e"</script>'
    )
