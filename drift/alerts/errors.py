"""What ingest and triage refuse, each with the code that programs look at (WIRE: Errors)."""

from __future__ import annotations

from typing import Any

from rest_framework.exceptions import APIException


class EventRefused(APIException):
    """422: one event of a batch cannot be stored; nothing of the batch was. The sensor sets it aside."""

    status_code = 422

    def __init__(self, code: str, message: str, index: int, field: str | None = None) -> None:
        super().__init__(message, code)
        self.extra: dict[str, Any] = {"index": index, **({"field": field} if field else {})}


class BadBody(APIException):
    """400: not JSON, or not the shape of a batch as a whole."""

    status_code = 400
    default_code = "bad_body"


class TooLarge(APIException):
    """413: the sensor splits the batch and sends the parts."""

    status_code = 413
    default_code = "too_large"
    default_detail = "The batch is too large. Split it."


class Busy(APIException):
    """429: this cluster already has its share of the portal's attention."""

    status_code = 429
    default_code = "busy"
    wait = 1
    default_detail = "Too many batches of this cluster are being stored. Try again shortly."


class IngestUnavailable(APIException):
    """503: nothing was stored; the same batch may be sent again."""

    status_code = 503
    default_code = "unavailable"
    wait = 5
    """Seconds, which DRF answers as Retry-After."""
    default_detail = "The events could not be stored now. Send them again."


class ChangeConflict(APIException):
    """409: somebody else changed the alert first, or what is asked cannot be had any more."""

    status_code = 409
    default_code = "conflict"


class Invalid(APIException):
    """422: a change that makes no sense, with the field that is wrong."""

    status_code = 422
    default_code = "invalid"

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.extra: dict[str, Any] = {"field": field}


def no_nul(field: str, text: str) -> None:
    """Raises Invalid for a text that PostgreSQL cannot keep."""
    if "\0" in text:
        raise Invalid("A text must not hold NUL.", field)
