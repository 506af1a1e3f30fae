"""From an alert to a rule: which open alerts a policy change ignores, and dismissing them with its Save."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import AuditEntry
from drift.alerts.actions import triage
from drift.alerts.actions.dismiss_ignored import dismiss_ignored_alerts
from drift.alerts.actions.ingest import ingest
from drift.alerts.actions.rule_from_alert import add_rule_to_draft, extend_allow_list
from drift.alerts.errors import ChangeConflict, Invalid
from drift.alerts.models import Alert, Resolution, Status
from drift.alerts.queries.ignored_alerts import newly_ignored_alerts
from drift.policy.actions import drafts, versions
from drift.policy.domain import edits
from drift.policy.errors import UnknownRule
from drift.policy.queries.drafts import draft_state
from tests.unit.drift.alerts.conftest import RULE, VERSION, Estate, event, raw

pytestmark = [pytest.mark.services, pytest.mark.django_db]

ClientOf = Callable[[Any], Client]
HTMX = {"HX-Request": "true"}


@pytest.fixture
def alerts(estate: Estate, queued: list[Any]) -> dict[str, Alert]:
    """Three open alerts of the shop by path, the newest last; what a sensor alerts on by itself; and a closed one."""
    stranger = {"action": "alert", "rule": None, "reason": "identity_incomplete", "policy_number": VERSION}
    for number, path in enumerate(("/a", "/b", "/c", "/closed")):
        ingest(estate.sensors[0], raw(event(process__path=path, process__sha256=f"{number}" * 64)))
    ingest(estate.sensors[0], raw(event(identity="incomplete", decision=stranger, process__path="/a")))
    Alert.objects.filter(path="/closed").update(
        status=Status.RESOLVED, verdict=Resolution.TRUE_POSITIVE, closed_at="2026-01-01T00:00Z"
    )
    return {alert.path: alert for alert in Alert.objects.exclude(reason="identity_incomplete")}


def ignoring(*paths: str) -> dict[str, Any]:
    """A rule of the shop that ignores these files and passes others to the next rule."""
    scope = [{"property": "namespace", "any_of": [{"operator": "equals", "value": "shop"}]}]
    return {
        "id": "ignore",
        "name": "Ignored tools",
        "action": "ignore",
        "scope_description": "shop",
        "cloud_scope": [{"provider": "azure"}],
        "resource_scope": scope,
        "allow_list": list(paths),
        "unlisted": "next_rule",
    }


def drafted(user: Any, *paths: str) -> dict[str, Any]:
    """The user's draft with that rule on top."""
    drafts.change_draft(draft_state(user), edits.add_rule(ignoring(*paths)))
    order = [rule["id"] for rule in draft_state(user).document["rules"]]
    drafts.change_draft(draft_state(user), edits.reorder(["ignore", *order[:-1]]))
    return dict(draft_state(user).document)


def paths_of(found: Any) -> list[str]:
    return [Alert.objects.get(pk=pk).path for pk in found.revisions]


def test_open_alerts_that_the_draft_ignores_are_listed_newest_first(alerts: dict[str, Alert], admin: Any) -> None:
    document = drafted(admin, "/a", "/c", "/closed")

    found = newly_ignored_alerts(admin, VERSION, document)

    assert paths_of(found) == ["/c", "/a"]
    assert (found.evaluated, found.is_partial) == (3, False)
    assert paths_of(newly_ignored_alerts(admin, VERSION, document, "ignore")) == ["/c", "/a"]
    assert newly_ignored_alerts(admin, VERSION, document, RULE).count == 0


def test_already_ignored_alerts_are_not_counted_for_the_next_change(alerts: dict[str, Alert], admin: Any) -> None:
    drafted(admin, "/a")
    saved = versions.save_draft(draft_state(admin)).version

    assert newly_ignored_alerts(admin, saved.number, saved.document).count == 0


def test_a_rule_on_parent_and_image_digest_matches_the_events_values(
    estate: Estate, queued: list[Any], admin: Any
) -> None:
    ingest(estate.sensors[0], raw(event(container__image_digest="sha256:" + "d" * 64)))
    rule = ignoring()
    rule["process_scope"] = [{"property": "parent_process", "any_of": [{"operator": "equals", "value": "bash"}]}]
    digest = {"operator": "ends_with", "value": "@sha256:" + "d" * 64}
    rule["resource_scope"] = [{"property": "image_name", "any_of": [digest]}]
    document = edits.add_rule(rule)(draft_state(admin).document)
    document["rules"].reverse()

    assert newly_ignored_alerts(admin, VERSION, document).count == 1


def test_the_rule_of_an_alert_ignores_it_and_an_extended_list_too(alerts: dict[str, Alert], admin: Any) -> None:
    first = add_rule_to_draft(admin, alerts["/a"])
    assert paths_of(newly_ignored_alerts(admin, VERSION, draft_state(admin).document, first)) == ["/a"]

    second = extend_allow_list(admin, alerts["/b"])
    assert second == RULE
    assert paths_of(newly_ignored_alerts(admin, VERSION, draft_state(admin).document, RULE)) == ["/b"]
    extend_allow_list(admin, alerts["/b"])
    rule = edits.find_rule(draft_state(admin).document, RULE)
    assert rule and rule["allow_list"] == [f"sha256:{'1' * 64}"]


def test_a_deleted_rule_s_list_is_not_extended(alerts: dict[str, Alert], admin: Any) -> None:
    drafts.change_draft(draft_state(admin), edits.delete_rules([RULE]))
    with pytest.raises(UnknownRule):
        extend_allow_list(admin, alerts["/a"])


