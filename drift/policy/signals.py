"""What other apps may hang on a Save, inside its transaction."""

from __future__ import annotations

from django.dispatch import Signal

version_saved = Signal()
"""Sent with `version` (PolicyVersion) within the transaction that makes it: what a receiver writes,
such as the version's rollout, exists exactly if the version does, and its error undoes the Save."""
