"""The look-ups with which requests begin, past the ORM."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth import SESSION_KEY
from django.db import DataError, connection, models
from django.test import Client

from accounts.actions.session_store import SessionStore
from accounts.models import AuditEntry, Session, User
from accounts.prepared_rows import columns, instances, prepared_row
from accounts.roles import Role

pytestmark = [pytest.mark.services, pytest.mark.django_db]


def test_the_instances_of_a_row_equal_those_of_the_orm(reader: User, client_of: Callable[[User], Client]) -> None:
    client_of(reader).get("/tokens/")
    join = "accounts_session JOIN accounts_user ON accounts_user.id = user_id"

    row = prepared_row(f"SELECT {columns(Session, User)} FROM {join} WHERE email = %s", [reader.email])

    assert row is not None
    for found, kept in zip(instances(row, Session, User), (Session.objects.get(), reader), strict=True):
        assert not found._state.adding
        assert {name: _plain(value) for name, value in _values(found)} == {
            name: _plain(value) for name, value in _values(type(kept)._default_manager.get(pk=kept.pk))
        }


def _values(row: models.Model) -> Iterator[tuple[str, Any]]:
    return ((field.attname, getattr(row, field.attname)) for field in row._meta.concrete_fields)


def _plain(value: Any) -> Any:
    return bytes(value) if isinstance(value, memoryview) else value


def test_an_outer_join_without_a_row_is_none() -> None:
    SessionStore().create()

    row = prepared_row(
        f"SELECT {columns(Session, User)} FROM accounts_session LEFT JOIN accounts_user ON accounts_user.id = user_id",
        [],
    )

    assert row is not None
    session, user = instances(row, Session, User)
    assert session == Session.objects.get()
    assert user is None


def test_a_look_up_is_prepared_and_a_query_of_django_is_not() -> None:
    for _ in range(10):
        prepared_row("SELECT 1 + %s::int AS looked_up", [1])
        with connection.cursor() as cursor:
            cursor.execute("SELECT 2 + %s::int AS asked", [1])

    with connection.cursor() as cursor:
        cursor.execute("SELECT statement FROM pg_prepared_statements")
        statements = " ".join(statement for (statement,) in cursor.fetchall())
    assert "looked_up" in statements
    assert "asked" not in statements


def test_no_row_is_none() -> None:
    assert prepared_row(f"SELECT {columns(User)} FROM accounts_user WHERE email = %s", ["nobody@example.com"]) is None


def test_a_column_that_the_orm_converts_is_refused() -> None:
    converted = [field for field in AuditEntry._meta.concrete_fields if hasattr(field, "from_db_value")]
    assert converted

    with pytest.raises(TypeError, match=f"accounts_auditentry.{converted[0].column}"):
        columns(AuditEntry)


def test_an_error_of_the_database_is_django_s() -> None:
    with pytest.raises(DataError):
        prepared_row("SELECT 1 / %s::int", [0])


def test_a_page_reads_its_session_and_user_in_one_statement(reader: User, client_of: Callable[[User], Client]) -> None:
    browser = client_of(reader)
    browser.get("/tokens/")
    seen: list[str] = []

    def note(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        seen.append(sql)
        return execute(sql, *rest)

    with connection.execute_wrapper(note):
        assert browser.get("/tokens/").status_code == 200

    assert len([sql for sql in seen if "accounts_session" in sql]) == 1
    assert [sql for sql in seen if '"accounts_user"."password"' in sql] == []


def test_a_session_gives_its_user_once_since_they_may_change_within_a_request(
    reader: User, client_of: Callable[[User], Client]
) -> None:
    store = SessionStore(client_of(reader).cookies["sessionid"].value)
    assert store[SESSION_KEY] == str(reader.pk)

    assert store.take_user(reader.pk) == reader
    assert store.take_user(reader.pk) is None


def test_a_session_gives_its_user_for_no_other_id(
    reader: User, operator: User, client_of: Callable[[User], Client]
) -> None:
    store = SessionStore(client_of(reader).cookies["sessionid"].value)
    store.load()

    assert store.take_user(operator.pk) is None


@pytest.mark.parametrize(
    "change", [{"is_active": False}, {"is_service": True, "password": "!", "email": "a@service.invalid"}]
)
def test_a_session_of_a_user_who_may_have_none_is_anonymous(
    change: dict[str, Any], reader: User, client_of: Callable[[User], Client]
) -> None:
    browser = client_of(reader)
    assert browser.get("/tokens/").status_code == 200

    # Past the actions, which end the sessions too.
    User.objects.filter(pk=reader.pk).update(**change)

    assert browser.get("/tokens/").status_code == 302


def test_a_session_whose_user_got_another_role_acts_with_the_new_one(
    owner: User, client_of: Callable[[User], Client]
) -> None:
    browser = client_of(owner)
    assert browser.get("/users/").status_code == 200

    User.objects.filter(pk=owner.pk).update(role=Role.READER)

    assert browser.get("/users/").status_code == 403
