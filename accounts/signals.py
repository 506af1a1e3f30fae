"""What accounts announces to the apps above it."""

from __future__ import annotations

from django.dispatch import Signal

break_glass_used = Signal()
"""The break-glass Owner signed in by password. `user` is theirs; sent in the transaction of the audit entry."""
