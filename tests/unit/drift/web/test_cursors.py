"""Keyset pages and their cursors."""

from __future__ import annotations

import pytest

from accounts.models import User
from accounts.roles import Role
from drift.web.cursors import InvalidCursor, keyset_page, read_cursor, rows_after, rows_before, write_cursor

pytestmark = pytest.mark.django_db


@pytest.fixture
def users() -> list[User]:
    names = ["ann", "ann", "bob", "cid", "cid", "dan", "eve"]
    return [User.objects.create_user(f"{name}{i}@example.com", name, Role.READER, "x") for i, name in enumerate(names)]


@pytest.mark.parametrize("order", [("pk",), ("-pk",), ("name", "pk"), ("-name", "pk"), ("name", "-pk")])
def test_pages_hold_every_row_once_in_order(users: list[User], order: tuple[str, ...]) -> None:
    seen, cursor, pages = [], "", 0
    while pages < 10:
        page = keyset_page(User.objects.all(), order, cursor, size=2)
        assert page.is_later is (pages > 0)
        seen += page.rows
        pages, cursor = pages + 1, page.next
        if not cursor:
            break
    assert seen == list(User.objects.order_by(*order))


def test_a_row_added_before_the_cursor_does_not_repeat_a_row(users: list[User]) -> None:
    first = keyset_page(User.objects.all(), ("name", "pk"), "", size=2)
    User.objects.create_user("a@example.com", "a", Role.READER, "x")
    assert keyset_page(User.objects.all(), ("name", "pk"), first.next, size=2).rows == users[2:4]


def test_a_cursor_of_another_order_or_a_forged_one_starts_at_the_first_page(users: list[User]) -> None:
    other = keyset_page(User.objects.all(), ("-pk",), "", size=2).next
    for cursor in (other, other[:-1], "x", "\0", "é"):
        page = keyset_page(User.objects.all(), ("name", "pk"), cursor, size=2)
        assert (page.rows, page.is_later) == (users[:2], False)


def test_a_cursor_is_read_as_it_was_written_and_for_its_scope_only() -> None:
    cursor = write_cursor("list", [7, "name"])
    assert read_cursor("list", cursor) == [7, "name"]
    assert read_cursor("other", cursor) is None


def test_api_rows_come_after_a_key_and_before_a_key(users: list[User]) -> None:
    keys = [user.pk for user in users]
    assert rows_after(User.objects.all(), "pk", None, 3) == (users[:3], str(keys[2]))
    assert rows_after(User.objects.all(), "pk", str(keys[4]), 3) == (users[5:], None)
    assert rows_before(User.objects.all(), "pk", None, 3) == (users[:3:-1], keys[4])
    assert rows_before(User.objects.all(), "pk", keys[2], 3) == (users[1::-1], None)


@pytest.mark.parametrize("after", ["x", "1.5", ""])
def test_an_api_cursor_that_is_not_a_key_is_rejected(after: str) -> None:
    with pytest.raises(InvalidCursor):
        rows_after(User.objects.all(), "pk", after, 3)
