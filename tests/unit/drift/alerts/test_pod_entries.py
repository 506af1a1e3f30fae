"""Who entered a container: audit lines arrive from a cluster, and alerts name whose request it was, and how sure."""

from __future__ import annotations

import datetime as dt
import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.test import Client

from accounts.models import AuditEntry, ScopeEntry, User
from accounts.roles import Role
from accounts.tokens import TokenScope
from drift.alerts.actions import store_pod_entries
from drift.alerts.actions.ingest import ingest
from drift.alerts.models import Alert, PodEntry
from drift.alerts.queries.pod_entries import entered_by
from tests.unit.drift.alerts.audit_lines import audit_event
from tests.unit.drift.alerts.conftest import Estate, audit_token, event, event_list, now, raw, stored_alert

pytestmark = [pytest.mark.services, pytest.mark.django_db]
ClientOf = Callable[[Any], Client]
IDS = [f"00000000-0000-4000-8000-00000000000{each}" for each in range(5)]


def entered(*argv: str, at: dt.datetime | None = None, claimed: str | None = None, **changes: Any) -> dict[str, Any]:
    """An event of a process below one that entered with `argv`; `at`: when."""
    moment = at or now()
    entry = {"at": moment.isoformat(), "pid": 7, "argv": list(argv), "claimed_id": claimed}
    return event(process__provenance={"session": "exec"}, process__entry=entry, at=moment, **changes)


def test_lines_are_stored_once_and_later_stages_complete_them(sender: Callable[..., Any], estate: Estate) -> None:
    first = audit_event("id", stage="RequestReceived", responseStatus=None)
    last = {**first, "stage": "ResponseComplete", "responseStatus": {"code": 101}}
    assert sender(first, audit_event(objectRef__subresource="log"), 7).json() == {
        "stored": 1, "known": 0, "refused": 0, "other": 1, "invalid": 1,
    }  # fmt: skip
    assert sender(first, last).json()["known"] == 2
    assert sender(last, first).json() == {"stored": 0, "known": 2, "refused": 0, "other": 0, "invalid": 0}

    (row,) = PodEntry.objects.all()
    assert (row.username, row.command, row.stage, row.code) == ("alice@example.com", ["id"], "ResponseComplete", 101)
    assert (row.address, row.claimed_addresses, row.cluster) == ("10.0.0.7", ["203.0.113.9"], estate.sensors[0].cluster)
    assert row.ended_at is not None and row.source.startswith("token ")


def test_a_replayed_line_with_another_name_changes_nothing(sender: Callable[..., Any]) -> None:
    line = audit_event("sh")
    sender(line)
    for forged in ({"user__username": "bob@example.com"}, {"sourceIPs": ["1.1.1.1"]}, {"objectRef__name": "other"}):
        again = audit_event("sh", auditID=line["auditID"], stage="ResponseComplete", **forged)
        again["requestReceivedTimestamp"] = line["requestReceivedTimestamp"]
        assert sender(again).json()["refused"] == 1
    assert list(PodEntry.objects.values_list("username", "stage")) == [("alice@example.com", "ResponseStarted")]


def test_the_same_id_of_another_cluster_is_another_request(sender: Callable[..., Any], estate: Estate) -> None:
    line = audit_event("sh")
    assert [sender(line).json()["stored"], sender(line, index=2).json()["stored"]] == [1, 1]
    alert = stored_alert(estate, entered("sh", claimed=line["auditID"]), index=2)
    PodEntry.objects.filter(cluster=estate.sensors[2].cluster).delete()
    user = User.objects.create_user("r@example.com", "R", Role.READER, "x")
    match = entered_by(user, alert)
    assert match is not None and (match.confidence, match.requests) == ("claimed", ())


def test_lines_of_another_time_are_refused(sender: Callable[..., Any], settings: Any) -> None:
    settings.KUBERNETES_AUDIT_RETENTION_DAYS = 30
    old, ahead = now() - dt.timedelta(days=31), now() + dt.timedelta(minutes=11)
    assert sender(audit_event(at=old), audit_event(at=ahead), audit_event()).json()["refused"] == 2


def test_lines_may_come_as_gzip_or_as_lines(sender: Callable[..., Any]) -> None:
    lines = "\n".join(json.dumps(audit_event()) for _ in range(3)).encode()
    assert sender(body=lines).json()["stored"] == 3
    packed = gzip.compress(event_list(audit_event()))
    assert sender(body=packed, headers={"Content-Encoding": "gzip"}).json()["stored"] == 1
    assert (
        sender(body=gzip.compress(b"0" * (17 * 1024 * 1024)), headers={"Content-Encoding": "gzip"}).status_code == 413
    )
    assert sender(body=b"{").json()["code"] == "bad_body"


