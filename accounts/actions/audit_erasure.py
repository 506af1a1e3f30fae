"""Erase a person from the audit log and from their account, on request; the chain stays verifiable.

Runs as the owner of the tables: the portal's own role can change no entry.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast

from accounts import audit
from accounts.actions.audit_seals import seal_entries
from accounts.audit_chain import CHANGES, PERSONAL, commitment, personal_values
from accounts.errors import StillActiveError
from accounts.models import ApiToken, AuditEntry, AuditSeal, OneTimeLink, User
from accounts.models.sessions import Session
from accounts.queries.audit_verification import ERASED_VERB, SOURCE


def erase_person(actor: User, person: User) -> int:
    """Erase a deactivated user's name, email address and network addresses. Returns how many entries changed.

    Raises StillActiveError while the account is active.
    """
    seal_entries(everywhere=True)
    with transaction.atomic():
        person = User.objects.select_for_update().get(pk=person.pk)
        if person.is_active:
            raise StillActiveError
        changed, known = 0, _known_as(person)
        for entry in _entries_about(person, known).iterator(1_000):
            values = personal_values(entry)
            paths = [path for path, value in values if value and _is_about(person, known, entry, path, value)]
            if paths:
                _erase(entry, paths)
                changed += 1
        _erase_account(person)
        audit.record(actor, ERASED_VERB, "user", person.pk, after={"entries": changed})
    return changed


@dataclass(frozen=True)
class _KnownAs:
    """The present and earlier addresses and names of a person, casefolded, and all of them as they were written."""

    addresses: frozenset[str]
    names: frozenset[str]
    written: frozenset[str]
    """The database looks for these: it compares capitals, and "ß" has none there, but "ss" when it is casefolded."""


def _known_as(person: User) -> _KnownAs:
    """Return what the log calls the person. An earlier address that somebody else has now stays theirs."""
    about = AuditEntry.objects.filter(_is_of_account(person))
    addresses, names = {person.email, *about.values_list("object_name", flat=True)}, {person.name}
    addresses.update(AuditEntry.objects.filter(actor=person).values_list("actor_name", flat=True))
    for change in (change for changes in about.values_list(*CHANGES) for change in changes if isinstance(change, dict)):
        addresses.update(_texts(change.get("email")))
        names.update(_texts(change.get("name")))
    earlier = {address.casefold() for address in addresses if "@" in address} - {person.email.casefold()}
    others = User.objects.exclude(pk=person.pk).values_list("email", flat=True)
    earlier -= {email.casefold() for email in others}
    known = frozenset({person.email.casefold(), *earlier})
    written = {text for text in addresses if text.casefold() in known} | names
    return _KnownAs(known, frozenset(map(str.casefold, names)) - {""}, frozenset(written) - {""})


def _entries_about(person: User, known: _KnownAs) -> QuerySet[AuditEntry]:
    """Return the sealed entries that may hold something of the person."""
    found = Q(actor=person) | _is_of_account(person)
    for text in {*known.written, *known.addresses, *known.names}:
        # As it is inside JSON's text: quotes and backslashes are escaped there.
        quoted = json.dumps(text, ensure_ascii=False)[1:-1]
        found |= Q(actor_name__icontains=text) | Q(object_name__icontains=text)
        found |= Q(before_text__icontains=quoted) | Q(after_text__icontains=quoted)
    entries = AuditEntry.objects.alias(before_text=Cast("before", TextField()), after_text=Cast("after", TextField()))
    return entries.filter(found).exclude(seal=None).select_related("seal").order_by("pk")


def _is_of_account(person: User) -> Q:
    return Q(object_type="user", object_id=str(person.pk))


def _is_about(person: User, known: _KnownAs, entry: AuditEntry, path: str, value: Any) -> bool:
    if path in SOURCE:
        return entry.actor_id == person.pk or _is_failed_sign_in(person, entry)
    if path == "actor_name" and entry.actor_id == person.pk:
        return True
    is_of_account = (entry.object_type, entry.object_id) == ("user", str(person.pk))
    if is_of_account and path == "object_name":
        return True
    texts = [text.casefold() for text in _texts(value)]
    # Any text with an address in it; a name, which may be a common word, only where it is the whole value.
    return any(text in known.names or any(address in text for address in known.addresses) for text in texts)


def _is_failed_sign_in(person: User, entry: AuditEntry) -> bool:
    return entry.actor_id is None and (entry.object_type, entry.object_id) == ("user", str(person.pk))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield key
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)


def _erase(entry: AuditEntry, paths: list[str]) -> None:
    """Blank the values at `paths`; keep their commitments in place of their salts."""
    seal: AuditSeal = entry.seal
    values = dict(personal_values(entry))
    for path in paths:
        salt = seal.salts.pop(path, None)
        if salt is None:
            continue  # not what was sealed: verifying reports the entry, and erasing must not hide it
        seal.erased[path] = commitment(salt, values[path], is_column=path in PERSONAL)
        name, _, key = path.partition("/")
        if name in CHANGES and key in (getattr(entry, name) or {}):
            getattr(entry, name)[key] = None
        else:
            setattr(entry, name, None if name in CHANGES else "")
    seal.save(update_fields=["salts", "erased"])
    entry.save(update_fields=[*PERSONAL, *CHANGES])


def _erase_account(person: User) -> None:
    """Keep the row, to which entries and alerts refer, with nothing of the person in it."""
    person.email, person.name = f"erased-{person.pk}@erased.invalid", f"Erased user {person.pk}"
    person.verified_email, person.last_login = "", None
    person.set_unusable_password()
    person.save(update_fields=["email", "name", "verified_email", "last_login", "password"])
    OneTimeLink.objects.filter(user=person).delete()
    ApiToken.objects.filter(user=person).delete()
    Session.objects.filter(user=person).delete()
    for relation in ("emailaddress_set", "authenticator_set", "socialaccount_set"):
        getattr(person, relation).all().delete()
