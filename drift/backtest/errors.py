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


class TooMuchNoise(APIException):
    """422: more different alerting events than a worker can weigh."""

    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_code = "too_much_noise"

    def __init__(self, maximum: int) -> None:
        super().__init__(f"The period has more than {maximum:,} different alerting events. Choose fewer days.")


class NoiseUnconfirmed(APIException):
    """500: the backtest of a plan counted otherwise than the plan, which is not shown then."""

    default_code = "noise_unconfirmed"
    default_detail = "The backtest did not confirm the plan, so it is not shown. Please report this."


class PlanOutdated(APIException):
    """409: a version was saved since a plan was made."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "plan_outdated"
    default_detail = "The policy has changed since this plan was made. Start it again."


class PlanContradicted(APIException):
    """409: what a plan hides was resolved as a true positive, or listed as known bad, since it was made."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "plan_contradicted"

    def __init__(self, path: str) -> None:
        super().__init__(f"Since this plan was made, {path} was resolved as a true positive or listed. Start it again.")


class PlaceUnknown(APIException):
    """422: a place that is not in the estate."""

    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_code = "unknown_place"
    default_detail = "This place is not in the estate."


class BudgetInvalid(APIException):
    """422: a budget that is not a number of alerts a day."""

    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_code = "budget_invalid"

    def __init__(self, maximum: int) -> None:
        super().__init__(f"Choose 0 to {maximum:,} alerts a day.")
        self.extra = {"field": "alerts"}


class NoiseBusy(APIException):
    """429: the user's other plan is not finished."""

    status_code = status.HTTP_429_TOO_MANY_REQUESTS
    default_code = "noise_busy"
    default_detail = "Another of your noise budgets is running. Wait for it to end, or cancel it."


class NothingPlanned(APIException):
    """409: there is no change to copy."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "nothing_planned"
    default_detail = "This noise budget has no changes to copy."
