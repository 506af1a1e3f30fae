"""Audit entries that match filters, as a viewer may see them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any, Final

from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast

from accounts.models import AuditEntry, AuditSeal, User, Viewer
from accounts.roles import Role

AUDIT_PAGE: Final = 50
MAX_EXPORTED: Final = 100_000
"""Entries in an export of the page; `manage.py audit export` writes all."""
RECENT_FOR_SUGGESTIONS: Final = 2_000
HIDDEN: Final = "hidden"
ERASED: Final = "erased"
SOURCE: Final = ("address", "agent", "session", "token")
HIDDEN_KEYS: Final = frozenset({"prefix"})
"""Keys of `before` and `after` that only Security Admins see: with a token's prefix a guess is cheaper."""


@dataclass(frozen=True)
class AuditFilters:
    """What entries must match; an empty value matches everything."""

    actor: str = ""
    """Part of the actor's name."""
    verb: str = ""
    object_type: str = ""
    object: str = ""
    """The object's id, or part of its name."""
    text: str = ""
    """Part of any name; for Security Admins also of address, request id and changed values."""
    since: dt.datetime | None = None
    until: dt.datetime | None = None


@dataclass(frozen=True)
class ShownChange:
    """One value that changed; None where it was not there."""

    key: str
    before: Any
    after: Any


@dataclass(frozen=True)
class ShownEntry:
    """An entry as one viewer may see it: values that are not for them are "hidden", erased ones "erased"."""

    entry: AuditEntry
    actor_name: str
    object_name: str
    source: dict[str, str]
    """Address, agent, session and token, without those that are empty."""
    before: Any
    after: Any
    seal: AuditSeal | None

    @property
    def changes(self) -> list[ShownChange]:
        """The values that differ, by key."""
        before, after = (value if isinstance(value, dict) else {} for value in (self.before, self.after))
        keys = sorted({*before, *after})
        rows = [ShownChange(key, before.get(key), after.get(key)) for key in keys]
        return [row for row in rows if row.before != row.after or row.before in (HIDDEN, ERASED)]


def matching_entries(viewer: Viewer, filters: AuditFilters) -> QuerySet[AuditEntry]:
    """Return the entries that the viewer sees and that match, newest first, with their seals."""
    entries: QuerySet[AuditEntry] = AuditEntry.objects.visible_to(viewer).select_related("seal").order_by("-pk")
    if filters.actor:
        entries = entries.filter(actor_name__icontains=filters.actor)
    if filters.verb:
        entries = entries.filter(verb__iexact=filters.verb)
    if filters.object_type:
        entries = entries.filter(object_type__iexact=filters.object_type)
    if filters.object:
        entries = entries.filter(Q(object_id=filters.object) | Q(object_name__icontains=filters.object))
    if filters.since:
        entries = entries.filter(at__gte=filters.since)
    if filters.until:
        entries = entries.filter(at__lt=filters.until)
    return _with_text(entries, filters.text, everything=sees_sources(viewer)) if filters.text else entries


def _with_text(entries: QuerySet[AuditEntry], text: str, *, everything: bool) -> QuerySet[AuditEntry]:
    # Not in what the viewer does not see: a search that finds a hidden value reveals it, a character at a time.
    found = Q(actor_name__icontains=text) | Q(object_name__icontains=text) | Q(object_id=text)
    found |= Q(verb__icontains=text) | Q(object_type__icontains=text)
    if everything:
        entries = entries.alias(before_text=Cast("before", TextField()), after_text=Cast("after", TextField()))
        found |= Q(before_text__icontains=text) | Q(after_text__icontains=text)
        found |= Q(address=text) | Q(request_id=text) | Q(session=text) | Q(token=text) | Q(agent__icontains=text)
    return entries.filter(found)


def audit_page(
    viewer: Viewer, filters: AuditFilters, before: int | None, size: int = AUDIT_PAGE
) -> tuple[list[ShownEntry], int | None]:
    """Return a page of matching entries below the id `before`, and the next page's `before`, if any."""
    entries = matching_entries(viewer, filters)
    if before is not None:
        entries = entries.filter(pk__lt=before)
    page = list(entries[: size + 1])
    following = page[size - 1].pk if len(page) > size else None
    return [shown_entry(entry, viewer) for entry in page[:size]], following


def suggestions(viewer: Viewer) -> tuple[list[str], list[str]]:
    """Return the verbs and object types of the newest entries that the viewer sees."""
    newest = AuditEntry.objects.visible_to(viewer).order_by("-pk").values_list("verb", "object_type")
    pairs = set(newest[:RECENT_FOR_SUGGESTIONS])
    return sorted({verb for verb, _ in pairs}), sorted({kind for _, kind in pairs})


def sees_sources(viewer: Viewer) -> bool:
    """Return whether the viewer sees where others' changes came from: Security Admins and Owners."""
    return isinstance(viewer, User) and viewer.has_role(Role.ADMIN)


def shown_entry(entry: AuditEntry, viewer: Viewer) -> ShownEntry:
    """Return the entry as the viewer may see it."""
    is_own = entry.actor_id is not None and entry.actor_id == getattr(viewer, "pk", None)
    return _shown_entry(entry, is_open=is_own or sees_sources(viewer))


def open_entry(entry: AuditEntry) -> ShownEntry:
    """Return the entry with all that was not erased: for commands on the portal's host."""
    return _shown_entry(entry, is_open=True)


def _shown_entry(entry: AuditEntry, *, is_open: bool) -> ShownEntry:
    seal: AuditSeal | None = getattr(entry, "seal", None)
    erased = seal.erased if seal else {}
    values = {name: ERASED if name in erased else getattr(entry, name) for name in SOURCE}
    return ShownEntry(
        entry=entry,
        actor_name=ERASED if "actor_name" in erased else entry.actor_name,
        object_name=ERASED if "object_name" in erased else entry.object_name,
        source={name: value if is_open else HIDDEN for name, value in values.items() if value},
        before=_shown_values(entry.before, "before", erased, is_open=is_open),
        after=_shown_values(entry.after, "after", erased, is_open=is_open),
        seal=seal,
    )


def _shown_values(values: Any, name: str, erased: dict[str, str], *, is_open: bool) -> Any:
    if not isinstance(values, dict):
        return values
    return {
        key: ERASED if f"{name}/{key}" in erased else HIDDEN if key in HIDDEN_KEYS and not is_open else value
        for key, value in values.items()
    }
