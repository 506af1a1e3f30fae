"""The one error of all capture backends."""

from __future__ import annotations


class CaptureUnavailable(RuntimeError):
    """This backend cannot run on this node; the message has the reason, in one line."""
