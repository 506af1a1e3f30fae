"""What a save by a person needs beyond a valid document: typed confirmations, and a backtest."""

from __future__ import annotations

from django.conf import settings

from drift.policy.domain.default_blocking import BLOCK_BY_DEFAULT, begins_to_block, begins_to_use_blocking
from drift.policy.domain.detection import is_confirmed
from drift.policy.domain.edits import Document
from drift.policy.errors import BacktestMissing, DefaultBlocks, DefaultMayNotBlock, DetectsNothing, SensorsLack
from drift.policy.models import PolicyVersion
from drift.policy.queries.lacking_sensors import is_left_behind, lacking_sensors
from drift.policy.signals import backtest_wanted
from sensor.policy import digest


def offers_default_blocking(*documents: Document) -> bool:
    """Return whether the default rule may be set to block: by the setting, or since a document has it so already."""
    return settings.DEFAULT_RULE_MAY_BLOCK or any(each["default"]["action"] == "block" for each in documents)


def check_default_rule(before: Document, after: Document) -> None:
    """Raise DefaultMayNotBlock where the default rule begins to block, dry or not, and the setting forbids it."""
    if begins_to_use_blocking(before, after) and not settings.DEFAULT_RULE_MAY_BLOCK:
        raise DefaultMayNotBlock


def is_backtested(base: PolicyVersion, document: Document) -> bool:
    """Return whether a recent backtest compared exactly this document with the version."""
    answers = backtest_wanted.send(None, base=base.number, digest=digest(document))
    return any(is_found for _, is_found in answers)


def check_save(latest: PolicyVersion, document: Document, confirmation: str) -> None:
    """Raise what keeps this document from being saved on top of the latest version, until it is confirmed.

    That is DetectsNothing, SensorsLack, BacktestMissing or DefaultBlocks.
    """
    if not is_confirmed(document, confirmation):
        raise DetectsNothing
    lacking = lacking_sensors(latest.document, document)
    if lacking is not None and not is_left_behind(confirmation):
        raise SensorsLack(lacking.words)
    if not begins_to_block(latest.document, document):
        return
    if not is_backtested(latest, document):
        raise BacktestMissing
    if BLOCK_BY_DEFAULT not in (each.strip() for each in confirmation.casefold().split(",")):
        raise DefaultBlocks
