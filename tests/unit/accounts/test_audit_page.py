"""The audit log's page, export and API: filters, what each role sees, and texts that cannot deceive."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import audit
from accounts.actions.audit_seals import seal_entries
from accounts.models import AuditEntry
from accounts.queries import audit as queries

pytestmark = [pytest.mark.services, pytest.mark.django_db]
ClientOf = Callable[[Any], Client]


def entry(**values: Any) -> AuditEntry:
    given = {"actor_name": "x@example.com", "verb": "changed", "object_type": "rule", "object_id": "7", **values}
    return AuditEntry.objects.create(**given)


@pytest.fixture
def secret_entry(owner: Any) -> AuditEntry:
    return entry(
        actor=owner, actor_name=owner.email, object_name="ci", address="192.0.2.77", agent="Curl-of-owner",
        session="feedfacefeed", token="cafebabecafe", after={"prefix": "0123456789ab", "scopes": ["read"]},
    )  # fmt: skip


SECRETS = ("192.0.2.77", "Curl-of-owner", "feedfacefeed", "cafebabecafe", "0123456789ab")


@pytest.mark.parametrize("path", ["/audit/", "/audit/export.csv", "/audit/export.jsonl", "/api/v1/audit/"])
@pytest.mark.parametrize(("role", "sees"), [("reader", False), ("operator", False), ("admin", True), ("owner", True)])
def test_addresses_and_token_prefixes_of_others_are_for_admins(
    path: str, role: str, sees: bool, secret_entry: AuditEntry, client_of: ClientOf, request: pytest.FixtureRequest
) -> None:
    text = client_of(request.getfixturevalue(role)).get(path).getvalue().decode()
    assert "ci" in text and secret_entry.actor_name in text
    assert [secret in text for secret in SECRETS] == [sees] * len(SECRETS)


@pytest.mark.parametrize("path", ["/audit/", "/audit/export.csv", "/audit/export.jsonl", "/api/v1/audit/"])
@pytest.mark.parametrize("secret", [*SECRETS, "01234", "192.0.2"])
def test_a_reader_cannot_find_by_search_what_they_do_not_see(
    path: str, secret: str, secret_entry: AuditEntry, reader: Any, client_of: ClientOf
) -> None:
    client = client_of(reader)
    for field in ("text", "object", "actor", "verb", "object_type"):
        assert secret_entry.actor_name not in client.get(path, {field: secret}).getvalue().decode()


def test_users_see_where_their_own_changes_came_from(reader: Any, client_of: ClientOf) -> None:
    entry(actor=reader, actor_name=reader.email, address="192.0.2.5", after={"prefix": "abcabcabcabc"})
    text = client_of(reader).get("/audit/").content.decode()
    assert "192.0.2.5" in text and "abcabcabcabc" in text


FILTERED = [
    ({"actor": "ANN@"}, {1, 2}),
    ({"verb": "Saved"}, {2}),
    ({"object_type": "policy"}, {2}),
    ({"object": "Nine"}, {1}),
    ({"object": "42"}, {3}),
    ({"text": "prod"}, {3}),
    ({"text": "203.0.113.9"}, {1}),
    ({"since": "2026-02-01T00:00"}, {2, 3}),
    ({"until": "2026-02-01T00:00"}, {1}),
    ({"since": "2026-01-15T00:00", "until": "2026-02-15T00:00"}, {2}),
    ({"actor": "ann", "verb": "changed"}, {1}),
    ({"text": "%"}, set()),
    ({"text": "_"}, set()),
    ({"actor": "nobody"}, set()),
]


@pytest.fixture
def three_entries() -> dict[int, int]:
    def at(month: int) -> dt.datetime:
        return dt.datetime(2026, month, 1, tzinfo=dt.UTC)

    rows = {
        1: entry(actor_name="ann@example.com", object_name="Rule nine", address="203.0.113.9", at=at(1)),
        2: entry(actor_name="ann@example.com", verb="saved", object_type="policy", at=at(2)),
        3: entry(actor_name="bob@example.com", object_id="42", after={"name": "Production"}, at=at(3)),
    }
    return {row.pk: number for number, row in rows.items()}


@pytest.mark.parametrize(("filters", "found"), FILTERED)
def test_filters_choose_entries_alike_on_page_export_and_api(
    filters: dict[str, str], found: set[int], three_entries: dict[int, int], owner: Any, client_of: ClientOf
) -> None:
    client = client_of(owner)
    shown = {three_entries.get(each.entry.pk) for each in client.get("/audit/", filters).context["entries"]} - {None}
    api = {three_entries.get(row["id"]) for row in client.get("/api/v1/audit/", filters).json()["results"]} - {None}
    lines = client.get("/audit/export.jsonl", filters).getvalue().decode().splitlines()
    times = {json.loads(line)["at_utc"] for line in lines}
    exported = {number for pk, number in three_entries.items() if AuditEntry.objects.get(pk=pk).at.isoformat() in times}
    assert shown == api == exported == found


@pytest.mark.parametrize("value", ["yesterday", "2026-13-01T00:00", "99999-01-01T00:00", "\0"])
def test_an_invalid_time_is_refused_and_never_ignored(value: str, owner: Any, client_of: ClientOf) -> None:
    client = client_of(owner)
    page = client.get("/audit/", {"since": value})
    assert page.status_code == 422
    assert "Invalid filter" in page.content.decode()
    assert client.get("/audit/export.csv", {"since": value}).status_code == 422
    assert client.get("/api/v1/audit/", {"since": value}).status_code == 400


@pytest.mark.parametrize("before", ["", "x", "-1", "²", "9" * 18, "9" * 40, "\0"])
def test_any_place_to_continue_from_gives_a_page(before: str, owner: Any, client_of: ClientOf) -> None:
    assert client_of(owner).get("/audit/", {"before": before}).status_code == 200


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=501", "before=0", "before=x", f"before={2**63}", "unknown=1", "text=%00"]
)
def test_the_api_refuses_what_it_does_not_know(query: str, owner: Any, client_of: ClientOf) -> None:
    response = client_of(owner).get(f"/api/v1/audit/?{query}")
    assert (response.status_code, response["Content-Type"]) == (400, "application/json")


def test_pages_of_the_api_follow_each_other_without_gap(owner: Any, api_of: Callable[..., Client]) -> None:
    rows = [entry(object_id=str(number)).pk for number in range(7)]
    client, found, before = api_of(owner), [], ""
    for _ in range(4):
        body = client.get(f"/api/v1/audit/?limit=2&verb=changed{before}").json()
        found += [row["id"] for row in body["results"]]
        before = f"&before={body['next']}"
    assert found == rows[::-1]
    assert body["next"] is None


def test_older_pages_keep_the_filters(owner: Any, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(queries.AUDIT_PAGE + 5):
        entry(actor_name="ann & bob@example.com")
    client = client_of(owner)
    first = client.get("/audit/", {"actor": "ann & bob"})
    assert f"?actor=ann+%26+bob&amp;before={first.context['older']}" in first.content.decode()
    second = client.get("/audit/", {"actor": "ann & bob", "before": first.context["older"]})
    assert len(second.context["entries"]) == 5
    assert second.context["older"] is None


DECEIVING = "safe\u202egnp.exe\u200b\u2066x\x07\u2028"
ESCAPED = r"safe\u202egnp.exe\u200b\u2066x\x07\u2028"
ESCAPED_IN_JSON = ESCAPED.replace(r"\x07", r"\u0007")


def test_invisible_characters_are_shown_and_markup_is_text(owner: Any, client_of: ClientOf) -> None:
    entry(
        actor_name=f"a{DECEIVING}", verb=f"v{DECEIVING}", object_name="<script>alert(1)</script>" + DECEIVING,
        before={f"k{DECEIVING}": f"b{DECEIVING}"}, after={"n": [f"c{DECEIVING}"]}, agent=f"u{DECEIVING}",
    )  # fmt: skip
    text = client_of(owner).get("/audit/").content.decode()
    assert not set(text) & set("\u202e\u200b\u2066\x07\u2028")
    for start in "avkbu":
        assert start + ESCAPED in text, start
    assert "c" + ESCAPED_IN_JSON in text
    assert "<script>alert(1)" not in text


def test_no_cell_of_the_csv_is_a_formula(owner: Any, client_of: ClientOf) -> None:
    for start in ("=", "+", "-", "@", "\t", "\r", " =", "\n=", "\t=", "\xa0=", "＝"):
        entry(object_name=f"{start}HYPERLINK(1)", actor_name=f"{start}x")
    rows = list(csv.reader(io.StringIO(client_of(owner).get("/audit/export.csv").getvalue().decode(), newline="")))
    cells = [cell for row in rows for cell in row]
    assert rows[0][:3] == ["position", "at_utc", "actor"]
    assert not [cell for cell in cells if cell.lstrip().startswith(("=", "+", "-", "@", "＝"))]


def test_an_export_that_ends_at_its_limit_says_so(
    owner: Any, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "MAX_EXPORTED", 1_003)
    AuditEntry.objects.bulk_create(
        AuditEntry(actor_name="x", verb="changed", object_type="rule", object_id=str(number)) for number in range(1_003)
    )
    client = client_of(owner)
    of_rules = {"object_type": "rule"}
    lines = client.get("/audit/export.jsonl", of_rules).getvalue().decode().splitlines()
    assert len(lines) == 1_003 and "truncated" not in lines[-1], "exactly as many as fit"
    entry()
    expected = "the 1,003 newest entries that match; older ones are missing"
    lines = client.get("/audit/export.jsonl", of_rules).getvalue().decode().splitlines()
    assert len(lines) == 1_004 and json.loads(lines[-1]) == {"truncated": expected}
    rows = list(csv.reader(client.get("/audit/export.csv", of_rules).getvalue().decode().splitlines()))
    assert len(rows) == 1_005 and rows[-1] == [expected]


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_the_command_exports_everything_oldest_first(kind: str, owner: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "MAX_EXPORTED", 3)
    first, *_, last = [entry(address="192.0.2.1", after={"prefix": "abc"}) for _ in range(8)]
    seal_entries()
    out = StringIO()
    call_command("audit", "export", "--format", kind, stdout=out)
    text = out.getvalue()
    rows = [json.loads(line) for line in text.splitlines()] if kind == "jsonl" else list(csv.DictReader(StringIO(text)))
    rows = [row for row in rows if row["action"] == "changed"]
    assert len(rows) == 8
    assert [int(rows[0]["position"]), int(rows[-1]["position"])] == [first.seal.position, last.seal.position]
    assert all(row["address"] == "192.0.2.1" and "abc" in str(row["after"]) for row in rows)


def test_only_values_that_differ_are_changes(owner: Any, client_of: ClientOf) -> None:
    entry(before={"role": "reader", "name": "Ann", "gone": 1}, after={"role": "owner", "name": "Ann", "new": [1, 2]})
    (shown,) = client_of(owner).get("/audit/", {"verb": "changed"}).context["entries"]
    assert [(change.key, change.before, change.after) for change in shown.changes] == [
        ("gone", 1, None),
        ("new", None, [1, 2]),
        ("role", "reader", "owner"),
    ]


def test_an_entry_that_is_not_sealed_yet_says_so(owner: Any, client_of: ClientOf) -> None:
    client = client_of(owner)
    entry()
    seal_entries()
    assert "not sealed yet" not in client.get("/audit/", {"verb": "changed"}).content.decode()
    entry()
    assert client.get("/audit/", {"verb": "changed"}).content.decode().count("not sealed yet") == 1


def test_the_number_of_queries_does_not_depend_on_the_number_of_entries(owner: Any, client_of: ClientOf) -> None:
    client, counts = client_of(owner), []
    for _ in range(2):
        for number in range(20):
            audit.record(owner, "changed", "rule", number, before={"a": 1}, after={"a": 2})
        seal_entries()
        with CaptureQueriesContext(
            connection,
        ) as caught:
            client.get("/audit/")
        counts.append(len(caught))
    assert counts[0] == counts[1] <= 8


def test_a_huge_value_is_cut_on_the_page(owner: Any, client_of: ClientOf) -> None:
    entry(after={"text": "x" * 100_000}, at=timezone.now())
    assert len(client_of(owner).get("/audit/").content) < 60_000
