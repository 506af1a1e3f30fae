"""The logging configuration of every process: one record a line, with its request, to standard error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

FILTERS: Final[Mapping[str, Mapping[str, object]]] = {
    "database": {"()": "portal.log_filters.ShortenDatabaseErrors"},
    "permission": {"()": "portal.log_filters.ShortenPermissionErrors"},
    "request": {"()": "portal.log_lines.AddRequestId"},
    "caller": {"()": "portal.log_filters.NameRefusedCaller"},
}


def log_settings(
    level: str, form: str, *, access_log: bool, filters: Mapping[str, Mapping[str, object]] = FILTERS
) -> dict[str, object]:
    """Return Python's logging configuration: records of `level` and above, as `text` or `json`."""
    of_uvicorn = {"handlers": [], "propagate": True}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "text": {
                "()": "portal.log_lines.LineFormatter",
                "format": "%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s",
            },
            "json": {"()": "portal.log_lines.JsonFormatter"},
        },
        "filters": filters,
        "handlers": {
            "console": {"class": "portal.log_lines.ConsoleHandler", "formatter": form, "filters": list(filters)}
        },
        "loggers": {
            # At INFO it logs every URL that it requests, and a webhook's URL may be its password.
            "httpx": {"level": "WARNING"},
            # Whatever LOG_LEVEL is: who switches it on wants to read it.
            "portal.access_log": {"level": "INFO" if access_log else "CRITICAL"},
            # Uvicorn has set up handlers of its own by now, whose lines have neither time nor request.
            "uvicorn": of_uvicorn,
            "uvicorn.error": of_uvicorn,
            # Its lines have whole URLs: one-time links and searches. Unnamed here, it would inherit uvicorn's handlers,
            # and `--no-access-log` would be undone.
            "uvicorn.access": {"handlers": [], "propagate": False},
        },
        "root": {"handlers": ["console"], "level": level},
    }
