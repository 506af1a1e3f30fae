"""What can be refused: each has a status and a code for the API, and a sentence for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rest_framework import status
from rest_framework.exceptions import APIException

if TYPE_CHECKING:
    from drift.policy.domain.diff import Change
    from drift.policy.domain.rebase import Clash
    from sensor.policy import Fault


class Conflict(APIException):
    """Somebody else was faster; nothing was changed."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "conflict"
    default_detail = "Somebody else changed the policy. Nothing of yours was written."


class StaleDraft(Conflict):
    """A write named another revision of the draft than the stored one, or another base."""

    default_code = "stale_draft"
    default_detail = "Your draft was changed in another window or by another program. Nothing of this change was kept."


class NewerVersion(Conflict):
    """A save whose base is no longer the latest version.

    `theirs` is what happened from the base to the latest version, `yours` from the base to the document; `twice` the
    rules that both added, each in its own way.
    """

    default_code = "newer_version"

    def __init__(self, base: int, latest: int, theirs: list[Change], yours: list[Change], twice: list[Change]) -> None:
        super().__init__(f"These changes started from v{base}, and v{latest} has been saved since. Nothing was saved.")
        self.base, self.latest, self.theirs, self.yours, self.twice = base, latest, theirs, yours, twice
        self.extra = {
            "base": base,
            "latest": latest,
            "theirs": [change.as_json() for change in theirs],
            "yours": [change.as_json() for change in yours],
            "added_twice": [change.as_json() for change in twice],
        }


class OrderMismatch(Conflict):
    """A reorder that is no permutation of the draft's rules."""

    default_code = "order_mismatch"
    default_detail = "The order does not name every rule of the draft exactly once. Nothing was moved."


class UnknownRule(Conflict):
    """A change of a rule that the draft does not hold."""

    default_code = "unknown_rule"
    default_detail = "The rule is no longer in the draft. Nothing was changed."


class NothingToPropose(Conflict):
    """A draft without changes was proposed."""

    default_code = "nothing_to_propose"
    default_detail = "Your draft has no changes, so there is nothing to propose."


class AlreadyProposed(Conflict):
    """The user has an open proposal."""

    default_code = "already_proposed"
    default_detail = (
        "You have a proposal that is still waiting. Withdraw it first: its changes come back to your draft."
    )


class ProposalDecided(Conflict):
    """A proposal was decided, or withdrawn, meanwhile."""

    default_code = "proposal_decided"
    default_detail = "This proposal was decided or withdrawn meanwhile. Nothing was changed."


class ProposalTaken(Conflict):
    """A proposal is in another admin's draft."""

    default_code = "proposal_taken"
    default_detail = "This proposal is in the draft of another admin. Nothing was changed."


class ProposalClashes(Conflict):
    """A proposal that cannot be saved as it is: it and the latest version want different things.

    `clashes` says of which rules, and what taking it into a draft would do.
    """

    default_code = "proposal_clashes"

    def __init__(self, clashes: list[Clash]) -> None:
        names = ", ".join(clash.name for clash in clashes)
        super().__init__(
            f"It and the latest version differ about: {names}. Take it into your draft. Nothing was saved."
        )
        self.extra = {"clashes": [{"name": clash.name, "outcome": clash.outcome} for clash in clashes]}


class UnknownVersion(Conflict):
    """A save that names a base version which does not exist."""

    default_code = "unknown_version"
    default_detail = "There is no version with the base's number. Nothing was saved."


class DocumentInvalid(APIException):
    """A document that breaks a rule of DESIGN §2; `faults` has every one, in the document's order."""

    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_code = "policy_invalid"

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__(str(faults[0]))
        self.faults = faults
        self.extra: dict[str, Any] = {"field": faults[0].field, "faults": [fault_json(fault) for fault in faults]}
        if faults[0].index is not None:
            self.extra["index"] = faults[0].index


def fault_json(fault: Fault) -> dict[str, Any]:
    """A fault as the API says it: rule (its name), index from 0 or null, field and message."""
    return {"rule": fault.rule, "index": fault.index, "field": fault.field, "message": fault.message}


class PointMissing(APIException):
    """A write to a draft that does not say which state of it was seen."""

    status_code = status.HTTP_428_PRECONDITION_REQUIRED
    default_code = "if_match_required"
    default_detail = "Send If-Match with the draft's ETag, so that nobody's change is written over."
