"""Pages by keyset: each begins behind the last row of the one before, whatever has changed in between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Final, Generic, TypeVar

from django.core.signing import BadSignature, Signer
from django.db.models import Model, Q, QuerySet

PAGE: Final = 100
Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True)
class Page(Generic[Row]):
    """Some rows, in order; the place where the next page begins, "" on the last; whether rows come before these."""

    rows: list[Row]
    next: str
    is_later: bool


def page(rows: QuerySet[Row], order: Sequence[str], after: str) -> Page[Row]:
    """The page behind the place `after`, which an earlier one gave as `next`; the first for anything else.

    `order`: fields, backwards with "-", none of which may be null and which no two rows share all of.
    """
    place = _read(order, after)
    if place is not None:
        rows = rows.filter(_behind(order, place))
    found = list(rows.order_by(*order)[: PAGE + 1])
    return Page(found[:PAGE], _write(order, found[PAGE - 1]) if len(found) > PAGE else "", place is not None)


def _behind(order: Sequence[str], place: Sequence[Any]) -> Q:
    """Beyond the place in one field, and in it by all fields before that."""
    found, same = Q(), Q()
    for name, value in zip(order, place, strict=True):
        field = name.removeprefix("-")
        found |= same & Q(**{f"{field}__{'lt' if name.startswith('-') else 'gt'}": value})
        same &= Q(**{field: value})
    return found


def _write(order: Sequence[str], row: Model) -> str:
    """Signed, so that what is read is what was written: of the right types, and no character the database refuses."""
    values = [reduce(getattr, name.removeprefix("-").split("__"), row) for name in order]
    return _signer(order).sign_object([value if isinstance(value, int) else str(value) for value in values])


def _read(order: Sequence[str], text: str) -> list[Any] | None:
    try:
        found: list[Any] = _signer(order).unsign_object(text)
    except BadSignature:
        return None
    return found


def _signer(order: Sequence[str]) -> Signer:
    return Signer(salt=f"{__name__} {' '.join(order)}")
