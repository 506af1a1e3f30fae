"""The notify app."""

from __future__ import annotations

from django.apps import AppConfig


class NotifyConfig(AppConfig):
    name = "drift.notify"
    label = "notify"

    def ready(self) -> None:
        from accounts.signals import account_changed, break_glass_used
        from drift.notify.actions.notices import notify_of_account_change, notify_of_break_glass

        break_glass_used.connect(notify_of_break_glass)
        account_changed.connect(notify_of_account_change)
