"""Users with a scope triage the alerts of their scope: each alert of a change is checked, each person, each rule."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import ScopeEntry, User
from accounts.roles import Role
from drift.alerts.actions import triage
from drift.alerts.actions.ingest import ingest
from drift.alerts.actions.sample_alerts import make_samples
from drift.alerts.actions.suppression_rules import SuppressionDraft, delete, save
from drift.alerts.domain.filters import Filters
from drift.alerts.domain.sort_order import SortOrder
from drift.alerts.errors import ChangeConflict, Invalid, OutOfScope
from drift.alerts.models import Alert, AlertMention, Binary, Status, SuppressionRule
from drift.alerts.queries.activities import visible_activities
from drift.alerts.queries.alert_list import alert_page, open_alerts
from drift.alerts.queries.hash_look_up import look_up
from drift.alerts.queries.occurrences import other_sightings
from drift.alerts.queries.rule_effect import rule_effect
from drift.alerts.queries.suppression_preview import preview_suppression
from drift.alerts.queries.suppression_scope import visible_rules
from drift.fleet.models import Environment
from drift.notify.models import Notice
from tests.unit.drift.alerts.conftest import RULE, Estate, document, event, now, raw, save_reviewed

pytestmark = [pytest.mark.services, pytest.mark.django_db]


def limited(user: User, **place: Any) -> User:
    """Return the user as a new request has them, with this further part of the estate."""
    User.objects.filter(pk=user.pk).update(is_scoped=True)
    ScopeEntry.objects.create(user=user, **place)
    return User.objects.get(pk=user.pk)


@pytest.fixture
def blue(estate: Estate) -> Alert:
    ingest(estate.sensors[0], raw(event()))
    return Alert.objects.get(cluster__name="blue")


@pytest.fixture
def green(estate: Estate) -> Alert:
    ingest(estate.sensors[2], raw(event(container__namespace="bank")))
    return Alert.objects.get(cluster__name="green")


@pytest.fixture
def of_blue(operator: User, blue: Alert) -> User:
    return limited(operator, cluster=blue.cluster)


DISMISS = triage.StatusChange(Status.DISMISSED, "expected")


def test_a_bulk_change_with_one_alert_out_of_scope_changes_nothing(of_blue: User, blue: Alert, green: Alert) -> None:
    missing = {blue.pk: blue.revision, 999_999: 1}
    foreign = {blue.pk: blue.revision, green.pk: green.revision}
    messages = []
    for seen in (missing, foreign):
        with pytest.raises(ChangeConflict) as status:
            triage.change_status(of_blue, seen, DISMISS)
        with pytest.raises(ChangeConflict) as assigned:
            triage.assign(of_blue, seen, of_blue)
        with pytest.raises(ChangeConflict) as undone:
            triage.undo(of_blue, seen)
        messages += [str(conflict.value.detail) for conflict in (status, assigned, undone)]
    assert messages[:3] == messages[3:], "as if it did not exist"
    assert set(Alert.objects.values_list("status", flat=True)) == {"active"}
    assert triage.change_status(of_blue, {blue.pk: blue.revision}, DISMISS)[0].status == Status.DISMISSED


def test_a_change_of_another_reviewer_out_of_scope_is_not_told(of_blue: User, green: Alert, admin: User) -> None:
    triage.change_status(admin, {green.pk: green.revision}, DISMISS)
    with pytest.raises(ChangeConflict) as conflict:
        triage.change_status(of_blue, {green.pk: 1}, DISMISS)
    assert str(conflict.value.detail) == ("Nothing was changed: 1 of the alerts no longer exist. Review and try again.")


def test_an_alert_is_assigned_only_to_who_sees_it(of_blue: User, blue: Alert, green: Alert, admin: User) -> None:
    with pytest.raises(Invalid) as error:
        triage.assign(admin, {blue.pk: 1, green.pk: 1}, of_blue)
    assert str(error.value.detail) == (
        f"Nothing was changed: Operator cannot see alert {green.pk}, which is outside their scope."
    )
    assert not Notice.objects.exists()
    triage.assign(admin, {blue.pk: 1}, of_blue)
    assert Notice.objects.get().user == of_blue


def test_a_comment_notifies_only_who_sees_the_alert(
    of_blue: User, blue: Alert, green: Alert, admin: User, client_of: Callable[[User], Client]
) -> None:
    text = f"@{of_blue.email} @{admin.email} @nobody@example.com"
    response = client_of(admin).post(reverse("alerts:comment", args=[green.pk]), {"text": text}, follow=True)
    assert (
        "Not notified, because nobody with this address can see the alert: nobody@example.com, operator@example.com"
        in response.content.decode()
    )
    assert list(AlertMention.objects.values_list("user", "alert")) == [(admin.pk, green.pk)]
    assert not Notice.objects.filter(user=of_blue).exists()
    _, unseen = triage.comment(admin, blue, text)
    assert unseen == ["nobody@example.com"]
    assert Notice.objects.get(user=of_blue).path.startswith(f"/alerts/{blue.pk}/")


def test_a_user_with_a_scope_learns_of_no_address_that_is_not_of_a_colleague(
    of_blue: User, blue: Alert, green: Alert, reader: User
) -> None:
    limited(reader, cluster=green.cluster)
    _, unseen = triage.comment(of_blue, blue, f"@{reader.email} @nobody@example.com")
    assert unseen == ["nobody@example.com", reader.email]


def test_only_colleagues_of_the_same_alerts_are_offered_and_accepted_as_assignees(
    of_blue: User, blue: Alert, green: Alert, admin: User, client_of: Callable[[User], Client]
) -> None:
    stranger = limited(User.objects.create_user("s@example.com", "Stranger", Role.OPERATOR, "x"), cluster=green.cluster)
    same = limited(
        User.objects.create_user("c@example.com", "Colleague", Role.OPERATOR, "x"),
        cluster=blue.cluster,
        namespace="shop",
    )
    browser = client_of(of_blue)
    for page in (reverse("alerts:detail", args=[blue.pk]), "/alerts/?add=assignee"):
        text = browser.get(page).content.decode()
        assert "Admin" in text
        assert "Colleague" in text
        assert "Stranger" not in text
    chosen = {"alert": f"{blue.pk}:1"}
    assert browser.post(reverse("alerts:assign"), {**chosen, "assignee": stranger.pk}).status_code == 404
    assert browser.post(reverse("alerts:assign"), {**chosen, "assignee": 999_999}).status_code == 404
    assert browser.post(reverse("alerts:assign"), {**chosen, "assignee": same.pk}).status_code == 302
    blue.refresh_from_db()
    assert blue.assignee == same


def test_the_number_of_an_alert_out_of_scope_is_searched_as_any_string(
    of_blue: User, blue: Alert, green: Alert, client_of: Callable[[User], Client]
) -> None:
    for number in (green.pk, 999_999):
        assert client_of(of_blue).get(f"/api/v1/alerts/?q={number}").json()["alerts"] == []
    assert len(client_of(of_blue).get(f"/api/v1/alerts/?q=%23{blue.pk}").json()["alerts"]) == 1


@pytest.mark.parametrize("name", ["detail", "detail-live", "json", "comment", "rule"])
def test_an_alert_out_of_scope_does_not_exist(
    name: str, of_blue: User, green: Alert, client_of: Callable[[User], Client]
) -> None:
    url = reverse(f"alerts:{name}", args=[green.pk])
    response = (
        client_of(of_blue).post(url, {"text": "a"}) if name in {"comment", "rule"} else client_of(of_blue).get(url)
    )
    assert response.status_code == 404
    assert client_of(of_blue).get(f"/api/v1/alerts/{green.pk}/").status_code == 404


def test_tiles_count_what_is_in_scope(of_blue: User, blue: Alert, green: Alert) -> None:
    assert (open_alerts(of_blue).active, open_alerts(of_blue).resources) == (1, 1)


@pytest.mark.parametrize("place", ["cluster", "namespace"])
def test_alerts_by_update_are_those_in_scope(operator: User, blue: Alert, green: Alert, place: str) -> None:
    user, sort = limited(operator, **{place: getattr(blue, place)}), SortOrder.parse("-updated")

    assert alert_page(user, Filters(), sort).alerts == [blue.pk]
    assert alert_page(user, Filters(values={"status": ("resolved",)}), sort).alerts == []
    Alert.objects.filter(pk=blue.pk).update(set_aside_at=now(), current=False)
    assert alert_page(user, Filters(), sort).alerts == []
    assert alert_page(user, Filters(values={"aside": ("yes",)}), sort).alerts == [blue.pk]


def test_where_else_a_file_was_seen_is_told_for_the_scope_alone(of_blue: User, blue: Alert, green: Alert) -> None:
    assert other_sightings(of_blue, blue) == []
    both = limited(of_blue, namespace="bank")
    assert [each.workload.namespace for each in other_sightings(both, blue)] == ["bank"]


def test_a_snooze_that_ended_elsewhere_names_no_workload_out_of_scope(
    of_blue: User, admin: User, estate: Estate, blue: Alert
) -> None:
    spread = triage.StatusChange(Status.DISMISSED, "expected", until_spread=True)
    triage.change_status(admin, {blue.pk: blue.revision}, spread)
    ingest(estate.sensors[2], raw(event(container__namespace="bank")))
    blue.refresh_from_db()
    ended = [each.after for each in visible_activities(of_blue, blue) if each.kind == "spread"]
    assert ended == [{}]
    assert any("bank" in str(each.after) for each in visible_activities(admin, blue))


def test_the_effect_of_a_rule_counts_the_executions_in_scope(operator: User, estate: Estate) -> None:
    ingest(
        estate.sensors[0],
        raw(event(mode="summary", count=3), event(mode="summary", count=4, container__namespace="bank")),
    )
    ingest(estate.sensors[2], raw(event(mode="summary", count=50)))
    for place, counted in (
        ({"cluster": estate.sensors[0].cluster, "namespace": "shop"}, (3, 3)),
        ({"cluster": estate.sensors[0].cluster}, (3, 7)),
    ):
        viewer = limited(operator, **place)
        effect = rule_effect(viewer, document(), RULE, 60)
        assert (effect.count, effect.total) == counted


def condition(name: str, *values: str, operator: str = "equals") -> dict[str, Any]:
    return {"property": name, "any_of": [{"operator": operator, "value": value} for value in values]}


PATH = condition("process_path", "/a")
SHOP = condition("namespace", "shop")


@pytest.mark.parametrize(
    ("place", "environments", "conditions", "is_allowed"),
    [
        ("environment", ["Shop"], [PATH], True),
        ("environment", [], [PATH], False),
        ("environment", ["Other"], [PATH], False),
        ("environment", ["Shop", "Other"], [PATH], False),
        ("environment", [], [PATH, SHOP], False),
        ("cluster", ["Shop"], [PATH], False),
        ("cluster", ["Shop"], [PATH, condition("cluster_name", "blue")], True),
        ("cluster", ["Shop"], [PATH, condition("cluster_name", "BLUE")], True),
        ("cluster", ["Shop"], [PATH, condition("cluster_name", "blue", "green")], False),
        ("cluster", ["Shop"], [PATH, condition("cluster_name", "blue", "later")], False),
        ("cluster", ["Shop"], [PATH, condition("cluster_name", "blue", operator="starts_with")], False),
        ("cluster", [], [PATH, condition("cluster_name", "blue")], False),
        ("cluster", ["Shop", "Other"], [PATH, condition("cluster_name", "blue")], False),
        ("namespace", [], [PATH, SHOP], True),
        ("namespace", ["Other"], [PATH, SHOP], True),
        ("namespace", [], [PATH, condition("namespace", "shop", "bank")], False),
        ("namespace", [], [PATH, condition("namespace", "shop", operator="contains")], False),
        ("namespace", ["Shop"], [PATH], False),
        ("namespace of environment", ["Shop"], [PATH, SHOP], True),
        ("namespace of environment", [], [PATH, SHOP], False),
        ("namespace of environment", ["Shop"], [PATH], False),
        ("namespace of cluster", ["Shop"], [SHOP, condition("cluster_name", "blue")], True),
        ("namespace of cluster", ["Shop"], [SHOP], False),
        ("namespace of cluster", ["Shop"], [condition("cluster_name", "blue")], False),
        ("nothing", ["Shop"], [PATH, SHOP], False),
    ],
)
def test_a_rule_may_cover_only_what_is_in_scope(
    place: str,
    environments: list[str],
    conditions: list[dict[str, Any]],
    is_allowed: bool,
    operator: User,
    estate: Estate,
) -> None:
    Environment.objects.create(provider="aws", account="other", name="Other")
    shop, blue = estate.sensors[0].cluster.environment, estate.sensors[0].cluster
    entry: dict[str, Any] = {"namespace": "shop"} if "namespace" in place else {}
    if place.endswith("environment"):
        entry["environment"] = shop
    elif place.endswith("cluster"):
        entry["cluster"] = blue
    viewer = limited(operator, **(entry or {"namespace": "none"}))
    chosen = list(Environment.objects.filter(name__in=environments).values_list("pk", flat=True))
    draft = SuppressionDraft("A rule", conditions, chosen)
    if is_allowed:
        assert save(viewer, draft).environments.count() == len(environments)
        return
    with pytest.raises(Invalid, match="Your rules may cover only what is in your scope"):
        save(viewer, draft)
    assert not SuppressionRule.objects.exists()


@pytest.fixture
def rules(admin: User, blue: Alert, green: Alert) -> dict[str, SuppressionRule]:
    other = Environment.objects.create(provider="aws", account="other", name="Other")
    shop = blue.cluster.environment_id
    drafts = {
        "all": SuppressionDraft("all", [PATH]),
        "shop": SuppressionDraft("shop", [PATH], [shop]),
        "both": SuppressionDraft("both", [PATH], [shop, other.pk]),
        "blue": SuppressionDraft("blue", [condition("cluster_name", "blue")], [shop]),
        "green": SuppressionDraft("green", [condition("cluster_name", "green")], [shop]),
        "other": SuppressionDraft("other", [PATH], [other.pk]),
        "bank": SuppressionDraft("bank", [condition("namespace", "bank")]),
    }
    rules = {name: save_reviewed(admin, draft) for name, draft in drafts.items()}
    SuppressionRule.objects.update(hits=4321)
    return rules


def test_a_user_sees_the_rules_that_touch_their_scope(
    rules: dict[str, SuppressionRule], operator: User, blue: Alert, client_of: Callable[[User], Client]
) -> None:
    viewer = limited(operator, cluster=blue.cluster, namespace="shop")
    found = {each.rule.name: each for each in visible_rules(viewer)}
    assert set(found) == {"all", "shop", "both", "blue"}
    assert (found["both"].environments, found["both"].has_others) == (["Shop"], True)
    text = client_of(viewer).get(reverse("alerts:suppression")).content.decode()
    assert "4321" not in text
    assert ("Known files" in text, " known file" in text) == (True, False), "a count would tell of the others' files"
    assert "Other" not in text.replace("Others", "")
    assert {each.rule.name for each in visible_rules(viewer) if each.is_own} == set()


def test_a_user_changes_only_rules_that_lie_in_their_scope(
    rules: dict[str, SuppressionRule], of_blue: User, client_of: Callable[[User], Client]
) -> None:
    browser = client_of(of_blue)
    edit = reverse("alerts:suppression-edit")
    for name, status in (("green", 404), ("shop", 403), ("blue", 200)):
        assert browser.get(f"{edit}?rule={rules[name].pk}").status_code == status
    as_fragment = browser.get(f"{edit}?rule={rules['shop'].pk}", headers={"HX-Request": "true"})
    assert (as_fragment.status_code, "outside your scope" in as_fragment.content.decode()) == (409, True)
    with pytest.raises(OutOfScope):
        delete(of_blue, rules["shop"].pk, 1)
    with pytest.raises(ChangeConflict):
        delete(of_blue, rules["green"].pk, 1)
    narrowed = SuppressionDraft("shop", [condition("cluster_name", "blue")], [rules["shop"].environments.get().pk])
    with pytest.raises(OutOfScope):
        save(of_blue, narrowed, rules["shop"].pk, 1)
    for path, status in (("delete", 409), ("edit", 422)):
        sent = {"rule": rules["shop"].pk, "revision": 1, "name": "shop", "enabled": "on", "reason": "expected"}
        sent |= {"operator-cluster_name": "equals", "value-cluster_name": "blue"}
        sent["environment"] = str(rules["shop"].environments.get().pk)
        answer = browser.post(reverse(f"alerts:suppression-{path}"), sent, headers={"HX-Request": "true"})
        assert "also covers what is outside your scope" in answer.content.decode(), path
        assert answer.status_code == status, "htmx swaps it"
    delete(of_blue, rules["blue"].pk, 1)
    assert SuppressionRule.objects.count() == len(rules) - 1


def test_the_rule_from_an_alert_fits_the_scope(of_blue: User, blue: Alert, client_of: Callable[[User], Client]) -> None:
    text = client_of(of_blue).get(f"{reverse('alerts:suppression-edit')}?alert={blue.pk}").content.decode()
    assert ">blue</textarea>" in text
    assert "Shop" in text


def test_a_simulation_counts_what_is_in_scope(of_blue: User, blue: Alert, green: Alert) -> None:
    found = preview_suppression(of_blue, [condition("process_name", "xmrig")], [])
    assert (found.evaluated, found.dismissed, [alert.pk for alert in found.examples]) == (1, 1, [blue.pk])


def test_samples_are_made_in_a_cluster_of_the_scope(of_blue: User, estate: Estate) -> None:
    assert {alert.cluster.name for alert in make_samples(of_blue)} == {"blue"}
    ScopeEntry.objects.all().delete()
    with pytest.raises(Invalid, match="wholly in your scope"):
        make_samples(User.objects.get(pk=of_blue.pk))


def test_the_newest_alerts_of_a_scope_are_grouped_and_charted_without_the_rest(
    of_blue: User, estate: Estate, blue: Alert, green: Alert, client_of: Callable[[User], Client]
) -> None:
    ingest(estate.sensors[2], raw(*(event(process__path=f"/x{n}", at=now() - dt.timedelta(hours=n)) for n in range(5))))
    browser = client_of(of_blue)
    for group in ("incident", "rule", "image", "cluster", "namespace", "binary"):
        rows = browser.get(f"/alerts/?group={group}").context["grouped"].rows
        assert [(row.count, row.resources) for row in rows] == [(1, 1)], group
    found = browser.get("/alerts/charts/").context["charts"]
    assert sum(sum(series.counts) for series in found.series) == 1
    assert sum(map(sum, found.heat)) == 1
    assert [value.count for values in found.tops.values() for value in values] == [1, 1, 1]


def test_a_look_up_counts_what_is_in_scope(of_blue: User, blue: Alert, green: Alert) -> None:
    Binary.objects.update(sha256="a" * 64)

    (found,) = look_up(of_blue, ["a" * 64])

    assert (found.workloads, found.open_alerts) == (1, 1)


def test_a_priority_in_scope_follows_from_the_alerts_own_namespace(
    of_blue: User, blue: Alert, green: Alert, client_of: Callable[[User], Client]
) -> None:
    Alert.objects.filter(pk=blue.pk).update(
        priority=7,
        scoped_priority=93,
        signals={"own": [], "estate": [["spread_wide", "41"]], "place": [["first_seen", "in this namespace"]]},
    )
    browser = client_of(of_blue)

    for url in ("/alerts/", f"/alerts/{blue.pk}/", "/api/v1/alerts/", "/alerts/export.jsonl"):
        page = browser.get(url).getvalue().decode()
        assert "41 other" not in page
        assert "in this namespace" in page
        assert "93" in page


def test_a_list_without_any_scope_is_empty(operator: User, blue: Alert, client_of: Callable[[User], Client]) -> None:
    User.objects.filter(pk=operator.pk).update(is_scoped=True)

    page = client_of(User.objects.get(pk=operator.pk)).get("/alerts/").content.decode()

    assert f'id="alert-{blue.pk}"' not in page
    assert "High (0)" in page
