"""Audit lines are stored once, whatever stores them at the same time, and imported from files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from accounts.models import AuditEntry
from drift.alerts.actions import store_pod_entries as actions
from drift.alerts.actions.store_pod_entries import StoredEntries
from drift.alerts.forms.kubernetes_audit import parsed_audit_events
from drift.alerts.models import PodEntry
from tests.unit.drift.alerts.audit_lines import audit_event
from tests.unit.drift.alerts.conftest import Estate, event_list

pytestmark = [pytest.mark.services, pytest.mark.django_db]


def test_a_later_stage_completes_a_line_that_another_batch_stores_at_the_same_time(
    estate: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """API servers post batches at once. Without its code a request that was refused would name somebody."""
    first = audit_event("sh", stage="RequestReceived", responseStatus=None)
    refused = {**first, "stage": "ResponseComplete", "responseStatus": {"code": 403}}
    other = audit_event("sh", stage="RequestReceived", responseStatus=None)
    forged = {**other, "user": {"username": "bob@example.com"}}
    check = actions._check_share

    def store(*lines: dict[str, Any]) -> StoredEntries:
        found, _, _ = parsed_audit_events(event_list(*lines))
        return actions.store_pod_entries(estate.sensors[0].cluster, found, "test")

    def store_meanwhile(*_: Any) -> None:
        monkeypatch.setattr(actions, "_check_share", check)
        store(first, other)

    monkeypatch.setattr(actions, "_check_share", store_meanwhile)
    assert store(refused, forged, audit_event()) == StoredEntries(stored=1, known=1, refused=1)

    rows = PodEntry.objects.filter(audit_id__in=[first["auditID"], other["auditID"]])
    assert set(rows.values_list("audit_id", "username", "stage", "code")) == {
        (first["auditID"], "alice@example.com", "ResponseComplete", 403),
        (other["auditID"], "alice@example.com", "RequestReceived", None),
    }


def test_files_are_imported_by_command(estate: Estate, tmp_path: Path, capsys: Any) -> None:
    lines, batch = tmp_path / "audit.log", tmp_path / "list.json"
    lines.write_text("\n".join(json.dumps(audit_event()) for _ in range(3)) + "\nnot json\n")
    batch.write_bytes(event_list(audit_event()))

    call_command("kubernetes_audit", "import", str(lines), str(batch), cluster="blue")

    assert "4 new, 0 known, 0 refused, 0 other events, 1 not valid" in capsys.readouterr().out
    assert AuditEntry.objects.get(verb="imported").after == {"new": 4}
    assert set(PodEntry.objects.values_list("source", "cluster__name")) == {("manage.py", "blue")}
    for cluster, file in (("blue", "/nonexistent"), ("purple", str(lines)), ("987654", str(lines))):
        with pytest.raises(CommandError):
            call_command("kubernetes_audit", "import", file, cluster=cluster)


def test_an_import_that_ends_at_a_file_that_cannot_be_read_is_in_the_audit_log(estate: Estate, tmp_path: Path) -> None:
    lines = tmp_path / "audit.log"
    lines.write_text(json.dumps(audit_event()))
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("kubernetes_audit", "import", str(lines), "/nonexistent", cluster="blue")
    assert AuditEntry.objects.get(verb="imported").after == {"new": 1}
    assert PodEntry.objects.count() == 1
