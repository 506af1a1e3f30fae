"""Find a noise budget's plan under the latest version on the portal's host; nothing is stored or applied."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from drift.backtest.actions.runs import period_start
from drift.backtest.domain.noise_evidence import EVERY_DAY, MAX_DAYS, ON_AVERAGE, NoiseBudget, NoisePlace
from drift.backtest.domain.noise_table import noise_table
from drift.backtest.errors import PeriodInvalid, TooMuchNoise
from drift.backtest.queries.noise_budget import noise_budget
from drift.fleet.models import Cluster, Environment
from drift.policy.queries.versions import latest_version


class Command(BaseCommand):
    help = (
        "Find the fewest rules that would have kept a number of alerts a day. Exit status: 0 they keep it, 1 they do "
        "not, 2 an argument is invalid."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("alerts", type=int, help="at most so many alerts a day")
        parser.add_argument("--days", type=int, default=MAX_DAYS, help="how far back, today included (default: 30)")
        place = parser.add_mutually_exclusive_group()
        place.add_argument("--environment", type=int, metavar="N", help="only this environment, by its number")
        place.add_argument("--cluster", type=int, metavar="N", help="only this cluster, by its number")
        parser.add_argument("--namespace", default="", help="only this namespace of the cluster")
        parser.add_argument("--average", action="store_true", help="on average rather than on every day")
        parser.add_argument("--changing", action="store_true", help="also cover established noise that changes")
        parser.add_argument("--document", type=Path, metavar="FILE", help="write the policy with the changes to FILE")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the plan."""
        if options["alerts"] < 0 or options["days"] > MAX_DAYS:
            raise CommandError(f"Choose 0 alerts or more, and 1 to {MAX_DAYS} days.", returncode=2)
        if options["namespace"] and options["cluster"] is None:
            raise CommandError("A namespace needs its cluster.", returncode=2)
        for model, number in ((Environment, options["environment"]), (Cluster, options["cluster"])):
            # In a place that does not exist every budget is kept.
            if number is not None and not model._default_manager.filter(pk=number).exists():
                raise CommandError(f"No {model._meta.verbose_name} has the number {number}.", returncode=2)
        place = NoisePlace(options["environment"], options["cluster"], options["namespace"])
        measure = ON_AVERAGE if options["average"] else EVERY_DAY
        now, version = timezone.now(), latest_version()
        try:
            result, document = noise_budget(
                version.document,
                NoiseBudget(options["alerts"], place, measure, options["changing"]),
                period_start(options["days"], now),
                now,
                lambda _: True,
            )
        except (PeriodInvalid, TooMuchNoise) as error:
            raise CommandError(str(error.detail), returncode=2) from error
        self.stdout.write(noise_table(result, str(version)))
        if options["document"]:
            options["document"].write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        if not result["reached"]:
            sys.exit(1)
