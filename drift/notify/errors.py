"""Input that is rejected, each with a sentence for the user."""

from __future__ import annotations


class AddressRejected(ValueError):
    """The portal does not post to this address; the message has the reason."""


class NameTaken(ValueError):
    """Another webhook has this name."""
