"""The project as an app: it loads the Celery app so that every process sends to the same broker."""

from __future__ import annotations

from django.apps import AppConfig


class PortalConfig(AppConfig):
    name = "portal"

    def ready(self) -> None:
        import logging

        from django.core import checks

        from portal import celery  # noqa: F401 - makes it Celery's current app
        from portal.checks import breached_passwords, database_role, secret_key, trusted_proxies

        # A warning of Python is a record like any other.
        logging.captureWarnings(capture=True)
        checks.register(breached_passwords, checks.Tags.security)
        checks.register(secret_key, checks.Tags.security, deploy=True)
        checks.register(database_role, checks.Tags.security, deploy=True)
        checks.register(trusted_proxies, checks.Tags.security, deploy=True)
