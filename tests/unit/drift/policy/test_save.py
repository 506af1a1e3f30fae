"""Saving: numbers, races, the audit log, and receivers."""

from __future__ import annotations

import datetime as dt
from threading import Barrier, Thread
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from accounts.models import AuditEntry
from drift.policy import tasks
from drift.policy.actions import drafts, versions
from drift.policy.domain import edits
from drift.policy.domain.conflicts import NewerVersion
from drift.policy.errors import DocumentInvalid, StaleDraft, UnknownVersion
from drift.policy.models import PolicyVersion
from drift.policy.queries.drafts import DraftState, draft_state
from drift.policy.signals import version_saved
from sensor.policy import digest
from tests.database import as_owner
from tests.unit.drift.policy.samples import document, rule, unchanged_draft

pytestmark = [pytest.mark.services, pytest.mark.django_db]


def add(user: Any, name: str, **changes: Any) -> DraftState:
    return drafts.change_draft(draft_state(user), edits.add_rule(rule(name, **changes)))


def test_save_makes_the_next_version_and_leaves_a_draft_without_changes(admin: Any, queued: list[Any]) -> None:
    saved = versions.save_draft(add(admin, "A"), "First rule")
    assert (saved.is_new, saved.version.number, saved.version.comment) == (True, 2, "First rule")
    assert (saved.version.author, saved.version.base_id) == (admin, 1)
    assert saved.version.digest == digest(saved.version.document)
    assert (draft_state(admin).base.number, draft_state(admin).is_dirty) == (2, False)


@pytest.mark.django_db(transaction=True)
def test_save_queues_the_rollout_of_its_version_on_commit(admin: Any, queued: list[Any]) -> None:
    versions.save_draft(add(admin, "A"))
    assert queued == [("fleet.start_rollout", (2,))]


def test_save_records_its_changes_in_the_audit_log(admin: Any, queued: list[Any]) -> None:
    versions.save_draft(add(admin, "A"), "Why")
    entry = AuditEntry.objects.get(object_type="policy version")
    assert (entry.actor, entry.verb, entry.object_id) == (admin, "saved", "2")
    assert entry.before is not None
    assert entry.after is not None
    assert entry.before["version"] == 1
    assert [(each["kind"], each["name"]) for each in entry.after["changes"]] == [("added", "A")]


def test_saving_nothing_makes_no_version(admin: Any, queued: list[Any]) -> None:
    unchanged_draft(admin)
    saved = versions.save_draft(draft_state(admin))
    assert (saved.is_new, saved.version.number, queued) == (False, 1, [])


def test_a_stale_window_saves_nothing(admin: Any, queued: list[Any]) -> None:
    stale = add(admin, "A")
    add(admin, "B")
    with pytest.raises(StaleDraft):
        versions.save_draft(stale)
    assert PolicyVersion.objects.count() == 1


def test_save_over_a_newer_version_is_rejected_with_both_diffs(admin: Any, owner: Any, queued: list[Any]) -> None:
    mine = add(admin, "Mine")
    versions.save_draft(add(owner, "Theirs"))
    with pytest.raises(NewerVersion) as refused:
        versions.save_draft(mine)
    assert [change.name for change in refused.value.theirs] == ["Theirs"]
    assert [change.name for change in refused.value.yours] == ["Mine"]
    assert (refused.value.base, refused.value.latest) == (1, 2)
    assert [each["name"] for each in draft_state(admin).document["rules"]][1:] == ["Mine"]


def test_a_whole_document_is_saved_over_its_base_only(admin: Any, queued: list[Any]) -> None:
    assert versions.save_document(admin, document("A"), 1).version.number == 2
    with pytest.raises(NewerVersion):
        versions.save_document(admin, document("B"), 1)
    with pytest.raises(UnknownVersion):
        versions.save_document(admin, document("B"), 7)
    with pytest.raises(DocumentInvalid):
        versions.save_document(admin, {"schema": 1}, 2)
    assert not versions.save_document(admin, document("A"), 1).is_new
    assert PolicyVersion.objects.count() == 2


def test_a_version_is_numbered_above_every_number_a_sensor_reported(admin: Any, queued: list[Any]) -> None:
    assert versions.raise_number_floor(41)
    assert not versions.raise_number_floor(7)
    assert versions.save_document(admin, document("A"), 1).version.number == 42
    assert versions.save_document(admin, document("B"), 42).version.number == 43


