"""Retention and erasure take values out of the audit log, and the chain stays verifiable."""

from __future__ import annotations

import datetime as dt
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts import audit
from accounts.actions import audit_retention
from accounts.actions.audit_retention import expire_audit_log
from accounts.actions.audit_seals import seal_entries
from accounts.models import AuditEntry, AuditSeal, User
from accounts.queries.audit_verification import current_head, verify_audit_log
from accounts.roles import Role
from tests.database import without_triggers

pytestmark = [pytest.mark.services, pytest.mark.django_db]


def entries(count: int, **values: Any) -> list[AuditEntry]:
    given = {"actor_name": "Driftwatch", "verb": "changed", "object_type": "rule", "object_id": "7", **values}
    return [AuditEntry.objects.create(**given) for _ in range(count)]


def sealed_days_ago(days: int, count: int, **values: Any) -> None:
    """Entries that were sealed then, with the digests that they would have."""
    from accounts.actions import audit_seals
    from accounts.audit_chain import GENESIS, chain_digest

    entries(count, **values)
    seal_entries()
    with without_triggers() as cursor:
        before = AuditSeal.objects.order_by("-position")[count:].first()
        digest = bytes(before.digest) if before else GENESIS
        for seal in AuditSeal.objects.order_by("-position")[:count][::-1]:
            at = timezone.now() - dt.timedelta(days=days)
            digest = chain_digest(seal.position, digest, at, bytes(seal.record))
            cursor.execute(
                "UPDATE accounts_auditseal SET sealed_at = %s, digest = %s WHERE position = %s",
                [at, digest, seal.position],
            )
    assert audit_seals.seal_entries() == 0


def test_entries_past_their_retention_go_and_the_chain_stays_intact(settings: Any) -> None:
    sealed_days_ago(200, 5, address="192.0.2.1")
    sealed_days_ago(100, 3)
    settings.AUDIT_RETENTION_DAYS = 150
    assert expire_audit_log()[0] == 5
    assert expire_audit_log()[0] == 0
    result = verify_audit_log([current_head()])
    assert (result.problems, result.expired, result.entries) == ([], 5, 4)
    assert AuditSeal.objects.filter(position__lte=5).exclude(salts={}).count() == 0


def test_many_entries_go_in_steps(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_retention, "CHUNK", 2)
    sealed_days_ago(200, 7)
    settings.AUDIT_RETENTION_DAYS = 91
    assert expire_audit_log()[0] == 7
    assert AuditEntry.objects.filter(verb="expired").count() == 1


def test_only_a_prefix_of_the_chain_goes(settings: Any) -> None:
    """A clock that stood wrong: a later position with an earlier time."""
    sealed_days_ago(200, 1)
    sealed_days_ago(10, 1)
    sealed_days_ago(200, 1)
    settings.AUDIT_RETENTION_DAYS = 91
    assert expire_audit_log()[0] == 1


def test_an_old_entry_that_retention_did_not_delete_is_a_removed_one() -> None:
    sealed_days_ago(200, 3)
    with without_triggers() as cursor:
        cursor.execute("DELETE FROM accounts_auditentry")
    assert verify_audit_log().problem_count == 3


def test_a_false_record_of_retention_hides_no_recent_removal() -> None:
    sealed_days_ago(10, 3)
    audit.record(None, "expired", "audit log", 3)
    seal_entries()
    with without_triggers() as cursor:
        cursor.execute("DELETE FROM accounts_auditentry WHERE verb = 'changed'")
    assert verify_audit_log().problem_count == 3


def test_a_false_record_of_retention_hides_no_removal_when_time_has_passed() -> None:
    """Recorded 100 days ago, when the entries were a hundred days younger."""
    sealed_days_ago(150, 3)
    sealed_days_ago(100, 1, verb="expired", object_type="audit log", object_id="3")
    with without_triggers() as cursor:
        cursor.execute("DELETE FROM accounts_auditentry WHERE verb = 'changed'")
    assert verify_audit_log().problem_count == 3


@pytest.mark.parametrize("position", ["9" * 60, "2", "3", "x", "²"])
def test_a_false_record_of_retention_does_not_keep_true_ones_from_being_written(position: str, settings: Any) -> None:
    sealed_days_ago(200, 2)
    sealed_days_ago(190, 1, verb="expired", object_type="audit log", object_id=position)
    settings.AUDIT_RETENTION_DAYS = 150
    assert expire_audit_log()[0] == 3
    assert verify_audit_log().problems == []