def test_a_cluster_has_a_share_of_lines_a_day(
    sender: Callable[..., Any], estate: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_pod_entries, "MAX_A_DAY", 2)
    line = audit_event()
    assert sender(line, audit_event()).json()["stored"] == 2
    full = sender(audit_event(), audit_event())
    assert (full.status_code, full.json()["code"], full["Retry-After"]) == (429, "audit_lines_full", "3600")
    assert sender(line).json()["known"] == 1
    assert sender(audit_event(), index=2).status_code == 200


def test_only_a_token_with_the_scope_and_the_whole_cluster_may_send(
    estate: Estate, owner: Any, operator: Any, client_of: ClientOf
) -> None:
    cluster, other = estate.sensors[0].cluster, estate.sensors[2].cluster

    def sent(client: Client, pk: int) -> int:
        path = f"/api/v1/clusters/{pk}/kubernetes-audit/"
        return int(client.post(path, event_list(audit_event()), content_type="application/json").status_code)

    def bearer(user: User, *scopes: TokenScope) -> Client:
        return Client(headers={"Authorization": f"Bearer {audit_token(user, *scopes)}"})

    assert sent(Client(), cluster.pk) == 401
    assert sent(client_of(owner), cluster.pk) == 403
    assert sent(bearer(owner, TokenScope.FLEET, TokenScope.ADMIN), cluster.pk) == 403
    assert sent(bearer(operator, TokenScope.KUBERNETES_AUDIT), cluster.pk) == 200
    assert sent(bearer(operator, TokenScope.KUBERNETES_AUDIT), 987_654) == 404
    User.objects.filter(pk=operator.pk).update(is_scoped=True)
    ScopeEntry.objects.create(user=operator, cluster=cluster)
    ScopeEntry.objects.create(user=operator, namespace="shop")
    limited = bearer(User.objects.get(pk=operator.pk), TokenScope.KUBERNETES_AUDIT)
    assert (sent(limited, cluster.pk), sent(limited, other.pk)) == (200, 404)


def test_an_id_that_an_audit_line_confirms_names_the_person(
    sender: Callable[..., Any], estate: Estate, reader: Any
) -> None:
    sender(audit_event("bash", "-l", auditID=IDS[0]), audit_event("bash", "-l", auditID=IDS[1], user__username="bob"))
    match = entered_by(reader, stored_alert(estate, entered("bash", "-l", claimed=IDS[1])))
    assert match is not None and match.confidence == "confirmed"
    assert match.words == "bob, by kubectl exec from 10.0.0.7 (confirmed by the request's id)"


@pytest.mark.parametrize(
    "line",
    [
        lambda: audit_event("bash", auditID=IDS[0], container="sidecar"),
        lambda: audit_event("bash", auditID=IDS[0], objectRef__name="other-pod"),
        lambda: audit_event("bash", auditID=IDS[0], objectRef__namespace="payments"),
        lambda: audit_event("id", auditID=IDS[0]),
        lambda: audit_event("bash", auditID=IDS[0], at=now() - dt.timedelta(minutes=3)),
        lambda: audit_event("bash", auditID=IDS[0], at=now() + dt.timedelta(minutes=3)),
        lambda: audit_event("bash", auditID=IDS[0], responseStatus__code=403),
        lambda: audit_event("bash", auditID=IDS[0], kind="attach"),
    ],
    ids=["container", "pod", "namespace", "command", "earlier", "later", "refused", "attach"],
)
def test_a_claimed_id_of_another_request_confirms_nothing(
    line: Callable[[], dict[str, Any]], sender: Callable[..., Any], estate: Estate, reader: Any
) -> None:
    sender(line())
    match = entered_by(reader, stored_alert(estate, entered("bash", claimed=IDS[0])))
    assert match is not None and (match.confidence, match.requests) == ("claimed", ())
    assert match.words == f"Request {IDS[0]} is claimed and not confirmed"


def test_an_id_that_is_made_up_makes_the_nearest_request_a_possible_one_at_best(
    sender: Callable[..., Any], estate: Estate, reader: Any
) -> None:
    sender(audit_event("bash"))
    match = entered_by(reader, stored_alert(estate, entered("bash", claimed=IDS[4])))
    assert match is not None and match.confidence == "ambiguous"
    assert match.words.startswith("Ambiguous: alice@example.com, by kubectl exec from 10.0.0.7; request 0000")


