"""The policy app."""

from django.apps import AppConfig


class PolicyConfig(AppConfig):
    name = "drift.policy"
    label = "policy"
