"""Errors of the policy: each has a status and a code for the API, and a sentence for the user.

The two that carry changes, NewerVersion and ProposalClashes, are in domain/conflicts.py beside the types they hold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rest_framework import status
from rest_framework.exceptions import APIException

if TYPE_CHECKING:
    from sensor.policy import DocumentError


class PolicyConflict(APIException):
    """Another writer was faster; nothing was changed."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "conflict"
    default_detail = "Another user changed the policy. None of your changes were saved."


class StaleDraft(PolicyConflict):
    """A write that named another revision or base than the stored draft has."""

    default_code = "stale_draft"
    default_detail = "Your draft was changed in another window or by an API client. This change was not saved."


class NothingToUndo(PolicyConflict):
    """An undo of a draft that has no earlier state."""

    default_code = "nothing_to_undo"
    default_detail = "There is nothing to undo. Nothing was changed."


class OrderMismatch(PolicyConflict):
    """A new order that is not a permutation of the draft's rules."""

    default_code = "order_mismatch"
    default_detail = "The order must name every rule of the draft exactly once. Nothing was moved."


class UnknownRule(PolicyConflict):
    """A change to a rule that the draft does not contain."""

    default_code = "unknown_rule"
    default_detail = "The rule is not in the draft. Nothing was changed."


class NothingToPropose(PolicyConflict):
    """A draft without changes was proposed."""

    default_code = "nothing_to_propose"
    default_detail = "Your draft has no changes, so there is nothing to propose."


class AlreadyProposed(PolicyConflict):
    """The user already has an open proposal."""

    default_code = "already_proposed"
    default_detail = "You already have an open proposal. Withdraw it first: its changes return to your draft."


class ProposalDecided(PolicyConflict):
    """The proposal is no longer open."""

    default_code = "proposal_decided"
    default_detail = "This proposal has already been decided or withdrawn. Nothing was changed."


class ProposalTaken(PolicyConflict):
    """The proposal is in another admin's draft."""

    default_code = "proposal_taken"
    default_detail = "This proposal is in another admin's draft. Nothing was changed."


class UnknownVersion(PolicyConflict):
    """A save whose base version does not exist."""

    default_code = "unknown_version"
    default_detail = "The base version does not exist. Nothing was saved."


class ApproverRequired(PolicyConflict):
    """A save by one person of a change that needs a second one."""

    default_code = "approver_required"
    default_detail = (
        "This change needs a second person. Propose it; another Security Admin accepts it. Nothing was saved."
    )


class ConfirmationRequired(PolicyConflict):
    """A save that a person must confirm by typing `phrase`; `button` is what the page then offers."""

    phrase: str
    button: str


class DetectsNothing(ConfirmationRequired):
    """A save, without its typed confirmation, of a policy that reports no kind of drift."""

    phrase = "detect nothing"
    button = "Save a policy that detects nothing"
    default_code = "detects_nothing"
    default_detail = (
        "With this policy sensors detect nothing: no drift is reported or blocked anywhere. "
        "Send the confirmation “detect nothing” to save it all the same. Nothing was saved."
    )


class SensorsLack(ConfirmationRequired):
    """A save, without its typed confirmation, of a policy that live sensors reject, or disable rules of.

    They lack what it uses.
    """

    default_code = "sensors_lack"
    phrase = "leave sensors behind"
    button = "Save, and leave sensors behind"

    def __init__(self, words: str) -> None:
        super().__init__(f"{words} Send the confirmation “{self.phrase}” to save it all the same. Nothing was saved.")


class DefaultMayNotBlock(PolicyConflict):
    """A default rule that is to block, dry or not, where the deployment's setting does not allow it."""

    default_code = "default_may_not_block"
    default_detail = (
        "The default rule may not block on this portal: the setting DEFAULT_RULE_MAY_BLOCK is off. Nothing was changed."
    )


class BacktestMissing(PolicyConflict):
    """A save of a default rule that begins to block, which no recent backtest has tried on stored events."""

    default_code = "backtest_missing"
    default_detail = (
        "Before the default rule blocks, a backtest must show what it would stop: run one of exactly these changes on "
        "the last 7 days, then save within a day. Nothing was saved."
    )


class DefaultBlocks(ConfirmationRequired):
    """A save, without its typed confirmation, of a default rule that begins to block."""

    phrase = "block by default"
    button = "Save, and block by default"
    default_code = "default_blocks"
    default_detail = (
        "The default rule would block: in every container, drift that no rule above decides is stopped. The version "
        "reaches sensors in waves. Send the confirmation “block by default” to save it. Nothing was saved."
    )


class RoleEnded(PolicyConflict):
    """A save by somebody who is no Security Admin any more: they were one when they sent it."""

    default_code = "role_ended"
    default_detail = "You are no longer a Security Admin. Nothing was saved."


class OwnProposal(PolicyConflict):
    """An author, or a service account, that accepts a proposal where a second person must."""

    default_code = "own_proposal"
    default_detail = "Another Security Admin must accept it: not its author, nor a service account. Nothing was saved."


class DocumentInvalid(APIException):
    """A document that breaks a rule of docs/policy-semantics.md; `errors` has every one, in the document's order."""

    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_code = "policy_invalid"

    def __init__(self, errors: list[DocumentError]) -> None:
        super().__init__(str(errors[0]))
        self.errors = errors
        self.extra: dict[str, Any] = {"field": errors[0].field, "faults": [error_json(error) for error in errors]}
        if errors[0].index is not None:
            self.extra["index"] = errors[0].index


def error_json(error: DocumentError) -> dict[str, Any]:
    """Return an error of a document for the API: rule (its name), index from 0 or null, field and message."""
    return {"rule": error.rule, "index": error.index, "field": error.field, "message": error.message}


class RevisionMissing(APIException):
    """A write to a draft that does not name the revision it was made for."""

    status_code = status.HTTP_428_PRECONDITION_REQUIRED
    default_code = "if_match_required"
    default_detail = "Send If-Match with the draft's ETag, so that no other change is overwritten."
