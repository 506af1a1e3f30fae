"""What the fleet refuses, each with the code that programs look at (WIRE: Errors)."""

from __future__ import annotations

from typing import Any

from rest_framework.exceptions import APIException


class FleetError(APIException):
    """An answer of `status_code` with `code`.

    `extra` adds the field that is wrong; `wait` becomes Retry-After, in seconds.
    """

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
        """The code for programs."""
        return str(getattr(self.detail, "code", ""))


class InvalidCredential(FleetError):
    """No credential, or one that no live sensor has: the sensor stops and says so."""

    status_code = 401

    def __init__(self) -> None:
        super().__init__("not_authenticated", "This is no live sensor's credential. Enrol the node again.", status=401)


def sensor_revoked() -> FleetError:
    """Final: the sensor gives up."""
    return FleetError("sensor_revoked", "This sensor was revoked. An administrator can release the node.")


def environment_off() -> FleetError:
    """Not final: the sensor goes on spooling, stops blocking, and asks again later."""
    return FleetError("environment_off", "The Defender sensor is switched off in this environment.")
