"""`manage.py doctor`: every condition of health on one screen, with a status for cron."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any, Final

from django.core.management.base import BaseCommand

from drift.health.actions.health_report import HealthFinding, doctor_report
from sensor.names.visible_text import visible_text

STATUS: Final = {"ok": 0, "failing": 1, "not_checked": 2}
MARKS: Final = {"ok": "ok  ", "failing": "FAIL", "not_checked": "?   "}


class Command(BaseCommand):
    help = "Check everything that health knows. Status 0: all is well; 1: a condition holds; 2: not all was checked."
    # It must also run where the database does not.
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--quiet", action="store_true", help="print only what is not well, for cron")
        parser.add_argument("--json", action="store_true", help="print JSON for programs")

    def handle(self, *args: Any, **options: Any) -> None:
        report = doctor_report()
        if options["json"]:
            self.stdout.write(json.dumps([_plain(each) for each in report.findings], indent=1))
        else:
            for each in report.findings:
                if each.outcome.state != "ok" or not options["quiet"]:
                    # Names in it come from sensors and clusters, and must not drive the terminal.
                    self.stdout.write(visible_text(_line(each), several_lines=True))
            if not options["quiet"]:
                counts = len(report.failing), len(report.not_checked), len(report.well)
                self.stdout.write("{} failing, {} not checked, {} well".format(*counts))
        if status := STATUS[report.state]:
            raise SystemExit(status)


def _line(finding: HealthFinding) -> str:
    """Return one line; of what fails a second one, with what to do."""
    condition, outcome = finding.condition, finding.outcome
    line = f"{MARKS[outcome.state]} {condition.title}"
    if outcome.state == "failing":
        since = f" Since {outcome.since:%F %T} UTC." if outcome.since else ""
        detail = f" {outcome.detail[:1].upper()}{outcome.detail[1:]}." if outcome.detail else ""
        return f"{line}: {condition.fails}{detail}{since}\n     → {condition.action}"
    return f"{line}: {outcome.detail}" if outcome.detail else line


def _plain(finding: HealthFinding) -> dict[str, object]:
    outcome = finding.outcome
    return {
        "code": finding.condition.code,
        "state": outcome.state,
        "detail": outcome.detail,
        "since": outcome.since.isoformat() if outcome.since else None,
        "action": finding.condition.action,
        "count": outcome.count,
    }
