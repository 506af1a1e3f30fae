"""Keyset pages: each page starts behind the last row of the page before, whatever was added or removed in between.

Pages carry signed cursors, so that what is read back is what was written: of the right types and without a character
that PostgreSQL rejects. API cursors are the last row's key itself, checked by `rows_after`, or by the query's
serializer where it is a number (`rows_before`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Final, Generic, TypeVar

from django.core.exceptions import ValidationError
from django.core.signing import BadSignature, Signer
from django.db.models import Model, Q, QuerySet
from rest_framework.exceptions import APIException

PAGE_SIZE: Final = 100
Row = TypeVar("Row", bound=Model)


class InvalidCursor(APIException):
    """400: the API client sent a cursor that no page of this list returned."""

    status_code = 400
    default_code = "invalid"
    default_detail = "Invalid cursor."

    def __init__(self, field: str) -> None:
        super().__init__()
        self.extra: dict[str, Any] = {"field": field}


@dataclass(frozen=True)
class KeysetPage(Generic[Row]):
    """One page of rows in order, the cursor of the next page ("" on the last), and whether this is not the first."""

    rows: list[Row]
    next: str
    is_later: bool


def keyset_page(rows: QuerySet[Row], order: Sequence[str], cursor: str, size: int = PAGE_SIZE) -> KeysetPage[Row]:
    """Return the page behind `cursor`; the first page where the cursor is empty or not one of this order.

    `order` names fields, descending with "-"; none may be null, and no two rows may share the values of all of them.
    """
    values = read_cursor(" ".join(order), cursor)
    if values is not None:
        rows = rows.filter(_behind(order, values))
    found = list(rows.order_by(*order)[: size + 1])
    last = _order_values(order, found[size - 1]) if len(found) > size else None
    following = "" if last is None else write_cursor(" ".join(order), last)
    return KeysetPage(found[:size], following, values is not None)


def write_cursor(scope: str, values: Sequence[Any]) -> str:
    """Return `values` as one signed string that is safe in a URL. `scope` names the list and its order."""
    return _signer(scope).sign_object([value if isinstance(value, int) else str(value) for value in values])


def read_cursor(scope: str, cursor: str) -> list[Any] | None:
    """Return the values of a cursor that `write_cursor` made for the same `scope`, else None."""
    try:
        found: list[Any] = _signer(scope).unsign_object(cursor)
    except BadSignature:
        return None
    return found


def rows_after(rows: QuerySet[Row], key: str, after: object, limit: int) -> tuple[list[Row], str | None]:
    """Return up to `limit` rows with the lowest `key` above `after` (None: from the start), and the next cursor.

    Raises InvalidCursor where `after` is not a value of the key.
    """
    if after is not None:
        try:
            rows = rows.filter(**{f"{key}__gt": after})
        except (ValueError, ValidationError):
            raise InvalidCursor("after") from None
    shown, has_more = _first(rows.order_by(key), limit)
    return shown, str(getattr(shown[-1], key)) if has_more else None


def rows_before(rows: QuerySet[Row], key: str, before: int | None, limit: int) -> tuple[list[Row], int | None]:
    """Return up to `limit` rows with the greatest integer `key` below `before`, descending, and the next cursor."""
    if before is not None:
        rows = rows.filter(**{f"{key}__lt": before})
    shown, has_more = _first(rows.order_by(f"-{key}"), limit)
    return shown, getattr(shown[-1], key) if has_more else None


def _first(rows: QuerySet[Row], limit: int) -> tuple[list[Row], bool]:
    found = list(rows[: limit + 1])
    return found[:limit], len(found) > limit


def _behind(order: Sequence[str], values: Sequence[Any]) -> Q:
    """Beyond the value of one field, and equal in every field before it."""
    found, equal = Q(), Q()
    for name, value in zip(order, values, strict=True):
        field = name.removeprefix("-")
        found |= equal & Q(**{f"{field}__{'lt' if name.startswith('-') else 'gt'}": value})
        equal &= Q(**{field: value})
    return found


def _order_values(order: Sequence[str], row: Model) -> list[Any]:
    return [reduce(getattr, name.removeprefix("-").split("__"), row) for name in order]


def _signer(scope: str) -> Signer:
    # The scope is the salt: a cursor of one list or order is not a valid cursor of another.
    return Signer(salt=f"{__name__} {scope}")
