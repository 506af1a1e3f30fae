"""What ingest and triage reject, each with the code that sensors and API clients rely on (docs/wire.md)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import BadRequest
from rest_framework.exceptions import APIException

from accounts.plain_text import hidden_character_error


class EventRejected(APIException):
    """422: one event of a batch cannot be stored, so nothing of the batch was. The sensor sets the event aside."""

    status_code = 422

    def __init__(self, code: str, message: str, index: int, field: str | None = None) -> None:
        super().__init__(message, code)
        self.extra: dict[str, Any] = {"index": index, **({"field": field} if field else {})}


class BadBody(APIException):
    """400: not JSON, or not a batch of events."""

    status_code = 400
    default_code = "bad_body"


class TooLarge(APIException):
    """413: the sensor splits the batch and sends the parts."""

    status_code = 413
    default_code = "too_large"
    default_detail = "The batch is too large. Split it."


class Busy(APIException):
    """429: too many batches of this cluster are being stored."""

    status_code = 429
    default_code = "busy"
    wait = 1
    """Seconds, which REST framework sends as Retry-After."""
    default_detail = "Too many batches of this cluster are being stored. Try again shortly."


class AuditLinesFull(APIException):
    """429: a cluster has sent as many new audit lines as it may within a day."""

    status_code = 429
    default_code = "audit_lines_full"
    wait = 3_600
    """Seconds, which REST framework sends as Retry-After."""
    default_detail = "The cluster has sent 100,000 new requests within 24 hours. Send fewer, or send them later."


class IngestUnavailable(APIException):
    """503: nothing was stored, and the same batch may be sent again."""

    status_code = 503
    default_code = "unavailable"
    wait = 5
    """Seconds, which REST framework sends as Retry-After."""
    default_detail = "The events could not be stored now. Send them again."


class ChangeConflict(APIException):
    """409: someone else changed the alert or rule first, or its state no longer allows the change."""

    status_code = 409
    default_code = "conflict"


@dataclass(frozen=True)
class ChangedAlert:
    """An alert that someone else changed first: how it is now, and who did what to it last."""

    pk: int
    revision: int
    path: str
    status: str
    resolution: str
    actor: str
    what: str
    at: dt.datetime | None
    comment: str


class AlertsChanged(ChangeConflict):
    """409: alerts are not as their reviewer saw them. `missing` no longer exist, or are no longer seen."""

    def __init__(self, message: str, changed: Sequence[ChangedAlert], missing: Collection[int]) -> None:
        super().__init__(message)
        self.changed, self.missing = changed, frozenset(missing)

    def renewed(self, seen: dict[int, int]) -> dict[int, int]:
        """Return the alerts of the change at the revisions that they have now, without those that are missing."""
        now = {each.pk: each.revision for each in self.changed}
        return {pk: now.get(pk, revision) for pk, revision in seen.items() if pk not in self.missing}


class OutOfScope(APIException):
    """403: the actor sees the object, and may not change it, because it also concerns what they do not see."""

    status_code = 403
    default_code = "out_of_scope"


class Invalid(APIException):
    """422: a value is not valid; `extra` has its field."""

    status_code = 422
    default_code = "invalid"

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.extra: dict[str, Any] = {"field": field}


class QueryInvalid(APIException, BadRequest):
    """400: a query that cannot be read; `extra` has the position of what is wrong, from 0.

    `line` is the query as a line, for the user to correct.
    """

    status_code = 400
    default_code = "invalid_query"

    def __init__(self, message: str, position: int, line: str) -> None:
        super().__init__(message)
        self.line = line
        self.extra: dict[str, Any] = {"field": "query", "position": position}


def check_plain(field: str, text: str, *, several_lines: bool = False) -> None:
    """Raise Invalid for a text with a character that its readers would not see."""
    error = hidden_character_error(text, several_lines=several_lines)
    if error:
        raise Invalid(error, field)


def check_no_nul(field: str, string: str) -> None:
    """Raise Invalid for a string with NUL, which PostgreSQL cannot store."""
    if "\0" in string:
        raise Invalid("NUL characters are not allowed.", field)
