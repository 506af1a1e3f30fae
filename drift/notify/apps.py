"""The notify app."""

from __future__ import annotations

from django.apps import AppConfig


class NotifyConfig(AppConfig):
    name = "drift.notify"
    label = "notify"
