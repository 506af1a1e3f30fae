"""A Save that needs what live sensors lack lists them, whatever way it takes, and is confirmed by typing."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from drift.alerts.queries.unreported_facts import unreported_facts
from drift.fleet.actions.bundles import signed_bundle
from drift.fleet.models import SensorState
from drift.policy.actions import drafts, versions
from drift.policy.actions.proposals import accept_proposal, propose_draft
from drift.policy.domain import edits
from drift.policy.errors import SensorsLack
from drift.policy.queries.drafts import draft_state
from drift.policy.queries.versions import latest_number, latest_version
from sensor import wire
from tests.unit.drift.fleet import estate
from tests.unit.drift.policy.samples import document, rule

pytestmark = [pytest.mark.services, pytest.mark.django_db]
NEW = "policy-patterns"
TYPED = "leave sensors behind"


def with_pattern(*others: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return document(rules=[rule("Patterns", allow_list=["glob:/opt/app/*"]), *others], **changes)


@pytest.fixture
def old_sensor() -> Any:
    """Two live sensors, of which one does not know patterns."""
    cluster = estate.cluster()
    estate.seen(estate.sensor(cluster, "new-node")[0], capabilities=["ebpf", NEW])
    found = estate.sensor(cluster, "old-node")[0]
    estate.seen(found, capabilities=["ebpf"])
    return found


def test_no_way_of_saving_leads_past_the_list_of_sensors(old_sensor: Any, admin: Any, owner: Any) -> None:
    base = latest_number()
    with pytest.raises(SensorsLack, match=r"1 live sensor does not know patterns .*: prod/old-node\."):
        versions.save_document(admin, with_pattern(), base)
    state = drafts.change_draft(draft_state(admin), edits.replace_document(with_pattern()))
    with pytest.raises(SensorsLack):
        versions.save_draft(state)
    assert draft_state(admin).is_dirty
    _, proposal = propose_draft(state)
    with pytest.raises(SensorsLack):
        accept_proposal(owner, proposal, base)
    saved = versions.save_document(admin, with_pattern(), base, confirmation=f"  {TYPED.title()} ").version
    versions.save_document(admin, document("A"), saved.number)
    with pytest.raises(SensorsLack):
        versions.restore_version(admin, saved.number, latest_number())


def test_what_the_latest_version_uses_already_needs_no_confirmation(old_sensor: Any, admin: Any) -> None:
    saved = versions.save_document(admin, with_pattern(), latest_number(), confirmation=TYPED).version
    assert versions.save_document(admin, with_pattern(rule("B")), saved.number).is_new


@pytest.mark.parametrize("typed", ["", "yes", "leave sensors", "leave sensors behind now"])
def test_only_the_phrase_confirms(old_sensor: Any, admin: Any, typed: str) -> None:
    with pytest.raises(SensorsLack):
        versions.save_document(admin, with_pattern(), latest_number(), confirmation=typed)


def test_a_policy_without_patterns_asks_for_nothing(old_sensor: Any, admin: Any) -> None:
    assert versions.save_document(admin, document("A"), latest_number()).is_new


def on_parent(**changes: Any) -> dict[str, Any]:
    scope = [{"property": "written_by_parent", "any_of": [{"operator": "equals", "value": "apt-get"}]}]
    return document(rules=[rule("apt", process_scope=scope, **changes)])


def test_sensors_that_do_not_know_the_origin_of_a_writers_parents_are_listed_as_disabling_rules(admin: Any) -> None:
    cluster = estate.cluster()
    known = ["policy-provenance", "policy-writer-lineage"]
    estate.seen(estate.sensor(cluster, "new-node")[0], capabilities=known)
    estate.seen(estate.sensor(cluster, "older")[0], capabilities=known[:1])
    estate.seen(estate.sensor(cluster, "oldest")[0], capabilities=["ebpf"])
    with pytest.raises(SensorsLack) as refused:
        versions.save_document(admin, on_parent(), latest_number())
    rejects, disables = str(refused.value).split(" until upgraded. ")[:2]
    assert "prod/oldest. It keeps its present policy" in rejects and "prod/older" not in rejects
    assert "prod/older. It disables the rules that use it" in disables and "prod/oldest" not in disables
    saved = versions.save_document(admin, on_parent(), latest_number(), confirmation=TYPED).version
    payload = msgspec.json.decode(bytes(signed_bundle(saved.number).payload), type=wire.BundlePayload)
    assert payload.lineage_rules == ["apt"]
    assert not payload.document["rules"][0]["enabled"]
    assert payload.digest == saved.digest


@pytest.fixture
def older_sensor() -> None:
    """A live sensor that knows provenance, but not the origin of a writer's parents; and one that rejects both."""
    cluster = estate.cluster()
    estate.seen(estate.sensor(cluster, "older")[0], capabilities=["policy-provenance"])
    estate.seen(estate.sensor(cluster, "oldest")[0], capabilities=["ebpf"])


def written_by(**changes: Any) -> dict[str, Any]:
    """A rule on provenance, which `oldest` rejects."""
    scope = [{"property": "written_by", "any_of": [{"operator": "equals", "value": "/usr/bin/dpkg"}]}]
    return rule("dpkg", process_scope=scope, **changes)


