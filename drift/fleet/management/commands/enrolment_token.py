"""Create an enrolment token from the command line and print only the token."""

from __future__ import annotations

import datetime as dt
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from drift.fleet.actions import create_enrolment_token, create_environment
from drift.fleet.models import Environment, Provider


class Command(BaseCommand):
    help = "Print a new enrolment token for an environment, which is added if it is missing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--environment",
            required=True,
            metavar="PROVIDER:ACCOUNT[:NAME]",
            help="azure, aws or gcp, the account id, and a name for a new environment (default: the id)",
        )
        parser.add_argument("--name", default="Command line", help="the token's name")
        parser.add_argument("--days", type=int, help="days until it expires (default: never)")
        parser.add_argument("--max-nodes", type=int, default=1_000, help="maximum number of live nodes (default: 1000)")

    def handle(self, *args: Any, **options: Any) -> str:
        """Return the token for standard output."""
        days = options["days"]
        _, text = create_enrolment_token(
            None,
            name=options["name"],
            environment=_environment(options["environment"]),
            expires_at=timezone.now() + dt.timedelta(days=days) if days else None,
            max_live_nodes=options["max_nodes"],
        )
        return text


def _environment(text: str) -> Environment:
    provider, _, rest = text.partition(":")
    account, _, name = rest.partition(":")
    if provider not in Provider.values or not account:
        raise CommandError("--environment must be azure:ACCOUNT, aws:ACCOUNT or gcp:ACCOUNT, optionally with :NAME.")
    found: Environment | None = Environment.objects.filter(provider=provider, account=account).first()
    return found or create_environment(None, provider=provider, account=account, name=name or account)