def test_without_an_id_the_only_request_within_seconds_is_likely(
    sender: Callable[..., Any], estate: Estate, reader: Any
) -> None:
    at = now()
    sender(
        audit_event("sh", at=at - dt.timedelta(seconds=2)),
        audit_event("sh", at=at - dt.timedelta(seconds=1)),
        audit_event("id", user__username="carol"),
        audit_event("sh", user__username="dan", container="sidecar"),
        audit_event("sh", user__username="eve", responseStatus__code=403),
        audit_event("sh", user__username="frank", at=at - dt.timedelta(seconds=40)),
    )
    match = entered_by(reader, stored_alert(estate, entered("sh", at=at)))
    assert match is not None and match.words == "Likely alice@example.com, by kubectl exec from 10.0.0.7"


def test_two_people_at_once_are_both_named(sender: Callable[..., Any], estate: Estate, reader: Any) -> None:
    sender(audit_event("sh"), audit_event("sh", user__username="bob", sourceIPs=[]))
    match = entered_by(reader, stored_alert(estate, entered("sh")))
    assert match is not None and match.confidence == "ambiguous"
    assert match.words == "Ambiguous: alice@example.com, by kubectl exec from 10.0.0.7 or bob, by kubectl exec"
    assert {each["user"] for each in match.as_json()["requests"]} == {"alice@example.com", "bob"}


def test_a_clock_that_is_wrong_by_a_minute_names_nobody(
    sender: Callable[..., Any], estate: Estate, reader: Any
) -> None:
    at = now()
    sender(audit_event("sh", at=at - dt.timedelta(seconds=61)))
    match = entered_by(reader, stored_alert(estate, entered("sh", at=at)))
    assert match is not None and match.confidence == "unknown"


def test_of_an_older_sensor_the_process_that_entered_itself_is_matched(
    sender: Callable[..., Any], estate: Estate, reader: Any
) -> None:
    sender(audit_event("./xmrig", "-o", "pool"))
    match = entered_by(reader, stored_alert(estate, event(process__provenance={"session": "exec"})))
    assert match is not None and match.confidence == "likely"


@pytest.mark.parametrize(
    "sent",
    [
        event(),
        event(process__provenance={"session": None}),
        event(process__provenance={"session": "workload"}),
        event(process__provenance={"session": "exec"}, container__namespace=None, container__pod_name=None),
    ],
)
def test_nobody_entered_what_the_workload_or_somebody_unknown_started(
    sent: dict[str, Any], sender: Callable[..., Any], estate: Estate, reader: Any
) -> None:
    sender(audit_event("./xmrig", "-o", "pool"))
    assert entered_by(reader, stored_alert(estate, sent)) is None


@pytest.mark.parametrize(
    ("argv", "command"),
    [
        (["/bin/sh", "/entry.sh", "a"], ["/entry.sh", "a"]),
        (["/usr/bin/env", "python3", "/opt/run", "x"], ["run", "x"]),
        (["psql", "--password=***"], ["psql", "--password=hunter2"]),
        (["tool", "--company-key=***"], ["tool", "--company-key=hunter2"]),
        (["echo", "a\\xffb"], ["echo", b"a\xffb"]),
    ],
)
def test_a_command_is_recognised_as_the_kernel_shows_it(
    argv: list[str], command: list[Any], sender: Callable[..., Any], estate: Estate, reader: Any
) -> None:
    sender(audit_event(*command))
    match = entered_by(reader, stored_alert(estate, entered(*argv)))
    assert match is not None and match.confidence == "likely"


@pytest.mark.parametrize(
    ("argv", "command"),
    [
        (["sh"], ["sh", "-c", "id"]),
        (["sh", "-c", "id"], ["sh"]),
        (["sh", "-c", "id", "x"], ["sh", "-c", "id"]),
        ([], ["sh"]),
        (["a", "b", "c", "sh"], ["sh"]),
        (["sh", "***"], ["bash", "x"]),
    ],
)
def test_another_command_is_not_taken_for_it(
    argv: list[str], command: list[str], sender: Callable[..., Any], estate: Estate, reader: Any
) -> None:
    sender(audit_event(*command))
    match = entered_by(reader, stored_alert(estate, entered(*argv)))
    assert match is not None and match.confidence == "unknown"


def test_page_api_exports_report_and_incident_name_the_person(
    sender: Callable[..., Any], estate: Estate, reader: Any, client_of: ClientOf
) -> None:
    sender(audit_event("sh", user__username="mallory\u202e<b>"))
    alert = stored_alert(estate, entered("sh"))
    alert.refresh_from_db()
    client = client_of(reader)
    shown = "Likely mallory\\u202e&lt;b&gt;, by kubectl exec from 10.0.0.7"
    for path in (f"/alerts/{alert.pk}/", f"/alerts/{alert.pk}/report/", f"/alerts/incidents/{alert.incident_id}/"):
        page = client.get(path)
        assert page.status_code == 200 and shown in page.content.decode(), path
    for path in (f"/api/v1/alerts/{alert.pk}/", f"/alerts/{alert.pk}/alert.json"):
        assert client.get(path).json()["entered_by"]["requests"][0]["user"] == "mallory\u202e<b>"
    assert client.get("/api/v1/alerts/").json()["alerts"][0]["entered_by"]["confidence"] == "likely"
    exported = client.get("/alerts/export.csv").getvalue().decode()
    assert "Likely mallory\\u202e<b>" in exported
    assert json.loads(client.get("/alerts/export.jsonl").getvalue().splitlines()[0])["entered_by"]["claimed_id"] is None