def test_ignored_alerts_are_dismissed_together_and_the_dismissal_is_undone(
    alerts: dict[str, Alert], admin: Any
) -> None:
    drafted(admin, "/a", "/c")
    saved = versions.save_draft(draft_state(admin)).version

    done = dismiss_ignored_alerts(admin, saved.number)

    assert {alert.path for alert in done} == {"/a", "/c"}
    assert {(alert.status, alert.verdict) for alert in done} == {(Status.DISMISSED, Resolution.EXPECTED)}
    assert AuditEntry.objects.filter(verb="dismissed", actor=admin).count() == 2
    assert Alert.objects.get(pk=alerts["/b"].pk).status == Status.ACTIVE
    assert dismiss_ignored_alerts(admin, saved.number) == []
    triage.undo(admin, {alert.pk: alert.revision for alert in done})
    assert Alert.objects.get(pk=alerts["/a"].pk).status == Status.ACTIVE


@pytest.mark.parametrize("number", [0, VERSION + 7, 1])
def test_an_unknown_version_and_the_first_one_dismiss_nothing(
    alerts: dict[str, Alert], admin: Any, number: int
) -> None:
    with pytest.raises(Invalid):
        dismiss_ignored_alerts(admin, number)


def test_a_concurrently_changed_alert_aborts_the_dismissal(
    alerts: dict[str, Alert], admin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    drafted(admin, "/a")
    saved = versions.save_draft(draft_state(admin)).version
    changes = triage.change_status

    def after_another(actor: Any, seen: Any, decision: Any) -> Any:
        changes(actor, seen, triage.StatusChange(Status.IN_PROGRESS))
        return changes(actor, seen, decision)

    monkeypatch.setattr(triage, "change_status", after_another)
    with pytest.raises(ChangeConflict):
        dismiss_ignored_alerts(admin, saved.number)


def test_the_panel_shows_which_alerts_the_typed_rule_ignores(
    alerts: dict[str, Alert], operator: Any, client_of: ClientOf, django_assert_max_num_queries: Any
) -> None:
    rule_id = add_rule_to_draft(operator, alerts["/a"])
    client = client_of(operator)
    panel = {
        "rule_id": rule_id,
        "name": "Ignored tools",
        "action": "ignore",
        "scope_description": "s",
        "scope": "azure",
    }
    panel["enabled"] = "on"

    with django_assert_max_num_queries(9):
        answer = client.post("/alerts/silenced/rule/", {**panel, "unlisted": "next_rule", "allow_list": "/c"})
    assert "<strong>1</strong> open alert" in answer.content.decode()
    assert f"/alerts/{alerts['/c'].pk}/" in answer.content.decode()

    alerting = client.post("/alerts/silenced/rule/", {**panel, "action": "alert"})
    assert "none of the open alerts" in alerting.content.decode()
    assert client.post("/alerts/silenced/rule/", {**panel, "scope": "nowhere"}).content == b""
    assert client.post("/alerts/silenced/rule/", {**panel, "rule_id": "gone"}).content == b""


def test_the_panel_names_the_true_positives_that_the_typed_rule_ignores(
    alerts: dict[str, Alert], operator: Any, client_of: ClientOf
) -> None:
    rule_id = add_rule_to_draft(operator, alerts["/a"])
    panel = {"rule_id": rule_id, "name": "Tools", "action": "ignore", "scope_description": "s", "scope": "azure"}
    typed = {**panel, "enabled": "on", "unlisted": "next_rule"}

    wide = (
        client_of(operator).post("/alerts/silenced/rule/", {**typed, "allow_list": ["/a", "/closed"]}).content.decode()
    )
    narrow = client_of(operator).post("/alerts/silenced/rule/", {**typed, "allow_list": "/a"}).content.decode()

    assert f"alert {alerts['/closed'].pk}</a>" in wide
    assert "true positive" not in narrow


def test_save_offers_the_dismissal_only_if_the_draft_ignores_alerts(
    alerts: dict[str, Alert], admin: Any, client_of: ClientOf
) -> None:
    client = client_of(admin)
    assert client.get("/alerts/silenced/draft/").content == b""
    drafted(admin, "/a")
    assert "Also dismiss 1 open alert that this ignores" in client.get("/alerts/silenced/draft/").content.decode()


def test_save_with_the_choice_dismisses_the_alerts_and_offers_undo(
    alerts: dict[str, Alert], admin: Any, client_of: ClientOf
) -> None:
    drafted(admin, "/a")
    client = client_of(admin)

    page = client.post(
        "/settings/policy/save/",
        {"revision": str(draft_state(admin).draft_revision), "dismiss_ignored": "on"},
        headers=HTMX,
    ).content.decode()
    assert 'hx-post="/alerts/silenced/dismiss/"' in page
    assert f'name="version" value="{VERSION + 1}"' in page

    message = client.post("/alerts/silenced/dismiss/", {"version": VERSION + 1}, headers=HTMX).content.decode()
    assert f"Saved as v{VERSION + 1}. 1 alert dismissed as expected" in message
    assert "Undo" in message
    again = client.post("/alerts/silenced/dismiss/", {"version": VERSION + 1}, headers=HTMX).content.decode()
    assert "No open alerts were left to dismiss" in again
    assert "Undo" not in again
    assert client.post("/alerts/silenced/dismiss/", {"version": "x"}, headers=HTMX).status_code == 422
