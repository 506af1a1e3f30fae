"""`manage.py rotate_secret_key`: encrypt what is stored anew (docs/operators.md#changing-secret_key)."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from accounts import audit
from accounts.actions.second_factor import encrypt_second_factors_again
from drift.fleet.actions.signing_keys import encrypt_keys_again
from drift.notify.actions.settings import encrypt_webhooks_again


class Command(BaseCommand):
    help = "Encrypt what is stored under SECRET_KEY, in place of SECRET_KEY_FALLBACK. May be repeated."

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.SECRET_KEY_FALLBACKS:
            raise CommandError("Set SECRET_KEY_FALLBACK to the SECRET_KEY before this one, here and for every process.")
        with transaction.atomic():
            counts = {
                "signing keys": encrypt_keys_again(),
                "webhooks": encrypt_webhooks_again(),
                "second factors": encrypt_second_factors_again(),
            }
            after = {name: count for name, (count, _) in counts.items()}
            audit.record(None, "encrypted again", "secrets", "", after=after)
        for name, (count, lost) in counts.items():
            # Not an error: the portal goes on without them, as it did before.
            unread = f"; {lost} were encrypted under another key, and stay unusable" if lost else ""
            self.stdout.write(f"{name}: {count} encrypted under SECRET_KEY{unread}")
