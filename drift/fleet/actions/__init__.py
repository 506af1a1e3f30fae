"""All writes of the fleet. Exported here: the calls of the portal's set-up."""

from drift.fleet.actions.enrolment_tokens import create_enrolment_token
from drift.fleet.actions.environments import create_environment

__all__ = ["create_enrolment_token", "create_environment"]
