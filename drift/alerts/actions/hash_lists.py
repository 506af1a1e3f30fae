"""Lists of known files: Owners add and delete them, everybody looks files up, and the audit log has all of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

from django.db import IntegrityError, transaction

from accounts import audit
from accounts.models import User
from drift.alerts.actions.bulk_insert import copy_rows
from drift.alerts.actions.score_alerts import queue_contents
from drift.alerts.errors import ChangeConflict, Invalid, check_plain
from drift.alerts.models import HashList, HashVerdict, ListedHash

MAX_LISTS: Final = 50
MAX_NAME: Final = 64
MAX_AUDITED: Final = 20
"""Sums of a look-up that the audit log names; it also has their number and one sum over them all."""


@transaction.atomic(durable=True)
def add_hash_list(actor: User, name: str, verdict: str, hashes: Sequence[str]) -> HashList:
    """Add a list of files, and queue the open alerts of these files to be scored again. Raises Invalid."""
    name = name.strip()
    check_plain("name", name)
    if not 1 <= len(name) <= MAX_NAME:
        raise Invalid(f"Enter a name of 1 to {MAX_NAME} characters.", "name")
    if verdict not in HashVerdict.values:
        raise Invalid("Choose known good or known bad.", "verdict")
    if HashList.objects.count() >= MAX_LISTS:
        raise Invalid(f"There can be up to {MAX_LISTS} lists. Delete one first.", "name")
    try:
        with transaction.atomic():
            added = HashList.objects.create(name=name, verdict=verdict, size=len(hashes), created_by=actor)
    except IntegrityError:
        raise Invalid("Another list has this name. Delete it first.", "name") from None
    copy_rows([ListedHash(sha256=each, hash_list=added) for each in hashes])
    after = {"verdict": verdict, "hashes": len(hashes), "sha256": _sum(hashes)}
    audit.record(actor, "added", "hash list", added.pk, name=name, after=after)
    queue_contents(hashes)
    return added


@transaction.atomic(durable=True)
def delete_hash_list(actor: User, pk: int) -> HashList:
    """Delete a list, and queue the open alerts of its files to be scored again. Raises ChangeConflict if it is gone."""
    found = HashList.objects.select_for_update().filter(pk=pk).first()
    if found is None:
        raise ChangeConflict("The list has been deleted already.")
    hashes = list(found.hashes.values_list("sha256", flat=True))
    audit.record(
        actor, "deleted", "hash list", pk, name=found.name, before={"verdict": found.verdict, "hashes": found.size}
    )
    queue_contents(hashes)
    ListedHash.objects.filter(hash_list=found).delete()
    HashList.objects.filter(pk=pk).delete()
    return found


@transaction.atomic(durable=True)
def audit_look_up(actor: User, hashes: Sequence[str]) -> None:
    """Record which files a user looks up."""
    after = {"hashes": len(hashes), "first": list(hashes[:MAX_AUDITED]), "sha256": _sum(hashes)}
    audit.record(actor, "looked up", "file hashes", "", after=after)


def _sum(hashes: Sequence[str]) -> str:
    """Return one sum for a set of sums, in whatever order they were given."""
    return hashlib.sha256("\n".join(sorted(hashes)).encode()).hexdigest()
