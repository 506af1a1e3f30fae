"""Signals of the policy for apps above it."""

from __future__ import annotations

from django.dispatch import Signal

version_saved = Signal()
"""Sent with `version` (PolicyVersion) within the transaction that saves it. What a receiver writes, such as the
version's rollout, is committed with the version, and an error in a receiver undoes the save."""

sensors_lacking = Signal()
"""Sent with `features` (capabilities, sensor.policy.features); a receiver returns the names of the live sensors that
lack any of them."""

backtest_wanted = Signal()
"""Sent with `base` (a version's number) and `digest`; a receiver returns whether a recent backtest compared the
document of that digest with the base, on the whole estate's events."""
