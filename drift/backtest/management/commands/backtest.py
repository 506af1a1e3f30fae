"""Compare a document with the latest version on stored events; `manage.py policy backtest FILE` calls this."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from drift.backtest.actions.runs import period_start
from drift.backtest.domain.result_table import result_table
from drift.backtest.errors import PeriodInvalid
from drift.backtest.queries.comparison import compare
from drift.policy.queries.versions import latest_version
from sensor.policy import PolicyInvalid, normalise


class Command(BaseCommand):
    help = "Compare a policy document (JSON) with the latest version on stored events; nothing is saved."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("document", help="the document as a JSON string")
        parser.add_argument("--days", type=int, default=7, help="how far back, today included (default: 7)")

    def handle(self, *args: Any, **options: Any) -> str:
        """Return the result table, for standard output."""
        now, version = timezone.now(), latest_version()
        try:
            document = normalise(json.loads(options["document"]))
            first = period_start(options["days"], now)
        except (ValueError, PolicyInvalid, PeriodInvalid) as error:
            raise CommandError(str(error), returncode=2) from error
        result = compare(version.document, document, first, now, lambda _: True)
        return result_table(result, str(version))
