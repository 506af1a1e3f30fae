"""Input that is rejected, and forwarding that failed, each with a sentence for the user."""

from __future__ import annotations


class DestinationNameTaken(ValueError):
    """Another destination has this name."""


class DestinationRejected(ValueError):
    """The destination cannot be added; the message has the reason."""


class ForwardingFailed(Exception):
    """Records could not be handed over now, and are sent again; the message has the reason."""
