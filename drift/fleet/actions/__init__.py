"""What changes the fleet's tables. Those that other apps' set-up calls are named here."""

from drift.fleet.actions.estate import create_environment
from drift.fleet.actions.tokens import create_enrolment_token

__all__ = ["create_enrolment_token", "create_environment"]
