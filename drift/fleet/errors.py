"""Requests that the fleet rejects, each with the code that API clients and sensors read (docs/wire.md#errors)."""

from __future__ import annotations

from typing import Any

from rest_framework.exceptions import APIException


class FleetError(APIException):
    """A response with `status` and `code`; `field` names the invalid field, `wait` becomes Retry-After, in seconds."""

    status_code = 403

    def __init__(
        self, code: str, message: str, *, status: int = 403, field: str | None = None, wait: int | None = None
    ) -> None:
        super().__init__(message, code)
        self.status_code = status
        self.wait = wait
        if status == 401:
            self.auth_header = 'Bearer realm="sensors"'
        self.extra: dict[str, Any] = {"field": field} if field else {}

    @property
    def code(self) -> str:
        """The machine-readable code."""
        return str(getattr(self.detail, "code", ""))


class InvalidCredential(FleetError):
    """401: the credential is missing or belongs to no live sensor. The sensor stops and logs it."""

    status_code = 401

    def __init__(self) -> None:
        message = "This credential does not belong to a live sensor. Enrol the node again."
        super().__init__("not_authenticated", message, status=401)


def sensor_revoked() -> FleetError:
    """Return 403 `sensor_revoked`. It is final: the sensor stops."""
    return FleetError("sensor_revoked", "This sensor was revoked. An administrator can release the node.")


def environment_off() -> FleetError:
    """Return 403 `environment_off`. It is not final: the sensor spools, stops blocking and tries again later."""
    return FleetError("environment_off", "The sensor is switched off in this environment.")
