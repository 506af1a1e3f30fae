"""What changes the fleet's tables. Those that other apps' set-up calls are named here."""

from drift.fleet.actions.enrolment_tokens import create_enrolment_token
from drift.fleet.actions.environments import create_environment

__all__ = ["create_enrolment_token", "create_environment"]
