"""`manage.py reset_second_factor EMAIL`: for the last Owner, whom no other Owner can help."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.actions.second_factor import reset_second_factor
from accounts.models import User
from accounts.models.users import has_address


class Command(BaseCommand):
    help = "Remove all second factors of a user who lost theirs, and end their sessions."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email", metavar="EMAIL", help="the user's address")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(has_address(options["email"])).first()
        if user is None:
            raise CommandError(f"{options['email']} is not a user.")
        if not reset_second_factor(None, user):
            raise CommandError(f"{user.email} has no second factor.")
        self.stdout.write(f"The second factor of {user.email} was reset.")