def test_many_alerts_take_one_statement_for_their_people(
    sender: Callable[..., Any], estate: Estate, reader: Any, django_assert_max_num_queries: Any
) -> None:
    from drift.alerts.queries.pod_entries import entry_matches

    sender(audit_event("sh"))
    ingest(estate.sensors[0], raw(*(entered("sh", process__path=f"/tmp/{each}") for each in range(20))))
    alerts = list(Alert.objects.select_related("detail"))
    with django_assert_max_num_queries(1):
        found = entry_matches(reader, alerts)
    assert [each.confidence for each in found.values()] == ["likely"] * 20


def test_more_requests_than_are_read_make_it_ambiguous(
    sender: Callable[..., Any], estate: Estate, reader: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drift.alerts.queries.pod_entries.MAX_REQUESTS", 3)
    sender(*(audit_event("sh") for _ in range(3)))
    match = entered_by(reader, stored_alert(estate, entered("sh")))
    assert match is not None and match.confidence == "ambiguous"


def test_more_requests_for_a_container_than_are_read_make_it_ambiguous(
    sender: Callable[..., Any], estate: Estate, reader: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drift.alerts.queries.pod_entries.MAX_REQUESTS", 2)
    body = {"spec": {"ephemeralContainers": [{"name": "debugger-x"}]}}
    change = {"kind": "ephemeralcontainers", "verb": "patch", "stage": "ResponseComplete", "requestObject": body}
    for name, minutes in (("alice@example.com", 3), ("alice@example.com", 2), ("bob@example.com", 1)):
        at = now() - dt.timedelta(minutes=minutes)
        sender(audit_event(**change, user__username=name, responseStatus={"code": 200}, at=at))
    sent = event(process__provenance={"session": "workload"}, container__name="debugger-x")
    match = entered_by(reader, stored_alert(estate, sent))
    assert match is not None and match.confidence == "ambiguous"


def test_requests_out_of_scope_are_not_seen(sender: Callable[..., Any], estate: Estate, reader: Any) -> None:
    sender(audit_event("sh"), audit_event("sh", objectRef__namespace="payments"))
    User.objects.filter(pk=reader.pk).update(is_scoped=True)
    ScopeEntry.objects.create(user=reader, cluster=estate.sensors[0].cluster, namespace="payments")
    seen = PodEntry.objects.visible_to(User.objects.get(pk=reader.pk))
    assert [each.namespace for each in seen] == ["payments"]


def test_lines_past_their_retention_are_deleted(sender: Callable[..., Any], settings: Any) -> None:
    sender(audit_event(at=now() - dt.timedelta(days=20)), audit_event())
    settings.KUBERNETES_AUDIT_RETENTION_DAYS = 10
    assert (store_pod_entries.delete_expired_entries(), PodEntry.objects.count()) == (1, 1)


def test_an_erased_person_is_named_nowhere_and_does_not_come_back(
    sender: Callable[..., Any], estate: Estate, reader: Any, owner: Any
) -> None:
    line = audit_event("sh")
    acted = audit_event("id", user__username="carol", impersonatedUser={"username": "alice@example.com"})
    sender(line, acted, audit_event("sh", user__username="bob", at=now() - dt.timedelta(hours=1)))
    alert = stored_alert(estate, entered("sh"))

    call_command("kubernetes_audit", "erase", user="alice@example.com", actor=owner.email)

    later = {**line, "stage": "ResponseComplete"}
    assert sender(line, later).json()["known"] == 2
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM alerts_podentry AS row WHERE row::text ~ 'alice|carol|10.0.0.7.*kubectl'")
        assert cursor.fetchone()[0] == 1, "only bob's request has an address"
    match = entered_by(reader, alert)
    assert match is not None and match.words == "Likely an erased user, by kubectl exec"
    entry = AuditEntry.objects.get(verb="erased")
    assert (entry.after, "alice" in f"{entry.object_name}{entry.after}") == ({"requests": 2}, False)
    with pytest.raises(IntegrityError), transaction.atomic():
        PodEntry.objects.exclude(erased_at=None).update(username="alice@example.com")


def test_only_an_owner_erases(reader: Any) -> None:
    with pytest.raises(CommandError, match="is not an active Owner"):
        call_command("kubernetes_audit", "erase", user="alice", actor=reader.email)