def test_nothing_goes_without_a_retention(settings: Any) -> None:
    sealed_days_ago(2_000, 2, address="192.0.2.1")
    settings.AUDIT_ADDRESS_RETENTION_DAYS = 0
    assert expire_audit_log() == (0, 0)


@pytest.mark.parametrize(
    "agent", ["curl/8", 'a "quoted" \\ agent', "ünï 漢字 😀", "x" * 200], ids=["plain", "quoted", "unicode", "long"]
)
def test_addresses_go_and_everything_else_stays_verifiable(agent: str, settings: Any) -> None:
    sealed_days_ago(
        40, 2, address="2001:db8::1", agent=agent, session="abcabcabcabc", token="", object_name="kept", after={"a": 1}
    )
    sealed_days_ago(3, 1, address="192.0.2.9", agent=agent)
    settings.AUDIT_ADDRESS_RETENTION_DAYS = 30
    assert expire_audit_log() == (0, 2)
    assert expire_audit_log() == (0, 0)
    rows = list(AuditEntry.objects.order_by("pk").values_list("address", "agent", "session", "object_name"))
    assert rows == [("", "", "", "kept")] * 2 + [("192.0.2.9", agent, "", "")]
    assert verify_audit_log().problems == []
    assert set(AuditSeal.objects.get(position=1).erased) == {"address", "agent", "session"}


def erase(*args: str) -> str:
    out = StringIO()
    call_command("audit", "erase", *args, stdout=out)
    return out.getvalue().strip()


@pytest.fixture
def ann(transactional_db: None) -> User:
    user = User.objects.create_user("ann@example.com", 'Ann "A" Ö', Role.OPERATOR)
    user.is_active = False
    user.save()
    return user


