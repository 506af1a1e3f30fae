"""Errors of backtests: status and code for the API, and a sentence for the user."""

from __future__ import annotations

from rest_framework import status
from rest_framework.exceptions import APIException


class PeriodInvalid(APIException):
    """422: a period longer than events are kept."""

    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_code = "period_invalid"

    def __init__(self, maximum: int) -> None:
        super().__init__(f"Choose 1 to {maximum} days: older events are deleted.")
        self.extra = {"field": "days"}


class BaseUnknown(APIException):
    """422: the version to compare with does not exist."""

    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_code = "unknown_version"
    default_detail = "No version has this number."


class TooManyRuns(APIException):
    """429: other runs occupy the workers, which have other tasks as well."""

    status_code = status.HTTP_429_TOO_MANY_REQUESTS
    default_code = "too_many_backtests"
    default_detail = "Too many backtests are running. Wait for one to end, or cancel it."


class AlreadyFinished(APIException):
    """409: the run has ended."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "already_finished"
    default_detail = "This backtest has already ended."