def test_the_audit_log_has_each_rise_of_the_number_and_nothing_else(admin: Any, queued: list[Any]) -> None:
    for number in (41, 7, 41, 50):
        versions.raise_number_floor(number)
    raised = AuditEntry.objects.filter(verb="raised", object_type="policy number floor").order_by("pk")
    assert list(raised.values_list("object_id", flat=True)) == ["41", "50"]


def test_a_sensor_that_reports_an_impossible_number_cannot_use_up_numbers(admin: Any, queued: list[Any]) -> None:
    assert not versions.raise_number_floor(versions.HIGHEST_FLOOR + 1)
    assert versions.save_document(admin, document("A"), 1).version.number == 2


@pytest.mark.django_db(transaction=True)
def test_of_two_saves_at_once_one_is_rejected(admin: Any, owner: Any, queued: list[Any]) -> None:
    states = [add(user, user.name) for user in (admin, owner)]
    together = Barrier(2, timeout=20)
    outcomes: list[str] = []

    def save(state: DraftState) -> None:
        together.wait()
        try:
            outcomes.append(str(versions.save_draft(state).version))
        except NewerVersion:
            outcomes.append("newer version")
        finally:
            connection.close()

    savers = [Thread(target=save, args=(state,)) for state in states]
    for saver in savers:
        saver.start()
    for saver in savers:
        saver.join(30)
    assert sorted(outcomes) == ["newer version", "v2"]


@pytest.mark.django_db(transaction=True)
def test_receivers_of_a_save_run_in_its_transaction(admin: Any, queued: list[Any]) -> None:
    seen: list[int] = []

    def receive(version: PolicyVersion, **_: Any) -> None:
        seen.append(version.number)
        assert connection.in_atomic_block
        raise DatabaseError("the rollout cannot be written")

    version_saved.connect(receive)
    try:
        with pytest.raises(DatabaseError):
            versions.save_document(admin, document("A"), 1)
    finally:
        version_saved.disconnect(receive)
    assert (seen, PolicyVersion.objects.count(), queued) == ([2], 1, [])


def test_a_saved_version_never_changes() -> None:
    version = PolicyVersion.objects.filter(number=1)
    for change in (lambda: version.update(comment="x"), version.delete):
        with pytest.raises(DatabaseError, match="permission denied"), transaction.atomic():
            change()
        with as_owner(), pytest.raises(DatabaseError, match="never changes"), transaction.atomic():
            change()


def test_expired_rules_are_disabled_by_a_version_of_the_system(admin: Any, queued: list[Any]) -> None:
    add(admin, "Past", expires_at="2026-01-01T00:00:00Z")
    add(admin, "Past but disabled", expires_at="2026-01-01T00:00:00Z", enabled=False)
    add(admin, "Future", expires_at="2027-01-01T02:00:00+02:00")
    versions.save_draft(draft_state(admin))
    version = versions.disable_expired_rules(dt.datetime(2026, 12, 31, 23, 59, tzinfo=dt.UTC))
    assert version is not None
    assert (version.author, version.comment) == (None, "Expired, so disabled: Past")
    assert [each["enabled"] for each in version.document["rules"]] == [True, False, False, True]
    assert versions.disable_expired_rules(dt.datetime(2026, 12, 31, 23, 59, tzinfo=dt.UTC)) is None
    assert versions.disable_expired_rules(dt.datetime(2027, 1, 1, tzinfo=dt.UTC)) is not None


def test_many_rules_with_long_names_expire_together(admin: Any, queued: list[Any]) -> None:
    past = [rule(f"{place:02}".ljust(100, "x"), expires_at="2026-01-01T00:00:00Z") for place in range(12)]
    drafts.change_draft(draft_state(admin), edits.add_rules(past))
    versions.save_draft(draft_state(admin))
    version = versions.disable_expired_rules(dt.datetime(2026, 12, 31, tzinfo=dt.UTC))
    assert version is not None
    assert not any(each["enabled"] for each in version.document["rules"] if each["expires_at"])


def test_the_task_saves_nothing_while_nothing_has_expired(admin: Any, queued: list[Any]) -> None:
    tasks.disable_expired_rules()
    assert PolicyVersion.objects.count() == 1
