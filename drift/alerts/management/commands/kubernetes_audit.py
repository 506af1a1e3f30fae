"""`manage.py kubernetes_audit`: import a cluster's audit lines from files, erase a user (docs/kubernetes-audit.md)."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final

from django.core.management.base import BaseCommand, CommandError
from rest_framework.exceptions import APIException

from accounts.models import User
from accounts.roles import Role
from drift.alerts.actions.store_pod_entries import (
    StoredEntries,
    erase_kubernetes_user,
    record_import,
    store_pod_entries,
)
from drift.alerts.forms.kubernetes_audit import MAX_BODY, parsed_audit_events
from drift.fleet.models import Cluster

CHUNK: Final = 1024 * 1024
"""Bytes of lines that are read and stored at once."""


class Command(BaseCommand):
    help = "Import who ran something in a pod from Kubernetes audit logs, or erase a user of Kubernetes."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        load = verbs.add_parser("import", help="import audit events: JSON lines, or an EventList")
        load.add_argument("--cluster", required=True, help="id or name of the cluster whose API server wrote them")
        load.add_argument("files", nargs="+", metavar="FILE", help="- reads standard input")
        erase = verbs.add_parser("erase", help="erase a user from all requests")
        erase.add_argument("--user", required=True, metavar="USERNAME", help="as Kubernetes names them")
        erase.add_argument("--as", required=True, dest="actor", metavar="EMAIL", help="the Owner who does it")

    def handle(self, *args: Any, **options: Any) -> str:
        """Return what was done. Raises CommandError for a cluster, file or user that cannot be used."""
        if options["verb"] == "erase":
            owner = User.objects.filter(email=options["actor"], role=Role.OWNER, is_active=True).first()
            if owner is None:
                raise CommandError(f"{options['actor']} is not an active Owner.")
            return f"erased from {erase_kubernetes_user(owner, options['user'])} requests"
        cluster = _cluster(options["cluster"])
        totals = [0, 0, 0, 0, 0]
        try:
            for name in options["files"]:
                for part in _parts(name):
                    totals = [one + two for one, two in zip(totals, _imported(cluster, name, part), strict=True)]
        except CommandError:
            if totals[0]:  # what was stored before the file that cannot be read stays
                record_import(cluster, StoredEntries(*totals[:3]))
            raise
        new, known, refused, other, invalid = totals
        record_import(cluster, StoredEntries(new, known, refused))
        return f"{new} new, {known} known, {refused} refused, {other} other events, {invalid} not valid"


def _imported(cluster: Cluster, name: str, data: bytes) -> tuple[int, int, int, int, int]:
    try:
        found, other, invalid = parsed_audit_events(data)
        stored = store_pod_entries(cluster, found, "manage.py")
    except APIException as error:
        raise CommandError(f"{name}: {error.detail}") from None
    return stored.stored, stored.known, stored.refused, other, invalid


def _parts(name: str) -> Iterator[bytes]:
    try:
        if name == "-":
            yield from _lines_together(sys.stdin.buffer)
            return
        with Path(name).open("rb") as file:
            yield from _lines_together(file)
    except OSError as error:
        raise CommandError(f"{name} cannot be read: {error.strerror}") from None


def _lines_together(file: IO[bytes]) -> Iterator[bytes]:
    """Yield whole lines, about a MiB at once; a single line, as an EventList is, may take what a request may."""
    lines: list[bytes] = []
    size = 0
    while line := file.readline(MAX_BODY + 1):
        if len(line) > MAX_BODY:
            raise CommandError(f"A line takes more than {MAX_BODY} bytes.")
        lines.append(line)
        size += len(line)
        if size >= CHUNK:
            yield b"".join(lines)
            lines, size = [], 0
    if lines:
        yield b"".join(lines)


def _cluster(text: str) -> Cluster:
    """Return a cluster by id or by a name that only one has."""
    found: list[Cluster] = list(
        Cluster.objects.filter(pk=int(text)) if text.isdecimal() else Cluster.objects.filter(name=text)[:2]
    )
    if len(found) != 1:
        raise CommandError(
            f"{text} is the name of several clusters. Use the id." if found else f"{text} is not a known cluster."
        )
    return found[0]
