"""Lists of known files: read strictly, counted in priorities at once, looked up within the scope, and audited."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from accounts.models import AuditEntry, User
from drift.alerts.actions.hash_lists import add_hash_list, delete_hash_list
from drift.alerts.actions.ingest import ingest
from drift.alerts.actions.score_alerts import score_queued
from drift.alerts.domain.hash_sums import HashesInvalid, read_sums
from drift.alerts.errors import ChangeConflict, Invalid
from drift.alerts.models import Alert, HashList, ListedHash
from tests.unit.drift.alerts.conftest import Estate, event, raw

A, B = "a" * 64, "b" * 64
ClientOf = Callable[[Any], Client]


@pytest.mark.parametrize(
    "text",
    [A, A.upper(), f"sha256:{A}", f"{A}  /usr/bin/x", f"# ours\n\n{A}\r\n{A}\n", f"\ufeff{A}", f"{A} *x", f"{A},x,1"],
)
def test_sums_are_read_as_people_have_them(text: str) -> None:
    assert read_sums(text, 10) == [A]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "at least one"),
        ("# nothing", "at least one"),
        (f"{A}\nnonsense", "Line 2"),
        ("a" * 63, "Line 1"),
        ("a" * 65, "Line 1"),
        ("a" * 128, "Line 1"),
        (f"{'a' * 63}g", "Line 1"),
        (f"{'١' * 64}", "Line 1"),
        (f"{A}\n{B}", "At most 1"),
    ],
)
def test_what_is_no_sum_is_refused_with_its_line(text: str, message: str) -> None:
    with pytest.raises(HashesInvalid, match=message):
        read_sums(text, 1)


@pytest.fixture
def alert(estate: Estate) -> Alert:
    ingest(estate.sensors[0], raw(event()))
    found: Alert = Alert.objects.get()
    return found


@pytest.mark.services
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("verdict", "signal"), [("good", "known_good"), ("bad", "known_bad")])
def test_a_list_changes_the_priority_of_open_and_new_alerts_until_it_is_deleted(
    alert: Alert, estate: Estate, owner: User, verdict: str, signal: str
) -> None:
    added = add_hash_list(owner, "Ours", verdict, [A, B])
    score_queued()
    ingest(estate.sensors[2], raw(event(process__sha256=B, process__path="/other")))
    for each in Alert.objects.all():
        assert [signal, "Ours"] in each.signals["own"]
        assert [signal, "Ours"] not in [*each.signals["estate"], *each.signals["place"]]

    delete_hash_list(owner, added.pk)
    score_queued()

    assert all(signal not in str(each.signals) for each in Alert.objects.all())
    assert not ListedHash.objects.exists()


@pytest.mark.services
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("name", "verdict", "field"),
    [
        ("", "good", "name"),
        ("x" * 65, "good", "name"),
        ("a\u202eb", "good", "name"),
        ("oURS", "bad", "name"),
        ("New", "x", "verdict"),
    ],
)
def test_a_list_that_is_not_valid_is_refused(owner: User, name: str, verdict: str, field: str) -> None:
    add_hash_list(owner, "Ours", "good", [A])

    with pytest.raises(Invalid) as raised:
        add_hash_list(owner, name, verdict, [B])

    assert raised.value.extra == {"field": field}
    assert HashList.objects.count() == 1


@pytest.mark.services
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("other", ["i̇zmir", "izmir", "IZMIR", "İZMİR"])
def test_a_name_that_only_some_call_equal_is_refused_or_kept(owner: User, other: str) -> None:
    add_hash_list(owner, "İzmir", "good", [A])

    with contextlib.suppress(Invalid):
        add_hash_list(owner, other, "bad", [B])

    assert HashList.objects.filter(name="İzmir").exists()
    assert HashList.objects.count() == AuditEntry.objects.filter(object_type="hash list").count()


@pytest.mark.services
@pytest.mark.django_db(transaction=True)
def test_a_list_is_deleted_once(owner: User) -> None:
    added = add_hash_list(owner, "Ours", "good", [A])
    delete_hash_list(owner, added.pk)

    with pytest.raises(ChangeConflict):
        delete_hash_list(owner, added.pk)


@pytest.mark.services
@pytest.mark.django_db(transaction=True)
def test_an_owner_uploads_a_file_and_everybody_looks_it_up(
    alert: Alert, owner: User, reader: User, client_of: ClientOf
) -> None:
    upload = SimpleUploadedFile("sums.txt", f"{A}  /usr/bin/x\n{B}\n".encode())
    answer = client_of(owner).post("/alerts/known-files/add/", {"name": "Ours", "verdict": "bad", "file": upload})
    assert answer.headers["Location"] == "/alerts/known-files/"

    page = client_of(reader).post("/alerts/known-files/look-up/", {"sums": f"{A}\n{'c' * 64}"}).content.decode()

    assert f"/alerts/?hash={A}" in page
    assert "Ours" in page
    assert "On no list" in page
    audited = AuditEntry.objects.filter(object_type__in=["hash list", "file hashes"]).order_by("pk")
    assert list(audited.values_list("verb", flat=True)) == ["added", "looked up"]
    assert AuditEntry.objects.order_by("-pk")[0].after["hashes"] == 2


@pytest.mark.services
@pytest.mark.django_db(transaction=True)
def test_what_was_typed_is_kept_with_its_error(owner: User, client_of: ClientOf) -> None:
    browser = client_of(owner)

    added = browser.post("/alerts/known-files/add/", {"name": "Mine", "verdict": "good", "text": f"{A}\nnonsense"})
    looked_up = browser.post("/alerts/known-files/look-up/", {"sums": "nonsense"})

    assert (added.status_code, looked_up.status_code) == (422, 422)
    for part in ("Line 2 does not begin", "nonsense", 'value="Mine"'):
        assert part in added.content.decode()
    assert "Line 1 does not begin" in looked_up.content.decode()


@pytest.mark.services
@pytest.mark.django_db(transaction=True)
def test_only_an_owner_changes_lists(reader: User, operator: User, admin: User, client_of: ClientOf) -> None:
    for user in (reader, operator, admin):
        browser = client_of(user)
        assert browser.post("/alerts/known-files/add/", {"name": "x", "verdict": "good", "text": A}).status_code == 403
        assert "Add a list" not in browser.get("/alerts/known-files/").content.decode()
    assert not HashList.objects.exists()
