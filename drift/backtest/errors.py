"""What can be refused: a status and a code for the API, and a sentence for a person."""

from __future__ import annotations

from rest_framework import status
from rest_framework.exceptions import APIException


class PeriodInvalid(APIException):
    """A number of days that no events are kept for."""

    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_code = "period_invalid"

    def __init__(self, most: int) -> None:
        super().__init__(f"Choose 1 to {most} days: events are kept no longer.")
        self.extra = {"field": "days"}


class BaseUnknown(APIException):
    """A version to compare with that does not exist."""

    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_code = "unknown_version"
    default_detail = "There is no version with this number."


class TooManyRuns(APIException):
    """Workers have other things to do too."""

    status_code = status.HTTP_429_TOO_MANY_REQUESTS
    default_code = "too_many_backtests"
    default_detail = "Other backtests are still running. Wait for one to end, or cancel it."


class AlreadyFinished(APIException):
    """There is nothing left to cancel."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "already_finished"
    default_detail = "This backtest has ended already."