def test_enabling_a_rule_asks_for_the_sensors_that_disable_it_and_adding_a_disabled_one_does_not(
    older_sensor: None, admin: Any
) -> None:
    first = versions.save_document(admin, document(rules=[written_by()]), latest_number(), confirmation=TYPED).version
    off, on = (document(rules=[written_by(), *on_parent(enabled=each)["rules"]]) for each in (False, True))
    added = versions.save_document(admin, off, first.number).version
    with pytest.raises(SensorsLack) as refused:
        versions.save_document(admin, on, added.number)
    # `oldest` keeps the version from before the first rule, whatever is enabled.
    assert "prod/older. It disables the rules that use it until upgraded. Send" in str(refused.value)
    assert "prod/oldest" not in str(refused.value)
    enabled = versions.save_document(admin, on, added.number, confirmation=TYPED).version
    assert versions.save_document(admin, off, enabled.number).is_new


def test_another_rule_on_a_writers_parents_asks_again_and_a_change_of_a_disabled_one_does_not(
    older_sensor: None, admin: Any
) -> None:
    [parent] = on_parent()["rules"]
    saved = versions.save_document(admin, document(rules=[parent]), latest_number(), confirmation=TYPED).version
    changed = {**parent, "action": "ignore"}
    saved = versions.save_document(admin, document(rules=[changed]), saved.number).version
    with pytest.raises(SensorsLack, match="prod/older"):
        versions.save_document(admin, document(rules=[changed, {**parent, "id": "b", "name": "B"}]), saved.number)


def test_sensors_that_are_switched_off_retired_or_new_are_not_listed(admin: Any) -> None:
    cluster, off = estate.cluster(), estate.cluster(estate.environment(account="off", sensor_enabled=False), "off")
    retired = estate.sensor(cluster, "retired", state=SensorState.RETIRED, ended_at=timezone.now())[0]
    estate.seen(retired, capabilities=["ebpf"])
    estate.seen(estate.sensor(off, "off")[0], capabilities=["ebpf"])
    estate.sensor(cluster, "never-seen")
    knows = estate.sensor(cluster, "knows")[0]
    estate.seen(knows, dt.timedelta(hours=2), capabilities=[NEW])
    assert versions.save_document(admin, with_pattern(), latest_number()).is_new


def test_the_page_asks_for_each_phrase_in_turn_and_then_saves(old_sensor: Any, admin: Any, client_of: Any) -> None:
    client: Client = client_of(admin)
    drafts.change_draft(draft_state(admin), edits.replace_document(with_pattern(detect=[])))

    def save(**typed: Any) -> Any:
        revision = str(draft_state(admin).draft_revision)
        return client.post("/settings/policy/save/", {"revision": revision, **typed}, headers={"HX-Request": "true"})

    assert b"<strong>detect nothing</strong>" in save().content
    second = save(confirmation="detect nothing")
    assert second.status_code == 409
    assert b"prod/old-node" in second.content
    assert b'<input type="hidden" name="confirmation" value="detect nothing">' in second.content
    assert save(confirmation=["detect nothing", TYPED]).status_code == 200
    assert latest_version().document["detect"] == []


def test_the_restore_panel_lists_the_sensors_too(old_sensor: Any, admin: Any, client_of: Any) -> None:
    saved = versions.save_document(admin, with_pattern(), latest_number(), confirmation=TYPED).version
    versions.save_document(admin, document("A"), saved.number)
    shown = client_of(admin).get(f"/settings/policy/versions/{saved.number}/restore/").content.decode()
    assert "prod/old-node" in shown
    assert f"<strong>{TYPED}</strong>" in shown


def test_the_api_and_the_command_say_how_to_confirm(
    old_sensor: Any, admin: Any, client_of: Any, tmp_path: Path
) -> None:
    body = {"base": latest_number(), "document": with_pattern()}
    refused = client_of(admin).post("/api/v1/policy/versions/", body, content_type="application/json")
    assert (refused.status_code, refused.json()["code"]) == (409, "sensors_lack")
    file = tmp_path / "policy.json"
    file.write_text(json.dumps(with_pattern()))
    options = ["policy", "import", str(file), "--base", str(latest_number()), "--user", admin.email]
    with pytest.raises(CommandError, match="--leave-sensors-behind") as stopped:
        call_command(*options)
    assert stopped.value.returncode == 3
    call_command(*options, "--leave-sensors-behind")
    assert latest_version().document["rules"][0]["name"] == "Patterns"


def test_the_preview_of_a_rule_says_how_many_sensors_do_not_report_what_it_looks_at(
    old_sensor: Any, admin: Any
) -> None:
    """Of no sensor that is not live, nor of one that never reported."""
    cluster = old_sensor.cluster
    known = ["ebpf", "session", "writer", "writer-origin"]
    estate.seen(estate.sensor(cluster, "knows")[0], capabilities=known)
    estate.sensor(cluster, "silent")
    looks_at = [
        ("session", "workload"),
        ("writer_origin", "image"),
        ("written_by", "/usr/bin/dpkg"),
        ("written_by_parent", "apt-get"),
    ]
    conditions = [{"property": name, "any_of": [{"operator": "equals", "value": value}]} for name, value in looks_at]
    assert unreported_facts(admin, {"process_scope": conditions}) == [
        ("Session", 2, 3),
        ("Writer origin", 2, 3),
        ("Writer path", 2, 3),
        ("Writer parent", 3, 3),
    ]
    assert unreported_facts(admin, {"process_scope": []}) == []
