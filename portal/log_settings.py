"""How every process logs: one line a record, with its request, to standard error."""

from __future__ import annotations


def log_settings(level: str) -> dict[str, object]:
    """Return Python's logging configuration for `level`."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "line": {
                "()": "portal.log_filters.LineFormatter",
                "format": "%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s",
            }
        },
        "filters": {
            "database": {"()": "portal.log_filters.ShortenDatabaseErrors"},
            "permission": {"()": "portal.log_filters.ShortenPermissionErrors"},
            "request": {"()": "portal.log_filters.AddRequestId"},
            "caller": {"()": "portal.log_filters.NameRefusedCaller"},
        },
        "handlers": {
            "console": {
                "class": "logging.StreamHandler",
                "formatter": "line",
                "filters": ["database", "permission", "request", "caller"],
            }
        },
        # At INFO it logs every URL that it requests, and a webhook's URL may be its password.
        "loggers": {"httpx": {"level": "WARNING"}},
        "root": {"handlers": ["console"], "level": level},
    }
