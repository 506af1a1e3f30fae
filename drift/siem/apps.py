"""The siem app."""

from django.apps import AppConfig


class SiemConfig(AppConfig):
    name = "drift.siem"
    label = "siem"
