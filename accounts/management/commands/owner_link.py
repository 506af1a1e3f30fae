"""`manage.py owner_link EMAIL [--name NAME]`: the first Owner, or one who cannot sign in any more."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.core.validators import validate_email
from django.forms import ValidationError

from accounts.actions.links import create_link
from accounts.actions.users import invite_user
from accounts.models import User
from accounts.models.users import has_address
from accounts.roles import Role


class Command(BaseCommand):
    help = "Print a one-time link with which an Owner chooses a password; creates the Owner if there is none of EMAIL."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email", metavar="EMAIL", help="the Owner's address")
        parser.add_argument("--name", default="Owner", help="name of an Owner who is new (default: Owner)")

    def handle(self, *args: Any, **options: Any) -> None:
        email = options["email"].strip()
        try:
            validate_email(email)
        except ValidationError:
            raise CommandError(f"{email} is not a valid email address.") from None
        user = User.objects.filter(has_address(email)).first()
        if user is None:
            _, url = invite_user(None, email=email, name=options["name"], role=Role.OWNER)
        elif user.role == Role.OWNER and user.is_active:
            url = create_link(None, user)
        else:
            raise CommandError(f"{email} is not an active Owner.")
        self.stdout.write(url)