@pytest.mark.django_db(transaction=True)
class TestErasure:
    def test_nothing_of_the_person_is_left_and_the_chain_is_intact(self, ann: User, owner: Any) -> None:
        own = {"actor": ann, "actor_name": ann.email, "address": "192.0.2.1", "agent": "Ann's browser"}
        entries(2, **own, object_name="a rule")
        about = {"object_type": "user", "object_id": str(ann.pk), "object_name": ann.email}
        entries(1, actor_name=owner.email, actor=owner, **about,
                before={"name": ann.name, "role": "reader"}, after={"name": "Other", "role": "operator"})  # fmt: skip
        entries(
            1, actor_name="Driftwatch", object_type="alert", after={"assignee": "ANN@example.com", "status": "open"}
        )
        entries(1, after={"addresses": ["x@example.com", "ann@example.com"], "nested": {"who": ann.name}})
        entries(1, actor_name="somebody", object_type="user", object_id=str(ann.pk), address="192.0.2.2")
        other = entries(1, actor_name=owner.email, actor=owner, object_name="Annual", address="192.0.2.3")[0]
        assert erase("--user", "Ann@Example.com", "--as", owner.email).startswith("erased from 6 audit entries")
        seal_entries()
        assert verify_audit_log().problems == []
        for row in AuditEntry.objects.values():
            text = repr(row).casefold()
            assert "ann@example.com" not in text and "192.0.2.1" not in text and "192.0.2.2" not in text
            assert ann.name.casefold() not in text
        changed = AuditEntry.objects.get(object_type="user", object_id=str(ann.pk), verb="changed", actor=owner)
        assert changed.before == {"name": None, "role": "reader"}
        assert changed.after == {"name": None, "role": "operator"}
        other.refresh_from_db()
        assert (other.object_name, other.address) == ("Annual", "192.0.2.3")
        ann.refresh_from_db()
        assert (ann.email, ann.name) == (f"erased-{ann.pk}@erased.invalid", f"Erased user {ann.pk}")
        last = AuditEntry.objects.latest("pk")
        assert (last.verb, last.actor, last.object_id, last.object_name) == ("erased", owner, str(ann.pk), "")

    def test_earlier_addresses_and_names_of_the_person_go_too(self, ann: User, owner: Any, admin: Any) -> None:
        account = {"object_type": "user", "object_id": str(ann.pk)}
        entries(
            1, **account, verb="created", object_name="old@example.com", after={"name": "Ann Old", "role": "reader"}
        )
        entries(1, actor=ann, actor_name="old@example.com", object_name="a rule", address="192.0.2.1")
        old, new = {"email": "old@example.com", "name": "Ann Old"}, {"email": ann.email, "name": ann.name}
        entries(1, actor=owner, actor_name=owner.email, **account, object_name=ann.email, before=old, after=new)
        entries(1, object_type="token", after={"user": "OLD@example.com"}, object_name="ci")
        entries(1, object_type="alert", object_id="5", before={"assignee": "Ann Old"})
        # Another user had, or has, one of them: that user's entries stay.
        entries(1, **account, before={"email": admin.email}, after={"email": ann.email})
        entries(1, actor=admin, actor_name=admin.email, object_name="another rule")
        erase("--user", ann.email, "--as", owner.email)
        seal_entries()
        assert verify_audit_log().problems == []
        for row in AuditEntry.objects.exclude(actor=admin).values():
            text = repr(row).casefold()
            assert "old@example.com" not in text and "ann old" not in text and "ann@example.com" not in text, row
        assert AuditEntry.objects.get(actor=admin).actor_name == admin.email
        assert AuditEntry.objects.get(object_type="token").object_name == "ci"

    @pytest.mark.parametrize("name", ["J\u00f6rg Gro\u00df", "\u0130pek", "Ma\u017fu", 'The "Ann"'])
    def test_a_name_goes_whose_small_and_capital_letters_differ(self, ann: User, owner: Any, name: str) -> None:
        User.objects.filter(pk=ann.pk).update(name=name)
        entries(1, object_type="alert", object_id="5", before={"assignee": name}, after={"assignee": "Somebody"})
        erase("--user", ann.email, "--as", owner.email)
        assert AuditEntry.objects.get(object_type="alert").before == {"assignee": None}

    def test_a_value_that_is_put_back_is_found(self, ann: User, owner: Any) -> None:
        entries(1, actor=ann, actor_name=ann.email)
        erase("--user", ann.email, "--as", owner.email)
        with without_triggers() as cursor:
            cursor.execute("UPDATE accounts_auditentry SET actor_name = 'bob' WHERE actor_id = %s", [ann.pk])
        assert verify_audit_log().problems[0].endswith("actor_name has a value although it was erased")

    def test_the_salts_of_erased_values_are_gone(self, ann: User, owner: Any) -> None:
        """Without the salt nobody can try whether a value was that of the digest."""
        (entry,) = entries(1, actor=ann, actor_name=ann.email, object_name="kept")
        erase("--user", ann.email, "--as", owner.email)
        seal = AuditSeal.objects.get(entry=entry)
        assert set(seal.salts) == {"object_name"}
        assert set(seal.erased) == {"actor_name"}

    def test_only_an_active_owner_erases_and_only_who_is_deactivated(self, ann: User, owner: Any, admin: Any) -> None:
        for args, reason in (
            (("--user", ann.email, "--as", admin.email), "is not an active Owner"),
            (("--user", ann.email, "--as", "nobody@example.com"), "is not an active Owner"),
            (("--user", ann.email, "--as", ann.email), "is not an active Owner"),
            (("--user", "nobody@example.com", "--as", owner.email), "is not a user"),
            (("--user", admin.email, "--as", owner.email), "is active"),
        ):
            with pytest.raises(CommandError, match=reason):
                erase(*args)

    def test_the_portal_s_own_role_cannot_erase(self, ann: User, owner: Any, settings: Any) -> None:
        entries(1, actor=ann, actor_name=ann.email)
        settings.DATABASE_OWNER = None
        with pytest.raises(CommandError, match="MIGRATION_DATABASE_URL"):
            erase("--user", ann.email, "--as", owner.email)
        ann.refresh_from_db()
        assert ann.email == "ann@example.com"

    def test_erasing_hides_no_change_that_was_made_before(self, ann: User, owner: Any) -> None:
        (entry,) = entries(1, actor=ann, actor_name=ann.email)
        seal_entries()
        with without_triggers() as cursor:
            cursor.execute("UPDATE accounts_auditentry SET verb = 'x' WHERE id = %s", [entry.pk])
        erase("--user", ann.email, "--as", owner.email)
        assert verify_audit_log().problem_count == 1

    def test_values_that_the_owner_of_the_tables_blanked_without_a_record_are_found(
        self, ann: User, owner: Any
    ) -> None:
        """What `erase` does, done by hand to hide what was changed: the chain alone accepts it."""
        from accounts.actions.audit_erasure import _erase

        entries(1, actor=ann, actor_name=ann.email)
        erase("--user", ann.email, "--as", owner.email)
        (hidden,) = entries(1, actor=owner, actor_name=owner.email, after={"role": "owner"})
        seal_entries()
        assert verify_audit_log().problems == []
        hidden = AuditEntry.objects.select_related("seal").get(pk=hidden.pk)
        with without_triggers():
            _erase(hidden, ["after/role"])
        assert verify_audit_log().problems == ["2 entries have erased values, and erasures recorded only 1"]
