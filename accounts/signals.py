"""What accounts announces to the apps above it, in the transaction of the change."""

from __future__ import annotations

from django.dispatch import Signal

break_glass_used = Signal()
"""The break-glass Owner signed in by password. `user` is theirs."""
account_changed = Signal()
"""Something that a user signs in with changed, which a thief may have done. `user` is theirs, `change` one sentence
without its full stop; `address` is where else to mail it, the old one after a change."""
